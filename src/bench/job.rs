//! How large a job is, and the job itself.

use std::{f64::consts::PI, sync::Arc};

use super::{array, sky::Sky};
use crate::{
    backend::{Backend, Batch},
    error::{Error, Result},
    geometry::{Direction, DirectionFrame, ImageGrid},
    gridding::{OperatorOptions, OperatorPlan, Pointing, WTermMode},
    mask::Mask,
    ms::{Layer, Rows, VisBlock},
    run::{free_memory, readable},
};

/// Frequency of the first channel.
pub const FREQ_HZ: f64 = 268.5e9;

/// Width of a channel.
pub const WIDTH_HZ: f64 = 0.244e6;

/// Edge of the field: 8000 pixels of 0.0046″. Smaller images see the same field with larger pixels
/// and a smaller array, so that the w-term's phases are of the same size.
pub const FIELD_RAD: f64 = 8000.0 * 0.0046 / 206_264.806_247;

/// Channels whose planes are kept to compare backends by, where all of them would take too much.
const KEPT_BYTES: usize = 256 << 20;

/// The size of a job.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Job {
    /// Pixels along each edge of the image.
    pub pixels: usize,
    /// Image channels, all of them in one batch.
    pub channels: usize,
    /// Rows: visibilities of each channel.
    pub rows: usize,
    /// Part of the image that is in the clean mask, a disc in the middle.
    pub mask_fraction: f64,
    /// Hogbom iterations of each channel.
    pub iterations: usize,
    /// Gridding accuracy, see [`OperatorOptions::accuracy`].
    pub accuracy: f64,
    /// Treatment of the w-term.
    pub wterm: WTermMode,
    /// Channels that are gridded and transformed at a time.
    pub grids: usize,
}

impl Default for Job {
    /// One that takes two cores a few seconds.
    fn default() -> Self {
        Self {
            pixels: 1024,
            channels: 4,
            rows: 78_000,
            mask_fraction: 0.1,
            iterations: 200,
            accuracy: 1e-5,
            wterm: WTermMode::Exact,
            grids: 16,
        }
    }
}

impl Job {
    /// Refuses what is no job. (The plan refuses accuracies.)
    pub fn check(&self) -> Result<()> {
        for (name, value, least) in [
            ("pixels", self.pixels, 16),
            ("channels", self.channels, 1),
            ("rows", self.rows, 1),
            ("grids", self.grids, 1),
        ] {
            if value < least {
                let (value, remedy) = (value.to_string(), format!("give {least} or more"));
                return Err(Error::parameter(name, value, "is too small", remedy));
            }
        }
        for (name, value, most) in [("pixels", self.pixels, 65_536), ("rows", self.rows, 1 << 30)] {
            if value > most {
                let (value, remedy) = (value.to_string(), format!("give {most} or less"));
                return Err(Error::parameter(name, value, "is too large", remedy));
            }
        }
        if !(self.mask_fraction > 0.0 && self.mask_fraction <= 0.75) {
            return Err(Error::parameter(
                "mask-fraction",
                self.mask_fraction.to_string(),
                "is no part of the image that a disc can cover",
                "give more than 0 and at most 0.75",
            ));
        }
        Ok(())
    }

    /// Plans the operator.
    pub(super) fn plan(&self) -> Result<OperatorPlan> {
        self.check()?;
        let cell = self.cell();
        let phase_center = Direction {
            ra: array::RIGHT_ASCENSION,
            dec: array::DECLINATION,
            frame: DirectionFrame::Icrs,
        };
        let image = ImageGrid {
            nx: self.pixels,
            ny: self.pixels,
            cell_x: cell,
            cell_y: cell,
            phase_center,
        };
        let range = (freq_hz(0), freq_hz(self.channels - 1));
        let rows = Arc::new(array::rows(self.rows, cell, range.1));
        let options = OperatorOptions { accuracy: self.accuracy, wterm: self.wterm };
        let pointing = Pointing { direction: phase_center };
        OperatorPlan::new(&image, &rows, range, &[pointing], options)
    }

    /// Fails if the host's memory cannot hold the job on a backend that works in it.
    pub(super) fn check_memory<B: Backend>(&self, backend: &B, plan: &OperatorPlan) -> Result<()> {
        let Self { channels, grids, rows, pixels, .. } = *self;
        let batch = Batch::bytes(backend, plan, channels, 1, grids);
        let kept = 3 * 4 * pixels * pixels * self.kept().len();
        let needed = (batch + kept + 12 * channels * rows) as u64;
        let available = free_memory();
        if needed <= available {
            return Ok(());
        }
        Err(Error::Resources {
            resource: "host memory".into(),
            needed: readable(needed),
            available: readable(available),
            remedy: "give fewer --channels or --grids, or a smaller --pixels".into(),
        })
    }

    /// Edge of a pixel, rad.
    pub(super) fn cell(&self) -> f64 {
        FIELD_RAD / self.pixels as f64
    }

    /// How far from the phase centre sources are: all of them are in the mask.
    pub(super) fn sky_radius(&self) -> f64 {
        0.9 * self.mask_radius() * self.cell()
    }

