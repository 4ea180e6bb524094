#!/usr/bin/env bash
# A real Slurm: a head with the controller, and nodes made of namespaces; see README.md.
set -euo pipefail
# shellcheck source=integration/testbed/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=integration/testbed/lib-engines.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib-engines.sh"

usage() {
    cat >&2 <<'USAGE'
usage: TESTBED_DIR=DIRECTORY slurm.sh VERB ...
  start [-n COUNT] [--cpus CPUS] [--mem MIB] [--rest] [--accounting] [--oom-kill]
        [--set OPTION=VALUE]... [--share DIRECTORY]... [--files shared|private] [--scratch SIZE]
                               a head and the nodes n1, n2, ... with made-up cpus and memory
  stop                         and everything that runs there
  hold [OPTION]...             as start; says 'ready', and stops when its standard input ends
  status                       the daemons and each node; exits 1 when there are none
  exec head|NODE COMMAND...    on the head, where clients of Slurm have to run, or on a node
  token [SECONDS]              a token for slurmrestd
faults:
  down NODE | drain NODE | resume NODE           as an administrator would
  kill-slurmd NODE | start-slurmd NODE           the node's daemon; its jobs go on
  stop-controller | kill-controller | start-controller     stop saves its state first
  freeze-controller | thaw-controller            it takes connections and says nothing
  cut NODE | heal NODE | delay NODE MILLISECONDS [JITTER [LOSS]] | delay NODE off
  freeze NODE | thaw NODE      stops every process, or lets them go on
  crash NODE | halt NODE       the node with all its jobs, as by a power cut, or closing connections
  boot NODE                    what crashed or was halted
USAGE
    exit 2
}

# --- configuration. SLURM_CONF says where it is.

write_configuration() { # OPTION=VALUE...: the last one of a name counts
    local cpus mem line
    cpus=$(setting cpus) mem=$(setting mem)
    {
        cat <<OPTIONS
ClusterName=testbed
SlurmctldHost=head($network.1)
SlurmctldPort=6817
SlurmdPort=6818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$shared/munge.socket
CredType=cred/munge
StateSaveLocation=$shared/saved
SlurmdSpoolDir=$shared/spool.%n
SlurmctldPidFile=$shared/slurmctld.pid
SlurmdPidFile=$shared/slurmd.%n.pid
SlurmctldLogFile=$shared/slurmctld.log
SlurmdLogFile=$shared/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=$((mem / cpus))
SlurmdParameters=config_overrides
ReturnToService=1
SlurmctldTimeout=15
SlurmdTimeout=15
InactiveLimit=0
KillWait=3
MinJobAge=600
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=50000,bf_interval=5
MaxJobCount=20000
OPTIONS
        if [ "$(setting oom)" = yes ]; then
            printf '%s\n' JobAcctGatherType=jobacct_gather/linux JobAcctGatherFrequency=1 \
                JobAcctGatherParams=OverMemoryKill
        fi
        if [ "$(setting accounting)" = yes ]; then
            # Clients of slurmdbd do not look for the socket in AuthInfo.
            printf '%s\n' AccountingStorageType=accounting_storage/slurmdbd \
                "AccountingStorageHost=$network.1" "AccountingStoragePass=$shared/munge.socket"
        fi
        if [ "$(setting rest)" = yes ]; then
            printf '%s\n' AuthAltTypes=auth/jwt "AuthAltParameters=jwt_key=$shared/jwt.key"
        fi
        for line; do printf '%s\n' "$line"; done
    } | awk -F= '{ line[$1] = $0; if (!($1 in place)) { place[$1] = ++count; name[count] = $1 } }
        END { for (i = 1; i <= count; i++) print line[name[i]] }' >"$configuration"
    for line in $(nodes); do
        echo "NodeName=$line NodeHostname=$line NodeAddr=$(address "$line")" \
            "CPUs=$cpus RealMemory=$mem State=UNKNOWN"
    done >>"$configuration"
    echo 'PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP' >>"$configuration"
}

nodes() { seq -f n%g "$(setting nodes)"; }

# --- daemons

client() { in_head env SLURM_CONF="$configuration" "$@"; }

