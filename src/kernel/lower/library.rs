//! Library nodes as loops, in the interpreter's order: sums run over the summed index upwards with one accumulator
//! that starts at zero, each step a product and then a sum; operands count as read before results are written.
//!
//! Here are operands, loops over them and contractions; `product`, `reduce`, `sums` and `callout` build on that.

use crate::ir::properties::{as_number, integers, is_true};
use crate::ir::{EdgeId, Extra, Library, NodeId, Wcr};
use crate::kernel::{Op, Order, Stmt, TrapKind, ValueId, VarId};
use crate::scalar::{BinaryOp, DType, Scalar, Type, arith};
use crate::symbolic::{ExprId, Grammar};

use super::container::{Container, Memory};
use super::dataflow::StateContext;
use super::memlet::Access;
use super::{Lowerer, Lowering};

/// An operand or result: its access, and how many indices each dimension has.
#[derive(Clone)]
pub(super) struct Operand {
    pub access: Access,
    pub counts: Vec<ValueId>,
    pub wcr: Option<Wcr>,
}

/// An operand of a contraction: which index each of its dimensions runs over.
pub(super) struct Term<'o> {
    pub operand: &'o Operand,
    /// Per dimension of the operand: a letter, or none for a dimension of one index.
    pub letters: Vec<Option<usize>>,
    pub conjugate: bool,
}

impl<'p> Lowerer<'p> {
    pub fn library(&mut self, cx: &StateContext<'p>, id: NodeId, library: &'p Library) -> Lowering<()> {
        let properties = &library.properties;
        match library.class() {
            "Reduce" => self.reduce(cx, id, library),
            "Transpose" => self.transpose(cx, id, None, properties),
            "TensorTranspose" => {
                let axes = integers(properties, "axes").unwrap_or_default();
                self.transpose(cx, id, Some(&axes), properties)
            }
            "CopyLibraryNode" => {
                let (input, output) = (self.input(cx, id, "_cpy_in")?, self.output(cx, id, "_cpy_out")?);
                self.pointwise(&input, &output, &|lowerer, value, from| {
                    let _ = &lowerer;
                    Ok((value, from))
                })
            }
            "FillLibraryNode" | "MemsetLibraryNode" => self.fill(cx, id, properties),
            "Dot" => {
                let (x, y) = (self.input(cx, id, "_x")?, self.input(cx, id, "_y")?);
                let output = self.output(cx, id, "_result")?;
                let conjugate = is_true(properties.get("conjugate"));
                let (Some(left), Some(right)) = (self.only_letter(&x, 0), self.only_letter(&y, 0)) else {
                    return self.unsupported("a dot product of matrices");
                };
                let count = self.long_count(&x);
                let other = self.long_count(&y);
                self.check_equal(count, other)?;
                let terms = [
                    Term { operand: &x, letters: left, conjugate },
                    Term { operand: &y, letters: right, conjugate: false },
                ];
                self.contract(&terms, &[count], 0, &output, None, None)
            }
            "MatMul" | "Gemm" | "BatchedMatMul" => {
                let (a, b) = (self.input(cx, id, "_a")?, self.input(cx, id, "_b")?);
                let output = self.output(cx, id, "_c")?;
                let addend = self.optional_input(cx, id, "_cin")?;
                self.product(&a, &b, &output, addend, properties)
            }
            "Gemv" => {
                let (a, x) = (self.input(cx, id, "_A")?, self.input(cx, id, "_x")?);
                let output = self.output(cx, id, "_y")?;
                let addend = self.optional_input(cx, id, "_y")?;
                self.product(&a, &x, &output, addend, properties)
            }
            "TensorDot" => self.tensor_dot(cx, id, properties),
            "Einsum" => self.einsum(cx, id, properties),
            "Axpy" => self.axpy(cx, id, properties),
            "Ger" => self.ger(cx, id, properties),
            class @ ("FFT" | "IFFT" | "Cholesky" | "Potrf" | "Getrf" | "Getrs" | "Getri" | "Inv"
            | "Solve") => self.call_out(cx, id, class, properties),
            other => self.unsupported(format!("the library node {other}")),
        }
    }

