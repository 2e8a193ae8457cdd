//! C++ text to tokens. Comments and preprocessor lines are dropped.

use crate::diag::Diagnostic;

use super::super::tree::IntSuffix;

/// Longest text that is read, in bytes.
const MAX_TEXT: usize = 1 << 20;

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    Name(String),
    Int(i128, IntSuffix),
    Float(f64),
    Float32(f32),
    Text(String),
    Symbol(&'static str),
    End,
}

/// Longest first, so that a prefix never wins.
const SYMBOLS: [&str; 45] = [
    "<<=", ">>=", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=",
    "%=", "&=", "|=", "^=", "::", "(", ")", "[", "]", "{", "}", "<", ">", "=", "+", "-", "*", "/", "%", "&",
    "|", "^", "~", "!", "?", ":", ";", ",",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Diagnostic> {
    if text.len() > MAX_TEXT {
        return Err(Diagnostic::error("P0303", "the code is too large: more than a megabyte of text"));
    }
    let mut list = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            list.push(Token::End);
            return Ok(list);
        };
        if let Some(after) = rest.strip_prefix("//") {
            rest = after.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(after) = rest.strip_prefix("/*") {
            rest = after.split_once("*/").map_or("", |(_, after)| after);
        } else if first == '#' {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            list.push(Token::Name(rest[..end].to_string()));
            rest = &rest[end..];
        } else if first.is_ascii_digit()
            || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            let (token, after) = number(rest)?;
            list.push(token);
            rest = after;
        } else if first == '"' || first == '\'' {
            let (token, after) = quoted(rest, first)?;
            list.push(token);
            rest = after;
        } else if first == '.' {
            list.push(Token::Symbol("."));
            rest = &rest[1..];
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            list.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
        } else {
            return Err(Diagnostic::error("P0301", format!("the code is not valid C++: `{first}`")));
        }
    }
}

fn number(text: &str) -> Result<(Token, &str), Diagnostic> {
    let bad = || Diagnostic::error("P0301", "the code is not valid C++: a malformed number");
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        let value = i128::from(u64::from_str_radix(&hex[..end], 16).map_err(|_| bad())?);
        let (suffix, rest) = suffix(&hex[end..]);
        return Ok((Token::Int(value, fitted(value, suffix)), rest));
    }
    let mut end = 0;
    let mut real = false;
    let bytes = text.as_bytes();
    while let Some(&byte) = bytes.get(end) {
        let exponent_sign =
            matches!(byte, b'+' | b'-') && end > 0 && matches!(bytes[end - 1], b'e' | b'E') && real;
        match byte {
            b'0'..=b'9' => {}
            b'.' | b'e' | b'E' => real = true,
            _ if exponent_sign => {}
            _ => break,
        }
        end += 1;
    }
    let (digits, rest) = (&text[..end], &text[end..]);
    if real || rest.starts_with(['f', 'F']) {
        let value: f64 = digits.parse().map_err(|_| bad())?;
        return match rest.strip_prefix(['f', 'F']) {
            Some(rest) => Ok((Token::Float32(digits.parse().map_err(|_| bad())?), rest)),
            None => Ok((Token::Float(value), rest.strip_prefix(['l', 'L']).unwrap_or(rest))),
        };
    }
    let value = i128::from(digits.parse::<u64>().map_err(|_| bad())?);
    let (suffix, rest) = suffix(rest);
    Ok((Token::Int(value, fitted(value, suffix)), rest))
}

fn suffix(text: &str) -> (IntSuffix, &str) {
    let end = text.find(|c: char| !matches!(c, 'u' | 'U' | 'l' | 'L')).unwrap_or(text.len());
    let letters = text[..end].to_ascii_lowercase();
    let suffix = match (letters.contains('u'), letters.contains('l')) {
        (true, true) => IntSuffix::UnsignedLong,
        (true, false) => IntSuffix::Unsigned,
        (false, true) => IntSuffix::Long,
        (false, false) => IntSuffix::Fit,
    };
    (suffix, &text[end..])
}

/// A literal without suffix that needs more than an `int` is a `long`.
fn fitted(value: i128, suffix: IntSuffix) -> IntSuffix {
    match suffix {
        IntSuffix::Fit if value > i128::from(i64::MAX) => IntSuffix::UnsignedLong,
        IntSuffix::Fit if value > i128::from(i32::MAX) => IntSuffix::Long,
        other => other,
    }
}

fn quoted(text: &str, quote: char) -> Result<(Token, &str), Diagnostic> {
    let mut content = String::new();
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if escaped {
            content.push(match character {
                'n' => '\n',
                't' => '\t',
                '0' => '\0',
                other => other,
            });
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            let token = match (quote, content.chars().next()) {
                ('\'', Some(only)) => Token::Int(i128::from(u32::from(only)), IntSuffix::Fit),
                _ => Token::Text(content),
            };
            return Ok((token, &text[at + 1..]));
        } else {
            content.push(character);
        }
    }
    Err(Diagnostic::error("P0301", "the code is not valid C++: an unterminated string"))
}
