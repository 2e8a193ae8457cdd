//! [`Code`] as the text of a Python tasklet, the inverse of [`lower`](super::lower).
//!
//! A tasklet that a frontend builds directly has code but no text; files hold text. What is written here means
//! the same under the C rules that tasklets follow, so lowering it again gives the same values, bit for bit:
//!
//! - Every operation has its own type whatever C promotes to: results narrower than `int` are cast back.
//! - Literals carry their type: `dace.int64(1)`, `dace.float32(0.5)`; `1` and `1.0` are `int32` and `float64`.
//! - An `if` that yields values assigns them in both branches, after a first assignment that declares them
//!   (in C a variable ends with the block it was first assigned in). A `while` assigns its carried variables.
//! - A value that is used once, in its own block, stands where it is used; others get a variable `v0`, `v1`, ...
//!   Loads are moved only if nothing is stored.
//! - An unassigned value is zero: text has no word for it.
//!
//! Numbers of the integer types, `float32` and `float64` have a text. Complex and narrow floating-point numbers,
//! vectors, records and streams are refused: no frontend builds code with them.

mod number;
mod statement;
#[cfg(test)]
mod tests;

use hashbrown::{HashMap, HashSet};

use crate::diag::{Diagnostic, Result};
use crate::entity::Names;
use crate::ir::{BlockKind, Connector, Language, NodeKind, Program, Text};

use super::code::{Block, Code, Op, PortKind, ValueId};
use super::types::DType;

/// The text of a code. Ports keep their names.
///
/// # Errors
/// `P0311`: the code holds something that tasklet text cannot say.
pub fn spell(code: &Code, names: &Names) -> Result<String> {
    let mut speller = Speller::new(code, names);
    speller.block(&code.body)?;
    if speller.text.is_empty() {
        speller.line("pass");
    }
    speller.text.truncate(speller.text.trim_end().len());
    Ok(speller.text)
}

/// The text of the value of a code's first output, as one expression.
///
/// # Errors
/// `P0311`: as [`spell`]; or it takes statements to compute the value.
pub fn spell_expression(code: &Code, names: &Names) -> Result<String> {
    let mut speller = Speller::new(code, names);
    let mut value = None;
    for inst in &code.body.insts {
        match &inst.op {
            Op::Output { value: output, .. } => value = value.or(Some(*output)),
            op => match inst.results[..] {
                // Nothing is a variable: what is used several times is written several times.
                [result] => {
                    let expression = speller.expression(op, result)?;
                    if expression.len() > LONGEST_EXPRESSION {
                        return Err(refused("this expression without statements"));
                    }
                    speller.spelled.insert(result, expression);
                }
                _ => return Err(refused("this expression without statements")),
            },
        }
    }
    let value = value.ok_or_else(|| refused("a code without a value"))?;
    let text = speller.value(value)?.to_owned();
    if speller.text.is_empty() { Ok(text) } else { Err(refused("this expression without statements")) }
}

/// Gives every tasklet that was born without text the text of its code.
///
/// # Errors
/// As [`spell`], with the place of the tasklet.
pub fn spell_program(program: &mut Program) -> Result<()> {
    let names = std::mem::take(&mut program.names);
    let result = spell_graphs(program, &names);
    program.names = names;
    result
}

fn spell_graphs(program: &mut Program, names: &Names) -> Result<()> {
    for (_, graph) in program.graphs.iter_mut() {
        for (_, block) in graph.blocks.iter_mut() {
            let BlockKind::State(state) = &mut block.kind else { continue };
            for (_, node) in state.nodes.iter_mut() {
                let NodeKind::Tasklet(tasklet) = &mut node.kind else { continue };
                let (true, Some(code)) = (tasklet.text.text.is_empty(), &tasklet.code) else { continue };
                let text = spell(code, names).map_err(|error| {
                    error
                        .inside(format!("tasklet `{}`", node.label))
                        .inside(format!("state `{}`", block.label))
                })?;
                // A pointer stays one even where its container turns out to have a single element.
                for port in code.ports.values().filter(|port| matches!(port.kind, PortKind::Pointer { .. })) {
                    let connectors = if port.reads { &mut node.inputs } else { &mut node.outputs };
                    if let Some(connector) = connectors.get_mut(&port.name)
                        && connector.ty.is_none()
                    {
                        *connector = Connector { ty: Some(port.ty), pointer: true };
                    }
                }
                tasklet.text = Text { language: Language::Python, text };
            }
        }
    }
    Ok(())
}

