// Where cell (u, v) of a tile's region lies in its grid; v wraps around.
fn grid_cell(grid: u32, work: Tile, u: u32, v: u32) -> u32 {
  let row = (work.v * params.tile + v + params.nv - params.tile / 2u) % params.nv;
  return grid + (work.u * params.tile + u) * params.nv + row;
}
