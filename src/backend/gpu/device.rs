//! An open device: its limits, its health, the memory planned for it, and waiting for it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use wgpu::{Adapter, AdapterInfo, Buffer, BufferDescriptor, BufferUsages, ErrorFilter, Limits};

use super::timestamps;
use crate::{
    Error, Result,
    backend::{Cargo, Traffic},
};

/// The first thing that went wrong on a device, kept because wgpu reports it out of band.
#[derive(Default)]
struct Health(Mutex<Option<Fault>>);

#[derive(Clone)]
struct Fault {
    problem: String,
    remedy: &'static str,
    lost: bool,
}

impl Health {
    fn report(&self, problem: String, remedy: &'static str, lost: bool) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Later errors are consequences of the first; but all else is a consequence of a loss, which
        // wgpu reports only when it is polled.
        if first.as_ref().is_none_or(|fault| lost && !fault.lost) {
            *first = Some(Fault { problem, remedy, lost });
        }
    }

    fn fault(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

const LOST: &str = "run again; if it happens again, update the GPU's driver, choose another with \
                    --device, or use --backend cpu";
const FULL: &str = "give a smaller --device-memory so that fewer channels are held at once, close \
                    other programs that use the GPU, or use --backend cpu";
const BUG: &str = "this is an error of cubeclean: please report it with this message, and use \
                   --backend cpu meanwhile";

/// An open device with its queue. Every error that wgpu would raise is caught here.
pub(super) struct Device {
    pub(super) raw: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) info: AdapterInfo,
    pub(super) limits: Limits,
    /// Largest storage binding to use; the adapter's, or less when a test wants splitting.
    pub(super) max_binding_bytes: u64,
    health: Arc<Health>,
    budget: Arc<Budget>,
    traffic: Mutex<Traffic>,
}

/// Device memory in use, against what the user allows.
struct Budget {
    limit: u64,
    used: AtomicU64,
    /// Most that was ever in use.
    peak: AtomicU64,
}

/// A buffer that gives its share of the budget back when dropped.
pub(super) struct Allocation {
    pub(super) buffer: Buffer,
    budget: Arc<Budget>,
}

/// A buffer on its way to the host.
pub(super) struct Mapping {
    submission: Option<wgpu::SubmissionIndex>,
    answer: std::sync::mpsc::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>,
}

/// How long a mapping may take after the commands that fill it are done.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(20);

impl Drop for Allocation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.buffer.size(), Ordering::Relaxed);
    }
}

impl Device {
    /// Opens the adapter with its own limits. `memory` bounds the bytes allocated at any time,
    /// `binding` the bytes of a storage binding (for tests of splitting).
    pub(super) fn open(
        adapter: &Adapter,
        memory: Option<u64>,
        binding: Option<u64>,
    ) -> Result<Self> {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("cubeclean"),
            required_limits: limits.clone(),
            required_features: adapter.features() & timestamps::FEATURE,
            ..Default::default()
        };
        let (raw, queue) =
            pollster::block_on(adapter.request_device(&descriptor)).map_err(|e| Error::Device {
                device: info.name.clone(),
                problem: format!("the driver does not open it: {e}"),
                remedy: "update the driver, choose another with --device, or use --backend cpu"
                    .into(),
            })?;

        let health = Arc::new(Health::default());
        let reporter = Arc::clone(&health);
        raw.on_uncaptured_error(Arc::new(move |error| match error {
            wgpu::Error::OutOfMemory { source } => {
                reporter.report(format!("out of device memory: {source}"), FULL, false);
            }
            error => reporter.report(error.to_string(), BUG, false),
        }));
        let reporter = Arc::clone(&health);
        raw.set_device_lost_callback(move |reason, message| {
            reporter.report(format!("the device was lost ({reason:?}): {message}"), LOST, true);
        });

