//! Library nodes: reductions, products, contractions, array functions, solvers. Each is a state of its own.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::scalar::DType;

use super::parts::{Class, Container, Extent};
use super::scope::Generator;

const TRANSPOSE: &str = "standard.nodes.transpose.Transpose";

impl Generator<'_, '_> {
    /// A library node.
    pub fn library(&mut self, out: &mut String) {
        match self.choices.weighted(&[5, 2, 4, 2, 2, 5, 5, 8, 3]) {
            0 => self.reduce(out),
            1 => self.transpose(out),
            2 => self.product(out),
            3 => self.dot(out),
            4 => self.fill(out),
            5 => self.vectors(out),
            6 => self.contraction(out),
            7 => self.array_function(out),
            _ => self.solver(out),
        }
    }

    pub fn reduce(&mut self, out: &mut String) {
        let rank = 1 + self.choices.below(3);
        let Some(source) = self.whole_real(rank).filter(|source| !source.scalar) else {
            return self.dataflow_state(out);
        };
        let axis = self.choices.below(source.dims.len());
        let all = source.dims.len() == 1 || self.choices.chance(25);
        let mut dims = source.dims.clone();
        if all {
            dims = vec![Extent::literal(1)];
        } else {
            dims.remove(axis);
        }
        let lambdas =
            ["lambda x, y: x + y", "lambda x, y: max(x, y)", "lambda x, y: min(x, y)", "lambda x, y: x * y"];
        let lambda = lambdas[self.choices.below(4)];
        let identity = self.choices.chance(70);
        // Without identity the result accumulates into what is there.
        let (name, whole) = match self.ready_of_shape(&dims, &source.name).filter(|_| !identity) {
            Some(found) => (found.name.clone(), found.whole()),
            None => {
                let name = self.transient(source.dtype, dims);
                let whole = self.container(&name).map(Container::whole).unwrap_or_default();
                (name, whole)
            }
        };
        let ready = self.container(&name).is_some_and(|container| container.ready);
        let mut properties = json!({ "wcr": lambda });
        if !all {
            properties["axes"] = json!([axis]);
        }
        if identity || !ready {
            properties["identity"] = json!([0.0, 1.0, -5.0][self.choices.below(3)]);
        }
        let state = self.fresh("s");
        let _ = writeln!(
            out,
            "state {state} {{\n  n0 = access {from}\n  n1 = library reduce \"dace.libraries.standard.nodes.reduce.Reduce\" () -> () \
             properties @{properties}\n  n2 = access {name}\n  n0 -> n1 : {source}\n  n1 -> n2 : {whole}\n}}",
            from = source.name,
            source = source.whole(),
        );
        self.set_ready(&name);
    }

    /// Something to overwrite: plain reals of that shape that have a value.
    pub fn ready_of_shape(&mut self, dims: &[Extent], other: &str) -> Option<Container> {
        let fitting: Vec<Container> = self
            .containers
            .iter()
            .filter(|container| container.ready && !container.fixed && container.name != other)
            .filter(|container| container.pinned.is_none() && container.dims == dims)
            .filter(|container| Class::of(container.dtype) == Class::Real)
            .cloned()
            .collect();
        self.choices.pick(&fitting).cloned()
    }

    fn transpose(&mut self, out: &mut String) {
        let Some(source) = self.whole_real(2) else { return self.dataflow_state(out) };
        let dims = source.dims.iter().rev().cloned().collect();
        let name = self.transient(source.dtype, dims);
        self.node(out, TRANSPOSE, json!({}), &[("_inp", source)], "_out", &name);
    }

