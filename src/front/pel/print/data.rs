//! Containers as text.

use crate::entity::Name;
use crate::ir::{Array, Data, DataKind, Lifetime, Storage, Structure};
use crate::symbolic::ExprId;

use super::super::words::{NESTING_LIMIT, name_text, type_text};
use super::{Printer, quoted};

impl Printer<'_> {
    /// `KIND NAME: type[shape] clauses`.
    pub(super) fn container_text(&mut self, name: Name, data: &Data) -> String {
        let name = name_text(self.text(name));
        format!("{}{name}: {}", kind_word(&data.kind), self.descriptor_text(data, 0))
    }

    fn descriptor_text(&mut self, data: &Data, depth: usize) -> String {
        if depth >= NESTING_LIMIT {
            return "bool ; nested too deep".to_owned();
        }
        let mut text = type_text(self.program, data.ty);
        match &data.kind {
            DataKind::Scalar(_) => {}
            DataKind::Array(array) | DataKind::View(array) | DataKind::Reference(array) => {
                text.push_str(&format!("[{}]", self.expressions(&array.shape)));
                text.push_str(&self.layout(array));
            }
            DataKind::Stream(stream) => {
                text.push_str(&format!("[{}]", self.expressions(&stream.shape)));
                if let Some(size) = stream.buffer_size {
                    text.push_str(&format!(" buffer({})", self.expression(size)));
                }
                text.push_str(&self.offset(&stream.offset));
            }
            DataKind::Structure(structure)
            | DataKind::StructureView(structure)
            | DataKind::StructureReference(structure) => text.push_str(&self.members(structure, depth)),
            DataKind::ContainerArray { array, element }
            | DataKind::ContainerView { array, element }
            | DataKind::ContainerReference { array, element } => {
                text.push_str(&format!("[{}] of (", self.expressions(&array.shape)));
                if element.transient {
                    text.push_str("transient ");
                }
                text.push_str(kind_word(&element.kind));
                text.push_str(&self.descriptor_text(element, depth + 1));
                text.push(')');
                text.push_str(&self.layout(array));
            }
        }
        text.push_str(&storage_text(&data.storage));
        text.push_str(lifetime_text(data.lifetime));
        text.push_str(&self.extra(&data.extra));
        text
    }

    fn members(&mut self, structure: &Structure, depth: usize) -> String {
        let members = structure.members.iter().map(|(name, data)| {
            let transient = if data.transient { "transient " } else { "" };
            let name = name_text(self.text(*name));
            format!("{transient}{}{name}: {}", kind_word(&data.kind), self.descriptor_text(data, depth + 1))
        });
        let mut text = format!(" {{ {} }}", members.collect::<Vec<_>>().join(", "));
        if let Some(name) = structure.name {
            text.push_str(&format!(" named({})", name_text(self.text(name))));
        }
        text
    }

    /// Clauses for what differs from a row-major array without padding.
    fn layout(&mut self, array: &Array) -> String {
        let (strides, total) = crate::ir::builder::row_major(&mut self.exprs, &array.shape);
        let mut text = String::new();
        if array.strides != strides {
            text.push_str(&format!(" strides({})", self.expressions(&array.strides)));
        }
        if let Some(size) = array.total_size.filter(|&size| size != total) {
            text.push_str(&format!(" total({})", self.expression(size)));
        }
        text.push_str(&self.offset(&array.offset));
        if let Some(start) = array.start_offset.filter(|&start| self.exprs.as_int(start) != Some(0)) {
            text.push_str(&format!(" begins({})", self.expression(start)));
        }
        match array.optional {
            Some(true) => text.push_str(" optional"),
            Some(false) => text.push_str(" required"),
            None => {}
        }
        if array.may_alias {
            text.push_str(" may_alias");
        }
        text
    }

    fn offset(&self, offset: &[ExprId]) -> String {
        if offset.iter().all(|&o| self.exprs.as_int(o) == Some(0)) {
            return String::new();
        }
        format!(" offset({})", self.expressions(offset))
    }
}

fn kind_word(kind: &DataKind) -> &'static str {
    match kind {
        DataKind::Scalar(_) | DataKind::Array(_) => "",
        DataKind::View(_) => "view ",
        DataKind::Reference(_) => "reference ",
        DataKind::Stream(_) => "stream ",
        DataKind::Structure(_) => "structure ",
        DataKind::StructureView(_) => "structure_view ",
        DataKind::StructureReference(_) => "structure_reference ",
        DataKind::ContainerArray { .. } => "container_array ",
        DataKind::ContainerView { .. } => "container_view ",
        DataKind::ContainerReference { .. } => "container_reference ",
    }
}

fn storage_text(storage: &Storage) -> String {
    match storage {
        Storage::Default => String::new(),
        Storage::Register => " register".to_owned(),
        Storage::Heap => " heap".to_owned(),
        Storage::ThreadLocal => " thread_local".to_owned(),
        Storage::Other(name) => format!(" storage({})", quoted(name)),
    }
}

fn lifetime_text(lifetime: Lifetime) -> &'static str {
    match lifetime {
        Lifetime::Scope => "",
        Lifetime::State => " lifetime(state)",
        Lifetime::Graph => " lifetime(graph)",
        Lifetime::Global => " lifetime(global)",
        Lifetime::Persistent => " lifetime(persistent)",
        Lifetime::External => " lifetime(external)",
    }
}
