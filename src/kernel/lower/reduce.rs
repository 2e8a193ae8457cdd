//! Reductions, in the interpreter's order.

use crate::ir::properties::{as_number, integers};
use crate::ir::{Library, NodeId};
use crate::kernel::ValueId;
use crate::scalar::{Code, Scalar, Type, arith};

use super::dataflow::StateContext;
use super::library::{Operand, positions};
use super::{Lowerer, Lowering};

struct ReducePlan<'r> {
    input: &'r Operand,
    output: &'r Operand,
    code: &'r Code,
    identity: Option<Scalar>,
    ty: Type,
}

impl<'p> Lowerer<'p> {
    pub(super) fn reduce(&mut self, cx: &StateContext<'p>, id: NodeId, library: &'p Library) -> Lowering<()> {
        let input = self.input(cx, id, "_in")?;
        let output = self.output(cx, id, "_out")?;
        let Some(code) = &library.wcr else {
            return self.unsupported("a reduction whose function was not lowered");
        };
        let axes = integers(&library.properties, "axes");
        let identity = library.properties.get("identity").and_then(as_number);
        let rank = input.counts.len();
        let goes = |dim: usize| match &axes {
            None => true,
            Some(axes) => axes.iter().any(|&axis| axis == dim as i64 || axis + rank as i64 == dim as i64),
        };
        let stays: Vec<usize> = (0..rank).filter(|&dim| !goes(dim)).collect();
        let folded: Vec<usize> = (0..rank).filter(|&dim| goes(dim)).collect();
        let long: Vec<usize> = stays.iter().copied().filter(|&dim| !self.is_one(input.counts[dim])).collect();
        let kept = self.kept(&output);
        if long.len() != kept.len() {
            return self.unsupported("a reduction between shapes that do not correspond");
        }
        for (&dim, &target) in long.iter().zip(&kept) {
            self.check_equal(input.counts[dim], output.counts[target])?;
        }
        let counts: Vec<ValueId> = long.iter().map(|&dim| input.counts[dim]).collect();
        let ty = output.access.container.ty();
        let inner: Vec<ValueId> = folded.iter().map(|&dim| input.counts[dim]).collect();
        // A conflict resolution on the output edge meets the finished value, unless it is the fold itself.
        let outer_wcr = output.wcr.as_ref().filter(|_| identity.is_some());
        let plan = ReducePlan { input: &input, output: &output, code, identity, ty };
        // Where the last dimension of the input stays, rows are folded into rows: the same order per element, and
        // neighbours in memory.
        let rows = folded.last().is_some_and(|&last| long.last().is_some_and(|&stays| stays > last));
        if rows && !self.overlap(&input, &output) && outer_wcr.is_none() && matches!(ty, Type::Scalar(_)) {
            return self.reduce_rows(&plan, &long, &folded, &kept, &counts, &inner);
        }
        let opened = self.open_loops(&counts);
        let write = self.at(&output, &positions(output.counts.len(), &[(&kept, &opened)]));
        let target = self.element(&output.access.container, &write, &output.access.text)?;
        let start = match identity {
            Some(identity) => self.identity(identity, ty)?,
            None => self.load(&target)?,
        };
        let variables = self.accumulators(&start);
        let summed = self.open_loops(&inner);
        let read = self.at(&input, &positions(rank, &[(&long, &opened), (&folded, &summed)]));
        let source = self.element(&input.access.container, &read, &input.access.text)?;
        let new = self.load(&source)?;
        let old: Vec<ValueId> = variables.iter().map(|&variable| self.b.get(variable)).collect();
        let folded_value = self.resolve_code(code, &old, ty, &new, source.ty())?;
        for (&variable, value) in variables.iter().zip(folded_value) {
            self.b.set(variable, value);
        }
        self.close_loops(&inner, &summed, false);
        let result: Vec<ValueId> = variables.iter().map(|&variable| self.b.get(variable)).collect();
        self.store_as(&target, &result, ty, outer_wcr)?;
        self.close_loops(&counts, &opened, true);
        Ok(())
    }

    /// Folds rows of the input into rows of the output.
    fn reduce_rows(
        &mut self,
        plan: &ReducePlan<'_>,
        long: &[usize],
        folded: &[usize],
        kept: &[usize],
        counts: &[ValueId],
        inner: &[ValueId],
    ) -> Lowering<()> {
        let ReducePlan { input, output, code, identity, ty, .. } = *plan;
        let (last, outer) = (counts.len() - 1, &counts[..counts.len() - 1]);
        if let Some(identity) = identity {
            let opened = self.open_loops(counts);
            let write = self.at(output, &positions(output.counts.len(), &[(kept, &opened)]));
            let target = self.element(&output.access.container, &write, &output.access.text)?;
            let start = self.identity(identity, ty)?;
            self.store(&target, &start)?;
            self.close_loops(counts, &opened, true);
        }
        let opened = self.open_loops(outer);
        let summed = self.open_loops(inner);
        let row = self.open_loops(&counts[last..]);
        let mut all = opened.clone();
        all.extend(&row);
        let write = self.at(output, &positions(output.counts.len(), &[(kept, &all)]));
        let target = self.element(&output.access.container, &write, &output.access.text)?;
        let read = self.at(input, &positions(input.counts.len(), &[(long, &all), (folded, &summed)]));
        let source = self.element(&input.access.container, &read, &input.access.text)?;
        let new = self.load(&source)?;
        let old = self.load(&target)?;
        let value = self.resolve_code(code, &old, ty, &new, source.ty())?;
        self.store(&target, &value)?;
        self.close_loops(&counts[last..], &row, true);
        self.close_loops(inner, &summed, false);
        self.close_loops(outer, &opened, true);
        Ok(())
    }

    fn identity(&mut self, identity: Scalar, ty: Type) -> Lowering<Vec<ValueId>> {
        match ty {
            Type::Scalar(dtype) => Ok(self.number(arith::cast(dtype, identity))),
            _ => self.unsupported("a reduction of elements that are no numbers"),
        }
    }
}
