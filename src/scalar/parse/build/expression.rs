//! Expressions.

use crate::diag::Diagnostic;
use crate::scalar::parse::functions;
use crate::scalar::parse::tree::{Binary, Expr, IntSuffix, Unary};
use crate::scalar::parse::types::{common_unpromoted, named, promoted};
use crate::scalar::parse::unsupported;
use crate::scalar::{BinaryOp, Block, DType, Func, Op, PortKind, Scalar, Type, UnaryOp, ValueId};

use super::{Builder, Local, type_error};

impl Builder<'_> {
    /// Lowers an expression to a value.
    pub(in crate::scalar::parse) fn value(&mut self, expr: &Expr) -> Result<ValueId, Diagnostic> {
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

    pub(super) fn integer(&mut self, value: i128, suffix: IntSuffix) -> Result<ValueId, Diagnostic> {
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

    pub(super) fn unary_expr(&mut self, op: Unary, value: ValueId) -> Result<ValueId, Diagnostic> {
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
    pub(super) fn chain(&mut self, expr: &Expr) -> Result<ValueId, Diagnostic> {
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

    pub(in crate::scalar::parse) fn binary_expr(
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

    pub(super) fn binary_values(
        &mut self,
        op: Binary,
        left: ValueId,
        right: ValueId,
    ) -> Result<ValueId, Diagnostic> {
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

    pub(in crate::scalar::parse) fn shift(
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

    pub(super) fn power(&mut self, base: ValueId, exponent: &Expr) -> Result<ValueId, Diagnostic> {
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
    pub(super) fn logic(&mut self, expr: &Expr) -> Result<ValueId, Diagnostic> {
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
    pub(super) fn identity(&mut self, op: Binary, left: &Expr, right: &Expr) -> Result<ValueId, Diagnostic> {
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
    pub(super) fn method(
        &mut self,
        base: ValueId,
        method: &str,
        arguments: &[Expr],
    ) -> Result<ValueId, Diagnostic> {
        match (method, arguments) {
            ("real", []) => functions::part(self, Func::Real, base),
            ("imag", []) => functions::part(self, Func::Imag, base),
            ("conj" | "conjugate", []) => functions::call(self, "conj", vec![base]),
            _ => Err(unsupported(&format!("the method `{method}`"))),
        }
    }
    /// The body of a function that the code defines, with its parameters as locals.
    fn call_defined(
        &mut self,
        function: &str,
        parameters: &[String],
        body: &Expr,
        arguments: &[Expr],
        keywords: &[(String, Expr)],
    ) -> Result<ValueId, Diagnostic> {
        if self.in_function {
            // Without a bound, calls of calls are as many as two to the power of the functions.
            return Err(unsupported(&format!("a call of `{function}` inside a lambda")));
        }
        if !keywords.is_empty() || parameters.len() != arguments.len() {
            return Err(functions::wrong_arguments(function));
        }
        let values = arguments.iter().map(|value| self.value(value)).collect::<Result<Vec<_>, _>>()?;
        let before = self.locals.clone();
        for (name, value) in parameters.iter().zip(values) {
            let ty = self.ty(value);
            self.locals.insert(name.clone(), Local { ty, value: Some(value) });
        }
        self.in_function = true;
        let result = self.value(body);
        self.in_function = false;
        self.locals = before;
        result
    }

    pub(super) fn call_expr(
        &mut self,
        function: &str,
        arguments: &[Expr],
        keywords: &[(String, Expr)],
    ) -> Result<ValueId, Diagnostic> {
        if let Some(id) = self.struct_named(function) {
            return self.record(id, arguments, keywords);
        }
        if let Some((parameters, body)) = self.functions.get(function).cloned() {
            return self.call_defined(function, &parameters, &body, arguments, keywords);
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

    pub(super) fn conversion(
        &mut self,
        dtype: DType,
        name: &str,
        arguments: &[Expr],
    ) -> Result<ValueId, Diagnostic> {
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
}
