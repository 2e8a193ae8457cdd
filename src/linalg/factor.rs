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
    ///
    /// Each element subtracts its products upwards, one after the other. A few finished columns at a time are taken from
    /// all rows below, so that neighbours in a row go on together.
    pub fn cholesky(&mut self, lower: bool, dtype: DType) -> usize {
        const TOGETHER: usize = 4;
        let n = self.n;
        let get = |row: usize, column: usize| {
            if lower { self.at(row, column) } else { self.at(column, row).conj() }
        };
        let mut rows: Vec<Vec<T>> =
            (0..n).map(|row| (0..=row).map(|column| get(row, column)).collect()).collect();
        let (mut done, mut singular) = (n, 0);
        for first in (0..n).step_by(TOGETHER) {
            let end = n.min(first + TOGETHER);
            for column in first..end {
                let positive = rows[column][column].scalar().as_complex().re;
                if positive <= 0.0 || positive.is_nan() {
                    (done, singular) = (column, column + 1);
                    break;
                }
                let root = T::of(Scalar::F64(positive.sqrt()), dtype);
                rows[column][column] = root;
                for row in &mut rows[column + 1..] {
                    row[column] = row[column].div(root);
                }
                for next in column + 1..end {
                    let factor = rows[next][column].conj();
                    for row in &mut rows[next..] {
                        row[next] = row[next].sub(row[column].mul(factor));
                    }
                }
            }
            if singular != 0 {
                break;
            }
            let Some(below) = rows.get_mut(end..).filter(|below| !below.is_empty()) else { continue };
            let factors: Vec<[T; TOGETHER]> =
                below.iter().map(|row| std::array::from_fn(|k| row[first + k].conj())).collect();
            for row in below {
                let (left, right) = row.split_at_mut(end);
                let own = &left[first..];
                for (value, factors) in right.iter_mut().zip(&factors) {
                    *value = own.iter().zip(factors).fold(*value, |value, (&a, &b)| value.sub(a.mul(b)));
                }
            }
        }
        for (row, values) in rows.iter().enumerate() {
            for (column, &value) in values.iter().enumerate().take(done) {
                if lower {
                    self.set(row, column, value);
                } else {
                    self.set(column, row, if row == column { value } else { value.conj() });
                }
            }
        }
        singular
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

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex64;

    /// The textbook loop: every element by itself.
    fn textbook(matrix: &[Complex64], n: usize) -> (Vec<Complex64>, usize) {
        let mut l = matrix.to_vec();
        for column in 0..n {
            for row in column..n {
                let mut value = l[row * n + column];
                for k in 0..column {
                    value = value.sub(Number::mul(l[row * n + k], l[column * n + k].conj()));
                }
                if row > column {
                    l[row * n + column] = Number::div(value, l[column * n + column]);
                } else if value.re > 0.0 {
                    l[row * n + column] = Complex64::new(value.re.sqrt(), 0.0);
                } else {
                    return (l, column + 1);
                }
            }
        }
        (l, 0)
    }

    #[test]
    fn cholesky_has_the_bits_of_the_textbook_loop() {
        for n in 0..14 {
            // Where the diagonal is small, the matrix is not positive definite.
            for diagonal in [0.5, 3.0, 40.0] {
                let number = |row: usize, column: usize| {
                    let (i, j) = (row.max(column) as f64, row.min(column) as f64);
                    let im = (i - j) * if row > column { 0.1 } else { -0.1 };
                    let re = 1.0 / (1.0 + i * 0.37 + j) + if i == j { diagonal } else { 0.0 };
                    Complex64::new(re, if i == j { 0.0 } else { im })
                };
                let values: Vec<Complex64> = (0..n * n).map(|at| number(at / n, at % n)).collect();
                let (expected, singular) = textbook(&values, n);
                for lower in [true, false] {
                    let mut found = Square { n, values: values.clone() };
                    assert_eq!(found.cholesky(lower, DType::C128), singular, "{n} {diagonal}");
                    for row in 0..n {
                        for column in 0..n {
                            let in_triangle = if lower { column <= row } else { column >= row };
                            let (done, old) =
                                (row.min(column) + 1 < singular || singular == 0, number(row, column));
                            let wanted = match (in_triangle && done, lower) {
                                (true, true) => expected[row * n + column],
                                (true, false) if row == column => expected[row * n + column],
                                (true, false) => expected[column * n + row].conj(),
                                (false, _) => old,
                            };
                            let value = found.at(row, column);
                            let same = value.re.to_bits() == wanted.re.to_bits()
                                && value.im.to_bits() == wanted.im.to_bits();
                            assert!(
                                same,
                                "{n} {diagonal} {lower} at {row}, {column}: {value} instead of {wanted}"
                            );
                        }
                    }
                }
            }
        }
    }
}
