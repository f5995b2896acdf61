//! Time scales of a MeasurementSet's epochs.

use sofars::ts::taiutc;

/// TT − TAI, s.
const TT_MINUS_TAI: f64 = 32.184;
/// Seconds in a day.
const DAY: f64 = 86_400.0;
/// Julian date of MJD 0.
const MJD_ZERO: f64 = 2_400_000.5;

/// A time scale that times in a column may be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeScale {
    /// Coordinated universal time.
    Utc,
    /// Universal time from the Earth's rotation. Taken for UTC: they differ by less than 0.9 s, in
    /// which the rotation changes an antenna's velocity by 0.03 m/s at most.
    Ut1,
    /// Atomic time.
    Tai,
    /// Terrestrial time; also what casacore calls ET, and TDB, which is within 2 ms of it.
    Tt,
}

impl TimeScale {
    /// The scale that casacore's name of an epoch reference stands for.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "UTC" | "" => Self::Utc,
            "UT1" | "UT" | "UT2" => Self::Ut1,
            "TAI" | "IAT" => Self::Tai,
            "TT" | "TDT" | "ET" | "TDB" => Self::Tt,
            _ => return None,
        })
    }

    /// UTC of `time` on this scale, both MJD seconds. None before 1960, when UTC began.
    pub(super) fn to_utc(self, time: f64) -> Option<f64> {
        let tai = match self {
            Self::Utc | Self::Ut1 => return Some(time),
            Self::Tai => time,
            Self::Tt => time - TT_MINUS_TAI,
        };
        // Only the offset is taken from Julian days, so the time keeps its precision.
        let days = tai / DAY;
        let (utc1, utc2) = taiutc(MJD_ZERO, days).ok()?;
        let offset = ((utc1 - MJD_ZERO) + utc2 - days) * DAY;
        // Leap seconds are whole from 1972 on.
        let offset = if tai > 41_317.0 * DAY { offset.round() } else { offset };
        Some(tai + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets published by the IERS (Bulletin C): TAI − UTC was 29 s in April 1995, 37 s in 2022.
    #[test]
    fn leap_seconds() {
        let april_1995 = 4_304_482_380.0;
        assert_eq!(TimeScale::Tai.to_utc(april_1995), Some(april_1995 - 29.0));
        let july_2022 = 59_761.25 * DAY;
        assert_eq!(TimeScale::Tai.to_utc(july_2022), Some(july_2022 - 37.0));
        assert_eq!(TimeScale::Tt.to_utc(july_2022), Some(july_2022 - 37.0 - 32.184));
        assert_eq!(TimeScale::Utc.to_utc(july_2022), Some(july_2022));
        assert_eq!(TimeScale::from_name("LAST"), None);
    }
}
