//! Spectral reference frames: the Doppler shift between the observatory, the Earth's centre, the
//! solar-system barycentre and the local standards of rest, at a time and towards a direction.
//!
//! Frames are steps of one chain, TOPO → GEO → BARY → LSRK or LSRD. A step from a frame that moves
//! with velocity **v** relative to the next one multiplies a frequency by √((1−β)/(1+β)), β = **v**·ŝ/c
//! for a source in direction ŝ (approaching it raises the frequency seen, so the factor lowers it).
//! Earth orientation and ephemeris come from SOFA; UT1 is taken as UTC, which errs by less than
//! 0.1 mm/s.

use std::fmt;

use sofars::{
    coords::g2icrs,
    eph::epv00,
    erst::era00,
    pnp::{c2ixys, pom00, sp00, xys06a},
    ts::{taitt, utctai},
    vm::{s2c, trxp},
};

use crate::{
    SPEED_OF_LIGHT,
    error::{Error, Result},
    geometry::{Direction, DirectionFrame},
};

/// A spectral reference frame, with casacore's codes (MEAS_FREQ_REF).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FreqFrame {
    /// Kinematic local standard of rest.
    Lsrk,
    /// Dynamical local standard of rest.
    Lsrd,
    /// Solar-system barycentre.
    Bary,
    /// Geocentre.
    Geo,
    /// The observatory.
    Topo,
}

impl FreqFrame {
    /// The frame of casacore's code, as in SPECTRAL_WINDOW.MEAS_FREQ_REF; `None` for a frame this
    /// program does not know (REST, GALACTO, LGROUP, CMB).
    pub fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            1 => Self::Lsrk,
            2 => Self::Lsrd,
            3 => Self::Bary,
            4 => Self::Geo,
            5 => Self::Topo,
            _ => return None,
        })
    }
}

/// casacore's name of the frame: "LSRK".
impl fmt::Display for FreqFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lsrk => "LSRK",
            Self::Lsrd => "LSRD",
            Self::Bary => "BARY",
            Self::Geo => "GEO",
            Self::Topo => "TOPO",
        })
    }
}

/// Frequency in frame `to` over frequency in frame `from`, of one signal from `direction` that
/// arrives at `time` (UTC, MJD seconds) at the observatory, `position_m` (ITRF metres). Exactly 1
/// where both frames are the same.
///
/// # Errors
/// [`Error::Data`] for a time outside 1900–2100, where the ephemeris ends.
pub fn frequency_ratio(
    from: FreqFrame,
    to: FreqFrame,
    time: f64,
    position_m: &[f64; 3],
    direction: &Direction,
) -> Result<f64> {
    if from == to {
        return Ok(1.0);
    }
    let motion = Motion::at(time, position_m)?;
    let source = direction.to_frame(DirectionFrame::Icrs).unit_vector();
    Ok(motion.topo_to(to, &source) / motion.topo_to(from, &source))
}

/// Velocities, m/s, along the ICRS axes, of each frame relative to the next one of the chain.
struct Motion {
    observatory: [f64; 3],
    earth: [f64; 3],
}

impl Motion {
    fn at(time: f64, position_m: &[f64; 3]) -> Result<Self> {
        const MJD_ZERO: f64 = 2_400_000.5;
        const DAY_S: f64 = 86_400.0;
        const AU_M: f64 = 149_597_870_700.0;
        // Earth rotation angle per UT1 second, IAU 2000.
        const OMEGA: f64 = std::f64::consts::TAU * 1.002_737_811_911_354_5 / DAY_S;

        let mjd = time / DAY_S;
        let outside = || {
            Error::data(
                "MAIN",
                "TIME",
                format!("{time} s (MJD {mjd:.3}) is outside the years 1900 to 2100"),
                "correct the column, or give outframe the frame of the data, which needs no times",
            )
        };
        if !mjd.is_finite() {
            return Err(outside());
        }
        let (tai, tai_day) = utctai(MJD_ZERO, mjd).map_err(|_| outside())?;
        let (tt, tt_day) = taitt(tai, tai_day).map_err(|_| outside())?;
        // TDB differs from TT by 2 ms at most, in which the Earth's velocity changes by 1e-5 m/s.
        let (_, [_, earth_au_day]) = epv00(tt, tt_day).ok_or_else(outside)?;

        let (x, y, s) = xys06a(tt, tt_day);
        let celestial = c2ixys(x, y, s);
        let era = era00(MJD_ZERO, mjd);
        let mut position = [0.0; 3];
        trxp(&pom00(0.0, 0.0, sp00(tt, tt_day)), position_m, &mut position);
        let (sin, cos) = era.sin_cos();
        let (px, py) =
            (cos * position[0] - sin * position[1], sin * position[0] + cos * position[1]);
        let mut observatory = [0.0; 3];
        trxp(&celestial, &[-OMEGA * py, OMEGA * px, 0.0], &mut observatory);
        Ok(Self { observatory, earth: earth_au_day.map(|v| v * AU_M / DAY_S) })
    }

    /// Factor from TOPO to `frame`.
    fn topo_to(&self, frame: FreqFrame, source: &[f64; 3]) -> f64 {
        let step = |velocity: &[f64; 3]| {
            let along: f64 = velocity.iter().zip(source).map(|(v, s)| v * s).sum();
            let beta = along / SPEED_OF_LIGHT;
            ((1.0 - beta) / (1.0 + beta)).sqrt()
        };
        match frame {
            FreqFrame::Topo => 1.0,
            FreqFrame::Geo => step(&self.observatory),
            FreqFrame::Bary => step(&self.observatory) * step(&self.earth),
            FreqFrame::Lsrk => step(&self.observatory) * step(&self.earth) * step(&sun_lsrk()),
            FreqFrame::Lsrd => step(&self.observatory) * step(&self.earth) * step(&sun_lsrd()),
        }
    }
}

