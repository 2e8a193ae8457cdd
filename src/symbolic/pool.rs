//! The hash-consing pool: the arena of nodes and what is known about symbols.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};
use indexmap::IndexMap;
use smallvec::SmallVec;

use crate::entity::{EntityId, Name};
use crate::entity_id;

use super::node::{Node, Term};
use super::{SymbolInfo, SymbolInfos};

entity_id! {
    /// A canonical expression of one [`ExprPool`]; equal ids mean equal expressions.
    ExprId, "expr"
}

/// The expressions of one program.
///
/// Expressions are never removed. An id is only meaningful together with the pool that issued it; a foreign id may panic.
#[derive(Clone, Debug, Default)]
pub struct ExprPool {
    rows: Vec<Row>,
    table: HashTable<ExprId>,
    hasher: DefaultHashBuilder,
    /// Products found so far, smaller id first.
    pub(super) products: HashMap<(ExprId, ExprId), ExprId>,
    pub(super) infos: SymbolInfos,
}

/// A node with what its whole tree amounts to.
#[derive(Clone, Debug)]
struct Row {
    node: Node,
    /// Nodes on the longest way down.
    depth: u32,
    /// Nodes of the tree (shared ones counted as often as they appear), saturating.
    tree_size: u32,
    /// One bit per free symbol, hashed: a clear bit proves absence.
    symbols: u64,
}

impl ExprPool {
    /// The top of an expression.
    pub fn node(&self, id: ExprId) -> &Node {
        &self.rows[id.index()].node
    }

    /// How many expressions were made so far.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no expression was made yet.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// An integer.
    pub fn int(&mut self, value: i64) -> ExprId {
        self.intern(Node::Int(value))
    }

    /// The value of a symbol.
    pub fn symbol(&mut self, name: Name) -> ExprId {
        self.intern(Node::Symbol(name))
    }

    /// `?`.
    pub fn undefined(&mut self) -> ExprId {
        self.intern(Node::Undefined)
    }

    /// The literal behind an expression that is one.
    pub fn as_int(&self, id: ExprId) -> Option<i64> {
        match *self.node(id) {
            Node::Int(value) => Some(value),
            Node::Typed(dtype, bits) if dtype.is_integral() => i64::try_from(bits).ok(),
            Node::Sum(0, ref terms) => match **terms {
                [Term { coefficient, monomial }] => match *self.node(monomial) {
                    Node::Typed(dtype, bits) if dtype.is_integral() => {
                        i64::try_from(bits).ok().and_then(|value| value.checked_mul(coefficient))
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// The symbol behind an expression that is nothing but one.
    pub fn as_symbol(&self, id: ExprId) -> Option<Name> {
        match *self.node(id) {
            Node::Symbol(name) => Some(name),
            _ => None,
        }
    }

    /// Symbols it reads, ascending, without duplicates; containers read by subscripts included.
    pub fn free_symbols(&self, id: ExprId) -> Vec<Name> {
        if self.row(id).symbols == 0 {
            return Vec::new();
        }
        if let Some(name) = self.as_symbol(id) {
            return vec![name];
        }
        let mut names: Vec<Name> =
            self.reachable(id).into_iter().filter_map(|child| self.as_symbol(child)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether the symbol occurs in the expression.
    pub fn depends_on(&self, id: ExprId, name: Name) -> bool {
        self.depends_on_any(id, &[name])
    }

    /// Whether one of the symbols occurs in the expression.
    pub fn depends_on_any(&self, id: ExprId, names: &[Name]) -> bool {
        let mask = names.iter().fold(0, |mask, &name| mask | symbol_bit(name));
        if self.row(id).symbols & mask == 0 {
            return false;
        }
        self.reachable(id)
            .into_iter()
            .any(|child| self.as_symbol(child).is_some_and(|name| names.contains(&name)))
    }

    /// What was declared about a symbol.
    pub fn symbol_info(&self, name: Name) -> Option<&SymbolInfo> {
        self.infos.get(&name)
    }

    /// Declares a symbol's type and assumptions. Where two declarations differ, only what both say is believed, and the
    /// type that is not the default one wins.
    pub fn declare_symbol(&mut self, name: Name, info: SymbolInfo) {
        match self.infos.entry(name) {
            indexmap::map::Entry::Vacant(entry) => {
                entry.insert(info);
            }
            indexmap::map::Entry::Occupied(mut entry) => entry.get_mut().meet(info),
        }
    }

    /// All declared symbols, in order of declaration.
    pub fn symbol_infos(&self) -> &IndexMap<Name, SymbolInfo> {
        &self.infos
    }

    /// Nodes on the longest way down an expression.
    pub fn depth(&self, id: ExprId) -> u32 {
        self.row(id).depth
    }

    /// Nodes of the tree, shared ones counted as often as they appear; saturating.
    pub fn tree_size(&self, id: ExprId) -> u32 {
        self.row(id).tree_size
    }

    /// Every expression reachable from `id`, ascending: children come before their parents, `id` is last.
    pub fn reachable(&self, id: ExprId) -> Vec<ExprId> {
        let mut found: Vec<ExprId> = vec![id];
        if self.row(id).tree_size <= 32 {
            let mut next = 0;
            while let Some(&current) = found.get(next) {
                next += 1;
                self.node(current).for_each_child(|child| found.push(child));
            }
            found.sort_unstable();
            found.dedup();
            return found;
        }
        let mut seen: HashSet<ExprId> = HashSet::new();
        seen.insert(id);
        let mut next = 0;
        while let Some(&current) = found.get(next) {
            next += 1;
            self.node(current).for_each_child(|child| {
                if seen.insert(child) {
                    found.push(child);
                }
            });
        }
        found.sort_unstable();
        found
    }

    /// The id of a node whose invariants the caller upholds. A node above `?` is `?`.
    pub(super) fn intern(&mut self, node: Node) -> ExprId {
        let hash = self.hasher.hash_one(&node);
        if let Some(&id) = self.table.find(hash, |&id| self.rows[id.index()].node == node) {
            return id;
        }
        let mut children: SmallVec<[ExprId; 8]> = SmallVec::new();
        node.for_each_child(|child| children.push(child));
        if let Some(&undefined) = children.iter().find(|&&child| *self.node(child) == Node::Undefined) {
            return undefined;
        }
        let mut row = Row { node, depth: 1, tree_size: 1, symbols: 0 };
        if let Node::Symbol(name) = row.node {
            row.symbols = symbol_bit(name);
        }
        for child in children {
            let below = self.row(child);
            row.depth = row.depth.max(below.depth.saturating_add(1));
            row.tree_size = row.tree_size.saturating_add(below.tree_size);
            row.symbols |= below.symbols;
        }
        let id = ExprId::from_index(self.rows.len());
        self.rows.push(row);
        let (rows, hasher) = (&self.rows, &self.hasher);
        self.table.insert_unique(hash, id, |&id| hasher.hash_one(&rows[id.index()].node));
        id
    }

    /// Whether one of them is `?`.
    pub(super) fn any_undefined(&self, ids: &[ExprId]) -> bool {
        ids.iter().any(|&id| *self.node(id) == Node::Undefined)
    }

    fn row(&self, id: ExprId) -> &Row {
        &self.rows[id.index()]
    }
}

fn symbol_bit(name: Name) -> u64 {
    1 << (name.0 % 64)
}
