//! Library nodes: which operation, on which operands.

use serde_json::Value as Json;

use crate::diag::Diagnostic;
use crate::interp::library::{Extreme, Factor, MaskFold, Operation, Product};
use crate::interp::plan::{GeneralSize, LibraryPlan};
use crate::ir::properties::{as_number, integers, is_false, is_true};
use crate::ir::{Extra, Library, NodeId};
use crate::scalar::Scalar;
use crate::scalar::parse::c::LapackCall;
use crate::symbolic::Grammar;

use super::Builder;
use super::edges::StateContext;
use super::names::GraphNames;

impl<'p> Builder<'p> {
    pub fn library(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        id: NodeId,
        library: &'p Library,
    ) -> Result<LibraryPlan, Diagnostic> {
        let mut plan = self.operands(names, ctx, id)?;
        plan.operation = self.operation(names, library, &plan)?;
        Ok(plan)
    }

    /// A tasklet that is one LAPACKE call.
    pub fn lapack_tasklet(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        id: NodeId,
        call: LapackCall,
    ) -> Result<LibraryPlan, Diagnostic> {
        let mut plan = self.operands(names, ctx, id)?;
        plan.operation = Operation::Lapack(call);
        Ok(plan)
    }

    fn operands(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        id: NodeId,
    ) -> Result<LibraryPlan, Diagnostic> {
        let text = |builder: &Self, name| match name {
            Some(name) => builder.program.names.get(name).into(),
            None => Box::<str>::default(),
        };
        let mut inputs = Vec::new();
        for edge_id in ctx.adjacency.incoming(id).to_vec() {
            let edge = ctx.edge(edge_id);
            if edge.memlet.is_empty() && edge.dst_conn.is_none() {
                continue;
            }
            let name = text(self, edge.dst_conn);
            inputs.push((name, self.code_access(names, ctx, edge_id, false)?));
        }
        let mut outputs = Vec::new();
        for edge_id in ctx.adjacency.outgoing(id).to_vec() {
            let edge = ctx.edge(edge_id);
            if edge.memlet.is_empty() && edge.src_conn.is_none() {
                continue;
            }
            let name = text(self, edge.src_conn);
            let access = self.code_access(names, ctx, edge_id, true)?;
            let wcr = match &edge.memlet.wcr {
                Some(wcr) => Some(self.wcr(names, wcr, access.container)?),
                None => None,
            };
            outputs.push((name, access, wcr));
        }
        Ok(LibraryPlan { operation: Operation::Copy, inputs: inputs.into(), outputs: outputs.into() })
    }

    fn operation(
        &mut self,
        names: &mut GraphNames<'p>,
        library: &'p Library,
        plan: &LibraryPlan,
    ) -> Result<Operation, Diagnostic> {
        let properties = &library.properties;
        let flag = |key: &str| is_true(properties.get(key));
        Ok(match library.class() {
            "Reduce" => Operation::Reduce {
                wcr: self.fold(names, library, plan)?,
                axes: integers(properties, "axes"),
                identity: optional_number(properties, "identity"),
            },
            "ReduceWithSkipValues" => Operation::ReduceWithSkipValues {
                wcr: self.fold(names, library, plan)?,
                input: string(properties, "input_conn", "_in"),
                mask: string(properties, "mask_conn", "_mask"),
                identity: optional_number(properties, "identity").unwrap_or(Scalar::I64(0)),
                init: optional_number(properties, "init").unwrap_or(Scalar::I64(0)),
            },
            "MatMul" | "Gemm" | "BatchedMatMul" => Operation::MatMul(self.product(names, properties)?),
            "Gemv" => Operation::Gemv(self.product(names, properties)?),
            "Dot" => Operation::Dot { conjugate: flag("conjugate") },
            "Ger" => Operation::Ger { alpha: self.number(names, properties, "alpha", 1)? },
            "Axpy" => Operation::Axpy { a: self.number(names, properties, "a", 1)? },
            "Einsum" => Operation::Einsum {
                text: string(properties, "einsum_str", ""),
                alpha: self.number(names, properties, "alpha", 1)?,
                beta: self.number(names, properties, "beta", 0)?,
            },
            "TensorDot" => Operation::TensorDot {
                left: integers(properties, "left_axes").unwrap_or_default(),
                right: integers(properties, "right_axes").unwrap_or_default(),
                permutation: integers(properties, "permutation").unwrap_or_default(),
            },
            "Transpose" => Operation::Transpose {
                axes: None,
                alpha: Factor::Number(Scalar::I64(1)),
                beta: Factor::Number(Scalar::I64(0)),
            },
            "TensorTranspose" => Operation::Transpose {
                axes: Some(integers(properties, "axes").unwrap_or_default()),
                alpha: self.number(names, properties, "alpha", 1)?,
                beta: self.number(names, properties, "beta", 0)?,
            },
            "CopyLibraryNode" => Operation::Copy,
            "FillLibraryNode" | "MemsetLibraryNode" => {
                Operation::Fill { value: optional_number(properties, "value").unwrap_or(Scalar::I64(0)) }
            }
            "Cholesky" => Operation::Cholesky { lower: !is_false(properties.get("lower")) },
            "Potrf" => Operation::Potrf { lower: !is_false(properties.get("lower")) },
            "Getrf" => Operation::Getrf,
            "Getrs" => Operation::Getrs,
            "Getri" => Operation::Getri,
            "Inv" => Operation::Inverse,
            "Solve" => Operation::Solve,
            "FFT" => {
                Operation::Fourier { inverse: false, factor: self.number(names, properties, "factor", 1)? }
            }
            "IFFT" => {
                Operation::Fourier { inverse: true, factor: self.number(names, properties, "factor", 1)? }
            }
            "CSRMM" | "CSRMV" => Operation::SparseProduct {
                alpha: self.number(names, properties, "alpha", 1)?,
                beta: self.number(names, properties, "beta", 0)?,
                transposed: flag("transB"),
            },
            "MergeLibraryNode" => Operation::Merge,
            "Broadcast" => Operation::Spread { dim: integer(properties, "dim", Some(1)) },
            "CShift" => Operation::Rotate {
                dim: integer(properties, "dim", Some(1)).unwrap_or(1),
                shift: self.number(names, properties, "shift", 0)?,
                numpy: string(properties, "direction", "").eq_ignore_ascii_case("numpy"),
            },
            "Norm2" => Operation::Norm { dim: integer(properties, "dim", None) },
            "AllNode" => Operation::FoldMask { fold: MaskFold::All, dim: integer(properties, "dim", None) },
            "AnyNode" => Operation::FoldMask { fold: MaskFold::Any, dim: integer(properties, "dim", None) },
            "CountLibraryNode" => {
                Operation::FoldMask { fold: MaskFold::Count, dim: integer(properties, "dim", None) }
            }
            class @ ("ArgMin" | "ArgMax") => Operation::ExtremeIndex(Extreme {
                smallest: class == "ArgMin",
                last: flag("back"),
                one_based: !is_false(properties.get("one_based")),
                dim: integer(properties, "dim", None),
            }),
            _ => {
                return Err(Diagnostic::error("P0113", "this library node is not supported")
                    .at(format!("`{}`", library.classpath))
                    .with_help("expand it in DaCe before saving (`sdfg.expand_library_nodes()`)"));
            }
        })
    }

