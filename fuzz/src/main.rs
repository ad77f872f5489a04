//! libFuzzer's side of the targets in `podlab-fuzz`; `$PODLAB_FUZZ_TARGET` says which.
#![no_main]

use std::sync::LazyLock;

use podlab_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("PODLAB_FUZZ_TARGET").unwrap_or_default();
    podlab_fuzz::target(&name).unwrap_or_else(|| panic!("PODLAB_FUZZ_TARGET={name} is no target"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
