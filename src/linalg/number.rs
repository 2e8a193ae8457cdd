//! Numbers that library nodes compute with: the machine's own types where they are common, any other through
//! [`arith`].

use num_complex::{Complex32, Complex64};

use crate::scalar::{BinaryOp, DType, Scalar, arith};

/// A number of one type, known at compile time or not.
pub(crate) trait Number: Copy + 'static {
    /// The type that these numbers are in memory; none if only run time tells.
    const DTYPE: Option<DType>;
    /// The number in this type (or in `dtype`, where the type is only known at run time).
    fn of(value: Scalar, dtype: DType) -> Self;
    fn scalar(self) -> Scalar;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// Size, to choose pivots.
    fn magnitude(self) -> f64;
    fn conj(self) -> Self;
}

macro_rules! real {
    ($ty:ty, $variant:ident, $dtype:ident) => {
        impl Number for $ty {
            const DTYPE: Option<DType> = Some(DType::$dtype);

            fn of(value: Scalar, _dtype: DType) -> Self {
                match arith::cast(DType::$dtype, value) {
                    Scalar::$variant(x) => x,
                    other => other.as_f64() as $ty,
                }
            }
            fn scalar(self) -> Scalar {
                Scalar::$variant(self)
            }
            #[inline]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline]
            fn sub(self, other: Self) -> Self {
                self - other
            }
            #[inline]
            fn mul(self, other: Self) -> Self {
                self * other
            }
            fn div(self, other: Self) -> Self {
                self / other
            }
            fn magnitude(self) -> f64 {
                f64::from(self.abs())
            }
            fn conj(self) -> Self {
                self
            }
        }
    };
}

real!(f64, F64, F64);
real!(f32, F32, F32);

macro_rules! complex {
    ($ty:ty, $variant:ident, $dtype:ident, $divide:path) => {
        impl Number for $ty {
            const DTYPE: Option<DType> = Some(DType::$dtype);

            fn of(value: Scalar, _dtype: DType) -> Self {
                match arith::cast(DType::$dtype, value) {
                    Scalar::$variant(x) => x,
                    _ => <$ty>::default(),
                }
            }
            fn scalar(self) -> Scalar {
                Scalar::$variant(self)
            }
            #[inline]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline]
            fn sub(self, other: Self) -> Self {
                self - other
            }
            #[inline]
            fn mul(self, other: Self) -> Self {
                self * other
            }
            fn div(self, other: Self) -> Self {
                $divide(self, other)
            }
            fn magnitude(self) -> f64 {
                f64::from(self.re.hypot(self.im))
            }
            fn conj(self) -> Self {
                Self { re: self.re, im: -self.im }
            }
        }
    };
}

complex!(Complex64, C128, C128, arith::complex::divide);
complex!(Complex32, C64, C64, arith::complex::divide_f32);

/// A number whose type is known at run time.
impl Number for Scalar {
    const DTYPE: Option<DType> = None;

    fn of(value: Scalar, dtype: DType) -> Self {
        arith::cast(dtype, value)
    }
    fn scalar(self) -> Scalar {
        self
    }
    fn add(self, other: Self) -> Self {
        arith::binary(BinaryOp::Add, self, other).unwrap_or(self)
    }
    fn sub(self, other: Self) -> Self {
        arith::binary(BinaryOp::Sub, self, other).unwrap_or(self)
    }
    fn mul(self, other: Self) -> Self {
        arith::binary(BinaryOp::Mul, self, other).unwrap_or(self)
    }
    fn div(self, other: Self) -> Self {
        arith::binary(BinaryOp::Div, self, other).unwrap_or(self)
    }
    fn magnitude(self) -> f64 {
        let z = self.as_complex();
        z.re.hypot(z.im)
    }
    fn conj(self) -> Self {
        arith::call(crate::scalar::Func::Conj, &[self]).unwrap_or(self)
    }
}

/// The type in which numbers of several types meet: the widest complex, else the widest float, else the
/// first type.
pub(crate) fn meeting_type(dtypes: &[DType]) -> DType {
    let has = |wanted: DType| dtypes.contains(&wanted);
    let complex = dtypes.iter().any(|dtype| dtype.is_complex());
    let double = has(DType::F64) || has(DType::C128);
    match (complex, double) {
        (true, true) => DType::C128,
        (true, false) => DType::C64,
        (false, true) => DType::F64,
        (false, false) if has(DType::F32) => DType::F32,
        _ => dtypes.first().copied().unwrap_or(DType::F64),
    }
}

/// Calls a function generic over [`Number`] with the type for `$dtype`.
macro_rules! with_number {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::scalar::DType::F64 => {
                type $T = f64;
                $body
            }
            $crate::scalar::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::scalar::DType::C128 => {
                type $T = num_complex::Complex64;
                $body
            }
            $crate::scalar::DType::C64 => {
                type $T = num_complex::Complex32;
                $body
            }
            _ => {
                type $T = $crate::scalar::Scalar;
                $body
            }
        }
    };
}
pub(crate) use with_number;
