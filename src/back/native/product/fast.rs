//! Products of matrices in fast mode, by the crates behind `gemm` for `float32` and `float64` (its complex kernels double
//! the time to build it). Its order of sums is its own. It has one thread: products are split between ours before they
//! come here.

use gemm_common::Parallelism;

use super::lanes::Real;
use super::{Job, Matrix};

/// A product of the crate: rows, columns and depth; result, left and right, each with the distances along columns and
/// rows, in elements; what the old result and the product are multiplied by.
pub type Multiply<T> = unsafe fn(
    m: usize,
    n: usize,
    k: usize,
    c: *mut T,
    c_column: isize,
    c_row: isize,
    reads_c: bool,
    a: *const T,
    a_column: isize,
    a_row: isize,
    b: *const T,
    b_column: isize,
    b_row: isize,
    old: T,
    new: T,
    conjugate_c: bool,
    conjugate_a: bool,
    conjugate_b: bool,
    threads: Parallelism,
);

/// Whether a job is one for the crate: in fast mode, not thin, and distances are whole numbers of elements.
pub(super) fn takes<T: Real>(job: &Job<T>) -> bool {
    let size = size_of::<T>();
    let regular = |matrix: Matrix<T>| {
        [matrix.base as usize, matrix.row.unsigned_abs(), matrix.column.unsigned_abs()]
            .into_iter()
            .all(|distance| distance.is_multiple_of(size))
    };
    job.fused && !job.thin && [job.a, job.b, job.c].into_iter().all(regular)
}

/// Computes a job that the crate takes.
///
/// # Safety
/// The job's matrices are as it says, nobody else touches its results, and these share no memory with what the job
/// reads, except an addend in the same place.
pub(super) unsafe fn multiply<T: Real>(job: &Job<T>) {
    let (old, new) = match job.finish.addend {
        _ if job.subtracts => (Some(T::ONE), T::MINUS_ONE),
        Some((beta, addend)) => {
            let Job { c, m, n, .. } = *job;
            let in_place = addend.base == c.base && addend.row == c.row && addend.column == c.column;
            if !in_place {
                for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
                    // SAFETY: the elements exist.
                    unsafe { c.put(row, column, addend.at(row, column).read_unaligned()) };
                }
            }
            (Some(beta), job.finish.alpha.unwrap_or(T::ONE))
        }
        None => (None, job.finish.alpha.unwrap_or(T::ONE)),
    };
    let (m, n, k, [a, b, c]) = oriented(job);
    let elements = |distance: isize| distance / size_of::<T>() as isize;
    // SAFETY: as the caller says.
    unsafe {
        T::multiply()(
            m,
            n,
            k,
            c.base.cast_mut(),
            elements(c.column),
            elements(c.row),
            old.is_some(),
            a.base,
            elements(a.column),
            elements(a.row),
            b.base,
            elements(b.column),
            elements(b.row),
            old.unwrap_or_default(),
            new,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// The same product as the crate's kernels want it: results lie column by column rather than row by row, and rows and
/// columns of the result, and the summed ones of the left, follow each other upwards in memory.
fn oriented<T: Real>(job: &Job<T>) -> (usize, usize, usize, [Matrix<T>; 3]) {
    let Job { mut a, mut b, mut c, mut m, mut n, k, .. } = *job;
    if c.column.abs() < c.row.abs() {
        (a, b, c) = (b.turned(), a.turned(), c.turned());
        (m, n) = (n, m);
    }
    if c.row < 0 {
        (a, c) = (a.upside_down(m), c.upside_down(m));
    }
    if c.column < 0 {
        (b, c) = (b.turned().upside_down(n).turned(), c.turned().upside_down(n).turned());
    }
    if a.column < 0 && k > 0 {
        (a, b) = (a.turned().upside_down(k).turned(), b.upside_down(k));
    }
    (m, n, k, [a, b, c])
}
