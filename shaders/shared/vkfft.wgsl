// What the steps around VkFFT's transform along u share: a band of image rows, each of nu/2 + 1
// columns or nu pixels and two more, in the memory that VkFFT works on.

struct BandParams {
  nx: u32,
  ny: u32,
  nu: u32,
  nv: u32,
  // Columns that hold data, and where the column u = 0 is stored.
  columns: u32,
  first_column: u32,
  // The band's rows of the image, and all that are transformed: VkFFT does two real rows as one complex
  // row, so that what is left in the others would show in the last bits of the band's last row, or worse.
  first_row: u32,
  rows: u32,
  all_rows: u32,
  // First elements of the grid and of the image.
  grid: u32,
  image: u32,
}

//@ uniform params BandParams

// Where column u of the band's row r is stored in the grid.
fn cell(u: u32, r: u32) -> u32 {
  // Image row y is at offset y - ny/2 from the centre, which is row 0 of the transform.
  let q = (params.first_row + r + params.nv - params.ny / 2u) % params.nv;
  return params.grid + (params.first_column + u) * params.nv + q;
}

// Where pixel x of the band's row r is stored in the image.
fn pixel(x: u32, r: u32) -> u32 {
  return params.image + (params.first_row + r) * params.nx + x;
}
