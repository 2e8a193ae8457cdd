//! Math functions as lists of operations, for compilers.
//!
//! [`recipe`] runs a function's core on [`Recorded`] lanes, which write down what is done to them. A compiler
//! that emits these operations on vectors, one after another, gives the function's bits in every lane. A recipe may
//! hold only for some arguments: [`Recipe::holds`] is then a mask, and lanes outside it need the function itself.

use std::cell::RefCell;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};
use std::sync::LazyLock;

use hashbrown::HashMap;

use super::super::code::Func;
use super::lane::Lane;
use super::{exp, hyperbolic, hypot, inverse, log, power, trig};

/// The number of a step; its value is a lane or a mask.
pub type StepId = u32;

/// One operation. Operands are earlier steps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names are the operations, see `Lane`")]
pub enum Step {
    /// The `n`-th argument.
    Argument(u32),
    /// A constant, by its bits.
    Constant(u64),
    Add(StepId, StepId),
    Sub(StepId, StepId),
    Mul(StepId, StepId),
    Div(StepId, StepId),
    Neg(StepId),
    Abs(StepId),
    Sqrt(StepId),
    Floor(StepId),
    /// Halves to even.
    Nearest(StepId),
    /// Masks.
    Less(StepId, StepId),
    AtMost(StepId, StepId),
    Equal(StepId, StepId),
    MaskAnd(StepId, StepId),
    MaskOr(StepId, StepId),
    MaskNot(StepId),
    /// Mask, value where it holds, value where not.
    Select(StepId, StepId, StepId),
    /// On the 64 bits of the lane as an integer.
    ShiftLeft(StepId, u32),
    ShiftRight(StepId, u32),
    AndBits(StepId, u64),
    OrBits(StepId, u64),
    /// Wraps.
    AddBits(StepId, u64),
    Or(StepId, StepId),
}

/// A function as straight-line code.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Operations in order; every step is used.
    pub steps: Vec<Step>,
    /// The result.
    pub result: StepId,
    /// A mask of the lanes whose result is right; `None`: all.
    pub holds: Option<StepId>,
}

/// The recipe of a `float64` function, if it has one.
pub fn recipe(func: Func) -> Option<&'static Recipe> {
    macro_rules! recorded {
        ($name:ident, |$($argument:ident),*| $body:expr) => {{
            static $name: LazyLock<Recipe> = LazyLock::new(|| {
                record(|lanes| {
                    let [$($argument,)* ..] = *lanes;
                    ($body, None)
                })
            });
            &$name
        }};
    }
    macro_rules! limited {
        ($name:ident, $function:path) => {{
            static $name: LazyLock<Recipe> = LazyLock::new(|| {
                record(|lanes| ($function(lanes[0]), Some(lanes[0].abs().le(lanes[0].lit(trig::LIMIT)))))
            });
            &$name
        }};
    }
    Some(match func {
        Func::Exp => recorded!(EXP, |x| exp::exp(x)),
        Func::Exp2 => recorded!(EXP2, |x| exp::exp2(x)),
        Func::Expm1 => recorded!(EXPM1, |x| exp::expm1(x)),
        Func::Log => recorded!(LOG, |x| log::log(x)),
        Func::Log2 => recorded!(LOG2, |x| log::log2(x)),
        Func::Log10 => recorded!(LOG10, |x| log::log10(x)),
        Func::Log1p => recorded!(LOG1P, |x| log::log1p(x)),
        Func::Sinh => recorded!(SINH, |x| hyperbolic::sinh(x)),
        Func::Cosh => recorded!(COSH, |x| hyperbolic::cosh(x)),
        Func::Tanh => recorded!(TANH, |x| hyperbolic::tanh(x)),
        Func::Asinh => recorded!(ASINH, |x| hyperbolic::asinh(x)),
        Func::Acosh => recorded!(ACOSH, |x| hyperbolic::acosh(x)),
        Func::Atanh => recorded!(ATANH, |x| hyperbolic::atanh(x)),
        Func::Asin => recorded!(ASIN, |x| inverse::asin(x)),
        Func::Acos => recorded!(ACOS, |x| inverse::acos(x)),
        Func::Atan => recorded!(ATAN, |x| inverse::atan(x)),
        Func::Atan2 => recorded!(ATAN2, |y, x| inverse::atan2(y, x)),
        Func::Cbrt => recorded!(CBRT, |x| inverse::cbrt(x)),
        Func::Pow => recorded!(POW, |x, y| power::pow(x, y)),
        Func::Hypot => recorded!(HYPOT, |x, y| hypot::hypot(x, y)),
        Func::Sin => limited!(SIN, trig::sin),
        Func::Cos => limited!(COS, trig::cos),
        Func::Tan => limited!(TAN, trig::tan),
        _ => return None,
    })
}

