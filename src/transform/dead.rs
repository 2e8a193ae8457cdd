//! Removal of a write nobody reads, with everything that only served it.

use crate::entity::Name;
use crate::ir::{EdgeId, NodeId, NodeKind};
use crate::scalar::code::{Block, Op};
use crate::scalar::{Code, PortKind};

use super::editor::{Editor, Place, View, is_border};

/// Whether a write can be left out: the edge into an access node, back to whoever computes the value.
pub fn can_remove_write(view: &View<'_>, write: EdgeId) -> bool {
    let mut open = vec![write];
    while let Some(id) = open.pop() {
        let edge = view.edge(id);
        match view.kind(edge.src) {
            Some(NodeKind::Access { .. }) => {
                if view.index.parent(edge.src) != view.index.parent(edge.dst) && !is_exit(view, edge.dst) {
                    return false;
                }
            }
            Some(NodeKind::Tasklet(tasklet)) => {
                let Some(code) = &tasklet.code else { return false };
                if !is_pure(code) {
                    return false;
                }
                let alone = view.data_out(edge.src).count() == 1;
                let port = code.ports.values().find(|port| Some(port.name) == edge.src_conn);
                if !alone && port.is_none_or(|port| port.kind != PortKind::Value || port.reads) {
                    return false;
                }
            }
            Some(NodeKind::Nested(_)) => {
                if view.data_out(edge.src).count() != 1 {
                    return false;
                }
            }
            Some(NodeKind::Library(library)) => {
                if view.data_out(edge.src).count() != 1 || library.class() != "Reduce" {
                    return false;
                }
            }
            Some(NodeKind::MapExit { .. }) => {
                let inner = inner_edges(view, edge.src, edge.src_conn);
                if inner.is_empty() {
                    return false;
                }
                open.extend(inner);
            }
            _ => return false,
        }
    }
    true
}

/// Removes a write that [`can_remove_write`] allows, and then what is not needed any more. The access node stays.
pub fn remove_write(editor: &mut Editor<'_>, at: Place, write: EdgeId) -> Option<()> {
    let mut open = vec![write];
    let mut maybe_dead: Vec<NodeId> = Vec::new();
    while let Some(id) = open.pop() {
        let view = editor.view(at)?;
        let edge = view.edge(id);
        let src = edge.src;
        if let Some(NodeKind::MapExit { .. }) = view.kind(src) {
            open.extend(inner_edges(&view, src, edge.src_conn));
        }
        maybe_dead.push(src);
        drop_edge(editor, at, id)?;
    }
    sweep(editor, at, maybe_dead)
}

/// Removes an edge whose data nobody needs. Others may have relied on the order that it gave: inside a scope an ordering edge
/// takes its place, at the top level the driver looks when the rule is done ([`Editor::loosen`]).
fn drop_edge(editor: &mut Editor<'_>, at: Place, id: EdgeId) -> Option<()> {
    let view = editor.view(at)?;
    let (src, dst) = (view.edge(id).src, view.edge(id).dst);
    let inside = view.index.parent(src).or(view.index.parent(dst)).is_some() && !is_entry(&view, src);
    editor.remove_edge(at, id)?;
    if inside {
        return editor.order(at, src, dst);
    }
    editor.loosen(at);
    keep_in_scope(editor, at, dst)
}

/// Joins a node to the entry of its scope if nothing else leads to it: edges alone say which scope a node lies in.
fn keep_in_scope(editor: &mut Editor<'_>, at: Place, node: NodeId) -> Option<()> {
    let view = editor.view(at)?;
    let is_gone = view.kind(node).is_none_or(|kind| matches!(kind, NodeKind::Removed));
    match view.index.parent(node) {
        Some(entry) if !is_gone && view.index.incoming(node).is_empty() => editor.order(at, entry, node),
        _ => Some(()),
    }
}

/// Removes nodes of the list, and then their predecessors, as far as nothing needs them.
pub fn sweep(editor: &mut Editor<'_>, at: Place, mut open: Vec<NodeId>) -> Option<()> {
    while let Some(node) = open.pop() {
        let view = editor.view(at)?;
        let Some(kind) = view.kind(node) else { continue };
        let feeds = view.data_out(node).next().is_some();
        match kind {
            NodeKind::Tasklet(_) | NodeKind::Nested(_) | NodeKind::Library(_)
                if !feeds && is_replaceable(kind) =>
            {
                open.extend(sources(&view, node));
                remove_unit(editor, at, node, node)?;
            }
            NodeKind::Access { data, .. } if !feeds => {
                let data = *data;
                let written: Vec<EdgeId> = view.data_in(node).map(|(id, _)| id).collect();
                if written.is_empty() {
                    remove_unit(editor, at, node, node)?;
                    drop_unused(editor, at, data)?;
                } else if is_unread(&view, data)
                    && view.facts.access_nodes(data) == 1
                    && written.iter().all(|&edge| can_remove_write(&view, edge))
                {
                    for edge in written {
                        remove_write(editor, at, edge)?;
                    }
                    remove_unit(editor, at, node, node)?;
                    drop_unused(editor, at, data)?;
                }
            }
            NodeKind::MapExit { entry } => open.push(*entry),
            NodeKind::MapEntry(_) => {
                let exit = view.index.exit(node)?;
                let mut dropped: Vec<EdgeId> = Vec::new();
                for (id, edge) in view.data_in(node) {
                    let Some(connector) = edge.dst_conn else { continue };
                    let Some(stem) = view.names.get(connector).strip_prefix("IN_") else { continue };
                    let used = view.data_out(node).any(|(_, edge)| {
                        edge.src_conn
                            .is_some_and(|out| view.names.get(out).strip_prefix("OUT_") == Some(stem))
                    });
                    if !used {
                        dropped.push(id);
                        open.push(edge.src);
                    }
                }
                let is_empty = view.index.outgoing(node).iter().all(|&edge| view.edge(edge).dst == exit)
                    && view.index.incoming(exit).iter().all(|&edge| view.edge(edge).src == node)
                    && view.index.outgoing(exit).iter().all(|&edge| view.edge(edge).memlet.is_empty());
                if is_empty {
                    open.extend(sources(&view, node));
                    remove_unit(editor, at, node, exit)?;
                } else {
                    for edge in dropped {
                        drop_edge(editor, at, edge)?;
                    }
                }
            }
            _ => {}
        }
    }
    Some(())
}

