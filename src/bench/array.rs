//! Tracks of an ALMA-like array.

use crate::{
    SPEED_OF_LIGHT,
    ms::{Rows, Slot},
};

/// Antennas of the array.
pub const ANTENNAS: usize = 40;

/// Longest baseline along u or v, cycles per pixel: 1400 of 8000 cells.
pub const COVERAGE: f64 = 0.175;

/// ALMA's, rad.
const LATITUDE: f64 = -0.401_85;

/// IRC+10216's, rad.
pub(super) const DECLINATION: f64 = 0.231_80;

/// IRC+10216's, rad.
pub(super) const RIGHT_ASCENSION: f64 = 2.557;

/// Hour angles of the first and the last integration, rad: three hours around transit.
const HOUR_ANGLE: f64 = 0.393;

/// From the first integration to the last, s.
pub(super) const DURATION: f64 = 10_800.0;

/// Antennas (east, north), of any unit: along a spiral whose radius grows geometrically, so that
/// baselines are of all lengths and most of them short, as ALMA's arms have it.
fn antennas() -> impl Iterator<Item = [f64; 2]> {
    // The golden angle never points twice in one direction.
    const TURN: f64 = 2.399_963;
    (0..ANTENNAS).map(|i| {
        let radius = 0.04f64.powf(1.0 - i as f64 / (ANTENNAS - 1) as f64);
        let (sin, cos) = (TURN * i as f64).sin_cos();
        [radius * sin, radius * cos]
    })
}

/// The array's baselines, integration after integration, as the Earth turns under a source at
/// declination 13°; scaled so that the longest reaches ±[`COVERAGE`] of an image of pixels of `cell` rad
/// at `freq_hz`.
pub(super) struct Tracks {
    count: usize,
    /// Antennas towards the meridian on the equator, east, and the pole; of any unit.
    antennas: Vec<[f64; 3]>,
    /// Pairs of antennas, the later one first.
    pairs: Vec<(usize, usize)>,
    /// Metres of a unit.
    scale: f64,
}

impl Tracks {
    /// Of `count` rows; the last integration may be incomplete.
    pub(super) fn new(count: usize, cell: f64, freq_hz: f64) -> Self {
        let on_the_ground =
            |[east, north]: [f64; 2]| [-LATITUDE.sin() * north, east, LATITUDE.cos() * north];
        let mut tracks = Self {
            count,
            antennas: antennas().map(on_the_ground).collect(),
            pairs: (0..ANTENNAS).flat_map(|i| (0..i).map(move |j| (i, j))).collect(),
            scale: 1.0,
        };
        let longest = (0..tracks.integrations())
            .flat_map(|t| tracks.uvw_m(t))
            .fold(0.0, |max: f64, [u, v, _]| max.max(u.abs()).max(v.abs()));
        tracks.scale = COVERAGE / cell * SPEED_OF_LIGHT / freq_hz / longest.max(f64::MIN_POSITIVE);
        tracks
    }

    /// Integrations, the last of them perhaps incomplete.
    pub(super) fn integrations(&self) -> usize {
        self.count.div_ceil(self.pairs.len())
    }

    /// Seconds from the first integration to this one: three hours in all, whatever their number.
    pub(super) fn time(&self, integration: usize) -> f64 {
        self.along(integration) * DURATION
    }

    /// Where between the first (0) and the last (1) an integration is.
    fn along(&self, integration: usize) -> f64 {
        let last = self.integrations() - 1;
        if last > 0 { integration as f64 / last as f64 } else { 0.5 }
    }

    /// An integration's rows: (u, v, w), m.
    pub(super) fn uvw_m(&self, integration: usize) -> impl Iterator<Item = [f64; 3]> {
        let hour_angle = HOUR_ANGLE * (2.0 * self.along(integration) - 1.0);
        let left = self.count - integration * self.pairs.len();
        self.pairs.iter().take(left).map(move |&(i, j)| {
            let baseline = [0, 1, 2].map(|axis| self.antennas[i][axis] - self.antennas[j][axis]);
            project(&baseline, hour_angle).map(|x| x * self.scale)
        })
    }

    /// The antennas of an integration's rows.
    pub(super) fn pairs(&self) -> &[(usize, usize)] {
        &self.pairs
    }

