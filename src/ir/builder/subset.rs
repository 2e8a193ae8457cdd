//! Sizes, ranges and memlets from short texts: `N - 1`, `0:N:2`, `a[i, 1:N]`.

use crate::diag::{Diagnostic, Result};
use crate::ir::{Memlet, Program, Range, Subset};
use crate::symbolic::{ExprId, ExprPool, Grammar};

/// Strides and element count of a row-major array.
pub fn row_major(exprs: &mut ExprPool, shape: &[ExprId]) -> (Vec<ExprId>, ExprId) {
    let mut stride = exprs.int(1);
    let mut strides = vec![stride; shape.len()];
    for (slot, &extent) in strides.iter_mut().zip(shape).rev() {
        *slot = stride;
        stride = exprs.mul(stride, extent);
    }
    (strides, stride)
}

/// A size or index.
///
/// # Errors
/// What the expression parser finds wrong.
pub(super) fn expression_from_text(program: &mut Program, text: &str) -> Result<ExprId> {
    program.exprs.parse(&mut program.names, text.trim(), Grammar::Plain)
}

/// One dimension, half open: `i` is one index, `0:N` all below N, `0:N:2` every second. With a step that is a
/// negative number, `N-1:-1:-1` counts down to 0.
///
/// # Errors
/// `P0040` for a wrong number of colons, or what the expression parser finds wrong.
pub fn range_from_text(program: &mut Program, text: &str) -> Result<Range> {
    let parts = split(text, ':');
    if parts.is_empty() || parts.len() > 4 || parts.iter().any(|part| part.trim().is_empty()) {
        return Err(Diagnostic::error("P0040", format!("`{text}` is not an index or a range"))
            .with_help("write an index `i` or a half-open range `start:end` or `start:end:step`"));
    }
    let mut ends = Vec::new();
    for part in &parts {
        ends.push(expression_from_text(program, part)?);
    }
    Ok(range_from_ends(&mut program.exprs, &ends))
}

/// The range of one to four half-open parts: index; start and end; step; tile.
pub(crate) fn range_from_ends(exprs: &mut ExprPool, ends: &[ExprId]) -> Range {
    let one = exprs.int(1);
    let zero = exprs.int(0);
    let start = ends.first().copied().unwrap_or(zero);
    let step = ends.get(2).copied().unwrap_or(one);
    let tile = ends.get(3).copied().unwrap_or(one);
    let end = match ends.get(1) {
        None => start,
        Some(&end) => {
            let last = if counts_down(exprs, step) { exprs.int(-1) } else { one };
            exprs.sub(end, last)
        }
    };
    Range { start, end, step, tile }
}

/// The end of a range as half-open text has it.
pub(crate) fn open_end(exprs: &mut ExprPool, range: &Range) -> ExprId {
    let last = if counts_down(exprs, range.step) { exprs.int(-1) } else { exprs.int(1) };
    exprs.add(range.end, last)
}

fn counts_down(exprs: &ExprPool, step: ExprId) -> bool {
    exprs.as_int(step).is_some_and(|step| step < 0)
}

/// One range per dimension, separated by commas.
///
/// # Errors
/// As [`range_from_text`].
pub fn subset_from_text(program: &mut Program, text: &str) -> Result<Subset> {
    let mut ranges = Vec::new();
    if !text.trim().is_empty() {
        for part in split(text, ',') {
            ranges.push(range_from_text(program, part)?);
        }
    }
    Ok(Subset { ranges })
}

/// A container with the elements taken of it: `a[i, 1:N]`; `a` alone is all of it.
///
/// # Errors
/// `P0040` for a missing bracket, or as [`range_from_text`].
pub fn memlet_from_text(program: &mut Program, text: &str) -> Result<Memlet> {
    let text = text.trim();
    let (name, subset) = match text.split_once('[') {
        None => (text, None),
        Some((name, rest)) => match rest.strip_suffix(']') {
            Some(inside) => (name.trim(), Some(subset_from_text(program, inside)?)),
            None => {
                return Err(Diagnostic::error("P0040", format!("`{text}` has no closing bracket"))
                    .with_help("write a memlet as `container[subset]`"));
            }
        },
    };
    let data = Some(program.names.intern(name));
    Ok(Memlet { data, subset, ..Memlet::default() })
}

/// Splits outside brackets.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut depth = 0i32;
    let mut start = 0;
    for (offset, letter) in text.char_indices() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            letter if letter == separator && depth == 0 => {
                parts.push(&text[start..offset]);
                start = offset + letter.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}
