//! Operations on lanes.

use iced_x86::Code;

use crate::kernel::vector::{Class, Reason, Stride};
use crate::kernel::{Op, ValueId};
use crate::scalar::{BinaryOp, DType, UnaryOp};

use super::code::{Operand, Reg, View, change, give, take};
use super::select::{Held, Select};

const SIGN: u64 = 1 << 63;
const SIGNS: u64 = 0x8000_0000_8000_0000;

/// The 128-bit or the 256-bit form of an instruction; the latter also stands for 512 bits.
macro_rules! sized {
    ($view:expr, $xmm:ident, $ymm:ident) => {
        if $view == View::Xmm { Code::$xmm } else { Code::$ymm }
    };
}
pub(super) use sized;

impl Select<'_> {
    /// Number of lanes, and bytes of the widest.
    pub fn lane_shape(&self) -> (i64, i64) {
        match &self.lanes {
            Some(lanes) => (lanes.count, lanes.body.lane_bytes),
            None => (i64::from(self.settings.bits) / 64, 8),
        }
    }

    /// The part of a register that all lanes of a type fill.
    pub fn view(&self, ty: DType) -> View {
        let Some(lanes) = &self.lanes else { return self.whole() };
        let bytes = if ty == DType::Bool { lanes.body.lane_bytes } else { ty.bytes() as i64 };
        match lanes.count * bytes {
            ..=16 => View::Xmm,
            17..=32 => View::Ymm,
            _ => View::Zmm,
        }
    }

    /// An operand of lane-wise code.
    pub fn operand(&mut self, value: ValueId) -> Result<Reg, Reason> {
        match self.class(value) {
            Class::Uniform => self.everywhere(value),
            Class::Affine(_) => self.affine_lanes(value),
            Class::Lanes => match self.values.get(&value) {
                Some(&Held::Lanes(reg)) => Ok(reg),
                _ => Err(format!("{value} has no lanes")),
            },
        }
    }

    /// An affine value as 64-bit lanes.
    fn affine_lanes(&mut self, value: ValueId) -> Result<Reg, Reason> {
        let (Some(affine), Some(lanes)) = (self.affine(value), &self.lanes) else {
            return Err(format!("{value} is not affine"));
        };
        let (index, step, count, copy) = (lanes.index, lanes.step, lanes.count, lanes.copy);
        let Stride::Constant(stride) = affine.stride else {
            return Err("an index times a stride is used as a number".to_owned());
        };
        let view = self.view(DType::I64);
        let first = self.integer();
        self.scaled(first, index, stride)?;
        let distance = stride.wrapping_mul(step);
        let sum =
            self.sum_of(&affine.terms, affine.constant.wrapping_add(distance.wrapping_mul(copy * count)))?;
        self.add(first, sum);
        let steps = [0, 1, 2, 3, 4, 5, 6, 7].map(|lane: i64| distance.wrapping_mul(lane) as u64);
        let steps = self.constant_vector(steps);
        let low = self.vector();
        self.emit(Code::VEX_Vmovq_xmm_rm64, &[give(low, View::Xmm), take(first, View::Full)]);
        let wide = self.vector();
        let code = sized!(view, VEX_Vpbroadcastq_xmm_xmmm64, VEX_Vpbroadcastq_ymm_xmmm64);
        self.emit(code, &[give(wide, view), take(low, View::Xmm)]);
        Ok(self.three(
            sized!(view, VEX_Vpaddq_xmm_xmm_xmmm128, VEX_Vpaddq_ymm_ymm_ymmm256),
            view,
            wide,
            steps,
        ))
    }

    /// `target += number`.
    pub fn add(&mut self, target: Reg, number: Reg) {
        self.emit_either(Code::Add_r64_rm64, &[change(target, View::Full), take(number, View::Full)], 1);
    }

    /// `target *= number`.
    pub fn multiply(&mut self, target: Reg, number: Reg) {
        self.emit_either(Code::Imul_r64_rm64, &[change(target, View::Full), take(number, View::Full)], 1);
    }

    /// `target = source * factor`.
    pub fn scaled(&mut self, target: Reg, source: Reg, factor: i64) -> Result<(), Reason> {
        if factor == 1 {
            self.emit_either(Code::Mov_r64_rm64, &[give(target, View::Full), take(source, View::Full)], 1);
            return Ok(());
        }
        let factor = i32::try_from(factor).map_err(|_| "a stride is too large")?;
        self.emit_either(
            Code::Imul_r64_rm64_imm32,
            &[give(target, View::Full), take(source, View::Full), Operand::Word(factor)],
            1,
        );
        Ok(())
    }

    /// The sum of uniform values and a constant, in front of the loop.
    pub fn sum_of(&mut self, terms: &[(ValueId, i64)], constant: i64) -> Result<Reg, Reason> {
        if terms.is_empty() {
            return Ok(self.constant_integer(constant));
        }
        if let ([(value, 1)], 0) = (terms, constant) {
            return self.integer_of(*value);
        }
        let key = (terms.to_vec(), constant);
        if let Some(&reg) = self.caches.sums.get(&key) {
            return Ok(reg);
        }
        let reg = self.in_front(|select| {
            let total = select.integer();
            let mut started = constant != 0;
            if started {
                select.set_integer(total, constant);
            }
            for &(value, factor) in terms {
                let mut term = select.integer_of(value)?;
                if factor != 1 {
                    let product = select.integer();
                    select.scaled(product, term, factor)?;
                    term = product;
                }
                let (code, role) = if started {
                    (Code::Add_r64_rm64, change(total, View::Full))
                } else {
                    (Code::Mov_r64_rm64, give(total, View::Full))
                };
                started = true;
                select.emit_either(code, &[role, take(term, View::Full)], 1);
            }
            Ok::<Reg, Reason>(total)
        })?;
        self.caches.sums.insert(key, reg);
        Ok(reg)
    }

    /// `op(a, b)` in a new register.
    pub fn three(&mut self, code: Code, view: View, a: Reg, b: Reg) -> Reg {
        let result = self.vector();
        self.emit_either(code, &[give(result, view), take(a, view), take(b, view)], 2);
        result
    }

    /// `op(a)` in a new register, between views.
    pub fn two(&mut self, code: Code, to: View, a: Reg, from: View) -> Reg {
        let result = self.vector();
        self.emit_either(code, &[give(result, to), take(a, from)], 1);
        result
    }

    /// `op(a, immediate)` in a new register.
    pub fn with_byte(&mut self, code: Code, view: View, a: Reg, byte: u8) -> Reg {
        let result = self.vector();
        self.emit(code, &[give(result, view), take(a, view), Operand::Byte(byte)]);
        result
    }

    pub fn and(&mut self, view: View, a: Reg, b: Reg) -> Reg {
        self.three(sized!(view, VEX_Vandpd_xmm_xmm_xmmm128, VEX_Vandpd_ymm_ymm_ymmm256), view, a, b)
    }

    pub fn or(&mut self, view: View, a: Reg, b: Reg) -> Reg {
        self.three(sized!(view, VEX_Vorpd_xmm_xmm_xmmm128, VEX_Vorpd_ymm_ymm_ymmm256), view, a, b)
    }

    pub fn xor(&mut self, view: View, a: Reg, b: Reg) -> Reg {
        self.three(sized!(view, VEX_Vxorpd_xmm_xmm_xmmm128, VEX_Vxorpd_ymm_ymm_ymmm256), view, a, b)
    }

    pub fn not(&mut self, view: View, a: Reg) -> Reg {
        let ones = self.bits_everywhere(u64::MAX);
        self.xor(view, a, ones)
    }

    /// `mask ? yes : no`, bytes chosen by the sign of each 64- or 32-bit lane.
    pub fn blend(&mut self, view: View, long: bool, mask: Reg, yes: Reg, no: Reg) -> Reg {
        let code = if long {
            sized!(view, VEX_Vblendvpd_xmm_xmm_xmmm128_xmm, VEX_Vblendvpd_ymm_ymm_ymmm256_ymm)
        } else {
            sized!(view, VEX_Vblendvps_xmm_xmm_xmmm128_xmm, VEX_Vblendvps_ymm_ymm_ymmm256_ymm)
        };
        let result = self.vector();
        self.emit_either(code, &[give(result, view), take(no, view), take(yes, view), take(mask, view)], 2);
        result
    }

    /// An operation with a result per lane.
    pub fn lane_op(&mut self, value: ValueId, op: &Op) -> Result<Reg, Reason> {
        let ty = self.ty(value);
        match op {
            Op::Load { buffer, address, displacement, ty } => {
                self.reach(*buffer, false);
                self.lane_load(value, *address, *displacement, *ty)
            }
            Op::Unary(op, a) => {
                let a = self.operand(*a)?;
                self.lane_unary(*op, ty, a)
            }
            Op::Binary(op, a, b) => {
                let operand = self.ty(*a);
                if self.settings.fast
                    && let Some(result) = self.contracted(*op, operand, *a, *b)?
                {
                    return Ok(result);
                }
                if *op == BinaryOp::Mul
                    && operand == DType::I64
                    && let Some(result) = self.shifted(*a, *b)?
                {
                    return Ok(result);
                }
                let (a, b) = (self.operand(*a)?, self.operand(*b)?);
                self.lane_binary(*op, operand, a, b)
            }
            Op::Cast(to, a) => {
                let from = self.ty(*a);
                let a = self.operand(*a)?;
                self.lane_cast(from, *to, a)
            }
            Op::Select(condition, a, b) => {
                let (mask, a, b) = (self.operand(*condition)?, self.operand(*a)?, self.operand(*b)?);
                let view = self.view(ty);
                let mask = self.mask_for(ty, mask);
                let (_, lane_bytes) = self.lane_shape();
                let long = ty.bytes() == 8 || (ty == DType::Bool && lane_bytes == 8);
                self.supported(ty)?;
                Ok(self.blend(view, long, mask, a, b))
            }
            Op::Math(func, operands) => {
                let types: Vec<DType> = operands.iter().map(|&operand| self.ty(operand)).collect();
                let mut regs = Vec::with_capacity(operands.len());
                for &operand in operands {
                    regs.push(self.operand(operand)?);
                }
                self.lane_math(*func, &types, &regs)
            }
            Op::Complex(func, ..) => Err(format!("complex {func:?} on lanes")),
            Op::Const(_) | Op::Get(_) | Op::Base(_) => Err("an address or variable on lanes".to_owned()),
        }
    }

    pub fn supported(&self, ty: DType) -> Result<(), Reason> {
        match ty {
            DType::Bool | DType::I32 | DType::I64 | DType::F32 | DType::F64 => Ok(()),
            ty => Err(format!("{ty} in a vector")),
        }
    }

    /// The product of 64-bit integers of which one is a power of two.
    fn shifted(&mut self, a: ValueId, b: ValueId) -> Result<Option<Reg>, Reason> {
        for (value, factor) in [(a, b), (b, a)] {
            let constant = self.facts.around.constants.get(&factor).copied();
            if let Some(constant) =
                constant.filter(|&constant| constant > 0 && constant & (constant - 1) == 0)
            {
                let (view, value) = (self.view(DType::I64), self.operand(value)?);
                let code = sized!(view, VEX_Vpsllq_xmm_xmm_imm8, VEX_Vpsllq_ymm_ymm_imm8);
                return Ok(Some(self.with_byte(code, view, value, constant.trailing_zeros() as u8)));
            }
        }
        Ok(None)
    }

    /// `a * b + c` with one rounding, where a product is used nowhere else.
    fn contracted(&mut self, op: BinaryOp, ty: DType, a: ValueId, b: ValueId) -> Result<Option<Reg>, Reason> {
        if !matches!(op, BinaryOp::Add | BinaryOp::Sub) || !matches!(ty, DType::F64 | DType::F32) {
            return Ok(None);
        }
        let view = self.view(ty);
        let long = ty == DType::F64;
        if let Some((x, y)) = self.product_of(a) {
            // x * y + b, x * y - b
            let (x, y, b) = (self.operand(x)?, self.operand(y)?, self.operand(b)?);
            let code = match (op, long) {
                (BinaryOp::Add, true) => {
                    sized!(view, VEX_Vfmadd231pd_xmm_xmm_xmmm128, VEX_Vfmadd231pd_ymm_ymm_ymmm256)
                }
                (BinaryOp::Add, false) => {
                    sized!(view, VEX_Vfmadd231ps_xmm_xmm_xmmm128, VEX_Vfmadd231ps_ymm_ymm_ymmm256)
                }
                (_, true) => sized!(view, VEX_Vfmsub231pd_xmm_xmm_xmmm128, VEX_Vfmsub231pd_ymm_ymm_ymmm256),
                (_, false) => sized!(view, VEX_Vfmsub231ps_xmm_xmm_xmmm128, VEX_Vfmsub231ps_ymm_ymm_ymmm256),
            };
            return Ok(Some(self.accumulate(code, view, b, x, y)));
        }
        if let Some((x, y)) = self.product_of(b) {
            // a + x * y, a - x * y
            let (x, y, a) = (self.operand(x)?, self.operand(y)?, self.operand(a)?);
            let code = match (op, long) {
                (BinaryOp::Add, true) => {
                    sized!(view, VEX_Vfmadd231pd_xmm_xmm_xmmm128, VEX_Vfmadd231pd_ymm_ymm_ymmm256)
                }
                (BinaryOp::Add, false) => {
                    sized!(view, VEX_Vfmadd231ps_xmm_xmm_xmmm128, VEX_Vfmadd231ps_ymm_ymm_ymmm256)
                }
                (_, true) => sized!(view, VEX_Vfnmadd231pd_xmm_xmm_xmmm128, VEX_Vfnmadd231pd_ymm_ymm_ymmm256),
                (_, false) => {
                    sized!(view, VEX_Vfnmadd231ps_xmm_xmm_xmmm128, VEX_Vfnmadd231ps_ymm_ymm_ymmm256)
                }
            };
            return Ok(Some(self.accumulate(code, view, a, x, y)));
        }
        Ok(None)
    }

    pub fn accumulate(&mut self, code: Code, view: View, start: Reg, x: Reg, y: Reg) -> Reg {
        let total = self.vector();
        let copy = sized!(view, VEX_Vmovups_xmm_xmmm128, VEX_Vmovups_ymm_ymmm256);
        self.emit_either(copy, &[give(total, view), take(start, view)], 1);
        self.emit_either(code, &[change(total, view), take(x, view), take(y, view)], 2);
        total
    }

    fn lane_unary(&mut self, op: UnaryOp, ty: DType, a: Reg) -> Result<Reg, Reason> {
        self.supported(ty)?;
        let view = self.view(ty);
        Ok(match (op, ty) {
            (UnaryOp::Neg, DType::F64) => {
                let sign = self.bits_everywhere(SIGN);
                self.xor(view, a, sign)
            }
            (UnaryOp::Neg, DType::F32) => {
                let sign = self.bits_everywhere(SIGNS);
                self.xor(view, a, sign)
            }
            (UnaryOp::Neg, DType::Bool) => a,
            (UnaryOp::Neg, _) => {
                let zero = self.bits_everywhere(0);
                return self.lane_binary(BinaryOp::Sub, ty, zero, a);
            }
            (UnaryOp::Not, DType::Bool) | (UnaryOp::BitNot, _) => self.not(view, a),
            (UnaryOp::Not, _) => return Err(format!("not of {ty}")),
        })
    }

    pub fn lane_binary(&mut self, op: BinaryOp, ty: DType, a: Reg, b: Reg) -> Result<Reg, Reason> {
        self.supported(ty)?;
        match ty {
            DType::F64 | DType::F32 => self.float_binary(op, ty, a, b),
            DType::Bool => self.bool_binary(op, a, b),
            _ => self.integer_binary(op, ty, a, b),
        }
    }

    fn bool_binary(&mut self, op: BinaryOp, a: Reg, b: Reg) -> Result<Reg, Reason> {
        let view = self.view(DType::Bool);
        Ok(match op {
            BinaryOp::BitAnd | BinaryOp::Mul | BinaryOp::Min => self.and(view, a, b),
            BinaryOp::BitOr | BinaryOp::Max => self.or(view, a, b),
            BinaryOp::BitXor | BinaryOp::Ne => self.xor(view, a, b),
            BinaryOp::Eq => {
                let differ = self.xor(view, a, b);
                self.not(view, differ)
            }
            op => return Err(format!("{op:?} of bools in a vector")),
        })
    }

    fn float_binary(&mut self, op: BinaryOp, ty: DType, a: Reg, b: Reg) -> Result<Reg, Reason> {
        if op.is_comparison() {
            let mask = self.compare_floats(op, ty, a, b)?;
            return Ok(self.mask_from(ty, mask));
        }
        let view = self.view(ty);
        let code = match (op, ty == DType::F64) {
            (BinaryOp::Add, true) => sized!(view, VEX_Vaddpd_xmm_xmm_xmmm128, VEX_Vaddpd_ymm_ymm_ymmm256),
            (BinaryOp::Sub, true) => sized!(view, VEX_Vsubpd_xmm_xmm_xmmm128, VEX_Vsubpd_ymm_ymm_ymmm256),
            (BinaryOp::Mul, true) => sized!(view, VEX_Vmulpd_xmm_xmm_xmmm128, VEX_Vmulpd_ymm_ymm_ymmm256),
            (BinaryOp::Div | BinaryOp::FloorDiv, true) => {
                sized!(view, VEX_Vdivpd_xmm_xmm_xmmm128, VEX_Vdivpd_ymm_ymm_ymmm256)
            }
            (BinaryOp::Min, true) => sized!(view, VEX_Vminpd_xmm_xmm_xmmm128, VEX_Vminpd_ymm_ymm_ymmm256),
            (BinaryOp::Max, true) => sized!(view, VEX_Vmaxpd_xmm_xmm_xmmm128, VEX_Vmaxpd_ymm_ymm_ymmm256),
            (BinaryOp::Add, false) => sized!(view, VEX_Vaddps_xmm_xmm_xmmm128, VEX_Vaddps_ymm_ymm_ymmm256),
            (BinaryOp::Sub, false) => sized!(view, VEX_Vsubps_xmm_xmm_xmmm128, VEX_Vsubps_ymm_ymm_ymmm256),
            (BinaryOp::Mul, false) => sized!(view, VEX_Vmulps_xmm_xmm_xmmm128, VEX_Vmulps_ymm_ymm_ymmm256),
            (BinaryOp::Div | BinaryOp::FloorDiv, false) => {
                sized!(view, VEX_Vdivps_xmm_xmm_xmmm128, VEX_Vdivps_ymm_ymm_ymmm256)
            }
            (BinaryOp::Min, false) => sized!(view, VEX_Vminps_xmm_xmm_xmmm128, VEX_Vminps_ymm_ymm_ymmm256),
            (BinaryOp::Max, false) => sized!(view, VEX_Vmaxps_xmm_xmm_xmmm128, VEX_Vmaxps_ymm_ymm_ymmm256),
            (op, _) => return Err(format!("{op:?} of floats in a vector")),
        };
        let result = self.three(code, view, a, b);
        if op == BinaryOp::FloorDiv { Ok(self.rounded(ty, result, 0x9)) } else { Ok(result) }
    }

    /// A mask as wide as the operands.
    pub fn compare_floats(&mut self, op: BinaryOp, ty: DType, a: Reg, b: Reg) -> Result<Reg, Reason> {
        let view = self.view(ty);
        let predicate = match op {
            BinaryOp::Eq => 0x00,
            BinaryOp::Lt => 0x11,
            BinaryOp::Le => 0x12,
            BinaryOp::Ne => 0x04,
            BinaryOp::Ge => 0x1d,
            BinaryOp::Gt => 0x1e,
            op => return Err(format!("{op:?} is no comparison")),
        };
        Ok(self.float_mask(ty, view, predicate, a, b))
    }

    pub fn float_mask(&mut self, ty: DType, view: View, predicate: u8, a: Reg, b: Reg) -> Reg {
        let code = if ty == DType::F64 {
            sized!(view, VEX_Vcmppd_xmm_xmm_xmmm128_imm8, VEX_Vcmppd_ymm_ymm_ymmm256_imm8)
        } else {
            sized!(view, VEX_Vcmpps_xmm_xmm_xmmm128_imm8, VEX_Vcmpps_ymm_ymm_ymmm256_imm8)
        };
        let result = self.vector();
        let operands = [give(result, view), take(a, view), take(b, view), Operand::Byte(predicate)];
        self.emit_either(code, &operands, 2);
        result
    }

    pub fn rounded(&mut self, ty: DType, a: Reg, mode: u8) -> Reg {
        let view = self.view(ty);
        let code = if ty == DType::F64 {
            sized!(view, VEX_Vroundpd_xmm_xmmm128_imm8, VEX_Vroundpd_ymm_ymmm256_imm8)
        } else {
            sized!(view, VEX_Vroundps_xmm_xmmm128_imm8, VEX_Vroundps_ymm_ymmm256_imm8)
        };
        self.with_byte(code, view, a, mode)
    }

    fn integer_binary(&mut self, op: BinaryOp, ty: DType, a: Reg, b: Reg) -> Result<Reg, Reason> {
        let view = self.view(ty);
        let long = ty == DType::I64;
        let greater = |select: &mut Self, a, b| {
            let code = if long {
                sized!(view, VEX_Vpcmpgtq_xmm_xmm_xmmm128, VEX_Vpcmpgtq_ymm_ymm_ymmm256)
            } else {
                sized!(view, VEX_Vpcmpgtd_xmm_xmm_xmmm128, VEX_Vpcmpgtd_ymm_ymm_ymmm256)
            };
            select.three(code, view, a, b)
        };
        let mask = match op {
            BinaryOp::Gt => Some((greater(self, a, b), false)),
            BinaryOp::Lt => Some((greater(self, b, a), false)),
            BinaryOp::Le => Some((greater(self, a, b), true)),
            BinaryOp::Ge => Some((greater(self, b, a), true)),
            BinaryOp::Eq | BinaryOp::Ne => Some((self.integers_equal(ty, a, b), op == BinaryOp::Ne)),
            _ => None,
        };
        if let Some((mask, inverted)) = mask {
            let mask = if inverted { self.not(view, mask) } else { mask };
            return Ok(self.mask_from(ty, mask));
        }
        let code = match (op, long) {
            (BinaryOp::Add, true) => sized!(view, VEX_Vpaddq_xmm_xmm_xmmm128, VEX_Vpaddq_ymm_ymm_ymmm256),
            (BinaryOp::Add, false) => sized!(view, VEX_Vpaddd_xmm_xmm_xmmm128, VEX_Vpaddd_ymm_ymm_ymmm256),
            (BinaryOp::Sub, true) => sized!(view, VEX_Vpsubq_xmm_xmm_xmmm128, VEX_Vpsubq_ymm_ymm_ymmm256),
            (BinaryOp::Sub, false) => sized!(view, VEX_Vpsubd_xmm_xmm_xmmm128, VEX_Vpsubd_ymm_ymm_ymmm256),
            (BinaryOp::Mul, false) => sized!(view, VEX_Vpmulld_xmm_xmm_xmmm128, VEX_Vpmulld_ymm_ymm_ymmm256),
            (BinaryOp::Mul, true) => return Ok(self.long_product(view, a, b)),
            (BinaryOp::Min, false) => sized!(view, VEX_Vpminsd_xmm_xmm_xmmm128, VEX_Vpminsd_ymm_ymm_ymmm256),
            (BinaryOp::Max, false) => sized!(view, VEX_Vpmaxsd_xmm_xmm_xmmm128, VEX_Vpmaxsd_ymm_ymm_ymmm256),
            (BinaryOp::Min, true) if self.settings.bits == 512 => match view {
                View::Xmm => Code::EVEX_Vpminsq_xmm_k1z_xmm_xmmm128b64,
                View::Ymm => Code::EVEX_Vpminsq_ymm_k1z_ymm_ymmm256b64,
                _ => Code::EVEX_Vpminsq_zmm_k1z_zmm_zmmm512b64,
            },
            (BinaryOp::Max, true) if self.settings.bits == 512 => match view {
                View::Xmm => Code::EVEX_Vpmaxsq_xmm_k1z_xmm_xmmm128b64,
                View::Ymm => Code::EVEX_Vpmaxsq_ymm_k1z_ymm_ymmm256b64,
                _ => Code::EVEX_Vpmaxsq_zmm_k1z_zmm_zmmm512b64,
            },
            (BinaryOp::Min, true) => {
                let mask = greater(self, a, b);
                return Ok(self.blend(view, true, mask, b, a));
            }
            (BinaryOp::Max, true) => {
                let mask = greater(self, a, b);
                return Ok(self.blend(view, true, mask, a, b));
            }
            (BinaryOp::BitAnd, _) => return Ok(self.and(view, a, b)),
            (BinaryOp::BitOr, _) => return Ok(self.or(view, a, b)),
            (BinaryOp::BitXor, _) => return Ok(self.xor(view, a, b)),
            (op, _) => return Err(format!("{op:?} of integers in a vector")),
        };
        Ok(self.three(code, view, a, b))
    }

    pub fn integers_equal(&mut self, ty: DType, a: Reg, b: Reg) -> Reg {
        let view = self.view(ty);
        let code = if ty.bytes() == 8 {
            sized!(view, VEX_Vpcmpeqq_xmm_xmm_xmmm128, VEX_Vpcmpeqq_ymm_ymm_ymmm256)
        } else {
            sized!(view, VEX_Vpcmpeqd_xmm_xmm_xmmm128, VEX_Vpcmpeqd_ymm_ymm_ymmm256)
        };
        self.three(code, view, a, b)
    }

    /// The low 64 bits of products. Where there is no instruction for them: the cross products of halves shifted up, plus
    /// the product of the low halves.
    pub fn long_product(&mut self, view: View, a: Reg, b: Reg) -> Reg {
        if self.settings.bits == 512 {
            let code = match view {
                View::Xmm => Code::EVEX_Vpmullq_xmm_k1z_xmm_xmmm128b64,
                View::Ymm => Code::EVEX_Vpmullq_ymm_k1z_ymm_ymmm256b64,
                _ => Code::EVEX_Vpmullq_zmm_k1z_zmm_zmmm512b64,
            };
            return self.three(code, view, a, b);
        }
        let swap = sized!(view, VEX_Vpshufd_xmm_xmmm128_imm8, VEX_Vpshufd_ymm_ymmm256_imm8);
        let swapped = self.with_byte(swap, view, b, 0xb1);
        let cross = self.three(
            sized!(view, VEX_Vpmulld_xmm_xmm_xmmm128, VEX_Vpmulld_ymm_ymm_ymmm256),
            view,
            a,
            swapped,
        );
        let right = sized!(view, VEX_Vpsrlq_xmm_xmm_imm8, VEX_Vpsrlq_ymm_ymm_imm8);
        let upper = self.with_byte(right, view, cross, 32);
        let both = self.three(
            sized!(view, VEX_Vpaddd_xmm_xmm_xmmm128, VEX_Vpaddd_ymm_ymm_ymmm256),
            view,
            cross,
            upper,
        );
        let left = sized!(view, VEX_Vpsllq_xmm_xmm_imm8, VEX_Vpsllq_ymm_ymm_imm8);
        let high = self.with_byte(left, view, both, 32);
        let low =
            self.three(sized!(view, VEX_Vpmuludq_xmm_xmm_xmmm128, VEX_Vpmuludq_ymm_ymm_ymmm256), view, a, b);
        self.three(sized!(view, VEX_Vpaddq_xmm_xmm_xmmm128, VEX_Vpaddq_ymm_ymm_ymmm256), view, high, low)
    }
}
