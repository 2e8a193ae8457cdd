//! The driver: determinism, stopping, undoing, skipping, names of rules.

use pelton::front::pel;
use pelton::transform::{self, OPTIMIZE, Options};

use crate::generate;
use crate::support::{Random, after, program, run};

#[test]
fn same_graph_in_same_text_out() {
    for seed in 0..40 {
        let text = generate::text(&mut Random(seed));
        let texts: Vec<String> = (0..2).map(|_| pel::print(&after(&program(&text), OPTIMIZE).0)).collect();
        assert_eq!(texts[0], texts[1]);
    }
}

#[test]
fn every_prefix_of_applications_keeps_bits() {
    for seed in 0..30 {
        let before = program(&generate::text(&mut Random(seed)));
        let total = after(&before, OPTIMIZE).1.fired();
        let reference = run(&before, 5, seed);
        for stop in 0..=total {
            let mut made = before.clone();
            let options = Options { stop_after: Some(stop), validate: true, ..Options::default() };
            let report = transform::run(&mut made, OPTIMIZE, &options, &mut |_, _| {}).unwrap();
            assert_eq!(report.fired(), stop);
            assert_eq!(reference, run(&made, 5, seed), "seed {seed}, stopped after {stop}");
        }
    }
}

#[test]
fn skipped_rules_do_not_run() {
    let mut made = program("map i in 0:8 { t[i] = a[i] * 2 } map i in 0:8 { b[i] = t[i] + 1 }");
    let options =
        Options { skip: OPTIMIZE.iter().map(|name| (*name).to_owned()).collect(), ..Options::default() };
    assert_eq!(transform::run(&mut made, OPTIMIZE, &options, &mut |_, _| {}).unwrap().fired(), 0);
}

#[test]
fn unknown_rules_are_refused() {
    let mut made = program("map i in 0:8 { b[i] = a[i] * 2 }");
    let options = Options { only: vec!["no_such_rule".into()], ..Options::default() };
    assert_eq!(transform::run(&mut made, OPTIMIZE, &options, &mut |_, _| {}).unwrap_err().code, "P0720");
}
