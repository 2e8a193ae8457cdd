//! Library nodes.

use crate::ir::{Library, NodeId};

use super::dataflow::StateContext;
use super::{Lowerer, Lowering};

impl<'p> Lowerer<'p> {
    pub fn library(&mut self, _cx: &StateContext<'p>, _id: NodeId, library: &'p Library) -> Lowering<()> {
        self.unsupported(format!("the library node {}", library.class()))
    }
}
