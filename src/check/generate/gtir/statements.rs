//! Programs: parameters, temporaries, and statements over domains.

use crate::scalar::DType;

use super::mesh::{Extents, LEVEL, Loc};
use super::values::Wanted;
use super::{Field, Generator, HALO};

impl Generator<'_, '_> {
    /// A whole program; `fields` are its arguments afterwards.
    pub fn program(&mut self) -> String {
        for _ in 0..2 + self.choices.below(4) {
            let field = Field {
                name: self.fresh("a"),
                dtype: self.dtype(),
                loc: self.mesh.loc(self.choices),
                reach: self.halo(),
            };
            self.fields.push(field);
        }
        for _ in 0..self.choices.below(3) {
            let scalar = (self.fresh("n"), self.choices.below(5) as i64);
            self.scalars.push(scalar);
        }
        let (mut body, mut outputs, mut temporaries) = (String::new(), Vec::new(), Vec::new());
        for _ in 0..1 + self.choices.weighted(&[4, 3, 2]) {
            let again = match outputs.is_empty() {
                true => None,
                false => self.choices.pick(&outputs).cloned().filter(|_| self.choices.chance(30)),
            };
            let target = again.unwrap_or_else(|| Field {
                name: self.fresh("out"),
                dtype: self.dtype(),
                loc: self.mesh.loc(self.choices),
                reach: [0; 3],
            });
            let is_new = !outputs.contains(&target);
            let is_temporary = is_new && self.choices.chance(15);
            if is_temporary {
                let domain = self.domain(target.loc, true);
                let dtype = short(target.dtype);
                body.push_str(&format!("  {} = temporary(domain={domain}, dtype={dtype});\n", target.name));
                // All of it is written at once: nobody reads what is not there.
                let statement = self.statement(&target, true);
                body.push_str(&format!("  {statement}\n"));
                temporaries.push(target.name.clone());
            } else if self.choices.chance(15) {
                let condition = self.condition();
                let (yes, no) = (self.statement(&target, false), self.statement(&target, false));
                body.push_str(&format!("  if ({condition}) {{ {yes} }} else {{ {no} }}\n"));
            } else {
                let statement = self.statement(&target, false);
                body.push_str(&format!("  {statement}\n"));
            }
            if is_new {
                // What was written can be read by what follows.
                self.fields.push(target.clone());
                outputs.push(target);
            }
        }
        self.fields.retain(|field| !temporaries.contains(&field.name));
        let params = self.fields.iter().map(|field| field.name.as_str());
        let params: Vec<&str> = params.chain(self.scalars.iter().map(|(name, _)| name.as_str())).collect();
        format!("p({}) {{\n{}{body}}}\n", params.join(", "), self.functions)
    }

    /// `out @ domain ← value;`
    fn statement(&mut self, target: &Field, whole: bool) -> String {
        let domain = self.domain(target.loc, whole);
        let depth = 1 + self.choices.below(3);
        let wanted = Wanted { loc: target.loc, dtype: target.dtype, reach: [0; 3] };
        let value = match target.loc.has(LEVEL) && self.choices.chance(15) {
            true => self.scan(wanted, depth, true),
            false => self.value(wanted, depth),
        };
        format!("{} @ {domain} ← {value};", target.name)
    }

    /// All of a location, or a part of it.
    fn domain(&mut self, loc: Loc, whole: bool) -> String {
        let mut ranges = Vec::new();
        for dim in loc.dims() {
            let size = self.mesh.sizes[dim];
            let (mut low, mut high) = ("0".to_owned(), size.to_string());
            let partial = !whole && self.settings.empty;
            if partial && self.choices.chance(30) {
                low = self.choices.below(size as usize + 1).to_string();
            }
            if partial && self.choices.chance(30) {
                let fitting: Vec<String> =
                    self.scalars.iter().filter(|(_, n)| *n <= size).map(|(name, _)| name.clone()).collect();
                high = match self.choices.pick(&fitting) {
                    Some(scalar) => scalar.clone(),
                    None => self.choices.below(size as usize + 1).to_string(),
                };
            }
            ranges.push(format!("{}: [{low}, {high}[", self.mesh.name(dim)));
        }
        let kind = if self.mesh.unstructured { "u" } else { "c" };
        format!("{kind}⟨ {} ⟩", ranges.join(", "))
    }

    fn halo(&self) -> Extents {
        [0, 1, 2].map(|dim| if self.mesh.is_straight(dim) { HALO } else { 0 })
    }
}

fn short(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f32",
        DType::I32 => "i32",
        _ => "f64",
    }
}
