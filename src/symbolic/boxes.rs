//! Boxes of index ranges: does one cover, meet or miss another, for all values of the symbols?
//!
//! A dimension holds `start, start + step, ...` up to and including `end` at most. Steps that are not known to be positive
//! are only compared for being the same.

use super::prove::Prover;
use super::{Assumptions, ExprId, ExprPool, Truth};

/// One dimension of a box.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Span {
    /// First index.
    pub start: ExprId,
    /// No index is beyond this one.
    pub end: ExprId,
    /// Distance between indices.
    pub step: ExprId,
}

/// Whether every point of `inner` is in `outer`. Boxes of different rank give [`Truth::Unknown`].
pub fn covers(prover: &mut Prover, outer: &[Span], inner: &[Span]) -> Truth {
    if outer.len() != inner.len() || any_undefined(prover, outer) || any_undefined(prover, inner) {
        return Truth::Unknown;
    }
    let empty = is_empty(prover, inner);
    if empty.is_yes() {
        return Truth::Yes;
    }
    let truths: Vec<Truth> =
        outer.iter().zip(inner).map(|(outer, inner)| span_covers(prover, *outer, *inner)).collect();
    if truths.iter().all(|truth| truth.is_yes()) {
        return Truth::Yes;
    }
    // A coordinate that is missing makes a missing point only if there are points.
    if empty.is_no() && truths.iter().any(|truth| truth.is_no()) { Truth::No } else { Truth::Unknown }
}

/// Whether two boxes share a point. Boxes of different rank give [`Truth::Unknown`].
pub fn intersects(prover: &mut Prover, a: &[Span], b: &[Span]) -> Truth {
    if a.len() != b.len() || any_undefined(prover, a) || any_undefined(prover, b) {
        return Truth::Unknown;
    }
    let mut all = Truth::Yes;
    for (&a, &b) in a.iter().zip(b) {
        match span_intersects(prover, a, b) {
            Truth::No => return Truth::No,
            Truth::Unknown => all = Truth::Unknown,
            Truth::Yes => {}
        }
    }
    all
}

/// Whether two boxes share no point.
pub fn disjoint(prover: &mut Prover, a: &[Span], b: &[Span]) -> Truth {
    !intersects(prover, a, b)
}

/// Whether a box has no point. A box of rank zero has one.
pub fn is_empty(prover: &mut Prover, spans: &[Span]) -> Truth {
    if any_undefined(prover, spans) {
        return Truth::Unknown;
    }
    let mut all = Truth::No;
    for &span in spans {
        match span_is_empty(prover, span) {
            Truth::Yes => return Truth::Yes,
            Truth::Unknown => all = Truth::Unknown,
            Truth::No => {}
        }
    }
    all
}

/// A box that covers both, as tight as is visible; `None` for boxes of different rank or with steps that are not known to be
/// positive.
pub fn union_bounds(pool: &mut ExprPool, known: &Assumptions, a: &[Span], b: &[Span]) -> Option<Vec<Span>> {
    if a.len() != b.len() {
        return None;
    }
    if is_empty(&mut Prover::new(pool, known), a).is_yes() {
        return Some(b.to_vec());
    }
    if is_empty(&mut Prover::new(pool, known), b).is_yes() {
        return Some(a.to_vec());
    }
    a.iter().zip(b).map(|(&a, &b)| span_union(pool, known, a, b)).collect()
}

/// The points that both boxes hold; `None` for boxes of different rank, or if the grids of a dimension do not visibly agree.
pub fn intersection(pool: &mut ExprPool, known: &Assumptions, a: &[Span], b: &[Span]) -> Option<Vec<Span>> {
    if a.len() != b.len() {
        return None;
    }
    a.iter().zip(b).map(|(&a, &b)| span_intersection(pool, known, a, b)).collect()
}

/// How many points a box has, provided no dimension is more than one step short of being empty (`0..N-1` has `N`
/// points also for `N = 0`).
pub fn size(pool: &mut ExprPool, spans: &[Span]) -> ExprId {
    let extents: Vec<ExprId> = spans.iter().map(|&span| extent(pool, span)).collect();
    pool.product(&extents)
}

/// How many points one dimension has, under the same proviso as [`size`]. Steps may be negative.
pub fn extent(pool: &mut ExprPool, span: Span) -> ExprId {
    let length = pool.sum(&[(1, span.end), (-1, span.start), (1, span.step)]);
    pool.floor_div(length, span.step)
}

fn any_undefined(prover: &Prover, spans: &[Span]) -> bool {
    spans.iter().any(|span| prover.pool().any_undefined(&[span.start, span.end, span.step]))
}

