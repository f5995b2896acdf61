//! Masks in the form that the minor cycle's shaders read: lists of the tiles that hold masked pixels.

use crate::mask::Mask;

/// Pixels along each side of a tile; 32, a word of the mask, as `shaders/shared/tiles.wgsl` says.
pub(super) const TILE: usize = 32;

/// In place of where a tile's mask is: all pixels of the plane are in.
const FULL: u32 = u32::MAX;

/// Where a mask's tiles are in a [`TileTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TileList {
    /// Word of the first entry.
    pub(super) first: u32,
    /// Number of tiles.
    pub(super) count: u32,
}

/// The tile lists of several masks, in words for the device. A list is an entry of two words for each
/// tile (column + row · 2¹⁶ in tiles, word where its mask begins), then the masks, a word a row, of
/// the tiles that are not full.
#[derive(Default)]
pub(super) struct TileTable<'a> {
    pub(super) words: Vec<u32>,
    /// Channels often share a mask; each is listed once.
    known: Vec<(&'a Mask, TileList)>,
}

impl<'a> TileTable<'a> {
    /// The list of a mask, added unless the table has it; `None`, and the table as it was, if it would
    /// then exceed `most_words`.
    pub(super) fn list(&mut self, mask: &'a Mask, most_words: usize) -> Option<TileList> {
        if let Some((_, list)) = self.known.iter().find(|(known, _)| std::ptr::eq(*known, mask)) {
            return Some(*list);
        }
        let first = self.words.len();
        let (entries, rows) = describe(mask);
        if first + 2 * entries.len() + rows.len() > most_words.min(FULL as usize) {
            return None;
        }
        let list = TileList { first: first as u32, count: entries.len() as u32 };
        let mut at = list.first + 2 * list.count;
        for entry in entries {
            self.words.push(entry.corner);
            self.words.push(if entry.full { FULL } else { at });
            at += if entry.full { 0 } else { TILE as u32 };
        }
        self.words.extend(rows);
        self.known.push((mask, list));
        Some(list)
    }
}

struct Entry {
    corner: u32,
    full: bool,
}

/// The tiles of a mask in plane order, and the masks of those that are not full.
fn describe(mask: &Mask) -> (Vec<Entry>, Vec<u32>) {
    let (nx, ny) = (mask.nx(), mask.ny());
    let (mut entries, mut rows) = (Vec::new(), Vec::new());
    let words = nx.div_ceil(64);
    for tile_y in 0..ny.div_ceil(TILE) {
        let strip = tile_y * TILE..ny.min((tile_y + 1) * TILE);
        let (mut any, mut all) = (vec![0u64; words], vec![u64::MAX; words]);
        for y in strip.clone() {
            for ((any, all), word) in any.iter_mut().zip(&mut all).zip(mask.row(y)) {
                *any |= word;
                *all &= word;
            }
        }
        for tile_x in 0..nx.div_ceil(TILE) {
            let of = |row: &[u64]| (row[tile_x / 2] >> (tile_x % 2 * TILE)) as u32;
            if of(&any) == 0 {
                continue;
            }
            let inside = u32::MAX >> (TILE - TILE.min(nx - tile_x * TILE));
            let full = of(&all) == inside;
            entries.push(Entry { corner: tile_x as u32 | (tile_y as u32) << 16, full });
            if !full {
                rows.extend(strip.clone().map(|y| of(mask.row(y))));
                rows.resize(rows.len() + TILE - strip.len(), 0);
            }
        }
    }
    (entries, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the table has pixel (x, y), as the shaders read it.
    fn has(words: &[u32], list: TileList, (nx, ny): (usize, usize), x: usize, y: usize) -> bool {
        let entries = words[list.first as usize..][..2 * list.count as usize].chunks(2);
        let corner = ((x / TILE) | ((y / TILE) << 16)) as u32;
        entries.filter(|entry| entry[0] == corner).any(|entry| match entry[1] {
            FULL => x < nx && y < ny,
            at => words[at as usize + y % TILE] >> (x % TILE) & 1 == 1,
        })
    }

    #[test]
    fn tables_hold_exactly_the_pixels_and_each_mask_once() {
        for (nx, ny) in [(64, 64), (65, 33), (130, 71), (7, 3), (96, 40)] {
            let masks = [
                Mask::new(nx, ny, true),
                Mask::from_fn(nx, ny, |x, y| (x + y) % 3 == 0),
                Mask::new(nx, ny, false),
                Mask::from_fn(nx, ny, |x, y| x > 30 && y < 35),
            ];
            let mut table = TileTable::default();
            let lists: Vec<_> = masks.iter().map(|m| table.list(m, usize::MAX).unwrap()).collect();
            for (mask, &list) in masks.iter().zip(&lists) {
                for y in 0..ny.next_multiple_of(TILE) {
                    for x in 0..nx.next_multiple_of(TILE) {
                        let expected = x < nx && y < ny && mask.get(x, y);
                        assert_eq!(has(&table.words, list, (nx, ny), x, y), expected, "{x} {y}");
                    }
                }
            }
            let tiles = nx.div_ceil(TILE) * ny.div_ceil(TILE);
            assert_eq!(lists[0], TileList { first: 0, count: tiles as u32 });
            assert_eq!(lists[1].first as usize, 2 * tiles, "a full mask is entries alone");
            assert_eq!(lists[2].count, 0);
            let before = table.words.len();
            assert_eq!(table.list(&masks[1], before), Some(lists[1]));
            let another = masks[0].clone();
            assert_eq!(table.list(&another, before), None);
            assert_eq!(table.words.len(), before);
        }
    }
}
