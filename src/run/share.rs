//! Batches shared by devices: taken from one queue, results kept in the order of the channels.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{Scope as Threads, ScopedJoinHandle},
};

use super::pool::Pool;
use crate::error::Result;

/// Does `work(device, item)` for every item `0..items`, an item at a time on each of `devices`, in the rayon pool
/// of the caller; and `finish` with what it made, by threads of `finishers`, while the device is at its next item.
/// Results are in the order of the items, whichever device made them. The first error ends it: no device
/// takes another item.
///
/// `finish` waits for disks: threads of its own keep processors busy meanwhile. A device begins no item before the
/// one before its last is finished, so that there are two at a time of each.
pub(super) fn share<D: Sync, M: Send, T: Send>(
    devices: &[D],
    items: usize,
    finishers: &Pool,
    work: impl Fn(&D, usize) -> Result<M> + Sync,
    finish: impl Fn(M) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let queue = Queue {
        work,
        finish,
        finishers,
        next: AtomicUsize::new(0),
        items,
        results: Mutex::new((0..items).map(|_| None).collect()),
    };
    std::thread::scope(|threads| {
        // The scope waits for nothing that it does not itself run, so that one thread is enough.
        rayon::scope(|scope| {
            for device in devices.iter().take(items) {
                let queue = &queue;
                scope.spawn(move |scope| queue.turn(scope, threads, device, None));
            }
        });
    });
    let results = queue.results.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Items are taken in order, so that those that are missing come after an error.
    results.into_iter().flatten().collect()
}

struct Queue<'a, W, F, T> {
    work: W,
    finish: F,
    finishers: &'a Pool,
    next: AtomicUsize,
    items: usize,
    results: Mutex<Vec<Option<Result<T>>>>,
}

impl<W: Sync, F: Sync, T: Send> Queue<'_, W, F, T> {
    /// Takes one item for a device, and queues the device again. A loop would not do: a thread that waits for
    /// others in the midst of one device's item may be lent to another device's, and would keep the first
    /// waiting until the queue is empty. `before` is being finished.
    fn turn<'s, D: Sync, M: Send + 's>(
        &'s self,
        scope: &rayon::Scope<'s>,
        threads: &'s Threads<'s, '_>,
        device: &'s D,
        before: Option<ScopedJoinHandle<'s, ()>>,
    ) where
        W: Fn(&D, usize) -> Result<M>,
        F: Fn(M) -> Result<T>,
    {
        let item = self.next.fetch_add(1, Ordering::Relaxed);
        if item >= self.items {
            return;
        }
        let made = (self.work)(device, item);
        if let Some(Err(panic)) = before.map(ScopedJoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        match made {
            Ok(made) => {
                let finishing = threads.spawn(move || {
                    let finished = self.finishers.run_here(|| (self.finish)(made));
                    self.end(item, finished);
                });
                scope.spawn(move |scope| self.turn(scope, threads, device, Some(finishing)));
            }
            Err(error) => self.end(item, Err(error)),
        }
    }

    fn end(&self, item: usize, result: Result<T>) {
        if result.is_err() {
            self.next.store(self.items, Ordering::Relaxed);
        }
        self.results.lock().unwrap_or_else(PoisonError::into_inner)[item] = Some(result);
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

    fn finishers() -> Pool {
        Pool::new("writer").unwrap()
    }

    #[test]
    fn results_are_in_order_for_any_number_of_devices_and_threads() {
        for (devices, threads) in [(1, 1), (2, 1), (3, 1), (2, 4), (5, 2)] {
            let devices: Vec<AtomicUsize> = (0..devices).map(|_| AtomicUsize::new(0)).collect();
            let results = pool(threads).install(|| {
                let work = |busy: &AtomicUsize, item| {
                    assert_eq!(busy.fetch_add(1, Ordering::SeqCst), 0, "two items on one device");
                    // Work that lends threads to others, as batches do.
                    let sum: usize = (0..1000usize).into_par_iter().map(|i| i * item).sum();
                    busy.fetch_sub(1, Ordering::SeqCst);
                    Ok(sum)
                };
                share(&devices, 20, &finishers(), work, |sum| Ok(sum + 1))
            });
            let expected: Vec<usize> = (0..20).map(|item| item * 499_500 + 1).collect();
            assert_eq!(results.unwrap(), expected);
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        for (devices, in_work) in [(1, true), (2, true), (1, false), (2, false)] {
            let done = AtomicUsize::new(0);
            let fail = |item: usize, here: bool| match here && item == 3 {
                true => Err(Error::parameter("item", item.to_string(), "is bad", "none")),
                false => Ok(item),
            };
            let work = |(): &(), item: usize| {
                done.fetch_add(1, Ordering::SeqCst);
                fail(item, in_work)
            };
            let result = pool(2).install(|| {
                share(&vec![(); devices], 100, &finishers(), work, |item| fail(item, !in_work))
            });
            assert!(result.unwrap_err().to_string().starts_with("item=3"));
            assert!(done.load(Ordering::SeqCst) < 100);
        }
    }

    #[test]
    fn an_item_is_finished_while_its_device_is_at_the_next() {
        // Each waits for the other: without overlap this would time out.
        let (sent, received) = std::sync::mpsc::channel();
        let (sent, received) = (Mutex::new(sent), Mutex::new(received));
        let wait = std::time::Duration::from_secs(60);
        let work = |(): &(), item: usize| {
            if item == 1 {
                sent.lock().unwrap().send(()).unwrap();
            }
            Ok(item)
        };
        let finish = |item: usize| {
            if item == 0 {
                received.lock().unwrap().recv_timeout(wait).expect("the next item");
            }
            Ok(())
        };
        pool(2).install(|| share(&[()], 2, &finishers(), work, finish)).unwrap();
    }
}
