//! # inline_region
//!
//! Puts the blocks of a region that runs in place where the region was.
//!
//! ## Legal when
//! - the region runs through: it ends in one block, or nothing comes after it, and every other block has an edge that is taken
//!   whatever holds;
//! - all of its blocks can be reached.
//!
//! ## Before
//! ```pelton
//! program grouped(a: f64[4], b: f64[4]) {
//!   region group {
//!     state first { map i in 0:4 { a[i] = a[i] * 2 } }
//!     state second { map i in 0:4 { b[i] = a[i] + 1 } }
//!   }
//!   state last { map i in 0:4 { a[i] = b[i] - 1 } }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program grouped(a: f64[4], b: f64[4]) {
//!   state first { map i in 0:4 { a[i] = a[i] * 2 } }
//!   state second { map i in 0:4 { b[i] = a[i] + 1 } }
//!   state last { map i in 0:4 { a[i] = b[i] - 1 } }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program left(a: f64[4], b: f64[4], N: i64 symbol) {
//!   region group {
//!     state first { map i in 0:4 { a[i] = a[i] * 2 } }
//!     state second { map i in 0:4 { b[i] = a[i] + 1 } }
//!     first -> second if N > 3
//!   }
//!   state last { map i in 0:4 { a[i] = b[i] - 1 } }
//! }
//! ```
//!
//! Enables: state_fusion, condition_fusion. Source: DaCe `InlineControlFlowRegions`.

use hashbrown::HashSet;
use indexmap::IndexMap;

use crate::ir::{BlockId, BlockKind, Graph, GraphId, InterstateEdge, Region, RegionId};
use crate::transform::editor::{Editor, Place};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};

/// The rule.
pub struct InlineRegion;

/// Blocks of a region that are regions themselves, with what they consist of.
pub struct Found {
    graph: GraphId,
    region: RegionId,
    inner: IndexMap<BlockId, Inner>,
}

struct Inner {
    body: RegionId,
    entry: BlockId,
    /// Blocks after which the region ends.
    ends: Vec<BlockId>,
}

impl Transformation for InlineRegion {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Region;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Region(id, region) = site else { return None };
        let graph = editor.graph(id)?;
        let around = graph.regions.get(region)?;
        let goes_on: HashSet<BlockId> = around.edges.iter().map(|edge| edge.src).collect();
        let mut inner = IndexMap::new();
        for &block in &around.blocks {
            if let Some(BlockKind::Region(_, body)) = graph.blocks.get(block).map(|block| &block.kind)
                && let Some((entry, ends)) = through(graph, *body)
                && (ends.len() == 1 || !goes_on.contains(&block))
            {
                inner.insert(block, Inner { body: *body, entry, ends });
            }
        }
        (!inner.is_empty()).then_some(Found { graph: id, region, inner })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        apply(editor, found).ok_or(Stopped)
    }
}

/// Where a region starts and ends, if it always runs to an end.
fn through(graph: &Graph, body: RegionId) -> Option<(BlockId, Vec<BlockId>)> {
    let region = graph.regions.get(body)?;
    let entry = region.entry()?;
    let leaving: HashSet<BlockId> = region.edges.iter().map(|edge| edge.src).collect();
    let always: HashSet<BlockId> =
        region.edges.iter().filter(|edge| edge.condition.is_none()).map(|edge| edge.src).collect();
    let leaves = |block: BlockId| {
        let kind = graph.blocks.get(block).map(|block| &block.kind);
        matches!(kind, Some(BlockKind::Break | BlockKind::Continue | BlockKind::Return))
    };
    // A block that nothing leads to could be taken for the start of the region around.
    let reached: HashSet<BlockId> = region.edges.iter().map(|edge| edge.dst).collect();
    let is_reached = |block: &BlockId| *block == entry || reached.contains(block);
    if leaving.iter().any(|block| !always.contains(block)) || !region.blocks.iter().all(is_reached) {
        return None;
    }
    let ends = region.blocks.iter().filter(|block| !leaving.contains(*block) && !leaves(**block));
    Some((entry, ends.copied().collect()))
}

fn apply(editor: &mut Editor<'_>, found: Found) -> Option<()> {
    let Found { graph, region, inner } = found;
    let around = editor.graph(graph)?;
    let old = around.regions.get(region)?.clone();
    let mut labels: HashSet<String> = HashSet::new();
    let mut renamed: Vec<(BlockId, String)> = Vec::new();
    let mut blocks = Vec::with_capacity(old.blocks.len());
    let mut edges = Vec::with_capacity(old.edges.len());
    let own = |block: &BlockId| around.blocks.get(*block).map(|block| block.label.clone());
    labels.extend(old.blocks.iter().filter(|block| !inner.contains_key(*block)).filter_map(own));
    for &block in &old.blocks {
        let Some(group) = inner.get(&block) else {
            blocks.push(block);
            continue;
        };
        let body = around.regions.get(group.body)?;
        for &block in &body.blocks {
            blocks.push(block);
            let label = around.blocks.get(block)?.label.clone();
            if !labels.insert(label.clone()) {
                let mut names = (1..).map(|number| format!("{label}_{number}"));
                let fresh = names.find(|name| !labels.contains(name))?;
                labels.insert(fresh.clone());
                renamed.push((block, fresh));
            }
        }
        edges.extend(body.edges.iter().cloned());
    }
    for edge in &old.edges {
        let dst = inner.get(&edge.dst).map_or(edge.dst, |group| group.entry);
        let sources = inner.get(&edge.src).map_or(vec![edge.src], |group| group.ends.clone());
        edges.extend(sources.into_iter().map(|src| InterstateEdge { src, dst, ..edge.clone() }));
    }
    let start = old.entry().map(|start| inner.get(&start).map_or(start, |group| group.entry));
    for group in inner.values() {
        editor.edit_region(graph, group.body, |region| *region = Region::default())?;
    }
    for (block, label) in renamed {
        editor.set_label(Place { graph, block }, label)?;
    }
    for &block in inner.keys() {
        editor.replace_block(Place { graph, block }, BlockKind::State(Box::default()))?;
    }
    editor.edit_region(graph, region, |region| *region = Region { blocks, edges, start })
}
