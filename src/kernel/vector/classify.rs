//! How values of a loop body change from iteration to iteration.

use hashbrown::{HashMap, HashSet};

use crate::kernel::{BufferId, Kernel, Op, Stmt, ValueId, VarId};
use crate::scalar::{BinaryOp, DType};

use super::Reason;
use super::dependence::{Access, check_dependences};
use super::pairs::{paired_loads, paired_stores};
use super::reduce::{Reduction, Total, reductions};

/// How a value behaves across the iterations of a loop.
#[derive(Clone, PartialEq, Debug)]
pub enum Class {
    /// The same in all of them.
    Uniform,
    /// A 64-bit integer that moves by a fixed distance.
    Affine(Affine),
    /// Anything.
    Lanes,
}

/// `sum of terms + constant + stride * loop variable`; all but the variable is uniform.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Affine {
    /// Uniform values with factors, ascending.
    pub terms: Vec<(ValueId, i64)>,
    /// Added to them.
    pub constant: i64,
    /// Distance per unit of the loop variable.
    pub stride: Stride,
}

/// A distance.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Stride {
    /// Known.
    Constant(i64),
    /// A uniform value times a constant.
    Times(ValueId, i64),
}

impl Default for Stride {
    fn default() -> Self {
        Stride::Constant(0)
    }
}

/// What is known around the loop.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Integer constants of the kernel.
    pub constants: HashMap<ValueId, i64>,
    /// How often each variable is read, in the whole kernel.
    pub reads: HashMap<VarId, usize>,
}

/// What is known of a loop that may be vectorised.
#[derive(Debug)]
pub struct Body {
    /// Of each value that the body defines, and of the loop variable.
    pub classes: HashMap<ValueId, Class>,
    /// Bytes of the widest lane: 4 or 8.
    pub lane_bytes: i64,
    /// Operations on lanes, to choose how often to unroll.
    pub operations: usize,
    /// Buffers that are reached, stored ones first.
    pub stored: Vec<BufferId>,
    /// Buffers that are only read.
    pub loaded: Vec<BufferId>,
    /// Loads and stores that move by one element.
    pub unit_accesses: usize,
    /// Others.
    pub other_accesses: usize,
    /// Those that do not move by one element, or may turn out not to.
    pub apart: usize,
    /// What iterations accumulate.
    pub reductions: Vec<Reduction>,
    /// Whether it holds loops, which all lanes run through together.
    pub nested: bool,
    /// Whether it holds branches, which some lanes take.
    pub branches: bool,
    /// Loads of two elements side by side: bytes added to the address of the lower one, by either.
    pub pairs: HashMap<ValueId, i64>,
}

impl Surroundings {
    /// Facts about a whole kernel.
    pub fn of(kernel: &Kernel) -> Surroundings {
        let mut found = Surroundings::default();
        for stmt in Stmt::all(&kernel.body) {
            match stmt {
                Stmt::Let(value, Op::Const(literal)) => {
                    if let (Some(int), DType::I64) = (literal.as_int(), literal.ty) {
                        found.constants.insert(*value, int);
                    }
                }
                Stmt::Let(_, Op::Get(variable)) => *found.reads.entry(*variable).or_default() += 1,
                _ => {}
            }
        }
        found
    }
}

/// What a loop is promised and allowed.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Its iterations are independent by promise; else that has to be seen.
    pub promised: bool,
    /// Reductions of floats may be regrouped.
    pub reassociate: bool,
    /// Lanes can be left out one by one.
    pub branches: bool,
}

/// Classifies the body of a loop.
///
/// # Errors
/// The reason why its iterations cannot run side by side.
pub fn classify(
    kernel: &Kernel,
    around: &Surroundings,
    variable: ValueId,
    step: i64,
    body: &[Stmt],
    rules: Rules,
) -> Result<Body, Reason> {
    let mut classes = HashMap::new();
    let own = Affine { stride: Stride::Constant(1), ..Affine::default() };
    classes.insert(variable, Class::Affine(own));
    let mut classifier = Classifier {
        kernel,
        around,
        step,
        classes,
        accesses: Vec::new(),
        held: HashMap::new(),
        reads: HashMap::new(),
        wide: false,
        operations: 0,
        reductions: reductions(kernel, body, rules.reassociate),
        rules,
        nested: body.iter().any(|stmt| matches!(stmt, Stmt::For { .. })),
        branches: false,
        in_branch: false,
        set: HashSet::new(),
    };
    for stmt in body {
        classifier.stmt(stmt)?;
    }
    classifier.finish(body)
}

