//! Expressions compiled for repeated evaluation against a slice of integers.
//!
//! Constants, single symbols and affine sums have direct forms; sums of products of symbols are evaluated term by term; the rest is
//! a list of registers in order of dependence, each computed once. A register may hold an error that nobody uses: the
//! untaken side of a conditional.

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::entity::Name;

use super::eval::{Exact, Integer, Leaves, Rational, step};
use super::node::{Factor, Node, Term};
use super::{EvalError, ExprId, ExprPool};

/// An expression over numbered slots. Independent of the pool it came from.
#[derive(Clone, PartialEq, Debug)]
pub struct CompiledExpr {
    form: Form,
}

#[derive(Clone, PartialEq, Debug)]
enum Form {
    Constant(i64),
    Slot(u32),
    /// `constant + sum of coefficient * slot`.
    Affine(i64, Box<[(i64, u32)]>),
    /// `constant + sum of coefficient * product of slots`.
    Polynomial(i64, Box<[(i64, SmallVec<[u32; 4]>)]>),
    Registers(Box<[Register]>),
}

/// How one register is computed.
#[derive(Clone, PartialEq, Debug)]
enum Register {
    Slot(u32),
    /// A node whose children are registers instead of expressions.
    Node(Node),
    /// An element of a container.
    Element(Name, Box<[u32]>),
    /// Something that has no integer value.
    Never(EvalError),
}

impl ExprPool {
    /// Compiles an expression. `slot` numbers the symbols; it is asked once or more for each, and not for containers of
    /// subscripts.
    pub fn compile(&self, id: ExprId, slot: &mut dyn FnMut(Name) -> u32) -> CompiledExpr {
        CompiledExpr { form: self.form(id, slot) }
    }

    fn form(&self, id: ExprId, slot: &mut dyn FnMut(Name) -> u32) -> Form {
        match self.node(id) {
            Node::Int(value) => Some(Form::Constant(*value)),
            Node::Symbol(name) => Some(Form::Slot(slot(*name))),
            Node::Sum(constant, terms) => self.polynomial(*constant, terms, slot),
            Node::Product(_) => self.polynomial(0, &[Term { coefficient: 1, monomial: id }], slot),
            _ => None,
        }
        .unwrap_or_else(|| self.registers(id, slot))
    }

    /// A sum all of whose monomials are products of few symbols.
    fn polynomial(&self, constant: i64, terms: &[Term], slot: &mut dyn FnMut(Name) -> u32) -> Option<Form> {
        let mut products: Vec<(i64, SmallVec<[u32; 4]>)> = Vec::with_capacity(terms.len());
        for term in terms {
            let mut slots = SmallVec::new();
            for Factor { base, power } in self.factors(term.monomial) {
                let name = self.as_symbol(base)?;
                if power > 4 {
                    return None;
                }
                slots.extend(std::iter::repeat_n(slot(name), power as usize));
            }
            products.push((term.coefficient, slots));
        }
        if products.iter().all(|(_, slots)| slots.len() == 1) {
            return Some(Form::Affine(constant, products.iter().map(|(c, slots)| (*c, slots[0])).collect()));
        }
        Some(Form::Polynomial(constant, products.into_boxed_slice()))
    }

    fn registers(&self, id: ExprId, slot: &mut dyn FnMut(Name) -> u32) -> Form {
        // Containers of subscripts are not values.
        let mut values: Vec<ExprId> = vec![id];
        let mut seen: HashMap<ExprId, u32> = HashMap::new();
        seen.insert(id, 0);
        let mut next = 0;
        while let Some(&current) = values.get(next) {
            next += 1;
            let mut visit = |child: ExprId| {
                if seen.insert(child, 0).is_none() {
                    values.push(child);
                }
            };
            match self.node(current) {
                Node::Subscript(_, indices) => indices.iter().copied().for_each(&mut visit),
                node => node.for_each_child(&mut visit),
            }
        }
        values.sort_unstable();
        for (place, id) in values.iter().enumerate() {
            seen.insert(*id, u32::try_from(place).unwrap_or(u32::MAX));
        }
        let place = |id: &ExprId| seen.get(id).copied().unwrap_or(u32::MAX);
        let registers = values.iter().map(|&id| self.register(id, &place, slot)).collect();
        Form::Registers(registers)
    }

    fn register(
        &self,
        id: ExprId,
        place: &dyn Fn(&ExprId) -> u32,
        slot: &mut dyn FnMut(Name) -> u32,
    ) -> Register {
        let at = |id: &ExprId| ExprId(place(id));
        Register::Node(match self.node(id) {
            Node::Symbol(name) => return Register::Slot(slot(*name)),
            Node::Sum(constant, terms) => {
                let moved =
                    |term: &Term| Term { coefficient: term.coefficient, monomial: at(&term.monomial) };
                Node::Sum(*constant, terms.iter().map(moved).collect())
            }
            Node::Product(factors) => Node::Product(
                factors.iter().map(|factor| Factor { base: at(&factor.base), power: factor.power }).collect(),
            ),
            Node::Unmerged(merge, operands) => Node::Unmerged(*merge, operands.iter().map(at).collect()),
            Node::Unary(op, a) => Node::Unary(*op, at(a)),
            Node::Binary(op, a, b) => Node::Binary(*op, at(a), at(b)),
            Node::Nary(op, operands) => Node::Nary(*op, operands.iter().map(at).collect()),
            Node::Compare(op, a, b) => Node::Compare(*op, at(a), at(b)),
            Node::Select(c, a, b) => Node::Select(at(c), at(a), at(b)),
            Node::Cast(dtype, a) => Node::Cast(*dtype, at(a)),
            Node::Call(function, arguments) => {
                return Register::Element(*function, arguments.iter().map(place).collect());
            }
            Node::Subscript(base, indices) => match self.as_symbol(*base) {
                Some(container) => return Register::Element(container, indices.iter().map(place).collect()),
                None => return Register::Never(EvalError::NotAnInteger),
            },
            Node::Attribute(..) => return Register::Never(EvalError::NotAnInteger),
            leaf => leaf.clone(),
        })
    }
}

