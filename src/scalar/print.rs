//! Printing of [`Code`], in the form that the documentation of [`code`](super::code) shows.

use std::fmt::{self, Display, Write};

use crate::entity::Names;

use super::code::{BinaryOp, Block, Code, Func, Inst, Op, Port, PortId, PortKind, UnaryOp, ValueId};
use super::types::Type;
use super::value::Scalar;

/// The text of a code: ports, then one instruction per line.
pub fn print(code: &Code, names: &Names) -> String {
    let mut printer = Printer { code, names, text: String::new() };
    let mut header = Vec::new();
    for (reads, label) in [(true, "in "), (false, "out")] {
        let ports = code.ports.values().filter(|port| if reads { port.reads } else { port.writes });
        let ports: Vec<String> = ports.map(|port| printer.port(port)).collect();
        if !ports.is_empty() {
            header.push(format!("{label} {}", ports.join(", ")));
        }
    }
    for line in header {
        printer.text.push_str(&line);
        printer.text.push('\n');
    }
    printer.block(&code.body, 1);
    printer.text
}

struct Printer<'a> {
    code: &'a Code,
    names: &'a Names,
    text: String,
}

impl Printer<'_> {
    fn port(&self, port: &Port) -> String {
        let suffix = match port.kind {
            PortKind::Value => String::new(),
            PortKind::Reference => "&".to_string(),
            PortKind::Pointer { rank } => format!("*[{rank}]"),
            PortKind::Memory => "*".to_string(),
            PortKind::Stream => " stream".to_string(),
        };
        format!("{}: {}{suffix}", &self.names[port.name], self.ty(port.ty))
    }

    fn ty(&self, ty: Type) -> String {
        match ty {
            Type::Scalar(dtype) => dtype.to_string(),
            Type::Vector(dtype, lanes) => format!("{dtype}x{lanes}"),
            Type::Struct(id) => id.to_string(),
            Type::Opaque(name) => self.names[name].to_string(),
        }
    }

    fn port_name(&self, port: PortId) -> &str {
        self.code.ports.get(port).map_or("?", |port| &self.names[port.name])
    }

    fn line(&mut self, indent: usize, line: impl Display) {
        for _ in 0..indent {
            self.text.push_str("  ");
        }
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn block(&mut self, block: &Block, indent: usize) {
        for inst in &block.insts {
            self.inst(inst, indent);
        }
        if !block.results.is_empty() {
            self.line(indent, format!("-> {}", list(&block.results)));
        }
    }

    fn inst(&mut self, inst: &Inst, indent: usize) {
        let mut head = String::new();
        if !inst.results.is_empty() {
            head = format!("{} = ", list(&inst.results));
        }
        match &inst.op {
            Op::If { condition, then, otherwise } => {
                self.line(indent, format!("{head}if {condition} {{"));
                self.block(then, indent + 1);
                self.line(indent, "} else {");
                self.block(otherwise, indent + 1);
                self.line(indent, "}");
            }
            Op::Loop { carried, params, condition, body } => {
                let bound = params.iter().zip(carried).map(|(param, value)| format!("{param} = {value}"));
                let bound: Vec<String> = bound.collect();
                self.line(indent, format!("{head}loop {} while {{", bound.join(", ")));
                self.block(condition, indent + 1);
                self.line(indent, "} do {");
                self.block(body, indent + 1);
                self.line(indent, "}");
            }
            op => {
                let text = self.op(op, inst.results.first().copied());
                self.line(indent, format!("{head}{text}"));
            }
        }
    }

    fn result_type(&self, result: Option<ValueId>) -> String {
        result.and_then(|value| self.code.types.get(value)).map_or("?".to_string(), |&ty| self.ty(ty))
    }

    fn op(&self, op: &Op, result: Option<ValueId>) -> String {
        let ty = || self.result_type(result);
        match op {
            Op::Const(scalar) => format!("const {} {}", ty(), Number(*scalar)),
            Op::Undef => format!("undef {}", ty()),
            Op::Input(port) => format!("input {}", self.port_name(*port)),
            Op::Symbol(index) => {
                let name = self.code.symbols.get(*index as usize).map_or("?", |(name, _)| &self.names[*name]);
                format!("symbol {name}: {}", ty())
            }
            Op::Load { port, indices } => format!("load {}[{}]", self.port_name(*port), list(indices)),
            Op::Store { port, indices, value } => {
                format!("store {}[{}] = {value}", self.port_name(*port), list(indices))
            }
            Op::Output { port, value } => format!("output {} = {value}", self.port_name(*port)),
            Op::Push { port, value } => format!("push {} {value}", self.port_name(*port)),
            Op::Pop(port) => format!("pop {}", self.port_name(*port)),
            Op::IsAbsent(port) => format!("absent {}", self.port_name(*port)),
            Op::Unary(op, value) => format!("{op} {} {value}", ty()),
            Op::Binary(op, left, right) => format!("{op} {} {left} {right}", ty()),
            Op::Cast(_, value) => format!("cast {} {value}", ty()),
            Op::Select(condition, then, otherwise) => {
                format!("select {} {condition} {then} {otherwise}", ty())
            }
            Op::Call(func, operands) => {
                let operands: Vec<String> = operands.iter().map(ToString::to_string).collect();
                format!("{func} {} {}", ty(), operands.join(" "))
            }
            Op::MakeStruct(fields) => format!("struct {} {}", ty(), list(fields)),
            Op::Field(value, index) => format!("field {value}.{index}"),
            Op::WithField(value, index, new) => format!("with {value}.{index} = {new}"),
            Op::Splat(value, _) => format!("splat {} {value}", ty()),
            Op::Lane(value, index) => format!("lane {value}[{index}]"),
            Op::WithLane(value, index, new) => format!("with {value}[{index}] = {new}"),
            Op::If { .. } => "if".to_string(),
            Op::Loop { .. } => "loop".to_string(),
        }
    }
}

fn list(values: &[ValueId]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    values.join(", ")
}

/// A number that reads back exactly.
struct Number(Scalar);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Scalar::Bool(x) => write!(f, "{x}"),
            Scalar::F32(x) => write!(f, "{x:?}"),
            Scalar::F64(x) => write!(f, "{x:?}"),
            Scalar::C64(z) => write!(f, "({:?}, {:?})", z.re, z.im),
            Scalar::C128(z) => write!(f, "({:?}, {:?})", z.re, z.im),
            Scalar::U64(x) => write!(f, "{x}"),
            x if x.dtype().is_integral() => write!(f, "{}", x.as_i64()),
            x => write!(f, "{:?}", x.as_f64()),
        }
    }
}

macro_rules! lower_case_display {
    ($($ty:ty),*) => {
        $(impl Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&format!("{self:?}").to_lowercase())
            }
        })*
    };
}

lower_case_display!(UnaryOp, BinaryOp, Func);
