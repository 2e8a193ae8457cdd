//! Somebody who runs parts of a kernel elsewhere, while machine code runs the rest.
//!
//! A companion changes the kernel before it is compiled: where a part runs elsewhere, it puts calls of class [`CLASS`],
//! and it answers them while the kernel runs. Machine code knows nothing else about it.

use std::fmt;

use crate::diag::Diagnostic;
use crate::kernel::Kernel;

/// The class of library calls that a companion answers.
pub const CLASS: &str = "Companion";

/// Runs parts of one kernel.
pub trait Companion: fmt::Debug + Send + Sync {
    /// A run begins.
    ///
    /// # Errors
    /// It cannot take part.
    fn begin<'c>(&'c self, arguments: HostArguments) -> Result<Box<dyn Session + 'c>, Diagnostic>;
}

/// Changes a kernel, for its companion.
pub type Recruit<'r> = dyn Fn(&mut Kernel) -> Result<std::sync::Arc<dyn Companion>, Diagnostic> + 'r;

/// Memory of a run's arguments, by their number. It is valid while the session lives.
#[derive(Debug)]
pub struct HostArguments {
    /// First byte, and how many the program may reach.
    pub memory: Vec<(*mut u8, usize)>,
    /// The slab that planned transients lie in, if they do.
    pub slab: Option<(*mut u8, usize)>,
    /// Whether an argument that is written shares bytes with another one.
    pub overlap: bool,
}

/// A companion during one run.
pub trait Session {
    /// Answers a call; false stops the kernel.
    fn call(&mut self, arguments: &[i64]) -> bool;

    /// Whether the session itself takes back what a stopped run wrote to that argument.
    fn takes_back(&self, argument: usize) -> bool;

    /// The run is over; it stopped, or came to its end.
    ///
    /// # Errors
    /// Something that is not the program's fault went wrong, for which the run has stopped.
    fn end(self: Box<Self>, stopped: bool) -> Result<(), Diagnostic>;
}
