//! Which data channels an image channel's samples are taken from, integration by integration.
//!
//! Samples stay at their observed frequency: the image channel's frequency is shifted to the data's
//! frame at the time of each integration, and looked up among the data's channels there.

use std::ops::Range;

use super::{ChannelGrid, DataChannels, Interpolation};
use crate::error::{Error, Result};

/// Distance from a data channel, in channels, within which a frequency is that channel's: far above
/// the rounding of frequencies (1e-10 channels), far below what a Doppler shift could resolve.
const COINCIDENT: f64 = 1e-6;

/// Rows that share observed frequencies, as the spectral axis sees them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlotFrame {
    /// Spectral window id.
    pub spw: usize,
    /// Frequency in the image's frame over frequency in the data's, at the slot's time and towards
    /// its field ([`super::frequency_ratio`]); exactly 1 where both frames are the same.
    pub to_image: f64,
}

/// Where one sample comes from: data channel `first` alone, or `(1−f)·first + f·second`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tap {
    /// A data channel of the slot's spectral window.
    pub first: usize,
    /// The other data channel and its share f; both channels must be good.
    pub second: Option<(usize, f64)>,
    /// Observed frequency of the sample, Hz.
    pub freq_hz: f64,
}

/// The plan of a cube's spectral sampling. It is made for the whole cube, and what it says of a
/// channel does not depend on which others are imaged with it.
///
/// * `nearest`: each data channel goes to the image channel whose range `[c−½, c+½)` holds its
///   centre. An image channel may get several of them (one layer each), or none.
/// * `linear`: the value at the image channel's centre. Where image channels are wider than data
///   channels, by a factor that rounds to N, the mean of N values spread evenly over the channel (a
///   layer each), so that no data are left out. There is no extrapolation, and none across channels
///   that are not selected; a frequency that coincides with a data channel's needs no neighbour
///   where both frames are the same.
#[derive(Clone, Debug)]
pub struct Sampling {
    grid: ChannelGrid,
    interpolation: Interpolation,
    windows: Vec<DataChannels>,
    /// Index in `windows`, and ratio of frames, of each slot.
    slots: Vec<(usize, f64)>,
    /// Lowest and highest observed frequency, Hz.
    observed_hz: (f64, f64),
}

