//! Math functions: single instructions, and the recipes of [`scalar::math`](crate::scalar::math::recipe).

use iced_x86::Code;

use crate::kernel::vector::Reason;
use crate::scalar::math::recipe::{Step, recipe};
use crate::scalar::{DType, Func};

use super::code::{Reg, View, change, take};
use super::lanes::sized;
use super::select::Select;

const SIGN: u64 = 1 << 63;
const SIGNS: u64 = 0x8000_0000_8000_0000;

impl Select<'_> {
    pub fn lane_math(&mut self, func: Func, types: &[DType], operands: &[Reg]) -> Result<Reg, Reason> {
        let (Some(&ty), Some(&x)) = (types.first(), operands.first()) else {
            return Err(format!("{func:?} of nothing"));
        };
        if types.iter().any(|&other| other != ty) || !matches!(ty, DType::F64 | DType::F32) {
            return Err(format!("{func:?} of {ty} in a vector"));
        }
        if let Some(result) = self.direct_math(func, ty, x, operands)? {
            return Ok(result);
        }
        if self.settings.fast && func == Func::Exp {
            let wide = self.lane_cast(ty, DType::F64, x)?;
            let result = self.fast_exp(wide);
            return self.lane_cast(DType::F64, ty, result);
        }
        let Some(recipe) = recipe(func) else { return Err(format!("{func:?} has no vector form")) };
        if recipe.holds.is_some() {
            return Err(format!("{func:?} has no vector form for large arguments"));
        }
        // Defined in float64; narrower types round the result once.
        let mut wide = Vec::with_capacity(operands.len());
        for &operand in operands {
            wide.push(self.lane_cast(ty, DType::F64, operand)?);
        }
        let mut values: Vec<Reg> = Vec::with_capacity(recipe.steps.len());
        for &step in &recipe.steps {
            let value = self.step(step, &values, &wide)?;
            values.push(value);
        }
        let Some(&result) = values.get(recipe.result as usize) else {
            return Err(format!("the recipe of {func:?} has no result"));
        };
        self.lane_cast(DType::F64, ty, result)
    }

    fn direct_math(
        &mut self,
        func: Func,
        ty: DType,
        x: Reg,
        operands: &[Reg],
    ) -> Result<Option<Reg>, Reason> {
        let view = self.view(ty);
        let long = ty == DType::F64;
        let sign = if long { SIGN } else { SIGNS };
        Ok(Some(match func {
            Func::Identity | Func::Conj | Func::Real => x,
            Func::Sqrt => {
                let code = if long {
                    sized!(view, VEX_Vsqrtpd_xmm_xmmm128, VEX_Vsqrtpd_ymm_ymmm256)
                } else {
                    sized!(view, VEX_Vsqrtps_xmm_xmmm128, VEX_Vsqrtps_ymm_ymmm256)
                };
                self.two(code, view, x, view)
            }
            Func::Abs => {
                let mask = self.bits_everywhere(!sign);
                self.and(view, x, mask)
            }
            Func::Floor => self.rounded(ty, x, 0x9),
            Func::Ceil => self.rounded(ty, x, 0xa),
            Func::Trunc => self.rounded(ty, x, 0xb),
            Func::RoundEven => self.rounded(ty, x, 0x8),
            Func::IsNan => {
                let mask = self.float_mask(ty, view, 0x03, x, x);
                self.mask_from(ty, mask)
            }
            Func::IsInf | Func::IsFinite => {
                let mask = self.bits_everywhere(!sign);
                let size = self.and(view, x, mask);
                let infinity = if long {
                    f64::INFINITY.to_bits()
                } else {
                    u64::from(f32::INFINITY.to_bits()) * 0x1_0000_0001
                };
                let infinity = self.bits_everywhere(infinity);
                let predicate = if func == Func::IsInf { 0x00 } else { 0x11 };
                let mask = self.float_mask(ty, view, predicate, size, infinity);
                self.mask_from(ty, mask)
            }
            Func::CopySign if operands.len() == 2 => {
                let signs = self.bits_everywhere(sign);
                let sizes = self.bits_everywhere(!sign);
                let size = self.and(view, x, sizes);
                let sign = self.and(view, operands[1], signs);
                self.or(view, size, sign)
            }
            Func::Rsqrt if long => {
                let root =
                    self.two(sized!(view, VEX_Vsqrtpd_xmm_xmmm128, VEX_Vsqrtpd_ymm_ymmm256), view, x, view);
                let one = self.bits_everywhere(1.0_f64.to_bits());
                self.three(
                    sized!(view, VEX_Vdivpd_xmm_xmm_xmmm128, VEX_Vdivpd_ymm_ymm_ymmm256),
                    view,
                    one,
                    root,
                )
            }
            Func::Fma if operands.len() == 3 => {
                let code = if long {
                    sized!(view, VEX_Vfmadd231pd_xmm_xmm_xmmm128, VEX_Vfmadd231pd_ymm_ymm_ymmm256)
                } else {
                    sized!(view, VEX_Vfmadd231ps_xmm_xmm_xmmm128, VEX_Vfmadd231ps_ymm_ymm_ymmm256)
                };
                self.accumulate(code, view, operands[2], x, operands[1])
            }
            _ => return Ok(None),
        }))
    }

    /// `e^x` within 4 units in the last place, here within 2: the series up to the twelfth power, with fused operations.
    fn fast_exp(&mut self, x: Reg) -> Reg {
        const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
        const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
        /// Added to a small integer, it leaves that integer plus 1023 in the lowest bits.
        const BIASED: f64 = 6_755_399_441_055_744.0 + 1023.0;
        let ty = DType::F64;
        let view = self.view(ty);
        if view == View::Zmm {
            return self.large_exponential(x);
        }
        let constant = |select: &mut Self, value: f64| select.bits_everywhere(value.to_bits());
        let multiply = sized!(view, VEX_Vmulpd_xmm_xmm_xmmm128, VEX_Vmulpd_ymm_ymm_ymmm256);
        let subtract = sized!(view, VEX_Vsubpd_xmm_xmm_xmmm128, VEX_Vsubpd_ymm_ymm_ymmm256);
        let add = sized!(view, VEX_Vaddpd_xmm_xmm_xmmm128, VEX_Vaddpd_ymm_ymm_ymmm256);
        let minus = sized!(view, VEX_Vfnmadd231pd_xmm_xmm_xmmm128, VEX_Vfnmadd231pd_ymm_ymm_ymmm256);
        // The second operand is the result where it is NaN.
        let (highest, lowest) = (constant(self, 710.0), constant(self, -746.0));
        let x = self.three(
            sized!(view, VEX_Vminpd_xmm_xmm_xmmm128, VEX_Vminpd_ymm_ymm_ymmm256),
            view,
            highest,
            x,
        );
        let x =
            self.three(sized!(view, VEX_Vmaxpd_xmm_xmm_xmmm128, VEX_Vmaxpd_ymm_ymm_ymmm256), view, lowest, x);
        let inverse = constant(self, std::f64::consts::LOG2_E);
        let scaled = self.three(multiply, view, x, inverse);
        let k = self.rounded(ty, scaled, 0x8);
        let (high, low) = (constant(self, LN2_HIGH), constant(self, LN2_LOW));
        let r = self.accumulate(minus, view, x, k, high);
        let r = self.accumulate(minus, view, r, k, low);
        let mut factorial = 479_001_600.0;
        let sum = self.vector();
        let last = constant(self, 1.0 / factorial);
        self.copy_vector(sum, last);
        for power in (1..=12).rev() {
            factorial /= f64::from(power);
            let coefficient = constant(self, 1.0 / factorial);
            let code = sized!(view, VEX_Vfmadd213pd_xmm_xmm_xmmm128, VEX_Vfmadd213pd_ymm_ymm_ymmm256);
            self.emit_either(code, &[change(sum, view), take(r, view), take(coefficient, view)], 2);
        }
        // 2^k in two steps, for results below the normal numbers.
        let half = constant(self, 0.5);
        let halved = self.three(multiply, view, k, half);
        let first = self.rounded(ty, halved, 0x8);
        let second = self.three(subtract, view, k, first);
        let mut result = sum;
        for exponent in [first, second] {
            let biased = constant(self, BIASED);
            let bits = self.three(add, view, exponent, biased);
            let shift = sized!(view, VEX_Vpsllq_xmm_xmm_imm8, VEX_Vpsllq_ymm_ymm_imm8);
            let power = self.with_byte(shift, view, bits, 52);
            result = self.three(multiply, view, result, power);
        }
        result
    }

    fn step(&mut self, step: Step, values: &[Reg], arguments: &[Reg]) -> Result<Reg, Reason> {
        let ty = DType::F64;
        let view = self.view(ty);
        let at = |id: u32| values.get(id as usize).copied().ok_or_else(|| "a recipe is malformed".to_owned());
        let bit = |select: &mut Self, xmm: Code, ymm: Code, a: Reg, b: Reg| {
            select.three(if view == View::Xmm { xmm } else { ymm }, view, a, b)
        };
        Ok(match step {
            Step::Argument(index) => {
                // A function of one argument sees it in both places.
                let last = arguments.len().saturating_sub(1);
                return arguments
                    .get((index as usize).min(last))
                    .copied()
                    .ok_or_else(|| "no argument".to_owned());
            }
            Step::Constant(bits) => self.bits_everywhere(bits),
            Step::Add(a, b) => {
                bit(self, Code::VEX_Vaddpd_xmm_xmm_xmmm128, Code::VEX_Vaddpd_ymm_ymm_ymmm256, at(a)?, at(b)?)
            }
            Step::Sub(a, b) => {
                bit(self, Code::VEX_Vsubpd_xmm_xmm_xmmm128, Code::VEX_Vsubpd_ymm_ymm_ymmm256, at(a)?, at(b)?)
            }
            Step::Mul(a, b) => {
                bit(self, Code::VEX_Vmulpd_xmm_xmm_xmmm128, Code::VEX_Vmulpd_ymm_ymm_ymmm256, at(a)?, at(b)?)
            }
            Step::Div(a, b) => {
                bit(self, Code::VEX_Vdivpd_xmm_xmm_xmmm128, Code::VEX_Vdivpd_ymm_ymm_ymmm256, at(a)?, at(b)?)
            }
            Step::Neg(a) => {
                let sign = self.bits_everywhere(SIGN);
                self.xor(view, at(a)?, sign)
            }
            Step::Abs(a) => {
                let mask = self.bits_everywhere(!SIGN);
                self.and(view, at(a)?, mask)
            }
            Step::Sqrt(a) => {
                self.two(sized!(view, VEX_Vsqrtpd_xmm_xmmm128, VEX_Vsqrtpd_ymm_ymmm256), view, at(a)?, view)
            }
            Step::Floor(a) => self.rounded(ty, at(a)?, 0x9),
            Step::Nearest(a) => self.rounded(ty, at(a)?, 0x8),
            Step::Less(a, b) => self.float_mask(ty, view, 0x11, at(a)?, at(b)?),
            Step::AtMost(a, b) => self.float_mask(ty, view, 0x12, at(a)?, at(b)?),
            Step::Equal(a, b) => self.float_mask(ty, view, 0x00, at(a)?, at(b)?),
            Step::MaskAnd(a, b) => self.and(view, at(a)?, at(b)?),
            Step::MaskOr(a, b) | Step::Or(a, b) => self.or(view, at(a)?, at(b)?),
            Step::MaskNot(a) => self.not(view, at(a)?),
            Step::Select(mask, yes, no) => self.blend(view, true, at(mask)?, at(yes)?, at(no)?),
            Step::ShiftLeft(a, count) => {
                let code = sized!(view, VEX_Vpsllq_xmm_xmm_imm8, VEX_Vpsllq_ymm_ymm_imm8);
                self.with_byte(code, view, at(a)?, count.min(64) as u8)
            }
            Step::ShiftRight(a, count) => {
                let code = sized!(view, VEX_Vpsrlq_xmm_xmm_imm8, VEX_Vpsrlq_ymm_ymm_imm8);
                self.with_byte(code, view, at(a)?, count.min(64) as u8)
            }
            Step::AndBits(a, bits) => {
                let mask = self.bits_everywhere(bits);
                self.and(view, at(a)?, mask)
            }
            Step::OrBits(a, bits) => {
                let mask = self.bits_everywhere(bits);
                self.or(view, at(a)?, mask)
            }
            Step::AddBits(a, bits) => {
                let added = self.bits_everywhere(bits);
                bit(self, Code::VEX_Vpaddq_xmm_xmm_xmmm128, Code::VEX_Vpaddq_ymm_ymm_ymmm256, at(a)?, added)
            }
        })
    }
}
