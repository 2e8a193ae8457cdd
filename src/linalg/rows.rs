//! Steps of factorizations and solvers on parts of a matrix: each subtracts products from numbers one after the other, in
//! an order of the summed index that the step names. So a matrix may be worked on whole or in blocks, with a matrix product
//! between the blocks, and has the same bits.

use std::ops::Range;

use crate::scalar::{DType, Scalar};

use super::number::Number;

/// Rows of numbers in one piece of memory.
pub(crate) struct Rows<'m, T> {
    pub values: &'m mut [T],
    /// Numbers from a row to the next.
    pub stride: usize,
}

impl<T: Number> Rows<'_, T> {
    pub fn at(&self, row: usize, column: usize) -> T {
        self.values[row * self.stride + column]
    }

    /// Exchanges two rows in some columns.
    pub fn swap(&mut self, a: usize, b: usize, columns: Range<usize>) {
        if a != b {
            let (upper, lower) = self.values.split_at_mut(a.max(b) * self.stride);
            let upper = &mut upper[a.min(b) * self.stride..];
            upper[columns.clone()].swap_with_slice(&mut lower[columns]);
        }
    }

    /// The Cholesky factor of a block on the diagonal, column by column as rows: `W[k][j]` becomes `L[j][k]`. Gives the
    /// first minor that is not positive (from one, of the matrix), or zero. Products are subtracted upwards.
    pub fn cholesky(&mut self, block: Range<usize>, dtype: DType) -> usize {
        vectorised(|| {
            for k in block.clone() {
                self.subtract_columns(block.start, k, k..block.end);
                let own = &mut self.values[k * self.stride..][k..block.end];
                let positive = own[0].scalar().as_complex().re;
                if positive <= 0.0 || positive.is_nan() {
                    return k + 1;
                }
                let root = T::of(Scalar::F64(positive.sqrt()), dtype);
                own[0] = root;
                own[1..].iter_mut().for_each(|value| *value = value.div(root));
            }
            0
        })
    }

    /// The rows of a Cholesky factor (of a block on the diagonal, finished) in columns behind it, upwards.
    pub fn cholesky_behind(&mut self, block: Range<usize>, columns: Range<usize>) {
        vectorised(|| {
            for k in block.clone() {
                self.subtract_columns(block.start, k, columns.clone());
                let root = self.at(k, k);
                let own = &mut self.values[k * self.stride..][columns.clone()];
                own.iter_mut().for_each(|value| *value = value.div(root));
            }
        });
    }

    /// `W[k] -= W[p] conj(W[p][k])` for rows `p` from `first` to `k`.
    #[inline(always)]
    fn subtract_columns(&mut self, first: usize, k: usize, columns: Range<usize>) {
        let stride = self.stride;
        let (above, own) = self.values.split_at_mut(k * stride);
        let term = |p: usize| {
            let row = &above[(first + p) * stride..];
            (row[k].conj(), &row[columns.clone()])
        };
        subtract(&mut own[columns.clone()], k - first, term);
    }

    /// `P A = L U` of some columns, from their diagonal down: pivots are the entry of largest size, the first of equals,
    /// and rows are exchanged in these columns only. Gives the first zero pivot (from one, of the matrix), or zero; the
    /// pivots (from one) are appended. Products are subtracted upwards.
    pub fn factorize(&mut self, block: Range<usize>, pivots: &mut Vec<usize>) -> usize {
        let stride = self.stride;
        let rows = self.values.len().checked_div(stride).unwrap_or(0);
        vectorised(|| {
            let mut singular = 0;
            for k in block.clone() {
                let mut pivot = k;
                for row in k + 1..rows {
                    if self.at(row, k).magnitude() > self.at(pivot, k).magnitude() {
                        pivot = row;
                    }
                }
                pivots.push(pivot + 1);
                self.swap(pivot, k, block.clone());
                let (above, below) = self.values.split_at_mut((k + 1) * stride);
                let own = &above[k * stride..][k..block.end];
                if own[0].magnitude() == 0.0 {
                    if singular == 0 {
                        singular = k + 1;
                    }
                    continue;
                }
                for row in below.chunks_exact_mut(stride) {
                    let row = &mut row[k..block.end];
                    let factor = row[0].div(own[0]);
                    row[0] = factor;
                    subtract(&mut row[1..], 1, |_| (factor, &own[1..]));
                }
            }
            singular
        })
    }

    /// The rows of `U` behind a block whose `L` is finished, upwards.
    pub fn factorize_behind(&mut self, block: Range<usize>, columns: Range<usize>) {
        let stride = self.stride;
        vectorised(|| {
            for k in block.clone() {
                let (above, own) = self.values.split_at_mut(k * stride);
                let (left, target) = own.split_at_mut(columns.start);
                let term = |p: usize| {
                    let p = block.start + p;
                    (left[p], &above[p * stride..][columns.clone()])
                };
                subtract(&mut target[..columns.len()], k - block.start, term);
            }
        });
    }

    /// Solves `L x = b` for a block of rows of `x`, `L` with ones on its diagonal: the earlier rows of the block are
    /// subtracted upwards.
    pub fn forward(&self, block: Range<usize>, b: &mut Rows<'_, T>) {
        let stride = b.stride;
        vectorised(|| {
            for row in block.clone() {
                let (above, own) = b.values.split_at_mut(row * stride);
                let term = |k: usize| {
                    let k = block.start + k;
                    (self.at(row, k), &above[k * stride..][..stride])
                };
                subtract(&mut own[..stride], row - block.start, term);
            }
        });
    }

    /// Solves `U x = b` for a block of rows of `x`: the later rows of the block are subtracted downwards, from the last.
    pub fn backward(&self, block: Range<usize>, b: &mut Rows<'_, T>) {
        let stride = b.stride;
        vectorised(|| {
            for row in block.clone().rev() {
                let (own, below) = b.values.split_at_mut((row + 1) * stride);
                let own = &mut own[row * stride..];
                let term = |k: usize| {
                    let k = block.end - 1 - k;
                    (self.at(row, k), &below[(k - row - 1) * stride..][..stride])
                };
                subtract(own, block.end - 1 - row, term);
                let diagonal = self.at(row, row);
                own.iter_mut().for_each(|value| *value = value.div(diagonal));
            }
        });
    }
}

