//! The functions of a kernel: its own, those of parallel regions, and pieces of either.

use cranelift_codegen::ir::{
    self, AbiParam, Function, InstBuilder, MemFlagsData, Signature, StackSlotData, StackSlotKind,
    UserFuncName, types,
};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use hashbrown::HashMap;

use crate::diag::Diagnostic;
use crate::kernel::{BufferId, BufferKind, Kernel, LabelId, Op, Stmt};
use crate::scalar::DType;

use super::super::call::offsets;
use super::carried::Carried;
use super::nests::{Inputs, Nests};
use super::outline::{Cheap, Outline, Source};
use super::parallel::RegionCode;
use super::pieces::{Environment, PieceCode};
use super::values::Values;

/// Flags of every access: it cannot fault, and no alignment is assumed.
pub(super) fn plain() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// Emission of one function.
pub(super) struct Emitter<'k, 'f> {
    pub kernel: &'k Kernel,
    pub b: FunctionBuilder<'f>,
    /// CLIF values of kernel values that are known here.
    pub values: Values,
    /// Variables that live in registers.
    pub variables: HashMap<crate::kernel::VarId, Variable>,
    pub labels: HashMap<LabelId, ir::Block>,
    /// Where an allocated buffer starts.
    pub buffers: HashMap<BufferId, ir::Value>,
    pub frame: ir::Value,
    arguments: ir::Value,
    /// Takes the return code.
    pub stop: ir::Block,
    /// Bytes of stack taken by small buffers.
    pub stack_bytes: u32,
    signatures: HashMap<Shape, ir::SigRef>,
    pub conv: CallConv,
    pub has_fma: bool,
    /// Functions that are still to be emitted.
    pub queue: Queue<'k>,
    /// Whether this is the code of a region, in which no loop is split.
    pub in_region: bool,
    /// What is shared with other functions of the same root, if there are some.
    pub environment: Option<Environment<'k>>,
    /// Loop nests that are compiled to vector code.
    pub nests: &'k Nests,
    pub cheap: &'k Cheap<'k>,
    /// The element that the innermost open loop carries.
    pub carried: Option<Carried>,
    /// What calls of nests in open loops are given, by the nest's loop variable.
    pub inputs: HashMap<crate::kernel::ValueId, Inputs>,
}

/// Functions beside the first, in the order of their numbers, which calls are made by.
#[derive(Default)]
pub(super) struct Queue<'k>(Vec<Option<Work<'k>>>);

/// A function that is still to be emitted.
pub(super) enum Work<'k> {
    /// A loop that may be split between threads.
    Region(RegionCode<'k>),
    /// A part of a root.
    Piece(PieceCode<'k>),
}

impl<'k> Queue<'k> {
    /// The number of a new function.
    pub fn push(&mut self, work: Work<'k>) -> usize {
        self.0.push(Some(work));
        self.0.len() - 1
    }
}

/// A signature of a run-time routine: parameter types and result.
type Shape = (Vec<ir::Type>, Option<ir::Type>);

/// The CLIF type that holds a kernel type in a register; small floats are held as `f32`.
pub(super) fn register_type(ty: DType) -> ir::Type {
    match ty {
        DType::Bool | DType::I8 | DType::U8 => types::I8,
        DType::I16 | DType::U16 => types::I16,
        DType::I32 | DType::U32 => types::I32,
        DType::I64 | DType::U64 => types::I64,
        DType::F16 | DType::BF16 | DType::F8E4M3 | DType::F8E5M2 | DType::F32 => types::F32,
        DType::F64 | DType::C64 | DType::C128 => types::F64,
    }
}

/// The CLIF of a kernel.
pub(super) struct Functions {
    /// Its function, then the others in the order of their numbers.
    pub all: Vec<Function>,
    /// Bytes of the environment that the first of them shares with its pieces.
    pub environment: usize,
}

/// Values that are computed wherever they are used.
pub(super) fn cheap(kernel: &Kernel) -> Cheap<'_> {
    let definitions = Stmt::all(&kernel.body).filter_map(|stmt| match stmt {
        Stmt::Let(value, op) => Some((*value, op)),
        _ => None,
    });
    let argument = |buffer: &BufferId| {
        let kind = kernel.buffers.get(*buffer).map(|declared| &declared.kind);
        matches!(kind, Some(BufferKind::Argument(_) | BufferKind::Constant(_)))
    };
    let is_cheap = |op: &Op| match op {
        Op::Const(_) => true,
        Op::Base(buffer) => argument(buffer),
        _ => false,
    };
    definitions.filter(|(_, op)| is_cheap(op)).collect()
}

