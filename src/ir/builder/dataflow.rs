//! Builds a state statement by statement and wires it.
//!
//! Statements are tasklets, copies and maps around them. The builder keeps, per scope, which access node
//! holds the current content of each container, so a read finds the last write, memlets pass scope borders
//! through `IN_x` and `OUT_x`, and statements that touch one container keep their order: what is read after
//! it is written hangs on the written access node, and what is written after it was read or written waits
//! behind an ordering edge.

use std::collections::HashSet;

use indexmap::IndexMap;

use crate::analysis::propagate::{covered_by_map, hull};
use crate::entity::{Name, Names};
use crate::ir::{
    Connector, Data, Edge, Extra, GraphId, Map, Memlet, Node, NodeId, NodeKind, Program, Range, Schedule,
    State, Subset, Tasklet, Text,
};

/// A connector of a tasklet and what it reads or writes.
#[derive(Clone, Debug)]
pub struct Port {
    /// The connector.
    pub connector: Name,
    /// Its declared type, usually inferred.
    pub declared: Connector,
    /// What it reads or writes.
    pub memlet: Memlet,
}

/// A state under construction.
#[derive(Debug)]
pub struct Dataflow {
    state: State,
    /// Pairs of nodes with an edge.
    joined: HashSet<(NodeId, NodeId)>,
    levels: Vec<Level>,
    units: u32,
}

/// The state itself, or an open map.
#[derive(Debug, Default)]
struct Level {
    entry: Option<NodeId>,
    params: Vec<(Name, Range)>,
    current: IndexMap<Name, Current>,
    /// What passed the entry so far, per container.
    reads: IndexMap<Name, Vec<Option<Subset>>>,
    writes: Vec<Write>,
    /// Last nodes of the statements that read a container since it was last written.
    readers: IndexMap<Name, Vec<NodeId>>,
    /// Nodes that write nothing and still must run before the exit.
    loose: Vec<NodeId>,
}

/// The access node that holds a container's current content.
#[derive(Clone, Copy, Debug)]
struct Current {
    node: NodeId,
    written_by: Option<u32>,
}

/// A value on its way to the exit of a scope.
#[derive(Clone, Debug)]
struct Write {
    from: NodeId,
    connector: Option<Name>,
    memlet: Memlet,
    last: NodeId,
    /// The statement that writes.
    unit: u32,
    read_inside: bool,
}

impl Default for Dataflow {
    fn default() -> Self {
        Self { state: State::default(), joined: HashSet::new(), levels: vec![Level::default()], units: 0 }
    }
}

impl Dataflow {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many maps are open.
    pub fn open_maps(&self) -> usize {
        self.levels.len() - 1
    }

    /// The nodes and edges so far, to add some by hand, edges when all statements are there.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// Parameters of all open maps, outermost first.
    pub fn params(&self) -> impl Iterator<Item = Name> {
        self.levels.iter().flat_map(|level| level.params.iter().map(|(name, _)| *name))
    }

    /// Adds a tasklet in the open scope.
    pub fn tasklet(&mut self, names: &mut Names, label: &str, text: Text, inputs: &[Port], outputs: &[Port]) {
        let kind = NodeKind::Tasklet(Tasklet { text, code: None });
        let node = self.add_node(label, kind);
        let declare = |ports: &[Port]| ports.iter().map(|p| (p.connector, p.declared)).collect();
        if let Some(node) = self.state.nodes.get_mut(node) {
            node.inputs = declare(inputs);
            node.outputs = declare(outputs);
        }
        let unit = self.next_unit();
        for port in inputs {
            self.read(names, node, Some(port.connector), port.memlet.clone());
        }
        if let (Some(entry), true) = (self.level().entry, inputs.is_empty()) {
            self.add_edge(entry, None, node, None, Memlet::default());
        }
        let mut last = node;
        for port in outputs {
            last = self.write(names, unit, node, node, Some(port.connector), port.memlet.clone());
        }
        if outputs.is_empty() && self.level().entry.is_some() {
            self.level().loose.push(node);
        }
        self.remember_readers(inputs.iter().filter_map(|port| port.memlet.data), last);
    }

    /// Copies between containers: `memlet` names the source, its other subset the target's elements.
    pub fn copy(&mut self, names: &mut Names, memlet: Memlet, target: Name) {
        let Some(source) = memlet.data else { return };
        let node = self.access(names, target);
        let unit = self.next_unit();
        self.wait_for_others(target, node, unit);
        self.read(names, node, None, memlet.clone());
        let level = self.level();
        level.current.insert(target, Current { node, written_by: Some(unit) });
        level.readers.shift_remove(&target);
        if level.entry.is_some() {
            let out = Memlet { data: Some(target), subset: memlet.other_subset, ..Memlet::default() };
            level.writes.push(Write {
                from: node,
                connector: None,
                memlet: out,
                last: node,
                unit,
                read_inside: false,
            });
        }
        self.remember_readers([source].into_iter(), node);
    }

