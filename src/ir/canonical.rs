//! One form for programs that mean the same thing in the same order.
//!
//! A [`canonical`] program numbers graphs, regions and blocks in the order in which they begin, has no
//! tombstones, and leaves out what follows from the rest: volumes that count the subset, the data source that
//! the memlet's path implies, zero offsets, the start block of a region where it is implied. Text in `.pel`
//! has exactly this information, so parsing what was printed gives the canonical program.

use crate::analysis::MemletPaths;
use crate::entity::{Arena, EntityId};
use crate::symbolic::{ExprId, ExprPool, Grammar};

use super::builder::row_major;
use super::{
    Array, Block, BlockKind, Data, DataKind, EdgeId, Graph, GraphId, InterstateEdge, NodeId, NodeKind,
    Program, Region, RegionId, State, Subset,
};

/// How deep regions and graphs are followed.
const DEPTH_LIMIT: usize = 1000;

/// The canonical form of a program. Graphs, regions and blocks that nobody owns are dropped, and so is what
/// contains itself.
pub fn canonical(program: &Program) -> Program {
    let mut result = Program { graphs: Arena::new(), root: None, ..program.clone() };
    if let Some(root) = program.root {
        result.root = copy_graph(program, root, &mut result, 0);
    }
    result
}

/// Removes all lowered code, leaving the texts it came from.
pub fn strip_code(program: &mut Program) {
    for (_, graph) in program.graphs.iter_mut() {
        for (_, region) in graph.regions.iter_mut() {
            for edge in &mut region.edges {
                edge.condition.iter_mut().for_each(|code| code.code = None);
                edge.assignments.iter_mut().for_each(|(_, code)| code.code = None);
            }
        }
        for (_, block) in graph.blocks.iter_mut() {
            match &mut block.kind {
                BlockKind::State(state) => strip_state(state),
                BlockKind::Loop(kind) => {
                    kind.init.iter_mut().for_each(|code| code.code = None);
                    kind.update.iter_mut().for_each(|code| code.code = None);
                    kind.condition.code = None;
                }
                BlockKind::Conditional(branches) => {
                    branches
                        .iter_mut()
                        .filter_map(|b| b.condition.as_mut())
                        .for_each(|code| code.code = None);
                }
                _ => {}
            }
        }
    }
}

fn strip_state(state: &mut State) {
    for (_, edge) in state.edges.iter_mut() {
        edge.memlet.wcr.iter_mut().for_each(|wcr| wcr.code = None);
    }
    for (_, node) in state.nodes.iter_mut() {
        match &mut node.kind {
            NodeKind::Tasklet(tasklet) => tasklet.code = None,
            NodeKind::Library(library) => library.wcr = None,
            NodeKind::ConsumeEntry(consume) => {
                consume.condition.iter_mut().for_each(|code| code.code = None);
            }
            _ => {}
        }
    }
}

/// The first difference between two programs, as a line of each; `None` if they are the same up to the
/// numbering of names and expressions. Compares everything as stored: see [`canonical`] and [`strip_code`].
pub fn difference(a: &Program, b: &Program) -> Option<(String, String)> {
    let (a, b) = (full_text(a), full_text(b));
    let mut a = a.lines();
    let mut b = b.lines();
    loop {
        match (a.next(), b.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => return Some((a.unwrap_or("(end)").to_owned(), b.unwrap_or("(end)").to_owned())),
        }
    }
}

