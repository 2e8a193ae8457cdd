//! Memory of a run: blocks of bytes, queues, and what is known about each element.
//!
//! Offsets are bytes from the start of a block and are checked against the block at every access, so a wild
//! index is a fault and never more. Block `n` belongs to container slot `n`; the caller's buffers follow.

use std::collections::VecDeque;

use super::arena::{Slab, Window};
use crate::memory::Buffer;
use crate::scalar::{DType, Scalar};
use smallvec::SmallVec;

/// No block: unset references, absent arguments.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Where a container lies at the moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// A block, or for streams the first queue.
    pub block: u32,
    /// Byte offset (streams: queue offset) of index zero.
    pub base: i64,
    pub dims: SmallVec<[Dim; 4]>,
}

impl Place {
    pub fn nowhere() -> Place {
        Place { block: NOWHERE, ..Place::default() }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Dim {
    pub extent: i64,
    /// In bytes (streams: in queues).
    pub stride: i64,
    /// Added to each index.
    pub offset: i64,
}

#[derive(Debug, Default)]
pub(super) struct Memory<'a> {
    pub blocks: Vec<Block<'a>>,
    pub queues: Vec<VecDeque<QueueItem>>,
    pub slab: Slab,
}

/// An element in a queue: its bytes, and whether it was undefined.
pub(super) type QueueItem = (SmallVec<[u8; 16]>, bool);

#[derive(Debug)]
pub(super) struct Block<'a> {
    pub bytes: Buffer<'a>,
    /// Bytes of the slab that take the place of its own.
    pub window: Option<Window>,
    pub shadow: Shadow,
    /// The caller sees it.
    pub output: bool,
    /// Each thread has its own.
    pub private: bool,
    /// It was allocated in this run.
    pub live: bool,
}

impl Default for Block<'_> {
    fn default() -> Self {
        Block {
            bytes: Buffer::Owned(Vec::new()),
            window: None,
            shadow: Shadow::default(),
            output: false,
            private: false,
            live: false,
        }
    }
}

/// What is known about the elements of a block, per unit of bytes. Empty unless the run tracks it.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    /// Bytes of the smallest number in the block.
    pub unit: usize,
    /// Nobody wrote it.
    pub poison: Vec<bool>,
    /// The last iteration that wrote it, with the map instance.
    pub writer: Vec<u64>,
    /// The last two different iterations that read it. Two are enough: whichever iteration writes, at least
    /// one of two is another.
    pub readers: Vec<[u64; 2]>,
    /// The last two different iterations that wrote it through conflict resolution.
    pub resolvers: Vec<[u64; 2]>,
}

impl Shadow {
    /// Covers `bytes` bytes, all poisoned or all defined.
    pub fn reset(&mut self, unit: usize, bytes: usize, poison: bool, races: bool) {
        self.unit = unit.max(1);
        let units = bytes.div_ceil(self.unit);
        for list in [&mut self.readers, &mut self.resolvers] {
            list.clear();
        }
        self.writer.clear();
        self.poison.clear();
        self.resize(units, poison, races);
    }

    /// Covers `units` units; those that come new are all poisoned or all defined.
    pub fn resize(&mut self, units: usize, poison: bool, races: bool) {
        self.poison.resize(units, poison);
        let units = if races { units } else { 0 };
        self.writer.resize(units, 0);
        self.readers.resize(units, [0; 2]);
        self.resolvers.resize(units, [0; 2]);
    }

    /// The units that `bytes` bytes at `offset` lie in.
    pub fn units(&self, offset: i64, bytes: usize) -> std::ops::Range<usize> {
        let Ok(offset) = usize::try_from(offset) else { return 0..0 };
        if self.unit == 0 {
            return 0..0;
        }
        let end = offset.saturating_add(bytes).div_ceil(self.unit).min(self.poison.len());
        (offset / self.unit).min(end)..end
    }
}

impl Memory<'_> {
    /// The bytes of a block.
    #[inline]
    pub fn bytes(&self, block: u32) -> Option<&[u8]> {
        let block = self.blocks.get(block as usize)?;
        Some(match block.window {
            None => block.bytes.bytes(),
            Some(window) => self.slab.bytes(window),
        })
    }

    /// The bytes of a block, for writing.
    #[inline]
    pub fn bytes_mut(&mut self, block: u32) -> Option<&mut [u8]> {
        let block = self.blocks.get_mut(block as usize)?;
        Some(match block.window {
            None => block.bytes.bytes_mut(),
            Some(window) => self.slab.bytes_mut(window),
        })
    }

    /// The bytes of two blocks at once, the second for writing; `None` if they are one, or overlap.
    pub fn pair(&mut self, source: u32, target: u32) -> Option<(&[u8], &mut [u8])> {
        let blocks = self.blocks.get_disjoint_mut([source as usize, target as usize]);
        let [source, target] = blocks.ok()?;
        Some(match (source.window, target.window) {
            (None, None) => (source.bytes.bytes(), target.bytes.bytes_mut()),
            (Some(source), None) => (self.slab.bytes(source), target.bytes.bytes_mut()),
            (None, Some(target)) => (source.bytes.bytes(), self.slab.bytes_mut(target)),
            (Some(source), Some(target)) => return self.slab.pair(source, target),
        })
    }

    #[inline]
    pub fn load(&self, block: u32, offset: i64, dtype: DType) -> Option<Scalar> {
        let bytes = self.bytes(block)?;
        Scalar::from_le_bytes(dtype, bytes.get(usize::try_from(offset).ok()?..)?)
    }

    #[inline]
    pub fn store(&mut self, block: u32, offset: i64, value: Scalar) -> bool {
        let Some(bytes) = self.bytes_mut(block) else { return false };
        let Ok(offset) = usize::try_from(offset) else { return false };
        bytes.get_mut(offset..).is_some_and(|bytes| value.write_le_bytes(bytes))
    }
}
