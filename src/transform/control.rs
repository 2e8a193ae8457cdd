//! Control flow as rules see it: the blocks under a region, loops that count, who reads which symbol.

use hashbrown::{HashMap, HashSet};

use crate::analysis::uses::layout_exprs;
use crate::entity::Name;
use crate::ir::{
    BlockId, BlockKind, CodeExpr, Graph, GraphId, Language, Loop, Map, NodeKind, Range, Region, RegionId,
    State, Subset, Text,
};
use crate::scalar::code::{Inst, Op};
use crate::scalar::{BinaryOp, Code, DType, Type, UnaryOp, ValueId};
use crate::symbolic::{ExprId, ExprPool};

use super::editor::{Editor, Place};

/// A loop that counts: `variable` takes the values `start`, `start + step`, ... up to (or down to) `last` inclusively.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// The loop variable.
    pub variable: Name,
    /// Its first value.
    pub start: ExprId,
    /// The bound, inclusive.
    pub last: ExprId,
    /// Not zero.
    pub step: i64,
}

/// Iterations up to which a loop stays one.
const FEW: i64 = 16;

impl Counted {
    /// Whether so few iterations are known that a map is not worth it.
    pub fn has_few_iterations(&self, exprs: &mut ExprPool) -> bool {
        let span = exprs.sub(self.last, self.start);
        exprs.as_int(span).is_some_and(|span| span / self.step < FEW)
    }

    /// The values of the loop variable, upwards.
    pub fn range(&self, exprs: &mut ExprPool) -> Range {
        let (one, step) = (exprs.int(1), exprs.int(self.step.abs()));
        let (start, end) = if self.step > 0 { (self.start, self.last) } else { (self.last, self.start) };
        Range { start, end, step, tile: one }
    }

    /// The map over the values of the loop variable.
    pub fn map(&self, exprs: &mut ExprPool) -> Map {
        let ranges = vec![self.range(exprs)];
        Map { params: vec![self.variable], range: Subset { ranges }, ..Map::default() }
    }
}

/// Blocks of a region, at any depth.
pub fn blocks_under(graph: &Graph, region: RegionId) -> Vec<BlockId> {
    let mut found = Vec::new();
    let mut open = vec![region];
    while let Some(region) = open.pop() {
        let Some(region) = graph.regions.get(region) else { continue };
        for &block in &region.blocks {
            if found.len() > graph.blocks.len() {
                return found;
            }
            found.push(block);
            open.extend(bodies(graph, block));
        }
    }
    found
}

/// The regions that a block consists of.
pub fn bodies(graph: &Graph, block: BlockId) -> Vec<RegionId> {
    match graph.blocks.get(block).map(|block| &block.kind) {
        Some(BlockKind::Loop(repeated)) => vec![repeated.body],
        Some(BlockKind::Conditional(branches)) => branches.iter().map(|branch| branch.body).collect(),
        Some(BlockKind::Region(_, body)) => vec![*body],
        _ => Vec::new(),
    }
}

/// The loops of a graph, in the order of the program.
pub fn loops(editor: &Editor<'_>, graph: GraphId) -> Vec<BlockId> {
    let Some(around) = editor.graph(graph) else { return Vec::new() };
    let is_loop = |block: &BlockId| {
        matches!(around.blocks.get(*block).map(|block| &block.kind), Some(BlockKind::Loop(_)))
    };
    editor.blocks(graph).into_iter().filter(is_loop).collect()
}

