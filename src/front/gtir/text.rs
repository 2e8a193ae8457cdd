//! Reader of GT4Py's printed GTIR.
//!
//! Printed text leaves out the types of parameters, and older printers those of literals: parameters come without a
//! type, and a literal without an annotation is `int32` (or `int64` where it has to be), `float64` or `bool`. A local
//! dimension looks like a name. So text is read together with arguments, whose types are known.
//!
//! Operators from loose to tight: `λ`, `if`, `∨`, `∧`, comparisons, `+ -`, `× /`, prefixes `· ¬ ↑ ⇑`, then calls and
//! `x[i]`. The parser keeps what is open on a stack of its own, so nesting is no limit.

use hashbrown::HashMap;

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::scalar::{DType, Scalar};

use super::ast::{
    DimKind, Dimension, Function, OffsetLabel, Param, Program, Stmt, Temporary, Term, TermId, Type, TypeId,
};
use super::builtins::Builtin;
use super::json_convert::literal;
use super::text_lexer::{Located, Token, error_at, tokens};

/// Statements nest a few levels in real programs; more than this is an attack.
const MAX_NESTING: usize = 200;

/// Reads a printed program.
pub fn read(text: &str) -> Result<Program> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens, at: 0, program: Program::default(), bound: HashMap::new() };
    parser.program()?;
    Ok(parser.program)
}

/// What encloses the place being read, innermost last.
enum Open {
    /// `λ(params) →`
    Lambda(Box<[Name]>),
    /// `if`
    Condition,
    /// `if c then`
    Then(TermId),
    /// `if c then a else`
    Else(TermId, TermId),
    /// A prefix operator.
    Prefix(Builtin),
    /// `a +`, with the operator's tightness.
    Infix(Builtin, TermId, u8),
    /// `(`
    Group,
    /// An opening bracket with what it closes with, what is called, and what is complete.
    List { close: &'static str, callee: TermId, items: Vec<TermId> },
    /// `tuple[`
    Index(TermId),
    /// `axis: [`
    RangeStart(TermId),
    /// `axis: [start,`
    RangeStop(TermId, TermId),
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Located<'t>>,
    at: usize,
    program: Program,
    /// How many binders of a name enclose the place being read.
    bound: HashMap<Name, u32>,
}

impl<'t> Parser<'t> {
    // ---- program and statements -----------------------------------------------------------------------

    fn program(&mut self) -> Result<()> {
        self.program.name = self.name("the program's name")?.to_owned();
        self.expect("(")?;
        let params = self.names(")")?;
        self.program.params = params.iter().map(|name| Param { name: *name, ty: None }).collect();
        self.expect("{")?;
        while let (Token::Name(name), Token::Mark("=")) = (self.peek(0), self.peek(1)) {
            let name = self.program.names.intern(name);
            self.at += 2;
            if self.accept("λ(") {
                let params = self.names(")")?;
                self.expect("→")?;
                self.bind(&params);
                let body = self.term()?;
                self.unbind(&params);
                self.program.functions.push(Function { name, params, body });
                self.bind(&[name]);
            } else {
                self.temporary(name)?;
            }
            self.expect(";")?;
        }
        self.bind(&params);
        while !self.accept("}") {
            let statement = self.statement(0)?;
            self.program.body.push(statement);
        }
        if self.peek(0) != Token::End {
            return Err(self.unexpected("the end of the text"));
        }
        Ok(())
    }

