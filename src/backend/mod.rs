//! The trait that the CPU and the GPU implement, stage by stage under the same names, and the
//! operators composed of the stages, written once for both.
//!
//! A backend works on a *batch* of image channels. Planes and grids are stacks indexed by the
//! channel's position in the batch and live in the backend's memory from the first visibility to
//! the restored image. A *pass* is one grid → FFT → correct sequence: one term of the w-expansion of
//! one pointing ([`crate::gridding::OperatorPlan`] lists them).

mod clark;
pub mod cpu;
mod deconvolver;
pub mod gpu;
mod multiscale;
mod operators;
mod stage;
mod traffic;

#[cfg(test)]
mod clark_tests;
#[cfg(test)]
mod minor_tests;
#[cfg(test)]
mod multiscale_tests;

pub use clark::Patch;
pub use deconvolver::{Deconvolver, MinorControl, MinorResult, Scales};
pub use operators::{Batch, HostPlanes};
pub use stage::{Clock, Stage, StageTimes};
pub use traffic::{Cargo, Traffic};

use std::borrow::Cow;

use num_complex::Complex32;

use crate::{error::Result, gridding::OperatorPlan, mask::Mask, ms::VisBlock};

/// Real image planes in a backend's memory.
///
/// # Errors
/// Its methods, and those of the traits below, fail for an index beyond what there is, for values of another shape, and
/// where a device is lost, out of memory, or cannot do what is asked: [`Error::Parameter`](crate::Error::Parameter),
/// [`Error::Device`](crate::Error::Device), [`Error::Resources`](crate::Error::Resources).
pub trait PlaneStore: Send + Sync {
    /// A stack of planes of one shape.
    type Planes: Send + Sync;

    /// `n` planes of `ny × nx` zeros.
    fn zeros(&self, n: usize, ny: usize, nx: usize) -> Result<Self::Planes>;
    /// Writes plane `index` (`ny·nx` values, x fastest).
    fn put(&self, planes: &mut Self::Planes, index: usize, values: &[f32]) -> Result<()>;
    /// Reads plane `index`.
    fn get(&self, planes: &Self::Planes, index: usize) -> Result<Vec<f32>>;
    /// Reads plane `index`; where it is in the host's memory already, nothing is copied.
    fn view<'p>(&self, planes: &'p Self::Planes, index: usize) -> Result<Cow<'p, [f32]>> {
        self.get(planes, index).map(Cow::Owned)
    }
    /// Takes all planes, if they are in the host's memory; none are left.
    fn take_all(&self, _planes: &mut Self::Planes) -> Option<Vec<Vec<f32>>> {
        None
    }
    /// Sets planes `indices` (distinct) to zero.
    fn clear(&self, planes: &mut Self::Planes, indices: &[usize]) -> Result<()>;
    /// Copies planes `indices` (distinct) to the same places of another stack of planes of that shape.
    fn copy(&self, from: &Self::Planes, to: &mut Self::Planes, indices: &[usize]) -> Result<()>;

    /// Waits until everything asked for so far is done. Nothing that returns a value needs it.
    fn finish(&self) -> Result<()> {
        Ok(())
    }

    /// What the times of stages are here.
    fn clock(&self) -> Clock {
        Clock::Wall
    }

    /// Says which stage the work that this thread asks for from now on belongs to; `None`: to none.
    fn enter(&self, _stage: Option<Stage>) {}

    /// The times of work done since the last call, where the clock is [`Clock::Device`]; those of
    /// work still under way come with a later call. Does not wait.
    fn take_stage_times(&self) -> StageTimes {
        StageTimes::default()
    }
}

/// Between uv grids and images: `fft`, `correct`, `normalise`.
pub trait Transform: PlaneStore {
    /// A stack of half (Hermitian) uv grids, padded, pruned to the columns that hold data.
    type Grids: Send + Sync;

    /// Grids for `n` channels.
    fn grids(&self, plan: &OperatorPlan, n: usize) -> Result<Self::Grids>;
    /// Bytes of [`Transform::Grids`] per channel.
    fn grid_bytes(&self, plan: &OperatorPlan) -> usize;

