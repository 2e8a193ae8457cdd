//! `pelton run`: runs a program once.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use indexmap::IndexSet;
use serde_json::{Value, json};

use crate::back::gpu::DeviceMemory;
use crate::diag::Diagnostic;
use crate::exec::bind::{bind, unbind};
use crate::exec::engine::is_observed;
use crate::exec::load::is_gtir;
use crate::exec::npz::{self, FileArray, FileArrays, Item};
use crate::exec::{Engine, Options, Outcome, Prepared, Settings, Stats, load};
use crate::ir::{NodeKind, Program};
use crate::memory::{Arguments, Binding, View};
use crate::scalar::{DType, Scalar};

use super::memory::MemoryArgs;
use super::native::NativeArgs;
use super::output::Output;
use super::picture;
use super::progress::spinner;
use super::summary::Summary;
use super::{TextFormat, Usage, Verdict, engine, run_gtir};

/// Run a program once.
///
/// Arguments come by name from files and from the command line. Symbols that the shapes of arrays tell need
/// not be given, and arrays that the program returns are allocated.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton run examples/hdiff/program.sdfgz --inputs examples/hdiff/inputs.npz
  pelton run program.sdfgz --arg A=a.npy --set N=100 --output out.npz
  pelton run program.sdfgz --inputs in.npz --checked --format json
  pelton run program.gtir.json.gz --inputs in.npz --case case.json

A GTIR program's fields have origins, and its offsets connectivities: case.json describes them, as in a case
folder. What it leaves out, or all of it, follows from the program's parameters: fields start at 0. The table of
connectivity X is the array offset:X; part 1 of a tuple a is a_1.

The output file is written only if the run succeeded.")]
pub struct RunArgs {
    /// The program file: .sdfg, .sdfgz, .gtir.json(.gz), .gtir.txt or .pel, told apart by content.
    pub(super) program: PathBuf,
    /// What describes the arguments of a GTIR program; the case.json beside it by default.
    #[arg(long, value_name = "CASE.json")]
    pub(super) case: Option<PathBuf>,
    /// Arguments by name, as numpy.savez writes them.
    #[arg(long, value_name = "IN.npz")]
    inputs: Option<PathBuf>,
    /// One array argument from a .npy file.
    #[arg(long = "arg", value_name = "NAME=FILE.npy")]
    args: Vec<String>,
    /// A scalar or symbol.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    sets: Vec<String>,
    /// Where the arrays go after the run.
    #[arg(long, value_name = "OUT.npz")]
    pub(super) output: Option<PathBuf>,
    /// Engine to run on: auto, interp, native, gpu or gtir-oracle.
    #[arg(long, default_value = "auto", value_parser = engine, value_name = "ENGINE")]
    pub(super) engine: Engine,
    #[command(flatten)]
    pub(super) memory: MemoryArgs,
    #[command(flatten)]
    native: NativeArgs,
    /// Print the program as the native engine sees it, instead of running it.
    #[arg(long, value_enum, value_name = "FORM")]
    pub(super) dump: Option<Form>,
    /// Also catch undefined values, races and accesses out of bounds. Such runs are the interpreter's.
    #[arg(long)]
    pub(super) checked: bool,
    /// Steps (tasklets, states, map points) after which the run is stopped.
    #[arg(long, value_name = "STEPS")]
    pub(super) fuel: Option<u64>,
    /// Refuse to run if transients take more bytes than this at once; the diagnostic says which.
    #[arg(long, value_name = "BYTES")]
    pub(super) memory_limit: Option<u64>,
    /// Say how long loading, preparing and running took, and which engine ran; with --engine gpu also how long the
    /// launches of each shader took by the device's clock, one by one.
    #[arg(long)]
    time: bool,
    /// How the summary is written.
    #[arg(long, value_enum, default_value = "text")]
    format: TextFormat,
}

