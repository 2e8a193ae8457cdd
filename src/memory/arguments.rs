//! The arguments of one call: named views of byte buffers.
//!
//! A buffer is owned (read from a file) or borrowed from the caller; a [`Binding`] says how a named
//! container lies in one. Two bindings of one buffer are aliases, which is a person's right. All engines
//! take [`Arguments`] and write results in place.

use indexmap::IndexMap;

use crate::entity::Arena;
use crate::entity_id;
use crate::scalar::{Scalar, Type};

entity_id! {
    /// A buffer of one [`Arguments`].
    BufferId, "buffer"
}

/// Bytes of one argument (or of several that alias).
#[derive(Debug)]
pub enum Buffer<'a> {
    /// Owned by the call.
    Owned(Vec<u8>),
    /// Borrowed from the caller, results are written in place.
    Borrowed(&'a mut [u8]),
}

impl Buffer<'_> {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Buffer::Owned(bytes) => bytes,
            Buffer::Borrowed(bytes) => bytes,
        }
    }

    /// The bytes for writing.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Buffer::Owned(bytes) => bytes,
            Buffer::Borrowed(bytes) => bytes,
        }
    }
}

/// How a named argument lies in memory.
#[derive(Clone, PartialEq, Debug)]
pub enum Binding {
    /// An array (0-d for a scalar that is passed by reference).
    Array {
        /// The buffer it lies in.
        buffer: BufferId,
        /// Byte offset of element 0.
        offset: usize,
        /// Element type as the caller has it.
        ty: Type,
        /// Extent per dimension.
        shape: Vec<usize>,
        /// Distance per dimension, in bytes.
        strides: Vec<isize>,
    },
    /// A scalar or symbol.
    Scalar(Scalar),
    /// An optional argument that was not given.
    Absent,
}

/// Named arguments with their memory.
#[derive(Debug, Default)]
pub struct Arguments<'a> {
    /// Memory.
    pub buffers: Arena<BufferId, Buffer<'a>>,
    /// What is where, by argument name, in the order given.
    pub bindings: IndexMap<String, Binding>,
}

impl<'a> Arguments<'a> {
    /// No arguments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row-major array that owns its bytes.
    pub fn insert_array(&mut self, name: &str, ty: Type, item_bytes: usize, shape: &[usize], bytes: Vec<u8>) {
        let buffer = self.buffers.push(Buffer::Owned(bytes));
        let mut stride = isize::try_from(item_bytes).unwrap_or(isize::MAX);
        let mut strides = vec![0; shape.len()];
        for (slot, &extent) in strides.iter_mut().zip(shape).rev() {
            *slot = stride;
            stride = stride.saturating_mul(isize::try_from(extent).unwrap_or(isize::MAX));
        }
        let binding = Binding::Array { buffer, offset: 0, ty, shape: shape.to_vec(), strides };
        self.bindings.insert(name.to_owned(), binding);
    }

    /// Adds a scalar or symbol value.
    pub fn insert_scalar(&mut self, name: &str, value: Scalar) {
        self.bindings.insert(name.to_owned(), Binding::Scalar(value));
    }

    /// The binding of a name.
    pub fn get(&self, name: &str) -> Option<&Binding> {
        self.bindings.get(name)
    }
}
