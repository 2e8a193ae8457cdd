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

/// A program for a rule that the programs of [`text`] have nothing for.
fn text_for(rule: &str, random: &mut Random) -> String {
    match rule {
        "loop_to_map" => loops(random, &["0:N", "1:N", "0:N - 1", "down"]),
        "trivial_loop" => loops(random, &["0:1", "N - 1:N", "1:1", "0:N", "1:2"]),
        "map_collapse" | "map_dimension_order" => deep(random),
        "inline_nested" => calls(random),
        "loop_nest_to_map" => nests(random),
        "trivial_map_dimension" => thin(random),
        "reduce_to_map" => reductions(random),
        "redundant_copy_in" | "redundant_copy_out" => copies(random),
        "map_fusion_vertical" if random.below(3) == 0 => columns(random),
        _ => text(random),
    }
}

/// Nested graphs over rows, columns and wholes of matrices, in a map and outside.
fn calls(random: &mut Random) -> String {
    let mut body = String::from("state main {\n");
    let (source, target) = (MATRICES[random.below(4)], MATRICES[random.below(4)]);
    let in_map = random.below(3) == 0;
    let row = if in_map { "r" } else { ["0", "N - 1", "1"][random.below(3)] };
    // What the nested graph sees of a matrix: the type of its argument and the memlet.
    let seen = |kind: usize| match kind {
        0 => ("f64[n, n]".to_owned(), "[0:N, 0:N]".to_owned()),
        1 => ("f64[n] strides(n)".to_owned(), format!("[0:N, {row}]")),
        _ => ("f64[n]".to_owned(), format!("[{row}, 0:N]")),
    };
    let written = if in_map { 2 - random.below(2) } else { random.below(3) };
    let read = random.below(3);
    // Iterations of a map must not meet.
    let read = if in_map && source == target { written } else { read };
    let ((x, from), (y, to)) = (seen(read), seen(written));
    let at = |kind: usize, index: &str| match kind {
        0 => format!("[{index}, k]"),
        _ => format!("[{index}]"),
    };
    let value = format!("x{} * {}.5", at(read, ["i", "n - 1 - i"][random.below(2)]), random.below(4));
    let statements = match random.below(3) {
        0 => format!(
            "map i in 0:n {{ l[i] = {value} }} map i in 0:n {{ y{} = l[n - 1 - i] + k }}",
            at(written, "i")
        ),
        1 => format!("map i in 1:n {{ y{} = {value} - x{} }}", at(written, "i - 1"), at(read, "i")),
        _ => format!("map i in 0:n {{ y{} = {value} }}", at(written, "i")),
    };
    let graph = format!(
        "nested inner (x) -> (y) with (n = N, k = {}) graph inner(x: {x}, y: {y}, n: i64 symbol, k: i64 symbol) {{\n\
         transient l: f64[n]\nstate inside {{ {statements} }}\n}}",
        ["0", "N - 1", "1"][random.below(3)]
    );
    body.push_str(&format!("n0 = access {source}\nn1 = access {target}\n"));
    if in_map {
        body.push_str(&format!(
            "n2 = map_entry rows [r in 0:N]\nn3 = {graph}\nn4 = map_exit rows of n2\n\
             n0 -> n2.IN_x : {source}[0:N, 0:N]\nn2.OUT_x -> n3.x : {source}{from}\n\
             n3.y -> n4.IN_y : {target}{to}\nn4.OUT_y -> n1 : {target}[0:N, 0:N]\n}}"
        ));
    } else {
        body.push_str(&format!("n3 = {graph}\nn0 -> n3.x : {source}{from}\nn3.y -> n1 : {target}{to}\n}}"));
    }
    let (before, after) = ("a", "b");
    let before =
        format!("state first {{ map i in 0:N, j in 0:N {{ {source}[i, j] = {before}[i, j] + 1 }} }}\n");
    let after =
        format!("\nstate last {{ map i in 0:N, j in 0:N {{ c[i, j] = {target}[j, i] - {after}[i, j] }} }}");
    matrices(&match random.below(3) {
        0 => format!("{before}{body}{after}"),
        1 => format!("{before}{body}"),
        _ => body,
    })
}

const MATRICES: [&str; 4] = ["a", "b", "c", "u"];

