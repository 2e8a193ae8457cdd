//! Which of a driver's operations give IEEE's bits.
//!
//! Drivers accept operations that they compute wrong, and may contract a product and a sum. So each operation that
//! shaders use runs once on numbers that tell, when the device is opened, and is compared with the processor's.

use std::fmt::Write;

use wgpu::BufferUsages;
use wgpu::util::{BufferInitDescriptor, DeviceExt};

use crate::diag::Diagnostic;

use crate::scalar::Func;

use super::abilities::{Abilities, Operation};
use super::device::Gpu;

/// Triples of numbers that each operation is tried on.
const TRIALS: usize = 192;

/// A device, and how it gets shaders.
struct Tried<'g> {
    gpu: &'g Gpu,
    uncontracted: bool,
}

/// Operations that the device gets wrong, of those that these abilities speak of.
pub(super) fn wrong(gpu: &Gpu, abilities: &Abilities) -> Result<Vec<Operation>, Diagnostic> {
    let gpu = &Tried { gpu, uncontracted: abilities.uncontracted };
    let mut wrong = Vec::new();
    single(gpu, !abilities.double, &mut wrong)?;
    match abilities.double {
        true => double(gpu, &mut wrong)?,
        false => wrong.extend([Operation::Double, Operation::Narrow]),
    }
    match abilities.long {
        true => long(gpu, &mut wrong)?,
        false => wrong.push(Operation::Long),
    }
    match abilities.double && abilities.long {
        true => bits(gpu, &mut wrong)?,
        false => wrong.push(Operation::Bits),
    }
    wrong.dedup();
    Ok(wrong)
}

/// A function of `float32` that drivers have, how WGSL calls it, and what it is.
struct Builtin {
    func: Func,
    wgsl: &'static str,
    right: fn(f64) -> f64,
    /// The numbers that it is tried on.
    from: f64,
    to: f64,
}

const BUILTINS: [Builtin; 17] = {
    const fn of(func: Func, wgsl: &'static str, right: fn(f64) -> f64, from: f64, to: f64) -> Builtin {
        Builtin { func, wgsl, right, from, to }
    }
    [
        of(Func::Sqrt, "sqrt(x)", f64::sqrt, 0.0, 1e6),
        of(Func::Exp, "exp(x)", f64::exp, -20.0, 20.0),
        of(Func::Exp2, "exp2(x)", f64::exp2, -30.0, 30.0),
        of(Func::Log, "log(x)", f64::ln, 1e-3, 1e6),
        of(Func::Log2, "log2(x)", f64::log2, 1e-3, 1e6),
        of(Func::Sin, "sin(x)", f64::sin, -3.0, 3.0),
        of(Func::Cos, "cos(x)", f64::cos, -3.0, 3.0),
        of(Func::Tan, "tan(x)", f64::tan, -1.5, 1.5),
        of(Func::Asin, "asin(x)", f64::asin, -1.0, 1.0),
        of(Func::Acos, "acos(x)", f64::acos, -1.0, 1.0),
        of(Func::Atan, "atan(x)", f64::atan, -50.0, 50.0),
        of(Func::Sinh, "sinh(x)", f64::sinh, -10.0, 10.0),
        of(Func::Cosh, "cosh(x)", f64::cosh, -10.0, 10.0),
        of(Func::Tanh, "tanh(x)", f64::tanh, -10.0, 10.0),
        of(Func::Asinh, "asinh(x)", f64::asinh, -100.0, 100.0),
        of(Func::Acosh, "acosh(x)", f64::acosh, 1.0, 100.0),
        of(Func::Atanh, "atanh(x)", f64::atanh, -0.99, 0.99),
    ]
};

/// What a driver's function may be off, of the result or absolutely: 2^-11, which is what Vulkan asks of the worst.
const OFF: f64 = 1.0 / 2048.0;

