//! Arrays of the caller, borrowed for one call.

use bytemuck::NoUninit;
use half::{bf16, f16};
use num_complex::{Complex32, Complex64};

use crate::scalar::DType;

/// A Rust type that arrays of a program can have as element.
///
/// Booleans are not among them, because an engine writes bytes: pass them as `u8` (0 and 1).
pub trait Element: NoUninit + bytemuck::AnyBitPattern {
    /// The type's name in programs.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident),* $(,)?) => {
        $(impl Element for $rust {
            const DTYPE: DType = DType::$dtype;
        })*
    };
}

elements! {
    i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    f16 => F16, bf16 => BF16, f32 => F32, f64 => F64,
    Complex32 => C64, Complex64 => C128,
}

/// An array of the caller: elements, extents and distances.
#[derive(Debug)]
pub struct ArrayView<'a, T> {
    /// The elements, of which the array may use only some.
    pub data: &'a mut [T],
    /// Position of element `[0, 0, ...]` in `data`.
    pub offset: usize,
    /// Extent per dimension.
    pub shape: Vec<usize>,
    /// Distance per dimension, in elements; may be negative.
    pub strides: Vec<isize>,
}

impl<'a, T> ArrayView<'a, T> {
    /// A row-major array.
    pub fn row_major(data: &'a mut [T], shape: &[usize]) -> ArrayView<'a, T> {
        let strides = super::npz::dense_strides(1, shape, false);
        ArrayView { data, offset: 0, shape: shape.to_vec(), strides }
    }

    /// A column-major array (first dimension fastest, as Fortran and GT4Py on CPU have it).
    pub fn column_major(data: &'a mut [T], shape: &[usize]) -> ArrayView<'a, T> {
        let strides = super::npz::dense_strides(1, shape, true);
        ArrayView { data, offset: 0, shape: shape.to_vec(), strides }
    }

    /// An array of any layout; strides count elements.
    pub fn strided(data: &'a mut [T], shape: &[usize], strides: &[isize]) -> ArrayView<'a, T> {
        ArrayView { data, offset: 0, shape: shape.to_vec(), strides: strides.to_vec() }
    }
}

/// An array with its element type erased, as [`Call::array`](super::Call::array) takes it.
#[derive(Debug)]
pub struct ErasedArray<'a> {
    pub(super) bytes: &'a mut [u8],
    pub(super) dtype: DType,
    /// Offset, shape and strides, in elements; `None` takes the declared shape, row-major.
    pub(super) layout: Option<(usize, Vec<usize>, Vec<isize>)>,
}

impl<'a, T: Element> From<&'a mut [T]> for ErasedArray<'a> {
    fn from(data: &'a mut [T]) -> Self {
        ErasedArray { bytes: bytemuck::cast_slice_mut(data), dtype: T::DTYPE, layout: None }
    }
}

impl<'a, T: Element> From<&'a mut Vec<T>> for ErasedArray<'a> {
    fn from(data: &'a mut Vec<T>) -> Self {
        data.as_mut_slice().into()
    }
}

impl<'a, T: Element, const N: usize> From<&'a mut [T; N]> for ErasedArray<'a> {
    fn from(data: &'a mut [T; N]) -> Self {
        data.as_mut_slice().into()
    }
}

impl<'a, T: Element> From<ArrayView<'a, T>> for ErasedArray<'a> {
    fn from(view: ArrayView<'a, T>) -> Self {
        let layout = Some((view.offset, view.shape, view.strides));
        ErasedArray { bytes: bytemuck::cast_slice_mut(view.data), dtype: T::DTYPE, layout }
    }
}

/// A number that scalars and symbols can be given as.
pub trait Number {
    /// The number with its type.
    fn scalar(self) -> crate::scalar::Scalar;
}

macro_rules! numbers {
    ($($rust:ty => $variant:ident),* $(,)?) => {
        $(impl Number for $rust {
            fn scalar(self) -> crate::scalar::Scalar {
                crate::scalar::Scalar::$variant(self)
            }
        })*
    };
}

numbers! {
    bool => Bool, i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    f16 => F16, bf16 => BF16, f32 => F32, f64 => F64,
    Complex32 => C64, Complex64 => C128,
}

impl Number for usize {
    fn scalar(self) -> crate::scalar::Scalar {
        crate::scalar::Scalar::U64(self as u64)
    }
}

impl Number for crate::scalar::Scalar {
    fn scalar(self) -> crate::scalar::Scalar {
        self
    }
}
