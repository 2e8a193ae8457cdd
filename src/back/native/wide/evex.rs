//! 512 bits and 32 registers: instructions of AVX2 become those of AVX-512.
//!
//! Selection knows three sizes of vectors but writes 256-bit instructions for the largest; here they are replaced.
//! Where AVX-512 has comparisons to mask registers and choices by mask registers, a mask is kept both as a vector of
//! ones and zeros, which everything else understands, and in a mask register as long as no other mask needs that; the
//! vector is dropped later if nobody reads it. What has no 512-bit form here is a reason to take 256 bits.

use iced_x86::{Code, EncodingKind};
use smallvec::SmallVec;

use crate::kernel::vector::Reason;

use super::code::{Item, Operand, Program, Reg, Role, View, give, take};

/// How many mask registers hold vectors: all but the first, which cannot choose lanes, and the last three.
const MASKS: usize = 4;
/// The mask register of the lanes that take a branch.
pub const BRANCH_MASK: u8 = 5;
/// The mask register of the iterations that take place, where not all lanes of a vector do.
pub const TURN_MASK: u8 = 6;
/// The mask register whose value lasts for one instruction.
pub const FREE_MASK: u8 = 7;

/// Replaces 256-bit instructions whose operands have 512 bits.
///
/// # Errors
/// One that has no such form.
pub fn widen(program: &mut Program) -> Result<(), Reason> {
    let mut widening = Widening { items: Vec::with_capacity(program.items.len()), ..Widening::default() };
    for item in program.items.drain(..) {
        widening.item(item)?;
    }
    program.items = widening.items;
    Ok(())
}

/// The form of an instruction that reaches 32 registers: itself, or another one of the same size.
pub fn reaching(code: Code) -> Option<Code> {
    if code.op_code().encoding() == EncodingKind::EVEX { Some(code) } else { of_many_registers(code) }
}

#[derive(Default)]
struct Widening {
    items: Vec<Item>,
    /// The vectors that mask registers hold too.
    masks: [Option<Reg>; MASKS],
    /// The mask register to be used next.
    next: usize,
}

impl Widening {
    fn emit(&mut self, code: Code, operands: &[Operand], either: Option<u8>) {
        self.items.push(Item::Do { code, operands: SmallVec::from_slice(operands), either });
    }

    fn item(&mut self, item: Item) -> Result<(), Reason> {
        let Item::Do { code, mut operands, either } = item else {
            if !matches!(item, Item::Jump(..)) {
                // Others may come here with other masks.
                self.masks = [None; MASKS];
            }
            self.items.push(item);
            return Ok(());
        };
        let large = operands.iter().any(|operand| matches!(operand, Operand::Register(_, View::Zmm, _)));
        if !large || code.op_code().encoding() == EncodingKind::EVEX {
            self.forget(&operands);
            self.items.push(Item::Do { code, operands, either });
            return Ok(());
        }
        if let Some((compare, spread)) = comparison(code) {
            let Some(&Operand::Register(result, ..)) = operands.first() else { return Err(unknown(code)) };
            self.forget(&operands);
            let mask = self.hold(result);
            operands[0] = Operand::Mask(mask);
            self.emit(compare, &operands, either);
            self.emit(spread, &[give(result, View::Zmm), Operand::Mask(mask)], None);
            return Ok(());
        }
        if let Some((choice, collect)) = choice(code) {
            let Some(&Operand::Register(vector, ..)) = operands.get(3) else { return Err(unknown(code)) };
            let mask = self.mask_of(vector, collect);
            operands[3] = Operand::Under(mask);
            self.forget(&operands);
            self.emit(choice, &operands, either);
            return Ok(());
        }
        if let Some(collect) = sign_bits(code) {
            let (Some(&bits), Some(&Operand::Register(vector, ..))) = (operands.first(), operands.get(1))
            else {
                return Err(unknown(code));
            };
            let mask = self.mask_of(vector, collect);
            self.emit(Code::VEX_Kmovw_r32_kr, &[bits, Operand::Mask(mask)], None);
            return Ok(());
        }
        let Some(large) = of_512_bits(code) else { return Err(unknown(code)) };
        if let Some(half) = half_operand(code)
            && let Some(Operand::Register(_, view, _)) = operands.get_mut(half)
        {
            *view = View::Ymm;
        }
        self.forget(&operands);
        self.items.push(Item::Do { code: large, operands, either });
        Ok(())
    }

