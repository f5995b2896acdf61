//! Clean masks: where the minor cycle may place components.

mod policy;
pub mod region;

pub use policy::{ChannelMask, FixedMask, MaskInput, MaskPolicy};

pub mod auto;

/// Consecutive pixels of one row of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The row.
    pub y: usize,
    /// The first pixel in.
    pub x: usize,
    /// Number of pixels, at least one.
    pub len: usize,
}

/// A set of pixels of one plane, bit-packed: each row of pixels starts at a new word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    nx: usize,
    ny: usize,
    words_per_row: usize,
    bits: Vec<u64>,
}

impl Mask {
    /// A mask of `nx × ny` pixels, all of them in or out.
    pub fn new(nx: usize, ny: usize, value: bool) -> Self {
        let words_per_row = nx.div_ceil(64);
        let mut mask = Self { nx, ny, words_per_row, bits: vec![0; words_per_row * ny] };
        if value {
            mask.invert();
        }
        mask
    }

    /// The pixels for which `inside(x, y)` holds.
    pub fn from_fn(nx: usize, ny: usize, mut inside: impl FnMut(usize, usize) -> bool) -> Self {
        let mut mask = Self::new(nx, ny, false);
        for y in 0..ny {
            for x in 0..nx {
                if inside(x, y) {
                    mask.set(x, y, true);
                }
            }
        }
        mask
    }

    /// Pixels in the mask are those whose value (`ny·nx` of them, x fastest) is `inside`.
    pub fn from_values<T: Copy>(
        nx: usize,
        ny: usize,
        values: &[T],
        inside: impl Fn(T) -> bool,
    ) -> Self {
        let mut mask = Self::new(nx, ny, false);
        if nx == 0 || ny == 0 {
            return mask;
        }
        for (y, row) in values.chunks_exact(nx).enumerate().take(ny) {
            mask.set_row(y, row, &inside);
        }
        mask
    }

    /// Puts the pixels of row `y` in whose value (`nx` of them) is `inside`, the others out.
    pub fn set_row<T: Copy>(&mut self, y: usize, values: &[T], inside: impl Fn(T) -> bool) {
        let words = &mut self.bits[y * self.words_per_row..][..self.words_per_row];
        for (word, chunk) in words.iter_mut().zip(values.chunks(64)) {
            let bit = |(i, &value)| u64::from(inside(value)) << i;
            *word = chunk.iter().enumerate().map(bit).fold(0, |all, bit| all | bit);
        }
    }

    /// Puts pixels `columns` of row `y` in.
    pub fn fill_row(&mut self, y: usize, columns: std::ops::Range<usize>) {
        let words = &mut self.bits[y * self.words_per_row..][..self.words_per_row];
        for (i, word) in words.iter_mut().enumerate() {
            let first = columns.start.saturating_sub(64 * i);
            let end = columns.end.saturating_sub(64 * i).min(64);
            if first < end {
                *word |= u64::MAX << first & u64::MAX >> (64 - end);
            }
        }
    }

    /// Pixels along x.
    pub fn nx(&self) -> usize {
        self.nx
    }

    /// Pixels along y.
    pub fn ny(&self) -> usize {
        self.ny
    }

    /// Whether pixel (x, y) is in.
    pub fn get(&self, x: usize, y: usize) -> bool {
        self.bits[y * self.words_per_row + x / 64] >> (x % 64) & 1 == 1
    }

    /// Puts pixel (x, y) in or out.
    pub fn set(&mut self, x: usize, y: usize, value: bool) {
        let word = &mut self.bits[y * self.words_per_row + x / 64];
        let bit = 1u64 << (x % 64);
        if value {
            *word |= bit;
        } else {
            *word &= !bit;
        }
    }

    /// Row y, 64 pixels a word: pixel x is bit `x % 64` of word `x / 64`. Bits from nx on are zero.
    pub(crate) fn row(&self, y: usize) -> &[u64] {
        &self.bits[y * self.words_per_row..(y + 1) * self.words_per_row]
    }

    /// Row y for writing; bits from nx on must stay zero.
    pub(crate) fn row_mut(&mut self, y: usize) -> &mut [u64] {
        &mut self.bits[y * self.words_per_row..(y + 1) * self.words_per_row]
    }

