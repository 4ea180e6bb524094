# What slurm.sh and gridengine.sh have in common: an engine's daemons on the head, its nodes as
# hosts. Sourced by them after lib.sh, never run.
# shellcheck shell=bash

# An engine's script defines: usage, start, stop, status, nodes, and `client COMMAND...`.

# enter NAME VERB ARGUMENT...: does what every engine can do, and exits; else sets verb and
# arguments
enter() {
    [ -n "${TESTBED_DIR:-}" ] || { [ $# = 1 ] && usage; fail "TESTBED_DIR is to say where its files go"; }
    [ "$(id -u)" = 0 ] || fail "only root can make namespaces with networks"
    [ $# -gt 1 ] || usage
    mkdir -p -- "$TESTBED_DIR"
    state=$(cd -- "$TESTBED_DIR" && pwd -P)/$1
    # What the head and all nodes see under the same path.
    shared=$state/shared
    configuration=$shared/$1.conf
    PATH=$PATH:/usr/sbin:/sbin
    verb=$2
    shift 2
    arguments=("$@")
    case $verb in
    start) start "$@" ;;
    stop) stop ;;
    hold) hold "$@" ;;
    status) status ;;
    exec)
        local where=${1?head or a node}
        shift
        if [ "$where" = head ]; then client "$@"; else in_host "$where" "$@"; fi
        ;;
    *) return ;;
    esac
    exit
}

setting() { sed -n "s/^$1=//p" "$state/settings"; }

# Whoever started this may be killed at any moment: then its end of the pipe is closed, too, and
# nothing but that is to end this.
hold() {
    trap stop EXIT
    start "$@"
    # Not before: daemons inherit what is ignored.
    trap '' HUP INT TERM
    echo ready
    cat >/dev/null
}

# fault VERB NODE [ARGUMENT]...: of any node
fault() {
    local what=$1
    shift
    case $what in
    cut) cut_cable "$1" ;;
    heal) heal_cable "$1" ;;
    delay) if [ "${2:-}" = off ]; then undelay_cable "$1"; else delay_cable "$@"; fi ;;
    freeze) in_host "$1" bash -c 'kill -STOP -1' ;;
    thaw) in_host "$1" bash -c 'kill -CONT -1' ;;
    crash) cut_cable "$1" && undelay_cable "$1" && end "host.$1" ;;
    halt) undelay_cable "$1" && end "host.$1" ;;
    *) usage ;;
    esac
}

need_node() { [ -n "${1:-}" ] && [ -d "$state/hosts/$1" ] || usage; }

# answers COMMAND...: within a time that is enough on a busy machine. None of these daemons says
# when it is ready, but by answering.
answers() {
    local tries
    for ((tries = 0; tries < 400; tries++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.05
    done
    return 1
}

# daemon NAME COMMAND...: on the head. A shell waits for it and holds the lock of `spawn`, because
# slurmctld closes every descriptor that it inherits.
daemon() {
    local name=$1 head pid
    shift
    head=$(pid_of head)
    # shellcheck disable=SC2016
    pid=$(spawn_until_ready "$name" "$state/$name.out" "$state/$name.ready" \
        nsenter --target "$head" --net --uts -- \
        bash -c 'ready=$1; shift; "$@" & echo $! >"$ready"; wait' daemon "$state/$name.ready" "$@") ||
        exit 1
    echo "$pid" >"$state/run/$name.pid"
}

# prepare_nodes FILES SCRATCH [SHARE]...: what each is to see
prepare_nodes() {
    local files=$1 scratch=$2 node
    shift 2
    {
        echo '127.0.0.1 localhost'
        echo "$network.1 head"
        for node in $(nodes); do echo "$(address "$node") $node"; done
    } >"$state/addresses"
    for node in $(nodes); do
        mkdir -p "$state/hosts/$node"
        printf '%s\n' "files=$files" "scratch=$scratch" "share=$shared" "${@/#/share=}" \
            'over=../../addresses=/etc/hosts' >"$state/hosts/$node/files"
    done
}

address() { echo "$network.$((10 + ${1#[a-z]}))"; } # NODE

stop_nodes() {
    local node
    for node in $(nodes); do
        undelay_cable "$node"
        end "host.$node"
    done
}