/// The driver's functions of `float32` that are what their names say. Drivers return garbage without a word.
pub(super) fn functions(gpu: &Gpu, abilities: &Abilities) -> Result<Vec<Func>, Diagnostic> {
    let gpu = &Tried { gpu, uncontracted: abilities.uncontracted };
    let mut given: Vec<f32> = Vec::with_capacity(BUILTINS.len() * TRIALS);
    for builtin in &BUILTINS {
        let distance = (builtin.to - builtin.from) / (TRIALS - 1) as f64;
        given.extend((0..TRIALS).map(|number| (builtin.from + distance * number as f64) as f32));
    }
    let mut text = format!(
        "@group(0) @binding(0) var<storage, read> given: array<f32>;\n\
         @group(0) @binding(1) var<storage, read_write> found: array<f32>;\n\
         @compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) id: vec3<u32>) {{\n    let i = id.x;\n    \
         if i >= {}u {{\n        return;\n    }}\n    let x = given[i];\n    switch i / {TRIALS}u {{\n",
        given.len()
    );
    for (number, builtin) in BUILTINS.iter().enumerate() {
        let _ = writeln!(text, "        case {number}u: {{ found[i] = {}; }}", builtin.wgsl);
    }
    text.push_str("        default: {}\n    }\n}\n");
    let found = compute(gpu, &text, bytemuck::cast_slice(&given), given.len() * 4)?;
    let found: Vec<f32> =
        found.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap_or([0; 4]))).collect();
    let trials = given.chunks_exact(TRIALS).zip(found.chunks_exact(TRIALS));
    let right = |builtin: &Builtin, x: f32, found: f32| {
        let right = (builtin.right)(f64::from(x));
        (f64::from(found) - right).abs() <= OFF * right.abs().max(1.0)
    };
    Ok(BUILTINS
        .iter()
        .zip(trials)
        .filter(|(builtin, (given, found))| {
            given.iter().zip(*found).all(|(&x, &found)| right(builtin, x, found))
        })
        .map(|(builtin, _)| builtin.func)
        .collect())
}

/// Numbers in a fixed order that looks random.
fn numbers(count: usize) -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        })
        .collect()
}

/// A result in the shader's terms, the operation it is about, and what it has to be.
struct Trial<T> {
    operation: Operation,
    wgsl: &'static str,
    right: fn(T, T, T) -> T,
}

/// What both types of floats are tried on. The operations of the type: sums, those that stay apart, division, rounding.
macro_rules! float_trials {
    ($ty:ty, $basic:ident, $apart:ident, $divide:ident, $round:ident) => {{
        use Operation::*;
        vec![
            Trial { operation: $basic, wgsl: "a + b", right: |a: $ty, b, _| a + b },
            Trial { operation: $basic, wgsl: "a - b", right: |a: $ty, b, _| a - b },
            Trial { operation: $basic, wgsl: "a * b", right: |a: $ty, b, _| a * b },
            Trial { operation: $basic, wgsl: "-a", right: |a: $ty, _, _| -a },
            Trial {
                operation: $basic,
                wgsl: "select(b, a, a < b)",
                right: |a: $ty, b, _| if a < b { a } else { b },
            },
            Trial { operation: $apart, wgsl: "a * b + c", right: |a: $ty, b, c| a * b + c },
            Trial { operation: $apart, wgsl: "c - a * b", right: |a: $ty, b, c| c - a * b },
            Trial { operation: $apart, wgsl: "a * b - b * c", right: |a: $ty, b, c| a * b - b * c },
            Trial { operation: Kept, wgsl: "(a + b) - a", right: |a: $ty, b, _| (a + b) - a },
            Trial { operation: Kept, wgsl: "a * b + a * c", right: |a: $ty, b, c| a * b + a * c },
            Trial { operation: Kept, wgsl: "(a - b) + b", right: |a: $ty, b, _| (a - b) + b },
            Trial { operation: Zeros, wgsl: "a * 0", right: |a: $ty, _, _| a * 0.0 },
            Trial { operation: Zeros, wgsl: "(a * 0 + 0) * b", right: |a: $ty, b, _| (a * 0.0 + 0.0) * b },
            Trial { operation: Zeros, wgsl: "(0 - b * 0) * a", right: |a: $ty, b, _| (0.0 - b * 0.0) * a },
            Trial { operation: $divide, wgsl: "a / b", right: |a: $ty, b, _| a / b },
            Trial { operation: $round, wgsl: "floor(a)", right: |a: $ty, _, _| a.floor() },
            Trial { operation: $round, wgsl: "ceil(a)", right: |a: $ty, _, _| a.ceil() },
            Trial { operation: $round, wgsl: "trunc(a)", right: |a: $ty, _, _| a.trunc() },
            Trial { operation: $round, wgsl: "round(a)", right: |a: $ty, _, _| a.round_ties_even() },
        ]
    }};
}

