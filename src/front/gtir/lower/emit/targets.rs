//! Where assignments go: straight to a parameter, or to an array first.

use hashbrown::HashMap;

use crate::scalar::DType;

use super::super::code::Storage;
use super::super::domain::{Boxes, IndexBox};
use super::super::fields::{Owner, Source};
use super::super::plan::Plan;
use super::super::point::{DimId, Node as PointNode, PointId, SourceId};
use super::super::value::FieldId;
use super::super::{Assignment, Lowering};

impl Lowering<'_> {
    /// Where each assignment writes: its parameter, or an array first where the parameter is still read.
    pub(super) fn targets(
        &mut self,
        assignments: &[Assignment],
        plan: &Plan,
        boxes: &[IndexBox],
    ) -> Vec<Target> {
        let mut targets: Vec<Target> = assignments
            .iter()
            .zip(&plan.roots)
            .map(|(assignment, &value)| {
                let source = self.params[assignment.param].source;
                let storage = self.storage.get(&source).cloned().unwrap_or_else(Storage::nowhere);
                let Source { dims, dtype, .. } = self.sources[source].clone();
                Target {
                    param: assignment.param,
                    value,
                    dims,
                    dtype,
                    storage,
                    local: assignment.local,
                    buffer: None,
                }
            })
            .collect();
        let buffered: Vec<bool> =
            (0..targets.len()).map(|number| self.needs_buffer(number, &targets, boxes)).collect();
        for (number, buffered) in buffered.into_iter().enumerate() {
            if buffered {
                let container = format!("__tmp_{}", self.array_count);
                self.array_count += 1;
                let dims: Vec<DimId> =
                    targets[number].dims.iter().copied().filter(|&dim| !self.dims[dim].local).collect();
                let dtype = targets[number].dtype;
                let buffer = self.transient_over(&container, &dims, &boxes[number], dtype);
                targets[number].buffer = Some(buffer);
            }
        }
        targets
    }

    /// Whether writing a target in place could change what another point, or a later map, still reads.
    pub(super) fn needs_buffer(&self, number: usize, targets: &[Target], boxes: &[IndexBox]) -> bool {
        let target = &targets[number];
        targets.iter().enumerate().any(|(other, reader)| {
            let same_map = boxes[other] == boxes[number];
            self.points.reachable(&[reader.value]).into_iter().any(|id| {
                let PointNode::Load { source, at, .. } = self.points.node(id) else { return false };
                let Owner::Param(param) = self.sources[*source].owner else { return false };
                if !self.same_memory(param, target.param) {
                    return false;
                }
                let dims = &self.sources[*source].dims;
                let own_element = param == target.param
                    && dims.iter().zip(at.iter()).all(|(&dim, &at)| {
                        self.dims[dim].local || self.points.node(at) == &PointNode::Coordinate(dim)
                    });
                !(same_map && own_element)
            })
        })
    }

    pub(super) fn same_memory(&self, a: usize, b: usize) -> bool {
        if a == b {
            return true;
        }
        let (a, b) = (&self.params[a].name, &self.params[b].name);
        self.environment.aliases.iter().any(|(x, y)| (x == a && y == b) || (x == b && y == a))
    }

    /// Finds scans whose components go straight to a target over the same box.
    pub(super) fn direct_scan_writes(
        &self,
        plan: &Plan,
        array_boxes: &Boxes,
        boxes: &[IndexBox],
        targets: &[Target],
    ) -> DirectWrites {
        let mut direct = DirectWrites::default();
        for (number, target) in targets.iter().enumerate() {
            let PointNode::Load { source, at, .. } = self.points.node(target.value) else { continue };
            let Source { owner: Owner::Field(field, _), dims, dtype } = &self.sources[*source] else {
                continue;
            };
            let centered = dims
                .iter()
                .zip(at.iter())
                .all(|(&dim, &at)| self.points.node(at) == &PointNode::Coordinate(dim));
            let same_dims =
                dims.len() == target.dims.len() && dims.iter().all(|dim| target.dims.contains(dim));
            let same_box = array_boxes.get(field) == Some(&boxes[number]);
            let reads_target = self.reads_memory(*field, plan, target.param);
            let is_scan = self.fields[*field].scan.is_some();
            let plain = target.buffer.is_none() && target.local.is_none() && *dtype == target.dtype;
            if is_scan && centered && same_dims && same_box && !reads_target && plain {
                direct.assignments.push(number);
                direct.by_source.entry(*source).or_default().push(number);
            }
        }
        // Arrays that come later may read what a direct write overwrites: they must not.
        let written: Vec<usize> = direct.assignments.iter().map(|&number| targets[number].param).collect();
        let conflict = plan.arrays.iter().any(|&field| {
            !direct.by_source.keys().any(|source| self.sources[*source].owner_field() == Some(field))
                && written.iter().any(|&param| self.reads_memory(field, plan, param))
        });
        let root_conflict = targets.iter().enumerate().any(|(number, target)| {
            !direct.assignments.contains(&number)
                && self
                    .loads_params(&[target.value])
                    .iter()
                    .any(|&read| written.iter().any(|&param| self.same_memory(read, param)))
        });
        if conflict || root_conflict { DirectWrites::default() } else { direct }
    }

    pub(super) fn reads_memory(&self, field: FieldId, plan: &Plan, param: usize) -> bool {
        let mut points: Vec<PointId> = self.fields[field]
            .leaves
            .iter()
            .filter_map(|leaf| plan.leaves.get(&leaf.source).copied())
            .collect();
        if let Some(scan) = &self.fields[field].scan {
            points.extend(&scan.init);
        }
        self.loads_params(&points).into_iter().any(|read| self.same_memory(read, param))
    }

    pub(super) fn loads_params(&self, points: &[PointId]) -> Vec<usize> {
        (self.points.reachable(points).into_iter())
            .filter_map(|id| match self.points.node(id) {
                PointNode::Load { source, .. } => match self.sources[*source].owner {
                    Owner::Param(param) => Some(param),
                    Owner::Field(..) => None,
                },
                _ => None,
            })
            .collect()
    }
}

/// Where an assignment's value goes.
pub(super) struct Target {
    pub(super) param: usize,
    pub(super) value: PointId,
    pub(super) dims: Vec<DimId>,
    pub(super) dtype: DType,
    pub(super) storage: Storage,
    pub(super) local: Option<usize>,
    /// Written first, copied to the parameter at the end of the statement.
    pub(super) buffer: Option<Storage>,
}

/// Scans that write targets as they go.
#[derive(Default)]
pub(super) struct DirectWrites {
    pub(super) assignments: Vec<usize>,
    pub(super) by_source: HashMap<SourceId, Vec<usize>>,
}