/// `c -= a b`, products one after the other upwards: rows of `c` and `b`, and any numbers `a`.
pub(crate) fn subtract_product<'c, 'b, T: Number>(
    c: impl Iterator<Item = &'c mut [T]>,
    count: usize,
    a: impl Fn(usize, usize) -> T,
    b: impl Fn(usize) -> &'b [T],
) {
    vectorised(|| {
        for (row, target) in c.enumerate() {
            subtract(target, count, |k| (a(row, k), b(k)));
        }
    });
}

/// `target -= factor * row` for so many terms, one after the other.
#[inline(always)]
fn subtract<'r, T: Number>(target: &mut [T], count: usize, term: impl Fn(usize) -> (T, &'r [T])) {
    let together = count - count % 4;
    for k in (0..together).step_by(4) {
        let [(f0, r0), (f1, r1), (f2, r2), (f3, r3)] = std::array::from_fn(|i| term(k + i));
        for ((((value, &x0), &x1), &x2), &x3) in target.iter_mut().zip(r0).zip(r1).zip(r2).zip(r3) {
            *value = value.sub(f0.mul(x0)).sub(f1.mul(x1)).sub(f2.mul(x2)).sub(f3.mul(x3));
        }
    }
    for k in together..count {
        let (factor, row) = term(k);
        for (value, &x) in target.iter_mut().zip(row) {
            *value = value.sub(factor.mul(x));
        }
    }
}

/// Runs a function compiled for the machine's vectors. Operations stay those that it names, so it has the same bits.
#[inline(always)]
fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
