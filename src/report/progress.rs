//! What happens while a job runs, for whoever watches it, and the way to stop it.

use serde::Serialize;

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// What is going to be done, in one line.
    Planned {
        /// Image channels of the cube.
        channels: usize,
        /// For a reader: sizes, batches, memory.
        message: String,
    },
    /// How long it is going to take: for `--dry-run`.
    Estimated {
        /// Wall time, s; none where it cannot be told.
        seconds: Option<f64>,
        /// For a reader.
        message: String,
    },
    /// Which processor computes.
    Backend {
        /// "cpu, 8 threads", "gpu, NVIDIA H100".
        name: String,
        /// Why this one.
        reason: String,
    },
    /// A stage begins that takes a while and has no channels to count: reading, writing beams.
    Stage {
        /// Its name.
        name: String,
    },
    /// All products of a channel are written.
    Channel {
        /// Index in the cube.
        channel: usize,
        /// Channels finished so far, this one included.
        done: usize,
        /// Channels in all.
        total: usize,
        /// Clean components placed.
        iterations: usize,
        /// Largest |residual| in the mask, Jy/beam.
        peak_residual: f64,
        /// tclean's stop code.
        stopcode: u8,
    },
    /// Something the user should know, but that does not stop the job.
    Warning {
        /// What.
        message: String,
    },
    /// The job has ended.
    Finished {
        /// Wall time, s.
        seconds: f64,
    },
}

/// Watches a job, and may stop it. Called from several threads.
pub trait Progress: Sync {
    /// Something happened.
    fn event(&self, event: Event);

    /// Name of the signal that asked to stop. The job looks between channels, and then ends with
    /// [`Error::Stopped`](crate::Error::Stopped).
    fn stop_requested(&self) -> Option<String> {
        None
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: Event) {}
}
