//! The operators of a backend against exact Fourier sums, their adjointness, and the independence of
//! their bits from threads and batches.

mod common;

use std::sync::Arc;

use common::dft;
use cubeclean::{
    backend::{Batch, Gridder, cpu::CpuBackend, gpu::GpuOptions},
    geometry::{Direction, DirectionFrame, ImageGrid},
    gridding::{OperatorOptions, OperatorPlan, Pointing, Precision, Term, WTermMode},
    ms::{Layer, Rows, Slot, VisBlock},
};
use num_complex::{Complex32, Complex64};

/// A reproducible sequence of uniform numbers in [0, 1) (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [−1, 1).
    fn signed(&mut self) -> f64 {
        2.0 * self.uniform() - 1.0
    }
}

/// What a synthetic observation looks like.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    nx: usize,
    ny: usize,
    /// Pixel size, rad.
    cell: f64,
    /// Longest |w| relative to the longest |u|.
    w_over_u: f64,
    rows: usize,
    slots: usize,
    channels: usize,
    layers: usize,
    /// Frequency step between layers, relative.
    step: f64,
}

const CASES: [Case; 9] = {
    let base = Case {
        name: "",
        nx: 96,
        ny: 96,
        cell: 5e-7,
        w_over_u: 0.8,
        rows: 700,
        slots: 3,
        channels: 2,
        layers: 1,
        step: 1e-4,
    };
    [
        Case { name: "small w", ..base },
        Case { name: "w 2 rad, 4 layers", cell: 2e-4, layers: 4, ..base },
        Case { name: "w 50 rad", cell: 2e-3, w_over_u: 2.0, ..base },
        Case { name: "odd 101x77", nx: 101, ny: 77, cell: 1e-4, ..base },
        Case { name: "tiny 9x14", nx: 9, ny: 14, cell: 1e-3, rows: 400, ..base },
        Case { name: "one row of pixels", nx: 130, ny: 1, cell: 1e-5, ..base },
        Case { name: "wide band", cell: 1e-5, channels: 4, step: 0.1, ..base },
        Case { name: "three samples", nx: 150, ny: 110, cell: 1e-5, rows: 3, slots: 1, ..base },
        // Tiles of more rows than one workgroup of a GPU sums.
        Case { name: "crowded", nx: 32, ny: 40, cell: 1e-4, rows: 9000, ..base },
    ]
};

/// First image channel of the blocks.
const FIRST: usize = 3;

/// The band's lowest frequency.
const FREQ_HZ: f64 = 1.5e9;

impl Case {
    fn image(&self) -> ImageGrid {
        ImageGrid {
            nx: self.nx,
            ny: self.ny,
            cell_x: self.cell,
            cell_y: 1.1 * self.cell,
            phase_center: Direction { ra: 1.0, dec: 0.5, frame: DirectionFrame::J2000 },
        }
    }

    /// Lowest and highest frequency of any sample.
    fn freq_range(&self) -> (f64, f64) {
        let steps = (self.channels * self.layers) as f64;
        (FREQ_HZ, FREQ_HZ * (1.0 + self.step * steps))
    }

    /// Observed frequency of a layer's slot: layers a step apart, slots shifted by up to a part of it.
    fn freq(&self, layer: usize, slot: usize) -> f64 {
        FREQ_HZ * (1.0 + self.step * (layer as f64 + 0.3 * slot as f64 / self.slots as f64))
    }

    fn rows(&self) -> Arc<Rows> {
        let mut random = Random(7);
        // The longest baselines reach 0.47 cycles per pixel at the highest frequency.
        let longest = 0.47 / (1.1 * self.cell) * cubeclean::SPEED_OF_LIGHT / self.freq_range().1;
        let mut rows = Rows::default();
        for row in 0..self.rows {
            // Denser towards the centre, as arrays are.
            let radius = longest * random.uniform();
            let (sin, cos) = (std::f64::consts::TAU * random.uniform()).sin_cos();
            rows.uvw_m.push([
                radius * cos,
                radius * sin,
                self.w_over_u * longest * random.signed(),
            ]);
            rows.slot.push((row * self.slots / self.rows) as u32);
        }
        rows.slots =
            (0..self.slots).map(|i| Slot { time: 60.0 * i as f64, spw: 0, field: 0 }).collect();
        Arc::new(rows)
    }

