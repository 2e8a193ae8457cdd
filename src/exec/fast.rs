//! The optimized program that machine code is made of, and the calls it is right for.
//!
//! The optimizer takes arguments for separate unless they are declared otherwise. A caller may pass overlapping memory
//! for two of them all the same, and then the program as it was written says what happens.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::ir::{Data, DataKind, Lifetime, NodeKind, Program};
use crate::memory::{Given, Required};
use crate::transform;

/// An optimized program.
#[derive(Debug)]
pub(super) struct Fast {
    /// The program. Its arguments are those of the original, in the same order.
    pub program: Arc<Program>,
    /// Per argument: whether it is declared that it may share memory.
    may_share: Vec<bool>,
    /// Per argument: whether the program may write it.
    written: Vec<bool>,
}

impl Fast {
    /// The optimized form of a program; `None` if the optimizer changed nothing or failed.
    pub fn of(program: &Program, required: &[Required]) -> Option<Fast> {
        // Two codes of one program would not share what survives a call.
        let survives = |data: &Data| matches!(data.lifetime, Lifetime::Persistent | Lifetime::External);
        if program.graphs.values().any(|graph| graph.data.values().any(survives)) {
            return None;
        }
        let mut optimized = program.clone();
        let report = transform::optimize(&mut optimized).ok()?;
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
            .map(|item| {
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
            .collect();
        Some(Fast { program: Arc::new(optimized), may_share, written })
    }

    /// Whether the optimized program does what the original one does, on these arguments.
    pub fn fits(&self, given: &[Given<'_>]) -> bool {
        let mut ranges: SmallVec<[(usize, usize, usize); 32]> = SmallVec::new();
        for (index, given) in given.iter().enumerate() {
            let Given::Array(array) = given else { continue };
            let item = array.ty.bytes(&self.program.structs);
            let Some((distance, bytes)) = array.reach(item) else { continue };
            let first = array.address.wrapping_offset(distance) as usize;
            ranges.push((first, first.saturating_add(bytes), index));
        }
        ranges.sort_unstable();
        let flag = |list: &[bool], index: usize| list.get(index).copied().unwrap_or(true);
        for (number, &(_, end, a)) in ranges.iter().enumerate() {
            let overlapping = ranges[number + 1..].iter().take_while(|(first, ..)| *first < end);
            for &(_, _, b) in overlapping {
                let declared = self.may_share.get(a) == Some(&true) && self.may_share.get(b) == Some(&true);
                if !declared && (flag(&self.written, a) || flag(&self.written, b)) {
                    return false;
                }
            }
        }
        true
    }
}
