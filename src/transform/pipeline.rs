//! Which rules run, in which order, and why there.

use std::time::Instant;

use hashbrown::HashSet;

use crate::diag::{Diagnostic, Result};
use crate::ir::Program;
use crate::valid::validate;

use super::editor::{Editor, Place};
use super::report::{Report, RuleReport};
use super::rule::{Rule, Site, SiteKind};

/// Makes a graph smaller without any decision about speed.
pub const SIMPLIFY: &[&str] = &[
    // All other rules work on states whose order is explicit.
    "explicit_order",
    // First, so that the rules for control flow see all of it, and the symbols of nested graphs are symbols like others.
    "inline_multistate",
    // What symbols are decides conditions, and edges without assignments let states become one.
    "symbol_propagation",
    // Early, so that nothing below looks at what nobody needs.
    "trivial_loop",
    "trivial_condition",
    // Blocks stand in one row, whatever they were grouped by,
    "inline_region",
    // and conditional blocks next to each other.
    "condition_fusion",
    "inline_region",
    // Before all rules that leave containers alone that share memory.
    "reference_removal",
    "view_removal",
    // Before rules for dataflow, which then see what nested graphs do.
    "inline_nested",
    // Maps over the same points look alike, and indices say that they do not change.
    "trivial_map_dimension",
    "empty_range",
    "dead_dataflow",
    // States become one before dataflow rules see them.
    "state_fusion",
    // Copies that only rename elements; both ends are in one state now.
    // First those that go without a trace: the buffer of the others then has one reader less.
    "write_back",
    "redundant_copy_in",
    "redundant_copy_out",
    // What is written twice is so because copies went.
    "double_write",
    // A transient whose reader was in a state of its own may be dead now.
    "dead_dataflow",
];

/// Makes a graph fast.
pub const OPTIMIZE: &[&str] = &[
    // All other rules work on states whose order is explicit.
    "explicit_order",
    // First, so that the rules for control flow see all of it, and the symbols of nested graphs are symbols like others.
    "inline_multistate",
    // What symbols are decides conditions, and edges without assignments let states become one.
    "symbol_propagation",
    // Early, so that nothing below looks at what nobody needs.
    "trivial_loop",
    "trivial_condition",
    // Blocks stand in one row, whatever they were grouped by,
    "inline_region",
    // and conditional blocks next to each other.
    "condition_fusion",
    "inline_region",
    // Before all rules that leave containers alone that share memory.
    "reference_removal",
    "view_removal",
    // Before rules for dataflow, which then see what nested graphs do.
    "inline_nested",
    // Maps over the same points look alike, and indices say that they do not change.
    "trivial_map_dimension",
    "empty_range",
    "dead_dataflow",
    // Before states become one, because then several uses of one container need ordering edges.
    "split_transients",
    "state_fusion",
    // Copies that only rename elements; both ends are in one state now.
    // First those that go without a trace: the buffer of the others then has one reader less.
    "write_back",
    "redundant_copy_in",
    "redundant_copy_out",
    // What is written twice is so because copies went.
    "double_write",
    "dead_dataflow",
    // What is made in parts is read in parts,
    "map_split_vertical",
    // and parts that are made and read apart fuse apart.
    "split_parts",
    // States before a branch are one; what moves is one with the states of the branch, and fuses there.
    "move_into_branch",
    "state_fusion",
    // The body of a loop is one state now, and what it becomes joins the states around it.
    "loop_to_map",
    "state_fusion",
    // Maps over the same points look alike to fusion.
    "map_collapse",
    // Where elements are added up they can be computed, too.
    "reduce_to_map",
    // Values read at one place move there; what is left has several readers.
    "map_fusion_vertical",
    // Several readers of one range become one,
    "map_fusion_horizontal",
    // and what they read can move there, too.
    "map_fusion_vertical",
    // What was left over because ranges differ a little; not earlier, because results in parts do not move to readers.
    "map_split_horizontal",
    "map_fusion_horizontal",
    "dead_dataflow",
    // Transients whose size depended on a loop are gone.
    "loop_to_map",
    "map_collapse",
    // What nested graphs hold is not seen by rules for the graph around, so after those.
    "loop_nest_to_map",
    // Bodies are complete, so that all accesses count. Layouts first: what is given decides which loop runs innermost.
    "transient_layout",
    "map_dimension_order",
    // Where no order serves all accesses.
    "map_tiling",
    // Last: which transients are left in loops is known.
    "keep_transients",
];

/// How a pipeline runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only these rules, if there are any.
    pub only: Vec<String>,
    /// Not these rules.
    pub skip: Vec<String>,
    /// Stop after so many applications.
    pub stop_after: Option<usize>,
    /// Validate the program after every rule that fired.
    pub validate: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { only: Vec::new(), skip: Vec::new(), stop_after: None, validate: cfg!(debug_assertions) }
    }
}

/// Runs [`SIMPLIFY`].
///
/// # Errors
/// As [`run`].
pub fn simplify(program: &mut Program) -> Result<Report> {
    run(program, SIMPLIFY, &Options::default(), &mut |_, _| {})
}

/// Runs [`OPTIMIZE`].
///
/// # Errors
/// As [`run`].
pub fn optimize(program: &mut Program) -> Result<Report> {
    run(program, OPTIMIZE, &Options::default(), &mut |_, _| {})
}

