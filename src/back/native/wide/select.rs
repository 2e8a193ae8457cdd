//! The walk of a nest: registers, constants, inputs, and what is known of every value.

use hashbrown::{HashMap, HashSet};
use iced_x86::Code;
use indexmap::IndexSet;
use smallvec::SmallVec;

use crate::kernel::vector::{Affine, Body, Class, Decision, LoopReport, Reason};
use crate::kernel::{BufferId, BufferKind, Kernel, Literal, Op, Stmt, TrapId, ValueId, VarId};
use crate::scalar::{BinaryOp, DType};

use super::code::{Bank, Base, Item, Label, Operand, Place, Program, Reg, View, give, take};
use super::encode::encode;
use super::lanes::sized;
use super::tidy::tidy;
use super::{Facts, Input, Nest, Settings};

/// Constants of a kernel, by the value that is one.
pub type Constants = HashMap<ValueId, Literal>;

/// Where a value is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held {
    /// An integer or bool (0 or 1) in an integer register, extended to 64 bits as its type is signed.
    Integer(Reg),
    /// A float, equal in all lanes of a whole register.
    Everywhere(Reg),
    /// Lanes of a vectorised loop; a bool is a mask.
    Lanes(Reg),
}

/// The vectorised loop being selected.
pub(super) struct Lanes {
    pub body: Body,
    /// The loop variable of the first lane of copy 0.
    pub index: Reg,
    pub step: i64,
    /// How many lanes this version has.
    pub count: i64,
    /// Which copy of the body is being selected.
    pub copy: i64,
    /// Registers of variables that inner loops set.
    pub carried: HashMap<VarId, Reg>,
    /// How many inner loops are open.
    pub inner: u32,
    /// What variables hold.
    pub held: HashMap<VarId, ValueId>,
    /// Lanes of 64-bit integers in integer registers, of the present copy.
    pub scattered: HashMap<ValueId, Vec<Reg>>,
    /// Registers of partial results, per reduction: one per copy, and one for single lanes.
    pub partial: Vec<Vec<Reg>>,
    /// Only the lanes of a mask register take place: [`TURN_MASK`](super::evex::TURN_MASK), or
    /// [`BRANCH_MASK`](super::evex::BRANCH_MASK) in a branch.
    pub mask: Option<u8>,
    /// Elements side by side that were loaded, by the address and the displacement of the lower ones; nothing was stored
    /// since.
    pub paired: HashMap<(ValueId, i64), [Reg; 2]>,
    /// Two bits for each one of the mask: those of the lower and of the upper half of a pair of vectors.
    pub doubled: Option<[Reg; 2]>,
    /// Checks of what all lanes share, which stand in front of the loop.
    pub checked: HashSet<ValueId>,
    /// Products that are contracted with the sum they are part of.
    pub products: HashMap<ValueId, (ValueId, ValueId)>,
}

#[derive(Clone, Default)]
pub(super) struct Caches {
    /// Integers as vectors of equal lanes.
    pub broadcasts: HashMap<ValueId, Reg>,
    /// Sums of uniform values.
    pub sums: HashMap<(Vec<(ValueId, i64)>, i64), Reg>,
    /// Limits of indices, none of them negative: as numbers and as vectors.
    pub limits: HashMap<ValueId, (Reg, Option<Reg>)>,
    /// Distances between rows, and their multiples as a vector.
    pub distances: HashMap<(ValueId, i64), (Reg, Reg)>,
    /// Comparisons of integers that were checked: they hold from there on.
    pub checked: HashSet<(BinaryOp, Reg, Reg)>,
}

