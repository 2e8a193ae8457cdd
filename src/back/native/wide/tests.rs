//! Random loop nests: vector code against the evaluator, bit for bit, everything in the buffers included.
//!
//! `PELTON_PROPTEST_CASES` sets how many.

mod branches;
mod masked;

use proptest::prelude::*;

use super::super::call::tests::{once, same};
use super::super::call::{Code, Instance, Run, run};
use super::super::{emit, isa};
use super::{Settings, has_512_bits, is_available};
use crate::kernel::build::{Builder, LoopFacts};
use crate::kernel::vector::Decision;
use crate::kernel::{
    BufferKind, Kernel, Literal, Op, Order, Stmt, TrapInfo, TrapKind, ValueId, eval, verify,
};
use crate::scalar::{BinaryOp, DType, Func, UnaryOp};

/// Types that vector code has.
const TYPES: [DType; 5] = [DType::F64, DType::F32, DType::I64, DType::I32, DType::Bool];
/// Types that run one by one.
const OTHERS: [DType; 10] = {
    use DType::*;
    [I8, I16, U8, U16, U32, U64, F16, BF16, F8E4M3, F8E5M2]
};
const BINARY: [BinaryOp; 20] = {
    use BinaryOp::*;
    [
        Add, Sub, Mul, Div, Min, Max, Eq, Ne, Lt, Le, Ge, Gt, FloorDiv, Rem, Mod, BitAnd, BitOr, BitXor, Shl,
        Shr,
    ]
};
const FUNCTIONS: [Func; 37] = {
    use Func::*;
    [
        Abs, Sqrt, Floor, Ceil, Trunc, RoundEven, IsNan, IsInf, IsFinite, Rsqrt, Exp, Log, Tanh, Exp2, Expm1,
        Log1p, Sinh, Cosh, Asinh, Sin, Round, Sign, Cbrt, Log2, Log10, Cos, Tan, Asin, Acos, Atan, Acosh,
        Atanh, Erf, Erfc, Gamma, LogGamma, SignBit,
    ]
};
/// Functions of two numbers of one type.
const TWO: [Func; 8] = {
    use Func::*;
    [Pow, Atan2, Hypot, CopySign, NextAfter, Fmod, Fmin, Fmax]
};

/// Elements per buffer.
const ELEMENTS: i64 = 600;

/// A nest to be: two inputs, one output, one table of indices.
#[derive(Clone, Debug)]
struct Shape {
    types: [DType; 3],
    rows: i64,
    start: i64,
    count: i64,
    step: i64,
    /// Elements per step of the inner variable.
    strides: [i64; 3],
    offsets: [i64; 3],
    /// Distance between rows, in elements.
    pitch: i64,
    /// The output is the first input.
    in_place: bool,
    /// The output is the first input, so many elements further, and machine code is only told that arguments overlap.
    shifted: Option<i64>,
    /// The second input is gathered through the table.
    gathered: bool,
    /// Strides come as a parameter.
    symbolic: bool,
    /// The loop variable takes part.
    index: bool,
    checked: bool,
    steps: Vec<(u8, usize, usize, usize)>,
}

fn shape() -> impl Strategy<Value = Shape> {
    // Mostly types that vector code has, so that mostly there is some.
    let ty = prop_oneof![
        6 => prop::sample::select(TYPES.to_vec()),
        1 => prop::sample::select(OTHERS.to_vec()),
    ];
    let types = prop::array::uniform3(ty);
    let shifted = prop::option::weighted(0.2, -4_i64..5);
    let stride = prop::sample::select(vec![1_i64, 1, 1, 1, 2, 3, -1, 0]);
    let steps = prop::collection::vec((any::<u8>(), 0_usize..20, 0_usize..20, 0_usize..90), 1..12);
    let numbers = (1_i64..4, 0_i64..4, 0_i64..45, prop::sample::select(vec![1_i64, 1, 1, 1, 2, -1]));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let flags = (flags, shifted);
    (types, numbers, prop::array::uniform3(stride), prop::array::uniform3(-5_i64..6), 0_i64..60, flags, steps)
        .prop_map(|(mut types, (rows, start, count, step), mut strides, offsets, pitch, flags, steps)| {
            let ((in_place, gathered, symbolic, index, checked), shifted) = flags;
            let in_place = in_place || shifted.is_some();
            if shifted.is_some() {
                types[2] = types[0];
            }
            if strides[2] == 0 {
                strides[2] = 1;
            }
            // Parallel loops promise that accesses at different strides do not meet.
            let in_place = in_place && (shifted.is_some() || strides[0] == strides[2]);
            Shape {
                types,
                rows,
                start,
                count,
                step,
                strides,
                offsets,
                pitch,
                in_place,
                shifted,
                gathered,
                symbolic,
                index,
                checked,
                steps,
            }
        })
}

