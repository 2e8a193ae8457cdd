//! Nested graphs: symbols and connectors.

use crate::diag::Diagnostic;
use crate::interp::plan::{ConnectorPlan, NestedPlan, Size, SymbolValue};
use crate::ir::{Contract, NestedGraph, NodeId};

use super::edges::StateContext;
use super::names::GraphNames;
use super::{Builder, Inherited};

impl<'p> Builder<'p> {
    pub fn nested(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        id: NodeId,
        nested: &'p NestedGraph,
    ) -> Result<NestedPlan, Diagnostic> {
        let Some(graph) = nested.graph else {
            return Err(Diagnostic::error("P0111", "the nested graph lies in another file")
                .with_help("inline it into the program file"));
        };
        let inherited =
            Inherited { constants: names.constants.clone(), constant_arrays: names.constant_arrays.clone() };
        let (plan, inner) = self.graph(graph, &inherited)?;
        let mut symbols = Vec::new();
        for (name, &value) in &nested.symbol_mapping {
            let Some(&slot) = inner.symbols.get(name) else { continue };
            let value = match self.size(names, value) {
                Size::Symbol(outer, 0) => SymbolValue::Symbol(outer),
                size => SymbolValue::Size(size),
            };
            symbols.push((slot, value));
        }
        // Symbols that nobody mapped mean the symbol of that name outside, if there is one.
        let mut unmapped: Vec<_> =
            inner.symbols.iter().filter(|(name, _)| !nested.symbol_mapping.contains_key(*name)).collect();
        unmapped.sort_unstable();
        for (&name, &slot) in unmapped {
            let known = names.params.iter().any(|&(param, _)| param == name)
                || names.graph.symbols.contains_key(&name)
                || names.assigned.contains(&name)
                || names.symbols.contains_key(&name);
            if known {
                symbols.push((slot, SymbolValue::Symbol(self.symbol(names, name))));
            }
        }
        let mut connectors: Vec<ConnectorPlan> = Vec::new();
        let edges =
            [(ctx.adjacency.incoming(id).to_vec(), false), (ctx.adjacency.outgoing(id).to_vec(), true)];
        for (edges, writes) in edges {
            for edge_id in edges {
                let edge = ctx.edge(edge_id);
                let Some(connector) = (if writes { edge.src_conn } else { edge.dst_conn }) else { continue };
                let Some(&slot) = inner.containers.get(&connector) else {
                    let name = self.program.names.get(connector);
                    return Err(Diagnostic::error(
                        "P0112",
                        format!("connector `{name}` has no container inside"),
                    ));
                };
                if connectors.iter().any(|known| known.inner == slot) {
                    continue;
                }
                let outer = self.code_access(names, ctx, edge_id, writes)?;
                let whole = self.program.contract == Contract::Whole;
                connectors.push(ConnectorPlan { inner: slot, outer, whole });
            }
        }
        Ok(NestedPlan {
            symbols: symbols.into_boxed_slice(),
            connectors: connectors.into_boxed_slice(),
            graph: plan,
        })
    }
}
