//! The operators of a batch of channels, composed of a backend's stages: PSF, residual, prediction.
//!
//! With A the measurement equation and W the imaging weights: `psf = A*W1/Σw`,
//! `residual = A*W(d − A·model)/Σw`. Normalisation stands outside the adjoint.

use std::{
    borrow::Cow,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    Clock, Deconvolver, Gridder, Minor, MinorControl, MinorResult, Peak, PlaneStore, Source, Stage,
    StageTimes,
};
use crate::{error::Result, gridding::OperatorPlan, mask::Mask, ms::VisBlock};

/// Times the stages of a batch.
struct Timer<'a, B> {
    backend: &'a B,
    times: Mutex<StageTimes>,
    /// Whether to wait for each stage.
    in_turn: bool,
}

impl<B: PlaneStore> Timer<'_, B> {
    /// Runs a stage and adds its time, or that of earlier ones which has come in meanwhile.
    fn time<T>(&self, stage: Stage, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        // Bringing visibilities to the backend is the host's work first: its time is the call's.
        let on_device = stage != Stage::Samples && self.backend.clock() == Clock::Device;
        self.backend.enter(on_device.then_some(stage));
        let mut result = run();
        self.backend.enter(None);
        if self.in_turn && result.is_ok() {
            result = self.backend.finish().and(result);
        }
        let mut times = self.lock();
        if on_device {
            times.add(&self.backend.take_stage_times());
        } else {
            times.add_to(stage, start.elapsed());
        }
        result
    }

    /// All times so far.
    fn lock(&self) -> MutexGuard<'_, StageTimes> {
        // Sums stay sums when another thread panicked while adding.
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch of image channels in a backend's memory, from its visibilities to its residual.
///
/// Channels are named by their position in the batch.
pub struct Batch<'a, B: Gridder> {
    backend: &'a B,
    plan: &'a OperatorPlan,
    samples: B::Samples,
    grids: B::Grids,
    /// Channels that there are grids for; more are worked on in turns.
    grid_count: usize,
    sumwt: Vec<f64>,
    has_model: Vec<bool>,
    /// Flux of the models that were set, Jy.
    model_flux: Vec<f64>,
    /// Channels whose PSF, and whose residual, has been other than zero.
    used: [Vec<bool>; 2],
    /// Point spread functions, peak 1.
    pub psf: B::Planes,
    /// Residual images, Jy/beam.
    pub residual: B::Planes,
    /// Model images, Jy/pixel.
    model: B::Planes,
    timer: Timer<'a, B>,
}

/// The planes of a batch, channel by channel, each `ny·nx` values.
pub struct HostPlanes {
    /// Point spread functions, peak 1.
    pub psf: Vec<Vec<f32>>,
    /// Residual images, Jy/beam.
    pub residual: Vec<Vec<f32>>,
    /// Model images, Jy/pixel.
    pub model: Vec<Vec<f32>>,
}

impl<'a, B: Gridder> Batch<'a, B> {
    /// Takes a block (weights: imaging weights) to the backend. At most `grid_count` channels are
    /// transformed at a time; images do not depend on it.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for a block of other rows or frequencies than the plan's;
    /// [`Error::Device`](crate::Error::Device) and [`Error::Resources`](crate::Error::Resources) for what a device
    /// cannot do or hold.
    pub fn new(
        backend: &'a B,
        plan: &'a OperatorPlan,
        block: &VisBlock,
        grid_count: usize,
    ) -> Result<Self> {
        let n = block.channels.len();
        let grid_count = grid_count.clamp(1, n.max(1));
        let planes = || backend.zeros(n, plan.image.ny, plan.image.nx);
        let timer = Timer { backend, times: Mutex::default(), in_turn: false };
        let samples = timer.time(Stage::Samples, || backend.samples(plan, block))?;
        Ok(Self {
            backend,
            plan,
            sumwt: backend.sumwt(&samples),
            samples,
            grids: backend.grids(plan, grid_count)?,
            grid_count,
            has_model: vec![false; n],
            model_flux: vec![0.0; n],
            used: [vec![false; n], vec![false; n]],
            psf: planes()?,
            residual: planes()?,
            model: planes()?,
            timer,
        })
    }

