//! The engine `auto`, where it may choose a GPU.

use pelton::exec::Settings;
use pelton::exec::engine::{Engine, Options, Outcome, Prepared};
use pelton::exec::settings::{AutoGpu, Wishes};
use pelton::memory::Arguments;

use crate::common::small::{doubles, program, read};
use crate::device;

const STEP: &str = "program step(a: f64[64], b: f64[64]) {
    map i in 1:63 { b[i] = a[i - 1] + 2.0 * a[i] + a[i + 1] }
    map i in 0:64 { a[i] = b[i] * 0.25 }
  }";

/// Launches in so many calls that code is made at its best, and the results.
fn calls(auto: AutoGpu) -> (Option<u64>, Vec<f64>) {
    let gpu = Wishes { auto, ..Wishes::default() };
    let settings = Settings { gpu, ..Settings::default() };
    let prepared = Prepared::with(program(STEP).into(), Engine::Auto, false, settings).unwrap();
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[64], &(0..64).map(f64::from).collect::<Vec<_>>());
    doubles(&mut args, "b", &[64], &[0.5; 64]);
    for _ in 0..40 {
        let outcome = prepared.run(&mut args, &Options::default());
        assert!(matches!(outcome, Ok(Outcome::Done(_))), "{outcome:?}");
    }
    (prepared.launches(), [read(&args, "a"), read(&args, "b")].concat())
}

#[test]
fn auto_takes_a_gpu_only_where_it_may() {
    if !device() {
        return;
    }
    let (never, right) = calls(AutoGpu::Never);
    assert_eq!(never, None);
    // So little work pays nowhere, and never on a device in software.
    assert_eq!(calls(AutoGpu::Pays), (None, right.clone()));
    let (launches, found) = calls(AutoGpu::Any);
    assert!(launches > Some(0));
    assert_eq!(found, right);
}
