//! Control flow of a nested graph in terms of the graph around it: other names for containers and symbols, values for symbols,
//! elements of a container outside for those of an argument.
//!
//! Maps hide names: what a parameter is called means the parameter in its scope, whatever a symbol of that name means outside.

use std::borrow::Cow;
use std::cell::RefCell;

use hashbrown::HashMap;

use crate::analysis::ScopeTree;
use crate::entity::{Name, Names};
use crate::ir::{
    BlockId, BlockKind, Branch, CodeExpr, GraphId, InterstateEdge, Language, Loop, Map, Memlet, Node, NodeId,
    NodeKind, Range, Region, RegionId, State, Text,
};
use crate::scalar::Code;
use crate::symbolic::{ExprId, ExprPool};

use super::control;
use super::copies::Correspondence;
use super::editor::{Editor, Place};
use super::substitute;

/// What the names of a nested graph are outside.
#[derive(Debug, Default)]
pub struct Meaning {
    /// In sizes, ranges and memlets: what stands for symbols, and for containers that are read by name.
    pub exprs: HashMap<Name, ExprId>,
    /// In code: other names of symbols.
    pub symbols: HashMap<Name, Name>,
    /// Containers.
    pub data: HashMap<Name, Name>,
    /// Arguments that are parts of containers: which, and the element that each of their elements is.
    pub parts: Vec<(Name, Name, Correspondence)>,
    /// Expressions that became others.
    images: RefCell<HashMap<ExprId, ExprId>>,
}

impl Meaning {
    /// Whether a symbol means something else than outside.
    fn changes(&self, name: Name) -> bool {
        self.symbols.contains_key(&name) || self.exprs.contains_key(&name)
    }

    /// An expression outside, where maps hide these names.
    pub fn expression(&self, exprs: &mut ExprPool, old: ExprId, hidden: &[Name]) -> ExprId {
        let image = |exprs: &mut ExprPool| {
            exprs.substitute(old, &|name| self.exprs.get(&name).filter(|_| !hidden.contains(&name)).copied())
        };
        if exprs.as_int(old).is_some() {
            return old;
        }
        if !hidden.is_empty() {
            return image(exprs);
        }
        if let Some(&known) = self.images.borrow().get(&old) {
            return known;
        }
        let new = image(exprs);
        self.images.borrow_mut().insert(old, new);
        new
    }

    fn range(&self, exprs: &mut ExprPool, range: &Range, hidden: &[Name]) -> Range {
        let mut image = |old: ExprId| self.expression(exprs, old, hidden);
        let (start, end) = (image(range.start), image(range.end));
        Range { start, end, step: image(range.step), tile: image(range.tile) }
    }

    /// A state of the nested graph as one of the graph outside.
    pub fn state(&self, exprs: &mut ExprPool, names: &Names, mut state: State) -> Option<State> {
        let hidden = Hidden::of(names, &state, &|name| self.changes(name))?;
        let ids: Vec<NodeId> = state.live_nodes().map(|(id, _)| id).collect();
        for id in ids {
            let around = hidden.around(id);
            let node = state.nodes.get_mut(id)?;
            match &mut node.kind {
                NodeKind::Access { data, .. } => {
                    *data = *self.data.get(data)?;
                    node.label = names.get(*data).to_owned();
                }
                NodeKind::Tasklet(tasklet) => {
                    if let Some(code) = &mut tasklet.code {
                        rename(names, &mut tasklet.text, code, &self.visible(around), None);
                    }
                }
                NodeKind::MapEntry(map) => {
                    // A range sees the parameters in front of it.
                    let mut hidden = around.to_vec();
                    for (range, &param) in map.range.ranges.iter_mut().zip(&map.params) {
                        *range = self.range(exprs, range, &hidden);
                        if self.changes(param) {
                            hidden.push(param);
                        }
                    }
                }
                NodeKind::Nested(nested) => {
                    for value in nested.symbol_mapping.values_mut() {
                        *value = self.expression(exprs, *value, around);
                    }
                }
                _ => {}
            }
        }
        let accessed = |state: &State, end: NodeId| match state.nodes.get(end).map(|node| &node.kind) {
            Some(NodeKind::Access { data, .. }) => Some(*data),
            _ => None,
        };
        for id in state.edges.ids().collect::<Vec<_>>() {
            let edge = state.edges.get(id)?;
            if edge.removed || edge.memlet.is_empty() {
                continue;
            }
            // An edge out of an entry lies in its scope, one out of an exit does not.
            let around = match state.nodes.get(edge.src).map(|node| &node.kind) {
                Some(NodeKind::MapEntry(_)) => hidden.inside(edge.src),
                _ => hidden.around(edge.dst),
            };
            let ends = [edge.src, edge.dst].map(|end| accessed(&state, end));
            let memlet = self.memlet(exprs, names, &edge.memlet, ends, around)?;
            state.edges.get_mut(id)?.memlet = memlet;
        }
        Some(state)
    }

