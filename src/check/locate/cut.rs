//! Cutting a program down to one state, one part of a state, one iteration, one nested graph.
//!
//! Every cut is a program of its own whose arguments are what the whole program had in memory at that moment, so any
//! engine can run it.

use hashbrown::HashSet;

use crate::analysis::{MemletPaths, ScopeTree};
use crate::check::edit::{add_access, add_edge, expose_arrays, expose_scalars, root_mut, single, tidied};
use crate::check::side::copied;
use crate::diag::Result;
use crate::entity::Name;
use crate::exec::bind::Symbols;
use crate::ir::canonical::canonical;
use crate::ir::{BlockId, Contract, DataKind, EdgeId, Memlet, NodeId, NodeKind, Program, State};
use crate::memory::{Arguments, Binding, Buffer};
use crate::scalar::{DType, Scalar, Type};
use crate::symbolic::ExprId;

use super::timeline::{Timeline, is_own, sequence};

/// A part of a state that runs by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::check) enum Unit {
    /// A tasklet, scope, nested graph or library node.
    Code(NodeId),
    /// A copy between access nodes.
    Copy(EdgeId),
}

/// A program of one state with its arguments.
#[derive(Debug)]
pub(in crate::check) struct Cut {
    pub program: Program,
    pub args: Arguments<'static>,
}

/// The state of a timeline's program as a program, with memory as it was when `args` were recorded.
pub(super) fn cut_state(timeline: &Timeline, block: BlockId, args: &Arguments<'_>) -> Result<Cut> {
    let mut program = timeline.program.clone();
    let mut cut_args = copied(args);
    let symbols: Vec<(Name, DType, Option<Scalar>)> =
        timeline.symbols.iter().map(|&(name, dtype)| (name, dtype, timeline.symbol(args, name))).collect();
    let body = sequence(&mut program, &[block]);
    let names = program.names.clone();
    if let Some(graph) = root_mut(&mut program) {
        graph.body = body;
        graph.data.retain(|&name, _| !is_own(names.get(name)));
        graph.symbols.retain(|&name, _| !is_own(names.get(name)));
        for &(name, dtype, _) in &symbols {
            graph.symbols.insert(name, Type::Scalar(dtype));
        }
    }
    for (name, _, value) in symbols {
        cut_args.insert_scalar(names.get(name), value.unwrap_or(Scalar::I64(0)));
    }
    for &(name, _) in &timeline.scalars {
        if let Some(value) = timeline.scalar(args, name) {
            insert_number(&mut cut_args, names.get(name), value);
        }
    }
    cut_args.bindings.retain(|name, _| !is_own(name));
    let mut program = canonical(&program);
    expose(&mut program, &mut cut_args);
    Ok(Cut { program: tidied(&program)?, args: cut_args })
}

/// Everything of the outermost graph that can be an argument becomes one; what has no value yet is zero.
pub(in crate::check) fn expose(program: &mut Program, args: &mut Arguments<'static>) {
    for name in expose_scalars(program) {
        let text = program.names.get(name).to_owned();
        let value = match args.get(&text) {
            Some(Binding::Scalar(value)) => Some(*value),
            _ => None,
        };
        let dtype =
            program.root_graph().and_then(|graph| graph.data.get(&name)).and_then(|data| data.ty.scalar());
        if let (Some(dtype), true) = (dtype, value.is_some() || args.get(&text).is_none()) {
            insert_number(args, &text, crate::scalar::arith::cast(dtype, value.unwrap_or(Scalar::I64(0))));
        }
    }
    expose_arrays(program);
    add_missing(program, args);
}

/// Arguments that nobody gave are zeros, in the declared layout.
pub(in crate::check) fn add_missing(program: &Program, args: &mut Arguments<'static>) {
    let Some(graph) = program.root_graph() else { return };
    for (&name, data) in graph.data.iter().filter(|(_, data)| !data.transient) {
        let text = program.names.get(name);
        let (Type::Scalar(dtype), DataKind::Array(array)) = (data.ty, &data.kind) else { continue };
        if args.get(text).is_some() {
            continue;
        }
        let layout = |sizes: &[ExprId]| {
            sizes.iter().map(|&size| value_of(program, args, size)).collect::<Option<Vec<_>>>()
        };
        let (Some(shape), Some(strides)) = (layout(&array.shape), layout(&array.strides)) else { continue };
        if let Some(binding) = strided(args, dtype, &shape, &strides) {
            args.bindings.insert(text.to_owned(), binding);
        }
    }
}

