//! Tasklets that are one LAPACKE call: `potrf`, `getrf`, `getrs`, `getri`.
//!
//! The arguments name connectors; matrices are row-major and as large as their memlets.

use crate::interp::fault::{Fault, FaultKind};
use crate::interp::machine::{Fallible, Machine};
use crate::interp::plan::{Access, LibraryPlan};
use crate::linalg::{Number, Square, with_number};
use crate::scalar::parse::c::LapackCall;
use crate::scalar::{DType, Scalar};

use super::factor::columns;
use super::{Tensor, shapes};

impl<'p> Machine<'p, '_> {
    pub(super) fn lapack(&mut self, library: &'p LibraryPlan, call: &'p LapackCall) -> Fallible<()> {
        let unknown =
            || Fault::new(FaultKind::Library, format!("LAPACK routine `{}` is not known", call.routine));
        let dtype = match call.routine.bytes().next() {
            Some(b's') => DType::F32,
            Some(b'd') => DType::F64,
            Some(b'c') => DType::C64,
            Some(b'z') => DType::C128,
            _ => return Err(unknown()),
        };
        let routine = call.routine.get(1..).unwrap_or_default();
        let info = with_number!(dtype, T => match routine {
            "potrf" => self.call_potrf::<T>(library, call, dtype)?,
            "getrf" => self.call_getrf::<T>(library, call, dtype)?,
            "getrs" => self.call_getrs::<T>(library, call, dtype)?,
            "getri" => self.call_getri::<T>(library, call, dtype)?,
            _ => return Err(unknown()),
        });
        if let Some(result) = &call.result
            && let Some((_, access, wcr)) = library.outputs.iter().find(|(name, ..)| **name == **result)
        {
            self.scatter(access, wcr.as_ref(), &[Scalar::I64(info as i64)], false)?;
        }
        Ok(())
    }

    /// The connector that an argument names, as an operand and as a target.
    fn argument(
        &self,
        library: &'p LibraryPlan,
        call: &LapackCall,
        position: usize,
    ) -> Fallible<(&'p Access, &'p Access)> {
        let name = call.arguments.get(position).map_or("", |name| name.trim_start_matches(['&', '*']));
        let input = library.inputs.iter().find(|(known, _)| **known == *name).map(|(_, access)| access);
        let output = library.outputs.iter().find(|(known, ..)| **known == *name).map(|(_, access, _)| access);
        match (input, output) {
            (Some(input), Some(output)) => Ok((input, output)),
            (Some(only), None) | (None, Some(only)) => Ok((only, only)),
            (None, None) => Err(super::missing(name)),
        }
    }

    fn lapack_square<T: Number>(&mut self, access: &'p Access, dtype: DType) -> Fallible<(Square<T>, bool)> {
        let tensor: Tensor<T> = self.gather(access, dtype)?;
        match Square::of(tensor.values) {
            Some(matrix) => Ok((matrix, tensor.poison)),
            None => Err(shapes(&format!("`{}` is not square", access.text))),
        }
    }

    fn call_potrf<T: Number>(
        &mut self,
        library: &'p LibraryPlan,
        call: &LapackCall,
        dtype: DType,
    ) -> Fallible<usize> {
        let lower = call.arguments.get(1).is_none_or(|triangle| triangle.contains(['L', 'l']));
        let (input, output) = self.argument(library, call, 3)?;
        let (mut matrix, poison) = self.lapack_square::<T>(input, dtype)?;
        let info = matrix.cholesky(lower, dtype);
        self.scatter(output, None, &matrix.values, poison)?;
        Ok(info)
    }

    fn call_getrf<T: Number>(
        &mut self,
        library: &'p LibraryPlan,
        call: &LapackCall,
        dtype: DType,
    ) -> Fallible<usize> {
        let (input, output) = self.argument(library, call, 3)?;
        let (_, pivots) = self.argument(library, call, 5)?;
        let (mut matrix, poison) = self.lapack_square::<T>(input, dtype)?;
        let (found, info) = matrix.factorize();
        self.scatter(output, None, &matrix.values, poison)?;
        let found: Vec<Scalar> = found.into_iter().map(|pivot| Scalar::I64(pivot as i64)).collect();
        self.scatter(pivots, None, &found, false)?;
        Ok(info)
    }

    fn lapack_pivots(&mut self, access: &'p Access) -> Fallible<Vec<usize>> {
        let table: Tensor<Scalar> = self.gather(access, DType::I64)?;
        Ok(table.values.iter().map(|pivot| usize::try_from(pivot.as_i64()).unwrap_or(0)).collect())
    }

    fn call_getrs<T: Number>(
        &mut self,
        library: &'p LibraryPlan,
        call: &LapackCall,
        dtype: DType,
    ) -> Fallible<usize> {
        let (matrix, _) = self.argument(library, call, 4)?;
        let (pivots, _) = self.argument(library, call, 6)?;
        let (input, output) = self.argument(library, call, 7)?;
        let (mut matrix, poison) = self.lapack_square::<T>(matrix, dtype)?;
        let pivots = self.lapack_pivots(pivots)?;
        let mut b: Tensor<T> = self.gather(input, dtype)?;
        let columns = columns(matrix.n, b.values.len())?;
        matrix.back_substitute(&pivots, &mut b.values, columns);
        self.scatter(output, None, &b.values, b.poison || poison)?;
        Ok(0)
    }

    fn call_getri<T: Number>(
        &mut self,
        library: &'p LibraryPlan,
        call: &LapackCall,
        dtype: DType,
    ) -> Fallible<usize> {
        let (input, output) = self.argument(library, call, 2)?;
        let (pivots, _) = self.argument(library, call, 4)?;
        let (mut matrix, poison) = self.lapack_square::<T>(input, dtype)?;
        let pivots = self.lapack_pivots(pivots)?;
        let inverse = matrix.invert(&pivots, dtype);
        self.scatter(output, None, &inverse, poison)?;
        Ok(0)
    }
}
