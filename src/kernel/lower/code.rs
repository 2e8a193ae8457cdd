//! Scalar code as kernel values: tasklet bodies, conditions, assignments, write-conflict functions.
//!
//! A value of any type becomes the list of its numbers (two for a complex one). Small branches without
//! effects become selects; others stay branches that hand their results over in variables.

use hashbrown::HashMap;

use crate::kernel::{Literal, Op as KernelOp, Stmt, ValueId, VarId};
use crate::scalar::ValueId as CodeValue;
use crate::scalar::{BinaryOp, Block, Code, DType, Func, Inst, Op, PortId, Scalar, Type, UnaryOp};

use super::code_loop::CodeLoop;
use super::container::Container;
use super::memlet::{Access, Pointer};
use super::stream::Stream;
use super::{Lowerer, Lowering};

/// What a port is bound to.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    /// The numbers of an input.
    Value(Vec<ValueId>),
    /// An output that is handed over.
    Output,
    /// Memory.
    Pointer(Box<Pointer>),
    /// A queue.
    Stream(Box<Access>),
}

/// What code gave.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Results of the body, as lists of numbers, with their types.
    pub results: Vec<(Vec<ValueId>, Type)>,
    /// Outputs handed over.
    pub outputs: HashMap<PortId, Vec<ValueId>>,
}

pub(super) struct CodeState<'c> {
    pub code: &'c Code,
    ports: &'c HashMap<PortId, Bound>,
    /// The numbers of each value that is defined so far.
    pub values: Vec<Option<Vec<ValueId>>>,
    outputs: HashMap<PortId, Vec<ValueId>>,
    /// Outputs that branches or loops hand over.
    variables: HashMap<PortId, Vec<VarId>>,
    depth: usize,
}

/// Branches with at most so many instructions become selects.
const SELECT_LIMIT: usize = 16;
const MAX_CODE_DEPTH: usize = 100;

