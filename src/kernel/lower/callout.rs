//! Library nodes that a run-time routine computes: factorizations, solvers, Fourier transforms.

use crate::ir::properties::as_number;
use crate::ir::{Extra, NodeId};
use crate::kernel::{CallFactor, CallOperand, LibraryCall, Stmt, TrapKind, ValueId};
use crate::scalar::DType;
use crate::scalar::parse::c::LapackCall;
use crate::symbolic::Grammar;

use super::container::{Container, Memory};
use super::dataflow::StateContext;
use super::library::{Operand, buffers};
use super::memlet::AccessRange;
use super::{Lowerer, Lowering};

/// The operands of a routine by role: inputs, then results; a result that nobody takes is left out.
fn roles(class: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    Some(match class {
        "FFT" | "IFFT" => (&["_inp"], &["_out"]),
        "Cholesky" => (&["_a"], &["_b"]),
        "Potrf" => (&["_xin"], &["_xout", "_res"]),
        "Getrf" => (&["_xin"], &["_xout", "_ipiv", "_res"]),
        "Getrs" => (&["_a", "_ipiv", "_rhs_in"], &["_rhs_out", "_res"]),
        "Getri" => (&["_xin", "_ipiv"], &["_xout", "_res"]),
        "Inv" => (&["_ain"], &["_aout"]),
        "Solve" => (&["_ain", "_bin"], &["_bout"]),
        _ => return None,
    })
}

impl<'p> Lowerer<'p> {
    /// A library node as a call.
    pub(super) fn call_out(
        &mut self,
        cx: &StateContext<'p>,
        id: NodeId,
        class: &str,
        properties: &Extra,
    ) -> Lowering<()> {
        let Some((inputs, results)) = roles(class) else {
            return self.unsupported(format!("the library node {class}"));
        };
        let mut operands: Vec<(&str, Operand, bool)> = Vec::new();
        for role in inputs {
            operands.push((role, self.input(cx, id, role)?, false));
        }
        for (position, role) in results.iter().enumerate() {
            let named = cx
                .adjacency
                .outgoing(id)
                .iter()
                .any(|&edge| cx.edge(edge).src_conn.is_some_and(|name| self.text(name) == *role));
            if named || position == 0 {
                operands.push((role, self.output(cx, id, role)?, true));
            }
        }
        self.call(class, properties, &operands)
    }

