//! A call that went well, kept so that one like it need not be examined again.
//!
//! Two calls are alike if at each place of the arguments there is an object of the same type; fields have equal domains,
//! and arrays of the same element type, extents, distances and flags; the same arrays share memory; and the
//! connectivities are the same objects. Then only addresses and numbers differ, and those are read here.
//!
//! A field object that was looked at is known again by identity as long as it lives: neither its domain nor which array it
//! holds changes.
//!
//! What a call that is alike may not do is change the arguments while it looks at them: the GIL is held.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pelton::exec::Rehearsal;
use pelton::memory::{Arguments, Binding, Given, GivenArray};
use pelton::scalar::{DType, Scalar, Type};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyDict, PyTuple, PyType, PyWeakrefReference};
use smallvec::SmallVec;

use super::domains::{DomainFacts, Domains};
use super::leaves::Leaf;
use super::tables::TableObject;
use crate::arrays::{Header, reach};
use crate::{PeltonError, numbers};

/// Calls on less memory hold the GIL: giving it away and taking it back would take longer than they do.
const BRIEF_BYTES: usize = 1 << 14;

/// What is checked at one place of the arguments, in order of visit.
enum Check {
    Tuple(usize),
    Absent,
    Field(FieldCheck),
    Number {
        ty: Py<PyType>,
        kind: numbers::Kind,
        dtype: DType,
        /// The only value that is alike: it decides whether the fields are large enough.
        only: Option<Scalar>,
    },
}

struct FieldCheck {
    ty: Py<PyType>,
    array_type: Py<PyType>,
    /// A domain object that is known to say the same.
    domain: Py<PyAny>,
    facts: Arc<DomainFacts>,
    descr: usize,
    flags: i32,
    shape: Vec<usize>,
    strides: Vec<isize>,
    /// Address in the recorded call.
    address: usize,
    /// Bytes around the elements.
    low: isize,
    bytes: usize,
}

/// How one argument of the graph is filled.
enum Slot {
    Absent,
    Fixed(Scalar),
    /// The number with that position among numbers.
    Number(usize),
    /// The field with that position among fields, under the layout that the graph sees.
    Field {
        position: usize,
        dtype: DType,
        shape: Vec<usize>,
        strides: Vec<isize>,
    },
    /// Memory that does not change from call to call: a table.
    Table {
        address: usize,
        dtype: DType,
        shape: Vec<usize>,
        strides: Vec<isize>,
    },
}

/// Addresses of fields and values of numbers, in order of visit.
#[derive(Default)]
pub(super) struct Values {
    addresses: SmallVec<[usize; 32]>,
    numbers: SmallVec<[Scalar; 8]>,
    /// Whether a field lies elsewhere than in the recorded call.
    moved: bool,
}

impl Values {
    fn clear(&mut self) {
        self.addresses.clear();
        self.numbers.clear();
        self.moved = false;
    }
}

/// Field objects that calls like a recorded one brought lately, by position. A time loop swaps two.
#[derive(Default)]
pub(super) struct Seen {
    fields: Vec<[Option<KnownField>; 2]>,
}

/// A field object that fits its place.
struct KnownField {
    /// Its address, which is another object's once this one is gone.
    object: usize,
    alive: Py<PyWeakrefReference>,
    /// Its array object, which lives as long.
    array: usize,
}

impl KnownField {
    fn is(&self, field: &Bound<'_, PyAny>) -> bool {
        // SAFETY: `alive` is a weak reference, and the GIL is held; what it gives is compared and not used.
        self.object == field.as_ptr() as usize
            && unsafe { pyo3::ffi::PyWeakref_GetObject(self.alive.as_ptr()) } == field.as_ptr()
    }
}

/// A recorded call.
pub(super) struct Recorded {
    arity: usize,
    checks: Vec<Check>,
    slots: Vec<Slot>,
    tables: Vec<TableObject>,
    /// Pairs of fields that share memory, in order.
    aliases: Vec<(usize, usize)>,
    reusable: bool,
    /// Whether there is so little memory to work on that a call is over before others would notice.
    pub brief: bool,
    /// The engine's part of the record, once a call like this one ran: none if the engine keeps none.
    pub rehearsal: OnceLock<Option<Rehearsal>>,
    /// Tables in the graph's element type, where the given ones have another. Slots point into them.
    _converted: Vec<Vec<u8>>,
}

