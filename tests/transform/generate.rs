//! Small random programs in which rules fire: chains, diamonds and in-place updates of arrays, over ranges that agree or
//! nearly agree, in one state or several, sometimes in a loop.

use pelton::front::pel;

use crate::calls::with_control_flow;
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
        "inline_multistate" => with_control_flow(random),
        "loop_nest_to_map" => nests(random),
        "trivial_map_dimension" => thin(random),
        "reduce_to_map" => reductions(random),
        "redundant_copy_in" | "redundant_copy_out" => copies(random),
        "trivial_condition" | "condition_fusion" | "inline_region" | "move_into_branch" => branches(random),
        "symbol_propagation" => assignments(random),
        "double_write" => double_writes(random),
        "write_back" => write_backs(random),
        "view_removal" => views(random),
        "split_parts" => parts(random, false),
        "map_split_vertical" => parts(random, true),
        "transient_layout" => layouts(random),
        "map_tiling" => crossed(random),
        "map_split_horizontal" => nearly(random),
        "reference_removal" => references(random),
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

/// A map over rows of a matrix, or over all of it, with sources and an index symbol to choose from.
fn any_map(random: &mut Random, sources: &[&str], target: &str, symbols: &[&str]) -> String {
    let source = sources[random.below(sources.len())];
    let index = ["[i, j]", "[j, i]"][random.below(2)];
    let index = if source == target { "[i, j]" } else { index };
    let value = match symbols {
        [] => format!("{source}{index} * {}.5", random.below(4)),
        symbols => format!("{source}{index} * {}", symbols[random.below(symbols.len())]),
    };
    format!("map i in 0:N, j in 0:N {{ {target}[i, j] = {value} }}")
}

/// Conditional blocks in sequence and inside each other, in a loop or not, in regions or not, after states that compute what
/// their branches read; conditions that sizes decide and others.
fn branches(random: &mut Random) -> String {
    let conditions = [
        "N > 3",
        "N > 3",
        "N > 3",
        "k < 0",
        "k >= 0",
        "N < N + 1",
        "k < 5",
        "a[0, 0] > 0.0",
        "N > 100 and k < 0",
        "N > 2 or k >= 0",
        "not (N > 3)",
        "p > 1",
        "k + N > N - 1",
    ];
    let mut edges: Vec<String> = Vec::new();
    let mut blocks: Vec<String> = Vec::new();
    let mut labels: Vec<String> = Vec::new();
    let count = 2 + random.below(3);
    let condition = conditions[random.below(conditions.len())];
    for number in 0..count {
        let state = |random: &mut Random, name: &str, read: &[&str]| {
            let mut body = String::new();
            for _ in 0..random.below(3) {
                let target = ["a", "b", "c", "a"][random.below(4)];
                body.push_str(&any_map(random, read, target, &[]));
                body.push('\n');
            }
            format!("state {name}_{number} {{ {body} }}")
        };
        // What is computed before, for a branch or for both.
        let mut before = String::new();
        for target in ["u", "v"] {
            if random.below(3) > 0 {
                let sources: &[&str] = if target == "v" { &["a", "b", "u"] } else { &["a", "b"] };
                let symbols: &[&str] = if random.below(3) == 0 { &["p", "N"] } else { &[] };
                before.push_str(&any_map(random, sources, target, symbols));
                before.push('\n');
            }
        }
        if random.below(4) == 0 {
            before.push_str(&any_map(random, &["b", "c"], "a", &[]));
        }
        let condition =
            if random.below(3) > 0 { condition } else { conditions[random.below(conditions.len())] };
        let inner = match random.below(4) {
            0 => format!(
                "if {} {{ {} }}",
                conditions[random.below(conditions.len())],
                state(random, "inner", &["u", "v", "b"])
            ),
            1 => format!(
                "region g_{number} {{ {} {} }}",
                state(random, "g", &["u", "b"]),
                state(random, "h", &["v"])
            ),
            _ => String::new(),
        };
        let first = state(random, "yes", &["u", "v", "a", "b"]);
        let other = match random.below(3) {
            0 => format!(" case else {{ {} }}", state(random, "no", &["a", "b", "u"])),
            1 => format!(
                " case {} {{ {} }}",
                conditions[random.below(conditions.len())],
                state(random, "no", &["b", "c"])
            ),
            _ => String::new(),
        };
        if random.below(2) == 0 {
            blocks.push(format!("state before_{number} {{ {before} }}"));
            labels.push(format!("before_{number}"));
        }
        blocks.push(format!("conditional c_{number} {{ case {condition} {{ {first} {inner} }}{other} }}"));
        labels.push(format!("c_{number}"));
    }
    for pair in labels.windows(2) {
        let assigned = if random.below(4) == 0 { " { p = 2 }" } else { "" };
        edges.push(format!("{} -> {}{assigned}", pair[0], pair[1]));
    }
    let filled = "state fill { map i in 0:N, j in 0:N { u[i, j] = b[i, j] } map i in 0:N, j in 0:N { v[i, j] = 1.5 } }";
    let body =
        format!("{filled}\n{}\nfill -> {} {{ p = 1 }}\n{}", blocks.join("\n"), labels[0], edges.join("\n"));
    let body = format!("for k in 0:3 {{\n{body}\n}}");
    matrices(&body)
        .replace("u: f64[N, N], ", "")
        .replace(", u: f64[N, N]", "")
        .replace("  transient t: f64[N]", "  transient u: f64[N, N]\n  transient v: f64[N, N]")
}

