//! The minimum input-flow cut: which parts of a state to take along, so that a cutout reads as little as possible.
//!
//! A part that is looked at reads containers. Often what it reads was just computed from less: then it is better to take
//! the computation along and to feed that with fewer numbers, because fewer numbers are tried out more thoroughly (Schaad
//! et al., *FuzzyFlow*, 2023). Data flows through access nodes, whose capacity is the size of the container; the
//! minimum cut between what the state is given and the part says where to cut.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};

use crate::analysis::ScopeTree;
use crate::check::locate::{Unit, units, value_of};
use crate::diag::Result;
use crate::ir::{EdgeId, NodeId, NodeKind, Program, State};
use crate::memory::Arguments;

/// What nobody cuts.
const ENDLESS: u64 = u64::MAX / 4;

/// Paths that are followed at most; beyond that the part stays alone.
const MOST_PATHS: usize = 4_000;

/// The wanted parts of a state with those that make their input smaller.
///
/// # Errors
/// The state is malformed.
pub(in crate::check) fn input_cut(
    program: &Program,
    args: &Arguments<'_>,
    state: &State,
    wanted: &[Unit],
) -> Result<Vec<Unit>> {
    let all = units(state)?;
    let tree = ScopeTree::of(state)?;
    let mut network = Network::default();
    let (source, sink) = (network.place(), network.place());
    // Where data enters a node and where it leaves; the same for code.
    let mut places: HashMap<NodeId, (usize, usize)> = HashMap::new();
    let mut of_unit: Vec<(Unit, usize)> = Vec::new();
    let mut bottlenecks: Vec<(NodeId, usize, usize)> = Vec::new();
    for &unit in &all {
        let place = network.place();
        of_unit.push((unit, place));
        if let Unit::Code(id) = unit {
            places.insert(id, (place, place));
            if let Some(exit) = tree.exit(id) {
                places.insert(exit, (place, place));
            }
        }
    }
    for &id in tree.children(None) {
        if let NodeKind::Access { data, .. } = state.nodes[id].kind {
            let (inward, outward) = (network.place(), network.place());
            let size = program
                .root_graph()
                .and_then(|graph| graph.data.get(&data))
                .map_or(1, |data| elements(program, args, data.shape()));
            network.join(inward, outward, size);
            places.insert(id, (inward, outward));
            bottlenecks.push((id, inward, outward));
        }
    }
    let copies: HashMap<EdgeId, usize> = of_unit
        .iter()
        .filter_map(|&(unit, place)| match unit {
            Unit::Copy(edge) => Some((edge, place)),
            Unit::Code(_) => None,
        })
        .collect();
    let mut fed: HashSet<NodeId> = HashSet::new();
    for (id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed && !edge.memlet.is_empty()) {
        let (Some(&(_, from)), Some(&(to, _))) = (places.get(&edge.src), places.get(&edge.dst)) else {
            continue;
        };
        if from == to {
            continue;
        }
        fed.insert(edge.dst);
        match copies.get(&id) {
            Some(&copy) => {
                network.join(from, copy, ENDLESS);
                network.join(copy, to, ENDLESS);
            }
            None => network.join(from, to, ENDLESS),
        }
    }
    for &(id, inward, _) in &bottlenecks {
        if !fed.contains(&id) {
            network.join(source, inward, ENDLESS);
        }
    }
    for &(unit, place) in &of_unit {
        if wanted.contains(&unit) {
            network.join(place, sink, ENDLESS);
        }
    }
    if !network.saturate(source, sink) {
        return Ok(wanted.to_vec());
    }
    // On the far side of the cut, and of use to the part.
    let near = network.reached(source);
    let useful = network.leading_to(sink, &near);
    let kept = of_unit.iter().filter(|(unit, place)| wanted.contains(unit) || useful.contains(place));
    Ok(kept.map(|&(unit, _)| unit).collect())
}

/// How many numbers a container holds; one if that is not known.
fn elements(program: &Program, args: &Arguments<'_>, shape: &[crate::symbolic::ExprId]) -> u64 {
    let extents = shape.iter().map(|&extent| value_of(program, args, extent));
    extents.fold(1, |product: u64, extent| {
        product.saturating_mul(extent.and_then(|extent| u64::try_from(extent).ok()).unwrap_or(1).max(1))
    })
}

/// Places joined by channels of a capacity.
#[derive(Default)]
struct Network {
    channels: Vec<Channel>,
    /// Channels out of each place, the reverse ones included.
    out: Vec<Vec<usize>>,
}

/// A channel; the one at the next odd or even number is its reverse.
struct Channel {
    to: usize,
    left: u64,
}

impl Network {
    fn place(&mut self) -> usize {
        self.out.push(Vec::new());
        self.out.len() - 1
    }

