//! # map_fusion_vertical
//!
//! Computes the elements of a transient where they are read, so that they live in registers: the body of the map that
//! writes the transient is copied into the maps that read it, with its parameters replaced by the element that is read.
//! Where several elements are read, or several maps read, the value is computed several times, if the cost model says
//! that this is cheaper than the array.
//!
//! ## Legal when
//! - nobody else reads the transient: one access node, no condition, no expression, no view;
//! - each iteration of the producer writes one element, each parameter of the producer follows from the element's
//!   index, and the producer's range covers what the consumers read;
//! - what the producer reads is not written by the producer itself, nor by anybody before the consumers have run;
//!   a consumer may write it where it has read it: the same element in the same iteration, and anybody may write elements
//!   that are provably others;
//! - what is copied are tasklets and numbers between them.
//!
//! ## Before
//! ```pelton
//! program double_add(a: f64[8], b: f64[8]) {
//!   transient t: f64[8]
//!   state main {
//!     map i in 0:8 { t[i] = a[i] * 2 }
//!     map i in 0:7 { b[i] = t[i] + t[i + 1] }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program double_add(a: f64[8], b: f64[8]) {
//!   transient t_value: f64
//!   transient t_value_0: f64
//!   state main {
//!     map i in 0:7 {
//!       t_value = a[i] * 2
//!       t_value_0 = a[i + 1] * 2
//!       b[i] = t_value + t_value_0
//!     }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program in_place(a: f64[8]) {
//!   transient t: f64[8]
//!   state main {
//!     map i in 0:8 { t[i] = a[i] * 2 }
//!     map i in 0:7 { a[i + 1] = t[i] + 1 }
//!   }
//! }
//! ```
//!
//! Enables: itself, map_fusion_horizontal. Source: DaCe `MapFusionVertical`; GT4Py `inline_fuser`, `map_promoter`
//! (recomputation at offsets).

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use crate::entity::Name;
use crate::ir::{
    Data, DataKind, Edge, EdgeId, Lifetime, Map, Memlet, NodeId, NodeKind, Range, ScalarData, Storage, Subset,
};
use crate::scalar::{PortKind, Type};
use crate::symbolic::{ExprId, ExprPool};
use crate::transform::cost;
use crate::transform::dead;
use crate::transform::editor::{Editor, Place, View, ordering_edge, plain_node};
use crate::transform::order::{self, Unit, unit_of};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;
use crate::transform::substitute;

/// The rule.
pub struct MapFusionVertical;

/// The producer of the transient.
struct Producer {
    entry: NodeId,
    exit: NodeId,
    map: Map,
    /// The edge into the access node.
    write: EdgeId,
    /// The edge that carries the value inside the scope, and the element it goes to.
    value: EdgeId,
    element: Subset,
    /// Nodes that compute the value.
    cone: Vec<NodeId>,
    /// Work of one computation.
    weight: u64,
    /// Whether the producer has other results.
    remains: bool,
}

/// A map that reads the transient.
struct Consumer {
    entry: NodeId,
    /// Edges that lead the transient into the scope.
    reads: Vec<EdgeId>,
    /// What is read, with the producer's parameters there and the edges that read it.
    sites: Vec<Vec<(Name, ExprId)>>,
    uses: Vec<Vec<EdgeId>>,
}

/// A fusion.
pub struct Fusion {
    at: Place,
    node: NodeId,
    data: Name,
    ty: Type,
    producer: Producer,
    consumers: Vec<Consumer>,
}

impl Transformation for MapFusionVertical {
    type Match = Fusion;
    const KIND: SiteKind = SiteKind::Node;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Fusion> {
        let Site::Node(at, node) = site else { return None };
        let data = transient_between_maps(&editor.view(at)?, node)?;
        if !order::is_explicit(editor, at) {
            return None;
        }
        let (view, exprs) = editor.split(at)?;
        let producer = producer(&view, exprs, node, data)?;
        let consumers = consumers(&view, exprs, node, data, &producer)?;
        let places = places(&view, exprs, &consumers)?;
        if !cost::recomputation_pays(producer.weight, places, producer.remains) {
            return None;
        }
        for consumer in &consumers {
            let size = view.index.size(consumer.entry) + consumer.sites.len() * producer.cone.len();
            let fits = size <= 2 * cost::MAX_BODY
                && scope::is_settled(&view, exprs, consumer.entry)
                && reads_stay_valid(&view, exprs, &producer, consumer)
                && names_fit(&view, exprs, &producer, consumer);
            if !fits {
                return None;
            }
        }
        let ty = view.graph.data.get(&data)?.ty;
        Some(Fusion { at, node, data, ty, producer, consumers })
    }

