//! Connectivities of a call, told apart by identity.

use pelton::diag::Diagnostic;
use pelton::front::gtir::table_name;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::arrays::Raw;
use crate::raise;

/// An entry of the offset provider whose table was looked at. The table stays alive with it.
pub(super) struct TableObject {
    name: Py<PyString>,
    entry: Py<PyAny>,
    _array: Py<PyAny>,
}

impl TableObject {
    /// The entry of that name, and where its table lies.
    pub fn of(name: &str, provider: &Bound<'_, PyDict>) -> PyResult<(TableObject, Raw)> {
        let py = provider.py();
        let entry = provider.get_item(name)?.ok_or_else(|| {
            raise(
                &Diagnostic::error("P0673", format!("connectivity `{name}` has no table"))
                    .with_note("the offset provider has no entry of that name")
                    .with_help(format!("call the program with `offset_provider={{\"{name}\": ...}}`")),
            )
        })?;
        let array = entry.getattr("ndarray")?;
        let raw = Raw::of(&table_name(name), &array)?;
        let table = TableObject {
            name: PyString::intern(py, name).unbind(),
            entry: entry.unbind(),
            _array: array.unbind(),
        };
        Ok((table, raw))
    }

    /// Whether the provider has the same entry.
    pub fn is_in(&self, provider: &Bound<'_, PyDict>) -> bool {
        matches!(provider.get_item(&self.name), Ok(Some(entry)) if entry.is(&self.entry))
    }
}
