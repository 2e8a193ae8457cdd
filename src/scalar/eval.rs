//! Evaluation of [`Code`], one instruction after another.
//!
//! The evaluator knows nothing about containers: [`Memory`] answers for inputs, symbols and every access. Values
//! live in a [`Frame`] that is reused from run to run, so evaluating code of plain numbers allocates nothing.
//!
//! An unassigned value ([`Op::Undef`], or what memory says is undefined) is *poison*: operations on it give poison.
//! It is a [`Trap::Undefined`] as a condition, an index or a loop bound, and [`Memory::undefined`] decides what
//! happens when it reaches an output.

use super::arith::{self, Trap};
use super::code::{Block, Code, Inst, Op, PortId, ValueId};
use super::types::Type;
use super::value::{Scalar, Value};

/// What code reads and writes.
pub trait Memory {
    /// Why an access fails; program faults are among the reasons.
    type Fault: From<Trap>;

    /// The value of a value port; `None` is poison.
    fn input(&mut self, port: PortId) -> Result<Option<Value>, Self::Fault>;
    /// The value of the `index`-th symbol, converted to its type by the caller's [`Code::symbols`].
    fn symbol(&mut self, index: u32) -> Result<Option<Scalar>, Self::Fault>;
    /// Reads an element.
    fn load(&mut self, port: PortId, indices: &[i64]) -> Result<Option<Value>, Self::Fault>;
    /// Writes an element.
    fn store(&mut self, port: PortId, indices: &[i64], value: &Value) -> Result<(), Self::Fault>;
    /// Takes the result of a value port.
    fn output(&mut self, port: PortId, value: &Value) -> Result<(), Self::Fault>;
    /// Appends to a stream.
    fn push(&mut self, port: PortId, value: &Value) -> Result<(), Self::Fault>;
    /// Takes from a stream.
    fn pop(&mut self, port: PortId) -> Result<Option<Value>, Self::Fault>;
    /// Whether an optional argument was not given.
    fn is_absent(&mut self, port: PortId) -> Result<bool, Self::Fault>;
    /// Poison is written; the element keeps what it holds unless the implementation says otherwise.
    fn undefined(&mut self, _port: PortId, _indices: &[i64]) -> Result<(), Self::Fault> {
        Ok(())
    }
    /// Called once per loop iteration.
    fn tick(&mut self) -> Result<(), Self::Fault> {
        Ok(())
    }
}

/// Values of one evaluation, kept for the next.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    values: Vec<Option<Value>>,
    indices: Vec<i64>,
}

impl Frame {
    /// An empty frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// A value of the last evaluation; `None` is poison.
    pub fn value(&self, value: ValueId) -> Option<&Value> {
        self.values.get(value.0 as usize)?.as_ref()
    }

    /// The number behind a value of the last evaluation.
    pub fn scalar(&self, value: ValueId) -> Option<Scalar> {
        self.value(value)?.as_scalar()
    }

    #[inline]
    fn set(&mut self, value: ValueId, to: Option<Value>) {
        if let Some(place) = self.values.get_mut(value.0 as usize) {
            *place = to;
        }
    }
}

/// Runs verified code. Its results are then in the frame.
///
/// # Errors
/// What memory says, and traps of the code itself.
pub fn run<M: Memory>(code: &Code, memory: &mut M, frame: &mut Frame) -> Result<(), M::Fault> {
    if frame.values.len() < code.types.len() {
        frame.values.resize(code.types.len(), None);
    }
    Evaluation { code, memory, frame }.block(&code.body)
}

/// Runs verified code that is an expression and gives its value; `None` is poison.
///
/// # Errors
/// As [`run`].
pub fn result<M: Memory>(code: &Code, memory: &mut M, frame: &mut Frame) -> Result<Option<Value>, M::Fault> {
    run(code, memory, frame)?;
    match code.body.results[..] {
        [value] => Ok(frame.value(value).cloned()),
        _ => Err(Trap::Type.into()),
    }
}

/// Applies a function of two values, such as a conflict resolution, to two values.
///
/// # Errors
/// Traps of the code; it must have two value ports and no other access.
pub fn apply(code: &Code, old: &Value, new: &Value, frame: &mut Frame) -> Result<Option<Value>, Trap> {
    result(code, &mut Pair { old, new }, frame)
}

struct Pair<'a> {
    old: &'a Value,
    new: &'a Value,
}

impl Memory for Pair<'_> {
    type Fault = Trap;

    fn input(&mut self, port: PortId) -> Result<Option<Value>, Trap> {
        match port {
            PortId(0) => Ok(Some(self.old.clone())),
            PortId(1) => Ok(Some(self.new.clone())),
            _ => Err(Trap::Type),
        }
    }
    fn symbol(&mut self, _index: u32) -> Result<Option<Scalar>, Trap> {
        Err(Trap::Type)
    }
    fn load(&mut self, _port: PortId, _indices: &[i64]) -> Result<Option<Value>, Trap> {
        Err(Trap::Type)
    }
    fn store(&mut self, _port: PortId, _indices: &[i64], _value: &Value) -> Result<(), Trap> {
        Err(Trap::Type)
    }
    fn output(&mut self, _port: PortId, _value: &Value) -> Result<(), Trap> {
        Err(Trap::Type)
    }
    fn push(&mut self, _port: PortId, _value: &Value) -> Result<(), Trap> {
        Err(Trap::Type)
    }
    fn pop(&mut self, _port: PortId) -> Result<Option<Value>, Trap> {
        Err(Trap::Type)
    }
    fn is_absent(&mut self, _port: PortId) -> Result<bool, Trap> {
        Err(Trap::Type)
    }
}

