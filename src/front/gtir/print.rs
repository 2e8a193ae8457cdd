//! Programs as text, in the notation of GT4Py's printer, without its layout.
//!
//! [`text::read`](super::text::read) reads it back to the same terms, except that parameters lose their types, text
//! constants their quotes and local dimensions their mark.

use std::fmt::Write;

use crate::scalar::{DType, Scalar};

use super::ast::{DimKind, Dimension, OffsetLabel, Program, Stmt, Term, TermId, Type, TypeId};
use super::builtins::Builtin;

/// Prints a program.
pub fn print(program: &Program) -> String {
    let mut out = String::new();
    let names = |names: &mut dyn Iterator<Item = crate::entity::Name>| {
        names.map(|name| program.text(name)).collect::<Vec<_>>().join(", ")
    };
    let params = names(&mut program.params.iter().map(|param| param.name));
    let _ = writeln!(out, "{}({params}) {{", program.name);
    for function in &program.functions {
        let params = names(&mut function.params.iter().copied());
        let body = print_term(program, function.body);
        let _ = writeln!(out, "  {} = λ({params}) → {body};", program.text(function.name));
    }
    for temporary in &program.temporaries {
        let _ = write!(
            out,
            "  {} = temporary(domain={}",
            program.text(temporary.name),
            print_term(program, temporary.domain)
        );
        if let Some(dtype) = temporary.dtype {
            out.push_str(", dtype=");
            print_type(program, dtype, &mut out);
        }
        out.push_str(");\n");
    }
    // Statements nest as deep as the readers let them, which is little.
    print_statements(program, &program.body, 1, &mut out);
    out.push_str("}\n");
    out
}

/// Prints a term of any depth.
pub fn print_term(program: &Program, root: TermId) -> String {
    let mut out = String::new();
    let mut pieces = vec![Piece::Term(root, 0)];
    while let Some(piece) = pieces.pop() {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Term(term, tightness) => print_one(program, term, tightness, &mut out, &mut pieces),
        }
    }
    out
}

/// What is left to print, next last.
enum Piece {
    Text(&'static str),
    Term(TermId, u8),
}

const CALL: u8 = 8;

fn print_one(program: &Program, id: TermId, outer: u8, out: &mut String, pieces: &mut Vec<Piece>) {
    let Some(term) = program.terms.get(id) else { return };
    let mut parts: Vec<Piece> = Vec::new();
    let tightness = match term {
        Term::Call { callee, args } => {
            let builtin = match program.terms.get(*callee) {
                Some(Term::Builtin(builtin)) => Some(*builtin),
                _ => None,
            };
            call(*callee, builtin, args, &mut parts)
        }
        Term::Lambda { params, body } => {
            let names: Vec<&str> = params.iter().map(|name| program.text(*name)).collect();
            let parenthesised = outer > 0;
            let _ = write!(out, "{}λ({}) → ", if parenthesised { "(" } else { "" }, names.join(", "));
            if parenthesised {
                pieces.push(Piece::Text(")"));
            }
            pieces.push(Piece::Term(*body, 0));
            return;
        }
        leaf => {
            print_leaf(program, leaf, out);
            return;
        }
    };
    if outer > tightness {
        out.push('(');
        pieces.push(Piece::Text(")"));
    }
    pieces.extend(parts.into_iter().rev());
}

/// The pieces of a call, and how tightly it binds.
fn call(callee: TermId, builtin: Option<Builtin>, args: &[TermId], parts: &mut Vec<Piece>) -> u8 {
    if let (Some(builtin), &[left, right]) = (builtin, args)
        && let Some((mark, tightness)) = infix(builtin)
    {
        parts.extend([Piece::Term(left, tightness), Piece::Text(mark), Piece::Term(right, tightness + 1)]);
        return tightness;
    }
    if let (Some(builtin), &[arg]) = (builtin, args)
        && let Some(mark) = prefix(builtin)
    {
        parts.extend([Piece::Text(mark), Piece::Term(arg, 7)]);
        return 7;
    }
    match (builtin, args) {
        (Some(Builtin::TupleGet), &[index, tuple]) => {
            parts.extend([
                Piece::Term(tuple, CALL),
                Piece::Text("["),
                Piece::Term(index, 0),
                Piece::Text("]"),
            ]);
            CALL
        }
        (Some(Builtin::NamedRange), &[axis, start, stop]) => {
            let start = [Piece::Term(axis, 0), Piece::Text(": ["), Piece::Term(start, 0), Piece::Text(", ")];
            parts.extend(start);
            parts.extend([Piece::Term(stop, 0), Piece::Text("[")]);
            CALL
        }
        (Some(Builtin::If), &[condition, then, otherwise]) => {
            parts.extend([Piece::Text("if "), Piece::Term(condition, 1), Piece::Text(" then ")]);
            parts.extend([Piece::Term(then, 1), Piece::Text(" else "), Piece::Term(otherwise, 1)]);
            1
        }
        (Some(Builtin::MakeTuple), args) => list("{", args, 0, "}", parts),
        (Some(Builtin::Shift), args) => list("⟪", args, 0, "⟫", parts),
        (Some(Builtin::CartesianDomain), args @ [_, ..]) => list("c⟨ ", args, CALL, " ⟩", parts),
        (Some(Builtin::UnstructuredDomain), args @ [_, ..]) => list("u⟨ ", args, CALL, " ⟩", parts),
        _ => {
            parts.push(Piece::Term(callee, CALL));
            list("(", args, 0, ")", parts);
            CALL
        }
    }
}

fn list(
    open: &'static str,
    items: &[TermId],
    tightness: u8,
    close: &'static str,
    parts: &mut Vec<Piece>,
) -> u8 {
    parts.push(Piece::Text(open));
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            parts.push(Piece::Text(", "));
        }
        parts.push(Piece::Term(*item, tightness));
    }
    parts.push(Piece::Text(close));
    u8::MAX
}

