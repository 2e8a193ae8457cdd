//! The worst error of every math function, in units in the last place, against 160-bit arithmetic.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

use astro_float::{BigFloat, Consts, RoundingMode};
use pelton::scalar::math;

const BITS: usize = 192;
const MODE: RoundingMode = RoundingMode::ToEven;

/// A reproducible stream of numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of any magnitude between two positive numbers, equally often.
    fn magnitude(&mut self, low: f64, high: f64) -> f64 {
        // The second factor keeps logarithms from landing on representable numbers.
        self.between(low.ln(), high.ln()).exp() * self.between(0.9, 1.1)
    }

    fn signed(&mut self, value: f64) -> f64 {
        if self.next() & 1 == 0 { value } else { -value }
    }
}

fn to_f64(value: &BigFloat) -> f64 {
    value.to_string().parse().unwrap()
}

fn big(value: f64) -> BigFloat {
    // Conversion of subnormal numbers is wrong in the version used here; these factors are powers of two.
    let lifted = BigFloat::from_f64(value * 2.0_f64.powi(200), BITS);
    if value.abs() > 1e200 {
        return BigFloat::from_f64(value, BITS);
    }
    lifted.mul(&BigFloat::from_f64(2.0_f64.powi(-200), BITS), BITS, MODE)
}

/// Distance of `found` from the exact value, in steps between neighbours of the exact value.
fn error_in_ulp(found: f64, exact: &BigFloat) -> f64 {
    let nearest = to_f64(exact);
    if nearest.is_infinite() && found.is_infinite() || nearest == 0.0 && found == 0.0 {
        return 0.0;
    }
    let step = (nearest.abs().next_up() - nearest.abs()).max(f64::from_bits(1));
    // Both are scaled, because what is left of a subnormal result would not fit.
    let scale = if nearest.abs() < 1e-200 { 2.0_f64.powi(200) } else { 1.0 };
    let difference = exact.sub(&big(found), BITS, MODE).mul(&big(scale), BITS, MODE);
    (to_f64(&difference).abs() / (step * scale)).min(1e18)
}

type Exact = fn(&BigFloat, &mut Consts) -> BigFloat;

struct Case {
    name: &'static str,
    function: fn(f64) -> f64,
    exact: Exact,
    /// The error that must not be exceeded.
    bound: f64,
    sample: fn(&mut Random) -> f64,
}

fn one() -> BigFloat {
    big(1.0)
}

