//! Links the one binary to a fixed place in memory.
//!
//! A static program that may lie anywhere has a hundred thousand addresses put right each time it starts, in memory that it
//! then shares with nobody: milliseconds and megabytes for each part of a cluster and for each container of a built-in
//! image. All of them are this binary.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, wanted: &str| std::env::var(name).is_ok_and(|all| all.split(',').any(|one| one == wanted));
    if is("CARGO_CFG_TARGET_ENV", "gnu") && is("CARGO_CFG_TARGET_FEATURE", "crt-static") {
        // Of `-static-pie`, `-no-pie` and `-static` the last ones count.
        println!("cargo:rustc-link-arg-bins=-no-pie");
        println!("cargo:rustc-link-arg-bins=-static");
    }
}
