//! Arguments in and out: which bytes of the caller are which container.
//!
//! An argument whose strides are the declared ones is used in place. Any other is copied, element by
//! element, to a block with the declared layout, and back when the run ends.

use crate::diag::Diagnostic;
use crate::memory::{
    Arguments, Binding, Buffer, BufferId, Declared, Fit, convert_scalar, fits_buffer, scalar_argument,
};
use crate::scalar::Scalar;

use super::fault::Fault;
use super::machine::Machine;
use super::memory::{Block, Place, Shadow};
use super::plan::{ContainerKind, ContainerSlot, Size};

/// A container that has to be copied back.
#[derive(Debug)]
pub(super) struct CopyBack {
    slot: ContainerSlot,
    binding: Binding,
}

impl Machine<'_, '_> {
    /// Values of the free symbols. `known` comes from the arguments and their shapes.
    pub fn bind_symbols(
        &mut self,
        known: &indexmap::IndexMap<crate::entity::Name, Scalar>,
    ) -> Result<(), Diagnostic> {
        let plan = self.plan;
        for &slot in &plan.free_symbols {
            let symbol = &plan.symbols[slot as usize];
            match known.get(&symbol.name) {
                Some(&value) => self.set_symbol(slot, value),
                None if plan.assigned.contains(&slot) => self.undefined[slot as usize] = self.tracking,
                None => {
                    let name = plan.names().get(symbol.name);
                    return Err(Diagnostic::error("P0401", format!("symbol `{name}` has no value"))
                        .with_help(format!("pass `{name}`; no shape of an array given tells it")));
                }
            }
        }
        Ok(())
    }

    /// Binds every container the program expects. The caller's buffers are already blocks.
    pub fn bind_containers(&mut self, args: &Arguments<'_>) -> Result<Vec<CopyBack>, Diagnostic> {
        let plan = self.plan;
        let mut back = Vec::new();
        let mut todo: Vec<ContainerSlot> = plan.parameters.iter().rev().copied().collect();
        while let Some(slot) = todo.pop() {
            let container = &plan.containers[slot as usize];
            self.places[slot as usize] = Place::nowhere();
            match container.kind {
                ContainerKind::Structure => {
                    self.places[slot as usize] = Place::default();
                    todo.extend(container.members.iter().rev().map(|&(_, member)| member));
                }
                ContainerKind::Scalar => self.bind_scalar(slot, args)?,
                ContainerKind::Array => back.extend(self.bind_array(slot, args)?),
                _ => {}
            }
        }
        self.note_aliases(args, &back);
        Ok(back)
    }

    /// Says which arguments share memory, and what that means here.
    fn note_aliases(&mut self, args: &Arguments<'_>, back: &[CopyBack]) {
        let arrays: Vec<(&str, BufferId, std::ops::Range<i64>)> = self
            .plan
            .parameters
            .iter()
            .filter_map(|&slot| {
                let name = &*self.plan.containers[slot as usize].name;
                let Some(Binding::Array { buffer, offset, ty, shape, strides }) = args.get(name) else {
                    return None;
                };
                let item = ty.bytes(self.plan.structs()) as i64;
                Some((name, *buffer, reach(*offset as i64, item, shape, strides)))
            })
            .collect();
        let copied =
            |name: &str| back.iter().any(|back| *self.plan.containers[back.slot as usize].name == *name);
        for (position, (name, buffer, range)) in arrays.iter().enumerate() {
            for (other, same, others) in &arrays[position + 1..] {
                if buffer != same || range.start >= others.end || others.start >= range.end {
                    continue;
                }
                let means = if copied(name) || copied(other) {
                    "one of them was copied, so the program does not see through it what it writes through the \
                     other, and what is copied back last stays"
                } else {
                    "what the program writes through one it reads through the other, in the order of execution"
                };
                self.notes.push(format!("arguments `{name}` and `{other}` share memory: {means}"));
            }
        }
    }

