//! Loop nests that are compiled to vector code, and the calls of them.
//!
//! Where a nest may run only under conditions (strides of one element, arguments that do not overlap), both it and
//! the scalar loop are there, and the conditions choose.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, types};
use hashbrown::{HashMap, HashSet};

use crate::diag::Diagnostic;
use crate::kernel::vector::{Decision, LoopReport, Reason};
use crate::kernel::{Kernel, Stmt, ValueId, VarId};
use crate::scalar::DType;

use super::super::call::offsets;
use super::super::memory::CodeMemory;
use super::super::wide::{Facts, Input, Nest, Settings, compile};
use super::function::{Emitter, plain, register_type};

/// Every nest of a kernel, compiled.
#[derive(Default)]
pub(super) struct Nests {
    /// By loop variable.
    pub calls: HashMap<ValueId, Call>,
    /// Their code.
    pub code: Option<CodeMemory>,
    /// What became of each loop.
    pub loops: Vec<LoopReport>,
}

/// A nest and where its code is.
pub(super) struct Call {
    nest: Nest,
    /// It holds loops that threads would split, so it is for calls on one thread.
    alone: bool,
    address: *const u8,
}

impl Call {
    /// What its code is given.
    pub fn inputs(&self) -> &[Input] {
        &self.nest.inputs
    }

    /// Whether the code may run whatever the arguments are, so that the loop itself is not needed.
    pub fn is_certain(&self) -> bool {
        !self.nest.needs_disjoint && !self.alone && self.nest.conditions.is_empty()
    }

    /// Values that the call needs.
    pub fn values(&self) -> impl Iterator<Item = ValueId> {
        let inputs = self.nest.inputs.iter().filter_map(|input| match *input {
            Input::Value(value) => Some(value),
            Input::Variable(_) => None,
        });
        inputs.chain(self.nest.conditions.iter().map(|&(value, _)| value))
    }

    /// Variables that it reads and sets.
    pub fn variables(&self) -> impl Iterator<Item = VarId> {
        self.nest.inputs.iter().filter_map(|input| match *input {
            Input::Value(_) => None,
            Input::Variable(variable) => Some(variable),
        })
    }
}

/// Code of a nest starts at a multiple of this.
const ALIGNMENT: usize = 64;

impl Nests {
    /// Compiles the outermost nests that can be. With `disjoint`, arguments that are written share memory with no others.
    pub fn of(kernel: &Kernel, settings: Settings, disjoint: bool) -> Result<Nests, Diagnostic> {
        let facts = Facts::of(kernel);
        let mut nests = Nests::default();
        let mut found: Vec<(ValueId, Nest, bool)> = Vec::new();
        let search = Search { kernel, facts: &facts, settings };
        nests.find(&search, &kernel.body, 0, &mut found);
        if found.is_empty() {
            return Ok(nests);
        }
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for (_, nest, _) in &found {
            bytes.resize(usize::next_multiple_of(bytes.len(), ALIGNMENT), 0xcc);
            starts.push(bytes.len());
            bytes.extend_from_slice(&nest.code);
        }
        let code = CodeMemory::new(&bytes)?;
        for ((variable, mut nest, alone), start) in found.into_iter().zip(starts) {
            let address = code.address().wrapping_add(start);
            nest.needs_disjoint &= !disjoint;
            nests.calls.insert(variable, Call { nest, alone, address });
        }
        nests.code = Some(code);
        Ok(nests)
    }

