//! An allocator that gives out again what was planes and grids before.
//!
//! An imager allocates and frees the same few large sizes for each batch: planes, grids, and what is computed
//! from them. The system's allocator maps such blocks anew each time and unmaps them after, so that the
//! kernel zeroes every page, the processor faults on each, and all threads wait while translations are
//! invalidated: a third of the time of a job of 8000² pixels. Here freed blocks are kept, and blocks are asked to
//! be of huge pages, which also spares the processor's translation caches.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ptr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Blocks from this size on are kept; smaller ones are left to the system's allocator.
const LARGE: usize = 1 << 20;

/// Size of a huge page, and the alignment of blocks, so that as much as possible of them can be huge pages.
const HUGE_PAGE: usize = 2 << 20;

/// Blocks are multiples of this: a multiple of the page size on every Linux.
const PAGE: usize = 64 << 10;

/// Most blocks that are kept: an allocator cannot allocate its own list.
const MOST_KEPT: usize = 512;

/// Keeps freed blocks of 1 MiB and more, and gives them out to who asks for the same size.
///
/// Kept and used blocks together are never more than the most that was asked for at a time; where there is no memory for
/// anything, what is kept is given back first. A block that is kept has pages, though, where a fresh one has none before it is
/// written: zeros that nobody touches take memory from their second use on.
///
/// The command `cubeclean` uses it; a program that embeds the library may do so too, on Linux, if it does not fork
/// without executing another program (a lock that another thread holds stays held in the child). Each block in use is a mapping
/// of its own, of which the kernel allows a process 65,530 (`vm.max_map_count`):
///
/// ```
/// # #[cfg(target_os = "linux")]
/// #[global_allocator]
/// static ALLOCATOR: cubeclean::recycling::Recycling = cubeclean::recycling::Recycling::new();
/// ```
pub struct Recycling(Mutex<Blocks>);

/// A block that is not in use.
#[derive(Clone, Copy)]
struct Block {
    address: usize,
    bytes: usize,
}

/// All large blocks.
struct Blocks {
    /// Those that are kept, in the order they came back in: `kept[..count]`.
    kept: [Block; MOST_KEPT],
    count: usize,
    kept_bytes: usize,
    used_bytes: usize,
    most_used_bytes: usize,
}

impl Recycling {
    /// With nothing kept.
    pub const fn new() -> Self {
        let none = Block { address: 0, bytes: 0 };
        Self(Mutex::new(Blocks {
            kept: [none; MOST_KEPT],
            count: 0,
            kept_bytes: 0,
            used_bytes: 0,
            most_used_bytes: 0,
        }))
    }

