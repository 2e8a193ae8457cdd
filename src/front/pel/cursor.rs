//! Reading characters: names, punctuation, literals, code blocks and the extent of expressions.

use crate::diag::{Diagnostic, Result};

/// A place in the text. Nothing is tokenised ahead, because code blocks and JSON attributes have lexical
/// rules of their own.
pub(super) struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// Byte offset, for [`Cursor::rewind`] and [`Cursor::slice`].
    pub fn position(&self) -> usize {
        self.at
    }

    /// Goes back to a position that [`Cursor::position`] gave.
    pub fn rewind(&mut self, position: usize) {
        self.at = position;
    }

    /// The text between two positions.
    pub fn slice(&self, from: usize, to: usize) -> &'t str {
        self.text.get(from..to).unwrap_or("")
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Skips white space and comments (`;` or `#` to the end of the line).
    pub fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with([';', '#']) {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// Skips blanks on this line only.
    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
    }

    pub fn at_end(&mut self) -> bool {
        self.skip();
        self.rest().is_empty()
    }

    /// Whether the text goes on with `symbol` (after blanks and comments).
    pub fn sees(&mut self, symbol: &str) -> bool {
        self.skip();
        self.rest().starts_with(symbol)
    }

    /// Takes `symbol` if the text goes on with it.
    pub fn eat(&mut self, symbol: &str) -> bool {
        let seen = self.sees(symbol);
        if seen {
            self.at += symbol.len();
        }
        seen
    }

    pub fn expect(&mut self, symbol: &str, what_for: &str) -> Result<()> {
        if self.eat(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}` {what_for}"))) }
    }

    /// The bare word the text goes on with, not taken.
    pub fn peek_word(&mut self) -> &'t str {
        self.skip();
        word_at(self.rest())
    }

    /// Takes `word` if it is the next bare word.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let seen = self.peek_word() == word;
        if seen {
            self.at += word.len();
        }
        seen
    }

    /// A bare name, or any text between backquotes (backslash quotes the next character).
    pub fn name(&mut self, what: &str) -> Result<String> {
        self.skip();
        if self.rest().starts_with('`') {
            return self.quoted_name();
        }
        let word = word_at(self.rest());
        if word.is_empty() {
            return Err(self.unexpected(what));
        }
        self.at += word.len();
        Ok(word.to_owned())
    }

    /// A name that may have members: `a.b.c`.
    pub fn dotted_name(&mut self, what: &str) -> Result<String> {
        let mut name = self.name(what)?;
        while self.rest().starts_with('.') && !word_at(&self.rest()[1..]).is_empty() {
            self.at += 1;
            name.push('.');
            name.push_str(&self.name(what)?);
        }
        Ok(name)
    }

    /// Whether a name can start here.
    pub fn sees_name(&mut self) -> bool {
        self.sees("`") || !self.peek_word().is_empty()
    }

    fn quoted_name(&mut self) -> Result<String> {
        let start = self.at;
        let mut name = String::new();
        let mut letters = self.rest().char_indices().skip(1);
        while let Some((offset, letter)) = letters.next() {
            match letter {
                '`' => {
                    self.at = start + offset + 1;
                    return Ok(name);
                }
                '\\' => match letters.next() {
                    Some((_, 'n')) => name.push('\n'),
                    Some((_, 'r')) => name.push('\r'),
                    Some((_, quoted)) => name.push(quoted),
                    None => break,
                },
                other => name.push(other),
            }
        }
        Err(self.error("P0041", "a quoted name is not closed").with_help("close it with a backquote"))
    }

    /// A JSON string literal.
    pub fn string(&mut self, what: &str) -> Result<String> {
        if !self.sees("\"") {
            return Err(self.unexpected(what));
        }
        match self.json()? {
            serde_json::Value::String(text) => Ok(text),
            _ => Err(self.unexpected(what)),
        }
    }

    /// A JSON value.
    pub fn json(&mut self) -> Result<serde_json::Value> {
        self.skip();
        let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<serde_json::Value>();
        match values.next() {
            Some(Ok(value)) => {
                self.at += values.byte_offset();
                Ok(value)
            }
            Some(Err(error)) if !error.is_eof() => {
                Err(self.error("P0047", format!("not a JSON value: {error}")))
            }
            _ => Err(self.error("P0047", "a JSON value ends too early")),
        }
    }

    /// An unsigned integer literal.
    pub fn integer(&mut self, what: &str) -> Result<u64> {
        self.skip();
        let digits = self.rest().len() - self.rest().trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let text = self.slice(self.at, self.at + digits);
        if text.is_empty() {
            return Err(self.unexpected(what));
        }
        let value = text.parse().map_err(|_| self.error("P0048", "an integer does not fit 64 bits"))?;
        self.at += digits;
        Ok(value)
    }

    /// Everything up to white space or one of `,;()[]{}`: a literal that its reader interprets.
    pub fn literal(&mut self) -> &'t str {
        self.skip();
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || ",;()[]{}".contains(c)).unwrap_or(rest.len());
        self.at += end;
        self.slice(self.at - end, self.at)
    }

    /// A code block: `{ text to the matching brace }`, or lines that each start with `|`.
    pub fn code_block(&mut self) -> Result<String> {
        self.expect("{", "to open a code block")?;
        let opened = self.at;
        let rest = self.rest();
        if rest.trim_start().starts_with('|') {
            let mut lines = Vec::new();
            self.at += rest.len() - rest.trim_start().len();
            while self.rest().starts_with('|') {
                let rest = self.rest();
                let end = rest.find('\n').unwrap_or(rest.len());
                let line = &rest[1..end];
                lines.push(line.strip_prefix(' ').unwrap_or(line));
                self.at = (self.at + end + 1).min(self.text.len());
                self.skip_blanks();
            }
            self.expect("}", "to close a code block")?;
            return Ok(lines.join("\n"));
        }
        match closing_brace(rest) {
            Some(end) => {
                self.at = opened + end + 1;
                Ok(dedented(&rest[..end]))
            }
            None => Err(self.error("P0041", "a code block is not closed").with_help("close it with `}`")),
        }
    }

    /// The extent of an expression: operands joined by operators, on one line except inside brackets. Ends
    /// where no operator follows an operand. What it means is for its reader to find out.
    pub fn expression(&mut self, what: &str) -> Result<&'t str> {
        self.skip();
        let start = self.at;
        loop {
            self.prefix_operators();
            if !self.operand() {
                return Err(self.unexpected(what));
            }
            let end = self.at;
            self.skip_blanks();
            if !self.infix_operator() {
                self.at = end;
                return Ok(self.slice(start, end));
            }
        }
    }

    fn prefix_operators(&mut self) {
        loop {
            self.skip_blanks();
            if self.rest().starts_with(['-', '+', '~', '!']) {
                self.at += 1;
            } else if word_at(self.rest()) == "not" {
                self.at += 3;
            } else {
                return;
            }
        }
    }

    fn operand(&mut self) -> bool {
        let rest = self.rest();
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            self.at += number_length(rest);
        } else if rest.starts_with("$?") {
            self.at += 2;
        } else if first == '$' || is_name_start(first) {
            let start = usize::from(first == '$');
            let word = word_at(&rest[start..]);
            if word.is_empty() || RESERVED_IN_EXPRESSIONS.contains(&word) {
                return false;
            }
            self.at += start + word.len();
        } else if first == '(' {
            if !self.brackets() {
                return false;
            }
        } else {
            return false;
        }
        loop {
            let rest = self.rest();
            if rest.starts_with(['(', '[']) {
                if !self.brackets() {
                    return false;
                }
            } else if rest.starts_with('.') && !word_at(&rest[1..]).is_empty() {
                self.at += 1 + word_at(&rest[1..]).len();
            } else if rest.starts_with("::") && !word_at(&rest[2..]).is_empty() {
                self.at += 2 + word_at(&rest[2..]).len();
            } else {
                return true;
            }
        }
    }

    /// Skips one balanced bracket group.
    fn brackets(&mut self) -> bool {
        let mut open = Vec::new();
        for (offset, letter) in self.rest().char_indices() {
            match letter {
                '(' => open.push(')'),
                '[' => open.push(']'),
                ')' | ']' => {
                    if open.pop() != Some(letter) {
                        return false;
                    }
                    if open.is_empty() {
                        self.at += offset + 1;
                        return true;
                    }
                }
                ';' | '#' | '"' | '\'' | '`' | '{' | '}' | '\n' => return false,
                _ => {}
            }
        }
        false
    }

    fn infix_operator(&mut self) -> bool {
        let rest = self.rest();
        if rest.starts_with("->") || rest.starts_with("<-") {
            return false;
        }
        let symbol = INFIX.iter().find(|symbol| rest.starts_with(**symbol)).copied().unwrap_or("");
        let word = word_at(rest);
        let length = match symbol {
            "" if ["and", "or", "if", "else", "is"].contains(&word) => word.len(),
            symbol => symbol.len(),
        };
        self.at += length;
        length > 0
    }

    /// An error at the current place.
    pub fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        self.error_at(self.at, code, message)
    }

    /// An error at a place seen before.
    pub fn error_at(&self, at: usize, code: &'static str, message: impl Into<String>) -> Diagnostic {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |text| text.chars().count()) + 1;
        Diagnostic::error(code, message).at(format!("line {line}, column {column}"))
    }

    /// The error for finding something else than `expected`.
    pub fn unexpected(&mut self, expected: &str) -> Diagnostic {
        self.skip();
        let rest = self.rest();
        let found = match word_at(rest) {
            "" => rest.chars().next().map_or("the end of the text".to_owned(), |c| format!("`{c}`")),
            word => format!("`{}`", word.chars().take(40).collect::<String>()),
        };
        self.error("P0040", format!("expected {expected}, found {found}"))
    }
}

