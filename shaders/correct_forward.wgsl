// Stage correct, forward: image = screen * correction * plane.
//@ include plane_pair
//@ include screen
//@ storage read planes f32
//@ storage read_write images f32
//@ storage read pairs PlanePair

@compute @workgroup_size(64, 4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if id.x >= params.nx || id.y >= params.ny {
    return;
  }
  let pair = pairs_load(id.z);
  let pixel = id.y * params.nx + id.x;
  images_store(pair.dest + pixel, factor(id.x, id.y) * planes_load(pair.source + pixel));
}