    /// What `allocate` gives; where that is nothing, once more without what is kept.
    fn or_from_kept(&self, allocate: impl Fn() -> *mut u8) -> *mut u8 {
        match allocate() {
            null if null.is_null() && self.lock().give_back() => allocate(),
            given => given,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        // Nothing under the lock can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block of `bytes`, a multiple of the page size, and whether it may hold other than zeros; null
    /// where the system has no memory.
    fn take(&self, bytes: usize) -> (*mut u8, bool) {
        let mut blocks = self.lock();
        if let Some(block) = blocks.take(bytes) {
            return (ptr::with_exposed_provenance_mut(block.address), true);
        }
        blocks.make_room(bytes);
        let mut address = map(bytes);
        if address.is_null() && blocks.give_back() {
            address = map(bytes);
        }
        if !address.is_null() {
            blocks.count_used(bytes);
        }
        (address, false)
    }
}

impl Default for Recycling {
    fn default() -> Self {
        Self::new()
    }
}

impl Blocks {
    /// The latest block of this size that came back: the likeliest to be in a cache still.
    fn take(&mut self, bytes: usize) -> Option<Block> {
        let at = self.kept[..self.count].iter().rposition(|block| block.bytes == bytes)?;
        let block = self.remove(at);
        self.count_used(bytes);
        Some(block)
    }

    fn remove(&mut self, at: usize) -> Block {
        let block = self.kept[at];
        self.kept.copy_within(at + 1..self.count, at);
        self.count -= 1;
        self.kept_bytes -= block.bytes;
        block
    }

    fn count_used(&mut self, bytes: usize) {
        self.used_bytes += bytes;
        self.most_used_bytes = self.most_used_bytes.max(self.used_bytes);
    }

    /// Gives kept blocks back to the system, those first that have been idle for longest, until one of `bytes`
    /// can be added without exceeding what was used at a time before, or will be with it.
    fn make_room(&mut self, bytes: usize) {
        let most = self.most_used_bytes.max(self.used_bytes + bytes);
        while self.count > 0 && self.used_bytes + self.kept_bytes + bytes > most {
            unmap(self.remove(0));
        }
    }

    /// Gives all that is kept back to the system; whether there was any.
    fn give_back(&mut self) -> bool {
        let any = self.count > 0;
        while self.count > 0 {
            unmap(self.remove(self.count - 1));
        }
        any
    }

    fn keep(&mut self, block: Block) {
        self.used_bytes -= block.bytes;
        if self.count == MOST_KEPT {
            unmap(self.remove(0));
        }
        self.kept[self.count] = block;
        self.count += 1;
        self.kept_bytes += block.bytes;
    }
}

/// Bytes of the block for `layout`, if it is one of ours.
fn large(layout: Layout) -> Option<usize> {
    let is_large = layout.size() >= LARGE && layout.align() <= 4096;
    is_large.then(|| layout.size().checked_next_multiple_of(PAGE)).flatten()
}

/// Zeroed memory of the system, aligned to huge pages and asked to be of them; null where there is none.
fn map(bytes: usize) -> *mut u8 {
    let Some(mapped) = bytes.checked_add(HUGE_PAGE) else { return ptr::null_mut() };
    // SAFETY: a new private mapping at an address of the kernel's choice concerns nothing that exists.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            mapped,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return ptr::null_mut();
    }
    let start = start.expose_provenance();
    let aligned = start.next_multiple_of(HUGE_PAGE);
    for (address, bytes) in
        [(start, aligned - start), (aligned + bytes, start + HUGE_PAGE - aligned)]
    {
        if bytes > 0 {
            unmap(Block { address, bytes });
        }
    }
    let address = ptr::with_exposed_provenance_mut(aligned);
    // SAFETY: the range was mapped above. Where the kernel knows no huge pages it fails, and small ones do.
    unsafe { libc::madvise(address, bytes, libc::MADV_HUGEPAGE) };
    address.cast()
}

/// Gives pages back to the system.
fn unmap(block: Block) {
    // SAFETY: blocks come from `map` and are in nobody's hands when they get here.
    unsafe { libc::munmap(ptr::with_exposed_provenance_mut(block.address), block.bytes) };
}

// SAFETY: blocks are disjoint mappings as large as asked for and aligned to at least a page; a block is either
// kept or in one caller's hands. `large` decides by size and alignment alone, so that a block goes back where it
// came from. Nothing here allocates or unwinds.
unsafe impl GlobalAlloc for Recycling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match large(layout) {
            Some(bytes) => self.take(bytes).0,
            // SAFETY: as the caller promises.
            None => self.or_from_kept(|| unsafe { System.alloc(layout) }),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(bytes) = large(layout) else {
            // SAFETY: as the caller promises.
            return self.or_from_kept(|| unsafe { System.alloc_zeroed(layout) });
        };
        let (address, used) = self.take(bytes);
        if used {
            // SAFETY: the block is at least this large and in nobody else's hands.
            unsafe { ptr::write_bytes(address, 0, layout.size()) };
        }
        address
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        match large(layout) {
            Some(bytes) => {
                let block = Block { address: address.expose_provenance(), bytes };
                self.lock().keep(block);
            }
            // SAFETY: as the caller promises; the block came from there.
            None => unsafe { System.dealloc(address, layout) },
        }
    }

    unsafe fn realloc(&self, address: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        match (large(layout), large(new_layout)) {
            (None, None) => {
                // SAFETY: as the caller promises; the block came from there.
                self.or_from_kept(|| unsafe { System.realloc(address, layout, new_size) })
            }
            (Some(old), Some(new)) if old == new => address,
            (Some(old), Some(new)) => self.remap(address, old, new),
            _ => {
                // SAFETY: the layout is valid, the blocks are distinct, and each is as large as is copied.
                unsafe {
                    let moved = self.alloc(new_layout);
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(address, moved, layout.size().min(new_size));
                        self.dealloc(address, layout);
                    }
                    moved
                }
            }
        }
    }
}

