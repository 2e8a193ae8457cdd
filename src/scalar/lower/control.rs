//! Conditions, assignments and loop statements.

use crate::diag::Diagnostic;
use crate::entity::{Name, Names};
use crate::ir::{BlockId, BlockKind, CodeExpr, DataKind, Graph, GraphId, Language, RegionId};
use crate::scalar::code::{Code, Port, PortKind};
use crate::scalar::parse::build::{self, ConstantView, Environment, PortSpec};
use crate::scalar::parse::tree::{Binary, Expr, Stmt};
use crate::scalar::parse::{c, python};
use crate::scalar::types::{DType, Type};
use crate::symbolic::ExprPool;

use super::symbols::{GraphTypes, NodeScope};
use super::{Lowered, Lowering, Place, ports, set, unknown_language, with_text};

/// A code of an interstate edge.
#[derive(Clone, Copy, Debug)]
pub(super) enum EdgePart {
    Condition,
    Assignment(usize),
}

/// A code of a control-flow block.
#[derive(Clone, Copy, Debug)]
pub(super) enum BlockPart {
    Init,
    Condition,
    Update,
    Branch(usize),
}

/// Symbols and containers by name.
struct ControlScope<'a> {
    graph: &'a Graph,
    exprs: &'a ExprPool,
    symbols: &'a dyn Environment,
}

impl Environment for ControlScope<'_> {
    fn symbol(&self, name: Name) -> Option<DType> {
        self.symbols.symbol(name)
    }

    fn constant(&self, name: Name) -> Option<ConstantView<'_>> {
        self.symbols.constant(name)
    }

    fn container(&self, names: &Names, name: Name) -> Option<PortSpec> {
        let data = ports::container(self.graph, names, name)?;
        let shape = ports::shape_of(data);
        let kind = match data.kind {
            DataKind::Scalar(_) => PortKind::Reference,
            DataKind::Stream(_) => PortKind::Stream,
            _ => PortKind::Pointer { rank: u8::try_from(shape.len()).ok()? },
        };
        Some(PortSpec {
            port: Port { name, ty: data.ty, kind, reads: true, writes: false },
            unit_dimensions: vec![false; shape.len()],
            one_element: shape.iter().all(|&extent| self.exprs.as_int(extent) == Some(1)),
            infer_type: false,
        })
    }
}

impl Environment for GraphTypes {
    fn symbol(&self, name: Name) -> Option<DType> {
        self.get(name).filter(|_| GraphTypes::constant(self, name).is_none())
    }

    fn constant(&self, name: Name) -> Option<ConstantView<'_>> {
        GraphTypes::constant(self, name)
    }
}