/// A lane that writes down what is done to it.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    recorder: &'a RefCell<Recorder>,
    step: StepId,
}

/// A mask that writes down what is done to it.
#[derive(Clone, Copy, Debug)]
pub struct RecordedMask<'a>(Recorded<'a>);

#[derive(Debug, Default)]
struct Recorder {
    steps: Vec<Step>,
    known: HashMap<Step, StepId>,
}

/// Most arguments a recipe may have.
const ARGUMENTS: u32 = 2;

/// Runs `f` on recording lanes.
fn record(f: impl for<'a> FnOnce(&[Recorded<'a>; 2]) -> (Recorded<'a>, Option<RecordedMask<'a>>)) -> Recipe {
    let recorder = RefCell::new(Recorder::default());
    let first = Recorded { recorder: &recorder, step: 0 };
    let lanes = [first.note(Step::Argument(0)), first.note(Step::Argument(ARGUMENTS - 1))];
    let (result, holds) = f(&lanes);
    let (result, holds) = (result.step, holds.map(|mask| mask.0.step));
    let steps = std::mem::take(&mut recorder.borrow_mut().steps);
    without_unused(Recipe { steps, result, holds })
}

/// Drops steps that nobody uses and numbers the rest anew.
fn without_unused(recipe: Recipe) -> Recipe {
    let mut used = vec![false; recipe.steps.len()];
    for root in [Some(recipe.result), recipe.holds].into_iter().flatten() {
        used[root as usize] = true;
    }
    for (at, step) in recipe.steps.iter().enumerate().rev() {
        if used[at] {
            let _ = step.with_operands(|operand| {
                used[operand as usize] = true;
                operand
            });
        }
    }
    let mut numbers = vec![0; recipe.steps.len()];
    let mut steps = Vec::new();
    for (at, step) in recipe.steps.iter().enumerate().filter(|(at, _)| used[*at]) {
        numbers[at] = steps.len() as StepId;
        steps.push(step.with_operands(|operand| numbers[operand as usize]));
    }
    Recipe {
        steps,
        result: numbers[recipe.result as usize],
        holds: recipe.holds.map(|mask| numbers[mask as usize]),
    }
}

impl Step {
    /// The same operation on other operands.
    #[must_use]
    pub fn with_operands(self, mut f: impl FnMut(StepId) -> StepId) -> Step {
        match self {
            Step::Argument(_) | Step::Constant(_) => self,
            Step::Add(a, b) => Step::Add(f(a), f(b)),
            Step::Sub(a, b) => Step::Sub(f(a), f(b)),
            Step::Mul(a, b) => Step::Mul(f(a), f(b)),
            Step::Div(a, b) => Step::Div(f(a), f(b)),
            Step::Neg(a) => Step::Neg(f(a)),
            Step::Abs(a) => Step::Abs(f(a)),
            Step::Sqrt(a) => Step::Sqrt(f(a)),
            Step::Floor(a) => Step::Floor(f(a)),
            Step::Nearest(a) => Step::Nearest(f(a)),
            Step::Less(a, b) => Step::Less(f(a), f(b)),
            Step::AtMost(a, b) => Step::AtMost(f(a), f(b)),
            Step::Equal(a, b) => Step::Equal(f(a), f(b)),
            Step::MaskAnd(a, b) => Step::MaskAnd(f(a), f(b)),
            Step::MaskOr(a, b) => Step::MaskOr(f(a), f(b)),
            Step::MaskNot(a) => Step::MaskNot(f(a)),
            Step::Select(mask, a, b) => Step::Select(f(mask), f(a), f(b)),
            Step::ShiftLeft(a, count) => Step::ShiftLeft(f(a), count),
            Step::ShiftRight(a, count) => Step::ShiftRight(f(a), count),
            Step::AndBits(a, bits) => Step::AndBits(f(a), bits),
            Step::OrBits(a, bits) => Step::OrBits(f(a), bits),
            Step::AddBits(a, bits) => Step::AddBits(f(a), bits),
            Step::Or(a, b) => Step::Or(f(a), f(b)),
        }
    }
}

