//! Exact robust statistics of a plane by selection: median, median absolute deviation, and
//! Chauvenet's clipping.

use super::histogram;
use crate::mask::{Mask, Run};

/// σ of a normal distribution over its median absolute deviation.
pub const SIGMA_PER_MAD: f64 = 1.4826;

/// Clippings that tclean's `fastnoise=False` performs at most (measured against CASA 6.7).
const MAX_CLIPPINGS: usize = 6;

/// Values drawn to see where most of a plane's values lie.
const SAMPLE: usize = 4096;

/// Centre and width of a plane's noise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noise {
    /// Median, Jy/beam.
    pub median: f64,
    /// 1.4826 × median absolute deviation, Jy/beam.
    pub sigma: f64,
}

impl Noise {
    /// Of the finite pixels of a plane (`ny·nx` values) within `mask`; zero if there are none.
    pub fn of(plane: &[f32], mask: &Mask) -> Self {
        let parts = finite_parts(plane, mask);
        robust_within(&parts, f64::NEG_INFINITY, f64::INFINITY).unwrap_or_default()
    }
}

/// The finite values of the pixels in `region`, in storage order.
pub fn gather(plane: &[f32], region: &Mask) -> Vec<f32> {
    finite_parts(plane, region).concat()
}

/// The same values where they are: the stretches of the plane that hold nothing else.
fn finite_parts<'a>(plane: &'a [f32], region: &Mask) -> Vec<&'a [f32]> {
    let of_run = |run: Run| &plane[run.y * region.nx() + run.x..][..run.len];
    let mut parts = Vec::new();
    for values in region.runs().map(of_run) {
        // Without a branch per value, so that it becomes vector instructions.
        match values.iter().fold(true, |all, v| all & v.is_finite()) {
            true => parts.push(values),
            false => parts.extend(values.split(|v| !v.is_finite()).filter(|part| !part.is_empty())),
        }
    }
    parts
}

/// Median and 1.4826·MAD of finite values; `None` without any.
pub fn robust(values: &[f32]) -> Option<Noise> {
    robust_within(&[values], f64::NEG_INFINITY, f64::INFINITY)
}

/// The same of those of the values that lie in [low, high]; they may be in several parts.
fn robust_within(parts: &[&[f32]], low: f64, high: f64) -> Option<Noise> {
    if parts.iter().map(|part| part.len()).sum::<usize>() > 8 * SAMPLE {
        let sample = sorted_sample(parts);
        if let Some(noise) = histogram::robust_within(parts, &sample, (low, high)) {
            return Some(noise);
        }
    }
    let inside = |v: &f32| (low..=high).contains(&f64::from(*v));
    let kept: Vec<f32> = parts.iter().copied().flatten().copied().filter(inside).collect();
    by_selection(&kept)
}

/// What a histogram cannot tell.
fn by_selection(values: &[f32]) -> Option<Noise> {
    let median = median_by(values, f64::from)?;
    let mad = median_by(values, |v| (f64::from(v) - median).abs())?;
    Some(Noise { median, sigma: SIGMA_PER_MAD * mad })
}

/// Median and 1.4826·MAD of what Chauvenet's criterion leaves: values further from the mean than
/// z(n) standard deviations are dropped, with mean, deviation and n of what is left so far, until
/// none is or six times, as tclean does for the first mask with `fastnoise=False`.
pub fn clipped(values: &[f32]) -> Option<Noise> {
    let split = CoreAndTails::of(values);
    // What is left is always an interval of values, so no copy is made until the end.
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    let mut left = split.moments(values, low, high);
    for _ in 0..MAX_CLIPPINGS {
        let reach = chauvenet_limit(left.n) * left.deviation();
        let mean = left.mean();
        (low, high) = (low.max(mean - reach), high.min(mean + reach));
        let before = left.n;
        left = split.moments(values, low, high);
        if left.n == before || left.n < 2 {
            break;
        }
    }
    robust_within(&[values], low, high)
}

/// The values split into a core, which no reasonable clipping touches, and the rest, so that a
/// clipping looks at an eighth of them.
struct CoreAndTails {
    low: f64,
    high: f64,
    core: Moments,
    tails: Vec<f32>,
}

