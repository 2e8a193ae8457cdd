//! Transients in one slab: the plan of [`memory::plan`](crate::memory::plan), behind a small interface.
//!
//! A container that has a place in the plan gets a [`Window`] of the slab in place of bytes of its own. Nothing else
//! changes: a window is a block like any other, with its own bounds and its own shadow. The slab is filled anew
//! for each run, so runs are deterministic.
//!
//! With [`Arena::Poison`] and checking, each cache line of the slab remembers which block wrote it last. A container
//! whose elements are defined, but whose bytes somebody else wrote, was used beyond its life: the plan is wrong.

use hashbrown::HashMap;

use crate::analysis::Uses;
use crate::analysis::liveness::{Class, Liveness};
use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{GraphId, Program};
use crate::memory::plan::{ALIGNMENT, Item};
use crate::memory::pool::Lease;
use crate::memory::{Arena, MemoryOptions, POISON};

use super::plan::{Container, ContainerSlot};

/// Bytes of the slab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    offset: usize,
    len: usize,
}

impl Window {
    pub fn len(self) -> usize {
        self.len
    }

    fn range(self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len
    }

    /// The lines of the slab that some bytes of the window lie in.
    fn lines(self, offset: i64, bytes: usize) -> std::ops::Range<usize> {
        let line = ALIGNMENT as usize;
        let start = usize::try_from(offset).unwrap_or(0).min(self.len);
        let end = start.saturating_add(bytes).min(self.len);
        (self.offset + start) / line..(self.offset + end).div_ceil(line)
    }
}

/// Which containers may lie in the slab, and when they live.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    liveness: Liveness,
    /// Per transient, its container.
    slots: Vec<Option<ContainerSlot>>,
}

impl Candidates {
    pub fn of(program: &Program, uses: HashMap<GraphId, Uses>, containers: &[Container]) -> Candidates {
        // What liveness cannot walk, preparing has refused already; otherwise containers have bytes of their own.
        let liveness = Liveness::with(program, uses).unwrap_or_default();
        let mut known: HashMap<(GraphId, Name), ContainerSlot> = hashbrown::HashMap::new();
        for (slot, container) in containers.iter().enumerate() {
            if let Some(origin) = container.origin.filter(|_| container.owns_memory()) {
                known.insert(origin, slot as ContainerSlot);
            }
        }
        let slots = liveness
            .transients
            .iter()
            .map(|transient| known.get(&(transient.graph, transient.name)).copied())
            .collect();
        Candidates { liveness, slots }
    }

    /// Slot and item of every container that has a place for these symbols.
    fn items(&self, value: &dyn Fn(Name) -> Option<i64>) -> (Vec<ContainerSlot>, Vec<Item>) {
        let values: Vec<Option<i64>> = self.liveness.symbols.iter().map(|&name| value(name)).collect();
        let numbers: Vec<i64> = values.iter().map(|value| value.unwrap_or_default()).collect();
        let mut slots = Vec::new();
        let mut items = Vec::new();
        for (transient, slot) in self.liveness.transients.iter().zip(&self.slots) {
            let planned = matches!(transient.class, Class::Shared | Class::Private);
            let known =
                transient.symbols.iter().all(|&at| values.get(at as usize).is_some_and(Option::is_some));
            let bytes = transient
                .size
                .as_ref()
                .filter(|_| planned && known)
                .and_then(|size| size.bytes(&numbers).ok());
            if let (Some(slot), Some(span), Some(bytes)) = (*slot, transient.span, bytes) {
                slots.push(slot);
                items.push(Item::new(span, bytes));
            }
        }
        (slots, items)
    }
}

/// The slab of one run.
#[derive(Debug, Default)]
pub(super) struct Slab {
    lease: Option<Lease>,
    /// Per container.
    windows: Vec<Option<Window>>,
    /// Per line, one more than the block that wrote it last. Empty unless that is watched.
    writers: Vec<u32>,
}