fn single(gpu: &Tried<'_>, alone: bool, wrong: &mut Vec<Operation>) -> Result<(), Diagnostic> {
    use Operation::*;
    let plain: Vec<f32> = numbers(TRIALS * 3)
        .into_iter()
        .map(|bits| f32::from_bits((bits as u32 & 0x807f_ffff) | (((bits >> 40) % 24 + 116) as u32) << 23))
        .collect();
    let mut trials: Vec<Trial<f32>> = float_trials!(f32, Single, SingleApart, SingleDivide, SingleRound);
    trials.extend([
        Trial {
            operation: FromInteger,
            wgsl: "f32(bitcast<i32>(a))",
            right: |a: f32, _, _| a.to_bits() as i32 as f32,
        },
        Trial {
            operation: FromInteger,
            wgsl: "f32(bitcast<u32>(a))",
            right: |a: f32, _, _| a.to_bits() as f32,
        },
        Trial {
            operation: ToInteger,
            wgsl: "bitcast<f32>((i32(a) & 65535i) | 1056964608i)",
            right: |a: f32, _, _| f32::from_bits(((a as i32 & 0xffff) | 0x3f00_0000) as u32),
        },
    ]);
    if alone {
        trials.push(Trial {
            operation: SingleRoot,
            wgsl: "sqrt(select(a, -a, a < 0.0f))",
            right: |a: f32, _, _| a.abs().sqrt(),
        });
    }
    run(gpu, "f32", &plain, &trials, wrong)?;
    let tiny: Vec<f32> = plain.iter().map(|x| x * f32::from_bits(0x0680_0000)).collect();
    let trials = [Trial::<f32> {
        operation: SingleSubnormal,
        wgsl: "a * 0.0000001f + b * 0.00000001f",
        right: |a, b, _| a * 0.000_000_1 + b * 0.000_000_01,
    }];
    run(gpu, "f32", &tiny, &trials, wrong)
}

fn double(gpu: &Tried<'_>, wrong: &mut Vec<Operation>) -> Result<(), Diagnostic> {
    use Operation::*;
    let plain: Vec<f64> = numbers(TRIALS * 3)
        .into_iter()
        .map(|bits| f64::from_bits((bits & 0x800f_ffff_ffff_ffff) | ((bits >> 21) % 40 + 1004) << 52))
        .collect();
    let mut trials: Vec<Trial<f64>> = float_trials!(f64, Double, DoubleApart, DoubleDivide, DoubleRound);
    trials.extend([
        Trial {
            operation: DoubleRoot,
            wgsl: "sqrt(select(a, -a, a < 0.0lf))",
            right: |a: f64, _, _| a.abs().sqrt(),
        },
        Trial { operation: Narrow, wgsl: "f64(f32(a))", right: |a: f64, _, _| f64::from(a as f32) },
    ]);
    run(gpu, "f64", &plain, &trials, wrong)?;
    let halves: Vec<f64> = (0..TRIALS * 3).map(|number| (number as f64 - 250.0) / 2.0).collect();
    let rounding =
        [Trial::<f64> { operation: DoubleRound, wgsl: "round(a)", right: |a, _, _| a.round_ties_even() }];
    run(gpu, "f64", &halves, &rounding, wrong)?;
    let tiny: Vec<f64> = plain.iter().map(|x| x * 1e-304).collect();
    let trials = [Trial::<f64> {
        operation: DoubleSubnormal,
        wgsl: "a * 0.00001lf + b * 0.000001lf",
        right: |a, b, _| a * 0.000_01 + b * 0.000_001,
    }];
    run(gpu, "f64", &tiny, &trials, wrong)
}

