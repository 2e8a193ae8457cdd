//! Control flow: blocks, the edges between them, and the structured forms people write.

use crate::diag::Result;
use crate::entity::Name;
use crate::ir::{
    Block, BlockId, BlockKind, Branch, CodeExpr, Extra, InterstateEdge, Language, Loop, Region, RegionFlavor,
    RegionId, Text,
};

use super::super::cursor::is_bare_name;
use super::Parser;

/// An edge whose ends are not looked up yet.
pub(super) struct Jump {
    at: usize,
    src: BlockName,
    dst: BlockName,
    condition: Option<CodeExpr>,
    assignments: Vec<(Name, CodeExpr)>,
    extra: Extra,
}

/// How an edge names a block.
enum BlockName {
    Label(String),
    /// `%n`: the n-th block of the region.
    Position(u64),
}

/// What is known of a region while it is read.
#[derive(Default)]
pub(super) struct Draft {
    blocks: Vec<BlockId>,
    jumps: Vec<Jump>,
    start: Option<(usize, Option<BlockName>)>,
    unchained: bool,
}

impl Draft {
    /// Whether nothing has been read.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

impl Parser<'_> {
    /// Blocks and edges up to `}`, which is taken. The opening brace has been taken already.
    pub(super) fn region(&mut self) -> Result<RegionId> {
        let id = self.current().regions.push(Region::default());
        self.deeper(|parser| {
            let mut draft = Draft::default();
            while !parser.cursor.eat("}") {
                parser.region_item(&mut draft)?;
            }
            let region = parser.finish_region(draft)?;
            parser.current().regions[id] = region;
            Ok(())
        })?;
        Ok(id)
    }

    pub(super) fn region_item(&mut self, draft: &mut Draft) -> Result<()> {
        let start = self.cursor.position();
        let word = self.cursor.peek_word();
        match word {
            "unchained" => {
                self.cursor.eat_word(word);
                draft.unchained = true;
            }
            "start" => {
                self.cursor.eat_word(word);
                let block = if self.cursor.eat_word("none") { None } else { Some(self.block_name()?) };
                draft.start = Some((start, block));
            }
            "state" | "loop" | "conditional" | "region" | "break" | "continue" | "return" | "for"
            | "while" | "if" => {
                self.cursor.eat_word(word);
                draft.blocks.push(self.block(word)?);
            }
            _ if self.sees_jump() => draft.jumps.push(self.jump()?),
            "map" | "tasklet" | "copy" => draft.blocks.push(self.implicit_state()?),
            _ if self.cursor.sees_name() => draft.blocks.push(self.implicit_state()?),
            _ => {
                return Err(self
                    .cursor
                    .unexpected("a block, an edge or `}`")
                    .with_note(
                        "blocks: state, loop, conditional, region, for, while, if, break, continue, return",
                    )
                    .with_note("edges: `block -> block if condition { symbol = value }`"));
            }
        }
        Ok(())
    }

    /// Whether an edge between blocks comes next: `name ->` or `%n ->`.
    pub(super) fn sees_jump(&mut self) -> bool {
        let start = self.cursor.position();
        let is_jump = self.block_name().is_ok() && self.cursor.sees("->");
        self.cursor.rewind(start);
        is_jump
    }

    fn block_name(&mut self) -> Result<BlockName> {
        if self.cursor.eat("%") {
            return Ok(BlockName::Position(self.cursor.integer("a block's number")?));
        }
        Ok(BlockName::Label(self.cursor.name("a block's label")?))
    }

    fn jump(&mut self) -> Result<Jump> {
        self.cursor.skip();
        let at = self.cursor.position();
        let src = self.block_name()?;
        self.cursor.expect("->", "between two blocks")?;
        let dst = self.block_name()?;
        let condition = if self.cursor.eat_word("if") { Some(self.code()?) } else { None };
        let assignments = if self.cursor.eat("{") { self.assignments()? } else { Vec::new() };
        let extra = self.extra()?;
        Ok(Jump { at, src, dst, condition, assignments, extra })
    }

