//! Control flow: edges, starts, branches and jumps.

use hashbrown::{HashMap, HashSet};

use crate::diag::Diagnostic;
use crate::ir::{BlockId, BlockKind, CodeExpr, Graph, Region};

use super::names::Scope;
use super::{Validator, code};

/// Checks all regions of a graph.
pub(super) fn check(validator: &mut Validator<'_>, graph: &Graph, scope: &Scope) {
    let Some(body) = graph.body else { return };
    let mut stack = vec![(body, false)];
    while let Some((id, in_loop)) = stack.pop() {
        let Some(region) = graph.regions.get(id) else { continue };
        edges(validator, graph, region, scope);
        for &block_id in &region.blocks {
            let Some(block) = graph.blocks.get(block_id) else { continue };
            validator.place.push(format!("{block_id} `{}`", block.label));
            match &block.kind {
                BlockKind::Loop(kind) => {
                    let statements = [kind.init.as_ref(), Some(&kind.condition), kind.update.as_ref()];
                    for statement in statements.into_iter().flatten() {
                        expression(validator, graph, scope, statement);
                    }
                    stack.push((kind.body, true));
                }
                BlockKind::Conditional(branches) => {
                    let without = branches.iter().position(|branch| branch.condition.is_none());
                    if branches.is_empty() {
                        validator.error("P0115", "a conditional has no branch");
                    } else if without.is_some_and(|index| index + 1 < branches.len()) {
                        validator.error("P0115", "a branch without a condition is not the last one");
                    }
                    for branch in branches {
                        if let Some(condition) = &branch.condition {
                            expression(validator, graph, scope, condition);
                        }
                        stack.push((branch.body, in_loop));
                    }
                }
                BlockKind::Region(_, body) => stack.push((*body, in_loop)),
                BlockKind::Break | BlockKind::Continue if !in_loop => {
                    validator.error("P0116", "a break or continue stands outside of every loop");
                }
                _ => {}
            }
            validator.place.pop();
        }
    }
}

fn edges(validator: &mut Validator<'_>, graph: &Graph, region: &Region, scope: &Scope) {
    let label = |id: BlockId| graph.blocks.get(id).map_or("?", |block| block.label.as_str());
    let members: HashSet<BlockId> = region.blocks.iter().copied().collect();
    let mut next: HashMap<BlockId, Vec<BlockId>> = HashMap::new();
    for edge in &region.edges {
        validator.place.push(format!("edge `{}` -> `{}`", label(edge.src), label(edge.dst)));
        for end in [edge.src, edge.dst] {
            if graph.blocks.get(end).is_none() {
                validator.error("P0101", format!("an edge ends at {end}, which does not exist"));
            } else if !members.contains(&end) {
                validator.error("P0105", format!("an interstate edge leads out of its region, to {end}"));
            }
        }
        next.entry(edge.src).or_default().push(edge.dst);
        if let Some(condition) = &edge.condition {
            expression(validator, graph, scope, condition);
        }
        for (_, value) in &edge.assignments {
            expression(validator, graph, scope, value);
        }
        validator.place.pop();
    }
    let Some(start) = region.entry() else {
        if !region.blocks.is_empty() {
            validator.report(
                Diagnostic::error("P0105", "a region does not say where it starts")
                    .with_note("there is not exactly one block without a predecessor")
                    .with_help("set the start block"),
            );
        }
        return;
    };
    if !members.contains(&start) {
        return validator.error("P0105", format!("a region starts at {start}, which is not in it"));
    }
    let mut reached: HashSet<BlockId> = HashSet::from_iter([start]);
    let mut stack = vec![start];
    while let Some(block) = stack.pop() {
        for &target in next.get(&block).map_or(&[][..], |list| list) {
            if reached.insert(target) {
                stack.push(target);
            }
        }
    }
    for &block in region.blocks.iter().filter(|block| !reached.contains(*block)) {
        let text = format!("block `{}` can never run: no edge leads to it", label(block));
        validator.report(Diagnostic::warning("P0118", text).at(block.to_string()));
    }
}

fn expression(validator: &mut Validator<'_>, graph: &Graph, scope: &Scope, expression: &CodeExpr) {
    code::check_expression(validator, graph, scope, expression);
}
