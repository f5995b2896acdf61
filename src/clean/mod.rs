//! Major and minor cycles of one batch of channels: iteration control and stop codes.
