//! Tests of the minor cycle that every backend must pass: Hogbom against a textbook full-plane loop,
//! positions and bits of all components equal.

use super::{Minor, MinorControl, MinorResult, Peak};
use crate::mask::Mask;

/// Gain, threshold, largest number of components.
pub(super) type Limits = (f32, f32, usize);

/// What the textbook's loop leaves.
struct Book {
    residual: Vec<f32>,
    model: Vec<f32>,
    components: Vec<(u32, f32)>,
}

/// Hogbom (1974) as the books have it, over the whole plane, pixel by pixel; NaN is never the peak,
/// and the loop ends before the model overflows.
fn textbook(
    residual: &[f32],
    psf: &[f32],
    (ny, nx): (usize, usize),
    mask: &Mask,
    (gain, threshold, max_iter): Limits,
) -> Book {
    let mut residual = residual.to_vec();
    let mut model = vec![0.0f32; nx * ny];
    let mut components = Vec::new();
    while components.len() < max_iter {
        let mut peak = None::<usize>;
        for i in 0..nx * ny {
            if mask.get(i % nx, i / nx)
                && !residual[i].is_nan()
                && peak.is_none_or(|p| residual[i].abs() > residual[p].abs())
            {
                peak = Some(i);
            }
        }
        let Some(peak) = peak.filter(|&p| residual[p].abs() > threshold) else { break };
        let flux = gain * residual[peak];
        if !(model[peak] + flux).is_finite() {
            break;
        }
        model[peak] += flux;
        components.push((peak as u32, flux));
        for y in 0..ny {
            for x in 0..nx {
                let psf_x = (x + nx / 2).wrapping_sub(peak % nx);
                let psf_y = (y + ny / 2).wrapping_sub(peak / nx);
                if psf_x < nx && psf_y < ny {
                    residual[y * nx + x] -= flux * psf[psf_y * nx + psf_x];
                }
            }
        }
    }
    Book { residual, model, components }
}

/// Reproducible values in (−1, 1).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub(super) fn plane(&mut self, (ny, nx): (usize, usize)) -> Vec<f32> {
        (0..nx * ny).map(|_| self.next()).collect()
    }
}

/// A PSF with peak 1 at (nx/2, ny/2), a main lobe and noisy sidelobes that reach the borders.
pub(super) fn psf((ny, nx): (usize, usize), random: &mut Random) -> Vec<f32> {
    let mut psf: Vec<f32> = (0..nx * ny)
        .map(|i| {
            let (x, y) = ((i % nx) as f32 - (nx / 2) as f32, (i / nx) as f32 - (ny / 2) as f32);
            0.9 * (-(x * x + 0.6 * y * y) / 6.0).exp() + 0.08 * random.next()
        })
        .collect();
    psf[ny / 2 * nx + nx / 2] = 1.0;
    psf
}

/// A PSF that is its peak alone.
pub(super) fn delta((ny, nx): (usize, usize)) -> Vec<f32> {
    let mut psf = vec![0.0; nx * ny];
    psf[ny / 2 * nx + nx / 2] = 1.0;
    psf
}

/// One channel of a call.
pub(super) struct Case<'a> {
    pub(super) channel: usize,
    pub(super) residual: &'a [f32],
    pub(super) psf: &'a [f32],
    pub(super) mask: &'a Mask,
    pub(super) limits: Limits,
}

/// Equal bits, or both NaN: which NaN it is, no standard says.
pub(super) fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Residuals, PSFs and models (zero) of a batch of `n`, with the cases' planes, and their controls.
pub(super) fn set_up<'a, B: Minor>(
    backend: &B,
    n: usize,
    (ny, nx): (usize, usize),
    cases: &[Case<'a>],
) -> ([B::Planes; 3], Vec<MinorControl<'a>>) {
    let mut planes = [(); 3].map(|()| backend.zeros(n, ny, nx).unwrap());
    for case in cases {
        backend.put(&mut planes[0], case.channel, case.residual).unwrap();
        backend.put(&mut planes[1], case.channel, case.psf).unwrap();
    }
    let controls = cases
        .iter()
        .map(|&Case { channel, mask, limits: (gain, threshold, max_iter), .. }| MinorControl {
            channel,
            mask,
            gain,
            threshold,
            max_iter,
            keep_residual: true,
        })
        .collect();
    (planes, controls)
}

