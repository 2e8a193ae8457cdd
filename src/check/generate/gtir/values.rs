//! Values: what a statement writes, and what it is made of.

use crate::scalar::DType;

use super::mesh::{Extents, LEVEL, Loc};
use super::{Field, Generator};

/// What a value has to be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Wanted {
    pub loc: Loc,
    pub dtype: DType,
    /// How far its readers look beyond what is written.
    pub reach: Extents,
}

impl Generator<'_, '_> {
    /// A value on those dimensions.
    pub fn value(&mut self, wanted: Wanted, depth: usize) -> String {
        if depth == 0 {
            return self.leaf(wanted);
        }
        let straight = wanted.loc.dims().any(|dim| self.mesh.is_straight(dim));
        let weights = [
            2,
            12,
            if wanted.loc.has(LEVEL) { 4 } else { 0 },
            if straight && (self.settings.empty || self.has_room(wanted)) { 3 } else { 0 },
            3,
            2,
            1,
            if self.scalars.is_empty() { 0 } else { 1 },
            1,
        ];
        match self.choices.weighted(&weights) {
            0 => self.leaf(wanted),
            2 => self.scan(wanted, depth, false),
            3 => self.masked(wanted, depth),
            4 => self.bound(wanted, depth),
            5 => self.called(wanted, depth),
            6 => self.part_of_tuple(wanted, depth),
            7 => self.chosen(wanted, depth),
            8 => self.broadcast(wanted),
            _ => self.stencil(wanted, depth),
        }
    }

    /// All that readers of a value may look at.
    pub fn whole_domain(&self, wanted: Wanted) -> String {
        let ranges = wanted.loc.dims().map(|dim| {
            let reach = wanted.reach[dim];
            format!("{}: [{}, {}[", self.mesh.name(dim), -reach, self.mesh.sizes[dim] + reach)
        });
        let kind = if self.mesh.unstructured { "u" } else { "c" };
        format!("{kind}⟨ {} ⟩", ranges.collect::<Vec<_>>().join(", "))
    }

    /// A field that is there, or a number.
    fn leaf(&mut self, wanted: Wanted) -> String {
        match self.readable(wanted, true) {
            Some(field) => field.name,
            None => self.broadcast(wanted),
        }
    }

    /// A field of that type on those dimensions (or on some of them) that reaches far enough.
    fn readable(&mut self, wanted: Wanted, exact: bool) -> Option<Field> {
        let fitting: Vec<Field> = self
            .fields
            .iter()
            .filter(|field| field.dtype == wanted.dtype)
            .filter(|field| match exact {
                true => field.loc == wanted.loc,
                false => field.loc.is_within(wanted.loc),
            })
            .filter(|field| {
                let reaches =
                    |dim: usize| !self.mesh.is_straight(dim) || field.reach[dim] >= wanted.reach[dim];
                field.loc.dims().all(reaches)
            })
            .cloned()
            .collect();
        // The newest first: what was written and bound is used.
        let recent = fitting.len().saturating_sub(3);
        match self.choices.chance(60) {
            true => self.choices.pick(&fitting[recent..]).cloned(),
            false => self.choices.pick(&fitting).cloned(),
        }
    }

    /// A number, or a field of fewer dimensions, everywhere.
    fn broadcast(&mut self, wanted: Wanted) -> String {
        let source = match self.readable(wanted, false) {
            Some(field) if self.choices.chance(60) => field.name,
            _ => self.number(wanted.dtype),
        };
        let dims: Vec<&str> = wanted.loc.dims().map(|dim| self.mesh.name(dim)).collect();
        format!("broadcast({source}, {{{}}})", dims.join(", "))
    }

    /// A literal of a type.
    pub fn number(&mut self, dtype: DType) -> String {
        match dtype {
            DType::I32 => ["1", "2", "-3", "7"][self.choices.below(4)].to_owned(),
            DType::F64 => ["0.5", "2.0", "-0.75", "1.25"][self.choices.below(4)].to_owned(),
            _ => {
                let text = ["0.5", "2.0", "1.25"][self.choices.below(3)];
                format!("cast_({text}, {})", dtype.name())
            }
        }
    }

    /// A mask chooses between two values.
    fn masked(&mut self, wanted: Wanted, depth: usize) -> String {
        let mask = self.mask(wanted);
        let (inside, outside) = (self.value(wanted, depth - 1), self.value(wanted, depth - 1));
        format!("concat_where({mask}, {inside}, {outside})")
    }