    /// Antennas towards the meridian on the equator, east, and the pole, m from the array's centre.
    pub(super) fn antennas_m(&self) -> impl Iterator<Item = [f64; 3]> {
        self.antennas.iter().map(|antenna| antenna.map(|x| x * self.scale))
    }
}

/// `count` rows of the array's baselines, integration after integration, as the Earth turns under a
/// source at declination 13°; scaled so that the longest reaches ±[`COVERAGE`] of an image of pixels
/// of `cell` rad at `freq_hz`. The last integration may be incomplete.
pub fn rows(count: usize, cell: f64, freq_hz: f64) -> Rows {
    let tracks = Tracks::new(count, cell, freq_hz);
    let mut rows = Rows::default();
    for t in 0..tracks.integrations() {
        rows.slots.push(Slot { time: tracks.time(t), spw: 0, field: 0 });
        rows.uvw_m.extend(tracks.uvw_m(t));
        rows.slot.resize(rows.uvw_m.len(), t as u32);
    }
    rows
}

/// A baseline's (u, v, w) at an hour angle.
fn project([x, y, z]: &[f64; 3], hour_angle: f64) -> [f64; 3] {
    let (sin_h, cos_h) = hour_angle.sin_cos();
    let (sin_d, cos_d) = DECLINATION.sin_cos();
    [
        sin_h * x + cos_h * y,
        -sin_d * cos_h * x + sin_d * sin_h * y + cos_d * z,
        cos_d * cos_h * x - cos_d * sin_h * y + sin_d * z,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: f64 = 2.2e-8;
    const FREQ: f64 = 268.5e9;
    const BASELINES: usize = ANTENNAS * (ANTENNAS - 1) / 2;

    #[test]
    fn the_whole_job_has_its_rows_in_whole_integrations() {
        let rows = rows(449_280, CELL, FREQ);
        assert_eq!((rows.uvw_m.len(), rows.slots.len()), (449_280, 576));
        assert_eq!(rows.slot.last(), Some(&575));
        let part = super::rows(BASELINES + 5, CELL, FREQ);
        assert_eq!((part.uvw_m.len(), part.slot.len(), part.slots.len()), (785, 785, 2));
        assert_eq!(super::rows(1, CELL, FREQ).uvw_m.len(), 1);
    }

    #[test]
    fn coverage_reaches_1400_of_4000_cells_and_most_of_it_is_well_within() {
        let rows = rows(20 * BASELINES, CELL, FREQ);
        let cells = |axis: usize| {
            let of =
                move |uvw: &[f64; 3]| (uvw[axis] * FREQ / SPEED_OF_LIGHT * 8000.0 * CELL).abs();
            rows.uvw_m.iter().map(of)
        };
        let (u, v) = (cells(0).fold(0.0, f64::max), cells(1).fold(0.0, f64::max));
        assert!((u.max(v) - 1400.0).abs() < 1e-6, "{u} {v}");
        assert!(u.min(v) > 0.6 * 1400.0, "{u} {v}");
        let within = cells(0).zip(cells(1)).filter(|(u, v)| u.hypot(*v) < 700.0).count();
        assert!(within > 10 * BASELINES, "{within}");
    }

    #[test]
    fn uvw_are_rotations_of_baselines_that_close() {
        let rows = rows(3 * BASELINES, CELL, FREQ);
        let row = |t: usize, i: usize, j: usize| rows.uvw_m[t * BASELINES + i * (i - 1) / 2 + j];
        let length = |b: [f64; 3]| b.iter().map(|x| x * x).sum::<f64>().sqrt();
        let longest = rows.uvw_m.iter().map(|b| length(*b)).fold(0.0, f64::max);
        for t in 0..3 {
            for (i, j, k) in [(2, 1, 0), (39, 20, 3), (17, 16, 15)] {
                assert!((length(row(t, i, j)) - length(row(0, i, j))).abs() < 1e-9 * longest);
                for axis in 0..3 {
                    let around = row(t, i, j)[axis] + row(t, j, k)[axis] - row(t, i, k)[axis];
                    assert!(around.abs() < 1e-9 * longest, "{around}");
                }
            }
        }
        assert_ne!(row(0, 5, 2), row(1, 5, 2));
    }
}