/// Runs a list of rules on a program that is validated and whose scalar code is lowered. `after` sees the program after
/// every rule.
///
/// # Errors
/// `P0720` for the name of a rule that does not exist, `P0721` when the validator refuses what a rule made: a
/// defect, which is only looked for if the options say so.
pub fn run(
    program: &mut Program,
    list: &[&str],
    options: &Options,
    after: &mut dyn FnMut(&'static Rule, &Program),
) -> Result<Report> {
    for name in list.iter().copied().chain(options.only.iter().chain(&options.skip).map(String::as_str)) {
        rule_called(name)?;
    }
    let chosen = |name: &str| {
        (options.only.is_empty() || options.only.iter().any(|only| only == name))
            && !options.skip.iter().any(|skip| skip == name)
    };
    let mut report = Report::default();
    let mut left = options.stop_after.unwrap_or(usize::MAX);
    let mut editor = Editor::new(program);
    let mut places = Places::default();
    // Rules that found nothing, since one last found something.
    let mut idle: HashSet<&'static str> = HashSet::new();
    for name in list.iter().copied().filter(|name| chosen(name)) {
        let rule = rule_called(name)?;
        let done = if idle.contains(rule.name) {
            RuleReport::idle(rule.name)
        } else {
            run_rule(&mut editor, rule, &mut places, &mut left)
        };
        if done.fired + done.undone > 0 {
            idle.clear();
        } else {
            idle.insert(rule.name);
        }
        report.rules.push(done);
        if done.fired > 0 && options.validate {
            let found = editor.with_program(|program| validate(program));
            if let Some(error) = found.into_iter().find(Diagnostic::is_error) {
                return Err(Diagnostic::error(
                    "P0721",
                    format!("rule {name} made a program that is not valid"),
                )
                .with_note(error.to_string())
                .with_help("this is a defect in Pelton; `--skip` leaves the rule out"));
            }
        }
        editor.with_program(|program| after(rule, program));
    }
    editor.finish();
    Ok(report)
}

fn rule_called(name: &str) -> Result<&'static Rule> {
    Rule::by_name(name).ok_or_else(|| {
        let known: Vec<&str> = super::RULES.iter().map(|rule| rule.name).collect();
        Diagnostic::error("P0720", format!("there is no rule {name}"))
            .with_note(format!("there are {}", known.join(", ")))
    })
}

/// Runs one rule over all places, and over what it touched, until nothing is left.
fn run_rule(
    editor: &mut Editor<'_>,
    rule: &'static Rule,
    places: &mut Places,
    left: &mut usize,
) -> RuleReport {
    let start = Instant::now();
    let mut report = RuleReport::idle(rule.name);
    let mut open = places.of(editor, rule.kind);
    if rule.outside_in {
        open.reverse();
    }
    // What is in `open`, once somebody has to know.
    let mut waiting: Option<HashSet<Site>> = None;
    // No rule fires forever; the bound turns a defect into a slow rule.
    let mut bound = open.len().saturating_mul(64).saturating_add(4096);
    while let Some(site) = open.pop() {
        if let Some(waiting) = &mut waiting {
            waiting.remove(&site);
        }
        if *left == 0 || bound == 0 {
            break;
        }
        bound -= 1;
        report.looked += 1;
        let mark = editor.mark();
        match rule.step(editor, site) {
            None => continue,
            Some(Ok(())) => {
                report.fired += 1;
                *left -= 1;
                let touched = editor.commit();
                let again = touched.into_iter().chain([site]).filter(|site| site.kind() == rule.kind);
                let waiting = waiting.get_or_insert_with(|| open.iter().copied().collect());
                for site in again {
                    if waiting.insert(site) {
                        open.push(site);
                    }
                }
            }
            Some(Err(_)) => {
                report.undone += 1;
                editor.undo_to(mark);
            }
        }
    }
    if report.fired + report.undone > 0 {
        *places = Places::default();
    }
    editor.sweep_data();
    editor.tighten();
    editor.commit();
    report.time = start.elapsed();
    report
}

/// All places of each kind that a rule asked for since one fired last.
#[derive(Default)]
struct Places {
    known: Vec<(SiteKind, Vec<Site>)>,
}

impl Places {
    fn of(&mut self, editor: &mut Editor<'_>, kind: SiteKind) -> Vec<Site> {
        if let Some((_, sites)) = self.known.iter().find(|(known, _)| *known == kind) {
            return sites.clone();
        }
        let sites = sites(editor, kind);
        self.known.push((kind, sites.clone()));
        sites
    }
}

/// All places of a kind, in the order of the program.
fn sites(editor: &mut Editor<'_>, kind: SiteKind) -> Vec<Site> {
    let mut sites = Vec::new();
    for graph in editor.graphs() {
        if kind == SiteKind::Graph {
            sites.push(Site::Graph(graph));
            continue;
        }
        if kind == SiteKind::Region {
            let regions = editor.graph(graph).map(|graph| graph.regions.ids());
            sites.extend(regions.into_iter().flatten().map(|region| Site::Region(graph, region)));
            continue;
        }
        for block in editor.blocks(graph) {
            let at = Place { graph, block };
            let Some(state) = editor.state(at) else { continue };
            match kind {
                SiteKind::State => sites.push(Site::State(at)),
                _ => sites.extend(state.live_nodes().map(|(node, _)| Site::Node(at, node))),
            }
        }
    }
    sites
}
