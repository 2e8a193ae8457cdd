//! Functions that shaders bring along, each written once and added where it is used.

use crate::scalar::{BinaryOp, DType};

use super::Emitter;
use super::value::wgsl_type;

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
            BinaryOp::FloorDiv => {
                let name = format!("floor_quotient_{wgsl}");
                self.helper(&name, || {
                    format!(
                        "fn {name}(a: {wgsl}, b: {wgsl}) -> {wgsl} {{\n    let rest = {remainder}(a, b);\n    \
                         let down = rest != {zero} && ((rest < {zero}) != (b < {zero}));\n    \
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
                         let down = rest != {zero} && ((rest < {zero}) != (b < {zero}));\n    \
                         return rest + select({zero}, b, down);\n}}\n"
                    )
                });
                name
            }
        }
    }

    /// Conversion of a float to an integer: truncates, saturates, and takes NaN to zero.
    pub(super) fn saturating(&mut self, from: DType, to: DType) -> String {
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
        self.helper(&name, || {
            format!(
                "fn {name}(x: {float}) -> {int} {{\n    if x >= {above} {{\n        return {};\n    }}\n    if x <= {below} {{\n        \
                 return {};\n    }}\n    if x > {below} {{\n        return {int}(x);\n    }}\n    return {zero};\n}}\n",
                literal(high),
                literal(low),
            )
        });
        name
    }
}
