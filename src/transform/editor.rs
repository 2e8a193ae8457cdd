//! Checked edits of a program, with undo.
//!
//! Rules change a program only through an [`Editor`]. It keeps an index per state and facts per graph up to date,
//! writes each change into a journal from which an application can be taken back, and remembers which nodes
//! and states were touched: those are the places where rules look again.

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use crate::entity::{Name, Names};
use crate::ir::{
    Block, BlockId, BlockKind, Data, Edge, EdgeId, Graph, GraphId, Memlet, Node, NodeId, NodeKind, Program,
    Region, RegionId, State,
};
use crate::scalar::Type;
use crate::symbolic::ExprPool;

use super::facts::Facts;
use super::index::StateIndex;
use super::order::{self, Unit, Writers};
use super::rule::Site;

/// A state of a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The graph.
    pub graph: GraphId,
    /// The state's block in it.
    pub block: BlockId,
}

/// A state with everything known about it.
#[derive(Clone, Copy)]
pub struct View<'e> {
    /// The graph around it.
    pub graph: &'e Graph,
    /// The state.
    pub state: &'e State,
    /// Its index.
    pub index: &'e StateIndex,
    /// Uses and aliases in the graph.
    pub facts: &'e Facts,
    /// Interned names.
    pub names: &'e Names,
}

/// Edits one program.
pub struct Editor<'p> {
    program: &'p mut Program,
    /// The program's names.
    pub names: Names,
    /// The program's expressions.
    pub exprs: ExprPool,
    indices: HashMap<Place, StateIndex>,
    facts: HashMap<GraphId, Facts>,
    /// Pairs of arguments of nested graphs that are one container outside.
    aliases: HashMap<GraphId, Vec<(Name, Name)>>,
    journal: Vec<Change>,
    touched: Vec<Site>,
    /// Declarations that are to go.
    dropped: HashSet<(GraphId, Name)>,
    /// States that lost edges others may rely on.
    loosened: Vec<Place>,
}

/// A node and the connector at which an edge meets it.
type End = (NodeId, Option<Name>);

/// How to take a change back.
enum Change {
    AddedNode(Place, NodeId),
    Node(Place, NodeId, Box<Node>),
    AddedEdge(Place, EdgeId),
    RemovedEdge(Place, EdgeId),
    Edge(Place, EdgeId, Box<Edge>),
    /// Added if there was none before.
    Data(GraphId, Name, Option<Box<Data>>),
    Dropped(GraphId, Name),
    Region(GraphId, RegionId, Region),
    Block(Place, Box<BlockKind>),
    Label(Place, String),
    Declared(GraphId, Name),
    /// Where a symbol was declared, and as what.
    Symbol(GraphId, Name, usize, Type),
}

