//! What the symbols of a nested graph are in the graph around it.

use hashbrown::{HashMap, HashSet};
use indexmap::IndexMap;

use crate::analysis::uses::{assigned_symbols, layout_exprs};
use crate::entity::Name;
use crate::ir::{BlockId, BlockKind, CodeExpr, Graph, GraphId, NodeKind};
use crate::scalar::{Code, DType};
use crate::symbolic::{ExprId, ExprPool};

use super::assigned;
use super::control::Readers;
use super::editor::Editor;
use super::embed::{self, Hidden};
use super::size_code;
use super::substitute;

/// A symbol of a nested graph.
#[derive(Debug)]
pub struct Symbol {
    /// Its name inside.
    pub name: Name,
    /// What it is in sizes, ranges and memlets; `None`: the symbol of its own.
    pub size: Option<ExprId>,
    /// The symbol outside that code reads instead.
    pub code: Option<Name>,
    /// A symbol of its own outside, where it needs one.
    pub own: Option<Own>,
}

/// A new symbol of the graph outside.
#[derive(Debug)]
pub struct Own {
    /// Its type.
    pub dtype: DType,
    /// What it is before the nested graph starts, if anybody looks at that.
    pub start: Option<CodeExpr>,
}

/// Code that reads symbols.
struct Read<'a> {
    code: &'a Code,
    text: &'a str,
    /// Names that mean parameters of maps there.
    hidden: Vec<Name>,
}

/// The symbols that the graph `inner` reads or assigns, in order of their names' numbers. `None` if one cannot be told, or if
/// something names symbols that cannot be given other names.
pub fn of(
    editor: &Editor<'_>,
    exprs: &mut ExprPool,
    around: GraphId,
    inner: GraphId,
    mapping: &IndexMap<Name, ExprId>,
) -> Option<Vec<Symbol>> {
    let (outer, graph) = (editor.graph(around)?, editor.graph(inner)?);
    let reads = reads(editor, graph)?;
    let mut in_code: HashMap<Name, Vec<usize>> = HashMap::new();
    for (at, read) in reads.iter().enumerate() {
        let names = read.code.symbols.iter().map(|(name, _)| *name);
        names
            .filter(|name| !read.hidden.contains(name))
            .for_each(|name| in_code.entry(name).or_default().push(at));
    }
    let readers = Readers::of(exprs, graph);
    let (set, set_outside) = (assigned_symbols(graph), assigned_symbols(outer));
    let blocks: Vec<BlockId> = graph.blocks.ids().collect();
    let mut used: Vec<Name> = readers.read_in(&blocks);
    used.extend(set.iter().chain(in_code.keys()));
    let sizes = graph.data.values().filter(|data| data.transient).flat_map(layout_exprs);
    used.extend(sizes.flat_map(|size| exprs.free_symbols(size)));
    used.sort_unstable();
    used.dedup();
    let params: Vec<Name> = params(editor, graph);
    let mut symbols = Vec::new();
    for name in used.into_iter().filter(|name| !graph.data.contains_key(name)) {
        let known = outer.symbols.contains_key(&name) || set_outside.contains(&name);
        let value = mapping.get(&name).copied().or_else(|| known.then(|| exprs.symbol(name)));
        if value
            .is_some_and(|value| exprs.free_symbols(value).iter().any(|read| outer.data.contains_key(read)))
        {
            return None;
        }
        let places = in_code.get(&name).map_or(&[][..], |list| list);
        let dtype = read_as(name, places.iter().map(|&at| &reads[at]))?;
        let declared = graph.symbols.get(&name).and_then(|ty| ty.scalar());
        let own = |start| Some(Own { dtype: dtype.or(declared).unwrap_or(DType::I64), start });
        let start = |value: ExprId| {
            size_code::value_of(exprs, &editor.names, value, dtype.or(declared).unwrap_or(DType::I64))
        };
        if set.contains(&name) {
            let start = match value.filter(|_| !is_set_first(graph, &readers, name)) {
                Some(value) => Some(start(value)?),
                None => None,
            };
            symbols.push(Symbol { name, size: None, code: None, own: own(start) });
            continue;
        }
        let Some(value) = value else {
            // Nobody gives it a value, so it has to be the parameter of a map.
            if params.contains(&name) {
                continue;
            }
            return None;
        };
        let symbol = exprs.as_symbol(value);
        let is_hidden = symbol != Some(name) && exprs.depends_on_any(value, &params);
        let is_same_type = |symbol: Name| match outer.symbols.get(&symbol) {
            Some(ty) => ty.scalar() == dtype,
            None => declared.is_none(),
        };
        let is_free = |symbol: Name| {
            symbol == name
                || places.iter().all(|&at| !substitute::mentions(reads[at].text, editor.names.get(symbol)))
        };
        let code = symbol.filter(|&symbol| !is_hidden && is_same_type(symbol) && is_free(symbol));
        let needs_own = is_hidden || (!places.is_empty() && code.is_none());
        let own = if needs_own { own(Some(start(value)?)) } else { None };
        let code = code.filter(|_| !places.is_empty());
        symbols.push(Symbol { name, size: (!is_hidden).then_some(value), code, own });
    }
    let changed: Vec<Name> = (symbols.iter())
        .filter(|one| one.own.is_some() || one.size.and_then(|size| exprs.as_symbol(size)) != Some(one.name))
        .map(|one| one.name)
        .collect();
    can_change(editor, exprs, graph, &changed).then_some(symbols)
}

