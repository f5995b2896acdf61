//! From data channels to image channels: RawBlocks to VisBlocks.

use std::{ops::Range, sync::Arc};

use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use super::{Layer, RawBlock, Rows, VisBlock};
use crate::{
    SPEED_OF_LIGHT,
    error::Result,
    geometry::Direction,
    spectral::{DataChannels, FreqFrame, Sampling, SlotFrame, Tap, frequency_ratio},
};

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
