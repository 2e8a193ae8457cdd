//! Functions whose results are exact and that drivers lack or get wrong: remainders, rounding to whole numbers, the smaller
//! and the larger number. They are written out on bit patterns.

use crate::scalar::{BinaryOp, DType, Func};

use super::{Emit, Emitter, Operation};

/// The layout of a float, as the shader writes it.
struct Layout {
    float: &'static str,
    bits: &'static str,
    /// Suffixes of literals.
    f: &'static str,
    u: &'static str,
    fraction: u32,
    sign: &'static str,
    infinity: &'static str,
    nan: &'static str,
}

const DOUBLE: Layout = Layout {
    float: "f64",
    bits: "u64",
    f: "lf",
    u: "lu",
    fraction: 52,
    sign: "9223372036854775808lu",
    infinity: "9218868437227405312lu",
    nan: "9221120237041090560lu",
};

const SINGLE: Layout = Layout {
    float: "f32",
    bits: "u32",
    f: "f",
    u: "u",
    fraction: 23,
    sign: "2147483648u",
    infinity: "2139095040u",
    nan: "2143289344u",
};

/// Which whole number a float becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whole {
    Below,
    Above,
    /// The one nearer to zero.
    Nearer,
    /// The nearest one, of two the even one.
    Nearest,
}

impl Emitter<'_, '_> {
    /// The layout of a type, if its bits may be looked at.
    fn layout(&self, ty: DType) -> Emit<&'static Layout> {
        if ty == DType::F32 {
            return Ok(&SINGLE);
        }
        self.element(DType::F64)?;
        self.element(DType::I64)?;
        self.trust(Operation::Bits)?;
        Ok(&DOUBLE)
    }

    /// The remainder of floats: C's, or Python's, which has the divisor's sign.
    pub(super) fn float_remainder(&mut self, op: BinaryOp, ty: DType, a: &str, b: &str) -> Emit<String> {
        let layout = self.layout(ty)?;
        let float = layout.float;
        let name = format!("fmod_{float}");
        self.helper(&name, || fmod(layout));
        if op == BinaryOp::Rem {
            return Ok(format!("{name}({a}, {b})"));
        }
        let mod_name = format!("floor_mod_{float}");
        let Layout { bits, f, sign, .. } = layout;
        self.helper(&mod_name, || {
            format!(
                "fn {mod_name}(a: {float}, b: {float}) -> {float} {{
    let rest = {name}(a, b);
    if rest == 0.0{f} {{
        return bitcast<{float}>(bitcast<{bits}>(b) & {sign});
    }}
    if (rest < 0.0{f}) == (b < 0.0{f}) {{
        return rest;
    }}
    return rest + b;
}}
"
            )
        });
        Ok(format!("{mod_name}({a}, {b})"))
    }

    /// A function that is exact, if `func` is one of them.
    pub(super) fn exact(
        &mut self,
        func: Func,
        ty: DType,
        operands: &[(DType, String)],
    ) -> Option<Emit<String>> {
        let texts: Vec<&str> = operands.iter().map(|(_, text)| text.as_str()).collect();
        match (func, &texts[..]) {
            (Func::Fmod, [a, b]) => Some(self.float_remainder(BinaryOp::Rem, ty, a, b)),
            (Func::Round, [x]) => Some(self.round_away(ty, x)),
            (Func::SignBit, [x]) => Some(
                self.layout(ty)
                    .map(|Layout { bits, u, sign, .. }| format!("((bitcast<{bits}>({x}) & {sign}) != 0{u})")),
            ),
            (Func::Fmin | Func::Fmax, [a, b]) => Some(self.nearer_end(func, ty, a, b)),
            _ => None,
        }
    }

    /// The function that rounds a float to a whole number: the driver's, or one of ours where that is wrong.
    pub(super) fn rounding(&mut self, ty: DType, to: Whole) -> Emit<String> {
        let by_driver = match to {
            Whole::Below => "floor",
            Whole::Above => "ceil",
            Whole::Nearer => "trunc",
            Whole::Nearest => "round",
        };
        let round = if ty == DType::F64 { Operation::DoubleRound } else { Operation::SingleRound };
        if self.abilities.is_right(round) {
            return Ok(by_driver.to_owned());
        }
        let layout = self.layout(ty)?;
        let Layout { float, f, .. } = layout;
        let trunc = format!("whole_trunc_{float}");
        self.helper(&trunc, || truncation(layout, &trunc));
        let further = match to {
            Whole::Nearer => return Ok(trunc),
            Whole::Below => "x < whole".to_owned(),
            Whole::Above => "x > whole".to_owned(),
            Whole::Nearest => format!(
                "abs(x - whole) > 0.5{f} || (abs(x - whole) == 0.5{f} && {trunc}(whole * 0.5{f}) != whole * 0.5{f})"
            ),
        };
        let name = format!("whole_{by_driver}_{float}");
        self.helper(&name, || one_further(layout, &name, &trunc, &further));
        Ok(name)
    }

    /// Half away from zero.
    fn round_away(&mut self, ty: DType, x: &str) -> Emit<String> {
        let layout = self.layout(ty)?;
        let trunc = self.rounding(ty, Whole::Nearer)?;
        let Layout { float, f, infinity, .. } = layout;
        let name = format!("round_away_{float}");
        let distance = self.kept(ty, "x - whole".to_owned())?;
        let further = format!("!(abs({distance}) < 0.5{f}) && abs(x) < bitcast<{float}>({infinity})");
        self.helper(&name, || one_further(layout, &name, &trunc, &further));
        Ok(format!("{name}({x})"))
    }

    /// The smaller or larger of two numbers; a NaN is no number, and -0 is less than 0.
    fn nearer_end(&mut self, func: Func, ty: DType, a: &str, b: &str) -> Emit<String> {
        let Layout { float, bits, u, sign, infinity, .. } = self.layout(ty)?;
        let (name, compare, zero) =
            if func == Func::Fmin { ("fmin", "<", "!=") } else { ("fmax", ">", "==") };
        let name = format!("{name}_{float}");
        self.helper(&name, || {
            format!(
                "fn {name}(a: {float}, b: {float}) -> {float} {{
    let x = bitcast<{bits}>(a);
    let y = bitcast<{bits}>(b);
    if (x & ~{sign}) > {infinity} {{
        return b;
    }}
    if (y & ~{sign}) > {infinity} || a {compare} b || (a == b && (x & {sign}) {zero} 0{u}) {{
        return a;
    }}
    return b;
}}
"
            )
        });
        Ok(format!("{name}({a}, {b})"))
    }
}

