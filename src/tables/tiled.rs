//! Tiled managers of one column whose cells are all of one shape: the header, and rows that stream
//! into tiles.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{
    aips::{AipsStream, Order, Record},
    column::Kind,
    dat::{Manager, file_entry, write_file},
};
use crate::error::{Error, Result};

/// A column in tiles; the last axis of its hypercube is the row.
pub(crate) struct Tiled {
    /// Whether cells may have other shapes in principle (TiledShapeStMan), or not (TiledColumnStMan).
    pub(crate) by_shape: bool,
    /// The hypercolumn's name.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The manager's number.
    pub(crate) number: usize,
    /// Shape of a cell, and of the part of it that a tile holds.
    pub(crate) cell: Vec<usize>,
    pub(crate) tile: Vec<usize>,
    /// Rows of the table, and of a tile.
    pub(crate) nrow: usize,
    pub(crate) tile_rows: usize,
}

impl Tiled {
    /// The manager's type.
    fn manager_kind(&self) -> &'static str {
        if self.by_shape { "TiledShapeStMan" } else { "TiledColumnStMan" }
    }

    /// The manager's entry in `table.dat`.
    pub(crate) fn manager(&self) -> Manager {
        Manager::new(self.manager_kind())
    }

    /// The hypercolumn's definition, a private keyword of the table.
    pub(crate) fn definition(&self, column: &str) -> (String, Record) {
        let definition = Record::default()
            .with("ndim", self.cell.len() as u32 + 1)
            .with("data", vec![column.to_owned()])
            .with("coord", Vec::<String>::new())
            .with("id", Vec::<String>::new());
        (format!("Hypercolumn_{}", self.name), definition)
    }

    /// Tiles along a cell's axes.
    fn tiles_of_cell(&self) -> usize {
        self.cell.iter().zip(&self.tile).map(|(&n, &t)| n.div_ceil(t)).product()
    }

    /// Elements of a tile.
    fn tile_elements(&self) -> usize {
        self.tile.iter().product::<usize>() * self.tile_rows
    }

    /// Bytes of a band: all tiles of the same rows.
    fn band_bytes(&self) -> usize {
        self.tiles_of_cell() * (self.tile_elements() * self.kind.bits()).div_ceil(8)
    }

    /// Bytes of the file of tiles.
    fn bytes(&self) -> u64 {
        self.nrow.div_ceil(self.tile_rows) as u64 * self.band_bytes() as u64
    }

    /// The number of the file of tiles: a TiledShapeStMan has none for its first cube, which stands for
    /// cells that are not there.
    fn file_number(&self) -> u32 {
        u32::from(self.by_shape)
    }

    /// Writes `table.f<number>`.
    pub(crate) fn write_header(&self, directory: &Path) -> Result<()> {
        let shape: Vec<usize> = self.cell.iter().copied().chain([self.nrow]).collect();
        let tile: Vec<usize> = self.tile.iter().copied().chain([self.tile_rows]).collect();
        let mut s = AipsStream::new(Order::Big);
        s.object(self.manager_kind(), 1, |s| {
            if !self.by_shape {
                s.shape(&tile);
            }
            s.object("TiledStMan", 2, |s| self.write_common(s, &shape, &tile));
            if self.by_shape {
                let last_row = self.nrow as u32 - 1;
                s.shape(&tile);
                s.u32(1); // entries of the map from rows to cubes
                s.block(&[last_row]);
                s.block(&[1]);
                s.block(&[last_row]);
            }
        });
        write_file(&directory.join(format!("table.f{}", self.number)), &s.into_bytes())
    }

    fn write_common(&self, s: &mut AipsStream, shape: &[usize], tile: &[usize]) {
        let file = self.file_number();
        s.bool(false); // little-endian
        s.u32(self.number as u32);
        s.u32(self.nrow as u32);
        s.u32(1); // columns
        s.i32(self.kind.code());
        s.str(self.name);
        s.u32(0); // cache size
        s.u32(shape.len() as u32);
        s.u32(file + 1); // files
        if self.by_shape {
            s.bool(false); // the first one is not there
        }
        s.bool(true);
        file_entry(s, file, self.bytes());
        s.u32(file + 1); // hypercubes
        if self.by_shape {
            hypercube(s, false, &[], &[], -1);
        }
        hypercube(s, true, shape, tile, file as i32);
    }

    /// The file of tiles.
    fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("table.f{}_TSM{}", self.number, self.file_number()))
    }

    /// Makes a file of zeros, which takes no room on disk.
    pub(crate) fn write_zeros(&self, directory: &Path) -> Result<()> {
        let path = self.path(directory);
        File::create(&path)
            .and_then(|file| {
                file.set_len(self.bytes())?;
                file.sync_all()
            })
            .map_err(|e| Error::io("write", &path, e))
    }
}

fn hypercube(s: &mut AipsStream, extensible: bool, shape: &[usize], tile: &[usize], file: i32) {
    s.u32(1); // version
    s.record("Record", &Record::default());
    s.bool(extensible);
    s.u32(shape.len() as u32);
    s.shape(shape);
    s.shape(tile);
    s.i32(file);
    s.u32(0); // offset in the file
}

/// Streams cells of whole bytes into tiles, as many rows at a time as a tile has.
pub(crate) struct TileWriter {
    tiled: Tiled,
    path: PathBuf,
    file: BufWriter<File>,
    band: Vec<u8>,
    /// Rows so far.
    done: usize,
}

impl TileWriter {
    /// Makes the file of tiles.
    pub(crate) fn create(directory: &Path, tiled: Tiled) -> Result<Self> {
        let path = tiled.path(directory);
        let file = File::create(&path).map_err(|e| Error::io("create", &path, e))?;
        let band = vec![0; tiled.band_bytes()];
        Ok(Self { tiled, path, file: BufWriter::new(file), band, done: 0 })
    }

    /// Appends a row's cell: its elements' bytes, first axis fastest.
    pub(crate) fn push(&mut self, cell: &[u8]) -> Result<()> {
        let Tiled { cell: shape, tile, tile_rows, kind, .. } = &self.tiled;
        // Cells are cut along their last axis only: what comes before it stays together.
        let inner: usize = shape[..shape.len() - 1].iter().product();
        let tile_length = tile.last().copied().unwrap_or(1);
        let bytes_of = |elements: usize| elements * kind.bits() / 8;
        let tile_bytes = bytes_of(self.tiled.tile_elements());
        let part = bytes_of(inner * tile_length);
        let at = self.done % tile_rows * part;
        for (n, piece) in cell.chunks(part).enumerate() {
            self.band[n * tile_bytes + at..][..piece.len()].copy_from_slice(piece);
        }
        self.done += 1;
        if self.done.is_multiple_of(*tile_rows) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.band).map_err(|e| Error::io("write", &self.path, e))?;
        self.band.fill(0);
        Ok(())
    }

    /// Writes the last tiles and the header, and syncs them.
    pub(crate) fn finish(mut self, directory: &Path) -> Result<()> {
        debug_assert_eq!(self.done, self.tiled.nrow, "{}", self.path.display());
        if !self.done.is_multiple_of(self.tiled.tile_rows) {
            self.flush()?;
        }
        let end = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        end.map_err(|e| Error::io("write", &self.path, e))?;
        self.tiled.write_header(directory)
    }
}
