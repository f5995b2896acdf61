//! The panels of a quick-look, drawn pixel by pixel.

use plotters::{
    backend::BitMapBackend,
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind},
    element::{BitMapElement, PathElement, Polygon, Rectangle, Text},
    style::{
        Color, FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    Moments, Quicklook,
    colour::{COOLWARM, INFERNO, Map, colour},
    ticks,
};
use crate::geometry::ImageGrid;

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
/// What plotters answers with when it cannot draw.
pub type DrawError = DrawingAreaErrorKind<plotters_error::Bitmap>;
type Drawn = Result<(), DrawError>;

/// The backend's own error type has no short name.
mod plotters_error {
    use plotters::backend::{BitMapBackend, DrawingBackend};
    pub type Bitmap = <BitMapBackend<'static> as DrawingBackend>::ErrorType;
}

const INK: RGBColor = RGBColor(38, 42, 51);
const FAINT: RGBColor = RGBColor(112, 119, 133);
const RULE: RGBColor = RGBColor(214, 218, 225);
const ACCENT: RGBColor = RGBColor(163, 44, 97);
/// Side of a panel, pixels.
const SIDE: i32 = 450;
const TOP: i32 = 136;
const BOTTOM: i32 = TOP + SIDE;
/// Left edges of the three panels.
const LEFT: [i32; 3] = [120, 706, 1308];
const NO_EMISSION: RGBColor = RGBColor(240, 242, 245);

/// The square part of the image that the maps show, in pixels of the image.
pub struct Window {
    x0: f64,
    y0: f64,
    side: f64,
}

impl Window {
    /// The region with a margin; at least a sixth of the image; all of it where no region is.
    pub fn around(region: &[bool], grid: &ImageGrid) -> Self {
        let inside = || region.iter().enumerate().filter(|(_, r)| **r).map(|(i, _)| i);
        let bounds = |pixel: fn(usize, usize) -> usize| {
            let low = inside().map(|i| pixel(i, grid.nx)).min()?;
            let high = inside().map(|i| pixel(i, grid.nx)).max()?;
            Some((low as f64, high as f64))
        };
        let whole = grid.nx.max(grid.ny) as f64;
        let Some(((xl, xh), (yl, yh))) = bounds(|i, nx| i % nx).zip(bounds(|i, nx| i / nx)) else {
            return Self { x0: -0.5, y0: -0.5, side: whole };
        };
        let side = (1.25 * (xh - xl).max(yh - yl)).clamp(whole / 6.0, whole);
        let start = |low: f64, high: f64, n: usize| {
            let start = (low + high) / 2.0 - side / 2.0;
            start.clamp(-0.5, (n as f64 - 0.5 - side).max(-0.5))
        };
        Self { x0: start(xl, xh, grid.nx), y0: start(yl, yh, grid.ny), side }
    }

    /// Screen position in a panel of an image pixel.
    fn to_panel(&self, x: f64, y: f64) -> (f64, f64) {
        let scale = f64::from(SIDE) / self.side;
        ((x - self.x0) * scale, f64::from(SIDE) - (y - self.y0) * scale)
    }

    /// Image pixel at the middle of a screen pixel of a panel.
    fn to_image(&self, column: i32, row: i32) -> (f64, f64) {
        let scale = self.side / f64::from(SIDE);
        let x = self.x0 + (f64::from(column) + 0.5) * scale;
        (x, self.y0 + (f64::from(SIDE - row) - 0.5) * scale)
    }
}

fn text(size: i32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour)
}

fn write(
    area: &Area<'_>,
    words: &str,
    at: (i32, i32),
    style: &TextStyle<'_>,
    h: HPos,
    v: VPos,
) -> Drawn {
    area.draw(&Text::new(words.to_owned(), at, style.pos(Pos::new(h, v))))
}

fn line(area: &Area<'_>, points: Vec<(i32, i32)>, style: impl Into<ShapeStyle>) -> Drawn {
    area.draw(&PathElement::new(points, style))
}

