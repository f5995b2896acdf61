//! A MeasurementSet's metadata: what its subtables say, in plain types.

use std::path::Path;

use super::{
    table::{Column, Table, Value},
    time::TimeScale,
};
use crate::{
    error::{Error, Result},
    geometry::{Direction, DirectionFrame},
    spectral::FreqFrame,
};

/// A MeasurementSet that is open for reading.
#[derive(Debug)]
pub struct MeasurementSet {
    table: Table,
    time_scale: TimeScale,
    antennas: Vec<Antenna>,
    fields: Vec<Field>,
    spectral_windows: Vec<SpectralWindow>,
    polarizations: Vec<Polarization>,
    data_descriptions: Vec<DataDescription>,
    observations: Vec<Observation>,
    sources: Vec<Source>,
}

/// An antenna.
#[derive(Clone, Debug, PartialEq)]
pub struct Antenna {
    /// Its name.
    pub name: String,
    /// Geocentric (ITRF) position, m.
    pub position_m: [f64; 3],
    /// Diameter of the dish, m.
    pub dish_diameter_m: f64,
}

/// A field: a direction that was observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Row of its source in the SOURCE table (column SOURCE_ID); −1: none.
    pub source_id: i32,
    /// Right ascension and declination (or what the frame calls them) of the phase centre, rad.
    pub phase_dir: [f64; 2],
    /// Name of the phase centre's frame: J2000, ICRS, ...
    pub frame: String,
    /// Why the phase centre moves, if it does.
    pub moving: Option<&'static str>,
}

/// A spectral window.
#[derive(Clone, Debug, PartialEq)]
pub struct SpectralWindow {
    /// Its name.
    pub name: String,
    /// Channel centres, Hz; ascending or descending.
    pub chan_freq_hz: Vec<f64>,
    /// Channel widths, Hz, positive whichever way the channels run.
    pub chan_width_hz: Vec<f64>,
    /// Name of the channel frequencies' frame: TOPO, LSRK, ...
    pub frame: String,
}

/// What a row's correlations are.
#[derive(Clone, Debug, PartialEq)]
pub struct Polarization {
    /// Casacore's Stokes code of each correlation: 5 RR ... 8 LL, 9 XX ... 12 YY.
    pub corr_types: Vec<i32>,
}

/// What a row's data description id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataDescription {
    /// Spectral window id.
    pub spw: usize,
    /// Polarization id.
    pub polarization: usize,
}

/// An observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The telescope's name.
    pub telescope: String,
    /// The observer's name.
    pub observer: String,
    /// The project's code.
    pub project: String,
    /// Beginning and end, UTC, MJD seconds.
    pub time_range: [f64; 2],
}

/// A source's lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The id that fields refer to.
    pub source_id: i32,
    /// Spectral window id; −1: all.
    pub spw: i32,
    /// Rest frequencies, Hz.
    pub rest_freq_hz: Vec<f64>,
}

