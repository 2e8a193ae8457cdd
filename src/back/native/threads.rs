//! Threads: a parallel region in contiguous blocks over a small pool.
//!
//! The pool belongs to the process. One region at a time uses it; a call that finds it taken runs on its own thread,
//! so programs may be called from many threads at once. Workers wait with bounded spinning and then sleep
//! ([`handshake`](super::handshake)). Where a loop is split changes no result: iterations of a region touch different memory.
//!
//! **What a region costs.** Handing a part to a worker that still spins and learning that it is done takes about half a
//! microsecond, waking one five to seven, two of which are the caller's own. On a machine that is busy with other things a worker
//! may come late or never, or be put on the caller's processor, where it is only in its way. So
//! - parts that were not begun are done by the caller (what was begun has to be waited for);
//! - a worker that finds itself on the caller's processor leaves the part and sleeps;
//! - workers are asked when the work that was done without them, since they were asked last, is worth it: always, as long as they
//!   are awake and in time, and sleeping ones at once for a long region or after several short ones. When waking was in vain,
//!   or what a worker had begun came late because the system let others run, they are asked the less.

use std::sync::{Arc, Mutex, TryLockError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::call::{Arena, Frame};
use super::handshake::Desk;
use super::seat;

/// Operations that are worth one thread.
pub(super) const GRAIN: f64 = 20_000.0;

/// Grains for which sleeping workers are woken, and the most that it comes to when they do not come.
const WAKING: f64 = 6.0;
const MOST_WAKING: f64 = 64.0 * WAKING;

/// Grains to be done alone for each second that a worker was late, so that waiting takes a fifth of the time at most, and
/// the most of them.
const PER_SECOND_LATE: f64 = 2e6;
const MOST_LATE: f64 = 20_000.0;

/// Parts are not equally long, and clocks not exact: this is not late.
const IN_TIME: Duration = Duration::from_micros(20);

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
    help: Help,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { process: 0, workers: Vec::new(), help: Help::NEW });

/// When workers are asked; work is counted in grains.
#[derive(Debug)]
struct Help {
    /// What they could have shared since they were asked last.
    missed: f64,
    /// For how much of it they are asked.
    price: f64,
}

impl Help {
    const NEW: Help = Help { missed: 0.0, price: 0.0 };

    /// Whether workers are asked for a region of so much work.
    fn is_asked(&mut self, grains: f64, sleeping: bool) -> bool {
        self.missed += grains;
        let asked = self.missed >= if sleeping { self.price.max(WAKING) } else { self.price };
        if asked {
            self.missed = 0.0;
        }
        asked
    }

    /// Sleeping workers were asked, and did not come.
    fn in_vain(&mut self) {
        self.price = self.price.max((2.0 * self.price.max(WAKING)).min(MOST_WAKING));
    }

