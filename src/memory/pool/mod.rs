//! Slabs: who owns the bytes of transients.
//!
//! A [`Workspace`] keeps slabs warm between calls. A call takes one as a [`Lease`], and it goes back when the lease is
//! dropped, whatever happened. Any number of programs and threads can share a workspace: calls that run at the same
//! time have different slabs, and a slab has at most one lease, so nobody sees the bytes of somebody else.
//!
//! A growing workspace gets a larger slab when none is large enough (and gives the largest idle one back, so that
//! it does not hold both). A fixed one has the memory that a caller gave; a call that finds it in use waits, and
//! one that needs more than there is is refused. What a program needs is known before:
//! [`Plan::peak`](super::plan::Plan::peak).
//!
//! Slabs are not cleared between calls: transients hold whatever they hold until they are written.

mod block;
mod workspace;

pub use block::{Block, Source, System};
pub use workspace::{Lease, OutOfMemory, Statistics, Workspace};
