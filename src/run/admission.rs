//! What a job is going to take of the machine: known, said and checked before anything is written.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    batches::{Batches, HostMemory, Limits, readable},
    machine,
    plan::Plan,
    products,
    source::{self, Blocks, From},
};
use crate::{
    config::{Config, CycleControl, RestoringBeam},
    cube::{self, ConcatMode, Format, Product},
    error::{Error, Result},
};

/// Files that are open beside the products': the journal, libraries, what comes and goes.
const OTHER_FILES: u64 = 32;

/// What a job is going to take.
#[derive(Clone, Debug, Serialize)]
pub struct Admission {
    /// Image, axis and operator, in one line.
    pub image: String,
    /// How many components, and of what; `None` for a dirty cube.
    pub cleaning: Option<String>,
    /// What computes.
    pub backend: String,
    /// Image channels.
    pub channels: usize,
    /// Groups of channels that go through the backend together.
    pub batches: usize,
    /// Channels of the largest batch.
    pub channels_a_batch: usize,
    /// How visibilities are read.
    pub reading: Reading,
    /// Host memory by part.
    pub host: HostMemory,
    /// Host memory to stay within, bytes.
    pub host_limit: u64,
    /// Memory on each device, bytes.
    pub device_bytes: Option<u64>,
    /// Every product in every format.
    pub products: Vec<ProductSize>,
    /// Where they go.
    pub directory: PathBuf,
    /// Bytes that are free there; `None` where the system does not say.
    pub free_bytes: Option<u64>,
    /// Bytes that an interrupted run, or other processes, have written of the products already.
    pub written_bytes: u64,
    /// Files open at a time, for any number of channels.
    pub open_files: u64,
}

/// How visibilities are read.
#[derive(Clone, Debug, Serialize)]
pub struct Reading {
    /// Times that the data of the cube are gone through, and what for.
    pub purposes: Vec<Purpose>,
    /// Blocks of channels that are read one after the other.
    pub blocks: usize,
    /// Where batches find them.
    pub from: From,
    /// Bytes of the selected data, each once: what going through the cube reads at least.
    pub bytes: u64,
    /// Bytes that all that reading brings from the disk, and a sorted copy to it, about.
    pub traffic: u64,
    /// Bytes of the sorted copy; 0 where there is none.
    pub copy: u64,
}

/// What the data of the cube are gone through for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Densities of all channels' samples, for weights.
    Densities,
    /// The beams of all channels, of which a common one is made.
    Beams,
    /// Images.
    Images,
}

/// What a product takes on disk.
#[derive(Clone, Debug, Serialize)]
pub struct ProductSize {
    /// Its suffix.
    pub product: Product,
    /// Its format.
    pub format: Format,
    /// Bytes, at most.
    pub bytes: u64,
    /// Whether parts that are zero take nothing, so that it may be much less.
    pub sparse: bool,
}

impl Admission {
    /// Of a planned job.
    pub(super) fn new(
        config: &Config,
        plan: &Plan,
        batches: &Batches,
        limits: &Limits,
        backend: &str,
    ) -> Result<Self> {
        let all: Vec<_> = products::each(config).collect();
        let names = match config.subcubes {
            Some(how) => cube::subcube_names(&config.imagename, plan.nchan(), how.channels),
            None => vec![config.imagename.clone()],
        };
        let incomplete: Vec<PathBuf> = names
            .iter()
            .flat_map(|name| {
                all.iter().map(|(product, format)| cube::incomplete_path(name, *product, *format))
            })
            .collect();
        let continues = config.resume || config.channel_range.is_some();
        let directory = existing_directory(&config.imagename);
        // Each is open twice where it is written past the page cache.
        let files = |(product, format): &(Product, Format)| match format {
            Format::Casa if product.has_mask() => 4,
            _ => 2,
        };
        Ok(Self {
            image: plan.describe(),
            cleaning: cleaning(config),
            backend: backend.to_owned(),
            channels: plan.nchan(),
            batches: batches.channels.len(),
            channels_a_batch: batches.channels.iter().map(|b| b.len()).max().unwrap_or(0),
            reading: Reading::new(config, plan, &batches.blocks),
            host: batches.host,
            host_limit: limits.host,
            device_bytes: batches.device_bytes,
            products: product_sizes(config, plan)?,
            free_bytes: machine::free_disk(&directory),
            directory,
            written_bytes: if continues { machine::bytes_on_disk(&incomplete) } else { 0 },
            open_files: machine::open_files().unwrap_or(OTHER_FILES)
                + all.iter().map(files).sum::<u64>() * open_at_a_time(config, batches)
                + OTHER_FILES,
        })
    }

