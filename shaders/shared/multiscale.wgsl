// What the two shaders of the multiscale loop share. An iteration is one dispatch of each:
// multiscale_tiles.wgsl subtracts the last component from the residuals of all scales and finds each
// tile's peak, multiscale_pick.wgsl takes the next component. Every masked pixel sees the operations
// of the textbook loop, in the same order and each rounded.

struct MultiscaleParams {
  nx: u32,
  ny: u32,
  // Shapes whose residuals are tracked, and the first of them that components may have.
  shapes: u32,
  first: u32,
  // Workgroups along x: tile k of a shape is done by workgroup (k % columns, k / columns).
  columns: u32,
  // Components of a channel that are kept before the host reads them.
  capacity: u32,
  // 1 if the host has read them.
  restart: u32,
  // 0, which the compiler does not know.
  zero: u32,
}

struct MultiscaleChannel {
  // First elements of the residuals of all shapes, one after another, and of the PSFs of all pairs.
  residual: u32,
  psf: u32,
  // Where in `work` are: eight words of progress, and components: shape, pixel, flux.
  progress: u32,
  components: u32,
  gain: f32,
  // Bits of the smallest |strength| above the threshold.
  least: u32,
}

struct MultiscaleShape {
  // The first of its mask's tiles in `tiles`, and their number.
  tiles: u32,
  tile_count: u32,
  // Where in `work` the tiles' winners are: magnitude, plane index + 1, value.
  winners: u32,
  // Residual to strength, |residual| to score.
  inverse: f32,
  weight: f32,
}

//@ uniform params MultiscaleParams
//@ storage read channels MultiscaleChannel
// Those of a channel one after another.
//@ storage read shapes MultiscaleShape
//@ storage read_write work u32

// Words of a channel's progress.
const STATUS: u32 = 0u;
const COUNT: u32 = 1u;
const REMAINING: u32 = 2u;
// Bits of the least score so far.
const LEAST: u32 = 3u;
// Whether a component waits to be subtracted: 1; and which.
const PENDING: u32 = 4u;
const SHAPE: u32 = 5u;
const PIXEL: u32 = 6u;
const FLUX: u32 = 7u;

const RUNNING: u32 = 0u;
const DONE: u32 = 1u;

// Bits of a product that is rounded before it is used: hidden from the compiler, which might otherwise
// fuse it with a sum, and then results would not be the CPU's bits.
fn product(a: f32, b: f32) -> u32 {
  return bitcast<u32>(a * b) ^ params.zero;
}