    fn bind_scalar(&mut self, slot: ContainerSlot, args: &Arguments<'_>) -> Result<(), Diagnostic> {
        let container = &self.plan.containers[slot as usize];
        let name = &*container.name;
        let mut bytes = vec![0; container.element.bytes];
        match (container.element.number(), args.get(name)) {
            (_, None | Some(Binding::Absent)) => return Ok(()),
            (Some(dtype), _) => {
                let Some(value) = scalar_argument(args, name) else {
                    return Err(mismatch(name, "one element", "an array"));
                };
                convert_scalar(value, dtype, name)?.write_le_bytes(&mut bytes);
            }
            (None, Some(Binding::Array { buffer, offset, .. })) => {
                let block = self.plan.containers.len() + buffer.0 as usize;
                let source = self.memory.blocks.get(block).map(|block| block.bytes.bytes());
                let end = offset.saturating_add(bytes.len());
                match source.and_then(|source| source.get(*offset..end)) {
                    Some(source) => bytes.copy_from_slice(source),
                    None => return Err(mismatch(name, "a record", "too few bytes")),
                }
            }
            (None, Some(_)) => return Err(mismatch(name, "a record", "a number")),
        }
        let mut shadow = Shadow::default();
        if self.tracking {
            shadow.reset(container.element.unit().min(self.smallest_alias), bytes.len(), false, self.checked);
        }
        let block = Block { bytes: Buffer::Owned(bytes), shadow, live: true, ..Block::default() };
        self.memory.blocks[slot as usize] = block;
        self.places[slot as usize] = Place { block: slot, ..Place::default() };
        Ok(())
    }

    fn bind_array(
        &mut self,
        slot: ContainerSlot,
        args: &Arguments<'_>,
    ) -> Result<Option<CopyBack>, Diagnostic> {
        let plan = self.plan;
        let container = &plan.containers[slot as usize];
        let name = &*container.name;
        let inside = |fault: Box<Fault>| Diagnostic::from(*fault).at(format!("argument `{name}`"));
        let item = container.element.bytes;
        let (buffer, offset, ty, shape, strides) = match args.get(name) {
            None if container.optional => return Ok(None),
            None => return Ok(None),
            Some(Binding::Absent) => return Ok(None),
            Some(Binding::Scalar(value)) => return self.bind_number(slot, *value).map(|()| None),
            Some(Binding::Array { buffer, offset, ty, shape, strides }) => {
                (*buffer, *offset, *ty, shape, strides)
            }
        };
        let place = self.aim(&container.layout, 0, 0, item).map_err(inside)?;
        let expected: Vec<i64> = place.dims.iter().map(|dim| dim.extent).collect();
        let distances: Vec<i64> = place.dims.iter().map(|dim| dim.stride).collect();
        let declared = Declared {
            name,
            ty: container.ty,
            shape: &expected,
            strides: &distances,
            literal: matches!(*container.layout.shape, [Size::Const(_)]),
        };
        let fit = declared.fit(ty, shape, strides, plan.structs())?;
        if matches!(fit, Fit::AsMemory | Fit::Extent { .. }) {
            self.notes.push(format!("argument `{name}` has shape {shape:?}, declared is {expected:?}"));
        }
        let block = plan.containers.len() as u32 + buffer.0;
        let length = self.memory.blocks.get(block as usize).map_or(0, |block| block.bytes.bytes().len());
        if !fits_buffer(offset, shape, strides, ty.bytes(plan.structs()), length) {
            return Err(Diagnostic::error("P0405", format!("argument `{name}` reaches outside its buffer"))
                .with_note(format!(
                    "{length} bytes, offset {offset}, shape {shape:?}, strides {strides:?}"
                )));
        }
        let undefined = name.starts_with("__return");
        if fit != Fit::Copy && fit != (Fit::Extent { in_place: false }) {
            let mut place = self.aim(&container.layout, block, offset as i64, item).map_err(inside)?;
            if let (Fit::Extent { .. }, [dim], [given]) = (fit, place.dims.as_mut_slice(), shape.as_slice()) {
                dim.extent = i64::try_from(*given).unwrap_or(i64::MAX);
            }
            self.places[slot as usize] = place;
            if self.tracking && undefined {
                self.poison_all(slot);
            }
            return Ok(None);
        }
        self.notes.push(format!("argument `{name}` was copied: its strides are not the declared ones"));
        self.allocate(slot, true).map_err(inside)?;
        if self.tracking && !undefined {
            self.memory.blocks[slot as usize].shadow.poison.fill(false);
        }
        self.memory.blocks[slot as usize].output = true;
        let binding = Binding::Array { buffer, offset, ty, shape: shape.clone(), strides: strides.clone() };
        self.exchange(slot, &binding, true);
        Ok(Some(CopyBack { slot, binding }))
    }

