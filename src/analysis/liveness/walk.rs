//! Walks control flow: graphs, regions, blocks.

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use crate::analysis::Uses;
use crate::analysis::components::{Component, components};
use crate::analysis::uses::{layout_exprs, root_container};
use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{
    BlockId, BlockKind, CodeExpr, DataKind, Graph, GraphId, Lifetime, Program, Region, RegionId, Storage,
};
use crate::symbolic::{ExprId, ExprPool};

use super::timeline::Timeline;
use super::{Class, Liveness, SMALL, Transient};

/// Graphs, regions and scopes nested deeper are refused.
const MAX_DEPTH: usize = 200;

/// Transients that a name stands for.
pub(super) type Targets = SmallVec<[usize; 2]>;

/// The state of a walk.
pub(super) struct Walker<'p> {
    pub program: &'p Program,
    /// A copy that sizes are rewritten in.
    pub exprs: ExprPool,
    pub timeline: Timeline,
    pub found: Liveness,
    pub slots: HashMap<Name, u32>,
    /// What is known of graphs before they are walked.
    uses: HashMap<GraphId, Uses>,
    seen: HashSet<GraphId>,
    depth: usize,
    labels: Vec<String>,
}

/// What names mean in the graph being walked.
pub(super) struct GraphScope<'p> {
    pub graph: &'p Graph,
    pub uses: Uses,
    /// Containers, views and connectors included.
    pub names: HashMap<Name, Targets>,
    /// Symbols in terms of the outermost graph's; `None`: not known when a call begins.
    pub symbols: HashMap<Name, Option<ExprId>>,
    /// Whether other symbols stand for themselves.
    pub outermost: bool,
    /// Containers that an expression reads.
    reads: HashMap<ExprId, Targets>,
}

pub(super) fn walk(program: &Program, uses: HashMap<GraphId, Uses>) -> Result<Liveness, Diagnostic> {
    let Some(root) = program.root else {
        return Err(Diagnostic::error("P0100", "the program has no graph"));
    };
    let mut walker = Walker {
        program,
        exprs: program.exprs.clone(),
        timeline: Timeline::default(),
        found: Liveness::default(),
        slots: HashMap::new(),
        uses,
        seen: HashSet::new(),
        depth: 0,
        labels: Vec::new(),
    };
    walker.graph(root, HashMap::new(), HashMap::new(), true)?;
    let Walker { timeline, mut found, .. } = walker;
    for (index, transient) in found.transients.iter_mut().enumerate() {
        transient.span = timeline.span(index);
        if transient.class == Class::Shared && timeline.is_private(index) {
            transient.class = Class::Private;
        }
    }
    found.moments = timeline.now() + 1;
    Ok(found)
}

