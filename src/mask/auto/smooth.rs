//! Widening a mask by a Gaussian: convolve it, keep what exceeds a fraction of the peak.

use crate::{beam::Beam, mask::Mask};

/// The mask of pixels where (mask ∗ Gaussian) > `cut` × its maximum.
///
/// `beam` is the Gaussian's full widths and position angle; `cell` the pixel size along x and y, rad.
/// The sky beyond the plane counts as empty, as in tclean. A Gaussian without extent leaves the mask
/// as it is.
///
/// The sum is exact integer arithmetic: the Gaussian is rounded to integers, 2³⁰ for its total, so
/// at a cut of 0.01 the error is below 1e-5 of the threshold, whatever the order of additions.
///
/// A mask is runs of ones along x, so the derivative of the convolution along x is the sum of the
/// Gaussian's rows at the runs' starts less those at their ends. Only runs cost time, not pixels;
/// one running sum per row turns the derivative into the convolution.
pub fn smooth_and_cut(mask: &Mask, beam: Beam, cell: [f64; 2], cut: f64) -> Mask {
    let (nx, ny) = (mask.nx(), mask.ny());
    let gaussian = Gaussian::new(beam, cell, cut, [nx, ny]);
    if mask.is_empty() || gaussian.is_point() {
        return mask.clone();
    }
    let mut sums = Sums::new(nx, ny, gaussian.half_width);
    for run in mask.runs() {
        sums.add(&gaussian, run.x, run.y, 1);
        sums.add(&gaussian, run.x + run.len, run.y, -1);
    }
    let peak = sums.integrate();
    // The running sum is an integer, so "more than" needs the largest integer not above the cut.
    sums.above((cut * f64::from(peak)).floor() as i32)
}

/// A Gaussian as integers, row by row; symmetric about its centre.
struct Gaussian {
    /// Pixels from the centre to the left and right border of the rows' common frame.
    half_width: usize,
    /// For dy = 0, 1, …: leftmost dx (relative to the centre) and the values from there on. The row
    /// of −dy is that of dy, mirrored.
    rows: Vec<(isize, Vec<i32>)>,
    /// The same for dy = 0, −1, ….
    mirrored: Vec<(isize, Vec<i32>)>,
}

impl Gaussian {
    fn new(beam: Beam, cell: [f64; 2], cut: f64, plane: [usize; 2]) -> Self {
        // Beyond this the tail's sum is a 1e-5th of the threshold, even in a mask full of ones.
        let exponent = (1e5 / cut.clamp(1e-6, 1.0)).ln();
        let (sin, cos) = beam.pa.sin_cos();
        // x runs to the west, position angle from north through east.
        let form = |dx: f64, dy: f64| {
            let (east, north) = (-dx * cell[0].abs(), dy * cell[1].abs());
            let along = (east * sin + north * cos) / beam.major;
            let across = (east * cos - north * sin) / beam.minor;
            4.0 * std::f64::consts::LN_2 * (along * along + across * across)
        };
        let reach = beam.major * (exponent / (4.0 * std::f64::consts::LN_2)).sqrt();
        let half = |cell: f64, n: usize| ((reach / cell.abs()).floor() as usize).min(n);
        let (half_width, half_height) = (half(cell[0], plane[0]), half(cell[1], plane[1]));
        // A beam of no width, or one that is not a number, smooths nothing.
        let is_beam = beam.minor > 0.0;
        if (half_width == 0 && half_height == 0) || !is_beam {
            return Self { half_width: 0, rows: vec![], mirrored: vec![] };
        }
        let w = half_width as isize;
        let row = |dy: usize| -> (isize, Vec<f64>) {
            let inside: Vec<isize> =
                (-w..=w).filter(|&dx| form(dx as f64, dy as f64) <= exponent).collect();
            let (Some(&first), Some(&last)) = (inside.first(), inside.last()) else {
                return (0, vec![]);
            };
            (first, (first..=last).map(|dx| (-form(dx as f64, dy as f64)).exp()).collect())
        };
        let rows: Vec<_> = (0..=half_height).map(row).collect();
        let sum = |row: &(isize, Vec<f64>)| row.1.iter().sum::<f64>();
        let total = 2.0 * rows.iter().map(sum).sum::<f64>() - sum(&rows[0]);
        let scale = f64::from(1 << 30) / total;
        let round = |v: &f64| (v * scale).round() as i32;
        let rows: Vec<(isize, Vec<i32>)> =
            rows.iter().map(|(x, v)| (*x, v.iter().map(round).collect())).collect();
        let mirror = |(x, v): &(isize, Vec<i32>)| {
            (1 - x - v.len() as isize, v.iter().rev().copied().collect::<Vec<i32>>())
        };
        let mirrored = rows.iter().map(mirror).collect();
        Self { half_width, rows, mirrored }
    }