impl Sampling {
    /// Plans the sampling of `grid` for the given slots (in the order of `Rows::slots`).
    ///
    /// # Errors
    /// [`Error::Parameter`] if no image channel gets any data, if a slot's spectral window is not
    /// among `windows`, or for `linear` with a spectral window of a single channel.
    pub fn new(
        grid: ChannelGrid,
        interpolation: Interpolation,
        windows: Vec<DataChannels>,
        slots: &[SlotFrame],
    ) -> Result<Self> {
        let single = windows.iter().find(|w| w.freq_hz.len() == 1);
        if let (Interpolation::Linear, Some(window)) = (interpolation, single) {
            return Err(Error::parameter(
                "interpolation",
                "linear",
                format!(
                    "spectral window {} has a single channel, nothing to interpolate between",
                    window.spw
                ),
                "give interpolation=nearest, or leave that window out with spw",
            ));
        }
        let slots = slots
            .iter()
            .map(|slot| {
                let window = windows.iter().position(|w| w.spw == slot.spw);
                window.map(|w| (w, slot.to_image)).ok_or_else(|| {
                    let remedy = "select rows and spectral windows with the same spw";
                    Error::parameter(
                        "spw",
                        slot.spw.to_string(),
                        "has rows but is not selected",
                        remedy,
                    )
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut plan = Self { grid, interpolation, windows, slots, observed_hz: (0.0, 0.0) };
        plan.observed_hz = plan.find_observed_range().ok_or_else(|| {
            Error::parameter(
                "start",
                format!("{} GHz", plan.grid.start_hz / 1e9),
                "no channel of the cube gets any data at any time",
                "give start, width and nchan within the selected spectral windows",
            )
        })?;
        Ok(plan)
    }

    /// The cube's channels.
    pub fn grid(&self) -> &ChannelGrid {
        &self.grid
    }

    /// Lowest and highest observed frequency, Hz, that a sample of the whole cube can have.
    pub fn observed_range_hz(&self) -> (f64, f64) {
        self.observed_hz
    }

    fn find_observed_range(&self) -> Option<(f64, f64)> {
        let mut range: Option<(f64, f64)> = None;
        for &(window, to_image) in &self.slots {
            let wanted = self.covered_hz(&(0..self.grid.nchan), to_image);
            let (low, high) = self.windows[window].band_hz();
            let (low, high) = (wanted.0.max(low), wanted.1.min(high));
            if low < high {
                range = Some(range.map_or((low, high), |(a, b)| (a.min(low), b.max(high))));
            }
        }
        range
    }

    /// The data channels that image channels `channels` need: (spectral window id, channels), for
    /// windows that have any. Within a range there may be channels that are not selected.
    pub fn needed(&self, channels: Range<usize>) -> Vec<(usize, Range<usize>)> {
        let mut needed = Vec::new();
        for (index, window) in self.windows.iter().enumerate() {
            let (mut low, mut high) = (f64::INFINITY, 0.0f64);
            for &(_, to_image) in self.slots.iter().filter(|slot| slot.0 == index) {
                let (a, b) = self.covered_hz(&channels, to_image);
                (low, high) = (low.min(a), high.max(b));
            }
            let hull = window.hull();
            let position =
                |hz: f64| first_channel(window, |f| if window.rising() { f < hz } else { f > hz });
            let (from, to) = if window.rising() { (low, high) } else { (high, low) };
            // One more on either side, where linear interpolation finds its second channel.
            let first = position(from).saturating_sub(1).max(hull.start);
            let end = (position(to) + 1).min(hull.end);
            if low <= high && first < end {
                needed.push((window.spw, first..end));
            }
        }
        needed
    }

    /// Layers of an image channel: for each, every slot's tap, `None` where it has no sample.
    pub fn layers(&self, channel: usize) -> Vec<Vec<Option<Tap>>> {
        match self.interpolation {
            Interpolation::Nearest => self.nearest_layers(channel),
            Interpolation::Linear => self.linear_layers(channel),
        }
    }

    /// Observed frequencies, lowest and highest, that image channels cover, edges included.
    fn covered_hz(&self, channels: &Range<usize>, to_image: f64) -> (f64, f64) {
        let half = self.grid.width_hz / 2.0;
        let a = (self.grid.freq_hz(channels.start) - half) / to_image;
        let b = (self.grid.freq_hz(channels.end.max(1) - 1) + half) / to_image;
        (a.min(b), a.max(b))
    }

    fn nearest_layers(&self, channel: usize) -> Vec<Vec<Option<Tap>>> {
        let mut layers: Vec<Vec<Option<Tap>>> = Vec::new();
        for (slot, &(window, to_image)) in self.slots.iter().enumerate() {
            let window = &self.windows[window];
            let image_channel = |hz: f64| (self.grid.channel_at(hz * to_image) + 0.5).floor();
            let target = channel as f64;
            // Image channels rise along the window if both axes run the same way.
            let along = window.rising() == (self.grid.width_hz > 0.0);
            let first = first_channel(window, |hz| {
                if along { image_channel(hz) < target } else { image_channel(hz) > target }
            });
            let mine = (first..window.freq_hz.len())
                .take_while(|&d| image_channel(window.freq_hz[d]) == target)
                .filter(|&d| window.is_selected(d));
            for (layer, d) in mine.enumerate() {
                if layer == layers.len() {
                    layers.push(vec![None; self.slots.len()]);
                }
                layers[layer][slot] =
                    Some(Tap { first: d, second: None, freq_hz: window.freq_hz[d] });
            }
        }
        layers
    }

    fn linear_layers(&self, channel: usize) -> Vec<Vec<Option<Tap>>> {
        let mut layers: Vec<Vec<Option<Tap>>> = Vec::new();
        for (slot, &(window, to_image)) in self.slots.iter().enumerate() {
            let window = &self.windows[window];
            let values = (self.grid.width_hz.abs() / window.width_hz).round().max(1.0);
            for layer in 0..values as usize {
                if layer == layers.len() {
                    layers.push(vec![None; self.slots.len()]);
                }
                let offset = (layer as f64 - (values - 1.0) / 2.0) / values;
                let wanted = self.grid.freq_hz(channel) + offset * self.grid.width_hz;
                layers[layer][slot] = interpolate(window, wanted / to_image, to_image == 1.0);
            }
        }
        layers
    }
}

/// The first channel of a window for which `before` no longer holds, given that it holds for some
/// channels and then for none.
fn first_channel(window: &DataChannels, before: impl Fn(f64) -> bool) -> usize {
    window.freq_hz.partition_point(|hz| before(*hz))
}

/// Linear interpolation of a window at observed frequency `hz`.
///
/// Where the frames differ, a frequency that coincides with channel k lies between k and k+1, or
/// nowhere at the ends of the window: it happens at one integration at most, the one that the axis
/// was converted at, and rounding must not decide what is needed there. (In tclean rounding does
/// decide; on the sets tested it comes out like this.)
fn interpolate(window: &DataChannels, hz: f64, same_frame: bool) -> Option<Tap> {
    let f = &window.freq_hz;
    let upper = first_channel(window, |c| if window.rising() { c < hz } else { c > hz });
    let coincident = |k: usize| (hz - f[k]).abs() < COINCIDENT * window.width_hz;
    // `upper` is the first channel at or beyond hz; rounding may put it on either side.
    let hit = [upper.saturating_sub(1), upper].into_iter().find(|&k| k < f.len() && coincident(k));
    let (first, second) = match hit {
        Some(k) if same_frame => {
            return window.is_selected(k).then_some(Tap { first: k, second: None, freq_hz: hz });
        }
        Some(0) => return None,
        Some(k) => (k, k + 1),
        None => (upper.checked_sub(1)?, upper),
    };
    if second >= f.len() || !window.is_selected(first) || !window.is_selected(second) {
        return None;
    }
    let fraction = ((hz - f[first]) / (f[second] - f[first])).clamp(0.0, 1.0);
    Some(Tap { first, second: Some((second, fraction)), freq_hz: hz })
}

#[cfg(test)]
#[path = "sampling_tests.rs"]
mod tests;
