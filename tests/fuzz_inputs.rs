//! The fuzz targets without a fuzzer: every seed, every input that once found something, what lies near the seeds, and
//! a few hundred random inputs each. What a target checks is in `pelton::check::targets`.

mod common;

use std::path::{Path, PathBuf};

use pelton::check::Choices;
use pelton::check::targets::{TARGETS, Target};

/// Where a target's inputs are.
fn inputs(target: &Target) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["fuzz/seeds", "fuzz/regressions"] {
        found.extend(common::files(&root.join(folder).join(target.name), &[""]));
    }
    match target.name {
        "pel_parse" | "valid_runs" => found.extend(common::files(&root.join("tests/filetests"), &[".pel"])),
        "sdfg_read" => found.extend(common::sdfg_files(&root.join("tests/data/sdfg"))),
        _ => {}
    }
    found
}

fn target(name: &str) -> &'static Target {
    Target::by_name(name).unwrap_or_else(|| panic!("no target is called {name}"))
}

/// The input with a few bytes cut, doubled, swapped or replaced.
fn nearby(bytes: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..1 + choices.below(3) {
        if changed.is_empty() {
            break;
        }
        let at = choices.below(changed.len());
        let end = (at + 1 + choices.below(8)).min(changed.len());
        match choices.below(4) {
            0 => drop(changed.drain(at..end)),
            1 => {
                let piece = changed[at..end].to_vec();
                changed.splice(at..at, piece);
            }
            2 => {
                let other = choices.below(changed.len());
                changed.swap(at, other);
            }
            _ => changed[at] = b"()[]{}+-*/<>=,:0123456789abx \n."[choices.below(31)],
        }
    }
    changed
}

#[test]
fn every_target_has_a_binary() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/Cargo.toml")).unwrap();
    for target in TARGETS {
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
    }
}

#[test]
fn every_kept_input_holds() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for target in TARGETS {
        for path in inputs(target) {
            checked += 1;
            if let Err(what) = (target.check)(&std::fs::read(&path).unwrap()) {
                wrong.push(format!("{} on {}: {what}", target.name, path.display()));
            }
        }
    }
    assert!(checked > 100, "{checked} inputs");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_lies_near_the_seeds_of_readers_holds() {
    for name in ["gtir_read", "pel_parse", "scalar_parse", "symbolic_parse"] {
        let target = target(name);
        for (number, path) in inputs(target).iter().enumerate() {
            let bytes = std::fs::read(path).unwrap();
            let mut choices = Choices::from_seed(number as u64);
            for _ in 0..20 {
                let input = nearby(&bytes, &mut choices);
                if let Err(what) = (target.check)(&input) {
                    panic!("{name}, near {}: {what}\n{}", path.display(), String::from_utf8_lossy(&input));
                }
            }
        }
    }
}

#[test]
fn random_inputs_hold() {
    for name in ["arena_machine", "cached_calls", "chaos", "evaluated_kernels", "rules"] {
        let target = target(name);
        let count = if ["cached_calls", "chaos"].contains(&name) { 60 } else { 200 };
        for seed in 0..count {
            let mut choices = Choices::from_seed(seed);
            let length = 16 + choices.below(300);
            let bytes: Vec<u8> = (0..length).map(|_| choices.below(256) as u8).collect();
            if let Err(what) = (target.check)(&bytes) {
                panic!("{name}, seed {seed}: {what}");
            }
        }
    }
}
