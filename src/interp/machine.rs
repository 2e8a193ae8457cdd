//! The machine: everything a run changes.

use crate::entity::Name;
use crate::scalar::{DType, Scalar, Trap, arith};
use crate::symbolic::{Env, EvalError};

use super::fault::{Fault, FaultKind};
use super::memory::{Memory, NOWHERE, Place};
use super::plan::{Access, GeneralSize, Plan, Size, Source, SymbolSlot};
use super::routine_state::{PortState, RegisterFile};

/// What can stop a run.
pub(super) type Fallible<T> = Result<T, Box<Fault>>;

pub(super) struct Machine<'p, 'a> {
    pub plan: &'p Plan,
    /// Symbols as integers.
    pub ints: Vec<i64>,
    /// Symbols in their own type; stale for parameters of scopes, which are integers.
    pub wide: Vec<Scalar>,
    /// Symbols whose value is undefined (tracked runs).
    pub undefined: Vec<bool>,
    pub places: Vec<Place>,
    /// Elements of container arrays, by slot: one list of places per element, the template first and then its
    /// members.
    pub elements: Vec<Vec<Vec<Place>>>,
    pub memory: Memory<'a>,
    pub registers: RegisterFile,
    /// For conflict resolution in the middle of a routine.
    pub spare: RegisterFile,
    pub ports: Vec<PortState>,
    pub steps: u64,
    pub fuel: u64,
    pub checked: bool,
    /// Shadows are kept: the run is checked, or written elements are asked for.
    pub tracking: bool,
    pub race: Race,
    /// Of the plan: bounds the unit of every shadow.
    pub smallest_alias: usize,
    pub notes: Vec<String>,
    /// Elements the last copy from a stream to an array took.
    pub popped: i64,
}

/// Which iteration of which parallel map runs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Race {
    /// Outermost parallel map: counts instances from one. Zero: none runs.
    pub instance: u32,
    pub iteration: u32,
    pub instances: u32,
}

impl Race {
    pub fn stamp(self) -> u64 {
        u64::from(self.instance) << 32 | u64::from(self.iteration)
    }
}