/// The nest; `apart`: with an output of its own, even if it is the first input.
fn kernel(shape: &Shape, apart: bool) -> Kernel {
    let mut b = Builder::new("random");
    let trap = b.trap(TrapInfo { kind: TrapKind::OutOfRange, message: String::new(), place: Vec::new() });
    let unit = b.parameter("unit", DType::I64);
    let factor = b.parameter("factor", DType::F64);
    let far = b.parameter("far", DType::I64);
    let buffers = [0, 1, 2, 3].map(|index| b.buffer("buffer", BufferKind::Argument(index)));
    let bases = buffers.map(|buffer| b.value(Op::Base(buffer), DType::I64));
    let empty = b.bool(false);
    let zero = b.int(0);
    let rows = b.int(shape.rows);
    let row = b.new_value(DType::I64, 1);
    b.open_loop(LoopFacts { variable: row, lowest: zero, highest: zero, empty });
    let (first, last) = if shape.step > 0 {
        (shape.start, shape.start + shape.count)
    } else {
        (shape.start + shape.count - 1, shape.start - 1)
    };
    let (start, stop) = (b.int(first), b.int(last));
    let variable = b.new_value(DType::I64, 2);
    b.open_loop(LoopFacts { variable, lowest: start, highest: start, empty });
    // The middle of the buffer, so that negative strides stay inside.
    let address = |b: &mut Builder, buffer: usize, which: usize| {
        let bytes = shape.types[which].bytes() as i64;
        let pitch = b.int(shape.pitch * bytes);
        let of_row = b.mul(row, pitch);
        let moved = if shape.symbolic && shape.strides[which] == 1 {
            let scale = b.int(bytes);
            let stride = b.mul(unit, scale);
            b.mul(variable, stride)
        } else {
            let stride = b.int(shape.strides[which] * bytes);
            b.mul(variable, stride)
        };
        let fixed = b.add(bases[buffer], of_row);
        (b.add(fixed, moved), (150 + shape.offsets[which]) * bytes)
    };
    let mut values: Vec<ValueId> = vec![factor];
    for which in 0..2 {
        let ty = shape.types[which];
        if which == 1 && shape.gathered {
            let four = b.int(4);
            let moved = b.mul(variable, four);
            let place = b.add(bases[3], moved);
            let op = Op::Load { buffer: buffers[3], address: place, displacement: 0, ty: DType::I32 };
            let index = b.value(op, DType::I32);
            let index = b.cast(DType::I64, index);
            let limit = b.int(ELEMENTS);
            let below = b.binary(BinaryOp::Lt, index, limit);
            let above = b.binary(BinaryOp::Ge, index, zero);
            let fine = b.and(below, above);
            b.check(fine, trap);
            let bytes = b.int(ty.bytes() as i64);
            let distance = b.mul(index, bytes);
            let address = b.add(bases[1], distance);
            values.push(b.value(Op::Load { buffer: buffers[1], address, displacement: 0, ty }, ty));
            continue;
        }
        let (address, displacement) = address(&mut b, which, which);
        values.push(b.value(Op::Load { buffer: buffers[which], address, displacement, ty }, ty));
    }
    if shape.index {
        values.push(variable);
        // Times a distance that only run time tells, and something more.
        let moved = b.mul(variable, far);
        values.push(moved);
        let (row, eight) = (b.mul(row, far), b.int(8));
        let moved = b.mul(moved, eight);
        values.push(b.add(moved, row));
    }
    for &(kind, x, y, z) in &shape.steps {
        let x = values[x % values.len()];
        let ty = b.ty(x);
        let y = b.cast(ty, values[y % values.len()]);
        let value = match kind % 6 {
            0 | 5 => {
                let op = BINARY[z % BINARY.len()];
                let bitwise = matches!(
                    op,
                    BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor | BinaryOp::Shl | BinaryOp::Shr
                );
                if bitwise && !ty.is_integral() {
                    continue;
                }
                b.binary(op, x, y)
            }
            1 if z % 8 == 7 => b.cast(OTHERS[z / 8 % OTHERS.len()], x),
            1 => b.cast(TYPES[z % TYPES.len()], x),
            2 => {
                let condition = b.binary(BinaryOp::Lt, x, y);
                b.select(condition, y, x)
            }
            3 if ty.is_float() && z % 7 == 0 => b.value(Op::Math(TWO[z / 7 % TWO.len()], vec![x, y]), ty),
            3 if ty.is_float() && z % 7 == 1 => b.value(Op::Math(Func::Fma, vec![x, y, x]), ty),
            3 if ty.is_float() => {
                let func = FUNCTIONS[z % FUNCTIONS.len()];
                let predicate = matches!(func, Func::IsNan | Func::IsInf | Func::IsFinite | Func::SignBit);
                b.value(Op::Math(func, vec![x]), if predicate { DType::Bool } else { ty })
            }
            4 if ty == DType::Bool => b.value(Op::Unary(UnaryOp::Not, x), ty),
            4 if ty.is_integral() && z % 2 == 0 => b.value(Op::Unary(UnaryOp::BitNot, x), ty),
            _ => b.value(Op::Unary(UnaryOp::Neg, x), ty),
        };
        values.push(value);
    }
    let result = b.cast(shape.types[2], values[values.len() - 1]);
    if shape.checked {
        let equal = b.binary(BinaryOp::Eq, result, result);
        let other = b.binary(BinaryOp::Ne, result, result);
        let fine = b.or(equal, other);
        b.check(fine, trap);
    }
    let in_place = shape.in_place && shape.types[0] == shape.types[2];
    let target = if in_place && !apart { 0 } else { 2 };
    let (place, displacement) = address(&mut b, target, 2);
    let further = shape.shifted.filter(|_| target == 0).unwrap_or(0) * shape.types[2].bytes() as i64;
    let displacement = displacement + further;
    b.push(Stmt::Store { buffer: buffers[target], address: place, displacement, value: result });
    let body = b.close();
    b.push(Stmt::For { variable, start, stop, step: shape.step, order: Order::Any, body });
    let body = b.close();
    b.push(Stmt::For { variable: row, start: zero, stop: rows, step: 1, order: Order::InTurn, body });
    b.finish()
}

