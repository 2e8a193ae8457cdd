//! Memory that stays on the device between runs.
//!
//! Whoever keeps an array there (`exec::DeviceArray`) keeps host memory for it too, and its address is how a run
//! recognises the array among its arguments. As within a run, each side knows whether its bytes are current. A run
//! that reaches the array on the device goes on with the device's bytes and leaves its results there; everybody else who
//! is about to touch the host's bytes [settles](settle) the array first.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wgpu::Buffer;

use crate::diag::Diagnostic;

use super::device::{Gpu, opened};
use super::host::HostMemory;
use super::mirror::{Spot, padded, upload};

/// The two sides of a resident array.
#[derive(Debug)]
pub(super) struct Sides {
    pub device: Option<Buffer>,
    pub host_current: bool,
    pub device_current: bool,
}

/// An array that is registered as resident.
#[derive(Clone, Debug)]
pub struct Resident {
    gpu: Arc<Gpu>,
    address: usize,
    bytes: usize,
    sides: Arc<Mutex<Sides>>,
}

/// Resident arrays of a device, by the address of their host memory.
#[derive(Debug, Default)]
pub(super) struct Residents(Mutex<BTreeMap<usize, Entry>>);

#[derive(Clone, Debug)]
struct Entry {
    bytes: usize,
    sides: Arc<Mutex<Sides>>,
}

/// How many there are in the process.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether there are resident arrays at all: if not, nobody has to look for them.
pub fn any() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// Makes the host's bytes current in all resident arrays that share bytes with the memory, and the device's stale.
///
/// # Errors
/// The device does not give them.
///
/// # Safety
/// The memory may be written, and nobody else uses it meanwhile.
pub unsafe fn settle(address: *mut u8, bytes: usize) -> Result<(), Diagnostic> {
    match opened().filter(|_| any()) {
        // SAFETY: as the caller says.
        Some(gpu) => unsafe { gpu.residents.settle(&gpu, address, bytes) },
        None => Ok(()),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Residents {
    /// The array that is this memory, and no more and no less.
    pub fn at(&self, host: HostMemory) -> Option<Arc<Mutex<Sides>>> {
        let known = locked(&self.0);
        let entry = known.get(&(host.address as usize))?;
        (entry.bytes == host.bytes).then(|| Arc::clone(&entry.sides))
    }

    /// See [`settle`].
    ///
    /// # Safety
    /// The memory may be written, and nobody else uses it meanwhile.
    pub unsafe fn settle(&self, gpu: &Gpu, address: *mut u8, bytes: usize) -> Result<(), Diagnostic> {
        let end = (address as usize).saturating_add(bytes);
        let known = locked(&self.0);
        let shared: Vec<(usize, Entry)> = known
            .range(..end)
            .rev()
            .take_while(|(start, entry)| *start + entry.bytes > address as usize)
            .map(|(start, entry)| (*start, entry.clone()))
            .collect();
        drop(known);
        for (start, entry) in shared {
            let mut sides = locked(&entry.sides);
            if let Some(newest) = sides.newest(gpu, entry.bytes)? {
                let host = HostMemory { address: start as *mut u8, bytes: entry.bytes };
                // SAFETY: the owner's memory is valid while it is registered, and part of it is the caller's.
                unsafe { host.write(&newest) };
                sides.host_current = true;
            }
            sides.device_current = false;
        }
        Ok(())
    }
}

impl Sides {
    /// What the device has and the host has not.
    fn newest(&self, gpu: &Gpu, bytes: usize) -> Result<Option<Vec<u8>>, Diagnostic> {
        match self.device.as_ref().filter(|_| !self.host_current && self.device_current) {
            Some(device) => gpu.read(device, bytes).map(Some),
            None => Ok(None),
        }
    }
}

impl Resident {
    /// Registers host memory, whose bytes are current. It stays valid until [`Resident::leave`].
    pub fn new(gpu: &Arc<Gpu>, host: &[u8]) -> Resident {
        let sides = Sides { device: None, host_current: true, device_current: false };
        let sides = Arc::new(Mutex::new(sides));
        let address = host.as_ptr() as usize;
        if !host.is_empty() {
            let entry = Entry { bytes: host.len(), sides: Arc::clone(&sides) };
            locked(&gpu.residents.0).insert(address, entry);
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
        Resident { gpu: Arc::clone(gpu), address, bytes: host.len(), sides }
    }

    /// The array's memory goes away.
    pub fn leave(&self) {
        if locked(&self.gpu.residents.0).remove(&self.address).is_some() {
            COUNT.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(buffer) = locked(&self.sides).device.take() {
            self.gpu.give_back(buffer);
        }
    }

    /// Makes the host's bytes current.
    ///
    /// # Errors
    /// The device does not give them.
    pub fn to_host(&self, host: &mut [u8]) -> Result<(), Diagnostic> {
        let mut sides = locked(&self.sides);
        if let Some(newest) = sides.newest(&self.gpu, self.bytes)? {
            host.copy_from_slice(&newest);
            sides.host_current = true;
        }
        Ok(())
    }

    /// The host's bytes were written: they are sent to the device.
    ///
    /// # Errors
    /// The device does not take them.
    pub fn to_device(&self, host: &[u8]) -> Result<(), Diagnostic> {
        let mut sides = locked(&self.sides);
        sides.host_current = true;
        let gpu = &self.gpu;
        if !host.is_empty() {
            let device = sides.device.get_or_insert_with(|| gpu.take(padded(host.len())));
            upload(&gpu.queue, &Spot::whole(device.clone()), host);
            sides.device_current = true;
        }
        gpu.healthy()
    }
}
