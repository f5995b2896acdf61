//! What a run takes over: products of an earlier run under the same name, and a model to start from.
//!
//! They are read plane by plane while the run goes on, and stay as they are until its products take their
//! places at the very end.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use super::plan::Plan;
use crate::{
    backend::{Batch, Gridder},
    config::{Config, MaskChoice},
    cube::{CubeReader, Format, MaskFile, Named, Product, Target},
    error::{Error, Result},
    mask::Mask,
};

/// How far pixels or channels may lie from the cube's of the same number, anywhere: what other programs
/// and formats round, and far from anything that could be seen.
const MAX_OFFSET: f64 = 0.05;

/// By how much sums of weights may differ, relative: other programs' uniform weights do by 0.2 %. Another
/// selection or weighting makes far more.
const MAX_WEIGHT_CHANGE: f64 = 0.01;

/// What is taken over; nothing in a run that starts anew.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    psf: Option<CubeReader>,
    residual: Option<CubeReader>,
    /// Of the earlier run, or the one to start from.
    model: Option<CubeReader>,
    sumwt: Option<CubeReader>,
    mask: Option<MaskFile>,
}

impl Earlier {
    /// Opens what `config` asks for, and checks that it fits the plan.
    ///
    /// # Errors
    /// Products that are missing, cannot be read, or lie elsewhere.
    pub fn open(config: &Config, plan: &Plan) -> Result<Self> {
        let mut earlier = Self::default();
        if config.restart.continues {
            earlier.open_products(config, plan)?;
        }
        let Some(path) = &config.restart.startmodel else { return Ok(earlier) };
        if let Some(model) = &earlier.model {
            return Err(Error::parameter(
                "startmodel",
                path.display().to_string(),
                format!("there is a model to continue from already, {}", model.path().display()),
                "leave startmodel out, or move that model away",
            ));
        }
        let remedy = "bring it to the grid of the cube with CASA's imregrid, in Jy/pixel";
        earlier.model = Some(open_fitting(path, Named { what: "startmodel", remedy }, plan)?);
        Ok(earlier)
    }

    fn open_products(&mut self, config: &Config, plan: &Plan) -> Result<()> {
        const REMEDY: &str = "give the parameters of the earlier run, another imagename (with --startmodel to \
                              go on from its model), or --overwrite in place of restart";
        let open = |product: Product| -> Result<Option<CubeReader>> {
            let named = Named { what: product.suffix(), remedy: REMEDY };
            let found = find(config, product);
            found.map(|(_, path)| open_fitting(&path, named, plan)).transpose()
        };
        let needed = |product: Product, by: &str| {
            open(product)?.map_or_else(|| Err(missing(config, product, by)), |cube| Ok(Some(cube)))
        };
        let restart = &config.restart;
        if !restart.calcpsf {
            self.psf = needed(Product::Psf, "calcpsf")?;
        }
        if restart.calcres {
            self.model = open(Product::Model)?;
        } else {
            // A residual is one of data and model: without its model, it is not known what of.
            self.residual = needed(Product::Residual, "calcres")?;
            self.model = needed(Product::Model, "calcres")?;
            refuse_blanked_residual(config, plan)?;
        }
        let reads_mask = matches!(config.mask, MaskChoice::Everywhere | MaskChoice::Auto(_));
        if let Some((_, path)) = find(config, Product::Mask).filter(|_| reads_mask) {
            self.mask = Some(MaskFile::open(path, &plan.grid, plan.sampling.grid())?);
        }
        if let Some((_, path)) = find(config, Product::Sumwt) {
            let cube = CubeReader::open(path)?;
            // Where it is not one number a channel, it tells nothing.
            self.sumwt = Some(cube).filter(|cube| cube.shape() == [1, 1, 1, plan.nchan()]);
        }
        Ok(())
    }

    /// What is taken over, in words; nothing where nothing is.
    pub fn describe(&self) -> Option<String> {
        let cubes = [&self.psf, &self.residual, &self.model];
        let paths: Vec<String> =
            cubes.into_iter().flatten().map(|cube| cube.path().display().to_string()).collect();
        (!paths.is_empty()).then(|| format!("continuing from {}", paths.join(", ")))
    }

    /// Sets the PSFs of image channels.
    pub fn psfs<B: Gridder>(&self, batch: &mut Batch<'_, B>, channels: Range<usize>) -> Result<()> {
        let Some(cube) = &self.psf else { return Ok(()) };
        self.planes(cube, batch, channels, |batch, index, channel, values| {
            if values.iter().all(|&v| v == 0.0) {
                let problem = "is blank, although there are data";
                return Err(unusable(cube, channel, problem, "leave calcpsf out"));
            }
            batch.set_psf(index, values)
        })
    }

    /// Sets the residuals of image channels.
    pub fn residuals<B: Gridder>(
        &self,
        batch: &mut Batch<'_, B>,
        channels: Range<usize>,
    ) -> Result<()> {
        let Some(cube) = &self.residual else { return Ok(()) };
        self.planes(cube, batch, channels, |batch, index, _, values| {
            batch.set_residual(index, values)
        })
    }

