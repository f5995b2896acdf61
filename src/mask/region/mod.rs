//! Masks from regions in CASA's region text format (CRTF), given in the parameter itself or in a file.
//!
//! Shapes: box, centerbox, circle, ellipse, annulus, rotbox, poly; in pixels or on the sky (angles,
//! sexagesimal; J2000 or ICRS). A line with `-` in front takes pixels out of what the lines above it
//! have put in. `range=` limits a region to channels, frequencies or velocities. A pixel
//! belongs to a shape if its centre does, edges included (measured on CASA; an annulus excludes
//! its inner edge).

mod parse;
mod shape;

use std::{collections::HashMap, path::Path, sync::Arc};

use super::{FixedMask, Mask};
use crate::{
    error::{Error, Result},
    geometry::ImageGrid,
    spectral::ChannelGrid,
};

use parse::{Range, Region};

/// Regions, in the order they apply.
#[derive(Clone, Debug)]
pub struct Regions {
    /// As the user gave it: the text itself or the path of the file.
    source: String,
    regions: Vec<Region>,
}

impl Regions {
    /// Reads the value of `mask`: a region such as `circle[[128pix,128pix],50pix]`, several on lines of
    /// their own, or the path of a file that begins with `#CRTF`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for text that is no region, [`Error::Data`] for a file of another kind or
    /// with a bad line, [`Error::Io`] for one that cannot be read.
    pub fn read(mask: &str) -> Result<Self> {
        let source = mask.trim().to_owned();
        if source.contains('[') && !Path::new(&source).exists() {
            let regions = parse::lines(&source, |_, text, problem| {
                Error::parameter("mask", text, problem, REMEDY)
            })?;
            return Self::new(source, regions);
        }
        let text = std::fs::read(&source).map_err(|e| Error::io("read", &source, e))?;
        let bad = |what: String, problem: &str| Error::data(&source, what, problem, REMEDY);
        if !text.starts_with(b"#CRTF") {
            return Err(bad("first line".into(), "is not #CRTF, so this is no CASA region file"));
        }
        let text = String::from_utf8(text)
            .map_err(|_| bad("text".into(), "holds bytes that are not UTF-8"))?;
        let regions = parse::lines(&text, |line, text, problem| {
            bad(format!("line {line}, {text:?}"), problem)
        })?;
        Self::new(source, regions)
    }

    fn new(source: String, regions: Vec<Region>) -> Result<Self> {
        let wrong = |problem| Err(Error::parameter("mask", &source, problem, REMEDY));
        match regions.first() {
            None => wrong("has no region"),
            Some(first) if first.exclude => {
                wrong("begins with an exclusion, with nothing before it")
            }
            Some(_) => Ok(Self { source, regions }),
        }
    }

    /// The masks of a cube's channels. Channels to which the same regions apply share a mask.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a shape cannot be brought to pixels, a `range` is in another frame, or no
    /// pixel of the cube is in any region.
    pub fn masks(&self, grid: &ImageGrid, channels: &ChannelGrid) -> Result<FixedMask> {
        let wrong =
            |problem: String, remedy: &str| Error::parameter("mask", &self.source, problem, remedy);
        let planes = self
            .regions
            .iter()
            .map(|region| region.shape.mask(grid).map_err(|problem| wrong(problem, REMEDY)))
            .collect::<Result<Vec<_>>>()?;
        if self.regions.iter().all(|r| r.range == Range::All) {
            let mask = self.combine(grid, &planes, &vec![true; planes.len()]);
            return self.checked(vec![Arc::new(mask)]);
        }
        let mut known: HashMap<Vec<bool>, Arc<Mask>> = HashMap::new();
        let masks = (0..channels.nchan)
            .map(|channel| {
                let apply = self
                    .regions
                    .iter()
                    .map(|r| r.range.holds(channel, channels).map_err(|p| wrong(p, REMEDY)))
                    .collect::<Result<Vec<bool>>>()?;
                let mask = known
                    .entry(apply)
                    .or_insert_with_key(|apply| Arc::new(self.combine(grid, &planes, apply)));
                Ok(mask.clone())
            })
            .collect::<Result<Vec<_>>>()?;
        self.checked(masks)
    }

    fn combine(&self, grid: &ImageGrid, planes: &[Mask], apply: &[bool]) -> Mask {
        let mut mask = Mask::new(grid.nx, grid.ny, false);
        for ((region, plane), _) in
            self.regions.iter().zip(planes).zip(apply).filter(|(_, apply)| **apply)
        {
            if region.exclude { mask.subtract(plane) } else { mask.or(plane) }
        }
        mask
    }

    fn checked(&self, masks: Vec<Arc<Mask>>) -> Result<FixedMask> {
        if masks.iter().all(|mask| mask.is_empty()) {
            return Err(Error::parameter(
                "mask",
                &self.source,
                "no pixel of the cube is in it",
                "check positions against the phase centre, imsize and cell, and the range",
            ));
        }
        Ok(FixedMask::per_channel(masks))
    }
}

const REMEDY: &str = "write regions like circle[[128pix,128pix],50pix] or \
                      box[[18h00m01s,-30d00m10s],[17h59m59s,-29d59m50s]], range=[3chan,9chan]";

#[cfg(test)]
mod tests;