/// Runs channels of a batch of `n` in one call, and each by the book, and compares bits.
pub(super) fn compare_channels<B: Minor>(
    backend: &B,
    n: usize,
    (ny, nx): (usize, usize),
    cases: &[Case<'_>],
) -> Vec<MinorResult> {
    let ([mut residual, psf, mut model], controls) = set_up(backend, n, (ny, nx), cases);
    let results = backend.hogbom(&mut residual, &psf, &mut model, &controls).unwrap();
    assert_eq!(results.len(), cases.len());
    for (case, result) in cases.iter().zip(&results) {
        let mask = case.mask;
        let book = textbook(case.residual, case.psf, (ny, nx), mask, case.limits);
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
    }
    for other in (0..n).filter(|c| cases.iter().all(|case| case.channel != *c)) {
        for planes in [&residual, &model] {
            assert!(backend.get(planes, other).unwrap().iter().all(|&v| v == 0.0));
        }
    }
    results
}

/// The same for one channel of two.
pub(super) fn compare<B: Minor>(
    backend: &B,
    residual: &[f32],
    psf: &[f32],
    shape: (usize, usize),
    mask: &Mask,
    limits: Limits,
) -> MinorResult {
    let case = Case { channel: 1, residual, psf, mask, limits };
    compare_channels(backend, 2, shape, &[case]).remove(0)
}

/// Masks that make life hard.
pub(super) fn masks((ny, nx): (usize, usize)) -> Vec<Mask> {
    vec![
        Mask::new(nx, ny, true),
        Mask::from_fn(nx, ny, |x, y| x.abs_diff(nx / 2).pow(2) + y.abs_diff(ny / 2).pow(2) < 90),
        // Edges and corners: only parts of the PSF meet the plane.
        Mask::from_fn(nx, ny, |x, y| x == 0 || y == 0 || x + 1 == nx || y + 1 == ny),
        Mask::from_fn(nx, ny, |x, y| (x < 3 && y < 2) || (x + 2 >= nx && y + 3 >= ny)),
        Mask::from_fn(nx, ny, |x, y| (x + y) % 2 == 0),
        Mask::from_fn(nx, ny, |x, y| (x, y) == (nx - 1, 0)),
    ]
}

pub(super) fn components_equal_the_textbook_loop<B: Minor>(backend: &B) {
    let mut random = Random(7);
    for (nx, ny) in [(64, 64), (65, 33), (40, 71), (7, 130), (1, 9)] {
        let psf = psf((ny, nx), &mut random);
        let residual = random.plane((ny, nx));
        for mask in &masks((ny, nx)) {
            for limits in [(0.1, 0.05, 300), (0.7, 0.0, 60), (1.0, 1e-3, 200)] {
                compare(backend, &residual, &psf, (ny, nx), mask, limits);
            }
        }
    }
}

pub(super) fn channels_do_not_touch_each_other<B: Minor>(backend: &B, n: usize) {
    let shape @ (ny, nx) = (50, 70);
    let mut random = Random(13);
    let planes: Vec<_> = (0..n).map(|_| (random.plane(shape), psf(shape, &mut random))).collect();
    let masks = masks(shape);
    let limits = [(0.1, 0.3, 400), (0.3, 0.0, 50), (0.2, 0.9, 400), (0.1, 0.1, 0)];
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
    let results = compare_channels(backend, n, (ny, nx), &cases);
    assert!(results.iter().any(|r| r.components.len() > 100));
}

pub(super) fn first_pixel_wins_a_tie<B: Minor>(backend: &B) {
    // Few distinct magnitudes of both signs: most iterations choose among many equals.
    let (nx, ny) = (70, 40);
    let mut random = Random(3);
    let residual: Vec<f32> = (0..nx * ny).map(|_| (random.next() * 2.0).round() * 0.5).collect();
    let mut psf = delta((ny, nx));
    psf[ny / 2 * nx + nx / 2 + 3] = -0.5;
    let mask = Mask::from_fn(nx, ny, |x, y| (x * 7 + y) % 5 != 0);
    let result = compare(backend, &residual, &psf, (ny, nx), &mask, (0.5, 0.1, 500));
    assert!(result.components.len() > 300);
    let first = mask.pixels().find(|&i| residual[i].abs() == 1.0).unwrap();
    assert_eq!(result.components[0], (first as u32, 0.5 * residual[first]));
}

pub(super) fn nothing_is_done_where_there_is_nothing_to_do<B: Minor>(backend: &B) {
    let shape @ (ny, nx) = (8, 32);
    let mut random = Random(11);
    let psf = psf(shape, &mut random);
    let residual = random.plane(shape);
    let all = Mask::new(nx, ny, true);
    let empty = Mask::new(nx, ny, false);
    let idle = |residual: &[f32], mask, limits| {
        let result = compare(backend, residual, &psf, shape, mask, limits);
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
    idle(&vec![0.0; nx * ny], &all, (0.1, -0.0, 9));
    idle(&vec![f32::NAN; nx * ny], &all, (0.1, 0.0, 9));
    // A negative threshold does not stop even at zero.
    let zeros = vec![0.0; nx * ny];
    assert_eq!(
        compare(backend, &zeros, &psf, shape, &all, (0.1, -1.0, 9)).components,
        [(0, 0.0); 9]
    );
}

pub(super) fn nan_and_infinity_are_survived<B: Minor>(backend: &B) {
    let shape @ (ny, nx) = (70, 90);
    let mut random = Random(17);
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
    let result = compare(backend, &residual, &good_psf, shape, &all, limits);
    assert_eq!(result.components.len(), 150);
    let mut psf = good_psf.clone();
    (psf[5], psf[ny / 3 * nx + nx / 3], psf[ny / 2 * nx + 80]) = (f32::NAN, f32::NAN, f32::NAN);
    assert!(compare(backend, &good, &psf, shape, &all, limits).components.len() > 10);
    psf[ny / 2 * nx + nx / 2 + 1] = f32::INFINITY;
    compare(backend, &good, &psf, shape, &all, limits);
    compare(backend, &good, &psf, shape, &all, (0.0, 0.1, 20));
    residual[40 * nx + 3] = f32::NEG_INFINITY;
    let result = compare(backend, &residual, &good_psf, shape, &all, limits);
    assert_eq!(result, MinorResult { peak: f32::INFINITY, ..MinorResult::default() });
}

pub(super) fn a_diverging_loop_ends<B: Minor>(backend: &B) {
    // A gain above 2 makes Hogbom diverge; the loop must end before values overflow to infinity.
    let shape @ (ny, nx) = (40, 40);
    let mut residual = vec![0.0; nx * ny];
    residual[9] = 1.0;
    let mask = Mask::new(nx, ny, true);
    let limits = (4.0, 0.1, 100_000);
    let result = compare(backend, &residual, &delta(shape), shape, &mask, limits);
    assert!(result.components.len() > 20 && result.components.len() < 200);
    let mut random = Random(29);
    let psf = psf(shape, &mut random);
    let result = compare(backend, &random.plane(shape), &psf, shape, &mask, limits);
    assert!(result.components.len() < 200);
}

/// More components than a device keeps before the host reads them.
pub(super) fn many_components_come_in_order<B: Minor>(backend: &B) {
    let shape @ (ny, nx) = (36, 40);
    let mut random = Random(19);
    let psf = psf(shape, &mut random);
    let residual = random.plane(shape);
    let mask = Mask::from_fn(nx, ny, |x, y| x > 3 && y > 4);
    for max_iter in [4096, 4097, 9000] {
        let result = compare(backend, &residual, &psf, shape, &mask, (0.01, 0.0, max_iter));
        assert_eq!(result.components.len(), max_iter);
    }
}

pub(super) fn peak_finds_the_first_of_the_largest_in_the_mask<B: Minor>(backend: &B) {
    let mut planes = backend.zeros(3, 3, 5).unwrap();
    let mut values = [0.0f32; 15];
    (values[2], values[6], values[8], values[14]) = (9.0, -4.0, 4.0, f32::NAN);
    backend.put(&mut planes, 0, &values).unwrap();
    // NaN but for zeros, in a run of their own.
    let mut values = [f32::NAN; 15];
    (values[11], values[12]) = (-0.0, 0.0);
    backend.put(&mut planes, 1, &values).unwrap();
    backend.put(&mut planes, 2, &[f32::NAN; 15]).unwrap();
    let mask = Mask::from_fn(5, 3, |_, y| y > 0);
    let gaps = Mask::from_fn(5, 3, |x, y| y > 0 && x != 0);
    let empty = Mask::new(5, 3, false);
    let all = Mask::new(5, 3, true);
    let asked =
        [(0, &mask), (0, &empty), (1, &mask), (1, &gaps), (2, &all), (0, &all), (1, &empty)];
    let zero = Some(Peak { pixel: 11, value: -0.0 });
    let first = Some(Peak { pixel: 6, value: -4.0 });
    let largest = Some(Peak { pixel: 2, value: 9.0 });
    let peaks = backend.peak(&planes, &asked).unwrap();
    assert_eq!(peaks, [first, None, zero, zero, None, largest, None]);
    assert!(peaks[2].unwrap().value.is_sign_negative());
    assert_eq!(backend.peak(&planes, &[]).unwrap(), []);
}

/// Peaks of random planes, with ties, against a loop over pixels.
pub(super) fn peaks_equal_a_search_of_the_plane<B: Minor>(backend: &B, shape: (usize, usize)) {
    let (ny, nx) = shape;
    let mut random = Random(23);
    let mut planes = backend.zeros(2, ny, nx).unwrap();
    let values: Vec<Vec<f32>> =
        (0..2).map(|_| random.plane(shape).iter().map(|v| (v * 500.0).round()).collect()).collect();
    for (channel, values) in values.iter().enumerate() {
        backend.put(&mut planes, channel, values).unwrap();
    }
    let masks = masks(shape);
    let asked: Vec<_> = masks.iter().flat_map(|mask| [(1, mask), (0, mask)]).collect();
    let expected: Vec<_> = asked
        .iter()
        .map(|&(channel, mask)| {
            let values = &values[channel];
            let largest = mask.pixels().map(|i| values[i].abs()).fold(0.0, f32::max);
            let pixel = mask.pixels().find(|&i| values[i].abs() == largest)?;
            Some(Peak { pixel, value: values[pixel] })
        })
        .collect();
    assert_eq!(backend.peak(&planes, &asked).unwrap(), expected);
}

/// A cycle of one component.
pub(super) fn one_component(channel: usize, mask: &Mask) -> MinorControl<'_> {
    MinorControl { channel, mask, gain: 0.1, threshold: 0.0, max_iter: 1, keep_residual: true }
}

pub(super) fn planes_that_do_not_fit_are_refused<B: Minor>(backend: &B) {
    let zeros = |nx| backend.zeros(1, 4, nx).unwrap();
    let (mut planes, psfs, mut model) = (zeros(4), zeros(5), zeros(4));
    let mask = Mask::new(4, 4, true);
    let control = |channel| one_component(channel, &mask);
    assert!(backend.hogbom(&mut planes, &psfs, &mut model, &[control(0)]).is_err());
    let psfs = zeros(4);
    assert!(backend.hogbom(&mut planes, &psfs, &mut model, &[control(1)]).is_err());
    assert!(backend.hogbom(&mut planes, &psfs, &mut model, &[control(0), control(0)]).is_err());
    assert!(backend.hogbom(&mut planes, &psfs, &mut model, &[]).unwrap().is_empty());
    assert!(backend.peak(&planes, &[(0, &Mask::new(5, 4, true))]).is_err());
    assert!(backend.peak(&planes, &[(1, &mask)]).is_err());
}

/// A test of each, of the backend that an expression gives.
macro_rules! minor_cycle_tests {
    ($backend:expr; $($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            $crate::backend::minor_tests::$name(&$backend);
        }
    )*};
    ($backend:expr) => {
        $crate::backend::minor_tests::minor_cycle_tests! {
            $backend;
            components_equal_the_textbook_loop,
            first_pixel_wins_a_tie,
            nothing_is_done_where_there_is_nothing_to_do,
            nan_and_infinity_are_survived,
            a_diverging_loop_ends,
            many_components_come_in_order,
            peak_finds_the_first_of_the_largest_in_the_mask,
            planes_that_do_not_fit_are_refused,
        }
    };
}
pub(super) use minor_cycle_tests;
