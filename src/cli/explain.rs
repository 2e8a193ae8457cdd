//! `pelton explain`: what a diagnostic code means, what a rule of the optimizer does, and what the native engine
//! makes of a program.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use crate::diag::codes::{CODES, Code, lookup};
use crate::transform::{RULES, Rule};

use crate::back::gpu::{Divided, MapReport};
use crate::exec::tiers::{MOST_CHEAP, Thresholds};
use crate::exec::{Engine, Mode, Prepared, Settings, Tier, load};
use crate::kernel::vector::Decision;

use super::native::NativeArgs;
use super::output::Output;
use super::{TextFormat, Usage, Verdict, engine};

/// Describe a diagnostic code or a rule of the optimizer, or say what becomes of a program's maps.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton explain P0503
  pelton explain map_fusion_vertical
  pelton explain program.sdfgz    for each map: how it runs, and why not otherwise
  pelton explain program.sdfgz --engine gpu    which maps run on the GPU, and why others do not
  pelton explain                  lists all codes and rules")]
pub struct ExplainArgs {
    /// The code, the rule, or a program file; all codes and rules are listed without either.
    code: Option<String>,
    /// For programs: the engine that is asked about: auto, native or gpu.
    #[arg(long, default_value = "auto", value_parser = engine, value_name = "ENGINE")]
    engine: Engine,
    #[command(flatten)]
    native: NativeArgs,
    /// How the answer is written.
    #[arg(long, value_enum, default_value = "text")]
    format: TextFormat,
}

/// Runs the subcommand.
pub fn explain(args: &ExplainArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let json = |code: &Code| json!({"code": code.code, "title": code.title, "explanation": code.explanation, "unsupported": code.unsupported});
    match (&args.code, args.format) {
        (None, TextFormat::Text) => {
            for code in CODES {
                writeln!(out, "{}  {}", code.code, code.title)?;
            }
            for rule in RULES {
                writeln!(out, "{}", rule.name)?;
            }
        }
        (None, TextFormat::Json) => {
            serde_json::to_writer_pretty(&mut *out, &CODES.iter().map(json).collect::<Vec<_>>())?;
            writeln!(out)?;
        }
        (Some(text), format) if Path::new(text).is_file() => {
            return program(Path::new(text), args.engine, args.native.settings(), format, out);
        }
        (Some(text), format) if let Some(rule) = Rule::by_name(text) => match format {
            TextFormat::Text => write!(out, "{}", rule.page())?,
            TextFormat::Json => writeln!(out, "{}", json!({"rule": rule.name, "page": rule.page()}))?,
        },
        (Some(text), format) => {
            let code = lookup(text).ok_or_else(|| {
                Usage(format!("there is no diagnostic or rule {text}; `pelton explain` lists all"))
            })?;
            match format {
                TextFormat::Text => writeln!(out, "{}: {}\n\n{}", code.code, code.title, code.explanation)?,
                TextFormat::Json => writeln!(out, "{}", json(code))?,
            }
        }
    }
    Ok(Verdict::Good)
}

/// Why no loop is tiled.
const NO_TILE: &str = "none: the native engine keeps the order of loops";

/// When a program of that length runs on which tier.
fn tier_text(engine: Engine, tier: Tier, mode: Mode, length: usize) -> String {
    if tier != Tier::Auto {
        return format!("{tier}, as asked for");
    }
    if engine != Engine::Auto {
        return format!("best, because --engine {engine} was asked for");
    }
    if mode == Mode::Fast {
        return "best, because --mode fast was asked for".to_owned();
    }
    let thresholds = Thresholds::of_process();
    let from = |each: f64| each * length.max(1) as f64;
    let fast = match thresholds.fast < thresholds.best {
        true => format!("fast from {:.0} operations; before, ", from(thresholds.fast)),
        false => String::new(),
    };
    format!(
        "auto: best from {:.0} operations in all calls, from call {}, or if operations cannot be told; before, \
         {fast}interpreted",
        from(thresholds.best),
        MOST_CHEAP + 1,
    )
}

