//! Arguments of a call: which bytes of the caller the kernel works on.
//!
//! How an argument meets its declaration is [`memory::layout`](crate::memory)'s: in place where the distances agree,
//! else copied, element by element, to memory of the declared layout, and back when the run ends. Scalars are
//! passed by value. Everything that does not depend on the call is prepared once in a [`Binder`]; a call neither
//! looks up names nor allocates, unless an argument has to be copied.

use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use smallvec::SmallVec;

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::Program;
use crate::kernel::Literal;
use crate::kernel::lower::{ArrayArgument, Lowered, Specialization};
use crate::kernel::sizes::sizes;
use crate::memory::{Declared, Fit, Given, GivenArray, Required, Tells, convert_scalar, meets};
use crate::scalar::{DType, Scalar, StructTable, Type, arith};
use crate::symbolic::{CompiledExpr, EvalError};

use super::call::Block;

/// Why a call cannot be bound to this code.
#[derive(Debug)]
pub enum Unbound {
    /// The arguments do not fit the program.
    Wrong(Box<Diagnostic>),
    /// The arguments fit code that was specialised on this.
    Other(Specialization),
}

impl From<Diagnostic> for Unbound {
    fn from(diagnostic: Diagnostic) -> Self {
        Unbound::Wrong(Box::new(diagnostic))
    }
}

/// What of binding is known before a call.
pub(super) struct Binder {
    symbols: Vec<SymbolPlan>,
    arrays: Vec<ArrayPlan>,
    /// Positions of arrays that the program may write.
    written: Vec<usize>,
    structs: StructTable,
    /// What the code was specialised on.
    special: Specialization,
    /// Arguments that the code takes as absent, by position.
    absent: Vec<usize>,
    /// Whether some container is a scalar.
    has_scalars: bool,
}

/// A symbol: where its value comes from, and where it goes.
struct SymbolPlan {
    text: String,
    /// Its declared type.
    declared: DType,
    /// Position among the program's arguments.
    given: Option<usize>,
    /// Arrays whose extents tell it: position, rank, dimension.
    told: SmallVec<[(usize, usize, usize, Tells); 2]>,
    /// The type of the kernel parameter that it is.
    parameter: Option<DType>,
    /// Whether it needs no value.
    optional: bool,
    /// Whether a layout depends on it.
    in_layout: bool,
    /// The value that the code takes for granted.
    pinned: Option<i64>,
    /// Its name, where calls may have code of their own for its value: an integer that decides how often loops turn or how
    /// memory lies.
    size: Option<Name>,
}

/// An argument that is memory.
struct ArrayPlan {
    name: Name,
    text: String,
    ty: Type,
    item: usize,
    scalar: bool,
    given: Option<usize>,
    shape: Vec<CompiledExpr>,
    strides: Vec<CompiledExpr>,
    literal: bool,
    written: bool,
}

/// The arguments of one call, bound.
#[derive(Default)]
pub(super) struct Bound {
    pub addresses: SmallVec<[*mut u8; 32]>,
    /// Bytes behind each address that the program may reach.
    pub bytes: SmallVec<[usize; 32]>,
    pub parameters: SmallVec<[u64; 16]>,
    /// Numbers that were passed by value.
    cells: Vec<u128>,
    own: Vec<Block>,
    copies: Vec<Copied>,
    /// Whether an argument that may be written shares bytes with another one, where that is known.
    pub(super) overlap: Option<bool>,
}

/// A copy of the caller's array in the declared layout.
struct Copied {
    own: *mut u8,
    caller: *mut u8,
    item: usize,
    extents: SmallVec<[usize; 6]>,
    own_strides: SmallVec<[isize; 6]>,
    caller_strides: SmallVec<[isize; 6]>,
    written: bool,
}

