//! The performance report of a run: where time, memory and bytes went, and how far that is from what the
//! disk and the processor allow.
//!
//! Its tables are those of the report on the system that this program replaces. [`Performance`] is the report as
//! JSON: every number in SI units (bytes, seconds, Hz, rad, Jy/beam), names as the fields below;
//! [`Performance::markdown`] is the same for readers. What a system does not tell is absent, never 0.
//!
//! *Write amplification* is bytes written over bytes that the products take on disk; *read amplification* is bytes
//! read over the bytes of the selected rows, channels and correlations in the columns that are needed, each once.

mod markdown;

use serde::Serialize;

use super::ChannelSummary;

/// The report of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Performance {
    /// 1: what was run, on what.
    pub configuration: Vec<(String, String)>,
    /// 2: what came of it.
    pub result: Outcome,
    /// 3: one after the other; together they are the run.
    pub phases: Vec<Phase>,
    /// 4: work of all phases by kind. What is done beside each other (on several devices, or while planes are
    /// written) adds up, so that the sum may exceed the wall time.
    pub stages: Vec<Stage>,
    /// 5: bytes.
    pub io: Io,
    /// 6: the least that this machine could have taken; only where a report is asked for, which takes a
    /// measurement of the disk.
    pub floors: Option<Floors>,
    /// 7: every channel of this process.
    pub channels: Vec<ChannelPerformance>,
    /// Resident memory along the run: (seconds, bytes), at most some hundred points.
    pub memory_timeline: Vec<(f64, u64)>,
    /// What measuring took: CPU seconds of the thread that samples.
    pub sampling_cpu_s: Option<f64>,
}

/// What came of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Whether the cube is complete; else other processes have still to image channels.
    pub completed: bool,
    /// Channels that an interrupted run had finished.
    pub resumed_channels: usize,
    /// Channels imaged by this process.
    pub channels: usize,
    /// Of these, without data.
    pub channels_without_data: usize,
    /// Clean components.
    pub iterations: usize,
    /// Channels by tclean's stop code.
    pub stop_codes: Vec<(u8, usize)>,
    /// Wall time, s.
    pub wall_s: f64,
    /// CPU time of all threads, s.
    pub cpu_s: Option<f64>,
    /// Largest resident set, bytes.
    pub peak_rss_bytes: u64,
    /// Most memory in use on any device, bytes.
    pub peak_device_bytes: Option<u64>,
    /// Disk that the products take, bytes; 0 where the cube is not complete.
    pub output_bytes: u64,
}

/// A phase of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// When it began, seconds since 1970 (UTC).
    pub start_unix_s: f64,
    /// How long it took, s.
    pub duration_s: f64,
    /// Most threads at a time.
    pub threads: Option<u64>,
    /// CPU time over wall time: 1 is one core at work all the time.
    pub mean_cpu: Option<f64>,
    /// The same in the busiest interval between two samples.
    pub max_cpu: Option<f64>,
    /// Largest resident set seen, bytes.
    pub max_rss_bytes: Option<u64>,
    /// Resident set at its end, bytes.
    pub end_rss_bytes: Option<u64>,
    /// Bytes that the process read, from files and caches alike.
    pub read_bytes: Option<u64>,
    /// Bytes that it wrote.
    pub written_bytes: Option<u64>,
}

/// Work of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Its name, the same as in the code.
    pub name: String,
    /// Wall time of its calls, s; of a device that keeps time, how long it was at work.
    pub seconds: f64,
    /// Of the sum of all stages.
    pub share: f64,
}

