//! Blocks: assignments, stores, branches and loops.

use crate::diag::Result;

use super::super::code::{Block, Inst, Op, PortId, PortKind, ValueId};
use super::super::value::Scalar;
use super::number::literal;
use super::{LONGEST, Speller, refused};

impl Speller<'_> {
    /// Writes a block's instructions; its results can be asked for afterwards.
    pub(super) fn block(&mut self, block: &Block) -> Result<()> {
        block.insts.iter().try_for_each(|inst| self.inst(inst))
    }

    fn inst(&mut self, inst: &Inst) -> Result<()> {
        match &inst.op {
            Op::Store { port, indices, value } => {
                let place = self.element(*port, indices)?;
                let line = format!("{place} = {}", bare(self.value(*value)?));
                self.line(&line);
                Ok(())
            }
            Op::Output { port, value } => {
                let line = format!("{} = {}", self.port(*port)?, bare(self.value(*value)?));
                self.line(&line);
                Ok(())
            }
            Op::If { condition, then, otherwise } => self.branch(*condition, then, otherwise, &inst.results),
            Op::Loop { carried, params, condition, body } => {
                self.repeat(carried, params, condition, body, &inst.results)
            }
            op => match inst.results[..] {
                [result] => self.define(op, result),
                _ => Err(refused("this operation")),
            },
        }
    }

    /// An operation with one result: an expression for its only use, or a variable.
    fn define(&mut self, op: &Op, result: ValueId) -> Result<()> {
        if !self.uses.contains_key(&result) && !matches!(op, Op::Pop(_)) {
            return Ok(());
        }
        let expression = self.expression(op, result)?;
        let is_atom = match op {
            Op::Const(_) | Op::Symbol(_) | Op::Undef => true,
            Op::Input(port) => self.code.ports.get(*port).is_some_and(|port| !port.writes),
            _ => false,
        };
        let may_move = !(self.stores && matches!(op, Op::Load { .. }));
        if is_atom || (self.single.contains(&result) && may_move && expression.len() <= LONGEST) {
            self.spelled.insert(result, expression);
            return Ok(());
        }
        let variable = self.new_variable();
        self.line(&format!("{variable} = {}", bare(&expression)));
        self.spelled.insert(result, variable);
        Ok(())
    }

    fn branch(
        &mut self,
        condition: ValueId,
        then: &Block,
        otherwise: &Block,
        results: &[ValueId],
    ) -> Result<()> {
        let mut variables = Vec::with_capacity(results.len());
        for &result in results {
            let variable = self.new_variable();
            let zero = literal(Scalar::zero(self.dtype(result)?));
            self.line(&format!("{variable} = {}", bare(&zero)));
            self.spelled.insert(result, variable.clone());
            variables.push(variable);
        }
        let test = self.value(condition)?.to_owned();
        for (word, block) in [(format!("if {}:", bare(&test)), then), ("else:".to_owned(), otherwise)] {
            let start = self.text.len();
            self.line(&word);
            let inside = self.text.len();
            self.indent += 1;
            self.block(block)?;
            for (variable, &value) in variables.iter().zip(&block.results) {
                let line = format!("{variable} = {}", bare(self.value(value)?));
                self.line(&line);
            }
            if self.text.len() == inside {
                if word == "else:" {
                    self.text.truncate(start);
                } else {
                    self.line("pass");
                }
            }
            self.indent -= 1;
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        carried: &[ValueId],
        params: &[ValueId],
        condition: &Block,
        body: &Block,
        results: &[ValueId],
    ) -> Result<()> {
        let mut variables = Vec::with_capacity(params.len());
        for (&param, &initial) in params.iter().zip(carried) {
            self.dtype(param)?;
            let variable = self.new_variable();
            let line = format!("{variable} = {}", bare(self.value(initial)?));
            self.line(&line);
            self.spelled.insert(param, variable.clone());
            variables.push(variable);
        }
        for (&result, variable) in results.iter().zip(&variables) {
            self.spelled.insert(result, variable.clone());
        }
        let [test] = condition.results[..] else { return Err(refused("a loop without one condition")) };
        // A condition that needs statements of its own is computed before the loop and at the end of its body.
        let start = self.text.len();
        self.block(condition)?;
        let flag = (self.text.len() > start).then(|| self.new_variable());
        let first = bare(self.value(test)?).to_owned();
        match &flag {
            Some(flag) => {
                self.line(&format!("{flag} = {first}"));
                self.line(&format!("while {flag}:"));
            }
            None => self.line(&format!("while {first}:")),
        }
        self.indent += 1;
        let inside = self.text.len();
        self.block(body)?;
        self.next_round(&variables, params, &body.results)?;
        if let Some(flag) = &flag {
            // The same variables again: they were declared before the loop.
            let count = self.count;
            self.block(condition)?;
            let next = bare(self.value(test)?).to_owned();
            self.line(&format!("{flag} = {next}"));
            self.count = self.count.max(count);
        }
        if self.text.len() == inside {
            self.line("pass");
        }
        self.indent -= 1;
        Ok(())
    }

    /// All carried variables change at once.
    fn next_round(&mut self, variables: &[String], params: &[ValueId], next: &[ValueId]) -> Result<()> {
        let mut changes = Vec::with_capacity(next.len());
        for ((variable, &param), &value) in variables.iter().zip(params).zip(next) {
            if param != value {
                changes.push((variable, bare(self.value(value)?).to_owned()));
            }
        }
        if let [(variable, value)] = &changes[..] {
            let line = format!("{variable} = {value}");
            self.line(&line);
            return Ok(());
        }
        let mut assignments = Vec::with_capacity(changes.len());
        for (variable, value) in changes {
            let next = self.new_variable();
            self.line(&format!("{next} = {value}"));
            assignments.push(format!("{variable} = {next}"));
        }
        for assignment in assignments {
            self.line(&assignment);
        }
        Ok(())
    }

    /// A connector's name.
    pub(super) fn port(&self, port: PortId) -> Result<&str> {
        let port = self.code.ports.get(port).ok_or_else(|| refused("a connector that is not declared"))?;
        match port.kind {
            PortKind::Stream => Err(refused("a stream")),
            _ => Ok(&self.names[port.name]),
        }
    }

    /// An element behind a pointer, or what a reference refers to.
    pub(super) fn element(&self, port: PortId, indices: &[ValueId]) -> Result<String> {
        let name = self.port(port)?;
        let indices = indices.iter().map(|&index| self.value(index)).collect::<Result<Vec<&str>>>()?;
        Ok(match indices[..] {
            [] => name.to_owned(),
            [index] => format!("{name}[{}]", bare(index)),
            _ => format!("{name}[{}]", indices.join(", ")),
        })
    }
}

/// The expression without the parentheses around all of it.
fn bare(text: &str) -> &str {
    let Some(inside) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else { return text };
    let mut open = 0i32;
    for byte in inside.bytes() {
        match byte {
            b'(' => open += 1,
            b')' => open -= 1,
            _ => {}
        }
        if open < 0 {
            return text;
        }
    }
    inside
}
