//! Lowers the common syntax tree to [`Code`].
//!
//! Locals are SSA values in a table; `if` merges the tables of its branches, loops carry the locals that their
//! body assigns. A [`PortKind::Value`] output is a local that is handed over at the end. Constants, symbols and
//! inputs are defined once, before everything else; what nobody uses is dropped at the end.

use hashbrown::HashMap;
use indexmap::IndexMap;

use crate::diag::Diagnostic;
use crate::entity::{EntityId, Name, Names};
use crate::scalar::{
    BinaryOp, Block, Code, DType, Func, Inst, Op, Port, PortId, PortKind, Scalar, StructId, StructTable,
    Type, UnaryOp, ValueId, arith,
};

use super::functions;
use super::tree::{Binary, Expr, IntSuffix, Stmt, Unary};
use super::types::{common, common_unpromoted, named, promoted};
use super::unsupported;

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

// Expressions.
impl Builder<'_> {
    /// Lowers an expression to a value.
    pub(super) fn value(&mut self, expr: &Expr) -> Result<ValueId, Diagnostic> {
        match expr {
            Expr::Int(value, suffix) => self.integer(*value, *suffix),
            Expr::Float(value) => Ok(self.constant(Scalar::F64(*value))),
            Expr::Float32(value) => Ok(self.constant(Scalar::F32(*value))),
            Expr::Complex(re, im) => Ok(self.constant(Scalar::C128(num_complex::Complex64::new(*re, *im)))),
            Expr::Bool(value) => Ok(self.constant(Scalar::Bool(*value))),
            Expr::None => Err(unsupported("`None` as a value")),
            Expr::Text(_) => Err(unsupported("a string")),
            Expr::Tuple(_) => Err(unsupported("a tuple as a value")),
            Expr::Name(name) => self.name(name),
            Expr::Unary(op, operand) => {
                let value = self.value(operand)?;
                self.unary_expr(*op, value)
            }
            Expr::Binary(..) => self.chain(expr),
            Expr::And(..) | Expr::Or(..) => self.logic(expr),
            Expr::Conditional { condition, then, otherwise } => {
                let condition = self.value(condition)?;
                let condition = self.truth(condition)?;
                match self.known(condition) {
                    // C still takes the common type of both sides.
                    Some(scalar) => {
                        let (_, other) = self.nested(|builder| {
                            builder.value(if scalar.is_true() { otherwise } else { then })
                        })?;
                        let ty = self.ty(other);
                        let value = self.value(if scalar.is_true() { then } else { otherwise })?;
                        match (self.ty(value), ty) {
                            (Type::Scalar(a), Type::Scalar(b)) => {
                                Ok(self.convert(value, common_unpromoted(a, b)))
                            }
                            _ => Ok(value),
                        }
                    }
                    None => self.choose(
                        condition,
                        |builder| builder.value(then),
                        |builder| builder.value(otherwise),
                    ),
                }
            }
            Expr::Call { function, arguments, keywords } => self.call_expr(function, arguments, keywords),
            Expr::CastLike(name, value) => {
                let ty = self.type_of_name(name)?;
                let value = self.value(value)?;
                self.convert_to(value, ty)
            }
            Expr::Method(base, method, arguments) => {
                let base = self.value(base)?;
                self.method(base, method, arguments)
            }
            Expr::Subscript(base, indices) => self.subscript(base, indices),
            Expr::Field(base, field) => self.field(expr, base, field),
        }
    }

    fn integer(&mut self, value: i128, suffix: IntSuffix) -> Result<ValueId, Diagnostic> {
        let scalar = match suffix {
            IntSuffix::Fit | IntSuffix::Unsigned | IntSuffix::Long | IntSuffix::UnsignedLong
                if value > i128::from(u64::MAX) || value < i128::from(i64::MIN) =>
            {
                return Err(unsupported("an integer of more than 64 bits"));
            }
            IntSuffix::Long if i64::try_from(value).is_ok() => Scalar::I64(value as i64),
            IntSuffix::Unsigned if u32::try_from(value).is_ok() => Scalar::U32(value as u32),
            IntSuffix::Unsigned | IntSuffix::UnsignedLong => Scalar::U64(value as u64),
            // DaCe measures the magnitude: -2147483648 already needs 32 bits and becomes 64-bit.
            IntSuffix::Fit if value.unsigned_abs() < 1 << 31 => Scalar::I32(value as i32),
            IntSuffix::Fit if value >= 0 && value.unsigned_abs() < 1 << 32 => Scalar::U32(value as u32),
            _ if i64::try_from(value).is_ok() => Scalar::I64(value as i64),
            _ => Scalar::U64(value as u64),
        };
        Ok(self.constant(scalar))
    }

    fn unary_expr(&mut self, op: Unary, value: ValueId) -> Result<ValueId, Diagnostic> {
        let dtype = self.dtype(value)?;
        let vector = matches!(self.ty(value), Type::Vector(..));
        let wide = if vector { value } else { self.convert(value, promoted(dtype)) };
        match op {
            Unary::Plus => Ok(wide),
            Unary::Minus => Ok(self.unary(UnaryOp::Neg, wide)),
            Unary::Not => {
                let truth = self.truth(value)?;
                Ok(self.unary(UnaryOp::Not, truth))
            }
            Unary::Invert if dtype.is_integral() => Ok(self.unary(UnaryOp::BitNot, wide)),
            Unary::Invert => Err(type_error(format!("a bitwise operation on {dtype}"))),
        }
    }

    /// A left-leaning chain of binary operators, without recursion along its spine.
    fn chain(&mut self, expr: &Expr) -> Result<ValueId, Diagnostic> {
        let mut spine = Vec::new();
        let mut first = expr;
        while let Expr::Binary(op, left, right) = first {
            spine.push((*op, &**left, &**right));
            first = left;
        }
        let mut steps = spine.into_iter().rev();
        let mut result = match steps.next() {
            Some((op, left, right)) if matches!(op, Binary::Is | Binary::IsNot) => {
                self.identity(op, left, right)?
            }
            Some((op, left, right)) => {
                let left = self.value(left)?;
                self.binary_expr(op, left, right)?
            }
            None => return self.value(first),
        };
        for (op, _, right) in steps {
            result = self.binary_expr(op, result, right)?;
        }
        Ok(result)
    }

    pub(super) fn binary_expr(
        &mut self,
        op: Binary,
        left: ValueId,
        right: &Expr,
    ) -> Result<ValueId, Diagnostic> {
        if op == Binary::Pow {
            return self.power(left, right);
        }
        if matches!(op, Binary::Is | Binary::IsNot) && *right == Expr::None {
            return Ok(self.constant(Scalar::Bool(op == Binary::IsNot)));
        }
        let right = self.value(right)?;
        self.binary_values(op, left, right)
    }

    fn binary_values(&mut self, op: Binary, left: ValueId, right: ValueId) -> Result<ValueId, Diagnostic> {
        let op = match op {
            Binary::Add => BinaryOp::Add,
            Binary::Sub => BinaryOp::Sub,
            Binary::Mul => BinaryOp::Mul,
            Binary::Div => BinaryOp::Div,
            Binary::FloorDiv => BinaryOp::FloorDiv,
            Binary::Rem => BinaryOp::Rem,
            Binary::BitAnd => BinaryOp::BitAnd,
            Binary::BitOr => BinaryOp::BitOr,
            Binary::BitXor => BinaryOp::BitXor,
            Binary::Eq | Binary::Is => BinaryOp::Eq,
            Binary::Ne | Binary::IsNot => BinaryOp::Ne,
            Binary::Lt => BinaryOp::Lt,
            Binary::Le => BinaryOp::Le,
            Binary::Gt => BinaryOp::Gt,
            Binary::Ge => BinaryOp::Ge,
            Binary::Shl => return self.shift(BinaryOp::Shl, left, right),
            Binary::Shr => return self.shift(BinaryOp::Shr, left, right),
            Binary::Pow => return functions::general_power(self, left, right),
        };
        if let (Type::Struct(a), Type::Struct(b)) = (self.ty(left), self.ty(right))
            && a == b
            && matches!(op, BinaryOp::Eq | BinaryOp::Ne)
        {
            return Ok(self.emit(Op::Binary(op, left, right), Type::BOOL));
        }
        self.arithmetic(op, left, right)
    }

    pub(super) fn shift(
        &mut self,
        op: BinaryOp,
        left: ValueId,
        right: ValueId,
    ) -> Result<ValueId, Diagnostic> {
        let (a, b) = (self.dtype(left)?, self.dtype(right)?);
        if !a.is_integral() || !b.is_integral() {
            return Err(type_error(format!("a shift of {a} by {b}")));
        }
        // The result has the promoted type of the left side alone.
        let dtype = promoted(a);
        let left = self.convert(left, dtype);
        let right = self.convert(right, dtype);
        let (left, right) = self.meet_at(dtype, left, right)?;
        Ok(self.binary(op, left, right))
    }

    fn power(&mut self, base: ValueId, exponent: &Expr) -> Result<ValueId, Diagnostic> {
        let exponent = self.value(exponent)?;
        let Some(number) = self.known(exponent).filter(|scalar| !scalar.dtype().is_complex()) else {
            return functions::general_power(self, base, exponent);
        };
        let number = number.as_f64();
        if number == number.trunc() && number.abs() < 1e6 {
            return functions::literal_power(self, base, number as i32);
        }
        if number.abs() == 0.5 {
            let dtype = self.dtype(base)?;
            let root = functions::real_function(self, Func::Sqrt, base)?;
            let root = self.convert(root, dtype);
            return if number < 0.0 { functions::reciprocal(self, root) } else { Ok(root) };
        }
        functions::general_power(self, base, exponent)
    }

    /// A chain of `and` or of `or`, leftmost first.
    fn logic(&mut self, expr: &Expr) -> Result<ValueId, Diagnostic> {
        let mut spine = Vec::new();
        let mut first = expr;
        while let Expr::And(left, right) | Expr::Or(left, right) = first {
            spine.push((matches!(first, Expr::And(..)), &**right));
            first = left;
        }
        let value = self.value(first)?;
        let mut result = self.truth(value)?;
        for (is_and, right) in spine.into_iter().rev() {
            if let Some(scalar) = self.known(result)
                && scalar.is_true() != is_and
            {
                continue;
            }
            let (mut insts, right) = self.nested(|builder| {
                let value = builder.value(right)?;
                builder.truth(value)
            })?;
            if self.can_be_evaluated_early(&insts) {
                self.open.append(&mut insts);
                let op = if is_and { BinaryOp::BitAnd } else { BinaryOp::BitOr };
                result = match self.known(result) {
                    Some(_) => right,
                    None => self.binary(op, result, right),
                };
                continue;
            }
            let settled = self.constant(Scalar::Bool(!is_and));
            let evaluated = Block { insts, results: vec![right] };
            let skipped = Block { insts: Vec::new(), results: vec![settled] };
            let (then, otherwise) = if is_and { (evaluated, skipped) } else { (skipped, evaluated) };
            result = self.emit(Op::If { condition: result, then, otherwise }, Type::BOOL);
        }
        Ok(result)
    }

    /// `x is None`: whether an optional argument is absent; a number never is.
    fn identity(&mut self, op: Binary, left: &Expr, right: &Expr) -> Result<ValueId, Diagnostic> {
        if *right != Expr::None {
            let (left, right) = (self.value(left)?, self.value(right)?);
            return self.binary_values(op, left, right);
        }
        let port = match left {
            Expr::None => return Ok(self.constant(Scalar::Bool(op == Binary::Is))),
            Expr::Name(name) if !self.locals.contains_key(name) => self.port_of(name),
            _ => None,
        };
        match port {
            Some(port)
                if matches!(self.code.ports[port].kind, PortKind::Pointer { .. } | PortKind::Memory) =>
            {
                let absent = self.emit(Op::IsAbsent(port), Type::BOOL);
                Ok(if op == Binary::Is { absent } else { self.unary(UnaryOp::Not, absent) })
            }
            _ => {
                self.value(left)?;
                Ok(self.constant(Scalar::Bool(op == Binary::IsNot)))
            }
        }
    }

    /// The port a name stands for; in control flow, made when first used.
    fn port_of(&mut self, name: &str) -> Option<PortId> {
        let name = self.names.lookup(name)?;
        if let Some((id, _)) = self.code.ports.iter().find(|(_, port)| port.name == name) {
            return Some(id);
        }
        let spec = self.environment.container(self.names, name)?;
        Some(self.add_port(spec))
    }

    fn name(&mut self, name: &str) -> Result<ValueId, Diagnostic> {
        if let Some(local) = self.locals.get(name) {
            let (ty, value) = (local.ty, local.value);
            return Ok(value.unwrap_or_else(|| self.undefined(ty)));
        }
        let id = self.names.lookup(name);
        let is_port = id.is_some_and(|id| self.code.ports.values().any(|port| port.name == id));
        if !is_port && let Some(id) = id {
            if let Some(constant) = self.environment.constant(id)
                && let ([], [value]) | ([1], [value]) = (constant.shape, constant.values)
            {
                return Ok(self.constant(*value));
            }
            if let Some(dtype) = self.environment.symbol(id) {
                return Ok(self.symbol(id, dtype));
            }
        }
        if let Some(port) = self.port_of(name) {
            return self.read_port(port);
        }
        match name {
            "INFINITY" => Ok(self.constant(Scalar::F32(f32::INFINITY))),
            "NAN" => Ok(self.constant(Scalar::F32(f32::NAN))),
            "M_PI" | "pi" => Ok(self.constant(Scalar::F64(std::f64::consts::PI))),
            "M_E" => Ok(self.constant(Scalar::F64(std::f64::consts::E))),
            "DBL_MAX" => Ok(self.constant(Scalar::F64(f64::MAX))),
            "FLT_MAX" => Ok(self.constant(Scalar::F32(f32::MAX))),
            "INT_MAX" => Ok(self.constant(Scalar::I32(i32::MAX))),
            "INT_MIN" => Ok(self.constant(Scalar::I32(i32::MIN))),
            _ => Err(Diagnostic::error("P0305", format!("the code reads `{name}`, which nothing defines"))
                .with_note("it is no connector, symbol, constant or earlier local")),
        }
    }

    fn read_port(&mut self, port: PortId) -> Result<ValueId, Diagnostic> {
        let Port { ty, kind, name, .. } = self.code.ports[port];
        match kind {
            PortKind::Value => Ok(self.input(port, ty)),
            PortKind::Reference => {
                self.code.ports[port].reads = true;
                Ok(self.emit(Op::Load { port, indices: Vec::new() }, ty))
            }
            PortKind::Stream => Ok(self.emit(Op::Pop(port), ty)),
            PortKind::Pointer { .. } | PortKind::Memory => {
                let indices = self.first_element(port, name)?;
                self.code.ports[port].reads = true;
                Ok(self.emit(Op::Load { port, indices }, ty))
            }
        }
    }

    /// Indices of the only element of a pointer whose subset is one element.
    fn first_element(&mut self, port: PortId, name: Name) -> Result<Vec<ValueId>, Diagnostic> {
        let rank = match self.code.ports[port].kind {
            PortKind::Pointer { rank } => rank as usize,
            _ => 1,
        };
        if !self.specs.get(port.index()).is_some_and(|spec| spec.one_element) {
            return Err(Diagnostic::error(
                "P0307",
                format!(
                    "`{}` is a pointer to several elements and is used without subscript",
                    &self.names[name]
                ),
            ));
        }
        let zero = self.constant(Scalar::I64(0));
        Ok(vec![zero; rank])
    }

    fn type_of_name(&mut self, name: &str) -> Result<Type, Diagnostic> {
        if let Some(local) = self.locals.get(name) {
            return Ok(local.ty);
        }
        if let Some(port) = self.port_of(name) {
            return Ok(self.code.ports[port].ty);
        }
        let (_, value) = self.nested(|builder| builder.name(name))?;
        Ok(self.ty(value))
    }

    fn indices(&mut self, indices: &[Expr]) -> Result<Vec<ValueId>, Diagnostic> {
        let mut list = Vec::with_capacity(indices.len());
        for index in indices {
            let value = self.value(index)?;
            if !matches!(self.ty(value), Type::Scalar(dtype) if dtype.is_integral()) {
                return Err(Diagnostic::error("P0307", "a subscript is not an integer"));
            }
            list.push(self.convert(value, DType::I64));
        }
        Ok(list)
    }

    /// The indices a pointer port takes, from those the text writes.
    fn port_indices(&mut self, port: PortId, mut indices: Vec<ValueId>) -> Result<Vec<ValueId>, Diagnostic> {
        let Port { name, kind, .. } = self.code.ports[port];
        let PortKind::Pointer { rank } = kind else {
            return match indices.len() {
                1 => Ok(indices),
                given => Err(self.wrong_rank(name, 1, given)),
            };
        };
        let rank = rank as usize;
        let Some(spec) = self.specs.get(port.index()) else {
            return Err(self.wrong_rank(name, rank, indices.len()));
        };
        if indices.len() == rank {
            return Ok(indices);
        }
        if indices.len() == spec.unit_dimensions.len() {
            // Written with the container's rank: the dimensions where the subset has one element are dropped.
            let mut unit = spec.unit_dimensions.iter();
            indices.retain(|_| unit.next() == Some(&false));
            if indices.len() == rank {
                return Ok(indices);
            }
        }
        if rank == 0 && indices.len() == 1 && self.known(indices[0]).is_some_and(|scalar| !scalar.is_true()) {
            return Ok(Vec::new());
        }
        Err(self.wrong_rank(name, rank, indices.len()))
    }

    fn wrong_rank(&self, name: Name, rank: usize, given: usize) -> Diagnostic {
        Diagnostic::error(
            "P0307",
            format!("`{}` takes {rank} subscripts here, the code has {given}", &self.names[name]),
        )
        .with_note(
            "a pointer connector is indexed by the dimensions in which its memlet has several elements",
        )
    }

    fn subscript(&mut self, base: &Expr, indices: &[Expr]) -> Result<ValueId, Diagnostic> {
        let indices = self.indices(indices)?;
        let name = match base {
            Expr::Name(name) => Some(name.clone()),
            Expr::Field(..) => dotted(base),
            _ => None,
        };
        if let Some(name) = name
            && !self.locals.contains_key(&name)
        {
            if let Some(id) = self.names.lookup(&name)
                && !self.code.ports.values().any(|port| port.name == id)
                && let Some(value) = self.constant_element(id, &indices)?
            {
                return Ok(value);
            }
            if let Some(port) = self.port_of(&name) {
                return self.read_element(port, indices);
            }
        }
        let value = self.value(base)?;
        self.lane(value, &indices)
    }

    fn read_element(&mut self, port: PortId, indices: Vec<ValueId>) -> Result<ValueId, Diagnostic> {
        let Port { ty, kind, .. } = self.code.ports[port];
        match kind {
            PortKind::Pointer { .. } | PortKind::Memory => {
                let indices = self.port_indices(port, indices)?;
                self.code.ports[port].reads = true;
                Ok(self.emit(Op::Load { port, indices }, ty))
            }
            _ => {
                let value = self.read_port(port)?;
                self.lane(value, &indices)
            }
        }
    }

    /// An element of a vector; a number has one element, number zero.
    fn lane(&mut self, value: ValueId, indices: &[ValueId]) -> Result<ValueId, Diagnostic> {
        match (self.ty(value), indices) {
            (Type::Vector(dtype, _), [index]) => Ok(self.emit(Op::Lane(value, *index), Type::Scalar(dtype))),
            (_, indices)
                if indices.iter().all(|&index| self.known(index).is_some_and(|zero| !zero.is_true())) =>
            {
                Ok(value)
            }
            _ => Err(Diagnostic::error("P0307", "a subscript of a value that is not indexable")),
        }
    }

    /// An element of a constant array: a constant if the indices are, else a read through a port of its name.
    fn constant_element(&mut self, name: Name, indices: &[ValueId]) -> Result<Option<ValueId>, Diagnostic> {
        let Some(constant) = self.environment.constant(name) else {
            return Ok(None);
        };
        if indices.len() != constant.shape.len() {
            return Err(self.wrong_rank(name, constant.shape.len(), indices.len()));
        }
        let known: Option<Vec<i64>> =
            indices.iter().map(|&index| self.known(index).map(Scalar::as_i64)).collect();
        if let Some(known) = known {
            let mut at = 0;
            for (&index, &extent) in known.iter().zip(constant.shape) {
                if index < 0 || index >= extent {
                    return Err(Diagnostic::error("P0307", "a subscript outside a constant array"));
                }
                at = at * extent + index;
            }
            return match usize::try_from(at).ok().and_then(|at| constant.values.get(at)) {
                Some(&value) => Ok(Some(self.constant(value))),
                None => Err(Diagnostic::error("P0307", "a subscript outside a constant array")),
            };
        }
        let dtype = constant.values.first().map_or(DType::I32, |value| value.dtype());
        let port = Port {
            name,
            ty: Type::Scalar(dtype),
            kind: PortKind::Pointer { rank: constant.shape.len() as u8 },
            reads: true,
            writes: false,
        };
        let unit_dimensions = vec![false; constant.shape.len()];
        let port = self.add_port(PortSpec { port, unit_dimensions, one_element: false, infer_type: false });
        Ok(Some(self.emit(Op::Load { port, indices: indices.to_vec() }, Type::Scalar(dtype))))
    }

    fn field(&mut self, expr: &Expr, base: &Expr, field: &str) -> Result<ValueId, Diagnostic> {
        if let Some(name) = dotted(expr) {
            let root = name.split('.').next().unwrap_or(&name);
            if !self.locals.contains_key(root)
                && let Some(port) = self.port_of(&name)
            {
                return self.read_port(port);
            }
        }
        let value = self.value(base)?;
        self.field_of(value, field)
    }

    fn field_of(&mut self, value: ValueId, field: &str) -> Result<ValueId, Diagnostic> {
        match self.ty(value) {
            Type::Struct(id) => {
                let (index, ty) = self.field_place(id, field)?;
                Ok(self.emit(Op::Field(value, index), ty))
            }
            Type::Scalar(_) if field == "real" => functions::part(self, Func::Real, value),
            Type::Scalar(_) if field == "imag" => functions::part(self, Func::Imag, value),
            _ => Err(type_error(format!("a value has no field `{field}`"))),
        }
    }

    fn field_place(&self, id: StructId, field: &str) -> Result<(u32, Type), Diagnostic> {
        let def = self.structs.get(id).ok_or_else(|| type_error("an unknown record type".into()))?;
        let place = self.names.lookup(field).and_then(|name| def.field_index(name));
        match place {
            Some(index) => Ok((index as u32, def.fields[index].ty)),
            None => Err(type_error(format!("the record `{}` has no field `{field}`", &self.names[def.name]))),
        }
    }

    fn method(&mut self, base: ValueId, method: &str, arguments: &[Expr]) -> Result<ValueId, Diagnostic> {
        match (method, arguments) {
            ("real", []) => functions::part(self, Func::Real, base),
            ("imag", []) => functions::part(self, Func::Imag, base),
            ("conj" | "conjugate", []) => functions::call(self, "conj", vec![base]),
            _ => Err(unsupported(&format!("the method `{method}`"))),
        }
    }

    fn call_expr(
        &mut self,
        function: &str,
        arguments: &[Expr],
        keywords: &[(String, Expr)],
    ) -> Result<ValueId, Diagnostic> {
        if let Some(id) = self.struct_named(function) {
            return self.record(id, arguments, keywords);
        }
        if !keywords.is_empty() {
            return Err(unsupported(&format!("named arguments of `{function}`")));
        }
        if let Some((base, method)) = function.rsplit_once('.')
            && (self.locals.contains_key(base) || self.port_of(base).is_some())
        {
            if method == "pop"
                && let Some(port) = self.port_of(base)
                && self.code.ports[port].kind == PortKind::Stream
            {
                return self.read_port(port);
            }
            let base = self.value(&Expr::Name(base.to_string()))?;
            return self.method(base, method, arguments);
        }
        if let Some(op) = functions::comparison_named(function) {
            let [first, rest @ ..] = arguments else {
                return Err(functions::wrong_arguments(function));
            };
            let mut result = self.value(first)?;
            for right in rest {
                result = self.binary_expr(op, result, right)?;
            }
            return Ok(result);
        }
        match (function, arguments) {
            ("And" | "AND" | "logical_and", [first, rest @ ..]) => {
                let all = rest
                    .iter()
                    .fold(first.clone(), |left, right| Expr::And(Box::new(left), Box::new(right.clone())));
                return self.value(&all);
            }
            ("Or" | "OR" | "logical_or", [first, rest @ ..]) => {
                let any = rest
                    .iter()
                    .fold(first.clone(), |left, right| Expr::Or(Box::new(left), Box::new(right.clone())));
                return self.value(&any);
            }
            ("Not" | "logical_not", [value]) => {
                let value = self.value(value)?;
                return self.unary_expr(Unary::Not, value);
            }
            ("IfExpr" | "ITE", [condition, then, otherwise]) => {
                let condition = self.value(condition)?;
                let condition = self.truth(condition)?;
                return self.choose(
                    condition,
                    |builder| builder.value(then),
                    |builder| builder.value(otherwise),
                );
            }
            _ => {}
        }
        if let Some(dtype) = named(function) {
            return self.conversion(dtype, function, arguments);
        }
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.value(argument)?);
        }
        functions::call(self, function, values)
    }

    fn conversion(&mut self, dtype: DType, name: &str, arguments: &[Expr]) -> Result<ValueId, Diagnostic> {
        match arguments {
            [] => Ok(self.constant(Scalar::zero(dtype))),
            [value] => {
                let value = self.value(value)?;
                self.dtype(value)?;
                Ok(self.convert(value, dtype))
            }
            [re, im] if dtype.is_complex() => {
                let (re, im) = (self.value(re)?, self.value(im)?);
                let part = if dtype == DType::C64 { DType::F32 } else { DType::F64 };
                let (re, im) = (self.convert(re, part), self.convert(im, part));
                Ok(self.call(Func::Complex, vec![re, im], dtype))
            }
            _ => Err(functions::wrong_arguments(name)),
        }
    }

    fn struct_named(&self, function: &str) -> Option<StructId> {
        let name = function.strip_prefix("__DACESTRUCT_").unwrap_or(function);
        let name = name.rsplit('.').next().unwrap_or(name);
        let name = self.names.lookup(name)?;
        self.structs.iter().find(|(_, def)| def.name == name).map(|(id, _)| id)
    }

    fn record(
        &mut self,
        id: StructId,
        arguments: &[Expr],
        keywords: &[(String, Expr)],
    ) -> Result<ValueId, Diagnostic> {
        for (name, _) in keywords {
            self.field_place(id, name)?;
        }
        let fields = self.structs[id].fields.clone();
        let mut values = Vec::with_capacity(fields.len());
        for (index, field) in fields.iter().enumerate() {
            let given = keywords
                .iter()
                .find(|(name, _)| *name == self.names[field.name])
                .map(|(_, value)| value)
                .or_else(|| arguments.get(index));
            let value = match given {
                Some(expr) => {
                    let value = self.value(expr)?;
                    self.convert_to(value, field.ty)?
                }
                None => self.zero(field.ty)?,
            };
            values.push(value);
        }
        Ok(self.emit(Op::MakeStruct(values), Type::Struct(id)))
    }

    fn zero(&mut self, ty: Type) -> Result<ValueId, Diagnostic> {
        match ty {
            Type::Scalar(dtype) => Ok(self.constant(Scalar::zero(dtype))),
            Type::Vector(dtype, lanes) => {
                let zero = self.constant(Scalar::zero(dtype));
                Ok(self.emit(Op::Splat(zero, lanes), ty))
            }
            Type::Struct(id) => self.record(id, &[], &[]),
            Type::Opaque(_) => Err(type_error("a value of an opaque type".into())),
        }
    }
}