fn strided(args: &mut Arguments<'static>, dtype: DType, shape: &[i64], strides: &[i64]) -> Option<Binding> {
    let mut reach: i64 = 1;
    for (&extent, &stride) in shape.iter().zip(strides) {
        reach = reach.checked_add((extent - 1).max(0).checked_mul(stride.max(0))?)?;
    }
    let bytes = usize::try_from(reach).ok()?.checked_mul(dtype.bytes()).filter(|&bytes| bytes < 1 << 34)?;
    let buffer = args.buffers.push(Buffer::Owned(vec![0; bytes]));
    Some(Binding::Array {
        buffer,
        offset: 0,
        ty: Type::Scalar(dtype),
        shape: shape.iter().map(|&extent| usize::try_from(extent).unwrap_or(0)).collect(),
        strides: strides.iter().map(|&stride| stride as isize * dtype.bytes() as isize).collect(),
    })
}

fn insert_number(args: &mut Arguments<'static>, name: &str, value: Scalar) {
    let dtype = value.dtype();
    let mut bytes = vec![0; dtype.bytes()];
    value.write_le_bytes(&mut bytes);
    args.insert_array(name, Type::Scalar(dtype), dtype.bytes(), &[1], bytes);
}

/// A size with the symbols of a call.
pub(in crate::check) fn value_of(program: &Program, args: &Arguments<'_>, expr: ExprId) -> Option<i64> {
    let symbols = Symbols(&|name| super::timeline::first_of(args, program.names.get(name)));
    program.exprs.eval(expr, &symbols).ok()
}

/// The only state of a cut program.
pub(in crate::check) fn only_state(program: &Program) -> Option<(BlockId, &State)> {
    let graph = program.root_graph()?;
    match graph.body_region()?.blocks[..] {
        [block] => Some((block, graph.state(block)?)),
        _ => None,
    }
}

fn only_state_mut(program: &mut Program) -> Option<&mut State> {
    let (block, _) = only_state(program)?;
    match &mut root_mut(program)?.blocks.get_mut(block)?.kind {
        crate::ir::BlockKind::State(state) => Some(state),
        _ => None,
    }
}

/// What a state does, in the order in which it does it.
pub(in crate::check) fn units(state: &State) -> Result<Vec<Unit>> {
    let tree = ScopeTree::of(state)?;
    let adjacency = state.adjacency();
    let mut units = Vec::new();
    for &id in tree.children(None) {
        match &state.nodes[id].kind {
            NodeKind::Access { .. } => {
                for &edge in adjacency.outgoing(id) {
                    let edge_value = &state.edges[edge];
                    let to_access = matches!(
                        state.nodes.get(edge_value.dst).map(|node| &node.kind),
                        Some(NodeKind::Access { .. })
                    );
                    let aims = edge_value.src_conn.is_some() || edge_value.dst_conn.is_some();
                    if to_access && !edge_value.memlet.is_empty() && !aims {
                        units.push(Unit::Copy(edge));
                    }
                }
            }
            NodeKind::MapExit { .. } | NodeKind::ConsumeExit { .. } | NodeKind::Removed => {}
            _ => units.push(Unit::Code(id)),
        }
    }
    Ok(units)
}

/// What a unit is called.
pub(in crate::check) fn unit_label(program: &Program, state: &State, unit: Unit) -> String {
    match unit {
        Unit::Code(id) => {
            let node = &state.nodes[id];
            let kind = match &node.kind {
                NodeKind::Tasklet(_) => "tasklet",
                NodeKind::MapEntry(_) => "map",
                NodeKind::ConsumeEntry(_) => "consume scope",
                NodeKind::Nested(_) => "nested graph",
                NodeKind::Library(_) => "library node",
                _ => "node",
            };
            format!("{kind} `{}`", node.label)
        }
        Unit::Copy(edge) => {
            let edge = &state.edges[edge];
            let label = |id: NodeId| state.nodes.get(id).map_or("?", |node| node.label.as_str());
            let _ = program;
            format!("copy {} -> {}", label(edge.src), label(edge.dst))
        }
    }
}