/// What a compiled program can be looked at as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Form {
    /// The loop program.
    Kernel,
    /// Cranelift's intermediate form.
    Clif,
    /// Machine code.
    Asm,
    /// The shaders of the maps that run on the GPU; with --engine gpu.
    Wgsl,
}

/// Wall times of the steps. What is made ready in other ways than by machine code counts as compilation.
#[derive(Default)]
pub(super) struct Times {
    pub(super) load: Duration,
    pub(super) optimize: Duration,
    pub(super) lower: Duration,
    pub(super) compile: Duration,
    pub(super) run: Duration,
}

impl Times {
    /// What was lowered and compiled is no part of what it took to make the program ready, nor of its run if the call did it.
    pub(super) fn take_apart(&mut self, prepared: &Prepared, ready: Option<(Duration, Duration)>) {
        let Some((lower, compile)) = prepared.times() else {
            self.compile = std::mem::take(&mut self.optimize);
            return;
        };
        let ready = ready.map_or(Duration::ZERO, |(lower, compile)| lower + compile);
        (self.lower, self.compile) = (lower, compile);
        self.optimize = self.optimize.saturating_sub(ready);
        self.run = self.run.saturating_sub((lower + compile).saturating_sub(ready));
    }
}

/// Shaders whose times are listed, the slowest first.
const MOST_LAUNCHES: usize = 20;

/// What there is to say about a run.
pub(super) struct Ran<'a> {
    /// The engine that ran.
    pub(super) engine: Engine,
    /// Why it did.
    pub(super) why: &'a str,
    pub(super) stats: &'a Stats,
    pub(super) times: &'a Times,
    /// Arrays that were written.
    pub(super) results: &'a [(String, View<'a>)],
}

impl RunArgs {
    /// How the program is made ready.
    pub(super) fn settings(&self) -> Settings {
        Settings { keep_text: self.dump.is_some(), measured: self.time, ..self.native.settings() }
    }
}

/// Runs the subcommand.
pub fn run(args: &RunArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let arrays = gather(args)?;
    if is_gtir(&args.program)? {
        return run_gtir::run(args, &arrays, out);
    }
    let mut times = Times::default();
    let start = Instant::now();
    let program = load(&args.program)?.program;
    times.load = start.elapsed();
    let options = Options {
        checked: args.checked,
        fuel: args.fuel,
        memory: args.memory.options(),
        ..Options::default()
    };
    let program = Arc::new(program);
    let start = Instant::now();
    let prepared = Prepared::with(Arc::clone(&program), args.engine, is_observed(&options), args.settings())?;
    times.optimize = start.elapsed();
    let ready = prepared.times();
    if let Some(form) = args.dump {
        return show(&prepared, form, out);
    }
    let mut bound = bind(&program, arrays)?;
    if let Some(limit) = args.memory_limit {
        let plan = super::plan::plan_for(&program, &bound)?;
        super::plan::refuse_above(&plan, limit)
            .map_err(|error| error.inside(args.program.display().to_string()))?;
    }
    let spinner = spinner(&args.program.display().to_string());
    let start = Instant::now();
    let outcome = prepared.run(&mut bound, &options);
    times.run = start.elapsed();
    times.take_apart(&prepared, ready);
    spinner.finish_and_clear();
    let stats = match outcome? {
        Outcome::Done(mut stats) => {
            stats.notes.extend(gpu_notes(&prepared));
            stats
        }
        Outcome::Trap(fault) => {
            return Err(Diagnostic::from(fault).inside(args.program.display().to_string()).into());
        }
    };
    if let Some(path) = &args.output {
        let wanted = |name: &str| program.names.lookup(name).is_some();
        npz::write(path, &unbind(&program, &bound, &wanted))?;
    }
    let results = results(&program, &bound);
    let (engine, why) = (prepared.engine(), prepared.why());
    report(args, out, &Ran { engine, why: &why, stats: &stats, times: &times, results: &results })?;
    Ok(Verdict::Good)
}