/// What `found` makes of each loop of a graph, if it makes something of one; it gets the loop, all loops, and who reads which
/// symbol.
pub fn find_loops<T>(
    editor: &mut Editor<'_>,
    graph: GraphId,
    mut found: impl FnMut(&mut Editor<'_>, BlockId, &[BlockId], &Readers) -> Option<T>,
) -> Option<Vec<T>> {
    let blocks = loops(editor, graph);
    if blocks.is_empty() {
        return None;
    }
    let readers = Readers::of(&editor.exprs, editor.graph(graph)?);
    let matches: Vec<T> =
        blocks.iter().filter_map(|&block| found(editor, block, &blocks, &readers)).collect();
    (!matches.is_empty()).then_some(matches)
}

/// The state that the body of a loop consists of, if it is only that.
pub fn only_state(graph: &Graph, block: BlockId) -> Option<BlockId> {
    let BlockKind::Loop(repeated) = &graph.blocks.get(block)?.kind else { return None };
    let body = graph.regions.get(repeated.body)?;
    let &[inner] = &body.blocks[..] else { return None };
    (body.edges.is_empty() && graph.state(inner).is_some()).then_some(inner)
}

/// Puts a state where a loop was whose body was only the state `inner`.
pub fn replace_loop(
    editor: &mut Editor<'_>,
    graph: GraphId,
    block: BlockId,
    inner: BlockId,
    state: State,
) -> Option<()> {
    let BlockKind::Loop(repeated) = &editor.graph(graph)?.blocks.get(block)?.kind else { return None };
    let body = repeated.body;
    editor.replace_block(Place { graph, block: inner }, BlockKind::State(Box::default()))?;
    editor.edit_region(graph, body, |region| {
        region.blocks.clear();
        region.start = None;
    })?;
    editor.replace_block(Place { graph, block }, BlockKind::State(Box::new(state))).map(drop)
}

/// Puts a state where a loop was, whatever its body.
pub fn replace_nest(editor: &mut Editor<'_>, graph: GraphId, block: BlockId, state: State) -> Option<()> {
    let BlockKind::Loop(repeated) = &editor.graph(graph)?.blocks.get(block)?.kind else { return None };
    clear(editor, graph, repeated.body)?;
    editor.replace_block(Place { graph, block }, BlockKind::State(Box::new(state))).map(drop)
}

/// Leaves nothing of a region that no block runs any more.
pub fn clear(editor: &mut Editor<'_>, graph: GraphId, region: RegionId) -> Option<()> {
    let around = editor.graph(graph)?;
    let inside = blocks_under(around, region);
    let regions: Vec<RegionId> =
        inside.iter().flat_map(|&inner| bodies(around, inner)).chain([region]).collect();
    for inner in inside {
        editor.replace_block(Place { graph, block: inner }, BlockKind::State(Box::default()))?;
    }
    for region in regions {
        editor.edit_region(graph, region, |region| {
            region.blocks.clear();
            region.edges.clear();
            region.start = None;
        })?;
    }
    Some(())
}

/// The blocks of a region in the order in which they run, if they always run one after another: each has one edge into it and
/// one out of it, without a condition. With the number of the edge that follows.
pub fn sequence(region: &Region) -> Option<Vec<(BlockId, Option<usize>)>> {
    let mut next: HashMap<BlockId, usize> = HashMap::new();
    let mut reached: HashSet<BlockId> = HashSet::new();
    for (number, edge) in region.edges.iter().enumerate() {
        let is_only = next.insert(edge.src, number).is_none() && reached.insert(edge.dst);
        if !is_only || edge.condition.is_some() {
            return None;
        }
    }
    let mut order = Vec::with_capacity(region.blocks.len());
    let mut open = region.entry();
    while let Some(block) = open {
        let edge = next.get(&block).copied();
        order.push((block, edge));
        if order.len() > region.blocks.len() {
            return None;
        }
        open = edge.and_then(|edge| region.edges.get(edge)).map(|edge| edge.dst);
    }
    (order.len() == region.blocks.len()).then_some(order)
}

/// Whether a region does nothing: no dataflow, no assignment, no way out of a loop, no loop.
pub fn does_nothing(graph: &Graph, region: RegionId) -> bool {
    let mut open = vec![region];
    while let Some(id) = open.pop() {
        let Some(region) = graph.regions.get(id) else { return false };
        let is_plain = region.blocks.is_empty() || sequence(region).is_some();
        if !is_plain || region.edges.iter().any(|edge| !edge.assignments.is_empty()) {
            return false;
        }
        for &block in &region.blocks {
            match graph.blocks.get(block).map(|block| &block.kind) {
                Some(BlockKind::State(state)) if state.live_nodes().next().is_none() => {}
                Some(BlockKind::Conditional(_) | BlockKind::Region(..)) => open.extend(bodies(graph, block)),
                _ => return false,
            }
        }
    }
    true
}

/// The range of a loop, if its bounds are sizes and its step is a number. The caller makes sure that the body does not change
/// what the bounds depend on.
pub fn counted(exprs: &mut ExprPool, graph: &Graph, repeated: &Loop) -> Option<Counted> {
    let (init, update) = (repeated.init.as_ref()?, repeated.update.as_ref()?);
    let variable = repeated.variable.or(init.target)?;
    let targets = [init.target, update.target];
    let other_target = targets.iter().any(|target| target.is_some_and(|target| target != variable));
    if repeated.inverted || other_target || !is_integer(graph.symbol_type(variable)) {
        return None;
    }
    let start = value_of(exprs, init)?;
    let next = value_of(exprs, update)?;
    let symbol = exprs.symbol(variable);
    let distance = exprs.sub(next, symbol);
    let step = exprs.as_int(distance).filter(|&step| step != 0)?;
    let (op, bound) = bound_of(exprs, repeated.condition.code.as_ref()?, variable)?;
    let one = exprs.int(1);
    let last = match (op, step > 0) {
        (BinaryOp::Lt, true) => exprs.sub(bound, one),
        (BinaryOp::Gt, false) => exprs.add(bound, one),
        (BinaryOp::Le, true) | (BinaryOp::Ge, false) => bound,
        _ => return None,
    };
    (!exprs.depends_on(start, variable)).then_some(Counted { variable, start, last, step })
}

/// The value of a piece of control-flow code, if it is a size: sums and differences of symbols and numbers.
pub fn value_of(exprs: &mut ExprPool, code: &CodeExpr) -> Option<ExprId> {
    let code = code.code.as_ref()?;
    let &[result] = &code.body.results[..] else { return None };
    expression(exprs, code, result, 0)
}

/// The comparison of a condition `variable ? bound`, and the bound.
fn bound_of(exprs: &mut ExprPool, code: &Code, variable: Name) -> Option<(BinaryOp, ExprId)> {
    let &[result] = &code.body.results[..] else { return None };
    let Op::Binary(op, a, b) = *definition(code, result)? else { return None };
    let (a, b) = (expression(exprs, code, a, 0)?, expression(exprs, code, b, 0)?);
    let (op, bound) = if exprs.as_symbol(a) == Some(variable) {
        (op, b)
    } else if exprs.as_symbol(b) == Some(variable) {
        let mirrored = match op {
            BinaryOp::Lt => BinaryOp::Gt,
            BinaryOp::Le => BinaryOp::Ge,
            BinaryOp::Gt => BinaryOp::Lt,
            BinaryOp::Ge => BinaryOp::Le,
            other => other,
        };
        (mirrored, a)
    } else {
        return None;
    };
    (!exprs.depends_on(bound, variable)).then_some((op, bound))
}

fn is_integer(dtype: DType) -> bool {
    matches!(dtype, DType::I32 | DType::I64)
}

fn definition(code: &Code, value: ValueId) -> Option<&Op> {
    code.body.insts.iter().find(|inst| inst.results.contains(&value)).map(|inst| &inst.op)
}

fn expression(exprs: &mut ExprPool, code: &Code, value: ValueId, depth: usize) -> Option<ExprId> {
    if depth > 32 {
        return None;
    }
    match *definition(code, value)? {
        Op::Const(scalar) if is_integer(scalar.dtype()) => Some(exprs.int(scalar.as_i64())),
        Op::Symbol(index) => {
            let (name, dtype) = *code.symbols.get(index as usize)?;
            is_integer(dtype).then(|| exprs.symbol(name))
        }
        // To the wider type only: the other way loses bits.
        Op::Cast(DType::I64, inner) => expression(exprs, code, inner, depth + 1),
        Op::Cast(DType::I32, inner) => {
            let inner = expression(exprs, code, inner, depth + 1)?;
            exprs.as_int(inner).is_some_and(|value| i32::try_from(value).is_ok()).then_some(inner)
        }
        Op::Unary(UnaryOp::Neg, inner) => {
            let inner = expression(exprs, code, inner, depth + 1)?;
            Some(exprs.neg(inner))
        }
        Op::Binary(op @ (BinaryOp::Add | BinaryOp::Sub), a, b) => {
            let (a, b) = (expression(exprs, code, a, depth + 1)?, expression(exprs, code, b, depth + 1)?);
            Some(if op == BinaryOp::Add { exprs.add(a, b) } else { exprs.sub(a, b) })
        }
        _ => None,
    }
}

/// The code of an expression that is a symbol.
pub fn value_of_symbol(text: &str, symbol: Name, dtype: DType) -> CodeExpr {
    let mut code = Code { symbols: vec![(symbol, dtype)], ..Code::default() };
    let value = code.types.push(Type::Scalar(dtype));
    code.body.insts.push(Inst { op: Op::Symbol(0), results: vec![value] });
    code.body.results.push(value);
    let text = Text { language: Language::Python, text: text.to_owned() };
    CodeExpr { text, target: None, code: Some(code) }
}

/// The symbols that a state reads, each with the type as which code reads it, if code does.
pub fn symbols_of(exprs: &ExprPool, state: &State) -> HashMap<Name, Option<DType>> {
    let mut found: HashMap<Name, Option<DType>> = HashMap::new();
    let mut sizes: Vec<ExprId> = Vec::new();
    let of_range = |range: &Range| [range.start, range.end, range.step, range.tile];
    for (_, node) in state.live_nodes() {
        match &node.kind {
            NodeKind::Tasklet(tasklet) => {
                let read = tasklet.code.iter().flat_map(|code| &code.symbols);
                found.extend(read.map(|&(name, dtype)| (name, Some(dtype))));
            }
            NodeKind::MapEntry(map) => sizes.extend(map.range.ranges.iter().flat_map(of_range)),
            NodeKind::Nested(nested) => sizes.extend(nested.symbol_mapping.values()),
            _ => {}
        }
    }
    for edge in state.edges.values().filter(|edge| !edge.removed) {
        let subsets = edge.memlet.subset.iter().chain(&edge.memlet.other_subset);
        sizes.extend(subsets.flat_map(|subset| &subset.ranges).flat_map(of_range));
    }
    for name in sizes.into_iter().flat_map(|size| exprs.free_symbols(size)) {
        found.entry(name).or_default();
    }
    found
}

/// Who reads the symbols of a graph.
#[derive(Debug, Default)]
pub struct Readers {
    blocks: HashMap<Name, HashSet<BlockId>>,
    /// Blocks whose outgoing edges read it.
    edges: HashMap<Name, HashSet<BlockId>>,
    /// Read by the layout of a container.
    layouts: HashSet<Name>,
}

impl Readers {
    /// The readers of all symbols of `graph`.
    pub fn of(exprs: &ExprPool, graph: &Graph) -> Readers {
        let mut readers = Readers::default();
        for expr in graph.data.values().flat_map(layout_exprs) {
            readers.layouts.extend(exprs.free_symbols(expr));
        }
        for (id, block) in graph.blocks.iter() {
            match &block.kind {
                BlockKind::State(state) => {
                    let mut seen: HashSet<ExprId> = HashSet::new();
                    let mut add = |expr: ExprId, readers: &mut Readers| {
                        if exprs.as_int(expr).is_none() && seen.insert(expr) {
                            readers.read(id, exprs.free_symbols(expr));
                        }
                    };
                    for (_, node) in state.live_nodes() {
                        match &node.kind {
                            NodeKind::MapEntry(map) => {
                                for range in &map.range.ranges {
                                    for expr in [range.start, range.end, range.step] {
                                        add(expr, &mut readers);
                                    }
                                }
                            }
                            NodeKind::Nested(nested) => {
                                nested.symbol_mapping.values().for_each(|&expr| add(expr, &mut readers));
                            }
                            NodeKind::ConsumeEntry(consume) => {
                                consume.num_pes.iter().for_each(|&expr| add(expr, &mut readers));
                                consume.chunk_size.iter().for_each(|&expr| add(expr, &mut readers));
                                consume.condition.iter().for_each(|code| readers.code(id, code));
                            }
                            NodeKind::Tasklet(tasklet) => {
                                let symbols = tasklet.code.iter().flat_map(|code| &code.symbols);
                                readers.read(id, symbols.map(|(name, _)| *name));
                            }
                            _ => {}
                        }
                    }
                    for (_, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
                        for subset in edge.memlet.subset.iter().chain(&edge.memlet.other_subset) {
                            for range in &subset.ranges {
                                for expr in [range.start, range.end, range.step, range.tile] {
                                    add(expr, &mut readers);
                                }
                            }
                        }
                        let wcr = edge.memlet.wcr.iter().filter_map(|wcr| wcr.code.as_ref());
                        let symbols = wcr.flat_map(|code| &code.symbols);
                        readers.read(id, symbols.map(|(name, _)| *name));
                    }
                }
                BlockKind::Loop(repeated) => {
                    let header = repeated.init.iter().chain(&repeated.update).chain([&repeated.condition]);
                    header.for_each(|code| readers.code(id, code));
                }
                BlockKind::Conditional(branches) => {
                    branches
                        .iter()
                        .filter_map(|branch| branch.condition.as_ref())
                        .for_each(|code| readers.code(id, code));
                }
                _ => {}
            }
        }
        for edge in graph.regions.values().flat_map(|region| &region.edges) {
            let codes = edge.condition.iter().chain(edge.assignments.iter().map(|(_, code)| code));
            for (name, _) in codes.filter_map(|code| code.code.as_ref()).flat_map(|code| &code.symbols) {
                readers.edges.entry(*name).or_default().insert(edge.src);
            }
        }
        readers
    }

    /// Whether nobody reads the variable of the loop `own` but that loop, and others among `loops` that set it first.
    pub fn end_with_loop(&self, graph: &Graph, variable: Name, own: BlockId, loops: &[BlockId]) -> bool {
        let mut heads: HashSet<BlockId> = HashSet::new();
        let mut inside: HashSet<BlockId> = HashSet::new();
        for &block in loops {
            let Some(BlockKind::Loop(repeated)) = graph.blocks.get(block).map(|block| &block.kind) else {
                continue;
            };
            let target = repeated.variable.or(repeated.init.as_ref().and_then(|init| init.target));
            if target != Some(variable) {
                continue;
            }
            let Some(init) = repeated.init.as_ref().and_then(|init| init.code.as_ref()) else { return false };
            if init.symbols.iter().any(|(name, _)| *name == variable) {
                return false;
            }
            let body = blocks_under(graph, repeated.body);
            if block != own && body.contains(&own) {
                return false;
            }
            heads.insert(block);
            inside.extend(body);
        }
        let within = |known: &HashMap<Name, HashSet<BlockId>>, places: &[&HashSet<BlockId>]| {
            let mut readers = known.get(&variable).into_iter().flatten();
            readers.all(|block| places.iter().any(|place| place.contains(block)))
        };
        !self.layouts.contains(&variable)
            && within(&self.blocks, &[&heads, &inside])
            && within(&self.edges, &[&inside])
    }

    /// The blocks that read a symbol, in no order.
    pub fn blocks(&self, symbol: Name) -> impl Iterator<Item = BlockId> + '_ {
        self.blocks.get(&symbol).into_iter().flatten().copied()
    }

    /// Whether the layout of a container depends on a symbol.
    pub fn sizes_containers(&self, symbol: Name) -> bool {
        self.layouts.contains(&symbol)
    }

    /// Whether a block or the layout of a container reads a symbol.
    pub fn is_read_by_blocks(&self, symbol: Name) -> bool {
        self.sizes_containers(symbol) || self.blocks.contains_key(&symbol)
    }

    /// Whether nobody reads a symbol but these blocks and edges out of them.
    pub fn only_in(&self, symbol: Name, blocks: &HashSet<BlockId>) -> bool {
        let within = |known: &HashMap<Name, HashSet<BlockId>>| {
            known.get(&symbol).is_none_or(|readers| readers.is_subset(blocks))
        };
        !self.layouts.contains(&symbol) && within(&self.blocks) && within(&self.edges)
    }

    /// Symbols that these blocks, or edges out of them, read; in order of their names' numbers.
    pub fn read_in(&self, blocks: &[BlockId]) -> Vec<Name> {
        let inside: HashSet<BlockId> = blocks.iter().copied().collect();
        let known = self.blocks.iter().chain(&self.edges);
        let mut read: Vec<Name> =
            known.filter(|(_, readers)| !readers.is_disjoint(&inside)).map(|(&name, _)| name).collect();
        read.sort_unstable();
        read.dedup();
        read
    }

    /// Text of states that may name symbols without being lowered: properties of library nodes, calls of routines.
    pub fn opaque_text(graph: &Graph) -> Vec<String> {
        let mut found = Vec::new();
        for (_, state) in graph.states() {
            for (_, node) in state.live_nodes() {
                match &node.kind {
                    NodeKind::Tasklet(tasklet) if tasklet.code.is_none() => {
                        found.push(tasklet.text.text.clone());
                    }
                    NodeKind::Library(library) => {
                        found.extend(library.properties.values().map(ToString::to_string));
                    }
                    _ => {}
                }
            }
        }
        found
    }

    fn read(&mut self, block: BlockId, symbols: impl IntoIterator<Item = Name>) {
        for symbol in symbols {
            self.blocks.entry(symbol).or_default().insert(block);
        }
    }

    fn code(&mut self, block: BlockId, code: &CodeExpr) {
        let symbols = code.code.iter().flat_map(|code| &code.symbols);
        self.read(block, symbols.map(|(name, _)| *name));
    }
}
