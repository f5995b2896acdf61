//! CASA images read: pixels and mask through the table layer, coordinates from the keywords.

use std::{ops::Range, path::Path};

use crate::{
    error::{Error, Result},
    geometry::{Direction, DirectionFrame},
    mask::Mask,
    ms::table::{Record, Table, Value},
};

use super::{Axes, Plane, Role, Sky, SkyAxes, SpectralAxis, World};

/// Name of the column of an image's pixels.
const PIXELS: &str = "map";
/// Name of the column of a mask's pixels.
const MASK: &str = "PagedArray";

/// The tables of an image.
#[derive(Debug)]
pub(super) struct CasaImage {
    pixels: Table,
    mask: Option<Table>,
}

/// Opens the image in the directory `path`.
pub(super) fn open(path: &Path) -> Result<(Axes, World, CasaImage)> {
    let pixels = Table::open(path)?;
    let shape = shape(&pixels, PIXELS)?;
    let coords = pixels.keywords().record("coords").cloned().unwrap_or_default();
    let axes = Axes::new(path, shape.clone(), &roles(&coords, shape.len()))?;
    let unit = pixels.keywords().text("units").map(str::to_owned);
    let world = World { sky: sky(&coords), spectral: spectral(&coords), unit };
    let mask = open_mask(&pixels, &shape)?;
    Ok((axes, world, CasaImage { pixels, mask }))
}

impl CasaImage {
    pub(super) fn read_plane(&self, plane: &[Range<usize>]) -> Result<Plane> {
        let (nx, ny) = (plane[0].len(), plane[1].len());
        let values = self.pixels.read_box::<f32>(self.pixels.column(PIXELS)?, 0, plane)?;
        let valid = match &self.mask {
            None => Mask::new(nx, ny, true),
            Some(table) => {
                let good = table.read_box::<bool>(table.column(MASK)?, 0, plane)?;
                Mask::from_values(nx, ny, &good, |good| good)
            }
        };
        Ok(Plane { values, valid })
    }
}

/// Shape of the one cell of an image's or a mask's table.
fn shape(table: &Table, column: &str) -> Result<Vec<usize>> {
    let missing = || {
        Error::data(table.path(), "image", "has no pixels", "give a CASA image, not another table")
    };
    let column = table.find(column).ok_or_else(missing)?;
    if table.rows() == 0 {
        return Err(missing());
    }
    table.tiled_shape(column, 0)?.ok_or_else(missing)
}

/// The mask that the image names as its default, if it names one.
fn open_mask(image: &Table, image_shape: &[usize]) -> Result<Option<Table>> {
    let Some(name) = image.keywords().text("Image_defaultmask").filter(|name| !name.is_empty())
    else {
        return Ok(None);
    };
    let bad = |problem: &str| {
        Error::data(
            image.path(),
            format!("mask {name}"),
            problem,
            "delete the mask, or make it anew, with CASA's makemask",
        )
    };
    let entry = image.keywords().record("masks").and_then(|masks| masks.record(name));
    let Some(Value::Table(reference)) = entry.and_then(|e| e.get("mask")) else {
        return Err(bad("is not a table of pixels"));
    };
    let table = Table::open(image.resolve(reference))?;
    if shape(&table, MASK)? != image_shape {
        return Err(bad("has another shape than the image"));
    }
    Ok(Some(table))
}

/// What each pixel axis shows, from the coordinates that name it.
fn roles(coords: &Record, ndim: usize) -> Vec<Role> {
    let mut roles = vec![Role::Other; ndim];
    for (key, _) in coords.iter() {
        let kind = key.trim_end_matches(|c: char| c.is_ascii_digit());
        let own: &[Role] = match kind {
            "direction" => &[Role::RightAscension, Role::Declination],
            "stokes" => &[Role::Stokes],
            "spectral" => &[Role::Spectral],
            _ => continue,
        };
        let map = coords.ints(&format!("pixelmap{}", &key[kind.len()..])).unwrap_or_default();
        for (&axis, &role) in map.iter().zip(own) {
            if let Some(slot) = usize::try_from(axis).ok().and_then(|a| roles.get_mut(a)) {
                *slot = role;
            }
        }
    }
    roles
}

/// The record of the first coordinate of a kind, whatever its number.
fn coordinate<'a>(coords: &'a Record, kind: &str) -> Option<&'a Record> {
    let is_kind = |key: &str| {
        key.strip_prefix(kind)
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    coords.iter().find_map(|(key, value)| match value {
        Value::Record(record) if is_kind(key) => Some(record),
        _ => None,
    })
}

fn sky(coords: &Record) -> Sky {
    let Some(direction) = coordinate(coords, "direction") else { return Sky::Unknown };
    let frame = match direction.text("system") {
        Some("J2000") => DirectionFrame::J2000,
        Some("ICRS") => DirectionFrame::Icrs,
        Some(other) => return Sky::Other(other.to_owned()),
        None => return Sky::Unknown,
    };
    equatorial(direction, frame).map_or(Sky::Unknown, Sky::Equatorial)
}

fn equatorial(direction: &Record, frame: DirectionFrame) -> Option<SkyAxes> {
    let units = direction.texts("units")?;
    let pair = |key: &str| <[f64; 2]>::try_from(direction.reals(key)?).ok();
    let [ra, dec] = pair("crval")?;
    let [dx, dy] = pair("cdelt")?;
    let (x, y) = (radians(units.first()?)?, radians(units.get(1)?)?);
    Some(SkyAxes {
        reference: Direction::new(ra * x, dec * y, frame),
        pixel: pair("crpix")?,
        increment: [dx * x, dy * y],
    })
}

/// How many radians an angular unit has.
fn radians(unit: &str) -> Option<f64> {
    let degree = std::f64::consts::PI / 180.0;
    Some(match unit {
        "rad" => 1.0,
        "deg" => degree,
        "'" | "arcmin" => degree / 60.0,
        "\"" | "''" | "arcsec" => degree / 3600.0,
        _ => return None,
    })
}

fn spectral(coords: &Record) -> Option<SpectralAxis> {
    let spectral = coordinate(coords, "spectral")?;
    let wcs = spectral.record("wcs")?;
    let hz = match spectral.text("unit")? {
        "Hz" => 1.0,
        "kHz" => 1e3,
        "MHz" => 1e6,
        "GHz" => 1e9,
        _ => return None,
    };
    let width_hz = wcs.real("cdelt")? * hz;
    Some(SpectralAxis {
        start_hz: wcs.real("crval")? * hz - wcs.real("crpix")? * width_hz,
        width_hz,
    })
}
