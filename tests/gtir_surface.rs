//! The whole surface of GTIR, one small program per feature, on every engine.
//!
//! Programs are written in GT4Py's printed notation; what they compute is worked out by hand here.

use indexmap::IndexMap;
use pelton::check::gtir_oracle;
use pelton::diag::{Diagnostic, Result};
use pelton::exec::engine::{Engine, Options, Outcome, Prepared};
use pelton::exec::gtir::GtirProgram;
use pelton::front::gtir::{Connectivity, DimKind, GtirArg, GtirArgs, table_name, text};
use pelton::memory::{Binding, View};
use pelton::scalar::{DType, Scalar, Type, arith};

/// Arguments by name, built up.
#[derive(Default)]
struct Setup {
    args: GtirArgs<'static>,
}

/// `Kᵥ`, `Vₕ` or `V2E` (local).
fn dimension(marked: &str) -> (String, DimKind) {
    for (mark, kind) in [('ₕ', DimKind::Horizontal), ('ᵥ', DimKind::Vertical)] {
        if let Some(name) = marked.strip_suffix(mark) {
            return (name.to_owned(), kind);
        }
    }
    (marked.to_owned(), DimKind::Local)
}

impl Setup {
    fn new() -> Self {
        Self::default()
    }

    fn array(&mut self, name: &str, dtype: DType, shape: &[usize], values: &[f64]) {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        let mut bytes = vec![0; dtype.bytes() * values.len()];
        for (value, bytes) in values.iter().zip(bytes.chunks_mut(dtype.bytes())) {
            assert!(arith::cast(dtype, Scalar::F64(*value)).write_le_bytes(bytes));
        }
        self.args.memory.insert_array(name, Type::Scalar(dtype), dtype.bytes(), shape, bytes);
    }

    fn leaf(&mut self, name: &str, dtype: DType, dims: &[(&str, i64, usize)], values: &[f64]) -> GtirArg {
        let shape: Vec<usize> = dims.iter().map(|(_, _, extent)| *extent).collect();
        self.array(name, dtype, &shape, values);
        GtirArg::Field {
            leaf: name.to_owned(),
            dims: dims.iter().map(|(dim, ..)| dimension(dim)).collect(),
            start: dims.iter().map(|(_, start, _)| *start).collect(),
        }
    }

    /// A field: dimensions with start and extent, values in row-major order.
    fn field(mut self, name: &str, dtype: DType, dims: &[(&str, i64, usize)], values: &[f64]) -> Self {
        let arg = self.leaf(name, dtype, dims, values);
        self.args.params.insert(name.to_owned(), arg);
        self
    }

    /// A one-dimensional `float64` field along `Kᵥ` from 0.
    fn column(self, name: &str, values: &[f64]) -> Self {
        self.field(name, DType::F64, &[("Kᵥ", 0, values.len())], values)
    }

    /// A tuple of columns.
    fn columns(mut self, name: &str, parts: &[&[f64]]) -> Self {
        let parts = parts.iter().enumerate();
        let parts = parts
            .map(|(n, values)| {
                self.leaf(&format!("{name}_{n}"), DType::F64, &[("Kᵥ", 0, values.len())], values)
            })
            .collect();
        self.args.params.insert(name.to_owned(), GtirArg::Tuple(parts));
        self
    }

    fn scalar(mut self, name: &str, value: Scalar) -> Self {
        self.args.memory.insert_scalar(name, value);
        self.args.params.insert(name.to_owned(), GtirArg::Scalar { leaf: name.to_owned() });
        self
    }

    /// A connectivity: name, source, target and rows; -1 where `skips`.
    fn table(
        mut self,
        name: &str,
        source: &str,
        target: &str,
        columns: usize,
        skips: bool,
        rows: &[f64],
    ) -> Self {
        self.array(&table_name(name), DType::I32, &[rows.len() / columns, columns], rows);
        let connectivity = Connectivity {
            source: source.to_owned(),
            local: name.to_owned(),
            target: target.to_owned(),
            max_neighbors: columns,
            skip_value: skips.then_some(-1),
        };
        self.args.connectivities.insert(name.to_owned(), connectivity);
        self
    }

    /// Three vertices around a ring of three edges; `V2E` gives the edges before and after, `E2V` the ends.
    fn ring(self) -> Self {
        self.table("V2E", "V", "E", 2, false, &[2., 0., 0., 1., 1., 2.]).table(
            "E2V",
            "E",
            "V",
            2,
            false,
            &[0., 1., 1., 2., 2., 0.],
        )
    }

    /// Like the ring, but vertex 0 has lost its first edge.
    fn broken_ring(self) -> Self {
        self.table("V2E", "V", "E", 2, true, &[-1., 0., 0., 1., 1., 2.])
    }
}

fn vertices(values: &[f64]) -> Setup {
    Setup::new().field("out", DType::F64, &[("Vₕ", 0, values.len())], values)
}

