//! What a subset covers over all points of a map: memlet propagation.

use crate::entity::Name;
use crate::ir::{Range, Subset};
use crate::symbolic::{ExprId, ExprPool, Truth};

/// The smallest box (with step 1) that holds `subset` for every value of the parameters, each of which runs
/// over its range. `None` when an index is not provably monotone in a parameter, so no box is known.
///
/// Parameters come slowest first; the range of one may depend on those before it.
pub fn covered_by_map(exprs: &mut ExprPool, subset: &Subset, params: &[(Name, Range)]) -> Option<Subset> {
    let mut ranges = subset.ranges.clone();
    for &(param, over) in params.iter().rev() {
        for range in &mut ranges {
            if !exprs.depends_on(range.start, param) && !exprs.depends_on(range.end, param) {
                continue;
            }
            let (low, _) = ends_over(exprs, range.start, param, over)?;
            let (_, high) = ends_over(exprs, range.end, param, over)?;
            let one = exprs.int(1);
            *range = Range { start: low, end: high, step: one, tile: range.tile };
        }
    }
    Some(Subset { ranges })
}

/// The smallest box that holds both; `None` when the ranks differ.
pub fn hull(exprs: &mut ExprPool, a: &Subset, b: &Subset) -> Option<Subset> {
    if a.ranges.len() != b.ranges.len() {
        return None;
    }
    let one = exprs.int(1);
    let joined = a.ranges.iter().zip(&b.ranges).map(|(a, b)| {
        if a == b {
            return *a;
        }
        Range { start: exprs.min(a.start, b.start), end: exprs.max(a.end, b.end), step: one, tile: one }
    });
    Some(Subset { ranges: joined.collect() })
}

/// Least and greatest value of an expression that is linear in `param`.
fn ends_over(exprs: &mut ExprPool, expr: ExprId, param: Name, over: Range) -> Option<(ExprId, ExprId)> {
    if exprs.as_symbol(expr) == Some(param) {
        return Some((over.start, over.end));
    }
    let one = exprs.int(1);
    let symbol = exprs.symbol(param);
    let next = exprs.add(symbol, one);
    let ahead = exprs.substitute(expr, &|name| (name == param).then_some(next));
    let slope = exprs.sub(ahead, expr);
    if exprs.depends_on(slope, param) {
        return None;
    }
    let zero = exprs.int(0);
    let first = exprs.substitute(expr, &|name| (name == param).then_some(over.start));
    let last = exprs.substitute(expr, &|name| (name == param).then_some(over.end));
    if exprs.at_most(zero, slope) == Truth::Yes {
        Some((first, last))
    } else if exprs.at_most(slope, zero) == Truth::Yes {
        Some((last, first))
    } else {
        None
    }
}
