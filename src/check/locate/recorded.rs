//! Locating against arrays that somebody recorded: there is one half, and moments at which it is known what memory should hold.
//!
//! The half runs up to each moment. The first recorded array from which it differs tells an element that is wrong and a state by
//! which it is; who gave the element its value is then searched as [`history`](super::history) does it.
//!
//! Transients are arguments of the half's timeline. What a run leaves in them that depends on what they held before is undefined, and
//! no element of that kind counts: a second run with other memory tells.

use std::fmt;

use crate::check::compare::{Tolerance, is_close};
use crate::check::recorded::Recorded;
use crate::check::side::{End, copied, same_bits};
use crate::diag::{Diagnostic, Result};
use crate::memory::{Arguments, Binding};
use crate::scalar::Scalar;

use super::history::{content, search_writer};
use super::timeline::{TAKEN, TURNED, Timeline, first_of, stop_after, stop_after_turns};
use super::{Found, Half, Located, Search};

/// The first recorded array from which a half differs.
struct First<'r> {
    /// How many states have run.
    step: i64,
    recorded: &'r Recorded,
    found: Found,
    /// What agrees, and when.
    agreeing: Vec<(i64, &'r Recorded)>,
}

/// Finds where a half first differs from what was recorded, and what wrote the element that differs. `source` is what the
/// recording is called in the report; its arrays are the left side.
///
/// # Errors
/// `P0435` if there is no difference, `P0436` if a recorded array does not fit the program, or what the half refuses.
pub fn locate_recorded(
    half: Half,
    recording: &[Recorded],
    source: &str,
    tolerance: Option<Tolerance>,
) -> Result<Located> {
    let timeline = Timeline::of(&half.program)?;
    let base = timeline.arguments(&half.args);
    let Some(first) = first_difference(&half, &timeline, &base, recording, tolerance)? else {
        return Err(Diagnostic::error("P0435", "the program gives what was recorded"));
    };
    let evidence = first.to_string();
    let First { step, recorded, found, .. } = first;
    let given = content(&base, &recorded.container).and_then(|view| view.get(&found.index));
    let written = match (given, found.right) {
        (_, None) => None,
        (Some(given), Some(value)) if same_bits(value, given) => None,
        (_, Some(value)) => search_writer(&half, &recorded.container, &found.index, value, step),
    };
    let mut search = written.unwrap_or_else(|| {
        let mut search = Search::new(vec![half.with_program(half.program.clone())], found.clone());
        search.exact = false;
        search.note = Some("nobody wrote this element before: it is what it held at first".to_owned());
        search
    });
    search.found = found;
    let mut located = search.report(&half, vec![source.to_owned(), half.side.name.clone()]);
    located.recorded = Some(evidence);
    Ok(located)
}

fn first_difference<'r>(
    half: &Half,
    timeline: &Timeline,
    base: &Arguments<'static>,
    recording: &'r [Recorded],
    tolerance: Option<Tolerance>,
) -> Result<Option<First<'r>>> {
    let mut ready = half.with_program(timeline.program.clone()).ready().map_err(refused)?;
    let other = refilled(base, &half.args);
    let mut first: Option<(i64, &Recorded, Found)> = None;
    let mut agreeing = Vec::new();
    for recorded in recording {
        let moment = match &recorded.moment {
            Some((state, turn)) => Some((numbered(timeline, recorded, state)?, *turn)),
            None => None,
        };
        // What comes later than a difference does not matter.
        let known = first.as_ref().map(|&(step, ..)| step);
        let mut run_from = |base: &Arguments<'static>| {
            let mut args = copied(base);
            if let Some((state, turn)) = moment {
                stop_after_turns(&mut args, state, turn);
            }
            if let Some(step) = known {
                stop_after(&mut args, step);
            }
            let end = ready.run(&mut args);
            (args, end)
        };
        let (args, end) = run_from(base);
        if end != End::Done {
            return Err(refused(end));
        }
        let count = |name| first_of(&args, name).map_or(0, Scalar::as_i64);
        let (step, turned) = (count(TAKEN), count(TURNED));
        let is_there = moment.map_or(known.is_none(), |(_, turn)| turned >= turn);
        if !is_there {
            match (known, &recorded.moment) {
                (None, Some((state, _))) => {
                    let problem =
                        format!("`{}` was recorded, but `{state}` runs {turned} times", recorded.name);
                    return Err(unfit(problem));
                }
                _ => continue,
            }
        }
        let mut found = difference(&args, recorded, tolerance, None)?;
        if found.is_some() {
            let (other, end) = run_from(&other);
            found = difference(&args, recorded, tolerance, Some(&other).filter(|_| end == End::Done))?;
        }
        match found {
            Some(found) if known.is_none_or(|known| step < known) => first = Some((step, recorded, found)),
            Some(_) => {}
            None => agreeing.push((step, recorded)),
        }
    }
    let Some((step, recorded, found)) = first else { return Ok(None) };
    agreeing.retain(|&(before, _)| before < step);
    Ok(Some(First { step, recorded, found, agreeing }))
}

