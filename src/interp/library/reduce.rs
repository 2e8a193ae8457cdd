//! Reductions.
//!
//! # The order
//!
//! For each output element, in row-major order of the axes that stay: start from the identity, or from what
//! the output holds if there is none; then fold the inputs in row-major order of the axes that go, last axis
//! fastest: `acc = f(acc, x)`, with `acc` in the output's type. One accumulator, no tree. Conflict resolution
//! in maps folds in the same order, so a reduction and the map that DaCe expands it to give the same bits.

use smallvec::SmallVec;

use crate::interp::copy::{Points, Walk};
use crate::interp::machine::{Fallible, Machine};
use crate::interp::plan::{Access, LibraryPlan, WcrPlan};
use crate::scalar::{Scalar, arith};

use super::shapes;

impl<'p> Machine<'p, '_> {
    pub(super) fn reduce(
        &mut self,
        library: &'p LibraryPlan,
        wcr: &'p WcrPlan,
        axes: Option<&[i64]>,
        identity: Option<Scalar>,
    ) -> Fallible<()> {
        let input = self.input_access(library, "_in")?;
        let (output, outer_wcr) = self.output_access(library, "_out")?;
        let from = self.points(input)?;
        let to = self.points(output)?;
        let rank = from.dims.len();
        let goes = |dim: usize| match axes {
            None => true,
            Some(axes) => axes.iter().any(|&axis| axis == dim as i64 || axis + rank as i64 == dim as i64),
        };
        let part = |keep: bool| Points {
            block: from.block,
            base: if keep { from.base } else { 0 },
            dims: (0..rank).filter(|&dim| goes(dim) != keep).map(|dim| from.dims[dim]).collect(),
        };
        let (stays, goes) = (part(true), part(false));
        if stays.count() != to.count() {
            return Err(shapes(&format!("`{}` reduced into `{}`", input.text, output.text)));
        }
        let (mut starts, mut targets) = (Walk::new(&stays), Walk::new(&to));
        while let (Some(start), Some(target)) = (starts.next_offset(), targets.next_offset()) {
            let inner = Points { base: start, ..goes.clone() };
            self.fold(input, output, &inner, (to.block, target), wcr, identity, outer_wcr)?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "a fold is all of this")]
    fn fold(
        &mut self,
        input: &'p Access,
        output: &'p Access,
        inner: &Points,
        (block, target): (u32, i64),
        wcr: &'p WcrPlan,
        identity: Option<Scalar>,
        outer_wcr: Option<&'p WcrPlan>,
    ) -> Fallible<()> {
        let from = self.element_of(input);
        let to = self.element_of(output);
        let mut accumulator: SmallVec<[Scalar; 4]> = SmallVec::new();
        let mut poison = false;
        for &(dtype, at) in &to.leaves {
            accumulator.push(match identity {
                Some(identity) => arith::cast(dtype, identity),
                None => {
                    let (value, undefined) =
                        self.load(block, target.wrapping_add(at as i64), dtype, output)?;
                    poison |= undefined;
                    value
                }
            });
        }
        let mut walk = Walk::new(inner);
        let mut new: SmallVec<[Scalar; 4]> = SmallVec::new();
        while let Some(offset) = walk.next_offset() {
            new.clear();
            for &(dtype, at) in &from.leaves {
                let (value, undefined) =
                    self.load(inner.block, offset.wrapping_add(at as i64), dtype, input)?;
                poison |= undefined;
                new.push(value);
            }
            accumulator = self.merge(wcr, to, &accumulator, &new)?;
            for (value, &(dtype, _)) in accumulator.iter_mut().zip(&to.leaves) {
                *value = arith::cast(dtype, *value);
            }
        }
        let flags: SmallVec<[bool; 4]> = SmallVec::from_elem(poison, accumulator.len());
        // A conflict resolution on the output edge meets the finished value, unless it is the fold itself.
        let outer_wcr = outer_wcr.filter(|_| identity.is_some());
        self.write_element(block, target, to, &accumulator, &flags, false, outer_wcr, output)
    }

    pub(super) fn reduce_with_skip_values(
        &mut self,
        library: &'p LibraryPlan,
        wcr: &'p WcrPlan,
        input: &str,
        mask: &str,
        identity: Scalar,
        init: Scalar,
    ) -> Fallible<()> {
        let values_access = self.input_access(library, input)?;
        let mask_access = self.input_access(library, mask)?;
        let (output, outer_wcr) = self.output_access(library, "_out")?;
        let (dtype, mask_type) = (self.dtype_of(values_access)?, self.dtype_of(mask_access)?);
        let values = self.gather::<Scalar>(values_access, dtype)?;
        let table = self.gather::<Scalar>(mask_access, mask_type)?;
        if values.values.len() != table.values.len() {
            return Err(shapes("as many neighbours as table entries"));
        }
        let element = self.element_of(output);
        let mut accumulator: SmallVec<[Scalar; 4]> =
            SmallVec::from_elem(arith::cast(self.dtype_of(output)?, arith::cast(dtype, init)), 1);
        for (&value, &neighbour) in values.values.iter().zip(&table.values) {
            let skipped = neighbour.as_i64() == -1;
            let value = if skipped { arith::cast(dtype, identity) } else { value };
            accumulator = self.merge(wcr, element, &accumulator, &[value])?;
        }
        let (block, offset) = self.address(output)?;
        let poison = values.poison && self.tracking && table.values.iter().all(|entry| entry.as_i64() != -1);
        self.write_element(block, offset, element, &accumulator, &[poison], false, outer_wcr, output)
    }
}
