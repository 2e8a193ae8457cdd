//! Random loops over complex numbers and with branches, against the evaluator: loads and stores of pairs, and lanes that
//! masks choose.

use proptest::prelude::*;

use super::super::super::call::tests::{once, same};
use super::super::super::call::{Code, Instance, run};
use super::super::super::{emit, isa};
use super::super::{Settings, is_available};
use super::{cases, request, sizes};
use crate::kernel::build::{Builder, LoopFacts};
use crate::kernel::vector::Decision;
use crate::kernel::{BufferKind, Kernel, Op, Order, Stmt, TrapInfo, TrapKind, ValueId, eval, verify};
use crate::scalar::{BinaryOp, DType, Func, UnaryOp};

/// Numbers per buffer.
const NUMBERS: i64 = 200;

/// `for i { z = a[i]; w = b[i]; ...; if c { ...; out[i] = z } else { ... } }`, everything complex.
#[derive(Clone, Debug)]
struct Shape {
    part: DType,
    count: i64,
    /// Elements, a quarter of the middle of the buffers.
    offsets: [i64; 3],
    /// The output is the first input.
    in_place: bool,
    /// Parts are stored second one first.
    swapped: bool,
    /// What is in front of the branch, in it, on its other side.
    steps: [Vec<(u8, usize, usize)>; 3],
    /// Whether there is a branch; its other side.
    branch: bool,
    otherwise: bool,
    /// What the branch asks: real parts, magnitudes, or a buffer of bools.
    condition: u8,
    /// A check in the branch that holds where it is taken.
    checked: bool,
    /// The mask is stored, or counts are, beside.
    beside: u8,
}

