//! Printed GTIR of the corpus reads to the same terms as its JSON, and so does what Pelton prints.

mod common;

use std::collections::HashSet;
use std::path::PathBuf;

use pelton::front::gtir::{Program, Stmt, Term, TermId, json, print, text};
use pelton::scalar::Scalar;

fn cases() -> Vec<PathBuf> {
    let Some(root) = common::corpus() else { return Vec::new() };
    let mut folders = Vec::new();
    for suite in ["gt4py", "icon4py"] {
        let entries = std::fs::read_dir(root.join(suite)).into_iter().flatten();
        folders.extend(entries.flatten().map(|entry| entry.path()));
    }
    folders.sort();
    folders
}

#[test]
fn printed_programs_of_the_corpus() {
    for folder in cases() {
        let from_json = json::read(&std::fs::read(folder.join("program.gtir.json.gz")).unwrap()).unwrap();
        let printed = std::fs::read_to_string(folder.join("program.gtir.txt")).unwrap();
        let from_text = text::read(&printed).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        // The corpus was printed by a printer that leaves out the types of literals.
        let same_number =
            |a: Scalar, b: Scalar| a.as_f64() == b.as_f64() || a.as_f64().is_nan() && b.as_f64().is_nan();
        let same = same_program(&from_json, &from_text, &same_number);
        assert!(same.is_ok(), "{}: {}", folder.display(), same.unwrap_err());
    }
}

#[test]
fn what_is_printed_reads_back() {
    for folder in cases() {
        let from_json = json::read(&std::fs::read(folder.join("program.gtir.json.gz")).unwrap()).unwrap();
        let printed = print::print(&from_json);
        let from_text = text::read(&printed).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let same = same_program(&from_json, &from_text, &|a, b| a.same_bits(b));
        assert!(same.is_ok(), "{}: {}", folder.display(), same.unwrap_err());
        assert_eq!(printed, print::print(&from_text), "{}", folder.display());
    }
}

type SameLiteral<'a> = &'a dyn Fn(Scalar, Scalar) -> bool;

fn same_program(a: &Program, b: &Program, literal: SameLiteral<'_>) -> Result<(), String> {
    let names = |program: &Program| {
        let names = program.params.iter().map(|param| param.name);
        let names = names.chain(
            program.functions.iter().flat_map(|f| std::iter::once(f.name).chain(f.params.iter().copied())),
        );
        names.map(|name| program.text(name).to_owned()).collect::<Vec<_>>()
    };
    if a.name != b.name || names(a) != names(b) {
        return Err("names differ".to_owned());
    }
    let mut seen = HashSet::new();
    for (f, g) in a.functions.iter().zip(&b.functions) {
        same_term(a, f.body, b, g.body, literal, &mut seen)?;
    }
    same_statements(a, &a.body, b, &b.body, literal, &mut seen)
}

fn same_statements(
    a: &Program,
    left: &[Stmt],
    b: &Program,
    right: &[Stmt],
    literal: SameLiteral<'_>,
    seen: &mut HashSet<(TermId, TermId)>,
) -> Result<(), String> {
    if left.len() != right.len() {
        return Err(format!("{} statements became {}", left.len(), right.len()));
    }
    for pair in left.iter().zip(right) {
        match pair {
            (Stmt::SetAt { value, domain, target }, Stmt::SetAt { value: v, domain: d, target: t }) => {
                for (x, y) in [(value, v), (domain, d), (target, t)] {
                    same_term(a, *x, b, *y, literal, seen)?;
                }
            }
            (Stmt::If { condition, then, otherwise }, Stmt::If { condition: c, then: t, otherwise: o }) => {
                same_term(a, *condition, b, *c, literal, seen)?;
                same_statements(a, then, b, t, literal, seen)?;
                same_statements(a, otherwise, b, o, literal, seen)?;
            }
            _ => return Err("a statement became one of another kind".to_owned()),
        }
    }
    Ok(())
}

fn same_term(
    a: &Program,
    left: TermId,
    b: &Program,
    right: TermId,
    literal: SameLiteral<'_>,
    seen: &mut HashSet<(TermId, TermId)>,
) -> Result<(), String> {
    let mut pairs = vec![(left, right)];
    while let Some((x, y)) = pairs.pop() {
        if !seen.insert((x, y)) {
            continue;
        }
        let same_name = |x, y| a.text(x) == b.text(y);
        let same = match (&a.terms[x], &b.terms[y]) {
            (Term::Literal(x), Term::Literal(y)) => literal(*x, *y),
            (Term::Ref(x), Term::Ref(y)) => same_name(*x, *y),
            (Term::Lambda { params: p, body: f }, Term::Lambda { params: q, body: g }) => {
                pairs.push((*f, *g));
                p.len() == q.len() && p.iter().zip(q).all(|(x, y)| same_name(*x, *y))
            }
            (Term::Call { callee: f, args: p }, Term::Call { callee: g, args: q }) => {
                pairs.push((*f, *g));
                pairs.extend(p.iter().copied().zip(q.iter().copied()));
                p.len() == q.len()
            }
            _ => print::print_term(a, x) == print::print_term(b, y),
        };
        if !same {
            return Err(format!("{} became {}", print::print_term(a, x), print::print_term(b, y)));
        }
    }
    Ok(())
}