fn values(args: &GtirArgs<'_>, name: &str) -> Vec<f64> {
    let Some(Binding::Array { buffer, offset, ty: Type::Scalar(dtype), shape, strides }) =
        args.memory.get(name)
    else {
        panic!("there is no array {name}");
    };
    let bytes = args.memory.buffers[*buffer].bytes();
    View::new(bytes, *offset, *dtype, shape, strides).scalars().map(|value| value.unwrap().as_f64()).collect()
}

fn run_oracle(source: &str, mut setup: Setup) -> Result<GtirArgs<'static>> {
    setup.args.column_axis = Some("K".to_owned());
    gtir_oracle::run(&text::read(source)?, &mut setup.args)?;
    Ok(setup.args)
}

fn run_interp(source: &str, setup: Setup) -> Result<GtirArgs<'static>> {
    run_lowered(source, setup, Engine::Interp)
}

fn run_native(source: &str, setup: Setup) -> Result<GtirArgs<'static>> {
    run_lowered(source, setup, Engine::Native)
}

fn run_lowered(source: &str, mut setup: Setup, engine: Engine) -> Result<GtirArgs<'static>> {
    setup.args.column_axis = Some("K".to_owned());
    let lowered = GtirProgram::new(&text::read(source)?, &setup.args)?;
    let prepared = Prepared::new(&lowered.program, engine, false)?;
    let mut bound = lowered.bind(&mut setup.args)?;
    let outcome = prepared.run(&mut bound, &Options::default());
    lowered.unbind(bound, &mut setup.args);
    match outcome? {
        Outcome::Done(_) => Ok(setup.args),
        Outcome::Trap(fault) => Err(fault.into()),
    }
}

/// Runs a program on the oracle, the interpreter and as machine code; all have to give the expected arrays.
fn expect(source: &str, setup: impl Fn() -> Setup, expected: &[(&str, &[f64])]) {
    type Run = fn(&str, Setup) -> Result<GtirArgs<'static>>;
    let engines: [(&str, Run); 3] = [("oracle", run_oracle), ("interp", run_interp), ("native", run_native)];
    for (engine, run) in engines {
        let args = run(source, setup()).unwrap_or_else(|error| panic!("{engine}: {error}"));
        for (name, expected) in expected {
            assert_eq!(values(&args, name), *expected, "{name} on {engine}");
        }
    }
}

fn oracle_error(source: &str, setup: Setup) -> Diagnostic {
    run_oracle(source, setup).map(|_| ()).unwrap_err()
}

/// A program that writes one stencil of `a` over levels `0..n` of `out`.
fn stencil(body: &str, stop: usize) -> String {
    format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, {stop}[ ⟩ ← (⇑(λ(a) → {body}))(a); }}")
}

fn expect_stencil(body: &str, input: &[f64], expected: &[f64]) {
    let n = expected.len();
    let setup = || Setup::new().column("a", input).column("out", &vec![0.0; n]);
    expect(&stencil(body, n), setup, &[("out", expected)]);
}

#[test]
fn arithmetic() {
    let a = [-2.5, 3.0];
    for (body, expected) in [
        ("·a + 1.0", [-1.5, 4.0]),
        ("·a - 1.0", [-3.5, 2.0]),
        ("·a × 2.0", [-5.0, 6.0]),
        ("·a / 2.0", [-1.25, 1.5]),
        ("neg(·a)", [2.5, -3.0]),
        ("abs(·a)", [2.5, 3.0]),
        ("minimum(·a, 0.0)", [-2.5, 0.0]),
        ("maximum(·a, 0.0)", [0.0, 3.0]),
        ("mod(·a, 2.0)", [1.5, 1.0]),
        ("fmod(·a, 2.0)", [-0.5, 1.0]),
        ("floordiv(·a, 2.0)", [-2.0, 1.0]),
        ("power(·a, 2)", [6.25, 9.0]),
        ("power(·a, 2.0)", [6.25, 9.0]),
        ("floor(·a)", [-3.0, 3.0]),
        ("ceil(·a)", [-2.0, 3.0]),
        ("trunc(·a)", [-2.0, 3.0]),
        ("sqrt(abs(·a) - abs(·a) + 4.0)", [2.0, 2.0]),
        ("cbrt(·a - ·a + 8.0)", [2.0, 2.0]),
        ("gamma(·a - ·a + 5.0)", [24.0, 24.0]),
        ("if ·a < 0.0 then 1.0 else 2.0", [1.0, 2.0]),
        ("if isfinite(·a) then 1.0 else 2.0", [1.0, 1.0]),
        ("if isnan(·a) ∨ isinf(·a) then 1.0 else 2.0", [2.0, 2.0]),
        ("if ¬(·a < 0.0) ∧ ·a >= 3.0 then 1.0 else 2.0", [2.0, 1.0]),
        ("if xor_(·a < 0.0, ·a > -5.0) then 1.0 else 2.0", [2.0, 1.0]),
        ("if ·a == 3.0 then 1.0 else if not_eq(·a, -2.5) then 2.0 else 4.0", [4.0, 1.0]),
    ] {
        println!("{body}");
        expect_stencil(body, &a, &expected);
    }
}

