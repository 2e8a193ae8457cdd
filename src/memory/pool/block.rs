//! Bytes with an owner: the only place where memory for transients comes from and goes back to.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fmt;
use std::ptr::NonNull;

use memmap2::MmapMut;

use crate::memory::plan::ALIGNMENT;

/// Blocks of so many bytes are pages of their own, large ones where the system has them.
const PAGES_FROM: usize = 1 << 21;

/// Zero-initialised bytes that start on a cache line.
pub struct Block {
    start: NonNull<u8>,
    len: usize,
    origin: Origin,
}

enum Origin {
    Nothing,
    /// From the allocator.
    Heap(Layout),
    /// From the system.
    Pages(#[expect(dead_code, reason = "unmaps when dropped")] MmapMut),
    /// The caller's.
    Foreign,
}

// SAFETY: a block is owned bytes, or foreign bytes that whoever made it promised to leave alone.
unsafe impl Send for Block {}
// SAFETY: shared access reads plain bytes only.
unsafe impl Sync for Block {}

impl Block {
    /// `len` bytes that are zero, or `None` when there is no memory.
    pub fn new(len: usize) -> Option<Block> {
        if len == 0 {
            return Some(Block::default());
        }
        if len >= PAGES_FROM {
            return Block::pages(len);
        }
        let layout = Layout::from_size_align(len, ALIGNMENT as usize).ok()?;
        // SAFETY: the layout has a size, which is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        Some(Block { start: NonNull::new(start)?, len, origin: Origin::Heap(layout) })
    }

    fn pages(len: usize) -> Option<Block> {
        let mut pages = MmapMut::map_anon(len).ok()?;
        // Advice only: where it is not taken, small pages do.
        #[cfg(all(target_os = "linux", not(miri)))]
        let _ = pages.advise(memmap2::Advice::HugePage);
        let start = NonNull::new(pages.as_mut_ptr())?;
        Some(Block { start, len, origin: Origin::Pages(pages) })
    }

    /// Memory of the caller, from its first cache line on. Its content is whatever it is.
    ///
    /// # Safety
    /// `start` is valid for reads and writes of `len` bytes, and nobody else uses them, until the block is gone.
    pub unsafe fn foreign(start: NonNull<u8>, len: usize) -> Block {
        let skip = start.align_offset(ALIGNMENT as usize);
        if skip >= len {
            return Block::default();
        }
        // SAFETY: `skip` is less than the length of the memory.
        let start = unsafe { start.add(skip) };
        Block { start, len: len - skip, origin: Origin::Foreign }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the block owns `len` initialised bytes from `start` (heap and pages start as zeros, foreign memory
        // is promised to be readable); no `&mut` exists while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The bytes for writing.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// The first byte, for machine code.
    pub fn address(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Default for Block {
    /// No bytes.
    fn default() -> Self {
        // An address on a cache line that is never read.
        let start = NonNull::without_provenance(
            std::num::NonZero::new(ALIGNMENT as usize).unwrap_or(std::num::NonZero::<usize>::MIN),
        );
        Block { start, len: 0, origin: Origin::Nothing }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Origin::Heap(layout) = self.origin {
            // SAFETY: `start` came from the allocator with this layout, and is given back once.
            unsafe { dealloc(self.start.as_ptr(), layout) };
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Where blocks come from. Tests put one in that fails when they say so.
pub trait Source: fmt::Debug + Send + Sync {
    /// A block of so many zero bytes; `None` when there is no memory.
    fn block(&self, bytes: usize) -> Option<Block>;
}

/// The system's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct System;

impl Source for System {
    fn block(&self, bytes: usize) -> Option<Block> {
        Block::new(bytes)
    }
}
