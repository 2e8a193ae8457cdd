//! Whatever bytes drive the generator, the program is valid, and machine code gives the interpreter's bits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton::check::fuzz::sides_for;
use pelton::check::generate::{Choices, Settings, generate};
use pelton::check::side::{Verdict, judge};
use pelton::exec::Engine;
use pelton::exec::bind::bind;

fuzz_target!(|bytes: &[u8]| {
    let generated = generate(&mut Choices::from_bytes(bytes), &Settings::default());
    let program = match generated.program() {
        Ok(program) => program,
        Err(error) => panic!("{error}\n{}", generated.text),
    };
    let args = bind(&program, generated.inputs.clone()).expect("the inputs fit the program");
    let [interp, native] = sides_for(Engine::Native);
    match judge(&program, &args, [&interp, &native]) {
        Verdict::Differ(how) => panic!("{how}\n{}", generated.text),
        Verdict::Agree | Verdict::Refused(_) | Verdict::Unchanged => {}
    }
});