fn matrices(body: &str) -> String {
    let declare =
        |names: &[&str]| names.iter().map(|n| format!("{n}: f64[N, N]")).collect::<Vec<_>>().join(", ");
    format!("program generated({}, N: i64 symbol) {{\n  transient t: f64[N]\n{body}\n}}", declare(&MATRICES))
}

/// One or two loops around a state of maps and single statements, whose iterations depend on each other or not.
fn loops(random: &mut Random, ranges: &[&str]) -> String {
    let mut body = String::new();
    for number in 0..1 + random.below(2) {
        let range = ranges[random.below(ranges.len())];
        let mut written = false;
        let mut statements = String::new();
        for _ in 0..1 + random.below(3) {
            let vector = random.below(3) > 0;
            let (row, col) = ("k", if vector { "j" } else { "0" });
            let place = |random: &mut Random| match random.below(6) {
                0 if range == "1:N" => format!("[{row} - 1, {col}]"),
                1 => format!("[{col}, {row}]"),
                2 => format!("[N - 1 - {row}, {col}]"),
                _ => format!("[{row}, {col}]"),
            };
            let target = MATRICES[random.below(4)];
            let index = place(random);
            let local = vector && random.below(3) == 0;
            let mut terms: Vec<String> = Vec::new();
            for _ in 0..1 + random.below(2) {
                let source = MATRICES[random.below(4)];
                // Iterations of the inner map must not meet.
                let at = if source == target { index.clone() } else { place(random) };
                terms.push(format!("{source}{at}"));
            }
            if written && vector {
                terms.push("t[j]".to_owned());
            }
            let target = if local { "t[j]".to_owned() } else { format!("{target}{index}") };
            let factor = if random.below(3) == 0 { "k".to_owned() } else { format!("{}.5", random.below(4)) };
            let value = format!("({}) * {factor}", terms.join(" - "));
            written |= local;
            match vector {
                true => statements.push_str(&format!("map j in 0:N {{ {target} = {value} }}\n")),
                false => statements.push_str(&format!("{target} = {value}\n")),
            }
        }
        let head = match range {
            "down" => format!("loop l{number} (k = N - 1, k >= 0, k = k - 1)"),
            range => format!("for k in {range}"),
        };
        body.push_str(&format!("{head} {{ state s{number} {{\n{statements}}} }}\n"));
    }
    matrices(&body)
}

/// Loops around states and loops, over rows or columns that are an iteration's own or not.
fn nests(random: &mut Random) -> String {
    let range = ["0:N", "1:N", "0:N - 1"][random.below(3)];
    let by_column = random.below(3) == 0;
    let own = |column: &str| match by_column {
        true => format!("[{column}, i]"),
        false => format!("[i, {column}]"),
    };
    let mut scalar = false;
    let mut statement = |random: &mut Random, columns: &[&str], start: bool| {
        let column = columns[random.below(columns.len())];
        let target = MATRICES[random.below(4)];
        let mut terms: Vec<String> = Vec::new();
        for _ in 0..1 + random.below(2) {
            let source = MATRICES[random.below(4)];
            let other = match random.below(8) {
                0 if range == "1:N" => "[i - 1, 0]".to_owned(),
                1 => format!("[{column}, i]"),
                _ => own(column),
            };
            terms.push(format!("{source}{}", if source == target { own(column) } else { other }));
        }
        if scalar {
            terms.push("s".to_owned());
        }
        let value = format!("({}) * {}.5", terms.join(" - "), random.below(3));
        if start && random.below(2) == 0 {
            scalar = true;
            return format!("s = {value}");
        }
        match random.below(3) {
            0 => format!(
                "map j in 0:N {{ {target}{} = {} }}",
                own("j"),
                value.replace(&own(column), &own("j"))
            ),
            1 => format!("{target}{} = i", own(column)),
            _ => format!("{target}{} = {value}", own(column)),
        }
    };
    let first = statement(random, &["0", "N - 1"], true);
    let inner = ["0:N", "0:i + 1", "1:N"][random.below(3)];
    let second = statement(random, &["k", "k", "0"], false);
    let third = statement(random, &["0", "1"], false);
    let middle = match random.below(4) {
        0 => format!("for k in {inner} {{ state s1 {{ {second} }} state s2 {{ {third} }} }}"),
        _ => format!("for k in {inner} {{ state s1 {{ {second} }} }}"),
    };
    let last = if random.below(2) == 0 { format!("state s3 {{ {third} }}") } else { String::new() };
    let body = format!("for i in {range} {{ state s0 {{ {first} }} {middle} {last} }}");
    // Around it a loop that repeats it, or none.
    let body = if random.below(3) == 0 { format!("for r in 0:2 {{ {body} }}") } else { body };
    matrices(&body).replace("  transient t: f64[N]", "  transient s: f64")
}

