//! Library nodes that are sums of products over named indices, or one operation per element.

use crate::ir::{Extra, NodeId};
use crate::kernel::ValueId;
use crate::scalar::{BinaryOp, Scalar, Type, arith};

use super::dataflow::StateContext;
use super::library::{Operand, Term, positions};
use super::{Lowerer, Lowering};

impl<'p> Lowerer<'p> {
    /// An Einstein sum. Operands are the inputs in order of connector name.
    pub(super) fn einsum(&mut self, cx: &StateContext<'p>, id: NodeId, properties: &Extra) -> Lowering<()> {
        let text = properties.get("einsum_str").and_then(|value| value.as_str()).unwrap_or_default();
        let Some((inputs, result)) = text.split_once("->") else {
            return self.unsupported("an einsum that names no result");
        };
        let clean = |part: &str| part.chars().filter(|letter| !letter.is_whitespace()).collect::<Vec<char>>();
        let subscripts: Vec<Vec<char>> = inputs.split(',').map(clean).collect();
        let result = clean(result);
        let mut connectors: Vec<&str> = cx
            .adjacency
            .incoming(id)
            .iter()
            .filter_map(|&edge| cx.edge(edge).dst_conn.map(|name| self.text(name)))
            .collect();
        connectors.sort_unstable();
        if connectors.len() != subscripts.len() {
            return self.unsupported("an einsum with other operands than subscripts");
        }
        let mut operands = Vec::with_capacity(connectors.len());
        for connector in connectors {
            operands.push(self.input(cx, id, connector)?);
        }
        let output = self.output(cx, id, "_out")?;
        let (alpha, beta) = (self.factor(properties, "alpha", 1)?, self.factor(properties, "beta", 0)?);
        // Letters of the result first, in its order; the summed ones as they appear.
        let mut letters: Vec<char> = Vec::new();
        for &letter in result.iter().chain(subscripts.iter().flatten()) {
            if !letters.contains(&letter) {
                letters.push(letter);
            }
        }
        let mut counts: Vec<Option<ValueId>> = vec![None; letters.len()];
        let mut terms = Vec::with_capacity(operands.len());
        for (subscript, operand) in subscripts.iter().zip(&operands) {
            let Some(dims) = self.dimensions_for(operand, subscript.len()) else {
                return self.unsupported("an einsum operand whose rank is not its subscript's");
            };
            let mut places = vec![None; operand.counts.len()];
            for (letter, dim) in subscript.iter().zip(dims) {
                let Some(at) = letters.iter().position(|known| known == letter) else { continue };
                places[dim] = Some(at);
                match counts[at] {
                    Some(count) => self.check_equal(count, operand.counts[dim])?,
                    None => counts[at] = Some(operand.counts[dim]),
                }
            }
            terms.push(Term { operand, letters: places, conjugate: false });
        }
        let counts: Option<Vec<ValueId>> = counts.into_iter().collect();
        let Some(counts) = counts else { return self.unsupported("an einsum index that no operand has") };
        let beta = beta.map(|beta| (beta, output.clone()));
        self.contract(&terms, &counts, result.len(), &output, alpha, beta)
    }

    /// The dimensions of an operand that so many letters stand for: all, or those that are not one by declaration.
    fn dimensions_for(&self, operand: &Operand, letters: usize) -> Option<Vec<usize>> {
        let all: Vec<usize> = (0..operand.counts.len()).collect();
        let long = |dim: &usize| {
            let range = &operand.access.ranges[*dim];
            !range.single && (!operand.access.all || !self.is_one(operand.counts[*dim]))
        };
        let squeezed: Vec<usize> = all.iter().copied().filter(long).collect();
        [all, squeezed].into_iter().find(|dims| dims.len() == letters)
    }