    /// Opens a map; what follows runs once per point, until [`Dataflow::close_map`].
    pub fn open_map(&mut self, label: &str, params: Vec<(Name, Range)>, schedule: Schedule) {
        let range = Subset { ranges: params.iter().map(|(_, range)| *range).collect() };
        let names = params.iter().map(|(name, _)| *name).collect();
        let map = Map { params: names, range, schedule, unroll: false };
        let entry = self.add_node(label, NodeKind::MapEntry(map));
        self.levels.push(Level { entry: Some(entry), params, ..Level::default() });
    }

    /// Closes the innermost open map and wires what passes its borders.
    pub fn close_map(&mut self, program: &mut Program, graph: GraphId) {
        with_containers(program, graph, |program, data| self.close(program, data));
    }

    fn close(&mut self, program: &mut Program, data: &IndexMap<Name, Data>) {
        if self.levels.len() < 2 {
            return;
        }
        let Some(level) = self.levels.pop() else { return };
        let Some(entry) = level.entry else { return };
        let label = self.state.nodes.get(entry).map_or(String::new(), |node| node.label.clone());
        let exit = self.add_node(&label, NodeKind::MapExit { entry });
        let unit = self.next_unit();
        for (&name, subsets) in &level.reads {
            let outer = self.outer_subset(program, &level, subsets);
            let input = program.names.intern(&format!("IN_{}", program.names.get(name)));
            self.read(
                &mut program.names,
                entry,
                Some(input),
                Memlet { data: Some(name), subset: outer, ..Memlet::default() },
            );
        }
        if let (Some(around), true) = (self.level().entry, level.reads.is_empty()) {
            self.add_edge(around, None, entry, None, Memlet::default());
        }
        let mut last = exit;
        let mut uses: IndexMap<Name, usize> = IndexMap::new();
        for write in &level.writes {
            let Some(name) = write.memlet.data else { continue };
            if write.read_inside && is_local(program, data, &level, write) {
                continue;
            }
            let count = uses.entry(name).or_insert(0);
            let stem = match *count {
                0 => program.names.get(name).to_owned(),
                n => format!("{}_{n}", program.names.get(name)),
            };
            *count += 1;
            let input = program.names.intern(&format!("IN_{stem}"));
            let output = program.names.intern(&format!("OUT_{stem}"));
            self.add_edge(write.from, write.connector, exit, Some(input), write.memlet.clone());
            let outer = self.outer_subset(program, &level, std::slice::from_ref(&write.memlet.subset));
            let memlet = Memlet { subset: outer, other_subset: None, ..write.memlet.clone() };
            last = self.write(&program.names, unit, entry, exit, Some(output), memlet);
        }
        let mut reaches_exit = !uses.is_empty();
        for node in level.loose {
            self.add_edge(node, None, exit, None, Memlet::default());
            reaches_exit = true;
        }
        if !reaches_exit {
            self.add_edge(entry, None, exit, None, Memlet::default());
        }
        if uses.is_empty() && self.level().entry.is_some() {
            self.level().loose.push(exit);
        }
        self.remember_readers(level.reads.keys().copied(), last);
    }

    /// The finished state; open maps are closed.
    pub fn finish(mut self, program: &mut Program, graph: GraphId) -> State {
        while self.open_maps() > 0 {
            self.close_map(program, graph);
        }
        self.state
    }

