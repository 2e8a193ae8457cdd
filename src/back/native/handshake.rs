//! Work for a thread that waits: how it is handed over, and how the other side learns that it is done.
//!
//! A desk is idle or ready. The caller finds it idle, lays a part on it and says ready; the worker takes the part,
//! works, leaves a result and says idle. A worker looks for a while and then sleeps: it says so before it looks for the
//! last time, and the caller says ready before it looks whether the worker sleeps, so one of the two sees the other.
//!
//! All interleavings of a caller and two workers are checked by `tests/thread_model.rs`.

use std::sync::atomic::Ordering;

use crate::sync::{AtomicBool, AtomicI64, AtomicU32, SPINS, Slot, fence, park, spin_loop, yield_now};

const IDLE: u32 = 0;
const READY: u32 = 1;

/// A place for one part at a time, between one caller and one worker.
pub struct Desk<P> {
    state: AtomicU32,
    asleep: AtomicBool,
    part: Slot<Option<P>>,
    result: AtomicI64,
}

impl<P> Desk<P> {
    /// An idle desk.
    pub fn new() -> Desk<P> {
        Desk {
            state: AtomicU32::new(IDLE),
            asleep: AtomicBool::new(false),
            part: Slot::new(None),
            result: AtomicI64::new(0),
        }
    }

    /// Hands a part over; says whether the worker sleeps and has to be woken.
    ///
    /// # Safety
    /// The desk is idle: it is new, or the last part was [waited](Desk::wait) for. Callers take turns.
    pub unsafe fn hand(&self, part: P) -> bool {
        // SAFETY: the desk is idle, so the worker does not look at the part.
        unsafe { self.part.with(|slot| *slot = Some(part)) };
        self.state.store(READY, Ordering::Release);
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed)
    }

    /// Waits until the part is done; its result.
    pub fn wait(&self) -> i64 {
        let mut spins = 0;
        while self.state.load(Ordering::Acquire) != IDLE {
            spins += 1;
            if spins < SPINS { spin_loop() } else { yield_now() }
        }
        self.result.load(Ordering::Relaxed)
    }

    /// The worker's side: waits for a part and does it.
    pub fn serve(&self, work: impl FnOnce(P) -> i64) {
        let mut spins = 0;
        while self.state.load(Ordering::Acquire) != READY {
            spins += 1;
            if spins < SPINS {
                spin_loop();
                continue;
            }
            self.asleep.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            while self.state.load(Ordering::Acquire) != READY {
                park();
            }
            self.asleep.store(false, Ordering::Relaxed);
        }
        // SAFETY: the desk is ready: the caller has laid the part there before, and waits.
        if let Some(part) = unsafe { self.part.with(Option::take) } {
            self.result.store(work(part), Ordering::Relaxed);
        }
        self.state.store(IDLE, Ordering::Release);
    }
}
