//! Options about machine code that several subcommands have.

use std::num::NonZeroUsize;

use clap::Args;

use crate::exec::settings::{AutoGpu, Wishes};
use crate::exec::{Mode, Settings, Tier, settings};

/// How machine code is made and run.
#[derive(Args, Clone, Copy, Debug)]
pub struct NativeArgs {
    /// How much is spent on machine code: auto, interp, fast or best.
    #[arg(long, default_value = "auto", value_parser = tier, value_name = "TIER")]
    tier: Tier,
    /// What arithmetic may do: strict (the interpreter's bits) or fast.
    #[arg(long, default_value = "strict", value_parser = mode, value_name = "MODE")]
    mode: Mode,
    /// Threads to use; PELTON_NUM_THREADS, or all there are, without it. Results do not depend on it.
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,
    /// Bits of vectors: 512, 256, 128, or 0 for none; the widest that are quick here without it. Results do not depend on it.
    #[arg(long, value_name = "BITS", value_parser = settings::vector_bits)]
    vector_bits: Option<u32>,
    /// With --engine gpu, where the GPU has no float64: round numbers to float32 and compute with those. Without it,
    /// programs that need float64 are refused there.
    #[arg(long)]
    allow_f32: bool,
    /// Make code once, before the run, for arguments of any sizes; without it, code is made for the sizes that a call
    /// brings (docs/tiers.md).
    #[arg(long)]
    any_sizes: bool,
    /// Whether --engine auto may take a GPU: never, or for calls where a model says that it pays (docs/gpu.md).
    #[arg(long, value_enum, default_value = "never", value_name = "WHEN")]
    auto_gpu: When,
    /// With --engine gpu: take the GPU for a lesser one, to try programs for such here. A list of no-f64,
    /// contracted (arithmetic cannot be forbidden to be contracted), no-rounding (floor and its like are wrong) and
    /// binding=BYTES (what a shader reaches of one buffer at once).
    #[arg(long, value_name = "LESS", value_parser = lesser)]
    gpu_as: Option<Lesser>,
}

/// When `auto` takes a GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum When {
    /// Never.
    Never,
    /// Where a model says that it pays.
    Pays,
}

/// What a GPU is to be taken for.
#[derive(Clone, Copy, Debug, Default)]
struct Lesser {
    no_double: bool,
    contracted: bool,
    no_rounding: bool,
    binding_bytes: Option<u64>,
}

impl NativeArgs {
    /// How a program is made ready.
    pub fn settings(&self) -> Settings {
        let lesser = self.gpu_as.unwrap_or_default();
        Settings {
            tier: self.tier,
            mode: self.mode,
            threads: self.threads.map(NonZeroUsize::get),
            vector_bits: self.vector_bits,
            any_sizes: self.any_sizes,
            gpu: Wishes {
                allow_f32: self.allow_f32,
                no_double: lesser.no_double,
                contracted: lesser.contracted,
                no_rounding: lesser.no_rounding,
                binding_bytes: lesser.binding_bytes,
                auto: if self.auto_gpu == When::Pays { AutoGpu::Pays } else { AutoGpu::Never },
                ..Wishes::default()
            },
            ..Settings::default()
        }
    }
}

fn tier(text: &str) -> Result<Tier, String> {
    text.parse()
}

fn mode(text: &str) -> Result<Mode, String> {
    text.parse()
}

fn lesser(text: &str) -> Result<Lesser, String> {
    let mut lesser = Lesser::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            None if part == "no-f64" => lesser.no_double = true,
            None if part == "contracted" => lesser.contracted = true,
            None if part == "no-rounding" => lesser.no_rounding = true,
            Some(("binding", bytes)) if bytes.parse::<u64>().is_ok_and(|bytes| bytes >= 256) => {
                lesser.binding_bytes = bytes.parse().ok();
            }
            _ => {
                return Err(format!(
                    "{part} is none of no-f64, contracted, no-rounding, and binding=BYTES with at least 256 bytes"
                ));
            }
        }
    }
    Ok(lesser)
}