    /// Stage `fft`, adjoint direction: uv grids 0..n to real padded images, in place.
    fn fft_adjoint(&self, plan: &OperatorPlan, grids: &mut Self::Grids, n: usize) -> Result<()>;
    /// Stage `fft`, forward direction: real padded images 0..n to uv grids, in place.
    fn fft_forward(&self, plan: &OperatorPlan, grids: &mut Self::Grids, n: usize) -> Result<()>;

    /// Stage `correct`, adjoint: `planes[channels[i]] += screen(pass) · correction · crop(grids[i])`.
    fn correct_adjoint(
        &self,
        plan: &OperatorPlan,
        pass: usize,
        grids: &Self::Grids,
        channels: &[usize],
        planes: &mut Self::Planes,
    ) -> Result<()>;
    /// Stage `correct`, forward: `grids[i] = pad(screen(pass) · correction · planes[channels[i]])`.
    fn correct_forward(
        &self,
        plan: &OperatorPlan,
        pass: usize,
        planes: &Self::Planes,
        channels: &[usize],
        grids: &mut Self::Grids,
    ) -> Result<()>;

    /// Stage `normalise`: `planes[channels[i]] *= factors[i]`.
    fn normalise(
        &self,
        planes: &mut Self::Planes,
        channels: &[usize],
        factors: &[f32],
    ) -> Result<()>;
}

/// What is gridded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The weights alone: the PSF.
    Weights,
    /// weight · data.
    Data,
    /// weight · (data − predicted).
    Residual,
}

/// Between visibilities and uv grids: `grid`, `degrid`.
pub trait Gridder: Transform {
    /// Visibilities, imaging weights and predicted visibilities of a batch.
    type Samples: Send + Sync;

    /// Takes a block to the backend's memory, in the order of the plan's bins.
    fn samples(&self, plan: &OperatorPlan, block: &VisBlock) -> Result<Self::Samples>;
    /// Bytes of [`Gridder::Samples`] per layer.
    fn sample_bytes(&self, plan: &OperatorPlan) -> usize;
    /// Sum of the imaging weights of each batch channel, of the samples that are gridded.
    fn sumwt(&self, samples: &Self::Samples) -> Vec<f64>;

    /// Stage `grid`: fills `grids[i]` from the samples of batch channel `channels[i]`.
    fn grid(
        &self,
        plan: &OperatorPlan,
        pass: usize,
        samples: &Self::Samples,
        source: Source,
        channels: &[usize],
        grids: &mut Self::Grids,
    ) -> Result<()>;

    /// Sets the predicted visibilities of the batch channels to zero.
    fn clear_predicted(&self, samples: &mut Self::Samples, channels: &[usize]) -> Result<()>;

    /// Stage `degrid`: adds this pass's part to the predicted visibilities of samples with weight.
    fn degrid(
        &self,
        plan: &OperatorPlan,
        pass: usize,
        grids: &Self::Grids,
        channels: &[usize],
        samples: &mut Self::Samples,
    ) -> Result<()>;

    /// Predicted visibilities of a batch channel, `[layer][row]` as in its block.
    fn predicted(&self, samples: &Self::Samples, channel: usize) -> Result<Vec<Vec<Complex32>>>;
}

/// The pixel of largest |value|.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Plane index `y·nx + x`; the smallest of equals.
    pub pixel: usize,
    /// Signed value there.
    pub value: f32,
}

/// Point components to take off a channel's residual.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    /// Position in the batch.
    pub channel: usize,
    /// Where the residual is to be exact afterwards.
    pub mask: &'a Mask,
    /// (plane index, Jy/pixel), taken off in this order.
    pub components: &'a [(u32, f32)],
}

/// The minor cycle: `peak`, `above`, `subtract`, and the loops made of them.
pub trait Minor: PlaneStore {
    /// Stage `peak`: for each (batch channel, mask) the peak within the mask, `None` if it is empty.
    fn peak(&self, planes: &Self::Planes, channels: &[(usize, &Mask)])
    -> Result<Vec<Option<Peak>>>;

