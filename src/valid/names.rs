//! Which names mean something where.

use std::rc::Rc;

use hashbrown::HashSet;

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{BlockKind, Graph, NestedGraph, NodeKind};
use crate::scalar::Type;
use crate::symbolic::{ExprId, ExprPool};

use super::Validator;

/// Names that have a value somewhere in a graph. Where exactly is for the run to find out: a symbol counts as
/// defined if it is declared (in the outermost graph), mapped, assigned on any edge, or a parameter of any loop or map.
#[derive(Debug)]
pub(super) struct Scope {
    defined: HashSet<Name>,
    /// Symbols with a mapping: the graph around does not show through.
    mapped: HashSet<Name>,
    outer: Option<Rc<Scope>>,
}

impl Scope {
    /// The names of the outermost graph.
    pub(super) fn of_root(graph: &Graph) -> Rc<Scope> {
        let mut defined = HashSet::new();
        collect(graph, &mut defined);
        defined.extend(graph.symbols.keys().copied());
        Rc::new(Scope { defined, mapped: HashSet::new(), outer: None })
    }

    /// The names of a nested graph. Symbols that are not mapped mean those of the same name outside; a mapping to
    /// something without a value gives none.
    pub(super) fn of_nested(
        exprs: &ExprPool,
        graph: &Graph,
        nested: &NestedGraph,
        outer: &Rc<Scope>,
    ) -> Rc<Scope> {
        let mut defined = HashSet::new();
        collect(graph, &mut defined);
        let has_value = |value: ExprId| exprs.free_symbols(value).into_iter().all(|name| outer.defines(name));
        let mapping = nested.symbol_mapping.iter();
        defined.extend(mapping.filter(|&(_, &value)| has_value(value)).map(|(&name, _)| name));
        let mapped = nested.symbol_mapping.keys().copied().collect();
        Rc::new(Scope { defined, mapped, outer: Some(Rc::clone(outer)) })
    }

    pub(super) fn defines(&self, name: Name) -> bool {
        let mut scope = self;
        loop {
            if scope.defined.contains(&name) {
                return true;
            }
            match &scope.outer {
                Some(outer) if !scope.mapped.contains(&name) => scope = outer,
                _ => return false,
            }
        }
    }
}

fn collect(graph: &Graph, defined: &mut HashSet<Name>) {
    defined.extend(graph.constants.keys().copied());
    defined.extend(graph.data.keys().copied());
    for region in graph.regions.values() {
        defined.extend(region.edges.iter().flat_map(|edge| edge.assignments.iter().map(|(name, _)| *name)));
    }
    for block in graph.blocks.values() {
        match &block.kind {
            BlockKind::Loop(kind) => {
                defined.extend(kind.variable);
                defined.extend(kind.init.as_ref().and_then(|code| code.target));
                defined.extend(kind.update.as_ref().and_then(|code| code.target));
            }
            BlockKind::State(state) => {
                for (_, node) in state.live_nodes() {
                    match &node.kind {
                        NodeKind::MapEntry(map) => {
                            defined.extend(map.params.iter().copied());
                            defined.extend(node.inputs.keys().copied());
                        }
                        NodeKind::ConsumeEntry(consume) => {
                            defined.extend(consume.pe_index);
                            defined.extend(node.inputs.keys().copied());
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// Duplicate names, positional arguments, types of symbols.
pub(super) fn check(validator: &mut Validator<'_>, graph: &Graph, _scope: &Scope) {
    for (&name, ty) in &graph.symbols {
        if graph.data.contains_key(&name) {
            let text = format!("`{}` is both a container and a symbol", validator.text(name));
            validator.report(Diagnostic::error("P0114", text).with_help("rename one of them"));
        }
        if matches!(ty, Type::Struct(_) | Type::Vector(..)) {
            validator.error("P0207", format!("symbol `{}` is not a number", validator.text(name)));
        }
    }
    for name in graph.constants.keys().filter(|name| graph.symbols.contains_key(*name)) {
        let text = format!("`{}` is both a constant and a symbol", validator.text(*name));
        validator.report(Diagnostic::warning("P0114", text).with_note("the constant counts"));
    }
    for &name in &graph.arg_names {
        let is_known = graph.data.contains_key(&name)
            || graph.symbols.contains_key(&name)
            || graph.constants.contains_key(&name);
        if !is_known {
            let text =
                format!("positional argument `{}` is nothing that the graph takes", validator.text(name));
            validator.report(Diagnostic::warning("P0117", text));
        }
    }
}

/// Reports symbols of an expression that have no value; `what` says where it stands.
pub(super) fn check_size(
    validator: &mut Validator<'_>,
    scope: &Scope,
    expr: ExprId,
    what: &dyn Fn() -> String,
) {
    let unknown = validator.exprs.free_symbols(expr).into_iter().find(|&name| !scope.defines(name));
    if let Some(name) = unknown {
        let text = format!("nobody gives `{}` a value", validator.text(name));
        let finding = Diagnostic::error("P0201", text)
            .at(what())
            .with_help("declare the symbol, assign it on an edge, or map it into the nested graph");
        validator.report(finding);
    }
}
