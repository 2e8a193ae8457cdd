//! Tasklet texts, what they do to memory, and what is refused.

use std::collections::BTreeMap;

use pelton::entity::{Name, Names};
use pelton::scalar::eval::{self, Frame, Memory};
use pelton::scalar::parse::build::{self, ConstantView, Environment, PortSpec};
use pelton::scalar::parse::{c, python};
use pelton::scalar::{
    Code, DType, Port, PortId, PortKind, Scalar, StructDef, StructTable, Trap, Type, Value,
};

/// A tasklet under test: its connectors, what they hold, and the record types there are.
#[derive(Default)]
struct Case {
    names: Names,
    structs: StructTable,
    ports: Vec<PortSpec>,
    memory: Store,
    symbols: Vec<(Name, DType, Scalar)>,
    constants: Vec<(Name, Vec<i64>, Vec<Scalar>)>,
}

#[derive(Default)]
struct Store {
    inputs: BTreeMap<u32, Value>,
    elements: BTreeMap<(u32, Vec<i64>), Value>,
    queues: BTreeMap<u32, Vec<Value>>,
    outputs: BTreeMap<u32, Value>,
    undefined: Vec<u32>,
    symbols: Vec<Scalar>,
    absent: bool,
    fuel: u32,
}

impl Environment for Case {
    fn symbol(&self, name: Name) -> Option<DType> {
        self.symbols.iter().find(|(known, ..)| *known == name).map(|(_, dtype, _)| *dtype)
    }
    fn constant(&self, name: Name) -> Option<ConstantView<'_>> {
        let (_, shape, values) = self.constants.iter().find(|(known, ..)| *known == name)?;
        Some(ConstantView { shape, values })
    }
}

impl Memory for Store {
    type Fault = Trap;

    fn input(&mut self, port: PortId) -> Result<Option<Value>, Trap> {
        Ok(self.inputs.get(&port.0).cloned())
    }
    fn symbol(&mut self, index: u32) -> Result<Option<Scalar>, Trap> {
        Ok(self.symbols.get(index as usize).copied())
    }
    fn load(&mut self, port: PortId, indices: &[i64]) -> Result<Option<Value>, Trap> {
        let value = self.elements.get(&(port.0, indices.to_vec()));
        value.cloned().map(Some).ok_or(Trap::IndexOutOfRange)
    }
    fn store(&mut self, port: PortId, indices: &[i64], value: &Value) -> Result<(), Trap> {
        self.elements.insert((port.0, indices.to_vec()), value.clone());
        Ok(())
    }
    fn output(&mut self, port: PortId, value: &Value) -> Result<(), Trap> {
        self.outputs.insert(port.0, value.clone());
        Ok(())
    }
    fn push(&mut self, port: PortId, value: &Value) -> Result<(), Trap> {
        self.queues.entry(port.0).or_default().push(value.clone());
        Ok(())
    }
    fn pop(&mut self, port: PortId) -> Result<Option<Value>, Trap> {
        let queue = self.queues.entry(port.0).or_default();
        if queue.is_empty() { Err(Trap::EmptyStream) } else { Ok(Some(queue.remove(0))) }
    }
    fn is_absent(&mut self, _port: PortId) -> Result<bool, Trap> {
        Ok(self.absent)
    }
    fn undefined(&mut self, port: PortId, _indices: &[i64]) -> Result<(), Trap> {
        self.undefined.push(port.0);
        Ok(())
    }
    fn tick(&mut self) -> Result<(), Trap> {
        self.fuel += 1;
        if self.fuel > 1000 { Err(Trap::Fuel) } else { Ok(()) }
    }
}

fn f(value: f64) -> Value {
    Value::Scalar(Scalar::F64(value))
}

fn i(value: i32) -> Value {
    Value::Scalar(Scalar::I32(value))
}

impl Case {
    fn port(mut self, name: &str, ty: impl Into<Type>, kind: PortKind, writes: bool) -> Self {
        let name = self.names.intern(name);
        self.ports.push(PortSpec {
            port: Port { name, ty: ty.into(), kind, reads: !writes, writes },
            unit_dimensions: Vec::new(),
            one_element: !matches!(kind, PortKind::Pointer { .. } | PortKind::Memory),
            infer_type: false,
        });
        self
    }

    fn input(mut self, name: &str, value: Value) -> Self {
        let ty = match &value {
            Value::Scalar(scalar) => Type::Scalar(scalar.dtype()),
            Value::Vector(lanes) => Type::Vector(lanes[0].dtype(), lanes.len() as u16),
            Value::Struct(_) => panic!("no records here"),
        };
        self.memory.inputs.insert(self.ports.len() as u32, value);
        self.port(name, ty, PortKind::Value, false)
    }

