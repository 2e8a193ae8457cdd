//! Loads of what was just stored or loaded: they become the value itself. Programs write an element in one state and read it
//! in the next, which costs a trip through the memory pipeline each time, five cycles or more that everything behind waits
//! for.
//!
//! ## Before                                ## After
//! ```text
//! store float64 buf0[v1] = v2              store float64 buf0[v1] = v2
//! v3 = load float64 buf0[v1]               v4 = div float64 v2, v0
//! v4 = div float64 v3, v0
//! ```
//!
//! What is known of memory ends at a store that may reach the same bytes, at a call that writes them, and around lists that
//! do so; arguments may overlap each other. Where both sides of a branch know what an element holds, a variable takes it to a load
//! behind the branch; not in parallel loops, whose iterations vectors do together only if no branch hands a value on.
//!
//! Small arrays whose elements all became values go with what is stored in them (`unread.rs`).

use hashbrown::HashMap;

use crate::scalar::DType;

use super::{BufferId, BufferKind, Jump, Kernel, Op, Stmt, ValueId, Variable, unread};

/// Forwards values to loads, everywhere in a kernel, and leaves out small arrays that nobody loads from any more.
pub fn forward(kernel: &mut Kernel) {
    let mut body = std::mem::take(&mut kernel.body);
    let mut forwarding = Forwarding { kernel, renamed: HashMap::new(), joins: false };
    forwarding.list(&mut body, &mut Known::default());
    kernel.body = body;
    unread::remove(kernel);
}

/// An element in memory: address, displacement and type.
type Element = (ValueId, i64, DType);

/// Elements, their buffers and the values they hold.
#[derive(Clone, Default)]
struct Known(HashMap<Element, (BufferId, ValueId)>);

struct Forwarding<'k> {
    kernel: &'k mut Kernel,
    /// Loads that are no more, and what they gave.
    renamed: HashMap<ValueId, ValueId>,
    /// Whether what both sides of a branch know goes on behind it: in loops in sequence.
    joins: bool,
}

/// What a list may write.
enum Write {
    /// Some bytes behind an address.
    Bytes { buffer: BufferId, address: ValueId, displacement: i64, bytes: i64 },
    /// Anything of a buffer.
    All(BufferId),
}