/// Symbols that edges assign, one after another, in branches and in loops, read by maps, conditions and loops.
fn assignments(random: &mut Random) -> String {
    let symbols = ["p", "q", "r"];
    let value = |random: &mut Random| match random.below(7) {
        0 => "N".to_owned(),
        1 => "N - 1".to_owned(),
        2 => format!("{} + 1", symbols[random.below(3)]),
        3 => symbols[random.below(3)].to_owned(),
        4 => "min(p, q)".to_owned(),
        _ => format!("{}", random.below(3)),
    };
    let mut number = 0;
    let mut state = |random: &mut Random| {
        number += 1;
        let symbol = symbols[random.below(3)];
        let target = ["a", "b", "c"][random.below(3)];
        let body = match random.below(4) {
            0 => format!("map i in 0:N {{ {target}[i, min(max({symbol}, 0), N - 1)] = u[i, 0] + {symbol} }}"),
            1 => format!("map i in 0:min(max({symbol}, 0), N) {{ {target}[i, 0] = u[i, 1] * 1.5 + i }}"),
            2 => format!("map i in 0:N {{ {target}[i, 1] = u[0, i] * {symbol} }}"),
            _ => String::new(),
        };
        (format!("s{number}"), format!("state s{number} {{ {body} }}"))
    };
    let mut blocks: Vec<String> = Vec::new();
    let mut labels: Vec<String> = Vec::new();
    for at in 0..3 + random.below(4) {
        let (label, text) = state(random);
        match random.below(5) {
            0 => {
                let (second, other) = state(random);
                let symbol = symbols[random.below(3)];
                blocks.push(format!(
                    "conditional c{at} {{ case {symbol} > {} {{ {text} {other} {label} -> {second} {{ {} = {} }} }} }}",
                    random.below(3),
                    symbols[random.below(3)],
                    value(random)
                ));
                labels.push(format!("c{at}"));
            }
            1 => {
                let (second, other) = state(random);
                blocks.push(format!(
                    "loop l{at} (k = 0, k < 2, k = k + 1) {{ {text} {other} {label} -> {second} {{ {} = {} }} }}",
                    symbols[random.below(3)],
                    value(random)
                ));
                labels.push(format!("l{at}"));
            }
            _ => {
                blocks.push(text);
                labels.push(label);
            }
        }
    }
    let edges: Vec<String> = (labels.windows(2))
        .map(|pair| {
            let assigned: Vec<String> = (0..1 + random.below(2))
                .map(|_| format!("{} = {}", symbols[random.below(3)], value(random)))
                .collect();
            format!("{} -> {} {{ {} }}", pair[0], pair[1], assigned.join(", "))
        })
        .collect();
    matrices(&format!(
        "state begin {{ }}\n{}\nbegin -> {} {{ p = 1, q = N - 1, r = {} }}\n{}",
        blocks.join("\n"),
        labels[0],
        random.below(3),
        edges.join("\n")
    ))
}

