# A menu over cargo and podlab. No logic of its own.

# What there is
default:
    @just --list

# Start the cluster and the book (Ctrl-C stops both)
start *ARGS:
    cargo run -- start {{ARGS}}

# Every test that needs nothing but this machine
test *ARGS:
    cargo test {{ARGS}}

# The tests that need the kernel on every layout of cgroups, in a virtual machine: `just test-cgroup2 v2`
test-cgroup2 *LAYOUTS:
    .ci/cgroup-layouts {{LAYOUTS}}

# Run a lab: `just lab kuard`, `just lab kuard --auto`
lab NAME *ARGS:
    cargo run -- lab run {{NAME}} {{ARGS}}

# Grade an exercise: `just check kuard-ports my-pod.yaml`
check EXERCISE *FILE:
    cargo run -- check {{EXERCISE}} {{FILE}}

# Build the book; `just book serve` serves it
book ACTION="build":
    cargo run -- book {{ACTION}}

# Format, lints, documentation
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo doc --workspace --no-deps --document-private-items

# Benchmarks of the debug and of the release build, as a table; `just bench pod-get` measures one figure
bench *ARGS:
    cargo build -p podlab
    cargo bench --profile dev -p podlab-bench -- {{ARGS}}
    cargo build --release -p podlab
    cargo bench -p podlab-bench -- {{ARGS}}

# Every fuzz target for a minute, or for so many seconds: `just fuzz 600 yaml spdy`
fuzz SECONDS="60" *TARGETS:
    fuzz/run {{SECONDS}} {{TARGETS}}

# The whole gate, as it runs before a change is taken
ci:
    .ci/run
