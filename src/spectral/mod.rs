//! The cube's spectral axis: channel grids in a velocity frame, their shift to the frame of the
//! data at the time of each integration, and which data channels feed which image channel.

mod axis;
mod frame;
mod sampling;

use crate::SPEED_OF_LIGHT;

pub use axis::{AxisOrigin, AxisRequest, AxisValue, DataChannels};
pub use frame::{FreqFrame, frequency_ratio, observatory_position};
pub use sampling::{Sampling, SlotFrame, Tap};

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

    /// Fractional channel at frequency `freq_hz` of the grid's frame; whole numbers at centres.
    pub fn channel_at(&self, freq_hz: f64) -> f64 {
        (freq_hz - self.start_hz) / self.width_hz
    }

    /// `fracBW` of tclean's briggsbwtaper: 2·(νmax − νmin)/(νmax + νmin) over the centres of all
    /// channels of the cube.
    pub fn fractional_bandwidth(&self) -> f64 {
        let (first, last) = (self.freq_hz(0), self.freq_hz(self.nchan.saturating_sub(1)));
        2.0 * (last - first).abs() / (last + first)
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

/// How a velocity is derived from a frequency shift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VelocityType {
    /// `v = c·(1 − ν/ν₀)`.
    #[default]
    Radio,
    /// `v = c·(ν₀/ν − 1)`.
    Optical,
}

impl VelocityType {
    /// Frequency, Hz, of velocity `v_m_s` for the rest frequency `restfreq_hz`.
    pub fn frequency(self, v_m_s: f64, restfreq_hz: f64) -> f64 {
        match self {
            Self::Radio => restfreq_hz * (1.0 - v_m_s / SPEED_OF_LIGHT),
            Self::Optical => restfreq_hz / (1.0 + v_m_s / SPEED_OF_LIGHT),
        }
    }

    /// Velocity, m/s, of frequency `freq_hz` for the rest frequency `restfreq_hz`.
    pub fn velocity(self, freq_hz: f64, restfreq_hz: f64) -> f64 {
        match self {
            Self::Radio => SPEED_OF_LIGHT * (1.0 - freq_hz / restfreq_hz),
            Self::Optical => SPEED_OF_LIGHT * (restfreq_hz / freq_hz - 1.0),
        }
    }
}
