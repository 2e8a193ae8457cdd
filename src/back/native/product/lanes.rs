//! Registers of numbers, for the loops of products: 512 and 256 bits on x86-64, and plain arrays.
//!
//! The loops are generic and inlined into functions that turn the machine's features on; there each operation is one
//! instruction.

use super::fast::Multiply;

/// A number of a product.
pub trait Real: Copy + Default + 'static {
    const ONE: Self;
    const MINUS_ONE: Self;
    /// Registers of any machine.
    type Plain: Square<Number = Self>;
    /// Registers of AVX2.
    #[cfg(target_arch = "x86_64")]
    type Half: Square<Number = Self>;
    /// Registers of AVX-512.
    #[cfg(target_arch = "x86_64")]
    type Whole: Lanes<Number = Self>;

    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `self + a * b`, rounded once.
    fn fused(self, a: Self, b: Self) -> Self;
    fn from_bits(bits: i64) -> Self;
    /// The product of matrices in fast mode.
    fn multiply() -> Multiply<Self>;
}

macro_rules! real {
    ($ty:ty, $bits:ty, $plain:literal, $half:ty, $whole:ty, $multiply:path) => {
        impl Real for $ty {
            const ONE: $ty = 1.0;
            const MINUS_ONE: $ty = -1.0;
            type Plain = [$ty; $plain];
            #[cfg(target_arch = "x86_64")]
            type Half = $half;
            #[cfg(target_arch = "x86_64")]
            type Whole = $whole;

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
            fn multiply() -> Multiply<$ty> {
                $multiply()
            }
        }
    };
}

real!(f64, u64, 2, x86::__m256d, x86::__m512d, gemm_f64::gemm::f64::get_gemm_fn);
real!(f32, u32, 4, x86::__m256, x86::__m512, gemm_f32::gemm::f32::get_gemm_fn);

/// Numbers of the widest register.
pub const MOST_LANES: usize = 16;

/// A register.
///
/// # Safety
/// Of all functions: the machine has the register. Addresses are of as many numbers as it holds.
pub trait Lanes: Copy {
    type Number: Real;
    /// Numbers of a register.
    const COUNT: usize;

    unsafe fn splat(number: Self::Number) -> Self;
    unsafe fn load(from: *const Self::Number) -> Self;
    /// The first `count` numbers, fewer than a register holds; the others are zero and not read.
    unsafe fn load_first(from: *const Self::Number, count: usize) -> Self;
    unsafe fn store(self, to: *mut Self::Number);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self + a * b`, rounded once.
    unsafe fn fused(self, a: Self, b: Self) -> Self;
    /// The sum of the numbers, in any order.
    unsafe fn total(self) -> Self::Number;
}

/// A register that turns as many rows as it has numbers into columns.
///
/// # Safety
/// As for [`Lanes`].
pub trait Square: Lanes {
    /// One register for each number of one.
    type Columns: AsRef<[Self]>;

    /// The columns of rows at addresses.
    unsafe fn columns(rows: &[*const Self::Number], at: usize) -> Self::Columns;
}

/// A step of a sum: a product and a sum, each rounded, or both at once.
///
/// # Safety
/// The machine has the register, and fused operations if they are asked for.
#[inline(always)]
pub(super) unsafe fn step<L: Lanes, const FUSED: bool>(sum: L, left: L, right: L) -> L {
    // SAFETY: as the caller says.
    unsafe { if FUSED { sum.fused(left, right) } else { sum.add(left.mul(right)) } }
}

impl<T: Real, const N: usize> Lanes for [T; N] {
    type Number = T;
    const COUNT: usize = N;

    #[inline(always)]
    unsafe fn splat(number: T) -> Self {
        [number; N]
    }
    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: as the caller says.
        unsafe { from.cast::<[T; N]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const T, count: usize) -> Self {
        std::array::from_fn(|lane| match lane < count {
            // SAFETY: as the caller says.
            true => unsafe { from.add(lane).read_unaligned() },
            false => T::default(),
        })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: as the caller says.
        unsafe { to.cast::<[T; N]>().write_unaligned(self) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane].add(other[lane]))
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane].mul(other[lane]))
    }
    #[inline(always)]
    unsafe fn fused(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|lane| self[lane].fused(a[lane], b[lane]))
    }
    #[inline(always)]
    unsafe fn total(self) -> T {
        self.into_iter().fold(T::default(), T::add)
    }
}

impl<T: Real, const N: usize> Square for [T; N] {
    type Columns = [Self; N];

    #[inline(always)]
    unsafe fn columns(rows: &[*const T], at: usize) -> [Self; N] {
        // SAFETY: as the caller says.
        std::array::from_fn(|column| {
            std::array::from_fn(|row| unsafe { rows[row].add(at + column).read_unaligned() })
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, Square};
    use std::arch::x86_64::*;
    pub(super) use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

    macro_rules! lanes {
        ($register:ty, $number:ty, $count:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $mul:ident, $fused:ident,
         $load_first:ident, $total:ident) => {
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
                unsafe fn load_first(from: *const $number, count: usize) -> Self {
                    // SAFETY: as the caller says.
                    unsafe { $load_first(from, count) }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut $number) {
                    // SAFETY: as the caller says; the address need not be aligned.
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: the caller has the instruction.
                    unsafe { $add(self, other) }
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
                unsafe fn total(self) -> $number {
                    // SAFETY: the caller has the instruction.
                    unsafe { $total(self) }
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
        _mm256_mul_pd,
        _mm256_fmadd_pd,
        first_4,
        total_4
    );
    lanes!(
        __m256,
        f32,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_mul_ps,
        _mm256_fmadd_ps,
        first_8,
        total_8
    );
    lanes!(
        __m512d,
        f64,
        8,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_add_pd,
        _mm512_mul_pd,
        _mm512_fmadd_pd,
        first_8_wide,
        _mm512_reduce_add_pd
    );
    lanes!(
        __m512,
        f32,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_add_ps,
        _mm512_mul_ps,
        _mm512_fmadd_ps,
        first_16,
        _mm512_reduce_add_ps
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
                        let (a, b) = (
                            _mm256_loadu_ps(rows[$index].add(at)),
                            _mm256_loadu_ps(rows[$index + 1].add(at)),
                        );
                        (
                            _mm256_castps_pd(_mm256_unpacklo_ps(a, b)),
                            _mm256_castps_pd(_mm256_unpackhi_ps(a, b)),
                        )
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
}
