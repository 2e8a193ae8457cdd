//! Where transients lie on the device.

use pelton::exec::Settings;
use pelton::exec::engine::{Engine, Options, Outcome, Prepared};
use pelton::memory::{Arena, Arguments, MemoryOptions};
use pelton::scalar::DType;

use crate::common::small::{doubles, read};
use crate::device;

use super::{array, prepared, run};

/// Lives of `t` and `w` are apart, those of `u` and `v` too. The host writes an element of `w`, whose bytes were those of
/// `t` in launches that were not yet submitted. Values from elsewhere keep maps from being fused.
const CHAIN: &str = "program chain(a: f64[N], k: i32[N], b: f64[N]) {
    symbol N: i32
    transient t: f64[N]
    transient u: f64[N]
    transient v: f64[N]
    transient w: f64[N]
    map i in 0:N { t[i] = a[i] * 2.0 }
    map i in 0:N { tasklet pick(all <- t[0:N], at <- k[i]) -> (out -> u[i]) { out = all[at] + 1.0 } }
    state host { c = tasklet five () -> (y) { y = 5.0 }  w_out = access w  c.y -> w_out : w[0] }
    map i in 1:N { tasklet pick(all <- u[0:N], at <- k[i]) -> (out -> w[i]) { out = all[at] } }
    map i in 0:N { tasklet pick(all <- w[0:N], at <- k[i]) -> (out -> v[i]) { out = all[at] * 0.5 } }
    map i in 0:N {
      tasklet pick(x <- b[i], all <- v[0:N], others <- w[0:N], at <- k[i]) -> (out -> b[i]) { out = x + all[at] + others[at] }
    }
  }";

fn arguments(n: usize) -> Arguments<'static> {
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[n], &(0..n).map(|i| i as f64 * 0.37 - 1.0).collect::<Vec<_>>());
    let index = |i: usize| ((i * 7 + 1) % n) as i32;
    array(&mut args, "k", DType::I32, &[n], (0..n).flat_map(|i| index(i).to_le_bytes()).collect());
    doubles(&mut args, "b", &[n], &(0..n).map(|i| i as f64).collect::<Vec<_>>());
    args
}

/// What `b` is after a run.
fn after(prepared: &Prepared, n: usize, memory: MemoryOptions) -> Vec<f64> {
    let mut args = arguments(n);
    let outcome = prepared.run(&mut args, &Options { memory, ..Options::default() });
    assert!(matches!(outcome, Ok(Outcome::Done(_))), "{outcome:?}");
    read(&args, "b")
}

#[test]
fn transients_share_one_buffer_of_the_device() {
    if !device() {
        return;
    }
    let oracle = prepared(CHAIN, Engine::Interp, Settings::default());
    let [planned, apart] = [(); 2].map(|()| prepared(CHAIN, Engine::Gpu, Settings::default()));
    for map in planned.divided().unwrap().maps() {
        assert_eq!(map.host, None, "{map:?}");
    }
    for n in [2, 999, 20_001] {
        let right = after(&oracle, n, MemoryOptions::default());
        for packing in [None, Some(1), Some(2), Some(3)] {
            let found = after(&planned, n, MemoryOptions { packing, ..MemoryOptions::default() });
            assert_eq!(found, right, "{n} {packing:?}");
        }
        let off = MemoryOptions { arena: Arena::Off, ..MemoryOptions::default() };
        assert_eq!(after(&apart, n, off), right, "{n}");
    }
    assert_eq!((planned.declined(), apart.declined()), (Some(0), Some(0)));
    // Lives of `t` and `w` are apart, and two others are there with each.
    let tight = prepared(CHAIN, Engine::Gpu, Settings::default());
    after(&tight, 20_001, MemoryOptions::default());
    let (used, own) = (tight.device_memory().unwrap(), apart.device_memory().unwrap());
    let each = 20_002 * 8;
    assert_eq!((own.slab, own.apart), (0, 0));
    assert_eq!((used.apart, used.others + used.apart), (4 * each, own.others));
    assert!(used.slab >= 2 * each && used.slab < 3 * each + 1024, "{used:?}");
}

/// Of two ways, one is a launch and the other the host's, who reads what was written on the device and writes what is read
/// there afterwards.
const BRANCHES: &str = "program branches(a: f64[N], n: i64[1], b: f64[N]) {
    symbol N: i32
    map i in 0:N { b[i] = a[i] * 2.0 }
    conditional way {
      case n[0] > 0 { map i in 0:N { b[i] = b[i] + 1.0 } }
      case else {
        state host { b_in = access b  k = tasklet last (x) -> (y) { y = x * 10.0 }  b_out = access b
                     b_in -> k.x : b[N - 1]  k.y -> b_out : b[0] }
      }
    }
    map i in 0:N { b[i] = b[i] + 0.5 }
  }";

#[test]
fn the_host_sees_the_devices_results_in_branches_without_launches() {
    if !device() {
        return;
    }
    let oracle = prepared(BRANCHES, Engine::Interp, Settings::default());
    let gpu = prepared(BRANCHES, Engine::Gpu, Settings::default());
    for way in [1_i64, 0] {
        let fresh = || {
            let mut args = Arguments::new();
            doubles(&mut args, "a", &[5], &[1.0, 2.0, 3.0, 4.0, 5.0]);
            array(&mut args, "n", DType::I64, &[1], way.to_le_bytes().to_vec());
            doubles(&mut args, "b", &[5], &[-1.0; 5]);
            args
        };
        let (mut right, mut found) = (fresh(), fresh());
        run(&oracle, &mut right);
        let before = gpu.launches().unwrap();
        run(&gpu, &mut found);
        assert_eq!(gpu.launches().unwrap() - before, if way > 0 { 3 } else { 2 });
        assert_eq!(read(&found, "b"), read(&right, "b"), "{way}");
    }
}
