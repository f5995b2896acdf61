//! Which minor cycle is run, and what one channel's share of it takes and gives.

use super::multiscale::{self, Shape};
use crate::mask::Mask;

/// The algorithm of the minor cycle, with what only it needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Deconvolver {
    /// One point component at a time (Högbom 1974).
    #[default]
    Hogbom,
    /// Components found with a patch of the PSF, subtracted exactly now and then (Clark 1980).
    Clark,
    /// Components of several widths (Cornwell 2008).
    Multiscale(Scales),
}

impl Deconvolver {
    /// Planes of each channel that the minor cycle takes, in the backend's memory, beside residual, PSF
    /// and model.
    pub fn extra_planes(&self) -> usize {
        match self {
            // What multiscale takes is not kept from cycle to cycle, nor for all channels at a time.
            Self::Hogbom | Self::Multiscale(_) => 0,
            // The residual that the inner loop works on.
            Self::Clark => 1,
        }
    }

    /// Bytes of host memory that a minor cycle takes for each thread, on images of `ny·nx` pixels.
    pub fn host_bytes(&self, nx: usize, ny: usize) -> usize {
        match self {
            Self::Multiscale(scales) => multiscale::host_bytes(scales, nx, ny),
            Self::Hogbom | Self::Clark => 0,
        }
    }

    /// Adds components ([`MinorResult`]) to a model plane on the host, `nx` pixels a row, in their order
    /// and in the arithmetic of the minor cycle: the model gets the same bits.
    pub fn add_to(&self, model: &mut [f32], nx: usize, components: &[(u32, f32)], scales: &[u8]) {
        match self {
            Self::Multiscale(set) if !scales.is_empty() => {
                let shapes: Vec<Shape> =
                    set.pixels.iter().map(|&width| Shape::new(width)).collect();
                for (&(pixel, flux), &scale) in components.iter().zip(scales) {
                    shapes[usize::from(scale)].add_to(model, nx, pixel as usize, flux);
                }
            }
            _ => {
                for &(pixel, flux) in components {
                    model[pixel as usize] += flux;
                }
            }
        }
    }
}

/// The component shapes of [`Deconvolver::Multiscale`].
#[derive(Clone, Debug, PartialEq)]
pub struct Scales {
    /// Widths of the components, pixels; 0: a point. Distinct, ascending, at least one.
    pub pixels: Vec<f32>,
    /// tclean's `smallscalebias`, -1 to 1: above 0 small scales are preferred, below 0 large ones.
    pub smallscalebias: f32,
}

impl Scales {
    /// Scales that there may be at most.
    pub const MOST: usize = 32;

    /// Whether components of a width, pixels, find room in an image: they keep 1.5 widths away from its
    /// edges.
    pub fn has_room(width: f32, nx: usize, ny: usize) -> bool {
        multiscale::has_room(width, nx, ny)
    }
}

/// One channel's share of a minor cycle.
#[derive(Clone, Debug)]
pub struct MinorControl<'a> {
    /// Position in the batch.
    pub channel: usize,
    /// Where components may be placed.
    pub mask: &'a Mask,
    /// Loop gain.
    pub gain: f32,
    /// Stop when no |residual| in the mask exceeds this, Jy/beam.
    pub threshold: f32,
    /// Stop after this many components.
    pub max_iter: usize,
    /// Whether the residual is looked at afterwards. A major cycle makes it anew; if one follows, components
    /// that no peak depended on need not be taken off.
    pub keep_residual: bool,
}

/// What a channel's minor cycle did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MinorResult {
    /// (plane index, flux) in the order found; iterations = length. The flux of a point is Jy/pixel; of
    /// a wider component the Jy that its shape sums to where it lies wholly inside the image.
    pub components: Vec<(u32, f32)>,
    /// Index of each component's shape in [`Scales::pixels`]; empty where all are points.
    pub scales: Vec<u8>,
    /// Largest |residual| in the mask afterwards; 0 for an empty mask.
    pub peak: f32,
}
