//! Words of the language and how names and types are spelled.

use crate::entity::Names;
use crate::ir::Program;
use crate::scalar::{DType, Type};

use super::cursor::is_bare_name;

/// How deep regions, graphs and structures may nest.
pub(super) const NESTING_LIMIT: usize = 128;

/// Words that cannot be bare names.
const KEYWORDS: [&str; 61] = [
    "assume",
    "access",
    "and",
    "args",
    "argument",
    "at",
    "break",
    "case",
    "conditional",
    "constant",
    "consume_entry",
    "consume_exit",
    "container_array",
    "container_reference",
    "container_view",
    "continue",
    "contract",
    "copy",
    "dynamic",
    "elif",
    "else",
    "external",
    "for",
    "graph",
    "if",
    "in",
    "is",
    "lambda",
    "library",
    "loop",
    "map",
    "map_entry",
    "map_exit",
    "nested",
    "none",
    "not",
    "of",
    "or",
    "over",
    "parallel",
    "program",
    "reference",
    "region",
    "return",
    "sequential",
    "start",
    "state",
    "stream",
    "struct",
    "structure",
    "structure_reference",
    "structure_view",
    "symbol",
    "tasklet",
    "transient",
    "unchained",
    "unroll",
    "version",
    "view",
    "wcr",
    "while",
];

/// A name as the parser reads it: bare where that is unambiguous, else between backquotes.
pub(super) fn name_text(name: &str) -> String {
    if is_bare_name(name) && !KEYWORDS.contains(&name) {
        return name.to_owned();
    }
    let mut text = String::from("`");
    for letter in name.chars() {
        match letter {
            '`' | '\\' => text.extend(['\\', letter]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            other => text.push(other),
        }
    }
    text.push('`');
    text
}

/// A name that may have members: `a.b`.
pub(super) fn dotted_name_text(name: &str) -> String {
    let bare = |part: &str| is_bare_name(part) && !KEYWORDS.contains(&part);
    if name.contains('.') && name.split('.').all(bare) { name.to_owned() } else { name_text(name) }
}

/// A type as `.pel` spells it: `f64`, `i32`, `f8e4m3`, ...
pub fn short_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::I8 => "i8",
        DType::I16 => "i16",
        DType::I32 => "i32",
        DType::I64 => "i64",
        DType::U8 => "u8",
        DType::U16 => "u16",
        DType::U32 => "u32",
        DType::U64 => "u64",
        DType::F16 => "f16",
        DType::BF16 => "bf16",
        DType::F8E4M3 => "f8e4m3",
        DType::F8E5M2 => "f8e5m2",
        DType::F32 => "f32",
        DType::F64 => "f64",
        DType::C64 => "c64",
        DType::C128 => "c128",
    }
}

/// The type with a short name or with DaCe's and NumPy's name.
pub(super) fn dtype_from(word: &str) -> Option<DType> {
    DType::ALL.into_iter().find(|&dtype| short_name(dtype) == word).or_else(|| DType::from_name(word))
}

/// A type as the parser reads it.
pub(super) fn type_text(program: &Program, ty: Type) -> String {
    match ty {
        Type::Scalar(dtype) => short_name(dtype).to_owned(),
        Type::Vector(dtype, lanes) => format!("{}x{lanes}", short_name(dtype)),
        Type::Opaque(name) => format!("opaque {}", name_text(program.names.get(name))),
        Type::Struct(id) => match program.structs.get(id) {
            Some(definition) if is_unique(program, &program.names, definition.name) => {
                format!("struct {}", name_text(program.names.get(definition.name)))
            }
            _ => format!("struct %{}", id.0),
        },
    }
}

fn is_unique(program: &Program, names: &Names, name: crate::entity::Name) -> bool {
    let text = names.get(name);
    program.structs.values().filter(|definition| names.get(definition.name) == text).count() == 1
}
