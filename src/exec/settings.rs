//! What a person chooses about how programs run: tier, mode, threads.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

pub use crate::back::gpu::{AutoGpu, Wishes};
pub use crate::back::native::Mode;

/// How much is spent on making code before it runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Tier {
    /// What pays: see `docs/tiers.md`.
    #[default]
    Auto,
    /// Nothing: the interpreter runs the program.
    Interp,
    /// Little: machine code that is not optimised.
    Fast,
    /// All there is: optimised machine code.
    Best,
}

impl Tier {
    /// All of them.
    pub const ALL: [Tier; 4] = [Tier::Auto, Tier::Interp, Tier::Fast, Tier::Best];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Tier::Auto => "auto",
            Tier::Interp => "interp",
            Tier::Fast => "fast",
            Tier::Best => "best",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(text: &str) -> Result<Tier, String> {
        let known = Tier::ALL.into_iter().find(|tier| tier.name() == text);
        known.ok_or_else(|| format!("no tier is called {text}; there are auto, interp, fast and best"))
    }
}

/// How a program is made ready.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Settings {
    /// How much is spent on its code.
    pub tier: Tier,
    /// What its arithmetic may do.
    pub mode: Mode,
    /// Threads a run may use, the calling one included; none: [`threads`]. Results do not depend on it.
    pub threads: Option<usize>,
    /// Keep the text of kernel, CLIF and assembly.
    pub keep_text: bool,
    /// Bits of vectors, 512, 256 or 128, or 0 for none; the widest that are quick here without it. Results do not depend on it.
    pub vector_bits: Option<u32>,
    /// Split parallel loops between threads however little work they are, and code in pieces however short it is: for
    /// tests.
    pub always_split: bool,
    /// Make code for arguments of any sizes, once, before the first call. Without it, code is made at the first call for the
    /// sizes it brings, and again where they change.
    pub any_sizes: bool,
    /// Measure each launch on a GPU with the device's clock; launches then run one by one.
    pub measured: bool,
    /// What is asked of a GPU; its `fast` follows `mode`.
    pub gpu: Wishes,
}

/// The bits that vectors may have.
///
/// # Errors
/// A sentence that says which there are.
pub fn vector_bits(text: &str) -> Result<u32, String> {
    let known = [0, 128, 256, 512].into_iter().find(|bits: &u32| bits.to_string() == text);
    known.ok_or_else(|| format!("no vectors have {text} bits; there are 0, 128, 256 and 512"))
}

/// The environment variable that says how many threads a program may use.
pub const THREADS_VARIABLE: &str = "PELTON_NUM_THREADS";

/// Threads that a program uses unless it is told otherwise: what [`THREADS_VARIABLE`] says, or as many as the machine
/// runs at once. Looked up once.
pub fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| {
        let said = std::env::var(THREADS_VARIABLE).ok().and_then(|text| text.trim().parse().ok());
        let machine = || std::thread::available_parallelism().map_or(1, usize::from);
        said.filter(|&count| count > 0).unwrap_or_else(machine)
    })
}