    /// What is written is no longer what a mask register holds.
    fn forget(&mut self, operands: &[Operand]) {
        for operand in operands {
            if let Operand::Register(reg, _, Role::Define | Role::Update) = operand {
                for mask in &mut self.masks {
                    if *mask == Some(*reg) {
                        *mask = None;
                    }
                }
            }
        }
    }

    /// A mask register for a vector.
    fn hold(&mut self, vector: Reg) -> u8 {
        let at = self.next;
        self.next = (at + 1) % MASKS;
        self.masks[at] = Some(vector);
        at as u8 + 1
    }

    /// The mask register that holds a vector, filled if there was none.
    fn mask_of(&mut self, vector: Reg, collect: Code) -> u8 {
        if let Some(at) = self.masks.iter().position(|mask| *mask == Some(vector)) {
            return at as u8 + 1;
        }
        let mask = self.hold(vector);
        self.emit(collect, &[Operand::Mask(mask), take(vector, View::Zmm)], None);
        mask
    }
}

fn unknown(code: Code) -> Reason {
    format!("no 512-bit form of {code:?}")
}

/// A comparison to a mask register, and how a vector is made of that.
fn comparison(code: Code) -> Option<(Code, Code)> {
    let (long, short) = (Code::EVEX_Vpmovm2q_zmm_kr, Code::EVEX_Vpmovm2d_zmm_kr);
    Some(match code {
        Code::VEX_Vcmppd_ymm_ymm_ymmm256_imm8 => (Code::EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae, long),
        Code::VEX_Vcmpps_ymm_ymm_ymmm256_imm8 => (Code::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae, short),
        Code::VEX_Vpcmpgtq_ymm_ymm_ymmm256 => (Code::EVEX_Vpcmpgtq_kr_k1_zmm_zmmm512b64, long),
        Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256 => (Code::EVEX_Vpcmpgtd_kr_k1_zmm_zmmm512b32, short),
        Code::VEX_Vpcmpeqq_ymm_ymm_ymmm256 => (Code::EVEX_Vpcmpeqq_kr_k1_zmm_zmmm512b64, long),
        Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256 => (Code::EVEX_Vpcmpeqd_kr_k1_zmm_zmmm512b32, short),
        _ => return None,
    })
}

/// A choice by a mask register, and how a vector gets into one.
fn choice(code: Code) -> Option<(Code, Code)> {
    Some(match code {
        Code::VEX_Vblendvpd_ymm_ymm_ymmm256_ymm => {
            (Code::EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64, Code::EVEX_Vpmovq2m_kr_zmm)
        }
        Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm => {
            (Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32, Code::EVEX_Vpmovd2m_kr_zmm)
        }
        _ => return None,
    })
}

/// For what gives sign bits to an integer register: how they get into a mask register.
fn sign_bits(code: Code) -> Option<Code> {
    match code {
        Code::VEX_Vmovmskpd_r32_ymm => Some(Code::EVEX_Vpmovq2m_kr_zmm),
        Code::VEX_Vmovmskps_r32_ymm => Some(Code::EVEX_Vpmovd2m_kr_zmm),
        _ => None,
    }
}

/// Which operand has half the bits of the other one.
fn half_operand(code: Code) -> Option<usize> {
    match code {
        Code::VEX_Vcvtps2pd_ymm_xmmm128
        | Code::VEX_Vcvtdq2pd_ymm_xmmm128
        | Code::VEX_Vpmovsxdq_ymm_xmmm128 => Some(1),
        Code::VEX_Vcvtpd2ps_xmm_ymmm256 | Code::VEX_Vcvttpd2dq_xmm_ymmm256 => Some(0),
        _ => None,
    }
}