impl CoreAndTails {
    fn of(values: &[f32]) -> Self {
        let sample = sorted_sample(&[values]);
        let (low, high) = match sample.len() {
            0 => (f64::INFINITY, f64::NEG_INFINITY), // no core
            n => (sample[n / 16], sample[n - 1 - n / 16]),
        };
        // Deviations from any value near the mean keep the sums of squares free of cancellation.
        let origin = sample.get(sample.len() / 2).copied().unwrap_or(0.0);
        let core = Moments::of(values, origin, low, high);
        let in_core = |v: f32| f64::from(v) >= low && f64::from(v) <= high;
        let mut tails = Vec::with_capacity(values.len() / 6);
        compact(values, |v| !in_core(v), &mut tails);
        Self { low, high, core, tails }
    }

    /// Moments of the values in [low, high].
    fn moments(&self, values: &[f32], low: f64, high: f64) -> Moments {
        if low <= self.low && high >= self.high {
            let tails = Moments::of(&self.tails, self.core.origin, low, high);
            self.core.and(&tails)
        } else {
            Moments::of(values, self.core.origin, low, high)
        }
    }
}

/// Number, sum and sum of squares of values less an origin.
struct Moments {
    origin: f64,
    n: usize,
    sum: f64,
    squares: f64,
}

impl Moments {
    /// Of the values in [low, high].
    fn of(values: &[f32], origin: f64, low: f64, high: f64) -> Self {
        // Eight independent sums: their order is fixed, and the compiler can keep them in vectors.
        const LANES: usize = 8;
        let (mut n, mut sum, mut squares) = ([0f64; LANES], [0f64; LANES], [0f64; LANES]);
        let mut add = |lane: usize, v: f32| {
            let v = f64::from(v);
            let inside = if v >= low && v <= high { 1.0 } else { 0.0 };
            let d = (v - origin) * inside;
            n[lane] += inside;
            sum[lane] += d;
            squares[lane] += d * d;
        };
        let mut chunks = values.chunks_exact(LANES);
        for chunk in &mut chunks {
            (0..LANES).for_each(|lane| add(lane, chunk[lane]));
        }
        chunks.remainder().iter().enumerate().for_each(|(lane, &v)| add(lane, v));
        Self {
            origin,
            n: n.iter().sum::<f64>() as usize,
            sum: sum.iter().sum(),
            squares: squares.iter().sum(),
        }
    }

