//! JSON of any depth as a flat table.
//!
//! GTIR documents nest thousands of levels deep, so neither reading nor dropping them may recurse. Syntax is left
//! to a pull parser; this module only remembers what encloses what.

use json_event_parser::{JsonEvent, LowLevelJsonParser};

use crate::diag::{Diagnostic, Result};
use crate::entity::{Name, Names};

/// A value of one [`Tree`].
pub type Item = u32;

/// A parsed document.
pub struct Tree {
    /// Keys, strings and the text of numbers.
    pub strings: Names,
    items: Vec<Json>,
    parents: Vec<Item>,
    members: Vec<(Name, Item)>,
}

/// A JSON value.
#[derive(Clone, Copy, Debug)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, as written.
    Number(Name),
    /// A string.
    String(Name),
    /// Elements: a range of the member table, keys unused.
    Array(u32, u32),
    /// Members: a range of the member table.
    Object(u32, u32),
}

const NO_PARENT: Item = u32::MAX;

impl Tree {
    /// Parses a document.
    pub fn parse(bytes: &[u8]) -> Result<Tree> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(Diagnostic::error("P0601", "the document is larger than 4 GiB"));
        }
        let mut tree =
            Tree { strings: Names::new(), items: Vec::new(), parents: Vec::new(), members: Vec::new() };
        let mut parser = LowLevelJsonParser::new().with_max_stack_size(usize::MAX);
        let mut rest = bytes;
        let mut open: Vec<Open> = Vec::new();
        let mut pending: Vec<(Name, Item)> = Vec::new();
        loop {
            let step = parser.parse_next(rest, true);
            rest = rest.get(step.consumed_bytes..).unwrap_or_default();
            let Some(event) = step.event else {
                return Err(Diagnostic::error("P0601", "the document ends too early"));
            };
            let event = event.map_err(|error| {
                Diagnostic::error("P0601", "this is not JSON")
                    .at(format!("byte {}", error.location().start.offset))
                    .with_note(error.to_string())
            })?;
            let opens = matches!(event, JsonEvent::StartArray | JsonEvent::StartObject);
            let is_object = matches!(event, JsonEvent::EndObject);
            let value = match event {
                JsonEvent::ObjectKey(key) => {
                    let key = tree.intern(&key);
                    if let Some(top) = open.last_mut() {
                        top.key = key;
                    }
                    continue;
                }
                JsonEvent::Null => Json::Null,
                JsonEvent::Boolean(_) => Json::Bool,
                JsonEvent::Number(text) => Json::Number(tree.intern(&text)),
                JsonEvent::String(text) => Json::String(tree.intern(&text)),
                JsonEvent::StartArray | JsonEvent::StartObject => Json::Null,
                JsonEvent::EndArray | JsonEvent::EndObject => {
                    let Some(top) = open.pop() else { continue };
                    let start = tree.members.len() as u32;
                    tree.members.extend(pending.drain(top.first..));
                    let end = tree.members.len() as u32;
                    let value = if is_object { Json::Object(start, end) } else { Json::Array(start, end) };
                    if let Some(slot) = tree.items.get_mut(top.item as usize) {
                        *slot = value;
                    }
                    continue;
                }
                JsonEvent::Eof => break,
            };
            let item = tree.items.len() as Item;
            tree.items.push(value);
            tree.parents.push(open.last().map_or(NO_PARENT, |top| top.item));
            if let Some(top) = open.last() {
                pending.push((top.key, item));
            }
            if opens {
                open.push(Open { item, key: Name(0), first: pending.len() });
            }
        }
        Ok(tree)
    }

    fn intern(&mut self, text: &str) -> Name {
        self.strings.intern(text)
    }

    /// The document's outermost value.
    pub fn root(&self) -> Item {
        0
    }

    /// What a value is; `null` for one that does not exist.
    pub fn get(&self, item: Item) -> Json {
        self.items.get(item as usize).copied().unwrap_or(Json::Null)
    }

    /// A member of an object.
    pub fn member(&self, item: Item, key: &str) -> Option<Item> {
        let Json::Object(start, end) = self.get(item) else { return None };
        let key = self.strings.lookup(key)?;
        self.range(start, end).iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// A member that has to be there.
    pub fn required(&self, item: Item, key: &str) -> Result<Item> {
        self.member(item, key).ok_or_else(|| self.error(item, format!("`{key}` is missing here")))
    }

    /// The elements of an array that has to be one.
    pub fn elements(
        &self,
        item: Item,
    ) -> Result<impl ExactSizeIterator<Item = Item> + DoubleEndedIterator + '_> {
        match self.get(item) {
            Json::Array(start, end) => Ok(self.range(start, end).iter().map(|(_, value)| *value)),
            _ => Err(self.error(item, "an array is expected here")),
        }
    }

    /// The text of a string that has to be one.
    pub fn string(&self, item: Item) -> Result<&str> {
        self.string_name(item).map(|name| self.strings.get(name))
    }

    /// The id of the text of a string that has to be one.
    pub fn string_name(&self, item: Item) -> Result<Name> {
        match self.get(item) {
            Json::String(name) => Ok(name),
            _ => Err(self.error(item, "a string is expected here")),
        }
    }

    /// An integer that has to be one.
    pub fn integer(&self, item: Item) -> Result<i64> {
        let Json::Number(text) = self.get(item) else {
            return Err(self.error(item, "an integer is expected here"));
        };
        let text = self.strings.get(text);
        text.parse().map_err(|_| self.error(item, format!("`{text}` is not a 64-bit integer")))
    }

    /// An error at a value.
    pub fn error(&self, item: Item, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error("P0602", message).at(self.path(item))
    }

    /// Where a value stands: `$.program.body[0].expr`. Of a deep path only the ends are given.
    pub fn path(&self, item: Item) -> String {
        let mut steps = Vec::new();
        let mut child = item;
        while let Some(&parent) = self.parents.get(child as usize)
            && parent != NO_PARENT
        {
            steps.push(self.step(parent, child));
            child = parent;
        }
        steps.reverse();
        let shown = 12;
        if steps.len() > 2 * shown {
            let skipped = format!(" ... {} levels ... ", steps.len() - 2 * shown);
            let tail = steps.split_off(steps.len() - shown);
            steps.truncate(shown);
            steps.push(skipped);
            steps.extend(tail);
        }
        format!("${}", steps.concat())
    }

    fn step(&self, parent: Item, child: Item) -> String {
        match self.get(parent) {
            Json::Object(start, end) => {
                let member = self.range(start, end).iter().find(|(_, value)| *value == child);
                format!(".{}", member.map_or("?", |(key, _)| self.strings.get(*key)))
            }
            Json::Array(start, end) => {
                let position = self.range(start, end).iter().position(|(_, value)| *value == child);
                format!("[{}]", position.unwrap_or_default())
            }
            _ => String::new(),
        }
    }

    fn range(&self, start: u32, end: u32) -> &[(Name, Item)] {
        self.members.get(start as usize..end as usize).unwrap_or(&[])
    }
}

struct Open {
    item: Item,
    key: Name,
    first: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_paths() {
        let tree = Tree::parse(br#"{"a": [1, {"b": "x\n"}], "c": null}"#).unwrap();
        let array = tree.member(tree.root(), "a").unwrap();
        let second = tree.elements(array).unwrap().nth(1).unwrap();
        let b = tree.required(second, "b").unwrap();
        assert_eq!(tree.string(b).unwrap(), "x\n");
        assert_eq!(tree.path(b), "$.a[1].b");
        assert!(tree.required(second, "z").is_err());
        assert_eq!(tree.integer(tree.elements(array).unwrap().next().unwrap()).unwrap(), 1);
    }

    #[test]
    fn depth_is_no_limit() {
        let depth = 200_000;
        let text = "[".repeat(depth) + &"]".repeat(depth);
        let tree = Tree::parse(text.as_bytes()).unwrap();
        assert!(tree.path(depth as Item - 1).contains("levels"));
    }

    #[test]
    fn broken_documents_are_refused() {
        for text in ["", "{", "[1,", "{\"a\" 1}", "nul", "[1] 2", "\"\\u12\"", "\u{feff}"] {
            assert!(Tree::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
