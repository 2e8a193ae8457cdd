//! [`Code`]: structured, typed SSA.
//!
//! ```text
//! in  a: float64, b: int32*[1]         out o: float64
//!   v0 = input a
//!   v1 = symbol i: int32
//!   v2 = load b[v1]
//!   v3 = cast float64 v2
//!   v4 = mul float64 v0 v3
//!   v5 = lt bool v4 v0
//!   v6 = if v5 { -> v4 } else { -> v0 }
//!   output o = v6
//! ```
//!
//! Control flow is structured: an [`Op::If`] or [`Op::Loop`] owns its blocks and yields values, so
//! there are no jumps and no phi nodes. A value may be used only after its definition, in the same
//! block or in blocks nested in it.

use crate::entity::{Arena, Name};
use crate::entity_id;

use super::types::{DType, Type};
use super::value::Scalar;

entity_id! {
    /// An SSA value of one [`Code`].
    ValueId, "v"
}

entity_id! {
    /// A port (connector) of one [`Code`].
    PortId, "port"
}

/// A lowered tasklet body, write-conflict function, condition or assignment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Code {
    /// What the code reads and writes through; names are connector or container names.
    pub ports: Arena<PortId, Port>,
    /// Free symbols it reads, each with the type it is read as.
    pub symbols: Vec<(Name, DType)>,
    /// The type of every SSA value.
    pub types: Arena<ValueId, Type>,
    /// The instructions. `body.results` holds the value of the expression for codes that are one
    /// (conditions, assignments, write-conflict functions), and is empty for tasklets.
    pub body: Block,
}

/// How a connector is reached.
#[derive(Clone, PartialEq, Debug)]
pub struct Port {
    /// Connector or container name.
    pub name: Name,
    /// Element type.
    pub ty: Type,
    /// Reading, writing, by value, by pointer or as a queue.
    pub kind: PortKind,
    /// Whether the code may read through it.
    pub reads: bool,
    /// Whether the code may write through it.
    pub writes: bool,
}

/// The kinds of ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortKind {
    /// An input copied before the body ([`Op::Input`]), or an output that [`Op::Output`] hands over
    /// and that is written once, after the body.
    Value,
    /// A scalar reached at each statement: [`Op::Load`] and [`Op::Store`] without indices (dynamic memlets).
    Reference,
    /// Memory with `rank` indices, counted in elements of the memlet's subset from its start.
    Pointer {
        /// How many indices an access has.
        rank: u8,
    },
    /// A stream: [`Op::Push`] and [`Op::Pop`].
    Stream,
    /// Plain memory, as C++ code sees a pointer: one index, in elements of the allocation from the first element of
    /// the memlet's subset, whatever the container's strides are.
    Memory,
}

/// A sequence of instructions that yields values.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Block {
    /// Instructions in order.
    pub insts: Vec<Inst>,
    /// What the block yields.
    pub results: Vec<ValueId>,
}

/// One instruction and the values it defines (none for effects, several for `if` and `loop`).
#[derive(Clone, PartialEq, Debug)]
pub struct Inst {
    /// The operation.
    pub op: Op,
    /// Values it defines.
    pub results: Vec<ValueId>,
}

