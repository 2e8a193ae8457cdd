//! Checked mode: what is known about each element, and what that says about the program.
//!
//! *Poison*: an element that nobody wrote since its memory was allocated. Poison travels with values; it is a
//! fault only where it reaches an argument, a condition, an interstate assignment or an index.
//!
//! *Overwritten*: bytes of the arena that somebody else got too early. That is a defect of the plan, not of the
//! program; see [`arena`](super::arena).
//!
//! *Races*: each element remembers the last iteration of the outermost parallel map that wrote it, the last two
//! that read it and the last two that wrote it through conflict resolution. Two accesses of one element by
//! different iterations of the same map are a race unless both read or both resolve.

use super::fault::{Fault, FaultKind};
use super::machine::{Fallible, Machine};
use super::memory::Shadow;
use super::plan::Access;

/// How an element is accessed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Touch {
    Read,
    Write,
    /// A write through conflict resolution, with the read of the old value that belongs to it.
    Resolve,
}

/// Another iteration, and what it did.
type Conflict = (u64, &'static str);

impl Machine<'_, '_> {
    /// Whether the bytes are poison; a race if another iteration wrote them.
    pub fn note_read(&mut self, block: u32, offset: i64, bytes: usize, access: &Access) -> Fallible<bool> {
        self.note_touch(block, offset, bytes, Touch::Read, access)?;
        let poison = self.is_poison(block, offset, bytes);
        let window = self.memory.blocks.get(block as usize).and_then(|state| state.window);
        if let Some(window) = window.filter(|_| !poison)
            && self.memory.slab.is_overwritten(window, offset, bytes, block)
        {
            return Err(self.overwritten(access));
        }
        Ok(poison)
    }

    /// Whether nobody wrote some of the bytes.
    pub fn is_poison(&self, block: u32, offset: i64, bytes: usize) -> bool {
        let Some(state) = self.memory.blocks.get(block as usize) else { return false };
        let flags = state.shadow.poison.get(state.shadow.units(offset, bytes));
        flags.is_some_and(|flags| flags.contains(&true))
    }

    /// Marks the bytes as written.
    pub fn note_write(
        &mut self,
        block: u32,
        offset: i64,
        bytes: usize,
        poison: bool,
        access: &Access,
    ) -> Fallible<()> {
        self.note_touch(block, offset, bytes, Touch::Write, access)?;
        self.note_value(block, offset, bytes, poison, access)
    }

    /// Marks the bytes as written by conflict resolution; poison stays poison.
    pub fn note_resolved(
        &mut self,
        block: u32,
        offset: i64,
        bytes: usize,
        poison: bool,
        access: &Access,
    ) -> Fallible<()> {
        self.note_touch(block, offset, bytes, Touch::Resolve, access)?;
        self.note_value(block, offset, bytes, poison, access)
    }

    /// Remembers who accessed the bytes, if that is no race.
    fn note_touch(
        &mut self,
        block: u32,
        offset: i64,
        bytes: usize,
        touch: Touch,
        access: &Access,
    ) -> Fallible<()> {
        if self.race.instance == 0 || !self.checked {
            return Ok(());
        }
        let stamp = self.race.stamp();
        let Some(state) = self.memory.blocks.get_mut(block as usize) else { return Ok(()) };
        if state.private {
            return Ok(());
        }
        let mut conflict = None;
        for unit in state.shadow.units(offset, bytes) {
            conflict = conflict.or(meet(&mut state.shadow, unit, stamp, touch));
        }
        match conflict {
            Some(conflict) => Err(self.race_fault(access, touch, conflict)),
            None => Ok(()),
        }
    }

    /// Remembers whether the bytes are defined now; poison must not reach an argument.
    fn note_value(
        &mut self,
        block: u32,
        offset: i64,
        bytes: usize,
        poison: bool,
        access: &Access,
    ) -> Fallible<()> {
        let Some(state) = self.memory.blocks.get_mut(block as usize) else { return Ok(()) };
        let units = state.shadow.units(offset, bytes);
        if let Some(flags) = state.shadow.poison.get_mut(units) {
            flags.fill(poison);
        }
        if let Some(window) = state.window {
            self.memory.slab.written(window, offset, bytes, block);
        }
        if poison && state.output && self.checked {
            let container = &self.plan.containers[access.container as usize].name;
            let text = format!(
                "a value that nobody wrote reaches the argument `{container}` (memlet `{}`)",
                access.text
            );
            return Err(Fault::new(FaultKind::Undefined, text));
        }
        Ok(())
    }

    fn overwritten(&self, access: &Access) -> Box<Fault> {
        let container = &self.plan.containers[access.container as usize].name;
        let text =
            format!("bytes of `{container}` were given to another transient (memlet `{}`)", access.text);
        Fault::new(FaultKind::Overwritten, text)
    }

    /// A poisoned value where the program's course depends on it.
    pub fn undefined_use(&self, what: &str) -> Box<Fault> {
        Fault::new(FaultKind::Undefined, format!("{what} depends on a value that nobody wrote"))
    }

    fn race_fault(&self, access: &Access, touch: Touch, (other, did): Conflict) -> Box<Fault> {
        let does = match touch {
            Touch::Read => "reads",
            Touch::Write => "writes",
            Touch::Resolve => "resolves into",
        };
        let without = if touch == Touch::Resolve { "" } else { ", without conflict resolution" };
        let other = other as u32;
        let text = format!(
            "race: iteration {} of a parallel map {does} what another {did} (iteration {other}){without} \
             (memlet `{}`)",
            self.race.iteration, access.text
        );
        let index: Vec<i64> = access.ranges.iter().map_while(|range| self.size(&range.start).ok()).collect();
        Fault::new(FaultKind::Race, text).with_index(&index)
    }
}

/// Remembers one access of one unit; what it collides with, if that is a race.
fn meet(shadow: &mut Shadow, unit: usize, stamp: u64, touch: Touch) -> Option<Conflict> {
    let other = |stored: &&u64| other_iteration(**stored, stamp);
    let found = |list: &[[u64; 2]], did| list.get(unit)?.iter().find(other).map(|&by| (by, did));
    let written = shadow.writer.get(unit).filter(other).map(|&by| (by, "wrote"));
    let conflict = match touch {
        Touch::Read => written.or_else(|| found(&shadow.resolvers, "resolved")),
        Touch::Write => written
            .or_else(|| found(&shadow.readers, "read"))
            .or_else(|| found(&shadow.resolvers, "resolved")),
        Touch::Resolve => written.or_else(|| found(&shadow.readers, "read")),
    };
    let list = match touch {
        Touch::Read => &mut shadow.readers,
        Touch::Resolve => &mut shadow.resolvers,
        Touch::Write => {
            if let Some(writer) = shadow.writer.get_mut(unit) {
                *writer = stamp;
            }
            return conflict;
        }
    };
    if let Some([last, before]) = list.get_mut(unit)
        && *last != stamp
    {
        (*last, *before) = (stamp, *last);
    }
    conflict
}

/// The same map instance, another iteration.
fn other_iteration(stored: u64, stamp: u64) -> bool {
    stored >> 32 == stamp >> 32 && stored != stamp
}
