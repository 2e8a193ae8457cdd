//! The optimized program that machine code is made of, and the calls it is right for.
//!
//! The optimizer takes arguments for separate unless they are declared otherwise. A caller may pass overlapping memory
//! for two of them all the same, and then the program as it was written says what happens.

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::ir::{Data, DataKind, Lifetime, NodeKind, Program};
use crate::memory::{Given, Required, meets};
use crate::transform;

/// An optimized program.
#[derive(Debug)]
pub(super) struct Fast {
    /// The program. Its arguments are those of the original, in the same order.
    pub program: Arc<Program>,
    /// Per argument: whether it is declared that it may share memory.
    may_share: Vec<bool>,
    /// Positions of arguments that the program may write.
    written: Vec<usize>,
}

impl Fast {
    /// The optimized form of a program, for one thread or for more; `None` if the optimizer changed nothing or failed.
    pub fn of(program: &Program, required: &[Required], alone: bool) -> Option<Fast> {
        // Two codes of one program would not share what survives a call.
        let survives = |data: &Data| matches!(data.lifetime, Lifetime::Persistent | Lifetime::External);
        if program.graphs.values().any(|graph| graph.data.values().any(survives)) {
            return None;
        }
        let mut optimized = program.clone();
        // Threads, and the lanes of a shader, share out loops whose inner loops have bounds of their own.
        let skip = if alone { Vec::new() } else { vec!["map_tiling".to_owned()] };
        let options = transform::Options { skip, ..transform::Options::default() };
        let report = transform::run(&mut optimized, transform::OPTIMIZE, &options, &mut |_, _| {}).ok()?;
        if report.fired() == 0 {
            return None;
        }
        let graph = program.root_graph()?;
        let may_share = required
            .iter()
            .map(|item| graph.data.get(&item.name).and_then(|data| data.array()).is_some_and(|a| a.may_alias))
            .collect();
        let written = required
            .iter()
            .enumerate()
            .filter(|(_, item)| {
                graph.states().any(|(_, state)| {
                    state.edges.values().filter(|edge| !edge.removed).any(|edge| {
                        let target = state.nodes.get(edge.dst).map(|node| &node.kind);
                        // A member of a structure, or a view, may be written as well: only plain names are certain.
                        matches!(target, Some(NodeKind::Access { data, .. }) if *data == item.name)
                            || graph.data.get(&item.name).is_none_or(|data| {
                                !matches!(data.kind, DataKind::Array(_) | DataKind::Scalar(_))
                            })
                    })
                })
            })
            .map(|(position, _)| position)
            .collect();
        Some(Fast { program: Arc::new(optimized), may_share, written })
    }

    /// Whether the optimized program does what the original one does, on these arguments.
    pub fn fits(&self, given: &[Given<'_>]) -> bool {
        let range = |given: &Given<'_>| {
            let Given::Array(array) = given else { return 0..0 };
            let item = array.ty.bytes(&self.program.structs);
            let Some((distance, bytes)) = array.reach(item) else { return 0..0 };
            let first = array.address.wrapping_offset(distance) as usize;
            first..first.saturating_add(bytes)
        };
        let ranges: SmallVec<[Range<usize>; 32]> = given.iter().map(range).collect();
        let may_share = |index: usize| self.may_share.get(index) == Some(&true);
        !meets(&ranges, &self.written, |a, b| !(may_share(a) && may_share(b)))
    }
}