    pub(super) fn operand(&mut self, mut access: Access, wcr: Option<Wcr>) -> Lowering<Operand> {
        if matches!(access.container, Container::Stream(_)) {
            return self.stream_as_memory(&access.text);
        }
        // A vector of one number is a number.
        if let Container::Memory(memory) = &mut access.container
            && let Type::Vector(dtype, 1) = memory.ty
        {
            memory.ty = Type::Scalar(dtype);
        }
        let mut counts = Vec::with_capacity(access.ranges.len());
        for range in access.ranges.clone() {
            counts.push(self.count(&range)?);
        }
        self.check_access(&access, &counts)?;
        Ok(Operand { access, counts, wcr })
    }

    /// The first edge at an input or output connector of that name.
    pub(super) fn edge_at(
        &self,
        cx: &StateContext<'p>,
        id: NodeId,
        connector: &str,
        outwards: bool,
    ) -> Option<EdgeId> {
        let edges = if outwards { cx.adjacency.outgoing(id) } else { cx.adjacency.incoming(id) };
        edges.iter().copied().find(|&edge| {
            let edge = cx.edge(edge);
            let own = if outwards { edge.src_conn } else { edge.dst_conn };
            own.is_some_and(|name| self.text(name) == connector)
        })
    }

    pub(super) fn optional_input(
        &mut self,
        cx: &StateContext<'p>,
        id: NodeId,
        connector: &str,
    ) -> Lowering<Option<Operand>> {
        match self.edge_at(cx, id, connector, false) {
            Some(edge) => {
                let access = self.code_access(cx, edge, false)?;
                self.operand(access, None).map(Some)
            }
            None => Ok(None),
        }
    }

    /// The input at a connector; the only input, if it has no name.
    pub(super) fn input(&mut self, cx: &StateContext<'p>, id: NodeId, connector: &str) -> Lowering<Operand> {
        if let Some(found) = self.optional_input(cx, id, connector)? {
            return Ok(found);
        }
        let data: Vec<_> = cx
            .adjacency
            .incoming(id)
            .iter()
            .copied()
            .filter(|&edge| !cx.edge(edge).memlet.is_empty())
            .collect();
        match data[..] {
            [edge] => {
                let access = self.code_access(cx, edge, false)?;
                self.operand(access, None)
            }
            _ => self.invalid("P0108", format!("connector `{connector}` has no edge")),
        }
    }

    /// The output at a connector; the only output, if it has no name.
    pub(super) fn output(&mut self, cx: &StateContext<'p>, id: NodeId, connector: &str) -> Lowering<Operand> {
        let data: Vec<_> = cx
            .adjacency
            .outgoing(id)
            .iter()
            .copied()
            .filter(|&edge| !cx.edge(edge).memlet.is_empty())
            .collect();
        let named = data
            .iter()
            .copied()
            .find(|&edge| cx.edge(edge).src_conn.is_some_and(|name| self.text(name) == connector));
        let edge = match (named, &data[..]) {
            (Some(edge), _) => edge,
            (None, &[edge]) => edge,
            _ => return self.invalid("P0108", format!("connector `{connector}` has no edge")),
        };
        let access = self.code_access(cx, edge, true)?;
        self.operand(access, cx.edge(edge).memlet.wcr.clone())
    }

    pub(super) fn number_type(&self, operand: &Operand) -> Lowering<DType> {
        match operand.access.container.ty() {
            Type::Scalar(dtype) => Ok(dtype),
            _ => self.unsupported("a library node on elements that are no numbers"),
        }
    }

