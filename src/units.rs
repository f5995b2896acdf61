//! Quantities with units, as tclean's parameters carry them: "0.0046arcsec", "230.538GHz",
//! "10km/s", "4mJy", "5klambda".
//!
//! A unit is always required where a bare number could mean several things; unit names are
//! case-sensitive, as in CASA, because mHz and MHz differ.

use std::fmt;

use crate::error::{Error, Result};

/// What a quantity measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// SI unit here: rad.
    Angle,
    /// Hz.
    Frequency,
    /// m/s.
    Velocity,
    /// Jy (also written Jy/beam).
    FluxDensity,
    /// m.
    Length,
    /// Baseline length in wavelengths (lambda).
    Wavelengths,
}

impl Dimension {
    /// The dimension with an example, for messages.
    fn example(self) -> &'static str {
        match self {
            Self::Angle => "an angle such as 0.1arcsec",
            Self::Frequency => "a frequency such as 230.538GHz",
            Self::Velocity => "a velocity such as 10km/s",
            Self::FluxDensity => "a flux density such as 4mJy",
            Self::Length => "a length such as 200m",
            Self::Wavelengths => "a baseline length such as 5klambda",
        }
    }
}

/// A unit of measurement.
#[derive(Debug, PartialEq)]
pub struct Unit {
    /// Name as written in parameters.
    pub name: &'static str,
    /// What it measures.
    pub dimension: Dimension,
    /// Its size in the dimension's base unit.
    pub scale: f64,
}

const ARCSEC: f64 = std::f64::consts::PI / 648_000.0;

const fn unit(name: &'static str, dimension: Dimension, scale: f64) -> Unit {
    Unit { name, dimension, scale }
}

/// Every unit that parameters may carry.
static UNITS: &[Unit] = &[
    unit("rad", Dimension::Angle, 1.0),
    unit("mrad", Dimension::Angle, 1e-3),
    unit("deg", Dimension::Angle, 3600.0 * ARCSEC),
    unit("arcmin", Dimension::Angle, 60.0 * ARCSEC),
    unit("arcsec", Dimension::Angle, ARCSEC),
    unit("mas", Dimension::Angle, 1e-3 * ARCSEC),
    unit("uas", Dimension::Angle, 1e-6 * ARCSEC),
    unit("Hz", Dimension::Frequency, 1.0),
    unit("kHz", Dimension::Frequency, 1e3),
    unit("MHz", Dimension::Frequency, 1e6),
    unit("GHz", Dimension::Frequency, 1e9),
    unit("THz", Dimension::Frequency, 1e12),
    unit("m/s", Dimension::Velocity, 1.0),
    unit("km/s", Dimension::Velocity, 1e3),
    unit("Jy", Dimension::FluxDensity, 1.0),
    unit("mJy", Dimension::FluxDensity, 1e-3),
    unit("uJy", Dimension::FluxDensity, 1e-6),
    unit("nJy", Dimension::FluxDensity, 1e-9),
    unit("kJy", Dimension::FluxDensity, 1e3),
    unit("Jy/beam", Dimension::FluxDensity, 1.0),
    unit("mJy/beam", Dimension::FluxDensity, 1e-3),
    unit("uJy/beam", Dimension::FluxDensity, 1e-6),
    unit("m", Dimension::Length, 1.0),
    unit("km", Dimension::Length, 1e3),
    unit("cm", Dimension::Length, 1e-2),
    unit("lambda", Dimension::Wavelengths, 1.0),
    unit("klambda", Dimension::Wavelengths, 1e3),
    unit("Mlambda", Dimension::Wavelengths, 1e6),
];

/// Spellings that casacore accepts beside the names in [`UNITS`].
static ALIASES: &[(&str, &str)] = &[
    ("\"", "arcsec"),
    ("'", "arcmin"),
    ("asec", "arcsec"),
    ("amin", "arcmin"),
    ("marcsec", "mas"),
    ("µas", "uas"),
    ("µJy", "uJy"),
    ("km.s-1", "km/s"),
    ("m.s-1", "m/s"),
];

/// A number with its unit, kept as it was written: `Display` gives back text that parses to the
/// same quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    /// The number before the unit.
    pub number: f64,
    /// The unit.
    pub unit: &'static Unit,
}

impl Quantity {
    /// The value in the base unit of its dimension: rad, Hz, m/s, Jy, m, or wavelengths.
    pub fn value(&self) -> f64 {
        self.number * self.unit.scale
    }

    /// What it measures.
    pub fn dimension(&self) -> Dimension {
        self.unit.dimension
    }