    fn product(&mut self, out: &mut String) {
        let Some(left) = self.whole_real(2).filter(|left| plain_float(left.dtype)) else {
            return self.dataflow_state(out);
        };
        let fitting: Vec<Container> = self
            .containers
            .iter()
            .filter(|right| right.ready && right.pinned.is_none() && right.dtype == left.dtype)
            .filter(|right| (1..=2).contains(&right.dims.len()) && right.dims.first() == left.dims.last())
            .cloned()
            .collect();
        let right = match self.choices.pick(&fitting).cloned() {
            Some(right) => right,
            // Its own transpose always fits.
            None => {
                let dims = left.dims.iter().rev().cloned().collect();
                let name = self.transient(left.dtype, dims);
                self.node(out, TRANSPOSE, json!({}), &[("_inp", left.clone())], "_out", &name);
                match self.container(&name) {
                    Some(right) => right.clone(),
                    None => return,
                }
            }
        };
        let mut dims = vec![left.dims[0].clone()];
        dims.extend(right.dims.get(1).cloned());
        let name = self.transient(left.dtype, dims);
        let ports = [("_a", left), ("_b", right)];
        self.node(out, "blas.nodes.matmul.MatMul", json!({}), &ports, "_c", &name);
    }

    fn dot(&mut self, out: &mut String) {
        let Some(left) = self.whole_real(1).filter(|left| plain_float(left.dtype)) else {
            return self.reduce(out);
        };
        let name = self.transient(left.dtype, vec![Extent::literal(1)]);
        let ports = [("_x", left.clone()), ("_y", left)];
        self.node(out, "blas.nodes.dot.Dot", json!({}), &ports, "_result", &name);
    }

    fn fill(&mut self, out: &mut String) {
        let dims = vec![self.extent(), self.extent()];
        let dtype = self.dtype();
        let name = self.transient(dtype, dims);
        let whole = self.container(&name).map(Container::whole).unwrap_or_default();
        let (state, value) = (self.fresh("s"), self.choices.below(4));
        let _ = writeln!(
            out,
            "state {state} {{\n  n1 = library fill \"dace.libraries.standard.nodes.fill.FillLibraryNode\" () -> (_fill_out) \
             properties @{{\"value\":{value}}}\n  n2 = access {name}\n  n1._fill_out -> n2 : {whole}\n}}"
        );
        self.set_ready(&name);
    }

    /// Products with vectors, and sums of them.
    fn vectors(&mut self, out: &mut String) {
        let float = |container: Container| Some(container).filter(|container| plain_float(container.dtype));
        let Some(matrix) = self.whole_real(2).and_then(float) else { return self.dot(out) };
        let factor = [1.0, 0.5, -2.0][self.choices.below(3)];
        let form = self.choices.below(3);
        if form == 0 {
            let turned = self.choices.chance(40);
            let (from, to) = if turned { (0, 1) } else { (1, 0) };
            let Some(x) = self.vector_like(out, &matrix, from) else { return self.dot(out) };
            let y = self.transient(matrix.dtype, vec![matrix.dims[to].clone()]);
            let properties = json!({ "transA": turned, "alpha": factor, "beta": 0 });
            return self.node(
                out,
                "blas.nodes.gemv.Gemv",
                properties,
                &[("_A", matrix), ("_x", x)],
                "_y",
                &y,
            );
        }
        let Some(x) = self.vector_like(out, &matrix, 0) else { return self.dot(out) };
        if form == 1 {
            let dims = x.dims.clone();
            let Some(y) = self.vector_like(out, &matrix, 0) else { return };
            let sum = self.transient(matrix.dtype, dims);
            let properties = json!({ "a": factor });
            return self.node(out, "blas.nodes.axpy.Axpy", properties, &[("_x", x), ("_y", y)], "_res", &sum);
        }
        let Some(y) = self.vector_like(out, &matrix, 1) else { return self.dot(out) };
        let sum = self.transient(matrix.dtype, matrix.dims.clone());
        let ports = [("_x", x), ("_y", y), ("_A", matrix)];
        self.node(out, "blas.nodes.ger.Ger", json!({ "alpha": factor }), &ports, "_res", &sum);
    }