    /// Hogbom's loop: component = gain × the residual's peak in the mask; the PSF (peak 1 at pixel
    /// (nx/2, ny/2), of the residual's shape) shifted there times the component is subtracted.
    /// Components are added to `model`. Equal to the full-plane loop, component by component; on
    /// return `residual` is exact at least within the mask, where [`MinorControl::keep_residual`] asks for it, and undefined
    /// there where not.
    fn hogbom(
        &self,
        residual: &mut Self::Planes,
        psf: &Self::Planes,
        model: &mut Self::Planes,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>>;

    /// As [`Minor::hogbom`], with a PSF that is zero outside `patch`.
    fn hogbom_in_patch(
        &self,
        patch: Patch,
        residual: &mut Self::Planes,
        psf: &Self::Planes,
        model: &mut Self::Planes,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>>;

    /// For each (batch channel, mask, level) the mask's pixels whose |value| exceeds the level; NaN
    /// exceeds nothing.
    fn above(&self, planes: &Self::Planes, channels: &[(usize, &Mask, f32)]) -> Result<Vec<Mask>>;

    /// Stage `subtract` alone: of each channel (distinct) takes components off the residual, one after
    /// another, product and difference rounded, with the whole PSF; exact at least within the mask.
    fn subtract(
        &self,
        residual: &mut Self::Planes,
        psf: &Self::Planes,
        points: &[Points<'_>],
    ) -> Result<()>;

    /// Clark's loop (1980, A&A 89, 377): rounds of Hogbom's loop on the brightest pixels with the PSF's
    /// central patch alone, after each of which the round's components are taken off with the whole
    /// PSF. Arguments and results as for [`Minor::hogbom`]. Equal on all backends, component by
    /// component, as it is composed of their stages.
    fn clark(
        &self,
        residual: &mut Self::Planes,
        psf: &Self::Planes,
        model: &mut Self::Planes,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>>
    where
        Self: Sized,
    {
        clark::clark(self, Patch::default(), residual, psf, model, controls)
    }

    /// The multiscale loop: components of several widths, see [`Scales`]. The cycle ends when the flux
    /// that the next component would explain is not above the threshold, or if it diverges. On return
    /// `residual` is exact at least within the mask.
    fn multiscale(
        &self,
        scales: &Scales,
        residual: &mut Self::Planes,
        psf: &Self::Planes,
        model: &mut Self::Planes,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>>;
}

/// Where a backend keeps what it works on, and how much of it a job may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// With everything else in the host's memory.
    Host,
    /// In memory of its own, or (`shared`) in a part of the host's that must be counted twice.
    Device {
        /// Bytes that a job may take at most; `None`: as much as the host has left (`shared`).
        bytes: Option<u64>,
        /// Whether it is the host's memory all the same: software and integrated devices.
        shared: bool,
    },
}

/// A whole backend.
pub trait Backend: Gridder + Minor {
    /// Name for reports: "cpu, 8 threads", "gpu, NVIDIA H100".
    fn name(&self) -> String;

    /// Fails if the backend cannot carry out a plan, whatever its memory; so that it is known before
    /// anything starts.
    fn check(&self, plan: &OperatorPlan) -> Result<()>;

    /// Where planes, grids and samples live.
    fn memory(&self) -> Memory;

    /// Bytes that a batch of `channels`, with `layers` samples a row each, takes on a device beside
    /// planes, grids and samples. Nothing where [`Backend::memory`] is the host's.
    fn overhead(&self, plan: &OperatorPlan, channels: usize, layers: usize) -> usize;

    /// Fails if the backend cannot run the minor cycle on the plan's images, whatever its memory.
    fn check_minor(&self, _plan: &OperatorPlan, _deconvolver: &Deconvolver) -> Result<()> {
        Ok(())
    }

    /// Bytes that the minor cycle of `channels` takes on a device beside what [`Backend::overhead`]
    /// counts. Nothing where [`Backend::memory`] is the host's; see [`Deconvolver::host_bytes`].
    fn minor_bytes(
        &self,
        _plan: &OperatorPlan,
        _deconvolver: &Deconvolver,
        _channels: usize,
    ) -> usize {
        0
    }

    /// Most bytes of [`Memory::Device`] in use at any time so far; `None` where it is the host's.
    fn peak_memory(&self) -> Option<u64>;

    /// Bytes that crossed between host and device so far; `None` where there is nothing to cross.
    fn traffic(&self) -> Option<Traffic>;
}