// Statements.
impl Builder<'_> {
    fn statements(&mut self, list: &[Stmt]) -> Result<(), Diagnostic> {
        list.iter().try_for_each(|item| self.statement(item))
    }

    fn statement(&mut self, item: &Stmt) -> Result<(), Diagnostic> {
        match item {
            Stmt::Assign(targets, value) => self.assignment(targets, value),
            Stmt::Augment(target, op, value) => {
                let old = self.value(target)?;
                let new = self.binary_expr(*op, old, value)?;
                self.assign(target, new)
            }
            Stmt::Declare(name, ty, value) => self.declaration(name, ty, value.as_ref()),
            Stmt::If(condition, then, otherwise) => {
                let condition = self.value(condition)?;
                let condition = self.truth(condition)?;
                self.branch(condition, then, otherwise)
            }
            Stmt::While(condition, body) => {
                let assigned = assigned_names(body);
                self.repeat(
                    &assigned,
                    |builder| {
                        let value = builder.value(condition)?;
                        builder.truth(value)
                    },
                    |builder| builder.statements(body),
                )
            }
            Stmt::Range { variable, start, stop, step, body } => {
                self.range_loop(variable, start, stop, step, body)
            }
            Stmt::Block(body) => self.scoped(|builder| builder.statements(body)),
            Stmt::Evaluate(expr) => self.evaluate(expr),
        }
    }

    fn scoped(&mut self, f: impl FnOnce(&mut Self) -> Result<(), Diagnostic>) -> Result<(), Diagnostic> {
        let count = self.locals.len();
        f(self)?;
        self.locals.truncate(count);
        Ok(())
    }

    fn evaluate(&mut self, expr: &Expr) -> Result<(), Diagnostic> {
        match expr {
            // A docstring, or DaCe's own memlet syntax left in the text.
            Expr::Text(_) | Expr::Binary(Binary::Shl | Binary::Shr, ..) | Expr::Name(_) => Ok(()),
            Expr::Call { function, arguments, .. } => {
                let plain = function.rsplit('.').next().unwrap_or(function);
                if matches!(plain, "print" | "printf" | "fflush" | "assert" | "define_local") {
                    return Ok(());
                }
                if plain == "push"
                    && let (Some((base, _)), [value]) = (function.rsplit_once('.'), &arguments[..])
                {
                    let value = self.value(value)?;
                    return self.assign(&Expr::Name(base.to_string()), value);
                }
                match (plain, &arguments[..]) {
                    ("py_divmod" | "cpp_divmod", [a, b, quotient, remainder]) => {
                        let (a, b) = (self.value(a)?, self.value(b)?);
                        let (q, r) = functions::divmod(self, plain == "py_divmod", a, b)?;
                        self.assign(quotient, q)?;
                        self.assign(remainder, r)
                    }
                    ("np_frexp", [value, mantissa, exponent]) => {
                        let value = self.value(value)?;
                        let (m, e) = functions::frexp(self, value)?;
                        self.assign(mantissa, m)?;
                        self.assign(exponent, e)
                    }
                    ("np_modf", [value, integral, fractional]) => {
                        let value = self.value(value)?;
                        let whole = functions::real_function(self, Func::Trunc, value)?;
                        let fraction = self.arithmetic(BinaryOp::Sub, value, whole)?;
                        self.assign(integral, whole)?;
                        self.assign(fractional, fraction)
                    }
                    _ if plain.starts_with("CopyImpl<") || plain == "memcpy" => self.copy(plain, arguments),
                    _ => self.value(expr).map(drop),
                }
            }
            _ => self.value(expr).map(drop),
        }
    }

    /// `dace::CopyImpl<T, ..>(source, target, count)`: `count` elements, one after another.
    fn copy(&mut self, function: &str, arguments: &[Expr]) -> Result<(), Diagnostic> {
        let [source @ Expr::Name(_), target @ Expr::Name(_), count] = arguments else {
            return Err(functions::wrong_arguments(function));
        };
        if function == "memcpy" {
            return Err(unsupported("`memcpy`"));
        }
        let index = "__copy_index".to_string();
        let at = |base: &Expr| Expr::Subscript(Box::new(base.clone()), vec![Expr::Name(index.clone())]);
        let body = vec![Stmt::Assign(vec![at(target)], at(source))];
        self.range_loop(&index, &Expr::int(0), count, &Expr::int(1), &body)
    }

    fn declaration(&mut self, name: &str, ty: &str, value: Option<&Expr>) -> Result<(), Diagnostic> {
        let dtype = named(ty);
        if dtype.is_none() && ty != "auto" {
            return Err(Diagnostic::error("P0306", format!("`{ty}` is not a type known here")));
        }
        let value = value.map(|value| self.value(value)).transpose()?;
        let value = match (dtype, value) {
            (Some(dtype), Some(value)) => Some(self.convert_to(value, Type::Scalar(dtype))?),
            (_, value) => value,
        };
        if self.locals.contains_key(name) {
            // Annotating an output only converts; a second declaration of a local is an error in C.
            return match value {
                Some(value) => self.assign(&Expr::Name(name.to_string()), value),
                None => Ok(()),
            };
        }
        let ty = match (dtype, value) {
            (Some(dtype), _) => Type::Scalar(dtype),
            (None, Some(value)) => self.ty(value),
            (None, None) => return Err(unsupported("`auto` without a value")),
        };
        self.locals.insert(name.to_string(), Local { ty, value });
        Ok(())
    }

    fn assignment(&mut self, targets: &[Expr], value: &Expr) -> Result<(), Diagnostic> {
        if let Expr::Tuple(values) = value {
            let values = values.iter().map(|value| self.value(value)).collect::<Result<Vec<_>, _>>()?;
            return targets.iter().rev().try_for_each(|target| match target {
                Expr::Tuple(places) if places.len() == values.len() => {
                    places.iter().zip(&values).try_for_each(|(place, &value)| self.assign(place, value))
                }
                _ => Err(unsupported("an assignment of a tuple to something else")),
            });
        }
        let value = self.value(value)?;
        // C assigns from right to left, and each target passes on its own value.
        let mut passed = value;
        for target in targets.iter().rev() {
            self.assign(target, passed)?;
            if targets.len() > 1
                && let Expr::Name(name) = target
                && let Some(Local { value: Some(value), .. }) = self.locals.get(name)
            {
                passed = *value;
            }
        }
        Ok(())
    }

    fn assign(&mut self, target: &Expr, value: ValueId) -> Result<(), Diagnostic> {
        match target {
            Expr::Name(name) => self.assign_name(name, value),
            Expr::Subscript(base, indices) => {
                let indices = self.indices(indices)?;
                self.assign_element(base, indices, value)
            }
            Expr::Field(base, field) => {
                let old = match &**base {
                    Expr::Name(name) if self.locals.get(name).is_some_and(|local| local.value.is_none()) => {
                        let ty = self.locals[name.as_str()].ty;
                        self.zero(ty)?
                    }
                    _ => self.value(base)?,
                };
                let Type::Struct(id) = self.ty(old) else {
                    return Err(type_error(format!(
                        "assignment to field `{field}` of something else than a record"
                    )));
                };
                let (index, ty) = self.field_place(id, field)?;
                let value = self.convert_to(value, ty)?;
                let new = self.emit(Op::WithField(old, index, value), Type::Struct(id));
                self.assign(base, new)
            }
            _ => Err(unsupported("an assignment to this target")),
        }
    }

    fn assign_name(&mut self, name: &str, value: ValueId) -> Result<(), Diagnostic> {
        if let Some(local) = self.locals.get(name) {
            let value = self.convert_to(value, local.ty)?;
            self.locals[name].value = Some(value);
            return Ok(());
        }
        let Some(port) = self.port_of(name) else {
            let ty = self.ty(value);
            self.locals.insert(name.to_string(), Local { ty, value: Some(value) });
            return Ok(());
        };
        if self.specs.get(port.index()).is_some_and(|spec| spec.infer_type) {
            let ty = self.ty(value);
            self.code.ports[port].ty = ty;
            self.locals.insert(name.to_string(), Local { ty, value: Some(value) });
            return Ok(());
        }
        let Port { ty, kind, writes, name: id, .. } = self.code.ports[port];
        if !writes {
            // A copy of the input may be changed, as in C.
            let value = self.convert_to(value, ty)?;
            if kind == PortKind::Value {
                self.locals.insert(name.to_string(), Local { ty, value: Some(value) });
                return Ok(());
            }
            return Err(unsupported(&format!("an assignment to the input `{name}`")));
        }
        let value = self.convert_to(value, ty)?;
        match kind {
            PortKind::Stream => self.effect(Op::Push { port, value }),
            PortKind::Reference => self.effect(Op::Store { port, indices: Vec::new(), value }),
            PortKind::Pointer { .. } | PortKind::Memory => {
                let indices = self.first_element(port, id)?;
                self.effect(Op::Store { port, indices, value });
            }
            PortKind::Value => {
                self.locals.insert(name.to_string(), Local { ty, value: Some(value) });
            }
        }
        Ok(())
    }

    fn assign_element(
        &mut self,
        base: &Expr,
        indices: Vec<ValueId>,
        value: ValueId,
    ) -> Result<(), Diagnostic> {
        if let Expr::Name(name) = base
            && !self.locals.contains_key(name)
            && let Some(port) = self.port_of(name)
        {
            let Port { ty, kind, writes, .. } = self.code.ports[port];
            if !writes {
                return Err(unsupported(&format!("an assignment to the input `{name}`")));
            }
            if matches!(kind, PortKind::Pointer { .. } | PortKind::Memory) {
                let indices = self.port_indices(port, indices)?;
                let value = self.convert_to(value, ty)?;
                self.effect(Op::Store { port, indices, value });
                return Ok(());
            }
        }
        let old = match base {
            Expr::Name(name) if self.locals.get(name).is_some_and(|local| local.value.is_none()) => {
                let ty = self.locals[name.as_str()].ty;
                self.zero(ty)?
            }
            _ => self.value(base)?,
        };
        match (self.ty(old), &indices[..]) {
            (Type::Vector(dtype, lanes), [index]) => {
                let value = self.convert_to(value, Type::Scalar(dtype))?;
                let new = self.emit(Op::WithLane(old, *index, value), Type::Vector(dtype, lanes));
                self.assign(base, new)
            }
            (_, indices)
                if indices.iter().all(|&index| self.known(index).is_some_and(|zero| !zero.is_true())) =>
            {
                self.assign(base, value)
            }
            _ => Err(Diagnostic::error("P0307", "a subscript of a value that is not indexable")),
        }
    }

    fn branch(&mut self, condition: ValueId, then: &[Stmt], otherwise: &[Stmt]) -> Result<(), Diagnostic> {
        if let Some(scalar) = self.known(condition) {
            return self.statements(if scalar.is_true() { then } else { otherwise });
        }
        let before = self.locals.clone();
        let (mut then_insts, ()) = self.nested(|builder| builder.statements(then))?;
        let then_locals = std::mem::replace(&mut self.locals, before.clone());
        let (mut otherwise_insts, ()) = self.nested(|builder| builder.statements(otherwise))?;
        let otherwise_locals = std::mem::replace(&mut self.locals, before);

        let mut merged = then_locals.clone();
        for (name, local) in &otherwise_locals {
            merged.entry(name.clone()).or_insert_with(|| local.clone());
        }
        let mut then_results = Vec::new();
        let mut otherwise_results = Vec::new();
        let mut results = Vec::new();
        for (name, local) in &merged {
            let a = then_locals.get(name).and_then(|local| local.value);
            let b = otherwise_locals.get(name).and_then(|local| local.value);
            let mut value = a;
            if a != b {
                let a = a.unwrap_or_else(|| self.undefined(local.ty));
                let b = b.unwrap_or_else(|| self.undefined(local.ty));
                let (insts, a) = self.nested(|builder| builder.convert_to(a, local.ty))?;
                then_insts.extend(insts);
                let (insts, b) = self.nested(|builder| builder.convert_to(b, local.ty))?;
                otherwise_insts.extend(insts);
                then_results.push(a);
                otherwise_results.push(b);
                let result = self.define(local.ty);
                results.push(result);
                value = Some(result);
            }
            self.locals.insert(name.clone(), Local { ty: local.ty, value });
        }
        let then = Block { insts: then_insts, results: then_results };
        let otherwise = Block { insts: otherwise_insts, results: otherwise_results };
        self.open.push(Inst { op: Op::If { condition, then, otherwise }, results });
        Ok(())
    }

    fn range_loop(
        &mut self,
        variable: &str,
        start: &Expr,
        stop: &Expr,
        step: &Expr,
        body: &[Stmt],
    ) -> Result<(), Diagnostic> {
        let (start, stop, step) = (self.value(start)?, self.value(stop)?, self.value(step)?);
        let dtype = common(common(self.dtype(start)?, self.dtype(stop)?), self.dtype(step)?);
        if !dtype.is_integral() {
            return Err(type_error("`range` of numbers that are not integers".into()));
        }
        let start = self.convert(start, dtype);
        let (stop, step) = (self.convert(stop, dtype), self.convert(step, dtype));
        self.scoped(|builder| {
            builder
                .locals
                .insert(variable.to_string(), Local { ty: Type::Scalar(dtype), value: Some(start) });
            let mut assigned = assigned_names(body);
            assigned.push(variable.to_string());
            builder.repeat(
                &assigned,
                |builder| {
                    let at = builder.name(variable)?;
                    let up = builder.binary(BinaryOp::Lt, at, stop);
                    let down = builder.binary(BinaryOp::Gt, at, stop);
                    let zero = builder.constant(Scalar::zero(dtype));
                    let rising = builder.binary(BinaryOp::Gt, step, zero);
                    Ok(builder.select(rising, up, down))
                },
                |builder| {
                    builder.statements(body)?;
                    let at = builder.name(variable)?;
                    let next = builder.binary(BinaryOp::Add, at, step);
                    builder.assign_name(variable, next)
                },
            )
        })
    }

    /// A loop that carries the `assigned` names among the locals.
    fn repeat(
        &mut self,
        assigned: &[String],
        condition: impl FnOnce(&mut Self) -> Result<ValueId, Diagnostic>,
        body: impl FnOnce(&mut Self) -> Result<(), Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let mut names: Vec<String> = Vec::new();
        for name in assigned {
            // An assigned copy of an input lives on across iterations like any local.
            if !self.locals.contains_key(name)
                && let Some(port) = self.port_of(name)
                && let Port { kind: PortKind::Value, ty, writes: false, .. } = self.code.ports[port]
            {
                let value = self.input(port, ty);
                self.locals.insert(name.clone(), Local { ty, value: Some(value) });
            }
            if self.locals.contains_key(name) && !names.contains(name) {
                names.push(name.clone());
            }
        }
        let mut carried = Vec::with_capacity(names.len());
        let mut params = Vec::with_capacity(names.len());
        for name in &names {
            let Local { ty, value } = self.locals[name.as_str()];
            carried.push(value.unwrap_or_else(|| self.undefined(ty)));
            let param = self.define(ty);
            params.push(param);
            self.locals[name.as_str()].value = Some(param);
        }
        let (insts, holds) = self.nested(condition)?;
        let condition = Block { insts, results: vec![holds] };
        let count = self.locals.len();
        let (insts, ()) = self.nested(body)?;
        self.locals.truncate(count);
        let next = names.iter().zip(&params).map(|(name, &param)| {
            self.locals.get(name.as_str()).and_then(|local| local.value).unwrap_or(param)
        });
        let body = Block { insts, results: next.collect() };
        let mut results = Vec::with_capacity(names.len());
        for name in &names {
            let result = self.define(self.locals[name.as_str()].ty);
            results.push(result);
            self.locals[name.as_str()].value = Some(result);
        }
        self.open.push(Inst { op: Op::Loop { carried, params, condition, body }, results });
        Ok(())
    }
}

