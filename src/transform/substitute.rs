//! Symbols replaced in nodes, memlets and code.

use crate::entity::{Name, Names};
use crate::ir::{CodeExpr, Language, Memlet, NodeKind, Program, Range, State, Subset, Tasklet};
use crate::scalar::arith::cast;
use crate::scalar::{Block, Code, DType, Op, Scalar, Type, UnaryOp};
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
            replace_symbol(code, index, &Op::Const(value));
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

/// A symbol and its value, all of it of one integer type.
#[derive(Clone, Copy, Debug)]
pub struct Typed {
    /// The symbol.
    pub symbol: Name,
    /// What it is.
    pub value: ExprId,
    /// The type of the symbol, and of all symbols of the value.
    pub dtype: DType,
}

/// [`state`], if the types of everything stay what they are, also when the text that is written is read again: there a number
/// is an `int32` if it fits one.
pub fn typed_state(
    exprs: &mut ExprPool,
    names: &Names,
    program: &Program,
    state: &State,
    by: &[Typed],
) -> Option<State> {
    let is_narrowed = |one: &Typed| one.dtype != DType::I32 && exprs.as_int(one.value).is_some();
    let narrowed: Vec<Name> = by.iter().filter(|one| is_narrowed(one)).map(|one| one.symbol).collect();
    let mut params: Vec<Name> = Vec::new();
    for (_, node) in state.live_nodes() {
        if let NodeKind::MapEntry(map) = &node.kind {
            for (&param, range) in map.params.iter().zip(&map.range.ranges) {
                if exprs.depends_on_any(range.start, &narrowed) || exprs.depends_on_any(range.end, &narrowed)
                {
                    params.push(param);
                }
            }
        }
    }
    for (_, node) in state.live_nodes() {
        match &node.kind {
            NodeKind::Nested(nested) => {
                let inner = nested.graph.and_then(|id| program.graphs.get(id))?;
                let is_wide = |name: &Name| inner.symbols.get(name) == Some(&Type::Scalar(DType::I64));
                let stays = nested.symbol_mapping.iter().all(|(name, &value)| {
                    let changes =
                        exprs.depends_on_any(value, &narrowed) || exprs.depends_on_any(value, &params);
                    !changes || is_wide(name)
                });
                if !stays {
                    return None;
                }
            }
            NodeKind::Tasklet(tasklet) => {
                let code = tasklet.code.as_ref()?;
                if code.symbols.iter().any(|(name, dtype)| params.contains(name) && *dtype != DType::I32) {
                    return None;
                }
            }
            _ => {}
        }
    }
    let by: Vec<(Name, ExprId)> = by.iter().map(|one| (one.symbol, one.value)).collect();
    self::state(exprs, names, state, &by)
}

/// Code of control flow with symbols replaced, those that can be: by a number or by a symbol, where that changes no type.
/// `None` if there is none.
pub fn code_expr(exprs: &ExprPool, names: &Names, code: &CodeExpr, by: &[Typed]) -> Option<CodeExpr> {
    let mut made = code.clone();
    let mut renamed: Vec<(&str, String)> = Vec::new();
    let lowered = made.code.as_mut()?;
    for &Typed { symbol, value, dtype } in by {
        let Some(at) = lowered.symbols.iter().position(|&known| known == (symbol, dtype)) else { continue };
        if let Some(new) = exprs.as_symbol(value) {
            match lowered.symbols.iter().position(|(name, _)| *name == new) {
                // Read already: the two become one.
                Some(known) if lowered.symbols[known].1 == dtype && known != at => {
                    replace_symbol(lowered, at, &Op::Symbol((known - usize::from(known > at)) as u32));
                }
                Some(_) => continue,
                None => lowered.symbols[at].0 = new,
            }
            renamed.push((names.get(symbol), names.get(new).to_owned()));
        } else if let Some(number) = constant(exprs, value, dtype) {
            if dtype != DType::I32 && computes_integers(&lowered.body, lowered) {
                continue;
            }
            replace_symbol(lowered, at, &Op::Const(number));
            let text = number.as_i64().to_string();
            let text = if text.starts_with('-') { format!("({text})") } else { text };
            renamed.push((names.get(symbol), text));
        }
    }
    if renamed.is_empty() {
        return None;
    }
    made.text.text = rename_identifiers(&made.text.text, &renamed);
    Some(made)
}

/// Whether code does arithmetic of integers, whose type follows from the types of its operands.
fn computes_integers(block: &Block, code: &Code) -> bool {
    block.insts.iter().any(|inst| {
        let is_integer = inst.results.iter().any(|&result| {
            let dtype = code.types.get(result).and_then(|ty| ty.scalar());
            dtype.is_none_or(|dtype| dtype.is_integral() && dtype != DType::Bool)
        });
        match &inst.op {
            Op::Binary(op, ..) => is_integer && !op.is_comparison(),
            Op::Unary(UnaryOp::Not, _) => false,
            Op::Unary(..) | Op::Call(..) | Op::Select(..) => is_integer,
            Op::If { then, otherwise, .. } => {
                is_integer || computes_integers(then, code) || computes_integers(otherwise, code)
            }
            Op::Loop { .. } => true,
            _ => false,
        }
    })
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

/// Has code use another value instead of one of its symbols.
fn replace_symbol(code: &mut Code, symbol: usize, by: &Op) {
    fn block(body: &mut Block, symbol: u32, by: &Op) {
        for inst in &mut body.insts {
            match &mut inst.op {
                Op::Symbol(index) if *index == symbol => inst.op = by.clone(),
                Op::Symbol(index) if *index > symbol => *index -= 1,
                Op::If { then, otherwise, .. } => {
                    block(then, symbol, by);
                    block(otherwise, symbol, by);
                }
                Op::Loop { condition, body, .. } => {
                    block(condition, symbol, by);
                    block(body, symbol, by);
                }
                _ => {}
            }
        }
    }
    code.symbols.remove(symbol);
    block(&mut code.body, symbol as u32, by);
}

/// Whether a text names something.
pub fn mentions(text: &str, name: &str) -> bool {
    words(text).any(|word| word == name)
}

/// A text with other identifiers, all of them at once.
pub fn rename_identifiers(text: &str, renamed: &[(&str, String)]) -> String {
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