/// Removes a node, or the two ends of an empty scope, and keeps the order of what was ordered through it.
pub fn remove_unit(editor: &mut Editor<'_>, at: Place, begin: NodeId, end: NodeId) -> Option<()> {
    let view = editor.view(at)?;
    let before = sources(&view, begin);
    let after: Vec<NodeId> = (view.index.outgoing(end).iter())
        .map(|&edge| view.edge(edge))
        .filter(|edge| edge.memlet.is_empty())
        .map(|edge| edge.dst)
        .collect();
    for &first in &before {
        for &second in &after {
            // The border of the scope that the unit lies in orders nothing.
            let view = editor.view(at)?;
            let borders = [first, second].map(|node| view.kind(node).is_some_and(is_border));
            let same = view.index.parent(begin).is_some_and(|entry| entry == first)
                || (borders[1]
                    && view.index.parent(second) == view.index.parent(begin)
                    && is_exit(&view, second));
            if !same {
                editor.order(at, first, second)?;
            }
        }
    }
    editor.remove_node(at, begin)?;
    if end != begin {
        editor.remove_node(at, end)?;
    }
    after.into_iter().try_for_each(|node| keep_in_scope(editor, at, node))
}

/// Whether a node without readers can go: it does nothing but compute its outputs.
fn is_replaceable(kind: &NodeKind) -> bool {
    match kind {
        NodeKind::Tasklet(tasklet) => tasklet.code.as_ref().is_some_and(is_pure),
        NodeKind::Library(library) => library.class() == "Reduce",
        _ => true,
    }
}

/// Whether nobody reads a container, neither through an access node nor by name, and nobody outside sees it.
pub fn is_unread(view: &View<'_>, data: Name) -> bool {
    view.graph.data.get(&data).is_some_and(|data| {
        use crate::ir::Lifetime;
        data.transient && !matches!(data.lifetime, Lifetime::Persistent | Lifetime::External)
    }) && !view.facts.is_shared(data)
        && !view.facts.is_read_by_name(data)
}

/// Whether code only computes: it takes from no stream and gives to none.
pub fn is_pure(code: &Code) -> bool {
    fn block(insts: &Block) -> bool {
        insts.insts.iter().all(|inst| match &inst.op {
            Op::Push { .. } | Op::Pop(_) => false,
            Op::If { then, otherwise, .. } => block(then) && block(otherwise),
            Op::Loop { condition, body, .. } => block(condition) && block(body),
            _ => true,
        })
    }
    block(&code.body)
}

/// Removes the declaration of a transient that no access node names.
pub fn drop_unused(editor: &mut Editor<'_>, at: Place, data: Name) -> Option<()> {
    let view = editor.view(at)?;
    if view.facts.access_nodes(data) == 0 && is_unread(&view, data) {
        editor.remove_data(at.graph, data)?;
    }
    Some(())
}

/// Edges inside a scope that lead to an exit's output.
pub fn inner_edges(view: &View<'_>, exit: NodeId, output: Option<Name>) -> Vec<EdgeId> {
    let Some(stem) = output.and_then(|name| view.names.get(name).strip_prefix("OUT_")) else {
        return Vec::new();
    };
    let leads = |name: Name| view.names.get(name).strip_prefix("IN_") == Some(stem);
    view.data_in(exit).filter(|(_, edge)| edge.dst_conn.is_some_and(leads)).map(|(id, _)| id).collect()
}

fn sources(view: &View<'_>, node: NodeId) -> Vec<NodeId> {
    let mut sources: Vec<NodeId> =
        view.index.incoming(node).iter().map(|&edge| view.edge(edge).src).collect();
    sources.sort_unstable();
    sources.dedup();
    sources
}

fn is_entry(view: &View<'_>, node: NodeId) -> bool {
    matches!(view.kind(node), Some(NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_)))
}

fn is_exit(view: &View<'_>, node: NodeId) -> bool {
    matches!(view.kind(node), Some(NodeKind::MapExit { .. } | NodeKind::ConsumeExit { .. }))
}
