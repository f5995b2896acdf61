// Stage grid: adds the parts of each overfull tile, in their order, to its channel's grid. Tiles of
// one dispatch share no cell.
//@ include sample
//@ include grid_work
//@ storage read partials vec2<f32>
//@ storage read tiles Tile
//@ storage read targets LayerTarget
//@ storage read_write grids vec2<f32>
//@ include grid_cell

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let work = tiles_load(group.y * FOLD + group.x);
  let layer = targets_load(group.z);
  if work.count == 0u {
    return;
  }
  for (var i = t; i < REGION * REGION; i += 256u) {
    var sum = vec2(0.0);
    for (var part = work.first; part < work.first + work.count; part++) {
      sum += partials_load(layer.partials + part * REGION * REGION + i);
    }
    let cell = grid_cell(layer.grid, work, i / REGION, i % REGION);
    grids_store(cell, grids_load(cell) + sum);
  }
}
