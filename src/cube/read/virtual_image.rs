//! CASA's ConcatImage: `imageconcat.json` in a directory, which names images that follow each other along one
//! axis.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Axes, CubeReader, World};
use crate::error::{Error, Result};

/// What the file holds, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Concat {
    axis: usize,
    images: Vec<String>,
}

/// Images, each with its first channel.
pub(super) type Parts = Vec<(usize, CubeReader)>;

/// Opens the images that `path` refers to.
pub(super) fn open(path: &Path) -> Result<(Axes, World, Parts)> {
    let bad = |problem: String| {
        let remedy = "make it anew (cubeclean concat, or CASA's ia.imageconcat)";
        Error::data(path, "imageconcat.json", problem, remedy)
    };
    let file = path.join("imageconcat.json");
    let text = std::fs::read_to_string(&file).map_err(|e| Error::io("read", &file, e))?;
    let concat: Concat =
        serde_json::from_str(&text).map_err(|e| bad(format!("cannot be read ({e})")))?;
    let mut parts = Vec::new();
    let mut channels = 0;
    for name in &concat.images {
        let image = resolve(path, name);
        // An image that refers to itself would never end.
        if image.join("imageconcat.json").exists() {
            return Err(bad(format!("refers to {name}, which is virtual itself")));
        }
        let part = CubeReader::open(&image)?;
        let first = channels;
        channels += part.shape()[3];
        parts.push((first, part));
    }
    let Some((_, first)) = parts.first() else { return Err(bad("names no image".into())) };
    if concat.axis != first.channel_axis() {
        let axis = concat.axis;
        return Err(bad(format!("concatenates along axis {axis}, not the spectral one")));
    }
    let [nx, ny, nstokes, _] = first.shape();
    if let Some((_, other)) = parts.iter().find(|(_, p)| p.shape()[..3] != [nx, ny, nstokes]) {
        return Err(bad(format!("{} is of another shape than the first", other.path().display())));
    }
    let (mut axes, world) = (first.axes.clone(), first.world.clone());
    let axis = concat.axis;
    if axis >= axes.lengths.len() {
        return Err(bad(format!("concatenates along axis {axis}, which the images do not have")));
    }
    axes.lengths[axis] = channels;
    axes.channel = Some(axis);
    Ok((axes, world, parts))
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
