//! # reduce_to_map
//!
//! Turns a `Reduce` node whose input a map computes into a map that accumulates, in front of which another one writes
//! the identity. The input's elements can then be computed where they are added up, and need no array.
//!
//! ## Legal when
//! - the input is a transient that one map computes, an element per iteration, and that only this node reads;
//! - input and output hold numbers of one type, so that the fold is the same function;
//! - the axes that stay have the extents of the output, in order;
//! - no conflict resolution meets the finished value.
//!
//! The map runs over the input's dimensions in their order, which is the order of the fold: row-major in the axes that
//! go, for each element of the output. A fold into one number runs on one thread; where the elements are expensive, the map
//! that computes them stays on its own and is shared among threads.
//!
//! ## Before
//! ```pelton
//! program sum_of_squares(a: f64[8, 8], b: f64[8]) {
//!   transient t: f64[8, 8]
//!   state main {
//!     a0 = access a
//!     t0 = access t
//!     b0 = access b
//!     begin = map_entry square [i in 0:8, j in 0:8]
//!     square = tasklet square (x) -> (y) { y = x * x }
//!     end = map_exit square of begin
//!     sum = library sum "dace.libraries.standard.nodes.reduce.Reduce" () -> () properties @{"wcr":"lambda x, y: x + y","axes":[0],"identity":0}
//!     a0 -> begin.IN_a : a[0:8, 0:8]
//!     begin.OUT_a -> square.x : a[i, j]
//!     square.y -> end.IN_t : t[i, j]
//!     end.OUT_t -> t0 : t[0:8, 0:8]
//!     t0 -> sum : t[0:8, 0:8]
//!     sum -> b0 : b[0:8]
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program sum_of_squares(a: f64[8, 8], b: f64[8]) {
//!   transient t: f64[8, 8]
//!   state main {
//!     map i in 0:8, j in 0:8 { t[i, j] = a[i, j] * a[i, j] }
//!     map j in 0:8 { b[j] = 0.0 }
//!     map i in 0:8, j in 0:8 { b[j] += t[i, j] }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program sum_of_argument(a: f64[8, 8], b: f64[8]) {
//!   state main {
//!     a0 = access a
//!     b0 = access b
//!     sum = library sum "dace.libraries.standard.nodes.reduce.Reduce" () -> () properties @{"wcr":"lambda x, y: x + y","axes":[0],"identity":0}
//!     a0 -> sum : a[0:8, 0:8]
//!     sum -> b0 : b[0:8]
//!   }
//! }
//! ```
//!
//! Enables: map_fusion_vertical. Source: DaCe `MapReduceFusion`; GT4Py's reductions are maps that accumulate.

use hashbrown::HashMap;

use crate::entity::Name;
use crate::ir::properties::{as_number, integers};
use crate::ir::{
    BlockKind, DataKind, Edge, EdgeId, Language, Map, Memlet, NodeId, NodeKind, Range, State, Subset,
    Tasklet, Text, Wcr,
};
use crate::scalar::code::{Inst, Op};
use crate::scalar::{Code, DType, Port, PortKind, Scalar, Type, ValueId, arith};
use crate::symbolic::{ExprId, ExprPool};
use crate::transform::cost;
use crate::transform::editor::{Editor, Place, View, ordering_edge, plain_node};
use crate::transform::order;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::rules::map_fusion_vertical::work_of_element;

/// The rule.
pub struct ReduceToMap;

/// A node that becomes maps.
struct Reduction {
    node: NodeId,
    /// Its edges, ordering edges included.
    edges: Vec<EdgeId>,
    /// The access nodes at both ends.
    ends: [NodeId; 2],
    input: Memlet,
    output: Memlet,
    /// Dimensions of the input that have several elements, each with the dimension of the output it stays in.
    dims: Vec<(usize, Option<usize>)>,
    dtype: DType,
    wcr: Wcr,
    identity: Option<Scalar>,
}

/// All reductions of a graph that become maps.
pub struct Found {
    states: Vec<(Place, Vec<Reduction>)>,
}

impl Transformation for ReduceToMap {
    type Match = Found;
    // A state is indexed anew afterwards, so all its reductions are converted at once.
    const KIND: SiteKind = SiteKind::Graph;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Graph(graph) = site else { return None };
        let mut states = Vec::new();
        for block in editor.blocks(graph) {
            let at = Place { graph, block };
            let nodes: Vec<NodeId> = (editor.state(at).into_iter())
                .flat_map(State::live_nodes)
                .filter(|(_, node)| matches!(&node.kind, NodeKind::Library(library) if library.class() == "Reduce"))
                .map(|(node, _)| node)
                .collect();
            if nodes.is_empty() || !order::is_explicit(editor, at) {
                continue;
            }
            let (view, exprs) = editor.split(at)?;
            let found: Vec<Reduction> =
                nodes.into_iter().filter_map(|node| reduction(&view, exprs, node)).collect();
            if !found.is_empty() {
                states.push((at, found));
            }
        }
        (!states.is_empty()).then_some(Found { states })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        for (at, reductions) in found.states {
            let mut state = editor.state(at).cloned().ok_or(Stopped)?;
            // Of reductions that wait for each other, the second one finds the edge that the first one left.
            let mut edges: HashMap<NodeId, Vec<EdgeId>> =
                reductions.iter().map(|reduction| (reduction.node, reduction.edges.clone())).collect();
            for reduction in &reductions {
                convert(editor, at, &mut state, reduction, &mut edges).ok_or(Stopped)?;
            }
            editor.replace_block(at, BlockKind::State(Box::new(state))).ok_or(Stopped)?;
        }
        Ok(())
    }
}

