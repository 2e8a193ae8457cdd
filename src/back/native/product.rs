//! Matrix products in strict order: each result sums over `k` upwards, one product and one sum at a time, so
//! the bits are those of the textbook loop; speed comes from many results at once.
//!
//! Operands are packed in panels; a tile of results stays in registers over a block of `k` and goes through memory
//! between blocks, which changes no bits.

use super::runtime::Arguments;

/// A number of a product.
pub(super) trait Real: Copy + Default + PartialEq {
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn from_bits(bits: i64) -> Self;
}

impl Real for f64 {
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self + other
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self * other
    }
    fn from_bits(bits: i64) -> Self {
        f64::from_bits(bits as u64)
    }
}

impl Real for f32 {
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self + other
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self * other
    }
    fn from_bits(bits: i64) -> Self {
        f32::from_bits(bits as u32)
    }
}

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
}

/// Rows of a tile.
const ROWS: usize = 4;
/// Summands per block.
const DEPTH: usize = 256;

/// Runs a product: 0, or 1 when there is no memory. Arguments: `m, n, k`; `a`, `b` and `c` as address and two byte
/// distances; the bits of `alpha` and whether it counts; then, if there is an addend, the bits of `beta` and the addend.
///
/// # Safety
/// The matrices lie in memory in the given extents; `c` may be written.
pub(super) unsafe fn run<T: Real>(arguments: Arguments<'_>) -> i64 {
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
        // SAFETY: as the caller says.
        unsafe { multiply(a, b, (m, n, k), &mut results) };
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

unsafe fn multiply<T: Real>(a: Matrix<T>, b: Matrix<T>, size: (usize, usize, usize), results: &mut [T]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the feature was detected; the rest as the caller says.
        unsafe { multiply_avx2(a, b, size, results) };
        return;
    }
    // SAFETY: as the caller says.
    unsafe { multiply_any(a, b, size, results) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn multiply_avx2<T: Real>(a: Matrix<T>, b: Matrix<T>, size: (usize, usize, usize), results: &mut [T]) {
    // SAFETY: as the caller says.
    unsafe { multiply_any(a, b, size, results) }
}

/// Columns of a tile, in bytes: two registers of 256 bits.
const COLUMN_BYTES: usize = 64;

#[inline(always)]
unsafe fn multiply_any<T: Real>(
    a: Matrix<T>,
    b: Matrix<T>,
    (m, n, k): (usize, usize, usize),
    results: &mut [T],
) {
    match COLUMN_BYTES / size_of::<T>() {
        // SAFETY: as the caller says, in both arms.
        8 => unsafe { multiply_tiles::<T, 8>(a, b, (m, n, k), results) },
        _ => unsafe { multiply_tiles::<T, 16>(a, b, (m, n, k), results) },
    }
}

#[inline(always)]
unsafe fn multiply_tiles<T: Real, const COLUMNS: usize>(
    a: Matrix<T>,
    b: Matrix<T>,
    (m, n, k): (usize, usize, usize),
    results: &mut [T],
) {
    if n == 1 {
        // SAFETY: as the caller says.
        return unsafe { multiply_vector(a, b, m, k, results) };
    }
    let mut panel: Vec<[T; COLUMNS]> = vec![[T::default(); COLUMNS]; DEPTH.min(k)];
    let mut rows: Vec<[T; ROWS]> = vec![[T::default(); ROWS]; DEPTH.min(k) * m.div_ceil(ROWS)];
    for start in (0..k).step_by(DEPTH) {
        let depth = DEPTH.min(k - start);
        for (block, rows) in rows.chunks_mut(depth).enumerate().take(m.div_ceil(ROWS)) {
            for (l, packed) in rows.iter_mut().enumerate() {
                for (i, slot) in packed.iter_mut().enumerate() {
                    let row = (block * ROWS + i).min(m - 1);
                    // SAFETY: the row and column exist.
                    *slot = unsafe { a.get(row, start + l) };
                }
            }
        }
        for first in (0..n).step_by(COLUMNS) {
            let width = COLUMNS.min(n - first);
            for (l, packed) in panel[..depth].iter_mut().enumerate() {
                for (j, slot) in packed.iter_mut().enumerate() {
                    // SAFETY: the row and column exist.
                    *slot = unsafe { b.get(start + l, first + j.min(width - 1)) };
                }
            }
            for (block, rows) in rows.chunks(depth).enumerate().take(m.div_ceil(ROWS)) {
                let height = ROWS.min(m - block * ROWS);
                let mut tile = [[T::default(); COLUMNS]; ROWS];
                for (i, sums) in tile.iter_mut().enumerate().take(height) {
                    let at = (block * ROWS + i) * n + first;
                    sums[..width].copy_from_slice(&results[at..at + width]);
                }
                for (left, right) in rows.iter().zip(&panel[..depth]) {
                    for (sums, &factor) in tile.iter_mut().zip(left) {
                        for (sum, &other) in sums.iter_mut().zip(right) {
                            *sum = sum.add(factor.mul(other));
                        }
                    }
                }
                for (i, sums) in tile.iter().enumerate().take(height) {
                    let at = (block * ROWS + i) * n + first;
                    results[at..at + width].copy_from_slice(&sums[..width]);
                }
            }
        }
    }
}

/// A matrix times one column: several rows at once, because one sum alone waits for each addition.
#[inline(always)]
unsafe fn multiply_vector<T: Real>(a: Matrix<T>, b: Matrix<T>, m: usize, k: usize, results: &mut [T]) {
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
                *sum = sum.add(unsafe { a.get(row(i), l) }.mul(right));
            }
        }
        let count = TOGETHER.min(m - first);
        results[first..first + count].copy_from_slice(&sums[..count]);
    }
}