pub(super) struct Select<'k> {
    pub kernel: &'k Kernel,
    pub facts: &'k Facts,
    pub settings: Settings,
    pub program: Program,
    /// Lists being filled; the first runs once, before everything, the innermost is last.
    pub lists: Vec<Vec<Item>>,
    /// The list that items go to.
    pub target: usize,
    /// The list in front of the vectorised loop.
    pub front: Option<usize>,
    pub values: HashMap<ValueId, Held>,
    /// Operations of the nest.
    pub definitions: HashMap<ValueId, Op>,
    /// Uniform values that are other names for values outside lanes.
    pub aliases: HashMap<ValueId, ValueId>,
    pub caches: Caches,
    pub constant_integers: HashMap<i64, Reg>,
    pub constant_lanes: HashMap<[u64; 8], Reg>,
    pub outside: HashMap<(ValueId, Bank), Reg>,
    /// What variables hold since they were last set, on the way from there.
    pub known: HashMap<VarId, Held>,
    /// Limits of indices that are known at the entry, none of them negative.
    pub outside_limits: HashMap<ValueId, Reg>,
    /// Distances between rows that are known at the entry, and their multiples as a vector.
    pub outside_distances: HashMap<(ValueId, i64), (Reg, Reg)>,
    pub inputs: IndexSet<Slot>,
    pub lanes: Option<Lanes>,
    pub labels: u32,
    pub traps: HashMap<TrapId, Label>,
    pub conditions: Vec<(ValueId, i64)>,
    pub stored: IndexSet<BufferId>,
    pub reached: IndexSet<BufferId>,
    pub reports: Vec<LoopReport>,
    pub depth: u32,
}

/// An input, as a set element.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    Value(ValueId),
    Variable(VarId),
}

/// Nests with more items than this are left to Cranelift.
const MOST_ITEMS: usize = 60_000;

/// Compiles a loop and everything in it.
///
/// # Errors
/// What stands in the way: no vectorisable loop in it, or something that has no selection here.
pub fn compile(
    kernel: &Kernel,
    facts: &Facts,
    root: &Stmt,
    depth: u32,
    settings: Settings,
) -> Result<Nest, Reason> {
    let mut select = Select {
        kernel,
        facts,
        settings,
        program: Program::default(),
        lists: vec![Vec::new(), Vec::new()],
        target: 1,
        front: None,
        values: HashMap::new(),
        definitions: HashMap::new(),
        aliases: HashMap::new(),
        caches: Caches::default(),
        constant_integers: HashMap::new(),
        constant_lanes: HashMap::new(),
        outside: HashMap::new(),
        known: HashMap::new(),
        outside_limits: HashMap::new(),
        outside_distances: HashMap::new(),
        inputs: IndexSet::new(),
        lanes: None,
        labels: 0,
        traps: HashMap::new(),
        conditions: Vec::new(),
        stored: IndexSet::new(),
        reached: IndexSet::new(),
        reports: Vec::new(),
        depth,
    };
    // Constants and addresses of gathered elements pass through here.
    select.program.temporaries = 128;
    select.program.large = settings.bits == 512;
    define(std::slice::from_ref(root), &mut select.definitions);
    select.stmt(root)?;
    if !select.reports.iter().any(|report| matches!(report.decision, Decision::Vector { .. })) {
        // The innermost loop says why.
        let reason = select.reports.into_iter().rev().find_map(|report| match report.decision {
            Decision::Scalar(reason) => Some(reason),
            _ => None,
        });
        return Err(reason.unwrap_or_else(|| "no loop in it is vectorised".to_owned()));
    }
    let body = std::mem::take(&mut select.lists[1]);
    let mut items = std::mem::take(&mut select.lists[0]);
    items.extend(body);
    items.push(Item::Return(0));
    let mut traps: Vec<(TrapId, Label)> = select.traps.iter().map(|(&trap, &label)| (trap, label)).collect();
    traps.sort();
    for (trap, label) in traps {
        items.push(Item::Mark(label));
        items.push(Item::Return(i32::try_from(trap.0 + 1).map_err(|_| "there are too many traps")?));
    }
    if items.len() > MOST_ITEMS {
        return Err("it is too long".to_owned());
    }
    select.program.items = items;
    let needs_disjoint = select.needs_disjoint()?;
    for report in &mut select.reports {
        if let Decision::Vector { conditional, .. } = &mut report.decision {
            *conditional = needs_disjoint || !select.conditions.is_empty();
        }
    }
    tidy(&mut select.program)?;
    let code = encode(&select.program)?;
    let inputs = select.inputs.iter().map(|slot| match *slot {
        Slot::Value(value) => Input::Value(value),
        Slot::Variable(variable) => Input::Variable(variable),
    });
    Ok(Nest {
        code,
        inputs: inputs.collect(),
        conditions: select.conditions,
        needs_disjoint,
        reports: select.reports,
    })
}