    /// Visibilities of a few points, the brightest in a corner, with noise and flags.
    fn block(&self) -> VisBlock {
        let (image, rows) = (self.image(), self.rows());
        let mut random = Random(11);
        let mut sky = vec![0f32; image.npix()];
        sky[0] = 1.0;
        sky[image.npix() - 1] = 0.5;
        for _ in 0..6 {
            sky[(random.uniform() * image.npix() as f64) as usize] += 0.3;
        }
        let mut block = VisBlock {
            rows: Arc::clone(&rows),
            channels: FIRST..FIRST + self.channels,
            layers: vec![],
        };
        for index in 0..self.channels * self.layers {
            let n = rows.uvw_m.len();
            let weight = |r: &mut Random| {
                if r.uniform() < 0.05 { 0.0 } else { (0.2 + r.uniform()) as f32 }
            };
            let mut layer = Layer {
                channel: FIRST + index / self.layers,
                freq_hz: (0..self.slots).map(|slot| self.freq(index, slot)).collect(),
                vis: vec![Complex32::new(0.0, 0.0); n],
                weight: (0..n).map(|_| weight(&mut random)).collect(),
            };
            // One slot of one layer without samples.
            if index == 1 && self.slots > 1 {
                layer.freq_hz[1] = f64::NAN;
                let of_slot = rows.slot.iter().map(|&s| s == 1);
                layer.weight.iter_mut().zip(of_slot).for_each(|(w, no)| *w *= f32::from(!no));
            }
            let single = VisBlock { layers: vec![layer.clone()], ..block.clone() };
            let exact = dft::predict(&image, &sky, &dft::samples(&single, layer.channel), true);
            let good = (0..n).filter(|&row| layer.weight[row] > 0.0);
            for (row, v) in good.zip(exact) {
                let noise = Complex64::new(random.signed(), random.signed()) * 0.1;
                let v = v + noise;
                layer.vis[row] = Complex32::new(v.re as f32, v.im as f32);
            }
            block.layers.push(layer);
        }
        block
    }

    fn plan(&self, accuracy: f64, wterm: WTermMode) -> OperatorPlan {
        let image = self.image();
        let pointing = Pointing { direction: image.phase_center };
        let options = OperatorOptions { accuracy, wterm };
        OperatorPlan::new(&image, &self.rows(), self.freq_range(), &[pointing], options).unwrap()
    }

    /// A model with flux in many pixels, corners included.
    fn model(&self) -> Vec<f32> {
        let mut random = Random(23);
        let value = |i: usize, r: &mut Random| {
            if i.is_multiple_of(13) { r.signed() as f32 } else { 0.0 }
        };
        (0..self.nx * self.ny).map(|i| value(i, &mut random)).collect()
    }
}

/// Largest |a − b| relative to the largest |b|.
fn worst(a: impl Iterator<Item = f64>, b: &[f64]) -> f64 {
    let peak = b.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    a.zip(b).fold(0.0, |max: f64, (a, b)| max.max((a - b).abs())) / peak
}

/// The exact sums of one channel.
struct Exact {
    psf: Vec<f64>,
    dirty: Vec<f64>,
    predicted: Vec<Complex64>,
}

impl Exact {
    fn of(case: &Case, block: &VisBlock, mode: WTermMode) -> Vec<Self> {
        let (image, wterm) = (case.image(), mode == WTermMode::Exact);
        let exact = |channel| {
            let samples = dft::samples(block, channel);
            Self {
                psf: dft::psf(&image, &samples, wterm),
                dirty: dft::dirty(&image, &samples, wterm),
                predicted: dft::predict(&image, &case.model(), &samples, wterm),
            }
        };
        block.channels.clone().map(exact).collect()
    }
}

/// What a backend makes of a case, channel by channel.
struct Made {
    psf: Vec<Vec<f32>>,
    dirty: Vec<Vec<f32>>,
    /// Of the samples with weight, in the order of [`dft::samples`].
    predicted: Vec<Vec<Complex64>>,
}

impl Made {
    fn by<B: Gridder>(backend: &B, case: &Case, block: &VisBlock, plan: &OperatorPlan) -> Self {
        let mut batch = Batch::new(backend, plan, block, 2).unwrap();
        let all: Vec<usize> = (0..case.channels).collect();
        batch.make_psf().unwrap();
        batch.make_residual(&all).unwrap();
        let planes = |planes| all.iter().map(|&c| backend.get(planes, c).unwrap()).collect();
        let (psf, dirty): (Vec<Vec<f32>>, _) = (planes(&batch.psf), planes(&batch.residual));
        for &channel in &all {
            let sumwt: f64 = dft::samples(block, FIRST + channel).iter().map(|s| s.weight).sum();
            assert!((batch.sumwt()[channel] / sumwt - 1.0).abs() < 1e-12);
            let peak = psf[channel][case.nx / 2 + case.nx * (case.ny / 2)];
            assert!((f64::from(peak) - 1.0).abs() < plan.options.accuracy, "PSF peak {peak}");
            batch.set_model(channel, &case.model()).unwrap();
        }
        batch.predict(&all).unwrap();
        let predicted = |&channel: &usize| {
            let weights = block.layers_of(FIRST + channel).map(|l| &l.weight);
            let all = batch.predicted(channel).unwrap().into_iter().zip(weights);
            all.flat_map(|(p, weights)| {
                let good = p.into_iter().zip(weights).filter(|(_, w)| **w > 0.0);
                good.map(|(p, _)| Complex64::new(p.re.into(), p.im.into())).collect::<Vec<_>>()
            })
            .collect()
        };
        let predicted = all.iter().map(predicted).collect();
        Self { psf, dirty, predicted }
    }