    /// A tasklet that is one LAPACKE call: the same routines under the names of its arguments.
    pub(super) fn lapack_tasklet(
        &mut self,
        cx: &StateContext<'p>,
        id: NodeId,
        call: &LapackCall,
    ) -> Lowering<()> {
        // Which argument plays which role, by position.
        type Roles = [(usize, &'static str)];
        let (class, inputs, results): (&str, &Roles, &Roles) = match call.routine.get(1..).unwrap_or_default()
        {
            "potrf" => ("Potrf", &[(3, "_xin")], &[(3, "_xout")]),
            "getrf" => ("Getrf", &[(3, "_xin")], &[(3, "_xout"), (5, "_ipiv")]),
            "getrs" => ("Getrs", &[(4, "_a"), (6, "_ipiv"), (7, "_rhs_in")], &[(7, "_rhs_out")]),
            "getri" => ("Getri", &[(2, "_xin"), (4, "_ipiv")], &[(2, "_xout")]),
            other => return self.unsupported(format!("the LAPACK routine {other}")),
        };
        let mut operands: Vec<(&str, Operand, bool)> = Vec::new();
        for (list, written) in [(inputs, false), (results, true)] {
            for &(position, role) in list {
                let name =
                    call.arguments.get(position).map_or("", |name| name.trim_start_matches(['&', '*']));
                operands.push((role, self.lapack_operand(cx, id, name, written)?, written));
            }
        }
        if let Some(result) = &call.result
            && cx
                .adjacency
                .outgoing(id)
                .iter()
                .any(|&edge| cx.edge(edge).src_conn.is_some_and(|name| self.text(name) == result.as_str()))
        {
            operands.push(("_res", self.output(cx, id, result)?, true));
        }
        let mut properties = Extra::new();
        if class == "Potrf" {
            let lower = call.arguments.get(1).is_none_or(|triangle| triangle.contains(['L', 'l']));
            properties.insert("lower".to_owned(), lower.into());
        }
        self.call(class, &properties, &operands)
    }

    /// How many elements behind the start of its memory a subset begins, and how many each index moves it by.
    pub(super) fn start_and_steps(
        &mut self,
        memory: &Memory,
        ranges: &[AccessRange],
    ) -> (ValueId, Vec<ValueId>) {
        let mut elements = self.b.int(0);
        let mut steps = Vec::with_capacity(ranges.len());
        for (dim, range) in ranges.iter().enumerate() {
            let stride = memory.strides[dim];
            let start = match memory.offset.get(dim) {
                Some(&offset) => self.b.add(range.start, offset),
                None => range.start,
            };
            let distance = self.b.mul(start, stride);
            elements = self.b.add(elements, distance);
            steps.push(self.b.mul(range.step, stride));
        }
        (elements, steps)
    }

    /// The memory that an argument names: its output connector if it is written, else its input, or what there is.
    fn lapack_operand(
        &mut self,
        cx: &StateContext<'p>,
        id: NodeId,
        name: &str,
        written: bool,
    ) -> Lowering<Operand> {
        let input = self.edge_at(cx, id, name, false);
        let output = self.edge_at(cx, id, name, true);
        let (edge, outwards) = match (input, output, written) {
            (_, Some(edge), true) | (None, Some(edge), false) => (edge, true),
            (Some(edge), _, _) => (edge, false),
            (None, None, _) => return self.invalid("P0108", format!("connector `{name}` has no edge")),
        };
        let access = self.code_access(cx, edge, outwards)?;
        self.operand(access, None)
    }

    fn call(&mut self, class: &str, properties: &Extra, operands: &[(&str, Operand, bool)]) -> Lowering<()> {
        if operands.iter().any(|(_, operand, written)| *written && operand.wcr.is_some()) {
            return self.unsupported("a library result that meets what is there");
        }
        let mut described = Vec::with_capacity(operands.len());
        let mut arguments: Vec<ValueId> = Vec::new();
        for (role, operand, written) in operands {
            let ty = self.number_type(operand)?;
            let Container::Memory(memory) = operand.access.container.clone() else {
                return self.unsupported("a library node on a value that lies nowhere");
            };
            let (elements, steps) = self.start_and_steps(&memory, &operand.access.ranges);
            let distances: Vec<ValueId> =
                steps.into_iter().map(|along| self.in_bytes(along, memory.ty)).collect();
            let offset = self.in_bytes(elements, memory.ty);
            arguments.push(self.b.add(memory.base, offset));
            arguments.extend(&operand.counts);
            arguments.extend(distances);
            described.push(CallOperand {
                role: (*role).to_owned(),
                ty,
                rank: operand.counts.len() as u32,
                written: *written,
            });
        }
        let factor = self.call_factor(properties, &mut arguments)?;
        let side = |wanted: bool| -> Vec<&Operand> {
            operands
                .iter()
                .filter(|(_, _, written)| *written == wanted)
                .map(|(_, operand, _)| operand)
                .collect()
        };
        let (reads, writes) = (buffers(&side(false)), buffers(&side(true)));
        let trap =
            self.trap(TrapKind::Library, format!("{class} fails: shapes that do not fit, or no memory"));
        let call = LibraryCall {
            class: class.to_owned(),
            properties: properties.clone(),
            operands: described,
            factor,
            reads,
            writes,
            trap,
        };
        let call = self.b.kernel.libraries.push(call);
        self.b.push(Stmt::Call(call, arguments));
        Ok(())
    }

    /// A `factor` that is an expression; its symbols become arguments.
    fn call_factor(
        &mut self,
        properties: &Extra,
        arguments: &mut Vec<ValueId>,
    ) -> Lowering<Option<CallFactor>> {
        let Some(value) = properties.get("factor").filter(|value| !value.is_null()) else { return Ok(None) };
        if as_number(value).is_some() {
            return Ok(None);
        }
        let Some(text) = value.as_str() else { return self.unsupported("a factor that is no number") };
        let (mut exprs, mut names) = (self.program.exprs.clone(), self.program.names.clone());
        let expr = match exprs.parse(&mut names, text, Grammar::Typed) {
            Ok(expr) => expr,
            Err(_) => return self.unsupported(format!("the factor `{text}`")),
        };
        let symbols = exprs.free_symbols(expr);
        for &name in &symbols {
            let value = self.symbol(name)?;
            if !self.b.ty(value).is_integral() {
                return self.unsupported(format!("the factor `{text}` with symbols that are no integers"));
            }
            arguments.push(self.b.cast(DType::I64, value));
        }
        Ok(Some(CallFactor { exprs, expr, symbols }))
    }
}