/// Expressions longer than this get a variable of their own.
const LONGEST: usize = 60;
/// Where there are no variables, values used twice double the text: there is an end to that.
const LONGEST_EXPRESSION: usize = 10_000;

struct Speller<'c> {
    code: &'c Code,
    names: &'c Names,
    text: String,
    indent: usize,
    /// How values are written where they are used: a variable or an expression.
    spelled: HashMap<ValueId, String>,
    /// How often each value is used.
    uses: HashMap<ValueId, usize>,
    /// Values used once, in the block that defines them.
    single: HashSet<ValueId>,
    stores: bool,
    prefix: String,
    count: usize,
}

impl<'c> Speller<'c> {
    fn new(code: &'c Code, names: &'c Names) -> Self {
        let mut prefix = "v".to_owned();
        let outside = || {
            let ports = code.ports.values().map(|port| port.name);
            ports.chain(code.symbols.iter().map(|(name, _)| *name)).map(|name| &names[name])
        };
        while outside().any(|name| is_numbered(name, &prefix)) {
            prefix.insert(0, '_');
        }
        let mut speller = Speller {
            code,
            names,
            text: String::new(),
            indent: 0,
            spelled: HashMap::new(),
            uses: HashMap::new(),
            single: HashSet::new(),
            stores: false,
            prefix,
            count: 0,
        };
        speller.count_uses(&code.body);
        speller
    }

    fn count_uses(&mut self, block: &Block) {
        let mut here: HashMap<ValueId, usize> = HashMap::new();
        let mut defined = Vec::new();
        let mut used = |speller: &mut Self, value: ValueId| {
            *speller.uses.entry(value).or_default() += 1;
            *here.entry(value).or_default() += 1;
        };
        for inst in &block.insts {
            defined.extend(&inst.results);
            self.stores |= matches!(inst.op, Op::Store { .. });
            for operand in inst.op.operands() {
                used(self, operand);
            }
            match &inst.op {
                Op::If { then, otherwise, .. } => {
                    self.count_uses(then);
                    self.count_uses(otherwise);
                }
                Op::Loop { condition, body, .. } => {
                    self.count_uses(condition);
                    self.count_uses(body);
                }
                _ => {}
            }
        }
        for &result in &block.results {
            used(self, result);
        }
        for value in defined {
            if here.get(&value) == Some(&1) && self.uses.get(&value) == Some(&1) {
                self.single.insert(value);
            }
        }
    }

    fn line(&mut self, text: &str) {
        for _ in 0..self.indent {
            self.text.push_str("    ");
        }
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn new_variable(&mut self) -> String {
        self.count += 1;
        format!("{}{}", self.prefix, self.count - 1)
    }

    fn dtype(&self, value: ValueId) -> Result<DType> {
        let ty = self.code.types.get(value).and_then(|ty| ty.scalar());
        let spelled = |dtype: &DType| dtype.is_integral() || matches!(dtype, DType::F32 | DType::F64);
        ty.filter(spelled).ok_or_else(|| refused("a value that is not a plain number"))
    }

    fn value(&self, value: ValueId) -> Result<&str> {
        self.spelled.get(&value).map(String::as_str).ok_or_else(|| refused("a value that nothing defines"))
    }
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn refused(what: &str) -> Diagnostic {
    Diagnostic::error("P0311", format!("tasklet text cannot express {what}"))
        .with_help("run the program as it is; only files need the text")
}
