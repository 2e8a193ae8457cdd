//! Tokens of both grammars.

use crate::diag::Diagnostic;
use crate::scalar::DType;

use super::Grammar;

/// A token and the byte offset it starts at.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: TokenKind<'t>,
    pub(super) start: usize,
}

/// What a token is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum TokenKind<'t> {
    /// A bare name or keyword.
    Name(&'t str),
    /// `$name`.
    Symbol(&'t str),
    /// `$?` or `?`.
    Undefined,
    /// Digits; `None` if they do not fit.
    Int(Option<u64>),
    /// A number with a point or an exponent.
    Float(f64),
    /// A number with a `j`.
    Imaginary(f64),
    /// Digits with a type suffix of an integer type.
    TypedInt(DType, u64),
    /// A number with a type suffix of a floating-point type.
    TypedFloat(DType, f64),
    /// `(re + im j)c128`.
    Complex(DType, f64, f64),
    /// An operator or a bracket.
    Op(&'static str),
    /// The end of the text.
    End,
}

impl TokenKind<'_> {
    /// How a diagnostic calls it.
    pub(super) fn describe(self) -> String {
        match self {
            TokenKind::Name(name) => format!("`{name}`"),
            TokenKind::Symbol(name) => format!("`${name}`"),
            TokenKind::Op(op) => format!("`{op}`"),
            TokenKind::End => "the end".to_owned(),
            TokenKind::Undefined => "`?`".to_owned(),
            _ => "a number".to_owned(),
        }
    }
}

/// Longest first, so that the first match is the right one.
const OPERATORS: [&str; 29] = [
    "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+", "-", "*", "/", "%", "~", "!", "<", ">",
    "&", "|", "^", "(", ")", "[", "]", ",", ".", "=",
];

/// Type suffixes of numbers.
const SUFFIXES: [(&str, DType); 14] = [
    ("e4m3fn", DType::F8E4M3),
    ("e5m2", DType::F8E5M2),
    ("bf16", DType::BF16),
    ("i16", DType::I16),
    ("i32", DType::I32),
    ("i64", DType::I64),
    ("u16", DType::U16),
    ("u32", DType::U32),
    ("u64", DType::U64),
    ("f16", DType::F16),
    ("f32", DType::F32),
    ("f64", DType::F64),
    ("i8", DType::I8),
    ("u8", DType::U8),
];

/// The suffix that a type's literals have, if it has one.
pub(super) fn suffix_of(dtype: DType) -> Option<&'static str> {
    SUFFIXES.iter().find(|&&(_, known)| known == dtype).map(|&(suffix, _)| suffix)
}

/// All tokens of a text, ending with [`TokenKind::End`].
pub(super) fn tokens(text: &str, grammar: Grammar) -> Result<Vec<Token<'_>>, Diagnostic> {
    let mut lexer = Lexer { text, at: 0, grammar };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        tokens.push(token);
        if token.kind == TokenKind::End {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    grammar: Grammar,
}

