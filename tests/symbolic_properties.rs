//! Properties of symbolic expressions: what the pool computes, prints and proves against an exact evaluation of the
//! unsimplified tree.

use std::collections::BTreeMap;

use pelton::entity::{EntityId, Name, Names};
use pelton::scalar::{DType, Scalar};
use pelton::symbolic::boxes::{self, Span};
use pelton::symbolic::node::{CompareOp, NaryOp};
use pelton::symbolic::{Assumptions, Env, EvalError, ExprId, ExprPool, Grammar, Prover, SymbolInfo, Truth};
use proptest::prelude::*;

/// An expression as written.
#[derive(Clone, Debug)]
enum Ast {
    Int(i64),
    Symbol(usize),
    Sum(Vec<Ast>),
    Difference(Box<Ast>, Box<Ast>),
    Product(Vec<Ast>),
    Negative(Box<Ast>),
    Quotient(Box<Ast>, Box<Ast>),
    FloorDiv(Box<Ast>, Box<Ast>),
    CeilDiv(Box<Ast>, Box<Ast>),
    TruncDiv(Box<Ast>, Box<Ast>),
    Remainder(Box<Ast>, Box<Ast>),
    Modulo(Box<Ast>, Box<Ast>),
    Power(Box<Ast>, u8),
    Floor(Box<Ast>),
    Ceiling(Box<Ast>),
    Abs(Box<Ast>),
    Min(Vec<Ast>),
    Max(Vec<Ast>),
    Compare(Comparison, Box<Ast>, Box<Ast>),
    Not(Box<Ast>),
    And(Vec<Ast>),
    Or(Vec<Ast>),
    Select(Box<Ast>, Box<Ast>, Box<Ast>),
    BitAnd(Box<Ast>, Box<Ast>),
    BitOr(Box<Ast>, Box<Ast>),
    BitXor(Box<Ast>, Box<Ast>),
    BitNot(Box<Ast>),
    ShiftLeft(Box<Ast>, u8),
    ShiftRight(Box<Ast>, u8),
    Element(Box<Ast>),
    Cast(DType, Box<Ast>),
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Less,
    AtMost,
    Greater,
    AtLeast,
    Equal,
    NotEqual,
}

const SYMBOLS: [&str; 4] = ["N", "M", "i", "k"];
const CONTAINER: &str = "table";

/// What the container holds.
fn table(index: i128) -> i128 {
    (index * 7 + 3).rem_euclid(11) - 4
}

/// An exact rational; `None` where nothing is promised.
type Exact = Option<(i128, i128)>;

