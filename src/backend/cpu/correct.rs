//! Stages `correct` and `normalise`: the image's rows transformed, the kernel's transform divided out, the
//! w-term's screen.
//!
//! Rows as far above the image's middle as below it have the same factors, so they are worked on together.

use num_complex::Complex;
use rayon::prelude::*;

use super::{
    grids::GridStack,
    real::Real,
    rows::RowPair,
    simd::{Vectorised, vectorised},
};
use crate::gridding::{OperatorPlan, Term};

/// Pairs of rows that one task works on: the rows after one share its cache lines of columns.
const PAIRS: usize = 16;

/// Rows of every channel, and the rows opposite to them.
struct Piece<'a, X> {
    /// The row nearest to the image's middle of those at or below it.
    nearest: usize,
    rows: usize,
    /// Of each channel, ascending: rows `..=nearest`, and the rows opposite to them; none where these are
    /// the same, or beyond the image.
    channels: Vec<[&'a mut [X]; 2]>,
}

impl<'a, X> Piece<'a, X> {
    /// The pieces of images of `ny` rows of `len` values.
    fn split(slices: impl Iterator<Item = &'a mut [X]>, ny: usize, len: usize) -> Vec<Self> {
        let middle = ny / 2;
        let pairs = ny - 1 - middle;
        let mut out: Vec<Self> = Vec::new();
        for slice in slices {
            let (edge, rest) = slice.split_at_mut((middle - pairs) * len);
            let (low, rest) = rest.split_at_mut(pairs * len);
            let (centre, high) = rest.split_at_mut(len);
            let alone = [(0, edge), (middle, centre)].into_iter();
            let alone = alone.filter(|(_, rows)| !rows.is_empty());
            let together = low.rchunks_mut(PAIRS * len).zip(high.chunks_mut(PAIRS * len));
            let together =
                together.enumerate().map(|(i, (low, high))| (middle - 1 - i * PAIRS, [low, high]));
            let pieces = alone.map(|(y, rows)| (y, [rows, &mut []])).chain(together);
            for (i, (nearest, rows)) in pieces.enumerate() {
                if out.len() == i {
                    out.push(Self { nearest, rows: rows[0].len() / len, channels: Vec::new() });
                }
                out[i].channels.push(rows);
            }
        }
        out
    }

    /// The `i`th row from the middle on and the opposite one, which may be itself.
    fn pair(&self, i: usize, ny: usize) -> [usize; 2] {
        let y = self.nearest - i;
        [y, if self.channels[0][1].is_empty() { y } else { 2 * (ny / 2) - y }]
    }
}

/// The values of a piece's `i`th rows, in the order of [`Piece::pair`]; the second may be missing.
fn rows_at<'b, X>(
    [low, high]: &'b mut [&mut [X]; 2],
    i: usize,
    len: usize,
) -> (&'b mut [X], Option<&'b mut [X]>) {
    let at = low.len() - (i + 1) * len;
    (&mut low[at..][..len], high.chunks_exact_mut(len).nth(i))
}

/// `planes[i] += factors · images[i]`, the images' rows transformed from the columns in the grids.
pub(super) fn adjoint<T: Real>(
    plan: &OperatorPlan,
    pass: usize,
    stack: &GridStack<T>,
    planes: Vec<&mut [f32]>,
) {
    let (nx, ny, count) = (plan.image.nx, plan.image.ny, plan.grid.columns);
    let pieces = Piece::split(planes.into_iter(), ny, nx).into_par_iter();
    let room = || (RowPair::new(&*stack.rows_to_image), Factors::new(plan));
    pieces.for_each_init(room, |(pair, factors), mut piece| {
        for i in 0..piece.rows {
            let y = piece.pair(i, ny);
            vectorised(factors.at(plan, pass, y[0]));
            let (west, east) = factors.of_row.split_at(nx / 2);
            for (channel, grid) in piece.channels.iter_mut().zip(&stack.channels) {
                let image = pair.image((&grid.rows, ny, count), y);
                // Pixel offsets −nx/2.. lie at the end of the padded row.
                let (image_west, image_east) = (&image[image.len() - nx / 2..], image);
                let (row, opposite) = rows_at(channel, i, nx);
                let (out_west, out_east) = row.split_at_mut(nx / 2);
                vectorised(AddPart::<_, false>(out_west, image_west, west));
                vectorised(AddPart::<_, false>(out_east, image_east, east));
                if let Some(row) = opposite {
                    let (out_west, out_east) = row.split_at_mut(nx / 2);
                    vectorised(AddPart::<_, true>(out_west, image_west, west));
                    vectorised(AddPart::<_, true>(out_east, image_east, east));
                }
            }
        }
    });
}

/// `out += part · factors`, with the real or the imaginary part of the values.
struct AddPart<'a, T, const IMAGINARY: bool>(&'a mut [f32], &'a [Complex<T>], &'a [T]);

