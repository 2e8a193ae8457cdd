//! Adapters and the device that programs run on.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use wgpu::{
    Backends, BufferUsages, DeviceDescriptor, Features, Instance, InstanceDescriptor, Limits, PollType,
};

use hashbrown::HashMap;

use crate::diag::Diagnostic;

use super::abilities::{Abilities, Operation, Wishes};
use super::resident::Residents;
use super::wgsl::Shader;
use super::{probe, spirv};

/// An adapter, as `pelton info --gpu` shows it.
#[derive(Clone, Debug)]
pub struct AdapterReport {
    /// What its driver calls it.
    pub name: String,
    /// Vulkan, Metal or DX12.
    pub backend: String,
    /// Discrete, integrated, software.
    pub kind: String,
    /// The driver and its version.
    pub driver: String,
    /// What can be done with it; or why it cannot be used.
    pub abilities: Result<Abilities, String>,
}

/// A device and its queue. One queue: what is submitted first runs first.
#[derive(Debug)]
pub struct Gpu {
    /// The adapter's name.
    pub name: String,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// Whether it is the processor.
    pub is_software: bool,
    /// What shaders may use.
    pub abilities: Abilities,
    pub(super) uniform_alignment: usize,
    /// Where bindings of a buffer may begin.
    pub(super) storage_alignment: usize,
    /// Nanoseconds of a timestamp's unit, if it takes timestamps.
    pub(super) tick: Option<f64>,
    keeps: spirv::Keeps,
    fault: Arc<Mutex<Option<Fault>>>,
    /// What the probe found, by whether arithmetic is uncontracted, and whether there is `float64`.
    probed: Mutex<HashMap<(bool, bool), Vec<Operation>>>,
    /// Buffers that no run uses at present.
    spare: Mutex<Vec<wgpu::Buffer>>,
    /// Arrays that stay between runs.
    pub(super) residents: Residents,
}

/// Bytes of spare buffers that are kept.
const MOST_SPARE: u64 = 256 << 20;

/// What a driver reports when something goes wrong.
#[derive(Clone, Debug)]
enum Fault {
    Lost(String),
    Memory(String),
    Other(String),
}

fn instance() -> &'static Instance {
    static INSTANCE: OnceLock<Instance> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        let mut descriptor = InstanceDescriptor::new_without_display_handle();
        descriptor.backends = Backends::VULKAN | Backends::METAL | Backends::DX12;
        Instance::new(descriptor)
    })
}

fn adapters() -> Vec<wgpu::Adapter> {
    pollster::block_on(instance().enumerate_adapters(Backends::all()))
}

/// What there is.
pub fn reports() -> Vec<AdapterReport> {
    adapters()
        .into_iter()
        .map(|adapter| {
            let info = adapter.get_info();
            AdapterReport {
                name: info.name.clone(),
                backend: format!("{:?}", info.backend),
                kind: kind(info.device_type).to_owned(),
                driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
                abilities: Gpu::open(&adapter)
                    .map(|gpu| gpu.abilities.clone())
                    .map_err(|diagnostic| diagnostic.message),
            }
        })
        .collect()
}

const fn kind(ty: wgpu::DeviceType) -> &'static str {
    match ty {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    }
}

static OPEN: OnceLock<Result<Arc<Gpu>, Diagnostic>> = OnceLock::new();

/// The device that programs run on, if it was opened.
pub(super) fn opened() -> Option<Arc<Gpu>> {
    OPEN.get().and_then(|open| open.clone().ok())
}

/// The device that programs run on: a discrete one if there is one, then an integrated one, then a software one. It is
/// opened once.
///
/// # Errors
/// `P0801` if there is no adapter, `P0802` if its driver gives no device.
pub fn open() -> Result<Arc<Gpu>, Diagnostic> {
    OPEN.get_or_init(|| {
        let order = |adapter: &wgpu::Adapter| match adapter.get_info().device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Cpu => 3,
            wgpu::DeviceType::Other => 4,
        };
        let best = adapters().into_iter().min_by_key(order).ok_or_else(|| {
            Diagnostic::error("P0801", "there is no GPU that Pelton can use")
                .with_help("a driver for Vulkan, Metal or DX12 has to be installed; `pelton info --gpu` lists what is found")
        })?;
        Gpu::open(&best).map(Arc::new)
    })
    .clone()
}

