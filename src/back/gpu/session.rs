//! One run: mirrors of host memory, launches, and copies when one side needs what the other has.
//!
//! A buffer has a mirror on the device once a nest reaches it. Each side knows whether its bytes are current: a launch
//! makes the mirrors of its buffers current first, and the host's bytes stale where it writes; the host does the reverse.
//! Launches are collected and submitted together, when something has to be copied or at the end; submission order is
//! execution order.
//!
//! An argument that is [resident](super::resident) brings its mirror along, and takes it with it at the end.

use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use wgpu::util::{BufferInitDescriptor, DeviceExt};
use wgpu::{Buffer, BufferUsages};

use crate::diag::Diagnostic;
use crate::kernel::BufferId;
use crate::scalar::DType;

use super::super::native::companion::{HostArguments, Session};
use super::clock::Clock;
use super::host::HostMemory;
use super::mirror::{Mirror, Slab, Spot, padded};
use super::resident::{self, Sides};
use super::split::{Launch, Site};
use super::wgsl::{BindingForm, Form, fits_size};
use super::{DeviceMemory, Divided};

/// A piece of a device's buffer that a binding reaches.
struct Piece {
    buffer: Buffer,
    offset: u64,
    /// None: to its end.
    size: Option<NonZeroU64>,
}

/// A launch to submit.
struct Pending {
    launch: usize,
    pipeline: wgpu::ComputePipeline,
    pieces: Vec<Piece>,
    uniform_at: usize,
    workgroups: (u32, u32),
}

/// A run of a divided kernel.
pub(super) struct Run<'d> {
    divided: &'d Divided,
    arguments: HostArguments,
    mirrors: HashMap<BufferId, Mirror>,
    lent: HashMap<BufferId, Lent>,
    slab: Slab,
    /// Memory that was taken and not yet named.
    fresh: HashMap<BufferId, Fresh>,
    pending: Vec<Pending>,
    uniforms: Vec<u8>,
    stop: Option<Buffer>,
    /// Something that may stop the program was submitted since that was last looked at.
    unchecked: bool,
    failed: Option<Diagnostic>,
}

/// A mirror that belongs to a resident array.
struct Lent {
    sides: Arc<Mutex<Sides>>,
    /// What the array held before the run, if that may have to be put back.
    before: Option<Buffer>,
}

/// Memory whose address is not known yet.
struct Fresh {
    bytes: usize,
    zero: bool,
    /// What the buffer was before.
    old: Option<Mirror>,
}

/// Why a launch does not happen.
enum NoLaunch {
    /// The host does it.
    Host,
    /// It is so little that the host is better at it.
    Small,
    /// Nothing works any more.
    Failed(Diagnostic),
}

impl From<Diagnostic> for NoLaunch {
    fn from(diagnostic: Diagnostic) -> Self {
        NoLaunch::Failed(diagnostic)
    }
}

