// Stage correct, adjoint: plane += screen * correction * image.
//@ include plane_pair
//@ include screen
//@ storage read images f32
//@ storage read_write planes f32
//@ storage read pairs PlanePair

@compute @workgroup_size(64, 4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if id.x >= params.nx || id.y >= params.ny {
    return;
  }
  let pair = pairs_load(id.z);
  let pixel = id.y * params.nx + id.x;
  let to = pair.dest + pixel;
  planes_store(to, planes_load(to) + factor(id.x, id.y) * images_load(pair.source + pixel));
}
