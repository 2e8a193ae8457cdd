//! Layouts as values: evaluated, and checked to be sane.

use std::rc::Rc;

use crate::ir::Array;
use crate::kernel::linear::Linear;
use crate::kernel::{BufferId, Literal, TrapKind, ValueId};
use crate::scalar::{BinaryOp, DType, Type};

use super::container::Memory;
use super::{Lowerer, Lowering};

/// An array's layout as values, in elements.
pub(super) struct Layout {
    pub shape: Rc<[ValueId]>,
    pub strides: Rc<[ValueId]>,
    pub offset: Rc<[ValueId]>,
    pub start: ValueId,
    /// Elements from the one with all indices zero to the last one, inclusive; not positive if there are none.
    pub reach: ValueId,
    /// Elements declared.
    pub total: Option<ValueId>,
}

/// No array has more elements.
pub(super) const MOST_ELEMENTS: i64 = 1 << 46;

impl Lowerer<'_> {
    /// Evaluates a layout and checks that it is sane: no negative extents, no overflow.
    pub fn layout(&mut self, array: &Array, text: &str) -> Lowering<Layout> {
        let shape = self.ints(&array.shape)?;
        let strides = self.ints(&array.strides)?;
        let offset = if array.offset.iter().all(|&o| self.program.exprs.as_int(o) == Some(0)) {
            Vec::new()
        } else {
            self.ints(&array.offset)?
        };
        let start = match array.start_offset {
            Some(start) => self.int(start)?,
            None => self.b.int(0),
        };
        let total = match array.total_size {
            Some(total) => Some(self.int(total)?),
            None => None,
        };
        if strides.len() != shape.len() {
            return self
                .invalid("P0102", format!("`{text}` has {} strides for {}", strides.len(), shape.len()));
        }
        let reach = self.reach(&shape, &strides);
        self.check_layout(&shape, &strides, start, text)?;
        Ok(Layout {
            shape: shape.into(),
            strides: strides.into(),
            offset: offset.into(),
            start,
            reach,
            total,
        })
    }

    /// Elements from the one with all indices zero to the last one, inclusive.
    pub fn reach(&mut self, shape: &[ValueId], strides: &[ValueId]) -> ValueId {
        let one = self.b.int(1);
        let mut reach = one;
        for (&extent, &stride) in shape.iter().zip(strides) {
            let steps = self.b.sub(extent, one);
            let span = self.b.mul(steps, stride);
            reach = self.b.add(reach, span);
        }
        reach
    }

    /// Stops the program unless extents, distances and start are at least zero and there are not too many elements.
    fn check_layout(
        &mut self,
        shape: &[ValueId],
        strides: &[ValueId],
        start: ValueId,
        text: &str,
    ) -> Lowering<()> {
        let trap = self.trap(TrapKind::BadShape, format!("`{text}` has an impossible shape"));
        let most = self.b.int(MOST_ELEMENTS);
        for &extent in shape {
            self.check_index(extent, most, trap)?;
        }
        let mut positive = self.b.bool(true);
        let zero = self.b.int(0);
        for &number in strides.iter().chain([&start]) {
            let fine = self.b.binary(BinaryOp::Ge, number, zero);
            positive = self.b.and(positive, fine);
        }
        let depth = self.b.depth_of(positive);
        self.check_at(positive, &[], depth, trap);
        let literals: Vec<Option<i64>> =
            shape.iter().chain(strides).chain([&start]).map(|&v| self.b.as_int(v)).collect();
        let all_small = literals.iter().all(|v| v.is_some_and(|v| v < MOST_ELEMENTS));
        let product = shape.iter().zip(strides).try_fold(0f64, |sum, (&extent, &stride)| {
            Some(sum + self.b.as_int(extent)? as f64 * self.b.as_int(stride)? as f64)
        });
        if all_small && product.is_some_and(|sum| sum < MOST_ELEMENTS as f64) {
            return Ok(());
        }
        // The more elements, the harder.
        let mut extents: Vec<Linear> = shape.iter().map(|&extent| self.b.linear(extent)).collect();
        let fixed: Vec<ValueId> = strides.iter().copied().chain([start]).collect();
        let (excuses, depth) = self.at_the_end(&mut extents, &fixed);
        let mut terms = Vec::new();
        if self.b.as_int(start) != Some(0) {
            terms.push(self.b.cast(DType::F64, start));
        }
        for (extent, &stride) in extents.iter().zip(strides) {
            let extent = self.b.from_linear(extent);
            let extent = self.b.cast(DType::F64, extent);
            let span = match self.b.as_int(stride) {
                Some(1) => extent,
                _ => {
                    let stride = self.b.cast(DType::F64, stride);
                    self.b.binary(BinaryOp::Mul, extent, stride)
                }
            };
            terms.extend([span, extent]);
        }
        let Some(sum) = terms.into_iter().reduce(|a, b| self.b.binary(BinaryOp::Add, a, b)) else {
            return Ok(());
        };
        let most = self.b.constant(Literal { ty: DType::F64, bits: (MOST_ELEMENTS as f64).to_bits() });
        let small = self.b.binary(BinaryOp::Lt, sum, most);
        let depth = if excuses.is_empty() { self.b.depth_of(small) } else { depth };
        self.check_at(small, &excuses, depth, trap);
        Ok(())
    }

    /// A value of elements in bytes.
    pub fn in_bytes(&mut self, elements: ValueId, ty: Type) -> ValueId {
        let unit = self.b.int(ty.bytes(&self.program.structs) as i64);
        self.b.mul(elements, unit)
    }

    /// Memory of that layout in a buffer, `start` elements behind `address`, of which `bytes` are available.
    pub fn memory(
        &mut self,
        buffer: BufferId,
        address: ValueId,
        ty: Type,
        layout: &Layout,
        bytes: ValueId,
    ) -> Memory {
        let skipped = self.in_bytes(layout.start, ty);
        let base = self.b.add(address, skipped);
        let left = self.b.sub(bytes, skipped);
        Memory {
            buffer,
            base,
            ty,
            shape: Rc::clone(&layout.shape),
            strides: Rc::clone(&layout.strides),
            offset: Rc::clone(&layout.offset),
            bytes: left,
        }
    }
}
