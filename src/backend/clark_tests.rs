//! Tests of Clark's minor cycle that every backend must pass: against a textbook loop over whole planes,
//! positions and bits of all components equal; and of the stages that it is composed of.

use super::{
    Minor, MinorResult, Patch, Points,
    clark::clark,
    minor_tests::{Case, Limits, Random, delta, masks, one_component, psf, same, set_up},
};
use crate::mask::Mask;

/// What the textbook's loop leaves.
struct Book {
    residual: Vec<f32>,
    model: Vec<f32>,
    components: Vec<(u32, f32)>,
    rounds: usize,
}

/// The first of the largest |value| among the pixels that `counts` names; NaN is never the peak.
fn peak_of(values: &[f32], counts: impl Fn(usize) -> bool) -> Option<usize> {
    let mut peak = None::<usize>;
    for i in 0..values.len() {
        if counts(i)
            && !values[i].is_nan()
            && peak.is_none_or(|p| values[i].abs() > values[p].abs())
        {
            peak = Some(i);
        }
    }
    peak
}

/// Takes a component off a plane; of the PSF only what lies within `half` of its peak.
fn take_off(
    residual: &mut [f32],
    psf: &[f32],
    (ny, nx): (usize, usize),
    (at, flux): (usize, f32),
    half: usize,
) {
    for y in 0..ny {
        for x in 0..nx {
            let psf_x = (x + nx / 2).wrapping_sub(at % nx);
            let psf_y = (y + ny / 2).wrapping_sub(at / nx);
            let near = x.abs_diff(at % nx) <= half && y.abs_diff(at / nx) <= half;
            if psf_x < nx && psf_y < ny && near {
                residual[y * nx + x] -= flux * psf[psf_y * nx + psf_x];
            }
        }
    }
}

/// Clark (1980) with the rules that `clark.rs` states, over whole planes, pixel by pixel.
fn textbook(
    residual: &[f32],
    psf: &[f32],
    shape @ (ny, nx): (usize, usize),
    mask: &Mask,
    (gain, threshold, max_iter): Limits,
    half: usize,
) -> Book {
    let far = |i: usize| (i % nx).abs_diff(nx / 2) > half || (i / nx).abs_diff(ny / 2) > half;
    let sidelobe = peak_of(psf, far).map_or(0.0, |i| psf[i].abs());
    let masked = |i: usize| mask.get(i % nx, i / nx);
    let mut book = Book {
        residual: residual.to_vec(),
        model: vec![0.0; nx * ny],
        components: Vec::new(),
        rounds: 0,
    };
    let mut least = f32::INFINITY;
    while let Some(peak) = peak_of(&book.residual, masked) {
        let peak = book.residual[peak].abs();
        let above = peak > threshold;
        if book.components.len() == max_iter || !above || peak > 2.0 * least {
            break;
        }
        least = least.min(peak);
        let level = ((5.0 * sidelobe).min(0.8) * peak).max(threshold);
        let active: Vec<bool> =
            (0..nx * ny).map(|i| masked(i) && book.residual[i].abs() > level).collect();
        let number = active.iter().filter(|&&a| a).count();
        let most = (number as f64 / f64::from(gain)).ceil() as usize;
        let mut inner = book.residual.clone();
        let mut round: Vec<(usize, f32)> = Vec::new();
        while book.components.len() < max_iter && round.len() < most {
            let Some(at) = peak_of(&inner, |i| active[i]) else { break };
            let flux = gain * inner[at];
            let sum = book.model[at] + flux;
            let above = inner[at].abs() > level;
            if !above || !sum.is_finite() {
                break;
            }
            book.model[at] = sum;
            book.components.push((at as u32, flux));
            round.push((at, flux));
            take_off(&mut inner, psf, shape, (at, flux), half);
        }
        if round.is_empty() {
            break;
        }
        for at in 0..nx * ny {
            let here: Vec<f32> = round.iter().filter(|c| c.0 == at).map(|c| c.1).collect();
            if !here.is_empty() {
                let flux = here.iter().fold(0.0, |a, b| a + b);
                take_off(&mut book.residual, psf, shape, (at, flux), usize::MAX);
            }
        }
        book.rounds += 1;
    }
    book
}

