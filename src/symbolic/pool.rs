//! The hash-consing pool.

use crate::diag::Diagnostic;
use crate::entity::{Name, Names};
use crate::entity_id;

use super::{Env, EvalError, Grammar, Truth};

entity_id! {
    /// A canonical expression of one [`ExprPool`]; equal ids mean equal expressions.
    ExprId, "expr"
}

/// The expressions of one program.
#[derive(Clone, Debug, Default)]
pub struct ExprPool {}

#[expect(missing_docs, unused_variables, reason = "being written")]
impl ExprPool {
    pub fn int(&mut self, value: i64) -> ExprId {
        todo!()
    }
    pub fn symbol(&mut self, name: Name) -> ExprId {
        todo!()
    }
    pub fn add(&mut self, a: ExprId, b: ExprId) -> ExprId {
        todo!()
    }
    pub fn sub(&mut self, a: ExprId, b: ExprId) -> ExprId {
        todo!()
    }
    pub fn mul(&mut self, a: ExprId, b: ExprId) -> ExprId {
        todo!()
    }
    pub fn floor_div(&mut self, a: ExprId, b: ExprId) -> ExprId {
        todo!()
    }
    pub fn ceil_div(&mut self, a: ExprId, b: ExprId) -> ExprId {
        todo!()
    }
    pub fn min(&mut self, a: ExprId, b: ExprId) -> ExprId {
        todo!()
    }
    pub fn max(&mut self, a: ExprId, b: ExprId) -> ExprId {
        todo!()
    }
    /// The literal behind an expression that is one.
    pub fn as_int(&self, id: ExprId) -> Option<i64> {
        todo!()
    }
    /// The symbol behind an expression that is nothing but one.
    pub fn as_symbol(&self, id: ExprId) -> Option<Name> {
        todo!()
    }
    pub fn parse(&mut self, names: &mut Names, text: &str, grammar: Grammar) -> Result<ExprId, Diagnostic> {
        todo!()
    }
    /// Text in the given grammar that parses back to the same id.
    pub fn print(&self, names: &Names, id: ExprId, grammar: Grammar) -> String {
        todo!()
    }
    /// Symbols it reads, ascending, without duplicates; containers read by subscripts included.
    pub fn free_symbols(&self, id: ExprId) -> Vec<Name> {
        todo!()
    }
    /// The expression with symbols replaced simultaneously.
    pub fn substitute(&mut self, id: ExprId, replace: &dyn Fn(Name) -> Option<ExprId>) -> ExprId {
        todo!()
    }
    pub fn eval(&self, id: ExprId, env: &dyn Env) -> Result<i64, EvalError> {
        todo!()
    }
    /// Whether `a <= b` for all values of the symbols (assumptions declared in the pool included).
    pub fn at_most(&self, a: ExprId, b: ExprId) -> Truth {
        todo!()
    }
}
