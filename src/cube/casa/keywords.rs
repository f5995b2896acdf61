//! Keywords of a CASA image: coordinates, beams, units, mask, as tclean writes them.

use crate::{
    beam::Beam,
    cube::{CubeShape, CubeSpec, HeaderBeams, Product},
    geometry::DirectionFrame,
    ms::Stokes,
    spectral::{ChannelGrid, FreqFrame},
};

use super::aips::{Record, Value};

/// All keywords of an image's table.
pub(super) fn image(
    product: Product,
    spec: &CubeSpec,
    shape: CubeShape,
    beams: &HeaderBeams,
) -> Record {
    let mut keywords = Record::default()
        .with("logtable", Value::Table("././logtable"))
        .with("coords", coordinates(spec))
        .with("miscinfo", miscinfo(spec));
    if product.has_mask() {
        keywords = keywords.with_all(mask(shape));
    }
    keywords = keywords.with("imageinfo", imageinfo(spec, shape, beams));
    match product.unit() {
        Some(unit) => keywords.with("units", unit),
        None => keywords,
    }
}

/// Keywords that name the mask.
pub(in crate::cube) fn mask(shape: CubeShape) -> Record {
    Record::default().with("masks", masks(shape)).with("Image_defaultmask", "mask0")
}

fn miscinfo(spec: &CubeSpec) -> Record {
    Record::default()
        .with("INSTRUME", spec.telescope.as_str())
        .with("ORIGIN", concat!("cubeclean ", env!("CARGO_PKG_VERSION")))
}

fn coordinates(spec: &CubeSpec) -> Record {
    let center = spec.grid.phase_center;
    let (ra, dec) = (center.ra.rem_euclid(std::f64::consts::TAU), center.dec);
    let pointing = Record::default().with("value", vec![ra, dec]).with("initial", false);
    let mut coords = Record::default()
        .with("telescope", spec.telescope.as_str())
        .with("observer", spec.observer.as_str())
        .with("obsdate", measure("epoch", "UTC", &[quantity(spec.obsdate_mjd, "d")]))
        .with("pointingcenter", pointing);
    if let Some(position) = telescope_position(spec.telescope_position_m) {
        coords = coords.with("telescopeposition", position);
    }
    let start = spec.channels.start_hz;
    coords
        .with("direction0", direction(spec, ra, dec))
        .with_all(axes(0, &[0, 1], &[ra, dec]))
        .with("stokes1", stokes(&spec.stokes))
        .with_all(axes(1, &[2], &[1.0]))
        .with("spectral2", spectral(&spec.channels))
        .with_all(axes(2, &[3], &[start]))
}

/// Which world and pixel axes coordinate `index` occupies, and the values of axes that were removed.
fn axes(index: usize, axes: &[i32], world: &[f64]) -> Record {
    Record::default()
        .with(format!("worldmap{index}"), axes.to_vec())
        .with(format!("worldreplace{index}"), world.to_vec())
        .with(format!("pixelmap{index}"), axes.to_vec())
        .with(format!("pixelreplace{index}"), vec![0.0; axes.len()])
}

fn direction(spec: &CubeSpec, ra: f64, dec: f64) -> Record {
    let grid = &spec.grid;
    let system = match grid.phase_center.frame {
        DirectionFrame::J2000 => "J2000",
        DirectionFrame::Icrs => "ICRS",
    };
    Record::default()
        .with("system", system)
        .with("projection", "SIN")
        .with("projection_parameters", vec![0.0, 0.0])
        .with("crval", vec![ra, dec])
        .with("crpix", vec![(grid.nx / 2) as f64, (grid.ny / 2) as f64])
        .with("cdelt", vec![-grid.cell_x, grid.cell_y])
        .with("pc", Value::Matrix(vec![1.0, 0.0, 0.0, 1.0]))
        .with("axes", vec!["Right Ascension".to_owned(), "Declination".to_owned()])
        .with("units", vec!["rad".to_owned(), "rad".to_owned()])
        .with("conversionSystem", system)
        .with("longpole", 180.0)
        .with("latpole", dec.to_degrees())
}

fn stokes(stokes: &[Stokes]) -> Record {
    let names: Vec<String> = stokes.iter().map(|s| format!("{s:?}")).collect();
    Record::default()
        .with("axes", vec!["Stokes".to_owned()])
        .with("stokes", names)
        .with("crval", vec![1.0])
        .with("crpix", vec![0.0])
        .with("cdelt", vec![1.0])
        .with("pc", Value::Matrix(vec![1.0]))
}

