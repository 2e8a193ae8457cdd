//! Containers and constants of a graph become slots.

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::interp::plan::{Container, ContainerKind, ContainerSlot, Layout, Size, SymbolSlot};
use crate::ir::{Array, Data, DataKind, Lifetime, Storage};
use crate::scalar::{Scalar, Type};

use crate::symbolic::ExprId;

use super::element::element;
use super::names::GraphNames;
use super::{Builder, MAX_DEPTH};
use crate::analysis::Uses;

impl<'p> Builder<'p> {
    /// Gives every container of the graph a slot. Layouts are compiled in the graph's scope; those of
    /// containers that live in a map are compiled again there.
    pub fn declare_containers(&mut self, names: &mut GraphNames<'p>, uses: &Uses) -> Result<(), Diagnostic> {
        let graph = names.graph;
        for (&name, data) in &graph.data {
            let text = self.program.names.get(name).to_owned();
            let alias = data.transient && (data.is_view() || data.is_reference());
            let known = !alias && !uses.is_scoped(name);
            let slot = self
                .declare(names, &text, data, known, 0)
                .map_err(|d| d.at(format!("container `{text}`")))?;
            names.containers.insert(name, slot);
            self.containers[slot as usize].origin = Some((names.id, name));
        }
        Ok(())
    }

    fn declare(
        &mut self,
        names: &mut GraphNames<'p>,
        text: &str,
        data: &'p Data,
        known: bool,
        depth: usize,
    ) -> Result<ContainerSlot, Diagnostic> {
        if depth > MAX_DEPTH {
            return Err(Diagnostic::error("P0103", "structures nest too deep"));
        }
        let kind = match &data.kind {
            DataKind::Scalar(_) => ContainerKind::Scalar,
            DataKind::Array(_) => ContainerKind::Array,
            DataKind::View(_) | DataKind::StructureView(_) | DataKind::ContainerView { .. } => {
                ContainerKind::View
            }
            DataKind::Reference(_)
            | DataKind::StructureReference(_)
            | DataKind::ContainerReference { .. } => ContainerKind::Reference,
            DataKind::Stream(_) => ContainerKind::Stream,
            DataKind::Structure(_) => ContainerKind::Structure,
            DataKind::ContainerArray { .. } => ContainerKind::Containers,
        };
        let mut members = Vec::new();
        for (member, inner) in data.members() {
            let path = format!("{text}.{}", self.program.names.get(*member));
            let slot = self.declare(names, &path, inner, known, depth + 1)?;
            if let Some(name) = self.program.names.lookup(&path) {
                names.containers.insert(name, slot);
            }
            members.push((*member, slot));
        }
        let mut template = None;
        if let DataKind::ContainerArray { element, .. }
        | DataKind::ContainerView { element, .. }
        | DataKind::ContainerReference { element, .. } = &data.kind
        {
            template = Some(self.declare(names, &format!("{text}[]"), element, known, depth + 1)?);
        }
        let layout = if known { self.layout(names, data) } else { self.placeholder(data) };
        let slot = self.push_container(text, data.ty, kind, layout)?;
        let container = &mut self.containers[slot as usize];
        container.members = members.into_boxed_slice();
        container.template = template;
        container.transient = data.transient;
        container.lifetime = data.lifetime;
        container.optional = data.array().and_then(|array| array.optional) == Some(true);
        container.private = data.storage == Storage::ThreadLocal;
        container.setzero = false;
        Ok(slot)
    }

    /// A container that belongs to no name.
    pub fn push_container(
        &mut self,
        text: &str,
        ty: Type,
        kind: ContainerKind,
        layout: Layout,
    ) -> Result<ContainerSlot, Diagnostic> {
        let slot = self.containers.len() as ContainerSlot;
        self.containers.push(Container {
            name: text.into(),
            ty,
            element: element(ty, &self.program.structs)?,
            kind,
            members: Box::new([]),
            template: None,
            layout,
            transient: true,
            origin: None,
            lifetime: Lifetime::Scope,
            setzero: false,
            optional: false,
            private: false,
            constant: None,
        });
        Ok(slot)
    }

    /// The layout of a container, seen from the present scope.
    pub fn layout(&mut self, names: &mut GraphNames<'p>, data: &Data) -> Layout {
        if let DataKind::Stream(stream) = &data.kind {
            let shape = self.sizes(names, &stream.shape);
            return Layout { shape, ..Layout::default() };
        }
        match data.array() {
            Some(array) => self.array_layout(names, array),
            None => Layout::default(),
        }
    }

    /// A layout of the right rank for a container whose symbols are not visible yet.
    fn placeholder(&self, data: &Data) -> Layout {
        let literal = |expr: &ExprId| Size::Const(self.program.exprs.as_int(*expr).unwrap_or(0));
        let shape: Box<[Size]> = data.shape().iter().map(literal).collect();
        Layout { strides: row_major(&shape), shape, ..Layout::default() }
    }

    fn array_layout(&mut self, names: &mut GraphNames<'p>, array: &Array) -> Layout {
        Layout {
            shape: self.sizes(names, &array.shape),
            strides: self.sizes(names, &array.strides),
            total: array.total_size.map(|total| self.size(names, total)),
            offset: self.sizes(names, &array.offset),
            start_offset: array.start_offset.map(|start| self.size(names, start)),
        }
    }

    /// Constants: scalars become symbols (and scalar containers), arrays become containers.
    pub fn constants(&mut self, names: &mut GraphNames<'p>) -> Result<Vec<(SymbolSlot, Scalar)>, Diagnostic> {
        let graph = names.graph;
        let mut values = Vec::new();
        for (&name, constant) in &graph.constants {
            let text = self.program.names.get(name).to_owned();
            if let ([value], true) = (constant.values.as_slice(), constant.data.shape().is_empty()) {
                let slot = self.fresh_symbol(name, value.dtype());
                names.constants.insert(name, (slot, *value));
                values.push((slot, *value));
            }
            let slot = self.constant_container(names, name, &text)?;
            names.constant_arrays.insert(name, slot);
        }
        Ok(values)
    }

    fn constant_container(
        &mut self,
        names: &mut GraphNames<'p>,
        name: Name,
        text: &str,
    ) -> Result<ContainerSlot, Diagnostic> {
        let constant = &names.graph.constants[&name];
        let shape = self.sizes(names, constant.data.shape());
        let strides = row_major(&shape);
        let kind = if shape.is_empty() { ContainerKind::Scalar } else { ContainerKind::Array };
        let layout = Layout { shape, strides, ..Layout::default() };
        let slot = self.push_container(text, constant.data.ty, kind, layout)?;
        let mut bytes = Vec::new();
        for value in &constant.values {
            let start = bytes.len();
            bytes.resize(start + value.dtype().bytes(), 0);
            value.write_le_bytes(&mut bytes[start..]);
        }
        self.containers[slot as usize].constant = Some(bytes.into_boxed_slice());
        Ok(slot)
    }
}

/// Row-major distances, where the shape is literal; queues and constants have no others.
fn row_major(shape: &[Size]) -> Box<[Size]> {
    let mut strides = vec![Size::Const(1); shape.len()];
    let mut stride: i64 = 1;
    for (slot, extent) in strides.iter_mut().zip(shape).rev() {
        *slot = Size::Const(stride);
        if let Size::Const(extent) = extent {
            stride = stride.saturating_mul(*extent);
        }
    }
    strides.into_boxed_slice()
}
