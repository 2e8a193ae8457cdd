//! Floats of 16 bits: they are held as `f32`, which has all of their values, and rounded after each operation, as the
//! interpreter does. Their encodings are taken apart and put together bit by bit.

use crate::scalar::{DType, Func};

use super::{Emit, Emitter};

/// Whether values of a type are held as `f32` and have fewer bits.
pub(super) const fn is_small(ty: DType) -> bool {
    matches!(ty, DType::F16 | DType::BF16)
}

impl Emitter<'_, '_> {
    /// The value of an encoding in the lowest 16 bits.
    pub(super) fn widened(&mut self, ty: DType, bits: &str) -> String {
        if ty == DType::BF16 {
            return format!("bitcast<f32>({bits} << 16u)");
        }
        self.helper("widen_f16", || WIDEN_F16.to_owned());
        format!("widen_f16({bits})")
    }

    /// The encoding of a value, rounded to nearest and even.
    pub(super) fn encoded(&mut self, ty: DType, value: &str) -> String {
        match ty {
            DType::BF16 => {
                self.helper("narrow_bf16", || NARROW_BF16.to_owned());
                format!("narrow_bf16({value})")
            }
            _ => {
                self.helper("narrow_f16", || NARROW_F16.to_owned());
                format!("narrow_f16({value})")
            }
        }
    }

    /// A `float32` rounded to one of fewer bits.
    pub(super) fn rounded(&mut self, ty: DType, value: &str) -> String {
        let bits = self.encoded(ty, value);
        self.widened(ty, &bits)
    }

    /// A function of such operands: that of `float32`, rounded once more.
    pub(super) fn small_function(
        &mut self,
        func: Func,
        ty: DType,
        operands: &[(DType, String)],
    ) -> Emit<String> {
        if func == Func::PowI {
            return Err(format!("there is no definition of integer powers of {ty} for shaders"));
        }
        let single =
            |(from, text): &(DType, String)| (if is_small(*from) { DType::F32 } else { *from }, text.clone());
        let operands: Vec<_> = operands.iter().map(single).collect();
        let text = self.math(func, &operands)?;
        Ok(match func {
            Func::IsNan | Func::IsInf | Func::IsFinite | Func::SignBit => text,
            _ => self.rounded(ty, &text),
        })
    }
}

const WIDEN_F16: &str = "fn widen_f16(bits: u32) -> f32 {
    let sign = (bits & 32768u) << 16u;
    let exponent = (bits >> 10u) & 31u;
    let fraction = bits & 1023u;
    if exponent == 31u {
        return bitcast<f32>(sign | 2139095040u | (fraction << 13u));
    }
    if exponent > 0u {
        return bitcast<f32>(sign | ((exponent + 112u) << 23u) | (fraction << 13u));
    }
    if fraction == 0u {
        return bitcast<f32>(sign);
    }
    let top = firstLeadingBit(fraction);
    return bitcast<f32>(sign | ((top + 103u) << 23u) | ((fraction << (23u - top)) & 8388607u));
}
";

const NARROW_F16: &str = "fn narrow_f16(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let sign = (bits >> 16u) & 32768u;
    let magnitude = bits & 2147483647u;
    if magnitude > 2139095040u {
        return sign | 32256u | ((magnitude >> 13u) & 1023u);
    }
    // From 65520 on, numbers round to infinity.
    if magnitude >= 1199566848u {
        return sign | 31744u;
    }
    if magnitude >= 947912704u {
        let rounded = magnitude - 939524096u + 4095u + ((magnitude >> 13u) & 1u);
        return sign | (rounded >> 13u);
    }
    if magnitude < 855638016u {
        return sign;
    }
    let fraction = (magnitude & 8388607u) | 8388608u;
    let shift = 126u - (magnitude >> 23u);
    let kept = fraction >> shift;
    let rest = fraction - (kept << shift);
    let half = 1u << (shift - 1u);
    let up = select(0u, 1u, rest > half || (rest == half && (kept & 1u) == 1u));
    return sign | (kept + up);
}
";

const NARROW_BF16: &str = "fn narrow_bf16(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    if (bits & 2147483647u) > 2139095040u {
        return (bits >> 16u) | 64u;
    }
    return (bits + 32767u + ((bits >> 16u) & 1u)) >> 16u;
}
";