    fn is_point(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The convolution's derivative along x, then the convolution; each row has a margin on both sides.
struct Sums {
    nx: usize,
    ny: usize,
    margin: usize,
    width: usize,
    values: Vec<i32>,
    /// Whether anything was added to a row.
    touched: Vec<bool>,
}

impl Sums {
    fn new(nx: usize, ny: usize, margin: usize) -> Self {
        let width = nx + 1 + 2 * margin;
        Self { nx, ny, margin, width, values: vec![0; width * ny], touched: vec![false; ny] }
    }

    /// Adds `sign` × the Gaussian about (x, y), 0 ≤ x ≤ nx.
    fn add(&mut self, gaussian: &Gaussian, x: usize, y: usize, sign: i32) {
        for (dy, row) in gaussian.rows.iter().enumerate().take(self.ny - y) {
            self.add_row(row, x, y + dy, sign);
        }
        for (dy, row) in gaussian.mirrored.iter().enumerate().skip(1).take(y) {
            self.add_row(row, x, y - dy, sign);
        }
    }

    fn add_row(&mut self, (first, row): &(isize, Vec<i32>), x: usize, y: usize, sign: i32) {
        let start = y * self.width + (self.margin + x).wrapping_add_signed(*first);
        for (sum, v) in self.values[start..start + row.len()].iter_mut().zip(row) {
            // Wrapping: only the final convolution has to fit, and that is at most 2³⁰ and rounding.
            *sum = sum.wrapping_add(sign.wrapping_mul(*v));
        }
        self.touched[y] = true;
    }

    /// Derivative → convolution, in place; its maximum over the plane.
    fn integrate(&mut self) -> i32 {
        let mut peak = 0;
        for (row, _) in self.values.chunks_exact_mut(self.width).zip(&self.touched).filter(|r| *r.1)
        {
            let mut sum = 0i32;
            for v in row.iter_mut() {
                sum = sum.wrapping_add(*v);
                *v = sum;
            }
            let plane = &row[self.margin..self.margin + self.nx];
            peak = plane.iter().copied().fold(peak, i32::max);
        }
        peak
    }

    /// Pixels of the plane whose value exceeds `threshold` ≥ 0.
    fn above(&self, threshold: i32) -> Mask {
        let mut mask = Mask::new(self.nx, self.ny, false);
        for y in (0..self.ny).filter(|&y| self.touched[y]) {
            let start = y * self.width + self.margin;
            let row = &self.values[start..start + self.nx];
            for (word, chunk) in mask.row_mut(y).iter_mut().zip(row.chunks(64)) {
                for (i, &v) in chunk.iter().enumerate() {
                    *word |= u64::from(v > threshold) << i;
                }
            }
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: f64 = 4.8e-7;

    fn beam(major: f64, minor: f64, degrees: f64) -> Beam {
        Beam { major: major * CELL, minor: minor * CELL, pa: degrees.to_radians() }
    }

    /// Textbook: the sum over all pixels of the mask, in f64; with how near each pixel is to the cut.
    fn direct(mask: &Mask, beam: Beam, cell: [f64; 2], cut: f64) -> (Vec<f64>, f64) {
        let (nx, ny) = (mask.nx(), mask.ny());
        let (sin, cos) = beam.pa.sin_cos();
        let pixels: Vec<_> = mask.pixels().map(|i| ((i % nx) as f64, (i / nx) as f64)).collect();
        let mut sums = vec![0f64; nx * ny];
        for (i, sum) in sums.iter_mut().enumerate() {
            for &(x, y) in &pixels {
                let east = -((i % nx) as f64 - x) * cell[0];
                let north = ((i / nx) as f64 - y) * cell[1];
                let u = (east * sin + north * cos) / beam.major;
                let v = (east * cos - north * sin) / beam.minor;
                *sum += (-4.0 * std::f64::consts::LN_2 * (u * u + v * v)).exp();
            }
        }
        let peak = sums.iter().copied().fold(0.0, f64::max);
        (sums, cut * peak)
    }

    /// Equal to the textbook wherever that is not within 1e-4 of its threshold.
    fn check(mask: &Mask, beam: Beam, cell: [f64; 2], cut: f64) {
        let (sums, threshold) = direct(mask, beam, cell, cut);
        let got = smooth_and_cut(mask, beam, cell, cut);
        let mut decided = 0;
        for (i, &sum) in sums.iter().enumerate() {
            if (sum / threshold - 1.0).abs() > 1e-4 {
                let inside = got.get(i % mask.nx(), i / mask.nx());
                assert_eq!(inside, sum > threshold, "pixel {i}: {sum} against {threshold}");
                decided += 1;
            }
        }
        assert!(decided + 5 >= sums.len());
    }

    #[test]
    fn equals_direct_convolution() {
        let blobs = Mask::from_fn(100, 80, |x, y| {
            (x, y) == (20, 20) || (40..60).contains(&x) && (30..50).contains(&y) || x + y == 150
        });
        check(&blobs, beam(7.47, 5.84, 82.1), [CELL, CELL], 0.01);
        check(&blobs, beam(9.0, 3.0, -30.0), [CELL, 1.3 * CELL], 0.01);
        check(&blobs, beam(5.0, 2.0, 45.0), [CELL, CELL], 0.2);
        check(&blobs, beam(4.0, 4.0, 0.0), [CELL, CELL], 0.0005);
    }

    #[test]
    fn the_sky_beyond_the_plane_is_empty() {
        let corners = Mask::from_fn(70, 66, |x, y| !(4..=65).contains(&x) && (y < 3 || y == 65));
        check(&corners, beam(8.0, 5.0, 20.0), [CELL, CELL], 0.01);
        let all = Mask::new(65, 30, true);
        assert_eq!(smooth_and_cut(&all, beam(8.0, 5.0, 20.0), [CELL, CELL], 0.01), all);
    }

    #[test]
    fn nothing_to_do() {
        let empty = Mask::new(64, 64, false);
        assert_eq!(smooth_and_cut(&empty, beam(7.0, 5.0, 0.0), [CELL, CELL], 0.01), empty);
        let one = Mask::from_fn(64, 64, |x, y| (x, y) == (3, 60));
        assert_eq!(smooth_and_cut(&one, beam(0.0, 0.0, 0.0), [CELL, CELL], 0.01), one);
    }
}
