//! Tasklets: ports meet memlets.

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::interp::plan::{Access, ContainerKind, InputPlan, OutputPlan, TaskletPlan};
use crate::interp::routine::{Indexing, MemoryPort};
use crate::ir::{EdgeId, NodeId, Tasklet};
use crate::scalar::{Code, DType, PortId, PortKind};

use super::Builder;
use super::code::{CodeScope, compile};
use super::edges::StateContext;
use super::element::element;
use super::names::GraphNames;

impl<'p> Builder<'p> {
    /// A tasklet; `None` if it has no code: it does nothing, or is a LAPACK call.
    pub fn tasklet(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        id: NodeId,
        tasklet: &'p Tasklet,
    ) -> Result<Option<TaskletPlan>, Diagnostic> {
        let Some(code) = &tasklet.code else {
            let text = &tasklet.text.text;
            if text.trim().is_empty() || crate::scalar::parse::c::lapack_call(text).is_some() {
                return Ok(None);
            }
            return Err(super::control::not_lowered(&tasklet.text.text));
        };
        let structs = &self.program.structs;
        let mut scope = TaskletScope { builder: self, names, ctx, id, code };
        let compiled = compile(code, structs, &mut scope)?;
        self.registers = self.registers.max(compiled.routine.registers);
        let mut inputs = Vec::new();
        let mut outputs = Vec::new();
        for edge_id in ctx.adjacency.incoming(id).to_vec() {
            let Some(port) =
                port_of(code, ctx.edge(edge_id).dst_conn, |id| compiled.inputs.contains_key(&id))
            else {
                continue;
            };
            let access = self.code_access(names, ctx, edge_id, false)?;
            let pop = self.containers[access.container as usize].kind == ContainerKind::Stream;
            let leaves = self.port_leaves(code, port)?;
            if pop {
                self.fits_stream(&access, leaves.len(), self.program.names.get(code.ports[port].name))?;
            }
            let stored = self.containers[access.container as usize].element.number();
            let number = match (stored, &*leaves) {
                (Some(stored), &[wanted]) if !pop => Some((stored, wanted)),
                _ => None,
            };
            inputs.push(InputPlan { register: compiled.inputs[&port], leaves, number, access, pop });
        }
        for edge_id in ctx.adjacency.outgoing(id).to_vec() {
            let edge = ctx.edge(edge_id);
            let Some(port) = port_of(code, edge.src_conn, |id| compiled.outputs.contains_key(&id)) else {
                continue;
            };
            let access = self.code_access(names, ctx, edge_id, true)?;
            let wcr = match &edge.memlet.wcr {
                Some(wcr) => Some(self.wcr(names, wcr, access.container)?),
                None => None,
            };
            let push = self.containers[access.container as usize].kind == ContainerKind::Stream;
            let leaves = self.port_leaves(code, port)?;
            if push {
                self.fits_stream(&access, leaves.len(), self.program.names.get(code.ports[port].name))?;
            }
            let stored = self.containers[access.container as usize].element.number();
            let number = stored.filter(|_| leaves.len() == 1 && wcr.is_none() && !push);
            outputs.push(OutputPlan { register: compiled.outputs[&port], leaves, number, access, wcr, push });
        }
        for (port, &register) in &compiled.inputs {
            if !inputs.iter().any(|input| input.register == register) {
                let name = self.program.names.get(code.ports[*port].name);
                return Err(Diagnostic::error("P0108", format!("input `{name}` has no edge")));
            }
        }
        Ok(Some(TaskletPlan {
            routine: compiled.routine,
            inputs: inputs.into_boxed_slice(),
            outputs: outputs.into_boxed_slice(),
        }))
    }

    /// Numbers that go through a stream may change their type, but an element is as many as it is.
    fn fits_stream(&self, access: &Access, numbers: usize, connector: &str) -> Result<(), Diagnostic> {
        let plan = &self.containers[access.container as usize];
        if plan.element.leaves.len() == numbers {
            return Ok(());
        }
        let message =
            format!("connector `{connector}` is {numbers} numbers, an element of `{}` is not", plan.name);
        Err(Diagnostic::error("P0304", message)
            .with_note("give the connector the type of the stream's elements"))
    }

