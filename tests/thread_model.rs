//! Model checking: every interleaving of few threads (up to a number of preemptions) in the code that shares memory
//! between threads, by loom.
//!
//! The code is the library's own, compiled here once more over loom's thread primitives, which stand in `crate::sync` as
//! the standard library's do there.

/// loom's primitives under the names of the library's `sync`.
mod sync {
    pub use loom::hint::spin_loop;
    pub use loom::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, fence};
    pub use loom::sync::{Condvar, Mutex, MutexGuard};
    pub use loom::thread::{park, yield_now};

    /// So that sleeping and yielding are reached soon.
    pub const SPINS: u32 = 1;

    /// Memory whose uses are checked for races.
    #[derive(Debug)]
    pub struct Slot<T>(loom::cell::UnsafeCell<T>);

    // SAFETY: as the library's; loom says when the promise is broken.
    unsafe impl<T: Send> Sync for Slot<T> {}

    impl<T> Slot<T> {
        pub fn new(value: T) -> Slot<T> {
            Slot(loom::cell::UnsafeCell::new(value))
        }

        /// # Safety
        /// As the library's.
        pub unsafe fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            // SAFETY: as the caller says.
            self.0.with_mut(|value| work(unsafe { &mut *value }))
        }
    }
}

mod diag {
    pub use pelton::diag::Diagnostic;
}

#[path = "../src/memory"]
mod memory {
    pub mod plan {
        pub use pelton::memory::plan::{ALIGNMENT, Plan};
    }

    #[allow(dead_code, unused_imports, reason = "compiled for what the model uses of it")]
    pub mod pool;
}

#[allow(dead_code, reason = "compiled for what the model uses of it")]
#[path = "../src/back/native/handshake.rs"]
mod handshake;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use loom::thread;

use handshake::Desk;
use memory::pool::{Block, Lease, OutOfMemory, Source, System, Workspace};
use sync::Slot;

/// Every interleaving with at most so many switches away from a thread that could go on.
fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Slabs, each with a cell that notices when two threads use it without one having waited for the other.
#[derive(Clone, Debug, Default)]
struct Watched {
    cells: Arc<Mutex<HashMap<usize, Arc<Slot<u8>>>>>,
    /// Allocations that are left, if they are counted.
    left: Option<Arc<Mutex<u32>>>,
}

impl Source for Watched {
    fn block(&self, bytes: usize) -> Option<Block> {
        if let Some(left) = &self.left {
            let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
            *left = left.checked_sub(1)?;
        }
        let mut block = System.block(bytes)?;
        self.watch(block.address() as usize);
        Some(block)
    }
}

impl Watched {
    fn watch(&self, address: usize) {
        let cell = Arc::new(Slot::new(0));
        self.cells.lock().unwrap_or_else(PoisonError::into_inner).insert(address, cell);
    }

    /// Uses a slab as a call does: writes it, goes on, reads it.
    fn used(&self, lease: &mut Lease, mark: u8) {
        let address = lease.block().address() as usize;
        let cell = self.cells.lock().unwrap_or_else(PoisonError::into_inner).get(&address).cloned();
        let cell = cell.expect("a slab of this source");
        lease.block().bytes_mut().fill(mark);
        // SAFETY: whether that holds is what the model finds out.
        unsafe { cell.with(|value| *value = mark) };
        thread::yield_now();
        // SAFETY: as above.
        assert_eq!(unsafe { cell.with(|value| *value) }, mark);
        assert!(lease.bytes().iter().all(|&byte| byte == mark), "somebody else's bytes");
    }
}

#[test]
fn two_calls_of_a_growing_workspace_never_share_a_slab() {
    check(3, || {
        let watched = Watched::default();
        let workspace = Workspace::from_source(Box::new(watched.clone()));
        let other = thread::spawn({
            let (workspace, watched) = (workspace.clone(), watched.clone());
            move || {
                for bytes in [64, 128] {
                    watched.used(&mut workspace.lease(bytes).unwrap(), 1);
                }
            }
        });
        for bytes in [64, 64] {
            watched.used(&mut workspace.lease(bytes).unwrap(), 2);
        }
        workspace.trim();
        other.join().unwrap();
        let statistics = workspace.statistics();
        assert_eq!((statistics.calls, statistics.leased, statistics.failures), (4, 0, 0));
        assert!(statistics.held <= 256, "{statistics:?}");
        workspace.trim();
        assert_eq!(workspace.statistics().held, 0);
    });
}

#[test]
fn two_calls_take_turns_in_memory_of_the_caller() {
    check(3, || {
        let watched = Watched::default();
        let mut block = Block::new(64).unwrap();
        watched.watch(block.address() as usize);
        let workspace = Workspace::of_block(block);
        let other = thread::spawn({
            let (workspace, watched) = (workspace.clone(), watched.clone());
            move || {
                for _ in 0..2 {
                    watched.used(&mut workspace.lease(64).unwrap(), 1);
                }
            }
        });
        watched.used(&mut workspace.lease(60).unwrap(), 2);
        other.join().unwrap();
        let statistics = workspace.statistics();
        assert_eq!((statistics.calls, statistics.leased, statistics.held), (3, 0, 64));
    });
}

