//! Checking is a product: comparison of results, case folders, the GTIR oracle.

pub mod bound_case;
pub mod case;
pub mod chaos;
pub mod compare;
pub mod cutout;
mod edit;
pub mod evaluated;
pub mod fuzz;
pub mod fuzz_program;
pub mod generate;
pub mod gtir_case;
pub mod gtir_oracle;
pub mod guard;
pub mod locate;
pub mod mutate;
pub mod places;
pub mod recorded;
pub mod reduce;
pub mod run;
pub mod save;
pub mod side;
pub mod targets;
mod ulp;
mod variant_case;

pub use case::{Case, find_cases};
pub use compare::{Difference, FieldReport, Tolerance, compare};
pub use generate::{Choices, Coverage, Generated, generate};
pub use run::{CaseReport, How, Status, run_case};
pub use side::{Disagreement, End, Side, Verdict, judge};
pub use ulp::ulp_distance;
