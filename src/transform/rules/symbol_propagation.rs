//! # symbol_propagation
//!
//! Puts what a symbol is known to be where the symbol is read: numbers, other symbols, sums and products of them, as edges
//! between states assign them. Assignments that nobody reads any more go.
//!
//! ## Legal when
//! - on every way to the reader the symbol was assigned last with that value, and what the value is made of was not assigned
//!   since; a loop forgets what it assigns itself;
//! - types stay what they are: what is put in is of the type of the symbol, in memory and in the text that is written;
//! - the symbol sizes no container (its memory may be taken with the size of an earlier value).
//!
//! ## Before
//! ```pelton
//! program shifted(a: f64[8], b: f64[8]) {
//!   state first { map i in 0:4 { b[i] = a[i] } }
//!   state second { map i in 0:4 { b[i + k] = a[i] * 2 } }
//!   first -> second { k = 3, m = k + 1 }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program shifted(a: f64[8], b: f64[8]) {
//!   state first { map i in 0:4 { b[i] = a[i] } }
//!   state second { map i in 0:4 { b[i + 3] = a[i] * 2 } }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program counted(a: f64[8], b: f64[8]) {
//!   state first { map i in 0:4 { b[i] = a[i] } }
//!   loop steps (j = 0, j < 3, j = j + 1) {
//!     state work { map i in 0:4 { b[i + k] = a[i] * 2 } }
//!     state next { }
//!     work -> next { k = k + 1 }
//!   }
//!   first -> steps { k = 0 }
//! }
//! ```
//!
//! Enables: trivial_condition, state_fusion, loop_to_map. Source: DaCe `ConstantPropagation`, `SymbolAliasPromotion`,
//! `DeadSymbolElimination`.

use hashbrown::{HashMap, HashSet};
use indexmap::IndexMap;

use crate::entity::{Name, Names};
use crate::ir::{BlockId, BlockKind, CodeExpr, Graph, GraphId, Program, Region, RegionId, State};
use crate::scalar::DType;
use crate::symbolic::{ExprId, ExprPool};
use crate::transform::assigned;
use crate::transform::control::{self, Readers};
use crate::transform::decide;
use crate::transform::editor::{Editor, Place};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::substitute::{self, Typed};

/// The rule.
pub struct SymbolPropagation;

/// What to do with a graph: first everything that is put in, then what is dead.
pub struct Found {
    graph: GraphId,
    states: Vec<(BlockId, State)>,
    codes: Vec<(Spot, CodeExpr)>,
    dead: Vec<Name>,
}

/// A piece of control-flow code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Spot {
    Condition(RegionId, usize),
    Assignment(RegionId, usize, usize),
    Init(BlockId),
    Until(BlockId),
    Update(BlockId),
    Branch(BlockId, usize),
}

impl Transformation for SymbolPropagation {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Graph;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Graph(id) = site else { return None };
        let graph = editor.graph(id)?;
        if graph.regions.values().all(|region| region.edges.iter().all(|edge| edge.assignments.is_empty())) {
            return None;
        }
        let readers = Readers::of(&editor.exprs, graph);
        let mut exprs = std::mem::take(&mut editor.exprs);
        let program = editor.program();
        let found = program.graphs.get(id).and_then(|graph| {
            let mut walk = Walk::new(program, graph, &editor.names, &mut exprs, &readers);
            walk.region(graph.body?);
            let Walk { states, codes, .. } = walk;
            let mut found = Found { graph: id, states, codes, dead: Vec::new() };
            if found.states.is_empty() && found.codes.is_empty() {
                found.dead = dead(graph, &editor.names, &readers);
            }
            Some(found)
        });
        editor.exprs = exprs;
        found.filter(|found| !(found.states.is_empty() && found.codes.is_empty() && found.dead.is_empty()))
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        apply(editor, found).ok_or(Stopped)
    }
}

