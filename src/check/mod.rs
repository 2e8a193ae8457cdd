//! Checking is a product: comparison of results, case folders.

pub mod compare;
mod ulp;

pub use compare::{Difference, FieldReport, Tolerance, compare};
pub use ulp::ulp_distance;
