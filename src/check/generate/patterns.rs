//! Shapes that chance makes too seldom and that transformations look for: each is two or three statements that belong together.

use std::fmt::Write;

use serde_json::json;

use crate::front::pel::short_name;
use crate::scalar::DType;

use super::parts::Extent;
use super::scope::Generator;

const FACTORS: [&str; 3] = ["0.5", "2.0", "1.5"];

impl Generator<'_, '_> {
    /// One such shape.
    pub fn pattern(&mut self, out: &mut String) {
        self.budget = self.budget.saturating_sub(2);
        match self.choices.below(5) {
            0 => self.nearly_equal_ranges(out),
            1 => self.written_in_parts(out),
            2 => self.reference_set_once(out),
            3 => self.folded(out),
            _ => self.crosswise(out),
        }
    }

    /// Two maps that read one container over ranges that differ at an end, into arguments.
    fn nearly_equal_ranges(&mut self, out: &mut String) {
        let Some(source) = self.whole_real(1) else { return self.dataflow_state(out) };
        let targets = [self.argument_like(&source), self.argument_like(&source)];
        let [Some(first), Some(second)] = targets else { return self.dataflow_state(out) };
        let n = &source.dims[0].text;
        let (state, i, j) = (self.fresh("s"), self.fresh("i"), self.fresh("i"));
        let other = [format!("1:{n}"), format!("0:{n} - 1")][self.choices.below(2)].clone();
        let factor = FACTORS[self.choices.below(3)];
        let from = &source.name;
        let _ = writeln!(
            out,
            "state {state} {{\nmap {i} in 0:{n} {{ {first}[{i}] = {from}[{i}] * {factor} }}\n\
             map {j} in {other} {{ {second}[{j}] = {from}[{j}] - {factor} }}\n}}"
        );
    }

    /// A transient that two maps write, each a part, read in these parts or as a whole.
    fn written_in_parts(&mut self, out: &mut String) {
        let Some(source) = self.whole_real(1).filter(|source| source.dims[0].value > 1) else {
            return self.dataflow_state(out);
        };
        let parts = self.fresh("t");
        self.declare("", &parts, &source.descriptor());
        let to = self.transient(source.dtype, source.dims.clone());
        let (n, from) = (source.dims[0].text.clone(), &source.name);
        let mut text = format!(
            "state {} {{\n  a = access {from}\n  t = access {parts}\n  b = access {to}\n",
            self.fresh("s")
        );
        let part = |text: &mut String, at: usize, range: &str, factor: &str, write: bool| {
            let (name, target) = if write { (from, &parts) } else { (&parts, &to) };
            let (begin, end) = if write { ("a", "t") } else { ("t", "b") };
            let memlet = range.strip_prefix("0:1").map_or(range, |_| "0");
            let _ = writeln!(
                text,
                "  e{at} = map_entry part [part{at} in {range}]\n  f{at} = tasklet scale (x) -> (o) {{ o = x * {factor} }}\n\
                 \x20 x{at} = map_exit part of e{at}\n  {begin} -> e{at}.IN_x : {name}[{memlet}]\n  e{at}.OUT_x -> f{at}.x : {name}[part{at}]\n\
                 \x20 f{at}.o -> x{at}.IN_o : {target}[part{at}]\n  x{at}.OUT_o -> {end} : {target}[{memlet}]"
            );
        };
        let whole = format!("0:{n}");
        let rest = format!("1:{n}");
        part(&mut text, 0, "0:1", FACTORS[self.choices.below(3)], true);
        part(&mut text, 1, &rest, FACTORS[self.choices.below(3)], true);
        text.push_str("  x0 -> e1\n");
        if self.choices.chance(50) {
            part(&mut text, 2, "0:1", "3.0", false);
            part(&mut text, 3, &rest, "4.0", false);
            text.push_str("  x2 -> e3\n");
        } else {
            part(&mut text, 2, &whole, "3.0", false);
        }
        let _ = writeln!(out, "{text}}}");
        self.set_ready(&to);
    }

