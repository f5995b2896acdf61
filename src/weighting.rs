//! Imaging weights: natural, uniform, briggs, briggsbwtaper, and tapers.
