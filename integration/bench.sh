#!/usr/bin/env bash
# Builds everything that is compared and measures it; see integration/benches/main.rs.
# usage: integration/bench.sh [--quick] [GROUP...]
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:$HOME/.cargo/bin

integration/setup.sh bench
redirector/build.sh --locked
export REDIRECTOR_TEST_ARTEFACTS=${CARGO_TARGET_DIR:-$PWD/target}/dist
cargo build --release --locked --features integration/benches --lib --bins \
    -p redirector -p shim -p redhook-baseline -p integration
# The dispatcher alone, in virtual time; see docs/decisions/dispatcher-speed.md.
cargo bench --locked -p redirector --bench simulation
exec target/release/costs "$@"
