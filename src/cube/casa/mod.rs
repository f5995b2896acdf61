//! CASA images, written in place: a table directory with tiles of pixels, a mask, and keywords.

pub(super) mod keywords;
mod logtable;
mod tables;
mod tiles;

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    error::Result,
    mask::Mask,
    tables::aips::{self, Record},
};

use super::{
    Beams, CubeShape, CubeSpec, CubeWriter, HeaderBeams, Product, complement,
    direct::PageBuffer,
    pixel_file::PixelFile,
    staging::{Staging, TILE_FILE, sync_directory},
};
use tables::{Element, TiledTable};
use tiles::TileLayout;

/// MJD of 1970-01-01, days.
const UNIX_EPOCH_MJD: f64 = 40587.0;

/// Bytes of an image's tiles, and its mask's.
pub(super) fn bytes(product: Product, shape: CubeShape) -> u64 {
    let layout = TileLayout::new(shape);
    let mask = if product.has_mask() { layout.mask_row_bytes() } else { 0 };
    ((layout.pixel_row_bytes() + mask) * layout.rows() * shape.nplanes()) as u64
}

/// A CASA image in the making, whatever its keywords will be.
pub(super) struct CasaFiles {
    staging: Staging,
    layout: TileLayout,
    pixels: TileFile,
    mask: Option<TileFile>,
    /// Whether pixels become 0 where they are not valid.
    zero_where_invalid: bool,
}

impl CasaFiles {
    /// Makes the image's directory with its files of tiles, blank. The metadata, without which it is
    /// no table, are written by `complete`.
    pub(super) fn create(
        staging: Staging,
        shape: CubeShape,
        masked: bool,
        zero_where_invalid: bool,
    ) -> Result<Self> {
        let layout = TileLayout::new(shape);
        let rows = (layout.rows() * shape.nplanes()) as u64;
        let directory = staging.temporary();
        let of_pixels = (layout.pixel_row_bytes(), layout.pixel_tile_bytes());
        let of_masks = (layout.mask_row_bytes(), layout.mask_tile_bytes());
        let pixels = TileFile::create(&staging, directory, rows, of_pixels)?;
        let mask = masked
            .then(|| TileFile::create(&staging, &directory.join("mask0"), rows, of_masks))
            .transpose()?;
        Ok(Self { staging, layout, pixels, mask, zero_where_invalid })
    }

    /// Writes a plane; gives its checksum.
    pub(super) fn write(
        &self,
        stokes: usize,
        channel: usize,
        values: &[f32],
        valid: Option<&Mask>,
    ) -> Result<u32> {
        let layout = &self.layout;
        layout.shape.check_plane(stokes, channel, values, valid)?;
        let first = layout.plane(stokes, channel) * layout.rows();
        let invalid = valid.filter(|_| self.zero_where_invalid).map(complement);
        let mut zeros = invalid.as_ref().map(|m| m.runs().peekable());
        let mut crc = crc32fast::Hasher::new();
        self.pixels.write_rows(&mut crc, first, layout.rows(), |row, out| {
            layout.pack_pixels(row, values, out);
            if let Some(zeros) = &mut zeros {
                layout.clear_pixels(row, zeros, out);
            }
        })?;
        if let Some(file) = &self.mask {
            let all = Mask::new(layout.shape.nx, layout.shape.ny, valid.is_none());
            let mut good = valid.unwrap_or(&all).runs().peekable();
            file.write_rows(&mut crc, first, layout.rows(), |row, out| {
                layout.pack_mask(row, &mut good, out)
            })?;
        }
        Ok(crc.finalize())
    }

    /// The checksum of a plane as it is on disk.
    pub(super) fn sum(&self, stokes: usize, channel: usize) -> Result<u32> {
        let layout = &self.layout;
        if !layout.shape.has(stokes, channel) {
            return Err(layout.shape.no_such_plane(stokes, channel, 0));
        }
        let first = layout.plane(stokes, channel) * layout.rows();
        let mut crc = crc32fast::Hasher::new();
        for file in self.files() {
            file.sum_rows(&mut crc, first, layout.rows())?;
        }
        Ok(crc.finalize())
    }

    fn files(&self) -> impl Iterator<Item = &TileFile> {
        std::iter::once(&self.pixels).chain(&self.mask)
    }

    fn sync(&self) -> Result<()> {
        self.files().try_for_each(|file| file.file.sync())
    }

    /// Syncs the pixels and writes the tables' descriptions and keywords: from here on it is an image. `time`
    /// of the log's lines is in MJD seconds, UTC.
    pub(super) fn complete(&self, keywords: &Record, history: &[String], time: f64) -> Result<()> {
        self.sync()?;
        let directory = self.staging.temporary();
        logtable::write(directory, history, time)?;
        if let Some(mask) = &self.mask {
            self.table("Paged Array", "PagedArray", Element::Bool, mask, &Record::default())
                .write(&directory.join("mask0"))?;
        }
        self.table("Image", "map", Element::Float, &self.pixels, keywords).write(directory)?;
        sync_directory(directory)
    }

