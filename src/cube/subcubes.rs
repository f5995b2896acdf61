//! A product that is written as subcubes, images of some channels each, and made one at the end.
//!
//! Subcube k of `NAME.image` is `NAME.subcube.k.image` and holds channels `k·n..(k+1)·n`. To whoever writes planes
//! they are one product. A subcube is open while planes of it are being written: few are, of however many.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Beams, ConcatMode, CubeSpec, CubeWriter, Format, Product, Start,
    concat::{Concat, Stop},
    create, product_path, publish_completed, staging,
};
use crate::{
    error::{Error, Result},
    mask::Mask,
    spectral::ChannelGrid,
};

/// How subcubes become one cube.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subcubes {
    /// How.
    pub mode: ConcatMode,
    /// Channels of a subcube.
    pub channels: usize,
    /// Whether they stay after they were copied.
    pub keep: bool,
}

/// The names of the subcubes of a cube of `nchan` channels: each the name of its own products.
pub fn subcube_names(imagename: &Path, nchan: usize, channels: usize) -> Vec<PathBuf> {
    let name = |k: usize| {
        let mut name = imagename.as_os_str().to_owned();
        name.push(format!(".subcube.{k}"));
        PathBuf::from(name)
    };
    (0..nchan.div_ceil(channels)).map(name).collect()
}

/// Writes a product as subcubes.
pub(super) struct SubcubesWriter {
    imagename: PathBuf,
    product: Product,
    spec: CubeSpec,
    how: Subcubes,
    overwrite: bool,
    parts: Vec<Mutex<Part>>,
}

/// One subcube.
struct Part {
    name: PathBuf,
    writer: Option<Arc<dyn CubeWriter>>,
    /// Planes written since it was opened.
    written: usize,
    /// Bytes handed to the system by writers that are closed.
    bytes: u64,
}

impl SubcubesWriter {
    /// Starts a product; `overwrite` tells whether one that is there may be replaced at the end.
    pub(super) fn create(
        imagename: &Path,
        product: Product,
        spec: &CubeSpec,
        start: Start,
        how: Subcubes,
        overwrite: bool,
    ) -> Result<Self> {
        let whole = product_path(imagename, product);
        match start {
            Start::New { overwrite: true } => staging::remove_abandoned(&whole, Format::Casa)?,
            _ if !overwrite => staging::check_free(&whole)?,
            _ => (),
        }
        let names = subcube_names(imagename, spec.channels.nchan, how.channels);
        for name in &names {
            let target = product_path(name, product);
            match start {
                Start::New { overwrite: true } => staging::remove_abandoned(&target, Format::Casa)?,
                Start::New { overwrite: false } => staging::check_free(&target)?,
                Start::Join if !overwrite && target.exists() => {
                    let remedy = "it is of another run: move it away, or give --overwrite";
                    return Err(Error::Exists { path: target, remedy: remedy.into() });
                }
                Start::Join => (),
            }
        }
        let part = |name| Mutex::new(Part { name, writer: None, written: 0, bytes: 0 });
        Ok(Self {
            imagename: imagename.to_owned(),
            product,
            spec: spec.clone(),
            how,
            overwrite,
            parts: names.into_iter().map(part).collect(),
        })
    }

    /// The channels of a subcube.
    fn channels(&self, k: usize) -> std::ops::Range<usize> {
        let first = k * self.how.channels;
        first..(first + self.how.channels).min(self.spec.channels.nchan)
    }

    /// Its header: the same but for the axis.
    fn spec(&self, k: usize) -> CubeSpec {
        let channels = self.channels(k);
        let whole = &self.spec.channels;
        let start_hz = whole.freq_hz(channels.start);
        let channels = ChannelGrid { start_hz, nchan: channels.len(), ..whole.clone() };
        CubeSpec { channels, ..self.spec.clone() }
    }

    fn lock(&self, k: usize) -> std::sync::MutexGuard<'_, Part> {
        self.parts[k].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer of a subcube, opened if need be.
    fn writer(&self, k: usize) -> Result<Arc<dyn CubeWriter>> {
        let mut part = self.lock(k);
        if let Some(writer) = &part.writer {
            return Ok(Arc::clone(writer));
        }
        let writer = create(&part.name, self.product, Format::Casa, &self.spec(k), Start::Join)?;
        let writer: Arc<dyn CubeWriter> = Arc::from(writer);
        part.writer = Some(Arc::clone(&writer));
        part.written = 0;
        Ok(writer)
    }

    /// Closes a subcube.
    fn close(&self, k: usize) {
        let mut part = self.lock(k);
        if let Some(writer) = part.writer.take() {
            part.bytes += writer.bytes_written();
        }
    }

    fn place(&self, channel: usize) -> (usize, usize) {
        (channel / self.how.channels, channel % self.how.channels)
    }
}