/// The program with only some units of its state.
pub(in crate::check) fn keep_units(program: &Program, kept: &[Unit]) -> Result<Program> {
    let mut program = program.clone();
    let Some((_, state)) = only_state(&program) else { return Ok(program) };
    let tree = ScopeTree::of(state)?;
    let mut code: HashSet<NodeId> = HashSet::new();
    let mut edges: HashSet<EdgeId> = HashSet::new();
    let mut nodes: HashSet<NodeId> = HashSet::new();
    for unit in kept {
        match *unit {
            Unit::Copy(edge) => {
                edges.insert(edge);
            }
            Unit::Code(id) => {
                code.insert(id);
                code.extend(tree.exit(id));
                code.extend(
                    tree.order()
                        .iter()
                        .copied()
                        .filter(|&node| tree.enclosing(node).any(|entry| entry == id)),
                );
            }
        }
    }
    // Code that feeds code directly comes along.
    loop {
        let before = code.len();
        for edge in state.edges.values().filter(|edge| !edge.removed && !edge.memlet.is_empty()) {
            let feeds = !matches!(state.nodes[edge.src].kind, NodeKind::Access { .. });
            if feeds && code.contains(&edge.dst) {
                code.insert(edge.src);
            }
        }
        if code.len() == before {
            break;
        }
    }
    let is_access = |id: NodeId| matches!(state.nodes[id].kind, NodeKind::Access { .. });
    for (id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
        let touches = code.contains(&edge.src) || code.contains(&edge.dst);
        let whole = |id: NodeId| code.contains(&id) || is_access(id);
        if touches
            && whole(edge.src)
            && whole(edge.dst)
            && !(edge.memlet.is_empty() && is_access(edge.src) && is_access(edge.dst))
        {
            edges.insert(id);
        }
    }
    nodes.extend(code.iter().copied());
    let aims = |edge: &crate::ir::Edge| {
        is_access(edge.src) && is_access(edge.dst) && (edge.src_conn.is_some() || edge.dst_conn.is_some())
    };
    loop {
        let before = nodes.len();
        for &id in &edges {
            nodes.insert(state.edges[id].src);
            nodes.insert(state.edges[id].dst);
        }
        // Views keep what they are aimed at.
        for (id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed && aims(edge)) {
            if nodes.contains(&edge.src) || nodes.contains(&edge.dst) {
                edges.insert(id);
            }
        }
        if nodes.len() == before
            && edges
                .iter()
                .all(|&id| nodes.contains(&state.edges[id].src) && nodes.contains(&state.edges[id].dst))
        {
            break;
        }
    }
    // The order among what is left.
    for (id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed && edge.memlet.is_empty()) {
        if nodes.contains(&edge.src) && nodes.contains(&edge.dst) {
            edges.insert(id);
        }
    }
    let drop_nodes: Vec<NodeId> = state.nodes.ids().filter(|id| !nodes.contains(id)).collect();
    let drop_edges: Vec<EdgeId> = state.edges.ids().filter(|id| !edges.contains(id)).collect();
    if let Some(state) = only_state_mut(&mut program) {
        for id in drop_nodes {
            state.nodes[id].kind = NodeKind::Removed;
        }
        for id in drop_edges {
            state.edges[id].removed = true;
        }
    }
    tidied(&program)
}

/// First index, last index and step of each parameter of a map, as far as they are known.
pub(in crate::check) fn map_ranges(
    cut: &Program,
    args: &Arguments<'_>,
    entry: NodeId,
) -> Vec<Option<(i64, i64, i64)>> {
    let Some((_, state)) = only_state(cut) else { return Vec::new() };
    let Some(NodeKind::MapEntry(map)) = state.nodes.get(entry).map(|node| &node.kind) else {
        return Vec::new();
    };
    let mut known = copied(args);
    let mut ranges = Vec::new();
    for (&param, range) in map.params.iter().zip(&map.range.ranges) {
        let value = |expr| value_of(cut, &known, expr);
        let found = match (value(range.start), value(range.end), value(range.step)) {
            (Some(start), Some(end), Some(step)) if step > 0 => Some((start, end, step)),
            _ => None,
        };
        match found {
            Some((start, end, step)) if start.checked_add(step).is_none_or(|next| next > end) => {
                known.insert_scalar(cut.names.get(param), Scalar::I64(start));
            }
            // What depends on a parameter of many values has no range yet.
            _ => {
                known.bindings.shift_remove(cut.names.get(param));
            }
        }
        ranges.push(found);
    }
    ranges
}

