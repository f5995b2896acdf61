//! The CPU backend: rayon over channels, tiles and rows.
