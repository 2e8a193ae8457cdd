//! The Python literals that stand in `.npy` headers: strings, numbers, tuples, lists and one dictionary.
//!
//! Depth is bounded, so a hostile header cannot exhaust the stack.

/// A literal.
#[derive(Clone, PartialEq, Debug)]
pub enum Literal {
    /// `'text'` or `"text"`.
    Text(String),
    /// A non-negative integer.
    Integer(u64),
    /// `True` or `False`.
    Bool(bool),
    /// `None`.
    None,
    /// A tuple or a list.
    Sequence(Vec<Literal>),
    /// A dictionary, in order.
    Dictionary(Vec<(Literal, Literal)>),
}

const DEEPEST: usize = 16;

/// Reads one literal that fills `text`. The error says what is wrong and at which byte.
pub fn parse(text: &str) -> Result<Literal, String> {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    let literal = reader.literal(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(literal),
        Some(_) => Err(reader.wrong("the end of the header")),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn wrong(&self, expected: &str) -> String {
        format!("expected {expected} at byte {} of the header", self.at)
    }

    fn literal(&mut self, depth: usize) -> Result<Literal, String> {
        if depth > DEEPEST {
            return Err(self.wrong("less nesting"));
        }
        self.skip_space();
        match self.peek() {
            Some(quote @ (b'\'' | b'"')) => self.text(quote),
            Some(b'(') => self.sequence(b')', depth),
            Some(b'[') => self.sequence(b']', depth),
            Some(b'{') => self.dictionary(depth),
            Some(byte) if byte.is_ascii_digit() => self.integer(),
            Some(byte) if byte.is_ascii_alphabetic() => self.word(),
            _ => Err(self.wrong("a Python literal")),
        }
    }

    fn text(&mut self, quote: u8) -> Result<Literal, String> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.wrong("a closing quote")),
                Some(byte) if byte == quote => break,
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(byte @ (b'\\' | b'\'' | b'"')) => text.push(byte),
                        _ => return Err(self.wrong("a simple escape")),
                    }
                }
                Some(byte) => text.push(byte),
            }
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8(text).map(Literal::Text).map_err(|_| self.wrong("UTF-8 text"))
    }

    fn sequence(&mut self, close: u8, depth: usize) -> Result<Literal, String> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.take(close) {
            items.push(self.literal(depth + 1)?);
            if !self.take(b',') {
                if !self.take(close) {
                    return Err(self.wrong("a comma or the end of the sequence"));
                }
                break;
            }
        }
        Ok(Literal::Sequence(items))
    }

    fn dictionary(&mut self, depth: usize) -> Result<Literal, String> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.take(b'}') {
            let key = self.literal(depth + 1)?;
            if !self.take(b':') {
                return Err(self.wrong("a colon"));
            }
            items.push((key, self.literal(depth + 1)?));
            if !self.take(b',') {
                if !self.take(b'}') {
                    return Err(self.wrong("a comma or the end of the dictionary"));
                }
                break;
            }
        }
        Ok(Literal::Dictionary(items))
    }

    fn integer(&mut self) -> Result<Literal, String> {
        let mut value: u64 = 0;
        while let Some(byte) = self.peek().filter(u8::is_ascii_digit) {
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(u64::from(byte - b'0')))
                .ok_or_else(|| self.wrong("a number that fits 64 bits"))?;
            self.at += 1;
        }
        // Python 2 wrote long integers as `3L`.
        if self.peek() == Some(b'L') {
            self.at += 1;
        }
        Ok(Literal::Integer(value))
    }

    fn word(&mut self) -> Result<Literal, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let literal = match rest.get(..length) {
            Some(b"True") => Literal::Bool(true),
            Some(b"False") => Literal::Bool(false),
            Some(b"None") => Literal::None,
            _ => return Err(self.wrong("True, False or None")),
        };
        self.at += length;
        Ok(literal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_header_as_numpy_writes_it() {
        let header = parse("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }  ").unwrap();
        let Literal::Dictionary(items) = header else { panic!("not a dictionary") };
        assert_eq!(items[0].1, Literal::Text("<f8".into()));
        assert_eq!(items[2].1, Literal::Sequence(vec![Literal::Integer(3), Literal::Integer(4)]));
    }

    #[test]
    fn refuses_depth_and_garbage() {
        assert!(parse(&"(".repeat(100_000)).is_err());
        assert!(parse("{'a' 1}").is_err());
        assert!(parse("99999999999999999999").is_err());
        assert!(parse("'open").is_err());
        assert!(parse("(1,) x").is_err());
    }
}
