//! WGSL as SPIR-V in which arithmetic is what it says.
//!
//! WGSL lets a driver contract a product and a sum, and some regroup sums as well. SPIR-V has a word against that,
//! `NoContraction`, which WGSL cannot say. So shaders that have to keep their bits are translated here, by the translator
//! that would do it anyway, each of their floating-point operations gets that word, and the driver is given the result. Where the
//! device knows it, shaders also ask for `SignedZeroInfNanPreserve`: else some drivers take a product with zero for zero.

use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Floats of which a device can be told to keep signs of zeros, infinities and NaN.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Keeps {
    pub single: bool,
    pub double: bool,
}

impl Keeps {
    /// What an adapter says of itself.
    #[cfg(not(target_vendor = "apple"))]
    pub(super) fn of(adapter: &wgpu::Adapter) -> Keeps {
        let mut found = ash::vk::PhysicalDeviceFloatControlsProperties::default();
        // SAFETY: the handles are the adapter's own and are used while it is held; the structure outlives the call that fills it in.
        unsafe {
            let Some(adapter) = adapter.as_hal::<wgpu::hal::api::Vulkan>() else { return Keeps::default() };
            let instance = adapter.shared_instance().raw_instance();
            let device = adapter.raw_physical_device();
            // Without this version, there is nothing that would fill it in.
            if instance.get_physical_device_properties(device).api_version < ash::vk::API_VERSION_1_2 {
                return Keeps::default();
            }
            let mut properties = ash::vk::PhysicalDeviceProperties2::default().push_next(&mut found);
            instance.get_physical_device_properties2(device, &mut properties);
        }
        Keeps {
            single: found.shader_signed_zero_inf_nan_preserve_float32 != 0,
            double: found.shader_signed_zero_inf_nan_preserve_float64 != 0,
        }
    }

    /// Nobody to ask.
    #[cfg(target_vendor = "apple")]
    pub(super) fn of(_: &wgpu::Adapter) -> Keeps {
        Keeps::default()
    }

    const fn bits(self, width: u32) -> bool {
        match width {
            32 => self.single,
            64 => self.double,
            _ => false,
        }
    }
}

/// A shader whose entry point is `main`, for a device that takes SPIR-V.
///
/// # Errors
/// It is not valid, or cannot be said in SPIR-V.
pub(super) fn module(
    device: &wgpu::Device,
    title: &str,
    text: &str,
    keeps: Keeps,
) -> Result<wgpu::ShaderModule, String> {
    let words = uncontracted(text, keeps)?;
    // The size is the shader's, and only Metal has to be told.
    let entry_points = [wgpu::PassthroughShaderEntryPoint { name: "main".into(), workgroup_size: (1, 1, 1) }];
    let descriptor = wgpu::ShaderModuleDescriptorPassthrough {
        label: Some(title),
        entry_points: entry_points[..].into(),
        spirv: Some(words.into()),
        ..Default::default()
    };
    // SAFETY: the words are those of a validated shader, translated with checks of its indices, and marks that every
    // driver knows.
    Ok(unsafe { device.create_shader_module_passthrough(descriptor) })
}

/// The words of a shader whose entry point is `main`.
fn uncontracted(text: &str, keeps: Keeps) -> Result<Vec<u32>, String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    let info = validator.validate(&module).map_err(|error| error.emit_to_string(text))?;
    let options = spv::Options {
        lang_version: (1, 0),
        flags: spv::WriterFlags::empty(),
        // What wgpu does itself where it does not know better.
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer: BoundsCheckPolicy::Restrict,
            image_load: BoundsCheckPolicy::Restrict,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        // Memory of a group is written before it is read.
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        ..spv::Options::default()
    };
    let entry =
        spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".to_owned() };
    let words = spv::write_vec(&module, &info, &options, Some(&entry)).map_err(|error| error.to_string())?;
    Ok(keeping(&decorated(&words), keeps))
}

/// Words in front of the first instruction.
const HEADER: usize = 5;
const OP_DECORATE: u32 = 71;
const OP_MEMBER_DECORATE: u32 = 72;
const NO_CONTRACTION: u32 = 42;
const OP_EXTENSION: u32 = 10;
const OP_ENTRY_POINT: u32 = 15;
const OP_EXECUTION_MODE: u32 = 16;
const OP_CAPABILITY: u32 = 17;
const OP_TYPE_FLOAT: u32 = 22;
const CAPABILITY_TO_KEEP: u32 = 4466;
const MODE_TO_KEEP: u32 = 4461;

/// Negation, sums, differences, products, quotients, remainders of floats.
const ARITHMETIC: [u32; 7] = [127, 129, 131, 133, 136, 140, 141];

/// Instructions: where each begins, its operation, how many words it has.
fn instructions(words: &[u32]) -> impl Iterator<Item = (usize, u32, usize)> + '_ {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        let first = *words.get(at)?;
        let (begin, count) = (at, (first >> 16).max(1) as usize);
        at += count;
        Some((begin, first & 0xffff, count))
    })
}

