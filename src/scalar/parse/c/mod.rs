//! A small part of C++ to the common [`tree`](super::tree): expressions, declarations, assignments, branches and
//! loops, as tasklets use them. Templates are only read as part of a name (`static_cast<T>`, `std::complex<T>`).

mod lapack;
mod lex;

pub use lapack::{LapackCall, lapack_call};

use crate::diag::Diagnostic;

use self::lex::{Token, tokens};
use super::tree::{Binary, Expr, MAX_DEPTH, Stmt, Unary};
use super::types::named;
use super::unsupported;

/// Most operators in a chain, whose tree is freed recursively.
const MAX_CHAIN: usize = 4000;

/// Reads the statements of a tasklet.
pub fn statements(text: &str) -> Result<Vec<Stmt>, Diagnostic> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let mut list = Vec::new();
    while parser.peek() != &Token::End {
        parser.statement(&mut list)?;
    }
    Ok(list)
}

/// Reads one expression.
pub fn expression(text: &str) -> Result<Expr, Diagnostic> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let expr = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(expr),
        other => Err(unexpected(other)),
    }
}

fn unexpected(token: &Token) -> Diagnostic {
    let shown = match token {
        Token::Name(name) => name.clone(),
        Token::Symbol(symbol) => (*symbol).to_string(),
        Token::Int(value, _) => value.to_string(),
        Token::Float(value) => value.to_string(),
        Token::Float32(value) => value.to_string(),
        Token::Text(text) => format!("\"{text}\""),
        Token::End => return Diagnostic::error("P0301", "the C++ code ends too early"),
    };
    Diagnostic::error("P0301", format!("the C++ code has `{shown}` where it cannot be read"))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn peek_after(&self, count: usize) -> &Token {
        self.tokens.get(self.at + count).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(found) if *found == symbol)
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Diagnostic> {
        if self.eat(symbol) { Ok(()) } else { Err(unexpected(self.peek())) }
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == name)
    }

    fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, Diagnostic>) -> Result<T, Diagnostic> {
        if self.depth >= MAX_DEPTH {
            return Err(Diagnostic::error("P0303", "the code is too large: it nests too deeply"));
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    fn statement(&mut self, list: &mut Vec<Stmt>) -> Result<(), Diagnostic> {
        self.deeper(|parser| parser.one_statement(list))
    }

    fn one_statement(&mut self, list: &mut Vec<Stmt>) -> Result<(), Diagnostic> {
        if self.eat(";") {
            return Ok(());
        }
        if self.eat("{") {
            let mut body = Vec::new();
            while !self.eat("}") {
                self.statement(&mut body)?;
            }
            list.push(Stmt::Block(body));
            return Ok(());
        }
        let keyword = match self.peek() {
            Token::Name(name) => name.clone(),
            _ => String::new(),
        };
        match keyword.as_str() {
            "if" => {
                self.next();
                self.expect("(")?;
                let condition = self.expression()?;
                self.expect(")")?;
                let then = self.body()?;
                let mut otherwise = Vec::new();
                if self.is_name("else") {
                    self.next();
                    otherwise = self.body()?;
                }
                list.push(Stmt::If(condition, then, otherwise));
            }
            "while" => {
                self.next();
                self.expect("(")?;
                let condition = self.expression()?;
                self.expect(")")?;
                let body = self.body()?;
                list.push(Stmt::While(condition, body));
            }
            "for" => self.for_loop(list)?,
            "return" | "break" | "continue" | "goto" | "do" | "switch" | "throw" | "try" => {
                return Err(unsupported(&format!("a `{keyword}` statement")));
            }
            "using" | "typedef" | "static_assert" => {
                while !self.is(";") && self.peek() != &Token::End {
                    self.next();
                }
                self.expect(";")?;
            }
            _ => {
                self.simple(list)?;
                // The last semicolon may be missing.
                if !self.eat(";") && self.peek() != &Token::End {
                    return Err(unexpected(self.peek()));
                }
            }
        }
        Ok(())
    }

    fn body(&mut self) -> Result<Vec<Stmt>, Diagnostic> {
        let mut list = Vec::new();
        self.statement(&mut list)?;
        // One block is enough of a scope.
        Ok(vec![Stmt::Block(list)])
    }

    fn for_loop(&mut self, list: &mut Vec<Stmt>) -> Result<(), Diagnostic> {
        self.next();
        self.expect("(")?;
        let mut block = Vec::new();
        if !self.is(";") {
            self.simple(&mut block)?;
        }
        self.expect(";")?;
        let condition = if self.is(";") { Expr::Bool(true) } else { self.expression()? };
        self.expect(";")?;
        let mut update = Vec::new();
        while !self.is(")") {
            self.simple(&mut update)?;
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        let mut body = self.body()?;
        body.extend(update);
        block.push(Stmt::While(condition, body));
        list.push(Stmt::Block(block));
        Ok(())
    }

    /// A declaration, assignment, increment or call, without its semicolon.
    fn simple(&mut self, list: &mut Vec<Stmt>) -> Result<(), Diagnostic> {
        if let Some((ty, length)) = self.declared_type() {
            self.at += length;
            loop {
                let Token::Name(name) = self.next() else {
                    return Err(unsupported("this declaration"));
                };
                let value = if self.eat("=") {
                    Some(self.expression()?)
                } else if self.is("[") || self.is("(") || self.is("{") {
                    return Err(unsupported("a declaration of an array or with a constructor"));
                } else {
                    None
                };
                list.push(Stmt::Declare(name, ty.clone(), value));
                if !self.eat(",") {
                    return Ok(());
                }
            }
        }
        for (symbol, op) in [("++", Binary::Add), ("--", Binary::Sub)] {
            if self.eat(symbol) {
                let place = self.unary()?;
                list.push(Stmt::Augment(place, op, Expr::int(1)));
                return Ok(());
            }
        }
        let first = self.expression()?;
        if let Token::Symbol(symbol) = *self.peek() {
            let op = match symbol {
                "+=" => Some(Binary::Add),
                "-=" => Some(Binary::Sub),
                "*=" => Some(Binary::Mul),
                "/=" => Some(Binary::Div),
                "%=" => Some(Binary::Rem),
                "&=" => Some(Binary::BitAnd),
                "|=" => Some(Binary::BitOr),
                "^=" => Some(Binary::BitXor),
                "<<=" => Some(Binary::Shl),
                ">>=" => Some(Binary::Shr),
                "++" | "--" => {
                    self.next();
                    let op = if symbol == "++" { Binary::Add } else { Binary::Sub };
                    list.push(Stmt::Augment(first, op, Expr::int(1)));
                    return Ok(());
                }
                _ => None,
            };
            if let Some(op) = op {
                self.next();
                let value = self.expression()?;
                list.push(Stmt::Augment(first, op, value));
                return Ok(());
            }
        }
        let mut targets = Vec::new();
        let mut value = first;
        while self.eat("=") {
            targets.push(std::mem::replace(&mut value, self.expression()?));
        }
        list.push(if targets.is_empty() { Stmt::Evaluate(value) } else { Stmt::Assign(targets, value) });
        Ok(())
    }

    /// A type followed by a name: the type and how many tokens it takes.
    fn declared_type(&self) -> Option<(String, usize)> {
        let mut length = 0;
        while matches!(self.peek_after(length), Token::Name(name) if matches!(name.as_str(), "const" | "constexpr" | "static"))
        {
            length += 1;
        }
        let (ty, tokens) = if matches!(self.peek_after(length), Token::Name(name) if name == "auto") {
            ("auto".to_string(), 1)
        } else {
            self.type_at(length)?
        };
        length += tokens;
        while matches!(self.peek_after(length), Token::Symbol("&"))
            || matches!(self.peek_after(length), Token::Name(name) if name == "const")
        {
            length += 1;
        }
        matches!(self.peek_after(length), Token::Name(_)).then_some((ty, length))
    }

    /// A known type name that starts `offset` tokens ahead, in normal form, and its length.
    fn type_at(&self, offset: usize) -> Option<(String, usize)> {
        let mut words: Vec<String> = Vec::new();
        let mut length = 0;
        loop {
            match self.peek_after(offset + length) {
                Token::Name(name) if name == "const" => length += 1,
                Token::Name(name) => {
                    let (name, tokens) = self.qualified(offset + length, name.clone());
                    let mut candidate = words.clone();
                    candidate.push(name);
                    let multiple = matches!(
                        candidate.join(" ").as_str(),
                        "unsigned" | "signed" | "long" | "short" | "long long" | "unsigned long"
                    );
                    if named(&candidate.join(" ")).is_none() && !multiple {
                        break;
                    }
                    words = candidate;
                    length += tokens;
                    if !multiple {
                        break;
                    }
                }
                _ => break,
            }
        }
        let name = words.join(" ");
        named(&name)?;
        Some((name, length))
    }

    /// `a::b<...>::c` as a dotted name, and how many tokens it takes.
    fn qualified(&self, offset: usize, first: String) -> (String, usize) {
        let mut name = first;
        let mut length = 1;
        loop {
            let last = name.rsplit('.').next().unwrap_or(&name);
            if matches!(self.peek_after(offset + length), Token::Symbol("<"))
                && matches!(
                    last,
                    "static_cast"
                        | "reinterpret_cast"
                        | "const_cast"
                        | "complex"
                        | "CopyImpl"
                        | "CopyND"
                        | "vec"
                        | "numeric_limits"
                        | "min"
                        | "max"
                        | "pow"
                        | "ConstDst"
                        | "ConstSrc"
                )
                && let Some((arguments, tokens)) = self.template_arguments(offset + length)
            {
                name.push_str(&arguments);
                length += tokens;
                continue;
            }
            if matches!(self.peek_after(offset + length), Token::Symbol("::"))
                && let Token::Name(part) = self.peek_after(offset + length + 1)
            {
                name.push('.');
                name.push_str(part);
                length += 2;
                continue;
            }
            return (name, length);
        }
    }

    fn template_arguments(&self, offset: usize) -> Option<(String, usize)> {
        let mut text = String::new();
        let mut depth = 0_i32;
        let mut length = 0;
        loop {
            match self.peek_after(offset + length) {
                Token::Symbol("<") => {
                    depth += 1;
                    text.push('<');
                }
                Token::Symbol(">") => {
                    depth -= 1;
                    text.push('>');
                }
                Token::Symbol(">>") => {
                    depth -= 2;
                    text.push_str(">>");
                }
                Token::Symbol(symbol @ ("," | "::" | "*")) => text.push_str(symbol),
                Token::Name(name) => text.push_str(name),
                Token::Int(value, _) => text.push_str(&value.to_string()),
                _ => return None,
            }
            length += 1;
            if depth == 0 {
                return Some((text, length));
            }
            if depth < 0 {
                return None;
            }
        }
    }

    fn expression(&mut self) -> Result<Expr, Diagnostic> {
        self.deeper(Self::ternary)
    }

    fn ternary(&mut self) -> Result<Expr, Diagnostic> {
        let condition = self.operators(0)?;
        if !self.eat("?") {
            return Ok(condition);
        }
        let then = self.expression()?;
        self.expect(":")?;
        let otherwise = self.expression()?;
        Ok(Expr::Conditional {
            condition: Box::new(condition),
            then: Box::new(then),
            otherwise: Box::new(otherwise),
        })
    }

    /// Binary operators of at least the given precedence, left to right.
    fn operators(&mut self, precedence: u8) -> Result<Expr, Diagnostic> {
        let mut left = self.unary()?;
        let mut count = 0;
        while let Token::Symbol(symbol) = *self.peek() {
            let Some((level, op)) = infix(symbol) else { break };
            if level < precedence {
                break;
            }
            count += 1;
            if count > MAX_CHAIN {
                return Err(Diagnostic::error("P0303", "the code is too large: too many operators"));
            }
            self.next();
            let right = Box::new(self.deeper(|parser| parser.operators(level + 1))?);
            left = match op {
                Some(op) => Expr::Binary(op, Box::new(left), right),
                None if symbol == "&&" => Expr::And(Box::new(left), right),
                None => Expr::Or(Box::new(left), right),
            };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, Diagnostic> {
        self.deeper(Self::one_unary)
    }

    fn one_unary(&mut self) -> Result<Expr, Diagnostic> {
        for (symbol, op) in [("-", Unary::Minus), ("+", Unary::Plus), ("!", Unary::Not), ("~", Unary::Invert)]
        {
            if self.eat(symbol) {
                return Ok(Expr::Unary(op, Box::new(self.unary()?)));
            }
        }
        if self.eat("*") {
            // A pointer's first element.
            return Ok(Expr::Subscript(Box::new(self.unary()?), vec![Expr::int(0)]));
        }
        if self.is("(")
            && let Some((ty, length)) = self.type_at(1)
        {
            let mut end = 1 + length;
            if matches!(self.peek_after(end), Token::Symbol("*")) {
                return Err(unsupported("a pointer cast"));
            }
            if matches!(self.peek_after(end), Token::Symbol(")")) {
                end += 1;
                self.at += end;
                return Ok(Expr::call(&ty, vec![self.unary()?]));
            }
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Result<Expr, Diagnostic> {
        let mut value = self.primary()?;
        loop {
            if self.eat("[") {
                let index = self.expression()?;
                self.expect("]")?;
                value = Expr::Subscript(Box::new(value), vec![index]);
            } else if self.eat(".") || self.eat("->") {
                let Token::Name(field) = self.next() else {
                    return Err(unexpected(self.peek()));
                };
                value = if self.is("(") {
                    let arguments = self.arguments()?;
                    match value {
                        Expr::Name(name) => Expr::call(&format!("{name}.{field}"), arguments),
                        base => Expr::Method(Box::new(base), field, arguments),
                    }
                } else {
                    Expr::Field(Box::new(value), field)
                };
            } else {
                return Ok(value);
            }
        }
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, Diagnostic> {
        self.expect("(")?;
        let mut list = Vec::new();
        while !self.is(")") {
            list.push(self.expression()?);
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(list)
    }

    fn primary(&mut self) -> Result<Expr, Diagnostic> {
        if let Some((ty, length)) = self.type_at(0)
            && matches!(self.peek_after(length), Token::Symbol("("))
        {
            self.at += length;
            return Ok(Expr::call(&ty, self.arguments()?));
        }
        match self.next() {
            Token::Int(value, suffix) => Ok(Expr::Int(value, suffix)),
            Token::Float(value) => Ok(Expr::Float(value)),
            Token::Float32(value) => Ok(Expr::Float32(value)),
            Token::Text(text) => Ok(Expr::Text(text)),
            Token::Symbol("(") => {
                let value = self.expression()?;
                self.expect(")")?;
                Ok(value)
            }
            Token::Name(name) => self.named_primary(name),
            other => Err(unexpected(&other)),
        }
    }

    fn named_primary(&mut self, first: String) -> Result<Expr, Diagnostic> {
        match first.as_str() {
            "true" => return Ok(Expr::Bool(true)),
            "false" => return Ok(Expr::Bool(false)),
            "nullptr" | "NULL" => return Ok(Expr::None),
            "sizeof" | "new" | "delete" | "lambda" => return Err(unsupported(&format!("`{first}`"))),
            _ => {}
        }
        self.at -= 1;
        let (name, length) = self.qualified(0, first);
        self.at += length;
        if let Some((_, ty)) = name.split_once("_cast<") {
            let ty = ty.strip_suffix('>').unwrap_or(ty).replace("::", ".");
            return match <[Expr; 1]>::try_from(self.arguments()?) {
                Ok([value]) if !ty.contains('*') => Ok(Expr::call(&ty, vec![value])),
                _ => Err(unsupported("this cast")),
            };
        }
        if !self.is("(") {
            return Ok(Expr::Name(name));
        }
        let arguments = self.arguments()?;
        // decltype(name)(value)
        if name == "decltype"
            && self.is("(")
            && let [Expr::Name(place)] = &arguments[..]
            && let Ok([value]) = <[Expr; 1]>::try_from(self.arguments()?)
        {
            return Ok(Expr::CastLike(place.clone(), Box::new(value)));
        }
        Ok(Expr::call(&name, arguments))
    }
}

/// Precedence and meaning of an infix operator; `&&` and `||` have a meaning of their own.
fn infix(symbol: &str) -> Option<(u8, Option<Binary>)> {
    Some(match symbol {
        "||" => (1, None),
        "&&" => (2, None),
        "|" => (3, Some(Binary::BitOr)),
        "^" => (4, Some(Binary::BitXor)),
        "&" => (5, Some(Binary::BitAnd)),
        "==" => (6, Some(Binary::Eq)),
        "!=" => (6, Some(Binary::Ne)),
        "<" => (7, Some(Binary::Lt)),
        "<=" => (7, Some(Binary::Le)),
        ">" => (7, Some(Binary::Gt)),
        ">=" => (7, Some(Binary::Ge)),
        "<<" => (8, Some(Binary::Shl)),
        ">>" => (8, Some(Binary::Shr)),
        "+" => (9, Some(Binary::Add)),
        "-" => (9, Some(Binary::Sub)),
        "*" => (10, Some(Binary::Mul)),
        "/" => (10, Some(Binary::Div)),
        "%" => (10, Some(Binary::Rem)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        format!("{:?}", expression(text).unwrap())
    }

    #[test]
    fn precedence_is_that_of_c() {
        assert_eq!(shown("a + b * c"), shown("a + (b * c)"));
        assert_eq!(shown("a - b - c"), shown("(a - b) - c"));
        assert_eq!(shown("a < b == c & d"), shown("((a < b) == c) & d"));
        assert_eq!(shown("a || b && !c"), shown("a || (b && (!c))"));
        assert_eq!(shown("x ? 1 : y ? 2 : 3"), shown("x ? 1 : (y ? 2 : 3)"));
    }

    #[test]
    fn casts_in_all_spellings() {
        let expected = Expr::call("double", vec![Expr::Name("x".into())]);
        for text in ["(double)x", "double(x)", "static_cast<double>(x)"] {
            assert_eq!(expression(text).unwrap(), expected, "{text}");
        }
        assert_eq!(shown("(x) + 1"), shown("x + 1"));
        assert_eq!(shown("dace::float64(x)"), shown("(dace::float64)x"));
    }

    #[test]
    fn statements_of_a_loop() {
        let list =
            statements("double s = 0; for (int i = 0; i < n; ++i) s += a[i]; // sum\n out = s;").unwrap();
        assert_eq!(list.len(), 3);
        assert!(matches!(&list[0], Stmt::Declare(name, ty, Some(_)) if name == "s" && ty == "double"));
        assert!(matches!(&list[1], Stmt::Block(_)));
    }

    #[test]
    fn what_is_no_code_is_a_diagnostic() {
        for text in ["a = ;", "a = (1", "@", "return 1;", "x = \"unterminated", "int a[3];"] {
            assert!(statements(text).is_err(), "{text}");
        }
        assert!(statements(&"(".repeat(100_000)).is_err());
        assert!(statements(&"-".repeat(100_000)).is_err());
    }
}
