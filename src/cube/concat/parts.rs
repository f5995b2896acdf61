//! The images to be made one: in the order of their channels, checked against each other.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    cube::{CubeReader, Plane, Sky, SkyAxes, SpectralAxis, staging::LIST},
    error::{Error, Result},
    ms::table::{Record, Table, Value},
};

/// How far pixels and channels may be off where they should be, in pixels or channels: what formats round.
const TOLERANCE: f64 = 1e-3;

/// Images in the order of their channels.
pub(super) struct Parts {
    pub parts: Vec<Part>,
    /// Pixels along x and y, Stokes planes, channels of all together.
    pub shape: [usize; 4],
}

/// One image. Its files are open only while its planes are read, as there may be more images than files that a
/// process may have open.
pub(super) struct Part {
    pub path: PathBuf,
    pub keywords: Record,
    /// Its first channel in the whole.
    pub first: usize,
    /// Pixels along x and y, Stokes planes, channels.
    shape: [usize; 4],
    /// Lengths of the axes as they are in the file.
    lengths: Vec<usize>,
    /// Which of these axes are those of Stokes parameters and of channels.
    places: [Option<usize>; 2],
    unit: Option<String>,
    spectral: SpectralAxis,
    sky: SkyAxes,
    reading: Mutex<Reading>,
}

/// An image whose planes are being read.
#[derive(Default)]
struct Reading {
    cube: Option<Arc<CubeReader>>,
    /// Planes read.
    planes: usize,
}

impl Part {
    fn open(path: &Path) -> Result<Self> {
        let refuse = |problem: &str, remedy: &str| {
            Err(Error::data(path, "image to be concatenated", problem, remedy))
        };
        let kind = fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        if !kind.is_dir() {
            let remedy = "bring it to a CASA image with CASA's importfits";
            return refuse("is a file, not a CASA image", remedy);
        }
        if path.join(LIST).exists() {
            let remedy = "name the images that it is made of";
            return refuse("is a virtual concatenation itself", remedy);
        }
        let cube = CubeReader::open(path)?;
        let keywords = Table::open(path)?.keywords().clone();
        let (Some(spectral), Sky::Equatorial(sky)) = (cube.world().spectral, &cube.world().sky)
        else {
            let remedy =
                "give images with right ascension, declination and a linear frequency axis";
            return refuse("has no coordinates that could be compared", remedy);
        };
        Ok(Self {
            path: path.to_owned(),
            keywords,
            first: 0,
            shape: cube.shape(),
            lengths: cube.axes().0.to_owned(),
            places: cube.axes().1,
            unit: cube.world().unit.clone(),
            spectral,
            sky: *sky,
            reading: Mutex::default(),
        })
    }

    pub fn channels(&self) -> usize {
        self.shape[3]
    }

    /// Index of the axis of channels.
    pub fn channel_axis(&self) -> usize {
        self.places[1].unwrap_or(3)
    }

    /// Whether the axes are those of the images that are written here: x, y, Stokes, channel.
    pub fn has_usual_axes(&self) -> bool {
        self.lengths.len() == 4 && self.places == [Some(2), Some(3)]
    }

    /// Reads a plane. The image is open from its first plane on until as many were read as it has.
    pub fn read_plane(&self, stokes: usize, channel: usize) -> Result<Plane> {
        let lock = || self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let cube = match &mut lock().cube {
            Some(cube) => Arc::clone(cube),
            none => Arc::clone(none.insert(Arc::new(CubeReader::open(&self.path)?))),
        };
        let plane = cube.read_plane(stokes, channel);
        let mut reading = lock();
        reading.planes += 1;
        if reading.planes.is_multiple_of(self.channels() * self.shape[2]) {
            reading.cube = None;
        }
        plane
    }

