//! Factorizations and solvers of whole matrices, row-major, each one step of [`rows`](super::rows).
//!
//! Pivots are the entry of largest size, the first of equals. Pivot indices count from one, as LAPACK's do.

use crate::scalar::{DType, Scalar};

use super::number::Number;
use super::rows::Rows;

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

    /// The matrix as rows.
    pub fn rows(&mut self) -> Rows<'_, T> {
        Rows { values: &mut self.values, stride: self.n }
    }

    /// `P A = L U` in place; the pivots from one, and the first zero pivot (from one) or zero.
    pub fn factorize(&mut self) -> (Vec<usize>, usize) {
        let mut pivots = Vec::with_capacity(self.n);
        let n = self.n;
        let singular = self.rows().factorize(0..n, &mut pivots);
        (pivots, singular)
    }

    /// Solves `A x = b` for each column of `b`, given the factors.
    pub fn back_substitute(&mut self, pivots: &[usize], b: &mut [T], columns: usize) {
        let n = self.n;
        let mut b = Rows { values: b, stride: columns };
        exchange(n, pivots, &mut b);
        let factors = self.rows();
        factors.forward(0..n, &mut b);
        factors.backward(0..n, &mut b);
    }

    /// The inverse, given the factors.
    pub fn invert(&mut self, pivots: &[usize], dtype: DType) -> Vec<T> {
        let mut identity = self.identity(dtype);
        self.back_substitute(pivots, &mut identity, self.n);
        identity
    }

    /// The identity of that size.
    pub fn identity(&self, dtype: DType) -> Vec<T> {
        let (zero, one) = (T::of(Scalar::I64(0), dtype), T::of(Scalar::I64(1), dtype));
        let mut identity = vec![zero; self.n * self.n];
        identity.iter_mut().step_by(self.n + 1).for_each(|diagonal| *diagonal = one);
        identity
    }

    /// The Cholesky factor in the lower (or upper) triangle; the other triangle is as it was. Gives the first
    /// minor that is not positive (from one), or zero: then what that minor begins is as it was.
    pub fn cholesky(&mut self, lower: bool, dtype: DType) -> usize {
        let n = self.n;
        let mut info = 0;
        self.cholesky_by(lower, |rows| {
            info = rows.cholesky(0..n, dtype);
            Some(if info == 0 { n } else { info - 1 })
        });
        info
    }

    /// A Cholesky factor by a function for rows that hold the columns of the lower triangle; it says how many are
    /// finished, or that there is no memory.
    pub fn cholesky_by(
        &mut self,
        lower: bool,
        factorize: impl FnOnce(&mut Rows<'_, T>) -> Option<usize>,
    ) -> Option<()> {
        let n = self.n;
        let mut columns = self.values.clone();
        turn(n, &self.values, &mut columns, n, if lower { Turn::Out } else { Turn::Conjugate });
        let done = factorize(&mut Rows { values: &mut columns, stride: n })?;
        turn(n, &columns, &mut self.values, done, if lower { Turn::Back } else { Turn::Conjugate });
        Some(())
    }

    /// Clears the triangle that a Cholesky factor does not use.
    pub fn clear_other_triangle(&mut self, lower: bool, dtype: DType) {
        let zero = T::of(Scalar::I64(0), dtype);
        for (row, numbers) in self.values.chunks_exact_mut(self.n.max(1)).enumerate() {
            let others = if lower { &mut numbers[row + 1..] } else { &mut numbers[..row] };
            others.fill(zero);
        }
    }
}

/// How columns of a lower triangle become rows of an upper one, or the other way round.
#[derive(Clone, Copy, PartialEq)]
enum Turn {
    Out,
    Back,
    /// The triangle is an upper one already, of conjugates.
    Conjugate,
}

/// Copies the first `done` rows of an upper triangle, or columns of a lower one.
fn turn<T: Number>(n: usize, from: &[T], to: &mut [T], done: usize, how: Turn) {
    /// Blocks that stay in the first cache.
    const BLOCK: usize = 16;
    for (top, left) in
        (0..done).step_by(BLOCK).flat_map(|top| (top..n).step_by(BLOCK).map(move |left| (top, left)))
    {
        for row in top..done.min(top + BLOCK) {
            for column in left.max(row)..n.min(left + BLOCK) {
                let (upper, lower) = (row * n + column, column * n + row);
                match how {
                    Turn::Out => to[upper] = from[lower],
                    Turn::Back => to[lower] = from[upper],
                    Turn::Conjugate if row == column => to[upper] = from[upper],
                    Turn::Conjugate => to[upper] = from[upper].conj(),
                }
            }
        }
    }
}

/// Exchanges `n` rows as pivots (from one) say.
pub(crate) fn exchange<T: Number>(n: usize, pivots: &[usize], b: &mut Rows<'_, T>) {
    let columns = b.stride;
    for (row, &pivot) in pivots.iter().enumerate().take(n) {
        if (1..=n).contains(&pivot) {
            b.swap(row, pivot - 1, 0..columns);
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
                            let value = found.values[row * n + column];
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

    /// The textbook loops of a solver: factors and pivots, then the solution.
    fn solved(matrix: &[f64], n: usize, b: &[f64], columns: usize) -> (Vec<f64>, Vec<usize>, Vec<f64>) {
        let (mut a, mut x, mut pivots) = (matrix.to_vec(), b.to_vec(), Vec::new());
        for k in 0..n {
            let mut pivot = k;
            for row in k + 1..n {
                if a[row * n + k].abs() > a[pivot * n + k].abs() {
                    pivot = row;
                }
            }
            pivots.push(pivot + 1);
            for column in 0..n {
                a.swap(k * n + column, pivot * n + column);
            }
            for column in 0..columns {
                x.swap(k * columns + column, pivot * columns + column);
            }
            if a[k * n + k] == 0.0 {
                continue;
            }
            for row in k + 1..n {
                a[row * n + k] /= a[k * n + k];
                for column in k + 1..n {
                    a[row * n + column] -= a[row * n + k] * a[k * n + column];
                }
            }
        }
        for column in 0..columns {
            for row in 0..n {
                for k in 0..row {
                    x[row * columns + column] -= a[row * n + k] * x[k * columns + column];
                }
            }
            for row in (0..n).rev() {
                for k in (row + 1..n).rev() {
                    x[row * columns + column] -= a[row * n + k] * x[k * columns + column];
                }
                x[row * columns + column] /= a[row * n + row];
            }
        }
        (a, pivots, x)
    }

    #[test]
    fn solving_has_the_bits_of_the_textbook_loops() {
        for n in 0..14 {
            for columns in [1, 2, 7] {
                // The last matrix has two equal columns, so a pivot is zero or next to it.
                for equal in [false, true] {
                    let number = |at: usize| ((at * 7919 + 13) % 1009) as f64 / 500.0 - 1.0;
                    let matrix: Vec<f64> = (0..n * n)
                        .map(|at| if equal && n > 3 && at % n == 2 { number(at - 1) } else { number(at) })
                        .collect();
                    let b: Vec<f64> = (0..n * columns).map(|at| number(at * 3 + 1)).collect();
                    let (a, pivots, x) = solved(&matrix, n, &b, columns);
                    let mut square = Square { n, values: matrix };
                    let (found, _) = square.factorize();
                    let mut solution = b;
                    square.back_substitute(&found, &mut solution, columns);
                    let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert_eq!(found, pivots, "{n} {columns} {equal}");
                    assert_eq!(bits(&square.values), bits(&a), "{n} {columns} {equal}");
                    assert_eq!(bits(&solution), bits(&x), "{n} {columns} {equal}");
                }
            }
        }
    }
}