struct Classifier<'k> {
    kernel: &'k Kernel,
    around: &'k Surroundings,
    step: i64,
    classes: HashMap<ValueId, Class>,
    accesses: Vec<Access>,
    /// Variables set so far, with the class of their content.
    held: HashMap<VarId, Class>,
    reads: HashMap<VarId, usize>,
    /// Whether a lane has eight bytes.
    wide: bool,
    operations: usize,
    reductions: Vec<Reduction>,
    rules: Rules,
    nested: bool,
    /// Whether there is a branch.
    branches: bool,
    /// Whether this is one.
    in_branch: bool,
    /// Variables that are set anywhere.
    set: HashSet<VarId>,
}

impl Classifier<'_> {
    fn class(&self, value: ValueId) -> Class {
        self.classes.get(&value).cloned().unwrap_or(Class::Uniform)
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<(), Reason> {
        match stmt {
            Stmt::Let(value, op) => {
                let class = self.op(*value, op)?;
                if class == Class::Lanes {
                    self.wide |= self.kernel.values[*value].bytes() == 8;
                    self.operations += 1;
                }
                self.classes.insert(*value, class);
                Ok(())
            }
            Stmt::Set(_, value) | Stmt::Store { value, .. } if self.is_total(*value) => Ok(()),
            Stmt::Set(variable, value) => {
                self.set.insert(*variable);
                let class = if self.nested { Class::Lanes } else { self.class(*value) };
                if self.nested && self.is_read(*variable) {
                    self.wide |= self.kernel.values[*value].bytes() == 8;
                }
                self.held.insert(*variable, class);
                Ok(())
            }
            Stmt::Store { buffer, address, displacement, value } => {
                let ty = self.kernel.values[*value];
                self.wide |= ty.bytes() == 8;
                self.operations += 1;
                self.as_data(*value);
                self.access(*buffer, *address, *displacement, ty, true)
            }
            Stmt::Check(condition, _) => {
                self.as_data(*condition);
                Ok(())
            }
            Stmt::For { .. } if self.in_branch => Err("a branch of its body holds a loop".to_owned()),
            Stmt::For { .. } if !self.rules.promised => Err("it runs in sequence".to_owned()),
            Stmt::For { variable, start, stop, body, .. } => {
                if self.class(*start) != Class::Uniform || self.class(*stop) != Class::Uniform {
                    return Err("an inner loop's range depends on it".to_owned());
                }
                self.classes.insert(*variable, Class::Uniform);
                // What the inner loop sets is not set if it has no iterations.
                let held = self.held.clone();
                body.iter().try_for_each(|stmt| self.stmt(stmt))?;
                self.held = held;
                Ok(())
            }
            Stmt::If { condition, then, otherwise } => self.branch(*condition, then, otherwise),
            Stmt::Alloc { .. } => Err("its body allocates".to_owned()),
            Stmt::Call(..) => Err("its body calls a library".to_owned()),
            Stmt::Loop(_) | Stmt::Block(..) | Stmt::Exit(_) | Stmt::Cfg(_) => {
                Err("its body has control flow".to_owned())
            }
        }
    }

    /// A branch that each lane takes or not. What it sets is known in it only.
    fn branch(&mut self, condition: ValueId, then: &[Stmt], otherwise: &[Stmt]) -> Result<(), Reason> {
        let lanes = self.rules.promised && self.rules.branches && self.step == 1;
        if !lanes || self.nested || self.in_branch || self.class(condition) != Class::Lanes {
            return Err("its body branches".to_owned());
        }
        (self.branches, self.in_branch) = (true, true);
        for stmts in [then, otherwise] {
            let mut held = self.held.clone();
            for stmt in stmts {
                self.stmt(stmt)?;
                if let Stmt::Set(variable, _) = stmt {
                    held.remove(variable);
                }
            }
            self.held = held;
        }
        self.in_branch = false;
        Ok(())
    }

    /// Whether a store or set of the value ends an iteration of a reduction.
    fn is_total(&self, value: ValueId) -> bool {
        self.reductions.iter().any(|reduction| reduction.new == value)
    }

    fn is_read(&self, variable: VarId) -> bool {
        self.around.reads.get(&variable).copied().unwrap_or(0) > 0
    }

    /// A value used as lanes: an affine one takes 64-bit lanes.
    fn as_data(&mut self, value: ValueId) {
        self.wide |= matches!(self.class(value), Class::Affine(_));
    }

    fn op(&mut self, value: ValueId, op: &Op) -> Result<Class, Reason> {
        if self.reductions.iter().any(|reduction| reduction.old == value) {
            return Ok(Class::Lanes);
        }
        match op {
            Op::Const(_) => return Ok(Class::Uniform),
            Op::Base(_) => return Err("its body takes the address of a buffer".to_owned()),
            Op::Get(variable) => {
                *self.reads.entry(*variable).or_default() += 1;
                return match self.held.get(variable) {
                    Some(class) => Ok(class.clone()),
                    None => Err("a variable hands a value from one iteration to the next".to_owned()),
                };
            }
            Op::Load { buffer, address, displacement, ty } => {
                self.access(*buffer, *address, *displacement, *ty, false)?;
                return Ok(match self.class(*address) {
                    Class::Uniform => Class::Uniform,
                    _ => Class::Lanes,
                });
            }
            _ => {}
        }
        let mut uniform = true;
        op.each_operand(|operand| uniform &= self.class(operand) == Class::Uniform);
        if uniform {
            return Ok(Class::Uniform);
        }
        if self.kernel.values[value] == DType::I64
            && let Op::Binary(op, a, b) = *op
            && let Some(affine) = self.affine(op, a, b)
        {
            return Ok(Class::Affine(affine));
        }
        if matches!(op, Op::Math(..)) {
            self.wide = true;
        }
        let mut operands = Vec::new();
        op.each_operand(|operand| operands.push(operand));
        for operand in operands {
            self.as_data(operand);
        }
        Ok(Class::Lanes)
    }

    /// A value as an affine form, if it is one.
    fn form(&self, value: ValueId) -> Option<Affine> {
        if let Some(&constant) = self.around.constants.get(&value) {
            return Some(Affine { constant, ..Affine::default() });
        }
        match self.class(value) {
            Class::Uniform => Some(Affine { terms: vec![(value, 1)], ..Affine::default() }),
            Class::Affine(affine) => Some(affine),
            Class::Lanes => None,
        }
    }

    fn affine(&self, op: BinaryOp, a: ValueId, b: ValueId) -> Option<Affine> {
        let (x, y) = (self.form(a)?, self.form(b)?);
        match op {
            BinaryOp::Add => x.plus(&y, 1),
            BinaryOp::Sub => x.plus(&y, -1),
            BinaryOp::Mul => match (x.as_constant(), y.as_constant()) {
                (Some(factor), _) => y.times(factor),
                (_, Some(factor)) => x.times(factor),
                _ if x.is_only_the_variable() => x.stride_times(b),
                _ if y.is_only_the_variable() => y.stride_times(a),
                _ => None,
            },
            _ => None,
        }
    }

    fn access(
        &mut self,
        buffer: BufferId,
        address: ValueId,
        displacement: i64,
        ty: DType,
        store: bool,
    ) -> Result<(), Reason> {
        let mut form = self.form(address);
        if let Some(form) = &mut form {
            form.constant = form.constant.wrapping_add(displacement);
        }
        let class = self.class(address);
        if store && class == Class::Uniform {
            return Err("iterations write the same element (conflict resolution)".to_owned());
        }
        if class == Class::Lanes {
            if store {
                return Err("it scatters to computed places".to_owned());
            }
            self.wide = true;
        }
        let bytes = ty.bytes() as i64;
        if self.in_branch && class != Class::Uniform {
            // Others are reached lane by lane, which no mask leaves out.
            let together = form.as_ref().is_some_and(|form| match form.stride {
                Stride::Constant(stride) => stride == bytes || stride == 2 * bytes,
                Stride::Times(..) => true,
            });
            if !together {
                return Err("a branch of its body reaches elements that are apart".to_owned());
            }
        }
        self.accesses.push(Access { buffer, form, store, bytes });
        Ok(())
    }

    fn finish(self, body: &[Stmt]) -> Result<Body, Reason> {
        for variable in &self.set {
            let everywhere = self.around.reads.get(variable).copied().unwrap_or(0);
            if everywhere > self.reads.get(variable).copied().unwrap_or(0) {
                return Err("a variable carries a value out of it".to_owned());
            }
        }
        let lane_bytes = if self.wide { 8 } else { 4 };
        // The longest vector there may be: 512 bits.
        check_dependences(&self.accesses, self.step, 64 / lane_bytes, self.rules.promised)?;
        let mut stored: Vec<BufferId> = Vec::new();
        let mut seen = HashSet::new();
        for access in self.accesses.iter().filter(|access| access.store) {
            if seen.insert(access.buffer) {
                stored.push(access.buffer);
            }
        }
        for reduction in &self.reductions {
            if let Total::Memory { buffer, .. } = reduction.total
                && seen.insert(buffer)
            {
                stored.push(buffer);
            }
        }
        if stored.is_empty() && self.reductions.is_empty() {
            return Err("it writes nothing".to_owned());
        }
        let mut loaded = Vec::new();
        for access in &self.accesses {
            if seen.insert(access.buffer) {
                loaded.push(access.buffer);
            }
        }
        let moving = self.accesses.iter().filter(|access| !access.is_fixed());
        let unit = |access: &&Access| access.is_unit(self.step);
        let pairs = paired_loads(&self.classes, self.step, body);
        let in_pairs = pairs.len() + paired_stores(self.kernel, &self.classes, self.step, body);
        let unit_accesses = moving.clone().filter(unit).count() + in_pairs;
        let is_known =
            |access: &&Access| matches!(&access.form, Some(Affine { stride: Stride::Constant(_), .. }));
        let certain = moving.clone().filter(unit).filter(is_known).count() + in_pairs;
        let moving = moving.count();
        Ok(Body {
            other_accesses: moving.saturating_sub(unit_accesses),
            apart: moving.saturating_sub(certain),
            unit_accesses,
            classes: self.classes,
            lane_bytes,
            operations: self.operations,
            stored,
            loaded,
            reductions: self.reductions,
            nested: self.nested,
            branches: self.branches,
            pairs,
        })
    }
}