impl<'p> Editor<'p> {
    /// An editor for `program`, which it holds until [`Editor::finish`] or until it is dropped.
    pub fn new(program: &'p mut Program) -> Editor<'p> {
        let names = std::mem::take(&mut program.names);
        let exprs = std::mem::take(&mut program.exprs);
        let mut editor = Editor {
            program,
            names,
            exprs,
            indices: HashMap::new(),
            facts: HashMap::new(),
            aliases: HashMap::new(),
            journal: Vec::new(),
            touched: Vec::new(),
            dropped: HashSet::new(),
            loosened: Vec::new(),
        };
        editor.find_aliases();
        editor
    }

    /// The program; its names and expressions are [`Editor::names`] and [`Editor::exprs`] meanwhile.
    pub fn program(&self) -> &Program {
        self.program
    }

    /// The program with its names and expressions in place, for the time of a call.
    pub fn with_program<T>(&mut self, look: impl FnOnce(&mut Program) -> T) -> T {
        std::mem::swap(&mut self.program.names, &mut self.names);
        std::mem::swap(&mut self.program.exprs, &mut self.exprs);
        let result = look(self.program);
        std::mem::swap(&mut self.program.names, &mut self.names);
        std::mem::swap(&mut self.program.exprs, &mut self.exprs);
        result
    }

    /// Graphs that the root reaches, outermost first.
    pub fn graphs(&self) -> Vec<GraphId> {
        let mut order: Vec<GraphId> = self.program.root.into_iter().collect();
        let mut seen: HashSet<GraphId> = order.iter().copied().collect();
        let mut next = 0;
        while let Some(&id) = order.get(next) {
            next += 1;
            let Some(graph) = self.program.graphs.get(id) else { continue };
            for block in self.blocks(id) {
                let Some(state) = graph.state(block) else { continue };
                for (_, node) in state.live_nodes() {
                    if let NodeKind::Nested(nested) = &node.kind
                        && let Some(inner) = nested.graph
                        && seen.insert(inner)
                    {
                        order.push(inner);
                    }
                }
            }
        }
        order
    }

    /// Blocks that the body of a graph holds, at any depth, in stored order.
    pub fn blocks(&self, graph: GraphId) -> Vec<BlockId> {
        let Some(graph) = self.program.graphs.get(graph) else { return Vec::new() };
        let mut blocks = Vec::new();
        let mut seen = HashSet::new();
        let mut open: Vec<RegionId> = graph.body.into_iter().collect();
        while let Some(region) = open.pop().filter(|region| seen.insert(*region)) {
            let Some(region) = graph.regions.get(region) else { continue };
            let mut inner = Vec::new();
            for &block in &region.blocks {
                blocks.push(block);
                match graph.blocks.get(block).map(|block| &block.kind) {
                    Some(BlockKind::Loop(repeated)) => inner.push(repeated.body),
                    Some(BlockKind::Conditional(branches)) => {
                        inner.extend(branches.iter().map(|branch| branch.body));
                    }
                    Some(BlockKind::Region(_, body)) => inner.push(*body),
                    _ => {}
                }
            }
            open.extend(inner.into_iter().rev());
        }
        blocks
    }

    /// The graph behind an id.
    pub fn graph(&self, id: GraphId) -> Option<&Graph> {
        self.program.graphs.get(id)
    }

    /// A state with index and facts, computed now if they are not known; `None` if there is no such state or it is
    /// malformed.
    pub fn view(&mut self, at: Place) -> Option<View<'_>> {
        self.split(at).map(|(view, _)| view)
    }

    /// [`Editor::view`] together with the expressions.
    pub fn split(&mut self, at: Place) -> Option<(View<'_>, &mut ExprPool)> {
        let graph = self.program.graphs.get(at.graph)?;
        let state = graph.state(at.block)?;
        if !self.indices.contains_key(&at) {
            self.indices.insert(at, StateIndex::of(state)?);
        }
        self.known(at.graph)?;
        let graph = self.program.graphs.get(at.graph)?;
        let state = graph.state(at.block)?;
        let (index, facts) = (self.indices.get(&at)?, self.facts.get(&at.graph)?);
        Some((View { graph, state, index, facts, names: &self.names }, &mut self.exprs))
    }

    /// A graph with its facts, computed now if they are not known.
    pub fn known(&mut self, id: GraphId) -> Option<(&Graph, &Facts)> {
        let graph = self.program.graphs.get(id)?;
        if !self.facts.contains_key(&id) {
            let aliases = self.aliases.get(&id).map_or(&[][..], |list| list);
            self.facts.insert(id, Facts::of(&self.names, &self.exprs, graph, aliases));
        }
        Some((graph, self.facts.get(&id)?))
    }

    pub(super) fn set_explicit(&mut self, at: Place, explicit: bool, writers: Writers) {
        if let Some(index) = self.indices.get_mut(&at) {
            index.explicit = Some(explicit);
            index.writers = writers;
        }
    }

    /// Has the question whether the state's order is explicit asked again.
    pub(super) fn forget_order(&mut self, at: Place) {
        if let Some(index) = self.indices.get_mut(&at) {
            index.explicit = None;
        }
    }

    /// Has what is known of a graph's containers, and of the order of its states, found out again: fewer share memory now.
    pub(super) fn forget_facts(&mut self, graph: GraphId) {
        self.facts.remove(&graph);
        for (_, index) in self.indices.iter_mut().filter(|(at, _)| at.graph == graph) {
            index.explicit = None;
        }
    }

