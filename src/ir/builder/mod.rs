//! Builds programs in Rust, in words that read like the graph.
//!
//! ```
//! use pelton::ir::builder::ProgramBuilder;
//! use pelton::scalar::DType;
//!
//! let mut program = ProgramBuilder::new("smooth");
//! program.symbol("N", DType::I64);
//! program.array("a", DType::F64, &["N"]);
//! program.array("b", DType::F64, &["N"]);
//! program.transient("t", DType::F64, &["N"]);
//! program.state("compute", |state| {
//!     state.map(&[("i", "0:N")], |body| {
//!         body.tasklet("double", &[("x", "a[i]")], &[("y", "t[i]")], "y = x * 2");
//!     });
//!     state.map(&[("i", "1:N-1")], |body| {
//!         body.tasklet("add", &[("l", "t[i-1]"), ("r", "t[i+1]")], &[("y", "b[i]")], "y = l + r");
//!     });
//! });
//! let program = program.finish()?;
//! assert_eq!(program.root_graph().map(|graph| graph.data.len()), Some(3));
//! # Ok::<(), pelton::diag::Diagnostic>(())
//! ```
//!
//! Ranges and subsets are half open as in Python and in `.pel` text; the graph stores inclusive ends.
//! Mistakes are collected: the first one comes back from [`ProgramBuilder::finish`].

mod dataflow;
mod subset;

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::scalar::{DType, Type};

use super::{
    Array, Block, BlockId, BlockKind, Branch, CodeExpr, Connector, Data, DataKind, Extra, Graph, GraphId,
    InterstateEdge, Language, Lifetime, Loop, Memlet, Program, Region, RegionId, ScalarData, Schedule,
    Storage, Text, Wcr,
};

pub use dataflow::{Dataflow, Port};
pub use subset::{memlet_from_text, range_from_text, row_major, subset_from_text};
pub(crate) use subset::{open_end, range_from_ends};

/// A program under construction. Blocks follow one another in the order in which they are added.
pub struct ProgramBuilder {
    program: Program,
    graph: GraphId,
    /// Regions that are open, with their last block; the outermost is the body.
    open: Vec<(RegionId, Option<BlockId>)>,
    /// Assignments for the edge to the next block.
    pending: Vec<(Name, CodeExpr)>,
    problem: Option<Diagnostic>,
}

impl ProgramBuilder {
    /// A program without arguments that does nothing.
    pub fn new(name: &str) -> Self {
        let mut program = Program::default();
        let mut graph = Graph { name: name.to_owned(), ..Graph::default() };
        let body = graph.regions.push(Region::default());
        graph.body = Some(body);
        let graph = program.graphs.push(graph);
        program.root = Some(graph);
        Self { program, graph, open: vec![(body, None)], pending: Vec::new(), problem: None }
    }

    /// Declares a symbol.
    pub fn symbol(&mut self, name: &str, ty: DType) {
        let name = self.program.names.intern(name);
        self.graph().symbols.insert(name, Type::Scalar(ty));
    }

    /// Declares an argument array, row-major.
    pub fn array(&mut self, name: &str, ty: DType, shape: &[&str]) {
        self.container(name, ty, Some(shape), false);
        let name = self.program.names.intern(name);
        self.graph().arg_names.push(name);
    }

    /// Declares an argument that is one number.
    pub fn scalar(&mut self, name: &str, ty: DType) {
        self.container(name, ty, None, false);
        let name = self.program.names.intern(name);
        self.graph().arg_names.push(name);
    }

    /// Declares an array of the program's own, row-major.
    pub fn transient(&mut self, name: &str, ty: DType, shape: &[&str]) {
        self.container(name, ty, Some(shape), true);
    }

    /// Declares a number of the program's own.
    pub fn transient_scalar(&mut self, name: &str, ty: DType) {
        self.container(name, ty, None, true);
    }