impl<'d> Run<'d> {
    pub fn new(divided: &'d Divided, arguments: HostArguments) -> Result<Run<'d>, Diagnostic> {
        let mut run = Run {
            divided,
            slab: Slab::new(arguments.slab),
            arguments,
            mirrors: HashMap::new(),
            lent: HashMap::new(),
            fresh: HashMap::new(),
            pending: Vec::new(),
            uniforms: Vec::new(),
            stop: None,
            unchecked: false,
            failed: None,
        };
        if resident::any() {
            run.borrow_residents()?;
        }
        Ok(run)
    }

    /// Takes over mirrors of arguments that are resident. Others that share memory with such arrays are settled.
    fn borrow_residents(&mut self) -> Result<(), Diagnostic> {
        let gpu = &self.divided.gpu;
        for (&buffer, &number) in &self.divided.arguments {
            let Some(&(address, bytes)) = self.arguments.memory.get(number) else { continue };
            let host = HostMemory { address, bytes };
            let division = &self.divided.division;
            let reached = division.device.contains(&buffer)
                && !division.narrowed.contains(&buffer)
                && !self.arguments.overlap;
            let Some(sides) = gpu.residents.at(host).filter(|_| reached) else {
                // SAFETY: the run's memory is valid while the session lives, and the kernel has not begun.
                unsafe { gpu.residents.settle(gpu, address, bytes)? };
                continue;
            };
            let known = sides.lock().unwrap_or_else(PoisonError::into_inner);
            let mirror = Mirror {
                host,
                device: known.device.clone().map(Spot::whole),
                host_current: known.host_current,
                device_current: known.device_current,
                pending: false,
                narrowed: false,
            };
            drop(known);
            self.mirrors.insert(buffer, mirror);
            self.lent.insert(buffer, Lent { sides, before: None });
        }
        Ok(())
    }

    /// Keeps what a resident array holds, before it is first written by a program that may stop afterwards.
    fn keep(&mut self, buffer: BufferId) {
        let Some(lent) = self.lent.get_mut(&buffer) else { return };
        if lent.before.is_some() || !self.divided.division.spoilt.contains(&buffer) {
            return;
        }
        let Some(mirror) = self.mirrors.get_mut(&buffer) else { return };
        let gpu = &self.divided.gpu;
        let before = lent.before.insert(gpu.take(padded(mirror.device_bytes())));
        match mirror.device.as_ref().filter(|_| mirror.device_current) {
            Some(spot) => gpu.copy(&spot.buffer, before),
            // SAFETY: the run's memory is valid while the session lives, and the kernel waits for this call.
            None => unsafe { mirror.send(&gpu.queue, &Spot::whole(before.clone())) },
        }
    }

    fn answered(&mut self, arguments: &[i64]) -> Result<bool, Diagnostic> {
        let site = arguments
            .first()
            .and_then(|&number| self.divided.division.sites.get(usize::try_from(number).ok()?));
        let Some(site) = site else { return Ok(false) };
        let address = |index: usize| arguments.get(index).copied().unwrap_or(0) as usize as *mut u8;
        match site {
            Site::Launch(number) => {
                let Some(launch) = self.divided.division.launches.get(*number) else { return Ok(false) };
                let entries = 1 + 2 * launch.loops.len() + launch.conditions + launch.shader.slots.len();
                let block = HostMemory { address: address(1), bytes: 8 * entries };
                let done = match self.launch(*number, launch, block, &|index| address(2 + index)) {
                    Ok(()) => 1,
                    Err(NoLaunch::Small) => 0,
                    Err(NoLaunch::Host) => {
                        self.divided.declined.fetch_add(1, Ordering::Relaxed);
                        0
                    }
                    Err(NoLaunch::Failed(diagnostic)) => return Err(diagnostic),
                };
                // SAFETY: the kernel passes its parameter block, which has as many entries.
                unsafe { block.answer(done) };
                Ok(true)
            }
            Site::Host { reads, writes } => {
                for (index, buffer) in named(reads, writes).into_iter().enumerate() {
                    self.located(buffer, address(1 + index));
                }
                self.serve_host(reads, writes)
            }
            Site::Allocated { buffer, zero } => {
                let bytes = usize::try_from(arguments.get(1).copied().unwrap_or(0)).unwrap_or(0);
                let old = self.mirrors.remove(buffer);
                self.fresh.insert(*buffer, Fresh { bytes, zero: *zero, old });
                Ok(true)
            }
            Site::Kept { buffer } => {
                let bytes = usize::try_from(arguments.get(1).copied().unwrap_or(0)).unwrap_or(0);
                self.kept(*buffer, HostMemory { address: address(2), bytes });
                Ok(true)
            }
            Site::Finish => {
                let results: Vec<BufferId> = self
                    .mirrors
                    .keys()
                    .copied()
                    .filter(|buffer| {
                        let divided = self.divided;
                        let outlives =
                            divided.arguments.contains_key(buffer) || divided.kept.contains(buffer);
                        outlives && !self.lent.contains_key(buffer)
                    })
                    .collect();
                if !self.serve_host(&results, &[])? {
                    return Ok(false);
                }
                // What stays on the device is not waited for, unless it has to tell whether it stopped.
                if self.unchecked && !self.lent.is_empty() {
                    return self.download(&[]);
                }
                self.submit()?;
                Ok(true)
            }
        }
    }

    /// Memory that was taken is first named: what it holds does not matter, unless it was cleared.
    fn located(&mut self, buffer: BufferId, address: *mut u8) {
        let Some(Fresh { bytes, zero, old }) = self.fresh.remove(&buffer) else { return };
        let host = HostMemory { address, bytes };
        let narrowed = self.divided.division.narrowed.contains(&buffer);
        let device = match self.slab.spot(&self.divided.gpu, host) {
            Some(spot) => {
                let apart = self.slab.apart.entry(buffer).or_default();
                *apart = padded(host.bytes).max(*apart);
                Some(spot)
            }
            // A launch that is still to come refers to the old mirror, which lives on in it.
            None => old
                .filter(|old| !old.pending && !old.is_shared() && old.host.bytes == host.bytes)
                .and_then(|old| old.device),
        };
        let mirror =
            Mirror { host, device, host_current: true, device_current: !zero, pending: false, narrowed };
        self.mirrors.insert(buffer, mirror);
    }

    /// Memory that is kept from call to call: what it holds matters, and it lies where it lay unless its size changed.
    fn kept(&mut self, buffer: BufferId, host: HostMemory) {
        let known = self.mirrors.get(&buffer).map(|mirror| (mirror.host.address, mirror.host.bytes));
        if known == Some((host.address, host.bytes)) {
            return;
        }
        let narrowed = self.divided.division.narrowed.contains(&buffer);
        self.mirrors.insert(buffer, Mirror::of_host(host, narrowed));
    }

    fn mirror(&mut self, buffer: BufferId) -> Option<&mut Mirror> {
        if !self.mirrors.contains_key(&buffer) {
            let host = match (self.divided.arguments.get(&buffer), self.divided.constants.get(&buffer)) {
                (Some(&number), _) => {
                    let &(address, bytes) = self.arguments.memory.get(number)?;
                    HostMemory { address, bytes }
                }
                (None, Some(bytes)) => HostMemory { address: bytes.as_ptr().cast_mut(), bytes: bytes.len() },
                (None, None) => return None,
            };
            let narrowed = self.divided.division.narrowed.contains(&buffer);
            self.mirrors.insert(buffer, Mirror::of_host(host, narrowed));
        }
        self.mirrors.get_mut(&buffer)
    }

    fn launch(
        &mut self,
        number: usize,
        launch: &Launch,
        block: HostMemory,
        address: &dyn Fn(usize) -> *mut u8,
    ) -> Result<(), NoLaunch> {
        if self.arguments.overlap {
            return Err(NoLaunch::Host);
        }
        // SAFETY: the kernel passes its parameter block, which has that many entries.
        let entry = |index: usize| unsafe { block.entry(index) };
        let size = |index: usize| match entry(index) as i64 {
            size if fits_size(size) => Ok(size),
            _ => Err(NoLaunch::Host),
        };
        let mut extents = Vec::with_capacity(launch.loops.len());
        let mut next = 1;
        for spread in &launch.loops {
            let (start, stop) = (entry(next) as i64, entry(next + 1) as i64);
            next += 2;
            let distance =
                if spread.step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
            let count = if distance <= 0 { 0 } else { (distance - 1) / spread.step.saturating_abs() + 1 };
            extents.push((start, stop, count));
        }
        if extents.iter().any(|&(.., count)| count < launch.least) {
            return Err(NoLaunch::Small);
        }
        if extents.iter().any(|&(.., count)| count == 0) {
            return Ok(());
        }
        let mut count: i64 = 1;
        for &(start, stop, extent) in &extents {
            if !fits_size(start) || !fits_size(stop) {
                return Err(NoLaunch::Host);
            }
            count = count.checked_mul(extent).ok_or(NoLaunch::Host)?;
        }
        for _ in 0..launch.conditions {
            if entry(next) & 0xff == 0 {
                return Err(NoLaunch::Host);
            }
            next += 1;
        }
        let abilities = &self.divided.abilities;
        let groups = (count - 1).div_euclid(i64::from(launch.shader.threads)) + 1;
        let columns = groups.min(i64::from(abilities.workgroups));
        let rows = (groups + columns - 1) / columns;
        let (Ok(count), Ok(columns), Ok(rows)) =
            (u32::try_from(count), u32::try_from(columns), u32::try_from(rows))
        else {
            return Err(NoLaunch::Host);
        };
        // Numbers of elements, those beyond the last included, have 32 bits.
        let threads = u64::from(columns) * u64::from(rows) * u64::from(launch.shader.threads);
        if rows > abilities.workgroups || threads > u64::from(u32::MAX) {
            return Err(NoLaunch::Host);
        }
        let mut uniform = vec![0; launch.shader.uniform_bytes];
        for (index, slot) in launch.shader.slots.iter().enumerate() {
            let bits = entry(next + index);
            let bytes = match slot.form {
                Form::Size => (size(next + index)? as i32).to_le_bytes().to_vec(),
                Form::Low => (bits as u32).to_le_bytes().to_vec(),
                Form::Rounded => (f64::from_bits(bits) as f32).to_le_bytes().to_vec(),
                Form::Typed(DType::Bool | DType::U8) => u32::from(bits as u8).to_le_bytes().to_vec(),
                Form::Typed(DType::U16) => u32::from(bits as u16).to_le_bytes().to_vec(),
                Form::Typed(DType::I8) => i32::from(bits as i8).to_le_bytes().to_vec(),
                Form::Typed(DType::I16) => i32::from(bits as i16).to_le_bytes().to_vec(),
                Form::Typed(DType::F16) => half::f16::from_bits(bits as u16).to_f32().to_le_bytes().to_vec(),
                Form::Typed(DType::BF16) => {
                    half::bf16::from_bits(bits as u16).to_f32().to_le_bytes().to_vec()
                }
                Form::Typed(ty) if ty.bytes() == 8 => bits.to_le_bytes().to_vec(),
                Form::Typed(_) => (bits as u32).to_le_bytes().to_vec(),
            };
            uniform[slot.at..slot.at + bytes.len()].copy_from_slice(&bytes);
        }
        let mut at = launch.shader.count_at;
        let mut put = |bytes: [u8; 4]| {
            uniform[at..at + 4].copy_from_slice(&bytes);
            at += 4;
        };
        put(count.to_le_bytes());
        for &(start, _, extent) in &extents {
            put((extent as u32).to_le_bytes());
            put((start as i32).to_le_bytes());
        }
        for (index, &(buffer, _)) in launch.shader.bindings.iter().enumerate() {
            self.located(buffer, address(index));
        }
        let forms = self.forms(launch, address)?;
        let pipeline = match forms.iter().all(|form| *form == BindingForm::default()) {
            true => self.divided.pipeline(number)?.clone(),
            false => self.divided.formed_pipeline(number, &forms)?.ok_or(NoLaunch::Host)?,
        };
        let pieces = self.bind(launch, &forms)?;
        let alignment = self.divided.gpu.uniform_alignment;
        let uniform_at = self.uniforms.len().next_multiple_of(alignment);
        self.uniforms.resize(uniform_at, 0);
        self.uniforms.extend_from_slice(&uniform);
        self.unchecked |= launch.shader.may_stop;
        self.pending.push(Pending {
            launch: number,
            pipeline,
            pieces,
            uniform_at,
            workgroups: (columns, rows),
        });
        self.divided.launched.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How the buffers of a launch are bound.
    fn forms(
        &mut self,
        launch: &Launch,
        address: &dyn Fn(usize) -> *mut u8,
    ) -> Result<Vec<BindingForm>, NoLaunch> {
        let abilities = &self.divided.abilities;
        let (whole, part) = (abilities.binding_bytes.min(u64::from(u32::MAX)), abilities.part_bytes());
        let most = abilities.buffer_bytes;
        let mut forms = Vec::with_capacity(launch.shader.bindings.len());
        for (index, &(buffer, _)) in launch.shader.bindings.iter().enumerate() {
            let mirror = self.mirror(buffer).ok_or(NoLaunch::Host)?;
            if !mirror.host.address.is_null()
                && mirror.host.bytes > 0
                && mirror.host.address != address(index)
            {
                return Err(NoLaunch::Host);
            }
            let bytes = padded(mirror.device_bytes());
            // Offsets in shaders have 32 bits, and are those of the host.
            if mirror.host.bytes > u32::MAX as usize || bytes > most {
                return Err(NoLaunch::Host);
            }
            let count = if bytes <= whole { 1 } else { bytes.div_ceil(part) };
            let parts = u32::try_from(count).map_err(|_| NoLaunch::Host)?;
            forms.push(BindingForm { parts, beside_written: false });
        }
        let is_shared = |buffer| self.mirrors.get(buffer).is_some_and(Mirror::is_shared);
        let bindings = &launch.shader.bindings;
        if bindings.iter().any(|(buffer, known)| known.written && is_shared(buffer)) {
            for (form, (buffer, known)) in forms.iter_mut().zip(bindings) {
                form.beside_written = !known.written && is_shared(buffer);
            }
        }
        Ok(forms)
    }

    /// Makes the mirrors of a launch current, and the host's bytes stale where it writes.
    fn bind(&mut self, launch: &Launch, forms: &[BindingForm]) -> Result<Vec<Piece>, NoLaunch> {
        let stale = |run: &Self| {
            launch.shader.bindings.iter().filter_map(|(buffer, _)| run.mirrors.get(buffer)).any(|mirror| {
                // In a shared buffer, the bytes may be those of another mirror whose life is over.
                let used = mirror.pending || mirror.is_shared() && !run.pending.is_empty();
                used && !mirror.device_current
            })
        };
        if stale(self) {
            // What was launched before has to see the bytes of before.
            self.submit()?;
        }
        for &(buffer, known) in &launch.shader.bindings {
            if known.written {
                self.keep(buffer);
            }
        }
        let gpu = &self.divided.gpu;
        let part = self.divided.abilities.part_bytes();
        let mut pieces = Vec::with_capacity(launch.shader.bindings.len());
        for (&(buffer, known), form) in launch.shader.bindings.iter().zip(forms) {
            let Some(mirror) = self.mirrors.get_mut(&buffer) else { return Err(NoLaunch::Host) };
            let bytes = padded(mirror.device_bytes());
            let spot = mirror.device.get_or_insert_with(|| Spot::whole(gpu.take(bytes))).clone();
            if !mirror.device_current {
                // SAFETY: the run's memory is valid while the session lives, and the kernel waits for this call.
                unsafe { mirror.send(&gpu.queue, &spot) };
                mirror.device_current = true;
            }
            if known.written {
                mirror.host_current = false;
            }
            mirror.pending = true;
            if form.parts == 1 {
                let size = NonZeroU64::new(bytes).filter(|_| spot.shared);
                pieces.push(Piece { buffer: spot.buffer, offset: spot.offset, size });
                continue;
            }
            for number in 0..u64::from(form.parts) {
                let offset = number * part;
                let size = NonZeroU64::new(part.min(bytes - offset));
                pieces.push(Piece { buffer: spot.buffer.clone(), offset: spot.offset + offset, size });
            }
        }
        gpu.healthy()?;
        Ok(pieces)
    }

    /// Hands collected launches to the queue.
    fn submit(&mut self) -> Result<(), Diagnostic> {
        for mirror in self.mirrors.values_mut() {
            mirror.pending = false;
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let gpu = &self.divided.gpu;
        let uniforms = gpu.device.create_buffer_init(&BufferInitDescriptor {
            label: Some("launches"),
            contents: &self.uniforms,
            usage: BufferUsages::UNIFORM,
        });
        self.uniforms.clear();
        let stop = self.stop.get_or_insert_with(|| {
            gpu.device.create_buffer_init(&BufferInitDescriptor {
                label: Some("stop"),
                contents: &[0; 4],
                usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC,
            })
        });
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let clock = self.divided.times.as_ref().and_then(|_| Clock::new(gpu, self.pending.len()));
        let launched: Vec<usize> = self.pending.iter().map(|pending| pending.launch).collect();
        {
            let begin = |encoder: &mut wgpu::CommandEncoder, number: usize| {
                let timestamp_writes = clock.as_ref().and_then(|clock| clock.around(number));
                let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                encoder.begin_compute_pass(&descriptor).forget_lifetime()
            };
            let mut pass = begin(&mut encoder, 0);
            for (number, pending) in self.pending.drain(..).enumerate() {
                if number > 0 && clock.is_some() {
                    drop(pass);
                    pass = begin(&mut encoder, number);
                }
                let pipeline = &pending.pipeline;
                let shader = &self.divided.division.launches[pending.launch].shader;
                let mut resources = vec![wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &uniforms,
                    offset: pending.uniform_at as u64,
                    size: NonZeroU64::new(shader.uniform_bytes as u64),
                })];
                if shader.may_stop {
                    resources.push(stop.as_entire_binding());
                }
                resources.extend(pending.pieces.iter().map(|piece| {
                    wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: &piece.buffer,
                        offset: piece.offset,
                        size: piece.size,
                    })
                }));
                let entries: Vec<wgpu::BindGroupEntry<'_>> = (0..)
                    .zip(resources)
                    .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource })
                    .collect();
                let layout = pipeline.get_bind_group_layout(0);
                let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: None,
                    layout: &layout,
                    entries: &entries,
                });
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(pending.workgroups.0, pending.workgroups.1, 1);
            }
        }
        let ticks = clock.as_ref().map(|clock| clock.finish(gpu, &mut encoder));
        gpu.queue.submit([encoder.finish()]);
        self.divided.submitted.fetch_add(1, Ordering::Relaxed);
        if let (Some(clock), Some(ticks), Some(times)) = (clock, ticks, &self.divided.times) {
            let seconds = clock.seconds(gpu, &ticks)?;
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            for (launch, seconds) in launched.into_iter().zip(seconds) {
                if let Some(time) = times.get_mut(launch) {
                    *time = (time.0 + 1, time.1 + seconds);
                }
            }
        }
        gpu.healthy()
    }

    /// Makes the host's bytes current where it reads or writes, and the device's stale where it writes. False if the
    /// program has to stop.
    fn serve_host(&mut self, reads: &[BufferId], writes: &[BufferId]) -> Result<bool, Diagnostic> {
        let mut wanted = named(reads, writes);
        wanted.retain(|buffer| self.mirrors.get(buffer).is_some_and(|mirror| !mirror.host_current));
        let goes_on = wanted.is_empty() || self.download(&wanted)?;
        for buffer in writes {
            self.keep(*buffer);
            if let Some(mirror) = self.mirror(*buffer) {
                mirror.device_current = false;
            }
        }
        Ok(goes_on)
    }

    fn download(&mut self, wanted: &[BufferId]) -> Result<bool, Diagnostic> {
        self.submit()?;
        let gpu = &self.divided.gpu;
        let checked = self.stop.as_ref().filter(|_| self.unchecked).cloned();
        let mut total = if checked.is_some() { 16 } else { 0 };
        let mut places = Vec::with_capacity(wanted.len());
        for buffer in wanted {
            let Some(mirror) = self.mirrors.get(buffer) else { continue };
            let Some(spot) = mirror.device.as_ref().filter(|_| mirror.host.bytes > 0) else { continue };
            places.push((*buffer, spot.clone(), total));
            total += padded(mirror.device_bytes()).next_multiple_of(16);
        }
        let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("to the host"),
            size: total.max(16),
            usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        if let Some(stop) = &checked {
            encoder.copy_buffer_to_buffer(stop, 0, &staging, 0, 4);
        }
        for (buffer, spot, at) in &places {
            let bytes = self.mirrors.get(buffer).map_or(0, |mirror| padded(mirror.device_bytes()));
            encoder.copy_buffer_to_buffer(&spot.buffer, spot.offset, &staging, *at, bytes);
        }
        gpu.queue.submit([encoder.finish()]);
        self.divided.submitted.fetch_add(1, Ordering::Relaxed);
        staging.map_async(wgpu::MapMode::Read, .., |_| {});
        gpu.wait()?;
        let view = staging
            .get_mapped_range(..)
            .map_err(|error| Diagnostic::error("P0805", format!("results cannot be read: {error}")))?;
        if checked.is_some() {
            self.unchecked = false;
            if view[..4] != [0; 4] {
                return Ok(false);
            }
        }
        for (buffer, _, at) in places {
            let Some(mirror) = self.mirrors.get_mut(&buffer) else { continue };
            let bytes = &view[at as usize..at as usize + mirror.device_bytes()];
            // SAFETY: the run's memory is valid while the session lives, the kernel may write it (a launch did), and
            // it waits for this call.
            unsafe {
                match mirror.narrowed {
                    true => mirror.host.widen(bytes),
                    false => mirror.host.write(bytes),
                }
            }
        }
        for buffer in wanted {
            if let Some(mirror) = self.mirrors.get_mut(buffer) {
                mirror.host_current = true;
            }
        }
        Ok(true)
    }
}