    fn find(
        &mut self,
        search: &Search<'_>,
        stmts: &[Stmt],
        depth: u32,
        found: &mut Vec<(ValueId, Nest, bool)>,
    ) {
        for stmt in stmts {
            match stmt {
                Stmt::For { variable, body, .. } => {
                    match search.compiled(stmt, depth) {
                        Ok(mut nest) => {
                            self.loops.append(&mut nest.reports);
                            let alone = holds_region(search.kernel, body);
                            found.push((*variable, nest, alone));
                            if alone {
                                // Once more for what is split; the reports are there already.
                                let reports = self.loops.len();
                                self.find(search, body, depth + 1, found);
                                self.loops.truncate(reports);
                            }
                        }
                        Err(reason) => {
                            let (variable, decision) = (*variable, Decision::Scalar(reason));
                            self.loops.push(LoopReport { variable, writes: Vec::new(), depth, decision });
                            self.find(search, body, depth + 1, found);
                        }
                    }
                }
                Stmt::Loop(body) | Stmt::Block(_, body) => self.find(search, body, depth, found),
                Stmt::If { then, otherwise, .. } => {
                    self.find(search, then, depth, found);
                    self.find(search, otherwise, depth, found);
                }
                Stmt::Cfg(blocks) => {
                    blocks.iter().for_each(|block| self.find(search, &block.body, depth, found));
                }
                _ => {}
            }
        }
    }
}

/// Whether a loop that may be split stands in a list.
fn holds_region(kernel: &Kernel, stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::For { variable, body, .. } => {
            kernel.regions.contains_key(variable) || holds_region(kernel, body)
        }
        Stmt::If { then, otherwise, .. } => holds_region(kernel, then) || holds_region(kernel, otherwise),
        _ => false,
    })
}

/// What the search for nests needs.
struct Search<'k> {
    kernel: &'k Kernel,
    facts: &'k Facts,
    settings: Settings,
}

impl Search<'_> {
    /// A nest as wide as asked for, or with 256 bits where something in it has no 512-bit form.
    fn compiled(&self, stmt: &Stmt, depth: u32) -> Result<Nest, Reason> {
        let with = |settings| compile(self.kernel, self.facts, stmt, depth, settings);
        let large = match with(self.settings) {
            Err(reason) if self.settings.bits == 512 => reason,
            result => return result,
        };
        match with(Settings { bits: 256, ..self.settings }) {
            Ok(mut nest) => {
                for report in &mut nest.reports {
                    if let Decision::Vector { instead, .. } = &mut report.decision {
                        *instead = Some(large.clone());
                    }
                }
                Ok(nest)
            }
            Err(reason) if reason == large => Err(reason),
            Err(reason) => Err(format!("{reason} (512 bits: {large})")),
        }
    }
}

/// What remains to be emitted for a loop that has a nest.
pub(super) enum After {
    /// Nothing.
    Done,
    /// The scalar loop here, and then a jump to the block, if there is one.
    Loop(Option<ir::Block>),
}

/// The table of a nest's inputs, of which some are there already.
pub(super) struct Inputs {
    slot: ir::StackSlot,
    /// By position.
    stored: Vec<bool>,
}

