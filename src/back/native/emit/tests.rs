//! Random programs cut into pieces of a few statements: machine code against the evaluator.
//!
//! `PELTON_PROPTEST_CASES` sets how many.

use proptest::prelude::*;

use super::{Request, emit};
use crate::back::native::call::tests::once;
use crate::back::native::call::{Code, Instance, Run, run};
use crate::back::native::isa;
use crate::back::native::wide;
use crate::kernel::scratch::Planned;
use crate::kernel::{
    BufferDecl, BufferId, BufferKind, CfgBlock, Jump, Kernel, LabelId, Literal, Op, Order, Stmt, TrapId,
    TrapInfo, TrapKind, ValueId, VarId, Variable, eval, parallel, verify,
};
use crate::memory::MemoryOptions;
use crate::scalar::{BinaryOp, DType};

/// Elements of each argument.
const ELEMENTS: i64 = 16;
const VARIABLES: u32 = 4;

/// A program from a stream of choices.
struct Maker<'c> {
    kernel: Kernel,
    choices: std::slice::Iter<'c, u8>,
    /// Values that may be used here.
    visible: Vec<ValueId>,
    labels: Vec<LabelId>,
    trap: TrapId,
    /// In a parallel loop: the address of the element that is its own, and variables that have been set.
    own: Option<(ValueId, Vec<VarId>)>,
}

