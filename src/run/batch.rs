//! One batch of channels: from the MeasurementSet to planes on disk.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rayon::prelude::*;

use super::{
    batches::Batches,
    earlier::Earlier,
    journal::{Journal, Sums},
    plan::Plan,
    pool::Pool,
    products::Products,
    sampler::Sampler,
    source::Source,
    stoppable::{Stoppable, check_stop},
    timers::Timers,
};
use crate::{
    backend::{Backend, Batch, HostPlanes},
    beam::Beam,
    clean::{ChannelClean, CleanParams, Noise, PsfFit, clean},
    config::Config,
    cube::Product,
    error::Result,
    mask::{Mask, MaskPolicy},
    ms::{VisBlock, resample},
    pb::pbcor,
    report::{Event, Progress},
    restore::restore,
    weighting::{CubeDensity, Weighting},
};

/// What all batches of a run share.
pub(super) struct Job<'a> {
    pub config: &'a Config,
    pub plan: &'a Plan,
    pub earlier: &'a Earlier,
    pub batches: &'a Batches,
    pub weighting: Weighting,
    pub density: Option<CubeDensity>,
    pub clean: CleanParams,
    pub masks: &'a dyn MaskPolicy,
    pub journal: Arc<Journal>,
    pub progress: &'a dyn Progress,
    /// Channels of this process, and how many of them are done.
    pub channels: usize,
    pub channels_done: AtomicUsize,
    pub source: Source<'a>,
    pub writers: Pool,
    pub sampler: &'a Sampler,
    pub timers: &'a Timers,
}

/// A cleaned batch that is still in the backend's memory.
pub(super) struct Cleaned<'a, B: Backend> {
    batch: Batch<'a, B>,
    /// Where each channel's primary beam is above pblimit.
    inside: Vec<Mask>,
    pub results: Vec<ChannelClean>,
}

/// A channel that has left the backend's memory.
pub(super) struct Finished {
    /// The PSF; empty if it is no product and was not in the host's memory anyway.
    psf: Vec<f32>,
    residual: Vec<f32>,
    model: Vec<f32>,
    sumwt: f64,
    inside: Mask,
    result: ChannelClean,
}

