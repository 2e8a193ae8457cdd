//! Whether accesses of a loop that meet in memory still meet in the same order when iterations run side by side.

use crate::kernel::BufferId;

use super::Reason;
use super::classify::{Affine, Stride};

/// One load or store of a loop body, in the order of the body.
pub(super) struct Access {
    pub buffer: BufferId,
    /// Its address; `None` where that is computed per lane.
    pub form: Option<Affine>,
    pub store: bool,
    pub bytes: i64,
}

impl Access {
    /// Whether all iterations reach the same place.
    pub fn is_fixed(&self) -> bool {
        matches!(&self.form, Some(Affine { stride: Stride::Constant(0), .. }))
    }

    /// Whether it moves by one element per iteration, or may turn out to.
    pub fn is_unit(&self, step: i64) -> bool {
        match &self.form {
            Some(Affine { stride: Stride::Constant(stride), .. }) => stride.wrapping_mul(step) == self.bytes,
            Some(Affine { stride: Stride::Times(..), .. }) => step == 1,
            None => false,
        }
    }
}

/// Refuses a loop whose accesses would meet in another order if `lanes` iterations ran side by side, each
/// statement for all of them before the next. `promised` says that the loop is parallel, so that distances that are not
/// known do no harm.
pub(super) fn check_dependences(
    accesses: &[Access],
    step: i64,
    lanes: i64,
    promised: bool,
) -> Result<(), Reason> {
    for (at, first) in accesses.iter().enumerate() {
        for second in &accesses[at..] {
            if first.buffer != second.buffer || !(first.store || second.store) {
                continue;
            }
            check_pair(first, second, step, lanes, promised)?;
        }
    }
    Ok(())
}

fn check_pair(first: &Access, second: &Access, step: i64, lanes: i64, promised: bool) -> Result<(), Reason> {
    let unknown = || "it runs in sequence, and its accesses may depend on each other".to_owned();
    let (Some(a), Some(b)) = (&first.form, &second.form) else {
        return Err("it reads computed places of a container that it writes".to_owned());
    };
    if first.is_fixed() || second.is_fixed() {
        return Err("it reads an element of a container that it writes".to_owned());
    }
    if a.terms != b.terms {
        return if promised { Ok(()) } else { Err(unknown()) };
    }
    let distance = b.constant.wrapping_sub(a.constant);
    let (Stride::Constant(x), Stride::Constant(y)) = (a.stride, b.stride) else {
        return if a.stride == b.stride && distance == 0 {
            Ok(())
        } else {
            Err("it reads and writes one container at strides that are not known".to_owned())
        };
    };
    if x != y {
        return if promised { Ok(()) } else { Err(unknown()) };
    }
    let stride = x.wrapping_mul(step);
    // `first` in iteration n + k reaches what `second` reaches in iteration n.
    let reach = first.bytes.max(second.bytes);
    let meets = |k: i64| distance.wrapping_sub(stride.wrapping_mul(k)).abs() < reach;
    if (1..lanes).any(meets) {
        return Err("an iteration needs what another one writes shortly before".to_owned());
    }
    Ok(())
}