    fn temporary(&mut self, name: Name) -> Result<()> {
        if self.name("`temporary`")? != "temporary" {
            self.at -= 1;
            return Err(self.unexpected("a function or `temporary(...)`"));
        }
        self.expect("(")?;
        let (mut domain, mut dtype) = (None, None);
        while !self.accept(")") {
            match self.name("`domain` or `dtype`")? {
                "domain" => {
                    self.expect("=")?;
                    domain = Some(self.term()?);
                }
                "dtype" => {
                    self.expect("=")?;
                    dtype = Some(self.ty(0)?);
                }
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected("`domain` or `dtype`"));
                }
            }
            self.accept(",");
        }
        let none = self.program.term(Term::None);
        self.program.temporaries.push(Temporary { name, domain: domain.unwrap_or(none), dtype });
        self.bind(&[name]);
        Ok(())
    }

    fn statement(&mut self, depth: usize) -> Result<Stmt> {
        if depth > MAX_NESTING {
            return Err(self.error(format!("statements nest more than {MAX_NESTING} levels deep")));
        }
        if self.peek(0) == Token::Name("if") {
            self.at += 1;
            self.expect("(")?;
            let condition = self.term()?;
            self.expect(")")?;
            let then = self.block(depth)?;
            if self.name("`else`")? != "else" {
                self.at -= 1;
                return Err(self.unexpected("`else`"));
            }
            return Ok(Stmt::If { condition, then, otherwise: self.block(depth)? });
        }
        let target = self.term()?;
        self.expect("@")?;
        let domain = self.term()?;
        self.expect("←")?;
        let value = self.term()?;
        self.expect(";")?;
        Ok(Stmt::SetAt { value, domain, target })
    }

    fn block(&mut self, depth: usize) -> Result<Vec<Stmt>> {
        self.expect("{")?;
        let mut statements = Vec::new();
        while !self.accept("}") {
            statements.push(self.statement(depth + 1)?);
        }
        Ok(statements)
    }

    fn ty(&mut self, depth: usize) -> Result<TypeId> {
        if depth > MAX_NESTING {
            return Err(self.error(format!("types nest more than {MAX_NESTING} levels deep")));
        }
        if self.accept("{") {
            let mut members = Vec::new();
            while !self.accept("}") {
                members.push(self.ty(depth + 1)?);
                self.accept(",");
            }
            return Ok(self.program.intern_type(Type::Tuple(members.into())));
        }
        let dtype = self.dtype()?;
        Ok(self.program.intern_type(Type::Scalar(dtype)))
    }

    fn dtype(&mut self) -> Result<DType> {
        let name = self.name("a type such as `f64` or `i32`")?;
        let dtype = match name {
            "i1" => DType::Bool,
            "i8" => DType::I8,
            "i16" => DType::I16,
            "i32" => DType::I32,
            "i64" => DType::I64,
            "u8" => DType::U8,
            "u16" => DType::U16,
            "u32" => DType::U32,
            "u64" => DType::U64,
            "f32" => DType::F32,
            "f64" => DType::F64,
            _ => {
                self.at -= 1;
                return Err(self.unexpected("a type such as `f64` or `i32`"));
            }
        };
        Ok(dtype)
    }

    // ---- terms --------------------------------------------------------------------------------------------

    /// Reads a term up to the mark that cannot belong to it.
    fn term(&mut self) -> Result<TermId> {
        let mut open: Vec<Open> = Vec::new();
        'operand: loop {
            let Some(mut value) = self.operand(&mut open)? else { continue };
            loop {
                match self.peek(0) {
                    Token::Mark("(") => {
                        self.at += 1;
                        open.push(Open::List { close: ")", callee: value, items: Vec::new() });
                        match self.close_empty(&mut open) {
                            Some(empty) => value = empty,
                            None => continue 'operand,
                        }
                        continue;
                    }
                    Token::Mark("[") if !self.ends_range(&open) => {
                        self.at += 1;
                        open.push(Open::Index(value));
                        continue 'operand;
                    }
                    Token::Mark(mark) if infix(mark).is_some() => {
                        let (builtin, tightness) = infix(mark).unwrap_or((Builtin::Plus, 0));
                        self.at += 1;
                        value = self.reduce(&mut open, value, tightness);
                        open.push(Open::Infix(builtin, value, tightness));
                        continue 'operand;
                    }
                    _ => {}
                }
                // Nothing can extend the value: close what ends here.
                if matches!(self.peek(0), Token::Name("then" | "else")) {
                    value = self.reduce(&mut open, value, 0);
                    let next = match (self.peek(0), open.pop()) {
                        (Token::Name("then"), Some(Open::Condition)) => Open::Then(value),
                        (Token::Name("else"), Some(Open::Then(condition))) => Open::Else(condition, value),
                        _ => return Err(self.error("this belongs to no `if`")),
                    };
                    open.push(next);
                    self.at += 1;
                    continue 'operand;
                }
                value = self.reduce(&mut open, value, 0);
                match self.close(&mut open, value)? {
                    Closed::Value(closed) => value = closed,
                    Closed::Next => continue 'operand,
                    Closed::Outside => {
                        return if open.is_empty() {
                            Ok(value)
                        } else {
                            Err(self.unexpected("a closing bracket"))
                        };
                    }
                }
            }
        }
    }

    /// Reads what can stand where an operand is expected: a value, or something that opens (`None`).
    fn operand(&mut self, open: &mut Vec<Open>) -> Result<Option<TermId>> {
        let (token, _) = self.next();
        let term = match token {
            Token::Mark("λ(") => {
                let params = self.names(")")?;
                self.expect("→")?;
                self.bind(&params);
                open.push(Open::Lambda(params.into()));
                return Ok(None);
            }
            Token::Mark("(") => {
                open.push(Open::Group);
                return Ok(None);
            }
            Token::Mark("{") => return Ok(self.open_list(open, "}", Builtin::MakeTuple)),
            Token::Mark("⟪") => return Ok(self.open_list(open, "⟫", Builtin::Shift)),
            Token::Name(letter @ ("u" | "c")) if self.accept("⟨") => {
                let builtin =
                    if letter == "u" { Builtin::UnstructuredDomain } else { Builtin::CartesianDomain };
                return Ok(self.open_list(open, "⟩", builtin));
            }
            Token::Name("if") => {
                open.push(Open::Condition);
                return Ok(None);
            }
            Token::Mark("·") => return Ok(prefix(open, Builtin::Deref)),
            Token::Mark("¬") => return Ok(prefix(open, Builtin::Not)),
            Token::Mark("↑") => return Ok(prefix(open, Builtin::Lift)),
            Token::Mark("⇑") => return Ok(prefix(open, Builtin::AsFieldop)),
            Token::Mark("∞") => Term::Infinity(true),
            Token::Mark("-") => match self.next().0 {
                Token::Mark("∞") => Term::Infinity(false),
                Token::Number(digits) => self.number(digits, true)?,
                Token::Offset(digits) => self.offset(digits, true)?,
                Token::Name(text @ ("inf" | "nan")) => match self.reference(text)? {
                    Term::Literal(value) => {
                        Term::Literal(crate::scalar::arith::unary(crate::scalar::UnaryOp::Neg, value))
                    }
                    other => other,
                },
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected("a number"));
                }
            },
            Token::Number(digits) => self.number(digits, false)?,
            Token::Offset(text) => self.offset(text, false)?,
            Token::Axis(name, vertical) => {
                let from = self.dimension(name, vertical);
                if let (Token::Mark("→"), Token::Axis(name, vertical)) = (self.peek(0), self.peek(1)) {
                    self.at += 2;
                    let to = self.dimension(name, vertical);
                    Term::CartesianOffset { from, to }
                } else {
                    let axis = self.program.term(Term::Axis(from));
                    if self.accept(":") {
                        self.expect("[")?;
                        open.push(Open::RangeStart(axis));
                        return Ok(None);
                    }
                    return Ok(Some(axis));
                }
            }
            Token::Name(text) => self.reference(text)?,
            Token::Mark(_) | Token::End => {
                self.at -= 1;
                return Err(self.unexpected("an expression"));
            }
        };
        Ok(Some(self.program.term(term)))
    }

    fn open_list(&mut self, open: &mut Vec<Open>, close: &'static str, builtin: Builtin) -> Option<TermId> {
        let callee = self.program.term(Term::Builtin(builtin));
        open.push(Open::List { close, callee, items: Vec::new() });
        self.close_empty(open)
    }

    /// Closes a list that was just opened, if it is empty.
    fn close_empty(&mut self, open: &mut Vec<Open>) -> Option<TermId> {
        if let Some(Open::List { close, callee, items }) = open.last()
            && items.is_empty()
        {
            let (close, callee) = (*close, *callee);
            if self.accept(close) {
                open.pop();
                return Some(self.program.call(callee, []));
            }
        }
        None
    }

    fn number(&mut self, digits: &str, negative: bool) -> Result<Term> {
        let text = if negative { format!("-{digits}") } else { digits.to_owned() };
        let dtype = if self.peek(0) == Token::Mark(":") && matches!(self.peek(1), Token::Name(_)) {
            self.at += 1;
            self.dtype()?
        } else if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            if text.parse::<i32>().is_ok() { DType::I32 } else { DType::I64 }
        } else {
            DType::F64
        };
        match literal(&text, dtype) {
            Some(value) => Ok(Term::Literal(value)),
            None => Err(self.error(format!("`{text}` is not a literal of type {dtype}"))),
        }
    }

    fn offset(&mut self, text: &str, negative: bool) -> Result<Term> {
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Term::Offset(OffsetLabel::Name(self.program.names.intern(text))));
        }
        let signed = if negative { format!("-{text}") } else { text.to_owned() };
        match signed.parse() {
            Ok(index) => Ok(Term::Offset(OffsetLabel::Index(index))),
            Err(_) => Err(self.error(format!("`{signed}` is not an integer"))),
        }
    }

    fn dimension(&mut self, name: &str, vertical: bool) -> Dimension {
        let kind = if vertical { DimKind::Vertical } else { DimKind::Horizontal };
        Dimension { name: self.program.names.intern(name), kind }
    }

    fn reference(&mut self, text: &str) -> Result<Term> {
        let name = self.program.names.intern(text);
        if self.bound.get(&name).is_some_and(|count| *count > 0) {
            return Ok(Term::Ref(name));
        }
        if let Some(builtin) = Builtin::from_name(text) {
            return Ok(Term::Builtin(builtin));
        }
        let value = match text {
            "True" => Scalar::Bool(true),
            "False" => Scalar::Bool(false),
            "nan" => Scalar::F64(f64::NAN),
            "inf" => Scalar::F64(f64::INFINITY),
            "None" => return Ok(Term::None),
            _ => return Ok(Term::Ref(name)),
        };
        if self.peek(0) == Token::Mark(":") && matches!(self.peek(1), Token::Name(_)) {
            self.at += 1;
            let dtype = self.dtype()?;
            return Ok(Term::Literal(crate::scalar::arith::cast(dtype, value)));
        }
        Ok(Term::Literal(value))
    }

    /// Applies the operators that bind at least as tightly as what follows.
    fn reduce(&mut self, open: &mut Vec<Open>, mut value: TermId, tightness: u8) -> TermId {
        loop {
            let applies = match open.last() {
                Some(Open::Prefix(_)) => true,
                Some(Open::Infix(_, _, known)) => *known >= tightness,
                Some(Open::Lambda(_) | Open::Else(..)) => tightness == 0,
                _ => false,
            };
            let Some(top) = (if applies { open.pop() } else { None }) else { return value };
            value = match top {
                Open::Prefix(builtin) => self.program.call_builtin(builtin, [value]),
                Open::Infix(builtin, left, _) => self.program.call_builtin(builtin, [left, value]),
                Open::Else(condition, then) => {
                    self.program.call_builtin(Builtin::If, [condition, then, value])
                }
                Open::Lambda(params) => {
                    self.unbind(&params);
                    self.program.term(Term::Lambda { params, body: value })
                }
                other => {
                    open.push(other);
                    return value;
                }
            };
        }
    }

    /// Closes the innermost bracket, or goes to its next item.
    fn close(&mut self, open: &mut Vec<Open>, value: TermId) -> Result<Closed> {
        let Token::Mark(mark) = self.peek(0) else { return Ok(Closed::Outside) };
        let Some(top) = open.pop() else { return Ok(Closed::Outside) };
        match (top, mark) {
            (Open::Group, ")") => {
                self.at += 1;
                Ok(Closed::Value(value))
            }
            (Open::Index(tuple), "]") => {
                self.at += 1;
                Ok(Closed::Value(self.program.call_builtin(Builtin::TupleGet, [value, tuple])))
            }
            (Open::List { close, callee, mut items }, mark) if mark == "," || mark == close => {
                self.at += 1;
                items.push(value);
                if mark == close || self.accept(close) {
                    return Ok(Closed::Value(self.program.call(callee, items)));
                }
                open.push(Open::List { close, callee, items });
                Ok(Closed::Next)
            }
            (Open::RangeStart(axis), ",") => {
                self.at += 1;
                open.push(Open::RangeStop(axis, value));
                Ok(Closed::Next)
            }
            (Open::RangeStop(axis, start), "[") => {
                self.at += 1;
                Ok(Closed::Value(self.program.call_builtin(Builtin::NamedRange, [axis, start, value])))
            }
            (top, _) => {
                open.push(top);
                Ok(Closed::Outside)
            }
        }
    }

    /// Whether the `[` ahead ends a range instead of taking a part: no expression can start after it.
    fn ends_range(&self, open: &[Open]) -> bool {
        let bracket = open.iter().rev().find(|open| {
            !matches!(
                open,
                Open::Lambda(_)
                    | Open::Condition
                    | Open::Then(_)
                    | Open::Else(..)
                    | Open::Prefix(_)
                    | Open::Infix(..)
            )
        });
        matches!(bracket, Some(Open::RangeStop(..)))
            && matches!(
                self.peek(1),
                Token::Mark("," | "⟩" | ")" | "}" | "]" | "⟫" | ";" | "@" | "←") | Token::End
            )
    }

    // ---- tokens -------------------------------------------------------------------------------------------

    fn peek(&self, ahead: usize) -> Token<'t> {
        self.tokens.get(self.at + ahead).map_or(Token::End, |(token, _)| *token)
    }

    fn next(&mut self) -> Located<'t> {
        let token = self.tokens.get(self.at).copied().unwrap_or((Token::End, self.text.len()));
        self.at += 1;
        token
    }

    fn accept(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(0), Token::Mark(next) if next == mark);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: &str) -> Result<()> {
        if self.accept(mark) { Ok(()) } else { Err(self.unexpected(&format!("`{mark}`"))) }
    }

    fn name(&mut self, what: &str) -> Result<&'t str> {
        match self.peek(0) {
            Token::Name(name) => {
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    /// Names separated by commas, up to a closing mark.
    fn names(&mut self, close: &str) -> Result<Vec<Name>> {
        let mut names = Vec::new();
        while !self.accept(close) {
            let name = self.name("a parameter")?;
            names.push(self.program.names.intern(name));
            if !self.accept(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(names)
    }

    fn error(&self, message: impl Into<String>) -> Diagnostic {
        let at = self.tokens.get(self.at).map_or(self.text.len(), |(_, at)| *at);
        error_at(self.text, at, message)
    }

    fn unexpected(&self, expected: &str) -> Diagnostic {
        let found = match self.peek(0) {
            Token::Name(text)
            | Token::Axis(text, _)
            | Token::Offset(text)
            | Token::Number(text)
            | Token::Mark(text) => {
                format!("`{text}` is not expected here")
            }
            Token::End => "the text ends too early".to_owned(),
        };
        self.error(found).with_note(format!("expected {expected}"))
    }

    fn bind(&mut self, names: &[Name]) {
        for name in names {
            *self.bound.entry(*name).or_default() += 1;
        }
    }

    fn unbind(&mut self, names: &[Name]) {
        for name in names {
            if let Some(count) = self.bound.get_mut(name) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

enum Closed {
    /// A bracket was closed: its value.
    Value(TermId),
    /// The next item of the same bracket follows.
    Next,
    /// The mark ahead closes nothing that is open.
    Outside,
}

fn prefix(open: &mut Vec<Open>, builtin: Builtin) -> Option<TermId> {
    open.push(Open::Prefix(builtin));
    None
}

/// Infix operators with their tightness.
fn infix(mark: &str) -> Option<(Builtin, u8)> {
    Some(match mark {
        "∨" => (Builtin::Or, 2),
        "∧" => (Builtin::And, 3),
        "==" => (Builtin::Eq, 4),
        "<" => (Builtin::Less, 4),
        ">" => (Builtin::Greater, 4),
        "<=" => (Builtin::LessEqual, 4),
        ">=" => (Builtin::GreaterEqual, 4),
        "+" => (Builtin::Plus, 5),
        "-" => (Builtin::Minus, 5),
        "×" => (Builtin::Multiplies, 6),
        "/" => (Builtin::Divides, 6),
        _ => return None,
    })
}
