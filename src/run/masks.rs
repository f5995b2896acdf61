//! Where the clean masks of a run come from: `usemask` and `mask`.

use std::path::Path;

use super::{earlier::Earlier, plan::Plan};
use crate::{
    config::{AutoMask, Config, MaskChoice},
    cube::MaskFile,
    error::Result,
    mask::{
        ChannelMask, FixedMask, Mask, MaskPolicy,
        auto::{self, AutoMasks},
        region::Regions,
    },
};

/// The masks that a configuration asks for. Continuing from an earlier run, its mask goes on where none is
/// given, and automatic masks grow from it; tclean does the same (measured).
///
/// # Errors
/// A region that cannot be read, or a mask that does not fit the cube.
pub(super) fn policy<'a>(
    config: &Config,
    plan: &'a Plan,
    earlier: &'a Earlier,
) -> Result<Box<dyn MaskPolicy + 'a>> {
    let (nx, ny) = (plan.grid.nx, plan.grid.ny);
    Ok(match &config.mask {
        MaskChoice::Everywhere => match earlier.masks() {
            Some(masks) => Box::new(EarlierMasks(masks)),
            None => Box::new(FixedMask::everywhere(nx, ny)),
        },
        MaskChoice::PrimaryBeam(level) => {
            Box::new(PrimaryBeamMasks { plan, pblimit: config.pblimit, level: *level })
        }
        MaskChoice::Auto(choice) => {
            Box::new(AutoMasksInBeam::new(choice, plan, earlier, config.pblimit)?)
        }
        MaskChoice::User(text) if is_image(Path::new(text)) => {
            let channels = plan.sampling.grid();
            Box::new(ImageMasks(MaskFile::open(text, &plan.grid, channels)?))
        }
        MaskChoice::User(text) => {
            Box::new(Regions::read(text)?.masks(&plan.grid, plan.sampling.grid())?)
        }
    })
}

/// Whether a path is an image: a CASA image is a directory, and FITS says so at its beginning.
fn is_image(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0; 9];
    path.is_dir()
        || std::fs::File::open(path)
            .and_then(|mut file| file.read_exact(&mut magic))
            .is_ok_and(|()| &magic == b"SIMPLE  =")
}

/// usemask='pb': the pixels where a channel's primary beam is at least `level`.
struct PrimaryBeamMasks<'a> {
    plan: &'a Plan,
    pblimit: f64,
    level: f64,
}

impl MaskPolicy for PrimaryBeamMasks<'_> {
    fn channel(&self, channel: usize) -> Result<Box<dyn ChannelMask>> {
        let pb = self.plan.primary_beam_plane(channel, self.pblimit)?;
        let nx = self.plan.grid.nx;
        let inside = |x: usize, y: usize| {
            let power = f64::from(pb[y * nx + x]);
            power > 0.0 && power >= self.level
        };
        FixedMask::all_channels(Mask::from_fn(nx, self.plan.grid.ny, inside)).channel(channel)
    }
}

/// usemask='auto-multithresh'.
struct AutoMasksInBeam<'a> {
    masks: AutoMasks,
    plan: &'a Plan,
    earlier: &'a Earlier,
    pblimit: f64,
    pbmask: f64,
}

impl<'a> AutoMasksInBeam<'a> {
    fn new(choice: &AutoMask, plan: &'a Plan, earlier: &'a Earlier, pblimit: f64) -> Result<Self> {
        let grid = &plan.grid;
        let cell = [grid.cell_x, grid.cell_y];
        let masks = AutoMasks::new(choice.parameters.clone(), grid.nx, grid.ny, cell)?;
        let masks = masks.verbose(choice.verbose);
        Ok(Self { masks, plan, earlier, pblimit, pbmask: choice.pbmask })
    }
}

impl MaskPolicy for AutoMasksInBeam<'_> {
    fn channel(&self, channel: usize) -> Result<Box<dyn ChannelMask>> {
        let within = if self.pbmask > 0.0 {
            let pb = self.plan.primary_beam_plane(channel, self.pbmask)?;
            Some(auto::region(&pb, self.plan.grid.nx, self.pblimit, self.pbmask))
        } else if self.pblimit < 0.0 {
            // As in tclean, a negative limit blanks nothing.
            Some(Mask::new(self.plan.grid.nx, self.plan.grid.ny, true))
        } else {
            None
        };
        let before = self.earlier.cleaned_mask(channel)?;
        Ok(self.masks.channel_within(channel, within, before))
    }
}

/// A mask in a CASA image or FITS file, read channel by channel.
struct ImageMasks(MaskFile);

impl MaskPolicy for ImageMasks {
    fn channel(&self, channel: usize) -> Result<Box<dyn ChannelMask>> {
        FixedMask::all_channels(self.0.plane(channel)?).channel(channel)
    }
}

/// The masks of an earlier run.
struct EarlierMasks<'a>(&'a MaskFile);

impl MaskPolicy for EarlierMasks<'_> {
    fn channel(&self, channel: usize) -> Result<Box<dyn ChannelMask>> {
        FixedMask::all_channels(self.0.plane(channel)?).channel(channel)
    }
}
