//! The tree of a GTIR program, as a hash-consed DAG.
//!
//! Terms live in one arena and are children-first: every term's id is greater than the ids of its children, so a
//! walk in order of ids is a walk in dependency order, without recursion. Two terms with equal *text* share an id.
//! That says nothing about their value: a name means what the lambda or function around it binds, so a
//! consumer that remembers results keys them by term **and** environment.
//!
//! What a reference means is decided when it is read: [`Term::Ref`] is a name that some parameter, function or lambda
//! binds at that place, [`Term::Builtin`] is one that GTIR defines and nobody shadows there.

use hashbrown::HashMap;

use crate::entity::{Arena, Name, Names};
use crate::entity_id;
use crate::scalar::{DType, Scalar};

use super::builtins::Builtin;

entity_id! {
    /// A term of one [`Program`].
    TermId, "term"
}
entity_id! {
    /// A type of one [`Program`].
    TypeId, "type"
}

/// A whole GTIR program.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The program's name.
    pub name: String,
    /// Interned names.
    pub names: Names,
    /// Terms, children first.
    pub terms: Arena<TermId, Term>,
    /// Types, elements first; equal types share an id.
    pub types: Arena<TypeId, Type>,
    /// Parameters in order.
    pub params: Vec<Param>,
    /// Function definitions in order; each may call those before it (and itself never).
    pub functions: Vec<Function>,
    /// Declared temporaries (only in programs that GT4Py transformed already).
    pub temporaries: Vec<Temporary>,
    /// Statements in order.
    pub body: Vec<Stmt>,
    term_ids: HashMap<Term, TermId>,
    type_ids: HashMap<Type, TypeId>,
}

/// A parameter of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Param {
    /// Its name.
    pub name: Name,
    /// Its type; printed text loses it.
    pub ty: Option<TypeId>,
}

/// A function definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    /// Its name.
    pub name: Name,
    /// Its parameters.
    pub params: Vec<Name>,
    /// What it returns.
    pub body: TermId,
}

/// A field the program allocates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Temporary {
    /// Its name.
    pub name: Name,
    /// Where it is defined.
    pub domain: TermId,
    /// Its element type (a scalar, or a tuple of them).
    pub dtype: Option<TypeId>,
}

/// A statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stmt {
    /// `target @ domain <- value`: evaluates against the state before the statement, then writes.
    SetAt {
        /// What is written.
        value: TermId,
        /// A domain, or a tuple of domains shaped like the target.
        domain: TermId,
        /// A field parameter, or a tuple of such.
        target: TermId,
    },
    /// Runs one of two lists of statements.
    If {
        /// A scalar bool.
        condition: TermId,
        /// Run when it is true.
        then: Vec<Stmt>,
        /// Run when it is false.
        otherwise: Vec<Stmt>,
    },
}

/// A term.
#[derive(Clone, Debug)]
pub enum Term {
    /// A number with its type.
    Literal(Scalar),
    /// A text constant (rare; carried, not computed with).
    Text(Box<str>),
    /// `None`: no domain, or no initial value.
    None,
    /// An open end of a domain's range; `true` is positive.
    Infinity(bool),
    /// An offset: the name of a connectivity, or a neighbour index / distance.
    Offset(OffsetLabel),
    /// A dimension.
    Axis(Dimension),
    /// A move along a Cartesian dimension, possibly onto its staggered twin.
    CartesianOffset {
        /// Where the position is before.
        from: Dimension,
        /// Where the position is after.
        to: Dimension,
    },
    /// A name bound around this place (or one nobody defines, which is an error where it is used).
    Ref(Name),
    /// A name that GTIR defines and nobody shadows here.
    Builtin(Builtin),
    /// A function without a name. `call(lambda, args)` is a let.
    Lambda {
        /// What it binds.
        params: Box<[Name]>,
        /// What it returns.
        body: TermId,
    },
    /// A call.
    Call {
        /// What is called.
        callee: TermId,
        /// Its arguments.
        args: Box<[TermId]>,
    },
}

/// Literals are equal if their type and bits are: NaN equals itself, and zeros differ by sign.
impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Term::Literal(a), Term::Literal(b)) => literal_bits(*a) == literal_bits(*b),
            (Term::Text(a), Term::Text(b)) => a == b,
            (Term::None, Term::None) => true,
            (Term::Infinity(a), Term::Infinity(b)) => a == b,
            (Term::Offset(a), Term::Offset(b)) => a == b,
            (Term::Axis(a), Term::Axis(b)) => a == b,
            (
                Term::CartesianOffset { from: from_a, to: to_a },
                Term::CartesianOffset { from: from_b, to: to_b },
            ) => from_a == from_b && to_a == to_b,
            (Term::Ref(a), Term::Ref(b)) => a == b,
            (Term::Builtin(a), Term::Builtin(b)) => a == b,
            (Term::Lambda { params: a, body: x }, Term::Lambda { params: b, body: y }) => a == b && x == y,
            (Term::Call { callee: f, args: a }, Term::Call { callee: g, args: b }) => f == g && a == b,
            _ => false,
        }
    }
}

impl Eq for Term {}

impl std::hash::Hash for Term {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Term::Literal(value) => literal_bits(*value).hash(state),
            Term::Text(text) => text.hash(state),
            Term::None => {}
            Term::Infinity(positive) => positive.hash(state),
            Term::Offset(label) => label.hash(state),
            Term::Axis(axis) => axis.hash(state),
            Term::CartesianOffset { from, to } => (from, to).hash(state),
            Term::Ref(name) => name.hash(state),
            Term::Builtin(builtin) => builtin.hash(state),
            Term::Lambda { params, body } => (params, body).hash(state),
            Term::Call { callee, args } => (callee, args).hash(state),
        }
    }
}

