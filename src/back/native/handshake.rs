//! Work for a thread that waits: how it is handed over, and how the other side learns that it is done.
//!
//! A desk is idle, ready or taken. The caller finds it idle, lays a part on it and says ready; the worker takes the part,
//! works, leaves a result and says idle. A part that nobody has taken when the caller is through with its own is taken back: a worker that the
//! system does not let run costs the caller its help, and nothing else. A worker looks for a while and then sleeps: it says so before it
//! looks for the last time, and the caller says ready before it looks whether the worker sleeps, so one of the two sees the other.
//!
//! All interleavings of a caller and two workers are checked by `tests/thread_model.rs`.

use std::sync::atomic::Ordering;

use crate::sync::{AtomicBool, AtomicI64, AtomicU32, SPINS, Slot, fence, park, spin_loop, yield_now};

const IDLE: u32 = 0;
const READY: u32 = 1;
const TAKEN: u32 = 2;

/// A place for one part at a time, between one caller and one worker.
pub struct Desk<P> {
    state: AtomicU32,
    asleep: AtomicBool,
    /// Where the caller runs; a hint.
    seat: AtomicU32,
    part: Slot<Option<P>>,
    result: AtomicI64,
}

/// What a worker finds on its desk.
enum Found {
    /// A part, which is the worker's now.
    Taken,
    /// A part that it leaves to the caller.
    Left,
    Nothing,
}

impl<P> Desk<P> {
    /// An idle desk.
    pub fn new() -> Desk<P> {
        Desk {
            state: AtomicU32::new(IDLE),
            asleep: AtomicBool::new(false),
            seat: AtomicU32::new(0),
            part: Slot::new(None),
            result: AtomicI64::new(0),
        }
    }

    /// Whether the worker would have to be woken; a hint.
    pub fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::Relaxed)
    }

    /// Hands a part over, from a caller that runs at `seat`; says whether the worker sleeps and has to be woken.
    ///
    /// # Safety
    /// The desk is idle: it is new, or the last part was [taken back](Desk::take_back) or [waited](Desk::wait) for. Callers
    /// take turns.
    pub unsafe fn hand(&self, part: P, seat: u32) -> bool {
        // SAFETY: the desk is idle, so the worker does not look at the part.
        unsafe { self.part.with(|slot| *slot = Some(part)) };
        self.seat.store(seat, Ordering::Relaxed);
        self.state.store(READY, Ordering::Release);
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed)
    }

    /// The part, if the worker has not taken it; it is the caller's then, and the desk idle.
    pub fn take_back(&self) -> Option<P> {
        self.state.compare_exchange(READY, IDLE, Ordering::Acquire, Ordering::Relaxed).ok()?;
        // SAFETY: the worker has not taken the part, and cannot any more.
        unsafe { self.part.with(Option::take) }
    }

    /// Waits until the part is done that the worker has taken; its result.
    pub fn wait(&self) -> i64 {
        let mut spins = 0;
        while self.state.load(Ordering::Acquire) != IDLE {
            spins += 1;
            if spins < SPINS { spin_loop() } else { yield_now() }
        }
        self.result.load(Ordering::Relaxed)
    }

    /// The worker's side: waits for a part and does it. Parts from callers at seats that `leaves` names it leaves to them,
    /// and sleeps.
    pub fn serve(&self, leaves: impl Fn(u32) -> bool, work: impl FnOnce(P) -> i64) {
        let mut spins = 0;
        loop {
            match self.look(&leaves) {
                Found::Taken => break,
                Found::Nothing if spins < SPINS => {
                    spins += 1;
                    spin_loop();
                }
                Found::Nothing | Found::Left => {
                    self.asleep.store(true, Ordering::Relaxed);
                    fence(Ordering::SeqCst);
                    while !matches!(self.look(&leaves), Found::Taken) {
                        park();
                    }
                    self.asleep.store(false, Ordering::Relaxed);
                    break;
                }
            }
        }
        // SAFETY: the worker has taken the part, so that the caller waits.
        if let Some(part) = unsafe { self.part.with(Option::take) } {
            self.result.store(work(part), Ordering::Relaxed);
        }
        self.state.store(IDLE, Ordering::Release);
    }

    fn look(&self, leaves: &impl Fn(u32) -> bool) -> Found {
        if self.state.load(Ordering::Acquire) != READY {
            return Found::Nothing;
        }
        if leaves(self.seat.load(Ordering::Relaxed)) {
            return Found::Left;
        }
        match self.state.compare_exchange(READY, TAKEN, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Found::Taken,
            Err(_) => Found::Nothing,
        }
    }
}
