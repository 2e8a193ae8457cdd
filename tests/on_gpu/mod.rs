//! Parts of the GPU's tests.

pub mod auto;
pub mod integers;
pub mod lesser;
pub mod memory;
pub mod reductions;
pub mod small;
pub mod zeros;

use std::sync::Arc;

use pelton::exec::Settings;
use pelton::exec::engine::{Engine, Options, Outcome, Prepared};
use pelton::memory::{Arguments, Binding};
use pelton::scalar::{DType, Type};

use crate::common::small::program;

/// A program made ready for an engine with these settings.
pub fn prepared(text: &str, engine: Engine, settings: Settings) -> Prepared {
    let prepared = Prepared::with(Arc::new(program(text)), engine, false, settings).unwrap();
    assert_eq!(prepared.engine(), engine, "{}", prepared.why());
    prepared
}

/// Runs to the end.
pub fn run(prepared: &Prepared, args: &mut Arguments<'_>) {
    match prepared.run(args, &Options::default()) {
        Ok(Outcome::Done(stats)) => assert_eq!(stats.notes, Vec::<String>::new()),
        other => panic!("{other:?}"),
    }
}

/// Adds an argument of any element type.
pub fn array(args: &mut Arguments<'_>, name: &str, ty: DType, shape: &[usize], bytes: Vec<u8>) {
    args.insert_array(name, Type::Scalar(ty), ty.bytes(), shape, bytes);
}

/// The bytes of an array.
pub fn bytes(args: &Arguments<'_>, name: &str) -> Vec<u8> {
    let Some(Binding::Array { buffer, .. }) = args.get(name) else { panic!("no array {name}") };
    args.buffers[*buffer].bytes().to_vec()
}