/// Containers that are written, in part or as a whole, and written again.
fn double_writes(random: &mut Random) -> String {
    let mut body = String::new();
    for _ in 0..3 + random.below(4) {
        let target = ["a", "b"][random.below(2)];
        let range = ["0:N", "0:N", "1:N", "0:N - 1", "0:1"][random.below(5)];
        let source = MATRICES[random.below(4)];
        let index = if source == target { "[i, j]" } else { "[j, i]" };
        let op = if random.below(6) == 0 { "+=" } else { "=" };
        body.push_str(&match random.below(5) {
            0 => format!("copy c[0:N, 0:N] -> {target}[0:N, 0:N]\n"),
            1 => format!("map i in {range} {{ {target}[i, 1] = c[i, 0] * 2.5 }}\n"),
            _ => format!("map i in {range}, j in 0:N {{ {target}[i, j] {op} {source}{index} * 1.5 }}\n"),
        });
    }
    matrices(&format!("state main {{\n{body}}}"))
}

/// Copies into buffers and back: the same elements, others, with a change in between or without.
fn write_backs(random: &mut Random) -> String {
    let matrix = MATRICES[random.below(4)];
    let at = ["0", "1", "N - 1"][random.below(3)];
    let to = if random.below(3) == 0 { ["0", "1"][random.below(2)] } else { at };
    let mut nodes = format!("n0 = access {matrix}\nn1 = access t\nn2 = access {matrix}\n");
    nodes.push_str(&format!("n0 -> n1 : {matrix}[{at}, 0:N] other [0:N]\n"));
    nodes.push_str(&format!("n1 -> n2 : t[0:N] other [{to}, 0:N]\n"));
    if random.below(2) == 0 {
        nodes.push_str("n3 = access c\nn1 -> n3 : t[0:N] other [0:N, 0]\n");
    }
    let maps = |random: &mut Random| match random.below(3) {
        0 => format!("state s{} {{ {} }}\n", random.below(1000), any_map(random, &MATRICES, matrix, &[])),
        _ => String::new(),
    };
    let between = match random.below(3) {
        0 => format!(
            "n4 = tasklet put () -> (y) {{ y = 1.5 }}\nn5 = access {matrix}\nn4.y -> n5 : {matrix}[{at}, 1]\nn0 -> n4\nn5 -> n1\n"
        ),
        _ => String::new(),
    };
    let (first, last) = (maps(random), maps(random));
    matrices(&format!("{first}state main {{\n{nodes}{between}}}\n{last}"))
}