fn infix(builtin: Builtin) -> Option<(&'static str, u8)> {
    Some(match builtin {
        Builtin::Or => (" ∨ ", 2),
        Builtin::And => (" ∧ ", 3),
        Builtin::Eq => (" == ", 4),
        Builtin::Less => (" < ", 4),
        Builtin::Greater => (" > ", 4),
        Builtin::LessEqual => (" <= ", 4),
        Builtin::GreaterEqual => (" >= ", 4),
        Builtin::Plus => (" + ", 5),
        Builtin::Minus => (" - ", 5),
        Builtin::Multiplies => (" × ", 6),
        Builtin::Divides => (" / ", 6),
        _ => return None,
    })
}

fn prefix(builtin: Builtin) -> Option<&'static str> {
    Some(match builtin {
        Builtin::Deref => "·",
        Builtin::Not => "¬",
        Builtin::Lift => "↑",
        Builtin::AsFieldop => "⇑",
        _ => return None,
    })
}

fn print_leaf(program: &Program, leaf: &Term, out: &mut String) {
    match leaf {
        Term::Literal(value) => print_literal(*value, out),
        Term::Text(text) => out.push_str(text),
        Term::None => out.push_str("None"),
        Term::Infinity(positive) => out.push_str(if *positive { "∞" } else { "-∞" }),
        Term::Offset(OffsetLabel::Name(name)) => {
            let _ = write!(out, "{}ₒ", program.text(*name));
        }
        Term::Offset(OffsetLabel::Index(index)) => {
            let _ = write!(out, "{index}ₒ");
        }
        Term::Axis(axis) => print_axis(program, *axis, out),
        Term::CartesianOffset { from, to } => {
            print_axis(program, *from, out);
            out.push('→');
            print_axis(program, *to, out);
        }
        Term::Ref(name) => out.push_str(program.text(*name)),
        Term::Builtin(builtin) => out.push_str(builtin.name()),
        Term::Lambda { .. } | Term::Call { .. } => {}
    }
}

fn print_axis(program: &Program, axis: Dimension, out: &mut String) {
    out.push_str(program.text(axis.name));
    out.push_str(match axis.kind {
        DimKind::Horizontal => "ₕ",
        DimKind::Vertical => "ᵥ",
        DimKind::Local => "",
    });
}

fn print_literal(value: Scalar, out: &mut String) {
    let implied = match value {
        Scalar::Bool(_) | Scalar::I32(_) | Scalar::F64(_) => true,
        Scalar::I64(x) => i32::try_from(x).is_err(),
        _ => false,
    };
    let _ = match value {
        Scalar::Bool(x) => write!(out, "{}", if x { "True" } else { "False" }),
        Scalar::F64(x) if x.is_nan() => write!(out, "nan"),
        Scalar::F64(x) => write!(out, "{x:?}"),
        Scalar::F32(x) if x.is_nan() => write!(out, "nan"),
        Scalar::F32(x) => write!(out, "{x:?}"),
        Scalar::U64(x) => write!(out, "{x}"),
        other if other.dtype().is_integral() => write!(out, "{}", other.as_i64()),
        other => write!(out, "{:?}", other.as_f64()),
    };
    if !implied {
        let _ = write!(out, ":{}", short_name(value.dtype()));
    }
}

