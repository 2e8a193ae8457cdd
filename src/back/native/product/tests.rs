//! Products against the textbook loop, in every kind of registers that this machine has.

use super::super::call::Frame;
use super::*;

/// Numbers with their specials now and then.
struct Numbers(u64);

impl Numbers {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn next(&mut self, special: bool) -> f64 {
        let bits = self.bits();
        match bits % 40 {
            0 if special => f64::NAN,
            1 if special => f64::INFINITY,
            2 => -0.0,
            3 => 0.0,
            4 => 1e-310,
            _ => bits as f64 / (1u64 << 30) as f64 - 1.0,
        }
    }

    fn number<T: Checked>(&mut self, special: bool) -> T {
        T::from_parts(self.next(special), self.next(special))
    }
}

/// Numbers whose products are checked, against the operations of [`linalg`](crate::linalg).
trait Checked: Product + Number + std::fmt::Debug {
    const EPSILON: f64;
    /// Products of real numbers in a product.
    const TERMS: usize = 1;

    fn parts(self) -> [f64; 2] {
        let number = self.scalar().as_complex();
        [number.re, number.im]
    }

    fn from_parts(re: f64, im: f64) -> Self {
        let dtype = Self::DTYPE.expect("a type");
        let number = if Self::TERMS == 1 { Scalar::F64(re) } else { Scalar::C128(Complex64::new(re, im)) };
        Self::of(number, dtype)
    }

    /// The size of the parts together.
    fn weight(self) -> f64 {
        self.parts().iter().map(|part| part.abs()).sum()
    }
}

impl Checked for f64 {
    const EPSILON: f64 = f64::EPSILON;
}

impl Checked for f32 {
    const EPSILON: f64 = f32::EPSILON as f64;
}

impl Checked for Complex64 {
    const EPSILON: f64 = f64::EPSILON;
    const TERMS: usize = 2;
}

impl Checked for Complex32 {
    const EPSILON: f64 = f32::EPSILON as f64;
    const TERMS: usize = 2;
}

/// Whether two numbers have the same bits, or where they have not, are not numbers.
fn same<T: Checked>(a: T, b: T) -> bool {
    let pairs = a.parts().into_iter().zip(b.parts());
    pairs.into_iter().all(|(x, y)| x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()))
}

/// Whether the parts of two numbers differ by no more than that.
fn near<T: Checked>(a: T, b: T, most: f64) -> bool {
    a.parts().into_iter().zip(b.parts()).all(|(x, y)| (x - y).abs() <= most)
}

/// What machine code would pass.
pub(in super::super) fn frame(threads: usize) -> Frame {
    Frame {
        arguments: std::ptr::null(),
        parameters: std::ptr::null(),
        scratch_top: std::ptr::null_mut(),
        scratch_end: std::ptr::null_mut(),
        arena: std::ptr::null_mut(),
        persistent: std::ptr::null_mut(),
        planned: std::ptr::null(),
        overlap: 0,
        functions: std::ptr::null(),
        environment: std::ptr::null_mut(),
        threads,
        grain: 1.0,
        fast: 0,
        session: std::ptr::null_mut(),
        streams: std::ptr::null_mut(),
    }
}

fn all_registers() -> Vec<Registers> {
    let mut all = vec![Registers::Plain];
    #[cfg(target_arch = "x86_64")]
    all.extend(
        [Registers::Avx2, Registers::Avx512].into_iter().filter(|&one| one <= Registers::of_machine()),
    );
    all
}

/// A way for a matrix to lie in a vector: rows or columns together, with gaps, backwards.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Rows,
    Columns,
    Gaps,
    Backwards,
}

const LAYOUTS: [Layout; 4] = [Layout::Rows, Layout::Columns, Layout::Gaps, Layout::Backwards];

/// First element and distances, in elements, and how many elements there are.
fn lay(layout: Layout, rows: usize, columns: usize) -> (usize, [isize; 2], usize) {
    let (r, c) = (rows as isize, columns as isize);
    match layout {
        Layout::Rows => (0, [c, 1], rows * columns),
        Layout::Columns => (0, [1, r], rows * columns),
        Layout::Gaps => (1, [3 * c + 2, 3], (3 * columns + 2) * rows + 2),
        Layout::Backwards => ((rows * columns).saturating_sub(1), [-c, -1], rows * columns),
    }
}

fn matrix<T>(numbers: &[T], layout: Layout, rows: usize, columns: usize) -> Matrix<T> {
    let (first, [row, column], _) = lay(layout, rows, columns);
    let size = size_of::<T>() as isize;
    Matrix { base: numbers.as_ptr().wrapping_add(first), row: row * size, column: column * size }
}

fn element<T: Copy>(numbers: &[T], layout: Layout, shape: (usize, usize), row: usize, column: usize) -> T {
    let (first, [down, across], _) = lay(layout, shape.0, shape.1);
    numbers[(first as isize + row as isize * down + column as isize * across) as usize]
}

