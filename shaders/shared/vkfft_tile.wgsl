// A tile on its way from columns, where rows are neighbours, to rows, where columns are, or back. The
// odd width keeps threads that read across it off each other's memory banks.
const TILE: u32 = 16u;
var<workgroup> tile: array<array<vec2<f32>, 17>, 16>;
