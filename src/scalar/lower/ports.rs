//! How a tasklet reaches what its connectors are connected to.

use hashbrown::HashMap;

use crate::analysis::paths::input_of;
use crate::diag::Diagnostic;
use crate::entity::{Name, Names};
use crate::ir::{
    Adjacency, Connector, Consume, Data, DataKind, Edge, Graph, Language, Memlet, NodeId, NodeKind, Range,
    State,
};
use crate::scalar::code::{Port, PortKind};
use crate::scalar::parse::build::PortSpec;
use crate::scalar::types::Type;
use crate::symbolic::{ExprId, ExprPool};

/// A node in its state.
pub(super) struct NodePlace<'a> {
    pub graph: &'a Graph,
    pub state: &'a State,
    pub adjacency: &'a Adjacency,
    pub node: NodeId,
}

/// The container behind a name, members of structures (`a.b`) included.
pub(super) fn container<'a>(graph: &'a Graph, names: &Names, name: Name) -> Option<&'a Data> {
    if let Some(data) = graph.data.get(&name) {
        return Some(data);
    }
    let mut parts = names[name].split('.');
    let mut data = graph.data.get(&names.lookup(parts.next()?)?)?;
    for part in parts {
        let part = names.lookup(part)?;
        data = &data.members().iter().find(|(name, _)| *name == part)?.1;
    }
    Some(data)
}

/// Ports of a tasklet, inputs first, each in the order of its connectors. A name that is both an input and an
/// output is one port.
pub(super) fn tasklet(
    at: &NodePlace<'_>,
    names: &Names,
    exprs: &mut ExprPool,
    produced: &HashMap<(NodeId, Name), Type>,
    language: Language,
) -> Result<Vec<PortSpec>, Diagnostic> {
    let node = &at.state.nodes[at.node];
    let mut specs: Vec<PortSpec> = Vec::with_capacity(node.inputs.len() + node.outputs.len());
    let mut finder = Finder { at, names, exprs, produced, language };
    for (&name, &connector) in &node.inputs {
        let edges = at.adjacency.incoming(at.node).iter().map(|&edge| &at.state.edges[edge]);
        let edge = edges.into_iter().find(|edge| edge.dst_conn == Some(name));
        specs.push(finder.port(name, connector, edge, true)?);
    }
    for (&name, &connector) in &node.outputs {
        let edges = at.adjacency.outgoing(at.node).iter().map(|&edge| &at.state.edges[edge]);
        let edge = edges.into_iter().find(|edge| edge.src_conn == Some(name));
        let spec = finder.port(name, connector, edge, false)?;
        match specs.iter_mut().find(|known| known.port.name == name) {
            Some(known) => {
                known.port.writes = true;
                if known.port.kind == PortKind::Value && spec.port.kind != PortKind::Value {
                    *known = spec;
                    known.port.reads = true;
                }
            }
            None => specs.push(spec),
        }
    }
    Ok(specs)
}

struct Finder<'a> {
    at: &'a NodePlace<'a>,
    names: &'a Names,
    exprs: &'a mut ExprPool,
    produced: &'a HashMap<(NodeId, Name), Type>,
    language: Language,
}

