//! Long programs as many functions.
//!
//! What Cranelift needs for a function grows faster than the function: values that live long and variables meet every
//! block in between. So a list of statements that is long is cut into *pieces*, functions of their own that are
//! called one after the other; compiling costs in proportion to the length of the program then, and can be shared
//! between threads.
//!
//! A *root* is what has pieces: the kernel's function, or that of a parallel region. Its functions share an array of
//! 64-bit places, the *environment*: a value that is used in another function than the one that defines it has a place,
//! and so do buffers. Constants and addresses of arguments are computed where they are used. A variable that several
//! functions touch lives in its place; a piece that calls no others reads it once, at its start, and writes it
//! whenever it is set. A piece that is left by an exit to a label around it returns which, and the function around it
//! jumps there.

use std::rc::Rc;

use hashbrown::{HashMap, HashSet};

use crate::kernel::{BufferId, Jump, Kernel, LabelId, Op, Stmt, ValueId, VarId};

use super::nests::Nests;
use super::uses::Uses;

/// Lists with more weight than this are cut. Weights are instructions, roughly.
pub const LONGEST: usize = 2_400;

/// What the call of a piece weighs.
const CALL: usize = 8;

/// Bytes that the environment of a region may take of the stack.
const MOST_STACK: usize = 256 << 10;

/// A list by its identity: where it lies.
type ListKey = *const Stmt;

/// The pieces of a root, and what they share.
#[derive(Default)]
pub(super) struct Outline<'k> {
    cuts: HashMap<ListKey, Vec<usize>>,
    open: HashSet<ListKey>,
    /// Every piece.
    pub pieces: Vec<Piece<'k>>,
    values: HashMap<ValueId, i32>,
    variables: HashMap<VarId, i32>,
    buffers: HashMap<BufferId, i32>,
    words: usize,
}

/// A run of statements as a function.
pub(super) struct Piece<'k> {
    /// The statements.
    pub stmts: &'k [Stmt],
    /// Labels around it that it may leave to.
    pub exits: Vec<LabelId>,
    /// Whether it calls pieces itself.
    pub calls: bool,
    /// Variables it reads.
    pub reads: Vec<VarId>,
    /// The function that calls it: 0 is the root, n + 1 the n-th piece.
    parent: usize,
}

/// Values that are computed wherever they are used: constants and the addresses of arguments.
pub(super) type Cheap<'k> = HashMap<ValueId, &'k Op>;

/// What an outline is made from.
pub(super) struct Source<'k> {
    pub kernel: &'k Kernel,
    pub nests: &'k Nests,
    pub cheap: &'k Cheap<'k>,
    /// Lists with more weight are cut.
    pub longest: usize,
}

impl<'k> Outline<'k> {
    /// How to cut a root; none if it is short. In a region, parallel loops are ordinary ones.
    pub fn of(source: &Source<'k>, stmts: &'k [Stmt], in_region: bool) -> Option<Rc<Outline<'k>>> {
        let mut cutter = Cutter { source, in_region, cuts: HashMap::new(), open: HashSet::new() };
        cutter.list(stmts);
        let Cutter { cuts, open, .. } = cutter;
        if cuts.is_empty() {
            return None;
        }
        let outline = Outline { open, ..Outline::default() };
        let mut sharing = Sharing {
            source,
            in_region,
            cuts,
            outline,
            home: HashMap::new(),
            allocated: HashMap::new(),
            labels: HashMap::new(),
            touched: HashMap::new(),
            read: HashSet::new(),
        };
        if !in_region {
            let parameters = source.kernel.parameters.iter();
            sharing.home.extend(parameters.map(|parameter| (parameter.value, 0)));
        }
        sharing.list(stmts, 0);
        let outline = sharing.finish();
        (!in_region || outline.bytes() <= MOST_STACK).then(|| Rc::new(outline))
    }

    /// The pieces of a list that is cut.
    pub fn cut(&self, stmts: &[Stmt]) -> Option<&[usize]> {
        self.cuts.get(&stmts.as_ptr()).map(Vec::as_slice)
    }

    /// Whether pieces are in a list, at any depth.
    pub fn is_open(&self, stmts: &[Stmt]) -> bool {
        self.open.contains(&stmts.as_ptr())
    }

    /// Where a value lies in the environment, in bytes.
    pub fn value(&self, value: ValueId) -> Option<i32> {
        self.values.get(&value).copied()
    }

    /// Where a variable does.
    pub fn variable(&self, variable: VarId) -> Option<i32> {
        self.variables.get(&variable).copied()
    }

    /// Where the address of a buffer does.
    pub fn buffer(&self, buffer: BufferId) -> Option<i32> {
        self.buffers.get(&buffer).copied()
    }

    /// Every variable in the environment.
    pub fn shared_variables(&self) -> Vec<VarId> {
        let mut all: Vec<VarId> = self.variables.keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// How large the environment is.
    pub fn bytes(&self) -> usize {
        8 * self.words
    }

    fn place(&mut self) -> i32 {
        self.words += 1;
        i32::try_from(8 * (self.words - 1)).unwrap_or(i32::MAX)
    }
}