/// Title and subtitle.
pub fn headline(area: &Area<'_>, title: &str, subtitle: &str) -> Drawn {
    let style = ("sans-serif", 36, plotters::style::FontStyle::Bold).into_font().color(&INK);
    write(area, title, (LEFT[0], 26), &style, HPos::Left, VPos::Top)?;
    write(area, subtitle, (LEFT[0], 70), &text(21, FAINT), HPos::Left, VPos::Top)
}

/// Integrated emission.
pub fn intensity(
    area: &Area<'_>,
    what: &Quicklook<'_>,
    moments: &Moments,
    window: &Window,
) -> Drawn {
    let peak = moments.zero.iter().copied().fold(0f32, f32::max).max(f32::MIN_POSITIVE);
    let (scale, unit) =
        if peak < 1.0 { (1e3, "mJy/beam km s⁻¹") } else { (1.0, "Jy/beam km s⁻¹") };
    // A square root brings out what is faint.
    let shade = |value: f64| colour(INFERNO, (value / f64::from(peak)).max(0.0).sqrt());
    let value = |x: f64, y: f64| sample(&moments.zero, what.grid, x, y).unwrap_or(0.0);
    map(area, LEFT[0], window, |x, y| shade(value(x, y)))?;
    beam(area, LEFT[0], what, window)?;
    title(area, LEFT[0], "Integrated emission")?;
    frame(area, LEFT[0], what.grid, window, true)?;
    let bar =
        ColourBar { map: INFERNO, from: 0.0, to: f64::from(peak) * scale, square_root: true, unit };
    bar.draw(area, LEFT[0] + SIDE + 12)
}

/// Mean velocity.
pub fn velocity_field(
    area: &Area<'_>,
    what: &Quicklook<'_>,
    moments: &Moments,
    window: &Window,
) -> Drawn {
    let mut known: Vec<f32> = moments.first.iter().copied().filter(|v| v.is_finite()).collect();
    known.sort_unstable_by(f32::total_cmp);
    // A few stray pixels must not set the scale.
    let quantile = |q: f64| known.get((q * (known.len().max(1) - 1) as f64) as usize).copied();
    let (low, high) = quantile(0.02)
        .zip(quantile(0.98))
        .map_or((0.0, 1.0), |(a, b)| (f64::from(a), f64::from(b)));
    let (low, high) = if high > low { (low, high) } else { (low - 1.0, low + 1.0) };
    let value = |x: f64, y: f64| sample(&moments.first, what.grid, x, y);
    map(area, LEFT[1], window, |x, y| match value(x, y) {
        Some(v) => colour(COOLWARM, (v - low) / (high - low)),
        None => NO_EMISSION,
    })?;
    title(area, LEFT[1], "Velocity field")?;
    frame(area, LEFT[1], what.grid, window, false)?;
    ColourBar { map: COOLWARM, from: low, to: high, square_root: false, unit: "km s⁻¹" }
        .draw(area, LEFT[1] + SIDE + 12)
}

fn title(area: &Area<'_>, left: i32, words: &str) -> Drawn {
    write(area, words, (left, TOP - 12), &text(22, INK), HPos::Left, VPos::Bottom)
}

/// Fills a panel with the colours of image positions.
fn map(
    area: &Area<'_>,
    left: i32,
    window: &Window,
    colour_at: impl Fn(f64, f64) -> RGBColor,
) -> Drawn {
    let mut pixels = Vec::with_capacity((SIDE * SIDE * 3) as usize);
    for row in 0..SIDE {
        for column in 0..SIDE {
            let (x, y) = window.to_image(column, row);
            let RGBColor(r, g, b) = colour_at(x, y);
            pixels.extend([r, g, b]);
        }
    }
    match BitMapElement::with_owned_buffer((left, TOP), (SIDE as u32, SIDE as u32), pixels) {
        Some(bitmap) => area.draw(&bitmap),
        None => Ok(()),
    }
}

