//! FITS cubes, written in place: pixels in order RA, DEC, FREQ, STOKES, big-endian, NaN where invalid.
//!
//! There is no `DATE` card, so that the same input makes the same bytes, and files can be compared
//! by their checksums.

mod card;
mod header;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{error::Result, mask::Mask};

use super::{
    Beams, CubeShape, CubeSpec, CubeWriter, HeaderBeams, Product, complement, direct::PageBuffer,
    pixel_file::PixelFile, staging::Staging,
};
use card::{BLOCK, Header};

/// About how many pixels are brought to big-endian order, and written, at a time.
const CHUNK: usize = 1 << 20;

/// Bytes that stay a hole if all are zero: as a tile of a CASA image.
const GRAIN: usize = 1 << 16;

/// Bytes of a file's pixels.
pub(super) fn bytes(shape: CubeShape) -> u64 {
    4 * (shape.npix() * shape.nplanes()) as u64
}

/// Writes one product as a FITS file.
pub(super) struct FitsWriter {
    staging: Staging,
    product: Product,
    shape: CubeShape,
    header: Header,
    header_blocks: usize,
    file: PixelFile,
    /// Bytes of header and pixels, in whole blocks.
    length: u64,
    /// Which planes have been written, by their place in the file.
    written: Vec<AtomicBool>,
}

impl FitsWriter {
    /// Makes the file at full length, blank. The header, without which it is no FITS file, is written
    /// by `finish`, into space that is left here.
    pub(super) fn create(
        staging: Staging,
        product: Product,
        shape: CubeShape,
        spec: &CubeSpec,
    ) -> Result<Self> {
        let header = header::primary(product, spec, shape);
        let header_blocks = header.blocks(header::BEAM_CARDS);
        let pixels_end =
            (header_blocks * BLOCK) as u64 + 4 * (shape.npix() * shape.nplanes()) as u64;
        let length = pixels_end.next_multiple_of(BLOCK as u64);
        let file = staging.create_pixels(staging.temporary(), length)?;
        let written = (0..shape.nplanes()).map(|_| AtomicBool::new(false)).collect();
        Ok(Self { staging, product, shape, header, header_blocks, file, length, written })
    }

    /// Place of a plane in the file: channels run before Stokes.
    fn plane(&self, stokes: usize, channel: usize) -> usize {
        channel + self.shape.nchan * stokes
    }

    fn plane_offset(&self, plane: usize) -> u64 {
        (self.header_blocks * BLOCK) as u64 + plane as u64 * self.shape.npix() as u64 * 4
    }

    /// Makes planes without data NaN, as CASA's `exportfits` has them.
    fn blank_missing_planes(&self) -> Result<()> {
        if !self.product.has_mask() {
            return Ok(());
        }
        let missing = self.written.iter().enumerate().filter(|(_, w)| !w.load(Ordering::Relaxed));
        let nan = f32::NAN.to_be_bytes().repeat(CHUNK.min(self.shape.npix()));
        for (plane, _) in missing {
            let (mut offset, end) = (self.plane_offset(plane), self.plane_offset(plane + 1));
            while offset < end {
                let part = nan.len().min((end - offset) as usize);
                self.file.write_at(&nan[..part], offset)?;
                offset += part as u64;
            }
        }
        Ok(())
    }

    /// Appends the table of beams, if there is one, behind the pixels.
    fn write_beams_table(&self, beams: &HeaderBeams) -> Result<()> {
        let Some((header, mut rows)) = header::beams_table(beams, self.shape.nstokes) else {
            return Ok(());
        };
        rows.resize(rows.len().next_multiple_of(BLOCK), 0);
        let blocks = header.blocks(0);
        let mut bytes = header.into_bytes(blocks);
        bytes.extend(rows);
        self.file.write_at(&bytes, self.length)
    }
}

impl CubeWriter for FitsWriter {
    fn write_plane(
        &self,
        stokes: usize,
        channel: usize,
        values: &[f32],
        valid: Option<&Mask>,
    ) -> Result<u32> {
        self.shape.check_plane(stokes, channel, values, valid)?;
        let plane = self.plane(stokes, channel);
        let invalid = valid.filter(|_| self.product.has_mask()).map(complement);
        let mut blanks = invalid.as_ref().map(|m| m.runs().peekable());
        let nx = self.shape.nx;
        let lines = CHUNK.div_ceil(nx);
        let mut buffer = PageBuffer::new(4 * values.len().min(lines * nx));
        let mut offset = self.plane_offset(plane);
        let mut crc = crc32fast::Hasher::new();
        for (i, part) in values.chunks(lines * nx).enumerate() {
            let bytes = buffer.at(offset, 4 * part.len());
            // Blocks of a header and floats are multiples of four bytes: the cast holds.
            let pixels: &mut [u32] = bytemuck::cast_slice_mut(bytes);
            for (pixel, value) in pixels.iter_mut().zip(part) {
                *pixel = value.to_bits().to_be();
            }
            if let Some(blanks) = &mut blanks {
                while let Some(run) = blanks.next_if(|r| r.y < (i + 1) * lines) {
                    let at = (run.y - i * lines) * nx + run.x;
                    pixels[at..at + run.len].fill(f32::NAN.to_bits().to_be());
                }
            }
            crc.update(bytes);
            self.file.write_sparse(bytes, offset, GRAIN)?;
            offset += bytes.len() as u64;
        }
        self.written[plane].store(true, Ordering::Relaxed);
        Ok(crc.finalize())
    }

    fn checksum(&self, stokes: usize, channel: usize) -> Result<u32> {
        if !self.shape.has(stokes, channel) {
            return Err(self.shape.no_such_plane(stokes, channel, 0));
        }
        let mut crc = crc32fast::Hasher::new();
        let offset = self.plane_offset(self.plane(stokes, channel));
        self.file.sum(&mut crc, offset, 4 * self.shape.npix() as u64)?;
        Ok(crc.finalize())
    }

    fn adopt_plane(&self, stokes: usize, channel: usize) {
        if self.shape.has(stokes, channel) {
            self.written[self.plane(stokes, channel)].store(true, Ordering::Relaxed);
        }
    }

    fn sync(&self) -> Result<()> {
        self.file.sync()
    }

    fn bytes_written(&self) -> u64 {
        self.file.bytes_written()
    }

    fn complete(&self, beams: &Beams) -> Result<()> {
        let beams = HeaderBeams::of(beams, self.product, self.shape.nchan)?;
        self.blank_missing_planes()?;
        self.write_beams_table(&beams)?;
        let header = header::with_beams(self.header.clone(), &beams).into_bytes(self.header_blocks);
        self.file.write_at(&header, 0)?;
        self.file.sync()
    }

    fn publish(self: Box<Self>) -> Result<PathBuf> {
        self.staging.publish()
    }
}
