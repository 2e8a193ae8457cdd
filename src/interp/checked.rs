//! Checked mode: what is known about each element, and what that says about the program.
//!
//! *Poison*: an element that nobody wrote since its memory was allocated. Poison travels with values; it is a
//! fault only where it reaches an argument, a condition, an interstate assignment or an index.
//!
//! *Races*: each element remembers the last iteration of the outermost parallel map that wrote it and the
//! last that read it. A write that meets another iteration of the same map, or a read of what another
//! iteration wrote, is a race. Conflict resolution is exempt. Of several readers only the last is remembered,
//! so a race may go unseen; what is reported is one.

use super::fault::{Fault, FaultKind};
use super::machine::{Fallible, Machine};
use super::plan::Access;

impl Machine<'_, '_> {
    /// Whether the bytes are poison; a race if another iteration wrote them.
    pub fn note_read(&mut self, block: u32, offset: i64, bytes: usize, access: &Access) -> Fallible<bool> {
        let stamp = self.race.stamp();
        let racing = self.race.instance != 0;
        let Some(state) = self.memory.blocks.get_mut(block as usize) else { return Ok(false) };
        let (mut poison, mut conflict) = (false, None);
        let private = state.private;
        let shadow = &mut state.shadow;
        for unit in shadow.units(offset, bytes) {
            poison |= shadow.poison.get(unit).copied().unwrap_or(false);
            if !racing || private {
                continue;
            }
            if let Some(&writer) = shadow.writer.get(unit)
                && other_iteration(writer, stamp)
            {
                conflict = Some(writer);
            }
            if let Some(reader) = shadow.reader.get_mut(unit) {
                *reader = stamp;
            }
        }
        match conflict.filter(|_| self.checked) {
            Some(writer) => Err(self.race_fault(access, writer, "reads what another wrote")),
            None => Ok(poison),
        }
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
        let stamp = self.race.stamp();
        let racing = self.race.instance != 0;
        let Some(state) = self.memory.blocks.get_mut(block as usize) else { return Ok(()) };
        let (output, private) = (state.output, state.private);
        let mut conflict = None;
        let shadow = &mut state.shadow;
        for unit in shadow.units(offset, bytes) {
            if let Some(flag) = shadow.poison.get_mut(unit) {
                *flag = poison;
            }
            if !racing || private {
                continue;
            }
            if let Some(writer) = shadow.writer.get_mut(unit) {
                if other_iteration(*writer, stamp) {
                    conflict = Some((*writer, "writes what another wrote"));
                }
                *writer = stamp;
            }
            if let Some(&reader) = shadow.reader.get(unit)
                && other_iteration(reader, stamp)
            {
                conflict = Some((reader, "writes what another read"));
            }
        }
        if !self.checked {
            return Ok(());
        }
        if let Some((other, what)) = conflict {
            return Err(self.race_fault(access, other, what));
        }
        if poison && output {
            let container = &self.plan.containers[access.container as usize].name;
            let text = format!(
                "a value that nobody wrote reaches the argument `{container}` (memlet `{}`)",
                access.text
            );
            return Err(Fault::new(FaultKind::Undefined, text));
        }
        Ok(())
    }

    /// Marks the bytes as written by conflict resolution: no race, and poison stays poison.
    pub fn note_resolved(
        &mut self,
        block: u32,
        offset: i64,
        bytes: usize,
        poison: bool,
        access: &Access,
    ) -> Fallible<()> {
        let race = std::mem::take(&mut self.race);
        let result = self.note_write(block, offset, bytes, poison, access);
        self.race = race;
        result
    }

    /// A poisoned value where the program's course depends on it.
    pub fn undefined_use(&self, what: &str) -> Box<Fault> {
        Fault::new(FaultKind::Undefined, format!("{what} depends on a value that nobody wrote"))
    }

    fn race_fault(&self, access: &Access, other: u64, what: &str) -> Box<Fault> {
        let other = other as u32;
        let text = format!(
            "race: iteration {} of a parallel map {what} (iteration {other}), without conflict resolution \
             (memlet `{}`)",
            self.race.iteration, access.text
        );
        let index: Vec<i64> = access.ranges.iter().map_while(|range| self.size(&range.start).ok()).collect();
        Fault::new(FaultKind::Race, text).with_index(&index)
    }
}

/// The same map instance, another iteration.
fn other_iteration(stored: u64, stamp: u64) -> bool {
    stored >> 32 == stamp >> 32 && stored != stamp
}
