//! Functions that shaders bring along, each written once and added where it is used.

use crate::scalar::{BinaryOp, DType};

use super::value::wgsl_type;
use super::{Emit, Emitter};

const fn suffix(ty: DType) -> &'static str {
    match ty {
        DType::I64 => "li",
        DType::U64 => "lu",
        DType::U8 | DType::U16 | DType::U32 => "u",
        _ => "i",
    }
}

impl Emitter<'_, '_> {
    /// Adds a function under its name.
    pub(super) fn helper(&mut self, name: &str, text: impl FnOnce() -> String) {
        if !self.helpers.contains_key(name) {
            self.helpers.insert(name.to_owned(), text());
        }
    }

    /// A division that is defined for every divisor: by zero it gives zero, and the smallest number by -1 wraps.
    pub(super) fn division(&mut self, op: BinaryOp, ty: DType) -> String {
        let wgsl = wgsl_type(ty);
        let (zero, one) = (format!("0{}", suffix(ty)), format!("1{}", suffix(ty)));
        let (quotient, remainder) = (format!("quotient_{wgsl}"), format!("remainder_{wgsl}"));
        if ty.is_unsigned() {
            self.helper(&quotient, || {
                format!(
                    "fn {quotient}(a: {wgsl}, b: {wgsl}) -> {wgsl} {{\n    if b == {zero} {{\n        return {zero};\n    }}\n    \
                     return a / b;\n}}\n"
                )
            });
            self.helper(&remainder, || {
                format!(
                    "fn {remainder}(a: {wgsl}, b: {wgsl}) -> {wgsl} {{\n    if b == {zero} {{\n        return {zero};\n    }}\n    \
                     return a % b;\n}}\n"
                )
            });
            return if matches!(op, BinaryOp::Div | BinaryOp::FloorDiv) { quotient } else { remainder };
        }
        self.helper(&quotient, || {
            format!(
                "fn {quotient}(a: {wgsl}, b: {wgsl}) -> {wgsl} {{\n    if b == {zero} {{\n        return {zero};\n    }}\n    \
                 if b == -{one} {{\n        return {zero} - a;\n    }}\n    return a / b;\n}}\n"
            )
        });
        self.helper(&remainder, || {
            format!(
                "fn {remainder}(a: {wgsl}, b: {wgsl}) -> {wgsl} {{\n    if b == {zero} || b == -{one} {{\n        \
                 return {zero};\n    }}\n    return a - (a / b) * b;\n}}\n"
            )
        });
        match op {
            BinaryOp::Div => quotient,
            BinaryOp::Rem => remainder,
            // Whether signs differ is asked of their exclusive or: two comparisons with zero, the one of a number that was
            // widened, are folded into something else by Mesa 22.3 (lavapipe).
            BinaryOp::FloorDiv => {
                let name = format!("floor_quotient_{wgsl}");
                self.helper(&name, || {
                    format!(
                        "fn {name}(a: {wgsl}, b: {wgsl}) -> {wgsl} {{\n    let rest = {remainder}(a, b);\n    \
                         let down = rest != {zero} && (rest ^ b) < {zero};\n    \
                         return {quotient}(a, b) - select({zero}, {one}, down);\n}}\n"
                    )
                });
                name
            }
            _ => {
                let name = format!("floor_remainder_{wgsl}");
                self.helper(&name, || {
                    format!(
                        "fn {name}(a: {wgsl}, b: {wgsl}) -> {wgsl} {{\n    let rest = {remainder}(a, b);\n    \
                         let down = rest != {zero} && (rest ^ b) < {zero};\n    \
                         return rest + select({zero}, b, down);\n}}\n"
                    )
                });
                name
            }
        }
    }

    /// By how many bits a number of that type is shifted. The translator casts no constants of 64 bits, but what a function is given.
    pub(super) fn shift_count(&mut self, ty: DType, count: &str) -> String {
        let most = 8 * ty.bytes() - 1;
        if !matches!(ty, DType::I64 | DType::U64) {
            return format!("(u32({count}) & {most}u)");
        }
        let wgsl = wgsl_type(ty);
        let name = format!("shift_{wgsl}");
        self.helper(&name, || {
            format!("fn {name}(count: {wgsl}) -> u32 {{\n    return u32(count) & {most}u;\n}}\n")
        });
        format!("{name}({count})")
    }

