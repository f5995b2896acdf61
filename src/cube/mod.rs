//! Products on disk: CASA images and FITS cubes, written plane by plane in place, and read back.
//!
//! # Layout
//!
//! A cube is `(x, y, stokes, channel)`. A plane is finished long before the cube is, in no
//! particular order and on several threads at once, so both formats are laid out such that a plane
//! is one contiguous run of bytes, whose place follows from its indices alone:
//!
//! - A **CASA image** stores its pixels in tiles. tclean chooses tiles that span several channels,
//!   which makes each plane a read-modify-write of its neighbours. Here a tile is `[tx, ty, 1, 1]`:
//!   plane `(s, c)` starts at byte `(s + nstokes·c) · tiles per plane · tile bytes`. Any tile shape is
//!   legal, and readers need not care. With `tx, ty ≤ 128` a spectrum costs one tile of at most
//!   64 KiB per channel.
//! - A **FITS cube** has the axes RA, DEC, FREQ, STOKES, as CASA's `exportfits` orders them by
//!   default. The header's length is fixed before the first plane is written, with room for the
//!   beams, which are known only at the end; per-plane beams follow the pixels as a `BEAMS` table.
//!
//! Files are created at full length but sparse: disk is taken as planes arrive, planes that are never
//! written stay blank, and tiles that are all zero, as most of a model and a mask, stay holes. Each
//! writer holds at most two files, each open twice, and 4 MB or a row of tiles per thread, for any number of channels.
//! Large files do not stay in the page cache.
//!
//! # Names
//!
//! Until [`CubeWriter::publish`], a product is called `NAME.image.incomplete`, and until
//! [`CubeWriter::complete`] it has no table or FITS header, so no program can mistake it for a result.
//! An older product is replaced when the new one is published and untouched before; a run that fails
//! harms nothing.
//!
//! # Several processes, one after another or at a time
//!
//! As the place of a plane follows from its indices alone, a cube that was left unfinished can be
//! continued, and processes that image different channels can write one cube without knowing of each
//! other: [`Start::Join`]. Each plane has a checksum, so that what is on disk can be verified.

mod aligned;
mod casa;
mod concat;
pub(crate) mod direct;
mod fits;
mod mask_file;
mod pixel_file;
mod product;
mod read;
mod staging;
mod subcubes;
#[cfg(test)]
mod tests;
mod write_behind;

use std::path::{Path, PathBuf};

use crate::{
    beam::Beam,
    error::{Error, Result},
    geometry::ImageGrid,
    mask::Mask,
    ms::Stokes,
    spectral::ChannelGrid,
};

pub use aligned::{Named, Target};
pub use concat::{Concat, ConcatMode, Stop};
pub use mask_file::MaskFile;
pub use product::{Format, Product};
pub use read::{CubeReader, Plane, Sky, SkyAxes, SpectralAxis, World};
pub use subcubes::{Subcubes, publish_subcubes, subcube_names};

/// What the headers of a cube's products say.
#[derive(Clone, Debug)]
pub struct CubeSpec {
    /// Pixel grid and projection.
    pub grid: ImageGrid,
    /// Spectral axis.
    pub channels: ChannelGrid,
    /// The Stokes planes, in order.
    pub stokes: Vec<Stokes>,
    /// OBSERVATION.TELESCOPE_NAME.
    pub telescope: String,
    /// OBSERVATION.OBSERVER.
    pub observer: String,
    /// Name of the (first) field.
    pub object: String,
    /// Start of the observation, UTC, MJD days.
    pub obsdate_mjd: f64,
    /// Telescope position, ITRF metres; zeros where it is not known.
    pub telescope_position_m: [f64; 3],
    /// Lines for the logtable / HISTORY cards.
    pub history: Vec<String>,
}

/// Restoring beams of a product.
#[derive(Clone, Debug, PartialEq)]
pub enum Beams {
    /// The product has none.
    None,
    /// One for all planes.
    Common(Beam),
    /// One per channel; `None` for channels without data.
    PerPlane(Vec<Option<Beam>>),
}

