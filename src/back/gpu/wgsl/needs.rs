//! Which values a thread needs, and in which form.

use hashbrown::HashSet;

use crate::kernel::{Op, Stmt, ValueId, VarId};
use crate::scalar::{BinaryOp, DType, UnaryOp};

use super::super::nest::Nest;

/// What has to be computed.
#[derive(Default)]
pub(super) struct Needs {
    /// Values that are needed as they are.
    pub exact: HashSet<ValueId>,
    /// `int64` values whose lowest 32 bits are needed.
    pub low: HashSet<ValueId>,
    /// Variables that are read.
    pub variables: HashSet<VarId>,
}

/// Whether the lowest bits of the result follow from those of the operands.
pub(super) fn is_ring(op: &Op) -> bool {
    matches!(
        op,
        Op::Const(_)
            | Op::Base(_)
            | Op::Select(..)
            | Op::Unary(UnaryOp::Neg, _)
            | Op::Binary(BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul, ..)
    )
}

impl Needs {
    /// Goes backwards from what leaves the thread: stores, checks, control flow.
    pub fn of(nest: &Nest<'_>) -> Needs {
        let mut needs = Needs { variables: nest.read.clone(), ..Needs::default() };
        let statements: Vec<&Stmt> = nest.statements().collect();
        for stmt in statements.iter().rev() {
            needs.stmt(nest, stmt);
        }
        needs
    }

    fn stmt(&mut self, nest: &Nest<'_>, stmt: &Stmt) {
        let ty = |value: ValueId| nest.kernel.values[value];
        match stmt {
            Stmt::Let(value, op) => {
                let (exact, low) = (self.exact.contains(value), self.low.contains(value));
                if let Op::Load { address, .. } = op
                    && (exact || low)
                {
                    self.low.insert(*address);
                    return;
                }
                if low && is_ring(op) {
                    op.each_operand(|operand| {
                        if ty(operand) == DType::I64 {
                            self.low.insert(operand);
                        } else {
                            self.exact.insert(operand);
                        }
                    });
                }
                if low && !is_ring(op) && ty(*value) == DType::I64 {
                    self.exact.insert(*value);
                }
                if exact || low && !is_ring(op) {
                    op.each_operand(|operand| {
                        self.exact.insert(operand);
                    });
                }
            }
            Stmt::Set(variable, value) if self.variables.contains(variable) => {
                self.exact.insert(*value);
            }
            Stmt::Store { address, value, .. } => {
                self.low.insert(*address);
                self.exact.insert(nest.updates.get(value).map_or(*value, |update| update.operand));
            }
            Stmt::Check(value, _) | Stmt::If { condition: value, .. } => {
                self.exact.insert(*value);
            }
            Stmt::For { start, stop, .. } => self.exact.extend([*start, *stop]),
            _ => {}
        }
    }
}