    /// Errors of PSF, dirty image and prediction, relative to the peak, the worst of all channels.
    fn errors(&self, exact: &[Exact]) -> [f64; 3] {
        let mut errors = [0.0f64; 3];
        for (channel, exact) in exact.iter().enumerate() {
            let plane = |made: &[f32], exact: &[f64]| worst(made.iter().map(|&x| x.into()), exact);
            let of_channel = [
                plane(&self.psf[channel], &exact.psf),
                plane(&self.dirty[channel], &exact.dirty),
                worst_complex(&self.predicted[channel], &exact.predicted),
            ];
            errors.iter_mut().zip(of_channel).for_each(|(e, c)| *e = larger(*e, c));
        }
        errors
    }

    /// Differences from what another backend made.
    fn differences(&self, other: &Self) -> [f64; 3] {
        let wide = |plane: &[f32]| plane.iter().map(|&x| f64::from(x)).collect();
        let exact: Vec<Exact> = (0..other.psf.len())
            .map(|c| Exact {
                psf: wide(&other.psf[c]),
                dirty: wide(&other.dirty[c]),
                predicted: other.predicted[c].clone(),
            })
            .collect();
        self.errors(&exact)
    }
}

/// The larger; NaN if there is one.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// Largest |a − b| relative to the largest |b|.
fn worst_complex(a: &[Complex64], b: &[Complex64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let peak = b.iter().fold(0.0, |max: f64, v| max.max(v.norm()));
    a.iter().zip(b).fold(0.0, |max, (a, b)| larger((a - b).norm(), max)) / peak
}

fn mode_of(plan: &OperatorPlan) -> String {
    let name = match plan.passes[0].term {
        Term::Flat => "flat",
        Term::Chebyshev { .. } => "expansion",
        _ => "stacking",
    };
    format!(
        "{name} {:>3}, {}x{}, W {}, {:?}",
        plan.passes.len(),
        plan.grid.nu,
        plan.grid.nv,
        plan.kernel.support(),
        plan.precision
    )
}

/// Largest difference between the backends, relative to the peak: both round to f32, and neither's
/// rounding reaches this.
const BACKENDS_AGREE: f64 = 2e-6;

#[test]
fn images_and_predictions_equal_exact_sums_to_the_accuracy_asked_for() {
    println!("{:18} {:7} {:>9} {:>9} {:>9}", "case", "asked", "psf", "dirty", "predict");
    let gpu = common::gpu();
    let mut failed = false;
    for case in &CASES {
        let block = case.block();
        for mode in [WTermMode::Exact, WTermMode::None] {
            let exact = Exact::of(case, &block, mode);
            for accuracy in [1e-3, 1e-5, 1e-6] {
                let plan = case.plan(accuracy, mode);
                let mut row = |label: &str, e: [f64; 3], limit: f64| {
                    println!(
                        "{:18} {accuracy:7.0e} {:9.1e} {:9.1e} {:9.1e}  {label}, {}",
                        case.name,
                        e[0],
                        e[1],
                        e[2],
                        mode_of(&plan)
                    );
                    failed |= e.iter().any(|&e| e.is_nan() || e > limit);
                };
                let cpu = Made::by(&CpuBackend, case, &block, &plan);
                row("cpu", cpu.errors(&exact), accuracy);
                if plan.precision == Precision::F32 {
                    let gpu = Made::by(&gpu, case, &block, &plan);
                    row("gpu", gpu.errors(&exact), accuracy);
                    row("gpu - cpu", gpu.differences(&cpu), BACKENDS_AGREE);
                }
            }
        }
    }
    assert!(!failed, "see the table");
}

/// ⟨A x, y⟩ = ⟨x, A* y⟩ with the weights as the diagonal metric: Re Σ w·conj(Ax)·y against Σ x·A*Wy.
fn adjointness<B: Gridder>(backend: &B, case: &Case, accuracy: f64) -> f64 {
    let (block, plan) = (case.block(), case.plan(accuracy, WTermMode::Exact));
    let mut batch = Batch::new(backend, &plan, &block, 1).unwrap();
    batch.make_residual(&[0]).unwrap();
    let dirty = backend.get(&batch.residual, 0).unwrap();
    let model = case.model();
    let image_side: f64 = batch.sumwt()[0]
        * dirty.iter().zip(&model).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();

    batch.set_model(0, &model).unwrap();
    batch.predict(&[0]).unwrap();
    let (mut uv_side, mut size) = (0.0, [0.0; 2]);
    for (layer, predicted) in block.layers_of(FIRST).zip(batch.predicted(0).unwrap()) {
        for ((vis, p), &w) in layer.vis.iter().zip(predicted).zip(&layer.weight) {
            let product = f64::from(vis.re) * f64::from(p.re) + f64::from(vis.im) * f64::from(p.im);
            uv_side += f64::from(w) * product;
            size[0] += f64::from(w * vis.norm_sqr());
            size[1] += f64::from(w * p.norm_sqr());
        }
    }
    (uv_side - image_side).abs() / (size[0] * size[1]).sqrt()
}

#[test]
fn prediction_is_the_adjoint_of_imaging() {
    let gpu = common::gpu();
    let mut failed = false;
    for case in &CASES {
        // Also at a loose accuracy: adjointness is a property of the code, not of the kernel.
        for accuracy in [1e-3, 1e-5, 1e-6] {
            let mut errors = vec![("cpu", adjointness(&CpuBackend, case, accuracy))];
            if case.plan(accuracy, WTermMode::Exact).precision == Precision::F32 {
                errors.push(("gpu", adjointness(&gpu, case, accuracy)));
            }
            for (backend, error) in errors {
                println!("{:18} {accuracy:7.0e} {backend} {error:9.1e}", case.name);
                failed |= error.is_nan() || error > 1e-6;
            }
        }
    }
    assert!(!failed, "see the table");
}

/// PSF, dirty image and residual after a model of every channel, as bits.
fn bits<B: Gridder>(
    backend: &B,
    case: &Case,
    block: &VisBlock,
    plan: &OperatorPlan,
    grids: usize,
) -> Vec<Vec<u32>> {
    let mut batch = Batch::new(backend, plan, block, grids).unwrap();
    let all: Vec<usize> = (0..batch.len()).collect();
    batch.make_psf().unwrap();
    for &channel in &all {
        batch.set_model(channel, &case.model()).unwrap();
    }
    batch.make_residual(&all).unwrap();
    let plane = |planes, channel| backend.get(planes, channel).unwrap();
    let both = |c: usize| plane(&batch.psf, c).into_iter().chain(plane(&batch.residual, c));
    all.iter().map(|&c| both(c).map(f32::to_bits).collect()).collect()
}

/// Channel by channel, as a process that images a part of the cube would make it.
fn single_bits<B: Gridder>(backend: &B, case: &Case, block: &VisBlock) -> Vec<Vec<u32>> {
    let single = |channel: usize| {
        let layers = block.layers_of(FIRST + channel).cloned().collect();
        let channels = FIRST + channel..FIRST + channel + 1;
        let block = VisBlock { rows: Arc::clone(&block.rows), channels, layers };
        bits(backend, case, &block, &case.plan(1e-5, WTermMode::Exact), 1).remove(0)
    };
    (0..case.channels).map(single).collect()
}

#[test]
fn bits_do_not_depend_on_threads_nor_on_the_batch() {
    let case = Case { channels: 6, layers: 2, ..CASES[1] };
    let (block, plan) = (case.block(), case.plan(1e-5, WTermMode::Exact));
    let reference = bits(&CpuBackend, &case, &block, &plan, 6);
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let bits = pool.install(|| bits(&CpuBackend, &case, &block, &plan, 4));
        assert!(bits == reference, "{threads} threads");
    }
    assert!(single_bits(&CpuBackend, &case, &block) == reference, "channel by channel");
}

