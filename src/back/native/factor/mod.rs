//! Factorizations and solvers in blocks: the steps of [`linalg`] on what is small, and matrix products between, where
//! nearly all the work is. Every number subtracts its products in the order of [`linalg`], so in strict mode the bits are
//! those of a matrix worked on whole; in fast mode products are those of fast mode.

#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::linalg::{Rows, Square, exchange};
use crate::scalar::DType;

use super::call::Frame;
use super::product::{Element, Subtraction};

/// Columns that are searched for pivots whole.
const PANEL: usize = 16;

/// Works in blocks, on behalf of machine code.
pub(super) struct Blocks {
    frame: *mut Frame,
}

/// A block of a matrix: its first row and column.
type Place = (usize, usize);

/// Halves of a range that is long.
fn halves(block: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let middle = block.start + (block.len() / 2).next_multiple_of(8);
    (block.start..middle, middle..block.end)
}

impl Blocks {
    /// # Safety
    /// `frame` is the one of the machine code that calls, as long as this is used.
    pub unsafe fn of(frame: *mut Frame) -> Blocks {
        Blocks { frame }
    }

    /// [`Square::cholesky`]; none when there is no memory, as for all of these.
    pub fn cholesky<T: Element>(&self, matrix: &mut Square<T>, lower: bool, dtype: DType) -> Option<usize> {
        let n = matrix.n;
        let mut info = 0;
        matrix.cholesky_by(lower, |rows| {
            info = self.cholesky_block(rows, 0..n, dtype)?;
            Some(if info == 0 { n } else { 0 })
        })?;
        match info {
            0 => Some(0),
            // What a minor that is not positive leaves unfinished depends on the blocks.
            _ => Some(matrix.cholesky(lower, dtype)),
        }
    }

    fn cholesky_block<T: Element>(
        &self,
        w: &mut Rows<'_, T>,
        block: Range<usize>,
        dtype: DType,
    ) -> Option<usize> {
        if block.len() <= T::SMALL {
            return Some(w.cholesky(block, dtype));
        }
        let (done, rest) = halves(&block);
        let info = self.cholesky_block(w, done.clone(), dtype)?;
        if info != 0 {
            return Some(info);
        }
        self.cholesky_behind(w, done.clone(), &rest)?;
        self.cholesky_take(w, &done, rest.clone())?;
        self.cholesky_block(w, rest, dtype)
    }

    fn cholesky_behind<T: Element>(
        &self,
        w: &mut Rows<'_, T>,
        block: Range<usize>,
        columns: &Range<usize>,
    ) -> Option<()> {
        if block.len() <= T::SMALL {
            w.cholesky_behind(block, columns.clone());
            return Some(());
        }
        let (x, y) = halves(&block);
        self.cholesky_behind(w, x.clone(), columns)?;
        self.take_squares(w, &x, y.clone(), columns)?;
        self.cholesky_behind(w, y, columns)
    }

    /// Subtracts from a block on the diagonal what the finished rows say, above the diagonal (and near it below, where
    /// nobody looks).
    fn cholesky_take<T: Element>(
        &self,
        w: &mut Rows<'_, T>,
        done: &Range<usize>,
        block: Range<usize>,
    ) -> Option<()> {
        if block.len() <= 4 * T::SMALL {
            return self.take_squares(w, done, block.clone(), &block);
        }
        let (x, y) = halves(&block);
        self.cholesky_take(w, done, x.clone())?;
        self.take_squares(w, done, x, &y)?;
        self.cholesky_take(w, done, y)
    }

    /// `W[rows][columns] -= conj(W[done][rows]) turned * W[done][columns]`.
    fn take_squares<T: Element>(
        &self,
        w: &mut Rows<'_, T>,
        done: &Range<usize>,
        rows: Range<usize>,
        columns: &Range<usize>,
    ) -> Option<()> {
        let stride = w.stride;
        let place = |(row, column): Place| row * stride + column;
        let all = w.values.as_mut_ptr();
        let work = Subtraction {
            c: all.wrapping_add(place((rows.start, columns.start))),
            a: all.wrapping_add(place((done.start, rows.start))),
            b: all.wrapping_add(place((done.start, columns.start))),
            c_stride: stride,
            b_stride: stride as isize,
            a_strides: [1, stride as isize],
            conjugate: true,
            m: rows.len(),
            n: columns.len(),
            k: done.len(),
        };
        // SAFETY: the blocks lie in the matrix, and finished rows are none of those that change.
        unsafe { T::subtract(self.frame, &work) }
    }

    /// [`Square::factorize`].
    pub fn factorize<T: Element>(&self, matrix: &mut Square<T>) -> Option<(Vec<usize>, usize)> {
        let n = matrix.n;
        if n <= PANEL {
            return Some(matrix.factorize());
        }
        let mut original = Vec::new();
        original.try_reserve_exact(n * n).ok()?;
        original.extend_from_slice(&matrix.values);
        let mut pivots = Vec::with_capacity(n);
        match self.factorize_block(&mut matrix.rows(), 0..n, &mut pivots)? {
            true => Some((pivots, 0)),
            false => {
                // What a zero pivot leaves out no product can leave out.
                matrix.values = original;
                Some(matrix.factorize())
            }
        }
    }