    /// A vector of a matrix' type along one of its dimensions; a row or column of it if there is no other.
    fn vector_like(&mut self, out: &mut String, matrix: &Container, dim: usize) -> Option<Container> {
        let fitting: Vec<Container> = self
            .containers
            .iter()
            .filter(|vector| vector.ready && vector.pinned.is_none() && vector.dtype == matrix.dtype)
            .filter(|vector| vector.dims[..] == matrix.dims[dim..=dim])
            .cloned()
            .collect();
        if let Some(vector) = self.choices.pick(&fitting) {
            return Some(vector.clone());
        }
        let name = self.transient(matrix.dtype, vec![matrix.dims[dim].clone()]);
        let (state, i, size, from) = (self.fresh("s"), self.fresh("i"), &matrix.dims[dim].text, &matrix.name);
        let at = if dim == 0 { format!("{i}, 0") } else { format!("0, {i}") };
        let _ = writeln!(
            out,
            "state {state} {{\nmap {i} in 0:{size} {{\n  {name}[{i}] = {from}[{at}] * 0.5\n}}\n}}"
        );
        self.set_ready(&name);
        self.container(&name).cloned()
    }

    /// Einstein sums, contractions and transposes of tensors.
    fn contraction(&mut self, out: &mut String) {
        let rank = 2 + self.choices.below(2);
        let float = |container: &Container| plain_float(container.dtype);
        let Some(tensor) = self.whole_real(rank).filter(float) else { return self.product(out) };
        let dims = tensor.dims.clone();
        if self.choices.chance(35) {
            let orders: &[&[usize]] = match rank {
                2 => &[&[1, 0], &[0, 1]],
                _ => &[&[2, 0, 1], &[0, 2, 1], &[1, 0, 2], &[2, 1, 0]],
            };
            let order = orders[self.choices.below(orders.len())];
            let to = self.transient(tensor.dtype, order.iter().map(|&dim| dims[dim].clone()).collect());
            let factor = [1.0, 0.5][self.choices.below(2)];
            let properties = json!({ "axes": order, "alpha": factor });
            let class = "linalg.nodes.tensortranspose.TensorTranspose";
            return self.node(out, class, properties, &[("_inp_tensor", tensor)], "_out_tensor", &to);
        }
        if self.choices.chance(30) {
            let axis = self.choices.below(rank);
            let mut left = dims.clone();
            left.remove(axis);
            let kept: Vec<Extent> = left.iter().chain(&left).cloned().collect();
            let to = self.transient(tensor.dtype, kept);
            let ports = [("_left_tensor", tensor.clone()), ("_right_tensor", tensor)];
            let properties = json!({ "left_axes": [axis], "right_axes": [axis] });
            return self.node(
                out,
                "linalg.nodes.tensordot.TensorDot",
                properties,
                &ports,
                "_out_tensor",
                &to,
            );
        }
        // Letters of the operands and of the result, and the dimensions that those stand for.
        let forms: &[(&str, &[usize])] = match rank {
            2 => &[("ij,ij->i", &[0]), ("ij,ij->j", &[1]), ("ij,kj->ik", &[0, 0]), ("ij->j", &[1])],
            _ => &[("ijk,ijk->k", &[2]), ("ijk->ki", &[2, 0]), ("ijk,ijl->kl", &[2, 2])],
        };
        let (text, kept) = forms[self.choices.below(forms.len())];
        let to = self.transient(tensor.dtype, kept.iter().map(|&dim| dims[dim].clone()).collect());
        let mut ports = vec![("_a", tensor.clone())];
        if text.contains(',') {
            ports.push(("_b", tensor));
        }
        let factor = [1.0, 0.5][self.choices.below(2)];
        let properties = json!({ "einsum_str": text, "alpha": factor });
        self.node(out, "linalg.nodes.einsum.Einsum", properties, &ports, "_out_tensor", &to);
    }