/// Prints a program as the native engine sees it.
pub(super) fn show(prepared: &Prepared, form: Form, out: &mut Output) -> anyhow::Result<Verdict> {
    let Some(compiled) = prepared.compiled() else {
        return Err(Usage(format!("there is no machine code to show: {}", prepared.why())).into());
    };
    if form == Form::Wgsl {
        let Some(divided) = prepared.divided() else {
            return Err(Usage("there are no shaders without --engine gpu".to_owned()).into());
        };
        for (_, text) in divided.shaders() {
            writeln!(out, "{text}")?;
        }
        return Ok(Verdict::Good);
    }
    let dump = compiled.dump();
    let text = match form {
        Form::Kernel => &dump.kernel,
        Form::Clif => &dump.clif,
        Form::Asm | Form::Wgsl => &dump.assembly,
    };
    out.write_all(text.as_bytes())?;
    Ok(Verdict::Good)
}

/// What the GPU did, if there was one.
pub(super) fn gpu_notes(prepared: &Prepared) -> Vec<String> {
    let Some(launches) = prepared.launches() else { return Vec::new() };
    let submissions = prepared.submissions().unwrap_or(0);
    let mut notes = vec![format!("{launches} launches on the GPU, {submissions} submissions")];
    notes.extend(prepared.device_memory().map(|used| {
        let DeviceMemory { slab, apart, others } = used;
        match slab {
            0 => format!("{others} bytes on the GPU"),
            _ => format!(
                "{} bytes on the GPU, {slab} of them for transients, whose buffers are {apart} bytes",
                slab + others
            ),
        }
    }));
    notes.extend(prepared.launch_times().iter().take(MOST_LAUNCHES).map(|time| {
        let (count, milliseconds) = (time.count, time.seconds * 1e3);
        format!("{milliseconds:.3} ms on the GPU in {count} launches: {}", time.title)
    }));
    notes.extend(prepared.declined().filter(|&declined| declined > 0).map(|declined| {
        format!(
            "{declined} times the host did a map that has a shader: its sizes or buffers do not fit the device, or \
             arguments share memory"
        )
    }));
    notes
}

/// Writes what a run gave.
pub(super) fn report(args: &RunArgs, out: &mut Output, ran: &Ran<'_>) -> anyhow::Result<()> {
    match args.format {
        TextFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &to_json(args, ran))?;
            writeln!(out)?;
            Ok(())
        }
        TextFormat::Text => write_text(out, args, ran),
    }
}

fn gather(args: &RunArgs) -> anyhow::Result<FileArrays> {
    let mut arrays = match &args.inputs {
        Some(path) => npz::read(path)?,
        None => FileArrays::new(),
    };
    for text in &args.args {
        let (name, path) = pair(text).ok_or_else(|| Usage(format!("--arg {text}: write NAME=FILE.npy")))?;
        let mut file = npz::read(path.as_ref())?;
        let array = file.pop().map(|(_, array)| array).filter(|_| file.is_empty());
        arrays.insert(name, array.ok_or_else(|| Usage(format!("{path} does not hold exactly one array")))?);
    }
    set_values(&mut arrays, &args.sets)?;
    Ok(arrays)
}

/// Adds what `--set` says.
pub(super) fn set_values(arrays: &mut FileArrays, sets: &[String]) -> Result<(), Usage> {
    for text in sets {
        let value = pair(text).and_then(|(name, value)| Some((name, scalar(&value)?)));
        let (name, value) = value
            .ok_or_else(|| Usage(format!("--set {text}: write NAME=VALUE with a number, true or false")))?;
        let mut bytes = vec![0; value.dtype().bytes()];
        value.write_le_bytes(&mut bytes);
        let item = Item::Number(value.dtype());
        arrays.insert(name, FileArray { item, shape: Vec::new(), fortran_order: false, bytes });
    }
    Ok(())
}

/// `NAME=VALUE` apart.
fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty())?;
    Some((name.to_owned(), value.to_owned()))
}