        let max_binding_bytes =
            binding.unwrap_or(u64::MAX).min(limits.max_storage_buffer_binding_size);
        let budget = Arc::new(Budget {
            limit: memory.unwrap_or(u64::MAX),
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        });
        let traffic = Mutex::default();
        Ok(Self { raw, queue, info, limits, max_binding_bytes, health, budget, traffic })
    }

    /// The error that the device is in, if any.
    pub(super) fn check(&self) -> Result<()> {
        let Some(fault) = self.health.fault() else { return Ok(()) };
        if !fault.lost {
            // What looks like our error or as full memory may be a loss not yet reported.
            let _ = self.poll(wgpu::PollType::Poll);
        }
        let Fault { problem, remedy, .. } = self.health.fault().unwrap_or(fault);
        Err(self.error(problem, remedy))
    }

    /// Polls; `None` if the driver reports that the device is lost. wgpu 30 panics in that case: it
    /// is the one place where it has neither a return value nor a callback for it.
    fn poll(&self, poll: wgpu::PollType) -> Option<Result<wgpu::PollStatus, wgpu::PollError>> {
        catch_unwind(AssertUnwindSafe(|| self.raw.poll(poll))).ok()
    }

    /// Learns which submissions are done, without waiting for any. What else it hears, the next check
    /// tells.
    pub(super) fn hear(&self) {
        let _ = self.poll(wgpu::PollType::Poll);
    }

    fn error(&self, problem: impl Into<String>, remedy: &str) -> Error {
        Error::Device {
            device: self.info.name.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// An error that only a mistake of ours can cause.
    pub(super) fn bug(&self, problem: impl Into<String>) -> Error {
        self.error(problem, BUG)
    }

    /// Most bytes that were allocated at any time.
    pub(super) fn peak_memory(&self) -> u64 {
        self.budget.peak.load(Ordering::Relaxed)
    }

    /// A zero-initialised buffer within the memory budget. `bytes` is rounded up to a multiple of 4,
    /// and to at least 4, as bindings and copies need.
    pub(super) fn allocate(
        &self,
        label: &str,
        bytes: u64,
        usage: BufferUsages,
        mapped_at_creation: bool,
    ) -> Result<Allocation> {
        self.check()?;
        let size = bytes.max(4).next_multiple_of(4);
        if size > self.limits.max_buffer_size {
            return Err(self.bug(format!(
                "a buffer of {size} bytes ({label}) exceeds the device's {}",
                self.limits.max_buffer_size
            )));
        }
        let used = self.budget.used.fetch_add(size, Ordering::Relaxed);
        let available = self.budget.limit.saturating_sub(used);
        if size > available {
            self.budget.used.fetch_sub(size, Ordering::Relaxed);
            return Err(Error::Resources {
                resource: format!("device memory ({label}, {})", self.info.name),
                needed: format!("{size} bytes"),
                available: format!("{available} of {} bytes", self.budget.limit),
                remedy: "raise --device-memory, or image fewer pixels".into(),
            });
        }
        self.budget.peak.fetch_max(used + size, Ordering::Relaxed);
        let scope = self.raw.push_error_scope(ErrorFilter::OutOfMemory);
        let buffer = self.raw.create_buffer(&BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation,
        });
        let allocation = Allocation { buffer, budget: Arc::clone(&self.budget) };
        match pollster::block_on(scope.pop()) {
            None => self.check().map(|()| allocation),
            Some(e) => {
                Err(self.error(format!("cannot allocate {size} bytes ({label}): {e}"), FULL))
            }
        }
    }

    /// A buffer of host values (`label` says of what, see [`Cargo`]), in the budget, for the queue's next submission to copy from or for
    /// shaders to read.
    pub(super) fn upload(
        &self,
        label: &str,
        usage: BufferUsages,
        values: &[u8],
    ) -> Result<Allocation> {
        let allocation = self.allocate(label, values.len() as u64, usage, true)?;
        let mapped = allocation.buffer.slice(..).get_mapped_range_mut();
        let mut view = mapped.map_err(|e| self.unmappable(label, &e.to_string()))?;
        view.slice(..values.len()).copy_from_slice(values);
        drop(view);
        allocation.buffer.unmap();
        self.count(|traffic| traffic.add_to_device(Cargo::of_label(label), values.len() as u64));
        Ok(allocation)
    }

    /// Asks for the first `bytes` of a buffer, once `submission` is done.
    pub(super) fn map(
        &self,
        allocation: &Allocation,
        bytes: usize,
        submission: Option<wgpu::SubmissionIndex>,
    ) -> Mapping {
        let (sender, answer) = std::sync::mpsc::channel();
        allocation.buffer.slice(..bytes as u64).map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is gone only if the wait for it has failed already.
            let _ = sender.send(result);
        });
        Mapping { submission, answer }
    }

    /// Waits for a mapping, and copies what it holds; `label` says what that is.
    pub(super) fn read(
        &self,
        label: &str,
        allocation: &Allocation,
        mapping: Mapping,
        out: &mut [u8],
    ) -> Result<()> {
        self.wait(mapping.submission)?;
        // Another thread that waited may be the one that is told, a moment later.
        match mapping.answer.recv_timeout(ANSWER) {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(self.unmappable(label, &e.to_string())),
            Err(_) => return Err(self.unmappable(label, "no answer from the driver")),
        }
        let view = allocation
            .buffer
            .slice(..out.len() as u64)
            .get_mapped_range()
            .map_err(|e| self.unmappable(label, &e.to_string()))?;
        out.copy_from_slice(&view);
        drop(view);
        allocation.buffer.unmap();
        self.count(|traffic| traffic.add_to_host(Cargo::of_label(label), out.len() as u64));
        Ok(())
    }

    /// Bytes that crossed between host and device so far.
    pub(super) fn traffic(&self) -> Traffic {
        *self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, add: impl FnOnce(&mut Traffic)) {
        add(&mut self.traffic.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn unmappable(&self, label: &str, why: &str) -> Error {
        self.symptom(format!("cannot map the buffer \"{label}\": {why}"))
    }

    /// What may be a sign that the device is lost: then its own story is the better message. It is told
    /// when the device is polled and has finished what was submitted before.
    fn symptom(&self, problem: String) -> Error {
        // Long enough for a busy machine; a device that is alive answers at once.
        let timeout = Some(std::time::Duration::from_secs(60));
        let _ = self.poll(wgpu::PollType::Wait { submission_index: None, timeout });
        self.check().err().unwrap_or_else(|| self.error(problem, LOST))
    }

    /// Waits for a submission, or for all of them.
    pub(super) fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        self.check()?;
        let poll = wgpu::PollType::Wait { submission_index: submission, timeout: None };
        let polled = self.poll(poll);
        self.check()?;
        match polled {
            Some(Ok(_)) => Ok(()),
            Some(Err(e)) => Err(self.symptom(format!("waiting for it failed: {e}"))),
            None => Err(self.error("the driver lost it while we waited", LOST)),
        }
    }
}
