//! Memory: arguments of a call, and (later) the arena that transients come from.

mod arguments;
mod layout;
mod view;

pub use arguments::{Arguments, Binding, Buffer, BufferId};
pub(crate) use layout::{fits_buffer, is_dense};
pub use view::{PythonSlice, View};