impl<'k> Emitter<'k, '_> {
    /// In front of a loop, stores what nests in it are given in every turn. In registers it would live as long as the loop.
    /// Says of which nests nothing was there before.
    pub fn store_ahead(&mut self, body: &'k [Stmt]) -> Vec<ValueId> {
        let mut open = vec![body];
        let mut calls: Vec<(ValueId, &'k Call)> = Vec::new();
        while let Some(list) = open.pop() {
            for stmt in list {
                if let Stmt::For { variable, .. } = stmt {
                    if !self.in_region && self.kernel.regions.contains_key(variable) {
                        continue;
                    }
                    calls.extend(self.nests.calls.get(variable).map(|call| (*variable, call)));
                }
                open.extend(stmt.lists());
            }
        }
        if calls.is_empty() {
            return Vec::new();
        }
        let first =
            calls.iter().map(|(nest, _)| *nest).filter(|nest| !self.inputs.contains_key(nest)).collect();
        let inside: HashSet<ValueId> = Stmt::all(body).filter_map(Stmt::defines).collect();
        for (variable, call) in calls {
            let mut inputs = self.take_inputs(variable, call);
            for (index, input) in call.nest.inputs.iter().enumerate() {
                let Input::Value(value) = *input else { continue };
                if let (Some(known), false) = (self.values.get(value), inside.contains(&value)) {
                    self.store_input(&mut inputs, index, (self.kernel.values[value], known));
                }
            }
            self.inputs.insert(variable, inputs);
        }
        first
    }

    fn take_inputs(&mut self, variable: ValueId, call: &Call) -> Inputs {
        self.inputs.remove(&variable).unwrap_or_else(|| {
            let count = call.nest.inputs.len();
            let slot = self.stack(8 * u32::try_from(count).unwrap_or(0));
            Inputs { slot, stored: vec![false; count] }
        })
    }

    /// Stores an input, unless it is there.
    fn store_input(&mut self, inputs: &mut Inputs, index: usize, (ty, value): (DType, ir::Value)) {
        let Some(stored) = inputs.stored.get_mut(index) else { return };
        if std::mem::replace(stored, true) {
            return;
        }
        let number = match ty {
            DType::I32 => self.b.ins().sextend(types::I64, value),
            DType::Bool => self.b.ins().uextend(types::I64, value),
            _ => value,
        };
        self.b.ins().stack_store(types::I64, number, inputs.slot, offset_of_input(index));
    }

    /// Calls a nest if its conditions hold; else control is where the scalar loop has to stand.
    pub fn nest(&mut self, variable: ValueId, call: &Call) -> Result<After, Diagnostic> {
        let Some(holds) = self.conditions(call)? else {
            self.call_nest(variable, call)?;
            return Ok(After::Done);
        };
        let (fast, slow, after) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().brif(holds, fast, &[], slow, &[]);
        self.b.seal_block(fast);
        self.b.seal_block(slow);
        self.enter(fast);
        self.call_nest(variable, call)?;
        self.b.ins().jump(after, &[]);
        self.enter(slow);
        Ok(After::Loop(Some(after)))
    }

    fn conditions(&mut self, call: &Call) -> Result<Option<ir::Value>, Diagnostic> {
        let mut all: Option<ir::Value> = None;
        if call.nest.needs_disjoint {
            let overlap = self.b.ins().load(types::I64, plain(), self.frame, offsets::OVERLAP);
            all = Some(self.b.ins().icmp_imm_s(IntCC::Equal, overlap, 0));
        }
        if call.alone {
            let threads = self.b.ins().load(types::I64, plain(), self.frame, offsets::THREADS);
            let one = self.b.ins().icmp_imm_s(IntCC::Equal, threads, 1);
            all = Some(match all {
                Some(all) => self.b.ins().band(all, one),
                None => one,
            });
        }
        for &(value, number) in &call.nest.conditions {
            let value = self.get(value)?;
            let equal = self.b.ins().icmp_imm_s(IntCC::Equal, value, number);
            all = Some(match all {
                Some(all) => self.b.ins().band(all, equal),
                None => equal,
            });
        }
        Ok(all)
    }

    fn call_nest(&mut self, variable: ValueId, call: &Call) -> Result<(), Diagnostic> {
        let mut inputs = self.take_inputs(variable, call);
        for (index, input) in call.nest.inputs.iter().enumerate() {
            if inputs.stored.get(index) == Some(&true) {
                continue;
            }
            let number = match *input {
                Input::Value(value) => (self.kernel.values[value], self.get(value)?),
                Input::Variable(variable) => (self.kernel.variables[variable].ty, self.variable(variable)),
            };
            self.store_input(&mut inputs, index, number);
        }
        let slot = inputs.slot;
        let address = self.b.ins().stack_addr(types::I64, slot, 0);
        let stopped = self.call(call.address, &[address], Some(types::I64));
        if let Some(stopped) = stopped {
            self.check_code(stopped);
        }
        for (index, input) in call.nest.inputs.iter().enumerate() {
            let Input::Variable(variable) = *input else { continue };
            let ty = register_type(self.kernel.variables[variable].ty);
            let value = self.b.ins().stack_load(types::I64, ty, slot, offset_of_input(index));
            self.set_variable(variable, value);
        }
        Ok(())
    }
}

/// Where an input lies in its table.
fn offset_of_input(index: usize) -> i32 {
    i32::try_from(8 * index).unwrap_or(0)
}
