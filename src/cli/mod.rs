//! The command line. Nothing else knows clap.

pub mod unpack;