fn long(gpu: &Tried<'_>, wrong: &mut Vec<Operation>) -> Result<(), Diagnostic> {
    use Operation::Long;
    let plain: Vec<i64> = numbers(TRIALS * 3).into_iter().map(|bits| bits as i64 >> (bits % 50)).collect();
    let trials: [Trial<i64>; 13] = [
        Trial { operation: Long, wgsl: "a + b", right: |a, b, _| a.wrapping_add(b) },
        Trial { operation: Long, wgsl: "a - b", right: |a, b, _| a.wrapping_sub(b) },
        Trial { operation: Long, wgsl: "a * b", right: |a, b, _| a.wrapping_mul(b) },
        Trial { operation: Long, wgsl: "a / (b | 2li)", right: |a, b, _| a.wrapping_div(b | 2) },
        Trial { operation: Long, wgsl: "a << (u32(b) & 63u)", right: |a, b, _| a.wrapping_shl(b as u32) },
        Trial { operation: Long, wgsl: "a >> (u32(b) & 63u)", right: |a, b, _| a.wrapping_shr(b as u32) },
        Trial { operation: Long, wgsl: "(a & b) ^ (a | c)", right: |a, b, c| (a & b) ^ (a | c) },
        Trial { operation: Long, wgsl: "select(b, a, a < b)", right: |a, b, _| a.min(b) },
        Trial { operation: Long, wgsl: "i64(i32(a))", right: |a, _, _| i64::from(a as i32) },
        Trial { operation: Long, wgsl: "i64(u64(u32(a)))", right: |a, _, _| i64::from(a as u32) },
        Trial { operation: Long, wgsl: "i64(u64(i64(i32(a))))", right: |a, _, _| i64::from(a as i32) },
        Trial { operation: Long, wgsl: "i64(u64(a) >> 3u)", right: |a, _, _| (a as u64 >> 3) as i64 },
        Trial {
            operation: Long,
            wgsl: "i64(u64(a) / (u64(b) | 1lu))",
            right: |a, b, _| (a as u64 / (b as u64 | 1)) as i64,
        },
    ];
    run(gpu, "i64", &plain, &trials, wrong)
}

fn bits(gpu: &Tried<'_>, wrong: &mut Vec<Operation>) -> Result<(), Diagnostic> {
    use Operation::{Bits, FromInteger, ToInteger};
    let plain: Vec<i64> = numbers(TRIALS * 3).into_iter().map(|bits| bits as i64).collect();
    let trials: [Trial<i64>; 7] = [
        Trial {
            operation: Bits,
            wgsl: "i64(bitcast<u64>(bitcast<f64>(u64(a) & 9218868437227405311lu)) ^ u64(b))",
            right: |a, b, _| (a & 9_218_868_437_227_405_311) ^ b,
        },
        Trial {
            operation: FromInteger,
            wgsl: "bitcast<i64>(f64(a))",
            right: |a, _, _| (a as f64).to_bits() as i64,
        },
        Trial {
            operation: FromInteger,
            wgsl: "i64(u64(bitcast<u32>(f32(a))))",
            right: |a, _, _| i64::from((a as f32).to_bits()),
        },
        Trial {
            operation: FromInteger,
            wgsl: "bitcast<i64>(f64(i32(a)))",
            right: |a, _, _| f64::from(a as i32).to_bits() as i64,
        },
        Trial {
            operation: FromInteger,
            wgsl: "bitcast<i64>(f64(u32(a)))",
            right: |a, _, _| f64::from(a as u32).to_bits() as i64,
        },
        Trial {
            operation: ToInteger,
            wgsl: "i64(bitcast<f64>((u64(a) & 9227875636482146303lu) | 4616189618054758400lu))",
            right: |a, _, _| {
                f64::from_bits((a as u64 & 0x800f_ffff_ffff_ffff) | 0x4010_0000_0000_0000) as i64
            },
        },
        Trial {
            operation: ToInteger,
            wgsl: "i64(f64(i32(a)) * 1000.5lf)",
            right: |a, _, _| (f64::from(a as i32) * 1000.5) as i64,
        },
    ];
    run(gpu, "i64", &plain, &trials, wrong)
}

