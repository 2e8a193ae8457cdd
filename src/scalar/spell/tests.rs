//! Random code, its text lowered again, and both evaluated: the same values.

use proptest::prelude::*;

use std::result::Result;

use super::{Block, Code, DType, Diagnostic, Names, Op, PortKind, ValueId, spell};
use crate::scalar::parse::build::{self, PortSpec};
use crate::scalar::parse::python;
use crate::scalar::trial::{Symbols, TYPES, Trial, same};
use crate::scalar::{BinaryOp, Func, Inst, Port, Scalar, StructTable, Type, UnaryOp};

const BINARY: [BinaryOp; 19] = [
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Div,
    BinaryOp::FloorDiv,
    BinaryOp::Rem,
    BinaryOp::Mod,
    BinaryOp::Min,
    BinaryOp::Max,
    BinaryOp::BitAnd,
    BinaryOp::BitOr,
    BinaryOp::BitXor,
    BinaryOp::Shl,
    BinaryOp::Shr,
    BinaryOp::Eq,
    BinaryOp::Ne,
    BinaryOp::Lt,
    BinaryOp::Le,
    BinaryOp::Ge,
];

const UNARY: [Func; 12] = [
    Func::Abs,
    Func::Sqrt,
    Func::Exp,
    Func::Sin,
    Func::Cbrt,
    Func::Gamma,
    Func::Floor,
    Func::Ceil,
    Func::Trunc,
    Func::Tanh,
    Func::IsNan,
    Func::IsFinite,
];

/// Decisions, taken one after another; zeros when they run out.
struct Dice {
    rolls: Vec<u8>,
    next: usize,
}

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        let roll = self.rolls.get(self.next).copied().unwrap_or(0);
        self.next += 1;
        usize::from(roll) % sides.max(1)
    }
}

struct Maker {
    code: Code,
    dice: Dice,
    names: Names,
    /// Values in scope.
    scope: Vec<ValueId>,
}

impl Maker {
    fn push(&mut self, block: &mut Block, ty: DType, op: Op) -> ValueId {
        let value = self.code.types.push(Type::Scalar(ty));
        block.insts.push(Inst { op, results: vec![value] });
        self.scope.push(value);
        value
    }

    fn any_of(&mut self, dtype: DType, block: &mut Block) -> ValueId {
        let fitting: Vec<ValueId> = self
            .scope
            .iter()
            .copied()
            .filter(|&value| self.code.types[value] == Type::Scalar(dtype))
            .collect();
        if fitting.is_empty() || self.dice.roll(8) == 0 {
            let number = self.dice.roll(7) as f64 - 3.0;
            let scalar = crate::scalar::arith::cast(dtype, Scalar::F64(number * 0.5));
            return self.push(block, dtype, Op::Const(scalar));
        }
        fitting[self.dice.roll(fitting.len())]
    }

    fn some_type(&mut self) -> DType {
        TYPES[self.dice.roll(TYPES.len())]
    }

    fn block(&mut self, depth: usize, count: usize) -> Block {
        let mut block = Block::default();
        for _ in 0..count {
            self.inst(depth, &mut block);
        }
        block
    }

