//! What the rest of the program sees of a MeasurementSet: rows, and blocks of visibilities already
//! selected, flagged, reduced to one Stokes parameter and brought to image channels.

use std::sync::Arc;

use num_complex::Complex32;

use crate::geometry::{Direction, PhaseCenterShift};

/// Geometry of the selected cross-correlation rows, the same for every channel.
///
/// Rows with antenna1 = antenna2, with FLAG_ROW set, or outside the selection are not in it.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Baseline (u, v, w) of each row in metres, in the frame of the image's phase centre.
    pub uvw_m: Vec<[f64; 3]>,
    /// Path difference of each row, metres, between the image's phase centre and the field's: a
    /// sample observed at ν is multiplied by `exp(−2πi·shift_m·ν/c)` to move it to the image's phase
    /// centre. Empty where both are the same direction.
    pub shift_m: Vec<f64>,
    /// For each row, its index in [`Rows::slots`].
    pub slot: Vec<u32>,
    /// The distinct (time, spectral window, field) of the rows, in order of first appearance.
    pub slots: Vec<Slot>,
}

impl Rows {
    /// These rows, whose uvw are those of the data, referred to the image's phase centre.
    ///
    /// `fields` holds the phase direction of each field by its id; [`Rows::slots`] must name no
    /// other. The data's uvw axes are taken to be those of that direction's frame.
    pub fn to_phase_center(&self, fields: &[Direction], center: &Direction) -> Self {
        let shifts: Vec<Option<PhaseCenterShift>> =
            fields.iter().map(|field| PhaseCenterShift::new(field, center)).collect();
        let shift_of_slot: Vec<Option<PhaseCenterShift>> =
            self.slots.iter().map(|slot| shifts[slot.field]).collect();
        if shift_of_slot.iter().all(Option::is_none) {
            return Self { shift_m: Vec::new(), ..self.clone() };
        }
        let (uvw_m, shift_m) = self
            .uvw_m
            .iter()
            .zip(&self.slot)
            .map(|(uvw, &slot)| match &shift_of_slot[slot as usize] {
                Some(shift) => shift.apply(uvw),
                None => (*uvw, 0.0),
            })
            .unzip();
        Self { uvw_m, shift_m, slot: self.slot.clone(), slots: self.slots.clone() }
    }
}

/// Rows that share observed frequencies: one integration of one spectral window and field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// Mid-time of the integration, UTC, MJD seconds.
    pub time: f64,
    /// Spectral window id.
    pub spw: usize,
    /// Field id.
    pub field: usize,
}

/// Stokes visibilities of one spectral window as they are in the data: its own channels, before
/// interpolation to image channels and before any phase shift.
#[derive(Clone, Debug)]
pub struct RawBlock {
    /// Spectral window id.
    pub spw: usize,
    /// Data channels held, indices in the spectral window.
    pub channels: std::ops::Range<usize>,
    /// Index in [`Rows`] of each row held, ascending.
    pub rows: Vec<u32>,
    /// Visibilities `[channel][row]`, Jy; 0 where the weight is 0.
    pub vis: Vec<Complex32>,
    /// Natural weights `[channel][row]`; 0 where flagged, non-finite or negative.
    pub weight: Vec<f32>,
}

/// One sample per row, all of which belong to one image channel.
///
/// An image channel usually has one layer. It has several where several data channels fall into it
/// (interpolation `nearest` with a width of more than one data channel).
#[derive(Clone, Debug)]
pub struct Layer {
    /// Image channel (index in the whole cube) that the samples go to.
    pub channel: usize,
    /// Observed (data-frame) frequency of the samples, Hz, one per slot; NaN where the slot has no
    /// sample in this layer (their weights are zero).
    pub freq_hz: Vec<f64>,
    /// Stokes visibilities, Jy, one per row, phase-shifted to the image's phase centre. Finite
    /// everywhere; 0 where the weight is 0.
    pub vis: Vec<Complex32>,
    /// Weights, one per row: natural as read, imaging weights once `weighting` has been applied.
    /// 0 for flagged or missing samples; never negative or non-finite.
    pub weight: Vec<f32>,
}

/// Visibilities of some image channels of one Stokes parameter.
#[derive(Clone, Debug)]
pub struct VisBlock {
    /// The rows that every layer's samples belong to.
    pub rows: Arc<Rows>,
    /// Image channels covered (indices in the whole cube); a channel without data has no layer, or
    /// a layer of zero weights.
    pub channels: std::ops::Range<usize>,
    /// Layers in ascending order of channel.
    pub layers: Vec<Layer>,
}

impl VisBlock {
    /// Layers of one image channel.
    pub fn layers_of(&self, channel: usize) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(move |l| l.channel == channel)
    }
}
