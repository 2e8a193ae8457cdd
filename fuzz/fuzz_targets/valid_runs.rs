//! What the validator passes, the interpreter runs to the end or to a described fault, checked or not, and lowering to a
//! kernel takes or refuses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton::exec::Format;
use pelton::exec::load::finish;
use pelton::front::pel;
use pelton::interp::{Options, Prepared, RequiredKind, required_arguments};
use pelton::memory::Arguments;
use pelton::scalar::{Scalar, arith};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(program) = pel::parse(text) else { return };
    let loaded = finish(program, Format::Pel, Vec::new());
    if loaded.errors().next().is_some() {
        return;
    }
    let program = loaded.program;
    drop(pelton::kernel::lower::lower(&program));
    let Ok(required) = required_arguments(&program) else { return };
    let Ok(mut prepared) = Prepared::new(&program) else { return };
    for checked in [false, true] {
        let mut args = Arguments::new();
        for item in &required {
            if let RequiredKind::Symbol(dtype) = item.kind {
                args.insert_scalar(&program.names[item.name], arith::cast(dtype, Scalar::I64(3)));
            }
        }
        let options = Options { checked, fuel: Some(20_000), ..Options::default() };
        drop(prepared.run(&mut args, &options));
    }
});
