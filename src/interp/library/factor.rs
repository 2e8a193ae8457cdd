//! Nodes that factorize and solve. The routines are [`linalg`](crate::linalg)'s; a zero pivot is reported in
//! `_res` where there is one, and the results are then what the arithmetic gives.

use crate::interp::machine::{Fallible, Machine};
use crate::interp::plan::LibraryPlan;
use crate::linalg::{self, Number, Square, meeting_type, with_number};
use crate::scalar::{DType, Scalar};

use super::{Tensor, shapes};

impl<'p> Machine<'p, '_> {
    fn square<T: Number>(
        &mut self,
        library: &'p LibraryPlan,
        connector: &str,
        dtype: DType,
    ) -> Fallible<(Square<T>, bool)> {
        let access = self.input_access(library, connector)?;
        let tensor: Tensor<T> = self.gather(access, dtype)?;
        match Square::of(tensor.values) {
            Some(matrix) => Ok((matrix, tensor.poison)),
            None => Err(shapes(&format!("`{}` is not square", access.text))),
        }
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
            let (mut matrix, poison) = self.square::<T>(library, input, dtype)?;
            let info = matrix.cholesky(lower, dtype);
            if clean {
                matrix.clear_other_triangle(lower, dtype);
            }
            let (access, wcr) = self.output_access(library, output)?;
            self.scatter(access, wcr, &matrix.values, poison)?;
            self.report(library, info)
        })
    }

    pub(super) fn getrf(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        let dtype = self.matrix_type(library, &["_xin"])?;
        with_number!(dtype, T => {
            let (mut matrix, poison) = self.square::<T>(library, "_xin", dtype)?;
            let (pivots, info) = matrix.factorize();
            let (access, wcr) = self.output_access(library, "_xout")?;
            self.scatter(access, wcr, &matrix.values, poison)?;
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
            let (mut matrix, poison) = self.square::<T>(library, "_a", dtype)?;
            let access = self.input_access(library, "_rhs_in")?;
            let mut b: Tensor<T> = self.gather(access, dtype)?;
            let columns = columns(matrix.n, b.values.len())?;
            matrix.back_substitute(&pivots, &mut b.values, columns);
            let (access, wcr) = self.output_access(library, "_rhs_out")?;
            self.scatter(access, wcr, &b.values, b.poison || poison)?;
            self.report(library, 0)
        })
    }

    pub(super) fn getri(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        let dtype = self.matrix_type(library, &["_xin"])?;
        let pivots = self.pivots(library)?;
        with_number!(dtype, T => {
            let (mut matrix, poison) = self.square::<T>(library, "_xin", dtype)?;
            let inverse = matrix.invert(&pivots, dtype);
            let (access, wcr) = self.output_access(library, "_xout")?;
            self.scatter(access, wcr, &inverse, poison)?;
            self.report(library, 0)
        })
    }

    pub(super) fn inverse(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        let dtype = self.matrix_type(library, &["_ain"])?;
        with_number!(dtype, T => {
            let (mut matrix, poison) = self.square::<T>(library, "_ain", dtype)?;
            let (pivots, _) = matrix.factorize();
            let inverse = matrix.invert(&pivots, dtype);
            let (access, wcr) = self.output_access(library, "_aout")?;
            self.scatter(access, wcr, &inverse, poison)
        })
    }

    pub(super) fn solve(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        let dtype = self.matrix_type(library, &["_ain", "_bin"])?;
        with_number!(dtype, T => {
            let (mut matrix, poison) = self.square::<T>(library, "_ain", dtype)?;
            let access = self.input_access(library, "_bin")?;
            let mut b: Tensor<T> = self.gather(access, dtype)?;
            let columns = columns(matrix.n, b.values.len())?;
            let (pivots, _) = matrix.factorize();
            matrix.back_substitute(&pivots, &mut b.values, columns);
            let (access, wcr) = self.output_access(library, "_bout")?;
            self.scatter(access, wcr, &b.values, b.poison || poison)
        })
    }
}

/// Right-hand sides in `count` numbers.
pub(super) fn columns(n: usize, count: usize) -> Fallible<usize> {
    linalg::columns(n, count)
        .ok_or_else(|| shapes(&format!("{count} right-hand side elements for {n} equations")))
}