/// Runs channels of a batch of `n` in one call, and each by the book, and compares bits. Gives the
/// rounds that each took by the book, too.
fn compare_channels<B: Minor>(
    backend: &B,
    n: usize,
    (ny, nx): (usize, usize),
    cases: &[Case<'_>],
    half: usize,
) -> Vec<(MinorResult, usize)> {
    let ([mut residual, psf, mut model], controls) = set_up(backend, n, (ny, nx), cases);
    let results =
        clark(backend, Patch { half }, &mut residual, &psf, &mut model, &controls).unwrap();
    assert_eq!(results.len(), cases.len());
    let rounds = cases.iter().zip(&results).map(|(case, result)| {
        let mask = case.mask;
        let book = textbook(case.residual, case.psf, (ny, nx), mask, case.limits, half);
        for (i, (ours, books)) in result.components.iter().zip(&book.components).enumerate() {
            assert_eq!((ours.0, ours.1.to_bits()), (books.0, books.1.to_bits()), "component {i}");
        }
        assert_eq!(result.components.len(), book.components.len());
        assert_eq!(backend.get(&model, case.channel).unwrap(), book.model);
        let ours = backend.get(&residual, case.channel).unwrap();
        for pixel in mask.pixels() {
            let (ours, books) = (ours[pixel], book.residual[pixel]);
            assert!(same(ours, books), "residual {ours}, by the book {books}, at {pixel}");
        }
        let peak = mask.pixels().map(|i| book.residual[i].abs()).fold(0.0, f32::max);
        assert_eq!(result.peak, peak);
        book.rounds
    });
    let rounds: Vec<_> = rounds.collect();
    for other in (0..n).filter(|c| cases.iter().all(|case| case.channel != *c)) {
        for planes in [&residual, &model] {
            assert!(backend.get(planes, other).unwrap().iter().all(|&v| v == 0.0));
        }
    }
    results.into_iter().zip(rounds).collect()
}

/// The same for one channel of two.
fn compare<B: Minor>(
    backend: &B,
    residual: &[f32],
    psf: &[f32],
    shape: (usize, usize),
    mask: &Mask,
    limits: Limits,
    half: usize,
) -> (MinorResult, usize) {
    let case = Case { channel: 1, residual, psf, mask, limits };
    compare_channels(backend, 2, shape, &[case], half).remove(0)
}

fn components_equal_the_textbook_loop<B: Minor>(backend: &B) {
    let mut random = Random(107);
    let mut most_rounds = 0;
    for (nx, ny) in [(64, 64), (65, 33), (40, 71), (7, 130), (1, 9)] {
        let psf = psf((ny, nx), &mut random);
        let residual = random.plane((ny, nx));
        for mask in &masks((ny, nx)) {
            for (half, limits) in [
                (5, (0.1, 0.05, 300)),
                (9, (0.7, 0.0, 60)),
                (2, (1.0, 1e-3, 100)),
                (99, (0.2, 0.1, 99)),
            ] {
                let (_, rounds) = compare(backend, &residual, &psf, (ny, nx), mask, limits, half);
                most_rounds = most_rounds.max(rounds);
            }
        }
    }
    assert!(most_rounds > 3, "{most_rounds}");
}

fn a_patch_of_the_whole_psf_is_hogboms_loop<B: Minor>(backend: &B) {
    // Sources far apart, so that no pixel below the threshold rises above it later: then one round
    // is Hogbom's loop.
    let shape @ (ny, nx) = (48, 60);
    let mut random = Random(109);
    let psf = psf(shape, &mut random);
    let mut residual = vec![0.0; nx * ny];
    for (at, flux) in [(500, 1.0), (2100, -0.7), (1330, 0.4)] {
        take_off(&mut residual, &psf, shape, (at, -flux), usize::MAX);
    }
    let all = Mask::new(nx, ny, true);
    let limits = (0.1, 0.2, 500);
    let (ours, rounds) = compare(backend, &residual, &psf, shape, &all, limits, usize::MAX >> 1);
    let hogbom = super::minor_tests::compare(backend, &residual, &psf, shape, &all, limits);
    assert_eq!((ours.components, rounds), (hogbom.components, 1));
}

fn first_pixel_wins_a_tie<B: Minor>(backend: &B) {
    // Few distinct magnitudes of both signs: most iterations choose among many equals.
    let (nx, ny) = (70, 40);
    let mut random = Random(103);
    let residual: Vec<f32> = (0..nx * ny).map(|_| (random.next() * 2.0).round() * 0.5).collect();
    let mut psf = delta((ny, nx));
    psf[ny / 2 * nx + nx / 2 + 3] = -0.5;
    let mask = Mask::from_fn(nx, ny, |x, y| (x * 7 + y) % 5 != 0);
    for half in [3, 2] {
        let limits = (0.5, 0.1, 500);
        let (result, _) = compare(backend, &residual, &psf, (ny, nx), &mask, limits, half);
        assert!(result.components.len() > 300);
        let first = mask.pixels().find(|&i| residual[i].abs() == 1.0).unwrap();
        assert_eq!(result.components[0], (first as u32, 0.5 * residual[first]));
    }
}

fn nothing_is_done_where_there_is_nothing_to_do<B: Minor>(backend: &B) {
    let shape @ (ny, nx) = (8, 32);
    let mut random = Random(111);
    let psf = psf(shape, &mut random);
    let residual = random.plane(shape);
    let all = Mask::new(nx, ny, true);
    let empty = Mask::new(nx, ny, false);
    let idle = |residual: &[f32], mask, limits| {
        let (result, _) = compare(backend, residual, &psf, shape, mask, limits, 3);
        assert!(result.components.is_empty());
        result
    };
    assert_eq!(idle(&residual, &empty, (0.1, 0.0, 9)), MinorResult::default());
    idle(&residual, &all, (0.1, 2.0, 9));
    idle(&residual, &all, (0.1, f32::NAN, 9));
    idle(&residual, &all, (0.1, f32::INFINITY, 9));
    idle(&residual, &all, (0.1, 0.0, 0));
    idle(&residual, &all, (f32::NAN, 0.0, 9));
    idle(&vec![0.0; nx * ny], &all, (0.1, 0.0, 9));
    idle(&vec![0.0; nx * ny], &all, (0.1, -1.0, 9));
    idle(&vec![f32::NAN; nx * ny], &all, (0.1, 0.0, 9));
}

fn nan_and_infinity_are_survived<B: Minor>(backend: &B) {
    let shape @ (ny, nx) = (70, 90);
    let mut random = Random(117);
    let good_psf = psf(shape, &mut random);
    let good = random.plane(shape);
    let all = Mask::new(nx, ny, true);
    let limits = (0.2, 0.1, 150);
    let mut residual = good.clone();
    residual.iter_mut().step_by(11).for_each(|v| *v = f32::NAN);
    // A whole tile and whole rows of nothing else.
    for y in 0..32 {
        residual[y * nx + 32..y * nx + 64].fill(f32::NAN);
    }
    residual[..2 * nx].fill(f32::NAN);
    let (result, _) = compare(backend, &residual, &good_psf, shape, &all, limits, 6);
    assert_eq!(result.components.len(), 150);
    // NaN in the PSF, within the patch and outside; then infinity.
    let mut psf = good_psf.clone();
    (psf[5], psf[ny / 3 * nx + nx / 3], psf[ny / 2 * nx + 47]) = (f32::NAN, f32::NAN, f32::NAN);
    assert!(!compare(backend, &good, &psf, shape, &all, limits, 6).0.components.is_empty());
    psf[7] = f32::INFINITY;
    compare(backend, &good, &psf, shape, &all, limits, 6);
    compare(backend, &good, &psf, shape, &all, (0.0, 0.1, 20), 6);
    residual[40 * nx + 3] = f32::NEG_INFINITY;
    let (result, _) = compare(backend, &residual, &good_psf, shape, &all, limits, 6);
    assert_eq!(result, MinorResult { peak: f32::INFINITY, ..MinorResult::default() });
}

fn a_diverging_loop_ends<B: Minor>(backend: &B) {
    let shape @ (ny, nx) = (40, 40);
    let mask = Mask::new(nx, ny, true);
    // A gain above 2 diverges.
    let mut residual = vec![0.0; nx * ny];
    residual[9] = 1.0;
    let limits = (4.0, 0.1, 100_000);
    let (result, _) = compare(backend, &residual, &delta(shape), shape, &mask, limits, 4);
    assert!(!result.components.is_empty() && result.components.len() < 200);
    // So does a PSF that is larger away from its centre, whatever the gain.
    let mut psf = delta(shape);
    psf[ny / 2 * nx + nx / 2 + 9] = -1.5;
    let limits = (0.5, 0.1, 100_000);
    let (result, rounds) = compare(backend, &residual, &psf, shape, &mask, limits, 4);
    assert!(rounds > 1 && result.components.len() < 1000, "{}", result.components.len());
    // A patch that cuts the negative bowl off the PSF, under emission wider than the patch, does not.
    let bowl: Vec<f32> = (0..nx * ny)
        .map(|i| {
            let (x, y) = ((i % nx) as f32 - 20.0, (i / nx) as f32 - 20.0);
            let r2 = x * x + y * y;
            1.1 * (-r2 / 4.0).exp() - 0.1 * (-r2 / 40.0).exp()
        })
        .collect();
    let disk: Vec<f32> = (0..nx * ny)
        .map(|i| ((i % nx).abs_diff(20).pow(2) + (i / nx).abs_diff(20).pow(2) < 100) as u8 as f32)
        .collect();
    let (result, _) = compare(backend, &disk, &bowl, shape, &mask, (0.1, 0.2, 3000), 3);
    assert!(result.peak < 1.0, "{}", result.peak);
}

fn more_components_in_a_round_than_a_device_keeps<B: Minor>(backend: &B) {
    // 6,000 points of equal flux on a PSF that is its peak alone: one round each a factor of 1 - gain.
    let shape @ (ny, nx) = (90, 100);
    let residual: Vec<f32> = (0..nx * ny).map(|i| if i % 3 == 0 { 0.0 } else { 1.0 }).collect();
    let mut psf = delta(shape);
    psf[3] = 0.01;
    let mask = Mask::from_fn(nx, ny, |_, y| y > 3);
    let (nx, ny) = (mask.nx(), mask.ny());
    assert!(nx * ny > 4096);
    // The book takes each component off every pixel: a few seconds for so many, once.
    let (result, _) = compare(backend, &residual, &psf, shape, &mask, (0.9, 0.5, 9000), 1);
    assert!(result.components.len() > 4096 + 500, "{}", result.components.len());
}

fn channels_do_not_touch_each_other<B: Minor>(backend: &B) {
    let shape @ (ny, nx) = (50, 70);
    let mut random = Random(113);
    let n = 12;
    let planes: Vec<_> = (0..n).map(|_| (random.plane(shape), psf(shape, &mut random))).collect();
    let masks = masks(shape);
    let limits = [(0.1, 0.3, 200), (0.3, 0.0, 50), (0.2, 0.9, 200), (0.1, 0.1, 0)];
    // Backwards, with gaps; the third and the first mask are shared by several channels.
    let cases: Vec<_> = (0..n)
        .rev()
        .filter(|c| c % 4 != 2)
        .map(|channel| Case {
            channel,
            residual: &planes[channel].0,
            psf: &planes[channel].1,
            mask: &masks[channel % 3],
            limits: limits[channel % 5 % limits.len()],
        })
        .collect();
    let results = compare_channels(backend, n, (ny, nx), &cases, 6);
    assert!(results.iter().any(|(result, _)| result.components.len() > 100));
}

fn planes_that_do_not_fit_are_refused<B: Minor>(backend: &B) {
    let zeros = |nx| backend.zeros(1, 4, nx).unwrap();
    let (mut planes, psfs, mut model) = (zeros(4), zeros(5), zeros(4));
    backend.put(&mut planes, 0, &[1.0; 16]).unwrap();
    let mask = Mask::new(4, 4, true);
    let control = |channel| one_component(channel, &mask);
    assert!(backend.clark(&mut planes, &psfs, &mut model, &[control(0)]).is_err());
    let psfs = zeros(4);
    assert!(backend.clark(&mut planes, &psfs, &mut model, &[control(1)]).is_err());
    assert!(backend.clark(&mut planes, &psfs, &mut model, &[control(0), control(0)]).is_err());
    assert!(backend.clark(&mut planes, &psfs, &mut zeros(5), &[control(0)]).is_err());
    assert!(backend.clark(&mut planes, &psfs, &mut model, &[]).unwrap().is_empty());
    let points = |channel| Points { channel, mask: &mask, components: &[(1, 1.0)] };
    assert!(backend.subtract(&mut planes, &psfs, &[points(0), points(0)]).is_err());
    assert!(backend.subtract(&mut planes, &psfs, &[points(1)]).is_err());
    assert!(backend.subtract(&mut planes, &zeros(5), &[points(0)]).is_err());
    assert!(backend.above(&planes, &[(1, &mask, 0.0)]).is_err());
    assert!(backend.above(&planes, &[(0, &Mask::new(5, 4, true), 0.0)]).is_err());
}

fn above_is_what_exceeds_the_level_in_the_mask<B: Minor>(backend: &B, shape: (usize, usize)) {
    let (ny, nx) = shape;
    let mut random = Random(127);
    let mut planes = backend.zeros(2, ny, nx).unwrap();
    let values: Vec<Vec<f32>> = (0..2)
        .map(|_| {
            let mut plane: Vec<f32> = random.plane(shape);
            plane.iter_mut().for_each(|v| *v = (*v * 50.0).round());
            plane.iter_mut().step_by(13).for_each(|v| *v = f32::NAN);
            plane[nx * ny / 2] = f32::NEG_INFINITY;
            plane[0] = -0.0;
            plane
        })
        .collect();
    for (channel, values) in values.iter().enumerate() {
        backend.put(&mut planes, channel, values).unwrap();
    }
    let masks = masks(shape);
    let levels = [0.0, 25.0, 49.5, f32::INFINITY, f32::NAN, -1.0];
    let mut asked: Vec<_> =
        masks.iter().zip(levels).flat_map(|(m, level)| [(1, m, level), (0, m, 20.0)]).collect();
    let empty = Mask::new(nx, ny, false);
    asked.push((0, &empty, 0.0));
    let found = backend.above(&planes, &asked).unwrap();
    assert_eq!(found.len(), asked.len());
    for (found, &(channel, mask, level)) in found.iter().zip(&asked) {
        let expected = Mask::from_fn(nx, ny, |x, y| {
            mask.get(x, y) && values[channel][y * nx + x].abs() > level
        });
        assert_eq!(found, &expected, "level {level}");
    }
    assert!(backend.above(&planes, &[]).unwrap().is_empty());
}

/// A test of each, of the backend that an expression gives.
macro_rules! clark_tests {
    ($backend:expr; $($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            super::$name(&$backend);
        }
    )*};
    ($backend:expr) => {
        clark_tests! {
            $backend;
            components_equal_the_textbook_loop,
            a_patch_of_the_whole_psf_is_hogboms_loop,
            first_pixel_wins_a_tie,
            nothing_is_done_where_there_is_nothing_to_do,
            nan_and_infinity_are_survived,
            a_diverging_loop_ends,
            more_components_in_a_round_than_a_device_keeps,
            channels_do_not_touch_each_other,
            planes_that_do_not_fit_are_refused,
        }
        #[test]
        fn above_is_what_exceeds_the_level_in_the_mask() {
            super::above_is_what_exceeds_the_level_in_the_mask(&$backend, (64, 96));
            super::above_is_what_exceeds_the_level_in_the_mask(&$backend, (300, 333));
        }
    };
}

mod on_cpu {
    use crate::backend::cpu::CpuBackend;

    clark_tests!(CpuBackend);
}

mod on_gpu {
    use super::*;
    use crate::backend::gpu::{GpuOptions, tests::gpu_with};

    clark_tests!(gpu_with(GpuOptions::default()));

    #[test]
    fn planes_in_parts_change_no_bit() {
        let options = GpuOptions { binding_bytes: Some(64 << 10), ..GpuOptions::default() };
        let gpu = gpu_with(options);
        let mut random = Random(131);
        // Two parts of 2¹⁴ pixels.
        let shape = (170, 150);
        let psf = psf(shape, &mut random);
        let residual = random.plane(shape);
        for mask in &masks(shape)[..3] {
            compare(&gpu, &residual, &psf, shape, mask, (0.2, 0.1, 40), 20);
        }
        super::above_is_what_exceeds_the_level_in_the_mask(&gpu, shape);
        // Tables of some masks in a binding.
        let options = GpuOptions { binding_bytes: Some(12 << 10), ..GpuOptions::default() };
        super::above_is_what_exceeds_the_level_in_the_mask(&gpu_with(options), (64, 96));
    }
}
