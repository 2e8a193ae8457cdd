//! Scans: a parallel map over columns, a sequential loop inside.

use hashbrown::HashSet;

use crate::diag::Result;
use crate::ir::RegionId;
use crate::scalar::DType;

use super::super::Lowering;
use super::super::code::{CodeBuilder, LevelWrite, ScanBody, Storage};
use super::super::domain::{Axis, IndexBox};
use super::super::plan::Plan;
use super::super::point::{DimId, Node as PointNode, PointId, SourceId};
use super::super::value::FieldId;
use super::Context;
use super::maps::Write;
use super::targets::{DirectWrites, Target};

impl Lowering<'_> {
    pub(super) fn emit_scan(
        &mut self,
        region: RegionId,
        field: FieldId,
        index_box: &IndexBox,
        context: &Context<'_>,
    ) -> Result<()> {
        let Context { plan, targets, direct, read_elsewhere } = *context;
        let Some(scan) = &self.fields[field].scan else { return Ok(()) };
        let (init, number, axis, forward) = (scan.init.clone(), scan.number, scan.axis, scan.forward);
        let Some(range) = index_box.get(Axis::Dim(axis)) else { return Ok(()) };
        let leaves = self.fields[field].leaves.clone();
        let next: Vec<PointId> =
            leaves.iter().filter_map(|leaf| plan.leaves.get(&leaf.source).copied()).collect();
        let dims = leaves.first().map(|leaf| self.sources[leaf.source].dims.clone()).unwrap_or_default();
        let level = self.points.level(number);
        let mut outputs = Vec::with_capacity(leaves.len());
        let mut writes = Vec::new();
        for leaf in &leaves {
            let mut places: Vec<(Storage, Vec<DimId>, DType)> = Vec::new();
            let straight = direct.by_source.get(&leaf.source).map_or(&[][..], |numbers| numbers);
            for &number in straight {
                let target = &targets[number];
                places.push((target.storage.clone(), target.dims.clone(), target.dtype));
            }
            if read_elsewhere.contains(&leaf.source)
                && let Some(storage) = self.storage.get(&leaf.source)
            {
                places.push((storage.clone(), dims.clone(), self.sources[leaf.source].dtype));
            }
            let mut stores = Vec::with_capacity(places.len());
            for (storage, dims, dtype) in places {
                let port = self.connector("out", writes.len());
                let at = (dims.iter())
                    .map(|&dim| if dim == axis { level } else { self.points.coordinate(dim) })
                    .collect();
                writes.push(Write { connector: port, container: storage.container, element: None });
                stores.push(LevelWrite { port, at, starts: storage.starts, dtype });
            }
            outputs.push(stores);
        }
        let storage = std::mem::take(&mut self.storage);
        let scan = ScanBody {
            init: &init,
            next: &next,
            outputs: &outputs,
            forward,
            number,
            start: range.start,
            stop: range.stop,
        };
        let body = CodeBuilder::new(self, &storage).scan(&scan);
        self.storage = storage;
        let columns: Vec<DimId> = dims.into_iter().filter(|&dim| dim != axis).collect();
        self.emit_map(region, "scan", &columns, index_box, body?, writes);
        Ok(())
    }

    /// Sources that something other than a direct write reads.
    pub(super) fn sources_read(
        &self,
        plan: &Plan,
        targets: &[Target],
        direct: &DirectWrites,
    ) -> HashSet<SourceId> {
        let mut points: Vec<PointId> = (targets.iter().enumerate())
            .filter(|(number, _)| !direct.assignments.contains(number))
            .map(|(_, target)| target.value)
            .collect();
        for &field in &plan.arrays {
            points.extend(self.fields[field].leaves.iter().filter_map(|leaf| plan.leaves.get(&leaf.source)));
            if let Some(scan) = &self.fields[field].scan {
                points.extend(&scan.init);
            }
        }
        (self.points.reachable(&points).into_iter())
            .filter_map(|id| match self.points.node(id) {
                PointNode::Load { source, .. } => Some(*source),
                _ => None,
            })
            .collect()
    }
}
