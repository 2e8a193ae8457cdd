//! Thread primitives of the code whose interleavings are checked.
//!
//! They are the standard library's. They stand here in one place so that a model checker can put its own under the same
//! names: `tests/thread_model.rs` compiles that code once more, over those.

use std::cell::UnsafeCell;

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, fence};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::thread::{park, yield_now};

/// How often a thread that waits looks before it sleeps or yields.
pub(crate) const SPINS: u32 = 2_000;

/// Memory that one thread at a time uses; who that is, is up to the protocol around it.
#[derive(Debug)]
pub(crate) struct Slot<T>(UnsafeCell<T>);

// SAFETY: whoever calls `with` promises that nobody else does at the same time.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    pub(crate) const fn new(value: T) -> Slot<T> {
        Slot(UnsafeCell::new(value))
    }

    /// Uses the memory.
    ///
    /// # Safety
    /// No other thread uses it until `work` is done, and what others did to it before is visible here.
    pub(crate) unsafe fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: as the caller says.
        work(unsafe { &mut *self.0.get() })
    }
}