fn shape() -> impl Strategy<Value = Shape> {
    let steps = prop::collection::vec((any::<u8>(), 0_usize..8, 0_usize..8), 0..4);
    let part = prop_oneof![2 => Just(DType::F64), 1 => Just(DType::F32)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let numbers = (0_i64..60, prop::array::uniform3(0_i64..5), 0_u8..3, 0_u8..3);
    (part, numbers, prop::array::uniform3(steps), flags).prop_map(
        |(part, (count, offsets, condition, beside), steps, flags)| {
            let (in_place, swapped, branch, otherwise, checked) = flags;
            Shape {
                part,
                count,
                offsets,
                in_place,
                swapped,
                steps,
                branch,
                otherwise,
                condition,
                checked,
                beside,
            }
        },
    )
}

type Complex = [ValueId; 2];

/// A complex number from complex numbers.
fn step(b: &mut Builder, kind: u8, z: Complex, w: Complex) -> Complex {
    let op = |b: &mut Builder, op, x, y| b.binary(op, x, y);
    let ty = b.ty(z[0]);
    match kind % 7 {
        0 => [op(b, BinaryOp::Add, z[0], w[0]), op(b, BinaryOp::Add, z[1], w[1])],
        1 => [op(b, BinaryOp::Sub, z[0], w[0]), op(b, BinaryOp::Sub, z[1], w[1])],
        2 | 3 => {
            let (rr, ii) = (op(b, BinaryOp::Mul, z[0], w[0]), op(b, BinaryOp::Mul, z[1], w[1]));
            let (ri, ir) = (op(b, BinaryOp::Mul, z[0], w[1]), op(b, BinaryOp::Mul, z[1], w[0]));
            [op(b, BinaryOp::Sub, rr, ii), op(b, BinaryOp::Add, ri, ir)]
        }
        4 => {
            let size = magnitude(b, z);
            [size, w[1]]
        }
        5 => {
            let (real, imaginary) = (op(b, BinaryOp::Eq, z[0], w[0]), op(b, BinaryOp::Lt, z[1], w[1]));
            let either = b.or(real, imaginary);
            [b.select(either, z[0], w[0]), b.select(either, w[1], z[1])]
        }
        _ => [z[1], b.value(Op::Unary(UnaryOp::Neg, z[0]), ty)],
    }
}

fn magnitude(b: &mut Builder, z: Complex) -> ValueId {
    let ty = b.ty(z[0]);
    let wide = z.map(|part| b.cast(DType::F64, part));
    let size = b.value(Op::Math(Func::Hypot, wide.to_vec()), DType::F64);
    b.cast(ty, size)
}

/// Buffers: two inputs, the output, bools, and what is stored beside.
fn kernel(shape: &Shape) -> Kernel {
    let mut b = Builder::new("complex");
    let trap = b.trap(TrapInfo { kind: TrapKind::OutOfRange, message: String::new(), place: Vec::new() });
    let buffers = [0, 1, 2, 3, 4].map(|index| b.buffer("buffer", BufferKind::Argument(index)));
    let bases = buffers.map(|buffer| b.value(Op::Base(buffer), DType::I64));
    let ty = shape.part;
    let bytes = ty.bytes() as i64;
    let (zero, stop, empty) = (b.int(0), b.int(shape.count), b.bool(false));
    let i = b.new_value(DType::I64, 1);
    b.open_loop(LoopFacts { variable: i, lowest: zero, highest: zero, empty });
    let mut offsets = shape.offsets.map(|offset| 2 * bytes * (NUMBERS / 4 + offset));
    if shape.in_place {
        offsets[2] = offsets[0];
    }
    let width = b.int(2 * bytes);
    let moved = b.mul(i, width);
    let target = if shape.in_place { 0 } else { 2 };
    let loaded = |b: &mut Builder, which: usize| -> Complex {
        let address = b.add(bases[which], moved);
        [0, bytes].map(|part| {
            let displacement = offsets[which] + part;
            b.value(Op::Load { buffer: buffers[which], address, displacement, ty }, ty)
        })
    };
    let store = |b: &mut Builder, z: Complex| {
        let address = b.add(bases[target], moved);
        let order = if shape.swapped { [1, 0] } else { [0, 1] };
        for part in order {
            let displacement = offsets[2] + part as i64 * bytes;
            b.push(Stmt::Store { buffer: buffers[target], address, displacement, value: z[part] });
        }
    };
    let mut values = vec![loaded(&mut b, 0), loaded(&mut b, 1)];
    let compute = |b: &mut Builder, values: &mut Vec<Complex>, steps: &[(u8, usize, usize)]| -> Complex {
        for &(kind, x, y) in steps {
            let (z, w) = (values[x % values.len()], values[y % values.len()]);
            let new = step(b, kind, z, w);
            values.push(new);
        }
        values[values.len() - 1]
    };
    let last = compute(&mut b, &mut values, &shape.steps[0]);
    let byte = b.add(bases[3], i);
    let condition = match shape.condition {
        0 => b.binary(BinaryOp::Lt, last[0], values[0][0]),
        1 => {
            let (size, other) = (magnitude(&mut b, values[0]), magnitude(&mut b, values[1]));
            b.binary(BinaryOp::Le, size, other)
        }
        _ => {
            let load = Op::Load { buffer: buffers[3], address: byte, displacement: 3, ty: DType::Bool };
            b.value(load, DType::Bool)
        }
    };
    if shape.branch {
        let known = values.clone();
        b.open_branch();
        if shape.checked {
            // It fails only in lanes that do not come here.
            let fine = b.binary(BinaryOp::Eq, condition, condition);
            let fine = b.and(condition, fine);
            b.push(Stmt::Check(fine, trap));
            let first = Op::Load { buffer: buffers[3], address: bases[3], displacement: 0, ty: DType::Bool };
            let share = b.value(first, DType::Bool);
            let other = b.not(share);
            let sure = b.or(share, other);
            b.push(Stmt::Check(sure, trap));
        }
        // Again, so that it is loaded in the branch.
        let again = loaded(&mut b, 1);
        values.push(again);
        let z = compute(&mut b, &mut values, &shape.steps[1]);
        store(&mut b, z);
        if shape.beside == 2 {
            let address = b.add(bases[4], i);
            b.push(Stmt::Store { buffer: buffers[4], address, displacement: 1, value: condition });
        }
        let then = b.close();
        b.open_branch();
        if shape.otherwise {
            let mut values = known;
            let z = compute(&mut b, &mut values, &shape.steps[2]);
            store(&mut b, z);
        }
        let otherwise = b.close();
        b.push(Stmt::If { condition, then, otherwise });
    } else {
        store(&mut b, last);
    }
    if shape.beside == 1 {
        let address = b.add(bases[4], i);
        b.push(Stmt::Store { buffer: buffers[4], address, displacement: 5, value: condition });
    }
    let body = b.close();
    b.push(Stmt::For { variable: i, start: zero, stop, step: 1, order: Order::Any, body });
    b.finish()
}

fn buffers(part: DType, seed: u64) -> Vec<Vec<u8>> {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut found = Vec::new();
    for _ in 0..3 {
        let mut bytes = Vec::new();
        for _ in 0..2 * NUMBERS {
            let raw = next();
            let value = match raw % 16 {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => 0.0,
                3 => f64::from_bits(raw >> 3),
                _ => (raw >> 20) as f64 / (1u64 << 40) as f64 - 8.0,
            };
            match part {
                DType::F64 => bytes.extend(value.to_le_bytes()),
                _ => bytes.extend((value as f32).to_le_bytes()),
            }
        }
        found.push(bytes);
    }
    for _ in 0..2 {
        found.push((0..NUMBERS).map(|_| (next() >> 9) as u8 & 1).collect());
    }
    found
}

/// Runs a kernel both ways; gives whether a loop was vectorised.
fn compare(shape: &Shape, bits: u32, seed: u64) -> Result<bool, TestCaseError> {
    let kernel = kernel(shape);
    prop_assert_eq!(verify::verify(&kernel), Ok(()), "{}", kernel);
    let mut expected = buffers(shape.part, seed);
    let ended = eval::run(&kernel, &mut expected, &[], 1_000_000);
    prop_assert_eq!(ended, Ok(eval::Ended::Done), "{}", kernel);
    let settings = (bits > 0).then_some(Settings { bits, fast: false });
    let emitted = emit::emit(&kernel, &isa::host(false).unwrap(), &request(settings)).unwrap();
    let code = Code::new(&emitted, "test").unwrap();
    let mut found = buffers(shape.part, seed);
    let addresses: Vec<*mut u8> = found.iter_mut().map(|bytes| bytes.as_mut_ptr()).collect();
    // SAFETY: the evaluator ran the same kernel on buffers of the same sizes without a stray access.
    let trap = unsafe { run(&code, &mut Instance::default(), &once(&addresses, &[]), None) };
    prop_assert_eq!(trap, None, "{} bits\n{}", bits, kernel);
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let ty = if at < 3 { shape.part } else { DType::Bool };
        prop_assert!(same(ty, found, expected), "{bits} bits: buffer {at}\n{kernel}");
    }
    Ok(emitted.loops.iter().any(|report| matches!(report.decision, Decision::Vector { .. })))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn vector_code_of_complex_numbers_gives_the_evaluators_bits(shape in shape(), seed: u64) {
        if is_available() {
            for bits in [0].into_iter().chain(sizes()) {
                compare(&shape, bits, seed)?;
            }
        }
    }
}

