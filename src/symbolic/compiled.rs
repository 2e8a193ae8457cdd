//! x
/// x
#[derive(Clone, Debug)]
pub struct CompiledExpr;
