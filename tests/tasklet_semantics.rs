//! What an expression in a Python tasklet gives, against values measured with DaCe 2.0.0b1's compiled code.
//!
//! Each expression is the body of `o = EXPRESSION`, over two inputs; the output converts to the type given. Where
//! Pelton differs on purpose, [`DEVIATIONS`] says what it gives instead, and why.

use pelton::entity::Names;
use pelton::scalar::parse::build::{self, PortSpec};
use pelton::scalar::parse::python;
use pelton::scalar::trial::{Symbols, Trial};
use pelton::scalar::{DType, Port, PortKind, Scalar, StructTable, Trap, arith};

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// One group: type of the inputs and of the output, values of `a` and `b`, expressions with their results.
struct Group {
    input: DType,
    output: DType,
    a: &'static [f64],
    b: &'static [f64],
    rows: &'static [(&'static str, &'static [f64])],
}

/// Expression, index of the input pair, what Pelton gives.
const DEVIATIONS: &[(DType, &str, usize, Result<f64, Trap>)] = &[
    // One divided by zero: the compiler folds `1 / a` to a comparison; here it is the trap it is in the text.
    (DType::I32, "a ** -1", 4, Err(Trap::DivisionByZero)),
    // NaN converted to an integer is undefined in C (the compiler dropped the conversion); here it is zero.
    (DType::I32, "a ** 0.5", 1, Ok(0.0)),
    (DType::I32, "a ** 0.5", 3, Ok(0.0)),
    (DType::I32, "math.sqrt(a)", 1, Ok(0.0)),
    (DType::I32, "math.sqrt(a)", 3, Ok(0.0)),
    (DType::F64, "int(a)", 5, Ok(0.0)),
    (DType::F64, "dace.int32(a)", 5, Ok(0.0)),
];