    /// The fold of a reduction, in the output's type.
    fn fold(
        &mut self,
        names: &mut GraphNames<'p>,
        library: &'p Library,
        plan: &LibraryPlan,
    ) -> Result<crate::interp::plan::WcrPlan, Diagnostic> {
        let Some((_, output, _)) = plan.outputs.first() else {
            return Err(Diagnostic::error("P0108", "a reduction without an output"));
        };
        let Some(code) = &library.wcr else {
            let text = string(&library.properties, "wcr", "?");
            return Err(super::control::not_lowered(&text));
        };
        self.wcr_code(names, code, output.container)
    }

    fn product(&mut self, names: &mut GraphNames<'p>, properties: &Extra) -> Result<Product, Diagnostic> {
        Ok(Product {
            alpha: self.number(names, properties, "alpha", 1)?,
            beta: self.number(names, properties, "beta", 0)?,
            trans_a: is_true(properties.get("transA")),
            trans_b: is_true(properties.get("transB")),
        })
    }

    /// A number or an expression of symbols.
    fn number(
        &mut self,
        names: &mut GraphNames<'p>,
        properties: &Extra,
        key: &str,
        default: i64,
    ) -> Result<Factor, Diagnostic> {
        let Some(value) = properties.get(key).filter(|value| !value.is_null()) else {
            return Ok(Factor::Number(Scalar::I64(default)));
        };
        if let Some(number) = as_number(value) {
            return Ok(Factor::Number(number));
        }
        let Some(text) = value.as_str() else {
            return Err(Diagnostic::error("P0114", format!("property `{key}` is not a number")));
        };
        let grammar = Grammar::Typed;
        let expr = self.exprs.to_mut().parse(self.names.to_mut(), text, grammar)?;
        let mut sources = Vec::new();
        for name in self.exprs.free_symbols(expr) {
            sources.push((name, self.source(names, name)));
        }
        Ok(Factor::Expr(Box::new(GeneralSize { expr, sources: sources.into() })))
    }
}

fn string(properties: &Extra, key: &str, default: &str) -> Box<str> {
    properties.get(key).and_then(Json::as_str).unwrap_or(default).into()
}

/// An integer; `default` where the property is absent, and nothing where it is `None`.
fn integer(properties: &Extra, key: &str, default: Option<i64>) -> Option<i64> {
    match properties.get(key) {
        None => default,
        Some(value) => as_number(value).map(Scalar::as_i64),
    }
}

/// A number, where absent and `None` mean that there is none.
fn optional_number(properties: &Extra, key: &str) -> Option<Scalar> {
    properties.get(key).and_then(as_number)
}
