//! Clean masks: where the minor cycle may place components.

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
            for y in 0..ny {
                for x in 0..nx {
                    mask.set(x, y, true);
                }
            }
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
