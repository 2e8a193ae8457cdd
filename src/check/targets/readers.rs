//! Readers: an error, or a program whose saved form reads back to the same.

use crate::entity::{Name, Names};
use crate::front::gtir::{json, print, text};
use crate::front::{pel, sdfg};
use crate::scalar::Scalar;
use crate::symbolic::{Env, EvalError, ExprPool, Grammar};

use super::Finding;

/// Any bytes as GTIR, JSON or text. Good seeds are `program.gtir.json.gz` and `program.gtir.txt` of GTIR cases.
pub(super) fn gtir_read(bytes: &[u8]) -> Finding {
    if let Ok(program) = json::read(bytes) {
        // JSON may hold names that text cannot, so this may fail, but not panic.
        drop(text::read(&print::print(&program)));
    }
    let Ok(source) = std::str::from_utf8(bytes) else { return Ok(()) };
    let Ok(program) = text::read(source) else { return Ok(()) };
    let printed = print::print(&program);
    let again =
        text::read(&printed).map_err(|error| format!("what was printed is refused: {error}\n{printed}"))?;
    same_text(&print::print(&again), &printed)
}

/// Any text as `.pel`. Good seeds are the files of `tests/filetests`.
pub(super) fn pel_parse(bytes: &[u8]) -> Finding {
    let Ok(source) = std::str::from_utf8(bytes) else { return Ok(()) };
    let Ok(program) = pel::parse(source) else { return Ok(()) };
    let printed = pel::print(&program);
    let again =
        pel::parse(&printed).map_err(|error| format!("what was printed is refused: {error}\n{printed}"))?;
    same_text(&pel::print(&again), &printed)
}

/// Any bytes as an SDFG file. Good seeds are the files of `tests/data/sdfg`.
pub(super) fn sdfg_read(bytes: &[u8]) -> Finding {
    let _ = sdfg::is_sdfg(bytes);
    let Ok((program, _)) = sdfg::read(bytes) else { return Ok(()) };
    let saved = sdfg::write(&program, false);
    let (again, _) = sdfg::read(&saved).map_err(|error| format!("what was saved is refused: {error}"))?;
    if sdfg::write(&again, false) == saved { Ok(()) } else { Err("saving again gives another file".into()) }
}

fn same_text(again: &str, printed: &str) -> Finding {
    if again == printed {
        return Ok(());
    }
    Err(format!("printing again gives another text:\n{printed}\n----\n{again}"))
}

struct Small;

impl Env for Small {
    fn symbol(&self, name: Name) -> Option<Scalar> {
        Some(Scalar::I64(i64::from(name.0 % 7) - 2))
    }

    fn element(&self, _container: Name, indices: &[i64]) -> Option<Scalar> {
        indices.first().map(|index| Scalar::I64(index % 5))
    }
}

/// Any text in both grammars of symbolic expressions: an error, or an expression whose printed text parses back to it,
/// and that can be evaluated, compiled and compared.
pub(super) fn symbolic_parse(bytes: &[u8]) -> Finding {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    for grammar in [Grammar::Plain, Grammar::Typed] {
        let (mut pool, mut names) = (ExprPool::default(), Names::new());
        let Ok(id) = pool.parse(&mut names, text, grammar) else { continue };
        for back in [Grammar::Plain, Grammar::Typed] {
            let printed = pool.print(&names, id, back);
            // A dotted name has more texts than one, and a name outside the grammar cannot be written in it.
            match pool.parse(&mut names, &printed, back) {
                Ok(again) if id == again => {}
                Ok(_) => return Err(format!("{text} is printed as {printed}, which is another expression")),
                Err(error) if error.code == "P0213" => {}
                Err(error) => return Err(format!("what was printed is refused: {printed}: {error}")),
            }
        }
        let value = pool.eval(id, &Small);
        let compiled = pool.compile(id, &mut |name| name.0);
        let slots: Vec<i64> = (0..names.len() as i64).map(|name| name % 7 - 2).collect();
        let mut element =
            |_: Name, indices: &[i64]| indices.first().map(|i| i % 5).ok_or(EvalError::Undefined);
        if let (Ok(value), Ok(compiled)) = (value, compiled.eval(&slots, &mut element))
            && value != compiled
        {
            return Err(format!("{text} is {value}, compiled {compiled}"));
        }
        let _ = pool.eval_value(id, &Small);
        let one = pool.int(1);
        let next = pool.add(id, one);
        let _ = (pool.at_most(id, next), pool.less_than(next, id), pool.range_of(id));
        let _ = pool.substitute(id, &|name| (name.0 == 0).then_some(next));
    }
    Ok(())
}
