//! Symbols replaced in nodes, memlets and code.

use crate::entity::{Name, Names};
use crate::ir::{Language, Memlet, NodeKind, Range, State, Subset, Tasklet};
use crate::scalar::arith::cast;
use crate::scalar::{Block, Code, DType, Op, Scalar};
use crate::symbolic::{ExprId, ExprPool};

/// What replaces which symbol.
pub type Replacement = [(Name, ExprId)];

/// A subset with symbols replaced.
pub fn subset(exprs: &mut ExprPool, subset: &Subset, by: &Replacement) -> Subset {
    Subset { ranges: subset.ranges.iter().map(|range| self::range(exprs, range, by)).collect() }
}

/// A range with symbols replaced.
pub fn range(exprs: &mut ExprPool, range: &Range, by: &Replacement) -> Range {
    Range {
        start: expression(exprs, range.start, by),
        end: expression(exprs, range.end, by),
        step: expression(exprs, range.step, by),
        tile: expression(exprs, range.tile, by),
    }
}

/// An expression with symbols replaced.
pub fn expression(exprs: &mut ExprPool, expr: ExprId, by: &Replacement) -> ExprId {
    exprs.substitute(expr, &|name| by.iter().find(|(old, _)| *old == name).map(|(_, new)| *new))
}

/// A memlet with symbols replaced.
pub fn memlet(exprs: &mut ExprPool, memlet: &Memlet, by: &Replacement) -> Memlet {
    let mut result = memlet.clone();
    result.subset = memlet.subset.as_ref().map(|subset| self::subset(exprs, subset, by));
    result.other_subset = memlet.other_subset.as_ref().map(|subset| self::subset(exprs, subset, by));
    result.volume = memlet.volume.map(|volume| expression(exprs, volume, by));
    result
}

/// Whether [`tasklet`] can do this replacement: code only names symbols, so what it reads has to stay a symbol, and
/// one that means nothing else in the code, or become a number.
pub fn fits_tasklet(exprs: &ExprPool, names: &Names, tasklet: &Tasklet, by: &Replacement) -> bool {
    let Some(code) = &tasklet.code else { return false };
    by.iter().all(|&(old, new)| {
        let Some(&(_, dtype)) = code.symbols.iter().find(|(name, _)| *name == old) else { return true };
        match exprs.as_symbol(new) {
            Some(new) if new == old => true,
            Some(new) => {
                let is_port = code.ports.values().any(|port| port.name == new);
                let is_symbol = code.symbols.iter().any(|(name, _)| *name == new);
                !is_port && !is_symbol && !mentions(&tasklet.text.text, names.get(new))
            }
            None => constant(exprs, new, dtype).is_some() && tasklet.text.language == Language::Python,
        }
    })
}

/// Replaces symbols in text and code of a tasklet.
pub fn tasklet(exprs: &ExprPool, names: &Names, tasklet: &mut Tasklet, by: &Replacement) {
    let Some(code) = &mut tasklet.code else { return };
    let mut renamed: Vec<(&str, String)> = Vec::new();
    let mut index = 0;
    while let Some(&(symbol, dtype)) = code.symbols.get(index) {
        index += 1;
        let Some(&(old, new)) = by.iter().find(|(old, _)| *old == symbol) else { continue };
        if let Some(new) = exprs.as_symbol(new) {
            code.symbols[index - 1].0 = new;
            renamed.push((names.get(old), names.get(new).to_owned()));
        } else if let Some(value) = constant(exprs, new, dtype) {
            index -= 1;
            set_symbol(code, index, value);
            let width = if dtype == DType::I64 { "int64" } else { "int32" };
            renamed.push((names.get(old), format!("dace.{width}({})", value.as_i64())));
        }
    }
    if !renamed.is_empty() && !tasklet.text.text.is_empty() {
        tasklet.text.text = rename_identifiers(&tasklet.text.text, &renamed);
    }
}

