//! Restoring: the model convolved with the clean beam, plus the residual; primary-beam correction.