    fn level(&mut self) -> &mut Level {
        // The outermost level is never popped.
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    fn next_unit(&mut self) -> u32 {
        self.units += 1;
        self.units
    }

    /// Leads `memlet` from where its container's current content is to `node`.
    fn read(&mut self, names: &mut Names, node: NodeId, connector: Option<Name>, memlet: Memlet) {
        let Some(name) = memlet.data else { return };
        self.settle(names, name);
        let level = self.level();
        let current = level.current.get(&name).copied();
        let (from, output) = match (current, level.entry) {
            (Some(current), _) => {
                for write in level.writes.iter_mut().filter(|write| write.from == current.node) {
                    write.read_inside = true;
                }
                (current.node, None)
            }
            (None, Some(entry)) => {
                level.reads.entry(name).or_default().push(memlet.subset.clone());
                (entry, Some(names.intern(&format!("OUT_{}", names.get(name)))))
            }
            (None, None) => {
                let access = self.access(names, name);
                self.level().current.insert(name, Current { node: access, written_by: None });
                (access, None)
            }
        };
        self.add_edge(from, output, node, connector, memlet);
    }

    /// Writes through `memlet`, after everybody who used the container before. Returns the statement's last
    /// node. `first` is the node that has to wait, `from` the one the value comes out of.
    fn write(
        &mut self,
        names: &Names,
        unit: u32,
        first: NodeId,
        from: NodeId,
        connector: Option<Name>,
        memlet: Memlet,
    ) -> NodeId {
        let Some(name) = memlet.data else { return from };
        let mine =
            self.level().current.get(&name).filter(|current| current.written_by == Some(unit)).copied();
        if let Some(current) = mine {
            self.add_edge(from, connector, current.node, None, memlet);
            return current.node;
        }
        self.wait_for_others(name, first, unit);
        let level = self.level();
        level.readers.shift_remove(&name);
        if level.entry.is_some() {
            level.writes.push(Write { from, connector, memlet, last: from, unit, read_inside: false });
            return from;
        }
        let access = self.access(names, name);
        self.level().current.insert(name, Current { node: access, written_by: Some(unit) });
        self.add_edge(from, connector, access, None, memlet);
        access
    }

    /// Ordering edges from earlier users of a container to a statement that writes it.
    fn wait_for_others(&mut self, name: Name, first: NodeId, unit: u32) {
        let level = self.level();
        let mut before: Vec<NodeId> = level.readers.get(&name).cloned().unwrap_or_default();
        if let Some(current) = level.current.get(&name).filter(|c| c.written_by.is_some_and(|by| by != unit))
        {
            before.push(current.node);
        }
        // A map that writes a container twice does not wait for itself.
        let others = level.writes.iter().filter(|w| w.memlet.data == Some(name) && w.unit != unit);
        before.extend(others.map(|w| w.last));
        before.sort_unstable();
        before.dedup();
        for node in before.into_iter().filter(|&node| node != first) {
            if !self.joined.contains(&(node, first)) {
                self.add_edge(node, None, first, None, Memlet::default());
            }
        }
    }

    /// Gives a value that is on its way to the exit an access node, so that it can be read in its scope.
    fn settle(&mut self, names: &Names, name: Name) {
        let level = self.level();
        let Some(index) =
            level.writes.iter().rposition(|w| w.memlet.data == Some(name) && w.connector.is_some())
        else {
            return;
        };
        let write = level.writes[index].clone();
        let node = self.access(names, name);
        self.add_edge(write.from, write.connector, node, None, write.memlet);
        let level = self.level();
        level.current.insert(name, Current { node, written_by: Some(0) });
        if let Some(slot) = level.writes.get_mut(index) {
            *slot = Write { from: node, connector: None, last: node, read_inside: true, ..slot.clone() };
        }
    }

    fn remember_readers(&mut self, read: impl Iterator<Item = Name>, last: NodeId) {
        let level = self.level();
        for name in read {
            let readers = level.readers.entry(name).or_default();
            if readers.last() != Some(&last) {
                readers.push(last);
            }
        }
    }

    /// Everything a scope touches of a container over all its iterations; `None`: all of it.
    fn outer_subset(
        &self,
        program: &mut Program,
        level: &Level,
        subsets: &[Option<Subset>],
    ) -> Option<Subset> {
        let mut joined: Option<Subset> = None;
        for subset in subsets {
            let covered = covered_by_map(&mut program.exprs, subset.as_ref()?, &level.params)?;
            joined = Some(match joined {
                None => covered,
                Some(known) => hull(&mut program.exprs, &known, &covered)?,
            });
        }
        joined
    }

    fn access(&mut self, names: &Names, name: Name) -> NodeId {
        self.add_node(names.get(name), NodeKind::Access { data: name, setzero: false })
    }

    fn add_node(&mut self, label: &str, kind: NodeKind) -> NodeId {
        self.state.nodes.push(Node {
            label: label.to_owned(),
            kind,
            inputs: IndexMap::new(),
            outputs: IndexMap::new(),
            extra: Extra::new(),
        })
    }

    fn add_edge(
        &mut self,
        src: NodeId,
        src_conn: Option<Name>,
        dst: NodeId,
        dst_conn: Option<Name>,
        memlet: Memlet,
    ) {
        if let (Some(connector), Some(node)) = (src_conn, self.state.nodes.get_mut(src)) {
            node.outputs.entry(connector).or_default();
        }
        if let (Some(connector), Some(node)) = (dst_conn, self.state.nodes.get_mut(dst)) {
            node.inputs.entry(connector).or_default();
        }
        self.joined.insert((src, dst));
        self.state.edges.push(Edge::new(src, src_conn, dst, dst_conn, memlet));
    }
}

/// Whether what is written is of one iteration only: a transient written (not accumulated) at a place that
/// does not move with the map's parameters.
fn is_local(program: &Program, data: &IndexMap<Name, Data>, level: &Level, write: &Write) -> bool {
    let transient = write.memlet.data.and_then(|name| data.get(&name)).is_some_and(|data| data.transient);
    let moves = write.memlet.subset.iter().flat_map(|subset| &subset.ranges).any(|range| {
        let symbols = [range.start, range.end].map(|end| program.exprs.free_symbols(end));
        level.params.iter().any(|(param, _)| symbols.iter().any(|free| free.contains(param)))
    });
    transient && !moves && write.memlet.wcr.is_none()
}

/// Lends out the containers of a graph together with the program.
fn with_containers(
    program: &mut Program,
    graph: GraphId,
    work: impl FnOnce(&mut Program, &IndexMap<Name, Data>),
) {
    let data = std::mem::take(&mut program.graphs[graph].data);
    work(program, &data);
    program.graphs[graph].data = data;
}
