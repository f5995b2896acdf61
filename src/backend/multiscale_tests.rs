//! Tests of the multiscale minor cycle that every backend must pass: against a slow full-plane loop in
//! f64, with direct sums for convolutions; and, with points alone, against Hogbom bit by bit.

use super::{
    Deconvolver, Minor, MinorControl, MinorResult, Scales,
    minor_tests::{Case, Random, psf, set_up},
    multiscale::Shape,
};
use crate::mask::Mask;

/// What a call leaves of each case: result, residual, model.
pub(super) type Left = (MinorResult, Vec<f32>, Vec<f32>);

/// Runs channels of a batch of `n` in one call.
pub(super) fn run<B: Minor>(
    backend: &B,
    n: usize,
    (ny, nx): (usize, usize),
    scales: &Scales,
    cases: &[Case<'_>],
) -> Vec<Left> {
    let ([mut residual, psf, mut model], controls) = set_up(backend, n, (ny, nx), cases);
    let results = backend.multiscale(scales, &mut residual, &psf, &mut model, &controls).unwrap();
    let get = |planes, channel| backend.get(planes, channel).unwrap();
    for other in (0..n).filter(|c| cases.iter().all(|case| case.channel != *c)) {
        assert!(get(&model, other).iter().chain(&get(&residual, other)).all(|&v| v == 0.0));
    }
    let left = cases.iter().zip(results);
    left.map(|(case, result)| (result, get(&residual, case.channel), get(&model, case.channel)))
        .collect()
}

/// `plane ⊗ shape`, summed directly; nothing beyond the plane.
fn convolved(plane: &[f64], nx: usize, width: f32) -> Vec<f64> {
    let shape = Shape::new(width);
    let (ny, reach) = (plane.len() / nx, shape.reach as isize);
    let at = |x: isize, y: isize| {
        let inside = x >= 0 && y >= 0 && x < nx as isize && y < ny as isize;
        if inside { plane[y as usize * nx + x as usize] } else { 0.0 }
    };
    (0..plane.len())
        .map(|i| {
            let (x, y) = ((i % nx) as isize, (i / nx) as isize);
            let mut sum = 0.0;
            for dy in -reach..=reach {
                for (dx, m) in (-reach..).zip(shape.row((dy + reach) as usize)) {
                    sum += f64::from(*m) * at(x - dx, y - dy);
                }
            }
            sum
        })
        .collect()
}

/// What the book's loop leaves.
struct Book {
    components: Vec<(u32, f64)>,
    scales: Vec<u8>,
    residual: Vec<f64>,
    model: Vec<f64>,
}

/// Cornwell (2008) over whole planes, in f64.
fn textbook(case: &Case<'_>, (ny, nx): (usize, usize), scales: &Scales) -> Book {
    let of = |plane: &[f32]| plane.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let (widths, (gain, threshold, max_iter)) = (&scales.pixels, case.limits);
    let n = widths.len();
    let mut plain = of(case.residual);
    let psf = of(case.psf);
    let inside: Vec<f64> =
        (0..nx * ny).map(|i| f64::from(u8::from(case.mask.get(i % nx, i / nx)))).collect();
    let mut residuals: Vec<_> = widths.iter().map(|&w| convolved(&plain, nx, w)).collect();
    let once: Vec<_> = widths.iter().map(|&w| convolved(&psf, nx, w)).collect();
    let twice: Vec<Vec<_>> =
        once.iter().map(|p| widths.iter().map(|&w| convolved(p, nx, w)).collect()).collect();
    let allowed = |s: usize| {
        let smooth = convolved(&inside, nx, widths[s]);
        let border = (1.5 * widths[s]).floor() as usize;
        let far = |i: usize, n: usize| border == 0 || (i > border && i < n - 1 - border);
        (0..nx * ny).map(|i| smooth[i] > 0.9 && far(i % nx, nx) && far(i / nx, ny)).collect()
    };
    let masks: Vec<Vec<bool>> = (0..n).map(allowed).collect();
    let centre = ny / 2 * nx + nx / 2;
    let widest = f64::from(*widths.last().unwrap()).max(1e-9);
    let mut book =
        Book { components: vec![], scales: vec![], residual: vec![], model: vec![0.0; nx * ny] };
    let shift = |plane: &mut [f64], by: &[f64], pixel: usize, flux: f64| {
        for (i, value) in plane.iter_mut().enumerate() {
            let x = (i % nx + nx / 2).wrapping_sub(pixel % nx);
            let y = (i / nx + ny / 2).wrapping_sub(pixel / nx);
            if x < nx && y < ny {
                *value -= flux * by[y * nx + x];
            }
        }
    };
    while book.components.len() < max_iter {
        let mut best = None::<(f64, usize, usize, f64)>;
        for (s, own) in (0..n).map(|s| (s, twice[s][s][centre])) {
            let bias = 1.0 - f64::from(scales.smallscalebias) * f64::from(widths[s]) / widest;
            for i in (0..nx * ny).filter(|&i| masks[s][i]) {
                let strength = residuals[s][i] / own;
                let merit = strength * residuals[s][i] * bias;
                if best.is_none_or(|b| merit > b.0) {
                    best = Some((merit, s, i, strength));
                }
            }
        }
        let Some((_, s, pixel, strength)) = best else { break };
        if strength.abs() <= f64::from(threshold) {
            break;
        }
        let flux = f64::from(gain) * strength;
        book.components.push((pixel as u32, flux));
        book.scales.push(s as u8);
        for (residual, by) in residuals.iter_mut().zip(&twice[s]) {
            shift(residual, by, pixel, flux);
        }
        shift(&mut plain, &once[s], pixel, flux);
        let shape = Shape::new(widths[s]);
        for y in 0..=2 * shape.reach {
            for (x, m) in shape.row(y).iter().enumerate() {
                let (x, y) = (pixel % nx + x - shape.reach, pixel / nx + y - shape.reach);
                book.model[y * nx + x] += flux * f64::from(*m);
            }
        }
    }
    book.residual = plain;
    book
}

/// A sky of a blob and points, seen by a PSF, with noise; the PSF is even, as real ones are.
fn sky(shape @ (ny, nx): (usize, usize), random: &mut Random) -> (Vec<f32>, Vec<f32>) {
    let noisy = psf(shape, random);
    let mirrored = |i: usize| {
        let (x, y) = (nx / 2 * 2, ny / 2 * 2);
        let (mx, my) = (x.wrapping_sub(i % nx), y.wrapping_sub(i / nx));
        if mx < nx && my < ny { 0.5 * (noisy[i] + noisy[my * nx + mx]) } else { noisy[i] }
    };
    let psf: Vec<f32> = (0..nx * ny).map(mirrored).collect();
    let mut truth = vec![0.0; nx * ny];
    let middle = ny / 2 * nx + nx / 2;
    Shape::new(nx.min(ny) as f32 / 5.0).add_to(&mut truth, nx, middle + 2, 20.0);
    for (i, flux) in [(middle - 7, 0.7), (middle + 3 * nx + 5, -0.4), (middle - 6 * nx, 0.5)] {
        truth[i] += flux;
    }
    let mut residual: Vec<f32> = random.plane(shape).iter().map(|v| 0.01 * v).collect();
    for (pixel, &flux) in truth.iter().enumerate().filter(|(_, flux)| **flux != 0.0) {
        for (i, value) in residual.iter_mut().enumerate() {
            let x = (i % nx + nx / 2).wrapping_sub(pixel % nx);
            let y = (i / nx + ny / 2).wrapping_sub(pixel / nx);
            if x < nx && y < ny {
                *value += flux * psf[y * nx + x];
            }
        }
    }
    (residual, psf)
}

fn scales(pixels: &[f32], smallscalebias: f32) -> Scales {
    Scales { pixels: pixels.to_vec(), smallscalebias }
}

pub(super) fn components_equal_the_textbook<B: Minor>(backend: &B) {
    let mut random = Random(41);
    for shape @ (ny, nx) in [(48, 54), (45, 64)] {
        let (residual, psf) = sky(shape, &mut random);
        let round = Mask::from_fn(nx, ny, |x, y| {
            x.abs_diff(nx / 2).pow(2) + y.abs_diff(ny / 2).pow(2) < 250
        });
        let all = Mask::new(nx, ny, true);
        for (scales, mask) in [
            (scales(&[0.0, 3.0, 8.0], 0.0), &round),
            (scales(&[0.0, 3.0, 8.0], 0.6), &all),
            (scales(&[2.5, 6.0], -0.3), &round),
            (scales(&[5.0], 0.0), &all),
        ] {
            let limits = (0.1, 0.02, 70);
            let case = Case { channel: 1, residual: &residual, psf: &psf, mask, limits };
            let book = textbook(&case, shape, &scales);
            let (result, left, model) = run(backend, 2, shape, &scales, &[case]).remove(0);
            let places = |c: &[(u32, f32)]| c.iter().map(|c| c.0).collect::<Vec<_>>();
            let expected: Vec<u32> = book.components.iter().map(|c| c.0).collect();
            assert_eq!(places(&result.components), expected, "{scales:?}");
            assert_eq!(result.scales, book.scales);
            assert!(result.components.len() > 20);
            // Convolutions and loop in f32; fluxes are about 1, and the residual begins at about 10.
            let fluxes = result.components.iter().zip(&book.components);
            let fluxes = fluxes.map(|(ours, books)| (f64::from(ours.1) - books.1).abs());
            let residuals = mask.pixels().map(|i| (f64::from(left[i]) - book.residual[i]).abs());
            let models = model.iter().zip(&book.model).map(|(&a, &b)| (f64::from(a) - b).abs());
            let worst = fluxes.chain(residuals).chain(models).fold(0.0, f64::max);
            println!("{scales:?}: {} components, within {worst:.1e}", result.components.len());
            assert!(worst < 2e-5, "{worst}");
            let peak = mask.pixels().map(|i| left[i].abs()).fold(0.0, f32::max);
            assert_eq!(result.peak, peak);
        }
    }
}

pub(super) fn points_alone_are_hogbom<B: Minor>(backend: &B) {
    let shape @ (ny, nx) = (50, 70);
    let mut random = Random(43);
    let (residual, psf) = (random.plane(shape), psf(shape, &mut random));
    let masks = [Mask::new(nx, ny, true), Mask::from_fn(nx, ny, |x, y| (x + y) % 3 == 0)];
    for mask in &masks {
        // Few enough that Hogbom does not diverge, which it does on a PSF of noise.
        for limits in [(0.1, 0.2, 150), (0.3, 0.0, 40), (0.1, 0.1, 0), (0.1, 2.0, 9)] {
            let case = Case { channel: 0, residual: &residual, psf: &psf, mask, limits };
            let points = scales(&[0.0], 0.7);
            let (result, left, model) = run(backend, 1, shape, &points, &[case]).remove(0);
            let zeros = || backend.zeros(1, ny, nx).unwrap();
            let (mut planes, mut psfs, mut models) = (zeros(), zeros(), zeros());
            backend.put(&mut planes, 0, &residual).unwrap();
            backend.put(&mut psfs, 0, &psf).unwrap();
            let (gain, threshold, max_iter) = limits;
            let control =
                MinorControl { channel: 0, mask, gain, threshold, max_iter, keep_residual: true };
            let hogbom = backend.hogbom(&mut planes, &psfs, &mut models, &[control]).unwrap();
            assert_eq!(result.components, hogbom[0].components);
            assert_eq!(result.peak, hogbom[0].peak);
            assert_eq!(result.scales, vec![0; result.components.len()]);
            let expected = backend.get(&planes, 0).unwrap();
            assert!(mask.pixels().all(|i| left[i].to_bits() == expected[i].to_bits()));
            assert_eq!(model, backend.get(&models, 0).unwrap());
        }
    }
}

/// Channels of different masks, levels and limits.
pub(super) fn cases<'a>(planes: &'a [(Vec<f32>, Vec<f32>)], masks: &'a [Mask]) -> Vec<Case<'a>> {
    let limits = [(0.1, 0.02, 150), (0.3, 0.02, 2000), (0.1, 0.1, 0), (0.2, 9.0, 50)];
    let some = planes.iter().enumerate().rev().filter(|(c, _)| c % 4 != 1);
    some.map(|(channel, (residual, psf))| Case {
        channel,
        residual,
        psf,
        mask: &masks[channel % masks.len()],
        limits: limits[channel % 5 % limits.len()],
    })
    .collect()
}

/// A residual and a PSF for each channel.
type Skies = Vec<(Vec<f32>, Vec<f32>)>;

pub(super) fn planes(n: usize, shape @ (ny, nx): (usize, usize)) -> (Skies, Vec<Mask>) {
    let mut random = Random(47);
    let planes = (0..n).map(|_| sky(shape, &mut random)).collect();
    let masks = vec![
        Mask::from_fn(nx, ny, |x, y| x.abs_diff(nx / 2).pow(2) + y.abs_diff(ny / 2).pow(2) < 300),
        Mask::new(nx, ny, true),
        Mask::from_fn(nx, ny, |x, y| x > 10 && y + 9 < ny && (x + 2 * y) % 7 != 0),
    ];
    (planes, masks)
}

pub(super) fn channels_of_a_call_are_their_own<B: Minor>(backend: &B) {
    let shape = (40, 44);
    let (planes, masks) = planes(13, shape);
    let scales = scales(&[0.0, 3.0, 7.0], 0.3);
    let together = run(backend, 13, shape, &scales, &cases(&planes, &masks));
    assert!(together.iter().any(|(result, ..)| result.components.len() > 50));
    for (case, together) in cases(&planes, &masks).into_iter().zip(together) {
        let alone = run(backend, 13, shape, &scales, &[case]).remove(0);
        assert!(alone == together);
    }
}

/// What a roll-back does: the components, drawn again in their order, make the model's bits.
pub(super) fn components_make_the_model<B: Minor>(backend: &B) {
    let shape @ (ny, nx) = (40, 44);
    let (planes, masks) = planes(13, shape);
    let scales = scales(&[0.0, 3.0, 7.0], 0.3);
    let deconvolver = Deconvolver::Multiscale(scales.clone());
    for (result, _, model) in run(backend, 13, shape, &scales, &cases(&planes, &masks)) {
        let mut drawn = vec![0.0; ny * nx];
        deconvolver.add_to(&mut drawn, nx, &result.components, &result.scales);
        assert!(drawn.iter().zip(&model).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

pub(super) fn nothing_is_done_where_there_is_nothing_to_do<B: Minor>(backend: &B) {
    let shape @ (ny, nx) = (40, 44);
    let (planes, masks) = planes(1, shape);
    let (residual, psf) = &planes[0];
    let scales = scales(&[0.0, 4.0], 0.0);
    let idle = |residual: &[f32], mask: &Mask, limits| {
        let case = Case { channel: 0, residual, psf, mask, limits };
        let (result, left, model) = run(backend, 1, shape, &scales, &[case]).remove(0);
        assert!(result.components.is_empty() && model.iter().all(|&v| v == 0.0));
        assert!(mask.pixels().all(|i| left[i].to_bits() == residual[i].to_bits()));
        result.peak
    };
    assert_eq!(idle(residual, &Mask::new(nx, ny, false), (0.1, 0.0, 9)), 0.0);
    let peak = masks[0].pixels().map(|i| residual[i].abs()).fold(0.0, f32::max);
    for limits in [(0.1, 0.0, 0), (0.1, f32::NAN, 9), (0.1, 1e9, 9), (f32::NAN, 0.0, 9)] {
        assert_eq!(idle(residual, &masks[0], limits), peak);
    }
    assert_eq!(idle(&vec![0.0; nx * ny], &masks[0], (0.1, 0.0, 9)), 0.0);
    assert_eq!(idle(&vec![f32::NAN; nx * ny], &masks[0], (0.1, 0.0, 9)), 0.0);
    assert!(run(backend, 2, shape, &scales, &[]).is_empty());
}

/// A loop that grows by g − 1 each time ends as tclean's: when it has grown 1.5-fold.
pub(super) fn a_diverging_cycle_ends<B: Minor>(backend: &B) {
    let shape @ (ny, nx) = (40, 44);
    let middle = ny / 2 * nx + nx / 2;
    let mut point = vec![0.0; nx * ny];
    point[middle] = 1.0;
    let mask = Mask::new(nx, ny, true);
    // Components that tclean placed with this gain.
    for (gain, count) in [(2.02, 21), (2.06, 7), (2.2, 3), (3.0, 1)] {
        for pixels in [&[0.0][..], &[0.0, 5.0], &[5.0]] {
            let limits = (gain, 0.0, 1000);
            let case = Case { channel: 0, residual: &point, psf: &point, mask: &mask, limits };
            let result = run(backend, 1, shape, &scales(pixels, 0.0), &[case]).remove(0).0;
            assert_eq!(result.components.len(), count, "{gain} {pixels:?}");
        }
    }
}

pub(super) fn components_lie_inside_mask_and_image<B: Minor>(backend: &B) {
    let shape @ (ny, nx) = (60, 64);
    let mut random = Random(53);
    let residual: Vec<f32> = random.plane(shape).iter().map(|v| 2.0 + 0.1 * v).collect();
    let psf = sky(shape, &mut random).1;
    let scales = scales(&[6.0], 0.0);
    let strip = Mask::from_fn(nx, ny, |x, y| x < 40 && (14..40).contains(&y));
    for mask in [&strip, &Mask::new(nx, ny, true)] {
        let limits = (0.2, 0.01, 100);
        let case = Case { channel: 0, residual: &residual, psf: &psf, mask, limits };
        let (result, _, model) = run(backend, 1, shape, &scales, &[case]).remove(0);
        assert!(result.components.len() > 10);
        for &(pixel, _) in &result.components {
            let (x, y) = (pixel as usize % nx, pixel as usize / nx);
            assert!((10..nx - 10).contains(&x) && (10..ny - 10).contains(&y), "{x} {y}");
        }
        let total: f64 = model.iter().map(|&v| f64::from(v.abs())).sum();
        let outside = (0..nx * ny).filter(|&i| !mask.get(i % nx, i / nx));
        let outside: f64 = outside.map(|i| f64::from(model[i].abs())).sum();
        assert!(outside <= 0.1 * total, "{outside} of {total}");
    }
}

/// A test of each, of the backend that an expression gives.
macro_rules! multiscale_tests {
    ($backend:expr; $($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            $crate::backend::multiscale_tests::$name(&$backend);
        }
    )*};
    ($backend:expr) => {
        $crate::backend::multiscale_tests::multiscale_tests! {
            $backend;
            components_equal_the_textbook,
            points_alone_are_hogbom,
            channels_of_a_call_are_their_own,
            components_make_the_model,
            nothing_is_done_where_there_is_nothing_to_do,
            a_diverging_cycle_ends,
            components_lie_inside_mask_and_image,
        }
    };
}
pub(super) use multiscale_tests;