    /// Gives the image its name.
    pub(super) fn publish(self) -> Result<PathBuf> {
        self.staging.publish()
    }

    fn table<'a>(
        &self,
        kind: &'static str,
        column: &'static str,
        element: Element,
        tiles: &TileFile,
        keywords: &'a Record,
    ) -> TiledTable<'a> {
        let CubeShape { nx, ny, nstokes, nchan } = self.layout.shape;
        TiledTable {
            kind,
            column,
            element,
            shape: [nx, ny, nstokes, nchan],
            tile: [self.layout.tx, self.layout.ty, 1, 1],
            data_bytes: tiles.bytes,
            keywords,
        }
    }
}

/// Now, MJD seconds, UTC.
pub(super) fn now() -> f64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH_MJD * 86400.0 + unix.as_secs_f64()
}

/// Writes one product as a CASA image.
pub(super) struct CasaWriter {
    product: Product,
    spec: CubeSpec,
    files: CasaFiles,
}

impl CasaWriter {
    /// Makes the image's files, blank.
    pub(super) fn create(
        staging: Staging,
        product: Product,
        shape: CubeShape,
        spec: &CubeSpec,
    ) -> Result<Self> {
        let (masked, zeroed) = (product.has_mask(), product.zero_where_invalid());
        let files = CasaFiles::create(staging, shape, masked, zeroed)?;
        Ok(Self { product, spec: spec.clone(), files })
    }
}

impl CubeWriter for CasaWriter {
    fn write_plane(
        &self,
        stokes: usize,
        channel: usize,
        values: &[f32],
        valid: Option<&Mask>,
    ) -> Result<u32> {
        self.files.write(stokes, channel, values, valid)
    }

    fn checksum(&self, stokes: usize, channel: usize) -> Result<u32> {
        self.files.sum(stokes, channel)
    }

    fn adopt_plane(&self, _: usize, _: usize) {
        // Planes that nobody wrote are blank already.
    }

    fn sync(&self) -> Result<()> {
        self.files.sync()
    }

    fn bytes_written(&self) -> u64 {
        self.files.files().map(|file| file.file.bytes_written()).sum()
    }

    fn complete(&self, beams: &Beams) -> Result<()> {
        let shape = self.files.layout.shape;
        let beams = HeaderBeams::of(beams, self.product, shape.nchan)?;
        let keywords = keywords::image(self.product, &self.spec, shape, &beams);
        self.files.complete(&keywords, &self.spec.history, now())
    }

    fn publish(self: Box<Self>) -> Result<PathBuf> {
        self.files.publish()
    }
}

/// Bytes that are brought to the file's order, and written, at a time, if a plane has as many: a disk takes few large
/// writes better than many small ones.
const AT_A_TIME: usize = 4 << 20;

/// A file of tiles, written in rows of tiles.
struct TileFile {
    file: PixelFile,
    bytes: u64,
    row_bytes: usize,
    tile_bytes: usize,
}

impl TileFile {
    /// Makes the table's directory and in it a sparse file of `rows` rows of tiles.
    fn create(
        staging: &Staging,
        directory: &Path,
        rows: u64,
        (row_bytes, tile_bytes): (usize, usize),
    ) -> Result<Self> {
        staging.create_directory(directory)?;
        let bytes = rows * row_bytes as u64;
        let file = staging.create_pixels(&directory.join(TILE_FILE), bytes)?;
        Ok(Self { file, bytes, row_bytes, tile_bytes })
    }

    /// Writes `count` rows of tiles from `first` on, and adds them to a checksum. `pack(row, out)` fills
    /// all of the row's bytes.
    fn write_rows(
        &self,
        crc: &mut crc32fast::Hasher,
        first: usize,
        count: usize,
        mut pack: impl FnMut(usize, &mut [u8]),
    ) -> Result<()> {
        let at_a_time = (AT_A_TIME / self.row_bytes).clamp(1, count.max(1));
        let mut buffer = PageBuffer::new(at_a_time * self.row_bytes);
        for row in (0..count).step_by(at_a_time) {
            let offset = (first + row) as u64 * self.row_bytes as u64;
            let rows = at_a_time.min(count - row);
            let bytes = buffer.at(offset, rows * self.row_bytes);
            for (i, bytes) in bytes.chunks_exact_mut(self.row_bytes).enumerate() {
                pack(row + i, bytes);
            }
            crc.update(bytes);
            self.file.write_sparse(bytes, offset, self.tile_bytes)?;
        }
        Ok(())
    }

    /// Adds `count` rows of tiles from `first` on, as they are on disk, to a checksum.
    fn sum_rows(&self, crc: &mut crc32fast::Hasher, first: usize, count: usize) -> Result<()> {
        let row_bytes = self.row_bytes as u64;
        self.file.sum(crc, first as u64 * row_bytes, count as u64 * row_bytes)
    }
}
