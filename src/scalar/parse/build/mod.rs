//! Lowers the common syntax tree to [`Code`].
//!
//! Locals are SSA values in a table; `if` merges the tables of its branches, loops carry the locals that their
//! body assigns. A [`PortKind::Value`] output is a local that is handed over at the end. Constants, symbols and
//! inputs are defined once, before everything else; what nobody uses is dropped at the end.

mod access;
mod expression;
mod statement;

use hashbrown::HashMap;
use indexmap::IndexMap;

use crate::diag::Diagnostic;
use crate::entity::{EntityId, Name, Names};
use crate::scalar::{
    BinaryOp, Block, Code, DType, Func, Inst, Op, Port, PortId, PortKind, Scalar, StructTable, Type, UnaryOp,
    ValueId, arith,
};

use super::tree::{Expr, Stmt};
use super::types::{common, common_unpromoted};

/// A connector or container as the code sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct PortSpec {
    /// The port.
    pub port: Port,
    /// For pointers: per dimension of the container, whether the subset has one element there. A full-rank
    /// subscript drops these.
    pub unit_dimensions: Vec<bool>,
    /// The subset is one element: the bare name means it.
    pub one_element: bool,
    /// An output without a declared type and without a container: it takes the type of what is assigned.
    pub infer_type: bool,
}

/// A compile-time constant array or number.
#[derive(Clone, Copy, Debug)]
pub struct ConstantView<'a> {
    /// Extents; empty for a number.
    pub shape: &'a [i64],
    /// Elements in row-major order.
    pub values: &'a [Scalar],
}

/// What names mean outside the code.
pub trait Environment {
    /// The type of a symbol that is visible here.
    fn symbol(&self, name: Name) -> Option<DType>;
    /// A compile-time constant.
    fn constant(&self, _name: Name) -> Option<ConstantView<'_>> {
        None
    }
    /// A container that may be read by its name (control flow only).
    fn container(&self, _names: &Names, _name: Name) -> Option<PortSpec> {
        None
    }
}

/// Lowers the body of a tasklet.
pub fn tasklet(
    names: &mut Names,
    structs: &StructTable,
    ports: Vec<PortSpec>,
    environment: &dyn Environment,
    statements: &[Stmt],
) -> Result<Code, Diagnostic> {
    let mut builder = Builder::new(names, structs, environment);
    for spec in ports {
        builder.add_port(spec);
    }
    builder.declare_outputs();
    builder.statements(statements)?;
    Ok(builder.finish(None))
}

/// Lowers an expression; the result is converted to `target` if one is given.
pub fn expression(
    names: &mut Names,
    structs: &StructTable,
    ports: Vec<PortSpec>,
    environment: &dyn Environment,
    expr: &Expr,
    target: Option<Type>,
) -> Result<Code, Diagnostic> {
    let mut builder = Builder::new(names, structs, environment);
    for spec in ports {
        builder.add_port(spec);
    }
    let mut value = builder.value(expr)?;
    if let Some(ty) = target {
        value = builder.convert_to(value, ty)?;
    }
    Ok(builder.finish(Some(value)))
}

#[derive(Clone, PartialEq, Debug)]
struct Local {
    ty: Type,
    value: Option<ValueId>,
}

/// A [`Code`] under construction.
pub struct Builder<'a> {
    pub(super) names: &'a mut Names,
    structs: &'a StructTable,
    environment: &'a dyn Environment,
    code: Code,
    specs: Vec<PortSpec>,
    prologue: Vec<Inst>,
    open: Vec<Inst>,
    known: HashMap<ValueId, Scalar>,
    constants: HashMap<(DType, [u8; 16]), ValueId>,
    inputs: HashMap<PortId, ValueId>,
    symbols: HashMap<Name, ValueId>,
    locals: IndexMap<String, Local>,
    /// What the code defines: parameters and body.
    functions: HashMap<String, (Vec<String>, Expr)>,
    /// Whether such a body is being evaluated.
    in_function: bool,
}

// Construction of instructions.
impl<'a> Builder<'a> {
    fn new(names: &'a mut Names, structs: &'a StructTable, environment: &'a dyn Environment) -> Self {
        Builder {
            names,
            structs,
            environment,
            code: Code::default(),
            specs: Vec::new(),
            prologue: Vec::new(),
            open: Vec::new(),
            known: HashMap::new(),
            constants: HashMap::new(),
            inputs: HashMap::new(),
            symbols: HashMap::new(),
            locals: IndexMap::new(),
            functions: HashMap::new(),
            in_function: false,
        }
    }

    fn add_port(&mut self, spec: PortSpec) -> PortId {
        let id = self.code.ports.push(spec.port.clone());
        self.specs.push(spec);
        id
    }