fn plain(part: DType, count: i64) -> Shape {
    Shape {
        part,
        count,
        offsets: [0; 3],
        in_place: false,
        swapped: false,
        steps: [vec![(2, 0, 1)], vec![(4, 0, 0)], vec![(0, 0, 1)]],
        branch: false,
        otherwise: false,
        condition: 0,
        checked: false,
        beside: 0,
    }
}

#[test]
fn complex_numbers_are_vectorised_at_every_length() {
    if !is_available() {
        return;
    }
    for part in [DType::F64, DType::F32] {
        for count in 0..40 {
            for bits in sizes() {
                assert!(compare(&plain(part, count), bits, 7).unwrap(), "{count} of {part}, {bits} bits");
            }
        }
    }
}

#[test]
fn branches_are_vectorised_where_lanes_can_be_left_out() {
    if !is_available() {
        return;
    }
    for part in [DType::F64, DType::F32] {
        for (condition, beside) in [(0, 0), (1, 1), (2, 2), (2, 1)] {
            for count in 0..40 {
                for otherwise in [false, true] {
                    let flags = Shape { branch: true, otherwise, checked: true, ..plain(part, count) };
                    let shape = Shape { condition, beside, ..flags };
                    for bits in sizes() {
                        assert_eq!(compare(&shape, bits, 7).unwrap(), bits == 512, "{shape:?}, {bits} bits");
                    }
                }
            }
        }
    }
}