#[test]
fn whoever_finds_no_memory_says_so_and_the_other_goes_on() {
    check(3, || {
        let watched = Watched { left: Some(Arc::new(Mutex::new(1))), ..Watched::default() };
        let workspace = Workspace::from_source(Box::new(watched.clone()));
        let call = |workspace: &Workspace, watched: &Watched, mark: u8| match workspace.lease(64) {
            Ok(mut lease) => {
                watched.used(&mut lease, mark);
                true
            }
            Err(error) => {
                assert_eq!(error, OutOfMemory::System { bytes: 64 });
                false
            }
        };
        let other = thread::spawn({
            let (workspace, watched) = (workspace.clone(), watched.clone());
            move || call(&workspace, &watched, 1)
        });
        let ours = call(&workspace, &watched, 2);
        let theirs = other.join().unwrap();
        assert!(ours || theirs, "one of them had memory");
        let statistics = workspace.statistics();
        assert_eq!(statistics.failures, u64::from(!ours) + u64::from(!theirs));
        assert_eq!((statistics.leased, statistics.held), (0, 64));
        assert!(call(&workspace, &watched, 3), "the slab is there for the next call");
    });
}

/// A part after which a worker ends.
const LAST: i64 = -1;

/// A worker that adds parts to a number until the last one comes, and leaves those that come from `left`.
fn adder(desk: &Arc<Desk<i64>>, memory: &Arc<Slot<i64>>, left: Option<u32>) -> thread::JoinHandle<()> {
    let (desk, memory) = (Arc::clone(desk), Arc::clone(memory));
    thread::spawn(move || {
        let mut ended = false;
        while !ended {
            desk.serve(
                |seat| Some(seat) == left,
                |part| {
                    ended = part == LAST;
                    if ended { 0 } else { add(&memory, part) }
                },
            );
        }
    })
}

fn add(memory: &Slot<i64>, part: i64) -> i64 {
    // SAFETY: whoever has the part is alone with the memory; loom checks it.
    unsafe {
        memory.with(|value| {
            *value += part;
            *value
        })
    }
}

/// Hands a part over and waits until it is done: its result, and whether the worker did it.
fn done(
    desk: &Desk<i64>,
    memory: &Slot<i64>,
    worker: &thread::JoinHandle<()>,
    part: i64,
    seat: u32,
) -> (i64, bool) {
    // SAFETY: the last part was waited for or taken back.
    if unsafe { desk.hand(part, seat) } {
        worker.thread().unpark();
    }
    match desk.take_back() {
        Some(part) => (add(memory, part), false),
        None => (desk.wait(), true),
    }
}

fn end(desk: &Desk<i64>, worker: thread::JoinHandle<()>, seat: u32) {
    // SAFETY: the last part was waited for or taken back.
    if unsafe { desk.hand(LAST, seat) } {
        worker.thread().unpark();
    }
    worker.join().unwrap();
}

#[test]
fn each_part_is_done_once_by_one_of_both_and_its_writes_are_seen() {
    check(3, || {
        let (desk, memory) = (Arc::new(Desk::new()), Arc::new(Slot::new(0_i64)));
        let worker = adder(&desk, &memory, None);
        for (part, expected) in [(5, 5), (7, 12)] {
            assert_eq!(done(&desk, &memory, &worker, part, 0).0, expected);
            // SAFETY: the part is done.
            assert_eq!(unsafe { memory.with(|value| *value) }, expected);
        }
        end(&desk, worker, 0);
    });
}

#[test]
fn a_part_from_a_seat_that_a_worker_leaves_is_the_callers_and_later_ones_are_seen() {
    check(3, || {
        let (desk, memory) = (Arc::new(Desk::new()), Arc::new(Slot::new(0_i64)));
        let worker = adder(&desk, &memory, Some(1));
        assert_eq!(done(&desk, &memory, &worker, 5, 1), (5, false));
        assert_eq!(done(&desk, &memory, &worker, 7, 0).0, 12);
        end(&desk, worker, 0);
    });
}

#[test]
fn two_workers_and_a_caller_share_one_region() {
    check(2, || {
        let desks: Vec<Arc<Desk<usize>>> = (0..2).map(|_| Arc::new(Desk::new())).collect();
        let rows: Arc<Vec<Slot<usize>>> = Arc::new((0..3).map(|_| Slot::new(0)).collect());
        let write = |rows: &[Slot<usize>], row: usize| {
            // SAFETY: each row belongs to one part; loom checks it.
            unsafe { rows[row].with(|value| *value = row + 10) };
            row as i64
        };
        let workers: Vec<_> = desks
            .iter()
            .map(|desk| {
                let (desk, rows) = (Arc::clone(desk), Arc::clone(&rows));
                thread::spawn(move || desk.serve(|_| false, |row| write(&rows, row)))
            })
            .collect();
        for (part, (desk, worker)) in desks.iter().zip(&workers).enumerate() {
            // SAFETY: the desk is new.
            if unsafe { desk.hand(part + 1, 0) } {
                worker.thread().unpark();
            }
        }
        write(&rows, 0);
        for (part, desk) in desks.iter().enumerate() {
            assert_eq!(desk.wait(), part as i64 + 1);
        }
        for (row, slot) in rows.iter().enumerate() {
            // SAFETY: all parts are done.
            assert_eq!(unsafe { slot.with(|value| *value) }, row + 10);
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}
