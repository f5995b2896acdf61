//! The time that stages take on the device, by its own clock.
//!
//! Wherever the stage of recorded commands changes, and at the end of a submission, the device is
//! made to write down the time at which all earlier commands are done: a *mark*. What lies between
//! two marks belongs to the stage that began at the first. A mark for each change of stage, and not
//! two for each dispatch, costs loops of many small dispatches nothing. Marks are read when their
//! submission is known to be done; nobody waits for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use wgpu::{
    Buffer, BufferDescriptor, BufferUsages, CommandEncoder, ComputePassDescriptor,
    ComputePassTimestampWrites, Features, QuerySet, QuerySetDescriptor, QueryType,
};

use super::device::Device;
use crate::backend::{Stage, StageTimes};

/// Marks of one submission. Stages change a few times for each batch of channels, so that a set is
/// rarely full; a full one ends the submission.
const MARKS: usize = 128;

const MARK_BYTES: usize = size_of::<u64>();

/// The feature that marks need of a device.
pub(super) const FEATURE: Features = Features::TIMESTAMP_QUERY;

/// Marks of the submission being recorded, of those under way, and the times of those that are done.
#[derive(Default)]
pub(super) struct Timestamps {
    /// The stage that each thread is in: one may read planes back while another computes.
    stages: Vec<(ThreadId, Stage)>,
    recording: Option<Marks>,
    /// Each with nanoseconds a tick.
    under_way: Vec<(Marks, f64)>,
    /// For use again. There are never more than submissions under way and one.
    free: Vec<Marks>,
    times: StageTimes,
}

/// Room for the marks of one submission, outside the budget of device memory: 2 KiB.
struct Marks {
    queries: QuerySet,
    resolved: Buffer,
    readable: Buffer,
    /// For each mark the stage that began at it.
    stages: Vec<Option<Stage>>,
    mapped: Arc<AtomicU8>,
}

const PENDING: u8 = 0;
const MAPPED: u8 = 1;
const FAILED: u8 = 2;

impl Timestamps {
    /// Sets the stage that commands recorded by this thread from now on belong to.
    pub(super) fn enter(&mut self, stage: Option<Stage>) {
        let this = thread::current().id();
        self.stages.retain(|(thread, _)| *thread != this);
        self.stages.extend(stage.map(|stage| (this, stage)));
    }

    /// The stage that this thread is in.
    fn stage(&self) -> Option<Stage> {
        let this = thread::current().id();
        self.stages.iter().find(|(thread, _)| *thread == this).map(|(_, stage)| *stage)
    }

    /// Whether the submission being recorded has to end before more is recorded.
    pub(super) fn is_full(&self) -> bool {
        // One mark is left for the end.
        self.recording.as_ref().is_some_and(|marks| marks.stages.len() >= MARKS - 1)
    }

    /// To be called before commands are recorded.
    pub(super) fn before_commands(&mut self, device: &Device, encoder: &mut CommandEncoder) {
        let stage = self.stage();
        let since = self.recording.as_ref().and_then(|marks| marks.stages.last().copied());
        if since.unwrap_or(None) == stage || !device.raw.features().contains(FEATURE) {
            return;
        }
        let free = &mut self.free;
        let new = || free.pop().unwrap_or_else(|| Marks::new(device));
        self.recording.get_or_insert_with(new).mark(encoder, stage);
    }

    /// To be called when all commands of a submission are recorded.
    pub(super) fn before_submission(&mut self, encoder: &mut CommandEncoder) {
        let Some(marks) = &mut self.recording else { return };
        if marks.stages.last().is_some_and(Option::is_some) {
            marks.mark(encoder, None);
        }
        let count = marks.stages.len() as u32;
        encoder.resolve_query_set(&marks.queries, 0..count, &marks.resolved, 0);
        let bytes = u64::from(count) * MARK_BYTES as u64;
        encoder.copy_buffer_to_buffer(&marks.resolved, 0, &marks.readable, 0, bytes);
    }

    /// To be called after a submission.
    pub(super) fn after_submission(&mut self, device: &Device) {
        if let Some(marks) = self.recording.take() {
            marks.map();
            self.under_way.push((marks, f64::from(device.queue.get_timestamp_period())));
        }
        self.collect();
    }

    /// The times that have come in since the last call.
    pub(super) fn take(&mut self) -> StageTimes {
        self.collect();
        std::mem::take(&mut self.times)
    }

    #[cfg(test)]
    pub(super) fn sets(&self) -> usize {
        self.under_way.len() + self.free.len() + usize::from(self.recording.is_some())
    }

    /// Reads the marks of all submissions that are known to be done.
    fn collect(&mut self) {
        for (mut marks, period) in std::mem::take(&mut self.under_way) {
            match marks.mapped.load(Ordering::Acquire) {
                PENDING => self.under_way.push((marks, period)),
                // A lost device: whoever waits for it hears of it.
                MAPPED if marks.read(period, &mut self.times) => self.free.push(marks),
                _ => {}
            }
        }
    }
}

impl Marks {
    fn new(device: &Device) -> Self {
        let buffer = |usage| {
            let size = (MARKS * MARK_BYTES) as u64;
            let label = Some("timestamps");
            let descriptor = BufferDescriptor { label, size, usage, mapped_at_creation: false };
            device.raw.create_buffer(&descriptor)
        };
        Self {
            queries: device.raw.create_query_set(&QuerySetDescriptor {
                label: Some("timestamps"),
                ty: QueryType::Timestamp,
                count: MARKS as u32,
            }),
            resolved: buffer(BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC),
            readable: buffer(BufferUsages::MAP_READ | BufferUsages::COPY_DST),
            stages: Vec::new(),
            mapped: Arc::default(),
        }
    }

    /// Has the device write down the time. Only passes can do so on every device; an empty one will do.
    fn mark(&mut self, encoder: &mut CommandEncoder, stage: Option<Stage>) {
        let timestamp_writes = Some(ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(self.stages.len() as u32),
            end_of_pass_write_index: None,
        });
        let label = stage.map(Stage::name);
        drop(encoder.begin_compute_pass(&ComputePassDescriptor { label, timestamp_writes }));
        self.stages.push(stage);
    }

    /// Asks for the marks once they are there.
    fn map(&self) {
        let mapped = Arc::clone(&self.mapped);
        mapped.store(PENDING, Ordering::Release);
        self.readable.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            mapped.store(if result.is_ok() { MAPPED } else { FAILED }, Ordering::Release);
        });
    }

    /// Adds what lies between marks, at `period` nanoseconds a tick, and makes room for others;
    /// `false` if they cannot be read.
    fn read(&mut self, period: f64, times: &mut StageTimes) -> bool {
        let Ok(view) = self.readable.slice(..).get_mapped_range() else { return false };
        let ticks: Vec<u64> = view[..self.stages.len() * MARK_BYTES]
            .chunks_exact(MARK_BYTES)
            .map(bytemuck::pod_read_unaligned)
            .collect();
        drop(view);
        self.readable.unmap();
        for (stage, interval) in self.stages.drain(..).zip(ticks.windows(2)) {
            if let Some(stage) = stage {
                let ticks = interval[1].saturating_sub(interval[0]);
                times.add_to(stage, Duration::from_nanos((ticks as f64 * period) as u64));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
