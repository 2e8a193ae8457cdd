//! The arguments of one call by position, as addresses: what a caller that calls often hands over.

use crate::scalar::{Scalar, Type};

/// One argument.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// Not given.
    Absent,
    /// A scalar or symbol.
    Number(Scalar),
    /// An array, or one element by address.
    Array(GivenArray<'a>),
}

/// An array in memory.
#[derive(Clone, Copy, Debug)]
pub struct GivenArray<'a> {
    /// Address of element `[0, 0, ...]`.
    pub address: *mut u8,
    /// Element type as the caller has it.
    pub ty: Type,
    /// Extent per dimension.
    pub shape: &'a [usize],
    /// Distance per dimension, in bytes.
    pub strides: &'a [isize],
}

impl GivenArray<'_> {
    /// The bytes around all elements: distance from the address to the first one, and how many; none if there are
    /// no elements or the layout is impossible.
    pub(crate) fn reach(&self, item: usize) -> Option<(isize, usize)> {
        if self.shape.contains(&0) {
            return None;
        }
        let (mut low, mut high) = (0isize, isize::try_from(item).ok()?);
        for (&extent, &stride) in self.shape.iter().zip(self.strides) {
            let reach = isize::try_from(extent - 1).ok()?.checked_mul(stride)?;
            let end = if reach < 0 { &mut low } else { &mut high };
            *end = end.checked_add(reach)?;
        }
        Some((low, usize::try_from(high.checked_sub(low)?).ok()?))
    }
}