fn buffers(shape: &Shape, seed: u64) -> Vec<Vec<u8>> {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut fill = |ty: DType| -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..ELEMENTS {
            let raw = next();
            // Ordinary numbers, special ones, any bits.
            let value = ((raw >> 20) as f64 / (1u64 << 40) as f64 - 8.0) * 1.5;
            match (ty, raw % 8) {
                (DType::Bool, _) => bytes.push((raw >> 9) as u8 & 1),
                (DType::F64, 0) => bytes.extend(f64::NAN.to_le_bytes()),
                (DType::F64, 1) => bytes.extend((raw >> 3).to_le_bytes()),
                (DType::F64, 2) => bytes.extend(f64::INFINITY.copysign(value).to_le_bytes()),
                (DType::F64, 3) => bytes.extend(0.0_f64.copysign(value).to_le_bytes()),
                (DType::F64, _) => bytes.extend(value.to_le_bytes()),
                (DType::F32, 0) => bytes.extend(f32::NAN.to_le_bytes()),
                (DType::F32, 1) => bytes.extend(((raw >> 3) as u32).to_le_bytes()),
                (DType::F32, 2) => bytes.extend(f32::INFINITY.copysign(value as f32).to_le_bytes()),
                (DType::F32, _) => bytes.extend((value as f32).to_le_bytes()),
                (DType::I64, 0..4) => bytes.extend(raw.to_le_bytes()),
                (DType::I64, _) => bytes.extend((value as i64).to_le_bytes()),
                (ty, _) if OTHERS.contains(&ty) => bytes.extend(&(raw >> 11).to_le_bytes()[..ty.bytes()]),
                (_, 0..4) => bytes.extend(((raw >> 7) as u32).to_le_bytes()),
                (..) => bytes.extend((value as i32).to_le_bytes()),
            }
        }
        bytes
    };
    let mut found: Vec<Vec<u8>> = shape.types.iter().map(|&ty| fill(ty)).collect();
    let table = (0..ELEMENTS).flat_map(|at| ((at * 37 % ELEMENTS) as i32).to_le_bytes()).collect();
    found.push(table);
    found
}

fn request(settings: impl Into<Option<Settings>>) -> emit::Request {
    let settings = settings.into();
    emit::Request { vectors: settings, ..emit::Request::default() }
}

/// Bits of vectors that this machine has.
fn sizes() -> Vec<u32> {
    [128, 256, 512].into_iter().filter(|&bits| bits < 512 || has_512_bits()).collect()
}

