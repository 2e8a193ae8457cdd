//! Library nodes that machine code calls: operands come out of memory whole, [`linalg`](crate::linalg) computes, and
//! results go back. Nothing is written before everything is known to fit, so a call that fails has written nothing.

use num_complex::Complex64;

use crate::entity::Name;
use crate::ir::properties;
use crate::kernel::{CallFactor, LibraryCall};
use crate::linalg::{self, Number, Square, meeting_type, with_number};
use crate::scalar::{DType, Scalar, arith};
use crate::symbolic::Env;

use super::call::Frame;
use super::factor::Blocks;
use super::runtime::Arguments;

/// An operand in memory.
struct Operand<'c> {
    role: &'c str,
    ty: DType,
    written: bool,
    address: *mut u8,
    extents: Vec<usize>,
    strides: Vec<isize>,
}

struct Call<'c> {
    operands: Vec<Operand<'c>>,
    factor: Complex64,
    blocks: Blocks,
}

/// Runs a call; none if it fails.
///
/// # Safety
/// Each operand lies in memory in the extents given, results in memory that may be written; `frame` is the one of the
/// machine code that calls.
pub(super) unsafe fn run(
    frame: *mut Frame,
    description: &LibraryCall,
    arguments: Arguments<'_>,
) -> Option<()> {
    let mut next = 0;
    let mut take = || {
        next += 1;
        arguments.get(next - 1)
    };
    let mut operands = Vec::with_capacity(description.operands.len());
    for operand in &description.operands {
        let address = take() as usize as *mut u8;
        let extents = (0..operand.rank).map(|_| usize::try_from(take()).unwrap_or(0)).collect();
        let strides = (0..operand.rank).map(|_| take() as isize).collect();
        let (role, ty, written) = (operand.role.as_str(), operand.ty, operand.written);
        operands.push(Operand { role, ty, written, address, extents, strides });
    }
    let factor = match &description.factor {
        Some(factor) => {
            let values = factor.symbols.iter().map(|&name| (name, take())).collect();
            factor_value(factor, values)?
        }
        None => {
            description.properties.get("factor").and_then(properties::as_number).unwrap_or(Scalar::I64(1))
        }
    };
    // SAFETY: as the caller says.
    let blocks = unsafe { Blocks::of(frame) };
    let call = Call { operands, factor: factor.as_complex(), blocks };
    let flag = |key: &str| !properties::is_false(description.properties.get(key));
    // SAFETY: as the caller says, for all of these.
    unsafe {
        match description.class.as_str() {
            "FFT" => call.fourier(false),
            "IFFT" => call.fourier(true),
            "Cholesky" => call.cholesky("_a", "_b", flag("lower"), true),
            "Potrf" => call.cholesky("_xin", "_xout", flag("lower"), false),
            "Getrf" => call.factorize(),
            "Getrs" => call.substitute(),
            "Getri" => call.invert_factors(),
            "Inv" => call.invert(),
            "Solve" => call.solve(),
            _ => None,
        }
    }
}

fn factor_value(factor: &CallFactor, values: Vec<(Name, i64)>) -> Option<Scalar> {
    struct Values(Vec<(Name, i64)>);
    impl Env for Values {
        fn symbol(&self, name: Name) -> Option<Scalar> {
            self.0.iter().find(|(known, _)| *known == name).map(|&(_, value)| Scalar::I64(value))
        }
    }
    factor.exprs.eval_value(factor.expr, &Values(values)).ok()
}