impl Lowering<'_> {
    /// Finds the types of undeclared symbols, then lowers all control-flow code of a graph.
    pub(super) fn control_flow(&mut self, id: GraphId, graph: &Graph, types: &mut GraphTypes) {
        self.infer_assigned(id, graph, types);
        for (region_at, region) in graph.regions.values().enumerate() {
            for (edge_at, edge) in region.edges.iter().enumerate() {
                let shown = || {
                    let label = |block: BlockId| graph.blocks.get(block).map_or("?", |block| &block.label);
                    format!("interstate edge `{}` -> `{}`", label(edge.src), label(edge.dst))
                };
                if let Some(condition) = &edge.condition {
                    let result = self.condition_in(condition, graph, types).map(Some);
                    self.keep(Place::Edge(id, region_at, edge_at, EdgePart::Condition), result, shown);
                }
                for (at, (name, value)) in edge.assignments.iter().enumerate() {
                    let target = types.get(*name).unwrap_or(DType::I64);
                    let assigned = self.names[*name].to_string();
                    let result = self.value_in(value, graph, types, Some(target.into())).map(Some);
                    self.keep(Place::Edge(id, region_at, edge_at, EdgePart::Assignment(at)), result, || {
                        format!("{}, assignment of `{assigned}`", shown())
                    });
                }
            }
        }
        for (block_id, block) in graph.blocks.iter() {
            match &block.kind {
                BlockKind::Loop(body) => {
                    let shown = |part: &str| format!("loop `{}`, {part}", block.label);
                    for (part, expr, label) in [
                        (BlockPart::Init, body.init.as_ref(), "init statement"),
                        (BlockPart::Update, body.update.as_ref(), "update statement"),
                    ] {
                        let Some(expr) = expr else { continue };
                        let result = self.assignment_in(expr, graph, types).map(Some);
                        self.keep(Place::Block(id, block_id, part), result, || shown(label));
                    }
                    let result = self.condition_in(&body.condition, graph, types).map(Some);
                    self.keep(Place::Block(id, block_id, BlockPart::Condition), result, || {
                        shown("condition")
                    });
                }
                BlockKind::Conditional(branches) => {
                    for (at, branch) in branches.iter().enumerate() {
                        let Some(condition) = &branch.condition else { continue };
                        let result = self.condition_in(condition, graph, types).map(Some);
                        self.keep(Place::Block(id, block_id, BlockPart::Branch(at)), result, || {
                            format!("conditional `{}`, branch {at}", block.label)
                        });
                    }
                }
                _ => {}
            }
        }
    }

    /// Gives undeclared symbols that control flow assigns the type of what is assigned. A value may use another
    /// such symbol, so this repeats until nothing new is learned.
    fn infer_assigned(&mut self, id: GraphId, graph: &Graph, types: &mut GraphTypes) {
        let mut open: Vec<(Option<Name>, &CodeExpr)> = Vec::new();
        for region in graph.regions.values() {
            for edge in &region.edges {
                open.extend(edge.assignments.iter().map(|(name, value)| (Some(*name), value)));
            }
        }
        for block in graph.blocks.values() {
            if let BlockKind::Loop(body) = &block.kind {
                open.extend(body.init.iter().chain(&body.update).map(|expr| (body.variable, expr)));
            }
        }
        open.retain(|(name, _)| name.is_none_or(|name| types.get(name).is_none()));
        // Loops mostly assign their variable from literals; a few rounds settle chains between symbols.
        for _ in 0..8 {
            let before = open.len();
            let mut left = Vec::new();
            for (name, expr) in open {
                let target = self.target_name(expr).or(name);
                let Some(target) = target else { continue };
                if types.get(target).is_some() {
                    continue;
                }
                let result = if expr.target.is_some() || is_statement(expr) {
                    self.assignment_value(expr)
                        .and_then(|(_, value)| self.lower_expr(&value, expr, graph, types, None))
                } else {
                    self.value_in(expr, graph, types, None)
                };
                let found = result.ok().and_then(|lowered| {
                    let value = *lowered.code.body.results.first()?;
                    lowered.code.types.get(value)?.scalar()
                });
                match found {
                    Some(dtype) if dtype.is_integral() && dtype.bytes() <= 4 && dtype != DType::Bool => {
                        types.insert(target, DType::I64);
                    }
                    Some(dtype) => {
                        if !dtype.is_integral() && !graph.symbols.contains_key(&target) {
                            self.assigned.push((id, target, dtype));
                        }
                        types.insert(target, dtype);
                    }
                    None => left.push((Some(target), expr)),
                }
            }
            if left.is_empty() || left.len() == before {
                break;
            }
            open = left;
        }
    }

    /// A condition that may use the symbols of a state's scopes.
    pub(super) fn condition(
        &mut self,
        expr: &CodeExpr,
        graph: &Graph,
        scope: &NodeScope<'_>,
    ) -> Result<Lowered, Diagnostic> {
        let tree = parse(expr)?;
        self.lower_expr(&tree, expr, graph, scope, Some(Type::BOOL))
    }

    fn condition_in(
        &mut self,
        expr: &CodeExpr,
        graph: &Graph,
        types: &GraphTypes,
    ) -> Result<Lowered, Diagnostic> {
        self.value_in(expr, graph, types, Some(Type::BOOL))
    }

    fn value_in(
        &mut self,
        expr: &CodeExpr,
        graph: &Graph,
        types: &GraphTypes,
        target: Option<Type>,
    ) -> Result<Lowered, Diagnostic> {
        let tree = parse(expr)?;
        self.lower_expr(&tree, expr, graph, types, target)
    }

    fn lower_expr(
        &mut self,
        tree: &Expr,
        expr: &CodeExpr,
        graph: &Graph,
        symbols: &dyn Environment,
        target: Option<Type>,
    ) -> Result<Lowered, Diagnostic> {
        let scope = ControlScope { graph, exprs: self.exprs, symbols };
        let code = build::expression(self.names, &self.program.structs, Vec::new(), &scope, tree, target)
            .map_err(|error| with_text(error, &expr.text.text))?;
        Ok(Lowered { code, target: None })
    }

    /// `i = value` of a loop.
    fn assignment_in(
        &mut self,
        expr: &CodeExpr,
        graph: &Graph,
        types: &GraphTypes,
    ) -> Result<Lowered, Diagnostic> {
        let (name, value) = self.assignment_value(expr)?;
        let name = self.names.intern(&name);
        let target = types.get(name).unwrap_or(DType::I64);
        let mut lowered = self.lower_expr(&value, expr, graph, types, Some(target.into()))?;
        lowered.target = Some(name);
        Ok(lowered)
    }

    fn assignment_value(&self, expr: &CodeExpr) -> Result<(String, Expr), Diagnostic> {
        let text = &expr.text.text;
        let statements = match expr.text.language {
            Language::Python => python::statements(text),
            Language::Cpp => c::statements(text),
            other => Err(unknown_language(other)),
        }
        .map_err(|error| with_text(error, text))?;
        match <[Stmt; 1]>::try_from(statements) {
            Ok([Stmt::Assign(mut targets, value)]) if targets.len() == 1 => {
                if let Some(Expr::Name(name)) = targets.pop() {
                    return Ok((name, value));
                }
            }
            Ok([Stmt::Augment(Expr::Name(name), op, value)]) if op != Binary::Pow => {
                let old = Box::new(Expr::Name(name.clone()));
                return Ok((name, Expr::Binary(op, old, Box::new(value))));
            }
            Ok([Stmt::Declare(name, _, Some(value))]) => return Ok((name, value)),
            _ => {}
        }
        Err(Diagnostic::error("P0302", "a loop statement must assign one symbol")
            .with_note(format!("text: {text}")))
    }

    fn target_name(&mut self, expr: &CodeExpr) -> Option<Name> {
        if !is_statement(expr) {
            return None;
        }
        let (name, _) = self.assignment_value(expr).ok()?;
        Some(self.names.intern(&name))
    }
}

