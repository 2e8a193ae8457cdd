//! The parser of both grammars: recursive descent with operator precedences, bounded in depth.
//!
//! Precedences are Python's, from loose to tight: conditional, `or`, `and`, `not`, comparison (not chained), `|`, `^`,
//! `&`, shifts, `+ -`, `* / // %`, sign and `~`, `**`.

use crate::diag::Diagnostic;
use crate::entity::Names;
use crate::scalar::DType;

use super::build::SumBuilder;
use super::lex::{Token, TokenKind, shortened, syntax_error, tokens};
use super::node::{CompareOp, Constant, NaryOp, Node};
use super::{ExprId, ExprPool, Grammar, SymbolInfo};

/// Deepest nesting of brackets, signs, powers and conditionals in one text.
const MAX_NESTING: u32 = 200;
/// Deepest expression that a text may build.
const MAX_DEPTH: u32 = 1000;

impl ExprPool {
    /// The expression that a text denotes.
    ///
    /// # Errors
    /// `P0210` for text outside the grammar, `P0211` for a name that the grammar does not know, `P0212` for an integer beyond
    /// 64 bits, `P0213` for text nested too deeply.
    pub fn parse(&mut self, names: &mut Names, text: &str, grammar: Grammar) -> Result<ExprId, Diagnostic> {
        let tokens = tokens(text, grammar)?;
        let mut parser = Parser { pool: self, names, text, grammar, tokens, next: 0, nesting: 0 };
        let id = parser.conditional().map_err(|error| *error)?;
        parser.expect_end().map_err(|error| *error)?;
        Ok(id)
    }
}

struct Parser<'p, 't> {
    pool: &'p mut ExprPool,
    names: &'p mut Names,
    text: &'t str,
    grammar: Grammar,
    tokens: Vec<Token<'t>>,
    next: usize,
    nesting: u32,
}

/// Boxed, because many frames of these are on the stack at once.
type Error = Box<Diagnostic>;
type Parsed = Result<ExprId, Error>;

