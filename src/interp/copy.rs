//! Copies between containers.
//!
//! A side that the memlet leaves out is the whole other container if it has as many elements as the given
//! side, else the same subset. Elements meet in row-major order of each side's subset, so that sizes of one
//! fall away and ranks may differ. If both sides are given and hold different numbers of elements, the
//! memlet's own subset decides, from the start of the other one.

use smallvec::SmallVec;

use crate::scalar::{DType, Scalar, arith};

use super::fault::{Fault, FaultKind};
use super::machine::{Fallible, Machine, index_overflow};
use super::memory::{NOWHERE, QueueItem};
use super::plan::{Access, ContainerKind, ContainerSlot, CopyPlan, Element, Side};

/// Elements of a container in row-major order of a box.
#[derive(Debug, Clone, Default)]
pub(super) struct Points {
    pub block: u32,
    pub base: i64,
    /// Count and distance in bytes per dimension.
    pub dims: SmallVec<[(i64, i64); 6]>,
}

impl Points {
    pub fn count(&self) -> Option<i64> {
        self.dims.iter().try_fold(1_i64, |product, &(count, _)| product.checked_mul(count))
    }

    /// Without dimensions of one element.
    fn squeezed(&self) -> SmallVec<[(i64, i64); 6]> {
        self.dims.iter().copied().filter(|&(count, _)| count != 1).collect()
    }

    /// Calls `visit` with the offset of each point.
    pub fn each(&self, mut visit: impl FnMut(i64) -> Fallible<()>) -> Fallible<()> {
        let mut walk = Walk::new(self);
        while let Some(offset) = walk.next_offset() {
            visit(offset)?;
        }
        Ok(())
    }
}

/// A walk over points.
pub(super) struct Walk {
    dims: SmallVec<[(i64, i64); 6]>,
    at: SmallVec<[i64; 6]>,
    offset: i64,
    done: bool,
}

impl Walk {
    pub fn new(points: &Points) -> Walk {
        Walk {
            dims: points.dims.clone(),
            at: SmallVec::from_elem(0, points.dims.len()),
            offset: points.base,
            done: points.dims.iter().any(|&(count, _)| count <= 0),
        }
    }

    #[inline]
    pub fn next_offset(&mut self) -> Option<i64> {
        if self.done {
            return None;
        }
        let present = self.offset;
        self.done = true;
        for ((count, stride), at) in self.dims.iter().zip(self.at.iter_mut()).rev() {
            *at += 1;
            if *at < *count {
                self.offset = self.offset.wrapping_add(*stride);
                self.done = false;
                break;
            }
            self.offset = self.offset.wrapping_sub(stride.wrapping_mul(*at - 1));
            *at = 0;
        }
        Some(present)
    }
}

