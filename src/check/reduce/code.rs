//! Simpler code: an expression becomes one of its parts.

use crate::check::edit::tidied;
use crate::ir::{BlockId, BlockKind, Edge, GraphId, NodeId, NodeKind, Program};
use crate::transform::editor::ordering_edge;

use super::Reduction;

/// One round over all tasklets; says whether anything became simpler.
pub(super) fn shrink(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = false;
    let is_tasklet = |kind: &NodeKind| matches!(kind, NodeKind::Tasklet(_));
    let places = reduction.nodes(is_tasklet);
    for place in places {
        'simpler: while let Some(text) = text_of(&reduction.best.program, place) {
            for simpler in simpler_texts(&text) {
                let candidate = with_text(&reduction.best.program, place, &simpler);
                let candidate = candidate.map(|program| reduction.best.with_program(program));
                if reduction.accept(candidate) {
                    changed = true;
                    continue 'simpler;
                }
            }
            break;
        }
        if reduction.is_over() {
            break;
        }
    }
    changed
}

fn text_of(program: &Program, (graph, block, node): (GraphId, BlockId, NodeId)) -> Option<String> {
    match &program.graphs.get(graph)?.state(block)?.nodes.get(node)?.kind {
        NodeKind::Tasklet(tasklet) => Some(tasklet.text.text.clone()),
        _ => None,
    }
}

/// The program with other code; inputs that are not read any more lose their edges.
fn with_text(
    program: &Program,
    (graph, block, id): (GraphId, BlockId, NodeId),
    text: &str,
) -> Option<Program> {
    let mut program = program.clone();
    let names = program.names.clone();
    let BlockKind::State(state) = &mut program.graphs.get_mut(graph)?.blocks.get_mut(block)?.kind else {
        return None;
    };
    let node = state.nodes.get_mut(id)?;
    let NodeKind::Tasklet(tasklet) = &mut node.kind else { return None };
    tasklet.text.text = text.to_owned();
    tasklet.code = None;
    let mentioned = |name| words(text).any(|word| word == names.get(name));
    let unread: Vec<_> = node.inputs.keys().copied().filter(|&name| !mentioned(name)).collect();
    let entry = state.edges.iter().find_map(|(_, edge)| {
        let inside =
            matches!(state.nodes.get(edge.src)?.kind, NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_));
        (!edge.removed && edge.dst == id && inside).then_some(edge.src)
    });
    let node = state.nodes.get_mut(id)?;
    for &name in &unread {
        node.inputs.shift_remove(&name);
    }
    let stays_connected = unread.is_empty() || !node.inputs.is_empty();
    let of_unread = |edge: &Edge| edge.dst == id && edge.dst_conn.is_some_and(|name| unread.contains(&name));
    state.edges.iter_mut().filter(|(_, edge)| of_unread(edge)).for_each(|(_, edge)| edge.removed = true);
    if let Some(entry) = entry.filter(|_| !stays_connected) {
        // Without an edge from its entry it would not be in the scope.
        state.edges.push(ordering_edge(entry, id));
    }
    super::graph::prune(state, &names);
    tidied(&program).ok()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Texts with one bracketed part, operand or statement less, the shortest first.
fn simpler_texts(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // Without one line.
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > 1 {
        for at in 0..lines.len() {
            let rest: Vec<&str> =
                lines.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, line)| *line).collect();
            found.push(rest.join("\n"));
        }
    }
    for (at, line) in lines.iter().enumerate() {
        let Some((left, right)) = line.split_once(" = ") else { continue };
        for part in parts(right) {
            let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            changed[at] = format!("{left} = {part}");
            found.push(changed.join("\n"));
        }
    }
    found.retain(|candidate| candidate.len() < text.len());
    found.sort_by_key(String::len);
    found.dedup();
    found.truncate(60);
    found
}

/// Parts of an expression that are expressions: names, what brackets hold, operands between commas.
fn parts(expression: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for (at, letter) in expression.char_indices() {
        match letter {
            '(' => open.push(at),
            ')' => {
                if let Some(start) = open.pop() {
                    let inside = &expression[start + 1..at];
                    found.push(inside.to_owned());
                    found.extend(split_outside(inside, ", ").into_iter().map(str::to_owned));
                    // The whole with the bracket's content in place of one operand.
                    for operand in operands(inside) {
                        found.push(format!("{}{operand}{}", &expression[..start], &expression[at + 1..]));
                    }
                }
            }
            _ => {}
        }
    }
    found.extend(operands(expression));
    for word in words(expression).filter(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_')) {
        found.push(word.to_owned());
    }
    found.push("1".to_owned());
    found.retain(|part| !part.trim().is_empty() && part != expression);
    found
}

fn operands(expression: &str) -> Vec<String> {
    let operators =
        [" + ", " - ", " * ", " / ", " // ", " % ", " & ", " | ", " ^ ", " << ", " >> ", " if ", " else "];
    let mut found = Vec::new();
    for operator in operators {
        let pieces = split_outside(expression, operator);
        if pieces.len() > 1 {
            found.extend(pieces.into_iter().map(str::to_owned));
        }
    }
    found
}

/// Splits outside brackets.
fn split_outside<'t>(text: &'t str, separator: &str) -> Vec<&'t str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0i32, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 && at >= start && text[at..].starts_with(separator) {
            parts.push(&text[start..at]);
            start = at + separator.len();
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_expression_are_shorter_expressions() {
        let found = simpler_texts("o = (max(a, b) * 2 + c)");
        assert!(found.contains(&"o = a".to_owned()), "{found:?}");
        assert!(
            found.contains(&"o = max(a, b)".to_owned()) || found.contains(&"o = max(a, b) * 2".to_owned()),
            "{found:?}"
        );
        assert!(found.iter().all(|text| text.len() < 23));
    }

    #[test]
    fn lines_go_one_by_one() {
        assert!(simpler_texts("v = a\no = v").contains(&"o = v".to_owned()));
    }
}