impl<'t> Lexer<'t> {
    fn next(&mut self) -> Result<Token<'t>, Diagnostic> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        let start = self.at;
        let kind = self.kind()?;
        Ok(Token { kind, start })
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn kind(&mut self) -> Result<TokenKind<'t>, Diagnostic> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(TokenKind::End) };
        if first == '?' {
            self.at += 1;
            return Ok(TokenKind::Undefined);
        }
        if first == '$' {
            self.at += 1;
            if self.rest().starts_with('?') {
                self.at += 1;
                return Ok(TokenKind::Undefined);
            }
            if !self.rest().starts_with(is_word_start) {
                return Err(self.error("a name or `?` after `$`"));
            }
            return Ok(TokenKind::Symbol(self.word()));
        }
        if is_word_start(first) {
            return Ok(TokenKind::Name(self.word()));
        }
        let second_is_digit = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        if first.is_ascii_digit() || (first == '.' && second_is_digit) {
            return self.number();
        }
        if first == '('
            && let Some(complex) = self.complex()
        {
            return Ok(complex);
        }
        for op in OPERATORS {
            if rest.starts_with(op) {
                self.at += op.len();
                return Ok(TokenKind::Op(op));
            }
        }
        Err(self.error("a name, a number or an operator"))
    }

    fn word(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn digits(&mut self) {
        let rest = self.rest().as_bytes();
        self.at += rest.iter().take_while(|b| b.is_ascii_digit() || **b == b'_').count();
    }

    /// `1`, `1.5`, `.5`, `1e5`, `0x1F`, each with a type suffix or a `j`.
    fn number(&mut self) -> Result<TokenKind<'t>, Diagnostic> {
        let start = self.at;
        if let Some(radix) = self.radix() {
            self.at += 2;
            let value = u64::from_str_radix(&self.word().replace('_', ""), radix).ok();
            return Ok(TokenKind::Int(value));
        }
        self.digits();
        let mut whole = true;
        if self.rest().starts_with('.') {
            whole = false;
            self.at += 1;
            self.digits();
        }
        if let Some(token) = self.suffixed(start, whole) {
            return Ok(token);
        }
        let mantissa = self.at;
        if self.rest().starts_with(['e', 'E']) {
            self.at += 1;
            if self.rest().starts_with(['+', '-']) {
                self.at += 1;
            }
            let exponent = self.at;
            self.digits();
            if self.at == exponent {
                self.at = mantissa;
                return Err(self.error("digits after the exponent's `e`"));
            }
            whole = false;
            if let Some(token) = self.suffixed(start, whole) {
                return Ok(token);
            }
        }
        let digits = self.text[start..self.at].replace('_', "");
        if self.rest().starts_with(['j', 'J']) {
            self.at += 1;
            self.end_of_number()?;
            return Ok(TokenKind::Imaginary(digits.parse().unwrap_or(f64::NAN)));
        }
        self.end_of_number()?;
        Ok(if whole {
            TokenKind::Int(digits.parse().ok())
        } else {
            TokenKind::Float(digits.parse().unwrap_or(f64::NAN))
        })
    }

    fn radix(&self) -> Option<u32> {
        match self.rest().as_bytes() {
            [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => Some(16),
            [b'0', b'b' | b'B', b'0' | b'1', ..] => Some(2),
            [b'0', b'o' | b'O', b'0'..=b'7', ..] => Some(8),
            _ => None,
        }
    }

    fn end_of_number(&self) -> Result<(), Diagnostic> {
        if self.rest().starts_with(is_word) {
            Err(self.error("an operator after the number"))
        } else {
            Ok(())
        }
    }

    /// A typed literal, if a suffix ends the word here.
    fn suffixed(&mut self, start: usize, whole: bool) -> Option<TokenKind<'t>> {
        if self.grammar == Grammar::Plain {
            return None;
        }
        let rest = self.rest();
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        let &(suffix, dtype) = SUFFIXES.iter().find(|&&(suffix, _)| suffix == word)?;
        let digits = self.text[start..self.at].replace('_', "");
        let token = if dtype.is_integral() {
            if !whole {
                return None;
            }
            match digits.parse() {
                Ok(value) if fits(dtype, value) => TokenKind::TypedInt(dtype, value),
                _ => TokenKind::Int(None),
            }
        } else {
            TokenKind::TypedFloat(dtype, digits.parse().ok()?)
        };
        self.at += suffix.len();
        Some(token)
    }

    /// `([re +-] im j)c64` or `c128`, as one token.
    fn complex(&mut self) -> Option<TokenKind<'t>> {
        let text = self.rest().strip_prefix('(')?;
        // Only what a number is made of may stand inside, which also keeps the search short.
        let numeric = |c: char| c.is_ascii_digit() || c.is_ascii_whitespace() || "+-.eEj".contains(c);
        let (inside, after) = text.split_at(text.find(|c| !numeric(c))?);
        let after = after.strip_prefix(')')?;
        let (dtype, suffix) = if after.starts_with("c128") {
            (DType::C128, 4)
        } else if after.starts_with("c64") {
            (DType::C64, 3)
        } else {
            return None;
        };
        if after.get(suffix..).is_some_and(|after| after.starts_with(is_word)) {
            return None;
        }
        let (re, im) = complex_parts(inside)?;
        self.at += 1 + inside.len() + 1 + suffix;
        Some(TokenKind::Complex(dtype, re, im))
    }

    fn error(&self, expected: &str) -> Diagnostic {
        syntax_error(self.text, self.at, expected)
    }
}

/// A diagnostic about a text, with the byte offset.
pub(super) fn syntax_error(text: &str, at: usize, expected: &str) -> Diagnostic {
    let found = text.get(at..).and_then(|rest| rest.chars().next());
    let found = found.map_or_else(|| "the end".to_owned(), |c| format!("`{c}`"));
    Diagnostic::error("P0210", format!("not a symbolic expression: found {found} at byte {at}"))
        .at(shortened(text))
        .with_note(format!("expected {expected}"))
}

/// The text, or its beginning if it is long.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Real and imaginary part of `re + im j` or `im j`.
fn complex_parts(text: &str) -> Option<(f64, f64)> {
    let text = text.trim().strip_suffix('j')?;
    let numeric = |text: &str| -> Option<f64> {
        let text = text.trim();
        let plain = text.strip_prefix('-').unwrap_or(text);
        let starts_well = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        if starts_well { text.parse().ok() } else { None }
    };
    if let Some(im) = numeric(text) {
        return Some((0.0, im));
    }
    // The sign between the parts is the last one that is not of an exponent.
    let bytes = text.as_bytes();
    let split = (1..bytes.len())
        .rev()
        .find(|&k| matches!(bytes[k], b'+' | b'-') && !matches!(bytes[k - 1], b'e' | b'E'))?;
    let (re, im) = text.split_at(split);
    let im_value = numeric(&im[1..])?;
    Some((numeric(re)?, if im.starts_with('-') { -im_value } else { im_value }))
}

fn fits(dtype: DType, value: u64) -> bool {
    let bits = u32::try_from(dtype.bytes() * 8).unwrap_or(64);
    let bits = if dtype.is_unsigned() { bits } else { bits - 1 };
    bits == 64 || value < 1 << bits
}

fn is_word_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
