//! Finds where two runs part: the first state, part of a state, iteration, tasklet and element that differ.
//!
//! Two *halves* run in lock step: a program on an engine each, usually the same program on two engines, or a program
//! before and after a rewrite on one. The search goes from the outside in, each time cutting the program down to the first part
//! that makes the difference, with memory as the left half had it at that moment:
//!
//! 1. the timeline of states, by bisection;
//! 2. the parts of the state (maps, tasklets, copies, library nodes, nested graphs), by bisection over prefixes;
//! 3. the iterations of a map, by halving its ranges, until one is left or halves alone agree;
//! 4. the body of that iteration, or the timeline of a nested graph, from the start.
//!
//! It ends at a tasklet, copy or library node, or where a cut no longer shows the difference; that is said, too. Then
//! the values that were read are traced back to who wrote them.

mod cut;
mod history;
mod recorded;
mod report;
mod timeline;

use crate::diag::{Diagnostic, Result};
use crate::ir::{NodeKind, Program};
use crate::memory::{Arguments, Binding, View};
use crate::scalar::Scalar;

use super::compare::{Tolerance, is_close};
use super::side::{End, Ready, Side, copied, with_symbols};
use timeline::{NEXT, TAKEN, Timeline, first_of, is_own, shown_name, stop_after};

pub(in crate::check) use cut::{
    Cut, Unit, add_missing, entered, expose, keep_units, map_ranges, only_state, peeled, restricted,
    unit_label, units, value_of,
};
pub use recorded::locate_recorded;
pub use report::{Located, Origin, Place};

/// No program nests deeper in the search.
const MAX_DEPTH: usize = 24;

/// A program on an engine, with its arguments.
#[derive(Debug)]
pub struct Half {
    /// The program.
    pub program: Program,
    /// What it is called with.
    pub args: Arguments<'static>,
    /// What runs it; a rewrite was done already.
    pub side: Side,
}

/// The first element that differs.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// The container.
    pub container: String,
    /// Where.
    pub index: Vec<usize>,
    /// On the left.
    pub left: Option<Scalar>,
    /// On the right.
    pub right: Option<Scalar>,
    /// Where there is no element: how the runs ended.
    pub ends: Option<(String, String)>,
}

/// Decides from what the halves left in memory whether the thing looked for has happened.
pub(super) type Probe<'p> = dyn Fn(&[(Arguments<'static>, End)]) -> Option<Found> + 'p;

impl Half {
    /// The half of a side: its rewrite is done here, once.
    ///
    /// # Errors
    /// The rewrite refuses.
    pub fn of(side: &Side, program: &Program, args: &Arguments<'_>) -> Result<Half> {
        let changed = side.changed(program)?.unwrap_or_else(|| program.clone());
        let args = with_symbols(&changed, args)?;
        Ok(Half { program: changed, args, side: side.without_rewrite() })
    }

    pub(super) fn cut(&self, cut: Cut) -> Half {
        Half { program: cut.program, args: cut.args, side: self.side.clone() }
    }

    pub(super) fn with_program(&self, program: Program) -> Half {
        Half { program, args: copied(&self.args), side: self.side.clone() }
    }

    pub(super) fn ready(&self) -> std::result::Result<Ready, End> {
        self.side.prepare(&self.program)
    }

    /// Runs the program once; the half's own arguments stay as they are.
    pub fn run(&self) -> (Arguments<'static>, End) {
        let mut args = copied(&self.args);
        let end = match self.ready() {
            Ok(mut ready) => ready.run(&mut args),
            Err(end) => end,
        };
        (args, end)
    }
}