/// Bilinear interpolation among the neighbours that are known; `None` where less than half is.
fn sample(plane: &[f32], grid: &ImageGrid, x: f64, y: f64) -> Option<f64> {
    let (x0, y0) = (x.floor(), y.floor());
    let (mut sum, mut weights) = (0.0, 0.0);
    for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
        let (px, py) = (x0 + dx, y0 + dy);
        if px < 0.0 || py < 0.0 || px >= grid.nx as f64 || py >= grid.ny as f64 {
            continue;
        }
        let value = plane[py as usize * grid.nx + px as usize];
        if value.is_finite() {
            let weight = (1.0 - (x - px).abs()) * (1.0 - (y - py).abs());
            sum += weight * f64::from(value);
            weights += weight;
        }
    }
    (weights >= 0.5).then(|| sum / weights)
}

/// The beam's ellipse in the lower left corner.
fn beam(area: &Area<'_>, left: i32, what: &Quicklook<'_>, window: &Window) -> Drawn {
    let Some(beam) = what.beam else { return Ok(()) };
    let scale = f64::from(SIDE) / window.side;
    let (a, b) =
        (beam.major / 2.0 / what.grid.cell_y * scale, beam.minor / 2.0 / what.grid.cell_y * scale);
    let reach = a.max(b) + 16.0;
    let centre = (f64::from(left) + reach, f64::from(BOTTOM) - reach);
    let (sin, cos) = beam.pa.sin_cos();
    let points: Vec<(i32, i32)> = (0..72)
        .map(|k| {
            let (t_sin, t_cos) = (f64::from(k) * 5.0).to_radians().sin_cos();
            // North is up and east to the left: position angle turns counter-clockwise on the screen.
            let (along, across) = (a * t_cos, b * t_sin);
            let (north, east) = (along * cos - across * sin, along * sin + across * cos);
            ((centre.0 - east).round() as i32, (centre.1 - north).round() as i32)
        })
        .collect();
    area.draw(&Polygon::new(points, RGBColor(255, 255, 255).mix(0.85)))
}

/// Frame, ticks and coordinates of a map.
fn frame(area: &Area<'_>, left: i32, grid: &ImageGrid, window: &Window, with_dec: bool) -> Drawn {
    area.draw(&Rectangle::new([(left, TOP), (left + SIDE, BOTTOM)], INK.stroke_width(1)))?;
    let small = text(17, INK);
    let middle = window.side / 2.0;
    let ra = ticks::right_ascension(grid, window.x0, window.x0 + window.side, window.y0);
    for (x, label) in ra {
        let at = left + window.to_panel(x, 0.0).0.round() as i32;
        line(area, vec![(at, BOTTOM), (at, BOTTOM + 6)], INK)?;
        write(area, &label, (at, BOTTOM + 12), &small, HPos::Center, VPos::Top)?;
    }
    let name = format!("right ascension ({})", grid.phase_center.frame);
    write(area, &name, (left + SIDE / 2, BOTTOM + 42), &text(18, FAINT), HPos::Center, VPos::Top)?;
    for (y, label) in
        ticks::declination(grid, window.x0 + middle, window.y0, window.y0 + window.side)
    {
        let at = TOP + window.to_panel(0.0, y).1.round() as i32;
        line(area, vec![(left - 6, at), (left, at)], INK)?;
        if with_dec {
            write(area, &label, (left - 11, at), &small, HPos::Right, VPos::Center)?;
        }
    }
    if !with_dec {
        return Ok(());
    }
    let upright = text(18, FAINT).transform(FontTransform::Rotate270);
    write(area, "declination", (left - 100, TOP + SIDE / 2), &upright, HPos::Center, VPos::Center)
}

/// The scale beside a map.
struct ColourBar {
    map: &'static Map,
    from: f64,
    to: f64,
    square_root: bool,
    unit: &'static str,
}

impl ColourBar {
    fn draw(&self, area: &Area<'_>, left: i32) -> Drawn {
        const WIDTH: i32 = 14;
        for row in 0..SIDE {
            let part = 1.0 - (f64::from(row) + 0.5) / f64::from(SIDE);
            let shade = colour(self.map, part).filled();
            area.draw(&Rectangle::new([(left, TOP + row), (left + WIDTH, TOP + row + 1)], shade))?;
        }
        area.draw(&Rectangle::new([(left, TOP), (left + WIDTH, BOTTOM)], INK.stroke_width(1)))?;
        let marks = ticks::linear(self.from, self.to, 6);
        for &mark in &marks {
            let part = (mark - self.from) / (self.to - self.from);
            let part = if self.square_root { part.max(0.0).sqrt() } else { part };
            let at = BOTTOM - (part * f64::from(SIDE)).round() as i32;
            line(area, vec![(left + WIDTH, at), (left + WIDTH + 5, at)], INK)?;
            let label = ticks::label(mark, &marks);
            write(area, &label, (left + WIDTH + 9, at), &text(16, INK), HPos::Left, VPos::Center)?;
        }
        write(
            area,
            self.unit,
            (left + WIDTH, TOP - 12),
            &text(16, FAINT),
            HPos::Right,
            VPos::Bottom,
        )
    }
}