    /// Opens one loop per count, but none for a count that is known to be one, and gives the loop variables.
    pub(super) fn open_loops(&mut self, counts: &[ValueId]) -> Vec<ValueId> {
        let zero = self.b.int(0);
        let mut opened = Vec::with_capacity(counts.len());
        for &count in counts {
            if self.is_one(count) {
                opened.push(zero);
                continue;
            }
            opened.push(self.open_count(count));
        }
        opened
    }

    pub(super) fn close_loops(&mut self, counts: &[ValueId], opened: &[ValueId], parallel: bool) {
        let zero = self.b.int(0);
        for (&count, &number) in counts.iter().zip(opened).rev() {
            if self.is_one(count) {
                continue;
            }
            let body = self.b.close();
            self.b.push(Stmt::For {
                variable: number,
                start: zero,
                stop: count,
                step: 1,
                order: Order::any_if(parallel),
                body,
            });
        }
    }

    /// The container's indices at positions of the operand's box.
    pub(super) fn at(&mut self, operand: &Operand, positions: &[Option<ValueId>]) -> Vec<ValueId> {
        let ranges = operand.access.ranges.clone();
        ranges
            .iter()
            .zip(positions)
            .map(|(range, position)| match position {
                Some(number) => {
                    let distance = self.b.mul(*number, range.step);
                    self.b.add(range.start, distance)
                }
                None => range.start,
            })
            .collect()
    }

    pub(super) fn is_one(&self, count: ValueId) -> bool {
        self.b.as_int(count) == Some(1)
    }

    /// Dimensions that have more than one index.
    pub(super) fn kept(&self, operand: &Operand) -> Vec<usize> {
        (0..operand.counts.len()).filter(|&dim| !self.is_one(operand.counts[dim])).collect()
    }

    /// Letters for an operand with at most one long dimension, which gets `letter`.
    pub(super) fn only_letter(&self, operand: &Operand, letter: usize) -> Option<Vec<Option<usize>>> {
        let kept = self.kept(operand);
        let long = match kept[..] {
            [] => 0,
            [dim] => dim,
            _ => return None,
        };
        Some((0..operand.counts.len()).map(|dim| (dim == long).then_some(letter)).collect())
    }

    fn long_count(&mut self, operand: &Operand) -> ValueId {
        let one = self.b.int(1);
        self.kept(operand).first().map_or(one, |&dim| operand.counts[dim])
    }

    /// Stops the program unless two counts agree.
    pub(super) fn check_equal(&mut self, a: ValueId, b: ValueId) -> Lowering<()> {
        if a == b {
            return Ok(());
        }
        let same = match self.b.linear(a).plus(&self.b.linear(b), -1).and_then(|d| d.as_constant()) {
            Some(difference) => self.b.bool(difference == 0),
            None => self.b.binary(BinaryOp::Eq, a, b),
        };
        let trap = self.trap(TrapKind::Library, "the shapes of a library node do not fit");
        let depth = self.b.depth();
        if self.b.note_check(same, depth) {
            self.b.check(same, trap);
        }
        Ok(())
    }

    /// Whether two counts are known to differ.
    pub(super) fn differ(&self, a: ValueId, b: ValueId) -> bool {
        let difference = self.b.linear(a).plus(&self.b.linear(b), -1).and_then(|d| d.as_constant());
        difference.is_some_and(|difference| difference != 0)
    }

    /// Each element of the input, through `change`, to the element of the output in the same place.
    fn pointwise(&mut self, input: &Operand, output: &Operand, change: &Change<'_, Self>) -> Lowering<()> {
        let (from, to) = (self.kept(input), self.kept(output));
        if from.len() != to.len() || self.overlap(input, output) {
            return self.unsupported("a library copy between shapes that differ, or within one container");
        }
        let counts: Vec<ValueId> = to.iter().map(|&dim| output.counts[dim]).collect();
        for (&dim, &count) in from.iter().zip(&counts) {
            self.check_equal(input.counts[dim], count)?;
        }
        let opened = self.open_loops(&counts);
        let place = |kept: &[usize], rank: usize| -> Vec<Option<ValueId>> {
            (0..rank).map(|dim| kept.iter().position(|&other| other == dim).map(|at| opened[at])).collect()
        };
        let read = self.at(input, &place(&from, input.counts.len()));
        let source = self.element(&input.access.container, &read, &input.access.text)?;
        let values = self.load(&source)?;
        let (values, ty) = change(self, values, source.ty())?;
        let write = self.at(output, &place(&to, output.counts.len()));
        let target = self.element(&output.access.container, &write, &output.access.text)?;
        self.store_as(&target, &values, ty, output.wcr.as_ref())?;
        self.close_loops(&counts, &opened, output.wcr.is_none());
        Ok(())
    }

