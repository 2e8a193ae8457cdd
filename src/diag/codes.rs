//! The registry of diagnostic codes.

/// A code and what it means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code {
    /// For instance `P0012`.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// What it means, what usually causes it, and what to do.
    pub explanation: &'static str,
    /// The program is right, but asks for something that Pelton or the engine does not do.
    pub unsupported: bool,
}

/// The entry of a code.
pub fn lookup(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

/// Whether a code says that the program asks for something that is not there.
pub fn is_unsupported(code: &str) -> bool {
    lookup(code).is_some_and(|entry| entry.unsupported)
}

/// All codes in order.
pub const CODES: &[Code] = &[];
