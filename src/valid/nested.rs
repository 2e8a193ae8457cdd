//! Nested graphs: connectors, symbol mapping, descriptors.

use hashbrown::HashSet;

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{Contract, DataKind, NestedGraph};

use super::Validator;
use super::dataflow::NodeView;

/// Checks a node that runs a graph.
pub(super) fn check(validator: &mut Validator<'_>, view: &NodeView<'_>, nested: &NestedGraph) {
    let Some(inner) = nested.graph.and_then(|id| validator.program.graphs.get(id)) else {
        let finding = Diagnostic::error("P0111", "the nested graph lies in another file")
            .with_help("inline it into the program file");
        return validator.report(finding);
    };
    let connectors: HashSet<Name> =
        view.node.inputs.keys().chain(view.node.outputs.keys()).copied().collect();
    for &name in view.node.inputs.keys().chain(view.node.outputs.keys()) {
        let text = validator.text(name);
        match inner.data.get(&name) {
            None => validator.error("P0112", format!("connector `{text}` has no container inside")),
            Some(data) if data.transient => {
                validator.error("P0112", format!("connector `{text}` names a transient of the nested graph"));
            }
            Some(_) => {}
        }
    }
    for (&name, _) in inner.data.iter().filter(|(name, data)| !data.transient && !connectors.contains(*name))
    {
        let text = format!("argument `{}` of the nested graph has no connector", validator.text(name));
        let finding =
            Diagnostic::error("P0119", text).with_help("add a connector and an edge, or make it transient");
        validator.report(finding);
    }
    let edges = view.incoming().iter().chain(view.outgoing());
    for edge in edges.filter_map(|&id| view.state.edges.get(id)) {
        let connector = if edge.dst == view.id { edge.dst_conn } else { edge.src_conn };
        let Some((connector, name)) = connector.zip(edge.memlet.data) else { continue };
        let (Some(inside), Some(outside)) =
            (inner.data.get(&connector), validator.container(view.graph, name))
        else {
            continue;
        };
        let is_array = |data: &crate::ir::Data| matches!(data.kind, DataKind::Array(_));
        let differs = inside.ty != outside.ty
            || (validator.program.contract == Contract::Whole
                && is_array(inside)
                && is_array(outside)
                && inside.shape().len() > outside.shape().len());
        if differs {
            let text = format!(
                "connector `{}` does not look like the container `{}` outside",
                validator.text(connector),
                validator.text(name)
            );
            validator.report(Diagnostic::warning("P0132", text).with_help("reinterpret through a view"));
        }
    }
}
