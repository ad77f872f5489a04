//! Nothing: all of this crate is its tests. They are apart so that what they are built with burdens no other build.