impl Forwarding<'_> {
    fn list(&mut self, stmts: &mut Vec<Stmt>, known: &mut Known) {
        let mut rest = std::mem::take(stmts).into_iter();
        while let Some(mut stmt) = rest.next() {
            if !self.renamed.is_empty() {
                stmt.rename(&|value| self.now(value));
            }
            if let Stmt::If { then, otherwise, .. } = &mut stmt {
                let joined = self.branch(then, otherwise, known, rest.as_slice());
                stmts.push(stmt);
                stmts.extend(joined);
            } else if self.stmt(&mut stmt, known) {
                stmts.push(stmt);
            }
        }
    }

    /// A branch; gives what stands behind it for what follows.
    fn branch(
        &mut self,
        then: &mut Vec<Stmt>,
        otherwise: &mut Vec<Stmt>,
        known: &mut Known,
        rest: &[Stmt],
    ) -> Vec<Stmt> {
        let (mut yes, mut no) = (known.clone(), known.clone());
        self.list(then, &mut yes);
        self.list(otherwise, &mut no);
        self.forget_all(known, then);
        self.forget_all(known, otherwise);
        let leaves = |side: &[Stmt]| matches!(side.last(), Some(Stmt::Exit(_)));
        if !self.joins || leaves(then) || leaves(otherwise) {
            return Vec::new();
        }
        let mut meeting: Vec<(Element, BufferId, ValueId, ValueId)> = yes
            .0
            .iter()
            .filter_map(|(element, &(buffer, yes))| {
                let &(_, no) = no.0.get(element)?;
                (yes != no && self.is_read(rest, element)).then_some((*element, buffer, yes, no))
            })
            .collect();
        meeting
            .sort_unstable_by_key(|&((address, displacement, ty), ..)| (address.0, displacement, ty as u8));
        let mut joined = Vec::with_capacity(meeting.len());
        for (element, buffer, yes, no) in meeting {
            let name = format!("{} in memory", self.kernel.buffers[buffer].name);
            let variable = self.kernel.variables.push(Variable { name, ty: element.2 });
            then.push(Stmt::Set(variable, yes));
            otherwise.push(Stmt::Set(variable, no));
            let value = self.kernel.values.push(element.2);
            joined.push(Stmt::Let(value, Op::Get(variable)));
            known.0.insert(element, (buffer, value));
        }
        joined
    }

    /// Whether a list loads an element, perhaps.
    fn is_read(&self, stmts: &[Stmt], element: &Element) -> bool {
        Stmt::all(stmts).any(|stmt| match stmt {
            Stmt::Let(_, Op::Load { address, displacement, ty, .. }) => {
                (self.now(*address), *displacement, *ty) == *element
            }
            _ => false,
        })
    }

    fn now(&self, value: ValueId) -> ValueId {
        self.renamed.get(&value).copied().unwrap_or(value)
    }

    /// Whether the statement stays.
    fn stmt(&mut self, stmt: &mut Stmt, known: &mut Known) -> bool {
        match stmt {
            Stmt::Let(value, Op::Load { buffer, address, displacement, ty }) => {
                let key = (*address, *displacement, *ty);
                match known.0.get(&key) {
                    Some(&(_, there)) => {
                        self.renamed.insert(*value, there);
                        return false;
                    }
                    None => drop(known.0.insert(key, (*buffer, *value))),
                }
            }
            Stmt::Store { buffer, address, displacement, value } => {
                let ty = self.kernel.values[*value];
                let (buffer, address, displacement) = (*buffer, *address, *displacement);
                self.forget(known, &Write::Bytes { buffer, address, displacement, bytes: ty.bytes() as i64 });
                known.0.insert((address, displacement, ty), (buffer, *value));
            }
            Stmt::For { order, body, .. } => {
                self.forget_all(known, body);
                let joins = std::mem::replace(&mut self.joins, !order.may_change());
                self.list(body, &mut known.clone());
                self.joins = joins;
            }
            Stmt::Loop(body) => {
                self.forget_all(known, body);
                self.list(body, &mut known.clone());
            }
            Stmt::Block(_, body) => {
                self.list(body, &mut known.clone());
                self.forget_all(known, body);
            }
            Stmt::Cfg(blocks) => {
                blocks.iter().for_each(|block| self.forget_all(known, &block.body));
                for block in blocks.iter_mut() {
                    self.list(&mut block.body, &mut known.clone());
                    // Its condition may have been loaded in it.
                    if let Jump::Branch(condition, ..) = &mut block.jump {
                        *condition = self.now(*condition);
                    }
                }
            }
            Stmt::Call(..) | Stmt::Alloc { .. } => self.forget_all(known, std::slice::from_ref(stmt)),
            Stmt::Let(..) | Stmt::Set(..) | Stmt::Exit(_) | Stmt::Check(..) | Stmt::If { .. } => {}
        }
        true
    }

    /// Forgets what a list may write, at any depth.
    fn forget_all(&self, known: &mut Known, stmts: &[Stmt]) {
        for stmt in Stmt::all(stmts) {
            match stmt {
                Stmt::Store { buffer, .. } | Stmt::Alloc { buffer, .. } => {
                    self.forget(known, &Write::All(*buffer));
                }
                Stmt::Call(library, _) => {
                    for &buffer in &self.kernel.libraries[*library].writes {
                        self.forget(known, &Write::All(buffer));
                    }
                }
                _ => {}
            }
        }
    }

    fn forget(&self, known: &mut Known, write: &Write) {
        known.0.retain(|&(at, offset, ty), &mut (buffer, _)| match *write {
            Write::All(written) => !self.may_meet(buffer, written),
            Write::Bytes { buffer: written, address, displacement, bytes } => {
                let apart = offset.checked_add(ty.bytes() as i64).is_some_and(|end| end <= displacement)
                    || displacement.checked_add(bytes).is_some_and(|end| end <= offset);
                (at == address && apart) || !self.may_meet(buffer, written)
            }
        });
    }

    /// Whether two buffers may share bytes.
    fn may_meet(&self, a: BufferId, b: BufferId) -> bool {
        let kind = |buffer: BufferId| &self.kernel.buffers[buffer].kind;
        a == b
            || match (kind(a), kind(b)) {
                (BufferKind::Anywhere, _) | (_, BufferKind::Anywhere) => true,
                (BufferKind::Argument(_), BufferKind::Argument(_)) => true,
                // A persistent one may be an argument's memory for all we know.
                (BufferKind::Persistent(_), BufferKind::Persistent(_)) => true,
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::build::{Builder, LoopFacts};
    use crate::kernel::eval::{Ended, run};
    use crate::kernel::{LabelId, Order, TrapInfo, TrapKind};
    use crate::scalar::BinaryOp;

    /// Random kernels over three arguments and one allocation.
    struct Random {
        seed: u64,
        b: Builder,
        buffers: Vec<(BufferId, ValueId)>,
        conditions: Vec<ValueId>,
    }

    impl Random {
        fn below(&mut self, count: usize) -> usize {
            self.seed =
                self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.seed >> 33) as usize % count
        }

        /// An element: of the first few, or where the loop is.
        fn place(&mut self, around: Option<ValueId>) -> (BufferId, ValueId, i64) {
            let which = self.below(self.buffers.len());
            let (buffer, base) = self.buffers[which];
            let displacement = 4 * self.below(3) as i64;
            match around.filter(|_| self.below(2) == 0) {
                Some(number) => {
                    let eight = self.b.int(8);
                    let distance = self.b.mul(number, eight);
                    (buffer, self.b.add(base, distance), displacement)
                }
                None => (buffer, base, displacement),
            }
        }

        fn list(&mut self, around: Option<ValueId>, depth: usize, mut values: Vec<ValueId>) {
            for _ in 0..6 {
                match self.below(if depth < 3 { 9 } else { 6 }) {
                    0..3 => {
                        let (buffer, address, displacement) = self.place(around);
                        let ty = [DType::F32, DType::F64, DType::I32][self.below(3)];
                        let value = self.b.value(Op::Load { buffer, address, displacement, ty }, ty);
                        values.push(value);
                    }
                    3..6 => {
                        let (buffer, address, displacement) = self.place(around);
                        let value = values[self.below(values.len())];
                        self.b.push(Stmt::Store { buffer, address, displacement, value });
                    }
                    6 => {
                        let (zero, end) = (self.b.int(0), self.b.int(3));
                        let variable = self.b.new_value(DType::I64, self.b.depth() + 1);
                        let (highest, empty) = (self.b.int(2), self.b.bool(false));
                        self.b.open_loop(LoopFacts { variable, lowest: zero, highest, empty });
                        self.list(Some(variable), depth + 1, values.clone());
                        let body = self.b.close();
                        self.b.push(Stmt::For {
                            variable,
                            start: zero,
                            stop: end,
                            step: 1,
                            order: Order::InTurn,
                            body,
                        });
                    }
                    7 => {
                        let which = self.below(2);
                        let condition = self.conditions[which];
                        let mut sides = Vec::new();
                        for _ in 0..2 {
                            self.b.open_branch();
                            self.list(around, depth + 1, values.clone());
                            sides.push(self.b.close());
                        }
                        let (otherwise, then) = (sides.pop().unwrap(), sides.pop().unwrap());
                        self.b.push(Stmt::If { condition, then, otherwise });
                    }
                    _ => {
                        let label: LabelId = self.b.label();
                        self.b.open_branch();
                        self.list(around, depth + 1, values.clone());
                        let which = self.below(2);
                        let condition = self.conditions[which];
                        let leave = vec![Stmt::Exit(label)];
                        self.b.push(Stmt::If { condition, then: leave, otherwise: Vec::new() });
                        self.list(around, depth + 1, values.clone());
                        let body = self.b.close();
                        self.b.push(Stmt::Block(label, body));
                    }
                }
            }
        }
    }

    fn kernel(seed: u64) -> Kernel {
        let mut b = Builder::new("test");
        let conditions = (0..2).map(|n| b.parameter(&format!("c{n}"), DType::Bool)).collect();
        let mut buffers = Vec::new();
        for number in 0..2 {
            let buffer = b.buffer("argument", BufferKind::Argument(number));
            buffers.push((buffer, b.value(Op::Base(buffer), DType::I64)));
        }
        let scratch = b.buffer("scratch", BufferKind::Scratch);
        let trap = b.trap(TrapInfo { kind: TrapKind::Allocation, message: String::new(), place: Vec::new() });
        let bytes = b.int(64);
        let base = b.alloc(scratch, bytes, true, trap);
        buffers.push((scratch, base));
        // Of this one, nobody asks what it holds in the end.
        let aside = b.buffer("aside", BufferKind::Scratch);
        let base = b.alloc(aside, bytes, true, trap);
        buffers.push((aside, base));
        let mut random = Random { seed, b, buffers, conditions };
        let first = random.b.parameter("x", DType::F64);
        let second = random.b.parameter("y", DType::F32);
        random.list(None, 0, vec![first, second]);
        // What the allocation holds in the end counts too.
        let (out, base) = random.buffers[0];
        let mut total = random.b.int(0);
        for place in 0..6 {
            let load = Op::Load {
                buffer: scratch,
                address: random.buffers[2].1,
                displacement: 8 * place,
                ty: DType::I64,
            };
            let value = random.b.value(load, DType::I64);
            total = random.b.binary(BinaryOp::BitXor, total, value);
        }
        random.b.push(Stmt::Store { buffer: out, address: base, displacement: 48, value: total });
        random.b.finish()
    }

    fn loads(kernel: &Kernel) -> usize {
        Stmt::all(&kernel.body).filter(|stmt| matches!(stmt, Stmt::Let(_, Op::Load { .. }))).count()
    }

    fn arrays(kernel: &Kernel) -> usize {
        Stmt::all(&kernel.body).filter(|stmt| matches!(stmt, Stmt::Alloc { .. })).count()
    }

    #[test]
    fn kernels_do_the_same_with_fewer_loads() {
        let (mut before, mut after) = (0, 0);
        let mut gone = 0;
        for seed in 0..3000 {
            let original = kernel(seed);
            let mut changed = original.clone();
            forward(&mut changed);
            crate::kernel::verify::verify(&changed).unwrap();
            before += loads(&original);
            after += loads(&changed);
            gone += arrays(&original) - arrays(&changed);
            for conditions in 0..4u64 {
                let parameters =
                    [conditions & 1, conditions >> 1, 1.5f64.to_bits(), u64::from(2.5f32.to_bits())];
                let bytes =
                    |of: u8| (0..64u8).map(|n| n.wrapping_mul(7).wrapping_add(of)).collect::<Vec<u8>>();
                let results = [&original, &changed].map(|kernel| {
                    let mut arguments = [bytes(1), bytes(2)];
                    assert_eq!(run(kernel, &mut arguments, &parameters, 100_000), Ok(Ended::Done));
                    arguments
                });
                assert!(results[0] == results[1], "{seed} {conditions}\n{original}\n{changed}");
            }
        }
        assert!(after * 20 < before * 19, "{after} of {before} loads are left");
        assert!((60..3000).contains(&gone), "{gone} of 3000 arrays that may go are gone");
    }

    /// `x[0] = 1; if c { x[0] = 2 }; x[8] = x[0]` in a loop: how many loads are left.
    fn loads_behind_a_branch(order: Order) -> usize {
        let mut b = Builder::new("test");
        let condition = b.parameter("c", DType::Bool);
        let buffer = b.buffer("argument", BufferKind::Argument(0));
        let base = b.value(Op::Base(buffer), DType::I64);
        let (one, two, start, stop) = (b.int(1), b.int(2), b.int(0), b.int(3));
        let (variable, empty) = (b.new_value(DType::I64, 1), b.bool(false));
        b.open_loop(LoopFacts { variable, lowest: start, highest: two, empty });
        let store = |displacement, value| Stmt::Store { buffer, address: base, displacement, value };
        b.push(store(0, one));
        b.push(Stmt::If { condition, then: vec![store(0, two)], otherwise: Vec::new() });
        let load = Op::Load { buffer, address: base, displacement: 0, ty: DType::I64 };
        let loaded = b.value(load, DType::I64);
        b.push(store(8, loaded));
        let body = b.close();
        b.push(Stmt::For { variable, start, stop, step: 1, order, body });
        let original = b.finish();
        let mut changed = original.clone();
        forward(&mut changed);
        crate::kernel::verify::verify(&changed).unwrap();
        for condition in 0..2 {
            let results = [&original, &changed].map(|kernel| {
                let mut arguments = [vec![0u8; 16]];
                assert_eq!(run(kernel, &mut arguments, &[condition], 1_000), Ok(Ended::Done));
                arguments
            });
            assert_eq!(results[0], results[1]);
        }
        loads(&changed)
    }

    #[test]
    fn what_both_sides_of_a_branch_store_is_not_loaded_behind_it_in_loops_in_sequence() {
        assert_eq!([Order::InTurn, Order::Undecided, Order::Any].map(loads_behind_a_branch), [0, 1, 1]);
    }

    #[test]
    fn arguments_may_overlap() {
        let mut b = Builder::new("test");
        let buffers: Vec<BufferId> = (0..2).map(|n| b.buffer("argument", BufferKind::Argument(n))).collect();
        let base: Vec<ValueId> =
            buffers.iter().map(|&buffer| b.value(Op::Base(buffer), DType::I64)).collect();
        let load =
            |n: usize| Op::Load { buffer: buffers[n], address: base[n], displacement: 0, ty: DType::F64 };
        let first = b.value(load(0), DType::F64);
        b.push(Stmt::Store { buffer: buffers[1], address: base[1], displacement: 0, value: first });
        let again = b.value(load(0), DType::F64);
        b.push(Stmt::Store { buffer: buffers[1], address: base[1], displacement: 8, value: again });
        let mut kernel = b.finish();
        forward(&mut kernel);
        assert_eq!(loads(&kernel), 2);
    }
}
