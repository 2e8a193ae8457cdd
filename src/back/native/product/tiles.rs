//! Products by tiles of results that stay in registers over a block of summands.
//!
//! Operands are packed: a block of `b` as panels as wide as a tile, a block of `a` that stays in the cache of the second
//! level as strips as high as a tile. Between blocks of summands sums go through memory, which changes no bits.

use super::lanes::{Entry, Lanes, MOST_LANES, Square};
use super::{Job, Matrix};

/// Summands per block: so many that a panel of `b` fits the first cache.
const fn most<T>() -> usize {
    if size_of::<T>() <= size_of::<f64>() { 256 } else { 128 }
}

/// Rows up to which a product is thin: it uses each number of `b` so seldom that packing them would take longer.
const THIN_ROWS: usize = 32;
/// The same where `b` is large: the rows of `b` then come from memory for few summands at a time.
const THIN_ROWS_LARGE: usize = 16;
/// The same in fast mode, whose whole products pack better, and are as good where `b` is not large.
const THIN_ROWS_FAST: usize = 12;
/// Bytes of `b` that make it large: more than the cache of the second level keeps.
const LARGE: usize = 1 << 20;
/// Summands per block of a thin product.
const THIN_SUMMANDS: usize = 64;
/// The same where `b` is large: as many of its rows as the machine fetches ahead side by side.
const THIN_SUMMANDS_LARGE: usize = 16;

/// Whether `b` is large.
fn is_large<T>(job: &Job<T>) -> bool {
    job.k.saturating_mul(job.n).saturating_mul(size_of::<T>()) >= LARGE
}

/// Whether `b` is read where it lies.
pub(super) fn is_thin<T>(job: &Job<T>) -> bool {
    let rows = match (job.fused, is_large(job)) {
        (true, true) => THIN_ROWS_FAST,
        (true, false) => 0,
        (false, true) => THIN_ROWS_LARGE,
        (false, false) => THIN_ROWS,
    };
    (2..=rows).contains(&job.m) && job.n > 1 && job.b.column == size_of::<T>() as isize
}

/// Whether a product of matrices may be thin, whichever way round it is computed.
pub(super) fn may_be_thin<T>(job: &Job<T>) -> bool {
    let rows = if job.fused { THIN_ROWS_FAST } else { THIN_ROWS };
    (2..=rows).contains(&job.m.min(job.n))
}

/// Whether sums stay in the results between blocks of summands, if it is computed here.
pub(super) fn is_blocked<T>(job: &Job<T>) -> bool {
    job.k > if may_be_thin(job) { THIN_SUMMANDS_LARGE } else { most::<T>() }
}

/// Rows per block, a multiple of every tile's: with [`most`] numbers each they fit the cache of the second level.
const BLOCK_ROWS: usize = 144;
/// Columns per block.
const BLOCK_COLUMNS: usize = 1024;

/// Summands from which a tile takes long enough to fetch the next one's results from memory.
const WORTH_FETCHING: usize = 64;

/// Numbers that a product packs at a time.
pub(super) fn packed<T>(m: usize, n: usize, k: usize) -> usize {
    // A block's last strip and panel may be padded.
    most::<T>().min(k) * (m.min(BLOCK_ROWS) + n.min(BLOCK_COLUMNS) + 64)
}

