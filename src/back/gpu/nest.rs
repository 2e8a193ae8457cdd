//! Loop nests that become one dispatch each: which loops they collapse, what they reach, and why others stay on the host.

use hashbrown::{HashMap, HashSet};
use indexmap::IndexMap;

use crate::kernel::parallel::{Region, Update, updates};
use crate::kernel::{BufferId, BufferKind, Kernel, Op, Stmt, ValueId, VarId};
use crate::scalar::DType;

use super::facts::{Facts, Interval, Root};
use super::partial::Together;

/// Why something does not run on the device.
pub(super) type Reason = String;

/// A loop that is spread over threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub variable: ValueId,
    pub start: ValueId,
    pub stop: ValueId,
    pub step: i64,
}

/// How a nest uses a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    /// The type of its elements.
    pub ty: DType,
    pub read: bool,
    pub written: bool,
    /// Threads meet in its elements, and change each as one.
    pub updated: bool,
    /// It lies in a device's buffer of which other bytes are written through another binding.
    pub beside_written: bool,
}

/// A nest that can be a dispatch, as far as its shape goes.
pub(super) struct Nest<'k> {
    pub kernel: &'k Kernel,
    pub facts: &'k Facts<'k>,
    /// From the outside in.
    pub loops: Vec<Spread>,
    /// What each thread does.
    pub code: Vec<&'k Stmt>,
    /// Bools known in front of the nest that have to hold.
    pub conditions: Vec<ValueId>,
    /// Memory outside.
    pub buffers: IndexMap<BufferId, Use>,
    /// Memory of each thread: element type and how many bytes.
    pub own: IndexMap<BufferId, (DType, i64)>,
    /// What threads do to elements that others may reach too, by the value that is stored.
    pub updates: HashMap<ValueId, Update>,
    /// Values defined inside, loop variables included.
    pub inside: HashSet<ValueId>,
    /// Variables set inside.
    pub set: HashSet<VarId>,
    /// Variables whose value somebody looks at.
    pub read: HashSet<VarId>,
    /// What the threads of a group combine.
    pub together: Option<&'k Together>,
    intervals: HashMap<ValueId, Interval>,
    /// Of variables that are set inside.
    pub variables: HashMap<VarId, Interval>,
}

/// Bytes that a thread may have for itself.
const MOST_OWN: i64 = 4096;

