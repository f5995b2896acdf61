// Stage grid: adds the samples of each tile to its channel's grid. Tiles of one dispatch share no cell.
//@ include grid_sum
//@ storage read_write grids vec2<f32>
//@ include grid_cell

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  if t == 0u {
    shared_tile = tiles_load(group.y * FOLD + group.x);
  }
  let work = workgroupUniformLoad(&shared_tile);
  let layer = targets_load(group.z);
  sum_tile(t, work, layer);
  for (var i = t; i < REGION * REGION; i += THREADS) {
    let sum = sums[i / REGION * STRIDE + i % REGION];
    // Most cells of a sparse tile are not touched at all.
    if sum.x != 0.0 || sum.y != 0.0 {
      let cell = grid_cell(layer.grid, work, i / REGION, i % REGION);
      grids_store(cell, grids_load(cell) + sum);
    }
  }
}