/// Runs trials on triples of `numbers` and notes the operations whose results have other bits.
fn run<T: bytemuck::Pod>(
    gpu: &Tried<'_>,
    ty: &str,
    numbers: &[T],
    trials: &[Trial<T>],
    wrong: &mut Vec<Operation>,
) -> Result<(), Diagnostic> {
    let count = numbers.len() / 3;
    let mut text = format!(
        "@group(0) @binding(0) var<storage, read> given: array<{ty}>;\n\
         @group(0) @binding(1) var<storage, read_write> found: array<{ty}>;\n\
         @compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) id: vec3<u32>) {{\n    let i = id.x;\n    \
         if i >= {count}u {{\n        return;\n    }}\n    \
         let a = given[i];\n    let b = given[i + {count}u];\n    let c = given[i + {}u];\n",
        2 * count
    );
    for (number, trial) in trials.iter().enumerate() {
        let _ = writeln!(text, "    found[i + {}u] = {};", number * count, trial.wgsl);
    }
    text.push_str("}\n");
    let found = compute(gpu, &text, bytemuck::cast_slice(numbers), trials.len() * count * size_of::<T>())?;
    for (trial, found) in trials.iter().zip(found.chunks_exact(count * size_of::<T>())) {
        let right: Vec<T> = (0..count)
            .map(|i| (trial.right)(numbers[i], numbers[i + count], numbers[i + 2 * count]))
            .collect();
        if bytemuck::cast_slice::<T, u8>(&right) != found && !wrong.contains(&trial.operation) {
            wrong.push(trial.operation);
        }
    }
    Ok(())
}

/// Runs a shader with one buffer in and one out.
fn compute(tried: &Tried<'_>, text: &str, input: &[u8], output: usize) -> Result<Vec<u8>, Diagnostic> {
    let gpu = tried.gpu;
    let device = &gpu.device;
    let types = [true, false].map(|read_only| wgpu::BufferBindingType::Storage { read_only });
    let pipeline = gpu.compile("probe", text, &types, tried.uncontracted)?;
    let given = device.create_buffer_init(&BufferInitDescriptor {
        label: None,
        contents: input,
        usage: BufferUsages::STORAGE,
    });
    let size = output as u64;
    let buffer = |usage| {
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let found = buffer(BufferUsages::STORAGE | BufferUsages::COPY_SRC);
    let back = buffer(BufferUsages::MAP_READ | BufferUsages::COPY_DST);
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: given.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: found.as_entire_binding() },
        ],
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(u32::try_from(output.div_ceil(4 * 64)).unwrap_or(1).min(65_535), 1, 1);
    }
    encoder.copy_buffer_to_buffer(&found, 0, &back, 0, size);
    gpu.queue.submit([encoder.finish()]);
    back.map_async(wgpu::MapMode::Read, .., |_| {});
    gpu.wait()?;
    let view = back.get_mapped_range(..).map_err(|error| Diagnostic::error("P0805", error.to_string()))?;
    Ok(view.to_vec())
}
