//! A program that can be stopped: the timeline of its states.
//!
//! In front of every state of the outermost graph stands a check: once so many states have run, the values of symbols and scalars are
//! written to arrays of their own, with the number of the state that would be next, and the program returns. One compiled program
//! shows any moment of its run, so a search over the timeline costs one compilation and a logarithmic number of runs, on any
//! engine. It also stops once a certain state has run so many times.

use crate::check::edit::{
    add_assignment, add_copy_of_one, assigned_symbols, checked, declare_argument, expose_arrays, root_mut,
    used_at_top,
};
use crate::check::side::copied;
use crate::diag::Result;
use crate::entity::Name;
use crate::ir::{
    Block, BlockId, BlockKind, Branch, CodeExpr, DataKind, Extra, InterstateEdge, Language, Program, Region,
    RegionFlavor, RegionId, State, Text,
};
use crate::memory::Arguments;
use crate::scalar::{DType, Scalar, Type};

use super::cut::add_missing;

/// The symbol that says how many states run.
const STOP: &str = "__pelton_stop";
const STEP: &str = "__pelton_step";
/// The symbol that says which state is counted, by its number, and the one that says how often it runs.
const WATCHED: &str = "__pelton_watched";
const TURNS: &str = "__pelton_turns";
const TURN: &str = "__pelton_turn";
/// Which state comes next: a block number, or -1 at the end.
pub(super) const NEXT: &str = "__pelton_next";
/// How many states have run.
pub(super) const TAKEN: &str = "__pelton_taken";
/// How often the state that is counted has run.
pub(super) const TURNED: &str = "__pelton_turned";
const SYMBOL: &str = "__pelton_symbol_";
const SCALAR: &str = "__pelton_scalar_";

/// A program that stops where it is told to.
pub(super) struct Timeline {
    pub program: Program,
    /// The blocks that hold the states, by the number that [`NEXT`] gives.
    pub states: Vec<BlockId>,
    pub symbols: Vec<(Name, DType)>,
    pub scalars: Vec<(Name, DType)>,
}

impl Timeline {
    /// # Errors
    /// The changed program is refused, which would be a defect.
    pub fn of(program: &Program) -> Result<Timeline> {
        let mut program = program.clone();
        let Some(graph) = program.root_graph() else { return Err(no_graph()) };
        let symbols: Vec<(Name, DType)> = assigned_symbols(graph)
            .into_iter()
            .map(|name| {
                let declared = graph.symbols.get(&name).and_then(|ty| ty.scalar());
                (name, declared.unwrap_or(DType::I64))
            })
            .collect();
        let (top, _) = used_at_top(graph);
        let scalars: Vec<(Name, DType)> = graph
            .data
            .iter()
            .filter(|(name, data)| {
                data.transient && top.contains(*name) && matches!(data.kind, DataKind::Scalar(_))
            })
            .filter_map(|(&name, data)| match data.ty {
                Type::Scalar(dtype) => Some((name, dtype)),
                _ => None,
            })
            .collect();
        let states: Vec<BlockId> = graph.states().map(|(id, _)| id).collect();
        expose_arrays(&mut program);
        for name in [NEXT, TAKEN, TURNED] {
            declare_argument(&mut program, name, DType::I64, 1);
        }
        for &(name, dtype) in &symbols {
            let text = format!("{SYMBOL}{}", program.names.get(name));
            declare_argument(&mut program, &text, dtype, 1);
        }
        for &(name, dtype) in &scalars {
            let text = format!("{SCALAR}{}", program.names.get(name));
            declare_argument(&mut program, &text, dtype, 1);
        }
        for name in [STOP, STEP, WATCHED, TURNS, TURN] {
            let name = program.names.intern(name);
            if let Some(graph) = root_mut(&mut program) {
                graph.symbols.insert(name, Type::Scalar(DType::I64));
            }
        }
        let mut timeline = Timeline { program, states, symbols, scalars };
        for number in 0..timeline.states.len() {
            timeline.guard(number)?;
        }
        timeline.enclose()?;
        timeline.program = checked(timeline.program)?;
        Ok(timeline)
    }