    /// A memlet; `ends`: the containers outside of the access nodes that it joins.
    fn memlet(
        &self,
        exprs: &mut ExprPool,
        names: &Names,
        memlet: &Memlet,
        ends: [Option<Name>; 2],
        hidden: &[Name],
    ) -> Option<Memlet> {
        let mut made = memlet.clone();
        let subsets = made.subset.iter_mut().chain(&mut made.other_subset);
        for range in subsets.flat_map(|subset| &mut subset.ranges) {
            *range = self.range(exprs, range, hidden);
        }
        made.volume = made.volume.map(|volume| self.expression(exprs, volume, hidden));
        if let Some(wcr) = &mut made.wcr
            && let Some(code) = &mut wcr.code
        {
            let mut text = Text { language: Language::Python, text: std::mem::take(&mut wcr.text) };
            rename(names, &mut text, code, &self.visible(hidden), None);
            wcr.text = text.text;
        }
        let named = made.data?;
        made.data = Some(*self.data.get(&named)?);
        for (argument, outer, indices) in &self.parts {
            if named == *argument {
                made.subset = Some(indices.map(exprs, made.subset.as_ref()?)?);
            } else if ends.contains(&Some(*outer)) {
                made.other_subset = Some(indices.map(exprs, made.other_subset.as_ref()?)?);
            } else {
                continue;
            }
            (made.is_data_src, made.volume) = (None, None);
        }
        Some(made)
    }

    /// Code of control flow.
    fn code(&self, names: &Names, mut code: CodeExpr) -> Option<CodeExpr> {
        let target = code.target;
        let lowered = code.code.as_mut()?;
        rename(names, &mut code.text, lowered, &self.symbols, Some((&self.data, target)));
        code.target = target.map(|name| self.symbol(name));
        Some(code)
    }

    fn symbol(&self, name: Name) -> Name {
        self.symbols.get(&name).copied().unwrap_or(name)
    }

    /// The names of symbols where maps hide some.
    fn visible(&self, hidden: &[Name]) -> Cow<'_, HashMap<Name, Name>> {
        if hidden.is_empty() {
            return Cow::Borrowed(&self.symbols);
        }
        let shown = self.symbols.iter().filter(|(name, _)| !hidden.contains(*name));
        Cow::Owned(shown.map(|(old, new)| (*old, *new)).collect())
    }

    /// Moves all blocks under a region of `from` to `to`; gives the region that they are in there.
    pub fn move_region(
        &self,
        editor: &mut Editor<'_>,
        from: GraphId,
        body: RegionId,
        to: GraphId,
    ) -> Option<RegionId> {
        let inner = editor.graph(from)?;
        let blocks = control::blocks_under(inner, body);
        let bodies = blocks.iter().flat_map(|&block| control::bodies(inner, block));
        let regions: Vec<RegionId> = [body].into_iter().chain(bodies).collect();
        let old: Vec<Region> =
            regions.iter().map(|&id| inner.regions.get(id).cloned()).collect::<Option<_>>()?;
        let mut new_regions: HashMap<RegionId, RegionId> = HashMap::new();
        for &region in &regions {
            new_regions.insert(region, editor.add_region(to, Region::default())?);
        }
        let mut new_blocks: HashMap<BlockId, BlockId> = HashMap::new();
        for block in blocks {
            let label = editor.graph(from)?.blocks.get(block)?.label.clone();
            let kind =
                editor.replace_block(Place { graph: from, block }, BlockKind::State(Box::default()))?;
            let kind = match kind {
                BlockKind::State(state) => {
                    BlockKind::State(Box::new(self.state(&mut editor.exprs, &editor.names, *state)?))
                }
                other => self.block(&editor.names, other, &new_regions)?,
            };
            new_blocks.insert(block, editor.add_block(to, &label, kind)?);
        }
        for (id, region) in regions.iter().zip(old) {
            let moved = self.region(&editor.names, region, &new_blocks)?;
            editor.edit_region(to, *new_regions.get(id)?, |region| *region = moved)?;
            editor.edit_region(from, *id, |region| *region = Region::default())?;
        }
        new_regions.get(&body).copied()
    }

    fn block(
        &self,
        names: &Names,
        kind: BlockKind,
        regions: &HashMap<RegionId, RegionId>,
    ) -> Option<BlockKind> {
        let code = |code: Option<CodeExpr>| match code {
            Some(code) => self.code(names, code).map(Some),
            None => Some(None),
        };
        Some(match kind {
            BlockKind::Loop(repeated) => BlockKind::Loop(Box::new(Loop {
                variable: repeated.variable.map(|name| self.symbol(name)),
                init: code(repeated.init)?,
                condition: self.code(names, repeated.condition)?,
                update: code(repeated.update)?,
                body: *regions.get(&repeated.body)?,
                ..*repeated
            })),
            BlockKind::Conditional(branches) => BlockKind::Conditional(
                (branches.into_iter())
                    .map(|branch| {
                        let condition = code(branch.condition)?;
                        Some(Branch { condition, body: *regions.get(&branch.body)?, ..branch })
                    })
                    .collect::<Option<_>>()?,
            ),
            BlockKind::Region(flavor, body) => BlockKind::Region(flavor, *regions.get(&body)?),
            other => other,
        })
    }

    fn region(&self, names: &Names, region: Region, blocks: &HashMap<BlockId, BlockId>) -> Option<Region> {
        let edge = |edge: InterstateEdge| {
            let condition = match edge.condition {
                Some(condition) => Some(self.code(names, condition)?),
                None => None,
            };
            let assignments = edge.assignments.into_iter();
            Some(InterstateEdge {
                src: *blocks.get(&edge.src)?,
                dst: *blocks.get(&edge.dst)?,
                condition,
                assignments: assignments
                    .map(|(name, value)| Some((self.symbol(name), self.code(names, value)?)))
                    .collect::<Option<_>>()?,
                extra: edge.extra,
            })
        };
        Some(Region {
            blocks: region.blocks.iter().map(|block| blocks.get(block).copied()).collect::<Option<_>>()?,
            edges: region.edges.into_iter().map(edge).collect::<Option<_>>()?,
            start: region.start.and_then(|block| blocks.get(&block).copied()),
        })
    }
}