    fn apply(editor: &mut Editor<'_>, fusion: Fusion) -> Result<(), Stopped> {
        for consumer in &fusion.consumers {
            inline(editor, &fusion, consumer).ok_or(Stopped)?;
        }
        let Fusion { at, node, data, .. } = fusion;
        dead::remove_write(editor, at, fusion.producer.write).ok_or(Stopped)?;
        if editor.view(at).and_then(|view| view.accessed(node)).is_some() {
            dead::remove_unit(editor, at, node, node).ok_or(Stopped)?;
            dead::drop_unused(editor, at, data).ok_or(Stopped)?;
        }
        Ok(())
    }
}

/// The work of one element of the transient that an access node names, if one map computes it, an element per iteration, so
/// that readers could do so themselves.
pub(super) fn work_of_element(view: &View<'_>, exprs: &mut ExprPool, node: NodeId) -> Option<u64> {
    let data = private_transient(view, node)?;
    Some(producer(view, exprs, node, data)?.weight)
}

/// The transient that an access node names, if it is written by one map, read by maps and by nobody else.
fn transient_between_maps(view: &View<'_>, node: NodeId) -> Option<Name> {
    let data = private_transient(view, node)?;
    view.data_out(node)
        .all(|(_, edge)| {
            matches!(view.kind(edge.dst), Some(NodeKind::MapEntry(_))) && edge.memlet.data == Some(data)
        })
        .then_some(data)
}

/// The transient that an access node names, if nothing but edges at this node leads to it.
fn private_transient(view: &View<'_>, node: NodeId) -> Option<Name> {
    let data = view.accessed(node)?;
    let declared = view.graph.data.get(&data)?;
    let lives_on = matches!(declared.lifetime, Lifetime::Persistent | Lifetime::External);
    let is_private = declared.transient
        && matches!(declared.kind, DataKind::Array(_))
        && matches!(declared.ty, Type::Scalar(_))
        && !lives_on
        && view.index.parent(node).is_none()
        && view.facts.access_nodes(data) == 1
        && !view.facts.is_shared(data)
        && !view.facts.is_read_by_name(data);
    let only_data = |edges: &[EdgeId]| edges.iter().all(|&edge| !view.edge(edge).memlet.is_empty());
    let joined = view.index.incoming(node).len() == 1
        && !view.index.outgoing(node).is_empty()
        && only_data(view.index.incoming(node))
        && only_data(view.index.outgoing(node));
    (is_private && joined).then_some(data)
}

fn producer(view: &View<'_>, exprs: &mut ExprPool, node: NodeId, data: Name) -> Option<Producer> {
    let (write, edge) = view.data_in(node).next()?;
    let exit = edge.src;
    let &NodeKind::MapExit { entry } = view.kind(exit)? else { return None };
    if edge.memlet.wcr.is_some() || !scope::is_plain(view, entry) || view.index.parent(entry).is_some() {
        return None;
    }
    let inner = dead::inner_edges(view, exit, edge.src_conn);
    let [value] = inner[..] else { return None };
    let inner = view.edge(value);
    let element = inner.memlet.subset.clone()?;
    let is_plain = inner.memlet.data == Some(data)
        && inner.memlet.wcr.is_none()
        && inner.memlet.other_subset.is_none()
        && !inner.memlet.dynamic
        && scope::is_point(exprs, &element);
    if !is_plain || !dead::can_remove_write(view, write) {
        return None;
    }
    let map = scope::map(view, entry)?.clone();
    let one = exprs.int(1);
    if map.range.ranges.iter().any(|range| range.step != one) {
        return None;
    }
    let (cone, weight) = cone(view, exprs, entry, value)?;
    let remains = view.data_out(exit).count() > 1;
    // What the producer writes it must not read: its iterations would not be independent.
    let written: HashSet<Name> = (view.data_out(exit))
        .filter_map(|(_, edge)| edge.memlet.data)
        .map(|name| view.facts.class(name))
        .collect();
    let reads_own = reads(view, entry, &cone)
        .iter()
        .any(|(_, memlet)| memlet.data.is_some_and(|name| written.contains(&view.facts.class(name))));
    (!reads_own).then_some(Producer { entry, exit, map, write, value, element, cone, weight, remains })
}