/// How many random kernels there are.
pub fn cases() -> u32 {
    std::env::var("PELTON_PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(600)
}

/// Runs a kernel both ways; gives whether a loop was vectorised.
fn compare(shape: &Shape, bits: u32, seed: u64) -> Result<bool, TestCaseError> {
    let oracle = kernel(shape, false);
    let kernel = kernel(shape, shape.shifted.is_some());
    prop_assert_eq!(verify::verify(&oracle), Ok(()));
    prop_assert_eq!(verify::verify(&kernel), Ok(()));
    let parameters = [Literal::i64(1).bits, 1.25_f64.to_bits(), Literal::i64(-3).bits];
    let mut expected = buffers(shape, seed);
    let ended = eval::run(&oracle, &mut expected, &parameters, 1_000_000);
    prop_assert_eq!(ended, Ok(eval::Ended::Done));
    let settings = (bits > 0).then_some(Settings { bits, fast: false });
    // Both tiers, as chance has it.
    let optimize = (seed ^ u64::from(bits / 128)).is_multiple_of(2);
    let emitted = emit::emit(&kernel, &isa::host(optimize).unwrap(), &request(settings)).unwrap();
    let vectorised = emitted.loops.iter().any(|report| matches!(report.decision, Decision::Vector { .. }));
    let code = Code::new(&emitted, "test").unwrap();
    let mut found = buffers(shape, seed);
    let mut addresses: Vec<*mut u8> = found.iter_mut().map(|bytes| bytes.as_mut_ptr()).collect();
    if let Some(shift) = shape.shifted {
        addresses[2] = addresses[0].wrapping_offset((shift * shape.types[0].bytes() as i64) as isize);
    }
    let call = Run { overlap: shape.shifted.is_some(), ..once(&addresses, &parameters) };
    // SAFETY: the evaluator ran the same kernel on buffers of the same sizes without a stray access.
    let trap = unsafe { run(&code, &mut Instance::default(), &call, None) };
    prop_assert_eq!(trap, None);
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let ty = shape.types.get(at).copied().unwrap_or(DType::I32);
        if !same(ty, found, expected) {
            let item = ty.bytes();
            let place = found.chunks(item).zip(expected.chunks(item)).position(|(a, b)| !same(ty, a, b));
            let place = place.unwrap_or(0);
            let number =
                |bytes: &[u8]| crate::scalar::Scalar::from_le_bytes(ty, &bytes[place * item..][..item]);
            prop_assert!(
                false,
                "{bits} bits: buffer {at} element {place}: {:?}, expected {:?}\n{kernel}",
                number(found),
                number(expected)
            );
        }
    }
    Ok(vectorised)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn vector_code_gives_the_evaluators_bits(shape in shape(), seed: u64) {
        if is_available() {
            for bits in [0].into_iter().chain(sizes()) {
                compare(&shape, bits, seed)?;
            }
        }
    }
}

/// A nest that is vectorised: `out[i] = a[i] + 1.25`.
fn plain(count: i64) -> Shape {
    Shape {
        types: [DType::F64; 3],
        rows: 1,
        start: 0,
        count,
        step: 1,
        strides: [1; 3],
        offsets: [0; 3],
        pitch: 0,
        in_place: false,
        shifted: None,
        gathered: false,
        symbolic: false,
        index: false,
        checked: false,
        steps: vec![(0, 0, 1, 0)],
    }
}

#[test]
fn tails_of_every_length() {
    if !is_available() {
        return;
    }
    for count in 0..80 {
        for bits in sizes() {
            assert!(compare(&plain(count), bits, 7).unwrap(), "{count} iterations are not vectorised");
        }
    }
}

/// Functions of a number that all iterations share, which are computed once: the result is in every lane.
#[test]
fn functions_of_what_all_lanes_share() {
    if !is_available() {
        return;
    }
    for ty in [DType::F64, DType::F32] {
        for offset in -5..6 {
            // Each function once (`kernel` takes these numbers modulo their count).
            for function in (0..7 * FUNCTIONS.len()).filter(|choice| choice % 7 == 3) {
                let (types, steps) = ([ty; 3], vec![(3, 1, 0, function)]);
                let shape = Shape { types, strides: [0, 1, 1], offsets: [offset, 0, 0], steps, ..plain(38) };
                for bits in sizes() {
                    compare(&shape, bits, 13).unwrap();
                }
            }
        }
    }
}

