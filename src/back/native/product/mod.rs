//! Matrix products: each result sums over `k` upwards. In strict mode every step is one product and one sum, each
//! rounded, so the bits are those of the textbook loop, whatever the blocks, the registers and the number of threads. No
//! library does that, so strict products are ours. In fast mode matrices go to the crates of `gemm` ([`fast`]), and where one
//! operand is a vector a step is one fused operation, where the machine has it, and a long sum is several.
//!
//! Speed comes from many results at once: [`tiles`] for matrices, [`vector`] where one operand is a vector, both
//! written once for the registers of [`lanes`]. Rows are split between threads.

mod complex;
mod fast;
mod lanes;
mod real;
#[cfg(test)]
pub(super) mod tests;
mod tiles;
mod vector;

use std::cell::Cell;
use std::ops::Range;

use num_complex::{Complex32, Complex64};

use crate::kernel::scaled::arguments as at;
use crate::linalg::{self, Number};
use crate::scalar::Scalar;

use super::call::Frame;
use super::runtime::Arguments;
use super::threads;
use lanes::Entry;

/// A matrix in memory: address and byte distances along rows and columns.
#[derive(Clone, Copy)]
struct Matrix<T> {
    base: *const T,
    row: isize,
    column: isize,
}

impl<T: Entry> Matrix<T> {
    /// The address of an element.
    #[inline(always)]
    fn at(self, row: usize, column: usize) -> *const T {
        let offset =
            (row as isize).wrapping_mul(self.row).wrapping_add((column as isize).wrapping_mul(self.column));
        self.base.wrapping_byte_offset(offset)
    }

    /// Writes an element.
    ///
    /// # Safety
    /// It exists and may be written.
    #[inline(always)]
    unsafe fn put(self, row: usize, column: usize, value: T) {
        // SAFETY: as the caller says; it may be unaligned only if the program's layout is.
        unsafe { self.at(row, column).cast_mut().write_unaligned(value) };
    }

    /// The matrix without its first rows and columns.
    fn part(self, row: usize, column: usize) -> Self {
        Matrix { base: self.at(row, column), ..self }
    }

    /// Rows as columns.
    fn turned(self) -> Self {
        Matrix { row: self.column, column: self.row, ..self }
    }

    /// Whether neighbours in a row, or in a column, are neighbours in memory.
    fn is_dense(self) -> bool {
        self.row == size_of::<T>() as isize || self.column == size_of::<T>() as isize
    }

    /// The last row first, of so many.
    fn upside_down(self, rows: usize) -> Self {
        Matrix { base: self.at(rows - 1, 0), row: -self.row, ..self }
    }

    /// The addresses of its bytes.
    fn extent(self, rows: usize, columns: usize) -> Range<i128> {
        let reach = |count: usize, distance: isize| (count as i128 - 1) * distance as i128;
        let (down, across) = (reach(rows, self.row), reach(columns, self.column));
        let base = self.base as usize as i128;
        base + down.min(0) + across.min(0)..base + down.max(0) + across.max(0) + size_of::<T>() as i128
    }
}

/// What becomes of a sum.
#[derive(Clone, Copy)]
struct Finish<T> {
    alpha: Option<T>,
    addend: Option<(T, Matrix<T>)>,
}

impl<T: Entry> Finish<T> {
    fn is_none(&self) -> bool {
        self.alpha.is_none() && self.addend.is_none()
    }

    /// The result made of a sum.
    ///
    /// # Safety
    /// The addend has that element.
    #[inline(always)]
    unsafe fn value(&self, sum: T, row: usize, column: usize) -> T {
        let mut value = sum;
        if let Some(alpha) = self.alpha {
            value = alpha.mul(value);
        }
        if let Some((beta, addend)) = self.addend {
            // SAFETY: as the caller says.
            value = value.add(beta.mul(unsafe { addend.at(row, column).read_unaligned() }));
        }
        value
    }
}

