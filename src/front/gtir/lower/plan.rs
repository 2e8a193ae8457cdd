//! Which fields become arrays, and which are recomputed where they are read.
//!
//! # The cost model
//!
//! Work is counted in additions: [`weight`]. For each field, from its readers back to what it reads:
//!
//! - a scan becomes an array (its levels depend on each other), and so does a field whose points run scans;
//! - a field read only at the reader's own point, by readers that end in one map, is recomputed: equal
//!   computations in one map are one computation;
//! - otherwise the field is computed at `sites` places; recomputation costs `weight * (sites - 1)` more than an
//!   array, an array costs a store, loads and a loop: [`ARRAY_COST`] per site.
//!
//! A field whose index is data-dependent has no inferable domain and is recomputed (a scan is refused).

use hashbrown::{HashMap, HashSet};

use crate::entity::EntityId;
use crate::scalar::{BinaryOp, Func};

use super::Lowering;
use super::fields::{Owner, Source};
use super::point::{Node, PointId, Points, SourceId};
use super::value::{FieldId, Position};

/// What writing and reading an array element costs, in additions, for each place it saves.
const ARRAY_COST: u64 = 12;
/// Weights saturate here, so that sums of sums stay in range.
const WEIGHT_LIMIT: u64 = 1 << 40;

/// The decision for the fields behind one statement.
pub(super) struct Plan {
    /// Fields that become arrays, each after those it reads.
    pub arrays: Vec<FieldId>,
    /// What each source of an array computes, recomputed fields expanded.
    pub leaves: HashMap<SourceId, PointId>,
    /// The statement's values, recomputed fields expanded.
    pub roots: Vec<PointId>,
}

/// What is left of an expansion, innermost last.
enum Step {
    Visit(PointId),
    Rebuild(PointId),
    Replace(PointId, PointId),
}

/// A use of a field.
#[derive(PartialEq, Eq, Hash, Clone)]
struct Use {
    /// `None`: the statement itself.
    reader: Option<FieldId>,
    at: Box<[PointId]>,
    centered: bool,
    dynamic: bool,
}

