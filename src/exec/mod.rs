//! Running programs: loading files, binding arguments, choosing an engine, calling.

pub mod npz;
