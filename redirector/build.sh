#!/usr/bin/env bash
# Builds what is installed, and puts it into target/dist:
#
#   libshim.so        is preloaded
#   redirector        the program
#   redirector-exec   the same program linked with musl: what libshim.so starts in a command's place
#
# The last one is left out, with a word about it, where it cannot be built: then commands start as well,
# in a virtual machine half a millisecond later (docs/decisions/static-binary.md).
# usage: redirector/build.sh [OPTION OF CARGO...]
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:$HOME/.cargo/bin
target_directory=$(cargo metadata --format-version 1 --no-deps |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
dist=$target_directory/dist
musl=$(uname -m)-unknown-linux-musl

cargo build --release "$@" -p shim -p redirector

# Why the quicker one cannot be built; nothing if it can.
obstacle() {
    if ! command -v musl-gcc >/dev/null; then
        echo "musl-gcc is missing (Debian: apt-get install musl-tools)"
    elif ! [ -d "$(rustc --print sysroot)/lib/rustlib/$musl" ] && ! rustup target add "$musl" >&2; then
        echo "the Rust toolchain has no $musl"
    fi
}

mkdir -p "$dist"
# Never beside one of another version.
rm -f "$dist/redirector-exec"
obstacle=$(obstacle)
if [ -z "$obstacle" ]; then
    cargo build --release "$@" -p redirector --target "$musl"
    install "$target_directory/$musl/release/redirector" "$dist/redirector-exec"
else
    echo "build.sh: without redirector-exec: $obstacle" >&2
fi
install "$target_directory/release/redirector" "$target_directory/release/libshim.so" "$dist"
echo "built: $(cd "$dist" && echo "$PWD"/*)"