/// Long loops start apart, so that the rest is aligned: wherever the output lies, and whatever lies beside it.
#[test]
fn long_loops_start_anywhere() {
    if !is_available() {
        return;
    }
    for ty in [DType::F64, DType::F32] {
        for offset in -5..6 {
            for count in [60, 64, 65, 127, 128, 131, 200, 257] {
                for (gathered, in_place) in [(false, false), (true, false), (false, true)] {
                    let (types, offsets) = ([DType::F64, DType::F64, ty], [offset / 2, 0, offset]);
                    let offsets = if in_place { [offset; 3] } else { offsets };
                    let shape =
                        Shape { types, offsets, gathered, in_place, checked: gathered, ..plain(count) };
                    for bits in sizes() {
                        // What is checked lane by lane has no form with a mask.
                        let unchecked = Shape { checked: false, ..shape.clone() };
                        assert!(compare(&shape, bits, 13).unwrap(), "{count} iterations are not vectorised");
                        assert!(compare(&unchecked, bits, 13).unwrap());
                    }
                }
            }
        }
    }
}

/// Every cast, comparison and choice has a form of 512 bits: what had none would take 256 bits, silently.
#[test]
fn all_types_have_vectors_of_512_bits() {
    if !has_512_bits() {
        return;
    }
    for from in TYPES {
        for to in TYPES {
            let steps =
                vec![(1, 1, 0, TYPES.iter().position(|ty| *ty == to).unwrap()), (2, 3, 2, 0), (0, 4, 3, 9)];
            let types = [from, to, to];
            for gathered in [false, true] {
                let shape = Shape { types, gathered, checked: true, steps: steps.clone(), ..plain(71) };
                let kernel = kernel(&shape, false);
                let settings = Settings { bits: 512, fast: false };
                let emitted = emit::emit(&kernel, &isa::host(false).unwrap(), &request(settings)).unwrap();
                let widths = emitted.loops.iter().filter_map(|report| match report.decision {
                    Decision::Vector { bits, .. } => Some(bits),
                    _ => None,
                });
                let widths: Vec<u32> = widths.collect();
                if widths.is_empty() {
                    // Then it is none with 256 bits either.
                    assert!(!compare(&shape, 256, 5).unwrap(), "{from} to {to}");
                    continue;
                }
                assert_eq!(widths, [512], "{from} to {to}");
                assert!(compare(&shape, 512, 5).unwrap());
            }
        }
    }
}

#[test]
fn what_reads_behind_its_own_writes_is_not_vectorised() {
    if !is_available() {
        return;
    }
    // a[i] = a[i - 1] + 1.25 depends on the iteration before, a[i] = a[i + 1] + 1.25 does not.
    for (offset, expected) in [(1, false), (3, false), (0, true), (-1, true), (-3, true)] {
        let shape = Shape { in_place: true, offsets: [0, 0, offset], ..plain(33) };
        assert_eq!(compare(&shape, 256, 7).unwrap(), expected, "written {offset} elements ahead");
    }
}

#[test]
fn functions_and_gathers_are_vectorised() {
    if !is_available() {
        return;
    }
    for position in [0, 1, 10, 11, 12] {
        let shape = Shape { gathered: true, checked: true, steps: vec![(3, 2, 0, position)], ..plain(29) };
        for bits in sizes() {
            assert!(compare(&shape, bits, 11).unwrap(), "{:?}", FUNCTIONS[position]);
        }
    }
}

/// Runs a kernel both ways on buffers of floats; gives the reports.
fn both(kernel: &Kernel, sizes: &[usize], settings: Settings) -> (Vec<Vec<u8>>, Vec<Vec<u8>>, Vec<Decision>) {
    assert_eq!(verify::verify(kernel), Ok(()));
    let fill = || -> Vec<Vec<u8>> {
        let numbers = |seed: usize, count: usize| {
            (0..count)
                .flat_map(move |at| (((at * 7 + seed * 3) % 11) as f64 * 0.75 - 2.0).to_le_bytes())
                .collect()
        };
        sizes.iter().enumerate().map(|(seed, &count)| numbers(seed, count)).collect()
    };
    let mut expected = fill();
    assert_eq!(eval::run(kernel, &mut expected, &[], 1_000_000), Ok(eval::Ended::Done));
    let emitted = emit::emit(kernel, &isa::host(false).unwrap(), &request(settings)).unwrap();
    let code = Code::new(&emitted, "test").unwrap();
    let mut found = fill();
    let addresses: Vec<*mut u8> = found.iter_mut().map(|bytes| bytes.as_mut_ptr()).collect();
    // SAFETY: the evaluator ran the same kernel on buffers of the same sizes without a stray access.
    let trap = unsafe { run(&code, &mut Instance::default(), &once(&addresses, &[]), None) };
    assert_eq!(trap, None);
    (found, expected, emitted.loops.into_iter().map(|report| report.decision).collect())
}

