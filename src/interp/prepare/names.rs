//! Names to slots: what a name means inside one graph, and inside one scope of it.

use hashbrown::{HashMap, HashSet};

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::interp::plan::{ContainerSlot, GeneralSize, Size, Source, SymbolSlot};
use crate::ir::{Graph, GraphId};
use crate::scalar::{DType, Scalar};
use crate::symbolic::{ExprId, Node};

use super::Builder;

/// What names mean in one graph.
pub(super) struct GraphNames<'p> {
    pub id: GraphId,
    pub graph: &'p Graph,
    /// Containers, members of structures included (as `name.member`).
    pub containers: HashMap<Name, ContainerSlot>,
    pub symbols: HashMap<Name, SymbolSlot>,
    /// Scalar constants of this graph and of the graphs around it.
    pub constants: HashMap<Name, (SymbolSlot, Scalar)>,
    /// Array constants likewise.
    pub constant_arrays: HashMap<Name, ContainerSlot>,
    /// Symbols that control flow assigns.
    pub assigned: HashSet<Name>,
    /// Parameters of the scopes around, innermost last.
    pub params: Vec<(Name, SymbolSlot)>,
}

impl<'p> GraphNames<'p> {
    /// A parameter of a scope around, if the name is one.
    fn param(&self, name: Name) -> Option<SymbolSlot> {
        self.params.iter().rev().find(|(param, _)| *param == name).map(|&(_, slot)| slot)
    }
}

impl<'p> Builder<'p> {
    /// The container behind a name.
    pub fn container(&self, names: &GraphNames<'p>, name: Name) -> Result<ContainerSlot, Diagnostic> {
        // A constant hides a container of its own graph; a container hides constants of the graphs around.
        let own = names.graph.constants.get(&name).and_then(|_| names.constant_arrays.get(&name));
        let found = own.or_else(|| names.containers.get(&name)).or_else(|| names.constant_arrays.get(&name));
        found.copied().ok_or_else(|| {
            Diagnostic::error("P0102", format!("there is no container `{}`", self.program.names.get(name)))
                .at(format!("graph `{}`", names.graph.name))
        })
    }

    /// The slot of a symbol; undeclared ones come into being.
    pub fn symbol(&mut self, names: &mut GraphNames<'p>, name: Name) -> SymbolSlot {
        if let Some(slot) = names.param(name) {
            return slot;
        }
        if let Some(&(slot, _)) = names.constants.get(&name) {
            return slot;
        }
        if let Some(&slot) = names.symbols.get(&name) {
            return slot;
        }
        let slot = self.fresh_symbol(name, names.graph.symbol_type(name));
        names.symbols.insert(name, slot);
        slot
    }

    /// A symbol that no name leads to yet.
    pub fn fresh_symbol(&mut self, name: Name, dtype: DType) -> SymbolSlot {
        let slot = self.symbols.len() as SymbolSlot;
        self.symbols.push(crate::interp::plan::Symbol { name, dtype });
        slot
    }

    /// What a name in an expression stands for: a parameter, constant or symbol, else a container.
    pub fn source(&mut self, names: &mut GraphNames<'p>, name: Name) -> Source {
        let is_symbol = names.param(name).is_some()
            || names.constants.contains_key(&name)
            || names.graph.symbols.contains_key(&name)
            || names.assigned.contains(&name);
        if !is_symbol && let Ok(slot) = self.container(names, name) {
            return Source::Container(slot);
        }
        Source::Symbol(self.symbol(names, name))
    }

    /// Compiles an expression.
    pub fn size(&mut self, names: &mut GraphNames<'p>, expr: ExprId) -> Size {
        let exprs = &self.program.exprs;
        if let Some(value) = exprs.as_int(expr) {
            return Size::Const(value);
        }
        let free = exprs.free_symbols(expr);
        let bare = exprs.as_symbol(expr);
        let mut sources: Vec<(Name, Source)> = Vec::with_capacity(free.len());
        for name in free {
            sources.push((name, self.source(names, name)));
        }
        sources.sort_by_key(|&(name, _)| name);
        if let (Some(_), [(_, Source::Symbol(slot))]) = (bare, sources.as_slice()) {
            return Size::Symbol(*slot, 0);
        }
        if let Some(size) = self.affine(expr, &sources) {
            return size;
        }
        Size::General(Box::new(GeneralSize { expr, sources: sources.into_boxed_slice() }))
    }

    /// A sum of symbols with integer coefficients, if the expression is one.
    fn affine(&self, expr: ExprId, sources: &[(Name, Source)]) -> Option<Size> {
        let slot = |monomial| {
            let name = self.program.exprs.as_symbol(monomial)?;
            sources.iter().find_map(|&(known, source)| match source {
                Source::Symbol(slot) if known == name => Some(slot),
                _ => None,
            })
        };
        let Node::Sum(constant, terms) = self.program.exprs.node(expr) else { return None };
        let integral = |slot: SymbolSlot| self.symbols[slot as usize].dtype.is_integral();
        let terms: Option<Vec<(i64, SymbolSlot)>> = terms
            .iter()
            .map(|term| {
                slot(term.monomial).filter(|&slot| integral(slot)).map(|slot| (term.coefficient, slot))
            })
            .collect();
        let terms = terms?;
        Some(match *terms.as_slice() {
            [(1, slot)] => Size::Symbol(slot, *constant),
            _ => Size::Affine(*constant, terms.into_boxed_slice()),
        })
    }

    /// Compiles several expressions.
    pub fn sizes(&mut self, names: &mut GraphNames<'p>, exprs: &[ExprId]) -> Box<[Size]> {
        exprs.iter().map(|&expr| self.size(names, expr)).collect()
    }
}
