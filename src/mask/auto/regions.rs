//! Connected regions of a mask, and dropping the small ones.

use crate::mask::{Mask, Run};

/// How many regions there were, and how many of them were too small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Regions before pruning.
    pub regions: usize,
    /// Regions dropped.
    pub dropped: usize,
}

/// Drops the regions of fewer than `smallest` pixels. Pixels belong together where they share an
/// edge (4 neighbours; tclean's pruning does not join across corners: measured with diagonal lines).
pub fn prune(mask: &Mask, smallest: f64) -> (Mask, Pruned) {
    let runs: Vec<Run> = mask.runs().collect();
    let parent = connect(&runs);
    let mut size = vec![0usize; runs.len()];
    for (i, run) in runs.iter().enumerate() {
        size[parent[i]] += run.len;
    }
    let keep = |i: usize| size[parent[i]] as f64 >= smallest;
    let mut counts = Pruned::default();
    for i in (0..runs.len()).filter(|&i| parent[i] == i) {
        counts.regions += 1;
        counts.dropped += usize::from(!keep(i));
    }
    let mut kept = Mask::new(mask.nx(), mask.ny(), false);
    for (i, run) in runs.iter().enumerate() {
        if keep(i) {
            fill(kept.row_mut(run.y), run.x, run.x + run.len);
        }
    }
    (kept, counts)
}

/// The first run of each run's region (union-find over runs that overlap in neighbouring rows).
fn connect(runs: &[Run]) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..runs.len()).collect();
    let mut above = 0; // the first run of the row above that may still touch
    for i in 0..runs.len() {
        let run = &runs[i];
        while above < i && (runs[above].y + 1 < run.y || before(&runs[above], run)) {
            above += 1;
        }
        let mut j = above;
        while j < i && runs[j].y + 1 == run.y && runs[j].x < run.x + run.len {
            unite(&mut parent, i, j);
            j += 1;
        }
    }
    for i in 0..parent.len() {
        parent[i] = find(&mut parent, i);
    }
    parent
}

/// Whether `a`, in the row above `b`, ends before `b` starts.
fn before(a: &Run, b: &Run) -> bool {
    a.y + 1 == b.y && a.x + a.len <= b.x
}

fn find(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

/// The smaller index becomes the root, so a root is the first run of its region.
fn unite(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(parent, a), find(parent, b));
    parent[a.max(b)] = a.min(b);
}

fn fill(row: &mut [u64], start: usize, end: usize) {
    let first = start / 64;
    for (word, x) in row[first..end.div_ceil(64)].iter_mut().zip(first..) {
        let low = start.saturating_sub(64 * x).min(63);
        let high = (end - 64 * x).min(64);
        let upto = if high == 64 { u64::MAX } else { (1 << high) - 1 };
        *word |= upto & (u64::MAX << low);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Textbook: flood fill from each pixel not yet seen.
    fn flood(mask: &Mask, smallest: f64) -> (Mask, Pruned) {
        let (nx, ny) = (mask.nx(), mask.ny());
        let mut seen = Mask::new(nx, ny, false);
        let mut kept = Mask::new(nx, ny, false);
        let mut counts = Pruned::default();
        for start in mask.pixels() {
            if seen.get(start % nx, start / nx) {
                continue;
            }
            let (mut stack, mut region) = (vec![(start % nx, start / nx)], vec![]);
            while let Some((x, y)) = stack.pop() {
                if !mask.get(x, y) || seen.get(x, y) {
                    continue;
                }
                seen.set(x, y, true);
                region.push((x, y));
                stack.extend((x > 0).then(|| (x - 1, y)));
                stack.extend((y > 0).then(|| (x, y - 1)));
                stack.extend((x + 1 < nx).then_some((x + 1, y)));
                stack.extend((y + 1 < ny).then_some((x, y + 1)));
            }
            counts.regions += 1;
            if (region.len() as f64) < smallest {
                counts.dropped += 1;
            } else {
                region.into_iter().for_each(|(x, y)| kept.set(x, y, true));
            }
        }
        (kept, counts)
    }

    proptest! {
        #[test]
        fn equals_flood_fill(
            nx in 1usize..200, ny in 1usize..20, density in 1u32..10, seed in any::<u64>(),
            smallest in 0.0f64..30.0,
        ) {
            let mut state = seed;
            let mask = Mask::from_fn(nx, ny, |_, _| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % 10 < u64::from(density)
            });
            prop_assert_eq!(prune(&mask, smallest), flood(&mask, smallest));
        }
    }

    #[test]
    fn a_spiral_is_one_region_and_a_diagonal_is_many() {
        let spiral =
            Mask::from_fn(70, 9, |x, y| y % 2 == 0 || x == if y % 4 == 1 { 69 } else { 0 });
        assert_eq!(prune(&spiral, 1.0).1, Pruned { regions: 1, dropped: 0 });
        let diagonal = Mask::from_fn(70, 70, |x, y| x == y);
        assert_eq!(prune(&diagonal, 2.0).1, Pruned { regions: 70, dropped: 70 });
    }
}