/// `carry = carry * 0.5 + a[k, i]; out[k, i] = carry` upwards in `k`, for every column `i`.
fn scan(columns: i64, levels: i64) -> Kernel {
    let mut b = Builder::new("scan");
    let buffers = [0, 1].map(|index| b.buffer("buffer", BufferKind::Argument(index)));
    let bases = buffers.map(|buffer| b.value(Op::Base(buffer), DType::I64));
    let carry = b.variable("carry", DType::F64);
    let half = b.constant(Literal { ty: DType::F64, bits: 0.5_f64.to_bits() });
    let (zero, columns_value, levels_value) = (b.int(0), b.int(columns), b.int(levels));
    let empty = b.bool(false);
    let i = b.new_value(DType::I64, 1);
    b.open_loop(LoopFacts { variable: i, lowest: zero, highest: zero, empty });
    let start = b.cast(DType::F64, zero);
    b.set(carry, start);
    let k = b.new_value(DType::I64, 2);
    b.open_loop(LoopFacts { variable: k, lowest: zero, highest: zero, empty });
    let (bytes, pitch) = (b.int(8), b.int(8 * columns));
    let (of_column, of_level) = (b.mul(i, bytes), b.mul(k, pitch));
    let places = bases.map(|base| b.sum(vec![base, of_column, of_level]));
    let op = Op::Load { buffer: buffers[0], address: places[0], displacement: 0, ty: DType::F64 };
    let loaded = b.value(op, DType::F64);
    let old = b.get(carry);
    let scaled = b.binary(BinaryOp::Mul, old, half);
    let new = b.binary(BinaryOp::Add, scaled, loaded);
    b.set(carry, new);
    b.push(Stmt::Store { buffer: buffers[1], address: places[1], displacement: 0, value: new });
    let body = b.close();
    b.push(Stmt::For { variable: k, start: zero, stop: levels_value, step: 1, order: Order::InTurn, body });
    let body = b.close();
    b.push(Stmt::For { variable: i, start: zero, stop: columns_value, step: 1, order: Order::Any, body });
    b.finish()
}

#[test]
fn a_check_in_an_inner_loop_does_not_stand_for_the_one_behind_it() {
    if !is_available() {
        return;
    }
    // `for row in 0..3: for i in 0..9: (for k in 0..turns: check row < 2); check row < 2; out[i] = row`
    let mut b = Builder::new("checks");
    let trap = b.trap(TrapInfo { kind: TrapKind::OutOfRange, message: String::new(), place: Vec::new() });
    let turns = b.parameter("turns", DType::I64);
    let buffer = b.buffer("out", BufferKind::Argument(0));
    let base = b.value(Op::Base(buffer), DType::I64);
    let (zero, two, three, nine, empty) = (b.int(0), b.int(2), b.int(3), b.int(9), b.bool(false));
    let variables = [1, 2, 3].map(|depth| {
        let variable = b.new_value(DType::I64, depth);
        b.open_loop(LoopFacts { variable, lowest: zero, highest: zero, empty });
        variable
    });
    let fits = b.binary(BinaryOp::Lt, variables[0], two);
    b.push(Stmt::Check(fits, trap));
    let body = b.close();
    let [row, i, k] = variables;
    b.push(Stmt::For { variable: k, start: zero, stop: turns, step: 1, order: Order::InTurn, body });
    b.push(Stmt::Check(fits, trap));
    let eight = b.int(8);
    let moved = b.mul(i, eight);
    let address = b.add(base, moved);
    b.push(Stmt::Store { buffer, address, displacement: 0, value: row });
    let body = b.close();
    b.push(Stmt::For { variable: i, start: zero, stop: nine, step: 1, order: Order::Any, body });
    let body = b.close();
    b.push(Stmt::For { variable: row, start: zero, stop: three, step: 1, order: Order::InTurn, body });
    let kernel = b.finish();
    assert_eq!(verify::verify(&kernel), Ok(()));
    for turns in [0, 1] {
        let parameters = [Literal::i64(turns).bits];
        let mut expected = vec![vec![0; 72]];
        let ended = eval::run(&kernel, &mut expected, &parameters, 10_000);
        assert_eq!(ended, Ok(eval::Ended::Trapped(trap)));
        let settings = Settings { bits: 256, fast: false };
        let emitted = emit::emit(&kernel, &isa::host(false).unwrap(), &request(settings)).unwrap();
        assert!(emitted.loops.iter().any(|loops| matches!(loops.decision, Decision::Vector { .. })));
        let code = Code::new(&emitted, "test").unwrap();
        let mut found = [0_u8; 72];
        let addresses = [found.as_mut_ptr()];
        // SAFETY: the evaluator ran the same kernel on a buffer of the same size without a stray access.
        let stopped = unsafe { run(&code, &mut Instance::default(), &once(&addresses, &parameters), None) };
        assert_eq!(stopped, Some(trap.0), "{turns} turns");
        assert_eq!(found[..], expected[0][..]);
    }
}

