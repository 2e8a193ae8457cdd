//! Types of symbols, and of symbolic expressions.

use hashbrown::HashMap;

use crate::analysis::scopes::ScopeTree;
use crate::entity::Name;
use crate::ir::{Graph, NodeId, NodeKind, State};
use crate::scalar::parse::build::{ConstantView, Environment};
use crate::scalar::parse::types::{common, promoted};
use crate::scalar::{DType, Scalar};
use crate::symbolic::{ExprId, ExprPool, Node};

/// Symbol types of one graph.
#[derive(Clone, Debug, Default)]
pub(super) struct GraphTypes {
    symbols: HashMap<Name, DType>,
    constants: HashMap<Name, (Vec<i64>, Vec<Scalar>)>,
}

impl GraphTypes {
    /// What the symbol mapping of the node around a graph implies.
    pub(super) fn inherited(symbols: HashMap<Name, DType>) -> Self {
        GraphTypes { symbols, constants: HashMap::new() }
    }

    /// Adds what a graph declares. A type implied from outside stays if it is a wider one of the same kind.
    pub(super) fn declare(&mut self, graph: &Graph, exprs: &ExprPool) {
        for (&name, ty) in &graph.symbols {
            let Some(declared) = ty.scalar() else { continue };
            let wider = self.symbols.get(&name).is_some_and(|&mapped| {
                mapped.bytes() > declared.bytes()
                    && mapped.is_float() == declared.is_float()
                    && mapped.is_integral() == declared.is_integral()
                    && mapped.is_unsigned() == declared.is_unsigned()
                    && declared != DType::Bool
            });
            if !wider {
                self.symbols.insert(name, declared);
            }
        }
        for (&name, constant) in &graph.constants {
            let shape: Option<Vec<i64>> =
                constant.data.shape().iter().map(|&extent| exprs.as_int(extent)).collect();
            if let Some(shape) = shape {
                self.constants.insert(name, (shape, constant.values.clone()));
            }
        }
    }

    pub(super) fn get(&self, name: Name) -> Option<DType> {
        if let Some(&dtype) = self.symbols.get(&name) {
            return Some(dtype);
        }
        self.constants.get(&name).and_then(|(_, values)| values.first()).map(|value| value.dtype())
    }

    pub(super) fn insert(&mut self, name: Name, dtype: DType) {
        self.symbols.insert(name, dtype);
    }

    pub(super) fn constant(&self, name: Name) -> Option<ConstantView<'_>> {
        let (shape, values) = self.constants.get(&name)?;
        Some(ConstantView { shape, values })
    }

    /// Symbols that the scopes of a state define, per entry. In consume scopes `taken` is how many elements
    /// the iteration took from the stream.
    pub(super) fn scopes(
        &self,
        graph: &Graph,
        state: &State,
        tree: &ScopeTree,
        exprs: &ExprPool,
        taken: Name,
    ) -> HashMap<NodeId, HashMap<Name, DType>> {
        let mut scopes: HashMap<NodeId, HashMap<Name, DType>> = HashMap::new();
        let adjacency = state.adjacency();
        for &node in tree.order() {
            let (params, range) = match &state.nodes[node].kind {
                NodeKind::MapEntry(map) => (&map.params[..], &map.range.ranges[..]),
                NodeKind::ConsumeEntry(_) => (&[][..], &[][..]),
                _ => continue,
            };
            let mut defined: HashMap<Name, DType> = HashMap::new();
            // Inputs that are not passed through are symbols of the scope.
            for &edge in adjacency.incoming(node) {
                let edge = &state.edges[edge];
                if let (Some(connector), Some(data)) = (edge.dst_conn, edge.memlet.data) {
                    let declared = state.nodes[node].inputs.get(&connector).and_then(|c| c.ty);
                    let ty = declared.or_else(|| graph.data.get(&data).map(|data| data.ty));
                    if let Some(dtype) = ty.and_then(|ty| ty.scalar()) {
                        defined.insert(connector, dtype);
                    }
                }
            }
            for (&param, range) in params.iter().zip(range) {
                let outside = NodeScope::new(self, &scopes, tree, node).with(&defined);
                let start = type_of(exprs, range.start, graph, &outside);
                let end = type_of(exprs, range.end, graph, &outside);
                let dtype = common(start, end);
                defined.insert(param, if dtype.is_integral() { dtype } else { DType::I64 });
            }
            let NodeKind::ConsumeEntry(consume) = &state.nodes[node].kind else {
                scopes.insert(node, defined);
                continue;
            };
            defined.insert(taken, DType::I32);
            if let Some(index) = consume.pe_index {
                let count = consume
                    .num_pes
                    .map(|count| type_of(exprs, count, graph, &NodeScope::new(self, &scopes, tree, node)));
                defined.insert(index, count.unwrap_or(DType::I32));
            }
            scopes.insert(node, defined);
        }
        scopes
    }
}

