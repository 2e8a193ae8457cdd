//! Memory for transients.

use smallvec::SmallVec;

use super::arena::Window;
use super::fault::{Fault, FaultKind};
use super::machine::{Fallible, Machine, index_overflow};
use super::memory::{Dim, NOWHERE, Place};
use super::plan::{ContainerKind, ContainerSlot, Layout};
use crate::ir::Lifetime;
use crate::memory::Buffer;

/// Bytes one allocation may have.
const MAX_BYTES: i64 = 1 << 40;

impl<'p> Machine<'p, '_> {
    /// The lifetime of these containers begins.
    pub fn allocate_all(&mut self, containers: &[ContainerSlot]) -> Fallible<()> {
        for &slot in containers {
            self.allocate(slot, true)?;
        }
        Ok(())
    }

    /// Gives a container memory. `fresh`: what it held is gone (unless its lifetime says otherwise); else it
    /// keeps its bytes if it had memory.
    pub fn allocate(&mut self, slot: ContainerSlot, fresh: bool) -> Fallible<()> {
        let plan = self.plan;
        let container = &plan.containers[slot as usize];
        match container.kind {
            ContainerKind::View | ContainerKind::Reference => {
                self.places[slot as usize] = Place::nowhere();
                Ok(())
            }
            ContainerKind::Structure => {
                for &(_, member) in &container.members {
                    self.allocate(member, fresh)?;
                }
                self.places[slot as usize] = Place::default();
                Ok(())
            }
            ContainerKind::Stream => self.allocate_stream(slot, fresh),
            ContainerKind::Containers => self.allocate_elements(slot, fresh),
            ContainerKind::Scalar | ContainerKind::Array => self.allocate_array(slot, fresh),
        }
    }

    fn allocate_array(&mut self, slot: ContainerSlot, fresh: bool) -> Fallible<()> {
        let plan = self.plan;
        let container = &plan.containers[slot as usize];
        let element = &container.element;
        let (place, elements) = self.layout(&container.layout, slot, element.bytes)?;
        let bytes = elements.checked_mul(element.bytes as i64).filter(|&bytes| bytes <= MAX_BYTES);
        let Some(bytes) = bytes.and_then(|bytes| usize::try_from(bytes).ok()) else {
            return Err(too_large(&container.name, elements));
        };
        let keeps =
            matches!(container.lifetime, Lifetime::Persistent | Lifetime::External | Lifetime::Global);
        let tracking = self.tracking;
        let races = self.checked;
        let window = self.memory.slab.window(slot, bytes);
        let block = &mut self.memory.blocks[slot as usize];
        let known = block.window.map_or(block.bytes.bytes().len(), Window::len);
        let fresh = !block.live || (fresh && !keeps);
        block.window = window;
        if let Buffer::Owned(owned) = &mut block.bytes
            && owned.len() != bytes
            && window.is_none()
        {
            let more = bytes.saturating_sub(owned.len());
            if owned.try_reserve_exact(more).is_err() {
                return Err(too_large(&container.name, elements));
            }
            owned.resize(bytes, 0);
        }
        // Persistent bytes from an earlier call are defined as far as anybody can tell, and cleared only once.
        let from_before = container.persists() && !block.live && known == bytes && bytes > 0;
        if fresh && container.setzero && !from_before {
            match window {
                None => block.bytes.bytes_mut().fill(0),
                Some(window) => {
                    self.memory.slab.bytes_mut(window).fill(0);
                    self.memory.slab.written(window, 0, bytes, slot);
                }
            }
        }
        block.private = container.private;
        if tracking && (fresh || known != bytes) {
            let unit = element.unit().min(self.smallest_alias);
            let poison = !container.setzero && !from_before;
            if fresh {
                block.shadow.reset(unit, bytes, poison, races);
            } else {
                block.shadow.resize(bytes.div_ceil(unit), poison, races);
            }
        }
        block.live = true;
        self.places[slot as usize] = place;
        Ok(())
    }

    /// The place of a container at the start of its own block, and how many elements it needs.
    fn layout(&self, layout: &Layout, slot: ContainerSlot, item: usize) -> Fallible<(Place, i64)> {
        let name = &self.plan.containers[slot as usize].name;
        let mut place = self.aim(layout, slot, 0, item)?;
        let mut product: i64 = 1;
        let mut reach: i64 = 0;
        for dim in &mut place.dims {
            if dim.extent < 0 {
                if self.checked {
                    let text = format!("`{name}` has a negative extent {}", dim.extent);
                    return Err(Fault::new(FaultKind::NegativeSize, text));
                }
                dim.extent = 0;
            }
            product = product.checked_mul(dim.extent).ok_or_else(index_overflow)?;
            let last = dim.extent.saturating_sub(1).max(0).checked_mul(dim.stride.max(0));
            reach = last.and_then(|last| reach.checked_add(last)).ok_or_else(index_overflow)?;
        }
        let reach = if product == 0 { 0 } else { reach / (item.max(1) as i64) + 1 };
        let reach = match &layout.start_offset {
            Some(start) => reach.saturating_add(self.size(start)?.max(0)),
            None => reach,
        };
        let declared = match &layout.total {
            Some(total) => self.size(total)?.max(0),
            None => product,
        };
        Ok((place, declared.max(reach)))
    }

    /// A layout with index zero at `base` of a block.
    pub fn aim(&self, layout: &Layout, block: u32, base: i64, item: usize) -> Fallible<Place> {
        let item = item as i64;
        let mut dims: SmallVec<[Dim; 4]> = SmallVec::with_capacity(layout.shape.len());
        let mut base = base;
        if let Some(start) = &layout.start_offset {
            base = base.wrapping_add(self.size(start)?.wrapping_mul(item));
        }
        for (index, extent) in layout.shape.iter().enumerate() {
            let extent = self.size(extent)?;
            let stride = match layout.strides.get(index) {
                Some(stride) => self.size(stride)?.checked_mul(item).ok_or_else(index_overflow)?,
                None => 0,
            };
            let offset = match layout.offset.get(index) {
                Some(offset) => self.size(offset)?,
                None => 0,
            };
            dims.push(Dim { extent, stride, offset });
        }
        if layout.strides.len() < dims.len() {
            let mut stride = item;
            for dim in dims.iter_mut().rev() {
                dim.stride = stride;
                stride = stride.checked_mul(dim.extent).ok_or_else(index_overflow)?;
            }
        }
        for dim in &dims {
            base = base.wrapping_add(dim.offset.wrapping_mul(dim.stride));
        }
        Ok(Place { block, base, dims })
    }

    fn allocate_stream(&mut self, slot: ContainerSlot, fresh: bool) -> Fallible<()> {
        let container = &self.plan.containers[slot as usize];
        let mut place = self.aim(&container.layout, 0, 0, 1)?;
        let mut count: i64 = 1;
        for dim in place.dims.iter_mut().rev() {
            dim.stride = count;
            dim.extent = dim.extent.max(0);
            count =
                count.checked_mul(dim.extent).filter(|&count| count <= 1 << 24).ok_or_else(index_overflow)?;
        }
        place.base = 0;
        let count = count as usize;
        let known = &self.places[slot as usize];
        let known_count: i64 = known.dims.iter().map(|dim| dim.extent).product();
        let reuse = known.block != NOWHERE && known_count as usize == count;
        place.block = if reuse { known.block } else { self.memory.queues.len() as u32 };
        if !reuse {
            self.memory.queues.resize_with(place.block as usize + count, Default::default);
        } else if fresh {
            for queue in self.memory.queues.iter_mut().skip(place.block as usize).take(count) {
                queue.clear();
            }
        }
        self.places[slot as usize] = place;
        Ok(())
    }

    /// A container array: every element is allocated like the template.
    fn allocate_elements(&mut self, slot: ContainerSlot, _fresh: bool) -> Fallible<()> {
        let container = &self.plan.containers[slot as usize];
        let mut place = self.aim(&container.layout, 0, 0, 1)?;
        let mut count: i64 = 1;
        for dim in place.dims.iter_mut().rev() {
            dim.stride = count;
            count =
                count.checked_mul(dim.extent.max(0)).filter(|&n| n <= 1 << 20).ok_or_else(index_overflow)?;
        }
        place.base = 0;
        self.places[slot as usize] = place;
        let Some(template) = container.template else { return Ok(()) };
        let mut elements = Vec::new();
        for _ in 0..count {
            self.allocate(template, true)?;
            let parts = self.parts(template);
            let mut places = Vec::with_capacity(parts.len());
            for part in parts {
                // Each element gets a block of its own: the template's is moved out.
                let mut place = self.places[part as usize].clone();
                if self.plan.containers[part as usize].owns_memory() {
                    let block = std::mem::take(&mut self.memory.blocks[part as usize]);
                    place.block = self.memory.blocks.len() as u32;
                    self.memory.blocks.push(block);
                }
                places.push(place);
            }
            elements.push(places);
        }
        self.elements[slot as usize] = elements;
        Ok(())
    }

    /// A container and its members, in a fixed order.
    pub fn parts(&self, slot: ContainerSlot) -> Vec<ContainerSlot> {
        let mut parts = vec![slot];
        let mut at = 0;
        while let Some(&slot) = parts.get(at) {
            parts.extend(self.plan.containers[slot as usize].members.iter().map(|&(_, member)| member));
            at += 1;
        }
        parts
    }
}

fn too_large(name: &str, elements: i64) -> Box<Fault> {
    Fault::new(FaultKind::OutOfMemory, format!("no memory for `{name}` with {elements} elements"))
}
