//! Factorizations and solvers, row-major, without blocking.
//!
//! Pivots are the entry of largest size, the first of equals. Pivot indices count from one, as LAPACK's do.
//! A zero pivot is reported in `_res` where there is one; the results are then what the arithmetic gives.

use crate::interp::machine::{Fallible, Machine};
use crate::interp::plan::LibraryPlan;
use crate::scalar::{DType, Scalar};

use super::number::{Number, meeting_type, with_number};
use super::{Tensor, shapes};

/// A square matrix, row-major.
pub(super) struct Square<T> {
    pub n: usize,
    pub values: Vec<T>,
    pub poison: bool,
}

impl<T: Number> Square<T> {
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
        for (row, &pivot) in pivots.iter().enumerate() {
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
}

impl<'p> Machine<'p, '_> {
    fn square<T: Number>(
        &mut self,
        library: &'p LibraryPlan,
        connector: &str,
        dtype: DType,
    ) -> Fallible<Square<T>> {
        let access = self.input_access(library, connector)?;
        let tensor: Tensor<T> = self.gather(access, dtype)?;
        let n = (tensor.values.len() as f64).sqrt() as usize;
        if n * n != tensor.values.len() {
            return Err(shapes(&format!("`{}` is not square", access.text)));
        }
        Ok(Square { n, values: tensor.values, poison: tensor.poison })
    }

    fn matrix_type(&self, library: &'p LibraryPlan, connectors: &[&str]) -> Fallible<DType> {
        let mut dtypes = Vec::new();
        for connector in connectors {
            dtypes.push(self.dtype_of(self.input_access(library, connector)?)?);
        }
        Ok(meeting_type(&dtypes))
    }

    /// Writes LAPACK's `info`, if anybody wants it.
    fn report(&mut self, library: &'p LibraryPlan, info: usize) -> Fallible<()> {
        match library.outputs.iter().find(|(name, ..)| &**name == "_res") {
            Some((_, access, wcr)) => self.scatter(access, wcr.as_ref(), &[Scalar::I64(info as i64)], false),
            None => Ok(()),
        }
    }

    /// `clean`: the other triangle is zero, as NumPy's `cholesky` gives it.
    pub(super) fn cholesky(&mut self, library: &'p LibraryPlan, lower: bool, clean: bool) -> Fallible<()> {
        let (input, output) = if clean { ("_a", "_b") } else { ("_xin", "_xout") };
        let dtype = self.matrix_type(library, &[input])?;
        with_number!(dtype, T => {
            let mut matrix = self.square::<T>(library, input, dtype)?;
            let info = matrix.cholesky(lower, dtype);
            if clean {
                let zero = <T as Number>::of(Scalar::I64(0), dtype);
                let n = matrix.n;
                for row in 0..n {
                    for column in 0..n {
                        if (lower && column > row) || (!lower && column < row) {
                            matrix.values[row * n + column] = zero;
                        }
                    }
                }
            }
            let (access, wcr) = self.output_access(library, output)?;
            self.scatter(access, wcr, &matrix.values, matrix.poison)?;
            self.report(library, info)
        })
    }

    pub(super) fn getrf(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        let dtype = self.matrix_type(library, &["_xin"])?;
        with_number!(dtype, T => {
            let mut matrix = self.square::<T>(library, "_xin", dtype)?;
            let (pivots, info) = matrix.factorize();
            let (access, wcr) = self.output_access(library, "_xout")?;
            self.scatter(access, wcr, &matrix.values, matrix.poison)?;
            let pivots: Vec<Scalar> = pivots.into_iter().map(|pivot| Scalar::I64(pivot as i64)).collect();
            let (access, wcr) = self.output_access(library, "_ipiv")?;
            self.scatter(access, wcr, &pivots, false)?;
            self.report(library, info)
        })
    }

    fn pivots(&mut self, library: &'p LibraryPlan) -> Fallible<Vec<usize>> {
        let access = self.input_access(library, "_ipiv")?;
        let pivots: Tensor<Scalar> = self.gather(access, DType::I64)?;
        Ok(pivots.values.iter().map(|pivot| usize::try_from(pivot.as_i64()).unwrap_or(0)).collect())
    }

    pub(super) fn getrs(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        let dtype = self.matrix_type(library, &["_a", "_rhs_in"])?;
        let pivots = self.pivots(library)?;
        with_number!(dtype, T => {
            let matrix = self.square::<T>(library, "_a", dtype)?;
            let access = self.input_access(library, "_rhs_in")?;
            let mut b: Tensor<T> = self.gather(access, dtype)?;
            let columns = columns(matrix.n, b.values.len())?;
            matrix.back_substitute(&pivots, &mut b.values, columns);
            let (access, wcr) = self.output_access(library, "_rhs_out")?;
            self.scatter(access, wcr, &b.values, b.poison || matrix.poison)?;
            self.report(library, 0)
        })
    }

    pub(super) fn getri(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        let dtype = self.matrix_type(library, &["_xin"])?;
        let pivots = self.pivots(library)?;
        with_number!(dtype, T => {
            let matrix = self.square::<T>(library, "_xin", dtype)?;
            let inverse = matrix.invert(&pivots, dtype);
            let (access, wcr) = self.output_access(library, "_xout")?;
            self.scatter(access, wcr, &inverse, matrix.poison)?;
            self.report(library, 0)
        })
    }

    pub(super) fn inverse(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        let dtype = self.matrix_type(library, &["_ain"])?;
        with_number!(dtype, T => {
            let mut matrix = self.square::<T>(library, "_ain", dtype)?;
            let (pivots, _) = matrix.factorize();
            let inverse = matrix.invert(&pivots, dtype);
            let (access, wcr) = self.output_access(library, "_aout")?;
            self.scatter(access, wcr, &inverse, matrix.poison)
        })
    }

    pub(super) fn solve(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        let dtype = self.matrix_type(library, &["_ain", "_bin"])?;
        with_number!(dtype, T => {
            let mut matrix = self.square::<T>(library, "_ain", dtype)?;
            let access = self.input_access(library, "_bin")?;
            let mut b: Tensor<T> = self.gather(access, dtype)?;
            let columns = columns(matrix.n, b.values.len())?;
            let (pivots, _) = matrix.factorize();
            matrix.back_substitute(&pivots, &mut b.values, columns);
            let (access, wcr) = self.output_access(library, "_bout")?;
            self.scatter(access, wcr, &b.values, b.poison || matrix.poison)
        })
    }
}

/// Right-hand sides in `count` numbers.
pub(super) fn columns(n: usize, count: usize) -> Fallible<usize> {
    if n == 0 {
        return Ok(0);
    }
    if !count.is_multiple_of(n) {
        return Err(shapes(&format!("{count} right-hand side elements for {n} equations")));
    }
    Ok(count / n)
}
