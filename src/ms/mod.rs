//! MeasurementSets: metadata, selection, and parallel reading of visibilities.

mod describe;
mod metadata;
mod read;
mod resample;
mod selection;
mod sorted;
mod syntax;
pub mod table;
mod time;
mod vis;

pub use describe::{Description, FieldDescription, SpwDescription, Suggestion, describe};
pub use metadata::{
    Antenna, DataDescription, Field, MeasurementSet, Observation, Polarization, Source,
    SpectralWindow,
};
pub use read::ReadStats;
pub use resample::{resample, slot_frames};
pub use selection::{RowCounts, Selected, SelectedSpw, Selection};
pub use sorted::SortedCopy;
pub use vis::{Layer, RawBlock, Rows, Slot, VisBlock};

/// A column of visibilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataColumn {
    /// DATA.
    Data,
    /// CORRECTED_DATA.
    Corrected,
}

/// A correlation product or Stokes parameter that an image plane shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Stokes {
    /// Total intensity, (XX+YY)/2 or (RR+LL)/2.
    I,
    /// Linear feeds, X with X.
    XX,
    /// Linear feeds, Y with Y.
    YY,
    /// Circular feeds, right with right.
    RR,
    /// Circular feeds, left with left.
    LL,
}