#[derive(Clone, Copy, Debug)]
struct Case {
    m: usize,
    n: usize,
    k: usize,
    layouts: [Layout; 3],
    alpha: bool,
    /// An addend: none, elsewhere, or the result itself.
    addend: usize,
    fused: bool,
    registers: Registers,
    threads: usize,
    special: bool,
}

fn check<T: Checked>(case: Case) {
    let Case { m, n, k, layouts: [la, lb, lc], .. } = case;
    let mut numbers = Numbers((m * 7919 + n * 104_729 + k * 31 + case.addend) as u64);
    let mut fill = |count: usize| -> Vec<T> { (0..count).map(|_| numbers.number(case.special)).collect() };
    let (a, b) = (fill(lay(la, m, k).2), fill(lay(lb, k, n).2));
    let (mut c, other) = (fill(lay(lc, m, n).2), fill(lay(lc, m, n).2));
    if case.addend < 2 {
        // What is overwritten is not read.
        c.fill(T::from_parts(f64::NAN, f64::NAN));
    }
    let before = c.clone();
    let (alpha, beta) = (T::from_parts(0.75, 0.5), T::from_parts(-1.5, 2.0));
    let place = matrix(&c, lc, m, n);
    let job = Job {
        a: matrix(&a, la, m, k),
        b: matrix(&b, lb, k, n),
        c: Matrix { base: c.as_mut_ptr().wrapping_add(lay(lc, m, n).0).cast_const(), ..place },
        m,
        n,
        k,
        finish: Finish {
            alpha: case.alpha.then_some(alpha),
            addend: match case.addend {
                0 => None,
                1 => Some((beta, matrix(&other, lc, m, n))),
                _ => Some((beta, place)),
            },
        },
        subtracts: false,
        conjugates: false,
        fused: case.fused,
        thin: false,
        registers: case.registers,
    };
    // SAFETY: the matrices lie in the vectors.
    unsafe { compute(&mut frame(case.threads), job) }.expect("memory");
    for i in 0..m {
        for j in 0..n {
            let (mut sum, mut size) = (T::default(), 0.0f64);
            for l in 0..k {
                let (x, y) = (element(&a, la, (m, k), i, l), element(&b, lb, (k, n), l, j));
                size += x.weight() * y.weight();
                sum = Number::add(sum, Number::mul(x, y));
            }
            if case.alpha {
                sum = Number::mul(alpha, sum);
                size *= alpha.weight();
            }
            if case.addend > 0 {
                let old = element(if case.addend == 1 { &other } else { &before }, lc, (m, n), i, j);
                sum = Number::add(sum, Number::mul(beta, old));
                size += beta.weight() * old.weight();
            }
            let found = element(&c, lc, (m, n), i, j);
            let most = (T::TERMS * k + 2) as f64 * T::EPSILON * size + f64::MIN_POSITIVE;
            let right = same(sum, found) || (case.fused && near(sum, found, most));
            assert!(right, "{case:?} at {i}, {j}: {found:?} instead of {sum:?}");
        }
    }
}

const SHAPES: [(usize, usize, usize); 25] = [
    (1, 1, 1),
    (1, 1, 37),
    (2, 2, 0),
    (1, 9, 0),
    (3, 5, 7),
    (12, 16, 5),
    (13, 17, 9),
    (24, 33, 40),
    (11, 31, 300),
    (5, 3, 600),
    (1, 40, 37),
    (40, 1, 37),
    (1, 300, 3),
    (300, 1, 9),
    (17, 1, 70),
    (3, 1, 70),
    (4, 1, 8),
    (1, 17, 70),
    (50, 8, 8),
    (7, 70, 1),
    (160, 20, 12),
    (9, 1050, 4),
    (32, 50, 40),
    (1050, 8, 33),
    (2, 1040, 260),
];

fn cases(visit: impl Fn(Case)) {
    let mut at = 0;
    for registers in all_registers() {
        for (m, n, k) in SHAPES {
            for la in LAYOUTS {
                for lb in LAYOUTS {
                    // What else there is takes turns.
                    at += 1;
                    let layouts = [la, lb, LAYOUTS[at % 4]];
                    let (alpha, addend, threads) = (at % 3 == 0, at / 2 % 3, 1 + at % 2);
                    visit(Case {
                        m,
                        n,
                        k,
                        layouts,
                        alpha,
                        addend,
                        fused: false,
                        registers,
                        threads,
                        special: at % 5 == 0,
                    });
                }
            }
        }
    }
}

#[test]
fn strict_products_have_the_bits_of_the_textbook_loop() {
    cases(check::<f64>);
    cases(check::<f32>);
    cases(check::<Complex64>);
    cases(check::<Complex32>);
}