    fn port_leaves(&self, code: &Code, port: PortId) -> Result<Box<[DType]>, Diagnostic> {
        let leaves = element(code.ports[port].ty, &self.program.structs)?.leaves;
        Ok(leaves.iter().map(|&(dtype, _)| dtype).collect())
    }
}

fn port_of(code: &Code, connector: Option<Name>, fits: impl Fn(PortId) -> bool) -> Option<PortId> {
    let connector = connector?;
    code.ports.iter().find(|&(id, port)| port.name == connector && fits(id)).map(|(id, _)| id)
}

struct TaskletScope<'b, 'p, 'c, 'u> {
    builder: &'b mut Builder<'p>,
    names: &'b mut GraphNames<'p>,
    ctx: &'c mut StateContext<'p, 'u>,
    id: NodeId,
    code: &'b Code,
}

impl TaskletScope<'_, '_, '_, '_> {
    /// The edge of a connector: the input if the port reads, and the output if it writes.
    fn edges(&self, name: Name) -> (Option<EdgeId>, Option<EdgeId>) {
        let find = |edges: &[EdgeId], input: bool| {
            edges.iter().copied().find(|&edge| {
                let edge = self.ctx.edge(edge);
                (if input { edge.dst_conn } else { edge.src_conn }) == Some(name)
            })
        };
        let input = find(self.ctx.adjacency.incoming(self.id), true);
        (input, find(self.ctx.adjacency.outgoing(self.id), false))
    }
}

impl CodeScope for TaskletScope<'_, '_, '_, '_> {
    fn symbol(&mut self, name: Name, _dtype: DType) -> Result<u32, Diagnostic> {
        Ok(self.builder.symbol(self.names, name))
    }

    fn memory(&mut self, id: PortId) -> Result<MemoryPort, Diagnostic> {
        let port = &self.code.ports[id];
        let name = self.builder.program.names.get(port.name).to_owned();
        let missing = || Diagnostic::error("P0108", format!("connector `{name}` has no edge"));
        let (input, output) = self.edges(port.name);
        let access = match if port.reads { input.or(output) } else { output.or(input) } {
            Some(edge_id) => {
                self.builder.code_access(self.names, self.ctx, edge_id, Some(edge_id) != input)?
            }
            // A constant array is read by its name, without a connector.
            None => {
                let constant = self.names.constant_arrays.get(&port.name).filter(|_| !port.writes);
                self.builder.whole(*constant.ok_or_else(missing)?)
            }
        };
        let wcr = match output.and_then(|edge| self.ctx.edge(edge).memlet.wcr.as_ref()) {
            Some(wcr) if port.writes => Some(self.builder.wcr(self.names, wcr, access.container)?),
            _ => None,
        };
        let element = element(port.ty, &self.builder.program.structs)?;
        let kept: Vec<usize> =
            (0..access.ranges.len()).filter(|&dim| access.all || !access.ranges[dim].single).collect();
        let (indexing, dims) = match port.kind {
            PortKind::Memory => (Indexing::Flat, Vec::new()),
            PortKind::Stream => {
                self.builder.fits_stream(&access, element.leaves.len(), &name)?;
                (Indexing::Stream, Vec::new())
            }
            PortKind::Reference | PortKind::Value => (Indexing::Dimensions, Vec::new()),
            PortKind::Pointer { rank } => match usize::from(rank) {
                rank if rank == access.ranges.len() => {
                    (Indexing::Dimensions, (0..access.ranges.len()).collect())
                }
                rank if rank == kept.len() => (Indexing::Dimensions, kept),
                1 => (Indexing::Flat, Vec::new()),
                rank => {
                    return Err(Diagnostic::error(
                        "P0106",
                        format!("connector `{name}` takes {rank} indices"),
                    )
                    .with_note(format!(
                        "its memlet `{}` has {} dimensions",
                        access.text,
                        kept.len()
                    )));
                }
            },
        };
        Ok(MemoryPort { access, element, indexing, wcr, dims: dims.into_boxed_slice() })
    }
}
