//! What a user needs to know of a MeasurementSet to choose parameters: `cubeclean ms X.ms`.

use std::{collections::BTreeSet, f64::consts::PI, fmt, path::PathBuf, sync::atomic};

use rayon::prelude::*;
use sofars::ts::d2dtf;

use super::{MeasurementSet, metadata::correlation_name};
use crate::{SPEED_OF_LIGHT, error::Result};

/// Samples of FLAG that are counted at most; more would take long for one line of text.
const MOST_FLAGS: u64 = 4_000_000_000;
/// Bytes of flags that a thread holds at once.
const FLAG_BYTES: usize = 1 << 20;
/// Seconds in a day.
const DAY: f64 = 86_400.0;

/// The content of a MeasurementSet.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Description {
    /// Where it is.
    pub path: PathBuf,
    /// Telescope of the first observation.
    pub telescope: String,
    /// Observer of the first observation.
    pub observer: String,
    /// Project of the first observation.
    pub project: String,
    /// First and last integration's mid-time, UTC, MJD seconds; none without rows.
    pub time_range: Option<[f64; 2]>,
    /// Rows of the main table.
    pub rows: u64,
    /// Which columns of visibilities and weights it has.
    pub columns: Vec<String>,
    /// Number of antennas, and the different diameters of their dishes, to 0.1 m.
    pub antennas: (usize, Vec<f64>),
    /// All fields.
    pub fields: Vec<FieldDescription>,
    /// All spectral windows.
    pub spectral_windows: Vec<SpwDescription>,
}

/// A field.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct FieldDescription {
    /// Its id.
    pub id: usize,
    /// Its name.
    pub name: String,
    /// Its phase centre, or why it cannot be imaged.
    pub phase_center: String,
    /// Rows of the main table.
    pub rows: u64,
}

/// A spectral window.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SpwDescription {
    /// Its id.
    pub id: usize,
    /// Its name.
    pub name: String,
    /// Frame of its frequencies.
    pub frame: String,
    /// Number of channels.
    pub channels: usize,
    /// Centre of the first channel and of the last, Hz.
    pub freq_hz: [f64; 2],
    /// Median channel width, Hz.
    pub width_hz: f64,
    /// Its correlations.
    pub correlations: Vec<String>,
    /// Rows of the main table.
    pub rows: u64,
    /// Flagged fraction of its samples, FLAG_ROW included; none without rows, and where counting would
    /// take long.
    pub flagged: Option<f64>,
    /// Longest baseline in the uv plane, m, of cross-correlations that are not flagged as a whole;
    /// 0 without rows.
    pub longest_baseline_m: f64,
    /// What to image it with; none without cross-correlations.
    pub suggestion: Option<Suggestion>,
}

/// Sampling that suits a spectral window.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Suggestion {
    /// Expected beam, arcsec: 0.574 λ/L80 with L80 the 80th percentile of the baselines and λ the
    /// shortest wavelength (ALMA Technical Handbook, eq. 7.4).
    pub beam_arcsec: f64,
    /// A fifth of that beam, rounded down to two digits.
    pub cell_arcsec: f64,
    /// The size in cells, a product of 2, 3 and 5, that covers the primary beam down to 0.2; none
    /// where the dishes' diameter is unknown.
    pub imsize: Option<usize>,
}

/// What the rows of one spectral window show.
#[derive(Default)]
struct Tally {
    rows: u64,
    /// Rows whose flags are to be counted, with the data description that gives their shape.
    open_rows: Vec<(u64, usize)>,
    flagged_rows: u64,
    /// Baselines of cross-correlations, m.
    baselines: Vec<f32>,
}