#[test]
fn scans_run_for_several_columns_at_once() {
    if !is_available() {
        return;
    }
    for columns in [1, 3, 4, 8, 13] {
        for bits in sizes() {
            let kernel = scan(columns, 5);
            let size = (columns * 5) as usize;
            let (found, expected, decisions) = both(&kernel, &[size, size], Settings { bits, fast: false });
            assert!(found == expected, "{columns} columns\n{kernel}");
            assert!(
                decisions.iter().any(|decision| matches!(decision, Decision::Vector { .. })),
                "{decisions:?}"
            );
        }
    }
}

/// `s[0] = s[0] op a[i]`.
fn total(op: BinaryOp, ty: DType, count: i64) -> Kernel {
    let mut b = Builder::new("total");
    let buffers = [0, 1].map(|index| b.buffer("buffer", BufferKind::Argument(index)));
    let bases = buffers.map(|buffer| b.value(Op::Base(buffer), DType::I64));
    let (zero, stop, empty) = (b.int(0), b.int(count), b.bool(false));
    let i = b.new_value(DType::I64, 1);
    b.open_loop(LoopFacts { variable: i, lowest: zero, highest: zero, empty });
    let bytes = b.int(ty.bytes() as i64);
    let moved = b.mul(i, bytes);
    let place = b.add(bases[1], moved);
    let new = b.value(Op::Load { buffer: buffers[1], address: place, displacement: 0, ty }, ty);
    let old = b.value(Op::Load { buffer: buffers[0], address: bases[0], displacement: 0, ty }, ty);
    let value = b.binary(op, old, new);
    b.push(Stmt::Store { buffer: buffers[0], address: bases[0], displacement: 0, value });
    let body = b.close();
    b.push(Stmt::For { variable: i, start: zero, stop, step: 1, order: Order::Any, body });
    b.finish()
}

