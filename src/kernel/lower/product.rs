//! Matrix products and tensor contractions.
//!
//! Products of common floats and complex numbers are calls of a run-time routine with the interpreter's order per element;
//! all others are loops, and so are small ones that are computed again and again, where the call would cost more than the
//! product.

use crate::ir::properties::{integers, is_true};
use crate::ir::{Extra, NodeId};
use crate::kernel::{CallOperand, LibraryCall, Literal, Stmt, TrapKind, ValueId};
use crate::scalar::{BinaryOp, DType, Scalar, Type, arith};

use super::container::{Container, Memory};
use super::dataflow::StateContext;
use super::library::{Operand, Term, buffers};
use super::{Lowerer, Lowering};

/// Steps of a sum, all results together, up to which loops are faster than the call, of real and of complex numbers.
const SMALL: [i64; 2] = [512, 64];

/// A reading of a product's operands.
struct Matrices {
    /// Batches, rows, columns, then the summed one.
    letters: Vec<ValueId>,
    free: usize,
    a: Vec<Option<usize>>,
    b: Vec<Option<usize>>,
    /// Counts that have to agree.
    inner: (ValueId, ValueId),
    equal: Vec<(ValueId, ValueId)>,
}

/// What is added to a product: a matrix, its factor, and which letter each of its dimensions runs over.
struct Addend<'o> {
    factor: Scalar,
    operand: &'o Operand,
    letters: &'o [Option<usize>],
}

impl Matrices {
    /// The factors of each step.
    fn terms<'o>(&self, a: &'o Operand, b: &'o Operand) -> [Term<'o>; 2] {
        [
            Term { operand: a, letters: self.a.clone(), conjugate: false },
            Term { operand: b, letters: self.b.clone(), conjugate: false },
        ]
    }
}

impl<'p> Lowerer<'p> {
    /// A matrix product by NumPy's rule: batches of `m x k` times `k x n`; a vector is a row on the left and a column
    /// on the right.
    pub(super) fn product(
        &mut self,
        a: &Operand,
        b: &Operand,
        output: &Operand,
        addend: Option<Operand>,
        properties: &Extra,
    ) -> Lowering<()> {
        let alpha = self.factor(properties, "alpha", 1)?;
        let beta = self.factor(properties, "beta", 0)?;
        let beta = beta.map(|beta| (beta, addend.unwrap_or_else(|| output.clone())));
        let transposed = [is_true(properties.get("transA")), is_true(properties.get("transB"))];
        let shapes = |lowerer: &Self, operand: &Operand| -> [Vec<usize>; 2] {
            let all: Vec<usize> = (0..operand.counts.len()).collect();
            let squeezed = all
                .iter()
                .copied()
                .filter(|&dim| !operand.access.ranges[dim].single)
                .filter(|&dim| !(operand.access.all && lowerer.is_one(operand.counts[dim])))
                .collect();
            [all, squeezed]
        };
        let (a_shapes, b_shapes) = (shapes(self, a), shapes(self, b));
        for (i, j) in [(0, 0), (1, 1), (0, 1), (1, 0)] {
            let Some(found) = self.matrices((a, &a_shapes[i]), (b, &b_shapes[j]), transposed) else {
                continue;
            };
            // Results must be as many as the output has elements.
            let long: Vec<ValueId> =
                found.letters[..found.free].iter().copied().filter(|&count| !self.is_one(count)).collect();
            let kept = self.kept(output);
            let fits = kept.len() == long.len()
                && kept.iter().zip(&long).all(|(&dim, &count)| !self.differ(output.counts[dim], count));
            if !fits {
                continue;
            }
            self.check_equal(found.inner.0, found.inner.1)?;
            for &(x, y) in &found.equal {
                self.check_equal(x, y)?;
            }
            if self.fast_product(&found, a, b, output, alpha, beta.as_ref())? {
                return Ok(());
            }
            let terms = found.terms(a, b);
            return self.contract(&terms, &found.letters, found.free, output, alpha, beta);
        }
        self.unsupported("a matrix product of these shapes")
    }