impl Job<'_> {
    /// Ends the run between pieces of work when a signal asked for it.
    pub fn check_stop(&self) -> Result<()> {
        check_stop(self.config, self.progress)
    }

    /// Reads the visibilities of image channels, with natural weights.
    pub fn load(&self, channels: Range<usize>) -> Result<VisBlock> {
        self.check_stop()?;
        let raws = self.source.raws(&channels)?;
        let Plan { sampling, rows, .. } = self.plan;
        Ok(self.timers.time("resample", || resample(sampling, rows, &raws, channels)))
    }

    /// Takes image channels to the backend, with imaging weights, and makes their PSFs, or takes the
    /// earlier ones. Beams are fitted here, before the first residual: from then on planes stay on the device.
    fn open<'b, B: Backend>(
        &'b self,
        backend: &'b B,
        channels: Range<usize>,
    ) -> Result<(Batch<'b, B>, Vec<PsfFit>)> {
        let mut block = self.load(channels.clone())?;
        self.timers.time("weight", || self.weighting.apply(&mut block, self.density.as_ref()));
        let mut batch = Batch::new(backend, &self.plan.operator, &block, self.batches.grid_count)?;
        drop(block);
        match self.config.restart.calcpsf {
            true => batch.make_psf()?,
            false => self.earlier.psfs(&mut batch, channels)?,
        }
        let fit = |i: usize| {
            Ok(match batch.sumwt()[i] > 0.0 {
                true => PsfFit::new(&batch.psf_view(i)?, &self.plan.grid, self.clean.psfcutoff),
                false => PsfFit::without_data(),
            })
        };
        let psfs = self.timers.time("beams", || {
            (0..batch.len()).into_par_iter().map(fit).collect::<Result<Vec<_>>>()
        })?;
        Ok((batch, psfs))
    }

    /// Beams of the PSFs of image channels, for what has to be known of the whole cube before any of
    /// it can be restored.
    pub fn fit_beams<B: Backend>(
        &self,
        backend: &B,
        channels: Range<usize>,
    ) -> Result<Vec<Option<Beam>>> {
        self.check_stop()?;
        let (batch, psfs) = self.open(backend, channels)?;
        self.timers.add_stages(&batch.times());
        Ok(psfs.into_iter().map(|psf| psf.beam.ok()).collect())
    }

    /// Images and cleans a batch.
    pub fn clean_batch<'b, B: Backend>(
        &'b self,
        backend: &'b B,
        channels: Range<usize>,
    ) -> Result<Cleaned<'b, B>> {
        self.check_stop()?;
        let (mut batch, psfs) = self.open(backend, channels.clone())?;
        self.earlier.models(&mut batch, channels.clone())?;
        if self.config.restart.calcres {
            let all: Vec<usize> = (0..batch.len()).collect();
            batch.make_residual(&all)?;
        } else {
            self.earlier.residuals(&mut batch, channels.clone())?;
        }
        let grid = &self.plan.grid;
        let inside = self.timers.time("pb", || {
            let inside = |channel| self.plan.primary_beam_mask(channel, self.config.pblimit);
            channels.clone().into_par_iter().map(inside).collect::<Result<Vec<Mask>>>()
        })?;
        self.check_stop()?;
        let before = backend.traffic();
        let (range, masks) = (channels.clone(), self.masks);
        let check = || self.check_stop();
        let mut stoppable = Stoppable { batch: &mut batch, check: &check };
        let results = clean(&mut stoppable, grid, range, &self.clean, masks, &psfs, &inside)?;
        if let (Some(before), Some(after)) = (before, backend.traffic()) {
            self.timers.add_clean_traffic(&after.since(&before));
        }
        Ok(Cleaned { batch, inside, results })
    }

    /// Brings the planes of a batch to the host, unless they are there, and gives the backend's memory back.
    pub fn leave<B: Backend>(
        &self,
        cleaned: Cleaned<'_, B>,
        products: &Products,
    ) -> Result<Vec<Finished>> {
        let Cleaned { mut batch, inside, results } = cleaned;
        let has_psf = products.has(Product::Psf);
        let of = results.into_iter().zip(inside);
        let left = match batch.take_planes() {
            Some(HostPlanes { psf, residual, model }) => {
                let planes = psf.into_iter().zip(residual).zip(model).zip(batch.sumwt());
                let finished =
                    planes.zip(of).map(|((((psf, residual), model), &sumwt), (result, inside))| {
                        Finished { psf, residual, model, sumwt, inside, result }
                    });
                Ok(finished.collect())
            }
            None => self.timers.time("planes to the host", || {
                let of: Vec<_> = of.collect();
                let bring = |(i, (result, inside))| {
                    Ok(Finished {
                        psf: if has_psf { batch.psf_plane(i)? } else { Vec::new() },
                        residual: batch.residual_plane(i)?,
                        model: batch.model_plane(i)?,
                        sumwt: batch.sumwt()[i],
                        inside,
                        result,
                    })
                };
                of.into_par_iter().enumerate().map(bring).collect()
            }),
        };
        self.timers.add_stages(&batch.times());
        left
    }

    /// Restores channels that have left the backend and writes all their products.
    pub fn write_finished(
        &self,
        finished: Vec<Finished>,
        restoring: &RestoringBeams,
        products: &Products,
    ) -> Result<()> {
        let start = std::time::Instant::now();
        let write = |channel: Finished| {
            self.check_stop()?;
            self.write_channel(channel, restoring, products)
        };
        let written = finished.into_par_iter().map(write).collect();
        self.timers.add("restore and write", start.elapsed());
        written
    }

    /// Planes are large, so each is made in the place of one that is written already: mask and primary beam in the
    /// PSF's, the restored images in the residual's.
    fn write_channel(
        &self,
        finished: Finished,
        restoring: &RestoringBeams,
        products: &Products,
    ) -> Result<()> {
        let Finished { psf, residual, model, sumwt, inside, result } = finished;
        let (grid, channel) = (&self.plan.grid, result.channel);
        // A positive pblimit blanks images; a negative one only bounds pbcor.
        let blanked = (self.config.pblimit > 0.0).then_some(&inside);

        let mut sums = Sums::new();
        if products.has(Product::Psf) {
            products.write(Product::Psf, channel, &psf, None, &mut sums)?;
        }
        let mut plane = psf;
        products.write(Product::Sumwt, channel, &[sumwt as f32], None, &mut sums)?;
        if products.has(Product::Mask) {
            mask_plane(&result.mask, &mut plane);
            products.write(Product::Mask, channel, &plane, None, &mut sums)?;
        }
        self.plan.primary_beam_into(&mut plane, channel, self.config.pblimit)?;
        let pb = plane;
        products.write(Product::Pb, channel, &pb, blanked, &mut sums)?;
        products.write(Product::Residual, channel, &residual, blanked, &mut sums)?;
        products.write(Product::Model, channel, &model, None, &mut sums)?;
        let rms = if sumwt > 0.0 { Noise::of(&residual, &inside).sigma } else { 0.0 };

        let fitted = result.beam.as_ref().ok().copied();
        let outlier = restoring.leaves_out(channel);
        let beam = restoring.of(channel, fitted);
        let mut peak = 0.0;
        if self.config.restoration && outlier {
            self.write_blank(channel, products, &mut sums)?;
        } else if self.config.restoration {
            let mut image = match beam {
                Some(beam) if sumwt > 0.0 => {
                    restore(grid, &model, residual, fitted.as_ref(), &beam)?
                }
                // Without a beam nothing was cleaned with one either: the residual is the image.
                _ => residual,
            };
            peak = peak_of(&image, blanked);
            products.write(Product::Image, channel, &image, blanked, &mut sums)?;
            if products.has(Product::ImagePbcor) {
                pbcor(&mut image, &pb);
                let inside = Some(&inside);
                products.write(Product::ImagePbcor, channel, &image, inside, &mut sums)?;
            }
        }
        let sampling = &self.plan.sampling;
        let image = (beam, outlier, rms, peak);
        let calcres = self.config.restart.calcres;
        let summary = super::summary::channel(&result, sampling, sumwt, image, calcres);
        self.journal.channel(&summary, sums)?;
        let done = self.channels_done.fetch_add(1, Ordering::Relaxed) + 1;
        self.progress.event(Event::Channel {
            channel,
            done,
            total: self.channels,
            iterations: result.iterations,
            peak_residual: result.minor.last().map_or(0.0, |m| f64::from(m.peak_res)),
            stopcode: result.stop.code(),
        });
        Ok(())
    }

    /// Restored images of a channel that cannot have the cube's beam: all pixels invalid.
    fn write_blank(&self, channel: usize, products: &Products, sums: &mut Sums) -> Result<()> {
        let grid = &self.plan.grid;
        let nothing = Mask::new(grid.nx, grid.ny, false);
        let zeros = vec![0.0; grid.npix()];
        for product in [Product::Image, Product::ImagePbcor] {
            products.write(product, channel, &zeros, Some(&nothing), sums)?;
        }
        Ok(())
    }
}