fn reduction(view: &View<'_>, exprs: &mut ExprPool, node: NodeId) -> Option<Reduction> {
    let NodeKind::Library(library) = view.kind(node)? else { return None };
    let text = library.properties.get("wcr")?.as_str()?.to_owned();
    let wcr = Wcr { text, code: Some(library.wcr.clone()?) };
    let identity = match library.properties.get("identity") {
        None | Some(serde_json::Value::Null) => None,
        Some(value) => Some(as_number(value).filter(|value| value.as_f64().is_finite())?),
    };
    let (mut read, mut written) = (view.data_in(node), view.data_out(node));
    let (Some((_, input)), None) = (read.next(), read.next()) else { return None };
    let (Some((_, output)), None) = (written.next(), written.next()) else { return None };
    let (source, target) = (view.accessed(input.src)?, view.accessed(output.dst)?);
    let is_plain = |edge: &Edge, data: Name| {
        edge.memlet.data == Some(data)
            && edge.memlet.other_subset.is_none()
            && edge.memlet.wcr.is_none()
            && !edge.memlet.dynamic
    };
    let [declared, result] = [source, target].map(|name| view.graph.data.get(&name));
    let (declared, result) = (declared?, result?);
    let Type::Scalar(dtype) = result.ty else { return None };
    let fits = view.index.parent(node).is_none()
        && is_plain(input, source)
        && is_plain(output, target)
        && declared.ty == result.ty
        && matches!(result.kind, DataKind::Array(_) | DataKind::Scalar(_) | DataKind::View(_))
        && view.facts.class(source) != view.facts.class(target)
        && view.index.outgoing(input.src).len() == 1;
    if !fits {
        return None;
    }
    let (all, kept) = (input.memlet.subset.as_ref()?, output.memlet.subset.as_ref()?);
    let is_whole = |range: &Range| exprs.as_int(range.step) == Some(1) && exprs.as_int(range.tile) == Some(1);
    if !all.ranges.iter().chain(&kept.ranges).all(is_whole) {
        return None;
    }
    let axes = integers(&library.properties, "axes");
    let rank = all.ranges.len() as i64;
    let goes = |dim: usize| {
        let dim = dim as i64;
        axes.as_ref().is_none_or(|axes| axes.iter().any(|&axis| axis == dim || axis + rank == dim))
    };
    let long = |subset: &Subset| -> Vec<usize> {
        (0..subset.ranges.len()).filter(|&dim| subset.ranges[dim].start != subset.ranges[dim].end).collect()
    };
    let mut targets = long(kept).into_iter();
    let mut dims = Vec::new();
    for dim in long(all) {
        let stays = if goes(dim) { None } else { Some(targets.next()?) };
        if let Some(to) = stays {
            let spans = [all.ranges[dim], kept.ranges[to]].map(|range| exprs.sub(range.end, range.start));
            if spans[0] != spans[1] {
                return None;
            }
        }
        dims.push((dim, stays));
    }
    let is_number = dims.iter().all(|(_, stays)| stays.is_none());
    if targets.next().is_some() || dims.is_empty() {
        return None;
    }
    let work = work_of_element(view, exprs, input.src)?;
    if is_number && work > cost::ARRAY {
        return None;
    }
    let edges = view.index.incoming(node).iter().chain(view.index.outgoing(node)).copied().collect();
    let ends = [input.src, output.dst];
    let (input, output) = (input.memlet.clone(), output.memlet.clone());
    Some(Reduction { node, edges, ends, input, output, dims, dtype, wcr, identity })
}