/// Names that statements assign, in order of first assignment.
fn assigned_names(list: &[Stmt]) -> Vec<String> {
    fn target(expr: &Expr, names: &mut Vec<String>) {
        match expr {
            Expr::Name(name) if !names.contains(name) => {
                names.push(name.clone());
            }
            Expr::Subscript(base, _) | Expr::Field(base, _) => target(base, names),
            Expr::Tuple(list) => list.iter().for_each(|item| target(item, names)),
            _ => {}
        }
    }
    fn walk(list: &[Stmt], names: &mut Vec<String>) {
        for item in list {
            match item {
                Stmt::Assign(targets, _) => targets.iter().for_each(|item| target(item, names)),
                Stmt::Augment(place, ..) => target(place, names),
                Stmt::Evaluate(Expr::Call { arguments, .. }) => {
                    // Functions with result parameters.
                    arguments.iter().for_each(|item| target(item, names));
                }
                Stmt::Declare(name, _, Some(_)) => target(&Expr::Name(name.clone()), names),
                Stmt::If(_, then, otherwise) => {
                    walk(then, names);
                    walk(otherwise, names);
                }
                Stmt::While(_, body) | Stmt::Range { body, .. } | Stmt::Block(body) => walk(body, names),
                Stmt::Declare(..) | Stmt::Evaluate(_) => {}
            }
        }
    }
    let mut names = Vec::new();
    walk(list, &mut names);
    names
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