/// All code of a graph that may read symbols; `None` if there is some that was not lowered.
fn reads<'a>(editor: &Editor<'_>, graph: &'a Graph) -> Option<Vec<Read<'a>>> {
    let mut found = Vec::new();
    for code in graph.control_code() {
        match &code.code {
            Some(lowered) => found.push(Read { code: lowered, text: &code.text.text, hidden: Vec::new() }),
            None => return None,
        }
    }
    for (_, state) in graph.states() {
        let hidden = Hidden::of(&editor.names, state, &|_| true)?;
        for (id, node) in state.live_nodes() {
            match &node.kind {
                NodeKind::Tasklet(tasklet) => found.extend(tasklet.code.as_ref().map(|code| Read {
                    code,
                    text: &tasklet.text.text,
                    hidden: hidden.around(id).to_vec(),
                })),
                NodeKind::Library(library)
                    if library.wcr.as_ref().is_some_and(|code| !code.symbols.is_empty()) =>
                {
                    return None;
                }
                NodeKind::ConsumeEntry(_) => return None,
                _ => {}
            }
        }
        for edge in state.edges.values().filter(|edge| !edge.removed) {
            let Some(wcr) = &edge.memlet.wcr else { continue };
            let code = wcr.code.as_ref()?;
            found.push(Read { code, text: &wcr.text, hidden: hidden.around(edge.dst).to_vec() });
        }
    }
    Some(found)
}

/// Names that maps of a graph give to parameters and inputs.
fn params(editor: &Editor<'_>, graph: &Graph) -> Vec<Name> {
    let mut found: HashSet<Name> = HashSet::new();
    for (_, node) in graph.states().flat_map(|(_, state)| state.live_nodes()) {
        if let NodeKind::MapEntry(map) = &node.kind {
            found.extend(embed::bound(&editor.names, node, map));
        }
    }
    found.into_iter().collect()
}

/// The type as which all of this code reads a symbol, if any does; `None` if they differ.
fn read_as<'a>(name: Name, mut reads: impl Iterator<Item = &'a Read<'a>>) -> Option<Option<DType>> {
    let dtype =
        |read: &Read<'_>| read.code.symbols.iter().find(|(known, _)| *known == name).map(|(_, dtype)| *dtype);
    let Some(first) = reads.next().map(dtype) else { return Some(None) };
    reads.all(|read| dtype(read) == first).then_some(first)
}

/// Whether only loops set a symbol, and nobody reads it but such loops and what they run.
fn is_set_first(graph: &Graph, readers: &Readers, name: Name) -> bool {
    let mut edges =
        graph.regions.values().flat_map(|region| &region.edges).flat_map(|edge| &edge.assignments);
    let loops: Vec<BlockId> = graph
        .blocks
        .iter()
        .filter(|(_, block)| matches!(block.kind, BlockKind::Loop(_)))
        .map(|(id, _)| id)
        .collect();
    let own = loops.iter().find(|&&block| assigned::by_loop(graph, block).contains(&name));
    !edges.any(|(assigned, _)| *assigned == name)
        && own.is_some_and(|&own| readers.end_with_loop(graph, name, own, &loops))
}

/// Whether everything that names these symbols is seen: neither properties of library nodes nor nested graphs that read them
/// without a mapping.
fn can_change(editor: &Editor<'_>, exprs: &ExprPool, graph: &Graph, changed: &[Name]) -> bool {
    if changed.is_empty() {
        return true;
    }
    let texts = Readers::opaque_text(graph);
    let mentioned =
        |name: &Name| texts.iter().any(|text| substitute::mentions(text, editor.names.get(*name)));
    let by_nested = graph.states().flat_map(|(_, state)| state.live_nodes()).any(|(_, node)| {
        let NodeKind::Nested(nested) = &node.kind else { return false };
        let Some(inner) = nested.graph.and_then(|id| editor.graph(id)) else { return true };
        let blocks: Vec<BlockId> = inner.blocks.ids().collect();
        let read = Readers::of(exprs, inner).read_in(&blocks);
        let mut open = changed.iter().filter(|name| !nested.symbol_mapping.contains_key(*name));
        open.any(|name| inner.symbols.contains_key(name) || read.binary_search(name).is_ok())
    });
    !by_nested && !changed.iter().any(mentioned)
}
