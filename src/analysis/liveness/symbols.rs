//! What symbols mean in terms of the outermost graph's, and sizes in terms of those.

use hashbrown::HashMap;

use crate::analysis::uses::layout_exprs;
use crate::entity::Name;
use crate::ir::{Array, Data, DataKind, Graph};
use crate::symbolic::ExprId;

use super::size::ByteCount;
use super::walk::{GraphScope, Walker};

impl<'p> Walker<'p> {
    /// How large a container is, and the slots of the symbols that decide it.
    pub fn byte_count(
        &mut self,
        scope: &GraphScope<'p>,
        data: &Data,
        symbols: &mut Vec<u32>,
    ) -> Option<ByteCount> {
        let none = Array::default();
        let array = match &data.kind {
            DataKind::Array(array) => array,
            DataKind::Scalar(_) => &none,
            _ => return None,
        };
        let item = data.ty.bytes(&self.program.structs) as u64;
        let mut compile = |expr: ExprId| {
            let rewritten = self.outermost(scope, expr)?;
            Some(self.exprs.compile(rewritten, &mut |name| {
                let slot = *self.slots.entry(name).or_insert_with(|| {
                    self.found.symbols.push(name);
                    self.found.symbols.len() as u32 - 1
                });
                if !symbols.contains(&slot) {
                    symbols.push(slot);
                }
                slot
            }))
        };
        let shape: Option<Box<[_]>> = array.shape.iter().map(|&expr| compile(expr)).collect();
        let strides: Option<Box<[_]>> = array.strides.iter().map(|&expr| compile(expr)).collect();
        let mut optional = |expr: Option<ExprId>| match expr {
            Some(expr) => compile(expr).map(Some),
            None => Some(None),
        };
        Some(ByteCount {
            item,
            shape: shape?,
            strides: strides?,
            total: optional(array.total_size)?,
            start: optional(array.start_offset)?,
        })
    }

    /// An expression in terms of the outermost graph's symbols, if those decide it.
    pub fn outermost(&mut self, scope: &GraphScope<'p>, expr: ExprId) -> Option<ExprId> {
        let mut images: HashMap<Name, ExprId> = HashMap::new();
        for name in self.exprs.free_symbols(expr) {
            match scope.symbols.get(&name) {
                Some(known) => images.insert(name, (*known)?),
                None if scope.names.contains_key(&name) || scope.graph.data.contains_key(&name) => {
                    return None;
                }
                None if scope.outermost => None,
                None => return None,
            };
        }
        Some(if images.is_empty() {
            expr
        } else {
            self.exprs.substitute(expr, &|name| images.get(&name).copied())
        })
    }

    /// What symbols mean in a nested graph that maps these; others mean what they mean outside.
    pub fn inner_symbols<'m>(
        &mut self,
        scope: &GraphScope<'p>,
        mapping: impl Iterator<Item = (&'m Name, &'m ExprId)>,
        inner: &Graph,
    ) -> HashMap<Name, Option<ExprId>> {
        let mut symbols: HashMap<Name, Option<ExprId>> = scope.symbols.clone();
        if scope.outermost {
            for data in inner.data.values() {
                for name in layout_exprs(data).iter().flat_map(|&expr| self.program.exprs.free_symbols(expr))
                {
                    if !symbols.contains_key(&name) && !scope.graph.data.contains_key(&name) {
                        let itself = self.exprs.symbol(name);
                        symbols.insert(name, Some(itself));
                    }
                }
            }
            for &name in inner.symbols.keys() {
                if !symbols.contains_key(&name) && !scope.graph.data.contains_key(&name) {
                    let itself = self.exprs.symbol(name);
                    symbols.insert(name, Some(itself));
                }
            }
        }
        for (&name, &value) in mapping {
            let value = self.outermost(scope, value);
            symbols.insert(name, value);
        }
        symbols
    }

    /// Parameters of a map hide what was known about those names. Gives what to put back.
    pub fn hide(scope: &mut GraphScope<'p>, names: &[Name]) -> Vec<(Name, Option<Option<ExprId>>)> {
        names.iter().map(|&name| (name, scope.symbols.insert(name, None))).collect()
    }

    /// Puts hidden symbols back.
    pub fn show(scope: &mut GraphScope<'p>, hidden: Vec<(Name, Option<Option<ExprId>>)>) {
        for (name, before) in hidden.into_iter().rev() {
            match before {
                Some(before) => scope.symbols.insert(name, before),
                None => scope.symbols.remove(&name),
            };
        }
    }
}
