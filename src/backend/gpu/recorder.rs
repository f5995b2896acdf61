//! Collects commands and submits them in portions that no watchdog minds.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use wgpu::{CommandEncoder, CommandEncoderDescriptor, SubmissionIndex};

use super::device::{Allocation, Device};
use crate::Result;

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
    encoder: Option<CommandEncoder>,
    traffic: u64,
    /// Buffers that the recorded commands use and nobody else holds.
    held: Vec<Allocation>,
    under_way: VecDeque<(SubmissionIndex, Vec<Allocation>)>,
    last: Option<SubmissionIndex>,
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
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let encoder = recorded.encoder.get_or_insert_with(|| {
            device.raw.create_command_encoder(&CommandEncoderDescriptor::default())
        });
        commands(encoder);
        recorded.held.extend(held);
        recorded.traffic += traffic;
        if recorded.traffic >= PORTION { recorded.submit(device) } else { Ok(()) }
    }

    /// Submits what is recorded. Gives the last submission, to wait for; `None` if nothing was ever
    /// recorded.
    pub(super) fn flush(&self, device: &Device) -> Result<Option<SubmissionIndex>> {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.submit(device)?;
        Ok(recorded.last.clone())
    }
}

impl Recorded {
    fn submit(&mut self, device: &Device) -> Result<()> {
        if let Some(encoder) = self.encoder.take() {
            let submission = device.queue.submit([encoder.finish()]);
            self.last = Some(submission.clone());
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