    /// Number of pixels in the mask.
    pub fn count(&self) -> usize {
        self.bits.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Keeps only pixels that are in `other` too. Both must have the same shape.
    pub fn and(&mut self, other: &Mask) {
        assert_eq!((self.nx, self.ny), (other.nx, other.ny), "masks of different shape");
        for (a, b) in self.bits.iter_mut().zip(&other.bits) {
            *a &= b;
        }
    }

    /// Adds the pixels of `other`. Both must have the same shape.
    pub fn or(&mut self, other: &Mask) {
        assert_eq!((self.nx, self.ny), (other.nx, other.ny), "masks of different shape");
        for (a, b) in self.bits.iter_mut().zip(&other.bits) {
            *a |= b;
        }
    }

    /// Exchanges in and out.
    pub fn invert(&mut self) {
        // The unused bits that fill up a row's last word stay 0, so that `count` is right.
        let used = match self.nx % 64 {
            0 => u64::MAX,
            n => (1 << n) - 1,
        };
        for (i, word) in self.bits.iter_mut().enumerate() {
            let last = (i + 1) % self.words_per_row == 0;
            *word = !*word & if last { used } else { u64::MAX };
        }
    }

    /// Takes out the pixels of `other`. Both must have the same shape.
    pub fn subtract(&mut self, other: &Mask) {
        assert_eq!((self.nx, self.ny), (other.nx, other.ny), "masks of different shape");
        for (a, b) in self.bits.iter_mut().zip(&other.bits) {
            *a &= !b;
        }
    }

    /// Whether no pixel is in.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|&w| w == 0)
    }

    /// The maximal row segments of pixels in the mask, in plane order.
    pub fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        (0..self.ny).flat_map(|y| self.runs_of(y))
    }

    /// Those of row `y`.
    pub fn runs_of(&self, y: usize) -> impl Iterator<Item = Run> + '_ {
        let row = &self.bits[y * self.words_per_row..(y + 1) * self.words_per_row];
        let mut from = 0;
        std::iter::from_fn(move || {
            let x = next_bit(row, from, true).filter(|&x| x < self.nx)?;
            let end = next_bit(row, x, false).map_or(self.nx, |e| e.min(self.nx));
            from = end;
            Some(Run { y, x, len: end - x })
        })
    }

    /// Plane indices `y·nx + x` of the pixels in the mask, ascending.
    pub fn pixels(&self) -> impl Iterator<Item = usize> + '_ {
        self.bits.iter().enumerate().flat_map(move |(i, &word)| {
            let (y, x0) = (i / self.words_per_row, (i % self.words_per_row) * 64);
            let mut rest = word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                Some(y * self.nx + x0 + bit)
            })
        })
    }
}

/// The first bit of a row, at or after `from`, that is `value`.
fn next_bit(row: &[u64], from: usize, value: bool) -> Option<usize> {
    let flip = if value { 0 } else { u64::MAX };
    let mut below = u64::MAX << (from % 64);
    for (i, word) in row.iter().enumerate().skip(from / 64) {
        let candidates = (word ^ flip) & below;
        if candidates != 0 {
            return Some(i * 64 + candidates.trailing_zeros() as usize);
        }
        below = u64::MAX;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_exactly_the_pixels() {
        for (nx, ny) in [(1, 1), (63, 3), (64, 4), (65, 3), (130, 5), (200, 1)] {
            for modulus in [1, 2, 3, 7, 64, 65, 1000] {
                let mask =
                    Mask::from_fn(nx, ny, |x, y| (x * x + y * 31) % modulus < modulus / 2 + 1);
                let from_runs: Vec<_> =
                    mask.runs().flat_map(|r| (0..r.len).map(move |i| r.y * nx + r.x + i)).collect();
                assert_eq!(from_runs, mask.pixels().collect::<Vec<_>>());
                assert_eq!(from_runs.len(), mask.count());
                let runs: Vec<_> = mask.runs().collect();
                assert!(runs.windows(2).all(|w| w[0].y < w[1].y || w[0].x + w[0].len < w[1].x));
            }
        }
        assert_eq!(Mask::new(70, 2, false).runs().count(), 0);
    }

    #[test]
    fn a_mask_of_values_is_that_of_their_pixels() {
        for (nx, ny) in [(1, 1), (63, 3), (64, 4), (65, 3), (200, 2)] {
            let values: Vec<usize> = (0..nx * ny).map(|i| i * i % 11).collect();
            let expected = Mask::from_fn(nx, ny, |x, y| values[y * nx + x] > 4);
            assert_eq!(Mask::from_values(nx, ny, &values, |v| v > 4), expected);
        }
    }

    #[test]
    fn a_filled_row_holds_its_columns() {
        for nx in [1, 63, 64, 65, 200] {
            for (start, end) in [(0, nx), (0, nx / 2), (nx / 3, nx), (nx / 2, nx / 2)] {
                let mut mask = Mask::new(nx, 3, false);
                mask.fill_row(1, start..end);
                let expected = Mask::from_fn(nx, 3, |x, y| y == 1 && (start..end).contains(&x));
                assert_eq!(mask, expected, "{nx}: {start}..{end}");
            }
        }
    }

    #[test]
    fn set_algebra() {
        let all = Mask::new(70, 3, true);
        assert_eq!(all.count(), 210);
        let mut none = all.clone();
        none.invert();
        assert!(none.is_empty());
        let left = Mask::from_fn(70, 3, |x, _| x < 30);
        let mut right = all.clone();
        right.subtract(&left);
        assert_eq!(right.count(), 120);
        let mut inverted = left.clone();
        inverted.invert();
        assert_eq!(inverted, right);
        right.or(&left);
        assert_eq!(right, all);
    }
}