    /// What Fortran and NumPy have for whole arrays.
    fn array_function(&mut self, out: &mut String) {
        let rank = 1 + self.choices.below(2);
        let Some(source) = self.whole_real(rank) else { return self.reduce(out) };
        let (dtype, dims) = (source.dtype, source.dims.clone());
        let axis = self.choices.below(rank);
        let all = rank == 1 || self.choices.chance(30);
        let mut reduced = if all { vec![Extent::literal(1)] } else { dims.clone() };
        let mut properties = json!({});
        if !all {
            reduced.remove(axis);
            properties["dim"] = json!(axis + 1);
        }
        match self.choices.below(7) {
            0 => {
                let to = self.transient(dtype, dims);
                let class = "standard.nodes.copy_node.CopyLibraryNode";
                self.node(out, class, json!({}), &[("_cpy_in", source)], "_cpy_out", &to);
            }
            1 if rank == 1 => {
                let at = self.choices.below(2);
                let mut dims = dims;
                let extra = self.extent();
                dims.insert(at, extra);
                let to = self.transient(dtype, dims);
                let class = "standard.nodes.broadcast.Broadcast";
                self.node(out, class, json!({ "dim": at + 1 }), &[("_src", source)], "_dst", &to);
            }
            2 => {
                let to = self.transient(dtype, dims);
                let shift = self.choices.below(5) as i64 - 2;
                let properties = json!({ "dim": axis + 1, "shift": shift });
                self.node(out, "standard.nodes.cshift.CShift", properties, &[("_x", source)], "_out", &to);
            }
            3 => {
                let to = self.transient(dtype, reduced);
                self.node(out, "standard.nodes.norm.Norm2", properties, &[("_x", source)], "_out", &to);
            }
            4 => {
                let back = self.choices.chance(30);
                let ends = if all { vec![Extent::literal(rank as i64)] } else { reduced };
                let to = self.transient(DType::I64, ends);
                (properties["back"], properties["one_based"]) = (json!(back), json!(false));
                let class = ["standard.nodes.argminmax.ArgMin", "standard.nodes.argminmax.ArgMax"];
                let class = class[self.choices.below(2)];
                self.node(out, class, properties, &[("_x", source)], "_idx", &to);
            }
            5 => {
                let Some(mask) = self.mask_of(out, &source) else { return };
                let (class, dtype, from, to) = [
                    ("standard.nodes.all_any.AllNode", DType::Bool, "_mask", "_out"),
                    ("standard.nodes.all_any.AnyNode", DType::Bool, "_mask", "_out"),
                    ("standard.nodes.count_node.CountLibraryNode", DType::I32, "_cnt_in", "_cnt_out"),
                ][self.choices.below(3)];
                let name = self.transient(dtype, reduced);
                self.node(out, class, properties, &[(from, mask)], to, &name);
            }
            _ => {
                let Some(mask) = self.mask_of(out, &source) else { return };
                let other = self.ready_of_shape(&dims, "").filter(|other| other.dtype == dtype);
                let to = self.transient(dtype, dims);
                let ports =
                    [("_mrg_t", source.clone()), ("_mrg_f", other.unwrap_or(source)), ("_mrg_mask", mask)];
                let class = "standard.nodes.merge_node.MergeLibraryNode";
                self.node(out, class, json!({}), &ports, "_mrg_out", &to);
            }
        }
    }

    /// Where a container holds more than some number.
    fn mask_of(&mut self, out: &mut String, source: &Container) -> Option<Container> {
        let name = self.transient(DType::Bool, source.dims.clone());
        let index: Vec<String> = source.dims.iter().map(|_| self.fresh("i")).collect();
        let ranges = index.iter().zip(&source.dims).map(|(i, extent)| format!("{i} in 0:{}", extent.text));
        let (ranges, at) = (ranges.collect::<Vec<_>>().join(", "), index.join(", "));
        let limit = ["0.5", "-1.0", "100.0"][self.choices.below(3)];
        let (state, from) = (self.fresh("s"), &source.name);
        let _ = writeln!(
            out,
            "state {state} {{\nmap {ranges} {{\n  {name}[{at}] = {from}[{at}] > {limit}\n}}\n}}"
        );
        self.set_ready(&name);
        self.container(&name).cloned()
    }