    /// Says that an edge at the top level of a state went from which order may have followed. Positions in the order stay
    /// what they were; [`Editor::tighten`] writes down what paths do not say any more.
    pub(super) fn loosen(&mut self, at: Place) {
        if self.loosened.last() != Some(&at) {
            self.loosened.push(at);
        }
    }

    /// Adds the ordering edges that loosened states need. Called before another rule looks at them.
    pub(super) fn tighten(&mut self) {
        let mut places = std::mem::take(&mut self.loosened);
        places.sort_unstable();
        places.dedup();
        for at in places {
            let is_explicit = |view: &View<'_>| view.index.explicit == Some(true);
            let missing = self.view(at).filter(is_explicit).and_then(|view| order::missing(&view));
            for (before, after) in missing.into_iter().flatten() {
                self.order(at, before, after);
            }
        }
    }

    /// Says that a unit also writes a class of containers.
    pub(super) fn add_writer(&mut self, at: Place, class: Name, unit: Unit) {
        if let Some(index) = self.indices.get_mut(&at) {
            let key = index.key(unit.begin);
            index.writers.entry(class).or_default().insert(key, unit);
        }
    }

    pub(super) fn install_index(&mut self, at: Place, index: StateIndex) {
        self.indices.insert(at, index);
    }

    // ---- nodes and edges --------------------------------------------------------------------------------