/// Maps with dimensions of one value, in a loop or not.
fn thin(random: &mut Random) -> String {
    let mut body = String::new();
    for _ in 0..1 + random.below(3) {
        let one = ["k:k + 1", "0:1", "N - 1:N", "1:2", "0:N"][random.below(5)];
        let other = ["0:N", "1:N", "k:k + 1"][random.below(3)];
        let ranges = match random.below(3) {
            0 => format!("map i in {one}, j in {other}"),
            1 => format!("map j in {other}, i in {one}"),
            _ => format!("map i in {one}, j in i:N"),
        };
        let (target, index) = (MATRICES[random.below(4)], ["[i, j]", "[j, i]"][random.below(2)]);
        let mut terms = Vec::new();
        for _ in 0..1 + random.below(2) {
            let source = MATRICES[random.below(4)];
            let other = ["[i, j]", "[j, i]", "[N - 1 - i, j]"][random.below(3)];
            terms.push(format!("{source}{}", if source == target { index } else { other }));
        }
        let factor = ["2.5", "i", "(j + i)"][random.below(3)];
        let statement = format!("{target}{index} = ({}) * {factor}", terms.join(" - "));
        match random.below(4) {
            0 => body.push_str(&format!("{ranges} {{ map l in 0:2 {{ u[i, l] = b[l, j] + {factor} }} }}\n")),
            _ => body.push_str(&format!("{ranges} {{ {statement} }}\n")),
        }
    }
    // Iterations of the maps with an inner map all write the same elements, so these run in order.
    let body = body.replace(" { map l", " sequential { map l");
    matrices(&format!("for k in 0:N {{ state work {{\n{body}}} }}"))
}

/// A matrix that a map computes and a reduction folds along one dimension or both, perhaps read by somebody else, too.
fn reductions(random: &mut Random) -> String {
    let (from, length) = [("0", "N"), ("0", "N"), ("1", "N - 1")][random.below(3)];
    let range = format!("{from}:N");
    let order = [format!("i in {range}, j in {range}"), format!("j in {range}, i in {range}")];
    let element = ["i, j", "i, j", "j, i", "i, j - 1"][random.below(4)];
    let value = ["x * x", "x + 1.5", "exp(x * 0.001)"][random.below(3)];
    let (function, identity) =
        [("x + y", "0"), ("x + y", "null"), ("max(x, y)", "-1e30"), ("x * y", "1.0"), ("x - y", "0")]
            [random.below(5)];
    let (axes, target) = match random.below(5) {
        0 => ("[0, 1]", "s[0]".to_owned()),
        1 => ("null", "s[0]".to_owned()),
        2 => ("[-1]", format!("r[{range}]")),
        3 => ("[1]", format!("r[0:{length}]")),
        _ => ("[0]", format!("r[{range}]")),
    };
    let result = &target[..1];
    // The map may compute more than what is folded.
    let (map, source, made) = match element {
        "i, j - 1" => ("i in 0:N, j in 1:N + 1".to_owned(), "i, j - 1", "0:N"),
        _ => (order[random.below(2)].clone(), "i, j", range.as_str()),
    };
    let mut lines = vec![
        format!("begin = map_entry make [{map}]"),
        format!("make = tasklet make (x) -> (y) {{ y = {value} }}"),
        "end = map_exit make of begin".to_owned(),
        format!(
            "fold = library fold \"dace.libraries.standard.nodes.reduce.Reduce\" () -> () properties \
             @{{\"wcr\":\"lambda x, y: {function}\",\"axes\":{axes},\"identity\":{identity}}}"
        ),
        "n0 = access a\nn1 = access t\nn2 = access b".to_owned(),
        format!("n3 = access {result}"),
        format!("n0 -> begin.IN_a : a[0:N, 0:N]\nbegin.OUT_a -> make.x : a[{source}]"),
        format!("make.y -> end.IN_t : t[{element}]\nend.OUT_t -> n1 : t[{made}, {made}]"),
        format!("n1 -> fold : t[{range}, {range}]\nfold -> n3 : {target}"),
    ];
    if random.below(6) == 0 {
        lines.push(format!("n1 -> n2 : t[{made}, {made}]"));
    }
    format!(
        "program generated(a: f64[N, N], b: f64[N, N], r: f64[N], s: f64[1], N: i64 symbol) {{\n\
         transient t: f64[N, N]\nstate main {{\n{}\n}}\n}}",
        lines.join("\n")
    )
}

