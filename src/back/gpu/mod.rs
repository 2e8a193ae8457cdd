//! Maps on a GPU, through wgpu: any device with Vulkan, Metal or DX12.
//!
//! ```text
//! kernel ── nest ──> which loops can be a dispatch, and why others cannot
//!        ── wgsl ──> a shader per nest, checked by naga
//!        ── partial ─> loops that accumulate in one place, spread over threads all the same
//!        ── split ─> the kernel with calls in their place, which machine code runs
//! session: what happens at these calls: launches, copies, and which side has the newest bytes (mirror)
//! spirv: shaders as Vulkan gets them, with contraction forbidden
//! report: where each map runs, for people
//! ```
//!
//! The host runs the program: machine code does control flow, library calls, serial loops, and maps that the device
//! cannot do, and meets the device only at the calls that [`split`] put in. So every map decides for itself where it runs.
//!
//! **Order.** There is one queue. What is launched first runs first, and the host sees what a launch wrote at its next
//! statement that reads it.
//!
//! Arguments may stay on the device between runs ([`Resident`]); a run that ends well does not wait for them.
//!
//! **Strict.** Shaders use the operations that [`probe`] found to have IEEE's bits on this device, and math functions
//! from the recipes that define them; so results are the interpreter's, but for subnormal numbers where the device
//! flushes them (`pelton info --gpu` says whether it does). Loops whose order matters stay on the host.
//!
//! **Stops.** A check that fails on the device stops the program at the next copy to the host. As with machine code, the
//! interpreter then says whether the program is at fault.

mod abilities;
mod clock;
mod device;
mod facts;
mod host;
mod mirror;
mod nest;
mod partial;
mod probe;
mod report;
mod resident;
mod session;
mod spirv;
mod split;
#[cfg(test)]
mod tests;
mod wgsl;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hashbrown::{HashMap, HashSet};

use crate::diag::Diagnostic;
use crate::kernel::{BufferId, BufferKind, Kernel};

use super::native::companion::{Companion, HostArguments, Session};

pub use abilities::{Abilities, AutoGpu, Operation, Wishes};
pub use clock::LaunchTime;
pub use device::{AdapterReport, Gpu, open, reports};
pub use report::MapReport;
pub use resident::{Resident, any as any_resident, settle};
use split::Division;
use wgsl::BindingForm;

/// A kernel divided between host and device.
pub struct Divided {
    gpu: Arc<Gpu>,
    abilities: Abilities,
    division: Division,
    /// Numbers of argument buffers.
    arguments: HashMap<BufferId, usize>,
    constants: HashMap<BufferId, Vec<u8>>,
    /// Buffers that are kept from call to call.
    kept: HashSet<BufferId>,
    pipelines: Vec<OnceLock<Result<wgpu::ComputePipeline, Diagnostic>>>,
    /// Pipelines of nests whose buffers are not bound as usual; none where the host has to do it.
    formed: Mutex<FormedPipelines>,
    launched: AtomicU64,
    submitted: AtomicU64,
    declined: AtomicU64,
    memory: Mutex<DeviceMemory>,
    /// Count and seconds of each nest, if launches are measured.
    times: Option<Mutex<Vec<(u64, f64)>>>,
    maps: Vec<MapReport>,
}

/// By nest and forms of its bindings.
type FormedPipelines = HashMap<(usize, Vec<BindingForm>), Option<wgpu::ComputePipeline>>;

/// Bytes of the device that a run used, but for arrays that stay there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeviceMemory {
    /// The buffer that transients share.
    pub slab: u64,
    /// What those would have taken in buffers of their own.
    pub apart: u64,
    /// Other buffers.
    pub others: u64,
}

impl fmt::Debug for Divided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Divided").field("device", &self.gpu.name).finish_non_exhaustive()
    }
}

impl Divided {
    /// Divides a kernel whose regions are found.
    ///
    /// # Errors
    /// `P0806` if the device lacks `float64`, which the kernel's maps need; what [`Gpu::abilities_for`] says.
    pub fn new(gpu: &Arc<Gpu>, kernel: &mut Kernel, wishes: Wishes) -> Result<Divided, Diagnostic> {
        let abilities = gpu.abilities_for(wishes)?;
        let division = split::divide(kernel, &abilities);
        if division.lacks_double > 0 {
            return Err(lacks_double(gpu, division.lacks_double));
        }
        let maps = report::maps(kernel, &division);
        let (mut arguments, mut constants) = (HashMap::new(), HashMap::new());
        let mut kept = HashSet::new();
        for (id, buffer) in kernel.buffers.iter() {
            match &buffer.kind {
                BufferKind::Argument(number) => drop(arguments.insert(id, *number as usize)),
                BufferKind::Constant(bytes) => drop(constants.insert(id, bytes.clone())),
                BufferKind::Persistent(_) => {
                    kept.insert(id);
                }
                _ => {}
            }
        }
        let pipelines = division.launches.iter().map(|_| OnceLock::new()).collect();
        Ok(Divided {
            gpu: Arc::clone(gpu),
            abilities,
            division,
            arguments,
            constants,
            kept,
            pipelines,
            formed: Mutex::default(),
            launched: AtomicU64::new(0),
            submitted: AtomicU64::new(0),
            declined: AtomicU64::new(0),
            memory: Mutex::default(),
            times: None,
            maps,
        })
    }