    fn mask(&mut self, wanted: Wanted) -> String {
        let straight: Vec<usize> = wanted.loc.dims().filter(|&dim| self.mesh.is_straight(dim)).collect();
        let dim = self.choices.pick(&straight).copied().unwrap_or(LEVEL);
        let name = self.mesh.name(dim);
        if !self.settings.empty {
            // Something on both sides, however far readers look beyond the domain.
            let at = 1 + self.choices.below(self.mesh.sizes[dim] as usize - 1);
            return [format!("{name} < {at}"), format!("{name} >= {at}")][self.choices.below(2)].clone();
        }
        let mut bound = || (self.choices.below(self.mesh.sizes[dim] as usize + 3) as i64 - 1).to_string();
        let (mut first, second) = (bound(), bound());
        let form = self.choices.below(5);
        // With an end that only the call knows, GT4Py takes every part of a mask for not empty; masks of one part have none
        // that could be.
        if form < 2
            && self.choices.chance(15)
            && let Some((scalar, _)) = self.choices.pick(&self.scalars)
        {
            first.clone_from(scalar);
        }
        match form {
            0 => format!("{name} < {first}"),
            1 => format!("{name} >= {first}"),
            2 => format!("{name} == {first}"),
            3 => format!("{name} > {first} ∧ {name} < {second}"),
            _ => format!("{name} < {first} ∨ {name} > {second}"),
        }
    }

    /// Whether a mask can split what is computed in two.
    fn has_room(&self, wanted: Wanted) -> bool {
        wanted.loc.dims().filter(|&dim| self.mesh.is_straight(dim)).all(|dim| self.mesh.sizes[dim] > 1)
    }

    /// A let: a value is made once and read as often as somebody likes.
    fn bound(&mut self, wanted: Wanted, depth: usize) -> String {
        let inner = self.nearby(wanted);
        let value = self.value(inner, depth - 1);
        let name = self.fresh("t");
        let mark = self.fields.len();
        self.fields.push(Field {
            name: name.clone(),
            dtype: inner.dtype,
            loc: inner.loc,
            reach: inner.reach,
        });
        let body = self.value(wanted, depth - 1);
        self.fields.truncate(mark);
        format!("(λ({name}) → {body})({value})")
    }

    /// A function of the program is called.
    fn called(&mut self, wanted: Wanted, depth: usize) -> String {
        let inner = self.nearby(wanted);
        let value = self.value(inner, depth - 1);
        let (function, param) = (self.fresh("f"), self.fresh("p"));
        // A function sees nothing but its parameter.
        let around = std::mem::replace(
            &mut self.fields,
            vec![Field { name: param.clone(), dtype: inner.dtype, loc: inner.loc, reach: inner.reach }],
        );
        let scalars = std::mem::take(&mut self.scalars);
        let body = self.value(wanted, depth - 1);
        (self.fields, self.scalars) = (around, scalars);
        self.functions.push_str(&format!("  {function} = λ({param}) → {body};\n"));
        format!("{function}({value})")
    }

    /// What to bind so that a value on `wanted` can use it: the same, further out, or on fewer dimensions.
    fn nearby(&mut self, wanted: Wanted) -> Wanted {
        let mut inner = wanted;
        for dim in wanted.loc.dims() {
            if self.mesh.is_straight(dim) && wanted.reach[dim] + 1 < super::HALO && self.choices.chance(50) {
                inner.reach[dim] += 1;
            }
        }
        if wanted.loc.dims().count() > 1 && self.choices.chance(20) {
            let dims: Vec<usize> = wanted.loc.dims().collect();
            if let Some(&dim) = self.choices.pick(&dims) {
                inner.loc = wanted.loc.with(dim, false);
            }
        }
        if self.choices.chance(10) {
            inner.dtype = self.dtype();
        }
        inner
    }

    fn part_of_tuple(&mut self, wanted: Wanted, depth: usize) -> String {
        let (first, second) = (self.value(wanted, depth - 1), self.value(wanted, depth - 1));
        format!("{{{first}, {second}}}[{}]", self.choices.below(2))
    }

    /// A scalar chooses.
    fn chosen(&mut self, wanted: Wanted, depth: usize) -> String {
        let condition = self.condition();
        let (yes, no) = (self.value(wanted, depth - 1), self.value(wanted, depth - 1));
        format!("(if {condition} then {yes} else {no})")
    }

    /// A condition on a scalar.
    pub fn condition(&mut self) -> String {
        let scalar = match self.choices.pick(&self.scalars) {
            Some((name, _)) => name.clone(),
            None => "1".to_owned(),
        };
        let op = ["<", ">", "<=", "=="][self.choices.below(4)];
        format!("{scalar} {op} {}", self.choices.below(5))
    }
}