impl Binder {
    /// Prepares binding for a lowered program whose arguments are given in the order of `required`.
    pub fn new(
        program: &Program,
        lowered: &Lowered,
        required: &[Required],
        special: Specialization,
    ) -> Binder {
        let position = |name: Name| required.iter().position(|item| item.name == name);
        let root = program.root_graph();
        let mut symbols: Vec<(Name, SymbolPlan)> = Vec::new();
        let plan = |name: Name, parameter: Option<DType>| -> (Name, SymbolPlan) {
            let mut told = SmallVec::new();
            let hidden =
                root.is_none_or(|root| root.data.contains_key(&name) || root.constants.contains_key(&name));
            for (&argument, data) in root.into_iter().flat_map(|root| &root.data) {
                let (false, false, Some(at)) = (hidden, data.transient, position(argument)) else { continue };
                for (dimension, &extent) in data.shape().iter().enumerate() {
                    let tells = Tells::of(&program.exprs, extent).filter(|tells| tells.symbol == name);
                    if let Some(tells) = tells {
                        told.push((at, data.shape().len(), dimension, tells));
                    }
                }
            }
            let plan = SymbolPlan {
                text: program.names.get(name).to_owned(),
                declared: root.map_or(DType::I64, |root| root.symbol_type(name)),
                given: position(name).filter(|_| !hidden),
                told,
                parameter,
                optional: (parameter.is_none() && special.size(name).is_none())
                    || lowered.optional.contains(&name),
                in_layout: false,
                pinned: special.size(name),
                size: None,
            };
            (name, plan)
        };
        symbols.extend(lowered.symbols.iter().map(|&(name, dtype)| plan(name, Some(dtype))));
        let parameters = symbols.len();
        symbols.extend(special.sizes.iter().map(|&(name, _)| plan(name, None)));
        let mut slot = |name: Name| {
            let known = symbols.iter().position(|(known, _)| *known == name);
            let at = known.unwrap_or_else(|| {
                symbols.push(plan(name, None));
                symbols.len() - 1
            });
            if let Some((_, plan)) = symbols.get_mut(at) {
                plan.in_layout = true;
            }
            u32::try_from(at).unwrap_or(u32::MAX)
        };
        let mut arrays = Vec::with_capacity(lowered.arrays.len());
        for array in &lowered.arrays {
            let ArrayArgument { name, ty, scalar, written, .. } = *array;
            let mut compile = |exprs: &[_]| -> Vec<CompiledExpr> {
                exprs.iter().map(|&expr| program.exprs.compile(expr, &mut slot)).collect()
            };
            arrays.push(ArrayPlan {
                name,
                text: program.names.get(name).to_owned(),
                ty,
                item: ty.bytes(&program.structs),
                scalar,
                given: position(name),
                shape: compile(&array.shape),
                strides: compile(&array.strides),
                literal: matches!(array.shape[..], [extent] if program.exprs.as_int(extent).is_some()),
                written,
            });
        }
        let turns = sizes(&lowered.kernel);
        for (at, (name, plan)) in symbols.iter_mut().enumerate().take(parameters) {
            let is_size = plan.in_layout || turns.get(at).copied().unwrap_or(false);
            plan.size = Some(*name).filter(|_| is_size && plan.declared.is_integral() && !plan.optional);
        }
        let absent = special.absent.iter().filter_map(|&name| position(name)).collect();
        let written =
            arrays.iter().enumerate().filter(|(_, array)| array.written).map(|(at, _)| at).collect();
        Binder {
            written,
            has_scalars: arrays.iter().any(|array| array.scalar),
            symbols: symbols.into_iter().map(|(_, plan)| plan).collect(),
            arrays,
            structs: program.structs.clone(),
            special,
            absent,
        }
    }

