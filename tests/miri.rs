//! Unsafe code that an interpreter of Rust can run, in small: `scripts/deep-check miri` runs this under Miri, and it is an
//! ordinary test otherwise.
//!
//! Memory of the caller by address, memory that two arguments share, slabs, workspaces between threads, and the handshake of
//! threads through an arena. Machine code is not for Miri; AddressSanitizer looks at that.

use std::ptr::NonNull;

use pelton::entity::Names;
use pelton::exec::load::finish;
use pelton::exec::{Engine, Format, Options, Outcome, Prepared};
use pelton::front::pel;
use pelton::memory::pool::{Block, Workspace};
use pelton::memory::{Arena, Given, GivenArray, MemoryOptions};
use pelton::scalar::{Scalar, Type};
use pelton::symbolic::{ExprPool, Grammar};

fn prepared(text: &str) -> Prepared {
    let loaded = finish(pel::parse(text).unwrap(), Format::Pel, Vec::new());
    assert_eq!(loaded.errors().next(), None);
    Prepared::new(&loaded.program, Engine::Interp, false).unwrap()
}

fn array<'s>(values: &mut [f64], first: usize, shape: &'s [usize], strides: &'s [isize]) -> GivenArray<'s> {
    let address = values.as_mut_ptr().wrapping_add(first).cast();
    GivenArray { address, ty: Type::F64, shape, strides }
}

/// Calls with arrays by name and `N`.
fn call(prepared: &Prepared, arrays: &[(&str, GivenArray<'_>)], n: i64, options: &Options) {
    let given: Vec<Given<'_>> = prepared
        .names()
        .iter()
        .map(|name| match arrays.iter().find(|(known, _)| known == name) {
            Some((_, array)) => Given::Array(*array),
            None => Given::Number(Scalar::I64(n)),
        })
        .collect();
    // SAFETY: the arrays are borrowed by the caller for the whole call, and lie inside their memory.
    let outcome = unsafe { prepared.run_given(&given, options) }.unwrap();
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

const SCALE: &str = "map i in 0:N { t[i] = a[i]*2 }\nmap i in 0:N { b[i] = t[N-1-i]+1 }\n";

#[test]
fn arrays_by_address_forwards_backwards_and_strided() {
    let prepared = prepared(SCALE);
    let (mut a, mut b) = ([1.0, 2.0, 3.0], [0.0; 6]);
    let input = array(&mut a, 0, &[3], &[8]);
    call(&prepared, &[("a", input), ("b", array(&mut b, 0, &[3], &[16]))], 3, &Options::default());
    assert_eq!(b, [7.0, 0.0, 5.0, 0.0, 3.0, 0.0]);
    let input = array(&mut a, 2, &[3], &[-8]);
    call(&prepared, &[("a", input), ("b", array(&mut b, 0, &[3], &[8]))], 3, &Options::default());
    assert_eq!(b[..3], [3.0, 5.0, 7.0]);
}

#[test]
fn two_arguments_in_one_memory() {
    let prepared = prepared("map i in 0:N { b[i] = a[i]+1 }\n");
    let mut memory = [1.0, 2.0, 3.0, 4.0];
    let start = memory.as_mut_ptr();
    let place = |first: usize| GivenArray {
        address: start.wrapping_add(first).cast(),
        ty: Type::F64,
        shape: &[3],
        strides: &[8],
    };
    call(&prepared, &[("a", place(0)), ("b", place(1))], 3, &Options::default());
    // In the order of the interpreter: each iteration sees what the one before wrote.
    assert_eq!(memory, [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn transients_in_every_kind_of_memory() {
    let prepared = prepared(SCALE);
    let mut memory = vec![7_u8; 9000];
    let start = NonNull::new(memory.as_mut_ptr()).unwrap();
    // SAFETY: the vector outlives the workspace and is not touched meanwhile.
    let foreign = unsafe { Workspace::of_memory(start, memory.len()) };
    for workspace in [Workspace::new(), Workspace::of_block(Block::new(9000).unwrap()), foreign] {
        for arena in Arena::ALL {
            let memory = MemoryOptions { arena, workspace: Some(workspace.clone()), packing: Some(5) };
            let options = Options { memory, ..Options::default() };
            let (mut a, mut b) = (vec![0.5; 600], vec![0.0; 600]);
            let input = array(&mut a, 0, &[600], &[8]);
            call(&prepared, &[("a", input), ("b", array(&mut b, 0, &[600], &[8]))], 600, &options);
            assert!(b.iter().all(|&value| value == 2.0), "{arena}");
        }
        assert_eq!(workspace.statistics().leased, 0);
    }
}

#[test]
fn a_workspace_between_threads() {
    for workspace in [Workspace::new(), Workspace::of_block(Block::new(256).unwrap())] {
        std::thread::scope(|scope| {
            for mark in 1..=3_u8 {
                let workspace = workspace.clone();
                scope.spawn(move || {
                    for bytes in [64, 200, 10] {
                        let mut lease = workspace.lease(bytes).unwrap();
                        lease.block().bytes_mut().fill(mark);
                        std::thread::yield_now();
                        assert!(lease.bytes().iter().all(|&byte| byte == mark));
                    }
                });
            }
        });
        workspace.trim();
    }
}

#[test]
fn names_and_expressions() {
    let (mut pool, mut names) = (ExprPool::default(), Names::new());
    for text in ["N*(M + 2) - min(N, 3)", "(i + 1)//2 % 5", "a[i, j - 1] + 1"] {
        let expr = pool.parse(&mut names, text, Grammar::Plain).unwrap();
        let printed = pool.print(&names, expr, Grammar::Plain);
        assert_eq!(pool.parse(&mut names, &printed, Grammar::Plain).unwrap(), expr, "{printed}");
    }
}