#[test]
fn fast_products_are_close_to_the_textbook_loop() {
    cases(|case| check::<f64>(Case { fused: true, special: false, ..case }));
    cases(|case| check::<f32>(Case { fused: true, special: false, ..case }));
    cases(|case| check::<Complex64>(Case { fused: true, special: false, ..case }));
    cases(|case| check::<Complex32>(Case { fused: true, special: false, ..case }));
}

/// Operands count as read before results are written, wherever the result lies.
#[test]
fn results_may_lie_on_operands() {
    for registers in all_registers() {
        for (m, shift) in [(5, 0), (20, 0), (20, 3), (33, 40), (300, 7)] {
            let mut numbers = Numbers(m as u64);
            for on_right in [false, true] {
                let mut memory: Vec<f64> = (0..m * m + shift).map(|_| numbers.next(false)).collect();
                let other: Vec<f64> = (0..m * m).map(|_| numbers.next(false)).collect();
                let before = memory.clone();
                let shared =
                    Matrix { base: memory.as_mut_ptr().cast_const(), row: 8 * m as isize, column: 8 };
                let apart = Matrix { base: other.as_ptr(), ..shared };
                let c = Matrix { base: shared.base.wrapping_add(shift), ..shared };
                let (a, b) = if on_right { (apart, shared) } else { (shared, apart) };
                // The addend meets the result, but not element on element.
                let addend = Some((2.0, shared));
                let finish = Finish { alpha: None, addend };
                let (subtracts, conjugates, fused, thin) = (false, false, false, false);
                let job =
                    Job { a, b, c, m, n: m, k: m, finish, subtracts, conjugates, fused, thin, registers };
                // SAFETY: the matrices lie in the vectors.
                unsafe { compute(&mut frame(1), job) }.expect("memory");
                for i in 0..m {
                    for j in 0..m {
                        let (x, y) = if on_right { (&other, &before) } else { (&before, &other) };
                        let sum = (0..m).fold(0.0, |sum, l| sum + x[i * m + l] * y[l * m + j]);
                        let expected = sum + 2.0 * before[i * m + j];
                        assert_eq!(
                            memory[shift + i * m + j].to_bits(),
                            expected.to_bits(),
                            "{m} {shift} at {i}, {j}"
                        );
                    }
                }
            }
        }
    }
}

/// Products are taken from what the result holds, one after the other.
#[test]
fn products_are_subtracted_in_order() {
    subtracted::<f64>();
    subtracted::<f32>();
    subtracted::<Complex64>();
    subtracted::<Complex32>();
}

fn subtracted<T: Checked>() {
    for registers in all_registers() {
        for (m, n, k) in
            [(1, 1, 5), (2, 9, 3), (13, 17, 9), (1, 40, 37), (40, 1, 37), (30, 70, 300), (150, 20, 520)]
        {
            for (fused, threads, conjugates) in
                [(false, 1, false), (false, 2, true), (true, 1, true), (true, 1, false)]
            {
                // Small numbers have products that cancel to zeros, whose signs count.
                for small in [false, true] {
                    let mut numbers = Numbers((m + n + k) as u64);
                    let mut fill = |count: usize| -> Vec<T> {
                        (0..count)
                            .map(|_| match small {
                                true => {
                                    let part = |bits: u64| [-1.0, -0.0, 0.0, 1.0][bits as usize % 4];
                                    T::from_parts(part(numbers.bits()), part(numbers.bits()))
                                }
                                false => numbers.number(false),
                            })
                            .collect()
                    };
                    let (a, b, mut c) = (fill(m * k), fill(k * n), fill(m * n));
                    let before = c.clone();
                    let job = Job {
                        a: matrix(&a, Layout::Columns, m, k),
                        b: matrix(&b, Layout::Rows, k, n),
                        c: Matrix { base: c.as_mut_ptr().cast_const(), ..matrix(&c, Layout::Rows, m, n) },
                        m,
                        n,
                        k,
                        finish: Finish { alpha: None, addend: None },
                        subtracts: true,
                        conjugates,
                        fused,
                        thin: false,
                        registers,
                    };
                    // SAFETY: the matrices lie in the vectors.
                    unsafe { split(&mut frame(threads), job) }.expect("memory");
                    for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                        let expected = (0..k).fold(before[i * n + j], |sum, l| {
                            let x = a[l * m + i];
                            let x = if conjugates { x.conj() } else { x };
                            Number::sub(sum, Number::mul(x, b[l * n + j]))
                        });
                        let found = c[i * n + j];
                        let most =
                            (T::TERMS * k + 1) as f64 * (2 * T::TERMS * T::TERMS * k) as f64 * T::EPSILON;
                        assert!(
                            same(found, expected) || (fused && near(found, expected, most)),
                            "{registers:?} {m} {n} {k} {fused} {small} at {i}, {j}: {found:?} instead of {expected:?}"
                        );
                    }
                }
            }
        }
    }
}