    /// Its records of beams, `[channel + channels·stokes]`; a single one stands for all. None where it has none.
    pub fn beams(&self) -> Result<Option<Vec<Record>>> {
        let planes = self.channels() * self.shape[2];
        let Some(info) = self.keywords.record("imageinfo") else { return Ok(None) };
        if let Some(beam) = info.record("restoringbeam") {
            return Ok(Some(vec![beam.clone(); planes]));
        }
        let Some(set) = info.record("perplanebeams") else { return Ok(None) };
        let beam = |k: usize| {
            set.record(&format!("*{k}")).cloned().ok_or_else(|| {
                let problem = format!("lacks the beam of plane {k}");
                Error::data(&self.path, "imageinfo", problem, "make the image anew")
            })
        };
        (0..planes).map(beam).collect::<Result<Vec<_>>>().map(Some)
    }

    /// What must be the same in all images, by its name.
    fn common(&self) -> Result<Vec<(&'static str, String)>> {
        let [nx, ny, nstokes, _] = self.shape;
        let spectral = coordinate(&self.keywords, "spectral");
        let direction = coordinate(&self.keywords, "direction");
        let text = |record: Option<&Record>, name: &str| {
            record.and_then(|r| r.text(name)).unwrap_or("none").to_owned()
        };
        let stokes = coordinate(&self.keywords, "stokes").and_then(|r| r.texts("stokes"));
        let restfreq = spectral.and_then(|r| r.real("restfreq")).unwrap_or(0.0);
        Ok(vec![
            ("pixels", format!("{nx} x {ny}")),
            ("Stokes planes", format!("{nstokes} {:?}", stokes.unwrap_or_default())),
            ("axes", format!("{} with {:?}", self.lengths.len(), self.places)),
            ("unit", self.unit.clone().unwrap_or_else(|| "none".into())),
            ("direction frame", text(direction, "system")),
            ("projection", text(direction, "projection")),
            ("projection's numbers", numbers(direction)),
            ("frequency frame", text(spectral, "system")),
            ("rest frequency", format!("{restfreq} Hz")),
            ("mask", if self.has_mask() { "one" } else { "none" }.to_owned()),
            ("beam", if self.beams()?.is_some() { "one" } else { "none" }.to_owned()),
        ])
    }

    pub fn has_mask(&self) -> bool {
        self.keywords.text("Image_defaultmask").is_some_and(|name| !name.is_empty())
    }

    fn refuse(&self, other: &Self, what: &str, ours: String, theirs: String) -> Error {
        let problem = format!("is {ours}; that of {} is {theirs}", other.path.display());
        Error::data(&self.path, what, problem, "leave it out, or make it anew like the others")
    }

    /// Refuses an image whose pixels lie elsewhere than those of `first`.
    fn check_sky(&self, first: &Self) -> Result<()> {
        let (a, b) = (&self.sky, &first.sky);
        let shift = a.reference.separation(&b.reference) / b.increment[1].abs();
        let [nx, ny, ..] = self.shape;
        let stretch = |i: usize, n: usize| (a.increment[i] / b.increment[i] - 1.0).abs() * n as f64;
        let moved = |i: usize| (a.pixel[i] - b.pixel[i]).abs();
        // What is not a number is off, too.
        if [shift, moved(0), moved(1), stretch(0, nx), stretch(1, ny)]
            .into_iter()
            .all(|off| off <= TOLERANCE)
        {
            return Ok(());
        }
        let said = |sky: &SkyAxes| {
            let arcsec = |rad: f64| rad.to_degrees() * 3600.0;
            let [dx, dy] = sky.increment.map(arcsec);
            format!("{:?}, pixel {:?}, cell {dx:.6} x {dy:.6} arcsec", sky.reference, sky.pixel)
        };
        Err(self.refuse(first, "direction axes", said(a), said(b)))
    }
}

/// Rotation, pole and parameters of a projection.
fn numbers(direction: Option<&Record>) -> String {
    let of = |name: &str| {
        let values = direction.and_then(|d| d.reals(name)).unwrap_or_default();
        format!("{name} {values:?}")
    };
    ["pc", "projection_parameters"].map(of).join(", ")
}

/// The first coordinate of a kind.
fn coordinate<'a>(keywords: &'a Record, kind: &str) -> Option<&'a Record> {
    keywords.record("coords")?.iter().find_map(|(name, value)| match value {
        Value::Record(record) if name.starts_with(kind) => Some(record),
        _ => None,
    })
}

