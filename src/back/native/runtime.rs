//! Routines that machine code calls: math functions, conversions of small floats, library nodes.
//!
//! Every one is `extern "C"`, takes plain numbers and addresses, and cannot unwind into machine code.

use half::{bf16, f16};
use num_complex::Complex64;

use crate::kernel::{LibraryCall, Literal};
use crate::scalar::{BinaryOp, DType, Func, Scalar, arith, float8};

use super::call::Frame;

/// The value of a small float's encoding.
pub fn widen(ty: DType, bits: u64) -> f32 {
    match ty {
        DType::F16 => f16::from_bits(bits as u16).to_f32(),
        DType::BF16 => bf16::from_bits(bits as u16).to_f32(),
        DType::F8E4M3 => float8::e4m3_to_f32(bits as u8),
        _ => float8::e5m2_to_f32(bits as u8),
    }
}

extern "C" fn widen_f16(bits: u32) -> f32 {
    f16::from_bits(bits as u16).to_f32()
}

extern "C" fn widen_e4m3(bits: u32) -> f32 {
    float8::e4m3_to_f32(bits as u8)
}

extern "C" fn widen_e5m2(bits: u32) -> f32 {
    float8::e5m2_to_f32(bits as u8)
}

extern "C" fn narrow_f16(value: f32) -> u32 {
    u32::from(f16::from_f32(value).to_bits())
}

extern "C" fn narrow_bf16(value: f32) -> u32 {
    u32::from(bf16::from_f32(value).to_bits())
}

extern "C" fn narrow_e4m3(value: f32) -> u32 {
    u32::from(float8::f32_to_e4m3(value))
}

extern "C" fn narrow_e5m2(value: f32) -> u32 {
    u32::from(float8::f32_to_e5m2(value))
}

/// The routine behind the widening of a small float (`bfloat16` is a shift and needs none).
pub fn widen_routine(ty: DType) -> *const u8 {
    match ty {
        DType::F16 => widen_f16 as *const u8,
        DType::F8E4M3 => widen_e4m3 as *const u8,
        _ => widen_e5m2 as *const u8,
    }
}

/// The routine that encodes a small float.
pub fn narrow_routine(ty: DType) -> *const u8 {
    match ty {
        DType::F16 => narrow_f16 as *const u8,
        DType::BF16 => narrow_bf16 as *const u8,
        DType::F8E4M3 => narrow_e4m3 as *const u8,
        _ => narrow_e5m2 as *const u8,
    }
}

macro_rules! remainder {
    ($name:ident, $ty:ty, $variant:ident, $op:ident) => {
        extern "C" fn $name(a: $ty, b: $ty) -> $ty {
            match arith::binary(BinaryOp::$op, Scalar::$variant(a), Scalar::$variant(b)) {
                Ok(Scalar::$variant(value)) => value,
                _ => <$ty>::NAN,
            }
        }
    };
}

remainder!(rem_f64, f64, F64, Rem);
remainder!(mod_f64, f64, F64, Mod);
remainder!(rem_f32, f32, F32, Rem);
remainder!(mod_f32, f32, F32, Mod);

/// The routine behind `Rem` or `Mod` of floats.
pub fn remainder_routine(op: BinaryOp, double: bool) -> Option<*const u8> {
    Some(match (op, double) {
        (BinaryOp::Rem, true) => rem_f64 as *const u8,
        (BinaryOp::Mod, true) => mod_f64 as *const u8,
        (BinaryOp::Rem, false) => rem_f32 as *const u8,
        (BinaryOp::Mod, false) => mod_f32 as *const u8,
        _ => return None,
    })
}

macro_rules! one_operand {
    ($($func:ident => $name:ident),* $(,)?) => {
        mod one {
            use crate::scalar::math;
            $(pub(super) extern "C" fn $name(x: f64) -> f64 { math::$name(x) })*
        }
        fn one_operand_routine(func: Func) -> Option<*const u8> {
            Some(match func {
                $(Func::$func => one::$name as *const u8,)*
                _ => return None,
            })
        }
    };
}

one_operand! {
    Rsqrt => rsqrt, Cbrt => cbrt, Exp => exp, Exp2 => exp2, Expm1 => expm1, Log => log, Log2 => log2,
    Log10 => log10, Log1p => log1p, Sin => sin, Cos => cos, Tan => tan, Asin => asin, Acos => acos, Atan => atan,
    Sinh => sinh, Cosh => cosh, Tanh => tanh, Asinh => asinh, Acosh => acosh, Atanh => atanh, Erf => erf,
    Erfc => erfc, Gamma => gamma, LogGamma => lgamma, Round => round,
}

macro_rules! two_operands {
    ($($func:ident => $name:ident),* $(,)?) => {
        mod two {
            use crate::scalar::math;
            $(pub(super) extern "C" fn $name(x: f64, y: f64) -> f64 { math::$name(x, y) })*
        }
        fn two_operand_routine(func: Func) -> Option<*const u8> {
            Some(match func {
                $(Func::$func => two::$name as *const u8,)*
                _ => return None,
            })
        }
    };
}

two_operands! {
    Pow => pow, Atan2 => atan2, Hypot => hypot, Fmod => fmod, Fmin => fmin, Fmax => fmax,
}

/// The `float64` routine behind a math function of floats, where there is one.
pub fn math_routine(func: Func) -> Option<*const u8> {
    one_operand_routine(func).or_else(|| two_operand_routine(func))
}