impl Lowerer<'_> {
    /// Lowers code whose ports are bound.
    pub fn code(&mut self, code: &Code, ports: &HashMap<PortId, Bound>) -> Lowering<Given> {
        let mut state = CodeState {
            code,
            ports,
            values: vec![None; code.types.len()],
            outputs: HashMap::new(),
            variables: HashMap::new(),
            depth: 0,
        };
        self.output_variables(&mut state, &code.body, 0)?;
        self.code_block(&mut state, &code.body)?;
        let mut given = Given::default();
        for &result in &code.body.results {
            given.results.push((self.numbers(&state, result)?.to_vec(), code.types[result]));
        }
        given.outputs = state.outputs;
        for (port, variables) in state.variables {
            let values = variables.iter().map(|&variable| self.b.get(variable)).collect();
            given.outputs.insert(port, values);
        }
        Ok(given)
    }

    /// The value of an expression as one number.
    pub fn code_number(
        &mut self,
        code: &Code,
        ports: &HashMap<PortId, Bound>,
    ) -> Lowering<(Vec<ValueId>, Type)> {
        match self.code(code, ports)?.results.pop() {
            Some(result) => Ok(result),
            None => self.invalid("P0302", "an expression without a value"),
        }
    }

    fn output_variables(&mut self, state: &mut CodeState<'_>, block: &Block, depth: usize) -> Lowering<()> {
        if depth > MAX_CODE_DEPTH {
            return self.unsupported("code that nests too deep");
        }
        for inst in &block.insts {
            match &inst.op {
                Op::Output { port, .. } if depth > 0 && !state.variables.contains_key(port) => {
                    let leaves = self.leaves(state.code.ports[*port].ty)?;
                    let mut variables = Vec::new();
                    for (ty, _) in leaves {
                        let variable = self.b.variable("output", ty);
                        let zero = self.zero(ty);
                        self.b.set(variable, zero);
                        variables.push(variable);
                    }
                    state.variables.insert(*port, variables);
                }
                Op::If { then, otherwise, .. } => {
                    self.output_variables(state, then, depth + 1)?;
                    self.output_variables(state, otherwise, depth + 1)?;
                }
                Op::Loop { condition, body, .. } => {
                    self.output_variables(state, condition, depth + 1)?;
                    self.output_variables(state, body, depth + 1)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn numbers<'s>(&self, state: &'s CodeState<'_>, value: CodeValue) -> Lowering<&'s [ValueId]> {
        match state.values.get(value.0 as usize).and_then(|values| values.as_deref()) {
            Some(values) => Ok(values),
            None => self.invalid("P0302", "malformed scalar code: a value is used before its definition"),
        }
    }

    pub(super) fn code_block(&mut self, state: &mut CodeState<'_>, block: &Block) -> Lowering<()> {
        if state.depth > MAX_CODE_DEPTH {
            return self.unsupported("code that nests too deep");
        }
        state.depth += 1;
        for inst in &block.insts {
            self.inst(state, inst)?;
        }
        state.depth -= 1;
        Ok(())
    }

    pub(super) fn inst(&mut self, state: &mut CodeState<'_>, inst: &Inst) -> Lowering<()> {
        match &inst.op {
            Op::If { condition, then, otherwise } => {
                return self.code_if(state, inst, *condition, then, otherwise);
            }
            Op::Loop { carried, params, condition, body } => {
                return self.code_loop(state, inst, CodeLoop { carried, params, condition, body });
            }
            Op::Output { port, value } => {
                let values = self.numbers(state, *value)?.to_vec();
                let values = self.convert(&values, state.code.types[*value], state.code.ports[*port].ty)?;
                if let Some(variables) = state.variables.get(port) {
                    for (&variable, value) in variables.iter().zip(values) {
                        self.b.set(variable, value);
                    }
                } else {
                    state.outputs.insert(*port, values);
                }
                return Ok(());
            }
            Op::Store { port, indices, value } => {
                let values = self.numbers(state, *value)?.to_vec();
                let ty = state.code.types[*value];
                let indices = self.indices(state, indices)?;
                let pointer = self.pointer(state, *port)?;
                return self.store_through(&pointer, &indices, &values, ty);
            }
            Op::Push { port, value } => {
                let values = self.numbers(state, *value)?.to_vec();
                let (stream, access) = self.stream_of(state, *port)?;
                return self.push_element(&stream, &access, &values, state.code.types[*value]);
            }
            _ => {}
        }
        let Some(&result) = inst.results.first() else { return Ok(()) };
        let values = self.simple(state, &inst.op, state.code.types[result])?;
        if let Some(slot) = state.values.get_mut(result.0 as usize) {
            *slot = Some(values);
        }
        Ok(())
    }

    fn pointer(&self, state: &CodeState<'_>, port: PortId) -> Lowering<Box<Pointer>> {
        match state.ports.get(&port) {
            Some(Bound::Pointer(pointer)) => Ok(pointer.clone()),
            _ => {
                let name = state.code.ports.get(port).map_or("?", |port| self.text(port.name));
                self.unsupported(format!("memory access through `{name}`"))
            }
        }
    }

    /// The stream behind a port, and the memlet that names a queue of it.
    fn stream_of(&self, state: &CodeState<'_>, port: PortId) -> Lowering<(Stream, Access)> {
        if let Some(Bound::Stream(access)) = state.ports.get(&port)
            && let Container::Stream(stream) = &access.container
        {
            return Ok((stream.clone(), (**access).clone()));
        }
        let name = state.code.ports.get(port).map_or("?", |port| self.text(port.name));
        self.unsupported(format!("`{name}` as a stream"))
    }

    fn indices(&mut self, state: &CodeState<'_>, indices: &[CodeValue]) -> Lowering<Vec<ValueId>> {
        let mut values = Vec::with_capacity(indices.len());
        for &index in indices {
            match *self.numbers(state, index)? {
                [value] => values.push(self.b.cast(DType::I64, value)),
                _ => return self.unsupported("an index that is no number"),
            }
        }
        Ok(values)
    }

    fn simple(&mut self, state: &mut CodeState<'_>, op: &Op, ty: Type) -> Lowering<Vec<ValueId>> {
        let code = state.code;
        Ok(match op {
            Op::Const(scalar) => self.number(*scalar),
            Op::Undef => {
                let leaves = self.leaves(ty)?;
                leaves.into_iter().map(|(ty, _)| self.zero(ty)).collect()
            }
            Op::Input(port) => match state.ports.get(port) {
                Some(Bound::Value(values)) => values.clone(),
                _ => {
                    let name = code.ports.get(*port).map_or("?", |port| self.text(port.name));
                    return self.unsupported(format!("the input `{name}`"));
                }
            },
            Op::Symbol(index) => {
                let Some(&(name, dtype)) = code.symbols.get(*index as usize) else {
                    return self.invalid("P0302", "malformed scalar code: symbol out of range");
                };
                self.symbol_as(name, dtype)?
            }
            Op::Load { port, indices } => {
                let indices = self.indices(state, indices)?;
                let pointer = self.pointer(state, *port)?;
                self.load_through(&pointer, &indices, ty)?
            }
            Op::Pop(port) => {
                let (stream, access) = self.stream_of(state, *port)?;
                self.pop_element(&stream, &access, ty)?
            }
            Op::IsAbsent(port) => match state.ports.get(port) {
                Some(_) => vec![self.b.bool(false)],
                None => vec![self.b.bool(true)],
            },
            Op::Unary(op, a) => {
                let values = self.numbers(state, *a)?.to_vec();
                let from = code.types[*a];
                self.unary_numbers(*op, &values, from)?
            }
            Op::Binary(op, a, b) => {
                let (left, right) = (self.numbers(state, *a)?.to_vec(), self.numbers(state, *b)?.to_vec());
                self.binary_values(*op, (&left, code.types[*a]), (&right, code.types[*b]))?
            }
            Op::Cast(dtype, a) => {
                let values = self.numbers(state, *a)?.to_vec();
                let to = match code.types[*a] {
                    Type::Vector(_, lanes) => Type::Vector(*dtype, lanes),
                    _ => Type::Scalar(*dtype),
                };
                self.convert(&values, code.types[*a], to)?
            }
            Op::Select(condition, a, b) => {
                let conditions = self.numbers(state, *condition)?.to_vec();
                let (a, b) = (self.numbers(state, *a)?.to_vec(), self.numbers(state, *b)?.to_vec());
                let width = a.len().max(b.len());
                let per_lane = (width / conditions.len().max(1)).max(1);
                let mut result = Vec::with_capacity(width);
                for number in 0..width {
                    let condition = pick(&conditions, number / per_lane);
                    let condition = self.b.cast(DType::Bool, condition);
                    result.push(self.b.select(condition, pick(&a, number), pick(&b, number)));
                }
                result
            }
            Op::Call(func, operands) => {
                let mut lists = Vec::with_capacity(operands.len());
                for &operand in operands {
                    lists.push((self.numbers(state, operand)?.to_vec(), code.types[operand]));
                }
                self.call_values(*func, &lists)?
            }
            Op::MakeStruct(fields) => {
                let mut all = Vec::new();
                for &field in fields {
                    all.extend_from_slice(self.numbers(state, field)?);
                }
                all
            }
            Op::Field(record, field) => {
                let (first, count) = self.field(code.types[*record], *field)?;
                self.numbers(state, *record)?.iter().skip(first).take(count).copied().collect()
            }
            Op::WithField(record, field, value) => {
                let (first, count) = self.field(code.types[*record], *field)?;
                let mut all = self.numbers(state, *record)?.to_vec();
                let new = self.numbers(state, *value)?;
                for (slot, &value) in all.iter_mut().skip(first).take(count).zip(new) {
                    *slot = value;
                }
                all
            }
            Op::Splat(value, lanes) => {
                let one = self.numbers(state, *value)?;
                std::iter::repeat_n(one, usize::from(*lanes)).flatten().copied().collect()
            }
            Op::Lane(vector, index) => {
                let (all, lanes) = (self.numbers(state, *vector)?.to_vec(), lanes(code.types[*vector]));
                let [index] = self.numbers(state, *index)?[..] else {
                    return self.unsupported("a lane index");
                };
                let index = self.b.cast(DType::I64, index);
                let width = all.len() / lanes.max(1);
                let mut result = all[..width].to_vec();
                for lane in 1..lanes {
                    let number = self.b.int(lane as i64);
                    let here = self.b.binary(BinaryOp::Eq, index, number);
                    for (part, slot) in result.iter_mut().enumerate() {
                        *slot = self.b.select(here, all[lane * width + part], *slot);
                    }
                }
                result
            }
            Op::WithLane(vector, index, value) => {
                let (mut all, lanes) = (self.numbers(state, *vector)?.to_vec(), lanes(code.types[*vector]));
                let [index] = self.numbers(state, *index)?[..] else {
                    return self.unsupported("a lane index");
                };
                let index = self.b.cast(DType::I64, index);
                let new = self.numbers(state, *value)?.to_vec();
                let width = all.len() / lanes.max(1);
                for (place, slot) in all.iter_mut().enumerate() {
                    let number = self.b.int((place / width) as i64);
                    let here = self.b.binary(BinaryOp::Eq, index, number);
                    *slot = self.b.select(here, pick(&new, place % width), *slot);
                }
                all
            }
            Op::Store { .. } | Op::Output { .. } | Op::Push { .. } | Op::If { .. } | Op::Loop { .. } => {
                return self.invalid("P0302", "malformed scalar code");
            }
        })
    }

    /// First number and count of numbers of a record's field.
    fn field(&mut self, record: Type, field: u32) -> Lowering<(usize, usize)> {
        let Type::Struct(id) = record else { return self.unsupported("a field of something else") };
        let fields: Vec<Type> = match self.program.structs.get(id) {
            Some(def) => def.fields.iter().map(|field| field.ty).collect(),
            None => return self.unsupported("an unknown record type"),
        };
        let mut first = 0;
        for (position, &ty) in fields.iter().enumerate() {
            let count = self.leaves(ty)?.len();
            if position == field as usize {
                return Ok((first, count));
            }
            first += count;
        }
        self.unsupported("a field that the record does not have")
    }

    /// A symbol converted to a type.
    pub fn symbol_as(&mut self, name: crate::entity::Name, dtype: DType) -> Lowering<Vec<ValueId>> {
        let symbol = self.cx.symbols.get(&name).copied();
        let (values, from) = match symbol {
            // Straight from the wide value where the type holds it.
            Some(super::symbols::Symbol::Index(value, _)) => (vec![value], DType::I64),
            Some(_) => {
                let value = self.symbol(name)?;
                (vec![value], self.b.ty(value))
            }
            None => {
                let container = self.needed_container(name)?;
                let Type::Scalar(from) = container.ty() else {
                    return self.unsupported(format!("the symbol `{}`", self.text(name)));
                };
                (self.read_element(&container, &[], self.program.names.get(name))?, from)
            }
        };
        Ok(self.convert_number(&values, from, dtype))
    }

    fn code_if(
        &mut self,
        state: &mut CodeState<'_>,
        inst: &Inst,
        condition: CodeValue,
        then: &Block,
        otherwise: &Block,
    ) -> Lowering<()> {
        let [condition] = self.numbers(state, condition)?[..] else {
            return self.unsupported("a vector condition");
        };
        let condition = self.b.cast(DType::Bool, condition);
        let cheap = |block: &Block| cost(state.code, block, 0).is_some_and(|cost| cost <= SELECT_LIMIT);
        if cheap(then) && cheap(otherwise) {
            self.code_block(state, then)?;
            self.code_block(state, otherwise)?;
            for (index, &result) in inst.results.iter().enumerate() {
                let (Some(&yes), Some(&no)) = (then.results.get(index), otherwise.results.get(index)) else {
                    return self.invalid("P0302", "malformed scalar code: a branch yields too little");
                };
                let (yes, no) = (self.numbers(state, yes)?.to_vec(), self.numbers(state, no)?.to_vec());
                let chosen = yes.iter().zip(&no).map(|(&a, &b)| self.b.select(condition, a, b)).collect();
                state.values[result.0 as usize] = Some(chosen);
            }
            return Ok(());
        }
        let mut variables: Vec<Vec<VarId>> = Vec::new();
        for &result in &inst.results {
            let leaves = self.leaves(state.code.types[result])?;
            variables.push(leaves.into_iter().map(|(ty, _)| self.b.variable("branch", ty)).collect());
        }
        let mut lists = Vec::new();
        for block in [then, otherwise] {
            self.b.open_branch();
            self.code_block(state, block)?;
            for (variables, &result) in variables.iter().zip(&block.results) {
                let values = self.numbers(state, result)?.to_vec();
                for (&variable, value) in variables.iter().zip(values) {
                    self.b.set(variable, value);
                }
            }
            lists.push(self.b.close());
        }
        let otherwise = lists.pop().unwrap_or_default();
        let then = lists.pop().unwrap_or_default();
        self.b.push(Stmt::If { condition, then, otherwise });
        for (variables, &result) in variables.iter().zip(&inst.results) {
            let values = variables.iter().map(|&variable| self.b.get(variable)).collect();
            state.values[result.0 as usize] = Some(values);
        }
        Ok(())
    }

    /// A constant as its numbers.
    pub fn number(&mut self, scalar: Scalar) -> Vec<ValueId> {
        let double = |x: f64| Literal { ty: DType::F64, bits: x.to_bits() };
        let single = |x: f32| Literal { ty: DType::F32, bits: x.to_bits().into() };
        match scalar {
            Scalar::C64(z) => vec![self.b.constant(single(z.re)), self.b.constant(single(z.im))],
            Scalar::C128(z) => vec![self.b.constant(double(z.re)), self.b.constant(double(z.im))],
            other => {
                Literal::from_scalar(other).map(|literal| self.b.constant(literal)).into_iter().collect()
            }
        }
    }

    fn unary_numbers(&mut self, op: UnaryOp, values: &[ValueId], from: Type) -> Lowering<Vec<ValueId>> {
        let dtype = match from {
            Type::Scalar(dtype) | Type::Vector(dtype, _) => dtype,
            _ => return self.unsupported("an operation on a record"),
        };
        if op == UnaryOp::Not {
            let width = if dtype.is_complex() { 2 } else { 1 };
            let lanes: Vec<Vec<ValueId>> = values.chunks(width).map(<[_]>::to_vec).collect();
            return Ok(lanes
                .into_iter()
                .flat_map(|lane| {
                    let truth = self.convert_number(&lane, dtype, DType::Bool);
                    truth.into_iter().map(|value| self.b.not(value)).collect::<Vec<_>>()
                })
                .collect());
        }
        Ok(values
            .iter()
            .map(|&value| {
                let ty = self.b.ty(value);
                if op == UnaryOp::BitNot && !ty.is_integral() {
                    return value;
                }
                self.b.value(KernelOp::Unary(op, value), ty)
            })
            .collect())
    }

    /// An operation on two values of any type, lane by lane.
    pub fn binary_values(
        &mut self,
        op: BinaryOp,
        left: (&[ValueId], Type),
        right: (&[ValueId], Type),
    ) -> Lowering<Vec<ValueId>> {
        let dtype = |ty: Type| match ty {
            Type::Scalar(dtype) | Type::Vector(dtype, _) => Some(dtype),
            _ => None,
        };
        let (Some(a_type), Some(b_type)) = (dtype(left.1), dtype(right.1)) else {
            return self.unsupported("an operation on records");
        };
        let width = if a_type.is_complex() { 2 } else { 1 };
        let lanes = left.0.len().max(right.0.len()) / width;
        let mut result = Vec::new();
        for lane in 0..lanes {
            let at = |list: &[ValueId]| -> Vec<ValueId> {
                (0..width)
                    .map(|part| pick(list, if list.len() == width { part } else { lane * width + part }))
                    .collect()
            };
            let (a, b) = (at(left.0), at(right.0));
            if a_type.is_complex() {
                result.extend(self.complex_binary(op, &a, &b)?);
                continue;
            }
            let (a, mut b) = (a[0], b[0]);
            if a_type != b_type {
                b = self.b.cast(a_type, b);
            }
            if a_type.is_integral()
                && matches!(op, BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem | BinaryOp::Mod)
            {
                self.check_divisor(b);
            }
            result.push(self.b.binary(op, a, b));
        }
        Ok(result)
    }

    fn complex_binary(&mut self, op: BinaryOp, a: &[ValueId], b: &[ValueId]) -> Lowering<Vec<ValueId>> {
        let (ar, ai, br, bi) = (a[0], a[1], b[0], b[1]);
        let f = |l: &mut Self, op, x, y| l.b.binary(op, x, y);
        use BinaryOp::{Add, Div, Eq, Ge, Gt, Lt, Mul, Sub};
        Ok(match op {
            Add | Sub => vec![f(self, op, ar, br), f(self, op, ai, bi)],
            Mul => {
                let (rr, ii) = (f(self, Mul, ar, br), f(self, Mul, ai, bi));
                let (ri, ir) = (f(self, Mul, ar, bi), f(self, Mul, ai, br));
                vec![f(self, Sub, rr, ii), f(self, Add, ri, ir)]
            }
            Div => self.complex_quotient(a, b),
            BinaryOp::FloorDiv => {
                let quotient = self.complex_quotient(a, b);
                let ty = self.b.ty(ar);
                let floor = self.b.value(KernelOp::Math(Func::Floor, vec![quotient[0]]), ty);
                vec![floor, self.zero(ty)]
            }
            BinaryOp::Eq | BinaryOp::Ne => {
                let (re, im) = (f(self, Eq, ar, br), f(self, Eq, ai, bi));
                let equal = self.b.and(re, im);
                vec![if op == Eq { equal } else { self.b.not(equal) }]
            }
            BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Min | BinaryOp::Max => {
                let order = if matches!(op, Lt | BinaryOp::Le | BinaryOp::Min) { Lt } else { Gt };
                let same = f(self, Eq, ar, br);
                let (re, im) = (f(self, order, ar, br), f(self, order, ai, bi));
                let ordered = self.b.select(same, im, re);
                match op {
                    BinaryOp::Min | BinaryOp::Max => {
                        vec![self.b.select(ordered, ar, br), self.b.select(ordered, ai, bi)]
                    }
                    BinaryOp::Le | Ge => {
                        let equal_im = f(self, Eq, ai, bi);
                        let equal = self.b.and(same, equal_im);
                        vec![self.b.or(ordered, equal)]
                    }
                    _ => vec![ordered],
                }
            }
            _ => return self.unsupported("this operation on complex numbers"),
        })
    }

    /// Smith's algorithm, as `scalar::arith::complex` has it.
    fn complex_quotient(&mut self, a: &[ValueId], b: &[ValueId]) -> Vec<ValueId> {
        use BinaryOp::{Add, Div, Eq, Ge, Mul, Sub};
        let (ar, ai, br, bi) = (a[0], a[1], b[0], b[1]);
        let ty = self.b.ty(ar);
        let one = match ty {
            DType::F64 => Literal { ty, bits: 1.0f64.to_bits() },
            _ => Literal { ty, bits: 1.0f32.to_bits().into() },
        };
        let one = self.b.constant(one);
        let zero = self.zero(ty);
        let size_re = self.b.value(KernelOp::Math(Func::Abs, vec![br]), ty);
        let size_im = self.b.value(KernelOp::Math(Func::Abs, vec![bi]), ty);
        let by_real = self.b.binary(Ge, size_re, size_im);
        let (no_re, no_im) = (self.b.binary(Eq, br, zero), self.b.binary(Eq, bi, zero));
        let nothing = self.b.and(no_re, no_im);
        let op = |l: &mut Self, op, x, y| l.b.binary(op, x, y);
        // Scaled by the real part.
        let ratio = op(self, Div, bi, br);
        let t = op(self, Mul, bi, ratio);
        let t = op(self, Add, br, t);
        let scale = op(self, Div, one, t);
        let t = op(self, Mul, ai, ratio);
        let t = op(self, Add, ar, t);
        let re_1 = op(self, Mul, t, scale);
        let t = op(self, Mul, ar, ratio);
        let t = op(self, Sub, ai, t);
        let im_1 = op(self, Mul, t, scale);
        // Scaled by the imaginary part.
        let ratio = op(self, Div, br, bi);
        let t = op(self, Mul, br, ratio);
        let t = op(self, Add, t, bi);
        let scale = op(self, Div, one, t);
        let t = op(self, Mul, ar, ratio);
        let t = op(self, Add, t, ai);
        let re_2 = op(self, Mul, t, scale);
        let t = op(self, Mul, ai, ratio);
        let t = op(self, Sub, t, ar);
        let im_2 = op(self, Mul, t, scale);
        // By zero.
        let (re_0, im_0) = (op(self, Div, ar, size_re), op(self, Div, ai, size_re));
        let (re, im) = (self.b.select(by_real, re_1, re_2), self.b.select(by_real, im_1, im_2));
        vec![self.b.select(nothing, re_0, re), self.b.select(nothing, im_0, im)]
    }

    fn call_values(&mut self, func: Func, operands: &[(Vec<ValueId>, Type)]) -> Lowering<Vec<ValueId>> {
        let mut types = Vec::new();
        let mut count = 1;
        for (_, ty) in operands {
            match ty {
                Type::Scalar(dtype) => types.push(*dtype),
                Type::Vector(dtype, lanes) => {
                    types.push(*dtype);
                    count = count.max(usize::from(*lanes));
                }
                _ => return self.unsupported("a function of a record"),
            }
        }
        let mut result = Vec::new();
        for lane in 0..count {
            let lists: Vec<Vec<ValueId>> = operands
                .iter()
                .zip(&types)
                .map(|((values, _), dtype)| {
                    let width = if dtype.is_complex() { 2 } else { 1 };
                    let first = if values.len() == width { 0 } else { lane * width };
                    values[first..first + width].to_vec()
                })
                .collect();
            result.extend(self.call_numbers(func, &lists, &types)?);
        }
        Ok(result)
    }

    fn call_numbers(
        &mut self,
        func: Func,
        operands: &[Vec<ValueId>],
        types: &[DType],
    ) -> Lowering<Vec<ValueId>> {
        let Some(&first) = types.first() else { return self.invalid("P0302", "a function without operands") };
        if func == Func::Complex {
            let target = if first == DType::F64 { DType::F64 } else { DType::F32 };
            return Ok(operands.iter().map(|operand| self.b.cast(target, operand[0])).collect());
        }
        if func == Func::PowI {
            let exponent = operands.get(1).and_then(|exponent| self.b.as_int(exponent[0]));
            if let Some(exponent) = exponent.filter(|e| e.unsigned_abs() <= 64) {
                return self.integer_power(&operands[0], first, exponent);
            }
        }
        if first.is_complex() {
            return self.complex_call(func, operands, first);
        }
        match func {
            Func::Imag => return Ok(vec![self.zero(first)]),
            Func::Identity | Func::Real | Func::Conj => return Ok(operands[0].clone()),
            _ => {}
        }
        let result = match func {
            Func::IsNan | Func::IsInf | Func::IsFinite | Func::SignBit => DType::Bool,
            _ => first,
        };
        let mut flat: Vec<ValueId> = Vec::with_capacity(operands.len());
        for (position, operand) in operands.iter().enumerate() {
            let wanted = match (func, position) {
                (Func::PowI | Func::Ldexp, 1) => DType::I32,
                _ => first,
            };
            flat.push(self.b.cast(wanted, operand[0]));
        }
        Ok(vec![self.b.value(KernelOp::Math(func, flat), result)])
    }

    /// Repeated multiplication in binary order.
    fn integer_power(&mut self, base: &[ValueId], dtype: DType, exponent: i64) -> Lowering<Vec<ValueId>> {
        let ty = Type::Scalar(dtype);
        let one = self.number(crate::scalar::arith::cast(dtype, Scalar::I32(1)));
        let mut result: Option<Vec<ValueId>> = None;
        let mut square = base.to_vec();
        let mut left = exponent.unsigned_abs();
        while left > 0 {
            if left & 1 == 1 {
                result = Some(match result {
                    None if dtype == DType::C64 => {
                        self.binary_values(BinaryOp::Mul, (&one, ty), (&square, ty))?
                    }
                    None => square.clone(),
                    Some(so_far) => self.binary_values(BinaryOp::Mul, (&so_far, ty), (&square, ty))?,
                });
            }
            left >>= 1;
            if left > 0 {
                square = self.binary_values(BinaryOp::Mul, (&square, ty), (&square, ty))?;
            }
        }
        let result = result.unwrap_or_else(|| one.clone());
        if exponent < 0 { self.binary_values(BinaryOp::Div, (&one, ty), (&result, ty)) } else { Ok(result) }
    }

    fn complex_call(
        &mut self,
        func: Func,
        operands: &[Vec<ValueId>],
        dtype: DType,
    ) -> Lowering<Vec<ValueId>> {
        let part = if dtype == DType::C64 { DType::F32 } else { DType::F64 };
        let z = operands[0].clone();
        match func {
            Func::Identity => return Ok(z),
            Func::Real => return Ok(vec![z[0]]),
            Func::Imag => return Ok(vec![z[1]]),
            Func::Conj => {
                let minus = self.b.value(KernelOp::Unary(UnaryOp::Neg, z[1]), part);
                return Ok(vec![z[0], minus]);
            }
            Func::IsNan | Func::IsInf | Func::IsFinite => {
                let parts: Vec<ValueId> =
                    z.iter().map(|&x| self.b.value(KernelOp::Math(func, vec![x]), DType::Bool)).collect();
                let both = func == Func::IsFinite;
                return Ok(vec![if both {
                    self.b.and(parts[0], parts[1])
                } else {
                    self.b.or(parts[0], parts[1])
                }]);
            }
            Func::PowI => {
                return self.unsupported("a complex number to an integer power that is not constant");
            }
            _ => {}
        }
        let wide: Vec<ValueId> = operands.iter().flatten().map(|&x| self.b.cast(DType::F64, x)).collect();
        if func == Func::Pow
            && let [x, y, ..] = wide[..]
            && let Some(exponent) = self.constant_exponent(&operands[1])
        {
            let power = self.integer_power(&[x, y], DType::C128, exponent)?;
            return Ok(power.into_iter().map(|number| self.b.cast(part, number)).collect());
        }
        if matches!(func, Func::Abs | Func::Arg) {
            let (real, arguments) = match func {
                Func::Abs => (Func::Hypot, vec![wide[0], wide[1]]),
                _ => (Func::Atan2, vec![wide[1], wide[0]]),
            };
            let value = self.b.value(KernelOp::Math(real, arguments), DType::F64);
            return Ok(vec![self.b.cast(part, value)]);
        }
        let mut parts = Vec::with_capacity(2);
        for imaginary in [false, true] {
            let value = self.b.value(KernelOp::Complex(func, imaginary, wide.clone()), DType::F64);
            parts.push(self.b.cast(part, value));
        }
        Ok(parts)
    }

    /// The integer that a constant complex exponent is, where `pow` multiplies (see `scalar::arith::complex`).
    fn constant_exponent(&self, exponent: &[ValueId]) -> Option<i64> {
        let number = |value: &ValueId| self.b.literal(*value)?.to_scalar().map(Scalar::as_f64);
        let (re, im) = (number(exponent.first()?)?, number(exponent.get(1)?)?);
        (im == 0.0 && re.abs() < 100.0 && re == re.trunc()).then_some(re as i64)
    }

    /// A bool of a condition's numbers.
    pub fn truth_of(&mut self, values: &[ValueId], ty: Type) -> Lowering<ValueId> {
        let Type::Scalar(dtype) = ty else { return self.unsupported("a condition that is no number") };
        match self.convert_number(values, dtype, DType::Bool)[..] {
            [truth] => Ok(truth),
            _ => self.unsupported("a condition that is no number"),
        }
    }
}

/// The n-th of a list; one stands for all.
fn pick(list: &[ValueId], index: usize) -> ValueId {
    list.get(index).or(list.first()).copied().unwrap_or(ValueId(0))
}

fn lanes(ty: Type) -> usize {
    match ty {
        Type::Vector(_, lanes) => usize::from(lanes),
        _ => 1,
    }
}

/// Instructions of a block that may run although its branch is not taken; `None` if it may not.
fn cost(code: &Code, block: &Block, depth: usize) -> Option<usize> {
    if depth > 8 {
        return None;
    }
    let integral = |value: CodeValue| match code.types.get(value) {
        Some(Type::Scalar(dtype) | Type::Vector(dtype, _)) => dtype.is_integral(),
        _ => true,
    };
    let mut total = 0;
    for inst in &block.insts {
        total += match &inst.op {
            Op::Const(_) | Op::Undef | Op::Input(_) | Op::Symbol(_) => 0,
            Op::Binary(BinaryOp::Rem | BinaryOp::Mod, ..) => return None,
            Op::Binary(BinaryOp::Div | BinaryOp::FloorDiv, a, _) if integral(*a) => return None,
            Op::Binary(BinaryOp::Div, ..) => 4,
            Op::Unary(..) | Op::Binary(..) | Op::Cast(..) | Op::Select(..) => 1,
            Op::MakeStruct(_) | Op::Field(..) | Op::WithField(..) | Op::Splat(..) => 1,
            Op::Call(Func::Sqrt, _) => 4,
            Op::Call(
                Func::Abs
                | Func::Floor
                | Func::Ceil
                | Func::Trunc
                | Func::RoundEven
                | Func::CopySign
                | Func::IsNan
                | Func::IsInf
                | Func::IsFinite
                | Func::Sign
                | Func::Real
                | Func::Imag
                | Func::Conj
                | Func::Identity
                | Func::Complex,
                _,
            ) => 1,
            Op::If { then, otherwise, .. } => {
                1 + cost(code, then, depth + 1)? + cost(code, otherwise, depth + 1)?
            }
            _ => return None,
        };
    }
    Some(total)
}