    /// Whether two operands may share memory of one container.
    pub(super) fn overlap(&self, a: &Operand, b: &Operand) -> bool {
        match (&a.access.container, &b.access.container) {
            (Container::Memory(a), Container::Memory(b)) => a.buffer == b.buffer,
            (Container::Register { variables: a, .. }, Container::Register { variables: b, .. }) => a == b,
            _ => false,
        }
    }

    fn fill(&mut self, cx: &StateContext<'p>, id: NodeId, properties: &Extra) -> Lowering<()> {
        let output = self.output(cx, id, "_fill_out")?;
        let (values, ty) = match self.optional_input(cx, id, "_fill_val")? {
            Some(input) => {
                let element = self.first(&input.access)?;
                (self.load(&element)?, element.ty())
            }
            None => {
                let value = properties.get("value").and_then(as_number).unwrap_or(Scalar::I64(0));
                (self.number(value), Type::Scalar(value.dtype()))
            }
        };
        let opened = self.open_loops(&output.counts);
        let positions: Vec<Option<ValueId>> = opened.iter().map(|&number| Some(number)).collect();
        let write = self.at(&output, &positions);
        let target = self.element(&output.access.container, &write, &output.access.text)?;
        self.store_as(&target, &values, ty, output.wcr.as_ref())?;
        self.close_loops(&output.counts, &opened, output.wcr.is_none());
        Ok(())
    }