impl Operand<'_> {
    fn count(&self) -> Option<usize> {
        self.extents.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent))
    }

    /// Visits the rows of the last dimension in order, by the addresses of their first elements.
    fn for_each_row(&self, mut visit: impl FnMut(*mut u8) -> Option<()>) -> Option<()> {
        let outer = self.extents.split_last().map_or(&[][..], |(_, outer)| outer);
        if self.extents.contains(&0) {
            return Some(());
        }
        let mut index = vec![0usize; outer.len()];
        let mut address = self.address;
        loop {
            visit(address)?;
            let mut dim = outer.len();
            loop {
                let Some(inner) = dim.checked_sub(1) else { return Some(()) };
                dim = inner;
                index[dim] += 1;
                address = address.wrapping_offset(self.strides[dim]);
                if index[dim] < outer[dim] {
                    break;
                }
                address = address.wrapping_offset(self.strides[dim].wrapping_mul(-(index[dim] as isize)));
                index[dim] = 0;
            }
        }
    }

    /// Elements of a row, and bytes from one to the next.
    fn row(&self) -> (usize, isize) {
        (self.extents.last().copied().unwrap_or(1), self.strides.last().copied().unwrap_or(0))
    }

    /// Reads the operand whole, as numbers of `dtype`.
    ///
    /// # Safety
    /// It lies in memory.
    unsafe fn read<T: Number>(&self, dtype: DType) -> Option<Vec<T>> {
        let (count, stride) = self.row();
        let as_they_lie = T::DTYPE == Some(self.ty);
        let mut values = Vec::new();
        values.try_reserve_exact(self.count()?).ok()?;
        self.for_each_row(|row| {
            let addresses = (0..count).map(|at| row.wrapping_offset(stride.wrapping_mul(at as isize)));
            if as_they_lie {
                // SAFETY: as the caller says; these are numbers of type `T`.
                values.extend(addresses.map(|address| unsafe { address.cast::<T>().read_unaligned() }));
                return Some(());
            }
            for address in addresses {
                // SAFETY: as the caller says.
                let bytes = unsafe { std::slice::from_raw_parts(address, self.ty.bytes()) };
                values.push(T::of(Scalar::from_le_bytes(self.ty, bytes)?, dtype));
            }
            Some(())
        })?;
        Some(values)
    }
}

/// A result and where it goes.
type Written<'c, T> = (&'c Operand<'c>, Vec<T>);

/// Writes a result whole.
///
/// # Safety
/// The operand lies in memory that may be written, and has as many elements as there are values.
unsafe fn write<T: Number>((operand, values): &Written<'_, T>) -> Option<()> {
    let (count, stride) = operand.row();
    let as_they_lie = T::DTYPE == Some(operand.ty);
    let mut rows = values.chunks_exact(count.max(1));
    operand.for_each_row(|row| {
        for (at, &value) in rows.next()?.iter().enumerate() {
            let address = row.wrapping_offset(stride.wrapping_mul(at as isize));
            if as_they_lie {
                // SAFETY: as the caller says; these are numbers of type `T`.
                unsafe { address.cast::<T>().write_unaligned(value) };
            } else {
                // SAFETY: as the caller says.
                let bytes = unsafe { std::slice::from_raw_parts_mut(address, operand.ty.bytes()) };
                arith::cast(operand.ty, value.scalar()).write_le_bytes(bytes);
            }
        }
        Some(())
    })
}