/// Nodes of a scope that compute the value of an edge, each after those it needs, with their work.
fn cone(view: &View<'_>, exprs: &ExprPool, entry: NodeId, value: EdgeId) -> Option<(Vec<NodeId>, u64)> {
    let mut found: Vec<NodeId> = Vec::new();
    let mut seen: HashSet<NodeId> = HashSet::new();
    let mut weight = 0u64;
    let start = view.edge(value);
    let mut open: Vec<(NodeId, bool)> = vec![(start.src, false)];
    while let Some((node, done)) = open.pop() {
        if done {
            found.push(node);
            continue;
        }
        if node == entry || !seen.insert(node) {
            continue;
        }
        if seen.len() > cost::MAX_BODY || view.index.parent(node) != Some(entry) {
            return None;
        }
        match view.kind(node)? {
            NodeKind::Tasklet(tasklet) => {
                let code = tasklet.code.as_ref().filter(|code| dead::is_pure(code))?;
                weight = weight.saturating_add(cost::weight(code));
                // Outputs that are not copied must be ones that can go: values, handed over after the body.
                let values = code.ports.values().filter(|port| port.writes);
                if values.clone().any(|port| port.kind != PortKind::Value || port.reads) {
                    return None;
                }
            }
            NodeKind::Access { data, setzero: false } => {
                // A number that lives in this scope only.
                let declared = view.graph.data.get(data)?;
                let is_number = declared.transient
                    && matches!(declared.kind, DataKind::Scalar(_))
                    && matches!(declared.ty, Type::Scalar(_))
                    && view.facts.access_nodes(*data) == 1
                    && !view.facts.is_shared(*data)
                    && !view.facts.is_read_by_name(*data)
                    && view.data_in(node).count() == 1
                    && view.data_in(node).all(|(_, edge)| edge.memlet.wcr.is_none());
                if !is_number {
                    return None;
                }
            }
            _ => return None,
        }
        open.push((node, true));
        for &edge in view.index.incoming(node) {
            let edge = view.edge(edge);
            if edge.src == entry && !edge.memlet.is_empty() {
                weight = weight.saturating_add(cost::LOAD);
                let point = edge.memlet.subset.as_ref().is_some_and(|subset| scope::is_point(exprs, subset));
                // A copy of more than one element would need an array.
                if !point && !matches!(view.kind(node), Some(NodeKind::Tasklet(_))) {
                    return None;
                }
            }
            open.push((edge.src, false));
        }
    }
    Some((found, weight))
}

/// Memlets through which nodes of a scope read what comes in, with the access node outside.
fn reads<'v>(view: &'v View<'_>, entry: NodeId, nodes: &[NodeId]) -> Vec<(NodeId, &'v Memlet)> {
    let mut outside: HashMap<Name, NodeId> = HashMap::new();
    for (_, edge) in view.data_in(entry) {
        if let Some(stem) = edge.dst_conn.and_then(|name| view.names.get(name).strip_prefix("IN_"))
            && let Some(output) = view.names.lookup(&format!("OUT_{stem}"))
        {
            outside.insert(output, edge.src);
        }
    }
    let mut found = Vec::new();
    for &node in nodes {
        for (_, edge) in view.data_in(node).filter(|(_, edge)| edge.src == entry) {
            if let Some(&source) = edge.src_conn.and_then(|output| outside.get(&output)) {
                found.push((source, &edge.memlet));
            }
        }
    }
    found
}

