//! The validator: every invariant of a program, each with a code.
//!
//! After [`validate`] reports no error, every engine gives a result or a described error, never a panic.
//! Errors mean that the program has no meaning; warnings that it has one that is probably not meant.
//!
//! # Structure ([`tree`], [`control`])
//!
//! - `P0100` There is a root graph with a body, and every id names something.
//! - `P0101` Both ends of an edge exist.
//! - `P0103` Graphs, regions and containers nest at most [`NESTING_LIMIT`] deep.
//! - `P0104` A nested graph belongs to one node, a region to one block, a block to one region.
//! - `P0105` An interstate edge joins two blocks of its region; the start block is one of its blocks, and there is
//!   one, or exactly one block without a predecessor.
//! - `P0115` A conditional has a branch, and only the last one may be without a condition.
//! - `P0116` `break` and `continue` stand inside a loop.
//! - `P0118` (warning) Every block can be reached from the start.
//! - `P0131` Control flow does not read streams.
//!
//! # Names and containers ([`names`], [`data`])
//!
//! - `P0114` A container, a symbol and a constant have different names; so do the members of a structure.
//! - `P0117` Positional arguments are containers or symbols.
//! - `P0106` Strides and offsets have one entry per dimension; subsets have as many ranges as the container
//!   has dimensions (a scalar has one or none).
//! - `P0205` An array's allocation holds its elements, as far as the sizes are known to compare.
//! - `P0206` No size is negative for all values of the symbols.
//! - `P0207` A symbol is a number.
//! - `P0201` Every symbol in sizes, ranges and subsets is declared, assigned, a parameter or mapped.
//!
//! # Dataflow ([`dataflow`], [`memlets`])
//!
//! - `P0102` Access nodes and memlets name containers of their graph.
//! - `P0107` An edge with data ends at connectors of code nodes, and an edge at a connector has data.
//! - `P0108` Each input connector of a tasklet or nested graph has exactly one edge; outputs have some (warning).
//! - `P0109` A map has as many ranges as parameters, and no parameter twice.
//! - `P0110` A consume scope takes from one stream.
//! - `P0120` Dataflow has no cycle.
//! - `P0121` Edges pass the border of a scope at its entry or exit only.
//! - `P0122` An entry has one exit, and an exit one entry of its kind.
//! - `P0123` The connectors that an edge names exist.
//! - `P0124` At a scope's border, `IN_x` and `OUT_x` come in pairs.
//! - `P0125` A memlet's container is accessed at one end of its path, if there is an access node at all.
//! - `P0126` No subset lies outside its container for all values of the symbols.
//! - `P0127` No step is zero or negative for all values of the symbols.
//! - `P0128` A write-conflict function takes the old and the new value.
//! - `P0129` A view has something to view.
//! - `P0130` (warning) A reference is set somewhere.
//!
//! # Nested graphs ([`nested`])
//!
//! - `P0111` The graph is in the program, not in another file.
//! - `P0112` Each connector names a container of the nested graph that is not transient.
//! - `P0119` Each container of the nested graph that is not transient has a connector.
//! - `P0132` (warning) The connector's container looks like the outer one (rank, element type).
//!
//! # Code ([`code`])
//!
//! - `P0203` Code that runs has been lowered.
//! - `P0204` Names in code are connectors, symbols or containers; a lowered port has a connector.

pub mod code;
pub mod control;
pub mod data;
pub mod dataflow;
pub mod memlets;
pub mod names;
pub mod nested;
pub mod tree;

use std::rc::Rc;

use hashbrown::HashMap;

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{Data, Graph, GraphId, Node, NodeId, Program};
use crate::symbolic::{Assumptions, ExprId, ExprPool, Prover};

use self::names::Scope;
use self::tree::Owned;

/// How deep graphs, regions and containers may nest.
pub const NESTING_LIMIT: usize = 256;