impl Recorded {
    /// Records a call, with the values of its arguments.
    ///
    /// `names` are the graph's arguments; `bound` is what binding them gave; `deciding` are numbers that were part of
    /// what binding checked.
    pub fn new(
        arity: usize,
        leaves: &[Leaf<'_>],
        tables: Vec<TableObject>,
        names: &[String],
        deciding: &[String],
        bound: &mut Arguments<'_>,
    ) -> PyResult<(Recorded, Values)> {
        let mut values = Values::default();
        let mut checks = Vec::with_capacity(leaves.len());
        let (mut fields, mut number_names): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        let mut reusable = true;
        for leaf in leaves {
            checks.push(match leaf {
                Leaf::Tuple(length) => Check::Tuple(*length),
                Leaf::Absent => Check::Absent,
                Leaf::Field { name, field, array, domain } => {
                    fields.push(name);
                    // SAFETY: leaves hold array objects only.
                    let header = unsafe { Header::read(array) };
                    values.addresses.push(header.address as usize);
                    Check::Field(FieldCheck::new(field, array, domain.clone(), &header)?)
                }
                Leaf::Number { name, object, value } => {
                    number_names.push(name);
                    values.numbers.push(*value);
                    match numbers::kind(object) {
                        Some(kind) => {
                            let only = deciding.contains(name).then_some(*value);
                            Check::Number { ty: object.get_type().unbind(), kind, dtype: value.dtype(), only }
                        }
                        // The number of a field without dimensions.
                        None => {
                            reusable = false;
                            Check::Absent
                        }
                    }
                }
            });
        }
        let mut converted = Vec::new();
        let mut slots = Vec::with_capacity(names.len());
        for name in names {
            slots.push(match bound.bindings.get(name) {
                None | Some(Binding::Absent) => Slot::Absent,
                Some(Binding::Scalar(value)) => {
                    match number_names.iter().position(|known| known == name) {
                        // The graph's type of a scalar is the program's, unless the program gives none.
                        Some(position)
                            if values.numbers[position].dtype() == value.dtype()
                                && !deciding.contains(name) =>
                        {
                            Slot::Number(position)
                        }
                        _ => Slot::Fixed(*value),
                    }
                }
                Some(Binding::Array { buffer, offset, ty, shape, strides }) => {
                    let (shape, strides) = (shape.clone(), strides.clone());
                    let Type::Scalar(dtype) = *ty else { return Err(no_slot(name)) };
                    match fields.iter().position(|known| known == name) {
                        Some(position) => Slot::Field { position, dtype, shape, strides },
                        None => {
                            let buffer = bound.buffers.get_mut(*buffer).ok_or_else(|| no_slot(name))?;
                            let start = match buffer {
                                pelton::memory::Buffer::Borrowed(bytes) => bytes.as_mut_ptr() as usize,
                                pelton::memory::Buffer::Owned(bytes) => {
                                    converted.push(std::mem::take(bytes));
                                    converted.last_mut().map_or(0, |bytes| bytes.as_mut_ptr() as usize)
                                }
                            };
                            Slot::Table { address: start.wrapping_add(*offset), dtype, shape, strides }
                        }
                    }
                }
            });
        }
        // A number that the graph has in another type than the caller's would be converted by the slow path only.
        reusable &= number_names.iter().enumerate().all(|(position, name)| match bound.bindings.get(*name) {
            Some(Binding::Scalar(value)) => values.numbers[position].dtype() == value.dtype(),
            _ => true,
        });
        let bytes = checks.iter().map(|check| match check {
            Check::Field(field) => field.bytes,
            _ => 0,
        });
        let mut recorded = Recorded {
            arity,
            brief: bytes.sum::<usize>() <= BRIEF_BYTES,
            checks,
            slots,
            tables,
            aliases: Vec::new(),
            reusable,
            rehearsal: OnceLock::new(),
            _converted: converted,
        };
        recorded.aliases = recorded.shared(&values);
        Ok((recorded, values))
    }

    /// Whether later calls may be compared with this one.
    pub fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// Whether a call is like the recorded one, and its values if it is.
    pub fn matches(
        &self,
        args: &Bound<'_, PyTuple>,
        out: Option<&Bound<'_, PyAny>>,
        provider: &Bound<'_, PyDict>,
        domains: &Mutex<Domains>,
        seen: &mut Seen,
        values: &mut Values,
    ) -> Option<()> {
        if args.len() + usize::from(out.is_some()) != self.arity {
            return None;
        }
        if !self.tables.iter().all(|table| table.is_in(provider)) {
            return None;
        }
        values.clear();
        let mut visit = Visit { checks: self.checks.iter(), domains, seen, values };
        for arg in args.iter_borrowed() {
            visit.value(&arg)?;
        }
        if let Some(out) = out {
            visit.value(out)?;
        }
        (!values.moved || self.shared(values) == self.aliases).then_some(())
    }

    /// The arguments of the graph.
    pub fn given(&self, values: &Values) -> SmallVec<[Given<'_>; 64]> {
        let array = |address: usize, dtype, shape, strides| {
            let address = address as *mut u8;
            Given::Array(GivenArray { address, ty: Type::Scalar(dtype), shape, strides })
        };
        self.slots
            .iter()
            .map(|slot| match slot {
                Slot::Absent => Given::Absent,
                Slot::Fixed(value) => Given::Number(*value),
                Slot::Number(position) => {
                    values.numbers.get(*position).map_or(Given::Absent, |&value| Given::Number(value))
                }
                Slot::Field { position, dtype, shape, strides } => match values.addresses.get(*position) {
                    Some(&address) => array(address, *dtype, shape, strides),
                    None => Given::Absent,
                },
                Slot::Table { address, dtype, shape, strides } => array(*address, *dtype, shape, strides),
            })
            .collect()
    }

    /// Whether the number at that position of the graph's arguments differs from call to call.
    pub fn varies(&self, position: usize) -> bool {
        matches!(self.slots.get(position), Some(Slot::Number(_)))
    }

    /// Whether every field lies where it lay in the recorded call.
    pub fn unmoved(&self, values: &Values) -> bool {
        !values.moved
    }

    /// The address of the array at that position of the graph's arguments.
    pub fn address(&self, values: &Values, position: usize) -> Option<*mut u8> {
        match self.slots.get(position)? {
            Slot::Field { position, .. } => {
                values.addresses.get(*position).map(|&address| address as *mut u8)
            }
            Slot::Table { address, .. } => Some(*address as *mut u8),
            _ => None,
        }
    }

    /// The number at that position of the graph's arguments.
    pub fn number(&self, values: &Values, position: usize) -> Option<Scalar> {
        match self.slots.get(position)? {
            Slot::Number(position) => values.numbers.get(*position).copied(),
            Slot::Fixed(value) => Some(*value),
            _ => None,
        }
    }

    /// Pairs of fields that share memory when they lie at these addresses.
    fn shared(&self, values: &Values) -> Vec<(usize, usize)> {
        let fields = self.checks.iter().filter_map(|check| match check {
            Check::Field(field) => Some(field),
            _ => None,
        });
        let mut ranges: SmallVec<[(usize, usize, usize); 32]> = fields
            .zip(&values.addresses)
            .enumerate()
            .filter(|(_, (field, _))| field.bytes > 0)
            .map(|(position, (field, address))| {
                let from = address.wrapping_add_signed(field.low);
                (from, from.wrapping_add(field.bytes), position)
            })
            .collect();
        ranges.sort_unstable();
        let mut pairs = Vec::new();
        for (number, &(_, to, position)) in ranges.iter().enumerate() {
            let overlapping = ranges.iter().skip(number + 1).take_while(|&&(from, ..)| from < to);
            pairs.extend(overlapping.map(|&(.., other)| (position.min(other), position.max(other))));
        }
        pairs.sort_unstable();
        pairs
    }
}

impl FieldCheck {
    fn new(
        field: &Bound<'_, PyAny>,
        array: &Bound<'_, PyAny>,
        facts: Arc<DomainFacts>,
        header: &Header<'_>,
    ) -> PyResult<FieldCheck> {
        let item: usize = array.getattr("itemsize")?.extract()?;
        let (low, bytes) = reach(header.shape, header.strides, item);
        Ok(FieldCheck {
            ty: field.get_type().unbind(),
            array_type: array.get_type().unbind(),
            domain: field.getattr("domain")?.unbind(),
            facts,
            descr: header.descr,
            flags: header.flags,
            shape: header.shape.to_vec(),
            strides: header.strides.to_vec(),
            address: header.address as usize,
            low,
            bytes,
        })
    }
}

/// A walk over arguments beside the recorded checks.
struct Visit<'r> {
    checks: std::slice::Iter<'r, Check>,
    domains: &'r Mutex<Domains>,
    seen: &'r mut Seen,
    values: &'r mut Values,
}

