//! Engines that turn kernels into machine or shader code.

pub mod gpu;
pub mod native;
