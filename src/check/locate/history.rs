//! The values behind a difference: what the last tasklet read, and who wrote it.
//!
//! Who wrote an element is found with the same search that finds a difference, on one half alone: the thing that happens is that
//! the element takes the value it had when it was read.

use crate::check::compare::show;
use crate::check::side::{End, same_bits};
use crate::ir::{NodeKind, State};
use crate::memory::{Arguments, View};
use crate::scalar::Scalar;

use super::cut::value_of;
use super::timeline::recorded_scalar;
use super::{Found, Half, Located, Origin, Search, only_state, view};

/// How far back values are followed.
const MAX_DISTANCE: usize = 4;
/// How many elements are followed at all.
const MAX_ORIGINS: usize = 12;
/// How many elements of one read are listed.
const MAX_VALUES: usize = 8;

/// Elements that the innermost part reads, with their values.
pub(super) fn values_read(located: &Located) -> Vec<(String, Vec<usize>, String)> {
    let Some(half) = located.halves.first().filter(|_| located.exact) else { return Vec::new() };
    reads_of(half).into_iter().map(|(name, index, value)| (name, index, show(value))).collect()
}

fn reads_of(half: &Half) -> Vec<(String, Vec<usize>, Scalar)> {
    let mut reads = Vec::new();
    let Some((_, state)) = only_state(&half.program) else { return reads };
    for (name, start, count) in read_boxes(half, state) {
        let Some(view) = half.args.get(&name).and_then(|binding| view(&half.args, binding)) else { continue };
        let mut index = start.clone();
        for _ in 0..MAX_VALUES {
            if let Some(value) = view.get(&index) {
                reads.push((name.clone(), index.clone(), value));
            }
            // The next element of the box, last dimension fastest.
            let mut dim = index.len();
            loop {
                if dim == 0 {
                    break;
                }
                dim -= 1;
                index[dim] += 1;
                if index[dim] < start[dim] + count[dim] {
                    break;
                }
                index[dim] = start[dim];
                if dim == 0 {
                    dim = usize::MAX;
                    break;
                }
            }
            if dim == usize::MAX || index == start {
                break;
            }
        }
    }
    reads
}

/// Containers with the box of elements that edges out of access nodes read.
fn read_boxes(half: &Half, state: &State) -> Vec<(String, Vec<usize>, Vec<usize>)> {
    let mut boxes = Vec::new();
    for edge in state.edges.values().filter(|edge| !edge.removed) {
        let from_access =
            matches!(state.nodes.get(edge.src).map(|node| &node.kind), Some(NodeKind::Access { .. }));
        let (Some(data), Some(subset), true) = (edge.memlet.data, &edge.memlet.subset, from_access) else {
            continue;
        };
        let mut start = Vec::new();
        let mut count = Vec::new();
        for range in &subset.ranges {
            let ends = (
                value_of(&half.program, &half.args, range.start),
                value_of(&half.program, &half.args, range.end),
            );
            let (Some(first), Some(last)) = ends else { break };
            start.push(usize::try_from(first).unwrap_or(0));
            count.push(usize::try_from(last - first + 1).unwrap_or(1));
        }
        if start.len() == subset.ranges.len() {
            boxes.push((half.program.names.get(data).to_owned(), start, count));
        }
    }
    boxes
}

/// Follows the values that were read back to the inputs.
pub(super) fn trace(whole: &Half, located: &Located) -> Vec<Origin> {
    let mut origins = Vec::new();
    let Some(last) = located.halves.first().filter(|_| located.exact) else { return origins };
    // Inside nested graphs containers have other names; there the trail ends.
    if located.places.iter().any(|place| place.kind == "nested graph") {
        return origins;
    }
    let step = located.step.unwrap_or(i64::MAX);
    let mut open: Vec<(String, Vec<usize>, Scalar, usize, i64)> =
        reads_of(last).into_iter().map(|(name, index, value)| (name, index, value, 1, step)).collect();
    let mut seen: Vec<(String, Vec<usize>)> = Vec::new();
    while !open.is_empty() && origins.len() < MAX_ORIGINS {
        let (name, index, value, distance, step) = open.remove(0);
        if seen.contains(&(name.clone(), index.clone())) {
            continue;
        }
        seen.push((name.clone(), index.clone()));
        let what = format!("{name}{index:?} = {}", show(value));
        let given = whole.args.get(&name).and_then(|binding| view(&whole.args, binding)?.get(&index));
        if given.is_some_and(|given| same_bits(given, value)) {
            origins.push(Origin { what, written_at: None, distance });
            continue;
        }
        // Before the state that reads it, or in it.
        let found = writer(whole, &name, &index, value, step - 1);
        let found = found.or_else(|| writer(whole, &name, &index, value, step));
        let Some((written_at, reads, step)) = found else {
            origins.push(Origin {
                what,
                written_at: Some("nobody: it is what the element held at first".to_owned()),
                distance,
            });
            continue;
        };
        origins.push(Origin { what, written_at: Some(written_at), distance });
        if distance < MAX_DISTANCE {
            open.extend(
                reads.into_iter().map(|(name, index, value)| (name, index, value, distance + 1, step)),
            );
        }
    }
    origins
}

/// Where an element takes a value, and what is read there.
#[expect(clippy::type_complexity, reason = "a place and the reads there; used once")]
fn writer(
    whole: &Half,
    name: &str,
    index: &[usize],
    value: Scalar,
    until: i64,
) -> Option<(String, Vec<(String, Vec<usize>, Scalar)>, i64)> {
    let search = search_writer(whole, name, index, value, until)?;
    let text = search.places.iter().map(|place| format!("{} {}", place.kind, place.name)).collect::<Vec<_>>();
    let reads = if search.exact { reads_of(&search.halves[0]) } else { Vec::new() };
    Some((text.join(" / "), reads, search.step.unwrap_or(until)))
}

/// The search for what gives an element its value, among the first `until` states.
pub(super) fn search_writer(
    whole: &Half,
    name: &str,
    index: &[usize],
    value: Scalar,
    until: i64,
) -> Option<Search> {
    let probe = |runs: &[(Arguments<'static>, End)]| {
        let (args, _) = runs.first()?;
        let now = content(args, name)?.get(index)?;
        same_bits(now, value).then(|| Found {
            container: name.to_owned(),
            index: index.to_vec(),
            left: Some(now),
            right: None,
            ends: None,
        })
    };
    let half = whole.with_program(whole.program.clone());
    let found =
        Found { container: name.to_owned(), index: index.to_vec(), left: None, right: None, ends: None };
    let mut search = Search { until: Some(until), ..Search::new(vec![half], found) };
    search.timeline(&probe, 0).ok()?;
    (!search.places.is_empty()).then_some(search)
}

/// What a container holds: an array among the arguments, or a scalar that a timeline recorded.
pub(super) fn content<'a>(args: &'a Arguments<'_>, name: &str) -> Option<View<'a>> {
    let binding = args.get(name).or_else(|| args.get(&recorded_scalar(name)))?;
    view(args, binding)
}
