//! The version gate: what `dace_version` decides.

use crate::diag::{Diagnostic, Result};
use crate::ir::Contract;
use crate::symbolic::Grammar;

/// Written for programs that did not come from a file and whose nested graphs receive whole containers.
pub(super) const WHOLE: &str = "2.0.0b1";

/// Written for programs that did not come from a file and whose nested graphs receive windows.
pub(super) const WINDOW: &str = "2.0.0a10";

/// A release as Python's packaging rules order them: `2.0.0.dev1 < 2.0.0a4 < 2.0.0b1 < 2.0.0rc1 < 2.0.0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Version {
    /// Numbers between dots, without zeros at the end.
    release: Vec<u64>,
    stage: Stage,
    number: u64,
    /// A development release comes before what it leads to.
    finished: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Development,
    Alpha,
    Beta,
    Candidate,
    Final,
}

impl Version {
    /// Reads a version such as `1.0.2`, `2.0.0a10`, `2.0.0b1.dev3` or `2.1.0+local`.
    pub(super) fn parse(text: &str) -> Result<Version> {
        Self::parse_parts(text.trim()).ok_or_else(|| {
            Diagnostic::error("P0007", format!("`{text}` is not a version"))
                .at("dace_version")
                .with_note("expected something like `1.0.2` or `2.0.0b1`")
        })
    }

    fn parse_parts(text: &str) -> Option<Version> {
        let public = text.split('+').next()?;
        let public = public.strip_prefix('v').unwrap_or(public);
        let split = public.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(public.len());
        let (numbers, mut rest) = public.split_at(split);
        let mut release = numbers
            .trim_end_matches('.')
            .split('.')
            .map(|part| part.parse().ok())
            .collect::<Option<Vec<u64>>>()?;
        while release.last() == Some(&0) {
            release.pop();
        }
        let mut version = Version { release, stage: Stage::Final, number: 0, finished: true };
        while !rest.is_empty() {
            rest = rest.trim_start_matches(['.', '-', '_']);
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(letters);
            let digits = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
            let (number, tail) = tail.split_at(digits);
            let number: u64 = if number.is_empty() { 0 } else { number.parse().ok()? };
            match word {
                "a" | "alpha" => (version.stage, version.number) = (Stage::Alpha, number),
                "b" | "beta" => (version.stage, version.number) = (Stage::Beta, number),
                "rc" | "c" | "pre" => (version.stage, version.number) = (Stage::Candidate, number),
                "dev" if version.stage == Stage::Final => {
                    (version.stage, version.number) = (Stage::Development, number);
                }
                "dev" => version.finished = false,
                "post" => {}
                _ => return None,
            }
            rest = tail;
        }
        Some(version)
    }

    fn of(release: &[u64], stage: Stage, number: u64) -> Version {
        Version { release: release.to_vec(), stage, number, finished: true }
    }

    /// The grammar of symbolic strings: the typed one came with 2.0.0a4.
    pub(super) fn grammar(&self) -> Grammar {
        if *self < Self::of(&[2], Stage::Alpha, 4) { Grammar::Plain } else { Grammar::Typed }
    }

    /// How nested graphs receive containers: whole since 2.0.0b1 (2.0.0a10 still passes windows).
    pub(super) fn contract(&self) -> Contract {
        if *self < Self::of(&[2], Stage::Beta, 1) { Contract::Window } else { Contract::Whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn versions_are_ordered_as_packages_are() {
        let ascending = [
            "0.16",
            "1.0.2",
            "2.0.0.dev4",
            "2.0.0a4.dev1",
            "2.0.0a4",
            "2.0.0a6",
            "2.0.0a10",
            "2.0.0b1",
            "2.0.0rc1",
            "2.0.0",
            "2.0.1",
            "2.1",
        ];
        for pair in ascending.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("2"), version("2.0.0"));
        assert_eq!(version("2.0.0b1+g1234"), version("v2.0.0-beta1"));
    }

    #[test]
    fn the_gate() {
        let gate = |text| (version(text).grammar(), version(text).contract());
        assert_eq!(gate("1.0.2"), (Grammar::Plain, Contract::Window));
        assert_eq!(gate("2.0.0a3"), (Grammar::Plain, Contract::Window));
        assert_eq!(gate("2.0.0a4"), (Grammar::Typed, Contract::Window));
        assert_eq!(gate("2.0.0a10"), (Grammar::Typed, Contract::Window));
        assert_eq!(gate("2.0.0b1"), (Grammar::Typed, Contract::Whole));
        assert_eq!(gate("2.0.0"), (Grammar::Typed, Contract::Whole));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "x", "2..0", "2.0.0q1", "99999999999999999999999", "2.0.0b99999999999999999999999"] {
            assert_eq!(Version::parse(text).unwrap_err().code, "P0007", "{text}");
        }
    }
}
