//! Small programs as text, and their arguments.

use pelton::front::pel;
use pelton::ir::Program;
use pelton::memory::{Arguments, Binding};
use pelton::scalar::{Type, lower};

/// The program with its code lowered.
pub fn program(text: &str) -> Program {
    let mut program = pel::parse(text).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    let problems = lower::lower_program(&mut program);
    assert!(problems.iter().all(|problem| !problem.is_error()), "{problems:?}\n{text}");
    program
}

/// Adds an argument of `float64`.
pub fn doubles(args: &mut Arguments<'_>, name: &str, shape: &[usize], values: &[f64]) {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    args.insert_array(name, Type::F64, 8, shape, bytes);
}

/// The elements of an argument of `float64`.
pub fn read(args: &Arguments<'_>, name: &str) -> Vec<f64> {
    let Some(Binding::Array { buffer, .. }) = args.get(name) else { panic!("no array {name}") };
    let bytes = args.buffers[*buffer].bytes();
    bytes.chunks(8).map(|chunk| f64::from_le_bytes(chunk.try_into().unwrap())).collect()
}
