//! What `diff`, `locate` and `reduce` have in common: a program with inputs, and two sides to run it on.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::check::cutout::random_inputs;
use crate::check::generate::Choices;
use crate::check::gtir_oracle;
use crate::check::locate::Half;
use crate::check::mutate::Mutant;
use crate::check::recorded::Recorded;
use crate::check::side::copied;
use crate::check::{Case, Side, Tolerance};
use crate::diag::{Diagnostic, Result};
use crate::exec::bind::{bind, unbind};
use crate::exec::gtir::{GtirProgram, describe};
use crate::exec::load::{description_of, is_gtir, read_bytes};
use crate::exec::npz::{self, FileArrays};
use crate::exec::{Engine, Mode, load};
use crate::front::gtir;
use crate::ir::Program;
use crate::memory::{Arguments, Binding};
use crate::scalar::Scalar;

use super::Usage;
use super::run::set_values;

/// A program, its inputs, and two sides.
#[derive(Args, Debug)]
pub struct SideArgs {
    /// The program file, or a case folder.
    program: PathBuf,
    /// Arguments by name, as numpy.savez writes them. A case folder brings its own; without any they are random.
    #[arg(long, value_name = "IN.npz")]
    inputs: Option<PathBuf>,
    /// A number for a scalar argument or a symbol; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    sets: Vec<String>,
    /// What random arguments are drawn from.
    #[arg(long, value_name = "K", default_value_t = 0)]
    seed: u64,
    /// The two sides, the first of which is taken for right: interp, native, gpu, or gtir-oracle as the first for GTIR
    /// programs. `strict` and `fast` are native code in that mode; `gpu:fast` is an engine in a mode.
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
    /// Relative difference allowed.
    #[arg(long)]
    rtol: Option<f64>,
    /// Absolute difference allowed.
    #[arg(long)]
    atol: Option<f64>,
}

/// What the arguments say.
pub struct Sides {
    /// The program.
    pub program: Program,
    /// What the second side runs: another file, or what its rewrite makes of the program.
    right: Program,
    /// Bound inputs.
    pub args: Arguments<'static>,
    /// The two sides.
    pub sides: [Side; 2],
    /// Whether both sides run whatever the program becomes.
    pub can_follow: bool,
    /// What takes the place of the first side, and what that is called.
    pub recorded: Option<(String, Vec<Recorded>)>,
    /// The difference that is allowed, if any is.
    pub tolerance: Option<Tolerance>,
    /// The arguments as a person would repeat them.
    pub shown: String,
}

impl Sides {
    /// What the first side runs.
    pub fn left(&self) -> Result<Half> {
        Half::of(&self.sides[0], &self.program, &self.args)
    }

    /// What the second side runs.
    pub fn right(&self) -> Result<Half> {
        Half::of(&self.sides[1].without_rewrite(), &self.right, &self.args)
    }
}

/// A program that can be called.
struct Callable {
    program: Program,
    args: Arguments<'static>,
    /// `case.json`, or null.
    description: Value,
    /// What the oracle of GTIR makes of it, if that was asked for.
    oracle: Option<FileArrays>,
}

impl SideArgs {
    /// Reads everything. `recording` takes the place of the first side.
    pub fn open(&self, recording: Option<&Path>) -> anyhow::Result<Sides> {
        let (path, inputs) = if self.program.is_dir() {
            let case = Case::open(&self.program)?;
            let path = case.programs(false).into_iter().next().map(|program| program.path);
            (path.unwrap_or_else(|| self.program.clone()), Some(self.program.join("inputs.npz")))
        } else {
            (self.program.clone(), None)
        };
        let mut inputs = match self.inputs.as_ref().or(inputs.as_ref()) {
            Some(path) => Some(npz::read(path)?),
            None => None,
        };
        if let Some(arrays) = &mut inputs {
            set_values(arrays, &self.sets)?;
        }
        let (mut sides, by_oracle) = self.two_sides()?;
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
        for (flag, value) in [("rtol", self.rtol), ("atol", self.atol)] {
            shown.extend(value.map(|value| format!(" --{flag} {value}")));
        }
        let callable = match is_gtir(&path)? {
            true => open_gtir(&path, inputs.unwrap_or_default(), by_oracle)?,
            false if by_oracle => {
                return Err(Usage("gtir-oracle runs GTIR programs, and this is none".to_owned()).into());
            }
            false => self.open_graph(&path, inputs)?,
        };
        let after = match &self.after {
            Some(path) => Some(load(path)?.program),
            None => None,
        };
        let Callable { program, args, description, oracle } = callable;
        let other = after.as_ref().unwrap_or(&program);
        let changed = sides[1].changed(other)?;
        if sides[1].rewrite.is_some() && changed.is_none() {
            eprintln!("{}: there is nothing to change in this program", sides[1].name);
        }
        let right = changed.unwrap_or_else(|| other.clone());
        let recorded = match (recording, oracle) {
            (Some(path), _) => {
                let recorded = Recorded::all(npz::read(path)?, &description);
                Some((
                    path.display().to_string(),
                    recorded.map_err(|error| error.inside(path.display().to_string()))?,
                ))
            }
            (None, Some(arrays)) => {
                Some((Engine::GtirOracle.name().to_owned(), Recorded::all(arrays, &Value::Null)?))
            }
            (None, None) => None,
        };
        let can_follow = after.is_none() && recorded.is_none();
        Ok(Sides { program, right, args, sides, can_follow, recorded, tolerance: self.tolerance(), shown })
    }