struct Evaluation<'a, M> {
    code: &'a Code,
    memory: &'a mut M,
    frame: &'a mut Frame,
}

impl<M: Memory> Evaluation<'_, M> {
    fn block(&mut self, block: &Block) -> Result<(), M::Fault> {
        block.insts.iter().try_for_each(|inst| self.inst(inst))
    }

    #[inline]
    fn get(&self, value: ValueId) -> Option<&Value> {
        self.frame.values.get(value.0 as usize).and_then(Option::as_ref)
    }

    fn truth(&self, value: ValueId) -> Result<bool, Trap> {
        match self.get(value) {
            Some(Value::Scalar(scalar)) => Ok(scalar.is_true()),
            Some(_) => Err(Trap::Type),
            None => Err(Trap::Undefined),
        }
    }

    fn index(&self, value: ValueId) -> Result<i64, Trap> {
        match self.get(value) {
            Some(Value::Scalar(scalar)) => Ok(scalar.as_i64()),
            Some(_) => Err(Trap::Type),
            None => Err(Trap::Undefined),
        }
    }

    /// Index values into the frame's buffer, which the caller gives back.
    fn indices(&mut self, values: &[ValueId]) -> Result<Vec<i64>, Trap> {
        let mut indices = std::mem::take(&mut self.frame.indices);
        indices.clear();
        for &value in values {
            indices.push(self.index(value)?);
        }
        Ok(indices)
    }

    #[inline]
    fn inst(&mut self, inst: &Inst) -> Result<(), M::Fault> {
        let value = match &inst.op {
            Op::Const(scalar) => Some(Value::Scalar(*scalar)),
            Op::Binary(op, left, right) => match (self.get(*left), self.get(*right)) {
                (Some(Value::Scalar(a)), Some(Value::Scalar(b))) => {
                    Some(Value::Scalar(arith::binary(*op, *a, *b)?))
                }
                (Some(a), Some(b)) => Some(arith::binary_value(*op, a, b)?),
                _ => None,
            },
            Op::Input(port) => self.memory.input(*port)?,
            Op::Symbol(index) => {
                let dtype = self.code.symbols.get(*index as usize).map(|(_, dtype)| *dtype);
                let scalar = self.memory.symbol(*index)?;
                scalar.map(|scalar| Value::Scalar(dtype.map_or(scalar, |dtype| arith::cast(dtype, scalar))))
            }
            Op::Load { port, indices } => {
                let indices = self.indices(indices)?;
                let loaded = self.memory.load(*port, &indices);
                self.frame.indices = indices;
                loaded?
            }
            Op::Store { port, indices, value } => {
                let indices = self.indices(indices)?;
                let stored = match self.frame.value(*value) {
                    Some(value) => self.memory.store(*port, &indices, value),
                    None => self.memory.undefined(*port, &indices),
                };
                self.frame.indices = indices;
                return stored;
            }
            Op::Output { port, value } => {
                return match self.frame.value(*value) {
                    Some(value) => self.memory.output(*port, value),
                    None => self.memory.undefined(*port, &[]),
                };
            }
            Op::Push { port, value } => {
                return match self.frame.value(*value) {
                    Some(value) => self.memory.push(*port, value),
                    None => Err(Trap::Undefined.into()),
                };
            }
            Op::If { condition, then, otherwise } => {
                let taken = if self.truth(*condition)? { then } else { otherwise };
                self.block(taken)?;
                self.copy(&taken.results, &inst.results);
                return Ok(());
            }
            Op::Loop { carried, params, condition, body } => {
                return self.repeat(carried, params, condition, body, &inst.results);
            }
            other => self.rare(other, inst.results.first().copied())?,
        };
        if let [result] = inst.results[..] {
            self.frame.set(result, value);
        }
        Ok(())
    }

    fn copy(&mut self, from: &[ValueId], to: &[ValueId]) {
        for (&from, &to) in from.iter().zip(to) {
            let value = self.get(from).cloned();
            self.frame.set(to, value);
        }
    }

    fn repeat(
        &mut self,
        carried: &[ValueId],
        params: &[ValueId],
        condition: &Block,
        body: &Block,
        results: &[ValueId],
    ) -> Result<(), M::Fault> {
        self.copy(carried, params);
        let holds = condition.results.first().copied().ok_or(Trap::Type)?;
        loop {
            self.block(condition)?;
            if !self.truth(holds)? {
                break;
            }
            self.memory.tick()?;
            self.block(body)?;
            // All next values are taken before any parameter changes: they may be parameters themselves.
            if params.len() == 1 {
                self.copy(&body.results, params);
            } else {
                let next: Vec<Option<Value>> =
                    body.results.iter().map(|&value| self.get(value).cloned()).collect();
                for (&param, value) in params.iter().zip(next) {
                    self.frame.set(param, value);
                }
            }
        }
        self.copy(params, results);
        Ok(())
    }

    fn rare(&mut self, op: &Op, result: Option<ValueId>) -> Result<Option<Value>, M::Fault> {
        Ok(match op {
            Op::Undef => None,
            Op::Pop(port) => self.memory.pop(*port)?,
            Op::IsAbsent(port) => Some(Value::Scalar(Scalar::Bool(self.memory.is_absent(*port)?))),
            Op::Unary(op, value) => match self.get(*value) {
                Some(Value::Scalar(scalar)) => Some(Value::Scalar(arith::unary(*op, *scalar))),
                Some(value) => Some(arith::unary_value(*op, value)?),
                None => None,
            },
            Op::Cast(dtype, value) => match self.get(*value) {
                Some(Value::Scalar(scalar)) => Some(Value::Scalar(arith::cast(*dtype, *scalar))),
                Some(value) => Some(arith::cast_value(*dtype, value)?),
                None => None,
            },
            Op::Select(condition, then, otherwise) => match self.get(*condition) {
                Some(Value::Scalar(scalar)) => {
                    self.get(if scalar.is_true() { *then } else { *otherwise }).cloned()
                }
                Some(condition) => match (self.get(*then), self.get(*otherwise)) {
                    (Some(then), Some(otherwise)) => Some(arith::select_value(condition, then, otherwise)?),
                    _ => None,
                },
                None => None,
            },
            Op::Call(func, operands) => self.call(*func, operands)?,
            Op::MakeStruct(fields) => {
                let fields: Option<Box<[Value]>> =
                    fields.iter().map(|&field| self.get(field).cloned()).collect();
                fields.map(Value::Struct)
            }
            Op::Field(value, index) => match self.get(*value) {
                Some(Value::Struct(fields)) => Some(fields.get(*index as usize).cloned().ok_or(Trap::Type)?),
                Some(_) => return Err(Trap::Type.into()),
                None => None,
            },
            Op::WithField(value, index, new) => match (self.get(*value), self.get(*new)) {
                (Some(Value::Struct(fields)), Some(new)) => {
                    let mut fields = fields.clone();
                    *fields.get_mut(*index as usize).ok_or(Trap::Type)? = new.clone();
                    Some(Value::Struct(fields))
                }
                (Some(Value::Struct(_)) | None, None) | (None, Some(_)) => None,
                _ => return Err(Trap::Type.into()),
            },
            Op::Splat(value, lanes) => match self.get(*value) {
                Some(Value::Scalar(scalar)) => {
                    Some(Value::Vector(vec![*scalar; *lanes as usize].into_boxed_slice()))
                }
                Some(_) => return Err(Trap::Type.into()),
                None => None,
            },
            Op::Lane(value, index) => {
                let index = usize::try_from(self.index(*index)?).map_err(|_| Trap::IndexOutOfRange)?;
                match self.get(*value) {
                    Some(Value::Vector(lanes)) => {
                        Some(Value::Scalar(*lanes.get(index).ok_or(Trap::IndexOutOfRange)?))
                    }
                    Some(_) => return Err(Trap::Type.into()),
                    None => None,
                }
            }
            Op::WithLane(value, index, new) => {
                let index = usize::try_from(self.index(*index)?).map_err(|_| Trap::IndexOutOfRange)?;
                let lanes = match (result.and_then(|result| self.code.types.get(result)), self.get(*value)) {
                    (_, Some(Value::Vector(lanes))) => Some(lanes.clone()),
                    (Some(Type::Vector(..)), None) => None,
                    _ => return Err(Trap::Type.into()),
                };
                match (lanes, self.get(*new)) {
                    (Some(mut lanes), Some(Value::Scalar(new))) => {
                        *lanes.get_mut(index).ok_or(Trap::IndexOutOfRange)? = *new;
                        Some(Value::Vector(lanes))
                    }
                    _ => None,
                }
            }
            _ => return Err(Trap::Type.into()),
        })
    }

    fn call(&self, func: super::Func, operands: &[ValueId]) -> Result<Option<Value>, Trap> {
        let mut scalars = smallvec::SmallVec::<[Scalar; 3]>::new();
        for &operand in operands {
            match self.get(operand) {
                Some(Value::Scalar(scalar)) => scalars.push(*scalar),
                Some(_) => {
                    let values: Option<Vec<&Value>> =
                        operands.iter().map(|&operand| self.get(operand)).collect();
                    return values.map(|values| arith::call_value(func, &values)).transpose();
                }
                None => return Ok(None),
            }
        }
        arith::call(func, &scalars).map(|scalar| Some(Value::Scalar(scalar)))
    }
}
