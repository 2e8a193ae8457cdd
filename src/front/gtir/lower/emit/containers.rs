//! Containers and symbols of the graph.

use crate::diag::Result;
use crate::entity::Name;
use crate::ir::{Array, Data, DataKind, Extra, Lifetime, Storage as Memory};
use crate::scalar::{DType, Type};
use crate::symbolic::ExprId;

use super::super::Lowering;
use super::super::code::Storage;
use super::super::domain::{Axis, Boxes, IndexBox, Interval};
use super::super::fields::Source;
use super::super::plan::Plan;
use super::super::point::{DimId, PointId, TableId};
use super::TABLE_DTYPE;

impl Lowering<'_> {
    pub(super) fn declare_containers(&mut self) -> Result<()> {
        self.graph.name = self.program.name.clone();
        for number in 0..self.params.len() {
            let name = self.params[number].name.clone();
            let source = self.params[number].source;
            let Source { dims, dtype, .. } = self.sources[source].clone();
            if let Some(domain) = self.params[number].temporary.clone() {
                let index_box = self.box_of(&domain)?;
                let storage = self.transient_over(&name, &dims, &index_box, dtype);
                self.storage.insert(source, storage);
                continue;
            }
            let mut storage = Storage { container: name.clone(), starts: Vec::new(), shape: Vec::new() };
            let mut strides = Vec::new();
            if dims.is_empty() {
                // A field without dimensions is an array of one element.
                let one = self.out.exprs.int(1);
                storage.starts.push(self.out.exprs.int(0));
                storage.shape.push(one);
                strides.push(one);
            }
            for &dim in &dims {
                let stride = format!("__{name}_{}_stride", self.dims[dim].name);
                strides.push(self.declared_symbol(&stride, DType::I64));
                if self.dims[dim].local {
                    let count = self.table_of_local(dim).map_or(0, |table| self.tables[table].max_neighbors);
                    storage.starts.push(self.out.exprs.int(0));
                    storage.shape.push(self.out.exprs.int(i64::try_from(count).unwrap_or(i64::MAX)));
                    continue;
                }
                let [start, stop] = [0, 1].map(|end| {
                    let symbol = self.range_symbol(&name, dim, end);
                    self.graph.symbols.insert(symbol, Type::I32);
                    self.out.exprs.symbol(symbol)
                });
                storage.starts.push(start);
                let extent = self.out.exprs.sub(stop, start);
                storage.shape.push(extent);
            }
            let may_alias = self.environment.aliases.iter().any(|(a, b)| *a == name || *b == name);
            let array = Array { shape: storage.shape.clone(), strides, may_alias, ..Array::default() };
            self.add_array(&name, array, dtype, false);
            self.storage.insert(source, storage);
        }
        for (name, dtype) in self.scalars.clone() {
            self.declared_symbol(&name, dtype);
        }
        Ok(())
    }

    /// A packed transient with an element for each point of a box.
    pub(super) fn transient_over(
        &mut self,
        name: &str,
        dims: &[DimId],
        index_box: &IndexBox,
        dtype: DType,
    ) -> Storage {
        let storage = self.storage_over(name, dims, index_box);
        self.add_transient(&storage, dims, dtype);
        storage
    }

    /// Declares a packed transient.
    fn add_transient(&mut self, storage: &Storage, dims: &[DimId], dtype: DType) {
        let strides = self.packed_strides(dims, &storage.shape);
        let array = Array { shape: storage.shape.clone(), strides, ..Array::default() };
        self.add_array(&storage.container, array, dtype, true);
    }

    pub(super) fn declared_symbol(&mut self, name: &str, dtype: DType) -> ExprId {
        let name = self.out.names.intern(name);
        self.graph.symbols.insert(name, Type::Scalar(dtype));
        self.out.exprs.symbol(name)
    }

    pub(super) fn add_array(&mut self, name: &str, array: Array, dtype: DType, transient: bool) {
        let name = self.out.names.intern(name);
        let data = Data {
            ty: Type::Scalar(dtype),
            kind: DataKind::Array(array),
            transient,
            storage: Memory::Default,
            lifetime: Lifetime::Scope,
            extra: Extra::new(),
        };
        self.graph.data.insert(name, data);
    }

    /// The table's container, declared when it is first read.
    pub(super) fn declare_table(&mut self, table: TableId) {
        let name = format!("gt_conn_{}", self.tables[table].name);
        if self.out.names.lookup(&name).is_some_and(|name| self.graph.data.contains_key(&name)) {
            return;
        }
        let rows = self.table_rows(table);
        let columns = self.out.exprs.int(i64::try_from(self.tables[table].max_neighbors).unwrap_or(i64::MAX));
        let strides = [0, 1].map(|n| self.declared_symbol(&format!("__{name}_stride_{n}"), DType::I64));
        let array = Array { shape: vec![rows, columns], strides: strides.to_vec(), ..Array::default() };
        self.add_array(&name, array, TABLE_DTYPE, false);
    }

    /// How many rows a table has.
    pub(in crate::front::gtir::lower) fn table_rows(&mut self, table: TableId) -> ExprId {
        let name = format!("__gt_conn_{}_size", self.tables[table].name);
        self.declared_symbol(&name, DType::I64)
    }

    /// A symbol with the value of a bound, assigned when the program starts.
    pub(in crate::front::gtir::lower) fn bound_symbol(&mut self, expr: ExprId) -> Name {
        if let Some(name) = self.out.exprs.as_symbol(expr) {
            return name;
        }
        if let Some(&name) = self.bounds.get(&expr) {
            return name;
        }
        let name = self.out.names.fresh(&format!("__bound_{}", self.bounds.len()));
        self.bounds.insert(expr, name);
        self.graph.symbols.insert(name, Type::I64);
        name
    }

    /// A tasklet's connector; DaCe wants it to differ from all containers and symbols.
    pub(in crate::front::gtir::lower) fn connector(&mut self, direction: &str, number: usize) -> Name {
        let mut text = format!("{direction}_{number}");
        loop {
            let name = self.out.names.intern(&text);
            if !self.graph.data.contains_key(&name) && !self.graph.symbols.contains_key(&name) {
                return name;
            }
            text.insert(0, '_');
        }
    }

    /// The type a symbol is read as.
    pub(in crate::front::gtir::lower) fn symbol_dtype(&self, name: Name) -> DType {
        self.graph.symbols.get(&name).and_then(|ty| ty.scalar()).unwrap_or(DType::I64)
    }

    pub(super) fn declare_arrays(&mut self, plan: &Plan, boxes: &Boxes) {
        for &field in &plan.arrays {
            let index_box = boxes.get(&field).cloned().unwrap_or_default();
            for leaf in self.fields[field].leaves.clone() {
                let Source { dims, dtype, .. } = self.sources[leaf.source].clone();
                let container = format!("__tmp_{}", self.array_count);
                self.array_count += 1;
                let mut storage = self.storage_over(&container, &dims, &index_box);
                for (&dim, extent) in dims.iter().zip(&mut storage.shape) {
                    // A select reads on either side, with indices clamped to the array: there has to be an element.
                    if self.narrowed.contains(&(field, dim)) {
                        let one = self.out.exprs.int(1);
                        *extent = self.out.exprs.max(*extent, one);
                    }
                }
                self.add_transient(&storage, &dims, dtype);
                self.storage.insert(leaf.source, storage);
            }
        }
    }

    pub(super) fn storage_over(&mut self, container: &str, dims: &[DimId], index_box: &IndexBox) -> Storage {
        let mut storage = Storage { container: container.to_owned(), starts: Vec::new(), shape: Vec::new() };
        if dims.is_empty() {
            storage.starts.push(self.out.exprs.int(0));
            storage.shape.push(self.out.exprs.int(1));
        }
        for &dim in dims {
            let interval = index_box.get(Axis::Dim(dim)).unwrap_or_else(|| {
                let zero = self.out.exprs.int(0);
                Interval { start: zero, stop: zero }
            });
            let exprs = &mut self.out.exprs;
            let extent = exprs.sub(interval.stop, interval.start);
            let zero = exprs.int(0);
            storage.starts.push(interval.start);
            storage.shape.push(exprs.max(extent, zero));
        }
        storage
    }

    /// Strides of a packed array whose fastest dimension is the one that maps run along fastest.
    pub(super) fn packed_strides(&mut self, dims: &[DimId], shape: &[ExprId]) -> Vec<ExprId> {
        let order = self.loop_ranks(dims);
        let mut strides = vec![self.out.exprs.int(1); shape.len()];
        let mut stride = self.out.exprs.int(1);
        for &position in order.iter().rev() {
            strides[position] = stride;
            stride = self.out.exprs.mul(stride, shape[position]);
        }
        strides
    }

    /// Positions of `dims`, slowest first.
    pub(super) fn loop_ranks(&self, dims: &[DimId]) -> Vec<usize> {
        let wanted = &self.environment.loop_order;
        let rank =
            |dim: DimId| wanted.iter().position(|name| *name == self.dims[dim].name).map_or(0, |at| at + 1);
        let mut positions: Vec<usize> = (0..dims.len()).collect();
        positions.sort_by_key(|&position| rank(dims[position]));
        positions
    }

    pub(super) fn declare_tables_read(&mut self, plan: &Plan) {
        let mut points: Vec<PointId> = plan.roots.clone();
        points.extend(plan.leaves.values());
        for &field in &plan.arrays {
            if let Some(scan) = &self.fields[field].scan {
                points.extend(&scan.init);
            }
        }
        for table in self.points.tables_behind(&points) {
            self.declare_table(table);
            for end in ["min", "max"] {
                self.declared_symbol(&format!("__gt_conn_{}_{end}", self.tables[table].name), DType::I64);
            }
        }
    }
}