#[test]
fn transcendental_functions_of_zero_and_one() {
    for (function, expected) in [
        ("sin", 0.0),
        ("cos", 1.0),
        ("tan", 0.0),
        ("arcsin", 0.0),
        ("arctan", 0.0),
        ("sinh", 0.0),
        ("cosh", 1.0),
        ("tanh", 0.0),
        ("arcsinh", 0.0),
        ("arctanh", 0.0),
        ("exp", 1.0),
    ] {
        println!("{function}");
        expect_stencil(&format!("{function}(·a)"), &[0.0], &[expected]);
    }
    for function in ["log", "arccosh", "arccos"] {
        println!("{function}");
        expect_stencil(&format!("{function}(·a)"), &[1.0], &[0.0]);
    }
}

#[test]
fn integers_of_all_widths() {
    let types =
        [DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32, DType::U64];
    for dtype in types {
        let name = dtype.name();
        println!("{name}");
        let program = format!(
            "p(a, out) {{ out @ c⟨ Kᵥ: [0, 3[ ⟩ ← (⇑(λ(a) → cast_(·a, {name}) / {name}(2) + mod({name}(·a), {name}(3))))(a); }}"
        );
        let dims = [("Kᵥ", 0, 3)];
        let setup = || Setup::new().column("a", &[7.9, 5.0, 0.0]).field("out", dtype, &dims, &[0.0; 3]);
        expect(&program, setup, &[("out", &[4.0, 4.0, 0.0])]);
    }
    let program = "p(a, out) { out @ c⟨ Kᵥ: [0, 2[ ⟩ ← (⇑(λ(a) → mod(·a, -3) + floordiv(·a, 2) × 100 + ·a / 2 × 10000))(a); }";
    let dims = [("Kᵥ", 0, 2)];
    let setup =
        || Setup::new().field("a", DType::I32, &dims, &[-7., 7.]).field("out", DType::I32, &dims, &[0.0; 2]);
    expect(program, setup, &[("out", &[-1. - 400. - 30000., -2. + 300. + 30000.])]);
}

#[test]
fn booleans_convert() {
    let program = "p(a, out) { out @ c⟨ Kᵥ: [0, 2[ ⟩ ← (⇑(λ(a) → bool(·a)))(a); }";
    let setup =
        || Setup::new().column("a", &[0.0, 0.5]).field("out", DType::Bool, &[("Kᵥ", 0, 2)], &[1.0, 0.0]);
    expect(program, setup, &[("out", &[0.0, 1.0])]);
}

#[test]
fn cartesian_shifts() {
    expect_stencil("·⟪Kᵥ→Kᵥ, 1ₒ⟫(a) - ·a", &[1.0, 2.0, 4.0, 8.0], &[1.0, 2.0, 4.0]);
    expect_stencil("·⟪Kᵥ→Kᵥ, 3ₒ, Kᵥ→Kᵥ, -1ₒ⟫(a)", &[1.0, 2.0, 4.0, 8.0], &[4.0, 8.0]);
    // Applied twice.
    expect_stencil("·⟪Kᵥ→Kᵥ, 1ₒ⟫(⟪Kᵥ→Kᵥ, 1ₒ⟫(a))", &[1.0, 2.0, 4.0, 8.0], &[4.0, 8.0]);
}

#[test]
fn staggered_dimensions() {
    let program = "p(a, out) { out @ c⟨ Hᵥ: [1, 3[ ⟩ ← (⇑(λ(a) → ·⟪Hᵥ→Kᵥ, 0ₒ⟫(a) + ·⟪Hᵥ→Kᵥ, -1ₒ⟫(a)))(a); }";
    let setup =
        || Setup::new().column("a", &[1.0, 10.0, 100.0]).field("out", DType::F64, &[("Hᵥ", 1, 2)], &[0.0; 2]);
    expect(program, setup, &[("out", &[11.0, 110.0])]);
}

#[test]
fn origins() {
    let program = "p(a, out) { out @ c⟨ Kᵥ: [get_domain_range(out, Kᵥ)[0], get_domain_range(out, Kᵥ)[1] - 1[ ⟩ ← \
                   (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, -3ₒ⟫(a)))(a); }";
    let setup = || {
        Setup::new().field("a", DType::F64, &[("Kᵥ", -2, 4)], &[1.0, 2.0, 3.0, 4.0]).field(
            "out",
            DType::F64,
            &[("Kᵥ", 2, 3)],
            &[0.0, 0.0, 9.0],
        )
    };
    expect(program, setup, &[("out", &[2.0, 3.0, 9.0])]);
}

#[test]
fn dynamic_shifts() {
    let program = "p(a, by, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← (⇑(λ(a, by) → ·⟪Kᵥ→Kᵥ, ·by⟫(a)))(a, by); }";
    let setup = || {
        Setup::new()
            .column("a", &[1.0, 2.0, 3.0])
            .field("by", DType::I32, &[("Kᵥ", 0, 3)], &[2.0, 0.0, -1.0])
            .column("out", &[0.0; 3])
    };
    expect(program, setup, &[("out", &[3.0, 2.0, 2.0])]);
}

