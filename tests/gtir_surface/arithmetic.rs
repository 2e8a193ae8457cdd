use pelton::scalar::DType;
use pelton::scalar::trial::TYPES;

use super::harness::*;

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
fn every_type_converts_to_every_other() {
    let dims = [("Kᵥ", 0, 6)];
    for from in TYPES {
        for to in TYPES {
            println!("{from} to {to}");
            let program = format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 6[ ⟩ ← (⇑(λ(a) → cast_(·a, {to})))(a); }}");
            let values = [0.0, 1.0, -1.0, 7.9, 200.5, -70000.25];
            let setup = || Setup::new().field("a", from, &dims, &values).field("out", to, &dims, &[0.0; 6]);
            agree(&program, setup, &["out"]);
        }
    }
    let odd = [f64::NAN, f64::INFINITY, -1e30, 4e9, -0.0, 2.5];
    for to in TYPES {
        let program = format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 6[ ⟩ ← (⇑(λ(a) → cast_(·a, {to})))(a); }}");
        let setup = || Setup::new().field("a", DType::F64, &dims, &odd).field("out", to, &dims, &[0.0; 6]);
        agree(&program, setup, &["out"]);
    }
}

#[test]
fn operations_on_every_type() {
    let dims = [("Kᵥ", 0, 6)];
    let (a, b) = ([7.0, -7.0, 7.0, -7.0, 100.0, 3.0], [2.0, 2.0, -2.0, -2.0, 3.0, 50.0]);
    for dtype in TYPES.into_iter().filter(|&dtype| dtype != DType::Bool) {
        for body in [
            "·a + ·b",
            "·a - ·b",
            "·a × ·b",
            "·a / ·b",
            "mod(·a, ·b)",
            "floordiv(·a, ·b)",
            "minimum(·a, ·b)",
            "maximum(·a, ·b)",
            "fmod(·a, ·b)",
            "neg(·a)",
            "abs(·a)",
            "power(·a, 3)",
            "if ·a < ·b then ·a else ·b",
            "if ·a >= ·b ∨ ·a == ·b then ·a else ·b",
        ] {
            if dtype.is_unsigned() && body == "neg(·a)" {
                continue;
            }
            println!("{body} of {dtype}");
            let b = if dtype.is_unsigned() { b.map(f64::abs) } else { b };
            let program = format!("p(a, b, out) {{ out @ c⟨ Kᵥ: [0, 6[ ⟩ ← (⇑(λ(a, b) → {body}))(a, b); }}");
            let setup = || {
                let fields = Setup::new().field("a", dtype, &dims, &a).field("b", dtype, &dims, &b);
                fields.field("out", dtype, &dims, &[0.0; 6])
            };
            agree(&program, setup, &["out"]);
        }
    }
}

#[test]
fn functions_give_the_same_bits_everywhere() {
    let values = [0.3, -0.7, 1.5, -2.25, 40.0, 1e-9, f64::NAN, f64::INFINITY, -0.0, 1e300];
    let n = values.len();
    for function in [
        "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh",
        "arctanh", "sqrt", "exp", "log", "gamma", "cbrt", "floor", "ceil", "trunc", "abs", "neg",
    ] {
        for dtype in [DType::F64, DType::F32] {
            println!("{function} of {dtype}");
            let dims = [("Kᵥ", 0, n)];
            let zeros = vec![0.0; n];
            let setup = || Setup::new().field("a", dtype, &dims, &values).field("out", dtype, &dims, &zeros);
            agree(&stencil(&format!("{function}(·a)"), n), setup, &["out"]);
        }
    }
    for body in ["power(·a, ·a)", "power(·a, 0.3)", "power(·a, -3)", "fmod(·a, 0.7)", "mod(·a, -0.7)"] {
        println!("{body}");
        let setup = || Setup::new().column("a", &values).column("out", &vec![0.0; n]);
        agree(&stencil(body, n), setup, &["out"]);
    }
}

#[test]
fn logic() {
    let dims = [("Kᵥ", 0, 4)];
    let setup = || {
        Setup::new()
            .field("a", DType::Bool, &dims, &[0.0, 0.0, 1.0, 1.0])
            .field("b", DType::Bool, &dims, &[0.0, 1.0, 0.0, 1.0])
            .field("out", DType::Bool, &dims, &[0.0; 4])
    };
    for (body, expected) in [
        ("·a ∧ ·b", [0.0, 0.0, 0.0, 1.0]),
        ("·a ∨ ·b", [0.0, 1.0, 1.0, 1.0]),
        ("xor_(·a, ·b)", [0.0, 1.0, 1.0, 0.0]),
        ("¬·a", [1.0, 1.0, 0.0, 0.0]),
        ("·a == ·b", [1.0, 0.0, 0.0, 1.0]),
        ("not_eq(·a, ·b)", [0.0, 1.0, 1.0, 0.0]),
    ] {
        let program = format!("p(a, b, out) {{ out @ c⟨ Kᵥ: [0, 4[ ⟩ ← (⇑(λ(a, b) → {body}))(a, b); }}");
        expect(&program, setup, &[("out", &expected)]);
    }
}
