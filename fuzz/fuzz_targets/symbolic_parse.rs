//! Any text in both grammars of symbolic expressions: an error, or an expression whose printed text parses back to it, and
//! that can be evaluated, compiled and compared.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton::entity::{Name, Names};
use pelton::scalar::Scalar;
use pelton::symbolic::{Env, EvalError, ExprPool, Grammar};

struct Small;

impl Env for Small {
    fn symbol(&self, name: Name) -> Option<Scalar> {
        Some(Scalar::I64(i64::from(name.0 % 7) - 2))
    }

    fn element(&self, _container: Name, indices: &[i64]) -> Option<Scalar> {
        indices.first().map(|index| Scalar::I64(index % 5))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for grammar in [Grammar::Plain, Grammar::Typed] {
        let (mut pool, mut names) = (ExprPool::default(), Names::new());
        let Ok(id) = pool.parse(&mut names, text, grammar) else { continue };
        for back in [Grammar::Plain, Grammar::Typed] {
            let printed = pool.print(&names, id, back);
            // A dotted name has more texts than one, and a name outside the grammar cannot be written in it.
            match pool.parse(&mut names, &printed, back) {
                Ok(again) => assert_eq!(id, again, "{printed}"),
                Err(error) => assert!(error.code == "P0213", "{printed}: {error}"),
            }
        }
        let value = pool.eval(id, &Small);
        let compiled = pool.compile(id, &mut |name| name.0);
        let slots: Vec<i64> = (0..names.len() as i64).map(|name| name % 7 - 2).collect();
        let mut element = |_: Name, indices: &[i64]| indices.first().map(|i| i % 5).ok_or(EvalError::Undefined);
        if let (Ok(value), Ok(compiled)) = (value, compiled.eval(&slots, &mut element)) {
            assert_eq!(value, compiled);
        }
        let _ = pool.eval_value(id, &Small);
        let one = pool.int(1);
        let next = pool.add(id, one);
        let _ = (pool.at_most(id, next), pool.less_than(next, id), pool.range_of(id));
        let _ = pool.substitute(id, &|name| (name.0 == 0).then_some(next));
    }
});
