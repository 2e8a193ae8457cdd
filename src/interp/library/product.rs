//! Matrix products.

use crate::interp::machine::{Fallible, Machine};
use crate::interp::plan::{Access, LibraryPlan};
use crate::linalg::{Number, meeting_type, with_number};
use crate::scalar::{DType, Scalar};

use super::{Factor, Product, Tensor, shapes};

impl<'p> Machine<'p, '_> {
    pub(super) fn matmul(&mut self, library: &'p LibraryPlan, product: &Product) -> Fallible<()> {
        let a = self.input_access(library, "_a")?;
        let b = self.input_access(library, "_b")?;
        let dtype = self.common_type(library, &[a, b], "_c")?;
        with_number!(dtype, T => self.matmul_typed::<T>(library, product, a, b, dtype))
    }

    fn common_type(&self, library: &'p LibraryPlan, inputs: &[&Access], output: &str) -> Fallible<DType> {
        let (output, _) = self.output_access(library, output)?;
        let mut dtypes = vec![self.dtype_of(output)?];
        for access in inputs {
            dtypes.push(self.dtype_of(access)?);
        }
        Ok(meeting_type(&dtypes))
    }

    fn matmul_typed<T: Number>(
        &mut self,
        library: &'p LibraryPlan,
        product: &Product,
        a: &'p Access,
        b: &'p Access,
        dtype: DType,
    ) -> Fallible<()> {
        let (a, b) = (self.gather::<T>(a, dtype)?, self.gather::<T>(b, dtype)?);
        let (output, _) = self.output_access(library, "_c")?;
        let c_shape: Vec<usize> =
            self.points(output)?.dims.iter().map(|&(count, _)| count.max(0) as usize).collect();
        let count: usize = c_shape.iter().product();
        // NumPy's rule on the boxes as declared, then without their declared ones: the first that fits.
        let views = [
            (&a.shape, &b.shape),
            (&a.squeezed, &b.squeezed),
            (&a.shape, &b.squeezed),
            (&a.squeezed, &b.shape),
        ];
        let fits = views.into_iter().find_map(|(a_shape, b_shape)| {
            Matrices::of(a_shape, b_shape, product.trans_a, product.trans_b).filter(|m| m.results() == count)
        });
        let Some(matrices) = fits else {
            return Err(shapes(&format!("{:?} times {:?} into {c_shape:?}", a.shape, b.shape)));
        };
        let values = matrices.multiply(&a.values, &b.values, T::of(Scalar::I64(0), dtype));
        self.finish(
            library,
            "_c",
            &["_cin", "_c"],
            values,
            a.poison || b.poison,
            &product.alpha,
            &product.beta,
            dtype,
        )
    }

    pub(super) fn gemv(&mut self, library: &'p LibraryPlan, product: &Product) -> Fallible<()> {
        let a = self.input_access(library, "_A")?;
        let x = self.input_access(library, "_x")?;
        let dtype = self.common_type(library, &[a, x], "_y")?;
        with_number!(dtype, T => self.gemv_typed::<T>(library, product, a, x, dtype))
    }

    fn gemv_typed<T: Number>(
        &mut self,
        library: &'p LibraryPlan,
        product: &Product,
        a: &'p Access,
        x: &'p Access,
        dtype: DType,
    ) -> Fallible<()> {
        let (a, x) = (self.gather::<T>(a, dtype)?, self.gather::<T>(x, dtype)?);
        let matrix = if a.shape.len() == 2 { &a.shape } else { &a.squeezed };
        let vector = [x.values.len()];
        let Some(matrices) = Matrices::of(matrix, &vector, product.trans_a, false) else {
            return Err(shapes(&format!("{:?} times {:?}", a.shape, x.shape)));
        };
        let values = matrices.multiply(&a.values, &x.values, T::of(Scalar::I64(0), dtype));
        self.finish(
            library,
            "_y",
            &["_y"],
            values,
            a.poison || x.poison,
            &product.alpha,
            &product.beta,
            dtype,
        )
    }

    /// `alpha * values + beta * old`, written out. Without an input for the old values, the output's content
    /// is meant.
    #[expect(clippy::too_many_arguments, reason = "the whole right-hand side of a BLAS call")]
    pub(super) fn finish<T: Number>(
        &mut self,
        library: &'p LibraryPlan,
        connector: &str,
        old: &[&str],
        mut values: Vec<T>,
        mut poison: bool,
        alpha: &Factor,
        beta: &Factor,
        dtype: DType,
    ) -> Fallible<()> {
        let (output, wcr) = self.output_access(library, connector)?;
        if !alpha.is(1.0) {
            let alpha = T::of(self.factor(alpha)?, dtype);
            values.iter_mut().for_each(|value| *value = alpha.mul(*value));
        }
        if !beta.is(0.0) && wcr.is_none() {
            let beta = T::of(self.factor(beta)?, dtype);
            let access = old.iter().find_map(|name| self.optional_input(library, name)).unwrap_or(output);
            let old: Tensor<T> = self.gather(access, dtype)?;
            poison |= old.poison;
            // A smaller addend is repeated along the leading dimensions.
            let period = old.values.len().max(1);
            if !values.len().is_multiple_of(period) {
                return Err(shapes(&format!("an addend of {period} elements for {} results", values.len())));
            }
            for (position, value) in values.iter_mut().enumerate() {
                *value = value.add(beta.mul(old.values[position % period]));
            }
        }
        self.scatter(output, wcr, &values, poison)
    }

    pub(super) fn dot(&mut self, library: &'p LibraryPlan, conjugate: bool) -> Fallible<()> {
        let x = self.input_access(library, "_x")?;
        let y = self.input_access(library, "_y")?;
        let dtype = self.common_type(library, &[x, y], "_result")?;
        with_number!(dtype, T => {
            let (x, y) = (self.gather::<T>(x, dtype)?, self.gather::<T>(y, dtype)?);
            if x.values.len() != y.values.len() {
                return Err(shapes(&format!("{:?} times {:?}", x.shape, y.shape)));
            }
            let mut sum = <T as Number>::of(Scalar::I64(0), dtype);
            for (&a, &b) in x.values.iter().zip(&y.values) {
                sum = Number::add(sum, Number::mul(if conjugate { Number::conj(a) } else { a }, b));
            }
            let (output, wcr) = self.output_access(library, "_result")?;
            self.scatter(output, wcr, &[sum], x.poison || y.poison)
        })
    }

    pub(super) fn ger(&mut self, library: &'p LibraryPlan, alpha: &Factor) -> Fallible<()> {
        let (x, y, a) = (
            self.input_access(library, "_x")?,
            self.input_access(library, "_y")?,
            self.input_access(library, "_A")?,
        );
        let dtype = self.common_type(library, &[x, y, a], "_res")?;
        with_number!(dtype, T => {
            let alpha = <T as Number>::of(self.factor(alpha)?, dtype);
            let (x, y) = (self.gather::<T>(x, dtype)?, self.gather::<T>(y, dtype)?);
            let a = self.gather::<T>(a, dtype)?;
            if a.values.len() != x.values.len() * y.values.len() {
                return Err(shapes(&format!("{:?} and {:?} onto {:?}", x.shape, y.shape, a.shape)));
            }
            let pairs = x.values.iter().flat_map(|&x| y.values.iter().map(move |&y| (x, y)));
            let values: Vec<T> = pairs
                .zip(&a.values)
                .map(|((x, y), &a)| Number::add(Number::mul(Number::mul(alpha, x), y), a))
                .collect();
            let (output, wcr) = self.output_access(library, "_res")?;
            self.scatter(output, wcr, &values, x.poison || y.poison || a.poison)
        })
    }

    pub(super) fn axpy(&mut self, library: &'p LibraryPlan, a: &Factor) -> Fallible<()> {
        let (x, y) = (self.input_access(library, "_x")?, self.input_access(library, "_y")?);
        let dtype = self.common_type(library, &[x, y], "_res")?;
        with_number!(dtype, T => {
            let a = <T as Number>::of(self.factor(a)?, dtype);
            let (x, y) = (self.gather::<T>(x, dtype)?, self.gather::<T>(y, dtype)?);
            let values: Vec<T> =
                x.values.iter().zip(&y.values).map(|(&x, &y)| Number::add(Number::mul(a, x), y)).collect();
            let (output, wcr) = self.output_access(library, "_res")?;
            self.scatter(output, wcr, &values, x.poison || y.poison)
        })
    }
}

