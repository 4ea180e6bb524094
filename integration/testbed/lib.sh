# What the scripts of this directory have in common: processes that outlive a script, and a
# network of their own for hosts that are made of namespaces. Sourced, never run.
# shellcheck shell=bash

testbed=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# No interface of the machine has these addresses: they exist only inside of the head's network.
network=10.77.0

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# --- processes
#
# A process that was started here holds a lock for as long as it lives. So whether it lives is
# never a guess from its number, which may have passed to another process, and its end can be
# waited for.

# spawn NAME LOG COMMAND...: in a session of its own
spawn() {
    local name=$1 log=$2 lock
    shift 2
    mkdir -p "$state/run"
    exec {lock}>"$state/run/$name.lock"
    flock --nonblock "$lock" || fail "$name is running already"
    setsid "$@" </dev/null >>"$log" 2>&1 &
    echo $! >"$state/run/$name.pid"
    disown
    exec {lock}>&-
}

is_alive() { # NAME
    [ -e "$state/run/$1.lock" ] && ! flock --nonblock "$state/run/$1.lock" true
}

pid_of() { # NAME
    is_alive "$1" && cat "$state/run/$1.pid"
}

# end NAME: returns when the process is gone
end() {
    local pid
    if pid=$(pid_of "$1"); then
        kill -KILL "$pid" 2>/dev/null || true
        flock --wait 20 "$state/run/$1.lock" true || fail "$1 (process $pid) does not end"
    fi
    rm -f "$state/run/$1".{pid,lock}
}

# spawn_until_ready NAME LOG FIFO COMMAND...: prints what the command writes into FIFO once it is
# ready; everything else that it says is in LOG, and is shown when it fails
spawn_until_ready() {
    local name=$1 log=$2 fifo=$3 ready answer
    shift 3
    rm -f "$fifo"
    mkfifo "$fifo"
    : >"$log"
    spawn "$name" "$log" "$@"
    # Both ends, so that the time limit below is also for a command that never opens it. Who does
    # waits for this.
    exec {ready}<>"$fifo"
    if ! read -r -t 20 -u "$ready" answer || [ "$answer" = failed ]; then
        cat "$log" >&2
        end "$name"
        fail "$name did not come up"
    fi
    exec {ready}>&-
    rm -f "$fifo"
    printf '%s\n' "$answer"
}

# --- the head: from where hosts are reached
#
# A network and a host name of its own, but the files and processes of the machine. It has a
# bridge and no way out: no packet to a host that is down can leave the machine.

start_head() {
    mkdir -p "$state"
    spawn_until_ready head "$state/head.log" "$state/head.ready" \
        unshare --net --uts bash "$testbed/lib-ns.sh" head "$state/head.ready" "$network.1/24" \
        >/dev/null
}

in_head() { # COMMAND...: same working directory
    local pid
    pid=$(pid_of head) || fail "not started"
    nsenter --target "$pid" --net --uts -- "$@"
}

# --- hosts: a network, name, processes and mounts of their own, on the head's bridge

# start_host HOST NUMBER: what is to be seen there is in the host's directory; see lib-ns.sh
start_host() {
    local directory=$state/hosts/$1 init head
    head=$(pid_of head) || fail "not started"
    init=$(spawn_until_ready "host.$1" "$directory/log" "$directory/ready" \
        unshare --net --uts --mount --pid --ipc --fork --kill-child --propagation slave \
        bash "$testbed/lib-ns.sh" host "$directory" "$1" "$network.$((10 + $2))/24" "$head") ||
        exit 1
    # Its first process instead of unshare's, which waits for the end of all of them: with the
    # first process the kernel ends all others.
    echo "$init" >"$state/run/host.$1.pid"
}

in_host() { # HOST COMMAND...
    local pid
    pid=$(pid_of "host.$1") || fail "$1 is down"
    shift
    nsenter --target "$pid" --net --uts --mount --pid --ipc --wdns=/ -- "$@"
}

# --- faults of a host's cable

cut_cable() { in_head ip link set "cable-$1" down; }
heal_cable() { in_head ip link set "cable-$1" up; }

# delay_cable HOST MILLISECONDS [JITTER [LOSS]]
delay_cable() {
    local directory=$state/hosts/$1
    undelay_cable "$1"
    # Frames that pass through a program must carry their checksums.
    in_head python3 "$testbed/netdelay.py" --no-offload "cable-$1"
    in_host "$1" python3 "$testbed/netdelay.py" --no-offload eth0
    in_head ip link set "cable-$1" nomaster promisc on
    spawn_until_ready "delay.$1" "$directory/delay.log" "$directory/delay.ready" \
        nsenter --target "$(pid_of head)" --net -- python3 "$testbed/netdelay.py" \
        --cable "cable-$1" --bridge bridge --tap "tap-$1" --delay "$2" --jitter "${3:-0}" \
        --loss "${4:-0}" --ready "$directory/delay.ready" >/dev/null
}

undelay_cable() { # HOST
    is_alive "delay.$1" || return 0
    end "delay.$1"
    in_head ip link set "cable-$1" promisc off master bridge
}
