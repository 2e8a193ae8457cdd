//! A program on the kernel evaluator: the graph is lowered to a kernel, and the kernel is run statement by statement.
//!
//! So lowering is compared with the interpreter without any machine code in between, and a kernel can be changed before
//! it runs: that is how mistakes of lowering are planted ([`mutate::kernel`](super::mutate::kernel)).

use crate::exec::Engine;
use crate::interp::infer_symbols;
use crate::ir::Program;
use crate::kernel::lower::{ArrayArgument, Lowered, Specialization, lower};
use crate::kernel::{Kernel, Literal, eval, verify};
use crate::memory::{Arguments, Binding, BufferId, POISON};
use crate::scalar::{Scalar, Type, arith};
use crate::symbolic::ExprId;

use super::locate::value_of;
use super::side::{Disagreement, End, Side, Verdict, copied, judge_runs};

/// Statements and iterations that a run may take.
const FUEL: u64 = 5_000_000;

/// Bytes of an argument at most.
const LARGEST: usize = 1 << 28;

/// What may be done to a kernel before it runs; says whether anything was changed.
pub type Change<'c> = &'c dyn Fn(&mut Kernel) -> bool;

/// Runs a program on the interpreter and on the evaluator, after `change`, and compares every argument bit for bit.
pub fn judge(program: &Program, args: &Arguments<'_>, change: Option<Change<'_>>) -> Verdict {
    let mut lowered = match lower(program, &Specialization::default()) {
        Ok(lowered) => lowered,
        Err(refused) => return Verdict::Refused(crate::diag::Diagnostic::from(refused).to_string()),
    };
    if change.is_some_and(|change| !change(&mut lowered.kernel)) {
        return Verdict::Unchanged;
    }
    if let Err(problem) = verify::verify(&lowered.kernel) {
        // What the verifier notices is no mistake of ours to find.
        return match change {
            Some(_) => Verdict::Unchanged,
            None => Verdict::Differ(Disagreement::Ends(
                String::new(),
                format!("the kernel is malformed: {problem}"),
            )),
        };
    }
    let (mut ours, mut theirs) = (copied(args), copied(args));
    let reference = match Side::engine(Engine::Interp).prepare(program) {
        Ok(mut ready) => ready.run(&mut ours),
        Err(end) => end,
    };
    match (&reference, run(program, &lowered, &mut theirs)) {
        (_, Err(why)) => Verdict::Refused(why),
        // Checks stand in front of loops, so a program with several faults may stop at another one.
        (End::Fault(_), Ok(Ended::Trapped)) => Verdict::Agree,
        (_, Ok(Ended::Done)) => judge_runs(program, [&ours, &theirs], &[reference, End::Done], None),
        (_, Ok(Ended::Trapped)) => {
            Verdict::Differ(Disagreement::Ends(reference.to_string(), "a check of the kernel failed".into()))
        }
        (_, Ok(Ended::Stray(what))) => Verdict::Differ(Disagreement::Ends(reference.to_string(), what)),
    }
}

/// How the evaluator ended.
enum Ended {
    Done,
    Trapped,
    /// It did what no kernel may.
    Stray(String),
}

/// Runs a kernel on a call's arguments.
///
/// # Errors
/// Why the evaluator does not do for these arguments or this kernel.
fn run(program: &Program, lowered: &Lowered, args: &mut Arguments<'_>) -> Result<Ended, String> {
    let known = infer_symbols(program, args).map_err(|error| error.to_string())?;
    let parameters: Vec<u64> = lowered
        .symbols
        .iter()
        .map(|(name, dtype)| {
            let value = known.get(name).copied().unwrap_or(Scalar::I64(0));
            Literal::from_scalar(arith::cast(*dtype, value)).map_or(0, |literal| literal.bits)
        })
        .collect();
    let mut memory = Vec::with_capacity(lowered.arrays.len());
    let mut places: Vec<Option<Place>> = Vec::with_capacity(lowered.arrays.len());
    for array in &lowered.arrays {
        let (bytes, place) = argument(program, args, array)?;
        let shares = |place: &Place| places.iter().flatten().any(|other| other.buffer == place.buffer);
        if place.as_ref().is_some_and(shares) {
            return Err("two arguments share memory".to_owned());
        }
        memory.push(bytes);
        places.push(place);
    }
    let ended = match eval::run(&lowered.kernel, &mut memory, &parameters, FUEL) {
        Ok(eval::Ended::Done) => Ended::Done,
        Ok(eval::Ended::Trapped(_)) => Ended::Trapped,
        Err(what) if what.contains("cannot be evaluated") => return Err(what),
        Err(what) => Ended::Stray(what),
    };
    for (mut bytes, place) in memory.into_iter().zip(places) {
        let Some(place) = place else { continue };
        if let Some(buffer) = args.buffers.get_mut(place.buffer) {
            place.exchange(&mut bytes, buffer.bytes_mut(), false);
        }
    }
    Ok(ended)
}

