//! A matrix times a vector. Sums of many rows at once, because each alone waits for its last addition; memory is
//! read in the order in which it lies.

use super::Job;
use super::lanes::{Real, RealLanes, Square, step};

/// Rows whose sums stay in registers.
const TOGETHER: usize = 16;

/// Computes a job with one column in registers `L`, or `S` where blocks are turned.
///
/// # Safety
/// The machine has the registers; the job's matrices are as it says, nobody else touches its results, and `buffer` has
/// room for a column of `b`.
#[inline(always)]
pub(super) unsafe fn multiply<L, S, const FUSED: bool>(job: &Job<L::Number>, buffer: *mut L::Number)
where
    L: RealLanes,
    S: Square<Number = L::Number> + RealLanes,
{
    let &Job { a, b, m, k, .. } = job;
    let one = size_of::<L::Number>() as isize;
    // SAFETY: as the caller says.
    unsafe {
        let vector = if b.row == one {
            b.base
        } else {
            (0..k).for_each(|l| *buffer.add(l) = b.at(l, 0).read_unaligned());
            buffer.cast_const()
        };
        match m {
            _ if FUSED && a.column == one => by_rows_reordered::<L>(job, vector),
            1 => scattered::<L::Number, 1>(job, vector),
            2..=4 => scattered::<L::Number, 4>(job, vector),
            _ if a.column == one => by_rows::<S, FUSED>(job, vector),
            _ if a.row == one => by_columns::<L, FUSED>(job, vector),
            _ => scattered::<L::Number, TOGETHER>(job, vector),
        }
    }
}

/// Computes the rows of a job with one column whose rows lie one after the other: blocks of the matrix are turned in
/// registers, so that a register holds the sums of several rows.
///
/// # Safety
/// As for [`multiply`], with the vector in one piece.
#[inline(always)]
unsafe fn by_rows<L: Square + RealLanes, const FUSED: bool>(job: &Job<L::Number>, vector: *const L::Number) {
    let &Job { a, m, k, .. } = job;
    let groups = (TOGETHER / L::COUNT).min(4);
    for first in (0..m).step_by(groups * L::COUNT) {
        // Rows beyond the end repeat the last one.
        let mut rows = [a.base; TOGETHER];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = a.at((first + i).min(m - 1), 0);
        }
        // SAFETY: the elements exist.
        unsafe {
            let zero = L::splat(L::Number::default());
            let (mut s0, mut s1, mut s2, mut s3) = (zero, zero, zero, zero);
            let turned = k - k % L::COUNT;
            for at in (0..turned).step_by(L::COUNT) {
                macro_rules! group {
                    ($group:literal, $sum:ident) => {
                        if $group < groups {
                            let columns = L::columns(&rows[$group * L::COUNT..], at);
                            for (l, &column) in columns.as_ref().iter().enumerate() {
                                $sum = step::<L, FUSED>($sum, column, L::splat(*vector.add(at + l)));
                            }
                        }
                    };
                }
                group!(0, s0);
                group!(1, s1);
                group!(2, s2);
                group!(3, s3);
            }
            let mut numbers = [L::Number::default(); TOGETHER];
            for (group, sum) in [s0, s1, s2, s3].into_iter().enumerate().take(groups) {
                sum.store(numbers.as_mut_ptr().add(group * L::COUNT));
            }
            for (number, &row) in numbers.iter_mut().zip(&rows).take(groups * L::COUNT) {
                for l in turned..k {
                    *number =
                        scalar_step::<L::Number, FUSED>(*number, row.add(l).read_unaligned(), *vector.add(l));
                }
            }
            put(job, first, &numbers[..groups * L::COUNT]);
        }
    }
}

/// Computes the rows of a job with one column in fast mode: eight rows at a time, each with as many sums as a register
/// holds. So many rows come from memory sooner than one after the other.
///
/// # Safety
/// As for [`multiply`], with the vector in one piece; the machine has fused operations.
#[inline(always)]
unsafe fn by_rows_reordered<L: RealLanes>(job: &Job<L::Number>, vector: *const L::Number) {
    let &Job { a, m, k, .. } = job;
    let together = m - m % 8;
    let whole = k - k % L::COUNT;
    for first in (0..together).step_by(8) {
        // SAFETY: the elements exist.
        unsafe {
            macro_rules! rows {
                ($($row:literal $numbers:ident $sum:ident),*) => {{
                    $(let ($numbers, mut $sum) = (a.at(first + $row, 0), L::splat(L::Number::default()));)*
                    for at in (0..whole).step_by(L::COUNT) {
                        let right = L::load(vector.add(at));
                        $($sum = $sum.fused(L::load($numbers.add(at)), right);)*
                    }
                    if whole < k {
                        let right = L::load_first(vector.add(whole), k - whole);
                        $($sum = $sum.fused(L::load_first($numbers.add(whole), k - whole), right);)*
                    }
                    put(job, first, &[$($sum.total()),*]);
                }};
            }
            rows!(0 n0 s0, 1 n1 s1, 2 n2 s2, 3 n3 s3, 4 n4 s4, 5 n5 s5, 6 n6 s6, 7 n7 s7);
        }
    }
    for row in together..m {
        let numbers = a.at(row, 0);
        // SAFETY: the elements exist.
        unsafe {
            let zero = L::splat(L::Number::default());
            let (mut s0, mut s1, mut s2, mut s3) = (zero, zero, zero, zero);
            let width = 4 * L::COUNT;
            let unrolled = k - k % width;
            for at in (0..unrolled).step_by(width) {
                macro_rules! add {
                    ($part:literal, $sum:ident) => {
                        let at = at + $part * L::COUNT;
                        $sum = $sum.fused(L::load(numbers.add(at)), L::load(vector.add(at)));
                    };
                }
                add!(0, s0);
                add!(1, s1);
                add!(2, s2);
                add!(3, s3);
            }
            for at in (unrolled..whole).step_by(L::COUNT) {
                s0 = s0.fused(L::load(numbers.add(at)), L::load(vector.add(at)));
            }
            if whole < k {
                let right = L::load_first(vector.add(whole), k - whole);
                s1 = s1.fused(L::load_first(numbers.add(whole), k - whole), right);
            }
            put(job, row, &[s0.add(s1).add(s2.add(s3)).total()]);
        }
    }
}

