// Clark's active pixels: which pixels of each channel's mask exceed a level, 32 words for each of the mask's
// tiles, a row each. One workgroup a tile.
//@ include tiles

struct AboveParams {
  nx: u32,
  ny: u32,
  // The first tile of each channel that this dispatch works on.
  first_tile: u32,
}

struct AboveChannel {
  // First element, in its slab, of the plane.
  plane: u32,
  // The first of the mask's tiles in `tiles`, and their number.
  tiles: u32,
  tile_count: u32,
  // Where in `marks` the channel's words are.
  marks: u32,
  // Bits of the smallest magnitude above the level.
  least: u32,
}

//@ uniform params AboveParams
//@ storage read channels AboveChannel
//@ storage read_write marks u32
//@ storage read planes f32

// NaN is larger.
const INFINITY: u32 = 0x7f800000u;

var<workgroup> rows: array<atomic<u32>, 32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let channel = channels_load(group.z);
  let k = params.first_tile + group.x;
  let exists = k < channel.tile_count;
  let entry = channel.tiles + 2u * select(0u, k, exists);
  let corner = tiles_load(entry);
  let x = tile_x(corner, t);
  let y = tile_y(corner, t);
  let inside = tile_mask(tiles_load(entry + 1u), x, y, t, params.nx, params.ny);
  let at = select(vec4(channel.plane), y * params.nx + x + channel.plane, inside);
  let magnitudes = bitcast<vec4<u32>>(vec4(
    planes_load(at.x),
    planes_load(at.y),
    planes_load(at.z),
    planes_load(at.w),
  )) & vec4(0x7fffffffu);
  let above = inside & (magnitudes >= vec4(channel.least)) & (magnitudes <= vec4(INFINITY));
  if t < 32u {
    atomicStore(&rows[t], 0u);
  }
  workgroupBarrier();
  let bits = select(vec4(0u), vec4(1u << (t & 31u)), above);
  let row = t >> 5u;
  atomicOr(&rows[row], bits.x);
  atomicOr(&rows[row + 8u], bits.y);
  atomicOr(&rows[row + 16u], bits.z);
  atomicOr(&rows[row + 24u], bits.w);
  workgroupBarrier();
  if exists && t < 32u {
    marks_store(channel.marks + 32u * k + t, atomicLoad(&rows[t]));
  }
}