    /// Reads `text`, the value of `parameter`, which must have one of the `allowed` dimensions.
    ///
    /// # Errors
    /// [`Error::Parameter`] if it is not a finite number followed by such a unit.
    pub fn parse(parameter: &str, text: &str, allowed: &[Dimension]) -> Result<Self> {
        let wanted = || {
            format!(
                "give {}",
                allowed.iter().map(|d| d.example()).collect::<Vec<_>>().join(", or ")
            )
        };
        let trimmed = text.trim();
        let (number, name) = split_number(trimmed).ok_or_else(|| {
            Error::parameter(parameter, text, "does not begin with a number", wanted())
        })?;
        if !number.is_finite() {
            return Err(Error::parameter(parameter, text, "is not a finite number", wanted()));
        }
        if name.is_empty() {
            return Err(Error::parameter(parameter, text, "has no unit", wanted()));
        }
        let Some(unit) = find_unit(name) else {
            let problem = match UNITS.iter().find(|u| u.name.eq_ignore_ascii_case(name)) {
                Some(u) => format!("unknown unit {name:?} (did you mean {}?)", u.name),
                None => format!("unknown unit {name:?}"),
            };
            return Err(Error::parameter(parameter, text, problem, wanted()));
        };
        if !allowed.contains(&unit.dimension) {
            let problem = format!("{name:?} is not a unit of what is asked for");
            return Err(Error::parameter(parameter, text, problem, wanted()));
        }
        Ok(Self { number, unit })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, self.unit.name)
    }
}

fn find_unit(name: &str) -> Option<&'static Unit> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, unit)| unit);
    UNITS.iter().find(|u| u.name == name)
}

/// Splits "1.5e-3mJy" into its number and the trimmed rest; `None` if no number stands in front.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let bytes = text.as_bytes();
    let digits = |mut i: usize| {
        while i < bytes.len() && bytes[i].is_ascii_digit() {
            i += 1;
        }
        i
    };
    let start = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let mut end = digits(start);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    // An exponent only counts when digits follow: in "1erg" the e belongs to the unit.
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let first = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if digits(first) > first {
            end = digits(first);
        }
    }
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim()))
}

/// An angle in rad: "0.1arcsec", "15arcmin", "1deg", "0.001rad", or sexagesimal as in
/// [`sexagesimal`].
///
/// # Errors
/// [`Error::Parameter`] for what is not one, naming `parameter`.
pub fn angle(parameter: &str, text: &str) -> Result<f64> {
    match sexagesimal(text) {
        Some(rad) => Ok(rad),
        None => Ok(Quantity::parse(parameter, text, &[Dimension::Angle])?.value()),
    }
}

/// A frequency in Hz.
///
/// # Errors
/// [`Error::Parameter`] for what is not one, naming `parameter`.
pub fn frequency(parameter: &str, text: &str) -> Result<f64> {
    Ok(Quantity::parse(parameter, text, &[Dimension::Frequency])?.value())
}

/// A velocity in m/s.
///
/// # Errors
/// [`Error::Parameter`] for what is not one, naming `parameter`.
pub fn velocity(parameter: &str, text: &str) -> Result<f64> {
    Ok(Quantity::parse(parameter, text, &[Dimension::Velocity])?.value())
}

/// A flux density in Jy. A bare number is Jy, as tclean takes `threshold=0.004`.
///
/// # Errors
/// [`Error::Parameter`] for what is not one, naming `parameter`.
pub fn flux_density(parameter: &str, text: &str) -> Result<f64> {
    match split_number(text.trim()) {
        Some((jy, "")) if jy.is_finite() => Ok(jy),
        _ => Ok(Quantity::parse(parameter, text, &[Dimension::FluxDensity])?.value()),
    }
}

