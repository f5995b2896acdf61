//! Batches shared by devices: taken from one queue, results kept in the order of the channels.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use crate::error::Result;

/// Does `work(device, item)` for every item `0..items`, an item at a time on each of `devices`, in the
/// rayon pool of the caller. Results are in the order of the items, whichever device made them. The
/// first error ends it: no device takes another item.
pub(super) fn share<D: Sync, T: Send>(
    devices: &[D],
    items: usize,
    work: impl Fn(&D, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    if let [device] = devices {
        return (0..items).map(|item| work(device, item)).collect();
    }
    let queue = Queue {
        work,
        next: AtomicUsize::new(0),
        items,
        results: Mutex::new((0..items).map(|_| None).collect()),
    };
    // The scope waits for nothing that it does not itself run, so that one thread is enough.
    rayon::scope(|scope| {
        for device in devices.iter().take(items) {
            scope.spawn(|scope| queue.turn(scope, device));
        }
    });
    let results = queue.results.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Items are taken in order, so that those that are missing come after an error.
    results.into_iter().flatten().collect()
}

struct Queue<W, T> {
    work: W,
    next: AtomicUsize,
    items: usize,
    results: Mutex<Vec<Option<Result<T>>>>,
}

impl<W, T: Send> Queue<W, T> {
    /// Takes one item for a device, and queues the device again. A loop would not do: a thread that
    /// waits for others in the midst of one device's item may be lent to another device's, and would
    /// keep the first waiting until the queue is empty.
    fn turn<'s, D: Sync>(&'s self, scope: &rayon::Scope<'s>, device: &'s D)
    where
        W: Fn(&D, usize) -> Result<T> + Sync,
    {
        let item = self.next.fetch_add(1, Ordering::Relaxed);
        if item >= self.items {
            return;
        }
        let result = (self.work)(device, item);
        if result.is_err() {
            self.next.store(self.items, Ordering::Relaxed);
        }
        self.results.lock().unwrap_or_else(PoisonError::into_inner)[item] = Some(result);
        scope.spawn(|scope| self.turn(scope, device));
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;
    use crate::error::Error;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    #[test]
    fn results_are_in_order_for_any_number_of_devices_and_threads() {
        for (devices, threads) in [(1, 1), (2, 1), (3, 1), (2, 4), (5, 2)] {
            let devices: Vec<AtomicUsize> = (0..devices).map(|_| AtomicUsize::new(0)).collect();
            let results = pool(threads).install(|| {
                share(&devices, 20, |busy, item| {
                    assert_eq!(busy.fetch_add(1, Ordering::SeqCst), 0, "two items on one device");
                    // Work that lends threads to others, as batches do.
                    let sum: usize = (0..1000usize).into_par_iter().map(|i| i * item).sum();
                    busy.fetch_sub(1, Ordering::SeqCst);
                    Ok(sum)
                })
            });
            let expected: Vec<usize> = (0..20).map(|item| item * 499_500).collect();
            assert_eq!(results.unwrap(), expected);
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        for devices in [1, 2] {
            let done = AtomicUsize::new(0);
            let result = pool(2).install(|| {
                share(&vec![(); devices], 100, |(), item| {
                    done.fetch_add(1, Ordering::SeqCst);
                    let error = Error::parameter("item", item.to_string(), "is bad", "none");
                    if item == 3 { Err(error) } else { Ok(()) }
                })
            });
            assert!(result.unwrap_err().to_string().starts_with("item=3"));
            assert!(done.load(Ordering::SeqCst) < 100);
        }
    }
}
