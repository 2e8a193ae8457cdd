//! Memory: arguments of a call, and (later) the arena that transients come from.

mod arguments;
mod view;

pub use arguments::{Arguments, Binding, Buffer, BufferId};
pub use view::{PythonSlice, View};
