//! What `diff`, `locate` and `reduce` have in common: a program with inputs, and two sides to run it on.

use std::path::PathBuf;

use clap::Args;

use crate::check::mutate::Mutant;
use crate::check::{Case, Side};
use crate::exec::bind::bind;
use crate::exec::npz::{self, FileArrays};
use crate::exec::{Engine, load};
use crate::ir::Program;
use crate::memory::Arguments;

use super::Usage;

/// A program, its inputs, and two sides.
#[derive(Args, Debug)]
pub struct SideArgs {
    /// The program file, or a case folder.
    program: PathBuf,
    /// Arguments by name, as numpy.savez writes them. A case folder brings its own.
    #[arg(long, value_name = "IN.npz")]
    inputs: Option<PathBuf>,
    /// The two engines; the first is taken for right.
    #[arg(long, value_name = "A,B", default_value = "interp,native")]
    sides: String,
    /// The same program after somebody's optimizer: the second side runs this instead.
    #[arg(long, value_name = "PROGRAM")]
    after: Option<PathBuf>,
    /// The second side is the interpreter after this rule of the optimizer; `all` for the whole pipeline.
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Plant a mistake in the second side, to see what these tools make of it: KIND or KIND@SITE.
    #[arg(long, value_name = "MISTAKE")]
    plant: Option<String>,
}

/// What the arguments say.
pub struct Sides {
    /// The program.
    pub program: Program,
    /// What the second side runs instead, if that is another file.
    pub after: Option<Program>,
    /// Bound inputs.
    pub args: Arguments<'static>,
    /// The two sides.
    pub sides: [Side; 2],
    /// The arguments as a person would repeat them.
    pub shown: String,
}

impl SideArgs {
    /// Reads everything.
    pub fn open(&self) -> anyhow::Result<Sides> {
        let (path, inputs) = if self.program.is_dir() {
            let case = Case::open(&self.program)?;
            let path = case.programs(false).into_iter().next().map(|program| program.path);
            let inputs = npz::read(&self.program.join("inputs.npz"))?;
            (path.unwrap_or_else(|| self.program.clone()), inputs)
        } else {
            (self.program.clone(), FileArrays::new())
        };
        let inputs = match &self.inputs {
            Some(path) => npz::read(path)?,
            None => inputs,
        };
        let program = load(&path)?.program;
        let args = bind(&program, inputs)?;
        let mut sides = self.two_sides()?;
        let mut shown = format!("--sides {}", self.sides);
        if let Some(mistake) = &self.plant {
            let mutant: Mutant = mistake.parse().map_err(Usage)?;
            sides = [Side::engine(Engine::Interp), Side::mutated(mutant)];
            shown = format!("--plant {mistake}");
        }
        if let Some(rule) = &self.rule {
            let only = Some(rule.as_str()).filter(|rule| *rule != "all");
            sides = [Side::engine(Engine::Interp), Side::after_rule(only)];
            shown = format!("--rule {rule}");
        }
        let after = match &self.after {
            Some(path) => Some(load(path)?.program),
            None => None,
        };
        Ok(Sides { program, after, args, sides, shown })
    }

    fn two_sides(&self) -> anyhow::Result<[Side; 2]> {
        let wrong = || Usage(format!("--sides {}: write two engines, such as interp,native", self.sides));
        let (left, right) = self.sides.split_once(',').ok_or_else(wrong)?;
        let parse = |text: &str| text.trim().parse::<Engine>().map_err(Usage);
        Ok([Side::engine(parse(left)?), Side::engine(parse(right)?)])
    }
}