/// The beams that images are restored with.
pub(super) enum RestoringBeams {
    /// Each channel's own.
    PerChannel,
    /// The same for all but those `without` it (ascending), whose own is so much larger that it was
    /// left out of account: their images are blank, as a cube that names one beam must not show another.
    Same { beam: Beam, without: Vec<usize> },
}

impl RestoringBeams {
    /// Of a channel with this fitted beam.
    fn of(&self, channel: usize, fitted: Option<Beam>) -> Option<Beam> {
        match self {
            Self::PerChannel => fitted,
            Self::Same { beam, .. } => (!self.leaves_out(channel)).then_some(*beam),
        }
    }

    fn leaves_out(&self, channel: usize) -> bool {
        matches!(self, Self::Same { without, .. } if without.binary_search(&channel).is_ok())
    }
}

/// 1 in the mask, 0 elsewhere, in place of what `plane` holds.
fn mask_plane(mask: &Mask, plane: &mut Vec<f32>) {
    plane.clear();
    plane.resize(mask.nx() * mask.ny(), 0.0);
    for run in mask.runs() {
        plane[run.y * mask.nx() + run.x..][..run.len].fill(1.0);
    }
}

/// Largest value that is not NaN, in eight lanes for vector instructions; −∞ of none.
fn largest(values: &[f32]) -> f32 {
    let greater = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; 8];
    let chunks = values.chunks_exact(8);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = greater(*lane, value);
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, greater)
}

/// Largest value, where the image is not blank.
fn peak_of(image: &[f32], valid: Option<&Mask>) -> f64 {
    let peak = match valid {
        Some(mask) => mask
            .runs()
            .map(|run| largest(&image[run.y * mask.nx() + run.x..][..run.len]))
            .fold(f32::NEG_INFINITY, f32::max),
        None => largest(image),
    };
    if peak.is_finite() { f64::from(peak) } else { 0.0 }
}