/// The 512-bit form of a 256-bit instruction.
fn of_512_bits(code: Code) -> Option<Code> {
    Some(match code {
        Code::VEX_Vaddpd_ymm_ymm_ymmm256 => Code::EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er,
        Code::VEX_Vaddps_ymm_ymm_ymmm256 => Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er,
        Code::VEX_Vsubpd_ymm_ymm_ymmm256 => Code::EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er,
        Code::VEX_Vsubps_ymm_ymm_ymmm256 => Code::EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er,
        Code::VEX_Vmulpd_ymm_ymm_ymmm256 => Code::EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er,
        Code::VEX_Vmulps_ymm_ymm_ymmm256 => Code::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er,
        Code::VEX_Vdivpd_ymm_ymm_ymmm256 => Code::EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er,
        Code::VEX_Vdivps_ymm_ymm_ymmm256 => Code::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er,
        Code::VEX_Vminpd_ymm_ymm_ymmm256 => Code::EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae,
        Code::VEX_Vminps_ymm_ymm_ymmm256 => Code::EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae,
        Code::VEX_Vmaxpd_ymm_ymm_ymmm256 => Code::EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae,
        Code::VEX_Vmaxps_ymm_ymm_ymmm256 => Code::EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae,
        Code::VEX_Vandpd_ymm_ymm_ymmm256 => Code::EVEX_Vandpd_zmm_k1z_zmm_zmmm512b64,
        Code::VEX_Vorpd_ymm_ymm_ymmm256 => Code::EVEX_Vorpd_zmm_k1z_zmm_zmmm512b64,
        Code::VEX_Vxorpd_ymm_ymm_ymmm256 => Code::EVEX_Vxorpd_zmm_k1z_zmm_zmmm512b64,
        Code::VEX_Vfmadd213pd_ymm_ymm_ymmm256 => Code::EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er,
        Code::VEX_Vfmadd231pd_ymm_ymm_ymmm256 => Code::EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
        Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256 => Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
        Code::VEX_Vfmsub231pd_ymm_ymm_ymmm256 => Code::EVEX_Vfmsub231pd_zmm_k1z_zmm_zmmm512b64_er,
        Code::VEX_Vfmsub231ps_ymm_ymm_ymmm256 => Code::EVEX_Vfmsub231ps_zmm_k1z_zmm_zmmm512b32_er,
        Code::VEX_Vfnmadd231pd_ymm_ymm_ymmm256 => Code::EVEX_Vfnmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
        Code::VEX_Vfnmadd231ps_ymm_ymm_ymmm256 => Code::EVEX_Vfnmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
        Code::VEX_Vpaddd_ymm_ymm_ymmm256 => Code::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
        Code::VEX_Vpaddq_ymm_ymm_ymmm256 => Code::EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64,
        Code::VEX_Vpsubd_ymm_ymm_ymmm256 => Code::EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32,
        Code::VEX_Vpsubq_ymm_ymm_ymmm256 => Code::EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64,
        Code::VEX_Vpmulld_ymm_ymm_ymmm256 => Code::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32,
        Code::VEX_Vpmuludq_ymm_ymm_ymmm256 => Code::EVEX_Vpmuludq_zmm_k1z_zmm_zmmm512b64,
        Code::VEX_Vpmaxsd_ymm_ymm_ymmm256 => Code::EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32,
        Code::VEX_Vpminsd_ymm_ymm_ymmm256 => Code::EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32,
        Code::VEX_Vcvtdq2ps_ymm_ymmm256 => Code::EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er,
        Code::VEX_Vcvttps2dq_ymm_ymmm256 => Code::EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae,
        Code::VEX_Vsqrtpd_ymm_ymmm256 => Code::EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er,
        Code::VEX_Vsqrtps_ymm_ymmm256 => Code::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er,
        Code::VEX_Vpshufd_ymm_ymmm256_imm8 => Code::EVEX_Vpshufd_zmm_k1z_zmmm512b32_imm8,
        Code::VEX_Vroundpd_ymm_ymmm256_imm8 => Code::EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae,
        Code::VEX_Vroundps_ymm_ymmm256_imm8 => Code::EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae,
        Code::VEX_Vpsllq_ymm_ymm_imm8 => Code::EVEX_Vpsllq_zmm_k1z_zmmm512b64_imm8,
        Code::VEX_Vpsrlq_ymm_ymm_imm8 => Code::EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8,
        Code::VEX_Vmovups_ymm_ymmm256 => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
        Code::VEX_Vmovups_ymmm256_ymm => Code::EVEX_Vmovups_zmmm512_k1z_zmm,
        Code::VEX_Vbroadcastsd_ymm_m64 => Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
        Code::VEX_Vbroadcastss_ymm_m32 => Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32,
        Code::VEX_Vpbroadcastq_ymm_xmmm64 => Code::EVEX_Vpbroadcastq_zmm_k1z_xmmm64,
        Code::VEX_Vpbroadcastd_ymm_xmmm32 => Code::EVEX_Vpbroadcastd_zmm_k1z_xmmm32,
        Code::VEX_Vcvtps2pd_ymm_xmmm128 => Code::EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae,
        Code::VEX_Vcvtpd2ps_xmm_ymmm256 => Code::EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er,
        Code::VEX_Vcvtdq2pd_ymm_xmmm128 => Code::EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er,
        Code::VEX_Vcvttpd2dq_xmm_ymmm256 => Code::EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae,
        Code::VEX_Vpmovsxdq_ymm_xmmm128 => Code::EVEX_Vpmovsxdq_zmm_k1z_ymmm256,
        Code::VEX_Vpmovzxbq_ymm_xmmm32 => Code::EVEX_Vpmovzxbq_zmm_k1z_xmmm64,
        Code::VEX_Vpmovzxbd_ymm_xmmm64 => Code::EVEX_Vpmovzxbd_zmm_k1z_xmmm128,
        _ => return None,
    })
}