    /// Radius of the mask in pixels.
    fn mask_radius(&self) -> f64 {
        self.pixels as f64 * (self.mask_fraction / PI).sqrt()
    }

    /// The channels whose planes are compared: all, or the first and the last.
    pub(super) fn kept(&self) -> Vec<usize> {
        let last = self.channels - 1;
        let bytes = 4 * self.pixels * self.pixels * self.channels;
        if bytes <= KEPT_BYTES || last == 0 { (0..=last).collect() } else { vec![0, last] }
    }
}

/// A job with its plan, visibilities and mask.
pub struct Synthetic {
    /// How large it is.
    pub job: Job,
    /// The operator.
    pub plan: OperatorPlan,
    /// Visibilities with natural weights.
    pub block: VisBlock,
    /// The clean mask of every channel.
    pub mask: Mask,
}

impl Synthetic {
    /// Makes it; the same for any number of threads.
    ///
    /// # Errors
    /// An accuracy that cannot be reached, sizes that are none.
    pub fn new(job: &Job) -> Result<Self> {
        Ok(Self::of_plan(job, job.plan()?))
    }

    /// Makes what is not planned yet.
    pub(super) fn of_plan(job: &Job, plan: OperatorPlan) -> Self {
        let radius = job.mask_radius();
        let block = block(plan.rows(), job.channels, job.sky_radius());
        let centre = (job.pixels / 2) as f64;
        let mask = Mask::from_fn(job.pixels, job.pixels, |x, y| {
            (x as f64 - centre).hypot(y as f64 - centre) <= radius
        });
        Self { job: job.clone(), plan, block, mask }
    }
}

/// Observed frequency of a channel.
pub(super) fn freq_hz(channel: usize) -> f64 {
    FREQ_HZ + WIDTH_HZ * channel as f64
}

/// Visibilities of all channels.
fn block(rows: &Arc<Rows>, channels: usize, radius: f64) -> VisBlock {
    let sky = Sky::new(radius);
    let layers = (0..channels).map(|channel| Layer {
        channel,
        freq_hz: vec![freq_hz(channel); rows.slots.len()],
        vis: sky.visibilities(rows, freq_hz(channel), channel),
        weight: vec![1.0; rows.uvw_m.len()],
    });
    VisBlock { rows: Arc::clone(rows), channels: 0..channels, layers: layers.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_job_is_refused() {
        let small = Job { pixels: 64, rows: 1000, ..Job::default() };
        assert!(small.check().is_ok());
        for (wrong, name) in [
            (Job { pixels: 3, ..small.clone() }, "pixels=3"),
            (Job { channels: 0, ..small.clone() }, "channels=0"),
            (Job { rows: 0, ..small.clone() }, "rows=0"),
            (Job { mask_fraction: 0.9, ..small.clone() }, "mask-fraction=0.9"),
            (Job { mask_fraction: f64::NAN, ..small.clone() }, "mask-fraction=NaN"),
        ] {
            let message = Synthetic::new(&wrong).err().unwrap().to_string();
            assert!(message.starts_with(name) && message.contains("give"), "{message}");
        }
        let wrong = Job { accuracy: 1.0, ..small };
        assert!(Synthetic::new(&wrong).err().unwrap().to_string().contains("gridding-accuracy"));
    }

    #[test]
    fn the_mask_has_its_part_of_the_image_and_the_sky_is_in_it() {
        let job =
            Job { pixels: 200, channels: 2, rows: 1560, mask_fraction: 0.2, ..Job::default() };
        let made = Synthetic::new(&job).unwrap();
        let part = made.mask.pixels().count() as f64 / 40_000.0;
        assert!((part - 0.2).abs() < 0.005, "{part}");
        assert_eq!(made.plan.rows_off_grid, 0);
        assert_eq!(made.block.layers.len(), 2);
        // Flux on the shortest baseline: nearly that of all sources.
        let total: f64 = (0..24).map(|i| 1.0 / (1.0 + 0.25 * f64::from(i))).sum();
        let uvw = &made.block.rows.uvw_m;
        let length = |i: &usize| uvw[*i].iter().map(|x| x * x).sum::<f64>();
        let shortest = (0..uvw.len()).min_by(|a, b| length(a).total_cmp(&length(b))).unwrap();
        let seen = f64::from(made.block.layers[1].vis[shortest].norm());
        assert!((seen / total - 1.0).abs() < 0.2, "{seen} {total}");
    }

    #[test]
    fn the_same_job_has_the_same_bits() {
        let job = Job { pixels: 64, channels: 1, rows: 2000, ..Job::default() };
        let [a, b] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Synthetic::new(&job).unwrap()).block.layers.remove(0).vis
        });
        assert_eq!(a, b);
    }

    #[test]
    fn large_jobs_keep_two_channels_for_comparison() {
        let job = Job { pixels: 8000, channels: 16, ..Job::default() };
        assert_eq!(job.kept(), [0, 15]);
        assert_eq!(Job { channels: 1, ..job }.kept(), [0]);
        assert_eq!(Job::default().kept().len(), Job::default().channels);
    }
}
