//! Where the ticks of an axis go, and what they say.

use crate::geometry::{Direction, ImageGrid};

/// Ticks at multiples of 1, 2 or 5 times a power of ten, at least two and at most `most`.
pub fn linear(from: f64, to: f64, most: usize) -> Vec<f64> {
    let (low, high) = (from.min(to), from.max(to));
    if !(high - low).is_normal() {
        return vec![];
    }
    let rough = (high - low) / most.max(2) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|s| s * power).into_iter().find(|s| *s >= rough);
    multiples(low, high, step.unwrap_or(10.0 * power))
}

/// A tick's label with the decimals its spacing asks for, and a true minus sign.
pub fn label(value: f64, ticks: &[f64]) -> String {
    let step = match ticks {
        [a, b, ..] => (b - a).abs(),
        _ => value.abs().max(1.0),
    };
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
    format!("{value:.decimals$}").replace('-', "−")
}

fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|k| k as f64 * step).collect()
}

/// Steps of right ascension, seconds of time.
const RA_STEPS: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0,
    120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0,
];
/// Steps of declination, seconds of arc.
const DEC_STEPS: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0,
    120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 18000.0,
];

/// Ticks of right ascension along the row `y` of pixels, between columns `x0` and `x1`: (column,
/// label).
pub fn right_ascension(grid: &ImageGrid, x0: f64, x1: f64, y: f64) -> Vec<(f64, String)> {
    let seconds = |d: Direction| d.ra.to_degrees() * 240.0;
    let (Some(east), Some(west)) = (grid.pixel_to_sky(x0, y), grid.pixel_to_sky(x1, y)) else {
        return vec![];
    };
    let (mut high, low) = (seconds(east), seconds(west));
    if high < low {
        high += 86_400.0; // the image straddles 0h
    }
    let step = nice(RA_STEPS, (high - low) / 4.0);
    let dec = grid.pixel_to_sky((x0 + x1) / 2.0, y).map_or(grid.phase_center.dec, |d| d.dec);
    let tick = |s: f64| {
        let sky = Direction { ra: (s / 240.0).to_radians(), dec, frame: grid.phase_center.frame };
        let (x, _) = grid.sky_to_pixel(&sky)?;
        Some((x, sexagesimal(s.rem_euclid(86_400.0), step, ["h", "m", "s"])))
    };
    multiples(low, high, step).into_iter().filter_map(tick).collect()
}

/// Ticks of declination along the column `x` of pixels, between rows `y0` and `y1`: (row, label).
pub fn declination(grid: &ImageGrid, x: f64, y0: f64, y1: f64) -> Vec<(f64, String)> {
    let arcsec = |d: Direction| d.dec.to_degrees() * 3600.0;
    let (Some(south), Some(north)) = (grid.pixel_to_sky(x, y0), grid.pixel_to_sky(x, y1)) else {
        return vec![];
    };
    let step = nice(DEC_STEPS, (arcsec(north) - arcsec(south)) / 6.0);
    let tick = |s: f64| {
        let sky = Direction {
            ra: south.ra,
            dec: (s / 3600.0).to_radians(),
            frame: grid.phase_center.frame,
        };
        let (_, y) = grid.sky_to_pixel(&sky)?;
        let sign = if s < 0.0 { "−" } else { "+" };
        Some((y, sign.to_owned() + &sexagesimal(s.abs(), step, ["°", "′", "″"])))
    };
    multiples(arcsec(south), arcsec(north), step).into_iter().filter_map(tick).collect()
}

fn nice(steps: &[f64], at_least: f64) -> f64 {
    steps.iter().copied().find(|s| *s >= at_least).unwrap_or(at_least.max(1e-3))
}

/// Seconds as three fields, without the last where the step is whole minutes.
fn sexagesimal(seconds: f64, step: f64, units: [&str; 3]) -> String {
    let decimals = if step >= 1.0 { 0 } else { (-step.log10()).ceil() as usize };
    // Rounded once, in units of the last digit, so that no field shows 60.
    let scale = 10f64.powi(decimals as i32);
    let units_of_last = (seconds * scale).round();
    let (total, fraction) = ((units_of_last / scale).floor() as u64, units_of_last % scale);
    let (first, minutes, whole) = (total / 3600, total / 60 % 60, total % 60);
    let [a, b, c] = units;
    if step >= 60.0 {
        format!("{first:02}{a}{minutes:02}{b}")
    } else if decimals == 0 {
        format!("{first:02}{a}{minutes:02}{b}{whole:02}{c}")
    } else {
        format!("{first:02}{a}{minutes:02}{b}{whole:02}.{fraction:0decimals$}{c}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::DirectionFrame;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(linear(0.0, 10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(linear(1.3, -0.2, 4), [0.0, 0.5, 1.0]);
        assert!(linear(1.0, 1.0, 4).is_empty());
        assert_eq!(label(-0.5, &[-0.5, 0.0]), "−0.5");
        assert_eq!(label(1400.0, &[1400.0, 1500.0]), "1400");
    }

    #[test]
    fn sky_ticks_land_on_their_pixels() {
        let arcsec = std::f64::consts::PI / 648_000.0;
        let grid = ImageGrid {
            nx: 256,
            ny: 256,
            cell_x: 15.0 * arcsec,
            cell_y: 15.0 * arcsec,
            phase_center: Direction {
                ra: 230.5f64.to_radians(),
                dec: 0.0,
                frame: DirectionFrame::J2000,
            },
        };
        let ra = right_ascension(&grid, 0.0, 255.0, 128.0);
        let (x, _) = ra.iter().find(|(_, text)| text == "15h22m").expect("the centre's tick");
        assert!((x - 128.0).abs() < 1e-6, "{x}");
        let dec = declination(&grid, 128.0, 0.0, 255.0);
        let (y, _) = dec.iter().find(|(_, text)| text == "+00°00′").expect("the centre's tick");
        assert!((y - 128.0).abs() < 1e-6, "{y}");
    }

    #[test]
    fn fields_never_show_sixty() {
        assert_eq!(sexagesimal(59.9996, 0.5, ["h", "m", "s"]), "00h01m00.0s");
        assert_eq!(sexagesimal(3600.0, 1.0, ["h", "m", "s"]), "01h00m00s");
        assert_eq!(sexagesimal(18_240.0, 300.0, ["°", "′", "″"]), "05°04′");
    }
}
