//! Faults of a program, as values.

use std::fmt;

use crate::diag::Diagnostic;

/// What went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// An integer division or remainder by zero.
    DivisionByZero,
    /// A pop from a stream that holds nothing.
    EmptyStream,
    /// An access outside its container (checked mode) or outside the allocation (always).
    OutOfBounds,
    /// A value that nobody wrote reached an output, a condition or an index.
    Undefined,
    /// Two iterations of a parallel map touch one element, at least one writes, without conflict resolution.
    Race,
    /// An index or size does not fit 64 bits, or has no integer value.
    IndexOverflow,
    /// A size below zero.
    NegativeSize,
    /// A map step that is zero or negative.
    BadStep,
    /// The step limit was reached.
    Fuel,
    /// A container was used before it had memory: an unset reference, an absent optional argument.
    Unbound,
    /// More memory than there is.
    OutOfMemory,
    /// An operation of a library node cannot be carried out (singular matrix, shapes that do not fit).
    Library,
    /// The arena gave bytes of a live transient to another one: a defect of Pelton.
    Overwritten,
}

impl FaultKind {
    /// The diagnostic code.
    pub const fn code(self) -> &'static str {
        match self {
            FaultKind::DivisionByZero => "P0501",
            FaultKind::OutOfBounds => "P0502",
            FaultKind::Undefined => "P0503",
            FaultKind::Race => "P0504",
            FaultKind::IndexOverflow => "P0505",
            FaultKind::NegativeSize => "P0506",
            FaultKind::BadStep => "P0507",
            FaultKind::Fuel => "P0508",
            FaultKind::Unbound => "P0509",
            FaultKind::OutOfMemory => "P0510",
            FaultKind::Library => "P0511",
            FaultKind::EmptyStream => "P0512",
            FaultKind::Overwritten => "P0519",
        }
    }
}

/// A fault with its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
    /// One sentence with the particulars: container, memlet, index, extent.
    pub message: String,
    /// From the outside in: graph, state, node.
    pub place: Vec<String>,
    /// The index concerned, if there is one.
    pub index: Vec<i64>,
}

impl Fault {
    /// A fault without a place yet.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Box<Fault> {
        Box::new(Fault { kind, message: message.into(), place: Vec::new(), index: Vec::new() })
    }

    /// With the index concerned.
    #[must_use]
    pub fn with_index(mut self: Box<Self>, index: &[i64]) -> Box<Fault> {
        self.index = index.to_vec();
        self
    }

    /// Adds a place outside all places so far.
    #[must_use]
    pub fn inside(mut self: Box<Self>, place: impl Into<String>) -> Box<Fault> {
        self.place.insert(0, place.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Diagnostic::from(self))
    }
}

impl From<&Fault> for Diagnostic {
    fn from(fault: &Fault) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(fault.kind.code(), fault.message.clone());
        diagnostic.place.clone_from(&fault.place);
        if !fault.index.is_empty() {
            diagnostic.notes.push(format!("index {:?}", fault.index));
        }
        diagnostic
    }
}

impl From<Fault> for Diagnostic {
    fn from(fault: Fault) -> Diagnostic {
        Diagnostic::from(&fault)
    }
}
