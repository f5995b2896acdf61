//! The common beam of a cube: the smallest that every plane's beam can be convolved to.
//!
//! Beam A can be convolved to beam C when C's quadratic shape minus A's is positive definite, that
//! is, when C's half-power ellipse encloses A's. The smallest such C is the least-area centred
//! ellipse around all the beams' ellipses (Löwner's). It touches at most three of them, so it is
//! found by adding the point that lies farthest outside the present ellipse and solving again for
//! the least ellipse through the points that hold it, until none lies outside.

use super::{Beam, Shape, fit::solve};

/// Relative distance by which a beam may stick out of the common beam before it counts; the result is
/// enlarged by as much, so that every plane can be deconvolved.
const TOLERANCE: f64 = 1e-9;

/// The smallest beam that all `beams` can be convolved to; `None` without beams.
///
/// Unlike CASA's pairwise search the result does not depend on the beams' order, and none is smaller.
pub fn common_beam(beams: impl IntoIterator<Item = Beam>) -> Option<Beam> {
    let beams: Vec<Beam> = beams.into_iter().collect();
    let largest = beams.iter().copied().max_by(|a, b| {
        (a.major * a.minor).total_cmp(&(b.major * b.minor)).then(a.pa.total_cmp(&b.pa))
    })?;
    // Lengths relative to the largest beam keep the equations well scaled.
    let unit = largest.major;
    let shapes: Vec<Shape> = beams
        .iter()
        .map(|b| Beam { major: b.major / unit, minor: b.minor / unit, pa: b.pa }.shape())
        .collect();

    let (sin, cos) = largest.pa.sin_cos();
    let ratio = largest.minor / unit;
    let mut support = vec![(sin, cos), (ratio * cos, -ratio * sin)];
    let mut ellipse = through(&support)?;
    // Each round adds a tangent point and converges quadratically: some ten rounds, whatever the cube.
    for _ in 0..1000 {
        let (excess, point) = farthest(&shapes, &ellipse)?;
        if excess <= 1.0 + TOLERANCE {
            break;
        }
        support.push(point);
        let Some((basis, smaller)) = least_ellipse(&support) else { break };
        (support, ellipse) = (basis, smaller);
    }
    let (excess, _) = farthest(&shapes, &ellipse)?;
    let scale = unit * (excess.max(1.0) + TOLERANCE).sqrt();
    let beam = ellipse.inverse().beam()?;
    Some(Beam { major: beam.major * scale, minor: beam.minor * scale, pa: beam.pa })
}

/// The point of the beams' ellipses that lies farthest outside `p(x) = 1`: p there, and the point.
fn farthest(shapes: &[Shape], p: &Shape) -> Option<(f64, (f64, f64))> {
    let mut worst: Option<(f64, (f64, f64))> = None;
    for shape in shapes {
        // The points of the ellipse are S^½·e; p is largest along the first eigenvector of S^½ P S^½.
        let beam = shape.beam()?;
        let (sin, cos) = beam.pa.sin_cos();
        let (a, b) = ((beam.major * sin, beam.major * cos), (beam.minor * cos, -beam.minor * sin));
        let bilinear = |u: (f64, f64), v: (f64, f64)| {
            p.ll * u.0 * v.0 + p.lm * (u.0 * v.1 + u.1 * v.0) + p.mm * u.1 * v.1
        };
        let form = Shape { ll: bilinear(a, a), lm: bilinear(a, b), mm: bilinear(b, b) };
        let half_difference = 0.5 * (form.ll - form.mm);
        let value = 0.5 * (form.ll + form.mm) + half_difference.hypot(form.lm);
        let angle = 0.5 * form.lm.atan2(half_difference);
        let point = (a.0 * angle.cos() + b.0 * angle.sin(), a.1 * angle.cos() + b.1 * angle.sin());
        if worst.is_none_or(|w| value > w.0) {
            worst = Some((value, point));
        }
    }
    worst
}

/// The least-area centred ellipse that holds all of up to four points, as its inverse shape, and the
/// two or three of them that it passes through.
fn least_ellipse(points: &[(f64, f64)]) -> Option<(Vec<(f64, f64)>, Shape)> {
    let mut best: Option<(Vec<(f64, f64)>, Shape)> = None;
    for chosen in 0u32..1 << points.len() {
        if !(2..=3).contains(&chosen.count_ones()) {
            continue;
        }
        let basis: Vec<_> =
            (0..points.len()).filter(|i| chosen >> i & 1 == 1).map(|i| points[i]).collect();
        let Some(p) = through(&basis) else { continue };
        let holds_all = points.iter().all(|&(l, m)| p.at(l, m) <= 1.0 + 1e-12);
        if holds_all && best.as_ref().is_none_or(|b| p.determinant() > b.1.determinant()) {
            best = Some((basis, p));
        }
    }
    best
}

