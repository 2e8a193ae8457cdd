//! Control flow: graphs, regions, loops, conditionals, interstate edges.

use hashbrown::HashMap;

use crate::entity::Name;
use crate::ir::{BlockId, BlockKind, CodeExpr, Graph, GraphId, InterstateEdge, Loop, Region, RegionId};
use crate::kernel::{CfgBlock, Jump, LabelId, Stmt, ValueId};
use crate::scalar::{DType, PortKind};

use super::code::Bound;
use super::symbols::Symbol;
use super::{Lowerer, Lowering};

impl<'p> Lowerer<'p> {
    /// The body of the graph in `cx`: transients, then control flow.
    pub fn graph_body(&mut self, _id: GraphId) -> Lowering<()> {
        let graph = self.cx.graph;
        let Some(body) = graph.body else {
            return self.invalid("P0100", format!("graph `{}` has no body", graph.name));
        };
        self.cx.level = self.b.depth();
        let uses = std::rc::Rc::clone(&self.cx.uses);
        self.forget_streams()?;
        for &name in &uses.at_entry {
            self.allocate(name, false)?;
        }
        if !has_return(graph) {
            return self.region(body);
        }
        let label = self.b.label();
        self.b.open_branch();
        self.cx.return_label = Some(label);
        self.moved(|lowerer| lowerer.region(body))?;
        self.close_block(label);
        Ok(())
    }

    /// Runs `inner` in the innermost list, which control flow has just entered, and forgets afterwards what it
    /// knew about variables.
    pub fn moved<T>(&mut self, inner: impl FnOnce(&mut Self) -> Lowering<T>) -> Lowering<T> {
        let level = std::mem::replace(&mut self.cx.level, self.b.depth());
        self.cx.cache.clear();
        let result = inner(self);
        self.cx.level = level;
        self.cx.cache.clear();
        result
    }

    fn close_block(&mut self, label: LabelId) {
        let body = self.b.close();
        self.b.push(Stmt::Block(label, body));
    }

    pub fn region(&mut self, id: RegionId) -> Lowering<()> {
        let graph = self.cx.graph;
        let Some(region) = graph.regions.get(id) else {
            return self.invalid("P0100", format!("there is no {id}"));
        };
        match chain(region) {
            Some(links) => self.chain(&links),
            None => self.unstructured(region),
        }
    }