    fn inst(&mut self, depth: usize, block: &mut Block) {
        let dtype = self.some_type();
        match self.dice.roll(if depth == 0 { 12 } else { 9 }) {
            0 => {
                let a = self.any_of(dtype, block);
                let to = self.some_type();
                self.push(block, to, Op::Cast(to, a));
            }
            1 => {
                let a = self.any_of(dtype, block);
                let op = [UnaryOp::Neg, UnaryOp::Not, UnaryOp::BitNot][self.dice.roll(3)];
                let fits = match op {
                    UnaryOp::Neg => true,
                    UnaryOp::Not => dtype == DType::Bool,
                    UnaryOp::BitNot => dtype.is_integral(),
                };
                let op = if fits { op } else { UnaryOp::Neg };
                self.push(block, dtype, Op::Unary(op, a));
            }
            2 => {
                let (c, a) = (self.any_of(DType::Bool, block), self.any_of(dtype, block));
                let b = self.any_of(dtype, block);
                self.push(block, dtype, Op::Select(c, a, b));
            }
            3 => {
                let a = self.any_of(dtype, block);
                let func = UNARY[self.dice.roll(UNARY.len())];
                let test = matches!(func, Func::IsNan | Func::IsFinite);
                let ty = if test { DType::Bool } else { dtype };
                self.push(block, ty, Op::Call(func, vec![a]));
            }
            4 => {
                let a = self.any_of(dtype, block);
                let exponent = self.dice.roll(9) as i32 - 3;
                let exponent = self.push(block, DType::I32, Op::Const(Scalar::I32(exponent)));
                self.push(block, dtype, Op::Call(Func::PowI, vec![a, exponent]));
            }
            5 => {
                let float = [DType::F32, DType::F64][self.dice.roll(2)];
                let (a, b) = (self.any_of(float, block), self.any_of(float, block));
                let func = [Func::Pow, Func::Atan2, Func::Fmod, Func::CopySign][self.dice.roll(4)];
                self.push(block, float, Op::Call(func, vec![a, b]));
            }
            9 | 10 => {
                let condition = self.any_of(DType::Bool, block);
                let (mark, count) = (self.scope.len(), 1 + self.dice.roll(3));
                let mut sides = [(); 2].map(|()| {
                    let mut side = self.block(depth + 1, count);
                    let result = self.any_of(dtype, &mut side);
                    side.results.push(result);
                    self.scope.truncate(mark);
                    side
                });
                let [then, otherwise] = [std::mem::take(&mut sides[0]), std::mem::take(&mut sides[1])];
                self.push(block, dtype, Op::If { condition, then, otherwise });
            }
            11 => self.repeat(depth, block, dtype),
            _ => {
                let op = BINARY[self.dice.roll(BINARY.len())];
                let bits = matches!(
                    op,
                    BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor | BinaryOp::Shl | BinaryOp::Shr
                );
                let dtype = if bits && !dtype.is_integral() { DType::I32 } else { dtype };
                let (a, b) = (self.any_of(dtype, block), self.any_of(dtype, block));
                let ty = if op.is_comparison() { DType::Bool } else { dtype };
                self.push(block, ty, Op::Binary(op, a, b));
            }
        }
    }

    /// A loop of three rounds that carries a counter and two values of a type, which may change places.
    fn repeat(&mut self, depth: usize, block: &mut Block, dtype: DType) {
        let zero = self.push(block, DType::I64, Op::Const(Scalar::I64(0)));
        let (a, b) = (self.any_of(dtype, block), self.any_of(dtype, block));
        let mark = self.scope.len();
        let types = [DType::I64, dtype, dtype];
        let params: Vec<ValueId> = types.iter().map(|&ty| self.code.types.push(Type::Scalar(ty))).collect();
        let mut condition = Block::default();
        let three = self.push(&mut condition, DType::I64, Op::Const(Scalar::I64(3)));
        let test = self.push(&mut condition, DType::Bool, Op::Binary(BinaryOp::Lt, params[0], three));
        condition.results.push(test);
        self.scope.truncate(mark);
        self.scope.extend(&params);
        let count = 1 + self.dice.roll(3);
        let mut body = self.block(depth + 1, count);
        let one = self.push(&mut body, DType::I64, Op::Const(Scalar::I64(1)));
        let next = self.push(&mut body, DType::I64, Op::Binary(BinaryOp::Add, params[0], one));
        let (x, y) = (self.any_of(dtype, &mut body), self.any_of(dtype, &mut body));
        body.results = vec![next, x, y];
        self.scope.truncate(mark);
        let results: Vec<ValueId> = types.iter().map(|&ty| self.code.types.push(Type::Scalar(ty))).collect();
        let op = Op::Loop { carried: vec![zero, a, b], params, condition, body };
        block.insts.push(Inst { op, results: results.clone() });
        self.scope.extend(results);
    }
}

fn random_code(rolls: Vec<u8>) -> (Code, Names) {
    let mut maker = Maker {
        code: Code::default(),
        dice: Dice { rolls, next: 0 },
        names: Names::default(),
        scope: Vec::new(),
    };
    let mut body = Block::default();
    for (number, dtype) in TYPES.into_iter().enumerate() {
        let name = maker.names.intern(&format!("in_{number}"));
        let port = Port { name, ty: Type::Scalar(dtype), kind: PortKind::Value, reads: true, writes: false };
        let port = maker.code.ports.push(port);
        maker.push(&mut body, dtype, Op::Input(port));
    }
    // A symbol that looks like a variable of the text.
    let symbol = maker.names.intern("v3");
    maker.code.symbols.push((symbol, DType::I64));
    maker.push(&mut body, DType::I64, Op::Symbol(0));
    let count = 1 + maker.dice.roll(12);
    for _ in 0..count {
        maker.inst(0, &mut body);
    }
    for (number, &value) in maker.scope.iter().rev().take(4).enumerate() {
        let name = maker.names.intern(&format!("out_{number}"));
        let ty = maker.code.types[value];
        let port = Port { name, ty, kind: PortKind::Value, reads: false, writes: true };
        let port = maker.code.ports.push(port);
        body.insts.push(Inst { op: Op::Output { port, value }, results: Vec::new() });
    }
    maker.code.body = body;
    (maker.code, maker.names)
}

