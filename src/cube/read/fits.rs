//! FITS images read: the primary array, of any pixel type.

use std::{
    fs::File,
    io::{BufReader, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    geometry::{Direction, DirectionFrame},
    mask::Mask,
    positioned::read_exact_at,
};

use super::{Axes, Plane, Role, Sky, SkyAxes, SpectralAxis, World};

/// Bytes of a block.
const BLOCK: usize = 2880;
/// A header of more blocks is not believed.
const MAX_BLOCKS: usize = 10_000;

/// The primary array of a FITS file.
#[derive(Debug)]
pub(super) struct FitsImage {
    path: PathBuf,
    file: File,
    data_start: u64,
    lengths: Vec<usize>,
    pixel: PixelType,
    scale: f64,
    zero: f64,
    /// The integer that stands for "no value".
    blank: Option<i64>,
}

/// BITPIX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PixelType {
    U8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

/// Opens the file `path`.
pub(super) fn open(path: &Path) -> Result<(Axes, World, FitsImage)> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let header = Header::read(path, &file)?;
    let naxis = header.integer("NAXIS").unwrap_or(0);
    if !(2..=9).contains(&naxis) {
        return Err(bad(path, "NAXIS", format!("{naxis}: the first array is no image")));
    }
    let lengths = (1..=naxis)
        .map(|i| header.length(path, &format!("NAXIS{i}")))
        .collect::<Result<Vec<_>>>()?;
    let kinds: Vec<_> = (1..=naxis)
        .map(|i| header.text(&format!("CTYPE{i}")).unwrap_or_default().to_owned())
        .collect();
    let roles: Vec<_> = kinds.iter().map(|kind| role(kind)).collect();
    let axes = Axes::new(path, lengths.clone(), &roles)?;
    let world = World {
        sky: sky(&header, &kinds),
        spectral: spectral(&header, &kinds),
        unit: header.text("BUNIT").filter(|unit| !unit.is_empty()).map(str::to_owned),
    };
    let pixel = match header.integer("BITPIX") {
        Some(8) => PixelType::U8,
        Some(16) => PixelType::I16,
        Some(32) => PixelType::I32,
        Some(64) => PixelType::I64,
        Some(-32) => PixelType::F32,
        Some(-64) => PixelType::F64,
        other => return Err(bad(path, "BITPIX", format!("{other:?} is not a pixel type"))),
    };
    let image = FitsImage {
        path: path.to_owned(),
        data_start: header.bytes,
        lengths,
        pixel,
        scale: header.real("BSCALE").unwrap_or(1.0),
        zero: header.real("BZERO").unwrap_or(0.0),
        blank: header.integer("BLANK"),
        file,
    };
    image.check_length()?;
    Ok((axes, world, image))
}

impl PixelType {
    fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }
}

impl FitsImage {
    /// Refuses a file that is shorter than its header says, before memory is taken for it.
    fn check_length(&self) -> Result<()> {
        let length = self.file.metadata().map_err(|e| Error::io("read", &self.path, e))?.len();
        let needed = self
            .lengths
            .iter()
            .try_fold(self.pixel.bytes() as u64, |n, &k| n.checked_mul(k as u64))
            .and_then(|n| n.checked_add(self.data_start));
        match needed {
            Some(needed) if needed <= length => Ok(()),
            _ => Err(Error::data(
                &self.path,
                format!("pixels {:?}", self.lengths),
                format!("the file has only {length} bytes"),
                "it is truncated: copy it again from its origin",
            )),
        }
    }

    /// Reads the box `plane`, which covers the first two axes and one place on all others.
    pub(super) fn read_plane(&self, nx: usize, ny: usize, plane: &[Range<usize>]) -> Result<Plane> {
        let lengths_and_places = self.lengths.iter().zip(plane).skip(2).rev();
        let number = lengths_and_places.fold(0, |n, (length, place)| n * length + place.start);
        let size = self.pixel.bytes();
        let mut bytes = vec![0; nx * ny * size];
        let offset = self.data_start + (number * bytes.len()) as u64;
        read_exact_at(&self.file, offset, &mut bytes)
            .map_err(|e| Error::io("read", &self.path, e))?;
        let values: Vec<f32> = bytes.chunks_exact(size).map(|b| self.value(b)).collect();
        let valid = Mask::from_values(nx, ny, &values, |value: f32| !value.is_nan());
        Ok(Plane { values, valid })
    }

    /// A pixel's value; NaN if it is blank.
    fn value(&self, b: &[u8]) -> f32 {
        let word = |b: &[u8]| b.iter().fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
        let integer = |i: i64| {
            if self.blank == Some(i) {
                return f32::NAN;
            }
            (self.zero + self.scale * i as f64) as f32
        };
        match self.pixel {
            PixelType::U8 => integer(i64::from(b[0])),
            PixelType::I16 => integer(i64::from(word(b) as i16)),
            PixelType::I32 => integer(i64::from(word(b) as i32)),
            PixelType::I64 => integer(word(b) as i64),
            PixelType::F32 if self.scale == 1.0 && self.zero == 0.0 => {
                f32::from_bits(word(b) as u32)
            }
            PixelType::F32 => {
                (self.zero + self.scale * f64::from(f32::from_bits(word(b) as u32))) as f32
            }
            PixelType::F64 => (self.zero + self.scale * f64::from_bits(word(b))) as f32,
        }
    }
}

