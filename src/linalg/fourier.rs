//! The discrete Fourier transform, by its definition.

use num_complex::Complex64;

use crate::scalar::{Func, Scalar, arith};

/// `factor * sum x[n] exp(-+ 2 pi i k n / N)`, summed over `n` upwards.
pub(crate) fn fourier(signal: &[Complex64], inverse: bool, factor: Complex64) -> Vec<Complex64> {
    let n = signal.len();
    let roots: Vec<Complex64> = (0..n).map(|step| root(step, n, inverse)).collect();
    let mut spectrum = Vec::with_capacity(n);
    for k in 0..n {
        let mut sum = Complex64::new(0.0, 0.0);
        let mut step = 0;
        for &value in signal {
            sum += roots[step] * value;
            step = (step + k) % n;
        }
        spectrum.push(factor * sum);
    }
    spectrum
}

/// `exp(-+ 2 pi i step / n)`.
fn root(step: usize, n: usize, inverse: bool) -> Complex64 {
    let angle = 2.0 * std::f64::consts::PI * (step as f64) / (n as f64);
    let call = |func: Func| arith::call(func, &[Scalar::F64(angle)]).map_or(0.0, Scalar::as_f64);
    let (cos, sin) = (call(Func::Cos), call(Func::Sin));
    Complex64::new(cos, if inverse { sin } else { -sin })
}