/// Copies of rows, columns, parts and wholes into a transient that is read, or out of one that is written.
fn copies(random: &mut Random) -> String {
    let matrix = MATRICES[random.below(4)];
    let (part, offset) = [("0:N", "0"), ("0:N", "0"), ("1:N", "1")][random.below(3)];
    let length = if offset == "0" { "N" } else { "N - 1" };
    let at = ["0", "N - 1", "1"][random.below(3)];
    let window = match random.below(2) {
        0 => format!("{matrix}[{at}, {part}]"),
        _ => format!("{matrix}[{part}, {at}]"),
    };
    let (source, target) = (MATRICES[random.below(4)], MATRICES[random.below(4)]);
    let reversed = format!("{length} - 1 - i");
    let index = ["i", reversed.as_str()][random.below(2)];
    let other = format!("{source}[i, {}]", ["0", "i", "1"][random.below(3)]);
    let mut statements = if random.below(2) == 0 {
        // The reader must not meet what it reads of the container itself.
        format!(
            "copy {window} -> t[0:{length}]\nmap i in 0:{length} {{ {target}[i, 1] = t[{index}] * 2.5 }}\n"
        )
    } else {
        format!("map i in 0:{length} {{ t[i] = {other} + 1.5 }}\ncopy t[0:{length}] -> {window}\n")
    };
    if random.below(3) == 0 {
        statements.push_str(&format!("map i in 0:N, j in 0:N {{ c[i, j] = {matrix}[i, j] + u[i, j] }}\n"));
    }
    if random.below(3) == 0 {
        statements = format!("map i in 0:N {{ {matrix}[i, 0] = i * 0.5 }}\n{statements}");
    }
    let declared = format!("  transient t: f64[{length}]");
    matrices(&format!("state main {{\n{statements}}}")).replace("  transient t: f64[N]", &declared)
}

/// Values of a column that is read, in a loop over columns that are written: other ones, or the same.
fn columns(random: &mut Random) -> String {
    let place = |random: &mut Random| ["k", "k - 1", "k - 1", "N - 1", "0"][random.below(5)];
    let (source, first, second) =
        (MATRICES[random.below(4)], MATRICES[random.below(4)], MATRICES[random.below(4)]);
    let (read, to, then) = (place(random), place(random), place(random));
    let other = place(random);
    let own = |name: &str, column: &str| format!("{name}[i, {column}]");
    let mut statements = format!("map i in 0:N {{ t[i] = {} * 2.5 }}\n", own(source, read));
    statements.push_str(&format!("map i in 0:N {{ {} = t[i] + 1.5 }}\n", own(first, to)));
    if random.below(2) == 0 {
        let term = if second == "c" { own("c", then) } else { own("c", other) };
        statements.push_str(&format!("map i in 0:N {{ {} = {term} - t[i] }}\n", own(second, then)));
    }
    matrices(&format!("for k in 1:N {{ state work {{\n{statements}}} }}"))
}