/// The CLIF functions of a verified kernel.
pub(super) fn build<'k>(source: &Source<'k>, isa: &OwnedTargetIsa) -> Result<Functions, Diagnostic> {
    let kernel = source.kernel;
    let outline = Outline::of(source, &kernel.body, false);
    let environment = outline.as_ref().map_or(0, |outline| outline.bytes());
    let mut values = Values::new(kernel.values.len());
    let mut queue = Queue::default();
    let mut all = Vec::new();
    let mut make = |parameters: usize, queue: &mut Queue<'k>, in_region: bool, body: Body<'_, 'k>| {
        let context = Around { source, isa, in_region };
        function(&context, parameters, &mut values, queue, body).map(|function| all.push(function))
    };
    make(1, &mut queue, false, &mut |emitter, _| {
        emitter.root(outline.clone());
        emitter.parameters();
        emitter.list(&kernel.body)
    })?;
    let mut next = 0;
    while let Some(work) = queue.0.get_mut(next).map(Option::take) {
        match work {
            Some(Work::Region(region)) => {
                let outline = Outline::of(source, region.body, true);
                make(4, &mut queue, true, &mut |emitter, given| {
                    emitter.root(outline.clone());
                    emitter.region_body(&region, given)
                })?;
            }
            Some(Work::Piece(piece)) => {
                make(2, &mut queue, piece.in_region, &mut |emitter, given| {
                    emitter.piece_body(&piece, given)
                })?;
            }
            None => {}
        }
        next += 1;
    }
    Ok(Functions { all, environment })
}

/// What emits a function's body, given its parameters.
type Body<'b, 'k> = &'b mut dyn FnMut(&mut Emitter<'k, '_>, &[ir::Value]) -> Result<(), Diagnostic>;

/// What every function of a kernel is emitted with.
struct Around<'s, 'k> {
    source: &'s Source<'k>,
    isa: &'s OwnedTargetIsa,
    in_region: bool,
}

/// A function whose first parameter is the frame, and which returns 0 or what stopped it. All parameters are
/// addresses or integers.
fn function<'k>(
    around: &Around<'_, 'k>,
    parameters: usize,
    values: &mut Values,
    queue: &mut Queue<'k>,
    body: Body<'_, 'k>,
) -> Result<Function, Diagnostic> {
    let isa = around.isa;
    let conv = isa.default_call_conv();
    let mut signature = Signature::new(conv);
    signature.params.resize(parameters, AbiParam::new(types::I64));
    signature.returns.push(AbiParam::new(types::I64));
    let mut function = Function::with_name_signature(UserFuncName::user(0, 0), signature);
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut function, &mut context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let given = b.block_params(entry).to_vec();
    let frame = given[0];
    let stop = b.create_block();
    b.append_block_param(stop, types::I64);
    b.set_cold_block(stop);
    let arguments = b.ins().load(types::I64, plain().with_readonly(), frame, offsets::ARGUMENTS);
    let has_fma = isa.isa_flags().iter().any(|flag| flag.name == "has_fma" && flag.as_bool() == Some(true));
    let mut emitter = Emitter {
        kernel: around.source.kernel,
        b,
        values: std::mem::take(values),
        variables: HashMap::new(),
        labels: HashMap::new(),
        buffers: HashMap::new(),
        frame,
        arguments,
        stop,
        stack_bytes: 0,
        signatures: HashMap::new(),
        conv,
        has_fma,
        queue: std::mem::take(queue),
        in_region: around.in_region,
        environment: None,
        nests: around.source.nests,
        cheap: around.source.cheap,
        carried: None,
        inputs: HashMap::new(),
    };
    body(&mut emitter, &given)?;
    emitter.finish();
    *queue = std::mem::take(&mut emitter.queue);
    *values = std::mem::take(&mut emitter.values);
    values.clear();
    emitter.b.seal_all_blocks();
    emitter.b.finalize(isa.frontend_config());
    Ok(function)
}

