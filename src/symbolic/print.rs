//! Text that parses back to the same expression.
//!
//! Terms, factors and operands of commutative operations are ordered by their text, constants first, so the text does not depend on
//! the history of the pool or of the name table.

use hashbrown::HashMap;

use crate::entity::Names;
use crate::scalar::DType;

use super::lex::suffix_of;
use super::node::{BinaryOp, CompareOp, Constant, Factor, Merge, NaryOp, Node, Term, UnaryOp};
use super::{ExprId, ExprPool, Grammar, SymbolInfo};

/// Trees larger than this are not written out.
const MAX_TREE_SIZE: u32 = 1 << 20;

/// How tightly a text binds, from loose to tight.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
    Compare,
    Sum,
    Product,
    Power,
    Atom,
}

struct Text {
    text: String,
    binding: Binding,
}

impl Text {
    fn atom(text: impl Into<String>) -> Text {
        Text { text: text.into(), binding: Binding::Atom }
    }

    /// The text where something that binds at least this tightly is needed.
    fn within(&self, binding: Binding) -> String {
        if self.binding < binding { format!("({})", self.text) } else { self.text.clone() }
    }
}

impl ExprPool {
    /// Text in the given grammar that parses back to the same id. (A symbol has to have a name that is one in the grammar;
    /// a tree beyond a million nodes is written as `?`.)
    pub fn print(&self, names: &Names, id: ExprId, grammar: Grammar) -> String {
        let printer = Printer { pool: self, names, grammar };
        // The commonest expressions without detours.
        match self.node(id) {
            Node::Int(value) => return value.to_string(),
            Node::Symbol(name) => return printer.symbol(*name).text,
            _ => {}
        }
        if self.tree_size(id) > MAX_TREE_SIZE {
            return printer.undefined().text;
        }
        let mut texts: HashMap<ExprId, Text> = HashMap::new();
        for child in self.reachable(id) {
            let text = printer.text(child, &texts);
            texts.insert(child, text);
        }
        texts.remove(&id).map_or_else(String::new, |text| text.text)
    }
}

struct Printer<'a> {
    pool: &'a ExprPool,
    names: &'a Names,
    grammar: Grammar,
}

type Texts = HashMap<ExprId, Text>;

