//! The text of a kernel, for people.

use std::fmt::{self, Write};

use crate::scalar::DType;

use super::{BufferKind, Jump, Kernel, Literal, Op, Order, Stmt, ValueId};

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "kernel {}", self.name)?;
        for (id, buffer) in self.buffers.iter() {
            let kind = match &buffer.kind {
                BufferKind::Argument(index) => format!("argument {index}"),
                BufferKind::Scratch => "scratch".to_owned(),
                BufferKind::Planned(index) => format!("planned {index}"),
                BufferKind::Persistent(index) => format!("persistent {index}"),
                BufferKind::Constant(bytes) => format!("constant, {} bytes", bytes.len()),
                BufferKind::Anywhere => "anywhere".to_owned(),
            };
            writeln!(f, "  {id}: {kind} ; {}", buffer.name)?;
        }
        for (id, variable) in self.variables.iter() {
            writeln!(f, "  {id}: {} ; {}", variable.ty, variable.name)?;
        }
        for parameter in &self.parameters {
            writeln!(
                f,
                "  {} = parameter {}: {}",
                parameter.value, parameter.name, self.values[parameter.value]
            )?;
        }
        list(f, self, &self.body, 1)
    }
}

fn list(f: &mut fmt::Formatter<'_>, kernel: &Kernel, stmts: &[Stmt], depth: usize) -> fmt::Result {
    stmts.iter().try_for_each(|stmt| statement(f, kernel, stmt, depth))
}

fn statement(f: &mut fmt::Formatter<'_>, kernel: &Kernel, stmt: &Stmt, depth: usize) -> fmt::Result {
    let pad = "  ".repeat(depth);
    match stmt {
        Stmt::Let(value, op) => writeln!(f, "{pad}{value} = {}", op_text(kernel, *value, op)),
        Stmt::Set(variable, value) => writeln!(f, "{pad}set {variable} = {value}"),
        Stmt::Store { buffer, address, displacement, value } => {
            writeln!(
                f,
                "{pad}store {} {buffer}[{}] = {value}",
                kernel.values[*value],
                place(*address, *displacement)
            )
        }
        Stmt::For { variable, start, stop, step, order, body } => {
            let word = match order {
                Order::InTurn => "for",
                Order::Undecided => "undecided for",
                Order::Any => "parallel for",
            };
            writeln!(f, "{pad}{word} {variable} = {start} to {stop} by {step} {{")?;
            list(f, kernel, body, depth + 1)?;
            writeln!(f, "{pad}}}")
        }
        Stmt::Loop(body) => {
            writeln!(f, "{pad}loop {{")?;
            list(f, kernel, body, depth + 1)?;
            writeln!(f, "{pad}}}")
        }
        Stmt::If { condition, then, otherwise } => {
            writeln!(f, "{pad}if {condition} {{")?;
            list(f, kernel, then, depth + 1)?;
            if !otherwise.is_empty() {
                writeln!(f, "{pad}}} else {{")?;
                list(f, kernel, otherwise, depth + 1)?;
            }
            writeln!(f, "{pad}}}")
        }
        Stmt::Block(label, body) => {
            writeln!(f, "{pad}block {label} {{")?;
            list(f, kernel, body, depth + 1)?;
            writeln!(f, "{pad}}}")
        }
        Stmt::Exit(label) => writeln!(f, "{pad}exit {label}"),
        Stmt::Cfg(blocks) => {
            writeln!(f, "{pad}cfg {{")?;
            for (index, block) in blocks.iter().enumerate() {
                writeln!(f, "{pad}at {index}:")?;
                list(f, kernel, &block.body, depth + 1)?;
                match block.jump {
                    Jump::End => writeln!(f, "{pad}  end")?,
                    Jump::To(target) => writeln!(f, "{pad}  goto {target}")?,
                    Jump::Branch(condition, yes, no) => {
                        writeln!(f, "{pad}  if {condition} goto {yes} else {no}")?
                    }
                }
            }
            writeln!(f, "{pad}}}")
        }
        Stmt::Check(condition, trap) => {
            let message = kernel.traps.get(*trap).map_or("", |info| &info.message);
            writeln!(f, "{pad}check {condition} else {trap} ; {message}")
        }
        Stmt::Alloc { buffer, bytes, zero, .. } => {
            writeln!(f, "{pad}alloc {buffer}, {bytes} bytes{}", if *zero { ", cleared" } else { "" })
        }
        Stmt::Call(library, arguments) => {
            let class = kernel.libraries.get(*library).map_or("", |call| &call.class);
            writeln!(f, "{pad}call {library}({}) ; {class}", values(arguments))
        }
    }
}

fn op_text(kernel: &Kernel, value: ValueId, op: &Op) -> String {
    let ty = kernel.values[value];
    match op {
        Op::Const(literal) => format!("{} {}", literal.ty, literal_text(*literal)),
        Op::Get(variable) => format!("get {variable}"),
        Op::Base(buffer) => format!("base {buffer}"),
        Op::Unary(unary, a) => format!("{unary:?} {ty} {a}").to_lowercase(),
        Op::Binary(binary, a, b) => format!("{binary:?} {} {a}, {b}", kernel.values[*a]).to_lowercase(),
        Op::Cast(to, a) => format!("cast {to} {a}"),
        Op::Select(condition, a, b) => format!("select {condition}, {a}, {b}"),
        Op::Math(func, operands) => format!("{func:?}({})", values(operands)).to_lowercase(),
        Op::Complex(func, imaginary, operands) => {
            let part = if *imaginary { "imag" } else { "real" };
            format!("{part} {func:?}({})", values(operands)).to_lowercase()
        }
        Op::Load { buffer, address, displacement, ty } => {
            format!("load {ty} {buffer}[{}]", place(*address, *displacement))
        }
    }
}

fn place(address: ValueId, displacement: i64) -> String {
    match displacement {
        0 => address.to_string(),
        _ => format!("{address}{displacement:+}"),
    }
}

fn values(list: &[ValueId]) -> String {
    let mut text = String::new();
    for (index, value) in list.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{value}");
    }
    text
}

fn literal_text(literal: Literal) -> String {
    match literal.ty {
        DType::F64 => format!("{:?}", f64::from_bits(literal.bits)),
        DType::F32 => format!("{:?}", f32::from_bits(literal.bits as u32)),
        DType::U64 => literal.bits.to_string(),
        _ => literal.as_int().map_or_else(|| format!("{:#x}", literal.bits), |int| int.to_string()),
    }
}