/// Clears the bits of the fraction.
fn truncation(layout: &Layout, name: &str) -> String {
    let Layout { float, bits, u, fraction, sign, .. } = layout;
    let (exponents, bias) = if *fraction == 52 { (2047, 1023) } else { (255, 127) };
    format!(
        "fn {name}(x: {float}) -> {float} {{
    let pattern = bitcast<{bits}>(x);
    let exponent = i32(u32(pattern >> {fraction}u) & {exponents}u) - {bias}i;
    if exponent < 0i {{
        return bitcast<{float}>(pattern & {sign});
    }}
    if exponent >= {fraction}i {{
        return x;
    }}
    return bitcast<{float}>(pattern & ~((1{u} << u32({fraction}i - exponent)) - 1{u}));
}}
"
    )
}

/// What truncation leaves, or one further from zero where a condition holds; that step is exact, and so is the distance from `x`.
fn one_further(layout: &Layout, name: &str, trunc: &str, condition: &str) -> String {
    let Layout { float, bits, f, sign, .. } = layout;
    format!(
        "fn {name}(x: {float}) -> {float} {{
    let whole = {trunc}(x);
    if {condition} {{
        return whole + bitcast<{float}>((bitcast<{bits}>(x) & {sign}) | bitcast<{bits}>(1.0{f}));
    }}
    return whole;
}}
"
    )
}

/// C's `fmod`, one bit of the quotient after the other; exact.
fn fmod(layout: &Layout) -> String {
    let Layout { float, bits, u, fraction, sign, infinity, nan, .. } = layout;
    let one = format!("(1{u} << {fraction}u)");
    format!(
        "fn fmod_{float}(a: {float}, b: {float}) -> {float} {{
    let sign = bitcast<{bits}>(a) & {sign};
    var x = bitcast<{bits}>(a) & ~{sign};
    var y = bitcast<{bits}>(b) & ~{sign};
    if y == 0{u} || y > {infinity} || x >= {infinity} {{
        return bitcast<{float}>({nan});
    }}
    if x < y {{
        return a;
    }}
    var exponent = i32(x >> {fraction}u);
    var last = i32(y >> {fraction}u);
    if exponent == 0i {{
        exponent = 1i;
    }} else {{
        x = (x & ({one} - 1{u})) | {one};
    }}
    if last == 0i {{
        last = 1i;
    }} else {{
        y = (y & ({one} - 1{u})) | {one};
    }}
    // Both with their highest bit in the same place, also what is subnormal.
    while (x & {one}) == 0{u} {{
        x = x << 1u;
        exponent = exponent - 1i;
    }}
    while (y & {one}) == 0{u} {{
        y = y << 1u;
        last = last - 1i;
    }}
    loop {{
        if x >= y {{
            x = x - y;
        }}
        if exponent <= last || x == 0{u} {{
            break;
        }}
        x = x << 1u;
        exponent = exponent - 1i;
    }}
    if x == 0{u} {{
        return bitcast<{float}>(sign);
    }}
    while (x & {one}) == 0{u} {{
        x = x << 1u;
        exponent = exponent - 1i;
    }}
    if exponent <= 0i {{
        return bitcast<{float}>((x >> u32(1i - exponent)) | sign);
    }}
    return bitcast<{float}>(((x - {one}) | ({bits}(exponent) << {fraction}u)) | sign);
}}
"
    )
}
