//! tclean's parameters: from text to validated types. No wgpu, no files, no clap.
//!
//! [`PARAMETERS`] lists names, defaults and help; [`Parameters`] holds what a user gave, as text;
//! [`Config`] is what the program runs on. What can only be judged with the data (does the field exist?) is
//! left to the rooms that read it.

mod parameters;
mod preset;
mod table;
#[cfg(test)]
mod tests;
mod validate;

use std::path::{Path, PathBuf};

pub use parameters::Parameters;
pub use table::{Group, PARAMETERS, Parameter, Support};

pub use crate::{
    ms::DataColumn,
    spectral::{AxisValue, VelocityType},
    weighting::{Taper, WeightingScheme},
};

use crate::{
    backend::Deconvolver,
    beam::Beam,
    cube::{Format, Product, Subcubes},
    error::{Error, Result},
    geometry::Direction,
    gridding::OperatorOptions,
    mask::auto::AutoMultithresh,
    ms::Stokes,
    spectral::{FreqFrame, Interpolation},
};

/// A validated imaging job. Fields have the names of tclean's parameters, and SI units.
#[derive(Clone, Debug)]
pub struct Config {
    /// The MeasurementSet.
    pub vis: PathBuf,
    /// Selection of fields, in CASA's syntax; empty: all.
    pub field: String,
    /// Selection of spectral windows and channels, in CASA's syntax; empty: all.
    pub spw: String,
    /// Column to image.
    pub datacolumn: DataColumn,

    /// Prefix of the products' names.
    pub imagename: PathBuf,
    /// File formats to write, without repetitions.
    pub formats: Vec<Format>,
    /// Whether, and how, products are written as subcubes and made one; `None`: straight in their places.
    pub subcubes: Option<Subcubes>,
    /// Products to write, without repetitions.
    pub products: Vec<Product>,
    /// Replace existing products.
    pub overwrite: bool,
    /// Go on with an interrupted run.
    pub resume: bool,
    /// Channels of the cube that this process images; `None`: all.
    pub channel_range: Option<std::ops::Range<usize>>,
    /// What is taken over from earlier products of that name.
    pub restart: Restart,
    /// Where to write the summary.
    pub summary: Option<PathBuf>,
    /// Directory of the performance report.
    pub report: Option<PathBuf>,

    /// Pixels along x and y.
    pub imsize: [usize; 2],
    /// Pixel size along x and y, rad, positive.
    pub cell: [f64; 2],
    /// Centre of the image.
    pub phasecenter: PhaseCenter,
    /// The plane to image.
    pub stokes: Stokes,

    /// Channels of the cube; `None`: all that the selection covers.
    pub nchan: Option<usize>,
    /// First channel.
    pub start: AxisValue,
    /// Channel width.
    pub width: AxisValue,
    /// Frame of the spectral axis.
    pub outframe: FreqFrame,
    /// Definition of velocity.
    pub veltype: VelocityType,
    /// Rest frequency, Hz; `None`: the data's.
    pub restfreq: Option<f64>,
    /// From data channels to image channels.
    pub interpolation: Interpolation,

    /// Weighting scheme.
    pub weighting: WeightingScheme,
    /// Density channel by channel, or over all channels.
    pub perchanweightdensity: bool,
    /// Gaussian taper.
    pub uvtaper: Option<Taper>,

    /// Accuracy of the operator, and its w-term.
    pub operator: OperatorOptions,
    /// Level of the primary beam below which images are blank; negative: nowhere.
    pub pblimit: f64,

    /// The algorithm of the minor cycle.
    pub deconvolver: Deconvolver,
    /// Largest number of components; 0: no cleaning.
    pub niter: usize,
    /// Loop gain.
    pub gain: f64,
    /// Stop level, Jy/beam.
    pub threshold: f64,
    /// Stop level in units of the noise; 0: off.
    pub nsigma: f64,
    /// Largest number of components in a minor cycle; `None`: niter alone limits it.
    pub cycleniter: Option<usize>,
    /// Factor of the sidelobe level in a minor cycle's threshold.
    pub cyclefactor: f64,
    /// Lower limit of the fraction of the peak a minor cycle stops at.
    pub minpsffraction: f64,
    /// Upper limit of it.
    pub maxpsffraction: f64,
    /// Largest number of major cycles; `None`: no limit.
    pub nmajor: Option<usize>,
    /// Control of each channel alone, or of the cube.
    pub cyclecontrol: CycleControl,
    /// Attempts from the best model where the peak grows; `None`: stop with the grown model.
    pub divergence_retries: Option<usize>,

