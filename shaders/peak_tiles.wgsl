// Stage peak: the winner of some tiles of each channel's mask, one workgroup for `per_group` tiles.
//@ include winner
//@ include tiles
//@ include candidate
//@ include peak
//@ storage read planes f32

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let channel = channels_load(group.z);
  var best = vec3(0u, NONE, 0u);
  let first = group.x * params.per_group;
  let end = min(first + params.per_group, channel.tile_count);
  for (var k = first; k < end; k += 1u) {
    let corner = tiles_load(channel.tiles + 2u * k);
    let x = tile_x(corner, t);
    let y = tile_y(corner, t);
    let inside = tile_mask(tiles_load(channel.tiles + 2u * k + 1u), x, y, t, params.nx, params.ny);
    let pixel = y * params.nx + x;
    let at = select(vec4(channel.plane), pixel + channel.plane, inside);
    let values = bitcast<vec4<u32>>(vec4(
      planes_load(at.x),
      planes_load(at.y),
      planes_load(at.z),
      planes_load(at.w),
    ));
    let found = candidate_of(values, pixel, inside);
    if found.x > best.x || (found.x == best.x && found.y < best.y) {
      best = found;
    }
  }
  reduce(t, best.x, best.y, best.z);
  if t == 0u {
    let to = 2u * params.channels + 3u * (group.z * params.groups + group.x);
    winners_store(to, best_magnitude[0]);
    winners_store(to + 1u, best_key[0]);
    winners_store(to + 2u, best_note[0]);
  }
}
