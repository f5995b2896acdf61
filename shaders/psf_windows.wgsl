// Before Hogbom's loop: the largest |psf| of each window of 2 x 2 blocks. Window (i, j) is blocks
// i - 1, i by j - 1, j, where they exist.
//@ include minor

fn block(i: u32, j: u32) -> u32 {
  // Block -1 wraps around to a large number.
  if i >= params.tiles_x || j >= params.tiles_y {
    return 0u;
  }
  return work_load(channel.blocks + j * params.tiles_x + i);
}

@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  channel = channels[params.first_channel + id.z];
  if id.x > params.tiles_x || id.y > params.tiles_y {
    return;
  }
  let upper = max(block(id.x - 1u, id.y), block(id.x, id.y));
  let lower = max(block(id.x - 1u, id.y - 1u), block(id.x, id.y - 1u));
  work_store(channel.windows + id.y * (params.tiles_x + 1u) + id.x, max(upper, lower));
}