    fn output(self, name: &str, ty: impl Into<Type>) -> Self {
        self.port(name, ty, PortKind::Value, true)
    }

    /// A pointer to a matrix (or vector) of doubles that may be read and written.
    fn array(mut self, name: &str, elements: &[(&[i64], f64)]) -> Self {
        let at = self.ports.len() as u32;
        let rank = elements.first().map_or(1, |(indices, _)| indices.len() as u8);
        for (indices, value) in elements {
            self.memory.elements.insert((at, indices.to_vec()), f(*value));
        }
        let mut case = self.port(name, DType::F64, PortKind::Pointer { rank }, false);
        if let Some(spec) = case.ports.last_mut() {
            spec.port.writes = true;
        }
        case
    }

    fn symbol(mut self, name: &str, value: Scalar) -> Self {
        let name = self.names.intern(name);
        self.symbols.push((name, value.dtype(), value));
        self
    }

    fn lower(&mut self, text: &str) -> Result<Code, pelton::diag::Diagnostic> {
        let statements = python::statements(text)?;
        self.build(&statements)
    }

    fn build(
        &mut self,
        list: &[pelton::scalar::parse::tree::Stmt],
    ) -> Result<Code, pelton::diag::Diagnostic> {
        let mut names = std::mem::take(&mut self.names);
        let code = build::tasklet(&mut names, &self.structs, self.ports.clone(), self, list);
        self.names = names;
        let code = code?;
        code.verify(&self.structs).unwrap_or_else(|error| {
            panic!("{error}\n{}", pelton::scalar::print(&code, &self.names));
        });
        Ok(code)
    }

    fn execute(mut self, code: &Code) -> Result<Store, Trap> {
        for (name, _) in &code.symbols {
            let symbol = self.symbols.iter().find(|(known, ..)| known == name).unwrap();
            self.memory.symbols.push(symbol.2);
        }
        eval::run(code, &mut self.memory, &mut Frame::new())?;
        Ok(self.memory)
    }

    fn run(mut self, text: &str) -> Result<Store, Trap> {
        let code = self.lower(text).unwrap();
        self.execute(&code)
    }

    fn run_cpp(mut self, text: &str) -> Result<Store, Trap> {
        let code = self.build(&c::statements(text).unwrap()).unwrap();
        self.execute(&code)
    }

    /// The only output of a run.
    fn result(self, text: &str) -> Value {
        self.run(text).unwrap().outputs.into_values().next().unwrap()
    }
}

fn refused(case: Case, text: &str) -> &'static str {
    let mut case = case;
    match case.lower(text) {
        Ok(code) => panic!("accepted:\n{}", pelton::scalar::print(&code, &case.names)),
        Err(error) => error.code,
    }
}

#[test]
fn locals_take_the_type_of_their_first_value() {
    let case = || Case::default().input("a", i(7)).output("o", DType::F64);
    assert_eq!(case().result("t = a\nt = t / 2.0\no = t"), f(3.0));
    assert_eq!(case().result("t = a / 2.0\no = t"), f(3.5));
    assert_eq!(case().result("t: dace.float32 = a\no = t / 2"), f(3.5));
}

#[test]
fn assignments_in_all_forms() {
    let case = || Case::default().input("a", i(7)).output("o", DType::F64);
    assert_eq!(case().result("x = y = a\nx += 1\no = x * 10 + y"), f(87.0));
    assert_eq!(case().result("x, y = a, 2\nx, y = y, x\no = x * 10 + y"), f(27.0));
    assert_eq!(case().result("o = a\no -= 0.5\no **= 2"), f(42.25));
    assert_eq!(case().result("a = a + 1\no = a"), f(8.0));
    assert_eq!(case().result("   o = a\n   o = o + 1\n"), f(8.0));
}

#[test]
fn an_output_that_one_branch_leaves_out_is_undefined_there() {
    let case = |c| Case::default().input("c", Value::Scalar(Scalar::Bool(c))).output("o", DType::F64);
    assert_eq!(case(true).run("if c:\n    o = 1").unwrap().outputs[&1], f(1.0));
    let skipped = case(false).run("if c:\n    o = 1").unwrap();
    assert!(skipped.outputs.is_empty());
    assert_eq!(skipped.undefined, [1]);
    assert_eq!(case(false).run("if c:\n    o = 1\nelse:\n    o = 2").unwrap().outputs[&1], f(2.0));
}

