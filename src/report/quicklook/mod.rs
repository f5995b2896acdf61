//! A picture of a cube: integrated emission, velocity field and spectrum, as PNG.

mod colour;
mod moments;
mod panel;
mod ticks;

use std::{path::Path, sync::Once};

use plotters::{
    backend::BitMapBackend,
    drawing::{DrawingArea, IntoDrawingArea},
    style::{FontStyle, WHITE, register_font},
};

pub use moments::{Moments, Planes};

use crate::{
    SPEED_OF_LIGHT,
    beam::Beam,
    error::{Error, Result},
    geometry::ImageGrid,
    spectral::ChannelGrid,
};

/// What a quick-look shows, beside the planes.
#[derive(Clone, Debug)]
pub struct Quicklook<'a> {
    /// Headline.
    pub title: &'a str,
    /// A line under it.
    pub subtitle: &'a str,
    /// Pixel grid of the planes.
    pub grid: &'a ImageGrid,
    /// Spectral axis.
    pub channels: &'a ChannelGrid,
    /// Beam of the image, for Jy/beam → Jy and for the ellipse in the corner.
    pub beam: Option<Beam>,
}

/// The picture's size, pixels.
const SIZE: (u32, u32) = (1800, 668);

/// Draws a quick-look of the cube whose planes `planes` reads (Jy/beam), and writes it as PNG.
///
/// - *Integrated emission* sums, over channels, the pixels that exceed 3σ of their plane together with
///   a neighbouring channel. It misses faint emission and is no measurement.
/// - The *velocity field* is the intensity-weighted mean of the same voxels' radio velocity.
/// - The *spectrum* is the sum of all of each plane over the region with emission, divided by
///   the beam's area.
///
/// Both maps show the part of the image around the region. Planes are read twice, at most three are in
/// memory.
///
/// # Errors
/// Those of `planes`; [`Error::Io`] if the file cannot be written.
pub fn quicklook(path: &Path, what: &Quicklook<'_>, planes: &Planes<'_>) -> Result<()> {
    let velocity: Vec<f64> =
        (0..what.channels.nchan).map(|c| velocity_km_s(what.channels, c)).collect();
    let moments = Moments::new(planes, what.grid, &velocity, what.beam)?;

    register_fonts();
    let mut pixels = vec![0u8; SIZE.0 as usize * SIZE.1 as usize * 3];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        draw(&area, what, &moments, &velocity).map_err(|problem| {
            Error::data(
                path,
                "picture",
                problem,
                "leave the picture out; the products are complete",
            )
        })?;
    }
    write_png(path, &pixels)
}

fn draw(
    area: &DrawingArea<BitMapBackend<'_>, plotters::coord::Shift>,
    what: &Quicklook<'_>,
    moments: &Moments,
    velocity: &[f64],
) -> Result<(), String> {
    let failed = |e: panel::DrawError| e.to_string();
    area.fill(&WHITE).map_err(failed)?;
    panel::headline(area, what.title, what.subtitle).map_err(failed)?;
    let window = panel::Window::around(&moments.region, what.grid);
    panel::intensity(area, what, moments, &window).map_err(failed)?;
    panel::velocity_field(area, what, moments, &window).map_err(failed)?;
    panel::spectrum(area, moments, velocity).map_err(failed)?;
    area.present().map_err(failed)
}

/// Radio velocity of a channel, km/s: c·(1 − ν/ν₀).
fn velocity_km_s(channels: &ChannelGrid, channel: usize) -> f64 {
    SPEED_OF_LIGHT * 1e-3 * (1.0 - channels.freq_hz(channel) / channels.restfreq_hz)
}

fn register_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Both are compiled in and known to parse; if not, drawing text reports it.
        let regular = include_bytes!("font/Roboto-Regular.ttf");
        let medium = include_bytes!("font/Roboto-Medium.ttf");
        let _ = register_font("sans-serif", FontStyle::Normal, regular);
        let _ = register_font("sans-serif", FontStyle::Bold, medium);
    });
}

fn write_png(path: &Path, pixels: &[u8]) -> Result<()> {
    let file = std::fs::File::create(path).map_err(|e| Error::io("create", path, e))?;
    let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.map_err(|e| Error::io("write", path, std::io::Error::other(e)))
}
