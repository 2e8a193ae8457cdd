//! # map_split_vertical
//!
//! Cuts a map that reads a transient where the maps that write the transient meet, so that each part of it reads what one map
//! writes and can be fused with that map.
//!
//! ## Legal when
//! - one access node is all there is of the transient; maps write it, each a box, side by side along one dimension;
//! - every element that a part of the reader reads lies in one of the boxes, for all sizes;
//! - iterations of the reader may run in any order.
//!
//! ## Before
//! ```pelton
//! program boundary(a: f64[8], b: f64[8]) {
//!   transient t: f64[8]
//!   state main {
//!     n0 = access a
//!     n1 = map_entry first [i in 0:1]
//!     n2 = tasklet same (x) -> (y) { y = x }
//!     n3 = map_exit first of n1
//!     n4 = map_entry inner [i in 1:8]
//!     n5 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n6 = map_exit inner of n4
//!     n7 = access t
//!     n8 = map_entry read [i in 0:8]
//!     n9 = tasklet less (x) -> (y) { y = x - 1 }
//!     n10 = map_exit read of n8
//!     n11 = access b
//!     n0 -> n1.IN_a : a[0]
//!     n1.OUT_a -> n2.x : a[i]
//!     n2.y -> n3.IN_t : t[i]
//!     n3.OUT_t -> n7 : t[0]
//!     n3 -> n4
//!     n0 -> n4.IN_a : a[1:8]
//!     n4.OUT_a -> n5.x : a[i]
//!     n5.y -> n6.IN_t : t[i]
//!     n6.OUT_t -> n7 : t[1:8]
//!     n7 -> n8.IN_t : t[0:8]
//!     n8.OUT_t -> n9.x : t[i]
//!     n9.y -> n10.IN_b : b[i]
//!     n10.OUT_b -> n11 : b[0:8]
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program boundary(a: f64[8], b: f64[8]) {
//!   transient t: f64[8]
//!   state main {
//!     n0 = access a
//!     n1 = map_entry first [i in 0:1]
//!     n2 = tasklet same (x) -> (y) { y = x }
//!     n3 = map_exit first of n1
//!     n4 = map_entry inner [i in 1:8]
//!     n5 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n6 = map_exit inner of n4
//!     n7 = access t
//!     n8 = map_entry read [i in 0:1]
//!     n9 = tasklet less (x) -> (y) { y = x - 1 }
//!     n10 = map_exit read of n8
//!     n11 = access b
//!     n12 = map_entry read [i in 1:8]
//!     n13 = tasklet less (x) -> (y) { y = x - 1 }
//!     n14 = map_exit read of n12
//!     n0 -> n1.IN_a : a[0]
//!     n1.OUT_a -> n2.x : a[i]
//!     n2.y -> n3.IN_t : t[i]
//!     n3.OUT_t -> n7 : t[0]
//!     n3 -> n4
//!     n0 -> n4.IN_a : a[1:8]
//!     n4.OUT_a -> n5.x : a[i]
//!     n5.y -> n6.IN_t : t[i]
//!     n6.OUT_t -> n7 : t[1:8]
//!     n7 -> n8.IN_t : t[0]
//!     n8.OUT_t -> n9.x : t[i]
//!     n9.y -> n10.IN_b : b[i]
//!     n10.OUT_b -> n11 : b[0]
//!     n10 -> n12
//!     n7 -> n12.IN_t : t[1:8]
//!     n12.OUT_t -> n13.x : t[i]
//!     n13.y -> n14.IN_b : b[i]
//!     n14.OUT_b -> n11 : b[1:8]
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program in_order(a: f64[8], b: f64[1]) {
//!   transient t: f64[8]
//!   state main {
//!     n0 = access a
//!     n1 = map_entry first [i in 0:1]
//!     n2 = tasklet same (x) -> (y) { y = x }
//!     n3 = map_exit first of n1
//!     n4 = map_entry inner [i in 1:8]
//!     n5 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n6 = map_exit inner of n4
//!     n7 = access t
//!     n8 = map_entry read [i in 0:8] sequential
//!     n9 = tasklet same (x) -> (y) { y = x }
//!     n10 = map_exit read of n8
//!     n11 = access b
//!     n0 -> n1.IN_a : a[0]
//!     n1.OUT_a -> n2.x : a[i]
//!     n2.y -> n3.IN_t : t[i]
//!     n3.OUT_t -> n7 : t[0]
//!     n3 -> n4
//!     n0 -> n4.IN_a : a[1:8]
//!     n4.OUT_a -> n5.x : a[i]
//!     n5.y -> n6.IN_t : t[i]
//!     n6.OUT_t -> n7 : t[1:8]
//!     n7 -> n8.IN_t : t[0:8]
//!     n8.OUT_t -> n9.x : t[i]
//!     n9.y -> n10.IN_b : b[0] wcr "lambda x, y: x - y"
//!     n10.OUT_b -> n11 : b[0] wcr "lambda x, y: x - y"
//!   }
//! }
//! ```
//!
//! Enables: split_parts, and then map_fusion_vertical. Source: GT4Py `VerticalSplitMapRange`.

use hashbrown::HashSet;

use crate::ir::{BlockKind, EdgeId, Map, NodeId, NodeKind, Range, Subset};
use crate::symbolic::{Assumptions, ExprId, ExprPool, Prover};
use crate::transform::copies;
use crate::transform::cost;
use crate::transform::editor::{Editor, Place, View};
use crate::transform::map_parts::{self, Parts};
use crate::transform::order::{self, Unit};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::rules::map_fusion_horizontal::is_candidate;
use crate::transform::scope;

/// The rule.
pub struct MapSplitVertical;

/// Maps of a state that are cut.
pub struct Found {
    at: Place,
    parts: Vec<Parts>,
}

/// Maps that write one transient beyond which its readers stay whole, and parts of a reader.
const MOST: usize = 4;

/// The boxes in which a transient is written, side by side along a dimension.
struct Boxes {
    dim: usize,
    /// Per box, what it holds of that dimension, upwards.
    spans: Vec<Range>,
}

impl Transformation for MapSplitVertical {
    type Match = Found;
    // A state is indexed anew afterwards, so all its maps are cut at once.
    const KIND: SiteKind = SiteKind::State;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::State(at) = site else { return None };
        let view = editor.view(at)?;
        let transients: Vec<NodeId> = (view.state.live_nodes())
            .map(|(node, _)| node)
            .filter(|&node| {
                view.index.incoming(node).len() > 1
                    && (2..=MOST).contains(&view.data_in(node).count())
                    && copies::is_private(&view, node)
            })
            .collect();
        if transients.is_empty() || !order::is_explicit(editor, at) {
            return None;
        }
        let (view, exprs) = editor.split(at)?;
        let mut taken: HashSet<NodeId> = HashSet::new();
        let mut parts = Vec::new();
        for node in transients {
            let Some(boxes) = boxes(&view, exprs, node) else { continue };
            for (id, edge) in view.data_out(node) {
                let (begin, name) = (edge.dst, edge.memlet.data);
                let Some(end) = view.index.exit(begin) else { continue };
                let unit = Unit { begin, end };
                if is_candidate(&view, begin)
                    && name == view.accessed(node)
                    && !taken.contains(&begin)
                    && let Some(maps) = cut(&view, exprs, unit, id, &boxes)
                {
                    taken.insert(begin);
                    parts.push(Parts { unit, maps });
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

/// The boxes in which maps write a transient.
fn boxes(view: &View<'_>, exprs: &mut ExprPool, node: NodeId) -> Option<Boxes> {
    let name = view.accessed(node)?;
    let mut written: Vec<&Subset> = Vec::new();
    for (_, edge) in view.data_in(node) {
        let is_plain = matches!(view.kind(edge.src), Some(NodeKind::MapExit { .. }))
            && edge.memlet.data == Some(name)
            && edge.memlet.wcr.is_none()
            && !edge.memlet.dynamic;
        written.push(edge.memlet.subset.as_ref().filter(|_| is_plain)?);
    }
    let (first, rest) = written.split_first()?;
    let is_solid = |range: &Range| exprs.as_int(range.step) == Some(1) && exprs.as_int(range.tile) == Some(1);
    let same_rank = |subset: &&&Subset| subset.ranges.len() == first.ranges.len();
    if !written.iter().all(|subset| same_rank(&subset) && subset.ranges.iter().all(is_solid)) {
        return None;
    }
    let differs = |dim: &usize| rest.iter().any(|subset| subset.ranges[*dim] != first.ranges[*dim]);
    let mut dims = (0..first.ranges.len()).filter(differs);
    let (dim, None) = (dims.next()?, dims.next()) else { return None };
    let mut open: Vec<Range> = written.iter().map(|subset| subset.ranges[dim]).collect();
    let one = exprs.int(1);
    // Each box but one begins where another one ends.
    let behind: Vec<ExprId> = open.iter().map(|range| exprs.add(range.end, one)).collect();
    let at = open.iter().position(|range| !behind.contains(&range.start))?;
    let mut spans = vec![open.swap_remove(at)];
    while let Some(last) = spans.last().filter(|_| !open.is_empty()) {
        let next = exprs.add(last.end, one);
        let at = open.iter().position(|range| range.start == next)?;
        spans.push(open.swap_remove(at));
    }
    Some(Boxes { dim, spans })
}

/// The parts of a map that reads a transient through an edge, if cutting it makes each of its reads meet one box.
fn cut(view: &View<'_>, exprs: &mut ExprPool, unit: Unit, edge: EdgeId, boxes: &Boxes) -> Option<Vec<Map>> {
    let name = view.edge(edge).memlet.data?;
    let map = scope::map(view, unit.begin)?;
    let mut indices: Vec<ExprId> = Vec::new();
    for id in copies::value_reads_from(view, exprs, vec![edge], name)? {
        // The edges out of the entry say which element is read.
        if view.edge(id).src == unit.begin {
            indices.push(view.edge(id).memlet.subset.as_ref()?.ranges.get(boxes.dim)?.start);
        }
    }
    let meet_one = |exprs: &ExprPool, map: &Map| {
        let known = scope::assumptions(map);
        indices.iter().all(|&index| boxes.spans.iter().any(|span| scope::lies_in(exprs, &known, index, span)))
    };
    if meet_one(exprs, map) {
        return None;
    }
    // Where the index of a read comes to a new box.
    let mut param: Option<usize> = None;
    let mut cuts: Vec<ExprId> = Vec::new();
    for &index in &indices {
        let mut along = (0..map.params.len()).filter(|&number| exprs.depends_on(index, map.params[number]));
        let (Some(number), None) = (along.next(), along.next()) else { continue };
        let symbol = exprs.symbol(map.params[number]);
        let offset = exprs.sub(index, symbol);
        if exprs.depends_on(offset, map.params[number]) || param.is_some_and(|known| known != number) {
            return None;
        }
        param = Some(number);
        let range = map.range.ranges[number];
        for span in &boxes.spans[1..] {
            let at = exprs.sub(span.start, offset);
            let inside = !exprs.at_most(at, range.start).is_yes() && !exprs.less_than(range.end, at).is_yes();
            if inside && !cuts.contains(&at) {
                cuts.push(at);
            }
        }
    }
    let number = param?;
    let pieces = pieces(exprs, map.range.ranges[number], cuts)?;
    let with = |range: Range| {
        let mut map = map.clone();
        map.range.ranges[number] = range;
        map
    };
    let maps: Vec<Map> = pieces.into_iter().map(with).collect();
    let small = scope::body(view, unit.begin).len() * maps.len() <= cost::MAX_BODY;
    let useful = small && maps.iter().all(|map| meet_one(exprs, map));
    (useful && map_parts::can_be_cut(view, exprs, unit)).then_some(maps)
}

/// A range in pieces that begin at some of its values, whether or not it has them.
fn pieces(exprs: &mut ExprPool, range: Range, cuts: Vec<ExprId>) -> Option<Vec<Range>> {
    let mut sorted: Vec<ExprId> = Vec::new();
    for cut in cuts {
        let at =
            sorted.iter().position(|&other| exprs.less_than(cut, other).is_yes()).unwrap_or(sorted.len());
        if sorted[..at].iter().any(|&other| !exprs.less_than(other, cut).is_yes()) {
            return None;
        }
        sorted.insert(at, cut);
    }
    if sorted.is_empty() || sorted.len() >= MOST {
        return None;
    }
    let (one, nothing) = (exprs.int(1), Assumptions::new());
    let mut pieces = Vec::new();
    let mut start = range.start;
    for &cut in &sorted {
        let last = exprs.sub(cut, one);
        let within = Prover::new(exprs, &nothing).at_most(last, range.end).is_yes();
        let end = if within { last } else { exprs.min(last, range.end) };
        pieces.push(Range { start, end, ..range });
        let beyond = Prover::new(exprs, &nothing).at_most(range.start, cut).is_yes();
        start = if beyond { cut } else { exprs.max(cut, range.start) };
    }
    pieces.push(Range { start, ..range });
    Some(pieces)
}