#[test]
fn a_reference_is_written_at_the_statement() {
    let case = |c| {
        let case = Case::default().input("c", Value::Scalar(Scalar::Bool(c)));
        case.port("o", DType::F64, PortKind::Reference, true)
    };
    assert_eq!(case(true).run("if c:\n    o = 1").unwrap().elements[&(1, vec![])], f(1.0));
    assert!(case(false).run("if c:\n    o = 1").unwrap().elements.is_empty());
}

#[test]
fn pointers_are_indexed_by_their_rank_or_that_of_the_container() {
    let matrix: &[(&[i64], f64)] = &[(&[0, 0], 1.0), (&[0, 1], 2.0), (&[1, 0], 3.0), (&[1, 1], 4.0)];
    let case = || Case::default().array("x", matrix).input("k", i(1)).output("o", DType::F64);
    assert_eq!(case().result("o = x[k, 0] * 10 + x[0, k]"), f(32.0));
    let written = case().run("x[k, k] = x[0, 0] + 0.5").unwrap();
    assert_eq!(written.elements[&(0, vec![1, 1])], f(1.5));

    // The same connector, when its memlet has one element in the first dimension.
    let row = || {
        let mut case = Case::default().array("x", &[(&[0], 1.0), (&[1], 2.0)]).output("o", DType::F64);
        case.ports[0].unit_dimensions = vec![true, false];
        case
    };
    assert_eq!(row().result("o = x[1]"), f(2.0));
    assert_eq!(row().result("o = x[0, 1]"), f(2.0));
    assert_eq!(refused(row(), "o = x[0, 0, 1]"), "P0307");
    assert_eq!(refused(row(), "o = x"), "P0307");
    assert_eq!(refused(row(), "o = x[0.5]"), "P0307");
    assert_eq!(refused(row(), "o = x[0:1]"), "P0304");
}

#[test]
fn what_c_would_not_evaluate_is_not_evaluated() {
    let case = |a| Case::default().input("a", i(a)).array("x", &[(&[5], 9.0)]).output("o", DType::F64);
    assert_eq!(case(0).result("o = a != 0 and 10 / a > 1"), f(0.0));
    assert_eq!(case(2).result("o = a != 0 and 10 / a > 1"), f(1.0));
    assert_eq!(case(0).result("o = a == 0 or 10 / a > 1"), f(1.0));
    assert_eq!(case(0).result("o = 10 / a if a else -1"), f(-1.0));
    assert_eq!(case(5).result("o = x[a] if a > 0 else 0"), f(9.0));
    assert_eq!(case(-1).result("o = x[a] if a > 0 else 0"), f(0.0));
    assert_eq!(case(0).run("o = 10 / a").err(), Some(Trap::DivisionByZero));
}

#[test]
fn loops_carry_what_they_assign() {
    let case = |n| Case::default().input("n", i(n)).output("o", DType::F64);
    assert_eq!(case(5).result("s = 0.0\nfor j in range(n):\n    s = s + j\no = s"), f(10.0));
    assert_eq!(case(0).result("s = 1.5\nfor j in range(n):\n    s = s + j\no = s"), f(1.5));
    assert_eq!(case(10).result("s = 0\nfor j in range(n, 0, -3):\n    s += j\no = s"), f(22.0));
    assert_eq!(case(40).result("s = 0\nwhile n > 1:\n    n = n / 2\n    s += 1\no = s"), f(5.0));
    // Both are replaced at once.
    assert_eq!(case(9).result("x = 0\ny = 1\nfor j in range(n):\n    x, y = y, x + y\no = x"), f(34.0));
    assert_eq!(case(1).run("while n > 0:\n    n = 1\no = n").err(), Some(Trap::Fuel));
}

#[test]
fn streams_are_pushed_and_popped() {
    let mut case = Case::default().port("s", DType::I32, PortKind::Stream, false).port(
        "t",
        DType::F64,
        PortKind::Stream,
        true,
    );
    case.memory.queues.insert(0, vec![i(4), i(5)]);
    let after = case.run("a = s\nb = s\nt = a + b\nif a > b:\n    t = 0").unwrap();
    assert_eq!(after.queues[&1], [f(9.0)]);
    let empty = Case::default().port("s", DType::I32, PortKind::Stream, false).output("o", DType::I32);
    assert_eq!(empty.run("o = s").err(), Some(Trap::EmptyStream));
}