    /// Adds a node beside `like`: in the same scope, at the same place of the order.
    pub fn add_node(&mut self, at: Place, node: Node, like: NodeId) -> Option<NodeId> {
        self.view(at)?;
        let parent = match self.state(at)?.nodes.get(like).map(|node| &node.kind) {
            Some(NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_)) => Some(like),
            _ => index_parent(self.indices.get(&at)?, like),
        };
        let key = self.indices.get(&at)?.key(like);
        let data = accessed(&node);
        let id = self.state_mut(at)?.nodes.push(node);
        self.indices.get_mut(&at)?.add_node(id, parent, key, data);
        if let (Some(data), Some(facts)) = (data, self.facts.get_mut(&at.graph)) {
            *facts.access_nodes.entry(data).or_default() += 1;
        }
        self.journal.push(Change::AddedNode(at, id));
        self.touched.push(Site::Node(at, id));
        Some(id)
    }

    /// Adds an edge.
    pub fn add_edge(&mut self, at: Place, edge: Edge) -> Option<EdgeId> {
        let (src, dst) = (edge.src, edge.dst);
        let id = self.state_mut(at)?.edges.push(edge);
        if let Some(index) = self.indices.get_mut(&at) {
            index.add_edge(id, src, dst);
        }
        self.journal.push(Change::AddedEdge(at, id));
        self.touched.extend([Site::Node(at, src), Site::Node(at, dst)]);
        Some(id)
    }

    /// Orders two nodes, unless an edge does already.
    pub fn order(&mut self, at: Place, src: NodeId, dst: NodeId) -> Option<()> {
        if src == dst {
            return Some(());
        }
        let view = self.view(at)?;
        let known = view.index.incoming(dst).iter().any(|&edge| view.state.edges[edge].src == src);
        if !known {
            self.add_edge(at, ordering_edge(src, dst))?;
        }
        Some(())
    }

    /// Changes an edge; its ends may change as well.
    pub fn edit_edge(&mut self, at: Place, id: EdgeId, change: impl FnOnce(&mut Edge)) -> Option<()> {
        let edge = self.state_mut(at)?.edges.get_mut(id)?;
        let before = edge.clone();
        change(edge);
        let (src, dst, removed) = (edge.src, edge.dst, edge.removed);
        if let Some(index) = self.indices.get_mut(&at) {
            if !before.removed {
                index.remove_edge(id, before.src, before.dst);
            }
            if !removed {
                index.add_edge(id, src, dst);
            }
        }
        self.touched.extend([before.src, before.dst].map(|end| Site::Node(at, end)));
        if (src, dst) != (before.src, before.dst) {
            self.touched.extend([src, dst].map(|end| Site::Node(at, end)));
        }
        self.journal.push(Change::Edge(at, id, Box::new(before)));
        Some(())
    }

    /// Removes an edge, and connectors of maps that it leaves without edges.
    pub fn remove_edge(&mut self, at: Place, id: EdgeId) -> Option<()> {
        let (src, dst) = self.detach(at, id)?;
        self.drop_connector(at, src.0, src.1, true)?;
        self.drop_connector(at, dst.0, dst.1, false)
    }

    /// Removes an edge and gives its ends.
    fn detach(&mut self, at: Place, id: EdgeId) -> Option<(End, End)> {
        let edge = self.state_mut(at)?.edges.get_mut(id).filter(|edge| !edge.removed)?;
        edge.removed = true;
        let (src, dst) = ((edge.src, edge.src_conn), (edge.dst, edge.dst_conn));
        if let Some(index) = self.indices.get_mut(&at) {
            index.remove_edge(id, src.0, dst.0);
        }
        self.touched.extend([src.0, dst.0].map(|end| Site::Node(at, end)));
        self.journal.push(Change::RemovedEdge(at, id));
        Some((src, dst))
    }

    fn drop_connector(&mut self, at: Place, node: NodeId, connector: Option<Name>, out: bool) -> Option<()> {
        let Some(connector) = connector else { return Some(()) };
        let view = self.view(at)?;
        let is_border = view.state.nodes.get(node).is_some_and(|node| is_border(&node.kind));
        let edges = if out { view.index.outgoing(node) } else { view.index.incoming(node) };
        let used = edges.iter().any(|&edge| {
            let edge = &view.state.edges[edge];
            (if out { edge.src_conn } else { edge.dst_conn }) == Some(connector)
        });
        if is_border && !used {
            self.edit_node(at, node, |node| {
                let connectors = if out { &mut node.outputs } else { &mut node.inputs };
                connectors.shift_remove(&connector);
            })?;
        }
        Some(())
    }

    /// Changes a node. What it is an access of must not change.
    pub fn edit_node(&mut self, at: Place, id: NodeId, change: impl FnOnce(&mut Node)) -> Option<()> {
        let node = self.state_mut(at)?.nodes.get_mut(id)?;
        let before = Box::new(node.clone());
        change(node);
        self.journal.push(Change::Node(at, id, before));
        self.touched.push(Site::Node(at, id));
        Some(())
    }

    /// Removes a node with its edges.
    pub fn remove_node(&mut self, at: Place, id: NodeId) -> Option<()> {
        let view = self.view(at)?;
        let edges: SmallVec<[EdgeId; 8]> =
            view.index.incoming(id).iter().chain(view.index.outgoing(id)).copied().collect();
        for edge in edges {
            // The node's own connectors go with it.
            let Some((src, dst)) = self.detach(at, edge) else { continue };
            if src.0 != id {
                self.drop_connector(at, src.0, src.1, true)?;
            }
            if dst.0 != id {
                self.drop_connector(at, dst.0, dst.1, false)?;
            }
        }
        let node = self.state_mut(at)?.nodes.get_mut(id)?;
        if matches!(node.kind, NodeKind::Removed) {
            return Some(());
        }
        let before = std::mem::replace(node, removed_node());
        if let Some(index) = self.indices.get_mut(&at) {
            index.remove_node(id);
        }
        if let Some(data) = accessed(&before) {
            if let Some(index) = self.indices.get_mut(&at) {
                index.forget_access(id, data);
            }
            if let Some(count) =
                self.facts.get_mut(&at.graph).and_then(|facts| facts.access_nodes.get_mut(&data))
            {
                *count = count.saturating_sub(1);
            }
        }
        self.journal.push(Change::Node(at, id, Box::new(before)));
        Some(())
    }

    /// Says that [`is_settled`](super::scope::is_settled) holds for a scope after all that was done to it.
    pub(super) fn set_settled(&mut self, at: Place, entry: NodeId) {
        if let Some(index) = self.indices.get(&at) {
            index.set_settled(entry);
        }
    }

    /// Moves a node to another scope and place of the order.
    pub fn set_place(&mut self, at: Place, node: NodeId, parent: Option<NodeId>, like: NodeId) {
        if let Some(index) = self.indices.get_mut(&at) {
            let key = index.key(like);
            index.set_place(node, parent, key);
        }
    }

    /// Has rules look again at a place.
    pub(super) fn touch(&mut self, site: Site) {
        self.touched.push(site);
    }

    // ---- containers, regions, blocks ----------------------------------------------------------------------

    /// Declares a container under a new name that starts with `stem`.
    pub fn add_data(&mut self, graph: GraphId, stem: &str, data: Data) -> Option<Name> {
        let name = self.names.fresh(stem);
        self.program.graphs.get_mut(graph)?.data.insert(name, data);
        self.journal.push(Change::Data(graph, name, None));
        Some(name)
    }

    /// Changes a container's declaration.
    pub fn edit_data(&mut self, graph: GraphId, name: Name, change: impl FnOnce(&mut Data)) -> Option<()> {
        let data = self.program.graphs.get_mut(graph)?.data.get_mut(&name)?;
        let before = Box::new(data.clone());
        change(data);
        self.journal.push(Change::Data(graph, name, Some(before)));
        Some(())
    }

    /// Removes a container's declaration; it is gone after [`Editor::sweep_data`].
    pub fn remove_data(&mut self, graph: GraphId, name: Name) -> Option<()> {
        // Removing from the middle of an ordered map moves all that follow, so it is done once for many.
        if self.dropped.insert((graph, name)) {
            self.journal.push(Change::Dropped(graph, name));
        }
        Some(())
    }

    /// Removes the declarations that are to go.
    pub fn sweep_data(&mut self) {
        let mut graphs: Vec<GraphId> = self.dropped.iter().map(|(graph, _)| *graph).collect();
        graphs.sort_unstable();
        graphs.dedup();
        for id in graphs {
            if let Some(graph) = self.program.graphs.get_mut(id) {
                graph.data.retain(|name, _| !self.dropped.contains(&(id, *name)));
            }
        }
        self.dropped.clear();
    }

    /// Adds a graph, which belongs to no node yet. One that nothing refers to after an undo is not part of the program.
    pub fn add_graph(&mut self, graph: Graph) -> GraphId {
        self.program.graphs.push(graph)
    }

    /// Adds a block, which belongs to no region yet.
    pub fn add_block(&mut self, graph: GraphId, label: &str, kind: BlockKind) -> Option<BlockId> {
        let block = Block { label: label.to_owned(), kind, extra: Default::default() };
        self.facts.remove(&graph);
        Some(self.program.graphs.get_mut(graph)?.blocks.push(block))
    }

    /// Adds a region, which belongs to no block yet.
    pub fn add_region(&mut self, graph: GraphId, region: Region) -> Option<RegionId> {
        Some(self.program.graphs.get_mut(graph)?.regions.push(region))
    }

    /// Labels a block.
    pub fn set_label(&mut self, at: Place, label: String) -> Option<()> {
        let block = self.program.graphs.get_mut(at.graph)?.blocks.get_mut(at.block)?;
        let before = std::mem::replace(&mut block.label, label);
        self.journal.push(Change::Label(at, before));
        Some(())
    }

    /// Declares a symbol under a new name that starts with `stem`.
    pub fn declare_symbol(&mut self, graph: GraphId, stem: &str, ty: Type) -> Option<Name> {
        let name = self.names.fresh(stem);
        self.program.graphs.get_mut(graph)?.symbols.insert(name, ty);
        self.journal.push(Change::Declared(graph, name));
        Some(name)
    }

    /// Removes the declaration of a symbol, if there is one.
    pub fn undeclare_symbol(&mut self, graph: GraphId, name: Name) -> Option<()> {
        let symbols = &mut self.program.graphs.get_mut(graph)?.symbols;
        if let Some((position, _, ty)) = symbols.shift_remove_full(&name) {
            self.journal.push(Change::Symbol(graph, name, position, ty));
        }
        Some(())
    }

    /// Changes the blocks and edges of a region.
    pub fn edit_region(
        &mut self,
        graph: GraphId,
        region: RegionId,
        change: impl FnOnce(&mut Region),
    ) -> Option<()> {
        let target = self.program.graphs.get_mut(graph)?.regions.get_mut(region)?;
        self.journal.push(Change::Region(graph, region, target.clone()));
        change(target);
        self.touched.push(Site::Region(graph, region));
        self.facts.remove(&graph);
        Some(())
    }

    /// Replaces what a block is. Index and facts of a state are computed anew.
    pub fn replace_block(&mut self, at: Place, kind: BlockKind) -> Option<BlockKind> {
        let block = self.program.graphs.get_mut(at.graph)?.blocks.get_mut(at.block)?;
        let before = std::mem::replace(&mut block.kind, kind);
        self.journal.push(Change::Block(at, Box::new(before.clone())));
        self.indices.remove(&at);
        self.facts.remove(&at.graph);
        self.touched.push(Site::State(at));
        Some(before)
    }

    // ---- journal ------------------------------------------------------------------------------------------

    /// Where the journal stands.
    pub fn mark(&self) -> usize {
        self.journal.len()
    }

    /// Takes back everything since `mark`.
    pub fn undo_to(&mut self, mark: usize) {
        while self.journal.len() > mark {
            let Some(change) = self.journal.pop() else { break };
            let graph = match &change {
                Change::AddedNode(at, _)
                | Change::Node(at, ..)
                | Change::AddedEdge(at, _)
                | Change::RemovedEdge(at, _)
                | Change::Edge(at, ..)
                | Change::Label(at, _)
                | Change::Block(at, _) => at.graph,
                Change::Data(graph, ..)
                | Change::Region(graph, ..)
                | Change::Symbol(graph, ..)
                | Change::Declared(graph, _)
                | Change::Dropped(graph, _) => *graph,
            };
            self.facts.remove(&graph);
            self.indices.retain(|at, _| at.graph != graph);
            self.take_back(change);
        }
        self.touched.clear();
    }

    fn take_back(&mut self, change: Change) -> Option<()> {
        match change {
            Change::AddedNode(at, id) => *self.state_mut(at)?.nodes.get_mut(id)? = removed_node(),
            Change::AddedEdge(at, id) => self.state_mut(at)?.edges.get_mut(id)?.removed = true,
            Change::RemovedEdge(at, id) => self.state_mut(at)?.edges.get_mut(id)?.removed = false,
            Change::Node(at, id, node) => *self.state_mut(at)?.nodes.get_mut(id)? = *node,
            Change::Edge(at, id, edge) => *self.state_mut(at)?.edges.get_mut(id)? = *edge,
            Change::Block(at, kind) => {
                self.program.graphs.get_mut(at.graph)?.blocks.get_mut(at.block)?.kind = *kind;
            }
            Change::Label(at, label) => {
                self.program.graphs.get_mut(at.graph)?.blocks.get_mut(at.block)?.label = label;
            }
            Change::Symbol(graph, name, position, ty) => {
                self.program.graphs.get_mut(graph)?.symbols.shift_insert(position, name, ty);
            }
            Change::Declared(graph, name) => {
                self.program.graphs.get_mut(graph)?.symbols.shift_remove(&name);
            }
            Change::Region(graph, id, region) => {
                *self.program.graphs.get_mut(graph)?.regions.get_mut(id)? = region;
            }
            Change::Data(graph, name, before) => {
                let data = &mut self.program.graphs.get_mut(graph)?.data;
                match before {
                    None => drop(data.shift_remove(&name)),
                    Some(before) => drop(data.insert(name, *before)),
                }
            }
            Change::Dropped(graph, name) => {
                self.dropped.remove(&(graph, name));
            }
        }
        Some(())
    }

    /// Forgets how to undo, and gives the places that were touched since the last call.
    pub fn commit(&mut self) -> Vec<Site> {
        self.journal.clear();
        std::mem::take(&mut self.touched)
    }

    /// Gives names and expressions back to the program.
    pub fn finish(self) {}

    pub(super) fn state(&self, at: Place) -> Option<&State> {
        self.program.graphs.get(at.graph)?.state(at.block)
    }

    fn state_mut(&mut self, at: Place) -> Option<&mut State> {
        match &mut self.program.graphs.get_mut(at.graph)?.blocks.get_mut(at.block)?.kind {
            BlockKind::State(state) => Some(state),
            _ => None,
        }
    }

    /// Arguments of nested graphs that the node around connects to one container, or to containers that share memory.
    fn find_aliases(&mut self) {
        for id in self.graphs() {
            let Some(graph) = self.program.graphs.get(id) else { continue };
            let known = self.aliases.get(&id).map_or(&[][..], |list| list);
            let facts = Facts::of(&self.names, &self.exprs, graph, known);
            let mut found: Vec<(GraphId, Vec<(Name, Name)>)> = Vec::new();
            for block in self.blocks(id) {
                let Some(state) = graph.state(block) else { continue };
                let mut connected: HashMap<NodeId, Vec<(Name, Name)>> = HashMap::new();
                for (_, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
                    let Some(data) = edge.memlet.data else { continue };
                    for (node, connector) in [(edge.src, edge.src_conn), (edge.dst, edge.dst_conn)] {
                        if let Some(connector) = connector {
                            connected.entry(node).or_default().push((facts.class(data), connector));
                        }
                    }
                }
                for (node_id, node) in state.live_nodes() {
                    let NodeKind::Nested(nested) = &node.kind else { continue };
                    let (Some(inner), Some(mut list)) = (nested.graph, connected.remove(&node_id)) else {
                        continue;
                    };
                    list.sort_unstable();
                    list.dedup();
                    let pairs = list.windows(2).filter(|pair| pair[0].0 == pair[1].0);
                    found.push((inner, pairs.map(|pair| (pair[0].1, pair[1].1)).collect()));
                }
            }
            self.facts.insert(id, facts);
            self.aliases.extend(found);
        }
    }
}

