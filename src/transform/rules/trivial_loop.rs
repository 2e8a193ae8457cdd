//! # trivial_loop
//!
//! Runs the body of a loop of one iteration without the loop, and removes a loop without iterations or without a body.
//!
//! ## Legal when
//! - the loop counts from one size to another by a fixed step, and the difference of the two is a number that says how often
//!   it runs, or it does nothing;
//! - its body is one state, in which the first value can stand for the variable, and nobody looks at the variable afterwards.
//!
//! ## Before
//! ```pelton
//! program once(a: f64[8], b: f64[8], N: i64 symbol) {
//!   for k in N:N+1 {
//!     state main { map i in 0:8 { b[i] = a[i] * k } }
//!   }
//!   for k in 3:3 {
//!     state never { map i in 0:8 { b[i] = a[i] * k } }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program once(a: f64[8], b: f64[8], N: i64 symbol) {
//!   state main { map i in 0:8 { b[i] = a[i] * N } }
//!   state never { }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program maybe(a: f64[8], b: f64[8], N: i64 symbol) {
//!   for k in 0:N {
//!     state main { map i in 0:8 { b[i] = a[i] * k } }
//!   }
//! }
//! ```
//!
//! Enables: state_fusion. Source: DaCe `TrivialLoopElimination`.

use crate::ir::{BlockId, BlockKind, GraphId, State};
use crate::transform::control::{self, Readers};
use crate::transform::editor::{Editor, Place};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::substitute;

/// The rule.
pub struct TrivialLoop;

/// Loops of a graph, each with its only state and what takes its place.
pub struct Found {
    graph: GraphId,
    loops: Vec<(BlockId, BlockId, State)>,
}

impl Transformation for TrivialLoop {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Graph;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Graph(graph) = site else { return None };
        let loops = control::find_loops(editor, graph, |editor, block, blocks, readers| {
            let (inner, state) = unrolled(editor, graph, block, blocks, readers)?;
            Some((block, inner, state))
        })?;
        Some(Found { graph, loops })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        for (block, inner, state) in found.loops {
            control::replace_loop(editor, found.graph, block, inner, state).ok_or(Stopped)?;
        }
        Ok(())
    }
}

/// The only state of a loop, and what the loop comes to.
fn unrolled(
    editor: &mut Editor<'_>,
    graph: GraphId,
    block: BlockId,
    loops: &[BlockId],
    readers: &Readers,
) -> Option<(BlockId, State)> {
    let inner = control::only_state(editor.graph(graph)?, block)?;
    let (view, exprs) = editor.split(Place { graph, block: inner })?;
    let BlockKind::Loop(repeated) = &view.graph.blocks.get(block)?.kind else { return None };
    let range = control::counted(exprs, view.graph, repeated)?;
    if !readers.end_with_loop(view.graph, range.variable, block, loops) {
        return None;
    }
    if view.state.live_nodes().next().is_none() {
        return Some((inner, State::default()));
    }
    let span = exprs.sub(range.last, range.start);
    let span = exprs.as_int(span)?.checked_mul(range.step.signum())?;
    if span < 0 {
        return Some((inner, State::default()));
    }
    if span >= range.step.checked_abs()? {
        return None;
    }
    let state = substitute::state(exprs, view.names, view.state, &[(range.variable, range.start)])?;
    Some((inner, state))
}