/// A sexagesimal angle in rad, with casacore's meaning of the separators: `18h00m00.0s` and
/// `18:00:00` are hours, `-30d00m00.0s` and `-30.00.00` are degrees. Trailing fields may be left
/// out after `h` or `d` ("18h", "18h30m"); with colons and dots all three must be there. `None` if
/// the text is not sexagesimal.
pub fn sexagesimal(text: &str) -> Option<f64> {
    let text = text.trim();
    let (sign, body) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let (degrees_per_unit, fields) = if body.contains(':') {
        (15.0, body.splitn(3, ':').map(str::to_owned).collect::<Vec<_>>())
    } else if let Some((head, rest)) = body.split_once(['h', 'd']) {
        let per_unit = if body.as_bytes()[head.len()] == b'h' { 15.0 } else { 1.0 };
        // "1deg" is a plain quantity, not one degree followed by "eg".
        if rest.contains(|c: char| !c.is_ascii_digit() && !matches!(c, 'm' | 's' | '.')) {
            return None;
        }
        let (minutes, seconds) = match rest.split_once('m') {
            Some((minutes, seconds)) => (minutes, seconds.strip_suffix('s').unwrap_or(seconds)),
            None if rest.is_empty() => ("", ""),
            None => return None,
        };
        let or_zero = |field: &str| if field.is_empty() { "0".into() } else { field.to_owned() };
        (per_unit, vec![head.to_owned(), or_zero(minutes), or_zero(seconds)])
    } else if body.bytes().filter(|b| *b == b'.').count() >= 2 {
        (1.0, body.splitn(3, '.').map(str::to_owned).collect())
    } else {
        return None;
    };
    let [whole, minutes, seconds] = fields.as_slice() else { return None };
    let integer = |field: &str| field.parse::<u32>().ok().map(f64::from);
    let (minutes, seconds) = (integer(minutes)?, seconds.parse::<f64>().ok()?);
    if minutes >= 60.0 || !(0.0..60.0).contains(&seconds) {
        return None;
    }
    let units = integer(whole)? + (minutes + seconds / 60.0) / 60.0;
    Some(sign * (units * degrees_per_unit).to_radians())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-15 * b.abs().max(1e-300), "{a} vs {b}");
    }

    #[test]
    fn reads_what_tclean_users_write() {
        close(angle("cell", "0.1arcsec").unwrap(), 4.84813681109536e-7);
        close(angle("cell", "15 arcmin").unwrap(), 0.004363323129985824);
        close(angle("cell", "-1.5e0deg").unwrap(), -0.026179938779914945);
        close(angle("cell", ".5rad").unwrap(), 0.5);
        close(frequency("restfreq", "230.538GHz").unwrap(), 230.538e9);
        close(velocity("start", "-17.26km/s").unwrap(), -17.26e3);
        close(flux_density("threshold", "4mJy").unwrap(), 4e-3);
        close(flux_density("threshold", "4mJy/beam").unwrap(), 4e-3);
        close(flux_density("threshold", "0.25").unwrap(), 0.25);
        let taper = Quantity::parse("uvtaper", "5klambda", &[Dimension::Wavelengths]).unwrap();
        close(taper.value(), 5e3);
    }

    #[test]
    fn errors_name_parameter_value_and_way_out() {
        for (text, problem) in [
            ("0.1", "no unit"),
            ("arcsec", "does not begin with a number"),
            ("", "does not begin with a number"),
            ("0.1parsec", "unknown unit \"parsec\""),
            ("0.1ARCSEC", "did you mean arcsec?"),
            ("1GHz", "not a unit of what is asked for"),
            ("1e999deg", "finite"),
            ("é", "number"),
        ] {
            let message = angle("cell", text).unwrap_err().to_string();
            assert!(message.starts_with(&format!("cell={text}")), "{message}");
            assert!(message.contains(problem), "{message}");
            assert!(message.contains("0.1arcsec"), "{message}");
        }
    }

    #[test]
    fn sexagesimal_separators_mean_what_casacore_says() {
        // Expected values: casatools quanta.quantity(...) converted to degrees.
        for (text, degrees) in [
            ("18h00m00.0s", 270.0),
            ("18h30m", 277.5),
            ("18h", 270.0),
            ("18:00:00", 270.0),
            ("-30d00m00.0s", -30.0),
            ("-00d30m00s", -0.5),
            ("-30.30.00.5", -30.500138888888888),
            ("+05d56m02.234", 5.933_953_888_888_889),
        ] {
            let got = sexagesimal(text).unwrap_or_else(|| panic!("{text}")).to_degrees();
            assert!((got - degrees).abs() < 1e-12, "{text}: {got}");
        }
        for text in ["1deg", "30.5", "18h61m00s", "18:30", "a:b:c", "18h-3m", "", "-"] {
            assert_eq!(sexagesimal(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn display_round_trips(number in -1e12f64..1e12, unit in 0..UNITS.len()) {
            let quantity = Quantity { number, unit: &UNITS[unit] };
            let again = Quantity::parse("p", &quantity.to_string(), &[quantity.dimension()]).unwrap();
            prop_assert_eq!(quantity, again);
        }

        #[test]
        fn never_panics(text in "\\PC{0,12}") {
            let _ = angle("p", &text);
            let _ = flux_density("p", &text);
        }
    }
}
