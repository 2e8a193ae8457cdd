//! From raw GTIR to the end of the first call: what a GT4Py user waits for.
//!
//! ```text
//! cargo bench --bench gtir                 # the corpus, then the synthetic families
//! cargo bench --bench gtir -- corpus       # ../shared/corpus, or PELTON_CORPUS
//! cargo bench --bench gtir -- families
//! ```
//!
//! *read* is JSON or text to the tree, *lower* the tree to a validated graph, *compile* the graph to machine code, and the
//! first call, whose sizes that code is for; the families are compiled for any sizes and not called.
//! Times are the least of some runs in one process, in milliseconds; everything runs on one thread. The families grow
//! from 10 to 10,000 field operations; the exponent says how the time grows from one line to the next: 1 is linear.

#[path = "support/allocator.rs"]
mod allocator;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use pelton::check::gtir_case;
use pelton::exec::gtir::{GtirProgram, environment};
use pelton::exec::npz;
use pelton::exec::{Engine, Options, Outcome, Prepared, Settings};
use pelton::front::gtir::lower::{Environment, ParamType};
use pelton::front::gtir::{self, DimKind, GtirArgs};
use pelton::scalar::DType;

/// Milliseconds per stage.
#[derive(Clone, Copy, Default)]
struct Stages {
    read: f64,
    lower: f64,
    compile: f64,
}

impl Stages {
    fn total(self) -> f64 {
        self.read + self.lower + self.compile
    }
}

fn main() {
    let only: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |part: &str| only.is_empty() || only.iter().any(|arg| arg == part);
    if wanted("corpus") {
        corpus();
    }
    if wanted("families") {
        families();
    }
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// One way to the first result.
fn stages(
    bytes: &[u8],
    environment: &Environment,
    args: Option<GtirArgs<'_>>,
) -> Result<(Stages, String), String> {
    let start = Instant::now();
    let program = gtir::read(bytes).map_err(|error| error.to_string())?;
    let read = milliseconds(start);
    let start = Instant::now();
    let connectivities: IndexMap<_, _> = environment.connectivities.iter().cloned().collect();
    let lowered = GtirProgram::with_environment(&program, environment, connectivities)
        .map_err(|error| error.to_string())?;
    let lower = milliseconds(start);
    let start = Instant::now();
    let settings = Settings { any_sizes: args.is_none(), ..Settings::default() };
    let prepared = Prepared::with(Arc::new(lowered.program.clone()), Engine::Native, false, settings)
        .map_err(|error| error.to_string())?;
    if let Some(mut args) = args {
        let mut bound = lowered.bind(&mut args).map_err(|error| error.to_string())?;
        match prepared.run(&mut bound, &Options::default()) {
            Ok(Outcome::Done(_)) => {}
            Ok(Outcome::Trap(fault)) => return Err(fault.to_string()),
            Err(error) => return Err(error.to_string()),
        }
    }
    let compile = milliseconds(start);
    let engine = prepared.engine();
    let why = if engine == Engine::Native { String::new() } else { format!("{engine}: {}", prepared.why()) };
    Ok((Stages { read, lower, compile }, why))
}

/// The fastest of some runs.
fn least(
    bytes: &[u8],
    environment: &Environment,
    args: &dyn Fn() -> Option<GtirArgs<'static>>,
    runs: usize,
) -> Result<(Stages, String), String> {
    let mut best: Option<(Stages, String)> = None;
    for _ in 0..runs {
        let next = stages(bytes, environment, args())?;
        if best.as_ref().is_none_or(|(known, _)| next.0.total() < known.total()) {
            best = Some(next);
        }
    }
    best.ok_or_else(|| "no run".to_owned())
}

fn corpus() {
    let root =
        std::env::var_os("PELTON_CORPUS").map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from);
    for suite in ["gt4py", "icon4py"] {
        let Ok(entries) = std::fs::read_dir(root.join(suite)) else {
            println!("there is no corpus at {}", root.join(suite).display());
            continue;
        };
        let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        folders.sort();
        let mut rows: Vec<(String, Stages)> = Vec::new();
        for folder in folders {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match case(&folder) {
                Ok((stages, why)) => {
                    if !why.is_empty() {
                        println!("{name}: {why}");
                    }
                    rows.push((name, stages));
                }
                Err(error) => println!("{name}: {error}"),
            }
        }
        summary(suite, rows);
    }
}

fn case(folder: &std::path::Path) -> Result<(Stages, String), String> {
    let text = |error: std::io::Error| error.to_string();
    let description = std::fs::read(folder.join("case.json")).map_err(text)?;
    let description = serde_json::from_slice(&description).map_err(|error| error.to_string())?;
    let inputs = npz::read(&folder.join("inputs.npz")).map_err(|error| error.to_string())?;
    let bytes = std::fs::read(folder.join("program.gtir.json.gz")).map_err(text)?;
    let args = gtir_case::arguments(&description, &inputs).map_err(|error| error.to_string())?;
    let program = gtir::read(&bytes).map_err(|error| error.to_string())?;
    let environment = environment(&program, &args).map_err(|error| error.to_string())?;
    least(&bytes, &environment, &|| gtir_case::arguments(&description, &inputs).ok(), 3)
}

