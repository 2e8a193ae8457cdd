//! Statements: loops, branches, checks, and the versions of a vectorised loop.

use hashbrown::{HashMap, HashSet};
use iced_x86::Code;

use crate::kernel::masked::mask_of;
use crate::kernel::vector::{Body, Class, Decision, LoopReport, Reason, Rules, classify};
use crate::kernel::{Op, Order, Stmt, TrapId, ValueId};
use crate::scalar::{BinaryOp, DType};

use super::code::{Item, Label, Operand, Reg, View, change, give, take};
use super::evex::FREE_MASK;
use super::masked::can_be_left_out;
use super::select::{Held, Lanes, Select, Slot, is_register_integer};

/// Iterations at the end of a loop that read what was stored so short a time before that it is not in the cache yet.
const NEAR: i32 = 2;

/// A loop's head.
pub(super) struct Counter {
    pub variable: ValueId,
    pub start: ValueId,
    pub stop: ValueId,
    pub step: i64,
}

/// What is known of vectorisable loops inside of a loop.
struct Inside {
    /// All of them reach for elements that lie apart.
    all_apart: bool,
}

impl Select<'_> {
    pub fn list(&mut self, stmts: &[Stmt]) -> Result<(), Reason> {
        stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    /// A statement outside vectorised loops.
    pub fn stmt(&mut self, stmt: &Stmt) -> Result<(), Reason> {
        match stmt {
            Stmt::Let(value, op) => self.uniform(*value, op),
            Stmt::Store { buffer, address, displacement, value } => {
                self.reach(*buffer, true);
                self.uniform_store(*address, *displacement, *value)
            }
            Stmt::Set(variable, value) => {
                let place = self.input(Slot::Variable(*variable));
                self.store_number(*value, place)?;
                let held = match is_register_integer(self.ty(*value)) {
                    true => Held::Integer(self.integer_of(*value)?),
                    false => Held::Everywhere(self.everywhere(*value)?),
                };
                self.known.insert(*variable, held);
                Ok(())
            }
            Stmt::Check(condition, trap) => self.check_uniform(*condition, *trap, 0),
            Stmt::For { variable, start, stop, step, order, body } => {
                let counter = Counter { variable: *variable, start: *start, stop: *stop, step: *step };
                self.any_loop(&counter, *order, body)
            }
            Stmt::If { condition, then, otherwise } => self.branch(*condition, then, otherwise),
            Stmt::Alloc { .. } => Err("it allocates".to_owned()),
            Stmt::Call(..) => Err("it calls a library".to_owned()),
            Stmt::Loop(_) | Stmt::Block(..) | Stmt::Exit(_) | Stmt::Cfg(_) => {
                Err("it has unstructured control flow".to_owned())
            }
        }
    }

    fn any_loop(&mut self, counter: &Counter, order: Order, body: &[Stmt]) -> Result<(), Reason> {
        let caches = self.caches.clone();
        let at = self.reports.len();
        let depth = self.depth;
        let report = |decision, writes| LoopReport { variable: counter.variable, writes, depth, decision };
        let classified = match self.inside(body) {
            None => self.classified(counter.variable, counter.step, order, body),
            // Elements side by side here rather than elements apart there.
            Some(Inside { all_apart: true }) => self
                .classified(counter.variable, counter.step, order, body)
                .ok()
                .filter(|facts| facts.apart == 0 && is_worth(facts))
                .ok_or_else(|| "an inner loop is vectorised".to_owned()),
            Some(_) => Err("an inner loop is vectorised".to_owned()),
        };
        let result = match classified {
            Ok(facts) if is_worth(&facts) => {
                let writes = self.names(&facts.stored);
                let lanes = i64::from(self.settings.bits / 8) / facts.lane_bytes;
                let unroll = unroll(&facts);
                let decision = Decision::Vector {
                    lanes: lanes as u32,
                    unroll: unroll as u32,
                    bits: self.settings.bits,
                    conditional: false,
                    instead: None,
                };
                self.reports.push(report(decision, writes));
                self.vector_loop(counter, body, facts, lanes, unroll)
            }
            other => {
                let reason = match other {
                    Ok(_) => "no access moves by one element".to_owned(),
                    Err(reason) => reason,
                };
                self.reports.push(report(Decision::Scalar(reason), Vec::new()));
                self.depth += 1;
                let result = self.plain_loop(counter, body);
                self.depth -= 1;
                if self.reports.len() > at + 1 {
                    self.reports[at].decision = Decision::Around;
                }
                result
            }
        };
        self.caches = caches;
        result
    }

    /// Loops inside that can be vectorised by themselves, if there are any.
    fn inside(&self, body: &[Stmt]) -> Option<Inside> {
        let mut found: Option<Inside> = None;
        for stmt in body {
            let Stmt::For { variable, step, order, body, .. } = stmt else { continue };
            let own = self.inside(body).or_else(|| {
                let facts = self.classified(*variable, *step, *order, body).ok()?;
                is_worth(&facts).then_some(Inside { all_apart: facts.apart > 0 })
            });
            if let Some(own) = own {
                let all_apart = own.all_apart && found.as_ref().is_none_or(|found| found.all_apart);
                found = Some(Inside { all_apart });
            }
        }
        found
    }

    fn classified(&self, variable: ValueId, step: i64, order: Order, body: &[Stmt]) -> Result<Body, Reason> {
        let branches = self.settings.bits == 512;
        let rules = Rules { promised: order == Order::Any, reassociate: self.settings.fast, branches };
        classify(self.kernel, &self.facts.around, variable, step, body, rules)
    }

    /// A loop that runs in sequence.
    fn plain_loop(&mut self, counter: &Counter, body: &[Stmt]) -> Result<(), Reason> {
        match mask_of(counter.variable, counter.step, body) {
            Some(mask) if can_be_left_out(&mask, body) => self.masked_loop(counter, &mask, body),
            _ => self.repeat(counter, |select| select.list(body)),
        }
    }

    /// Code around and behind `body` that runs it for every value of the counter.
    fn repeat(
        &mut self,
        counter: &Counter,
        body: impl FnOnce(&mut Self) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let (start, stop) = (self.integer_of(counter.start)?, self.integer_of(counter.stop)?);
        let index = self.integer();
        self.emit(Code::Mov_r64_rm64, &[give(index, View::Full), take(start, View::Full)]);
        self.values.insert(counter.variable, Held::Integer(index));
        let (enough, more) = if counter.step > 0 {
            (Code::Jge_rel32_64, Code::Jl_rel32_64)
        } else {
            (Code::Jle_rel32_64, Code::Jg_rel32_64)
        };
        let (head, end) = (self.label(), self.label());
        self.compare(index, stop);
        self.item(Item::Jump(enough, end));
        self.item(Item::LoopStart);
        self.item(Item::Mark(head));
        self.known.clear();
        body(self)?;
        self.known.clear();
        self.advance(index, counter.step)?;
        self.compare(index, stop);
        self.item(Item::Jump(more, head));
        self.item(Item::LoopEnd);
        self.item(Item::Mark(end));
        Ok(())
    }

    pub fn compare(&mut self, a: Reg, b: Reg) {
        self.emit_either(Code::Cmp_r64_rm64, &[take(a, View::Full), take(b, View::Full)], 1);
    }

    pub fn advance(&mut self, index: Reg, by: i64) -> Result<(), Reason> {
        let by = i32::try_from(by).map_err(|_| "its step is too large")?;
        self.emit(Code::Add_rm64_imm32, &[change(index, View::Full), Operand::Word(by)]);
        Ok(())
    }

    /// A loop whose iterations run side by side: several vectors per turn, then single vectors, then the rest, under a
    /// mask where there are such.
    fn vector_loop(
        &mut self,
        counter: &Counter,
        stmts: &[Stmt],
        facts: Body,
        lanes: i64,
        unroll: i64,
    ) -> Result<(), Reason> {
        if counter.step < 0 {
            return Err("a vectorised loop runs backwards".to_owned());
        }
        for &buffer in &facts.stored {
            self.reach(buffer, true);
        }
        for &buffer in &facts.loaded {
            self.reach(buffer, false);
        }
        let (start, stop) = (self.integer_of(counter.start)?, self.integer_of(counter.stop)?);
        let end = self.label();
        let totals = self.totals(&facts.reductions)?;
        self.compare(start, stop);
        self.item(Item::Jump(Code::Jge_rel32_64, end));
        let (outer_target, outer_front) = (self.target, self.front);
        self.lists.push(Vec::new());
        self.front = Some(self.lists.len() - 1);
        self.lists.push(Vec::new());
        self.target = self.lists.len() - 1;
        let index = self.integer();
        self.emit(Code::Mov_r64_rm64, &[give(index, View::Full), take(start, View::Full)]);
        let (reductions, nested, branches) = (facts.reductions.len(), facts.nested, facts.branches);
        let reduced = facts.reductions.clone();
        let products = if self.settings.fast { self.products(stmts, &facts) } else { HashMap::new() };
        self.lanes = Some(Lanes {
            body: facts,
            index,
            step: counter.step,
            count: lanes,
            copy: 0,
            carried: HashMap::new(),
            inner: 0,
            held: HashMap::new(),
            scattered: HashMap::new(),
            partial: Vec::new(),
            checked: HashSet::new(),
            mask: None,
            paired: HashMap::new(),
            doubled: None,
            products,
        });
        self.start_reductions(unroll, &totals)?;
        let done = self.label();
        let whole = [(unroll, lanes), (1, lanes)];
        let near = self.settings.bits == 512
            && reductions > 0
            && counter.step == 1
            && self.reads_up_to_a_store(stmts, counter.stop);
        let masked = self.settings.bits == 512 && !nested && !near;
        let aligned =
            masked && reductions == 0 && unroll > 1 && self.aligned_start(counter, stop, stmts, lanes)?;
        let before_last = if near { self.less(stop, NEAR) } else { stop };
        for (copies, count) in whole.into_iter().skip(usize::from(unroll == 1)) {
            self.version(counter.step, before_last, stmts, copies, count)?;
            // Often nothing is left.
            self.compare(index, before_last);
            self.item(Item::Jump(Code::Jge_rel32_64, done));
        }
        let single = !masked || !self.rest(counter, before_last, stmts, lanes)?;
        if single && branches {
            return Err("a branch of its body has no form with a mask".to_owned());
        }
        debug_assert!(!(single && aligned), "what can start under a mask can end under one");
        if single && self.settings.bits == 512 && reductions == 0 {
            self.version(counter.step, stop, stmts, 1, lanes / 2)?;
        }
        if reductions > 0 {
            // Single iterations go on with the total, so that what the last one reads is waited for last.
            self.item(Item::Mark(done));
            self.combine_lanes(lanes)?;
        }
        if single {
            self.version(counter.step, stop, stmts, 1, 1)?;
        }
        if reductions == 0 {
            self.item(Item::Mark(done));
        }
        self.store_totals()?;
        self.lanes = None;
        let code = self.lists.pop().unwrap_or_default();
        let front = self.lists.pop().unwrap_or_default();
        (self.target, self.front) = (outer_target, outer_front);
        front.into_iter().chain(code).for_each(|item| self.item(item));
        self.item(Item::Mark(end));
        self.hold_totals(&reduced, &totals);
        Ok(())
    }

    /// A number less another one, in a new register.
    fn less(&mut self, number: Reg, by: i32) -> Reg {
        let result = self.integer();
        self.emit(Code::Mov_r64_rm64, &[give(result, View::Full), take(number, View::Full)]);
        self.emit(Code::Sub_rm64_imm32, &[change(result, View::Full), Operand::Word(by)]);
        result
    }

    /// As many turns of `copies` vectors of `count` lanes as fit before `stop`.
    fn version(
        &mut self,
        step: i64,
        stop: Reg,
        stmts: &[Stmt],
        copies: i64,
        count: i64,
    ) -> Result<(), Reason> {
        let Some(lanes) = &mut self.lanes else { return Err("there is no loop".to_owned()) };
        lanes.count = count;
        let index = lanes.index;
        let turn = step.checked_mul(copies * count).ok_or("its step is too large")?;
        // The last index of a turn is `index + turn - step`; it has to lie before the stop.
        let behind = i32::try_from(turn - step).map_err(|_| "its step is too large")?;
        let bound = self.less(stop, behind);
        let (head, end) = (self.label(), self.label());
        self.compare(index, bound);
        self.item(Item::Jump(Code::Jge_rel32_64, end));
        self.start_copies(copies)?;
        self.item(Item::LoopStart);
        self.item(Item::Mark(head));
        for copy in 0..copies {
            self.turn(stmts, copy)?;
        }
        self.advance(index, turn)?;
        self.compare(index, bound);
        self.item(Item::Jump(Code::Jl_rel32_64, head));
        self.item(Item::LoopEnd);
        self.finish_copies(copies)?;
        self.item(Item::Mark(end));
        Ok(())
    }

    /// One vector of iterations.
    pub fn turn(&mut self, stmts: &[Stmt], copy: i64) -> Result<(), Reason> {
        if let Some(lanes) = &mut self.lanes {
            lanes.copy = copy;
            lanes.held.clear();
            lanes.carried.clear();
            lanes.scattered.clear();
            lanes.paired.clear();
            lanes.doubled = None;
        }
        self.lane_list(stmts)
    }

    pub fn lane_list(&mut self, stmts: &[Stmt]) -> Result<(), Reason> {
        let mut left = stmts;
        while let Some((stmt, mut behind)) = left.split_first() {
            match behind.split_first() {
                Some((next, further)) if self.paired_stores(stmt, next)? => behind = further,
                _ => self.lane_stmt(stmt)?,
            }
            left = behind;
        }
        Ok(())
    }

    fn lane_stmt(&mut self, stmt: &Stmt) -> Result<(), Reason> {
        match stmt {
            Stmt::Let(value, _) if self.starts_reduction(*value) => Ok(()),
            Stmt::Set(_, value) | Stmt::Store { value, .. } if self.ends_reduction(*value)? => Ok(()),
            Stmt::Let(value, Op::Get(variable)) => self.get_held(*value, *variable),
            Stmt::Let(value, op) => match self.class(*value) {
                Class::Affine(_) => Ok(()),
                Class::Uniform if self.values.contains_key(value) && !self.in_inner_loop() => Ok(()),
                Class::Uniform => self.in_front(|select| select.uniform(*value, op)),
                Class::Lanes if self.product_of(*value).is_some() => Ok(()),
                Class::Lanes => {
                    let reg = self.lane_op(*value, op)?;
                    self.values.insert(*value, Held::Lanes(reg));
                    Ok(())
                }
            },
            Stmt::Set(variable, value) if self.lanes.as_ref().is_some_and(|lanes| lanes.body.nested) => {
                self.carry(*variable, *value)
            }
            Stmt::Set(variable, value) => {
                if let Some(lanes) = &mut self.lanes {
                    lanes.held.insert(*variable, *value);
                }
                Ok(())
            }
            Stmt::Store { address, displacement, value, .. } => {
                self.lane_store(*address, *displacement, *value)
            }
            Stmt::Check(condition, trap) => match self.class(*condition) {
                Class::Uniform => {
                    // In front of the loop once is enough.
                    let inner = self.in_inner_loop();
                    if self.lanes.as_mut().is_some_and(|lanes| !inner && !lanes.checked.insert(*condition)) {
                        return Ok(());
                    }
                    self.in_front(|select| select.check_uniform(*condition, *trap, 0))
                }
                _ if self.check_range(*condition, *trap)? => Ok(()),
                _ => {
                    let mask = self.operand(*condition)?;
                    self.check_mask(mask, *trap);
                    Ok(())
                }
            },
            Stmt::If { condition, then, otherwise } => self.lane_branch(*condition, then, otherwise),
            Stmt::For { variable, start, stop, step, body, .. } => {
                let counter = Counter { variable: *variable, start: *start, stop: *stop, step: *step };
                self.inner_loop(&counter, body)
            }
            _ => Err("its body has control flow".to_owned()),
        }
    }

    /// The statement, if all lanes share what it computes or checks: what then stands in front of the loop.
    pub fn uniform_stmt(&mut self, stmt: &Stmt) -> Result<(), Reason> {
        let shared = match stmt {
            Stmt::Let(_, Op::Get(_)) => false,
            Stmt::Let(value, _) | Stmt::Check(value, _) => matches!(self.class(*value), Class::Uniform),
            _ => false,
        };
        if shared { self.lane_stmt(stmt) } else { Ok(()) }
    }

    fn in_inner_loop(&self) -> bool {
        self.lanes.as_ref().is_some_and(|lanes| lanes.inner > 0)
    }

    /// A loop that all lanes run through together.
    fn inner_loop(&mut self, counter: &Counter, body: &[Stmt]) -> Result<(), Reason> {
        let caches = self.caches.clone();
        self.repeat(counter, |select| {
            select.enter_inner(1);
            select.lane_list(body)?;
            select.enter_inner(-1);
            Ok(())
        })?;
        self.caches = caches;
        Ok(())
    }

    pub fn enter_inner(&mut self, change: i32) {
        if let Some(lanes) = &mut self.lanes {
            lanes.inner = lanes.inner.saturating_add_signed(change);
            lanes.scattered.clear();
            lanes.paired.clear();
            lanes.doubled = None;
        }
    }

    /// Sets a variable that inner loops may set: it has a register of its own.
    fn carry(&mut self, variable: crate::kernel::VarId, value: ValueId) -> Result<(), Reason> {
        if self.facts.around.reads.get(&variable).copied().unwrap_or(0) == 0 {
            return Ok(());
        }
        self.supported(self.ty(value))?;
        let new = self.operand(value)?;
        let known = self.lanes.as_ref().and_then(|lanes| lanes.carried.get(&variable).copied());
        let reg = match known {
            Some(reg) => reg,
            None => {
                let reg = self.vector();
                if let Some(lanes) = &mut self.lanes {
                    lanes.carried.insert(variable, reg);
                }
                reg
            }
        };
        self.copy_vector(reg, new);
        Ok(())
    }

    /// Products of floats that are used once, in a sum.
    fn products(&self, stmts: &[Stmt], facts: &Body) -> HashMap<ValueId, (ValueId, ValueId)> {
        let mut uses: HashMap<ValueId, usize> = HashMap::new();
        let mut found: HashMap<ValueId, (ValueId, ValueId)> = HashMap::new();
        let mut chosen = HashMap::new();
        for stmt in stmts {
            match stmt {
                Stmt::Let(_, op) => op.each_operand(|operand| *uses.entry(operand).or_default() += 1),
                Stmt::Set(_, value) | Stmt::Check(value, _) => *uses.entry(*value).or_default() += 2,
                Stmt::Store { value, .. } => *uses.entry(*value).or_default() += 2,
                _ => {}
            }
            if let Stmt::If { condition, .. } = stmt {
                *uses.entry(*condition).or_default() += 2;
            }
            // Who uses it in there needs it as it is.
            for stmt in stmt.lists().into_iter().flat_map(Stmt::all) {
                match stmt {
                    Stmt::Let(_, op) => op.each_operand(|operand| *uses.entry(operand).or_default() += 2),
                    Stmt::Set(_, value) | Stmt::Check(value, _) | Stmt::Store { value, .. } => {
                        *uses.entry(*value).or_default() += 2;
                    }
                    _ => {}
                }
            }
        }
        for stmt in stmts {
            let Stmt::Let(value, Op::Binary(op, a, b)) = stmt else { continue };
            if !matches!(self.ty(*value), DType::F64 | DType::F32)
                || facts.classes.get(value) != Some(&Class::Lanes)
            {
                continue;
            }
            match op {
                BinaryOp::Mul if uses.get(value) == Some(&1) => {
                    found.insert(*value, (*a, *b));
                }
                BinaryOp::Add | BinaryOp::Sub => {
                    let product = [*a, *b].into_iter().find(|operand| found.contains_key(operand));
                    if let Some(product) = product
                        && let Some(factors) = found.remove(&product)
                    {
                        chosen.insert(product, factors);
                    }
                }
                _ => {}
            }
        }
        chosen
    }

    /// A variable read behind its set is another name for what was set.
    fn get_held(&mut self, value: ValueId, variable: crate::kernel::VarId) -> Result<(), Reason> {
        if let Some(lanes) = self.lanes.as_ref().filter(|lanes| lanes.body.nested) {
            let Some(&reg) = lanes.carried.get(&variable) else {
                return Err("a variable in it has no value".to_owned());
            };
            let copy = self.vector();
            self.copy_vector(copy, reg);
            self.values.insert(value, Held::Lanes(copy));
            return Ok(());
        }
        let held = self.lanes.as_ref().and_then(|lanes| lanes.held.get(&variable).copied());
        let Some(held) = held else { return Err("a variable in it has no value".to_owned()) };
        if self.class(held) == Class::Uniform {
            let source = self.aliases.get(&held).copied().unwrap_or(held);
            self.aliases.insert(value, source);
        } else if let Some(&lanes) = self.values.get(&held) {
            self.values.insert(value, lanes);
        }
        Ok(())
    }

    pub fn trap_label(&mut self, trap: TrapId) -> Label {
        if let Some(&label) = self.traps.get(&trap) {
            return label;
        }
        let label = self.label();
        self.traps.insert(trap, label);
        label
    }

    /// Stops unless a uniform bool holds. Comparisons jump by themselves.
    fn check_uniform(&mut self, condition: ValueId, trap: TrapId, depth: u32) -> Result<(), Reason> {
        let label = self.trap_label(trap);
        let parts = match self.definitions.get(&condition) {
            Some(&Op::Binary(op, a, b)) if depth < 8 => Some((op, a, b)),
            _ => None,
        };
        match parts {
            Some((BinaryOp::BitAnd, ..)) if self.check_index(condition, trap)? => return Ok(()),
            Some((BinaryOp::BitAnd, a, b)) => {
                self.check_uniform(a, trap, depth + 1)?;
                return self.check_uniform(b, trap, depth + 1);
            }
            Some((op, a, b)) if matches!(self.ty(a), DType::I64 | DType::I32) => {
                let fails = match op {
                    BinaryOp::Eq => Code::Jne_rel32_64,
                    BinaryOp::Ne => Code::Je_rel32_64,
                    BinaryOp::Lt => Code::Jge_rel32_64,
                    BinaryOp::Le => Code::Jg_rel32_64,
                    BinaryOp::Gt => Code::Jle_rel32_64,
                    BinaryOp::Ge => Code::Jl_rel32_64,
                    op => return Err(format!("{op:?} as a check")),
                };
                let (a, b) = (self.integer_of(a)?, self.integer_of(b)?);
                if self.caches.checked.insert((op, a, b)) {
                    self.compare(a, b);
                    self.item(Item::Jump(fails, label));
                }
                return Ok(());
            }
            _ => {}
        }
        let reg = self.integer_of(condition)?;
        self.emit(Code::Cmp_rm64_imm32, &[take(reg, View::Full), Operand::Word(0)]);
        self.item(Item::Jump(Code::Je_rel32_64, label));
        Ok(())
    }

    /// Stops unless the mask holds in all lanes.
    fn check_mask(&mut self, mask: Reg, trap: TrapId) {
        let label = self.trap_label(trap);
        let (count, _) = self.lane_shape();
        if let Some(active) = self.mask() {
            // It fails in a lane that takes place where it does not hold.
            self.collect_mask(FREE_MASK, mask);
            let fails = Operand::Mask(FREE_MASK);
            self.emit(Code::VEX_Kandnw_kr_kr_kr, &[fails, fails, Operand::Mask(active)]);
            self.test_mask(FREE_MASK);
            self.item(Item::Jump(Code::Jne_rel32_64, label));
            return;
        }
        let bits = self.mask_bits(mask);
        let all = (1i32 << count) - 1;
        if count == 1 {
            self.emit(Code::And_rm64_imm32, &[change(bits, View::Full), Operand::Word(1)]);
        }
        self.emit(Code::Cmp_rm64_imm32, &[take(bits, View::Full), Operand::Word(all)]);
        self.item(Item::Jump(Code::Jne_rel32_64, label));
    }

    /// One bit per lane of a mask; what lies above the lanes in a vector register is in the bits too.
    pub fn mask_bits(&mut self, mask: Reg) -> Reg {
        let bits = self.integer();
        let view = self.view(DType::Bool);
        let (_, lane_bytes) = self.lane_shape();
        let code = match (lane_bytes, view) {
            (8, View::Xmm) => Code::VEX_Vmovmskpd_r32_xmm,
            (8, _) => Code::VEX_Vmovmskpd_r32_ymm,
            (_, View::Xmm) => Code::VEX_Vmovmskps_r32_xmm,
            (..) => Code::VEX_Vmovmskps_r32_ymm,
        };
        self.emit(code, &[give(bits, View::Half), take(mask, view)]);
        bits
    }

    fn branch(&mut self, condition: ValueId, then: &[Stmt], otherwise: &[Stmt]) -> Result<(), Reason> {
        let reg = self.integer_of(condition)?;
        let (no, end) = (self.label(), self.label());
        self.emit(Code::Cmp_rm64_imm32, &[take(reg, View::Full), Operand::Word(0)]);
        self.item(Item::Jump(Code::Je_rel32_64, no));
        let caches = self.caches.clone();
        self.known.clear();
        self.list(then)?;
        self.item(Item::Jump(Code::Jmp_rel32_64, end));
        self.item(Item::Mark(no));
        self.caches = caches.clone();
        self.known.clear();
        self.list(otherwise)?;
        self.known.clear();
        self.caches = caches;
        self.item(Item::Mark(end));
        Ok(())
    }

    /// Notes that a buffer is used.
    pub fn reach(&mut self, buffer: crate::kernel::BufferId, store: bool) {
        self.reached.insert(buffer);
        if store {
            self.stored.insert(buffer);
        }
    }
}

/// Whether enough moves by one element.
fn is_worth(facts: &Body) -> bool {
    facts.unit_accesses > 0 && (!facts.nested || facts.unit_accesses >= facts.other_accesses)
}

/// How many vectors per turn: short bodies pay for the loop around them.
fn unroll(facts: &Body) -> i64 {
    match facts.operations {
        _ if facts.nested => 1,
        // Partial results hide the latency of their operation.
        0..=4 if !facts.reductions.is_empty() => 8,
        0..=8 => 4,
        9..=16 => 2,
        _ => 1,
    }
}
