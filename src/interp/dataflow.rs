//! Dataflow: scopes, maps, consume scopes, nested graphs.

use smallvec::SmallVec;

use crate::scalar::Scalar;

use super::fault::{Fault, FaultKind};
use super::machine::{Fallible, Machine, index_overflow};
use super::plan::{Action, ConsumePlan, MapPlan, NestedPlan, ScopePlan, Size, SymbolValue};
use super::tasklet::queue_index;

impl<'p> Machine<'p, '_> {
    /// Runs the body of a state or scope once.
    pub fn scope(&mut self, scope: &'p ScopePlan) -> Fallible<()> {
        if !scope.allocate.is_empty() {
            self.allocate_all(&scope.allocate)?;
        }
        for step in &scope.steps {
            let result = match &step.action {
                Action::Tasklet(tasklet) => {
                    self.step()?;
                    self.tasklet(tasklet)
                }
                Action::Copy(copy) => self.copy(copy),
                Action::Alias(alias) => self.alias(alias),
                Action::Map(map) => self.map(map),
                Action::Consume(consume) => self.consume(consume),
                Action::Nested(nested) => self.nested(nested),
                Action::Library(library) => self.library(library),
            };
            if let Err(fault) = result {
                return Err(fault.inside(&*step.place));
            }
        }
        Ok(())
    }

    fn map(&mut self, map: &'p MapPlan) -> Fallible<()> {
        for (slot, access) in &map.inputs {
            let (block, offset) = self.address(access)?;
            let Some(dtype) = self.plan.containers[access.container as usize].element.number() else {
                return Err(Fault::new(FaultKind::IndexOverflow, "a map range input is not a number"));
            };
            let (value, poison) = self.load(block, offset, dtype, access)?;
            if poison && self.checked {
                return Err(self.undefined_use(&format!("a map range (memlet `{}`)", access.text)));
            }
            self.set_symbol(*slot, value);
        }
        let outer = self.race;
        let outermost = map.parallel && outer.instance == 0 && self.tracking;
        if outermost {
            self.race.instances = self.race.instances.wrapping_add(1).max(1);
            self.race.instance = self.race.instances;
            self.race.iteration = 0;
        }
        let result = self.map_points(map, outermost);
        if outermost {
            self.race.instance = 0;
        }
        result
    }

    /// All points of the range, first parameter slowest. Each range may depend on the parameters before it.
    fn map_points(&mut self, map: &'p MapPlan, outermost: bool) -> Fallible<()> {
        let count = map.params.len();
        let mut bounds: SmallVec<[(i64, i64, i64); 4]> = SmallVec::new();
        // Depth-first over dimensions: `bounds` holds (present, last, step) of those entered.
        loop {
            while bounds.len() < count {
                let range = &map.ranges[bounds.len()];
                let start = self.size(&range.start)?;
                let end = self.size(&range.end)?;
                let step = self.size(&range.step)?;
                if step <= 0 {
                    let text = format!("a map range has step {step}; it must be positive");
                    return Err(Fault::new(FaultKind::BadStep, text));
                }
                if start > end {
                    break;
                }
                self.set_int(map.params[bounds.len()], start);
                bounds.push((start, end, step));
            }
            if bounds.len() == count {
                self.step()?;
                self.scope(&map.body)?;
                if outermost {
                    self.race.iteration = self.race.iteration.wrapping_add(1);
                }
            }
            // The next point: the innermost dimension that has one.
            loop {
                let Some((present, end, step)) = bounds.last_mut() else { return Ok(()) };
                match present.checked_add(*step).filter(|next| next <= end) {
                    Some(next) => {
                        *present = next;
                        let dim = bounds.len() - 1;
                        self.set_int(map.params[dim], next);
                        break;
                    }
                    None => {
                        bounds.pop();
                    }
                }
            }
        }
    }

    /// Takes elements (or chunks) until the stream is empty or the condition holds.
    fn consume(&mut self, consume: &'p ConsumePlan) -> Fallible<()> {
        let chunk = self.size(&consume.chunk)?.max(1);
        let pes = self.size(&consume.num_pes)?.max(1);
        let mut pe = 0;
        loop {
            self.step()?;
            if let Some(condition) = &consume.condition
                && self.holds(condition)?
            {
                return Ok(());
            }
            let (first, offset) = self.queue(&consume.stream)?;
            let Some(index) = queue_index(first, offset).filter(|&index| index < self.memory.queues.len())
            else {
                return Err(self.outside(&consume.stream, offset));
            };
            if self.memory.queues[index].is_empty() {
                return Ok(());
            }
            self.allocate(consume.element, true)?;
            let item = self.plan.containers[consume.element as usize].element.bytes as i64;
            let available = self.memory.queues[index].len() as i64;
            self.set_int(consume.taken, chunk.min(available));
            for position in 0..chunk {
                let Some((bytes, poison)) = self.memory.queues[index].pop_front() else { break };
                self.write_raw(
                    consume.element,
                    position.checked_mul(item).ok_or_else(index_overflow)?,
                    &bytes,
                    poison,
                );
            }
            if let Some(slot) = consume.pe_index {
                self.set_int(slot, pe);
            }
            pe = (pe + 1) % pes;
            self.scope(&consume.body)?;
        }
    }

    /// Puts the bytes of an element into the block of a container that was just allocated.
    fn write_raw(&mut self, slot: u32, offset: i64, bytes: &[u8], poison: bool) {
        let Ok(offset) = usize::try_from(offset) else { return };
        let block = &mut self.memory.blocks[slot as usize];
        let units = block.shadow.units(offset as i64, bytes.len());
        if let Some(flags) = block.shadow.poison.get_mut(units) {
            flags.fill(poison);
        }
        let room = self.memory.bytes_mut(slot);
        if let Some(place) = room.and_then(|room| room.get_mut(offset..offset.saturating_add(bytes.len()))) {
            place.copy_from_slice(bytes);
        }
    }

    fn nested(&mut self, nested: &'p NestedPlan) -> Fallible<()> {
        // All values are taken outside before any symbol inside changes.
        let mut values: SmallVec<[(Scalar, bool); 8]> = SmallVec::new();
        for (slot, value) in &nested.symbols {
            let integral = self.plan.symbols[*slot as usize].dtype.is_integral();
            values.push(match value {
                SymbolValue::Symbol(outer) => (self.full_symbol(*outer), self.undefined[*outer as usize]),
                SymbolValue::Size(Size::General(general)) if !integral => {
                    (self.general_value(general)?, false)
                }
                SymbolValue::Size(size) => (Scalar::I64(self.size(size)?), false),
            });
        }
        for (&(slot, _), (value, undefined)) in nested.symbols.iter().zip(values) {
            self.set_symbol(slot, value);
            self.undefined[slot as usize] = undefined;
        }
        for &(slot, value) in &nested.graph.constants {
            self.set_symbol(slot, value);
        }
        for connector in &nested.connectors {
            self.connect(connector)?;
        }
        self.graph(&nested.graph).map_err(|fault| fault.inside(format!("graph `{}`", nested.graph.name)))
    }
}
