//! Comparison of a field with what was expected, in the units scientists use.
//!
//! Two floating-point numbers are *close* if `|actual - expected| <= atol + rtol * |expected|`, if they are
//! the same infinity, or if both are NaN. Integers and booleans have to be equal. An element that is marked
//! undefined is left out and counted.

use std::fmt;

use crate::memory::View;
use crate::scalar::Scalar;

use super::side::same_bits;
use super::ulp::{has_ulp, ulp_distance};

/// How much difference is allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tolerance {
    /// Relative to the expected value.
    pub relative: f64,
    /// Absolute.
    pub absolute: f64,
}

/// What came out for one field.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FieldReport {
    /// The field's name.
    pub name: String,
    /// How many elements there are.
    pub elements: usize,
    /// How many of them are within the tolerance.
    pub close: usize,
    /// How many of them have the same bits; all NaNs are one value, the two zeros are two.
    pub identical: usize,
    /// How many were left out because the program does not define them.
    pub undefined: usize,
    /// How many are NaN on both sides.
    pub nan: usize,
    /// The element that differs most, in units of what is allowed.
    pub worst: Option<Difference>,
    /// Largest absolute difference.
    pub largest_absolute: f64,
    /// Largest difference relative to the expected value.
    pub largest_relative: f64,
    /// Element counts by distance in ulp: entry 0 counts distance 0, entry `k` distances from `2^(k-1)` up to
    /// `2^k - 1`. Empty for integers.
    pub ulp_histogram: Vec<usize>,
    /// Why the fields could not be compared at all.
    pub problem: Option<String>,
}

/// One element that differs.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// Where.
    pub index: Vec<usize>,
    /// What the program computed.
    pub actual: Scalar,
    /// What was expected.
    pub expected: Scalar,
    /// Absolute difference.
    pub absolute: f64,
    /// Difference relative to the expected value.
    pub relative: f64,
    /// Distance in ulp, where that makes sense.
    pub ulp: Option<u64>,
}

impl FieldReport {
    /// A field that could not be compared.
    pub fn problem(name: &str, problem: impl Into<String>) -> FieldReport {
        FieldReport { name: name.into(), problem: Some(problem.into()), ..FieldReport::default() }
    }

    /// Whether everything that is defined is close.
    pub fn passes(&self) -> bool {
        self.problem.is_none() && self.close + self.undefined == self.elements
    }

    /// Whether everything that is defined has the same bits.
    pub fn is_identical(&self) -> bool {
        self.problem.is_none() && self.identical + self.undefined == self.elements
    }

    /// Close elements among the defined ones, from 0 to 1.
    pub fn share(&self) -> f64 {
        let defined = self.elements - self.undefined;
        if defined == 0 { 1.0 } else { self.close as f64 / defined as f64 }
    }
}

/// Compares element by element, in row-major order. `defined` says which elements count; `None` means all.
pub fn compare(
    name: &str,
    actual: &View<'_>,
    expected: &View<'_>,
    tolerance: Tolerance,
    defined: Option<&[bool]>,
) -> FieldReport {
    compare_by(name, actual, expected, &|actual, expected| measure(actual, expected, tolerance), defined)
}

/// Compares within a tolerance, or bit for bit without one.
pub fn compare_within(
    name: &str,
    actual: &View<'_>,
    expected: &View<'_>,
    tolerance: Option<Tolerance>,
) -> FieldReport {
    match tolerance {
        Some(tolerance) => compare(name, actual, expected, tolerance, None),
        None => compare_bits(name, actual, expected),
    }
}

/// Whether two numbers are close; without a tolerance, whether they have the same bits.
pub fn is_close(actual: Scalar, expected: Scalar, tolerance: Option<Tolerance>) -> bool {
    match tolerance {
        Some(tolerance) => measure(actual, expected, tolerance).close,
        None => same_bits(actual, expected),
    }
}

/// Compares bit for bit; all NaNs are one value, the two zeros are two.
pub fn compare_bits(name: &str, actual: &View<'_>, expected: &View<'_>) -> FieldReport {
    let exact = Tolerance { relative: 0.0, absolute: 0.0 };
    let measure = |actual, expected| {
        let measured = measure(actual, expected, exact);
        Measured { close: same_bits(actual, expected), ..measured }
    };
    compare_by(name, actual, expected, &measure, None)
}

