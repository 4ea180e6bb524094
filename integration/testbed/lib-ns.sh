#!/usr/bin/env bash
# The first process inside of new namespaces; lib.sh starts it, nobody else does.
# usage: lib-ns.sh head READY ADDRESS
#        lib-ns.sh host DIRECTORY NAME ADDRESS HEAD
#
# When all is set up it writes a line into the fifo READY (for a host: DIRECTORY/ready, the line is
# its process id as the machine has it), or 'failed'.
#
# DIRECTORY/files says what a host sees, one KEY=VALUE a line:
#   files=shared     the machine's files, but for /tmp, /var/tmp, /run, /dev/shm, and root's home,
#                    which is DIRECTORY/../../home for all hosts
#   files=private    a view of the machine's files in which what is written stays; home directories,
#                    /srv, /mnt and the above are empty
#   scratch=SIZE     of each of those that are empty
#   share=PATH       is seen there as it is here
#   over=FILE=PATH   DIRECTORY/FILE is seen as PATH
set -euo pipefail

set_up_head() { # ADDRESS
    hostname head
    # Neither is there a default route, so that nothing leaves.
    sysctl -qw net.ipv6.conf.all.disable_ipv6=1 2>/dev/null || true
    ip link set lo up
    ip link add bridge type bridge forward_delay 0
    ip address add "$1" dev bridge
    ip link set bridge up
}

set_up_network() { # NAME ADDRESS HEAD
    local cable=cable-$1 in_head=(nsenter --net="/proc/$3/ns/net")
    local last_byte=${2##*.}
    ip link set lo up
    # A host that went down a moment ago may have left its end of the cable there.
    "${in_head[@]}" ip link delete "$cable" 2>/dev/null || true
    ip link add eth0 type veth peer name "$cable" netns "/proc/$3/ns/net"
    # The same after each boot, for others remember it.
    ip link set eth0 address "$(printf '02:00:00:00:00:%02x' "${last_byte%/*}")"
    ip address add "$2" dev eth0
    ip link set eth0 up
    # Only now: of a cable whose other end comes up later the bridge hears after a second.
    "${in_head[@]}" ip link set "$cable" up
    "${in_head[@]}" ip link set "$cable" master bridge
}

mount_empty() { # MODE DIRECTORY...
    local mode=$1 directory
    shift
    for directory in "$@"; do
        mkdir -p "$root$directory"
        mount -t tmpfs -o "size=$scratch,mode=$mode" tmpfs "$root$directory"
    done
}

# The host's files, below $root, from where all of the machine's are still to be seen.
set_up_files() {
    local files=shared scratch=256m shares=() overs=() key value share over
    while IFS='=' read -r key value; do
        case $key in
        files) files=$value ;;
        scratch) scratch=$value ;;
        share) shares+=("$value") ;;
        over) overs+=("$value") ;;
        esac
    done <files

    mkdir -p stage
    mount -t tmpfs -o size=2g tmpfs stage
    root=$PWD/stage/root
    mkdir stage/{upper,work,root}
    if [ "$files" = private ]; then
        mount -t overlay -o "lowerdir=/,upperdir=$PWD/stage/upper,workdir=$PWD/stage/work" \
            overlay "$root"
        mount --rbind /sys "$root/sys"
        mount --rbind /dev "$root/dev"
        mount_empty 0755 /home /srv /mnt
        mount_empty 0700 /root
    else
        mount --rbind / $root
        mount --bind ../../home "$root/root"
    fi
    mount -t proc proc "$root/proc"
    mount_empty 1777 /tmp /var/tmp /dev/shm
    mount_empty 0755 /run
    mkdir -p "$root/run/sshd" "$root/run/lock" "$root/run/old"
    for share in "${shares[@]}"; do
        mkdir -p "$root$share"
        mount --rbind "$share" "$root$share"
    done
    for over in "${overs[@]}"; do
        mount --bind "${over%%=*}" "$root${over#*=}"
    done
}

what=$1
# Whatever ends this before it becomes something else.
trap 'echo failed >&"$ready"' EXIT
case $what in
head)
    exec {ready}>"$2"
    set_up_head "$3"
    echo ready >&"$ready"
    exec {ready}>&-
    exec sleep infinity
    ;;
host)
    cd "$2"
    exec {ready}>ready
    # As the machine's /proc has it, which is still mounted.
    read -r own _ </proc/self/stat
    hostname "$3"
    set_up_network "$3" "$4" "$5"
    set_up_files
    cd "$root"
    pivot_root . run/old
    cd /
    umount -l /run/old
    rmdir /run/old
    echo "$own" >&"$ready"
    exec {ready}>&-
    # Orphans become its children; the kernel waits for children of those who ignore SIGCHLD.
    exec env --ignore-signal=CHLD sleep infinity
    ;;
esac
