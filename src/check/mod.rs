//! Checking is a product: comparison of results, case folders, the GTIR oracle.

pub mod case;
pub mod compare;
pub mod gtir_case;
pub mod gtir_oracle;
pub mod guard;
pub mod run;
mod ulp;

pub use case::{Case, find_cases};
pub use compare::{Difference, FieldReport, Tolerance, compare};
pub use run::{CaseReport, Status, run_case};
pub use ulp::ulp_distance;
