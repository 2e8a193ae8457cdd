//! Building arguments, and running a program on every engine.

use std::sync::Arc;

use pelton::check::gtir_oracle;
use pelton::diag::{Diagnostic, Result};
use pelton::exec::Settings;
use pelton::exec::engine::{Engine, Options, Outcome, Prepared};
use pelton::exec::gtir::GtirProgram;
use pelton::front::gtir::{Connectivity, DimKind, GtirArg, GtirArgs, table_name, text};
use pelton::memory::{Binding, View};
use pelton::scalar::{DType, Scalar, Type, arith};

/// Arguments by name, built up.
#[derive(Default)]
pub struct Setup {
    pub args: GtirArgs<'static>,
}

/// `Kᵥ`, `Vₕ` or `V2E` (local).
pub fn dimension(marked: &str) -> (String, DimKind) {
    for (mark, kind) in [('ₕ', DimKind::Horizontal), ('ᵥ', DimKind::Vertical)] {
        if let Some(name) = marked.strip_suffix(mark) {
            return (name.to_owned(), kind);
        }
    }
    (marked.to_owned(), DimKind::Local)
}

impl Setup {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn array(&mut self, name: &str, dtype: DType, shape: &[usize], values: &[f64]) {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        let mut bytes = vec![0; dtype.bytes() * values.len()];
        for (value, bytes) in values.iter().zip(bytes.chunks_mut(dtype.bytes())) {
            assert!(arith::cast(dtype, Scalar::F64(*value)).write_le_bytes(bytes));
        }
        self.args.memory.insert_array(name, Type::Scalar(dtype), dtype.bytes(), shape, bytes);
    }

    pub fn leaf(&mut self, name: &str, dtype: DType, dims: &[(&str, i64, usize)], values: &[f64]) -> GtirArg {
        let shape: Vec<usize> = dims.iter().map(|(_, _, extent)| *extent).collect();
        self.array(name, dtype, &shape, values);
        GtirArg::Field {
            leaf: name.to_owned(),
            dims: dims.iter().map(|(dim, ..)| dimension(dim)).collect(),
            start: dims.iter().map(|(_, start, _)| *start).collect(),
        }
    }

    /// A field: dimensions with start and extent, values in row-major order.
    pub fn field(mut self, name: &str, dtype: DType, dims: &[(&str, i64, usize)], values: &[f64]) -> Self {
        let arg = self.leaf(name, dtype, dims, values);
        self.args.params.insert(name.to_owned(), arg);
        self
    }

    /// A one-dimensional `float64` field along `Kᵥ` from 0.
    pub fn column(self, name: &str, values: &[f64]) -> Self {
        self.field(name, DType::F64, &[("Kᵥ", 0, values.len())], values)
    }

    /// A tuple of columns.
    pub fn columns(mut self, name: &str, parts: &[&[f64]]) -> Self {
        let parts = parts.iter().enumerate();
        let parts = parts
            .map(|(n, values)| {
                self.leaf(&format!("{name}_{n}"), DType::F64, &[("Kᵥ", 0, values.len())], values)
            })
            .collect();
        self.args.params.insert(name.to_owned(), GtirArg::Tuple(parts));
        self
    }

    pub fn scalar(mut self, name: &str, value: Scalar) -> Self {
        self.args.memory.insert_scalar(name, value);
        self.args.params.insert(name.to_owned(), GtirArg::Scalar { leaf: name.to_owned() });
        self
    }

    /// A connectivity: name, source, target and rows; -1 where `skips`.
    pub fn table(
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
    pub fn ring(self) -> Self {
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
    pub fn broken_ring(self) -> Self {
        self.table("V2E", "V", "E", 2, true, &[-1., 0., 0., 1., 1., 2.])
    }
}

pub fn vertices(values: &[f64]) -> Setup {
    Setup::new().field("out", DType::F64, &[("Vₕ", 0, values.len())], values)
}

pub fn values(args: &GtirArgs<'_>, name: &str) -> Vec<f64> {
    let Some(Binding::Array { buffer, offset, ty: Type::Scalar(dtype), shape, strides }) =
        args.memory.get(name)
    else {
        panic!("there is no array {name}");
    };
    let bytes = args.memory.buffers[*buffer].bytes();
    View::new(bytes, *offset, *dtype, shape, strides).scalars().map(|value| value.unwrap().as_f64()).collect()
}

pub fn run_oracle(source: &str, mut setup: Setup) -> Result<GtirArgs<'static>> {
    setup.args.column_axis = Some("K".to_owned());
    gtir_oracle::run(&text::read(source)?, &mut setup.args)?;
    Ok(setup.args)
}

pub fn run_interp(source: &str, setup: Setup) -> Result<GtirArgs<'static>> {
    run_lowered(source, setup, Engine::Interp)
}

