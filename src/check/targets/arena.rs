//! The arena as a state machine: bytes are operations on a workspace and on plans, and a model says what has to come out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::analysis::liveness::Span;
use crate::memory::plan::{ALIGNMENT, Item, Plan, plan};
use crate::memory::pool::{Block, Lease, OutOfMemory, Source, System, Workspace};

use super::Finding;

/// Leases at the same time at most.
const LEASES: usize = 6;

/// Operations at most.
const OPERATIONS: usize = 96;

/// Memory that is there or not, as the operations say.
#[derive(Clone, Debug, Default)]
struct Switched {
    empty: Arc<AtomicBool>,
}

impl Source for Switched {
    fn block(&self, bytes: usize) -> Option<Block> {
        if self.empty.load(Ordering::Relaxed) { None } else { System.block(bytes) }
    }
}

/// A lease, and the byte that it was filled with.
struct Held {
    lease: Lease,
    mark: u8,
}

/// Bytes as operations: take, give back, trim, let memory run out, plan. What a lease was filled with stays there until it
/// is given back; counters are those of the model; plans never overlap.
pub(super) fn machine(bytes: &[u8]) -> Finding {
    let (&first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let source = Switched::default();
    // A fixed workspace waits for its memory, so it never has two leases here.
    let fixed = (first % 4 == 0).then_some(usize::from(first) * 16);
    let workspace = match fixed {
        Some(size) => Workspace::of_block(Block::new(size).ok_or("no memory")?),
        None => Workspace::from_source(Box::new(source.clone())),
    };
    let mut held: Vec<Held> = Vec::new();
    let (mut calls, mut failures) = (0, 0);
    for (number, operation) in rest.chunks(3).take(OPERATIONS).enumerate() {
        let [kind, a, b] = [0, 1, 2].map(|at| operation.get(at).copied().unwrap_or(0));
        let size = u64::from(a) * 37 + u64::from(b) * 1024;
        match kind % 8 {
            0..=2 if held.len() < LEASES && (fixed.is_none() || held.is_empty()) => {
                let mark = number as u8;
                match workspace.lease(size) {
                    Ok(mut lease) => {
                        calls += 1;
                        if (lease.len() as u64) < size {
                            return Err(format!("{} bytes for {size}", lease.len()));
                        }
                        if size > 0 && lease.block().address().align_offset(ALIGNMENT as usize) != 0 {
                            return Err("a slab does not start on a cache line".to_owned());
                        }
                        lease.block().bytes_mut().fill(mark);
                        held.push(Held { lease, mark });
                    }
                    Err(OutOfMemory::Fixed { .. }) if fixed.is_some_and(|all| (all as u64) < size) => {
                        failures += 1;
                    }
                    Err(OutOfMemory::System { .. }) if source.empty.load(Ordering::Relaxed) => failures += 1,
                    Err(error) => return Err(format!("{error}, although there is memory")),
                }
            }
            3 | 4 if !held.is_empty() => drop(held.swap_remove(usize::from(a) % held.len())),
            5 => workspace.trim(),
            6 => source.empty.store(a % 2 == 1, Ordering::Relaxed),
            7 => planned(rest.get(number * 3..).unwrap_or(&[]))?,
            _ => {}
        }
        for item in &held {
            if item.lease.bytes().iter().any(|&byte| byte != item.mark) {
                return Err("somebody wrote to a slab that is on loan".to_owned());
            }
        }
        let statistics = workspace.statistics();
        let leased: u64 = held.iter().map(|item| item.lease.len() as u64).sum();
        if (statistics.calls, statistics.failures, statistics.leased) != (calls, failures, leased) {
            return Err(format!(
                "{statistics:?} after {calls} leases, {failures} failures, {leased} on loan"
            ));
        }
        if statistics.held < leased || statistics.peak < leased {
            return Err(format!("{statistics:?} with {leased} bytes on loan"));
        }
    }
    held.clear();
    workspace.trim();
    let left = workspace.statistics().held;
    if left == fixed.unwrap_or(0) as u64 { Ok(()) } else { Err(format!("{left} bytes stay behind")) }
}

/// Bytes as the items of a plan.
fn planned(bytes: &[u8]) -> Finding {
    let items: Vec<Item> = bytes
        .chunks_exact(4)
        .take(40)
        .map(|part| {
            let first = u32::from(part[0] % 32);
            Item {
                span: Span { first, last: first + u32::from(part[1] % 12) },
                bytes: u64::from(part[2]) * u64::from(part[3] % 16),
                alignment: [64, 64, 1, 256][usize::from(part[3] / 64)],
            }
        })
        .collect();
    let plan = plan(&items).map_err(|error| error.to_string())?;
    sound(&items, &plan)
}

/// What a plan promises.
fn sound(items: &[Item], plan: &Plan) -> Finding {
    let places: Vec<(&Item, u64)> = items.iter().zip(plan.offsets.iter().copied()).collect();
    for (at, (item, offset)) in places.iter().enumerate().filter(|(_, (item, _))| item.bytes > 0) {
        if offset % item.alignment.max(1) != 0 || offset + item.bytes > plan.peak {
            return Err(format!("item {at} lies at {offset} in {} bytes", plan.peak));
        }
        for (other_at, (other, start)) in places[..at].iter().enumerate().filter(|(_, (o, _))| o.bytes > 0) {
            let apart = offset + item.bytes <= *start || start + other.bytes <= *offset;
            if !apart && item.span.meets(other.span) {
                return Err(format!("items {other_at} and {at} overlap: {items:?}"));
            }
        }
    }
    if plan.lower_bound <= plan.peak { Ok(()) } else { Err(format!("below its bound: {plan:?}")) }
}
