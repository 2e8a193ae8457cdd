//! Where a mistake can be planted, and how.

use crate::analysis::ScopeTree;
use crate::entity::Name;
use crate::ir::{
    BlockId, BlockKind, Connector, DataKind, EdgeId, GraphId, NodeId, NodeKind, Program, RegionId, State,
    Subset,
};
use crate::scalar::{DType, Type};
use crate::symbolic::ExprId;

use super::Kind;

/// A place in a program.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub graph: GraphId,
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    Edge(BlockId, EdgeId),
    Node(BlockId, NodeId),
    Block(BlockId),
    Jump(RegionId, usize),
    Container(Name),
    Pair(Name, Name),
    Blocks(RegionId, usize),
}

/// All places where the pattern is found, in stored order.
pub(super) fn spots(program: &Program, kind: Kind) -> Vec<Spot> {
    let mut found = Vec::new();
    for (graph_id, graph) in program.graphs.iter() {
        let mut add = |at: At| found.push(Spot { graph: graph_id, at });
        for (block, state) in graph.states() {
            for (id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
                let from = state.nodes.get(edge.src).map(|node| &node.kind);
                let to = state.nodes.get(edge.dst).map(|node| &node.kind);
                let into_code = matches!(to, Some(NodeKind::Tasklet(_))) && !edge.memlet.is_empty();
                let out_of_code = matches!(from, Some(NodeKind::Tasklet(_))) && !edge.memlet.is_empty();
                let copies =
                    matches!((from, to), (Some(NodeKind::Access { .. }), Some(NodeKind::Access { .. })));
                let rank = edge.memlet.subset.as_ref().map_or(0, |subset| subset.ranges.len());
                let fits = match kind {
                    Kind::ReadOneFurther | Kind::ReadOneEarlier => into_code && rank > 0,
                    Kind::WriteOneFurther => out_of_code && rank > 0,
                    // What stands on the border of a scope only repeats what stands inside.
                    Kind::DropResolution | Kind::OtherResolution => {
                        edge.memlet.wcr.is_some()
                            && !matches!(from, Some(NodeKind::MapExit { .. } | NodeKind::ConsumeExit { .. }))
                    }
                    Kind::SwapSubsetDimensions => (into_code || out_of_code) && rank > 1,
                    Kind::DropCopy => copies && !edge.memlet.is_empty() && edge.src_conn.is_none(),
                    Kind::DropWrite => out_of_code,
                    _ => false,
                };
                if fits {
                    add(At::Edge(block, id));
                }
            }
            for (id, node) in state.live_nodes() {
                let fits = match (&node.kind, kind) {
                    (NodeKind::MapEntry(map), Kind::SwapRanges) => {
                        map.range.ranges.windows(2).any(|pair| pair[0] != pair[1])
                    }
                    (NodeKind::MapEntry(map), Kind::ShortRange | Kind::LateStart | Kind::DoubleStep) => {
                        !map.range.ranges.is_empty()
                    }
                    (NodeKind::Tasklet(tasklet), Kind::PlusToMinus) => tasklet.text.text.contains(" + "),
                    (NodeKind::Tasklet(tasklet), Kind::TimesToPlus) => tasklet.text.text.contains(" * "),
                    (NodeKind::Tasklet(tasklet), Kind::MinToMax) => tasklet.text.text.contains("min("),
                    (NodeKind::Tasklet(tasklet), Kind::LessToLessOrEqual) => {
                        tasklet.text.text.contains(" < ")
                    }
                    (NodeKind::Tasklet(_), Kind::NarrowRead) => !node.inputs.is_empty(),
                    (NodeKind::Tasklet(_), Kind::SwapReads) => node.inputs.len() > 1,
                    (NodeKind::Library(library), Kind::DropIdentity) => {
                        library.properties.contains_key("identity")
                    }
                    (NodeKind::Library(library), Kind::OtherAxis) => library.properties.contains_key("axes"),
                    (NodeKind::Library(library), Kind::TransposedOperand) => library.class() == "MatMul",
                    (NodeKind::Nested(nested), Kind::MapSymbolOneMore) => !nested.symbol_mapping.is_empty(),
                    _ => false,
                };
                if fits {
                    add(At::Node(block, id));
                }
            }
            if kind == Kind::DropState && state.live_nodes().next().is_some() {
                add(At::Block(block));
            }
        }
        for (id, block) in graph.blocks.iter() {
            let fits = match (&block.kind, kind) {
                (BlockKind::Conditional(branches), Kind::NegateCondition) => {
                    branches.iter().any(|branch| branch.condition.is_some())
                }
                (BlockKind::Conditional(branches), Kind::SwapBranches | Kind::SkipLastBranch) => {
                    branches.len() > 1
                }
                (BlockKind::Loop(_), Kind::LoopEndsEarly) => true,
                (BlockKind::Loop(inner), Kind::LoopStartsLate) => inner.init.is_some(),
                _ => false,
            };
            if fits {
                add(At::Block(id));
            }
        }
        for (id, region) in graph.regions.iter() {
            for (at, edge) in region.edges.iter().enumerate() {
                if kind == Kind::AssignOneMore && !edge.assignments.is_empty() {
                    add(At::Jump(id, at));
                }
            }
            if kind == Kind::SwapStates {
                for (at, pair) in region.blocks.windows(2).enumerate() {
                    let is_state = |id: BlockId| {
                        graph.state(id).is_some_and(|state| state.live_nodes().next().is_some())
                    };
                    if pair.iter().all(|&id| is_state(id)) {
                        add(At::Blocks(id, at));
                    }
                }
            }
        }
        let transients: Vec<(Name, &crate::ir::Data)> = graph
            .data
            .iter()
            .filter(|(_, data)| data.transient && matches!(data.kind, DataKind::Array(_)))
            .map(|(&name, data)| (name, data))
            .collect();
        match kind {
            Kind::NarrowTransient => {
                for &(name, data) in &transients {
                    if narrower(data.ty).is_some() {
                        add(At::Container(name));
                    }
                }
            }
            Kind::ReuseLiveMemory => {
                for (at, (first, ours)) in transients.iter().enumerate() {
                    for (second, theirs) in &transients[at + 1..] {
                        if ours.ty == theirs.ty && ours.kind == theirs.kind {
                            add(At::Pair(*first, *second));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    found
}

fn narrower(ty: Type) -> Option<Type> {
    Some(Type::Scalar(match ty.scalar()? {
        DType::F64 => DType::F32,
        DType::F32 => DType::F16,
        DType::I64 => DType::I16,
        DType::I32 => DType::I8,
        DType::C128 => DType::C64,
        _ => return None,
    }))
}

/// Plants the mistake; says whether anything changed.
pub(super) fn change(program: &mut Program, kind: Kind, spot: &Spot) -> bool {
    change_in(program, kind, spot).is_some()
}

fn change_in(program: &mut Program, kind: Kind, spot: &Spot) -> Option<()> {
    let one = program.exprs.int(1);
    match spot.at {
        At::Edge(block, edge) => change_edge(program, kind, spot.graph, block, edge),
        At::Node(block, node) => change_node(program, kind, spot.graph, block, node),
        At::Block(block) => change_block(program, kind, spot.graph, block),
        At::Jump(region, at) => {
            let edge = program.graphs.get_mut(spot.graph)?.regions.get_mut(region)?.edges.get_mut(at)?;
            let (_, code) = edge.assignments.first_mut()?;
            code.text.text = format!("({}) + 1", code.text.text);
            Some(())
        }
        At::Container(name) => {
            let data = program.graphs.get_mut(spot.graph)?.data.get_mut(&name)?;
            data.ty = narrower(data.ty)?;
            Some(())
        }
        At::Pair(first, second) => rename(program, spot.graph, second, first),
        At::Blocks(region, at) => {
            let _ = one;
            let graph = program.graphs.get_mut(spot.graph)?;
            let region = graph.regions.get(region)?;
            let (a, b) = (*region.blocks.get(at)?, *region.blocks.get(at + 1)?);
            let kinds = [a, b].map(|id| graph.blocks.get(id).map(|block| block.kind.clone()));
            let [Some(first), Some(second)] = kinds else { return None };
            graph.blocks.get_mut(a)?.kind = second;
            graph.blocks.get_mut(b)?.kind = first;
            Some(())
        }
    }
}

fn state_mut(program: &mut Program, graph: GraphId, block: BlockId) -> Option<&mut State> {
    match &mut program.graphs.get_mut(graph)?.blocks.get_mut(block)?.kind {
        BlockKind::State(state) => Some(state),
        _ => None,
    }
}

fn shifted(program: &mut Program, subset: &Subset, dim: usize, by: i64) -> Option<Subset> {
    let by = program.exprs.int(by);
    let mut subset = subset.clone();
    let range = subset.ranges.get_mut(dim)?;
    range.start = program.exprs.add(range.start, by);
    range.end = program.exprs.add(range.end, by);
    Some(subset)
}

fn change_edge(program: &mut Program, kind: Kind, graph: GraphId, block: BlockId, id: EdgeId) -> Option<()> {
    let edge = program.graphs.get(graph)?.state(block)?.edges.get(id)?.clone();
    match kind {
        Kind::ReadOneFurther | Kind::ReadOneEarlier | Kind::WriteOneFurther => {
            let subset = edge.memlet.subset?;
            let by = if kind == Kind::ReadOneEarlier { -1 } else { 1 };
            // The dimension that moves, so that the index stays in range for most iterations; wrapped for the last.
            let dim = subset.ranges.iter().rposition(|range| program.exprs.as_int(range.start).is_none())?;
            let array = program.graphs.get(graph)?.data.get(&edge.memlet.data?)?;
            let extent = array.shape().get(dim).copied()?;
            let mut moved = shifted(program, &subset, dim, by)?;
            let range = moved.ranges.get_mut(dim)?;
            if subset.ranges.get(dim)?.start != subset.ranges.get(dim)?.end {
                return None;
            }
            range.start = wrapped(program, range.start, extent);
            range.end = range.start;
            state_mut(program, graph, block)?.edges.get_mut(id)?.memlet.subset = Some(moved);
        }
        Kind::DropResolution => state_mut(program, graph, block)?.edges.get_mut(id)?.memlet.wcr = None,
        Kind::OtherResolution => {
            let wcr = state_mut(program, graph, block)?.edges.get_mut(id)?.memlet.wcr.as_mut()?;
            let other =
                if wcr.text.contains("max") { "lambda a, b: min(a, b)" } else { "lambda a, b: a - b" };
            wcr.text = other.to_owned();
        }
        Kind::SwapSubsetDimensions => {
            let subset = state_mut(program, graph, block)?.edges.get_mut(id)?.memlet.subset.as_mut()?;
            if subset.ranges.first() == subset.ranges.get(1) {
                return None;
            }
            subset.ranges.swap(0, 1);
        }
        Kind::DropCopy | Kind::DropWrite => {
            let state = state_mut(program, graph, block)?;
            let tree = ScopeTree::of(state).ok()?;
            if kind == Kind::DropWrite && tree.parent(edge.src).is_some() {
                // Inside a scope the tasklet still has to reach the exit.
                state.edges.get_mut(id)?.memlet.data?;
                return None;
            }
            state.edges.get_mut(id)?.removed = true;
            if let Some(connector) = edge.src_conn {
                // The tasklet keeps its code; the connector leads nowhere, so the value is lost.
                state.nodes.get_mut(edge.src)?.outputs.shift_remove(&connector);
            }
        }
        _ => return None,
    }
    Some(())
}

/// `index` modulo the extent, so that a shifted index stays in range.
fn wrapped(program: &mut Program, index: ExprId, extent: ExprId) -> ExprId {
    let names = [index, extent]
        .map(|expr| program.exprs.print(&program.names, expr, crate::symbolic::Grammar::Plain));
    let text = format!("(({}) + ({})) % ({})", names[0], names[1], names[1]);
    program.exprs.parse(&mut program.names, &text, crate::symbolic::Grammar::Plain).unwrap_or(index)
}

fn change_node(program: &mut Program, kind: Kind, graph: GraphId, block: BlockId, id: NodeId) -> Option<()> {
    let one = program.exprs.int(1);
    let two = program.exprs.int(2);
    let old = program.graphs.get(graph)?.state(block)?.nodes.get(id)?.kind.clone();
    let narrow: Vec<(Name, Option<Type>)> = match kind {
        Kind::NarrowRead => {
            let state = program.graphs.get(graph)?.state(block)?;
            let data = &program.graphs.get(graph)?.data;
            state
                .in_edges(id)
                .filter_map(|(_, edge)| {
                    let array = data.get(&edge.memlet.data?)?;
                    let single =
                        edge.memlet.subset.as_ref()?.ranges.iter().all(|range| range.start == range.end);
                    Some((edge.dst_conn?, if single { narrower(array.ty) } else { None }))
                })
                .collect()
        }
        _ => Vec::new(),
    };
    let mut range = match &old {
        NodeKind::MapEntry(map) => map.range.clone(),
        _ => Subset::default(),
    };
    match kind {
        Kind::ShortRange => {
            let last = range.ranges.last_mut()?;
            last.end = program.exprs.sub(last.end, one);
        }
        Kind::LateStart => {
            let first = range.ranges.first_mut()?;
            first.start = program.exprs.add(first.start, one);
        }
        Kind::DoubleStep => {
            let last = range.ranges.last_mut()?;
            last.step = program.exprs.mul(last.step, two);
        }
        Kind::SwapRanges => {
            let at = range.ranges.windows(2).position(|pair| pair[0] != pair[1])?;
            range.ranges.swap(at, at + 1);
        }
        _ => {}
    }
    let mapping = match &old {
        NodeKind::Nested(nested) => nested.symbol_mapping.last().map(|(&name, &value)| (name, value)),
        _ => None,
    };
    let larger = mapping.map(|(name, value)| (name, program.exprs.add(value, one)));
    let state = state_mut(program, graph, block)?;
    let node = state.nodes.get_mut(id)?;
    match (&mut node.kind, kind) {
        (
            NodeKind::MapEntry(map),
            Kind::ShortRange | Kind::LateStart | Kind::DoubleStep | Kind::SwapRanges,
        ) => {
            map.range = range;
        }
        (NodeKind::Tasklet(tasklet), _) => {
            let replace = |text: &str, from: &str, to: &str| text.replacen(from, to, 1);
            let text = &mut tasklet.text.text;
            match kind {
                Kind::PlusToMinus => *text = replace(text, " + ", " - "),
                Kind::TimesToPlus => *text = replace(text, " * ", " + "),
                Kind::MinToMax => *text = replace(text, "min(", "max("),
                Kind::LessToLessOrEqual => *text = replace(text, " < ", " <= "),
                Kind::NarrowRead => {
                    let (name, ty) = narrow.into_iter().find(|(_, ty)| ty.is_some())?;
                    node.inputs.insert(name, Connector { ty, pointer: false });
                }
                Kind::SwapReads => {
                    let edges: Vec<EdgeId> =
                        state.in_edges(id).filter(|(_, e)| e.dst_conn.is_some()).map(|(e, _)| e).collect();
                    let [first, second, ..] = edges[..] else { return None };
                    let (a, b) = (state.edges.get(first)?.dst_conn, state.edges.get(second)?.dst_conn);
                    state.edges.get_mut(first)?.dst_conn = b;
                    state.edges.get_mut(second)?.dst_conn = a;
                }
                _ => return None,
            }
        }
        (NodeKind::Library(library), Kind::DropIdentity) => {
            library.properties.shift_remove("identity");
        }
        (NodeKind::Library(library), Kind::OtherAxis) => {
            let axes = library.properties.get_mut("axes")?.as_array_mut()?;
            let axis = axes.first()?.as_i64()?;
            *axes.first_mut()? = serde_json::json!(if axis == 0 { 1 } else { axis - 1 });
        }
        (NodeKind::Library(_), Kind::TransposedOperand) => {
            let edges: Vec<EdgeId> = state.in_edges(id).map(|(edge, _)| edge).collect();
            let [first, second, ..] = edges[..] else { return None };
            let (a, b) = (state.edges.get(first)?.dst_conn, state.edges.get(second)?.dst_conn);
            state.edges.get_mut(first)?.dst_conn = b;
            state.edges.get_mut(second)?.dst_conn = a;
        }
        (NodeKind::Nested(nested), Kind::MapSymbolOneMore) => {
            let (name, value) = larger?;
            nested.symbol_mapping.insert(name, value);
        }
        _ => return None,
    }
    Some(())
}

fn change_block(program: &mut Program, kind: Kind, graph: GraphId, block: BlockId) -> Option<()> {
    let slot = program.graphs.get_mut(graph)?.blocks.get_mut(block)?;
    match (&mut slot.kind, kind) {
        (BlockKind::State(state), Kind::DropState) => **state = State::default(),
        (BlockKind::Conditional(branches), Kind::NegateCondition) => {
            let code = branches.iter_mut().find_map(|branch| branch.condition.as_mut())?;
            code.text.text = format!("not ({})", code.text.text);
        }
        (BlockKind::Conditional(branches), Kind::SwapBranches) => {
            let (first, second) = (branches.first()?.body, branches.get(1)?.body);
            branches.first_mut()?.body = second;
            branches.get_mut(1)?.body = first;
        }
        (BlockKind::Conditional(branches), Kind::SkipLastBranch) => {
            branches.pop();
        }
        (BlockKind::Loop(inner), Kind::LoopEndsEarly) => {
            let text = &mut inner.condition.text.text;
            let (sign, by) = match (text.contains(" < "), text.contains(" >= ")) {
                (true, _) => (" < ", " < -1 + "),
                (_, true) => (" >= ", " >= 1 + "),
                _ => return None,
            };
            *text = text.replacen(sign, by, 1);
        }
        (BlockKind::Loop(inner), Kind::LoopStartsLate) => {
            let up = inner.condition.text.text.contains(" < ");
            let text = &mut inner.init.as_mut()?.text.text;
            *text = format!("{text} {}", if up { "+ 1" } else { "- 1" });
        }
        _ => return None,
    }
    Some(())
}

/// One transient takes the place of another.
fn rename(program: &mut Program, graph: GraphId, from: Name, to: Name) -> Option<()> {
    let graph = program.graphs.get_mut(graph)?;
    graph.data.shift_remove(&from)?;
    for (_, block) in graph.blocks.iter_mut() {
        let BlockKind::State(state) = &mut block.kind else { continue };
        for (_, node) in state.nodes.iter_mut() {
            if let NodeKind::Access { data, .. } = &mut node.kind
                && *data == from
            {
                *data = to;
            }
        }
        for (_, edge) in state.edges.iter_mut() {
            if edge.memlet.data == Some(from) {
                edge.memlet.data = Some(to);
            }
        }
    }
    Some(())
}
