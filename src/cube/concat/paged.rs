//! Copying images into one cube.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{
    Concat, Stop, check_free,
    parts::{Part, Parts},
};
use crate::{
    cube::{
        CubeShape, Format, Start,
        casa::{CasaFiles, keywords::mask, now},
        staging::Staging,
    },
    error::{Error, Result},
    ms::table::{self, Table},
    tables::aips::{Record, Value},
};

/// Bytes of planes that are in work at a time, whatever the number of threads.
const IN_WORK: usize = 2 << 30;

/// Planes of a group, at most: of so many images one each, perhaps.
const PLANES_A_GROUP: usize = 64;

/// Bytes of a plane in work, a pixel: values, a mask as the table gives it, tiles on their way.
const PIXEL_BYTES: usize = 10;

/// Makes `out` of copies of the images' planes.
pub(super) fn copy(out: &Path, parts: &Parts, how: &Concat<'_>) -> Result<PathBuf> {
    let [nx, ny, nstokes, nchan] = parts.shape;
    let shape = CubeShape { nx, ny, nstokes, nchan };
    let first = &parts.parts[0];
    if !first.has_usual_axes() {
        let problem = "are not right ascension, declination, Stokes, frequency";
        let remedy = "bring the images to that order with CASA's imtrans, or use --mode virtual";
        return Err(Error::data(&first.path, "axes", problem, remedy));
    }
    let masked = first.has_mask();
    let keywords = keywords(parts, shape, masked)?;
    let mut history = messages(first);
    history.push(how.command.to_owned());
    check_free(out, how.overwrite)?;
    let start = Start::New { overwrite: how.overwrite };
    let staging = Staging::new(out.to_owned(), Format::Casa, start)?;
    let temporary = staging.temporary().to_owned();
    let writer = CasaFiles::create(staging, shape, masked, false)?;
    let copied = copy_planes(parts, masked, &writer, how.stop).and_then(|sums| {
        writer.complete(&keywords, &history, now())?;
        verify(out, &sums, &writer, how.stop)
    });
    if let Err(error) = copied {
        drop(writer);
        // The inputs are whole: nothing is lost with what there is of the copy.
        let _ = std::fs::remove_dir_all(temporary);
        return Err(error);
    }
    writer.publish()
}

/// A plane's Stokes index and channel, and its checksum.
type Sum = (usize, usize, u32);

fn copy_planes(
    parts: &Parts,
    masked: bool,
    writer: &CasaFiles,
    stop: &Stop<'_>,
) -> Result<Vec<Sum>> {
    let copy = |&(part, stokes, channel): &(&Part, usize, usize)| {
        stop()?;
        let plane = part.read_plane(stokes, channel)?;
        let valid = masked.then_some(&plane.valid);
        let whole = part.first + channel;
        Ok((stokes, whole, writer.write(stokes, whole, &plane.values, valid)?))
    };
    let planes: Vec<_> = parts.planes().collect();
    let mut sums = Vec::with_capacity(planes.len());
    // A group of planes after the other: no more are in work than fit, and only few images are open.
    let in_work = (IN_WORK / (PIXEL_BYTES * parts.npix())).max(1);
    for group in planes.chunks(in_work.min(PLANES_A_GROUP)) {
        sums.extend(group.par_iter().map(copy).collect::<Result<Vec<_>>>()?);
    }
    Ok(sums)
}

/// Reads the copy back.
fn verify(out: &Path, sums: &[Sum], writer: &CasaFiles, stop: &Stop<'_>) -> Result<()> {
    sums.par_iter().try_for_each(|&(stokes, channel, sum)| {
        stop()?;
        if writer.sum(stokes, channel)? == sum {
            return Ok(());
        }
        let problem = format!("channel {channel} is not what was written there");
        Err(Error::data(out, "verification", problem, "check the disk, and try again"))
    })
}

/// The first image's keywords, with the beams and the mask of the whole. Its spectral axis begins with the
/// whole's.
fn keywords(parts: &Parts, shape: CubeShape, masked: bool) -> Result<Record> {
    let first = &parts.parts[0];
    let mut keywords = Record::default().with("logtable", Value::Table("././logtable"));
    for (name, value) in first.keywords.iter() {
        if !["logtable", "masks", "Image_defaultmask", "imageinfo"].contains(&name)
            && let Some(value) = written(value)
        {
            keywords = keywords.with(name, value);
        }
    }
    if masked {
        keywords = keywords.with_all(mask(shape));
    }
    Ok(keywords.with("imageinfo", image_info(parts)?))
}

fn image_info(parts: &Parts) -> Result<Record> {
    let mut info = Record::default();
    let first = &parts.parts[0];
    for (name, value) in
        first.keywords.record("imageinfo").into_iter().flat_map(table::Record::iter)
    {
        if !["restoringbeam", "perplanebeams"].contains(&name)
            && let Some(value) = written(value)
        {
            info = info.with(name, value);
        }
    }
    let [.., nstokes, nchan] = parts.shape;
    let of_parts: Vec<Option<Vec<table::Record>>> =
        parts.parts.iter().map(Part::beams).collect::<Result<_>>()?;
    let Some(of_parts) = of_parts.into_iter().collect::<Option<Vec<_>>>() else { return Ok(info) };
    // Beam of plane (s, c) is number c + channels·s, in each part and in the whole.
    let beams: Vec<&table::Record> = (0..nstokes)
        .flat_map(|s| {
            parts.parts.iter().zip(&of_parts).flat_map(move |(part, beams)| {
                let n = part.channels();
                &beams[s * n..(s + 1) * n]
            })
        })
        .collect();
    if beams.iter().all(|beam| *beam == beams[0]) {
        return Ok(info.with("restoringbeam", record(beams[0])));
    }
    let mut set = Record::default().with("nChannels", nchan as u32).with("nStokes", nstokes as u32);
    for (k, beam) in beams.into_iter().enumerate() {
        set = set.with(format!("*{k}"), record(beam));
    }
    Ok(info.with("perplanebeams", set))
}

/// Lines of an image's log.
fn messages(part: &Part) -> Vec<String> {
    let log = Table::open(part.path.join("logtable"));
    // A log that cannot be read is no reason to refuse the image.
    log.and_then(|log| log.strings("MESSAGE")).unwrap_or_default()
}

fn record(read: &table::Record) -> Record {
    let values = read.iter().filter_map(|(name, value)| Some((name, written(value)?)));
    values.fold(Record::default(), |record, (name, value)| record.with(name, value))
}

/// A value as it is written. References to other tables, and complex numbers, which images do not have, are left
/// out.
fn written(value: &table::Value) -> Option<Value> {
    use table::Value as Read;
    Some(match value {
        Read::Bool(value) => Value::Bool(*value),
        Read::Int(value) => Value::Int(i32::try_from(*value).ok()?),
        Read::Real(value) => Value::Double(*value),
        Read::Text(text) => Value::String(text.clone()),
        Read::Record(read) => Value::Record(record(read)),
        Read::Ints(_, values) => {
            Value::Ints(values.iter().map(|&v| i32::try_from(v)).collect::<Result<_, _>>().ok()?)
        }
        Read::Reals(shape, values) if shape.len() == 2 && shape[0] == shape[1] => {
            Value::Matrix(values.clone())
        }
        Read::Reals(_, values) => Value::Doubles(values.clone()),
        Read::Texts(_, texts) => Value::Strings(texts.clone()),
        Read::Table(_) | Read::Complex(_) | Read::Bools(..) | Read::Complexes(..) => return None,
    })
}