    /// Factorizes columns from their diagonal down; false at a zero pivot.
    fn factorize_block<T: Element>(
        &self,
        a: &mut Rows<'_, T>,
        block: Range<usize>,
        pivots: &mut Vec<usize>,
    ) -> Option<bool> {
        if block.len() <= PANEL {
            return Some(a.factorize(block, pivots) == 0);
        }
        let (x, y) = halves(&block);
        if !self.factorize_block(a, x.clone(), pivots)? {
            return Some(false);
        }
        for row in x.clone() {
            a.swap(row, pivots[row] - 1, y.clone());
        }
        self.factorize_behind(a, x.clone(), &y)?;
        let rows = y.start..a.values.len() / a.stride;
        self.take(a, rows, &x, &y)?;
        if !self.factorize_block(a, y.clone(), pivots)? {
            return Some(false);
        }
        for row in y {
            a.swap(row, pivots[row] - 1, x.clone());
        }
        Some(true)
    }

    fn factorize_behind<T: Element>(
        &self,
        a: &mut Rows<'_, T>,
        block: Range<usize>,
        columns: &Range<usize>,
    ) -> Option<()> {
        if block.len() <= T::SMALL {
            a.factorize_behind(block, columns.clone());
            return Some(());
        }
        let (x, y) = halves(&block);
        self.factorize_behind(a, x.clone(), columns)?;
        self.take(a, y.clone(), &x, columns)?;
        self.factorize_behind(a, y, columns)
    }

    /// `A[rows][columns] -= A[rows][done] * A[done][columns]`.
    fn take<T: Element>(
        &self,
        a: &mut Rows<'_, T>,
        rows: Range<usize>,
        done: &Range<usize>,
        columns: &Range<usize>,
    ) -> Option<()> {
        let stride = a.stride;
        let place = |(row, column): Place| row * stride + column;
        let all = a.values.as_mut_ptr();
        let work = Subtraction {
            c: all.wrapping_add(place((rows.start, columns.start))),
            a: all.wrapping_add(place((rows.start, done.start))),
            b: all.wrapping_add(place((done.start, columns.start))),
            c_stride: stride,
            b_stride: stride as isize,
            a_strides: [stride as isize, 1],
            conjugate: false,
            m: rows.len(),
            n: columns.len(),
            k: done.len(),
        };
        // SAFETY: the blocks lie in the matrix and share nothing.
        unsafe { T::subtract(self.frame, &work) }
    }

    /// [`Square::back_substitute`].
    pub fn back_substitute<T: Element>(
        &self,
        factors: &mut Square<T>,
        pivots: &[usize],
        b: &mut [T],
        columns: usize,
    ) -> Option<()> {
        let n = factors.n;
        let mut b = Rows { values: b, stride: columns };
        exchange(n, pivots, &mut b);
        let factors = factors.rows();
        self.forward(&factors, 0..n, &mut b)?;
        self.backward(&factors, 0..n, &mut b)
    }

    fn forward<T: Element>(&self, l: &Rows<'_, T>, block: Range<usize>, b: &mut Rows<'_, T>) -> Option<()> {
        if is_small(&block, b) {
            l.forward(block, b);
            return Some(());
        }
        let (x, y) = halves(&block);
        self.forward(l, x.clone(), b)?;
        self.take_rows(l, y.clone(), x, false, b)?;
        self.forward(l, y, b)
    }

    fn backward<T: Element>(&self, u: &Rows<'_, T>, block: Range<usize>, b: &mut Rows<'_, T>) -> Option<()> {
        if is_small(&block, b) {
            u.backward(block, b);
            return Some(());
        }
        let (x, y) = halves(&block);
        self.backward(u, y.clone(), b)?;
        self.take_rows(u, x.clone(), y, true, b)?;
        self.backward(u, x, b)
    }

    /// `B[rows] -= A[rows][done] * B[done]`, over `done` upwards or downwards.
    fn take_rows<T: Element>(
        &self,
        a: &Rows<'_, T>,
        rows: Range<usize>,
        done: Range<usize>,
        downwards: bool,
        b: &mut Rows<'_, T>,
    ) -> Option<()> {
        let (first, sign) = if downwards { (done.end - 1, -1) } else { (done.start, 1) };
        let all = b.values.as_mut_ptr();
        let work = Subtraction {
            c: all.wrapping_add(rows.start * b.stride),
            a: a.values.as_ptr().wrapping_add(rows.start * a.stride + first),
            b: all.wrapping_add(first * b.stride).cast_const(),
            c_stride: b.stride,
            b_stride: sign * b.stride as isize,
            a_strides: [a.stride as isize, sign],
            conjugate: false,
            m: rows.len(),
            n: b.stride,
            k: done.len(),
        };
        // SAFETY: the blocks lie in the matrices, and finished rows are none of those that change.
        unsafe { T::subtract(self.frame, &work) }
    }

    /// [`Square::invert`].
    pub fn invert<T: Element>(
        &self,
        factors: &mut Square<T>,
        pivots: &[usize],
        dtype: DType,
    ) -> Option<Vec<T>> {
        let mut identity = factors.identity(dtype);
        let n = factors.n;
        self.back_substitute(factors, pivots, &mut identity, n)?;
        Some(identity)
    }
}

/// Whether rows of `x` are found whole: few, or of few numbers.
fn is_small<T: Element>(block: &Range<usize>, b: &Rows<'_, T>) -> bool {
    block.len() <= T::SMALL || b.stride < 8
}
