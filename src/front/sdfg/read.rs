//! What all parts of the reader share: tables, expressions, ranges and code texts.

use hashbrown::HashMap;
use serde_json::Value;

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::ir::{Language, Program, Range, Subset, Text};
use crate::scalar::{StructId, StructTable};
use crate::symbolic::{ExprId, Grammar};

use super::json::{self, Within, list, missing, object, text, unexpected};

/// How deep graphs and regions may nest in each other.
const MAX_NESTING: usize = 256;

/// A program being read.
pub(super) struct Reader {
    pub program: Program,
    pub grammar: Grammar,
    /// What is suspicious but has a meaning.
    pub findings: Vec<Diagnostic>,
    /// Expressions by text, for the grammar in force: files repeat the same few.
    expressions: HashMap<Box<str>, ExprId>,
    /// Record types by name.
    pub records: HashMap<Name, Vec<StructId>>,
    /// The grammar of the whole file.
    spelled_in: Grammar,
    nesting: usize,
}

impl Reader {
    pub(super) fn new(program: Program, grammar: Grammar) -> Self {
        Self {
            program,
            grammar,
            findings: Vec::new(),
            expressions: HashMap::new(),
            records: HashMap::new(),
            spelled_in: grammar,
            nesting: 0,
        }
    }

    /// The id of a name.
    pub(super) fn name(&mut self, name: &str) -> Name {
        self.program.names.intern(name)
    }

    /// The record types read so far.
    pub(super) fn structs(&mut self) -> &mut StructTable {
        &mut self.program.structs
    }

    /// Names in a list.
    pub(super) fn names(&mut self, value: Value) -> Result<Vec<Name>> {
        list(value)?.into_iter().map(|item| Ok(self.name(&text(item)?))).collect()
    }

    /// Runs `work` one level of graphs and regions deeper.
    pub(super) fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.nesting >= MAX_NESTING {
            return Err(Diagnostic::error("P0004", "graphs and regions nest too deep")
                .with_note(format!("at most {MAX_NESTING} levels are read")));
        }
        self.nesting += 1;
        let result = work(self);
        self.nesting -= 1;
        result
    }

    /// Runs `work` under another grammar, for nested graphs that say their own version.
    pub(super) fn in_grammar<T>(&mut self, grammar: Grammar, work: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.grammar, grammar);
        if outer != grammar {
            self.expressions.clear();
        }
        let result = work(self);
        if outer != grammar {
            self.expressions.clear();
        }
        self.grammar = outer;
        result
    }

    /// A symbolic expression: text in the file's grammar, or a number.
    pub(super) fn expression(&mut self, value: &Value) -> Result<ExprId> {
        match value {
            Value::String(text) => self.parse(text),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Ok(self.program.exprs.int(integer)),
                None => self.parse(&number.to_string()),
            },
            Value::Bool(flag) => Ok(self.program.exprs.int(i64::from(*flag))),
            // DaCe 1.0.2 writes over-approximated bounds as {"main": exact, "approx": bound}.
            Value::Object(entries) => match entries.get("main") {
                Some(Value::String(exact)) => self.parse(exact),
                _ => Err(unexpected("a symbolic expression", value)),
            },
            _ => Err(unexpected("a symbolic expression", value)),
        }
    }

    fn parse(&mut self, text: &str) -> Result<ExprId> {
        if let Some(&known) = self.expressions.get(text) {
            return Ok(known);
        }
        let parsed = self.program.exprs.parse(&mut self.program.names, text, self.grammar)?;
        self.expressions.insert(text.into(), parsed);
        // An approximation beside an exact value would stick to every use of that value.
        if self.grammar == self.spelled_in && !text.contains("SymExpr") {
            let spelling = || (self.grammar, text.into());
            let (_, known) = self.program.spellings.entry(parsed).or_insert_with(spelling);
            if is_better(text, known) {
                *known = text.into();
            }
        }
        Ok(parsed)
    }

    /// A list of symbolic expressions; null is an empty one.
    pub(super) fn expressions(&mut self, value: &Value) -> Result<Vec<ExprId>> {
        match value {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.expression(item).within(|| format!("[{index}]")))
                .collect(),
            other => Err(unexpected("a list of symbolic expressions", other)),
        }
    }

    /// A subset: `Range`, `Indices` (one element per dimension) or a `SubsetUnion` of one subset.
    pub(super) fn subset(&mut self, value: Value) -> Result<Option<Subset>> {
        if value.is_null() {
            return Ok(None);
        }
        let mut class = None;
        let mut body = None;
        for (key, value) in object(value)? {
            match key.as_str() {
                "type" => class = Some(text(value)?),
                "ranges" | "indices" | "subset_list" => body = Some((key, value)),
                _ => {}
            }
        }
        let class = class.ok_or_else(|| missing("type"))?;
        let body = |wanted: &str| match body {
            Some((key, value)) if key == wanted => list(value).within(|| key),
            _ => Err(missing(wanted)),
        };
        match class.as_str() {
            "Range" => {
                let mut ranges = Vec::new();
                for (index, range) in body("ranges")?.into_iter().enumerate() {
                    ranges.push(self.range(&range).within(|| format!("ranges[{index}]"))?);
                }
                Ok(Some(Subset { ranges }))
            }
            "Indices" => {
                let one = self.program.exprs.int(1);
                let mut ranges = Vec::new();
                for (index, point) in body("indices")?.iter().enumerate() {
                    let start = self.expression(point).within(|| format!("indices[{index}]"))?;
                    ranges.push(Range { start, end: start, step: one, tile: one });
                }
                Ok(Some(Subset { ranges }))
            }
            "SubsetUnion" => {
                let mut subsets = body("subset_list")?;
                match (subsets.pop(), subsets.len()) {
                    (None, _) => Ok(None),
                    // A union in a union would recurse; nobody writes one.
                    (Some(only), 0) if only.get("type").and_then(Value::as_str) != Some("SubsetUnion") => {
                        self.subset(only)
                    }
                    _ => Err(Diagnostic::error("P0013", "a union of several subsets is not supported")
                        .with_help("write one memlet per subset, or the box around them")),
                }
            }
            other => Err(json::unknown("subset", other, &["Range", "Indices", "SubsetUnion"])),
        }
    }

    /// One dimension of a subset; the end is inclusive.
    fn range(&mut self, value: &Value) -> Result<Range> {
        let Value::Object(entries) = value else { return Err(unexpected("an object", value)) };
        let one = self.program.exprs.int(1);
        let mut bound = |key: &str, default: Option<ExprId>| match (entries.get(key), default) {
            (Some(value), _) => self.expression(value).within(|| key.into()),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(missing(key)),
        };
        Ok(Range {
            start: bound("start", None)?,
            end: bound("end", None)?,
            step: bound("step", Some(one))?,
            tile: bound("tile", Some(one))?,
        })
    }
}