fn short_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "i1",
        DType::I8 => "i8",
        DType::I16 => "i16",
        DType::I32 => "i32",
        DType::I64 => "i64",
        DType::U8 => "u8",
        DType::U16 => "u16",
        DType::U32 => "u32",
        DType::U64 => "u64",
        DType::F32 => "f32",
        DType::F64 => "f64",
        other => other.name(),
    }
}

fn print_type(program: &Program, ty: TypeId, out: &mut String) {
    match program.types.get(ty) {
        Some(Type::Scalar(dtype)) => out.push_str(short_name(*dtype)),
        Some(Type::Tuple(members)) => {
            out.push('{');
            for (n, member) in members.iter().enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                print_type(program, *member, out);
            }
            out.push('}');
        }
        _ => out.push('?'),
    }
}

fn print_statements(program: &Program, statements: &[Stmt], depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for statement in statements {
        match statement {
            Stmt::SetAt { value, domain, target } => {
                let [target, domain, value] = [target, domain, value].map(|term| print_term(program, *term));
                let _ = writeln!(out, "{indent}{target} @ {domain} ← {value};");
            }
            Stmt::If { condition, then, otherwise } => {
                let _ = writeln!(out, "{indent}if ({}) {{", print_term(program, *condition));
                print_statements(program, then, depth + 1, out);
                let _ = writeln!(out, "{indent}}} else {{");
                print_statements(program, otherwise, depth + 1, out);
                let _ = writeln!(out, "{indent}}}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;
    use proptest::prelude::*;

    fn round_trip(source: &str) -> String {
        print(&text::read(source).unwrap())
    }

    fn expression(source: &str) -> String {
        let printed = round_trip(&format!("p(a, b, c) {{ a @ b ← {source}; }}"));
        let (_, value) = printed.split_once("← ").unwrap();
        value.split_once(";\n").unwrap().0.to_owned()
    }

    #[test]
    fn operators_keep_their_structure() {
        for source in [
            "a + b × c",
            "(a + b) × c",
            "a - (b - c)",
            "a - b - c",
            "if a < b then a else b + c",
            "(if a then b else c) + a",
            "(λ(x) → x)(a)",
            "(⇑(λ(it) → ·⟪C2Eₒ, 0ₒ⟫(it)))(a)",
            "(⇑scan(λ(s, it) → s + ·it, True, {0.0, 1:i64}))(a)",
            "a[0][1]",
            "(·a)[0]",
            "¬(a ∧ b) ∨ c",
            "{}",
            "f()",
            "-1 + -2.5",
            "nan",
            "-inf",
            "1e-30",
            "0.5:f32",
            "3:u8",
            "concat_where(1 <= Kᵥ ∧ Kᵥ < 5, a, b)",
            "as_fieldop(deref, c⟨ Kᵥ: [a[0], b[1][, Iₕ: [-∞, ∞[ ⟩)(a)",
            "⟪Kᵥ→KHalfᵥ, -1ₒ⟫(a)",
            "if a then if b then a else b else c",
            "if if a then b else c then b else c",
            "λ(x) → λ(y) → x + y",
        ] {
            assert_eq!(expression(source), source);
        }
    }

    #[test]
    fn statements_and_functions() {
        let source = "p(a, b) {\n  f = λ(x) → x;\n  t = temporary(domain=c⟨ Iₕ: [0, 5[ ⟩, dtype={f64, i32});\n  \
                      if (a) {\n    b @ c⟨ Iₕ: [0, 5[ ⟩ ← f(b);\n  } else {\n  }\n}\n";
        assert_eq!(round_trip(source), source);
    }

    #[test]
    fn errors_are_located() {
        let error = text::read("p(a) {\n  a @ a ← (a + ;\n}").unwrap_err();
        assert_eq!(error.place, ["line 2, column 16"]);
        for source in [
            "",
            "p",
            "p(a) {",
            "p(a) { a }",
            "p(a) { a @ a ← a then; }",
            "p(a) { a @ a ← {a; }",
            "p(a) { a @ a ← a); }",
        ] {
            assert!(text::read(source).is_err(), "{source}");
        }
    }

    #[test]
    fn depth_is_no_limit() {
        let depth = 50_000;
        let source = format!("p(a) {{ a @ a ← {}a{}; }}", "(λ(x) → ".repeat(depth), ")(a)".repeat(depth));
        assert!(print(&text::read(&source).unwrap()).len() > depth);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(source in "p\\(a\\) \\{( ?(a|if|then|else|[0-9.]+|ₒ|ᵥ|→|λ\\(|[-(){}\\[\\],;:@←⟨⟩⟪⟫·+×∞])){0,40}") {
            let _ = text::read(&source);
        }
    }
}