/// Reads what `cubeclean ms` prints.
///
/// # Errors
/// If a column is missing or damaged.
pub fn describe(ms: &MeasurementSet) -> Result<Description> {
    let table = ms.table();
    let mut tallies: Vec<Tally> = ms.spectral_windows().iter().map(|_| Tally::default()).collect();
    let mut field_rows = vec![0u64; ms.fields().len()];
    let time_range = tally(ms, &mut tallies, &mut field_rows)?;
    let samples = |(_, id): &(u64, usize)| shape(ms, *id).map_or(0, |[a, b]| (a * b) as u64);
    let all: u64 = tallies.iter().flat_map(|t| &t.open_rows).map(samples).sum();

    let mut spectral_windows = Vec::new();
    for (id, mut tally) in tallies.into_iter().enumerate() {
        let flagged = match tally.rows > 0 && all <= MOST_FLAGS {
            true => flagged_fraction(ms, &tally)?,
            false => None,
        };
        spectral_windows.push(spectral_window(ms, id, &mut tally, flagged));
    }
    let fields = ms.fields().iter().zip(field_rows).enumerate();
    let observation = ms.observations().first();
    let text = |get: fn(&super::Observation) -> &String| {
        observation.map_or(String::new(), |o| get(o).clone())
    };
    let columns = ["DATA", "CORRECTED_DATA", "MODEL_DATA", "WEIGHT_SPECTRUM"];
    Ok(Description {
        path: ms.path().to_owned(),
        telescope: text(|o| &o.telescope),
        observer: text(|o| &o.observer),
        project: text(|o| &o.project),
        time_range,
        rows: table.rows(),
        columns: columns.iter().filter(|c| table.find(c).is_some()).map(|&c| c.into()).collect(),
        antennas: (ms.antennas().len(), diameters(ms)),
        fields: fields
            .map(|(id, (field, rows))| FieldDescription {
                id,
                name: field.name.clone(),
                phase_center: match ms.phase_center(id) {
                    Ok(direction) => direction.to_string(),
                    Err(_) => match field.moving {
                        Some(why) => why.to_owned(),
                        None => format!("given in {}", field.frame),
                    },
                },
                rows,
            })
            .collect(),
        spectral_windows,
    })
}

/// The different diameters of the dishes to a decimetre, ascending.
fn diameters(ms: &MeasurementSet) -> Vec<f64> {
    let decimetres = |d: f64| (10.0 * d).round() / 10.0;
    let mut diameters: Vec<f64> =
        ms.antennas().iter().map(|a| decimetres(a.dish_diameter_m)).collect();
    diameters.sort_by(f64::total_cmp);
    diameters.dedup();
    diameters
}

/// Correlations and channels of a data description's cells.
fn shape(ms: &MeasurementSet, id: usize) -> Option<[usize; 2]> {
    let description = ms.data_descriptions().get(id)?;
    let correlations = ms.polarizations().get(description.polarization)?.corr_types.len();
    let channels = ms.spectral_windows().get(description.spw)?.chan_freq_hz.len();
    Some([correlations, channels])
}

/// Goes through the main table; gives the first and last time.
fn tally(
    ms: &MeasurementSet,
    tallies: &mut [Tally],
    field_rows: &mut [u64],
) -> Result<Option<[f64; 2]>> {
    let table = ms.table();
    let ids = |name: &str| table.scalars::<i32>(name);
    let (field_id, description_id) = (ids("FIELD_ID")?, ids("DATA_DESC_ID")?);
    let (antenna1, antenna2) = (ids("ANTENNA1")?, ids("ANTENNA2")?);
    let flag_row = match table.find("FLAG_ROW") {
        Some(_) => table.scalars::<bool>("FLAG_ROW")?,
        None => vec![false; field_id.len()],
    };
    let rows: Vec<u64> = (0..table.rows()).collect();
    let mut uvw = vec![0.0f64; 3 * rows.len()];
    table.read_cells(table.column("UVW")?, &rows, &[3], 0..3, &mut uvw, &mut Vec::new())?;
    for (row, uvw) in uvw.chunks_exact(3).enumerate() {
        if let Some(n) = usize::try_from(field_id[row]).ok().and_then(|f| field_rows.get_mut(f)) {
            *n += 1;
        }
        let id = usize::try_from(description_id[row]).unwrap_or(usize::MAX);
        let description = ms.data_descriptions().get(id);
        let Some(tally) = description.and_then(|d| tallies.get_mut(d.spw)) else { continue };
        tally.rows += 1;
        if flag_row[row] {
            tally.flagged_rows += 1;
            continue;
        }
        tally.open_rows.push((row as u64, id));
        let length = uvw[0].hypot(uvw[1]);
        if antenna1[row] != antenna2[row] && length.is_finite() {
            tally.baselines.push(length as f32);
        }
    }
    let times = table.scalars::<f64>("TIME")?;
    let times = times.iter().filter(|t| t.is_finite());
    let span = times.fold(None, |span: Option<[f64; 2]>, &t| {
        let [low, high] = span.unwrap_or([t, t]);
        Some([low.min(t), high.max(t)])
    });
    Ok(span.map(|span| span.map(|t| ms.time_scale().to_utc(t).unwrap_or(t))))
}

