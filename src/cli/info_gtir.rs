//! The GTIR part of `pelton info`: parameters, and the connectivities that the program asks for.

use std::io::Write;

use indexmap::IndexSet;
use serde_json::{Value, json};

use crate::front::gtir::ast::{OffsetLabel, Stmt, Term, Type, TypeId};
use crate::front::gtir::{Dimension, Program};

use super::output::Output;

/// What a GTIR program says about itself.
pub(super) struct GtirInfo {
    params: Vec<(String, String)>,
    offsets: Vec<String>,
    functions: usize,
    statements: usize,
    terms: usize,
}

impl GtirInfo {
    pub(super) fn of(program: &Program) -> GtirInfo {
        let ty = |ty: Option<TypeId>| ty.map_or_else(|| "no type".to_owned(), |ty| type_text(program, ty));
        let offsets: IndexSet<&str> = (program.terms.values())
            .filter_map(|term| match term {
                Term::Offset(OffsetLabel::Name(name)) => Some(program.text(*name)),
                _ => None,
            })
            .collect();
        GtirInfo {
            params: program
                .params
                .iter()
                .map(|param| (program.text(param.name).to_owned(), ty(param.ty)))
                .collect(),
            offsets: offsets.into_iter().map(str::to_owned).collect(),
            functions: program.functions.len(),
            statements: count(&program.body),
            terms: program.terms.len(),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "params": self.params.iter().map(|(name, ty)| json!({"name": name, "type": ty})).collect::<Vec<_>>(),
            "offsets": self.offsets,
            "functions": self.functions,
            "statements": self.statements,
            "terms": self.terms,
        })
    }

    pub(super) fn write(&self, out: &mut Output) -> std::io::Result<()> {
        writeln!(
            out,
            "GTIR of {} terms, {} functions, {} statements",
            self.terms, self.functions, self.statements
        )?;
        for (name, ty) in &self.params {
            writeln!(out, "  {name}: {ty}")?;
        }
        if self.offsets.is_empty() {
            writeln!(out, "no connectivity is needed")
        } else {
            writeln!(out, "connectivities it needs: {}", self.offsets.join(", "))
        }
    }
}

fn count(statements: &[Stmt]) -> usize {
    let inner = |statement: &Stmt| match statement {
        Stmt::SetAt { .. } => 1,
        Stmt::If { then, otherwise, .. } => 1 + count(then) + count(otherwise),
    };
    statements.iter().map(inner).sum()
}

/// A type as people write it. Types nest a few levels.
fn type_text(program: &Program, ty: TypeId) -> String {
    let dim = |dim: &Dimension| format!("{} ({})", program.text(dim.name), dim.kind.name());
    match program.types.get(ty) {
        Some(Type::Scalar(dtype)) => dtype.name().to_owned(),
        Some(Type::Field { dims, element }) => {
            let dims: Vec<String> = dims.iter().map(dim).collect();
            format!("field of {} over [{}]", type_text(program, *element), dims.join(", "))
        }
        Some(Type::List { element, offset }) => {
            let over = offset.as_ref().map(|offset| format!(" per {}", dim(offset))).unwrap_or_default();
            format!("lists of {}{over}", type_text(program, *element))
        }
        Some(Type::Tuple(types)) => {
            let types: Vec<String> = types.iter().map(|&ty| type_text(program, ty)).collect();
            format!("({})", types.join(", "))
        }
        Some(Type::Text) => "text".to_owned(),
        Some(Type::Other(name)) => program.text(*name).to_owned(),
        None => "unknown".to_owned(),
    }
}