/// Writes one product in one format. Planes may be written in any order and from several threads.
///
/// A plane that is never written is blank: 0 and invalid in a CASA image, NaN in FITS, or 0 in products
/// that have no mask.
pub trait CubeWriter: Send + Sync {
    /// Writes the plane of a Stokes index and channel. `values` has `ny·nx` entries, x fastest (one
    /// entry for `.sumwt`). `valid` marks good pixels, for products that carry a mask (`None`: all
    /// good).
    ///
    /// Invalid pixels become NaN in FITS. A CASA image keeps their values under its mask, as tclean
    /// does, but for `.pb` and `.image.pbcor`, where they are 0.
    ///
    /// Returns the plane's [checksum](CubeWriter::checksum).
    ///
    /// # Errors
    /// [`Error::Io`] when the disk is full or fails; [`Error::Parameter`] if the plane is not of this
    /// cube.
    fn write_plane(
        &self,
        stokes: usize,
        channel: usize,
        values: &[f32],
        valid: Option<&Mask>,
    ) -> Result<u32>;

    /// CRC-32 (IEEE 802.3) of a plane's bytes as they are on disk now: of its pixels, followed by its
    /// mask's in a CASA image.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be read; [`Error::Parameter`] if the cube has no such plane.
    fn checksum(&self, stokes: usize, channel: usize) -> Result<u32>;

    /// Counts a plane as written: by an earlier run, or by another process.
    fn adopt_plane(&self, stokes: usize, channel: usize);

    /// Brings all planes that were written to the disk.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk is full or fails.
    fn sync(&self) -> Result<()>;

    /// Brings to the disk what is written to the files that hold a channel and are open, while others are written.
    ///
    /// # Errors
    /// As [`Self::sync`].
    fn sync_around(&self, _channel: usize) -> Result<()> {
        self.sync()
    }

    /// Bytes of pixels and masks handed to the system so far; holes do not count.
    fn bytes_written(&self) -> u64;

    /// Writes beams and all that is known only at the end, and syncs. The product keeps its temporary
    /// name. May be called again. Products that carry no beam ignore `beams`; a channel without one gets
    /// the largest of the others, as in tclean.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk is full or fails; [`Error::Parameter`] if there is not one beam per
    /// channel.
    fn complete(&self, beams: &Beams) -> Result<()>;

    /// Gives a completed product its name, and returns it. An older product of that name is removed.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses; [`Error::Exists`] if what has the name is no product.
    fn publish(self: Box<Self>) -> Result<PathBuf>;

    /// [Completes](CubeWriter::complete) the product and [gives it its name](CubeWriter::publish).
    ///
    /// # Errors
    /// Those of both.
    fn finish(self: Box<Self>, beams: &Beams) -> Result<PathBuf> {
        self.complete(beams)?;
        self.publish()
    }
}

/// How a product begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Blank.
    New {
        /// An older product may be replaced at the end, and what an interrupted run left of one is
        /// removed now.
        overwrite: bool,
    },
    /// From what there is under the temporary name: an interrupted run's planes, or those that other
    /// processes are writing. Blank if there is nothing. The cube must be the same one; that is for the
    /// caller to know. An older product is replaced at the end.
    Join,
}

/// Starts a product of `imagename` under its temporary name.
///
/// # Errors
/// [`Error::Exists`] if the product, or what an interrupted run left of it, is there and `start` does not
/// allow for it; [`Error::Io`] when it cannot be created; [`Error::Parameter`] for a cube without pixels.
pub fn create(
    imagename: impl AsRef<Path>,
    product: Product,
    format: Format,
    spec: &CubeSpec,
    start: Start,
) -> Result<Box<dyn CubeWriter>> {
    let imagename = checked_name(imagename.as_ref())?;
    let shape = CubeShape::of(spec, product)?;
    let target = format.path(imagename, product);
    let staging = staging::Staging::new(target, format, start)?;
    Ok(match format {
        Format::Casa => Box::new(casa::CasaWriter::create(staging, product, shape, spec)?),
        Format::Fits => Box::new(fits::FitsWriter::create(staging, product, shape, spec)?),
    })
}

