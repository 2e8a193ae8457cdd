//! Evaluation of expressions that compute with floating-point or complex numbers.

use super::{Env, EvalError, ExprId, ExprPool};
use crate::scalar::Scalar;

impl ExprPool {
    /// The value.
    ///
    /// # Errors
    /// As [`eval`](ExprPool::eval), except that any number will do.
    pub fn eval_value(&self, _id: ExprId, _env: &dyn Env) -> Result<Scalar, EvalError> {
        Err(EvalError::NotAnInteger)
    }
}