/// Whether the text is an assignment rather than an expression.
fn is_statement(expr: &CodeExpr) -> bool {
    parse(expr).is_err()
}

fn parse(expr: &CodeExpr) -> Result<Expr, Diagnostic> {
    let text = &expr.text.text;
    match expr.text.language {
        Language::Python => python::expression(text),
        Language::Cpp => c::expression(text),
        other => Err(unknown_language(other)),
    }
    .map_err(|error| with_text(error, text))
}

pub(super) fn store_edge(graph: &mut Graph, region: usize, edge: usize, part: EdgePart, code: Code) {
    let Some(region) = u32::try_from(region).ok().and_then(|at| graph.regions.get_mut(RegionId(at))) else {
        return;
    };
    let Some(edge) = region.edges.get_mut(edge) else { return };
    match part {
        EdgePart::Condition => {
            if let Some(condition) = &mut edge.condition {
                set(condition, code, None);
            }
        }
        EdgePart::Assignment(at) => {
            if let Some((_, value)) = edge.assignments.get_mut(at) {
                set(value, code, None);
            }
        }
    }
}

pub(super) fn store_block(
    graph: &mut Graph,
    block: BlockId,
    part: BlockPart,
    code: Code,
    target: Option<Name>,
) {
    let expr = match (graph.blocks.get_mut(block).map(|block| &mut block.kind), part) {
        (Some(BlockKind::Loop(body)), BlockPart::Init) => body.init.as_mut(),
        (Some(BlockKind::Loop(body)), BlockPart::Update) => body.update.as_mut(),
        (Some(BlockKind::Loop(body)), BlockPart::Condition) => Some(&mut body.condition),
        (Some(BlockKind::Conditional(branches)), BlockPart::Branch(at)) => {
            branches.get_mut(at).and_then(|branch| branch.condition.as_mut())
        }
        _ => None,
    };
    if let Some(expr) = expr {
        set(expr, code, target);
    }
}
