//! Writes a [`Job`] as a MeasurementSet, for other programs to do the same work.

mod main_table;
mod schema;
mod subtables;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use super::{
    array::{DURATION, Tracks},
    job::{Job, freq_hz},
};
use crate::error::{Error, Result};

/// Midpoint of the first integration, UTC, MJD seconds: the source goes through ALMA's meridian in the
/// middle of the observation (on 15 June 2022).
const START_S: f64 = 5_162_042_435.8 - DURATION / 2.0;
/// Midpoint of the last one.
const END_S: f64 = START_S + DURATION;

/// Correlations: XX and YY.
const CORRELATIONS: usize = 2;
/// Weight of each, and its sigma. Stokes I, with the sum of both, has the job's weight of 1.
const WEIGHT: f32 = 0.5;
const SIGMA: f32 = std::f32::consts::SQRT_2;

/// How the MeasurementSet is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsLayout {
    /// Replace one that is there.
    pub overwrite: bool,
    /// Channels that a tile of the visibilities holds, at most. Who reads a part of the channels should not have
    /// to read all of them; but data from elsewhere may have them all in one tile.
    pub tile_channels: usize,
}

impl Default for MsLayout {
    fn default() -> Self {
        Self { overwrite: false, tile_channels: 64 }
    }
}

/// Writes the MeasurementSet `path` of a job: antennas, tracks, channels and visibilities are those of
/// [`super::Synthetic`], so that Stokes I of this set, with natural weights, is its block to the last
/// bit. (XX and YY hold the same numbers, noise included.) Memory does not grow with the rows.
///
/// # Errors
/// Sizes that are no job; a path that is taken ([`Error::Exists`]), by other than a MeasurementSet even
/// with `overwrite`; a disk that is full.
pub fn write_ms(job: &Job, path: &Path, layout: MsLayout) -> Result<()> {
    let MsLayout { overwrite, tile_channels } = layout;
    job.check()?;
    check_free(path, overwrite)?;
    let temporary = with_ending(path, ".incomplete");
    remove(&temporary)?;
    fs::create_dir_all(&temporary).map_err(|e| Error::io("create", &temporary, e))?;
    let tracks = Tracks::new(job.rows, job.cell(), freq_hz(job.channels - 1));
    let written = subtables::write(&temporary, job, &tracks)
        .and_then(|()| main_table::write(&temporary, job, &tracks, tile_channels.max(1)));
    if let Err(error) = written {
        // The error is what matters; what cannot be removed is removed by the next attempt.
        let _ = remove(&temporary);
        return Err(error);
    }
    check_free(path, overwrite)?;
    remove(path)?;
    fs::rename(&temporary, path).map_err(|e| Error::io("rename", &temporary, e))
}

/// Fails if the name is taken, unless by a MeasurementSet that may be overwritten.
fn check_free(path: &Path, overwrite: bool) -> Result<()> {
    let remedy = match fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(_) if !overwrite => "give --overwrite, or another path",
        Ok(found) if found.is_dir() && is_measurement_set(path) => return Ok(()),
        Ok(_) => "it is no MeasurementSet, so --overwrite leaves it: move it away yourself",
    };
    Err(Error::Exists { path: path.to_owned(), remedy: remedy.into() })
}

fn is_measurement_set(path: &Path) -> bool {
    let info = fs::read_to_string(path.join("table.info")).unwrap_or_default();
    info.starts_with("Type = Measurement Set") && path.join("table.dat").exists()
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, e)),
        _ => Ok(()),
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    // `a.ms/` is `a.ms`.
    let mut name = path.components().as_path().as_os_str().to_owned();
    name.push(OsStr::new(ending));
    name.into()
}
