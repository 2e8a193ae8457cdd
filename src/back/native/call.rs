//! The boundary between Rust and machine code: the frame a compiled kernel receives, scratch memory, and
//! the call itself. All `unsafe` of the native engine that runs code lives here.

use crate::kernel::queues::Streams;
use crate::kernel::scratch::Planned;
use crate::memory::MemoryOptions;
use crate::memory::pool::{OutOfMemory, Workspace};

use super::companion::Session;
use super::emit::Emitted;
use super::memory::CodeMemory;
use super::slab::{Place, Slab};

pub use crate::memory::pool::Block;

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
    /// Where planned buffers lie.
    pub planned: *const Place,
    /// Not zero: an argument that is written shares bytes with another one.
    pub overlap: u64,
    /// Addresses of the code of functions beside the kernel's own.
    pub functions: *const usize,
    /// What the kernel's function shares with its pieces.
    pub environment: *mut u64,
    /// Threads that a region may be split between.
    pub threads: usize,
    /// Operations that are worth a thread.
    pub grain: f64,
    /// Not zero: arithmetic may be fused.
    pub fast: u64,
    /// Who answers the calls of a companion; null if nobody does.
    pub session: *mut SessionRef,
    /// Queues of streams.
    pub streams: *mut Streams,
}

/// A session behind a plain pointer.
pub struct SessionRef(*mut (dyn Session + 'static));

/// Asks the companion: whether the kernel goes on.
///
/// # Safety
/// `frame` is the one that `run` gave to the machine code that calls; only the thread that runs the kernel asks.
pub unsafe fn ask_companion(frame: *mut Frame, arguments: &[i64]) -> bool {
    // SAFETY: as the caller says; the frame outlives the call.
    let session = unsafe { (*frame).session };
    if session.is_null() {
        return false;
    }
    // SAFETY: `run` points the frame at a session that it borrows mutably until the machine code returns.
    unsafe { (*(*session).0).call(arguments) }
}

/// Byte offsets of [`Frame`]'s fields.
pub mod offsets {
    use super::{Frame, Place};
    use std::mem::offset_of;

    /// [`Frame::arguments`]
    pub const ARGUMENTS: i32 = offset_of!(Frame, arguments) as i32;
    /// [`Frame::parameters`]
    pub const PARAMETERS: i32 = offset_of!(Frame, parameters) as i32;
    /// [`Frame::scratch_top`]
    pub const SCRATCH_TOP: i32 = offset_of!(Frame, scratch_top) as i32;
    /// [`Frame::scratch_end`]
    pub const SCRATCH_END: i32 = offset_of!(Frame, scratch_end) as i32;
    /// [`Frame::planned`]
    pub const PLANNED: i32 = offset_of!(Frame, planned) as i32;
    /// Bytes of a [`Place`].
    pub const PLACE: usize = size_of::<Place>();
    /// [`Place::address`]
    pub const PLACE_ADDRESS: usize = offset_of!(Place, address);
    /// [`Place::bytes`]
    pub const PLACE_BYTES: usize = offset_of!(Place, bytes);
    /// [`Frame::overlap`]
    pub const OVERLAP: i32 = offset_of!(Frame, overlap) as i32;
    /// [`Frame::threads`]
    pub const THREADS: i32 = offset_of!(Frame, threads) as i32;
    /// [`Frame::functions`]
    pub const FUNCTIONS: i32 = offset_of!(Frame, functions) as i32;
    /// [`Frame::environment`]
    pub const ENVIRONMENT: i32 = offset_of!(Frame, environment) as i32;
}

/// Alignment of every allocation.
pub const ALIGNMENT: usize = 64;

/// Scratch memory: chunks that are filled like a stack, kept warm between calls.
#[derive(Default)]
pub struct Arena {
    chunks: Vec<Block>,
    /// Where chunks come from; `None`: the system.
    workspace: Option<Workspace>,
}

impl Arena {
    /// Scratch memory for a new call: one chunk as large as all that the last call needed.
    pub(super) fn restart(&mut self) -> (*mut u8, *mut u8) {
        if self.chunks.len() > 1 {
            let total = self.chunks.iter().map(Block::len).sum();
            if let Some(one) = self.block(total) {
                self.chunks.clear();
                self.chunks.push(one);
            }
        }
        match self.chunks.last_mut() {
            Some(chunk) => (chunk.address(), chunk.address().wrapping_add(chunk.len())),
            None => (std::ptr::null_mut(), std::ptr::null_mut()),
        }
    }

    fn block(&self, bytes: usize) -> Option<Block> {
        match &self.workspace {
            Some(workspace) => workspace.allocate(bytes as u64),
            None => Block::new(bytes),
        }
    }

    /// A further chunk with room for `bytes`.
    fn grow(&mut self, bytes: usize) -> Option<(*mut u8, *mut u8)> {
        let last = self.chunks.last().map_or(1 << 15, Block::len);
        let len =
            bytes.checked_add(ALIGNMENT)?.max(last.saturating_mul(2).min(bytes.saturating_add(1 << 26)));
        let mut chunk = self.block(len)?;
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
    let (table, arena) = unsafe { (&mut *(*frame).persistent, &*(*frame).arena) };
    if table.len() <= index {
        table.resize_with(index + 1, Block::default);
    }
    let wanted = (bytes as usize).max(1);
    if table[index].len() != wanted {
        match arena.block(wanted) {
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
    slab: Slab,
    persistent: Vec<Block>,
    /// What the functions of the code share.
    environment: Vec<u64>,
    /// What arguments held before the run.
    before: Vec<u8>,
    /// Queues of streams during a run.
    streams: Streams,
}

impl Instance {
    /// The slab of a run that has taken memory, if its planned buffers lie in one.
    pub fn slab(&mut self) -> Option<(*mut u8, usize)> {
        self.slab.memory()
    }

    /// Takes memory for a run of the code: for its environment and its planned buffers.
    ///
    /// # Errors
    /// [`OutOfMemory`]; nothing is taken then.
    pub fn take(
        &mut self,
        code: &Code,
        planned: &Planned,
        parameters: &[u64],
        options: &MemoryOptions,
    ) -> Result<(), OutOfMemory> {
        let missing = code.environment.saturating_sub(self.environment.len());
        if self.environment.try_reserve_exact(missing).is_err() {
            return Err(OutOfMemory::System { bytes: 8 * code.environment as u64 });
        }
        self.environment.resize(code.environment, 0);
        self.arena.workspace.clone_from(&options.workspace);
        self.slab.take(planned, parameters, options)
    }

    /// Gives it back.
    pub fn give_back(&mut self) {
        self.slab.give_back();
    }

    /// Keeps a copy of so many bytes behind each address; false if there is no memory for it.
    ///
    /// # Safety
    /// The addresses are valid for that.
    pub unsafe fn remember(&mut self, memory: &[(*mut u8, usize)]) -> bool {
        self.before.clear();
        let total = memory.iter().map(|&(_, bytes)| bytes).sum();
        if self.before.try_reserve(total).is_err() {
            return false;
        }
        for &(address, bytes) in memory.iter().filter(|&&(_, bytes)| bytes > 0) {
            // SAFETY: as the caller says.
            self.before.extend_from_slice(unsafe { std::slice::from_raw_parts(address, bytes) });
        }
        true
    }

    /// Drops the copy.
    pub fn forget(&mut self) {
        self.before.clear();
    }

    /// Puts the copy back.
    ///
    /// # Safety
    /// The same addresses as before, which are valid for writing.
    pub unsafe fn put_back(&mut self, memory: &[(*mut u8, usize)]) {
        let mut rest = self.before.as_slice();
        for &(address, bytes) in memory.iter().filter(|&&(_, bytes)| bytes > 0) {
            let Some((bytes, after)) = rest.split_at_checked(bytes) else { return };
            // SAFETY: as the caller says.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address, bytes.len()) };
            rest = after;
        }
    }
}

// SAFETY: the blocks are owned bytes; raw addresses into them exist only during a call, which borrows the
// instance mutably.
unsafe impl Send for Instance {}

/// Machine code of a kernel: the function that runs it, and those that it calls.
#[derive(Debug)]
pub struct Code {
    memory: CodeMemory,
    /// Addresses.
    functions: Vec<usize>,
    /// Words of the environment.
    environment: usize,
}

impl Code {
    /// Makes finished code callable.
    ///
    /// # Errors
    /// No memory.
    pub fn new(emitted: &Emitted, name: &str) -> Result<Code, crate::diag::Diagnostic> {
        let memory = CodeMemory::new(&emitted.code)?;
        memory.name(emitted.code.len(), name);
        let address = memory.address();
        let functions = emitted.functions.iter().map(|&start| address.wrapping_add(start) as usize).collect();
        Ok(Code { memory, functions, environment: emitted.environment.div_ceil(8) })
    }

    /// The code, for disassembly.
    pub fn bytes(&self) -> &[u8] {
        self.memory.bytes()
    }
}

/// The arguments of one run.
pub struct Run<'r> {
    /// Address of each argument.
    pub arguments: &'r [*mut u8],
    /// Literals' bits of each parameter.
    pub parameters: &'r [u64],
    /// Whether an argument that is written shares bytes with another one.
    pub overlap: bool,
    /// Threads that a region may be split between, the calling one included.
    pub threads: usize,
    /// Operations that are worth a thread.
    pub grain: f64,
    /// Whether arithmetic may be fused.
    pub fast: bool,
}

/// Who answers a companion's calls during one run.
pub type Answers<'s, 'c> = Option<&'s mut (dyn Session + 'c)>;

/// Runs a compiled kernel: `None`, or the number of the trap that stopped it.
///
/// # Safety
/// `code` was emitted for a kernel that verifies. Each argument is valid for reads and writes (reads, where
/// the kernel only reads) in the extent the kernel's checks allow, and there are as many arguments and
/// parameters as the kernel has. [`Instance::take`] has taken memory for this code.
pub unsafe fn run(
    code: &Code,
    instance: &mut Instance,
    run: &Run<'_>,
    answers: Answers<'_, '_>,
) -> Option<u32> {
    let mut session = answers.map(|session| {
        let session: *mut (dyn Session + '_) = session;
        // SAFETY: only the lifetime changes; nobody looks at the session after this function has returned.
        SessionRef(unsafe {
            std::mem::transmute::<*mut (dyn Session + '_), *mut (dyn Session + 'static)>(session)
        })
    });
    let (scratch_top, scratch_end) = instance.arena.restart();
    let mut frame = Frame {
        arguments: run.arguments.as_ptr(),
        parameters: run.parameters.as_ptr(),
        scratch_top,
        scratch_end,
        arena: &raw mut instance.arena,
        persistent: &raw mut instance.persistent,
        planned: instance.slab.places(),
        overlap: u64::from(run.overlap),
        functions: code.functions.as_ptr(),
        environment: instance.environment.as_mut_ptr(),
        threads: run.threads,
        grain: run.grain,
        fast: u64::from(run.fast),
        session: session.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut),
        streams: &raw mut instance.streams,
    };
    // SAFETY: the code starts with a function of this type, which `emit` made.
    let entry: extern "C" fn(*mut Frame) -> i64 = unsafe { std::mem::transmute(code.memory.address()) };
    let stop = entry(&raw mut frame);
    instance.streams.close();
    match stop {
        0 => None,
        stop => Some(u32::try_from(stop - 1).unwrap_or(u32::MAX)),
    }
}

#[cfg(test)]
pub(in crate::back) mod tests {
    //! Random kernels: machine code against the evaluator, bit for bit.

    use proptest::prelude::*;

    use super::super::companion::{Companion, HostArguments};
    use super::*;
    use crate::back::native::wide::tests::cases;
    use crate::back::native::{emit, isa};
    use crate::kernel::build::{Builder, LoopFacts};
    use crate::kernel::{BufferKind, Literal, Op, Order, Stmt, ValueId, eval, verify};
    use crate::scalar::{BinaryOp, DType, Func, UnaryOp};

    const TYPES: [DType; 15] = [
        DType::Bool,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::F16,
        DType::BF16,
        DType::F8E4M3,
        DType::F8E5M2,
        DType::F32,
        DType::F64,
    ];
    const BINARY: [BinaryOp; 18] = {
        use BinaryOp::*;
        [Add, Sub, Mul, Div, FloorDiv, Rem, Mod, Min, Max, BitAnd, BitOr, BitXor, Shl, Shr, Eq, Lt, Le, Ge]
    };
    const FUNCTIONS: [Func; 12] = {
        use Func::*;
        [Abs, Sqrt, Floor, Ceil, Trunc, RoundEven, Round, Sign, Exp, Tanh, Rsqrt, IsNan]
    };

    /// Steps of a loop body: operation, and three numbers that choose operands.
    pub(in crate::back) type Steps = Vec<(u8, usize, usize, usize)>;

    /// `for i in 0..count: load both inputs, compute, store every value that has the output's type`.
    pub(in crate::back) fn kernel(
        a: DType,
        b: DType,
        out: DType,
        count: i64,
        step: i64,
        steps: &Steps,
    ) -> crate::kernel::Kernel {
        let mut builder = Builder::new("random");
        let types = [a, b, out];
        let buffers = [0, 1, 2].map(|index| builder.buffer("buffer", BufferKind::Argument(index)));
        let bases = buffers.map(|buffer| builder.value(Op::Base(buffer), DType::I64));
        let (first, last) = if step > 0 { (0, count) } else { (count - 1, -1) };
        let (start, stop) = (builder.int(first), builder.int(last));
        let variable = builder.new_value(DType::I64, 1);
        let empty = builder.bool(false);
        builder.open_loop(LoopFacts { variable, lowest: start, highest: start, empty });
        let address = |builder: &mut Builder, which: usize| {
            let bytes = builder.int(types[which].bytes() as i64);
            let offset = builder.mul(variable, bytes);
            builder.add(bases[which], offset)
        };
        let mut values: Vec<ValueId> = Vec::new();
        for which in 0..2 {
            let address = address(&mut builder, which);
            let op = Op::Load { buffer: buffers[which], address, displacement: 0, ty: types[which] };
            values.push(builder.value(op, types[which]));
        }
        for &(kind, x, y, z) in steps {
            let x_value = values[x % values.len()];
            let ty = builder.ty(x_value);
            let partner = builder.cast(ty, values[y % values.len()]);
            let value = match kind % 5 {
                0 => {
                    let op = BINARY[z % BINARY.len()];
                    let bitwise = matches!(
                        op,
                        BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor | BinaryOp::Shl | BinaryOp::Shr
                    );
                    if bitwise && !ty.is_integral() {
                        continue;
                    }
                    builder.binary(op, x_value, partner)
                }
                1 => builder.cast(TYPES[z % TYPES.len()], x_value),
                2 => {
                    let condition = builder.binary(BinaryOp::Lt, x_value, partner);
                    builder.select(condition, partner, x_value)
                }
                3 if ty.is_float() => {
                    let func = FUNCTIONS[z % FUNCTIONS.len()];
                    let result = if func == Func::IsNan { DType::Bool } else { ty };
                    builder.value(Op::Math(func, vec![x_value]), result)
                }
                _ => builder.value(Op::Unary(UnaryOp::Neg, x_value), ty),
            };
            values.push(value);
        }
        let result = builder.cast(out, values[values.len() - 1]);
        let target = address(&mut builder, 2);
        builder.push(Stmt::Store { buffer: buffers[2], address: target, displacement: 0, value: result });
        let body = builder.close();
        builder.push(Stmt::For { variable, start, stop, step, order: Order::InTurn, body });
        builder.finish()
    }

    fn compiled(kernel: &crate::kernel::Kernel, optimize: bool) -> Code {
        let emitted = emit::emit(kernel, &isa::host(optimize).unwrap(), &emit::Request::default()).unwrap();
        Code::new(&emitted, "test").unwrap()
    }

    /// A call on one thread, of arguments that do not overlap.
    pub(in crate::back) fn once<'r>(arguments: &'r [*mut u8], parameters: &'r [u64]) -> Run<'r> {
        Run { arguments, parameters, overlap: false, threads: 1, grain: 0.0, fast: false }
    }

    /// Runs a kernel that a companion takes part in, on arguments that are large enough.
    pub(in crate::back) fn run_with(
        kernel: &crate::kernel::Kernel,
        arguments: &mut [Vec<u8>],
        companion: &dyn Companion,
    ) -> Option<u32> {
        let code = compiled(kernel, true);
        let memory: Vec<(*mut u8, usize)> =
            arguments.iter_mut().map(|bytes| (bytes.as_mut_ptr(), bytes.len())).collect();
        let addresses: Vec<*mut u8> = memory.iter().map(|&(address, _)| address).collect();
        let mut session = companion.begin(HostArguments { memory, slab: None, overlap: false }).unwrap();
        let mut instance = Instance::default();
        instance.take(&code, &Planned::default(), &[], &MemoryOptions::default()).unwrap();
        // SAFETY: as the caller says.
        let trap = unsafe { run(&code, &mut instance, &once(&addresses, &[]), Some(&mut *session)) };
        session.end(trap.is_some()).unwrap();
        trap
    }

    pub(in crate::back) fn same(ty: DType, a: &[u8], b: &[u8]) -> bool {
        a.chunks(ty.bytes()).zip(b.chunks(ty.bytes())).all(|(a, b)| {
            let number = |bytes: &[u8]| crate::scalar::Scalar::from_le_bytes(ty, bytes).map(|x| x.as_f64());
            a == b
                || (ty.is_float() && number(a).is_some_and(f64::is_nan) && number(b).is_some_and(f64::is_nan))
        })
    }

    fn element_type() -> impl Strategy<Value = DType> {
        (0..TYPES.len()).prop_map(|index| TYPES[index])
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

        #[test]
        fn machine_code_gives_the_evaluators_bits(
            a in element_type(),
            b in element_type(),
            out in element_type(),
            count in 0_i64..9,
            backwards: bool,
            steps in prop::collection::vec((any::<u8>(), 0_usize..20, 0_usize..20, 0_usize..90), 1..8),
            bytes in prop::collection::vec(any::<u8>(), 128),
        ) {
            let kernel = kernel(a, b, out, count, if backwards { -1 } else { 1 }, &steps);
            prop_assert_eq!(verify::verify(&kernel), Ok(()));
            // Bools in memory are 0 or 1.
            let input = |ty: DType, part: &[u8]| -> Vec<u8> {
                part.iter().map(|&byte| if ty == DType::Bool { byte & 1 } else { byte }).collect()
            };
            let fresh = || vec![input(a, &bytes[..64]), input(b, &bytes[64..]), vec![0_u8; 64]];
            let mut expected = fresh();
            prop_assert_eq!(eval::run(&kernel, &mut expected, &[], 100_000), Ok(eval::Ended::Done));
            for optimize in [false, true] {
                let code = compiled(&kernel, optimize);
                let mut found = fresh();
                let addresses: Vec<*mut u8> = found.iter_mut().map(|bytes| bytes.as_mut_ptr()).collect();
                // SAFETY: three buffers of 64 bytes; eight elements of at most eight bytes are touched.
                let trap = unsafe { run(&code, &mut Instance::default(), &once(&addresses, &[]), None) };
                prop_assert_eq!(trap, None);
                let (found, expected) = (&found[2], &expected[2]);
                prop_assert!(same(out, found, expected), "{}\n{:?}\n{:?}", kernel, found, expected);
            }
        }
    }

    #[test]
    fn a_failed_check_stops_the_kernel_and_scratch_is_reused() {
        let mut builder = Builder::new("stop");
        let trap = builder.trap(crate::kernel::TrapInfo {
            kind: crate::kernel::TrapKind::OutOfRange,
            message: String::new(),
            place: Vec::new(),
        });
        let size = builder.parameter("size", DType::I64);
        let buffer = builder.buffer("scratch", BufferKind::Scratch);
        let address = builder.alloc(buffer, size, true, trap);
        let op = Op::Load { buffer, address, displacement: 0, ty: DType::I64 };
        let loaded = builder.value(op, DType::I64);
        let zero = builder.int(0);
        let fine = builder.binary(BinaryOp::Ne, loaded, zero);
        builder.check(fine, trap);
        let kernel = builder.finish();
        assert_eq!(verify::verify(&kernel), Ok(()));
        let code = compiled(&kernel, false);
        let mut instance = Instance::default();
        for size in [100_000_i64, 100_000, -5] {
            let literal = Literal::i64(size);
            // SAFETY: no arguments; one parameter.
            let stopped = unsafe { run(&code, &mut instance, &once(&[], &[literal.bits]), None) };
            assert_eq!(stopped, Some(0));
        }
        assert_eq!(instance.arena.chunks.len(), 1);
    }
}
