//! What is fuzzed, as functions of bytes.
//!
//! A [`Target`] takes any bytes and says what is wrong, if something is. The binaries of `fuzz/` drive targets with a
//! coverage-guided fuzzer; a test (`tests/fuzz_inputs.rs`) drives them with their seeds and with every input that once
//! found something, so those run wherever tests run.
//!
//! A panic is a finding as well: targets do not catch it.

mod arena;
mod programs;
mod readers;
mod scalar;

/// What came of one input: nothing to complain about, or what is wrong.
pub type Finding = Result<(), String>;

/// Something that takes any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, that of its binary and of its folder of inputs.
    pub name: &'static str,
    /// Checks one input.
    pub check: fn(&[u8]) -> Finding,
}

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    Target { name: "arena_machine", check: arena::machine },
    Target { name: "cached_calls", check: programs::cached_calls },
    Target { name: "chaos", check: programs::chaotic },
    Target { name: "evaluated_kernels", check: programs::evaluated_kernels },
    Target { name: "gtir_programs", check: programs::gtir_programs },
    Target { name: "gtir_read", check: readers::gtir_read },
    Target { name: "pel_parse", check: readers::pel_parse },
    Target { name: "random_programs", check: programs::random_programs },
    Target { name: "rules", check: programs::rules },
    Target { name: "scalar_parse", check: scalar::scalar_parse },
    Target { name: "sdfg_read", check: readers::sdfg_read },
    Target { name: "symbolic_parse", check: readers::symbolic_parse },
    Target { name: "valid_runs", check: programs::valid_runs },
];

impl Target {
    /// The target of that name.
    pub fn by_name(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Checks one input, for a fuzzer.
    ///
    /// # Panics
    /// With what is wrong.
    pub fn hold(name: &str, bytes: &[u8]) {
        let found = match Target::by_name(name) {
            Some(target) => (target.check)(bytes),
            None => Err(format!("no target is called {name}")),
        };
        if let Err(what) = found {
            panic!("{what}");
        }
    }
}
