//! The reference interpreter: what a program means.
//!
//! It walks the graph and does what the graph says, one element at a time. It defines the order of
//! execution, of conflict resolution and of reductions, and it is the oracle for every engine.
//!
//! # What runs when
//!
//! - A state runs its nodes in [`State::order`](crate::ir::State::order); a scope runs its body in the same
//!   order once per point of its range, first parameter slowest. Parallel maps run in this order too.
//! - A copy between two access nodes runs when its *source* runs, except when the destination lies in a scope
//!   that does not hold the source: then it runs when the destination does. Out-edges go in stored order.
//! - A tasklet reads its value inputs, runs its body, and then writes its value outputs, in edge order. What
//!   goes through pointers, references and streams happens at the statement.
//! - Conflict resolution replaces the old element by `f(old, new)` at the moment of the write. There is no
//!   identity: the first write meets whatever the element held. Reductions fold one element after another
//!   in row-major order.
//! - A view is an alias, aimed each time a node next to it runs. A reference is aimed by the edge into its
//!   `set` connector.
//! - A nested graph's connectors alias outer containers: the whole container under
//!   [`Contract::Whole`](crate::ir::Contract) when shapes and strides agree, otherwise (and always under
//!   `Contract::Window`) the memlet's subset, seen through the inner shape and strides. A scalar connector is
//!   the first element of the subset.
//! - Transients are allocated when their lifetime begins. What they hold then is undefined: poison in checked
//!   mode; otherwise zeros, their own previous bytes, or bytes of transients that are dead, the same in every run
//!   from the same state. Where they lie is the arena's choice, which no defined value depends on.
//!
//! # Failures
//!
//! A fault of the program (division by zero, index out of range, out of fuel; in checked mode also races,
//! undefined values and empty ranges) is [`Outcome::Trap`] with the node and the memlet. An error is a
//! refused program or a wrong argument. Nothing panics.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::Program;
use crate::memory::{Arguments, Buffer, MemoryOptions};
use crate::scalar::Scalar;

mod alias;
mod allocate;
mod arena;
mod arguments;
mod checked;
mod control;
mod copy;
mod dataflow;
mod fault;
mod library;
mod machine;
mod memory;
mod plan;
mod prepare;
mod routine;
mod routine_state;
mod tasklet;
mod wcr;

use arena::{Candidates, Slab};
use machine::Machine;
use memory::{Block, Memory, Place, Shadow};
use routine_state::RegisterFile;

pub use crate::memory::{Required, RequiredKind, infer_symbols, required_arguments};
pub use fault::{Fault, FaultKind};

/// How to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Also catch undefined values, races, index overflow, negative sizes and non-positive steps.
    pub checked: bool,
    /// Stop after that many steps (tasklets, states, map points); `None`: no limit.
    pub fuel: Option<u64>,
    /// Record which elements of the arguments hold a defined value after the run ([`Stats::written`]).
    pub track_written: bool,
    /// Where transients lie.
    pub memory: MemoryOptions,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// To the end.
    Done(Stats),
    /// A fault of the program stopped it. Arguments hold whatever was written until then.
    Trap(Fault),
}

/// What a run says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Steps taken: tasklets, states, map points.
    pub steps: u64,
    /// Facts worth telling, for instance arguments that had to be copied to the declared layout.
    pub notes: Vec<String>,
    /// With [`Options::track_written`]: for each argument array, row-major, whether the element holds a defined
    /// value. Arguments named `__return*` start undefined, all others defined.
    pub written: IndexMap<String, Vec<bool>>,
}

/// A program ready to run many times: names are slots, expressions are compiled, persistent containers
/// keep their content between calls.
#[derive(Debug)]
pub struct Prepared {
    plan: plan::Plan,
    candidates: Candidates,
    /// Bytes of containers that outlive a run, by slot.
    persistent: Vec<Option<Vec<u8>>>,
}

impl Prepared {
    /// Resolves a program. Everything that can be refused is refused here.
    ///
    /// # Errors
    /// A diagnostic for what the interpreter cannot run: unknown containers and library nodes, code that was
    /// not lowered, callbacks, nesting beyond the limit.
    pub fn new(program: &Program) -> Result<Prepared, Diagnostic> {
        Prepared::shared(&Arc::new(program.clone()))
    }

    /// The same for a program that others hold too.
    ///
    /// # Errors
    /// As [`Prepared::new`].
    pub fn shared(program: &Arc<Program>) -> Result<Prepared, Diagnostic> {
        let (plan, uses) = prepare::prepare(program)?;
        let persistent = plan.containers.iter().map(|_| None).collect();
        let candidates = Candidates::of(program, uses, &plan.containers);
        Ok(Prepared { plan, candidates, persistent })
    }

    /// Runs the program; results are written to the arguments in place.
    ///
    /// # Errors
    /// `P04xx` for missing or misshaped arguments. Faults of the program are [`Outcome::Trap`].
    pub fn run(&mut self, args: &mut Arguments<'_>, options: &Options) -> Result<Outcome, Diagnostic> {
        let symbols = infer_symbols(&self.plan.program, args)?;
        let value = |name: Name| symbols.get(&name).copied().map(Scalar::as_i64);
        let slab = Slab::take(&self.candidates, &value, &options.memory, options.checked)?;
        self.run_in(args, &symbols, slab, options)
    }

