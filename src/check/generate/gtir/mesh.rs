//! Meshes, where fields live on them, and arguments.

use crate::front::gtir::{Connectivity, DimKind, GtirArg, GtirArgs, table_name};
use crate::scalar::{DType, Scalar, Type, arith};

use super::super::Choices;
use super::super::inputs::number;
use super::Field;

/// One number per dimension.
pub(super) type Extents = [i64; 3];

/// The dimension of levels.
pub(super) const LEVEL: usize = 2;

/// A set of dimensions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Loc(pub [bool; 3]);

/// The dimensions and tables there are.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Mesh {
    /// Vertices and edges, instead of two Cartesian dimensions.
    pub unstructured: bool,
    /// Points that are computed, per dimension.
    pub sizes: Extents,
    pub tables: Vec<Table>,
}

/// Neighbours.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Table {
    pub name: &'static str,
    pub from: usize,
    pub to: usize,
    pub columns: usize,
    pub skips: bool,
    rows: Vec<i64>,
}

impl Loc {
    pub fn has(self, dim: usize) -> bool {
        self.0.get(dim) == Some(&true)
    }

    pub fn dims(self) -> impl Iterator<Item = usize> {
        (0..3).filter(move |&dim| self.has(dim))
    }

    pub fn is_within(self, other: Loc) -> bool {
        self.dims().all(|dim| other.has(dim))
    }

    pub fn with(mut self, dim: usize, present: bool) -> Loc {
        if let Some(slot) = self.0.get_mut(dim) {
            *slot = present;
        }
        self
    }
}

impl Mesh {
    pub fn random(choices: &mut Choices<'_>) -> Mesh {
        let unstructured = choices.chance(50);
        let mut sizes = [0; 3];
        for size in &mut sizes {
            *size = 1 + choices.below(5) as i64;
        }
        let mut mesh = Mesh { unstructured, sizes, tables: Vec::new() };
        if unstructured {
            for (name, from, to) in [("V2E", 0, 1), ("E2V", 1, 0)] {
                let columns = 1 + choices.below(4);
                let skips = choices.chance(35);
                let mut rows = Vec::new();
                for _ in 0..sizes[from] as usize * columns {
                    let skipped = skips && choices.chance(25);
                    rows.push(if skipped { -1 } else { choices.below(sizes[to] as usize) as i64 });
                }
                mesh.tables.push(Table { name, from, to, columns, skips, rows });
            }
        }
        mesh
    }

    /// A dimension as programs write it.
    pub fn name(&self, dim: usize) -> &'static str {
        match (self.unstructured, dim) {
            (_, LEVEL) => "Kᵥ",
            (true, 0) => "Vₕ",
            (true, _) => "Eₕ",
            (false, 0) => "Iₕ",
            (false, _) => "Jₕ",
        }
    }

    /// Whether points of a dimension have neighbours one to each side.
    pub fn is_straight(&self, dim: usize) -> bool {
        !self.unstructured || dim == LEVEL
    }

    /// Some dimensions, at least one.
    pub fn loc(&self, choices: &mut Choices<'_>) -> Loc {
        let all: &[[bool; 3]] = match self.unstructured {
            true => &[
                [true, false, true],
                [false, true, true],
                [true, false, false],
                [false, true, false],
                [false, false, true],
            ],
            false => &[
                [true, true, true],
                [true, false, true],
                [false, false, true],
                [true, true, false],
                [false, true, true],
                [true, false, false],
            ],
        };
        Loc(all[choices.below(all.len())])
    }

    fn dimension(&self, dim: usize) -> (String, DimKind) {
        let kind = if dim == LEVEL { DimKind::Vertical } else { DimKind::Horizontal };
        (self.name(dim).trim_end_matches(['ₕ', 'ᵥ']).to_owned(), kind)
    }
}

/// Memory for everything, filled from a seed.
pub(super) fn arguments(
    mesh: &Mesh,
    fields: &[Field],
    scalars: &[(String, i64)],
    seed: u64,
) -> GtirArgs<'static> {
    let mut args = GtirArgs { column_axis: Some("K".to_owned()), ..GtirArgs::default() };
    let mut values = Choices::from_seed(seed);
    for field in fields {
        let (mut shape, mut dims, mut start) = (Vec::new(), Vec::new(), Vec::new());
        for dim in field.loc.dims() {
            shape.push((mesh.sizes[dim] + 2 * field.reach[dim]) as usize);
            dims.push(mesh.dimension(dim));
            start.push(-field.reach[dim]);
        }
        let count: usize = shape.iter().product();
        let mut bytes = vec![0; count * field.dtype.bytes()];
        for bytes in bytes.chunks_mut(field.dtype.bytes()) {
            arith::cast(field.dtype, number(&mut values, field.dtype, false)).write_le_bytes(bytes);
        }
        args.memory.insert_array(&field.name, Type::Scalar(field.dtype), field.dtype.bytes(), &shape, bytes);
        args.params.insert(field.name.clone(), GtirArg::Field { leaf: field.name.clone(), dims, start });
    }
    for (name, value) in scalars {
        args.memory.insert_scalar(name, Scalar::I32(*value as i32));
        args.params.insert(name.clone(), GtirArg::Scalar { leaf: name.clone() });
    }
    for table in &mesh.tables {
        let bytes = table.rows.iter().flat_map(|&row| (row as i32).to_le_bytes()).collect();
        let shape = [mesh.sizes[table.from] as usize, table.columns];
        args.memory.insert_array(&table_name(table.name), Type::Scalar(DType::I32), 4, &shape, bytes);
        let name = |dim: usize| mesh.dimension(dim).0;
        let connectivity = Connectivity {
            source: name(table.from),
            local: table.name.to_owned(),
            target: name(table.to),
            max_neighbors: table.columns,
            skip_value: table.skips.then_some(-1),
        };
        args.connectivities.insert(table.name.to_owned(), connectivity);
    }
    args
}
