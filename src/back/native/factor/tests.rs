//! Work in blocks against the same steps on whole matrices: the same bits in strict mode, close in fast mode.

use num_complex::{Complex32, Complex64};

use super::super::product::tests::frame;
use super::*;
use crate::linalg::Number;
use crate::scalar::Scalar;

const SIZES: [usize; 9] = [0, 1, 16, 17, 33, 48, 65, 130, 150];

/// Numbers between minus one and one.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 30) as f64 - 1.0
    }

    fn of<T: Number>(&mut self, dtype: DType) -> T {
        T::of(Scalar::C128(Complex64::new(self.next(), self.next())), dtype)
    }
}

fn bits<T: Number>(values: &[T]) -> Vec<[u64; 2]> {
    let parts = |value: &T| value.scalar().as_complex();
    values.iter().map(parts).map(|z| [z.re.to_bits(), z.im.to_bits()]).collect()
}

fn random<T: Number>(numbers: &mut Numbers, n: usize, columns: usize, dtype: DType) -> Vec<T> {
    (0..n * columns).map(|_| numbers.of(dtype)).collect()
}

/// A matrix that is its own conjugate when turned; positive definite if the diagonal is large enough.
fn hermitian<T: Number>(numbers: &mut Numbers, n: usize, diagonal: f64, dtype: DType) -> Square<T> {
    let mut values: Vec<T> = random(numbers, n, n, dtype);
    for row in 0..n {
        values[row * n + row] = T::of(Scalar::F64(diagonal), dtype);
        for column in row + 1..n {
            values[row * n + column] = values[column * n + row].conj();
        }
    }
    Square { n, values }
}

/// Calls a check with blocks in strict mode on one thread and two.
fn strictly(check: impl Fn(&Blocks)) {
    for threads in [1, 2] {
        let mut frame = frame(threads);
        // SAFETY: the frame lives as long as the blocks.
        check(&unsafe { Blocks::of(&raw mut frame) });
    }
}

fn same_cholesky<T: Element>(dtype: DType) {
    strictly(|blocks| {
        for n in SIZES {
            // Positive definite, and not: somewhere in the middle, or from the start.
            for diagonal in [n as f64 + 1.0, (n as f64).sqrt() * 1.2, -1.0] {
                for lower in [true, false] {
                    let matrix: Square<T> = hermitian(&mut Numbers(n as u64), n, diagonal, dtype);
                    let mut whole = Square { n, values: matrix.values.clone() };
                    let mut found = matrix;
                    let expected = whole.cholesky(lower, dtype);
                    assert_eq!(
                        blocks.cholesky(&mut found, lower, dtype),
                        Some(expected),
                        "{dtype:?} {n} {diagonal}"
                    );
                    assert_eq!(bits(&found.values), bits(&whole.values), "{dtype:?} {n} {diagonal} {lower}");
                }
            }
        }
    });
}

fn same_solution<T: Element>(dtype: DType) {
    strictly(|blocks| {
        for n in SIZES {
            for (columns, singular) in [(1, false), (9, false), (40, true)] {
                let numbers = &mut Numbers(n as u64 + 1);
                let mut values: Vec<T> = random(numbers, n, n, dtype);
                if singular && n > 2 {
                    // A column of zeros and some infinities.
                    values.iter_mut().skip(n / 2).step_by(n).for_each(|x| *x = T::of(Scalar::I64(0), dtype));
                    values[n / 2 + 1] = T::of(Scalar::F64(f64::INFINITY), dtype);
                }
                let b: Vec<T> = random(numbers, n, columns, dtype);
                let mut whole = Square { n, values: values.clone() };
                let mut found = Square { n, values };
                let (pivots, info) = whole.factorize();
                let factors = blocks.factorize(&mut found).expect("memory");
                assert_eq!(factors, (pivots.clone(), info), "{dtype:?} {n}");
                let nan_or_same = |found: &[T], expected: &[T]| {
                    let pairs = bits(found).into_iter().zip(bits(expected));
                    pairs.into_iter().all(|(x, y)| {
                        x.iter().zip(&y).all(|(&x, &y)| {
                            x == y || (f64::from_bits(x).is_nan() && f64::from_bits(y).is_nan())
                        })
                    })
                };
                assert!(nan_or_same(&found.values, &whole.values), "{dtype:?} {n} {singular}");
                let (mut x, mut y) = (b.clone(), b);
                whole.back_substitute(&pivots, &mut x, columns);
                blocks.back_substitute(&mut found, &pivots, &mut y, columns).expect("memory");
                assert!(nan_or_same(&y, &x), "{dtype:?} {n} {columns} {singular}");
                let inverse = blocks.invert(&mut found, &pivots, dtype).expect("memory");
                assert!(nan_or_same(&inverse, &whole.invert(&pivots, dtype)), "{dtype:?} {n}");
            }
        }
    });
}