/// One walk along control flow, with what is known of symbols where it stands.
struct Walk<'a> {
    program: &'a Program,
    graph: &'a Graph,
    names: &'a Names,
    exprs: &'a mut ExprPool,
    /// Assigned symbols that a state reads.
    read: HashMap<BlockId, Vec<Name>>,
    known: HashMap<Name, (ExprId, DType)>,
    /// Symbols whose value was made of a symbol at some time.
    made_of: HashMap<Name, HashSet<Name>>,
    /// What was known before each change.
    log: Vec<(Name, Option<(ExprId, DType)>)>,
    /// Symbols that size containers.
    sizes: HashSet<Name>,
    states: Vec<(BlockId, State)>,
    codes: Vec<(Spot, CodeExpr)>,
}

impl<'a> Walk<'a> {
    fn new(
        program: &'a Program,
        graph: &'a Graph,
        names: &'a Names,
        exprs: &'a mut ExprPool,
        readers: &Readers,
    ) -> Walk<'a> {
        let mut assigned: Vec<Name> = assigned::counts(graph).into_keys().collect();
        assigned.sort_unstable();
        let mut read: HashMap<BlockId, Vec<Name>> = HashMap::new();
        for &name in &assigned {
            for block in readers.blocks(name) {
                read.entry(block).or_default().push(name);
            }
        }
        Walk {
            program,
            graph,
            names,
            exprs,
            read,
            known: HashMap::new(),
            made_of: HashMap::new(),
            log: Vec::new(),
            sizes: assigned.into_iter().filter(|&name| readers.sizes_containers(name)).collect(),
            states: Vec::new(),
            codes: Vec::new(),
        }
    }

    /// The validator bounds how deep regions nest.
    fn region(&mut self, id: RegionId) {
        let Some(region) = self.graph.regions.get(id) else { return };
        if let Some(sequence) = control::sequence(region) {
            for (block, edge) in sequence {
                self.block(block);
                if let Some(edge) = edge {
                    self.edge(id, region, edge);
                }
            }
            return;
        }
        // Whatever way was taken, what the region does not assign is what it was.
        self.forget_all(assigned::in_region(self.graph, id));
        for &block in &region.blocks {
            let mark = self.log.len();
            self.block(block);
            self.back_to(mark);
        }
        for edge in 0..region.edges.len() {
            let mark = self.log.len();
            self.edge(id, region, edge);
            self.back_to(mark);
        }
    }

    fn edge(&mut self, id: RegionId, region: &Region, number: usize) {
        let Some(edge) = region.edges.get(number) else { return };
        if let Some(condition) = &edge.condition {
            self.code(Spot::Condition(id, number), condition, None);
        }
        for (at, (name, value)) in edge.assignments.iter().enumerate() {
            self.code(Spot::Assignment(id, number, at), value, None);
            let value = self.value(value).filter(|_| !self.sizes.contains(name));
            // What is made of the old value of the symbol says nothing about the new one.
            let value = value.filter(|&(value, _)| !self.exprs.depends_on(value, *name));
            self.forget(*name);
            if let Some(value) = value {
                for symbol in self.exprs.free_symbols(value.0) {
                    self.made_of.entry(symbol).or_default().insert(*name);
                }
                self.log.push((*name, self.known.insert(*name, value)));
            }
        }
    }

    /// What an assigned value is, if all of it has the type of the symbol.
    fn value(&mut self, code: &CodeExpr) -> Option<(ExprId, DType)> {
        let (value, dtype) = decide::size(self.exprs, code)?;
        let mut symbols = code.code.iter().flat_map(|code| &code.symbols);
        if !symbols.all(|&(_, own)| own == dtype) {
            return None;
        }
        let by: Vec<(Name, ExprId)> = (self.exprs.free_symbols(value).into_iter())
            .filter_map(|name| self.known.get(&name).filter(|known| known.1 == dtype).map(|k| (name, k.0)))
            .collect();
        Some((substitute::expression(self.exprs, value, &by), dtype))
    }

    fn block(&mut self, block: BlockId) {
        let graph = self.graph;
        match graph.blocks.get(block).map(|block| &block.kind) {
            Some(BlockKind::State(state)) => self.state(block, state),
            Some(BlockKind::Region(_, body)) => self.region(*body),
            Some(BlockKind::Loop(repeated)) => {
                let target = repeated.init.as_ref().and_then(|init| init.target).or(repeated.variable);
                if let Some(init) = &repeated.init {
                    self.code(Spot::Init(block), init, target);
                }
                self.forget_all(assigned::in_region(graph, repeated.body));
                self.forget_all(assigned::by_loop(graph, block));
                self.code(Spot::Until(block), &repeated.condition, None);
                if let Some(update) = &repeated.update {
                    self.code(Spot::Update(block), update, update.target);
                }
                let mark = self.log.len();
                self.region(repeated.body);
                self.back_to(mark);
            }
            Some(BlockKind::Conditional(branches)) => {
                let mark = self.log.len();
                let mut changed: HashSet<Name> = HashSet::new();
                for (number, branch) in branches.iter().enumerate() {
                    if let Some(condition) = &branch.condition {
                        self.code(Spot::Branch(block, number), condition, None);
                    }
                    self.region(branch.body);
                    changed.extend(self.log[mark..].iter().map(|(name, _)| *name));
                    self.back_to(mark);
                }
                self.forget_all(changed);
            }
            _ => {}
        }
    }

    fn state(&mut self, block: BlockId, state: &State) {
        let Some(read) = self.read.get(&block) else { return };
        let mut by: Vec<Typed> = Vec::new();
        for name in read {
            if let Some(&(value, dtype)) = self.known.get(name) {
                by.push(Typed { symbol: *name, value, dtype });
            }
        }
        if by.is_empty() {
            return;
        }
        let program = self.program;
        let (names, exprs) = (self.names, &mut *self.exprs);
        if let Some(made) = substitute::typed_state(exprs, names, program, state, &by) {
            self.states.push((block, made));
            return;
        }
        // One that does not fit keeps none of the others from it.
        let mut made: Option<State> = None;
        for one in &by {
            let from = made.as_ref().unwrap_or(state);
            if let Some(next) =
                substitute::typed_state(exprs, names, program, from, std::slice::from_ref(one))
            {
                made = Some(next);
            }
        }
        self.states.extend(made.map(|made| (block, made)));
    }

    /// Code that stands here; `target` is the symbol that its text assigns.
    fn code(&mut self, spot: Spot, code: &CodeExpr, target: Option<Name>) {
        let symbols = code.code.iter().flat_map(|code| &code.symbols);
        let mut by: Vec<Typed> = Vec::new();
        for &(name, dtype) in symbols {
            if let Some(&(value, own)) = self.known.get(&name)
                && own == dtype
                && Some(name) != target
            {
                by.push(Typed { symbol: name, value, dtype });
            }
        }
        if let Some(made) = substitute::code_expr(self.exprs, self.names, code, &by) {
            self.codes.push((spot, made));
        }
    }

    fn forget_all(&mut self, names: impl IntoIterator<Item = Name>) {
        names.into_iter().for_each(|name| self.forget(name));
    }

    /// Nothing is known of a symbol any more, nor of what is made of it.
    fn forget(&mut self, name: Name) {
        let dependent = self.made_of.get(&name).into_iter().flatten().copied();
        let dependent = dependent.filter(|other| {
            self.known.get(other).is_some_and(|&(value, _)| self.exprs.depends_on(value, name))
        });
        for name in dependent.chain([name]).collect::<Vec<Name>>() {
            if let Some(before) = self.known.remove(&name) {
                self.log.push((name, Some(before)));
            }
        }
    }

    fn back_to(&mut self, mark: usize) {
        for (name, before) in self.log.drain(mark..).rev() {
            match before {
                Some(before) => self.known.insert(name, before),
                None => self.known.remove(&name),
            };
        }
    }
}