/// Computes the rows of a job with one column whose columns lie one after the other: a part of the rows that stays in
/// the first cache gets several columns at once.
///
/// # Safety
/// As for [`multiply`], with the vector in one piece.
#[inline(always)]
unsafe fn by_columns<L: RealLanes, const FUSED: bool>(job: &Job<L::Number>, vector: *const L::Number) {
    const COLUMNS: usize = 8;
    const ROWS: usize = 2048;
    let &Job { a, m, k, .. } = job;
    // A last register may hold fewer rows than it has room for.
    let mut sums = [L::Number::default(); ROWS];
    for first in (0..m).step_by(ROWS) {
        let count = ROWS.min(m - first);
        let whole = count - count % L::COUNT;
        sums[..count.next_multiple_of(L::COUNT)].fill(L::Number::default());
        for start in (0..k).step_by(COLUMNS) {
            macro_rules! columns {
                ($start:expr, $($l:literal $column:ident $factor:ident),*) => {
                    // SAFETY: the elements exist.
                    unsafe {
                        $(let ($column, $factor) = (a.at(first, $start + $l), L::splat(*vector.add($start + $l)));)*
                        for at in (0..whole).step_by(L::COUNT) {
                            let mut sum = L::load(sums.as_ptr().add(at));
                            $(sum = step::<L, FUSED>(sum, L::load($column.add(at)), $factor);)*
                            sum.store(sums.as_mut_ptr().add(at));
                        }
                        if whole < count {
                            let mut sum = L::load(sums.as_ptr().add(whole));
                            $(
                                let column = L::load_first($column.add(whole), count - whole);
                                sum = step::<L, FUSED>(sum, column, $factor);
                            )*
                            sum.store(sums.as_mut_ptr().add(whole));
                        }
                    }
                };
            }
            if k - start >= COLUMNS {
                columns!(start, 0 c0 f0, 1 c1 f1, 2 c2 f2, 3 c3 f3, 4 c4 f4, 5 c5 f5, 6 c6 f6, 7 c7 f7);
            } else {
                for l in start..k {
                    columns!(l, 0 column factor);
                }
            }
        }
        // SAFETY: the results exist.
        unsafe { put(job, first, &sums[..count]) };
    }
}

/// Computes the rows of a job with one column, however the matrix lies. Not inlined, as [`put`].
///
/// # Safety
/// As for [`multiply`], with the vector in one piece.
#[inline(never)]
unsafe fn scattered<T: Real, const ROWS: usize>(job: &Job<T>, vector: *const T) {
    let &Job { a, m, k, .. } = job;
    for first in (0..m).step_by(ROWS) {
        // Rows beyond the end repeat the last one.
        let mut rows = [a.base; ROWS];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = a.at((first + i).min(m - 1), 0);
        }
        let mut sums = [T::default(); ROWS];
        for l in 0..k {
            for (sum, row) in sums.iter_mut().zip(&mut rows) {
                // SAFETY: the elements exist.
                unsafe { *sum = sum.add(row.read_unaligned().mul(*vector.add(l))) };
                *row = row.wrapping_byte_offset(a.column);
            }
        }
        // SAFETY: the results exist.
        unsafe { put(job, first, &sums) };
    }
}

#[inline(always)]
fn scalar_step<T: Real, const FUSED: bool>(sum: T, left: T, right: T) -> T {
    if FUSED { sum.fused(left, right) } else { sum.add(left.mul(right)) }
}

/// Writes the results of rows, as many as there are. Not inlined: with the features of the caller it would become
/// scattering stores, which are slow.
///
/// # Safety
/// The results exist.
#[inline(never)]
unsafe fn put<T: Real>(job: &Job<T>, first: usize, sums: &[T]) {
    let count = sums.len().min(job.m - first);
    for (i, &sum) in sums[..count].iter().enumerate() {
        // SAFETY: as the caller says.
        unsafe { job.c.put(first + i, 0, job.finish.value(sum, first + i, 0)) };
    }
}