#[test]
fn bits_of_the_gpu_do_not_depend_on_the_run_nor_on_the_batch() {
    let case = Case { channels: 5, layers: 2, ..CASES[8] };
    let (block, plan) = (case.block(), case.plan(1e-5, WTermMode::Exact));
    let gpu = common::gpu();
    let reference = bits(&gpu, &case, &block, &plan, 5);
    for grids in [1, 2, 5] {
        assert!(bits(&gpu, &case, &block, &plan, grids) == reference, "{grids} grids");
    }
    assert!(single_bits(&gpu, &case, &block) == reference, "channel by channel");
    // Small bindings put the channels into slabs of their own.
    let options = GpuOptions { binding_bytes: Some(1 << 17), ..GpuOptions::default() };
    let gpu = common::gpu_with(options);
    assert!(bits(&gpu, &case, &block, &plan, 5) == reference, "small bindings");
}

#[test]
fn channels_without_data_are_zero() {
    fn check<B: Gridder>(backend: &B) {
        let case = CASES[0];
        let (mut block, plan) = (case.block(), case.plan(1e-5, WTermMode::Exact));
        block.layers[0].weight.fill(0.0); // a layer of flagged samples
        block.layers.truncate(1); // no layer at all
        let mut batch = Batch::new(backend, &plan, &block, 2).unwrap();
        batch.make_psf().unwrap();
        batch.make_residual(&[0, 1]).unwrap();
        assert_eq!(batch.sumwt(), [0.0, 0.0]);
        for channel in 0..2 {
            for planes in [&batch.psf, &batch.residual] {
                assert!(backend.get(planes, channel).unwrap().iter().all(|&x| x == 0.0));
            }
        }
    }
    check(&CpuBackend);
    check(&common::gpu());
}

