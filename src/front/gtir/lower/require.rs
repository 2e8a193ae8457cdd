//! What a call's arguments have to satisfy, so that no statement reads or writes outside them.
//!
//! While domains are inferred, every read of a parameter that is certain to happen on a box asks for an interval of
//! coordinates, and so does every write. These are compiled, and checked against the ranges of the fields before a
//! call runs: nothing is written by a program whose domain exceeds a field. Reads on one side of a condition that
//! is decided element by element require nothing.

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::symbolic::{CompiledExpr, EvalError, ExprId};

use super::Lowering;
use super::domain::{Axis, IndexBox, Interval};
use super::ill_typed;
use super::point::{DimId, PointId, TableId};
use super::value::Domain;

/// A requirement in the program's own terms.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Requirement {
    subject: Subject,
    dim: DimId,
    interval: Interval,
    /// Has to hold only if all of these are positive.
    when: Vec<ExprId>,
    is_write: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Subject {
    Param(usize),
    Table(TableId),
}

/// Everything that has to hold, over numbered symbols.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    /// Symbols of the graph, by slot.
    pub symbols: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    /// `field `a``, or `connectivity `C2E``.
    subject: String,
    dim: String,
    needs: [CompiledExpr; 2],
    has: [CompiledExpr; 2],
    when: Vec<CompiledExpr>,
    is_write: bool,
}

impl Requirements {
    /// Checks a call. `values` are those of [`Requirements::symbols`], in order.
    ///
    /// # Errors
    /// `P0612`: a statement's domain exceeds the field it writes. `P0613`: a statement reads an element that does not
    /// exist.
    pub fn check(&self, values: &[i64]) -> Result<()> {
        let eval = |expr: &CompiledExpr| expr.eval(values, &mut |_, _| Err(EvalError::NotAnInteger)).ok();
        for row in &self.rows {
            if row.when.iter().any(|positive| eval(positive).is_some_and(|value| value <= 0)) {
                continue;
            }
            let ([Some(start), Some(stop)], [Some(from), Some(to)]) =
                (row.needs.each_ref().map(eval), row.has.each_ref().map(eval))
            else {
                continue;
            };
            if start >= stop || (from <= start && stop <= to) {
                continue;
            }
            let Row { subject, dim, is_write, .. } = row;
            let error = if *is_write {
                Diagnostic::error("P0612", format!("the domain exceeds {subject} in dimension `{dim}`"))
                    .with_help("restrict the domain, or pass a larger field")
            } else {
                Diagnostic::error(
                    "P0613",
                    format!("{subject} is read outside its range in dimension `{dim}`"),
                )
                .with_help("restrict the domain, or pass a field that has these elements")
            };
            return Err(error
                .with_note(format!("needed: {start} to {stop} (exclusive)"))
                .with_note(format!("found: {from} to {to}")));
        }
        Ok(())
    }
}

