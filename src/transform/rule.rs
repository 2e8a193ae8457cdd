//! Rules as values: a name, a page, where to look, and how to find and apply a match.

use crate::ir::{GraphId, NodeId, RegionId};

use super::editor::{Editor, Place};
use super::rules;

/// A place where a rule may look.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Site {
    /// A graph.
    Graph(GraphId),
    /// A region of a graph.
    Region(GraphId, RegionId),
    /// A state.
    State(Place),
    /// A node of a state.
    Node(Place, NodeId),
}

/// The kinds of places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SiteKind {
    /// Graphs.
    Graph,
    /// Regions of graphs.
    Region,
    /// States.
    State,
    /// Nodes of states.
    Node,
}

impl Site {
    /// Its kind.
    pub fn kind(self) -> SiteKind {
        match self {
            Site::Graph(_) => SiteKind::Graph,
            Site::Region(..) => SiteKind::Region,
            Site::State(_) => SiteKind::State,
            Site::Node(..) => SiteKind::Node,
        }
    }
}

/// Why an application stopped half way; its edits are taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped;

/// What a rule file implements.
pub trait Transformation {
    /// What was found, complete: applying it needs no further search.
    type Match;
    /// Where to look.
    const KIND: SiteKind;
    /// Whether to look at graphs before those that they run, and not at last places first.
    const OUTSIDE_IN: bool = false;

    /// The application at `site`, if the rule is legal there and pays.
    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Self::Match>;

    /// Applies it.
    ///
    /// # Errors
    /// The match does not fit the graph, which is a defect; the driver takes all edits back.
    fn apply(editor: &mut Editor<'_>, found: Self::Match) -> Result<(), Stopped>;
}

/// A transformation in the registry.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name, that of its file.
    pub name: &'static str,
    /// Its source file; the page is the header.
    source: &'static str,
    /// Where it looks.
    pub kind: SiteKind,
    /// Whether it looks at graphs before those that they run.
    pub outside_in: bool,
    step: fn(&mut Editor<'_>, Site) -> Option<Result<(), Stopped>>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Rule {
    const fn of<T: Transformation>(name: &'static str, source: &'static str) -> Rule {
        Rule { name, source, kind: T::KIND, outside_in: T::OUTSIDE_IN, step: step::<T> }
    }

    /// Looks at one place and applies the rule there if it matches.
    pub fn step(&self, editor: &mut Editor<'_>, site: Site) -> Option<Result<(), Stopped>> {
        (self.step)(editor, site)
    }

    /// The rule called `name`.
    pub fn by_name(name: &str) -> Option<&'static Rule> {
        RULES.iter().find(|rule| rule.name == name)
    }

    /// The rule's page, in Markdown: the header of its file.
    pub fn page(&self) -> String {
        let lines = self.source.lines().map_while(|line| line.strip_prefix("//!"));
        let mut page = String::new();
        for line in lines {
            page.push_str(line.strip_prefix(' ').unwrap_or(line));
            page.push('\n');
        }
        page
    }

    /// The programs under `## Before`, `## After` and `## Not applicable` of the page.
    pub fn example(&self, heading: &str) -> Option<String> {
        let page = self.page();
        let section = page.split("\n## ").find(|section| section.lines().next() == Some(heading))?;
        let block = section.split("```").nth(1)?;
        Some(block.strip_prefix("pelton\n").unwrap_or(block).to_owned())
    }
}

fn step<T: Transformation>(editor: &mut Editor<'_>, site: Site) -> Option<Result<(), Stopped>> {
    let found = T::find(editor, site)?;
    Some(T::apply(editor, found))
}

macro_rules! rules {
    ($($module:ident :: $type:ident),* $(,)?) => {
        /// All rules, by name. The order in which they run is that of [`pipeline`](super::pipeline).
        pub const RULES: &[Rule] = &[
            $(Rule::of::<rules::$module::$type>(
                stringify!($module),
                include_str!(concat!("rules/", stringify!($module), ".rs")),
            )),*
        ];
    };
}

rules! {
    condition_fusion::ConditionFusion,
    dead_dataflow::DeadDataflow,
    double_write::DoubleWrite,
    empty_range::EmptyRange,
    explicit_order::ExplicitOrder,
    inline_multistate::InlineMultistate,
    inline_nested::InlineNested,
    inline_region::InlineRegion,
    keep_transients::KeepTransients,
    loop_nest_to_map::LoopNestToMap,
    loop_to_map::LoopToMap,
    map_collapse::MapCollapse,
    map_dimension_order::MapDimensionOrder,
    map_fusion_horizontal::MapFusionHorizontal,
    map_fusion_vertical::MapFusionVertical,
    map_split_horizontal::MapSplitHorizontal,
    map_split_vertical::MapSplitVertical,
    map_tiling::MapTiling,
    move_into_branch::MoveIntoBranch,
    reduce_to_map::ReduceToMap,
    redundant_copy_in::RedundantCopyIn,
    redundant_copy_out::RedundantCopyOut,
    reference_removal::ReferenceRemoval,
    split_parts::SplitParts,
    split_transients::SplitTransients,
    state_fusion::StateFusion,
    symbol_propagation::SymbolPropagation,
    transient_layout::TransientLayout,
    trivial_condition::TrivialCondition,
    trivial_loop::TrivialLoop,
    trivial_map_dimension::TrivialMapDimension,
    view_removal::ViewRemoval,
    write_back::WriteBack,
}
