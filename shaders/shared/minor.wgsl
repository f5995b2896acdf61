// What the shaders of Hogbom's loop share: a group of channels and their state.

struct MinorParams {
  nx: u32,
  ny: u32,
  // Tiles along x and y that cover the plane.
  tiles_x: u32,
  tiles_y: u32,
  // Loop turns after which a dispatch of hogbom.wgsl leaves off.
  turns: u32,
  // Components of a channel that are kept before the host reads them.
  capacity: u32,
  // 0, which the compiler does not know.
  zero: u32,
  // The first channel and the first tile of each channel that this dispatch works on.
  first_channel: u32,
  first_tile: u32,
  // The first column and row of the PSF that are used, and the numbers of those.
  patch_x: u32,
  patch_y: u32,
  patch_nx: u32,
  patch_ny: u32,
}

struct Channel {
  // First elements, in their slabs, of the planes.
  residual: u32,
  psf: u32,
  model: u32,
  // The first of the mask's tiles in `tiles`, and their number.
  tiles: u32,
  tile_count: u32,
  // Where in `work` are: four words of progress,
  progress: u32,
  // components: x + (y << 16), flux,
  components: u32,
  // of each tile the bound, then of each the winner, the value, the number applied (refresh.wgsl),
  states: u32,
  // maxima of |psf| over windows of 2 x 2 blocks of 32 x 32 pixels, and over blocks.
  windows: u32,
  blocks: u32,
  gain: f32,
  // Bits of the smallest |residual| above the threshold.
  least: u32,
}

//@ uniform params MinorParams
//@ uniform channels array<Channel,64>
//@ storage read_write work u32

// The channel at hand.
var<private> channel: Channel;

// A product that is rounded before it is used: hidden from the compiler, which might otherwise fuse
// it with a sum, and then results would not be the CPU's bits.
fn product(a: f32, b: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(a * b) ^ params.zero);
}
