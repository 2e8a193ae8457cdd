//! The optimizer: rules that rewrite a graph and keep its meaning, bit for bit.
//!
//! # Rules
//!
//! A [`Rule`] is a value in a [registry](rule::RULES) and a file in [`rules`]. Its header is its page
//! (`pelton explain NAME`): what it does, when it is legal, a program before and after and one where it does not apply
//! (all three run as tests), what it enables, and where it comes from. A file implements
//! [`Transformation`](rule::Transformation): `find` says whether the rule applies at a place and whether it pays, and
//! gives a match that is complete; `apply` edits. `find` changes nothing but the expression pool.
//!
//! # Edits
//!
//! Rules edit through an [`Editor`](editor::Editor), which keeps per state an [index](index::StateIndex) (adjacency, scopes,
//! order, access nodes) and per graph [facts](facts::Facts) (uses, aliases) up to date, so that no rule scans a graph per
//! application; which writes a journal, so that an application that stops half way is taken back; and which remembers what was
//! touched: that is where rules look again. Total cost is near linear in the size of the graph.
//!
//! # Order
//!
//! What may be moved is decided on paths alone. States that rely on the order in which nodes are stored first get
//! [ordering edges](order); from then on every topological order of a state gives the same result, and rules keep paths.
//!
//! # Legality
//!
//! Questions about sizes and ranges go to [`symbolic`](crate::symbolic): a rule applies if the prover says yes for all values
//! of the symbols, never because a counterexample was not found. The same operations run in the same order per element:
//! rules move, copy and drop operations, they never reassociate or contract.
//!
//! # Pipelines
//!
//! [`pipeline`] has two ordered literal lists, `simplify` and `optimize`. A rule runs over a worklist: all places of its kind,
//! last ones first, and then what its applications touched. There is no iteration over hash maps: same graph in, same
//! graph out. Builds with debug assertions validate the program after every rule that fired, and name the culprit. What
//! pays is decided by one model, [`cost`].

mod arguments;
mod assigned;
mod call_symbols;
mod control;
mod copies;
pub mod cost;
mod dead;
mod decide;
pub mod editor;
mod embed;
pub mod facts;
mod independent;
pub mod index;
mod map_parts;
pub mod order;
pub mod pipeline;
mod readdress;
pub mod report;
pub mod rule;
pub mod rules;
mod scope;
mod size_code;
mod split;
mod substitute;

pub use pipeline::{OPTIMIZE, Options, SIMPLIFY, optimize, run, simplify};
pub use report::{Report, RuleReport};
pub use rule::{RULES, Rule};