impl MeasurementSet {
    /// Opens the MeasurementSet in the directory `path` and reads its metadata.
    ///
    /// # Errors
    /// If it is not a MeasurementSet of version 2, or a subtable is missing or damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let table = Table::open(path)?;
        match table.keywords().real("MS_VERSION") {
            Some(version) if version >= 2.0 => {}
            found => {
                let problem = match found {
                    Some(version) => format!("{version}"),
                    None => "missing: a casacore table, but not a MeasurementSet".into(),
                };
                return Err(Error::data(
                    table.path(),
                    "keyword MS_VERSION",
                    problem,
                    "give the path of a MeasurementSet of version 2",
                ));
            }
        }
        let time_scale = time_scale(&table, table.column("TIME")?)?;
        Ok(Self {
            time_scale,
            antennas: antennas(&table.subtable("ANTENNA")?)?,
            fields: fields(&table.subtable("FIELD")?)?,
            spectral_windows: spectral_windows(&table.subtable("SPECTRAL_WINDOW")?)?,
            polarizations: polarizations(&table.subtable("POLARIZATION")?)?,
            data_descriptions: data_descriptions(&table.subtable("DATA_DESCRIPTION")?)?,
            observations: observations(&table.subtable("OBSERVATION")?)?,
            sources: match table.subtable_path("SOURCE") {
                Some(path) => sources(&Table::open(path)?)?,
                None => Vec::new(),
            },
            table,
        })
    }

    /// The set's directory.
    pub fn path(&self) -> &Path {
        self.table.path()
    }

    /// The main table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The scale of the main table's times.
    pub(super) fn time_scale(&self) -> TimeScale {
        self.time_scale
    }

    /// All antennas.
    pub fn antennas(&self) -> &[Antenna] {
        &self.antennas
    }

    /// All fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// All spectral windows.
    pub fn spectral_windows(&self) -> &[SpectralWindow] {
        &self.spectral_windows
    }

    /// All polarization setups.
    pub fn polarizations(&self) -> &[Polarization] {
        &self.polarizations
    }

    /// All data descriptions.
    pub fn data_descriptions(&self) -> &[DataDescription] {
        &self.data_descriptions
    }

    /// All observations.
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// All sources; empty where the set has no SOURCE table.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Telescope of the first observation; empty where none is given.
    pub fn telescope(&self) -> &str {
        self.observations.first().map_or("", |o| &o.telescope)
    }

    /// Mean geocentric (ITRF) position of the antennas, m; none where there are none.
    pub fn array_position_m(&self) -> Option<[f64; 3]> {
        let there = || self.antennas.iter().filter(|a| a.position_m != [0.0; 3]);
        let n = there().count();
        let mean = |axis: usize| there().map(|a| a.position_m[axis]).sum::<f64>() / n as f64;
        (n > 0).then(|| [mean(0), mean(1), mean(2)])
    }

    /// The phase centre of a field.
    ///
    /// # Errors
    /// If it moves, or its frame is neither J2000 nor ICRS.
    pub fn phase_center(&self, field: usize) -> Result<Direction> {
        let bad = |problem: String| {
            Error::data(
                self.path(),
                format!("field {field}"),
                problem,
                "select other fields, or give it a fixed J2000 or ICRS direction with casatasks \
                 phaseshift or fixvis",
            )
        };
        let Some(found) = self.fields.get(field) else {
            return Err(bad(format!("there are only {} fields", self.fields.len())));
        };
        if let Some(why) = found.moving {
            return Err(bad(format!("its phase centre moves ({why})")));
        }
        let frame = match found.frame.as_str() {
            "J2000" => DirectionFrame::J2000,
            "ICRS" => DirectionFrame::Icrs,
            other => return Err(bad(format!("its phase centre is given in {other}"))),
        };
        let [ra, dec] = found.phase_dir;
        if !ra.is_finite() || !dec.is_finite() {
            return Err(bad(format!("its phase centre is ({ra}, {dec})")));
        }
        Ok(Direction::new(ra, dec, frame))
    }

    /// The frame of a spectral window's channel frequencies.
    ///
    /// # Errors
    /// If it is none that image channels can be brought to.
    pub fn freq_frame(&self, spw: usize) -> Result<FreqFrame> {
        let name = self.spectral_windows.get(spw).map_or("missing", |w| w.frame.as_str());
        Ok(match name {
            "LSRK" => FreqFrame::Lsrk,
            "LSRD" => FreqFrame::Lsrd,
            "BARY" => FreqFrame::Bary,
            "GEO" => FreqFrame::Geo,
            "TOPO" => FreqFrame::Topo,
            other => {
                return Err(Error::data(
                    self.path(),
                    format!("spectral window {spw}"),
                    format!("its frequencies are in the frame {other}"),
                    "select others, or regrid it with casatasks mstransform(outframe=...)",
                ));
            }
        })
    }

    /// The rest frequency the set gives for a field in a spectral window, Hz, if it gives any.
    pub fn rest_freq_hz(&self, field: usize, spw: usize) -> Option<f64> {
        let source_id = self.fields.get(field)?.source_id;
        self.sources
            .iter()
            .filter(|s| s.source_id == source_id)
            .filter(|s| s.spw < 0 || usize::try_from(s.spw) == Ok(spw))
            .find_map(|s| s.rest_freq_hz.iter().copied().find(|&f| f.is_finite() && f > 0.0))
    }
}

/// Casacore's name of a correlation code.
pub(super) fn correlation_name(code: i32) -> String {
    const NAMES: [&str; 13] =
        ["?", "I", "Q", "U", "V", "RR", "RL", "LR", "LL", "XX", "XY", "YX", "YY"];
    let known = usize::try_from(code).ok().and_then(|i| NAMES.get(i));
    known.map_or_else(|| format!("code {code}"), |name| (*name).to_owned())
}