    /// Whether `float64` is computed as `float32`.
    pub fn is_narrowed(&self) -> bool {
        self.abilities.narrowed
    }

    /// Where each map's loop runs, in the program's order.
    pub fn maps(&self) -> &[MapReport] {
        &self.maps
    }

    /// How many launches there were in all runs.
    pub fn launched(&self) -> u64 {
        self.launched.load(Ordering::Relaxed)
    }

    /// How many submissions to the queue there were in all runs, copies included.
    pub fn submitted(&self) -> u64 {
        self.submitted.load(Ordering::Relaxed)
    }

    /// Has each launch measured by the device's clock, where it has one.
    pub fn measured(mut self) -> Divided {
        self.times = Some(Mutex::new(vec![(0, 0.0); self.nests()]));
        self
    }

    /// What launches took in all runs, if they are measured, the longest first.
    pub fn times(&self) -> Vec<LaunchTime> {
        let Some(times) = &self.times else { return Vec::new() };
        let times = times.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<LaunchTime> = self
            .division
            .launches
            .iter()
            .zip(times.iter())
            .filter(|(_, (count, _))| *count > 0)
            .map(|(launch, &(count, seconds))| LaunchTime { title: launch.title.clone(), count, seconds })
            .collect();
        all.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        all
    }

    /// How often the host did a launch in all runs, because sizes or buffers did not fit the device, or arguments shared
    /// memory.
    pub fn declined(&self) -> u64 {
        self.declined.load(Ordering::Relaxed)
    }

    /// The device's memory that the run used which used most of it.
    pub fn memory(&self) -> DeviceMemory {
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_memory(&self, used: DeviceMemory) {
        let mut most = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if used.slab + used.others >= most.slab + most.others {
            *most = used;
        }
    }

    /// How many nests can be launched.
    pub fn nests(&self) -> usize {
        self.division.launches.len()
    }

    /// The device.
    pub fn device(&self) -> &str {
        &self.gpu.name
    }

    /// The shaders: where each comes from, and its text.
    pub fn shaders(&self) -> impl Iterator<Item = (&str, &str)> {
        self.division.launches.iter().map(|launch| (launch.title.as_str(), launch.shader.text.as_str()))
    }

    /// The pipeline of a nest whose buffers are bound in these forms, made when it is first launched so; none if that cannot
    /// be.
    fn formed_pipeline(
        &self,
        number: usize,
        forms: &[BindingForm],
    ) -> Result<Option<wgpu::ComputePipeline>, Diagnostic> {
        let Some(launch) = self.division.launches.get(number) else { return Ok(None) };
        let mut known = self.formed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = known.get(&(number, forms.to_vec())) {
            return Ok(made.clone());
        }
        let bindings = launch.shader.bindings.iter().zip(forms);
        let unusual = bindings.map(|((buffer, _), &form)| (*buffer, form)).collect();
        let shader = split::shader_in_forms(&self.division.origin, &self.abilities, launch, &unusual);
        let made = match shader {
            Ok(shader) => Some(self.gpu.pipeline(&launch.title, &shader, &self.abilities)?),
            Err(_) => None,
        };
        known.insert((number, forms.to_vec()), made.clone());
        Ok(made)
    }

    /// The pipeline of a nest, made when it is first launched.
    fn pipeline(&self, number: usize) -> Result<&wgpu::ComputePipeline, Diagnostic> {
        let missing = || Diagnostic::error("P0704", "a launch of a nest that does not exist");
        let slot = self.pipelines.get(number).ok_or_else(missing)?;
        let made = slot.get_or_init(|| match self.division.launches.get(number) {
            Some(launch) => self.gpu.pipeline(&launch.title, &launch.shader, &self.abilities),
            None => Err(missing()),
        });
        made.as_ref().map_err(Clone::clone)
    }
}

fn lacks_double(gpu: &Gpu, loops: usize) -> Diagnostic {
    Diagnostic::error(
        "P0806",
        format!("{} has no float64, which {loops} loops of this program need", gpu.name),
    )
    .with_help(
        "--allow-f32 computes them in float32, with the errors that this brings; --engine native has float64",
    )
}

/// Divides a kernel whose regions are found, for a device with these abilities: where each shader comes from, and its
/// text.
pub fn shaders(kernel: &mut Kernel, abilities: &Abilities) -> Vec<(String, String)> {
    let division = split::divide(kernel, abilities);
    division.launches.into_iter().map(|launch| (launch.title, launch.shader.text)).collect()
}

impl Companion for Divided {
    fn begin<'c>(&'c self, arguments: HostArguments) -> Result<Box<dyn Session + 'c>, Diagnostic> {
        Ok(Box::new(session::Run::new(self, arguments)?))
    }
}
