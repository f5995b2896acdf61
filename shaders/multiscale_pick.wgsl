// Stage peak of the multiscale loop: takes a channel's next component from its tiles' winners, or ends,
// one workgroup a channel.
//@ include multiscale
//@ include winner

// Growth of the score, relative to its least, that ends a cycle; as the CPU has it.
const DIVERGENCE: f32 = 1.5;

var<workgroup> running: u32;

// The best scale so far: its winner's key, value and score, as bits. Of thread 0 alone.
var<private> best_shape: u32;
var<private> winner: u32;
var<private> value: u32;
var<private> score: u32;

// By one thread: the winner of a shape's tiles is in element 0.
fn compare(s: u32, weight: f32) {
  let own = product(bitcast<f32>(best_magnitude[0]), weight) & 0x7fffffffu;
  if best_key[0] != NONE && own <= INFINITY && (winner == NONE || own > score) {
    best_shape = s;
    winner = best_key[0];
    value = best_note[0];
    score = own;
  }
}

// By one thread: takes the best for the next component, or ends.
fn take(channel: MultiscaleChannel, inverse: f32) {
  let progress = channel.progress;
  work_store(progress + PENDING, 0u);
  let count = select(work_load(progress + COUNT), 0u, params.restart == 1u);
  let remaining = work_load(progress + REMAINING);
  let least = work_load(progress + LEAST);
  let strength = product(bitcast<f32>(value), inverse);
  let flux = product(channel.gain, bitcast<f32>(strength));
  // By bits: a compiler may assume that there is no infinity.
  let ends = winner == NONE
    || remaining == 0u
    || (strength & 0x7fffffffu) < channel.least
    || score > product(DIVERGENCE, bitcast<f32>(least))
    || (flux & INFINITY) == INFINITY
    || count >= params.capacity;
  if ends {
    work_store(progress + COUNT, count);
    work_store(progress + STATUS, DONE);
    return;
  }
  let pixel = winner - 1u;
  let to = channel.components + 3u * count;
  work_store(to, best_shape);
  work_store(to + 1u, pixel);
  work_store(to + 2u, flux);
  work_store(progress + COUNT, count + 1u);
  work_store(progress + REMAINING, remaining - 1u);
  work_store(progress + LEAST, min(least, score));
  work_store(progress + PENDING, 1u);
  work_store(progress + SHAPE, best_shape);
  work_store(progress + PIXEL, pixel);
  work_store(progress + FLUX, flux);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let channel = channels_load(group.x);
  if t == 0u {
    running = u32(work_load(channel.progress + STATUS) == RUNNING);
    if running == 0u && params.restart == 1u {
      work_store(channel.progress + COUNT, 0u);
    }
  }
  if workgroupUniformLoad(&running) == 0u {
    return;
  }
  winner = NONE;
  best_shape = 0u;
  value = 0u;
  score = 0u;
  for (var s = params.first; s < params.shapes; s += 1u) {
    let shape = shapes_load(group.x * params.shapes + s);
    var best = vec3(0u, NONE, 0u);
    for (var k = t; k < shape.tile_count; k += 256u) {
      let at = shape.winners + 3u * k;
      let found = vec3(work_load(at), work_load(at + 1u), work_load(at + 2u));
      if found.x > best.x || (found.x == best.x && found.y < best.y) {
        best = found;
      }
    }
    reduce(t, best.x, best.y, best.z);
    if t == 0u {
      compare(s, shape.weight);
    }
    workgroupBarrier();
  }
  if t == 0u {
    take(channel, shapes_load(group.x * params.shapes + best_shape).inverse);
  }
}
