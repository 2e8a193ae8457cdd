//! Library nodes: textbook loops in a defined order.
//!
//! Sums run over the summed index upwards, with one accumulator that starts at zero, each step a product and
//! then a sum, each rounded. Operands are read whole before results are written, except in a reduction.

mod arrays;
mod contract;
mod factor;
mod fourier;
mod lapack;
mod product;
mod reduce;
mod sparse;
mod tensor;

use crate::scalar::{DType, Scalar, arith};

pub(super) use arrays::{Extreme, MaskFold};

use super::fault::{Fault, FaultKind};
use super::machine::{Fallible, Machine};
use super::plan::{Access, Element, GeneralSize, LibraryPlan, WcrPlan};

/// What a library node computes.
#[derive(Debug)]
pub(super) enum Operation {
    /// Folds axes of the input (all, if there are none named) into the output.
    Reduce {
        wcr: WcrPlan,
        axes: Option<Vec<i64>>,
        identity: Option<Scalar>,
    },
    /// Folds neighbours whose table entry is not the skip value.
    ReduceWithSkipValues {
        wcr: WcrPlan,
        input: Box<str>,
        mask: Box<str>,
        identity: Scalar,
        init: Scalar,
    },
    /// `alpha * a @ b + beta * c`, by rank as NumPy's `matmul`.
    MatMul(Product),
    /// `alpha * A @ x + beta * y`.
    Gemv(Product),
    /// The sum of products; `conjugate` takes the conjugate of `x`.
    Dot {
        conjugate: bool,
    },
    /// `alpha * x y^T + A`.
    Ger {
        alpha: Factor,
    },
    /// `a * x + y`.
    Axpy {
        a: Factor,
    },
    /// A sum of products over named indices.
    Einsum {
        text: Box<str>,
        alpha: Factor,
        beta: Factor,
    },
    /// A contraction over pairs of axes.
    TensorDot {
        left: Vec<i64>,
        right: Vec<i64>,
        permutation: Vec<i64>,
    },
    /// Axes permuted; reversed if none are named.
    Transpose {
        axes: Option<Vec<i64>>,
        alpha: Factor,
        beta: Factor,
    },
    /// Element by element.
    Copy,
    /// One value everywhere, unless it comes through a connector.
    Fill {
        value: Scalar,
    },
    Cholesky {
        lower: bool,
    },
    Potrf {
        lower: bool,
    },
    Getrf,
    Getrs,
    Getri,
    Inverse,
    Solve,
    /// `factor * sum x[n] exp(-+ 2 pi i k n / N)`.
    Fourier {
        inverse: bool,
        factor: Factor,
    },
    /// `alpha * A @ b + beta * c` with `A` in compressed rows.
    SparseProduct {
        alpha: Factor,
        beta: Factor,
        transposed: bool,
    },
    /// One of two values per element.
    Merge,
    /// Repeated along a new axis, or broadcast as in NumPy.
    Spread {
        dim: Option<i64>,
    },
    /// Rotated along an axis.
    Rotate {
        dim: i64,
        shift: Factor,
        numpy: bool,
    },
    /// The Euclidean norm.
    Norm {
        dim: Option<i64>,
    },
    FoldMask {
        fold: MaskFold,
        dim: Option<i64>,
    },
    ExtremeIndex(Extreme),
    /// A LAPACKE call in a tasklet.
    Lapack(crate::scalar::parse::c::LapackCall),
}

#[derive(Debug)]
pub(super) struct Product {
    pub alpha: Factor,
    pub beta: Factor,
    pub trans_a: bool,
    pub trans_b: bool,
}

/// A number that the program's symbols may decide.
#[derive(Debug)]
pub(super) enum Factor {
    Number(Scalar),
    Expr(Box<GeneralSize>),
}

impl Factor {
    /// Whether it is literally that integer.
    pub fn is(&self, value: f64) -> bool {
        matches!(self, Factor::Number(number) if number.as_complex() == num_complex::Complex64::from(value))
    }
}

