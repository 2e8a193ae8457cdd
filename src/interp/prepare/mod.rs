//! From a program to a plan: names become slots, expressions are compiled, order is decided.
//!
//! Everything that can be refused is refused here, so that a run fails only for the program's own faults.

mod code;
mod containers;
mod control;
mod edges;
mod element;
mod library;
mod names;
mod nested;
mod scope;
mod tasklet;

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use crate::analysis::Uses;
use crate::analysis::uses::assigned_symbols;
use crate::diag::Diagnostic;
use crate::entity::{Name, Names};
use crate::ir::{GraphId, Program};
use crate::scalar::Scalar;
use crate::symbolic::ExprPool;

use super::plan::{Container, ContainerSlot, GraphPlan, Plan, Symbol, SymbolSlot};
use names::GraphNames;

/// How deep graphs, scopes and regions may nest in all. The interpreter's own stack grows with it.
pub(super) const MAX_DEPTH: usize = 100;

/// Resolves a program. Also says where the containers of each graph are used.
pub(super) fn prepare(program: &Arc<Program>) -> Result<(Plan, HashMap<GraphId, Uses>), Diagnostic> {
    let root = program.root.ok_or_else(|| Diagnostic::error("P0100", "the program has no graph"))?;
    let mut builder = Builder {
        program,
        names: Cow::Borrowed(&program.names),
        exprs: Cow::Borrowed(&program.exprs),
        uses: HashMap::new(),
        containers: Vec::new(),
        symbols: Vec::new(),
        registers: 0,
        entered: HashSet::new(),
        depth: 0,
        map_depth: 0,
    };
    let inherited = Inherited::default();
    let (root_plan, names) = builder.graph(root, &inherited)?;
    let parameters = names
        .graph
        .data
        .iter()
        .filter(|(_, data)| !data.transient)
        .filter_map(|(name, _)| names.containers.get(name).copied())
        .collect();
    let mut free_symbols: Vec<SymbolSlot> = names.symbols.values().copied().collect();
    free_symbols.sort_unstable();
    let added = match (builder.names, builder.exprs) {
        (Cow::Borrowed(_), Cow::Borrowed(_)) => None,
        (names, exprs) => Some(Box::new((names.into_owned(), exprs.into_owned()))),
    };
    let plan = Plan {
        program: program.clone(),
        added,
        containers: builder.containers,
        symbols: builder.symbols,
        root: root_plan,
        parameters,
        free_symbols,
        assigned: names.assigned.iter().filter_map(|name| names.symbols.get(name)).copied().collect(),
        registers: builder.registers,
    };
    Ok((plan, builder.uses))
}

struct Builder<'p> {
    pub program: &'p Program,
    /// The program's names and expressions, and what library nodes add to them.
    pub names: Cow<'p, Names>,
    pub exprs: Cow<'p, ExprPool>,
    pub uses: HashMap<GraphId, Uses>,
    pub containers: Vec<Container>,
    pub symbols: Vec<Symbol>,
    pub registers: usize,
    /// Graphs met so far: each is owned by one node.
    entered: HashSet<GraphId>,
    depth: usize,
    /// Map and consume scopes around, in all graphs.
    map_depth: usize,
}

/// What a nested graph sees of the graphs around it.
#[derive(Default, Clone)]
struct Inherited {
    pub constants: HashMap<Name, (SymbolSlot, Scalar)>,
    pub constant_arrays: HashMap<Name, ContainerSlot>,
}

impl<'p> Builder<'p> {
    /// One level deeper, for the time of `inside`.
    fn deeper<T>(
        &mut self,
        inside: impl FnOnce(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<T, Diagnostic> {
        if self.depth >= MAX_DEPTH {
            return Err(Diagnostic::error("P0103", "graphs, scopes and regions nest too deep")
                .with_note(format!("the interpreter takes {MAX_DEPTH} levels in all")));
        }
        self.depth += 1;
        let result = inside(self);
        self.depth -= 1;
        result
    }

    fn graph(
        &mut self,
        id: GraphId,
        inherited: &Inherited,
    ) -> Result<(GraphPlan, GraphNames<'p>), Diagnostic> {
        let program = self.program;
        let Some(graph) = program.graphs.get(id) else {
            return Err(Diagnostic::error("P0100", format!("there is no {id}")));
        };
        if !self.entered.insert(id) {
            return Err(Diagnostic::error("P0104", format!("graph `{}` is used by two nodes", graph.name))
                .with_note("each nested graph belongs to exactly one node"));
        }
        self.deeper(|builder| builder.graph_inside(id, inherited))
            .map_err(|diagnostic| diagnostic.inside(format!("graph `{}`", graph.name)))
    }

    fn graph_inside(
        &mut self,
        id: GraphId,
        inherited: &Inherited,
    ) -> Result<(GraphPlan, GraphNames<'p>), Diagnostic> {
        let graph = &self.program.graphs[id];
        let mut names = GraphNames {
            id,
            graph,
            containers: HashMap::new(),
            symbols: HashMap::new(),
            constants: inherited.constants.clone(),
            constant_arrays: inherited.constant_arrays.clone(),
            assigned: assigned_symbols(graph).into_iter().collect(),
            params: Vec::new(),
        };
        let constants = self.constants(&mut names)?;
        let uses = Uses::of(self.program, graph)?;
        self.declare_containers(&mut names, &uses)?;
        for name in &uses.setzero {
            if let Some(&slot) = names.containers.get(name) {
                self.containers[slot as usize].setzero = true;
            }
        }
        let body = match graph.body {
            Some(body) => self.region(&mut names, &uses, body)?,
            None => return Err(Diagnostic::error("P0100", format!("graph `{}` has no body", graph.name))),
        };
        let is_late = |name: &Name| uses.late.values().any(|names| names.contains(name));
        let late: Vec<Name> = graph.data.keys().copied().filter(is_late).collect();
        let plan = GraphPlan {
            name: graph.name.as_str().into(),
            body,
            allocate: self.slots(&names, &uses.at_entry),
            forget: self.slots(&names, &late),
            constants: constants.into_boxed_slice(),
        };
        self.uses.insert(id, uses);
        Ok((plan, names))
    }

    pub fn slots(&self, names: &GraphNames<'p>, containers: &[Name]) -> Box<[ContainerSlot]> {
        containers.iter().filter_map(|name| names.containers.get(name)).copied().collect()
    }
}