/// Views of rows, columns, windows and wholes of matrices and of a vector, read and written in maps or copied.
fn views(random: &mut Random) -> String {
    let kind = random.below(6);
    let (shape, strides, subset, other) = match kind {
        0 => ("N", "", "a[1, 0:N]", "0:N"),
        1 => ("N", " strides(N)", "a[0:N, 1]", "0:N"),
        2 => ("N, N", "", "a[0:N, 0:N]", "0:N, 0:N"),
        3 => ("N - 1, N - 1", " strides(N, 1)", "a[1:N, 0:N - 1]", "0:N - 1, 0:N - 1"),
        4 => ("N, N", "", "q[1, 0:N, 0:N]", "0:N, 0:N"),
        _ => ("N, N", "", "w[0:N * N]", "0:N, 0:N"),
    };
    let rank = if kind < 2 { 1 } else { 2 };
    let extent = if kind == 3 { "N - 1" } else { "N" };
    let source = &subset[..1];
    let declared = format!("  transient view v: f64[{shape}]{strides}\n  transient t: f64[N]");
    let (params, index, whole) = match rank {
        1 => (format!("i in 0:{extent}"), "[i]".to_owned(), format!("[0:{extent}]")),
        _ => (
            format!("i in 0:{extent}, j in 0:{extent}"),
            ["[i, j]", "[j, i]"][random.below(2)].to_owned(),
            format!("[0:{extent}, 0:{extent}]"),
        ),
    };
    let result = if rank == 1 { "b[i, 0]" } else { "b[i, j]" };
    let (part, part_other) = if rank == 1 { ("[0:2]", "[0:2, 1]") } else { ("[0, 0:1]", "[1, 0:1]") };
    let product = "n3 = library mm \"dace.libraries.blas.nodes.matmul.MatMul\" (_a, _b) -> (_c)\n";
    let main = match random.below(if rank == 1 { 4 } else { 6 }) {
        // Read and written by products.
        4 => format!(
            "n0 = access {source}\nn1 = access v\nn2 = access b\nn4 = access c\n{product}\
             n0 -> n1.views : {subset} other [{other}]\nn1 -> n3._a : v{whole}\n\
             n2 -> n3._b : b{whole}\nn3._c -> n4 : c{whole}\n"
        ),
        5 => format!(
            "n0 = access {source}\nn1 = access v\nn2 = access b\nn4 = access c\n{product}\
             n4 -> n3._a : c{whole}\nn2 -> n3._b : b{whole}\nn3._c -> n1 : v{whole}\n\
             n1.views -> n0 : {subset} other [{other}]\n"
        ),
        // Read in a map.
        0 | 1 => {
            let copy = if random.below(3) == 0 {
                format!("n6 = access c\nn1 -> n6 : v{part} other {part_other}\n")
            } else {
                String::new()
            };
            format!(
                "n0 = access {source}\nn1 = access v\nn2 = map_entry m [{params}]\n\
                 n3 = tasklet twice (x) -> (y) {{ y = x * 2.5 }}\nn4 = map_exit m of n2\nn5 = access b\n\
                 n0 -> n1.views : {subset} other [{other}]\nn1 -> n2.IN_v : v{whole}\n\
                 n2.OUT_v -> n3.x : v{index}\nn3.y -> n4.IN_b : {result}\nn4.OUT_b -> n5 : b[0:N, 0:N]\n{copy}"
            )
        }
        // Written in a map, and read through the same node.
        2 => {
            let again = if random.below(2) == 0 {
                format!("n6 = access c\nn1 -> n6 : v{part} other {part_other}\n")
            } else {
                String::new()
            };
            format!(
                "n0 = access c\nn1 = access v\nn2 = map_entry m [{params}]\n\
                 n3 = tasklet twice (x) -> (y) {{ y = x - 0.5 }}\nn4 = map_exit m of n2\nn5 = access {source}\n\
                 n0 -> n2.IN_c : c[0:N, 0:N]\nn2.OUT_c -> n3.x : {}\nn3.y -> n4.IN_v : v{index}\n\
                 n4.OUT_v -> n1 : v{whole}\nn1.views -> n5 : {subset} other [{other}]\n{again}",
                result.replace('b', "c")
            )
        }
        // Copied into.
        _ => format!(
            "n0 = access c\nn1 = access v\nn5 = access {source}\nn0 -> n1 : c{part_other} other {part}\n\
             n1.views -> n5 : {subset} other [{other}]\n"
        ),
    };
    let before = any_map(random, &["b", "c"], "a", &[]);
    let after = any_map(random, &["a", "b"], "c", &[]);
    let split = random.below(2) == 0;
    let body = match split {
        true => format!("state s0 {{ {before} }}\nstate main {{\n{main}}}\nstate s2 {{ {after} }}"),
        false => format!("state main {{\n{main}}}"),
    };
    matrices(&body)
        .replace("u: f64[N, N]", "u: f64[N, N], w: f64[N * N], q: f64[2, N, N]")
        .replace("  transient t: f64[N]", &declared)
}

/// A transient that two maps and copies write, apart or not, and that others read within a part or across, a map perhaps all
/// of it.
fn parts(random: &mut Random, across: bool) -> String {
    let bounds = [["0", "1", "N"], ["0", "N - 1", "N"], ["0", "1", "N - 1"]][random.below(3)];
    let mut text = String::from("t0 = access t\n");
    for number in 0..2 {
        let (low, high) = (bounds[number], bounds[number + 1]);
        let low = if number == 1 && random.below(8) == 0 { "0" } else { low };
        if random.below(4) == 0 {
            text.push_str(&format!(
                "s{number} = access a\ns{number} -> t0 : a[{low}:{high}, 1] other [{low}:{high}]\n"
            ));
            continue;
        }
        text.push_str(&format!(
            "s{number} = access b\ne{number} = map_entry e [i in {low}:{high}]\n\
             w{number} = tasklet twice (x) -> (y) {{ y = x * {}.5 }}\nx{number} = map_exit e of e{number}\n\
             s{number} -> e{number}.IN_b : b[0:N, 0:N]\ne{number}.OUT_b -> w{number}.x : b[0, i]\n\
             w{number}.y -> x{number}.IN_t : t[i]\nx{number}.OUT_t -> t0 : t[{low}:{high}]\n",
            1 + random.below(3)
        ));
    }
    for number in 0..1 + random.below(3) {
        let which = random.below(2);
        let (low, high) = (bounds[which], bounds[which + 1]);
        let all = across && random.below(2) == 0;
        let low = if all { bounds[0] } else { low };
        let high = if all || random.below(8) == 0 { bounds[2] } else { high };
        if !all && random.below(2) == 0 {
            text.push_str(&format!(
                "c{number} = access c\nt0 -> c{number} : t[{low}:{high}] other [{low}:{high}, min({number}, N - 1)]\n"
            ));
            continue;
        }
        // A neighbour as well, or not.
        let (high, reads) = match all && high == "N" && random.below(3) == 0 {
            true => ("N - 1", format!("f{number}.OUT_t -> r{number}.z : t[i + 1]\n")),
            false => (high, String::new()),
        };
        let (inputs, value) = if reads.is_empty() { ("x", "x - 0.5") } else { ("x, z", "x - z") };
        text.push_str(&format!(
            "f{number} = map_entry f [i in {low}:{high}]\nr{number} = tasklet less ({inputs}) -> (y) {{ y = {value} }}\n\
             g{number} = map_exit f of f{number}\nc{number} = access c\n\
             t0 -> f{number}.IN_t : t[{low}:{}]\nf{number}.OUT_t -> r{number}.x : t[i]\n{reads}\
             r{number}.y -> g{number}.IN_c : c[i, min({number}, N - 1)]\n\
             g{number}.OUT_c -> c{number} : c[0:N, 0:N]\n",
            if reads.is_empty() { high } else { "N" }
        ));
    }
    matrices(&format!("state main {{\n{text}}}"))
}

