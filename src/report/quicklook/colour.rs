//! Colour maps. Steps of equal value look equally large, and they survive printing in grey.

use plotters::style::RGBColor;

/// A colour map: colours at equal steps from 0 to 1, linear between.
pub type Map = [(u8, u8, u8)];

/// matplotlib's "inferno" (Smith and van der Walt, CC0), dark to bright: for intensities.
pub const INFERNO: &Map = &[
    (0, 0, 4),
    (11, 7, 36),
    (33, 12, 74),
    (61, 9, 101),
    (87, 16, 110),
    (113, 25, 110),
    (138, 34, 106),
    (163, 44, 97),
    (188, 55, 84),
    (210, 70, 68),
    (228, 90, 49),
    (241, 115, 29),
    (249, 142, 9),
    (252, 172, 17),
    (249, 203, 53),
    (242, 234, 105),
    (252, 255, 164),
];

/// Moreland's "cool warm", blue over grey to red: approaching and receding.
pub const COOLWARM: &Map = &[
    (59, 76, 192),
    (78, 104, 216),
    (98, 130, 234),
    (119, 154, 247),
    (141, 176, 254),
    (163, 194, 254),
    (185, 208, 249),
    (204, 217, 237),
    (221, 220, 220),
    (236, 211, 197),
    (245, 196, 172),
    (247, 176, 147),
    (244, 152, 122),
    (235, 125, 98),
    (221, 95, 75),
    (202, 59, 55),
    (180, 4, 38),
];

/// The colour of a value; values outside 0 to 1 take the nearest end's.
pub fn colour(map: &Map, value: f64) -> RGBColor {
    let steps = map.len() - 1;
    let at = value.clamp(0.0, 1.0) * steps as f64;
    let below = (at as usize).min(steps - 1);
    let part = at - below as f64;
    let ((r0, g0, b0), (r1, g1, b1)) = (map[below], map[below + 1]);
    let mix = |a: u8, b: u8| (f64::from(a) + part * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(mix(r0, r1), mix(g0, g1), mix(b0, b1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_middle() {
        assert_eq!(colour(INFERNO, -1.0), RGBColor(0, 0, 4));
        assert_eq!(colour(INFERNO, 2.0), RGBColor(252, 255, 164));
        assert_eq!(colour(COOLWARM, 0.5), RGBColor(221, 220, 220));
        assert_eq!(colour(INFERNO, 1.0 / 32.0), RGBColor(6, 4, 20));
    }
}
