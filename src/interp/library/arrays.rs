//! Array intrinsics of Fortran and NumPy: select, spread, rotate, reduce a mask, find an extreme element.
//!
//! Axes are counted from one, as the nodes' `dim` properties are; without one, the whole array is meant.

use crate::interp::machine::{Fallible, Machine};
use crate::interp::plan::LibraryPlan;
use crate::scalar::{BinaryOp, DType, Func, Scalar, arith};

use super::{Factor, Tensor, shapes};

/// Which reduction of a truth mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::interp) enum MaskFold {
    All,
    Any,
    Count,
}

/// How the index of an extreme element is found and counted.
#[derive(Debug, Clone, Copy)]
pub(in crate::interp) struct Extreme {
    /// The smallest element, or the largest.
    pub smallest: bool,
    /// Of equal elements the last, or the first.
    pub last: bool,
    pub one_based: bool,
    pub dim: Option<i64>,
}

/// Positions in a row-major tensor that one axis (or, without one, the whole tensor) runs through.
struct Lines {
    count: usize,
    length: usize,
    /// Distance between neighbours on a line.
    step: usize,
}

impl Lines {
    fn along(shape: &[usize], dim: Option<i64>) -> Fallible<Lines> {
        let whole = Lines { count: 1, length: shape.iter().product(), step: 1 };
        let Some(dim) = dim.filter(|&dim| dim != -1) else { return Ok(whole) };
        let axis = axis(dim, shape.len())?;
        let step: usize = shape[axis + 1..].iter().product();
        Ok(Lines { count: shape[..axis].iter().product::<usize>() * step, length: shape[axis], step })
    }

    fn position(&self, line: usize, index: usize) -> usize {
        (line / self.step * self.length + index) * self.step + line % self.step
    }
}

fn axis(dim: i64, rank: usize) -> Fallible<usize> {
    usize::try_from(dim.wrapping_sub(1))
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| shapes(&format!("axis {dim} (counted from one) of {rank} dimensions")))
}

/// For each element of `result`, in row-major order, the position in an operand of `shape` that NumPy's
/// broadcasting reads there. `missing` is an axis of the result that the operand does not have.
fn broadcast(shape: &[usize], result: &[usize], missing: Option<usize>) -> Fallible<Vec<usize>> {
    let count = result.iter().product();
    if shape.iter().all(|&extent| extent == 1) {
        return Ok(vec![0; count]);
    }
    let mut aligned = shape.to_vec();
    if let Some(axis) = missing.filter(|&axis| axis <= shape.len()) {
        aligned.insert(axis, 1);
    }
    while aligned.len() < result.len() {
        aligned.insert(0, 1);
    }
    let fits = aligned.len() == result.len()
        && aligned.iter().zip(result).all(|(&own, &wanted)| own == wanted || own == 1);
    if !fits {
        return Err(shapes(&format!("{shape:?} is not spread over {result:?}")));
    }
    let mut positions = vec![0];
    for (&own, &wanted) in aligned.iter().zip(result) {
        positions = positions
            .iter()
            .flat_map(|&position| {
                (0..wanted).map(move |index| position * own + if own == 1 { 0 } else { index })
            })
            .collect();
    }
    Ok(positions)
}

fn compare(op: BinaryOp, left: Scalar, right: Scalar) -> bool {
    arith::binary(op, left, right).is_ok_and(Scalar::is_true)
}

