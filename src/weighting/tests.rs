use std::{ops::Range, sync::Arc};

use num_complex::Complex32;

use super::*;
use crate::{
    geometry::{Direction, DirectionFrame},
    ms::Slot,
    spectral::FreqFrame,
    units::Dimension,
};

const NX: usize = 24;
const NY: usize = 30;
const CELL: [f64; 2] = [1e-4, 0.8e-4];

fn image() -> ImageGrid {
    ImageGrid {
        nx: NX,
        ny: NY,
        cell_x: CELL[0],
        cell_y: CELL[1],
        phase_center: Direction::new(0.0, 0.0, DirectionFrame::Icrs),
    }
}

fn axis() -> ChannelGrid {
    ChannelGrid {
        frame: FreqFrame::Topo,
        start_hz: 1.0e9,
        width_hz: 2e7,
        nchan: 6,
        restfreq_hz: 1e9,
    }
}

/// A number in [0, 1) that looks random, the same for the same seed.
fn noise(seed: usize) -> f64 {
    (seed as f64 * 12.9898).sin().mul_add(43_758.545, 0.0).rem_euclid(1.0)
}

/// 400 rows reaching a little beyond the uv grid of the image; channel 2 has two layers.
fn block(channels: Range<usize>) -> VisBlock {
    let nrow = 400;
    let metres = |row: usize, axis: usize| {
        let reach = 0.3 / (2.0 * CELL[axis]) * 1.1; // wavelengths of 0.3 m
        (noise(3 * row + axis) * 2.0 - 1.0) * reach
    };
    let rows = Rows {
        uvw_m: (0..nrow).map(|row| [metres(row, 0), metres(row, 1), 0.0]).collect(),
        shift_m: vec![],
        slot: (0..nrow).map(|row| (row % 2) as u32).collect(),
        slots: (0..2).map(|i| Slot { time: f64::from(i), spw: 0, field: 0 }).collect(),
    };
    let layers = channels
        .clone()
        .flat_map(|c| std::iter::repeat_n(c, if c == 2 { 2 } else { 1 }))
        .enumerate()
        .map(|(i, c)| Layer {
            channel: c,
            freq_hz: vec![axis().freq_hz(c) + 1e5 * i as f64, axis().freq_hz(c) + 3e5],
            vis: vec![Complex32::default(); nrow],
            weight: (0..nrow)
                .map(|row| {
                    let w = noise(7 * row + c + 1) as f32;
                    if w < 0.1 { 0.0 } else { w }
                })
                .collect(),
        })
        .collect();
    VisBlock { rows: Arc::new(rows), channels, layers }
}

fn samples(layers: &[Layer], rows: &Rows) -> Vec<([f64; 2], f64)> {
    layers
        .iter()
        .flat_map(|l| (0..l.weight.len()).map(|r| (uv_wavelengths(rows, l, r), l.weight[r].into())))
        .collect()
}

/// Densities the plain way: a full plane, every sample and its conjugate added to it.
struct Plane {
    down: bool,
    g: Vec<f64>,
}

impl Plane {
    fn new(down: bool, samples: &[([f64; 2], f64)]) -> Self {
        let mut plane = Self { down, g: vec![0.0; NX * NY] };
        for &([u, v], w) in samples {
            if let (Some(own), Some(conjugate)) = (plane.cell([u, v]), plane.cell([-u, -v])) {
                plane.g[own] += w;
                plane.g[conjugate] += w;
            }
        }
        plane
    }

    fn cell(&self, uv: [f64; 2]) -> Option<usize> {
        let index = |x: f64, n: usize| {
            let x = if self.down { x.floor() } else { x.round() } + (n / 2) as f64;
            (x > 0.0 && x < n as f64).then_some(x as usize)
        };
        let x = index(uv[0] * NX as f64 * CELL[0], NX)?;
        let y = index(uv[1] * NY as f64 * CELL[1], NY)?;
        Some(y * NX + x)
    }

    fn at(&self, [u, v]: [f64; 2]) -> f64 {
        match (self.cell([u, v]), self.cell([-u, -v])) {
            (Some(own), Some(_)) => self.g[own],
            _ => 0.0,
        }
    }

    fn f2(&self, robust: f64) -> f64 {
        let (sum, squares) = self.g.iter().fold((0.0, 0.0), |(s, q), g| (s + g, q + g * g));
        (5.0 * 10f64.powf(-robust)).powi(2) / (squares / sum)
    }
}

fn expected(scheme: WeightingScheme, plane: &Plane, uv: [f64; 2], w: f64) -> f64 {
    let g = plane.at(uv);
    match scheme {
        WeightingScheme::Natural => w,
        _ if g == 0.0 => 0.0,
        WeightingScheme::Uniform => w / g,
        WeightingScheme::Briggs { robust } => w / (g * plane.f2(robust) + 1.0),
        WeightingScheme::BriggsBwTaper { robust } => {
            let (first, last) = (axis().freq_hz(0), axis().freq_hz(5));
            let fraction = 2.0 * (last - first) / (last + first);
            let cells = (uv[0] * NX as f64 * CELL[0]).hypot(uv[1] * NY as f64 * CELL[1]);
            let n = fraction * cells;
            let d = if n + 0.5 < 1.5 { (4.0 - n) / (4.0 - 2.0 * n) } else { n + 0.5 };
            w / (g * plane.f2(robust) / d + 1.0)
        }
    }
}

const SCHEMES: [WeightingScheme; 5] = [
    WeightingScheme::Natural,
    WeightingScheme::Uniform,
    WeightingScheme::Briggs { robust: 0.5 },
    WeightingScheme::Briggs { robust: -1.5 },
    WeightingScheme::BriggsBwTaper { robust: 0.5 },
];

