//! Memory: arguments of a call, and (later) the arena that transients come from.

mod arguments;

pub use arguments::{Arguments, Binding, Buffer, BufferId};