fn rational(numerator: i128, denominator: i128) -> Exact {
    if denominator == 0 {
        return None;
    }
    let (mut a, mut b) = (numerator.unsigned_abs(), denominator.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let common = i128::try_from(a).ok()? * denominator.signum();
    Some((numerator / common, denominator / common))
}

fn whole(value: Exact) -> Option<i128> {
    value.filter(|&(_, d)| d == 1).map(|(n, _)| n).filter(|n| n.unsigned_abs() < 1 << 62)
}

impl Ast {
    fn exact(&self, values: &[i64; 4]) -> Exact {
        let int = |ast: &Ast| whole(ast.exact(values));
        let integer = |value: i128| Some((value, 1));
        let truth = |value: bool| Some((i128::from(value), 1));
        match self {
            Ast::Int(value) => integer(i128::from(*value)),
            Ast::Symbol(place) => integer(i128::from(values[*place])),
            Ast::Sum(operands) => {
                operands.iter().try_fold((0, 1), |total, ast| add(total, ast.exact(values)?))
            }
            Ast::Difference(a, b) => {
                let (n, d) = b.exact(values)?;
                add(a.exact(values)?, (n.checked_neg()?, d))
            }
            Ast::Product(operands) => operands.iter().try_fold((1, 1), |(n, d): (i128, i128), ast| {
                let (m, e) = ast.exact(values)?;
                rational(n.checked_mul(m)?, d.checked_mul(e)?)
            }),
            Ast::Negative(a) => a.exact(values).and_then(|(n, d)| Some((n.checked_neg()?, d))),
            Ast::Quotient(a, b) => {
                let ((n, d), (m, e)) = (a.exact(values)?, b.exact(values)?);
                rational(n.checked_mul(e)?, d.checked_mul(m)?)
            }
            Ast::FloorDiv(a, b) => integer(floor(int(a)?, int(b)?)?),
            Ast::CeilDiv(a, b) => integer(-floor(-int(a)?, int(b)?)?),
            Ast::TruncDiv(a, b) => integer(int(a)?.checked_div(int(b)?)?),
            Ast::Remainder(a, b) => integer(int(a)?.checked_rem(int(b)?)?),
            Ast::Modulo(a, b) => {
                let (a, b) = (int(a)?, int(b)?);
                integer(a - floor(a, b)? * b)
            }
            Ast::Power(a, power) => {
                let (n, d) = a.exact(values)?;
                rational(n.checked_pow(u32::from(*power))?, d.checked_pow(u32::from(*power))?)
            }
            Ast::Floor(a) => a.exact(values).and_then(|(n, d)| integer(floor(n, d)?)),
            Ast::Ceiling(a) => {
                a.exact(values).and_then(|(n, d)| integer(floor(n.checked_neg()?, d)?.checked_neg()?))
            }
            Ast::Abs(a) => integer(int(a)?.abs()),
            Ast::Min(operands) => {
                integer(operands.iter().map(int).collect::<Option<Vec<_>>>()?.into_iter().min()?)
            }
            Ast::Max(operands) => {
                integer(operands.iter().map(int).collect::<Option<Vec<_>>>()?.into_iter().max()?)
            }
            Ast::Compare(op, a, b) => {
                let (a, b) = (int(a)?, int(b)?);
                truth(match op {
                    Comparison::Less => a < b,
                    Comparison::AtMost => a <= b,
                    Comparison::Greater => a > b,
                    Comparison::AtLeast => a >= b,
                    Comparison::Equal => a == b,
                    Comparison::NotEqual => a != b,
                })
            }
            Ast::Not(a) => truth(int(a)? == 0),
            Ast::And(operands) => {
                for ast in operands {
                    if int(ast)? == 0 {
                        return truth(false);
                    }
                }
                truth(true)
            }
            Ast::Or(operands) => {
                for ast in operands {
                    if int(ast)? != 0 {
                        return truth(true);
                    }
                }
                truth(false)
            }
            Ast::Select(c, a, b) => integer(if int(c)? != 0 { int(a)? } else { int(b)? }),
            Ast::BitAnd(a, b) => integer(int(a)? & int(b)?),
            Ast::BitOr(a, b) => integer(int(a)? | int(b)?),
            Ast::BitXor(a, b) => integer(int(a)? ^ int(b)?),
            Ast::BitNot(a) => integer(!int(a)?),
            Ast::ShiftLeft(a, bits) => integer(int(a)?.checked_mul(1 << bits)?),
            Ast::ShiftRight(a, bits) => integer(int(a)? >> bits),
            Ast::Element(index) => integer(table(int(index)?)),
            Ast::Cast(dtype, a) => {
                let a = int(a)?;
                integer(match dtype {
                    DType::I8 => i128::from(a as i8),
                    DType::U16 => i128::from(a as u16),
                    DType::I32 => i128::from(a as i32),
                    _ => i128::from(a != 0),
                })
            }
        }
    }

    /// Built by the constructors.
    fn build(&self, pool: &mut ExprPool, names: &mut Names) -> ExprId {
        let many = |asts: &[Ast], pool: &mut ExprPool, names: &mut Names| -> Vec<ExprId> {
            asts.iter().map(|ast| ast.build(pool, names)).collect()
        };
        macro_rules! two {
            ($method:ident, $a:expr, $b:expr) => {{
                let (a, b) = ($a.build(pool, names), $b.build(pool, names));
                pool.$method(a, b)
            }};
        }
        macro_rules! one {
            ($method:ident, $a:expr) => {{
                let a = $a.build(pool, names);
                pool.$method(a)
            }};
        }
        match self {
            Ast::Int(value) => pool.int(*value),
            Ast::Symbol(place) => pool.symbol(Name::from_index(*place)),
            Ast::Sum(operands) => {
                let operands = many(operands, pool, names);
                let zero = pool.int(0);
                operands.into_iter().fold(zero, |total, id| pool.add(total, id))
            }
            Ast::Difference(a, b) => two!(sub, a, b),
            Ast::Product(operands) => {
                let operands = many(operands, pool, names);
                let one = pool.int(1);
                operands.into_iter().fold(one, |total, id| pool.mul(total, id))
            }
            Ast::Negative(a) => one!(neg, a),
            Ast::Quotient(a, b) => two!(quotient, a, b),
            Ast::FloorDiv(a, b) => two!(floor_div, a, b),
            Ast::CeilDiv(a, b) => two!(ceil_div, a, b),
            Ast::TruncDiv(a, b) => two!(trunc_div, a, b),
            Ast::Remainder(a, b) => two!(remainder, a, b),
            Ast::Modulo(a, b) => two!(modulo, a, b),
            Ast::Power(a, power) => {
                let (a, power) = (a.build(pool, names), pool.int(i64::from(*power)));
                pool.pow(a, power)
            }
            Ast::Floor(a) => one!(floor, a),
            Ast::Ceiling(a) => one!(ceiling, a),
            Ast::Abs(a) => one!(abs, a),
            Ast::Min(operands) => {
                let operands = many(operands, pool, names);
                pool.min_of(&operands)
            }
            Ast::Max(operands) => {
                let operands = many(operands, pool, names);
                pool.max_of(&operands)
            }
            Ast::Compare(op, a, b) => {
                let (a, b) = (a.build(pool, names), b.build(pool, names));
                match op {
                    Comparison::Less => pool.compare(CompareOp::Less, a, b),
                    Comparison::AtMost => pool.compare(CompareOp::AtMost, a, b),
                    Comparison::Greater => pool.compare(CompareOp::Less, b, a),
                    Comparison::AtLeast => pool.compare(CompareOp::AtMost, b, a),
                    Comparison::Equal => pool.compare(CompareOp::Equal, a, b),
                    Comparison::NotEqual => pool.compare(CompareOp::NotEqual, a, b),
                }
            }
            Ast::Not(a) => one!(not, a),
            Ast::And(operands) => {
                let operands = many(operands, pool, names);
                pool.and(&operands)
            }
            Ast::Or(operands) => {
                let operands = many(operands, pool, names);
                pool.or(&operands)
            }
            Ast::Select(c, a, b) => {
                let (c, a, b) = (c.build(pool, names), a.build(pool, names), b.build(pool, names));
                pool.select(c, a, b)
            }
            Ast::BitAnd(a, b) => {
                let operands = [a.build(pool, names), b.build(pool, names)];
                pool.bitwise(NaryOp::BitAnd, &operands)
            }
            Ast::BitOr(a, b) => {
                let operands = [a.build(pool, names), b.build(pool, names)];
                pool.bitwise(NaryOp::BitOr, &operands)
            }
            Ast::BitXor(a, b) => {
                let operands = [a.build(pool, names), b.build(pool, names)];
                pool.bitwise(NaryOp::BitXor, &operands)
            }
            Ast::BitNot(a) => one!(bit_not, a),
            Ast::ShiftLeft(a, bits) => {
                let (a, bits) = (a.build(pool, names), pool.int(i64::from(*bits)));
                pool.shift_left(a, bits)
            }
            Ast::ShiftRight(a, bits) => {
                let (a, bits) = (a.build(pool, names), pool.int(i64::from(*bits)));
                pool.shift_right(a, bits)
            }
            Ast::Element(index) => {
                let index = index.build(pool, names);
                let container = names.intern(CONTAINER);
                let container = pool.symbol(container);
                pool.subscript(container, &[index])
            }
            Ast::Cast(dtype, a) => {
                let a = a.build(pool, names);
                pool.cast(*dtype, a)
            }
        }
    }

    /// Fully bracketed text.
    fn text(&self, grammar: Grammar) -> String {
        let t = |ast: &Ast| format!("({})", ast.text(grammar));
        let join = |asts: &[Ast], operator: &str| asts.iter().map(t).collect::<Vec<_>>().join(operator);
        match self {
            Ast::Int(value) => value.to_string(),
            Ast::Symbol(place) if grammar == Grammar::Typed => format!("${}", SYMBOLS[*place]),
            Ast::Symbol(place) => SYMBOLS[*place].to_owned(),
            Ast::Sum(operands) => join(operands, " + "),
            Ast::Difference(a, b) => format!("{} - {}", t(a), t(b)),
            Ast::Product(operands) => join(operands, "*"),
            Ast::Negative(a) => format!("-{}", t(a)),
            Ast::Quotient(a, b) => format!("{}/{}", t(a), t(b)),
            Ast::FloorDiv(a, b) => format!("{}//{}", t(a), t(b)),
            Ast::CeilDiv(a, b) => format!("int_ceil({}, {})", t(a), t(b)),
            Ast::TruncDiv(a, b) => format!("int_trunc({}, {})", t(a), t(b)),
            Ast::Remainder(a, b) => format!("{} % {}", t(a), t(b)),
            Ast::Modulo(a, b) => format!("PyMod({}, {})", t(a), t(b)),
            Ast::Power(a, power) => format!("{}**{power}", t(a)),
            Ast::Floor(a) => format!("floor({})", t(a)),
            Ast::Ceiling(a) => format!("ceiling({})", t(a)),
            Ast::Abs(a) => format!("abs({})", t(a)),
            Ast::Min(operands) => format!("min({})", join(operands, ", ")),
            Ast::Max(operands) => format!("Max({})", join(operands, ", ")),
            Ast::Compare(op, a, b) => {
                let op = match op {
                    Comparison::Less => "<",
                    Comparison::AtMost => "<=",
                    Comparison::Greater => ">",
                    Comparison::AtLeast => ">=",
                    Comparison::Equal => "==",
                    Comparison::NotEqual => "!=",
                };
                format!("{} {op} {}", t(a), t(b))
            }
            Ast::Not(a) => format!("not {}", t(a)),
            Ast::And(operands) => join(operands, " and "),
            Ast::Or(operands) => join(operands, " or "),
            Ast::Select(c, a, b) => format!("{} if {} else {}", t(a), t(c), t(b)),
            Ast::BitAnd(a, b) => format!("bitwise_and({}, {})", t(a), t(b)),
            Ast::BitOr(a, b) => format!("bitwise_or({}, {})", t(a), t(b)),
            Ast::BitXor(a, b) => format!("bitwise_xor({}, {})", t(a), t(b)),
            Ast::BitNot(a) => format!("bitwise_invert({})", t(a)),
            Ast::ShiftLeft(a, bits) => format!("{} << {bits}", t(a)),
            Ast::ShiftRight(a, bits) => format!("{} >> {bits}", t(a)),
            Ast::Element(index) if grammar == Grammar::Typed => {
                format!("Subscript(${CONTAINER}, {})", t(index))
            }
            Ast::Element(index) => format!("{CONTAINER}[{}]", t(index)),
            Ast::Cast(dtype, a) => format!("dace.{dtype}({})", t(a)),
        }
    }
}

fn add((n, d): (i128, i128), (m, e): (i128, i128)) -> Exact {
    rational(n.checked_mul(e)?.checked_add(m.checked_mul(d)?)?, d.checked_mul(e)?)
}

fn floor(a: i128, b: i128) -> Option<i128> {
    let quotient = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

struct Values(BTreeMap<Name, i64>);

impl Env for Values {
    fn symbol(&self, name: Name) -> Option<Scalar> {
        self.0.get(&name).map(|&value| Scalar::I64(value))
    }

    fn element(&self, _container: Name, indices: &[i64]) -> Option<Scalar> {
        match indices {
            [index] => i64::try_from(table(i128::from(*index))).ok().map(Scalar::I64),
            _ => None,
        }
    }
}

fn env(values: &[i64; 4]) -> Values {
    Values(values.iter().enumerate().map(|(place, &value)| (Name::from_index(place), value)).collect())
}

/// A pool and a name table with the four symbols first.
fn tables() -> (ExprPool, Names) {
    let mut names = Names::new();
    for symbol in SYMBOLS {
        names.intern(symbol);
    }
    (ExprPool::default(), names)
}

/// Everything the grammar has.
fn any_ast() -> impl Strategy<Value = Ast> {
    let leaf = prop_oneof![
        3 => (0..4_usize).prop_map(Ast::Symbol),
        2 => (-9..10_i64).prop_map(Ast::Int),
        1 => prop_oneof![Just(i64::MAX), Just(i64::MIN), Just(1 << 40)].prop_map(Ast::Int),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let pair = (boxed.clone(), boxed.clone());
        let list = prop::collection::vec(inner, 2..4);
        let comparison = prop_oneof![
            Just(Comparison::Less),
            Just(Comparison::AtMost),
            Just(Comparison::Greater),
            Just(Comparison::AtLeast),
            Just(Comparison::Equal),
            Just(Comparison::NotEqual),
        ];
        let dtype = prop_oneof![Just(DType::I8), Just(DType::U16), Just(DType::I32), Just(DType::Bool)];
        prop_oneof![
            4 => list.clone().prop_map(Ast::Sum),
            3 => pair.clone().prop_map(|(a, b)| Ast::Difference(a, b)),
            4 => list.clone().prop_map(Ast::Product),
            1 => boxed.clone().prop_map(Ast::Negative),
            2 => pair.clone().prop_map(|(a, b)| Ast::Quotient(a, b)),
            2 => pair.clone().prop_map(|(a, b)| Ast::FloorDiv(a, b)),
            1 => pair.clone().prop_map(|(a, b)| Ast::CeilDiv(a, b)),
            1 => pair.clone().prop_map(|(a, b)| Ast::TruncDiv(a, b)),
            1 => pair.clone().prop_map(|(a, b)| Ast::Remainder(a, b)),
            1 => pair.clone().prop_map(|(a, b)| Ast::Modulo(a, b)),
            1 => (boxed.clone(), 0..5_u8).prop_map(|(a, power)| Ast::Power(a, power)),
            1 => boxed.clone().prop_map(Ast::Floor),
            1 => boxed.clone().prop_map(Ast::Ceiling),
            1 => boxed.clone().prop_map(Ast::Abs),
            2 => list.clone().prop_map(Ast::Min),
            2 => list.clone().prop_map(Ast::Max),
            2 => (comparison, boxed.clone(), boxed.clone()).prop_map(|(op, a, b)| Ast::Compare(op, a, b)),
            1 => boxed.clone().prop_map(Ast::Not),
            1 => list.clone().prop_map(Ast::And),
            1 => list.prop_map(Ast::Or),
            1 => (boxed.clone(), boxed.clone(), boxed.clone()).prop_map(|(c, a, b)| Ast::Select(c, a, b)),
            1 => pair.clone().prop_map(|(a, b)| Ast::BitAnd(a, b)),
            1 => pair.clone().prop_map(|(a, b)| Ast::BitOr(a, b)),
            1 => pair.prop_map(|(a, b)| Ast::BitXor(a, b)),
            1 => boxed.clone().prop_map(Ast::BitNot),
            1 => (boxed.clone(), 0..9_u8).prop_map(|(a, bits)| Ast::ShiftLeft(a, bits)),
            1 => (boxed.clone(), 0..9_u8).prop_map(|(a, bits)| Ast::ShiftRight(a, bits)),
            1 => boxed.clone().prop_map(Ast::Element),
            1 => (dtype, boxed).prop_map(|(dtype, a)| Ast::Cast(dtype, a)),
        ]
    })
}

/// What sizes and subsets look like, so that the prover has something to say.
fn size_ast() -> impl Strategy<Value = Ast> {
    let leaf = prop_oneof![3 => (0..4_usize).prop_map(Ast::Symbol), 2 => (-3..5_i64).prop_map(Ast::Int)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let divisor = prop_oneof![(1..5_i64).prop_map(Ast::Int), Just(Ast::Symbol(0))].prop_map(Box::new);
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 2..4).prop_map(Ast::Sum),
            3 => (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Ast::Difference(a, b)),
            2 => prop::collection::vec(inner.clone(), 2..3).prop_map(Ast::Product),
            2 => prop::collection::vec(inner.clone(), 2..4).prop_map(Ast::Min),
            2 => prop::collection::vec(inner, 2..4).prop_map(Ast::Max),
            1 => (boxed.clone(), divisor.clone()).prop_map(|(a, b)| Ast::FloorDiv(a, b)),
            1 => (boxed.clone(), divisor.clone()).prop_map(|(a, b)| Ast::CeilDiv(a, b)),
            1 => (boxed.clone(), divisor.clone()).prop_map(|(a, b)| Ast::Quotient(a, b)),
            1 => (boxed.clone(), divisor.clone()).prop_map(|(a, b)| Ast::Modulo(a, b)),
            1 => (boxed.clone(), divisor).prop_map(|(a, b)| Ast::Remainder(a, b)),
            1 => boxed.clone().prop_map(Ast::Abs),
            1 => (boxed.clone(), boxed.clone(), boxed).prop_map(|(c, a, b)| Ast::Select(c, a, b)),
        ]
    })
}

