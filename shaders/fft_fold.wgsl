// Stage fft, adjoint, first step: the columns of u < 0 and u > nu/2 that gridding wrote are added to
// the columns that they mirror, (u, v) -> conjugate at (-u, -v).
//@ include halo

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let j = id.x;
  let u = id.y;
  if j >= params.nv {
    return;
  }
  // Stored columns of the cells -u and nu - u, where gridding wrote them.
  let below = u >= 1u && u <= params.halo;
  let above = 2u * u < params.nu && params.nu - u + params.halo < params.stored;
  if !below && !above {
    return;
  }
  let grid = items_load(id.z);
  let i = element(grid, u + params.halo, j);
  var sum = grids_load(i);
  if below {
    sum += conj(grids_load(element(grid, params.halo - u, mirrored_row(j))));
  }
  if above {
    sum += conj(grids_load(element(grid, params.nu - u + params.halo, mirrored_row(j))));
  }
  grids_store(i, sum);
}