impl<'p> Machine<'p, '_> {
    /// One step of work.
    #[inline]
    pub fn step(&mut self) -> Fallible<()> {
        self.steps += 1;
        if self.steps > self.fuel {
            return Err(Fault::new(
                FaultKind::Fuel,
                format!("the program ran longer than {} steps", self.fuel),
            ));
        }
        Ok(())
    }

    #[inline]
    pub fn set_int(&mut self, slot: SymbolSlot, value: i64) {
        self.ints[slot as usize] = value;
    }

    /// Assigns a symbol.
    pub fn set_symbol(&mut self, slot: SymbolSlot, value: Scalar) {
        let slot = slot as usize;
        let dtype = self.plan.symbols[slot].dtype;
        // Integers keep 64 bits whatever the symbol is declared as; only scalar code reads the declared type.
        let integral = dtype.is_integral() && value.dtype().is_integral();
        self.wide[slot] = arith::cast(dtype, value);
        self.ints[slot] = if integral { value.as_i64() } else { self.wide[slot].as_i64() };
        self.undefined[slot] = false;
    }

    /// The value of a symbol in its own type.
    pub fn symbol(&self, slot: SymbolSlot) -> Scalar {
        let slot = slot as usize;
        let dtype = self.plan.symbols[slot].dtype;
        if dtype.is_integral() { arith::cast(dtype, Scalar::I64(self.ints[slot])) } else { self.wide[slot] }
    }

    /// The value of a symbol with all its bits.
    pub fn full_symbol(&self, slot: SymbolSlot) -> Scalar {
        let index = slot as usize;
        let integral = self.plan.symbols[index].dtype.is_integral();
        if integral { Scalar::I64(self.ints[index]) } else { self.wide[index] }
    }

    #[inline]
    pub fn size(&self, size: &Size) -> Fallible<i64> {
        match size {
            Size::Const(value) => Ok(*value),
            Size::Symbol(slot, plus) => {
                self.ints[*slot as usize].checked_add(*plus).ok_or_else(index_overflow)
            }
            Size::Affine(constant, terms) => {
                let mut sum = *constant;
                for &(factor, slot) in terms {
                    let term = self.ints[slot as usize].checked_mul(factor).ok_or_else(index_overflow)?;
                    sum = sum.checked_add(term).ok_or_else(index_overflow)?;
                }
                Ok(sum)
            }
            Size::General(general) => self.general_size(general),
        }
    }

    fn general_size(&self, general: &GeneralSize) -> Fallible<i64> {
        let env = SizeEnv { machine: self, general };
        self.plan.exprs().eval(general.expr, &env).map_err(|error| self.no_value(error))
    }

    fn no_value(&self, error: EvalError) -> Box<Fault> {
        match error {
            EvalError::Unknown(name) => Fault::new(
                FaultKind::Undefined,
                format!("an index or size needs `{}`, which has no value", self.plan.names().get(name)),
            ),
            EvalError::DivisionByZero => {
                Fault::new(FaultKind::DivisionByZero, "division by zero in an index or size")
            }
            EvalError::Overflow => index_overflow(),
            EvalError::Undefined => Fault::new(FaultKind::Undefined, "an index or size is `?`"),
            EvalError::NotAnInteger => {
                Fault::new(FaultKind::IndexOverflow, "an index or size that is not an integer")
            }
        }
    }

    /// The value of an expression in its own type.
    pub fn general_value(&self, general: &GeneralSize) -> Fallible<Scalar> {
        let env = SizeEnv { machine: self, general };
        self.plan.exprs().eval_value(general.expr, &env).map_err(|error| self.no_value(error))
    }

    /// Block and byte offset of the first element an access names.
    #[inline]
    pub fn address(&self, access: &Access) -> Fallible<(u32, i64)> {
        let place = &self.places[access.container as usize];
        if place.block == NOWHERE {
            return Err(self.unbound(access));
        }
        let mut offset = place.base;
        if !access.all {
            for (range, dim) in access.ranges.iter().zip(&place.dims) {
                let index = self.size(&range.start)?;
                if self.checked && !(0..dim.extent).contains(&(index.wrapping_add(dim.offset))) {
                    return Err(self.out_of_bounds(access, index, dim.extent));
                }
                offset = offset.wrapping_add(index.wrapping_mul(dim.stride));
            }
        }
        Ok((place.block, offset))
    }

    pub fn unbound(&self, access: &Access) -> Box<Fault> {
        let container = &self.plan.containers[access.container as usize];
        Fault::new(
            FaultKind::Unbound,
            format!("`{}` is used before it has memory (memlet `{}`)", container.name, access.text),
        )
    }

    pub fn out_of_bounds(&self, access: &Access, index: i64, extent: i64) -> Box<Fault> {
        let text = format!("memlet `{}`: index {index} is outside 0..{extent}", access.text);
        Fault::new(FaultKind::OutOfBounds, text).with_index(&[index])
    }

    /// An access that left the allocation.
    pub fn outside(&self, access: &Access, offset: i64) -> Box<Fault> {
        let container = &self.plan.containers[access.container as usize];
        let text =
            format!("memlet `{}` leaves the allocation of `{}` (byte {offset})", access.text, container.name);
        let index: Vec<i64> = access.ranges.iter().map_while(|range| self.size(&range.start).ok()).collect();
        Fault::new(FaultKind::OutOfBounds, text).with_index(&index)
    }

    /// Reads a number.
    #[inline]
    pub fn load(
        &mut self,
        block: u32,
        offset: i64,
        dtype: DType,
        access: &Access,
    ) -> Fallible<(Scalar, bool)> {
        let Some(value) = self.memory.load(block, offset, dtype) else {
            return Err(self.outside(access, offset));
        };
        let poison = self.tracking && self.note_read(block, offset, dtype.bytes(), access)?;
        Ok((value, poison))
    }

    /// Writes a number.
    #[inline]
    pub fn store(
        &mut self,
        block: u32,
        offset: i64,
        value: Scalar,
        poison: bool,
        access: &Access,
    ) -> Fallible<()> {
        if !self.memory.store(block, offset, value) {
            return Err(self.outside(access, offset));
        }
        if self.tracking {
            self.note_write(block, offset, value.dtype().bytes(), poison, access)?;
        }
        Ok(())
    }
}

struct SizeEnv<'m, 'p, 'a> {
    machine: &'m Machine<'p, 'a>,
    general: &'m GeneralSize,
}

impl SizeEnv<'_, '_, '_> {
    fn source(&self, name: Name) -> Option<Source> {
        let sources = &self.general.sources;
        sources.iter().find(|(known, _)| *known == name).map(|&(_, source)| source)
    }
}

impl Env for SizeEnv<'_, '_, '_> {
    fn symbol(&self, name: Name) -> Option<Scalar> {
        match self.source(name)? {
            Source::Symbol(slot) => Some(self.machine.full_symbol(slot)),
            Source::Container(_) => self.element(name, &[]),
        }
    }

    fn element(&self, container: Name, indices: &[i64]) -> Option<Scalar> {
        let Source::Container(slot) = self.source(container)? else { return None };
        let place = &self.machine.places[slot as usize];
        let dtype = self.machine.plan.containers[slot as usize].element.number()?;
        let mut offset = place.base;
        for (&index, dim) in indices.iter().zip(&place.dims) {
            offset = offset.checked_add(index.checked_mul(dim.stride)?)?;
        }
        self.machine.memory.load(place.block, offset, dtype)
    }
}

pub(super) fn index_overflow() -> Box<Fault> {
    Fault::new(FaultKind::IndexOverflow, "an index or size does not fit 64 bits")
}

/// A trap of scalar code as a fault.
pub(super) fn trap(trap: Trap) -> Box<Fault> {
    let kind = match trap {
        Trap::DivisionByZero => FaultKind::DivisionByZero,
        Trap::EmptyStream => FaultKind::EmptyStream,
        Trap::Fuel => FaultKind::Fuel,
        Trap::Undefined => FaultKind::Undefined,
        _ => FaultKind::OutOfBounds,
    };
    Fault::new(kind, trap.to_string())
}
