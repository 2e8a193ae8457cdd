//! Memlets: which elements an edge names, and access to them.

use std::rc::Rc;

use hashbrown::HashMap;

use crate::entity::Name;
use crate::ir::{Subset, Wcr};
use crate::kernel::linear::Linear;
use crate::kernel::{TrapKind, ValueId};
use crate::scalar::{BinaryOp, Code, PortId, Type};
use crate::symbolic::Grammar;

use super::code::Bound;
use super::container::{Container, Element, Memory};
use super::{Lowerer, Lowering};

/// Elements of a container that a memlet names.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub container: Container,
    /// One range per dimension.
    pub ranges: Vec<AccessRange>,
    /// The memlet, for messages.
    pub text: Rc<str>,
    /// All of the container.
    pub all: bool,
}

/// One dimension of an access.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccessRange {
    pub start: ValueId,
    /// Inclusive.
    pub end: ValueId,
    pub step: ValueId,
    pub tile: ValueId,
    /// Provably one index.
    pub single: bool,
}

/// Memory behind a port of scalar code.
#[derive(Clone, Debug)]
pub(super) struct Pointer {
    pub access: Access,
    pub indexing: Indexing,
    /// Element type of the port.
    pub ty: Type,
    /// How a store meets the old element.
    pub wcr: Option<Wcr>,
}

/// What the indices of a pointer mean.
#[derive(Clone, Debug)]
pub(super) enum Indexing {
    /// One index per listed dimension of the container, in steps of the memlet's range.
    Dimensions(Vec<usize>),
    /// One index, in elements from the first element of the subset.
    Flat,
}

