//! The order that the accesses of a state to one container need.
//!
//! Inside a state, programs may rely on the one order in which states run ([`State::order`](crate::ir::State::order)), for
//! instance by writing a container through one access node and reading it through another one. A rule that moves
//! nodes would change that order unawares. So rules only work on states whose order is *explicit*: whenever two
//! units of the top level access one container and one of them writes it, a path leads from the first to the second.
//! Then any topological order gives the same result, and a rule has to keep paths, nothing else.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use indexmap::IndexMap;

use crate::entity::Name;
use crate::ir::{DataKind, NodeId, NodeKind};

use super::editor::{Editor, Place, View};

/// Nodes that one search for a path visits before it gives up.
const PATH_FUEL: usize = 400;

/// A unit of the top level of a state: a node, or a whole scope.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Unit {
    /// The node that edges into the unit lead to.
    pub begin: NodeId,
    /// The node that edges out of it come from.
    pub end: NodeId,
}

/// What a unit does with a container.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// The unit.
    pub unit: Unit,
    /// Position of the unit.
    pub key: u32,
    /// Whether it may read.
    pub reads: bool,
    /// Whether it may write.
    pub writes: bool,
}

/// Accesses per class of containers, each in order of execution.
pub type Accesses = IndexMap<Name, Vec<Access>>;

/// The unit that an edge leads to or comes from. A copy between access nodes happens when its source is visited, so
/// there the source is the unit.
pub fn unit_of(view: &View<'_>, node: NodeId) -> Option<Unit> {
    Some(match view.kind(node)? {
        NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_) => {
            Unit { begin: node, end: view.index.exit(node)? }
        }
        NodeKind::MapExit { entry } | NodeKind::ConsumeExit { entry } => Unit { begin: *entry, end: node },
        _ => Unit { begin: node, end: node },
    })
}

/// All accesses of a state's top-level units. `None` if what the state does cannot be told, for instance because an
/// expression reads a container that the state writes.
pub fn accesses(view: &View<'_>) -> Option<Accesses> {
    let mut found = Accesses::new();
    let mut locals: HashMap<(Name, NodeId), u32> = HashMap::new();
    let mut inner: Vec<(Name, NodeId)> = Vec::new();
    for (node, kind) in view.state.live_nodes() {
        let NodeKind::Access { data, .. } = kind.kind else { continue };
        if view.index.parent(node).is_some() {
            let around = std::iter::successors(view.index.parent(node), |&entry| view.index.parent(entry));
            let entry = around.last()?;
            *locals.entry((data, entry)).or_default() += 1;
            inner.push((data, entry));
            continue;
        }
        for (_, edge) in view.data_in(node) {
            add(view, &mut found, data, unit_of(view, edge.src)?, true);
        }
        for (_, edge) in view.data_out(node) {
            let is_copy = view.accessed(edge.dst).is_some();
            let unit = if is_copy { unit_of(view, node)? } else { unit_of(view, edge.dst)? };
            add(view, &mut found, data, unit, false);
        }
    }
    for (data, entry) in inner {
        // A container that only one scope uses is that scope's own.
        if locals.get(&(data, entry)).copied().unwrap_or(0) < view.facts.access_nodes(data)
            || view.facts.is_shared(data)
            || view.graph.data.get(&data).is_none_or(|data| !data.transient)
        {
            let unit = unit_of(view, entry)?;
            add(view, &mut found, data, unit, true);
            add(view, &mut found, data, unit, false);
        }
    }
    let pinned = |(name, list): (&Name, &Vec<Access>)| {
        view.facts.is_read_by_expression(*name) && list.iter().any(|access| access.writes)
    };
    if found.iter().any(pinned) {
        return None;
    }
    for list in found.values_mut() {
        list.sort_by_key(|access| access.key);
        list.dedup_by(|later, first| {
            let same = later.unit == first.unit;
            if same {
                first.reads |= later.reads;
                first.writes |= later.writes;
            }
            same
        });
    }
    Some(found)
}