fn scalar(text: &str) -> Option<Scalar> {
    match text {
        "true" | "True" => return Some(Scalar::Bool(true)),
        "false" | "False" => return Some(Scalar::Bool(false)),
        _ => {}
    }
    let integer = text.parse().map(Scalar::I64).or_else(|_| text.parse().map(Scalar::U64)).ok();
    integer.or_else(|| text.parse().map(Scalar::F64).ok())
}

/// Arrays that the program writes, with their parts; all arrays if it is not said which are written.
fn results<'a>(program: &Program, args: &'a Arguments<'_>) -> Vec<(String, View<'a>)> {
    let written = written_names(program);
    let mut results = Vec::new();
    for (name, binding) in &args.bindings {
        let Binding::Array { buffer, offset, ty, shape, strides } = binding else { continue };
        let (true, Some(buffer)) = (written.contains(name.as_str()), args.buffers.get(*buffer)) else {
            continue;
        };
        let field = |field| program.names[field].to_owned();
        let parts = View::parts(buffer.bytes(), *offset, *ty, shape, strides, &program.structs, &field);
        results.extend(parts.into_iter().map(|(suffix, view)| (format!("{name}{suffix}"), view)));
    }
    results
}

/// Containers of the outermost graph that something flows into.
fn written_names(program: &Program) -> IndexSet<&str> {
    let mut written = IndexSet::new();
    for (_, state) in program.root_graph().into_iter().flat_map(|graph| graph.states()) {
        for edge in state.edges.values().filter(|edge| !edge.removed) {
            if let Some(NodeKind::Access { data, .. }) = state.nodes.get(edge.dst).map(|node| &node.kind) {
                written.insert(&program.names[*data]);
            }
        }
    }
    written
}

fn to_json(args: &RunArgs, ran: &Ran<'_>) -> Value {
    let Ran { engine, why, stats, times, results } = ran;
    json!({
        "program": args.program.display().to_string(),
        "engine": engine.name(),
        "why": why,
        "checked": args.checked,
        "seconds": {
            "load": times.load.as_secs_f64(),
            "optimize": times.optimize.as_secs_f64(),
            "lower": times.lower.as_secs_f64(),
            "compile": times.compile.as_secs_f64(),
            "run": times.run.as_secs_f64(),
        },
        "steps": stats.steps,
        "notes": stats.notes,
        "outputs": results.iter().map(|(name, view)| Summary::of(view).json(name)).collect::<Vec<_>>(),
        "output": args.output.as_ref().map(|path| path.display().to_string()),
    })
}

fn write_text(out: &mut Output, args: &RunArgs, ran: &Ran<'_>) -> anyhow::Result<()> {
    let Ran { engine, why, stats, times, results } = *ran;
    if results.is_empty() {
        writeln!(out, "The program ran; it writes no array.")?;
    } else {
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_header(["array", "type", "shape", "min", "max", "mean", "NaN"]);
        for (name, view) in results {
            let cells = Summary::of(view).cells();
            table.add_row(std::iter::once(name.clone()).chain(cells));
        }
        for column in table.column_iter_mut().skip(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "{table}")?;
    }
    let colour = out.colour;
    for (name, view) in
        results.iter().filter(|(_, view)| view.dtype() != DType::Bool || view.shape().len() > 1)
    {
        if view.len() >= 4 {
            writeln!(out)?;
            picture::draw(out, name, view, colour)?;
        }
    }
    for note in &stats.notes {
        writeln!(out, "note: {note}")?;
    }
    if args.time {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        writeln!(
            out,
            "\nload {:.3} ms, optimize {:.3} ms, lower {:.3} ms, compile {:.3} ms, run {:.3} ms on {} ({})",
            milliseconds(times.load),
            milliseconds(times.optimize),
            milliseconds(times.lower),
            milliseconds(times.compile),
            milliseconds(times.run),
            engine,
            why,
        )?;
    }
    if let Some(path) = &args.output {
        writeln!(out, "\nwrote {}", path.display())?;
    }
    Ok(())
}
