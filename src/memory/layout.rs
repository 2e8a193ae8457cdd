//! Questions about strided arrays in byte buffers.

/// Whether elements follow each other in row-major order without gaps; strides in bytes.
pub(crate) fn is_dense(shape: &[usize], strides: &[isize], item: usize) -> bool {
    let mut stride = item;
    for (&extent, &given) in shape.iter().zip(strides).rev() {
        if extent > 1 && usize::try_from(given) != Ok(stride) {
            return false;
        }
        stride = stride.saturating_mul(extent);
    }
    true
}

/// Whether every element lies inside a buffer of `length` bytes.
pub(crate) fn fits_buffer(
    offset: usize,
    shape: &[usize],
    strides: &[isize],
    item: usize,
    length: usize,
) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let (mut low, mut high) = (offset as i128, offset as i128 + item as i128);
    for (&extent, &stride) in shape.iter().zip(strides) {
        let reach = (extent as i128 - 1) * stride as i128;
        if reach < 0 { low += reach } else { high += reach }
    }
    low >= 0 && high <= length as i128
}