impl<'p> Walker<'p> {
    /// Runs `inner` one level deeper.
    pub fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<T, Diagnostic> {
        if self.depth >= MAX_DEPTH {
            return Err(Diagnostic::error("P0103", "the program nests too deep"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// A graph whose connectors and symbols mean what the maps say.
    pub fn graph(
        &mut self,
        id: GraphId,
        names: HashMap<Name, Targets>,
        symbols: HashMap<Name, Option<ExprId>>,
        outermost: bool,
    ) -> Result<(), Diagnostic> {
        let Some(graph) = self.program.graphs.get(id) else {
            return Err(Diagnostic::error("P0100", format!("there is no {id}")));
        };
        // A graph belongs to one node; a second one would be a malformed program, and means nothing new.
        if !self.seen.insert(id) {
            return Ok(());
        }
        let uses = match self.uses.remove(&id) {
            Some(known) => known,
            None => Uses::of(self.program, graph)?,
        };
        let mut scope = GraphScope { graph, uses, names, symbols, outermost, reads: HashMap::new() };
        for &name in &scope.uses.assigned {
            scope.symbols.insert(name, None);
        }
        for (&name, constant) in &graph.constants {
            let value = match constant.values.as_slice() {
                [value] if value.dtype().is_integral() => Some(self.exprs.int(value.as_i64())),
                _ => None,
            };
            scope.symbols.insert(name, value);
        }
        self.labels.push(graph.name.clone());
        self.transients(id, &mut scope);
        self.aliases(&mut scope);
        for name in scope.uses.at_entry.clone() {
            self.declare(&mut scope, name);
        }
        // What its own control flow sizes keeps its content from state to state.
        let mut late: Vec<Name> = scope.uses.late.values().flatten().copied().collect();
        late.sort_unstable();
        late.dedup();
        for name in late {
            self.declare(&mut scope, name);
        }
        if let Some(body) = graph.body {
            self.region(&mut scope, body)?;
        }
        self.labels.pop();
        Ok(())
    }

    /// A row for every transient that may own memory.
    fn transients(&mut self, id: GraphId, scope: &mut GraphScope<'p>) {
        for (&name, data) in &scope.graph.data {
            let aliases = data.is_view() || data.is_reference();
            if !data.transient || aliases || scope.graph.constants.contains_key(&name) {
                continue;
            }
            let class = match (&data.kind, data.lifetime, &data.storage) {
                (_, Lifetime::Persistent | Lifetime::External, _) => Class::Persistent,
                (DataKind::Array(_) | DataKind::Scalar(_), _, Storage::ThreadLocal) => Class::Private,
                (DataKind::Array(_) | DataKind::Scalar(_), _, _) => Class::Shared,
                _ => Class::Other,
            };
            let index = self.timeline.item();
            let path = self.path(self.program.names.get(name));
            self.found.transients.push(Transient {
                graph: id,
                name,
                path,
                class,
                span: None,
                size: None,
                symbols: Vec::new(),
            });
            scope.names.insert(name, Targets::from_slice(&[index]));
        }
    }

    /// A name with those of the nested graphs around it.
    fn path(&self, name: &str) -> String {
        let nested = self.labels.iter().skip(1).map(String::as_str);
        nested.chain([name]).collect::<Vec<_>>().join("/")
    }

    /// The memory of a transient is taken here.
    pub fn declare(&mut self, scope: &mut GraphScope<'p>, name: Name) {
        let Some(data) = scope.graph.data.get(&name) else { return };
        let [index] = *self.targets(scope, name) else { return };
        for expr in layout_exprs(data) {
            self.read(scope, expr);
        }
        if data.lifetime == Lifetime::Global {
            self.timeline.declare_outermost(index);
        } else {
            self.timeline.declare(index);
        }
        // Clearing it is the first write.
        if scope.uses.setzero.contains(&name) {
            self.timeline.touch(index);
        }
        let Some(class) = self.found.transients.get(index).map(|transient| transient.class) else { return };
        if !matches!(class, Class::Shared | Class::Private) {
            return;
        }
        let mut symbols = Vec::new();
        let size = self.byte_count(scope, data, &mut symbols);
        let class = match &size {
            None => Class::Dynamic,
            Some(size) if size.constant().is_some_and(|bytes| bytes <= SMALL) => Class::Small,
            Some(_) => class,
        };
        if let Some(transient) = self.found.transients.get_mut(index) {
            transient.class = class;
            transient.size = size;
            transient.symbols = symbols;
        }
    }

    /// The transients behind a name (of a container, or of a member of one).
    pub fn targets<'s>(&self, scope: &'s GraphScope<'p>, name: Name) -> &'s [usize] {
        let known = scope.names.get(&name).or_else(|| {
            let root = root_container(self.program, scope.graph, name);
            scope.names.get(&root)
        });
        known.map_or(&[], |targets| targets)
    }

    /// A container is read or written.
    pub fn touch(&mut self, scope: &GraphScope<'p>, name: Name) {
        for &index in self.targets(scope, name) {
            self.timeline.touch(index);
        }
    }

    /// An expression is evaluated: containers it names are read.
    pub fn read(&mut self, scope: &mut GraphScope<'p>, expr: ExprId) {
        if self.program.exprs.as_int(expr).is_some() {
            return;
        }
        if !scope.reads.contains_key(&expr) {
            let mut targets = Targets::new();
            for name in self.program.exprs.free_symbols(expr) {
                targets.extend_from_slice(self.targets(scope, name));
            }
            scope.reads.insert(expr, targets);
        }
        for &index in scope.reads.get(&expr).into_iter().flatten() {
            self.timeline.touch(index);
        }
    }

    /// Code of control flow runs.
    fn code(&mut self, scope: &GraphScope<'p>, expr: &CodeExpr) {
        for port in expr.code.iter().flat_map(|code| code.ports.values()) {
            self.touch(scope, port.name);
        }
    }

    fn region(&mut self, scope: &mut GraphScope<'p>, id: RegionId) -> Result<(), Diagnostic> {
        let graph = scope.graph;
        let Some(region) = graph.regions.get(id) else { return Ok(()) };
        for component in in_order(region) {
            if component.cyclic {
                self.timeline.open_loop(false);
            }
            for &block in component.members.iter().filter_map(|&member| region.blocks.get(member)) {
                self.deeper(|walker| walker.block(scope, block))?;
                self.timeline.step();
                for edge in region.edges.iter().filter(|edge| edge.src == block) {
                    edge.condition.iter().for_each(|condition| self.code(scope, condition));
                    edge.assignments.iter().for_each(|(_, value)| self.code(scope, value));
                }
            }
            if component.cyclic {
                self.timeline.close_loop();
            }
        }
        Ok(())
    }

    fn block(&mut self, scope: &mut GraphScope<'p>, id: BlockId) -> Result<(), Diagnostic> {
        let graph = scope.graph;
        let Some(block) = graph.blocks.get(id) else { return Ok(()) };
        match &block.kind {
            BlockKind::State(state) => {
                let begin = self.timeline.step();
                let label = self.path(&block.label);
                self.found.states.push((begin, label));
                self.state(scope, id, state)
            }
            BlockKind::Loop(inner) => {
                self.timeline.step();
                inner.init.iter().for_each(|init| self.code(scope, init));
                self.timeline.open_loop(false);
                self.code(scope, &inner.condition);
                self.region(scope, inner.body)?;
                self.timeline.step();
                inner.update.iter().for_each(|update| self.code(scope, update));
                self.code(scope, &inner.condition);
                self.timeline.close_loop();
                Ok(())
            }
            BlockKind::Conditional(branches) => {
                self.timeline.step();
                for condition in branches.iter().filter_map(|branch| branch.condition.as_ref()) {
                    self.code(scope, condition);
                }
                branches.iter().try_for_each(|branch| self.region(scope, branch.body))
            }
            BlockKind::Region(_, body) => self.region(scope, *body),
            BlockKind::Break | BlockKind::Continue | BlockKind::Return => Ok(()),
        }
    }
}

/// The components of a region, from its start.
fn in_order(region: &Region) -> Vec<Component> {
    let place: HashMap<BlockId, usize> =
        region.blocks.iter().enumerate().map(|(place, &block)| (block, place)).collect();
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); region.blocks.len()];
    for edge in &region.edges {
        if let (Some(&src), Some(&dst)) = (place.get(&edge.src), place.get(&edge.dst)) {
            next[src].push(dst);
        }
    }
    components(&next, region.entry().and_then(|entry| place.get(&entry)).copied())
}
