// Stage peak: the winner among a channel's winners of peak_tiles.wgsl, one workgroup a channel: plane
// index + 1, or NONE, and bits of the value.
//@ include winner
//@ include peak

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  var best = vec3(0u, NONE, 0u);
  for (var i = t; i < params.groups; i += 256u) {
    let at = 2u * params.channels + 3u * (group.x * params.groups + i);
    let found = vec3(winners_load(at), winners_load(at + 1u), winners_load(at + 2u));
    if found.x > best.x || (found.x == best.x && found.y < best.y) {
      best = found;
    }
  }
  reduce(t, best.x, best.y, best.z);
  if t == 0u {
    winners_store(2u * group.x, best_key[0]);
    winners_store(2u * group.x + 1u, best_note[0]);
  }
}
