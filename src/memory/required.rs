//! What a call has to bring: containers and symbols, and the symbols that array shapes already tell.

use hashbrown::HashSet;
use indexmap::IndexMap;

use super::{Arguments, Binding};
use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{BlockKind, CodeExpr, DataKind, Graph, Program};
use crate::scalar::{DType, Scalar, Type};
use crate::symbolic::{ExprId, ExprPool, Node};

/// One argument of a program.
#[derive(Clone, PartialEq, Debug)]
pub struct Required {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub kind: RequiredKind,
}

/// The kinds of arguments.
#[derive(Clone, PartialEq, Debug)]
pub enum RequiredKind {
    /// An array.
    Array {
        /// Element type.
        ty: Type,
        /// Extent per dimension.
        shape: Vec<ExprId>,
        /// Distance per dimension, in elements.
        strides: Vec<ExprId>,
        /// Whether it may be absent.
        optional: bool,
    },
    /// One element of that type.
    Scalar(Type),
    /// A free symbol.
    Symbol(DType),
    /// A structure, stream or container array.
    Other(Type),
}

/// Non-transient containers in stored order, then free symbols in order of name id.
///
/// # Errors
/// `P0100` when the program has no graph.
pub fn required_arguments(program: &Program) -> Result<Vec<Required>, Diagnostic> {
    let graph = root(program)?;
    let mut required = Vec::new();
    for (&name, data) in graph.data.iter().filter(|(_, data)| !data.transient) {
        let kind = match &data.kind {
            DataKind::Scalar(_) => RequiredKind::Scalar(data.ty),
            DataKind::Array(array) => RequiredKind::Array {
                ty: data.ty,
                shape: array.shape.clone(),
                strides: array.strides.clone(),
                optional: array.optional == Some(true),
            },
            _ => RequiredKind::Other(data.ty),
        };
        required.push(Required { name, kind });
    }
    for name in free_symbols(program, graph) {
        required.push(Required { name, kind: RequiredKind::Symbol(graph.symbol_type(name)) });
    }
    Ok(required)
}

/// Values of the free symbols that are known: given as scalars, or told by the shapes of the arrays given
/// (an extent that is a symbol, or a symbol times and plus integers).
///
/// # Errors
/// `P0404` for a value that does not fit the symbol's type.
pub fn infer_symbols(program: &Program, args: &Arguments<'_>) -> Result<IndexMap<Name, Scalar>, Diagnostic> {
    let graph = root(program)?;
    let mut values = IndexMap::new();
    for name in free_symbols(program, graph) {
        let text = program.names.get(name);
        if let Some(value) = scalar_argument(args, text) {
            values.insert(name, convert_scalar(value, graph.symbol_type(name), text)?);
        }
    }
    for (&name, data) in graph.data.iter().filter(|(_, data)| !data.transient) {
        let Some(Binding::Array { shape, .. }) = args.get(program.names.get(name)) else { continue };
        if shape.len() != data.shape().len() {
            continue;
        }
        for (&expr, &extent) in data.shape().iter().zip(shape) {
            let Some(tells) = Tells::of(&program.exprs, expr) else { continue };
            let (symbol, Some(value)) = (tells.symbol, tells.value(extent)) else { continue };
            if !graph.data.contains_key(&symbol) && !graph.constants.contains_key(&symbol) {
                values.entry(symbol).or_insert(Scalar::I64(value));
            }
        }
    }
    Ok(values)
}

fn root(program: &Program) -> Result<&Graph, Diagnostic> {
    program.root_graph().ok_or_else(|| Diagnostic::error("P0100", "the program has no graph"))
}

