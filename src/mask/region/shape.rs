//! The shapes of regions, and which pixels lie in them.

use super::super::Mask;
use crate::geometry::{Direction, ImageGrid};

/// Slack of an edge, pixels: sexagesimal positions are rounded, and edges are meant to be included.
const EDGE: f64 = 1e-5;

/// A position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Point {
    /// 0-based pixels.
    Pixel(f64, f64),
    Sky(Direction),
}

/// A length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Length {
    Pixel(f64),
    /// rad
    Angle(f64),
}

impl Length {
    /// In pixels of size `cell`, rad.
    fn pixels(self, cell: f64) -> f64 {
        match self {
            Self::Pixel(n) => n,
            Self::Angle(rad) => rad / cell,
        }
    }
}

/// A shape. Angles are rad.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// Two opposite corners.
    Box(Point, Point),
    /// Centre, width along x, height along y.
    CenterBox(Point, Length, Length),
    /// The same, turned from x towards y.
    RotBox(Point, Length, Length, f64),
    Circle(Point, Length),
    /// Centre, inner and outer radius.
    Annulus(Point, Length, Length),
    /// Centre, semi-axes, position angle of the first from north through east.
    Ellipse(Point, Length, Length, f64),
    Poly(Vec<Point>),
}

impl Shape {
    /// The pixels inside.
    ///
    /// # Errors
    /// What is wrong with a position that has no pixel.
    pub fn mask(&self, grid: &ImageGrid) -> Result<Mask, String> {
        let at = |point: &Point| pixel(point, grid);
        Ok(match self {
            Self::Box(a, b) => {
                let (a, b) = (at(a)?, at(b)?);
                let (x, y) = ((a.0.min(b.0), a.0.max(b.0)), (a.1.min(b.1), a.1.max(b.1)));
                fill(grid, x, y, |px, py| {
                    px >= x.0 - EDGE && px <= x.1 + EDGE && py >= y.0 - EDGE && py <= y.1 + EDGE
                })
            }
            Self::CenterBox(center, width, height) => {
                turned_box(grid, at(center)?, *width, *height, 0.0)
            }
            Self::RotBox(center, width, height, angle) => {
                turned_box(grid, at(center)?, *width, *height, *angle)
            }
            Self::Circle(center, radius) => ellipse(grid, at(center)?, *radius, *radius, 0.0),
            Self::Annulus(center, inner, outer) => {
                let mut mask = ellipse(grid, at(center)?, *outer, *outer, 0.0);
                mask.subtract(&ellipse(grid, at(center)?, *inner, *inner, 0.0));
                mask
            }
            Self::Ellipse(center, first, second, pa) => {
                ellipse(grid, at(center)?, *first, *second, *pa)
            }
            Self::Poly(points) => {
                polygon(grid, &points.iter().map(at).collect::<Result<Vec<_>, _>>()?)
            }
        })
    }
}

/// Fractional pixel of a position.
fn pixel(point: &Point, grid: &ImageGrid) -> Result<(f64, f64), String> {
    match point {
        Point::Pixel(x, y) => Ok((*x, *y)),
        Point::Sky(direction) => grid.sky_to_pixel(direction).ok_or_else(|| {
            let (ra, dec) = (direction.ra.to_degrees(), direction.dec.to_degrees());
            format!("position {ra}deg, {dec}deg lies more than 90° from the phase centre")
        }),
    }
}

/// Pixels for which `inside` holds, tried within a box that encloses the shape.
fn fill(grid: &ImageGrid, x: (f64, f64), y: (f64, f64), inside: impl Fn(f64, f64) -> bool) -> Mask {
    let mut mask = Mask::new(grid.nx, grid.ny, false);
    // Casts from f64 saturate, so bounds off the image do no harm.
    let span = |(low, high): (f64, f64), n: usize| {
        (low - EDGE).ceil().max(0.0) as usize
            ..((high + EDGE).floor() + 1.0).max(0.0).min(n as f64) as usize
    };
    for py in span(y, grid.ny) {
        for px in span(x, grid.nx) {
            if inside(px as f64, py as f64) {
                mask.set(px, py, true);
            }
        }
    }
    mask
}

/// On rectangular pixels, lengths on the sky and lengths in pixels turn differently: the size of a pixel
/// along x and y in the units of `length`, relative to that along x.
fn metric(grid: &ImageGrid, length: Length) -> (f64, f64) {
    match length {
        Length::Pixel(_) => (1.0, 1.0),
        Length::Angle(_) => (1.0, grid.cell_y / grid.cell_x),
    }
}

fn turned_box(
    grid: &ImageGrid,
    (cx, cy): (f64, f64),
    width: Length,
    height: Length,
    angle: f64,
) -> Mask {
    let (sx, sy) = metric(grid, width);
    let (w, h) = (0.5 * width.pixels(grid.cell_x), 0.5 * height.pixels(grid.cell_x));
    let (sin, cos) = angle.sin_cos();
    let reach = w.hypot(h) / sx.min(sy);
    fill(grid, (cx - reach, cx + reach), (cy - reach, cy + reach), |x, y| {
        let (dx, dy) = ((x - cx) * sx, (y - cy) * sy);
        (dx * cos + dy * sin).abs() <= w + EDGE && (dy * cos - dx * sin).abs() <= h + EDGE
    })
}

fn ellipse(grid: &ImageGrid, (cx, cy): (f64, f64), first: Length, second: Length, pa: f64) -> Mask {
    let (sx, sy) = metric(grid, first);
    let (a, b) = (first.pixels(grid.cell_x) + EDGE, second.pixels(grid.cell_x) + EDGE);
    let (sin, cos) = pa.sin_cos();
    let reach = a.max(b) / sx.min(sy);
    fill(grid, (cx - reach, cx + reach), (cy - reach, cy + reach), |x, y| {
        // East is towards smaller x.
        let (dx, dy) = ((x - cx) * sx, (y - cy) * sy);
        let (along, across) = (dy * cos - dx * sin, dx * cos + dy * sin);
        (along / a).powi(2) + (across / b).powi(2) <= 1.0
    })
}

/// Even-odd rule; edges count as inside.
fn polygon(grid: &ImageGrid, points: &[(f64, f64)]) -> Mask {
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    let x = bounds(&mut points.iter().map(|p| p.0));
    let y = bounds(&mut points.iter().map(|p| p.1));
    fill(grid, x, y, |px, py| {
        let mut inside = false;
        for (i, &(x1, y1)) in points.iter().enumerate() {
            let (x2, y2) = points[(i + 1) % points.len()];
            let (dx, dy) = (x2 - x1, y2 - y1);
            let length2 = dx * dx + dy * dy;
            let along = if length2 > 0.0 {
                (((px - x1) * dx + (py - y1) * dy) / length2).clamp(0.0, 1.0)
            } else {
                0.0
            };
            if (px - x1 - along * dx).hypot(py - y1 - along * dy) <= EDGE {
                return true;
            }
            if (y1 > py) != (y2 > py) && px < dx * (py - y1) / dy + x1 {
                inside = !inside;
            }
        }
        inside
    })
}