    /// Workers did their parts, so much later than expected.
    fn came(&mut self, late: Duration) {
        self.price = match late.as_secs_f64() * PER_SECOND_LATE {
            0.0 => self.price / 2.0,
            late => (self.price + late).min(MOST_LATE),
        };
    }
}

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
    let Pool { workers, help, .. } = &mut *pool;
    let count = workers.len().min(wanted - 1) as i64 + 1;
    let workers = &workers[..(count - 1) as usize];
    let sleeping = workers.iter().any(|(desk, _)| desk.is_asleep());
    if !help.is_asked(work / grain, sleeping) {
        drop(pool);
        return code(frame, captures, start, stop);
    }
    let bound = |part: i64| start + step * (i128::from(trips) * i128::from(part) / i128::from(count)) as i64;
    let seat = seat::current();
    for ((desk, thread), part) in workers.iter().zip(1..) {
        let last = part + 1 == count;
        let part = Part {
            code,
            frame: frame.cast_const(),
            captures,
            start: bound(part),
            stop: if last { stop } else { bound(part + 1) },
        };
        // SAFETY: the desk is idle, because whoever used it before took the part back or waited for it; the pool is locked.
        if unsafe { desk.hand(part, seat) } {
            thread.unpark();
        }
    }
    let began = Instant::now();
    let mut result = code(frame, captures, start, bound(1));
    let own = began.elapsed();
    // Parts that were not begun are the caller's, unless earlier iterations were stopped.
    let mut left: SmallVec<[Option<i64>; 16]> = SmallVec::new();
    for (desk, _) in workers {
        left.push(desk.take_back().map(|part| match result {
            0 => code(frame, captures, part.start, part.stop),
            stopped => stopped,
        }));
    }
    let helped = left.iter().all(Option::is_none);
    for ((desk, _), left) in workers.iter().zip(left) {
        let stopped = left.unwrap_or_else(|| desk.wait());
        if result == 0 {
            result = stopped;
        }
    }
    match helped {
        true => help.came(began.elapsed().saturating_sub(3 * own + IN_TIME)),
        false if sleeping => help.in_vain(),
        false => {}
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
        let leaves = |caller| caller != seat::UNKNOWN && caller == seat::current();
        desk.serve(leaves, |part| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_are_awake_are_asked_and_sleepers_for_a_long_region_or_several_short_ones() {
        let mut help = Help::NEW;
        assert!(help.is_asked(2.0, false));
        assert!(help.is_asked(2.0 * WAKING, true));
        assert!(!help.is_asked(0.5 * WAKING, true), "what was shared is not missed");
        assert!(help.is_asked(0.6 * WAKING, true));
        assert!(help.is_asked(f64::INFINITY, true), "tests split whatever it is");
        assert!(!help.is_asked(0.5 * WAKING, true));
    }

    #[test]
    fn waking_in_vain_takes_more_and_more_until_it_helps() {
        let mut help = Help::NEW;
        help.in_vain();
        assert!(!help.is_asked(1.5 * WAKING, true));
        assert!(help.is_asked(0.6 * WAKING, true));
        (0..100).for_each(|_| help.in_vain());
        assert!(help.is_asked(MOST_WAKING, true), "a long region always asks");
        (0..100).for_each(|_| help.came(Duration::ZERO));
        assert!(help.is_asked(WAKING, true));
    }

    #[test]
    fn after_a_late_part_several_times_as_much_is_done_alone() {
        let mut help = Help::NEW;
        help.came(Duration::from_millis(1));
        assert!(!help.is_asked(1_000.0, false));
        assert!(help.is_asked(1_000.0, false));
        help.in_vain();
        assert!(!help.is_asked(1_000.0, true), "it does not get less");
        (0..100).for_each(|_| help.came(Duration::from_secs(1)));
        assert!(help.is_asked(MOST_LATE, true), "a long region always asks");
    }

    #[test]
    fn a_region_covers_its_iterations_once_whoever_does_the_parts() {
        extern "C" fn mark(_: *mut Frame, marks: *const u64, start: i64, stop: i64) -> i64 {
            for i in (start..stop).step_by(3) {
                // SAFETY: the table has a place for each iteration, which one part has.
                unsafe { *marks.cast_mut().add(i as usize) += 1 };
            }
            0
        }
        extern "C" fn stops_at_ten(_: *mut Frame, _: *const u64, start: i64, stop: i64) -> i64 {
            if (start..stop).contains(&10) { 7 } else { i64::from(start > 10) * 9 }
        }
        for threads in 1..5 {
            let mut frame = super::super::product::tests::frame(threads);
            for _ in 0..200 {
                let mut marks = [0_u64; 30];
                let table = marks.as_mut_ptr().cast_const();
                // SAFETY: the functions are regions' and the table is theirs.
                let (all, stopped) = unsafe {
                    let mut split = |code, table| split(&raw mut frame, code, table, 0, 30, 3, 1, 1e9);
                    (split(mark as *const u8, table), split(stops_at_ten as *const u8, std::ptr::null()))
                };
                assert_eq!((all, stopped), (0, 7));
                assert!(
                    marks.iter().enumerate().all(|(i, &mark)| mark == u64::from(i % 3 == 0)),
                    "{marks:?}"
                );
            }
        }
    }
}