impl Printer<'_> {
    fn text(&self, id: ExprId, below: &Texts) -> Text {
        match self.pool.node(id) {
            Node::Int(value) => integer(*value),
            Node::Bool(value) => Text::atom(if *value { "True" } else { "False" }),
            Node::Float(bits) => Text::atom(float(f64::from_bits(*bits))),
            Node::Typed(dtype, bits) => self.typed(*dtype, *bits),
            Node::Complex(dtype, re, im) => self.complex(*dtype, f64::from_bits(*re), f64::from_bits(*im)),
            Node::Constant(constant) => Text::atom(self.constant(*constant)),
            Node::Undefined => self.undefined(),
            Node::Symbol(name) => self.symbol(*name),
            Node::Sum(constant, terms) => sum(*constant, terms, below),
            Node::Product(factors) => self.product(factors, below),
            Node::Unmerged(merge, operands) => {
                let mut operands: Vec<String> =
                    operands.iter().map(|id| within(below, *id, Binding::Atom)).collect();
                let operator = match merge {
                    // What was split off comes last, so that it is split off again.
                    Merge::Sum => " + ",
                    Merge::Product => {
                        operands.sort();
                        "*"
                    }
                };
                Text { text: operands.join(operator), binding: Binding::Sum }
            }
            Node::Unary(op, a) => match op {
                UnaryOp::Not => Text {
                    text: format!("not {}", within(below, *a, Binding::Compare)),
                    binding: Binding::Not,
                },
                UnaryOp::Abs => call("Abs", &[*a], below),
                UnaryOp::BitNot => call("bitwise_invert", &[*a], below),
                UnaryOp::Floor => call("floor", &[*a], below),
                UnaryOp::Ceiling => call("ceiling", &[*a], below),
                UnaryOp::Round => call("round", &[*a], below),
                UnaryOp::Sqrt => call("sqrt", &[*a], below),
            },
            Node::Binary(op, a, b) => binary(*op, *a, *b, below),
            Node::Nary(op, operands) => self.nary(*op, operands, below),
            Node::Compare(op, a, b) => compare(*op, *a, *b, below),
            Node::Select(c, a, b) => call("IfExpr", &[*c, *a, *b], below),
            Node::Cast(dtype, a) => call(&format!("dace.{dtype}"), &[*a], below),
            Node::Call(function, arguments) => call(self.names.get(*function), arguments, below),
            Node::Subscript(base, indices) => self.subscript(*base, indices, below),
            Node::Attribute(base, member) => self.attribute(*base, self.names.get(*member), below),
        }
    }

    fn undefined(&self) -> Text {
        Text::atom(if self.grammar == Grammar::Typed { "$?" } else { "?" })
    }

    fn symbol(&self, name: crate::entity::Name) -> Text {
        let text = self.names.get(name);
        if self.grammar == Grammar::Plain {
            let (first, members) = text.split_at(text.find('.').unwrap_or(text.len()));
            let module = matches!(first, "dace" | "math" | "numpy" | "np") && !members.is_empty();
            return Text::atom(if module || is_reserved(first) {
                format!("symbol({first}){members}")
            } else {
                text.to_owned()
            });
        }
        if let Some((base, member)) = text.rsplit_once('.') {
            return Text::atom(format!("Attr({}, ${member})", dotted(base)));
        }
        match self.pool.symbol_info(name) {
            Some(info) if *info != SymbolInfo::default() => {
                let mut keywords = String::new();
                if info.dtype != DType::I32 {
                    keywords.push_str(&format!(", dtype=dace.{}", info.dtype));
                }
                for assumption in &info.assumptions {
                    keywords.push_str(&format!(", {assumption}=True"));
                }
                Text::atom(format!("symbol(${text}{keywords})"))
            }
            _ => Text::atom(format!("${text}")),
        }
    }

    fn constant(&self, constant: Constant) -> &'static str {
        let typed = self.grammar == Grammar::Typed;
        match constant {
            Constant::Pi => {
                if typed {
                    "pi"
                } else {
                    "math.pi"
                }
            }
            Constant::E => {
                if typed {
                    "E"
                } else {
                    "math.e"
                }
            }
            Constant::Infinity => {
                if typed {
                    "oo"
                } else {
                    "inf"
                }
            }
            Constant::Nan => "nan",
            Constant::None => "None",
        }
    }

    fn typed(&self, dtype: DType, bits: u64) -> Text {
        let value = if dtype.is_integral() { bits.to_string() } else { float(f64::from_bits(bits)) };
        match suffix_of(dtype) {
            Some(suffix) if self.grammar == Grammar::Typed => Text::atom(format!("{value}{suffix}")),
            _ => Text::atom(format!("dace.{dtype}({value})")),
        }
    }

    fn complex(&self, dtype: DType, re: f64, im: f64) -> Text {
        let suffix = if dtype == DType::C64 { "c64" } else { "c128" };
        let sign = if im.is_sign_negative() { '-' } else { '+' };
        Text::atom(format!("({} {sign} {}j){suffix}", float(re), float(im.abs())))
    }

    fn subscript(&self, base: ExprId, indices: &[ExprId], below: &Texts) -> Text {
        if self.grammar == Grammar::Typed {
            let mut all = vec![base];
            all.extend_from_slice(indices);
            return call("Subscript", &all, below);
        }
        Text::atom(format!("{}[{}]", within(below, base, Binding::Atom), list(indices, below)))
    }

    fn attribute(&self, base: ExprId, member: &str, below: &Texts) -> Text {
        if self.grammar == Grammar::Typed {
            let base = within(below, base, Binding::Or);
            return Text::atom(format!("Attr({base}, ${member})"));
        }
        let text = within(below, base, Binding::Atom);
        // `0.x` would be read as a number.
        Text::atom(if self.is_number(base) {
            format!("({text}).{member}")
        } else {
            format!("{text}.{member}")
        })
    }

    fn product(&self, factors: &[Factor], below: &Texts) -> Text {
        let mut parts: Vec<(bool, String)> = factors
            .iter()
            .map(|factor| {
                let text = match factor.power {
                    1 => within(below, factor.base, Binding::Power),
                    power => format!("{}**{power}", within(below, factor.base, Binding::Atom)),
                };
                (!self.is_number(factor.base), text)
            })
            .collect();
        parts.sort();
        let parts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
        Text { text: parts.join("*"), binding: Binding::Product }
    }

    fn nary(&self, op: NaryOp, operands: &[ExprId], below: &Texts) -> Text {
        let joined = |operator: &str, operand: Binding, binding: Binding| {
            let parts: Vec<String> = operands.iter().map(|id| within(below, *id, operand)).collect();
            Text { text: parts.join(operator), binding }
        };
        let function = match op {
            NaryOp::And => return joined(" and ", Binding::Not, Binding::And),
            NaryOp::Or => return joined(" or ", Binding::And, Binding::Or),
            NaryOp::Min => "Min",
            NaryOp::Max => "Max",
            NaryOp::BitAnd => "bitwise_and",
            NaryOp::BitOr => "bitwise_or",
            NaryOp::BitXor => "bitwise_xor",
        };
        let mut parts: Vec<(bool, String)> =
            operands.iter().map(|id| (!self.is_number(*id), within(below, *id, Binding::Or))).collect();
        parts.sort();
        let mut parts = parts.into_iter().map(|(_, text)| text);
        if matches!(op, NaryOp::Min | NaryOp::Max) {
            let parts: Vec<String> = parts.collect();
            return Text::atom(format!("{function}({})", parts.join(", ")));
        }
        let first = parts.next().unwrap_or_default();
        Text::atom(parts.fold(first, |text, part| format!("{function}({text}, {part})")))
    }

    fn is_number(&self, id: ExprId) -> bool {
        matches!(self.pool.node(id), Node::Int(_) | Node::Float(_) | Node::Typed(..) | Node::Complex(..))
    }
}