impl<'a> Recorded<'a> {
    fn note(self, step: Step) -> Recorded<'a> {
        let mut recorder = self.recorder.borrow_mut();
        let next = recorder.steps.len() as StepId;
        // The same operation on the same operands is done once.
        let known = *recorder.known.entry(step).or_insert(next);
        if known == next {
            recorder.steps.push(step);
        }
        drop(recorder);
        Recorded { recorder: self.recorder, step: known }
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $step:ident) => {
        impl<'a> $trait for Recorded<'a> {
            type Output = Recorded<'a>;
            fn $method(self, other: Recorded<'a>) -> Recorded<'a> {
                self.note(Step::$step(self.step, other.step))
            }
        }
    };
}

operator!(Add, add, Add);
operator!(Sub, sub, Sub);
operator!(Mul, mul, Mul);
operator!(Div, div, Div);

impl Neg for Recorded<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        self.note(Step::Neg(self.step))
    }
}

impl BitAnd for RecordedMask<'_> {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        RecordedMask(self.0.note(Step::MaskAnd(self.0.step, other.0.step)))
    }
}

impl BitOr for RecordedMask<'_> {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        RecordedMask(self.0.note(Step::MaskOr(self.0.step, other.0.step)))
    }
}

impl Not for RecordedMask<'_> {
    type Output = Self;
    fn not(self) -> Self {
        RecordedMask(self.0.note(Step::MaskNot(self.0.step)))
    }
}

impl<'a> Lane for Recorded<'a> {
    type Mask = RecordedMask<'a>;

