//! The stages by name, and the time that each takes.

use std::time::Duration;

/// A stage of the operators; its name is the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Visibilities taken to the backend's memory, in gridding order.
    Samples,
    /// Samples to uv grids.
    Grid,
    /// Transforms, both directions.
    Fft,
    /// Kernel correction and w screens, both directions.
    Correct,
    /// Division by the sum of weights.
    Normalise,
    /// uv grids to predicted visibilities.
    Degrid,
    /// Minor cycles: peak, subtract.
    Minor,
}

impl Stage {
    /// All stages, in the order of the flow.
    pub const ALL: [Self; 7] = [
        Self::Samples,
        Self::Grid,
        Self::Fft,
        Self::Correct,
        Self::Normalise,
        Self::Degrid,
        Self::Minor,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Grid => "grid",
            Self::Fft => "fft",
            Self::Correct => "correct",
            Self::Normalise => "normalise",
            Self::Degrid => "degrid",
            Self::Minor => "minor",
        }
    }
}

/// What a backend's stage times are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Stages work until they return: the wall time of their calls.
    #[default]
    Wall,
    /// Stages record work for a device, which notes when it begins and ends what each recorded:
    /// [`super::PlaneStore::take_stage_times`]. Of the stage `samples`, the wall time of its call.
    Device,
    /// Stages record work for a device that keeps no time: the wall time of a call says nothing of
    /// the work, unless [`super::PlaneStore::finish`] follows it.
    Recording,
}

/// Time spent in each stage, as the backend's [`Clock`] has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes([Duration; Stage::ALL.len()]);

impl StageTimes {
    /// Time of a stage.
    pub fn of(&self, stage: Stage) -> Duration {
        self.0[stage as usize]
    }

    /// Adds to the time of a stage.
    pub fn add_to(&mut self, stage: Stage, time: Duration) {
        self.0[stage as usize] += time;
    }

    /// Stages' names with their times, in the order of the flow.
    pub fn stages(&self) -> [(&'static str, Duration); Stage::ALL.len()] {
        Stage::ALL.map(|stage| (stage.name(), self.of(stage)))
    }

    /// Adds another's times.
    pub fn add(&mut self, other: &StageTimes) {
        for (sum, time) in self.0.iter_mut().zip(other.0) {
            *sum += time;
        }
    }

    /// Sum over the stages.
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }
}