#[test]
fn a_dynamic_shift_of_a_computed_field() {
    let program = "p(a, by, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← (⇑(λ(a, by) → ·⟪Kᵥ→Kᵥ, ·by⟫(a)))((⇑(λ(a) → ·a × 2.0))(a), by); }";
    let setup = || {
        Setup::new()
            .column("a", &[1.0, 2.0, 3.0])
            .field("by", DType::I32, &[("Kᵥ", 0, 3)], &[2.0, 0.0, -1.0])
            .column("out", &[0.0; 3])
    };
    expect(program, setup, &[("out", &[6.0, 4.0, 4.0])]);
}

#[test]
fn a_guarded_read_may_be_out_of_bounds() {
    let program = "p(a, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← \
                   (⇑(λ(a, k) → if ·k > 0 then ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a) else 0.5))(a, index(Kᵥ)); }";
    let setup = || Setup::new().column("a", &[1.0, 2.0, 3.0]).column("out", &[0.0; 3]);
    expect(program, setup, &[("out", &[0.5, 1.0, 2.0])]);
}

fn edges(values: &[f64]) -> Setup {
    vertices(&[0.0; 3]).field("e", DType::F64, &[("Eₕ", 0, values.len())], values)
}

const E: [f64; 3] = [1.0, 10.0, 100.0];

fn on_vertices(stencil: &str) -> String {
    format!("p(e, out) {{ out @ u⟨ Vₕ: [0, 3[ ⟩ ← (⇑({stencil}))(e); }}")
}

#[test]
fn unstructured_shifts() {
    let ring = || edges(&E).ring();
    expect(&on_vertices("λ(e) → ·⟪V2Eₒ, 0ₒ⟫(e)"), ring, &[("out", &[100.0, 1.0, 10.0])]);
    // Composite: vertex to edge to vertex to edge.
    let composite = "λ(e) → ·⟪V2Eₒ, 1ₒ, E2Vₒ, 1ₒ, V2Eₒ, 1ₒ⟫(e)";
    expect(&on_vertices(composite), ring, &[("out", &[10.0, 100.0, 1.0])]);
    let applied = "λ(e) → ·⟪V2Eₒ, 1ₒ⟫(⟪V2Eₒ, 1ₒ, E2Vₒ, 1ₒ⟫(e))";
    expect(&on_vertices(applied), ring, &[("out", &[10.0, 100.0, 1.0])]);
}

#[test]
fn neighbor_lists() {
    let ring = || edges(&E).ring();
    for (stencil, expected) in [
        ("λ(e) → reduce(plus, 0.0)(neighbors(V2Eₒ, e))", [101.0, 11.0, 110.0]),
        ("λ(e) → reduce(maximum, 0.0)(neighbors(V2Eₒ, e))", [100.0, 10.0, 100.0]),
        ("λ(e) → reduce(λ(s, x) → s × 2.0 + x, 0.0)(neighbors(V2Eₒ, e))", [201.0, 12.0, 120.0]),
        (
            "λ(e) → reduce(λ(s, x, y) → s + x × y, 0.0)(neighbors(V2Eₒ, e), make_const_list(2.0))",
            [202.0, 22.0, 220.0],
        ),
        (
            "λ(e) → reduce(plus, 0.0)(map_list(λ(x, y) → x - y)(neighbors(V2Eₒ, e), make_const_list(1.0)))",
            [99.0, 9.0, 108.0],
        ),
        ("λ(e) → list_get(1, neighbors(V2Eₒ, e))", [1.0, 10.0, 100.0]),
        (
            "λ(e) → list_get(0ₒ, map_list(multiplies)(neighbors(V2Eₒ, e), neighbors(V2Eₒ, e)))",
            [1e4, 1.0, 100.0],
        ),
    ] {
        println!("{stencil}");
        expect(&on_vertices(stencil), ring, &[("out", &expected)]);
    }
}

#[test]
fn lists_cross_field_operators() {
    let program = "p(e, out) { out @ u⟨ Vₕ: [0, 3[ ⟩ ← \
                   (⇑(λ(l) → reduce(plus, 0.0)(·l)))((⇑(λ(e) → neighbors(V2Eₒ, e)))(e)); }";
    expect(program, || edges(&E).ring(), &[("out", &[101.0, 11.0, 110.0])]);
}

#[test]
fn skip_values() {
    let broken = || edges(&E).broken_ring();
    for (stencil, expected) in [
        ("λ(e) → reduce(plus, 0.0)(neighbors(V2Eₒ, e))", [1.0, 11.0, 110.0]),
        ("λ(e) → if can_deref(⟪V2Eₒ, 0ₒ⟫(e)) then ·⟪V2Eₒ, 0ₒ⟫(e) else -1.0", [-1.0, 1.0, 10.0]),
        (
            "λ(e) → reduce(λ(s, x, y) → s + x × y, 0.0)(neighbors(V2Eₒ, e), map_list(λ(x) → x + 1.0)(neighbors(V2Eₒ, e)))",
            [2.0, 112.0, 10210.0],
        ),
    ] {
        println!("{stencil}");
        expect(&on_vertices(stencil), broken, &[("out", &expected)]);
    }
}