fn span_covers(prover: &mut Prover, outer: Span, inner: Span) -> Truth {
    if outer == inner {
        return Truth::Yes;
    }
    if !prover.positive(outer.step) || !prover.positive(inner.step) {
        return Truth::Unknown;
    }
    let pool = prover.pool();
    let below = prover.at_most(outer.start, inner.start);
    let above = prover.at_most(inner.end, outer.end);
    if below.is_yes() && above.is_yes() && on_grid(prover, outer, inner) {
        return Truth::Yes;
    }
    // The first point of `inner`, if it has one, decides most refusals; its last one only is `end` for step one.
    let misses_start = below.is_no() || prover.at_most(inner.start, outer.end).is_no();
    let misses_end = pool.as_int(inner.step) == Some(1) && above.is_no();
    let off_grid = pool
        .as_int(outer.step)
        .is_some_and(|step| prover.residue(inner.start, outer.start, step).is_some_and(|rest| rest != 0));
    if misses_start || misses_end || off_grid { Truth::No } else { Truth::Unknown }
}

/// Whether all points of `inner` are on the grid of `outer`, ends aside.
fn on_grid(prover: &Prover, outer: Span, inner: Span) -> bool {
    let pool = prover.pool();
    if outer.step == inner.step && outer.start == inner.start {
        return true;
    }
    let Some(step) = pool.as_int(outer.step) else { return false };
    let single = inner.start == inner.end;
    let starts = step == 1 || prover.residue(inner.start, outer.start, step) == Some(0);
    starts && (single || step == 1 || pool.as_int(inner.step).is_some_and(|inner| inner % step == 0))
}

fn span_intersects(prover: &mut Prover, a: Span, b: Span) -> Truth {
    let (a_empty, b_empty) = (span_is_empty(prover, a), span_is_empty(prover, b));
    if a_empty.is_yes() || b_empty.is_yes() {
        return Truth::No;
    }
    if a == b {
        return if a_empty.is_no() { Truth::Yes } else { Truth::Unknown };
    }
    if !prover.positive(a.step) || !prover.positive(b.step) {
        return Truth::Unknown;
    }
    if prover.at_most(a.start, b.end).is_no() || prover.at_most(b.start, a.end).is_no() {
        return Truth::No;
    }
    let pool = prover.pool();
    let steps = (pool.as_int(a.step), pool.as_int(b.step));
    if let (Some(x), Some(y)) = steps
        && prover.residue(a.start, b.start, common_divisor(x, y)).is_some_and(|rest| rest != 0)
    {
        return Truth::No;
    }
    let shares = |prover: &mut Prover, point: Span, other: Span| {
        prover.at_most(other.start, point.start).is_yes()
            && prover.at_most(point.start, other.end).is_yes()
            && on_grid(prover, other, Span { end: point.start, ..point })
    };
    if a_empty.is_no() && b_empty.is_no() && (shares(prover, a, b) || shares(prover, b, a)) {
        return Truth::Yes;
    }
    // Intervals without holes meet if each starts before the other ends.
    let solid = steps == (Some(1), Some(1)) && a_empty.is_no() && b_empty.is_no();
    if solid && prover.at_most(a.start, b.end).is_yes() && prover.at_most(b.start, a.end).is_yes() {
        return Truth::Yes;
    }
    Truth::Unknown
}

fn span_is_empty(prover: &mut Prover, span: Span) -> Truth {
    if span.start == span.end {
        return Truth::No;
    }
    if prover.positive(span.step) {
        return !prover.at_most(span.start, span.end);
    }
    match prover.pool().as_int(span.step) {
        Some(..=-1) => !prover.at_most(span.end, span.start),
        _ => Truth::Unknown,
    }
}

fn span_union(pool: &mut ExprPool, known: &Assumptions, a: Span, b: Span) -> Option<Span> {
    if a == b {
        return Some(a);
    }
    let mut prover = Prover::new(pool, known);
    if !prover.positive(a.step) || !prover.positive(b.step) {
        return None;
    }
    let keeps_step = a.step == b.step
        && (a.start == b.start
            || prover
                .pool()
                .as_int(a.step)
                .is_some_and(|step| prover.residue(a.start, b.start, step) == Some(0)));
    let starts = prover.at_most(a.start, b.start);
    let ends = prover.at_most(a.end, b.end);
    let start = match starts {
        Truth::Yes => a.start,
        Truth::No => b.start,
        Truth::Unknown => pool.min(a.start, b.start),
    };
    let end = match ends {
        Truth::Yes => b.end,
        Truth::No => a.end,
        Truth::Unknown => pool.max(a.end, b.end),
    };
    let step = if keeps_step { a.step } else { pool.int(1) };
    Some(Span { start, end, step })
}

fn span_intersection(pool: &mut ExprPool, known: &Assumptions, a: Span, b: Span) -> Option<Span> {
    if a == b {
        return Some(a);
    }
    let mut prover = Prover::new(pool, known);
    let step = prover.pool().as_int(a.step).filter(|&step| step >= 1 && a.step == b.step)?;
    if step != 1 && prover.residue(a.start, b.start, step) != Some(0) {
        return None;
    }
    let starts = prover.at_most(a.start, b.start);
    let ends = prover.at_most(a.end, b.end);
    let start = match starts {
        Truth::Yes => b.start,
        Truth::No => a.start,
        Truth::Unknown => pool.max(a.start, b.start),
    };
    let end = match ends {
        Truth::Yes => a.end,
        Truth::No => b.end,
        Truth::Unknown => pool.min(a.end, b.end),
    };
    Some(Span { start, end, step: a.step })
}

fn common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