start_munged() {
    (umask 077 && head -c 1024 /dev/urandom >"$state/munge.key")
    daemon munged munged --foreground --force --key-file "$state/munge.key" \
        --socket "$shared/munge.socket" --pid-file "$state/munged.pid" \
        --log-file "$state/munged.log" --seed-file "$state/munged.seed"
    answers test -S "$shared/munge.socket" || fail "munged does not start: see $state/munged.out"
}

start_controller() {
    mkdir -p "$shared/saved"
    # -i: at its first start it finds no saved state.
    SLURM_CONF=$configuration daemon slurmctld slurmctld -D -i
    answers client squeue -h || fail "slurmctld does not start: see $shared/slurmctld.log"
}

stop_controller() {
    local pid
    pid=$(pid_of slurmctld) || return 0
    kill -TERM "$pid"
    flock --wait 20 "$state/run/slurmctld.lock" true || fail "slurmctld does not end"
}

start_database() {
    mkdir -p "$shared/database"
    mariadb-install-db --no-defaults --user=root --datadir="$shared/database" --skip-test-db \
        --auth-root-authentication-method=normal >"$state/mariadb.out" 2>&1
    daemon mariadbd mariadbd --no-defaults --user=root --datadir="$shared/database" \
        --socket="$shared/mariadb.socket" --bind-address=127.0.0.1 --port=3306 \
        --pid-file="$shared/mariadbd.pid" --innodb-buffer-pool-size=64M \
        --innodb-flush-log-at-trx-commit=0 --innodb-lock-wait-timeout=900 --skip-name-resolve
    local query=(mariadb --no-defaults -uroot -S "$shared/mariadb.socket" -e)
    answers "${query[@]}" 'select 1' || fail "mariadbd does not start: see $state/mariadbd.out"
    "${query[@]}" "create database accounts;
        create user slurm@'127.0.0.1' identified by 'testbed';
        grant all on accounts.* to slurm@'127.0.0.1'"
}

start_accounting() {
    start_database
    (umask 077 && cat >"$shared/slurmdbd.conf") <<OPTIONS
AuthType=auth/munge
AuthInfo=socket=$shared/munge.socket
DbdHost=head
DbdAddr=$network.1
SlurmUser=root
LogFile=$shared/slurmdbd.log
PidFile=$shared/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=3306
StorageUser=slurm
StoragePass=testbed
StorageLoc=accounts
OPTIONS
    SLURM_CONF=$configuration daemon slurmdbd slurmdbd -D
    answers client sacctmgr -n show cluster || fail "slurmdbd does not start: see $shared/slurmdbd.log"
    client sacctmgr -in add cluster testbed >/dev/null
    client sacctmgr -in add account testbed Cluster=testbed >/dev/null
    client sacctmgr -in add user root Account=testbed >/dev/null
}

# It refuses to run as root; as nobody it needs a capability to read what it must.
start_rest() {
    SLURM_CONF=$configuration SLURM_JWT=daemon daemon slurmrestd setpriv --reuid=nobody --regid=nogroup --clear-groups \
        --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search \
        slurmrestd -a rest_auth/jwt -s openapi/v0.0.38 "$network.1:6820"
    answers in_head bash -c "exec 3<>/dev/tcp/$network.1/6820" ||
        fail "slurmrestd does not start: see $state/slurmrestd.out"
}

start_slurmd() { # NODE
    mkdir -p "$shared/spool.$1"
    # shellcheck disable=SC2016
    in_host "$1" env SLURM_CONF="$configuration" setsid bash -c \
        'slurmd -D -N "$1" </dev/null >>"$2" 2>&1 &' slurmd "$1" "$shared/slurmd.$1.out"
}

kill_slurmd() { # NODE
    local pid
    pid=$(cat "$shared/slurmd.$1.pid") || fail "$1 has no slurmd"
    in_host "$1" kill -KILL "$pid"
}

# --- nodes

boot() { # NODE
    start_host "$1" "${1#n}"
    # At the usual place as well: some programs clear SLURM_CONF away with all of SLURM_*.
    in_host "$1" sh -c 'mount -t tmpfs tmpfs /etc/slurm && ln -s "$0" /etc/slurm/slurm.conf' \
        "$configuration"
    start_slurmd "$1"
}