impl<'k> Nest<'k> {
    /// Looks at a region.
    pub fn of(
        kernel: &'k Kernel,
        facts: &'k Facts<'k>,
        region: &Region,
        stmt: &'k Stmt,
        together: Option<&'k Together>,
    ) -> Result<Nest<'k>, Reason> {
        let Stmt::For { variable, start, stop, step, body, .. } = stmt else {
            return Err("it is no loop".to_owned());
        };
        let mut nest = Nest {
            kernel,
            facts,
            loops: vec![Spread { variable: *variable, start: *start, stop: *stop, step: *step }],
            code: Vec::new(),
            conditions: region.apart.into_iter().collect(),
            buffers: IndexMap::new(),
            own: IndexMap::new(),
            updates: if region.updates { updates(kernel, body) } else { HashMap::new() },
            inside: HashSet::from([*variable]),
            set: HashSet::new(),
            read: HashSet::new(),
            together,
            intervals: HashMap::new(),
            variables: HashMap::new(),
        };
        nest.names(body);
        nest.accesses(body)?;
        nest.spread(region, body);
        nest.checks();
        nest.find_intervals();
        Ok(nest)
    }

    /// What is defined and set inside.
    fn names(&mut self, body: &[Stmt]) {
        for stmt in Stmt::all(body) {
            match stmt {
                Stmt::Let(value, op) => {
                    self.inside.insert(*value);
                    if let Op::Get(variable) = op {
                        self.read.insert(*variable);
                    }
                }
                Stmt::For { variable, .. } => {
                    self.inside.insert(*variable);
                }
                Stmt::Set(variable, _) => {
                    self.set.insert(*variable);
                }
                _ => {}
            }
        }
    }

    fn accesses(&mut self, body: &[Stmt]) -> Result<(), Reason> {
        for stmt in Stmt::all(body) {
            match stmt {
                Stmt::Alloc { buffer, bytes, .. } => {
                    let bytes = self.facts.literal(*bytes).and_then(|literal| literal.as_int());
                    match bytes.filter(|bytes| (0..=MOST_OWN).contains(bytes)) {
                        Some(bytes) => drop(self.own.insert(*buffer, (DType::Bool, bytes))),
                        None => {
                            return Err("it takes scratch memory whose size is large or not fixed".to_owned());
                        }
                    }
                }
                Stmt::Cfg(_) => return Err("its control flow is unstructured".to_owned()),
                Stmt::Call(call, _) => return Err(self.kernel.libraries[*call].why_serial().to_owned()),
                _ => {}
            }
        }
        let mut typed: HashSet<BufferId> = HashSet::new();
        for stmt in Stmt::all(body) {
            let (buffer, address, displacement, ty, written) = match stmt {
                Stmt::Let(_, Op::Load { buffer, address, displacement, ty }) => {
                    (*buffer, *address, *displacement, *ty, false)
                }
                Stmt::Store { buffer, address, displacement, value } => {
                    (*buffer, *address, *displacement, self.kernel.values[*value], true)
                }
                _ => continue,
            };
            let name = &self.kernel.buffers[buffer].name;
            if self.facts.root(address) != Root::Buffer(buffer) {
                return Err(format!("`{name}` is reached through an address that is computed elsewhere"));
            }
            let power = ty.bytes().trailing_zeros();
            if self.facts.aligned(address) < power || displacement.trailing_zeros() < power {
                return Err(format!("elements of `{name}` may not be aligned"));
            }
            if let Some(own) = self.own.get_mut(&buffer) {
                if typed.insert(buffer) {
                    own.0 = ty;
                } else if own.0 != ty {
                    return Err(format!("`{name}` holds elements of two types"));
                }
                continue;
            }
            if self.kernel.buffers[buffer].kind == BufferKind::Anywhere {
                return Err("memory is reached through a reference".to_owned());
            }
            let updated = self.updates.values().any(|update| update.buffer == buffer);
            let new = Use { ty, read: false, written: false, updated, beside_written: false };
            let known = self.buffers.entry(buffer).or_insert(new);
            if known.ty != ty {
                return Err(format!("`{name}` holds elements of two types"));
            }
            known.read |= !written;
            known.written |= written;
        }
        Ok(())
    }

    /// Collapses loops from the outside in, as long as each thread can do on its own what stands between them.
    fn spread(&mut self, region: &Region, body: &'k [Stmt]) {
        let mut body = body;
        for inner in &region.inner {
            let Some(at) = body.iter().position(|stmt| !stmt.lists().is_empty()) else { break };
            let Stmt::For { variable, start, stop, step, body: inside, .. } = &body[at] else { break };
            let outside = |value: &ValueId| !self.inside.contains(value);
            let repeatable = |stmt: &Stmt| match stmt {
                Stmt::Let(_, Op::Load { buffer, .. }) => {
                    self.buffers.get(buffer).is_some_and(|known| !known.written)
                }
                Stmt::Let(..) | Stmt::Check(..) | Stmt::Set(..) => true,
                _ => false,
            };
            let fits = *variable == inner.variable
                && outside(start)
                && outside(stop)
                && body[..at].iter().all(repeatable)
                && body[at + 1..].iter().all(|stmt| matches!(stmt, Stmt::Let(_, op) if op.is_pure()));
            if !fits {
                break;
            }
            self.code.extend(&body[..at]);
            self.conditions.extend(inner.apart);
            self.loops.push(Spread { variable: *variable, start: *start, stop: *stop, step: *step });
            body = inside;
        }
        self.code.extend(body);
    }

    /// Checks of what is known in front of the nest are made there.
    fn checks(&mut self) {
        let (inside, conditions) = (&self.inside, &mut self.conditions);
        self.code.retain(|stmt| match stmt {
            Stmt::Check(condition, _) if !inside.contains(condition) => {
                conditions.push(*condition);
                false
            }
            _ => true,
        });
    }

    /// All statements of a thread, each before those that it holds.
    pub fn statements(&self) -> impl Iterator<Item = &'k Stmt> + '_ {
        self.code.iter().flat_map(|stmt| Stmt::all(std::slice::from_ref(*stmt)))
    }

    /// Whether a thread may find out that the program has to stop.
    pub fn may_stop(&self) -> bool {
        self.statements().any(|stmt| matches!(stmt, Stmt::Check(..)))
    }

    /// Smallest and largest value of an `int64`.
    pub fn interval(&self, value: ValueId) -> Interval {
        match self.intervals.get(&value) {
            Some(known) => *known,
            None => self.captured(value),
        }
    }

    /// A value from in front of the nest: sizes and indices are looked at before each launch, data is not.
    fn captured(&self, value: ValueId) -> Interval {
        match self.facts.definitions.get(&value) {
            Some(Op::Const(literal)) => {
                let number = i128::from(literal.as_int().unwrap_or(0));
                Interval::new(number, number)
            }
            Some(Op::Load { .. } | Op::Get(_)) => Interval::ALL,
            _ => Interval::SIZE,
        }
    }

    fn find_intervals(&mut self) {
        let mut variables: HashMap<VarId, Interval> =
            self.set.iter().map(|&variable| (variable, Interval::new(0, 0))).collect();
        for own in self.together.iter().flat_map(|together| &together.owns) {
            let start = i128::from(own.identity().as_int().unwrap_or(0));
            variables.insert(own.variable, Interval::new(start.min(0), start.max(0)));
        }
        let statements: Vec<&Stmt> = self.statements().collect();
        for spread in &self.loops {
            self.intervals.insert(spread.variable, Interval::SIZE);
        }
        // Values that go round in loops grow from pass to pass; after two passes they may be anything.
        let mut pass = 0;
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for stmt in &statements {
                match stmt {
                    Stmt::Let(value, op) if self.kernel.values[*value] == DType::I64 => {
                        let interval = Interval::of_op(
                            op,
                            &|value| self.interval(value),
                            &|value| self.kernel.values[value],
                            &|variable| variables.get(&variable).copied().unwrap_or(Interval::ALL),
                        );
                        self.intervals.insert(*value, interval);
                    }
                    Stmt::For { variable, start, stop, step, .. } => {
                        // The step that leaves the loop is a value of the variable as well.
                        let bounds = self.interval(*start).union(self.interval(*stop));
                        let step = i128::from(*step);
                        let beyond = Interval::new(bounds.low + step.min(0), bounds.high + step.max(0));
                        self.intervals.insert(*variable, beyond);
                    }
                    Stmt::Set(variable, value) if self.kernel.values[*value] == DType::I64 => {
                        let new = self.interval(*value);
                        if let Some(known) = variables.get_mut(variable)
                            && known.union(new) != *known
                        {
                            *known = if pass < 2 { known.union(new) } else { Interval::ALL };
                            changed = true;
                        }
                    }
                    _ => {}
                }
            }
            pass += 1;
        }
        self.variables = variables;
    }
}