impl Lowering<'_> {
    /// A statement writes a parameter over a box.
    pub(super) fn require_write(&mut self, param: usize, index_box: &IndexBox) -> Result<()> {
        let source = self.params[param].source;
        let dims = self.sources[source].dims.clone();
        for &dim in &dims {
            if self.dims[dim].local {
                continue;
            }
            let Some(interval) = index_box.get(Axis::Dim(dim)) else {
                let (field, dim) = (&self.params[param].name, &self.dims[dim].name);
                return Err(ill_typed(format!(
                    "the domain of field `{field}` does not say where in `{dim}`"
                )));
            };
            self.require(Subject::Param(param), dim, interval, index_box, &[], true);
        }
        for (axis, _) in &index_box.axes {
            if let Axis::Dim(dim) = axis
                && !dims.contains(dim)
            {
                let (field, dim) = (&self.params[param].name, &self.dims[*dim].name);
                return Err(ill_typed(format!(
                    "the domain of field `{field}` has dimension `{dim}`, which the field does not have"
                )));
            }
        }
        Ok(())
    }

    /// A parameter is read at coordinates everywhere in a box.
    pub(super) fn require_read(&mut self, param: usize, dims: &[DimId], at: &[PointId], here: &IndexBox) {
        if self.params.get(param).is_none() {
            return;
        }
        for (&dim, &at) in dims.iter().zip(at) {
            if !self.dims[dim].local
                && let Some(interval) = self.interval(at, here)
            {
                match self.points.tables_behind(&[at])[..] {
                    [] => self.require(Subject::Param(param), dim, interval, here, &[], false),
                    [table] => {
                        if let Some(whole) = self.covers_table(table, here) {
                            self.guards.extend(whole);
                            self.require(Subject::Param(param), dim, interval, here, &[table], false);
                            self.guards.truncate(self.guards.len() - whole.len());
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// What is positive if a box covers all rows of a table. The least and greatest entry say too much otherwise: rows
    /// outside the box may have others than rows inside, and reads are checked when they happen.
    fn covers_table(&mut self, table: TableId, here: &IndexBox) -> Option<[ExprId; 2]> {
        let interval = here.get(Axis::Dim(self.tables[table].source))?;
        let rows = self.table_rows(table);
        let one = self.out.exprs.int(1);
        let missing_below = self.out.exprs.sub(one, interval.start);
        let missing_above = self.out.exprs.sub(rows, interval.stop);
        Some([missing_below, self.out.exprs.sub(one, missing_above)])
    }

    /// A row of a table is read everywhere in a box.
    pub(super) fn require_row(&mut self, table: TableId, row: PointId, here: &IndexBox) {
        if let Some(interval) = self.interval(row, here) {
            // Where all neighbours are missing, nothing is read.
            let tables = self.points.tables_behind(&[row]);
            let dim = self.tables[table].source;
            self.require(Subject::Table(table), dim, interval, here, &tables, false);
        }
    }

    fn require(
        &mut self,
        subject: Subject,
        dim: DimId,
        interval: Interval,
        here: &IndexBox,
        tables: &[TableId],
        is_write: bool,
    ) {
        let mut when = self.guards.clone();
        for (_, interval) in &here.axes {
            when.push(self.out.exprs.sub(interval.stop, interval.start));
        }
        for &table in tables {
            let entries = self.table_interval(table);
            when.push(self.out.exprs.sub(entries.stop, entries.start));
        }
        when.sort_unstable();
        when.dedup();
        self.requirements.insert(Requirement { subject, dim, interval, when, is_write });
    }

    /// The range a subject has in a dimension; `None` if it cannot be exceeded.
    fn range_of(&mut self, subject: Subject, dim: DimId) -> Option<(String, [ExprId; 2])> {
        match subject {
            Subject::Table(table) => {
                let (zero, rows) = (self.out.exprs.int(0), self.table_rows(table));
                Some((format!("connectivity `{}`", self.tables[table].name), [zero, rows]))
            }
            Subject::Param(param) => {
                let name = self.params[param].name.clone();
                let subject = format!("field `{name}`");
                if let Some(Domain::Box(ranges)) = self.params[param].temporary.as_deref() {
                    let range = ranges.iter().find(|range| range.dim == dim)?;
                    let (start, stop) = (range.start?, range.stop?);
                    return Some((subject, [self.symbolic(start)?, self.symbolic(stop)?]));
                }
                let ends = [0, 1].map(|end| {
                    let symbol = self.range_symbol(&name, dim, end);
                    self.out.exprs.symbol(symbol)
                });
                Some((subject, ends))
            }
        }
    }

    /// The requirements that are not plain from the program, compiled.
    pub(super) fn compiled_requirements(&mut self) -> Requirements {
        let mut symbols: indexmap::IndexSet<Name> = indexmap::IndexSet::new();
        let mut rows = Vec::new();
        for requirement in std::mem::take(&mut self.requirements) {
            let Requirement { subject, dim, interval, when, is_write } = requirement;
            let Some((subject, has)) = self.range_of(subject, dim) else { continue };
            if has == [interval.start, interval.stop] {
                continue;
            }
            let exprs = &self.out.exprs;
            let mut compiled = |expr| {
                exprs
                    .compile(expr, &mut |name| u32::try_from(symbols.insert_full(name).0).unwrap_or(u32::MAX))
            };
            let needs = [interval.start, interval.stop].map(&mut compiled);
            let has = has.map(&mut compiled);
            let when = when.into_iter().map(&mut compiled).collect();
            rows.push(Row { subject, dim: self.dims[dim].name.clone(), needs, has, when, is_write });
        }
        let symbols = symbols.into_iter().map(|name| self.out.names.get(name).to_owned()).collect();
        Requirements { symbols, rows }
    }
}
