//! Factorizations and solvers, row-major, without blocking.
//!
//! Pivots are the entry of largest size, the first of equals. Pivot indices count from one, as LAPACK's do.

use crate::scalar::{DType, Scalar};

use super::number::Number;

/// A square matrix, row-major.
#[derive(Debug)]
pub(crate) struct Square<T> {
    /// Rows and columns.
    pub n: usize,
    /// Row by row.
    pub values: Vec<T>,
}

impl<T: Number> Square<T> {
    /// The matrix of these numbers, if there are as many as a square has.
    pub fn of(values: Vec<T>) -> Option<Square<T>> {
        let n = (values.len() as f64).sqrt() as usize;
        (n * n == values.len()).then_some(Square { n, values })
    }

    fn at(&self, row: usize, column: usize) -> T {
        self.values[row * self.n + column]
    }

    fn set(&mut self, row: usize, column: usize, value: T) {
        self.values[row * self.n + column] = value;
    }

    fn swap_rows(&mut self, a: usize, b: usize) {
        for column in 0..self.n {
            self.values.swap(a * self.n + column, b * self.n + column);
        }
    }

    /// `P A = L U` in place; the pivots from one, and the first zero pivot (from one) or zero.
    pub fn factorize(&mut self) -> (Vec<usize>, usize) {
        let mut pivots = Vec::with_capacity(self.n);
        let mut singular = 0;
        for k in 0..self.n {
            let mut pivot = k;
            for row in k + 1..self.n {
                if self.at(row, k).magnitude() > self.at(pivot, k).magnitude() {
                    pivot = row;
                }
            }
            pivots.push(pivot + 1);
            if pivot != k {
                self.swap_rows(pivot, k);
            }
            if self.at(k, k).magnitude() == 0.0 {
                if singular == 0 {
                    singular = k + 1;
                }
                continue;
            }
            for row in k + 1..self.n {
                let factor = self.at(row, k).div(self.at(k, k));
                self.set(row, k, factor);
                for column in k + 1..self.n {
                    let value = self.at(row, column).sub(factor.mul(self.at(k, column)));
                    self.set(row, column, value);
                }
            }
        }
        (pivots, singular)
    }

    /// Solves `A x = b` for each column of `b`, given the factors.
    pub fn back_substitute(&self, pivots: &[usize], b: &mut [T], columns: usize) {
        for (row, &pivot) in pivots.iter().enumerate().take(self.n) {
            let pivot = pivot.saturating_sub(1);
            if pivot != row && pivot < self.n {
                for column in 0..columns {
                    b.swap(row * columns + column, pivot * columns + column);
                }
            }
        }
        for column in 0..columns {
            for row in 0..self.n {
                let mut value = b[row * columns + column];
                for k in 0..row {
                    value = value.sub(self.at(row, k).mul(b[k * columns + column]));
                }
                b[row * columns + column] = value;
            }
            for row in (0..self.n).rev() {
                let mut value = b[row * columns + column];
                for k in row + 1..self.n {
                    value = value.sub(self.at(row, k).mul(b[k * columns + column]));
                }
                b[row * columns + column] = value.div(self.at(row, row));
            }
        }
    }

    /// The inverse, given the factors.
    pub fn invert(&self, pivots: &[usize], dtype: DType) -> Vec<T> {
        let (zero, one) = (T::of(Scalar::I64(0), dtype), T::of(Scalar::I64(1), dtype));
        let mut identity = vec![zero; self.n * self.n];
        for diagonal in 0..self.n {
            identity[diagonal * self.n + diagonal] = one;
        }
        self.back_substitute(pivots, &mut identity, self.n);
        identity
    }

    /// The Cholesky factor in the lower (or upper) triangle; the other triangle is as it was. Gives the first
    /// minor that is not positive (from one), or zero.
    pub fn cholesky(&mut self, lower: bool, dtype: DType) -> usize {
        let n = self.n;
        let get = |matrix: &Self, row: usize, column: usize| {
            if lower { matrix.at(row, column) } else { matrix.at(column, row).conj() }
        };
        for column in 0..n {
            let mut diagonal = get(self, column, column);
            for k in 0..column {
                let factor = get(self, column, k);
                diagonal = diagonal.sub(factor.mul(factor.conj()));
            }
            let positive = diagonal.scalar().as_complex().re;
            if positive <= 0.0 || positive.is_nan() {
                return column + 1;
            }
            let root = T::of(Scalar::F64(diagonal.scalar().as_complex().re.sqrt()), dtype);
            self.set(column, column, root);
            for row in column + 1..n {
                let mut value = get(self, row, column);
                for k in 0..column {
                    value = value.sub(get(self, row, k).mul(get(self, column, k).conj()));
                }
                value = value.div(root);
                if lower {
                    self.set(row, column, value);
                } else {
                    self.set(column, row, value.conj());
                }
            }
        }
        0
    }

    /// Clears the triangle that a Cholesky factor does not use.
    pub fn clear_other_triangle(&mut self, lower: bool, dtype: DType) {
        let zero = T::of(Scalar::I64(0), dtype);
        for row in 0..self.n {
            for column in 0..self.n {
                if (lower && column > row) || (!lower && column < row) {
                    self.set(row, column, zero);
                }
            }
        }
    }
}

/// How many right-hand sides of `n` equations are in `count` numbers.
pub(crate) fn columns(n: usize, count: usize) -> Option<usize> {
    match n {
        0 => Some(0),
        _ => count.is_multiple_of(n).then(|| count / n),
    }
}