impl<'t> Parser<'_, 't> {
    /// `a if c else b`.
    fn conditional(&mut self) -> Parsed {
        self.nested(|parser| {
            let then = parser.disjunction()?;
            if !parser.take_word("if") {
                return Ok(then);
            }
            let condition = parser.disjunction()?;
            if !parser.take_word("else") {
                return Err(parser.unexpected("`else`"));
            }
            let otherwise = parser.conditional()?;
            parser.bounded(|pool| pool.select(condition, then, otherwise))
        })
    }

    fn disjunction(&mut self) -> Parsed {
        let mut operands = vec![self.conjunction()?];
        while self.take_word("or") || self.take("||") {
            operands.push(self.conjunction()?);
        }
        if let [only] = operands[..] {
            return Ok(only);
        }
        self.bounded(|pool| pool.or(&operands))
    }

    fn conjunction(&mut self) -> Parsed {
        let mut operands = vec![self.negation()?];
        while self.take_word("and") || self.take("&&") {
            operands.push(self.negation()?);
        }
        if let [only] = operands[..] {
            return Ok(only);
        }
        self.bounded(|pool| pool.and(&operands))
    }

    fn negation(&mut self) -> Parsed {
        if self.take_word("not") || self.take("!") {
            return self.nested(|parser| {
                let operand = parser.negation()?;
                parser.bounded(|pool| pool.not(operand))
            });
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.bit_or()?;
        let Some((op, swapped)) = self.comparator() else { return Ok(left) };
        let right = self.bit_or()?;
        if self.comparator().is_some() {
            return Err(self.unexpected("one comparison, not a chain of them"));
        }
        let (a, b) = if swapped { (right, left) } else { (left, right) };
        self.bounded(|pool| pool.compare(op, a, b))
    }

    fn comparator(&mut self) -> Option<(CompareOp, bool)> {
        let found = match self.kind() {
            TokenKind::Op("<") => (CompareOp::Less, false),
            TokenKind::Op("<=") => (CompareOp::AtMost, false),
            TokenKind::Op(">") => (CompareOp::Less, true),
            TokenKind::Op(">=") => (CompareOp::AtMost, true),
            TokenKind::Op("==") => (CompareOp::Equal, false),
            TokenKind::Op("!=") => (CompareOp::NotEqual, false),
            TokenKind::Name("is") => {
                self.next += 1;
                let negated = self.take_word("not");
                return Some((if negated { CompareOp::NotEqual } else { CompareOp::Equal }, false));
            }
            _ => return None,
        };
        self.next += 1;
        Some(found)
    }

    fn bit_or(&mut self) -> Parsed {
        self.bit_chain("|", NaryOp::BitOr, |parser| {
            parser.bit_chain("^", NaryOp::BitXor, |parser| parser.bit_chain("&", NaryOp::BitAnd, Self::shift))
        })
    }

    fn bit_chain(&mut self, op: &str, nary: NaryOp, operand: impl Fn(&mut Self) -> Parsed) -> Parsed {
        let first = operand(self)?;
        if !matches!(self.kind(), TokenKind::Op(found) if found == op) {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.take(op) {
            operands.push(operand(self)?);
        }
        self.bounded(|pool| pool.bits(nary, &operands))
    }

    fn shift(&mut self) -> Parsed {
        let mut left = self.sum()?;
        loop {
            if self.take("<<") {
                let right = self.sum()?;
                left = self.bounded(|pool| pool.shift_left(left, right))?;
            } else if self.take(">>") {
                let right = self.sum()?;
                left = self.bounded(|pool| pool.shift_right(left, right))?;
            } else {
                return Ok(left);
            }
        }
    }

    fn sum(&mut self) -> Parsed {
        let first = self.product()?;
        if !matches!(self.kind(), TokenKind::Op("+" | "-")) {
            return Ok(first);
        }
        let mut sum = SumBuilder::default();
        sum.add(self.pool, first, 1);
        loop {
            let sign = match self.kind() {
                TokenKind::Op("+") => 1,
                TokenKind::Op("-") => -1,
                _ => return self.bounded(|pool| sum.finish(pool)),
            };
            self.next += 1;
            let operand = self.product()?;
            sum.add(self.pool, operand, sign);
        }
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.signed()?;
        loop {
            if self.kind() == TokenKind::Op("*") {
                let mut operands = vec![left];
                while self.take("*") {
                    operands.push(self.signed()?);
                }
                left = self.bounded(|pool| pool.product(&operands))?;
                continue;
            }
            let divide = match self.kind() {
                TokenKind::Op("/") => ExprPool::quotient,
                TokenKind::Op("//") => ExprPool::floor_div,
                TokenKind::Op("%") => ExprPool::remainder,
                _ => return Ok(left),
            };
            self.next += 1;
            let right = self.signed()?;
            left = self.bounded(|pool| divide(pool, left, right))?;
        }
    }

    fn signed(&mut self) -> Parsed {
        let op = match self.kind() {
            TokenKind::Op(op @ ("-" | "+" | "~")) => op,
            _ => return self.power(),
        };
        self.next += 1;
        // The most negative integer has no positive counterpart to be parsed first.
        if op == "-" && self.kind() == TokenKind::Int(Some(1 << 63)) && self.peek(1) != TokenKind::Op("**") {
            self.next += 1;
            return Ok(self.pool.int(i64::MIN));
        }
        self.nested(|parser| {
            let operand = parser.signed()?;
            match op {
                "-" => parser.bounded(|pool| pool.neg(operand)),
                "~" => parser.bounded(|pool| {
                    if pool.node(operand).is_boolean() { pool.not(operand) } else { pool.bit_not(operand) }
                }),
                _ => Ok(operand),
            }
        })
    }

    fn power(&mut self) -> Parsed {
        let base = self.postfix()?;
        if !self.take("**") {
            return Ok(base);
        }
        self.nested(|parser| {
            let exponent = parser.signed()?;
            parser.bounded(|pool| pool.pow(base, exponent))
        })
    }

    fn postfix(&mut self) -> Parsed {
        let mut base = self.primary()?;
        loop {
            if self.take("[") {
                let indices = self.list("]")?;
                if indices.is_empty() {
                    return Err(self.unexpected("an index"));
                }
                base = self.bounded(|pool| pool.subscript(base, &indices))?;
            } else if self.take(".") {
                let TokenKind::Name(member) = self.kind() else {
                    return Err(self.unexpected("a member's name"));
                };
                self.next += 1;
                if self.kind() == TokenKind::Op("(") {
                    return Err(self.unexpected("a member, not a method"));
                }
                base = self.member(base, member)?;
            } else {
                return Ok(base);
            }
        }
    }

    /// `base.member`: one dotted name where the base is a name.
    fn member(&mut self, base: ExprId, member: &str) -> Parsed {
        if let Some(symbol) = self.pool.as_symbol(base) {
            let dotted = format!("{}.{member}", self.names.get(symbol));
            let name = self.names.intern(&dotted);
            return Ok(self.pool.symbol(name));
        }
        let member = self.names.intern(member);
        self.bounded(|pool| pool.attribute(base, member))
    }

    fn primary(&mut self) -> Parsed {
        let token = self.token();
        self.next += 1;
        match token.kind {
            TokenKind::Int(value) => match value.and_then(|value| i64::try_from(value).ok()) {
                Some(value) => Ok(self.pool.int(value)),
                None => Err(self.too_large(token.start)),
            },
            TokenKind::Float(value) => Ok(self.pool.float(value)),
            TokenKind::Imaginary(value) => Ok(self.pool.complex(DType::C128, 0.0, value)),
            TokenKind::TypedInt(dtype, value) => Ok(self.pool.typed_int(dtype, value)),
            TokenKind::TypedFloat(dtype, value) => {
                let literal = self.pool.float(value);
                Ok(self.pool.cast(dtype, literal))
            }
            TokenKind::Complex(dtype, re, im) => Ok(self.pool.complex(dtype, re, im)),
            TokenKind::Undefined => Ok(self.pool.undefined()),
            TokenKind::Symbol(name) => {
                let name = self.names.intern(name);
                self.pool.declare_symbol(name, SymbolInfo::default());
                Ok(self.pool.symbol(name))
            }
            TokenKind::Op("(") => {
                let inner = self.conditional()?;
                self.expect(")")?;
                Ok(inner)
            }
            TokenKind::Name(name) => self.named(name, token.start),
            _ => {
                self.next -= 1;
                Err(self.unexpected("an operand"))
            }
        }
    }

    /// What a bare name means: a call, a constant, a module's member, or (plain grammar) a symbol.
    fn named(&mut self, name: &str, start: usize) -> Parsed {
        if matches!(name, "if" | "else" | "and" | "or" | "not" | "is" | "in" | "for" | "lambda") {
            self.next -= 1;
            return Err(self.unexpected("an operand"));
        }
        if self.take("(") {
            return self.call(name, start);
        }
        if matches!(name, "dace" | "math" | "numpy" | "np") && self.kind() == TokenKind::Op(".") {
            let TokenKind::Name(member) = self.peek(1) else {
                self.next += 1;
                return Err(self.unexpected("a name"));
            };
            let constant = match member {
                "pi" => Some(Constant::Pi),
                "e" => Some(Constant::E),
                "inf" => Some(Constant::Infinity),
                "nan" => Some(Constant::Nan),
                _ => None,
            };
            if self.peek(2) == TokenKind::Op("(") {
                self.next += 3;
                return self.call(member, start);
            }
            if let Some(constant) = constant.filter(|_| name != "dace") {
                self.next += 2;
                return Ok(self.pool.constant(constant));
            }
        }
        let typed = self.grammar == Grammar::Typed;
        let constant = match name {
            "True" | "true" => return Ok(self.pool.boolean(true)),
            "False" | "false" => return Ok(self.pool.boolean(false)),
            "None" | "NoneSymbol" => Constant::None,
            "nan" => Constant::Nan,
            "oo" | "inf" => Constant::Infinity,
            "pi" if typed => Constant::Pi,
            "E" if typed => Constant::E,
            "I" if typed => return Ok(self.pool.complex(DType::C128, 0.0, 1.0)),
            _ if typed => {
                return Err(self.unknown(name, start));
            }
            _ => {
                let name = self.names.intern(name);
                return Ok(self.pool.symbol(name));
            }
        };
        Ok(self.pool.constant(constant))
    }

    /// The call of a function whose name and opening bracket are behind us.
    fn call(&mut self, name: &str, start: usize) -> Parsed {
        if name == "symbol" {
            return self.symbol_call();
        }
        let arguments = self.list(")")?;
        self.bounded_try(|parser| parser.apply(name, &arguments, start))
    }

    fn apply(&mut self, name: &str, arguments: &[ExprId], start: usize) -> Parsed {
        use CompareOp::{AtMost, Equal, Less, NotEqual};
        let pool = &mut *self.pool;
        Ok(match (name, arguments) {
            ("Min" | "min", [_, ..]) => pool.min_of(arguments),
            ("Max" | "max", [_, ..]) => pool.max_of(arguments),
            ("And" | "AND", [_, ..]) => pool.and(arguments),
            ("Or" | "OR", [_, ..]) => pool.or(arguments),
            ("Not", &[a]) => pool.not(a),
            ("abs" | "Abs", &[a]) => pool.abs(a),
            ("floor", &[a]) => pool.floor(a),
            ("ceil" | "ceiling", &[a]) => pool.ceiling(a),
            ("round" | "ROUND", &[a]) => pool.round(a),
            ("sqrt", &[a]) => pool.sqrt(a),
            ("int_floor" | "__int_floor", &[a, b]) => pool.floor_div(a, b),
            ("int_ceil", &[a, b]) => pool.ceil_div(a, b),
            ("int_trunc", &[a, b]) => pool.trunc_div(a, b),
            ("ipow" | "pow" | "Pow", &[a, b]) => pool.pow(a, b),
            ("Mod" | "PyMod" | "FtnModulo" | "py_mod", &[a, b]) => pool.modulo(a, b),
            ("CMod" | "FtnMod", &[a, b]) => pool.remainder(a, b),
            ("IfExpr", &[c, a, b]) => pool.select(c, a, b),
            ("Eq" | "Is", &[a, b]) => pool.compare(Equal, a, b),
            ("Ne" | "NotEq" | "IsNot", &[a, b]) => pool.compare(NotEqual, a, b),
            ("Lt", &[a, b]) => pool.compare(Less, a, b),
            ("Le" | "LtE", &[a, b]) => pool.compare(AtMost, a, b),
            ("Gt", &[a, b]) => pool.compare(Less, b, a),
            ("Ge" | "GtE", &[a, b]) => pool.compare(AtMost, b, a),
            ("bitwise_and" | "BitwiseAnd" | "__bitwise_and", &[a, b]) => {
                pool.bitwise(NaryOp::BitAnd, &[a, b])
            }
            ("bitwise_or" | "BitwiseOr" | "__bitwise_or", &[a, b]) => pool.bitwise(NaryOp::BitOr, &[a, b]),
            ("bitwise_xor" | "BitwiseXor" | "__bitwise_xor", &[a, b]) => {
                pool.bitwise(NaryOp::BitXor, &[a, b])
            }
            ("bitwise_invert" | "BitwiseNot" | "__bitwise_invert", &[a]) => pool.bit_not(a),
            ("left_shift" | "LeftShift" | "__left_shift", &[a, b]) => pool.shift_left(a, b),
            ("right_shift" | "RightShift" | "__right_shift", &[a, b]) => pool.shift_right(a, b),
            // The over-approximation is a hint to DaCe's own analyses; the exact expression is the meaning.
            ("SymExpr", &[exact] | &[exact, _]) => exact,
            ("complex", &[re, im]) => match (literal(pool, re), literal(pool, im)) {
                (Some(re), Some(im)) => pool.complex(DType::C128, re, im),
                _ => self.opaque(name, arguments),
            },
            ("Attr", &[base, member]) => match self.pool.as_symbol(member) {
                Some(member) => {
                    let member = self.names.get(member).to_owned();
                    self.member(base, &member)?
                }
                None => self.opaque(name, arguments),
            },
            ("Subscript", &[base, ref indices @ ..]) if !indices.is_empty() => pool.subscript(base, indices),
            ("int", &[a]) => pool.cast(DType::I64, a),
            (_, &[a]) => match DType::from_name(name) {
                Some(dtype) => pool.cast(dtype, a),
                None => self.opaque(name, arguments),
            },
            ("Min" | "min" | "Max" | "max", []) => {
                return Err(Box::new(syntax_error(self.text, start, "at least one operand")));
            }
            _ => self.opaque(name, arguments),
        })
    }

    fn opaque(&mut self, name: &str, arguments: &[ExprId]) -> ExprId {
        let function = self.names.intern(name);
        self.pool.call(function, arguments)
    }

    /// `symbol($name, dtype=dace.int64, positive=True)`; its opening bracket is behind us.
    fn symbol_call(&mut self) -> Parsed {
        let name = match self.kind() {
            TokenKind::Symbol(name) | TokenKind::Name(name) => name,
            _ => return Err(self.unexpected("a symbol's name")),
        };
        self.next += 1;
        let mut info = SymbolInfo::default();
        while self.take(",") {
            let TokenKind::Name(key) = self.kind() else { return Err(self.unexpected("a keyword")) };
            self.next += 1;
            self.expect("=")?;
            let module = self.kind() == TokenKind::Name("dace") && self.peek(1) == TokenKind::Op(".");
            if module {
                self.next += 2;
            }
            let TokenKind::Name(value) = self.kind() else { return Err(self.unexpected("a type or `True`")) };
            self.next += 1;
            if key == "dtype" {
                // Types without values of their own (strings, objects) keep the default.
                info.dtype = DType::from_name(value).unwrap_or(info.dtype);
            } else if value == "True" {
                info = info.assuming(key);
            }
        }
        self.expect(")")?;
        let name = self.names.intern(name);
        self.pool.declare_symbol(name, info);
        Ok(self.pool.symbol(name))
    }

    /// Expressions up to a closing bracket.
    fn list(&mut self, close: &'static str) -> Result<Vec<ExprId>, Error> {
        let mut items = Vec::new();
        if self.take(close) {
            return Ok(items);
        }
        loop {
            items.push(self.conditional()?);
            if self.take(close) {
                return Ok(items);
            }
            if !self.take(",") {
                return Err(self.unexpected(&format!("`,` or `{close}`")));
            }
            if self.take(close) {
                return Ok(items);
            }
        }
    }

    /// Runs a parser one level deeper.
    fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.nesting >= MAX_NESTING {
            return Err(self.too_deep());
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    /// Builds an expression and checks its depth.
    fn bounded(&mut self, build: impl FnOnce(&mut ExprPool) -> ExprId) -> Parsed {
        self.bounded_try(|parser| Ok(build(parser.pool)))
    }

    fn bounded_try(&mut self, build: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        let id = build(self)?;
        if self.pool.depth(id) > MAX_DEPTH { Err(self.too_deep()) } else { Ok(id) }
    }

    fn token(&self) -> Token<'t> {
        let end = Token { kind: TokenKind::End, start: self.text.len() };
        self.tokens.get(self.next).copied().unwrap_or(end)
    }

    fn kind(&self) -> TokenKind<'t> {
        self.token().kind
    }

    fn peek(&self, ahead: usize) -> TokenKind<'t> {
        self.tokens.get(self.next + ahead).map_or(TokenKind::End, |token| token.kind)
    }

    fn take(&mut self, op: &str) -> bool {
        let found = matches!(self.kind(), TokenKind::Op(found) if found == op);
        self.next += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.kind(), TokenKind::Name(found) if found == word);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, op: &str) -> Result<(), Error> {
        if self.take(op) { Ok(()) } else { Err(self.unexpected(&format!("`{op}`"))) }
    }

    fn expect_end(&self) -> Result<(), Error> {
        match self.kind() {
            TokenKind::End => Ok(()),
            _ => Err(self.unexpected("an operator or the end")),
        }
    }

    fn unexpected(&self, expected: &str) -> Error {
        let token = self.token();
        let message =
            format!("not a symbolic expression: found {} at byte {}", token.kind.describe(), token.start);
        let error = Diagnostic::error("P0210", message).at(shortened(self.text));
        Box::new(error.with_note(format!("expected {expected}")))
    }

    fn unknown(&self, name: &str, start: usize) -> Error {
        let error = Diagnostic::error("P0211", format!("unknown name `{name}` at byte {start}"))
            .at(shortened(self.text))
            .with_note("expected `$name` for a symbol, a known constant or a call");
        Box::new(error.with_help(format!("write `${name}`")))
    }

    fn too_large(&self, start: usize) -> Error {
        let message = format!("the integer at byte {start} does not fit its type");
        let error = Diagnostic::error("P0212", message).at(shortened(self.text));
        Box::new(
            error.with_note("expected a signed 64-bit integer, or one that the literal's suffix can hold"),
        )
    }

    fn too_deep(&self) -> Error {
        let message = format!("the expression is nested too deeply at byte {}", self.token().start);
        let error = Diagnostic::error("P0213", message).at(shortened(self.text));
        Box::new(error.with_note(format!("expected at most {MAX_NESTING} levels")))
    }
}

impl ExprPool {
    /// A bitwise operator on text: between truth values it is the logical one, as SymPy prints those.
    fn bits(&mut self, op: NaryOp, operands: &[ExprId]) -> ExprId {
        let boolean = operands.iter().all(|&id| self.node(id).is_boolean());
        match op {
            NaryOp::BitAnd if boolean => self.and(operands),
            NaryOp::BitOr if boolean => self.or(operands),
            _ => self.bitwise(op, operands),
        }
    }
}

/// The number behind a real literal.
fn literal(pool: &ExprPool, id: ExprId) -> Option<f64> {
    match pool.node(id) {
        #[expect(clippy::cast_precision_loss, reason = "a literal in floating-point context")]
        Node::Int(value) => Some(*value as f64),
        Node::Float(bits) => Some(f64::from_bits(*bits)),
        Node::Sum(0, terms) => match **terms {
            [term] if term.coefficient == -1 => match pool.node(term.monomial) {
                Node::Float(bits) => Some(-f64::from_bits(*bits)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
