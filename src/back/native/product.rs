//! Matrix products: each result sums over `k` upwards. In strict mode every step is one product and one sum, each
//! rounded, so the bits are those of the textbook loop, whatever the blocks and the number of threads; in fast mode
//! a step is one fused operation where the machine has it.
//!
//! Speed comes from many results at once. Operands are packed: a block of `b` as panels as wide as a tile, a
//! block of `a` that stays in the cache of the second level. A tile of results stays in registers over a block of `k`
//! and goes through memory between blocks, which changes no bits. Rows are split between threads.

use super::call::Frame;
use super::runtime::Arguments;
use super::threads;

/// A number of a product.
pub(super) trait Real: Copy + Default + PartialEq {
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `self + a * b`, rounded once.
    fn fused(self, a: Self, b: Self) -> Self;
    fn from_bits(bits: i64) -> Self;
}

macro_rules! real {
    ($ty:ty, $bits:ty) => {
        impl Real for $ty {
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn fused(self, a: Self, b: Self) -> Self {
                a.mul_add(b, self)
            }
            fn from_bits(bits: i64) -> Self {
                <$ty>::from_bits(bits as $bits)
            }
        }
    };
}

real!(f64, u64);
real!(f32, u32);

/// A matrix in memory: address and byte distances along rows and columns.
#[derive(Clone, Copy)]
struct Matrix<T> {
    base: *const T,
    row: isize,
    column: isize,
}

impl<T: Copy> Matrix<T> {
    /// # Safety
    /// The element lies in the matrix.
    #[inline(always)]
    unsafe fn get(self, row: usize, column: usize) -> T {
        let offset = row as isize * self.row + column as isize * self.column;
        // SAFETY: the caller says that the element exists; elements may be unaligned only if the program's layout is.
        unsafe { self.base.wrapping_byte_offset(offset).read_unaligned() }
    }

    /// The matrix without its first rows.
    fn below_row(self, row: usize) -> Matrix<T> {
        Matrix { base: self.base.wrapping_byte_offset(row as isize * self.row), ..self }
    }
}

/// Summands per block.
const DEPTH: usize = 256;
/// Rows per block: with `DEPTH` numbers each they fit the cache of the second level.
const BLOCK_ROWS: usize = 96;
/// Columns of a tile, in bytes: two registers of 256 bits.
const COLUMN_BYTES: usize = 64;

/// Runs a product: 0, or 1 when there is no memory. Arguments: `m, n, k`; `a`, `b` and `c` as address and two byte
/// distances; the bits of `alpha` and whether it counts; then, if there is an addend, the bits of `beta` and the addend.
///
/// # Safety
/// The matrices lie in memory in the given extents; `c` may be written. `frame` is the one of the machine code that
/// calls.
pub(super) unsafe fn run<T: Real>(frame: *mut Frame, arguments: Arguments<'_>) -> i64 {
    let size = |index: usize| usize::try_from(arguments.get(index)).unwrap_or(0);
    let (m, n, k) = (size(0), size(1), size(2));
    let matrix = |first: usize| Matrix::<T> {
        base: arguments.get(first) as usize as *const T,
        row: arguments.get(first + 1) as isize,
        column: arguments.get(first + 2) as isize,
    };
    let (a, b, c) = (matrix(3), matrix(6), matrix(9));
    let mut results: Vec<T> = Vec::new();
    let Some(count) = m.checked_mul(n).filter(|&count| results.try_reserve_exact(count).is_ok()) else {
        return 1;
    };
    results.resize(count, T::default());
    if count > 0 {
        // SAFETY: machine code passes the frame that `call::run` gave it.
        let fused = unsafe { (*frame).fast } != 0;
        let job = Job { a, b, n, k, results: results.as_mut_ptr(), fused };
        let work = 2.0 * m as f64 * n as f64 * k as f64 / 8.0;
        // SAFETY: parts of rows write to different results, as long as `job` says; the rest as the caller says.
        unsafe {
            threads::split(
                frame,
                part::<T> as *const u8,
                (&raw const job).cast(),
                0,
                m.cast_signed() as i64,
                1,
                1,
                work,
            );
        }
    }
    let alpha = (arguments.get(13) != 0).then(|| T::from_bits(arguments.get(12)));
    let addend = (arguments.len() > 14).then(|| (T::from_bits(arguments.get(14)), matrix(15)));
    for i in 0..m {
        for j in 0..n {
            let mut value = results[i * n + j];
            if let Some(alpha) = alpha {
                value = alpha.mul(value);
            }
            if let Some((beta, old)) = addend {
                // SAFETY: as the caller says.
                value = value.add(beta.mul(unsafe { old.get(i, j) }));
            }
            let offset = i as isize * c.row + j as isize * c.column;
            // SAFETY: as the caller says.
            unsafe { c.base.cast_mut().wrapping_byte_offset(offset).write_unaligned(value) };
        }
    }
    0
}

