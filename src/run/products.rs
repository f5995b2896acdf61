//! The products of a run: one writer per product and format, fed plane by plane.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::journal::Sums;
use crate::{
    beam::Beam,
    config::{Config, MaskChoice},
    cube::{self, Beams, CubeSpec, CubeWriter, Format, Product, Start, Stop},
    error::Result,
    mask::Mask,
};

/// Bytes of planes after which the disk is asked to keep them. A disk that takes writes into memory of its own
/// would bring all of them to its medium at the end, while nobody has anything else to do: 1.4 s for a run of 7 s.
const SYNC_EVERY: u64 = 64 << 20;

/// Writers of all products of a run.
pub(super) struct Products {
    writers: Vec<(Product, Format, Box<dyn CubeWriter>)>,
    /// Bytes of planes that writers were given.
    written: AtomicU64,
}

/// Beams that the products' headers carry.
pub(super) struct ProductBeams {
    /// Fitted to each channel's PSF.
    pub fitted: Vec<Option<Beam>>,
    /// Of the restored images, where it is the same for all.
    pub restored: Option<Beam>,
}

impl Products {
    /// Starts all products, or joins those of an unfinished cube; none has its final name before
    /// [`Products::publish`].
    pub fn create(config: &Config, spec: &CubeSpec, start: Start) -> Result<Self> {
        let create = |(product, format)| {
            let name = &config.imagename;
            let writer = match config.subcubes {
                Some(how) => {
                    cube::create_subcubes(name, product, spec, start, how, config.replaces())?
                }
                None => cube::create(name, product, format, spec, start)?,
            };
            Ok((product, format, writer))
        };
        let writers = each(config).map(create).collect::<Result<_>>()?;
        Ok(Self { writers, written: AtomicU64::new(0) })
    }

    /// Whether a product is asked for.
    pub fn has(&self, product: Product) -> bool {
        self.writers.iter().any(|(p, _, _)| *p == product)
    }

    /// Writes a channel's plane of a product in every format asked for, or in none, and notes the checksums.
    pub fn write(
        &self,
        product: Product,
        channel: usize,
        values: &[f32],
        valid: Option<&Mask>,
        sums: &mut Sums,
    ) -> Result<()> {
        for (_, format, writer) in self.writers.iter().filter(|(p, _, _)| *p == product) {
            sums.push((product, *format, writer.write_plane(0, channel, values, valid)?));
            let bytes = size_of_val(values) as u64;
            let before = self.written.fetch_add(bytes, Ordering::Relaxed);
            if before / SYNC_EVERY != (before + bytes) / SYNC_EVERY {
                // Of all products on one disk, whose memory it empties; of what is in the page cache, of this one.
                writer.sync_around(channel)?;
            }
        }
        Ok(())
    }

    /// Whether all planes of a channel are on disk as they were noted.
    pub fn verify(&self, channel: usize, sums: &Sums) -> Result<bool> {
        for (product, format, writer) in &self.writers {
            let noted = sums.iter().find(|(p, f, _)| (p, f) == (product, format));
            let Some((_, _, noted)) = noted else { return Ok(false) };
            if writer.checksum(0, channel)? != *noted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Counts a channel's planes as written, by whatever process.
    pub fn adopt(&self, channel: usize) {
        self.writers.iter().for_each(|(_, _, writer)| writer.adopt_plane(0, channel));
    }

    /// Brings what is written to the disk.
    pub fn sync(&self) -> Result<()> {
        self.writers.iter().try_for_each(|(_, _, writer)| writer.sync())
    }

    /// Bytes handed to the system so far.
    pub fn bytes_written(&self) -> u64 {
        self.writers.iter().map(|(_, _, writer)| writer.bytes_written()).sum()
    }

    /// Completes all products. At the same time, a thread each: what takes time is waiting for the disk.
    pub fn complete(&self, beams: &ProductBeams) -> Result<()> {
        let fitted = Beams::PerPlane(beams.fitted.clone());
        let restored = beams.restored.map_or_else(|| fitted.clone(), Beams::Common);
        std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .writers
                .iter()
                .map(|(product, _, writer)| {
                    let beams = if *product == Product::Psf { &fitted } else { &restored };
                    scope.spawn(move || writer.complete(beams))
                })
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<()>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().try_for_each(join)
        })
    }

    /// Gives the completed products their names; `stop` ends it where subcubes are being copied.
    pub fn publish(self, config: &Config, nchan: usize, stop: &Stop<'_>) -> Result<Vec<PathBuf>> {
        if config.subcubes.is_some() {
            drop(self);
            return publish_completed(config, nchan, stop);
        }
        remove_older_mask(config)?;
        self.writers.into_iter().map(|(_, _, writer)| writer.publish()).collect()
    }
}

/// The products and formats that a run writes.
pub(super) fn each(config: &Config) -> impl Iterator<Item = (Product, Format)> {
    let formats = |product: Product| config.formats.iter().map(move |&format| (product, format));
    config.products.iter().copied().flat_map(formats)
}

/// Gives completed products of a cube of so many channels the names that they do not have yet.
pub(super) fn publish_completed(
    config: &Config,
    nchan: usize,
    stop: &Stop<'_>,
) -> Result<Vec<PathBuf>> {
    let name = &config.imagename;
    remove_older_mask(config)?;
    let publish = |(product, format)| match config.subcubes {
        Some(how) => cube::publish_subcubes(name, product, nchan, how, config.replaces(), stop),
        None => cube::publish_completed(name, product, format),
    };
    each(config).map(publish).collect()
}

/// Removes the mask of an older cube whose model is about to be replaced by one without: it would be taken for the new
/// model's.
fn remove_older_mask(config: &Config) -> Result<()> {
    let writes = |product| config.products.contains(&product);
    if writes(Product::Mask) || !writes(Product::Model) || config.restart.continues {
        return Ok(());
    }
    let name = &config.imagename;
    for &format in &config.formats {
        let replaced = match config.subcubes {
            Some(_) => config.overwrite,
            // Else the one that is there is of this run, which was killed when some products had their names.
            None => cube::incomplete_path(name, Product::Model, format).exists(),
        };
        let mask = format.path(name, Product::Mask);
        if replaced && format.path(name, Product::Model).exists() && !is_given(&config.mask, &mask)
        {
            cube::remove_product(name, Product::Mask, format)?;
        }
    }
    Ok(())
}

/// Whether a mask is the image or file at `path`.
fn is_given(mask: &MaskChoice, path: &Path) -> bool {
    let MaskChoice::User(given) = mask else { return false };
    let real = |path: &Path| path.canonicalize().ok();
    real(Path::new(given)).is_some_and(|given| real(path) == Some(given))
}

/// Removes what an interrupted run left of the products.
pub(super) fn remove_incomplete(config: &Config, nchan: usize) -> Result<()> {
    let names = match config.subcubes {
        Some(how) => cube::subcube_names(&config.imagename, nchan, how.channels),
        None => vec![config.imagename.clone()],
    };
    names.iter().try_for_each(|name| {
        each(config)
            .try_for_each(|(product, format)| cube::remove_incomplete(name, product, format))
    })
}