impl Emitter<'_, '_> {
    /// The ends of the function.
    fn finish(&mut self) {
        let zero = self.b.ins().iconst(types::I64, 0);
        self.b.ins().return_(&[zero]);
        self.b.switch_to_block(self.stop);
        let code = self.b.block_params(self.stop)[0];
        self.b.ins().return_(&[code]);
    }

    fn parameters(&mut self) {
        if self.kernel.parameters.is_empty() {
            return;
        }
        let table = self.b.ins().load(types::I64, plain().with_readonly(), self.frame, offsets::PARAMETERS);
        for (index, parameter) in self.kernel.parameters.iter().enumerate() {
            let ty = self.kernel.values[parameter.value];
            let offset = i64::try_from(8 * index).unwrap_or(0);
            let value = self.load_element(ty, table, offset);
            self.define(parameter.value, value);
        }
    }

    pub fn zero(&mut self, ty: ir::Type) -> ir::Value {
        match ty {
            types::F32 => self.b.ins().f32const(0.0),
            types::F64 => self.b.ins().f64const(0.0),
            _ => self.b.ins().iconst(ty, 0),
        }
    }

    /// The address of a buffer.
    pub fn base(&mut self, buffer: BufferId) -> Result<ir::Value, Diagnostic> {
        if let Some(address) = self.allocated(buffer) {
            return Ok(address);
        }
        let kernel = self.kernel;
        match kernel.buffers.get(buffer).map(|decl| &decl.kind) {
            Some(BufferKind::Argument(index)) => {
                let offset = i32::try_from(8 * i64::from(*index)).unwrap_or(0);
                Ok(self.b.ins().load(types::I64, plain().with_readonly(), self.arguments, offset))
            }
            // The kernel outlives its code, and its vectors do not move.
            Some(BufferKind::Constant(bytes)) => Ok(self.address(bytes.as_ptr())),
            _ => Err(Diagnostic::error("P0704", format!("{buffer} is used before it is allocated"))),
        }
    }

    /// An absolute address.
    pub fn address<T>(&mut self, pointer: *const T) -> ir::Value {
        self.b.ins().iconst(types::I64, pointer as usize as i64)
    }

    /// Bytes on the stack, 64-byte granules.
    pub fn stack(&mut self, bytes: u32) -> ir::StackSlot {
        self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes.max(1), 5))
    }

    /// Calls a run-time routine at an absolute address.
    pub fn call(
        &mut self,
        routine: *const u8,
        arguments: &[ir::Value],
        result: Option<ir::Type>,
    ) -> Option<ir::Value> {
        let callee = self.address(routine);
        self.call_at(callee, arguments, result)
    }

    /// Calls what is at an address.
    pub fn call_at(
        &mut self,
        callee: ir::Value,
        arguments: &[ir::Value],
        result: Option<ir::Type>,
    ) -> Option<ir::Value> {
        let params: Vec<ir::Type> =
            arguments.iter().map(|&value| self.b.func.dfg.value_type(value)).collect();
        let conv = self.conv;
        let shape = (params, result);
        let signature = match self.signatures.get(&shape) {
            Some(&known) => known,
            None => {
                let mut signature = Signature::new(conv);
                signature.params.extend(shape.0.iter().map(|&ty| AbiParam::new(ty)));
                signature.returns.extend(shape.1.map(AbiParam::new));
                let id = self.b.import_signature(signature);
                self.signatures.insert(shape, id);
                id
            }
        };
        let call = self.b.ins().call_indirect(signature, callee, arguments);
        self.b.inst_results(call).first().copied()
    }
}