/// Decides where lists are cut.
struct Cutter<'s, 'k> {
    source: &'s Source<'k>,
    in_region: bool,
    cuts: HashMap<ListKey, Vec<&'k [Stmt]>>,
    open: HashSet<ListKey>,
}

impl<'k> Cutter<'_, 'k> {
    /// Cuts a list where it is long; what is left weighs so much.
    fn list(&mut self, stmts: &'k [Stmt]) -> usize {
        let before = self.cuts.len();
        let weights: Vec<usize> = stmts.iter().map(|stmt| self.stmt(stmt)).collect();
        let mut total = weights.iter().sum();
        if total > self.source.longest {
            let pieces = pieces(stmts, &weights, self.source.longest / 2);
            if pieces.len() > 1 {
                total = CALL * pieces.len();
                self.cuts.insert(stmts.as_ptr(), pieces);
            }
        }
        if self.cuts.len() > before {
            self.open.insert(stmts.as_ptr());
        }
        total
    }

    fn stmt(&mut self, stmt: &'k Stmt) -> usize {
        match stmt {
            Stmt::Let(_, op) => match op {
                Op::Const(_) | Op::Get(_) => 0,
                Op::Math(..) | Op::Complex(..) => 6,
                _ => 1,
            },
            Stmt::Set(..) | Stmt::Exit(_) => 1,
            Stmt::Store { .. } => 2,
            Stmt::Check(..) => 3,
            Stmt::Alloc { .. } => 14,
            Stmt::Call(_, arguments) => CALL + arguments.len(),
            Stmt::For { variable, body, .. } => {
                if !self.in_region && self.source.kernel.regions.contains_key(variable) {
                    return 2 * CALL + Stmt::all(body).take(64).count();
                }
                let Some(nest) = self.source.nests.calls.get(variable) else { return 6 + self.list(body) };
                let call = CALL + nest.inputs().len();
                if nest.is_certain() { call } else { call + 6 + self.list(body) }
            }
            Stmt::Loop(body) | Stmt::Block(_, body) => 2 + self.list(body),
            Stmt::If { .. } | Stmt::Cfg(_) => {
                let lists: Vec<(&'k [Stmt], usize)> = match stmt {
                    Stmt::If { then, otherwise, .. } => vec![(then, 0), (otherwise, 0)],
                    Stmt::Cfg(blocks) => blocks.iter().map(|block| (&block.body[..], 0)).collect(),
                    _ => Vec::new(),
                };
                self.branches(lists)
            }
        }
    }

    /// Lists side by side: all of them are pieces if they are long together.
    fn branches(&mut self, mut lists: Vec<(&'k [Stmt], usize)>) -> usize {
        for (list, weight) in &mut lists {
            *weight = 2 + self.list(list);
        }
        let total: usize = lists.iter().map(|(_, weight)| weight).sum();
        if total <= self.source.longest {
            return total;
        }
        let mut left = 0;
        for (list, weight) in lists {
            if weight > 4 * CALL && !self.cuts.contains_key(&list.as_ptr()) {
                self.cuts.insert(list.as_ptr(), vec![list]);
                self.open.insert(list.as_ptr());
                left += CALL;
            } else {
                left += weight;
            }
        }
        left
    }
}