#[test]
fn totals_of_integers_are_the_same_in_any_order() {
    use BinaryOp::{Add, BitAnd, BitOr, BitXor, Max, Min, Mul};
    if !is_available() {
        return;
    }
    for op in [Add, Mul, Min, Max, BitAnd, BitOr, BitXor] {
        for ty in [DType::I32, DType::I64] {
            for count in 0..70 {
                let kernel = total(op, ty, count);
                for bits in sizes() {
                    let settings = Settings { bits, fast: false };
                    let (found, expected, decisions) = both(&kernel, &[1, 80], settings);
                    assert!(found == expected, "{op:?} of {count} {ty}, {bits} bits\n{kernel}");
                    assert!(
                        decisions.iter().any(|decision| matches!(decision, Decision::Vector { .. })),
                        "{decisions:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn totals_of_floats_are_regrouped_in_fast_mode_only() {
    if !is_available() {
        return;
    }
    for count in 0..70 {
        let kernel = total(BinaryOp::Add, DType::F64, count);
        for (fast, bits) in sizes().into_iter().flat_map(|bits| [(false, bits), (true, bits)]) {
            let (found, expected, decisions) = both(&kernel, &[1, 80], Settings { bits, fast });
            let number = |bytes: &[u8]| f64::from_le_bytes(bytes[..8].try_into().unwrap());
            let vectorised = decisions.iter().any(|decision| matches!(decision, Decision::Vector { .. }));
            assert_eq!(vectorised, fast);
            // Multiples of a quarter: every order is exact.
            assert_eq!(number(&found[0]), number(&expected[0]), "{count} numbers");
        }
    }
}

/// `s[0]` becomes the sum of `a[i] * b[i * p]`, with a distance `p` of four that only run time tells.
fn across(count: i64) -> Kernel {
    let mut b = Builder::new("across");
    let buffers = [0, 1, 2, 3].map(|index| b.buffer("buffer", BufferKind::Argument(index)));
    let bases = buffers.map(|buffer| b.value(Op::Base(buffer), DType::I64));
    let load =
        |at: usize, address| Op::Load { buffer: buffers[at], address, displacement: 0, ty: DType::F64 };
    let (zero, stop, empty, bytes) = (b.int(0), b.int(count), b.bool(false), b.int(8));
    let total = b.variable("total", DType::F64);
    let start = b.cast(DType::F64, zero);
    b.set(total, start);
    let number = b.value(load(3, bases[3]), DType::F64);
    let rows = b.cast(DType::I64, number);
    let pitch = b.mul(rows, bytes);
    let i = b.new_value(DType::I64, 1);
    b.open_loop(LoopFacts { variable: i, lowest: zero, highest: zero, empty });
    let (beside, below) = (b.mul(i, bytes), b.mul(i, pitch));
    let places = [b.add(bases[1], beside), b.add(bases[2], below)];
    let left = b.value(load(1, places[0]), DType::F64);
    let right = b.value(load(2, places[1]), DType::F64);
    let product = b.binary(BinaryOp::Mul, left, right);
    let old = b.get(total);
    let value = b.binary(BinaryOp::Add, old, product);
    b.set(total, value);
    let body = b.close();
    b.push(Stmt::For { variable: i, start: zero, stop, step: 1, order: Order::InTurn, body });
    let value = b.get(total);
    b.push(Stmt::Store { buffer: buffers[0], address: bases[0], displacement: 0, value });
    b.finish()
}

/// The first number of the last buffer is 4.75.
#[test]
fn totals_go_across_rows() {
    if !is_available() {
        return;
    }
    for count in 0..140 {
        let kernel = across(count);
        for bits in sizes() {
            let (found, expected, decisions) =
                both(&kernel, &[1, 140, 4 * 140, 1], Settings { bits, fast: true });
            // Multiples of a sixteenth: every order is exact.
            assert!(found == expected, "{count} numbers, {bits} bits");
            let always =
                |decision: &Decision| matches!(decision, Decision::Vector { conditional: false, .. });
            assert!(bits < 512 || decisions.iter().any(always), "{decisions:?}");
        }
    }
}

#[test]
fn the_fast_exponential_is_within_four_units() {
    if !is_available() {
        return;
    }
    let mut b = Builder::new("exponential");
    let buffers = [0, 1].map(|index| b.buffer("buffer", BufferKind::Argument(index)));
    let bases = buffers.map(|buffer| b.value(Op::Base(buffer), DType::I64));
    let count = 20_000_i64;
    let (zero, stop, empty) = (b.int(0), b.int(count), b.bool(false));
    let i = b.new_value(DType::I64, 1);
    b.open_loop(LoopFacts { variable: i, lowest: zero, highest: zero, empty });
    let bytes = b.int(8);
    let moved = b.mul(i, bytes);
    let places = bases.map(|base| b.add(base, moved));
    let op = Op::Load { buffer: buffers[0], address: places[0], displacement: 0, ty: DType::F64 };
    let x = b.value(op, DType::F64);
    let value = b.value(Op::Math(Func::Exp, vec![x]), DType::F64);
    b.push(Stmt::Store { buffer: buffers[1], address: places[1], displacement: 0, value });
    let body = b.close();
    b.push(Stmt::For { variable: i, start: zero, stop, step: 1, order: Order::Any, body });
    let kernel = b.finish();
    for bits in sizes() {
        fast_exponential(&kernel, count, bits);
    }
}

fn fast_exponential(kernel: &Kernel, count: i64, bits: u32) {
    let settings = Settings { bits, fast: true };
    let emitted = emit::emit(kernel, &isa::host(false).unwrap(), &request(settings)).unwrap();
    let code = Code::new(&emitted, "test").unwrap();
    let mut inputs: Vec<f64> = (0..count).map(|at| (at - count / 2) as f64 * 0.0749).collect();
    inputs[..4].copy_from_slice(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]);
    let mut outputs = vec![0.0_f64; inputs.len()];
    let addresses = [inputs.as_mut_ptr().cast::<u8>(), outputs.as_mut_ptr().cast::<u8>()];
    // SAFETY: both arrays have as many elements as the loop touches.
    let trap = unsafe { run(&code, &mut Instance::default(), &once(&addresses, &[]), None) };
    assert_eq!(trap, None);
    for (x, found) in inputs.into_iter().zip(outputs) {
        let expected = crate::scalar::math::exp(x);
        let close = (found.to_bits() as i64).abs_diff(expected.to_bits() as i64) <= 4;
        assert!(close || (found.is_nan() && expected.is_nan()), "exp({x}) = {found}, expected {expected}");
    }
}
