//! Products of real numbers: tiles or the crates of `gemm` for matrices, and code of its own for a matrix times a vector.

use super::lanes::Real;
use super::{Job, Product, Registers, fast, tiles, vector, with_buffer};

/// Whether it is a matrix times a vector.
fn is_vector<T>(job: &Job<T>) -> bool {
    job.n == 1 && !job.subtracts
}

macro_rules! product {
    ($($ty:ty),*) => {
        $(impl Product for $ty {
            const VECTORS: bool = true;

            fn is_blocked(job: &Job<$ty>) -> bool {
                let tiles = tiles::may_be_thin(job) || !fast::takes(job);
                job.n > 1 && job.m > 1 && tiles && tiles::is_blocked(job)
            }

            unsafe fn multiply(job: &Job<$ty>) -> Option<()> {
                // SAFETY: as the caller says.
                unsafe { multiply(job) }
            }
        })*
    };
}

product!(f64, f32);

/// # Safety
/// As for [`Product::multiply`].
unsafe fn multiply<T: Real>(job: &Job<T>) -> Option<()> {
    let vector = is_vector(job);
    if !vector && fast::takes(job) {
        // SAFETY: as the caller says.
        unsafe { fast::multiply(job) };
        return Some(());
    }
    let numbers = if vector { job.k } else { tiles::packed::<T>(job.m, job.n, job.k) };
    with_buffer(numbers, |buffer: *mut T| {
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

/// # Safety
/// The job's matrices are as it says, nobody else touches its results, and the buffer is large enough.
unsafe fn multiply_plain<T: Real>(job: &Job<T>, buffer: *mut T) {
    /// Where every machine of that kind has fused operations.
    const FUSED: bool = cfg!(target_arch = "aarch64");
    // SAFETY: as the caller says; plain registers are everywhere.
    unsafe {
        match (is_vector(job), FUSED && job.fused) {
            (true, false) => vector::multiply::<T::Plain, T::Plain, false>(job, buffer),
            (true, true) => vector::multiply::<T::Plain, T::Plain, FUSED>(job, buffer),
            _ => tiles::multiply::<T::Plain, T::Plain, 6, 4, 2>(job, buffer),
        }
    }
}

/// # Safety
/// As for [`multiply_plain`]; the machine has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_256<T: Real>(job: &Job<T>, buffer: *mut T) {
    // SAFETY: as the caller says.
    unsafe {
        match (is_vector(job), job.fused) {
            (true, false) => vector::multiply::<T::Half, T::Half, false>(job, buffer),
            (true, true) => vector::multiply::<T::Half, T::Half, true>(job, buffer),
            _ => tiles::multiply::<T::Half, T::Half, 6, 4, 2>(job, buffer),
        }
    }
}

/// # Safety
/// As for [`multiply_plain`]; the machine has AVX2, FMA and AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f")]
unsafe fn multiply_512<T: Real>(job: &Job<T>, buffer: *mut T) {
    // SAFETY: as the caller says.
    unsafe {
        match (is_vector(job), job.fused) {
            (true, false) => vector::multiply::<T::Whole, T::Half, false>(job, buffer),
            (true, true) => vector::multiply::<T::Whole, T::Half, true>(job, buffer),
            _ => tiles::multiply::<T::Whole, T::Half, 12, 8, 4>(job, buffer),
        }
    }
}
