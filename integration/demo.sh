#!/usr/bin/env bash
# A real pipeline, unmodified, whose commands become jobs.
# usage: integration/demo.sh
#
# Installs what it needs, builds the project, makes reads and runs Snakemake on them with
# libshim.so preloaded. Everything that it writes is in one new directory below /tmp.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
pipelines=$PWD/integration/pipelines
PATH=$PATH:$HOME/.cargo/bin

heading() { printf '\n== %s\n' "$*"; }

heading "Setting up"
integration/setup.sh demo

heading "Building libshim.so and redirector"
redirector/build.sh --locked
built=${CARGO_TARGET_DIR:-$PWD/target}/dist

# Not below TMPDIR: the path of a Unix socket may have 107 characters and no more.
directory=$(mktemp -d /tmp/redirector-demo.XXXXXX)
export REDIRECTOR_STATE_DIR=$directory/state REDIRECTOR_WHITELIST=$pipelines/whitelist
trap '"$built/redirector" stop >/dev/null || true' EXIT

heading "Making a reference and reads in $directory"
"$pipelines/gen-data.sh" "$directory/data"
ls "$directory/data"

heading "The pipeline as it is, with libshim.so"
snakemake=(snakemake --snakefile "$pipelines/snakemake/Snakefile" --cores 2
    --directory "$directory/out" --config "data=$directory/data" --quiet all)
echo "LD_PRELOAD=$built/libshim.so ${snakemake[*]}"
LD_PRELOAD=$built/libshim.so PATH=$PATH:$HOME/.cache/redirector-tests/snakemake/bin \
    "${snakemake[@]}"

heading "Are the results right?"
"$pipelines/check.sh" "$directory/data" "$directory/out"

heading "What became a job (redirector jobs --tree)"
"$built/redirector" jobs --tree

heading "Done; the results are in $directory/out"