    /// A reference to all of an array, or to a row of one, that is set once.
    fn reference_set_once(&mut self, out: &mut String) {
        let rank = 1 + self.choices.below(2);
        let Some(source) = self.whole_real(rank).filter(|source| source.dense) else {
            return self.dataflow_state(out);
        };
        let extent = source.dims[rank - 1].clone();
        let shown = match rank {
            1 => format!("0:{}", extent.text),
            _ => format!("{}, 0:{}", self.index(&source.dims[0]), extent.text),
        };
        let name = self.fresh("z");
        self.declare("reference", &name, &format!("{}[{}]", short_name(source.dtype), extent.text));
        let to = self.transient(source.dtype, vec![extent.clone()]);
        let (state, i, from, n) = (self.fresh("s"), self.fresh("i"), &source.name, &extent.text);
        let _ = writeln!(
            out,
            "state {state} {{\n  a = access {from}\n  r = access {name}\n  e = map_entry read [{i} in 0:{n}]\n  t = tasklet get (x) -> (o) {{ o = x * 2 }}\n\
             \x20 x = map_exit read of e\n  b = access {to}\n  a -> r.set : {from}[{shown}]\n  r -> e.IN_r : {name}[0:{n}]\n\
             \x20 e.OUT_r -> t.x : {name}[{i}]\n  t.o -> x.IN_b : {to}[{i}]\n  x.OUT_b -> b : {to}[0:{n}]\n}}"
        );
        self.set_ready(&to);
    }

    /// What a map computes is folded by a reduction beside it.
    fn folded(&mut self, out: &mut String) {
        let Some(source) = self.whole_real(2) else { return self.dataflow_state(out) };
        let made = self.fresh("t");
        self.declare("", &made, &source.descriptor());
        let axis = self.choices.below(2);
        let kept = source.dims[1 - axis].clone();
        let to = self.transient(source.dtype, vec![kept.clone()]);
        let lambda = ["lambda x, y: x + y", "lambda x, y: max(x, y)"][self.choices.below(2)];
        let properties = json!({ "wcr": lambda, "axes": [axis], "identity": 0.0 });
        let (rows, columns) = (&source.dims[0].text, &source.dims[1].text);
        let (state, i, j, from) = (self.fresh("s"), self.fresh("i"), self.fresh("i"), &source.name);
        let whole = format!("0:{rows}, 0:{columns}");
        let _ = writeln!(
            out,
            "state {state} {{\n  a = access {from}\n  e = map_entry make [{i} in 0:{rows}, {j} in 0:{columns}]\n  t = tasklet half (x) -> (o) {{ o = x * 0.5 }}\n\
             \x20 x = map_exit make of e\n  m = access {made}\n  r = library reduce \"dace.libraries.standard.nodes.reduce.Reduce\" () -> () \
             properties @{properties}\n  b = access {to}\n  a -> e.IN_a : {from}[{whole}]\n  e.OUT_a -> t.x : {from}[{i}, {j}]\n\
             \x20 t.o -> x.IN_m : {made}[{i}, {j}]\n  x.OUT_m -> m : {made}[{whole}]\n  m -> r : {made}[{whole}]\n  r -> b : {to}[0:{}]\n}}",
            kept.text
        );
        self.set_ready(&to);
    }

    /// A matrix that is written and read along its columns.
    fn crosswise(&mut self, out: &mut String) {
        let dims: [Extent; 2] = [self.extent(), self.extent()];
        let dtype = [DType::F64, DType::F32, DType::I64][self.choices.below(3)];
        let matrix = self.fresh("t");
        let descriptor =
            |dims: &[Extent]| format!("{}[{}, {}]", short_name(dtype), dims[0].text, dims[1].text);
        self.declare("", &matrix, &descriptor(&dims));
        let to = self.transient(dtype, dims.to_vec());
        let [rows, columns] = &dims;
        let (state, i, j) = (self.fresh("s"), self.fresh("i"), self.fresh("i"));
        let turned = self.choices.chance(50);
        let read = if turned { format!("{} - 1 - {i}", rows.text) } else { i.clone() };
        let ranges = format!("{j} in 0:{}, {i} in 0:{}", columns.text, rows.text);
        let _ = writeln!(
            out,
            "state {state} {{\nmap {ranges} {{ {matrix}[{i}, {j}] = {i} * 2 + {j} }}\nmap {ranges} {{ {to}[{i}, {j}] = {matrix}[{read}, {j}] + {matrix}[{i}, {j}] }}\n}}"
        );
        self.set_ready(&to);
    }
}
