//! Maps: one state, one scope, one tasklet each.

use indexmap::IndexMap;

use crate::diag::Result;
use crate::entity::Name;
use crate::ir::{
    BlockKind, Connector, Edge, Extra, Map, Memlet, Node, NodeId, NodeKind, Range, RegionId, Schedule, State,
    Subset, Tasklet, Text,
};
use crate::symbolic::ExprId;

use super::super::Lowering;
use super::super::code::{Access, Body, CodeBuilder, Storage};
use super::super::domain::{Axis, Boxes, IndexBox, Interval};
use super::super::plan::Plan;
use super::super::point::{DimId, PointId};
use super::super::value::FieldId;
use super::Context;
use super::targets::Target;

/// A write of a map's tasklet: which container, where.
#[derive(Clone)]
pub(super) struct Write {
    pub(super) connector: Name,
    pub(super) container: String,
    /// `None`: whole container, dynamically.
    pub(super) element: Option<Vec<ExprId>>,
}

impl Lowering<'_> {
    pub(super) fn emit_array(
        &mut self,
        region: RegionId,
        field: FieldId,
        boxes: &Boxes,
        context: &Context<'_>,
    ) -> Result<()> {
        let index_box = boxes.get(&field).cloned().unwrap_or_default();
        let leaves = self.fields[field].leaves.clone();
        if self.fields[field].scan.is_some() {
            return self.emit_scan(region, field, &index_box, context);
        }
        let plan = context.plan;
        let mut outputs = Vec::new();
        let mut writes = Vec::new();
        let mut dims = Vec::new();
        for (number, leaf) in leaves.iter().enumerate() {
            let Some(&point) = plan.leaves.get(&leaf.source) else { continue };
            dims.clone_from(&self.sources[leaf.source].dims);
            let Some(storage) = self.storage.get(&leaf.source).cloned() else { continue };
            let connector = self.connector("out", number);
            outputs.push((point, connector));
            let element = self.own_element(&storage, &dims, None);
            writes.push(Write { connector, container: storage.container, element: Some(element) });
        }
        let column = self.vertical.and_then(|axis| index_box.get(Axis::Dim(axis)));
        self.emit_pieces(region, "field", &dims, &index_box, (&outputs[..], &writes[..]), column)
    }

    /// Maps over the parts of a box in which other sides are chosen.
    fn emit_pieces(
        &mut self,
        region: RegionId,
        label: &str,
        dims: &[DimId],
        index_box: &IndexBox,
        (outputs, writes): (&[(PointId, Name)], &[Write]),
        column: Option<Interval>,
    ) -> Result<()> {
        let roots = outputs.iter().map(|&(point, _)| point).collect();
        for piece in self.pieces(index_box, roots) {
            let outputs: Vec<(PointId, Name)> = piece
                .roots
                .into_iter()
                .zip(outputs)
                .map(|(point, &(_, connector))| (point, connector))
                .collect();
            let body = self.body(&outputs, column)?;
            self.emit_map(region, label, dims, &piece.index_box, body, writes.to_vec());
        }
        Ok(())
    }

    pub(super) fn pointwise_body(&mut self, outputs: &[(PointId, Name)]) -> Result<Body> {
        self.body(outputs, None)
    }

    /// A tasklet; scans at its points run along `column`.
    fn body(&mut self, outputs: &[(PointId, Name)], column: Option<Interval>) -> Result<Body> {
        let storage = std::mem::take(&mut self.storage);
        let body = CodeBuilder::new(self, &storage).along(column).pointwise(outputs);
        self.storage = storage;
        body
    }

    /// Indices of the point's own element.
    pub(super) fn own_element(
        &mut self,
        storage: &Storage,
        dims: &[DimId],
        local: Option<usize>,
    ) -> Vec<ExprId> {
        if dims.is_empty() {
            return vec![self.out.exprs.int(0)];
        }
        dims.iter()
            .zip(&storage.starts)
            .map(|(&dim, &start)| {
                if self.dims[dim].local {
                    let number = local.and_then(|number| i64::try_from(number).ok()).unwrap_or(0);
                    return self.out.exprs.int(number);
                }
                let name = self.coordinate_symbol(dim);
                let at = self.out.exprs.symbol(name);
                self.out.exprs.sub(at, start)
            })
            .collect()
    }

    pub(super) fn emit_group(
        &mut self,
        region: RegionId,
        group: &[usize],
        targets: &[Target],
        plan: &Plan,
        index_box: &IndexBox,
    ) -> Result<()> {
        let mut outputs = Vec::with_capacity(group.len());
        let mut writes = Vec::with_capacity(group.len());
        for (position, &number) in group.iter().enumerate() {
            let target = &targets[number];
            let connector = self.connector("out", position);
            outputs.push((plan.roots[number], connector));
            let (storage, dims) = match &target.buffer {
                Some(buffer) => {
                    let dims = target.dims.iter().copied().filter(|&dim| !self.dims[dim].local).collect();
                    (buffer.clone(), dims)
                }
                None => (target.storage.clone(), target.dims.clone()),
            };
            let element = self.own_element(&storage, &dims, target.local);
            writes.push(Write { connector, container: storage.container, element: Some(element) });
        }
        let dims: Vec<DimId> = (index_box.axes.iter())
            .filter_map(|(axis, _)| match axis {
                Axis::Dim(dim) => Some(*dim),
                Axis::Level(_) => None,
            })
            .collect();
        self.emit_pieces(region, "statement", &dims, index_box, (&outputs[..], &writes[..]), None)
    }

    /// A state with one tasklet in a map over `dims` (no map if there are none).
    pub(super) fn emit_map(
        &mut self,
        region: RegionId,
        label: &str,
        dims: &[DimId],
        index_box: &IndexBox,
        body: Body,
        writes: Vec<Write>,
    ) {
        let block = self.new_state(label);
        let mut state = State::default();
        let order = self.loop_ranks(dims);
        let mut params = Vec::with_capacity(dims.len());
        let mut ranges = Vec::with_capacity(dims.len());
        for position in order {
            let dim = dims[position];
            let Some(interval) = index_box.get(Axis::Dim(dim)) else { continue };
            params.push(self.coordinate_symbol(dim));
            let one = self.out.exprs.int(1);
            let end = self.out.exprs.sub(interval.stop, one);
            ranges.push(Range { start: interval.start, end, step: one, tile: one });
        }
        let tasklet = state
            .nodes
            .push(node(label, NodeKind::Tasklet(Tasklet { text: Text::default(), code: Some(body.code) })));
        let scope = if params.is_empty() {
            None
        } else {
            let map = Map { params, range: Subset { ranges }, schedule: Schedule::Default, unroll: false };
            let entry = state.nodes.push(node(label, NodeKind::MapEntry(map)));
            let exit = state.nodes.push(node(label, NodeKind::MapExit { entry }));
            Some((entry, exit))
        };
        let mut reads: IndexMap<String, NodeId> = IndexMap::new();
        for (connector, container, access) in body.reads {
            let name = self.out.names.intern(&container);
            state.nodes[tasklet].inputs.insert(connector, Connector::default());
            let (subset, dynamic) = match access {
                Access::Element(element) => (self.element_subset(&element), false),
                Access::Whole => (self.whole_subset(name), true),
            };
            let inner = memlet(name, subset, dynamic);
            let is_new = !reads.contains_key(&container);
            let access_node = *reads.entry(container).or_insert_with(|| {
                state.nodes.push(node("", NodeKind::Access { data: name, setzero: false }))
            });
            match scope {
                None => connect(&mut state, access_node, None, tasklet, Some(connector), inner),
                Some((entry, _)) => {
                    let [into, out] = ["IN", "OUT"].map(|end| {
                        self.out.names.intern(&format!("{end}_{}", self.out.names.get(name).to_owned()))
                    });
                    if is_new {
                        let whole = self.whole_subset(name);
                        connect(&mut state, access_node, None, entry, Some(into), memlet(name, whole, true));
                        state.nodes[entry].inputs.insert(into, Connector::default());
                        state.nodes[entry].outputs.insert(out, Connector::default());
                    }
                    connect(&mut state, entry, Some(out), tasklet, Some(connector), inner);
                }
            }
        }
        if let Some((entry, _)) = scope
            && reads.is_empty()
        {
            connect(&mut state, entry, None, tasklet, None, Memlet::default());
        }
        for (number, write) in writes.into_iter().enumerate() {
            let name = self.out.names.intern(&write.container);
            state.nodes[tasklet].outputs.insert(write.connector, Connector::default());
            let dynamic = write.element.is_none();
            let subset = match &write.element {
                Some(element) => self.element_subset(element),
                None => self.whole_subset(name),
            };
            let inner = memlet(name, subset, dynamic);
            let access_node = state.nodes.push(node("", NodeKind::Access { data: name, setzero: false }));
            match scope {
                None => connect(&mut state, tasklet, Some(write.connector), access_node, None, inner),
                Some((_, exit)) => {
                    let [into, out] =
                        ["IN", "OUT"].map(|end| self.out.names.intern(&format!("{end}_{number}")));
                    state.nodes[exit].inputs.insert(into, Connector::default());
                    state.nodes[exit].outputs.insert(out, Connector::default());
                    connect(&mut state, tasklet, Some(write.connector), exit, Some(into), inner);
                    let whole = self.whole_subset(name);
                    connect(&mut state, exit, Some(out), access_node, None, memlet(name, whole, true));
                }
            }
        }
        self.label_access_nodes(&mut state);
        self.graph.blocks[block].kind = BlockKind::State(Box::new(state));
        self.append(region, block);
    }

    pub(super) fn label_access_nodes(&self, state: &mut State) {
        for (_, node) in state.nodes.iter_mut() {
            if let NodeKind::Access { data, .. } = node.kind {
                node.label = self.out.names.get(data).to_owned();
            }
        }
    }

    pub(super) fn element_subset(&mut self, element: &[ExprId]) -> Subset {
        let one = self.out.exprs.int(1);
        Subset {
            ranges: element.iter().map(|&at| Range { start: at, end: at, step: one, tile: one }).collect(),
        }
    }

    pub(super) fn whole_subset(&mut self, container: Name) -> Subset {
        let shape = self.graph.data.get(&container).map(|data| data.shape().to_vec()).unwrap_or_default();
        let (zero, one) = (self.out.exprs.int(0), self.out.exprs.int(1));
        let ranges = (shape.into_iter())
            .map(|extent| Range { start: zero, end: self.out.exprs.sub(extent, one), step: one, tile: one })
            .collect();
        Subset { ranges }
    }
}

fn node(label: &str, kind: NodeKind) -> Node {
    Node {
        label: label.to_owned(),
        kind,
        inputs: IndexMap::new(),
        outputs: IndexMap::new(),
        extra: Extra::new(),
    }
}

fn memlet(data: Name, subset: Subset, dynamic: bool) -> Memlet {
    Memlet { data: Some(data), subset: Some(subset), dynamic, ..Memlet::default() }
}

fn connect(
    state: &mut State,
    src: NodeId,
    src_conn: Option<Name>,
    dst: NodeId,
    dst_conn: Option<Name>,
    memlet: Memlet,
) {
    state.edges.push(Edge::new(src, src_conn, dst, dst_conn, memlet));
}
