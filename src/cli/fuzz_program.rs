//! `pelton fuzz --program`: the optimizer's rules on a real program.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use crate::check::fuzz_program::{ProgramPlan, ProgramTally, fuzz_program};
use crate::check::{Case, guard};
use crate::exec::load;

use super::output::Output;
use super::progress::Line;
use super::{TextFormat, Verdict};

/// Runs the subcommand on a program file or a case folder.
pub fn run(path: &Path, plan: &ProgramPlan, format: TextFormat, out: &mut Output) -> anyhow::Result<Verdict> {
    let file = match path.is_dir() {
        true => Case::open(path)?.programs(false).into_iter().next().map(|program| program.path),
        false => None,
    };
    let program = load(file.as_deref().unwrap_or(path))?.program;
    let mut line = Line::new();
    guard::capture_panics();
    let tally = fuzz_program(&program, plan, &mut |tally| line.show(|| summary(tally)));
    line.finish();
    let tally = tally?;
    match format {
        TextFormat::Json => {
            let failures: Vec<_> = tally
                .failures
                .iter()
                .map(|failure| {
                    let case = failure.folder.as_ref().map(|folder| folder.display().to_string());
                    json!({ "what": failure.what, "case": case })
                })
                .collect();
            let report = json!({
                "seed": plan.seed,
                "cutouts": tally.cutouts,
                "instances": tally.instances,
                "narrowed": tally.narrowed,
                "untried": tally.untried,
                "trials": tally.trials,
                "faults": tally.faults,
                "by_rule": tally.by_rule.iter().map(|(rule, count)| (rule.clone(), json!(count))).collect::<serde_json::Map<_, _>>(),
                "seconds": tally.elapsed.as_secs_f64(),
                "failures": failures,
            });
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
        TextFormat::Text => {
            for failure in &tally.failures {
                writeln!(out, "{}", failure.what)?;
                if let Some(folder) = &failure.folder {
                    writeln!(out, "    saved: {}", folder.display())?;
                }
            }
            for (rule, count) in &tally.by_rule {
                writeln!(out, "{count:>6} applications of {rule}")?;
            }
            writeln!(out, "seed {}, {:.1} s: {}", plan.seed, tally.elapsed.as_secs_f64(), summary(&tally))?;
        }
    }
    Ok(if tally.failures.is_empty() { Verdict::Good } else { Verdict::Failed })
}

fn summary(tally: &ProgramTally) -> String {
    format!(
        "{} applications in {} cutouts ({} narrowed, {} without a usable input), {} inputs compared, {} failed",
        tally.instances,
        tally.cutouts,
        tally.narrowed,
        tally.untried,
        tally.trials,
        tally.failures.len()
    )
}
