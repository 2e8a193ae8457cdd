//! Tokens of printed GTIR.

use crate::diag::{Diagnostic, Result};

/// A token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Token<'t> {
    /// A name.
    Name(&'t str),
    /// A name with a dimension's mark: `Kᵥ` (true) or `Cellₕ` (false).
    Axis(&'t str, bool),
    /// An offset's name or number: `C2Eₒ`, `1ₒ`.
    Offset(&'t str),
    /// A number without sign.
    Number(&'t str),
    /// Punctuation or an operator.
    Mark(&'t str),
    /// The end.
    End,
}

/// A token with the byte at which it starts.
pub type Located<'t> = (Token<'t>, usize);

/// Longest first where one begins another.
const MARKS: &[&str] = &[
    "λ(", "==", "<=", ">=", "→", "←", "⟨", "⟩", "⟪", "⟫", "∧", "∨", "¬", "·", "↑", "⇑", "×", "∞", "(", ")",
    "{", "}", "[", "]", ",", ";", ":", "@", "=", "<", ">", "+", "-", "/",
];

const VERTICAL: char = 'ᵥ';
const HORIZONTAL: char = 'ₕ';
const OFFSET: char = 'ₒ';

/// Cuts a text into tokens; the last one is [`Token::End`].
pub fn tokens(text: &str) -> Result<Vec<Located<'_>>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(first) = rest.chars().next() else { break };
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, bytes) = if first.is_ascii_digit()
            || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            number(rest)
        } else if is_name(first) {
            name(rest)
        } else if let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) {
            (Token::Mark(mark), mark.len())
        } else {
            return Err(error_at(text, at, format!("`{first}` means nothing here")));
        };
        tokens.push((token, at));
        at += bytes;
    }
    tokens.push((Token::End, text.len()));
    Ok(tokens)
}

/// An error at a byte of the text.
pub fn error_at(text: &str, at: usize, message: impl Into<String>) -> Diagnostic {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    Diagnostic::error("P0604", message).at(format!("line {line}, column {column}"))
}

fn is_name(c: char) -> bool {
    (c.is_alphanumeric() || c == '_') && !matches!(c, 'λ' | VERTICAL | HORIZONTAL | OFFSET)
}

fn name(rest: &str) -> (Token<'_>, usize) {
    let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    match rest.chars().next() {
        Some(VERTICAL) => (Token::Axis(name, true), end + VERTICAL.len_utf8()),
        Some(HORIZONTAL) => (Token::Axis(name, false), end + HORIZONTAL.len_utf8()),
        Some(OFFSET) => (Token::Offset(name), end + OFFSET.len_utf8()),
        _ => (Token::Name(name), end),
    }
}

fn number(rest: &str) -> (Token<'_>, usize) {
    let bytes = rest.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    let (number, rest) = rest.split_at(end);
    if rest.starts_with(OFFSET) {
        return (Token::Offset(number), end + OFFSET.len_utf8());
    }
    (Token::Number(number), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Token<'_>> {
        tokens(text).unwrap().into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn marks_of_dimensions_and_offsets_end_names() {
        assert_eq!(
            kinds("Kᵥ→Cellₕ C2Eₒ -1ₒ a_iᐞ0"),
            [
                Token::Axis("K", true),
                Token::Mark("→"),
                Token::Axis("Cell", false),
                Token::Offset("C2E"),
                Token::Mark("-"),
                Token::Offset("1"),
                Token::Name("a_iᐞ0"),
                Token::End
            ]
        );
    }

    #[test]
    fn numbers() {
        assert_eq!(
            kinds("1 2.5 1e-30 .5 3.x 2e"),
            [
                Token::Number("1"),
                Token::Number("2.5"),
                Token::Number("1e-30"),
                Token::Number(".5"),
                Token::Number("3."),
                Token::Name("x"),
                Token::Number("2"),
                Token::Name("e"),
                Token::End
            ]
        );
    }

    #[test]
    fn what_means_nothing_is_located() {
        let error = tokens("ab\n  #").unwrap_err();
        assert_eq!(error.place, ["line 2, column 3"]);
    }
}