/// Maps inside maps, and maps that run along columns.
fn deep(random: &mut Random) -> String {
    let mut body = String::from("state main {\n");
    for _ in 0..1 + random.below(3) {
        let (open, close) = [
            ("map i in 0:N { map j in 0:N {", "} }"),
            ("map i in 0:N { map j in 0:i + 1 {", "} }"),
            ("map j in 0:N, i in 0:N {", "}"),
            ("map i in 0:N, j in 0:N {", "}"),
            ("map j in 0:N { map i in 1:N sequential {", "} }"),
        ][random.below(5)];
        let statement = |random: &mut Random, target: &str| {
            let index = ["[i, j]", "[j, i]"][random.below(2)];
            let mut terms: Vec<String> = Vec::new();
            for _ in 0..1 + random.below(3) {
                let source = MATRICES[random.below(4)];
                let other = ["[i, j]", "[i, j]", "[j, i]"][random.below(3)];
                terms.push(format!("{source}{}", if source == target { index } else { other }));
            }
            let op = if random.below(6) == 0 { "+=" } else { "=" };
            format!("{target}{index} {op} {} * 1.5\n", terms.join(" + "))
        };
        let first = statement(random, "a");
        let second = if random.below(3) == 0 { statement(random, "b") } else { String::new() };
        // The second statement must not meet what the first one writes at another place.
        let meets = second.contains("a[") || first.contains("b[");
        let second = if meets { String::new() } else { second };
        body.push_str(&format!("{open}\n{first}{second}{close}\n"));
    }
    body.push('}');
    matrices(&body)
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
        let text = text_for(rules.last().copied().unwrap_or_default(), &mut Random(seed));
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
        "loop_to_map" | "inline_nested" | "reduce_to_map" | "redundant_copy_in" | "redundant_copy_out" => {
            vec!["explicit_order", rule]
        }
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
fn loop_to_map_keeps_bits() {
    assert!(holds(&prepared("loop_to_map"), 11_000..11_000 + RUNS) > 40);
}

#[test]
fn loop_nest_to_map_keeps_bits() {
    assert!(holds(&prepared("loop_nest_to_map"), 20_000..20_000 + RUNS) > 40);
}

#[test]
fn keep_transients_keeps_bits() {
    assert!(holds(&prepared("keep_transients"), 0..RUNS) > 20);
}

#[test]
fn reduce_to_map_keeps_bits() {
    assert!(holds(&prepared("reduce_to_map"), 0..RUNS) > 200);
    // With what it enables.
    let rules = [
        "explicit_order",
        "map_fusion_vertical",
        "map_dimension_order",
        "reduce_to_map",
        "map_fusion_vertical",
    ];
    let mut fused = 0;
    for seed in 0..RUNS {
        let before = program(&reductions(&mut Random(seed)));
        let (made, report) = after(&before, &rules);
        fused += report.rules.last().map_or(0, |rule| rule.fired);
        for size in [2, 3, 6] {
            assert_eq!(run(&before, size, seed), run(&made, size, seed), "seed {seed}, size {size}");
        }
    }
    assert!(fused > 150, "{fused}");
}

#[test]
fn trivial_map_dimension_keeps_bits() {
    assert!(holds(&prepared("trivial_map_dimension"), 26_000..26_000 + RUNS) > 100);
}

#[test]
fn redundant_copy_in_keeps_bits() {
    assert!(holds(&prepared("redundant_copy_in"), 22_000..22_000 + RUNS) > 20);
}

#[test]
fn redundant_copy_out_keeps_bits() {
    assert!(holds(&prepared("redundant_copy_out"), 24_000..24_000 + RUNS) > 20);
}

#[test]
fn inline_nested_keeps_bits() {
    assert!(holds(&prepared("inline_nested"), 18_000..18_000 + RUNS) > 40);
}

#[test]
fn trivial_loop_keeps_bits() {
    assert!(holds(&prepared("trivial_loop"), 12_000..12_000 + RUNS) > 40);
}

#[test]
fn map_collapse_keeps_bits() {
    assert!(holds(&prepared("map_collapse"), 13_000..13_000 + RUNS) > 40);
}

#[test]
fn map_dimension_order_keeps_bits() {
    assert!(holds(&prepared("map_dimension_order"), 14_000..14_000 + RUNS) > 40);
}

/// Loops and maps inside maps, under all rules.
#[test]
fn the_whole_pipeline_keeps_bits_of_structured_programs() {
    let rules = [
        "loop_to_map",
        "trivial_loop",
        "map_collapse",
        "inline_nested",
        "loop_nest_to_map",
        "trivial_map_dimension",
        "redundant_copy_in",
    ];
    for (number, rule) in rules.into_iter().enumerate() {
        for seed in 0..RUNS / 2 {
            let text = text_for(rule, &mut Random(15_000 + 1000 * number as u64 + seed));
            let before = program(&text);
            let (made, _) = after(&before, pelton::transform::OPTIMIZE);
            for size in [2, 5] {
                assert_eq!(
                    run(&before, size, seed),
                    run(&made, size, seed),
                    "{text}\n{}",
                    pel::print_brief(&made)
                );
            }
        }
    }
}

#[test]
fn the_whole_pipeline_keeps_bits() {
    let tried = tried(pelton::transform::OPTIMIZE, 6000..6000 + 2 * RUNS);
    assert_eq!(tried.failures.first(), None, "{} failures", tried.failures.len());
    assert!(tried.compared > 1000, "{}", tried.compared);
}
