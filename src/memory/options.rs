//! How a call gets memory for transients.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use super::plan::{Item, Plan, PlanError, plan, scattered};
use super::pool::Workspace;

/// How transients are laid out. What a program computes does not depend on it, unless it reads what nobody wrote.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Arena {
    /// In one planned slab.
    #[default]
    On,
    /// Each in an allocation of its own, taken and given back in every call.
    Off,
    /// In one planned slab, which is filled with NaNs before the call. Checked runs of the interpreter also
    /// notice who reads bytes that another transient wrote.
    Poison,
}

impl Arena {
    /// All of them.
    pub const ALL: [Arena; 3] = [Arena::On, Arena::Off, Arena::Poison];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Arena::On => "on",
            Arena::Off => "off",
            Arena::Poison => "poison",
        }
    }
}

impl fmt::Display for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arena {
    type Err = String;

    fn from_str(text: &str) -> Result<Arena, String> {
        let known = Arena::ALL.into_iter().find(|arena| arena.name() == text);
        known.ok_or_else(|| format!("there is no arena mode {text}; there are on, off and poison"))
    }
}

/// What memory a call may use.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemoryOptions {
    /// The layout.
    pub arena: Arena,
    /// Where slabs come from; `None`: the workspace of the process.
    pub workspace: Option<Workspace>,
    /// Transients lie in places that follow from this number instead of the best ones: for tests that nothing depends on
    /// where they lie.
    pub packing: Option<u64>,
}

impl MemoryOptions {
    /// The plan of a slab.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan(&self, items: &[Item]) -> Result<Plan, PlanError> {
        match self.packing {
            None => plan(items),
            Some(seed) => scattered(items, seed),
        }
    }

    /// Where slabs come from.
    pub fn workspace(&self) -> &Workspace {
        static PROCESS: OnceLock<Workspace> = OnceLock::new();
        match &self.workspace {
            Some(workspace) => workspace,
            None => PROCESS.get_or_init(Workspace::new),
        }
    }
}

/// The byte that poisons memory: NaN as a float, an index out of every range as a signed integer.
pub const POISON: u8 = 0xFF;