    /// `a * x + y`, element by element.
    pub(super) fn axpy(&mut self, cx: &StateContext<'p>, id: NodeId, properties: &Extra) -> Lowering<()> {
        let (x, y) = (self.input(cx, id, "_x")?, self.input(cx, id, "_y")?);
        let output = self.output(cx, id, "_res")?;
        let factor = self.factor(properties, "a", 1)?.unwrap_or(Scalar::I64(1));
        let dtype = self.meeting(&[&x, &y, &output])?;
        let ty = Type::Scalar(dtype);
        let (x_long, y_long, long) = (self.kept(&x), self.kept(&y), self.kept(&output));
        if x_long.len() != long.len() || y_long.len() != long.len() {
            return self.unsupported("a sum of vectors whose shapes do not correspond");
        }
        if [&x, &y].into_iter().any(|operand| self.overlap(operand, &output) && !same_place(operand, &output))
        {
            return self.unsupported("a sum of vectors into one of them, elsewhere");
        }
        let counts: Vec<ValueId> = long.iter().map(|&dim| output.counts[dim]).collect();
        for (dims, operand) in [(&x_long, &x), (&y_long, &y)] {
            for (&dim, &count) in dims.iter().zip(&counts) {
                self.check_equal(operand.counts[dim], count)?;
            }
        }
        let opened = self.open_loops(&counts);
        let x_value = self.converted_at(&x, &positions(x.counts.len(), &[(&x_long, &opened)]), ty)?;
        let y_value = self.converted_at(&y, &positions(y.counts.len(), &[(&y_long, &opened)]), ty)?;
        let a = self.number(arith::cast(dtype, factor));
        let scaled = self.binary_values(BinaryOp::Mul, (&a, ty), (&x_value, ty))?;
        let sum = self.binary_values(BinaryOp::Add, (&scaled, ty), (&y_value, ty))?;
        self.store_at(&output, &positions(output.counts.len(), &[(&long, &opened)]), &sum, ty)?;
        self.close_loops(&counts, &opened, output.wcr.is_none());
        Ok(())
    }

    /// `alpha * x y^T + A`.
    pub(super) fn ger(&mut self, cx: &StateContext<'p>, id: NodeId, properties: &Extra) -> Lowering<()> {
        let (x, y) = (self.input(cx, id, "_x")?, self.input(cx, id, "_y")?);
        let a = self.input(cx, id, "_A")?;
        let output = self.output(cx, id, "_res")?;
        let alpha = self.factor(properties, "alpha", 1)?.unwrap_or(Scalar::I64(1));
        let dtype = self.meeting(&[&x, &y, &a, &output])?;
        let ty = Type::Scalar(dtype);
        let (rows, columns) = (self.kept(&x), self.kept(&y));
        let (a_long, long) = (self.kept(&a), self.kept(&output));
        let plain = rows.len() == 1 && columns.len() == 1 && a_long.len() == 2 && long.len() == 2;
        let apart = !self.overlap(&x, &output) && !self.overlap(&y, &output);
        if !plain || !apart || (self.overlap(&a, &output) && !same_place(&a, &output)) {
            return self.unsupported("an outer product of this form");
        }
        let counts = [x.counts[rows[0]], y.counts[columns[0]]];
        for (dims, operand) in [(&a_long, &a), (&long, &output)] {
            for (&dim, &count) in dims.iter().zip(&counts) {
                self.check_equal(operand.counts[dim], count)?;
            }
        }
        let opened = self.open_loops(&counts);
        let left = self.converted_at(&x, &positions(x.counts.len(), &[(&rows, &opened[..1])]), ty)?;
        let right = self.converted_at(&y, &positions(y.counts.len(), &[(&columns, &opened[1..])]), ty)?;
        let old = self.converted_at(&a, &positions(a.counts.len(), &[(&a_long, &opened)]), ty)?;
        let alpha = self.number(arith::cast(dtype, alpha));
        let scaled = self.binary_values(BinaryOp::Mul, (&alpha, ty), (&left, ty))?;
        let product = self.binary_values(BinaryOp::Mul, (&scaled, ty), (&right, ty))?;
        let sum = self.binary_values(BinaryOp::Add, (&product, ty), (&old, ty))?;
        self.store_at(&output, &positions(output.counts.len(), &[(&long, &opened)]), &sum, ty)?;
        self.close_loops(&counts, &opened, output.wcr.is_none());
        Ok(())
    }

    fn converted_at(
        &mut self,
        operand: &Operand,
        places: &[Option<ValueId>],
        ty: Type,
    ) -> Lowering<Vec<ValueId>> {
        let read = self.at(operand, places);
        let source = self.element(&operand.access.container, &read, &operand.access.text)?;
        let values = self.load(&source)?;
        self.convert(&values, source.ty(), ty)
    }

    fn store_at(
        &mut self,
        output: &Operand,
        places: &[Option<ValueId>],
        values: &[ValueId],
        ty: Type,
    ) -> Lowering<()> {
        let write = self.at(output, places);
        let target = self.element(&output.access.container, &write, &output.access.text)?;
        self.store_as(&target, values, ty, output.wcr.as_ref())
    }
}

/// Whether two operands name the same elements in the same order.
fn same_place(a: &Operand, b: &Operand) -> bool {
    use super::container::Container;
    let (Container::Memory(x), Container::Memory(y)) = (&a.access.container, &b.access.container) else {
        return false;
    };
    let box_of = |operand: &Operand| -> Vec<(ValueId, ValueId)> {
        operand.access.ranges.iter().map(|range| (range.start, range.step)).collect()
    };
    x.base == y.base && x.strides == y.strides && x.offset == y.offset && box_of(a) == box_of(b)
}
