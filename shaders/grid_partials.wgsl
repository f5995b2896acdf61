// Stage grid: sums of the parts that overfull tiles are split into, for grid_reduce.
//@ include grid_sum
//@ storage read_write partials vec2<f32>

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let part = group.y * FOLD + group.x;
  if t == 0u {
    shared_tile = tiles_load(part);
  }
  let work = workgroupUniformLoad(&shared_tile);
  let layer = targets_load(group.z);
  sum_tile(t, work, layer);
  if work.count == 0u {
    return;
  }
  for (var i = t; i < REGION * REGION; i += THREADS) {
    partials_store(layer.partials + part * REGION * REGION + i, sums[i / REGION * STRIDE + i % REGION]);
  }
}
