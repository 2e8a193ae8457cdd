//! Stencils and scans: scalar code over fields around a point.

use crate::scalar::DType;

use super::Generator;
use super::mesh::{LEVEL, Loc};
use super::values::Wanted;

/// Something that scalar code may use: its text, and its type.
struct Term {
    text: String,
    dtype: DType,
}

impl Generator<'_, '_> {
    /// A stencil applied to one to three values.
    pub fn stencil(&mut self, wanted: Wanted, depth: usize) -> String {
        let (mut params, mut arguments, mut terms) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..1 + self.choices.weighted(&[4, 4, 1]) {
            let param = self.fresh("x");
            let inner = self.neighbourhood(wanted, &param, &mut terms);
            arguments.push(self.value(inner, depth - 1));
            params.push(param);
        }
        if wanted.loc.has(LEVEL) && self.choices.chance(8) {
            let param = self.fresh("k");
            terms.push(Term { text: format!("·{param}"), dtype: DType::I32 });
            params.push(param);
            arguments.push(format!("index({})", self.mesh.name(LEVEL)));
        }
        let mut body = self.code(wanted.dtype, &terms, 2);
        let mut part = String::new();
        if self.choices.chance(8) {
            body = format!("{{{body}, {}}}", self.code(wanted.dtype, &terms, 1));
            part = format!("[{}]", self.choices.below(2));
        }
        format!("(⇑(λ({}) → {body}))({}){part}", params.join(", "), arguments.join(", "))
    }

    /// Chooses how a parameter is read around the point; adds the reads to `terms`, and says what the argument has to be.
    fn neighbourhood(&mut self, wanted: Wanted, param: &str, terms: &mut Vec<Term>) -> Wanted {
        let mut inner = wanted;
        inner.dtype = if self.choices.chance(85) { wanted.dtype } else { self.dtype() };
        if wanted.loc.dims().count() > 1 && self.choices.chance(15) {
            let dims: Vec<usize> = wanted.loc.dims().collect();
            if let Some(&dim) = self.choices.pick(&dims) {
                inner.loc = wanted.loc.with(dim, false);
            }
        }
        let tables: Vec<usize> =
            (0..self.mesh.tables.len()).filter(|&at| inner.loc.has(self.mesh.tables[at].from)).collect();
        if let (Some(&table), true) = (self.choices.pick(&tables), self.choices.chance(60)) {
            let table = self.mesh.tables[table].clone();
            let name = table.name;
            inner.loc = inner.loc.with(table.from, false).with(table.to, true);
            let other = (0..table.columns).map(|_| self.choices.below(table.columns)).next().unwrap_or(0);
            let (zero, number) = (zero(inner.dtype), self.number(inner.dtype));
            let mut add = |text: String| terms.push(Term { text, dtype: inner.dtype });
            match self.choices.weighted(&[3, 2, 2, 1, 1, 1, if table.skips { 0 } else { 1 }]) {
                0 => add(format!("reduce(plus, {zero})(neighbors({name}ₒ, {param}))")),
                1 => add(format!("reduce(maximum, {zero})(neighbors({name}ₒ, {param}))")),
                2 => add(format!(
                    "reduce(λ(s, y, z) → s + y × z, {zero})(neighbors({name}ₒ, {param}), neighbors({name}ₒ, {param}))"
                )),
                4 => add(format!(
                    "reduce(plus, {zero})(map_list(multiplies)(neighbors({name}ₒ, {param}), make_const_list({number})))"
                )),
                5 => add(format!(
                    "reduce(plus, {zero})(neighbors({name}ₒ, (↑(λ(y) → ·y × {number}))({param})))"
                )),
                6 => add(format!("list_get({other}ₒ, neighbors({name}ₒ, {param}))")),
                _ if table.skips => add(format!(
                    "(if can_deref(⟪{name}ₒ, {other}ₒ⟫({param})) then ·⟪{name}ₒ, {other}ₒ⟫({param}) else {zero})"
                )),
                _ => add(format!("·⟪{name}ₒ, {other}ₒ⟫({param})")),
            }
            // There and back, where every neighbour is there.
            let back = self.mesh.tables.iter().find(|back| back.from == table.to && !back.skips).cloned();
            if let (Some(back), false, true) = (back, table.skips, self.choices.chance(25)) {
                inner.loc = inner.loc.with(table.to, false).with(table.from, true);
                if let Some(term) = terms.last_mut() {
                    let column = self.choices.below(back.columns);
                    term.text = format!("·⟪{name}ₒ, {other}ₒ, {}ₒ, {column}ₒ⟫({param})", back.name);
                }
            }
            return inner;
        }
        terms.push(Term { text: format!("·{param}"), dtype: inner.dtype });
        for dim in inner.loc.dims() {
            let straight = self.mesh.is_straight(dim) && wanted.reach[dim] < super::HALO;
            if straight && self.choices.chance(45) {
                inner.reach[dim] = wanted.reach[dim] + 1;
                let name = self.mesh.name(dim);
                let by = [1, -1][self.choices.below(2)];
                let moved = match self.choices.chance(12) {
                    true => format!("(↑(λ(y) → ·y + {}))({param})", self.number(inner.dtype)),
                    false => param.to_owned(),
                };
                let text = format!("·⟪{name}→{name}, {by}ₒ⟫({moved})");
                terms.push(Term { text, dtype: inner.dtype });
            }
        }
        inner
    }

