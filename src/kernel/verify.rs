//! Checks the invariants of a kernel, so that `eval` and `back` need not.
//!
//! - Every value is defined once, before its uses, in the same list or one around it, with the type that
//!   its operation has.
//! - Operand types agree; conditions and checks are bools; addresses, loop bounds and sizes are `int64`.
//! - Ids are in range; exits leave a block around them; jumps stay in their list; steps are not zero.
//! - A [`Op::Base`] of a scratch or persistent buffer stands after its [`Stmt::Alloc`], inside its list.

use hashbrown::HashSet;

use crate::entity::EntityId;
use crate::scalar::{BinaryOp, DType, Func, UnaryOp};

use super::{BufferId, BufferKind, Jump, Kernel, LabelId, Op, Stmt, ValueId};

/// The first broken invariant, as a sentence.
pub fn verify(kernel: &Kernel) -> Result<(), String> {
    let mut verifier = Verifier {
        kernel,
        visible: vec![false; kernel.values.len()],
        defined: vec![false; kernel.values.len()],
        allocated: HashSet::new(),
        labels: Vec::new(),
    };
    for parameter in &kernel.parameters {
        verifier.define(parameter.value, kernel.values.get(parameter.value).copied())?;
    }
    verifier.list(&kernel.body)
}

struct Verifier<'a> {
    kernel: &'a Kernel,
    visible: Vec<bool>,
    defined: Vec<bool>,
    allocated: HashSet<BufferId>,
    labels: Vec<LabelId>,
}

