// The columns that gridding writes beyond those that are transformed.

struct HaloParams {
  nu: u32,
  nv: u32,
  // Columns transformed, u = 0..columns; columns stored, u = -halo..stored - halo.
  columns: u32,
  stored: u32,
  halo: u32,
}

//@ uniform params HaloParams
//@ include complex
//@ storage read_write grids vec2<f32>
//@ storage read items u32

// Element of grid row j in stored column c, and of its mirror row, -v.
fn element(grid: u32, c: u32, j: u32) -> u32 {
  return grid + c * params.nv + j;
}

fn mirrored_row(j: u32) -> u32 {
  return (params.nv - j) % params.nv;
}