#[test]
fn cholesky_has_the_bits_of_a_whole_matrix() {
    same_cholesky::<f64>(DType::F64);
    same_cholesky::<f32>(DType::F32);
    same_cholesky::<Complex64>(DType::C128);
    same_cholesky::<Complex32>(DType::C64);
}

#[test]
fn solving_has_the_bits_of_a_whole_matrix() {
    same_solution::<f64>(DType::F64);
    same_solution::<f32>(DType::F32);
    same_solution::<Complex64>(DType::C128);
    same_solution::<Complex32>(DType::C64);
}

/// The largest difference of two matrices.
fn distance<T: Number>(a: &[T], b: &[T]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| a.sub(b).magnitude())
        .fold(0.0, |most, x| if x.is_nan() { x } else { most.max(x) })
}

/// In fast mode the factors multiply to the matrix, and solutions solve, up to rounding.
fn close<T: Element>(dtype: DType, epsilon: f64) {
    let mut fast = frame(2);
    fast.fast = 1;
    // SAFETY: the frame lives as long as the blocks.
    let blocks = unsafe { Blocks::of(&raw mut fast) };
    let zero = T::of(Scalar::I64(0), dtype);
    for n in SIZES {
        let bound = 20.0 * (n as f64 + 1.0).powi(2) * epsilon;
        let numbers = &mut Numbers(n as u64 + 2);
        let matrix: Square<T> = hermitian(numbers, n, 2.0 * n as f64 + 1.0, dtype);
        let mut factor = Square { n, values: matrix.values.clone() };
        assert_eq!(blocks.cholesky(&mut factor, true, dtype), Some(0));
        factor.clear_other_triangle(true, dtype);
        let mut product = vec![zero; n * n];
        for (row, column) in (0..n).flat_map(|row| (0..n).map(move |column| (row, column))) {
            product[row * n + column] = (0..n).fold(zero, |sum, k| {
                sum.add(factor.values[row * n + k].mul(factor.values[column * n + k].conj()))
            });
        }
        assert!(distance(&product, &matrix.values) <= bound, "{dtype:?} {n}");

        let mut factors = Square { n, values: matrix.values.clone() };
        let (pivots, info) = blocks.factorize(&mut factors).expect("memory");
        assert_eq!(info, 0);
        let b: Vec<T> = random(numbers, n, 20, dtype);
        let mut x = b.clone();
        blocks.back_substitute(&mut factors, &pivots, &mut x, 20).expect("memory");
        let mut back = vec![zero; n * 20];
        for (row, column) in (0..n).flat_map(|row| (0..20).map(move |column| (row, column))) {
            back[row * 20 + column] =
                (0..n).fold(zero, |sum, k| sum.add(matrix.values[row * n + k].mul(x[k * 20 + column])));
        }
        assert!(distance(&back, &b) <= bound, "{dtype:?} {n}");
    }
}

#[test]
fn fast_mode_is_close() {
    close::<f64>(DType::F64, f64::EPSILON);
    close::<f32>(DType::F32, f64::from(f32::EPSILON));
    close::<Complex64>(DType::C128, f64::EPSILON);
    close::<Complex32>(DType::C64, f64::from(f32::EPSILON));
}
