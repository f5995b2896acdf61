//! Which items of two stacks one dispatch can serve.

use super::{buffer::Stack, device::Device};
use crate::Result;

super::shader::shared_struct! {
    /// First elements, in their slabs, of two items that belong together.
    PlanePair {
        source: u32,
        dest: u32,
    }
}

/// Items of one slab of each of two stacks.
pub(super) struct Batch {
    pub(super) from_slab: usize,
    pub(super) to_slab: usize,
    pub(super) pairs: Vec<PlanePair>,
}

/// Items of one slab.
pub(super) struct Items<T> {
    pub(super) slab: usize,
    pub(super) items: Vec<T>,
}

/// Traffic of one dispatch, bytes: as much as one submission should carry, see
/// [`super::recorder`].
const DISPATCH_TRAFFIC: u64 = 128 << 20;

/// Items that one dispatch may work on: the device's limit, and what no watchdog minds.
pub(super) fn most_per_dispatch(device: &Device, item_traffic: u64) -> usize {
    let by_time = (DISPATCH_TRAFFIC / item_traffic.max(1)).max(1);
    by_time.min(device.limits.max_compute_workgroups_per_dimension.into()) as usize
}

/// Pairs `(from, to)` of items, in dispatches. `item_traffic` is what one pair moves, bytes.
pub(super) fn pairs(
    device: &Device,
    from: &Stack,
    to: &Stack,
    indices: impl IntoIterator<Item = (usize, usize)>,
    item_traffic: u64,
) -> Result<Vec<Batch>> {
    let most = most_per_dispatch(device, item_traffic);
    let mut batches: Vec<Batch> = Vec::new();
    for (a, b) in indices {
        from.check_index(device, a)?;
        to.check_index(device, b)?;
        let ((from_slab, from_first), (to_slab, to_first)) = (from.locate(a), to.locate(b));
        let pair = PlanePair { source: from_first, dest: to_first };
        match batches.last_mut() {
            Some(last)
                if (last.from_slab, last.to_slab) == (from_slab, to_slab)
                    && last.pairs.len() < most =>
            {
                last.pairs.push(pair);
            }
            _ => batches.push(Batch { from_slab, to_slab, pairs: vec![pair] }),
        }
    }
    Ok(batches)
}

/// Items of one stack, in dispatches, each described by `describe(first element, position)`.
pub(super) fn items<T>(
    device: &Device,
    stack: &Stack,
    indices: impl IntoIterator<Item = usize>,
    item_traffic: u64,
    describe: impl Fn(u32, usize) -> T,
) -> Result<Vec<Items<T>>> {
    let most = most_per_dispatch(device, item_traffic);
    let mut batches: Vec<Items<T>> = Vec::new();
    for (position, index) in indices.into_iter().enumerate() {
        stack.check_index(device, index)?;
        let (slab, first) = stack.locate(index);
        let item = describe(first, position);
        match batches.last_mut() {
            Some(last) if last.slab == slab && last.items.len() < most => last.items.push(item),
            _ => batches.push(Items { slab, items: vec![item] }),
        }
    }
    Ok(batches)
}

/// Fails, naming the mistake, if an index is given twice: its plane would be written by two threads.
pub(super) fn check_distinct(device: &Device, indices: &[usize]) -> Result<()> {
    let mut sorted = indices.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|w| w[0] == w[1]) {
        None => Ok(()),
        Some(twice) => Err(device.bug(format!("plane {} is given twice", twice[0]))),
    }
}