/// The shape of a product: batches of `m x k` times `k x n`.
struct Matrices {
    m: usize,
    k: usize,
    n: usize,
    trans_a: bool,
    trans_b: bool,
    /// Which matrix of `a` and of `b` each batch takes.
    batches: Vec<(usize, usize)>,
}

impl Matrices {
    fn of(a: &[usize], b: &[usize], trans_a: bool, trans_b: bool) -> Option<Matrices> {
        let (a_batch, a_matrix) = split(a, true)?;
        let (b_batch, b_matrix) = split(b, false)?;
        let (m, k) = if trans_a && a.len() > 1 { (a_matrix.1, a_matrix.0) } else { a_matrix };
        let (k_b, n) = if trans_b && b.len() > 1 { (b_matrix.1, b_matrix.0) } else { b_matrix };
        if k != k_b {
            return None;
        }
        let batches = broadcast(a_batch, b_batch)?;
        Some(Matrices { m, k, n, trans_a: trans_a && a.len() > 1, trans_b: trans_b && b.len() > 1, batches })
    }

    fn results(&self) -> usize {
        self.batches.len().saturating_mul(self.m).saturating_mul(self.n)
    }

    fn multiply<T: Number>(&self, a: &[T], b: &[T], zero: T) -> Vec<T> {
        let Matrices { m, k, n, .. } = *self;
        let mut results = Vec::with_capacity(self.results());
        for &(a_batch, b_batch) in &self.batches {
            let a = &a[a_batch * m * k..(a_batch + 1) * m * k];
            let b = &b[b_batch * k * n..(b_batch + 1) * k * n];
            for i in 0..m {
                let start = results.len();
                results.resize(start + n, zero);
                // Each result still sums over `l` upwards.
                for l in 0..k {
                    let left = if self.trans_a { a[l * m + i] } else { a[i * k + l] };
                    for (j, result) in results[start..].iter_mut().enumerate() {
                        let right = if self.trans_b { b[j * k + l] } else { b[l * n + j] };
                        *result = result.add(left.mul(right));
                    }
                }
            }
        }
        results
    }
}

/// Batch extents and the matrix; a vector is a row on the left and a column on the right.
fn split(shape: &[usize], left: bool) -> Option<(&[usize], (usize, usize))> {
    match *shape {
        [] => None,
        [extent] => Some((&[], if left { (1, extent) } else { (extent, 1) })),
        [ref batch @ .., rows, columns] => Some((batch, (rows, columns))),
    }
}

/// Pairs of batch indices, with extents of one repeated.
fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<(usize, usize)>> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], dim: usize| {
        (dim + shape.len()).checked_sub(rank).and_then(|dim| shape.get(dim).copied()).unwrap_or(1)
    };
    let mut pairs = vec![(0, 0)];
    for dim in 0..rank {
        let (x, y) = (extent(a, dim), extent(b, dim));
        let count = if x == 1 { y } else { x };
        if x != y && x != 1 && y != 1 {
            return None;
        }
        let mut next = Vec::with_capacity(pairs.len() * count);
        for &(i, j) in &pairs {
            for index in 0..count {
                next.push((i * x + if x == 1 { 0 } else { index }, j * y + if y == 1 { 0 } else { index }));
            }
        }
        pairs = next;
    }
    Some(pairs)
}