    fn declare_outputs(&mut self) {
        let outputs: Vec<(PortId, Port)> = self
            .code
            .ports
            .iter()
            .filter(|(id, port)| {
                let declared = self.specs.get(id.index()).is_some_and(|spec| !spec.infer_type);
                declared && port.writes && port.kind == PortKind::Value
            })
            .map(|(id, port)| (id, port.clone()))
            .collect();
        for (id, port) in outputs {
            let value = port.reads.then(|| self.input(id, port.ty));
            self.locals.insert(self.names[port.name].to_string(), Local { ty: port.ty, value });
        }
    }

    fn finish(mut self, result: Option<ValueId>) -> Code {
        let outputs: Vec<(PortId, Name)> = self
            .code
            .ports
            .iter()
            .filter(|(_, port)| port.writes && port.kind == PortKind::Value)
            .map(|(id, port)| (id, port.name))
            .collect();
        for (port, name) in outputs {
            if let Some(value) = self.locals.get(&self.names[name]).and_then(|local| local.value) {
                self.effect(Op::Output { port, value });
            }
        }
        let mut insts = self.prologue;
        insts.append(&mut self.open);
        self.code.body = Block { insts, results: result.into_iter().collect() };
        self.code.remove_unused();
        self.code
    }

    pub(super) fn define(&mut self, ty: Type) -> ValueId {
        self.code.types.push(ty)
    }

    pub(super) fn emit(&mut self, op: Op, ty: Type) -> ValueId {
        let result = self.define(ty);
        self.open.push(Inst { op, results: vec![result] });
        result
    }

    fn effect(&mut self, op: Op) {
        self.open.push(Inst { op, results: Vec::new() });
    }

    fn emit_first(&mut self, op: Op, ty: Type) -> ValueId {
        let result = self.define(ty);
        self.prologue.push(Inst { op, results: vec![result] });
        result
    }

    pub(super) fn constant(&mut self, scalar: Scalar) -> ValueId {
        let mut bits = [0; 16];
        scalar.write_le_bytes(&mut bits);
        let key = (scalar.dtype(), bits);
        if let Some(&value) = self.constants.get(&key) {
            return value;
        }
        let value = self.emit_first(Op::Const(scalar), Type::Scalar(scalar.dtype()));
        self.constants.insert(key, value);
        self.known.insert(value, scalar);
        value
    }

    fn undefined(&mut self, ty: Type) -> ValueId {
        self.emit_first(Op::Undef, ty)
    }

    fn input(&mut self, port: PortId, ty: Type) -> ValueId {
        if let Some(&value) = self.inputs.get(&port) {
            return value;
        }
        let value = self.emit_first(Op::Input(port), ty);
        self.inputs.insert(port, value);
        value
    }

    fn symbol(&mut self, name: Name, dtype: DType) -> ValueId {
        if let Some(&value) = self.symbols.get(&name) {
            return value;
        }
        let index = self.code.symbols.len() as u32;
        self.code.symbols.push((name, dtype));
        let value = self.emit_first(Op::Symbol(index), Type::Scalar(dtype));
        self.symbols.insert(name, value);
        value
    }

    /// The constant behind a value that is one.
    pub(super) fn known(&self, value: ValueId) -> Option<Scalar> {
        self.known.get(&value).copied()
    }

    pub(super) fn ty(&self, value: ValueId) -> Type {
        self.code.types.get(value).copied().unwrap_or(Type::I32)
    }

    /// The element type of a number or vector.
    pub(super) fn dtype(&self, value: ValueId) -> Result<DType, Diagnostic> {
        match self.ty(value) {
            Type::Scalar(dtype) | Type::Vector(dtype, _) => Ok(dtype),
            Type::Struct(id) => {
                let name = self.structs.get(id).map_or("?", |def| &self.names[def.name]);
                Err(type_error(format!("a number is expected, not a record of type `{name}`")))
            }
            Type::Opaque(name) => {
                Err(type_error(format!("a number is expected, not a value of type `{}`", &self.names[name])))
            }
        }
    }

    fn with_dtype(ty: Type, dtype: DType) -> Type {
        match ty {
            Type::Vector(_, lanes) => Type::Vector(dtype, lanes),
            _ => Type::Scalar(dtype),
        }
    }

    /// Conversion of each element.
    pub(super) fn convert(&mut self, value: ValueId, dtype: DType) -> ValueId {
        let ty = self.ty(value);
        let to = Self::with_dtype(ty, dtype);
        if ty == to {
            return value;
        }
        match self.known(value) {
            Some(scalar) => self.constant(arith::cast(dtype, scalar)),
            None => self.emit(Op::Cast(dtype, value), to),
        }
    }

