//! Order.
use super::{ExprId, ExprPool, Truth};
/// x
#[derive(Clone, Debug, Default)]
pub struct Assumptions;
/// x
#[derive(Clone, Copy, Debug)]
pub struct Interval;
impl ExprPool {
    /// Whether `a <= b` for all values of the symbols (assumptions declared in the pool included).
    pub fn at_most(&self, a: ExprId, b: ExprId) -> Truth {
        if a == b { Truth::Yes } else { Truth::Unknown }
    }
}