    /// Binds the arguments of a call.
    ///
    /// # Safety
    /// Each array given is memory of its layout that the program may read, and write where it writes.
    pub unsafe fn bind(&self, given: &[Given<'_>]) -> Result<Bound, Unbound> {
        let mut bound = Bound::default();
        // SAFETY: as the caller says.
        unsafe { self.bind_into(given, &mut bound)? };
        Ok(bound)
    }

    /// The same, into an empty binding that need not move.
    ///
    /// # Safety
    /// As [`Binder::bind`].
    pub unsafe fn bind_into(&self, given: &[Given<'_>], bound: &mut Bound) -> Result<(), Unbound> {
        let mut slots: SmallVec<[i64; 16]> = SmallVec::with_capacity(self.symbols.len());
        for symbol in &self.symbols {
            let value = symbol.value(given)?;
            let slot = if value.dtype().is_integral() { value.as_i64() } else { 0 };
            if symbol.pinned.is_some_and(|pinned| pinned != slot) {
                return Err(Unbound::Other(Specialization { sizes: Vec::new(), ..self.special.clone() }));
            }
            slots.push(slot);
            if let Some(dtype) = symbol.parameter {
                let value = if value.dtype() == dtype { value } else { arith::cast(dtype, value) };
                bound.parameters.push(Literal::from_scalar(value).map_or(0, |literal| literal.bits));
            }
        }
        self.special_enough(given)?;
        if self.has_scalars {
            bound.cells.resize(self.arrays.len(), 0);
        }
        bound.addresses.reserve_exact(self.arrays.len());
        bound.bytes.reserve_exact(self.arrays.len());
        for (index, array) in self.arrays.iter().enumerate() {
            let (address, bytes) = match array.given.and_then(|at| given.get(at)) {
                Some(Given::Array(memory)) if !array.scalar => match array.declared_bytes(memory, &slots) {
                    Some(bytes) => (memory.address, bytes),
                    // SAFETY: as the caller says.
                    None => unsafe { self.array(array, memory, &slots, bound)? },
                },
                given => {
                    let given = given.copied().unwrap_or(Given::Absent);
                    // SAFETY: as the caller says.
                    unsafe { self.element(array, given, &slots, index, bound)? }
                }
            };
            bound.addresses.push(address);
            bound.bytes.push(bytes);
        }
        Ok(())
    }

    /// The sizes that a call brings, in order of their names.
    ///
    /// # Errors
    /// Values that do not fit their symbols, or are missing.
    pub fn sizes(&self, given: &[Given<'_>]) -> Result<Vec<(Name, i64)>, Diagnostic> {
        let mut sizes = Vec::new();
        for symbol in &self.symbols {
            if let Some(name) = symbol.size {
                sizes.push((name, symbol.value(given)?.as_i64()));
            }
        }
        sizes.sort_unstable();
        Ok(sizes)
    }

    /// What may vary in calls like the one that was bound: every address, and the numbers that `varies` names by
    /// position, except those that the code takes for granted. None if a layout depends on such a number, or memory of our
    /// own stands for an argument.
    pub fn rehearse(&self, mut bound: Bound, varies: &dyn Fn(usize) -> bool) -> Option<Rehearsal> {
        if !bound.own.is_empty() || !bound.copies.is_empty() || !bound.cells.is_empty() {
            return None;
        }
        let arrays = self.arrays.iter().map(|array| array.given).collect::<Option<_>>()?;
        let (mut numbers, mut pinned) = (Vec::new(), Vec::new());
        let mut parameter = 0;
        for symbol in &self.symbols {
            if let Some(at) = symbol.given.filter(|&at| varies(at)) {
                if let Some(value) = symbol.pinned {
                    pinned.push((at, value));
                } else if symbol.in_layout {
                    return None;
                }
                if let Some(dtype) = symbol.parameter {
                    numbers.push((at, parameter, symbol.declared, dtype));
                }
            }
            parameter += usize::from(symbol.parameter.is_some());
        }
        bound.overlap = Some(self.overlap(&bound));
        Some(Rehearsal { bound, idle: Mutex::default(), arrays, numbers, pinned })
    }

    /// What the code was specialised on.
    pub fn special(&self) -> &Specialization {
        &self.special
    }

    /// Whether an argument that may be written shares bytes with another one.
    pub fn overlap(&self, bound: &Bound) -> bool {
        if let Some(known) = bound.overlap {
            return known;
        }
        let range = |(&address, &bytes): (&*mut u8, &usize)| {
            let first = address as usize;
            first..first.saturating_add(bytes)
        };
        let ranges: SmallVec<[Range<usize>; 32]> =
            bound.addresses.iter().zip(&bound.bytes).map(range).collect();
        meets(&ranges, &self.written, |_, _| true)
    }

    /// Whether the code speaks for calls with these arguments absent.
    fn special_enough(&self, given: &[Given<'_>]) -> Result<(), Unbound> {
        let is_absent = |at: Option<usize>| {
            matches!(at.and_then(|at| given.get(at)).copied().unwrap_or(Given::Absent), Given::Absent)
        };
        let missing = self.arrays.iter().any(|array| is_absent(array.given));
        let extra = self.absent.iter().any(|&at| !is_absent(Some(at)));
        if !missing && !extra {
            return Ok(());
        }
        let mut special = self.special.clone();
        if extra {
            // Which of them are there now: start over from the general code.
            special.absent.clear();
        }
        special.absent.extend(self.arrays.iter().filter(|a| is_absent(a.given)).map(|array| array.name));
        if extra {
            let still = self.special.absent.iter().zip(&self.absent);
            special.absent.extend(still.filter(|(_, at)| is_absent(Some(**at))).map(|(&name, _)| name));
        }
        special.absent.sort_unstable();
        special.absent.dedup();
        Err(Unbound::Other(special))
    }

    unsafe fn array(
        &self,
        plan: &ArrayPlan,
        given: &GivenArray<'_>,
        slots: &[i64],
        bound: &mut Bound,
    ) -> Result<(*mut u8, usize), Unbound> {
        let shape = plan.evaluated(&plan.shape, slots)?;
        let strides = plan.evaluated(&plan.strides, slots)?;
        let Some(reach) = reach(&shape, &strides).and_then(|reach| reach.checked_mul(plan.item)) else {
            let name = &plan.text;
            return Err(Diagnostic::error(
                "P0402",
                format!("argument `{name}` is declared with an impossible shape"),
            )
            .with_note(format!("shape {shape:?}, strides {strides:?}"))
            .into());
        };
        let item = plan.item as i64;
        let in_bytes: SmallVec<[i64; 6]> = strides.iter().map(|&stride| stride.wrapping_mul(item)).collect();
        let declared = Declared {
            name: &plan.text,
            ty: plan.ty,
            shape: &shape,
            strides: &in_bytes,
            literal: plan.literal,
        };
        match declared.fit(given.ty, given.shape, given.strides, &self.structs)? {
            Fit::InPlace | Fit::AsMemory => Ok((given.address, reach)),
            Fit::Extent { .. } => {
                let mut special = self.special.clone();
                special.extents.retain(|(name, _)| *name != plan.name);
                let extent = given.shape.first().and_then(|&extent| i64::try_from(extent).ok());
                special.extents.push((plan.name, extent.unwrap_or(i64::MAX)));
                special.extents.sort_unstable();
                Err(Unbound::Other(special))
            }
            Fit::Copy => {
                let Some(mut block) = Block::new(reach) else {
                    return Err(no_memory(&plan.text).into());
                };
                let copy = Copied {
                    own: block.address(),
                    caller: given.address,
                    item: plan.item,
                    extents: given.shape.into(),
                    own_strides: in_bytes.iter().map(|&stride| stride as isize).collect(),
                    caller_strides: given.strides.into(),
                    written: plan.written,
                };
                // SAFETY: the caller's memory has that layout; the block holds every element of the declared
                // layout, whose extents are the same.
                unsafe { copy.exchange(true) };
                let address = block.address();
                bound.own.push(block);
                bound.copies.push(copy);
                Ok((address, reach))
            }
        }
    }

    /// One element: a scalar container, or a number for an array of one element.
    unsafe fn element(
        &self,
        plan: &ArrayPlan,
        given: Given<'_>,
        slots: &[i64],
        index: usize,
        bound: &mut Bound,
    ) -> Result<(*mut u8, usize), Unbound> {
        if !plan.scalar && plan.evaluated(&plan.shape, slots)?.iter().any(|&extent| extent != 1) {
            return Err(mismatch(&plan.text).into());
        }
        let mut bytes: SmallVec<[u8; 16]> = SmallVec::from_elem(0, plan.item);
        match (plan.ty, given) {
            (Type::Scalar(dtype), Given::Number(value)) => {
                convert_scalar(value, dtype, &plan.text)?.write_le_bytes(&mut bytes);
            }
            (Type::Scalar(dtype), Given::Array(memory)) => {
                let (Type::Scalar(from), true) = (memory.ty, memory.shape.iter().all(|&extent| extent == 1))
                else {
                    return Err(mismatch(&plan.text).into());
                };
                // SAFETY: the caller's array has one element of that type.
                let value = unsafe { std::slice::from_raw_parts(memory.address, from.bytes()) };
                let value = Scalar::from_le_bytes(from, value).ok_or_else(|| mismatch(&plan.text))?;
                convert_scalar(value, dtype, &plan.text)?.write_le_bytes(&mut bytes);
            }
            (_, Given::Array(memory)) => {
                let whole = memory.shape.iter().all(|&extent| extent == 1)
                    && memory.ty.bytes(&self.structs) == plan.item;
                if !whole {
                    return Err(mismatch(&plan.text).into());
                }
                // SAFETY: the caller's array has one element of that many bytes.
                bytes.copy_from_slice(unsafe { std::slice::from_raw_parts(memory.address, plan.item) });
            }
            _ => return Err(mismatch(&plan.text).into()),
        }
        if index < bound.cells.len() && bytes.len() <= size_of::<u128>() {
            let cell: *mut u8 = bound.cells.as_mut_ptr().wrapping_add(index).cast();
            // SAFETY: the cell is there, and large enough.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), cell, bytes.len()) };
            return Ok((cell, bytes.len()));
        }
        let Some(mut block) = Block::new(bytes.len()) else { return Err(no_memory(&plan.text).into()) };
        block.bytes_mut().copy_from_slice(&bytes);
        let address = block.address();
        bound.own.push(block);
        Ok((address, bytes.len()))
    }
}

impl SymbolPlan {
    fn value(&self, given: &[Given<'_>]) -> Result<Scalar, Diagnostic> {
        match self.given.and_then(|at| given.get(at)) {
            Some(&Given::Number(value)) if value.dtype() == self.declared => return Ok(value),
            Some(&Given::Number(value)) => return convert_scalar(value, self.declared, &self.text),
            _ => {}
        }
        for &(at, rank, dimension, tells) in &self.told {
            let Some(Given::Array(array)) = given.get(at) else { continue };
            if array.shape.len() == rank
                && let Some(value) = array.shape.get(dimension).and_then(|&extent| tells.value(extent))
            {
                return Ok(Scalar::I64(value));
            }
        }
        if self.optional {
            return Ok(Scalar::I64(0));
        }
        let text = &self.text;
        Err(Diagnostic::error("P0401", format!("symbol `{text}` has no value"))
            .with_help(format!("pass `{text}`; no shape of an array given tells it")))
    }
}

impl ArrayPlan {
    /// The bytes that an array holds which lies in memory as declared: the same type, extents and distances. None if it
    /// does not, or if the declaration has no such value; what that means is for [`Binder::array`] to say.
    fn declared_bytes(&self, given: &GivenArray<'_>, slots: &[i64]) -> Option<usize> {
        let rank = self.shape.len();
        if given.ty != self.ty
            || given.shape.len() != rank
            || given.strides.len() != rank
            || self.strides.len() != rank
        {
            return None;
        }
        let item = i64::try_from(self.item).ok()?;
        let (mut last, mut is_empty) = (0_i64, false);
        let declared = self.shape.iter().zip(&self.strides);
        for ((shape, stride), (&extent, &distance)) in declared.zip(given.shape.iter().zip(given.strides)) {
            let (shape, stride) = (simple(shape, slots)?, simple(stride, slots)?);
            if i64::try_from(extent) != Ok(shape) || stride < 0 {
                return None;
            }
            if shape > 1 {
                if stride.checked_mul(item)? != distance as i64 {
                    return None;
                }
                last = last.checked_add((shape - 1).checked_mul(stride)?)?;
            }
            is_empty |= shape == 0;
        }
        if is_empty {
            return Some(0);
        }
        usize::try_from(last.checked_add(1)?).ok()?.checked_mul(self.item)
    }

    fn evaluated(&self, exprs: &[CompiledExpr], slots: &[i64]) -> Result<SmallVec<[i64; 6]>, Diagnostic> {
        let one = |expr: &CompiledExpr| {
            expr.eval(slots, &mut |name, _| Err(EvalError::Unknown(name))).map_err(|error| {
                Diagnostic::error(
                    "P0406",
                    format!("the shape of argument `{}` is not known: {error}", self.text),
                )
            })
        };
        exprs.iter().map(one).collect()
    }
}

/// The value of an expression that needs no container.
fn simple(expr: &CompiledExpr, slots: &[i64]) -> Option<i64> {
    expr.eval(slots, &mut |name, _| Err(EvalError::Unknown(name))).ok()
}

/// A call that was bound, for others that differ in addresses and numbers only.
pub struct Rehearsal {
    bound: Bound,
    /// Copies of `bound` that no call uses: a call takes one, puts its addresses and numbers in, and gives it back.
    idle: Mutex<Vec<Bound>>,
    /// Position of each array among the arguments.
    arrays: Vec<usize>,
    /// Numbers: position among the arguments, among the kernel's parameters, declared type, the parameter's type.
    numbers: Vec<(usize, usize, DType, DType)>,
    /// Numbers that the code takes for granted: position among the arguments, value.
    pinned: Vec<(usize, i64)>,
}

// SAFETY: the addresses in `bound` are replaced before use; nothing is read through them.
unsafe impl Send for Rehearsal {}
// SAFETY: as above.
unsafe impl Sync for Rehearsal {}

impl fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rehearsal").field("arrays", &self.arrays).finish_non_exhaustive()
    }
}

impl Rehearsal {
    /// The binding of a call like the rehearsed one; none if it lacks an argument or a number has another type. Arrays that
    /// are `unmoved` lie where they lay then.
    pub(super) fn bound(
        &self,
        address: &dyn Fn(usize) -> Option<*mut u8>,
        number: &dyn Fn(usize) -> Option<Scalar>,
        unmoved: bool,
    ) -> Option<Bound> {
        let as_ever = |&(at, value): &(usize, i64)| {
            number(at).is_some_and(|number| number.dtype().is_integral() && number.as_i64() == value)
        };
        if !self.pinned.iter().all(as_ever) {
            return None;
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bound = idle.unwrap_or_else(|| Bound {
            addresses: self.bound.addresses.clone(),
            bytes: self.bound.bytes.clone(),
            parameters: self.bound.parameters.clone(),
            cells: Vec::new(),
            own: Vec::new(),
            copies: Vec::new(),
            overlap: None,
        });
        bound.overlap = self.bound.overlap.filter(|_| unmoved);
        for (slot, &at) in bound.addresses.iter_mut().zip(&self.arrays) {
            *slot = address(at)?;
        }
        for &(at, parameter, declared, dtype) in &self.numbers {
            let value = number(at).filter(|value| value.dtype() == declared)?;
            let value = if declared == dtype { value } else { arith::cast(dtype, value) };
            *bound.parameters.get_mut(parameter)? =
                Literal::from_scalar(value).map_or(0, |literal| literal.bits);
        }
        Some(bound)
    }

    /// Takes a binding back when its call is over.
    pub(super) fn give_back(&self, bound: Bound) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(bound);
    }
}

impl Bound {
    /// Copies results back to the caller's layout.
    ///
    /// # Safety
    /// The caller's memory is the one that was bound.
    pub unsafe fn finish(&self) {
        for copy in self.copies.iter().filter(|copy| copy.written) {
            // SAFETY: as the caller says; our blocks live as long as `self`.
            unsafe { copy.exchange(false) };
        }
    }
}

impl Copied {
    /// # Safety
    /// Both sides hold every element in their layout.
    unsafe fn exchange(&self, inwards: bool) {
        if self.extents.contains(&0) {
            return;
        }
        let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, self.extents.len());
        let (mut own, mut caller) = (self.own, self.caller);
        loop {
            let (from, to) = if inwards { (caller, own) } else { (own, caller) };
            // SAFETY: both point at an element, as the caller says; elements of a type do not overlap.
            unsafe { std::ptr::copy(from.cast_const(), to, self.item) };
            let mut dimension = self.extents.len();
            loop {
                if dimension == 0 {
                    return;
                }
                dimension -= 1;
                let (mine, theirs) = (self.own_strides[dimension], self.caller_strides[dimension]);
                index[dimension] += 1;
                if index[dimension] < self.extents[dimension] {
                    own = own.wrapping_offset(mine);
                    caller = caller.wrapping_offset(theirs);
                    break;
                }
                let back = -(index[dimension] as isize - 1);
                own = own.wrapping_offset(mine.wrapping_mul(back));
                caller = caller.wrapping_offset(theirs.wrapping_mul(back));
                index[dimension] = 0;
            }
        }
    }
}

/// Elements between the first and the last one, inclusive, if that is sane.
fn reach(shape: &[i64], strides: &[i64]) -> Option<usize> {
    if shape.len() != strides.len() || shape.iter().chain(strides).any(|&number| number < 0) {
        return None;
    }
    if shape.contains(&0) {
        return Some(0);
    }
    let mut last = 0i64;
    for (&extent, &stride) in shape.iter().zip(strides) {
        last = last.checked_add((extent - 1).checked_mul(stride)?)?;
    }
    usize::try_from(last.checked_add(1)?).ok()
}

fn mismatch(name: &str) -> Diagnostic {
    Diagnostic::error("P0403", format!("argument `{name}` has the wrong type"))
}

fn no_memory(name: &str) -> Diagnostic {
    Diagnostic::error("P0407", format!("no memory for argument `{name}`"))
}
