// What one workgroup of the gridding stages works on.

// A tile of the uv grid, and sorted rows (or partial sums) first .. first + count.
struct Tile {
  u: u32,
  v: u32,
  first: u32,
  count: u32,
}

// First elements of what belongs to one layer of one channel: its samples, its predicted
// visibilities, the grid of its channel, its partial sums.
struct LayerTarget {
  samples: u32,
  predicted: u32,
  grid: u32,
  partials: u32,
}

// Work items of a dispatch are folded over x and y.
const FOLD: u32 = 32768u;