/// Starts a product of `imagename` that is written as subcubes, CASA images of some channels each, and made one
/// when it is published. `overwrite` tells whether a product that is there may be replaced at the end.
///
/// # Errors
/// As [`create`].
pub fn create_subcubes(
    imagename: impl AsRef<Path>,
    product: Product,
    spec: &CubeSpec,
    start: Start,
    how: Subcubes,
    overwrite: bool,
) -> Result<Box<dyn CubeWriter>> {
    let imagename = checked_name(imagename.as_ref())?;
    CubeShape::of(spec, product)?;
    let writer = subcubes::SubcubesWriter::create(imagename, product, spec, start, how, overwrite)?;
    Ok(Box::new(writer))
}

/// Bytes of pixels and masks that a product takes at most; those that are all zero take none.
///
/// # Errors
/// [`Error::Parameter`] for a cube without pixels.
pub fn product_bytes(product: Product, format: Format, spec: &CubeSpec) -> Result<u64> {
    let shape = CubeShape::of(spec, product)?;
    Ok(match format {
        Format::Casa => casa::bytes(product, shape),
        Format::Fits => fits::bytes(shape),
    })
}

/// Gives a completed product of a run that was killed among its [`publish`](CubeWriter::publish) calls its
/// name, unless it has it already, and returns it.
///
/// # Errors
/// [`Error::Data`] if there is no such product under either name, and those of `publish`.
pub fn publish_completed(
    imagename: impl AsRef<Path>,
    product: Product,
    format: Format,
) -> Result<PathBuf> {
    let imagename = checked_name(imagename.as_ref())?;
    staging::Staging::completed(format.path(imagename, product), format).publish_rest()
}

/// The temporary name of a product in the making.
pub fn incomplete_path(imagename: &Path, product: Product, format: Format) -> PathBuf {
    staging::incomplete(&format.path(imagename, product))
}

/// Removes what an interrupted run left of a product under its temporary name, if it left anything. A
/// finished product stays.
///
/// # Errors
/// [`Error::Exists`] if a live run is writing it; [`Error::Io`] if the system refuses.
pub fn remove_incomplete(
    imagename: impl AsRef<Path>,
    product: Product,
    format: Format,
) -> Result<()> {
    let imagename = checked_name(imagename.as_ref())?;
    staging::remove_abandoned(&format.path(imagename, product), format)
}

/// Removes a finished product, whole, if there is one; what is no image is not a product, and stays.
///
/// # Errors
/// [`Error::Io`] if the system refuses.
pub fn remove_product(imagename: impl AsRef<Path>, product: Product, format: Format) -> Result<()> {
    let path = format.path(checked_name(imagename.as_ref())?, product);
    match staging::check_replaceable(&path, format) {
        Ok(()) => staging::remove_at_once(&path),
        Err(_) => Ok(()),
    }
}

/// Checks that none of the products a run is going to make exists yet, so that a run without
/// `--overwrite` stops before it has written anything.
///
/// # Errors
/// [`Error::Exists`] for the first that does.
pub fn check_absent(
    imagename: impl AsRef<Path>,
    products: &[Product],
    formats: &[Format],
) -> Result<()> {
    let imagename = checked_name(imagename.as_ref())?;
    for &format in formats {
        for &product in products {
            staging::check_free(&format.path(imagename, product))?;
        }
    }
    Ok(())
}

/// An image name that suffixes can be put to.
fn checked_name(imagename: &Path) -> Result<&Path> {
    let bytes = imagename.as_os_str().as_encoded_bytes();
    if imagename.file_name().is_none() || bytes.last() == Some(&b'/') {
        return Err(Error::parameter(
            "imagename",
            imagename.display().to_string(),
            "names no file",
            "give the products' common name, for example out/ngc5921",
        ));
    }
    Ok(imagename)
}