#[test]
fn lift() {
    let ring = || edges(&E).ring();
    let lifted = "λ(e) → ·⟪V2Eₒ, 1ₒ, E2Vₒ, 1ₒ⟫(↑(λ(e) → ·⟪V2Eₒ, 0ₒ⟫(e) + ·⟪V2Eₒ, 1ₒ⟫(e))(e))";
    let lifted = lifted.replace("↑(λ", "(↑(λ").replace("(e))(e))", "(e)))(e))");
    expect(&on_vertices(&lifted), ring, &[("out", &[11.0, 110.0, 101.0])]);
    let twice = "λ(e) → reduce(plus, 0.0)(neighbors(V2Eₒ, (↑(λ(v) → ·⟪E2Vₒ, 0ₒ⟫(v)))((↑(λ(e) → ·⟪V2Eₒ, 0ₒ⟫(e)))(e))))";
    // Edge k starts at vertex k, whose first edge is k - 1; vertex k sums that over edges k - 1 and k.
    expect(&on_vertices(twice), ring, &[("out", &[110.0, 101.0, 11.0])]);
}

#[test]
fn sparse_fields_in_and_out() {
    let dims = [("Vₕ", 0, 3), ("V2E", 0, 2)];
    let sparse = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let setup = || edges(&E).ring().field("s", DType::F64, &dims, &sparse);
    let program = "p(e, s, out) { out @ u⟨ Vₕ: [0, 3[ ⟩ ← \
                   (⇑(λ(e, s) → reduce(λ(a, x, y) → a + x × y, 0.0)(neighbors(V2Eₒ, e), ·s)))(e, s); }";
    expect(program, setup, &[("out", &[102.0, 43.0, 650.0])]);
    let only =
        "p(s, out) { out @ u⟨ Vₕ: [0, 3[ ⟩ ← (⇑(λ(s) → reduce(plus, 0.0)(·s) + list_get(1, ·s)))(s); }";
    expect(only, setup, &[("out", &[5.0, 11.0, 17.0])]);
    let output = "p(e, s) { s @ u⟨ Vₕ: [0, 3[ ⟩ ← (⇑(λ(e) → neighbors(V2Eₒ, e)))(e); }";
    expect(output, setup, &[("s", &[100.0, 1.0, 1.0, 10.0, 10.0, 100.0])]);
}

#[test]
fn tuples() {
    let setup =
        || Setup::new().columns("t", &[&[1.0, 2.0], &[10.0, 20.0]]).columns("out", &[&[0.0; 2], &[0.0; 2]]);
    let domain = "c⟨ Kᵥ: [0, 2[ ⟩";
    for (value, first, second) in [
        ("{t[1], t[0]}", [10.0, 20.0], [1.0, 2.0]),
        ("(⇑(λ(t) → {(·t)[1], (·t)[0] + 1.0}))(t)", [10.0, 20.0], [2.0, 3.0]),
        ("map_tuple(λ(x) → (⇑(λ(x) → ·x + 1.0))(x))(t)", [2.0, 3.0], [11.0, 21.0]),
        ("tree_map_tuple(λ(x) → (⇑(λ(x) → ·x + 1.0))(x))({t, t[0]})[0]", [2.0, 3.0], [11.0, 21.0]),
        ("tree_map_tuple(λ(x, y) → (⇑(λ(x, y) → ·x + ·y))(x, y))(t, t)", [2.0, 4.0], [20.0, 40.0]),
        ("if 1 < 2 then t else {t[1], t[1]}", [1.0, 2.0], [10.0, 20.0]),
        ("concat_where(Kᵥ < 1, t, {t[1], t[0]})", [1.0, 20.0], [10.0, 2.0]),
        ("concat_where(Kᵥ < 1, (⇑(λ(t) → {(·t)[1], (·t)[0]}))(t), t)", [10.0, 2.0], [1.0, 20.0]),
    ] {
        println!("{value}");
        let program = format!("p(t, out) {{ {{out[0], out[1]}} @ {{{domain}, {domain}}} ← {value}; }}");
        expect(&program, setup, &[("out_0", &first), ("out_1", &second)]);
    }
}

#[test]
fn each_target_has_its_own_domain() {
    let program = "p(a, t) { {t[0], t[1]} @ {c⟨ Kᵥ: [0, 1[ ⟩, c⟨ Kᵥ: [1, 3[ ⟩} ← {a, a}; }";
    let setup = || Setup::new().column("a", &[1.0, 2.0, 3.0]).columns("t", &[&[0.0; 3], &[0.0; 3]]);
    expect(program, setup, &[("t_0", &[1.0, 0.0, 0.0]), ("t_1", &[0.0, 2.0, 3.0])]);
}