/// What identifies a literal.
fn literal_bits(value: Scalar) -> (DType, u64) {
    let bits = match value {
        Scalar::Bool(x) => u64::from(x),
        Scalar::U64(x) => x,
        Scalar::F32(x) => u64::from(x.to_bits()),
        Scalar::F64(x) => x.to_bits(),
        other if other.dtype().is_integral() => other.as_i64() as u64,
        other => other.as_f64().to_bits(),
    };
    (value.dtype(), bits)
}

/// An offset literal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OffsetLabel {
    /// The name of a connectivity in the offset provider.
    Name(Name),
    /// A neighbour's index, or a distance.
    Index(i64),
}

/// A dimension of fields and domains.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Dimension {
    /// Its name.
    pub name: Name,
    /// Its kind.
    pub kind: DimKind,
}

/// The kinds of dimensions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum DimKind {
    /// `horizontal`.
    Horizontal,
    /// `vertical`.
    Vertical,
    /// `local`: the neighbours of a point.
    Local,
}

impl DimKind {
    /// The kind with that GTIR name.
    pub fn from_name(name: &str) -> Option<DimKind> {
        match name {
            "horizontal" => Some(DimKind::Horizontal),
            "vertical" => Some(DimKind::Vertical),
            "local" => Some(DimKind::Local),
            _ => None,
        }
    }

    /// The GTIR name.
    pub const fn name(self) -> &'static str {
        match self {
            DimKind::Horizontal => "horizontal",
            DimKind::Vertical => "vertical",
            DimKind::Local => "local",
        }
    }
}

/// A type.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Type {
    /// A number.
    Scalar(DType),
    /// A text.
    Text,
    /// A field; a local dimension among `dims` makes its elements lists.
    Field {
        /// Its dimensions, in memory order of the index.
        dims: Box<[Dimension]>,
        /// A scalar or a list.
        element: TypeId,
    },
    /// A list of neighbours' values.
    List {
        /// Type of each.
        element: TypeId,
        /// Which connectivity it belongs to (a local dimension).
        offset: Option<Dimension>,
    },
    /// A tuple.
    Tuple(Box<[TypeId]>),
    /// Any other type of GT4Py's type system (`domain`, `fun`, `iterator`, ...). Programs as a backend receives
    /// them do not need these.
    Other(Name),
}

/// What is known about an entry of the offset provider when a program is compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connectivity {
    /// The dimension a row of the table belongs to.
    pub source: String,
    /// The local dimension.
    pub local: String,
    /// The dimension the table's entries are positions in.
    pub target: String,
    /// How many columns the table has.
    pub max_neighbors: usize,
    /// The entry that says "no neighbour", if there may be one.
    pub skip_value: Option<i64>,
}

impl Program {
    /// An empty program.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The id of a term, new if its text is new. Children must be terms of this program.
    pub fn term(&mut self, term: Term) -> TermId {
        if let Some(&id) = self.term_ids.get(&term) {
            return id;
        }
        let id = self.terms.push(term.clone());
        self.term_ids.insert(term, id);
        id
    }

    /// The id of a type, new if it is new.
    pub fn intern_type(&mut self, ty: Type) -> TypeId {
        if let Some(&id) = self.type_ids.get(&ty) {
            return id;
        }
        let id = self.types.push(ty.clone());
        self.type_ids.insert(ty, id);
        id
    }

    /// A call of `callee`.
    pub fn call(&mut self, callee: TermId, args: impl Into<Box<[TermId]>>) -> TermId {
        self.term(Term::Call { callee, args: args.into() })
    }

    /// A call of a builtin.
    pub fn call_builtin(&mut self, builtin: Builtin, args: impl Into<Box<[TermId]>>) -> TermId {
        let callee = self.term(Term::Builtin(builtin));
        self.call(callee, args)
    }

    /// Builtin and arguments, if the term is a call of a builtin.
    pub fn as_builtin_call(&self, id: TermId) -> Option<(Builtin, &[TermId])> {
        let Term::Call { callee, args } = self.terms.get(id)? else { return None };
        match self.terms.get(*callee)? {
            Term::Builtin(builtin) => Some((*builtin, args)),
            _ => None,
        }
    }

    /// The text of a name.
    pub fn text(&self, name: Name) -> &str {
        self.names.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_terms_share_an_id() {
        let mut program = Program::new("p");
        let x = program.names.intern("x");
        let first = program.term(Term::Ref(x));
        let sum = program.call_builtin(Builtin::Plus, [first, first]);
        let second = program.term(Term::Ref(x));
        assert_eq!(first, second);
        assert_eq!(sum, program.call_builtin(Builtin::Plus, [second, second]));
        assert_eq!(program.as_builtin_call(sum), Some((Builtin::Plus, &[first, first][..])));
    }

    #[test]
    fn literals_differ_by_type_and_sign_of_zero() {
        let mut program = Program::new("p");
        let mut id = |value| program.term(Term::Literal(value));
        assert_ne!(id(Scalar::I32(1)), id(Scalar::I64(1)));
        assert_eq!(id(Scalar::F64(0.5)), id(Scalar::F64(0.5)));
        assert_ne!(id(Scalar::I32(0)), id(Scalar::Bool(false)));
    }
}
