//! The discrete Fourier transform, by its definition, in double precision.

use num_complex::Complex64;

use crate::interp::machine::{Fallible, Machine};
use crate::interp::plan::LibraryPlan;
use crate::scalar::{DType, Func, Scalar, arith};

use super::{Factor, Tensor};

impl<'p> Machine<'p, '_> {
    pub(super) fn fourier(
        &mut self,
        library: &'p LibraryPlan,
        inverse: bool,
        factor: &Factor,
    ) -> Fallible<()> {
        let input = self.input_access(library, "_inp")?;
        let (output, wcr) = self.output_access(library, "_out")?;
        let signal: Tensor<Complex64> = self.gather(input, DType::C128)?;
        let factor = self.factor(factor)?.as_complex();
        let n = signal.values.len();
        let roots: Vec<Complex64> = (0..n).map(|step| root(step, n, inverse)).collect();
        let mut spectrum = Vec::with_capacity(n);
        for k in 0..n {
            let mut sum = Complex64::new(0.0, 0.0);
            let mut step = 0;
            for &value in &signal.values {
                sum += roots[step] * value;
                step = (step + k) % n;
            }
            spectrum.push(factor * sum);
        }
        self.scatter(output, wcr, &spectrum, signal.poison)
    }
}

/// `exp(-+ 2 pi i step / n)`.
fn root(step: usize, n: usize, inverse: bool) -> Complex64 {
    let angle = 2.0 * std::f64::consts::PI * (step as f64) / (n as f64);
    let call = |func: Func| arith::call(func, &[Scalar::F64(angle)]).map_or(0.0, Scalar::as_f64);
    let (cos, sin) = (call(Func::Cos), call(Func::Sin));
    Complex64::new(cos, if inverse { sin } else { -sin })
}