impl<'p> Machine<'p, '_> {
    pub fn copy(&mut self, copy: &'p CopyPlan) -> Fallible<()> {
        let streams = [&copy.src, &copy.dst].map(|side| self.is_stream(side.container));
        if streams != [false, false] {
            return self.copy_stream(copy, streams);
        }
        if self.copies_structure(copy) {
            return Ok(());
        }
        let (src, dst) = self.sides(copy)?;
        self.copy_points(copy, &src, &dst)
    }

    fn is_stream(&self, slot: ContainerSlot) -> bool {
        self.plan.containers[slot as usize].kind == ContainerKind::Stream
    }

    /// A copy between structures: the destination's members become the source's (pointers are copied).
    fn copies_structure(&mut self, copy: &CopyPlan) -> bool {
        let plan = self.plan;
        let (src, dst) =
            (&plan.containers[copy.src.container as usize], &plan.containers[copy.dst.container as usize]);
        if src.members.is_empty() || dst.members.is_empty() {
            return false;
        }
        for &(name, member) in &dst.members {
            if let Some(&(_, source)) = src.members.iter().find(|(other, _)| *other == name) {
                self.places[member as usize] = self.places[source as usize].clone();
            }
        }
        true
    }

    /// Both sides of a copy, with as many elements each.
    fn sides(&self, copy: &CopyPlan) -> Fallible<(Points, Points)> {
        let (mut src, mut dst) = match (&copy.src.access, &copy.dst.access) {
            (Some(src), Some(dst)) => (self.points(src)?, self.points(dst)?),
            (Some(given), None) => {
                let src = self.points(given)?;
                let dst = self.other_side(given, &src, &copy.dst)?;
                (src, dst)
            }
            (None, Some(given)) => {
                let dst = self.points(given)?;
                (self.other_side(given, &dst, &copy.src)?, dst)
            }
            (None, None) => (self.all_points(copy.src.container)?, self.all_points(copy.dst.container)?),
        };
        let leaves = |slot: ContainerSlot| self.plan.containers[slot as usize].element.leaves.len() as i64;
        let total = |points: &Points, slot: ContainerSlot| {
            points.count().and_then(|count| count.checked_mul(leaves(slot))).ok_or_else(index_overflow)
        };
        let counts = (total(&src, copy.src.container)?, total(&dst, copy.dst.container)?);
        if counts.0 != counts.1 {
            let (own, other) = if copy.shape_is_src { (&src, &mut dst) } else { (&dst, &mut src) };
            let (shape, kept) = (own.squeezed(), other.squeezed());
            if kept.len() == shape.len() {
                other.dims =
                    shape.iter().zip(&kept).map(|(&(count, _), &(_, stride))| (count, stride)).collect();
            } else if kept.is_empty() || shape.is_empty() {
                // One element meets many: the first of each.
                src.dims.clear();
                dst.dims.clear();
            }
        }
        Ok((src, dst))
    }

    /// The side a memlet leaves out.
    fn other_side(&self, given: &Access, points: &Points, side: &Side) -> Fallible<Points> {
        let all = self.all_points(side.container)?;
        let rank = self.places[side.container as usize].dims.len();
        if all.count() == points.count() || given.ranges.len() != rank || given.all {
            return Ok(all);
        }
        // The same subset, of the other container.
        self.points_of(given, side.container)
    }

    /// The elements an access names.
    pub fn points(&self, access: &Access) -> Fallible<Points> {
        self.points_of(access, access.container)
    }

    fn points_of(&self, access: &Access, container: ContainerSlot) -> Fallible<Points> {
        if access.all {
            return self.all_points(container);
        }
        let place = &self.places[container as usize];
        if place.block == NOWHERE {
            return Err(self.unbound(access));
        }
        let mut points = Points { block: place.block, base: place.base, ..Points::default() };
        for (range, dim) in access.ranges.iter().zip(&place.dims) {
            let start = self.size(&range.start)?;
            let end = self.size(&range.end)?;
            let step = self.size(&range.step)?;
            let tile = self.size(&range.tile)?;
            if step == 0 {
                return Err(Fault::new(
                    FaultKind::BadStep,
                    format!("memlet `{}` has step zero", access.text),
                ));
            }
            let span = if step > 0 { end.checked_sub(start) } else { start.checked_sub(end) };
            let span = span.ok_or_else(index_overflow)?;
            let count = if span < 0 { 0 } else { span / step.abs() + 1 };
            if self.checked && count > 0 {
                let last = start.wrapping_add((count - 1).wrapping_mul(step)).wrapping_add(tile - 1);
                for index in [start, last] {
                    if !(0..dim.extent).contains(&index.wrapping_add(dim.offset)) {
                        return Err(self.out_of_bounds(access, index, dim.extent));
                    }
                }
            }
            points.base = points.base.wrapping_add(start.wrapping_mul(dim.stride));
            points.dims.push((count, step.wrapping_mul(dim.stride)));
            if tile != 1 {
                points.dims.push((tile, dim.stride));
            }
        }
        Ok(points)
    }

    /// All elements of a container.
    pub fn all_points(&self, container: ContainerSlot) -> Fallible<Points> {
        let place = &self.places[container as usize];
        if place.block == NOWHERE {
            let name = &self.plan.containers[container as usize].name;
            return Err(Fault::new(FaultKind::Unbound, format!("`{name}` is used before it has memory")));
        }
        let mut points = Points { block: place.block, base: place.base, ..Points::default() };
        for dim in &place.dims {
            // Index zero of the walk is index `-offset` of the container.
            points.base = points.base.wrapping_sub(dim.offset.wrapping_mul(dim.stride));
            points.dims.push((dim.extent.max(0), dim.stride));
        }
        Ok(points)
    }

    fn copy_points(&mut self, copy: &'p CopyPlan, src: &Points, dst: &Points) -> Fallible<()> {
        let plan = self.plan;
        let from = &plan.containers[copy.src.container as usize].element;
        let to = &plan.containers[copy.dst.container as usize].element;
        let (from_access, to_access) = (self.side_access(&copy.src), self.side_access(&copy.dst));
        if from == to && copy.wcr.is_none() && !self.tracking && self.copy_bytes(src, dst, from.bytes) {
            return Ok(());
        }
        if from.leaves.len() == to.leaves.len() {
            let (mut read, mut write) = (Walk::new(src), Walk::new(dst));
            let mut values: SmallVec<[Scalar; 4]> = SmallVec::new();
            let mut poison: SmallVec<[bool; 4]> = SmallVec::new();
            while let (Some(read), Some(write)) = (read.next_offset(), write.next_offset()) {
                values.clear();
                poison.clear();
                for (&(dtype, at), &(wanted, _)) in from.leaves.iter().zip(&to.leaves) {
                    let (value, undefined) =
                        self.load(src.block, read.wrapping_add(at as i64), dtype, &from_access)?;
                    values.push(if copy.wcr.is_some() { value } else { arith::cast(wanted, value) });
                    poison.push(undefined);
                }
                match &copy.wcr {
                    None => {
                        for ((&(_, at), &value), &poison) in to.leaves.iter().zip(&values).zip(&poison) {
                            let offset = write.wrapping_add(at as i64);
                            self.store(dst.block, offset, value, poison, &to_access)?;
                        }
                    }
                    Some(wcr) => {
                        self.resolve(dst.block, write, to, &values, &poison, false, wcr, &to_access)?;
                    }
                }
            }
            return Ok(());
        }
        // Vectors meet numbers: numbers in order on both sides.
        let read = leaf_offsets(src, from)?;
        let write = leaf_offsets(dst, to)?;
        for (&(read, dtype), &(write, wanted)) in read.iter().zip(&write) {
            let (value, poison) = self.load(src.block, read, dtype, &from_access)?;
            self.store(dst.block, write, arith::cast(wanted, value), poison, &to_access)?;
        }
        Ok(())
    }

    fn side_access(&self, side: &Side) -> Access {
        match &side.access {
            Some(access) => access.clone(),
            None => Access {
                container: side.container,
                ranges: Box::new([]),
                text: self.plan.containers[side.container as usize].name.clone(),
                all: true,
            },
        }
    }

    /// Copies whole rows of bytes between two blocks; false if the copy is not of that kind.
    fn copy_bytes(&mut self, src: &Points, dst: &Points, item: usize) -> bool {
        let (from, to) = (src.squeezed(), dst.squeezed());
        let same_shape = from.len() == to.len() && from.iter().zip(&to).all(|(a, b)| a.0 == b.0);
        if !same_shape || src.block == dst.block {
            return false;
        }
        let item = item as i64;
        let (row, row_items) = match (from.last(), to.last()) {
            (Some(&(count, a)), Some(&(_, b))) if a == item && b == item => (count.saturating_mul(item), 1),
            _ => (item, 0),
        };
        let Ok(row) = usize::try_from(row) else { return false };
        let outer = |points: &Points, dims: &SmallVec<[(i64, i64); 6]>| Points {
            block: points.block,
            base: points.base,
            dims: dims[..dims.len() - row_items].iter().copied().collect(),
        };
        let (mut read, mut write) = (Walk::new(&outer(src, &from)), Walk::new(&outer(dst, &to)));
        let Some((source, target)) = self.memory.pair(src.block, dst.block) else { return false };
        while let (Some(read), Some(write)) = (read.next_offset(), write.next_offset()) {
            let (Ok(read), Ok(write)) = (usize::try_from(read), usize::try_from(write)) else { return false };
            let from = source.get(read..read.saturating_add(row));
            let to = target.get_mut(write..write.saturating_add(row));
            // Out of bounds: the slow way says where.
            let (Some(from), Some(to)) = (from, to) else { return false };
            to.copy_from_slice(from);
        }
        true
    }

    /// Streams: an array takes what the queue holds, a queue takes what the array holds.
    fn copy_stream(&mut self, copy: &'p CopyPlan, streams: [bool; 2]) -> Fallible<()> {
        let plan = self.plan;
        let (from_access, to_access) = (self.side_access(&copy.src), self.side_access(&copy.dst));
        let from = &plan.containers[copy.src.container as usize].element;
        let to = &plan.containers[copy.dst.container as usize].element;
        match streams {
            [true, true] => {
                let (source, target) = (self.queue_of(&from_access)?, self.queue_of(&to_access)?);
                if source != target
                    && let Ok([source, target]) = self.memory.queues.get_disjoint_mut([source, target])
                {
                    target.append(source);
                }
                Ok(())
            }
            [true, false] => {
                let source = self.queue_of(&from_access)?;
                let points = match &copy.dst.access {
                    Some(access) => self.points(access)?,
                    None => self.all_points(copy.dst.container)?,
                };
                let mut walk = Walk::new(&points);
                self.popped = 0;
                while let Some(queue) = self.memory.queues.get_mut(source) {
                    if queue.is_empty() {
                        break;
                    }
                    let Some(offset) = walk.next_offset() else { break };
                    let Some(item) = self.memory.queues[source].pop_front() else { break };
                    self.popped += 1;
                    self.store_item(&item, from, points.block, offset, to, copy, &to_access)?;
                }
                Ok(())
            }
            _ => {
                let target = self.queue_of(&to_access)?;
                let points = match &copy.src.access {
                    Some(access) => self.points(access)?,
                    None => self.all_points(copy.src.container)?,
                };
                // An array that a stream just filled holds as many elements as came.
                let mut left = if copy.counted { self.popped } else { i64::MAX };
                points.each(|offset| {
                    left -= 1;
                    if left < 0 {
                        return Ok(());
                    }
                    let mut bytes = SmallVec::from_elem(0, to.bytes);
                    let mut undefined = false;
                    for (&(dtype, at), &(wanted, put)) in from.leaves.iter().zip(&to.leaves) {
                        let (value, poison) =
                            self.load(points.block, offset.wrapping_add(at as i64), dtype, &from_access)?;
                        undefined |= poison;
                        if let Some(place) = bytes.get_mut(put..) {
                            arith::cast(wanted, value).write_le_bytes(place);
                        }
                    }
                    if let Some(queue) = self.memory.queues.get_mut(target) {
                        queue.push_back((bytes, undefined));
                    }
                    Ok(())
                })
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a write is all of this")]
    fn store_item(
        &mut self,
        item: &QueueItem,
        from: &Element,
        block: u32,
        offset: i64,
        to: &'p Element,
        copy: &'p CopyPlan,
        access: &Access,
    ) -> Fallible<()> {
        let (bytes, poison) = item;
        let mut values: SmallVec<[Scalar; 4]> = SmallVec::new();
        for &(dtype, at) in &from.leaves {
            let value = bytes.get(at..).and_then(|bytes| Scalar::from_le_bytes(dtype, bytes));
            values.push(value.unwrap_or(Scalar::zero(dtype)));
        }
        if let Some(wcr) = &copy.wcr {
            let poison: SmallVec<[bool; 4]> = SmallVec::from_elem(*poison, values.len());
            return self.resolve(block, offset, to, &values, &poison, false, wcr, access);
        }
        for (&(dtype, at), &value) in to.leaves.iter().zip(&values) {
            let value = arith::cast(dtype, value);
            self.store(block, offset.wrapping_add(at as i64), value, *poison, access)?;
        }
        Ok(())
    }

    /// Index of the queue an access names.
    fn queue_of(&self, access: &Access) -> Fallible<usize> {
        let (first, offset) = self.queue(access)?;
        super::tasklet::queue_index(first, offset)
            .filter(|&index| index < self.memory.queues.len())
            .ok_or_else(|| self.outside(access, offset))
    }
}

/// Offsets and types of all numbers of the points, in order.
fn leaf_offsets(points: &Points, element: &Element) -> Fallible<Vec<(i64, DType)>> {
    let mut offsets = Vec::new();
    points.each(|offset| {
        offsets.extend(element.leaves.iter().map(|&(dtype, at)| (offset.wrapping_add(at as i64), dtype)));
        Ok(())
    })?;
    Ok(offsets)
}