    /// The same in a slab.
    fn run_in(
        &mut self,
        args: &mut Arguments<'_>,
        symbols: &IndexMap<Name, Scalar>,
        slab: Slab,
        options: &Options,
    ) -> Result<Outcome, Diagnostic> {
        let mut machine = Machine::new(&self.plan, slab, options);
        for (block, bytes) in machine.memory.blocks.iter_mut().zip(&mut self.persistent) {
            if let Some(bytes) = bytes.take() {
                block.bytes = Buffer::Owned(bytes);
            }
        }
        // The caller's buffers become blocks for the time of the run, and go back whatever happens.
        let units = args.buffers.iter().map(|(id, _)| self.plan.shadow_unit(args, id)).collect::<Vec<_>>();
        for ((_, buffer), unit) in args.buffers.iter_mut().zip(units) {
            let bytes = std::mem::replace(buffer, Buffer::Owned(Vec::new()));
            machine.adopt(bytes, unit);
        }
        let result = machine.bind_and_run(args, symbols, options);
        let own = self.plan.containers.len();
        let mut blocks = std::mem::take(&mut machine.memory.blocks).into_iter();
        for (slot, kept) in self.persistent.iter_mut().enumerate().take(own) {
            if let Some(Block { bytes: Buffer::Owned(bytes), live, .. }) = blocks.next()
                && self.plan.containers[slot].persists()
                && (live || !bytes.is_empty())
            {
                *kept = Some(bytes);
            }
        }
        for ((_, buffer), block) in args.buffers.iter_mut().zip(blocks) {
            *buffer = block.bytes;
        }
        result
    }
}

impl<'p, 'a> Machine<'p, 'a> {
    fn new(plan: &'p plan::Plan, slab: Slab, options: &Options) -> Machine<'p, 'a> {
        let mut memory = Memory { slab, ..Memory::default() };
        memory.blocks.resize_with(plan.containers.len(), Block::default);
        Machine {
            plan,
            ints: vec![0; plan.symbols.len()],
            wide: plan.symbols.iter().map(|symbol| Scalar::zero(symbol.dtype)).collect(),
            undefined: vec![false; plan.symbols.len()],
            places: vec![Place::nowhere(); plan.containers.len()],
            elements: vec![Vec::new(); plan.containers.len()],
            memory,
            registers: RegisterFile::with_size(plan.registers),
            spare: RegisterFile::with_size(plan.registers),
            ports: Vec::new(),
            steps: 0,
            fuel: options.fuel.unwrap_or(u64::MAX),
            checked: options.checked,
            tracking: options.checked || options.track_written,
            race: Default::default(),
            smallest_alias: plan.smallest_alias(),
            notes: Vec::new(),
            popped: 0,
        }
    }

    /// One of the caller's buffers becomes a block, with a shadow per `unit` bytes.
    fn adopt(&mut self, bytes: Buffer<'a>, unit: usize) {
        let mut shadow = Shadow::default();
        if self.tracking {
            shadow.reset(unit, bytes.bytes().len(), false, self.checked);
        }
        self.memory.blocks.push(Block { bytes, shadow, output: true, live: true, ..Block::default() });
    }

    fn bind_and_run(
        &mut self,
        args: &Arguments<'_>,
        symbols: &IndexMap<Name, Scalar>,
        options: &Options,
    ) -> Result<Outcome, Diagnostic> {
        self.bind_symbols(symbols)?;
        for &(slot, value) in &self.plan.root.constants {
            self.set_symbol(slot, value);
        }
        self.load_constants();
        let back = self.bind_containers(args)?;
        let name = format!("graph `{}`", self.plan.root.name);
        let ended = self.graph(&self.plan.root).map_err(|fault| fault.inside(name));
        self.copy_back(&back);
        if let Err(fault) = ended {
            return Ok(Outcome::Trap(*fault));
        }
        let mut stats =
            Stats { steps: self.steps, notes: std::mem::take(&mut self.notes), ..Stats::default() };
        if options.track_written {
            for &slot in &self.plan.parameters {
                if let Some(written) = self.written(slot) {
                    stats.written.insert(self.plan.containers[slot as usize].name.to_string(), written);
                }
            }
        }
        Ok(Outcome::Done(stats))
    }

    /// Array constants get their bytes.
    fn load_constants(&mut self) {
        let plan = self.plan;
        for (slot, container) in plan.containers.iter().enumerate() {
            let Some(bytes) = &container.constant else { continue };
            if self.allocate(slot as u32, true).is_ok() {
                let block = &mut self.memory.blocks[slot];
                block.shadow.poison.fill(false);
                let room = block.bytes.bytes_mut();
                let length = room.len().min(bytes.len());
                room[..length].copy_from_slice(&bytes[..length]);
            }
        }
    }
}
