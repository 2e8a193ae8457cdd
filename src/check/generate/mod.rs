//! Random programs that are valid and whose runs mean something.
//!
//! There is one generator, for fuzzing runs ([`Choices::from_seed`]), for coverage-guided fuzzers and property tests
//! ([`Choices::from_bytes`], and `arbitrary::Arbitrary` of [`Generated`] and [`GeneratedGtir`]). It writes `.pel` text, so
//! whatever it makes can be read, saved and edited; inputs come with it.
//!
//! # What it covers
//!
//! | what | how |
//! |---|---|
//! | containers | 1 to 4 argument arrays of rank 0 to 3, transients as they are needed (a few persistent), constants, index tables, row-major, column-major, padded and shifted layouts |
//! | element types | `f64` half of the time, then `f32 i64 i32`, now and then `f16 bf16 i16 i8 u8 u16 u32 u64 bool c64 c128` |
//! | sizes | symbols with values from 1 to 9, literals, `N + 1`, `2*N` |
//! | control flow | states, `for` (up, down, strided, inverted), `while`, `if`/`elif`/`else`, `break`, `continue`, `return`, symbol assignments, unstructured branches |
//! | dataflow | maps of 1 to 3 parameters (parallel, sequential, strided, triangular, nested, with a range that is read from memory), tasklets of one and of several statements, copies, conflict resolution by sum, product, minimum, maximum and by an odd lambda |
//! | subsets | offsets (halos), permutations, reversals, single elements, strides, windows, gathers and scatters through index tables |
//! | nodes | nested graphs (outside and inside maps), library nodes (products, contractions, reductions, array functions, solvers, spectra), streams, consume scopes (by element and in chunks, that push, that end early), views, references |
//! | patterns | ranges that nearly agree, arrays in parts, references that are set once, reductions of what a map computes, matrices along their columns, branches on one condition and its opposite |
//! | code | arithmetic, comparison, conditional expressions, math functions, integer and bit operations, casts, local variables, branches and loops inside tasklets |
//!
//! # What it avoids
//!
//! Hazards, by construction: an index is in range for every size; integers are divided by literals only; a
//! container is read only where it has been written before; iterations of a parallel map write different
//! elements or resolve conflicts; a map's ranges shrink to what its reads allow. So a run ends without a fault and
//! its bits are defined.
//!
//! Weights favour chains of maps over the same range, because that is where transformations fire.

mod choices;
mod code;
mod control;
mod coverage;
mod dataflow;
mod gtir;
mod inputs;
mod libraries;
mod parts;
mod patterns;
mod scope;
mod target;
mod templates;

pub use choices::Choices;
pub use coverage::Coverage;
pub use gtir::{GeneratedGtir, GtirSettings, generate_gtir};

use arbitrary::{Arbitrary, Unstructured};

use crate::diag::{Diagnostic, Result};
use crate::exec::Format;
use crate::exec::load::finish;
use crate::exec::npz::FileArrays;
use crate::front::pel;
use crate::ir::Program;
use crate::scalar::lower::lower_program;
use crate::scalar::{DType, Scalar};

use scope::Generator;

/// How large and how odd programs become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Statements at most; each is one to a few nodes.
    pub statements: usize,
    /// Percentage of containers that are not `f64`.
    pub odd_types: u32,
    /// Streams, consume scopes, views, references, nested graphs and library nodes occur.
    pub all_nodes: bool,
    /// Loops, branches and assignments occur.
    pub control_flow: bool,
    /// How often statements occur together that transformations look for, as a weight; 20 is that of a state of dataflow.
    pub patterns: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { statements: 6, odd_types: 50, all_nodes: true, control_flow: true, patterns: 1 }
    }
}

/// A random program with its inputs.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The program as text.
    pub text: String,
    /// All arguments: arrays, scalars and symbols.
    pub inputs: FileArrays,
}

impl Generated {
    /// The program, code lowered, for whoever asks the validator only if something goes wrong.
    ///
    /// # Errors
    /// As [`Generated::program`], as far as reading and lowering say.
    pub fn lowered(&self) -> Result<Program> {
        let mut program = pel::parse(&self.text)?;
        match lower_program(&mut program).into_iter().find(Diagnostic::is_error) {
            Some(error) => Err(error),
            None => Ok(program),
        }
    }

    /// The program, code lowered.
    ///
    /// # Errors
    /// What makes the program invalid. The generator means to make valid programs only, so this is a defect in it
    /// or in the reader, lowering or validator.
    pub fn program(&self) -> Result<Program> {
        let loaded = finish(pel::parse(&self.text)?, Format::Pel, Vec::new());
        let error = loaded.errors().next().cloned();
        error.map_or(Ok(loaded.program), Err)
    }
}

/// What bytes drive; all of them are taken.
impl<'a> Arbitrary<'a> for Generated {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Generated> {
        let bytes = bytes.bytes(bytes.len())?;
        Ok(generate(&mut Choices::from_bytes(bytes), &Settings::default()))
    }
}

/// What bytes drive; all of them are taken.
impl<'a> Arbitrary<'a> for GeneratedGtir {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<GeneratedGtir> {
        let bytes = bytes.bytes(bytes.len())?;
        Ok(generate_gtir(&mut Choices::from_bytes(bytes), GtirSettings::default()))
    }
}

/// A number of moderate size, exact in the smallest types most of the time.
pub(in crate::check) fn random_number(choices: &mut Choices<'_>, dtype: DType) -> Scalar {
    inputs::number(choices, dtype, false)
}

/// A random program.
pub fn generate(choices: &mut Choices<'_>, settings: &Settings) -> Generated {
    Generator::new(choices, settings).run()
}
