//! Names, subscripts and fields: how code reaches what lies outside it, and parts of values.

use crate::diag::Diagnostic;
use crate::entity::{EntityId, Name};
use crate::scalar::parse::functions;
use crate::scalar::parse::tree::Expr;
use crate::scalar::{DType, Func, Op, Port, PortId, PortKind, Scalar, StructId, Type, ValueId};

use super::{Builder, PortSpec, dotted, type_error};

impl Builder<'_> {
    /// The port a name stands for; in control flow, made when first used.
    pub(super) fn port_of(&mut self, name: &str) -> Option<PortId> {
        let name = self.names.lookup(name)?;
        if let Some((id, _)) = self.code.ports.iter().find(|(_, port)| port.name == name) {
            return Some(id);
        }
        let spec = self.environment.container(self.names, name)?;
        Some(self.add_port(spec))
    }

    /// Whether a name is a symbol of the graph here.
    pub(super) fn is_symbol(&self, name: &str) -> bool {
        let Some(id) = self.names.lookup(name).filter(|_| !self.locals.contains_key(name)) else {
            return false;
        };
        let is_port = self.code.ports.values().any(|port| port.name == id);
        !is_port && self.environment.constant(id).is_none() && self.environment.symbol(id).is_some()
    }

    pub(super) fn name(&mut self, name: &str) -> Result<ValueId, Diagnostic> {
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

    pub(super) fn read_port(&mut self, port: PortId) -> Result<ValueId, Diagnostic> {
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
    pub(super) fn first_element(&mut self, port: PortId, name: Name) -> Result<Vec<ValueId>, Diagnostic> {
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

    pub(super) fn type_of_name(&mut self, name: &str) -> Result<Type, Diagnostic> {
        if let Some(local) = self.locals.get(name) {
            return Ok(local.ty);
        }
        if let Some(port) = self.port_of(name) {
            return Ok(self.code.ports[port].ty);
        }
        let (_, value) = self.nested(|builder| builder.name(name))?;
        Ok(self.ty(value))
    }

    pub(super) fn indices(&mut self, indices: &[Expr]) -> Result<Vec<ValueId>, Diagnostic> {
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
    pub(super) fn port_indices(
        &mut self,
        port: PortId,
        mut indices: Vec<ValueId>,
    ) -> Result<Vec<ValueId>, Diagnostic> {
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

    pub(super) fn wrong_rank(&self, name: Name, rank: usize, given: usize) -> Diagnostic {
        Diagnostic::error(
            "P0307",
            format!("`{}` takes {rank} subscripts here, the code has {given}", &self.names[name]),
        )
        .with_note(
            "a pointer connector is indexed by the dimensions in which its memlet has several elements",
        )
    }

    pub(super) fn subscript(&mut self, base: &Expr, indices: &[Expr]) -> Result<ValueId, Diagnostic> {
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

    pub(super) fn read_element(
        &mut self,
        port: PortId,
        indices: Vec<ValueId>,
    ) -> Result<ValueId, Diagnostic> {
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
    pub(super) fn lane(&mut self, value: ValueId, indices: &[ValueId]) -> Result<ValueId, Diagnostic> {
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
    pub(super) fn constant_element(
        &mut self,
        name: Name,
        indices: &[ValueId],
    ) -> Result<Option<ValueId>, Diagnostic> {
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

    pub(super) fn field(&mut self, expr: &Expr, base: &Expr, field: &str) -> Result<ValueId, Diagnostic> {
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

    pub(super) fn field_of(&mut self, value: ValueId, field: &str) -> Result<ValueId, Diagnostic> {
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

    pub(super) fn field_place(&self, id: StructId, field: &str) -> Result<(u32, Type), Diagnostic> {
        let def = self.structs.get(id).ok_or_else(|| type_error("an unknown record type".into()))?;
        let place = self.names.lookup(field).and_then(|name| def.field_index(name));
        match place {
            Some(index) => Ok((index as u32, def.fields[index].ty)),
            None => Err(type_error(format!("the record `{}` has no field `{field}`", &self.names[def.name]))),
        }
    }
    pub(super) fn struct_named(&self, function: &str) -> Option<StructId> {
        let name = function.strip_prefix("__DACESTRUCT_").unwrap_or(function);
        let name = name.rsplit('.').next().unwrap_or(name);
        let name = self.names.lookup(name)?;
        self.structs.iter().find(|(_, def)| def.name == name).map(|(id, _)| id)
    }

    pub(super) fn record(
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

    pub(super) fn zero(&mut self, ty: Type) -> Result<ValueId, Diagnostic> {
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
