//! Readers and writers of program formats.

pub mod gtir;
pub mod pel;
pub mod sdfg;