/// A state with symbols replaced; `None` where code cannot be told, or where a map hides one of them.
pub fn state(exprs: &mut ExprPool, names: &Names, state: &State, by: &Replacement) -> Option<State> {
    let mut state = state.clone();
    let is_replaced = |name: &Name| by.iter().any(|(old, _)| old == name);
    for (_, node) in state.nodes.iter_mut() {
        match &mut node.kind {
            NodeKind::Tasklet(code) => {
                if !fits_tasklet(exprs, names, code, by) {
                    return None;
                }
                tasklet(exprs, names, code, by);
            }
            NodeKind::MapEntry(map) => {
                let hidden = by.iter().any(|&(_, new)| exprs.depends_on_any(new, &map.params));
                if hidden || map.params.iter().any(is_replaced) {
                    return None;
                }
                map.range = subset(exprs, &map.range, by);
            }
            NodeKind::Nested(nested) => {
                for value in nested.symbol_mapping.values_mut() {
                    *value = expression(exprs, *value, by);
                }
            }
            NodeKind::ConsumeEntry(_) => return None,
            _ => {}
        }
    }
    for (_, edge) in state.edges.iter_mut() {
        let wcr = edge.memlet.wcr.iter().filter_map(|wcr| wcr.code.as_ref());
        if wcr.flat_map(|code| &code.symbols).any(|(name, _)| is_replaced(name)) {
            return None;
        }
        edge.memlet = memlet(exprs, &edge.memlet, by);
    }
    Some(state)
}

/// Whether code that reads a symbol can say in its text that it reads it as the type it was lowered with.
pub fn can_spell_type(tasklet: &Tasklet, symbol: Name) -> bool {
    let Some(code) = &tasklet.code else { return false };
    match code.symbols.iter().find(|(name, _)| *name == symbol) {
        None | Some((_, DType::I64)) => true,
        Some((_, dtype)) => *dtype == DType::I32 && tasklet.text.language == Language::Python,
    }
}

/// Has the text of a tasklet say which type it reads a symbol as, because the symbol is wider from now on.
pub fn spell_type(names: &Names, tasklet: &mut Tasklet, symbol: Name) {
    let Some(code) = &tasklet.code else { return };
    if code.symbols.contains(&(symbol, DType::I32)) {
        let name = names.get(symbol);
        let spelled = format!("dace.int32({name})");
        tasklet.text.text = rename_identifiers(&tasklet.text.text, &[(name, spelled)]);
    }
}

/// The value of a symbol of that type, if it is a number that the type holds.
fn constant(exprs: &ExprPool, value: ExprId, dtype: DType) -> Option<Scalar> {
    let value = exprs.as_int(value)?;
    let scalar = cast(dtype, Scalar::I64(value));
    (matches!(dtype, DType::I32 | DType::I64) && scalar.as_i64() == value).then_some(scalar)
}

/// Has code use a number instead of one of its symbols.
fn set_symbol(code: &mut Code, symbol: usize, value: Scalar) {
    fn block(body: &mut Block, symbol: u32, value: Scalar) {
        for inst in &mut body.insts {
            match &mut inst.op {
                Op::Symbol(index) if *index == symbol => inst.op = Op::Const(value),
                Op::Symbol(index) if *index > symbol => *index -= 1,
                Op::If { then, otherwise, .. } => {
                    block(then, symbol, value);
                    block(otherwise, symbol, value);
                }
                Op::Loop { condition, body, .. } => {
                    block(condition, symbol, value);
                    block(body, symbol, value);
                }
                _ => {}
            }
        }
    }
    code.symbols.remove(symbol);
    block(&mut code.body, symbol as u32, value);
}

fn mentions(text: &str, name: &str) -> bool {
    words(text).any(|word| word == name)
}

fn rename_identifiers(text: &str, renamed: &[(&str, String)]) -> String {
    let mut result = String::with_capacity(text.len());
    let mut before = ' ';
    for word in words(text) {
        let new = renamed.iter().find(|(old, _)| *old == word).filter(|_| before != '.');
        result.push_str(new.map_or(word, |(_, new)| new.as_str()));
        before = word.chars().next_back().unwrap_or(before);
    }
    result
}

/// Identifiers (and numbers), and everything between them letter by letter.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let length = match is_part(first) {
            true => rest.find(|letter: char| !is_part(letter)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, onward) = rest.split_at(length);
        rest = onward;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_whole_identifiers_only() {
        let renamed = rename_identifiers("o = i + i2 + x.i + f(i)", &[("i", "j".to_owned())]);
        assert_eq!(renamed, "o = j + i2 + x.i + f(j)");
    }
}