fn spectral(channels: &ChannelGrid) -> Record {
    let frame = match channels.frame {
        FreqFrame::Lsrk => "LSRK",
        FreqFrame::Lsrd => "LSRD",
        FreqFrame::Bary => "BARY",
        FreqFrame::Geo => "GEO",
        FreqFrame::Topo => "TOPO",
    };
    let wcs = Record::default()
        .with("crval", channels.start_hz)
        .with("crpix", 0.0)
        .with("cdelt", channels.width_hz)
        .with("pc", 1.0)
        .with("ctype", "FREQ");
    Record::default()
        .with("version", 2)
        .with("system", frame)
        .with("restfreq", channels.restfreq_hz)
        .with("restfreqs", vec![channels.restfreq_hz])
        .with("velType", 0) // radio
        .with("nativeType", 0) // frequency
        .with("velUnit", "km/s")
        .with("waveUnit", "mm")
        .with("formatUnit", "")
        .with("wcs", wcs)
        .with("unit", "Hz")
        .with("name", "Frequency")
        .with("conversion", no_conversion(frame))
}

/// tclean's empty frame conversion: the axis is shown in its own frame. Readers that want another one
/// take direction, date and position from the other coordinates.
fn no_conversion(frame: &str) -> Record {
    let pole = [quantity(0.0, "rad"), quantity(std::f64::consts::FRAC_PI_2, "rad")];
    let nowhere = [quantity(0.0, "rad"), quantity(0.0, "rad"), quantity(0.0, "m")];
    Record::default()
        .with("direction", measure("direction", "J2000", &pole))
        .with("position", measure("position", "ITRF", &nowhere))
        .with("epoch", measure("epoch", "LAST", &[quantity(0.0, "d")]))
        .with("system", frame)
}

/// Longitude, latitude and radius of a geocentric position; none for the centre of the Earth, which
/// stands for "unknown".
fn telescope_position([x, y, z]: [f64; 3]) -> Option<Record> {
    let radius = x.hypot(y).hypot(z);
    (radius > 0.0).then(|| {
        let parts = [
            quantity(y.atan2(x), "rad"),
            quantity((z / radius).asin(), "rad"),
            quantity(radius, "m"),
        ];
        measure("position", "ITRF", &parts)
    })
}

fn imageinfo(spec: &CubeSpec, shape: CubeShape, beams: &HeaderBeams) -> Record {
    let info =
        Record::default().with("imagetype", "Intensity").with("objectname", spec.object.as_str());
    match beams {
        HeaderBeams::None => info,
        HeaderBeams::One(b) => info.with("restoringbeam", beam(b)),
        HeaderBeams::PerChannel(beams) => {
            let mut set = Record::default()
                .with("nChannels", beams.len() as u32)
                .with("nStokes", shape.nstokes as u32);
            let all_stokes = std::iter::repeat_n(beams, shape.nstokes).flatten();
            for (k, b) in all_stokes.enumerate() {
                set = set.with(format!("*{k}"), beam(b));
            }
            info.with("perplanebeams", set)
        }
    }
}

fn beam(beam: &Beam) -> Record {
    let arcsec = |rad: f64| quantity(rad.to_degrees() * 3600.0, "arcsec");
    Record::default()
        .with("major", arcsec(beam.major))
        .with("minor", arcsec(beam.minor))
        .with("positionangle", quantity(beam.pa.to_degrees(), "deg"))
}

fn masks(shape: CubeShape) -> Record {
    let axes = [shape.nx, shape.ny, shape.nstokes, shape.nchan];
    let region =
        |name: &str| Record::default().with("isRegion", 1).with("name", name).with("comment", "");
    let whole = region("LCBox")
        .with("oneRel", true)
        .with("blc", vec![1.0_f32; 4])
        .with("trc", axes.map(|n| n as f32).to_vec())
        .with("shape", axes.map(|n| n as i32).to_vec());
    let mask0 = region("LCPagedMask").with("mask", Value::Table("././mask0")).with("box", whole);
    Record::default().with("mask0", mask0)
}

fn quantity(value: f64, unit: &str) -> Record {
    Record::default().with("value", value).with("unit", unit)
}

/// A casacore measure; its parts are called m0, m1, m2.
fn measure(kind: &str, reference: &str, parts: &[Record]) -> Record {
    let measure = Record::default().with("type", kind).with("refer", reference);
    parts.iter().enumerate().fold(measure, |m, (i, part)| m.with(format!("m{i}"), part.clone()))
}