    /// The letters of a product for a reading of the operands' shapes, unless they are known not to fit.
    fn matrices(
        &mut self,
        (a, a_dims): (&Operand, &[usize]),
        (b, b_dims): (&Operand, &[usize]),
        [trans_a, trans_b]: [bool; 2],
    ) -> Option<Matrices> {
        let one = self.b.int(1);
        let (a_rank, b_rank) = (a_dims.len(), b_dims.len());
        if a_rank == 0 || b_rank == 0 {
            return None;
        }
        // Dimensions: batch, rows, columns; `None` stands for a dimension of one that is not there.
        let (a_batch, mut rows, mut inner_a) = match a_dims {
            [k] => (&[][..], None, Some(*k)),
            [batch @ .., m, k] => (batch, Some(*m), Some(*k)),
            [] => return None,
        };
        if trans_a && a_rank > 1 {
            std::mem::swap(&mut rows, &mut inner_a);
        }
        let (b_batch, mut inner_b, mut columns) = match b_dims {
            [k] => (&[][..], Some(*k), None),
            [batch @ .., k, n] => (batch, Some(*k), Some(*n)),
            [] => return None,
        };
        if trans_b && b_rank > 1 {
            std::mem::swap(&mut inner_b, &mut columns);
        }
        let count = |operand: &Operand, dim: Option<usize>| dim.map_or(one, |dim| operand.counts[dim]);
        let (k_a, k_b) = (count(a, inner_a), count(b, inner_b));
        if self.differ(k_a, k_b) {
            return None;
        }
        let mut letters = Vec::new();
        let mut equal = Vec::new();
        let mut a_letters: Vec<Option<usize>> = vec![None; a.counts.len()];
        let mut b_letters: Vec<Option<usize>> = vec![None; b.counts.len()];
        let batches = a_batch.len().max(b_batch.len());
        for position in 0..batches {
            let dim = |batch: &[usize]| (position + batch.len()).checked_sub(batches).map(|at| batch[at]);
            let (x, y) = (dim(a_batch), dim(b_batch));
            let (x_count, y_count) = (count(a, x), count(b, y));
            let shared = match (self.is_one(x_count), self.is_one(y_count)) {
                (true, _) => y_count,
                (false, true) => x_count,
                (false, false) if self.differ(x_count, y_count) => return None,
                (false, false) => {
                    equal.push((x_count, y_count));
                    x_count
                }
            };
            if let Some(x) = x.filter(|_| !self.is_one(x_count)) {
                a_letters[x] = Some(letters.len());
            }
            if let Some(y) = y.filter(|_| !self.is_one(y_count)) {
                b_letters[y] = Some(letters.len());
            }
            letters.push(shared);
        }
        let (m, n) = (letters.len(), letters.len() + 1);
        letters.push(count(a, rows));
        letters.push(count(b, columns));
        letters.push(k_a);
        if let Some(rows) = rows {
            a_letters[rows] = Some(m);
        }
        if let Some(columns) = columns {
            b_letters[columns] = Some(n);
        }
        if let Some(inner) = inner_a {
            a_letters[inner] = Some(n + 1);
        }
        if let Some(inner) = inner_b {
            b_letters[inner] = Some(n + 1);
        }
        Some(Matrices { letters, free: n + 1, a: a_letters, b: b_letters, inner: (k_a, k_b), equal })
    }

    /// A product of matrices of common floats or complex numbers in memory by the run-time routine; false if it is no such
    /// product.
    fn fast_product(
        &mut self,
        found: &Matrices,
        a: &Operand,
        b: &Operand,
        output: &Operand,
        alpha: Option<Scalar>,
        beta: Option<&(Scalar, Operand)>,
    ) -> Lowering<bool> {
        let mut operands = vec![a, b, output];
        operands.extend(beta.map(|(_, addend)| addend));
        let dtype = self.meeting(&operands)?;
        let same = operands.iter().all(|operand| operand.access.container.ty() == Type::Scalar(dtype));
        let in_memory =
            operands.iter().all(|operand| matches!(operand.access.container, Container::Memory(_)));
        let common = matches!(dtype, DType::F32 | DType::F64 | DType::C64 | DType::C128);
        if !common || !same || !in_memory || output.wcr.is_some() {
            return Ok(false);
        }
        let batches = found.free - 2;
        // One number is no more than its loop, which costs no call; the routine has no code for complex vectors.
        let ones = found.letters[batches..found.free].iter().filter(|&&count| self.is_one(count)).count();
        let few = if dtype.is_complex() { ones > 0 } else { ones == 2 };
        if few && !self.overlap(a, output) && !self.overlap(b, output) {
            return Ok(false);
        }
        let kept = self.kept(output);
        let long: Vec<usize> =
            (0..found.free).filter(|&letter| !self.is_one(found.letters[letter])).collect();
        for (&dim, &letter) in kept.iter().zip(&long) {
            self.check_equal(output.counts[dim], found.letters[letter])?;
        }
        let addend_letters = match beta {
            Some((_, addend)) => {
                let theirs = self.kept(addend);
                let Some(skip) = long.len().checked_sub(theirs.len()) else { return Ok(false) };
                let mut letters: Vec<Option<usize>> = vec![None; addend.counts.len()];
                for (&dim, &letter) in theirs.iter().zip(&long[skip..]) {
                    self.check_equal(addend.counts[dim], found.letters[letter])?;
                    letters[dim] = Some(letter);
                }
                Some(letters)
            }
            None => None,
        };
        let mut output_letters: Vec<Option<usize>> = vec![None; output.counts.len()];
        for (&dim, &letter) in kept.iter().zip(&long) {
            output_letters[dim] = Some(letter);
        }
        let plain =
            self.b.repeats() && beta.is_none() && !self.overlap(a, output) && !self.overlap(b, output);
        let condition = if plain { self.is_small(found, dtype) } else { None };
        if let Some(condition) = condition {
            let terms = found.terms(a, b);
            if self.b.as_int(condition) == Some(1) {
                self.contract(&terms, &found.letters, found.free, output, alpha, None)?;
                return Ok(true);
            }
            self.b.open_branch();
            self.contract(&terms, &found.letters, found.free, output, alpha, None)?;
            let then = self.b.close();
            self.b.open_branch();
            self.call_product(found, dtype, [a, b, output], &output_letters, alpha, None)?;
            let otherwise = self.b.close();
            self.b.push(Stmt::If { condition, then, otherwise });
            return Ok(true);
        }
        let addend = beta.zip(addend_letters.as_deref()).map(|((factor, operand), letters)| Addend {
            factor: *factor,
            operand,
            letters,
        });
        self.call_product(found, dtype, [a, b, output], &output_letters, alpha, addend)?;
        Ok(true)
    }