/// A check in a branch stops the program if it fails in a lane that takes it, and only then.
#[test]
fn a_check_in_a_branch_speaks_for_the_lanes_that_take_it() {
    if !is_available() {
        return;
    }
    for failing in [None, Some(0), Some(9), Some(20)] {
        let mut b = Builder::new("check");
        let trap = b.trap(TrapInfo { kind: TrapKind::OutOfRange, message: String::new(), place: Vec::new() });
        let buffers = [0, 1].map(|index| b.buffer("buffer", BufferKind::Argument(index)));
        let bases = buffers.map(|buffer| b.value(Op::Base(buffer), DType::I64));
        let (zero, stop, empty, eight) = (b.int(0), b.int(21), b.bool(false), b.int(8));
        let i = b.new_value(DType::I64, 1);
        b.open_loop(LoopFacts { variable: i, lowest: zero, highest: zero, empty });
        let flag = b.add(bases[0], i);
        let load = Op::Load { buffer: buffers[0], address: flag, displacement: 0, ty: DType::Bool };
        let condition = b.value(load, DType::Bool);
        let moved = b.mul(i, eight);
        let address = b.add(bases[1], moved);
        b.open_branch();
        let load = Op::Load { buffer: buffers[1], address, displacement: 0, ty: DType::I64 };
        let loaded = b.value(load, DType::I64);
        let fine = b.binary(BinaryOp::Ge, loaded, zero);
        b.push(Stmt::Check(fine, trap));
        let value = b.add(loaded, eight);
        b.push(Stmt::Store { buffer: buffers[1], address, displacement: 0, value });
        let then = b.close();
        b.push(Stmt::If { condition, then, otherwise: Vec::new() });
        let body = b.close();
        b.push(Stmt::For { variable: i, start: zero, stop, step: 1, order: Order::Any, body });
        let kernel = b.finish();
        assert_eq!(verify::verify(&kernel), Ok(()));
        // Negative numbers where nobody looks, and at one place where somebody does.
        let fill = || {
            let flags: Vec<u8> = (0..21).map(|at| u8::from(at % 3 != 1)).collect();
            let number = |at: i64| if at % 3 == 1 || Some(at) == failing { -1 } else { at };
            vec![flags, (0..21).flat_map(|at| number(at).to_le_bytes()).collect::<Vec<u8>>()]
        };
        let mut expected = fill();
        let ended = eval::run(&kernel, &mut expected, &[], 10_000);
        for bits in sizes() {
            let settings = Settings { bits, fast: false };
            let emitted = emit::emit(&kernel, &isa::host(false).unwrap(), &request(settings)).unwrap();
            let code = Code::new(&emitted, "test").unwrap();
            let mut found = fill();
            let addresses: Vec<*mut u8> = found.iter_mut().map(|bytes| bytes.as_mut_ptr()).collect();
            // SAFETY: the evaluator ran the same kernel on buffers of the same sizes without a stray access.
            let stopped = unsafe { run(&code, &mut Instance::default(), &once(&addresses, &[]), None) };
            match failing {
                None => {
                    assert_eq!(ended, Ok(eval::Ended::Done));
                    assert_eq!((stopped, &found), (None, &expected), "{bits} bits");
                }
                Some(_) => {
                    assert_eq!(ended, Ok(eval::Ended::Trapped(trap)));
                    assert_eq!(stopped, Some(trap.0), "{bits} bits");
                }
            }
        }
    }
}
