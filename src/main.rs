//! The command `cubeclean`.

fn main() {}