    /// Adds a state after the block before it.
    pub fn state(&mut self, label: &str, build: impl FnOnce(&mut StateBuilder<'_>)) {
        let mut state = StateBuilder {
            program: &mut self.program,
            graph: self.graph,
            dataflow: Dataflow::new(),
            problem: None,
        };
        build(&mut state);
        let StateBuilder { dataflow, problem, .. } = state;
        self.note(problem);
        let state = dataflow.finish(&mut self.program, self.graph);
        self.block(label, BlockKind::State(Box::new(state)));
    }

    /// Assigns symbols on the way to the next block: `("k", "k + 1")`.
    pub fn assign(&mut self, symbol: &str, value: &str) {
        let symbol = self.program.names.intern(symbol);
        self.pending.push((symbol, code(value)));
    }

    /// `for variable in range`, with a range such as `0:N` or `0:N:2`.
    pub fn for_loop(&mut self, variable: &str, range: &str, body: impl FnOnce(&mut Self)) {
        let (start, end, step) = match range.split(':').map(str::trim).collect::<Vec<_>>()[..] {
            [start, end] => (start.to_owned(), end.to_owned(), "1".to_owned()),
            [start, end, step] => (start.to_owned(), end.to_owned(), step.to_owned()),
            _ => {
                self.note(Some(Diagnostic::error("P0040", format!("`{range}` is not a range"))));
                return;
            }
        };
        let name = self.program.names.intern(variable);
        let sign = if step.starts_with('-') { ">" } else { "<" };
        let target = Some(name);
        let init = CodeExpr { target, ..code(&format!("{variable} = {start}")) };
        let update = CodeExpr { target, ..code(&format!("{variable} = {variable} + {step}")) };
        let condition = code(&format!("{variable} {sign} {end}"));
        let body = self.region(body);
        let repeated = Loop {
            variable: Some(name),
            init: Some(init),
            condition,
            update: Some(update),
            inverted: false,
            update_before_condition: true,
            body,
        };
        self.block(&format!("for_{variable}"), BlockKind::Loop(Box::new(repeated)));
    }

    /// `while condition`.
    pub fn while_loop(&mut self, condition: &str, body: impl FnOnce(&mut Self)) {
        let body = self.region(body);
        let repeated = Loop {
            variable: None,
            init: None,
            condition: code(condition),
            update: None,
            inverted: false,
            update_before_condition: true,
            body,
        };
        self.block("while", BlockKind::Loop(Box::new(repeated)));
    }

    /// `if condition ... else ...`.
    pub fn conditional(
        &mut self,
        condition: &str,
        then: impl FnOnce(&mut Self),
        otherwise: impl FnOnce(&mut Self),
    ) {
        let branch = |condition, body, label: &str| Branch {
            condition,
            body,
            label: label.to_owned(),
            extra: Extra::new(),
        };
        let then = self.region(then);
        let otherwise = self.region(otherwise);
        let branches = vec![branch(Some(code(condition)), then, "then"), branch(None, otherwise, "else")];
        self.block("if", BlockKind::Conditional(branches));
    }

    /// The program, or the first mistake made while building it. Tasklet code is not lowered yet.
    ///
    /// # Errors
    /// `P004x` for text that is not a range, a memlet or a size.
    pub fn finish(mut self) -> Result<Program> {
        self.settle_assignments();
        match self.problem {
            Some(problem) => {
                Err(problem.inside(format!("program `{}`", self.program.graphs[self.graph].name)))
            }
            None => Ok(self.program),
        }
    }

    fn graph(&mut self) -> &mut Graph {
        &mut self.program.graphs[self.graph]
    }

    fn note(&mut self, problem: Option<Diagnostic>) {
        if self.problem.is_none() {
            self.problem = problem;
        }
    }

    fn container(&mut self, name: &str, ty: DType, shape: Option<&[&str]>, transient: bool) {
        let kind = match shape {
            None => DataKind::Scalar(ScalarData::default()),
            Some(shape) => {
                let mut extents = Vec::new();
                for text in shape {
                    match subset::expression_from_text(&mut self.program, text) {
                        Ok(extent) => extents.push(extent),
                        Err(problem) => {
                            return self.note(Some(problem.inside(format!("container `{name}`"))));
                        }
                    }
                }
                let (strides, total_size) = row_major(&mut self.program.exprs, &extents);
                DataKind::Array(Array {
                    shape: extents,
                    strides,
                    total_size: Some(total_size),
                    ..Array::default()
                })
            }
        };
        let name = self.program.names.intern(name);
        let data = Data {
            ty: Type::Scalar(ty),
            kind,
            transient,
            storage: Storage::Default,
            lifetime: Lifetime::Scope,
            extra: Extra::new(),
        };
        self.graph().data.insert(name, data);
    }

    fn region(&mut self, build: impl FnOnce(&mut Self)) -> RegionId {
        let region = self.graph().regions.push(Region::default());
        let pending = std::mem::take(&mut self.pending);
        self.open.push((region, None));
        build(self);
        self.settle_assignments();
        self.open.pop();
        self.pending = pending;
        region
    }

    /// Assignments need an edge: gives them an empty state to lead to.
    fn settle_assignments(&mut self) {
        if !self.pending.is_empty() {
            self.block("end", BlockKind::State(Box::default()));
        }
    }

    fn block(&mut self, label: &str, kind: BlockKind) {
        let is_first = self.open.last().is_some_and(|(_, last)| last.is_none());
        if is_first && !self.pending.is_empty() {
            let assignments = std::mem::take(&mut self.pending);
            self.block("begin", BlockKind::State(Box::default()));
            self.pending = assignments;
        }
        let id = self.graph().blocks.push(Block { label: label.to_owned(), kind, extra: Extra::new() });
        let assignments = std::mem::take(&mut self.pending);
        let Some(open) = self.open.last_mut() else { return };
        let before = open.1.replace(id);
        let region = open.0;
        let region = &mut self.program.graphs[self.graph].regions[region];
        region.blocks.push(id);
        match before {
            None => region.start = Some(id),
            Some(src) => region.edges.push(InterstateEdge {
                src,
                dst: id,
                condition: None,
                assignments,
                extra: Extra::new(),
            }),
        }
    }
}

/// A state under construction.
pub struct StateBuilder<'a> {
    program: &'a mut Program,
    graph: GraphId,
    dataflow: Dataflow,
    problem: Option<Diagnostic>,
}