/// The flagged fraction of a spectral window's samples.
fn flagged_fraction(ms: &MeasurementSet, tally: &Tally) -> Result<Option<f64>> {
    let column = ms.table().column("FLAG")?;
    let flagged = atomic::AtomicU64::new(0);
    let total = atomic::AtomicU64::new(0);
    let add = |counter: &atomic::AtomicU64, n| counter.fetch_add(n, atomic::Ordering::Relaxed);
    for group in tally.open_rows.chunk_by(|a, b| a.1 == b.1) {
        let Some(shape) = shape(ms, group[0].1) else { continue };
        let size = shape[0] * shape[1];
        let height = (FLAG_BYTES / size.max(1)).max(1);
        group.par_chunks(height).try_for_each_init(
            || (Vec::new(), Vec::new()),
            |(flags, scratch), rows| {
                let rows: Vec<u64> = rows.iter().map(|r| r.0).collect();
                flags.resize(rows.len() * size, false);
                ms.table().read_cells(column, &rows, &shape, 0..shape[1], flags, scratch)?;
                add(&flagged, flags.iter().filter(|&&f| f).count() as u64);
                add(&total, flags.len() as u64);
                Ok::<_, crate::Error>(())
            },
        )?;
    }
    let open = tally.rows - tally.flagged_rows;
    let (flagged, total) = (flagged.into_inner() as f64, total.into_inner() as f64);
    let of_open = if total > 0.0 { flagged / total } else { 0.0 };
    Ok(Some((tally.flagged_rows as f64 + of_open * open as f64) / tally.rows as f64))
}

fn spectral_window(
    ms: &MeasurementSet,
    id: usize,
    tally: &mut Tally,
    flagged: Option<f64>,
) -> SpwDescription {
    let window = &ms.spectral_windows()[id];
    let freq = &window.chan_freq_hz;
    let mut widths = window.chan_width_hz.clone();
    widths.sort_by(f64::total_cmp);
    let setups = ms.data_descriptions().iter().filter(|d| d.spw == id);
    let setups = setups.filter_map(|d| ms.polarizations().get(d.polarization));
    let codes: BTreeSet<i32> = setups.flat_map(|p| p.corr_types.iter().copied()).collect();
    tally.baselines.sort_by(f32::total_cmp);
    SpwDescription {
        id,
        name: window.name.clone(),
        frame: window.frame.clone(),
        channels: freq.len(),
        freq_hz: [freq.first().copied().unwrap_or(0.0), freq.last().copied().unwrap_or(0.0)],
        width_hz: widths.get(widths.len() / 2).copied().unwrap_or(0.0),
        correlations: codes.into_iter().map(correlation_name).collect(),
        rows: tally.rows,
        flagged,
        longest_baseline_m: tally.baselines.last().copied().unwrap_or(0.0).into(),
        suggestion: suggest(freq, &tally.baselines, &diameters(ms)),
    }
}

/// Cell and imsize for channels of these frequencies and baselines of these lengths (ascending).
fn suggest(freq_hz: &[f64], baselines_m: &[f32], diameters_m: &[f64]) -> Option<Suggestion> {
    const ARCSEC: f64 = PI / 648_000.0;
    let low = freq_hz.iter().copied().fold(f64::INFINITY, f64::min);
    let high = freq_hz.iter().copied().fold(0.0, f64::max);
    let percentile = *baselines_m.get(baselines_m.len().checked_sub(1)? * 4 / 5)?;
    if !(low > 0.0 && percentile > 0.0) {
        return None;
    }
    let beam_arcsec = 0.574 * SPEED_OF_LIGHT / high / f64::from(percentile) / ARCSEC;
    let cell_arcsec = two_digits(beam_arcsec / 5.0);
    // An Airy pattern of 2·J1(x)/x falls to 0.2 at x = 2.33; dishes act as if somewhat smaller
    // than they are (ALMA's 12 m as 10.7 m).
    let smallest = diameters_m.iter().copied().find(|&d| d > 0.0 && d.is_finite());
    let imsize = smallest.and_then(|diameter| {
        let radius = 2.33 / PI * SPEED_OF_LIGHT / low / (10.7 / 12.0 * diameter);
        // Beyond a radian the flat approximation says nothing.
        let cells = (2.0 * radius.min(1.0) / (cell_arcsec * ARCSEC)).ceil();
        (cells < 1e6).then(|| fft_friendly(cells as usize))
    });
    Some(Suggestion { beam_arcsec, cell_arcsec, imsize })
}

/// A positive number rounded down to two digits.
fn two_digits(value: f64) -> f64 {
    let exponent = value.log10().floor() as i32 - 1;
    // Written and read back, so that 0.08 is not 0.08000000000000002.
    let digits = (value / 10f64.powi(exponent)).floor();
    format!("{digits}e{exponent}").parse().unwrap_or(value)
}