    /// Puts the check in front of a state.
    fn guard(&mut self, number: usize) -> Result<()> {
        let Some(&block) = self.states.get(number) else { return Ok(()) };
        let record = self.recording(number as i64);
        let [step, turn] = [STEP, TURN].map(|name| self.program.names.intern(name));
        let Some(graph) = root_mut(&mut self.program) else { return Err(no_graph()) };
        let Some(slot) = graph.blocks.get_mut(block) else { return Ok(()) };
        let kind = std::mem::replace(&mut slot.kind, BlockKind::Return);
        let label = slot.label.clone();
        let state = graph.blocks.push(Block { label: format!("{label}_run"), kind, extra: Extra::new() });
        let recorded =
            graph.blocks.push(named(&format!("{label}_record"), BlockKind::State(Box::new(record))));
        let leave = graph.blocks.push(named("leave", BlockKind::Return));
        let body = graph.regions.push(chain(&[recorded, leave], Vec::new()));
        let branch = Branch {
            condition: Some(code(&format!("{STEP} >= {STOP} or {TURN} >= {TURNS}"), None)),
            body,
            label: "stop".to_owned(),
            extra: Extra::new(),
        };
        let check = graph.blocks.push(named(&format!("{label}_check"), BlockKind::Conditional(vec![branch])));
        let count = vec![
            (step, code(&format!("{STEP} + 1"), None)),
            (turn, code(&format!("{TURN} + (1 if {WATCHED} == {number} else 0)"), None)),
        ];
        let region = graph.regions.push(chain(&[check, state], count));
        if let Some(slot) = graph.blocks.get_mut(block) {
            slot.kind = BlockKind::Region(RegionFlavor::Plain, region);
        }
        // Whoever looks for the state finds it behind the check.
        self.states[number] = state;
        Ok(())
    }

    /// Scalars get their recorded values before the program, and record them after it.
    fn enclose(&mut self) -> Result<()> {
        let mut begin = State::default();
        for (scalar, recorded) in self.recorded_scalars() {
            add_copy_of_one(&mut self.program, &mut begin, recorded, scalar);
        }
        let end = self.recording(-1);
        let counters = [STEP, TURN].map(|name| self.program.names.intern(name));
        let Some(graph) = root_mut(&mut self.program) else { return Err(no_graph()) };
        let Some(body) = graph.body else { return Err(no_graph()) };
        let begin = graph.blocks.push(named("timeline_begin", BlockKind::State(Box::new(begin))));
        let inner = graph.blocks.push(named("timeline_body", BlockKind::Region(RegionFlavor::Plain, body)));
        let end = graph.blocks.push(named("timeline_end", BlockKind::State(Box::new(end))));
        let mut region = chain(&[begin, inner, end], Vec::new());
        if let Some(edge) = region.edges.first_mut() {
            edge.assignments = counters.map(|name| (name, code("0", None))).into();
        }
        graph.body = Some(graph.regions.push(region));
        Ok(())
    }

    fn recorded_scalars(&mut self) -> Vec<(Name, Name)> {
        let names = self.scalars.iter().map(|&(name, _)| name).collect::<Vec<_>>();
        let mut pairs = Vec::with_capacity(names.len());
        for name in names {
            let text = format!("{SCALAR}{}", self.program.names.get(name));
            pairs.push((name, self.program.names.intern(&text)));
        }
        pairs
    }

    /// A state that writes down where the program is.
    fn recording(&mut self, number: i64) -> State {
        let mut state = State::default();
        let next = self.program.names.intern(NEXT);
        add_assignment(&mut self.program, &mut state, next, &number.to_string());
        for (array, counter) in [(TAKEN, STEP), (TURNED, TURN)] {
            let array = self.program.names.intern(array);
            add_assignment(&mut self.program, &mut state, array, counter);
        }
        for (symbol, _) in self.symbols.clone() {
            let text = self.program.names.get(symbol).to_owned();
            let target = self.program.names.intern(&format!("{SYMBOL}{text}"));
            add_assignment(&mut self.program, &mut state, target, &text);
        }
        for (scalar, recorded) in self.recorded_scalars() {
            add_copy_of_one(&mut self.program, &mut state, scalar, recorded);
        }
        state
    }

    /// The label that a state has in the program.
    pub fn label(&self, state: BlockId) -> String {
        let graph = self.program.root_graph();
        let label = graph.and_then(|graph| graph.blocks.get(state)).map_or("", |block| block.label.as_str());
        label.strip_suffix("_run").unwrap_or(label).to_owned()
    }

