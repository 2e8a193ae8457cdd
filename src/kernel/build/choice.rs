//! Branches that become choices: where both sides only compute a few numbers and set variables, both are computed and
//! each variable gets one of two numbers.
//!
//! A choice costs a few cycles whatever the condition is. A branch costs nothing as long as the processor guesses right
//! and some twenty cycles where it does not, which in loops over data it often does not; and a loop whose body branches
//! has no vector form.
//!
//! ## Before                                ## After
//! ```text
//! if c {                                   v2 = shr int32 v0, v1
//!   v2 = shr int32 v0, v1                  v3 = select c, v2, v0
//!   set x = v2                             set x = v3
//! }
//! ```

use crate::kernel::{Op, Stmt, ValueId, VarId};
use crate::scalar::{BinaryOp, DType, Func};

use super::Builder;

/// Branches of more operations than this stay branches.
const MOST: usize = 16;

impl Builder {
    /// Continues with one of two lists, which are closed: as a branch, or as choices.
    pub fn branch(&mut self, condition: ValueId, then: Vec<Stmt>, otherwise: Vec<Stmt>) {
        if !self.may_be_chosen(&then) || !self.may_be_chosen(&otherwise) {
            self.push(Stmt::If { condition, then, otherwise });
            return;
        }
        let depth = self.depth();
        let mut set: Vec<(VarId, [Option<ValueId>; 2])> = Vec::new();
        for (side, stmts) in [then, otherwise].into_iter().enumerate() {
            for stmt in stmts {
                match stmt {
                    Stmt::Set(variable, value) => {
                        match set.iter_mut().find(|(known, _)| *known == variable) {
                            Some((_, values)) => values[side] = Some(value),
                            None => {
                                let mut values = [None; 2];
                                values[side] = Some(value);
                                set.push((variable, values));
                            }
                        }
                    }
                    stmt => {
                        if let Stmt::Let(value, _) = stmt {
                            let fact = &mut self.facts[value.0 as usize];
                            fact.depth = fact.depth.min(depth);
                        }
                        self.push(stmt);
                    }
                }
            }
        }
        // All of them are chosen before the first one changes.
        let mut chosen = Vec::with_capacity(set.len());
        for (variable, [yes, no]) in set {
            let yes = yes.unwrap_or_else(|| self.get(variable));
            let no = no.unwrap_or_else(|| self.get(variable));
            chosen.push((variable, self.select(condition, yes, no)));
        }
        for (variable, value) in chosen {
            self.set(variable, value);
        }
    }

    /// Whether a list has no effect but on variables, and costs little.
    fn may_be_chosen(&self, stmts: &[Stmt]) -> bool {
        let mut set: Vec<VarId> = Vec::new();
        let mut operations = 0;
        stmts.iter().all(|stmt| match stmt {
            Stmt::Set(variable, value) => {
                set.push(*variable);
                is_plain(self.ty(*value))
            }
            Stmt::Let(value, op) => {
                operations += usize::from(!matches!(op, Op::Const(_) | Op::Get(_)));
                let cheap = match op {
                    // It must be what the variable holds before the branch.
                    Op::Get(variable) => !set.contains(variable),
                    Op::Const(_) | Op::Unary(..) | Op::Cast(..) | Op::Select(..) => true,
                    Op::Binary(op, ..) => {
                        !matches!(op, BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem | BinaryOp::Mod)
                    }
                    Op::Math(func, _) => {
                        matches!(
                            func,
                            Func::Abs | Func::CopySign | Func::IsNan | Func::IsInf | Func::IsFinite
                        )
                    }
                    Op::Complex(..) | Op::Base(_) | Op::Load { .. } => false,
                };
                cheap && operations <= MOST && is_plain(self.ty(*value))
            }
            _ => false,
        })
    }
}

/// Types whose operations are single instructions.
fn is_plain(ty: DType) -> bool {
    !matches!(ty, DType::F16 | DType::BF16 | DType::F8E4M3 | DType::F8E5M2)
}

#[cfg(test)]
mod tests {
    use crate::kernel::build::Builder;
    use crate::kernel::{BufferKind, Kernel, Op, Stmt, eval, verify};
    use crate::scalar::{BinaryOp, DType};

    /// `if parameter < 3 { x = parameter + 5; y = x_before } else { y = 7 }` over `x = 1, y = 2`; gives x, y.
    fn kernel(loads: bool) -> Kernel {
        let mut b = Builder::new("branch");
        let parameter = b.parameter("p", DType::I64);
        let buffer = b.buffer("out", BufferKind::Argument(0));
        let address = b.value(Op::Base(buffer), DType::I64);
        let (x, y) = (b.variable("x", DType::I64), b.variable("y", DType::I64));
        let (one, two, three, five, seven) = (b.int(1), b.int(2), b.int(3), b.int(5), b.int(7));
        b.set(x, one);
        b.set(y, two);
        let condition = b.binary(BinaryOp::Lt, parameter, three);
        b.open_branch();
        let before = b.get(x);
        let now = b.get(y);
        let sum = b.add(now, five);
        let sum = b.add(sum, parameter);
        b.set(x, sum);
        b.set(y, before);
        if loads {
            let load = Op::Load { buffer, address, displacement: 0, ty: DType::I64 };
            let loaded = b.value(load, DType::I64);
            b.set(y, loaded);
        }
        let then = b.close();
        b.open_branch();
        b.set(y, seven);
        let otherwise = b.close();
        b.branch(condition, then, otherwise);
        for (displacement, variable) in [(0, x), (8, y)] {
            let value = b.get(variable);
            b.push(Stmt::Store { buffer, address, displacement, value });
        }
        b.finish()
    }

    fn run(kernel: &Kernel, parameter: i64) -> [i64; 2] {
        let mut buffers = vec![vec![0; 16]];
        eval::run(kernel, &mut buffers, &[parameter as u64], 1000).unwrap();
        [0, 8].map(|at| i64::from_le_bytes(buffers[0][at..at + 8].try_into().unwrap()))
    }

    fn branches(kernel: &Kernel) -> bool {
        Stmt::all(&kernel.body).any(|stmt| matches!(stmt, Stmt::If { .. }))
    }

    #[test]
    fn each_variable_gets_what_its_side_sets_or_keeps_what_it_held() {
        let kernel = kernel(false);
        assert_eq!(verify::verify(&kernel), Ok(()));
        assert!(!branches(&kernel), "{kernel}");
        assert_eq!(run(&kernel, 2), [9, 1]);
        assert_eq!(run(&kernel, 3), [1, 7]);
    }

    #[test]
    fn a_side_that_reads_memory_stays_a_branch() {
        assert!(branches(&kernel(true)));
    }
}