/// Replaces a node by a map that writes the identity and a map that folds.
fn convert(
    editor: &mut Editor<'_>,
    at: Place,
    state: &mut State,
    reduction: &Reduction,
    edges: &mut HashMap<NodeId, Vec<EdgeId>>,
) -> Option<()> {
    let names = Connectors::of(editor, reduction)?;
    let [begin, end] = fold(editor, state, reduction, &names)?;
    let first = match reduction.identity {
        None => begin,
        Some(identity) => {
            let [first, written] = fill(editor, at, state, reduction, &names, identity)?;
            state.edges.push(ordering_edge(written, begin));
            first
        }
    };
    // What ran before and after the node runs before and after both maps.
    for id in edges.remove(&reduction.node)? {
        let edge = state.edges.get_mut(id)?;
        if std::mem::replace(&mut edge.removed, true) {
            continue;
        }
        let (src, dst, orders) = (edge.src, edge.dst, edge.memlet.is_empty());
        let mut order = |from: NodeId, to: NodeId, other: NodeId| {
            let id = state.edges.push(ordering_edge(from, to));
            edges.entry(other).and_modify(|edges| edges.push(id));
        };
        if orders && src == reduction.node {
            order(end, dst, dst);
        } else if orders {
            order(src, begin, src);
            if first != begin {
                order(src, first, src);
            }
        }
    }
    *state.nodes.get_mut(reduction.node)? = plain_node("", NodeKind::Removed);
    Some(())
}

/// The map that folds elements into the output: its entry and exit.
fn fold(
    editor: &mut Editor<'_>,
    state: &mut State,
    reduction: &Reduction,
    names: &Connectors,
) -> Option<[NodeId; 2]> {
    let Reduction { input, output, dims, .. } = reduction;
    let (all, kept) = (input.subset.as_ref()?, output.subset.as_ref()?);
    let (mut element, mut result) = (first_of(all), first_of(kept));
    let mut map = Map::default();
    for &(dim, stays) in dims {
        let range = all.ranges[dim];
        let param = editor.names.fresh("reduced");
        let symbol = editor.exprs.symbol(param);
        element.ranges[dim] = index(range, symbol);
        if let Some(to) = stays {
            let offset = editor.exprs.sub(kept.ranges[to].start, range.start);
            let at = editor.exprs.add(symbol, offset);
            result.ranges[to] = index(range, at);
        }
        map.params.push(param);
        map.range.ranges.push(range);
    }
    let wcr = Some(reduction.wcr.clone());
    let begin = state.nodes.push(plain_node("reduce", NodeKind::MapEntry(map)));
    let text = format!("{} = {}", editor.names.get(names.result), editor.names.get(names.value));
    let tasklet = tasklet(state, "reduce", text, names.same(reduction.dtype));
    let end = state.nodes.push(plain_node("reduce", NodeKind::MapExit { entry: begin }));
    let [source, target] = reduction.ends;
    let read = point(input.data, element);
    let written = Memlet { wcr: wcr.clone(), ..point(output.data, result) };
    let (value, result) = (Some(names.value), Some(names.result));
    connect(state, (source, None), (begin, Some(names.read[0])), input.clone());
    connect(state, (begin, Some(names.read[1])), (tasklet, value), read);
    connect(state, (tasklet, result), (end, Some(names.written[0])), written);
    connect(state, (end, Some(names.written[1])), (target, None), Memlet { wcr, ..output.clone() });
    Some([begin, end])
}

/// What writes the identity into the output: the node at which it begins, and the one after which it is there.
fn fill(
    editor: &mut Editor<'_>,
    at: Place,
    state: &mut State,
    reduction: &Reduction,
    names: &Connectors,
    identity: Scalar,
) -> Option<[NodeId; 2]> {
    let Reduction { output, dims, dtype, .. } = reduction;
    let kept = output.subset.as_ref()?;
    let mut element = first_of(kept);
    let mut map = Map::default();
    for to in dims.iter().filter_map(|&(_, stays)| stays) {
        let range = kept.ranges[to];
        let param = editor.names.fresh("kept");
        let symbol = editor.exprs.symbol(param);
        element.ranges[to] = index(range, symbol);
        map.params.push(param);
        map.range.ranges.push(range);
    }
    let text = format!("{} = {}", editor.names.get(names.result), number_text(identity)?);
    let tasklet = tasklet(state, "identity", text, names.constant(*dtype, identity));
    let declared = editor.graph(at.graph)?.data.get(&output.data?)?;
    // What a view shows is said at its access node, so that one is written twice.
    let access = if declared.is_view() {
        reduction.ends[1]
    } else {
        let label = editor.names.get(output.data?).to_owned();
        let access = NodeKind::Access { data: output.data?, setzero: false };
        state.nodes.push(plain_node(&label, access))
    };
    let is_shared = access == reduction.ends[1];
    let (result, written) = (Some(names.result), point(output.data, element));
    if map.params.is_empty() {
        connect(state, (tasklet, result), (access, None), written);
        return Some([tasklet, if is_shared { tasklet } else { access }]);
    }
    let begin = state.nodes.push(plain_node("identity", NodeKind::MapEntry(map)));
    let end = state.nodes.push(plain_node("identity", NodeKind::MapExit { entry: begin }));
    state.edges.push(ordering_edge(begin, tasklet));
    connect(state, (tasklet, result), (end, Some(names.written[0])), written);
    connect(state, (end, Some(names.written[1])), (access, None), output.clone());
    Some([begin, if is_shared { end } else { access }])
}

