//! Pelton runs dataflow graphs.

pub mod analysis;
pub mod back;
pub mod check;
pub mod cli;
pub mod diag;
pub mod entity;
pub mod exec;
pub mod front;
pub mod interp;
pub mod ir;
pub mod kernel;
pub mod memory;
pub mod scalar;
pub mod symbolic;
pub mod transform;
pub mod valid;