#[test]
fn records_are_made_read_and_changed() {
    let case = || {
        let mut case = Case::default();
        let (pair, idx, val) =
            (case.names.intern("pair"), case.names.intern("idx"), case.names.intern("val"));
        let fields = [(idx, Type::I32), (val, Type::F64)];
        let def = StructDef::with_c_layout(pair, &fields, &case.structs);
        let id = case.structs.push(def);
        case.input("k", i(3)).output("o", Type::Struct(id))
    };
    let expected = Value::Struct(vec![i(3), f(2.5)].into_boxed_slice());
    assert_eq!(case().result("o = pair(val=2.5, idx=k)"), expected);
    assert_eq!(case().result("o = __DACESTRUCT_pair(idx=k, val=2.5)"), expected);
    assert_eq!(case().result("o.idx = k\no.val = 5 / 2.0"), expected);
    assert_eq!(case().result("t = pair(idx=1, val=2.5)\no = pair(idx=t.idx + 2, val=t.val)"), expected);
    assert_eq!(refused(case(), "o = pair(nobody=1)"), "P0306");
    assert_eq!(refused(case(), "o = 1"), "P0306");
    assert_eq!(refused(case(), "o = pair(idx=1) + 1"), "P0306");
}

#[test]
fn vectors_go_lane_by_lane() {
    let lanes = |values: &[f32]| Value::Vector(values.iter().map(|&x| Scalar::F32(x)).collect());
    let case = || {
        let case = Case::default().input("a", lanes(&[1.0, 4.0]));
        case.output("o", Type::Vector(DType::F32, 2))
    };
    assert_eq!(case().result("o = a * 2"), lanes(&[2.0, 8.0]));
    assert_eq!(case().result("o = sqrt(a) + a"), lanes(&[2.0, 6.0]));
    assert_eq!(case().result("o = a\no[1] = a[0] + 10"), lanes(&[1.0, 11.0]));
    assert_eq!(case().result("o = 3"), lanes(&[3.0, 3.0]));
}

#[test]
fn code_may_define_functions() {
    let case = || Case::default().input("a", f(3.0)).output("o", DType::F64);
    assert_eq!(case().result("g = lambda x, y: x * y + a\no = g(2.0, a) + g(a, 1.0)"), f(9.0 + 6.0));
    // Parameters hide locals for the call; other names mean what they mean there.
    assert_eq!(case().result("x = 5.0\nt = 1.0\ng = lambda x: x + t\nt = 2.0\no = g(a) + x"), f(10.0));
    let mut indexed = Case::default().symbol("i", Scalar::I64(4)).output("o", DType::F64);
    assert_eq!(indexed.result("g = lambda k: k + i\no = g(i)"), f(8.0));
    indexed = Case::default().symbol("i", Scalar::I64(4)).output("o", DType::F64);
    assert_eq!(refused(indexed, "i *= 2\no = i"), "P0304", "others would see that");
}

#[test]
fn functions_with_several_results() {
    let case = |a, b| {
        let case = Case::default().input("a", a).input("b", b);
        case.output("p", DType::F64).output("q", DType::F64)
    };
    let run = |text: &str, a, b| {
        let outputs = case(a, b).run(text).unwrap().outputs;
        (outputs[&2].clone(), outputs[&3].clone())
    };
    assert_eq!(run("py_divmod(a, b, p, q)", i(-7), i(2)), (f(-4.0), f(1.0)));
    assert_eq!(run("cpp_divmod(a, b, p, q)", i(-7), i(2)), (f(-3.0), f(-1.0)));
    for x in [1.0, 0.75, -6.0, 5e-324, 1.797e308, 0.5, 0.499_999, 8.0] {
        let (mantissa, exponent) = run("np_frexp(a, p, q)", f(x), i(0));
        let (mantissa, exponent) = (mantissa.as_scalar().unwrap(), exponent.as_scalar().unwrap());
        assert_eq!((mantissa.as_f64(), exponent.as_i64() as i32), libm::frexp(x), "{x}");
    }
    assert_eq!(run("np_modf(a, p, q)", f(-2.75), i(0)), (f(-2.0), f(-0.75)));
    assert_eq!(run("p = gcd(a, b)\nq = lcm(a, b)", i(-12), i(18)), (f(6.0), f(36.0)));
    assert_eq!(run("p = gcd(a, b)\nq = lcm(a, b)", i(0), i(0)), (f(0.0), f(0.0)));
}