/// Velocity of the Sun relative to the kinematic LSR, m/s, ICRS axes: 20 km/s towards 18h, +30°
/// (equinox 1900), whose J2000 unit vector stands here.
fn sun_lsrk() -> [f64; 3] {
    [0.014_502_1, -0.865_863, 0.500_071].map(|c| 20e3 * c)
}

/// Velocity of the Sun relative to the dynamical LSR, m/s, ICRS axes: (9, 12, 7) km/s along the
/// galactic axes (IAU 1985).
fn sun_lsrd() -> [f64; 3] {
    let (u, v, w) = (9e3f64, 12e3f64, 7e3f64);
    let speed = (u * u + v * v + w * w).sqrt();
    let (ra, dec) = g2icrs(v.atan2(u), (w / speed).asin());
    s2c(ra, dec).map(|c| speed * c)
}

/// Reference position of an observatory, ITRF metres, by its name in OBSERVATION.TELESCOPE_NAME
/// (any case): casacore's, to 0.1 m. `None` for one that is not listed; the mean position of the
/// antennas then serves, and shifts velocities by less than 1 mm/s for every 10 m it differs.
pub fn observatory_position(name: &str) -> Option<[f64; 3]> {
    const POSITIONS: &[(&str, [f64; 3])] = &[
        ("ALMA", [2225142.2, -5440307.4, -2481029.9]),
        ("ACA", [2225066.2, -5440107.5, -2481532.7]),
        ("EVLA", [-1601156.7, -5041989.0, 3554879.2]),
        ("VLA", [-1601185.4, -5041977.5, 3554875.9]),
        ("ATCA", [-4750915.8, 2792906.2, -3200483.7]),
        ("MeerKAT", [5109217.4, 2006797.7, -3239133.9]),
        ("KAT-7", [5109207.8, 2006793.9, -3239127.7]),
        ("GMRT", [1657069.6, 5797969.0, 2073044.1]),
        ("WSRT", [3828488.9, 443253.4, 5064977.8]),
        ("SMA", [-5462448.9, -2491969.9, 2164446.1]),
        ("NOEMA", [4523932.6, 468134.7, 4460286.5]),
        ("IRAM_PDB", [4523998.4, 468045.2, 4460309.8]),
        ("CARMA", [-2397389.7, -4482068.6, 3843528.4]),
        ("ASKAP", [-2558266.7, 5095672.2, -2849020.8]),
        ("MWA", [-2559454.1, 5095372.1, -2849057.2]),
        ("e-MERLIN", [3834492.0, -173905.3, 5068199.9]),
    ];
    POSITIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim())).map(|(_, p)| *p)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// casacore's measures (assets/spectral/make_frames.py) for 3 observatories, 10 dates, 5
    /// directions and 4 frames. They use Earth-orientation tables, SOFA's routines here do not.
    #[test]
    fn ratios_agree_with_casacore_to_a_fifth_of_a_metre_per_second() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../assets/spectral/frames.json")).unwrap();
        let mut worst = [0.0f64; 4];
        for case in golden["ratios"].as_array().unwrap() {
            let number = |key: &str| case[key].as_f64().unwrap();
            let position = observatory_position(case["observatory"].as_str().unwrap()).unwrap();
            let towards = Direction::new(number("ra"), number("dec"), DirectionFrame::J2000);
            let frames = [FreqFrame::Geo, FreqFrame::Bary, FreqFrame::Lsrk, FreqFrame::Lsrd];
            for (frame, worst) in frames.into_iter().zip(&mut worst) {
                let ratio = |from, to| {
                    frequency_ratio(from, to, number("time"), &position, &towards).unwrap()
                };
                let error = ratio(FreqFrame::Topo, frame) / number(&frame.to_string()) - 1.0;
                *worst = worst.max(error.abs() * SPEED_OF_LIGHT);
                let there_and_back = ratio(FreqFrame::Topo, frame) * ratio(frame, FreqFrame::Topo);
                assert!((there_and_back - 1.0).abs() < 1e-15);
            }
        }
        println!(
            "worst m/s: GEO {:.3} BARY {:.3} LSRK {:.3} LSRD {:.3}",
            worst[0], worst[1], worst[2], worst[3]
        );
        assert!(worst.iter().all(|w| *w < 0.2), "{worst:?}");
    }

    #[test]
    fn positions_are_casacores() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../assets/spectral/frames.json")).unwrap();
        for name in ["ALMA", "VLA", "EVLA", "MeerKAT", "e-MERLIN"] {
            let ours = observatory_position(&name.to_lowercase()).unwrap();
            for (i, ours) in ours.iter().enumerate() {
                let casacore = golden["observatories"][name][i].as_f64().unwrap();
                assert!((ours - casacore).abs() < 0.06, "{name}");
            }
        }
        assert_eq!(observatory_position("NOWHERE"), None);
    }

    #[test]
    fn same_frame_is_exactly_one_and_bad_times_are_errors() {
        let towards = Direction::new(1.0, 0.2, DirectionFrame::Icrs);
        let ratio =
            |from, to, time| frequency_ratio(from, to, time, &[2.2e6, -5.4e6, -2.5e6], &towards);
        assert_eq!(ratio(FreqFrame::Lsrk, FreqFrame::Lsrk, f64::NAN).unwrap(), 1.0);
        for time in [f64::NAN, 0.0, -1e12, 1e13] {
            // MJD 0 is in 1858, before the ephemeris begins.
            let error = ratio(FreqFrame::Topo, FreqFrame::Lsrk, time).unwrap_err();
            assert!(error.to_string().contains("TIME"), "{error}");
        }
    }
}
