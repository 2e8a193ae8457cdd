//! Sizes of transients in terms of the symbols that a call brings.

use thiserror::Error;

use crate::symbolic::{CompiledExpr, EvalError};

/// How many bytes a transient takes: enough for its declared size and for the element farthest away.
#[derive(Clone, PartialEq, Debug)]
pub struct ByteCount {
    /// Bytes of an element.
    pub item: u64,
    /// Extent per dimension.
    pub shape: Box<[CompiledExpr]>,
    /// Distance per dimension, in elements.
    pub strides: Box<[CompiledExpr]>,
    /// Elements declared; `None`: the product of the shape.
    pub total: Option<CompiledExpr>,
    /// Elements skipped at the start.
    pub start: Option<CompiledExpr>,
}

/// Why a transient has no size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SizeError {
    /// An extent, stride or offset below zero.
    #[error("it is negative")]
    Negative,
    /// More bytes than there can be.
    #[error("it does not fit 64 bits")]
    Overflow,
    /// An expression without a value.
    #[error("it has no value: {0}")]
    Value(#[from] EvalError),
}

impl ByteCount {
    /// The number of bytes, where the value of symbol `n` is `slots[n]`.
    ///
    /// # Errors
    /// [`SizeError`].
    pub fn bytes(&self, slots: &[i64]) -> Result<u64, SizeError> {
        let value = |expr: &CompiledExpr| -> Result<u64, SizeError> {
            let value = expr.eval(slots, &mut |name, _| Err(EvalError::Unknown(name)))?;
            u64::try_from(value).map_err(|_| SizeError::Negative)
        };
        let mut product: u64 = 1;
        let mut farthest: u64 = 0;
        for (position, extent) in self.shape.iter().enumerate() {
            let extent = value(extent)?;
            let stride = self.strides.get(position).map_or(Ok(0), value)?;
            product = product.checked_mul(extent).ok_or(SizeError::Overflow)?;
            let reach = extent.saturating_sub(1).checked_mul(stride).ok_or(SizeError::Overflow)?;
            farthest = farthest.checked_add(reach).ok_or(SizeError::Overflow)?;
        }
        let start = self.start.as_ref().map_or(Ok(0), value)?;
        let reach = match product {
            0 => 0,
            _ => farthest.checked_add(1).and_then(|n| n.checked_add(start)).ok_or(SizeError::Overflow)?,
        };
        let declared = self.total.as_ref().map_or(Ok(product), value)?;
        let bytes = declared.max(reach).checked_mul(self.item).ok_or(SizeError::Overflow)?;
        if i64::try_from(bytes).is_ok() { Ok(bytes) } else { Err(SizeError::Overflow) }
    }

    /// The number of bytes, if no symbol matters.
    pub fn constant(&self) -> Option<u64> {
        let parts = self.shape.iter().chain(&self.strides).chain(&self.total).chain(&self.start);
        let mut parts = parts.map(CompiledExpr::as_constant);
        if parts.any(|value| value.is_none()) { None } else { self.bytes(&[]).ok() }
    }
}