/// Names at the nodes of a reduction.
struct Connectors {
    /// Of the tasklets: what comes in and what goes out.
    value: Name,
    result: Name,
    /// Of the borders: into and out of the entry, into and out of the exit.
    read: [Name; 2],
    written: [Name; 2],
}

impl Connectors {
    fn of(editor: &mut Editor<'_>, reduction: &Reduction) -> Option<Connectors> {
        let mut border = |data: Name| {
            let text = editor.names.get(data).to_owned();
            [editor.names.intern(&format!("IN_{text}")), editor.names.intern(&format!("OUT_{text}"))]
        };
        let (read, written) = (border(reduction.input.data?), border(reduction.output.data?));
        let (value, result) = (editor.names.intern("__inp"), editor.names.intern("__out"));
        Some(Connectors { value, result, read, written })
    }

    /// `result = value`.
    fn same(&self, dtype: DType) -> Code {
        let mut code = Code::default();
        let port = code.ports.push(port(self.value, dtype, false));
        let value = code.types.push(Type::Scalar(dtype));
        code.body.insts.push(Inst { op: Op::Input(port), results: vec![value] });
        self.hand_over(code, dtype, value)
    }

    /// `result = number`.
    fn constant(&self, dtype: DType, number: Scalar) -> Code {
        let mut code = Code::default();
        let value = code.types.push(Type::Scalar(dtype));
        let op = Op::Const(arith::cast(dtype, number));
        code.body.insts.push(Inst { op, results: vec![value] });
        self.hand_over(code, dtype, value)
    }

    fn hand_over(&self, mut code: Code, dtype: DType, value: ValueId) -> Code {
        let port = code.ports.push(port(self.result, dtype, true));
        code.body.insts.push(Inst { op: Op::Output { port, value }, results: Vec::new() });
        code
    }
}

fn port(name: Name, dtype: DType, writes: bool) -> Port {
    Port { name, ty: Type::Scalar(dtype), kind: PortKind::Value, reads: !writes, writes }
}

/// A finite number as Python text.
fn number_text(number: Scalar) -> Option<String> {
    Some(match number {
        Scalar::Bool(true) => "True".to_owned(),
        Scalar::Bool(false) => "False".to_owned(),
        Scalar::I64(number) => number.to_string(),
        Scalar::U64(number) => number.to_string(),
        Scalar::F64(number) => format!("{number:?}"),
        _ => return None,
    })
}

fn tasklet(state: &mut State, label: &str, text: String, code: Code) -> NodeId {
    let text = Text { language: Language::Python, text };
    state.nodes.push(plain_node(label, NodeKind::Tasklet(Tasklet { text, code: Some(code) })))
}

/// The first element of a subset.
fn first_of(subset: &Subset) -> Subset {
    let ranges = subset.ranges.iter().map(|range| Range { end: range.start, ..*range });
    Subset { ranges: ranges.collect() }
}

fn index(range: Range, at: ExprId) -> Range {
    Range { start: at, end: at, ..range }
}

fn point(data: Option<Name>, subset: Subset) -> Memlet {
    Memlet { data, subset: Some(subset), ..Memlet::default() }
}

type End = (NodeId, Option<Name>);

/// Adds an edge and the connectors that it meets.
fn connect(state: &mut State, (src, output): End, (dst, input): End, memlet: Memlet) {
    if let (Some(name), Some(node)) = (output, state.nodes.get_mut(src)) {
        node.outputs.entry(name).or_default();
    }
    if let (Some(name), Some(node)) = (input, state.nodes.get_mut(dst)) {
        node.inputs.entry(name).or_default();
    }
    state.edges.push(Edge::new(src, output, dst, input, memlet));
}