impl Lowerer<'_> {
    /// The elements that a subset of a container names.
    pub fn access(&mut self, name: Name, subset: Option<&Subset>) -> Lowering<Access> {
        let container = self.needed_container(name)?;
        self.access_of(container, name, subset)
    }

    /// The elements that a subset of a place names.
    pub fn access_of(
        &mut self,
        container: Container,
        name: Name,
        subset: Option<&Subset>,
    ) -> Lowering<Access> {
        let rank = container.rank();
        let declared = self.cx.graph.data.get(&name).map_or(rank, |data| data.shape().len());
        let Some(subset) = subset.filter(|_| declared > 0) else {
            return self.whole(container, self.program.names.get(name));
        };
        if subset.ranges.len() != rank {
            return self.unsupported(format!(
                "a memlet of `{}` with {} dimensions for {rank}",
                self.text(name),
                subset.ranges.len()
            ));
        }
        let exprs = &self.program.exprs;
        let print = |expr| exprs.print(&self.program.names, expr, Grammar::Plain);
        let dims: Vec<String> = subset
            .ranges
            .iter()
            .map(|r| {
                if r.start == r.end {
                    print(r.start)
                } else {
                    format!("{}:{} + 1", print(r.start), print(r.end))
                }
            })
            .collect();
        let text: Rc<str> = format!("{}[{}]", self.text(name), dims.join(", ")).into();
        let mut ranges = Vec::with_capacity(rank);
        for range in &subset.ranges {
            ranges.push(AccessRange {
                start: self.int(range.start)?,
                end: self.int(range.end)?,
                step: self.int(range.step)?,
                tile: self.int(range.tile)?,
                single: range.start == range.end && exprs.as_int(range.tile) == Some(1),
            });
        }
        Ok(Access { container, ranges, text, all: false })
    }

    /// All of a container.
    pub fn whole(&mut self, container: Container, text: &str) -> Lowering<Access> {
        let one = self.b.int(1);
        let zero = self.b.int(0);
        let mut ranges = Vec::new();
        match &container {
            Container::Memory(memory) => {
                for (dim, &extent) in memory.shape.iter().enumerate() {
                    let start = match memory.offset.get(dim) {
                        Some(&offset) => self.b.sub(zero, offset),
                        None => zero,
                    };
                    let last = self.b.sub(extent, one);
                    let end = self.b.add(start, last);
                    let single = self.b.as_int(extent) == Some(1);
                    ranges.push(AccessRange { start, end, step: one, tile: one, single });
                }
            }
            other => {
                for _ in 0..other.rank() {
                    ranges.push(AccessRange { start: zero, end: zero, step: one, tile: one, single: true });
                }
            }
        }
        Ok(Access { container, ranges, text: text.into(), all: true })
    }

    /// The first element of an access.
    pub fn first(&mut self, access: &Access) -> Lowering<Element> {
        let indices: Vec<ValueId> = access.ranges.iter().map(|range| range.start).collect();
        self.element(&access.container, &indices, &access.text)
    }

    /// The first element of an access, for a port of type `ty`.
    pub fn first_as(&mut self, access: &Access, ty: Type) -> Lowering<Element> {
        let indices: Vec<ValueId> = access.ranges.iter().map(|range| range.start).collect();
        self.element_as(&access.container, &indices, &access.text, ty)
    }

    /// An element where a port of type `ty` starts: a vector over plain numbers needs its neighbours in range too.
    fn element_as(
        &mut self,
        container: &Container,
        indices: &[ValueId],
        text: &str,
        ty: Type,
    ) -> Lowering<Element> {
        if let (Type::Vector(_, lanes), Type::Scalar(_)) = (ty, container.ty()) {
            let mut last = indices.to_vec();
            let Some(end) = last.last_mut() else { return self.unsupported("a vector over one number") };
            let ahead = self.b.int(i64::from(lanes.max(1)) - 1);
            *end = self.b.add(*end, ahead);
            self.element(container, &last, text)?;
        }
        self.element(container, indices, text)
    }

    /// How many indices a range has (zero or more), which must have no tiles.
    pub fn count(&mut self, range: &AccessRange) -> Lowering<ValueId> {
        if !self.has_tiles(range) {
            return self.steps(range);
        }
        self.unsupported("a subset with tiles")
    }

    /// Whether there may be more than one index per step of a range.
    pub fn has_tiles(&self, range: &AccessRange) -> bool {
        self.b.as_int(range.tile) != Some(1)
    }

    /// How many steps a range has (zero or more).
    pub fn steps(&mut self, range: &AccessRange) -> Lowering<ValueId> {
        let one = self.b.int(1);
        if range.single {
            return Ok(one);
        }
        let zero = self.b.int(0);
        let step = self.b.as_int(range.step);
        let count = match step {
            Some(1) => {
                let span = self.b.sub(range.end, range.start);
                self.b.add(span, one)
            }
            Some(step) if step != 0 => {
                let span = if step > 0 {
                    self.b.sub(range.end, range.start)
                } else {
                    self.b.sub(range.start, range.end)
                };
                let step = self.b.int(step.saturating_abs());
                let steps = self.divided(BinaryOp::FloorDiv, span, step)?;
                self.b.add(steps, one)
            }
            _ => {
                let positive = self.b.binary(BinaryOp::Gt, range.step, zero);
                let trap = self.trap(TrapKind::BadStep, "a subset has a step that is not positive");
                self.b.check(positive, trap);
                let span = self.b.sub(range.end, range.start);
                let steps = self.divided(BinaryOp::FloorDiv, span, range.step)?;
                self.b.add(steps, one)
            }
        };
        let form = self.b.linear(count);
        if self.never_negative(&[form]) {
            return Ok(count);
        }
        Ok(self.b.binary(BinaryOp::Max, count, zero))
    }

    /// The numbers of an element as a port of type `ty` sees them.
    pub fn load_as(&mut self, element: &Element, ty: Type) -> Lowering<Vec<ValueId>> {
        let own = element.ty();
        if let (Type::Vector(dtype, lanes), Type::Scalar(_), Element::Memory { .. }) = (ty, own, element) {
            // A vector over plain numbers takes neighbours.
            let wide = self.neighbours(element, Type::Vector(dtype, lanes))?;
            return self.load(&wide);
        }
        let values = self.load(element)?;
        self.convert(&values, own, ty)
    }

    /// The place of a vector that starts at an element, whose memory must hold all of it.
    fn neighbours(&mut self, element: &Element, ty: Type) -> Lowering<Element> {
        match element {
            Element::Memory { buffer, address, displacement, .. } => {
                Ok(Element::Memory { buffer: *buffer, address: *address, displacement: *displacement, ty })
            }
            _ => self.unsupported("a vector over one number"),
        }
    }

    /// Writes the numbers of a port of type `ty` to an element.
    pub fn store_as(
        &mut self,
        element: &Element,
        values: &[ValueId],
        ty: Type,
        wcr: Option<&Wcr>,
    ) -> Lowering<()> {
        let own = element.ty();
        if let (Type::Vector(dtype, lanes), Type::Scalar(number), None) = (ty, own, wcr) {
            let wide = self.neighbours(element, Type::Vector(number, lanes))?;
            let values = self.convert(values, Type::Vector(dtype, lanes), Type::Vector(number, lanes))?;
            return self.store(&wide, &values);
        }
        match wcr {
            None => {
                let values = self.convert(values, ty, own)?;
                self.store(element, &values)
            }
            Some(wcr) => {
                let old = self.load(element)?;
                let new = self.resolve(wcr, &old, own, values, ty)?;
                self.store(element, &new)
            }
        }
    }

    /// Writes the numbers of a port of type `ty` where an access starts. A vector that is resolved into one number
    /// meets it lane by lane.
    pub fn write_output(
        &mut self,
        access: &Access,
        values: &[ValueId],
        ty: Type,
        wcr: Option<&Wcr>,
    ) -> Lowering<()> {
        let own = access.container.ty();
        let one = access.ranges.iter().all(|range| range.single);
        if let (Type::Vector(dtype, _), Type::Scalar(_), Some(wcr), true) = (ty, own, wcr, one) {
            let element = self.first(access)?;
            for lane in values.chunks(if dtype.is_complex() { 2 } else { 1 }) {
                let old = self.load(&element)?;
                let new = self.resolve(wcr, &old, own, lane, Type::Scalar(dtype))?;
                self.store(&element, &new)?;
            }
            return Ok(());
        }
        let element = self.first_as(access, ty)?;
        self.store_as(&element, values, ty, wcr)
    }

    /// `f(old, new)` as the container's type.
    fn resolve(
        &mut self,
        wcr: &Wcr,
        old: &[ValueId],
        own: Type,
        new: &[ValueId],
        ty: Type,
    ) -> Lowering<Vec<ValueId>> {
        let Some(code) = &wcr.code else {
            return self
                .unsupported(format!("the write-conflict function `{}`, which was not lowered", wcr.text));
        };
        self.resolve_code(code, old, own, new, ty)
    }

    /// `f(old, new)` as the container's type, from the function's code.
    pub fn resolve_code(
        &mut self,
        code: &Code,
        old: &[ValueId],
        own: Type,
        new: &[ValueId],
        ty: Type,
    ) -> Lowering<Vec<ValueId>> {
        let mut ports = HashMap::new();
        for ((id, port), (values, from)) in code.ports.iter().zip([(old, own), (new, ty)]) {
            ports.insert(id, Bound::Value(self.convert(values, from, port.ty)?));
        }
        let (values, from) = self.code_number(code, &ports)?;
        self.convert(&values, from, own)
    }

    /// The element that indices of a pointer reach.
    fn pointed(&mut self, pointer: &Pointer, indices: &[ValueId]) -> Lowering<Element> {
        let access = &pointer.access;
        match &pointer.indexing {
            Indexing::Dimensions(dims) if dims.len() == indices.len() => {
                let mut full: Vec<ValueId> = access.ranges.iter().map(|range| range.start).collect();
                for (&dim, &index) in dims.iter().zip(indices) {
                    let Some(range) = access.ranges.get(dim) else { continue };
                    let distance = self.b.mul(index, range.step);
                    full[dim] = self.b.add(range.start, distance);
                }
                self.element_as(&access.container, &full, &access.text, pointer.ty)
            }
            Indexing::Flat
                if matches!((pointer.ty, access.container.ty()), (Type::Vector(..), Type::Scalar(_))) =>
            {
                self.unsupported("a pointer to vectors over plain numbers")
            }
            Indexing::Flat if indices.len() == 1 => {
                let zero = self.b.int(0);
                if self.b.as_int(indices[0]) == Some(0) {
                    return self.first(access);
                }
                let Container::Memory(memory) = &access.container else {
                    let trap = self.trap(TrapKind::OutOfRange, format!("`{}` is out of range", access.text));
                    let fine = self.b.binary(BinaryOp::Eq, indices[0], zero);
                    self.b.check(fine, trap);
                    return self.first(access);
                };
                self.flat(memory, access, indices[0])
            }
            _ => self.unsupported(format!("`{}` with {} indices", access.text, indices.len())),
        }
    }

    /// The element that lies `index` elements of the allocation behind the first of the subset.
    fn flat(&mut self, memory: &Memory, access: &Access, index: ValueId) -> Lowering<Element> {
        let mut elements = index;
        for (range, &stride) in access.ranges.iter().zip(memory.strides.iter()) {
            let distance = self.b.mul(range.start, stride);
            elements = self.b.add(elements, distance);
        }
        let unit = self.b.int(memory.ty.bytes(&self.program.structs) as i64);
        let available = self.divided(BinaryOp::Div, memory.bytes, unit)?;
        let trap = self.trap(TrapKind::OutOfRange, format!("`{}` is out of range", access.text));
        self.check_index(elements, available, trap)?;
        let one = self.b.int(1);
        let line = Memory {
            shape: Rc::new([available]),
            strides: Rc::new([one]),
            offset: Rc::new([]),
            ..memory.clone()
        };
        Ok(self.place(&line, &[elements]))
    }

    /// Reads through a pointer.
    pub fn load_through(
        &mut self,
        pointer: &Pointer,
        indices: &[ValueId],
        ty: Type,
    ) -> Lowering<Vec<ValueId>> {
        let element = self.pointed(pointer, indices)?;
        let values = self.load_as(&element, pointer.ty)?;
        self.convert(&values, pointer.ty, ty)
    }

    /// Writes through a pointer.
    pub fn store_through(
        &mut self,
        pointer: &Pointer,
        indices: &[ValueId],
        values: &[ValueId],
        ty: Type,
    ) -> Lowering<()> {
        let element = self.pointed(pointer, indices)?;
        self.store_as(&element, values, ty, pointer.wcr.as_ref())
    }

    /// How the indices of a pointer port are meant, as the interpreter decides it.
    pub fn indexing(&mut self, access: &Access, rank: usize, raw: bool) -> Lowering<Indexing> {
        let kept: Vec<usize> =
            (0..access.ranges.len()).filter(|&dim| access.all || !access.ranges[dim].single).collect();
        Ok(match rank {
            1 if raw => Indexing::Flat,
            rank if rank == access.ranges.len() => Indexing::Dimensions((0..rank).collect()),
            rank if rank == kept.len() => Indexing::Dimensions(kept),
            1 => Indexing::Flat,
            _ => return self.unsupported(format!("`{}` through {rank} indices", access.text)),
        })
    }

    /// Binds a port of scalar code to an access by the port's kind.
    pub fn bind_port(
        &mut self,
        code: &Code,
        id: PortId,
        access: Access,
        wcr: Option<&Wcr>,
        raw: bool,
    ) -> Lowering<Bound> {
        use crate::scalar::PortKind;
        let port = &code.ports[id];
        let indexing = match port.kind {
            PortKind::Value | PortKind::Reference => Indexing::Dimensions(Vec::new()),
            PortKind::Pointer { rank } => self.indexing(&access, usize::from(rank), raw)?,
            PortKind::Memory => Indexing::Flat,
            PortKind::Stream if matches!(access.container, Container::Stream(_)) => {
                return Ok(Bound::Stream(Box::new(access)));
            }
            PortKind::Stream => return self.unsupported("an array as a stream in scalar code"),
        };
        Ok(Bound::Pointer(Box::new(Pointer { access, indexing, ty: port.ty, wcr: wcr.cloned() })))
    }

    /// Stops the program unless all elements of an access are in range; nothing if it has none.
    pub fn check_access(&mut self, access: &Access, counts: &[ValueId]) -> Lowering<()> {
        let Container::Memory(memory) = &access.container else { return Ok(()) };
        let trap = self.trap(TrapKind::OutOfRange, format!("`{}` is out of range", access.text));
        let zero = self.b.int(0);
        let mut empty = self.b.bool(false);
        let tiles: Vec<ValueId> = access.ranges.iter().map(|range| range.tile).collect();
        for &count in counts.iter().chain(&tiles) {
            let none = self.b.binary(BinaryOp::Le, count, zero);
            empty = self.b.or(empty, none);
        }
        for (dim, (range, &count)) in access.ranges.iter().zip(counts).enumerate() {
            let one = self.b.int(1);
            let steps = self.b.sub(count, one);
            let span = self.b.mul(steps, range.step);
            let last = self.b.add(range.start, span);
            let (low, high) = match self.b.as_int(range.step) {
                Some(step) if step < 0 => (last, range.start),
                _ => (range.start, last),
            };
            let behind = self.b.sub(range.tile, one);
            let high = self.b.add(high, behind);
            let shift = match memory.offset.get(dim) {
                Some(&offset) => self.b.linear(offset),
                None => Linear::constant(0),
            };
            let (low, high) = (self.b.linear(low), self.b.linear(high));
            let (Some(low), Some(high)) = (low.plus(&shift, 1), high.plus(&shift, 1)) else {
                return self.unsupported("a subset with a long index");
            };
            self.check_between_unless(low, high, memory.shape[dim], trap, empty)?;
        }
        Ok(())
    }
}
