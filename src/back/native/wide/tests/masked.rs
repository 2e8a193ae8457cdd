//! Loops under masks in memory, inside of nests: against the evaluator, at every length and density.

use super::super::super::call::tests::once;
use super::super::super::call::{Code, Instance, run};
use super::super::super::{emit, isa};
use super::super::{Settings, is_available};
use super::{request, sizes};
use crate::kernel::build::{Builder, LoopFacts};
use crate::kernel::vector::Decision;
use crate::kernel::{BufferKind, Kernel, Op, Order, Stmt, TrapInfo, TrapKind, ValueId, eval, verify};
use crate::scalar::{BinaryOp, DType};

/// Rows of the nest, and numbers per buffer.
const ROWS: i64 = 3;
const NUMBERS: i64 = 160;

/// What the loop under the mask does beside its sum.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Beside {
    Nothing,
    /// It checks what it reads.
    Check,
    /// It sets the next element of the mask, which may not be read ahead.
    NextMask,
}

/// `for r { for i { mask[i] = a[i] < r }; s = 0; x = true; for i { x = mask[i]; if x { s = s * 0.5 + a[i] } }; out[r] = s, x }`
fn kernel(start: i64, stop: i64, beside: Beside) -> Kernel {
    let mut b = Builder::new("masked");
    let trap = b.trap(TrapInfo { kind: TrapKind::OutOfRange, message: String::new(), place: Vec::new() });
    let buffers = [0, 1, 2].map(|index| b.buffer("buffer", BufferKind::Argument(index)));
    let bases = buffers.map(|buffer| b.value(Op::Base(buffer), DType::I64));
    let (x, s) = (b.variable("x", DType::Bool), b.variable("s", DType::F64));
    let [zero, eight, sixteen, rows] = [0, 8, 16, ROWS].map(|number| b.int(number));
    let (start, stop, empty) = (b.int(start), b.int(stop), b.bool(false));
    let half = b.constant(crate::kernel::Literal { ty: DType::F64, bits: 0.5_f64.to_bits() });
    let row = b.new_value(DType::I64, 1);
    b.open_loop(LoopFacts { variable: row, lowest: zero, highest: rows, empty });
    let limit = b.cast(DType::F64, row);
    let number = |b: &mut Builder, i: ValueId| {
        let moved = b.mul(i, eight);
        let address = b.add(bases[1], moved);
        let load = Op::Load { buffer: buffers[1], address, displacement: 0, ty: DType::F64 };
        b.value(load, DType::F64)
    };
    let i = b.new_value(DType::I64, 2);
    b.open_loop(LoopFacts { variable: i, lowest: zero, highest: stop, empty });
    let found = number(&mut b, i);
    let value = b.binary(BinaryOp::Lt, found, limit);
    let address = b.add(bases[0], i);
    b.push(Stmt::Store { buffer: buffers[0], address, displacement: 1, value });
    let body = b.close();
    b.push(Stmt::For { variable: i, start: zero, stop, step: 1, order: Order::Any, body });
    let yes = b.bool(true);
    b.set(s, half);
    b.set(x, yes);
    let i = b.new_value(DType::I64, 2);
    b.open_loop(LoopFacts { variable: i, lowest: zero, highest: stop, empty });
    let address = b.add(bases[0], i);
    let load = Op::Load { buffer: buffers[0], address, displacement: 1, ty: DType::Bool };
    let condition = b.value(load, DType::Bool);
    b.set(x, condition);
    b.open_branch();
    let found = number(&mut b, i);
    match beside {
        Beside::Nothing => {}
        Beside::Check => {
            let fine = b.binary(BinaryOp::Lt, found, limit);
            b.push(Stmt::Check(fine, trap));
        }
        Beside::NextMask => {
            let store = Stmt::Store { buffer: buffers[0], address, displacement: 2, value: condition };
            b.push(store);
        }
    }
    let old = b.get(s);
    let old = b.binary(BinaryOp::Mul, old, half);
    let new = b.binary(BinaryOp::Add, old, found);
    b.set(s, new);
    let then = b.close();
    b.push(Stmt::If { condition, then, otherwise: Vec::new() });
    let body = b.close();
    b.push(Stmt::For { variable: i, start, stop, step: 1, order: Order::InTurn, body });
    let moved = b.mul(row, sixteen);
    let address = b.add(bases[2], moved);
    let (s, x) = (b.get(s), b.get(x));
    let x = b.cast(DType::F64, x);
    for (displacement, value) in [(0, s), (8, x)] {
        b.push(Stmt::Store { buffer: buffers[2], address, displacement, value });
    }
    let body = b.close();
    b.push(Stmt::For { variable: row, start: zero, stop: rows, step: 1, order: Order::InTurn, body });
    b.finish()
}

#[test]
fn loops_under_masks_do_what_the_plain_loops_do() {
    if !is_available() {
        return;
    }
    let ranges = (0..70).map(|stop| (0, stop)).chain([(3, 36), (5, 120), (7, 8), (9, 4), (0, 159)]);
    for (start, stop) in ranges {
        for beside in [Beside::Nothing, Beside::Check, Beside::NextMask] {
            let kernel = kernel(start, stop, beside);
            assert_eq!(verify::verify(&kernel), Ok(()), "{kernel}");
            for every in [1, 2, 5, 33, 400] {
                // Of the first row no element is below, of the last one every `every`-th and some more.
                let number = |at: i64| match (at % every == every / 2, at % 29 == 3) {
                    (true, _) => 0.25 + at as f64 / 1000.0,
                    (_, true) => 1.5,
                    _ => 7.0,
                };
                let fill = || {
                    let numbers = (0..NUMBERS).flat_map(|at| number(at).to_le_bytes()).collect();
                    vec![vec![1_u8; NUMBERS as usize + 3], numbers, vec![0_u8; 16 * ROWS as usize]]
                };
                let mut expected = fill();
                let ended = eval::run(&kernel, &mut expected, &[], 100_000);
                assert_eq!(ended, Ok(eval::Ended::Done), "{kernel}");
                for bits in sizes() {
                    let settings = Settings { bits, fast: false };
                    let emitted =
                        emit::emit(&kernel, &isa::host(false).unwrap(), &request(settings)).unwrap();
                    let outer = emitted.loops.iter().find(|report| report.depth == 0);
                    assert_eq!(outer.map(|report| &report.decision), Some(&Decision::Around), "{kernel}");
                    let code = Code::new(&emitted, "test").unwrap();
                    let mut found = fill();
                    let addresses: Vec<*mut u8> = found.iter_mut().map(|bytes| bytes.as_mut_ptr()).collect();
                    // SAFETY: the evaluator ran the same kernel on buffers of the same sizes without a stray access.
                    let trap = unsafe { run(&code, &mut Instance::default(), &once(&addresses, &[]), None) };
                    assert_eq!(trap, None);
                    assert_eq!(found, expected, "{start} to {stop}, every {every}, {beside:?}, {bits} bits");
                }
            }
        }
    }
}