impl StateBuilder<'_> {
    /// Runs the body once per point of the range, last parameter fastest: `&[("i", "0:N"), ("j", "0:M")]`.
    pub fn map(&mut self, params: &[(&str, &str)], body: impl FnOnce(&mut Self)) {
        self.map_with(params, Schedule::Default, body);
    }

    /// [`StateBuilder::map`] with a schedule.
    pub fn map_with(&mut self, params: &[(&str, &str)], schedule: Schedule, body: impl FnOnce(&mut Self)) {
        let mut ranges = Vec::new();
        for (param, range) in params {
            let name = self.program.names.intern(param);
            match range_from_text(self.program, range) {
                Ok(range) => ranges.push((name, range)),
                Err(problem) => return self.note(problem),
            }
        }
        self.dataflow.open_map("map", ranges, schedule);
        body(self);
        self.dataflow.close_map(self.program, self.graph);
    }

    /// A tasklet: connectors with what they read and write, and Python code.
    pub fn tasklet(&mut self, label: &str, inputs: &[(&str, &str)], outputs: &[(&str, &str)], code: &str) {
        let inputs = self.ports(inputs, None);
        let outputs = self.ports(outputs, None);
        let text = Text { language: Language::Python, text: code.to_owned() };
        self.dataflow.tasklet(&mut self.program.names, label, text, &inputs, &outputs);
    }

    /// A tasklet whose results are combined with what is stored, by a lambda such as `lambda a, b: a + b`.
    pub fn accumulate(
        &mut self,
        label: &str,
        inputs: &[(&str, &str)],
        outputs: &[(&str, &str)],
        code: &str,
        lambda: &str,
    ) {
        let inputs = self.ports(inputs, None);
        let outputs = self.ports(outputs, Some(lambda));
        let text = Text { language: Language::Python, text: code.to_owned() };
        self.dataflow.tasklet(&mut self.program.names, label, text, &inputs, &outputs);
    }

    /// Copies elements: `copy("a[0:4]", "b[4:8]")`.
    pub fn copy(&mut self, from: &str, to: &str) {
        let from = memlet_from_text(self.program, from);
        let to = memlet_from_text(self.program, to);
        match (from, to) {
            (Ok(from), Ok(Memlet { data: Some(target), subset, .. })) => {
                let memlet = Memlet { other_subset: subset, is_data_src: Some(true), ..from };
                self.dataflow.copy(&mut self.program.names, memlet, target);
            }
            (Err(problem), _) | (_, Err(problem)) => self.note(problem),
            _ => {}
        }
    }

    fn ports(&mut self, ports: &[(&str, &str)], lambda: Option<&str>) -> Vec<Port> {
        let mut made = Vec::new();
        for (connector, memlet) in ports {
            match memlet_from_text(self.program, memlet) {
                Ok(memlet) => {
                    let wcr = lambda.map(|text| Wcr { text: text.to_owned(), code: None });
                    let connector = self.program.names.intern(connector);
                    let memlet = Memlet { wcr, ..memlet };
                    made.push(Port { connector, declared: Connector::default(), memlet });
                }
                Err(problem) => self.note(problem),
            }
        }
        made
    }

    fn note(&mut self, problem: Diagnostic) {
        self.problem.get_or_insert(problem);
    }
}

fn code(text: &str) -> CodeExpr {
    CodeExpr { text: Text { language: Language::Python, text: text.to_owned() }, ..CodeExpr::default() }
}