#[test]
fn weights_of_a_channel_follow_the_formulas() {
    for scheme in SCHEMES {
        let weighting = Weighting::new(scheme, true, None, &image(), &axis());
        let natural = block(0..6);
        let mut weighted = natural.clone();
        let sums = weighting.apply(&mut weighted, None);
        for (c, sumwt) in sums.into_iter().enumerate() {
            let of = |b: &VisBlock| b.layers_of(c).cloned().collect::<Vec<Layer>>();
            let before = samples(&of(&natural), &natural.rows);
            let plane = Plane::new(false, &before);
            let mut sum = 0.0;
            for ((uv, w), (_, got)) in before.iter().zip(samples(&of(&weighted), &natural.rows)) {
                let want = expected(scheme, &plane, *uv, *w);
                assert!((got - want).abs() <= 1e-6 * want, "{scheme:?} {uv:?}: {got} {want}");
                sum += want;
            }
            assert!((sumwt / sum - 1.0).abs() < 1e-6, "{scheme:?}");
        }
    }
}

#[test]
fn weights_of_a_cube_follow_the_formulas() {
    for scheme in &SCHEMES[1..4] {
        let weighting = Weighting::new(*scheme, false, None, &image(), &axis());
        let natural = block(0..6);
        let mut cube = weighting.cube_density(&natural.rows, 1.2e9).unwrap();
        cube.add(&natural);
        let mut weighted = natural.clone();
        weighting.apply(&mut weighted, Some(&cube));
        let before = samples(&natural.layers, &natural.rows);
        let plane = Plane::new(true, &before);
        for ((uv, w), (_, got)) in before.iter().zip(samples(&weighted.layers, &natural.rows)) {
            let want = expected(*scheme, &plane, *uv, *w);
            assert!((got - want).abs() <= 1e-6 * want, "{scheme:?} {uv:?}: {got} {want}");
        }
    }
    let natural = Weighting::new(WeightingScheme::Natural, false, None, &image(), &axis());
    assert!(natural.cube_density(&block(0..1).rows, 1e9).is_none());
}

/// Same bits for any number of threads and for any batch of channels, with both densities.
#[test]
fn threads_and_batches_do_not_matter() {
    let run = |threads, per_channel, batches: &[Range<usize>]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let scheme = WeightingScheme::Briggs { robust: 0.0 };
            let weighting = Weighting::new(scheme, per_channel, None, &image(), &axis());
            // Batches are cut from one block: layers are numbered along it.
            let whole = block(0..6);
            let cut = |channels: &Range<usize>| VisBlock {
                rows: whole.rows.clone(),
                channels: channels.clone(),
                layers: whole
                    .layers
                    .iter()
                    .filter(|l| channels.contains(&l.channel))
                    .cloned()
                    .collect(),
            };
            let mut cube = weighting.cube_density(&whole.rows, 1.2e9);
            if let Some(cube) = &mut cube {
                batches.iter().for_each(|b| cube.add(&cut(b)));
            }
            let mut bits = Vec::new();
            for batch in batches {
                let mut block = cut(batch);
                let sums = weighting.apply(&mut block, cube.as_ref());
                bits.extend(sums.iter().map(|s| s.to_bits()));
                let weights = block.layers.iter().flat_map(|l| &l.weight);
                bits.extend(weights.map(|w| u64::from(w.to_bits())));
                bits.sort_unstable();
            }
            bits
        })
    };
    for per_channel in [true, false] {
        let whole = run(1, per_channel, std::slice::from_ref(&(0..6)));
        assert_eq!(whole, run(4, per_channel, std::slice::from_ref(&(0..6))));
        assert_eq!(whole, run(3, per_channel, &[0..2, 2..3, 3..6]));
    }
}

/// A taper's transform is the Gaussian beam it is named after, its major axis at its position angle.
#[test]
fn a_taper_convolves_the_image_with_its_beam() {
    let quantity = |text: &str| {
        Quantity::parse("uvtaper", text, &[Dimension::Angle, Dimension::Wavelengths]).unwrap()
    };
    let (major, minor, pa) = (quantity("300arcsec"), quantity("200arcsec"), 0.5f64);
    let taper = GaussianTaper::new(&Taper { major, minor, pa });
    let (a, b) = (major.value(), minor.value());
    // Numerical transform of the taper at half the width along either axis, against its peak.
    let half = |angle: f64, width: f64| {
        let (l, m) = (angle.sin() * width / 2.0, angle.cos() * width / 2.0);
        let (mut at_half, mut at_zero) = (0.0, 0.0);
        let step = 20.0;
        for i in -150i32..=150 {
            for j in -150i32..=150 {
                let (u, v) = (f64::from(i) * step, f64::from(j) * step);
                let t = taper.at(&[u, v]);
                at_zero += t;
                at_half += t * (std::f64::consts::TAU * (u * l + v * m)).cos();
            }
        }
        at_half / at_zero
    };
    assert!((half(pa, a) - 0.5).abs() < 1e-6, "{}", half(pa, a));
    assert!((half(pa + PI / 2.0, b) - 0.5).abs() < 1e-6);
    let (major, minor) = (quantity("5klambda"), quantity("2klambda"));
    let taper = GaussianTaper::new(&Taper { major, minor, pa: 0.0 });
    assert!((taper.at(&[0.0, 5e3]) - 0.5).abs() < 1e-12);
    assert!((taper.at(&[2e3, 0.0]) - 0.5).abs() < 1e-12);
}