impl Recycling {
    /// Makes a used block larger or smaller; the pages move, nothing is copied.
    fn remap(&self, address: *mut u8, old: usize, new: usize) -> *mut u8 {
        let mut blocks = self.lock();
        blocks.make_room(new.saturating_sub(old));
        // SAFETY: the block is a mapping of `old` bytes in the hands of the caller, who gives it up for this one.
        let remap = || unsafe { libc::mremap(address.cast(), old, new, libc::MREMAP_MAYMOVE) };
        let mut moved = remap();
        if moved == libc::MAP_FAILED && blocks.give_back() {
            moved = remap();
        }
        if moved == libc::MAP_FAILED {
            return ptr::null_mut();
        }
        blocks.used_bytes -= old;
        blocks.count_used(new);
        moved.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, 4).unwrap()
    }

    /// Bytes kept and used, and the most that were used at a time.
    fn bytes(of: &Recycling) -> [usize; 3] {
        let blocks = of.lock();
        [blocks.kept_bytes, blocks.used_bytes, blocks.most_used_bytes]
    }

    #[test]
    fn a_size_that_was_freed_is_given_out_again_and_zeroed_where_asked() {
        let allocator = Recycling::new();
        let plane = layout(4 * MB);
        // SAFETY: each block is written within its size and freed once, with its layout.
        unsafe {
            let first = allocator.alloc_zeroed(plane);
            assert!(first.addr().is_multiple_of(HUGE_PAGE));
            assert!(std::slice::from_raw_parts(first, plane.size()).iter().all(|&b| b == 0));
            first.write_bytes(7, plane.size());
            allocator.dealloc(first, plane);
            assert_eq!(bytes(&allocator), [4 * MB, 0, 4 * MB]);
            let second = allocator.alloc_zeroed(plane);
            assert_eq!(second, first);
            assert!(std::slice::from_raw_parts(second, plane.size()).iter().all(|&b| b == 0));
            let third = allocator.alloc(plane);
            assert_ne!(third, first);
            allocator.dealloc(second, plane);
            allocator.dealloc(third, plane);
        }
        assert_eq!(bytes(&allocator), [8 * MB, 0, 8 * MB]);
    }

    #[test]
    fn kept_and_used_are_never_more_than_was_used_at_a_time() {
        let allocator = Recycling::new();
        // SAFETY: each block is freed once, with its layout.
        unsafe {
            let small: Vec<_> = (0..8).map(|_| allocator.alloc(layout(2 * MB))).collect();
            small.into_iter().for_each(|block| allocator.dealloc(block, layout(2 * MB)));
            assert_eq!(bytes(&allocator), [16 * MB, 0, 16 * MB]);
            // Six of eight make room for this one.
            let large = allocator.alloc(layout(12 * MB));
            assert_eq!(bytes(&allocator), [4 * MB, 12 * MB, 16 * MB]);
            let larger = allocator.alloc(layout(10 * MB));
            assert_eq!(bytes(&allocator), [0, 22 * MB, 22 * MB]);
            allocator.dealloc(large, layout(12 * MB));
            allocator.dealloc(larger, layout(10 * MB));
        }
        assert_eq!(bytes(&allocator), [22 * MB, 0, 22 * MB]);
    }

    #[test]
    fn blocks_keep_their_contents_when_they_grow_and_shrink() {
        let allocator = Recycling::new();
        let sizes = [3, 100_000, MB - 1, MB, MB + 1, 5 * MB, 90 * MB, 2 * MB, 70_000, 5];
        // SAFETY: each block is used within its size and goes back with the layout it has then.
        unsafe {
            let mut size = 2;
            let mut block = allocator.alloc(layout(size));
            block.write_bytes(3, size);
            for next in sizes {
                block = allocator.realloc(block, layout(size), next);
                let kept = std::slice::from_raw_parts(block, size.min(next));
                assert!(kept.iter().all(|&b| b == 3), "{size} to {next}");
                size = next;
                block.write_bytes(3, size);
            }
            allocator.dealloc(block, layout(size));
        }
        assert_eq!(bytes(&allocator)[1], 0);
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let allocator = Recycling::new();
        let too_much = layout(isize::MAX as usize - 4 * HUGE_PAGE);
        // SAFETY: null is not used.
        assert!(unsafe { allocator.alloc(too_much) }.is_null());
        assert_eq!(bytes(&allocator), [0; 3]);
    }

    #[test]
    fn threads_never_share_a_block() {
        let allocator = Recycling::new();
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let allocator = &allocator;
                scope.spawn(move || {
                    for turn in 0..200 {
                        let layout = layout((1 + turn % 3) * MB);
                        // SAFETY: the block is used within its size and freed once, with its layout.
                        unsafe {
                            let block = allocator.alloc(layout);
                            block.write_bytes(thread, layout.size());
                            let mine = std::slice::from_raw_parts(block, layout.size());
                            assert!(mine.iter().all(|&b| b == thread));
                            allocator.dealloc(block, layout);
                        }
                    }
                });
            }
        });
        let [kept, used, most] = bytes(&allocator);
        assert_eq!(used, 0);
        assert!(kept <= most && most <= 12 * MB, "{kept} kept of {most}");
    }
}