/// Runs of statements of about that weight.
fn pieces<'k>(stmts: &'k [Stmt], weights: &[usize], most: usize) -> Vec<&'k [Stmt]> {
    let mut pieces = Vec::new();
    let (mut first, mut weight) = (0, 0);
    for (at, &next) in weights.iter().enumerate() {
        if weight + next > most && at > first {
            pieces.extend(stmts.get(first..at));
            (first, weight) = (at, 0);
        }
        weight += next;
    }
    pieces.extend(stmts.get(first..).filter(|rest| !rest.is_empty()));
    pieces
}

/// Finds what functions share. Functions are numbered: 0 is the root, n + 1 the n-th piece.
struct Sharing<'s, 'k> {
    source: &'s Source<'k>,
    in_region: bool,
    cuts: HashMap<ListKey, Vec<&'k [Stmt]>>,
    outline: Outline<'k>,
    /// The function that defines a value.
    home: HashMap<ValueId, usize>,
    allocated: HashMap<BufferId, usize>,
    labels: HashMap<LabelId, usize>,
    /// The function that touches a variable; none if there are several.
    touched: HashMap<VarId, Option<usize>>,
    read: HashSet<(usize, VarId)>,
}

impl<'k> Sharing<'_, 'k> {
    fn list(&mut self, stmts: &'k [Stmt], function: usize) {
        let Some(pieces) = self.cuts.get(&stmts.as_ptr()).cloned() else {
            return stmts.iter().for_each(|stmt| self.stmt(stmt, function));
        };
        if let Some(piece) = function.checked_sub(1).and_then(|at| self.outline.pieces.get_mut(at)) {
            piece.calls = true;
        }
        let mut numbers = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let (exits, reads) = (Vec::new(), Vec::new());
            self.outline.pieces.push(Piece { stmts: piece, exits, calls: false, reads, parent: function });
            let number = self.outline.pieces.len();
            numbers.push(number - 1);
            piece.iter().for_each(|stmt| self.stmt(stmt, number));
        }
        self.outline.cuts.insert(stmts.as_ptr(), numbers);
    }

    fn stmt(&mut self, stmt: &'k Stmt, function: usize) {
        match stmt {
            Stmt::Let(value, op) => {
                op.each_operand(|operand| self.uses(operand, function));
                match op {
                    Op::Get(variable) => self.reads(*variable, function),
                    Op::Base(buffer) => self.address(*buffer, function),
                    _ => {}
                }
                self.home.insert(*value, function);
            }
            Stmt::Set(variable, value) => {
                self.uses(*value, function);
                self.touch(*variable, function);
            }
            Stmt::Check(value, _) => self.uses(*value, function),
            Stmt::Store { address, value, .. } => {
                self.uses(*address, function);
                self.uses(*value, function);
            }
            Stmt::For { variable, start, stop, body, .. } => {
                self.uses(*start, function);
                self.uses(*stop, function);
                self.for_loop(*variable, body, function);
            }
            Stmt::If { condition, then, otherwise } => {
                self.uses(*condition, function);
                self.list(then, function);
                self.list(otherwise, function);
            }
            Stmt::Loop(body) => self.list(body, function),
            Stmt::Block(label, body) => {
                self.labels.insert(*label, function);
                self.list(body, function);
            }
            Stmt::Exit(label) => self.exit(*label, function),
            Stmt::Cfg(blocks) => {
                for block in blocks {
                    self.list(&block.body, function);
                    if let Jump::Branch(condition, ..) = block.jump {
                        self.uses(condition, function);
                    }
                }
            }
            Stmt::Alloc { buffer, bytes, .. } => {
                self.uses(*bytes, function);
                let known = *self.allocated.entry(*buffer).or_insert(function);
                if known != function {
                    self.share_buffer(*buffer);
                }
            }
            Stmt::Call(_, arguments) => {
                arguments.iter().for_each(|&argument| self.uses(argument, function));
            }
        }
    }

    fn for_loop(&mut self, variable: ValueId, body: &'k [Stmt], function: usize) {
        let kernel = self.source.kernel;
        if let Some(region) = kernel.regions.get(&variable).filter(|_| !self.in_region) {
            // The region's function is given what its body uses.
            let uses = Uses::of(body);
            let own = [Some(region.work), region.apart];
            uses.values.iter().chain(own.iter().flatten()).for_each(|&value| self.uses(value, function));
            uses.read.iter().for_each(|&variable| self.reads(variable, function));
            uses.buffers.iter().for_each(|&buffer| self.address(buffer, function));
            return;
        }
        if let Some(nest) = self.source.nests.calls.get(&variable) {
            nest.values().for_each(|value| self.uses(value, function));
            for variable in nest.variables() {
                self.reads(variable, function);
            }
            if nest.is_certain() {
                return;
            }
        }
        self.home.insert(variable, function);
        self.list(body, function);
    }

    fn uses(&mut self, value: ValueId, function: usize) {
        if self.source.cheap.contains_key(&value) {
            return;
        }
        // What is defined nowhere in a region is defined around it, and its root is given it. Around regions, what is
        // defined nowhere is defined inside one.
        let home = match self.home.get(&value) {
            Some(&home) => home,
            None if self.in_region => 0,
            None => return,
        };
        if home != function && !self.outline.values.contains_key(&value) {
            let place = self.outline.place();
            self.outline.values.insert(value, place);
        }
    }

    fn touch(&mut self, variable: VarId, function: usize) {
        let known = self.touched.entry(variable).or_insert(Some(function));
        if *known != Some(function) {
            *known = None;
        }
    }

    fn reads(&mut self, variable: VarId, function: usize) {
        self.touch(variable, function);
        let piece = function.checked_sub(1).and_then(|at| self.outline.pieces.get_mut(at));
        if let Some(piece) = piece
            && self.read.insert((function, variable))
        {
            piece.reads.push(variable);
        }
    }

    fn address(&mut self, buffer: BufferId, function: usize) {
        let home = match self.allocated.get(&buffer) {
            Some(&home) => home,
            None if self.in_region => 0,
            None => return,
        };
        if home != function {
            self.share_buffer(buffer);
        }
    }

    fn share_buffer(&mut self, buffer: BufferId) {
        if !self.outline.buffers.contains_key(&buffer) {
            let place = self.outline.place();
            self.outline.buffers.insert(buffer, place);
        }
    }

    /// Every function between an exit and its label is left.
    fn exit(&mut self, label: LabelId, mut function: usize) {
        let home = self.labels.get(&label).copied();
        while home != Some(function) {
            let Some(piece) = function.checked_sub(1).and_then(|at| self.outline.pieces.get_mut(at)) else {
                return;
            };
            if !piece.exits.contains(&label) {
                piece.exits.push(label);
            }
            function = piece.parent;
        }
    }

    /// Variables that one function alone touches are its own, unless a later call of it may read what an
    /// earlier one has set.
    fn finish(mut self) -> Outline<'k> {
        let mut remembered: HashSet<VarId> = HashSet::new();
        for piece in &self.outline.pieces {
            if piece.calls {
                remembered.extend(&piece.reads);
            } else {
                read_before_set(piece.stmts, &mut HashSet::new(), &mut remembered);
            }
        }
        let shared = |&(variable, function): &(&VarId, &Option<usize>)| match function {
            None => true,
            Some(0) => false,
            Some(_) => remembered.contains(variable),
        };
        let mut variables: Vec<VarId> =
            self.touched.iter().filter(shared).map(|(&variable, _)| variable).collect();
        variables.sort_unstable();
        for variable in variables {
            let place = self.outline.place();
            self.outline.variables.insert(variable, place);
        }
        self.outline
    }
}

/// Variables that may be read before they are set on some way through the list.
fn read_before_set(stmts: &[Stmt], set: &mut HashSet<VarId>, found: &mut HashSet<VarId>) {
    for stmt in stmts {
        match stmt {
            Stmt::Let(_, Op::Get(variable)) if !set.contains(variable) => {
                found.insert(*variable);
            }
            Stmt::Set(variable, _) => {
                set.insert(*variable);
            }
            Stmt::If { then, otherwise, .. } => {
                let (mut one, mut other) = (set.clone(), set.clone());
                read_before_set(then, &mut one, found);
                read_before_set(otherwise, &mut other, found);
                set.extend(one.intersection(&other).copied());
            }
            // The others may run not at all, or leave early: what they set counts inside only.
            _ => stmt.lists().iter().for_each(|list| read_before_set(list, &mut set.clone(), found)),
        }
    }
}