/// The program with one parameter of a map between two indices.
pub(in crate::check) fn restricted(
    program: &Program,
    entry: NodeId,
    dim: usize,
    first: i64,
    last: i64,
) -> Program {
    let mut program = program.clone();
    let mut range = single(&mut program, first);
    range.end = program.exprs.int(last);
    if let Some(state) = only_state_mut(&mut program)
        && let Some(NodeKind::MapEntry(map)) = state.nodes.get_mut(entry).map(|node| &mut node.kind)
        && let Some(slot) = map.range.ranges.get_mut(dim)
    {
        range.step = slot.step;
        *slot = range;
    }
    program
}

/// A map of one iteration becomes its body: parameters are symbols.
pub(in crate::check) fn peeled(cut: &Cut, entry: NodeId) -> Result<Option<Cut>> {
    let mut program = cut.program.clone();
    let mut args = copied(&cut.args);
    let ranges = map_ranges(&program, &args, entry);
    let Some((_, state)) = only_state(&program) else { return Ok(None) };
    let Some(NodeKind::MapEntry(map)) = state.nodes.get(entry).map(|node| &node.kind) else {
        return Ok(None);
    };
    let params = map.params.clone();
    let tree = ScopeTree::of(state)?;
    let Some(exit) = tree.exit(entry) else { return Ok(None) };
    let paths = MemletPaths::of(state, &program.names);
    // What moves over the border, with the container outside.
    let mut inward: Vec<(EdgeId, Option<Name>)> = Vec::new();
    let mut outward: Vec<(EdgeId, Option<Name>)> = Vec::new();
    let data_of = |id: NodeId| match state.nodes.get(id).map(|node| &node.kind) {
        Some(NodeKind::Access { data, .. }) => Some(*data),
        _ => None,
    };
    for (id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
        if edge.src == entry {
            inward.push((id, data_of(state.edges[paths.first(id)].src)));
        }
        if edge.dst == exit {
            let last = paths.last(id).first().map(|&last| state.edges[last].dst);
            outward.push((id, last.and_then(data_of)));
        }
    }
    let Some(state) = only_state_mut(&mut program) else { return Ok(None) };
    /// A container, the end of the cut edge, whether it is read, and the memlet.
    type Addition = (Name, (NodeId, Option<Name>), bool, Memlet);
    let mut additions: Vec<Addition> = Vec::new();
    for (id, data) in inward {
        let edge = state.edges[id].clone();
        if let (Some(data), false) = (data, edge.memlet.is_empty()) {
            additions.push((data, (edge.dst, edge.dst_conn), true, edge.memlet));
        }
    }
    for (id, data) in outward {
        let edge = state.edges[id].clone();
        if let (Some(data), false) = (data, edge.memlet.is_empty()) {
            additions.push((data, (edge.src, edge.src_conn), false, edge.memlet));
        }
    }
    let around: Vec<EdgeId> = state
        .edges
        .iter()
        .filter(|(_, edge)| [edge.src, edge.dst].iter().any(|&end| end == entry || end == exit))
        .map(|(id, _)| id)
        .collect();
    for id in around {
        state.edges[id].removed = true;
    }
    state.nodes[entry].kind = NodeKind::Removed;
    state.nodes[exit].kind = NodeKind::Removed;
    // The access nodes outside lose their edges and go.
    let adjacency = state.adjacency();
    let lonely: Vec<NodeId> = state
        .live_nodes()
        .filter(|(id, node)| {
            matches!(node.kind, NodeKind::Access { .. })
                && adjacency.incoming(*id).is_empty()
                && adjacency.outgoing(*id).is_empty()
        })
        .map(|(id, _)| id)
        .collect();
    for id in lonely {
        state.nodes[id].kind = NodeKind::Removed;
    }
    for (data, (node, connector), reads, memlet) in additions {
        let access = add_access(state, "outer", data);
        if reads {
            add_edge(state, (access, None), (node, connector), memlet);
        } else {
            add_edge(state, (node, connector), (access, None), memlet);
        }
    }
    let labels: Vec<(NodeId, Name)> = state
        .live_nodes()
        .filter_map(|(id, node)| match node.kind {
            NodeKind::Access { data, .. } if node.label == "outer" => Some((id, data)),
            _ => None,
        })
        .collect();
    let names = program.names.clone();
    if let Some(state) = only_state_mut(&mut program) {
        for (id, data) in labels {
            state.nodes[id].label = names.get(data).to_owned();
        }
    }
    for (param, range) in params.into_iter().zip(ranges) {
        let Some((start, ..)) = range else { return Ok(None) };
        args.insert_scalar(names.get(param), Scalar::I64(start));
        if let Some(graph) = root_mut(&mut program) {
            graph.symbols.insert(param, Type::Scalar(DType::I64));
        }
    }
    let mut program = canonical(&program);
    expose(&mut program, &mut args);
    Ok(Some(Cut { program: tidied(&program)?, args }))
}