/// Reads an element of a container.
pub type ReadElement<'r> = dyn FnMut(Name, &[i64]) -> Result<i64, EvalError> + 'r;

/// A constant, and coefficients with the slots they belong to.
pub type SlotSum = (i64, SmallVec<[(i64, u32); 4]>);

impl CompiledExpr {
    /// The value for these slots. `element` reads containers (or answers calls) and may be asked for the untaken side of a
    /// conditional; its error then does not matter.
    ///
    /// # Errors
    /// As [`ExprPool::eval`]; anything that is not computed by integers alone is [`EvalError::NotAnInteger`]. A slot beyond the slice is
    /// [`EvalError::Undefined`].
    #[inline]
    pub fn eval(&self, slots: &[i64], element: &mut ReadElement<'_>) -> Result<i64, EvalError> {
        match &self.form {
            Form::Constant(value) => Ok(*value),
            Form::Slot(slot) => read(slots, *slot),
            Form::Affine(constant, terms) => {
                let mut total = *constant;
                for &(coefficient, slot) in terms {
                    let scaled = read(slots, slot)?.checked_mul(coefficient);
                    total = scaled.and_then(|scaled| total.checked_add(scaled)).ok_or(EvalError::Overflow)?;
                }
                Ok(total)
            }
            Form::Polynomial(constant, terms) => polynomial(*constant, terms, slots),
            Form::Registers(registers) => run(registers, slots, element),
        }
    }

    /// The value, if it depends on nothing.
    pub fn as_constant(&self) -> Option<i64> {
        match self.form {
            Form::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Constant and coefficients of slots, if it is an affine sum.
    pub fn as_affine(&self) -> Option<SlotSum> {
        match &self.form {
            Form::Constant(value) => Some((*value, SmallVec::new())),
            Form::Slot(slot) => Some((0, SmallVec::from_slice(&[(1, *slot)]))),
            Form::Affine(constant, terms) => Some((*constant, SmallVec::from_slice(terms))),
            Form::Polynomial(..) | Form::Registers(_) => None,
        }
    }
}

fn read(slots: &[i64], slot: u32) -> Integer {
    slots.get(slot as usize).copied().ok_or(EvalError::Undefined)
}

fn polynomial(constant: i64, terms: &[(i64, SmallVec<[u32; 4]>)], slots: &[i64]) -> Integer {
    let mut total = constant;
    for (coefficient, factors) in terms {
        // The coefficient comes last, so that it overflows exactly where tree evaluation does.
        let mut product: i64 = 1;
        for &slot in factors {
            product = product.checked_mul(read(slots, slot)?).ok_or(EvalError::Overflow)?;
        }
        let scaled = product.checked_mul(*coefficient);
        total = scaled.and_then(|scaled| total.checked_add(scaled)).ok_or(EvalError::Overflow)?;
    }
    Ok(total)
}

struct ElementLeaves<'e>(&'e mut dyn FnMut(Name, &[i64]) -> Integer);

impl Leaves for ElementLeaves<'_> {
    fn symbol(&mut self, name: Name) -> Integer {
        Err(EvalError::Unknown(name))
    }

    fn element(&mut self, container: Name, indices: &[i64]) -> Integer {
        (self.0)(container, indices)
    }
}

fn run(registers: &[Register], slots: &[i64], element: &mut dyn FnMut(Name, &[i64]) -> Integer) -> Integer {
    let mut values: SmallVec<[Exact; 16]> = SmallVec::with_capacity(registers.len());
    for register in registers {
        let get = |place: u32| values.get(place as usize).copied().unwrap_or(Err(EvalError::Undefined));
        let value = match register {
            Register::Slot(slot) => read(slots, *slot).map(Rational::Whole),
            Register::Node(node) => step(None, node, &mut ElementLeaves(&mut *element), &mut |id| get(id.0)),
            Register::Element(container, indices) => {
                let indices: Result<SmallVec<[i64; 8]>, EvalError> =
                    indices.iter().map(|&place| get(place).map(Rational::truncated)).collect();
                indices.and_then(|indices| element(*container, &indices)).map(Rational::Whole)
            }
            Register::Never(error) => Err(*error),
        };
        values.push(value);
    }
    values.last().copied().unwrap_or(Err(EvalError::Undefined)).map(Rational::truncated)
}