    /// The magnitude of an `int64`; the smallest one is its own. Mesa 22.3 (lavapipe) makes nothing of a choice between a number that
    /// was widened and its negation.
    pub(super) fn magnitude(&mut self) -> &'static str {
        self.helper("magnitude_i64", || {
            "fn magnitude_i64(x: i64) -> i64 {\n    let sign = x >> 63u;\n    return (x ^ sign) - sign;\n}\n"
                .to_owned()
        });
        "magnitude_i64"
    }

    /// Conversion of a float to an integer: truncates, saturates, and takes NaN to zero.
    ///
    /// In range, the `driver` converts, or else the bits of the number tell.
    pub(super) fn saturating(&mut self, from: DType, to: DType, driver: bool) -> String {
        let (float, int) = (wgsl_type(from), wgsl_type(to));
        let (low, high): (i128, i128) = match to {
            DType::I8 => (i8::MIN.into(), i8::MAX.into()),
            DType::I16 => (i16::MIN.into(), i16::MAX.into()),
            DType::I32 => (i32::MIN.into(), i32::MAX.into()),
            DType::I64 => (i64::MIN.into(), i64::MAX.into()),
            DType::U8 => (0, u8::MAX.into()),
            DType::U16 => (0, u16::MAX.into()),
            DType::U32 => (0, u32::MAX.into()),
            _ => (0, u64::MAX.into()),
        };
        let name = format!("{}_from_{}", to.name(), from.name());
        let literal = |number: i128| match (to, number) {
            (DType::I64, _) => super::value::long_literal(number as i64),
            (DType::U64, _) => format!("{number}lu"),
            (DType::U8 | DType::U16 | DType::U32, _) => format!("{number}u"),
            _ => super::value::int_literal(number as i64),
        };
        // Both are powers of two or small, hence exact: the first numbers that are too far out.
        let bound = |number: i128| match from {
            DType::F64 => format!("{:?}lf", number as f64),
            _ => format!("{:?}f", number as f32),
        };
        let (above, below) = (bound(high + 1), bound(low));
        let zero = literal(0);
        let inside = match driver {
            true => format!("{int}(x)"),
            false => self.truncated(from, to),
        };
        self.helper(&name, || {
            format!(
                "fn {name}(x: {float}) -> {int} {{\n    if x >= {above} {{\n        return {};\n    }}\n    if x <= {below} {{\n        \
                 return {};\n    }}\n    if x > {below} {{\n        return {inside};\n    }}\n    return {zero};\n}}\n",
                literal(high),
                literal(low),
            )
        });
        name
    }

    /// `x` without its fraction as an integer, from its bits; its magnitude is less than the type can hold, or 2^64.
    fn truncated(&mut self, from: DType, to: DType) -> String {
        let int = wgsl_type(to);
        let (whole, zero) = match from {
            DType::F64 => {
                self.helper("whole_part", || {
                    "fn whole_part(x: f64) -> u64 {
    let bits = bitcast<u64>(x);
    let exponent = u32((bits >> 52u) & 2047lu);
    let fraction = (bits & 4503599627370495lu) | 4503599627370496lu;
    if exponent < 1023u {
        return 0lu;
    }
    if exponent < 1075u {
        return fraction >> (1075u - exponent);
    }
    return fraction << min(exponent - 1075u, 11u);
}
"
                    .to_owned()
                });
                ("whole_part", "0.0lf")
            }
            _ => {
                let (name, held, most) = match to.bytes() {
                    8 => ("whole_part_u64", "u64", 40),
                    _ => ("whole_part_u32", "u32", 8),
                };
                self.helper(name, || {
                    format!(
                        "fn {name}(x: f32) -> {held} {{
    let bits = bitcast<u32>(x);
    let exponent = (bits >> 23u) & 255u;
    let fraction = {held}((bits & 8388607u) | 8388608u);
    if exponent < 127u {{
        return {held}(0u);
    }}
    if exponent < 150u {{
        return fraction >> (150u - exponent);
    }}
    return fraction << min(exponent - 150u, {most}u);
}}
"
                    )
                });
                (name, "0.0f")
            }
        };
        if to.is_unsigned() {
            return format!("{int}({whole}(x))");
        }
        let wide = if from == DType::F64 { "i64" } else { int };
        let none = if wide == "i64" { "0li" } else { "0i" };
        let magnitude = format!("{wide}({whole}(x))");
        let text = format!("select({magnitude}, {none} - {magnitude}, x < {zero})");
        if wide == int { text } else { format!("{int}({text})") }
    }

    /// Conversion of an integer to `float64`, rounded once, without the driver's.
    pub(super) fn double_of(&mut self, from: DType) -> Emit<String> {
        let low = "bitcast<f64>(u64(x) | 4841369599423283200lu) - 4503599627370496.0lf";
        let low = self.kept(DType::F64, low.to_owned())?;
        let signed =
            "bitcast<f64>(u64(bitcast<u32>(x) ^ 2147483648u) | 4841369599423283200lu) - 4503601774854144.0lf";
        let signed = self.kept(DType::F64, signed.to_owned())?;
        // Small integers are put in the fraction of a number that is large enough to hold them whole.
        self.helper("f64_of_u32", || format!("fn f64_of_u32(x: u32) -> f64 {{\n    return {low};\n}}\n"));
        self.helper("f64_of_i32", || format!("fn f64_of_i32(x: i32) -> f64 {{\n    return {signed};\n}}\n"));
        let held = wgsl_type(from);
        if matches!(held, "i64" | "u64") {
            let high = if held == "i64" { "i32" } else { "u32" };
            self.helper(&format!("f64_of_{held}"), || {
                format!(
                    "fn f64_of_{held}(x: {held}) -> f64 {{
    let high = f64_of_{high}({high}(x >> 32u)) * 4294967296.0lf;
    return high + f64_of_u32(u32(u64(x) & 4294967295lu));
}}
"
                )
            });
        }
        Ok(format!("f64_of_{held}"))
    }

    /// Conversion of an integer to `float32`, rounded to nearest and even, from its bits.
    pub(super) fn single_of(&mut self, from: DType) -> String {
        self.helper("f32_of_u32", || {
            "fn f32_of_u32(x: u32) -> f32 {
    if x == 0u {
        return 0.0f;
    }
    let top = firstLeadingBit(x);
    let exponent = (top + 126u) << 23u;
    if top <= 23u {
        return bitcast<f32>(exponent + (x << (23u - top)));
    }
    let shift = top - 23u;
    let kept = x >> shift;
    let rest = x - (kept << shift);
    let half = 1u << (shift - 1u);
    let up = select(0u, 1u, rest > half || (rest == half && (kept & 1u) == 1u));
    return bitcast<f32>(exponent + kept + up);
}
"
            .to_owned()
        });
        let held = wgsl_type(from);
        let name = format!("f32_of_{held}");
        if matches!(held, "i64" | "u64") {
            self.helper("f32_of_u64", || {
                "fn f32_of_u64(x: u64) -> f32 {
    let high = u32(x >> 32u);
    if high == 0u {
        return f32_of_u32(u32(x));
    }
    let top = firstLeadingBit(high) + 32u;
    let shift = top - 23u;
    let kept = x >> shift;
    let rest = x - (kept << shift);
    let half = 1lu << (shift - 1u);
    let up = select(0u, 1u, rest > half || (rest == half && (kept & 1lu) == 1lu));
    return bitcast<f32>(((top + 126u) << 23u) + u32(kept) + up);
}
"
                .to_owned()
            });
        }
        let (unsigned, magnitude) = match held {
            "i32" => ("u32", "select(bitcast<u32>(x), 0u - bitcast<u32>(x), x < 0i)"),
            "i64" => ("u64", "u64(magnitude_i64(x))"),
            _ => return name,
        };
        if held == "i64" {
            self.magnitude();
        }
        self.helper(&name, || {
            format!(
                "fn {name}(x: {held}) -> f32 {{
    let magnitude = f32_of_{unsigned}({magnitude});
    return select(magnitude, -magnitude, x < {held}(0));
}}
"
            )
        });
        name
    }
}