/// Reference frame of every row of a measures column, from its MEASINFO keyword; `default` where
/// the column has none.
fn frames(table: &Table, column: &Column, default: &str) -> Result<Vec<String>> {
    let rows = table.rows() as usize;
    let Some(info) = column.keywords.record("MEASINFO") else {
        return Ok(vec![default.to_owned(); rows]);
    };
    let Some(reference) = info.text("VarRefCol") else {
        let frame = info.text("Ref").unwrap_or(default);
        return Ok(vec![frame.to_ascii_uppercase(); rows]);
    };
    if table.column(reference)?.data_type == super::table::DataType::String {
        return Ok(table.strings(reference)?.iter().map(|s| s.to_ascii_uppercase()).collect());
    }
    // The codes have changed over casacore's history, so the keyword tells what they mean here.
    let types = info.texts("TabRefTypes").unwrap_or_default();
    let codes = info.ints("TabRefCodes").unwrap_or_default();
    let name = |code: &i32| {
        let at = codes.iter().position(|c| *c == i64::from(*code));
        match at.and_then(|at| types.get(at)) {
            Some(name) => name.to_ascii_uppercase(),
            None => format!("of code {code}"),
        }
    };
    Ok(table.scalars::<i32>(reference)?.iter().map(name).collect())
}

fn time_scale(table: &Table, column: &Column) -> Result<TimeScale> {
    let info = column.keywords.record("MEASINFO");
    let name = match info.and_then(|i| i.get("Ref")) {
        Some(Value::Text(name)) => name,
        _ => "UTC",
    };
    TimeScale::from_name(name).ok_or_else(|| {
        Error::data(
            table.path(),
            format!("column {}", column.name),
            format!("its times are given as {name}"),
            "supported are UTC, UT1, TAI, TT and TDB",
        )
    })
}

/// Row `row` of a column of fixed length, or `None` where it is undefined or shorter.
fn numbers<const N: usize>(table: &Table, name: &str, row: u64) -> Result<Option<[f64; N]>> {
    let cell = table.array::<f64>(name, row)?;
    Ok(cell.and_then(|c| c.data.get(..N)?.try_into().ok()))
}

fn incomplete(table: &Table, what: impl Into<String>, problem: impl Into<String>) -> Error {
    Error::data(
        table.path(),
        what,
        problem,
        "the MeasurementSet contradicts itself: copy it again from its origin",
    )
}

/// All rows of a column, or `default` for each where the column does not exist.
fn optional<T>(
    table: &Table,
    name: &str,
    default: T,
    read: impl FnOnce(&str) -> Result<Vec<T>>,
) -> Result<Vec<T>>
where
    T: Clone,
{
    match table.find(name) {
        Some(_) => read(name),
        None => Ok(vec![default; table.rows() as usize]),
    }
}

fn antennas(table: &Table) -> Result<Vec<Antenna>> {
    let names = table.strings("NAME")?;
    let dishes = table.scalars::<f64>("DISH_DIAMETER")?;
    (0..)
        .zip(names.into_iter().zip(dishes))
        .map(|(row, (name, dish_diameter_m))| {
            let position_m = numbers(table, "POSITION", row)?.unwrap_or_default();
            Ok(Antenna { name, position_m, dish_diameter_m })
        })
        .collect()
}

fn fields(table: &Table) -> Result<Vec<Field>> {
    let names = table.strings("NAME")?;
    let source_ids = optional(table, "SOURCE_ID", -1, |n| table.scalars::<i32>(n))?;
    let ephemerides = optional(table, "EPHEMERIS_ID", -1, |n| table.scalars::<i32>(n))?;
    let frames = frames(table, table.column("PHASE_DIR")?, "J2000")?;
    let mut fields = Vec::with_capacity(names.len());
    for (row, (name, frame)) in names.into_iter().zip(frames).enumerate() {
        // [2, NUM_POLY + 1]: a polynomial in time.
        let cell = table.array::<f64>("PHASE_DIR", row as u64)?;
        let coefficients = cell.map(|c| c.data).unwrap_or_default();
        let Some(&[ra, dec]) = coefficients.first_chunk() else {
            return Err(incomplete(table, format!("row {row}"), "no PHASE_DIR"));
        };
        let moving = if ephemerides[row] >= 0 {
            Some("it follows an ephemeris")
        } else if coefficients[2..].iter().any(|&c| c != 0.0) {
            Some("it is a polynomial in time")
        } else {
            None
        };
        let source_id = source_ids[row];
        fields.push(Field { name, source_id, phase_dir: [ra, dec], frame, moving });
    }
    Ok(fields)
}