    /// Bytes of a batch's memory: `channels` with `layers` samples a row each, `grid_count` grids.
    pub fn bytes(
        backend: &B,
        plan: &OperatorPlan,
        channels: usize,
        layers: usize,
        grid_count: usize,
    ) -> usize {
        let planes = 3 * 4 * plan.image.npix();
        channels * (planes + layers * backend.sample_bytes(plan))
            + grid_count.min(channels) * backend.grid_bytes(plan)
    }

    /// Time spent in the stages so far; from a device with a clock of its own, of the work that is
    /// known to be done, other batches' on the same device included if they run at the same time.
    pub fn times(&self) -> StageTimes {
        let mut times = self.timer.lock();
        times.add(&self.timer.backend.take_stage_times());
        *times
    }

    /// Starts the times anew.
    pub fn reset_times(&mut self) {
        self.timer.backend.take_stage_times();
        *self.timer.lock() = StageTimes::default();
    }

    /// Waits for each stage before the next, so that wall times are true on a backend whose clock is
    /// [`Clock::Recording`]; it makes the whole slower.
    pub fn run_in_turn(&mut self, in_turn: bool) {
        self.timer.in_turn = in_turn;
    }

    /// Number of channels.
    pub fn len(&self) -> usize {
        self.sumwt.len()
    }

    /// Whether the batch has no channel.
    pub fn is_empty(&self) -> bool {
        self.sumwt.is_empty()
    }

    /// Sum of imaging weights of each channel; 0 for a channel without data, whose planes are zero.
    pub fn sumwt(&self) -> &[f64] {
        &self.sumwt
    }

    /// Model images, Jy/pixel.
    pub fn model(&self) -> &B::Planes {
        &self.model
    }

    /// Sets the model of one channel, `ny·nx` values in Jy/pixel.
    ///
    /// # Errors
    /// A channel beyond the batch, values that are not a plane, a device that is lost.
    pub fn set_model(&mut self, channel: usize, values: &[f32]) -> Result<()> {
        self.backend.put(&mut self.model, channel, values)?;
        self.has_model[channel] = values.iter().any(|&v| v != 0.0);
        self.model_flux[channel] = values.iter().copied().map(f64::from).sum();
        Ok(())
    }

    /// Whether a channel's model may be other than zero.
    pub fn has_model(&self, channel: usize) -> bool {
        self.has_model[channel]
    }

    /// Flux of the model that a channel was last set to, Jy: what a clean begins with.
    pub fn model_flux(&self, channel: usize) -> f64 {
        self.model_flux[channel]
    }

    /// Sets the PSF of one channel, `ny·nx` values, in place of making it.
    ///
    /// # Errors
    /// A channel beyond the batch, values that are not a plane, a device that is lost.
    pub fn set_psf(&mut self, channel: usize, values: &[f32]) -> Result<()> {
        self.used[0][channel] = true;
        self.backend.put(&mut self.psf, channel, values)
    }

    /// Sets the residual of one channel, `ny·nx` values in Jy/beam, in place of making it.
    ///
    /// # Errors
    /// A channel beyond the batch, values that are not a plane, a device that is lost.
    pub fn set_residual(&mut self, channel: usize, values: &[f32]) -> Result<()> {
        self.used[1][channel] = true;
        self.backend.put(&mut self.residual, channel, values)
    }

