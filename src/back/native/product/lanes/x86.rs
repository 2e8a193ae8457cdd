//! Registers of AVX2 and AVX-512.

use super::{Lanes, RealLanes, Square};
use std::arch::x86_64::*;
pub(super) use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

macro_rules! lanes {
    ($register:ty, $number:ty, $count:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident,
     $fused:ident, $fused_minus:ident, $load_first:ident, $total:ident, $even:expr, $odd:expr, $lower:ident,
     $upper:ident) => {
        impl Lanes for $register {
            type Number = $number;
            const COUNT: usize = $count;

            #[inline(always)]
            unsafe fn splat(number: $number) -> Self {
                // SAFETY: the caller has the instruction.
                unsafe { $splat(number) }
            }
            #[inline(always)]
            unsafe fn load(from: *const $number) -> Self {
                // SAFETY: as the caller says; the address need not be aligned.
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $number) {
                // SAFETY: as the caller says; the address need not be aligned.
                unsafe { $store(to, self) }
            }
            #[inline(always)]
            unsafe fn step(self, left: Self, right: Self) -> Self {
                // SAFETY: the caller has the instructions.
                unsafe { $add(self, $mul(left, right)) }
            }
        }

        impl RealLanes for $register {
            #[inline(always)]
            unsafe fn load_first(from: *const $number, count: usize) -> Self {
                // SAFETY: as the caller says.
                unsafe { $load_first(from, count) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the caller has the instruction.
                unsafe { $add(self, other) }
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: the caller has the instruction.
                unsafe { $sub(self, other) }
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                // SAFETY: the caller has the instruction.
                unsafe { $mul(self, other) }
            }
            #[inline(always)]
            unsafe fn fused(self, a: Self, b: Self) -> Self {
                // SAFETY: the caller has the instruction.
                unsafe { $fused(a, b, self) }
            }
            #[inline(always)]
            unsafe fn fused_minus(self, a: Self, b: Self) -> Self {
                // SAFETY: the caller has the instruction.
                unsafe { $fused_minus(a, b, self) }
            }
            #[inline(always)]
            unsafe fn total(self) -> $number {
                // SAFETY: the caller has the instruction.
                unsafe { $total(self) }
            }
            #[inline(always)]
            unsafe fn unzip(self, other: Self) -> (Self, Self) {
                // SAFETY: the caller has the instructions.
                unsafe { ($even(self, other), $odd(self, other)) }
            }
            #[inline(always)]
            unsafe fn zip(self, other: Self) -> (Self, Self) {
                // SAFETY: the caller has the instructions.
                unsafe { ($lower(self, other), $upper(self, other)) }
            }
        }
    };
}

lanes!(
    __m256d,
    f64,
    4,
    _mm256_set1_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_add_pd,
    _mm256_sub_pd,
    _mm256_mul_pd,
    _mm256_fmadd_pd,
    _mm256_fnmadd_pd,
    first_4,
    total_4,
    _mm256_unpacklo_pd,
    _mm256_unpackhi_pd,
    _mm256_unpacklo_pd,
    _mm256_unpackhi_pd
);
lanes!(
    __m256,
    f32,
    8,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    _mm256_fnmadd_ps,
    first_8,
    total_8,
    _mm256_shuffle_ps::<0x88>,
    _mm256_shuffle_ps::<0xdd>,
    _mm256_unpacklo_ps,
    _mm256_unpackhi_ps
);
lanes!(
    __m512d,
    f64,
    8,
    _mm512_set1_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_add_pd,
    _mm512_sub_pd,
    _mm512_mul_pd,
    _mm512_fmadd_pd,
    _mm512_fnmadd_pd,
    first_8_wide,
    _mm512_reduce_add_pd,
    _mm512_unpacklo_pd,
    _mm512_unpackhi_pd,
    _mm512_unpacklo_pd,
    _mm512_unpackhi_pd
);
lanes!(
    __m512,
    f32,
    16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    _mm512_fnmadd_ps,
    first_16,
    _mm512_reduce_add_ps,
    _mm512_shuffle_ps::<0x88>,
    _mm512_shuffle_ps::<0xdd>,
    _mm512_unpacklo_ps,
    _mm512_unpackhi_ps
);

/// Ones in front of zeros: where the zeros start is how many numbers a masked load reads.
static ONES_64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];
static ONES_32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[inline(always)]
unsafe fn first_4(from: *const f64, count: usize) -> __m256d {
    // SAFETY: the caller has the instruction; as many numbers are read as the mask has ones.
    unsafe {
        let mask = _mm256_loadu_si256(ONES_64[4 - count..].as_ptr().cast());
        _mm256_maskload_pd(from, mask)
    }
}

