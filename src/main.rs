//! The `pelton` command.

use std::process::ExitCode;

/// Passes over graphs and code make many small things that live shortly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pelton::cli::main()
}