/// Whether one spelling of an expression says it better than another: shorter, because `M - i + i` reads a
/// symbol that the value does not depend on, or with more types, because not all uses of a symbol say its type.
fn is_better(one: &str, other: &str) -> bool {
    if one == other {
        return false;
    }
    let (one_bare, one_types) = without_types(one);
    let (other_bare, other_types) = without_types(other);
    (one_bare, other_types) < (other_bare, one_types)
}

/// Length of a spelling when `symbol($N, dtype=...)` counts as `$N`, and how many of these there are.
fn without_types(text: &str) -> (usize, usize) {
    let mut parts = text.split("symbol(");
    let mut length = parts.next().map_or(0, str::len);
    let mut types = 0;
    for part in parts {
        types += 1;
        let (inside, after) = part.split_once(')').unwrap_or((part, ""));
        length += inside.split(',').next().map_or(0, str::len) + after.len();
    }
    (length, types)
}

/// A code block `{"string_data": ..., "language": ...}`, or a plain string of Python; null and `NoCode` are none.
pub(super) fn code(value: Value) -> Result<Option<Text>> {
    let entries = match value {
        Value::Null => return Ok(None),
        Value::String(text) => return Ok(Some(Text { language: Language::Python, text })),
        Value::Bool(flag) => {
            let text = if flag { "True" } else { "False" };
            return Ok(Some(Text { language: Language::Python, text: text.into() }));
        }
        Value::Number(number) => {
            return Ok(Some(Text { language: Language::Python, text: number.to_string() }));
        }
        other => object(other)?,
    };
    let mut code = Text::default();
    let mut has_text = false;
    for (key, value) in entries {
        match key.as_str() {
            "string_data" => {
                code.text = json::optional_text(value).within(|| key)?.unwrap_or_default();
                has_text = true;
            }
            "language" => match json::optional_text(value).within(|| key)? {
                Some(language) if language == "NoCode" => return Ok(None),
                Some(language) => code.language = language_of(&language)?,
                None => {}
            },
            _ => {}
        }
    }
    if has_text { Ok(Some(code)) } else { Err(missing("string_data")) }
}

const LANGUAGES: [(&str, Language); 5] = [
    ("Python", Language::Python),
    ("CPP", Language::Cpp),
    ("OpenCL", Language::OpenCl),
    ("SystemVerilog", Language::SystemVerilog),
    ("MLIR", Language::Mlir),
];

fn language_of(name: &str) -> Result<Language> {
    let plain = name.rsplit('.').next().unwrap_or(name);
    LANGUAGES
        .into_iter()
        .find(|(known, _)| *known == plain)
        .map(|(_, language)| language)
        .ok_or_else(|| json::unknown("language", name, &LANGUAGES.map(|(known, _)| known)))
}

/// A language as the file spells it.
pub(super) fn language_name(language: Language) -> &'static str {
    LANGUAGES.into_iter().find(|(_, known)| *known == language).map_or("Python", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_spelling() {
        let typed = "-1 + symbol($M, dtype=dace.int64)";
        let longer = "-1 + symbol($M, dtype=dace.int64) - symbol($i, dtype=dace.int64) + $i";
        assert!(is_better(typed, longer) && !is_better(longer, typed));
        assert!(is_better(typed, "-1 + $M") && !is_better("-1 + $M", typed));
        assert!(!is_better(typed, typed));
        assert_eq!(without_types("2*symbol($M, dtype=dace.int64) + 1"), ("2*$M + 1".len(), 1));
    }
}