/// A product: `c` becomes `m` times `n` finished sums of `k` products. `c` may hold sums before they are finished.
#[derive(Clone, Copy)]
pub(super) struct Job<T> {
    a: Matrix<T>,
    b: Matrix<T>,
    c: Matrix<T>,
    m: usize,
    n: usize,
    k: usize,
    finish: Finish<T>,
    /// Products are subtracted from what `c` holds, one after the other, and nothing else is done.
    subtracts: bool,
    /// Whether the conjugates of `a` count.
    conjugates: bool,
    fused: bool,
    /// Whether `b` is read where it lies, see [`tiles::is_thin`].
    thin: bool,
    registers: Registers,
}

/// How products of a type of numbers are computed.
pub(super) trait Product: Entry {
    /// Whether a matrix times a vector has code of its own, for results that are a column.
    const VECTORS: bool;

    /// Whether sums stay in the results between blocks of summands.
    fn is_blocked(job: &Job<Self>) -> bool;

    /// Computes a job; none when there is no memory.
    ///
    /// # Safety
    /// The machine has the job's registers; its matrices are as it says, nobody else touches its results, and these share
    /// no memory with what the job reads, except an addend in the same place.
    unsafe fn multiply(job: &Job<Self>) -> Option<()>;
}

/// The registers that a machine has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Registers {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Registers {
    fn of_machine() -> Registers {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return match std::arch::is_x86_feature_detected!("avx512f") {
                true => Registers::Avx512,
                false => Registers::Avx2,
            };
        }
        Registers::Plain
    }
}

/// Runs a product: 0, or 1 when there is no memory. Where arguments are, [`at`] says.
///
/// # Safety
/// The matrices lie in memory in the given extents; `c` may be written. `frame` is the one of the machine code that
/// calls.
pub(super) unsafe fn run<T: Product>(frame: *mut Frame, arguments: Arguments<'_>) -> i64 {
    let size = |index: usize| usize::try_from(arguments.get(index)).unwrap_or(0);
    let matrix = |first: usize| Matrix::<T> {
        base: arguments.get(first) as usize as *const T,
        row: arguments.get(first + 1) as isize,
        column: arguments.get(first + 2) as isize,
    };
    let number = |first: usize| T::from_bits([arguments.get(first), arguments.get(first + 1)]);
    let alpha = (arguments.get(at::HAS_FACTOR) != 0).then(|| number(at::FACTOR));
    let addend = (arguments.len() > at::ADDEND).then(|| (number(at::ADDEND), matrix(at::ADDEND + 2)));
    let job = Job {
        a: matrix(at::LEFT),
        b: matrix(at::RIGHT),
        c: matrix(at::RESULT),
        m: size(at::ROWS),
        n: size(at::COLUMNS),
        k: size(at::SUMMANDS),
        finish: Finish { alpha, addend },
        subtracts: false,
        conjugates: false,
        // SAFETY: machine code passes the frame that `call::run` gave it.
        fused: unsafe { (*frame).fast } != 0,
        thin: false,
        registers: Registers::of_machine(),
    };
    // SAFETY: as the caller says.
    match unsafe { compute(frame, job) } {
        Some(()) => 0,
        None => 1,
    }
}

/// Computes a product; none when there is no memory.
///
/// # Safety
/// As for [`run`], for the matrices of the job.
unsafe fn compute<T: Product>(frame: *mut Frame, job: Job<T>) -> Option<()> {
    if job.m == 0 || job.n == 0 {
        return Some(());
    }
    let results = job.c.extent(job.m, job.n);
    let meets = |other: Range<i128>| results.start < other.end && other.start < results.end;
    let blocks = T::is_blocked(&job);
    let addend_changes = job.finish.addend.is_some_and(|(_, addend)| {
        let same = addend.base == job.c.base && addend.row == job.c.row && addend.column == job.c.column;
        meets(addend.extent(job.m, job.n)) && (blocks || !same)
    });
    let meets_operand = meets(job.a.extent(job.m, job.k.max(1))) || meets(job.b.extent(job.k.max(1), job.n));
    let direct = !meets_operand && !addend_changes && (!blocks || job.c.is_dense());
    if direct {
        // SAFETY: as the caller says.
        return unsafe { split(frame, job) };
    }
    let mut aside: Vec<T> = Vec::new();
    let count = job.m.checked_mul(job.n)?;
    aside.try_reserve_exact(count).ok()?;
    aside.resize(count, T::default());
    let size = size_of::<T>() as isize;
    let apart = Matrix { base: aside.as_mut_ptr().cast_const(), row: job.n as isize * size, column: size };
    // SAFETY: as the caller says; nobody else sees the new memory.
    unsafe {
        split(frame, Job { c: apart, ..job })?;
        for i in 0..job.m {
            for j in 0..job.n {
                job.c.put(i, j, aside[i * job.n + j]);
            }
        }
    }
    Some(())
}