/// Symbols that edges assign and that nothing reads, but assignments of such symbols.
fn dead(graph: &Graph, names: &Names, readers: &Readers) -> Vec<Name> {
    let mut needed: HashSet<Name> = graph.arg_names.iter().copied().collect();
    let mut made_of: HashMap<Name, Vec<Name>> = HashMap::new();
    let mut opaque = false;
    for edge in graph.regions.values().flat_map(|region| &region.edges) {
        if let Some(condition) = &edge.condition {
            opaque |= condition.code.is_none();
            needed.extend(symbols_of(condition));
        }
        for (name, value) in &edge.assignments {
            opaque |= value.code.is_none();
            made_of.entry(*name).or_default().extend(symbols_of(value));
        }
    }
    let text = Readers::opaque_text(graph);
    let is_read = |name: &Name| {
        readers.is_read_by_blocks(*name)
            || text.iter().any(|text| substitute::mentions(text, names.get(*name)))
    };
    needed.extend(made_of.keys().filter(|name| is_read(name)));
    for block in graph.blocks.ids() {
        needed.extend(assigned::by_loop(graph, block));
    }
    let mut open: Vec<Name> = needed.iter().copied().collect();
    while let Some(name) = open.pop() {
        for &symbol in made_of.get(&name).into_iter().flatten() {
            if needed.insert(symbol) {
                open.push(symbol);
            }
        }
    }
    let mut dead: Vec<Name> = made_of.into_keys().filter(|name| !needed.contains(name)).collect();
    dead.sort_unstable();
    if opaque { Vec::new() } else { dead }
}