/// Matrices of their own between arguments of any layout, with loops in any order.
fn layouts(random: &mut Random) -> String {
    let layout = |random: &mut Random| ["", "", " strides(1, N)"][random.below(3)];
    let declared = ["a", "b", "c"].map(|name| format!("{name}: f64[N, N]{}", layout(random)));
    let mut body = String::new();
    let mut sources = vec!["a", "b"];
    for target in ["t", "u", "v", "c"] {
        if target == "v" && random.below(2) == 0 {
            continue;
        }
        let ranges = ["i in 0:N, j in 0:N", "j in 0:N, i in 0:N"][random.below(2)];
        let mut terms = Vec::new();
        for _ in 0..1 + random.below(3) {
            let index = ["[i, j]", "[i, j]", "[N - 1 - i, j]", "[j, i]", "[i, N - 1]"][random.below(5)];
            terms.push(format!("{}{index}", sources[random.below(sources.len())]));
        }
        body.push_str(&format!("map {ranges} {{ {target}[i, j] = ({}) * 1.5 }}\n", terms.join(" - ")));
        if target != "c" && random.below(4) == 0 {
            let part = ["[0:N, 0:N] -> b[0:N, 0:N]", "[1, 0:N] -> b[0:N, 0]", "[0:N, 1] -> b[0, 0:N]"];
            body.push_str(&format!("copy {target}{}\n", part[random.below(3)]));
        }
        if target != "c" {
            sources.push(target);
        }
    }
    let transients = ["t", "u", "v"].map(|name| format!("  transient {name}: f64[N, N]\n")).concat();
    let arguments = declared.join(", ");
    format!("program generated({arguments}, N: i64 symbol) {{\n{transients}state main {{\n{body}}}\n}}")
}

/// Maps that read one matrix over ranges that differ at their ends, or more.
fn nearly(random: &mut Random) -> String {
    let ranges = ["0:N", "0:N", "1:N", "0:N - 1", "1:N - 1", "0:1"];
    let rows = ranges[random.below(ranges.len())];
    let mut body = String::new();
    for target in ["a", "b", "c"] {
        let own = if random.below(2) == 0 { rows } else { ranges[random.below(ranges.len())] };
        let columns = ranges[random.below(3)];
        let params = ["i in R, j in C", "p in R, q in C"][random.below(2)];
        let (i, j) = if params.starts_with('i') { ("i", "j") } else { ("p", "q") };
        let other = MATRICES[random.below(4)];
        let index = if random.below(3) == 0 && other != target {
            format!("[{j}, {i}]")
        } else {
            format!("[{i}, {j}]")
        };
        let params = params.replace('R', own).replace('C', columns);
        let op = if random.below(8) == 0 { "+=" } else { "=" };
        body.push_str(&format!(
            "map {params} {{ {target}[{i}, {j}] {op} u[{i}, {j}] * 2.5 - {other}{index} }}\n"
        ));
        if random.below(3) == 0 {
            break;
        }
    }
    matrices(&format!("state main {{\n{body}}}"))
}