/// Finds the first difference between two halves: in any bit, or by more than a tolerance allows.
///
/// # Errors
/// `P0435` if they agree, or what a half refuses.
pub fn locate(left: Half, right: Half, tolerance: Option<Tolerance>) -> Result<Located> {
    let halves = vec![left, right];
    let runs: Vec<_> = halves.iter().map(Half::run).collect();
    for (half, (_, end)) in halves.iter().zip(&runs) {
        if let End::Refused(diagnostic) = end {
            return Err(diagnostic.clone().inside(format!("on {}", half.side.name)));
        }
    }
    let probe = |runs: &[(Arguments<'static>, End)]| differs(runs, tolerance);
    let Some(found) = probe(&runs) else {
        return Err(Diagnostic::error("P0435", "the two sides agree, so there is nothing to locate")
            .with_help(
                "compare what differs: other inputs, another engine, the program after a transformation",
            ));
    };
    let mut search = Search::new(halves, found);
    let whole: Vec<Half> = search.halves.iter().map(|half| half.with_program(half.program.clone())).collect();
    search.timeline(&probe, 0)?;
    let sides = whole.iter().map(|half| half.side.name.clone()).collect();
    Ok(search.report(&whole[0], sides))
}

/// The state that a program runs as its `step`-th, as a program of its own with memory as it is then.
///
/// # Errors
/// The program cannot be cut there.
pub(in crate::check) fn state_before(half: &Half, step: i64) -> Result<Option<Cut>> {
    let timeline = Timeline::of(&half.program)?;
    let mut args = timeline.arguments(&half.args);
    stop_after(&mut args, step - 1);
    let (args, end) = half.cut(Cut { program: timeline.program.clone(), args }).run();
    let number = first_of(&args, NEXT).map_or(-1, Scalar::as_i64);
    let block = usize::try_from(number).ok().and_then(|at| timeline.states.get(at)).copied();
    match (end, block) {
        (End::Done, Some(block)) => cut::cut_state(&timeline, block, &args).map(Some),
        _ => Ok(None),
    }
}

/// The first element, in the order of containers, that differs by more than a tolerance allows, or in any bit without one.
fn differs(runs: &[(Arguments<'static>, End)], tolerance: Option<Tolerance>) -> Option<Found> {
    let [(left, left_end), (right, right_end)] = runs else { return None };
    let same_end = match (left_end, right_end) {
        (End::Fault(a), End::Fault(b)) => a.kind == b.kind,
        (a, b) => a == b,
    };
    if !same_end {
        return Some(Found {
            container: String::new(),
            index: Vec::new(),
            left: None,
            right: None,
            ends: Some((left_end.to_string(), right_end.to_string())),
        });
    }
    if *left_end != End::Done {
        return None;
    }
    for (name, binding) in &left.bindings {
        if let (Binding::Array { buffer, .. }, Some(other @ Binding::Array { buffer: twin, .. })) =
            (binding, right.get(name))
            && binding == other
            && left.buffers.get(*buffer).map(|buffer| buffer.bytes())
                == right.buffers.get(*twin).map(|buffer| buffer.bytes())
        {
            continue;
        }
        let (Some(ours), Some(theirs)) =
            (view(left, binding), right.get(name).and_then(|other| view(right, other)))
        else {
            continue;
        };
        if ours.shape() != theirs.shape() {
            continue;
        }
        let pairs = ours.scalars().zip(theirs.scalars()).enumerate();
        for (position, (a, b)) in pairs {
            let (Some(a), Some(b)) = (a, b) else { continue };
            if !is_close(b, a, tolerance) {
                return Some(Found {
                    container: name.clone(),
                    index: ours.index_of(position),
                    left: Some(a),
                    right: Some(b),
                    ends: None,
                });
            }
        }
    }
    None
}

/// An array argument of plain numbers.
pub(in crate::check) fn view<'a>(args: &'a Arguments<'_>, binding: &Binding) -> Option<View<'a>> {
    let Binding::Array { buffer, offset, ty, shape, strides } = binding else { return None };
    let bytes = args.buffers.get(*buffer)?.bytes();
    Some(View::new(bytes, *offset, ty.scalar()?, shape, strides))
}

/// A search that has come this far.
pub(super) struct Search {
    pub places: Vec<Place>,
    pub halves: Vec<Half>,
    pub found: Found,
    /// Whether the search ended at a single tasklet, copy or library node.
    pub exact: bool,
    pub note: Option<String>,
    /// The step of the outermost timeline.
    pub step: Option<i64>,
    /// How many steps of the outermost timeline are looked at; all of them if not said.
    pub until: Option<i64>,
}

impl Search {
    /// A search that has not begun.
    fn new(halves: Vec<Half>, found: Found) -> Search {
        Search { places: Vec::new(), halves, found, exact: true, note: None, step: None, until: None }
    }

    /// What the search came to; `whole` is what it began with.
    fn report(self, whole: &Half, sides: Vec<String>) -> Located {
        let Search { places, halves, found, exact, note, step, .. } = self;
        let (values, history) = (Vec::new(), Vec::new());
        let mut located =
            Located { sides, places, found, exact, note, step, recorded: None, values, history, halves };
        located.values = history::values_read(&located);
        located.history = history::trace(whole, &located);
        located
    }

    fn ends_here(&mut self, note: impl Into<String>) -> Result<()> {
        self.exact = false;
        self.note = Some(note.into());
        Ok(())
    }

    fn happened(halves: &[Half], probe: &Probe<'_>) -> Option<Found> {
        let runs: Vec<_> = halves.iter().map(Half::run).collect();
        probe(&runs)
    }

    /// Which state of the program, then into it.
    pub fn timeline(&mut self, probe: &Probe<'_>, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return self.ends_here("the program nests too deep to be searched further");
        }
        let timelines: Vec<Timeline> =
            self.halves.iter().map(|half| Timeline::of(&half.program)).collect::<Result<_>>()?;
        let mut ready = Vec::with_capacity(timelines.len());
        let mut bases = Vec::with_capacity(timelines.len());
        for (half, timeline) in self.halves.iter().zip(&timelines) {
            bases.push(timeline.arguments(&half.args));
            match half.with_program(timeline.program.clone()).ready() {
                Ok(prepared) => ready.push(prepared),
                Err(end) => {
                    return self.ends_here(format!(
                        "{}: the timeline of states cannot be run: {end}",
                        half.side.name
                    ));
                }
            }
        }
        let mut run_at = |stop: i64| -> Vec<(Arguments<'static>, End)> {
            let mut runs = Vec::with_capacity(bases.len());
            for (base, ready) in bases.iter().zip(&mut ready) {
                let mut args = copied(base);
                stop_after(&mut args, stop);
                let end = ready.run(&mut args);
                runs.push((args, end));
            }
            runs
        };
        let last = run_at(self.until.take().unwrap_or(i64::MAX));
        if probe(&last).is_none() {
            return self.ends_here("the difference goes away when transients can be seen from outside");
        }
        let taken = |(args, end): &(Arguments<'static>, End)| match end {
            End::Done => first_of(args, TAKEN).map_or(0, Scalar::as_i64),
            _ => i64::from(u32::MAX),
        };
        let total = last.iter().map(taken).max().unwrap_or(0);
        // `agrees` states have run without a difference, `differs` states with one.
        let (mut agrees, mut differing) = (0, total);
        if let Some(found) = probe(&run_at(0)) {
            let what = shown_name(&found.container);
            self.found = Found { container: what.clone(), ..found };
            return self.ends_here(format!("{what} differs before the first state: look at control flow"));
        }
        while differing - agrees > 1 {
            let middle = agrees + (differing - agrees) / 2;
            if probe(&run_at(middle)).is_some() { differing = middle } else { agrees = middle }
        }
        let before = run_at(agrees);
        let after = run_at(differing);
        if let Some(found) = probe(&after) {
            self.found = found;
        }
        let number = first_of(&before[0].0, NEXT).map_or(-1, Scalar::as_i64);
        let state = usize::try_from(number).ok().and_then(|at| timelines[0].states.get(at)).copied();
        let Some(block) = state else {
            return self.ends_here("they differ after the last state");
        };
        self.places.push(Place {
            kind: "state",
            name: timelines[0].label(block),
            detail: format!("step {differing} of {total}"),
        });
        self.step.get_or_insert(differing);
        if is_own(&self.found.container) {
            let what = shown_name(&self.found.container);
            self.found.container = what.clone();
            if what.starts_with("the ") || what.starts_with("symbol ") {
                return self
                    .ends_here(format!("{what} differs after this state: look at the edges out of it"));
            }
        }
        let mut cuts = Vec::with_capacity(self.halves.len());
        for ((half, timeline), (args, _)) in self.halves.iter().zip(&timelines).zip(&before) {
            let wanted = timelines[0].label(block);
            let own = match timeline
                .states
                .iter()
                .copied()
                .filter(|&b| timeline.label(b) == wanted)
                .collect::<Vec<_>>()[..]
            {
                [only] => Some(only),
                _ => usize::try_from(number).ok().and_then(|at| timeline.states.get(at)).copied(),
            };
            let Some(own) = own else { return self.ends_here("the other side has no such state") };
            match cut::cut_state(timeline, own, args) {
                Ok(cut) => cuts.push(half.cut(cut)),
                Err(error) => return self.ends_here(format!("the state cannot run by itself: {error}")),
            }
        }
        let Some(found) = Self::happened(&cuts, probe) else {
            return self.ends_here("the state by itself shows no difference");
        };
        self.found = found;
        self.halves = cuts;
        self.state_or_stop(probe, depth + 1)
    }

    /// A cut that fails ends the search where it is.
    fn state_or_stop(&mut self, probe: &Probe<'_>, depth: usize) -> Result<()> {
        match self.state(probe, depth) {
            Ok(()) => Ok(()),
            Err(error) => self.ends_here(format!("a cut is refused: {error}")),
        }
    }

    /// Which part of the only state, then into it.
    fn state(&mut self, probe: &Probe<'_>, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return self.ends_here("the program nests too deep to be searched further");
        }
        let mut parts: Vec<Vec<Unit>> = Vec::new();
        let mut labels: Vec<Vec<String>> = Vec::new();
        for half in &self.halves {
            let Some((_, state)) = only_state(&half.program) else {
                return self.ends_here("no single state is left");
            };
            let own = units(state)?;
            labels.push(own.iter().map(|&unit| unit_label(&half.program, state, unit)).collect());
            parts.push(own);
        }
        if labels.windows(2).any(|pair| pair[0] != pair[1]) {
            let text = labels.iter().map(|list| list.join(", ")).collect::<Vec<_>>().join("; the other: ");
            return self
                .ends_here(format!("the state consists of other parts on the two sides; one: {text}"));
        }
        let prefix = |count: usize| -> Result<Vec<Half>> {
            let cut = |(half, parts): (&Half, &Vec<Unit>)| {
                Ok(half.with_program(keep_units(&half.program, &parts[..count])?))
            };
            self.halves.iter().zip(&parts).map(cut).collect()
        };
        let (mut agrees, mut differing) = (0, parts[0].len());
        while differing - agrees > 1 {
            let middle = agrees + (differing - agrees) / 2;
            if Self::happened(&prefix(middle)?, probe).is_some() {
                differing = middle
            } else {
                agrees = middle
            }
        }
        if differing == 0 {
            return self.ends_here("the state does nothing");
        }
        let at = agrees;
        let earlier = prefix(at)?;
        let mut cuts = Vec::new();
        for (half, before) in self.halves.iter().zip(&earlier) {
            let own = parts.get(cuts.len()).and_then(|parts| parts.get(at)).copied();
            let Some(own) = own else { return self.ends_here("a part is missing") };
            let (args, _) = if at == 0 { (copied(&half.args), End::Done) } else { before.run() };
            let program = keep_units(&half.program, &[own])?;
            cuts.push(half.cut(Cut { program, args }));
        }
        let place = labels[0][at].clone();
        let copied = place.strip_prefix("copy ").unwrap_or(&place);
        let (kind, name) = place.split_once(" `").unwrap_or(("copy", copied));
        self.places.push(Place {
            kind: known_kind(kind),
            name: name.trim_end_matches('`').to_owned(),
            detail: format!("part {} of {}", at + 1, parts[0].len()),
        });
        let Some(found) = Self::happened(&cuts, probe) else {
            return self.ends_here("this part by itself shows no difference");
        };
        self.found = found;
        self.halves = cuts;
        self.part(probe, depth + 1)
    }

    /// Into a map or a nested graph; anything else is the end.
    fn part(&mut self, probe: &Probe<'_>, depth: usize) -> Result<()> {
        let mut nodes = Vec::new();
        let mut is_map = false;
        for half in &self.halves {
            let Some((_, state)) = only_state(&half.program) else {
                return self.ends_here("no single state is left");
            };
            let Some(Unit::Code(node)) = units(state)?.last().copied() else { return Ok(()) };
            match &state.nodes[node].kind {
                NodeKind::MapEntry(_) => is_map = true,
                NodeKind::Nested(_) => is_map = false,
                _ => return Ok(()),
            }
            nodes.push(node);
        }
        if is_map { self.map(&nodes, probe, depth) } else { self.nested(&nodes, probe, depth) }
    }

    fn nested(&mut self, nodes: &[crate::ir::NodeId], probe: &Probe<'_>, depth: usize) -> Result<()> {
        let mut inner = Vec::with_capacity(self.halves.len());
        for (half, &node) in self.halves.iter().zip(nodes) {
            let cut = Cut { program: half.program.clone(), args: copied(&half.args) };
            match entered(&cut, node) {
                Ok(Some(cut)) => inner.push(half.cut(cut)),
                _ => return self.ends_here("the nested graph cannot run by itself"),
            }
        }
        match Self::happened(&inner, probe) {
            Some(found) => {
                self.found = found;
                self.halves = inner;
                match self.timeline(probe, depth + 1) {
                    Ok(()) => Ok(()),
                    Err(error) => self.ends_here(format!("the nested graph cannot be searched: {error}")),
                }
            }
            None => self.ends_here("the nested graph by itself shows no difference"),
        }
    }

    fn map(&mut self, nodes: &[crate::ir::NodeId], probe: &Probe<'_>, depth: usize) -> Result<()> {
        let mut dim = 0;
        loop {
            let ranges: Vec<_> = self
                .halves
                .iter()
                .zip(nodes)
                .map(|(half, &node)| map_ranges(&half.program, &half.args, node).get(dim).copied())
                .collect();
            let Some(first) = ranges[0] else { break };
            if ranges.iter().any(|range| *range != Some(first)) {
                return self.ends_here("the ranges of the map differ between the sides");
            }
            let Some((mut low, mut high, step)) = first else {
                return self.ends_here("a range of the map is not known");
            };
            while low + step <= high {
                let middle = low + (high - low) / step / 2 * step;
                let narrowed = |first: i64, last: i64| -> Vec<Half> {
                    let narrow = |(half, &node): (&Half, &crate::ir::NodeId)| {
                        half.with_program(restricted(&half.program, node, dim, first, last))
                    };
                    self.halves.iter().zip(nodes).map(narrow).collect()
                };
                let first_half = narrowed(low, middle);
                if let Some(found) = Self::happened(&first_half, probe) {
                    (self.halves, self.found, high) = (first_half, found, middle);
                    continue;
                }
                let second_half = narrowed(middle + step, high);
                if let Some(found) = Self::happened(&second_half, probe) {
                    (self.halves, self.found, low) = (second_half, found, middle + step);
                    continue;
                }
                return self
                    .ends_here("several iterations of the map have to run for the difference to show");
            }
            // One index is left, if the range was not empty.
            let single: Vec<Half> = self
                .halves
                .iter()
                .zip(nodes)
                .map(|(half, &node)| half.with_program(restricted(&half.program, node, dim, low, low)))
                .collect();
            if let Some(found) = Self::happened(&single, probe) {
                (self.halves, self.found) = (single, found);
            }
            dim += 1;
        }
        let mut bodies = Vec::with_capacity(self.halves.len());
        let mut point = String::new();
        for (half, &node) in self.halves.iter().zip(nodes) {
            if point.is_empty() {
                point = point_of(half, node);
            }
            let cut = Cut { program: half.program.clone(), args: copied(&half.args) };
            match peeled(&cut, node) {
                Ok(Some(cut)) => bodies.push(half.cut(cut)),
                Ok(None) => return self.ends_here("the body of the map cannot run by itself"),
                Err(error) => {
                    return self.ends_here(format!("the body of the map cannot run by itself: {error}"));
                }
            }
        }
        self.places.push(Place { kind: "iteration", name: point, detail: String::new() });
        match Self::happened(&bodies, probe) {
            Some(found) => {
                self.found = found;
                self.halves = bodies;
                self.state_or_stop(probe, depth + 1)
            }
            None => self.ends_here("the body of the map by itself shows no difference"),
        }
    }
}

/// `i = 3, j = 0`.
fn point_of(half: &Half, node: crate::ir::NodeId) -> String {
    let Some((_, state)) = only_state(&half.program) else { return String::new() };
    let Some(NodeKind::MapEntry(map)) = state.nodes.get(node).map(|node| &node.kind) else {
        return String::new();
    };
    let ranges = map_ranges(&half.program, &half.args, node);
    let parts = map.params.iter().zip(&ranges).map(|(&param, range)| {
        let value = range.map_or("?".to_owned(), |(start, ..)| start.to_string());
        format!("{} = {value}", half.program.names.get(param))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn known_kind(kind: &str) -> &'static str {
    ["tasklet", "map", "consume scope", "nested graph", "library node", "copy"]
        .into_iter()
        .find(|known| *known == kind)
        .unwrap_or("part")
}