    fn open_graph(&self, path: &Path, inputs: Option<FileArrays>) -> anyhow::Result<Callable> {
        let program = load(path)?.program;
        let args = match inputs {
            Some(inputs) => bind(&program, inputs)?,
            None => self.random(&program)?,
        };
        Ok(Callable { program, args, description: Value::Null, oracle: None })
    }

    /// Arguments for a program that nobody has any for.
    fn random(&self, program: &Program) -> anyhow::Result<Arguments<'static>> {
        let mut given = FileArrays::new();
        set_values(&mut given, &self.sets)?;
        let known = |name: &str| {
            let array = given.get(name)?;
            match array.item {
                npz::Item::Number(dtype) => Scalar::from_le_bytes(dtype, &array.bytes),
                _ => None,
            }
        };
        match random_inputs(program, &known, &mut Choices::from_seed(self.seed)) {
            Some(args) => {
                eprintln!("no inputs were given: they are drawn from seed {}", self.seed);
                Ok(args)
            }
            // Says what is missing.
            None => Ok(bind(program, given)?),
        }
    }

    fn tolerance(&self) -> Option<Tolerance> {
        match (self.rtol, self.atol) {
            (None, None) => None,
            (relative, absolute) => {
                Some(Tolerance { relative: relative.unwrap_or(0.0), absolute: absolute.unwrap_or(0.0) })
            }
        }
    }

    /// The two sides, and whether the oracle of GTIR stands in for the first.
    fn two_sides(&self) -> anyhow::Result<([Side; 2], bool)> {
        let wrong = || Usage(format!("--sides {}: write two engines, such as interp,native", self.sides));
        let (left, right) = self.sides.split_once(',').ok_or_else(wrong)?;
        let sides = [side(left.trim())?, side(right.trim())?];
        if sides[1].engine == Engine::GtirOracle {
            let problem = format!("--sides {}: gtir-oracle can only be the first side", self.sides);
            return Err(Usage(problem).into());
        }
        let by_oracle = sides[0].engine == Engine::GtirOracle;
        Ok((sides, by_oracle))
    }
}

/// `ENGINE`, `ENGINE:MODE`, or a mode of native code.
fn side(text: &str) -> std::result::Result<Side, Usage> {
    let (engine, mode) = match (text.parse::<Mode>(), text.split_once(':')) {
        (Ok(mode), _) => (Engine::Native, mode),
        (_, Some((engine, mode))) => (engine.parse().map_err(Usage)?, mode.parse().map_err(Usage)?),
        (_, None) => (text.parse().map_err(Usage)?, Mode::Strict),
    };
    if mode == Mode::Fast && !matches!(engine, Engine::Native | Engine::Gpu) {
        return Err(Usage(format!("{text}: only native and gpu have a fast mode")));
    }
    Ok(Side { name: text.to_owned(), mode, ..Side::engine(engine) })
}

/// A GTIR program, lowered for the arguments that its case describes.
fn open_gtir(path: &Path, inputs: FileArrays, by_oracle: bool) -> anyhow::Result<Callable> {
    let inside = |error: Diagnostic| error.inside(path.display().to_string());
    let gtir = gtir::read(&read_bytes(path)?).map_err(inside)?;
    let description = description_of(path, None)?;
    let mut call = describe::arguments(&description, &inputs, Some(&gtir))?;
    let lowered = GtirProgram::new(&gtir, &call).map_err(inside)?;
    let bound = lowered.bind(&mut call)?;
    let args = copied(&bound);
    lowered.unbind(bound, &mut call);
    let oracle = match by_oracle {
        true => {
            gtir_oracle::run(&gtir, &mut call).map_err(inside)?;
            let bound = lowered.bind(&mut call)?;
            let written =
                |name: &str| lowered.writes(name) && matches!(bound.get(name), Some(Binding::Array { .. }));
            Some(unbind(&lowered.program, &bound, &written))
        }
        false => None,
    };
    Ok(Callable { program: lowered.program, args, description, oracle })
}
