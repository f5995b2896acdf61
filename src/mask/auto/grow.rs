//! Binary dilation of a mask, constrained to another, on bit-packed rows.

use crate::mask::Mask;

/// Grows the pixels of `seed` that lie in `within` into `within`, by their four neighbours, at most
/// `iterations` times or until nothing changes. Returns the grown pixels, all of them in `within`,
/// and how many iterations changed something.
///
/// This is tclean's growth: pixels of the old mask outside `within` neither grow nor stay (they come
/// back when the masks are combined).
pub fn grow(seed: &Mask, within: &Mask, iterations: usize) -> (Mask, usize) {
    let mut mask = seed.clone();
    mask.and(within);
    let mut next = mask.clone();
    for done in 0..iterations {
        if !dilate(&mask, within, &mut next) {
            return (mask, done);
        }
        std::mem::swap(&mut mask, &mut next);
    }
    (mask, iterations)
}

/// One step: `next` = (mask and its four neighbours) within `within`. Whether anything changed.
fn dilate(mask: &Mask, within: &Mask, next: &mut Mask) -> bool {
    let ny = mask.ny();
    let mut changed = 0u64;
    for y in 0..ny {
        let row = mask.row(y);
        // Rows beyond the border repeat the row itself, which adds nothing.
        let above = mask.row(y.saturating_sub(1));
        let below = mask.row((y + 1).min(ny - 1));
        let allowed = within.row(y);
        let out = next.row_mut(y);
        let mut carry = 0; // the last bit of the word to the left
        for (i, &word) in row.iter().enumerate() {
            let right = row.get(i + 1).map_or(0, |&w| w << 63);
            let grown = word | word << 1 | carry | word >> 1 | right | above[i] | below[i];
            out[i] = grown & allowed[i];
            changed |= out[i] ^ word;
            carry = word >> 63;
        }
    }
    changed != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Textbook: look at every pixel's four neighbours.
    fn naive(seed: &Mask, within: &Mask, iterations: usize) -> Mask {
        let (nx, ny) = (seed.nx(), seed.ny());
        let mut mask = Mask::from_fn(nx, ny, |x, y| seed.get(x, y) && within.get(x, y));
        for _ in 0..iterations {
            mask = Mask::from_fn(nx, ny, |x, y| {
                within.get(x, y)
                    && (mask.get(x, y)
                        || x > 0 && mask.get(x - 1, y)
                        || y > 0 && mask.get(x, y - 1)
                        || x + 1 < nx && mask.get(x + 1, y)
                        || y + 1 < ny && mask.get(x, y + 1))
            });
        }
        mask
    }

    proptest! {
        #[test]
        fn equals_the_naive_loop(
            nx in 1usize..200, ny in 1usize..20, iterations in 0usize..12, random in any::<u64>(),
        ) {
            let mut state = random;
            let mut one_in = |n: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % n == 0
            };
            let seed = Mask::from_fn(nx, ny, |_, _| one_in(40));
            let within = Mask::from_fn(nx, ny, |_, _| !one_in(4));
            let (grown, done) = grow(&seed, &within, iterations);
            prop_assert_eq!(&grown, &naive(&seed, &within, iterations));
            prop_assert!(done <= iterations);
        }
    }

    #[test]
    fn stops_when_nothing_changes() {
        let seed = Mask::from_fn(300, 3, |x, y| (x, y) == (0, 1));
        let within = Mask::from_fn(300, 3, |x, y| y == 1 && x < 150);
        let (grown, done) = grow(&seed, &within, 1000);
        assert_eq!((grown, done), (within, 149));
    }
}
