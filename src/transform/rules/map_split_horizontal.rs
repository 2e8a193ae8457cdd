//! # map_split_horizontal
//!
//! Cuts the ends off maps whose ranges nearly agree and that read the same container, so that the ranges agree and the maps
//! can become one; what was cut off stays as maps of few iterations.
//!
//! ## Legal when
//! - the ranges differ by a known number of iterations, at most two at each end of a dimension;
//! - iterations of the maps that are cut may run in any order, and all their results are arguments: a transient that one map
//!   computes could move to its readers, one that several maps compute cannot;
//! - the maps could be fused if their ranges agreed.
//!
//! ## Before
//! ```pelton
//! program half_levels(a: f64[9], b: f64[9], s: f64[9], d: f64[9]) {
//!   state main {
//!     map i in 0:9 { s[i] = a[i] + b[i] }
//!     map j in 0:8 { d[j] = a[j] - b[j] }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program half_levels(a: f64[9], b: f64[9], s: f64[9], d: f64[9]) {
//!   state main {
//!     n0 = access a
//!     n1 = access b
//!     n2 = map_entry sum [i in 0:8]
//!     n3 = tasklet add (x, y) -> (z) { z = x + y }
//!     n4 = map_exit sum of n2
//!     n5 = map_entry last [i in 8:9]
//!     n6 = tasklet add (x, y) -> (z) { z = x + y }
//!     n7 = map_exit last of n5
//!     n8 = map_entry difference [j in 0:8]
//!     n9 = tasklet subtract (x, y) -> (z) { z = x - y }
//!     n10 = map_exit difference of n8
//!     n11 = access s
//!     n12 = access d
//!     n0 -> n2.IN_a : a[0:8]
//!     n1 -> n2.IN_b : b[0:8]
//!     n2.OUT_a -> n3.x : a[i]
//!     n2.OUT_b -> n3.y : b[i]
//!     n3.z -> n4.IN_s : s[i]
//!     n4.OUT_s -> n11 : s[0:8]
//!     n4 -> n5
//!     n0 -> n5.IN_a : a[8]
//!     n1 -> n5.IN_b : b[8]
//!     n5.OUT_a -> n6.x : a[i]
//!     n5.OUT_b -> n6.y : b[i]
//!     n6.z -> n7.IN_s : s[i]
//!     n7.OUT_s -> n11 : s[8]
//!     n0 -> n8.IN_a : a[0:8]
//!     n1 -> n8.IN_b : b[0:8]
//!     n8.OUT_a -> n9.x : a[j]
//!     n8.OUT_b -> n9.y : b[j]
//!     n9.z -> n10.IN_d : d[j]
//!     n10.OUT_d -> n12 : d[0:8]
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program halves(a: f64[8], b: f64[8], s: f64[8], d: f64[8]) {
//!   state main {
//!     map i in 0:8 { s[i] = a[i] + b[i] }
//!     map j in 0:4 { d[j] = a[j] - b[j] }
//!   }
//! }
//! ```
//!
//! Enables: map_fusion_horizontal. Source: GT4Py `HorizontalSplitMapRange`.

use hashbrown::HashSet;

use crate::entity::Name;
use crate::ir::{BlockKind, Map, NodeId, Range};
use crate::symbolic::{ExprId, ExprPool};
use crate::transform::editor::{Editor, Place, View};
use crate::transform::map_parts::{self, Parts};
use crate::transform::order::{self, Unit};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::rules::map_fusion_horizontal::{bodies_fit, is_candidate, partners, place};
use crate::transform::scope;
use crate::transform::substitute;

/// Iterations that are cut off at one end of a dimension.
const MOST_CUT: i64 = 2;
/// Iterations that have to be left, if their number is known, besides one.
const LEAST_LEFT: i64 = 4;

/// The rule.
pub struct MapSplitHorizontal;

/// Maps of a state that are cut.
pub struct Found {
    at: Place,
    parts: Vec<Parts>,
}

impl Transformation for MapSplitHorizontal {
    type Match = Found;
    // A state is indexed anew afterwards, so all its maps are cut at once.
    const KIND: SiteKind = SiteKind::State;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::State(at) = site else { return None };
        if !order::is_explicit(editor, at) {
            return None;
        }
        let (view, exprs) = editor.split(at)?;
        let mut taken: HashSet<NodeId> = HashSet::new();
        let mut parts = Vec::new();
        for (entry, _) in view.state.live_nodes() {
            if !is_candidate(&view, entry) || taken.contains(&entry) {
                continue;
            }
            let Some(end) = view.index.exit(entry) else { continue };
            let second = Unit { begin: entry, end };
            for partner in partners(&view, entry) {
                let Some(end) = view.index.exit(partner).filter(|_| !taken.contains(&partner)) else {
                    continue;
                };
                let first = Unit { begin: partner, end };
                if let Some(found) = cuts(&view, exprs, first, second) {
                    taken.extend([entry, partner]);
                    parts.extend(found);
                    break;
                }
            }
        }
        (!parts.is_empty()).then_some(Found { at, parts })
    }

    fn apply(editor: &mut Editor<'_>, Found { at, parts }: Found) -> Result<(), Stopped> {
        let state = map_parts::split(editor, at, parts).ok_or(Stopped)?;
        editor.replace_block(at, BlockKind::State(Box::new(state))).map(drop).ok_or(Stopped)
    }
}