impl Drop for Editor<'_> {
    fn drop(&mut self) {
        self.program.names = std::mem::take(&mut self.names);
        self.program.exprs = std::mem::take(&mut self.exprs);
    }
}

impl<'e> View<'e> {
    /// The container an access node names.
    pub fn accessed(&self, node: NodeId) -> Option<Name> {
        self.state.nodes.get(node).and_then(accessed)
    }

    /// The kind of a node.
    pub fn kind(&self, node: NodeId) -> Option<&'e NodeKind> {
        self.state.nodes.get(node).map(|node| &node.kind)
    }

    /// An edge.
    pub fn edge(&self, edge: EdgeId) -> &'e Edge {
        &self.state.edges[edge]
    }

    /// Edges into a node that carry data.
    pub fn data_in(&self, node: NodeId) -> impl Iterator<Item = (EdgeId, &'e Edge)> + use<'e> {
        let View { index, state, .. } = *self;
        index.incoming(node).iter().map(|&id| (id, &state.edges[id])).filter(|(_, e)| !e.memlet.is_empty())
    }

    /// Edges out of a node that carry data.
    pub fn data_out(&self, node: NodeId) -> impl Iterator<Item = (EdgeId, &'e Edge)> + use<'e> {
        let View { index, state, .. } = *self;
        index.outgoing(node).iter().map(|&id| (id, &state.edges[id])).filter(|(_, e)| !e.memlet.is_empty())
    }
}

/// An edge that only orders its ends.
pub fn ordering_edge(src: NodeId, dst: NodeId) -> Edge {
    Edge::new(src, None, dst, None, Memlet::default())
}

/// A node without connectors.
pub fn plain_node(label: &str, kind: NodeKind) -> Node {
    Node {
        label: label.to_owned(),
        kind,
        inputs: Default::default(),
        outputs: Default::default(),
        extra: Default::default(),
    }
}

/// The container a node accesses.
pub fn accessed(node: &Node) -> Option<Name> {
    match node.kind {
        NodeKind::Access { data, .. } => Some(data),
        _ => None,
    }
}

/// Whether a node is an entry or exit.
pub fn is_border(kind: &NodeKind) -> bool {
    matches!(
        kind,
        NodeKind::MapEntry(_)
            | NodeKind::MapExit { .. }
            | NodeKind::ConsumeEntry(_)
            | NodeKind::ConsumeExit { .. }
    )
}

fn removed_node() -> Node {
    plain_node("", NodeKind::Removed)
}

fn index_parent(index: &StateIndex, node: NodeId) -> Option<NodeId> {
    index.parent(node)
}