    fn assignments(&mut self) -> Result<Vec<(Name, CodeExpr)>> {
        let mut list = Vec::new();
        while !self.cursor.eat("}") {
            let symbol = self.cursor.name("a symbol")?;
            self.cursor.expect("=", "in an assignment")?;
            let value = self.code()?;
            list.push((self.program.names.intern(&symbol), value));
            self.comma_or("}")?;
        }
        Ok(list)
    }

    pub(super) fn finish_region(&mut self, draft: Draft) -> Result<Region> {
        let mut region = Region { start: draft.blocks.first().copied(), ..Region::default() };
        if draft.jumps.is_empty() && !draft.unchained {
            for pair in draft.blocks.windows(2) {
                let &[src, dst] = pair else { continue };
                let leaves = matches!(
                    self.current().blocks[src].kind,
                    BlockKind::Break | BlockKind::Continue | BlockKind::Return
                );
                if !leaves {
                    region.edges.push(InterstateEdge {
                        src,
                        dst,
                        condition: None,
                        assignments: Vec::new(),
                        extra: Extra::new(),
                    });
                }
            }
        }
        for jump in draft.jumps {
            region.edges.push(InterstateEdge {
                src: self.find_block(&draft.blocks, &jump.src, jump.at)?,
                dst: self.find_block(&draft.blocks, &jump.dst, jump.at)?,
                condition: jump.condition,
                assignments: jump.assignments,
                extra: jump.extra,
            });
        }
        if let Some((at, start)) = draft.start {
            region.start = start.map(|name| self.find_block(&draft.blocks, &name, at)).transpose()?;
        }
        region.blocks = draft.blocks;
        Ok(region)
    }

    fn find_block(&mut self, blocks: &[BlockId], name: &BlockName, at: usize) -> Result<BlockId> {
        let found = match name {
            BlockName::Position(n) => usize::try_from(*n).ok().and_then(|n| blocks.get(n)).copied(),
            BlockName::Label(label) => {
                let graph = self.current();
                let mut with_label = blocks.iter().copied().filter(|&id| graph.blocks[id].label == *label);
                match (with_label.next(), with_label.next()) {
                    (found, None) => found,
                    _ => {
                        return Err(self
                            .cursor
                            .error_at(at, "P0043", format!("two blocks are called `{label}`"))
                            .with_help("name blocks by position, counted from 0: `%0 -> %1`"));
                    }
                }
            }
        };
        found.ok_or_else(|| {
            let text = match name {
                BlockName::Label(label) => format!("no block of this region is called `{label}`"),
                BlockName::Position(n) => format!("this region has no block number {n}"),
            };
            self.cursor.error_at(at, "P0044", text)
        })
    }

    fn block(&mut self, word: &str) -> Result<BlockId> {
        let number = self.current().blocks.len();
        // Reserved first, so that blocks are numbered in the order in which they begin.
        let reserved = Block { label: String::new(), kind: BlockKind::Break, extra: Extra::new() };
        let id = self.current().blocks.push(reserved);
        let (label, kind, extra) = match word {
            "for" => self.for_block(number)?,
            "while" => self.while_block(number)?,
            "if" => self.if_block(number)?,
            _ => {
                let label = if self.cursor.sees_name() {
                    self.cursor.name("a label")?
                } else {
                    format!("{word}_{number}")
                };
                let (kind, extra) = self.block_inside(word)?;
                (label, kind, extra)
            }
        };
        self.current().blocks[id] = Block { label, kind, extra };
        Ok(id)
    }

    fn block_inside(&mut self, word: &str) -> Result<(BlockKind, Extra)> {
        match word {
            "state" => {
                let extra = self.extra()?;
                self.cursor.expect("{", "to open the state")?;
                Ok((BlockKind::State(Box::new(self.state()?)), extra))
            }
            "loop" => self.loop_inside(),
            "conditional" => {
                let extra = self.extra()?;
                self.cursor.expect("{", "to open the conditional")?;
                let mut branches = Vec::new();
                while !self.cursor.eat("}") {
                    branches.push(self.case()?);
                }
                Ok((BlockKind::Conditional(branches), extra))
            }
            "region" => {
                let flavor = match self.cursor.peek_word() {
                    "named" => RegionFlavor::Named,
                    "function_call" => RegionFlavor::FunctionCall,
                    "unstructured" => RegionFlavor::Unstructured,
                    _ => RegionFlavor::Plain,
                };
                if flavor != RegionFlavor::Plain {
                    let word = self.cursor.peek_word();
                    self.cursor.eat_word(word);
                }
                let extra = self.extra()?;
                Ok((BlockKind::Region(flavor, self.braced_region()?), extra))
            }
            "break" => Ok((BlockKind::Break, self.extra()?)),
            "continue" => Ok((BlockKind::Continue, self.extra()?)),
            _ => Ok((BlockKind::Return, self.extra()?)),
        }
    }

