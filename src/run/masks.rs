//! Where the clean masks of a run come from: `usemask` and `mask`.

use std::path::Path;

use super::plan::Plan;
use crate::{
    config::{Config, MaskChoice},
    cube::MaskFile,
    error::Result,
    mask::{ChannelMask, FixedMask, Mask, MaskPolicy, region::Regions},
};

/// The masks that a configuration asks for.
///
/// # Errors
/// A region that cannot be read, or a mask that does not fit the cube.
pub(super) fn policy<'a>(config: &Config, plan: &'a Plan) -> Result<Box<dyn MaskPolicy + 'a>> {
    let (nx, ny) = (plan.grid.nx, plan.grid.ny);
    Ok(match &config.mask {
        MaskChoice::Everywhere => Box::new(FixedMask::everywhere(nx, ny)),
        MaskChoice::PrimaryBeam(level) => {
            Box::new(PrimaryBeamMasks { plan, pblimit: config.pblimit, level: *level })
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

/// A mask in a CASA image or FITS file, read channel by channel.
struct ImageMasks(MaskFile);

impl MaskPolicy for ImageMasks {
    fn channel(&self, channel: usize) -> Result<Box<dyn ChannelMask>> {
        FixedMask::all_channels(self.0.plane(channel)?).channel(channel)
    }
}
