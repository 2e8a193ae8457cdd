//! Options about machine code that several subcommands have.

use std::num::NonZeroUsize;

use clap::Args;

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
}

impl NativeArgs {
    /// How a program is made ready.
    pub fn settings(&self) -> Settings {
        Settings {
            tier: self.tier,
            mode: self.mode,
            threads: self.threads.map(NonZeroUsize::get),
            vector_bits: self.vector_bits,
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
