//! Control flow.

use super::fault::Fault;
use super::machine::{Fallible, Machine};
use super::plan::{BlockKindPlan, BlockPlan, GraphPlan, LoopPlan, RegionPlan, StatePlan};

/// How a block ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
    Return,
}

impl<'p> Machine<'p, '_> {
    /// Runs a graph whose symbols and connectors are set.
    pub fn graph(&mut self, graph: &'p GraphPlan) -> Fallible<()> {
        for &slot in &graph.forget {
            self.forget(slot);
        }
        self.allocate_all(&graph.allocate)?;
        self.region(&graph.body)?;
        Ok(())
    }

    fn region(&mut self, region: &'p RegionPlan) -> Fallible<Flow> {
        let mut next = region.start;
        'blocks: while let Some(at) = next {
            let Some(block) = region.blocks.get(at) else { break };
            let flow = self.block(block).map_err(|fault| fault.inside(&*block.label))?;
            if flow != Flow::Next {
                return Ok(flow);
            }
            next = None;
            for transition in region.transitions.get(at).map_or(&[][..], |list| list) {
                let inside = |fault: Box<Fault>| fault.inside(format!("edge out of {}", block.label));
                let taken = match &transition.condition {
                    Some(condition) => self.holds(condition).map_err(inside)?,
                    None => true,
                };
                if taken {
                    for assignment in &transition.assignments {
                        self.assign(assignment).map_err(inside)?;
                    }
                    next = Some(transition.to);
                    continue 'blocks;
                }
            }
        }
        Ok(Flow::Next)
    }

    fn block(&mut self, block: &'p BlockPlan) -> Fallible<Flow> {
        self.step()?;
        match &block.kind {
            BlockKindPlan::State(state) => self.state(state).map(|()| Flow::Next),
            BlockKindPlan::Loop(inner) => self.loop_block(inner),
            BlockKindPlan::Conditional(branches) => {
                for (condition, body) in branches {
                    let taken = match condition {
                        Some(condition) => self.holds(condition)?,
                        None => true,
                    };
                    if taken {
                        return self.region(body);
                    }
                }
                Ok(Flow::Next)
            }
            BlockKindPlan::Region(body) => self.region(body),
            BlockKindPlan::Break => Ok(Flow::Break),
            BlockKindPlan::Continue => Ok(Flow::Continue),
            BlockKindPlan::Return => Ok(Flow::Return),
        }
    }

    fn state(&mut self, state: &'p StatePlan) -> Fallible<()> {
        for &slot in &state.refresh {
            let fresh = self.places[slot as usize].block == super::memory::NOWHERE;
            self.allocate(slot, fresh)?;
        }
        self.scope(&state.scope)
    }

    fn loop_block(&mut self, inner: &'p LoopPlan) -> Fallible<Flow> {
        if let Some(init) = &inner.init {
            self.assign(init)?;
        }
        if !inner.inverted && !self.holds(&inner.condition)? {
            return Ok(Flow::Next);
        }
        loop {
            self.step()?;
            match self.region(&inner.body)? {
                Flow::Next | Flow::Continue => {}
                Flow::Break => return Ok(Flow::Next),
                Flow::Return => return Ok(Flow::Return),
            }
            let update_first = !inner.inverted || inner.update_before_condition;
            if update_first && let Some(update) = &inner.update {
                self.assign(update)?;
            }
            if !self.holds(&inner.condition)? {
                return Ok(Flow::Next);
            }
            if !update_first && let Some(update) = &inner.update {
                self.assign(update)?;
            }
        }
    }

    /// A container whose memory comes with the first state that uses it.
    fn forget(&mut self, slot: u32) {
        for part in self.parts(slot) {
            let container = &self.plan.containers[part as usize];
            if !container.persists() {
                self.places[part as usize] = super::memory::Place::nowhere();
            }
        }
    }
}