    /// Conversion to the type of a place.
    pub(super) fn convert_to(&mut self, value: ValueId, ty: Type) -> Result<ValueId, Diagnostic> {
        let from = self.ty(value);
        if from == ty {
            return Ok(value);
        }
        match (from, ty) {
            (Type::Scalar(_), Type::Scalar(dtype)) => Ok(self.convert(value, dtype)),
            (Type::Scalar(_), Type::Vector(dtype, lanes)) => {
                let value = self.convert(value, dtype);
                Ok(self.emit(Op::Splat(value, lanes), ty))
            }
            (Type::Vector(_, a), Type::Vector(dtype, b)) if a == b => Ok(self.convert(value, dtype)),
            _ => Err(type_error("a value does not fit the type of the place it is assigned to".into())),
        }
    }

    /// The value as a truth value.
    pub(super) fn truth(&mut self, value: ValueId) -> Result<ValueId, Diagnostic> {
        self.dtype(value)?;
        Ok(self.convert(value, DType::Bool))
    }

    /// An operation on two operands that already have one type.
    pub(super) fn binary(&mut self, op: BinaryOp, left: ValueId, right: ValueId) -> ValueId {
        if let (Some(a), Some(b)) = (self.known(left), self.known(right))
            && let Ok(scalar) = arith::binary(op, a, b)
        {
            return self.constant(scalar);
        }
        let ty = self.ty(left);
        let ty = if op.is_comparison() { Self::with_dtype(ty, DType::Bool) } else { ty };
        self.emit(Op::Binary(op, left, right), ty)
    }

    pub(super) fn unary(&mut self, op: UnaryOp, value: ValueId) -> ValueId {
        match self.known(value) {
            Some(scalar) => self.constant(arith::unary(op, scalar)),
            None => {
                let ty = self.ty(value);
                self.emit(Op::Unary(op, value), ty)
            }
        }
    }

    /// A function call whose result has element type `result`.
    pub(super) fn call(&mut self, func: Func, operands: Vec<ValueId>, result: DType) -> ValueId {
        let known: Option<Vec<Scalar>> = operands.iter().map(|&operand| self.known(operand)).collect();
        if let Some(known) = known
            && let Ok(scalar) = arith::call(func, &known)
        {
            return self.constant(arith::cast(result, scalar));
        }
        let ty = operands.iter().map(|&operand| self.ty(operand));
        let ty = ty.reduce(|a, b| if matches!(a, Type::Vector(..)) { a } else { b }).unwrap_or(Type::I32);
        self.emit(Op::Call(func, operands), Self::with_dtype(ty, result))
    }

    pub(super) fn select(&mut self, condition: ValueId, then: ValueId, otherwise: ValueId) -> ValueId {
        match self.known(condition) {
            Some(scalar) if scalar.is_true() => then,
            Some(_) => otherwise,
            None => {
                let ty = self.ty(then);
                self.emit(Op::Select(condition, then, otherwise), ty)
            }
        }
    }

    /// Brings two operands to the common type `dtype`, and to one shape.
    pub(super) fn meet_at(
        &mut self,
        dtype: DType,
        left: ValueId,
        right: ValueId,
    ) -> Result<(ValueId, ValueId), Diagnostic> {
        match (self.ty(left), self.ty(right)) {
            (Type::Vector(dtype, lanes), Type::Scalar(_)) => {
                let right = self.convert_to(right, Type::Vector(dtype, lanes))?;
                Ok((left, right))
            }
            (Type::Scalar(_), Type::Vector(dtype, lanes)) => {
                let left = self.convert_to(left, Type::Vector(dtype, lanes))?;
                Ok((left, right))
            }
            (Type::Vector(_, a), Type::Vector(_, b)) if a != b => {
                Err(type_error(format!("vectors of {a} and {b} lanes do not go together")))
            }
            _ => Ok((self.convert(left, dtype), self.convert(right, dtype))),
        }
    }

    /// Brings two operands to the type of C's usual arithmetic conversion.
    pub(super) fn meet(&mut self, left: ValueId, right: ValueId) -> Result<(ValueId, ValueId), Diagnostic> {
        let dtype = common(self.dtype(left)?, self.dtype(right)?);
        self.meet_at(dtype, left, right)
    }

    /// Arithmetic with C's conversions.
    pub(super) fn arithmetic(
        &mut self,
        op: BinaryOp,
        left: ValueId,
        right: ValueId,
    ) -> Result<ValueId, Diagnostic> {
        let (left, right) = self.meet(left, right)?;
        let dtype = self.dtype(left)?;
        let integral_only = matches!(
            op,
            BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor | BinaryOp::Shl | BinaryOp::Shr
        );
        if integral_only && !dtype.is_integral() {
            return Err(type_error(format!("a bitwise operation on {dtype}")));
        }
        if dtype.is_complex() && matches!(op, BinaryOp::Rem | BinaryOp::Mod) {
            return Err(type_error(format!("a remainder of {dtype}")));
        }
        Ok(self.binary(op, left, right))
    }

