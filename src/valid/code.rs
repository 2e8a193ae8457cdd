//! Code: lowered, and every name in it means something.

use crate::diag::Diagnostic;
use crate::ir::{CodeExpr, DataKind, Graph, Language, Tasklet};
use crate::scalar::parse::c::lapack_call;
use crate::scalar::{Code, PortKind};

use super::Validator;
use super::dataflow::NodeView;
use super::names::Scope;

/// Checks a tasklet's code.
pub(super) fn check_tasklet(
    validator: &mut Validator<'_>,
    view: &NodeView<'_>,
    scope: &Scope,
    tasklet: &Tasklet,
) {
    let Some(code) = &tasklet.code else {
        let is_routine = tasklet.text.language == Language::Cpp && lapack_call(&tasklet.text.text).is_some();
        if !is_routine {
            let finding = Diagnostic::error("P0203", "the tasklet's code has not been lowered")
                .with_note(format!("it reads `{}`", tasklet.text.text.chars().take(200).collect::<String>()));
            validator.report(finding);
        }
        return;
    };
    names_in_code(validator, scope, code);
    for port in code.ports.values() {
        let is_known = view.node.inputs.contains_key(&port.name)
            || view.node.outputs.contains_key(&port.name)
            || view.graph.constants.contains_key(&port.name)
            || scope.defines(port.name);
        if !is_known {
            let text = format!("the code uses `{}`, which is no connector", validator.text(port.name));
            validator.error("P0204", text);
        }
    }
}

/// Checks a condition, an assignment or a loop statement.
pub(super) fn check_expression(
    validator: &mut Validator<'_>,
    graph: &Graph,
    scope: &Scope,
    expression: &CodeExpr,
) {
    let Some(code) = &expression.code else {
        let finding = Diagnostic::error("P0203", "the expression has not been lowered")
            .with_note(format!("it reads `{}`", expression.text.text));
        return validator.report(finding);
    };
    names_in_code(validator, scope, code);
    for port in code.ports.values() {
        let data = validator.container(graph, port.name);
        let text = validator.text(port.name);
        match data {
            Some(data) if matches!(data.kind, DataKind::Stream(_)) || port.kind == PortKind::Stream => {
                validator.error("P0131", format!("control flow reads the stream `{text}`"));
            }
            None if !scope.defines(port.name) => {
                validator.error("P0204", format!("`{text}` is no container of the graph"));
            }
            _ => {}
        }
    }
}

fn names_in_code(validator: &mut Validator<'_>, scope: &Scope, code: &Code) {
    for &(name, _) in &code.symbols {
        let text = validator.text(name);
        if !scope.defines(name) && text != crate::scalar::lower::TAKEN_ELEMENTS {
            let finding =
                Diagnostic::error("P0204", format!("the code uses `{text}`, which means nothing here"))
                    .with_help("add a connector, declare a symbol, or correct the name");
            validator.report(finding);
        }
    }
}