impl<'p> Machine<'p, '_> {
    fn operand(&mut self, library: &'p LibraryPlan, connector: &str) -> Fallible<Tensor<Scalar>> {
        let access = self.input_access(library, connector)?;
        let dtype = self.dtype_of(access)?;
        self.gather(access, dtype)
    }

    fn result_shape(&self, library: &'p LibraryPlan, connector: &str) -> Fallible<Vec<usize>> {
        let (output, _) = self.output_access(library, connector)?;
        Ok(self.points(output)?.dims.iter().map(|&(count, _)| count.max(0) as usize).collect())
    }

    /// `mask ? t : f`, each operand broadcast against the result.
    pub(super) fn merge_arrays(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        let shape = self.result_shape(library, "_mrg_out")?;
        let mask = self.operand(library, "_mrg_mask")?;
        let (then, other) = (self.operand(library, "_mrg_t")?, self.operand(library, "_mrg_f")?);
        let masks = broadcast(&mask.shape, &shape, None)?;
        let (thens, others) = (broadcast(&then.shape, &shape, None)?, broadcast(&other.shape, &shape, None)?);
        let values: Vec<Scalar> =
            masks
                .iter()
                .zip(thens.iter().zip(&others))
                .map(|(&mask_at, (&then_at, &other_at))| {
                    if mask.values[mask_at].is_true() { then.values[then_at] } else { other.values[other_at] }
                })
                .collect();
        let (output, wcr) = self.output_access(library, "_mrg_out")?;
        self.scatter(output, wcr, &values, mask.poison || then.poison || other.poison)
    }

    /// NumPy's `broadcast_to`, or Fortran's `SPREAD` along a new axis.
    pub(super) fn spread(&mut self, library: &'p LibraryPlan, dim: Option<i64>) -> Fallible<()> {
        let shape = self.result_shape(library, "_dst")?;
        let source = self.operand(library, "_src")?;
        let missing = dim.map(|dim| axis(dim, shape.len())).transpose()?;
        let values: Vec<Scalar> = broadcast(&source.shape, &shape, missing)?
            .into_iter()
            .map(|position| source.values[position])
            .collect();
        let (output, wcr) = self.output_access(library, "_dst")?;
        self.scatter(output, wcr, &values, source.poison)
    }

    /// Element `i` is element `i + shift` (modulo the extent) of the input; NumPy's `roll` goes the other way.
    pub(super) fn rotate(
        &mut self,
        library: &'p LibraryPlan,
        dim: i64,
        shift: &Factor,
        numpy: bool,
    ) -> Fallible<()> {
        let source = self.operand(library, "_x")?;
        let shift = self.factor(shift)?.as_i64();
        let shift = if numpy { shift.wrapping_neg() } else { shift };
        let lines = Lines::along(&source.shape, Some(dim))?;
        let mut values = source.values.clone();
        for line in 0..lines.count {
            for index in 0..lines.length {
                let from = (index as i64).wrapping_add(shift).rem_euclid(lines.length as i64) as usize;
                values[lines.position(line, index)] = source.values[lines.position(line, from)];
            }
        }
        let (output, wcr) = self.output_access(library, "_out")?;
        self.scatter(output, wcr, &values, source.poison)
    }

    /// The root of the sum of squares.
    pub(super) fn norm(&mut self, library: &'p LibraryPlan, dim: Option<i64>) -> Fallible<()> {
        let source = self.operand(library, "_x")?;
        let dtype = self.dtype_of(self.input_access(library, "_x")?)?;
        let lines = Lines::along(&source.shape, dim)?;
        let mut values = Vec::with_capacity(lines.count);
        for line in 0..lines.count {
            let mut sum = arith::cast(dtype, Scalar::I64(0));
            for index in 0..lines.length {
                let value = source.values[lines.position(line, index)];
                let square = arith::binary(BinaryOp::Mul, value, value).unwrap_or(value);
                sum = arith::cast(dtype, arith::binary(BinaryOp::Add, sum, square).unwrap_or(sum));
            }
            let operand = if dtype.is_float() { sum } else { arith::cast(DType::F64, sum) };
            values.push(arith::call(Func::Sqrt, &[operand]).unwrap_or(operand));
        }
        let (output, wcr) = self.output_access(library, "_out")?;
        self.scatter(output, wcr, &values, source.poison)
    }

    /// Whether all or any elements are true, or how many are.
    pub(super) fn fold_mask(
        &mut self,
        library: &'p LibraryPlan,
        fold: MaskFold,
        dim: Option<i64>,
    ) -> Fallible<()> {
        let (from, to) = match fold {
            MaskFold::Count => ("_cnt_in", "_cnt_out"),
            MaskFold::All | MaskFold::Any => ("_mask", "_out"),
        };
        let mask = self.operand(library, from)?;
        let lines = Lines::along(&mask.shape, dim)?;
        let values: Vec<Scalar> = (0..lines.count)
            .map(|line| {
                let mut truths =
                    (0..lines.length).map(|index| mask.values[lines.position(line, index)].is_true());
                match fold {
                    MaskFold::All => Scalar::Bool(truths.all(|truth| truth)),
                    MaskFold::Any => Scalar::Bool(truths.any(|truth| truth)),
                    MaskFold::Count => Scalar::I32(truths.filter(|&truth| truth).count() as i32),
                }
            })
            .collect();
        let (output, wcr) = self.output_access(library, to)?;
        self.scatter(output, wcr, &values, mask.poison)
    }

    /// Where the extreme element is: its index along `dim`, or, without one, one subscript per dimension. Where
    /// the mask selects nothing, the index is one beyond the last (or before the first, looking from the back).
    pub(super) fn extreme_index(&mut self, library: &'p LibraryPlan, extreme: Extreme) -> Fallible<()> {
        let source = self.operand(library, "_x")?;
        let mask = match self.optional_input(library, "_mask") {
            Some(_) => Some(self.operand(library, "_mask")?),
            None => None,
        };
        let selected = |at: usize| {
            mask.as_ref().is_none_or(|mask| mask.values.get(at).is_some_and(|truth| truth.is_true()))
        };
        let lines = Lines::along(&source.shape, extreme.dim)?;
        let better = if extreme.smallest { BinaryOp::Lt } else { BinaryOp::Gt };
        let offset = i64::from(extreme.one_based);
        let mut indices = Vec::with_capacity(lines.count);
        for line in 0..lines.count {
            let mut best: Option<(usize, Scalar)> = None;
            for index in 0..lines.length {
                let at = lines.position(line, index);
                let value = source.values[at];
                let takes = match best {
                    None => selected(at) && compare(BinaryOp::Eq, value, value),
                    Some((_, known)) => {
                        selected(at)
                            && (compare(better, value, known)
                                || extreme.last && compare(BinaryOp::Eq, value, known))
                    }
                };
                if takes {
                    best = Some((index, value));
                }
            }
            let none = if extreme.last { -1 } else { lines.length as i64 };
            indices.push(best.map_or(none, |(index, _)| index as i64));
        }
        let values: Vec<Scalar> = match extreme.dim.filter(|&dim| dim != -1) {
            Some(_) => indices.iter().map(|&index| Scalar::I64(index + offset)).collect(),
            None => {
                let mut rest = source.shape.iter().product::<usize>() as i64;
                let position = indices.first().copied().unwrap_or(0);
                let subscript = |&extent: &usize| {
                    rest /= (extent as i64).max(1);
                    Scalar::I64((position / rest.max(1)) % (extent as i64).max(1) + offset)
                };
                source.shape.iter().map(subscript).collect()
            }
        };
        let poison = source.poison || mask.is_some_and(|mask| mask.poison);
        let (output, wcr) = self.output_access(library, "_idx")?;
        self.scatter(output, wcr, &values, poison)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_broadcast_from_the_right() {
        assert_eq!(broadcast(&[3], &[2, 3], None).unwrap(), [0, 1, 2, 0, 1, 2]);
        assert_eq!(broadcast(&[2, 1], &[2, 3], None).unwrap(), [0, 0, 0, 1, 1, 1]);
        assert_eq!(broadcast(&[2], &[2, 3], Some(1)).unwrap(), [0, 0, 0, 1, 1, 1]);
        assert_eq!(broadcast(&[1, 1], &[2], None).unwrap(), [0, 0]);
        assert!(broadcast(&[2], &[3], None).is_err());
    }

    #[test]
    fn lines_run_along_their_axis() {
        let lines = Lines::along(&[2, 3, 4], Some(2)).unwrap();
        let positions: Vec<usize> = (0..3).map(|index| lines.position(5, index)).collect();
        assert_eq!((lines.count, lines.length, positions), (8, 3, vec![13, 17, 21]));
        assert!(Lines::along(&[2], Some(2)).is_err());
    }
}
