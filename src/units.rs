//! Quantities with units, as tclean's parameters carry them: "0.0046arcsec", "230.538GHz",
//! "10km/s", "4mJy".