/// Computes a product whose result shares no memory with what it reads, except an addend in the same place; none when
/// there is no memory.
///
/// # Safety
/// As for [`run`].
unsafe fn split<T: Product>(frame: *mut Frame, job: Job<T>) -> Option<()> {
    // The other way round it is `b` turned times `a` turned, with the same products and sums.
    let turned = if job.subtracts {
        false
    } else if job.m == 1 || job.n == 1 {
        if T::VECTORS { job.n > 1 } else { job.m > 1 }
    } else {
        job.c.column != size_of::<T>() as isize && job.c.row == size_of::<T>() as isize
    };
    let job = match turned {
        true => Job {
            a: job.b.turned(),
            b: job.a.turned(),
            c: job.c.turned(),
            m: job.n,
            n: job.m,
            finish: Finish {
                addend: job.finish.addend.map(|(beta, addend)| (beta, addend.turned())),
                ..job.finish
            },
            ..job
        },
        false => job,
    };
    let job = Job { thin: tiles::is_thin(&job), ..job };
    let by_columns = job.n > job.m;
    let wide = Wide { job, by_columns };
    // A matrix times a vector waits for the matrix, which it uses once.
    let at_once = if job.m == 1 || job.n == 1 { 2.0 } else { 8.0 };
    let work = 2.0 * job.m as f64 * job.n as f64 * job.k as f64 / at_once;
    let count = (if by_columns { job.n } else { job.m }).cast_signed() as i64;
    let code = part::<T> as *const u8;
    // SAFETY: parts write to different results, as long as `wide` says; the rest as the caller says.
    match unsafe { threads::split(frame, code, (&raw const wide).cast(), 0, count, 48, 1, work) } {
        0 => Some(()),
        _ => None,
    }
}

/// Rows of numbers from which products are subtracted: `c -= a b`.
pub(super) struct Subtraction<T> {
    pub c: *mut T,
    pub a: *const T,
    pub b: *const T,
    /// Numbers from a row to the next; those of a row are neighbours.
    pub c_stride: usize,
    pub b_stride: isize,
    /// Numbers from one to the next along rows and columns of `a`.
    pub a_strides: [isize; 2],
    /// Whether the conjugates of `a` count.
    pub conjugate: bool,
    pub m: usize,
    pub n: usize,
    pub k: usize,
}

/// Numbers whose products can be subtracted: each number of `c` upwards over the summed index, so that the bits are those
/// of [`linalg`](crate::linalg), unless the call is one of fast mode.
pub(super) trait Element: Number {
    /// Blocks of a matrix that are worked on whole, because products are no faster on so little.
    const SMALL: usize = 32;

    /// Subtracts; none when there is no memory.
    ///
    /// # Safety
    /// `frame` is the one of the machine code that calls; all elements exist, none of `c` is one of `a` or `b`, and nobody
    /// else touches `c`.
    unsafe fn subtract(_frame: *mut Frame, work: &Subtraction<Self>) -> Option<()> {
        // SAFETY: as the caller says.
        unsafe { subtract_in_order(work) };
        Some(())
    }
}

impl Element for Scalar {}