/// Shape of a product's cube.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CubeShape {
    nx: usize,
    ny: usize,
    nstokes: usize,
    nchan: usize,
}

impl CubeShape {
    fn of(spec: &CubeSpec, product: Product) -> Result<Self> {
        let (nx, ny) = product.plane_shape(spec.grid.nx, spec.grid.ny);
        let shape = Self { nx, ny, nstokes: spec.stokes.len(), nchan: spec.channels.nchan };
        if shape.npix() == 0 || shape.nplanes() == 0 {
            return Err(Error::parameter(
                "imsize, nchan",
                format!("{nx} x {ny} pixels, {} channels", shape.nchan),
                "the cube is empty",
                "give positive sizes",
            ));
        }
        Ok(shape)
    }

    fn npix(self) -> usize {
        self.nx * self.ny
    }

    fn nplanes(self) -> usize {
        self.nstokes * self.nchan
    }

    /// Refuses a plane that does not belong to the cube.
    fn check_plane(
        self,
        stokes: usize,
        channel: usize,
        values: &[f32],
        valid: Option<&Mask>,
    ) -> Result<()> {
        let mask_fits = valid.is_none_or(|m| (m.nx(), m.ny()) == (self.nx, self.ny));
        match self.has(stokes, channel) && values.len() == self.npix() && mask_fits {
            true => Ok(()),
            false => Err(self.no_such_plane(stokes, channel, values.len())),
        }
    }

    fn has(self, stokes: usize, channel: usize) -> bool {
        stokes < self.nstokes && channel < self.nchan
    }

    fn no_such_plane(self, stokes: usize, channel: usize, pixels: usize) -> Error {
        Error::parameter(
            "plane",
            format!("stokes {stokes}, channel {channel}, {pixels} pixels"),
            format!(
                "the cube has {} stokes, {} channels, {} x {} pixels",
                self.nstokes, self.nchan, self.nx, self.ny
            ),
            "this is an error of the program: please report it",
        )
    }
}

/// Beams as headers take them: none, one, or one for every channel.
#[derive(Clone, Debug, PartialEq)]
enum HeaderBeams {
    None,
    One(Beam),
    PerChannel(Vec<Beam>),
}

impl HeaderBeams {
    /// Fills channels without a beam with the one of the largest area, which is what tclean does: a
    /// null beam makes viewers and tasks stumble over planes that are blank anyway.
    fn of(beams: &Beams, product: Product, nchan: usize) -> Result<Self> {
        let per_plane = match beams {
            _ if !product.has_beam() => return Ok(Self::None),
            Beams::None => return Ok(Self::None),
            Beams::Common(beam) => return Ok(Self::One(*beam)),
            Beams::PerPlane(per_plane) => per_plane,
        };
        if per_plane.len() != nchan {
            return Err(Error::parameter(
                "beams",
                per_plane.len().to_string(),
                format!("the cube has {nchan} channels"),
                "give one beam per channel",
            ));
        }
        let Some(largest) = largest(per_plane) else { return Ok(Self::None) };
        let filled: Vec<Beam> = per_plane.iter().map(|b| b.unwrap_or(largest)).collect();
        Ok(if nchan == 1 { Self::One(filled[0]) } else { Self::PerChannel(filled) })
    }
}

/// The beam of the largest area.
fn largest(beams: &[Option<Beam>]) -> Option<Beam> {
    let area = |b: &&Beam| b.major * b.minor;
    beams.iter().flatten().max_by(|a, b| area(a).total_cmp(&area(b))).copied()
}

/// Where a product of `imagename` lies as a CASA image.
fn product_path(imagename: &Path, product: Product) -> PathBuf {
    Format::Casa.path(imagename, product)
}

/// The pixels that are not in a mask.
fn complement(mask: &Mask) -> Mask {
    let mut complement = mask.clone();
    complement.invert();
    complement
}