/// Everything a program holds, names and expressions spelled out.
fn full_text(program: &Program) -> String {
    let raw = format!(
        "{:?} {:?} {:?}\n{:#?}\n{:#?}\n{:#?}",
        program.root,
        program.contract,
        program.dace_version,
        program.exprs.symbol_infos(),
        program.structs,
        program.graphs
    );
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw.as_str();
    let mut in_quotes = false;
    while let Some(letter) = rest.chars().next() {
        let resolved = if in_quotes { None } else { resolved_id(program, rest) };
        let length = match (resolved, letter) {
            (Some((length, resolved)), _) => {
                text.push_str(&resolved);
                length
            }
            (None, '\\') if in_quotes => {
                let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                text.push_str(&rest[..length]);
                length
            }
            (None, letter) => {
                in_quotes ^= letter == '"';
                text.push(letter);
                letter.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    text
}

fn resolved_id(program: &Program, text: &str) -> Option<(usize, String)> {
    const STEM: usize = "name".len();
    let digits = text.strip_prefix("name").or_else(|| text.strip_prefix("expr"))?;
    let count = digits.len() - digits.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let id: u32 = digits[..count].parse().ok()?;
    let resolved = if text.starts_with("name") {
        format!("{:?}", program.names.get(crate::entity::Name(id)))
    } else {
        format!("<{}>", program.exprs.print(&program.names, ExprId(id), Grammar::Plain))
    };
    Some((STEM + count, resolved))
}

/// How many elements a subset takes.
pub fn element_count(exprs: &mut ExprPool, subset: &Subset) -> ExprId {
    let one = exprs.int(1);
    let mut count = one;
    for range in &subset.ranges {
        let span = exprs.sub(range.end, range.start);
        let steps = if range.step == one { span } else { exprs.floor_div(span, range.step) };
        let indices = exprs.add(steps, one);
        let elements = exprs.mul(indices, range.tile);
        count = exprs.mul(count, elements);
    }
    count
}

/// Which end of its path an edge's data is at, where only one end accesses it.
pub fn implied_data_source(state: &State, paths: &MemletPaths, edge: EdgeId) -> Option<bool> {
    let data = state.edges.get(edge)?.memlet.data?;
    let accesses = |node: NodeId| matches!(state.nodes.get(node).map(|n| &n.kind), Some(NodeKind::Access { data: d, .. }) if *d == data);
    let at_source = accesses(state.edges.get(paths.first(edge))?.src);
    let at_target =
        paths.last(edge).iter().any(|&last| state.edges.get(last).is_some_and(|e| accesses(e.dst)));
    (at_source != at_target).then_some(at_source)
}

fn copy_graph(program: &Program, id: GraphId, result: &mut Program, depth: usize) -> Option<GraphId> {
    let source = program.graphs.get(id).filter(|_| depth < DEPTH_LIMIT)?;
    let target = result.graphs.push(Graph {
        blocks: Arena::new(),
        regions: Arena::new(),
        body: None,
        ..source.clone()
    });
    for data in result.graphs[target].data.values_mut() {
        tidy_data(&mut result.exprs, data);
    }
    for constant in result.graphs[target].constants.values_mut() {
        tidy_data(&mut result.exprs, &mut constant.data);
    }
    let body = source.body.and_then(|body| copy_region(program, source, body, result, target, depth));
    result.graphs[target].body = body;
    Some(target)
}

fn copy_region(
    program: &Program,
    source: &Graph,
    id: RegionId,
    result: &mut Program,
    target: GraphId,
    depth: usize,
) -> Option<RegionId> {
    let region = source.regions.get(id).filter(|_| depth < DEPTH_LIMIT)?;
    let copied = result.graphs[target].regions.push(Region::default());
    let mut renamed = indexmap::IndexMap::new();
    for &block_id in &region.blocks {
        let Some(block) = source.blocks.get(block_id) else { continue };
        let placeholder =
            Block { label: block.label.clone(), kind: BlockKind::Break, extra: block.extra.clone() };
        let new = result.graphs[target].blocks.push(placeholder);
        renamed.insert(block_id, new);
        let nothing = RegionId(u32::MAX);
        let body = |id, result: &mut Program| {
            copy_region(program, source, id, result, target, depth + 1).unwrap_or(nothing)
        };
        let kind = match &block.kind {
            BlockKind::State(state) => BlockKind::State(Box::new(copy_state(program, state, result, depth))),
            BlockKind::Loop(kind) => {
                let mut kind = kind.clone();
                kind.body = body(kind.body, result);
                BlockKind::Loop(kind)
            }
            BlockKind::Conditional(branches) => {
                let mut branches = branches.clone();
                for branch in &mut branches {
                    branch.body = body(branch.body, result);
                }
                BlockKind::Conditional(branches)
            }
            BlockKind::Region(flavor, id) => BlockKind::Region(flavor.clone(), body(*id, result)),
            other => other.clone(),
        };
        result.graphs[target].blocks[new].kind = kind;
    }
    let edges: Vec<InterstateEdge> = region
        .edges
        .iter()
        .filter_map(|edge| {
            let (src, dst) = (*renamed.get(&edge.src)?, *renamed.get(&edge.dst)?);
            Some(InterstateEdge { src, dst, ..edge.clone() })
        })
        .collect();
    let blocks: Vec<_> = renamed.values().copied().collect();
    let start = region.start.and_then(|start| renamed.get(&start).copied());
    let copy = Region { blocks, edges, start };
    let start = copy.entry();
    result.graphs[target].regions[copied] = Region { start, ..copy };
    Some(copied)
}

fn copy_state(program: &Program, state: &State, result: &mut Program, depth: usize) -> State {
    let mut copy = State::default();
    let mut renamed = vec![NodeId(u32::MAX); state.nodes.len()];
    for (id, node) in state.live_nodes() {
        renamed[id.index()] = copy.nodes.push(node.clone());
    }
    let find = |id: NodeId| renamed.get(id.index()).copied().unwrap_or(id);
    for (_, node) in copy.nodes.iter_mut() {
        match &mut node.kind {
            NodeKind::MapExit { entry } | NodeKind::ConsumeExit { entry } => *entry = find(*entry),
            NodeKind::Nested(nested) => {
                nested.graph = nested.graph.and_then(|id| copy_graph(program, id, result, depth + 1));
            }
            _ => {}
        }
    }
    let paths = MemletPaths::of(state, &program.names);
    for (id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
        let mut edge = edge.clone();
        (edge.src, edge.dst) = (find(edge.src), find(edge.dst));
        if edge.memlet.is_data_src == implied_data_source(state, &paths, id) {
            edge.memlet.is_data_src = None;
        }
        if let (Some(volume), Some(subset)) = (edge.memlet.volume, &edge.memlet.subset)
            && element_count(&mut result.exprs, subset) == volume
        {
            edge.memlet.volume = None;
        }
        copy.edges.push(edge);
    }
    copy
}

fn tidy_data(exprs: &mut ExprPool, data: &mut Data) {
    let is_zero = |exprs: &ExprPool, expr: &ExprId| exprs.as_int(*expr) == Some(0);
    let tidy_array = |exprs: &mut ExprPool, array: &mut Array| {
        if array.offset.iter().all(|offset| is_zero(exprs, offset)) {
            array.offset.clear();
        }
        array.start_offset = array.start_offset.filter(|start| !is_zero(exprs, start));
        let (_, total) = row_major(exprs, &array.shape);
        array.total_size.get_or_insert(total);
    };
    match &mut data.kind {
        DataKind::Scalar(_) => {}
        DataKind::Array(array) | DataKind::View(array) | DataKind::Reference(array) => {
            tidy_array(exprs, array)
        }
        DataKind::Stream(stream) => {
            if stream.offset.iter().all(|offset| is_zero(exprs, offset)) {
                stream.offset.clear();
            }
        }
        DataKind::Structure(structure)
        | DataKind::StructureView(structure)
        | DataKind::StructureReference(structure) => {
            structure.members.iter_mut().for_each(|(_, member)| tidy_data(exprs, member));
        }
        DataKind::ContainerArray { array, element }
        | DataKind::ContainerView { array, element }
        | DataKind::ContainerReference { array, element } => {
            tidy_array(exprs, array);
            tidy_data(exprs, element);
        }
    }
}
