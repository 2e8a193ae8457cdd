//! `pelton fuzz`: random programs on two engines, and the optimizer's rules on real ones.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::json;

use crate::check::fuzz::{Plan, Subject, Tally, fuzz, sides_for};
use crate::check::fuzz_program::ProgramPlan;
use crate::check::generate::{Choices, GtirSettings, Settings, generate, generate_gtir};
use crate::check::{Side, guard};
use crate::exec::Engine;
use crate::transform;

use super::output::Output;
use super::progress::Line;
use super::{TextFormat, Usage, Verdict, engine, fuzz_program};

/// Run random programs on an engine and compare with the reference interpreter, bit for bit.
///
/// The programs follow from the seed, which is printed: trial n of seed K is the program of seed K + n. A program
/// that fails is saved as a case folder that `pelton test` runs.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton fuzz --seconds 60
  pelton fuzz --engine native --seed 1234 --trials 1
  pelton fuzz --seed 1234 --print
  pelton fuzz --gtir --seconds 60
  pelton fuzz --program program.sdfgz --rule map_fusion_vertical --trials 20

With --program, every application of every rule (or of --rule) is tried in a cutout of that program: --trials random
inputs for each.

Exit code 1 if something failed.")]
pub struct FuzzArgs {
    /// Engine to compare with the interpreter.
    #[arg(long, default_value = "native", value_parser = engine, value_name = "ENGINE")]
    engine: Engine,
    /// Compare the interpreter before and after this rule of the optimizer instead; `all` for the whole pipeline.
    #[arg(long, value_name = "RULE", conflicts_with = "engine")]
    rule: Option<String>,
    /// Seed of the first program; drawn from the clock if it is not given.
    #[arg(long, value_name = "K")]
    seed: Option<u64>,
    /// How long; 10 if it is not given, without end with --program.
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// How many programs at most; with --program, how many inputs per application (100 if it is not given).
    #[arg(long, value_name = "N")]
    trials: Option<u64>,
    /// Try the optimizer's rules on this program, application by application, instead of on random programs.
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["engine", "gtir"])]
    program: Option<PathBuf>,
    /// Random GTIR programs, on the oracle of the lowering, the interpreter and as machine code.
    #[arg(long, conflicts_with = "rule")]
    gtir: bool,
    /// Everything that must not change a bit is drawn from the seed: the order of rules, tiers, threads, where transients
    /// lie, from which call on machine code runs.
    #[arg(long, conflicts_with_all = ["rule", "gtir", "program"])]
    chaos: bool,
    /// Statements per program at most.
    #[arg(long, value_name = "N", default_value_t = 6)]
    size: usize,
    /// Stop after so many failures.
    #[arg(long, value_name = "N", default_value_t = 10)]
    failures: usize,
    /// Only plain maps and tasklets; with --gtir, no mask or domain that leaves nothing.
    #[arg(long)]
    plain: bool,
    /// Where failing programs go.
    #[arg(long, value_name = "FOLDER", default_value = "fuzz-failures")]
    out: PathBuf,
    /// Print the program of the seed and do nothing else.
    #[arg(long)]
    print: bool,
    /// Also print what the programs were made of.
    #[arg(long)]
    coverage: bool,
    /// How the report is written.
    #[arg(long, value_enum, default_value = "text")]
    format: TextFormat,
}

