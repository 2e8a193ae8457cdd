//! Mirrors: memory of the host and its copy on the device, and where that copy lies.
//!
//! Transients that have a place in the slab of the host's arena have the same place in one buffer of the device, as long
//! as its offsets suit the device; so their lives share bytes there as they do on the host. Everything else has a buffer of
//! its own.

use wgpu::Buffer;

use super::device::Gpu;
use super::host::HostMemory;

/// Bytes of a device's buffer.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub buffer: Buffer,
    pub offset: u64,
    /// Whether others lie in that buffer too.
    pub shared: bool,
}

impl Spot {
    /// A whole buffer.
    pub fn whole(buffer: Buffer) -> Spot {
        Spot { buffer, offset: 0, shared: false }
    }
}

/// Memory of the host and its copy on the device.
pub(super) struct Mirror {
    pub host: HostMemory,
    pub device: Option<Spot>,
    pub host_current: bool,
    pub device_current: bool,
    /// A launch that was not yet submitted uses it.
    pub pending: bool,
    /// Elements are `float64` here and `float32` there.
    pub narrowed: bool,
}

impl Mirror {
    /// Memory whose bytes the host has.
    pub const fn of_host(host: HostMemory, narrowed: bool) -> Mirror {
        Mirror { host, device: None, host_current: true, device_current: false, pending: false, narrowed }
    }

    /// Bytes of the elements on the device.
    pub const fn device_bytes(&self) -> usize {
        if self.narrowed { self.host.bytes / 2 } else { self.host.bytes }
    }

    /// Whether its copy shares a buffer with others.
    pub fn is_shared(&self) -> bool {
        self.device.as_ref().is_some_and(|spot| spot.shared)
    }

    /// Sends the host's bytes to the device.
    ///
    /// # Safety
    /// The host's memory is valid, and nobody writes it meanwhile.
    pub unsafe fn send(&self, queue: &wgpu::Queue, spot: &Spot) {
        let narrow = |bytes: &[u8]| -> Vec<u8> {
            let eights = bytes.chunks_exact(8).map(|eight| eight.try_into().unwrap_or([0; 8]));
            eights.flat_map(|eight| (f64::from_le_bytes(eight) as f32).to_le_bytes()).collect()
        };
        // SAFETY: as the caller says.
        unsafe {
            self.host.read(|bytes| match self.narrowed {
                true => upload(queue, spot, &narrow(bytes)),
                false => upload(queue, spot, bytes),
            });
        }
    }
}

/// The slab of a run on the device.
#[derive(Default)]
pub(super) struct Slab {
    host: Option<HostMemory>,
    buffer: Option<Buffer>,
    /// Bytes of the mirrors that were put there, the largest of each.
    pub apart: hashbrown::HashMap<crate::kernel::BufferId, u64>,
}

impl Slab {
    /// For a slab of the host, if there is one.
    pub fn new(host: Option<(*mut u8, usize)>) -> Slab {
        let host = host.map(|(address, bytes)| HostMemory { address, bytes });
        Slab { host, ..Slab::default() }
    }

    /// Where the copy of memory lies that lies in the host's slab; none if it does not, or the device cannot begin a binding there.
    pub fn spot(&mut self, gpu: &Gpu, host: HostMemory) -> Option<Spot> {
        let slab = self.host?;
        let offset = (host.address as usize).checked_sub(slab.address as usize)?;
        let end = offset.checked_add(host.bytes)?;
        let size = padded(slab.bytes);
        let fits = host.bytes > 0
            && end <= slab.bytes
            && offset.is_multiple_of(gpu.storage_alignment)
            && offset as u64 + padded(host.bytes) <= size
            && size <= gpu.abilities.buffer_bytes;
        if !fits {
            return None;
        }
        let buffer = self.buffer.get_or_insert_with(|| gpu.take(size)).clone();
        Some(Spot { buffer, offset: offset as u64, shared: true })
    }

    /// Its buffer, if somebody used it.
    pub fn take(&mut self) -> Option<Buffer> {
        self.buffer.take()
    }
}

/// Bytes of a device buffer for so many bytes of the host.
pub(super) fn padded(bytes: usize) -> u64 {
    (bytes as u64).max(16).next_multiple_of(16)
}

/// Writes bytes to the device; copies have to be whole words.
pub(super) fn upload(queue: &wgpu::Queue, spot: &Spot, bytes: &[u8]) {
    let whole = bytes.len() / 4 * 4;
    if whole > 0 {
        queue.write_buffer(&spot.buffer, spot.offset, &bytes[..whole]);
    }
    if whole < bytes.len() {
        let mut last = [0; 4];
        last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
        queue.write_buffer(&spot.buffer, spot.offset + whole as u64, &last);
    }
}
