//! The `pelton` command: a thin face over the library, one file per subcommand.
//!
//! Exit codes: 0 it worked; 1 the program or the comparison failed; 2 wrong usage; 3 a defect in Pelton.
//! Results go to standard output, everything else to standard error. A reader that closes the pipe early
//! does not change the exit code.

mod check;
mod convert;
mod diff;
mod explain;
mod fuzz;
mod fuzz_program;
mod info;
mod info_gpu;
mod info_gtir;
mod locate;
mod memory;
mod native;
mod opt;
mod output;
mod picture;
mod plan;
mod plan_picture;
mod progress;
mod reduce;
mod run;
mod run_gtir;
mod sides;
mod summary;
mod test;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::diag::{Diagnostic, render};
use crate::exec::Engine;

use output::Output;

/// Runs dataflow graphs: DaCe SDFGs and GT4Py programs.
#[derive(Parser, Debug)]
#[command(name = "pelton", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  the program or the comparison failed; the diagnostic says how
  2  wrong usage
  3  a defect in Pelton itself

`pelton explain CODE` describes a diagnostic code. Colours follow the terminal and NO_COLOR.";

#[derive(Subcommand, Debug)]
enum Command {
    Run(run::RunArgs),
    Test(test::TestArgs),
    Check(check::CheckArgs),
    Info(info::InfoArgs),
    Convert(convert::ConvertArgs),
    Plan(plan::PlanArgs),
    Explain(explain::ExplainArgs),
    Fuzz(fuzz::FuzzArgs),
    Opt(opt::OptArgs),
    Diff(diff::DiffArgs),
    Locate(locate::LocateArgs),
    Reduce(reduce::ReduceArgs),
}

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum TextFormat {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

/// How a subcommand ended, if it did not break.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// It worked.
    Good,
    /// The program or the comparison failed, and that was reported.
    Failed,
}

fn engine(text: &str) -> Result<Engine, String> {
    text.parse()
}

/// Runs the command with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way as well. A closed pipe is nobody's fault.
            drop(error.print());
            return ExitCode::from(u8::from(error.use_stderr()) * 2);
        }
    };
    // Panics are defects. They are reported as such below instead of by the default hook.
    let outcome = std::panic::catch_unwind(|| dispatch(cli));
    let code = match outcome {
        Ok(Ok(Verdict::Good)) => 0,
        Ok(Ok(Verdict::Failed)) => 1,
        Ok(Err(error)) => report(&error),
        Err(_) => {
            drop(writeln!(
                std::io::stderr(),
                "this is a defect in Pelton; please report it with the program"
            ));
            3
        }
    };
    ExitCode::from(code)
}

fn dispatch(cli: Cli) -> anyhow::Result<Verdict> {
    let mut out = Output::stdout();
    let verdict = match cli.command {
        Command::Run(args) => run::run(&args, &mut out),
        Command::Test(args) => test::test(&args, &mut out),
        Command::Check(args) => check::check(&args, &mut out),
        Command::Info(args) => info::info(&args, &mut out),
        Command::Convert(args) => convert::convert(&args, &mut out),
        Command::Plan(args) => plan::plan(&args, &mut out),
        Command::Explain(args) => explain::explain(&args, &mut out),
        Command::Fuzz(args) => fuzz::run(&args, &mut out),
        Command::Opt(args) => opt::opt(&args, &mut out),
        Command::Diff(args) => diff::run(&args, &mut out),
        Command::Reduce(args) => reduce::run(&args, &mut out),
        Command::Locate(args) => locate::run(&args, &mut out),
    };
    out.flush()?;
    verdict
}

fn report(error: &anyhow::Error) -> u8 {
    let stderr = std::io::stderr();
    let colour = output::wants_colour(stderr.is_terminal());
    let mut stderr = stderr.lock();
    // Nothing sensible is left to do if standard error is closed.
    match error.downcast_ref::<Diagnostic>() {
        Some(diagnostic) => drop(render::write_text(&mut stderr, diagnostic, colour)),
        None => drop(writeln!(stderr, "error: {error:#}")),
    }
    if error.is::<Usage>() { 2 } else { 1 }
}

/// A mistake in the arguments that only showed after parsing.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
