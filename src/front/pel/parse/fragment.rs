//! Texts without a program around them, as in the headers of transformations.
//!
//! A fragment is a list of statements and blocks. Containers that it does not declare are inferred: their
//! elements are `f64`, their rank is that of their subsets, and their shape holds every subset over the maps
//! around it. What is written before it is read is a transient, anything else an argument. Names that are
//! left in sizes are `i64` symbols, those left only in expressions are `f64` symbols.

use indexmap::IndexMap;

use crate::analysis::propagate::hull;
use crate::diag::Result;
use crate::entity::Name;
use crate::ir::builder::{open_end, row_major};
use crate::ir::{
    Array, BlockKind, Data, DataKind, Extra, Graph, Lifetime, NodeKind, ScalarData, Storage, Subset,
};
use crate::scalar::{DType, Type};

use super::Parser;
use super::region::Draft;

/// What is known of the names a fragment does not declare.
#[derive(Default)]
pub(super) struct Inference {
    /// Containers, and whether they were first written.
    containers: IndexMap<Name, Usage>,
    /// Names in expressions that may be symbols.
    free: Vec<Name>,
}

#[derive(Default)]
struct Usage {
    written_first: bool,
    read: bool,
}

impl Parser<'_> {
    /// Whether undeclared containers are inferred.
    pub(super) fn infers(&self) -> bool {
        self.inference.is_some()
    }

    /// Remembers the use of a container and declares it for now if it is inferred.
    pub(super) fn note_use(&mut self, name: Name, writes: bool) {
        let is_declared = self.current().data.contains_key(&name);
        let Some(inference) = &mut self.inference else { return };
        if is_declared && !inference.containers.contains_key(&name) {
            return;
        }
        let usage = inference.containers.entry(name).or_insert(Usage { written_first: writes, read: false });
        usage.read |= !writes;
        self.current().data.entry(name).or_insert(Data {
            ty: Type::F64,
            kind: DataKind::Array(Array::default()),
            transient: false,
            storage: Storage::Default,
            lifetime: Lifetime::Scope,
            extra: Extra::new(),
        });
    }

    /// Remembers a name that is neither a container nor a parameter.
    pub(super) fn note_free_name(&mut self, name: Name) {
        if let Some(inference) = &mut self.inference {
            inference.free.push(name);
        }
    }

    pub(super) fn fragment(&mut self) -> Result<()> {
        self.inference = Some(Inference::default());
        let id = self.program.graphs.push(Graph { name: "fragment".to_owned(), ..Graph::default() });
        self.graph = Some(id);
        self.program.root = Some(id);
        self.declarations()?;
        let region = self.current().regions.push(Default::default());
        let mut draft = Draft::default();
        while !self.cursor.at_end() {
            self.region_item(&mut draft)?;
        }
        if draft.is_empty() {
            return Err(self
                .cursor
                .unexpected("`program NAME(...) { ... }`, or statements")
                .with_help("the shortest program is `program nothing { state start { } }`"));
        }
        let body = self.finish_region(draft)?;
        let graph = self.current();
        graph.regions[region] = body;
        graph.body = Some(region);
        self.infer()
    }

    fn infer(&mut self) -> Result<()> {
        let Some(inference) = self.inference.take() else { return Ok(()) };
        for (&name, usage) in &inference.containers {
            let kind = match self.whole_use(name) {
                Some(subset) if subset.ranges.is_empty() => DataKind::Scalar(ScalarData::default()),
                Some(subset) => {
                    let exprs = &mut self.program.exprs;
                    let shape: Vec<_> = subset.ranges.iter().map(|range| open_end(exprs, range)).collect();
                    let (strides, total) = row_major(exprs, &shape);
                    DataKind::Array(Array { shape, strides, total_size: Some(total), ..Array::default() })
                }
                None => {
                    let text = self.program.names.get(name).to_owned();
                    return Err(self
                        .cursor
                        .error("P0049", format!("the shape of `{text}` does not follow from its uses"))
                        .with_help("declare it above: `argument NAME: f64[N]` or `transient NAME: f64[N]`"));
                }
            };
            if let Some(data) = self.current().data.get_mut(&name) {
                data.kind = kind;
                data.transient = usage.written_first && usage.read;
            }
        }
        self.declare_symbols(&inference.free);
        Ok(())
    }

    /// Everything the states touch of a container.
    fn whole_use(&mut self, name: Name) -> Option<Subset> {
        let mut found: Option<Subset> = None;
        let mut subsets = Vec::new();
        for (_, state) in self.current().states() {
            for edge in state.edges.values() {
                let touches = |node| matches!(state.nodes.get(node).map(|n| &n.kind), Some(NodeKind::Access { data, .. }) if *data == name);
                if edge.memlet.data == Some(name) && (touches(edge.src) || touches(edge.dst)) {
                    subsets.push(edge.memlet.subset.clone());
                } else if touches(edge.dst) && edge.memlet.data.is_some() {
                    subsets.push(edge.memlet.other_subset.clone());
                }
            }
        }
        for subset in subsets {
            found = Some(match found {
                None => subset?,
                Some(known) => hull(&mut self.program.exprs, &known, &subset?)?,
            });
        }
        found
    }

    fn declare_symbols(&mut self, free: &[Name]) {
        let mut in_sizes = Vec::new();
        let mut bound = Vec::new();
        let graph = self.program.graphs[self.program.root.unwrap_or(crate::ir::GraphId(0))].clone();
        let mut collect = |range: &crate::ir::Range| {
            for end in [range.start, range.end, range.step] {
                in_sizes.extend(self.program.exprs.free_symbols(end));
            }
        };
        for (_, state) in graph.states() {
            for node in state.nodes.values() {
                if let NodeKind::MapEntry(map) = &node.kind {
                    map.range.ranges.iter().for_each(&mut collect);
                    bound.extend(map.params.iter().copied());
                }
            }
            for edge in state.edges.values() {
                edge.memlet.subset.iter().flat_map(|subset| &subset.ranges).for_each(&mut collect);
            }
        }
        for block in graph.blocks.values() {
            if let BlockKind::Loop(kind) = &block.kind {
                bound.extend(kind.variable);
            }
        }
        for region in graph.regions.values() {
            bound.extend(region.edges.iter().flat_map(|edge| edge.assignments.iter().map(|(name, _)| *name)));
        }
        let sizes = in_sizes.into_iter().map(|name| (name, DType::I64));
        let numbers = free.iter().map(|&name| (name, DType::F64));
        for (name, dtype) in sizes.chain(numbers) {
            let text = self.program.names.get(name);
            let is_word = ["True", "False", "and", "or", "not", "if", "else", "in", "is"].contains(&text);
            if bound.contains(&name) || graph.data.contains_key(&name) || is_word {
                continue;
            }
            self.current().symbols.entry(name).or_insert(Type::Scalar(dtype));
        }
    }
}
