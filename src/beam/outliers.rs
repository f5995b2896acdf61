//! Channels whose beam is no measure for the rest of the cube.
//!
//! A channel with few data, its long baselines flagged, has a beam several times as large as its
//! neighbours', and a common beam that encloses it would take the resolution from all of them. Beams are
//! judged by what they would cost: by how much the median beam has to be enlarged to enclose
//! them. That is size, elongation and angle in one number, close to 1 in a sound cube (a beam follows
//! the wavelength, a few per cent over ALMA's widest cubes).

use super::{Beam, Shape};

/// A beam is sound if the median beam holds it when enlarged by this fraction.
const LEAST: f64 = 0.2;

/// It is sound, too, within this many median deviations: where beams vary anyway, none stands out.
const DEVIATIONS: f64 = 10.0;

/// Where more than this fraction of the beams stands out they are a part of the cube, not outliers.
const MOST: f64 = 0.25;

/// Channels that a common beam should not be made to enclose, ascending; `None` are channels without a
/// beam, which do not count.
///
/// With `m` the beam whose squared widths over (l, m) are the medians of all beams', and `e` the factor by
/// which m's axes have to be stretched to enclose a channel's beam, the channel is an outlier if
/// `e − 1 > max(0.2, 10 · median |e − 1|)`. If more than a quarter of the channels are, or
/// there are fewer than three beams, none is.
pub fn beam_outliers(beams: &[Option<Beam>]) -> Vec<usize> {
    let shapes: Vec<(usize, Shape)> =
        beams.iter().enumerate().filter_map(|(i, b)| Some((i, b.as_ref()?.shape()))).collect();
    let part = |of: fn(&Shape) -> f64| median(shapes.iter().map(|(_, s)| of(s)).collect());
    let middle = Shape { ll: part(|s| s.ll), lm: part(|s| s.lm), mm: part(|s| s.mm) };
    // Beams of all angles may have no median that is an ellipse: then none of them stands out.
    if shapes.len() < 3 || middle.beam().is_none() {
        return Vec::new();
    }
    let inverse = middle.inverse();
    let excess = |s: &Shape| stretch(s, &inverse) - 1.0;
    let deviation = median(shapes.iter().map(|(_, s)| excess(s).abs()).collect());
    let limit = LEAST.max(DEVIATIONS * deviation);
    let outliers: Vec<usize> =
        shapes.iter().filter(|(_, s)| excess(s) > limit).map(|(i, _)| *i).collect();
    let few = outliers.len() as f64 <= MOST * shapes.len() as f64;
    if few { outliers } else { Vec::new() }
}

/// The factor by which the axes of an ellipse, given by its inverse, have to be stretched to enclose
/// `shape`: the root of the larger eigenvalue of the product.
fn stretch(shape: &Shape, inverse: &Shape) -> f64 {
    let trace = inverse.ll * shape.ll + 2.0 * inverse.lm * shape.lm + inverse.mm * shape.mm;
    let determinant = inverse.determinant() * shape.determinant();
    let half = 0.5 * trace;
    (half + (half * half - determinant).max(0.0).sqrt()).sqrt()
}

/// The median, of an even number the mean of the middle two; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => 0.0,
        (n, half) if n % 2 == 0 => 0.5 * (values[half - 1] + values[half]),
        (_, half) => values[half],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beam::common_beam;

    fn beam(major: f64, minor: f64, pa_deg: f64) -> Option<Beam> {
        Some(Beam::new(major, minor, pa_deg.to_radians()).unwrap())
    }

    /// `n` channels of a sound cube, 4 % wider at its end.
    fn sound(n: usize) -> Vec<Option<Beam>> {
        let growth = |i: usize| 1.0 + 0.04 * i as f64 / n as f64;
        (0..n)
            .map(|i| beam(0.75 * growth(i), 0.58 * growth(i), 82.0 + 0.3 * (i % 3) as f64))
            .collect()
    }

    #[test]
    fn a_sound_cube_has_none() {
        assert!(beam_outliers(&sound(100)).is_empty());
        assert!(beam_outliers(&[beam(1.0, 0.5, 10.0); 5]).is_empty());
        assert!(beam_outliers(&[]).is_empty());
        assert!(beam_outliers(&[None, None]).is_empty());
        // With two beams nobody can say which is wrong.
        assert!(beam_outliers(&[beam(1.0, 1.0, 0.0), beam(9.0, 9.0, 0.0)]).is_empty());
    }

    #[test]
    fn size_elongation_and_angle_are_seen() {
        // The first is what tclean fits to `small` with all but its 3 % shortest baselines flagged.
        let bad = [beam(7.3907, 5.7777, -87.97), beam(0.95, 0.58, 82.0), beam(0.75, 0.58, -8.0)];
        for outlier in bad {
            for place in [0, 5, 19] {
                let mut beams = sound(20);
                beams[place] = outlier;
                beams[7] = None;
                assert_eq!(beam_outliers(&beams), [place], "{outlier:?}");
                // Without it, the common beam is that of the others.
                let kept = |i: &usize| *i != place;
                let common = common_beam((0..20).filter(kept).filter_map(|i| beams[i])).unwrap();
                assert!(common.major < 0.8 && common.minor < 0.63, "{common:?}");
            }
        }
        let mut beams = sound(20);
        beams[3] = beam(0.89, 0.60, 82.0);
        assert!(beam_outliers(&beams).is_empty(), "18 % more is within the tolerance");
        // Small beams cost nothing.
        beams[3] = beam(0.3, 0.01, 20.0);
        assert!(beam_outliers(&beams).is_empty());
    }

    #[test]
    fn the_limit_is_where_it_is_said_to_be() {
        let with = |factor: f64| {
            let mut beams = vec![beam(2.0, 1.0, 30.0); 9];
            beams[4] = beam(2.0 * factor, factor, 30.0);
            beam_outliers(&beams)
        };
        assert!(with(1.199).is_empty());
        assert_eq!(with(1.201), [4]);
        assert!(
            (stretch(
                &beam(3.0, 2.0, 0.0).unwrap().shape(),
                &beam(1.0, 1.0, 0.0).unwrap().shape().inverse()
            ) - 3.0)
                .abs()
                < 1e-12
        );
    }

    #[test]
    fn a_part_of_the_cube_is_no_outlier() {
        let mut beams = sound(20);
        for place in 0..5 {
            beams[place] = beam(1.5, 1.2, 80.0);
            assert_eq!(beam_outliers(&beams), (0..=place).collect::<Vec<_>>());
        }
        beams[5] = beam(1.5, 1.2, 80.0);
        assert!(beam_outliers(&beams).is_empty(), "six of twenty");
    }

    #[test]
    fn where_beams_vary_none_stands_out() {
        let beams: Vec<_> = (0..40).map(|i| beam(1.0 + 0.05 * i as f64, 1.0, 10.0)).collect();
        assert!(beam_outliers(&beams).is_empty());
        let crossed: Vec<_> = (0..36).map(|i| beam(2.0, 1.0, 5.0 * i as f64)).collect();
        assert!(beam_outliers(&crossed).is_empty());
    }
}