impl Maker<'_> {
    fn choice(&mut self, of: usize) -> usize {
        self.choices.next().map_or(0, |&byte| usize::from(byte)) % of.max(1)
    }

    fn value(&mut self) -> ValueId {
        let at = self.choice(self.visible.len());
        self.visible[at]
    }

    fn let_(&mut self, list: &mut Vec<Stmt>, op: Op, ty: DType) -> ValueId {
        let value = self.kernel.values.push(ty);
        list.push(Stmt::Let(value, op));
        if ty == DType::I64 {
            self.visible.push(value);
        }
        value
    }

    fn int(&mut self, list: &mut Vec<Stmt>, value: i64) -> ValueId {
        self.let_(list, Op::Const(Literal::i64(value)), DType::I64)
    }

    /// A list in a scope of its own.
    fn nested(&mut self, depth: u32) -> Vec<Stmt> {
        let visible = self.visible.len();
        let mut list = Vec::new();
        let count = 1 + self.choice(5);
        for _ in 0..count {
            self.stmt(&mut list, depth);
        }
        self.visible.truncate(visible);
        list
    }

    fn variable(&mut self) -> Option<VarId> {
        match &self.own {
            None => Some(VarId(self.choice(VARIABLES as usize) as u32)),
            Some((_, set)) => {
                let set = set.clone();
                let at = self.choice(set.len());
                set.get(at).copied()
            }
        }
    }

    fn condition(&mut self, list: &mut Vec<Stmt>) -> ValueId {
        let (a, b) = (self.value(), self.value());
        self.let_(list, Op::Binary(BinaryOp::Lt, a, b), DType::Bool)
    }

    fn address(&mut self, list: &mut Vec<Stmt>, buffer: BufferId, element: i64) -> ValueId {
        let base = self.kernel.values.push(DType::I64);
        list.push(Stmt::Let(base, Op::Base(buffer)));
        let bytes = self.kernel.values.push(DType::I64);
        list.push(Stmt::Let(bytes, Op::Const(Literal::i64(8 * element))));
        let address = self.kernel.values.push(DType::I64);
        list.push(Stmt::Let(address, Op::Binary(BinaryOp::Add, base, bytes)));
        address
    }

    fn store(&mut self, list: &mut Vec<Stmt>) {
        let value = self.value();
        let (buffer, address) = match self.own {
            Some((address, _)) => (BufferId(1), address),
            None => {
                let element = self.choice(ELEMENTS as usize) as i64;
                (BufferId(0), self.address(list, BufferId(0), element))
            }
        };
        list.push(Stmt::Store { buffer, address, displacement: 0, value });
    }

    fn stmt(&mut self, list: &mut Vec<Stmt>, depth: u32) {
        let kind = self.choice(if depth == 0 { 7 } else { 15 });
        match kind {
            0 | 1 => {
                let op = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::BitXor][self.choice(4)];
                let (a, b) = (self.value(), self.value());
                self.let_(list, Op::Binary(op, a, b), DType::I64);
            }
            2 => {
                if let Some(variable) = self.variable() {
                    self.let_(list, Op::Get(variable), DType::I64);
                }
            }
            3 => {
                let value = self.value();
                if let Some(variable) = self.variable() {
                    list.push(Stmt::Set(variable, value));
                }
            }
            4 => self.store(list),
            5 => {
                let element = self.choice(ELEMENTS as usize) as i64;
                let address = self.address(list, BufferId(0), element);
                let load = Op::Load { buffer: BufferId(0), address, displacement: 0, ty: DType::I64 };
                self.let_(list, load, DType::I64);
            }
            6 => {
                let number = self.choice(9) as i64 - 4;
                self.int(list, number);
            }
            7 => {
                let condition = self.condition(list);
                let (then, otherwise) = (self.nested(depth - 1), self.nested(depth - 1));
                list.push(Stmt::If { condition, then, otherwise });
            }
            8 => self.for_loop(list, depth),
            9 => {
                let label = self.label();
                let body = self.nested(depth - 1);
                self.labels.pop();
                list.push(Stmt::Block(label, body));
            }
            10 if !self.labels.is_empty() => {
                let at = self.choice(self.labels.len());
                let condition = self.condition(list);
                let then = vec![Stmt::Exit(self.labels[at])];
                list.push(Stmt::If { condition, then, otherwise: Vec::new() });
            }
            11 => self.counted(list, depth),
            12 => self.scratch(list),
            13 => self.cfg(list, depth),
            14 => {
                let (number, limit) = (self.value(), self.int(list, 1 << 40));
                let fine = self.let_(list, Op::Binary(BinaryOp::Lt, number, limit), DType::Bool);
                list.push(Stmt::Check(fine, self.trap));
            }
            _ => {}
        }
    }

    fn label(&mut self) -> LabelId {
        self.kernel.labels += 1;
        let label = LabelId(self.kernel.labels - 1);
        self.labels.push(label);
        label
    }

    fn for_loop(&mut self, list: &mut Vec<Stmt>, depth: u32) {
        let parallel = self.own.is_none() && self.choice(3) == 0;
        let trips = if parallel { ELEMENTS } else { self.choice(4) as i64 };
        let (start, stop) = (self.int(list, 0), self.int(list, trips));
        let variable = self.kernel.values.push(DType::I64);
        let visible = self.visible.len();
        self.visible.push(variable);
        let body = if parallel { self.parallel_body(variable, depth) } else { self.nested(depth - 1) };
        self.visible.truncate(visible);
        list.push(Stmt::For { variable, start, stop, step: 1, order: Order::any_if(parallel), body });
    }

    /// A body that writes its own element, and reads variables that it has set.
    fn parallel_body(&mut self, variable: ValueId, depth: u32) -> Vec<Stmt> {
        let labels = std::mem::take(&mut self.labels);
        let mut body = Vec::new();
        let base = self.kernel.values.push(DType::I64);
        body.push(Stmt::Let(base, Op::Base(BufferId(1))));
        let size = self.kernel.values.push(DType::I64);
        body.push(Stmt::Let(size, Op::Const(Literal::i64(8))));
        let moved = self.kernel.values.push(DType::I64);
        body.push(Stmt::Let(moved, Op::Binary(BinaryOp::Mul, variable, size)));
        let own = self.kernel.values.push(DType::I64);
        body.push(Stmt::Let(own, Op::Binary(BinaryOp::Add, base, moved)));
        let name = format!("private{}", self.kernel.variables.len());
        let private = self.kernel.variables.push(Variable { name, ty: DType::I64 });
        let first = self.value();
        body.push(Stmt::Set(private, first));
        self.own = Some((own, vec![private]));
        let count = 1 + self.choice(8);
        for _ in 0..count {
            self.stmt(&mut body, depth - 1);
        }
        self.store(&mut body);
        self.own = None;
        self.labels = labels;
        body
    }

    /// A loop that is left after three turns.
    fn counted(&mut self, list: &mut Vec<Stmt>, depth: u32) {
        let name = format!("turns{}", self.kernel.variables.len());
        let turns = self.kernel.variables.push(Variable { name, ty: DType::I64 });
        let zero = self.int(list, 0);
        list.push(Stmt::Set(turns, zero));
        let label = self.label();
        let visible = self.visible.len();
        let mut body = Vec::new();
        let before = self.let_(&mut body, Op::Get(turns), DType::I64);
        let (one, most) = (self.int(&mut body, 1), self.int(&mut body, 3));
        let now = self.let_(&mut body, Op::Binary(BinaryOp::Add, before, one), DType::I64);
        body.push(Stmt::Set(turns, now));
        let enough = self.let_(&mut body, Op::Binary(BinaryOp::Lt, most, now), DType::Bool);
        body.push(Stmt::If { condition: enough, then: vec![Stmt::Exit(label)], otherwise: Vec::new() });
        body.extend(self.nested(depth - 1));
        self.visible.truncate(visible);
        self.labels.pop();
        list.push(Stmt::Block(label, vec![Stmt::Loop(body)]));
    }

    /// Memory that is written and read further on.
    fn scratch(&mut self, list: &mut Vec<Stmt>) {
        let name = format!("scratch{}", self.kernel.buffers.len());
        let buffer = self.kernel.buffers.push(BufferDecl { name, kind: BufferKind::Scratch });
        let size = [8, 8 * ELEMENTS, 10_000][self.choice(3)];
        let bytes = self.int(list, size);
        list.push(Stmt::Alloc { buffer, bytes, zero: true, trap: self.trap });
        let address = self.address(list, buffer, 0);
        let value = self.value();
        list.push(Stmt::Store { buffer, address, displacement: 0, value });
        for _ in 0..self.choice(4) {
            self.stmt(list, 0);
        }
        let address = self.address(list, buffer, 0);
        self.let_(list, Op::Load { buffer, address, displacement: 0, ty: DType::I64 }, DType::I64);
    }

    /// Blocks that jump forwards.
    fn cfg(&mut self, list: &mut Vec<Stmt>, depth: u32) {
        let count = 2 + self.choice(3) as u32;
        let mut blocks = Vec::new();
        for at in 0..count {
            let mut body = self.nested(depth - 1);
            let jump = match count - at - 1 {
                0 => Jump::End,
                left => {
                    let condition = self.condition(&mut body);
                    let further = 1 + self.choice(left as usize) as u32;
                    Jump::Branch(condition, at + 1, at + further)
                }
            };
            blocks.push(CfgBlock { body, jump });
        }
        list.push(Stmt::Cfg(blocks));
    }
}

