//! Planned buffers of a run: their plan, and where each of them lies.
//!
//! The plan depends on a few parameters; as long as they stay the same, a run looks at nothing but the address of
//! its slab, and allocates nothing.

use crate::kernel::scratch::Planned;
use crate::memory::plan::Plan;
use crate::memory::pool::{Block, Lease, OutOfMemory};
use crate::memory::{Arena, MemoryOptions, POISON};

/// Where a planned buffer lies. The layout is part of the machine code.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The first byte.
    pub address: *mut u8,
    /// How many bytes belong to the buffer.
    pub bytes: u64,
}

/// Places for the buffers of one kernel, and the memory behind them while it runs.
#[derive(Debug, Default)]
pub struct Slab {
    /// What the plan was made for.
    known: Option<(Vec<u64>, Option<u64>)>,
    plan: Plan,
    sizes: Vec<u64>,
    places: Vec<Place>,
    lease: Option<Lease>,
    own: Vec<Block>,
}

impl Slab {
    /// Takes memory for a run with these parameters.
    ///
    /// # Errors
    /// [`OutOfMemory`]; nothing is taken then.
    pub fn take(
        &mut self,
        planned: &Planned,
        parameters: &[u64],
        options: &MemoryOptions,
    ) -> Result<(), OutOfMemory> {
        if planned.buffers.is_empty() {
            return Ok(());
        }
        let is_known = |(known, packing): &(Vec<u64>, Option<u64>)| {
            *packing == options.packing && planned.same_sizes(known, parameters)
        };
        if !self.known.as_ref().is_some_and(is_known) {
            self.make_plan(planned, parameters, options)?;
        }
        self.places.clear();
        let workspace = options.workspace();
        if options.arena == Arena::Off {
            for &bytes in &self.sizes {
                let Some(mut block) = workspace.allocate(bytes) else {
                    self.give_back();
                    return Err(OutOfMemory::System { bytes });
                };
                self.places.push(Place { address: block.address(), bytes });
                self.own.push(block);
            }
            return Ok(());
        }
        let mut lease = workspace.lease_for(&self.plan, 0)?;
        if options.arena == Arena::Poison {
            lease.block().bytes_mut().fill(POISON);
        }
        let base = lease.block().address();
        for (&offset, &bytes) in self.plan.offsets.iter().zip(&self.sizes) {
            self.places.push(Place { address: base.wrapping_add(offset as usize), bytes });
        }
        self.lease = Some(lease);
        Ok(())
    }

    fn make_plan(
        &mut self,
        planned: &Planned,
        parameters: &[u64],
        options: &MemoryOptions,
    ) -> Result<(), OutOfMemory> {
        let items = planned.items(parameters);
        self.known = None;
        self.plan = options.plan(&items).map_err(|_| OutOfMemory::System { bytes: u64::MAX })?;
        self.sizes = items.iter().map(|item| item.bytes).collect();
        self.known = Some((parameters.to_vec(), options.packing));
        Ok(())
    }

    /// The memory behind the places, if it is one piece.
    pub fn memory(&mut self) -> Option<(*mut u8, usize)> {
        let peak = usize::try_from(self.plan.peak).ok()?;
        self.lease.as_mut().map(|lease| (lease.block().address(), peak))
    }

    /// The run is over.
    pub fn give_back(&mut self) {
        self.lease = None;
        self.own.clear();
        self.places.clear();
    }

    /// The table for machine code.
    pub fn places(&self) -> *const Place {
        self.places.as_ptr()
    }
}