fn symbols_of(code: &CodeExpr) -> impl Iterator<Item = Name> + '_ {
    code.code.iter().flat_map(|code| &code.symbols).map(|(name, _)| *name)
}

fn apply(editor: &mut Editor<'_>, found: Found) -> Option<()> {
    let Found { graph, states, codes, dead } = found;
    for (block, state) in states {
        editor.replace_block(Place { graph, block }, BlockKind::State(Box::new(state)))?;
    }
    let mut in_regions: IndexMap<RegionId, Vec<(Spot, CodeExpr)>> = IndexMap::new();
    let mut in_blocks: IndexMap<BlockId, Vec<(Spot, CodeExpr)>> = IndexMap::new();
    for (spot, code) in codes {
        match spot {
            Spot::Condition(region, _) | Spot::Assignment(region, ..) => {
                in_regions.entry(region).or_default().push((spot, code));
            }
            Spot::Init(block) | Spot::Until(block) | Spot::Update(block) | Spot::Branch(block, _) => {
                in_blocks.entry(block).or_default().push((spot, code));
            }
        }
    }
    for (block, codes) in in_blocks {
        let mut kind = editor.graph(graph)?.blocks.get(block)?.kind.clone();
        for (spot, code) in codes {
            *in_block(&mut kind, spot)? = code;
        }
        editor.replace_block(Place { graph, block }, kind)?;
    }
    for (region, codes) in in_regions {
        let mut all = Some(());
        editor.edit_region(graph, region, |region| {
            for (spot, code) in codes {
                all = all.and(on_edge(region, spot).map(|place| *place = code));
            }
        })?;
        all?;
    }
    if dead.is_empty() {
        return Some(());
    }
    let gone: HashSet<Name> = dead.iter().copied().collect();
    let assigns = |region: &Region| {
        let mut names = region.edges.iter().flat_map(|edge| &edge.assignments);
        names.any(|(name, _)| gone.contains(name))
    };
    let regions: Vec<RegionId> = (editor.graph(graph)?.regions.iter())
        .filter(|(_, region)| assigns(region))
        .map(|(id, _)| id)
        .collect();
    for region in regions {
        editor.edit_region(graph, region, |region| {
            for edge in &mut region.edges {
                edge.assignments.retain(|(name, _)| !gone.contains(name));
            }
        })?;
    }
    assigned::forget(editor, graph, dead)
}

fn on_edge(region: &mut Region, spot: Spot) -> Option<&mut CodeExpr> {
    match spot {
        Spot::Condition(_, edge) => region.edges.get_mut(edge)?.condition.as_mut(),
        Spot::Assignment(_, edge, at) => {
            region.edges.get_mut(edge)?.assignments.get_mut(at).map(|(_, value)| value)
        }
        _ => None,
    }
}

fn in_block(kind: &mut BlockKind, spot: Spot) -> Option<&mut CodeExpr> {
    match (kind, spot) {
        (BlockKind::Loop(repeated), Spot::Init(_)) => repeated.init.as_mut(),
        (BlockKind::Loop(repeated), Spot::Until(_)) => Some(&mut repeated.condition),
        (BlockKind::Loop(repeated), Spot::Update(_)) => repeated.update.as_mut(),
        (BlockKind::Conditional(branches), Spot::Branch(_, number)) => {
            branches.get_mut(number)?.condition.as_mut()
        }
        _ => None,
    }
}
