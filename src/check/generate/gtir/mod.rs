//! Random typed GTIR programs over random meshes, with their arguments.
//!
//! | what | how |
//! |---|---|
//! | meshes | three Cartesian dimensions, or vertices and edges with levels: tables of random neighbours, with and without skip values |
//! | fields | arguments on any set of dimensions, `float64` most of the time, `float32` and `int32` now and then; inputs reach [`HALO`] points beyond what is computed |
//! | values | stencils of one to three fields, of one value or two, with shifts, lifts, neighbour sums, products and lists, composite shifts; scans up and down, with a domain or without, of one value or two; masks (`concat_where`); broadcasts; lets, functions, tuples, choices |
//! | statements | one to three, over all or part of the output, with bounds that are numbers, scalars or the output's own; choices between statements; temporaries; later ones read what earlier ones wrote |
//!
//! Reads are in bounds by construction: a value is made for a *reach*, how far beyond the written domain its readers look
//! per dimension, and shifts along a dimension add to the reach of what they read.

mod mesh;
mod statements;
mod stencil;
mod values;

use std::sync::Arc;

use crate::check::gtir_oracle;
use crate::diag::Result;
use crate::exec::gtir::GtirProgram;
use crate::exec::{Engine, Options, Outcome, Prepared, Settings};
use crate::front::gtir::{GtirArgs, text};
use crate::memory::{Arguments, Binding};
use crate::scalar::DType;

use super::Choices;
use mesh::{Extents, Loc, Mesh};

/// How far input fields reach beyond what is computed, in Cartesian dimensions and levels.
const HALO: i64 = 3;

/// A random program, and what makes its arguments.
#[derive(Clone, Debug)]
pub struct GeneratedGtir {
    /// The program in GTIR's printed form.
    pub text: String,
    mesh: Mesh,
    fields: Vec<Field>,
    scalars: Vec<(String, i64)>,
    seed: u64,
}

/// A field that values may read.
#[derive(Clone, PartialEq, Debug)]
struct Field {
    name: String,
    dtype: DType,
    loc: Loc,
    /// How far it reaches beyond what is computed.
    reach: Extents,
}

/// What programs look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GtirSettings {
    /// Masks and domains may leave nothing to compute.
    pub empty: bool,
}

impl Default for GtirSettings {
    fn default() -> Self {
        GtirSettings { empty: true }
    }
}

/// The generator with its state.
struct Generator<'g, 'b> {
    choices: &'g mut Choices<'b>,
    settings: GtirSettings,
    mesh: Mesh,
    /// Arguments, then what lets and functions bind around.
    fields: Vec<Field>,
    scalars: Vec<(String, i64)>,
    functions: String,
    counter: usize,
}

/// A random GTIR program.
pub fn generate_gtir(choices: &mut Choices<'_>, settings: GtirSettings) -> GeneratedGtir {
    let mesh = Mesh::random(choices);
    let mut generator = Generator {
        choices,
        settings,
        mesh,
        fields: Vec::new(),
        scalars: Vec::new(),
        functions: String::new(),
        counter: 0,
    };
    let text = generator.program();
    let Generator { choices, mesh, fields, scalars, .. } = generator;
    let seed = choices.below(1 << 16) as u64;
    GeneratedGtir { text, mesh, fields, scalars, seed }
}

impl Generator<'_, '_> {
    fn fresh(&mut self, stem: &str) -> String {
        self.counter += 1;
        format!("{stem}{}", self.counter)
    }

    fn dtype(&mut self) -> DType {
        [DType::F64, DType::F32, DType::I32][self.choices.weighted(&[8, 1, 2])]
    }
}

/// The ways to run a GTIR program: how one ended, and what it left in the arguments.
type Ended = Result<GtirArgs<'static>>;

impl GeneratedGtir {
    /// Its arguments, made anew.
    fn args(&self) -> GtirArgs<'static> {
        mesh::arguments(&self.mesh, &self.fields, &self.scalars, self.seed)
    }

    fn on_oracle(&self) -> Ended {
        let mut args = self.args();
        gtir_oracle::run(&text::read(&self.text)?, &mut args)?;
        Ok(args)
    }

    fn on_engine(&self, engine: Engine, any_sizes: bool) -> Ended {
        let mut args = self.args();
        let lowered = GtirProgram::new(&text::read(&self.text)?, &args)?;
        let settings = Settings { any_sizes, ..Settings::default() };
        let prepared = Prepared::with(Arc::new(lowered.program.clone()), engine, false, settings)?;
        let mut bound = lowered.bind(&mut args)?;
        let outcome = prepared.run(&mut bound, &Options::default());
        lowered.unbind(bound, &mut args);
        match outcome? {
            Outcome::Done(_) => Ok(args),
            Outcome::Trap(fault) => Err(fault.into()),
        }
    }

    /// Runs it on the oracle of the lowering, on the interpreter and as machine code; says how they differ. True if it
    /// ran at all: the oracle refuses a program that reads what is not there.
    ///
    /// # Errors
    /// How they differ.
    pub fn check(&self) -> std::result::Result<bool, String> {
        let expected = self.on_oracle();
        // Half of the programs as machine code for their sizes, half as machine code for any.
        let any_sizes = self.text.len() % 2 == 1;
        for engine in [Engine::Interp, Engine::Native] {
            let found = self.on_engine(engine, any_sizes);
            match (&expected, &found) {
                (Ok(expected), Ok(found)) => {
                    if let Some(how) = self.difference(&expected.memory, &found.memory) {
                        return Err(format!("{engine} and the oracle: {how}\n{}", self.text));
                    }
                }
                (Err(_), Err(_)) => {}
                (Ok(_), Err(error)) => {
                    return Err(format!("{engine}: {error}; the oracle runs it\n{}", self.text));
                }
                // What nobody looks at may be wrong: the lowering drops it, the oracle evaluates on demand as well.
                (Err(error), Ok(_)) => {
                    return Err(format!("the oracle: {error}; {engine} runs it\n{}", self.text));
                }
            }
        }
        Ok(expected.is_ok())
    }

    fn difference(&self, expected: &Arguments<'_>, found: &Arguments<'_>) -> Option<String> {
        for field in &self.fields {
            let view = |args: &Arguments<'_>| match args.get(&field.name) {
                Some(Binding::Array { buffer, .. }) => {
                    args.buffers.get(*buffer).map(|buffer| buffer.bytes().to_vec())
                }
                _ => None,
            };
            let (Some(expected), Some(found)) = (view(expected), view(found)) else {
                return Some(format!("{} is gone", field.name));
            };
            let item = field.dtype.bytes();
            for (at, (a, b)) in expected.chunks(item).zip(found.chunks(item)).enumerate() {
                let number = |bytes| crate::scalar::Scalar::from_le_bytes(field.dtype, bytes);
                if let (Some(a), Some(b)) = (number(a), number(b))
                    && !crate::check::side::same_bits(a, b)
                {
                    return Some(format!("{}, element {at}: {a:?} expected, {b:?} found", field.name));
                }
            }
        }
        None
    }
}