/// The cards of a header that hold values.
struct Header {
    cards: Vec<(String, String)>,
    /// Length of the header.
    bytes: u64,
}

impl Header {
    fn read(path: &Path, file: &File) -> Result<Self> {
        let mut reader = BufReader::with_capacity(BLOCK, file);
        let mut cards = Vec::new();
        for blocks in 1..=MAX_BLOCKS {
            let mut block = [0; BLOCK];
            reader.read_exact(&mut block).map_err(|e| Error::io("read", path, e))?;
            if blocks == 1 && !block.starts_with(b"SIMPLE  =") {
                return Err(bad(path, "header", "the file does not begin with SIMPLE".into()));
            }
            for card in block.chunks_exact(80) {
                let card = String::from_utf8_lossy(card);
                let key = card.get(..8).unwrap_or_default().trim_end();
                if key == "END" {
                    return Ok(Self { cards, bytes: (blocks * BLOCK) as u64 });
                }
                if let Some(value) = card.get(8..).and_then(|rest| rest.strip_prefix("= ")) {
                    cards.push((key.to_owned(), plain_value(value)));
                }
            }
        }
        Err(bad(path, "header", "has no END".into()))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.cards.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    fn integer(&self, key: &str) -> Option<i64> {
        self.text(key)?.parse().ok()
    }

    /// A real number; Fortran's exponent D is E.
    fn real(&self, key: &str) -> Option<f64> {
        self.text(key)?.replace(['D', 'd'], "E").parse().ok()
    }

    fn length(&self, path: &Path, key: &str) -> Result<usize> {
        let length = self.integer(key).and_then(|n| usize::try_from(n).ok());
        length.ok_or_else(|| bad(path, key, "is missing or negative".into()))
    }
}

/// A card's value without quotes and comment.
fn plain_value(text: &str) -> String {
    let text = text.trim_start();
    let Some(mut rest) = text.strip_prefix('\'') else {
        return text.split('/').next().unwrap_or_default().trim().to_owned();
    };
    let mut value = String::new();
    while let Some(quote) = rest.find('\'') {
        value.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('\'') {
            Some(after) => rest = after,
            None => break,
        }
        value.push('\'');
    }
    value.trim_end().to_owned()
}

fn role(kind: &str) -> Role {
    match kind.split('-').next().unwrap_or_default() {
        "RA" => Role::RightAscension,
        "DEC" => Role::Declination,
        "STOKES" => Role::Stokes,
        "FREQ" | "VRAD" | "VOPT" | "VELO" | "FELO" | "WAVE" | "AWAV" | "ZOPT" | "BETA" => {
            Role::Spectral
        }
        _ => Role::Other,
    }
}

fn sky(header: &Header, kinds: &[String]) -> Sky {
    if ["GLON", "ELON", "SLON", "HLON"].iter().any(|frame| kinds[0].starts_with(frame)) {
        return Sky::Other(kinds[0].clone());
    }
    if role(&kinds[0]) != Role::RightAscension || role(&kinds[1]) != Role::Declination {
        return Sky::Unknown;
    }
    let equinox = header.real("EQUINOX").unwrap_or(2000.0);
    let frame = match header.text("RADESYS").or(header.text("RADECSYS")) {
        Some("ICRS") => DirectionFrame::Icrs,
        Some("FK5") | None if equinox == 2000.0 => DirectionFrame::J2000,
        other => return Sky::Other(format!("{} {equinox}", other.unwrap_or("equinox"))),
    };
    equatorial(header, frame).map_or(Sky::Unknown, Sky::Equatorial)
}

fn equatorial(header: &Header, frame: DirectionFrame) -> Option<SkyAxes> {
    let degrees = |key: &str| {
        let unit = header.text(&format!("CUNIT{}", &key[5..])).unwrap_or("deg");
        (unit.is_empty() || unit == "deg").then(|| header.real(key)).flatten().map(f64::to_radians)
    };
    Some(SkyAxes {
        reference: Direction::new(degrees("CRVAL1")?, degrees("CRVAL2")?, frame),
        pixel: [header.real("CRPIX1")? - 1.0, header.real("CRPIX2")? - 1.0],
        increment: [degrees("CDELT1")?, degrees("CDELT2")?],
    })
}

fn spectral(header: &Header, kinds: &[String]) -> Option<SpectralAxis> {
    let axis = 1 + kinds.iter().position(|kind| kind == "FREQ")?;
    let card = |key: &str| header.real(&format!("{key}{axis}"));
    if !matches!(header.text(&format!("CUNIT{axis}")), None | Some("" | "Hz")) {
        return None;
    }
    let width_hz = card("CDELT")?;
    Some(SpectralAxis { start_hz: card("CRVAL")? + (1.0 - card("CRPIX")?) * width_hz, width_hz })
}

fn bad(path: &Path, what: &str, problem: String) -> Error {
    Error::data(path, what, problem, "give a FITS image, uncompressed, in the primary array")
}