fn small_values() -> impl Strategy<Value = [i64; 4]> {
    [-7..8_i64, -7..8_i64, -7..8_i64, -7..8_i64]
}

/// `N >= 1`, `M >= 0` declared; `0 <= i <= N - 1` assumed; `k` free.
fn assumptions(pool: &mut ExprPool) -> Assumptions {
    let [n, m, i] = [0, 1, 2].map(Name::from_index);
    pool.declare_symbol(n, SymbolInfo::of_type(DType::I64).assuming("positive"));
    pool.declare_symbol(m, SymbolInfo::default().assuming("nonnegative"));
    let (zero, minus_one, last) = (pool.int(0), pool.int(-1), pool.symbol(n));
    let last = pool.add(last, minus_one);
    let mut known = Assumptions::new();
    known.at_least(i, zero).at_most(i, last);
    known
}

/// All admitted values in a small box.
fn admitted() -> impl Iterator<Item = [i64; 4]> {
    (1..5)
        .flat_map(|n| (0..4).flat_map(move |m| (0..n).flat_map(move |i| (-3..5).map(move |k| [n, m, i, k]))))
}

fn points(pool: &ExprPool, span: Span, env: &Values) -> Option<Vec<i64>> {
    let [start, end, step] = [span.start, span.end, span.step].map(|id| pool.eval(id, env).ok());
    let (start, end, step) = (start?, end?, step?);
    if step == 0 {
        return None;
    }
    let count = (end - start).div_euclid(step.abs()) * step.signum();
    let count = if step > 0 { count + 1 } else { (start - end).div_euclid(-step) + 1 };
    Some((0..count.max(0)).map(|n| start + n * step).collect())
}

