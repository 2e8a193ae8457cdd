//! `.pel`: the graph as text that people read and write.
//!
//! [`parse`] and [`print()`] are inverse up to [`canonical`](crate::ir::canonical::canonical) form, for every
//! program: each kind of node, container and property has a spelling, uninterpreted properties included.
//! Lowered code is not in the text; it follows from the code texts.
//!
//! # Files
//!
//! A comment goes from `;` or `#` to the end of the line. A name is a bare word, or any text between
//! backquotes. A file is a list of struct types and one program:
//!
//! ```pelton
//! struct pair { value: f64, index: i32 }
//!
//! program hdiff(A: f64[N, M], B: f64[N, M], N: i64 symbol, M: i64 symbol) {
//!   transient t: f64[N, M] register
//!   map i in 1:N-1, j in 1:M-1 parallel {
//!     tasklet lap(c <- A[i, j], s <- A[i+1, j]) -> (o -> t[i, j]) { o = c - s }
//!     B[i, j] = 2 * t[i, j]
//!   }
//! }
//! ```
//!
//! Parameters are arguments and symbols in the order in which they are passed (or in that of
//! `args(...)` behind the parentheses). Further clauses: `contract(window)` for programs whose nested graphs
//! receive windows, `version("2.0.0b1")`, and anywhere `@{...}`, uninterpreted properties as JSON.
//!
//! # Containers
//!
//! `KIND name: TYPE[shape] clauses`, in parentheses or, behind `transient` or `argument`, at the start of the
//! body. Without a shape it is a scalar. Kinds: `view`, `reference`, `stream`, `structure` (members in
//! braces), `container_array` (`of (...)` says what each element is) and their `_view` and `_reference` forms.
//! Types: `bool i8..i64 u8..u64 f16 bf16 f8e4m3 f8e5m2 f32 f64 c64 c128`, vectors `f32x4`, `struct NAME`,
//! `opaque NAME`. Clauses: `strides(..)`, `total(..)`, `offset(..)`, `begins(..)`, `buffer(..)`, `optional`,
//! `required`, `may_alias`, `register`, `heap`, `thread_local`, `storage("NAME")`, `lifetime(persistent)`.
//! Arrays are row-major unless `strides` says otherwise. `constant c: f64[3] = [1.0, 2.0, 3.0]` is known when
//! the program is compiled.
//!
//! # Ranges
//!
//! Half open as in Python: `i` is one index, `0:N` all below `N`, `0:N:2` every second, `0:N:4:4` tiles of
//! four. In a subset, `:` is the whole dimension of a declared container.
//!
//! # Control flow
//!
//! A body is a list of blocks: `state NAME { }`, `loop NAME (i = 0, i < N, i = i + 1) { }` (with `inverted`,
//! `update_last` and `variable(..)`), `conditional NAME { case i < 3 { } case else { } }`, `region NAME { }`,
//! `break`, `continue`, `return`. `for i in 0:N { }`, `while c { }` and `if c { } elif d { } else { }` are
//! shorter spellings. Edges follow: `a -> b if condition { k = k + 1 }`. If a body has no edge, its blocks run
//! one after another. The first block is the start unless `start NAME` says otherwise. Two blocks of one label
//! are told apart by position: `%0 -> %1`.
//!
//! # Dataflow
//!
//! The explicit form names nodes and joins them, `connector`s behind dots and the memlet behind a colon:
//!
//! ```pelton
//! program copy_row(A: f64[4, 8], B: f64[8]) {
//!   state main {
//!     a = access A
//!     b = access B
//!     a -> b : A[2, 0:8] other [0:8]
//!   }
//! }
//! ```
//!
//! Nodes: `access A setzero`, `tasklet name (a, b: f64) -> (o: f64*) cpp { o = a + b; }`,
//! `map_entry name [i in 0:N] parallel unroll`, `map_exit name of ENTRY`, `consume_entry name index(p)
//! workers(4) until(c)`, `consume_exit name of ENTRY`, `nested name (in) -> (out) with (n = N + 1) graph g(..)
//! { .. }`, `library name "class.path" (in) -> (out) properties @{..}`. Code that does not fit between braces
//! is written as lines that start with `|`. Memlet clauses: `other [..]`, `wcr "lambda a, b: a + b"`,
//! `dynamic`, `volume(..)`, `at_source`, `at_target`.
//!
//! The short form is for people: maps, tasklets and assignments, wired in the order in which they stand.
//! `+=`, `*=`, `min=`, `max=` resolve write conflicts. A transient that a map writes and reads at a place that
//! does not move with its parameters is local to one iteration. Statements outside a state make a state of
//! their own. [`print()`] writes the explicit form.
//!
//! # Fragments
//!
//! A text without `program` is a list of statements: containers it does not declare are `f64` arrays whose
//! rank and shape follow from their uses, transient if they are written before they are read, and names left
//! over are symbols.
//!
//! ```
//! let program = pelton::front::pel::parse("map i in 0:N { t[i] = a[i]*2 }  map i in 0:N { b[i] = t[i]+1 }")?;
//! let text = pelton::front::pel::print(&program);
//! let again = pelton::front::pel::parse(&text)?;
//! assert_eq!(text, pelton::front::pel::print(&again));
//! # Ok::<(), pelton::diag::Diagnostic>(())
//! ```
//!
//! # Errors
//!
//! Each names line and column. `P0040` something else was expected; `P0041` a name or block is not closed;
//! `P0042` an unknown word or type; `P0043` a name is declared twice; `P0044` a name is not declared; `P0045`
//! not a size expression; `P0046` nested too deep; `P0047` not JSON; `P0048` a number that does not fit; `P0049`
//! a statement that the short form cannot express.

mod cursor;
mod number;
mod parse;
mod print;
mod words;

use crate::diag::Result;
use crate::ir::Program;

pub use number::scalar_from_text;
pub use words::short_name;

/// The program that `text` describes. Its code is not lowered yet.
///
/// # Errors
/// `P0040` to `P0049` with line and column.
pub fn parse(text: &str) -> Result<Program> {
    parse::parse(text)
}

/// The program as text; [`parse`] gives its canonical form back.
pub fn print(program: &Program) -> String {
    print::print(program, print::Detail::Full)
}

/// The program as text without uninterpreted properties.
pub fn print_brief(program: &Program) -> String {
    print::print(program, print::Detail::Brief)
}
