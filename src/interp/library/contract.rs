//! Einstein sums and tensor contractions: `result[free] = sum over bound of product of operands`.

use crate::interp::machine::{Fallible, Machine};
use crate::interp::plan::{Access, LibraryPlan};
use crate::linalg::{Number, meeting_type, with_number};
use crate::scalar::{DType, Scalar};

use super::{Factor, Tensor, shapes};

impl<'p> Machine<'p, '_> {
    /// Operands are the inputs in order of connector name; `text` is NumPy's, with an explicit result.
    pub(super) fn einsum(
        &mut self,
        library: &'p LibraryPlan,
        text: &str,
        alpha: &Factor,
        beta: &Factor,
    ) -> Fallible<()> {
        let Some((inputs, result)) = text.split_once("->") else {
            return Err(shapes(&format!("einsum `{text}` names no result")));
        };
        let clean = |part: &str| part.chars().filter(|letter| !letter.is_whitespace()).collect::<Vec<char>>();
        let terms: Vec<Vec<char>> = inputs.split(',').map(clean).collect();
        let result = clean(result);
        let mut operands: Vec<&(Box<str>, Access)> = library.inputs.iter().collect();
        operands.sort_by(|a, b| a.0.cmp(&b.0));
        let accesses: Vec<&Access> = operands.into_iter().map(|(_, access)| access).collect();
        self.contract(library, &accesses, &terms, &result, alpha, beta)
    }

    pub(super) fn tensor_dot(
        &mut self,
        library: &'p LibraryPlan,
        left: &[i64],
        right: &[i64],
        permutation: &[i64],
    ) -> Fallible<()> {
        let a = self.input_access(library, "_left_tensor")?;
        let b = self.input_access(library, "_right_tensor")?;
        let (a_rank, b_rank) = (self.points(a)?.dims.len(), self.points(b)?.dims.len());
        // Letters of the private alphabet: one per axis, shared by contracted pairs.
        let letter = |index: usize| char::from_u32(0xE000 + index as u32).unwrap_or('?');
        let a_term: Vec<char> = (0..a_rank).map(letter).collect();
        let mut b_term: Vec<char> = (a_rank..a_rank + b_rank).map(letter).collect();
        let axis =
            |axis: i64, rank: usize| usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok();
        for (&l, &r) in left.iter().zip(right) {
            let (Some(l), Some(r)) = (axis(l, a_rank), axis(r, b_rank)) else {
                return Err(shapes("a contraction over an axis that does not exist"));
            };
            match (a_term.get(l), b_term.get_mut(r)) {
                (Some(&shared), Some(slot)) => *slot = shared,
                _ => return Err(shapes("a contraction over an axis that does not exist")),
            }
        }
        let mut result: Vec<char> =
            a_term.iter().filter(|letter| !b_term.contains(letter)).copied().collect();
        result.extend(b_term.iter().filter(|letter| !a_term.contains(letter)));
        if !permutation.is_empty() {
            let permuted: Option<Vec<char>> = permutation
                .iter()
                .map(|&axis| usize::try_from(axis).ok().and_then(|axis| result.get(axis).copied()))
                .collect();
            result = permuted.ok_or_else(|| shapes("a permutation of axes that do not exist"))?;
        }
        let (one, zero) = (Factor::Number(Scalar::I64(1)), Factor::Number(Scalar::I64(0)));
        self.contract(library, &[a, b], &[a_term, b_term], &result, &one, &zero)
    }

    fn contract(
        &mut self,
        library: &'p LibraryPlan,
        accesses: &[&'p Access],
        terms: &[Vec<char>],
        result: &[char],
        alpha: &Factor,
        beta: &Factor,
    ) -> Fallible<()> {
        let (output, _) = self.output_access(library, "_out_tensor")?;
        let mut dtypes = vec![self.dtype_of(output)?];
        for access in accesses {
            dtypes.push(self.dtype_of(access)?);
        }
        let dtype = meeting_type(&dtypes);
        with_number!(dtype, T => self.contract_typed::<T>(library, accesses, terms, result, (alpha, beta), dtype))
    }

    fn contract_typed<T: Number>(
        &mut self,
        library: &'p LibraryPlan,
        accesses: &[&'p Access],
        terms: &[Vec<char>],
        result: &[char],
        (alpha, beta): (&Factor, &Factor),
        dtype: DType,
    ) -> Fallible<()> {
        let (output, wcr) = self.output_access(library, "_out_tensor")?;
        let mut operands: Vec<Tensor<T>> = Vec::new();
        for access in accesses {
            operands.push(self.gather(access, dtype)?);
        }
        // Letters in order: those of the result, then the summed ones as they appear.
        let mut letters: Vec<(char, usize)> = Vec::new();
        for letter in result.iter().chain(terms.iter().flatten()) {
            if letters.iter().any(|(known, _)| known == letter) {
                continue;
            }
            let extent = terms.iter().zip(&operands).find_map(|(term, operand)| {
                let shape = shape_for(operand, term.len())?;
                term.iter().position(|other| other == letter).map(|dim| shape[dim])
            });
            letters.push((*letter, extent.ok_or_else(|| shapes("an index that no operand has"))?));
        }
        // Distance of each letter in each operand.
        let mut strides = vec![vec![0_usize; letters.len()]; operands.len()];
        for ((term, operand), strides) in terms.iter().zip(&operands).zip(&mut strides) {
            let Some(shape) = shape_for(operand, term.len()) else {
                return Err(shapes(&format!(
                    "an operand of shape {:?} with {} indices",
                    operand.shape,
                    term.len()
                )));
            };
            let mut stride = 1;
            for (letter, &extent) in term.iter().zip(shape).rev() {
                let position = letters.iter().position(|(known, _)| known == letter).unwrap_or(0);
                if letters[position].1 != extent {
                    return Err(shapes(&format!("index extents {} and {extent}", letters[position].1)));
                }
                strides[position] += stride;
                stride *= extent;
            }
        }
        let free = result.len();
        let extents: Vec<usize> = letters.iter().map(|&(_, extent)| extent).collect();
        let results: usize = extents[..free].iter().product();
        let terms_per_result: usize = extents[free..].iter().product();
        let mut values = Vec::with_capacity(results);
        let mut index = vec![0_usize; letters.len()];
        for _ in 0..results {
            let mut sum = T::of(Scalar::I64(0), dtype);
            for _ in 0..terms_per_result {
                let mut term: Option<T> = None;
                for (operand, strides) in operands.iter().zip(&strides) {
                    let at: usize = index.iter().zip(strides).map(|(index, stride)| index * stride).sum();
                    let value = operand.values[at];
                    term = Some(term.map_or(value, |product| product.mul(value)));
                }
                if let Some(term) = term {
                    sum = sum.add(term);
                }
                advance(&mut index[free..], &extents[free..]);
            }
            values.push(sum);
            advance(&mut index[..free], &extents[..free]);
        }
        let mut poison = operands.iter().any(|operand| operand.poison);
        if !alpha.is(1.0) {
            let alpha = T::of(self.factor(alpha)?, dtype);
            values.iter_mut().for_each(|value| *value = alpha.mul(*value));
        }
        if !beta.is(0.0) {
            let beta = T::of(self.factor(beta)?, dtype);
            let old: Tensor<T> = self.gather(output, dtype)?;
            poison |= old.poison;
            for (value, &old) in values.iter_mut().zip(&old.values) {
                *value = value.add(beta.mul(old));
            }
        }
        self.scatter(output, wcr, &values, poison)
    }
}

/// The box of an operand with that many dimensions: as declared, or without declared ones.
fn shape_for<T>(operand: &Tensor<T>, rank: usize) -> Option<&[usize]> {
    [&operand.shape, &operand.squeezed].into_iter().find(|shape| shape.len() == rank).map(|shape| &shape[..])
}

/// The next index, last dimension fastest; wraps to zero.
fn advance(index: &mut [usize], extents: &[usize]) {
    for (index, &extent) in index.iter_mut().zip(extents).rev() {
        *index += 1;
        if *index < extent {
            return;
        }
        *index = 0;
    }
}