    /// Where components may be placed.
    pub mask: MaskChoice,

    /// Make the restored image.
    pub restoration: bool,
    /// Beam of the restored image.
    pub restoringbeam: RestoringBeam,
    /// What becomes of channels whose beams are far larger than the others'.
    pub common_beam_outliers: CommonBeamOutliers,
    /// Level of the PSF above which its main lobe is fitted.
    pub psfcutoff: f64,

    /// Which processor computes.
    pub backend: BackendChoice,
    /// Devices of the GPU backend, each by a part of its name or its index, or the one word `all`;
    /// empty: the first hardware GPU.
    pub devices: Vec<String>,
    /// Memory to stay within on each device, bytes; `None`: a share of what it has.
    pub device_memory: Option<u64>,
    /// CPU threads; `None`: one per core.
    pub threads: Option<usize>,
    /// Host memory to stay within, bytes; `None`: what is free.
    pub memory_limit: Option<u64>,

    /// Parameters that were given but change nothing here, with the reason: to be reported.
    pub no_effect: Vec<(&'static str, &'static str)>,
    /// What was given, as the equivalent command.
    pub command: String,
    /// The command that makes the cube from nothing and in one process: for the history of the products.
    pub cube_command: String,
    /// The same, by parameter.
    pub given: Vec<(&'static str, String)>,
}

/// What a run takes over from an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Continue from existing products, if there are any, and replace them at the end.
    pub continues: bool,
    /// Make the PSF; otherwise it is the earlier one.
    pub calcpsf: bool,
    /// Make the first residual; otherwise it is the earlier one.
    pub calcres: bool,
    /// The image that cleaning starts from, Jy/pixel.
    pub startmodel: Option<PathBuf>,
}

impl Config {
    /// Whether products of that name may be replaced.
    pub fn replaces(&self) -> bool {
        self.overwrite || self.restart.continues
    }

    /// Refuses to replace a file that a run is to write beside its products, before hours of work and not after;
    /// `other` is what to give in its place. A run that was killed at its very end has written it already.
    pub(crate) fn check_free(&self, path: &Path, other: &str) -> Result<()> {
        if path.exists() && !self.replaces() && !self.resume {
            let remedy = format!("give another {other}, or --overwrite");
            return Err(Error::Exists { path: path.to_owned(), remedy });
        }
        Ok(())
    }
}

/// Where the image's centre is taken from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PhaseCenter {
    /// The first selected field's.
    FirstField,
    /// This field's.
    Field(usize),
    /// Given.
    Direction(Direction),
}

/// Scope of iteration control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CycleControl {
    /// Each channel has its own niter, threshold and cycles.
    Channel,
    /// One control for all channels, as tclean has it.
    Cube,
}

/// Where components may be placed.
#[derive(Clone, Debug, PartialEq)]
pub enum MaskChoice {
    /// Anywhere.
    Everywhere,
    /// A region in CRTF, or the path of a region file, CASA image or FITS file.
    User(String),
    /// Where the primary beam is at least this.
    PrimaryBeam(f64),
    /// Made from the residual in every round.
    Auto(AutoMask),
}

/// usemask='auto-multithresh'.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoMask {
    /// The algorithm's parameters.
    pub parameters: AutoMultithresh,
    /// Level that the primary beam must exceed; 0: pblimit.
    pub pbmask: f64,
    /// Report each update.
    pub verbose: bool,
}

/// Beam of the restored image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RestoringBeam {
    /// Each channel's own.
    PerChannel,
    /// The smallest that all channels' beams can be convolved to.
    Common,
    /// Given.
    Explicit(Beam),
}

/// What becomes of channels whose beams are far larger than the others' when there is a common beam.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommonBeamOutliers {
    /// It does not enclose theirs; their restored images are blank.
    Exclude,
    /// It encloses them, as tclean's.
    Include,
}

/// Which processor computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendChoice {
    /// A hardware GPU if there is one that can do the job, else the CPU.
    Auto,
    /// rayon.
    Cpu,
    /// wgpu.
    Gpu,
}