pub fn run_native(source: &str, setup: Setup) -> Result<GtirArgs<'static>> {
    run_lowered(source, setup, Engine::Native)
}

pub fn run_any_sizes(source: &str, setup: Setup) -> Result<GtirArgs<'static>> {
    run_with(source, setup, Engine::Native, Settings { any_sizes: true, ..Settings::default() })
}

pub fn run_lowered(source: &str, setup: Setup, engine: Engine) -> Result<GtirArgs<'static>> {
    run_with(source, setup, engine, Settings::default())
}

fn run_with(source: &str, mut setup: Setup, engine: Engine, settings: Settings) -> Result<GtirArgs<'static>> {
    setup.args.column_axis = Some("K".to_owned());
    let lowered = GtirProgram::new(&text::read(source)?, &setup.args)?;
    let prepared = Prepared::with(Arc::new(lowered.program.clone()), engine, false, settings)?;
    let mut bound = lowered.bind(&mut setup.args)?;
    let outcome = prepared.run(&mut bound, &Options::default());
    lowered.unbind(bound, &mut setup.args);
    match outcome? {
        Outcome::Done(_) => Ok(setup.args),
        Outcome::Trap(fault) => Err(fault.into()),
    }
}

pub type Run = fn(&str, Setup) -> Result<GtirArgs<'static>>;

/// The oracle of the lowering, the reference interpreter, machine code for the sizes of the call and for any.
pub const ENGINES: [(&str, Run); 4] = [
    ("oracle", run_oracle),
    ("interp", run_interp),
    ("native", run_native),
    ("native for any sizes", run_any_sizes),
];

/// Runs a program on every engine; all have to give the expected arrays, bit for bit the same.
pub fn expect(source: &str, setup: impl Fn() -> Setup, expected: &[(&str, &[f64])]) {
    for (engine, run) in ENGINES {
        let args = run(source, setup()).unwrap_or_else(|error| panic!("{engine}: {error}"));
        for (name, expected) in expected {
            assert_eq!(values(&args, name), *expected, "{name} on {engine}");
        }
    }
    let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    agree(source, setup, &names);
}

/// Runs a program on every engine; all have to give the same bits (any NaN is like another).
pub fn agree(source: &str, setup: impl Fn() -> Setup, names: &[&str]) {
    let bits = |values: Vec<f64>| -> Vec<u64> {
        values.into_iter().map(|value| if value.is_nan() { u64::MAX } else { value.to_bits() }).collect()
    };
    let mut first: Option<Vec<Vec<u64>>> = None;
    for (engine, run) in ENGINES {
        let args = run(source, setup()).unwrap_or_else(|error| panic!("{engine}: {error}"));
        let found: Vec<Vec<u64>> = names.iter().map(|name| bits(values(&args, name))).collect();
        let shown: Vec<Vec<f64>> = names.iter().map(|name| values(&args, name)).collect();
        let expected = first.get_or_insert_with(|| found.clone());
        assert_eq!(*expected, found, "{names:?} on {engine}: {shown:?}");
    }
}

pub fn oracle_error(source: &str, setup: Setup) -> Diagnostic {
    run_oracle(source, setup).map(|_| ()).unwrap_err()
}

/// A program that writes one stencil of `a` over levels `0..n` of `out`.
pub fn stencil(body: &str, stop: usize) -> String {
    format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, {stop}[ ⟩ ← (⇑(λ(a) → {body}))(a); }}")
}

pub fn expect_stencil(body: &str, input: &[f64], expected: &[f64]) {
    let n = expected.len();
    let setup = || Setup::new().column("a", input).column("out", &vec![0.0; n]);
    expect(&stencil(body, n), setup, &[("out", expected)]);
}

pub fn edges(values: &[f64]) -> Setup {
    vertices(&[0.0; 3]).field("e", DType::F64, &[("Eₕ", 0, values.len())], values)
}

pub const E: [f64; 3] = [1.0, 10.0, 100.0];

pub fn on_vertices(stencil: &str) -> String {
    format!("p(e, out) {{ out @ u⟨ Vₕ: [0, 3[ ⟩ ← (⇑({stencil}))(e); }}")
}
