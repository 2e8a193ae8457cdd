//! A tasklet by itself, for tests and fuzz targets: numbers on its connectors, a few elements behind its pointers, no graph
//! around it.

use std::collections::BTreeMap;

use crate::entity::Name;

use super::eval::{self, Frame, Memory};
use super::parse::build::Environment;
use super::{Code, DType, PortId, Scalar, Trap, Value};

/// Real types that processors compute with.
pub const TYPES: [DType; 11] = [
    DType::Bool,
    DType::I8,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
    DType::F32,
    DType::F64,
];

/// Elements that each pointer reaches.
const ELEMENTS: i64 = 5;

/// Iterations of loops at most.
const FUEL: u32 = 2_000;

/// Every symbol has this type.
#[derive(Clone, Copy, Debug)]
pub struct Symbols(pub DType);

impl Environment for Symbols {
    fn symbol(&self, _name: Name) -> Option<DType> {
        Some(self.0)
    }
}

/// What was written, in order of place: port, index behind a pointer (`-1` for a connector that is no pointer), value.
pub type Written = Vec<(u32, i64, Value)>;

/// What a tasklet reads, and what it has written so far.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    inputs: &'a [Scalar],
    symbol: fn(u32) -> Scalar,
    elements: BTreeMap<(u32, i64), Value>,
    outputs: BTreeMap<u32, Value>,
    undefined: bool,
    fuel: u32,
}

impl<'a> Trial<'a> {
    /// Ports read the inputs of their number, symbols what `symbol` says. Element `i` behind a pointer is `i + 0.5`.
    pub fn new(inputs: &'a [Scalar], symbol: fn(u32) -> Scalar) -> Trial<'a> {
        let (elements, outputs) = (BTreeMap::new(), BTreeMap::new());
        Trial { inputs, symbol, elements, outputs, undefined: false, fuel: 0 }
    }

    /// Evaluates the code. An unassigned value that is written counts as a trap.
    ///
    /// # Errors
    /// The trap.
    pub fn run(mut self, code: &Code) -> Result<Written, Trap> {
        eval::run(code, &mut self, &mut Frame::new())?;
        if self.undefined {
            return Err(Trap::Undefined);
        }
        let outputs = self.outputs.into_iter().map(|(port, value)| (port, -1, value));
        let elements = self.elements.into_iter().map(|((port, index), value)| (port, index, value));
        let mut written: Written = outputs.chain(elements).collect();
        written.sort_by_key(|&(port, index, _)| (port, index));
        Ok(written)
    }
}

impl Memory for Trial<'_> {
    type Fault = Trap;

    fn input(&mut self, port: PortId) -> Result<Option<Value>, Trap> {
        Ok(self.inputs.get(port.0 as usize).map(|&input| Value::Scalar(input)))
    }

    fn symbol(&mut self, index: u32) -> Result<Option<Scalar>, Trap> {
        Ok(Some((self.symbol)(index)))
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
        [index] if (0..ELEMENTS).contains(index) => Ok(*index),
        _ => Err(Trap::IndexOutOfRange),
    }
}

/// Whether the same was written, bit for bit, any NaN like another.
pub fn same(left: &Written, right: &Written) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(a, b)| {
            let values = match (a.2.as_scalar(), b.2.as_scalar()) {
                (Some(a), Some(b)) => same_number(a, b),
                _ => a.2 == b.2,
            };
            (a.0, a.1) == (b.0, b.1) && values
        })
}

fn same_number(a: Scalar, b: Scalar) -> bool {
    let part = |a: f64, b: f64| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    let (x, y) = (a.as_complex(), b.as_complex());
    let floats = !a.dtype().is_integral();
    a.dtype() == b.dtype() && (a.same_bits(b) || floats && part(x.re, y.re) && part(x.im, y.im))
}