    fn transpose(
        &mut self,
        cx: &StateContext<'p>,
        id: NodeId,
        axes: Option<&[i64]>,
        properties: &Extra,
    ) -> Lowering<()> {
        let tensor = axes.is_some();
        let input = self.input(cx, id, if tensor { "_inp_tensor" } else { "_inp" })?;
        let output = self.output(cx, id, if tensor { "_out_tensor" } else { "_out" })?;
        let (alpha, beta) = match tensor {
            true => (self.factor(properties, "alpha", 1)?, self.factor(properties, "beta", 0)?),
            false => (None, None),
        };
        let rank = input.counts.len();
        let mut order: Vec<usize> = match axes {
            None => (0..rank).rev().collect(),
            Some(axes) => axes
                .iter()
                .map(|&axis| {
                    usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).unwrap_or(rank)
                })
                .collect(),
        };
        if order.len() != rank {
            let kept = self.kept(&input);
            order = order.iter().map(|&axis| kept.get(axis).copied().unwrap_or(rank)).collect();
        }
        if order.iter().any(|&axis| axis >= rank) || beta.is_some() {
            return self.unsupported("a transpose of this form");
        }
        let permuted = Operand {
            access: Access {
                container: permuted_container(&input.access.container, &order),
                ranges: order.iter().map(|&axis| input.access.ranges[axis]).collect(),
                ..input.access.clone()
            },
            counts: order.iter().map(|&axis| input.counts[axis]).collect(),
            wcr: None,
        };
        self.pointwise(&permuted, &output, &|lowerer, values, ty| {
            let (Some(alpha), Type::Scalar(dtype)) = (alpha, ty) else { return Ok((values, ty)) };
            let factor = lowerer.number(arith::cast(dtype, alpha));
            Ok((lowerer.binary_values(BinaryOp::Mul, (&factor, ty), (&values, ty))?, ty))
        })
    }

    pub(super) fn accumulators(&mut self, start: &[ValueId]) -> Vec<VarId> {
        start
            .iter()
            .map(|&value| {
                let ty = self.b.ty(value);
                let variable = self.b.variable("accumulator", ty);
                self.b.set(variable, value);
                variable
            })
            .collect()
    }

    /// A factor of a library node; none if it is one (or zero, for those that default to zero).
    pub(super) fn factor(&mut self, properties: &Extra, key: &str, default: i64) -> Lowering<Option<Scalar>> {
        let Some(value) = properties.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
        let number = match as_number(value) {
            Some(number) => Some(number),
            None => value.as_str().and_then(|text| {
                let mut exprs = self.program.exprs.clone();
                let mut names = self.program.names.clone();
                let expr: ExprId = exprs.parse(&mut names, text, Grammar::Typed).ok()?;
                exprs.as_int(expr).map(Scalar::I64)
            }),
        };
        match number {
            Some(number) if number.as_complex() == num_complex::Complex64::from(default as f64) => Ok(None),
            Some(number) => Ok(Some(number)),
            None => self.unsupported(format!("the factor `{key}` of a library node")),
        }
    }

    pub(super) fn meeting(&self, operands: &[&Operand]) -> Lowering<DType> {
        let mut dtypes = Vec::new();
        for operand in operands {
            dtypes.push(self.number_type(operand)?);
        }
        let has = |wanted: DType| dtypes.contains(&wanted);
        let complex = dtypes.iter().any(|dtype| dtype.is_complex());
        let double = has(DType::F64) || has(DType::C128);
        Ok(match (complex, double) {
            (true, true) => DType::C128,
            (true, false) => DType::C64,
            (false, true) => DType::F64,
            (false, false) if has(DType::F32) => DType::F32,
            _ => dtypes.first().copied().unwrap_or(DType::F64),
        })
    }

    /// `output[free] = alpha * sum over the other letters of the product of the terms + beta * addend[free]`.
    pub(super) fn contract(
        &mut self,
        terms: &[Term<'_>],
        letters: &[ValueId],
        free: usize,
        output: &Operand,
        alpha: Option<Scalar>,
        beta: Option<(Scalar, Operand)>,
    ) -> Lowering<()> {
        let mut all = vec![output];
        all.extend(terms.iter().map(|term| term.operand));
        let dtype = self.meeting(&all)?;
        let ty = Type::Scalar(dtype);
        // One number in variables is written when all else is done.
        let written_late = matches!(output.access.container, Container::Register { .. });
        if !written_late && terms.iter().any(|term| self.overlap(term.operand, output)) {
            return self.unsupported("a product into one of its operands");
        }
        let kept = self.kept(output);
        let long: Vec<usize> = (0..free).filter(|&letter| !self.is_one(letters[letter])).collect();
        if kept.len() != long.len() {
            return self.unsupported("a product into a shape that does not correspond");
        }
        for (&dim, &letter) in kept.iter().zip(&long) {
            self.check_equal(output.counts[dim], letters[letter])?;
        }
        let opened = self.open_loops(&letters[..free]);
        let start = self.number(arith::cast(dtype, Scalar::I64(0)));
        let sums = self.accumulators(&start);
        let summed = self.open_loops(&letters[free..]);
        let mut numbers = opened.clone();
        numbers.extend(&summed);
        let mut product: Option<Vec<ValueId>> = None;
        for term in terms {
            let positions: Vec<Option<ValueId>> =
                term.letters.iter().map(|letter| letter.map(|letter| numbers[letter])).collect();
            let read = self.at(term.operand, &positions);
            let source = self.element(&term.operand.access.container, &read, &term.operand.access.text)?;
            let values = self.load(&source)?;
            let mut values = self.convert(&values, source.ty(), ty)?;
            if term.conjugate && values.len() == 2 {
                let part = self.b.ty(values[1]);
                values[1] = self.b.value(Op::Unary(crate::scalar::UnaryOp::Neg, values[1]), part);
            }
            product = Some(match product {
                None => values,
                Some(so_far) => self.binary_values(BinaryOp::Mul, (&so_far, ty), (&values, ty))?,
            });
        }
        let product = product.unwrap_or(start);
        let old: Vec<ValueId> = sums.iter().map(|&variable| self.b.get(variable)).collect();
        let sum = self.binary_values(BinaryOp::Add, (&old, ty), (&product, ty))?;
        for (&variable, value) in sums.iter().zip(sum) {
            self.b.set(variable, value);
        }
        self.close_loops(&letters[free..], &summed, false);
        let mut result: Vec<ValueId> = sums.iter().map(|&variable| self.b.get(variable)).collect();
        if let Some(alpha) = alpha {
            let alpha = self.number(arith::cast(dtype, alpha));
            result = self.binary_values(BinaryOp::Mul, (&alpha, ty), (&result, ty))?;
        }
        if let Some((beta, addend)) = beta.filter(|_| output.wcr.is_none()) {
            let beta = self.number(arith::cast(dtype, beta));
            // A smaller addend is repeated along the leading dimensions.
            let theirs = self.kept(&addend);
            let skip = long.len().checked_sub(theirs.len());
            let Some(skip) = skip else { return self.unsupported("an addend larger than the result") };
            let mut pairs: Vec<ValueId> = Vec::new();
            for (&dim, &letter) in theirs.iter().zip(&long[skip..]) {
                self.check_equal(addend.counts[dim], letters[letter])?;
                pairs.push(opened[letter]);
            }
            let read = self.at(&addend, &positions(addend.counts.len(), &[(&theirs, &pairs)]));
            let source = self.element(&addend.access.container, &read, &addend.access.text)?;
            let values = self.load(&source)?;
            let values = self.convert(&values, source.ty(), ty)?;
            let scaled = self.binary_values(BinaryOp::Mul, (&beta, ty), (&values, ty))?;
            result = self.binary_values(BinaryOp::Add, (&result, ty), (&scaled, ty))?;
        }
        let places: Vec<ValueId> = long.iter().map(|&letter| opened[letter]).collect();
        let write = self.at(output, &positions(output.counts.len(), &[(&kept, &places)]));
        let target = self.element(&output.access.container, &write, &output.access.text)?;
        self.store_as(&target, &result, ty, output.wcr.as_ref())?;
        self.close_loops(&letters[..free], &opened, output.wcr.is_none());
        Ok(())
    }
}

