//! Random programs with nested graphs of several blocks: over rows, columns and wholes of matrices, with symbols that mean
//! something else outside, containers of their own, loops, conditions, assignments, and dataflow around them in one state.

use crate::support::Random;

const MATRICES: [&str; 4] = ["a", "b", "c", "u"];

/// One of these.
fn one<'a>(random: &mut Random, choices: &[&'a str]) -> &'a str {
    choices[random.below(choices.len())]
}

/// What an argument is: a whole matrix, a column or a row, as the nested graph and the memlet say.
#[derive(Clone, Copy)]
struct Seen {
    kind: usize,
    at: &'static str,
}

impl Seen {
    fn any(random: &mut Random) -> Seen {
        Seen { kind: random.below(3), at: one(random, &["0", "N - 1", "1", "p"]) }
    }

    fn declared(self, size: &str) -> String {
        match self.kind {
            0 => format!("f64[{size}, {size}]"),
            1 => format!("f64[{size}] strides({size})"),
            _ => format!("f64[{size}]"),
        }
    }

    fn memlet(self) -> String {
        match self.kind {
            0 => "[0:N, 0:N]".to_owned(),
            1 => format!("[0:N, {}]", self.at),
            _ => format!("[{}, 0:N]", self.at),
        }
    }

    fn element(self, index: &str) -> String {
        match self.kind {
            0 => format!("[{index}, 1]"),
            _ => format!("[{index}]"),
        }
    }
}

/// Statements of a nested graph with arguments `x` and `y`, its own `l` and `s`, and symbols `size` and `k`; `k` may be assigned.
fn body(random: &mut Random, x: Seen, y: Seen, size: &str, k: &str) -> String {
    let mut blocks: Vec<String> = Vec::new();
    let mut written = false;
    let count = 2 + random.below(3);
    for number in 0..count {
        let index = one(random, &["i", "n - 1 - i"]).replace('n', size);
        let mut value = format!("x{} * {}.5", x.element(&index), random.below(4));
        if written && random.below(2) == 0 {
            value = format!("l[{index}] - {value}");
        }
        if random.below(2) == 0 {
            value = format!("({value}) + {k}");
        }
        let local = random.below(3) == 0;
        let target = if local { "l[i]".to_owned() } else { format!("y{}", y.element("i")) };
        let state =
            |name: &str| format!("state {name}{number} {{ map i in 0:{size} {{ {target} = {value} }} }}");
        let block = match random.below(6) {
            0 => format!("for i in 1:{size} {{ state s{number} {{ {target} = {value} }} }}"),
            1 => {
                let y = format!("y{}", y.element("0"));
                let condition = one(random, &["k > 1", "k == 0", "n > 2", "y > 0.0", "l[0] > 0.0"]);
                let condition = match condition {
                    "y > 0.0" => format!("{y} > 0.0"),
                    "l[0] > 0.0" if !written => "k > 2".replace('k', k),
                    "l[0] > 0.0" => condition.to_owned(),
                    _ => condition.replace('k', k).replace('n', size),
                };
                let other = format!("{{ state e{number} {{ y{} = {k} }} }}", one(random, &["[0]", "[1]"]))
                    .replace("y[0]", &y)
                    .replace("y[1]", &y);
                format!("if {condition} {{ {} }} else {other}", state("b"))
            }
            2 => format!(
                "loop w{number} (j = 0, j < {size}, j = j + 1) {{ state r{number} {{ y{} = y{} * 0.5 + j }} \
                 if j > {k} {{ break }} }}",
                y.element("j"),
                y.element("j")
            ),
            3 => format!(
                "state q{number} {{ s = x{} + {k} }} state f{number} {{ y{} = s * 2 }}",
                x.element("0"),
                y.element("1")
            ),
            _ => state("m"),
        };
        // A branch may not run.
        written |= local && block.starts_with("state m");
        blocks.push(block);
    }
    let mut text = blocks.join("\n");
    if random.below(3) == 0 {
        let step = one(random, &["k + 1", "n - k", "2"]).replace('n', size).replace('k', k);
        text = format!("state begin {{ }}\nstate next {{ }}\n{text}\nbegin -> next {{ {k} = {step} }}");
    }
    text
}

/// A program in which one state runs such nested graphs.
pub fn with_control_flow(random: &mut Random) -> String {
    let mut state = String::new();
    let mut lines = String::new();
    let calls = 1 + random.below(2);
    let mut number = 0;
    for call in 0..calls {
        let source = random.below(4);
        let target = (source + 1 + random.below(3)) % 4;
        let (source, target) = (MATRICES[source], MATRICES[target]);
        if random.below(2) == 0 {
            let made = one(random, &[source, "a", "t"]);
            lines.push_str(&match made {
                "t" => "map i in 0:N { t[i] = a[i, 0] + 1 }\n".to_owned(),
                made => format!("map i in 0:N, j in 0:N {{ {made}[i, j] = b[j, i] * 1.5 + {made}[i, j] }}\n")
                    .replace("= b[j, i]", if made == "b" { "= a[j, i]" } else { "= b[j, i]" }),
            });
        }
        let (x, y) = (Seen::any(random), Seen::any(random));
        // Symbols may be called what is something else outside.
        let (size, k) = [("n", "k"), ("n", "N"), ("N", "k"), ("n", "i"), ("n", "p")][random.below(5)];
        let value = one(random, &["0", "N - 1", "p", "p + 1", "N", "2 * N - p"]);
        let inside = body(random, x, y, size, k);
        let [from, to, node] = [number, number + 1, number + 2].map(|number| format!("n{number}"));
        number += 3;
        lines.push_str(&format!(
            "{from} = access {source}\n{to} = access {target}\n\
             {node} = nested inner{call} (x, y) -> (y) with ({size} = N, {k} = {value}) \
             graph inner{call}(x: {}, y: {}, {size}: i64 symbol, {k}: i64 symbol) {{\n\
             transient l: f64[{size}]\ntransient s: f64\n{inside}\n}}\n\
             n{number} = access {target}\n\
             {from} -> {node}.x : {source}{}\nn{number} -> {node}.y : {target}{}\n\
             {node}.y -> {to} : {target}{}\n",
            x.declared(size),
            y.declared(size),
            x.memlet(),
            y.memlet(),
            y.memlet()
        ));
        number += 1;
        if random.below(2) == 0 {
            let read = one(random, &[target, source, "t"]);
            lines.push_str(&match read {
                "t" => "map i in 0:N { u[i, 0] = t[i] - u[i, 0] }\n".to_owned(),
                read => format!("map i in 0:N, j in 0:N {{ c[i, j] = {read}[i, j] - 0.5 }}\n")
                    .replace("c[i, j] = c", "b[i, j] = c"),
            });
        }
    }
    let defined = "map i in 0:N { t[i] = b[i, i] }\n";
    let start = random.below(2) == 0;
    let (first, lines) = if start { (defined, lines) } else { ("", format!("{defined}{lines}")) };
    state.push_str(&format!("state main {{\n{lines}}}"));
    let p = one(random, &["1", "N - 1"]);
    let (state, next) = match random.below(3) {
        0 => (format!("for p in 0:2 {{\n{state}\n}}"), String::new()),
        _ => (state, format!("\nfirst -> main {{ p = {p} }}")),
    };
    let state = format!("state first {{ {first} }}\n{state}{next}");
    let declare: Vec<String> = MATRICES.iter().map(|name| format!("{name}: f64[N, N]")).collect();
    format!(
        "program generated({}, N: i64 symbol) {{\n  transient t: f64[N]\n  symbol p: i64\n{state}\n}}",
        declare.join(", ")
    )
}