#[test]
fn masks() {
    let a = [1.0, 2.0, 3.0, 4.0];
    for (mask, expected) in [
        ("Kᵥ < 2", [1.0, 2.0, 0.0, 0.0]),
        ("2 <= Kᵥ", [0.0, 0.0, 3.0, 4.0]),
        ("Kᵥ == 1", [0.0, 2.0, 0.0, 0.0]),
        ("not_eq(Kᵥ, 1)", [1.0, 0.0, 3.0, 4.0]),
        ("Kᵥ < 1 ∨ Kᵥ > 2", [1.0, 0.0, 0.0, 4.0]),
        ("Kᵥ > 0 ∧ Kᵥ < 3", [0.0, 2.0, 3.0, 0.0]),
        ("¬(Kᵥ > 0 ∧ Kᵥ < 3)", [1.0, 0.0, 0.0, 4.0]),
        ("c⟨ Kᵥ: [1, ∞[ ⟩", [0.0, 2.0, 3.0, 4.0]),
        ("c⟨ Kᵥ: [-∞, 3[ ⟩", [1.0, 2.0, 3.0, 0.0]),
        ("Kᵥ < -5", [0.0; 4]),
        ("Kᵥ < n", [1.0, 2.0, 3.0, 0.0]),
    ] {
        println!("{mask}");
        let program = format!("p(a, n, out) {{ out @ c⟨ Kᵥ: [0, 4[ ⟩ ← concat_where({mask}, a, 0.0); }}");
        let setup = || Setup::new().column("a", &a).scalar("n", Scalar::I32(3)).column("out", &[9.0; 4]);
        expect(&program, setup, &[("out", &expected)]);
    }
}

#[test]
fn masks_keep_reads_in_bounds() {
    let program = "p(a, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← concat_where(Kᵥ < 1, 7.0, (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a)))((⇑(λ(a) → ·a × 2.0))(a))); }";
    let setup = || Setup::new().column("a", &[1.0, 2.0, 3.0]).column("out", &[0.0; 3]);
    expect(program, setup, &[("out", &[7.0, 2.0, 4.0])]);
}

#[test]
fn masks_in_two_dimensions() {
    let program = "p(a, out) { out @ c⟨ Iₕ: [0, 2[, Kᵥ: [0, 2[ ⟩ ← concat_where(Iₕ < 1 ∧ Kᵥ >= 1, a, 0.0); }";
    let dims = [("Iₕ", 0, 2), ("Kᵥ", 0, 2)];
    let setup = || {
        Setup::new().field("a", DType::F64, &dims, &[1.0, 2.0, 3.0, 4.0]).field(
            "out",
            DType::F64,
            &dims,
            &[9.0; 4],
        )
    };
    expect(program, setup, &[("out", &[0.0, 2.0, 0.0, 0.0])]);
}

#[test]
fn broadcasts() {
    let program = "p(a, out) { out @ c⟨ Iₕ: [0, 2[, Kᵥ: [0, 2[ ⟩ ← broadcast(a, {Iₕ, Kᵥ}); }";
    let dims = [("Iₕ", 0, 2), ("Kᵥ", 0, 2)];
    let setup = || Setup::new().column("a", &[1.0, 2.0]).field("out", DType::F64, &dims, &[9.0; 4]);
    expect(program, setup, &[("out", &[1.0, 2.0, 1.0, 2.0])]);
    let scalar = "p(out) { out @ c⟨ Kᵥ: [0, 2[ ⟩ ← broadcast(0.5, {Kᵥ}); }";
    expect(scalar, || Setup::new().column("out", &[0.0; 2]), &[("out", &[0.5, 0.5])]);
}

#[test]
fn index_is_the_coordinate() {
    let program = "p(out) { out @ c⟨ Kᵥ: [2, 4[ ⟩ ← index(Kᵥ); }";
    let setup = || Setup::new().field("out", DType::I32, &[("Kᵥ", 2, 2)], &[0.0; 2]);
    expect(program, setup, &[("out", &[2.0, 3.0])]);
}

#[test]
fn empty_and_negative_domains_write_nothing() {
    for stop in ["0", "-3", "n"] {
        let program = format!(
            "p(a, n, out) {{ out @ c⟨ Kᵥ: [0, {stop}[ ⟩ ← (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(a)))((⇑(λ(a) → ·a + 1.0))(a)); }}"
        );
        let setup =
            || Setup::new().column("a", &[1.0]).scalar("n", Scalar::I32(-1)).column("out", &[9.0, 9.0]);
        expect(&program, setup, &[("out", &[9.0, 9.0])]);
    }
}

