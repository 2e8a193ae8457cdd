//! Threads: a parallel region in contiguous blocks over a small pool.
//!
//! The pool belongs to the process. One region at a time uses it; a call that finds it taken runs on its own thread,
//! so programs may be called from many threads at once. Workers wait with bounded spinning and then sleep
//! ([`handshake`](super::handshake)); handing a region to workers that still spin costs well below a microsecond, waking
//! them a few. Where a loop is split changes no result: iterations of a region touch different memory.

use std::sync::{Arc, Mutex, TryLockError};
use std::thread::Thread;

use super::call::{Arena, Frame};
use super::handshake::Desk;

/// Operations that are worth one thread.
pub(super) const GRAIN: f64 = 20_000.0;

/// The function of a region: frame, what it captured, first iteration, end.
type RegionCode = extern "C" fn(*mut Frame, *const u64, i64, i64) -> i64;

/// A part of a region, for one worker.
struct Part {
    code: RegionCode,
    frame: *const Frame,
    captures: *const u64,
    start: i64,
    stop: i64,
}

// SAFETY: the addresses are valid until the caller has the result, and iterations touch different memory.
unsafe impl Send for Part {}

/// The workers, and the process they live in: a forked child has none.
struct Pool {
    process: u32,
    workers: Vec<(Arc<Desk<Part>>, Thread)>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { process: 0, workers: Vec::new() });

/// Runs the iterations of a region, on several threads if it may be split and is worth it: 0, or what stopped the
/// earliest iterations that were stopped.
///
/// # Safety
/// Machine code passes its frame, and the function and table of a region; `may` is not zero only if iterations touch
/// different memory.
pub unsafe extern "C" fn split(
    frame: *mut Frame,
    code: *const u8,
    captures: *const u64,
    start: i64,
    stop: i64,
    step: i64,
    may: i64,
    work: f64,
) -> i64 {
    // SAFETY: `code` is the start of a function of this type, which `emit` made.
    let code: RegionCode = unsafe { std::mem::transmute(code) };
    // SAFETY: machine code passes the frame that `run` gave it.
    let (allowed, grain) = unsafe { ((*frame).threads, (*frame).grain) };
    let trips = trips(start, stop, step);
    let wanted = if may == 0 || allowed < 2 || work.is_nan() || work < 2.0 * grain {
        1
    } else {
        allowed.min((work / grain) as usize).min(usize::try_from(trips).unwrap_or(usize::MAX))
    };
    if wanted < 2 {
        return code(frame, captures, start, stop);
    }
    let mut pool = match POOL.try_lock() {
        Ok(pool) => pool,
        Err(TryLockError::Poisoned(pool)) => pool.into_inner(),
        Err(TryLockError::WouldBlock) => return code(frame, captures, start, stop),
    };
    pool.grow(wanted - 1);
    let count = pool.workers.len().min(wanted - 1) as i64 + 1;
    let bound = |part: i64| start + step * (i128::from(trips) * i128::from(part) / i128::from(count)) as i64;
    let workers = &pool.workers[..(count - 1) as usize];
    for ((desk, thread), part) in workers.iter().zip(1..) {
        let last = part + 1 == count;
        let part = Part {
            code,
            frame: frame.cast_const(),
            captures,
            start: bound(part),
            stop: if last { stop } else { bound(part + 1) },
        };
        // SAFETY: the desk is idle, because whoever used it before waited for it; the pool is locked.
        if unsafe { desk.hand(part) } {
            thread.unpark();
        }
    }
    let mut result = code(frame, captures, start, bound(1));
    for (desk, _) in workers {
        let stopped = desk.wait();
        if result == 0 {
            result = stopped;
        }
    }
    result
}

fn trips(start: i64, stop: i64, step: i64) -> i64 {
    let span = i128::from(stop) - i128::from(start);
    let step = i128::from(step);
    let trips =
        if step > 0 { (span + step - 1).div_euclid(step) } else { (-span - step - 1).div_euclid(-step) };
    i64::try_from(trips.max(0)).unwrap_or(i64::MAX)
}

impl Pool {
    /// Has so many workers, if the system gives them.
    fn grow(&mut self, wanted: usize) {
        let process = std::process::id();
        if self.process != process {
            // Threads do not survive a fork; what they had is leaked with them.
            std::mem::take(&mut self.workers).into_iter().for_each(std::mem::forget);
            self.process = process;
        }
        while self.workers.len() < wanted {
            let desk = Arc::new(Desk::new());
            let own = Arc::clone(&desk);
            let builder = std::thread::Builder::new().name("pelton-worker".to_owned());
            let Ok(handle) = builder.spawn(move || serve(&own)) else { return };
            self.workers.push((desk, handle.thread().clone()));
        }
    }
}

/// The life of a worker.
fn serve(desk: &Desk<Part>) {
    let mut arena = Arena::default();
    loop {
        desk.serve(|part| {
            let (scratch_top, scratch_end) = arena.restart();
            // SAFETY: the caller's frame outlives the region. Its arena and persistent buffers are not for this thread.
            let mut frame = unsafe {
                Frame {
                    scratch_top,
                    scratch_end,
                    arena: &raw mut arena,
                    persistent: std::ptr::null_mut(),
                    threads: 1,
                    ..*part.frame
                }
            };
            (part.code)(&raw mut frame, part.captures, part.start, part.stop)
        });
    }
}
