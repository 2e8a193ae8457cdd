//! Signs of zeros that a driver's optimizer could make of constants.

use pelton::back::gpu::Wishes;
use pelton::exec::Settings;
use pelton::exec::engine::Engine;
use pelton::memory::Arguments;
use pelton::scalar::DType;

use crate::device;

use super::{array, bytes, prepared, run};

const COUNT: usize = 16;

/// Each body leaves a zero whose sign follows from others.
const BODIES: [&str; 8] = [
    "(one[i] - one[i]) + (-0.0)",
    "(2.0 - 1.0 - 1.0) * x[i]",
    "x[i] * 0.0 + (-0.0)",
    "(-0.0) - (one[i] - one[i])",
    "float64(n[i] - n[i]) * x[i]",
    "float64(x[i] > 1000.0) * x[i]",
    "min(one[i] - one[i], -0.0)",
    "0.0 if x[i] == x[i] + 1.0 else (-0.0) + (-0.0)",
];

#[test]
fn zeros_made_of_constants_keep_their_signs() {
    if !device() {
        return;
    }
    for (ty, dtype) in [("f64", DType::F64), ("f32", DType::F32)] {
        let mut text = format!(
            "program zeros(x: {ty}[{COUNT}], n: i64[{COUNT}], one: {ty}[{COUNT}], out: {ty}[{}, {COUNT}]) {{\n",
            BODIES.len()
        );
        for (row, body) in BODIES.iter().enumerate() {
            let body = body.replace("float64", if ty == "f64" { "float64" } else { "float32" });
            // What was just stored is a constant for whoever forwards it.
            text += &format!("map i in 0:{COUNT} {{ one[i] = 1.0\n n[i] = 7\n out[{row}, i] = {body} }}\n");
        }
        text += "}";
        let arguments = || {
            let mut args = Arguments::new();
            let numbers = (0..COUNT).map(|at| at as f64 - 7.5);
            let x = match dtype {
                DType::F32 => numbers.flat_map(|x| (x as f32).to_le_bytes()).collect(),
                _ => numbers.flat_map(f64::to_le_bytes).collect::<Vec<u8>>(),
            };
            let size = dtype.bytes();
            array(&mut args, "x", dtype, &[COUNT], x);
            array(&mut args, "n", DType::I64, &[COUNT], vec![0; 8 * COUNT]);
            array(&mut args, "one", dtype, &[COUNT], vec![0; size * COUNT]);
            array(&mut args, "out", dtype, &[BODIES.len(), COUNT], vec![0; size * BODIES.len() * COUNT]);
            args
        };
        let mut right = arguments();
        run(&prepared(&text, Engine::Interp, Settings::default()), &mut right);
        for contracted in [false, true] {
            let gpu = Wishes { contracted, ..Wishes::default() };
            let mut found = arguments();
            let prepared = prepared(&text, Engine::Gpu, Settings { gpu, ..Settings::default() });
            run(&prepared, &mut found);
            assert!(prepared.launches().unwrap_or(0) > 0);
            let (right, found) = (bytes(&right, "out"), bytes(&found, "out"));
            let rows = right.chunks(dtype.bytes() * COUNT).zip(found.chunks(dtype.bytes() * COUNT));
            for (body, (right, found)) in BODIES.iter().zip(rows) {
                assert_eq!(right, found, "{body} of {ty}, contracted: {contracted}");
            }
        }
    }
}
