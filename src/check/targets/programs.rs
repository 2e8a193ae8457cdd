//! Programs: whatever bytes drive the generator, or are read as text, all ways to run them agree.

use crate::check::chaos::{self, Chaos};
use crate::check::evaluated;
use crate::check::fuzz::sides_for;
use crate::check::generate::{Choices, Generated, GtirSettings, Settings, generate, generate_gtir};
use crate::check::side::{Side, Verdict, copied, differences, judge};
use crate::exec::bind::bind;
use crate::exec::load::finish;
use crate::exec::{Engine, Format, Options, Outcome, Prepared};
use crate::front::pel;
use crate::interp;
use crate::ir::Program;
use crate::memory::{Arguments, Required, RequiredKind, required_arguments};
use crate::scalar::{Scalar, arith};
use crate::transform::RULES;

use super::Finding;

/// The program that bytes make, with its arguments.
fn generated(bytes: &[u8]) -> Result<(Generated, Program, Arguments<'static>), String> {
    let generated = generate(&mut Choices::from_bytes(bytes), &Settings::default());
    let program = generated.program().map_err(|error| format!("{error}\n{}", generated.text))?;
    let args = bind(&program, generated.inputs.clone())
        .map_err(|error| format!("its inputs are refused: {error}\n{}", generated.text))?;
    Ok((generated, program, args))
}

fn settled(verdict: Verdict, text: &str) -> Finding {
    match verdict {
        Verdict::Differ(how) => Err(format!("{how}\n{text}")),
        Verdict::Agree | Verdict::Refused(_) | Verdict::Unchanged => Ok(()),
    }
}

/// The generated program is valid, and machine code gives the interpreter's bits.
pub(super) fn random_programs(bytes: &[u8]) -> Finding {
    let (generated, program, args) = generated(bytes)?;
    let [interp, native] = sides_for(Engine::Native);
    let native = native.for_any_sizes(bytes.len() % 2 == 1);
    settled(judge(&program, &args, [&interp, &native]), &generated.text)
}

/// The kernel of the generated program, run by the evaluator, gives the interpreter's bits.
pub(super) fn evaluated_kernels(bytes: &[u8]) -> Finding {
    let (generated, program, args) = generated(bytes)?;
    settled(evaluated::judge(&program, &args, None), &generated.text)
}

/// One rule, chosen by the last byte, keeps the bits of the generated program.
pub(super) fn rules(bytes: &[u8]) -> Finding {
    let (last, bytes) = bytes.split_last().unwrap_or((&0, &[]));
    let (generated, program, args) = generated(bytes)?;
    let rule = RULES.get(usize::from(*last) % RULES.len().max(1)).map(|rule| rule.name);
    let after = Side::after_rule(rule);
    settled(judge(&program, &args, [&Side::engine(Engine::Interp), &after]), &generated.text)
}

/// The GTIR program that bytes make means the same to the oracle of the lowering, the interpreter and machine code.
pub(super) fn gtir_programs(bytes: &[u8]) -> Finding {
    let settings = GtirSettings::default();
    generate_gtir(&mut Choices::from_bytes(bytes), settings).check().map(drop)
}

/// A way to run the generated program that follows from the bytes behind it gives the bits of the plain way.
pub(super) fn chaotic(bytes: &[u8]) -> Finding {
    let (last, bytes) = bytes.split_last().unwrap_or((&0, &[]));
    let (generated, program, args) = generated(bytes)?;
    let chaos = Chaos::draw(&mut Choices::from_seed(u64::from(*last)));
    settled(chaos::judge(&program, &args, &chaos), &generated.text)
}

/// A program that was called before, with other sizes and layouts, gives the bits of one that is called for the first
/// time.
pub(super) fn cached_calls(bytes: &[u8]) -> Finding {
    let (generated, program, args) = generated(bytes)?;
    let text = &generated.text;
    let prepare =
        || Prepared::new(&program, Engine::Native, false).map_err(|error| format!("{error}\n{text}"));
    let warm = prepare()?;
    if warm.engine() != Engine::Native {
        return Ok(());
    }
    let calls = [copied(&args), transposed(&args), copied(&args)];
    for (number, call) in calls.iter().enumerate() {
        let (mut ours, mut theirs) = (copied(call), copied(call));
        let known = ended(&warm, &mut ours);
        let fresh = ended(&prepare()?, &mut theirs);
        if known != fresh {
            return Err(format!("call {number}: {known}, the first time {fresh}\n{text}"));
        }
        if let Some(report) = differences(&program, &theirs, &ours, None).first() {
            return Err(format!("call {number}: {report}\n{text}"));
        }
    }
    Ok(())
}

fn ended(prepared: &Prepared, args: &mut Arguments<'_>) -> String {
    match prepared.run(args, &Options::default()) {
        Ok(Outcome::Done(_)) => "done".to_owned(),
        Ok(Outcome::Trap(fault)) => format!("{:?}", fault.kind),
        Err(error) => error.code.to_owned(),
    }
}

/// The arguments with the arrays of two dimensions and more in column-major order.
fn transposed(args: &Arguments<'_>) -> Arguments<'static> {
    let mut changed = copied(args);
    for binding in changed.bindings.values_mut() {
        if let crate::memory::Binding::Array { shape, strides, .. } = binding
            && shape.len() > 1
            && strides.iter().all(|&stride| stride > 0)
        {
            // The same memory, seen in another order.
            let item = strides.iter().copied().min().unwrap_or(1);
            let mut stride = item;
            for (slot, &extent) in strides.iter_mut().zip(&*shape) {
                *slot = stride;
                stride *= extent.max(1) as isize;
            }
        }
    }
    changed
}

/// What the validator passes, the interpreter runs to the end or to a described fault, checked or not, and lowering to
/// a kernel takes or refuses.
pub(super) fn valid_runs(bytes: &[u8]) -> Finding {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    let Ok(program) = pel::parse(text) else { return Ok(()) };
    let loaded = finish(program, Format::Pel, Vec::new());
    if loaded.errors().next().is_some() {
        return Ok(());
    }
    let program = loaded.program;
    drop(crate::kernel::lower::lower(&program, &crate::kernel::lower::Specialization::default()));
    let Ok(required) = required_arguments(&program) else { return Ok(()) };
    let Ok(mut prepared) = interp::Prepared::new(&program) else { return Ok(()) };
    for checked in [false, true] {
        let mut args = symbols(&program, &required);
        let options = interp::Options { checked, fuel: Some(20_000), ..interp::Options::default() };
        drop(prepared.run(&mut args, &options));
    }
    Ok(())
}

/// Every symbol is three.
fn symbols(program: &Program, required: &[Required]) -> Arguments<'static> {
    let mut args = Arguments::new();
    for item in required {
        if let RequiredKind::Symbol(dtype) = item.kind {
            args.insert_scalar(&program.names[item.name], arith::cast(dtype, Scalar::I64(3)));
        }
    }
    args
}