    /// Of the values of both; their origins are the same.
    fn and(&self, other: &Self) -> Self {
        Self {
            origin: self.origin,
            n: self.n + other.n,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }

    fn mean(&self) -> f64 {
        self.origin + self.sum / self.n.max(1) as f64
    }

    /// Sample standard deviation.
    fn deviation(&self) -> f64 {
        let about_mean = self.squares - self.sum * self.sum / self.n.max(1) as f64;
        (about_mean / self.n.saturating_sub(1).max(1) as f64).max(0.0).sqrt()
    }
}

/// Chauvenet's limit in standard deviations for n values: the z beyond which half a value of a
/// normal sample is expected, erfc(z/√2) = 1/(2n).
fn chauvenet_limit(n: usize) -> f64 {
    let target = 0.5 / n.max(1) as f64;
    let (mut low, mut high) = (0.0, 12.0);
    for _ in 0..60 {
        let z = 0.5 * (low + high);
        if erfc(z / std::f64::consts::SQRT_2) > target { low = z } else { high = z }
    }
    0.5 * (low + high)
}

/// Complementary error function for x ≥ 0: its power series below 2, its continued fraction from
/// there on (Abramowitz & Stegun 7.1.6, 7.1.14); relative error below 1e-12.
fn erfc(x: f64) -> f64 {
    let gauss = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 2.0 {
        let (mut term, mut sum, mut k) = (x, x, 0.0);
        while term > 1e-17 * sum {
            k += 1.0;
            term *= 2.0 * x * x / (2.0 * k + 1.0);
            sum += term;
        }
        1.0 - 2.0 * gauss * sum
    } else {
        let fraction = (1..=120).rev().fold(x, |below, k| x + 0.5 * f64::from(k) / below);
        gauss / fraction
    }
}

/// Exact median of `key(v)`: the mean of the two middle values where their number is even.
fn median_by(values: &[f32], key: impl Fn(f32) -> f64) -> Option<f64> {
    let keys: Vec<f64> = values.iter().map(|&v| key(v)).collect();
    let (first, last) = (keys.len().checked_sub(1)? / 2, keys.len() / 2);
    Some(middle(keys, first, last))
}

/// SAMPLE of the values (all, if there are fewer), sorted.
fn sorted_sample(parts: &[&[f32]]) -> Vec<f64> {
    // One value from each of equal stretches, at a place that hops about, so that no image size
    // puts all of them in the same few columns.
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let n = total.min(SAMPLE);
    let stretch = total / n.max(1);
    let hop = |i: usize| ((i.wrapping_mul(0x9E37_79B1) % (1 << 32)) * stretch) >> 32;
    let (mut part, mut before) = (0, 0);
    let value = |i: usize| {
        let at = i * total / n + hop(i);
        while at >= before + parts[part].len() {
            before += parts[part].len();
            part += 1;
        }
        f64::from(parts[part][at - before])
    };
    let mut sample: Vec<f64> = (0..n).map(value).collect();
    sample.sort_unstable_by(f64::total_cmp);
    sample
}

/// Appends the values for which `keep` holds, without branching on it: which way a value of noise
/// falls cannot be predicted.
fn compact(values: &[f32], keep: impl Fn(f32) -> bool, kept: &mut Vec<f32>) {
    const BLOCK: usize = 512;
    let mut block = [0.0; BLOCK];
    for chunk in values.chunks(BLOCK) {
        let mut n = 0;
        for &v in chunk {
            block[n] = v;
            n += usize::from(keep(v));
        }
        kept.extend_from_slice(&block[..n]);
    }
}

/// Mean of the values of ranks `first` and `last`, which is `first` or the next.
pub(super) fn middle(mut values: Vec<f64>, first: usize, last: usize) -> f64 {
    let (left, &mut at, _) = values.select_nth_unstable_by(last, f64::total_cmp);
    if first == last {
        return at;
    }
    let before = left.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    0.5 * (before + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic noise with a few strong sources, `n` values.
    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed | 1;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as f64 / (1u64 << 31) as f64
        };
        (0..n)
            .map(|i| {
                let gauss = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
                (0.01 * gauss + if i % 97 == 0 { 0.3 } else { 0.0 }) as f32
            })
            .collect()
    }

    /// Textbook: sort everything.
    fn sorted_median(mut v: Vec<f64>) -> f64 {
        v.sort_by(f64::total_cmp);
        0.5 * (v[(v.len() - 1) / 2] + v[v.len() / 2])
    }

    fn textbook(values: &[f32]) -> Noise {
        let median = sorted_median(values.iter().map(|&v| f64::from(v)).collect());
        let mad = sorted_median(values.iter().map(|&v| (f64::from(v) - median).abs()).collect());
        Noise { median, sigma: SIGMA_PER_MAD * mad }
    }

    #[test]
    fn pixels_outside_the_mask_and_those_that_are_not_finite_do_not_count() {
        let mask = Mask::from_fn(7, 1, |x, _| x > 0);
        let plane = [9e9, 1.0, 5.0, f32::NAN, 2.0, 3.0, 100.0];
        // 1 2 3 5 100: median 3, deviations 0 1 2 2 97.
        let noise = Noise::of(&plane, &mask);
        assert_eq!(noise.median, 3.0);
        assert!((noise.sigma - 2.0 * 1.4826).abs() < 1e-12);
        assert_eq!(Noise::of(&plane, &Mask::new(7, 1, false)), Noise::default());
    }

    #[test]
    fn equals_sorting_for_any_size_and_order() {
        for n in [1, 2, 3, 10, 1001, 32_768, 32_769, 100_000, 262_144, 262_145] {
            let mut values = noise(n, n as u64);
            assert_eq!(robust(&values), Some(textbook(&values)), "{n} values");
            assert_eq!(by_selection(&values), Some(textbook(&values)), "{n} values");
            values.sort_unstable_by(f32::total_cmp);
            assert_eq!(robust(&values), Some(textbook(&values)), "{n} sorted values");
        }
        assert_eq!(robust(&[]), None);
    }

