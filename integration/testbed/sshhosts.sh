#!/usr/bin/env bash
# Computers to log in to by ssh, made of namespaces; see README.md.
set -euo pipefail
# shellcheck source=integration/testbed/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat >&2 <<'USAGE'
usage: TESTBED_DIR=DIRECTORY sshhosts.sh VERB ...
  start [-n COUNT] [--files shared|private] [--scratch SIZE] [--share DIRECTORY]...
                               a head and the hosts h1, h2, ...; root logs in by key
  stop                         and everything that runs there
  hold [OPTION]...             as start; says 'ready', and stops when its standard input ends
  status                       the head and each host; exits 1 when there are none
  exec head|HOST COMMAND...    on the head (same directory), or on a host without ssh
  sshd HOST [OPTION]...        starts its sshd anew, with these lines first in its configuration
  over HOST FILE PATH          FILE is seen there as PATH
faults:
  cut HOST | heal HOST         the cable; connections hang, and go on
  delay HOST MILLISECONDS [JITTER [LOSS]] | delay HOST off
  kill-sshd HOST               the listener; sessions go on. sshd starts it again
  kill-sessions HOST           the sshd of every session, not what runs in them
  freeze HOST | thaw HOST      stops every process, or lets them go on
  no-fork HOST | fork HOST     no process can be made, or can be again
  crash HOST                   as a power cut: nobody is told
  halt HOST                    every process ends, connections are closed
  boot HOST                    what crashed or was halted
USAGE
    exit 2
}

# --- sshd

write_sshd_configuration() { # HOST [OPTION]...: the first line that sets an option decides
    local host=$1 directory=$state/hosts/$1/etc-ssh
    shift
    mkdir -p "$directory"
    [ -f "$directory/ssh_host_ed25519_key" ] ||
        ssh-keygen -q -t ed25519 -N '' -C "$host" -f "$directory/ssh_host_ed25519_key"
    cp "$state/key.pub" "$directory/authorized_keys"
    {
        [ $# = 0 ] || printf '%s\n' "$@"
        cat <<'OPTIONS'
AddressFamily inet
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized_keys
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PidFile /run/sshd.ready
Subsystem sftp internal-sftp
OPTIONS
    } >"$directory/sshd_config"
}

# sshd writes its process id into its file when it listens: a fifo there makes that an event.
start_sshd() { # HOST
    in_host "$1" bash -c '
        rm -f /run/sshd.ready
        mkfifo /run/sshd.ready
        /usr/sbin/sshd -E /run/sshd.log &&
            read -r -t 20 listener <>/run/sshd.ready && echo "$listener" >/run/sshd.listener' ||
        fail "sshd does not start on $1"
}

# Returns when it is gone: else somebody might connect to what is being closed.
kill_sshd() { # HOST
    in_host "$1" bash -c '
        [ -e /run/sshd.listener ] || exit 0
        python3 -c "$1" "$(cat /run/sshd.listener)"
        rm -f /run/sshd.listener' kill '
import os, select, signal, sys
process = os.pidfd_open(int(sys.argv[1]))
signal.pidfd_send_signal(process, signal.SIGKILL)
select.select([process], [], [])'
}

kill_sessions() { # HOST
    # All of that name there are the host's own.
    in_host "$1" bash -c '
        listener=$(cat /run/sshd.listener 2>/dev/null)
        for process in $(pgrep -x sshd); do
            [ "$process" = "$listener" ] || kill -KILL "$process" 2>/dev/null
        done
        true'
}

# --- hosts

boot() { # HOST
    start_host "$1" "${1#h}"
    start_sshd "$1"
}

start() {
    local count=2 files=shared scratch=256m shares=() hosts=() host boots=() program
    while [ $# -gt 0 ]; do
        case $1 in
        -n) count=$2 ;;
        --files) files=$2 ;;
        --scratch) scratch=$2 ;;
        --share) shares+=("$(cd -- "$2" && pwd -P)") ;;
        *) usage ;;
        esac
        shift 2
    done
    for program in sshd ssh ssh-keygen ip nsenter unshare python3; do
        command -v "$program" >/dev/null ||
            fail "there is no $program: integration/setup.sh tests installs it"
    done
    ! is_alive head || fail "started already in $state"
    rm -rf "$state"
    mkdir -p "$state/home"
    ssh-keygen -q -t ed25519 -N '' -C testbed -f "$state/key"
    hosts=($(seq -f h%g "$count"))
    {
        echo '127.0.0.1 localhost'
        echo "$network.1 head"
        for host in "${hosts[@]}"; do echo "$network.$((10 + ${host#h})) $host"; done
    } >"$state/addresses"
    start_head
    for host in "${hosts[@]}"; do
        write_sshd_configuration "$host"
        echo "$host" >"$state/hosts/$host/name"
        printf '%s\n' "files=$files" "scratch=$scratch" "${shares[@]/#/share=}" \
            'over=../../addresses=/etc/hosts' 'over=name=/etc/hostname' 'over=etc-ssh=/etc/ssh' \
            >"$state/hosts/$host/files"
        boot "$host" &
        boots+=($!)
    done
    for host in "${boots[@]}"; do wait "$host"; done
    write_client_configuration "${hosts[@]}"
}

