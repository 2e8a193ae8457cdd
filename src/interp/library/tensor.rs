//! Transposes.

use crate::interp::copy::{Points, Walk};
use crate::interp::machine::{Fallible, Machine};
use crate::interp::plan::LibraryPlan;
use crate::scalar::{BinaryOp, Scalar, arith};

use super::{Factor, shapes};

impl<'p> Machine<'p, '_> {
    /// Output axis `d` is input axis `axes[d]`; without axes, the order is reversed.
    pub(super) fn transpose(
        &mut self,
        library: &'p LibraryPlan,
        axes: Option<&[i64]>,
        alpha: &Factor,
        beta: &Factor,
    ) -> Fallible<()> {
        let tensor = axes.is_some();
        let input = self.input_access(library, if tensor { "_inp_tensor" } else { "_inp" })?;
        let (output, wcr) = self.output_access(library, if tensor { "_out_tensor" } else { "_out" })?;
        let (from, to) = (self.points(input)?, self.points(output)?);
        let rank = from.dims.len();
        let mut order: Vec<usize> = match axes {
            None => (0..rank).rev().collect(),
            Some(axes) => axes
                .iter()
                .map(|&axis| {
                    usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).unwrap_or(rank)
                })
                .collect(),
        };
        if order.len() != rank {
            // Axes count the dimensions that are not one.
            let kept: Vec<usize> = (0..rank).filter(|&dim| from.dims[dim].0 != 1).collect();
            order = order.iter().map(|&axis| kept.get(axis).copied().unwrap_or(rank)).collect();
        }
        if order.iter().any(|&axis| axis >= rank) || from.count() != to.count() {
            return Err(shapes(&format!("`{}` transposed into `{}`", input.text, output.text)));
        }
        let permuted = Points {
            block: from.block,
            base: from.base,
            dims: order.iter().map(|&axis| from.dims[axis]).collect(),
        };
        if permuted.count() != to.count() {
            return Err(shapes(&format!("`{}` transposed into `{}`", input.text, output.text)));
        }
        let (dtype, wanted) = (self.dtype_of(input)?, self.dtype_of(output)?);
        let scale = if alpha.is(1.0) { None } else { Some(self.factor(alpha)?) };
        let keep = if beta.is(0.0) { None } else { Some(self.factor(beta)?) };
        let multiply = |factor: Scalar, value: Scalar| {
            let factor = arith::cast(value.dtype(), factor);
            arith::binary(BinaryOp::Mul, factor, value).unwrap_or(value)
        };
        let element = self.element_of(output);
        let (mut read, mut write) = (Walk::new(&permuted), Walk::new(&to));
        while let (Some(read), Some(write)) = (read.next_offset(), write.next_offset()) {
            let (mut value, mut poison) = self.load(from.block, read, dtype, input)?;
            if let Some(scale) = scale {
                value = multiply(scale, value);
            }
            value = arith::cast(wanted, value);
            if let Some(keep) = keep {
                let (old, undefined) = self.load(to.block, write, wanted, output)?;
                poison |= undefined;
                value = arith::binary(BinaryOp::Add, value, multiply(keep, old)).unwrap_or(value);
            }
            self.write_element(to.block, write, element, &[value], &[poison], false, wcr, output)?;
        }
        Ok(())
    }
}