fn spans(rank: usize) -> impl Strategy<Value = Vec<(Ast, Ast, i64)>> {
    prop::collection::vec(
        (size_ast(), size_ast(), prop_oneof![3 => Just(1_i64), 1 => 2..4_i64, 1 => Just(-1_i64)]),
        rank,
    )
}

fn build_spans(parts: &[(Ast, Ast, i64)], pool: &mut ExprPool, names: &mut Names) -> Vec<Span> {
    let build = |(start, length, step): &(Ast, Ast, i64), pool: &mut ExprPool, names: &mut Names| {
        let (start, length, step) = (start.build(pool, names), length.build(pool, names), pool.int(*step));
        Span { start, end: pool.add(start, length), step }
    };
    parts.iter().map(|part| build(part, pool, names)).collect()
}

fn all_points(pool: &ExprPool, spans: &[Span], env: &Values) -> Option<Vec<Vec<i64>>> {
    let mut all = vec![Vec::new()];
    for &span in spans {
        let line = points(pool, span, env)?;
        all = all.iter().flat_map(|point| line.iter().map(move |&x| [&point[..], &[x]].concat())).collect();
    }
    Some(all)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn canonical_form_keeps_the_value(ast in any_ast(), values in small_values()) {
        let (mut pool, mut names) = tables();
        let id = ast.build(&mut pool, &mut names);
        let exact = whole(ast.exact(&values));
        match (exact, pool.eval(id, &env(&values))) {
            (Some(exact), Ok(value)) => prop_assert_eq!(exact, i128::from(value), "{}", pool.print(&names, id, Grammar::Plain)),
            (Some(_), Err(error)) => prop_assert_eq!(error, EvalError::Overflow, "{}", pool.print(&names, id, Grammar::Plain)),
            (None, _) => {}
        }
    }

    #[test]
    fn text_means_the_same(ast in any_ast(), values in small_values()) {
        let exact = whole(ast.exact(&values));
        for grammar in [Grammar::Plain, Grammar::Typed] {
            let (mut pool, mut names) = tables();
            let id = pool.parse(&mut names, &ast.text(grammar), grammar).expect("generated text parses");
            match (exact, pool.eval(id, &env(&values))) {
                (Some(exact), Ok(value)) => prop_assert_eq!(exact, i128::from(value)),
                (Some(_), Err(error)) => prop_assert_eq!(error, EvalError::Overflow),
                (None, _) => {}
            }
        }
    }

    #[test]
    fn print_then_parse_is_identity(ast in any_ast()) {
        let (mut pool, mut names) = tables();
        assumptions(&mut pool);
        let id = ast.build(&mut pool, &mut names);
        for grammar in [Grammar::Plain, Grammar::Typed] {
            let text = pool.print(&names, id, grammar);
            let again = pool.parse(&mut names, &text, grammar).expect("printed text parses");
            prop_assert_eq!(id, again, "{} became {}", text, pool.print(&names, again, grammar));
        }
    }

    #[test]
    fn printed_text_is_independent_of_history(ast in any_ast(), noise in any_ast()) {
        let (mut pool, mut names) = tables();
        let id = ast.build(&mut pool, &mut names);
        let text = pool.print(&names, id, Grammar::Plain);
        let (mut other, mut other_names) = tables();
        noise.build(&mut other, &mut other_names);
        let id = other.parse(&mut other_names, &text, Grammar::Plain).expect("printed text parses");
        prop_assert_eq!(text, other.print(&other_names, id, Grammar::Plain));
    }

    #[test]
    fn compiled_equals_evaluated(ast in any_ast(), values in small_values()) {
        let (mut pool, mut names) = tables();
        let id = ast.build(&mut pool, &mut names);
        let compiled = pool.compile(id, &mut |name| name.0);
        let mut element = |_: Name, indices: &[i64]| match indices {
            [index] => i64::try_from(table(i128::from(*index))).map_err(|_| EvalError::Overflow),
            _ => Err(EvalError::Undefined),
        };
        prop_assert_eq!(pool.eval(id, &env(&values)), compiled.eval(&values, &mut element));
    }

    #[test]
    fn substitution_then_evaluation_is_evaluation(ast in any_ast(), inner in size_ast(), values in small_values()) {
        let (mut pool, mut names) = tables();
        let id = ast.build(&mut pool, &mut names);
        let image = inner.build(&mut pool, &mut names);
        let Some(value) = whole(inner.exact(&values)) else { return Ok(()) };
        let replaced = pool.substitute(id, &|name| (name.index() == 2).then_some(image));
        let mut moved = values;
        moved[2] = i64::try_from(value).expect("small");
        let Some(expected) = whole(ast.exact(&moved)) else { return Ok(()) };
        match pool.eval(replaced, &env(&values)) {
            Ok(value) => prop_assert_eq!(i128::from(value), expected),
            Err(error) => prop_assert_eq!(error, EvalError::Overflow),
        }
    }

    #[test]
    fn affine_views_recombine(ast in size_ast()) {
        let (mut pool, mut names) = tables();
        let id = ast.build(&mut pool, &mut names);
        let over = [Name::from_index(2), Name::from_index(3)];
        if let Some((coefficients, rest)) = pool.as_affine(id, &over) {
            let mut total = rest;
            for (&name, &coefficient) in over.iter().zip(&coefficients) {
                prop_assert!(!pool.depends_on_any(coefficient, &over));
                let symbol = pool.symbol(name);
                let product = pool.mul(coefficient, symbol);
                total = pool.add(total, product);
            }
            prop_assert!(!pool.depends_on_any(rest, &over));
            prop_assert_eq!(total, id);
        }
    }

    #[test]
    fn answers_about_order_are_never_contradicted(a in size_ast(), b in size_ast(), apart in any::<bool>()) {
        let (mut pool, mut names) = tables();
        let known = assumptions(&mut pool);
        let x = a.build(&mut pool, &mut names);
        let y = b.build(&mut pool, &mut names);
        // Half of the pairs are close to each other, so that something can be proven.
        let y = if apart { y } else { let abs = pool.abs(y); pool.add(x, abs) };
        let mut prover = Prover::new(&pool, &known);
        let (at_most, less, equal) = (prover.at_most(x, y), prover.less_than(x, y), prover.equal(x, y));
        let range = prover.range_of(x);
        for values in admitted() {
            let env = env(&values);
            let (Ok(u), Ok(v)) = (pool.eval(x, &env), pool.eval(y, &env)) else { continue };
            for (truth, holds) in [(at_most, u <= v), (less, u < v), (equal, u == v)] {
                prop_assert!(truth == Truth::Unknown || truth.is_yes() == holds, "{:?} {:?} {} {}", values, truth, u, v);
            }
            prop_assert!(range.lower.is_none_or(|lower| lower <= u) && range.upper.is_none_or(|upper| u <= upper));
        }
    }

    #[test]
    fn answers_about_boxes_are_never_contradicted(a in spans(1), b in spans(1)) {
        let (mut pool, mut names) = tables();
        let known = assumptions(&mut pool);
        let x = build_spans(&a, &mut pool, &mut names);
        let y = build_spans(&b, &mut pool, &mut names);
        check_boxes(&mut pool, &known, &x, &y)?;
        // Close boxes: something can be proven about them.
        let shifted: Vec<Span> = x.iter().map(|span| {
            let end = pool.abs(y[0].start);
            Span { start: span.start, end: pool.add(span.end, end), step: span.step }
        }).collect();
        check_boxes(&mut pool, &known, &shifted, &x)?;
    }

    #[test]
    fn answers_about_planes_are_never_contradicted(a in spans(2), b in spans(2)) {
        let (mut pool, mut names) = tables();
        let known = assumptions(&mut pool);
        let x = build_spans(&a, &mut pool, &mut names);
        let y = build_spans(&b, &mut pool, &mut names);
        check_boxes(&mut pool, &known, &x, &y)?;
    }

    #[test]
    fn no_text_panics(text in "[-+*/%()\\[\\],.<>=!~&|^?$ a-eijknN0-9]{0,40}", grammar in any::<bool>()) {
        let (mut pool, mut names) = tables();
        let grammar = if grammar { Grammar::Plain } else { Grammar::Typed };
        if let Ok(id) = pool.parse(&mut names, &text, grammar) {
            let printed = pool.print(&names, id, grammar);
            let again = pool.parse(&mut names, &printed, grammar).expect("printed text parses");
            prop_assert_eq!(id, again, "{} -> {}", text, printed);
        }
    }

    #[test]
    fn no_bytes_panic(text in any::<String>()) {
        let (mut pool, mut names) = tables();
        let _ = pool.parse(&mut names, &text, Grammar::Plain);
        let _ = pool.parse(&mut names, &text, Grammar::Typed);
    }
}

