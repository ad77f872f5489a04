//! The `podlab` command.

fn main() {}