impl fmt::Display for First<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let First { step, recorded, agreeing, .. } = self;
        write!(f, "`{}` is the first recorded array that differs (step {step}); ", recorded.name)?;
        match agreeing.iter().max_by_key(|(step, _)| *step) {
            None => f.write_str("none before it was compared"),
            Some((step, last)) => {
                write!(
                    f,
                    "{} before it agree, the last of them `{}` (step {step})",
                    agreeing.len(),
                    last.name
                )
            }
        }
    }
}

/// The number of the state of that label.
fn numbered(timeline: &Timeline, recorded: &Recorded, state: &str) -> Result<usize> {
    let mut found = timeline.states.iter().enumerate().filter(|&(_, &block)| timeline.label(block) == state);
    match (found.next(), found.next()) {
        (Some((number, _)), None) => Ok(number),
        (None, _) => {
            let labels: Vec<String> =
                timeline.states.iter().take(8).map(|&block| timeline.label(block)).collect();
            let problem = format!("`{}` was recorded, but no state is called `{state}`", recorded.name);
            Err(unfit(problem).with_note(format!("there are {}", labels.join(", "))))
        }
        _ => Err(unfit(format!("`{}` was recorded, but several states are called `{state}`", recorded.name))),
    }
}

/// The arguments with other memory for whatever was not given.
fn refilled(base: &Arguments<'static>, given: &Arguments<'_>) -> Arguments<'static> {
    let mut other = copied(base);
    for (name, binding) in &base.bindings {
        if let (Binding::Array { buffer, .. }, None) = (binding, given.get(name))
            && let Some(buffer) = other.buffers.get_mut(*buffer)
        {
            buffer.bytes_mut().fill(0x55);
        }
    }
    other
}

/// The first element of a container that differs from what was recorded, among those that are the same in the `other` run.
fn difference(
    args: &Arguments<'_>,
    recorded: &Recorded,
    tolerance: Option<Tolerance>,
    other: Option<&Arguments<'_>>,
) -> Result<Option<Found>> {
    let (name, container) = (&recorded.name, &recorded.container);
    let Some(whole) = content(args, container) else {
        return Err(unfit(format!("`{name}` was recorded, but the program has no array `{container}`")));
    };
    let shape = whole.shape().to_vec();
    let (ours, theirs) = (recorded.part_of(whole), recorded.view());
    if ours.len() != theirs.len() || (ours.shape() != theirs.shape() && ours.len() != 1) {
        let problem =
            format!("`{name}` has shape {:?}, in the program it is {:?}", theirs.shape(), ours.shape());
        return Err(unfit(problem));
    }
    if ours.dtype() != theirs.dtype() {
        let problem = format!("`{name}` holds {}, in the program {}", theirs.dtype(), ours.dtype());
        return Err(unfit(problem));
    }
    let pairs = theirs.scalars().zip(ours.scalars()).enumerate();
    for (position, (left, right)) in pairs {
        let (Some(left), Some(right)) = (left, right) else { continue };
        let is_defined = |index: &[usize]| {
            let other = other.and_then(|other| content(other, container)?.get(index));
            other.is_none_or(|other| same_bits(other, right))
        };
        if !is_close(right, left, tolerance) {
            let index = recorded.index_in(&shape, ours.index_of(position));
            if !is_defined(&index) {
                continue;
            }
            let (left, right) = (Some(left), Some(right));
            return Ok(Some(Found { container: container.clone(), index, left, right, ends: None }));
        }
    }
    Ok(None)
}

fn unfit(problem: String) -> Diagnostic {
    Diagnostic::error("P0436", problem)
}

fn refused(end: End) -> Diagnostic {
    match end {
        End::Refused(diagnostic) => diagnostic,
        End::Fault(fault) => fault.into(),
        other => Diagnostic::error("P0434", format!("the program cannot be followed: {other}")),
    }
}