/// An argument in the caller's layout and in the declared one, which the kernel sees.
struct Place {
    buffer: BufferId,
    offset: isize,
    item: usize,
    shape: Vec<usize>,
    caller: Vec<isize>,
    declared: Vec<isize>,
}

impl Place {
    /// Copies every element between the two layouts.
    fn exchange(&self, own: &mut [u8], caller: &mut [u8], inward: bool) {
        let count: usize = self.shape.iter().product();
        for element in 0..count {
            let (mut rest, mut from, mut to) = (element, self.offset, 0);
            let layouts = self.caller.iter().zip(&self.declared);
            for (&extent, (&caller, &declared)) in self.shape.iter().zip(layouts).rev() {
                let index = (rest % extent) as isize;
                rest /= extent;
                from += index * caller;
                to += index * declared;
            }
            let range = |at: isize| usize::try_from(at).map_or(0..0, |at| at..at + self.item);
            if let (Some(caller), Some(own)) = (caller.get_mut(range(from)), own.get_mut(range(to)))
                && caller.len() == own.len()
            {
                if inward { own.copy_from_slice(caller) } else { caller.copy_from_slice(own) }
            }
        }
    }
}

/// The bytes of an argument in the declared layout, and where they come from if they go back there.
fn argument(
    program: &Program,
    args: &mut Arguments<'_>,
    array: &ArrayArgument,
) -> Result<(Vec<u8>, Option<Place>), String> {
    let name = program.names.get(array.name);
    match args.get(name).cloned() {
        Some(Binding::Scalar(value)) if array.scalar => {
            let Type::Scalar(dtype) = array.ty else { return Err(format!("{name} is no number")) };
            let mut bytes = vec![0; dtype.bytes()];
            arith::cast(dtype, value).write_le_bytes(&mut bytes);
            Ok((bytes, None))
        }
        Some(Binding::Array { buffer, offset, strides, shape, ty }) if ty == array.ty && !array.scalar => {
            let item = ty.bytes(&program.structs);
            let layout = |sizes: &[ExprId]| -> Option<Vec<isize>> {
                sizes.iter().map(|&size| value_of(program, args, size)?.try_into().ok()).collect()
            };
            let (extents, distances) = (layout(&array.shape), layout(&array.strides));
            let (Some(extents), Some(distances)) = (extents, distances) else {
                return Err(format!("the layout of {name} is not known"));
            };
            let same = extents.len() == shape.len()
                && extents
                    .iter()
                    .zip(&shape)
                    .all(|(&declared, &given)| usize::try_from(declared) == Ok(given));
            if !same {
                return Err(format!("{name} has another shape than the program says"));
            }
            let place = Place {
                buffer,
                offset: offset as isize,
                item,
                shape,
                caller: strides,
                declared: distances.iter().map(|&stride| stride * item as isize).collect(),
            };
            let reach = extents.iter().zip(&distances).try_fold(1, |reach: isize, (&extent, &stride)| {
                reach.checked_add((extent - 1).max(0).checked_mul(stride.max(0))?)
            });
            let bytes = reach.and_then(|reach| usize::try_from(reach).ok()?.checked_mul(item));
            let mut bytes = match bytes {
                Some(bytes) if bytes <= LARGEST => vec![POISON; bytes],
                _ => return Err(format!("{name} is too large to be evaluated")),
            };
            if let Some(buffer) = args.buffers.get_mut(place.buffer) {
                place.exchange(&mut bytes, buffer.bytes_mut(), true);
            }
            Ok((bytes, Some(place)))
        }
        _ => Err(format!("{name} is given as something else")),
    }
}
