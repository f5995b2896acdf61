// What both directions of the transform along u share: one real row of nu values of the padded
// image as one complex transform of nu/2.

struct RowsParams {
  nx: u32,
  ny: u32,
  nu: u32,
  nv: u32,
  // Columns that hold data, and where the column u = 0 is stored.
  columns: u32,
  first_column: u32,
  // The columns' transform in two passes leaves row q at (q mod n1) * n2 + q / n1.
  n1: u32,
  n2: u32,
}

//@ uniform params RowsParams
//@ include complex
//@ include roots
//@ include plane_pair

var<private> grid_row: u32;
var<private> image_row: u32;

// Sets out on image row y of the pair's grid and image.
fn start(y: u32, grid: u32, image: u32) {
  // Row y is at offset y - ny/2 from the centre, which is row 0 of the transform.
  let q = (y + params.nv - params.ny / 2u) % params.nv;
  grid_row = grid + params.first_column * params.nv + (q % params.n1) * params.n2 + q / params.n1;
  image_row = image + y * params.nx;
}

// The image column of offset p (mod nu) from the centre; nx or more where the image is cropped.
fn image_column(p: u32) -> u32 {
  return (p + params.nx / 2u) % params.nu;
}

fn twiddle(i: u32) -> vec2<f32> {
  return root(2u * i);
}