are_usable() { # NODE...: as many as there are
    [ "$(client sinfo -h -N -n "$(IFS=,; echo "$*")" -t idle,mix,alloc -o %N | wc -l)" = $# ]
}

resume() { # NODE: whatever has taken it out of service
    client scontrol update nodename="$1" state=resume 2>/dev/null || true
    answers are_usable "$1" || fail "$1 stays $(client sinfo -h -N -n "$1" -o %T)"
}

# --- the whole

start() {
    local count=2 cpus=8 mem=8192 rest=no accounting=no oom=no extra=() shares=() boots=() node
    local files=shared scratch=256m program
    while [ $# -gt 0 ]; do
        case $1 in
        --rest) rest=yes ;;
        --accounting) accounting=yes ;;
        --oom-kill) oom=yes ;;
        *)
            case $1 in
            -n) count=$2 ;;
            --cpus) cpus=$2 ;;
            --mem) mem=$2 ;;
            --set) extra+=("$2") ;;
            --files) files=$2 ;;
            --scratch) scratch=$2 ;;
            --share) shares+=("$(cd -- "$2" && pwd -P)") ;;
            *) usage ;;
            esac
            shift
            ;;
        esac
        shift
    done
    for program in munged slurmctld slurmd sbatch ip nsenter unshare; do
        command -v "$program" >/dev/null ||
            fail "there is no $program: integration/setup.sh tests installs it"
    done
    ! is_alive head || fail "started already in $state"
    rm -rf "$state"
    mkdir -p "$state/home" "$shared"
    chmod 755 "$state" "$shared"
    printf '%s\n' "nodes=$count" "cpus=$cpus" "mem=$mem" "rest=$rest" "accounting=$accounting" \
        "oom=$oom" >"$state/settings"
    if [ "$rest" = yes ]; then (umask 077 && head -c 32 /dev/urandom >"$shared/jwt.key"); fi
    prepare_nodes "$files" "$scratch" "${shares[@]}"
    start_head
    write_configuration "${extra[@]}"
    start_munged
    if [ "$accounting" = yes ]; then start_accounting; fi
    for node in $(nodes); do
        boot "$node" &
        boots+=($!)
    done
    start_controller
    for node in "${boots[@]}"; do wait "$node"; done
    if [ "$rest" = yes ]; then start_rest; fi
    # shellcheck disable=SC2046
    answers are_usable $(nodes) || fail "the nodes do not come up: see $shared/slurmd.*.log"
}

stop() {
    local name
    [ -f "$state/settings" ] || return 0
    stop_nodes
    for name in slurmrestd slurmctld slurmdbd mariadbd munged head; do end "$name"; done
}

status() {
    local name
    is_alive head || { echo stopped; return 1; }
    for name in munged mariadbd slurmdbd slurmctld slurmrestd; do
        [ ! -e "$state/run/$name.lock" ] ||
            echo "$name $(if is_alive "$name"; then echo up; else echo down; fi)"
    done
    client timeout 5 sinfo -h -N -o '%N %T'
}

enter slurm "$@"
case $verb in
token) client scontrol token lifespan="${arguments[0]:-3600}" | sed -n 's/^SLURM_JWT=//p' ;;
stop-controller) stop_controller ;;
kill-controller) end slurmctld ;;
start-controller) start_controller ;;
freeze-controller) kill -STOP "$(pid_of slurmctld)" ;;
thaw-controller) kill -CONT "$(pid_of slurmctld)" ;;
*)
    need_node "${arguments[0]:-}"
    set -- "${arguments[@]}"
    case $verb in
    down | drain) client scontrol update nodename="$1" state="$verb" reason=testbed ;;
    resume) resume "$1" ;;
    kill-slurmd) kill_slurmd "$1" ;;
    start-slurmd) start_slurmd "$1" && resume "$1" ;;
    boot) boot "$1" && resume "$1" ;;
    *) fault "$verb" "$@" ;;
    esac
    ;;
esac
