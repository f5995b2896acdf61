//! Products on disk: CASA images and FITS cubes, written plane by plane in place.

use std::path::PathBuf;

use crate::{
    beam::Beam, error::Result, geometry::ImageGrid, mask::Mask, ms::Stokes, spectral::ChannelGrid,
};

/// A product of an imaging run; its suffix is tclean's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub enum Product {
    /// `.psf`
    Psf,
    /// `.residual`, Jy/beam
    Residual,
    /// `.model`, Jy/pixel
    Model,
    /// `.mask`, 1 where clean was allowed
    Mask,
    /// `.image`, Jy/beam
    Image,
    /// `.image.pbcor`, Jy/beam
    ImagePbcor,
    /// `.pb`
    Pb,
    /// `.sumwt`, one pixel a plane
    Sumwt,
}

/// File format of the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// CASA image (a table directory) `NAME.image`.
    Casa,
    /// FITS file `NAME.image.fits`.
    Fits,
}

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
    /// Telescope position, ITRF metres.
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
pub trait CubeWriter: Send + Sync {
    /// Writes the plane of a Stokes index and channel. `values` has `ny·nx` entries, x fastest.
    /// `valid` marks good pixels, for products that carry a mask (`None`: all good).
    fn write_plane(
        &self,
        stokes: usize,
        channel: usize,
        values: &[f32],
        valid: Option<&Mask>,
    ) -> Result<()>;

    /// Writes beams and all that is known only at the end, syncs, and returns the product's path.
    fn finish(self: Box<Self>, beams: &Beams) -> Result<PathBuf>;
}
