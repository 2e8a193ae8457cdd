//! Memory: the arguments of a call, how they meet their declarations, and the arena that transients come from.
//!
//! [`plan`] says where each transient lies in a slab, [`pool`] owns the slabs.

mod arguments;
mod given;
mod layout;
mod options;
mod overlap;
pub mod plan;
pub mod pool;
mod required;
mod view;

pub use arguments::{Arguments, Binding, Buffer, BufferId};
pub use given::{Given, GivenArray};
pub(crate) use layout::{Declared, Fit, fits_buffer};
pub use options::{Arena, MemoryOptions, POISON};
pub(crate) use overlap::meets;
pub use required::{Required, RequiredKind, infer_symbols, required_arguments};
pub(crate) use required::{Tells, convert_scalar, scalar_argument};
pub(crate) use view::slice_in;
pub use view::{PythonSlice, View};
