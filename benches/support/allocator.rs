//! The allocator of the command and of the Python package, so that benchmarks time what users run.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
