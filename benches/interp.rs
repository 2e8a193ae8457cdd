//! How fast the reference interpreter is: map iterations per second for small maps, one tasklet each.
//!
//! ```text
//! cargo bench --bench interp            # a table
//! cargo bench --bench interp -- axpy    # only programs whose name contains the text
//! cargo bench --bench interp -- --unchecked
//! ```
//!
//! Each program is run until half a second has passed; the mean counts. Seconds are those that this
//! thread spent on a processor where the system tells them (Linux), so that other work on the machine does not
//! count; else wall time. The last line is memory: peak resident size after all runs, against the bytes of the
//! arrays.

#[path = "support/allocator.rs"]
mod allocator;

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
    let with_checks = !std::env::args().any(|arg| arg == "--unchecked");
    for &(name, body, iterations) in PROGRAMS.iter().filter(|(name, ..)| name.contains(&filter)) {
        let text = format!("program p(a: f64[N], b: f64[N], s: f64[1], N: i64 symbol) {{ {body} }}");
        let mut program = pel::parse(&text).expect("the programs above are correct");
        assert!(lower::lower_program(&mut program).is_empty(), "{text}");
        let mut prepared = Prepared::new(&program).expect("the programs above are complete");
        let seconds = seconds_per_run(&mut prepared, &Options::default());
        let rate = |seconds: f64| iterations as f64 / seconds / 1e6;
        print!("{name:18} {:6.2} million iterations/s", rate(seconds));
        if with_checks {
            let checked = seconds_per_run(&mut prepared, &Options { checked: true, ..Options::default() });
            print!(", {:6.2} checked", rate(checked));
        }
        println!();
    }
    if let Some(peak) = peak_resident_bytes() {
        println!("peak resident size {:.1} MiB, arrays {:.1} MiB", mib(peak), mib(2 * POINTS * 8 + 8));
    }
}

/// What this thread spent on a processor until now.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds * 1e-9)
}

/// Seconds of one run, in the mean over half a second.
fn seconds_per_run(prepared: &mut Prepared, options: &Options) -> f64 {
    let mut args = Arguments::new();
    for (name, extent) in [("a", POINTS), ("b", POINTS), ("s", 1)] {
        let bytes = std::iter::repeat_n(1.5_f64.to_le_bytes(), extent).flatten().collect();
        args.insert_array(name, Type::F64, 8, &[extent], bytes);
    }
    let (began, before) = (Instant::now(), processor_seconds());
    let mut runs = 0.0;
    while began.elapsed() < Duration::from_millis(500) {
        let outcome = prepared.run(&mut args, options);
        assert!(matches!(outcome, Ok(Outcome::Done(_))), "{outcome:?}");
        runs += 1.0;
    }
    match (before, processor_seconds()) {
        (Some(before), Some(after)) => (after - before) / runs,
        _ => began.elapsed().as_secs_f64() / runs,
    }
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
