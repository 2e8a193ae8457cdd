//! Tasklet text: an error, or code that is well formed, runs to its end or to a trap, and means the same when it is
//! spelled as text and read again.

use hashbrown::HashMap;

use crate::diag::Diagnostic;
use crate::entity::{Name, Names};
use crate::scalar::eval::{self, Frame, Memory};
use crate::scalar::parse::build::{self, Environment, PortSpec};
use crate::scalar::parse::tree::Stmt;
use crate::scalar::parse::{c, python};
use crate::scalar::spell::spell;
use crate::scalar::{Code, DType, Port, PortId, PortKind, Scalar, StructTable, Trap, Type, Value};

use super::Finding;

/// What a tasklet under test is connected to.
const PORTS: [(&str, DType, bool, bool); 7] = [
    ("a", DType::F64, false, false),
    ("b", DType::I32, false, false),
    ("c", DType::F32, false, false),
    ("p", DType::F64, true, false),
    ("o", DType::F64, false, true),
    ("n", DType::I64, false, true),
    ("q", DType::F64, true, true),
];

/// Elements that pointers reach.
const ELEMENTS: usize = 5;

/// Iterations of loops.
const FUEL: u32 = 2_000;

struct Symbols;

impl Environment for Symbols {
    fn symbol(&self, _name: Name) -> Option<DType> {
        Some(DType::I64)
    }
}

/// What the ports hold, and what was written.
#[derive(Default)]
struct Store {
    elements: HashMap<(u32, i64), Value>,
    outputs: HashMap<u32, Value>,
    /// Whether an unassigned value was written.
    undefined: bool,
    fuel: u32,
}

impl Memory for Store {
    type Fault = Trap;

    fn input(&mut self, port: PortId) -> Result<Option<Value>, Trap> {
        let value = match PORTS.get(port.0 as usize).map(|port| port.1) {
            Some(DType::I32) => Scalar::I32(-7),
            Some(DType::F32) => Scalar::F32(0.1),
            _ => Scalar::F64(2.75),
        };
        Ok(Some(Value::Scalar(value)))
    }

    fn symbol(&mut self, index: u32) -> Result<Option<Scalar>, Trap> {
        Ok(Some(Scalar::I64(i64::from(index % 4))))
    }

    fn load(&mut self, port: PortId, indices: &[i64]) -> Result<Option<Value>, Trap> {
        let index = in_range(indices)?;
        let known = self.elements.get(&(port.0, index)).cloned();
        Ok(Some(known.unwrap_or(Value::Scalar(Scalar::F64(index as f64 + 0.5)))))
    }

    fn store(&mut self, port: PortId, indices: &[i64], value: &Value) -> Result<(), Trap> {
        self.elements.insert((port.0, in_range(indices)?), value.clone());
        Ok(())
    }

    fn output(&mut self, port: PortId, value: &Value) -> Result<(), Trap> {
        self.outputs.insert(port.0, value.clone());
        Ok(())
    }

    fn push(&mut self, _port: PortId, _value: &Value) -> Result<(), Trap> {
        Err(Trap::Type)
    }

    fn pop(&mut self, _port: PortId) -> Result<Option<Value>, Trap> {
        Err(Trap::Type)
    }

    fn is_absent(&mut self, _port: PortId) -> Result<bool, Trap> {
        Ok(false)
    }

    fn undefined(&mut self, _port: PortId, _indices: &[i64]) -> Result<(), Trap> {
        self.undefined = true;
        Ok(())
    }

    fn tick(&mut self) -> Result<(), Trap> {
        self.fuel += 1;
        if self.fuel > FUEL { Err(Trap::Fuel) } else { Ok(()) }
    }
}

fn in_range(indices: &[i64]) -> Result<i64, Trap> {
    match indices {
        [] => Ok(0),
        [index] if (0..ELEMENTS as i64).contains(index) => Ok(*index),
        _ => Err(Trap::IndexOutOfRange),
    }
}

/// Any text as a tasklet, in both languages. Good seeds are the codes of real programs.
pub(super) fn scalar_parse(bytes: &[u8]) -> Finding {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    drop(python::lambda(text));
    drop(python::expression(text));
    drop(c::expression(text));
    for read in [python::statements, c::statements] {
        let mut names = Names::new();
        let Ok(code) = read(text).and_then(|statements| built(&mut names, &statements)) else { continue };
        let structs = StructTable::default();
        code.verify(&structs).map_err(|error| format!("malformed code: {error}\n{text}"))?;
        let ended = run(&code);
        if ended == Err(Trap::Type) {
            return Err(format!("code that was verified has operands that do not fit:\n{text}"));
        }
        // Code that text has no words for is refused.
        let Ok(spelled) = spell(&code, &names) else { continue };
        let again = python::statements(&spelled)
            .and_then(|statements| built(&mut names, &statements))
            .map_err(|error| format!("what was spelled is refused: {error}\n{text}\n----\n{spelled}"))?;
        let found = run(&again);
        // An unassigned value is spelled as zero, and loops are counted where code says so.
        let excused = [&ended, &found].iter().any(|ended| matches!(ended, Err(Trap::Fuel | Trap::Undefined)));
        if !excused && !same(&ended, &found) {
            return Err(format!("spelled code means something else:\n{text}\n----\n{spelled}"));
        }
    }
    Ok(())
}

fn built(names: &mut Names, statements: &[Stmt]) -> Result<Code, Diagnostic> {
    let spec = |&(name, dtype, pointer, writes): &(&str, DType, bool, bool)| PortSpec {
        port: Port {
            name: names.intern(name),
            ty: Type::Scalar(dtype),
            kind: if pointer { PortKind::Pointer { rank: 1 } } else { PortKind::Value },
            reads: !writes,
            writes,
        },
        unit_dimensions: if pointer { vec![false] } else { Vec::new() },
        one_element: !pointer,
        infer_type: false,
    };
    let ports = PORTS.iter().map(spec).collect();
    build::tasklet(names, &StructTable::default(), ports, &Symbols, statements)
}

/// What was written, in order of place; or the trap. An unassigned value that is written counts as one.
fn run(code: &Code) -> Result<Vec<(u32, i64, Value)>, Trap> {
    let mut memory = Store::default();
    eval::run(code, &mut memory, &mut Frame::new())?;
    if memory.undefined {
        return Err(Trap::Undefined);
    }
    let outputs = memory.outputs.into_iter().map(|(port, value)| (port, -1, value));
    let elements = memory.elements.into_iter().map(|((port, index), value)| (port, index, value));
    let mut written: Vec<_> = outputs.chain(elements).collect();
    written.sort_by_key(|&(port, index, _)| (port, index));
    Ok(written)
}

type Ended = Result<Vec<(u32, i64, Value)>, Trap>;

/// The same traps, or the same values bit for bit, any NaN like another.
fn same(left: &Ended, right: &Ended) -> bool {
    let (Ok(left), Ok(right)) = (left, right) else { return left == right };
    let value = |value: &Value| value.as_scalar();
    left.len() == right.len()
        && left.iter().zip(right).all(|(a, b)| {
            let numbers = match (value(&a.2), value(&b.2)) {
                (Some(a), Some(b)) => crate::check::side::same_bits(a, b),
                _ => a.2 == b.2,
            };
            a.0 == b.0 && a.1 == b.1 && numbers
        })
}
