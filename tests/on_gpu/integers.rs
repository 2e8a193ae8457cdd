//! Integers of two widths in one expression, where drivers like to fold what they widen.

use pelton::exec::Settings;
use pelton::exec::engine::Engine;
use pelton::memory::Arguments;
use pelton::scalar::DType;

use crate::device;

use super::{array, bytes, prepared, run};

const COUNT: usize = 4096;
const TYPES: [(&str, DType); 4] =
    [("i8", DType::I8), ("i16", DType::I16), ("i32", DType::I32), ("i64", DType::I64)];
const BODIES: [&str; 10] = [
    "1 if (a[i] < 0) != (b[i] < 0) else 0",
    "1 if (a[i] < 0) == (b[i] < 0) else 0",
    "1 if (a[i] >= 0) != (b[i] >= 0) else 0",
    "1 if (a[i] < 0) and (b[i] < 0) else 0",
    "1 if (a[i] < 0) or (b[i] < 0) else 0",
    "1 if (a[i] + b[i] < 0) != (b[i] < 0) else 0",
    "a[i] // b[i]",
    "a[i] % b[i]",
    "min(a[i], b[i]) - max(a[i], b[i])",
    "abs(a[i]) * (b[i] if a[i] > b[i] else 1)",
];

/// What becomes of an `int64` that was computed in 32 bits.
const WIDENED: [&str; 9] = [
    "abs(t)",
    "abs(t) ^ (-2)",
    "min(t, 5) - max(t, 0)",
    "t // 3 + t % 7",
    "1 if t < 0 else 0",
    "1 if t >= a[i] else 0",
    "t >> 1",
    "t * 5000000000",
    "(t * 5000000000) // (t * 2 + 1)",
];

/// What becomes of a narrow integer beside an `int64` that the driver knows, because it was stored just before.
const KNOWN: [&str; 9] = [
    "1 if a[i] < known[i] else 0",
    "1 if a[i] <= known[i] else 0",
    "1 if known[i] < a[i] else 0",
    "1 if known[i] <= a[i] else 0",
    "min(a[i], known[i])",
    "max(known[i], a[i])",
    "1 if a[i] == known[i] else 0",
    "1 if 2 < known[i] else 0",
    "1 if known[i] < 2 else 0",
];

/// A program whose rows of `out` are the bodies, each computed behind `before`.
fn text(arguments: &str, transients: &str, before: &str, bodies: &[&str]) -> String {
    let mut text =
        format!("program rows({arguments}, out: i64[{}, {COUNT}]) {{\n{transients}\n", bodies.len());
    for (row, body) in bodies.iter().enumerate() {
        text += &format!("map i in 0:{COUNT} {{ {before}\n out[{row}, i] = {body} }}\n");
    }
    text + "}"
}

/// The arrays, and room for so many rows.
fn arguments(arrays: &[(&str, DType, Vec<u8>)], rows: usize) -> Arguments<'static> {
    let mut args = Arguments::new();
    for (name, ty, numbers) in arrays {
        array(&mut args, name, *ty, &[COUNT], numbers.clone());
    }
    array(&mut args, "out", DType::I64, &[rows, COUNT], vec![0; 8 * rows * COUNT]);
    args
}

/// Numbers of every magnitude and sign, none of them zero.
fn numbers(ty: DType, seed: u64) -> Vec<u8> {
    let number = |i: usize| {
        let mixed = (i as u64 + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let number = (mixed as i64) >> (mixed.rotate_left(17) % 64);
        let cut = number << (64 - 8 * ty.bytes()) >> (64 - 8 * ty.bytes());
        if cut == 0 { 1 } else { cut }
    };
    (0..COUNT).flat_map(|i| number(i).to_le_bytes()[..ty.bytes()].to_vec()).collect()
}

/// Runs on both engines; the first element of `out` that differs: expression, column, right, found.
fn difference(
    text: &str,
    bodies: &[&'static str],
    arrays: &[(&str, DType, Vec<u8>)],
) -> Option<(&'static str, usize, Vec<u8>, Vec<u8>)> {
    let (mut right, mut found) = (arguments(arrays, bodies.len()), arguments(arrays, bodies.len()));
    run(&prepared(text, Engine::Interp, Settings::default()), &mut right);
    let gpu = prepared(text, Engine::Gpu, Settings::default());
    run(&gpu, &mut found);
    assert_eq!((gpu.launches(), gpu.declined()), (Some(bodies.len() as u64), Some(0)));
    let (right, found) = (bytes(&right, "out"), bytes(&found, "out"));
    let at = (0..bodies.len() * COUNT).find(|&at| right[8 * at..][..8] != found[8 * at..][..8])?;
    Some((bodies[at / COUNT], at % COUNT, right[8 * at..][..8].to_vec(), found[8 * at..][..8].to_vec()))
}

#[test]
fn integers_that_were_widened_have_the_interpreters_bits() {
    if !device() {
        return;
    }
    let text = text(&format!("a: i32[{COUNT}]"), "transient t: i64", "t = a[i] - 3", &WIDENED);
    let shown = difference(&text, &WIDENED, &[("a", DType::I32, numbers(DType::I32, 5))]);
    assert_eq!(shown, None, "body, column, right, found");
}

#[test]
fn integers_beside_known_numbers_have_the_interpreters_bits() {
    if !device() {
        return;
    }
    for (name, ty) in TYPES.into_iter().chain([("u8", DType::U8), ("u16", DType::U16), ("u32", DType::U32)]) {
        for number in [-1, 0, 1, 3, 100] {
            let declared = format!("a: {name}[{COUNT}], known: i64[{COUNT}]");
            let text = text(&declared, "", &format!("known[i] = {number}"), &KNOWN);
            let known = ("known", DType::I64, vec![0; 8 * COUNT]);
            let shown = difference(&text, &KNOWN, &[("a", ty, numbers(ty, 9)), known]);
            assert_eq!(shown, None, "{name} {number}: body, column, right, found");
        }
    }
}

#[test]
fn integers_of_two_widths_have_the_interpreters_bits() {
    if !device() {
        return;
    }
    for (a, a_ty) in TYPES {
        for (b, b_ty) in TYPES {
            let text = text(&format!("a: {a}[{COUNT}], b: {b}[{COUNT}]"), "", "", &BODIES);
            let arrays = [("a", a_ty, numbers(a_ty, 1)), ("b", b_ty, numbers(b_ty, 77))];
            let shown = difference(&text, &BODIES, &arrays);
            assert_eq!(shown, None, "{a} {b}: body, column, right, found");
        }
    }
}