/// `Attr($a, $b)` of `a.b`.
fn dotted(text: &str) -> String {
    let mut parts = text.split('.');
    let first = format!("${}", parts.next().unwrap_or_default());
    parts.fold(first, |base, member| format!("Attr({base}, ${member})"))
}

fn is_reserved(text: &str) -> bool {
    matches!(
        text,
        "True"
            | "true"
            | "False"
            | "false"
            | "None"
            | "NoneSymbol"
            | "nan"
            | "oo"
            | "inf"
            | "if"
            | "else"
            | "and"
            | "or"
            | "not"
            | "is"
            | "in"
            | "for"
            | "lambda"
    )
}

fn integer(value: i64) -> Text {
    Text { text: value.to_string(), binding: if value < 0 { Binding::Product } else { Binding::Atom } }
}

/// The shortest text that reads back as the same number, with a point or an exponent.
fn float(value: f64) -> String {
    format!("{value:?}")
}

fn within(below: &Texts, id: ExprId, binding: Binding) -> String {
    below.get(&id).map_or_else(String::new, |text| text.within(binding))
}

fn list(operands: &[ExprId], below: &Texts) -> String {
    let operands: Vec<String> = operands.iter().map(|id| within(below, *id, Binding::Or)).collect();
    operands.join(", ")
}

fn call(function: &str, operands: &[ExprId], below: &Texts) -> Text {
    Text::atom(format!("{function}({})", list(operands, below)))
}

fn sum(constant: i64, terms: &[Term], below: &Texts) -> Text {
    let mut monomials: Vec<(String, i64)> =
        terms.iter().map(|term| (within(below, term.monomial, Binding::Product), term.coefficient)).collect();
    monomials.sort();
    let mut parts: Vec<String> = Vec::with_capacity(monomials.len() + 1);
    if constant != 0 {
        parts.push(constant.to_string());
    }
    parts.extend(monomials.into_iter().map(|(monomial, coefficient)| match coefficient {
        1 => monomial,
        -1 => format!("-{monomial}"),
        _ => format!("{coefficient}*{monomial}"),
    }));
    let binding = if parts.len() == 1 { Binding::Product } else { Binding::Sum };
    let mut parts = parts.into_iter();
    let mut text = parts.next().unwrap_or_default();
    for part in parts {
        match part.strip_prefix('-') {
            // The most negative integer has no positive counterpart.
            Some(positive) if !positive.starts_with("9223372036854775808") => {
                text.push_str(" - ");
                text.push_str(positive);
            }
            _ => {
                text.push_str(" + ");
                text.push_str(&part);
            }
        }
    }
    Text { text, binding }
}

fn binary(op: BinaryOp, a: ExprId, b: ExprId, below: &Texts) -> Text {
    match op {
        BinaryOp::Quotient => Text {
            text: format!("{}/{}", within(below, a, Binding::Product), within(below, b, Binding::Power)),
            binding: Binding::Product,
        },
        BinaryOp::Power => Text {
            text: format!("{}**{}", within(below, a, Binding::Atom), within(below, b, Binding::Power)),
            binding: Binding::Power,
        },
        BinaryOp::FloorDiv => call("int_floor", &[a, b], below),
        BinaryOp::CeilDiv => call("int_ceil", &[a, b], below),
        BinaryOp::TruncDiv => call("int_trunc", &[a, b], below),
        BinaryOp::Remainder => call("CMod", &[a, b], below),
        BinaryOp::Modulo => call("Mod", &[a, b], below),
        BinaryOp::ShiftLeft => call("left_shift", &[a, b], below),
        BinaryOp::ShiftRight => call("right_shift", &[a, b], below),
    }
}

fn compare(op: CompareOp, a: ExprId, b: ExprId, below: &Texts) -> Text {
    let operator = match op {
        CompareOp::Less => "<",
        CompareOp::AtMost => "<=",
        CompareOp::Equal => "==",
        CompareOp::NotEqual => "!=",
    };
    let mut sides = [within(below, a, Binding::Sum), within(below, b, Binding::Sum)];
    if matches!(op, CompareOp::Equal | CompareOp::NotEqual) {
        sides.sort();
    }
    Text { text: format!("{} {operator} {}", sides[0], sides[1]), binding: Binding::Compare }
}