/// What names mean to a node of a state.
pub(super) struct NodeScope<'a> {
    types: &'a GraphTypes,
    /// Innermost first.
    scopes: Vec<&'a HashMap<Name, DType>>,
}

impl<'a> NodeScope<'a> {
    pub(super) fn new(
        types: &'a GraphTypes,
        scopes: &'a HashMap<NodeId, HashMap<Name, DType>>,
        tree: &ScopeTree,
        node: NodeId,
    ) -> Self {
        NodeScope { types, scopes: tree.enclosing(node).filter_map(|entry| scopes.get(&entry)).collect() }
    }

    fn with(mut self, innermost: &'a HashMap<Name, DType>) -> Self {
        self.scopes.insert(0, innermost);
        self
    }
}

impl Environment for NodeScope<'_> {
    fn symbol(&self, name: Name) -> Option<DType> {
        let inner = self.scopes.iter().find_map(|scope| scope.get(&name).copied());
        inner.or_else(|| self.types.symbols.get(&name).copied())
    }

    fn constant(&self, name: Name) -> Option<ConstantView<'_>> {
        self.types.constant(name)
    }
}

/// An environment that knows no name.
pub(super) struct Nothing;

impl Environment for Nothing {
    fn symbol(&self, _name: Name) -> Option<DType> {
        None
    }
}

/// The C type of a symbolic expression. Literals are `int32` if they fit.
pub(super) fn type_of(exprs: &ExprPool, id: ExprId, graph: &Graph, environment: &dyn Environment) -> DType {
    let mut known: HashMap<ExprId, DType> = HashMap::new();
    let mut last = DType::I32;
    // Children come first, so no recursion is needed.
    for expr in exprs.reachable(id) {
        let literal = |value: i64| if i32::try_from(value).is_ok() { DType::I32 } else { DType::I64 };
        let node = exprs.node(expr);
        let of = |child: ExprId| known.get(&child).copied().unwrap_or(DType::I32);
        let children = || {
            let mut dtype: Option<DType> = None;
            node.for_each_child(|child| {
                let child = of(child);
                dtype = Some(dtype.map_or(promoted(child), |dtype| common(dtype, child)));
            });
            dtype.unwrap_or(DType::I32)
        };
        last = match node {
            Node::Int(value) => literal(*value),
            Node::Bool(_) | Node::Compare(..) => DType::Bool,
            Node::Float(_) => DType::F64,
            Node::Typed(dtype, _) | Node::Complex(dtype, ..) | Node::Cast(dtype, _) => *dtype,
            Node::Constant(_) => DType::F64,
            Node::Undefined => DType::I32,
            Node::Symbol(name) => environment
                .symbol(*name)
                .or_else(|| graph.data.get(name).and_then(|data| data.ty.scalar()))
                .unwrap_or_else(|| exprs.symbol_info(*name).map_or(DType::I32, |info| info.dtype)),
            Node::Sum(constant, terms) => {
                let mut dtype = children();
                if *constant != 0 {
                    dtype = common(dtype, literal(*constant));
                }
                terms.iter().fold(dtype, |dtype, term| common(dtype, literal(term.coefficient)))
            }
            Node::Subscript(base, _) => of(*base),
            Node::Attribute(..) | Node::Call(..) => DType::I64,
            Node::Select(_, a, b) => common(of(*a), of(*b)),
            _ => children(),
        };
        known.insert(expr, last);
    }
    known.get(&id).copied().unwrap_or(last)
}
