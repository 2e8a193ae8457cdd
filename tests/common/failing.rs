//! Memory that runs out.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use pelton::memory::pool::{Block, Source, System};

/// Fails once, at the n-th block.
#[derive(Debug)]
pub struct FailAt(pub Arc<AtomicI64>);

impl Source for FailAt {
    fn block(&self, bytes: usize) -> Option<Block> {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 0 { None } else { System.block(bytes) }
    }
}