#[inline(always)]
unsafe fn first_8(from: *const f32, count: usize) -> __m256 {
    // SAFETY: as in `first_4`.
    unsafe {
        let mask = _mm256_loadu_si256(ONES_32[8 - count..].as_ptr().cast());
        _mm256_maskload_ps(from, mask)
    }
}

#[inline(always)]
unsafe fn first_8_wide(from: *const f64, count: usize) -> __m512d {
    // SAFETY: as in `first_4`.
    unsafe { _mm512_maskz_loadu_pd((1 << count) - 1, from) }
}

#[inline(always)]
unsafe fn first_16(from: *const f32, count: usize) -> __m512 {
    // SAFETY: as in `first_4`.
    unsafe { _mm512_maskz_loadu_ps((1 << count) - 1, from) }
}

#[inline(always)]
unsafe fn total_4(numbers: __m256d) -> f64 {
    // SAFETY: the caller has the instruction.
    unsafe {
        let pair = _mm_add_pd(_mm256_castpd256_pd128(numbers), _mm256_extractf128_pd::<1>(numbers));
        _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)))
    }
}

#[inline(always)]
unsafe fn total_8(numbers: __m256) -> f32 {
    // SAFETY: the caller has the instruction.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(numbers), _mm256_extractf128_ps::<1>(numbers));
        let pair = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)))
    }
}

impl Square for __m256d {
    type Columns = [Self; 4];

    #[inline(always)]
    unsafe fn columns(rows: &[*const f64], at: usize) -> [Self; 4] {
        // SAFETY: as the caller says.
        unsafe {
            let (a, b) = (_mm256_loadu_pd(rows[0].add(at)), _mm256_loadu_pd(rows[1].add(at)));
            let (c, d) = (_mm256_loadu_pd(rows[2].add(at)), _mm256_loadu_pd(rows[3].add(at)));
            let (ab_even, ab_odd) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
            let (cd_even, cd_odd) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
            [
                _mm256_permute2f128_pd::<0x20>(ab_even, cd_even),
                _mm256_permute2f128_pd::<0x20>(ab_odd, cd_odd),
                _mm256_permute2f128_pd::<0x31>(ab_even, cd_even),
                _mm256_permute2f128_pd::<0x31>(ab_odd, cd_odd),
            ]
        }
    }
}

impl Square for __m256 {
    type Columns = [Self; 8];

    #[inline(always)]
    unsafe fn columns(rows: &[*const f32], at: usize) -> [Self; 8] {
        // SAFETY: as the caller says.
        unsafe {
            // In each half: columns 0 and 1, 2 and 3 of two rows.
            macro_rules! pair {
                ($index:literal) => {{
                    let (a, b) =
                        (_mm256_loadu_ps(rows[$index].add(at)), _mm256_loadu_ps(rows[$index + 1].add(at)));
                    (_mm256_castps_pd(_mm256_unpacklo_ps(a, b)), _mm256_castps_pd(_mm256_unpackhi_ps(a, b)))
                }};
            }
            let (ab, cd, ef, gh) = (pair!(0), pair!(2), pair!(4), pair!(6));
            // In each half: one column of four rows, then all of eight.
            macro_rules! column {
                ($unpack:ident, $part:tt, $halves:literal) => {{
                    let (upper, lower) = ($unpack(ab.$part, cd.$part), $unpack(ef.$part, gh.$part));
                    _mm256_castpd_ps(_mm256_permute2f128_pd::<$halves>(upper, lower))
                }};
            }
            [
                column!(_mm256_unpacklo_pd, 0, 0x20),
                column!(_mm256_unpackhi_pd, 0, 0x20),
                column!(_mm256_unpacklo_pd, 1, 0x20),
                column!(_mm256_unpackhi_pd, 1, 0x20),
                column!(_mm256_unpacklo_pd, 0, 0x31),
                column!(_mm256_unpackhi_pd, 0, 0x31),
                column!(_mm256_unpacklo_pd, 1, 0x31),
                column!(_mm256_unpackhi_pd, 1, 0x31),
            ]
        }
    }
}
