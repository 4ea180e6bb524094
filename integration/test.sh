#!/usr/bin/env bash
# Sets up, builds, checks and tests everything.
# usage: integration/test.sh
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:$HOME/.cargo/bin

heading() { printf '\n== %s\n' "$*"; }

heading "Setting up"
integration/setup.sh tests

# The tests are of what is installed.
heading "Building"
redirector/build.sh --locked
export REDIRECTOR_TEST_ARTEFACTS=${CARGO_TARGET_DIR:-$PWD/target}/dist
cargo build --release --locked --workspace --all-targets

heading "Format and lints"
cargo fmt --all --check
cargo clippy --release --locked --workspace --all-targets --features integration/benches -- --deny warnings

# No compiler for this architecture can be counted on; its hand-written part is at least assembled.
heading "Assembling for aarch64"
for source in shim/src/arch/aarch64/*.s; do
    # What the compiler puts in for {name} is a symbol; any will do.
    sed 's/{\([a-z_]*\)}/\1/g' "$source" | aarch64-linux-gnu-as -o /dev/null -
    echo "$source"
done

# Everything was installed above: a test that misses something fails instead of being skipped.
export REDIRECTOR_TEST_ALL=1

heading "Tests"
if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --release --locked --workspace --no-fail-fast
else
    exec cargo test --release --locked --workspace --no-fail-fast
fi