/// What becomes of an element's numbers on the way.
type Change<'c, L> = dyn Fn(&mut L, Vec<ValueId>, Type) -> Lowering<(Vec<ValueId>, Type)> + 'c;

/// The buffers that operands lie in.
pub(super) fn buffers(operands: &[&Operand]) -> Vec<crate::kernel::BufferId> {
    let buffer = |operand: &&Operand| match &operand.access.container {
        Container::Memory(memory) => Some(memory.buffer),
        _ => None,
    };
    operands.iter().filter_map(buffer).collect()
}

/// Per dimension, the loop variable that runs over it.
pub(super) fn positions(rank: usize, parts: &[(&[usize], &[ValueId])]) -> Vec<Option<ValueId>> {
    let mut result = vec![None; rank];
    for (dims, numbers) in parts {
        for (&dim, &number) in dims.iter().zip(numbers.iter()) {
            result[dim] = Some(number);
        }
    }
    result
}

fn permuted_container(container: &Container, order: &[usize]) -> Container {
    match container {
        Container::Memory(memory) => Container::Memory(Memory {
            shape: order.iter().map(|&axis| memory.shape[axis]).collect(),
            strides: order.iter().map(|&axis| memory.strides[axis]).collect(),
            offset: match memory.offset.is_empty() {
                true => memory.offset.clone(),
                false => order.iter().map(|&axis| memory.offset[axis]).collect(),
            },
            ..memory.clone()
        }),
        other => other.clone(),
    }
}
