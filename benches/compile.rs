//! What it takes to compile long programs: chains of maps, one state per map.
//!
//! ```text
//! cargo bench --bench compile             # 10, 100, 1,000 and 5,000 maps
//! cargo bench --bench compile -- 400      # so many
//! ```
//!
//! *lower* is graph to kernel, *compile* kernel to machine code in the best tier, without the optimizer, on one thread;
//! milliseconds, the least of some runs in one process. `per 1,000` is compile time per 1,000 CLIF instructions; the
//! exponent says how both times grow from one line to the next: 1 is linear.

#[path = "support/allocator.rs"]
mod allocator;

use std::fmt::Write as _;

use pelton::back::native::{Compiled, Options};
use pelton::front::pel;
use pelton::ir::Program;
use pelton::memory::required_arguments;

/// A name, and the program with so many maps.
type Family = (&'static str, fn(usize) -> String);

const FAMILIES: [Family; 3] = [
    ("pointwise maps", pointwise),
    ("stencils in two dimensions", stencils),
    ("scalars and conditions", scalars),
];

/// `t(k+1)[i] = t(k)[i] * a[i] + k`, in two arrays that take turns.
fn pointwise(count: usize) -> String {
    let mut text = "program p(a: f64[N], x: f64[N], y: f64[N], N: i64 symbol) {\n".to_owned();
    for at in 0..count {
        let (from, to) = if at % 2 == 0 { ("x", "y") } else { ("y", "x") };
        let _ = writeln!(text, "map i in 0:N {{ {to}[i] = {from}[i] * a[i] + {at} }}");
    }
    text + "}\n"
}

/// A five-point stencil, in two arrays that take turns.
fn stencils(count: usize) -> String {
    let mut text = "program p(x: f64[N, M], y: f64[N, M], N: i64 symbol, M: i64 symbol) {\n".to_owned();
    for at in 0..count {
        let (from, to) = if at % 2 == 0 { ("x", "y") } else { ("y", "x") };
        let _ = writeln!(
            text,
            "map i in 1:N-1, j in 1:M-1 {{ {to}[i, j] = ({from}[i-1, j] + {from}[i+1, j] + {from}[i, j-1] \
             + {from}[i, j+1]) * 0.25 }}"
        );
    }
    text + "}\n"
}

/// Maps of which every other one hands a number to the next.
fn scalars(count: usize) -> String {
    let mut text =
        "program p(x: f64[N], y: f64[N], N: i64 symbol) {\n  transient s: f64[1]\n  transient t: f64[N]\n"
            .to_owned();
    for at in 0..count {
        let line = match at % 4 {
            0 => "map i in 0:1 { s[i] = x[i] * 0.5 }".to_owned(),
            1 => "map i in 0:N { t[i] = y[i] + s[0] }".to_owned(),
            2 => format!("map i in 0:N {{ y[i] = t[i] * {at}.5 }}"),
            _ => "map i in 0:N { x[i] = y[i] - t[i] }".to_owned(),
        };
        let _ = writeln!(text, "{line}");
    }
    text + "}\n"
}

fn main() {
    let counts: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![10, 100, 1_000, 5_000] } else { counts };
    for (name, family) in FAMILIES {
        println!("\n{name}");
        println!(
            "{:>8} {:>10} {:>9} {:>9} {:>10} {:>9} {:>9}",
            "maps", "CLIF", "lower", "compile", "per 1,000", "exponent", "code KB"
        );
        let mut before: Option<(usize, f64)> = None;
        for &count in &counts {
            let mut program = pel::parse(&family(count)).unwrap_or_else(|problems| panic!("{problems:?}"));
            pelton::scalar::lower::lower_program(&mut program);
            let runs = if count < 1_000 { 5 } else { 1 };
            let (lower, compile, instructions, bytes) = least(&program, runs);
            let total = lower + compile;
            let exponent = before.map_or(String::new(), |(maps, time)| {
                format!("{:.2}", (total / time).ln() / (count as f64 / maps as f64).ln())
            });
            let per_thousand = compile / instructions as f64 * 1e3;
            println!(
                "{count:>8} {instructions:>10} {lower:>9.2} {compile:>9.2} {per_thousand:>10.2} {exponent:>9} {:>9}",
                bytes >> 10
            );
            before = Some((count, total));
        }
    }
}

/// Milliseconds to lower and compile, CLIF instructions, bytes of code.
fn least(program: &Program, runs: usize) -> (f64, f64, usize, usize) {
    let required = required_arguments(program).expect("arguments are known");
    let mut best: Option<(f64, f64, usize, usize)> = None;
    for _ in 0..runs {
        let compiled = match Compiled::new(program, &required, &Options::default()) {
            Ok(compiled) => compiled,
            Err(refused) => panic!("{refused:?}"),
        };
        let (lower, compile) = compiled.times();
        let next = (
            lower.as_secs_f64() * 1e3,
            compile.as_secs_f64() * 1e3,
            compiled.instructions(),
            compiled.code_bytes(),
        );
        if best.is_none_or(|best| next.0 + next.1 < best.0 + best.1) {
            best = Some(next);
        }
    }
    best.unwrap_or_default()
}