/// Functions that [`any_function`] may be asked for; the number of one is its position.
const FUNCTIONS: [Func; 52] = {
    use Func::*;
    [
        Abs, Sqrt, Rsqrt, Cbrt, Exp, Exp2, Expm1, Log, Log2, Log10, Log1p, Sin, Cos, Tan, Asin, Acos, Atan,
        Sinh, Cosh, Tanh, Asinh, Acosh, Atanh, Erf, Erfc, Gamma, LogGamma, Floor, Ceil, Trunc, Round,
        RoundEven, Sign, IsNan, IsInf, IsFinite, SignBit, Pow, PowI, Atan2, Hypot, CopySign, NextAfter, Fmod,
        Fmin, Fmax, Ldexp, Fma, Real, Imag, Conj, Arg,
    ]
};

/// A math function as a number, for [`any_function`].
pub fn function_code(func: Func) -> i64 {
    FUNCTIONS.iter().position(|&other| other == func).map_or(-1, |index| index as i64)
}

/// A type as a number, for [`any_function`].
pub fn type_code(ty: DType) -> i64 {
    DType::ALL.iter().position(|&other| other == ty).map_or(-1, |index| index as i64)
}

/// Any math function on up to three numbers (type, bits), through `scalar::arith`. A failure, which checked
/// kernels do not reach, gives zero.
pub extern "C" fn any_function(func: i64, t0: i64, a0: u64, t1: i64, a1: u64, t2: i64, a2: u64) -> u64 {
    let number = |ty: i64, bits: u64| {
        let ty = usize::try_from(ty).ok().and_then(|index| DType::ALL.get(index).copied())?;
        Literal { ty, bits }.to_scalar()
    };
    let Some(func) = usize::try_from(func).ok().and_then(|index| FUNCTIONS.get(index).copied()) else {
        return 0;
    };
    let operands: smallvec::SmallVec<[_; 3]> =
        [number(t0, a0), number(t1, a1), number(t2, a2)].into_iter().flatten().collect();
    let result = arith::call(func, &operands).ok().and_then(Literal::from_scalar);
    result.map_or(0, |literal| literal.bits)
}

/// A part of a function of one or two complex numbers: twice the function's number, plus one for the imaginary part.
pub extern "C" fn complex_function(code: i64, re: f64, im: f64, re_2: f64, im_2: f64) -> f64 {
    let func = usize::try_from(code / 2).ok().and_then(|index| FUNCTIONS.get(index).copied());
    let Some(func) = func else { return f64::NAN };
    let a = Scalar::C128(Complex64::new(re, im));
    let b = Scalar::C128(Complex64::new(re_2, im_2));
    let result = if func == Func::Pow { arith::call(func, &[a, b]) } else { arith::call(func, &[a]) };
    match result {
        Ok(number) if code % 2 == 0 => number.as_complex().re,
        Ok(number) => number.as_complex().im,
        Err(_) => f64::NAN,
    }
}

/// Clears memory.
///
/// # Safety
/// `address` is an allocation of at least `bytes`.
pub unsafe extern "C" fn clear(address: *mut u8, bytes: i64) {
    let Ok(bytes) = usize::try_from(bytes) else { return };
    // SAFETY: machine code passes an allocation of that size that it just made.
    unsafe { std::ptr::write_bytes(address, 0, bytes) };
}

/// Arguments of a library call.
#[derive(Clone, Copy)]
pub struct Arguments<'a>(&'a [i64]);

impl Arguments<'_> {
    /// The n-th argument; zero beyond the end.
    pub fn get(self, index: usize) -> i64 {
        self.0.get(index).copied().unwrap_or(0)
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// Runs a library node: 0, or not 0 when it failed.
///
/// # Safety
/// `call` is the description that the calling kernel holds, `arguments` points to `count` numbers.
pub unsafe extern "C" fn library(
    frame: *mut Frame,
    call: *const LibraryCall,
    arguments: *const i64,
    count: i64,
) -> i64 {
    // SAFETY: machine code passes the description that its kernel holds, which outlives the code, and `count`
    // arguments on its stack.
    let (call, arguments) = unsafe {
        let count = usize::try_from(count).unwrap_or(0);
        (&*call, Arguments(std::slice::from_raw_parts(arguments, count)))
    };
    if call.class == super::companion::CLASS {
        // SAFETY: such calls stand outside parallel regions, so that the thread that runs the kernel asks.
        return i64::from(!unsafe { super::call::ask_companion(frame, arguments.0) });
    }
    let dtype = call.operands.first().map(|operand| operand.ty);
    match (call.class.as_str(), dtype) {
        // SAFETY: lowering passes matrices whose extents it checked against their containers.
        ("MatMul", Some(DType::F64)) => unsafe { super::product::run::<f64>(frame, arguments) },
        // SAFETY: as above.
        ("MatMul", Some(DType::F32)) => unsafe { super::product::run::<f32>(frame, arguments) },
        // SAFETY: as above.
        ("MatMul", Some(DType::C128)) => unsafe { super::product::run::<Complex64>(frame, arguments) },
        // SAFETY: as above.
        ("MatMul", Some(DType::C64)) => unsafe {
            super::product::run::<num_complex::Complex32>(frame, arguments)
        },
        // SAFETY: lowering passes operands whose extents it checked against their containers.
        _ => match unsafe { super::callout::run(frame, call, arguments) } {
            Some(()) => 0,
            None => 1,
        },
    }
}
