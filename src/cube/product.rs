//! The products of an imaging run, what tclean calls them, and what their headers carry.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A product of an imaging run; its suffix is tclean's.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
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

impl Product {
    /// Every product, in the order in which tclean makes them.
    pub const ALL: [Self; 8] = [
        Self::Psf,
        Self::Residual,
        Self::Model,
        Self::Mask,
        Self::Image,
        Self::ImagePbcor,
        Self::Pb,
        Self::Sumwt,
    ];

    /// tclean's name of the product: what follows `imagename.`, and how `--products` names it.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Psf => "psf",
            Self::Residual => "residual",
            Self::Model => "model",
            Self::Mask => "mask",
            Self::Image => "image",
            Self::ImagePbcor => "image.pbcor",
            Self::Pb => "pb",
            Self::Sumwt => "sumwt",
        }
    }

    /// The product that [`Product::suffix`] names.
    ///
    /// # Errors
    /// [`Error::Parameter`] for any other name, listing those that exist.
    pub fn from_suffix(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|p| p.suffix() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|p| p.suffix()).collect();
            Error::parameter(
                "products",
                name,
                "is not a product",
                format!("choose from {}", known.join(", ")),
            )
        })
    }

    /// Unit of the pixels as tclean writes it. `.residual` has none there, although it is in
    /// Jy/beam: a unit with no beam beside it makes viewers refuse fluxes.
    pub fn unit(self) -> Option<&'static str> {
        match self {
            Self::Image | Self::ImagePbcor => Some("Jy/beam"),
            Self::Model => Some("Jy/pixel"),
            Self::Psf | Self::Residual | Self::Mask | Self::Pb | Self::Sumwt => None,
        }
    }

    /// Whether the product marks pixels outside the primary beam as invalid: `mask0` in a CASA
    /// image, NaN in FITS.
    pub fn has_mask(self) -> bool {
        matches!(self, Self::Residual | Self::Image | Self::ImagePbcor | Self::Pb)
    }

    /// Whether the product's header carries restoring beams.
    pub fn has_beam(self) -> bool {
        matches!(self, Self::Psf | Self::Image | Self::ImagePbcor)
    }

    /// Whether a CASA image holds 0 under the mask. tclean keeps the numbers of `.image` and
    /// `.residual` there, and zeroes what has been divided by the primary beam, and the beam itself.
    pub(super) fn zero_where_invalid(self) -> bool {
        matches!(self, Self::Pb | Self::ImagePbcor)
    }

    /// Pixels of a plane along x and y on a grid of `nx × ny`.
    pub(super) fn plane_shape(self, nx: usize, ny: usize) -> (usize, usize) {
        if self == Self::Sumwt { (1, 1) } else { (nx, ny) }
    }
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

impl Format {
    /// Where a product of `imagename` lies: `NAME.image` or `NAME.image.fits`.
    pub fn path(self, imagename: &Path, product: Product) -> PathBuf {
        let mut path = imagename.as_os_str().to_owned();
        path.push(".");
        path.push(product.suffix());
        if self == Self::Fits {
            path.push(".fits");
        }
        path.into()
    }
}
