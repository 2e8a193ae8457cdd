//! `pelton opt`: runs the optimizer on a program file.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::exec::load::{load, write_program};
use crate::front::pel;
use crate::transform::{self, OPTIMIZE, Options, SIMPLIFY};

use super::output::Output;
use super::{Usage, Verdict};

/// Optimize a program.
///
/// Results stay the same, bit for bit. The format of the output is told from its name: .sdfg, .sdfgz or .pel.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton opt program.sdfgz -o fast.sdfgz --report
  pelton opt program.sdfgz --only map_fusion_vertical --print-after map_fusion_vertical
  pelton opt program.sdfgz -o half.pel --stop-after 12

`pelton explain RULE` prints a rule's page.")]
pub struct OptArgs {
    /// The program file.
    program: PathBuf,
    /// The file to write.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Only this rule; may be given several times.
    #[arg(long, value_name = "RULE")]
    only: Vec<String>,
    /// Not this rule; may be given several times.
    #[arg(long, value_name = "RULE")]
    skip: Vec<String>,
    /// Only what makes the program smaller.
    #[arg(long)]
    simplify: bool,
    /// Stop after N applications of rules.
    #[arg(long, value_name = "N")]
    stop_after: Option<usize>,
    /// Print the program after this rule, or after every rule that changed it (`all`).
    #[arg(long, value_name = "RULE|all")]
    print_after: Option<String>,
    /// Print how often each rule was applied, and how long it took.
    #[arg(long)]
    report: bool,
}

/// Runs the subcommand.
pub fn opt(args: &OptArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let mut program = load(&args.program)?.program;
    let list = if args.simplify { SIMPLIFY } else { OPTIMIZE };
    let options = Options {
        only: args.only.clone(),
        skip: args.skip.clone(),
        stop_after: args.stop_after,
        ..Options::default()
    };
    let mut printed = Vec::new();
    let report = transform::run(&mut program, list, &options, &mut |rule, program| {
        let wanted = args.print_after.as_deref().is_some_and(|wanted| wanted == "all" || wanted == rule.name);
        if wanted {
            printed.push(format!("; after {}\n{}", rule.name, pel::print_brief(program)));
        }
    })?;
    for text in printed {
        writeln!(out, "{text}")?;
    }
    if args.report {
        writeln!(out, "{report}")?;
    }
    if let Some(path) = &args.output {
        let bytes = write_program(&program, path).map_err(Usage)?;
        crate::exec::npz::replace_file(path, |file| file.write_all(&bytes))?;
    } else if !args.report && args.print_after.is_none() {
        write!(out, "{}", pel::print(&program))?;
    }
    Ok(Verdict::Good)
}
