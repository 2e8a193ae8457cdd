//! Conversions between lanes of different types, masks included.

use iced_x86::Code;

use crate::kernel::vector::Reason;
use crate::scalar::{BinaryOp, DType};

use super::code::{Operand, Reg, View, give, take};
use super::lanes::sized;
use super::select::Select;

impl Select<'_> {
    pub fn lane_cast(&mut self, from: DType, to: DType, a: Reg) -> Result<Reg, Reason> {
        use DType::{Bool, F32, F64, I32, I64};
        if from == to {
            return Ok(a);
        }
        let (wide, narrow) = (self.view(F64), self.view(F32));
        Ok(match (from, to) {
            (F32, F64) => self.two(
                sized!(wide, VEX_Vcvtps2pd_xmm_xmmm64, VEX_Vcvtps2pd_ymm_xmmm128),
                wide,
                a,
                View::Xmm,
            ),
            (F64, F32) => {
                let code = sized!(wide, VEX_Vcvtpd2ps_xmm_xmmm128, VEX_Vcvtpd2ps_xmm_ymmm256);
                let low = self.two(code, View::Xmm, a, wide);
                // The rest of the register is empty; what all lanes share has to be in all of them.
                if self.lanes.is_some() { low } else { self.spread(low, F32) }
            }
            (I32, F64) => self.two(
                sized!(wide, VEX_Vcvtdq2pd_xmm_xmmm64, VEX_Vcvtdq2pd_ymm_xmmm128),
                wide,
                a,
                View::Xmm,
            ),
            (I32, F32) => self.two(
                sized!(narrow, VEX_Vcvtdq2ps_xmm_xmmm128, VEX_Vcvtdq2ps_ymm_ymmm256),
                narrow,
                a,
                narrow,
            ),
            (I32, I64) => self.widened(a),
            (I64, I32) => self.narrowed(a),
            (I64, F64) => self.long_to_float(a),
            (F64, I32) => self.float_to_int(wide, a),
            (F32, I32) => self.single_to_int(narrow, a),
            (Bool, to) => {
                let one = match to {
                    F64 => 1.0_f64.to_bits(),
                    F32 => u64::from(1.0_f32.to_bits()) * 0x1_0000_0001,
                    I32 => 0x1_0000_0001,
                    I64 => 1,
                    to => return Err(format!("a cast of bool to {to} in a vector")),
                };
                let one = self.bits_everywhere(one);
                let mask = self.mask_for(to, a);
                let view = self.view(to);
                self.and(view, mask, one)
            }
            (F64 | F32, Bool) => {
                let zero = self.bits_everywhere(0);
                return self.lane_binary(BinaryOp::Ne, from, a, zero);
            }
            (I64 | I32, Bool) => {
                let zero = self.bits_everywhere(0);
                return self.lane_binary(BinaryOp::Ne, from, a, zero);
            }
            (from, to) => return Err(format!("a cast of {from} to {to} in a vector")),
        })
    }

    /// 32-bit lanes sign-extended to 64 bits.
    fn widened(&mut self, a: Reg) -> Reg {
        let view = self.view(DType::I64);
        self.two(sized!(view, VEX_Vpmovsxdq_xmm_xmmm64, VEX_Vpmovsxdq_ymm_xmmm128), view, a, View::Xmm)
    }

    /// The low halves of 64-bit lanes.
    fn narrowed(&mut self, a: Reg) -> Reg {
        let view = self.view(DType::I64);
        if view == View::Zmm {
            let result = self.vector();
            let code = Code::EVEX_Vpmovqd_ymmm256_k1z_zmm;
            self.emit(code, &[give(result, View::Ymm), take(a, View::Zmm)]);
            return result;
        }
        let upper = if view == View::Ymm {
            let upper = self.vector();
            self.emit(
                Code::VEX_Vextracti128_xmmm128_ymm_imm8,
                &[give(upper, View::Xmm), take(a, View::Ymm), Operand::Byte(1)],
            );
            upper
        } else {
            a
        };
        let result = self.vector();
        self.emit(
            Code::VEX_Vshufps_xmm_xmm_xmmm128_imm8,
            &[give(result, View::Xmm), take(a, View::Xmm), take(upper, View::Xmm), Operand::Byte(0x88)],
        );
        result
    }

    /// A mask as wide as a lane of a type.
    pub fn mask_for(&mut self, ty: DType, mask: Reg) -> Reg {
        let (_, lane_bytes) = self.lane_shape();
        // Outside vectorised loops all lanes are equal, so that any width fits.
        if self.lanes.is_some() && lane_bytes == 8 && ty.bytes() == 4 { self.narrowed(mask) } else { mask }
    }

    /// A mask as wide as a lane of a type, made as wide as the loop's masks.
    pub fn mask_from(&mut self, ty: DType, mask: Reg) -> Reg {
        let (_, lane_bytes) = self.lane_shape();
        if self.lanes.is_some() && lane_bytes == 8 && ty.bytes() == 4 { self.widened(mask) } else { mask }
    }

    /// Exact but for one rounding: both halves become floats of known exponent.
    fn long_to_float(&mut self, a: Reg) -> Reg {
        const LOW: u64 = 0x4330_0000_0000_0000;
        const HIGH: u64 = 0x4530_0000_8000_0000;
        const BOTH: u64 = 0x4530_0000_8010_0000;
        let view = self.view(DType::I64);
        if view == View::Zmm {
            return self.two(Code::EVEX_Vcvtqq2pd_zmm_k1z_zmmm512b64_er, view, a, view);
        }
        let (low_bits, high_bits, both) =
            (self.bits_everywhere(LOW), self.bits_everywhere(HIGH), self.bits_everywhere(BOTH));
        let low = self.vector();
        let code = sized!(view, VEX_Vpblendd_xmm_xmm_xmmm128_imm8, VEX_Vpblendd_ymm_ymm_ymmm256_imm8);
        self.emit_either(
            code,
            &[give(low, view), take(low_bits, view), take(a, view), Operand::Byte(0x55)],
            2,
        );
        let right = sized!(view, VEX_Vpsrlq_xmm_xmm_imm8, VEX_Vpsrlq_ymm_ymm_imm8);
        let upper = self.with_byte(right, view, a, 32);
        let upper = self.xor(view, upper, high_bits);
        let subtract = sized!(view, VEX_Vsubpd_xmm_xmm_xmmm128, VEX_Vsubpd_ymm_ymm_ymmm256);
        let upper = self.three(subtract, view, upper, both);
        self.three(sized!(view, VEX_Vaddpd_xmm_xmm_xmmm128, VEX_Vaddpd_ymm_ymm_ymmm256), view, upper, low)
    }

    /// Truncates; what does not fit becomes the nearest, NaN zero.
    fn float_to_int(&mut self, view: View, a: Reg) -> Reg {
        let high = self.bits_everywhere(f64::from(i32::MAX).to_bits());
        let low = self.bits_everywhere(f64::from(i32::MIN).to_bits());
        // The second operand is the result where one is NaN.
        let below =
            self.three(sized!(view, VEX_Vminpd_xmm_xmm_xmmm128, VEX_Vminpd_ymm_ymm_ymmm256), view, high, a);
        let inside = self.three(
            sized!(view, VEX_Vmaxpd_xmm_xmm_xmmm128, VEX_Vmaxpd_ymm_ymm_ymmm256),
            view,
            low,
            below,
        );
        let number = self.float_mask(DType::F64, view, 0x07, a, a);
        let inside = self.and(view, inside, number);
        let code = sized!(view, VEX_Vcvttpd2dq_xmm_xmmm128, VEX_Vcvttpd2dq_xmm_ymmm256);
        self.two(code, View::Xmm, inside, view)
    }

    fn single_to_int(&mut self, view: View, a: Reg) -> Reg {
        let number = self.float_mask(DType::F32, view, 0x07, a, a);
        let limit = self.bits_everywhere(u64::from(2_147_483_648.0_f32.to_bits()) * 0x1_0000_0001);
        let above = self.float_mask(DType::F32, view, 0x1d, a, limit);
        // Out of range is `0x8000_0000`; its complement is the largest number.
        let raw =
            self.two(sized!(view, VEX_Vcvttps2dq_xmm_xmmm128, VEX_Vcvttps2dq_ymm_ymmm256), view, a, view);
        let inside = self.xor(view, raw, above);
        self.and(view, inside, number)
    }
}
