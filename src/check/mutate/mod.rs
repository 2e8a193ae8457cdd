//! Mistakes on purpose: wrong rewrites of graphs, planted to see whether the checks notice.
//!
//! A [`Mutant`] is a wrong transformation as somebody might write it: it applies wherever its pattern is found (or at one
//! such place), and what comes out is a valid program that means something else. A test suite that is worth
//! anything *kills* it: some program of the suite gives other bits after it.

pub mod kernel;
mod spots;

use crate::check::edit::checked;
use crate::diag::Result;
use crate::ir::Program;
use crate::ir::canonical::strip_code;

use spots::Spot;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[expect(missing_docs, reason = "the names say it; `Kind::describe` in words")]
pub enum Kind {
    ReadOneFurther,
    ReadOneEarlier,
    WriteOneFurther,
    DropResolution,
    OtherResolution,
    SwapRanges,
    ShortRange,
    LateStart,
    DoubleStep,
    SwapSubsetDimensions,
    NarrowTransient,
    NarrowRead,
    PlusToMinus,
    TimesToPlus,
    MinToMax,
    LessToLessOrEqual,
    ReuseLiveMemory,
    DropIdentity,
    OtherAxis,
    DropCopy,
    NegateCondition,
    LoopEndsEarly,
    LoopStartsLate,
    AssignOneMore,
    SwapBranches,
    DropState,
    SwapStates,
    MapSymbolOneMore,
    SwapReads,
    DropWrite,
    TransposedOperand,
    SkipLastBranch,
}

/// Where it goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Site {
    /// At every place the pattern is found.
    Every,
    /// At the first one.
    First,
    /// At the last one.
    Last,
    /// At every place inside nested graphs only.
    Nested,
}

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Mutant {
    /// What.
    pub kind: Kind,
    /// Where.
    pub site: Site,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 32] = [
        Kind::ReadOneFurther,
        Kind::ReadOneEarlier,
        Kind::WriteOneFurther,
        Kind::DropResolution,
        Kind::OtherResolution,
        Kind::SwapRanges,
        Kind::ShortRange,
        Kind::LateStart,
        Kind::DoubleStep,
        Kind::SwapSubsetDimensions,
        Kind::NarrowTransient,
        Kind::NarrowRead,
        Kind::PlusToMinus,
        Kind::TimesToPlus,
        Kind::MinToMax,
        Kind::LessToLessOrEqual,
        Kind::ReuseLiveMemory,
        Kind::DropIdentity,
        Kind::OtherAxis,
        Kind::DropCopy,
        Kind::NegateCondition,
        Kind::LoopEndsEarly,
        Kind::LoopStartsLate,
        Kind::AssignOneMore,
        Kind::SwapBranches,
        Kind::DropState,
        Kind::SwapStates,
        Kind::MapSymbolOneMore,
        Kind::SwapReads,
        Kind::DropWrite,
        Kind::TransposedOperand,
        Kind::SkipLastBranch,
    ];

    /// The mistake in words.
    pub const fn describe(self) -> &'static str {
        match self {
            Kind::ReadOneFurther => "a memlet reads one element further on",
            Kind::ReadOneEarlier => "a memlet reads one element earlier",
            Kind::WriteOneFurther => "a memlet writes one element further on",
            Kind::DropResolution => "conflict resolution is dropped",
            Kind::OtherResolution => "conflicts are resolved by another function",
            Kind::SwapRanges => "two ranges of a map are swapped",
            Kind::ShortRange => "a map ends one iteration early",
            Kind::LateStart => "a map starts one iteration late",
            Kind::DoubleStep => "a map takes every second iteration",
            Kind::SwapSubsetDimensions => "two dimensions of a subset are swapped",
            Kind::NarrowTransient => "a transient has a narrower type",
            Kind::NarrowRead => "a value is read into a narrower type",
            Kind::PlusToMinus => "a sum becomes a difference",
            Kind::TimesToPlus => "a product becomes a sum",
            Kind::MinToMax => "a minimum becomes a maximum",
            Kind::LessToLessOrEqual => "`<` becomes `<=`",
            Kind::ReuseLiveMemory => "a transient takes the memory of another that is alive",
            Kind::DropIdentity => "a reduction starts from what was there",
            Kind::OtherAxis => "a reduction runs over another axis",
            Kind::DropCopy => "a copy is dropped",
            Kind::NegateCondition => "a condition is negated",
            Kind::LoopEndsEarly => "a loop ends one iteration early",
            Kind::LoopStartsLate => "a loop starts one iteration late",
            Kind::AssignOneMore => "a symbol gets a value that is one too large",
            Kind::SwapBranches => "two branches are swapped",
            Kind::DropState => "a state is dropped",
            Kind::SwapStates => "two states run in the other order",
            Kind::MapSymbolOneMore => "a symbol of a nested graph is one too large",
            Kind::SwapReads => "two inputs of a tasklet are swapped",
            Kind::DropWrite => "a result is not written",
            Kind::TransposedOperand => "the operands of a product are swapped",
            Kind::SkipLastBranch => "the last branch of a conditional is lost",
        }
    }
}

impl Mutant {
    /// Every kind at every site: more than a hundred.
    pub fn all() -> Vec<Mutant> {
        let sites = [Site::Every, Site::First, Site::Last, Site::Nested];
        Kind::ALL.iter().flat_map(|&kind| sites.map(|site| Mutant { kind, site })).collect()
    }

    /// Plants the mistake. `None` if the pattern is not found, or what came out is no valid program.
    ///
    /// # Errors
    /// Never; the signature is that of a rewrite.
    pub fn apply(self, program: &Program) -> Result<Option<Program>> {
        let spots: Vec<Spot> = spots::spots(program, self.kind);
        let chosen: Vec<Spot> = match self.site {
            Site::Every => spots,
            Site::First => spots.into_iter().take(1).collect(),
            Site::Last => spots.into_iter().next_back().into_iter().collect(),
            Site::Nested => spots.into_iter().filter(|spot| Some(spot.graph) != program.root).collect(),
        };
        let mut changed = program.clone();
        let mut any = false;
        for spot in &chosen {
            let mut tried = changed.clone();
            if spots::change(&mut tried, self.kind, spot) {
                strip_code(&mut tried);
                // A mistake that the validator refuses is no mistake of ours to find.
                if let Ok(valid) = checked(tried) {
                    changed = valid;
                    any = true;
                }
            }
        }
        Ok(any.then_some(changed))
    }
}

impl std::fmt::Display for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}@{:?}", self.kind, self.site)
    }
}

impl std::str::FromStr for Mutant {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Mutant, String> {
        let (kind, site) = text.split_once('@').unwrap_or((text, "Every"));
        let same =
            |a: &str, b: &str| a.replace(['_', '-'], "").eq_ignore_ascii_case(&b.replace(['_', '-'], ""));
        let kind = Kind::ALL.into_iter().find(|known| same(kind, &format!("{known:?}")));
        let sites = [Site::Every, Site::First, Site::Last, Site::Nested];
        let site = sites.into_iter().find(|known| same(site, &format!("{known:?}")));
        match (kind, site) {
            (Some(kind), Some(site)) => Ok(Mutant { kind, site }),
            _ => {
                let kinds = Kind::ALL.map(|kind| format!("{kind:?}")).join(", ");
                Err(format!("write KIND or KIND@SITE; sites: Every, First, Last, Nested; kinds: {kinds}"))
            }
        }
    }
}