fn add(view: &View<'_>, found: &mut Accesses, data: Name, unit: Unit, writes: bool) {
    // Reading a stream takes from it.
    let stream = view.graph.data.get(&data).is_some_and(|data| matches!(data.kind, DataKind::Stream(_)));
    let access = Access { unit, key: view.index.key(unit.begin), reads: !writes, writes: writes || stream };
    found.entry(view.facts.class(data)).or_default().push(access);
}

/// Edges that are missing for the state's order to be explicit; `None` if that cannot be told.
pub fn missing(view: &View<'_>) -> Option<Vec<(NodeId, NodeId)>> {
    let accesses = accesses(view)?;
    let mut missing: Vec<(NodeId, NodeId)> = Vec::new();
    let mut added: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
    for list in accesses.values() {
        let mut writer: Option<Access> = None;
        let mut readers: Vec<Access> = Vec::new();
        for &access in list {
            let before: Vec<Access> = if access.writes {
                readers.drain(..).chain(writer).collect()
            } else {
                writer.into_iter().collect()
            };
            for first in before {
                let (from, to) = (first.unit, access.unit);
                if from != to && !has_path(view, &added, from, to) {
                    missing.push((from.end, to.begin));
                    added.entry(to.begin).or_default().push(from.end);
                }
            }
            if access.writes {
                writer = Some(access);
            } else {
                readers.push(access);
            }
        }
    }
    Some(missing)
}

/// Units that write, per class of containers, by position.
pub type Writers = HashMap<Name, BTreeMap<u32, Unit>>;

fn writers(view: &View<'_>) -> Writers {
    let mut writers = Writers::new();
    for (class, list) in accesses(view).unwrap_or_default() {
        let writing = list.into_iter().filter(|access| access.writes);
        writers.insert(class, writing.map(|access| (access.key, access.unit)).collect());
    }
    writers
}

/// Whether the order of a state is explicit. Remembered until the state is replaced: rules keep it so.
pub fn is_explicit(editor: &mut Editor<'_>, at: Place) -> bool {
    let Some(view) = editor.view(at) else { return false };
    if let Some(known) = view.index.explicit {
        return known;
    }
    let explicit = missing(&view).is_some_and(|missing| missing.is_empty());
    let writers = if explicit { writers(&view) } else { Writers::new() };
    editor.set_explicit(at, explicit, writers);
    explicit
}

/// Whether a path leads from one unit to a later one. May say no when there is one that is long.
fn has_path(view: &View<'_>, added: &HashMap<NodeId, Vec<NodeId>>, from: Unit, to: Unit) -> bool {
    let floor = view.index.key(from.begin);
    let mut seen: HashSet<NodeId> = HashSet::new();
    let mut open = vec![to.begin];
    while let Some(node) = open.pop() {
        if node == from.end || node == from.begin {
            return true;
        }
        if seen.len() >= PATH_FUEL {
            return false;
        }
        if view.index.key(node) < floor || !seen.insert(node) {
            continue;
        }
        if let Some(NodeKind::MapExit { entry } | NodeKind::ConsumeExit { entry }) = view.kind(node) {
            open.push(*entry);
            continue;
        }
        open.extend(view.index.incoming(node).iter().map(|&edge| view.edge(edge).src));
        open.extend(added.get(&node).into_iter().flatten());
    }
    false
}

/// Units between two positions that write a container of this class. Only for states whose order is explicit.
pub fn writers_between(view: &View<'_>, class: Name, after: u32, before: u32) -> Vec<Unit> {
    let Some(writers) = view.index.writers.get(&class).filter(|_| after < before) else { return Vec::new() };
    let between = writers.range(after.saturating_add(1)..before).map(|(_, &unit)| unit);
    between
        .filter(|unit| view.kind(unit.begin).is_some_and(|kind| !matches!(kind, NodeKind::Removed)))
        .collect()
}

/// The first unit after position `key` that writes a container of this class, with its position. Only for states whose
/// order is explicit: what it writes after that comes after that unit.
pub fn next_writer(view: &View<'_>, class: Name, key: u32) -> Option<(Unit, u32)> {
    let writers = view.index.writers.get(&class)?;
    writers
        .range(key.saturating_add(1)..)
        .map(|(&key, &unit)| (unit, key))
        .find(|(unit, _)| view.kind(unit.begin).is_some_and(|kind| !matches!(kind, NodeKind::Removed)))
}