/// An operand, read whole: row-major.
#[derive(Debug, Clone)]
pub(super) struct Tensor<T> {
    /// Extents of the memlet's box.
    pub shape: Vec<usize>,
    /// Extents without those that are one by declaration.
    pub squeezed: Vec<usize>,
    pub values: Vec<T>,
    /// Some element was undefined.
    pub poison: bool,
}

impl<'p> Machine<'p, '_> {
    pub fn library(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        self.step()?;
        match &library.operation {
            Operation::Reduce { wcr, axes, identity } => {
                self.reduce(library, wcr, axes.as_deref(), *identity)
            }
            Operation::ReduceWithSkipValues { wcr, input, mask, identity, init } => {
                self.reduce_with_skip_values(library, wcr, input, mask, *identity, *init)
            }
            Operation::MatMul(product) => self.matmul(library, product),
            Operation::Gemv(product) => self.gemv(library, product),
            Operation::Dot { conjugate } => self.dot(library, *conjugate),
            Operation::Ger { alpha } => self.ger(library, alpha),
            Operation::Axpy { a } => self.axpy(library, a),
            Operation::Einsum { text, alpha, beta } => self.einsum(library, text, alpha, beta),
            Operation::TensorDot { left, right, permutation } => {
                self.tensor_dot(library, left, right, permutation)
            }
            Operation::Transpose { axes, alpha, beta } => {
                self.transpose(library, axes.as_deref(), alpha, beta)
            }
            Operation::Copy => self.copy_node(library),
            Operation::Fill { value } => self.fill(library, *value),
            Operation::Cholesky { lower } => self.cholesky(library, *lower, true),
            Operation::Potrf { lower } => self.cholesky(library, *lower, false),
            Operation::Getrf => self.getrf(library),
            Operation::Getrs => self.getrs(library),
            Operation::Getri => self.getri(library),
            Operation::Inverse => self.inverse(library),
            Operation::Solve => self.solve(library),
            Operation::Fourier { inverse, factor } => self.fourier(library, *inverse, factor),
            Operation::SparseProduct { alpha, beta, transposed } => {
                self.sparse_product(library, alpha, beta, *transposed)
            }
            Operation::Merge => self.merge_arrays(library),
            Operation::Spread { dim } => self.spread(library, *dim),
            Operation::Rotate { dim, shift, numpy } => self.rotate(library, *dim, shift, *numpy),
            Operation::Norm { dim } => self.norm(library, *dim),
            Operation::FoldMask { fold, dim } => self.fold_mask(library, *fold, *dim),
            Operation::ExtremeIndex(extreme) => self.extreme_index(library, *extreme),
            Operation::Lapack(call) => self.lapack(library, call),
        }
    }

    /// The value of a factor.
    fn factor(&self, factor: &Factor) -> Fallible<Scalar> {
        match factor {
            Factor::Number(number) => Ok(*number),
            Factor::Expr(general) => self.general_value(general),
        }
    }

    /// The access at an input connector; the only input, if it has no name.
    fn input_access(&self, library: &'p LibraryPlan, connector: &str) -> Fallible<&'p Access> {
        let found = library.inputs.iter().find(|(name, _)| **name == *connector);
        let only = || library.inputs.first().filter(|_| library.inputs.len() == 1);
        found.or_else(only).map(|(_, access)| access).ok_or_else(|| missing(connector))
    }

    /// The input at a connector, if it is connected.
    fn optional_input(&self, library: &'p LibraryPlan, connector: &str) -> Option<&'p Access> {
        library.inputs.iter().find(|(name, _)| **name == *connector).map(|(_, access)| access)
    }

    /// The output at a connector; the only output, if it has no name.
    fn output_access(
        &self,
        library: &'p LibraryPlan,
        connector: &str,
    ) -> Fallible<(&'p Access, Option<&'p WcrPlan>)> {
        let found = library.outputs.iter().find(|(name, ..)| **name == *connector);
        let only = || library.outputs.first().filter(|_| library.outputs.len() == 1);
        let output = found.or_else(only).ok_or_else(|| missing(connector))?;
        Ok((&output.1, output.2.as_ref()))
    }

    fn element_of(&self, access: &Access) -> &'p Element {
        &self.plan.containers[access.container as usize].element
    }

    /// The number type of an access.
    fn dtype_of(&self, access: &Access) -> Fallible<DType> {
        self.element_of(access).number().ok_or_else(|| {
            Fault::new(FaultKind::Library, format!("`{}` does not hold plain numbers", access.text))
        })
    }

    /// Reads an operand whole.
    fn gather<T: crate::linalg::Number>(&mut self, access: &Access, dtype: DType) -> Fallible<Tensor<T>> {
        let own = self.dtype_of(access)?;
        let points = self.points(access)?;
        let shape: Vec<usize> = points.dims.iter().map(|&(count, _)| count.max(0) as usize).collect();
        let single = |dim: usize| !access.all && access.ranges.get(dim).is_some_and(|range| range.single);
        let literal_one = |dim: usize| {
            access.all
                && access.ranges.get(dim).is_some_and(|range| range.single)
                && shape.get(dim) == Some(&1)
        };
        let squeezed =
            (0..shape.len()).filter(|&dim| !single(dim) && !literal_one(dim)).map(|dim| shape[dim]).collect();
        let mut values = Vec::new();
        let count = points.count().and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
        if values.try_reserve_exact(count).is_err() {
            return Err(Fault::new(FaultKind::OutOfMemory, format!("no memory to read `{}`", access.text)));
        }
        let mut poison = false;
        let mut walk = super::copy::Walk::new(&points);
        while let Some(offset) = walk.next_offset() {
            let (value, undefined) = self.load(points.block, offset, own, access)?;
            poison |= undefined;
            values.push(T::of(value, dtype));
        }
        Ok(Tensor { shape, squeezed, values, poison })
    }

    /// Writes a result whole, in row-major order of the output's box.
    fn scatter<T: crate::linalg::Number>(
        &mut self,
        access: &'p Access,
        wcr: Option<&'p WcrPlan>,
        values: &[T],
        poison: bool,
    ) -> Fallible<()> {
        let dtype = self.dtype_of(access)?;
        let element = self.element_of(access);
        let points = self.points(access)?;
        if points.count() != i64::try_from(values.len()).ok() {
            return Err(shapes(&format!(
                "{} results for `{}`, which has {} elements",
                values.len(),
                access.text,
                points.count().unwrap_or(-1)
            )));
        }
        let mut walk = super::copy::Walk::new(&points);
        for &value in values {
            let Some(offset) = walk.next_offset() else { break };
            let value = arith::cast(dtype, value.scalar());
            match wcr {
                None => self.store(points.block, offset, value, poison, access)?,
                Some(wcr) => {
                    self.resolve(points.block, offset, element, &[value], &[poison], false, wcr, access)?;
                }
            }
        }
        Ok(())
    }

    fn copy_node(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        let input = self.input_access(library, "_cpy_in")?;
        let (output, wcr) = self.output_access(library, "_cpy_out")?;
        let values: Tensor<Scalar> = {
            let dtype = self.dtype_of(input)?;
            self.gather(input, dtype)?
        };
        self.scatter(output, wcr, &values.values, values.poison)
    }

    fn fill(&mut self, library: &'p LibraryPlan, value: Scalar) -> Fallible<()> {
        let value = match self.optional_input(library, "_fill_val") {
            Some(access) => {
                let dtype = self.dtype_of(access)?;
                let (block, offset) = self.address(access)?;
                self.load(block, offset, dtype, access)?.0
            }
            None => value,
        };
        let (output, wcr) = self.output_access(library, "_fill_out")?;
        let count = self.points(output)?.count().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        self.scatter(output, wcr, &vec![value; count], false)
    }
}

/// Shapes that do not fit.
fn shapes(text: &str) -> Box<Fault> {
    Fault::new(FaultKind::Library, format!("shapes do not fit: {text}"))
}

fn missing(connector: &str) -> Box<Fault> {
    Fault::new(FaultKind::Library, format!("connector `{connector}` has no edge"))
}