impl<T: Real, const IMAGINARY: bool> Vectorised for AddPart<'_, T, IMAGINARY> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self(out, values, factors) = self;
        for ((out, value), &factor) in out.iter_mut().zip(values).zip(factors) {
            let part = if IMAGINARY { value.im } else { value.re };
            *out += (part * factor).f32();
        }
    }
}

/// The factors of one image row, in the precision that they are used in.
struct Factors<T> {
    /// West of the image's middle, and there.
    screen: Vec<f64>,
    of_row: Vec<T>,
}

impl<T: Real> Factors<T> {
    fn new(plan: &OperatorPlan) -> Self {
        let nx = plan.image.nx;
        Self { screen: vec![1.0; nx / 2 + 1], of_row: vec![T::zero(); nx] }
    }

    /// The work of computing those of row `y` in `pass`.
    fn at<'a>(&'a mut self, plan: &'a OperatorPlan, pass: usize, y: usize) -> RowFactors<'a, T> {
        RowFactors { plan, pass, y, factors: self }
    }
}

/// Factors of image row `y` in `pass`, to be computed.
struct RowFactors<'a, T> {
    plan: &'a OperatorPlan,
    pass: usize,
    y: usize,
    factors: &'a mut Factors<T>,
}

impl<T: Real> Vectorised for RowFactors<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { plan, pass, y, factors: Factors { screen, of_row } } = self;
        if plan.passes[pass].term != Term::Flat {
            plan.screen_west(pass, y, screen);
        }
        let along_y = plan.correction_y[y];
        let along_x = &plan.correction_x[..screen.len()];
        for ((out, screen), cx) in of_row.iter_mut().zip(&*screen).zip(along_x) {
            *out = T::of(screen * cx * along_y);
        }
        // Both sides are as far from the middle.
        let middle = screen.len() - 1;
        let (west, east) = of_row.split_at_mut(screen.len().min(plan.image.nx));
        for (out, &mirrored) in east.iter_mut().zip(west[..middle].iter().rev()) {
            *out = mirrored;
        }
    }
}

/// Spectra of the rows of `factors · planes[i]`.
pub(super) fn forward<T: Real>(
    plan: &OperatorPlan,
    pass: usize,
    planes: &[&[f32]],
    stack: &mut GridStack<T>,
) {
    let (nx, ny, columns) = (plan.image.nx, plan.image.ny, plan.grid.columns);
    let GridStack { channels, rows_to_uv, .. } = stack;
    let spectra = channels.iter_mut().take(planes.len()).map(|grid| &mut grid.rows[..ny * columns]);
    let pieces = Piece::split(spectra, ny, columns).into_par_iter();
    let room = || (RowPair::new(&**rows_to_uv), Factors::new(plan));
    pieces.for_each_init(room, |(pair, factors), mut piece| {
        for i in 0..piece.rows {
            let y = piece.pair(i, ny);
            vectorised(factors.at(plan, pass, y[0]));
            for (channel, plane) in piece.channels.iter_mut().zip(planes) {
                let rows = y.map(|y| &plane[y * nx..][..nx]);
                let (spectrum, opposite) = rows_at(channel, i, columns);
                let factors = &factors.of_row[..];
                let fill = |padded: &mut [Complex<T>]| vectorised(Fill { padded, rows, factors });
                pair.spectra(fill, spectrum, opposite);
            }
        }
    });
}

/// `padded = factors · rows`, pixel offsets −nx/2.. at its end.
struct Fill<'a, T> {
    padded: &'a mut [Complex<T>],
    rows: [&'a [f32]; 2],
    factors: &'a [T],
}

impl<T: Real> Vectorised for Fill<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { padded, rows: [a, b], factors } = self;
        let middle = factors.len() / 2;
        let east = factors.len() - middle;
        let west = padded.len() - middle;
        padded[east..west].fill(Complex::new(T::zero(), T::zero()));
        let mut product = |at: usize, x: std::ops::Range<usize>| {
            let values = a[x.clone()].iter().zip(&b[x.clone()]).zip(&factors[x.clone()]);
            for (out, ((&a, &b), &factor)) in padded[at..at + x.len()].iter_mut().zip(values) {
                let (a, b) = (T::of(f64::from(a)), T::of(f64::from(b)));
                *out = Complex::new(a * factor, b * factor);
            }
        };
        product(west, 0..middle);
        product(0, middle..factors.len());
    }
}

/// `planes[i] *= factors[i]`.
pub(super) fn normalise(planes: Vec<&mut [f32]>, factors: &[f32]) {
    planes.into_par_iter().zip(factors).for_each(|(plane, &factor)| {
        plane.par_chunks_mut(1 << 16).for_each(|part| part.iter_mut().for_each(|p| *p *= factor));
    });
}
