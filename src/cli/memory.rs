//! Options about memory that several subcommands have.

use clap::Args;

use crate::memory::{Arena, MemoryOptions};

/// How transients get memory.
#[derive(Args, Clone, Copy, Debug)]
pub struct MemoryArgs {
    /// Where transients lie: on (one planned slab), off (an allocation for each) or poison (a slab full of NaNs).
    #[arg(long, default_value = "on", value_parser = |text: &str| text.parse::<Arena>(), value_name = "MODE")]
    arena: Arena,
}

impl MemoryArgs {
    /// The options of a run.
    pub fn options(self) -> MemoryOptions {
        MemoryOptions { arena: self.arena, ..MemoryOptions::default() }
    }
}