/// Everything that is wrong with a program, errors and warnings, in the order of its parts. Code has to be lowered
/// before ([`lower_program`](crate::scalar::lower::lower_program)).
pub fn validate(program: &Program) -> Vec<Diagnostic> {
    let mut validator = Validator {
        program,
        exprs: program.exprs.clone(),
        proven: HashMap::new(),
        found: Vec::new(),
        place: Vec::new(),
    };
    let Some(graphs) = tree::check(&mut validator) else { return validator.found };
    let mut scopes: HashMap<GraphId, Rc<Scope>> = HashMap::new();
    for Owned { graph: id, outer } in graphs {
        let Some(graph) = program.graphs.get(id) else { continue };
        let around = outer.and_then(|(outer, nested)| Some((scopes.get(&outer)?, nested)));
        let scope = match around {
            None => Scope::of_root(graph),
            Some((outer, nested)) => Scope::of_nested(&program.exprs, graph, nested, outer),
        };
        validator.graph(graph, &scope);
        scopes.insert(id, scope);
    }
    validator.found
}

/// What the checks share.
pub(crate) struct Validator<'p> {
    program: &'p Program,
    /// The program's expressions, for computing with sizes.
    exprs: ExprPool,
    /// Questions of order that were asked before: memlets of one container ask the same ones.
    proven: HashMap<Question, bool>,
    found: Vec<Diagnostic>,
    /// From the outside in.
    place: Vec<String>,
}

/// A question of order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    AtMost(ExprId, ExprId),
    LessThan(ExprId, ExprId),
}

impl<'p> Validator<'p> {
    /// Whether `a <= b` is proven for all values of the symbols.
    fn at_most(&mut self, a: ExprId, b: ExprId) -> bool {
        self.ask(Question::AtMost(a, b))
    }

    /// Whether `a < b` is proven for all values of the symbols.
    fn less_than(&mut self, a: ExprId, b: ExprId) -> bool {
        self.ask(Question::LessThan(a, b))
    }

    fn ask(&mut self, question: Question) -> bool {
        *self.proven.entry(question).or_insert_with(|| {
            let known = Assumptions::default();
            let mut prover = Prover::new(&self.exprs, &known);
            match question {
                Question::AtMost(a, b) => prover.proves_at_most(a, b),
                Question::LessThan(a, b) => prover.proves_less_than(a, b),
            }
        })
    }

    fn graph(&mut self, graph: &'p Graph, scope: &Scope) {
        self.place = vec![format!("graph `{}`", graph.name)];
        names::check(self, graph, scope);
        data::check(self, graph, scope);
        control::check(self, graph, scope);
        for (block, state) in graph.states() {
            let label = graph.blocks.get(block).map_or("", |block| &block.label);
            self.place.push(format!("state `{label}`"));
            dataflow::check(self, graph, state, scope);
            self.place.pop();
        }
    }

    /// Reports a finding here.
    fn report(&mut self, mut finding: Diagnostic) {
        let mut place = self.place.clone();
        place.append(&mut finding.place);
        finding.place = place;
        self.found.push(finding);
    }

    fn error(&mut self, code: &'static str, message: impl Into<String>) {
        self.report(Diagnostic::error(code, message));
    }

    fn text(&self, name: Name) -> &'p str {
        self.program.names.get(name)
    }

    fn node_text(&self, id: NodeId, node: &Node) -> String {
        format!("{id} `{}`", node.label)
    }

    /// A container by name; `a.b` is member `b` of structure `a`.
    fn container<'g>(&self, graph: &'g Graph, name: Name) -> Option<&'g Data> {
        if let Some(data) = graph.data.get(&name) {
            return Some(data);
        }
        let mut parts = self.text(name).split('.');
        let mut data = graph.data.get(&self.program.names.lookup(parts.next()?)?)?;
        for part in parts {
            let part = self.program.names.lookup(part)?;
            data = &data.members().iter().find(|(name, _)| *name == part)?.1;
        }
        Some(data)
    }
}