fn summary(suite: &str, mut rows: Vec<(String, Stages)>) {
    if rows.is_empty() {
        return;
    }
    println!("\n{suite}: {} programs, ms", rows.len());
    println!("{:>10} {:>8} {:>8} {:>8} {:>8}", "", "read", "lower", "compile", "total");
    type Part = fn(Stages) -> f64;
    let parts: [Part; 4] = [|s| s.read, |s| s.lower, |s| s.compile, Stages::total];
    let sorted = |part: Part| {
        let mut values: Vec<f64> = rows.iter().map(|(_, stages)| part(*stages)).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let line = |label: &str, pick: fn(&[f64]) -> f64| {
        let values: Vec<String> = parts.iter().map(|&part| format!("{:>8.2}", pick(&sorted(part)))).collect();
        println!("{label:>10} {}", values.join(" "));
    };
    line("median", |values| values[values.len() / 2]);
    line("p90", |values| values[values.len() * 9 / 10]);
    line("max", |values| values.last().copied().unwrap_or(0.0));
    line("sum", |values| values.iter().sum());
    rows.sort_by(|a, b| b.1.total().total_cmp(&a.1.total()));
    println!("slowest:");
    for (name, stages) in rows.iter().take(8) {
        println!(
            "{:>10.2} = {:.2} + {:.2} + {:.2}  {name}",
            stages.total(),
            stages.read,
            stages.lower,
            stages.compile
        );
    }
}

/// A name, and the program with `n` field operations.
type Family = (&'static str, fn(usize) -> String);

const FAMILIES: [Family; 4] = [
    ("pointwise chain", |n| chain(n, |_| "(⇑(λ(x, a) → ·x × ·a + 1.0))(x, a)".to_owned())),
    ("chained stencils", |n| {
        chain(n, |_| "(⇑(λ(x) → 0.5 × (·⟪Kᵥ→Kᵥ, 1ₒ⟫(x) + ·⟪Kᵥ→Kᵥ, -1ₒ⟫(x))))(x)".to_owned())
    }),
    ("chained shifts", |n| chain(n, |_| "(⇑(λ(x) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(x) + 1.0))(x)".to_owned())),
    ("unions of domains", unions),
];

fn families() {
    for (name, family) in FAMILIES {
        println!("\n{name}, ms");
        println!("{:>8} {:>9} {:>9} {:>9} {:>9} {:>9}", "n", "read", "lower", "compile", "total", "exponent");
        let mut before: Option<(usize, f64)> = None;
        for n in [10, 100, 1_000, 10_000] {
            let text = family(n);
            let runs = if n < 1_000 { 5 } else { 1 };
            match least(text.as_bytes(), &columns(), &|| None, runs) {
                Ok((stages, why)) => {
                    let exponent = before.map_or(String::new(), |(count, time)| {
                        format!("{:.2}", (stages.total() / time).ln() / (n as f64 / count as f64).ln())
                    });
                    println!(
                        "{n:>8} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {exponent:>9} {why}",
                        stages.read,
                        stages.lower,
                        stages.compile,
                        stages.total()
                    );
                    before = Some((n, stages.total()));
                }
                Err(error) => println!("{n:>8} {error}"),
            }
        }
    }
}

/// `n` lets, each of which computes a new `x` from the one before.
fn chain(n: usize, step: impl Fn(usize) -> String) -> String {
    let mut value = "(λ(x) → ".repeat(n);
    value.push('x');
    for number in (0..n).rev() {
        let _ = write!(value, ")({})", step(number));
    }
    // The innermost let comes first in the text but uses the outermost names last.
    program(&value)
}

/// One expensive field read under `n` masks, at a distance of its own under each.
fn unions(n: usize) -> String {
    let mut value = String::new();
    for number in 0..n {
        let _ = write!(value, "concat_where(Kᵥ == {number}, (⇑(λ(t) → ·⟪Kᵥ→Kᵥ, {number}ₒ⟫(t)))(t), ");
    }
    value.push('t');
    value.push_str(&")".repeat(n));
    program(&format!("(λ(t) → {value})((⇑(λ(a) → exp(sin(·a) + cos(·a))))(a))"))
}

fn program(value: &str) -> String {
    format!("p(x, a, n, out) {{ out @ c⟨ Kᵥ: [0, n[ ⟩ ← {value}; }}")
}

/// Columns of `float64`, and an integer.
fn columns() -> Environment {
    let column = ParamType::Field(vec![("K".to_owned(), DimKind::Vertical)], DType::F64);
    let params =
        [("x", column.clone()), ("a", column.clone()), ("n", ParamType::Scalar(DType::I32)), ("out", column)];
    Environment {
        param_types: params.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect(),
        ..Environment::default()
    }
}