/// The parts of two maps, of one or both of them, that make them fit each other.
fn cuts(view: &View<'_>, exprs: &mut ExprPool, first: Unit, second: Unit) -> Option<Vec<Parts>> {
    let (a, b) = (scope::map(view, first.begin)?, scope::map(view, second.begin)?);
    let alike = a.params.len() == b.params.len() && a.schedule == b.schedule && a.unroll == b.unroll;
    if !alike || !writes_arguments(view, first) && !writes_arguments(view, second) {
        return None;
    }
    let mut renaming: Vec<(Name, ExprId)> = Vec::new();
    let (mut common, mut differ) = (Vec::new(), false);
    for (number, (&own, &other)) in a.params.iter().zip(&b.params).enumerate() {
        let own_range = a.range.ranges[number];
        let range = substitute::range(exprs, &b.range.ranges[number], &renaming);
        let symbol = exprs.symbol(own);
        renaming.push((other, symbol));
        if range == own_range {
            common.push(range);
            continue;
        }
        differ = true;
        common.push(overlap(exprs, own_range, range)?);
    }
    if !differ {
        return None;
    }
    let renaming = if a.params == b.params { Vec::new() } else { renaming };
    let later = place(view, first, second)?;
    if !bodies_fit(view, exprs, first, second, &renaming) {
        return None;
    }
    let mut found = Vec::new();
    for (unit, map) in [(first, a), (second, b)] {
        let maps = parts(exprs, map, &common);
        if maps.len() > 1 {
            // What is cut off the first one runs before the second one, which could not be moved up any more.
            let blocked = later && unit.begin == first.begin;
            if blocked || !writes_arguments(view, unit) || !map_parts::can_be_cut(view, exprs, unit) {
                return None;
            }
            found.push(Parts { unit, maps });
        }
    }
    Some(found)
}

/// What two ranges have in common, if they differ by few iterations.
fn overlap(exprs: &mut ExprPool, a: Range, b: Range) -> Option<Range> {
    let (start, end) = (exprs.sub(b.start, a.start), exprs.sub(b.end, a.end));
    let (start, end) = (exprs.as_int(start)?, exprs.as_int(end)?);
    let fits = start.abs() <= MOST_CUT
        && end.abs() <= MOST_CUT
        && (a.step, a.tile) == (b.step, b.tile)
        && exprs.as_int(a.step) == Some(1)
        && exprs.as_int(a.tile) == Some(1);
    let (later, earlier) = (if start > 0 { b } else { a }, if end < 0 { b } else { a });
    let span = exprs.sub(earlier.end, later.start);
    let long = exprs.as_int(span).is_none_or(|span| span >= LEAST_LEFT);
    (fits && long).then_some(Range { start: later.start, end: earlier.end, ..a })
}

/// The map over a part of its range, and over what is cut off on both sides of each dimension.
fn parts(exprs: &mut ExprPool, map: &Map, common: &[Range]) -> Vec<Map> {
    let one = exprs.int(1);
    let (mut left, mut cut) = (map.clone(), Vec::new());
    for (number, &common) in common.iter().enumerate() {
        let range = left.range.ranges[number];
        let with = |range: Range| {
            let mut map = left.clone();
            map.range.ranges[number] = range;
            map
        };
        if range.start != common.start {
            // The map may have fewer iterations than are cut off.
            let before = exprs.sub(common.start, one);
            cut.push(with(Range { end: exprs.min(before, range.end), ..range }));
        }
        if range.end != common.end {
            let after = exprs.add(common.end, one);
            cut.push(with(Range { start: exprs.max(after, common.start), ..range }));
        }
        left.range.ranges[number] = common;
    }
    cut.insert(0, left);
    cut
}

/// Whether all that a map writes are arguments: nothing that could be computed where it is read instead.
fn writes_arguments(view: &View<'_>, unit: Unit) -> bool {
    view.data_out(unit.end).all(|(_, edge)| {
        let data = edge.memlet.data.and_then(|name| view.graph.data.get(&name));
        data.is_some_and(|data| !data.transient) && view.accessed(edge.dst).is_some()
    })
}
