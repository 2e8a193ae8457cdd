//! Workspaces: shared, fixed, failing, and used by many threads at once.

mod common;

use std::ptr::NonNull;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Barrier};

use pelton::memory::plan::ALIGNMENT;
use pelton::memory::pool::{Block, OutOfMemory, Workspace};

use common::failing::FailAt;

#[test]
fn slabs_stay_warm_and_are_reused() {
    let workspace = Workspace::new();
    let first = workspace.lease(1000).unwrap().block().address();
    let again = workspace.lease(900).unwrap().block().address();
    assert_eq!(first, again);
    let statistics = workspace.statistics();
    assert_eq!((statistics.calls, statistics.growths, statistics.held, statistics.leased), (2, 1, 1000, 0));
    workspace.trim();
    assert_eq!(workspace.statistics().held, 0);
}

#[test]
fn growing_gives_the_small_slab_back() {
    let workspace = Workspace::new();
    drop(workspace.lease(1000).unwrap());
    drop(workspace.lease(5000).unwrap());
    assert_eq!(workspace.statistics().held, 5000);
}

#[test]
fn slabs_start_on_a_cache_line_and_are_zero_at_first() {
    let workspace = Workspace::new();
    for bytes in [1, 64, 4097, 3 << 20] {
        let mut lease = workspace.lease(bytes).unwrap();
        assert_eq!(lease.block().address() as u64 % ALIGNMENT, 0);
        assert!(lease.block().bytes().iter().all(|&byte| byte == 0));
        assert!(lease.len() as u64 >= bytes);
    }
}

#[test]
fn leases_at_the_same_time_are_different_slabs() {
    let workspace = Workspace::new();
    let (mut a, mut b) = (workspace.lease(128).unwrap(), workspace.lease(128).unwrap());
    a.block().bytes_mut().fill(1);
    b.block().bytes_mut().fill(2);
    assert!(a.block().bytes().iter().all(|&byte| byte == 1));
    assert_eq!(workspace.statistics().peak, 256);
}

#[test]
fn memory_of_the_caller_is_used_from_its_first_cache_line() {
    let mut memory = vec![7_u8; 1000];
    let start = NonNull::new(memory.as_mut_ptr()).unwrap();
    let skipped = start.align_offset(ALIGNMENT as usize);
    // SAFETY: the vector outlives the workspace and is not touched meanwhile.
    let workspace = unsafe { Workspace::of_memory(start, memory.len()) };
    assert_eq!(workspace.fixed_bytes(), Some(1000 - skipped as u64));
    workspace.lease(800).unwrap().block().bytes_mut()[..800].fill(9);
    let refused = workspace.lease(1001).unwrap_err();
    assert_eq!(refused, OutOfMemory::Fixed { bytes: 1001, given: 1000 - skipped as u64 });
    workspace.trim();
    assert!(workspace.lease(800).is_ok());
    drop(workspace);
    assert!(memory[skipped..skipped + 800].iter().all(|&byte| byte == 9));
}

#[test]
fn a_slice_that_is_given_away_is_used() {
    let bytes = Box::leak(vec![0_u8; 300].into_boxed_slice());
    let first = bytes.as_ptr() as usize;
    let workspace = Workspace::of_slice(bytes);
    let mut lease = workspace.lease(200).unwrap();
    assert!((first..first + 100).contains(&(lease.block().address() as usize)));
    lease.block().bytes_mut().fill(1);
    drop(lease);
    assert!(workspace.lease(301).is_err());
}

#[test]
fn whoever_finds_fixed_memory_in_use_waits() {
    let workspace = Workspace::of_block(Block::new(256).unwrap());
    let lease = workspace.lease(200).unwrap();
    let other = std::thread::spawn({
        let workspace = workspace.clone();
        move || workspace.lease(200).unwrap().len()
    });
    while workspace.statistics().waits == 0 {
        std::thread::yield_now();
    }
    drop(lease);
    assert_eq!(other.join().unwrap(), 256);
}

#[test]
fn impossible_sizes_are_refused() {
    let workspace = Workspace::new();
    assert_eq!(workspace.lease(u64::MAX).unwrap_err(), OutOfMemory::System { bytes: u64::MAX });
    assert!(workspace.lease(64).is_ok());
}

/// Every allocation of a sequence of leases fails once; what comes after works.
#[test]
fn a_failed_allocation_leaves_the_workspace_usable() {
    for nth in 0..4 {
        let countdown = Arc::new(AtomicI64::new(nth));
        let workspace = Workspace::from_source(Box::new(FailAt(Arc::clone(&countdown))));
        let mut failures = 0;
        for bytes in [100, 200, 50, 400, 400, 800, 10] {
            failures += u64::from(workspace.lease(bytes).is_err());
            assert_eq!(workspace.statistics().leased, 0);
        }
        assert_eq!(failures, 1, "allocation {nth}");
        assert_eq!(workspace.statistics().failures, 1);
        assert!(workspace.lease(1600).is_ok());
        assert_eq!(workspace.statistics().held, 1600);
    }
}

/// Threads fill their slabs with their own number and look for anybody else's.
#[test]
fn threads_never_see_each_others_bytes() {
    for workspace in [Workspace::new(), Workspace::of_block(Block::new(1 << 14).unwrap())] {
        let barrier = Arc::new(Barrier::new(8));
        let threads: Vec<_> = (1..=8_u8)
            .map(|number| {
                let (workspace, barrier) = (workspace.clone(), Arc::clone(&barrier));
                std::thread::spawn(move || {
                    barrier.wait();
                    for round in 0..400_u64 {
                        let bytes = 64 + (round * 37 + u64::from(number) * 101) % 8000;
                        let mut lease = workspace.lease(bytes).unwrap();
                        let bytes = lease.block().bytes_mut();
                        bytes.fill(number);
                        std::thread::yield_now();
                        assert!(bytes.iter().all(|&byte| byte == number));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let statistics = workspace.statistics();
        assert_eq!((statistics.calls, statistics.leased), (8 * 400, 0));
    }
}