/// The form of the same size that reaches 32 registers.
fn of_many_registers(code: Code) -> Option<Code> {
    Some(match code {
        Code::VEX_Vaddpd_xmm_xmm_xmmm128 => Code::EVEX_Vaddpd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vaddpd_ymm_ymm_ymmm256 => Code::EVEX_Vaddpd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vaddps_xmm_xmm_xmmm128 => Code::EVEX_Vaddps_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vaddps_ymm_ymm_ymmm256 => Code::EVEX_Vaddps_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vsubpd_xmm_xmm_xmmm128 => Code::EVEX_Vsubpd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vsubpd_ymm_ymm_ymmm256 => Code::EVEX_Vsubpd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vsubps_xmm_xmm_xmmm128 => Code::EVEX_Vsubps_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vsubps_ymm_ymm_ymmm256 => Code::EVEX_Vsubps_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vmulpd_xmm_xmm_xmmm128 => Code::EVEX_Vmulpd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vmulpd_ymm_ymm_ymmm256 => Code::EVEX_Vmulpd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vmulps_xmm_xmm_xmmm128 => Code::EVEX_Vmulps_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vmulps_ymm_ymm_ymmm256 => Code::EVEX_Vmulps_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vdivpd_xmm_xmm_xmmm128 => Code::EVEX_Vdivpd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vdivpd_ymm_ymm_ymmm256 => Code::EVEX_Vdivpd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vdivps_xmm_xmm_xmmm128 => Code::EVEX_Vdivps_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vdivps_ymm_ymm_ymmm256 => Code::EVEX_Vdivps_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vminpd_xmm_xmm_xmmm128 => Code::EVEX_Vminpd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vminpd_ymm_ymm_ymmm256 => Code::EVEX_Vminpd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vminps_xmm_xmm_xmmm128 => Code::EVEX_Vminps_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vminps_ymm_ymm_ymmm256 => Code::EVEX_Vminps_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vmaxpd_xmm_xmm_xmmm128 => Code::EVEX_Vmaxpd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vmaxpd_ymm_ymm_ymmm256 => Code::EVEX_Vmaxpd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vmaxps_xmm_xmm_xmmm128 => Code::EVEX_Vmaxps_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vmaxps_ymm_ymm_ymmm256 => Code::EVEX_Vmaxps_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vandpd_xmm_xmm_xmmm128 => Code::EVEX_Vandpd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vandpd_ymm_ymm_ymmm256 => Code::EVEX_Vandpd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vorpd_xmm_xmm_xmmm128 => Code::EVEX_Vorpd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vorpd_ymm_ymm_ymmm256 => Code::EVEX_Vorpd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vxorpd_xmm_xmm_xmmm128 => Code::EVEX_Vxorpd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vxorpd_ymm_ymm_ymmm256 => Code::EVEX_Vxorpd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vfmadd213pd_xmm_xmm_xmmm128 => Code::EVEX_Vfmadd213pd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vfmadd213pd_ymm_ymm_ymmm256 => Code::EVEX_Vfmadd213pd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vfmadd231pd_xmm_xmm_xmmm128 => Code::EVEX_Vfmadd231pd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vfmadd231pd_ymm_ymm_ymmm256 => Code::EVEX_Vfmadd231pd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vfmadd231ps_xmm_xmm_xmmm128 => Code::EVEX_Vfmadd231ps_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256 => Code::EVEX_Vfmadd231ps_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vfmsub231pd_xmm_xmm_xmmm128 => Code::EVEX_Vfmsub231pd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vfmsub231pd_ymm_ymm_ymmm256 => Code::EVEX_Vfmsub231pd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vfmsub231ps_xmm_xmm_xmmm128 => Code::EVEX_Vfmsub231ps_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vfmsub231ps_ymm_ymm_ymmm256 => Code::EVEX_Vfmsub231ps_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vfnmadd231pd_xmm_xmm_xmmm128 => Code::EVEX_Vfnmadd231pd_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vfnmadd231pd_ymm_ymm_ymmm256 => Code::EVEX_Vfnmadd231pd_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vfnmadd231ps_xmm_xmm_xmmm128 => Code::EVEX_Vfnmadd231ps_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vfnmadd231ps_ymm_ymm_ymmm256 => Code::EVEX_Vfnmadd231ps_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vpaddd_xmm_xmm_xmmm128 => Code::EVEX_Vpaddd_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vpaddd_ymm_ymm_ymmm256 => Code::EVEX_Vpaddd_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vpaddq_xmm_xmm_xmmm128 => Code::EVEX_Vpaddq_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vpaddq_ymm_ymm_ymmm256 => Code::EVEX_Vpaddq_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vpsubd_xmm_xmm_xmmm128 => Code::EVEX_Vpsubd_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vpsubd_ymm_ymm_ymmm256 => Code::EVEX_Vpsubd_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vpsubq_xmm_xmm_xmmm128 => Code::EVEX_Vpsubq_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vpsubq_ymm_ymm_ymmm256 => Code::EVEX_Vpsubq_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vpmulld_xmm_xmm_xmmm128 => Code::EVEX_Vpmulld_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vpmulld_ymm_ymm_ymmm256 => Code::EVEX_Vpmulld_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vpmuludq_xmm_xmm_xmmm128 => Code::EVEX_Vpmuludq_xmm_k1z_xmm_xmmm128b64,
        Code::VEX_Vpmuludq_ymm_ymm_ymmm256 => Code::EVEX_Vpmuludq_ymm_k1z_ymm_ymmm256b64,
        Code::VEX_Vpmaxsd_xmm_xmm_xmmm128 => Code::EVEX_Vpmaxsd_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vpmaxsd_ymm_ymm_ymmm256 => Code::EVEX_Vpmaxsd_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vpminsd_xmm_xmm_xmmm128 => Code::EVEX_Vpminsd_xmm_k1z_xmm_xmmm128b32,
        Code::VEX_Vpminsd_ymm_ymm_ymmm256 => Code::EVEX_Vpminsd_ymm_k1z_ymm_ymmm256b32,
        Code::VEX_Vcvtdq2ps_xmm_xmmm128 => Code::EVEX_Vcvtdq2ps_xmm_k1z_xmmm128b32,
        Code::VEX_Vcvtdq2ps_ymm_ymmm256 => Code::EVEX_Vcvtdq2ps_ymm_k1z_ymmm256b32,
        Code::VEX_Vcvttps2dq_xmm_xmmm128 => Code::EVEX_Vcvttps2dq_xmm_k1z_xmmm128b32,
        Code::VEX_Vcvttps2dq_ymm_ymmm256 => Code::EVEX_Vcvttps2dq_ymm_k1z_ymmm256b32,
        Code::VEX_Vsqrtpd_xmm_xmmm128 => Code::EVEX_Vsqrtpd_xmm_k1z_xmmm128b64,
        Code::VEX_Vsqrtpd_ymm_ymmm256 => Code::EVEX_Vsqrtpd_ymm_k1z_ymmm256b64,
        Code::VEX_Vsqrtps_xmm_xmmm128 => Code::EVEX_Vsqrtps_xmm_k1z_xmmm128b32,
        Code::VEX_Vsqrtps_ymm_ymmm256 => Code::EVEX_Vsqrtps_ymm_k1z_ymmm256b32,
        Code::VEX_Vpshufd_xmm_xmmm128_imm8 => Code::EVEX_Vpshufd_xmm_k1z_xmmm128b32_imm8,
        Code::VEX_Vpshufd_ymm_ymmm256_imm8 => Code::EVEX_Vpshufd_ymm_k1z_ymmm256b32_imm8,
        Code::VEX_Vroundpd_xmm_xmmm128_imm8 => Code::EVEX_Vrndscalepd_xmm_k1z_xmmm128b64_imm8,
        Code::VEX_Vroundpd_ymm_ymmm256_imm8 => Code::EVEX_Vrndscalepd_ymm_k1z_ymmm256b64_imm8,
        Code::VEX_Vroundps_xmm_xmmm128_imm8 => Code::EVEX_Vrndscaleps_xmm_k1z_xmmm128b32_imm8,
        Code::VEX_Vroundps_ymm_ymmm256_imm8 => Code::EVEX_Vrndscaleps_ymm_k1z_ymmm256b32_imm8,
        Code::VEX_Vpsllq_xmm_xmm_imm8 => Code::EVEX_Vpsllq_xmm_k1z_xmmm128b64_imm8,
        Code::VEX_Vpsllq_ymm_ymm_imm8 => Code::EVEX_Vpsllq_ymm_k1z_ymmm256b64_imm8,
        Code::VEX_Vpsrlq_xmm_xmm_imm8 => Code::EVEX_Vpsrlq_xmm_k1z_xmmm128b64_imm8,
        Code::VEX_Vpsrlq_ymm_ymm_imm8 => Code::EVEX_Vpsrlq_ymm_k1z_ymmm256b64_imm8,
        Code::VEX_Vmovups_xmm_xmmm128 => Code::EVEX_Vmovups_xmm_k1z_xmmm128,
        Code::VEX_Vmovups_ymm_ymmm256 => Code::EVEX_Vmovups_ymm_k1z_ymmm256,
        Code::VEX_Vmovups_xmmm128_xmm => Code::EVEX_Vmovups_xmmm128_k1z_xmm,
        Code::VEX_Vmovups_ymmm256_ymm => Code::EVEX_Vmovups_ymmm256_k1z_ymm,
        Code::VEX_Vmovsd_xmm_m64 => Code::EVEX_Vmovsd_xmm_k1z_m64,
        Code::VEX_Vmovsd_m64_xmm => Code::EVEX_Vmovsd_m64_k1_xmm,
        Code::VEX_Vmovss_xmm_m32 => Code::EVEX_Vmovss_xmm_k1z_m32,
        Code::VEX_Vmovss_m32_xmm => Code::EVEX_Vmovss_m32_k1_xmm,
        Code::VEX_Vmovhpd_xmm_xmm_m64 => Code::EVEX_Vmovhpd_xmm_xmm_m64,
        Code::VEX_Vmovq_xmm_rm64 => Code::EVEX_Vmovq_xmm_rm64,
        Code::VEX_Vmovq_rm64_xmm => Code::EVEX_Vmovq_rm64_xmm,
        _ => return None,
    })
}