fn check_boxes(
    pool: &mut ExprPool,
    known: &Assumptions,
    x: &[Span],
    y: &[Span],
) -> Result<(), TestCaseError> {
    let (covers, disjoint, empty) = {
        let mut prover = Prover::new(pool, known);
        (
            boxes::covers(&mut prover, x, y),
            boxes::disjoint(&mut prover, x, y),
            boxes::is_empty(&mut prover, x),
        )
    };
    let union = boxes::union_bounds(pool, known, x, y);
    let intersection = boxes::intersection(pool, known, x, y);
    for values in admitted() {
        let env = env(&values);
        let (Some(p), Some(q)) = (all_points(pool, x, &env), all_points(pool, y, &env)) else { continue };
        if p.len() > 500 || q.len() > 500 {
            continue;
        }
        let contains = |all: &[Vec<i64>], point: &[i64]| all.iter().any(|other| other == point);
        let facts = [
            (covers, q.iter().all(|point| contains(&p, point))),
            (disjoint, !q.iter().any(|point| contains(&p, point))),
            (empty, p.is_empty()),
        ];
        for (truth, holds) in facts {
            prop_assert!(
                truth == Truth::Unknown || truth.is_yes() == holds,
                "{:?} {:?}",
                values,
                (covers, disjoint, empty)
            );
        }
        if let Some(all) = union.as_ref().and_then(|union| all_points(pool, union, &env)) {
            prop_assert!(p.iter().chain(&q).all(|point| contains(&all, point)), "{:?}", values);
        }
        if let Some(both) = intersection.as_ref().and_then(|both| all_points(pool, both, &env)) {
            let expected: Vec<_> = p.iter().filter(|point| contains(&q, point)).collect();
            prop_assert!(
                expected.len() == both.len() && expected.iter().all(|point| contains(&both, point)),
                "{:?}",
                values
            );
        }
    }
    Ok(())
}
