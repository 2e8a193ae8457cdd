//! Random kernels: host and device together against the evaluator, bit for bit.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::native::call::tests::{Steps, kernel, run_with, same};
use super::{Divided, Gpu, Wishes, device};
use crate::kernel::{Kernel, Order, Stmt, eval, parallel, verify};
use crate::scalar::DType;
use crate::scalar::trial::TYPES;

fn device() -> Option<Arc<Gpu>> {
    match device::open() {
        Ok(gpu) => Some(gpu),
        Err(problem) => {
            println!("skipped, because {}", problem.message);
            None
        }
    }
}

/// The kernel with its loop parallel, and divided.
fn divided(gpu: &Arc<Gpu>, mut kernel: Kernel, contracted: bool) -> (Kernel, Divided) {
    for stmt in &mut kernel.body {
        if let Stmt::For { order, .. } = stmt {
            *order = Order::Any;
        }
    }
    parallel::find_nests(&mut kernel);
    let divided = Divided::new(gpu, &mut kernel, Wishes { contracted, ..Wishes::default() }).unwrap();
    (kernel, divided)
}

/// Bytes as elements: bools are 0 or 1, floats mostly of magnitudes at which something happens, and some special ones.
fn input(ty: DType, part: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        part.iter().map(|&byte| if ty == DType::Bool { byte & 1 } else { byte }).collect();
    for item in bytes.chunks_exact_mut(ty.bytes()).filter(|_| ty.is_float()) {
        let top = item.len() - 1;
        match (item[0] & 15, ty) {
            (0, _) => item[..top].fill(0),
            (1, DType::F32) => item.copy_from_slice(&[0, 0, 0x80, 0x7f]),
            (1, _) => item.copy_from_slice(&[0, 0, 0, 0, 0, 0, 0xf0, 0xff]),
            (2, _) => {}
            // From 2^-31 to 2^32, and from 2^-63 to 2^64.
            (_, DType::F32) => item[top] = (item[top] & 0x9f) + 0x30,
            (_, _) => item[top] = (item[top] & 0x87) + 0x3c,
        }
    }
    bytes
}

fn element_type() -> impl Strategy<Value = DType> {
    (0..TYPES.len()).prop_map(|index| TYPES[index])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn kernels_divided_give_the_evaluators_bits(
        a in element_type(),
        b in element_type(),
        out in element_type(),
        count in 0_i64..9,
        backwards: bool,
        contracted: bool,
        steps in prop::collection::vec((any::<u8>(), 0_usize..20, 0_usize..20, 0_usize..90), 1..8),
        bytes in prop::collection::vec(any::<u8>(), 128),
    ) {
        let Some(gpu) = device() else { return Ok(()) };
        let steps: Steps = steps;
        let whole = kernel(a, b, out, count, if backwards { -1 } else { 1 }, &steps);
        let fresh = || vec![input(a, &bytes[..64]), input(b, &bytes[64..]), vec![0_u8; 64]];
        let mut expected = fresh();
        prop_assert_eq!(eval::run(&whole, &mut expected, &[], 100_000), Ok(eval::Ended::Done));
        let (kernel, divided) = divided(&gpu, whole, contracted);
        prop_assert_eq!(verify::verify(&kernel), Ok(()));
        for reason in divided.division.refused.values() {
            prop_assert!(!reason.contains("defect"), "{}\n{}", reason, kernel);
        }
        let mut found = fresh();
        prop_assert_eq!(run_with(&kernel, &mut found, &divided), None);
        prop_assert_eq!(divided.launched(), u64::from(divided.nests() == 1 && count > 0));
        let text = || divided.shaders().map(|(_, text)| text.to_owned()).collect::<String>();
        prop_assert!(
            same(out, &found[2], &expected[2]),
            "{}\n{}\n{:?}\n{:?}", kernel, text(), found[2], expected[2]
        );
    }
}

/// What the property is worth: kernels of every type do reach the device.
#[test]
fn kernels_of_every_type_are_launched() {
    let Some(gpu) = device() else { return };
    for ty in TYPES {
        let (kernel, divided) = divided(&gpu, kernel(ty, ty, ty, 8, 1, &vec![(0, 0, 1, 0)]), false);
        let mut arguments = vec![input(ty, &[3; 64]), input(ty, &[5; 64]), vec![0; 64]];
        assert_eq!(run_with(&kernel, &mut arguments, &divided), None);
        assert_eq!(divided.launched(), 1, "{ty}: {:?}", divided.division.refused);
    }
}