/// All maps that read the transient, with the elements they read; `None` if one of them cannot be served.
fn consumers(
    view: &View<'_>,
    exprs: &mut ExprPool,
    node: NodeId,
    data: Name,
    producer: &Producer,
) -> Option<Vec<Consumer>> {
    let mut consumers: Vec<Consumer> = Vec::new();
    for (id, edge) in view.data_out(node) {
        let entry = edge.dst;
        if !scope::is_plain(view, entry) || entry == producer.entry {
            return None;
        }
        let position = match consumers.iter().position(|known| known.entry == entry) {
            Some(position) => position,
            None => {
                consumers.push(Consumer { entry, reads: Vec::new(), sites: Vec::new(), uses: Vec::new() });
                consumers.len() - 1
            }
        };
        let consumer = &mut consumers[position];
        consumer.reads.push(id);
        let map = scope::map(view, entry)?;
        let known = scope::assumptions(map);
        let stem = view.names.get(edge.dst_conn?).strip_prefix("IN_")?;
        for (id, inner) in view.data_out(entry) {
            let output = inner.src_conn.and_then(|name| view.names.get(name).strip_prefix("OUT_"));
            if output != Some(stem) {
                continue;
            }
            if !reads_value(view, inner.dst, inner.dst_conn) {
                return None;
            }
            let memlet = &inner.memlet;
            let element = memlet.subset.as_ref().filter(|subset| scope::is_point(exprs, subset))?;
            let is_plain = memlet.data == Some(data)
                && memlet.wcr.is_none()
                && memlet.other_subset.is_none()
                && !memlet.dynamic;
            if !is_plain {
                return None;
            }
            let site = iteration_that_writes(exprs, producer, element)?;
            for (number, &(_, value)) in site.iter().enumerate() {
                let range = producer.map.range.ranges.get(number)?;
                let range = substitute::range(exprs, range, &site[..number]);
                if !scope::lies_in(exprs, &known, value, &range) {
                    return None;
                }
            }
            match consumer.sites.iter().position(|known| *known == site) {
                Some(same) => consumer.uses[same].push(id),
                None => {
                    consumer.sites.push(site);
                    consumer.uses.push(vec![id]);
                }
            }
        }
        if consumer.sites.is_empty() {
            return None;
        }
    }
    Some(consumers)
}

/// The places that read the transient, as the cost model counts them.
fn places(view: &View<'_>, exprs: &ExprPool, consumers: &[Consumer]) -> Option<cost::Places> {
    let mut places = cost::Places::default();
    for consumer in consumers {
        let map = scope::map(view, consumer.entry)?;
        for site in &consumer.sites {
            let runs_over: Vec<bool> = (map.params.iter())
                .map(|&param| site.iter().any(|&(_, value)| exprs.depends_on(value, param)))
                .collect();
            let inner = runs_over.iter().rposition(|&runs| runs).unwrap_or(0);
            match runs_over[..inner].iter().all(|&runs| runs) {
                true => places.once += 1,
                false => places.again += 1,
            }
        }
    }
    Some(places)
}

/// Whether a node takes a plain value through a connector.
fn reads_value(view: &View<'_>, node: NodeId, connector: Option<Name>) -> bool {
    let Some(NodeKind::Tasklet(tasklet)) = view.kind(node) else { return false };
    let Some(code) = &tasklet.code else { return false };
    let port = code.ports.values().find(|port| Some(port.name) == connector);
    // An input without a port is not used by the code.
    port.is_none_or(|port| port.kind == PortKind::Value && !port.writes && matches!(port.ty, Type::Scalar(_)))
}

/// Values of the producer's parameters in the iteration that writes `element`.
fn iteration_that_writes(
    exprs: &mut ExprPool,
    producer: &Producer,
    element: &Subset,
) -> Option<Vec<(Name, ExprId)>> {
    let params = &producer.map.params;
    if element.ranges.len() != producer.element.ranges.len() {
        return None;
    }
    let mut solved: Vec<Option<ExprId>> = vec![None; params.len()];
    for (written, read) in producer.element.ranges.iter().zip(&element.ranges) {
        let depends: SmallVec<[usize; 2]> =
            (0..params.len()).filter(|&number| exprs.depends_on(written.start, params[number])).collect();
        match depends[..] {
            [] if written.start == read.start => {}
            [number] => {
                let symbol = exprs.symbol(params[number]);
                let offset = exprs.sub(written.start, symbol);
                if exprs.depends_on(offset, params[number]) {
                    return None;
                }
                let value = exprs.sub(read.start, offset);
                if solved[number].replace(value).is_some_and(|known| known != value) {
                    return None;
                }
            }
            _ => return None,
        }
    }
    let mut site = Vec::with_capacity(params.len());
    for (number, value) in solved.into_iter().enumerate() {
        // A parameter that the element does not tell must have one value only.
        let range = producer.map.range.ranges.get(number)?;
        let value = value.or((range.start == range.end).then_some(range.start))?;
        site.push((params[number], value));
    }
    Some(site)
}

