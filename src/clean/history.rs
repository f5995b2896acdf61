//! How a channel's model came about, so that it can be made again as it was at its best.

use crate::backend::{Deconvolver, MinorResult};

/// A list longer than this fraction of a plane's pixels is added up to a plane.
const LONGEST: usize = 8;

/// Bytes of a component in a list, with its scale.
const COMPONENT: usize = size_of::<(u32, f32)>() + size_of::<u8>();

/// Components in the order they were found, as in [`MinorResult`].
#[derive(Default)]
struct Components {
    points: Vec<(u32, f32)>,
    scales: Vec<u8>,
}

impl Components {
    fn append(&mut self, other: &mut Self) {
        self.points.append(&mut other.points);
        self.scales.append(&mut other.scales);
    }
}

/// The model of a channel at its best, and what has been added since: lists of components, which make
/// the very bits that the minor cycle made. A list that grows long becomes a plane, so that what is
/// kept is bounded by [`History::bytes`].
pub(super) struct History {
    deconvolver: Deconvolver,
    /// Pixels of a row, and of the plane.
    nx: usize,
    npix: usize,
    /// The best model: this plane (`None`: zeros), and the components that were added to it.
    plane: Option<Vec<f32>>,
    best: Components,
    /// The model as it is: this plane (`None`: the best model), and the components since.
    grown: Option<Vec<f32>>,
    since: Components,
}

impl History {
    /// Of a channel that begins with a model plane; `None`: with zeros.
    pub fn new(
        deconvolver: &Deconvolver,
        (nx, ny): (usize, usize),
        start: Option<Vec<f32>>,
    ) -> Self {
        Self {
            deconvolver: deconvolver.clone(),
            nx,
            npix: nx * ny,
            plane: start,
            best: Components::default(),
            grown: None,
            since: Components::default(),
        }
    }

    /// Most bytes that the history of one channel takes: its lists, and the planes that long ones become.
    pub fn bytes(npix: usize, niter: usize) -> usize {
        // There are two lists, and vectors may be twice as large as what is in them.
        let list = |length: usize| length.saturating_mul(4 * COMPONENT);
        list(niter).min(2 * npix * size_of::<f32>() + list(npix / LONGEST))
    }

    /// Adds what a minor cycle found.
    pub fn add(&mut self, found: MinorResult) {
        let MinorResult { components: points, scales, .. } = found;
        self.since.append(&mut Components { points, scales });
        if self.is_long(&self.since) {
            let mut plane = match self.grown.take() {
                Some(plane) => plane,
                None => self.best_plane(),
            };
            let since = std::mem::take(&mut self.since);
            self.draw(&since, &mut plane);
            self.grown = Some(plane);
        }
    }

    /// Takes the model as it is for the best.
    pub fn is_best(&mut self) {
        if let Some(plane) = self.grown.take() {
            self.plane = Some(plane);
            self.best = std::mem::take(&mut self.since);
        } else {
            self.best.append(&mut self.since);
        }
        if self.is_long(&self.best) {
            self.plane = Some(self.best_plane());
            self.best = Components::default();
        }
    }

    /// Forgets what was added since the best model, and gives that.
    pub fn back(&mut self) -> Vec<f32> {
        self.grown = None;
        self.since = Components::default();
        self.best_plane()
    }

    fn is_long(&self, list: &Components) -> bool {
        list.points.len() > self.npix / LONGEST
    }

    fn best_plane(&self) -> Vec<f32> {
        let mut plane = self.plane.clone().unwrap_or_else(|| vec![0.0; self.npix]);
        self.draw(&self.best, &mut plane);
        plane
    }

    fn draw(&self, list: &Components, plane: &mut [f32]) {
        self.deconvolver.add_to(plane, self.nx, &list.points, &list.scales);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fluxes whose sum depends on the order, so that only the right order gives the right bits.
    fn found(cycle: u32, length: usize) -> MinorResult {
        let flux = |i: usize| {
            1e-3 * (1.0 + i as f32).powi(5) * if i.is_multiple_of(3) { -1.0 } else { 1.1 }
        };
        let components = (0..length).map(|i| ((i as u32 * 7 + cycle) % 16, flux(i))).collect();
        MinorResult { components, ..MinorResult::default() }
    }

    fn bits(plane: &[f32]) -> Vec<u32> {
        plane.iter().map(|v| v.to_bits()).collect()
    }

    #[test]
    fn the_best_model_comes_back_in_bits() {
        let start: Vec<f32> = (0..16).map(|i| 0.1 * i as f32).collect();
        // Lists of less and of more than the two components that are kept as a list.
        for lengths in [[1, 1, 1, 1, 1], [1, 5, 0, 1, 9], [9, 9, 9, 9, 9], [2, 0, 3, 3, 1]] {
            for best in 0..=lengths.len() {
                let mut history = History::new(&Deconvolver::Hogbom, (4, 4), Some(start.clone()));
                let (mut model, mut expected) = (start.clone(), start.clone());
                for (cycle, &length) in lengths.iter().enumerate() {
                    if cycle <= best {
                        history.is_best();
                        expected = model.clone();
                    }
                    let found = found(cycle as u32, length);
                    for &(pixel, flux) in &found.components {
                        model[pixel as usize] += flux;
                    }
                    history.add(found);
                }
                assert_eq!(bits(&history.back()), bits(&expected), "{lengths:?} {best}");
                assert_eq!(bits(&history.back()), bits(&expected));
            }
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (nx, ny) = (32, 32);
        let mut history = History::new(&Deconvolver::Hogbom, (nx, ny), None);
        let kept = |h: &History| {
            let list = |c: &Components| c.points.capacity() * size_of::<(u32, f32)>();
            let plane = |p: &Option<Vec<f32>>| p.as_ref().map_or(0, |p| 4 * p.len());
            list(&h.best) + list(&h.since) + plane(&h.plane) + plane(&h.grown)
        };
        let mut niter = 0;
        for cycle in 0..500 {
            if cycle % 7 < 3 {
                history.is_best();
            }
            history.add(found(cycle, 11));
            niter += 11;
            let (kept, bound) = (kept(&history), History::bytes(nx * ny, niter));
            assert!(kept <= bound.max(1 << 10), "{kept} bytes after {niter}, allowed {bound}");
        }
        assert_eq!(History::bytes(nx * ny, usize::MAX), 2 * 4096 + 4 * 128 * 9);
    }
}