/// The directory where `out` is or is going to be.
fn known_parent(out: &Path) -> Option<PathBuf> {
    out.ancestors().skip(1).find_map(|parent| match parent.as_os_str().is_empty() {
        true => fs::canonicalize(".").ok(),
        false => fs::canonicalize(parent).ok(),
    })
}

impl Parts {
    /// Opens images and brings them into the order of their channels.
    pub fn open(paths: &[PathBuf], out: &Path) -> Result<Self> {
        let known = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let canonical: Vec<PathBuf> = paths.iter().map(|path| known(path)).collect();
        for (i, path) in canonical.iter().enumerate() {
            if *path == known(out) {
                let remedy = "give the result another name";
                return Err(Error::data(
                    out,
                    "OUT",
                    "is among the images to be concatenated",
                    remedy,
                ));
            }
            if canonical[..i].contains(path) {
                return Err(Error::data(&paths[i], "IN", "is named twice", "name each image once"));
            }
            if known_parent(out).is_some_and(|parent| parent.starts_with(path)) {
                let remedy = "give the result another place";
                let problem = format!("lies within {}", paths[i].display());
                return Err(Error::data(out, "OUT", problem, remedy));
            }
        }
        let mut parts: Vec<Part> =
            paths.iter().map(|path| Part::open(path)).collect::<Result<_>>()?;
        let rising = parts[0].spectral.width_hz > 0.0;
        parts.sort_by(|a, b| {
            let order = a.spectral.start_hz.total_cmp(&b.spectral.start_hz);
            if rising { order } else { order.reverse() }
        });
        let mut first = 0;
        for part in &mut parts {
            part.first = first;
            first += part.channels();
        }
        let [nx, ny, nstokes, _] = parts[0].shape;
        let whole = Self { shape: [nx, ny, nstokes, first], parts };
        whole.check()?;
        Ok(whole)
    }

    fn check(&self) -> Result<()> {
        let first = &self.parts[0];
        let expected = first.common()?;
        for part in &self.parts[1..] {
            for ((what, ours), (_, theirs)) in part.common()?.into_iter().zip(&expected) {
                if ours != *theirs {
                    return Err(part.refuse(first, what, ours, theirs.clone()));
                }
            }
            part.check_sky(first)?;
        }
        for pair in self.parts.windows(2) {
            self.check_next(&pair[0], &pair[1])?;
        }
        Ok(())
    }

    /// Refuses an image that does not begin where the one before it ends.
    fn check_next(&self, before: &Part, part: &Part) -> Result<()> {
        let width = self.parts[0].spectral.width_hz;
        let ghz = |hz: f64| format!("{:.9} GHz", hz / 1e9);
        let khz = |hz: f64| format!("{:.6} kHz", hz / 1e3);
        let stretch = (part.spectral.width_hz / width - 1.0).abs() * self.shape[3] as f64;
        if stretch > TOLERANCE || stretch.is_nan() {
            let (ours, theirs) = (khz(part.spectral.width_hz), khz(before.spectral.width_hz));
            return Err(part.refuse(before, "channel width", ours, theirs));
        }
        // Of the whole, so that no error adds up from image to image.
        let expected = self.parts[0].spectral.start_hz + width * part.first as f64;
        let off = (part.spectral.start_hz - expected) / width;
        if off.abs() <= TOLERANCE {
            return Ok(());
        }
        let kind = if off > 0.0 { "gap" } else { "overlap" };
        let problem = format!(
            "begin at {}, {:.3} channels off the end of {} at {}: a {kind}",
            ghz(part.spectral.start_hz),
            off,
            before.path.display(),
            ghz(expected)
        );
        let remedy = "name images whose channels follow each other, all of them and each once";
        Err(Error::data(&part.path, "channels", problem, remedy))
    }

    /// Pixels of a plane.
    pub fn npix(&self) -> usize {
        self.shape[0] * self.shape[1]
    }

    /// All planes, image by image: (part, stokes, channel in the part).
    pub fn planes(&self) -> impl Iterator<Item = (&Part, usize, usize)> {
        let nstokes = self.shape[2];
        self.parts.iter().flat_map(move |part| {
            (0..part.channels()).flat_map(move |c| (0..nstokes).map(move |s| (part, s, c)))
        })
    }
}