/// Whether what the producer reads still holds the same values when the consumer runs.
fn reads_stay_valid(view: &View<'_>, exprs: &mut ExprPool, producer: &Producer, consumer: &Consumer) -> bool {
    let (own_key, consumer_key) = (view.index.key(producer.entry), view.index.key(consumer.entry));
    let Some(exit) = view.index.exit(consumer.entry) else { return false };
    let Some(map) = scope::map(view, consumer.entry) else { return false };
    for (_, memlet) in reads(view, producer.entry, &producer.cone) {
        let Some(name) = memlet.data else { continue };
        let class = view.facts.class(name);
        let between = order::writers_between(view, class, own_key, consumer_key);
        // Writes of the consumer itself.
        let own: Vec<&Edge> = (view.data_in(exit))
            .filter(|(_, edge)| edge.memlet.data.is_some_and(|data| view.facts.class(data) == class))
            .map(|(_, edge)| edge)
            .collect();
        if between.is_empty() && own.is_empty() {
            continue;
        }
        let Some(subset) = &memlet.subset else { return false };
        let is_point = !memlet.dynamic && scope::is_point(exprs, subset);
        for (site, uses) in consumer.sites.iter().zip(&consumer.uses) {
            let read = substitute::subset(exprs, subset, site);
            if !between.iter().all(|&unit| writes_elsewhere(view, exprs, unit, name, &read, &map.params)) {
                return false;
            }
            // Where the consumer writes what is read, then only where, and after, it has read it.
            let later = reached(view, exit, uses.iter().map(|&edge| view.edge(edge).dst));
            let fits = own.iter().all(|edge| {
                let written = edge.memlet.subset.as_ref().filter(|_| edge.memlet.data == Some(name));
                written.is_some_and(|written| {
                    differ(exprs, &read, written, &map.params)
                        || is_point
                            && *written == read
                            && later.contains(&edge.src)
                            && scope::is_injective(exprs, map, &read)
                })
            });
            if !fits {
                return false;
            }
        }
    }
    true
}

/// Whether a unit writes no element of `read`, for no values of `params`.
fn writes_elsewhere(
    view: &View<'_>,
    exprs: &ExprPool,
    unit: Unit,
    name: Name,
    read: &Subset,
    params: &[Name],
) -> bool {
    let class = view.facts.class(name);
    view.data_out(unit.end).all(|(_, edge)| {
        let target = view.accessed(edge.dst);
        let is_about = |data: Option<Name>| data.is_some_and(|data| view.facts.class(data) == class);
        if !is_about(edge.memlet.data) && !is_about(target) {
            return true;
        }
        // The memlet of a copy may be about the other end.
        let written = match target == Some(name) && edge.memlet.data == Some(name) {
            true if view.accessed(edge.src).is_none() => edge.memlet.subset.as_ref(),
            _ => None,
        };
        written.is_some_and(|written| differ(exprs, read, written, params))
    })
}

/// Whether two subsets have no element in common whatever `params` are: in one dimension, which does not depend on them, one
/// ends before the other begins.
fn differ(exprs: &ExprPool, a: &Subset, b: &Subset, params: &[Name]) -> bool {
    let fixed = |range: &Range| {
        !exprs.depends_on_any(range.start, params)
            && !exprs.depends_on_any(range.end, params)
            && exprs.as_int(range.tile) == Some(1)
    };
    a.ranges.len() == b.ranges.len()
        && a.ranges.iter().zip(&b.ranges).any(|(a, b)| {
            fixed(a)
                && fixed(b)
                && (exprs.less_than(a.end, b.start).is_yes() || exprs.less_than(b.end, a.start).is_yes())
        })
}