impl Slab {
    /// Takes a slab for a run. `watched`: who reads bytes of another container is noticed.
    ///
    /// # Errors
    /// `P0750`, `P0751`, `P0752`.
    pub fn take(
        candidates: &Candidates,
        value: &dyn Fn(Name) -> Option<i64>,
        options: &MemoryOptions,
        watched: bool,
    ) -> Result<Slab, Diagnostic> {
        if options.arena == Arena::Off {
            return Ok(Slab::default());
        }
        let (slots, items) = candidates.items(value);
        let plan = options.plan(&items).map_err(|error| Diagnostic::error("P0752", error.to_string()))?;
        let mut lease = options.workspace().lease_for(&plan, 0)?;
        let poison = options.arena == Arena::Poison;
        let peak = usize::try_from(plan.peak).unwrap_or(usize::MAX).min(lease.len());
        if let Some(bytes) = lease.block().bytes_mut().get_mut(..peak) {
            bytes.fill(if poison { POISON } else { 0 });
        }
        let mut windows = Vec::new();
        for ((slot, item), offset) in slots.into_iter().zip(&items).zip(plan.offsets) {
            let slot = slot as usize;
            if windows.len() <= slot {
                windows.resize(slot + 1, None);
            }
            windows[slot] = Some(Window { offset: offset as usize, len: item.bytes as usize });
        }
        let lines = if poison && watched { peak.div_ceil(ALIGNMENT as usize) } else { 0 };
        Ok(Slab { lease: Some(lease), windows, writers: vec![0; lines] })
    }

    /// The window of a container for so many bytes, if it has one with room.
    pub fn window(&self, slot: ContainerSlot, bytes: usize) -> Option<Window> {
        let window = self.windows.get(slot as usize).copied().flatten()?;
        (bytes <= window.len).then_some(Window { len: bytes, ..window })
    }

    pub fn bytes(&self, window: Window) -> &[u8] {
        self.lease.as_ref().and_then(|lease| lease.bytes().get(window.range())).unwrap_or(&[])
    }

    pub fn bytes_mut(&mut self, window: Window) -> &mut [u8] {
        let lease = self.lease.as_mut();
        lease.and_then(|lease| lease.block().bytes_mut().get_mut(window.range())).unwrap_or(&mut [])
    }

    /// Two windows at once, unless they overlap.
    pub fn pair(&mut self, source: Window, target: Window) -> Option<(&[u8], &mut [u8])> {
        let bytes = self.lease.as_mut()?.block().bytes_mut();
        let [source, target] = bytes.get_disjoint_mut([source.range(), target.range()]).ok()?;
        Some((source, target))
    }

    /// A block writes bytes of its window.
    pub fn written(&mut self, window: Window, offset: i64, bytes: usize, block: u32) {
        if let Some(lines) = self.writers.get_mut(window.lines(offset, bytes)) {
            lines.fill(block.wrapping_add(1));
        }
    }

    /// Whether another block has written over bytes of the window.
    pub fn is_overwritten(&self, window: Window, offset: i64, bytes: usize, block: u32) -> bool {
        let lines = self.writers.get(window.lines(offset, bytes)).unwrap_or(&[]);
        lines.iter().any(|&writer| writer != 0 && writer != block.wrapping_add(1))
    }
}

#[cfg(test)]
mod tests {
    //! Liveness against what the interpreter does, by brute force: any two transients whose spans do not meet are put
    //! into the same bytes, and a watched run must not notice.

    use super::*;
    use crate::analysis::liveness::Span;
    use crate::check::generate::Settings;
    use crate::check::{Choices, generate};
    use crate::exec::bind::bind;
    use crate::interp::{FaultKind, Options, Outcome, Prepared, infer_symbols};
    use crate::memory::pool::Workspace;

