//! Collects commands and submits them in portions that no watchdog minds.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use wgpu::{CommandBuffer, CommandEncoder, CommandEncoderDescriptor, SubmissionIndex};

use super::{
    device::{Allocation, Device},
    timestamps::Timestamps,
};
use crate::{
    Result,
    backend::{Stage, StageTimes},
};

/// Bytes of memory traffic after which recorded commands are submitted. Operating systems reset a
/// GPU whose submission runs for about two seconds; at 1 GB/s, slower than any device in use, this is
/// a quarter of one. On a fast device it is still long against the cost of a submission.
pub(super) const PORTION: u64 = 256 << 20;

/// Submissions that may be under way before we wait for the oldest: enough to keep the device busy,
/// few enough that the staging buffers they hold stay bounded.
pub(super) const IN_FLIGHT: usize = 4;

/// Commands recorded but not yet submitted.
#[derive(Default)]
pub(super) struct Recorder(Mutex<Recorded>);

#[derive(Default)]
struct Recorded {
    /// What comes before the encoder's commands.
    finished: Vec<CommandBuffer>,
    encoder: Option<CommandEncoder>,
    traffic: u64,
    /// Buffers that the recorded commands use and nobody else holds.
    held: Vec<Allocation>,
    under_way: VecDeque<(SubmissionIndex, Vec<Allocation>)>,
    last: Option<SubmissionIndex>,
    timestamps: Timestamps,
}

impl Recorder {
    /// Records commands that move about `traffic` bytes on the device. `held` are buffers that live
    /// until those commands are done.
    pub(super) fn record(
        &self,
        device: &Device,
        traffic: u64,
        held: Vec<Allocation>,
        commands: impl FnOnce(&mut CommandEncoder),
    ) -> Result<()> {
        device.check()?;
        let mut guard = self.lock();
        let recorded = &mut *guard;
        if recorded.timestamps.is_full() {
            recorded.submit(device)?;
        }
        let encoder = recorded.encoder.get_or_insert_with(|| {
            device.raw.create_command_encoder(&CommandEncoderDescriptor::default())
        });
        recorded.timestamps.before_commands(device, encoder);
        commands(encoder);
        recorded.held.extend(held);
        recorded.traffic += traffic;
        if recorded.traffic >= PORTION { recorded.submit(device) } else { Ok(()) }
    }

    /// As [`Recorder::record`], in an encoder of its own: one that records on raw handles may record
    /// nothing else. If the commands fail, none of them are executed.
    #[cfg(feature = "vkfft")]
    pub(super) fn record_apart(
        &self,
        device: &Device,
        traffic: u64,
        commands: impl FnOnce(&mut CommandEncoder) -> Result<()>,
    ) -> Result<()> {
        device.check()?;
        let mut recorded = self.lock();
        let mut encoder = device.raw.create_command_encoder(&CommandEncoderDescriptor::default());
        commands(&mut encoder)?;
        recorded.close();
        recorded.finished.push(encoder.finish());
        recorded.traffic += traffic;
        if recorded.traffic >= PORTION { recorded.submit(device) } else { Ok(()) }
    }

    /// Does `work` while no other thread submits anything: Vulkan wants a queue used by one at a time.
    #[cfg(feature = "vkfft")]
    pub(super) fn exclusively<T>(&self, work: impl FnOnce() -> T) -> T {
        let _recorded = self.lock();
        work()
    }

    /// Submits what is recorded. Gives the last submission, to wait for; `None` if nothing was ever
    /// recorded.
    pub(super) fn flush(&self, device: &Device) -> Result<Option<SubmissionIndex>> {
        let mut recorded = self.lock();
        recorded.submit(device)?;
        Ok(recorded.last.clone())
    }

    /// Says which stage commands recorded by this thread from now on belong to.
    pub(super) fn enter(&self, stage: Option<Stage>) {
        self.lock().timestamps.enter(stage);
    }

    /// The times of submissions found done since the last call.
    pub(super) fn take_times(&self, device: &Device) -> StageTimes {
        device.hear();
        self.lock().timestamps.take()
    }

    /// How many sets of timestamps there are.
    #[cfg(test)]
    pub(super) fn sets_of_marks(&self) -> usize {
        self.lock().timestamps.sets()
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorded {
    fn close(&mut self) {
        self.finished.extend(self.encoder.take().map(CommandEncoder::finish));
    }

    fn submit(&mut self, device: &Device) -> Result<()> {
        if self.encoder.is_some() || !self.finished.is_empty() {
            let encoder = self.encoder.get_or_insert_with(|| {
                device.raw.create_command_encoder(&CommandEncoderDescriptor::default())
            });
            self.timestamps.before_submission(encoder);
            self.close();
            let submission = device.queue.submit(self.finished.drain(..));
            self.last = Some(submission.clone());
            self.timestamps.after_submission(device);
            self.under_way.push_back((submission, std::mem::take(&mut self.held)));
            self.traffic = 0;
        }
        while self.under_way.len() > IN_FLIGHT {
            if let Some((oldest, _held)) = self.under_way.pop_front() {
                device.wait(Some(oldest))?;
            }
        }
        device.check()
    }
}