impl Select<'_> {
    /// Whether arguments that overlap could change the meaning.
    fn needs_disjoint(&self) -> Result<bool, Reason> {
        let kind = |buffer: &BufferId| self.kernel.buffers.get(*buffer).map(|decl| &decl.kind);
        let anywhere = self.reached.iter().any(|buffer| matches!(kind(buffer), Some(BufferKind::Anywhere)));
        if anywhere && self.reached.len() > 1 {
            return Err("it reaches memory through a reference".to_owned());
        }
        let argument = |buffer: &&BufferId| matches!(kind(buffer), Some(BufferKind::Argument(_)));
        let arguments = self.reached.iter().filter(argument).count();
        Ok(arguments > 1 && self.stored.iter().any(|buffer| argument(&buffer)))
    }

    pub fn ty(&self, value: ValueId) -> DType {
        self.kernel.values[value]
    }

    pub fn integer(&mut self) -> Reg {
        self.reg(Bank::Integer)
    }

    pub fn vector(&mut self) -> Reg {
        self.reg(Bank::Vector)
    }

    fn reg(&mut self, bank: Bank) -> Reg {
        self.program.banks.push(bank);
        Reg(self.program.banks.len() as u32 - 1)
    }

    pub fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    pub fn item(&mut self, item: Item) {
        let target = self.target;
        self.lists[target].push(item);
    }

    /// An instruction whose operands are registers or memory as given.
    pub fn emit(&mut self, code: Code, operands: &[Operand]) {
        self.item(Item::Do { code, operands: SmallVec::from_slice(operands), either: None });
    }

    /// An instruction whose operand `either` may also be memory.
    pub fn emit_either(&mut self, code: Code, operands: &[Operand], either: u8) {
        self.item(Item::Do { code, operands: SmallVec::from_slice(operands), either: Some(either) });
    }

    /// Emits into the entry.
    pub fn at_entry<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.target, 0);
        let result = f(self);
        self.target = before;
        result
    }

    /// Emits in front of the vectorised loop, if there is one.
    pub fn in_front<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        // What changes in an inner loop is computed there. Whoever computes a value that way and needs another one for it
        // stays where it is: that may be in an inner loop.
        let inner = self.lanes.as_ref().is_none_or(|lanes| lanes.inner > 0);
        let target = self.front.filter(|_| !inner).unwrap_or(self.target);
        let before = std::mem::replace(&mut self.target, target);
        let lanes = self.lanes.take();
        let result = f(self);
        self.lanes = lanes;
        self.target = before;
        result
    }

    pub fn input(&mut self, slot: Slot) -> Place {
        let (index, _) = self.inputs.insert_full(slot);
        Place { base: Base::Inputs, index: None, displacement: 8 * index as i32 }
    }

    pub fn class(&self, value: ValueId) -> Class {
        match &self.lanes {
            Some(lanes) => lanes.body.classes.get(&value).cloned().unwrap_or(Class::Uniform),
            None => Class::Uniform,
        }
    }

    /// An integer constant in a register.
    pub fn constant_integer(&mut self, value: i64) -> Reg {
        if let Some(&reg) = self.constant_integers.get(&value) {
            return reg;
        }
        let reg = self.integer();
        self.at_entry(|select| select.set_integer(reg, value));
        self.constant_integers.insert(value, reg);
        reg
    }

    pub fn set_integer(&mut self, reg: Reg, value: i64) {
        match i32::try_from(value) {
            Ok(short) => self.emit(Code::Mov_rm64_imm32, &[give(reg, View::Full), Operand::Word(short)]),
            Err(_) => self.emit(Code::Mov_r64_imm64, &[give(reg, View::Full), Operand::Wide(value as u64)]),
        }
    }

    /// The value behind another name.
    fn named(&self, value: ValueId) -> ValueId {
        self.aliases.get(&value).copied().unwrap_or(value)
    }

    /// A uniform integer or bool in a register.
    pub fn integer_of(&mut self, value: ValueId) -> Result<Reg, Reason> {
        let value = self.named(value);
        match self.values.get(&value) {
            Some(Held::Integer(reg)) => return Ok(*reg),
            Some(_) => return Err(format!("{value} is no integer in front of the loop")),
            None => {}
        }
        if let Some(literal) = self.facts.constants.get(&value) {
            let Some(int) = literal.as_int() else { return Err("an integer constant is none".to_owned()) };
            return Ok(self.constant_integer(int));
        }
        if !is_register_integer(self.ty(value)) {
            return Err(format!("{} in front of the loop", self.ty(value)));
        }
        if let Some(&reg) = self.outside.get(&(value, Bank::Integer)) {
            return Ok(reg);
        }
        let place = self.input(Slot::Value(value));
        let reg = self.integer();
        self.at_entry(|select| {
            select.emit(Code::Mov_r64_rm64, &[give(reg, View::Full), Operand::Memory(place)]);
        });
        self.outside.insert((value, Bank::Integer), reg);
        Ok(reg)
    }

    /// A uniform value as a vector of equal lanes; a bool as a mask.
    pub fn everywhere(&mut self, value: ValueId) -> Result<Reg, Reason> {
        let value = self.named(value);
        let ty = self.ty(value);
        match self.values.get(&value).copied() {
            Some(Held::Everywhere(reg)) => return Ok(reg),
            Some(Held::Lanes(_)) => return Err(format!("{value} differs between lanes")),
            Some(Held::Integer(reg)) => {
                if let Some(&known) = self.caches.broadcasts.get(&value) {
                    return Ok(known);
                }
                let wide = self.in_front(|select| select.broadcast_integer(reg, ty));
                self.caches.broadcasts.insert(value, wide);
                return Ok(wide);
            }
            None => {}
        }
        if let Some(&literal) = self.facts.constants.get(&value) {
            return self.constant_everywhere(literal);
        }
        if let Some(&reg) = self.outside.get(&(value, Bank::Vector)) {
            return Ok(reg);
        }
        let reg = match ty {
            DType::F64 | DType::F32 => {
                let place = self.input(Slot::Value(value));
                self.at_entry(|select| select.load_everywhere(ty, place))
            }
            ty if is_register_integer(ty) => {
                let integer = self.integer_of(value)?;
                self.at_entry(|select| select.broadcast_integer(integer, ty))
            }
            ty => return Err(format!("{ty} in a vector")),
        };
        self.outside.insert((value, Bank::Vector), reg);
        Ok(reg)
    }

    /// The widest view this nest uses.
    pub fn whole(&self) -> View {
        match self.settings.bits {
            128 => View::Xmm,
            256 => View::Ymm,
            _ => View::Zmm,
        }
    }

    pub fn load_everywhere(&mut self, ty: DType, place: Place) -> Reg {
        let reg = self.vector();
        let code = match (ty, self.whole()) {
            (DType::F64, View::Xmm) => Code::VEX_Vmovddup_xmm_xmmm64,
            (DType::F64, _) => Code::VEX_Vbroadcastsd_ymm_m64,
            (_, View::Xmm) => Code::VEX_Vbroadcastss_xmm_m32,
            (..) => Code::VEX_Vbroadcastss_ymm_m32,
        };
        let view = self.whole();
        self.emit(code, &[give(reg, view), Operand::Memory(place)]);
        reg
    }

    /// An integer in all lanes; a bool as a mask.
    pub fn broadcast_integer(&mut self, integer: Reg, ty: DType) -> Reg {
        let mut source = integer;
        if ty == DType::Bool {
            source = self.integer();
            self.emit(Code::Mov_r64_rm64, &[give(source, View::Full), take(integer, View::Full)]);
            self.emit(Code::Neg_rm64, &[super::code::change(source, View::Full)]);
        }
        let reg = self.vector();
        self.emit(Code::VEX_Vmovq_xmm_rm64, &[give(reg, View::Xmm), take(source, View::Full)]);
        self.spread(reg, ty)
    }

    /// The first lane in all lanes of a whole register.
    pub fn spread(&mut self, low: Reg, ty: DType) -> Reg {
        let reg = self.vector();
        let long = ty.bytes() == 8 || ty == DType::Bool;
        let code = match (long, self.whole()) {
            (true, View::Xmm) => Code::VEX_Vpbroadcastq_xmm_xmmm64,
            (true, _) => Code::VEX_Vpbroadcastq_ymm_xmmm64,
            (false, View::Xmm) => Code::VEX_Vpbroadcastd_xmm_xmmm32,
            (false, _) => Code::VEX_Vpbroadcastd_ymm_xmmm32,
        };
        let view = self.whole();
        self.emit(code, &[give(reg, view), take(low, View::Xmm)]);
        reg
    }

    /// A constant in all lanes.
    pub fn constant_everywhere(&mut self, literal: Literal) -> Result<Reg, Reason> {
        let bits = match literal.ty {
            DType::F64 | DType::I64 | DType::U64 => literal.bits,
            DType::F32 | DType::I32 | DType::U32 => (literal.bits & 0xffff_ffff) * 0x1_0000_0001,
            DType::Bool => {
                if literal.bits & 0xff != 0 {
                    u64::MAX
                } else {
                    0
                }
            }
            ty => return Err(format!("{ty} in a vector")),
        };
        Ok(self.bits_everywhere(bits))
    }

    /// 64 bits in all 64-bit lanes.
    pub fn bits_everywhere(&mut self, bits: u64) -> Reg {
        self.constant_vector([bits; 8])
    }

    /// 64-bit lanes, as many as there are.
    pub fn constant_vector(&mut self, bits: [u64; 8]) -> Reg {
        if let Some(&reg) = self.constant_lanes.get(&bits) {
            return reg;
        }
        let reg = self.at_entry(|select| {
            if bits.iter().all(|&lane| lane == bits[0]) {
                let integer = select.integer();
                select.set_integer(integer, bits[0] as i64);
                let low = select.vector();
                select.emit(Code::VEX_Vmovq_xmm_rm64, &[give(low, View::Xmm), take(integer, View::Full)]);
                return select.spread(low, DType::I64);
            }
            for (lane, &bits) in bits.iter().enumerate() {
                let integer = select.integer();
                select.set_integer(integer, bits as i64);
                let place = Place { base: Base::Frame, index: None, displacement: 8 * lane as i32 };
                select.emit(Code::Mov_rm64_r64, &[Operand::Memory(place), take(integer, View::Full)]);
            }
            let reg = select.vector();
            let place = Place { base: Base::Frame, index: None, displacement: 0 };
            let view = select.whole();
            let code = sized!(view, VEX_Vmovups_xmm_xmmm128, VEX_Vmovups_ymm_ymmm256);
            select.emit(code, &[give(reg, view), Operand::Memory(place)]);
            reg
        });
        self.constant_lanes.insert(bits, reg);
        reg
    }

    /// Names of containers, for reports.
    pub fn names(&self, buffers: &[BufferId]) -> Vec<String> {
        buffers
            .iter()
            .filter_map(|&buffer| self.kernel.buffers.get(buffer).map(|decl| decl.name.clone()))
            .collect()
    }

    /// The factors of a product that waits for its sum.
    pub fn product_of(&self, value: ValueId) -> Option<(ValueId, ValueId)> {
        self.lanes.as_ref().and_then(|lanes| lanes.products.get(&value).copied())
    }

    pub fn affine(&self, value: ValueId) -> Option<Affine> {
        match self.class(value) {
            Class::Affine(affine) => Some(affine),
            _ => None,
        }
    }
}

fn define(stmts: &[Stmt], definitions: &mut HashMap<ValueId, Op>) {
    for stmt in stmts {
        match stmt {
            Stmt::Let(value, op) => {
                definitions.insert(*value, op.clone());
            }
            Stmt::For { body, .. } => define(body, definitions),
            Stmt::If { then, otherwise, .. } => {
                define(then, definitions);
                define(otherwise, definitions);
            }
            _ => {}
        }
    }
}

/// Types that live in integer registers.
pub(super) fn is_register_integer(ty: DType) -> bool {
    matches!(ty, DType::Bool | DType::I32 | DType::I64)
}
