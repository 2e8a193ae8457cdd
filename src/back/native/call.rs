//! The boundary between Rust and machine code: the frame a compiled kernel receives, scratch memory, and
//! the call itself. All `unsafe` of the native engine that runs code lives here.

use super::memory::CodeMemory;

/// What a compiled kernel receives. Offsets are part of the machine code: see [`offsets`].
#[repr(C)]
pub struct Frame {
    /// Addresses of argument buffers.
    pub arguments: *const *mut u8,
    /// Parameter values, as literals' bits.
    pub parameters: *const u64,
    /// First free byte of scratch memory.
    pub scratch_top: *mut u8,
    /// End of the current chunk of scratch memory.
    pub scratch_end: *mut u8,
    /// The arena behind both.
    pub arena: *mut Arena,
    /// Persistent buffers of the instance.
    pub persistent: *mut Vec<Block>,
}

/// Byte offsets of [`Frame`]'s fields.
pub mod offsets {
    use super::Frame;
    use std::mem::offset_of;

    /// [`Frame::arguments`]
    pub const ARGUMENTS: i32 = offset_of!(Frame, arguments) as i32;
    /// [`Frame::parameters`]
    pub const PARAMETERS: i32 = offset_of!(Frame, parameters) as i32;
    /// [`Frame::scratch_top`]
    pub const SCRATCH_TOP: i32 = offset_of!(Frame, scratch_top) as i32;
    /// [`Frame::scratch_end`]
    pub const SCRATCH_END: i32 = offset_of!(Frame, scratch_end) as i32;
}

/// Alignment of every allocation.
pub const ALIGNMENT: usize = 64;

/// Zero-initialised bytes on a cache-line boundary.
#[derive(Default)]
pub struct Block {
    bytes: Vec<u8>,
    skip: usize,
    len: usize,
}

impl Block {
    /// `len` bytes, or `None` when there is no memory.
    pub fn new(len: usize) -> Option<Block> {
        let padded = len.checked_add(ALIGNMENT)?;
        let mut probe: Vec<u8> = Vec::new();
        probe.try_reserve_exact(padded).ok()?;
        drop(probe);
        let bytes = vec![0u8; padded];
        let skip = bytes.as_ptr().align_offset(ALIGNMENT);
        Some(Block { bytes, skip, len })
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
        &self.bytes[self.skip..self.skip + self.len]
    }

    /// The bytes for writing.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.skip..self.skip + self.len]
    }

    /// The first byte.
    pub fn address(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr().wrapping_add(self.skip)
    }
}

/// Scratch memory: chunks that are filled like a stack, kept warm between calls.
#[derive(Default)]
pub struct Arena {
    chunks: Vec<Block>,
}

impl Arena {
    /// Scratch memory for a new call: one chunk as large as all that the last call needed.
    fn restart(&mut self) -> (*mut u8, *mut u8) {
        if self.chunks.len() > 1 {
            let total = self.chunks.iter().map(Block::len).sum();
            if let Some(one) = Block::new(total) {
                self.chunks.clear();
                self.chunks.push(one);
            }
        }
        match self.chunks.last_mut() {
            Some(chunk) => (chunk.address(), chunk.address().wrapping_add(chunk.len())),
            None => (std::ptr::null_mut(), std::ptr::null_mut()),
        }
    }

    /// A further chunk with room for `bytes`.
    fn grow(&mut self, bytes: usize) -> Option<(*mut u8, *mut u8)> {
        let last = self.chunks.last().map_or(1 << 15, Block::len);
        let len =
            bytes.checked_add(ALIGNMENT)?.max(last.saturating_mul(2).min(bytes.saturating_add(1 << 26)));
        let mut chunk = Block::new(len)?;
        let start = chunk.address();
        self.chunks.push(chunk);
        Some((start, start.wrapping_add(len)))
    }
}

/// Largest allocation that is tried at all.
const LARGEST: i64 = 1 << 46;

/// Called by machine code when scratch memory does not suffice: the address of `bytes` new ones, or null.
///
/// # Safety
/// `frame` is the one that `run` gave to the machine code that calls.
pub unsafe extern "C" fn grow_scratch(frame: *mut Frame, bytes: i64) -> *mut u8 {
    if !(0..=LARGEST).contains(&bytes) {
        return std::ptr::null_mut();
    }
    let rounded = (bytes as usize).next_multiple_of(ALIGNMENT);
    // SAFETY: machine code passes the frame that `run` gave it, whose arena outlives the call and which no
    // other thread sees.
    let frame = unsafe { &mut *frame };
    // SAFETY: as above; nothing else borrows the arena while machine code runs.
    let arena = unsafe { &mut *frame.arena };
    match arena.grow(rounded) {
        Some((start, end)) => {
            frame.scratch_top = start.wrapping_add(rounded);
            frame.scratch_end = end;
            start
        }
        None => std::ptr::null_mut(),
    }
}

/// Called by machine code: the persistent buffer with that number, allocated (cleared) at first use or when
/// its size changes; null when there is no memory.
///
/// # Safety
/// `frame` is the one that `run` gave to the machine code that calls.
pub unsafe extern "C" fn persistent(frame: *mut Frame, index: i64, bytes: i64) -> *mut u8 {
    let (Ok(index), true) = (usize::try_from(index), (0..=LARGEST).contains(&bytes)) else {
        return std::ptr::null_mut();
    };
    // SAFETY: machine code passes the frame that `run` gave it; the table outlives the call and no other
    // thread sees it.
    let table = unsafe { &mut *(*frame).persistent };
    if table.len() <= index {
        table.resize_with(index + 1, Block::default);
    }
    let wanted = (bytes as usize).max(1);
    if table[index].len() != wanted {
        match Block::new(wanted) {
            Some(block) => table[index] = block,
            None => return std::ptr::null_mut(),
        }
    }
    table[index].address()
}

/// What a program instance keeps between calls.
#[derive(Default)]
pub struct Instance {
    arena: Arena,
    persistent: Vec<Block>,
}

// SAFETY: the blocks are owned bytes; raw addresses into them exist only during a call, which borrows the
// instance mutably.
unsafe impl Send for Instance {}

/// Runs a compiled kernel: `None`, or the number of the trap that stopped it.
///
/// # Safety
/// `code` was emitted for a kernel that verifies. Each argument is valid for reads and writes (reads, where
/// the kernel only reads) in the extent the kernel's checks allow, and there are as many arguments and
/// parameters as the kernel has.
pub unsafe fn run(
    code: &CodeMemory,
    instance: &mut Instance,
    arguments: &[*mut u8],
    parameters: &[u64],
) -> Option<u32> {
    let (scratch_top, scratch_end) = instance.arena.restart();
    let mut frame = Frame {
        arguments: arguments.as_ptr(),
        parameters: parameters.as_ptr(),
        scratch_top,
        scratch_end,
        arena: &raw mut instance.arena,
        persistent: &raw mut instance.persistent,
    };
    // SAFETY: the code starts with a function of this type, which `emit` made.
    let entry: extern "C" fn(*mut Frame) -> i64 = unsafe { std::mem::transmute(code.address()) };
    match entry(&raw mut frame) {
        0 => None,
        stop => Some(u32::try_from(stop - 1).unwrap_or(u32::MAX)),
    }
}
