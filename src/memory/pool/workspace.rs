//! The workspace and its leases.

use std::ptr::NonNull;
use std::sync::{Arc, PoisonError};

use thiserror::Error;

use crate::diag::Diagnostic;
use crate::memory::plan::Plan;
use crate::sync::{Condvar, Mutex, MutexGuard};

use super::block::{Block, Source, System};

/// Memory for transients, shared by programs and threads. Clones are the same workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    shared: Arc<Shared>,
}

impl PartialEq for Workspace {
    fn eq(&self, other: &Workspace) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Workspace {}

#[derive(Debug)]
struct Shared {
    source: Box<dyn Source>,
    /// All there will ever be; `None`: it grows.
    fixed: Option<usize>,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Slabs that nobody uses.
    idle: Vec<Block>,
    statistics: Statistics,
}

/// What a workspace has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Leases taken.
    pub calls: u64,
    /// Slabs allocated.
    pub growths: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Leases that had to wait for memory of the caller.
    pub waits: u64,
    /// Bytes of all slabs now, idle or leased.
    pub held: u64,
    /// Bytes of leased slabs now.
    pub leased: u64,
    /// Most bytes of leased slabs at one time.
    pub peak: u64,
    /// Of the largest plan: bytes of its slab.
    pub plan_peak: u64,
    /// Of the largest plan: its lower bound.
    pub plan_lower_bound: u64,
    /// Of the largest plan: bytes of all transients.
    pub plan_total: u64,
}

impl Statistics {
    /// Share of the largest plan's slab that its busiest moment does not use.
    pub fn fragmentation(&self) -> f64 {
        if self.plan_peak == 0 { 0.0 } else { 1.0 - self.plan_lower_bound as f64 / self.plan_peak as f64 }
    }
}

/// There is no memory for a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum OutOfMemory {
    /// The system has no more.
    #[error("no memory for {bytes} bytes of transients")]
    System {
        /// How many bytes were asked for.
        bytes: u64,
    },
    /// The caller gave too little.
    #[error("the workspace has {given} bytes, and the transients need {bytes}")]
    Fixed {
        /// How many bytes are needed.
        bytes: u64,
        /// How many there are.
        given: u64,
    },
}

impl From<OutOfMemory> for Diagnostic {
    fn from(error: OutOfMemory) -> Self {
        match error {
            OutOfMemory::System { .. } => Diagnostic::error("P0750", error.to_string()),
            OutOfMemory::Fixed { .. } => Diagnostic::error("P0751", error.to_string()),
        }
        .with_help("`pelton plan` shows what needs it, and when")
    }
}

/// Slabs that are kept, at least, when all are idle.
const MOST_SLABS: usize = 64;

impl Default for Workspace {
    fn default() -> Self {
        Workspace::new()
    }
}

impl Workspace {
    /// An empty workspace that takes memory from the system as it is needed.
    pub fn new() -> Workspace {
        Workspace::from_source(Box::new(System))
    }

    /// An empty workspace that takes memory from a source of one's own.
    pub fn from_source(source: Box<dyn Source>) -> Workspace {
        Workspace::build(source, None, Vec::new())
    }

    /// A workspace of bytes that the caller gives away; its size never changes.
    pub fn of_block(block: Block) -> Workspace {
        Workspace::build(Box::new(System), Some(block.len()), vec![block])
    }

    /// A workspace in a slice that the caller gives away for good; its size never changes. Up to 63 bytes at the start
    /// are skipped.
    pub fn of_slice(bytes: &'static mut [u8]) -> Workspace {
        let len = bytes.len();
        // SAFETY: the slice is borrowed exclusively until the process ends.
        unsafe { Workspace::of_memory(NonNull::from(bytes).cast(), len) }
    }

    /// A workspace in memory of the caller; its size never changes. Up to 63 bytes at the start are skipped.
    ///
    /// # Safety
    /// `start` is valid for reads and writes of `bytes` bytes, and nobody else uses them, until the workspace, its
    /// clones and their leases are gone.
    pub unsafe fn of_memory(start: NonNull<u8>, bytes: usize) -> Workspace {
        // SAFETY: as the caller says.
        Workspace::of_block(unsafe { Block::foreign(start, bytes) })
    }

    fn build(source: Box<dyn Source>, fixed: Option<usize>, idle: Vec<Block>) -> Workspace {
        let held = idle.iter().map(|block| block.len() as u64).sum();
        let state = State { idle, statistics: Statistics { held, ..Statistics::default() } };
        Workspace {
            shared: Arc::new(Shared { source, fixed, state: Mutex::new(state), returned: Condvar::new() }),
        }
    }