#[test]
fn scans() {
    let a = [1.0, 2.0, 3.0];
    for (value, expected) in [
        ("(⇑scan(λ(s, a) → s + ·a, True, 0.5))(a)", [1.5, 3.5, 6.5]),
        ("(⇑scan(λ(s, a) → s × 2.0 + ·a, False, 0.0))(a)", [17.0, 8.0, 3.0]),
        ("(⇑scan(λ(s, a) → {s[1], s[0] + ·a}, True, {0.0, 1.0}))(a)[1]", [1.0, 3.0, 4.0]),
        ("(⇑scan(λ(s) → s + 1.0, True, 0.0))()", [1.0, 2.0, 3.0]),
        // A scan of a scan.
        ("(⇑scan(λ(s, b) → s + ·b, True, 0.0))((⇑scan(λ(s, a) → s + ·a, True, 0.0))(a))", [1.0, 4.0, 10.0]),
        // Reading it shifted makes the column longer on that side.
        ("(⇑(λ(s) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(s)))((⇑scan(λ(s, k) → s + 1.0, True, 0.0))(index(Kᵥ)))", [1.0, 2.0, 3.0]),
        // Inside a mask it starts where the mask does.
        ("concat_where(Kᵥ < 1, 0.0, (⇑scan(λ(s, a) → s + ·a, True, 0.0))(a))", [0.0, 2.0, 5.0]),
        ("as_fieldop(scan(λ(s, a) → s + ·a, True, 0.0), c⟨ Kᵥ: [0, 3[ ⟩)(a)", [1.0, 3.0, 6.0]),
        ("(⇑(λ(a) → scan(λ(s, x, y) → s + ·x × ·y, True, 0.0)(a, a)))(a)", [1.0, 5.0, 14.0]),
        ("(⇑(λ(a) → scan(λ(s, x) → s × 2.0 + ·x, False, 0.0)(a)))(a)", [17.0, 8.0, 3.0]),
    ] {
        println!("{value}");
        let program = format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 3[ ⟩ ← {value}; }}");
        let setup = || Setup::new().column("a", &a).column("out", &[0.0; 3]);
        expect(&program, setup, &[("out", &expected)]);
    }
}

#[test]
fn scans_run_in_every_column() {
    let program =
        "p(a, out) { out @ c⟨ Iₕ: [0, 2[, Kᵥ: [0, 2[ ⟩ ← (⇑scan(λ(s, a) → s + ·a, True, 0.0))(a); }";
    let dims = [("Iₕ", 0, 2), ("Kᵥ", 0, 2)];
    let setup = || {
        Setup::new().field("a", DType::F64, &dims, &[1.0, 2.0, 3.0, 4.0]).field(
            "out",
            DType::F64,
            &dims,
            &[0.0; 4],
        )
    };
    expect(program, setup, &[("out", &[1.0, 3.0, 3.0, 7.0])]);
}

#[test]
fn statements() {
    let program = "p(a, b, flag) { \
                   if (flag) { b @ c⟨ Kᵥ: [0, 2[ ⟩ ← a; } else { b @ c⟨ Kᵥ: [0, 1[ ⟩ ← a; } \
                   a @ c⟨ Kᵥ: [0, 2[ ⟩ ← (⇑(λ(a, b) → ·a + ·b))(a, b); }";
    for (flag, b, a) in [(true, [1.0, 2.0], [2.0, 4.0]), (false, [1.0, 9.0], [2.0, 11.0])] {
        let setup = || {
            Setup::new().column("a", &[1.0, 2.0]).column("b", &[9.0, 9.0]).scalar("flag", Scalar::Bool(flag))
        };
        expect(program, setup, &[("a", &a), ("b", &b)]);
    }
}

#[test]
fn a_statement_reads_the_state_before_it() {
    let program = "p(a, b) { a @ c⟨ Kᵥ: [1, 3[ ⟩ ← (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a)))(a); \
                   {a, b} @ {c⟨ Kᵥ: [0, 3[ ⟩, c⟨ Kᵥ: [0, 3[ ⟩} ← {b, a}; }";
    let setup = || Setup::new().column("a", &[1.0, 2.0, 3.0]).column("b", &[7.0, 8.0, 9.0]);
    expect(program, setup, &[("a", &[7.0, 8.0, 9.0]), ("b", &[1.0, 1.0, 2.0])]);
}

#[test]
fn functions_are_values() {
    let program = "p(a, out) { twice = λ(f, x) → f(f(x)); inc = λ(x) → (⇑(λ(x) → ·x + 1.0))(x); \
                   out @ c⟨ Kᵥ: [0, 2[ ⟩ ← twice(inc, a); }";
    let setup = || Setup::new().column("a", &[1.0, 2.0]).column("out", &[0.0; 2]);
    expect(program, setup, &[("out", &[3.0, 4.0])]);
}

#[test]
fn scalars_and_domains_are_values() {
    let program = "p(a, n, s, out) { f = λ(d, x, s) → as_fieldop(λ(x, s) → ·x × ·s, d)(x, s); \
                   out @ c⟨ Kᵥ: [0, n[ ⟩ ← f(c⟨ Kᵥ: [0, n[ ⟩, a, s + 1.0); }";
    let setup = || {
        Setup::new()
            .column("a", &[1.0, 2.0])
            .scalar("n", Scalar::I32(2))
            .scalar("s", Scalar::F64(1.5))
            .column("out", &[0.0; 2])
    };
    expect(program, setup, &[("out", &[2.5, 5.0])]);
}