    /// Equations, factors and spectra. The results may be infinite; their bits are defined.
    fn solver(&mut self, out: &mut String) {
        let Some(vector) = self.whole_real(1).filter(|vector| plain_float(vector.dtype)) else {
            return self.dot(out);
        };
        let (dtype, n) = (vector.dtype, vector.dims[0].clone());
        if self.choices.chance(40) {
            let to = self.transient(DType::C128, vec![n]);
            let class = ["fft.nodes.fft.FFT", "fft.nodes.ifft.IFFT"][self.choices.below(2)];
            return self.node(out, class, json!({}), &[("_inp", vector)], "_out", &to);
        }
        // An outer product with more on the diagonal is symmetric and positive.
        let matrix = self.transient(dtype, vec![n.clone(), n.clone()]);
        let (state, i, j) = (self.fresh("s"), self.fresh("i"), self.fresh("i"));
        let (from, size) = (&vector.name, &n.text);
        let _ = writeln!(
            out,
            "state {state} {{\nmap {i} in 0:{size}, {j} in 0:{size} {{\n  \
             {matrix}[{i}, {j}] = {from}[{i}] * {from}[{j}] + (9.0 if {i} == {j} else 0.0)\n}}\n}}"
        );
        self.set_ready(&matrix);
        let Some(matrix) = self.container(&matrix).cloned() else { return };
        let square = vec![n.clone(), n.clone()];
        match self.choices.below(3) {
            0 => {
                let to = self.transient(dtype, square);
                let properties = json!({ "lower": self.choices.chance(50) });
                self.node(out, "linalg.nodes.cholesky.Cholesky", properties, &[("_a", matrix)], "_b", &to);
            }
            1 => {
                let to = self.transient(dtype, square);
                self.node(out, "linalg.nodes.inv.Inv", json!({}), &[("_ain", matrix)], "_aout", &to);
            }
            _ => {
                let to = self.transient(dtype, vec![n]);
                let ports = [("_ain", matrix), ("_bin", vector)];
                self.node(out, "linalg.nodes.solve.Solve", json!({}), &ports, "_bout", &to);
            }
        }
    }

    /// A state with one node of a class, whole containers into it, and a whole container out of it.
    fn node(
        &mut self,
        out: &mut String,
        class: &str,
        properties: Value,
        inputs: &[(&str, Container)],
        output: &str,
        to: &str,
    ) {
        let whole = self.container(to).map(Container::whole).unwrap_or_default();
        let connectors: Vec<&str> = inputs.iter().map(|(connector, _)| *connector).collect();
        let properties = match properties.as_object() {
            Some(entries) if !entries.is_empty() => format!(" properties @{properties}"),
            _ => String::new(),
        };
        let label = class.rsplit('.').next().unwrap_or(class).to_lowercase();
        let _ = writeln!(out, "state {} {{", self.fresh("s"));
        for (at, (_, container)) in inputs.iter().enumerate() {
            let _ = writeln!(out, "  n{at} = access {}", container.name);
        }
        let _ = writeln!(
            out,
            "  l = library {label} \"dace.libraries.{class}\" ({}) -> ({output}){properties}",
            connectors.join(", ")
        );
        let _ = writeln!(out, "  o = access {to}");
        for (at, (connector, container)) in inputs.iter().enumerate() {
            let _ = writeln!(out, "  n{at} -> l.{connector} : {}", container.whole());
        }
        let _ = writeln!(out, "  l.{output} -> o : {whole}\n}}");
        self.set_ready(to);
    }
}

/// Numbers that products and solvers take.
pub(super) fn plain_float(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}