impl Affine {
    fn as_constant(&self) -> Option<i64> {
        (self.terms.is_empty() && self.stride == Stride::Constant(0)).then_some(self.constant)
    }

    fn is_only_the_variable(&self) -> bool {
        self.terms.is_empty() && self.constant == 0 && matches!(self.stride, Stride::Constant(_))
    }

    fn stride_times(&self, value: ValueId) -> Option<Affine> {
        match self.stride {
            Stride::Constant(factor) => {
                Some(Affine { stride: Stride::Times(value, factor), ..Affine::default() })
            }
            Stride::Times(..) => None,
        }
    }

    fn plus(&self, other: &Affine, factor: i64) -> Option<Affine> {
        let mut result = self.clone();
        result.constant = result.constant.wrapping_add(other.constant.wrapping_mul(factor));
        for &(value, theirs) in &other.terms {
            let added = theirs.wrapping_mul(factor);
            match result.terms.binary_search_by_key(&value, |&(value, _)| value) {
                Ok(place) => {
                    result.terms[place].1 = result.terms[place].1.wrapping_add(added);
                    if result.terms[place].1 == 0 {
                        result.terms.remove(place);
                    }
                }
                Err(place) => result.terms.insert(place, (value, added)),
            }
        }
        result.stride = match (self.stride, other.stride) {
            (Stride::Constant(a), Stride::Constant(b)) => {
                Stride::Constant(a.wrapping_add(b.wrapping_mul(factor)))
            }
            (stride, Stride::Constant(0)) => stride,
            (Stride::Constant(0), Stride::Times(value, times)) => {
                Stride::Times(value, times.wrapping_mul(factor))
            }
            _ => return None,
        };
        Some(result)
    }

    fn times(&self, factor: i64) -> Option<Affine> {
        Affine::default().plus(self, factor)
    }
}
