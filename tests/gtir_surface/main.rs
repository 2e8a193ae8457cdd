//! The whole surface of GTIR, one small program per feature, on every engine.
//!
//! Programs are written in GT4Py's printed notation; what they compute is worked out by hand here.

mod arithmetic;
mod bad_input;
mod fields;
mod harness;
mod scans;
mod statements;
mod stencils;
mod symbolic;
