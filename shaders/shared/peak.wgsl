// What the two shaders of stage peak share.

struct PeakParams {
  nx: u32,
  ny: u32,
  // Tiles that one workgroup looks at.
  per_group: u32,
  // Workgroups of each channel.
  groups: u32,
  channels: u32,
}

struct PeakChannel {
  // First element, in its slab, of the plane.
  plane: u32,
  // The first of the mask's tiles in `tiles`, and their number.
  tiles: u32,
  tile_count: u32,
}

//@ uniform params PeakParams
//@ storage read channels PeakChannel
// Two words of each channel's result, then three of each workgroup's.
//@ storage read_write winners u32