/// Maps whose accesses run along different dimensions, over ranges of more and of fewer iterations than a tile has.
fn crossed(random: &mut Random) -> String {
    let mut body = String::new();
    for _ in 0..1 + random.below(2) {
        let range = |random: &mut Random| ["0:M", "1:M", "0:M - 1", "0:70", "0:8"][random.below(5)];
        let (rows, columns) = (range(random), range(random));
        let ranges = match random.below(4) {
            0 => format!("k in 0:2, i in {rows}, j in {columns}"),
            1 => format!("i in {rows}, k in 0:2, j in {columns}"),
            _ => format!("i in {rows}, j in {columns}"),
        };
        let (target, other) = [("a", "b"), ("b", "c"), ("c", "a")][random.below(3)];
        let plane = if ranges.contains('k') { "k" } else { "1" };
        let turned = ["[1, j, i]", "[0, j, i]", "[1, M - 1 - j, i]"][random.below(3)];
        // Iterations must not meet.
        let second = [format!("{target}[{plane}, i, j]"), format!("{other}[0, i, j]"), "1.5".to_owned()];
        let second = &second[random.below(3)];
        body.push_str(&format!(
            "map {ranges} {{ {target}[{plane}, i, j] = {other}{turned} * 2.5 - {second} }}\n"
        ));
    }
    let arguments = ["a", "b", "c"].map(|name| format!("{name}: f64[2, M, M], ")).concat();
    format!("program generated({arguments}N: i64 symbol) {{\nstate main {{\n{body}}}\n}}")
        .replace('M', "(N + 68)")
}

