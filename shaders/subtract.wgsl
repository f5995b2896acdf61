// Stage subtract: brings all tiles of some channels up to date and forgets the components, one
// workgroup a tile. Without components it finds the tiles' first winners.
//@ include minor
//@ include refresh

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let k = params.first_tile + group.x;
  if k < channels[params.first_channel + group.y].tile_count {
    channel = channels[params.first_channel + group.y];
    let state = channel.states + k;
    let count = work_load(channel.progress + 1u);
    refresh(t, k, work_load(state + 3u * channel.tile_count), count);
    if t == 0u {
      work_store(state, best_magnitude[0]);
      work_store(state + channel.tile_count, best_key[0]);
      work_store(state + 2u * channel.tile_count, best_note[0]);
      work_store(state + 3u * channel.tile_count, 0u);
    }
  }
}
