//! The discrete Fourier transform, in double precision.

use num_complex::Complex64;

use crate::interp::machine::{Fallible, Machine};
use crate::interp::plan::LibraryPlan;
use crate::linalg;
use crate::scalar::DType;

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
        let spectrum = linalg::fourier(&signal.values, inverse, factor);
        self.scatter(output, wcr, &spectrum, signal.poison)
    }
}