/// References to rows, columns and windows of a matrix, set once or in a loop, read and written afterwards.
fn references(random: &mut Random) -> String {
    let (shape, strides, subset) = [
        ("N", "", "a[1, 0:N]"),
        ("N", " strides(N)", "a[0:N, 1]"),
        ("N - 1", "", "a[0, 1:N]"),
        ("N", "", "a[k, 0:N]"),
    ][random.below(4)];
    let whole = format!("r[0:{shape}]");
    let aim = format!("n0 = access a\nn1 = access r\nn0 -> n1.set : {subset}\n");
    let read = |node: &str| {
        format!(
            "m0 = map_entry m [i in 0:{shape}]\nm1 = tasklet twice (x) -> (y) {{ y = x * 2.5 }}\n\
             m2 = map_exit m of m0\nm3 = access b\n{node} -> m0.IN_r : {whole}\nm0.OUT_r -> m1.x : r[i]\n\
             m1.y -> m2.IN_b : b[i, 0]\nm2.OUT_b -> m3 : b[0:N, 0:N]\n"
        )
    };
    let write = format!(
        "w0 = map_entry w [i in 0:{shape}]\nw1 = tasklet put () -> (y) {{ y = i * 0.5 }}\n\
         w2 = map_exit w of w0\nw3 = access r\nw0 -> w1\nw1.y -> w2.IN_r : r[i]\nw2.OUT_r -> w3 : {whole}\n"
    );
    let between = any_map(random, &["b", "c"], "a", &[]);
    let use_state = |random: &mut Random, number: usize| match random.below(3) {
        0 => format!("state u{number} {{\n{write}}}\n"),
        1 => format!("state u{number} {{\nq = access r\np = access c\nq -> p : r[0:1] other [0:1, 1]\n}}\n"),
        _ => format!("state u{number} {{\nq = access r\n{}}}\n", read("q")),
    };
    let (first, second) = (use_state(random, 1), use_state(random, 2));
    let set = match random.below(3) {
        0 => format!("state aim {{\n{aim}{}}}\n", read("n1")),
        _ => format!("state aim {{\n{aim}}}\n"),
    };
    let body = format!("{set}{first}state between {{ {between} }}\n{second}");
    let body = if subset.contains('k') { format!("for k in 0:2 {{ {body} }}") } else { body };
    matrices(&body)
        .replace("  transient t: f64[N]", &format!("  transient reference r: f64[{shape}]{strides}"))
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
        "map_fusion_vertical" | "map_fusion_horizontal" | "map_split_horizontal" => {
            vec!["state_fusion", "explicit_order", rule]
        }
        "loop_to_map" | "inline_nested" | "inline_multistate" | "reduce_to_map" | "redundant_copy_in"
        | "redundant_copy_out" | "double_write" | "write_back" | "view_removal" | "reference_removal"
        | "split_parts" | "move_into_branch" | "map_split_vertical" => {
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

/// Rules whose last one is enabled by the one before: how often these fire on generated programs of the one before.
fn enables(rules: &[&str], seeds: std::ops::Range<u64>) -> [usize; 2] {
    let [.., first, _] = rules else { panic!("two rules at least") };
    let mut fired = [0; 2];
    for seed in seeds {
        let text = text_for(first, &mut Random(seed));
        let before = program(&text);
        let (made, report) = after(&before, rules);
        let last = &report.rules[rules.len() - 2..];
        fired = [fired[0] + last[0].fired, fired[1] + if last[0].fired > 0 { last[1].fired } else { 0 }];
        for size in [2, 3, 6] {
            let made = run(&made, size, seed);
            assert_eq!(run(&before, size, seed), made, "seed {seed}, size {size}\n{text}");
        }
    }
    fired
}

#[test]
fn map_split_horizontal_keeps_bits() {
    assert!(holds(&prepared("map_split_horizontal"), 0..RUNS) > 40);
    let rules = [
        "state_fusion",
        "explicit_order",
        "map_fusion_horizontal",
        "map_split_horizontal",
        "map_fusion_horizontal",
    ];
    let [cut, fused] = enables(&rules, 0..RUNS);
    assert!(cut > 20 && fused > 20, "{cut} {fused}");
}

#[test]
fn map_split_vertical_keeps_bits() {
    assert!(holds(&prepared("map_split_vertical"), 40_000..40_000 + RUNS) > 40);
    let [cut, split] = enables(&["explicit_order", "map_split_vertical", "split_parts"], 0..RUNS);
    assert!(cut > 40 && split > 20, "{cut} {split}");
}

#[test]
fn transient_layout_keeps_bits() {
    assert!(holds(&prepared("transient_layout"), 41_000..41_000 + RUNS) > 40);
}

#[test]
fn map_tiling_keeps_bits() {
    assert!(holds(&prepared("map_tiling"), 42_000..42_000 + RUNS / 4) > 20);
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
fn trivial_condition_keeps_bits() {
    assert!(holds(&prepared("trivial_condition"), 30_000..30_000 + RUNS) > 100);
}

#[test]
fn inline_region_keeps_bits() {
    assert!(holds(&prepared("inline_region"), 31_000..31_000 + RUNS) > 40);
}

#[test]
fn condition_fusion_keeps_bits() {
    assert!(holds(&prepared("condition_fusion"), 32_000..32_000 + RUNS) > 40);
}

#[test]
fn move_into_branch_keeps_bits() {
    assert!(holds(&prepared("move_into_branch"), 33_000..33_000 + RUNS) > 20);
}

#[test]
fn symbol_propagation_keeps_bits() {
    assert!(holds(&prepared("symbol_propagation"), 34_000..34_000 + RUNS) > 100);
}

#[test]
fn double_write_keeps_bits() {
    assert!(holds(&prepared("double_write"), 35_000..35_000 + RUNS) > 40);
}

#[test]
fn write_back_keeps_bits() {
    assert!(holds(&prepared("write_back"), 36_000..36_000 + RUNS) > 40);
}

#[test]
fn reference_removal_keeps_bits() {
    assert!(holds(&prepared("reference_removal"), 38_000..38_000 + RUNS) > 100);
}

#[test]
fn split_parts_keeps_bits() {
    assert!(holds(&prepared("split_parts"), 39_000..39_000 + RUNS) > 40);
}

#[test]
fn view_removal_keeps_bits() {
    assert!(holds(&prepared("view_removal"), 37_000..37_000 + RUNS) > 100);
}

#[test]
fn inline_nested_keeps_bits() {
    assert!(holds(&prepared("inline_nested"), 18_000..18_000 + RUNS) > 40);
}

#[test]
fn inline_multistate_keeps_bits() {
    assert!(holds(&prepared("inline_multistate"), 43_000..43_000 + RUNS) > 200);
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
        "inline_multistate",
        "loop_nest_to_map",
        "trivial_map_dimension",
        "redundant_copy_in",
        "trivial_condition",
        "symbol_propagation",
        "double_write",
        "write_back",
        "view_removal",
        "reference_removal",
        "split_parts",
        "map_split_vertical",
        "transient_layout",
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