/// The same with every floating-point operation forbidden to be contracted.
fn decorated(words: &[u32]) -> Vec<u32> {
    let results = instructions(words)
        .filter(|(_, operation, _)| ARITHMETIC.contains(operation))
        .filter_map(|(at, ..)| words.get(at + 2));
    // Decorations stand together; buffers always have some.
    let first =
        instructions(words).find(|(_, operation, _)| [OP_DECORATE, OP_MEMBER_DECORATE].contains(operation));
    let Some((place, ..)) = first else { return words.to_vec() };
    let (before, behind) = words.split_at(place);
    let mut all = before.to_vec();
    all.extend(results.flat_map(|&result| [3 << 16 | OP_DECORATE, result, NO_CONTRACTION]));
    all.extend(behind);
    all
}

/// The same with signs of zeros, infinities and NaN kept in those of its floats for which the device can be told.
fn keeping(words: &[u32], keeps: Keeps) -> Vec<u32> {
    let of = |wanted: u32| instructions(words).filter(move |(_, operation, _)| *operation == wanted);
    let widths: Vec<u32> = of(OP_TYPE_FLOAT)
        .filter_map(|(at, ..)| words.get(at + 2).copied())
        .filter(|&width| keeps.bits(width))
        .collect();
    let (Some((last, _, count)), Some((entry, _, length))) =
        (of(OP_CAPABILITY).last(), of(OP_ENTRY_POINT).next())
    else {
        return words.to_vec();
    };
    let (Some(&main), false) = (words.get(entry + 2), widths.is_empty()) else { return words.to_vec() };
    // Capabilities stand first, then extensions, and modes behind the entry point.
    let capabilities = last + count;
    let mut all = words[..capabilities].to_vec();
    all.extend([2 << 16 | OP_CAPABILITY, CAPABILITY_TO_KEEP]);
    let (name, _) = b"SPV_KHR_float_controls\0\0".as_chunks::<4>();
    all.push((name.len() as u32 + 1) << 16 | OP_EXTENSION);
    all.extend(name.iter().map(|four| u32::from_le_bytes(*four)));
    all.extend(&words[capabilities..entry + length]);
    all.extend(widths.iter().flat_map(|&width| [4 << 16 | OP_EXECUTION_MODE, main, MODE_TO_KEEP, width]));
    all.extend(&words[entry + length..]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two buffers of that type, and what becomes of an element.
    fn shader(expression: &str, keeps: Keeps) -> Vec<u32> {
        let text = format!(
            "@group(0) @binding(0) var<storage, read> a: array<f64>;
             @group(0) @binding(1) var<storage, read_write> b: array<f64>;
             fn twice(x: f64) -> f64 {{ return x * 2.0lf; }}
             @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
                let i = id.x;
                b[i] = {expression};
             }}"
        );
        uncontracted(&text, keeps).unwrap()
    }

    /// How many operations are there, and how many may not be contracted; every word belongs to an instruction.
    fn counts(words: &[u32]) -> (usize, usize) {
        let all: Vec<_> = instructions(words).collect();
        let end = all.last().map(|(at, _, count)| at + count);
        assert_eq!(end, Some(words.len()));
        let arithmetic = all.iter().filter(|(_, operation, _)| ARITHMETIC.contains(operation)).count();
        let is_decorated = |&&(at, operation, _): &&(usize, u32, usize)| {
            operation == OP_DECORATE && words[at + 2] == NO_CONTRACTION
        };
        (arithmetic, all.iter().filter(is_decorated).count())
    }

    #[test]
    fn every_operation_on_floats_is_marked() {
        let nothing = Keeps::default();
        assert_eq!(counts(&shader("a[i]", nothing)), (1, 1));
        assert_eq!(counts(&shader("a[i] * a[i] + a[i + 1u] / twice(a[i]) - (-a[i])", nothing)), (6, 6));
    }

    #[test]
    fn zeros_are_kept_where_the_device_can_be_told() {
        let modes = |keeps| {
            let words = shader("a[i] * 0.0lf", keeps);
            assert_eq!(counts(&words), (2, 2));
            let all: Vec<_> = instructions(&words).collect();
            let place = |wanted| all.iter().position(|(_, operation, _)| *operation == wanted);
            // In the order that SPIR-V asks for.
            assert!(
                place(OP_CAPABILITY) < place(OP_EXTENSION) && place(OP_EXTENSION) < place(OP_ENTRY_POINT)
            );
            let is_kept = |&&(at, operation, _): &&(usize, u32, usize)| {
                operation == OP_EXECUTION_MODE && words[at + 2] == MODE_TO_KEEP
            };
            all.iter().filter(is_kept).map(|(at, ..)| words[at + 3]).collect::<Vec<_>>()
        };
        assert_eq!(modes(Keeps { single: true, double: true }), [64]);
        assert_eq!(modes(Keeps { single: true, double: false }), [0; 0]);
    }

    #[test]
    fn what_is_not_valid_is_described() {
        assert!(uncontracted("fn main() { let x = 1 + 2.0f; }", Keeps::default()).is_err());
    }
}
