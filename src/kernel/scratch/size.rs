//! Sizes as the kernel computes them, computed before it runs.

use hashbrown::{HashMap, HashSet};

use crate::kernel::{Literal, Op, ValueId};
use crate::scalar::{DType, Scalar, Trap, arith};

/// The values that sizes depend on, in an order in which they can be computed.
#[derive(Clone, Debug, Default)]
pub(super) struct SizeCode {
    pub steps: Vec<(ValueId, Op)>,
    /// Type of each step.
    pub types: Vec<DType>,
    pub parameters: Vec<ValueId>,
    pub parameter_types: Vec<DType>,
    /// Parameters that some step or size needs.
    pub used: HashSet<ValueId>,
    known: HashSet<ValueId>,
}

/// How values are defined; a value that is missing is defined by a loop or a variable.
pub(super) type Definitions = HashMap<ValueId, Definition>;

#[derive(Clone, Debug)]
pub(super) enum Definition {
    Parameter,
    Op(Op),
}

impl Definition {
    /// The literal integer that it is.
    pub fn literal(&self) -> Option<i64> {
        match self {
            Definition::Op(Op::Const(literal)) => literal.as_int(),
            _ => None,
        }
    }
}

impl SizeCode {
    /// Adds what a value needs; false, and nothing is added, if parameters do not decide it.
    pub fn add(&mut self, value: ValueId, definitions: &Definitions) -> bool {
        let mut new: Vec<(ValueId, Op)> = Vec::new();
        let mut seen: HashSet<ValueId> = HashSet::new();
        let mut used: Vec<ValueId> = Vec::new();
        // Operands before the value itself: each is looked at twice.
        let mut stack = vec![(value, false)];
        while let Some((value, operands_done)) = stack.pop() {
            if self.known.contains(&value) || (!operands_done && !seen.insert(value)) {
                continue;
            }
            let op = match definitions.get(&value) {
                Some(Definition::Parameter) => {
                    used.push(value);
                    continue;
                }
                Some(Definition::Op(op)) => op,
                None => return false,
            };
            if !matches!(op, Op::Const(_) | Op::Unary(..) | Op::Binary(..) | Op::Cast(..) | Op::Select(..)) {
                return false;
            }
            if operands_done {
                new.push((value, op.clone()));
                continue;
            }
            stack.push((value, true));
            op.each_operand(|operand| stack.push((operand, false)));
        }
        self.used.extend(used);
        self.known.extend(new.iter().map(|(value, _)| *value));
        self.steps.extend(new);
        true
    }

    /// Every integer value, for parameters as literals' bits.
    pub fn run(&self, parameters: &[u64]) -> HashMap<ValueId, i64> {
        let mut values: HashMap<ValueId, Scalar> =
            HashMap::with_capacity(self.steps.len() + parameters.len());
        for ((&value, &ty), &bits) in self.parameters.iter().zip(&self.parameter_types).zip(parameters) {
            values.extend(Literal { ty, bits }.to_scalar().map(|number| (value, number)));
        }
        for ((value, op), &ty) in self.steps.iter().zip(&self.types) {
            let get = |operand: &ValueId| values.get(operand).copied();
            let result = match op {
                Op::Const(literal) => literal.to_scalar(),
                Op::Unary(op, a) => get(a).map(|a| arith::unary(*op, a)),
                Op::Binary(op, a, b) => match (get(a), get(b)) {
                    (Some(a), Some(b)) => match arith::binary(*op, a, b) {
                        // As the kernel has it; it checks before.
                        Err(Trap::DivisionByZero) => Some(Scalar::zero(ty)),
                        other => other.ok(),
                    },
                    _ => None,
                },
                Op::Cast(to, a) => get(a).map(|a| arith::cast(*to, a)),
                Op::Select(condition, a, b) => match get(condition) {
                    Some(condition) => get(if condition.is_true() { a } else { b }),
                    None => None,
                },
                _ => None,
            };
            values.extend(result.map(|number| (*value, number)));
        }
        let integral = values.into_iter().filter(|(_, number)| number.dtype().is_integral());
        integral.map(|(value, number)| (value, number.as_i64())).collect()
    }
}