    fn lit(self, value: f64) -> Self {
        self.note(Step::Constant(value.to_bits()))
    }
    fn abs(self) -> Self {
        self.note(Step::Abs(self.step))
    }
    fn sqrt(self) -> Self {
        self.note(Step::Sqrt(self.step))
    }
    fn floor(self) -> Self {
        self.note(Step::Floor(self.step))
    }
    fn nearest(self) -> Self {
        self.note(Step::Nearest(self.step))
    }
    fn lt(self, other: Self) -> Self::Mask {
        RecordedMask(self.note(Step::Less(self.step, other.step)))
    }
    fn le(self, other: Self) -> Self::Mask {
        RecordedMask(self.note(Step::AtMost(self.step, other.step)))
    }
    fn eq(self, other: Self) -> Self::Mask {
        RecordedMask(self.note(Step::Equal(self.step, other.step)))
    }
    fn if_else(self, mask: Self::Mask, otherwise: Self) -> Self {
        self.note(Step::Select(mask.0.step, self.step, otherwise.step))
    }
    fn shift_left(self, count: u32) -> Self {
        self.note(Step::ShiftLeft(self.step, count))
    }
    fn shift_right(self, count: u32) -> Self {
        self.note(Step::ShiftRight(self.step, count))
    }
    fn and_bits(self, bits: u64) -> Self {
        self.note(Step::AndBits(self.step, bits))
    }
    fn or_bits(self, bits: u64) -> Self {
        self.note(Step::OrBits(self.step, bits))
    }
    fn add_bits(self, bits: u64) -> Self {
        self.note(Step::AddBits(self.step, bits))
    }
    fn or(self, other: Self) -> Self {
        self.note(Step::Or(self.step, other.step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy)]
    enum Found {
        Lane(f64),
        Mask(bool),
    }

    /// Runs a recipe as a compiler would.
    fn run(recipe: &Recipe, arguments: [f64; 2]) -> (f64, bool) {
        let mut values: Vec<Found> = Vec::new();
        for &step in &recipe.steps {
            let lane = |step: StepId| match values[step as usize] {
                Found::Lane(value) => value,
                Found::Mask(_) => panic!("a mask where a lane is expected"),
            };
            let mask = |step: StepId| match values[step as usize] {
                Found::Mask(value) => value,
                Found::Lane(_) => panic!("a lane where a mask is expected"),
            };
            let bits = |step: StepId| lane(step).to_bits();
            let value = match step {
                Step::Argument(at) => Found::Lane(arguments[at as usize]),
                Step::Constant(bits) => Found::Lane(f64::from_bits(bits)),
                Step::Add(a, b) => Found::Lane(lane(a) + lane(b)),
                Step::Sub(a, b) => Found::Lane(lane(a) - lane(b)),
                Step::Mul(a, b) => Found::Lane(lane(a) * lane(b)),
                Step::Div(a, b) => Found::Lane(lane(a) / lane(b)),
                Step::Neg(a) => Found::Lane(-lane(a)),
                Step::Abs(a) => Found::Lane(lane(a).abs()),
                Step::Sqrt(a) => Found::Lane(lane(a).sqrt()),
                Step::Floor(a) => Found::Lane(lane(a).floor()),
                Step::Nearest(a) => Found::Lane(lane(a).round_ties_even()),
                Step::Less(a, b) => Found::Mask(lane(a) < lane(b)),
                Step::AtMost(a, b) => Found::Mask(lane(a) <= lane(b)),
                Step::Equal(a, b) => Found::Mask(lane(a) == lane(b)),
                Step::MaskAnd(a, b) => Found::Mask(mask(a) & mask(b)),
                Step::MaskOr(a, b) => Found::Mask(mask(a) | mask(b)),
                Step::MaskNot(a) => Found::Mask(!mask(a)),
                Step::Select(m, a, b) => Found::Lane(if mask(m) { lane(a) } else { lane(b) }),
                Step::ShiftLeft(a, count) => Found::Lane(f64::from_bits(bits(a) << count)),
                Step::ShiftRight(a, count) => Found::Lane(f64::from_bits(bits(a) >> count)),
                Step::AndBits(a, with) => Found::Lane(f64::from_bits(bits(a) & with)),
                Step::OrBits(a, with) => Found::Lane(f64::from_bits(bits(a) | with)),
                Step::AddBits(a, with) => Found::Lane(f64::from_bits(bits(a).wrapping_add(with))),
                Step::Or(a, b) => Found::Lane(f64::from_bits(bits(a) | bits(b))),
            };
            values.push(value);
        }
        let Found::Lane(result) = values[recipe.result as usize] else { panic!("the result is a mask") };
        let holds = recipe.holds.is_none_or(|mask| matches!(values[mask as usize], Found::Mask(true)));
        (result, holds)
    }

    const FUNCTIONS: [Func; 23] = [
        Func::Asin,
        Func::Acos,
        Func::Atan,
        Func::Atan2,
        Func::Cbrt,
        Func::Asinh,
        Func::Acosh,
        Func::Atanh,
        Func::Exp,
        Func::Exp2,
        Func::Expm1,
        Func::Log,
        Func::Log2,
        Func::Log10,
        Func::Log1p,
        Func::Sinh,
        Func::Cosh,
        Func::Tanh,
        Func::Sin,
        Func::Cos,
        Func::Tan,
        Func::Pow,
        Func::Hypot,
    ];

    proptest! {
        #[test]
        fn recipes_give_the_bits_of_their_functions(
            x in prop_oneof![proptest::num::f64::ANY, -50.0..50.0, -1.0..1.0],
            y in prop_oneof![proptest::num::f64::ANY, -5.0..5.0],
        ) {
            for func in FUNCTIONS {
                let expected = match super::super::binary_f64(func) {
                    Some(f) => f(x, y),
                    None => super::super::unary_f64(func).unwrap()(x),
                };
                let (found, holds) = run(recipe(func).unwrap(), [x, y]);
                if holds {
                    prop_assert!(
                        found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                        "{:?}({}, {}) = {}, recipe {}", func, x, y, expected, found
                    );
                }
            }
        }
    }

    #[test]
    fn recipes_are_short() {
        for func in FUNCTIONS {
            let steps = recipe(func).unwrap().steps.len();
            assert!(steps < 400, "{func:?} takes {steps} steps");
        }
    }
}