fn program(choices: &[u8]) -> Kernel {
    let mut kernel = Kernel { name: "random".to_owned(), ..Kernel::default() };
    for index in 0..2 {
        let name = format!("argument{index}");
        kernel.buffers.push(BufferDecl { name, kind: BufferKind::Argument(index) });
    }
    for index in 0..VARIABLES {
        kernel.variables.push(Variable { name: format!("shared{index}"), ty: DType::I64 });
    }
    let trap = kernel.traps.push(TrapInfo {
        kind: TrapKind::OutOfRange,
        message: "too large".to_owned(),
        place: Vec::new(),
    });
    let choices = choices.iter();
    let mut maker = Maker { kernel, choices, visible: Vec::new(), labels: Vec::new(), trap, own: None };
    let mut body = Vec::new();
    // The evaluator wants variables set before they are read.
    for index in 0..VARIABLES {
        let value = maker.int(&mut body, i64::from(index) * 3 - 2);
        body.push(Stmt::Set(VarId(index), value));
    }
    while maker.choices.len() > 0 {
        maker.stmt(&mut body, 3);
    }
    for index in 0..VARIABLES {
        let value = maker.let_(&mut body, Op::Get(VarId(index)), DType::I64);
        let address = maker.address(&mut body, BufferId(0), i64::from(index));
        body.push(Stmt::Store { buffer: BufferId(0), address, displacement: 0, value });
    }
    maker.kernel.body = body;
    maker.kernel
}

