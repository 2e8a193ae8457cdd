//! Functions of complex numbers, on top of those of real ones: what [`arith::complex`](crate::scalar::arith::complex)
//! defines, operation by operation. Sums, products and quotients are no functions: they are real operations by then.

use crate::kernel::ValueId;
use crate::scalar::{DType, Func};

use super::{Emit, Emitter};

impl Emitter<'_, '_> {
    /// The real or imaginary part of a function.
    pub(super) fn complex(&mut self, func: Func, imaginary: bool, operands: &[ValueId]) -> Emit<String> {
        let ty = self.real(DType::F64);
        let [re, im] = operands else {
            return Err(format!("there is no definition of {func:?} of complex numbers for shaders"));
        };
        let name = match func {
            Func::Exp => self.complex_exp(ty, imaginary)?,
            Func::Sqrt if ty == DType::F64 => self.complex_sqrt(imaginary)?,
            _ => return Err(format!("there is no definition of {func:?} of complex numbers for shaders")),
        };
        Ok(format!("{name}({}, {})", self.typed(*re)?, self.typed(*im)?))
    }

    fn complex_exp(&mut self, ty: DType, imaginary: bool) -> Emit<String> {
        let of = |name: &str| [(ty, name.to_owned())];
        let size = self.math(Func::Exp, &of("x"))?;
        let turn = self.math(if imaginary { Func::Sin } else { Func::Cos }, &of("y"))?;
        let finite = self.math(Func::IsFinite, &of("y"))?;
        let product = self.kept(ty, format!("size * {turn}"))?;
        let (float, zero, infinity, nan) = match ty {
            DType::F64 => {
                ("f64", "0.0lf", "bitcast<f64>(9218868437227405312lu)", "bitcast<f64>(9221120237041090560lu)")
            }
            _ => ("f32", "0.0f", "bitcast<f32>(2139095040u)", "bitcast<f32>(2143289344u)"),
        };
        let (name, real, endless) =
            if imaginary { ("imag_exp", "y", nan) } else { ("real_exp", "size", infinity) };
        let name = format!("{name}_{float}");
        self.helper(&name, || {
            format!(
                "fn {name}(x: {float}, y: {float}) -> {float} {{
    let size = {size};
    if y == {zero} {{
        return {real};
    }}
    if size == {zero} {{
        return {zero};
    }}
    if x == {infinity} && !{finite} {{
        return {endless};
    }}
    return {product};
}}
"
            )
        });
        Ok(name)
    }

    /// Scaled so that the magnitude can neither overflow nor lose bits.
    fn complex_sqrt(&mut self, imaginary: bool) -> Emit<String> {
        let ty = DType::F64;
        let of = |names: &[&str]| -> Vec<(DType, String)> {
            names.iter().map(|&name| (ty, name.to_owned())).collect()
        };
        let endless = |emitter: &mut Self, name: &str| emitter.math(Func::IsInf, &of(&[name]));
        let (x_endless, y_endless) = (endless(self, "x")?, endless(self, "y")?);
        let nan = self.math(Func::IsNan, &of(&["y"]))?;
        let signed = |emitter: &mut Self, of_what: &str| emitter.math(Func::CopySign, &of(&[of_what, "y"]));
        let zero = signed(self, "0.0lf")?;
        let infinity = "bitcast<f64>(9218868437227405312lu)";
        let signed_infinity = signed(self, infinity)?;
        let re = self.kept(ty, "x * scale".to_owned())?;
        let im = self.kept(ty, "y * scale".to_owned())?;
        let length = self.math(Func::Hypot, &of(&["re", "im"]))?;
        let both = self.kept(ty, format!("abs(re) + {length}"))?;
        let half = self.kept(ty, "both * 0.5lf".to_owned())?;
        let size = self.math(Func::Sqrt, &of(&["half"]))?;
        let twice = self.kept(ty, "size * 2.0lf".to_owned())?;
        let other = self.kept(ty, "im / twice".to_owned())?;
        let magnitude = self.math(Func::Abs, &of(&["other"]))?;
        let turned = self.math(Func::CopySign, &[(ty, "size".to_owned()), (ty, "im".to_owned())])?;
        let result = self.kept(ty, "root * back".to_owned())?;
        let (name, at_zero, upright, right, left, ahead, behind) = match imaginary {
            false => (
                "real_sqrt_f64",
                "0.0lf",
                infinity,
                "x".to_owned(),
                format!("select(0.0lf, y, {nan})"),
                "size".to_owned(),
                magnitude,
            ),
            true => (
                "imag_sqrt_f64",
                "y",
                "y",
                format!("select({zero}, y, {nan})"),
                signed_infinity,
                "other".to_owned(),
                turned,
            ),
        };
        self.helper(name, || {
            format!(
                "fn {name}(x: f64, y: f64) -> f64 {{
    if x == 0.0lf && y == 0.0lf {{
        return {at_zero};
    }}
    if {y_endless} {{
        return {upright};
    }}
    if {x_endless} {{
        if x > 0.0lf {{
            return {right};
        }}
        return {left};
    }}
    let huge = abs(x) > 1e300lf || abs(y) > 1e300lf;
    let tiny = !huge && !(abs(x) >= 1e-290lf) && !(abs(y) >= 1e-290lf);
    let scale = select(select(1.0lf, 324518553658426726783156020576256.0lf, tiny), 0.25lf, huge);
    let back = select(select(1.0lf, 5.551115123125783e-17lf, tiny), 2.0lf, huge);
    let re = {re};
    let im = {im};
    let both = {both};
    let half = {half};
    let size = {size};
    let twice = {twice};
    let other = {other};
    if re >= 0.0lf {{
        let root = {ahead};
        return {result};
    }}
    let root = {behind};
    return {result};
}}
"
            )
        });
        Ok(name.to_owned())
    }
}
