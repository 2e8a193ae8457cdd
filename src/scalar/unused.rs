//! Removal of instructions whose results nobody needs.

use super::code::{Block, Code, Inst, Op, ValueId};

impl Code {
    /// Drops instructions without effect whose results are not used. Loads and divisions count as free of effect:
    /// a trap in a value that nobody needs is none.
    pub fn remove_unused(&mut self) {
        let mut used = vec![false; self.types.len()];
        let mut body = std::mem::take(&mut self.body);
        sweep(&mut body, &mut used);
        self.body = body;
    }
}

fn mark(values: &[ValueId], used: &mut [bool]) {
    for value in values {
        if let Some(used) = used.get_mut(value.0 as usize) {
            *used = true;
        }
    }
}

/// Walks a block backwards. Recursion is bounded by the nesting of blocks, which lowering bounds.
fn sweep(block: &mut Block, used: &mut [bool]) {
    mark(&block.results, used);
    let mut kept = Vec::with_capacity(block.insts.len());
    for mut inst in std::mem::take(&mut block.insts).into_iter().rev() {
        let needed = inst.results.iter().any(|value| used.get(value.0 as usize) == Some(&true));
        if !needed && !has_effect(&inst) {
            continue;
        }
        match &mut inst.op {
            Op::If { condition, then, otherwise } => {
                mark(&[*condition], used);
                sweep(then, used);
                sweep(otherwise, used);
            }
            Op::Loop { carried, condition, body, .. } => {
                // The body's results feed the condition and the next round, so all of them are needed.
                mark(&body.results, used);
                sweep(body, used);
                sweep(condition, used);
                mark(carried, used);
            }
            op => mark(&op.operands(), used),
        }
        kept.push(inst);
    }
    kept.reverse();
    block.insts = kept;
}

fn has_effect(inst: &Inst) -> bool {
    match &inst.op {
        Op::Store { .. } | Op::Output { .. } | Op::Push { .. } | Op::Pop(_) => true,
        Op::If { then, otherwise, .. } => {
            then.insts.iter().any(has_effect) || otherwise.insts.iter().any(has_effect)
        }
        Op::Loop { .. } => true,
        _ => false,
    }
}

impl Op {
    /// Values an operation uses directly; those used inside the blocks of `if` and `loop` are not among them.
    pub fn operands(&self) -> smallvec::SmallVec<[ValueId; 4]> {
        use smallvec::smallvec;
        match self {
            Op::Const(_) | Op::Undef | Op::Input(_) | Op::Symbol(_) | Op::Pop(_) | Op::IsAbsent(_) => {
                smallvec![]
            }
            Op::Load { indices, .. } => indices.iter().copied().collect(),
            Op::Store { indices, value, .. } => indices.iter().copied().chain([*value]).collect(),
            Op::Output { value, .. } | Op::Push { value, .. } => smallvec![*value],
            Op::Unary(_, value) | Op::Cast(_, value) | Op::Field(value, _) | Op::Splat(value, _) => {
                smallvec![*value]
            }
            Op::Binary(_, a, b) | Op::WithField(a, _, b) | Op::Lane(a, b) => smallvec![*a, *b],
            Op::Select(a, b, c) | Op::WithLane(a, b, c) => smallvec![*a, *b, *c],
            Op::Call(_, values) | Op::MakeStruct(values) => values.iter().copied().collect(),
            Op::If { condition, .. } => smallvec![*condition],
            Op::Loop { carried, .. } => carried.iter().copied().collect(),
        }
    }
}
