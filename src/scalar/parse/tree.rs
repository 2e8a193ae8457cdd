//! The syntax tree that both surface languages are read into.
//!
//! It is what Python tasklets and the small C++ subset have in common. Depth is bounded by the readers (see
//! [`MAX_DEPTH`]), except for left-leaning chains of binary operators, which every consumer walks iteratively.

/// How deep expressions and statements may nest.
pub const MAX_DEPTH: usize = 128;

/// An expression.
#[derive(Clone, PartialEq, Debug)]
pub enum Expr {
    /// An integer literal. Its C type depends on its value and suffix.
    Int(i128, IntSuffix),
    /// A `float64` literal.
    Float(f64),
    /// A `float32` literal (C's `1.0f`, Python's `inf` and `nan`, which become C macros).
    Float32(f32),
    /// A `complex128` literal, by real and imaginary part.
    Complex(f64, f64),
    /// `True`, `False`.
    Bool(bool),
    /// `None`, `nullptr`.
    None,
    /// A string, which only print functions may take.
    Text(String),
    /// A name.
    Name(String),
    /// An operation on one operand.
    Unary(Unary, Box<Expr>),
    /// An operation on two operands.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `and`, `&&`.
    And(Box<Expr>, Box<Expr>),
    /// `or`, `||`.
    Or(Box<Expr>, Box<Expr>),
    /// `then if condition else otherwise`.
    Conditional {
        /// The condition.
        condition: Box<Expr>,
        /// If it holds.
        then: Box<Expr>,
        /// If not.
        otherwise: Box<Expr>,
    },
    /// A call of a named function; dots and `::` are kept as dots.
    Call {
        /// Dotted name.
        function: String,
        /// Positional arguments.
        arguments: Vec<Expr>,
        /// Named arguments.
        keywords: Vec<(String, Expr)>,
    },
    /// `decltype(name)(value)`.
    CastLike(String, Box<Expr>),
    /// A call of a method.
    Method(Box<Expr>, String, Vec<Expr>),
    /// `base[indices]`.
    Subscript(Box<Expr>, Vec<Expr>),
    /// `base.field`.
    Field(Box<Expr>, String),
    /// Several values.
    Tuple(Vec<Expr>),
}

/// C integer suffixes, and none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IntSuffix {
    /// The first of `int`, `unsigned` (if DaCe's Python literal needs 32 bits), `long long`, ... that fits.
    #[default]
    Fit,
    /// At least `unsigned`.
    Unsigned,
    /// 64-bit signed.
    Long,
    /// 64-bit unsigned.
    UnsignedLong,
}

/// Operators with one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unary {
    /// `+`: promotes.
    Plus,
    /// `-`.
    Minus,
    /// `not`, `!`.
    Not,
    /// `~`.
    Invert,
}

/// Operators with two operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are the operators")]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Rem,
    Pow,
    Shl,
    Shr,
    BitAnd,
    BitOr,
    BitXor,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// `is`: identity, which only `None` has.
    Is,
    IsNot,
}

/// A statement.
#[derive(Clone, PartialEq, Debug)]
pub enum Stmt {
    /// `targets[0] = targets[1] = ... = value`, each a name, subscript, field or tuple.
    Assign(Vec<Expr>, Expr),
    /// `target op= value`.
    Augment(Expr, Binary, Expr),
    /// `name = lambda parameters: body`.
    Define(String, Vec<String>, Expr),
    /// A declaration with a type name (`auto` for none) and perhaps a value.
    Declare(String, String, Option<Expr>),
    /// `if`.
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    /// `while`.
    While(Expr, Vec<Stmt>),
    /// `for variable in range(start, stop, step)`.
    Range {
        /// The loop variable.
        variable: String,
        /// First value.
        start: Expr,
        /// Bound, not reached.
        stop: Expr,
        /// Distance.
        step: Expr,
        /// The body.
        body: Vec<Stmt>,
    },
    /// A block with a scope of its own.
    Block(Vec<Stmt>),
    /// An expression for its effect.
    Evaluate(Expr),
}

impl Expr {
    /// A call with positional arguments.
    pub fn call(function: &str, arguments: Vec<Expr>) -> Expr {
        Expr::Call { function: function.to_string(), arguments, keywords: Vec::new() }
    }

    /// An integer literal.
    pub fn int(value: i128) -> Expr {
        Expr::Int(value, IntSuffix::Fit)
    }
}
