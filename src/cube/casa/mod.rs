//! CASA images, written in place: a table directory with tiles of pixels, a mask, and keywords.

mod aips;
mod keywords;
mod logtable;
mod tables;
mod tiles;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    error::{Error, Result},
    mask::Mask,
};

use super::{
    Beams, CubeShape, CubeSpec, CubeWriter, HeaderBeams, Product, complement,
    staging::{Staging, TILE_FILE, sync_directory, write_all_at},
};
use aips::Record;
use tables::{Element, TiledTable};
use tiles::TileLayout;

/// MJD of 1970-01-01, days.
const UNIX_EPOCH_MJD: f64 = 40587.0;

/// Writes one product as a CASA image.
pub(super) struct CasaWriter {
    staging: Staging,
    product: Product,
    spec: CubeSpec,
    layout: TileLayout,
    pixels: TileFile,
    mask: Option<TileFile>,
}

impl CasaWriter {
    /// Makes the image's directory with its files of tiles, blank. The metadata, without which it is
    /// no table, are written by `finish`.
    pub(super) fn create(
        staging: Staging,
        product: Product,
        shape: CubeShape,
        spec: &CubeSpec,
    ) -> Result<Self> {
        let layout = TileLayout::new(shape);
        let rows = (layout.rows() * shape.nplanes()) as u64;
        let directory = staging.temporary();
        let pixels = TileFile::create(directory, rows, layout.pixel_row_bytes())?;
        let mask = product
            .has_mask()
            .then(|| TileFile::create(&directory.join("mask0"), rows, layout.mask_row_bytes()))
            .transpose()?;
        Ok(Self { staging, product, spec: spec.clone(), layout, pixels, mask })
    }

    /// Writes the tables' descriptions and keywords: from here on it is an image.
    fn write_metadata(&self, beams: &HeaderBeams) -> Result<()> {
        let directory = self.staging.temporary();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        logtable::write(directory, &self.spec.history, UNIX_EPOCH_MJD * 86400.0 + now)?;
        if let Some(mask) = &self.mask {
            self.table("Paged Array", "PagedArray", Element::Bool, mask, &Record::default())
                .write(&directory.join("mask0"))?;
        }
        let keywords = keywords::image(self.product, &self.spec, self.layout.shape, beams);
        self.table("Image", "map", Element::Float, &self.pixels, &keywords).write(directory)
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

impl CubeWriter for CasaWriter {
    fn write_plane(
        &self,
        stokes: usize,
        channel: usize,
        values: &[f32],
        valid: Option<&Mask>,
    ) -> Result<()> {
        let layout = &self.layout;
        layout.shape.check_plane(stokes, channel, values, valid)?;
        let first = layout.plane(stokes, channel) * layout.rows();
        let invalid = valid.filter(|_| self.product.zero_where_invalid()).map(complement);
        let mut zeros = invalid.as_ref().map(|m| m.runs().peekable());
        self.pixels.write_rows(first, layout.rows(), |row, out| {
            layout.pack_pixels(row, values, out);
            if let Some(zeros) = &mut zeros {
                layout.clear_pixels(row, zeros, out);
            }
        })?;
        if let Some(file) = &self.mask {
            let all = Mask::new(layout.shape.nx, layout.shape.ny, valid.is_none());
            let mut good = valid.unwrap_or(&all).runs().peekable();
            file.write_rows(first, layout.rows(), |row, out| {
                layout.pack_mask(row, &mut good, out)
            })?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>, beams: &Beams) -> Result<PathBuf> {
        let beams = HeaderBeams::of(beams, self.product, self.layout.shape.nchan)?;
        self.pixels.sync()?;
        if let Some(mask) = &self.mask {
            mask.sync()?;
        }
        self.write_metadata(&beams)?;
        sync_directory(self.staging.temporary())?;
        self.staging.publish()
    }
}

/// A file of tiles, written in rows of tiles.
struct TileFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    row_bytes: usize,
}

impl TileFile {
    /// Makes the table's directory and in it a sparse file of `rows` rows of tiles.
    fn create(directory: &Path, rows: u64, row_bytes: usize) -> Result<Self> {
        fs::create_dir(directory).map_err(|e| Error::io("create", directory, e))?;
        let path = directory.join(TILE_FILE);
        let bytes = rows * row_bytes as u64;
        let file = Staging::create_pixels(&path, bytes)?;
        Ok(Self { path, file, bytes, row_bytes })
    }

    /// Writes `count` rows of tiles from `first` on. `pack(row, out)` fills the row's bytes, which
    /// are zero.
    fn write_rows(
        &self,
        first: usize,
        count: usize,
        mut pack: impl FnMut(usize, &mut [u8]),
    ) -> Result<()> {
        let mut buffer = vec![0; self.row_bytes];
        for row in 0..count {
            buffer.fill(0);
            pack(row, &mut buffer);
            let offset = (first + row) as u64 * self.row_bytes as u64;
            write_all_at(&self.file, &buffer, offset)
                .map_err(|e| Error::io("write", &self.path, e))?;
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|e| Error::io("sync", &self.path, e))
    }
}