write_client_configuration() { # HOST...
    local host address
    for host; do
        address=$network.$((10 + ${host#h}))
        printf 'Host %s\n  HostName %s\n  HostKeyAlias %s\n' "$host" "$address" "$host" >>"$state/ssh_config"
        printf '%s %s\n' "$host" "$(cat "$state/hosts/$host/etc-ssh/ssh_host_ed25519_key.pub")" \
            >>"$state/known_hosts"
    done
    cat >>"$state/ssh_config" <<CONFIGURATION
Host *
  User root
  IdentityFile $state/key
  IdentitiesOnly yes
  UserKnownHostsFile $state/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  ConnectTimeout 10
CONFIGURATION
}

hosts() {
    local directory
    for directory in "$state"/hosts/*/; do [ ! -d "$directory" ] || basename "$directory"; done
}

stop() {
    local host
    for host in $(hosts); do
        undelay_cable "$host"
        end "host.$host"
        remove_process_limit "$host"
    done
    end head
}

# Whoever started this may be killed at any moment: then its end of the pipe is closed, too, and
# nothing but that is to end this.
hold() {
    trap stop EXIT
    start "$@"
    # Not before: hosts inherit what is ignored.
    trap '' HUP INT TERM
    echo ready
    cat >/dev/null
}

status() {
    local host
    is_alive head || { echo stopped; return 1; }
    echo 'head up'
    for host in $(hosts); do
        if is_alive "host.$host"; then echo "$host up"; else echo "$host down"; fi
    done
}

over() { # HOST FILE PATH
    # As a copy: what the host cannot see it cannot mount either.
    # shellcheck disable=SC2016
    in_host "$1" bash -c '
        copy=$(mktemp /run/over.XXXXXX)
        cat >"$copy" && chmod "$1" "$copy" && mount --bind "$copy" "$2"' \
        over "$(stat -c %a "$2")" "$3" <"$2"
}

# --- a host on which no process can be made

process_limit() { # HOST: the control group that has its processes
    local parent
    for parent in /sys/fs/cgroup/pids /sys/fs/cgroup; do
        if [ -e "$parent/cgroup.controllers" ] || [ "${parent##*/}" = pids ] && [ -d "$parent" ]; then
            printf '%s/redirector-%s-%s\n' "$parent" "$(printf %s "$state" | cksum | cut -d' ' -f1)" "$1"
            return
        fi
    done
    fail "this machine cannot limit the number of processes"
}

forbid_processes() { # HOST
    local group processes process
    group=$(process_limit "$1")
    mkdir -p "$group"
    # Those that are made meanwhile are in the group if their parents are.
    in_host "$1" true
    processes=$(processes_of "$1")
    for process in $processes; do echo "$process" >"$group/cgroup.procs" 2>/dev/null || true; done
    cat "$group/pids.current" >"$group/pids.max"
}

processes_of() { # HOST: their numbers here
    local namespace process
    namespace=$(readlink "/proc/$(pid_of "host.$1")/ns/pid")
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/ns/pid" 2>/dev/null)" != "$namespace" ] || echo "${process#/proc/}"
    done
}

allow_processes() { # HOST
    echo max >"$(process_limit "$1")/pids.max"
}

remove_process_limit() { # HOST, which is down
    local group
    group=$(process_limit "$1" 2>/dev/null) && [ ! -d "$group" ] || rmdir "$group"
}

[ -n "${TESTBED_DIR:-}" ] || { [ $# = 0 ] && usage; fail "TESTBED_DIR is to say where its files go"; }
[ "$(id -u)" = 0 ] || fail "only root can make namespaces with networks"
[ $# -gt 0 ] || usage
mkdir -p -- "$TESTBED_DIR"
state=$(cd -- "$TESTBED_DIR" && pwd -P)/sshhosts
PATH=$PATH:/usr/sbin:/sbin

verb=$1
shift
case $verb in
start) start "$@" ;;
stop) stop ;;
hold) hold "$@" ;;
status) status ;;
exec)
    where=${1?a host}
    shift
    if [ "$where" = head ]; then in_head "$@"; else in_host "$where" "$@"; fi
    ;;
*)
    [ -d "$state/hosts/${1:-}" ] && [ -n "${1:-}" ] || usage
    case $verb in
    sshd) kill_sshd "$1" && write_sshd_configuration "$@" && start_sshd "$1" ;;
    over) [ $# = 3 ] || usage; over "$@" ;;
    cut) cut_cable "$1" ;;
    heal) heal_cable "$1" ;;
    delay) if [ "${2:-}" = off ]; then undelay_cable "$1"; else delay_cable "$@"; fi ;;
    kill-sshd) kill_sshd "$1" ;;
    kill-sessions) kill_sessions "$1" ;;
    freeze) in_host "$1" bash -c 'kill -STOP -1' ;;
    thaw) in_host "$1" bash -c 'kill -CONT -1' ;;
    no-fork) forbid_processes "$1" ;;
    fork) allow_processes "$1" ;;
    crash) cut_cable "$1" && undelay_cable "$1" && end "host.$1" ;;
    halt) undelay_cable "$1" && end "host.$1" ;;
    boot) boot "$1" ;;
    *) usage ;;
    esac
    ;;
esac