/// Nodes of a scope that some nodes lead to, these included.
fn reached(view: &View<'_>, exit: NodeId, from: impl Iterator<Item = NodeId>) -> HashSet<NodeId> {
    let mut open: Vec<NodeId> = from.collect();
    let mut seen: HashSet<NodeId> = open.iter().copied().collect();
    while let Some(node) = open.pop() {
        for &edge in view.index.outgoing(node) {
            let next = view.edge(edge).dst;
            if next != exit && seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}

/// Whether names keep their meaning in the consumer: its parameters hide no symbol of the producer's, and tasklets can be
/// told the new names.
fn names_fit(view: &View<'_>, exprs: &ExprPool, producer: &Producer, consumer: &Consumer) -> bool {
    let Some(map) = scope::map(view, consumer.entry) else { return false };
    let captured = |name: &Name| map.params.contains(name) && !producer.map.params.contains(name);
    for &node in &producer.cone {
        if let Some(NodeKind::Tasklet(tasklet)) = view.kind(node) {
            let Some(code) = &tasklet.code else { return false };
            if code.symbols.iter().any(|(name, _)| captured(name)) {
                return false;
            }
            let fits =
                consumer.sites.iter().all(|site| substitute::fits_tasklet(exprs, view.names, tasklet, site));
            if !fits {
                return false;
            }
        }
        for (_, edge) in view.data_in(node) {
            for range in edge.memlet.subset.iter().flat_map(|subset| &subset.ranges) {
                for expr in [range.start, range.end, range.step] {
                    if exprs.free_symbols(expr).iter().any(captured) {
                        return false;
                    }
                }
            }
        }
    }
    true
}

/// Copies the producer's body into a consumer, once per element read, and has the readers read the copies' values.
fn inline(editor: &mut Editor<'_>, fusion: &Fusion, consumer: &Consumer) -> Option<()> {
    let Fusion { at, producer, .. } = fusion;
    let at = *at;
    let key = editor.view(at)?.index.key(consumer.entry);
    for (site, uses) in consumer.sites.iter().zip(&consumer.uses) {
        let value = copy_body(editor, fusion, consumer, site)?;
        let (name, node) = value;
        for &edge in uses {
            let memlet = element_of_number(&mut editor.exprs, name);
            editor.edit_edge(at, edge, |edge| {
                edge.src = node;
                edge.src_conn = None;
                edge.memlet = memlet;
            })?;
        }
    }
    for &edge in &consumer.reads {
        let entry = consumer.entry;
        let connector = editor.view(at)?.edge(edge).dst_conn?;
        editor.remove_edge(at, edge)?;
        let stem = editor.names.get(connector).strip_prefix("IN_")?.to_owned();
        let output = editor.names.intern(&format!("OUT_{stem}"));
        editor.edit_node(at, entry, |node| {
            node.outputs.shift_remove(&output);
        })?;
    }
    // What had to run before the producer has to run before its copy; what overwrites what it reads, afterwards.
    let view = editor.view(at)?;
    let exit = view.index.exit(consumer.entry)?;
    let mut before: Vec<NodeId> =
        view.index.incoming(producer.entry).iter().map(|&edge| view.edge(edge).src).collect();
    if producer.remains {
        before.push(producer.exit);
    }
    let own_key = view.index.key(producer.entry);
    let mut after: Vec<NodeId> = Vec::new();
    for (_, memlet) in reads(&view, producer.entry, &producer.cone) {
        let Some(name) = memlet.data else { continue };
        let between = order::writers_between(&view, view.facts.class(name), own_key, key);
        before.extend(between.into_iter().map(|unit| unit.end));
        if let Some((unit, _)) = order::next_writer(&view, view.facts.class(name), key) {
            after.push(unit.begin);
        }
    }
    for &edge in view.index.outgoing(producer.exit) {
        let edge = view.edge(edge);
        let unit = unit_of(&view, edge.dst)?;
        if edge.memlet.is_empty() && view.index.key(unit.begin) > key {
            after.push(edge.dst);
        }
    }
    for list in [&mut before, &mut after] {
        list.sort_unstable();
        list.dedup();
    }
    for node in before {
        editor.order(at, node, consumer.entry)?;
    }
    for node in after {
        editor.order(at, exit, node)?;
    }
    // It was settled, and what was added only reads what nobody writes there before it was used.
    editor.set_settled(at, consumer.entry);
    Some(())
}

/// One copy of the producer's body; gives the number that holds the value and its access node.
fn copy_body(
    editor: &mut Editor<'_>,
    fusion: &Fusion,
    consumer: &Consumer,
    site: &[(Name, ExprId)],
) -> Option<(Name, NodeId)> {
    let Fusion { at, producer, data, ty, .. } = fusion;
    let at = *at;
    let mut copies: HashMap<NodeId, NodeId> = HashMap::new();
    let mut numbers: HashMap<Name, Name> = HashMap::new();
    for &node in &producer.cone {
        let mut copy = editor.view(at)?.state.nodes.get(node)?.clone();
        match &mut copy.kind {
            NodeKind::Access { data, .. } => {
                let declared = editor.graph(at.graph)?.data.get(data)?.clone();
                let stem = editor.names.get(*data).to_owned();
                let name = editor.add_data(at.graph, &stem, declared)?;
                numbers.insert(*data, name);
                *data = name;
                copy.label = editor.names.get(name).to_owned();
            }
            NodeKind::Tasklet(tasklet) => substitute::tasklet(&editor.exprs, &editor.names, tasklet, site),
            _ => return None,
        }
        let new = editor.add_node(at, copy, consumer.entry)?;
        copies.insert(node, new);
    }
    for &node in &producer.cone {
        let copy = *copies.get(&node)?;
        let view = editor.view(at)?;
        let edges: Vec<EdgeId> = view.index.incoming(node).to_vec();
        for edge in edges {
            let mut edge = editor.view(at)?.edge(edge).clone();
            edge.dst = copy;
            edge.memlet = substitute::memlet(&mut editor.exprs, &edge.memlet, site);
            if let Some(name) = edge.memlet.data.and_then(|name| numbers.get(&name)) {
                edge.memlet.data = Some(*name);
            }
            match copies.get(&edge.src) {
                Some(&src) => edge.src = src,
                None if edge.memlet.is_empty() => edge.src = consumer.entry,
                None => {
                    let view = editor.view(at)?;
                    let stem = view.names.get(edge.src_conn?).strip_prefix("OUT_")?;
                    let input = view.names.lookup(&format!("IN_{stem}"))?;
                    let outer =
                        view.data_in(producer.entry).find(|(_, edge)| edge.dst_conn == Some(input))?.1.src;
                    let output = scope::lead_in(editor, at, outer, consumer.entry, &edge.memlet)?;
                    edge.src = consumer.entry;
                    edge.src_conn = Some(output);
                }
            }
            editor.add_edge(at, edge)?;
        }
        if editor.view(at)?.index.incoming(copy).is_empty() {
            editor.add_edge(at, ordering_edge(consumer.entry, copy))?;
        }
    }
    let value = editor.view(at)?.edge(producer.value).clone();
    let source = *copies.get(&value.src)?;
    if let Some(NodeKind::Access { data, .. }) = editor.view(at)?.kind(source) {
        let data = *data;
        let same_type = editor.graph(at.graph)?.data.get(&data)?.ty == *ty;
        if same_type {
            return Some((data, source));
        }
    }
    let number = Data {
        ty: *ty,
        kind: DataKind::Scalar(ScalarData::default()),
        transient: true,
        storage: Storage::Register,
        lifetime: Lifetime::Scope,
        extra: Default::default(),
    };
    let stem = format!("{}_value", editor.names.get(*data));
    let name = editor.add_data(at.graph, &stem, number)?;
    let label = editor.names.get(name).to_owned();
    let access = plain_node(&label, NodeKind::Access { data: name, setzero: false });
    let node = editor.add_node(at, access, consumer.entry)?;
    let memlet = element_of_number(&mut editor.exprs, name);
    editor.add_edge(at, Edge::new(source, value.src_conn, node, None, memlet))?;
    Some((name, node))
}

fn element_of_number(exprs: &mut ExprPool, name: Name) -> Memlet {
    let (zero, one) = (exprs.int(0), exprs.int(1));
    let range = Range { start: zero, end: zero, step: one, tile: one };
    Memlet { data: Some(name), subset: Some(Subset { ranges: vec![range] }), ..Memlet::default() }
}
