//! Where a run's time and bytes went.

use std::{
    ops::Range,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{
    backend::{Stage, StageTimes, Traffic},
    ms::ReadStats,
};

/// Sums of times by stage, and of what was read; shared by threads.
#[derive(Default)]
pub(super) struct Timers {
    sums: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    /// In the order in which stages first ended.
    host: Vec<(&'static str, Duration)>,
    backend: StageTimes,
    read: ReadStats,
    written: u64,
    /// Bytes of a sorted copy of the visibilities.
    sorted: u64,
    /// Batches with the wall times of their imaging, on their device, s.
    batches: Vec<(Range<usize>, f64)>,
    /// What crossed between host and devices from the dirty images to the end of clean.
    clean_traffic: Traffic,
}

impl Timers {
    /// Runs a stage and adds its wall time.
    pub fn time<T>(&self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(stage, start.elapsed());
        result
    }

    /// Adds to a stage's time.
    pub fn add(&self, stage: &'static str, time: Duration) {
        let host = &mut self.lock().host;
        match host.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, sum)) => *sum += time,
            None => host.push((stage, time)),
        }
    }

    /// Adds what a backend measured.
    pub fn add_stages(&self, times: &StageTimes) {
        self.lock().backend.add(times);
    }

    /// Adds what crossed between host and device while a batch was cleaned.
    pub fn add_clean_traffic(&self, traffic: &Traffic) {
        self.lock().clean_traffic.add(traffic);
    }

    /// What crossed between host and devices in all cleaning so far.
    pub fn clean_traffic(&self) -> Traffic {
        self.lock().clean_traffic
    }

    /// Adds what was read.
    pub fn add_read(&self, stats: &ReadStats) {
        let read = &mut self.lock().read;
        read.samples += stats.samples;
        read.flagged += stats.flagged;
        read.non_finite += stats.non_finite;
        read.bad_weight += stats.bad_weight;
        read.bytes_read += stats.bytes_read;
    }

    /// Adds the bytes of a sorted copy of the visibilities.
    pub fn add_sorted(&self, bytes: u64) {
        self.lock().sorted += bytes;
    }

    /// Bytes of sorted copies of the visibilities.
    pub fn sorted(&self) -> u64 {
        self.lock().sorted
    }

    /// Adds bytes that the products' writers handed to the system.
    pub fn add_written(&self, bytes: u64) {
        self.lock().written += bytes;
    }

    /// Adds a batch from when it was begun.
    pub fn add_batch(&self, channels: Range<usize>, begun: Instant) {
        self.lock().batches.push((channels, begun.elapsed().as_secs_f64()));
    }

    /// Batches with the wall times of their imaging, on their device, s.
    pub fn batches(&self) -> Vec<(Range<usize>, f64)> {
        self.lock().batches.clone()
    }

    /// Bytes that the products' writers handed to the system.
    pub fn written(&self) -> u64 {
        self.lock().written
    }

    /// What was read so far.
    pub fn read(&self) -> ReadStats {
        self.lock().read
    }

    /// Seconds of the backend's stages that are its own: the stage `samples` is the host's.
    pub fn backend_s(&self) -> f64 {
        let backend = self.lock().backend;
        (backend.total() - backend.of(Stage::Samples)).as_secs_f64()
    }

    /// Every stage with its seconds: the host's, then the backend's.
    pub fn stages(&self) -> Vec<(String, f64)> {
        let sums = self.lock();
        let host = sums.host.iter().copied();
        host.chain(sums.backend.stages())
            .map(|(name, time)| (name.to_owned(), time.as_secs_f64()))
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sums> {
        // Sums stay sums when another thread panicked while adding.
        self.sums.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