/// Runs the subcommand.
pub fn run(args: &FuzzArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let clock = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos()) ^ now.as_secs() << 20
    };
    let seed = args.seed.unwrap_or_else(clock);
    let settings = Settings { statements: args.size, all_nodes: !args.plain, ..Settings::default() };
    if args.print {
        let mut choices = Choices::from_seed(seed);
        let text = match args.gtir {
            true => generate_gtir(&mut choices, GtirSettings { empty: !args.plain }).text,
            false => generate(&mut choices, &settings).text,
        };
        write!(out, "{text}")?;
        return Ok(Verdict::Good);
    }
    let time = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, 1e6));
    if let Some(path) = &args.program {
        let plan = ProgramPlan {
            seed,
            trials: args.trials.unwrap_or(100),
            time: args.seconds.map(time),
            rule: match &args.rule {
                Some(rule) => known_rule(rule)?.map(str::to_owned),
                None => None,
            },
            out: Some(args.out.clone()),
            failures: args.failures,
        };
        return fuzz_program::run(path, &plan, args.format, out);
    }
    let subject = match &args.rule {
        Some(rule) => Subject::Sides([Side::engine(Engine::Interp), Side::after_rule(known_rule(rule)?)]),
        None if args.chaos => Subject::Chaos,
        None if args.gtir => Subject::Gtir(GtirSettings { empty: !args.plain }),
        None => Subject::Sides(sides_for(args.engine)),
    };
    let what = match &subject {
        Subject::Sides([_, right]) => right.name.clone(),
        Subject::Chaos => "chaos".to_owned(),
        Subject::Gtir(_) => "gtir-oracle, interp and native".to_owned(),
    };
    let plan = Plan {
        seed,
        trials: args.trials,
        time: Some(time(args.seconds.unwrap_or(10.0))),
        settings,
        subject,
        out: Some(args.out.clone()),
        failures: args.failures,
    };
    let mut line = Line::new();
    // Panics are findings here; they are reported with the program that caused them.
    guard::capture_panics();
    let tally = fuzz(&plan, &mut |tally: &Tally| line.show(|| summary(tally)));
    line.finish();
    let tally = tally?;
    match args.format {
        TextFormat::Json => {
            let report = json!({
                "seed": seed,
                "engine": what,
                "trials": tally.trials,
                "executions": tally.executions,
                "agreed": tally.agreed,
                "refused": tally.refused,
                "seconds": tally.elapsed.as_secs_f64(),
                "coverage": tally.coverage.kinds.iter().map(|(kind, count)| (kind.clone(), json!(count))).collect::<serde_json::Map<_, _>>(),
                "failures": tally.failures.iter().map(|failure| json!({
                    "seed": failure.seed,
                    "what": failure.what,
                    "case": failure.folder.as_ref().map(|folder| folder.display().to_string()),
                })).collect::<Vec<_>>(),
            });
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
        TextFormat::Text => write_text(out, args, &what, seed, &tally)?,
    }
    Ok(if tally.failures.is_empty() { Verdict::Good } else { Verdict::Failed })
}

/// The rule of that name; none for `all`.
fn known_rule(name: &str) -> anyhow::Result<Option<&str>> {
    let rule = Some(name).filter(|name| *name != "all");
    match rule.filter(|rule| transform::RULES.iter().all(|known| known.name != *rule)) {
        Some(unknown) => {
            Err(Usage(format!("no rule is called {unknown}; `pelton explain` lists them")).into())
        }
        None => Ok(rule),
    }
}

fn summary(tally: &Tally) -> String {
    format!(
        "{} programs, {:.0} executions/s, {} kinds of things, {} unchanged, {} not run, {} failed",
        tally.trials,
        tally.executions_per_second(),
        tally.coverage.kinds.len(),
        tally.unchanged,
        tally.refused,
        tally.failures.len()
    )
}

fn write_text(out: &mut Output, args: &FuzzArgs, what: &str, seed: u64, tally: &Tally) -> anyhow::Result<()> {
    for failure in &tally.failures {
        writeln!(out, "seed {}:", failure.seed)?;
        for line in failure.what.lines() {
            writeln!(out, "    {line}")?;
        }
        if let Some(folder) = &failure.folder {
            match args.gtir {
                true => writeln!(out, "    saved: {}", folder.display())?,
                false => {
                    writeln!(out, "    saved: pelton test {} --engine {}", folder.display(), args.engine)?
                }
            }
        }
    }
    if args.coverage {
        writeln!(out, "{}", tally.coverage)?;
        let mut refusals: Vec<_> = tally.refusals.iter().collect();
        refusals.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        for (why, count) in refusals.iter().take(20) {
            writeln!(out, "  not run {count} times: {why}")?;
        }
    }
    writeln!(out, "seed {seed}, {what}, {:.1} s: {}", tally.elapsed.as_secs_f64(), summary(tally))?;
    Ok(())
}