fn cases() -> Vec<Case> {
    macro_rules! case {
        ($name:literal, $function:expr, $bound:expr, $exact:expr, $sample:expr) => {
            Case { name: $name, function: $function, exact: $exact, bound: $bound, sample: $sample }
        };
    }
    let wide: fn(&mut Random) -> f64 = |r| {
        let value = r.magnitude(1e-8, 1e6);
        r.signed(value)
    };
    let positive: fn(&mut Random) -> f64 = |r| r.magnitude(1e-300, 1e300);
    let near_one: fn(&mut Random) -> f64 = |r| r.between(0.5, 2.0);
    let unit: fn(&mut Random) -> f64 = |r| {
        let value = r.magnitude(1e-6, 0.9);
        r.signed(value)
    };
    vec![
        case!("exp", math::exp, 0.6, |x, c| x.exp(BITS, MODE, c), |r| r.between(-708.0, 709.5)),
        case!("exp small", math::exp, 0.6, |x, c| x.exp(BITS, MODE, c), |r| r.between(-1.0, 1.0)),
        case!("exp subnormal", math::exp, 0.8, |x, c| x.exp(BITS, MODE, c), |r| r.between(-745.0, -708.0)),
        case!("exp2", math::exp2, 0.6, |x, c| big(2.0).pow(x, BITS, MODE, c), |r| r.between(-1022.0, 1023.9)),
        case!("expm1", math::expm1, 0.6, |x, c| x.exp(BITS + 64, MODE, c).sub(&one(), BITS, MODE), |r| {
            let value = r.magnitude(1e-8, 700.0);
            r.signed(value)
        }),
        case!("log", math::log, 0.6, |x, c| x.ln(BITS, MODE, c), positive),
        case!("log near one", math::log, 0.7, |x, c| x.ln(BITS, MODE, c), near_one),
        case!("log2", math::log2, 0.6, |x, c| x.log2(BITS, MODE, c), positive),
        case!("log2 near one", math::log2, 0.7, |x, c| x.log2(BITS, MODE, c), near_one),
        case!("log10", math::log10, 0.6, |x, c| x.log10(BITS, MODE, c), positive),
        case!("log10 near one", math::log10, 0.7, |x, c| x.log10(BITS, MODE, c), near_one),
        case!("log1p", math::log1p, 0.7, |x, c| one().add(x, 400, MODE).ln(BITS, MODE, c), |r| {
            let value = r.magnitude(1e-8, 1e6);
            if r.next() & 1 == 0 { value } else { -value.min(0.999_99) }
        }),
        case!("sin", math::sin, 0.9, |x, c| x.sin(BITS, MODE, c), wide),
        case!("cos", math::cos, 0.9, |x, c| x.cos(BITS, MODE, c), wide),
        case!("tan", math::tan, 0.9, |x, c| x.tan(BITS, MODE, c), wide),
        case!("sin near pi/4", math::sin, 0.9, |x, c| x.sin(BITS, MODE, c), |r| r.between(-2.0, 2.0)),
        case!("cos near pi/4", math::cos, 0.9, |x, c| x.cos(BITS, MODE, c), |r| r.between(-2.0, 2.0)),
        case!("tan near pi/4", math::tan, 0.9, |x, c| x.tan(BITS, MODE, c), |r| r.between(-2.0, 2.0)),
        case!("sin huge", math::sin, 1.0, |x, c| x.sin(BITS, MODE, c), |r| r.magnitude(1e6, 1e15)),
        case!("cos huge", math::cos, 1.0, |x, c| x.cos(BITS, MODE, c), |r| r.magnitude(1e6, 1e15)),
        case!("tan huge", math::tan, 1.0, |x, c| x.tan(BITS, MODE, c), |r| r.magnitude(1e6, 1e15)),
        case!("sinh", math::sinh, 0.7, |x, c| x.sinh(BITS, MODE, c), |r| {
            let value = r.magnitude(1e-6, 700.0);
            r.signed(value)
        }),
        case!("cosh", math::cosh, 0.7, |x, c| x.cosh(BITS, MODE, c), |r| r.magnitude(1e-6, 700.0)),
        case!("tanh", math::tanh, 0.7, |x, c| x.tanh(BITS, MODE, c), |r| {
            let value = r.magnitude(1e-6, 25.0);
            r.signed(value)
        }),
        case!("asin", math::asin, 0.7, |x, c| x.asin(BITS, MODE, c), unit),
        case!("asin large", math::asin, 0.7, |x, c| x.asin(BITS, MODE, c), |r| r.between(0.4, 1.0)),
        case!("acos", math::acos, 0.7, |x, c| x.acos(BITS, MODE, c), unit),
        case!("acos large", math::acos, 0.7, |x, c| x.acos(BITS, MODE, c), |r| {
            let value = 1.0 - r.magnitude(1e-12, 0.6);
            r.signed(value)
        }),
        case!("atan", math::atan, 0.7, |x, c| x.atan(BITS, MODE, c), wide),
        case!("atan near one", math::atan, 0.7, |x, c| x.atan(BITS, MODE, c), |r| r.between(0.2, 3.0)),
        case!("asinh", math::asinh, 0.8, |x, c| x.asinh(BITS, MODE, c), wide),
        case!("acosh", math::acosh, 0.9, |x, c| x.acosh(BITS, MODE, c), |r| 1.0 + r.magnitude(1e-5, 1e6)),
        case!("atanh", math::atanh, 0.9, |x, c| x.atanh(BITS, MODE, c), unit),
        case!("cbrt", math::cbrt, 0.52, |x, _| x.cbrt(BITS, MODE), positive),
        case!("cbrt near one", math::cbrt, 0.52, |x, _| x.cbrt(BITS, MODE), |r| r.between(0.5, 16.0)),
        case!("cbrt subnormal", math::cbrt, 0.52, |x, _| x.cbrt(BITS, MODE), |r| r.magnitude(5e-324, 1e-308)),
    ]
}