#[test]
fn samples_that_the_cell_undersamples_are_left_out() {
    // Cells twice too large: a part of the samples lies off the grid and must count nowhere.
    let case = CASES[0];
    let mut block = case.block();
    let mut image = case.image();
    image.cell_x *= 2.0;
    image.cell_y *= 2.0;
    let planned = |rows: &Arc<Rows>| {
        let pointing = Pointing { direction: image.phase_center };
        let options = OperatorOptions::default();
        OperatorPlan::new(&image, rows, case.freq_range(), &[pointing], options).unwrap()
    };
    let sane = planned(&block.rows);
    assert!(sane.rows_off_grid > 100);
    // Baselines that no array has are further off, and cost nothing either.
    let mut rows = (*block.rows).clone();
    rows.uvw_m[3] = [20.0, 1e25, -1e14];
    rows.uvw_m[5] = [-1e25, 7.0, 1e14];
    rows.uvw_m[300] = [1e25, -1e25, 1e300];
    block.rows = Arc::new(rows);
    let plan = planned(&block.rows);
    assert_eq!(plan.passes.len(), sane.passes.len());
    let mut samples = dft::samples(&block, FIRST);
    samples.retain(|s| (s.u * image.cell_x).abs() < 0.5 && (s.v * image.cell_y).abs() < 0.5);
    let sumwt: f64 = samples.iter().map(|s| s.weight).sum();
    let exact = dft::dirty(&image, &samples, true);
    let check = |(made, made_sumwt): (Vec<f32>, f64)| {
        assert!((made_sumwt / sumwt - 1.0).abs() < 1e-12);
        let error = worst(made.iter().map(|&x| x.into()), &exact);
        assert!(error < 1e-5, "{error:e}");
    };
    check(dirty(&CpuBackend, &plan, &block));
    check(dirty(&common::gpu(), &plan, &block));
}

/// Dirty image and sum of weights of a block's first channel.
fn dirty<B: Gridder>(backend: &B, plan: &OperatorPlan, block: &VisBlock) -> (Vec<f32>, f64) {
    let mut batch = Batch::new(backend, plan, block, 1).unwrap();
    batch.make_residual(&[0]).unwrap();
    (batch.residual_plane(0).unwrap(), batch.sumwt()[0])
}

#[test]
fn what_cannot_be_planned_is_refused_with_its_value() {
    let case = CASES[0];
    let (image, rows) = (case.image(), case.rows());
    let pointing = [Pointing { direction: image.phase_center }];
    let plan = |range, accuracy| {
        let options = OperatorOptions { accuracy, wterm: WTermMode::Exact };
        OperatorPlan::new(&image, &rows, range, &pointing, options)
    };
    for accuracy in [0.0, 1e-9, 0.5, f64::NAN] {
        let error = plan((1e9, 2e9), accuracy).unwrap_err().to_string();
        assert!(error.starts_with("gridding-accuracy="), "{error}");
    }
    assert!(plan((2e9, 1e9), 1e-5).is_err());
    assert!(plan((0.0, 1e9), 1e-5).is_err());
    // A block observed outside the planned cube.
    let plan = plan((1e9, 1.2e9), 1e-5).unwrap();
    let error = Batch::new(&CpuBackend, &plan, &case.block(), 1).err().unwrap().to_string();
    assert!(error.contains("plan the operator for all observed frequencies"), "{error}");
}