    /// Both containers at the start of a slab of their own.
    fn together(a: (ContainerSlot, u64), b: (ContainerSlot, u64)) -> Slab {
        let bytes = a.1.max(b.1);
        let mut lease = Workspace::new().lease(bytes).unwrap();
        lease.block().bytes_mut().fill(POISON);
        let mut windows = vec![None; a.0.max(b.0) as usize + 1];
        for (slot, bytes) in [a, b] {
            windows[slot as usize] = Some(Window { offset: 0, len: bytes as usize });
        }
        Slab { lease: Some(lease), windows, writers: vec![0; bytes.div_ceil(ALIGNMENT) as usize] }
    }

    /// Every transient with a size, small ones included.
    fn all_items(
        candidates: &Candidates,
        value: &dyn Fn(Name) -> Option<i64>,
    ) -> Vec<(ContainerSlot, Span, u64)> {
        let liveness = &candidates.liveness;
        let values: Vec<i64> = liveness.symbols.iter().map(|&name| value(name).unwrap_or(0)).collect();
        let mut items = Vec::new();
        for (transient, slot) in liveness.transients.iter().zip(&candidates.slots) {
            let bytes = transient.size.as_ref().and_then(|size| size.bytes(&values).ok());
            if let (Some(slot), Some(span), Some(bytes)) = (*slot, transient.span, bytes)
                && transient.class != Class::Persistent
            {
                items.push((slot, span, bytes));
            }
        }
        items
    }

    /// How a watched run ends when two containers share their bytes.
    fn run_together(
        prepared: &mut Prepared,
        generated: &crate::check::Generated,
        a: (ContainerSlot, u64),
        b: (ContainerSlot, u64),
    ) -> Option<FaultKind> {
        let mut args = bind(&prepared.plan.program, generated.inputs.clone()).unwrap();
        let options = Options { checked: true, fuel: Some(200_000), ..Options::default() };
        let symbols = infer_symbols(&prepared.plan.program, &args).unwrap();
        match prepared.run_in(&mut args, &symbols, together(a, b), &options).unwrap() {
            Outcome::Done(_) => None,
            Outcome::Trap(fault) => Some(fault.kind),
        }
    }

    #[test]
    fn spans_hold_everything_that_is_written_and_read_later() {
        let settings = Settings { statements: 9, ..Settings::default() };
        let (mut apart, mut noticed, mut meeting) = (0, 0, 0);
        for seed in 0..120 {
            let generated = generate(&mut Choices::from_seed(seed), &settings);
            let Ok(program) = generated.program() else { continue };
            let Ok(mut prepared) = Prepared::new(&program) else { continue };
            let args = bind(&program, generated.inputs.clone()).unwrap();
            let symbols = infer_symbols(&program, &args).unwrap();
            let value = |name: Name| symbols.get(&name).copied().map(crate::scalar::Scalar::as_i64);
            let items = all_items(&prepared.candidates, &value);
            for (index, &(slot, span, bytes)) in items.iter().enumerate() {
                for &(other, other_span, other_bytes) in &items[..index] {
                    if bytes == 0 || other_bytes == 0 {
                        continue;
                    }
                    let end = run_together(&mut prepared, &generated, (slot, bytes), (other, other_bytes));
                    if span.meets(other_span) {
                        meeting += 1;
                        noticed += usize::from(end == Some(FaultKind::Overwritten));
                    } else {
                        apart += 1;
                        let names =
                            [slot, other].map(|slot| prepared.plan.containers[slot as usize].name.clone());
                        assert_ne!(
                            end,
                            Some(FaultKind::Overwritten),
                            "seed {seed}: {names:?} {span:?} {other_span:?}\n{}",
                            generated.text
                        );
                    }
                }
            }
        }
        println!("{apart} pairs apart, {noticed} of {meeting} that meet noticed");
        // The test sees something. Spans may meet in one node, or on the way through a loop, without harm.
        assert!(apart > 100 && noticed * 4 > meeting, "{apart} {noticed} {meeting}");
    }
}
