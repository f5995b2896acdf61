//! What cleaning did to a channel, round by round: tclean's `summaryminor`.

use super::{MinorStop, PsfFit, Rollback, StopCode};
use crate::{
    beam::{Beam, NoBeam},
    geometry::ImageGrid,
    mask::Mask,
};

/// One minor cycle of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MinorRecord {
    /// Components before it: of the channel, or with [`Scope::Cube`](super::Scope::Cube) of all
    /// channels, those before it in the same cycle included.
    pub start_iter_done: usize,
    /// Components under the same control before the cycle began.
    pub cycle_start_iter: usize,
    /// Components of the cycle.
    pub iter_done: usize,
    /// Largest |residual| in the mask before, Jy/beam.
    pub start_peak_res: f32,
    /// The same after the minor cycle, before the major one.
    pub peak_res: f32,
    /// Largest |residual| anywhere before, Jy/beam.
    pub start_peak_res_nm: f32,
    /// The same after the major cycle that followed: a minor cycle looks at nothing outside the mask.
    pub peak_res_nm: f32,
    /// Flux of the model before, Jy.
    pub start_model_flux: f64,
    /// The same after.
    pub model_flux: f64,
    /// Cycle threshold, Jy/beam.
    pub cycle_thresh: f32,
    /// Pixels of the mask.
    pub masksum: usize,
    /// Why it ended; `None` in the record of a channel that was not cleaned.
    pub stop: Option<MinorStop>,
}

/// What cleaning did to a channel.
#[derive(Clone, Debug)]
pub struct ChannelClean {
    /// Index in the cube.
    pub channel: usize,
    /// The PSF's beam, or why there is none.
    pub beam: Result<Beam, NoBeam>,
    /// Sidelobe level of the PSF; 1 where there is no beam.
    pub sidelobe_level: f64,
    /// Minor cycles in order. A channel that ended before its first has one record without iterations.
    pub minor: Vec<MinorRecord>,
    /// Why cleaning ended.
    pub stop: StopCode,
    /// Major cycles after the first residual.
    pub majors: usize,
    /// Components in all.
    pub iterations: usize,
    /// The mask that the last minor cycle placed components in, as tclean keeps it; without one, the
    /// mask that cleaning would have begun with.
    pub mask: Mask,
    /// What was given up because the peak had grown; the records are those of what was kept.
    pub rollback: Option<Rollback>,
    model_flux: f64,
    open: bool,
}

/// How far a [`ChannelClean`] has come, to come back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    records: usize,
    iterations: usize,
    model_flux: f64,
}

impl ChannelClean {
    /// `model_flux`: of the model that it starts with, Jy.
    pub(super) fn new(channel: usize, psf: &PsfFit, grid: &ImageGrid, model_flux: f64) -> Self {
        Self {
            channel,
            beam: psf.beam,
            sidelobe_level: psf.sidelobe_level,
            minor: Vec::new(),
            stop: StopCode::NoIterations,
            majors: 0,
            iterations: 0,
            mask: Mask::new(grid.nx, grid.ny, false),
            rollback: None,
            model_flux,
            open: true,
        }
    }

    /// Whether the channel may still be cleaned.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn record(
        &mut self,
        components: &[(u32, f32)],
        mask: &Mask,
        mut record: MinorRecord,
    ) {
        self.mask.clone_from(mask);
        record.start_model_flux = self.model_flux;
        self.model_flux += components.iter().map(|&(_, flux)| f64::from(flux)).sum::<f64>();
        record.model_flux = self.model_flux;
        self.iterations += record.iter_done;
        self.minor.push(record);
    }

    /// Completes the last record with a statistic of the residual after its major cycle.
    pub(super) fn note_peak_anywhere(&mut self, peak: f32) {
        if let Some(last) = self.minor.last_mut() {
            last.peak_res_nm = peak;
        }
    }

    pub(super) fn mark(&self) -> Mark {
        let Self { iterations, model_flux, .. } = *self;
        Mark { records: self.minor.len(), iterations, model_flux }
    }

    /// Goes back to a mark, where the last mask that was cleaned in was `mask`, and says how many
    /// components are given up.
    pub(super) fn rewind(&mut self, mark: &Mark, mask: &Mask) -> usize {
        let given_up = self.iterations - mark.iterations;
        self.minor.truncate(mark.records);
        self.iterations = mark.iterations;
        self.model_flux = mark.model_flux;
        self.mask.clone_from(mask);
        given_up
    }

    pub(super) fn end(&mut self, stop: StopCode, mask: &Mask, majors: usize, level: MinorRecord) {
        self.open = false;
        self.stop = stop;
        self.majors = majors;
        if let Some(rollback) = &mut self.rollback {
            rollback.peak = level.peak_res;
        }
        if self.minor.is_empty() {
            self.mask.clone_from(mask);
            let model_flux = self.model_flux;
            self.minor.push(MinorRecord { start_model_flux: model_flux, model_flux, ..level });
        }
    }
}