/// Operations.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// A constant.
    Const(Scalar),
    /// An unassigned value: poison until overwritten. Reading it is an error only if it reaches an output.
    Undef,
    /// The value of a [`PortKind::Value`] input.
    Input(PortId),
    /// The `n`-th entry of [`Code::symbols`].
    Symbol(u32),
    /// Reads memory through a pointer or reference port.
    Load {
        /// Port read.
        port: PortId,
        /// One integer per dimension; none for a reference.
        indices: Vec<ValueId>,
    },
    /// Writes memory through a pointer or reference port, now.
    Store {
        /// Port written.
        port: PortId,
        /// One integer per dimension; none for a reference.
        indices: Vec<ValueId>,
        /// What is written, of the port's type.
        value: ValueId,
    },
    /// Hands a value to an output; only the last one counts, written after the body.
    Output {
        /// A [`PortKind::Value`] port that is written.
        port: PortId,
        /// What is written, of the port's type.
        value: ValueId,
    },
    /// Appends to a stream.
    Push {
        /// A stream port.
        port: PortId,
        /// The element.
        value: ValueId,
    },
    /// Takes the oldest element of a stream; a trap if it is empty.
    Pop(PortId),
    /// Bool: whether the optional argument behind a pointer port was not given (`x is None`).
    IsAbsent(PortId),
    /// An operation on one value.
    Unary(UnaryOp, ValueId),
    /// An operation on two values of the same type (shifts: the right one is the shift count).
    Binary(BinaryOp, ValueId, ValueId),
    /// C conversion to another plain type, lane by lane for vectors.
    Cast(DType, ValueId),
    /// `condition ? then : otherwise`; both are evaluated.
    Select(ValueId, ValueId, ValueId),
    /// A math function; operands and result have the same type unless the function says otherwise.
    Call(Func, Vec<ValueId>),
    /// A record from its fields in order.
    MakeStruct(Vec<ValueId>),
    /// The n-th field of a record.
    Field(ValueId, u32),
    /// The record with its n-th field replaced.
    WithField(ValueId, u32, ValueId),
    /// A vector with all lanes equal.
    Splat(ValueId, u16),
    /// One lane of a vector.
    Lane(ValueId, ValueId),
    /// The vector with one lane replaced: vector, lane index, value.
    WithLane(ValueId, ValueId, ValueId),
    /// Evaluates exactly one of two blocks; the results are what it yields.
    If {
        /// A bool.
        condition: ValueId,
        /// Taken when true.
        then: Block,
        /// Taken when false.
        otherwise: Block,
    },
    /// `while`: `carried` enter as the block parameters `params`; `condition` yields one bool; `body` yields
    /// the next `carried`. The results are the last ones.
    Loop {
        /// Initial values.
        carried: Vec<ValueId>,
        /// What they are called inside `condition` and `body`.
        params: Vec<ValueId>,
        /// Yields one bool.
        condition: Block,
        /// Yields as many values as there are params.
        body: Block,
    },
}

/// Operations on one value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnaryOp {
    /// Arithmetic negation; wraps.
    Neg,
    /// Logical not of a bool.
    Not,
    /// Bitwise complement.
    BitNot,
}

/// Operations on two values of one type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names are the operations")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    /// C division: truncated for integers.
    Div,
    /// Floored division; for floats `floor(a / b)`.
    FloorDiv,
    /// C remainder: sign of the dividend (`fmod` for floats).
    Rem,
    /// Floored remainder: sign of the divisor, as Python and NumPy have it.
    Mod,
    /// `a < b ? a : b`.
    Min,
    /// `a > b ? a : b`.
    Max,
    BitAnd,
    BitOr,
    BitXor,
    /// Shift count taken modulo the width.
    Shl,
    /// Arithmetic for signed types.
    Shr,
    /// Comparisons yield bool (NaN compares unequal to everything).
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl BinaryOp {
    /// Whether the result is a bool whatever the operands are.
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge
        )
    }
}

/// Math functions. Unless noted, one operand and a result of the same type; complex where it makes sense.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names are the functions")]
pub enum Func {
    Abs,
    Sqrt,
    Rsqrt,
    Cbrt,
    Exp,
    Exp2,
    Expm1,
    Log,
    Log2,
    Log10,
    Log1p,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Erf,
    Erfc,
    Gamma,
    LogGamma,
    Floor,
    Ceil,
    Trunc,
    /// Half away from zero, C's `round`.
    Round,
    /// Half to even, C's `rint`.
    RoundEven,
    /// `-1`, `0` or `1`, of the operand's type; NaN gives NaN.
    Sign,
    /// Bool: NaN.
    IsNan,
    /// Bool: infinite.
    IsInf,
    /// Bool: finite.
    IsFinite,
    /// Bool: sign bit set.
    SignBit,
    /// Two operands.
    Pow,
    /// Two operands: the second is an `int32`; repeated multiplication in binary order (see `math::powi`).
    PowI,
    /// Two operands.
    Atan2,
    /// Two operands.
    Hypot,
    /// Two operands.
    CopySign,
    /// Two operands.
    NextAfter,
    /// Two operands: C `fmod`.
    Fmod,
    /// Two operands: C `fmin`, ignores a NaN.
    Fmin,
    /// Two operands: C `fmax`, ignores a NaN.
    Fmax,
    /// Value and `int32` exponent.
    Ldexp,
    /// Three operands: fused multiply-add, one rounding; only where the source says `fma`.
    Fma,
    /// Real part of a complex value: a real result.
    Real,
    /// Imaginary part: a real result.
    Imag,
    /// Complex conjugate.
    Conj,
    /// Phase of a complex value: a real result.
    Arg,
    /// Two reals to a complex.
    Complex,
    /// Prints nothing, returns its operand: `printf` and `print` lower to no instruction.
    Identity,
}
