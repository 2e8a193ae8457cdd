//! Symbols replaced in nodes, memlets and code.

use crate::entity::{Name, Names};
use crate::ir::{Memlet, Range, Subset, Tasklet};
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
/// one that means nothing else in the code.
pub fn fits_tasklet(exprs: &ExprPool, names: &Names, tasklet: &Tasklet, by: &Replacement) -> bool {
    let Some(code) = &tasklet.code else { return false };
    by.iter().all(|&(old, new)| {
        if !code.symbols.iter().any(|(name, _)| *name == old) {
            return true;
        }
        match exprs.as_symbol(new) {
            Some(new) if new == old => true,
            Some(new) => {
                let is_port = code.ports.values().any(|port| port.name == new);
                let is_symbol = code.symbols.iter().any(|(name, _)| *name == new);
                !is_port && !is_symbol && !mentions(&tasklet.text.text, names.get(new))
            }
            None => false,
        }
    })
}

/// Renames symbols in text and code of a tasklet.
pub fn tasklet(exprs: &ExprPool, names: &Names, tasklet: &mut Tasklet, by: &Replacement) {
    let Some(code) = &mut tasklet.code else { return };
    let mut renamed: Vec<(&str, &str)> = Vec::new();
    for (symbol, _) in &mut code.symbols {
        let Some((old, new)) = by.iter().find(|(old, _)| old == symbol) else { continue };
        let Some(new) = exprs.as_symbol(*new) else { continue };
        *symbol = new;
        renamed.push((names.get(*old), names.get(new)));
    }
    if !renamed.is_empty() && !tasklet.text.text.is_empty() {
        tasklet.text.text = rename_identifiers(&tasklet.text.text, &renamed);
    }
}

fn mentions(text: &str, name: &str) -> bool {
    words(text).any(|word| word == name)
}

fn rename_identifiers(text: &str, renamed: &[(&str, &str)]) -> String {
    let mut result = String::with_capacity(text.len());
    let mut before = ' ';
    for word in words(text) {
        let new = renamed.iter().find(|(old, _)| *old == word).filter(|_| before != '.');
        result.push_str(new.map_or(word, |(_, new)| new));
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
        let renamed = rename_identifiers("o = i + i2 + x.i + f(i)", &[("i", "j")]);
        assert_eq!(renamed, "o = j + i2 + x.i + f(j)");
    }
}
