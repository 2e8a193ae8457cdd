//! Optimizer time against graph size: chains of maps and stencil statements of 10 to 10,000. Prints milliseconds, applications,
//! and the exponent of growth between the sizes.
//!
//! `cargo bench --bench optimizer [-- LARGEST]`

#[path = "support/allocator.rs"]
mod allocator;

use std::time::Instant;

use pelton::exec::Format;
use pelton::exec::load::finish;
use pelton::front::pel;
use pelton::ir::Program;
use pelton::transform::{self, OPTIMIZE, Options};

fn main() {
    let largest = std::env::args().filter_map(|text| text.parse().ok()).next().unwrap_or(10_000);
    for (name, make) in [("chain", chain as fn(usize) -> Program), ("stmts", statements)] {
        let mut before: Option<(usize, f64)> = None;
        let mut size = 10;
        while size <= largest {
            let program = make(size);
            let mut best = f64::MAX;
            let mut fired = 0;
            for _ in 0..(5000 / size).clamp(2, 100) {
                let mut made = program.clone();
                let options = Options { validate: false, ..Options::default() };
                let start = Instant::now();
                let report =
                    transform::run(&mut made, OPTIMIZE, &options, &mut |_, _| {}).expect("it optimizes");
                best = best.min(start.elapsed().as_secs_f64());
                fired = report.fired();
            }
            let exponent = before.map(|(n, time)| (best / time).ln() / (size as f64 / n as f64).ln());
            let exponent = exponent.map_or(String::new(), |exponent| format!("exponent {exponent:.2}"));
            println!("{name} {size:>6}: {:>10.3} ms  {fired:>6} applications  {exponent}", best * 1e3);
            before = Some((size, best));
            size *= 10;
        }
    }
}

fn loaded(text: &str) -> Program {
    let program = pel::parse(text).expect("it parses");
    finish(program, Format::Pel, Vec::new()).program
}

/// As many states, each one map over an array of its own.
fn chain(count: usize) -> Program {
    let mut declared = String::new();
    let mut states = String::new();
    for n in 0..count {
        let source = if n == 0 { "A".to_owned() } else { format!("t{}", n - 1) };
        let target = if n + 1 == count { "B".to_owned() } else { format!("t{n}") };
        if n + 1 < count {
            declared.push_str(&format!("transient t{n}: f64[N]\n"));
        }
        states.push_str(&format!("state s{n} {{ map i in 0:N {{ {target}[i] = {source}[i] + 1 }} }}\n"));
    }
    loaded(&format!("program chain(A: f64[N], B: f64[N], N: i64 symbol) {{\n{declared}{states}}}"))
}

/// As many three-point stencils between two arrays, each through two temporaries, all of them in states of their own.
fn statements(count: usize) -> Program {
    let mut declared = String::new();
    let mut states = String::new();
    for n in 0..count {
        let (from, to) = if n % 2 == 0 { ("A", "B") } else { ("B", "A") };
        declared.push_str(&format!("transient u{n}: f64[N - 2]\ntransient v{n}: f64[N - 2]\n"));
        states.push_str(&format!(
            "state a{n} {{ map i in 0:N-2 {{ u{n}[i] = {from}[i] + {from}[i + 1] }} }}\n\
             state b{n} {{ map i in 0:N-2 {{ v{n}[i] = u{n}[i] + {from}[i + 2] }} }}\n\
             state c{n} {{ map i in 0:N-2 {{ {to}[i + 1] = v{n}[i] * 0.25 }} }}\n"
        ));
    }
    loaded(&format!("program stmts(A: f64[N], B: f64[N], N: i64 symbol) {{\n{declared}{states}}}"))
}
