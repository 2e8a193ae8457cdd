//! How much a loop does, roughly: operations of one iteration times iterations, less where vectors do several at once.

use hashbrown::HashSet;

use crate::scalar::BinaryOp;

use super::{Code, Op, Stmt, ValueId};

/// Iterations of a loop whose bounds are not known in front of the outer loop.
const GUESS: f64 = 8.0;

/// How much faster the iterations of an innermost parallel loop are, which become vector code as a rule and then wait for
/// memory.
const AT_ONCE: f64 = 4.0;

/// Operations of a parallel loop with these bounds, as a `float64`.
pub fn of(
    code: &mut Code<'_>,
    inside: &HashSet<ValueId>,
    (start, stop, step): (ValueId, ValueId, i64),
    body: &[Stmt],
) -> ValueId {
    let each = each(code, inside, true, body);
    let trips = trips(code, (start, stop, step));
    code.floats(BinaryOp::Mul, each, trips)
}

/// Operations of an iteration of a loop.
fn each(code: &mut Code<'_>, inside: &HashSet<ValueId>, parallel: bool, body: &[Stmt]) -> ValueId {
    let all = list(code, inside, body);
    let is_loop = |stmt: &Stmt| matches!(stmt, Stmt::For { .. } | Stmt::Loop(_) | Stmt::Cfg(_));
    if !parallel || Stmt::all(body).any(is_loop) {
        return all;
    }
    let share = code.float(1.0 / AT_ONCE);
    code.floats(BinaryOp::Mul, all, share)
}

/// Whether a value that was just computed is known to be less than that.
pub fn is_less(code: &Code<'_>, work: ValueId, least: f64) -> bool {
    known(code, work, 0).is_some_and(|work| work < least)
}

/// The number that constant code gives.
fn known(code: &Code<'_>, value: ValueId, depth: u32) -> Option<f64> {
    if depth > 64 {
        return None;
    }
    let op = code.stmts.iter().find_map(|stmt| match stmt {
        Stmt::Let(known, op) if *known == value => Some(op),
        _ => None,
    })?;
    match op {
        Op::Const(literal) => Some(f64::from_bits(literal.bits)),
        Op::Binary(op, a, b) => {
            let (a, b) = (known(code, *a, depth + 1)?, known(code, *b, depth + 1)?);
            match op {
                BinaryOp::Add => Some(a + b),
                BinaryOp::Sub => Some(a - b),
                BinaryOp::Mul => Some(a * b),
                BinaryOp::Max => Some(a.max(b)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn trips(code: &mut Code<'_>, (start, stop, step): (ValueId, ValueId, i64)) -> ValueId {
    let (start, stop) = (code.as_float(start), code.as_float(stop));
    let span = code.floats(BinaryOp::Sub, stop, start);
    let per_step = code.float(1.0 / step as f64);
    let trips = code.floats(BinaryOp::Mul, span, per_step);
    let none = code.float(0.0);
    code.floats(BinaryOp::Max, trips, none)
}

fn list(code: &mut Code<'_>, inside: &HashSet<ValueId>, stmts: &[Stmt]) -> ValueId {
    let mut plain = 1.0;
    let mut total: Option<ValueId> = None;
    for stmt in stmts {
        let inner = match stmt {
            Stmt::Let(_, Op::Const(_)) => continue,
            Stmt::Let(_, Op::Math(..) | Op::Complex(..)) => {
                plain += 10.0;
                continue;
            }
            Stmt::For { start, stop, step, order, body, .. } => {
                let each = each(code, inside, order.may_change(), body);
                let trips = if inside.contains(start) || inside.contains(stop) {
                    code.float(GUESS)
                } else {
                    trips(code, (*start, *stop, *step))
                };
                code.floats(BinaryOp::Mul, each, trips)
            }
            Stmt::Loop(body) => {
                let each = list(code, inside, body);
                let trips = code.float(GUESS);
                code.floats(BinaryOp::Mul, each, trips)
            }
            Stmt::Block(_, body) => list(code, inside, body),
            Stmt::If { then, otherwise, .. } => {
                let (a, b) = (list(code, inside, then), list(code, inside, otherwise));
                code.floats(BinaryOp::Max, a, b)
            }
            Stmt::Cfg(_) => code.float(GUESS * 10.0),
            _ => {
                plain += 1.0;
                continue;
            }
        };
        total = Some(match total {
            Some(total) => code.floats(BinaryOp::Add, total, inner),
            None => inner,
        });
    }
    let plain = code.float(plain);
    match total {
        Some(total) => code.floats(BinaryOp::Add, total, plain),
        None => plain,
    }
}
