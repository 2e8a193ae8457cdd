//! Scratch buffers that get a place in a slab before the kernel runs.
//!
//! The last pass over a kernel, after everything that moves loads and stores: it walks the statements along a
//! [`Timeline`](crate::analysis::Timeline) and gives each scratch buffer the span in which some statement may reach it.
//! A buffer whose size follows from the parameters alone becomes [`BufferKind::Planned`]; its [`Stmt::Alloc`](super::Stmt::Alloc) then
//! takes no memory, but an address that the caller has worked out. Buffers of parallel loops (each thread needs its
//! own), small ones (the stack has room) and those sized while the kernel runs stay what they are.
//!
//! This does not look at the graph the kernel came from. It sees what the machine code will do, fused loops
//! included, and so it is right whatever other passes did.

mod size;
mod walk;

use crate::analysis::liveness::Span;
use crate::memory::plan::Item;

use super::{BufferKind, Kernel, ValueId};
use size::SizeCode;

/// Buffers of at most so many bytes live on the stack, if their size is a literal.
pub const STACK_EACH: i64 = 4096;

/// The planned buffers of a kernel; the n-th is [`BufferKind::Planned`]`(n)`.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// Names and spans.
    pub buffers: Vec<PlannedBuffer>,
    sizes: SizeCode,
    /// Positions of the parameters that sizes depend on.
    relevant: Vec<usize>,
}

/// A buffer with a place in the slab.
#[derive(Clone, Debug)]
pub struct PlannedBuffer {
    /// Its container.
    pub name: String,
    /// When some statement may reach it, in moments of the kernel.
    pub span: Span,
    /// Its sizes; with several allocations, the largest counts.
    bytes: Vec<ValueId>,
}

impl Planned {
    /// Gives places to the scratch buffers of a kernel.
    pub fn of(kernel: &mut Kernel) -> Planned {
        let walk::Found { scratch: found, definitions } = walk::walk(kernel);
        let mut sizes = SizeCode::default();
        let mut buffers = Vec::new();
        for (buffer, scratch) in found {
            let Some(span) = scratch.span.filter(|_| !scratch.private) else { continue };
            let literal = |&bytes: &ValueId| definitions.get(&bytes).and_then(size::Definition::literal);
            let small = scratch.bytes.iter().all(|bytes| literal(bytes).is_some_and(|n| n <= STACK_EACH));
            if small || !scratch.bytes.iter().all(|&bytes| sizes.add(bytes, &definitions)) {
                continue;
            }
            let place = buffers.len() as u32;
            let Some(declaration) = kernel.buffers.get_mut(buffer) else { continue };
            declaration.kind = BufferKind::Planned(place);
            buffers.push(PlannedBuffer { name: declaration.name.clone(), span, bytes: scratch.bytes });
        }
        sizes.parameters = kernel.parameters.iter().map(|parameter| parameter.value).collect();
        sizes.types = sizes.steps.iter().map(|(value, _)| kernel.values[*value]).collect();
        sizes.parameter_types = sizes.parameters.iter().map(|&value| kernel.values[value]).collect();
        let used = |value: &ValueId| sizes.used.contains(value);
        let relevant = (0..sizes.parameters.len()).filter(|&at| used(&sizes.parameters[at])).collect();
        Planned { buffers, sizes, relevant }
    }

    /// Whether buffers have the same sizes for both, as far as one can see without computing them.
    pub fn same_sizes(&self, parameters: &[u64], others: &[u64]) -> bool {
        parameters.len() == others.len()
            && self.relevant.iter().all(|&at| parameters.get(at) == others.get(at))
    }

    /// The items to plan, for parameters as literals' bits. A size that is negative or has no value counts as none:
    /// the kernel finds out when it gets there.
    pub fn items(&self, parameters: &[u64]) -> Vec<Item> {
        let values = self.sizes.run(parameters);
        let size =
            |value: &ValueId| values.get(value).and_then(|&bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        self.buffers
            .iter()
            .map(|buffer| Item::new(buffer.span, buffer.bytes.iter().map(size).max().unwrap_or(0)))
            .collect()
    }
}

/// Statements of a kernel that allocate one buffer.
#[derive(Clone, Debug, Default)]
struct Scratch {
    span: Option<Span>,
    private: bool,
    bytes: Vec<ValueId>,
}