    /// The bytes that the caller gave; `None` if it grows.
    pub fn fixed_bytes(&self) -> Option<u64> {
        self.shared.fixed.map(|bytes| bytes as u64)
    }

    /// Takes a slab of at least so many bytes. Nothing is allocated if an idle one is large enough.
    ///
    /// # Errors
    /// [`OutOfMemory`]; the workspace stays usable.
    pub fn lease(&self, bytes: u64) -> Result<Lease, OutOfMemory> {
        let mut state = self.shared.lock();
        loop {
            if let Some(block) = state.take(bytes) {
                return Ok(self.leased(&mut state, block));
            }
            let Some(given) = self.shared.fixed else { break };
            if bytes > given as u64 {
                state.statistics.failures += 1;
                return Err(OutOfMemory::Fixed { bytes, given: given as u64 });
            }
            state.statistics.waits += 1;
            state = self.shared.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // The largest idle slab is too small: it makes room for the new one.
        let small = state.idle.pop();
        state.statistics.held -= small.as_ref().map_or(0, |block| block.len() as u64);
        drop(state);
        drop(small);
        let new = self.allocate(bytes);
        let mut state = self.shared.lock();
        match new {
            Some(block) => {
                state.statistics.growths += 1;
                state.statistics.held += block.len() as u64;
                // Room for it to come back: giving a slab back does not allocate. Without room it is dropped.
                let _ = state.idle.try_reserve(MOST_SLABS);
                Ok(self.leased(&mut state, block))
            }
            None => {
                state.statistics.failures += 1;
                Err(OutOfMemory::System { bytes })
            }
        }
    }

    /// As [`Workspace::lease`], for a plan and `more` bytes behind it; the plan is noted in the statistics.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn lease_for(&self, plan: &Plan, more: u64) -> Result<Lease, OutOfMemory> {
        let lease = self.lease(plan.peak.saturating_add(more))?;
        let statistics = &mut self.shared.lock().statistics;
        if plan.peak > statistics.plan_peak {
            statistics.plan_peak = plan.peak;
            statistics.plan_lower_bound = plan.lower_bound;
            statistics.plan_total = plan.total;
        }
        Ok(lease)
    }

    /// A block from the same source that the workspace does not keep.
    pub fn allocate(&self, bytes: u64) -> Option<Block> {
        usize::try_from(bytes).ok().and_then(|bytes| self.shared.source.block(bytes))
    }

    /// Gives idle slabs back to the system; those of a fixed workspace stay.
    pub fn trim(&self) {
        if self.shared.fixed.is_some() {
            return;
        }
        let mut state = self.shared.lock();
        let idle = std::mem::take(&mut state.idle);
        state.statistics.held -= idle.iter().map(|block| block.len() as u64).sum::<u64>();
    }

    /// What it has seen so far.
    pub fn statistics(&self) -> Statistics {
        self.shared.lock().statistics
    }

    fn leased(&self, state: &mut State, block: Block) -> Lease {
        let statistics = &mut state.statistics;
        statistics.calls += 1;
        statistics.leased += block.len() as u64;
        statistics.peak = statistics.peak.max(statistics.leased);
        Lease { block, shared: Arc::clone(&self.shared) }
    }
}

impl Shared {
    /// The state. A thread that panicked while it held the lock left counters and idle blocks, which are valid at
    /// any time.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The smallest idle slab that is large enough. Idle slabs stand in the order of their size.
    fn take(&mut self, bytes: u64) -> Option<Block> {
        if bytes == 0 {
            return Some(Block::default());
        }
        let place = self.idle.partition_point(|block| (block.len() as u64) < bytes);
        (place < self.idle.len()).then(|| self.idle.remove(place))
    }
}

/// A slab on loan to one call.
#[derive(Debug)]
pub struct Lease {
    block: Block,
    shared: Arc<Shared>,
}

impl Lease {
    /// The slab.
    pub fn block(&mut self) -> &mut Block {
        &mut self.block
    }

    /// The bytes of the slab.
    pub fn bytes(&self) -> &[u8] {
        self.block.bytes()
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.block.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let block = std::mem::take(&mut self.block);
        let mut state = self.shared.lock();
        state.statistics.leased -= block.len() as u64;
        if block.is_empty() {
            return;
        }
        if state.idle.len() < state.idle.capacity() || self.shared.fixed.is_some() {
            let place = state.idle.partition_point(|other| other.len() < block.len());
            state.idle.insert(place, block);
        } else {
            state.statistics.held -= block.len() as u64;
        }
        drop(state);
        self.shared.returned.notify_one();
    }
}