/// Declared symbols, and those in layouts, that the program does not set itself.
fn free_symbols(program: &Program, graph: &Graph) -> Vec<Name> {
    let mut free: HashSet<Name> = graph.symbols.keys().copied().collect();
    for data in graph.data.values() {
        let mut exprs = data.shape().to_vec();
        if let Some(array) = data.array() {
            exprs.extend(array.strides.iter().chain(&array.total_size).chain(&array.start_offset));
        }
        free.extend(exprs.into_iter().flat_map(|expr| program.exprs.free_symbols(expr)));
    }
    let mut set = HashSet::new();
    for region in graph.regions.values() {
        set.extend(region.edges.iter().flat_map(|edge| edge.assignments.iter().map(|(name, _)| *name)));
    }
    for block in graph.blocks.values() {
        if let BlockKind::Loop(inner) = &block.kind {
            let target = |expr: &Option<CodeExpr>| expr.as_ref().and_then(|expr| expr.target);
            set.extend(inner.init.is_some().then_some(inner.variable).flatten());
            set.extend(target(&inner.init));
        }
    }
    let own = |name: &Name| {
        set.contains(name) || graph.data.contains_key(name) || graph.constants.contains_key(name)
    };
    let plain = |name: &Name| graph.symbols.get(name).is_none_or(|ty| ty.scalar().is_some());
    let mut free: Vec<Name> = free.into_iter().filter(|name| !own(name) && plain(name)).collect();
    free.sort_unstable();
    free
}

/// An extent that tells a symbol: `coefficient * symbol + constant`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Tells {
    /// The symbol.
    pub symbol: Name,
    coefficient: i64,
    constant: i64,
}

impl Tells {
    /// Which symbol an extent tells, if it is one symbol times and plus integers.
    pub fn of(exprs: &ExprPool, expr: ExprId) -> Option<Tells> {
        if let Some(symbol) = exprs.as_symbol(expr) {
            return Some(Tells { symbol, coefficient: 1, constant: 0 });
        }
        let Node::Sum(constant, terms) = exprs.node(expr) else { return None };
        let [term] = &**terms else { return None };
        let symbol = exprs.as_symbol(term.monomial)?;
        (term.coefficient != 0).then_some(Tells {
            symbol,
            coefficient: term.coefficient,
            constant: *constant,
        })
    }

    /// The symbol's value where the extent is `extent`, if that has a solution.
    pub fn value(self, extent: usize) -> Option<i64> {
        let rest = i64::try_from(extent).ok()?.checked_sub(self.constant)?;
        match self.coefficient {
            1 => Some(rest),
            coefficient if rest.checked_rem(coefficient) == Some(0) => rest.checked_div(coefficient),
            _ => None,
        }
    }
}

/// A scalar given under a name: as such, or as an array of one element.
pub(crate) fn scalar_argument(args: &Arguments<'_>, name: &str) -> Option<Scalar> {
    match args.get(name)? {
        Binding::Scalar(value) => Some(*value),
        Binding::Array { buffer, offset, ty: Type::Scalar(dtype), shape, .. }
            if shape.iter().all(|&extent| extent == 1) =>
        {
            let bytes = args.buffers.get(*buffer)?.bytes();
            Scalar::from_le_bytes(*dtype, bytes.get(*offset..)?)
        }
        _ => None,
    }
}

/// The value in another type, if nothing is lost (floats may round).
pub(crate) fn convert_scalar(value: Scalar, to: DType, name: &str) -> Result<Scalar, Diagnostic> {
    let converted = crate::scalar::arith::cast(to, value);
    let back = crate::scalar::arith::cast(value.dtype(), converted);
    let rounds = to.is_float() || to.is_complex();
    if back.same_bits(value)
        || rounds
        || (value.dtype().is_integral() && to.is_integral() && fits(value, converted))
    {
        return Ok(converted);
    }
    Err(Diagnostic::error("P0404", format!("the value of `{name}` does not fit its type"))
        .with_note(format!("expected {to}, found {value:?}")))
}

/// Integers of the same value.
fn fits(value: Scalar, converted: Scalar) -> bool {
    value.as_i64() == converted.as_i64()
}