impl Call<'_> {
    fn find(&self, role: &str, written: bool) -> Option<&Operand<'_>> {
        self.operands.iter().find(|operand| operand.role == role && operand.written == written)
    }

    /// # Safety
    /// Operands lie in memory; so for all methods below.
    unsafe fn read<T: Number>(&self, role: &str, dtype: DType) -> Option<Vec<T>> {
        // SAFETY: as the caller says.
        unsafe { self.find(role, false)?.read(dtype) }
    }

    /// Writes the results: numbers, pivots, and LAPACK's `info`, where somebody takes them.
    unsafe fn write<T: Number>(
        &self,
        role: &str,
        values: Vec<T>,
        pivots: Option<&[usize]>,
        info: usize,
    ) -> Option<()> {
        let main = (self.find(role, true)?, values);
        let mut others: Vec<Written<'_, Scalar>> = Vec::new();
        if let (Some(operand), Some(pivots)) = (self.find("_ipiv", true), pivots) {
            others.push((operand, pivots.iter().map(|&pivot| Scalar::I64(pivot as i64)).collect()));
        }
        if let Some(operand) = self.find("_res", true) {
            others.push((operand, vec![Scalar::I64(info as i64)]));
        }
        let fits = main.0.count() == Some(main.1.len())
            && others.iter().all(|(operand, values)| operand.count() == Some(values.len()));
        if !fits {
            return None;
        }
        // SAFETY: as the caller says; counts agree.
        unsafe {
            write(&main)?;
            others.iter().try_for_each(|other| write(other))
        }
    }

    fn meeting(&self, roles: &[&str]) -> DType {
        let types: Vec<DType> =
            roles.iter().filter_map(|role| self.find(role, false)).map(|operand| operand.ty).collect();
        meeting_type(&types)
    }

    unsafe fn fourier(&self, inverse: bool) -> Option<()> {
        // SAFETY: as the caller says.
        let signal: Vec<Complex64> = unsafe { self.read("_inp", DType::C128)? };
        let spectrum = linalg::fourier(&signal, inverse, self.factor);
        // SAFETY: as the caller says.
        unsafe { self.write("_out", spectrum, None, 0) }
    }

    unsafe fn cholesky(&self, input: &str, output: &str, lower: bool, clean: bool) -> Option<()> {
        let dtype = self.meeting(&[input]);
        with_number!(dtype, T => {
            // SAFETY: as the caller says.
            let mut matrix = Square::<T>::of(unsafe { self.read(input, dtype)? })?;
            let info = self.blocks.cholesky(&mut matrix, lower, dtype)?;
            if clean {
                matrix.clear_other_triangle(lower, dtype);
            }
            // SAFETY: as the caller says.
            unsafe { self.write(output, matrix.values, None, info) }
        })
    }

    unsafe fn factorize(&self) -> Option<()> {
        let dtype = self.meeting(&["_xin"]);
        with_number!(dtype, T => {
            // SAFETY: as the caller says.
            let mut matrix = Square::<T>::of(unsafe { self.read("_xin", dtype)? })?;
            let (pivots, info) = self.blocks.factorize(&mut matrix)?;
            // SAFETY: as the caller says.
            unsafe { self.write("_xout", matrix.values, Some(&pivots), info) }
        })
    }

    unsafe fn pivots(&self) -> Option<Vec<usize>> {
        // SAFETY: as the caller says.
        let pivots: Vec<Scalar> = unsafe { self.read("_ipiv", DType::I64)? };
        Some(pivots.into_iter().map(|pivot| usize::try_from(pivot.as_i64()).unwrap_or(0)).collect())
    }

    unsafe fn substitute(&self) -> Option<()> {
        let dtype = self.meeting(&["_a", "_rhs_in"]);
        // SAFETY: as the caller says.
        let pivots = unsafe { self.pivots()? };
        with_number!(dtype, T => {
            // SAFETY: as the caller says.
            let mut matrix = Square::<T>::of(unsafe { self.read("_a", dtype)? })?;
            // SAFETY: as the caller says.
            let mut b: Vec<T> = unsafe { self.read("_rhs_in", dtype)? };
            let columns = linalg::columns(matrix.n, b.len())?;
            self.blocks.back_substitute(&mut matrix, &pivots, &mut b, columns)?;
            // SAFETY: as the caller says.
            unsafe { self.write("_rhs_out", b, None, 0) }
        })
    }

    unsafe fn invert_factors(&self) -> Option<()> {
        let dtype = self.meeting(&["_xin"]);
        // SAFETY: as the caller says.
        let pivots = unsafe { self.pivots()? };
        with_number!(dtype, T => {
            // SAFETY: as the caller says.
            let mut matrix = Square::<T>::of(unsafe { self.read("_xin", dtype)? })?;
            let inverse = self.blocks.invert(&mut matrix, &pivots, dtype)?;
            // SAFETY: as the caller says.
            unsafe { self.write("_xout", inverse, None, 0) }
        })
    }

    unsafe fn invert(&self) -> Option<()> {
        let dtype = self.meeting(&["_ain"]);
        with_number!(dtype, T => {
            // SAFETY: as the caller says.
            let mut matrix = Square::<T>::of(unsafe { self.read("_ain", dtype)? })?;
            let (pivots, _) = self.blocks.factorize(&mut matrix)?;
            let inverse = self.blocks.invert(&mut matrix, &pivots, dtype)?;
            // SAFETY: as the caller says.
            unsafe { self.write("_aout", inverse, None, 0) }
        })
    }

    unsafe fn solve(&self) -> Option<()> {
        let dtype = self.meeting(&["_ain", "_bin"]);
        with_number!(dtype, T => {
            // SAFETY: as the caller says.
            let mut matrix = Square::<T>::of(unsafe { self.read("_ain", dtype)? })?;
            // SAFETY: as the caller says.
            let mut b: Vec<T> = unsafe { self.read("_bin", dtype)? };
            let columns = linalg::columns(matrix.n, b.len())?;
            let (pivots, _) = self.blocks.factorize(&mut matrix)?;
            self.blocks.back_substitute(&mut matrix, &pivots, &mut b, columns)?;
            // SAFETY: as the caller says.
            unsafe { self.write("_bout", b, None, 0) }
        })
    }
}