    fn braced_region(&mut self) -> Result<RegionId> {
        self.cursor.expect("{", "to open the body")?;
        self.region()
    }

    /// `(init, condition, update) clauses { body }`; `_` stands for nothing.
    fn loop_inside(&mut self) -> Result<(BlockKind, Extra)> {
        self.cursor.expect("(", "before init, condition and update")?;
        let mut init = self.statement()?;
        self.cursor.expect(",", "after the init statement")?;
        let condition = self.code()?;
        self.cursor.expect(",", "after the condition")?;
        let mut update = self.statement()?;
        self.cursor.expect(")", "after the update statement")?;
        let mut variable = init.as_ref().and_then(|init| init.target);
        let mut inverted = false;
        let mut update_before_condition = true;
        loop {
            let word = self.cursor.peek_word();
            self.cursor.eat_word(word);
            match word {
                "inverted" => inverted = true,
                "update_last" => update_before_condition = false,
                "variable" => variable = self.names_in_parentheses()?.first().copied(),
                "init_target" => {
                    let target = self.names_in_parentheses()?.first().copied();
                    init.get_or_insert_default().target = target;
                }
                "update_target" => {
                    let target = self.names_in_parentheses()?.first().copied();
                    update.get_or_insert_default().target = target;
                }
                "" => break,
                other => {
                    let known = ["inverted", "update_last", "variable", "init_target", "update_target"];
                    return Err(self.unknown(other, "a loop clause", &known));
                }
            }
        }
        let extra = self.extra()?;
        let body = self.braced_region()?;
        let kind = Loop { variable, init, condition, update, inverted, update_before_condition, body };
        Ok((BlockKind::Loop(Box::new(kind)), extra))
    }

    /// A loop statement: `i = i + 1`, a quoted text, or `_` for none. Its target is the name it assigns.
    fn statement(&mut self) -> Result<Option<CodeExpr>> {
        if self.cursor.eat_word("_") {
            return Ok(None);
        }
        self.cursor.skip();
        let start = self.cursor.position();
        if self.cursor.sees_name() {
            let name = self.cursor.name("a name")?;
            if is_bare_name(&name) && self.cursor.eat("=") {
                self.cursor.expression("a value")?;
                let text = self.cursor.slice(start, self.cursor.position()).to_owned();
                let text = Text { language: Language::Python, text };
                let target = Some(self.program.names.intern(&name));
                return Ok(Some(CodeExpr { text, target, code: None }));
            }
        }
        self.cursor.rewind(start);
        let mut code = self.code()?;
        code.target = assigned_name(&code.text.text).map(|name| self.program.names.intern(name));
        Ok(Some(code))
    }

    /// `case CONDITION|else LABEL { body }`.
    fn case(&mut self) -> Result<Branch> {
        if !self.cursor.eat_word("case") {
            return Err(self.cursor.unexpected("`case` or `}`"));
        }
        let condition = if self.cursor.eat_word("else") { None } else { Some(self.code()?) };
        let label = if self.cursor.eat_word("label") {
            self.cursor.expect("(", "before the label")?;
            let label = self.cursor.name("a label")?;
            self.cursor.expect(")", "after the label")?;
            label
        } else {
            String::new()
        };
        let extra = self.extra()?;
        let body = self.braced_region()?;
        Ok(Branch { condition, body, label, extra })
    }

