// Tiles of 32 x 32 pixels that a mask touches (tiles.rs). An entry is the tile's column and row of
// tiles, 16 bits each, and where its mask is: 32 words, a row each, or FULL for all pixels of the
// plane. 256 threads look at a tile together, each at four pixels: column t % 32, rows t / 32 + 0,
// 8, 16, 24.
//@ storage read tiles u32

const FULL: u32 = 0xffffffffu;

// The thread's column.
fn tile_x(corner: u32, t: u32) -> u32 {
  return (corner & 0xffffu) * 32u + (t & 31u);
}

// The thread's rows.
fn tile_y(corner: u32, t: u32) -> vec4<u32> {
  return vec4((corner >> 16u) * 32u + (t >> 5u)) + vec4(0u, 8u, 16u, 24u);
}

// Which of the thread's pixels are in the mask.
fn tile_mask(mask: u32, x: u32, y: vec4<u32>, t: u32, nx: u32, ny: u32) -> vec4<bool> {
  if mask == FULL {
    return vec4(x < nx) & (y < vec4(ny));
  }
  let row = mask + (t >> 5u);
  let words = vec4(
    tiles_load(row),
    tiles_load(row + 8u),
    tiles_load(row + 16u),
    tiles_load(row + 24u),
  );
  return ((words >> vec4(t & 31u)) & vec4(1u)) == vec4(1u);
}