    /// Makes the PSFs of all channels, peak 1; zeros where there are no data.
    ///
    /// # Errors
    /// A channel beyond the batch, a device that is lost or out of memory.
    pub fn make_psf(&mut self) -> Result<()> {
        let all: Vec<usize> = (0..self.len()).collect();
        for channels in all.chunks(self.grid_count) {
            clear_used(self.backend, &mut self.psf, channels, &mut self.used[0])?;
            adjoint(
                (self.backend, self.plan),
                (&self.samples, Source::Weights, channels),
                (&mut self.grids, &mut self.psf),
                &self.timer,
            )?;
            normalise((self.backend, &self.sumwt), channels, &mut self.psf, &self.timer)?;
        }
        Ok(())
    }

    /// Makes the residuals of `channels`, Jy/beam: predicts from the model where there is one, and images
    /// data − prediction. Without a model this is the dirty image.
    ///
    /// # Errors
    /// A channel beyond the batch, a device that is lost or out of memory.
    pub fn make_residual(&mut self, channels: &[usize]) -> Result<()> {
        self.predict(channels)?;
        for channels in channels.chunks(self.grid_count) {
            clear_used(self.backend, &mut self.residual, channels, &mut self.used[1])?;
            adjoint(
                (self.backend, self.plan),
                (&self.samples, Source::Residual, channels),
                (&mut self.grids, &mut self.residual),
                &self.timer,
            )?;
            normalise((self.backend, &self.sumwt), channels, &mut self.residual, &self.timer)?;
        }
        Ok(())
    }

    /// Predicts the visibilities of `channels` from their models: `A·model`.
    ///
    /// # Errors
    /// A channel beyond the batch, a device that is lost or out of memory.
    pub fn predict(&mut self, channels: &[usize]) -> Result<()> {
        let Self { backend, plan, samples, grids, model, timer, .. } = self;
        backend.clear_predicted(samples, channels)?;
        let with_model: Vec<usize> =
            channels.iter().copied().filter(|&c| self.has_model[c]).collect();
        for channels in with_model.chunks(self.grid_count) {
            for pass in 0..plan.passes.len() {
                timer.time(Stage::Correct, || {
                    backend.correct_forward(plan, pass, model, channels, grids)
                })?;
                timer.time(Stage::Fft, || backend.fft_forward(plan, grids, channels.len()))?;
                timer
                    .time(Stage::Degrid, || backend.degrid(plan, pass, grids, channels, samples))?;
            }
        }
        Ok(())
    }

    /// Predicted visibilities of a channel, Jy, `[layer][row]` as in its block.
    ///
    /// # Errors
    /// A channel beyond the batch, a device that is lost.
    pub fn predicted(&self, channel: usize) -> Result<Vec<Vec<num_complex::Complex32>>> {
        self.backend.predicted(&self.samples, channel)
    }
}

impl<B: Gridder> Batch<'_, B> {
    /// A channel's PSF, brought to the host: `ny·nx` values, x fastest, peak 1.
    ///
    /// # Errors
    /// A channel beyond the batch, a device that is lost.
    pub fn psf_plane(&self, channel: usize) -> Result<Vec<f32>> {
        self.backend.get(&self.psf, channel)
    }

    /// The same to look at; where it is in the host's memory already, nothing is copied.
    ///
    /// # Errors
    /// A channel beyond the batch, a device that is lost.
    pub fn psf_view(&self, channel: usize) -> Result<Cow<'_, [f32]>> {
        self.backend.view(&self.psf, channel)
    }

    /// All planes at once, if they are in the host's memory: they are gone from the batch.
    pub fn take_planes(&mut self) -> Option<HostPlanes> {
        Some(HostPlanes {
            psf: self.backend.take_all(&mut self.psf)?,
            residual: self.backend.take_all(&mut self.residual)?,
            model: self.backend.take_all(&mut self.model)?,
        })
    }

    /// A channel's residual, brought to the host: `ny·nx` values in Jy/beam, x fastest.
    ///
    /// # Errors
    /// A channel beyond the batch, a device that is lost.
    pub fn residual_plane(&self, channel: usize) -> Result<Vec<f32>> {
        self.backend.get(&self.residual, channel)
    }

    /// The same to look at, as [`Self::psf_view`].
    ///
    /// # Errors
    /// A channel beyond the batch, a device that is lost.
    pub fn residual_view(&self, channel: usize) -> Result<Cow<'_, [f32]>> {
        self.backend.view(&self.residual, channel)
    }

    /// A channel's model, brought to the host: `ny·nx` values in Jy/pixel, x fastest.
    ///
    /// # Errors
    /// A channel beyond the batch, a device that is lost.
    pub fn model_plane(&self, channel: usize) -> Result<Vec<f32>> {
        self.backend.get(&self.model, channel)
    }
}