/// Bytes read and written.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Io {
    /// Bytes of the selected data, each once.
    pub needed_bytes: u64,
    /// Read by our own reader from the columns of visibilities, flags and weights.
    pub reader_bytes: u64,
    /// Written to, and then read from, a copy of the visibilities in the order of channels.
    pub sorted_copy_bytes: u64,
    /// Handed to the system by our own writers: pixels and masks that are not zero.
    pub writer_bytes: u64,
    /// All that the process read, by the kernel: tables' metadata, libraries and /proc too.
    pub kernel_read_bytes: Option<u64>,
    /// All that it wrote.
    pub kernel_written_bytes: Option<u64>,
    /// Fetched from disks for it: what was not in the cache.
    pub disk_read_bytes: Option<u64>,
    /// Sent to disks by it.
    pub disk_written_bytes: Option<u64>,
    /// Disk that the products take.
    pub output_bytes: u64,
    /// The same, with their holes.
    pub apparent_bytes: u64,
    /// `kernel_read_bytes` (else `reader_bytes`) over `needed_bytes`.
    pub read_amplification: Option<f64>,
    /// `kernel_written_bytes` (else `writer_bytes`) over `output_bytes`.
    pub write_amplification: Option<f64>,
}

/// The least that the machine could have taken: each floor is what one of its parts alone needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Floors {
    /// Where the products are; `None` where it could not be measured, as on a full disk.
    pub disk: Option<DiskFloor>,
    /// CPU time of the process over its threads, s: as if all had been at work all the time.
    pub processor_s: Option<f64>,
    /// How long devices that keep time were at work, over their number, s.
    pub device_s: Option<f64>,
    /// Wall time over the largest of the floors.
    pub distance: Option<f64>,
}

/// What was read and written, at the rates of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct DiskFloor {
    /// Rate of a sequential write with a sync at its end, bytes/s.
    pub write_rate: f64,
    /// Rate of reading that back, not from the cache where it could be dropped, bytes/s.
    pub read_rate: f64,
    /// Bytes that our own reader and writers counted, at these rates, s.
    pub seconds: f64,
}

impl Floors {
    /// Fills in the distance of a run of so many seconds.
    pub fn with_distance(self, wall_s: f64) -> Self {
        let disk = self.disk.map(|disk| disk.seconds);
        let floors = [disk, self.processor_s, self.device_s];
        let floor = floors.into_iter().flatten().fold(0.0, f64::max);
        Self { distance: (floor > 0.0).then(|| wall_s / floor), ..self }
    }
}

/// What a channel came to and took.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelPerformance {
    /// As in the summary.
    #[serde(flatten)]
    pub summary: ChannelSummary,
    /// Clean components.
    pub iterations: usize,
    /// Wall time of imaging its batch over the batch's channels, s, without restoring and writing, at which the next
    /// batch is imaged already; `None` if an interrupted run did it.
    pub seconds: Option<f64>,
}

impl Io {
    /// Fills in both amplifications.
    pub fn with_ratios(self) -> Self {
        let ratio = |a: u64, b: u64| (b > 0).then(|| a as f64 / b as f64);
        Self {
            read_amplification: ratio(
                self.kernel_read_bytes.unwrap_or(self.reader_bytes),
                self.needed_bytes,
            ),
            write_amplification: ratio(
                self.kernel_written_bytes.unwrap_or(self.writer_bytes),
                self.output_bytes,
            ),
            ..self
        }
    }
}

/// Stages with their shares.
pub(crate) fn stages(seconds: &[(String, f64)]) -> Vec<Stage> {
    let sum: f64 = seconds.iter().map(|(_, seconds)| seconds).sum();
    let share = |seconds: f64| if sum > 0.0 { seconds / sum } else { 0.0 };
    let stage = |(name, seconds): &(String, f64)| Stage {
        name: name.clone(),
        seconds: *seconds,
        share: share(*seconds),
    };
    seconds.iter().map(stage).collect()
}

impl Performance {
    /// A few lines for the end of a run.
    pub fn short(&self) -> String {
        let phases: Vec<String> =
            self.phases.iter().map(|p| format!("{} {:.2} s", p.name, p.duration_s)).collect();
        let times = |ratio: Option<f64>| ratio.map_or("unknown".into(), |r| format!("{r:.2}"));
        format!(
            "{}\nbytes read / needed {}, written / on disk {}",
            phases.join(", "),
            times(self.io.read_amplification),
            times(self.io.write_amplification)
        )
    }
}