/// What the native engine makes of a program.
fn program(
    path: &Path,
    engine: Engine,
    settings: Settings,
    format: TextFormat,
    out: &mut Output,
) -> anyhow::Result<Verdict> {
    let program = Arc::new(load(path)?.program);
    let tier = settings.tier;
    // What the tier is raised to in the end.
    let tier = if tier == Tier::Auto { Tier::Best } else { tier };
    // Nobody calls it, so nobody says which sizes.
    let settings = Settings { tier, any_sizes: true, ..settings };
    let prepared = Prepared::with(program, engine, false, settings)?;
    if let Some(divided) = prepared.divided() {
        return gpu(path, &prepared, &divided, format, out);
    }
    let compiled = prepared.compiled();
    let loops = compiled.as_ref().map(|compiled| compiled.loops()).unwrap_or_default();
    let threads = |serial: Option<&str>, inside: bool| match (serial, inside) {
        (Some(reason), _) => format!("one: {reason}"),
        (None, true) => "those of the loop around it".to_owned(),
        (None, false) => "split, if it is worth it".to_owned(),
    };
    let vectors = |decision: &Option<Decision>| match decision {
        Some(decision) => decision.to_string(),
        None => "none: vectors are off".to_owned(),
    };
    let length = compiled.as_ref().map_or(0, |compiled| compiled.draft().length());
    let tiers = tier_text(engine, tier, settings.mode, length);
    if format == TextFormat::Json {
        let maps: Vec<_> = loops
            .iter()
            .map(|report| {
                json!({
                    "place": report.place,
                    "parameter": report.parameter,
                    "tier": tiers,
                    "threads": threads(report.serial, report.inside_region),
                    "vectors": vectors(&report.vectors),
                    "tile": NO_TILE,
                })
            })
            .collect();
        let report = json!({
            "program": path.display().to_string(),
            "engine": prepared.engine().name(),
            "why": prepared.why(),
            "tier": tier.name(),
            "mode": settings.mode.name(),
            "instructions": compiled.as_ref().map(|compiled| compiled.instructions()),
            "code_bytes": compiled.as_ref().map(|compiled| compiled.code_bytes()),
            "maps": maps,
            "vectors": compiled.as_ref().map(|compiled| {
                compiled.vectors().iter().map(ToString::to_string).collect::<Vec<_>>()
            }),
        });
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
        return Ok(Verdict::Good);
    }
    let Some(compiled) = compiled else {
        writeln!(out, "The interpreter runs this program: {}.", prepared.why())?;
        return Ok(Verdict::Good);
    };
    writeln!(
        out,
        "Machine code, {} mode: {} CLIF instructions, {} bytes.",
        settings.mode.name(),
        compiled.instructions(),
        compiled.code_bytes()
    )?;
    for report in &loops {
        writeln!(out, "\n{}, parameter {}", report.place.join(" / "), report.parameter)?;
        writeln!(out, "  tier: {tiers}")?;
        writeln!(out, "  vectors: {}", vectors(&report.vectors))?;
        writeln!(out, "  tile: {NO_TILE}")?;
        writeln!(out, "  threads: {}", threads(report.serial, report.inside_region))?;
    }
    writeln!(out, "\nVectors, loop by loop of the kernel (`--dump kernel` shows it):")?;
    for report in compiled.vectors() {
        writeln!(out, "  {report}")?;
    }
    Ok(Verdict::Good)
}

/// What runs on the GPU, and why the rest does not.
fn gpu(
    path: &Path,
    prepared: &Prepared,
    divided: &Divided,
    format: TextFormat,
    out: &mut Output,
) -> anyhow::Result<Verdict> {
    let runs = |map: &MapReport| match &map.host {
        None if map.least > 0 => format!("on the GPU, from {} iterations on", map.least),
        None => "on the GPU".to_owned(),
        Some(reason) => format!("on the host: {reason}"),
    };
    if format == TextFormat::Json {
        let maps: Vec<_> = divided
            .maps()
            .iter()
            .map(|map| {
                json!({
                    "place": map.place,
                    "parameter": map.parameter,
                    "gpu": map.host.is_none(),
                    "least": map.least,
                    "reason": map.host,
                })
            })
            .collect();
        let report = json!({
            "program": path.display().to_string(),
            "engine": prepared.engine().name(),
            "why": prepared.why(),
            "device": divided.device(),
            "shaders": divided.nests(),
            "maps": maps,
        });
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
        return Ok(Verdict::Good);
    }
    writeln!(out, "{}; the rest is machine code.", prepared.why())?;
    // Loops of one map that fare alike are told together. Maps of GTIR share places, but not parameters.
    let mut groups: Vec<Vec<&MapReport>> = Vec::new();
    for map in divided.maps() {
        let fits = |group: &Vec<&MapReport>| {
            let alike = |other: &&MapReport| other.place == map.place && runs(other) == runs(map);
            group.iter().all(|other| alike(other) && other.parameter != map.parameter)
        };
        match groups.last_mut().filter(|group| fits(group)) {
            Some(group) => group.push(map),
            None => groups.push(vec![map]),
        }
    }
    for group in groups {
        let parameters: Vec<&str> = group.iter().map(|map| map.parameter.as_str()).collect();
        let word = if group.len() > 1 { "parameters" } else { "parameter" };
        writeln!(out, "\n{}, {word} {}", group[0].place.join(" / "), parameters.join(", "))?;
        writeln!(out, "  {}", runs(group[0]))?;
    }
    Ok(Verdict::Good)
}
