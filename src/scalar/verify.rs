//! [`Code::verify`]: what every consumer may take for granted.
//!
//! - a value is defined once, and used only after its definition, in the same block or one nested in it;
//! - ports and symbols exist, and are used as their kind allows;
//! - operands and results have the types their operation asks for;
//! - blocks yield as many values as their owner expects, of the same types;
//! - nesting is bounded by [`MAX_NESTING`].

use crate::diag::Diagnostic;

use super::PortId;
use super::code::{BinaryOp, Block, Code, Func, Inst, Op, PortKind, UnaryOp, ValueId};
use super::types::{DType, StructTable, Type};

/// How deep blocks may nest.
pub const MAX_NESTING: usize = 256;

impl Code {
    /// Checks the invariants above. What passes can be evaluated, and fails only by a [`Trap`](super::Trap).
    pub fn verify(&self, structs: &StructTable) -> Result<(), Diagnostic> {
        let mut verifier = Verifier { code: self, structs, defined: vec![false; self.types.len()], depth: 0 };
        verifier.block(&self.body, &[]).map(drop)
    }
}

struct Verifier<'a> {
    code: &'a Code,
    structs: &'a StructTable,
    /// Values visible at the current point.
    defined: Vec<bool>,
    depth: usize,
}

fn wrong(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("P0310", format!("invalid scalar code: {}", message.into()))
}

