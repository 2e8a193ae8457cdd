//! Tasklets: inputs, body, outputs.

use hashbrown::HashMap;

use crate::entity::Name;
use crate::ir::{EdgeId, Language, NodeId, Tasklet};
use crate::scalar::parse::c::lapack_call;
use crate::scalar::{Code, PortId, PortKind};

use super::code::Bound;
use super::container::Container;
use super::dataflow::StateContext;
use super::{Lowerer, Lowering};

impl<'p> Lowerer<'p> {
    pub fn tasklet(&mut self, cx: &StateContext<'p>, id: NodeId, tasklet: &'p Tasklet) -> Lowering<()> {
        let Some(code) = &tasklet.code else {
            if tasklet.text.text.trim().is_empty() {
                return Ok(());
            }
            if let Some(call) = lapack_call(&tasklet.text.text) {
                return self.lapack_tasklet(cx, id, &call);
            }
            return self.unsupported("a tasklet whose code was not lowered");
        };
        let raw = tasklet.text.language == Language::Cpp;
        let find = |edges: &[EdgeId], input: bool, name: Name| {
            edges.iter().copied().find(|&edge| {
                let edge = cx.edge(edge);
                (if input { edge.dst_conn } else { edge.src_conn }) == Some(name)
            })
        };
        let mut ports: HashMap<_, Bound> = HashMap::new();
        for (port_id, port) in code.ports.iter() {
            let input = find(cx.adjacency.incoming(id), true, port.name);
            let output = find(cx.adjacency.outgoing(id), false, port.name);
            let bound = match port.kind {
                PortKind::Value if port.reads => {
                    let Some(edge) = input else { continue };
                    let access = self.code_access(cx, edge, false)?;
                    if self.is_absent(&access.container) {
                        continue;
                    }
                    if matches!(access.container, Container::Stream(_)) {
                        continue;
                    }
                    let element = self.first_as(&access, port.ty)?;
                    Bound::Value(self.load_as(&element, port.ty)?)
                }
                PortKind::Value => Bound::Output,
                _ => {
                    let edge = if port.reads { input.or(output) } else { output.or(input) };
                    let Some(edge) = edge else { continue };
                    let writes = Some(edge) != input;
                    let access = self.code_access(cx, edge, writes)?;
                    if self.is_absent(&access.container) {
                        continue;
                    }
                    let wcr =
                        output.and_then(|edge| cx.edge(edge).memlet.wcr.as_ref()).filter(|_| port.writes);
                    self.bind_port(code, port_id, access, wcr, raw)?
                }
            };
            ports.insert(port_id, bound);
        }
        self.pop_inputs(cx, id, code, &mut ports)?;
        let given = self.code(code, &ports)?;
        for &edge_id in cx.adjacency.outgoing(id) {
            let edge = cx.edge(edge_id);
            let Some(connector) = edge.src_conn else { continue };
            let port = code.ports.iter().find(|(port_id, port)| {
                port.name == connector && matches!(ports.get(port_id), Some(Bound::Output))
            });
            let Some((port_id, port)) = port else { continue };
            let values = match given.outputs.get(&port_id) {
                Some(values) => values.clone(),
                // Never assigned: whatever is written is as good as anything.
                None => {
                    let leaves = self.leaves(port.ty)?;
                    leaves.into_iter().map(|(ty, _)| self.zero(ty)).collect()
                }
            };
            let access = self.code_access(cx, edge_id, true)?;
            if let Container::Stream(stream) = access.container.clone() {
                self.push_element(&stream, &access, &values, port.ty)?;
                continue;
            }
            self.write_output(&access, &values, port.ty, edge.memlet.wcr.as_ref())?;
        }
        Ok(())
    }

    /// Inputs that are elements of streams, taken in the order of the edges.
    fn pop_inputs(
        &mut self,
        cx: &StateContext<'p>,
        id: NodeId,
        code: &Code,
        ports: &mut HashMap<PortId, Bound>,
    ) -> Lowering<()> {
        for &edge_id in cx.adjacency.incoming(id) {
            let Some(connector) = cx.edge(edge_id).dst_conn else { continue };
            let port = code
                .ports
                .iter()
                .find(|(_, port)| port.name == connector && port.kind == PortKind::Value && port.reads);
            let Some((port_id, port)) = port else { continue };
            let access = self.code_access(cx, edge_id, false)?;
            let Container::Stream(stream) = access.container.clone() else { continue };
            let values = self.pop_element(&stream, &access, port.ty)?;
            ports.insert(port_id, Bound::Value(values));
        }
        Ok(())
    }
}
