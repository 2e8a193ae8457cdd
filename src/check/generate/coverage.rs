//! What random programs were made of, counted from the graphs themselves.

use std::fmt;

use indexmap::IndexMap;

use crate::ir::{BlockKind, DataKind, NodeKind, Program, Schedule};

/// How often each kind of thing occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Programs counted.
    pub programs: u64,
    /// Dataflow nodes in all of them.
    pub nodes: u64,
    /// Occurrences by kind.
    pub kinds: IndexMap<String, u64>,
}

impl Coverage {
    /// Counts a program.
    pub fn add(&mut self, program: &Program) {
        self.programs += 1;
        for graph in program.graphs.values() {
            for data in graph.data.values() {
                self.count(&format!("type {}", data.ty.scalar().map_or("other", |dtype| dtype.name())));
                let kind = match data.kind {
                    DataKind::Scalar(_) => "scalar",
                    DataKind::Array(_) => "array",
                    DataKind::View(_) => "view",
                    DataKind::Reference(_) => "reference",
                    DataKind::Stream(_) => "stream",
                    _ => "other container",
                };
                self.count(kind);
            }
            for block in graph.blocks.values() {
                let kind = match &block.kind {
                    BlockKind::State(_) => "state",
                    BlockKind::Loop(inner) if inner.inverted => "inverted loop",
                    BlockKind::Loop(_) => "loop",
                    BlockKind::Conditional(_) => "conditional",
                    BlockKind::Region(..) => "region",
                    BlockKind::Break => "break",
                    BlockKind::Continue => "continue",
                    BlockKind::Return => "return",
                };
                self.count(kind);
            }
            for region in graph.regions.values() {
                let assigned: usize = region.edges.iter().map(|edge| edge.assignments.len()).sum();
                self.count_many("symbol assignment", assigned as u64);
            }
            for (_, state) in graph.states() {
                for (_, node) in state.live_nodes() {
                    self.nodes += 1;
                    let kind = match &node.kind {
                        NodeKind::Access { .. } => "access node",
                        NodeKind::Tasklet(_) => "tasklet",
                        NodeKind::MapEntry(map) if map.schedule == Schedule::Sequential => "sequential map",
                        NodeKind::MapEntry(_) => "map",
                        NodeKind::ConsumeEntry(_) => "consume scope",
                        NodeKind::Nested(_) => "nested graph",
                        NodeKind::Library(library) => {
                            self.count(&format!("library {}", library.class()));
                            continue;
                        }
                        NodeKind::MapExit { .. } | NodeKind::ConsumeExit { .. } | NodeKind::Removed => {
                            continue;
                        }
                    };
                    self.count(kind);
                }
                let resolved = state.edges.values().filter(|edge| !edge.removed && edge.memlet.wcr.is_some());
                self.count_many("conflict resolution", resolved.count() as u64);
            }
        }
    }

    fn count(&mut self, kind: &str) {
        self.count_many(kind, 1);
    }

    fn count_many(&mut self, kind: &str, times: u64) {
        if times == 0 {
            return;
        }
        match self.kinds.get_mut(kind) {
            Some(count) => *count += times,
            None => {
                self.kinds.insert(kind.to_owned(), times);
            }
        }
    }

    /// How often a kind occurred.
    pub fn of(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or(0)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: Vec<(&String, &u64)> = self.kinds.iter().collect();
        kinds.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        write!(f, "{} programs, {} nodes", self.programs, self.nodes)?;
        for (kind, count) in kinds {
            write!(f, "\n  {count:>8}  {kind}")?;
        }
        Ok(())
    }
}
