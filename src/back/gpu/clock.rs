//! How long launches take, by the device's clock: each is a pass of its own then, between two timestamps, and each
//! submission is waited for.

use wgpu::{Buffer, BufferUsages, CommandEncoder, ComputePassTimestampWrites, QuerySet};

use crate::diag::Diagnostic;

use super::device::Gpu;

/// What launches of one shader took.
#[derive(Clone, PartialEq, Debug)]
pub struct LaunchTime {
    /// Where the shader comes from.
    pub title: String,
    /// How often it was launched while it was measured.
    pub count: u64,
    /// Seconds, all of them together.
    pub seconds: f64,
}

/// Timestamps of one submission.
pub(super) struct Clock {
    queries: QuerySet,
    count: u32,
}

/// Launches of one submission that are measured at most.
const MOST: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

impl Clock {
    /// A clock for so many launches; none if the device has none.
    pub fn new(gpu: &Gpu, launches: usize) -> Option<Clock> {
        gpu.tick?;
        let count = 2 * u32::try_from(launches.min(MOST)).ok()?;
        let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("launches"),
            ty: wgpu::QueryType::Timestamp,
            count: count.max(2),
        });
        Some(Clock { queries, count })
    }

    /// Where the pass of a launch writes its timestamps.
    pub fn around(&self, launch: usize) -> Option<ComputePassTimestampWrites<'_>> {
        let first = 2 * u32::try_from(launch).ok().filter(|_| launch < MOST)?;
        Some(ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        })
    }

    /// Has the timestamps put in a buffer, behind the launches.
    pub fn finish(&self, gpu: &Gpu, encoder: &mut CommandEncoder) -> Buffer {
        let ticks = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: u64::from(self.count.max(2)) * 8,
            usage: BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        encoder.resolve_query_set(&self.queries, 0..self.count, &ticks, 0);
        ticks
    }

    /// Seconds of each launch that was measured.
    ///
    /// # Errors
    /// The device was lost.
    pub fn seconds(&self, gpu: &Gpu, ticks: &Buffer) -> Result<Vec<f64>, Diagnostic> {
        let bytes = gpu.read(ticks, self.count as usize * 8)?;
        let tick = gpu.tick.unwrap_or(0.0) * 1e-9;
        let stamps: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|eight| u64::from_le_bytes(eight.try_into().unwrap_or([0; 8])))
            .collect();
        Ok(stamps.chunks_exact(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * tick).collect())
    }
}
