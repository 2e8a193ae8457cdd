//! Pelton runs dataflow graphs: DaCe SDFGs and GT4Py's GTIR, with no compiler on the machine.
//!
//! ```
//! use pelton::Program;
//!
//! // Horizontal diffusion of a field of 8 x 8 columns with 4 levels; it reads two points around each.
//! let program = Program::from_file("examples/hdiff/program.sdfgz")?;
//! let mut field: Vec<f64> = (0..12 * 12 * 4).map(|n| f64::from(n % 7)).collect();
//! let mut coefficient = vec![0.03125; 8 * 8 * 4];
//! let mut diffused = vec![0.0; 8 * 8 * 4];
//! program
//!     .call()
//!     .array("field", &mut field)
//!     .array("coefficient", &mut coefficient)
//!     .array("diffused", &mut diffused)
//!     .symbol("I", 8)
//!     .symbol("J", 8)
//!     .symbol("K", 4)
//!     .run()?;
//! assert!(diffused.iter().all(|value| (0.0..=6.0).contains(value)));
//! # Ok::<(), pelton::Diagnostic>(())
//! ```
//!
//! Arrays are borrowed and written in place; an [`ArrayView`] brings a layout of its own. What a program means
//! is written at [`ir`]; what the reference interpreter does, at [`interp`]. The repository's ARCHITECTURE.md
//! says where everything is.

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
mod linalg;
pub mod memory;
pub mod scalar;
pub mod symbolic;
mod sync;
pub mod transform;
pub mod valid;

pub use diag::{Diagnostic, Severity};
pub use exec::{ArrayView, Call, Element, Engine, Number, Program, Report};