fn compare_by(
    name: &str,
    actual: &View<'_>,
    expected: &View<'_>,
    measure: &dyn Fn(Scalar, Scalar) -> Measured,
    defined: Option<&[bool]>,
) -> FieldReport {
    if actual.shape() != expected.shape() {
        let problem = format!("shape {:?} instead of {:?}", actual.shape(), expected.shape());
        return FieldReport::problem(name, problem);
    }
    let elements = actual.len();
    let mut report = FieldReport { name: name.into(), elements, ..FieldReport::default() };
    let mut worst: Option<(f64, usize, Measured)> = None;
    for (position, (actual, expected)) in actual.scalars().zip(expected.scalars()).enumerate() {
        let (Some(actual), Some(expected)) = (actual, expected) else {
            return FieldReport::problem(name, format!("element {position} lies outside its buffer"));
        };
        if defined.is_some_and(|defined| defined.get(position) == Some(&false)) {
            report.undefined += 1;
            continue;
        }
        let measured = measure(actual, expected);
        report.close += usize::from(measured.close);
        report.identical += usize::from(same_bits(actual, expected));
        report.nan += usize::from(is_nan(actual) && is_nan(expected));
        report.largest_absolute = report.largest_absolute.max(measured.absolute);
        report.largest_relative = report.largest_relative.max(measured.relative);
        if has_ulp(actual.dtype()) {
            let distance = ulp_distance(actual, expected);
            let bucket = distance.map_or(65, |ulp| 64 - ulp.leading_zeros() as usize);
            if report.ulp_histogram.len() <= bucket {
                report.ulp_histogram.resize(bucket + 1, 0);
            }
            report.ulp_histogram[bucket] += 1;
        }
        let differs = measured.excess > 0.0 || !measured.close;
        if differs && worst.as_ref().is_none_or(|(excess, ..)| measured.excess > *excess) {
            worst = Some((measured.excess, position, measured));
        }
    }
    report.worst = worst.map(|(_, position, measured)| Difference {
        index: actual.index_of(position),
        actual: measured.actual,
        expected: measured.expected,
        absolute: measured.absolute,
        relative: measured.relative,
        ulp: ulp_distance(measured.actual, measured.expected),
    });
    report
}

struct Measured {
    actual: Scalar,
    expected: Scalar,
    close: bool,
    absolute: f64,
    relative: f64,
    /// Difference in units of what is allowed; infinite for what can never be close.
    excess: f64,
}

fn measure(actual: Scalar, expected: Scalar, tolerance: Tolerance) -> Measured {
    let done = |close: bool, absolute: f64, relative: f64, excess: f64| Measured {
        actual,
        expected,
        close,
        absolute,
        relative,
        excess,
    };
    if let (Some(a), Some(e)) = (integer(actual), integer(expected)) {
        let difference = a.abs_diff(e) as f64;
        let relative = if difference == 0.0 { 0.0 } else { difference / (e.unsigned_abs() as f64) };
        return done(a == e, difference, relative, difference);
    }
    if is_nan(actual) || is_nan(expected) {
        let both = is_nan(actual) && is_nan(expected);
        let size = if both { 0.0 } else { f64::INFINITY };
        return done(both, size, size, size);
    }
    let (a, e) = (actual.as_complex(), expected.as_complex());
    if a == e {
        return done(true, 0.0, 0.0, 0.0);
    }
    let absolute = (a.re - e.re).hypot(a.im - e.im);
    let size = e.re.hypot(e.im);
    if !absolute.is_finite() || !size.is_finite() {
        return done(false, f64::INFINITY, f64::INFINITY, f64::INFINITY);
    }
    let allowed = tolerance.absolute + tolerance.relative * size;
    // Where the program stores integers, nothing but equality will do.
    let close = integer(actual).is_none() && absolute <= allowed;
    done(close, absolute, absolute / size, absolute / allowed)
}

fn integer(scalar: Scalar) -> Option<i128> {
    match scalar {
        Scalar::U64(x) => Some(x.into()),
        _ if scalar.dtype().is_integral() => Some(scalar.as_i64().into()),
        _ => None,
    }
}

fn is_nan(scalar: Scalar) -> bool {
    let z = scalar.as_complex();
    z.re.is_nan() || z.im.is_nan()
}

/// A number as a person wants to read it: as many digits as it takes to tell it from its neighbours.
pub fn show(scalar: Scalar) -> String {
    match scalar {
        Scalar::Bool(x) => x.to_string(),
        Scalar::U64(x) => x.to_string(),
        Scalar::F64(x) => show_real(x, &x),
        Scalar::F32(x) => show_real(x.into(), &x),
        Scalar::C64(z) => format!("{}{:+}i", z.re, z.im),
        Scalar::C128(z) => format!("{}{:+}i", z.re, z.im),
        _ if scalar.dtype().is_integral() => scalar.as_i64().to_string(),
        _ => show_real(scalar.as_f64(), &(scalar.as_f64() as f32)),
    }
}

fn show_real(size: f64, digits: &(impl fmt::Display + fmt::LowerExp)) -> String {
    let size = size.abs();
    if size != 0.0 && size.is_finite() && !(1e-4..1e9).contains(&size) {
        format!("{digits:e}")
    } else {
        format!("{digits}")
    }
}

