//! What a call of a compiled program costs beside its work.
//!
//! `cargo bench --bench call` runs a program on arrays of eight elements: with arguments by position
//! ([`Prepared::run_given`]), with arguments by name ([`Prepared::run`]), and a parallel region of little work with
//! one thread and with all. The least time of many rounds counts, in nanoseconds.

#[path = "support/allocator.rs"]
mod allocator;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use pelton::exec::engine::{Engine, Options, Prepared};
use pelton::exec::{Settings, settings};
use pelton::front::pel;
use pelton::memory::{Arguments, Given, GivenArray};
use pelton::scalar::{Scalar, Type, lower};

/// Calls per round, and rounds.
const CALLS: u32 = 2_000;
const ROUNDS: usize = 30;

fn program(arrays: usize) -> Arc<pelton::ir::Program> {
    let names: Vec<String> = (0..arrays).map(|k| format!("a{k}")).collect();
    let parameters: Vec<String> = names.iter().map(|name| format!("{name}: f64[N]")).collect();
    let sum = names[1..].iter().map(|name| format!("{name}[i]")).collect::<Vec<_>>().join(" + ");
    let text =
        format!("program p({}, N: i64 symbol) {{ map i in 0:N {{ a0[i] = {sum} }} }}", parameters.join(", "));
    let mut program = pel::parse(&text).expect("the program is well formed");
    lower::lower_program(&mut program);
    Arc::new(program)
}

/// Nanoseconds of one call, at best.
fn least(mut call: impl FnMut()) -> f64 {
    let round = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    (0..ROUNDS).map(|_| round(&mut call)).fold(f64::INFINITY, f64::min)
}

fn prepared(program: &Arc<pelton::ir::Program>, threads: usize, always_split: bool) -> Prepared {
    let settings = Settings { threads: Some(threads), always_split, ..Settings::default() };
    Prepared::with(Arc::clone(program), Engine::Native, false, settings).expect("the program compiles")
}

fn main() {
    let (shape, strides) = ([8_usize], [8_isize]);
    let options = Options::default();
    for arrays in [3, 5, 30] {
        let program = program(arrays);
        let mut memory = vec![[1.0_f64; 8]; arrays];
        let given: Vec<Given<'_>> = memory
            .iter_mut()
            .map(|values| {
                let address = values.as_mut_ptr().cast();
                Given::Array(GivenArray { address, ty: Type::F64, shape: &shape, strides: &strides })
            })
            .chain([Given::Number(Scalar::I64(8))])
            .collect();
        let by_position = |prepared: &Prepared| {
            // SAFETY: the arrays are ours and lie as said; nobody else touches them.
            least(|| drop(black_box(unsafe { prepared.run_given(&given, &options) })))
        };
        let plain = by_position(&prepared(&program, 1, false));
        let alone = by_position(&prepared(&program, 1, true));
        let together = by_position(&prepared(&program, settings::threads(), true));
        let mut args = Arguments::new();
        for k in 0..arrays {
            args.insert_array(&format!("a{k}"), Type::F64, 8, &shape, vec![0; 64]);
        }
        args.insert_scalar("N", Scalar::I64(8));
        let named = prepared(&program, 1, false);
        let by_name = least(|| drop(black_box(named.run(&mut args, &options))));
        println!(
            "{arrays:2} arrays: by position {plain:6.0} ns, by name {by_name:6.0} ns; as a region {alone:6.0} ns \
             on one thread, {together:6.0} ns on {}",
            settings::threads()
        );
    }
}