const INFIX: [&str; 22] = [
    "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+", "-", "*", "/", "%", "<", ">", "&", "|",
    "^", "?", "@@",
];

const RESERVED_IN_EXPRESSIONS: [&str; 5] = ["if", "else", "and", "or", "lambda"];

/// Whether the whole of `text` is one expression in the sense of [`Cursor::expression`].
pub(super) fn is_one_expression(text: &str) -> bool {
    let mut cursor = Cursor::new(text);
    cursor.expression("").is_ok_and(|found| found.len() == text.len())
}

/// Whether `text` is a bare name.
pub(super) fn is_bare_name(text: &str) -> bool {
    !text.is_empty() && word_at(text).len() == text.len()
}

pub(super) fn is_name_start(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_'
}

pub(super) fn word_at(text: &str) -> &str {
    if !text.starts_with(is_name_start) {
        return "";
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn number_length(text: &str) -> usize {
    let mut previous = ' ';
    let mut hexadecimal = false;
    for (offset, letter) in text.char_indices() {
        let exponent_sign = matches!(letter, '+' | '-') && matches!(previous, 'e' | 'E') && !hexadecimal;
        if !(letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_') || exponent_sign) {
            return offset;
        }
        hexadecimal |= matches!(letter, 'x' | 'X');
        previous = letter;
    }
    text.len()
}

/// The offset of the brace that closes the one before `text`, skipping quoted text.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((offset, letter)) = letters.next() {
        match (quote, letter) {
            (Some(_), '\\') => {
                letters.next();
            }
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '{') => depth += 1,
            (None, '}') => match depth.checked_sub(1) {
                None => return Some(offset),
                Some(less) => depth = less,
            },
            (None, _) => {}
        }
    }
    None
}

/// Text without the indentation its lines share and without blank lines around it.
fn dedented(text: &str) -> String {
    if !text.contains('\n') {
        return text.trim().to_owned();
    }
    let lines: Vec<&str> = text.lines().collect();
    // The first line follows the brace, so its indentation says nothing.
    let indent = lines.iter().skip(1).filter(|line| !line.trim().is_empty());
    let indent = indent.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let cut = lines.iter().enumerate().map(|(n, line)| {
        if n == 0 { line.trim_start() } else { line.get(indent..).unwrap_or("").trim_end() }
    });
    cut.collect::<Vec<_>>().join("\n").trim_matches('\n').trim_end().to_owned()
}