impl Finder<'_> {
    fn port(
        &mut self,
        name: Name,
        connector: Connector,
        edge: Option<&Edge>,
        input: bool,
    ) -> Result<PortSpec, Diagnostic> {
        let mut spec = PortSpec {
            port: Port {
                name,
                ty: connector.ty.unwrap_or(Type::I32),
                kind: PortKind::Value,
                reads: input,
                writes: !input,
            },
            unit_dimensions: Vec::new(),
            one_element: true,
            infer_type: false,
        };
        let Some(edge) = edge else {
            spec.infer_type = !input && connector.ty.is_none();
            return Ok(spec);
        };
        let data = edge.memlet.data.and_then(|data| container(self.at.graph, self.names, data));
        let Some(data) = data else {
            if let Some(missing) = edge.memlet.data {
                return Err(Diagnostic::error(
                    "P0306",
                    format!(
                        "connector `{}` has no type: there is no container `{}`",
                        &self.names[name], &self.names[missing]
                    ),
                ));
            }
            // Code feeds code: the producer decides.
            if input && connector.ty.is_none() {
                let produced = edge.src_conn.and_then(|from| self.produced.get(&(edge.src, from)));
                spec.port.ty = *produced.ok_or_else(|| {
                    Diagnostic::error("P0306", format!("connector `{}` has no type", &self.names[name]))
                })?;
            }
            spec.infer_type = !input && connector.ty.is_none();
            return Ok(spec);
        };
        let element = element_type(data);
        spec.port.ty = connector.ty.unwrap_or(element);
        if let Type::Opaque(ty) = spec.port.ty {
            return Err(Diagnostic::error(
                "P0306",
                format!(
                    "connector `{}` carries `{}`, which cannot be computed with",
                    &self.names[name], &self.names[ty]
                ),
            ));
        }
        if let DataKind::Stream(_) = data.kind {
            self.stream(&mut spec, edge, input);
            return Ok(spec);
        }
        let shape = shape_of(data);
        let units = self.unit_dimensions(&edge.memlet, &shape, spec.port.ty, element);
        let scalar_container = matches!(data.kind, DataKind::Scalar(_));
        let one_element = scalar_container || units.iter().all(|&unit| unit);
        spec.one_element = one_element;
        let pointer = if connector.ty.is_some() { connector.pointer } else { !one_element };
        let dynamic = edge.memlet.dynamic;
        if !pointer {
            spec.port.kind = if dynamic { PortKind::Reference } else { PortKind::Value };
            return Ok(spec);
        }
        if self.language == Language::Cpp {
            spec.port.kind = PortKind::Memory;
            return Ok(spec);
        }
        let rank = if one_element { units.len().max(1) } else { units.iter().filter(|&&unit| !unit).count() };
        spec.port.kind = PortKind::Pointer { rank: u8::try_from(rank).unwrap_or(u8::MAX) };
        if !one_element {
            spec.unit_dimensions = units;
        }
        Ok(spec)
    }

    fn stream(&self, spec: &mut PortSpec, edge: &Edge, input: bool) {
        spec.port.kind = PortKind::Stream;
        if input && let Some(consume) = self.consume_scope(edge) {
            let chunk = consume.chunk_size.map(|size| self.exprs.as_int(size));
            spec.port.kind = match chunk {
                None | Some(Some(1)) => PortKind::Value,
                _ if self.language == Language::Cpp => PortKind::Memory,
                _ => PortKind::Pointer { rank: 1 },
            };
            spec.one_element = spec.port.kind == PortKind::Value;
        }
    }

    /// The consume scope that an edge out of a scope comes from, through the maps inside it.
    fn consume_scope(&self, edge: &Edge) -> Option<&Consume> {
        let state = self.at.state;
        let mut at = edge;
        for _ in 0..=state.edges.len() {
            match &state.nodes.get(at.src)?.kind {
                NodeKind::ConsumeEntry(consume) => return Some(consume),
                NodeKind::MapEntry(_) => {}
                _ => return None,
            }
            let input = input_of(self.names, at.src_conn?)?;
            let entering = self.at.adjacency.incoming(at.src).iter().map(|&edge| &state.edges[edge]);
            at = entering.into_iter().find(|edge| edge.dst_conn == Some(input))?;
        }
        None
    }

    /// Per dimension of the container, whether the memlet has one element there. A connector that is a vector
    /// takes its lanes from the innermost dimension, which then counts as one element.
    fn unit_dimensions(&mut self, memlet: &Memlet, shape: &[ExprId], ty: Type, element: Type) -> Vec<bool> {
        let lanes = match (ty, element) {
            (Type::Vector(_, lanes), Type::Scalar(_)) => i64::from(lanes),
            _ => 1,
        };
        let innermost = match &memlet.subset {
            Some(subset) => subset.ranges.len(),
            None => shape.len(),
        };
        let is_unit = |at: usize, size: Option<i64>| {
            size == Some(1) || (lanes > 1 && at + 1 == innermost && size == Some(lanes))
        };
        match &memlet.subset {
            None => {
                let sizes = shape.iter().map(|&extent| self.exprs.as_int(extent));
                sizes.enumerate().map(|(at, size)| is_unit(at, size)).collect()
            }
            Some(subset) => {
                let ranges = subset.ranges.clone();
                let sizes = ranges.iter().map(|range| self.size_of(range));
                sizes.enumerate().map(|(at, size)| is_unit(at, size)).collect()
            }
        }
    }

    /// How many elements a range has, if that is a literal.
    fn size_of(&mut self, range: &Range) -> Option<i64> {
        let tile = self.exprs.as_int(range.tile)?;
        if range.start == range.end {
            return Some(tile);
        }
        let distance = self.exprs.sub(range.end, range.start);
        let distance = self.exprs.as_int(distance)?;
        let step = self.exprs.as_int(range.step)?;
        if step == 0 {
            return None;
        }
        distance.checked_div(step)?.checked_add(1)?.checked_mul(tile)
    }
}

/// The type of one element: for containers of containers, of what they hold.
fn element_type(data: &Data) -> Type {
    match &data.kind {
        DataKind::ContainerArray { element, .. }
        | DataKind::ContainerView { element, .. }
        | DataKind::ContainerReference { element, .. } => element.ty,
        _ => data.ty,
    }
}

/// The shape of a container; nothing for scalars.
pub(super) fn shape_of(data: &Data) -> Vec<ExprId> {
    data.shape().to_vec()
}