/// Buffers that a call of the host names, in the order of their addresses.
fn named(reads: &[BufferId], writes: &[BufferId]) -> Vec<BufferId> {
    let mut all: Vec<BufferId> = reads.iter().chain(writes).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

impl Session for Run<'_> {
    fn call(&mut self, arguments: &[i64]) -> bool {
        match self.answered(arguments) {
            Ok(goes_on) => goes_on,
            Err(diagnostic) => {
                self.failed = Some(diagnostic);
                false
            }
        }
    }

    fn takes_back(&self, argument: usize) -> bool {
        self.lent.keys().any(|buffer| self.divided.arguments.get(buffer) == Some(&argument))
    }

    fn end(mut self: Box<Self>, stopped: bool) -> Result<(), Diagnostic> {
        if stopped && self.failed.is_none() {
            // What is kept holds what was written until then, as on the host.
            let kept: Vec<BufferId> = self.divided.kept.iter().copied().collect();
            if let Err(diagnostic) = self.serve_host(&kept, &[]) {
                self.failed = Some(diagnostic);
            }
        }
        let gpu = &self.divided.gpu;
        for (buffer, lent) in std::mem::take(&mut self.lent) {
            let Some(mut mirror) = self.mirrors.remove(&buffer) else { continue };
            if let Some(before) = lent.before {
                if stopped {
                    let bytes = padded(mirror.host.bytes);
                    let spot = mirror.device.get_or_insert_with(|| Spot::whole(gpu.take(bytes)));
                    gpu.copy(&before, &spot.buffer);
                    (mirror.device_current, mirror.host_current) = (true, false);
                }
                gpu.give_back(before);
            }
            let mut sides = lent.sides.lock().unwrap_or_else(PoisonError::into_inner);
            *sides = Sides {
                device: mirror.device.map(|spot| spot.buffer),
                host_current: mirror.host_current,
                device_current: mirror.device_current,
            };
        }
        let mut used = DeviceMemory { apart: self.slab.apart.values().sum(), ..DeviceMemory::default() };
        let fresh = std::mem::take(&mut self.fresh).into_values().filter_map(|fresh| fresh.old);
        for mirror in std::mem::take(&mut self.mirrors).into_values().chain(fresh) {
            if let Some(spot) = mirror.device.filter(|spot| !spot.shared) {
                used.others += spot.buffer.size();
                gpu.give_back(spot.buffer);
            }
        }
        if let Some(buffer) = self.slab.take() {
            used.slab = buffer.size();
            gpu.give_back(buffer);
        }
        self.divided.note_memory(used);
        match self.failed.take() {
            Some(diagnostic) => Err(diagnostic),
            None => Ok(()),
        }
    }
}