    /// Bytes on disk, at least and at most.
    pub fn disk_bytes(&self) -> (u64, u64) {
        let sum = |sparse: bool| {
            let counted = self.products.iter().filter(|p| sparse || !p.sparse);
            counted.map(|p| p.bytes).sum::<u64>()
        };
        (sum(false), sum(true))
    }

    /// Refuses what cannot be; gives a warning about what may not.
    ///
    /// # Errors
    /// [`Error::Resources`] with the numbers.
    pub(super) fn check(&self) -> Result<Option<String>> {
        if let Some(limit) = machine::allow_files(self.open_files)
            && limit < self.open_files
        {
            return Err(Error::Resources {
                resource: "open files".into(),
                needed: self.open_files.to_string(),
                available: limit.to_string(),
                remedy: "raise the limit (ulimit -n), or write fewer --products".into(),
            });
        }
        let Some(free) = self.free_bytes else { return Ok(None) };
        let (least, most) = self.disk_bytes();
        let left = |bytes: u64| bytes.saturating_sub(self.written_bytes);
        if left(least) > free {
            return Err(Error::Resources {
                resource: format!("disk space at {}", self.directory.display()),
                needed: readable(left(least)),
                available: readable(free),
                remedy: "free space there, give another imagename on a larger disk, or write fewer --products"
                    .into(),
            });
        }
        Ok((left(most) > free).then(|| {
            format!(
                "the products may take {} at {}, where {} are free: a full disk stops the run, and \
                 --resume goes on with it",
                readable(left(most)),
                self.directory.display(),
                readable(free)
            )
        }))
    }
}

impl Reading {
    fn new(config: &Config, plan: &Plan, blocks: &Blocks) -> Self {
        let purposes = purposes(config);
        let bytes = plan.selected.bytes_of(&plan.sampling.needed(0..plan.nchan()));
        let copied = matches!(blocks.from, From::SortedCopy { .. });
        Self {
            traffic: blocks.traffic(plan, purposes.len() as u64),
            purposes,
            blocks: blocks.channels.len(),
            from: blocks.from,
            bytes,
            copy: if copied { source::bytes(plan, 0..plan.nchan()) } else { 0 },
        }
    }
}

/// tclean's niter is the cube's, which whoever comes from there is to be reminded of.
fn cleaning(config: &Config) -> Option<String> {
    let of = match config.cyclecontrol {
        CycleControl::Channel => "each channel",
        CycleControl::Cube => "the whole cube",
    };
    (config.niter > 0).then(|| format!("up to {} components in {of}", config.niter))
}

/// Times that the data of the cube are gone through, and what for.
pub(super) fn purposes(config: &Config) -> Vec<Purpose> {
    let natural = config.weighting == crate::config::WeightingScheme::Natural;
    let mut purposes = Vec::new();
    if !config.perchanweightdensity && !natural {
        purposes.push(Purpose::Densities);
    }
    if config.restoration && config.restoringbeam == RestoringBeam::Common {
        purposes.push(Purpose::Beams);
    }
    purposes.push(Purpose::Images);
    purposes
}

fn product_sizes(config: &Config, plan: &Plan) -> Result<Vec<ProductSize>> {
    // Copies are made before what they are copied from is removed.
    let copies = match config.subcubes {
        Some(how) if how.mode == ConcatMode::Paged => 2,
        _ => 1,
    };
    let size = |(product, format): (Product, Format)| {
        Ok(ProductSize {
            product,
            format,
            bytes: copies * cube::product_bytes(product, format, &plan.spec)?,
            sparse: matches!(product, Product::Model | Product::Mask),
        })
    };
    products::each(config).map(size).collect()
}

