//! How a clean mask comes to be: the hook that every round of cleaning calls before it looks at the
//! residual within the mask.

use std::sync::Arc;

use super::Mask;
use crate::{beam::Beam, error::Result};

/// What a channel's mask may depend on, at the beginning of a round.
#[derive(Clone, Copy, Debug)]
pub struct MaskInput<'a> {
    /// Rounds of this channel before this one.
    pub round: usize,
    /// The residual, `ny·nx` values, Jy/beam; empty if [`ChannelMask::needs_residual`] says no.
    pub residual: &'a [f32],
    /// Pixels inside the primary beam's limit.
    pub valid: &'a Mask,
    /// The PSF's beam, if it has one; under one control for the cube, the PSFs' common beam.
    pub beam: Option<&'a Beam>,
    /// The PSF's sidelobe level; under one control for the cube, the highest.
    pub sidelobe_level: f64,
    /// Stop level of the whole job, Jy/beam.
    pub threshold: f32,
    /// Level that the previous minor cycle went down to, Jy/beam; 0 in the first round.
    pub cyclethreshold: f32,
}

/// The mask of one channel through the rounds.
pub trait ChannelMask: Send + Sync {
    /// Brings the mask up to date. Called before the first minor cycle and after every major cycle.
    ///
    /// # Errors
    /// A residual that a mask cannot be made of.
    fn update(&mut self, input: &MaskInput<'_>) -> Result<()>;

    /// The mask as it is.
    fn mask(&self) -> &Mask;

    /// Whether [`ChannelMask::update`] wants to see the residual.
    fn needs_residual(&self) -> bool;

    /// Whether the n-sigma threshold is `nsigma·rms + median` and not `nsigma·rms`: tclean adds the
    /// median with auto-multithresh only (measured).
    fn nsigma_adds_median(&self) -> bool {
        false
    }

    /// A copy of it as it is, to come back to when later rounds turn out to have gone astray.
    fn boxed(&self) -> Box<dyn ChannelMask>;
}

/// A way to make masks: `usemask`.
pub trait MaskPolicy: Sync {
    /// The mask of an image channel (index in the whole cube), as it is before the first round.
    ///
    /// # Errors
    /// A mask on disk that cannot be read, or does not fit.
    fn channel(&self, channel: usize) -> Result<Box<dyn ChannelMask>>;
}

/// Masks that cleaning does not change: usemask='user' and 'pb', or none at all.
///
/// `pblimit` does not restrict them, as in tclean (measured): without a mask, components may be
/// placed where the image is blank.
#[derive(Clone, Debug)]
pub struct FixedMask {
    /// One mask for all channels, or one each.
    masks: Vec<Arc<Mask>>,
}

impl FixedMask {
    /// The same mask for every channel.
    pub fn all_channels(mask: Mask) -> Self {
        Self { masks: vec![Arc::new(mask)] }
    }

    /// The whole plane of every channel: usemask='user' without a mask.
    pub fn everywhere(nx: usize, ny: usize) -> Self {
        Self::all_channels(Mask::new(nx, ny, true))
    }

    /// A mask for each image channel of the cube; equal ones may share memory.
    pub fn per_channel(masks: Vec<Arc<Mask>>) -> Self {
        Self { masks }
    }

    /// The mask of an image channel.
    pub fn mask(&self, channel: usize) -> Option<&Arc<Mask>> {
        match self.masks.as_slice() {
            [only] => Some(only),
            masks => masks.get(channel),
        }
    }
}

impl MaskPolicy for FixedMask {
    fn channel(&self, channel: usize) -> Result<Box<dyn ChannelMask>> {
        let mask = self.mask(channel).ok_or_else(|| {
            crate::Error::parameter(
                "mask",
                format!("{} channels", self.masks.len()),
                format!("has no channel {channel}"),
                "give a mask of one channel, or of all the cube's",
            )
        })?;
        Ok(Box::new(Fixed(mask.clone())))
    }
}

/// A channel of a [`FixedMask`].
struct Fixed(Arc<Mask>);

impl ChannelMask for Fixed {
    fn update(&mut self, _input: &MaskInput<'_>) -> Result<()> {
        Ok(())
    }

    fn mask(&self) -> &Mask {
        &self.0
    }

    fn needs_residual(&self) -> bool {
        false
    }

    fn boxed(&self) -> Box<dyn ChannelMask> {
        Box::new(Self(self.0.clone()))
    }
}
