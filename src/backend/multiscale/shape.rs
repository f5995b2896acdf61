//! The shapes of multiscale components.

/// A tapered, truncated paraboloid `m(r) ∝ Ψ(r/α)·(1 − (r/α)²)` for r < α (Cornwell 2008, IEEE JSTSP 2,
/// 793, equation 9), with unit sum over the pixels. Ψ is the prolate spheroidal wave function of gridding,
/// as tclean has it: models of tclean with one component equal this shape within 4e-7 of its peak.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Pixels on either side of the centre.
    pub(crate) reach: usize,
    /// (2·reach + 1)² values, x fastest.
    values: Vec<f32>,
}

impl Shape {
    /// The shape of width α, pixels; 0: a point.
    pub(crate) fn new(width: f32) -> Self {
        let width = f64::from(width);
        let reach = (width.ceil() as usize).saturating_sub(1);
        let side = 2 * reach + 1;
        let values: Vec<f64> = (0..side * side)
            .map(|i| {
                let [x, y] = [i % side, i / side].map(|i| i as f64 - reach as f64);
                let nu = if reach == 0 { 0.0 } else { x.hypot(y) / width };
                if nu < 1.0 { spheroidal(nu) * (1.0 - nu * nu) } else { 0.0 }
            })
            .collect();
        let sum: f64 = values.iter().sum();
        Self { reach, values: values.iter().map(|v| (v / sum) as f32).collect() }
    }

    /// Row `y` of 2·reach + 1.
    pub(crate) fn row(&self, y: usize) -> &[f32] {
        let side = 2 * self.reach + 1;
        &self.values[y * side..(y + 1) * side]
    }

    /// `plane += flux · shape` around pixel (x, y), in one rounding for each product and each sum; what
    /// would lie outside the plane is left away.
    pub(crate) fn add_to(&self, plane: &mut [f32], nx: usize, pixel: usize, flux: f32) {
        let (cx, cy, ny) = (pixel % nx, pixel / nx, plane.len() / nx);
        let (x0, x1) = (cx.saturating_sub(self.reach), (cx + self.reach + 1).min(nx));
        for y in cy.saturating_sub(self.reach)..(cy + self.reach + 1).min(ny) {
            let row = &self.row(y + self.reach - cy)[x0 + self.reach - cx..];
            for (value, m) in plane[y * nx + x0..y * nx + x1].iter_mut().zip(row) {
                *value += flux * m;
            }
        }
    }
}

/// The prolate spheroidal wave function with m = 6 and α = 1 at 0 ≤ ν ≤ 1, by the rational approximation of
/// F. R. Schwab, "Optimal gridding of visibility data in radio interferometry", in Indirect Imaging
/// (1984): quotients of polynomials in ν² − ν₁², where the interval ends at ν₁.
fn spheroidal(nu: f64) -> f64 {
    const INNER: ([f64; 5], [f64; 3]) = (
        [8.203343e-2, -3.644705e-1, 6.278660e-1, -5.335581e-1, 2.312756e-1],
        [1.0, 8.212018e-1, 2.078043e-1],
    );
    const OUTER: ([f64; 5], [f64; 3]) = (
        [4.028559e-3, -3.697768e-2, 1.021332e-1, -1.201436e-1, 6.412774e-2],
        [1.0, 9.599102e-1, 2.918724e-1],
    );
    let ((p, q), end) = if nu < 0.75 { (INNER, 0.75) } else { (OUTER, 1.0) };
    let d = nu * nu - end * end;
    let horner = |c: &[f64]| c.iter().rev().fold(0.0, |sum, c| sum * d + c);
    horner(&p) / horner(&q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_those_of_tclean() {
        // From the centre outwards, relative to it: rows of models that one iteration of tclean made of
        // a point seen by a PSF that is a point.
        for (width, row) in [
            (3.0, &[1.0, 0.573245, 0.082623][..]),
            (5.0, &[1.0, 0.821693, 0.443591, 0.141647, 0.019376]),
            (4.5, &[1.0, 0.784214, 0.362373, 0.082623, 0.004533]),
        ] {
            let shape = Shape::new(width);
            assert_eq!(shape.reach + 1, row.len());
            let ours = &shape.row(shape.reach)[shape.reach..];
            for (ours, casa) in ours.iter().zip(row) {
                assert!(
                    (ours / shape.row(shape.reach)[shape.reach] - casa).abs() < 2e-6,
                    "{width}"
                );
            }
        }
    }

    #[test]
    fn shapes_sum_to_one_and_are_round() {
        for width in [0.0, 0.5, 1.0, 2.0, 4.5, 15.0, 40.0] {
            let shape = Shape::new(width);
            let side = 2 * shape.reach + 1;
            let sum: f64 = (0..side).flat_map(|y| shape.row(y)).map(|&v| f64::from(v)).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{width}: {sum}");
            for (x, y) in [(0, 0), (shape.reach, 0), (side / 3, side / 4)] {
                assert_eq!(shape.row(y)[x], shape.row(x)[y]);
                assert_eq!(shape.row(y)[x], shape.row(side - 1 - y)[side - 1 - x]);
            }
        }
        assert_eq!(Shape::new(0.0).row(0), [1.0]);
        assert_eq!(Shape::new(1.0).reach, 0);
    }

    #[test]
    fn components_are_cut_at_the_plane() {
        let shape = Shape::new(4.0);
        let (nx, ny) = (9, 5);
        for pixel in [0, 8, 22, 44] {
            let mut plane = vec![0.0; nx * ny];
            shape.add_to(&mut plane, nx, pixel, 2.0);
            for (i, &value) in plane.iter().enumerate() {
                let [dx, dy] = [(i % nx, pixel % nx), (i / nx, pixel / nx)]
                    .map(|(a, b)| a.wrapping_add(shape.reach).wrapping_sub(b));
                let inside = dx <= 2 * shape.reach && dy <= 2 * shape.reach;
                assert_eq!(value, if inside { 2.0 * shape.row(dy)[dx] } else { 0.0 });
            }
        }
    }
}
