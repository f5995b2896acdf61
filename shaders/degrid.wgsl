// Stage degrid: adds this pass's part to the predicted visibilities, one thread a sample.
//@ include sample
//@ include grid_work
//@ include complex
//@ storage read rows Row
// Visibility, weight, delta.
//@ storage read samples vec4<f32>
//@ storage read_write predicted vec2<f32>
//@ storage read grids vec2<f32>
//@ storage read targets LayerTarget

// Row k of the footprint in its column, wrapped around.
fn wrapped(row: i32) -> u32 {
  let nv = i32(params.nv);
  return u32(select(select(row, row - nv, row >= nv), row + nv, row < 0));
}

//@ insert gather

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let i = (group.y * FOLD + group.x) * 64u + t;
  if i >= params.rows {
    return;
  }
  let layer = targets_load(group.z);
  let s = samples_load(layer.samples + i);
  if s.z == 0.0 {
    return;
  }
  let row = rows_load(i);
  let factor = sample_factor(row, s.w);
  if factor.x == 0.0 && factor.y == 0.0 {
    return;
  }
  let u = footprint(row.cell_u, row.frac_u, s.w);
  let v = footprint(row.cell_v, row.frac_v, s.w);
  let column = u32(u.first + i32(params.tile / 2u));
  let sum = gather(layer.grid + column * params.nv, v.first + i32(params.nv / 2u), taps(u.y), taps(v.y));
  let to = layer.predicted + i;
  predicted_store(to, predicted_load(to) + cmul(sum, conj(factor)));
}
