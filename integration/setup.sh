#!/usr/bin/env bash
# Installs what the demo, the tests and the benchmarks need on a Debian machine with a Rust toolchain.
# usage: integration/setup.sh demo|tests|bench
#
# Quick when all is there. As root it installs; for anybody else it prints the command that does.
# Snakemake goes into ~/.cache/redirector-tests, which may be deleted at any time.
set -euo pipefail

snakemake_version=9.27.1
cache=$HOME/.cache/redirector-tests

case ${1:-} in
demo | tests | bench) what_for=$1 ;;
*)
    echo "usage: $0 demo|tests|bench" >&2
    exit 2
    ;;
esac

say() { echo "setup.sh: $*"; }
fail() {
    echo "setup.sh: $*" >&2
    exit 1
}

# Debian packages that are needed and not installed, one a line.
missing_packages() {
    local wanted=(gcc libc6-dev ca-certificates bwa samtools bcftools python3 python3-venv)
    if [ "$what_for" != demo ]; then
        wanted+=(make ninja-build dash zsh perl ruby gawk tcl parallel r-base-core musl-tools
            binutils-aarch64-linux-gnu strace procps task-spooler
            openssh-server openssh-client iproute2
            slurm-wlm munge slurmrestd slurm-wlm-jwt-plugin
            slurmdbd slurm-wlm-mysql-plugin mariadb-server
            gridengine-master gridengine-exec gridengine-client bsd-mailx)
        # Often installed in other ways than by these packages.
        command -v node >/dev/null || wanted+=(nodejs)
        { command -v java && command -v javac; } >/dev/null || wanted+=(openjdk-17-jdk-headless)
    fi
    local package
    for package in "${wanted[@]}"; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' ||
            echo "$package"
    done
}

# apt-get install waits for whoever else uses dpkg, but apt-get update gives up at once.
update_package_lists() {
    local tries=0 output
    until output=$(apt-get -q update 2>&1 </dev/null); do
        if ! grep -q 'Could not get lock' <<<"$output" || ((++tries == 150)); then
            fail "apt-get update failed: $output"
        fi
        sleep 2
    done
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]} > 0)) || return 0
    if [ "$(id -u)" != 0 ]; then
        fail "some packages are missing; install them and try again:
    sudo apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    update_package_lists
    # The tests start daemons of their own; this computer is to run none of them by itself.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        policy_is_ours=yes
    fi
    if [ "$what_for" != demo ]; then
        # Else the package would ask how to set up a cluster; the tests make theirs.
        echo 'gridengine-common shared/gridengineconfig boolean false' | debconf-set-selections
    fi
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 \
        install --no-install-recommends "${missing[@]}" </dev/null >"$log" 2>&1 ||
        fail "apt-get install failed: $(tail -n 20 "$log")"
}

# usage: install_snakemake DIRECTORY [PLUGIN...]
install_snakemake() {
    local target=$cache/$1
    shift
    [ "$(cat "$target/version" 2>/dev/null)" = "$snakemake_version" ] && return
    say "installing Snakemake $snakemake_version in $target"
    mkdir -p "$cache"
    # Two runs at the same time would spoil each other's installation.
    exec 9>"$cache/lock"
    flock 9
    [ "$(cat "$target/version" 2>/dev/null)" = "$snakemake_version" ] && return
    rm -rf "$target"
    { /usr/bin/python3 -m venv "$target" &&
        "$target/bin/pip" --quiet --disable-pip-version-check install \
            "snakemake==$snakemake_version" "$@" &&
        "$target/bin/snakemake" --version; } </dev/null >"$log" 2>&1 ||
        fail "Snakemake could not be installed: $(tail -n 20 "$log")"
    echo "$snakemake_version" >"$target/version"
}

command -v apt-get >/dev/null ||
    fail "this machine has no apt-get; install the programs of missing_packages() in $0 yourself"
command -v cargo >/dev/null || [ -x "$HOME/.cargo/bin/cargo" ] ||
    fail "there is no Rust toolchain; https://rustup.rs tells how to install one"
log=$(mktemp)
# What packages ask whether they may start their services (101: they may not).
policy=/usr/sbin/policy-rc.d
policy_is_ours=no
clean_up() {
    rm -f "$log"
    if [ "$policy_is_ours" = yes ]; then rm -f "$policy"; fi
}
trap clean_up EXIT
install_packages
install_snakemake snakemake
if [ "$what_for" = bench ]; then
    # What the benchmark 'engine-pipeline' compares us to.
    install_snakemake snakemake-plugins snakemake-executor-plugin-cluster-generic==1.0.9 \
        snakemake-executor-plugin-slurm==2.8.0
fi
say "everything for the $what_for is installed"