    /// Whether a product is so small that loops are faster than a call; none if it is known not to be.
    fn is_small(&mut self, found: &Matrices, dtype: DType) -> Option<ValueId> {
        let limit = SMALL[usize::from(dtype.is_complex())];
        let mut work = self.b.int(1);
        let mut fits = self.b.bool(true);
        let bound = self.b.int(limit);
        // One after the other, so that no product of sizes overflows.
        for &count in &found.letters[found.free - 2..] {
            let small = self.b.binary(BinaryOp::Le, count, bound);
            fits = self.b.and(fits, small);
            work = self.b.mul(work, count);
        }
        let small = self.b.binary(BinaryOp::Le, work, bound);
        let fits = self.b.and(fits, small);
        (self.b.as_int(fits) != Some(0)).then_some(fits)
    }

    /// The call of the run-time routine, for each batch.
    fn call_product(
        &mut self,
        found: &Matrices,
        dtype: DType,
        [a, b, output]: [&Operand; 3],
        output_letters: &[Option<usize>],
        alpha: Option<Scalar>,
        addend: Option<Addend<'_>>,
    ) -> Lowering<()> {
        let batches = found.free - 2;
        let mut operands = vec![a, b, output];
        operands.extend(addend.as_ref().map(|addend| addend.operand));
        // Row vectors that all meet the same matrix are the rows of one product.
        let (mut m, n, k) = (batches, batches + 1, batches + 2);
        if self.is_one(found.letters[m]) {
            let meets_all = |letter: &usize| !found.b.contains(&Some(*letter));
            m = (0..batches).rev().find(meets_all).unwrap_or(m);
        }
        let looped: Vec<usize> = (0..batches).filter(|&letter| letter != m).collect();
        let counts: Vec<ValueId> = looped.iter().map(|&letter| found.letters[letter]).collect();
        let opened = self.open_loops(&counts);
        let numbers: Vec<(usize, ValueId)> = looped.into_iter().zip(opened.iter().copied()).collect();
        let mut arguments = vec![found.letters[m], found.letters[n], found.letters[k]];
        self.matrix_arguments(a, &found.a, &numbers, [m, k], &mut arguments)?;
        self.matrix_arguments(b, &found.b, &numbers, [k, n], &mut arguments)?;
        self.matrix_arguments(output, output_letters, &numbers, [m, n], &mut arguments)?;
        for bits in bits_of(dtype, alpha.unwrap_or(Scalar::I64(1))) {
            arguments.push(self.b.int(bits));
        }
        arguments.push(self.b.int(i64::from(alpha.is_some())));
        if let Some(Addend { factor, operand, letters }) = addend {
            for bits in bits_of(dtype, factor) {
                arguments.push(self.b.int(bits));
            }
            self.matrix_arguments(operand, letters, &numbers, [m, n], &mut arguments)?;
        }
        let trap = self.trap(TrapKind::Library, "no memory for a matrix product");
        let call = LibraryCall {
            class: "MatMul".to_owned(),
            properties: Extra::new(),
            operands: vec![CallOperand { role: String::new(), ty: dtype, rank: 2, written: false }],
            factor: None,
            reads: buffers(&operands),
            writes: buffers(&[output]),
            trap,
        };
        let call = self.b.kernel.libraries.push(call);
        self.b.push(Stmt::Call(call, arguments));
        self.close_loops(&counts, &opened, false);
        Ok(())
    }