/// Computes a job with tiles of `ROWS` rows and two registers of columns; at the lower end with
/// those of `MIDDLE` or `FEW` rows.
///
/// # Safety
/// The machine has the registers; the job's matrices are as it says, nobody else touches those results, and `buffer` has
/// [`packed`] numbers.
#[inline(always)]
pub(super) unsafe fn multiply<L, S, const ROWS: usize, const MIDDLE: usize, const FEW: usize>(
    job: &Job<L::Number>,
    buffer: *mut L::Number,
) where
    L: Lanes,
    S: Square<Number = L::Number>,
{
    let &Job { a, b, m, n, k, .. } = job;
    let wide = 2 * L::COUNT;
    let summands = match job.thin {
        true if is_large(job) => THIN_SUMMANDS_LARGE,
        true => THIN_SUMMANDS,
        false => most::<L::Number>(),
    };
    for left in (0..n).step_by(BLOCK_COLUMNS) {
        let columns = BLOCK_COLUMNS.min(n - left);
        // At least one block, so that results are written if nothing is summed.
        for start in (0..k.max(1)).step_by(summands) {
            let depth = summands.min(k - start);
            let panels = buffer;
            let padded = |width: usize| if width <= L::COUNT { L::COUNT } else { wide };
            let lies_ready = |first: usize| job.thin && first + wide <= columns;
            for first in (0..columns).step_by(wide).filter(|&first| !lies_ready(first)) {
                let width = wide.min(columns - first);
                let part = b.part(start, left + first).turned();
                // SAFETY: the rows and columns exist, the buffer is large enough for what it gets.
                unsafe { pack::<S>(part, width, depth, padded(width), panels.add(first * depth)) };
            }
            // SAFETY: the buffer goes on behind the panels.
            let strips = unsafe { buffer.add(columns.next_multiple_of(wide) * depth) };
            for top in (0..m).step_by(BLOCK_ROWS) {
                let height = BLOCK_ROWS.min(m - top);
                for first in (0..height).step_by(ROWS) {
                    let lines = ROWS.min(height - first);
                    let padded = match lines {
                        _ if lines <= FEW => FEW,
                        _ if lines <= MIDDLE => MIDDLE,
                        _ => ROWS,
                    };
                    // SAFETY: as above.
                    unsafe {
                        let strip = strips.add(first * depth);
                        pack::<S>(a.part(top + first, start), lines, depth, padded, strip);
                        let numbers = || std::slice::from_raw_parts_mut(strip, padded * depth).iter_mut();
                        if job.conjugates {
                            numbers().for_each(|x| *x = x.conjugate());
                        }
                        if job.subtracts && !L::TAKES {
                            // Adding the opposite of a product is the same.
                            numbers().for_each(|x| *x = x.opposite());
                        }
                    };
                }
                for column in (0..columns).step_by(wide) {
                    let width = wide.min(columns - column);
                    for row in (0..height).step_by(ROWS) {
                        let lines = ROWS.min(height - row);
                        let place = Place {
                            row: top + row,
                            column: left + column,
                            lines,
                            width,
                            depth,
                            first: start == 0 && !job.subtracts,
                            last: start + depth >= k,
                        };
                        if depth >= WORTH_FETCHING {
                            // The results that follow are on their way meanwhile.
                            let (row, column) = match row + ROWS < height {
                                true => (top + row + ROWS, left + column),
                                false => (top, left + column + wide),
                            };
                            (row..row + ROWS).for_each(|row| fetch_ahead(job.c.at(row, column)));
                        }
                        // SAFETY: these are the strip and the panel of that place.
                        unsafe {
                            let strip = strips.add(row * depth);
                            let panel = match lies_ready(column) {
                                true => b.part(start, left + column),
                                false => {
                                    let one = size_of::<L::Number>() as isize;
                                    let base = panels.add(column * depth).cast_const();
                                    Matrix { base, row: padded(width) as isize * one, column: one }
                                }
                            };
                            match (width <= L::COUNT, lines) {
                                (false, lines) if lines > MIDDLE => {
                                    tile::<L, ROWS, 2>(job, place, strip, panel)
                                }
                                (false, lines) if lines > FEW => {
                                    tile::<L, MIDDLE, 2>(job, place, strip, panel)
                                }
                                (false, _) => tile::<L, FEW, 2>(job, place, strip, panel),
                                (true, lines) if lines > MIDDLE => {
                                    tile::<L, ROWS, 1>(job, place, strip, panel)
                                }
                                (true, lines) if lines > FEW => {
                                    tile::<L, MIDDLE, 1>(job, place, strip, panel)
                                }
                                (true, _) => tile::<L, FEW, 1>(job, place, strip, panel),
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Tells the caches that two lines of memory are wanted soon, wherever they are.
#[inline(always)]
fn fetch_ahead<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint reads nothing, and every x86-64 has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
        _mm_prefetch::<_MM_HINT_T0>(address.wrapping_byte_add(64).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Packs lines next to each other: the numbers of all lines at one depth, then those at the next; `padded` lines.
///
/// # Safety
/// The machine has the registers, the elements exist, and there is room.
#[inline(always)]
unsafe fn pack<S: Square>(
    from: Matrix<S::Number>,
    lines: usize,
    depth: usize,
    padded: usize,
    to: *mut S::Number,
) {
    let one = size_of::<S::Number>() as isize;
    // SAFETY: as the caller says, everywhere.
    unsafe {
        let mut done = 0;
        if from.row == one {
            done = lines - lines % S::COUNT;
            for l in 0..depth {
                for line in (0..done).step_by(S::COUNT) {
                    S::load(from.at(line, l)).store(to.add(l * padded + line));
                }
            }
        } else if from.column == one {
            // Blocks are turned in registers.
            done = lines - lines % S::COUNT;
            let turned = depth - depth % S::COUNT;
            for line in (0..done).step_by(S::COUNT) {
                let to = to.add(line);
                let mut rows = [from.base; MOST_LANES];
                for (i, row) in rows.iter_mut().enumerate().take(S::COUNT) {
                    *row = from.at(line + i, 0);
                }
                for at in (0..turned).step_by(S::COUNT) {
                    for (l, &column) in S::columns(&rows, at).as_ref().iter().enumerate() {
                        column.store(to.add((at + l) * padded));
                    }
                }
                for l in turned..depth {
                    for (i, row) in rows.iter().enumerate().take(S::COUNT) {
                        *to.add(l * padded + i) = row.add(l).read_unaligned();
                    }
                }
            }
        }
        for line in done..lines {
            for l in 0..depth {
                *to.add(l * padded + line) = from.at(line, l).read_unaligned();
            }
        }
        for line in lines..padded {
            for l in 0..depth {
                *to.add(l * padded + line) = S::Number::default();
            }
        }
    }
}

/// Where a tile lies, and which summands are added.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
    /// Rows and columns that exist.
    lines: usize,
    width: usize,
    depth: usize,
    /// Whether sums start here, or end.
    first: bool,
    last: bool,
}

/// Adds a block of summands to the sums of a tile of `ROWS` rows and `PANELS` registers of columns.
///
/// # Safety
/// The machine has the registers; strip and panel have `depth` lines of the tile's height and width, those of the strip one after the other; results exist
/// within `lines` and `width`.
#[inline(always)]
unsafe fn tile<L: Lanes, const ROWS: usize, const PANELS: usize>(
    job: &Job<L::Number>,
    place: Place,
    strip: *const L::Number,
    panel: Matrix<L::Number>,
) {
    // SAFETY: as the caller says.
    unsafe {
        match ROWS {
            2 => tile_2::<L, PANELS>(job, place, strip, panel),
            4 => tile_4::<L, PANELS>(job, place, strip, panel),
            6 => tile_6::<L, PANELS>(job, place, strip, panel),
            8 => tile_8::<L, PANELS>(job, place, strip, panel),
            _ => tile_12::<L, PANELS>(job, place, strip, panel),
        }
    }
}

/// A tile as a function: its sums are variables, because an array of them would live in memory.
macro_rules! tile {
    ($name:ident, $rows:literal, $($row:literal $one:ident $two:ident),*) => {
        #[inline(always)]
        unsafe fn $name<L: Lanes, const PANELS: usize>(
            job: &Job<L::Number>,
            place: Place,
            strip: *const L::Number,
            panel: Matrix<L::Number>,
        ) {
            let Place { row, column, lines, width, depth, first, last } = place;
            let dense = job.c.column == size_of::<L::Number>() as isize;
            let whole = dense && lines == $rows && width == PANELS * L::COUNT;
            // SAFETY: as the caller says.
            unsafe {
                let zero = L::splat(L::Number::default());
                $(let (mut $one, mut $two) = (zero, zero);)*
                if !first {
                    if whole {
                        $(
                            let line = job.c.at(row + $row, column);
                            $one = L::load(line);
                            if PANELS > 1 {
                                $two = L::load(line.add(L::COUNT));
                            }
                        )*
                    } else {
                        let mut aside = [[zero; PANELS]; $rows];
                        let aside: *mut L::Number = aside.as_mut_ptr().cast();
                        fetch(job, place, aside, PANELS * L::COUNT);
                        $(
                            $one = L::load(aside.add($row * PANELS * L::COUNT));
                            $two = L::load(aside.add(($row * PANELS + PANELS - 1) * L::COUNT));
                        )*
                    }
                }
                let (mut strip, mut line) = (strip, panel.base);
                for _ in 0..depth {
                    let right_one = L::load(line);
                    let right_two = if PANELS > 1 { L::load(line.add(L::COUNT)) } else { zero };
                    $(
                        let left = L::splat(*strip.add($row));
                        $one = $one.step(left, right_one);
                        if PANELS > 1 {
                            $two = $two.step(left, right_two);
                        }
                    )*
                    strip = strip.add($rows);
                    line = line.wrapping_byte_offset(panel.row);
                }
                if whole && (!last || job.finish.is_none()) {
                    $(
                        let line = job.c.at(row + $row, column).cast_mut();
                        $one.store(line);
                        if PANELS > 1 {
                            $two.store(line.add(L::COUNT));
                        }
                    )*
                } else {
                    let mut aside = [[zero; PANELS]; $rows];
                    let aside: *mut L::Number = aside.as_mut_ptr().cast();
                    $(
                        $two.store(aside.add(($row * PANELS + PANELS - 1) * L::COUNT));
                        $one.store(aside.add($row * PANELS * L::COUNT));
                    )*
                    put(job, place, aside, PANELS * L::COUNT);
                }
            }
        }
    };
}

tile!(tile_2, 2, 0 a0 b0, 1 a1 b1);
tile!(tile_4, 4, 0 a0 b0, 1 a1 b1, 2 a2 b2, 3 a3 b3);
tile!(tile_6, 6, 0 a0 b0, 1 a1 b1, 2 a2 b2, 3 a3 b3, 4 a4 b4, 5 a5 b5);
tile!(tile_8, 8, 0 a0 b0, 1 a1 b1, 2 a2 b2, 3 a3 b3, 4 a4 b4, 5 a5 b5, 6 a6 b6, 7 a7 b7);
tile!(
    tile_12, 12, 0 a0 b0, 1 a1 b1, 2 a2 b2, 3 a3 b3, 4 a4 b4, 5 a5 b5, 6 a6 b6, 7 a7 b7, 8 a8 b8, 9 a9 b9,
    10 a10 b10, 11 a11 b11
);

/// Fetches the sums of a tile; its rows lie `stride` numbers apart.
///
/// # Safety
/// The results exist, and there is room.
unsafe fn fetch<T: Entry>(job: &Job<T>, place: Place, to: *mut T, stride: usize) {
    for i in 0..place.lines {
        for j in 0..place.width {
            // SAFETY: as the caller says.
            unsafe { *to.add(i * stride + j) = job.c.at(place.row + i, place.column + j).read_unaligned() };
        }
    }
}

/// Writes the sums of a tile, or the results made of them.
///
/// # Safety
/// The results exist; rows of sums lie `stride` numbers apart.
unsafe fn put<T: Entry>(job: &Job<T>, place: Place, from: *const T, stride: usize) {
    for i in 0..place.lines {
        for j in 0..place.width {
            let (row, column) = (place.row + i, place.column + j);
            // SAFETY: as the caller says.
            unsafe {
                let sum = *from.add(i * stride + j);
                let value = if place.last { job.finish.value(sum, row, column) } else { sum };
                job.c.put(row, column, value);
            }
        }
    }
}
