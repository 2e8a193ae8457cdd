//! Statements.

use crate::diag::Diagnostic;
use crate::entity::EntityId;
use crate::scalar::parse::functions;
use crate::scalar::parse::tree::{Binary, Expr, Stmt};
use crate::scalar::parse::types::{common, named};
use crate::scalar::parse::unsupported;
use crate::scalar::{BinaryOp, Block, Func, Inst, Op, Port, PortKind, Scalar, Type, ValueId};

use super::{Builder, Local, type_error};

impl Builder<'_> {
    pub(super) fn statements(&mut self, list: &[Stmt]) -> Result<(), Diagnostic> {
        list.iter().try_for_each(|item| self.statement(item))
    }

    pub(super) fn statement(&mut self, item: &Stmt) -> Result<(), Diagnostic> {
        match item {
            Stmt::Assign(targets, value) => self.assignment(targets, value),
            Stmt::Augment(target, op, value) => {
                if let Expr::Name(name) = target
                    && self.is_symbol(name)
                {
                    // In generated C++ that is the variable itself, and everybody behind the tasklet would see it.
                    let help = "assign the symbol on an edge between states";
                    return Err(unsupported(&format!("a change of the symbol `{name}`")).with_help(help));
                }
                let old = self.value(target)?;
                let new = self.binary_expr(*op, old, value)?;
                self.assign(target, new)
            }
            Stmt::Define(name, parameters, body) => {
                self.functions.insert(name.clone(), (parameters.clone(), body.clone()));
                Ok(())
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

    pub(super) fn scoped(
        &mut self,
        f: impl FnOnce(&mut Self) -> Result<(), Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let count = self.locals.len();
        f(self)?;
        self.locals.truncate(count);
        Ok(())
    }

    pub(super) fn evaluate(&mut self, expr: &Expr) -> Result<(), Diagnostic> {
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
    pub(super) fn copy(&mut self, function: &str, arguments: &[Expr]) -> Result<(), Diagnostic> {
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

    pub(super) fn declaration(
        &mut self,
        name: &str,
        ty: &str,
        value: Option<&Expr>,
    ) -> Result<(), Diagnostic> {
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

    pub(super) fn assignment(&mut self, targets: &[Expr], value: &Expr) -> Result<(), Diagnostic> {
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

    pub(super) fn assign(&mut self, target: &Expr, value: ValueId) -> Result<(), Diagnostic> {
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

    pub(super) fn assign_name(&mut self, name: &str, value: ValueId) -> Result<(), Diagnostic> {
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

    pub(super) fn assign_element(
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

    pub(super) fn branch(
        &mut self,
        condition: ValueId,
        then: &[Stmt],
        otherwise: &[Stmt],
    ) -> Result<(), Diagnostic> {
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

    pub(super) fn range_loop(
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
    pub(super) fn repeat(
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
            Expr::Name(name) if !names.contains(name) => names.push(name.clone()),
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
                Stmt::Declare(..) | Stmt::Define(..) | Stmt::Evaluate(_) => {}
            }
        }
    }
    let mut names = Vec::new();
    walk(list, &mut names);
    names
}
