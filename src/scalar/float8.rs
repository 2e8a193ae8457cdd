//! The two 8-bit floats, as bits.
//!
//! Both convert exactly to `f32`. From `f32` they round to nearest, ties to even; what is too large becomes
//! NaN in `e4m3fn` (which has no infinity) and infinity in `e5m2`, as NumPy's `ml_dtypes` has it.

/// Layout of an 8-bit float: one sign bit, then the exponent, then the mantissa.
#[derive(Clone, Copy)]
struct Layout {
    mantissa_bits: u32,
    bias: i32,
    /// Largest finite magnitude, as bits.
    largest: u8,
    /// What larger magnitudes become.
    overflow: u8,
    nan: u8,
}

const E4M3: Layout = Layout { mantissa_bits: 3, bias: 7, largest: 0x7e, overflow: 0x7f, nan: 0x7f };
const E5M2: Layout = Layout { mantissa_bits: 2, bias: 15, largest: 0x7b, overflow: 0x7c, nan: 0x7e };

/// The value of a `float8_e4m3fn`.
pub fn e4m3_to_f32(bits: u8) -> f32 {
    if bits & 0x7f == 0x7f {
        return f32::NAN.copysign(if bits & 0x80 == 0 { 1.0 } else { -1.0 });
    }
    widen(E4M3, bits)
}

/// The value of a `float8_e5m2`.
pub fn e5m2_to_f32(bits: u8) -> f32 {
    let sign = if bits & 0x80 == 0 { 1.0 } else { -1.0 };
    match bits & 0x7f {
        0x7c => f32::INFINITY * sign,
        0x7d..=0x7f => f32::NAN.copysign(sign),
        _ => widen(E5M2, bits),
    }
}

/// The nearest `float8_e4m3fn`.
pub fn f32_to_e4m3(value: f32) -> u8 {
    narrow(E4M3, value)
}

/// The nearest `float8_e5m2`.
pub fn f32_to_e5m2(value: f32) -> u8 {
    narrow(E5M2, value)
}

fn widen(layout: Layout, bits: u8) -> f32 {
    let mantissa = i32::from(bits) & ((1 << layout.mantissa_bits) - 1);
    let exponent = i32::from(bits & 0x7f) >> layout.mantissa_bits;
    let shift = layout.bias + layout.mantissa_bits as i32;
    let (significand, power) = match exponent {
        0 => (mantissa, 1 - shift),
        _ => (mantissa | 1 << layout.mantissa_bits, exponent - shift),
    };
    // Both factors are exact, and so is the product: at most four significant bits.
    let magnitude = significand as f32 * f32::from_bits(((power + 127) as u32) << 23);
    if bits & 0x80 == 0 { magnitude } else { -magnitude }
}

fn narrow(layout: Layout, value: f32) -> u8 {
    let sign = if value.is_sign_negative() { 0x80 } else { 0 };
    if value.is_nan() {
        return sign | layout.nan;
    }
    let magnitude = value.abs();
    // Steps of the target around `magnitude` are `2^power` wide; below the smallest normal they stay equal.
    let exponent = ((magnitude.to_bits() >> 23) as i32 - 127).max(1 - layout.bias);
    let power = exponent - layout.mantissa_bits as i32;
    if exponent > layout.bias + 8 {
        return sign | layout.overflow;
    }
    let steps = (magnitude * f32::from_bits(((127 - power) as u32) << 23)).round_ties_even() as u32;
    // Steps that carry into the next binade add one to the exponent by themselves.
    let biased = (exponent + layout.bias - 1) as u32;
    let bits = (biased << layout.mantissa_bits) + steps;
    if bits > u32::from(layout.largest) { sign | layout.overflow } else { sign | bits as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives_the_way_through_f32() {
        for bits in 0..=255_u8 {
            for (there, back) in
                [(e4m3_to_f32 as fn(u8) -> f32, f32_to_e4m3 as fn(f32) -> u8), (e5m2_to_f32, f32_to_e5m2)]
            {
                let value = there(bits);
                if value.is_nan() {
                    assert!(there(back(value)).is_nan(), "{bits:#x}");
                } else {
                    assert_eq!(back(value), bits, "{bits:#x} is {value}");
                }
            }
        }
    }

    #[test]
    fn known_values() {
        assert_eq!(e4m3_to_f32(0x7e), 448.0);
        assert_eq!(e4m3_to_f32(0x01), 2.0_f32.powi(-9));
        assert_eq!(e4m3_to_f32(0x38), 1.0);
        assert_eq!(e5m2_to_f32(0x7b), 57344.0);
        assert_eq!(e5m2_to_f32(0x01), 2.0_f32.powi(-16));
        assert_eq!(e5m2_to_f32(0xbc), -1.0);
        assert_eq!(e5m2_to_f32(0xfc), f32::NEG_INFINITY);
    }

    #[test]
    fn overflow_is_nan_or_infinity() {
        // 464 is halfway between 448 and what would be 480; 448 is the even one.
        assert_eq!(f32_to_e4m3(463.9), 0x7e);
        assert_eq!(f32_to_e4m3(464.0), 0x7e);
        assert_eq!(f32_to_e4m3(464.1), 0x7f);
        assert_eq!(f32_to_e4m3(f32::NEG_INFINITY), 0xff);
        assert_eq!(f32_to_e5m2(61439.0), 0x7b);
        assert_eq!(f32_to_e5m2(61440.0), 0x7c);
        assert_eq!(f32_to_e5m2(f32::MAX), 0x7c);
    }

    #[test]
    fn rounding_is_to_nearest_even() {
        let finite: Vec<(u8, f32)> = (0..0x7f).map(|bits| (bits, e4m3_to_f32(bits))).collect();
        for pair in finite.windows(2) {
            let middle = (pair[0].1 + pair[1].1) / 2.0;
            let even = if pair[0].0 % 2 == 0 { pair[0].0 } else { pair[1].0 };
            assert_eq!(f32_to_e4m3(middle), even, "between {} and {}", pair[0].1, pair[1].1);
            assert_eq!(f32_to_e4m3(middle.next_down()), pair[0].0);
            assert_eq!(f32_to_e4m3(middle.next_up()), pair[1].0);
        }
    }
}
