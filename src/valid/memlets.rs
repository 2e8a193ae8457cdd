//! Memlets: containers, ranks, bounds, conflict resolution.

use crate::analysis::MemletPaths;
use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{Data, DataKind, Edge, EdgeId, Graph, NodeId, NodeKind, State, Subset};
use crate::symbolic::ExprId;

use super::Validator;
use super::names::{Scope, check_size};

/// Checks the memlet of one edge.
pub(super) fn check(
    validator: &mut Validator<'_>,
    graph: &Graph,
    state: &State,
    paths: &MemletPaths,
    id: EdgeId,
    scope: &Scope,
) {
    let Some(edge) = state.edges.get(id) else { return };
    let Some(name) = edge.memlet.data else { return };
    let end = |node: NodeId, connector: Option<Name>| {
        let label = state.nodes.get(node).map_or("?", |node| node.label.as_str());
        match connector {
            None => format!("`{label}`"),
            Some(connector) => format!("`{label}`.{}", validator.text(connector)),
        }
    };
    let place = format!(
        "memlet `{}` of {} -> {}",
        validator.text(name),
        end(edge.src, edge.src_conn),
        end(edge.dst, edge.dst_conn)
    );
    validator.place.push(place);
    check_memlet(validator, graph, state, paths, id, edge, name, scope);
    validator.place.pop();
}

#[expect(clippy::too_many_arguments, reason = "the parts of one edge")]
fn check_memlet(
    validator: &mut Validator<'_>,
    graph: &Graph,
    state: &State,
    paths: &MemletPaths,
    id: EdgeId,
    edge: &Edge,
    name: Name,
    scope: &Scope,
) {
    let Some(data) = validator.container(graph, name) else {
        let text = format!("there is no container `{}`", validator.text(name));
        return validator.report(Diagnostic::error("P0102", text));
    };
    on_path(validator, state, paths, id, name);
    if let Some(subset) = &edge.memlet.subset {
        check_subset(validator, data, subset, scope, is_oob_allowed(edge));
    }
    if let Some(subset) = &edge.memlet.other_subset {
        let other = other_end(state, paths, id, name).and_then(|other| validator.container(graph, other));
        match other {
            Some(other) => check_subset(validator, other, subset, scope, is_oob_allowed(edge)),
            None => subset_symbols(validator, subset, scope),
        }
    }
    if let Some(wcr) = &edge.memlet.wcr {
        match &wcr.code {
            None => {
                let finding = Diagnostic::error("P0203", "the write-conflict function has not been lowered")
                    .with_note(format!("it reads `{}`", wcr.text));
                validator.report(finding);
            }
            Some(code) if code.ports.len() != 2 || code.body.results.len() != 1 => {
                let finding =
                    Diagnostic::error("P0128", "a write-conflict function takes the old and the new value")
                        .with_note(format!("it reads `{}`", wcr.text));
                validator.report(finding);
            }
            Some(_) => {}
        }
    }
}

fn is_oob_allowed(edge: &Edge) -> bool {
    edge.memlet.extra.get("allow_oob").is_some_and(|value| value == &serde_json::Value::Bool(true))
}

fn accessed(state: &State, node: NodeId) -> Option<Name> {
    match state.nodes.get(node)?.kind {
        NodeKind::Access { data, .. } => Some(data),
        _ => None,
    }
}

/// The container is accessed at one end of the path, or there is none at either end.
fn on_path(validator: &mut Validator<'_>, state: &State, paths: &MemletPaths, id: EdgeId, name: Name) {
    let source = state.edges.get(paths.first(id)).and_then(|edge| accessed(state, edge.src));
    let sinks: Vec<Option<Name>> = paths
        .last(id)
        .iter()
        .map(|&last| state.edges.get(last).and_then(|edge| accessed(state, edge.dst)))
        .collect();
    let ends = || source.into_iter().chain(sinks.iter().copied().flatten());
    let base = |name: Name| validator.text(name).split('.').next().unwrap_or("");
    if ends().next().is_some() && !ends().any(|end| end == name || base(end) == base(name)) {
        let list = ends().map(|end| format!("`{}`", validator.text(end))).collect::<Vec<_>>().join(", ");
        let finding = Diagnostic::error(
            "P0125",
            format!("`{}` is accessed at neither end of the path", validator.text(name)),
        )
        .with_note(format!("the path joins {list}"));
        validator.report(finding);
    }
}

/// The container at the other end of a copy.
fn other_end(state: &State, paths: &MemletPaths, id: EdgeId, name: Name) -> Option<Name> {
    let source = accessed(state, state.edges.get(paths.first(id))?.src)?;
    let last = paths.last(id);
    let [last] = last[..] else { return None };
    let sink = accessed(state, state.edges.get(last)?.dst)?;
    match (source == name, sink == name) {
        (true, _) => Some(sink),
        (false, true) => Some(source),
        (false, false) => None,
    }
}

fn subset_symbols(validator: &mut Validator<'_>, subset: &Subset, scope: &Scope) {
    for range in &subset.ranges {
        for end in [range.start, range.end, range.step, range.tile] {
            check_size(validator, scope, end, &|| "subset".to_owned());
        }
    }
}

fn check_subset(
    validator: &mut Validator<'_>,
    data: &Data,
    subset: &Subset,
    scope: &Scope,
    oob_allowed: bool,
) {
    subset_symbols(validator, subset, scope);
    let found = subset.ranges.len();
    let rank = match &data.kind {
        DataKind::Scalar(_) if found <= 1 => return,
        DataKind::Scalar(_) => 1,
        DataKind::Structure(_) | DataKind::StructureView(_) | DataKind::StructureReference(_) => return,
        DataKind::Stream(_) if found == 1 => return,
        _ => data.shape().len(),
    };
    if found != rank {
        let finding = Diagnostic::error("P0106", "a memlet has the wrong number of dimensions")
            .with_note(format!("{found} ranges for {rank} dimensions"));
        return validator.report(finding);
    }
    let shape: Vec<ExprId> = data.shape().to_vec();
    if oob_allowed || data.array().is_some_and(|array| !array.offset.is_empty()) {
        return;
    }
    let zero = validator.exprs.int(0);
    let one = validator.exprs.int(1);
    for (dimension, (range, extent)) in subset.ranges.iter().zip(shape).enumerate() {
        let is_forward = validator.at_most(one, range.step);
        // An empty range touches nothing, wherever it lies.
        let is_nonempty = range.start == range.end || validator.at_most(range.start, range.end);
        if !is_forward || !is_nonempty || range.tile != one {
            continue;
        }
        let below = validator.less_than(range.start, zero);
        let past = validator.at_most(extent, range.start)
            || range.step == one && validator.at_most(extent, range.end);
        if below || past {
            let print =
                |e| validator.exprs.print(&validator.program.names, e, crate::symbolic::Grammar::Plain);
            let note = format!(
                "dimension {dimension} takes {} to {}, its size is {}",
                print(range.start),
                print(range.end),
                print(extent)
            );
            let finding = Diagnostic::error("P0126", "the subset lies outside the container")
                .with_note(note)
                .with_help("indices count from 0 to size - 1");
            validator.report(finding);
        }
    }
}
