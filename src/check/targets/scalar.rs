//! Tasklet text: an error, or code that is well formed, runs to its end or to a trap, and means the same when it is
//! spelled as text and read again.

use crate::diag::Diagnostic;
use crate::entity::Names;
use crate::scalar::parse::build::{self, PortSpec};
use crate::scalar::parse::tree::Stmt;
use crate::scalar::parse::{c, python};
use crate::scalar::spell::spell;
use crate::scalar::trial::{Symbols, Trial, Written, same};
use crate::scalar::{Code, DType, Port, PortKind, Scalar, StructTable, Trap, Type};

use super::Finding;

/// What a tasklet under test is connected to.
const PORTS: [(&str, DType, bool, bool); 7] = [
    ("a", DType::F64, false, false),
    ("b", DType::I32, false, false),
    ("c", DType::F32, false, false),
    ("p", DType::F64, true, false),
    ("o", DType::F64, false, true),
    ("n", DType::I64, false, true),
    ("q", DType::F64, true, true),
];

/// What the ports hold, by number.
const INPUTS: [Scalar; 4] = [Scalar::F64(2.75), Scalar::I32(-7), Scalar::F32(0.1), Scalar::F64(2.75)];

/// Any text as a tasklet, in both languages. Good seeds are the codes of real programs.
pub(super) fn scalar_parse(bytes: &[u8]) -> Finding {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    drop(python::lambda(text));
    drop(python::expression(text));
    drop(c::expression(text));
    for read in [python::statements, c::statements] {
        let mut names = Names::new();
        let Ok(code) = read(text).and_then(|statements| built(&mut names, &statements)) else { continue };
        let structs = StructTable::default();
        code.verify(&structs).map_err(|error| format!("malformed code: {error}\n{text}"))?;
        let ended = run(&code);
        if ended == Err(Trap::Type) {
            return Err(format!("code that was verified has operands that do not fit:\n{text}"));
        }
        // Code that text has no words for is refused.
        let Ok(spelled) = spell(&code, &names) else { continue };
        let again = python::statements(&spelled)
            .and_then(|statements| built(&mut names, &statements))
            .map_err(|error| format!("what was spelled is refused: {error}\n{text}\n----\n{spelled}"))?;
        let found = run(&again);
        // An unassigned value is spelled as zero, and loops are counted where code says so.
        let excused = [&ended, &found].iter().any(|ended| matches!(ended, Err(Trap::Fuel | Trap::Undefined)));
        let agree = match (&ended, &found) {
            (Ok(ended), Ok(found)) => same(ended, found),
            _ => ended == found,
        };
        if !excused && !agree {
            return Err(format!("spelled code means something else:\n{text}\n----\n{spelled}"));
        }
    }
    Ok(())
}

fn built(names: &mut Names, statements: &[Stmt]) -> Result<Code, Diagnostic> {
    let spec = |&(name, dtype, pointer, writes): &(&str, DType, bool, bool)| PortSpec {
        port: Port {
            name: names.intern(name),
            ty: Type::Scalar(dtype),
            kind: if pointer { PortKind::Pointer { rank: 1 } } else { PortKind::Value },
            reads: !writes,
            writes,
        },
        unit_dimensions: if pointer { vec![false] } else { Vec::new() },
        one_element: !pointer,
        infer_type: false,
    };
    let ports = PORTS.iter().map(spec).collect();
    build::tasklet(names, &StructTable::default(), ports, &Symbols(DType::I64), statements)
}

fn run(code: &Code) -> Result<Written, Trap> {
    Trial::new(&INPUTS, |index| Scalar::I64(i64::from(index % 4))).run(code)
}
