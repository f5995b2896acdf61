//! CASA's ConcatImage: `imageconcat.json` in a directory, which names images that follow each other along one
//! axis.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;

use super::{Axes, CubeReader, Plane, World};
use crate::{
    cube::staging::LIST,
    error::{Error, Result},
};

/// What the file holds, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Concat {
    axis: usize,
    images: Vec<String>,
}

/// Images that follow each other. One is open at a time, as there may be more than files that a process may have
/// open.
#[derive(Debug)]
pub(super) struct Parts {
    /// Each with its first channel.
    images: Vec<(usize, PathBuf)>,
    /// The one that was read last, and its number.
    open: Mutex<Option<(usize, Arc<CubeReader>)>>,
}

impl Parts {
    /// Reads the plane of a Stokes index and channel.
    pub(super) fn read_plane(&self, stokes: usize, channel: usize) -> Result<Plane> {
        let k = self.images.partition_point(|(first, _)| *first <= channel) - 1;
        let (first, path) = &self.images[k];
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let image = match &*open {
            Some((number, image)) if *number == k => Arc::clone(image),
            _ => {
                let image = Arc::new(CubeReader::open(path)?);
                *open = Some((k, Arc::clone(&image)));
                image
            }
        };
        drop(open);
        image.read_plane(stokes, channel - first)
    }
}

/// Opens the images that `path` refers to.
pub(super) fn open(path: &Path) -> Result<(Axes, World, Parts)> {
    let bad = |problem: String| {
        let remedy = "make it anew (cubeclean concat, or CASA's ia.imageconcat)";
        Error::data(path, LIST, problem, remedy)
    };
    let file = path.join(LIST);
    let text = std::fs::read_to_string(&file).map_err(|e| Error::io("read", &file, e))?;
    let concat: Concat =
        serde_json::from_str(&text).map_err(|e| bad(format!("cannot be read ({e})")))?;
    let mut images = Vec::new();
    let mut channels = 0;
    let mut first: Option<CubeReader> = None;
    for name in &concat.images {
        let image = resolve(path, name);
        // An image that refers to itself would never end.
        if image.join(LIST).exists() {
            return Err(bad(format!("refers to {name}, which is virtual itself")));
        }
        let part = CubeReader::open(&image)?;
        let [nx, ny, nstokes, nchan] = part.shape();
        images.push((channels, image));
        channels += nchan;
        let first = first.get_or_insert(part);
        if first.shape()[..3] != [nx, ny, nstokes] {
            return Err(bad(format!("{name} is of another shape than the first")));
        }
    }
    let Some(first) = first else { return Err(bad("names no image".into())) };
    if concat.axis != first.axes.channel.unwrap_or(3) {
        let axis = concat.axis;
        return Err(bad(format!("concatenates along axis {axis}, not the spectral one")));
    }
    let (mut axes, world) = (first.axes.clone(), first.world.clone());
    let axis = concat.axis;
    if axis >= axes.lengths.len() {
        return Err(bad(format!("concatenates along axis {axis}, which the images do not have")));
    }
    axes.lengths[axis] = channels;
    axes.channel = Some(axis);
    Ok((axes, world, Parts { images, open: Mutex::default() }))
}

/// `././X` lies in the directory, `./X` beside it, and all else where it says.
fn resolve(directory: &Path, name: &str) -> PathBuf {
    if let Some(inside) = name.strip_prefix("././") {
        return directory.join(inside);
    }
    match name.strip_prefix("./") {
        Some(beside) => directory.parent().unwrap_or(Path::new(".")).join(beside),
        None => PathBuf::from(name),
    }
}
