//! The arguments of a call as leaves: fields and numbers, in the order in which tuples hold them.

use std::sync::Arc;

use numpy::PyUntypedArray;
use pelton::front::gtir::{GtirArg, GtirArgs, Program, Type, TypeId};
use pelton::scalar::Scalar;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::domains::{DomainFacts, Domains};
use crate::arrays::{Raw, type_name};
use crate::{PeltonError, numbers};

/// Tuples in tuples that are followed.
const MAX_DEPTH: usize = 64;

/// What lies at one place of the arguments, in order of visit: a tuple comes before its elements.
pub(super) enum Leaf<'py> {
    /// A tuple of that many elements.
    Tuple(usize),
    /// An optional argument that was not given.
    Absent,
    /// A field.
    Field {
        /// Flattened name.
        name: String,
        /// The field object.
        field: Bound<'py, PyAny>,
        /// Its array object.
        array: Bound<'py, PyAny>,
        /// What its domain says.
        domain: Arc<DomainFacts>,
    },
    /// A number.
    Number {
        /// Flattened name.
        name: String,
        /// The object.
        object: Bound<'py, PyAny>,
        /// Its value, in the type that the program declares.
        value: Scalar,
    },
}

/// Reads arguments; collects their leaves.
pub(super) struct Reader<'r, 'py> {
    /// The program.
    pub program: &'r Program,
    /// Domains it has met.
    pub domains: &'r mut Domains,
    /// What was found.
    pub leaves: Vec<Leaf<'py>>,
    /// Where the arrays lie.
    pub raw: Vec<Raw>,
}

impl<'py> Reader<'_, 'py> {
    /// Reads one argument.
    pub fn argument(
        &mut self,
        name: &str,
        ty: Option<TypeId>,
        value: &Bound<'py, PyAny>,
        call: &mut GtirArgs<'_>,
        depth: usize,
    ) -> PyResult<GtirArg> {
        if let Ok(elements) = value.cast::<PyTuple>() {
            if depth == MAX_DEPTH {
                return Err(PeltonError::new_err(format!("argument `{name}` has too many tuples in tuples")));
            }
            self.leaves.push(Leaf::Tuple(elements.len()));
            let types = match ty.and_then(|ty| self.program.types.get(ty)) {
                Some(Type::Tuple(types)) => types.to_vec(),
                _ => Vec::new(),
            };
            let elements: PyResult<Vec<GtirArg>> = elements
                .iter()
                .enumerate()
                .map(|(number, element)| {
                    let name = format!("{name}_{number}");
                    self.argument(&name, types.get(number).copied(), &element, call, depth + 1)
                })
                .collect();
            return Ok(GtirArg::Tuple(elements?));
        }
        if value.is_none() {
            self.leaves.push(Leaf::Absent);
            return Ok(GtirArg::Absent);
        }
        let py = value.py();
        match value.getattr(pyo3::intern!(py, "domain")) {
            Ok(domain) => self.field(name, value, &domain, call),
            Err(_) => self.number(name, ty, value, value, call),
        }
    }

    fn field(
        &mut self,
        name: &str,
        field: &Bound<'py, PyAny>,
        domain: &Bound<'py, PyAny>,
        call: &mut GtirArgs<'_>,
    ) -> PyResult<GtirArg> {
        let array = field.getattr(pyo3::intern!(field.py(), "ndarray"))?;
        let domain = self.domains.facts(domain).map_err(|_| {
            PeltonError::new_err(format!(
                "argument `{name}` is a field of {} whose domain has no ends",
                type_name(field)
            ))
        })?;
        if domain.dims.is_empty()
            && numbers::kind(&array).is_some()
            && array.cast::<PyUntypedArray>().is_err()
        {
            // The storage of a field without dimensions may be a NumPy scalar.
            return self.number(name, None, field, &array, call);
        }
        self.raw.push(Raw::of(name, &array)?);
        let arg =
            GtirArg::Field { leaf: name.to_owned(), dims: domain.dims.clone(), start: domain.start.clone() };
        self.leaves.push(Leaf::Field { name: name.to_owned(), field: field.clone(), array, domain });
        Ok(arg)
    }

    fn number(
        &mut self,
        name: &str,
        ty: Option<TypeId>,
        object: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        call: &mut GtirArgs<'_>,
    ) -> PyResult<GtirArg> {
        let mut number = numbers::number(name, value)?;
        if let Some(Type::Scalar(dtype)) = ty.and_then(|ty| self.program.types.get(ty)) {
            number = numbers::declared(name, number, *dtype)?;
        }
        call.memory.insert_scalar(name, number);
        self.leaves.push(Leaf::Number { name: name.to_owned(), object: object.clone(), value: number });
        Ok(GtirArg::Scalar { leaf: name.to_owned() })
    }
}
