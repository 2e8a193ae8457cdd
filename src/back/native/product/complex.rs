//! Products of complex numbers: the tiles of real ones, on registers that hold real and imaginary parts apart, so that no
//! step moves numbers within a register. In strict mode a step is the textbook product, its four products and two sums
//! rounded, and the sum of that; in fast mode it is four fused operations.

use num_complex::Complex;

use super::lanes::{Entry, Lanes, Real, RealLanes};
use super::{Job, Product, Registers, tiles, with_buffer};

impl<T: Real> Entry for Complex<T> {
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Complex { re: self.re.add(other.re), im: self.im.add(other.im) }
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Complex {
            re: self.re.mul(other.re).add(self.im.mul(other.im).opposite()),
            im: self.re.mul(other.im).add(self.im.mul(other.re)),
        }
    }
    #[inline(always)]
    fn opposite(self) -> Self {
        Complex { re: self.re.opposite(), im: self.im.opposite() }
    }
    #[inline(always)]
    fn conjugate(self) -> Self {
        Complex { im: self.im.opposite(), ..self }
    }
    fn from_bits([re, im]: [i64; 2]) -> Self {
        Complex { re: T::from_bits([re, 0]), im: T::from_bits([im, 0]) }
    }
}

/// Complex numbers, their parts apart. `TAKES` are those whose steps take a product from the sum: a product that cancels to
/// a zero has a sign that its opposite would change.
#[derive(Clone, Copy)]
struct Apart<L, const FUSED: bool, const TAKES: bool> {
    re: L,
    im: L,
}

impl<L: RealLanes, const FUSED: bool, const TAKES: bool> Lanes for Apart<L, FUSED, TAKES> {
    type Number = Complex<L::Number>;
    const COUNT: usize = L::COUNT;
    const TAKES: bool = TAKES;

    #[inline(always)]
    unsafe fn splat(number: Complex<L::Number>) -> Self {
        // SAFETY: as the caller says.
        unsafe { Apart { re: L::splat(number.re), im: L::splat(number.im) } }
    }
    #[inline(always)]
    unsafe fn load(from: *const Complex<L::Number>) -> Self {
        let parts: *const L::Number = from.cast();
        // SAFETY: as the caller says; a number is two of the parts.
        let (re, im) = unsafe { L::load(parts).unzip(L::load(parts.add(L::COUNT))) };
        Apart { re, im }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut Complex<L::Number>) {
        let parts: *mut L::Number = to.cast();
        // SAFETY: as the caller says; a number is two of the parts.
        unsafe {
            let (first, second) = self.re.zip(self.im);
            first.store(parts);
            second.store(parts.add(L::COUNT));
        }
    }
    #[inline(always)]
    unsafe fn step(self, left: Self, right: Self) -> Self {
        // SAFETY: as the caller says.
        unsafe {
            if FUSED {
                return Apart {
                    re: self.re.fused(left.re, right.re).fused_minus(left.im, right.im),
                    im: self.im.fused(left.re, right.im).fused(left.im, right.re),
                };
            }
            let re = left.re.mul(right.re).sub(left.im.mul(right.im));
            let im = left.re.mul(right.im).add(left.im.mul(right.re));
            match TAKES {
                true => Apart { re: self.re.sub(re), im: self.im.sub(im) },
                false => Apart { re: self.re.add(re), im: self.im.add(im) },
            }
        }
    }
}

macro_rules! product {
    ($($ty:ty),*) => {
        $(impl Product for Complex<$ty> {
            const VECTORS: bool = false;

            fn is_blocked(job: &Job<Self>) -> bool {
                tiles::is_blocked(job)
            }

            unsafe fn multiply(job: &Job<Self>) -> Option<()> {
                with_buffer(tiles::packed::<Self>(job.m, job.n, job.k), |buffer| {
                    // SAFETY: as the caller says.
                    unsafe {
                        match job.registers {
                            Registers::Plain => multiply_plain(job, buffer),
                            #[cfg(target_arch = "x86_64")]
                            Registers::Avx2 => multiply_256(job, buffer),
                            #[cfg(target_arch = "x86_64")]
                            Registers::Avx512 => multiply_512(job, buffer),
                        }
                    }
                })
            }
        })*
    };
}

product!(f64, f32);

/// Numbers that are packed at once.
type Packed<T> = [Complex<T>; 4];

/// # Safety
/// The job's matrices are as it says, nobody else touches its results, and the buffer is large enough.
unsafe fn multiply_plain<T: Real>(job: &Job<Complex<T>>, buffer: *mut Complex<T>) {
    // SAFETY: as the caller says; plain registers are everywhere.
    unsafe {
        match job.subtracts {
            false => {
                tiles::multiply::<Apart<T::Plain, false, false>, Packed<T>, 2, 2, 2>(job, buffer);
            }
            true => tiles::multiply::<Apart<T::Plain, false, true>, Packed<T>, 2, 2, 2>(job, buffer),
        }
    }
}

/// # Safety
/// As for [`multiply_plain`]; the machine has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_256<T: Real>(job: &Job<Complex<T>>, buffer: *mut Complex<T>) {
    // SAFETY: as the caller says.
    unsafe {
        match (job.fused, job.subtracts) {
            (true, _) => tiles::multiply::<Apart<T::Half, true, false>, Packed<T>, 2, 2, 2>(job, buffer),
            (_, false) => tiles::multiply::<Apart<T::Half, false, false>, Packed<T>, 2, 2, 2>(job, buffer),
            (_, true) => tiles::multiply::<Apart<T::Half, false, true>, Packed<T>, 2, 2, 2>(job, buffer),
        }
    }
}

/// # Safety
/// As for [`multiply_plain`]; the machine has AVX2, FMA and AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f")]
unsafe fn multiply_512<T: Real>(job: &Job<Complex<T>>, buffer: *mut Complex<T>) {
    // SAFETY: as the caller says.
    unsafe {
        match (job.fused, job.subtracts) {
            (true, _) => tiles::multiply::<Apart<T::Whole, true, false>, Packed<T>, 6, 2, 2>(job, buffer),
            (_, false) => tiles::multiply::<Apart<T::Whole, false, false>, Packed<T>, 6, 2, 2>(job, buffer),
            (_, true) => tiles::multiply::<Apart<T::Whole, false, true>, Packed<T>, 6, 2, 2>(job, buffer),
        }
    }
}