    /// A loop over two carried values of one type; the first one's last value.
    pub(super) fn counted_loop(
        &mut self,
        carried: [ValueId; 2],
        ty: Type,
        blocks: impl FnOnce(&mut Self, [ValueId; 2]) -> (Block, Block),
    ) -> ValueId {
        let params = [self.define(ty), self.define(ty)];
        let (condition, body) = blocks(self, params);
        let results = vec![self.define(ty), self.define(ty)];
        let last = results[0];
        let op = Op::Loop { carried: carried.to_vec(), params: params.to_vec(), condition, body };
        self.open.push(Inst { op, results });
        last
    }

    /// Runs `f` with a new open block and returns its instructions.
    fn nested<T>(
        &mut self,
        f: impl FnOnce(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<(Vec<Inst>, T), Diagnostic> {
        let saved = std::mem::take(&mut self.open);
        let result = f(self);
        let insts = std::mem::replace(&mut self.open, saved);
        result.map(|value| (insts, value))
    }

    /// Whether the instructions may be evaluated although C would not: they read nothing and cannot trap.
    fn can_be_evaluated_early(&self, insts: &[Inst]) -> bool {
        insts.iter().all(|inst| match &inst.op {
            Op::Binary(BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem | BinaryOp::Mod, left, right) => {
                let integral = self.dtype(*left).is_ok_and(DType::is_integral);
                !integral || self.known(*right).is_some_and(Scalar::is_true)
            }
            Op::Call(Func::PowI, operands) => {
                !operands.first().is_some_and(|&base| self.dtype(base).is_ok_and(DType::is_integral))
            }
            Op::Load { .. }
            | Op::Store { .. }
            | Op::Output { .. }
            | Op::Push { .. }
            | Op::Pop(_)
            | Op::Lane(..)
            | Op::WithLane(..)
            | Op::Loop { .. }
            | Op::If { .. } => false,
            _ => true,
        })
    }

    /// `condition ? then : otherwise`, where a side that could trap or read runs only if it is chosen.
    fn choose(
        &mut self,
        condition: ValueId,
        then: impl FnOnce(&mut Self) -> Result<ValueId, Diagnostic>,
        otherwise: impl FnOnce(&mut Self) -> Result<ValueId, Diagnostic>,
    ) -> Result<ValueId, Diagnostic> {
        let (mut then_insts, a) = self.nested(then)?;
        let (mut otherwise_insts, b) = self.nested(otherwise)?;
        // Conversions to the common type belong to the side they convert.
        let dtypes = if self.ty(a) == self.ty(b) {
            None
        } else {
            Some(common_unpromoted(self.dtype(a)?, self.dtype(b)?))
        };
        let ty = match (dtypes, self.ty(a), self.ty(b)) {
            (None, ty, _) => ty,
            (Some(_), Type::Vector(dtype, lanes), _) | (Some(_), _, Type::Vector(dtype, lanes)) => {
                Type::Vector(dtype, lanes)
            }
            (Some(dtype), ..) => Type::Scalar(dtype),
        };
        let (insts, a) = self.nested(|builder| builder.convert_to(a, ty))?;
        then_insts.extend(insts);
        let (insts, b) = self.nested(|builder| builder.convert_to(b, ty))?;
        otherwise_insts.extend(insts);
        if self.can_be_evaluated_early(&then_insts) && self.can_be_evaluated_early(&otherwise_insts) {
            self.open.append(&mut then_insts);
            self.open.append(&mut otherwise_insts);
            return Ok(self.select(condition, a, b));
        }
        let then = Block { insts: then_insts, results: vec![a] };
        let otherwise = Block { insts: otherwise_insts, results: vec![b] };
        Ok(self.emit(Op::If { condition, then, otherwise }, ty))
    }
}

/// `a.b.c` of plain names.
fn dotted(expr: &Expr) -> Option<String> {
    let mut parts = Vec::new();
    let mut at = expr;
    loop {
        match at {
            Expr::Field(base, field) => {
                parts.push(field.as_str());
                at = base;
            }
            Expr::Name(name) => {
                parts.push(name);
                parts.reverse();
                return Some(parts.join("."));
            }
            _ => return None,
        }
    }
}

pub(super) fn type_error(message: String) -> Diagnostic {
    Diagnostic::error("P0306", message)
}