impl Visit<'_> {
    fn value(&mut self, value: &Bound<'_, PyAny>) -> Option<()> {
        match self.checks.next()? {
            Check::Tuple(length) => {
                let tuple = value.cast::<PyTuple>().ok()?;
                if tuple.len() != *length {
                    return None;
                }
                // As deep as the recorded arguments are.
                tuple.iter_borrowed().try_for_each(|element| self.value(&element).ok_or(())).ok()
            }
            Check::Absent => value.is_none().then_some(()),
            Check::Number { ty, kind, dtype, only } => {
                if value.get_type_ptr() != ty.as_ptr().cast() {
                    return None;
                }
                let number = numbers::read(*kind, value).ok()?;
                let number = match (number, *dtype) {
                    (number, dtype) if number.dtype() == dtype => number,
                    (Scalar::I64(value), DType::I32) => Scalar::I32(i32::try_from(value).ok()?),
                    // What does not fit is reported by the slow path.
                    (number, dtype) => pelton::exec::bind::converted(number, dtype).ok()?,
                };
                if only.is_some_and(|only| only != number) {
                    return None;
                }
                self.values.numbers.push(number);
                Some(())
            }
            Check::Field(check) => self.field(check, value),
        }
    }

    fn field(&mut self, check: &FieldCheck, field: &Bound<'_, PyAny>) -> Option<()> {
        let position = self.values.addresses.len();
        if self.seen.fields.len() <= position {
            self.seen.fields.resize_with(position + 1, Default::default);
        }
        let known = self.seen.fields[position].iter().flatten().find(|known| known.is(field));
        let (array, is_new) = match known {
            Some(known) => (known.array, false),
            None => (self.array_of(check, field)?, true),
        };
        // SAFETY: the type of the array object was compared with that of the recorded one when the field was first met; the
        // field holds it.
        let header = unsafe { Header::at(array as *mut pyo3::ffi::PyObject) };
        let alike = header.descr == check.descr
            && header.flags == check.flags
            // A few numbers each: a call of `memcmp` would take longer.
            && header.shape.iter().eq(&check.shape)
            && header.strides.iter().eq(&check.strides);
        if !alike {
            return None;
        }
        if is_new && let Ok(alive) = PyWeakrefReference::new(field) {
            let [latest, before] = &mut self.seen.fields[position];
            *before = latest.take();
            let object = field.as_ptr() as usize;
            *latest = Some(KnownField { object, alive: alive.unbind(), array });
        }
        let address = header.address as usize;
        self.values.moved |= address != check.address;
        self.values.addresses.push(address);
        Some(())
    }

    /// The address of the array object of a field that was not met before, if type and domain are alike.
    fn array_of(&mut self, check: &FieldCheck, field: &Bound<'_, PyAny>) -> Option<usize> {
        let py = field.py();
        if field.get_type_ptr() != check.ty.as_ptr().cast() {
            return None;
        }
        // The attributes behind the properties `domain` and `ndarray`, which cost a Python call each.
        let domain = field.getattr(pyo3::intern!(py, "_domain")).ok()?;
        if !domain.is(&check.domain) {
            let mut domains = self.domains.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
            if !Arc::ptr_eq(&domains.facts(&domain).ok()?, &check.facts) {
                return None;
            }
        }
        let array = field.getattr(pyo3::intern!(py, "_ndarray")).ok()?;
        // The field keeps it alive.
        (array.get_type_ptr() == check.array_type.as_ptr().cast()).then_some(array.as_ptr() as usize)
    }
}

fn no_slot(name: &str) -> PyErr {
    PeltonError::new_err(format!("argument `{name}` of the graph cannot be given from Python"))
}