impl CubeWriter for SubcubesWriter {
    fn write_plane(
        &self,
        stokes: usize,
        channel: usize,
        values: &[f32],
        valid: Option<&Mask>,
    ) -> Result<u32> {
        let (k, within) = self.place(channel);
        let sum = self.writer(k)?.write_plane(stokes, within, values, valid)?;
        let planes = self.channels(k).len() * self.spec.stokes.len();
        let mut part = self.lock(k);
        part.written += 1;
        let full = part.written >= planes;
        drop(part);
        if full {
            self.close(k);
        }
        Ok(sum)
    }

    fn checksum(&self, stokes: usize, channel: usize) -> Result<u32> {
        let (k, within) = self.place(channel);
        self.writer(k)?.checksum(stokes, within)
    }

    fn adopt_plane(&self, _: usize, _: usize) {}

    fn sync(&self) -> Result<()> {
        // Those that are closed too: what was written must be on the disk.
        (0..self.parts.len()).try_for_each(|k| {
            let name = self.lock(k).name.clone();
            let temporary = staging::incomplete(&product_path(&name, self.product));
            if temporary.exists() {
                self.writer(k)?.sync()?;
                self.close(k);
            }
            Ok(())
        })
    }

    fn sync_around(&self, channel: usize) -> Result<()> {
        let (k, _) = self.place(channel);
        let open = self.lock(k).writer.clone();
        open.map_or(Ok(()), |writer| writer.sync())
    }

    fn bytes_written(&self) -> u64 {
        let of = |k| {
            let part = self.lock(k);
            part.bytes + part.writer.as_ref().map_or(0, |writer| writer.bytes_written())
        };
        (0..self.parts.len()).map(of).sum()
    }

    fn complete(&self, beams: &Beams) -> Result<()> {
        for k in 0..self.parts.len() {
            let of_part = match beams {
                Beams::PerPlane(all) => {
                    let largest = super::largest(all);
                    let filled = all[self.channels(k)].iter().map(|beam| beam.or(largest));
                    Beams::PerPlane(filled.collect())
                }
                other => other.clone(),
            };
            self.writer(k)?.complete(&of_part)?;
            self.close(k);
        }
        Ok(())
    }

    fn publish(self: Box<Self>) -> Result<PathBuf> {
        let nchan = self.spec.channels.nchan;
        let (name, product, how) = (&self.imagename, self.product, self.how);
        publish_subcubes(name, product, nchan, how, self.overwrite, &|| Ok(()))
    }
}

/// Gives completed subcubes of a product their names, and makes them one. May be called again after a crash, or
/// after `stop`, which is asked between planes that are copied, had ended it.
///
/// # Errors
/// As [`publish_completed`] and [`Concat::run`].
pub fn publish_subcubes(
    imagename: &Path,
    product: Product,
    nchan: usize,
    how: Subcubes,
    overwrite: bool,
    stop: &Stop<'_>,
) -> Result<PathBuf> {
    let out = product_path(imagename, product);
    let names = subcube_names(imagename, nchan, how.channels);
    let paths: Vec<PathBuf> = names.iter().map(|name| product_path(name, product)).collect();
    let moving = staging::incomplete(&out).exists();
    // What a killed run was through with: the cube is there, and subcubes are gone into it, or removed.
    if staging::Staging::settle(&out)? || (out.exists() && !moving && are_used(&paths, &out, how)) {
        return remove_copied(&paths, how).map(|()| out);
    }
    let there = |path: &PathBuf| path.exists() || staging::incomplete(path).exists();
    for (name, path) in names.iter().zip(&paths) {
        // Those that were moved into the cube have had their names.
        if there(path) || how.mode != ConcatMode::MoveVirtual {
            publish_completed(name, product, Format::Casa)?;
        }
    }
    let command = format!("concatenated from {} subcubes", paths.len());
    // Complete subcubes are newer than whatever is there under the cube's names, but for what was moved.
    let copying = how.mode != ConcatMode::MoveVirtual && moving;
    let overwrite = overwrite || out.exists() || copying;
    Concat { mode: how.mode, overwrite, command: &command, stop }.run(&out, &paths)?;
    remove_copied(&paths, how).map(|()| out)
}

/// Whether subcubes are gone because the cube that is there was made of them.
fn are_used(paths: &[PathBuf], out: &Path, how: Subcubes) -> bool {
    let there = |path: &Path| path.exists() || staging::incomplete(path).exists();
    let gone = paths.iter().filter(|path| !there(path)).count();
    gone > 0
        && match how.mode {
            ConcatMode::MoveVirtual => paths
                .iter()
                .all(|path| path.file_name().is_some_and(|name| out.join(name).exists())),
            // They are removed in their order.
            ConcatMode::Paged => !how.keep && paths[..gone].iter().all(|path| !there(path)),
            ConcatMode::Virtual => false,
        }
}

/// Removes subcubes that were copied, unless they are to be kept.
fn remove_copied(paths: &[PathBuf], how: Subcubes) -> Result<()> {
    if how.mode != ConcatMode::Paged || how.keep {
        return Ok(());
    }
    paths.iter().try_for_each(|path| staging::remove_at_once(path))
}