impl Verifier<'_> {
    fn define(&mut self, value: ValueId, ty: Option<DType>) -> Result<(), String> {
        let Some(&declared) = self.kernel.values.get(value) else {
            return Err(format!("{value} does not exist"));
        };
        if ty != Some(declared) {
            return Err(format!("{value} is declared {declared} but defined as {ty:?}"));
        }
        if declared.is_complex() {
            return Err(format!("{value} is complex"));
        }
        if std::mem::replace(&mut self.defined[value.index()], true) {
            return Err(format!("{value} is defined twice"));
        }
        self.visible[value.index()] = true;
        Ok(())
    }

    fn used(&self, value: ValueId) -> Result<DType, String> {
        match self.visible.get(value.index()) {
            Some(true) => Ok(self.kernel.values[value]),
            _ => Err(format!("{value} is used where it is not defined")),
        }
    }

    fn expect(&self, value: ValueId, ty: DType, role: &str) -> Result<(), String> {
        match self.used(value)? {
            found if found == ty => Ok(()),
            found => Err(format!("{role} {value} is {found}, expected {ty}")),
        }
    }

    /// Runs `inner`, then hides what it defined.
    fn scope(&mut self, stmts: &[Stmt]) -> Result<(), String> {
        self.list(stmts)?;
        self.hide(stmts);
        Ok(())
    }

    fn hide(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(value, _) => self.visible[value.index()] = false,
                Stmt::Alloc { buffer, .. } => {
                    self.allocated.remove(buffer);
                }
                _ => {}
            }
        }
    }

    fn list(&mut self, stmts: &[Stmt]) -> Result<(), String> {
        stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<(), String> {
        match stmt {
            Stmt::Let(value, op) => {
                let ty = self.op(op)?;
                self.define(*value, ty.or_else(|| self.kernel.values.get(*value).copied()))
            }
            Stmt::Set(variable, value) => {
                let Some(declared) = self.kernel.variables.get(*variable) else {
                    return Err(format!("{variable} does not exist"));
                };
                self.expect(*value, declared.ty, "the value set")
            }
            Stmt::Store { buffer, address, value, .. } => {
                self.reachable(*buffer)?;
                self.expect(*address, DType::I64, "address")?;
                self.used(*value).map(|_| ())
            }
            Stmt::For { variable, start, stop, step, body, .. } => {
                self.expect(*start, DType::I64, "loop start")?;
                self.expect(*stop, DType::I64, "loop stop")?;
                if *step == 0 {
                    return Err("a loop step is zero".to_owned());
                }
                self.define(*variable, Some(DType::I64))?;
                self.scope(body)?;
                self.visible[variable.index()] = false;
                Ok(())
            }
            Stmt::Loop(body) => self.scope(body),
            Stmt::If { condition, then, otherwise } => {
                self.expect(*condition, DType::Bool, "condition")?;
                self.scope(then)?;
                self.scope(otherwise)
            }
            Stmt::Block(label, body) => {
                self.labels.push(*label);
                self.scope(body)?;
                self.labels.pop();
                Ok(())
            }
            Stmt::Exit(label) if self.labels.contains(label) => Ok(()),
            Stmt::Exit(label) => Err(format!("exit of {label}, which is not around it")),
            Stmt::Cfg(blocks) => blocks.iter().try_for_each(|block| {
                self.list(&block.body)?;
                let in_range = |target: u32| (target as usize) < blocks.len();
                let good = match block.jump {
                    Jump::End => true,
                    Jump::To(target) => in_range(target),
                    Jump::Branch(condition, yes, no) => {
                        self.expect(condition, DType::Bool, "condition")?;
                        in_range(yes) && in_range(no)
                    }
                };
                self.hide(&block.body);
                if good { Ok(()) } else { Err("a jump leaves its list".to_owned()) }
            }),
            Stmt::Check(condition, trap) => {
                if self.kernel.traps.get(*trap).is_none() {
                    return Err(format!("{trap} does not exist"));
                }
                self.expect(*condition, DType::Bool, "check")
            }
            Stmt::Alloc { buffer, bytes, .. } => {
                match self.kernel.buffers.get(*buffer).map(|decl| &decl.kind) {
                    Some(BufferKind::Scratch | BufferKind::Planned(_) | BufferKind::Persistent(_)) => {}
                    _ => return Err(format!("alloc of {buffer}, which is not ours")),
                }
                self.allocated.insert(*buffer);
                self.expect(*bytes, DType::I64, "size")
            }
            Stmt::Call(library, arguments) => {
                if self.kernel.libraries.get(*library).is_none() {
                    return Err(format!("{library} does not exist"));
                }
                // Numbers of eight bytes or four go as their bits.
                arguments.iter().try_for_each(|&argument| match self.used(argument)? {
                    DType::F64 | DType::F32 => Ok(()),
                    _ => self.expect(argument, DType::I64, "argument"),
                })
            }
        }
    }

    fn reachable(&self, buffer: BufferId) -> Result<(), String> {
        match self.kernel.buffers.get(buffer).map(|decl| &decl.kind) {
            None => Err(format!("{buffer} does not exist")),
            Some(BufferKind::Scratch | BufferKind::Planned(_) | BufferKind::Persistent(_))
                if !self.allocated.contains(&buffer) =>
            {
                Err(format!("{buffer} is used where it is not allocated"))
            }
            Some(_) => Ok(()),
        }
    }

    /// The type of the result; `None` where the operation fits any type.
    fn op(&self, op: &Op) -> Result<Option<DType>, String> {
        Ok(Some(match op {
            Op::Const(literal) => literal.ty,
            Op::Get(variable) => match self.kernel.variables.get(*variable) {
                Some(declared) => declared.ty,
                None => return Err(format!("{variable} does not exist")),
            },
            Op::Base(buffer) => {
                self.reachable(*buffer)?;
                DType::I64
            }
            Op::Unary(UnaryOp::Not, a) => {
                self.expect(*a, DType::Bool, "operand of not")?;
                DType::Bool
            }
            Op::Unary(UnaryOp::BitNot, a) if !self.used(*a)?.is_integral() => {
                return Err(format!("bitwise complement of {a}, which is no integer"));
            }
            Op::Unary(_, a) => self.used(*a)?,
            Op::Binary(op, a, b) => self.binary(*op, *a, *b)?,
            Op::Cast(to, a) => {
                self.used(*a)?;
                *to
            }
            Op::Select(condition, a, b) => {
                self.expect(*condition, DType::Bool, "condition")?;
                let ty = self.used(*a)?;
                self.expect(*b, ty, "second choice")?;
                ty
            }
            Op::Math(func, operands) => {
                for &operand in operands {
                    self.used(operand)?;
                }
                match (func, operands.first()) {
                    (Func::IsNan | Func::IsInf | Func::IsFinite | Func::SignBit, _) => DType::Bool,
                    (_, Some(&first)) => self.used(first)?,
                    (_, None) => return Err("a math function without operands".to_owned()),
                }
            }
            Op::Complex(_, _, operands) => {
                for &operand in operands {
                    self.expect(operand, DType::F64, "part of a complex number")?;
                }
                DType::F64
            }
            Op::Load { buffer, address, ty, .. } => {
                self.reachable(*buffer)?;
                self.expect(*address, DType::I64, "address")?;
                *ty
            }
        }))
    }

    fn binary(&self, op: BinaryOp, a: ValueId, b: ValueId) -> Result<DType, String> {
        let ty = self.used(a)?;
        self.expect(b, ty, "second operand")?;
        let bitwise = matches!(
            op,
            BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor | BinaryOp::Shl | BinaryOp::Shr
        );
        if bitwise && !ty.is_integral() {
            return Err(format!("{op:?} of {a}, which is {ty}"));
        }
        Ok(if op.is_comparison() { DType::Bool } else { ty })
    }
}