/// A nested graph becomes the program; connectors alias the containers outside.
pub(in crate::check) fn entered(cut: &Cut, id: NodeId) -> Result<Option<Cut>> {
    let Some((_, state)) = only_state(&cut.program) else { return Ok(None) };
    let Some(NodeKind::Nested(nested)) = state.nodes.get(id).map(|node| &node.kind) else { return Ok(None) };
    let Some(inner) = nested.graph else { return Ok(None) };
    let mut args = copied(&cut.args);
    let outer = Cut { program: cut.program.clone(), args: copied(&cut.args) };
    args.bindings.retain(|_, binding| matches!(binding, Binding::Scalar(_)));
    let mut program = cut.program.clone();
    for (&name, &value) in &nested.symbol_mapping {
        if let Some(value) = value_of(&outer.program, &outer.args, value) {
            args.insert_scalar(program.names.get(name), Scalar::I64(value));
        }
    }
    let mut connected: Vec<(Name, &Memlet)> = Vec::new();
    for edge in state.edges.values().filter(|edge| !edge.removed) {
        let connector = if edge.dst == id {
            edge.dst_conn
        } else if edge.src == id {
            edge.src_conn
        } else {
            None
        };
        if let Some(connector) = connector
            && connected.iter().all(|(known, _)| *known != connector)
        {
            connected.push((connector, &edge.memlet));
        }
    }
    program.root = Some(inner);
    let free: Vec<Name> = {
        let outer_graph = outer.program.root_graph();
        outer_graph.map(|graph| graph.symbols.keys().copied().collect()).unwrap_or_default()
    };
    for (connector, memlet) in connected {
        let Some(binding) = inner_binding(&outer, &program, &args, connector, memlet) else {
            return Ok(None);
        };
        args.bindings.insert(program.names.get(connector).to_owned(), binding);
    }
    if let Some(graph) = root_mut(&mut program) {
        for name in free {
            graph.symbols.entry(name).or_insert(Type::Scalar(DType::I64));
        }
        for &name in nested.symbol_mapping.keys() {
            graph.symbols.entry(name).or_insert(Type::Scalar(DType::I64));
        }
    }
    let mut program = canonical(&program);
    for name in expose_scalars(&mut program) {
        let text = program.names.get(name).to_owned();
        if !args.bindings.contains_key(&text) {
            let dtype =
                program.root_graph().and_then(|g| g.data.get(&name)).and_then(|data| data.ty.scalar());
            insert_number(&mut args, &text, Scalar::zero(dtype.unwrap_or(DType::F64)));
        }
    }
    Ok(Some(Cut { program: tidied(&program)?, args }))
}

fn inner_binding(
    outer: &Cut,
    program: &Program,
    args: &Arguments<'_>,
    connector: Name,
    memlet: &Memlet,
) -> Option<Binding> {
    let inner = program.root_graph()?.data.get(&connector)?;
    let name = outer.program.names.get(memlet.data?);
    let Binding::Array { buffer, offset, ty, shape, strides } = outer.args.get(name)? else { return None };
    let item = ty.bytes(&program.structs) as isize;
    let (inner_shape, inner_strides): (Vec<usize>, Vec<isize>) = match &inner.kind {
        DataKind::Array(array) => {
            let shape = array.shape.iter().map(|&size| value_of(program, args, size)?.try_into().ok());
            let strides =
                array.strides.iter().map(|&size| Some(value_of(program, args, size)? as isize * item));
            (shape.collect::<Option<_>>()?, strides.collect::<Option<_>>()?)
        }
        DataKind::Scalar(_) => (vec![1], vec![item]),
        _ => return None,
    };
    let whole = program.contract == Contract::Whole && inner_shape == *shape && inner_strides == *strides;
    let mut at = *offset as isize;
    if !whole && let Some(subset) = &memlet.subset {
        for (range, stride) in subset.ranges.iter().zip(strides) {
            at += value_of(&outer.program, &outer.args, range.start)? as isize * stride;
        }
    }
    Some(Binding::Array {
        buffer: *buffer,
        offset: usize::try_from(at).ok()?,
        ty: *ty,
        shape: inner_shape,
        strides: inner_strides,
    })
}
