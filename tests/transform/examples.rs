//! The programs on every rule's page: before, after, not applicable.

use pelton::front::pel;
use pelton::transform::RULES;

use crate::support::{after, counts, program, run};

#[test]
fn before_becomes_after() {
    for rule in RULES {
        let text = rule.example("Before").unwrap_or_else(|| panic!("{} has no example", rule.name));
        let before = program(&text);
        let expected = program(&rule.example("After").unwrap());
        let (made, report) = after(&before, &[rule.name]);
        let shown = pel::print_brief(&made);
        assert!(report.fired() > 0, "{} does not apply to its own example\n{text}", rule.name);
        let found = counts(&made);
        let wanted = counts(&expected);
        assert_eq!(found, wanted, "{}: states, maps, access nodes, tasklets, order\n{shown}", rule.name);
        for seed in 0..3 {
            let reference = run(&before, 7, seed);
            assert!(reference.is_ok(), "{}: {reference:?}", rule.name);
            assert_eq!(reference, run(&made, 7, seed), "{}\n{shown}", rule.name);
            assert_eq!(reference, run(&expected, 7, seed), "{}: the page is wrong", rule.name);
        }
    }
}

#[test]
fn twins_stay_as_they_are() {
    for rule in RULES {
        let text = rule.example("Not applicable").unwrap_or_else(|| panic!("{} has no twin", rule.name));
        let before = program(&text);
        let (made, report) = after(&before, &[rule.name]);
        assert_eq!(report.fired(), 0, "{} applies\n{}", rule.name, pel::print_brief(&made));
    }
}

#[test]
fn pages_say_what_a_page_says() {
    for rule in RULES {
        let page = rule.page();
        assert!(page.starts_with(&format!("# {}\n", rule.name)), "{page}");
        for part in ["## Legal when", "Enables:", "Source:"] {
            assert!(page.contains(part), "{}: no {part}", rule.name);
        }
    }
}

#[test]
fn pipelines_name_rules() {
    for list in [pelton::transform::SIMPLIFY, pelton::transform::OPTIMIZE] {
        for name in list {
            assert!(RULES.iter().any(|rule| rule.name == *name), "{name}");
        }
    }
}
