//! The function around a kernel's body.

use cranelift_codegen::ir::{
    self, AbiParam, Function, InstBuilder, MemFlagsData, Signature, StackSlotData, StackSlotKind,
    UserFuncName, types,
};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use hashbrown::HashMap;

use crate::diag::Diagnostic;
use crate::kernel::{BufferId, BufferKind, Kernel, LabelId, ValueId};
use crate::scalar::DType;

use super::super::call::offsets;
use super::nests::Nests;
use super::parallel::RegionCode;

/// Flags of every access: it cannot fault, and no alignment is assumed.
pub(super) fn plain() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// Emission of one function.
pub(super) struct Emitter<'k, 'f> {
    pub kernel: &'k Kernel,
    pub b: FunctionBuilder<'f>,
    /// CLIF values of kernel values defined so far.
    pub values: Vec<Option<ir::Value>>,
    pub variables: Vec<Variable>,
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
    /// Parallel loops whose code is a function of its own; none within such a function.
    pub regions: Option<Vec<RegionCode<'k>>>,
    /// Loop nests that are compiled to vector code.
    pub nests: &'k Nests,
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

/// The CLIF functions of a verified kernel: its own, then those of its parallel regions.
pub(super) fn build(
    kernel: &Kernel,
    isa: &OwnedTargetIsa,
    nests: &Nests,
) -> Result<(Function, Vec<Function>), Diagnostic> {
    let (main, regions) = function(kernel, isa, nests, &[types::I64], Some(Vec::new()), |emitter, _| {
        emitter.parameters();
        emitter.define_variables();
        emitter.list(&kernel.body)
    })?;
    let mut functions = Vec::new();
    for region in regions.unwrap_or_default() {
        let parameters = [types::I64; 4];
        let (function, _) = function(kernel, isa, nests, &parameters, None, |emitter, given| {
            emitter.region_body(&region, given)
        })?;
        functions.push(function);
    }
    Ok((main, functions))
}

/// A function whose first parameter is the frame, and which returns 0 or what stopped it.
fn function<'k>(
    kernel: &'k Kernel,
    isa: &OwnedTargetIsa,
    nests: &'k Nests,
    parameters: &[ir::Type],
    regions: Option<Vec<RegionCode<'k>>>,
    body: impl FnOnce(&mut Emitter<'k, '_>, &[ir::Value]) -> Result<(), Diagnostic>,
) -> Result<(Function, Option<Vec<RegionCode<'k>>>), Diagnostic> {
    let conv = isa.default_call_conv();
    let mut signature = Signature::new(conv);
    signature.params.extend(parameters.iter().map(|&ty| AbiParam::new(ty)));
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
    let variables =
        kernel.variables.values().map(|variable| b.declare_var(register_type(variable.ty))).collect();
    let arguments = b.ins().load(types::I64, plain().with_readonly(), frame, offsets::ARGUMENTS);
    let has_fma = isa.isa_flags().iter().any(|flag| flag.name == "has_fma" && flag.as_bool() == Some(true));
    let mut emitter = Emitter {
        kernel,
        b,
        values: vec![None; kernel.values.len()],
        variables,
        labels: HashMap::new(),
        buffers: HashMap::new(),
        frame,
        arguments,
        stop,
        stack_bytes: 0,
        signatures: HashMap::new(),
        conv,
        has_fma,
        regions,
        nests,
    };
    body(&mut emitter, &given)?;
    emitter.finish();
    let regions = emitter.regions.take();
    emitter.b.seal_all_blocks();
    emitter.b.finalize(isa.frontend_config());
    Ok((function, regions))
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
            self.values[parameter.value.0 as usize] = Some(value);
        }
    }

    /// Variables start as zero, so that reading one before it is set is harmless.
    pub(super) fn define_variables(&mut self) {
        for (index, variable) in self.kernel.variables.values().enumerate() {
            let zero = self.zero(register_type(variable.ty));
            let variable = self.variables[index];
            self.b.def_var(variable, zero);
        }
    }

    pub fn zero(&mut self, ty: ir::Type) -> ir::Value {
        match ty {
            types::F32 => self.b.ins().f32const(0.0),
            types::F64 => self.b.ins().f64const(0.0),
            _ => self.b.ins().iconst(ty, 0),
        }
    }

    /// The CLIF value of a kernel value.
    pub fn get(&self, value: ValueId) -> Result<ir::Value, Diagnostic> {
        let found = self.values.get(value.0 as usize).copied().flatten();
        found.ok_or_else(|| {
            Diagnostic::error("P0704", format!("kernel value {value} is used before it is defined"))
        })
    }

    /// The address of a buffer.
    pub fn base(&mut self, buffer: BufferId) -> Result<ir::Value, Diagnostic> {
        if let Some(&address) = self.buffers.get(&buffer) {
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
        let callee = self.address(routine);
        let call = self.b.ins().call_indirect(signature, callee, arguments);
        self.b.inst_results(call).first().copied()
    }
}
