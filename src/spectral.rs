//! The cube's spectral axis: channel grids in a velocity frame, their shift to the frame of the
//! data at the time of each integration, and which data channels feed which image channel.

/// A spectral reference frame, with casacore's codes (MEAS_FREQ_REF).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FreqFrame {
    /// Kinematic local standard of rest.
    Lsrk,
    /// Dynamical local standard of rest.
    Lsrd,
    /// Solar-system barycentre.
    Bary,
    /// Geocentre.
    Geo,
    /// The observatory.
    Topo,
}

/// The image cube's spectral axis: equidistant in frequency.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ChannelGrid {
    /// Frame of the channel frequencies.
    pub frame: FreqFrame,
    /// Centre of channel 0, Hz.
    pub start_hz: f64,
    /// Channel increment, Hz; negative for an axis that runs downwards.
    pub width_hz: f64,
    /// Number of channels.
    pub nchan: usize,
    /// Rest frequency of the line, Hz.
    pub restfreq_hz: f64,
}

impl ChannelGrid {
    /// Centre frequency of an image channel in the grid's frame, Hz.
    pub fn freq_hz(&self, channel: usize) -> f64 {
        self.start_hz + self.width_hz * channel as f64
    }
}

/// How a visibility is taken from the data's channels to an image channel's frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Each data channel goes to the image channel nearest to it.
    Nearest,
    /// Linear between the two data channels around the image channel; both must be good.
    Linear,
}