fn spectral_windows(table: &Table) -> Result<Vec<SpectralWindow>> {
    let names = optional(table, "NAME", String::new(), |n| table.strings(n))?;
    let frames = frames(table, table.column("CHAN_FREQ")?, "TOPO")?;
    let mut windows = Vec::with_capacity(names.len());
    for (row, (name, frame)) in names.into_iter().zip(frames).enumerate() {
        let cell = |column| table.array::<f64>(column, row as u64);
        let chan_freq_hz = cell("CHAN_FREQ")?.map(|c| c.data).unwrap_or_default();
        let widths = cell("CHAN_WIDTH")?.map(|c| c.data).unwrap_or_default();
        let chan_width_hz: Vec<f64> = widths.iter().map(|w| w.abs()).collect();
        let numbers = chan_freq_hz.iter().chain(&chan_width_hz);
        if chan_freq_hz.len() != chan_width_hz.len() || numbers.clone().any(|f| !f.is_finite()) {
            return Err(incomplete(
                table,
                format!("row {row}"),
                "CHAN_FREQ and CHAN_WIDTH are not numbers of the same count",
            ));
        }
        windows.push(SpectralWindow { name, chan_freq_hz, chan_width_hz, frame });
    }
    Ok(windows)
}

fn polarizations(table: &Table) -> Result<Vec<Polarization>> {
    // Two receptors make four; more room than that is for what casacore's Stokes codes can name.
    const MOST: usize = 32;
    (0..table.rows())
        .map(|row| {
            let cell = table.array::<i32>("CORR_TYPE", row)?;
            let corr_types = cell.map(|c| c.data).unwrap_or_default();
            match corr_types.len() {
                0..=MOST => Ok(Polarization { corr_types }),
                n => Err(incomplete(table, format!("row {row}"), format!("{n} correlations"))),
            }
        })
        .collect()
}

fn data_descriptions(table: &Table) -> Result<Vec<DataDescription>> {
    let spws = table.scalars::<i32>("SPECTRAL_WINDOW_ID")?;
    let polarizations = table.scalars::<i32>("POLARIZATION_ID")?;
    (0..)
        .zip(spws.into_iter().zip(polarizations))
        .map(|(row, (spw, polarization))| {
            match (usize::try_from(spw), usize::try_from(polarization)) {
                (Ok(spw), Ok(polarization)) => Ok(DataDescription { spw, polarization }),
                _ => Err(incomplete(table, format!("row {row}"), "a negative id")),
            }
        })
        .collect()
}

fn observations(table: &Table) -> Result<Vec<Observation>> {
    let telescopes = table.strings("TELESCOPE_NAME")?;
    let observers = optional(table, "OBSERVER", String::new(), |n| table.strings(n))?;
    let projects = optional(table, "PROJECT", String::new(), |n| table.strings(n))?;
    let scale = time_scale(table, table.column("TIME_RANGE")?)?;
    let mut observations = Vec::with_capacity(telescopes.len());
    let rows = telescopes.into_iter().zip(observers).zip(projects);
    for (row, ((telescope, observer), project)) in (0..).zip(rows) {
        let range: [f64; 2] = numbers(table, "TIME_RANGE", row)?.unwrap_or_default();
        let time_range = range.map(|t| scale.to_utc(t).unwrap_or(t));
        observations.push(Observation { telescope, observer, project, time_range });
    }
    Ok(observations)
}

fn sources(table: &Table) -> Result<Vec<Source>> {
    let source_ids = table.scalars::<i32>("SOURCE_ID")?;
    let spws = optional(table, "SPECTRAL_WINDOW_ID", -1, |n| table.scalars::<i32>(n))?;
    let lines = table.find("REST_FREQUENCY").is_some();
    (0..)
        .zip(source_ids.into_iter().zip(spws))
        .map(|(row, (source_id, spw))| {
            let cell = if lines { table.array::<f64>("REST_FREQUENCY", row)? } else { None };
            Ok(Source { source_id, spw, rest_freq_hz: cell.map(|c| c.data).unwrap_or_default() })
        })
        .collect()
}