fn cases() -> u32 {
    std::env::var("PELTON_PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

fn arguments() -> Vec<Vec<u8>> {
    let numbers = |factor: i64| (0..ELEMENTS).flat_map(|at| (at * factor - 9).to_le_bytes()).collect();
    vec![numbers(3), numbers(5)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn a_program_in_pieces_does_what_it_does_in_one(
        choices in prop::collection::vec(any::<u8>(), 0..300),
        longest in prop_oneof![Just(1_usize), 2_usize..60, Just(100_000)],
        optimize: bool,
        nests: bool,
        threads in 1_usize..3,
    ) {
        let mut kernel = program(&choices);
        prop_assert_eq!(verify::verify(&kernel), Ok(()));
        let mut expected = arguments();
        let ended = eval::run(&kernel, &mut expected, &[], 1_000_000);
        prop_assert!(ended.is_ok(), "{:?}\n{}", ended, kernel);
        parallel::find(&mut kernel, 0.0);
        let planned = Planned::of(&mut kernel);
        prop_assert_eq!(verify::verify(&kernel), Ok(()));
        let vectors = (nests && wide::is_available()).then_some(wide::Settings { bits: 256, fast: false });
        let request = Request { vectors, disjoint: false, longest, threads: 1, keep_text: false };
        let emitted = emit(&kernel, &isa::host(optimize).unwrap(), &request).unwrap();
        let code = Code::new(&emitted, "test").unwrap();
        let mut found = arguments();
        let addresses: Vec<*mut u8> = found.iter_mut().map(|bytes| bytes.as_mut_ptr()).collect();
        let mut instance = Instance::default();
        instance.take(&code, &planned, &[], &MemoryOptions::default()).unwrap();
        let call = Run { arguments: &addresses, parameters: &[], overlap: false, threads, grain: 0.0, fast: false };
        // SAFETY: two buffers of 16 numbers, which is what the program touches; memory was taken for the code.
        let trap = unsafe { run(&code, &mut instance, &call, None) };
        match ended {
            Ok(eval::Ended::Done) => {
                prop_assert_eq!(trap, None);
                prop_assert_eq!(&found, &expected, "longest {}\n{}", longest, kernel);
            }
            // What a stopped program has written depends on how far its threads came.
            _ => prop_assert_eq!(trap, Some(0)),
        }
    }
}

#[test]
fn threads_that_compile_give_the_same_code() {
    let choices: Vec<u8> = (0..60_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let kernel = program(&choices);
    let isa = isa::host(false).unwrap();
    let with = |threads| emit(&kernel, &isa, &Request { threads, ..Request::default() }).unwrap();
    let (alone, shared) = (with(1), with(3));
    assert!(alone.functions.len() > 3, "{}", alone.functions.len());
    assert!(alone.instructions > 2 * super::GRAIN, "{}", alone.instructions);
    assert_eq!(alone.code.len(), shared.code.len());
    assert_eq!(alone.functions, shared.functions);
}

/// `for k { c[0] = max(c[0], a[k] + a[k + 1]) }`, where `a` is `c` too: what is stored is loaded in another way as well.
#[test]
fn an_element_that_a_loop_carries_is_in_memory_too() {
    use crate::kernel::build::{Builder, LoopFacts};
    for (element, trips) in [(0, 0), (0, 1), (0, 7), (3, 7), (7, 7), (12, 7)] {
        let mut b = Builder::new("carried");
        let buffer = b.buffer("a", BufferKind::Argument(0));
        let base = b.value(Op::Base(buffer), DType::I64);
        let (zero, stop, eight, offset, empty) =
            (b.int(0), b.int(trips), b.int(8), b.int(8 * element), b.bool(false));
        let place = b.add(base, offset);
        let k = b.new_value(DType::I64, 1);
        b.open_loop(LoopFacts { variable: k, lowest: zero, highest: zero, empty });
        let load = |b: &mut Builder, address, displacement| {
            b.value(Op::Load { buffer, address, displacement, ty: DType::I64 }, DType::I64)
        };
        let moved = b.mul(k, eight);
        let address = b.add(base, moved);
        let total = load(&mut b, place, 0);
        let (first, second) = (load(&mut b, address, 0), load(&mut b, address, 8));
        let sum = b.add(first, second);
        let value = b.binary(BinaryOp::Max, total, sum);
        b.push(Stmt::Store { buffer, address: place, displacement: 0, value });
        let body = b.close();
        b.push(Stmt::For { variable: k, start: zero, stop, step: 1, order: Order::InTurn, body });
        let kernel = b.finish();
        assert_eq!(verify::verify(&kernel), Ok(()));
        let mut expected = vec![arguments().swap_remove(0)];
        assert_eq!(eval::run(&kernel, &mut expected, &[], 10_000), Ok(eval::Ended::Done));
        for optimize in [false, true] {
            let emitted = emit(&kernel, &isa::host(optimize).unwrap(), &Request::default()).unwrap();
            let code = Code::new(&emitted, "test").unwrap();
            let mut found = arguments().swap_remove(0);
            let addresses = [found.as_mut_ptr()];
            // SAFETY: one buffer of 16 numbers, which is what the program touches.
            let trap = unsafe { run(&code, &mut Instance::default(), &once(&addresses, &[]), None) };
            assert_eq!(trap, None);
            assert_eq!(found, expected[0], "element {element}, {trips} turns");
        }
    }
}

/// `for i { x = mask[i]; if x { s = s * 3 + a[i] } }`, then `s` and `x` are stored: masks of every density and length.
#[test]
fn loops_over_masks_skip_what_does_nothing() {
    use crate::kernel::build::{Builder, LoopFacts};
    let kernel = |start: i64, stop: i64| {
        let mut b = Builder::new("sparse");
        let buffers = [0, 1].map(|index| b.buffer("buffer", BufferKind::Argument(index)));
        let bases = buffers.map(|buffer| b.value(Op::Base(buffer), DType::I64));
        let (x, s) = (b.variable("x", DType::Bool), b.variable("s", DType::I64));
        let (start, stop, eight, three) = (b.int(start), b.int(stop), b.int(8), b.int(3));
        let yes = b.bool(true);
        b.set(x, yes);
        b.set(s, three);
        let i = b.new_value(DType::I64, 1);
        b.open_loop(LoopFacts { variable: i, lowest: start, highest: stop, empty: yes });
        let place = b.add(bases[0], i);
        let load = Op::Load { buffer: buffers[0], address: place, displacement: 1, ty: DType::Bool };
        let condition = b.value(load, DType::Bool);
        b.set(x, condition);
        let moved = b.mul(i, eight);
        let address = b.add(bases[1], moved);
        b.open_branch();
        let load = Op::Load { buffer: buffers[1], address, displacement: 0, ty: DType::I64 };
        let loaded = b.value(load, DType::I64);
        let old = b.get(s);
        let old = b.mul(old, three);
        let new = b.add(old, loaded);
        b.set(s, new);
        let then = b.close();
        b.push(Stmt::If { condition, then, otherwise: Vec::new() });
        let body = b.close();
        b.push(Stmt::For { variable: i, start, stop, step: 1, order: Order::InTurn, body });
        for (displacement, variable) in [(320, s), (328, x)] {
            let value = b.get(variable);
            let value = b.cast(DType::I64, value);
            b.push(Stmt::Store { buffer: buffers[1], address: bases[1], displacement, value });
        }
        b.finish()
    };
    for (start, stop) in (0..34).map(|stop| (0, stop)).chain([(3, 30), (7, 8), (9, 4)]) {
        let kernel = kernel(start, stop);
        assert_eq!(verify::verify(&kernel), Ok(()));
        for every in [1, 2, 9, 17, 100] {
            let fill = || {
                let mask: Vec<u8> = (0..42).map(|at| u8::from(at % every == every / 2)).collect();
                vec![mask, (0..42_i64).flat_map(|at| (at * 5 - 9).to_le_bytes()).collect()]
            };
            let mut expected = fill();
            assert_eq!(eval::run(&kernel, &mut expected, &[], 10_000), Ok(eval::Ended::Done));
            let emitted = emit(&kernel, &isa::host(true).unwrap(), &Request::default()).unwrap();
            let code = Code::new(&emitted, "test").unwrap();
            let mut found = fill();
            let addresses: Vec<*mut u8> = found.iter_mut().map(|bytes| bytes.as_mut_ptr()).collect();
            // SAFETY: the evaluator ran the same kernel on buffers of the same sizes without a stray access.
            let trap = unsafe { run(&code, &mut Instance::default(), &once(&addresses, &[]), None) };
            assert_eq!(trap, None);
            assert_eq!(found, expected, "{start} to {stop}, every {every}");
        }
    }
}