impl Gpu {
    fn open(adapter: &wgpu::Adapter) -> Result<Gpu, Diagnostic> {
        let info = adapter.get_info();
        let mut wanted = Features::SHADER_F64 | Features::SHADER_INT64 | Features::TIMESTAMP_QUERY;
        if info.backend == wgpu::Backend::Vulkan {
            wanted |= Features::PASSTHROUGH_SHADERS;
        }
        let features = adapter.features() & wanted;
        let limits: Limits = adapter.limits();
        let descriptor = DeviceDescriptor {
            label: Some("pelton"),
            required_features: features,
            required_limits: limits.clone(),
            ..DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).map_err(|error| {
            Diagnostic::error("P0802", format!("the driver of {} gives no device: {error}", info.name))
        })?;
        let fault: Arc<Mutex<Option<Fault>>> = Arc::default();
        let note = |slot: &Mutex<Option<Fault>>, new: Fault| {
            slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(new);
        };
        let slot = Arc::clone(&fault);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let new = match &error {
                wgpu::Error::OutOfMemory { source } => Fault::Memory(source.to_string()),
                wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
                    Fault::Other(description.clone())
                }
            };
            note(&slot, new);
        }));
        let slot = Arc::clone(&fault);
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                note(&slot, Fault::Lost(message));
            }
        });
        let mut gpu = Gpu {
            is_software: !matches!(
                info.device_type,
                wgpu::DeviceType::DiscreteGpu | wgpu::DeviceType::IntegratedGpu
            ),
            name: info.name,
            abilities: Abilities {
                double: features.contains(Features::SHADER_F64),
                narrowed: false,
                fast: false,
                uncontracted: features.contains(Features::PASSTHROUGH_SHADERS),
                long: features.contains(Features::SHADER_INT64),
                buffers: limits.max_storage_buffers_per_shader_stage,
                binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
                buffer_bytes: limits.max_buffer_size,
                threads: limits
                    .max_compute_invocations_per_workgroup
                    .min(limits.max_compute_workgroup_size_x),
                workgroups: limits.max_compute_workgroups_per_dimension,
                wrong: Vec::new(),
                functions: Vec::new(),
            },
            tick: features
                .contains(Features::TIMESTAMP_QUERY)
                .then(|| f64::from(queue.get_timestamp_period())),
            device,
            queue,
            storage_alignment: limits.min_storage_buffer_offset_alignment.max(16) as usize,
            uniform_alignment: limits.min_uniform_buffer_offset_alignment.max(16) as usize,
            keeps: spirv::Keeps::of(adapter),
            fault,
            probed: Mutex::default(),
            spare: Mutex::default(),
            residents: Residents::default(),
        };
        gpu.abilities.wrong = match gpu.probed(&gpu.abilities) {
            Err(_) if gpu.abilities.uncontracted => {
                // The driver does not take what wgpu has not looked at.
                gpu.abilities.uncontracted = false;
                gpu.probed(&gpu.abilities)?
            }
            found => found?,
        };
        Ok(gpu)
    }

    /// Operations that the device gets wrong.
    fn probed(&self, abilities: &Abilities) -> Result<Vec<Operation>, Diagnostic> {
        let key = (abilities.uncontracted, abilities.double);
        let mut known = self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wrong) = known.get(&key) {
            return Ok(wrong.clone());
        }
        let wrong = probe::wrong(self, abilities)?;
        known.insert(key, wrong.clone());
        Ok(wrong)
    }

    /// What shaders may use, if somebody wishes this.
    ///
    /// # Errors
    /// The driver does not run what tells.
    pub fn abilities_for(&self, wishes: Wishes) -> Result<Abilities, Diagnostic> {
        let mut abilities = self.abilities.clone();
        abilities.fast = wishes.fast;
        if let Some(bytes) = wishes.binding_bytes {
            abilities.binding_bytes = abilities.binding_bytes.min(bytes);
        }
        abilities.double &= !wishes.no_double;
        abilities.uncontracted &= !wishes.fast && !wishes.contracted;
        abilities.wrong = self.probed(&abilities)?;
        for rounding in [Operation::SingleRound, Operation::DoubleRound] {
            if wishes.no_rounding && abilities.is_right(rounding) {
                abilities.wrong.push(rounding);
            }
        }
        if !abilities.double && wishes.allow_f32 {
            abilities.narrowed = true;
            abilities.functions = probe::functions(self, &abilities)?;
        }
        Ok(abilities)
    }

    /// A buffer of so many bytes, whatever they hold.
    pub(super) fn take(&self, bytes: u64) -> wgpu::Buffer {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = spare.iter().position(|buffer| buffer.size() == bytes) {
            return spare.swap_remove(at);
        }
        drop(spare);
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("mirror"),
            size: bytes,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// Keeps a buffer for later runs.
    pub(super) fn give_back(&self, buffer: wgpu::Buffer) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: u64 = spare.iter().map(wgpu::Buffer::size).sum();
        if kept.saturating_add(buffer.size()) <= MOST_SPARE {
            spare.push(buffer);
        }
    }

    /// Waits until everything that was submitted is done.
    ///
    /// # Errors
    /// `P0803` if the device was lost.
    pub fn synchronize(&self) -> Result<(), Diagnostic> {
        self.wait()
    }

    /// What a buffer holds, behind everything that was submitted.
    pub(super) fn read(&self, buffer: &wgpu::Buffer, bytes: usize) -> Result<Vec<u8>, Diagnostic> {
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("to the host"),
            size: buffer.size(),
            usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
        self.queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |_| {});
        self.wait()?;
        let view = staging
            .get_mapped_range(..)
            .map_err(|error| Diagnostic::error("P0805", format!("results cannot be read: {error}")))?;
        Ok(view[..bytes].to_vec())
    }

    /// Copies one buffer to another of its size.
    pub(super) fn copy(&self, from: &wgpu::Buffer, to: &wgpu::Buffer) {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(from, 0, to, 0, from.size());
        self.queue.submit([encoder.finish()]);
    }

    /// Compiles the shader of a nest.
    pub(super) fn pipeline(
        &self,
        title: &str,
        shader: &Shader,
        abilities: &Abilities,
    ) -> Result<wgpu::ComputePipeline, Diagnostic> {
        let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
        let mut types = vec![wgpu::BufferBindingType::Uniform];
        types.extend(shader.may_stop.then(|| storage(false)));
        for (&(_, known), &parts) in shader.bindings.iter().zip(&shader.parts) {
            let read_only = !known.written && !known.beside_written;
            types.extend(std::iter::repeat_n(storage(read_only), parts as usize));
        }
        self.compile(title, &shader.text, &types, abilities.uncontracted)
    }

    /// Compiles WGSL whose buffers are of these types. The layout is spelt out: the one that wgpu would find leaves out what
    /// the shader does not use.
    pub(super) fn compile(
        &self,
        title: &str,
        text: &str,
        types: &[wgpu::BufferBindingType],
        uncontracted: bool,
    ) -> Result<wgpu::ComputePipeline, Diagnostic> {
        let entry = |binding: u32, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let entries: Vec<_> = (0..).zip(types).map(|(binding, &ty)| entry(binding, ty)).collect();
        let group = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&group)],
            immediate_size: 0,
        });
        let module = if uncontracted {
            spirv::module(&self.device, title, text, self.keeps).map_err(|problem| {
                Diagnostic::error("P0805", format!("a shader cannot be translated: {problem}"))
            })?
        } else {
            self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(title),
                source: wgpu::ShaderSource::Wgsl(text.into()),
            })
        };
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(title),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        self.healthy()?;
        Ok(pipeline)
    }

    /// Waits until everything submitted is done.
    pub(super) fn wait(&self) -> Result<(), Diagnostic> {
        let polled = self.device.poll(PollType::wait_indefinitely());
        self.healthy()?;
        polled.map(drop).map_err(|error| lost(&self.name, &error.to_string()))
    }

    /// What the driver has complained about since it was last asked.
    pub(super) fn healthy(&self) -> Result<(), Diagnostic> {
        let mut slot = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.clone() {
            None => Ok(()),
            // It stays lost.
            Some(Fault::Lost(message)) => Err(lost(&self.name, &message)),
            Some(Fault::Memory(message)) => {
                *slot = None;
                Err(Diagnostic::error("P0804", format!("{} has no memory left", self.name))
                    .with_note(message)
                    .with_help("run on the host, with --engine native, or with smaller arrays"))
            }
            Some(Fault::Other(message)) => {
                *slot = None;
                Err(Diagnostic::error("P0805", format!("the driver of {} refuses", self.name))
                    .with_note(message))
            }
        }
    }
}

fn lost(name: &str, message: &str) -> Diagnostic {
    Diagnostic::error("P0803", format!("the device {name} was lost")).with_note(message.to_owned()).with_help(
        "arguments hold what they held before; run on the host, with --engine native, or start again",
    )
}