#[test]
fn functions_of_one_number() {
    let mut constants = Consts::new().unwrap();
    let mut failed = Vec::new();
    for case in cases() {
        let mut random = Random(7);
        let mut worst = (0.0, 0.0);
        for _ in 0..1500 {
            let x = (case.sample)(&mut random);
            let exact = (case.exact)(&big(x), &mut constants);
            let error = error_in_ulp((case.function)(x), &exact);
            if error > worst.0 {
                worst = (error, x);
            }
        }
        eprintln!("{:16} {:.3} ulp at {:e}", case.name, worst.0, worst.1);
        if worst.0 > case.bound {
            failed.push(format!("{}: {} ulp at {:e}", case.name, worst.0, worst.1));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn powers() {
    let mut constants = Consts::new().unwrap();
    let mut random = Random(11);
    let mut worst = (0.0, 0.0, 0.0);
    for at in 0..4000 {
        let x = if at % 2 == 0 { random.magnitude(1e-10, 1e10) } else { random.between(0.9, 1.1) };
        let limit = 700.0 / x.ln().abs().max(1e-3);
        let y = random.between(-limit, limit);
        let exact = big(x).pow(&big(y), BITS, MODE, &mut constants);
        let error = error_in_ulp(math::pow(x, y), &exact);
        if error > worst.0 {
            worst = (error, x, y);
        }
    }
    eprintln!("pow              {:.3} ulp at {:e}, {:e}", worst.0, worst.1, worst.2);
    assert!(worst.0 <= 0.7, "{worst:?}");
}

#[test]
fn lengths() {
    let mut random = Random(13);
    for (name, low, high, bound) in [
        ("hypot", 1e-3, 1e3, 1.0),
        ("hypot, any size", 1e-290, 1e300, 1.0),
        ("hypot, subnormal", 5e-324, 1e-305, 1.1),
    ] {
        let mut worst = (0.0, 0.0, 0.0);
        for at in 0..4000 {
            let x = random.magnitude(low, high);
            // Mostly of about the same size: else the larger one is the result.
            let y = if at % 4 == 0 { random.magnitude(low, high) } else { x * random.between(1e-3, 1.0) };
            let (x, y) = (random.signed(x), random.signed(y));
            let (p, q) = (big(x), big(y));
            let squares = p.mul(&p, 600, MODE).add(&q.mul(&q, 600, MODE), 600, MODE);
            let error = error_in_ulp(math::hypot(x, y), &squares.sqrt(BITS, MODE));
            if error > worst.0 {
                worst = (error, x, y);
            }
        }
        eprintln!("{name:16} {:.3} ulp at {:e}, {:e}", worst.0, worst.1, worst.2);
        assert!(worst.0 <= bound, "{name}: {worst:?}");
    }
}

#[test]
fn phases() {
    let mut constants = Consts::new().unwrap();
    let mut random = Random(17);
    for (name, low, high, ratio) in [
        ("atan2", 1e-3, 1e3, 1e-3),
        ("atan2, any size", 1e-290, 1e300, 1e-20),
        ("atan2, subnormal", 5e-324, 1e-305, 1e-3),
        ("atan2, far apart", 1e-5, 1e5, 1e-290),
    ] {
        let mut worst = (0.0, 0.0, 0.0);
        for _ in 0..3000 {
            let x = random.magnitude(low, high);
            let y = x * random.magnitude(ratio, 1.0);
            let (x, y) = if random.next() & 1 == 0 { (x, y) } else { (y, x) };
            let (x, y) = (random.signed(x), random.signed(y));
            if x == 0.0 || y == 0.0 {
                continue;
            }
            let quotient = big(y.abs()).div(&big(x.abs()), 600, MODE);
            let angle = quotient.atan(BITS, MODE, &mut constants);
            let angle = if x < 0.0 { constants.pi(BITS, MODE).sub(&angle, BITS, MODE) } else { angle };
            let exact = if y < 0.0 { angle.neg() } else { angle };
            let error = error_in_ulp(math::atan2(y, x), &exact);
            if error > worst.0 {
                worst = (error, y, x);
            }
        }
        eprintln!("{name:16} {:.3} ulp at {:e}, {:e}", worst.0, worst.1, worst.2);
        assert!(worst.0 <= 0.7, "{name}: {worst:?}");
    }
    // Where both are zero, endless or not numbers, C says what the phase is, and the system's library knows.
    let values =
        [0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    for y in values {
        for x in values {
            let (found, expected) = (math::atan2(y, x), y.atan2(x));
            assert!(
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                "atan2({y}, {x}) is {found}, not {expected}"
            );
        }
    }
}

/// Name, function, argument, result.
type SpecialValue = (&'static str, fn(f64) -> f64, f64, f64);

/// C's special values (annex F), where both sides are exact.
#[test]
fn special_values() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let same = |found: f64, expected: f64| {
        found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan()
    };
    let one: [SpecialValue; 95] = [
        ("asin", math::asin, -0.0, -0.0),
        ("asin", math::asin, 1.0, FRAC_PI_2),
        ("asin", math::asin, -1.0, -FRAC_PI_2),
        ("asin", math::asin, 1.5, nan),
        ("asin", math::asin, -inf, nan),
        ("asin", math::asin, nan, nan),
        ("acos", math::acos, 1.0, 0.0),
        ("acos", math::acos, -1.0, PI),
        ("acos", math::acos, -0.0, FRAC_PI_2),
        ("acos", math::acos, 1.0000000000000002, nan),
        ("acos", math::acos, inf, nan),
        ("acos", math::acos, nan, nan),
        ("atan", math::atan, -0.0, -0.0),
        ("atan", math::atan, 5e-324, 5e-324),
        ("atan", math::atan, 1.0, FRAC_PI_4),
        ("atan", math::atan, inf, FRAC_PI_2),
        ("atan", math::atan, -f64::MAX, -FRAC_PI_2),
        ("atan", math::atan, nan, nan),
        ("cbrt", math::cbrt, -0.0, -0.0),
        ("cbrt", math::cbrt, -8.0, -2.0),
        ("cbrt", math::cbrt, 27.0, 3.0),
        ("cbrt", math::cbrt, 1e300, 1e100),
        ("cbrt", math::cbrt, 5e-324, 1.703_183_936_003_260_3e-108),
        ("cbrt", math::cbrt, -inf, -inf),
        ("cbrt", math::cbrt, nan, nan),
        ("asinh", math::asinh, -0.0, -0.0),
        ("asinh", math::asinh, -inf, -inf),
        ("asinh", math::asinh, nan, nan),
        ("acosh", math::acosh, 1.0, 0.0),
        ("acosh", math::acosh, 0.5, nan),
        ("acosh", math::acosh, inf, inf),
        ("acosh", math::acosh, nan, nan),
        ("atanh", math::atanh, 1.0, inf),
        ("atanh", math::atanh, -1.0, -inf),
        ("atanh", math::atanh, -0.0, -0.0),
        ("atanh", math::atanh, 1.5, nan),
        ("atanh", math::atanh, nan, nan),
        ("exp", math::exp, 0.0, 1.0),
        ("exp", math::exp, -0.0, 1.0),
        ("exp", math::exp, inf, inf),
        ("exp", math::exp, -inf, 0.0),
        ("exp", math::exp, nan, nan),
        ("exp", math::exp, 710.0, inf),
        ("exp", math::exp, -746.0, 0.0),
        ("exp2", math::exp2, 10.0, 1024.0),
        ("exp2", math::exp2, 1024.0, inf),
        ("exp2", math::exp2, -1074.0, 5e-324),
        ("exp2", math::exp2, -inf, 0.0),
        ("exp2", math::exp2, nan, nan),
        ("expm1", math::expm1, 0.0, 0.0),
        ("expm1", math::expm1, -0.0, -0.0),
        ("expm1", math::expm1, -inf, -1.0),
        ("expm1", math::expm1, inf, inf),
        ("expm1", math::expm1, nan, nan),
        ("expm1", math::expm1, 5e-324, 5e-324),
        ("log", math::log, 1.0, 0.0),
        ("log", math::log, 0.0, -inf),
        ("log", math::log, -0.0, -inf),
        ("log", math::log, -1.0, nan),
        ("log", math::log, inf, inf),
        ("log", math::log, -inf, nan),
        ("log", math::log, nan, nan),
        ("log2", math::log2, 5e-324, -1074.0),
        ("log2", math::log2, 0.125, -3.0),
        ("log2", math::log2, -1.0, nan),
        ("log10", math::log10, 1000.0, 3.0),
        ("log10", math::log10, 1e22, 22.0),
        ("log10", math::log10, 0.0, -inf),
        ("log1p", math::log1p, 0.0, 0.0),
        ("log1p", math::log1p, -0.0, -0.0),
        ("log1p", math::log1p, -1.0, -inf),
        ("log1p", math::log1p, -2.0, nan),
        ("log1p", math::log1p, inf, inf),
        ("log1p", math::log1p, nan, nan),
        ("sin", math::sin, -0.0, -0.0),
        ("sin", math::sin, 5e-324, 5e-324),
        ("sin", math::sin, inf, nan),
        ("sin", math::sin, nan, nan),
        ("cos", math::cos, 0.0, 1.0),
        ("cos", math::cos, inf, nan),
        ("cos", math::cos, nan, nan),
        ("tan", math::tan, -0.0, -0.0),
        ("tan", math::tan, nan, nan),
        ("sinh", math::sinh, -0.0, -0.0),
        ("sinh", math::sinh, -inf, -inf),
        ("sinh", math::sinh, 711.0, inf),
        ("sinh", math::sinh, nan, nan),
        ("cosh", math::cosh, 0.0, 1.0),
        ("cosh", math::cosh, -inf, inf),
        ("cosh", math::cosh, nan, nan),
        ("tanh", math::tanh, -0.0, -0.0),
        ("tanh", math::tanh, -inf, -1.0),
        ("tanh", math::tanh, 25.0, 1.0),
        ("tanh", math::tanh, nan, nan),
        ("rint", math::rint, 2.5, 2.0),
    ];
    for (name, function, x, expected) in one {
        let found = function(x);
        assert!(same(found, expected), "{name}({x}) is {found}, not {expected}");
    }
    let huge = f64::MAX;
    let powers = [
        (2.0, 10.0, 1024.0),
        (-2.0, 3.0, -8.0),
        (-2.0, 2.0, 4.0),
        (-8.0, 1.0 / 3.0, nan),
        (nan, 0.0, 1.0),
        (1.0, nan, 1.0),
        (nan, 1.0, nan),
        (1.0, inf, 1.0),
        (-1.0, inf, 1.0),
        (-1.0, -inf, 1.0),
        (-1.0, 3.0, -1.0),
        (0.5, inf, 0.0),
        (0.5, -inf, inf),
        (2.0, inf, inf),
        (2.0, -inf, 0.0),
        (0.0, 3.0, 0.0),
        (-0.0, 3.0, -0.0),
        (-0.0, 2.0, 0.0),
        (-0.0, 2.5, 0.0),
        (0.0, -1.0, inf),
        (-0.0, -1.0, -inf),
        (-0.0, -2.0, inf),
        (inf, 2.0, inf),
        (inf, -2.0, 0.0),
        (-inf, 3.0, -inf),
        (-inf, 2.0, inf),
        (-inf, 0.5, inf),
        (-inf, -3.0, -0.0),
        (-inf, -2.0, 0.0),
        (huge, 2.0, inf),
        (huge, -2.0, 0.0),
        (0.999_999_999, huge, 0.0),
        (1.000_000_001, huge, inf),
        (2.0, -1074.0, 5e-324),
        (5e-324, 1.0, 5e-324),
        (3.0, 1.0, 3.0),
        (10.0, 2.0, 100.0),
        (2.0, 5e-324, 1.0),
        (0.0, 5e-324, 0.0),
    ];
    for (x, y, expected) in powers {
        let found = math::pow(x, y);
        assert!(same(found, expected), "pow({x}, {y}) is {found}, not {expected}");
    }
    let lengths = [
        (3.0, -4.0, 5.0),
        (-0.0, 0.0, 0.0),
        (-7.0, -0.0, 7.0),
        (inf, nan, inf),
        (nan, -inf, inf),
        (nan, 0.0, nan),
        (1.0, nan, nan),
        (huge, 0.0, huge),
        (huge, huge, inf),
        (1.5e300, 2e300, 2.5e300),
        (5e-324, 0.0, 5e-324),
        (3.0 * 5e-324, 4.0 * 5e-324, 5.0 * 5e-324),
        (1.0, 1e-30, 1.0),
    ];
    for (x, y, expected) in lengths {
        for (x, y) in [(x, y), (y, x)] {
            let found = math::hypot(x, y);
            assert!(same(found, expected), "hypot({x}, {y}) is {found}, not {expected}");
        }
    }
}
