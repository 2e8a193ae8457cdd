//! What the canonical form, the grammars and the order look like on small examples.

use crate::entity::{Name, Names};
use crate::scalar::{DType, Scalar};

use super::boxes::{self, Span};
use super::{Assumptions, Env, EvalError, ExprId, ExprPool, Grammar, Interval, Prover, SymbolInfo, Truth};

#[derive(Default)]
struct Tables {
    pool: ExprPool,
    names: Names,
}

impl Tables {
    fn plain(&mut self, text: &str) -> ExprId {
        self.pool
            .parse(&mut self.names, text, Grammar::Plain)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn typed(&mut self, text: &str) -> ExprId {
        self.pool
            .parse(&mut self.names, text, Grammar::Typed)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn print(&self, id: ExprId) -> String {
        self.pool.print(&self.names, id, Grammar::Plain)
    }

    fn name(&mut self, text: &str) -> Name {
        self.names.intern(text)
    }

    /// `N >= 1` and `M >= 0` are declared.
    fn with_sizes() -> Tables {
        let mut tables = Tables::default();
        let (n, m) = (tables.name("N"), tables.name("M"));
        tables.pool.declare_symbol(n, SymbolInfo::of_type(DType::I64).assuming("positive"));
        tables.pool.declare_symbol(m, SymbolInfo::of_type(DType::I64).assuming("nonnegative"));
        tables
    }

    fn at_most(&mut self, a: &str, b: &str) -> Truth {
        let (a, b) = (self.plain(a), self.plain(b));
        self.pool.at_most(a, b)
    }
}

struct Table(Vec<(Name, Scalar)>);

impl Env for Table {
    fn symbol(&self, name: Name) -> Option<Scalar> {
        self.0.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
    }
}

#[test]
fn a_rational_stays_one_until_an_integer_is_needed() {
    let mut tables = Tables::default();
    let [n, m] = ["N", "M"].map(|name| tables.name(name));
    let values = Table(vec![(n, Scalar::I64(0)), (m, Scalar::I64(3))]);
    for (text, expected) in [
        // The divisor is a third, not zero.
        ("(N*-3)/((4 - M)/M)", Ok(0)),
        ("M/((M + 1)/M)", Ok(2)),
        // A conditional needs integers.
        ("2*IfExpr(M, M/2, M)", Ok(2)),
        ("floor(M/0 + M/2)", Err(EvalError::DivisionByZero)),
        ("bool(-True)", Ok(1)),
    ] {
        let id = tables.plain(text);
        assert_eq!(tables.pool.eval(id, &values), expected, "{text}");
    }
}

#[test]
fn canonical_forms() {
    let mut tables = Tables::default();
    for (text, canonical) in [
        ("N - N", "0"),
        ("2*N + 3 - N - 1", "2 + N"),
        ("(i + 1)*N - i*N", "N"),
        ("(a - b)*(a + b)", "a**2 - b**2"),
        ("N**2", "N**2"),
        ("N*N", "N**2"),
        ("(N/2)*2", "N"),
        ("N/2 + N/2", "N"),
        ("N/4 + N/4", "N/2"),
        ("(2*N + 4)/2", "2 + N"),
        ("M*1/N", "M/N"),
        ("M*N/N", "M"),
        ("ceiling(M*1/N) - 1", "-1 + int_ceil(M, N)"),
        ("floor(N/2 + 1/2)", "int_floor(1 + N, 2)"),
        ("int_floor(2*N + 3, 2)", "1 + N"),
        ("int_floor(N - 1, 2) + 1", "int_floor(1 + N, 2)"),
        ("int_ceil(N, 2)", "int_floor(1 + N, 2)"),
        ("int_floor(int_floor(N, 3), 4)", "int_floor(N, 12)"),
        ("N // N", "1"),
        ("(N*M + k) // N", "M + int_floor(k, N)"),
        ("-7 // 2", "-4"),
        ("-7 % 2", "-1"),
        ("PyMod(-7, 2)", "1"),
        ("Mod(2*N + 5, 2)", "1"),
        ("Mod(N*M + k, N)", "Mod(k, N)"),
        ("max(1, N, 3, N)", "Max(3, N)"),
        ("Max(N, N + 1, Max(N, 2))", "Max(2, 1 + N)"),
        ("Max(N, Min(N, M))", "N"),
        ("2**10", "1024"),
        ("2**-1", "1/2"),
        ("1 if 2 < 3 else x", "1"),
        ("N < N + 1", "True"),
        ("not a == b", "a != b"),
        ("i < N and True", "i < N"),
        ("a & b | b & a", "bitwise_and(a, b)"),
        ("(i < 3) & (j < 3)", "i < 3 and j < 3"),
        ("~i", "bitwise_invert(i)"),
        ("A[i, j + 0]", "A[i, j]"),
        ("s.x[i]", "s.x[i]"),
        ("SymExpr(N, N + 1)", "N"),
        ("N + ?", "?"),
        ("-2**2", "-4"),
        ("2**3**2", "512"),
        ("-9223372036854775808", "-9223372036854775808"),
    ] {
        let id = tables.plain(text);
        assert_eq!(tables.print(id), canonical, "{text}");
    }
}

#[test]
fn overflow_stays_unmerged() {
    let mut tables = Tables::default();
    for text in [
        "9223372036854775807 + 1",
        "9223372036854775807*N + N",
        "4611686018427387904*N*4",
        "-9223372036854775808*N*-1",
        "9223372036854775807*(N + M)*9223372036854775807",
        "N**4294967295*N**4294967295",
    ] {
        let id = tables.plain(text);
        let printed = tables.print(id);
        assert_eq!(tables.plain(&printed), id, "{text} -> {printed}");
    }
    let sum = tables.plain("9223372036854775807 + 1");
    assert_eq!(tables.pool.eval(sum, &Table(vec![])), Err(EvalError::Overflow));
    let back = tables.plain("9223372036854775807 + N - 1 - 9223372036854775807");
    assert_eq!(tables.print(back), "-1 + N");
}

#[test]
fn large_products_stay_factored() {
    let mut tables = Tables::default();
    let sum = |letter: char| (0..10).map(|n| format!("{letter}{n}")).collect::<Vec<_>>().join(" + ");
    let id = tables.plain(&format!("({})*({})*x", sum('a'), sum('b')));
    let printed = tables.print(id);
    assert!(printed.len() < 200, "{printed}");
    assert_eq!(tables.plain(&printed), id);
}

#[test]
fn typed_grammar() {
    let mut tables = Tables::default();
    for text in [
        "-1 + symbol($M, dtype=dace.int64)",
        "symbol($P, nonnegative=True, nonzero=True, positive=True)",
        "$?",
        "2i16",
        "7.0f64*$x",
        "1.0e4m3fn",
        "1.5bf16",
        "18446744073709551615u64",
        "(1.0 + 2.0j)c128",
        "(0.0 - 1.5j)c64",
        "dace.float64($x + 1)",
        "int_ceil($L, $N)",
        "Attr($s, $x)",
        "Subscript($A, 1 + $i, $j)",
        "pi",
        "oo",
        "0.001 < $x",
        "IfExpr($c == 0, $a, $b)",
    ] {
        let id = tables.typed(text);
        let printed = tables.pool.print(&tables.names, id, Grammar::Typed);
        assert_eq!(tables.typed(&printed), id, "{text} -> {printed}");
        if !text.contains("dace.float64") {
            assert_eq!(printed, text);
        }
    }
    let m = tables.name("M");
    assert_eq!(
        tables.pool.symbol_info(m).map(|info| info.dtype),
        Some(DType::I64),
        "bare `$M` came later, `int64` stays"
    );
}

#[test]
fn assumptions_hold_only_if_every_declaration_makes_them() {
    let mut tables = Tables::default();
    tables.typed("symbol($N, dtype=dace.int64, positive=True)");
    let n = tables.name("N");
    assert_eq!(tables.pool.symbol_info(n).and_then(SymbolInfo::lower), Some(1));
    tables.typed("$N + 1");
    let info = tables.pool.symbol_info(n).expect("declared");
    assert_eq!((info.dtype, info.lower()), (DType::I64, None));
}

#[test]
fn bad_text_is_a_diagnostic() {
    let mut tables = Tables::default();
    for (text, grammar, code) in [
        ("", Grammar::Plain, "P0210"),
        ("N +", Grammar::Plain, "P0210"),
        ("(N", Grammar::Plain, "P0210"),
        ("N)", Grammar::Plain, "P0210"),
        ("a < b < c", Grammar::Plain, "P0210"),
        ("1e", Grammar::Plain, "P0210"),
        ("3x", Grammar::Plain, "P0210"),
        ("a.", Grammar::Plain, "P0210"),
        ("A[]", Grammar::Plain, "P0210"),
        ("if", Grammar::Plain, "P0210"),
        ("x if y", Grammar::Plain, "P0210"),
        ("Max()", Grammar::Plain, "P0210"),
        ("a @ b", Grammar::Plain, "P0210"),
        ("²", Grammar::Plain, "P0210"),
        ("$", Grammar::Typed, "P0210"),
        ("symbol($N, dtype)", Grammar::Typed, "P0210"),
        ("N", Grammar::Typed, "P0211"),
        ("9223372036854775808", Grammar::Plain, "P0212"),
        ("300u8", Grammar::Typed, "P0212"),
    ] {
        let error = tables.pool.parse(&mut tables.names, text, grammar).expect_err(text);
        assert_eq!(error.code, code, "{text}: {error}");
        assert!(!error.notes.is_empty(), "{text}: says what was expected");
    }
}

#[test]
fn deep_text_is_refused_within_a_small_stack() {
    let refused = || {
        let mut tables = Tables::default();
        for (open, close) in [
            ("(", ")"),
            ("Max(0, 1 + ", ")"),
            ("-", ""),
            ("not ", ""),
            ("A[", "]"),
            ("2**", ""),
            ("1 if x else ", ""),
        ] {
            let text = format!("{}N{}", open.repeat(100_000), close.repeat(100_000));
            let error = tables.pool.parse(&mut tables.names, &text, Grammar::Plain).expect_err("too deep");
            assert_eq!(error.code, "P0213", "{open}");
        }
        let chain = format!("N{}", " % M".repeat(100_000));
        assert_eq!(
            tables.pool.parse(&mut tables.names, &chain, Grammar::Plain).expect_err("too deep").code,
            "P0213"
        );
        let long = format!("N{}", " + M*2".repeat(100_000));
        assert_eq!(tables.plain(&long), tables.plain("200000*M + N"));
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(refused).expect("thread starts");
    thread.join().expect("no overflow");
}

#[test]
fn deep_expressions_built_by_substitution_are_handled() {
    let work = || {
        let mut tables = Tables::default();
        let (n, k) = (tables.name("N"), tables.name("k"));
        // Shared on both sides: the tree has 2^5000 nodes.
        let step = tables.plain("Max(N*3 % 7, k - N % 5)");
        let mut id = tables.plain("N");
        for _ in 0..5000 {
            id = tables.pool.substitute(step, &|name| (name == n).then_some(id));
        }
        assert!(tables.pool.depth(id) > 5000);
        let env = Table(vec![(n, Scalar::I64(3)), (k, Scalar::I64(2))]);
        let value = tables.pool.eval(id, &env).expect("has a value");
        let compiled = tables.pool.compile(id, &mut |name| name.0);
        assert_eq!(compiled.eval(&[3, 2], &mut |name, _| Err(EvalError::Unknown(name))), Ok(value));
        assert_eq!(tables.pool.free_symbols(id), vec![n, k]);
        assert_eq!(tables.print(id), "?");
        let one = tables.pool.int(1);
        let next = tables.pool.add(id, one);
        assert_eq!(tables.pool.at_most(id, next), Truth::Yes);
        assert_eq!(tables.pool.range_of(id), Interval::ALL);
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(work).expect("thread starts");
    thread.join().expect("no overflow");
}

#[test]
fn values_beyond_integers() {
    let mut tables = Tables::default();
    let x = tables.name("x");
    let env = Table(vec![(x, Scalar::F64(2.5))]);
    for (text, value) in [
        ("1.5*x", Scalar::F64(3.75)),
        ("x**2", Scalar::F64(6.25)),
        ("-0.5", Scalar::F64(-0.5)),
        ("x > 0.001", Scalar::Bool(true)),
        ("floor(x)", Scalar::I64(2)),
        ("round(x)", Scalar::I64(3)),
        ("dace.int32(x)", Scalar::I64(2)),
        ("sqrt(x*10)", Scalar::F64(5.0)),
        ("max(x, 3)", Scalar::I64(3)),
        ("x/2", Scalar::F64(1.25)),
        ("7/2", Scalar::I64(3)),
        ("1j*1j", Scalar::C128(num_complex::Complex64::new(-1.0, 0.0))),
    ] {
        let id = tables.plain(text);
        assert_eq!(tables.pool.eval_value(id, &env), Ok(value), "{text}");
    }
    let compared = tables.plain("x > 0.001");
    assert_eq!(tables.pool.eval(compared, &env), Ok(1));
    let real = tables.plain("x");
    assert_eq!(tables.pool.eval(real, &env), Err(EvalError::NotAnInteger));
    let unknown = tables.plain("y + 1");
    let y = tables.name("y");
    assert_eq!(tables.pool.eval(unknown, &env), Err(EvalError::Unknown(y)));
    let undefined = tables.plain("?");
    assert_eq!(tables.pool.eval(undefined, &env), Err(EvalError::Undefined));
}

#[test]
fn the_untaken_side_needs_no_value() {
    let mut tables = Tables::default();
    let n = tables.name("n");
    let env = Table(vec![(n, Scalar::I32(0))]);
    for (text, value) in [("1 % n if n != 0 else 7", 7), ("n != 0 and 1 % n", 0), ("n == 0 or A[n]", 1)] {
        let id = tables.plain(text);
        assert_eq!(tables.pool.eval(id, &env), Ok(value), "{text}");
        let compiled = tables.pool.compile(id, &mut |name| name.0);
        let mut element = |name: Name, _: &[i64]| Err(EvalError::Unknown(name));
        assert_eq!(compiled.eval(&[0], &mut element), Ok(value), "{text} compiled");
    }
}

#[test]
fn order_of_sizes() {
    let mut tables = Tables::with_sizes();
    for (a, b) in [
        ("1", "N"),
        ("0", "N*M"),
        ("M", "N*M"),
        ("N - 1", "N"),
        ("0", "N**2 - N"),
        ("int_floor(N, 2)", "N"),
        ("2*int_floor(N, 2)", "N"),
        ("N - 1", "2*int_floor(N, 2)"),
        ("N", "3*int_ceil(N, 3)"),
        ("M*int_floor(k, M + 1) + int_floor(k, M + 1)", "k"),
        ("0", "Mod(k, N)"),
        ("Mod(k, N)", "N - 1"),
        ("Min(M, 7)", "M"),
        ("Min(M, k)", "Max(M, k)"),
        ("Max(0, M - 5)", "M"),
        ("Max(0, k - Max(1, j)) + Max(1, j)", "Max(1, j, k)"),
        ("Max(1, j, k)", "Max(0, k - Max(1, j)) + Max(1, j)"),
        ("abs(k) - k", "2*abs(k)"),
        ("M if c else N", "M + N"),
        ("(k < 3)", "1"),
        ("2i16*N", "3*N"),
    ] {
        let text = if a.contains("i16") { None } else { Some(a) };
        let (x, y) = match text {
            Some(a) => (tables.plain(a), tables.plain(b)),
            None => {
                let two = tables.pool.int(2);
                let typed = tables.pool.cast(DType::I16, two);
                let n = tables.plain("N");
                (tables.pool.mul(typed, n), tables.plain(b))
            }
        };
        assert_eq!(tables.pool.at_most(x, y), Truth::Yes, "{a} <= {b}");
        assert_eq!(tables.pool.less_than(y, x), Truth::No, "{b} < {a}");
    }
    assert_eq!(tables.at_most("N", "N - 1"), Truth::No);
    assert_eq!(tables.at_most("N + M", "0"), Truth::No);
    assert_eq!(tables.at_most("N", "M"), Truth::Unknown);
    assert_eq!(tables.at_most("k", "2*k"), Truth::Unknown);
    assert_eq!(tables.at_most("?", "?"), Truth::Unknown);
    let (a, b) = (tables.plain("Max(j, k)"), tables.plain("Max(0, k - j) + j"));
    assert_eq!(tables.pool.equal(a, b), Truth::Yes);
    let (a, b) = (tables.plain("N*M"), tables.plain("N*M + N"));
    assert_eq!(tables.pool.equal(a, b), Truth::No);
}

#[test]
fn order_under_assumptions() {
    let mut tables = Tables::with_sizes();
    let (i, j) = (tables.name("i"), tables.name("j"));
    let (zero, last, i_id) = (tables.plain("0"), tables.plain("N - 1"), tables.plain("i"));
    let mut known = Assumptions::new();
    known.at_least(i, zero).at_most(i, last).at_least(j, i_id).at_most(j, last);
    let pairs = [
        ("i*M + M - 1", "N*M - 1"),
        ("i + 1", "N"),
        ("0", "j"),
        ("i*N + j", "N*N - 1"),
        ("32*int_floor(i, 32)", "i"),
        ("Min(N - 1, i + 31)", "N - 1"),
    ];
    for (a, b) in pairs {
        let (a_id, b_id) = (tables.plain(a), tables.plain(b));
        assert_eq!(Prover::new(&tables.pool, &known).at_most(a_id, b_id), Truth::Yes, "{a} <= {b}");
    }
    let (a, b) = (tables.plain("j"), tables.plain("i"));
    assert_eq!(Prover::new(&tables.pool, &known).at_most(a, b), Truth::Unknown);
    let range = tables.plain("stop - start");
    let mut known = Assumptions::new();
    known.nonnegative(range);
    let (a, b) = (tables.plain("start"), tables.plain("stop + 1"));
    assert_eq!(Prover::new(&tables.pool, &known).less_than(a, b), Truth::Yes);
}

#[test]
fn boxes_of_ranges() {
    let mut tables = Tables::with_sizes();
    let mut span = |text: &str| {
        let parts: Vec<ExprId> = text.split(':').map(|part| tables.plain(part)).collect();
        Span {
            start: parts[0],
            end: parts[1],
            step: parts.get(2).copied().unwrap_or_else(|| tables.pool.int(1)),
        }
    };
    let [all, inside, left, right, even, odd, beyond, one, empty] =
        ["0:N-1", "1:N-2", "0:M", "M+1:M+N", "0:N-1:2", "1:N-1:2", "1:N", "0:0", "0:-1"].map(&mut span);
    let known = Assumptions::new();
    let mut prover = Prover::new(&tables.pool, &known);
    for (outer, inner, covers, disjoint) in [
        (all, inside, Truth::Yes, Truth::Unknown),
        (inside, all, Truth::No, Truth::Unknown),
        (all, beyond, Truth::No, Truth::Unknown),
        (all, one, Truth::Yes, Truth::No),
        (left, right, Truth::No, Truth::Yes),
        (all, even, Truth::Yes, Truth::No),
        (even, all, Truth::Unknown, Truth::No),
        (even, odd, Truth::Unknown, Truth::Yes),
        (even, one, Truth::Yes, Truth::No),
        (inside, empty, Truth::Yes, Truth::Yes),
        (even, even, Truth::Yes, Truth::No),
    ] {
        assert_eq!(boxes::covers(&mut prover, &[outer], &[inner]), covers, "{outer:?} covers {inner:?}");
        assert_eq!(boxes::disjoint(&mut prover, &[outer], &[inner]), disjoint, "{outer:?} misses {inner:?}");
    }
    let union = boxes::union_bounds(&mut tables.pool, &known, &[left], &[right]).expect("same rank");
    let size = boxes::size(&mut tables.pool, &union);
    assert_eq!(tables.print(size), "1 + M + N");
    let size = boxes::size(&mut tables.pool, &[all, even]);
    assert_eq!(tables.print(size), "N*int_floor(1 + N, 2)");
    let both = boxes::intersection(&mut tables.pool, &known, &[all], &[inside]).expect("same grid");
    assert_eq!(both, [inside]);
}
