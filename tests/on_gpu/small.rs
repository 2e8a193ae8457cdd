//! Floats of 16 bits: every one of them, and what lies between them.

use pelton::exec::Settings;
use pelton::exec::engine::Engine;
use pelton::memory::Arguments;
use pelton::scalar::DType;

use crate::device;

use super::{array, bytes, prepared, run};

/// All encodings.
const COUNT: usize = 1 << 16;

/// Arithmetic, functions, comparisons, and conversions from and to other types.
fn text(ty: &str) -> String {
    let bodies = [
        "h[i] + g[i]",
        "h[i] * g[i] - g[i]",
        "h[i] / g[i]",
        "min(h[i], g[i]) - max(-h[i], g[i])",
        "exp(h[i]) if h[i] < g[i] else sqrt(abs(g[i]))",
        "x[i]",
        "y[i]",
        "n[i]",
        "floor(h[i]) * 0.3",
    ];
    let mut text = format!(
        "program small(h: {ty}[{COUNT}], g: {ty}[{COUNT}], x: f32[{COUNT}], y: f64[{COUNT}], n: i64[{COUNT}], s: {ty}[1],
           out: {ty}[{}, {COUNT}], single: f32[{COUNT}], double: f64[{COUNT}], whole: i32[{COUNT}], truth: bool[{COUNT}]) {{\n",
        bodies.len()
    );
    for (row, body) in bodies.iter().enumerate() {
        text += &format!("map i in 0:{COUNT} {{ out[{row}, i] = {body} }}\n");
    }
    text + &format!(
        "map i in 0:{COUNT} {{
            single[i] = h[i] * s[0]
            double[i] = h[i]
            whole[i] = h[i]
            truth[i] = h[i] == g[i] or isnan(h[i])
         }}
       }}"
    )
}

fn arguments(ty: DType) -> Arguments<'static> {
    let mixed = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut args = Arguments::new();
    array(&mut args, "h", ty, &[COUNT], (0..COUNT).flat_map(|i| (i as u16).to_le_bytes()).collect());
    array(
        &mut args,
        "g",
        ty,
        &[COUNT],
        (0..COUNT).flat_map(|i| ((mixed(i) >> 48) as u16).to_le_bytes()).collect(),
    );
    // On numbers of 16 bits, halfway between two of them, and right beside that.
    let between = |i: usize| {
        let (single, half) = match ty {
            DType::F16 => (half::f16::from_bits(i as u16).to_f32(), 0x1000),
            _ => (half::bf16::from_bits(i as u16).to_f32(), 0x8000),
        };
        f32::from_bits(single.to_bits() ^ [0, half, half - 1, half + 1][(mixed(i) >> 62) as usize])
    };
    array(&mut args, "x", DType::F32, &[COUNT], (0..COUNT).flat_map(|i| between(i).to_le_bytes()).collect());
    let wide =
        |i: usize| f64::from_bits(mixed(i) & 0x800f_ffff_ffff_ffff | (0x3e0 + (mixed(i) >> 20) % 0x40) << 52);
    array(&mut args, "y", DType::F64, &[COUNT], (0..COUNT).flat_map(|i| wide(i).to_le_bytes()).collect());
    let long = |i: usize| (mixed(i) as i64) >> (mixed(i) % 64);
    array(&mut args, "n", DType::I64, &[COUNT], (0..COUNT).flat_map(|i| long(i).to_le_bytes()).collect());
    array(&mut args, "s", ty, &[1], half::f16::from_f32(1.5).to_le_bytes().to_vec());
    array(&mut args, "out", ty, &[9, COUNT], vec![0; 18 * COUNT]);
    for (name, ty) in
        [("single", DType::F32), ("double", DType::F64), ("whole", DType::I32), ("truth", DType::Bool)]
    {
        array(&mut args, name, ty, &[COUNT], vec![0; ty.bytes() * COUNT]);
    }
    args
}

/// The first place where bytes differ, but for NaN of any payload.
fn difference(ty: DType, right: &[u8], found: &[u8]) -> Option<usize> {
    let is_nan = |bytes: &[u8]| match (ty, bytes) {
        (DType::F16, &[a, b]) => half::f16::from_le_bytes([a, b]).is_nan(),
        (DType::BF16, &[a, b]) => half::bf16::from_le_bytes([a, b]).is_nan(),
        (DType::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]).is_nan(),
        (DType::F64, bytes) => f64::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        _ => false,
    };
    let mut pairs = right.chunks(ty.bytes()).zip(found.chunks(ty.bytes()));
    pairs.position(|(right, found)| right != found && !(is_nan(right) && is_nan(found)))
}

#[test]
fn floats_of_16_bits_have_the_interpreters_bits() {
    if !device() {
        return;
    }
    for (name, ty) in [("f16", DType::F16), ("bf16", DType::BF16)] {
        let text = text(name);
        let (mut right, mut found) = (arguments(ty), arguments(ty));
        run(&prepared(&text, Engine::Interp, Settings::default()), &mut right);
        let gpu = prepared(&text, Engine::Gpu, Settings::default());
        for map in gpu.divided().unwrap().maps() {
            assert_eq!(map.host, None, "{map:?}");
        }
        run(&gpu, &mut found);
        assert_eq!(gpu.declined(), Some(0));
        let results = [
            ("out", ty),
            ("single", DType::F32),
            ("double", DType::F64),
            ("whole", DType::I32),
            ("truth", DType::Bool),
        ];
        for (array, ty) in results {
            let (right, found) = (bytes(&right, array), bytes(&found, array));
            let at = difference(ty, &right, &found);
            let shown = at.map(|at| {
                let element = at * ty.bytes()..(at + 1) * ty.bytes();
                (at / COUNT, at % COUNT, right[element.clone()].to_vec(), found[element].to_vec())
            });
            assert_eq!(shown, None, "{name} {array}: row, column, right, found");
        }
    }
}