#[test]
fn shadowed_names() {
    let program = "p(a, out) { f = λ(exp, a) → (λ(a) → (⇑(λ(exp) → ·exp + 1.0))(a))(exp); \
                   out @ c⟨ Kᵥ: [0, 2[ ⟩ ← f(a, out); }";
    let setup = || Setup::new().column("a", &[1.0, 2.0]).column("out", &[0.0; 2]);
    expect(program, setup, &[("out", &[2.0, 3.0])]);
}

#[test]
fn shared_lets_are_not_evaluated_again_and_again() {
    // 2^60 evaluations if every use of a let were one.
    let mut value = "a".to_owned();
    for _ in 0..60 {
        value = format!("(λ(x) → (⇑(λ(x, y) → 0.5 × ·x + 0.5 × ·y))(x, x))({value})");
    }
    let program = format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 2[ ⟩ ← {value}; }}");
    let setup = || Setup::new().column("a", &[1.0, 2.0]).column("out", &[0.0; 2]);
    expect(&program, setup, &[("out", &[1.0, 2.0])]);
}

#[test]
fn bad_programs_and_arguments_are_explained() {
    let setup = || Setup::new().column("a", &[1.0, 2.0]).column("out", &[0.0; 2]);
    for (value, code, part) in [
        ("b", "P0610", "`b` is not defined"),
        ("(⇑(λ(a) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(a)))(a)", "P0613", "does not exist"),
        ("(⇑(λ(a) → ·⟪Xₕ→Xₕ, 1ₒ⟫(a)))(a)", "P0610", "moved along X"),
        ("(⇑(λ(a) → ·⟪V2Eₒ, 1ₒ⟫(a)))(a)", "P0610", "no connectivity `V2E`"),
        ("(⇑(λ(a, b) → ·a))(a)", "P0610", "2 parameters"),
        ("(⇑(λ(a) → {·a, ·a}))(a)", "P0610", "a tuple is written"),
        ("(⇑(λ(a) → ·a < 1.0))(a)", "P0610", "type bool"),
        ("1.0(a)", "P0610", "a number is called"),
        ("a[0]", "P0610", "part 0"),
    ] {
        let error = oracle_error(&format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 2[ ⟩ ← {value}; }}"), setup());
        assert_eq!(error.code, code, "{value}: {error}");
        assert!(error.to_string().contains(part), "{value}: {error}");
    }
    let error = oracle_error("p(a, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← 0.0; }", setup());
    assert_eq!((error.code, error.notes.len()), ("P0612", 2));
    let error = oracle_error("p(a, b) { a @ c⟨ Kᵥ: [0, 1[ ⟩ ← 0.0; }", setup());
    assert_eq!(error.code, "P0611");
}

#[test]
fn nothing_is_written_by_a_statement_that_fails() {
    let source = "p(a, out) { out @ c⟨ Kᵥ: [0, 2[ ⟩ ← (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(a)))(a); }";
    let mut setup = Setup::new().column("a", &[1.0, 2.0]).column("out", &[9.0; 2]);
    assert!(gtir_oracle::run(&text::read(source).unwrap(), &mut setup.args).is_err());
    assert_eq!(values(&setup.args, "out"), [9.0; 2]);
}

#[test]
fn aliases_share_memory() {
    let source = "p(a, b) { a @ c⟨ Kᵥ: [0, 2[ ⟩ ← (⇑(λ(b) → ·b + 1.0))(b); }";
    let mut setup = Setup::new().column("a", &[1.0, 2.0]).column("b", &[0.0; 2]);
    let shared: IndexMap<String, Binding> =
        [("b".to_owned(), setup.args.memory.bindings["a"].clone())].into();
    setup.args.memory.bindings.extend(shared);
    gtir_oracle::run(&text::read(source).unwrap(), &mut setup.args).unwrap();
    assert_eq!(values(&setup.args, "b"), [2.0, 3.0]);
}

#[test]
fn nesting_that_is_too_deep_is_refused() {
    let depth = 500_000;
    let value = format!("{}a{}", "neg(".repeat(depth), ")".repeat(depth));
    let setup = Setup::new().column("a", &[1.0]).column("out", &[0.0]);
    let error = oracle_error(&format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 1[ ⟩ ← {value}; }}"), setup);
    assert_eq!(error.code, "P0614");
}

#[test]
fn long_chains_are_no_problem() {
    let length = 20_000;
    let mut value = String::new();
    for _ in 0..length {
        value += "(λ(x) → ";
    }
    value += "x";
    for _ in 0..length {
        value += ")((⇑(λ(x) → ·x + 1.0))(x))";
    }
    let source = format!("p(x, out) {{ out @ c⟨ Kᵥ: [0, 1[ ⟩ ← {value}; }}");
    let setup = Setup::new().column("x", &[1.0]).column("out", &[0.0]);
    let args = run_oracle(&source, setup).unwrap();
    assert_eq!(values(&args, "out"), [1.0 + length as f64]);
}