    /// A scan over the levels, with a domain or without: then its columns begin where its readers say.
    pub fn scan(&mut self, wanted: Wanted, depth: usize, is_whole: bool) -> String {
        let (mut params, mut arguments) = (Vec::new(), Vec::new());
        let (state, mut terms) = (self.fresh("s"), Vec::new());
        for _ in 0..1 + self.choices.below(2) {
            let param = self.fresh("x");
            let loc = match self.choices.chance(15) {
                true => Loc([false, false, true]),
                false => wanted.loc,
            };
            arguments.push(self.value(Wanted { loc, ..wanted }, depth - 1));
            terms.push(Term { text: format!("·{param}"), dtype: wanted.dtype });
            params.push(param);
        }
        let step = self.code(wanted.dtype, &terms, 1);
        let is_pair = self.choices.chance(15);
        let forward = ["True", "False"][self.choices.below(2)];
        let start = zero(wanted.dtype);
        // The state shrinks, so that columns stay finite.
        let shrunk = |state: &str| match wanted.dtype {
            DType::I32 => format!("minimum({state}, 100)"),
            dtype => format!("{state} × {}", half(dtype)),
        };
        let (next, start, part) = match is_pair {
            false => (format!("{} + {step}", shrunk(&state)), start, String::new()),
            true => {
                let (first, second) = (format!("{state}[0]"), format!("{state}[1]"));
                let next = format!("{{{} + {step}, {} + {first}}}", shrunk(&first), shrunk(&second));
                (next, format!("{{{start}, {start}}}"), format!("[{}]", self.choices.below(2)))
            }
        };
        let scan = format!("scan(λ({state}, {}) → {next}, {forward}, {start})", params.join(", "));
        let arguments = arguments.join(", ");
        match is_whole || self.choices.chance(50) {
            true => format!("(⇑{scan})({arguments}){part}"),
            false => format!("as_fieldop({scan}, {})({arguments}){part}", self.whole_domain(wanted)),
        }
    }

    /// Scalar code of a type over terms.
    fn code(&mut self, dtype: DType, terms: &[Term], depth: usize) -> String {
        if depth == 0 {
            return self.term(dtype, terms);
        }
        let part = |generator: &mut Self| generator.code(dtype, terms, depth - 1);
        if dtype == DType::I32 {
            return match self.choices.weighted(&[2, 4, 3, 2, 2, 1, 1]) {
                0 => self.term(dtype, terms),
                1 => format!("({} + {})", part(self), part(self)),
                2 => format!("({} - {})", part(self), part(self)),
                3 => format!("({} × {})", part(self), self.number(dtype)),
                4 => format!("minimum({}, {})", part(self), part(self)),
                5 => format!("mod({}, 3)", part(self)),
                _ => format!("floordiv({}, 2)", part(self)),
            };
        }
        match self.choices.weighted(&[2, 5, 4, 4, 2, 2, 2, 2]) {
            0 => self.term(dtype, terms),
            1 => format!("({} + {})", part(self), part(self)),
            2 => format!("({} - {})", part(self), part(self)),
            3 => format!("({} × {})", part(self), part(self)),
            4 => format!("maximum({}, {})", part(self), part(self)),
            5 => {
                let (a, b) = (part(self), self.term(dtype, terms));
                format!("(if {a} < {b} then {} else {})", part(self), part(self))
            }
            6 => {
                let square = self.term(dtype, terms);
                format!("({} / ({square} × {square} + {}))", part(self), half(dtype))
            }
            _ => {
                let inner = part(self);
                match self.choices.below(5) {
                    0 => format!("sin({inner})"),
                    1 => format!("sqrt(abs({inner}))"),
                    2 => format!("exp(minimum({inner}, {}))", half(dtype)),
                    3 => format!("tanh({inner})"),
                    _ => format!("floor({inner})"),
                }
            }
        }
    }

    /// A read, converted where its type is another; or a number.
    fn term(&mut self, dtype: DType, terms: &[Term]) -> String {
        match self.choices.pick(terms) {
            Some(term) if self.choices.chance(85) || terms.len() == 1 => match term.dtype == dtype {
                true => term.text.clone(),
                false => format!("cast_({}, {})", term.text, dtype.name()),
            },
            _ => self.number(dtype),
        }
    }
}

fn zero(dtype: DType) -> String {
    match dtype {
        DType::I32 => "0".to_owned(),
        DType::F64 => "0.0".to_owned(),
        _ => format!("cast_(0.0, {})", dtype.name()),
    }
}

fn half(dtype: DType) -> String {
    match dtype {
        DType::F64 => "0.5".to_owned(),
        _ => format!("cast_(0.5, {})", dtype.name()),
    }
}
