//! What a run tells: progress while it runs, a summary when it ends, a picture of the cube.

mod notes;
mod performance;
mod progress;
mod quicklook;
mod summary;

pub(crate) use performance::stages as performance_stages;
pub use performance::{
    ChannelPerformance, DiskFloor, Floors, Io, Outcome, Performance, Phase, Stage,
};
pub use progress::{Event, Progress, Silent};
pub use quicklook::{Moments, Planes, Quicklook, quicklook};
pub(crate) use summary::size_text;
pub use summary::{Bus, ChannelSummary, Control, MinorCycle, Resources, Summary, stop_description};