#[rustfmt::skip]
const I32: Group = Group {
    input: DType::I32,
    output: DType::F64,
    a: &[7.0, -7.0, 7.0, -7.0, 0.0, 2147483647.0],
    b: &[2.0, 2.0, -2.0, -2.0, 3.0, 2.0],
    rows: &[
        ("a / b", &[3.0, -3.0, -3.0, 3.0, 0.0, 1073741823.0]),
        ("a // b", &[3.0, -4.0, -4.0, 3.0, 0.0, 1073741823.0]),
        ("a % b", &[1.0, -1.0, 1.0, -1.0, 0.0, 1.0]),
        ("PyMod(a, b)", &[1.0, 1.0, -1.0, -1.0, 0.0, 1.0]),
        ("CMod(a, b)", &[1.0, -1.0, 1.0, -1.0, 0.0, 1.0]),
        ("int_floor(a, b)", &[3.0, -3.0, -3.0, 3.0, 0.0, 1073741823.0]),
        ("int_ceil(a, b)", &[4.0, -3.0, -2.0, 5.0, 0.0, -1073741824.0]),
        ("a ** 2", &[49.0, 49.0, 49.0, 49.0, 0.0, 1.0]),
        ("a ** -1", &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        ("a ** b", &[49.0, 49.0, 0.02040816326530612, 0.02040816326530612, 0.0, 4.6116860141324206e+18]),
        ("a ** 0.5", &[2.0, NAN, 2.0, NAN, 0.0, 46340.0]),
        ("a * b", &[14.0, -14.0, -14.0, 14.0, 0.0, -2.0]),
        ("a + b", &[9.0, -5.0, 5.0, -9.0, 3.0, -2147483647.0]),
        ("a << 1", &[14.0, -14.0, 14.0, -14.0, 0.0, -2.0]),
        ("a >> 1", &[3.0, -4.0, 3.0, -4.0, 0.0, 1073741823.0]),
        ("~a", &[-8.0, 6.0, -8.0, 6.0, -1.0, -2147483648.0]),
        ("not a", &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
        ("a and b", &[1.0, 1.0, 1.0, 1.0, 0.0, 1.0]),
        ("a or b", &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("a < b", &[0.0, 1.0, 0.0, 1.0, 1.0, 0.0]),
        ("a < b < 3", &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("min(a, b)", &[2.0, -7.0, -2.0, -7.0, 0.0, 2.0]),
        ("max(a, b)", &[7.0, 2.0, 7.0, -2.0, 3.0, 2147483647.0]),
        ("abs(a)", &[7.0, 7.0, 7.0, 7.0, 0.0, 2147483647.0]),
        ("-a", &[-7.0, 7.0, -7.0, 7.0, 0.0, -2147483647.0]),
        ("a if a > b else b", &[7.0, 2.0, 7.0, -2.0, 3.0, 2147483647.0]),
        ("math.sqrt(a)", &[2.0, NAN, 2.0, NAN, 0.0, 46340.0]),
        ("round(a)", &[7.0, -7.0, 7.0, -7.0, 0.0, 2147483647.0]),
        ("dace.float64(a) / b", &[3.5, -3.5, -3.5, 3.5, 0.0, 1073741823.5]),
        ("a & b", &[2.0, 0.0, 6.0, -8.0, 0.0, 2.0]),
        ("a ^ b", &[5.0, -5.0, -7.0, 7.0, 3.0, 2147483645.0]),
        ("sgn(a)", &[1.0, -1.0, 1.0, -1.0, 0.0, 1.0]),
        ("math.pow(a, b)", &[49.0, 49.0, 0.02040816326530612, 0.02040816326530612, 0.0, 4.6116860141324206e+18]),
        ("dace.int64(a) * b", &[14.0, -14.0, -14.0, 14.0, 0.0, 4294967294.0]),
    ],
};

#[rustfmt::skip]
const F64: Group = Group {
    input: DType::F64,
    output: DType::F64,
    a: &[7.5, -7.5, 2.5, -2.5, 0.0, NAN],
    b: &[2.0, 2.0, -2.0, -2.0, 3.0, 1.0],
    rows: &[
        ("a / b", &[3.75, -3.75, -1.25, 1.25, 0.0, NAN]),
        ("a // b", &[3.0, -4.0, -2.0, 1.0, 0.0, NAN]),
        ("PyMod(a, b)", &[1.5, 0.5, -1.5, -0.5, 0.0, NAN]),
        ("a ** 2", &[56.25, 56.25, 6.25, 6.25, 0.0, NAN]),
        ("a ** -1", &[0.13333333333333333, -0.13333333333333333, 0.4, -0.4, INF, NAN]),
        ("a ** b", &[56.25, 56.25, 0.16, 0.16, 0.0, NAN]),
        ("a ** 0.5", &[2.7386127875258306, NAN, 1.5811388300841898, NAN, 0.0, NAN]),
        ("a ** -0.5", &[0.3651483716701107, NAN, 0.6324555320336759, NAN, INF, NAN]),
        ("min(a, b)", &[2.0, -7.5, -2.0, -2.5, 0.0, 1.0]),
        ("max(a, b)", &[7.5, 2.0, 2.5, -2.0, 3.0, 1.0]),
        ("round(a)", &[8.0, -8.0, 3.0, -3.0, 0.0, NAN]),
        ("math.ceil(a)", &[8.0, -7.0, 3.0, -2.0, 0.0, NAN]),
        ("int(a)", &[7.0, -7.0, 2.0, -2.0, 0.0, NAN]),
        ("dace.int32(a)", &[7.0, -7.0, 2.0, -2.0, 0.0, NAN]),
        ("abs(a)", &[7.5, 7.5, 2.5, 2.5, 0.0, NAN]),
        ("not a", &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
        ("a and b", &[1.0, 1.0, 1.0, 1.0, 0.0, 1.0]),
        ("a == b", &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        ("math.exp(a)", &[1808.0424144560632, 0.0005530843701478336, 12.182493960703473, 0.0820849986238988, 1.0, NAN]),
        ("log(abs(a))", &[2.0149030205422647, 2.0149030205422647, 0.9162907318741551, 0.9162907318741551, -INF, NAN]),
        ("a if a > b else b", &[7.5, 2.0, 2.5, -2.0, 3.0, 1.0]),
        ("sgn(a)", &[1.0, -1.0, 1.0, -1.0, 0.0, 0.0]),
        ("tanh(a)", &[0.9999993881955461, -0.9999993881955461, 0.9866142981514303, -0.9866142981514303, 0.0, NAN]),
        ("dace.float32(a)", &[7.5, -7.5, 2.5, -2.5, 0.0, NAN]),
        ("a * 1e-20", &[7.5e-20, -7.5e-20, 2.5e-20, -2.5e-20, 0.0, NAN]),
        ("a + 1/2", &[7.5, -7.5, 2.5, -2.5, 0.0, NAN]),
        ("a + 1//2", &[7.5, -7.5, 2.5, -2.5, 0.0, NAN]),
    ],
};

#[rustfmt::skip]
const U8: Group = Group {
    input: DType::U8,
    output: DType::I64,
    a: &[200.0, 3.0, 0.0],
    b: &[100.0, 5.0, 1.0],
    rows: &[
        ("a + b", &[300.0, 8.0, 1.0]),
        ("a * b", &[20000.0, 15.0, 0.0]),
        ("a - b", &[100.0, -2.0, -1.0]),
        ("-a", &[-200.0, -3.0, 0.0]),
        ("~a", &[-201.0, -4.0, -1.0]),
        ("a / b", &[2.0, 0.0, 0.0]),
        ("a << 4", &[3200.0, 48.0, 0.0]),
    ],
};

fn evaluate(group: &Group, expression: &str, a: f64, b: f64) -> Result<f64, Trap> {
    let mut names = Names::new();
    let structs = StructTable::new();
    let mut port = |name: &str, dtype: DType, reads: bool| PortSpec {
        port: Port {
            name: names.intern(name),
            ty: dtype.into(),
            kind: PortKind::Value,
            reads,
            writes: !reads,
        },
        unit_dimensions: Vec::new(),
        one_element: true,
        infer_type: false,
    };
    let ports =
        vec![port("a", group.input, true), port("b", group.input, true), port("o", group.output, false)];
    let statements = python::statements(&format!("o = {expression}")).unwrap();
    let code = build::tasklet(&mut names, &structs, ports, &Symbols(DType::I64), &statements).unwrap();
    code.verify(&structs).unwrap();
    let inputs = [a, b].map(|value| arith::cast(group.input, Scalar::F64(value)));
    let written = Trial::new(&inputs, |_| Scalar::I64(0)).run(&code)?;
    let output = written[0].2.as_scalar().unwrap();
    assert_eq!(output.dtype(), group.output, "{expression}");
    Ok(output.as_f64())
}

/// Equal up to the rounding of a math function.
fn close(found: f64, expected: f64) -> bool {
    found.is_nan() && expected.is_nan()
        || found == expected
        || (found - expected).abs() <= 2e-16 * expected.abs()
}

#[test]
fn expressions_give_what_was_measured() {
    let mut wrong = Vec::new();
    let mut used = 0;
    for group in [&I32, &F64, &U8] {
        for (expression, expected) in group.rows {
            for (at, &expected) in expected.iter().enumerate() {
                let found = evaluate(group, expression, group.a[at], group.b[at]);
                let deviation = DEVIATIONS.iter().find(|(dtype, text, index, _)| {
                    *dtype == group.input && text == expression && *index == at
                });
                let right = match (deviation, found) {
                    (Some((.., Ok(instead))), Ok(found)) => close(found, *instead),
                    (Some((.., Err(instead))), Err(found)) => found == *instead,
                    (None, Ok(found)) => close(found, expected),
                    _ => false,
                };
                used += usize::from(deviation.is_some());
                if !right {
                    let (a, b) = (group.a[at], group.b[at]);
                    wrong.push(format!(
                        "{} {expression}, a = {a}, b = {b}: {found:?}, measured {expected}",
                        group.input
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(used, DEVIATIONS.len(), "a deviation names no measured case");
}

#[test]
fn what_dace_computes_otherwise_has_a_plain_meaning_here() {
    // Bare `ceiling` of a float is a placeholder in DaCe's runtime that gives the largest number.
    assert_eq!(evaluate(&F64, "ceiling(a)", 7.5, 0.0), Ok(8.0));
    // Does not compile there.
    assert_eq!(evaluate(&F64, "math.floor(a)", -7.5, 0.0), Ok(-8.0));
}
