//! Connectivity tables: what is checked before a call, and how they are bound.

use indexmap::IndexMap;

use crate::diag::{Diagnostic, Result};
use crate::front::gtir::{GtirArgs, table_name};
use crate::memory::{Binding, View};
use crate::scalar::{DType, Scalar, Type};

use super::GtirProgram;

/// Element type of connectivity tables in graphs.
pub(super) const TABLE_DTYPE: DType = DType::I32;

impl GtirProgram {
    /// Binds a table and its symbols; returns a converted copy where the table is not `int32`.
    pub(super) fn bind_table(
        &self,
        name: &str,
        args: &GtirArgs<'_>,
        bindings: &mut IndexMap<String, Binding>,
    ) -> Result<Option<ConvertedTable>> {
        let skips = self.connectivities.get(name).and_then(|connectivity| connectivity.skip_value);
        let table = Table::of(name, args)?;
        let range = table.check(name, skips)?;
        let mut symbol = |end: &str, value: i64| {
            bindings.insert(format!("__gt_conn_{name}_{end}"), Binding::Scalar(Scalar::I64(value)));
        };
        let shape = table.view.shape();
        if let Some(known) = self.connectivities.get(name)
            && known.max_neighbors != shape[1]
        {
            return Err(Diagnostic::error(
                "P0673",
                format!("the table of connectivity `{name}` does not fit it"),
            )
            .with_note(format!("expected {} columns, found {}", known.max_neighbors, shape[1]))
            .with_help(
                "the program was compiled for another number of neighbours: pass a table of that width",
            ));
        }
        symbol("size", i64::try_from(shape[0]).unwrap_or(i64::MAX));
        symbol("min", range.0);
        symbol("max", range.1);
        let container = format!("gt_conn_{name}");
        // Graphs know missing neighbours by a negative entry.
        let as_it_is = skips.is_none_or(|skip| skip < 0);
        if let Binding::Array { ty: Type::Scalar(TABLE_DTYPE), strides, .. } = table.binding
            && strides.iter().all(|stride| stride % 4 == 0)
            && as_it_is
        {
            symbol("stride_0", i64::try_from(strides[0] / 4).unwrap_or(0));
            symbol("stride_1", i64::try_from(strides[1] / 4).unwrap_or(0));
            bindings.insert(container, table.binding.clone());
            return Ok(None);
        }
        symbol("stride_0", i64::try_from(shape[1]).unwrap_or(0));
        symbol("stride_1", 1);
        let mut bytes = Vec::with_capacity(table.view.len() * 4);
        for entry in table.view.scalars() {
            let entry = entry.map_or(-1, Scalar::as_i64);
            let entry = if Some(entry) == skips { -1 } else { i32::try_from(entry).unwrap_or(-1) };
            bytes.extend_from_slice(&entry.to_le_bytes());
        }
        Ok(Some(ConvertedTable { container, bytes, shape: [shape[0], shape[1]] }))
    }
}

/// A copy of a table in the element type that graphs read.
pub(super) struct ConvertedTable {
    pub(super) container: String,
    pub(super) bytes: Vec<u8>,
    pub(super) shape: [usize; 2],
}

struct Table<'t> {
    binding: &'t Binding,
    bytes: &'t [u8],
    view: View<'t>,
}

impl<'t> Table<'t> {
    fn of(name: &str, args: &'t GtirArgs<'_>) -> Result<Table<'t>> {
        let absent = || {
            Diagnostic::error("P0673", format!("connectivity `{name}` has no table"))
                .with_help("pass a neighbour table with two dimensions: points and neighbours")
        };
        let binding = args.memory.get(&table_name(name)).ok_or_else(absent)?;
        let Binding::Array { buffer, offset, ty: Type::Scalar(dtype), shape, strides } = binding else {
            return Err(absent());
        };
        if !dtype.is_integral() || shape.len() != 2 {
            return Err(absent().with_note(format!("found {dtype} with {} dimensions", shape.len())));
        }
        let bytes = args.memory.buffers.get(*buffer).ok_or_else(absent)?.bytes();
        Ok(Table { binding, bytes, view: View::new(bytes, *offset, *dtype, shape, strides) })
    }

    /// Least and greatest entry that is not a skip value; an empty table gives an empty range.
    fn check(&self, name: &str, skip_value: Option<i64>) -> Result<(i64, i64)> {
        if let Some((least, greatest)) = self.ends(skip_value)
            && least >= 0
            && greatest <= i64::from(i32::MAX)
        {
            return Ok(if greatest < 0 { (0, -1) } else { (least, greatest) });
        }
        // One by one: the entry that is wrong has a place.
        let (mut least, mut greatest) = (i64::MAX, -1);
        for (position, entry) in self.view.scalars().enumerate() {
            let entry = entry.map_or(-1, Scalar::as_i64);
            if Some(entry) == skip_value {
                continue;
            }
            if entry < 0 || entry > i64::from(i32::MAX) {
                let at = self.view.index_of(position);
                return Err(Diagnostic::error(
                    "P0674",
                    format!("connectivity `{name}` has the entry {entry}"),
                )
                .at(format!("row {}, neighbour {}", at[0], at[1]))
                .with_note(match skip_value {
                    Some(skip) => format!("expected an index from 0 up, or {skip} for a missing neighbour"),
                    None => "expected an index from 0 up: the connectivity declares no skip value".to_owned(),
                })
                .with_help("declare the skip value, or repair the table"));
            }
            least = least.min(entry);
            greatest = greatest.max(entry);
        }
        Ok(if greatest < 0 { (0, -1) } else { (least, greatest) })
    }

    /// Least and greatest entry that is not a skip value, where entries fill their memory; `(i64::MAX, -1)` if there is
    /// none. A call scans its tables, so this is as fast as reading memory.
    fn ends(&self, skip_value: Option<i64>) -> Option<(i64, i64)> {
        let Binding::Array { offset, ty: Type::Scalar(dtype), shape, strides, .. } = self.binding else {
            return None;
        };
        let item = dtype.bytes();
        let packed = |run: usize| Some(run.checked_mul(item)?.cast_signed());
        let by_rows = [packed(shape[1])?, item.cast_signed()];
        let by_columns = [item.cast_signed(), packed(shape[0])?];
        if strides[..] != by_rows && strides[..] != by_columns {
            return None;
        }
        let length = shape[0].checked_mul(shape[1])?.checked_mul(item)?;
        let bytes = self.bytes.get(*offset..)?.get(..length)?;
        let fold = |(least, greatest): (i64, i64), entry: i64| {
            let skipped = Some(entry) == skip_value;
            (
                least.min(if skipped { i64::MAX } else { entry }),
                greatest.max(if skipped { -1 } else { entry }),
            )
        };
        let start = (i64::MAX, -1);
        match dtype {
            DType::I32 => {
                let (entries, _) = bytes.as_chunks::<4>();
                Some(entries.iter().map(|&entry| i32::from_le_bytes(entry).into()).fold(start, fold))
            }
            DType::I64 => {
                let (entries, _) = bytes.as_chunks::<8>();
                Some(entries.iter().map(|&entry| i64::from_le_bytes(entry)).fold(start, fold))
            }
            _ => None,
        }
    }
}