    /// `for i in start:end:step { body }`.
    fn for_block(&mut self, number: usize) -> Result<(String, BlockKind, Extra)> {
        let name = self.cursor.name("the loop variable")?;
        if !self.cursor.eat_word("in") {
            return Err(self.cursor.unexpected("`in` and a range"));
        }
        let start = self.cursor.expression("the first value")?;
        self.cursor.expect(":", "between first value and end")?;
        let end = self.cursor.expression("the end")?;
        let step = if self.cursor.eat(":") { self.cursor.expression("the step")? } else { "1" };
        let compare = if step.starts_with('-') { ">" } else { "<" };
        let python = |text: String| Text { language: Language::Python, text };
        let variable = Some(self.program.names.intern(&name));
        let assign = |value: String| CodeExpr {
            text: python(format!("{name} = {value}")),
            target: variable,
            code: None,
        };
        let init = Some(assign(start.to_owned()));
        let update = Some(assign(match step.strip_prefix('-') {
            Some(down) => format!("{name} - {down}"),
            None => format!("{name} + {step}"),
        }));
        let condition = CodeExpr { text: python(format!("{name} {compare} {end}")), ..CodeExpr::default() };
        let extra = self.extra()?;
        let body = self.braced_region()?;
        let kind =
            Loop { variable, init, condition, update, inverted: false, update_before_condition: true, body };
        Ok((format!("for_{number}"), BlockKind::Loop(Box::new(kind)), extra))
    }

    fn while_block(&mut self, number: usize) -> Result<(String, BlockKind, Extra)> {
        let condition = self.code()?;
        let extra = self.extra()?;
        let body = self.braced_region()?;
        let kind = Loop {
            variable: None,
            init: None,
            condition,
            update: None,
            inverted: false,
            update_before_condition: true,
            body,
        };
        Ok((format!("while_{number}"), BlockKind::Loop(Box::new(kind)), extra))
    }

    fn if_block(&mut self, number: usize) -> Result<(String, BlockKind, Extra)> {
        let mut branches = Vec::new();
        let mut condition = Some(self.code()?);
        loop {
            let ends = condition.is_none();
            let body = self.braced_region()?;
            branches.push(Branch {
                condition: condition.take(),
                body,
                label: format!("branch_{}", branches.len()),
                extra: Extra::new(),
            });
            if ends {
                break;
            } else if self.cursor.eat_word("elif") {
                condition = Some(self.code()?);
            } else if !self.cursor.eat_word("else") {
                break;
            }
        }
        Ok((format!("if_{number}"), BlockKind::Conditional(branches), Extra::new()))
    }

    /// Statements written between blocks are a state of their own.
    fn implicit_state(&mut self) -> Result<BlockId> {
        let number = self.current().blocks.len();
        let kind = BlockKind::State(Box::default());
        let label = format!("state_{number}");
        let id = self.current().blocks.push(Block { label, kind, extra: Extra::new() });
        let state = self.statements_of_implicit_state()?;
        self.current().blocks[id].kind = BlockKind::State(Box::new(state));
        Ok(id)
    }

    /// A condition or value: an expression, or text in quotes, with its language in front unless it is Python.
    pub(super) fn code(&mut self) -> Result<CodeExpr> {
        let language = self.language();
        let text = if language != Language::Python || self.cursor.sees("\"") {
            self.cursor.string("code in quotes")?
        } else {
            self.cursor.expression("an expression")?.to_owned()
        };
        Ok(CodeExpr { text: Text { language, text }, target: None, code: None })
    }

    /// The language word of code, Python if there is none.
    pub(super) fn language(&mut self) -> Language {
        let start = self.cursor.position();
        let word = self.cursor.peek_word();
        let language = match word {
            "cpp" => Language::Cpp,
            "opencl" => Language::OpenCl,
            "systemverilog" => Language::SystemVerilog,
            "mlir" => Language::Mlir,
            _ => Language::Python,
        };
        if language != Language::Python {
            self.cursor.eat_word(word);
            if !self.cursor.sees("\"") && !self.cursor.sees("{") {
                self.cursor.rewind(start);
                return Language::Python;
            }
        }
        language
    }
}

/// The name that an assignment text assigns.
pub(in super::super) fn assigned_name(text: &str) -> Option<&str> {
    let (target, value) = text.split_once('=')?;
    let target = target.trim();
    (is_bare_name(target) && !value.starts_with('=')).then_some(target)
}
