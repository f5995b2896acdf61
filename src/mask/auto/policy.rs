//! auto-multithresh as the mask hook of a round of cleaning.

use super::{AutoMultithresh, ChannelState, Surroundings, Threshold, Update};
use crate::{
    error::Result,
    mask::{ChannelMask, Mask, MaskInput, MaskPolicy},
};

/// usemask='auto-multithresh' for a cube. Channels are independent of each other; the rounds update
/// them in parallel.
#[derive(Clone, Debug)]
pub struct AutoMasks {
    parameters: AutoMultithresh,
    nx: usize,
    ny: usize,
    cell: [f64; 2],
    verbose: bool,
}

impl AutoMasks {
    /// For planes of `nx × ny` pixels of `cell` rad along x and y.
    ///
    /// # Errors
    /// Parameters that no mask can be made with.
    pub fn new(parameters: AutoMultithresh, nx: usize, ny: usize, cell: [f64; 2]) -> Result<Self> {
        parameters.validate()?;
        Ok(Self { parameters, nx, ny, cell, verbose: false })
    }

    /// Reports each update at the level of information, as tclean's `verbose`, not of debugging.
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }

    /// The mask of a channel whose pixels that count are `within` ([`super::region`]); `None`: those
    /// inside the primary beam's limit. It begins with the mask `before`, of an earlier run: as in tclean
    /// (measured), the first update adds to it, and only later ones grow it.
    pub fn channel_within(
        &self,
        channel: usize,
        within: Option<Mask>,
        before: Option<Mask>,
    ) -> Box<dyn ChannelMask> {
        let mut state = ChannelState::new(self.nx, self.ny);
        if let Some(mask) = before {
            state.mask = mask;
        }
        Box::new(AutoMaskOfChannel {
            parameters: self.parameters.clone(),
            cell: self.cell,
            within,
            verbose: self.verbose,
            channel,
            state,
        })
    }
}

impl MaskPolicy for AutoMasks {
    fn channel(&self, channel: usize) -> Result<Box<dyn ChannelMask>> {
        Ok(self.channel_within(channel, None, None))
    }
}

#[derive(Clone)]
struct AutoMaskOfChannel {
    parameters: AutoMultithresh,
    cell: [f64; 2],
    within: Option<Mask>,
    verbose: bool,
    channel: usize,
    state: ChannelState,
}

impl ChannelMask for AutoMaskOfChannel {
    fn update(&mut self, input: &MaskInput<'_>) -> Result<()> {
        // Without a main lobe there is no size to prune or to smooth by: the mask stays empty, and
        // the channel ends as one with nothing to clean.
        let Some(&beam) = input.beam else {
            tracing::warn!(channel = self.channel, "no mask: the PSF has no main lobe");
            return Ok(());
        };
        let around = Surroundings {
            region: self.within.as_ref().unwrap_or(input.valid),
            beam,
            cell: self.cell,
            sidelobe_level: input.sidelobe_level,
            at_clean_threshold: input.round > 0 && input.cyclethreshold <= input.threshold,
        };
        if let Some(update) = self.parameters.update(input.residual, &around, &mut self.state) {
            self.report(input.round, &update);
        }
        Ok(())
    }

    fn mask(&self) -> &Mask {
        &self.state.mask
    }

    fn needs_residual(&self) -> bool {
        self.state.stopped.is_none()
    }

    fn nsigma_adds_median(&self) -> bool {
        true
    }

    fn boxed(&self) -> Box<dyn ChannelMask> {
        Box::new(self.clone())
    }
}

impl AutoMaskOfChannel {
    fn report(&self, round: usize, update: &Update) {
        let channel = self.channel;
        if self.verbose {
            tracing::info!(channel, round, "automask: {update}");
        } else {
            tracing::debug!(channel, round, "automask: {update}");
        }
        if let Some(stopped) = self.state.stopped {
            tracing::debug!(channel, round, ?stopped, "automask: no further updates");
        }
    }
}

impl std::fmt::Display for Update {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = match self.kind {
            Threshold::Sidelobe => "sidelobe",
            Threshold::Noise => "noise",
        };
        write!(
            f,
            "{} pixels; median {:.6e}, rms {:.6e}, peak {:.6e} Jy/beam; {by} threshold {:.6e} \
             Jy/beam; {} regions, {} pruned; grown by {} steps to {} regions, {} pruned; \
             {} pixels of absorption",
            self.pixels,
            self.median,
            self.sigma,
            self.peak,
            self.threshold,
            self.regions,
            self.pruned,
            self.growth_steps,
            self.grown,
            self.grown_pruned,
            self.negative_pixels,
        )
    }
}
