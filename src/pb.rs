//! The primary beam of an antenna.
