//! From data channels to image channels: RawBlocks to VisBlocks.

use std::{ops::Range, sync::Arc};

use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use super::{Layer, RawBlock, Rows, Selected, VisBlock};
use crate::{
    SPEED_OF_LIGHT,
    error::{Error, Result},
    geometry::Direction,
    spectral::{
        AxisOrigin, DataChannels, FreqFrame, Sampling, SlotFrame, Tap, frequency_ratio,
        observatory_position,
    },
};

impl Selected {
    /// The selected spectral windows, ascending, with their frames and selected channels.
    ///
    /// # Errors
    /// [`Error::Data`] for frequencies or a frame that cannot be used.
    pub fn data_channels(&self) -> Result<Vec<DataChannels>> {
        let ms = self.measurement_set();
        self.spws()
            .iter()
            .map(|selected| {
                let window = &ms.spectral_windows()[selected.id];
                let mut ranges: Vec<Range<usize>> = Vec::new();
                for channel in (0..selected.channels.len()).filter(|&c| selected.channels[c]) {
                    match ranges.last_mut() {
                        Some(range) if range.end == channel => range.end += 1,
                        _ => ranges.push(channel..channel + 1),
                    }
                }
                DataChannels::new(
                    selected.id,
                    ms.freq_frame(selected.id)?,
                    window.chan_freq_hz.clone(),
                    window.chan_width_hz.first().copied().unwrap_or(0.0),
                    ranges,
                )
            })
            .collect()
    }

    /// What ties the data's frame to that of a cube centred on `phase_center`: the time of the
    /// first row, the observatory's position (by the telescope's name, else the mean of the antennas), and the
    /// rest frequency of the first field's source.
    ///
    /// # Errors
    /// [`Error::Data`] if the observatory's position is not known.
    pub fn axis_origin(&self, phase_center: &Direction) -> Result<AxisOrigin> {
        let ms = self.measurement_set();
        let first = self.rows().slots.first().copied();
        let position = observatory_position(ms.telescope()).or_else(|| ms.array_position_m());
        let (Some(first), Some(position_m)) = (first, position) else {
            return Err(Error::data(
                ms.path(),
                "ANTENNA",
                format!("no positions, and the telescope {:?} is not known", ms.telescope()),
                "correct the column POSITION, or OBSERVATION.TELESCOPE_NAME",
            ));
        };
        Ok(AxisOrigin {
            time: self.first_time(),
            position_m,
            direction: *phase_center,
            source_restfreq_hz: ms.rest_freq_hz(first.field, first.spw),
        })
    }
}

/// The ratio of frames of each of the rows' slots, at its own time and towards its own field (which
/// is where tclean takes the Doppler shift of the data; that of the cube's axis it takes towards the
/// image's phase centre).
///
/// `windows` are the selected spectral windows, `fields` the phase directions by field id,
/// `position_m` the observatory in ITRF metres.
///
/// # Errors
/// [`crate::Error::Data`] for unusable times.
pub fn slot_frames(
    rows: &Rows,
    windows: &[DataChannels],
    fields: &[Direction],
    outframe: FreqFrame,
    position_m: &[f64; 3],
) -> Result<Vec<SlotFrame>> {
    rows.slots
        .par_iter()
        .map(|slot| {
            // A window that is not selected is for `Sampling::new` to refuse.
            let window = windows.iter().find(|w| w.spw == slot.spw);
            let from = window.map_or(outframe, |w| w.frame);
            let to_image =
                frequency_ratio(from, outframe, slot.time, position_m, &fields[slot.field])?;
            Ok(SlotFrame { spw: slot.spw, to_image })
        })
        .collect()
}

/// Brings visibilities to image channels `channels`: interpolates them in frequency and moves them
/// to the image's phase centre.
///
/// A linear sample is `(1−f)·V₁ + f·V₂` with weight `(1−f)·w₁ + f·w₂`, as in tclean; it is dropped
/// unless both weights are positive. Then it is multiplied by `exp(−2πi·shift_m·ν/c)`, ν being its
/// observed frequency.
///
/// `raws` hold, between them, the channels that [`Sampling::needed`] names for `channels`; each row
/// is in one of them at most. Layers are computed in parallel, each by one thread, so the result
/// does not depend on the number of threads.
///
/// # Panics
/// If `raws` lack a channel they should hold, or do not belong to `rows`.
pub fn resample(
    sampling: &Sampling,
    rows: &Arc<Rows>,
    raws: &[RawBlock],
    channels: Range<usize>,
) -> VisBlock {
    let layers: Vec<Vec<Layer>> = channels
        .clone()
        .into_par_iter()
        .map(|channel| {
            let taps = sampling.layers(channel);
            taps.into_par_iter().map(|taps| layer(channel, &taps, rows, raws)).collect()
        })
        .collect();
    VisBlock { rows: rows.clone(), channels, layers: layers.into_iter().flatten().collect() }
}

fn layer(channel: usize, taps: &[Option<Tap>], rows: &Rows, raws: &[RawBlock]) -> Layer {
    let nrow = rows.uvw_m.len();
    let mut vis = vec![Complex32::default(); nrow];
    let mut weight = vec![0.0f32; nrow];
    for raw in raws {
        let nraw = raw.rows.len();
        for (i, &row) in raw.rows.iter().enumerate() {
            let row = row as usize;
            let slot = rows.slot[row] as usize;
            let (Some(tap), true) = (taps[slot], rows.slots[slot].spw == raw.spw) else { continue };
            let at = |data_channel: usize| {
                assert!(
                    raw.channels.contains(&data_channel),
                    "spectral window {}: channel {data_channel} was not read",
                    raw.spw
                );
                (data_channel - raw.channels.start) * nraw + i
            };
            let first = at(tap.first);
            let (v, w) = match tap.second {
                None => (raw.vis[first], raw.weight[first]),
                Some((second, f)) => {
                    let second = at(second);
                    let (w1, w2) = (raw.weight[first], raw.weight[second]);
                    if w1 <= 0.0 || w2 <= 0.0 {
                        continue;
                    }
                    let f = f as f32;
                    let v = raw.vis[first] * (1.0 - f) + raw.vis[second] * f;
                    (v, w1 * (1.0 - f) + w2 * f)
                }
            };
            if w > 0.0 {
                vis[row] = match rows.shift_m.get(row) {
                    Some(&shift_m) => moved(v, shift_m, tap.freq_hz),
                    None => v,
                };
                weight[row] = w;
            }
        }
    }
    let freq_hz = taps.iter().map(|tap| tap.map_or(f64::NAN, |tap| tap.freq_hz)).collect();
    Layer { channel, freq_hz, vis, weight }
}

/// `v·exp(−2πi·shift_m·ν/c)`, the phase reduced and the sine taken in f64: paths are up to 1e7
/// wavelengths.
fn moved(v: Complex32, shift_m: f64, freq_hz: f64) -> Complex32 {
    let turns = shift_m * freq_hz / SPEED_OF_LIGHT;
    let phase = Complex64::cis(-std::f64::consts::TAU * (turns - turns.round()));
    let moved = Complex64::new(v.re.into(), v.im.into()) * phase;
    Complex32::new(moved.re as f32, moved.im as f32)
}

#[cfg(test)]
#[path = "resample_tests.rs"]
mod tests;
