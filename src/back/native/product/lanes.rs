//! Registers of numbers, for the loops of products: 512 and 256 bits on x86-64, and plain arrays.
//!
//! The loops are generic and inlined into functions that turn the machine's features on; there each operation is one
//! instruction.

#[cfg(target_arch = "x86_64")]
mod x86;

use super::fast::Multiply;

/// A number of a product, real or complex.
pub trait Entry: Copy + Default + 'static {
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `-self`.
    fn opposite(self) -> Self;
    /// The conjugate; of a real number, itself.
    fn conjugate(self) -> Self {
        self
    }
    /// From the bits of the real and the imaginary part.
    fn from_bits(bits: [i64; 2]) -> Self;
}

/// A real number of a product.
pub trait Real: Entry {
    const ONE: Self;
    const MINUS_ONE: Self;
    /// Registers of any machine.
    type Plain: Square<Number = Self> + RealLanes;
    /// Registers of AVX2.
    #[cfg(target_arch = "x86_64")]
    type Half: Square<Number = Self> + RealLanes;
    /// Registers of AVX-512.
    #[cfg(target_arch = "x86_64")]
    type Whole: RealLanes<Number = Self>;

    /// `self + a * b`, rounded once.
    fn fused(self, a: Self, b: Self) -> Self;
    /// The product of matrices in fast mode.
    fn multiply() -> Multiply<Self>;
}

macro_rules! real {
    ($ty:ty, $bits:ty, $plain:literal, $half:ty, $whole:ty, $multiply:path) => {
        impl Entry for $ty {
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn opposite(self) -> Self {
                -self
            }
            fn from_bits(bits: [i64; 2]) -> Self {
                <$ty>::from_bits(bits[0] as $bits)
            }
        }

        impl Real for $ty {
            const ONE: $ty = 1.0;
            const MINUS_ONE: $ty = -1.0;
            type Plain = [$ty; $plain];
            #[cfg(target_arch = "x86_64")]
            type Half = $half;
            #[cfg(target_arch = "x86_64")]
            type Whole = $whole;

            #[inline(always)]
            fn fused(self, a: Self, b: Self) -> Self {
                a.mul_add(b, self)
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
    type Number: Entry;
    /// Numbers of a register.
    const COUNT: usize;
    /// Whether a step takes its product from the sum.
    const TAKES: bool = false;

    unsafe fn splat(number: Self::Number) -> Self;
    unsafe fn load(from: *const Self::Number) -> Self;
    unsafe fn store(self, to: *mut Self::Number);
    /// A step of a sum of products.
    unsafe fn step(self, left: Self, right: Self) -> Self;
}

/// A register of real numbers.
///
/// # Safety
/// As for [`Lanes`].
pub trait RealLanes: Lanes<Number: Real> {
    /// The first `count` numbers, fewer than a register holds; the others are zero and not read.
    unsafe fn load_first(from: *const Self::Number, count: usize) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self + a * b`, rounded once.
    unsafe fn fused(self, a: Self, b: Self) -> Self;
    /// `self - a * b`, rounded once.
    unsafe fn fused_minus(self, a: Self, b: Self) -> Self;
    /// The sum of the numbers, in any order.
    unsafe fn total(self) -> Self::Number;
    /// Two registers of pairs as one of the first of each and one of the second, in some order of the pairs.
    unsafe fn unzip(self, other: Self) -> (Self, Self);
    /// The inverse of [`RealLanes::unzip`].
    unsafe fn zip(self, other: Self) -> (Self, Self);
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
pub(super) unsafe fn step<L: RealLanes, const FUSED: bool>(sum: L, left: L, right: L) -> L {
    // SAFETY: as the caller says.
    unsafe { if FUSED { sum.fused(left, right) } else { sum.add(left.mul(right)) } }
}

impl<T: Entry, const N: usize> Lanes for [T; N] {
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
    unsafe fn store(self, to: *mut T) {
        // SAFETY: as the caller says.
        unsafe { to.cast::<[T; N]>().write_unaligned(self) }
    }
    #[inline(always)]
    unsafe fn step(self, left: Self, right: Self) -> Self {
        std::array::from_fn(|lane| self[lane].add(left[lane].mul(right[lane])))
    }
}

impl<T: Real, const N: usize> RealLanes for [T; N] {
    #[inline(always)]
    unsafe fn load_first(from: *const T, count: usize) -> Self {
        std::array::from_fn(|lane| match lane < count {
            // SAFETY: as the caller says.
            true => unsafe { from.add(lane).read_unaligned() },
            false => T::default(),
        })
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane].add(other[lane]))
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane].add(other[lane].opposite()))
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
    unsafe fn fused_minus(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|lane| self[lane].fused(a[lane].opposite(), b[lane]))
    }
    #[inline(always)]
    unsafe fn total(self) -> T {
        self.into_iter().fold(T::default(), T::add)
    }
    #[inline(always)]
    unsafe fn unzip(self, other: Self) -> (Self, Self) {
        let of = |index: usize| if index < N { self[index] } else { other[index - N] };
        (std::array::from_fn(|lane| of(2 * lane)), std::array::from_fn(|lane| of(2 * lane + 1)))
    }
    #[inline(always)]
    unsafe fn zip(self, other: Self) -> (Self, Self) {
        let of = |index: usize| if index.is_multiple_of(2) { self[index / 2] } else { other[index / 2] };
        (std::array::from_fn(of), std::array::from_fn(|lane| of(N + lane)))
    }
}

impl<T: Entry, const N: usize> Square for [T; N] {
    type Columns = [Self; N];

    #[inline(always)]
    unsafe fn columns(rows: &[*const T], at: usize) -> [Self; N] {
        // SAFETY: as the caller says.
        std::array::from_fn(|column| {
            std::array::from_fn(|row| unsafe { rows[row].add(at + column).read_unaligned() })
        })
    }
}