    /// Address, and byte distances along two letters.
    fn matrix_arguments(
        &mut self,
        operand: &Operand,
        letters: &[Option<usize>],
        batches: &[(usize, ValueId)],
        pair: [usize; 2],
        arguments: &mut Vec<ValueId>,
    ) -> Lowering<()> {
        let Container::Memory(memory) = &operand.access.container else { return Ok(()) };
        let memory: Memory = memory.clone();
        let mut distances = [self.b.int(0); 2];
        let (mut elements, steps) = self.start_and_steps(&memory, &operand.access.ranges);
        for (letter, along) in letters.iter().zip(steps) {
            match *letter {
                Some(letter) if letter == pair[0] => distances[0] = along,
                Some(letter) if letter == pair[1] => distances[1] = along,
                Some(letter) => {
                    if let Some(&(_, number)) = batches.iter().find(|&&(batch, _)| batch == letter) {
                        let distance = self.b.mul(number, along);
                        elements = self.b.add(elements, distance);
                    }
                }
                None => {}
            }
        }
        let offset = self.in_bytes(elements, memory.ty);
        arguments.push(self.b.add(memory.base, offset));
        for distance in distances {
            arguments.push(self.in_bytes(distance, memory.ty));
        }
        Ok(())
    }

    pub(super) fn tensor_dot(
        &mut self,
        cx: &StateContext<'p>,
        id: NodeId,
        properties: &Extra,
    ) -> Lowering<()> {
        let a = self.input(cx, id, "_left_tensor")?;
        let b = self.input(cx, id, "_right_tensor")?;
        let output = self.output(cx, id, "_out_tensor")?;
        let list = |key| integers(properties, key).unwrap_or_default();
        let (left, right, permutation) = (list("left_axes"), list("right_axes"), list("permutation"));
        let axis = |axis: i64, rank: usize| {
            usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok().filter(|&axis| axis < rank)
        };
        let mut pairs = Vec::new();
        for (&l, &r) in left.iter().zip(&right) {
            let (Some(l), Some(r)) = (axis(l, a.counts.len()), axis(r, b.counts.len())) else {
                return self.unsupported("a contraction over an axis that does not exist");
            };
            pairs.push((l, r));
        }
        // Free axes of the left, then of the right, permuted; then the contracted ones in the order of the left.
        let mut free: Vec<(bool, usize)> = (0..a.counts.len())
            .filter(|dim| !pairs.iter().any(|(l, _)| l == dim))
            .map(|dim| (false, dim))
            .collect();
        free.extend(
            (0..b.counts.len()).filter(|dim| !pairs.iter().any(|(_, r)| r == dim)).map(|dim| (true, dim)),
        );
        if !permutation.is_empty() {
            let permuted: Option<Vec<(bool, usize)>> = permutation
                .iter()
                .map(|&axis| usize::try_from(axis).ok().and_then(|axis| free.get(axis).copied()))
                .collect();
            let Some(permuted) = permuted else {
                return self.unsupported("a permutation of axes that do not exist");
            };
            free = permuted;
        }
        let mut letters = Vec::new();
        let mut a_letters = vec![None; a.counts.len()];
        let mut b_letters = vec![None; b.counts.len()];
        for &(of_right, dim) in &free {
            let (operand, list) = if of_right { (&b, &mut b_letters) } else { (&a, &mut a_letters) };
            list[dim] = Some(letters.len());
            letters.push(operand.counts[dim]);
        }
        let count = letters.len();
        let mut sorted = pairs.clone();
        sorted.sort_unstable();
        for (l, r) in sorted {
            self.check_equal(a.counts[l], b.counts[r])?;
            a_letters[l] = Some(letters.len());
            b_letters[r] = Some(letters.len());
            letters.push(a.counts[l]);
        }
        let terms = [
            Term { operand: &a, letters: a_letters, conjugate: false },
            Term { operand: &b, letters: b_letters, conjugate: false },
        ];
        self.contract(&terms, &letters, count, &output, None, None)
    }
}

/// The bits of a number of a type: of its real and its imaginary part.
fn bits_of(dtype: DType, number: Scalar) -> [i64; 2] {
    match arith::cast(dtype, number) {
        Scalar::C64(z) => [z.re, z.im].map(|part| i64::from(part.to_bits())),
        Scalar::C128(z) => [z.re, z.im].map(|part| part.to_bits() as i64),
        real => [Literal::from_scalar(real).map_or(0, |literal| literal.bits as i64), 0],
    }
}