    /// What the program is called with, for a run to its end.
    pub fn arguments(&self, given: &Arguments<'_>) -> Arguments<'static> {
        let mut args = copied(given);
        for &(name, _) in &self.symbols {
            let name = self.program.names.get(name);
            if args.get(name).is_none() {
                args.insert_scalar(name, Scalar::I64(0));
            }
        }
        add_missing(&self.program, &mut args);
        args.insert_scalar(STOP, Scalar::I64(i64::MAX));
        args.insert_scalar(WATCHED, Scalar::I64(-1));
        args.insert_scalar(TURNS, Scalar::I64(i64::MAX));
        args
    }

    /// What a run that was stopped recorded of a symbol.
    pub fn symbol(&self, args: &Arguments<'_>, name: Name) -> Option<Scalar> {
        first_of(args, &format!("{SYMBOL}{}", self.program.names.get(name)))
    }

    /// What it recorded of a scalar.
    pub fn scalar(&self, args: &Arguments<'_>, name: Name) -> Option<Scalar> {
        first_of(args, &format!("{SCALAR}{}", self.program.names.get(name)))
    }
}

/// The run stops once so many states have run.
pub(super) fn stop_after(args: &mut Arguments<'static>, states: i64) {
    args.insert_scalar(STOP, Scalar::I64(states));
}

/// The run stops once a state, given by its number, has run so many times.
pub(super) fn stop_after_turns(args: &mut Arguments<'static>, state: usize, turns: i64) {
    args.insert_scalar(WATCHED, Scalar::I64(state as i64));
    args.insert_scalar(TURNS, Scalar::I64(turns));
}

/// The name under which a run that was stopped recorded a scalar.
pub(super) fn recorded_scalar(name: &str) -> String {
    format!("{SCALAR}{name}")
}

/// Whether an argument is one of the timeline's own.
pub(super) fn is_own(name: &str) -> bool {
    name.starts_with("__pelton_")
}

/// What a person calls the thing that an argument of the timeline's own records.
pub(super) fn shown_name(name: &str) -> String {
    for (prefix, what) in [(SYMBOL, "symbol "), (SCALAR, "")] {
        if let Some(rest) = name.strip_prefix(prefix) {
            return format!("{what}{rest}");
        }
    }
    match name {
        NEXT => "the next state".to_owned(),
        TAKEN => "the number of states run".to_owned(),
        _ => name.to_owned(),
    }
}

/// The first number of an array.
pub(super) fn first_of(args: &Arguments<'_>, name: &str) -> Option<Scalar> {
    match args.get(name)? {
        crate::memory::Binding::Array { buffer, offset, ty: Type::Scalar(dtype), .. } => {
            Scalar::from_le_bytes(*dtype, args.buffers.get(*buffer)?.bytes().get(*offset..)?)
        }
        crate::memory::Binding::Scalar(value) => Some(*value),
        _ => None,
    }
}

fn named(label: &str, kind: BlockKind) -> Block {
    Block { label: label.to_owned(), kind, extra: Extra::new() }
}

/// Blocks one after another; the last edge carries the assignments.
fn chain(blocks: &[BlockId], assignments: Vec<(Name, CodeExpr)>) -> Region {
    let mut region = Region { blocks: blocks.to_vec(), edges: Vec::new(), start: blocks.first().copied() };
    for pair in blocks.windows(2) {
        let &[src, dst] = pair else { continue };
        let edge = InterstateEdge { src, dst, condition: None, assignments: Vec::new(), extra: Extra::new() };
        region.edges.push(edge);
    }
    if let Some(edge) = region.edges.last_mut() {
        edge.assignments = assignments;
    }
    region
}

fn code(text: &str, target: Option<Name>) -> CodeExpr {
    CodeExpr { text: Text { language: Language::Python, text: text.to_owned() }, target, code: None }
}

fn no_graph() -> crate::diag::Diagnostic {
    crate::diag::Diagnostic::error("P0100", "the program has no graph")
}

/// For regions of a cut program: [`chain`] without assignments.
pub(super) fn sequence(program: &mut Program, blocks: &[BlockId]) -> Option<RegionId> {
    let region = chain(blocks, Vec::new());
    Some(root_mut(program)?.regions.push(region))
}