impl fmt::Display for FieldReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        if let Some(problem) = &self.problem {
            return f.write_str(problem);
        }
        let defined = self.elements - self.undefined;
        // Never round a share below one up to 100 %.
        let percent = (self.share() * 1e4).floor() / 1e2;
        write!(f, "{percent} % close ({} of {defined})", self.close)?;
        if self.undefined > 0 {
            write!(f, ", {} undefined", self.undefined)?;
        }
        if let Some(worst) = &self.worst {
            let what = if self.passes() { "largest difference" } else { "worst" };
            write!(
                f,
                ", {what} at {:?}: {} instead of {}",
                worst.index,
                show(worst.actual),
                show(worst.expected)
            )?;
            write!(f, " (absolute {:.2e}, relative {:.2e}", worst.absolute, worst.relative)?;
            if let Some(ulp) = worst.ulp {
                write!(f, ", {ulp} ulp")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::DType;

    const STRICT: Tolerance = Tolerance { relative: 1e-6, absolute: 1e-12 };

    fn bytes(values: &[f64]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn compared(actual: &[f64], expected: &[f64], defined: Option<&[bool]>) -> FieldReport {
        let (actual, expected) = (bytes(actual), bytes(expected));
        let shape = [actual.len() / 8];
        let actual = View::new(&actual, 0, DType::F64, &shape, &[8]);
        let expected = View::new(&expected, 0, DType::F64, &shape, &[8]);
        compare("a", &actual, &expected, STRICT, defined)
    }

    #[test]
    fn close_is_what_numpy_calls_close() {
        assert!(compared(&[1.0, 0.0], &[1.0 + 9e-7, 9e-13], None).passes());
        assert!(!compared(&[1.0], &[1.0 + 2e-6], None).passes());
        assert!(!compared(&[0.0], &[2e-12], None).passes());
    }

    #[test]
    fn nan_and_infinity_equal_themselves_only() {
        let inf = f64::INFINITY;
        assert!(compared(&[f64::NAN, inf, -inf], &[f64::NAN, inf, -inf], None).passes());
        for (actual, expected) in [(f64::NAN, 1.0), (1.0, f64::NAN), (inf, -inf), (inf, 1e308), (1e308, inf)]
        {
            let report = compared(&[0.0, actual], &[0.0, expected], None);
            assert_eq!((report.close, report.passes()), (1, false), "{actual} {expected}");
            assert_eq!(report.worst.unwrap().index, [1]);
        }
    }

    #[test]
    fn the_worst_element_is_found() {
        let report = compared(&[1.0, 2.0, 3.0, 4.0], &[1.0, 2.5, 3.1, 4.0], None);
        let worst = report.worst.clone().unwrap();
        assert_eq!((worst.index, worst.absolute, worst.relative), (vec![1], 0.5, 0.2));
        assert_eq!(report.close, 2);
        assert_eq!(report.share(), 0.5);
        let text = report.to_string();
        assert!(text.starts_with("a: 50 % close (2 of 4), worst at [1]: 2 instead of 2.5"), "{text}");
    }

    #[test]
    fn undefined_elements_are_left_out_and_counted() {
        let report = compared(&[1.0, 9.0], &[1.0, 2.0], Some(&[true, false]));
        assert!(report.passes());
        assert_eq!((report.close, report.undefined), (1, 1));
        assert!(!compared(&[1.0, 9.0], &[1.0, 2.0], Some(&[true, true])).passes());
    }

    #[test]
    fn integers_are_exact_at_any_tolerance() {
        let (actual, expected) = (1_000_000i32.to_le_bytes(), 1_000_001i64.to_le_bytes());
        let actual = View::new(&actual, 0, DType::I32, &[1], &[4]);
        let expected = View::new(&expected, 0, DType::I64, &[1], &[8]);
        let loose = Tolerance { relative: 1.0, absolute: 1.0 };
        assert!(!compare("n", &actual, &expected, loose, None).passes());
        assert!(compare("n", &actual, &actual, loose, None).passes());
    }

    #[test]
    fn shapes_have_to_agree() {
        let data = bytes(&[1.0, 2.0]);
        let flat = View::new(&data, 0, DType::F64, &[2], &[8]);
        let tall = View::new(&data, 0, DType::F64, &[2, 1], &[8, 8]);
        assert!(compare("a", &flat, &tall, STRICT, None).problem.is_some());
    }

    #[test]
    fn histogram_counts_by_powers_of_two() {
        let one = 1.0f64;
        let up = |steps: u64| f64::from_bits(one.to_bits() + steps);
        let report = compared(&[up(0), up(1), up(2), up(3), up(4)], &[one; 5], None);
        assert_eq!(report.ulp_histogram, [1, 1, 2, 1]);
    }

    #[test]
    fn a_share_below_one_is_not_rounded_up() {
        let mut actual = vec![1.0; 100_000];
        actual[7] = 2.0;
        let report = compared(&actual, &vec![1.0; 100_000], None);
        assert!(report.to_string().starts_with("a: 99.99 % close"), "{report}");
    }
}
