// Stages peak and subtract, many iterations in one dispatch: one workgroup a channel.
//
// Subtracting every component from every masked pixel at once is what the textbook does; here a tile
// sees a component only when it may hold the next peak (refresh.wgsl). Until then its bound grows by
// what the component can add to any of its pixels. The winner is a tile that is exact and whose
// magnitude no other tile's bound reaches, so it is the winner of the full plane; of equal bounds
// those that are not exact are refreshed first, and then the smallest plane index wins.
//
// Why bounds hold in f32, without any allowance for rounding: let |r| <= B, |p| <= P for a pixel, and
// f be the flux. Rounding is monotonic, so round(|f p|) <= round(|f| P) = Q, and
// |round(r - round(f p))| <= round(B + Q), which is the new bound. (Flushing subnormals to zero is
// monotonic too; so is overflow to infinity.) A NaN, in the residual or out of the PSF, stays NaN and
// never wins, so it needs no bound.
//
// Mesa's llvmpipe ends all loops of an invocation after 65,535 turns, and other drivers reset a device
// that takes too long: so turns are counted, and the loop leaves off, its state saved, to be
// dispatched again.
//@ include minor
//@ include refresh
//@ storage read_write model f32

// Words of a channel's progress.
const STATUS: u32 = 0u;
const COUNT: u32 = 1u;
const REMAINING: u32 = 2u;
const PEAK: u32 = 3u;

const RUNNING: u32 = 0u;
const COMPONENTS_FULL: u32 = 1u;
const DONE: u32 = 2u;

// What the workgroup does next: the key and the number of the best tile, and whether to go on.
var<workgroup> next: vec3<u32>;
// The following are written by thread 0 alone.
var<workgroup> running: bool;
var<workgroup> status: u32;
// Components found and not yet forgotten.
var<workgroup> count: u32;
// Components that may still be found.
var<workgroup> remaining: u32;
// Whether the bounds lack the last component; its position and flux.
var<workgroup> raise: bool;
var<workgroup> position: u32;
var<workgroup> flux: f32;
// Bits of |residual| at the peak, when done.
var<workgroup> peak: u32;
// Loop turns of one thread.
var<workgroup> turns: u32;

fn resume() {
  status = work_load(channel.progress + STATUS);
  count = work_load(channel.progress + COUNT);
  remaining = work_load(channel.progress + REMAINING);
  peak = work_load(channel.progress + PEAK);
  if status == COMPONENTS_FULL {
    // The host has read them, and subtract.wgsl brought all tiles up to date.
    status = RUNNING;
    count = 0u;
  }
  raise = false;
  position = 0u;
  flux = 0.0;
  turns = 0u;
  running = status == RUNNING;
}

fn save() {
  work_store(channel.progress + STATUS, status);
  work_store(channel.progress + COUNT, count);
  work_store(channel.progress + REMAINING, remaining);
  work_store(channel.progress + PEAK, peak);
}

// Bits of a tile's bound after the last component.
fn raised(k: u32, bound: u32) -> u32 {
  let corner = tiles_load(channel.tiles + 2u * k);
  // The PSF pixel that meets the tile's first: the tile meets it and the 31 that follow, which lie in
  // the window that begins with their first block.
  let x = i32((corner & 0xffffu) * 32u + params.nx / 2u) - i32(position & 0xffffu);
  let y = i32((corner >> 16u) * 32u + params.ny / 2u) - i32(position >> 16u);
  if x < -31 || y < -31 || x >= i32(params.nx) || y >= i32(params.ny) {
    return bound;
  }
  let window = u32((y + 32) >> 5u) * (params.tiles_x + 1u) + u32((x + 32) >> 5u);
  let most = bitcast<f32>(work_load(channel.windows + window));
  let sum = bitcast<u32>(bitcast<f32>(bound) + product(abs(flux), most));
  // 0 times infinity.
  return min(sum & 0x7fffffffu, INFINITY);
}

// Raises the bounds by what the last component may add, and leaves in element 0 the tile of the
// largest: of equals one that is not exact (key 0), then the one whose winner comes first.
fn scan(t: u32) {
  let n = channel.tile_count;
  var magnitude = 0u;
  var key = NONE;
  var tile = NONE;
  for (var k = t; k < n; k += 256u) {
    let state = channel.states + k;
    var bound = work_load(state);
    if raise {
      bound = raised(k, bound);
      work_store(state, bound);
    }
    if bound >= magnitude {
      let exact = work_load(state + 3u * n) == count;
      let winner = select(0u, work_load(state + n), exact);
      if bound > magnitude || winner < key {
        magnitude = bound;
        key = winner;
        tile = k;
      }
    }
  }
  reduce(t, magnitude, key, tile);
}

// By one thread, when the best tile is exact: takes its winner for the next component, or ends.
fn take(winner: u32, tile: u32) {
  // All bounds are exact where it matters; a mask of nothing, or of NaN alone, has no winner.
  if winner == NONE {
    peak = 0u;
    status = DONE;
    return;
  }
  let value = work_load(channel.states + 2u * channel.tile_count + tile);
  let magnitude = value & 0x7fffffffu;
  peak = magnitude;
  status = DONE;
  if remaining == 0u || magnitude < channel.least {
    return;
  }
  let pixel = winner - 1u;
  let component = product(channel.gain, bitcast<f32>(value));
  let sum = model_load(channel.model + pixel) + component;
  // A diverging loop ends here, by bits: a compiler may assume that there is no infinity.
  if (bitcast<u32>(sum) & INFINITY) == INFINITY {
    return;
  }
  model_store(channel.model + pixel, sum);
  position = (pixel % params.nx) + ((pixel / params.nx) << 16u);
  flux = component;
  work_store(channel.components + 2u * count, position);
  work_store(channel.components + 2u * count + 1u, bitcast<u32>(component));
  count += 1u;
  remaining -= 1u;
  raise = true;
  status = select(RUNNING, COMPONENTS_FULL, count == params.capacity);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  channel = channels[params.first_channel + group.x];
  if t == 0u {
    resume();
  }
  workgroupBarrier();
  loop {
    scan(t);
    if t == 0u {
      next = vec3(best_key[0], best_note[0], u32(running));
    }
    let best = workgroupUniformLoad(&next);
    // Only here, so that the last component has gone into the bounds.
    if best.z == 0u {
      break;
    }
    let tile = best.y;
    var spent = 1u + (channel.tile_count + 255u) / 256u + REDUCE_TURNS;
    if best.x == 0u {
      let state = channel.states + tile;
      let applied = work_load(state + 3u * channel.tile_count);
      refresh(t, tile, applied, count);
      if t == 0u {
        work_store(state, best_magnitude[0]);
        work_store(state + channel.tile_count, best_key[0]);
        work_store(state + 2u * channel.tile_count, best_note[0]);
        work_store(state + 3u * channel.tile_count, count);
        raise = false;
      }
      spent += count - applied + REDUCE_TURNS;
    } else if t == 0u {
      raise = false;
      take(best.x, tile);
    }
    if t == 0u {
      turns += spent;
      running = status == RUNNING && turns < params.turns;
    }
    // All see what one thread wrote: the above, components, the tile's state.
    workgroupBarrier();
    storageBarrier();
  }
  if t == 0u {
    save();
  }
}
