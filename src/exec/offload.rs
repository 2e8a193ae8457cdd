//! When `auto` hands a call's maps to a GPU.
//!
//! ```text
//! host   = operations * 0.4 ns / threads (8 at most)
//! device = 1 ms + bytes of all arrays, there and back, at 8 GB/s + operations * 0.4 ns / 20
//!          + 20 us for each launch, copy and library routine
//! ```
//!
//! It has to take less than half of the time that the host takes. The figures are on the safe side for a card behind PCIe: a
//! fraction of what it copies and computes, and arrays count in both directions whether they are read, written or already
//! there. They are not measured. Operations that only a run can tell do not count, as such calls stay on the host.

use crate::kernel::cost::Work;

/// Seconds of an operation on one thread.
const OPERATION: f64 = 0.4e-9;

/// Threads that speed a program up at most.
const MOST_THREADS: usize = 8;

/// Seconds that a call costs in any case: submissions, waiting.
const CALL: f64 = 1e-3;

/// Bytes per second between host and device.
const COPY: f64 = 8e9;

/// How much faster than one thread the device is, at least.
const FASTER: f64 = 20.0;

/// Seconds of a launch, or of what the host does between launches.
const LAUNCH: f64 = 20e-6;

/// Whether a call that does so much, on arrays of so many bytes, is worth a GPU, if it takes so many launches.
pub(super) fn pays(work: Work, bytes: f64, launches: f64, threads: usize) -> bool {
    let alone = work.operations * OPERATION;
    let host = alone / threads.clamp(1, MOST_THREADS) as f64;
    let device = CALL + 2.0 * bytes / COPY + alone / FASTER + launches * LAUNCH;
    !work.guessed && 2.0 * device < host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_work_on_little_data_pays() {
        let work = |operations: f64| Work { operations, guessed: false };
        assert!(pays(work(1e10), 1e8, 10.0, 1));
        // Copies cost more than one pass over the data saves.
        assert!(!pays(work(1e8), 8e8, 10.0, 1));
        assert!(!pays(work(1e6), 1e3, 10.0, 1));
        // Neither do very many launches.
        assert!(!pays(work(1e10), 1e8, 1e5, 1));
        assert!(!pays(Work { guessed: true, ..work(1e10) }, 1e8, 10.0, 1));
        // More threads need more work each.
        assert!(pays(work(1e8), 1e7, 1.0, 1) && !pays(work(1e8), 1e7, 1.0, 8));
    }
}
