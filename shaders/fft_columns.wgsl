// Stage fft along v, in place: each column of the grid in one pass, or in the two passes of the
// four-step method, which leave the rows in an order that the transform along u knows.

struct ColumnsParams {
  nv: u32,
  // Image rows; the others are zero where the forward direction begins.
  ny: u32,
  // Where the column u = 0 is stored.
  first_column: u32,
  // Element i of line s is stored at s * line_stride + i * element_stride ...
  line_stride: u32,
  element_stride: u32,
  // ... and is, on loading, row s * line_row + i * element_row of the transform.
  line_row: u32,
  element_row: u32,
  // 1 to take rows off the image as zero.
  cropped: u32,
  // 1 to multiply results by the four-step method's root of unity s * i.
  turned: u32,
  // nv / length of a line.
  root_step: u32,
}

//@ uniform params ColumnsParams
//@ include complex
//@ include roots
//@ storage read_write grids vec2<f32>
//@ storage read items u32
//@ insert transform

var<private> line: u32;
var<private> base: u32;

fn twiddle(i: u32) -> vec2<f32> {
  return root(i * params.root_step);
}

fn load_input(i: u32) -> vec2<f32> {
  if params.cropped == 1u {
    let row = line * params.line_row + i * params.element_row;
    if (row + params.ny / 2u) % params.nv >= params.ny {
      return vec2(0.0);
    }
  }
  return grids_load(base + i * params.element_stride);
}

fn store_output(i: u32, z: vec2<f32>) {
  var v = z;
  if params.turned == 1u {
    v = cmul(v, root(line * i));
  }
  grids_store(base + i * params.element_stride, v);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  line = group.y;
  base = items_load(group.z) + (params.first_column + group.x) * params.nv + line * params.line_stride;
  transform(t);
}