/// The smallest even product of 2, 3 and 5 that is at least `n`.
fn fft_friendly(n: usize) -> usize {
    let smooth = |mut n: usize| {
        for prime in [2, 3, 5] {
            while n.is_multiple_of(prime) {
                n /= prime;
            }
        }
        n == 1
    };
    (n.max(2)..).find(|&k| k.is_multiple_of(2) && smooth(k)).unwrap_or(n)
}

/// A UTC time in MJD seconds as `2022-06-15 04:00:52`.
fn calendar(time: f64) -> String {
    match d2dtf("UTC", 0, 2_400_000.5, time / DAY) {
        Ok((year, month, day, [h, m, s, _])) => {
            format!("{year}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}")
        }
        Err(_) => format!("MJD {:.5}", time / DAY),
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = |text: &'static str, value: &str| match value.is_empty() {
            true => String::new(),
            false => format!(", {text}{value}"),
        };
        writeln!(f, "{}", self.path.display())?;
        let telescope =
            if self.telescope.is_empty() { "unknown telescope" } else { &self.telescope };
        let (observer, project) =
            (given("observer ", &self.observer), given("project ", &self.project));
        writeln!(f, "  {telescope}{observer}{project}")?;
        if let Some([begin, end]) = self.time_range {
            writeln!(f, "  {} to {} UTC", calendar(begin), calendar(end))?;
        }
        let dishes: Vec<String> = self.antennas.1.iter().map(|d| format!("{d} m")).collect();
        writeln!(f, "  {} antennas ({})", self.antennas.0, dishes.join(", "))?;
        writeln!(f, "  {} rows; columns {}", self.rows, self.columns.join(", "))?;
        writeln!(f, "\nFields")?;
        for field in &self.fields {
            let FieldDescription { id, name, phase_center, rows } = field;
            writeln!(f, "  {id:>3}  {name:<20}  {phase_center}  {rows} rows")?;
        }
        writeln!(f, "\nSpectral windows")?;
        for spw in &self.spectral_windows {
            write!(f, "{spw}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SpwDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, last] = self.freq_hz.map(|hz| hz / 1e9);
        let (id, name, frame) = (self.id, &self.name, &self.frame);
        writeln!(
            f,
            "  {id:>3}  {name}: {} channels of {:.3} kHz, {first:.6} to {last:.6} GHz {frame}, {}",
            self.channels,
            self.width_hz / 1e3,
            self.correlations.join(" ")
        )?;
        if self.rows == 0 {
            return writeln!(f, "       no rows");
        }
        write!(f, "       {} rows", self.rows)?;
        if let Some(flagged) = self.flagged {
            write!(f, ", {:.1} % flagged", 100.0 * flagged)?;
        }
        let Some(suggestion) = self.suggestion else {
            return writeln!(f, ", nothing to image");
        };
        writeln!(f, ", baselines up to {:.0} m", self.longest_baseline_m)?;
        let Suggestion { beam_arcsec, cell_arcsec, imsize } = suggestion;
        write!(f, "       beam about {beam_arcsec:.2} arcsec: --cell {cell_arcsec}arcsec")?;
        match imsize {
            Some(imsize) => writeln!(f, " --imsize {imsize} (primary beam to 0.2)"),
            None => writeln!(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding() {
        assert_eq!(two_digits(0.0876), 0.087);
        assert_eq!(two_digits(8.0), 8.0);
        assert_eq!(two_digits(12.7), 12.0);
        assert_eq!([1, 255, 257, 1001].map(fft_friendly), [2, 256, 270, 1024]);
        assert_eq!(calendar(5_161_982_452.0), "2022-06-15 04:00:52");
    }

    /// ALMA at 230 GHz with baselines of 100 m: 0.574·1.303 mm/100 m = 1.54 arcsec; the primary beam's
    /// power falls to 0.2 near 0.76 FWHM = 0.76·25.3 arcsec, so 39 arcsec are covered.
    #[test]
    fn suggestion_for_alma() {
        let suggestion = suggest(&[230e9], &[100.0; 10], &[12.0]).unwrap();
        assert_eq!(suggestion.cell_arcsec, 0.3);
        let size = suggestion.imsize.unwrap() as f64 * 0.3;
        assert!((35.0..45.0).contains(&size), "{size}");
        assert_eq!(suggest(&[230e9], &[], &[12.0]), None);
    }
}
