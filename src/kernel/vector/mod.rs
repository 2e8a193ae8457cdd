//! Which loops may run several iterations at once, and how their values behave across iterations.
//!
//! A loop is looked at with its body: every value is [`Class::Uniform`] (the same in all iterations),
//! [`Class::Affine`] (changes by a fixed distance, as addresses do) or [`Class::Lanes`] (anything else). What this
//! module says holds for any machine; which operations exist as vector operations is for the back end to say.
//!
//! # Legal when
//! - the loop is parallel, or all its dependences are seen to be harmless; its body has no control flow but checks and loops whose ranges are uniform (a scan along
//!   a column); variables may carry values through these inner loops;
//! - or, where lanes can be left out one by one, branches that compute, load, store and check, and hand no value on;
//! - nothing but memory leaves an iteration: variables set in the body are read in the body only, behind the set;
//! - every store goes to a place of its own per iteration (an affine address that moves);
//! - what an iteration reads of a buffer that the loop writes is what it would read one iteration after the other: two
//!   accesses that a constant distance apart meet only in the order in which they stand. Distances that
//!   are no constants are left to the promise of the parallel loop;
//! - different buffers do not overlap. Arguments may: the caller of the code tells.
//!
//! A check that fails for any lane stops the program, as it would have stopped it in that lane's iteration; stores of
//! the iterations before it in the same group may be missing then.

mod classify;
mod dependence;
mod pairs;
mod reduce;

pub use classify::{Affine, Body, Class, Rules, Stride, Surroundings, classify};
pub use pairs::are_paired_stores;
pub use reduce::{Reduction, Total, reductions};

use std::fmt;

use super::ValueId;

/// Why something is not done, as a clause: "the loop is sequential".
pub type Reason = String;

/// What became of a loop.
#[derive(Clone, PartialEq, Debug)]
pub struct LoopReport {
    /// The loop, by its variable.
    pub variable: ValueId,
    /// Containers it stores to.
    pub writes: Vec<String>,
    /// How deep it is nested in other loops.
    pub depth: u32,
    /// What was decided.
    pub decision: Decision,
}

/// How a loop is compiled.
#[derive(Clone, PartialEq, Debug)]
pub enum Decision {
    /// Several iterations at once.
    Vector {
        /// Iterations per vector.
        lanes: u32,
        /// Vectors per turn of the loop.
        unroll: u32,
        /// Bits of a vector register.
        bits: u32,
        /// Whether two versions exist, chosen when the program runs (arguments that overlap, strides).
        conditional: bool,
        /// Why the bits are not those asked for.
        instead: Option<Reason>,
    },
    /// A loop around vector loops, in the same piece of code.
    Around,
    /// One iteration after the other.
    Scalar(Reason),
}

impl fmt::Display for LoopReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = "  ".repeat(self.depth as usize);
        write!(f, "{indent}loop {} writing {}: {}", self.variable, self.writes.join(", "), self.decision)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Vector { lanes, unroll, bits, conditional, instead } => {
                write!(f, "{lanes} lanes of {bits} bits, unrolled {unroll} times")?;
                if *conditional {
                    f.write_str(", if nothing overlaps at run time")?;
                }
                match instead {
                    Some(reason) => write!(f, " (not wider: {reason})"),
                    None => Ok(()),
                }
            }
            Decision::Around => f.write_str("around vector loops"),
            Decision::Scalar(reason) => write!(f, "not vectorised: {reason}"),
        }
    }
}
