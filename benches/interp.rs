//! How fast the reference interpreter is: map iterations per second for small maps, one tasklet each.
//!
//! ```text
//! cargo bench --bench interp            # a table
//! cargo bench --bench interp -- axpy    # only programs whose name contains the text
//! ```
//!
//! Each program is run until half a second has passed, and the fastest run counts: on a shared machine the
//! others measure the neighbours. The table's last lines are the memory it took: peak resident size after all
//! runs, against the bytes of the largest program's arrays.

use std::time::{Duration, Instant};

use pelton::front::pel;
use pelton::interp::{Options, Outcome, Prepared};
use pelton::memory::Arguments;
use pelton::scalar::{Type, lower};

/// Points per run.
const POINTS: usize = 1 << 18;

/// Name, text of the program over `a`, `b` and `s`, map iterations per run.
const PROGRAMS: &[(&str, &str, usize)] = &[
    ("copy", "map i in 0:N { b[i] = a[i] }", POINTS),
    ("axpy", "map i in 0:N { b[i] = a[i] * 2.5 + b[i] }", POINTS),
    ("add one", "map i in 0:N { b[i] = a[i] + 1.0 }", POINTS),
    ("two dimensions", "map i in 0:512, j in 0:512 { b[512 * i + j] = a[512 * i + j] * 2.0 }", POINTS),
    ("stencil of three", "map i in 1:N - 1 { b[i] = a[i - 1] + a[i] + a[i + 1] }", POINTS - 2),
    ("sum", "map i in 0:N { s[0] += a[i] }", POINTS),
    ("square root", "map i in 0:N { b[i] = sqrt(a[i]) }", POINTS),
];

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    for &(name, body, iterations) in PROGRAMS.iter().filter(|(name, ..)| name.contains(&filter)) {
        let text = format!("program p(a: f64[N], b: f64[N], s: f64[1], N: i64 symbol) {{ {body} }}");
        let mut program = pel::parse(&text).expect("the programs above are correct");
        assert!(lower::lower_program(&mut program).is_empty(), "{text}");
        let mut prepared = Prepared::new(&program).expect("the programs above are complete");
        let seconds = fastest(&mut prepared, &Options::default());
        let checked = fastest(&mut prepared, &Options { checked: true, ..Options::default() });
        let rate = |seconds: f64| iterations as f64 / seconds / 1e6;
        println!("{name:18} {:6.2} million iterations/s, {:6.2} checked", rate(seconds), rate(checked));
    }
    if let Some(peak) = peak_resident_bytes() {
        println!("peak resident size {:.1} MiB, arrays {:.1} MiB", mib(peak), mib(2 * POINTS * 8 + 8));
    }
}

/// Wall time of the fastest run within half a second.
fn fastest(prepared: &mut Prepared, options: &Options) -> f64 {
    let mut args = Arguments::new();
    for (name, extent) in [("a", POINTS), ("b", POINTS), ("s", 1)] {
        let bytes = std::iter::repeat_n(1.5_f64.to_le_bytes(), extent).flatten().collect();
        args.insert_array(name, Type::F64, 8, &[extent], bytes);
    }
    let began = Instant::now();
    let mut best = f64::INFINITY;
    while began.elapsed() < Duration::from_millis(500) {
        let start = Instant::now();
        match prepared.run(&mut args, options) {
            Ok(Outcome::Done(_)) => best = best.min(start.elapsed().as_secs_f64()),
            other => panic!("{other:?}"),
        }
    }
    best
}

/// `VmHWM` of this process, where the system tells it.
fn peak_resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib * 1024)
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