/// The inverse shape of the least-area centred ellipse through two points, or of the only one through
/// three; `None` where there is none.
fn through(points: &[(f64, f64)]) -> Option<Shape> {
    let p = match *points {
        [a, b] => Shape {
            ll: a.0 * a.0 + b.0 * b.0,
            lm: a.0 * a.1 + b.0 * b.1,
            mm: a.1 * a.1 + b.1 * b.1,
        }
        .inverse(),
        [a, b, c] => {
            let row = |p: (f64, f64)| [p.0 * p.0, 2.0 * p.0 * p.1, p.1 * p.1];
            let [ll, lm, mm] = solve([row(a), row(b), row(c)], [1.0; 3])?;
            Shape { ll, lm, mm }
        }
        _ => return None,
    };
    (p.ll > 0.0 && p.determinant() > 0.0 && p.determinant().is_finite()).then_some(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beam(major: f64, minor: f64, pa_deg: f64) -> Beam {
        Beam::new(major, minor, pa_deg.to_radians()).unwrap()
    }

    fn holds(common: &Beam, beams: &[Beam]) -> bool {
        beams.iter().all(|b| common.deconvolve(b).is_some())
    }

    #[test]
    fn of_one_beam_it_is_that_beam() {
        let one = beam(2e-6, 1e-6, 40.0);
        let common = common_beam([one, one, one]).unwrap();
        assert!((common.major / one.major - 1.0).abs() < 1e-8);
        assert!((common.minor / one.minor - 1.0).abs() < 1e-8);
        assert!((common.pa - one.pa).abs() < 1e-7);
        assert!(common_beam([]).is_none());
    }

    #[test]
    fn a_beam_that_holds_all_others_is_the_answer() {
        let large = beam(5.0, 4.0, 20.0);
        let common = common_beam([beam(1.0, 0.5, 70.0), large, beam(3.0, 1.0, -10.0)]).unwrap();
        assert!((common.major / 5.0 - 1.0).abs() < 1e-8 && (common.minor / 4.0 - 1.0).abs() < 1e-8);
    }

    #[test]
    fn crossed_beams() {
        // Two equal ellipses at right angles: by symmetry a circle; it touches their major axes.
        let common = common_beam([beam(2.0, 1.0, 0.0), beam(2.0, 1.0, 90.0)]).unwrap();
        assert!((common.major - 2.0).abs() < 1e-7 && (common.minor - 2.0).abs() < 1e-7);
    }

    #[test]
    fn nothing_smaller_holds_them_all() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        for n in [2, 3, 10, 200] {
            for spread in [1.0, 1e-2, 1e-5] {
                let beams: Vec<Beam> = (0..n)
                    .map(|_| {
                        let minor = 1e-6 * (1.0 + spread * random());
                        let major = minor * (1.3 + spread * random());
                        beam(major, minor, 180.0 * spread * random() - 80.0)
                    })
                    .collect();
                let common = common_beam(beams.iter().copied()).unwrap();
                assert!(holds(&common, &beams));
                // A search around it: whatever holds all beams is not smaller.
                for step in [0.3, 1e-2, 1e-4, 1e-6] {
                    for _ in 0..2000 {
                        let major = common.major * (1.0 + step * (random() - 0.5));
                        let minor = common.minor * (1.0 + step * (random() - 0.5));
                        let pa = common.pa + step * (random() - 0.5);
                        let Ok(other) = Beam::new(major, minor, pa) else { continue };
                        if other.major * other.minor < common.major * common.minor * (1.0 - 1e-8) {
                            assert!(!holds(&other, &beams), "{other:?} is smaller than {common:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn order_does_not_matter() {
        let mut beams: Vec<Beam> =
            (0..20).map(|i| beam(1.0 + 0.01 * i as f64, 0.8, 5.0 * i as f64)).collect();
        let first = common_beam(beams.iter().copied()).unwrap();
        beams.reverse();
        let second = common_beam(beams).unwrap();
        assert!((first.major / second.major - 1.0).abs() < 1e-8);
        assert!((first.minor / second.minor - 1.0).abs() < 1e-8);
    }
}