/// Names that a map gives to what its scope sees: parameters and inputs.
pub fn bound<'a>(names: &'a Names, entry: &'a Node, map: &'a Map) -> impl Iterator<Item = Name> + 'a {
    let inputs = entry.inputs.keys().filter(|name| !names.get(**name).starts_with("IN_"));
    map.params.iter().chain(inputs).copied()
}

/// Names that the maps of a state hide.
pub struct Hidden {
    /// Per node with maps around it that hide names.
    around: HashMap<NodeId, Vec<Name>>,
    /// Per map, with those around it.
    inside: HashMap<NodeId, Vec<Name>>,
}

impl Hidden {
    /// Which of the names that `matters` takes are parameters or inputs of maps around each node; `None` for a malformed state.
    pub fn of(names: &Names, state: &State, matters: &dyn Fn(Name) -> bool) -> Option<Hidden> {
        let mut hidden = Hidden { around: HashMap::new(), inside: HashMap::new() };
        let mut own: HashMap<NodeId, Vec<Name>> = HashMap::new();
        for (id, node) in state.live_nodes() {
            let NodeKind::MapEntry(map) = &node.kind else { continue };
            let bound: Vec<Name> = bound(names, node, map).filter(|name| matters(*name)).collect();
            if !bound.is_empty() {
                own.insert(id, bound);
            }
        }
        if own.is_empty() {
            return Some(hidden);
        }
        let tree = ScopeTree::of(state).ok()?;
        for (id, _) in state.live_nodes() {
            let around: Vec<Name> =
                tree.enclosing(id).filter_map(|entry| own.get(&entry)).flatten().copied().collect();
            if let Some(bound) = own.get(&id) {
                hidden.inside.insert(id, around.iter().chain(bound).copied().collect());
            } else if tree.exit(id).is_some() {
                hidden.inside.insert(id, around.clone());
            }
            hidden.around.insert(id, around);
        }
        Some(hidden)
    }

    /// What is hidden at a node.
    pub fn around(&self, node: NodeId) -> &[Name] {
        self.around.get(&node).map_or(&[], |list| list)
    }

    /// What is hidden in the scope of an entry.
    pub fn inside(&self, entry: NodeId) -> &[Name] {
        self.inside.get(&entry).map_or(&[], |list| list)
    }
}

/// Gives symbols of code other names, in its text as well; in control flow also containers, and the symbol that is assigned.
fn rename(
    names: &Names,
    text: &mut Text,
    code: &mut Code,
    symbols: &HashMap<Name, Name>,
    control: Option<(&HashMap<Name, Name>, Option<Name>)>,
) {
    let containers = control.map(|(containers, _)| containers);
    let container = |name: Name| containers.and_then(|known| known.get(&name)).copied();
    let mut renamed: Vec<(Name, Name)> = Vec::new();
    for (name, _) in &mut code.symbols {
        if let Some(new) = symbols.get(name).copied().or_else(|| container(*name)) {
            renamed.push((*name, new));
            *name = new;
        }
    }
    for (_, port) in code.ports.iter_mut() {
        if let Some(new) = container(port.name) {
            renamed.push((port.name, new));
            port.name = new;
        }
    }
    // The symbol that a statement assigns may stand in its text alone.
    let target = control.and_then(|(_, target)| target);
    renamed.extend(target.and_then(|name| symbols.get(&name).map(|&new| (name, new))));
    renamed.retain(|(old, new)| old != new);
    if !renamed.is_empty() && !text.text.is_empty() {
        let renamed: Vec<(&str, String)> =
            renamed.into_iter().map(|(old, new)| (names.get(old), names.get(new).to_owned())).collect();
        text.text = substitute::rename_identifiers(&text.text, &renamed);
    }
}
