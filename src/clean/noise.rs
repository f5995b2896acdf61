//! Robust statistics of a residual.

use crate::mask::Mask;

/// Ratio of a Gaussian's standard deviation to its median absolute deviation.
const SIGMA_PER_MAD: f64 = 1.4826;

/// Median and noise of a plane.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noise {
    /// Median.
    pub median: f64,
    /// 1.4826 × median absolute deviation from the median.
    pub sigma: f64,
}

impl Noise {
    /// Of the finite pixels of a plane (`ny·nx` values) within `mask`; zero if there are none.
    pub fn of(plane: &[f32], mask: &Mask) -> Self {
        let mut values: Vec<f32> = mask
            .runs()
            .flat_map(|run| &plane[run.y * mask.nx() + run.x..][..run.len])
            .copied()
            .filter(|v| v.is_finite())
            .collect();
        let median = median(&mut values);
        for value in &mut values {
            *value = (f64::from(*value) - median).abs() as f32;
        }
        Self { median, sigma: SIGMA_PER_MAD * self::median(&mut values) }
    }
}

/// The median, of an even number the mean of the middle two; 0 of none. Reorders the values.
fn median(values: &mut [f32]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let (half, even) = (values.len() / 2, values.len().is_multiple_of(2));
    let (below, &mut middle, _) = values.select_nth_unstable_by(half, f32::total_cmp);
    let lower = below.iter().copied().max_by(f32::total_cmp).filter(|_| even).unwrap_or(middle);
    0.5 * (f64::from(lower) + f64::from(middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_deviation() {
        let mask = Mask::from_fn(7, 1, |x, _| x > 0);
        let plane = [9e9, 1.0, 5.0, f32::NAN, 2.0, 3.0, 100.0];
        // 1 2 3 5 100: median 3, deviations 0 1 2 2 97.
        let noise = Noise::of(&plane, &mask);
        assert_eq!(noise.median, 3.0);
        assert!((noise.sigma - 2.0 * 1.4826).abs() < 1e-12);
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(Noise::of(&plane, &Mask::new(7, 1, false)), Noise::default());
    }
}