impl Verifier<'_> {
    /// Checks a block; its values go out of sight, and the types of its results come back.
    fn block(&mut self, block: &Block, params: &[ValueId]) -> Result<Vec<Type>, Diagnostic> {
        if self.depth > MAX_NESTING {
            return Err(wrong("blocks nest too deeply"));
        }
        self.depth += 1;
        let mut visible = Vec::new();
        for &param in params {
            self.define(param, &mut visible)?;
        }
        for inst in &block.insts {
            self.inst(inst)?;
            for &result in &inst.results {
                self.define(result, &mut visible)?;
            }
        }
        let results = block.results.iter().map(|&value| self.used(value)).collect::<Result<_, _>>()?;
        for value in visible {
            self.defined[value.0 as usize] = false;
        }
        self.depth -= 1;
        Ok(results)
    }

    fn define(&mut self, value: ValueId, visible: &mut Vec<ValueId>) -> Result<(), Diagnostic> {
        match self.defined.get_mut(value.0 as usize) {
            Some(defined) if !*defined => *defined = true,
            Some(_) => return Err(wrong(format!("{value} is defined twice"))),
            None => return Err(wrong(format!("{value} has no type"))),
        }
        visible.push(value);
        Ok(())
    }

    fn used(&self, value: ValueId) -> Result<Type, Diagnostic> {
        match (self.defined.get(value.0 as usize), self.code.types.get(value)) {
            (Some(true), Some(&ty)) => Ok(ty),
            _ => Err(wrong(format!("{value} is used before its definition"))),
        }
    }

    fn scalar(&self, value: ValueId) -> Result<DType, Diagnostic> {
        self.used(value)?.scalar().ok_or_else(|| wrong(format!("{value} is not a number")))
    }

    /// Element type and lane count (`None` for a number).
    fn numeric(&self, value: ValueId) -> Result<(DType, Option<u16>), Diagnostic> {
        match self.used(value)? {
            Type::Scalar(dtype) => Ok((dtype, None)),
            Type::Vector(dtype, lanes) => Ok((dtype, Some(lanes))),
            _ => Err(wrong(format!("{value} is not a number or vector"))),
        }
    }

    fn access(&self, port: PortId, indices: &[ValueId]) -> Result<Type, Diagnostic> {
        let port = self.code.ports.get(port).ok_or_else(|| wrong("an unknown port"))?;
        let expected = match port.kind {
            PortKind::Pointer { rank } => rank as usize,
            PortKind::Memory => 1,
            PortKind::Reference => 0,
            _ => return Err(wrong("a memory access through a port that is not a pointer or reference")),
        };
        if indices.len() != expected {
            return Err(wrong(format!("an access with {} indices instead of {expected}", indices.len())));
        }
        for &index in indices {
            if !self.scalar(index)?.is_integral() {
                return Err(wrong(format!("the index {index} is not an integer")));
            }
        }
        Ok(port.ty)
    }

    fn port(&self, port: PortId, kind: PortKind) -> Result<Type, Diagnostic> {
        match self.code.ports.get(port) {
            Some(found) if found.kind == kind => Ok(found.ty),
            Some(_) => Err(wrong(format!("{port} is of another kind"))),
            None => Err(wrong(format!("{port} does not exist"))),
        }
    }

    fn same(&self, what: &str, found: Type, expected: Type) -> Result<(), Diagnostic> {
        if found == expected {
            return Ok(());
        }
        Err(wrong(format!("{what} has type {found:?} instead of {expected:?}")))
    }

    fn inst(&mut self, inst: &Inst) -> Result<(), Diagnostic> {
        let result = match inst.results[..] {
            [result] => self
                .code
                .types
                .get(result)
                .copied()
                .ok_or_else(|| wrong(format!("{result} has no type")))?
                .into(),
            _ => None,
        };
        if let Some(expected) = self.one_result(&inst.op)? {
            let found = result.ok_or_else(|| wrong("an operation without its one result"))?;
            return self.same("a result", found, expected);
        }
        match &inst.op {
            Op::Undef => result.map(drop).ok_or_else(|| wrong("an operation without its one result")),
            Op::MakeStruct(fields) => {
                let Some(Type::Struct(id)) = result else {
                    return Err(wrong("a record whose result is not a record"));
                };
                let def = self.structs.get(id).ok_or_else(|| wrong("an unknown record type"))?;
                if def.fields.len() != fields.len() {
                    return Err(wrong("a record with the wrong number of fields"));
                }
                for (&value, field) in fields.iter().zip(&def.fields) {
                    self.same("a field", self.used(value)?, field.ty)?;
                }
                Ok(())
            }
            Op::If { condition, then, otherwise } => {
                self.same("a condition", self.used(*condition)?, Type::BOOL)?;
                let results = self.types_of(&inst.results)?;
                let then = self.block(then, &[])?;
                let otherwise = self.block(otherwise, &[])?;
                if then != results || otherwise != results {
                    return Err(wrong("the branches of an `if` do not yield what it defines"));
                }
                Ok(())
            }
            Op::Loop { carried, params, condition, body } => {
                let results = self.types_of(&inst.results)?;
                let initial = carried.iter().map(|&v| self.used(v)).collect::<Result<Vec<_>, _>>()?;
                if initial != results || self.types_of(params)? != results {
                    return Err(wrong("a loop carries values of different types"));
                }
                // The parameters are visible in both blocks.
                if self.block(condition, params)? != [Type::BOOL] {
                    return Err(wrong("a loop condition does not yield one bool"));
                }
                if self.block(body, params)? != results {
                    return Err(wrong("a loop body does not yield what the loop carries"));
                }
                Ok(())
            }
            _ if inst.results.is_empty() => Ok(()),
            _ => Err(wrong("an effect with a result")),
        }
    }

    fn types_of(&self, values: &[ValueId]) -> Result<Vec<Type>, Diagnostic> {
        let types = values.iter().map(|&value| self.code.types.get(value).copied());
        types.collect::<Option<Vec<_>>>().ok_or_else(|| wrong("a value without a type"))
    }

    /// The type of the one result; `None` for effects and what [`Self::inst`] checks itself.
    fn one_result(&self, op: &Op) -> Result<Option<Type>, Diagnostic> {
        Ok(Some(match op {
            Op::Const(scalar) => Type::Scalar(scalar.dtype()),
            Op::Input(port) => self.port(*port, PortKind::Value)?,
            Op::Symbol(index) => match self.code.symbols.get(*index as usize) {
                Some(&(_, dtype)) => Type::Scalar(dtype),
                None => return Err(wrong("an unknown symbol")),
            },
            Op::Load { port, indices } => self.access(*port, indices)?,
            Op::Pop(port) => self.port(*port, PortKind::Stream)?,
            Op::IsAbsent(port) => match self.code.ports.get(*port) {
                Some(_) => Type::BOOL,
                None => return Err(wrong("an unknown port")),
            },
            Op::Store { port, indices, value } => {
                let ty = self.access(*port, indices)?;
                self.same("a stored value", self.used(*value)?, ty)?;
                return Ok(None);
            }
            Op::Output { port, value } => {
                self.same("an output", self.used(*value)?, self.port(*port, PortKind::Value)?)?;
                return Ok(None);
            }
            Op::Push { port, value } => {
                self.same("a pushed value", self.used(*value)?, self.port(*port, PortKind::Stream)?)?;
                return Ok(None);
            }
            Op::Unary(op, value) => {
                let (dtype, _) = self.numeric(*value)?;
                match op {
                    UnaryOp::Not if dtype != DType::Bool => {
                        return Err(wrong("`not` of something else than a bool"));
                    }
                    UnaryOp::BitNot if !dtype.is_integral() => return Err(wrong("`bitnot` of a float")),
                    _ => self.used(*value)?,
                }
            }
            Op::Binary(op, left, right) => self.binary(*op, *left, *right)?,
            Op::Cast(dtype, value) => match self.numeric(*value)? {
                (_, None) => Type::Scalar(*dtype),
                (_, Some(lanes)) => Type::Vector(*dtype, lanes),
            },
            Op::Select(condition, then, otherwise) => {
                let ty = self.used(*then)?;
                self.same("the other side of a select", self.used(*otherwise)?, ty)?;
                match (self.numeric(*condition)?, ty) {
                    ((DType::Bool, None), _) => ty,
                    ((DType::Bool, Some(a)), Type::Vector(_, b)) if a == b => ty,
                    _ => return Err(wrong("a select whose condition is not a bool")),
                }
            }
            Op::Call(func, operands) => self.call(*func, operands)?,
            Op::Field(value, index) => self.field(*value, *index)?,
            Op::WithField(value, index, new) => {
                self.same("a field", self.used(*new)?, self.field(*value, *index)?)?;
                self.used(*value)?
            }
            Op::Splat(value, lanes) => Type::Vector(self.scalar(*value)?, *lanes),
            Op::Lane(value, index) => {
                self.scalar(*index)?;
                match self.numeric(*value)? {
                    (dtype, Some(_)) => Type::Scalar(dtype),
                    _ => return Err(wrong("a lane of something else than a vector")),
                }
            }
            Op::WithLane(value, index, new) => {
                self.scalar(*index)?;
                let (dtype, _) = self.numeric(*value)?;
                self.same("a lane", self.used(*new)?, Type::Scalar(dtype))?;
                self.used(*value)?
            }
            Op::Undef | Op::MakeStruct(_) | Op::If { .. } | Op::Loop { .. } => return Ok(None),
        }))
    }

    fn field(&self, value: ValueId, index: u32) -> Result<Type, Diagnostic> {
        let Type::Struct(id) = self.used(value)? else {
            return Err(wrong(format!("{value} is not a record")));
        };
        let field = self.structs.get(id).and_then(|def| def.fields.get(index as usize));
        field.map(|field| field.ty).ok_or_else(|| wrong("an unknown field"))
    }

    fn binary(&self, op: BinaryOp, left: ValueId, right: ValueId) -> Result<Type, Diagnostic> {
        let (a, b) = (self.used(left)?, self.used(right)?);
        if a != b {
            return Err(wrong(format!("{left} and {right} meet with different types")));
        }
        if let Type::Struct(_) = a {
            return match op {
                BinaryOp::Eq | BinaryOp::Ne => Ok(Type::BOOL),
                _ => Err(wrong("arithmetic on records")),
            };
        }
        let (dtype, lanes) = self.numeric(left)?;
        let bitwise = matches!(
            op,
            BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor | BinaryOp::Shl | BinaryOp::Shr
        );
        if bitwise && !dtype.is_integral() {
            return Err(wrong(format!("a bitwise operation on {dtype}")));
        }
        if dtype.is_complex() && matches!(op, BinaryOp::Rem | BinaryOp::Mod) {
            return Err(wrong(format!("a remainder of {dtype}")));
        }
        let result = super::arith::binary_type(op, dtype);
        Ok(lanes.map_or(Type::Scalar(result), |lanes| Type::Vector(result, lanes)))
    }

    fn call(&self, func: Func, operands: &[ValueId]) -> Result<Type, Diagnostic> {
        let count = func.operand_count();
        if operands.len() != count {
            return Err(wrong(format!("{func:?} takes {count} operands")));
        }
        let (dtype, lanes) = match operands.first() {
            Some(&first) => self.numeric(first)?,
            None => return Err(wrong("a call without operands")),
        };
        for &operand in &operands[1..] {
            let (other, _) = self.numeric(operand)?;
            let integer_exponent = matches!(func, Func::PowI | Func::Ldexp);
            if integer_exponent && other != DType::I32 || !integer_exponent && other != dtype {
                return Err(wrong(format!("{func:?} with an operand of type {other}")));
            }
        }
        let result = func.result_type(dtype);
        Ok(lanes.map_or(Type::Scalar(result), |lanes| Type::Vector(result, lanes)))
    }
}

impl Func {
    /// How many operands it takes.
    pub const fn operand_count(self) -> usize {
        match self {
            Func::Pow
            | Func::PowI
            | Func::Atan2
            | Func::Hypot
            | Func::CopySign
            | Func::NextAfter
            | Func::Fmod
            | Func::Fmin
            | Func::Fmax
            | Func::Ldexp
            | Func::Complex => 2,
            Func::Fma => 3,
            _ => 1,
        }
    }

    /// The type of the result when the first operand has type `dtype`.
    pub const fn result_type(self, dtype: DType) -> DType {
        match (self, dtype) {
            (Func::IsNan | Func::IsInf | Func::IsFinite | Func::SignBit, _) => DType::Bool,
            (Func::Abs | Func::Real | Func::Imag | Func::Arg, DType::C64) => DType::F32,
            (Func::Abs | Func::Real | Func::Imag | Func::Arg, DType::C128) => DType::F64,
            (Func::Complex, DType::F64) => DType::C128,
            (Func::Complex, _) => DType::C64,
            _ => dtype,
        }
    }
}
