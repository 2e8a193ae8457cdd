//! Memory: the arguments of a call, and the arena that transients come from.
//!
//! [`plan`] says where each transient lies in a slab, [`pool`] owns the slabs.

mod arguments;
mod layout;
pub mod plan;
pub mod pool;
mod view;

pub use arguments::{Arguments, Binding, Buffer, BufferId};
pub(crate) use layout::{fits_buffer, is_dense};
pub use view::{PythonSlice, View};