#[test]
fn functions_follow_their_types() {
    let case = |a: Value, o: DType| Case::default().input("a", a).output("o", o);
    let single = |x: f32| Value::Scalar(Scalar::F32(x));
    assert_eq!(case(single(2.0), DType::F64).result("o = exp(a)"), f(f64::from(2.0_f64.exp() as f32)));
    assert_eq!(case(i(2), DType::F64).result("o = sqrt(a)"), f(2.0_f64.sqrt()));
    assert_eq!(case(i(2), DType::F64).result("o = math.sqrt(a)"), f(1.0));
    assert_eq!(case(f(-2.5), DType::F64).result("o = max(a, 1, 3.5)"), f(3.5));
    assert_eq!(case(i(5), DType::F64).result("o = Min(a, 2.5)"), f(2.0));
    assert_eq!(case(f(-2.5), DType::I64).result("o = round(a)"), Value::Scalar(Scalar::I64(-3)));
    assert_eq!(case(f(f64::NAN), DType::I32).result("o = sign(a)"), i(0));
    assert_eq!(case(f(180.0), DType::F64).result("o = deg2rad(a)"), f(std::f64::consts::PI));
    assert_eq!(case(f(0.0), DType::F64).result("o = heaviside(a, 0.5)"), f(0.5));
    assert_eq!(case(i(3), DType::F64).result("o = decltype(o)(a) / 2"), f(1.5));
    assert_eq!(case(i(3), DType::F64).result("o = float(a) / 2"), f(1.5));
    assert_eq!(case(i(3), DType::F64).result("o = Eq(a, 3) and Ne(a, 4)"), f(1.0));
    assert_eq!(case(i(3), DType::F64).result("o = bitwise_xor(a, 1) + left_shift(a, 2)"), f(14.0));
}

#[test]
fn complex_numbers() {
    let z = |re, im| Value::Scalar(Scalar::C128(num_complex::Complex64::new(re, im)));
    let case = |a: Value, o: DType| Case::default().input("a", a).output("o", o);
    assert_eq!(case(z(3.0, 4.0), DType::F64).result("o = abs(a)"), f(5.0));
    assert_eq!(case(z(3.0, 4.0), DType::C128).result("o = a * 1j"), z(-4.0, 3.0));
    assert_eq!(case(z(3.0, 4.0), DType::C128).result("o = conj(a) ** 2"), z(-7.0, -24.0));
    assert_eq!(case(z(3.0, 4.0), DType::F64).result("o = (a * a).real() + imag(a)"), f(-3.0));
    assert_eq!(case(z(3.0, 4.0), DType::C128).result("o = dace.complex128(a.imag, 1)"), z(4.0, 1.0));
}

#[test]
fn symbols_and_constants() {
    let mut case = Case::default().symbol("N", Scalar::I64(6)).symbol("j", Scalar::I32(1));
    let kernel = case.names.intern("kernel");
    let values = [1.0, 2.0, 3.0, 4.0].map(Scalar::F64).to_vec();
    case.constants.push((kernel, vec![2, 2], values));
    let mut case = case.output("o", DType::F64);
    let code = case.lower("o = kernel[1, 0] * N + kernel[0, 1]").unwrap();
    assert_eq!(code.ports.len(), 1, "constant subscripts need no port");
    let code = case.lower("o = kernel[j, 0]").unwrap();
    let port = code.ports.values().last().unwrap();
    assert_eq!((port.name, port.kind), (kernel, PortKind::Pointer { rank: 2 }));
    assert_eq!(refused(case, "o = kernel[2, 0]"), "P0307");
}

#[test]
fn cpp_tasklets() {
    let case = || Case::default().input("a", i(7)).output("o", DType::F64);
    let result = |text: &str| case().run_cpp(text).unwrap().outputs[&1].clone();
    assert_eq!(result("o = a / 2; // truncates"), f(3.0));
    assert_eq!(result("o = (double)a / 2;"), f(3.5));
    assert_eq!(result("double x = static_cast<double>(a); x *= 2; o = std::max(x, 3.0);"), f(14.0));
    assert_eq!(result("int s = 0; for (int k = 0; k < a; ++k) { s += k; } o = s;"), f(21.0));
    assert_eq!(result("if (a > 5 && a % 2) { o = 1; } else o = 2; printf(\"%d\\n\", a);"), f(1.0));
    assert_eq!(result("auto y = a < 3 ? 1.5f : 2; o = y;"), f(2.0));
    assert_eq!(result("o = dace::math::pow(a, 2) + dace::math::exp(0.0);"), f(50.0));
    assert_eq!(result("unsigned long long u = 1; u <<= 40; o = u;"), f((1_u64 << 40) as f64));

    let memory = || {
        let case = Case::default().port("x", DType::F64, PortKind::Memory, false);
        let mut case = case.port("y", DType::F64, PortKind::Memory, true);
        for at in 0..4 {
            case.memory.elements.insert((0, vec![at]), f(at as f64));
        }
        case
    };
    let copied = memory().run_cpp("dace::CopyImpl<double, 1>(x, y, 4);").unwrap();
    assert_eq!(copied.elements[&(1, vec![3])], f(3.0));
    let scaled = memory().run_cpp("for (int i = 0; i < 2; i++) y[i * 2] = x[i] + 1;").unwrap();
    assert_eq!(scaled.elements[&(1, vec![2])], f(2.0));
}

