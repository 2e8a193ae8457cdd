//! Domains of fields, told apart by value.
//!
//! A domain object does not change, so what it says is read once. Programs compare the numbers given here, which are
//! equal for domains with equal dimensions and starts.

use std::collections::HashMap;
use std::sync::Arc;

use pelton::front::gtir::DimKind;
use pyo3::prelude::*;

/// Domain objects that are remembered. Beyond that all are forgotten and read again.
const MAX_KNOWN: usize = 1024;

/// What a domain says about a field; its extents are the array's.
#[derive(PartialEq, Eq, Hash, Debug)]
pub(super) struct DomainFacts {
    /// Dimensions by name and kind.
    pub dims: Vec<(String, DimKind)>,
    /// Coordinate of element 0 in each.
    pub start: Vec<i64>,
}

/// The domains that a program has met.
#[derive(Default)]
pub(super) struct Domains {
    /// By address of the object, which is kept alive.
    known: HashMap<usize, (Py<PyAny>, Arc<DomainFacts>)>,
    distinct: HashMap<Arc<DomainFacts>, ()>,
}

impl Domains {
    /// What the domain says. Equal domains give the same allocation, as long as somebody holds it.
    pub fn facts(&mut self, domain: &Bound<'_, PyAny>) -> PyResult<Arc<DomainFacts>> {
        let address = domain.as_ptr() as usize;
        if let Some((_, facts)) = self.known.get(&address) {
            return Ok(facts.clone());
        }
        let facts = Arc::new(read(domain)?);
        let facts = match self.distinct.get_key_value(&facts) {
            Some((known, ())) => known.clone(),
            None => {
                self.distinct.retain(|facts, ()| Arc::strong_count(facts) > 1);
                self.distinct.insert(facts.clone(), ());
                facts
            }
        };
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(address, (domain.clone().unbind(), facts.clone()));
        Ok(facts)
    }
}

fn read(domain: &Bound<'_, PyAny>) -> PyResult<DomainFacts> {
    let mut facts = DomainFacts { dims: Vec::new(), start: Vec::new() };
    for dim in domain.getattr("dims")?.try_iter()? {
        let dim = dim?;
        let kind: String = dim.getattr("kind")?.getattr("value")?.extract()?;
        let kind = DimKind::from_name(&kind).unwrap_or(DimKind::Horizontal);
        facts.dims.push((dim.getattr("value")?.extract()?, kind));
    }
    for range in domain.getattr("ranges")?.try_iter()? {
        facts.start.push(range?.getattr("start")?.extract()?);
    }
    Ok(facts)
}