    /// Blocks that follow one another; a condition that fails leaves the region.
    fn chain(&mut self, links: &[(BlockId, Option<&'p InterstateEdge>)]) -> Lowering<()> {
        let conditional = links.iter().any(|(_, edge)| edge.is_some_and(|edge| edge.condition.is_some()));
        if !conditional {
            return self.links(links, None);
        }
        let label = self.b.label();
        self.b.open_branch();
        self.moved(|lowerer| lowerer.links(links, Some(label)))?;
        self.close_block(label);
        Ok(())
    }

    fn links(
        &mut self,
        links: &[(BlockId, Option<&'p InterstateEdge>)],
        leave: Option<LabelId>,
    ) -> Lowering<()> {
        for &(block, edge) in links {
            self.block(block)?;
            let Some(edge) = edge else { continue };
            if let (Some(condition), Some(label)) = (&edge.condition, leave) {
                let holds = self.condition(condition)?;
                if self.b.as_int(holds) != Some(1) {
                    self.b.open_branch();
                    self.b.push(Stmt::Exit(label));
                    let otherwise = self.b.close();
                    self.b.push(Stmt::If { condition: holds, then: Vec::new(), otherwise });
                }
            }
            self.assignments(edge)?;
        }
        Ok(())
    }

    fn assignments(&mut self, edge: &InterstateEdge) -> Lowering<()> {
        edge.assignments.iter().try_for_each(|(name, value)| self.assign(*name, value))
    }

    /// Sets a symbol.
    pub fn assign(&mut self, name: Name, value: &CodeExpr) -> Lowering<()> {
        if let Some((dtype, variables)) = self.complex_symbol(name) {
            let (values, ty) = self.expression(value)?;
            let crate::scalar::Type::Scalar(from) = ty else {
                return self.unsupported(format!("an assignment of no number to `{}`", self.text(name)));
            };
            let values = self.convert_number(&values, from, dtype);
            for (&variable, value) in variables.iter().zip(values) {
                self.b.set(variable, value);
            }
            return Ok(());
        }
        let Some(Symbol::Variable(variable)) = self.cx.symbols.get(&name).copied() else {
            return self.unsupported(format!("an assignment to `{}`", self.text(name)));
        };
        let (values, ty) = self.expression(value)?;
        let dtype = self.b.kernel.variables[variable].ty;
        let crate::scalar::Type::Scalar(from) = ty else {
            return self.unsupported(format!("an assignment of no number to `{}`", self.text(name)));
        };
        let value = self.convert_number(&values, from, dtype);
        self.b.set(variable, value[0]);
        self.cx.cache.insert(variable, value[0]);
        Ok(())
    }

    /// Any graph of blocks.
    fn unstructured(&mut self, region: &'p Region) -> Lowering<()> {
        let count = region.blocks.len();
        let position: HashMap<BlockId, usize> =
            region.blocks.iter().enumerate().map(|(position, &block)| (block, position)).collect();
        let mut outgoing: Vec<Vec<&InterstateEdge>> = vec![Vec::new(); count];
        for edge in &region.edges {
            let (Some(&from), true) = (position.get(&edge.src), position.contains_key(&edge.dst)) else {
                return self.invalid("P0105", "an interstate edge leads out of its region");
            };
            outgoing[from].push(edge);
        }
        for edges in &mut outgoing {
            edges.sort_by_key(|edge| edge.condition.is_none());
        }
        let start = match region.entry() {
            Some(start) => position.get(&start).copied(),
            None => Some(0),
        };
        let Some(start) = start.filter(|&start| start < count) else { return Ok(()) };
        // Block 0 jumps to the start; block n + 1 is the n-th of the region; edges follow.
        let entry = CfgBlock { body: Vec::new(), jump: Jump::To(start as u32 + 1) };
        let mut blocks: Vec<CfgBlock> = vec![entry];
        blocks.resize_with(count + 1, || CfgBlock { body: Vec::new(), jump: Jump::End });
        for (index, &block) in region.blocks.iter().enumerate() {
            let mut at = index + 1;
            self.b.open();
            let mut pending = self.moved(|lowerer| {
                lowerer.block(block)?;
                lowerer.first_condition(outgoing[index].first().copied())
            })?;
            blocks[at].body = self.b.close();
            for (position, edge) in outgoing[index].iter().enumerate() {
                self.b.open();
                self.moved(|lowerer| lowerer.assignments(edge))?;
                let to = this_block(&region.blocks, edge.dst);
                let body = self.b.close();
                let edge_block = blocks.len() as u32;
                blocks.push(CfgBlock { body, jump: Jump::To(to as u32 + 1) });
                let Some(holds) = pending else {
                    blocks[at].jump = Jump::To(edge_block);
                    break;
                };
                let following = outgoing[index].get(position + 1).copied();
                let next_at = blocks.len();
                blocks.push(CfgBlock { body: Vec::new(), jump: Jump::End });
                blocks[at].jump = Jump::Branch(holds, edge_block, next_at as u32);
                self.b.open();
                pending = self.moved(|lowerer| lowerer.first_condition(following))?;
                blocks[next_at].body = self.b.close();
                at = next_at;
            }
        }
        self.b.push(Stmt::Cfg(blocks));
        self.cx.cache.clear();
        Ok(())
    }

    fn first_condition(&mut self, edge: Option<&InterstateEdge>) -> Lowering<Option<ValueId>> {
        match edge.and_then(|edge| edge.condition.as_ref()) {
            Some(condition) => self.condition(condition).map(Some),
            None => Ok(None),
        }
    }

    fn block(&mut self, id: BlockId) -> Lowering<()> {
        let graph = self.cx.graph;
        let Some(block) = graph.blocks.get(id) else {
            return self.invalid("P0100", format!("there is no {id}"));
        };
        let place = format!("`{}`", block.label);
        self.inside(place, |lowerer| match &block.kind {
            BlockKind::State(state) => lowerer.state(id, state),
            BlockKind::Loop(inner) => lowerer.loop_block(inner),
            BlockKind::Conditional(branches) => {
                let branches: Vec<_> = branches.iter().map(|b| (b.condition.as_ref(), b.body)).collect();
                lowerer.conditional(&branches)
            }
            BlockKind::Region(_, body) => lowerer.region(*body),
            BlockKind::Break => lowerer.jump(lowerer.cx.break_label, "a break outside of loops"),
            BlockKind::Continue => lowerer.jump(lowerer.cx.continue_label, "a continue outside of loops"),
            BlockKind::Return => lowerer.jump(lowerer.cx.return_label, "a return"),
        })
    }

    fn jump(&mut self, label: Option<LabelId>, what: &str) -> Lowering<()> {
        match label {
            Some(label) => {
                self.b.push(Stmt::Exit(label));
                Ok(())
            }
            None => self.unsupported(what),
        }
    }

    fn conditional(&mut self, branches: &[(Option<&'p CodeExpr>, RegionId)]) -> Lowering<()> {
        let Some((&(condition, body), rest)) = branches.split_first() else { return Ok(()) };
        let Some(condition) = condition else { return self.region(body) };
        let condition = self.condition(condition)?;
        self.b.open_branch();
        self.moved(|lowerer| lowerer.region(body))?;
        let then = self.b.close();
        self.b.open_branch();
        self.inside("else".to_owned(), |lowerer| lowerer.moved(|lowerer| lowerer.conditional(rest)))?;
        let otherwise = self.b.close();
        self.b.branch(condition, then, otherwise);
        Ok(())
    }

    fn loop_block(&mut self, inner: &'p Loop) -> Lowering<()> {
        if let Some(counted) = self.counted(inner)? {
            return self.counted_loop(inner, counted);
        }
        let outer = (self.cx.break_label, self.cx.continue_label);
        if let Some(init) = inner.init.as_ref().filter(|init| !is_blank(init)) {
            self.loop_assignment(inner, init)?;
        }
        let leave = self.b.label();
        self.b.open_branch();
        self.b.open();
        self.cx.break_label = Some(leave);
        self.moved(|lowerer| {
            if !inner.inverted {
                lowerer.leave_unless(&inner.condition, leave)?;
            }
            lowerer.loop_body(inner)?;
            let update = inner.update.as_ref().filter(|update| !is_blank(update));
            if inner.inverted && !inner.update_before_condition {
                lowerer.leave_unless(&inner.condition, leave)?;
            }
            if let Some(update) = update {
                lowerer.loop_assignment(inner, update)?;
            }
            if inner.inverted && inner.update_before_condition {
                lowerer.leave_unless(&inner.condition, leave)?;
            }
            Ok(())
        })?;
        let body = self.b.close();
        self.b.push(Stmt::Loop(body));
        self.close_block(leave);
        self.cx.cache.clear();
        (self.cx.break_label, self.cx.continue_label) = outer;
        Ok(())
    }

    /// The body of a loop, with a block around it if somebody continues.
    pub fn loop_body(&mut self, inner: &'p Loop) -> Lowering<()> {
        let graph = self.cx.graph;
        if !contains(graph, inner.body, &|kind| matches!(kind, BlockKind::Continue)) {
            return self.region(inner.body);
        }
        let label = self.b.label();
        self.b.open_branch();
        let outer = self.cx.continue_label.replace(label);
        self.moved(|lowerer| lowerer.region(inner.body))?;
        self.cx.continue_label = outer;
        self.close_block(label);
        Ok(())
    }

    fn leave_unless(&mut self, condition: &CodeExpr, label: LabelId) -> Lowering<()> {
        let holds = self.condition(condition)?;
        self.b.open_branch();
        self.b.push(Stmt::Exit(label));
        let otherwise = self.b.close();
        self.b.push(Stmt::If { condition: holds, then: Vec::new(), otherwise });
        Ok(())
    }

    fn loop_assignment(&mut self, inner: &Loop, statement: &CodeExpr) -> Lowering<()> {
        match statement.target.or(inner.variable) {
            Some(name) => self.assign(name, statement),
            None => self.invalid("P0301", "a loop statement assigns nothing"),
        }
    }

    /// The bool of a condition.
    pub fn condition(&mut self, condition: &CodeExpr) -> Lowering<ValueId> {
        let (values, ty) = self.expression(condition)?;
        self.truth_of(&values, ty)
    }

    /// The value of an expression in control flow, and its type. Blank text is true.
    pub fn expression(&mut self, expr: &CodeExpr) -> Lowering<(Vec<ValueId>, crate::scalar::Type)> {
        let Some(code) = &expr.code else {
            if is_blank(expr) || matches!(expr.text.text.trim(), "1" | "True" | "true") {
                return Ok((vec![self.b.bool(true)], DType::Bool.into()));
            }
            return self.unsupported(format!("`{}`, which was not lowered", expr.text.text.trim()));
        };
        let mut ports = HashMap::new();
        for (id, port) in code.ports.iter() {
            let access = match self.container(port.name) {
                Some(container) if self.is_absent(&container) => continue,
                Some(container) => self.whole(container, self.program.names.get(port.name))?,
                None => continue,
            };
            if port.kind == PortKind::Value {
                let element = self.first_as(&access, port.ty)?;
                ports.insert(id, Bound::Value(self.load_as(&element, port.ty)?));
                continue;
            }
            let bound = self.bind_port(code, id, access, None, false)?;
            ports.insert(id, bound);
        }
        self.code_number(code, &ports)
    }
}

fn is_blank(expr: &CodeExpr) -> bool {
    expr.code.is_none() && expr.text.text.trim().is_empty()
}

fn this_block(blocks: &[BlockId], id: BlockId) -> usize {
    blocks.iter().position(|&block| block == id).unwrap_or(0)
}

/// The blocks of a region in order, each with the edge to the next one, if there is only one way through.
fn chain(region: &Region) -> Option<Vec<(BlockId, Option<&InterstateEdge>)>> {
    let mut next: HashMap<BlockId, &InterstateEdge> = HashMap::new();
    let mut has_predecessor = hashbrown::HashSet::new();
    for edge in &region.edges {
        if next.insert(edge.src, edge).is_some() || !has_predecessor.insert(edge.dst) {
            return None;
        }
    }
    let mut at = region.entry().filter(|start| !has_predecessor.contains(start))?;
    let mut links = Vec::new();
    loop {
        if links.len() > region.blocks.len() {
            return None;
        }
        let edge = next.get(&at).copied();
        links.push((at, edge));
        match edge {
            Some(edge) => at = edge.dst,
            None => return Some(links),
        }
    }
}

fn has_return(graph: &Graph) -> bool {
    graph.blocks.values().any(|block| matches!(block.kind, BlockKind::Return))
}

/// Whether a region holds a block of a kind; loops inside hide their own breaks and continues.
pub(super) fn contains(graph: &Graph, region: RegionId, wanted: &dyn Fn(&BlockKind) -> bool) -> bool {
    let mut stack = vec![region];
    let mut visited = 0;
    while let Some(region) = stack.pop() {
        visited += 1;
        if visited > graph.regions.len() + 1 {
            return true;
        }
        let blocks = graph.regions.get(region).map_or(&[][..], |region| &region.blocks);
        for block in blocks.iter().filter_map(|&id| graph.blocks.get(id)) {
            if wanted(&block.kind) {
                return true;
            }
            match &block.kind {
                BlockKind::Conditional(branches) => stack.extend(branches.iter().map(|branch| branch.body)),
                BlockKind::Region(_, body) => stack.push(*body),
                _ => {}
            }
        }
    }
    false
}

/// Every block of a region at any depth, loops included.
pub(super) fn all_blocks(graph: &Graph, region: RegionId) -> Vec<BlockId> {
    let mut found = Vec::new();
    let mut stack = vec![region];
    while let Some(region) = stack.pop() {
        let Some(region) = graph.regions.get(region) else { continue };
        for &id in &region.blocks {
            if found.len() > graph.blocks.len() {
                return found;
            }
            found.push(id);
            match graph.blocks.get(id).map(|block| &block.kind) {
                Some(BlockKind::Conditional(branches)) => {
                    stack.extend(branches.iter().map(|branch| branch.body))
                }
                Some(BlockKind::Region(_, body)) => stack.push(*body),
                Some(BlockKind::Loop(inner)) => stack.push(inner.body),
                _ => {}
            }
        }
    }
    found
}