macro_rules! element {
    ($($ty:ty: $small:literal),*) => {
        $(impl Element for $ty {
            const SMALL: usize = $small;

            unsafe fn subtract(frame: *mut Frame, work: &Subtraction<$ty>) -> Option<()> {
                let size = size_of::<$ty>() as isize;
                let matrix = |base: *const $ty, row: isize, column: isize| {
                    Matrix { base, row: row * size, column: column * size }
                };
                let job = Job {
                    a: matrix(work.a, work.a_strides[0], work.a_strides[1]),
                    b: matrix(work.b, work.b_stride, 1),
                    c: matrix(work.c.cast_const(), work.c_stride as isize, 1),
                    m: work.m,
                    n: work.n,
                    k: work.k,
                    finish: Finish { alpha: None, addend: None },
                    subtracts: true,
                    conjugates: work.conjugate,
                    // SAFETY: as the caller says.
                    fused: unsafe { (*frame).fast } != 0,
                    thin: false,
                    registers: Registers::of_machine(),
                };
                // SAFETY: as the caller says.
                unsafe { split(frame, job) }
            }
        })*
    };
}

element!(f64: 32, f32: 32, Complex64: 8, Complex32: 8);

/// Subtracts as [`linalg`](crate::linalg) does.
///
/// # Safety
/// As for [`Element::subtract`].
unsafe fn subtract_in_order<T: Number>(work: &Subtraction<T>) {
    let &Subtraction { n, k, .. } = work;
    // SAFETY: the rows exist, and share no number with what is read.
    let rows =
        (0..work.m).map(|row| unsafe { std::slice::from_raw_parts_mut(work.c.add(row * work.c_stride), n) });
    let left = |row: usize, l: usize| {
        let offset = row as isize * work.a_strides[0] + l as isize * work.a_strides[1];
        // SAFETY: the element exists.
        let number = unsafe { *work.a.offset(offset) };
        if work.conjugate { number.conj() } else { number }
    };
    // SAFETY: the row exists.
    let right =
        |l: usize| unsafe { std::slice::from_raw_parts(work.b.offset(l as isize * work.b_stride), n) };
    linalg::subtract_product(rows, k, left, right);
}

/// A product for several threads: which of its rows or columns are split.
struct Wide<T> {
    job: Job<T>,
    by_columns: bool,
}

/// Some rows or columns of a product: 0, or 1 when there is no memory.
extern "C" fn part<T: Product>(_frame: *mut Frame, wide: *const u64, first: i64, end: i64) -> i64 {
    // SAFETY: `split` passes its job, which lives until all parts have ended.
    let Wide { job, by_columns } = unsafe { &*wide.cast::<Wide<T>>() };
    let (first, end) = (usize::try_from(first).unwrap_or(0), usize::try_from(end).unwrap_or(0));
    let Some(count) = end.checked_sub(first).filter(|&count| count > 0) else { return 0 };
    let (row, column) = if *by_columns { (0, first) } else { (first, 0) };
    let part = Job {
        a: job.a.part(row, 0),
        b: job.b.part(0, column),
        c: job.c.part(row, column),
        m: if *by_columns { job.m } else { count },
        n: if *by_columns { count } else { job.n },
        finish: Finish {
            addend: job.finish.addend.map(|(beta, addend)| (beta, addend.part(row, column))),
            ..job.finish
        },
        ..*job
    };
    // SAFETY: the registers were detected, the rest as the caller of `split` says.
    match unsafe { T::multiply(&part) } {
        Some(()) => 0,
        None => 1,
    }
}

/// Bytes of a buffer that a thread keeps for its next product.
const KEPT: usize = 4 << 20;

/// Calls a function with room for so many numbers; none when there is no memory.
fn with_buffer<T: Entry>(numbers: usize, work: impl FnOnce(*mut T)) -> Option<()> {
    thread_local! {
        static BUFFER: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
    }
    let words = numbers.checked_mul(size_of::<T>())?.div_ceil(size_of::<u64>());
    let mut buffer = BUFFER.take();
    buffer.try_reserve_exact(words).ok()?;
    work(buffer.as_mut_ptr().cast());
    if buffer.capacity() * size_of::<u64>() <= KEPT {
        BUFFER.set(buffer);
    }
    Some(())
}