    /// Hands planes of an earlier product to `set`. Channels without data have none: theirs stay zero.
    fn planes<'b, B: Gridder>(
        &self,
        cube: &CubeReader,
        batch: &mut Batch<'b, B>,
        channels: Range<usize>,
        set: impl Fn(&mut Batch<'b, B>, usize, usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        for (index, channel) in channels.enumerate() {
            let sumwt = batch.sumwt()[index];
            self.check_weights(channel, sumwt)?;
            if sumwt <= 0.0 {
                continue;
            }
            let values = cube.read_plane(0, channel)?.values;
            if !values.iter().all(|v| v.is_finite()) {
                let problem = "has pixels without a value";
                return Err(unusable(cube, channel, problem, BLANKED_REMEDY));
            }
            set(batch, index, channel, &values)?;
        }
        Ok(())
    }

    /// Refuses PSFs and residuals that were made of other data, or with other weights.
    fn check_weights(&self, channel: usize, sumwt: f64) -> Result<()> {
        let Some(cube) = &self.sumwt else { return Ok(()) };
        let before = f64::from(cube.read_plane(0, channel)?.values[0]);
        if (before - sumwt).abs() <= MAX_WEIGHT_CHANGE * before.max(sumwt) {
            return Ok(());
        }
        let problem =
            format!("is {before:.6e}, and {sumwt:.6e} now: the data or the weighting are others");
        let remedy = "give the selection and the weighting of the earlier run, or leave calcpsf and calcres \
                      out";
        Err(unusable(cube, channel, &problem, remedy))
    }

    /// Sets the models of image channels, where there is one.
    pub fn models<B: Gridder>(
        &self,
        batch: &mut Batch<'_, B>,
        channels: Range<usize>,
    ) -> Result<()> {
        for (index, channel) in channels.enumerate() {
            if let Some(values) = self.model_plane(channel)? {
                batch.set_model(index, &values)?;
            }
        }
        Ok(())
    }

    /// The model of an image channel; pixels that are masked or blank are 0.
    fn model_plane(&self, channel: usize) -> Result<Option<Vec<f32>>> {
        let Some(cube) = &self.model else { return Ok(None) };
        let plane = cube.read_plane(0, channel)?;
        let nx = plane.valid.nx();
        let mut values = plane.values;
        for (i, value) in values.iter_mut().enumerate() {
            if !plane.valid.get(i % nx, i / nx) {
                *value = 0.0;
            } else if !value.is_finite() {
                let problem = "has pixels that are not finite";
                return Err(unusable(cube, channel, problem, "set them to 0"));
            }
        }
        Ok(Some(values))
    }

    /// The earlier masks, if there are any.
    pub fn masks(&self) -> Option<&MaskFile> {
        self.mask.as_ref()
    }

    /// The mask that a channel was cleaned in. That of a channel without any component is nobody's choice:
    /// a run that cleaned nothing in it writes the one that cleaning would have begun with.
    pub fn cleaned_mask(&self, channel: usize) -> Result<Option<Mask>> {
        let Some(masks) = &self.mask else { return Ok(None) };
        let cleaned = self.model_plane(channel)?.is_some_and(|m| m.iter().any(|&v| v != 0.0));
        cleaned.then(|| masks.plane(channel)).transpose()
    }
}

const BLANKED_REMEDY: &str = "leave calcres out, to have it computed, or continue from CASA images (--format casa), which keep it";

/// Where an earlier product lies, of the formats that are written. A CASA image goes before a FITS file: it
/// keeps what is under its mask.
fn find(config: &Config, product: Product) -> Option<(Format, PathBuf)> {
    let formats = [Format::Casa, Format::Fits].into_iter().filter(|f| config.formats.contains(f));
    formats
        .map(|format| (format, format.path(&config.imagename, product)))
        .find(|(_, path)| path.exists())
}

fn missing(config: &Config, product: Product, by: &str) -> Error {
    let format = config.formats.first().copied().unwrap_or(Format::Casa);
    Error::data(
        format.path(&config.imagename, product),
        product.suffix(),
        format!("does not exist, and {by}=false takes it over"),
        format!("leave {by} out, or make it first, in a run with --niter 0"),
    )
}

fn unusable(cube: &CubeReader, channel: usize, problem: &str, remedy: &str) -> Error {
    Error::data(cube.path(), format!("channel {channel}"), problem, remedy)
}

/// FITS residuals have no values where the primary beam is below pblimit, but cleaning goes by all of them:
/// a PSF's sidelobes reach everywhere. Found out before any work is done.
fn refuse_blanked_residual(config: &Config, plan: &Plan) -> Result<()> {
    let Some((Format::Fits, path)) = find(config, Product::Residual) else { return Ok(()) };
    if config.pblimit <= 0.0 {
        return Ok(());
    }
    for channel in [0, plan.nchan() - 1] {
        if plan.primary_beam_mask(channel, config.pblimit)?.count() < plan.grid.npix() {
            let problem =
                format!("has no values where the primary beam is below {}", config.pblimit);
            return Err(Error::data(path, "residual", problem, BLANKED_REMEDY));
        }
    }
    Ok(())
}

/// Opens an image on the cube's grid. Models are in Jy/pixel, residuals in Jy/beam, where they say so.
fn open_fitting(path: &Path, named: Named<'_>, plan: &Plan) -> Result<CubeReader> {
    let cube = CubeReader::open(path)?;
    let target = Target { grid: &plan.grid, channels: plan.sampling.grid() };
    target.check_shape(&cube, named)?;
    target.check_sky(&cube, named, MAX_OFFSET)?;
    target.check_channels(&cube, named, MAX_OFFSET)?;
    let wanted = if named.what.ends_with("model") { "Jy/pixel" } else { "Jy/beam" };
    let said = cube.world().unit.as_deref().filter(|unit| !unit.is_empty());
    if let Some(unit) = said.filter(|unit| !unit.eq_ignore_ascii_case(wanted)) {
        let what = format!("{}'s unit", named.what);
        let problem = format!("is {unit}, not {wanted}");
        return Err(Error::data(path, what, problem, named.remedy));
    }
    Ok(cube)
}