/// A product for several threads.
struct Job<T> {
    a: Matrix<T>,
    b: Matrix<T>,
    n: usize,
    k: usize,
    results: *mut T,
    fused: bool,
}

/// Some rows of a product.
extern "C" fn part<T: Real>(_frame: *mut Frame, job: *const u64, first: i64, end: i64) -> i64 {
    // SAFETY: `run` passes its job, which lives until all parts have ended.
    let job = unsafe { &*job.cast::<Job<T>>() };
    let (first, end) = (usize::try_from(first).unwrap_or(0), usize::try_from(end).unwrap_or(0));
    let m = end.saturating_sub(first);
    if m == 0 {
        return 0;
    }
    // SAFETY: each part has rows of its own.
    let results = unsafe { std::slice::from_raw_parts_mut(job.results.add(first * job.n), m * job.n) };
    // SAFETY: the rows lie in the matrix.
    unsafe { multiply(job.a.below_row(first), job.b, (m, job.n, job.k), results, job.fused) };
    0
}

unsafe fn multiply<T: Real>(
    a: Matrix<T>,
    b: Matrix<T>,
    size: (usize, usize, usize),
    results: &mut [T],
    fused: bool,
) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the features were detected; the rest as the caller says.
        return match fused {
            true => unsafe { multiply_fma(a, b, size, results) },
            false => unsafe { multiply_avx2(a, b, size, results) },
        };
    }
    let _ = fused;
    // SAFETY: as the caller says.
    unsafe { multiply_any::<T, false>(a, b, size, results) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn multiply_avx2<T: Real>(a: Matrix<T>, b: Matrix<T>, size: (usize, usize, usize), results: &mut [T]) {
    // SAFETY: as the caller says.
    unsafe { multiply_any::<T, false>(a, b, size, results) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_fma<T: Real>(a: Matrix<T>, b: Matrix<T>, size: (usize, usize, usize), results: &mut [T]) {
    // SAFETY: as the caller says.
    unsafe { multiply_any::<T, true>(a, b, size, results) }
}

#[inline(always)]
unsafe fn multiply_any<T: Real, const FUSED: bool>(
    a: Matrix<T>,
    b: Matrix<T>,
    size: (usize, usize, usize),
    results: &mut [T],
) {
    if size.1 == 1 {
        // SAFETY: as the caller says.
        return unsafe { multiply_vector::<T, FUSED>(a, b, size.0, size.2, results) };
    }
    match (COLUMN_BYTES / size_of::<T>(), FUSED) {
        // A separate product takes a register: fewer rows.
        // SAFETY: as the caller says, in all arms.
        (8, false) => unsafe { multiply_tiles::<T, FUSED, 4, 8>(a, b, size, results) },
        (8, true) => unsafe { multiply_tiles::<T, FUSED, 6, 8>(a, b, size, results) },
        (_, false) => unsafe { multiply_tiles::<T, FUSED, 4, 16>(a, b, size, results) },
        (_, true) => unsafe { multiply_tiles::<T, FUSED, 6, 16>(a, b, size, results) },
    }
}

#[inline(always)]
fn step<T: Real, const FUSED: bool>(sum: T, left: T, right: T) -> T {
    if FUSED { sum.fused(left, right) } else { sum.add(left.mul(right)) }
}

#[inline(always)]
unsafe fn multiply_tiles<T: Real, const FUSED: bool, const ROWS: usize, const COLUMNS: usize>(
    a: Matrix<T>,
    b: Matrix<T>,
    (m, n, k): (usize, usize, usize),
    results: &mut [T],
) {
    let most = DEPTH.min(k);
    let mut panels: Vec<[T; COLUMNS]> = vec![[T::default(); COLUMNS]; most * n.div_ceil(COLUMNS)];
    let mut rows: Vec<[T; ROWS]> = vec![[T::default(); ROWS]; most * BLOCK_ROWS.min(m).div_ceil(ROWS)];
    for start in (0..k).step_by(DEPTH) {
        let depth = DEPTH.min(k - start);
        for (tile, panel) in panels.chunks_mut(depth).enumerate().take(n.div_ceil(COLUMNS)) {
            let first = tile * COLUMNS;
            let width = COLUMNS.min(n - first);
            for (l, packed) in panel.iter_mut().enumerate() {
                for (j, slot) in packed.iter_mut().enumerate() {
                    // SAFETY: the row and column exist.
                    *slot = unsafe { b.get(start + l, first + j.min(width - 1)) };
                }
            }
        }
        for block in (0..m).step_by(BLOCK_ROWS) {
            let height = BLOCK_ROWS.min(m - block);
            for (tile, rows) in rows.chunks_mut(depth).enumerate().take(height.div_ceil(ROWS)) {
                for (l, packed) in rows.iter_mut().enumerate() {
                    for (i, slot) in packed.iter_mut().enumerate() {
                        let row = (block + tile * ROWS + i).min(m - 1);
                        // SAFETY: the row and column exist.
                        *slot = unsafe { a.get(row, start + l) };
                    }
                }
            }
            for (column, panel) in panels.chunks(depth).enumerate().take(n.div_ceil(COLUMNS)) {
                let first = column * COLUMNS;
                let width = COLUMNS.min(n - first);
                for (tile, rows) in rows.chunks(depth).enumerate().take(height.div_ceil(ROWS)) {
                    let top = block + tile * ROWS;
                    let lines = ROWS.min(m - top).min(block + height - top);
                    let mut sums = [[T::default(); COLUMNS]; ROWS];
                    for (i, sums) in sums.iter_mut().enumerate().take(lines) {
                        let at = (top + i) * n + first;
                        sums[..width].copy_from_slice(&results[at..at + width]);
                    }
                    for (left, right) in rows.iter().zip(panel) {
                        for (sums, &factor) in sums.iter_mut().zip(left) {
                            for (sum, &other) in sums.iter_mut().zip(right) {
                                *sum = step::<T, FUSED>(*sum, factor, other);
                            }
                        }
                    }
                    for (i, sums) in sums.iter().enumerate().take(lines) {
                        let at = (top + i) * n + first;
                        results[at..at + width].copy_from_slice(&sums[..width]);
                    }
                }
            }
        }
    }
}

/// A matrix times one column: several rows at once, because one sum alone waits for each addition.
#[inline(always)]
unsafe fn multiply_vector<T: Real, const FUSED: bool>(
    a: Matrix<T>,
    b: Matrix<T>,
    m: usize,
    k: usize,
    results: &mut [T],
) {
    const TOGETHER: usize = 8;
    let mut column: Vec<T> = Vec::with_capacity(k);
    for l in 0..k {
        // SAFETY: the element exists.
        column.push(unsafe { b.get(l, 0) });
    }
    for first in (0..m).step_by(TOGETHER) {
        let mut sums = [T::default(); TOGETHER];
        let row = |i: usize| (first + i).min(m - 1);
        for (l, &right) in column.iter().enumerate() {
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the element exists.
                *sum = step::<T, FUSED>(*sum, unsafe { a.get(row(i), l) }, right);
            }
        }
        let count = TOGETHER.min(m - first);
        results[first..first + count].copy_from_slice(&sums[..count]);
    }
}
