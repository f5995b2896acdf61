// Stage normalise: plane *= factor.

struct NormaliseParams {
  nx: u32,
  ny: u32,
}

// A plane's first element in its slab, and its factor.
struct PlaneFactor {
  plane: u32,
  factor: f32,
}

//@ uniform params NormaliseParams
//@ storage read_write planes f32
//@ storage read factors PlaneFactor

@compute @workgroup_size(64, 4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if id.x >= params.nx || id.y >= params.ny {
    return;
  }
  let scale = factors_load(id.z);
  let i = scale.plane + id.y * params.nx + id.x;
  planes_store(i, planes_load(i) * scale.factor);
}
