//! Reader of `gtir-json/1`.
//!
//! The document: `{"schema", "program": {"id", "params", "fundefs", "declarations", "body"}, "types"}`; `"t"` is an
//! index into `types`. Types matter on parameters and literals only; all others are ignored.

use std::io::Read;

use crate::diag::{Diagnostic, Result};

use super::ast::Program;
use super::json_convert::Converter;
use super::json_tree::Tree;

/// The schema this reader knows.
pub const SCHEMA: &str = "gtir-json/1";

/// Reads a document, gzip-compressed or not.
pub fn read(bytes: &[u8]) -> Result<Program> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).map_err(|error| {
            Diagnostic::error("P0601", "the gzip data is broken").with_note(error.to_string())
        })?;
        return read_plain(&plain);
    }
    read_plain(bytes)
}

fn read_plain(bytes: &[u8]) -> Result<Program> {
    let tree = Tree::parse(bytes)?;
    let root = tree.root();
    let schema = tree.required(root, "schema")?;
    if tree.string(schema)? != SCHEMA {
        let found = tree.string(schema)?;
        return Err(tree
            .error(schema, format!("the schema is `{found}`"))
            .with_note(format!("expected `{SCHEMA}`"))
            .with_help("export the program again with the exporter of this version"));
    }
    Converter::new(&tree).convert(tree.required(root, "program")?, tree.required(root, "types")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::gtir::{Builtin, Stmt, Term};
    use crate::scalar::Scalar;
    use proptest::prelude::*;

    fn document(expr: &str) -> String {
        format!(
            r#"{{"schema":"gtir-json/1","program":{{"id":"p","params":[{{"id":"out","t":0}}],"fundefs":[],
            "declarations":[],"body":[{{"k":"set_at","expr":{expr},"domain":{{"k":"none"}},
            "target":{{"k":"ref","id":"out"}}}}]}},"types":[{{"k":"scalar","dtype":"float64"}},
            {{"k":"scalar","dtype":"int32"}}]}}"#
        )
    }

    fn value(program: &Program) -> &Term {
        match &program.body[0] {
            Stmt::SetAt { value, .. } => &program.terms[*value],
            Stmt::If { .. } => panic!("an assignment was written"),
        }
    }

    #[test]
    fn literals_have_their_type() {
        let program = read(document(r#"{"k":"lit","v":"3","t":0}"#).as_bytes()).unwrap();
        assert_eq!(value(&program), &Term::Literal(Scalar::F64(3.0)));
        let error = read(document(r#"{"k":"lit","v":"3.5","t":1}"#).as_bytes()).unwrap_err();
        assert_eq!(error.code, "P0603");
        assert_eq!(error.place, ["$.program.body[0].expr"]);
    }

    #[test]
    fn a_parameter_shadows_a_builtin() {
        let text = r#"{"k":"lambda","params":[{"id":"exp"}],"expr":{"k":"ref","id":"exp"}}"#;
        let program = read(document(text).as_bytes()).unwrap();
        let Term::Lambda { body, .. } = value(&program) else { panic!() };
        assert!(matches!(program.terms[*body], Term::Ref(_)));
        let program = read(document(r#"{"k":"ref","id":"exp"}"#).as_bytes()).unwrap();
        assert_eq!(value(&program), &Term::Builtin(Builtin::Exp));
    }

    #[test]
    fn deep_lets_are_no_problem() {
        let depth = 50_000;
        let mut text = String::new();
        for _ in 0..depth {
            text += r#"{"k":"call","args":[{"k":"ref","id":"x"}],"fun":{"k":"lambda","params":[{"id":"x"}],"expr":"#;
        }
        text += r#"{"k":"ref","id":"x"}"#;
        text += &"}}".repeat(depth);
        let program = read(document(&text).as_bytes()).unwrap();
        assert!(program.terms.len() > depth);
    }

    #[test]
    fn children_come_first() {
        let text = r#"{"k":"call","fun":{"k":"ref","id":"plus"},"args":[{"k":"ref","id":"out"},{"k":"lit","v":"1","t":0}]}"#;
        let program = read(document(text).as_bytes()).unwrap();
        for (id, term) in program.terms.iter() {
            if let Term::Call { callee, args } = term {
                assert!(*callee < id && args.iter().all(|arg| *arg < id));
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(position in 0usize..600, byte: u8, cut in 0usize..600) {
            let text = r#"{"k":"call","fun":{"k":"ref","id":"as_fieldop"},"args":[{"k":"axis","v":"I","kind":"vertical"},
                {"k":"off","v":1},{"k":"coff","from":["I","vertical"],"to":["J","local"]},{"k":"inf","v":"POSITIVE"}]}"#;
            let mut bytes = document(text).into_bytes();
            if let Some(slot) = bytes.get_mut(position) {
                *slot = byte;
            }
            let _ = read(&bytes);
            bytes.truncate(cut);
            let _ = read(&bytes);
        }
    }
}
