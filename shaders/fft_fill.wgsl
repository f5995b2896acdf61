// Stage fft, forward, last step: the columns of u < 0 and u > nu/2 that degridding reads, from the
// columns that they mirror, (u, v) -> conjugate at (-u, -v).
//@ include halo

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let j = id.x;
  let c = id.y;
  if j >= params.nv {
    return;
  }
  var u = 0u;
  if c < params.halo {
    u = params.halo - c;
  } else if 2u * (c - params.halo) > params.nu {
    u = params.nu - (c - params.halo);
  } else {
    return;
  }
  let grid = items_load(id.z);
  var value = vec2(0.0);
  if u < params.columns {
    value = conj(grids_load(element(grid, u + params.halo, mirrored_row(j))));
  }
  grids_store(element(grid, c, j), value);
}