/// Bytes of disk that are free beside the products, where they go.
pub(super) fn disk_to_spare(config: &Config, plan: &Plan) -> Result<u64> {
    let products: u64 = product_sizes(config, plan)?.iter().map(|p| p.bytes).sum();
    let free = machine::free_disk(&existing_directory(&config.imagename)).unwrap_or(u64::MAX);
    let spare = free.saturating_sub(products);
    // Other processes at the same cube count the same disk.
    let share =
        config.channel_range.as_ref().map_or(1.0, |range| range.len() as f64 / plan.nchan() as f64);
    Ok((spare as f64 * share.min(1.0)) as u64)
}

/// Files of a product that are open at a time: subcubes, of which a batch may touch several.
fn open_at_a_time(config: &Config, batches: &Batches) -> u64 {
    let largest = batches.channels.iter().map(|b| b.len()).max().unwrap_or(1);
    config.subcubes.map_or(1, |how| 1 + largest.div_ceil(how.channels) as u64)
}

/// The nearest directory that exists already.
pub(super) fn existing_directory(imagename: &Path) -> PathBuf {
    let here = Path::new(".");
    let parents = imagename.ancestors().skip(1);
    let named = parents.map(|path| if path.as_os_str().is_empty() { here } else { path });
    named.into_iter().find(|path| path.is_dir()).unwrap_or(here).to_owned()
}

impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.image)?;
        if let Some(cleaning) = &self.cleaning {
            writeln!(f, "  cleaning: {cleaning}")?;
        }
        writeln!(
            f,
            "  batches: {}, of up to {} channels, on {}",
            self.batches, self.channels_a_batch, self.backend
        )?;
        writeln!(f, "  visibilities: {}", self.reading)?;
        let host = &self.host;
        let parts = [
            ("baselines and program", host.fixed),
            ("visibilities", host.visibilities),
            ("channels in work", host.channels),
            ("threads", host.threads),
            ("devices", host.devices),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(name, bytes)| format!("{name} {}", readable(bytes)))
            .collect();
        writeln!(
            f,
            "  memory: {} of {} ({})",
            readable(host.total()),
            readable(self.host_limit),
            parts.join(", ")
        )?;
        if let Some(bytes) = self.device_bytes {
            writeln!(f, "  memory of each device: {}", readable(bytes))?;
        }
        let (_, most) = self.disk_bytes();
        let free =
            self.free_bytes.map_or_else(String::new, |free| format!(", {} free", readable(free)));
        let sparse =
            |product: Product| self.products.iter().any(|p| p.sparse && p.product == product);
        let less = match (sparse(Product::Model), sparse(Product::Mask)) {
            (true, true) => " (model and mask take less where they are zero)",
            (true, false) => " (the model takes less where it is zero)",
            (false, true) => " (the mask takes less where it is zero)",
            (false, false) => "",
        };
        writeln!(f, "  disk at {}: {}{less}{free}", self.directory.display(), readable(most))?;
        write!(f, "  open files: {}", self.open_files)
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, times) = (readable(self.bytes), self.purposes.len());
        let traffic = readable(self.traffic);
        match (self.from, self.blocks) {
            (From::Memory, 1) => write!(f, "{bytes}, read once and kept")?,
            (From::Memory, n) => write!(
                f,
                "{bytes} in {n} blocks of channels, each kept while it is worked on, read {times} ×: {traffic} \
                 from the disk"
            )?,
            (From::Data, _) => write!(
                f,
                "{bytes}, of which no block fits the memory beside a batch: read batch by batch, {times} ×: \
                 {traffic} from the disk"
            )?,
            (From::SortedCopy { .. }, _) => write!(
                f,
                "{bytes}, in tiles of more channels than fit the memory: read once, into a copy in the order of \
                 channels of {} on disk, which is read {times} ×: {traffic} from and to the disk",
                readable(self.copy)
            )?,
        }
        let name = |purpose: &Purpose| match purpose {
            Purpose::Densities => "densities of the cube",
            Purpose::Beams => "beams of the cube",
            Purpose::Images => "images",
        };
        write!(f, " ({})", self.purposes.iter().map(name).collect::<Vec<_>>().join(", "))
    }
}
