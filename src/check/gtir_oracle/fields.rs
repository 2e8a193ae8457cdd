//! Fields as functions of position.

use std::rc::Rc;

use crate::diag::Result;
use crate::scalar::Scalar;

use super::domain::{Domain, Interval};
use super::machine::{Leaf, LeafDim, Machine, Place, signed};
use super::value::{Field, FieldKind, Iter, List, Poison, Position, Value};

impl Machine<'_, '_, '_> {
    /// The value of a field, of a constant or of a tuple of such, at a position.
    pub(super) fn at(&self, value: &Value, position: &Position) -> Result<Value> {
        match value {
            Value::Scalar(_) | Value::Poison(_) | Value::List(_) => Ok(value.clone()),
            Value::Tuple(parts) => {
                let parts: Vec<Value> =
                    parts.iter().map(|part| self.at(part, position)).collect::<Result<_>>()?;
                Ok(Value::tuple(parts))
            }
            Value::Field(field) => self.field_at(field, position),
            other => Err(self.error(format!("a field is expected, not {}", other.kind()))),
        }
    }

    fn field_at(&self, field: &Rc<Field>, position: &Position) -> Result<Value> {
        match &field.kind {
            FieldKind::Leaf(leaf) => self.leaf_at(*leaf, position),
            FieldKind::Index(dim) => match position.get(*dim) {
                Some(at) => Ok(Value::Scalar(Scalar::I32(i32::try_from(at).unwrap_or(i32::MAX)))),
                None => Err(self.error(format!("the coordinate in {} is not known here", self.text(*dim)))),
            },
            FieldKind::Part(index, base) => {
                self.tuple_get(i64::try_from(*index).unwrap_or(i64::MAX), &self.field_at(base, position)?)
            }
            FieldKind::ConcatWhere { mask, inside, outside } => {
                self.check_depth()?;
                match mask.contains(position) {
                    Ok(true) => self.at(inside, position),
                    Ok(false) => self.at(outside, position),
                    Err(dim) => {
                        Err(self.error(format!("a mask over {} meets a field without it", self.text(dim))))
                    }
                }
            }
            FieldKind::Stencil { stencil, args, domain } => {
                if let Some(known) = field.memo.borrow().get(position) {
                    return Ok(known.clone());
                }
                self.check_depth()?;
                let value = match self.outside(domain.as_deref(), position) {
                    Some(poison) => Value::Poison(poison),
                    None => {
                        let its = args.iter().map(|arg| iterator(arg, position)).collect();
                        let columns = field.column_range.get().or(self.column_range_of(domain.as_deref()));
                        self.places.borrow_mut().push(Place { position: position.clone(), columns });
                        let value = self.call(stencil, its);
                        self.places.borrow_mut().pop();
                        value?
                    }
                };
                field.memo.borrow_mut().insert(position.clone(), value.clone());
                Ok(value)
            }
            FieldKind::Scan { scan, args, domain } => {
                self.check_depth()?;
                match self.outside(domain.as_deref(), position) {
                    Some(poison) => Ok(Value::Poison(poison)),
                    None => self.scan_at(field, scan, args, domain.as_deref(), position),
                }
            }
        }
    }

    /// What to say of a position outside a domain.
    fn outside(&self, domain: Option<&Domain>, position: &Position) -> Option<Poison> {
        let region = domain?.as_region()?;
        region.iter().find_map(|(dim, interval)| {
            let at = position.get(*dim)?;
            (!interval.contains(at)).then_some(Poison::OutsideDomain { at, dim: *dim })
        })
    }

    /// The range of columns of a domain that is given.
    pub(super) fn column_range_of(&self, domain: Option<&Domain>) -> Option<Interval> {
        let axis = self.column_axis?;
        domain?.as_region()?.iter().find(|(dim, _)| *dim == axis).map(|(_, interval)| *interval)
    }

    fn leaf_at(&self, number: u32, position: &Position) -> Result<Value> {
        let Some(leaf) = self.leaves.get(number as usize) else {
            return Err(self.error("a field does not exist"));
        };
        let mut offset = signed(leaf.offset);
        let mut local = None;
        for dim in &leaf.dims {
            if dim.is_local {
                if let Some(at) = position.get(dim.name) {
                    if !dim.range.contains(at) {
                        return Ok(Value::Poison(Poison::OutOfBounds { field: number, dim: dim.name, at }));
                    }
                    offset += dim.stride * (at - dim.range.start) as isize;
                } else if local.replace(dim).is_some() {
                    return Err(
                        self.error(format!("field `{}` has more than one local dimension", leaf.name))
                    );
                }
                continue;
            }
            let Some(at) = position.get(dim.name) else {
                let known: Vec<&str> = position.entries().map(|(name, _)| self.text(name)).collect();
                return Err(self.error(format!(
                    "field `{}` over {} is read at a position over ({})",
                    leaf.name,
                    self.text(dim.name),
                    known.join(", ")
                )));
            };
            if !dim.range.contains(at) {
                return Ok(Value::Poison(Poison::OutOfBounds { field: number, dim: dim.name, at }));
            }
            offset += dim.stride * (at - dim.range.start) as isize;
        }
        match local {
            None => self.load(leaf, offset).map(Value::Scalar),
            Some(dim) => self.load_list(leaf, dim, offset, position),
        }
    }

    /// The elements of a sparse field at a position; an entry exists where the connectivity has a neighbour.
    fn load_list(&self, leaf: &Leaf, dim: &LeafDim, offset: isize, position: &Position) -> Result<Value> {
        let table = self.tables.values().find(|table| {
            table.local == dim.name && leaf.dims.iter().any(|known| known.name == table.source)
        });
        let row = table.and_then(|table| position.get(table.source));
        let mut entries = Vec::new();
        for column in 0..(dim.range.stop - dim.range.start).max(0) {
            let skipped = match (table, row) {
                (Some(table), Some(row)) if table.skip_value.is_some() => {
                    table.entry(row, column) == table.skip_value
                }
                _ => false,
            };
            entries.push(if skipped {
                None
            } else {
                Some(Value::Scalar(self.load(leaf, offset + dim.stride * column as isize)?))
            });
        }
        Ok(Value::List(Rc::new(List::Entries(entries))))
    }

    fn load(&self, leaf: &Leaf, offset: isize) -> Result<Scalar> {
        let bytes = self.args.memory.buffers.get(leaf.buffer).map_or(&[][..], |buffer| buffer.bytes());
        usize::try_from(offset)
            .ok()
            .and_then(|offset| Scalar::from_le_bytes(leaf.dtype, bytes.get(offset..)?))
            .ok_or_else(|| {
                self.error(format!("the memory of field `{}` is smaller than its shape", leaf.name))
            })
    }
}

/// An iterator over an argument.
pub(super) fn iterator(base: &Value, position: &Position) -> Value {
    match base {
        Value::Function(_) | Value::Axis(_) | Value::Offset(_) | Value::Domain(_) => base.clone(),
        _ => Value::Iterator(Rc::new(Iter::At { base: base.clone(), position: Some(position.clone()) })),
    }
}