impl<B: Gridder + Minor> Batch<'_, B> {
    /// The peak of each channel's residual within its mask, Jy/beam; `None` for an empty mask.
    ///
    /// # Errors
    /// A channel beyond the batch, a device that is lost.
    pub fn peak(&self, channels: &[(usize, &Mask)]) -> Result<Vec<Option<Peak>>> {
        self.timer.time(Stage::Minor, || self.backend.peak(&self.residual, channels))
    }

    /// Runs the minor cycle of the channels in `controls`; their models gain the components.
    ///
    /// # Errors
    /// A channel beyond the batch, a device that is lost or out of memory.
    pub fn minor_cycle(
        &mut self,
        deconvolver: &Deconvolver,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>> {
        let Self { backend, residual, psf, model, timer, .. } = self;
        let results = timer.time(Stage::Minor, || match deconvolver {
            Deconvolver::Hogbom => backend.hogbom(residual, psf, model, controls),
            Deconvolver::Clark => backend.clark(residual, psf, model, controls),
            Deconvolver::Multiscale(scales) => {
                backend.multiscale(scales, residual, psf, model, controls)
            }
        })?;
        for (control, result) in controls.iter().zip(&results) {
            self.has_model[control.channel] |= !result.components.is_empty();
        }
        Ok(results)
    }
}

/// Sets those of the planes to zero that are not, and notes that they are going to be used.
fn clear_used<B: PlaneStore>(
    backend: &B,
    planes: &mut B::Planes,
    channels: &[usize],
    used: &mut [bool],
) -> Result<()> {
    let to_clear: Vec<usize> = channels.iter().copied().filter(|&c| used[c]).collect();
    channels.iter().for_each(|&c| used[c] = true);
    match to_clear.is_empty() {
        true => Ok(()),
        false => backend.clear(planes, &to_clear),
    }
}

/// `planes[channels] += A*W(source)`, not normalised.
fn adjoint<B: Gridder>(
    (backend, plan): (&B, &OperatorPlan),
    (samples, source, channels): (&B::Samples, Source, &[usize]),
    (grids, planes): (&mut B::Grids, &mut B::Planes),
    timer: &Timer<'_, B>,
) -> Result<()> {
    for pass in 0..plan.passes.len() {
        timer.time(Stage::Grid, || backend.grid(plan, pass, samples, source, channels, grids))?;
        timer.time(Stage::Fft, || backend.fft_adjoint(plan, grids, channels.len()))?;
        timer.time(Stage::Correct, || {
            backend.correct_adjoint(plan, pass, grids, channels, planes)
        })?;
    }
    Ok(())
}

/// Divides by the sum of weights; channels without data stay zero.
fn normalise<B: Gridder>(
    (backend, sumwt): (&B, &[f64]),
    channels: &[usize],
    planes: &mut B::Planes,
    timer: &Timer<'_, B>,
) -> Result<()> {
    let factor = |&c: &usize| if sumwt[c] > 0.0 { (1.0 / sumwt[c]) as f32 } else { 0.0 };
    let factors: Vec<f32> = channels.iter().map(factor).collect();
    timer.time(Stage::Normalise, || backend.normalise(planes, channels, &factors))
}