/// The region's spectrum, as steps.
pub fn spectrum(area: &Area<'_>, moments: &Moments, velocity: &[f64]) -> Drawn {
    let left = LEFT[2];
    let peak = moments.spectrum.iter().map(|s| s.abs()).fold(f64::MIN_POSITIVE, f64::max);
    let (scale, unit) = if peak < 1.0 { (1e3, "mJy") } else { (1.0, "Jy") };
    let flux: Vec<f64> = moments.spectrum.iter().map(|s| s * scale).collect();

    let half = match velocity {
        [first, .., last] => (last - first) / (velocity.len() - 1) as f64 / 2.0,
        _ => 0.5,
    };
    let ends: Vec<f64> = velocity.iter().flat_map(|v| [v - half, v + half]).collect();
    let (low, high) = bounds(&ends);
    let (floor, ceiling) = bounds(&flux);
    let (floor, ceiling) = (floor.min(0.0), ceiling.max(0.0));
    let margin = 0.08 * (ceiling - floor).max(f64::MIN_POSITIVE);
    let (floor, ceiling) = (floor - margin, ceiling + margin);
    let x = |v: f64| left + ((v - low) / (high - low) * f64::from(SIDE)).round() as i32;
    let y = |s: f64| BOTTOM - ((s - floor) / (ceiling - floor) * f64::from(SIDE)).round() as i32;

    let marks = ticks::linear(floor, ceiling, 6);
    for &mark in &marks {
        line(area, vec![(left, y(mark)), (left + SIDE, y(mark))], RULE)?;
        let label = ticks::label(mark, &marks);
        write(area, &label, (left - 10, y(mark)), &text(17, INK), HPos::Right, VPos::Center)?;
    }
    let mut steps = Vec::with_capacity(2 * flux.len());
    for (v, s) in velocity.iter().zip(&flux) {
        steps.extend([(x(v - half), y(*s)), (x(v + half), y(*s))]);
    }
    let mut under = steps.clone();
    if let (Some(first), Some(last)) = (steps.first(), steps.last()) {
        under.extend([(last.0, y(0.0)), (first.0, y(0.0))]);
    }
    area.draw(&Polygon::new(under, ACCENT.mix(0.14)))?;
    line(area, vec![(left, y(0.0)), (left + SIDE, y(0.0))], FAINT)?;
    line(area, steps, ACCENT.stroke_width(2))?;
    area.draw(&Rectangle::new([(left, TOP), (left + SIDE, BOTTOM)], INK.stroke_width(1)))?;
    let marks = ticks::linear(low, high, 6);
    for &mark in &marks {
        line(area, vec![(x(mark), BOTTOM), (x(mark), BOTTOM + 6)], INK)?;
        let label = ticks::label(mark, &marks);
        write(area, &label, (x(mark), BOTTOM + 12), &text(17, INK), HPos::Center, VPos::Top)?;
    }
    title(area, left, "Spectrum of the region with emission")?;
    let name = "radio velocity (km s⁻¹)";
    write(area, name, (left + SIDE / 2, BOTTOM + 42), &text(18, FAINT), HPos::Center, VPos::Top)?;
    let upright = text(18, FAINT).transform(FontTransform::Rotate270);
    let name = format!("flux density ({unit})");
    write(area, &name, (left - 72, TOP + SIDE / 2), &upright, HPos::Center, VPos::Center)
}

fn bounds(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if high > low { (low, high) } else { (low.min(0.0) - 0.5, high.max(0.0) + 0.5) }
}
