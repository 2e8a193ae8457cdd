//! A strided array of numbers, for reading.

use crate::scalar::{DType, Scalar, StructTable, Type};

/// Numbers in memory: a byte buffer with an offset, a shape and strides.
#[derive(Clone, Debug)]
pub struct View<'a> {
    bytes: &'a [u8],
    offset: isize,
    dtype: DType,
    shape: Vec<usize>,
    strides: Vec<isize>,
}

/// One dimension of a slice as Python writes it: start, stop and step, each may be left out.
pub type PythonSlice = [Option<i64>; 3];

impl<'a> View<'a> {
    /// A view. Strides are in bytes; elements outside `bytes` read as `None`.
    pub fn new(bytes: &'a [u8], offset: usize, dtype: DType, shape: &[usize], strides: &[isize]) -> View<'a> {
        let offset = isize::try_from(offset).unwrap_or(isize::MAX);
        View { bytes, offset, dtype, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    /// The numbers of an array with elements of type `ty`, each with a suffix for its name: one view for
    /// numbers and vectors (lanes run along the last dimension), one per field for records.
    pub fn parts(
        bytes: &'a [u8],
        offset: usize,
        ty: Type,
        shape: &[usize],
        strides: &[isize],
        structs: &StructTable,
        names: &dyn Fn(crate::entity::Name) -> String,
    ) -> Vec<(String, View<'a>)> {
        match ty {
            Type::Scalar(dtype) => vec![(String::new(), View::new(bytes, offset, dtype, shape, strides))],
            Type::Vector(dtype, lanes) => {
                let mut view = View::new(bytes, offset, dtype, shape, strides);
                let item = dtype.bytes().cast_signed();
                let lanes = usize::from(lanes);
                match (view.shape.last_mut(), view.strides.last_mut()) {
                    (Some(extent), Some(stride)) if *stride == item * lanes.cast_signed() => {
                        *extent = extent.saturating_mul(lanes);
                        *stride = item;
                    }
                    _ => {
                        view.shape.push(lanes);
                        view.strides.push(item);
                    }
                }
                vec![(String::new(), view)]
            }
            Type::Struct(id) => {
                let Some(record) = structs.get(id) else { return Vec::new() };
                let mut parts = Vec::new();
                for field in &record.fields {
                    // Records of records do not occur in arguments; their inner fields are not listed.
                    if let Type::Scalar(dtype) = field.ty {
                        let view =
                            View::new(bytes, offset.saturating_add(field.offset), dtype, shape, strides);
                        parts.push((format!(".{}", names(field.name)), view));
                    }
                }
                parts
            }
            Type::Opaque(_) => Vec::new(),
        }
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Extent per dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// The element at an index.
    pub fn get(&self, index: &[usize]) -> Option<Scalar> {
        let mut at = self.offset;
        for (&position, &stride) in index.iter().zip(&self.strides) {
            at = at.checked_add(isize::try_from(position).ok()?.checked_mul(stride)?)?;
        }
        self.read(at)
    }

    fn read(&self, at: isize) -> Option<Scalar> {
        Scalar::from_le_bytes(self.dtype, self.bytes.get(usize::try_from(at).ok()?..)?)
    }

    /// Elements in row-major order. An element outside the buffer is `None`.
    pub fn scalars(&self) -> impl Iterator<Item = Option<Scalar>> {
        let mut index = vec![0usize; self.shape.len()];
        let mut at = self.offset;
        (0..self.len()).map(move |_| {
            let element = self.read(at);
            for dimension in (0..index.len()).rev() {
                index[dimension] += 1;
                at = at.saturating_add(self.strides[dimension]);
                if index[dimension] < self.shape[dimension] {
                    break;
                }
                at =
                    at.saturating_sub(self.strides[dimension].saturating_mul(index[dimension].cast_signed()));
                index[dimension] = 0;
            }
            element
        })
    }

    /// The index of the `position`-th element in row-major order.
    pub fn index_of(&self, mut position: usize) -> Vec<usize> {
        let mut index = vec![0; self.shape.len()];
        for (slot, &extent) in index.iter_mut().zip(&self.shape).rev() {
            *slot = position % extent.max(1);
            position /= extent.max(1);
        }
        index
    }

    /// The view with its leading dimensions sliced as Python would.
    #[must_use]
    pub fn sliced(mut self, slices: &[PythonSlice]) -> View<'a> {
        for (dimension, slice) in slices.iter().enumerate().take(self.shape.len()) {
            let [start, stop, step] = slice_in(slice, self.shape[dimension]);
            let count = (stop - start).max(0).saturating_add(step - 1) / step;
            let stride = self.strides[dimension];
            let start = isize::try_from(start).unwrap_or(isize::MAX);
            self.offset = self.offset.saturating_add(start.saturating_mul(stride));
            self.strides[dimension] = stride.saturating_mul(isize::try_from(step).unwrap_or(isize::MAX));
            self.shape[dimension] = usize::try_from(count).unwrap_or(0);
        }
        self
    }

    /// A single element as an array of `rank` dimensions; any other view as it is.
    #[must_use]
    pub fn single(mut self, rank: usize) -> View<'a> {
        if self.len() == 1 {
            self.shape = vec![1; rank];
            self.strides = vec![0; rank];
        }
        self
    }

    /// The view with one dimension fixed.
    #[must_use]
    pub fn fixed(mut self, dimension: usize, position: usize) -> View<'a> {
        if dimension < self.shape.len() {
            self.shape.remove(dimension);
            let stride = self.strides.remove(dimension);
            self.offset = self.offset.saturating_add(stride.saturating_mul(position.cast_signed()));
        }
        self
    }
}

/// First index, end and step of a slice in a dimension of that extent.
pub(crate) fn slice_in(slice: &PythonSlice, extent: usize) -> [i64; 3] {
    let extent = i64::try_from(extent).unwrap_or(i64::MAX);
    let place = |bound: Option<i64>, open: i64| match bound {
        None => open,
        Some(at) if at < 0 => at.saturating_add(extent).max(0),
        Some(at) => at.min(extent),
    };
    [place(slice[0], 0), place(slice[1], extent), slice[2].filter(|&step| step > 0).unwrap_or(1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(view: &View) -> Vec<f64> {
        view.scalars().map(|element| element.unwrap().as_f64()).collect()
    }

    #[test]
    fn iterates_rows_of_any_layout() {
        let bytes: Vec<u8> = (0..6).collect();
        assert_eq!(numbers(&View::new(&bytes, 0, DType::U8, &[2, 3], &[3, 1])), [0., 1., 2., 3., 4., 5.]);
        assert_eq!(numbers(&View::new(&bytes, 0, DType::U8, &[2, 3], &[1, 2])), [0., 2., 4., 1., 3., 5.]);
        assert_eq!(numbers(&View::new(&bytes, 5, DType::U8, &[6], &[-1])), [5., 4., 3., 2., 1., 0.]);
        assert_eq!(numbers(&View::new(&bytes, 2, DType::U8, &[], &[])), [2.]);
        assert_eq!(numbers(&View::new(&bytes, 0, DType::U8, &[3, 0], &[0, 1])), [0.; 0]);
    }

    #[test]
    fn elements_outside_the_buffer_are_not_read() {
        let view = View::new(&[1, 2], 0, DType::U8, &[3], &[1]);
        assert_eq!(view.scalars().map(|element| element.is_some()).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn a_single_element_has_any_rank() {
        let view = View::new(&[7, 8], 1, DType::U8, &[1, 1], &[1, 1]);
        assert_eq!((view.clone().single(0).shape(), numbers(&view.clone().single(0))), (&[][..], vec![8.]));
        assert_eq!((view.clone().single(3).shape(), numbers(&view.single(3))), (&[1, 1, 1][..], vec![8.]));
        let pair = View::new(&[7, 8], 0, DType::U8, &[2], &[1]);
        assert_eq!(pair.single(0).shape(), [2]);
    }

    #[test]
    fn slices_as_python_does() {
        let bytes: Vec<u8> = (0..10).collect();
        let view = View::new(&bytes, 0, DType::U8, &[10], &[1]);
        assert_eq!(numbers(&view.clone().sliced(&[[Some(2), Some(-1), Some(3)]])), [2., 5., 8.]);
        assert_eq!(numbers(&view.clone().sliced(&[[Some(-3), None, None]])), [7., 8., 9.]);
        assert_eq!(numbers(&view.clone().sliced(&[[Some(7), Some(3), None]])), [0.; 0]);
        assert_eq!(numbers(&view.sliced(&[[None, Some(99), Some(5)]])), [0., 5.]);
    }
}
