//! A batch whose cleaning ends where a signal asks for it: between minor and major cycles, which may take
//! long, and not only between batches.

use std::borrow::Cow;

use crate::{
    backend::{Deconvolver, MinorControl, MinorResult, Peak},
    clean::Cycles,
    config::Config,
    error::{Error, Result},
    mask::Mask,
    report::Progress,
};

/// Ends a run between pieces of work when a signal asked for it.
pub(super) fn check_stop(config: &Config, progress: &dyn Progress) -> Result<()> {
    let Some(signal) = progress.stop_requested() else { return Ok(()) };
    let remedy = format!(
        "run it again with --resume to go on: what is finished is kept ({}.*.incomplete and {})",
        config.imagename.display(),
        super::journal::directory_of(&config.imagename).display()
    );
    Err(Error::Stopped { signal, remedy })
}

/// A batch, and what says whether to go on.
pub(super) struct Stoppable<'a, C> {
    pub batch: &'a mut C,
    /// An error where the run is to stop.
    pub check: &'a (dyn Fn() -> Result<()> + Sync),
}

impl<C: Cycles> Cycles for Stoppable<'_, C> {
    fn sumwt(&self) -> &[f64] {
        self.batch.sumwt()
    }

    fn model_flux(&self, channel: usize) -> f64 {
        self.batch.model_flux(channel)
    }

    fn residual_view(&self, channel: usize) -> Result<Cow<'_, [f32]>> {
        self.batch.residual_view(channel)
    }

    fn peak(&self, channels: &[(usize, &Mask)]) -> Result<Vec<Option<Peak>>> {
        self.batch.peak(channels)
    }

    fn minor_cycle(
        &mut self,
        deconvolver: &Deconvolver,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>> {
        (self.check)()?;
        self.batch.minor_cycle(deconvolver, controls)
    }

    fn make_residual(&mut self, channels: &[usize]) -> Result<()> {
        (self.check)()?;
        self.batch.make_residual(channels)
    }

    fn starting_model(&self, channel: usize) -> Result<Option<Vec<f32>>> {
        self.batch.starting_model(channel)
    }

    fn set_model(&mut self, channel: usize, values: &[f32]) -> Result<()> {
        self.batch.set_model(channel, values)
    }
}
