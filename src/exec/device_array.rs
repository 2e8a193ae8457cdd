//! Arrays that stay on the GPU from call to call.

use std::fmt;

use crate::back::gpu::{self, Resident};
use crate::diag::Diagnostic;
use crate::memory::{Arguments, Binding, Buffer};
use crate::scalar::{DType, Type};

/// An array that calls with `--engine gpu` find on the device and leave there: it is copied when somebody asks for its
/// elements, and not otherwise. Other engines take it as well; they work on the host's copy.
///
/// **Order.** There is one queue for the whole process, and what is submitted first runs first: calls, uploads and
/// downloads happen in the order in which the program makes them. A call may return before the device is done;
/// [`DeviceArray::download`] waits for what it needs, [`synchronize`] for everything.
///
/// **Faults.** If a run stops, an array that the program reads and writes holds what it held before.
pub struct DeviceArray {
    /// The host's copy; its pages are taken when they are first touched.
    host: Vec<u64>,
    bytes: usize,
    ty: DType,
    shape: Vec<usize>,
    resident: Resident,
}

impl fmt::Debug for DeviceArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceArray")
            .field("ty", &self.ty)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// Waits until everything that was submitted to the device is done.
///
/// # Errors
/// `P0801` without a device, `P0803` if it was lost.
pub fn synchronize() -> Result<(), Diagnostic> {
    gpu::open()?.synchronize()
}

impl DeviceArray {
    /// An array of zeros.
    ///
    /// # Errors
    /// `P0801` without a device; `P0804` if it cannot be that large.
    pub fn zeros(ty: DType, shape: &[usize]) -> Result<DeviceArray, Diagnostic> {
        let gpu = gpu::open()?;
        let count = shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
        let bytes = count.and_then(|count| count.checked_mul(ty.bytes()));
        let most = gpu.abilities.buffer_bytes.min(u64::from(u32::MAX));
        let Some(bytes) = bytes.filter(|&bytes| bytes as u64 <= most) else {
            return Err(Diagnostic::error(
                "P0804",
                format!("an array of {ty} and shape {shape:?} is too large"),
            )
            .with_note(format!("{} takes {most} bytes in one array", gpu.name))
            .with_help("split it, or keep it on the host"));
        };
        let host = vec![0_u64; bytes.div_ceil(8)];
        let resident = Resident::new(&gpu, &bytemuck::cast_slice(&host)[..bytes]);
        Ok(DeviceArray { host, bytes, ty, shape: shape.to_vec(), resident })
    }

    /// An array of these bytes, row by row.
    ///
    /// # Errors
    /// As [`DeviceArray::zeros`] and [`DeviceArray::upload`].
    pub fn of(ty: DType, shape: &[usize], bytes: &[u8]) -> Result<DeviceArray, Diagnostic> {
        let mut array = DeviceArray::zeros(ty, shape)?;
        array.upload(bytes)?;
        Ok(array)
    }

    fn host(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.host)[..self.bytes]
    }

    /// Replaces all elements.
    ///
    /// # Errors
    /// `P0402` if there are more or fewer bytes; the device does not take them.
    pub fn upload(&mut self, bytes: &[u8]) -> Result<(), Diagnostic> {
        if bytes.len() != self.bytes {
            let (found, expected) = (bytes.len(), self.bytes);
            return Err(Diagnostic::error(
                "P0402",
                format!("{found} bytes for a device array of {expected} bytes"),
            ));
        }
        self.host().copy_from_slice(bytes);
        let host = &bytemuck::cast_slice(&self.host)[..self.bytes];
        self.resident.to_device(host)
    }

    /// The elements, row by row; copied from the device if they changed there.
    ///
    /// # Errors
    /// The device does not give them (`P0803`).
    pub fn download(&mut self) -> Result<&[u8], Diagnostic> {
        let host = &mut bytemuck::cast_slice_mut(&mut self.host)[..self.bytes];
        self.resident.to_host(host)?;
        Ok(host)
    }

    /// Binds the array as an argument.
    ///
    /// # Errors
    /// As [`DeviceArray::download`], for arrays of one element, which a program may take for a number.
    pub fn bind<'a>(&'a mut self, name: &str, args: &mut Arguments<'a>) -> Result<(), Diagnostic> {
        if self.shape.iter().all(|&extent| extent == 1) {
            self.download()?;
        }
        let (ty, shape, strides) = (Type::Scalar(self.ty), self.shape.clone(), self.strides());
        let buffer = args.buffers.push(Buffer::Borrowed(self.host()));
        let binding = Binding::Array { buffer, offset: 0, ty, shape, strides };
        args.bindings.insert(name.to_owned(), binding);
        Ok(())
    }

    /// Extent per dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element type.
    pub fn ty(&self) -> DType {
        self.ty
    }

    /// Distance per dimension, in bytes.
    pub fn strides(&self) -> Vec<isize> {
        let mut strides = vec![0; self.shape.len()];
        let mut stride = self.ty.bytes().cast_signed();
        for (slot, &extent) in strides.iter_mut().zip(&self.shape).rev() {
            *slot = stride;
            stride = stride.saturating_mul(extent.cast_signed());
        }
        strides
    }
}

impl Drop for DeviceArray {
    fn drop(&mut self) {
        self.resident.leave();
    }
}
