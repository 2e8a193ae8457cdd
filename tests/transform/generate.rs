//! Small random programs in which rules fire: chains, diamonds and in-place updates of arrays, over ranges that agree or
//! nearly agree, in one state or several, sometimes in a loop.

use pelton::front::pel;

use crate::support::{Random, after, program, run, without_order};

/// A program text and the number of its statements.
pub fn text(random: &mut Random) -> String {
    let dims = 1 + random.below(2);
    let rank = vec!["N"; dims].join(", ");
    let arguments = ["a", "b", "c"];
    let transients = ["t", "u", "v", "w"];
    let mut lines = Vec::new();
    let statements = 2 + random.below(6);
    let mut written: Vec<&str> = arguments.to_vec();
    let mut open = false;
    let several_states = random.below(3) == 0;
    for number in 0..statements {
        if several_states && (number == 0 || random.below(3) == 0) {
            if open {
                lines.push("}".to_owned());
            }
            lines.push(format!("state s{number} {{"));
            open = true;
        } else if number == 0 {
            lines.push("state main {".to_owned());
            open = true;
        }
        let is_last = number + 1 == statements;
        let target = if is_last || random.below(3) == 0 {
            arguments[random.below(3)]
        } else {
            transients[random.below(4)]
        };
        lines.push(statement(random, dims, &written, target));
        if !written.contains(&target) {
            written.push(target);
        }
    }
    lines.push("}".to_owned());
    let body = lines.join("\n");
    let body = match random.below(4) {
        0 => format!("for k in 0:2 {{\n{body}\n}}"),
        _ => body,
    };
    let declare = |names: &[&str]| names.iter().map(|n| format!("{n}: f64[{rank}]")).collect::<Vec<_>>();
    let transient: Vec<String> =
        declare(&transients).iter().map(|text| format!("transient {text}")).collect();
    format!(
        "program generated({}, N: i64 symbol) {{\n{}\n{body}\n}}",
        declare(&arguments).join(", "),
        transient.join("\n")
    )
}

fn statement(random: &mut Random, dims: usize, sources: &[&str], target: &str) -> String {
    let margin = random.below(2);
    let params: Vec<&str> = ["i", "j"][..dims].to_vec();
    let params: Vec<&str> = if random.below(4) == 0 { ["p", "q"][..dims].to_vec() } else { params };
    // A transient is written in full, so that nothing undefined is read.
    let is_transient = !["a", "b", "c"].contains(&target);
    let (low, high) = if is_transient || margin == 0 { ("0", "N") } else { ("1", "N - 1") };
    let (low, high) = if !is_transient && random.below(12) == 0 { ("N", "N") } else { (low, high) };
    let ranges: Vec<String> = params.iter().map(|param| format!("{param} in {low}:{high}")).collect();
    let inner = low == "1";
    let mut terms = Vec::new();
    for _ in 0..1 + random.below(3) {
        let source = sources[random.below(sources.len())];
        let index: Vec<String> = params
            .iter()
            .map(|param| match (inner, random.below(4)) {
                (true, 0) => format!("{param} - 1"),
                (true, 1) => format!("{param} + 1"),
                (false, 0) if source != target => format!("N - 1 - {param}"),
                _ => (*param).to_owned(),
            })
            .collect();
        // Reading a neighbour of what the same map writes would be a race.
        let own: Vec<String> = params.iter().map(|param| (*param).to_owned()).collect();
        let index = if source == target { own } else { index };
        terms.push(format!("{source}[{}]", index.join(", ")));
    }
    let factor = random.below(5);
    let op = ["+", "*", "-"][random.below(3)];
    let value = match random.below(6) {
        0 => format!("exp({} * 0.001)", terms[0]),
        _ => format!("{} * {factor}.1", terms.join(&format!(" {op} "))),
    };
    format!("map {} {{ {target}[{}] = {value} }}", ranges.join(", "), params.join(", "))
}

/// What came of trying rules on generated programs.
#[derive(Default)]
pub struct Tried {
    /// Programs in which the last rule fired.
    pub fired: usize,
    /// Applications of the last rule.
    pub applications: usize,
    /// Runs compared.
    pub compared: usize,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// Tries the rules on the programs of these seeds.
pub fn tried(rules: &[&str], seeds: std::ops::Range<u64>) -> Tried {
    let mut tried = Tried::default();
    for seed in seeds {
        let text = text(&mut Random(seed));
        let mut before = program(&text);
        if rules.contains(&"explicit_order") && seed % 2 == 0 {
            without_order(&mut before);
        }
        let (made, report) = after(&before, rules);
        let last = report.rules.last().map_or(0, |rule| rule.fired);
        tried.fired += usize::from(last > 0);
        tried.applications += last;
        if report.fired() == 0 {
            continue;
        }
        for size in [2, 3, 6] {
            let reference = run(&before, size, seed);
            let found = run(&made, size, seed);
            tried.compared += 1;
            if reference.is_err() || reference != found {
                let why = reference.err().or(found.err()).unwrap_or_else(|| "other bits".into());
                let made = pel::print_brief(&made);
                tried.failures.push(format!("seed {seed}, size {size}, {rules:?}: {why}\n{text}\n{made}"));
            }
        }
    }
    tried
}

fn holds(rules: &[&str], seeds: std::ops::Range<u64>) -> usize {
    let tried = tried(rules, seeds);
    assert!(
        tried.failures.is_empty(),
        "{} failures; the first:\n{}",
        tried.failures.len(),
        tried.failures[0]
    );
    tried.fired
}

/// What has to run before a rule for it to find work in generated programs.
pub fn prepared(rule: &'static str) -> Vec<&'static str> {
    match rule {
        "map_fusion_vertical" | "map_fusion_horizontal" => vec!["state_fusion", "explicit_order", rule],
        _ => vec![rule],
    }
}

const RUNS: u64 = 400;

#[test]
fn state_fusion_keeps_bits() {
    assert!(holds(&prepared("state_fusion"), 0..RUNS) > 20);
}

#[test]
fn dead_dataflow_keeps_bits() {
    assert!(holds(&prepared("dead_dataflow"), 1000..1000 + RUNS) > 20);
}

#[test]
fn map_fusion_vertical_keeps_bits() {
    assert!(holds(&prepared("map_fusion_vertical"), 2000..2000 + 2 * RUNS) > 100);
}

#[test]
fn map_fusion_horizontal_keeps_bits() {
    assert!(holds(&prepared("map_fusion_horizontal"), 4000..4000 + 2 * RUNS) > 100);
}

#[test]
fn explicit_order_keeps_bits() {
    assert!(holds(&prepared("explicit_order"), 8000..8000 + RUNS) > 20);
}

#[test]
fn split_transients_keeps_bits() {
    assert!(holds(&prepared("split_transients"), 9000..9000 + RUNS) > 20);
}

#[test]
fn empty_range_keeps_bits() {
    assert!(holds(&prepared("empty_range"), 10_000..10_000 + RUNS) > 5);
}

#[test]
fn the_whole_pipeline_keeps_bits() {
    let tried = tried(pelton::transform::OPTIMIZE, 6000..6000 + 2 * RUNS);
    assert_eq!(tried.failures.first(), None, "{} failures", tried.failures.len());
    assert!(tried.compared > 1000, "{}", tried.compared);
}
