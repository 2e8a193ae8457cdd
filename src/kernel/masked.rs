//! Loops that do something only where a mask in memory holds: `for i { if mask[i] { ... } }`. Back ends look at several bools at
//! once and leave out iterations that do nothing; those that do something run one by one, in order, so that results are those
//! of the plain loop.

use crate::scalar::{BinaryOp, DType};

use super::{BufferId, Op, Stmt, ValueId, VarId};

/// The mask of a loop.
#[derive(Debug)]
pub struct Mask {
    /// What it is read from.
    pub buffer: BufferId,
    /// The address of the bool of iteration `i`, less `i`; defined outside the loop.
    pub base: ValueId,
    /// Bytes added to it.
    pub displacement: i64,
    /// Variables that are set to what the mask says.
    pub set: Vec<VarId>,
}

/// The mask without which an iteration of the loop does nothing.
pub fn mask_of(variable: ValueId, step: i64, body: &[Stmt]) -> Option<Mask> {
    let (Stmt::If { condition, otherwise, .. }, front) = body.split_last()? else { return None };
    if step != 1 || !otherwise.is_empty() {
        return None;
    }
    let mut element = None;
    let mut set = Vec::new();
    for stmt in front {
        match *stmt {
            Stmt::Let(value, Op::Load { buffer, address, displacement, ty: DType::Bool })
                if value == *condition =>
            {
                element = Some((buffer, address, displacement));
            }
            Stmt::Let(value, _) if value == *condition => return None,
            Stmt::Let(..) => {}
            Stmt::Set(variable, value) if value == *condition => set.push(variable),
            _ => return None,
        }
    }
    let (buffer, address, displacement) = element?;
    let definition = |wanted: ValueId| {
        front.iter().find_map(|stmt| match stmt {
            Stmt::Let(value, op) if *value == wanted => Some(op),
            _ => None,
        })
    };
    let Some(&Op::Binary(BinaryOp::Add, a, b)) = definition(address) else { return None };
    let base = match (a == variable, b == variable) {
        (false, true) => a,
        (true, false) => b,
        _ => return None,
    };
    definition(base).is_none().then_some(Mask { buffer, base, displacement, set })
}

impl Mask {
    /// Whether it stays as it is while the loop runs, so that it may be read ahead; other buffers are taken for other memory.
    pub fn is_left_alone(&self, body: &[Stmt]) -> bool {
        Stmt::all(body).all(|stmt| match stmt {
            Stmt::Store { buffer, .. } | Stmt::Alloc { buffer, .. } => *buffer != self.buffer,
            Stmt::Call(..) => false,
            _ => true,
        })
    }
}