fn lowered_again(code: &Code, names: &mut Names) -> Result<(Code, String), Diagnostic> {
    let text = spell(code, names)?;
    let specs = code.ports.values().map(|port| PortSpec {
        port: port.clone(),
        unit_dimensions: Vec::new(),
        one_element: true,
        infer_type: false,
    });
    let specs = specs.collect();
    let statements = python::statements(&text).map_err(|error| error.with_note(text.clone()))?;
    let again = build::tasklet(names, &StructTable::default(), specs, &Symbols(DType::I32), &statements)
        .map_err(|error| error.with_note(text.clone()))?;
    again.verify(&StructTable::default()).map_err(|error| error.with_note(text.clone()))?;
    Ok((again, text))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn text_means_what_the_code_means(
        rolls in prop::collection::vec(any::<u8>(), 200),
        numbers in prop::collection::vec(prop_oneof![
            -4.0..4.0f64,
            Just(0.0),
            Just(-0.0),
            Just(1.0),
            Just(f64::NAN),
            Just(f64::INFINITY),
            -3e9..3e9f64,
        ], TYPES.len()),
    ) {
        let (code, mut names) = random_code(rolls);
        code.verify(&StructTable::default()).unwrap();
        let inputs: Vec<Scalar> =
            TYPES.into_iter().zip(&numbers).map(|(dtype, &number)| crate::scalar::arith::cast(dtype, Scalar::F64(number))).collect();
        let (again, text) = lowered_again(&code, &mut names).unwrap();
        let run = |code: &Code| Trial::new(&inputs, |_| Scalar::I32(5)).run(code);
        match (run(&code), run(&again)) {
            // What nobody needs is not computed, so its trap may vanish.
            (Err(_), _) => {}
            (Ok(expected), Ok(found)) => {
                prop_assert!(same(&expected, &found), "{:?}\n{:?}\n{}", expected, found, text);
            }
            (Ok(_), Err(trap)) => prop_assert!(false, "{trap}\n{text}"),
        }
    }
}

#[test]
fn text_is_readable() {
    let mut names = Names::default();
    let mut code = Code::default();
    let mut port = |name: &str, writes: bool| {
        let name = names.intern(name);
        code.ports.push(Port { name, ty: Type::F64, kind: PortKind::Value, reads: !writes, writes })
    };
    let (a, b, out) = (port("a", false), port("b", false), port("out", true));
    let mut block = Block::default();
    let mut emit = |op| {
        let value = code.types.push(Type::F64);
        block.insts.push(Inst { op, results: vec![value] });
        value
    };
    let (a, b) = (emit(Op::Input(a)), emit(Op::Input(b)));
    let half = emit(Op::Const(Scalar::F64(0.5)));
    let sum = emit(Op::Binary(BinaryOp::Add, a, b));
    let square = emit(Op::Binary(BinaryOp::Mul, sum, sum));
    let value = emit(Op::Binary(BinaryOp::Mul, half, square));
    block.insts.push(Inst { op: Op::Output { port: out, value }, results: Vec::new() });
    code.body = block;
    assert_eq!(spell(&code, &names).unwrap(), "v0 = a + b\nout = 0.5 * (v0 * v0)");
}

#[test]
fn complex_numbers_have_no_text() {
    let mut names = Names::default();
    let mut code = Code::default();
    let name = names.intern("out");
    let port = code.ports.push(Port {
        name,
        ty: Type::Scalar(DType::C128),
        kind: PortKind::Value,
        reads: false,
        writes: true,
    });
    let value = code.types.push(Type::Scalar(DType::C128));
    code.body.insts = vec![
        Inst { op: Op::Const(Scalar::zero(DType::C128)), results: vec![value] },
        Inst { op: Op::Output { port, value }, results: Vec::new() },
    ];
    assert_eq!(spell(&code, &names).unwrap_err().code, "P0311");
}