    fn join(&mut self, from: usize, to: usize, capacity: u64) {
        for (from, to, left) in [(from, to, capacity), (to, from, 0)] {
            self.out[from].push(self.channels.len());
            self.channels.push(Channel { to, left });
        }
    }

    /// Lets as much flow as there is room for, along shortest paths; false if that takes too long.
    fn saturate(&mut self, source: usize, sink: usize) -> bool {
        for _ in 0..MOST_PATHS {
            let Some(path) = self.path(source, sink) else { return true };
            let room = path.iter().map(|&channel| self.channels[channel].left).min().unwrap_or(0);
            for channel in path {
                self.channels[channel].left -= room;
                self.channels[channel ^ 1].left = self.channels[channel ^ 1].left.saturating_add(room);
            }
        }
        false
    }

    fn path(&self, source: usize, sink: usize) -> Option<Vec<usize>> {
        let mut reached_by: Vec<Option<usize>> = vec![None; self.out.len()];
        let mut open = VecDeque::from([source]);
        while let Some(at) = open.pop_front() {
            for &channel in &self.out[at] {
                let to = self.channels[channel].to;
                if self.channels[channel].left == 0 || reached_by[to].is_some() || to == source {
                    continue;
                }
                reached_by[to] = Some(channel);
                if to == sink {
                    let mut path = vec![channel];
                    let mut at = self.channels[channel ^ 1].to;
                    while let Some(channel) = reached_by[at] {
                        path.push(channel);
                        at = self.channels[channel ^ 1].to;
                    }
                    return Some(path);
                }
                open.push_back(to);
            }
        }
        None
    }

    /// Places that something can still flow to.
    fn reached(&self, source: usize) -> HashSet<usize> {
        let mut seen = HashSet::from([source]);
        let mut open = vec![source];
        while let Some(at) = open.pop() {
            for &channel in &self.out[at] {
                let Channel { to, left } = self.channels[channel];
                if left > 0 && seen.insert(to) {
                    open.push(to);
                }
            }
        }
        seen
    }

    /// Places outside of `near` from which a channel leads to `sink` through such places.
    fn leading_to(&self, sink: usize, near: &HashSet<usize>) -> HashSet<usize> {
        let mut seen = HashSet::from([sink]);
        let mut open = vec![sink];
        while let Some(at) = open.pop() {
            // Odd channels are reverse ones: they lead back along a channel.
            for &channel in self.out[at].iter().filter(|&&channel| channel % 2 == 1) {
                let from = self.channels[channel].to;
                if !near.contains(&from) && seen.insert(from) {
                    open.push(from);
                }
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::locate::only_state;
    use crate::exec::Format;
    use crate::exec::load::finish;
    use crate::front::pel;
    use crate::scalar::Scalar;

    /// Labels of the units that come along with the last one.
    fn along(text: &str) -> Vec<String> {
        let loaded = finish(pel::parse(text).unwrap(), Format::Pel, Vec::new());
        assert_eq!(loaded.errors().next(), None);
        let mut args = Arguments::new();
        args.insert_scalar("N", Scalar::I64(100));
        let (_, state) = only_state(&loaded.program).unwrap();
        let all = units(state).unwrap();
        let kept = input_cut(&loaded.program, &args, state, &all[all.len() - 1..]).unwrap();
        kept.iter()
            .map(|unit| match unit {
                Unit::Code(id) => {
                    let outputs = state.adjacency().outgoing(tree_exit(state, *id)).to_vec();
                    let written =
                        outputs.iter().map(|&edge| state.nodes[state.edges[edge].dst].label.clone());
                    written.collect::<Vec<_>>().join(",")
                }
                Unit::Copy(_) => "copy".to_owned(),
            })
            .collect()
    }

    fn tree_exit(state: &State, id: NodeId) -> NodeId {
        ScopeTree::of(state).unwrap().exit(id).unwrap_or(id)
    }

    #[test]
    fn what_was_made_of_less_comes_along() {
        // `t` has N elements and is made of one number; `u` is as large as what it is made of.
        let text = "\
program p(s: f64[1], a: f64[N], b: f64[N], N: i64 symbol) {
transient t: f64[N]
transient u: f64[N]
state main {
map i in 0:N { u[i] = a[i] * 2 }
map i in 0:N { t[i] = s[0] * i }
map i in 0:N { b[i] = t[i] + u[i] }
}
}";
        let kept = along(text);
        assert!(kept.contains(&"t".to_owned()) && kept.contains(&"b".to_owned()), "{kept:?}");
    }

    #[test]
    fn what_was_made_of_more_stays_behind() {
        let text = "\
program p(a: f64[N, N], b: f64[N], N: i64 symbol) {
transient t: f64[N]
state main {
map i in 0:N { t[i] = a[i, 0] + a[i, N - 1] }
map i in 0:N { b[i] = t[i] + 1 }
}
}";
        assert_eq!(along(text), ["b"]);
    }
}