    /// The two ways agree, whatever the distribution; and the histogram tells in the cases that matter.
    #[test]
    fn a_histogram_tells_for_noise_and_leaves_the_rest_to_selection() {
        let gauss = noise(100_000, 5);
        let skewed: Vec<f32> = gauss.iter().map(|v| (40.0 * v).exp()).collect();
        let coarse: Vec<f32> = gauss.iter().map(|v| (300.0 * v).round() / 300.0).collect();
        let far: Vec<f32> = gauss.iter().map(|v| v + 1000.0).collect();
        let two: Vec<f32> = gauss.iter().enumerate().map(|(i, v)| v + (i % 2) as f32).collect();
        for (name, values, tells) in [
            ("noise", &gauss, true),
            ("skewed", &skewed, true),
            ("coarse", &coarse, false),
            ("far from zero", &far, false),
            ("of two levels", &two, false),
        ] {
            let expected = textbook(values);
            assert_eq!(robust(values), Some(expected), "{name}");
            let sample = sorted_sample(&[values]);
            let everything = (f64::NEG_INFINITY, f64::INFINITY);
            let told = histogram::robust_within(&[values], &sample, everything);
            assert!(told.is_none_or(|told| told == expected), "{name}: {told:?} {expected:?}");
            assert!(!tells || told.is_some(), "{name}");
            let (low, high) = (expected.median - 0.02, expected.median + 0.05);
            let inside = |v: &f32| (low..=high).contains(&f64::from(*v));
            let kept: Vec<f32> = values.iter().copied().filter(inside).collect();
            let expected = (!kept.is_empty()).then(|| textbook(&kept));
            assert_eq!(robust_within(&[values], low, high), expected, "{name}");
        }
    }

    #[test]
    fn ties_and_a_sample_that_misleads_do_not_matter() {
        // Mostly one value: the bins may have no width.
        let flat: Vec<f32> = (0..100_001).map(|i| if i % 3 == 0 { 1.0 } else { 0.5 }).collect();
        assert_eq!(robust(&flat), Some(textbook(&flat)));
        // Every value that the sample looks at is an outlier, so its bins miss the median.
        let mut values = noise(200_000, 3);
        let stretch = values.len() / SAMPLE;
        for i in 0..SAMPLE {
            let start = i * values.len() / SAMPLE;
            values[start..start + stretch / 2 - 2].fill(100.0);
        }
        for i in 0..SAMPLE {
            let hop = ((i.wrapping_mul(0x9E37_79B1) % (1 << 32)) * stretch) >> 32;
            values[i * 200_000 / SAMPLE + hop] = 100.0;
        }
        assert_eq!(robust(&values), Some(textbook(&values)));
    }

    #[test]
    fn gathers_finite_values_of_the_region() {
        let (nx, ny) = (130, 7);
        let mut plane: Vec<f32> = (0..nx * ny).map(|i| i as f32).collect();
        plane[5] = f32::NAN;
        plane[300] = f32::INFINITY;
        let region = Mask::from_fn(nx, ny, |x, y| y % 2 == 0 || x > 100);
        let naive: Vec<f32> = (0..nx * ny)
            .filter(|&i| region.get(i % nx, i / nx) && plane[i].is_finite())
            .map(|i| plane[i])
            .collect();
        assert_eq!(gather(&plane, &region), naive);
    }

    #[test]
    fn chauvenet_limits_are_those_of_the_normal_distribution() {
        // √2·erfcinv(1/(2n)) from scipy 1.17; CASA's `chauvenet` statistics drop at the same
        // values to within 2e-3 (the resolution of the ladder of values they were tried with).
        for (n, z) in [
            (10, 1.9599639845400536),
            (300, 3.1439802870690796),
            (15_373, 4.15502951099914),
            (1_000_000, 5.026312836056686),
        ] {
            assert!((chauvenet_limit(n) - z).abs() < 1e-9, "{n}: {} {z}", chauvenet_limit(n));
        }
    }

    #[test]
    fn clipping_equals_the_textbook_loop() {
        let values = noise(50_000, 9);
        let mut kept: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
        for _ in 0..6 {
            let n = kept.len() as f64;
            let mean = kept.iter().sum::<f64>() / n;
            let var = kept.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let reach = chauvenet_limit(kept.len()) * var.sqrt();
            kept.retain(|v| (v - mean).abs() <= reach);
        }
        let kept: Vec<f32> = kept.into_iter().map(|v| v as f32).collect();
        assert!(kept.len() < values.len() - 400, "the sources are clipped");
        assert_eq!(clipped(&values), Some(textbook(&kept)));
    }
}