impl Lowering<'_> {
    /// Decides for all fields that `roots` reach. `one_map` says that all roots are written over one box.
    pub(super) fn plan(&mut self, roots: &[PointId], one_map: bool) -> Plan {
        let (fields, uses) = self.uses(roots);
        let weights = self.weights(&fields);
        let recomputed = self.decide(&fields, &uses, &weights, one_map);
        let mut known: HashMap<PointId, PointId> = HashMap::new();
        let mut leaves: HashMap<SourceId, PointId> = HashMap::new();
        for &field in fields.iter().filter(|field| !recomputed.contains(*field)) {
            for leaf in self.fields[field].leaves.clone() {
                let expanded = self.expand(leaf.point, &recomputed, &mut known);
                leaves.insert(leaf.source, expanded);
            }
            self.rewrite_init(field, |lowering, point| lowering.expand(point, &recomputed, &mut known));
        }
        let roots: Vec<PointId> =
            roots.iter().map(|&root| self.expand(root, &recomputed, &mut known)).collect();
        let mut arrays = fields;
        arrays.retain(|field| !recomputed.contains(field));
        let mut plan = Plan { arrays, leaves, roots };
        self.drop_unread(&mut plan);
        plan
    }

    /// Replaces what a scan starts with, if the field is one.
    fn rewrite_init(&mut self, field: FieldId, mut new: impl FnMut(&mut Self, PointId) -> PointId) {
        let Some(scan) = &self.fields[field].scan else { return };
        let init = scan.init.clone().into_iter().map(|point| new(self, point)).collect();
        if let Some(scan) = &mut self.fields[field].scan {
            scan.init = init;
        }
    }

    /// Leaves out what only counts for where arrays are computed, once that is known.
    pub(super) fn drop_company(&mut self, plan: &mut Plan) {
        if !self.points.have_company() {
            return;
        }
        let mut known: HashMap<PointId, PointId> = HashMap::new();
        for &field in &plan.arrays {
            for leaf in self.fields[field].leaves.clone() {
                if let Some(point) = plan.leaves.get_mut(&leaf.source) {
                    *point = self.without_company(*point, &mut known);
                }
            }
            self.rewrite_init(field, |lowering, point| lowering.without_company(point, &mut known));
        }
        for point in &mut plan.roots {
            *point = self.without_company(*point, &mut known);
        }
        self.drop_unread(plan);
    }

    fn without_company(&mut self, root: PointId, known: &mut HashMap<PointId, PointId>) -> PointId {
        let mut steps = vec![(root, false)];
        while let Some((id, ready)) = steps.pop() {
            if known.contains_key(&id) {
                continue;
            }
            let alone = self.points.alone(id);
            if ready {
                let rebuilt = self.rebuild(alone, &|operand| known.get(&operand).copied().unwrap_or(operand));
                known.insert(id, rebuilt);
            } else {
                steps.push((id, true));
                self.points.operands(alone, |operand| steps.push((operand, false)));
            }
        }
        known.get(&root).copied().unwrap_or(root)
    }

    /// Fields reached, each after those it reads, with their uses.
    fn uses(&self, roots: &[PointId]) -> (Vec<FieldId>, HashMap<FieldId, Vec<Use>>) {
        let mut uses: HashMap<FieldId, Vec<Use>> = HashMap::new();
        let mut reached: HashSet<FieldId> = HashSet::new();
        let mut work: Vec<(Option<FieldId>, Vec<PointId>)> = vec![(None, roots.to_vec())];
        while let Some((reader, points)) = work.pop() {
            let mut seen: HashSet<(FieldId, Box<[PointId]>)> = HashSet::new();
            for id in self.points.reachable(&points) {
                let Node::Load { source, at, .. } = self.points.node(id) else { continue };
                let Source { owner: Owner::Field(field, _), dims, .. } = &self.sources[*source] else {
                    continue;
                };
                if seen.insert((*field, at.clone())) {
                    let centered = (dims.iter().zip(at.iter()))
                        .all(|(&dim, &at)| self.points.node(at) == &Node::Coordinate(dim));
                    let dynamic = at.iter().any(|&at| !self.is_static_index(at));
                    uses.entry(*field).or_default().push(Use { reader, at: at.clone(), centered, dynamic });
                }
                if reached.insert(*field) {
                    work.push((Some(*field), self.points_of(*field)));
                }
            }
        }
        let mut fields: Vec<FieldId> = reached.into_iter().collect();
        fields.sort_unstable();
        (fields, uses)
    }

    /// Everything a field computes: its leaves and, for scans, the initial state.
    pub(super) fn points_of(&self, field: FieldId) -> Vec<PointId> {
        let info = &self.fields[field];
        let mut points: Vec<PointId> = info.leaves.iter().map(|leaf| leaf.point).collect();
        if let Some(scan) = &info.scan {
            points.extend(&scan.init);
        }
        points
    }

    /// Whether an index is a coordinate, a table entry or a constant, possibly with an offset.
    fn is_static_index(&self, at: PointId) -> bool {
        match self.points.node(at) {
            Node::Coordinate(_) | Node::Level(_) | Node::Const(..) | Node::Symbol(..) => true,
            Node::Neighbor(_, row, _) => self.is_static_index(*row),
            Node::Cast(_, inner) => self.is_static_index(*inner),
            Node::Binary(BinaryOp::Add | BinaryOp::Sub | BinaryOp::Max, a, b) => {
                self.is_static_index(*a) && self.is_static_index(*b)
            }
            _ => false,
        }
    }

    /// Work per point of each field if all it reads were arrays, plus a share of what it reads.
    fn weights(&self, fields: &[FieldId]) -> HashMap<FieldId, u64> {
        let mut weights: HashMap<FieldId, u64> = HashMap::new();
        for &field in fields {
            let mut total: u64 = 0;
            for id in self.points.reachable(&self.points_of(field)) {
                total += weight(&self.points, id);
                if let Node::Load { source, .. } = self.points.node(id)
                    && let Owner::Field(read, _) = self.sources[*source].owner
                {
                    total += weights.get(&read).copied().unwrap_or(0).min(ARRAY_COST);
                }
            }
            weights.insert(field, total.min(WEIGHT_LIMIT));
        }
        weights
    }

    fn decide(
        &self,
        fields: &[FieldId],
        uses: &HashMap<FieldId, Vec<Use>>,
        weights: &HashMap<FieldId, u64>,
        one_map: bool,
    ) -> HashSet<FieldId> {
        let mut recomputed = HashSet::new();
        let mut in_roots_map: HashSet<FieldId> = HashSet::new();
        let mut sites: HashMap<FieldId, u64> = HashMap::new();
        for &field in fields.iter().rev() {
            let uses = uses.get(&field).map_or(&[][..], |uses| uses);
            if self.fields[field].scan.is_some() || self.fields[field].replays {
                continue;
            }
            let in_one_map = one_map
                && uses
                    .iter()
                    .all(|at| at.centered && at.reader.is_none_or(|reader| in_roots_map.contains(&reader)));
            let count: u64 = uses
                .iter()
                .map(|at| at.reader.and_then(|reader| sites.get(&reader)).copied().unwrap_or(1))
                .fold(0, |sum: u64, next| sum.saturating_add(next));
            let weight = weights.get(&field).copied().unwrap_or(0);
            let extra = weight.saturating_mul(count.saturating_sub(1));
            let cheap = extra <= ARRAY_COST.saturating_mul(count.min(4));
            if in_one_map || count <= 1 || cheap || uses.iter().any(|at| at.dynamic) {
                recomputed.insert(field);
                sites.insert(field, count.max(1));
                if in_one_map {
                    in_roots_map.insert(field);
                    sites.insert(field, 1);
                }
            }
        }
        recomputed
    }

    /// The point with every load of a recomputed field replaced by what that field computes there.
    ///
    /// A field's own expression, which mentions the fields it reads, is moved to the place of the load and then
    /// expanded in turn: each field is met once per place, however long the chain behind it is.
    fn expand(
        &mut self,
        root: PointId,
        recomputed: &HashSet<FieldId>,
        known: &mut HashMap<PointId, PointId>,
    ) -> PointId {
        let mut steps = vec![Step::Visit(root)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Visit(id) if known.contains_key(&id) => {}
                Step::Visit(id) => {
                    steps.push(Step::Rebuild(id));
                    self.points.operands(id, |operand| steps.push(Step::Visit(operand)));
                }
                Step::Rebuild(id) => {
                    let rebuilt =
                        self.rebuild(id, &|operand| known.get(&operand).copied().unwrap_or(operand));
                    match self.recomputation(rebuilt, recomputed) {
                        Some(computed) => {
                            steps.push(Step::Replace(id, computed));
                            steps.push(Step::Visit(computed));
                        }
                        None => drop(known.insert(id, rebuilt)),
                    }
                }
                Step::Replace(id, computed) => {
                    let expanded = known.get(&computed).copied().unwrap_or(computed);
                    known.insert(id, expanded);
                }
            }
        }
        known.get(&root).copied().unwrap_or(root)
    }

    /// What a recomputed field computes where a load reads it, if the node is such a load.
    fn recomputation(&mut self, id: PointId, recomputed: &HashSet<FieldId>) -> Option<PointId> {
        let Node::Load { source, at, .. } = self.points.node(id).clone() else { return None };
        let Source { owner: Owner::Field(field, number), dims, .. } = self.sources[source].clone() else {
            return None;
        };
        let leaf = self.fields[field].leaves.get(number).filter(|_| recomputed.contains(&field))?.point;
        let mut position = Position::default();
        for (&dim, &at) in dims.iter().zip(at.iter()) {
            if self.points.node(at) != &Node::Coordinate(dim) {
                position = position.with(dim, at);
            }
        }
        Some(self.moved_point(leaf, &position))
    }

    /// Drops arrays that nobody reads.
    fn drop_unread(&self, plan: &mut Plan) {
        let mut needed = vec![false; self.fields.len()];
        self.mark_read(&plan.roots, &mut needed);
        for &field in plan.arrays.iter().rev() {
            if needed[field.index()] {
                let mut points: Vec<PointId> = self.fields[field]
                    .leaves
                    .iter()
                    .filter_map(|leaf| plan.leaves.get(&leaf.source).copied())
                    .collect();
                if let Some(scan) = &self.fields[field].scan {
                    points.extend(&scan.init);
                }
                self.mark_read(&points, &mut needed);
            }
        }
        plan.arrays.retain(|field| needed[field.index()]);
    }

    fn mark_read(&self, points: &[PointId], needed: &mut [bool]) {
        for id in self.points.reachable(points) {
            if let Node::Load { source, .. } = self.points.node(id)
                && let Owner::Field(field, _) = self.sources[*source].owner
            {
                needed[field.index()] = true;
            }
        }
    }
}

/// Work of one node in additions, its operands not counted.
pub(super) fn weight(points: &Points, id: PointId) -> u64 {
    match points.node(id) {
        Node::Const(..)
        | Node::Symbol(..)
        | Node::Coordinate(_)
        | Node::Level(_)
        | Node::Carry(..)
        | Node::Component(..)
        | Node::Beside(..)
        | Node::Undefined(_) => 0,
        Node::Load { .. } => 1,
        Node::Neighbor(..) => 2,
        Node::Binary(BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem | BinaryOp::Mod, ..) => 8,
        Node::Call(Func::Abs | Func::Floor | Func::Ceil | Func::Trunc | Func::IsNan | Func::IsInf, _) => 1,
        Node::Call(Func::Sqrt, _) => 8,
        Node::Call(Func::PowI, _) => 4,
        Node::Call(..) => 24,
        // A loop over levels.
        Node::Replay(_) => 64,
        Node::Unary(..) | Node::Binary(..) | Node::Cast(..) | Node::Choose(..) => 1,
    }
}
