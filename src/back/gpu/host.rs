//! Host memory that is mirrored on the device: the only place of this back end that touches it.

/// A piece of host memory, by address.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostMemory {
    pub address: *mut u8,
    pub bytes: usize,
}

impl HostMemory {
    /// A copy of what it holds goes to `take`.
    ///
    /// # Safety
    /// The memory is valid, and nobody writes it meanwhile.
    pub unsafe fn read<R>(self, take: impl FnOnce(&[u8]) -> R) -> R {
        if self.bytes == 0 {
            return take(&[]);
        }
        // SAFETY: as the caller says.
        take(unsafe { std::slice::from_raw_parts(self.address, self.bytes) })
    }

    /// Overwrites it; what is missing at the end of `bytes` stays.
    ///
    /// # Safety
    /// The memory is valid for writing, and nobody else uses it meanwhile.
    pub unsafe fn write(self, bytes: &[u8]) {
        let count = self.bytes.min(bytes.len());
        if count > 0 {
            // SAFETY: as the caller says; the device's copy lies elsewhere.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.address, count) };
        }
    }

    /// Overwrites `float64` elements by `float32` ones, where these differ from what is there, rounded: what nobody wrote
    /// keeps its bits.
    ///
    /// # Safety
    /// As [`HostMemory::write`].
    pub unsafe fn widen(self, singles: &[u8]) {
        for (index, four) in singles.chunks_exact(4).take(self.bytes / 8).enumerate() {
            let Ok(four) = four.try_into() else { continue };
            let single = f32::from_le_bytes(four);
            // SAFETY: as the caller says; the element lies inside.
            unsafe {
                let place = self.address.add(index * 8).cast::<f64>();
                if (place.read_unaligned() as f32).to_bits() != single.to_bits() {
                    place.write_unaligned(f64::from(single));
                }
            }
        }
    }

    /// The `index`-th 8-byte entry of it.
    ///
    /// # Safety
    /// The memory is valid.
    pub unsafe fn entry(self, index: usize) -> u64 {
        if (index + 1) * 8 > self.bytes {
            return 0;
        }
        // SAFETY: as the caller says; the entry lies inside.
        unsafe { self.address.add(index * 8).cast::<u64>().read_unaligned() }
    }

    /// Sets the first 8-byte entry.
    ///
    /// # Safety
    /// The memory is valid for writing.
    pub unsafe fn answer(self, value: u64) {
        if self.bytes >= 8 {
            // SAFETY: as the caller says.
            unsafe { self.address.cast::<u64>().write_unaligned(value) };
        }
    }
}