    /// A number for an array of one element.
    fn bind_number(&mut self, slot: ContainerSlot, value: Scalar) -> Result<(), Diagnostic> {
        let container = &self.plan.containers[slot as usize];
        let name = &*container.name;
        let Some(dtype) = container.element.number() else {
            return Err(mismatch(name, "an array", "a number"));
        };
        let inside = |fault: Box<Fault>| Diagnostic::from(*fault).at(format!("argument `{name}`"));
        let place = self.aim(&container.layout, 0, 0, container.element.bytes).map_err(inside)?;
        if place.dims.iter().any(|dim| dim.extent != 1) {
            return Err(mismatch(name, "an array", "a number"));
        }
        self.allocate(slot, true).map_err(inside)?;
        let value = convert_scalar(value, dtype, name)?;
        let (block, base) = (self.places[slot as usize].block, self.places[slot as usize].base);
        self.memory.store(block, base, value);
        if self.tracking {
            self.memory.blocks[slot as usize].shadow.poison.fill(false);
        }
        Ok(())
    }

    /// Nobody has written this array.
    fn poison_all(&mut self, slot: ContainerSlot) {
        let bytes = self.plan.containers[slot as usize].element.bytes;
        let Ok(points) = self.all_points(slot) else { return };
        let mut walk = super::copy::Walk::new(&points);
        while let Some(offset) = walk.next_offset() {
            let Some(block) = self.memory.blocks.get_mut(points.block as usize) else { return };
            let units = block.shadow.units(offset, bytes);
            if let Some(flags) = block.shadow.poison.get_mut(units) {
                flags.fill(true);
            }
        }
    }

    /// Copies between the caller's layout and the declared one.
    fn exchange(&mut self, slot: ContainerSlot, binding: &Binding, inwards: bool) {
        let Binding::Array { buffer, offset, shape, strides, .. } = binding else { return };
        let item = self.plan.containers[slot as usize].element.bytes;
        let Ok(own) = self.all_points(slot) else { return };
        let caller = super::copy::Points {
            block: self.plan.containers.len() as u32 + buffer.0,
            base: *offset as i64,
            dims: shape
                .iter()
                .zip(strides)
                .map(|(&extent, &stride)| (extent as i64, stride as i64))
                .collect(),
        };
        let (from, to) = if inwards { (&caller, &own) } else { (&own, &caller) };
        let pair = self.memory.blocks.get_disjoint_mut([from.block as usize, to.block as usize]);
        let Ok([source, target]) = pair else { return };
        let (mut read, mut write) = (super::copy::Walk::new(from), super::copy::Walk::new(to));
        let range = |at: i64| usize::try_from(at).ok().map(|at| at..at.saturating_add(item));
        while let (Some(read), Some(write)) = (read.next_offset(), write.next_offset()) {
            let from = range(read).and_then(|range| source.bytes.bytes().get(range));
            let to = range(write).and_then(|range| target.bytes.bytes_mut().get_mut(range));
            if let (Some(from), Some(to)) = (from, to) {
                to.copy_from_slice(from);
            }
        }
    }

    /// Results go back to the caller's layout.
    pub fn copy_back(&mut self, back: &[CopyBack]) {
        for CopyBack { slot, binding } in back {
            self.exchange(*slot, binding, false);
        }
    }

    /// Which elements of an argument hold a defined value, row-major.
    pub fn written(&self, slot: ContainerSlot) -> Option<Vec<bool>> {
        let bytes = self.plan.containers[slot as usize].element.bytes;
        let points = self.all_points(slot).ok()?;
        let shadow = &self.memory.blocks.get(points.block as usize)?.shadow;
        let mut written = Vec::new();
        let mut walk = super::copy::Walk::new(&points);
        while let Some(offset) = walk.next_offset() {
            let poison = shadow.poison.get(shadow.units(offset, bytes));
            written.push(poison.is_none_or(|flags| flags.iter().all(|&poison| !poison)));
        }
        Some(written)
    }
}

/// The bytes between the first and the last number of an array.
fn reach(offset: i64, item: i64, shape: &[usize], strides: &[isize]) -> std::ops::Range<i64> {
    let (mut first, mut last) = (offset, offset);
    for (&extent, &stride) in shape.iter().zip(strides) {
        let way = (extent as i64 - 1).max(0).saturating_mul(stride as i64);
        first = first.saturating_add(way.min(0));
        last = last.saturating_add(way.max(0));
    }
    if shape.contains(&0) { offset..offset } else { first..last.saturating_add(item) }
}

fn mismatch(name: &str, expected: &str, found: &str) -> Diagnostic {
    Diagnostic::error("P0403", format!("argument `{name}` has the wrong type"))
        .with_note(format!("expected {expected}, found {found}"))
}
