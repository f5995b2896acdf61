//! Exact median and MAD of many values in two passes over them.
//!
//! The first pass counts the values of narrow bins. The counts tell which bin holds the median, and which
//! few bins at either side hold the values whose deviation from it may be the median deviation. The
//! second pass takes out the values of these bins, about a hundredth, and selection among them is exact.
//! What the bins cannot prove (most values equal, a sample that misleads) is left to the caller.

use super::statistics::{Noise, SIGMA_PER_MAD, middle};

/// Bins between the octiles of the sample, and one for what lies beyond at either side.
const BINS: usize = 1024;

/// Bins that are looked at on either side of where the median deviation must be.
const SLACK: usize = 2;

/// Rounding of a value's place among the bins, in bins; twice its bound for f32.
const ROUNDING: f64 = 4e-4;

/// Median and 1.4826·MAD of the values, in several parts, in [low, high]; `None` where the bins do not tell.
/// `sample`: some of the values, sorted.
pub(super) fn robust_within(
    parts: &[&[f32]],
    sample: &[f64],
    (low, high): (f64, f64),
) -> Option<Noise> {
    let bins =
        Bins::new(*sample.get(sample.len() / 8)?, sample[sample.len() - 1 - sample.len() / 8])?;
    // Whatever is in a bin has to count.
    if low > bins.lower(1) || high < bins.upper(BINS) {
        return None;
    }
    let counts = Counts::new(parts, &bins, (low, high));
    let (first, last) = (counts.total.checked_sub(1)? / 2, counts.total / 2);
    let middle_bins = (counts.bin_of(first), counts.bin_of(last));
    let around = counts.around(middle_bins, last)?;

    let (mut centre, mut rest) = (Vec::new(), Vec::new());
    for values in parts {
        bins.gather(values, middle_bins, &around, &mut centre, &mut rest);
    }
    let below = counts.sum(0, middle_bins.0);
    let median = middle(centre, first - below, last - below);

    let [(left, left_end), (right, right_end)] = around;
    let inner = counts.sum(left_end + 1, right);
    if first < inner || last >= inner + rest.len() {
        return None;
    }
    let deviations = rest.iter().map(|v| (v - median).abs()).collect();
    let mad = middle(deviations, first - inner, last - inner);
    // What was not looked at lies nearer, or farther.
    let nearer = (median - bins.lower(left_end + 1)).max(bins.upper(right - 1) - median);
    let farther = (median - bins.upper(left - 1)).min(bins.lower(right_end + 1) - median);
    (nearer <= mad && mad <= farther).then_some(Noise { median, sigma: SIGMA_PER_MAD * mad })
}

/// Where a value lies: bin 0 is below, bin `BINS` + 1 above.
struct Bins {
    start: f32,
    per_unit: f32,
}

impl Bins {
    fn new(start: f64, end: f64) -> Option<Self> {
        let (start, per_unit) = (start as f32, (BINS as f64 / (end - start)) as f32);
        (per_unit > 0.0 && per_unit.is_finite()).then_some(Self { start, per_unit })
    }

    /// A value's place: its whole part is the bin. Every step of it is monotonic, rounding included.
    fn place(&self, value: f32) -> f32 {
        ((value - self.start) * self.per_unit + 1.0).clamp(0.0, (BINS + 1) as f32)
    }

    /// No value of a bin is less.
    fn lower(&self, bin: usize) -> f64 {
        f64::from(self.start) + (bin as f64 - 1.0 - ROUNDING) / f64::from(self.per_unit)
    }

    /// No value of a bin is more.
    fn upper(&self, bin: usize) -> f64 {
        f64::from(self.start) + (bin as f64 + ROUNDING) / f64::from(self.per_unit)
    }

    /// Appends the values of the middle bins to `centre`, those of the two others to `rest`.
    fn gather(
        &self,
        values: &[f32],
        middle: (usize, usize),
        around: &[(usize, usize); 2],
        centre: &mut Vec<f64>,
        rest: &mut Vec<f64>,
    ) {
        const BLOCK: usize = 16;
        let bounds = |(first, last): (usize, usize)| (first as f32, (last + 1) as f32);
        let (middle, left, right) = (bounds(middle), bounds(around[0]), bounds(around[1]));
        let within = |place: f32, (first, end): (f32, f32)| place >= first && place < end;
        for block in values.chunks(BLOCK) {
            // Most blocks have none: so one question for all, without a branch within.
            let any = block.iter().fold(false, |any, &v| {
                let place = self.place(v);
                any | within(place, middle) | within(place, left) | within(place, right)
            });
            if any {
                for &v in block {
                    let place = self.place(v);
                    if within(place, middle) {
                        centre.push(f64::from(v));
                    } else if within(place, left) || within(place, right) {
                        rest.push(f64::from(v));
                    }
                }
            }
        }
    }
}

/// How many of the values that count lie in each bin.
struct Counts {
    bins: Vec<usize>,
    total: usize,
}

impl Counts {
    fn new(parts: &[&[f32]], bins: &Bins, (low, high): (f64, f64)) -> Self {
        // Neighbouring values are often in one bin: more tables spare the wait for the same counter.
        const TABLES: usize = 4;
        let mut tables = [[0u32; BINS + 2]; TABLES];
        let (mut too_low, mut too_high) = (0, 0);
        for values in parts {
            let (blocks, rest) = values.as_chunks::<{ 4 * TABLES }>();
            for block in blocks {
                // Apart from the counting, so that it becomes vector instructions.
                let mut places = [0; 4 * TABLES];
                for (place, &v) in places.iter_mut().zip(block) {
                    *place = bins.place(v) as i32;
                }
                for (i, &place) in places.iter().enumerate() {
                    tables[i % TABLES][place as usize] += 1;
                }
            }
            for &v in rest {
                tables[0][bins.place(v) as usize] += 1;
            }
            if low > f64::NEG_INFINITY {
                too_low += values.iter().map(|&v| usize::from(f64::from(v) < low)).sum::<usize>();
            }
            if high < f64::INFINITY {
                too_high += values.iter().map(|&v| usize::from(f64::from(v) > high)).sum::<usize>();
            }
        }
        let count = |i: usize| tables.iter().map(|table| table[i] as usize).sum();
        let mut bins: Vec<usize> = (0..BINS + 2).map(count).collect();
        bins[0] -= too_low;
        bins[BINS + 1] -= too_high;
        let total = bins.iter().sum();
        Self { bins, total }
    }

    /// Of bins `first` up to, but without, `end`.
    fn sum(&self, first: usize, end: usize) -> usize {
        self.bins[first..end].iter().sum()
    }

    /// The bin of the value of a rank.
    fn bin_of(&self, rank: usize) -> usize {
        let mut below = 0;
        let holds = |count: &usize| {
            below += count;
            below > rank
        };
        self.bins.iter().position(holds).unwrap_or(BINS + 1)
    }

    /// First and last of the bins, left and right of the middle ones, that may hold the value whose
    /// deviation has rank `last`.
    fn around(&self, (first, end): (usize, usize), last: usize) -> Option<[(usize, usize); 2]> {
        // As far as bins of both sides are left, with some beyond.
        let most = first.checked_sub(SLACK + 2)?.min((BINS + 1).checked_sub(end + SLACK + 2)?);
        let reach = (0..=most).find(|k| self.sum(first - k, end + k + 1) > last)?;
        // The middle bins and those at the sides must be apart.
        let near = reach.checked_sub(SLACK + 1).filter(|&near| near > 0)?;
        let far = reach + SLACK;
        Some([(first - far, first - near), (end + near, end + far)])
    }
}