#[test]
fn what_has_no_meaning_is_refused_with_its_code() {
    let case = || Case::default().input("a", f(1.0)).output("o", DType::F64);
    for (text, code) in [
        ("o = = 1", "P0301"),
        ("o = nobody", "P0305"),
        ("o = callback(a)", "P0308"),
        ("o = exp(a, a)", "P0308"),
        ("o = a & 1", "P0306"),
        ("o = ~a", "P0306"),
        ("o = [1, 2]", "P0304"),
        ("o = a @ a", "P0304"),
        ("return a", "P0304"),
        ("for x in a:\n    o = 1", "P0304"),
        ("o = 'text'", "P0304"),
        ("if a:\n    f = lambda x: x\no = f(a)", "P0304"),
        ("f = lambda x: f(x)\no = f(a)", "P0304"),
        ("f = lambda x: x\no = f(a, a)", "P0308"),
        ("o = 99999999999999999999999999", "P0304"),
        ("a[0].b = 1", "P0306"),
    ] {
        assert_eq!(refused(case(), text), code, "{text}");
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let case = || Case::default().input("a", f(1.0)).output("o", DType::F64);
    let sum = format!("o = a{}", " + a".repeat(3000));
    assert_eq!(case().result(&sum), f(3001.0));
    let all = format!("o = a{}", " and a".repeat(3000));
    assert_eq!(case().result(&all), f(1.0));
    // Operands beside each other do not nest.
    let most = format!("o = max({}a)", "a + 1.0, ".repeat(10_000));
    assert_eq!(case().result(&most), f(2.0));
    for text in [
        format!("o = {}a{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("o = a{}", " + ','".repeat(100_000)),
        format!("o = max(a{}, a)", " + max(a, a)".repeat(50_000)),
        format!("o = a{}", " + a".repeat(100_000)),
        format!("o = a{}", " ** a".repeat(3000)),
        format!("o = {}a", "-".repeat(3000)),
        format!("o = {}a", "not ".repeat(3000)),
        format!("o = a{}", " if a else a".repeat(1000)),
        format!("o = a{}", ".b".repeat(3000)),
        format!("o = {}1", "lambda: ".repeat(3000)),
        (0..300).map(|depth| format!("{}if a:\n", " ".repeat(depth))).collect::<String>()
            + &" ".repeat(300)
            + "o = 1",
        format!("o = a{}", "[0]".repeat(3000)),
        format!("o = {}", "f(".repeat(90) + "a" + &")".repeat(90)),
    ] {
        let code = refused(case(), &text);
        assert!(matches!(code, "P0301" | "P0303" | "P0304" | "P0306" | "P0308"), "{code}: {}", &text[..40]);
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[ -~\\n]{0,60}") {
        let mut case = Case::default().input("a", f(1.0)).output("o", DType::F64);
        let _ = case.lower(&text);
        let _ = c::statements(&text).map(|list| case.build(&list));
        let _ = c::lapack_call(&text);
    }

    #[test]
    fn no_rearranged_code_makes_it_panic(parts in proptest::collection::vec(0..28_usize, 0..14)) {
        const PARTS: [&str; 28] = [
            "o", "a", " = ", " + ", " ** ", "(", ")", "[", "]", "if ", ":\n ", "\n", "else", "for j in range(",
            "while ", ".", "1", "0.5", "2j", ", ", "max", "dace.float32", "-", " and ", "not ", "o[a]", "==", ";",
        ];
        let text: String = parts.iter().map(|&part| PARTS[part]).collect();
        let mut case = Case::default().input("a", i(1)).output("o", DType::F64);
        let _ = case.lower(&text);
        let _ = c::statements(&text).map(|list| case.build(&list));
    }
}
