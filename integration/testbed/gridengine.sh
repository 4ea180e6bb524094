#!/usr/bin/env bash
# A real Grid Engine on one node of its own; see README.md.
set -euo pipefail
# shellcheck source=integration/testbed/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=integration/testbed/lib-engines.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib-engines.sh"

usage() {
    cat >&2 <<'USAGE'
usage: TESTBED_DIR=DIRECTORY gridengine.sh VERB ...
  start [--slots SLOTS]        a head with the master; queue all.q, parallel environment smp
  stop                         and everything that runs there
  hold [OPTION]...             as start; says 'ready', and stops when its standard input ends
  status                       the master and the queue; exits 1 when there are none
  exec head COMMAND...         on the head, where clients of Grid Engine have to run
faults:
  disable | enable             the queue takes no new jobs, or does
  crash | boot                 the execution daemon with all its jobs
  kill-controller | start-controller             the master
  freeze-controller | thaw-controller            it takes connections and says nothing
USAGE
    exit 2
}

# The one node is the head itself, for Grid Engine finds nodes by their names, and the head sees the
# machine's /etc/hosts. It is called localhost, which everybody can resolve. Jobs have processes of
# their own: they end with the daemon that started them.

# Where Debian's packages have their files.
programs=/usr/lib/gridengine
templates=/usr/share/gridengine

variables() {
    echo SGE_ROOT="$shared/root" SGE_CELL=default SGE_CLUSTER_NAME=testbed \
        SGE_QMASTER_PORT=6444 SGE_EXECD_PORT=6445
}

# shellcheck disable=SC2046
client() { in_head env $(variables) "$@"; }

# --- configuration. The packages' own set-up asks questions and has fixed places.

make_cell() {
    local directory kind
    mkdir -p "$shared/root/default/common" "$shared/spool/qmaster/job_scripts" \
        "$shared/spool/execd" "$shared/database"
    for directory in bin lib utilbin; do
        mkdir -p "$shared/root/$directory"
        for kind in lx-amd64 "$("$templates/util/arch")"; do
            ln -sfn "$programs" "$shared/root/$directory/$kind"
        done
    done
    ln -sfn "$templates/util" "$shared/root/util"
    cat >"$shared/root/default/common/bootstrap" <<OPTIONS
admin_user              none
default_domain          none
ignore_fqdn             true
spooling_method         berkeleydb
spooling_lib            libspoolb
spooling_params         $shared/database
binary_path             /usr/sbin
qmaster_spool_dir       $shared/spool/qmaster
security_mode           none
listener_threads        2
worker_threads          2
scheduler_threads       1
OPTIONS
    echo localhost >"$shared/root/default/common/act_qmaster"
    # Jobs are root's; what the master is told and tells it does at once.
    sed -e "s#^execd_spool_dir.*#execd_spool_dir $shared/spool/execd#" \
        -e 's/^min_uid.*/min_uid 0/' -e 's/^min_gid.*/min_gid 0/' \
        -e 's#^mailer.*#mailer /bin/true#' \
        -e 's/^load_report_time.*/load_report_time 00:00:02/' \
        -e 's/^max_unheard.*/max_unheard 00:00:10/' \
        -e 's/^reschedule_unknown.*/reschedule_unknown 00:00:00/' \
        -e 's/flush_time=[0-9:]*/flush_time=00:00:01/' \
        "$templates/default-configuration" >"$shared/configuration"
    client "$programs/spoolinit" berkeleydb libspoolb "$shared/database" init
    client "$programs/spooldefaults" configuration "$shared/configuration"
    client "$programs/spooldefaults" complexes "$templates/util/resources/centry"
    client "$programs/spooldefaults" usersets "$templates/util/resources/usersets"
    client "$programs/spooldefaults" managers root
}

queue() {
    cat <<OPTIONS
qname                 all.q
hostlist              @allhosts
seq_no                0
load_thresholds       NONE
suspend_thresholds    NONE
nsuspend              1
suspend_interval      00:05:00
priority              0
min_cpu_interval      00:05:00
processors            UNDEFINED
qtype                 BATCH INTERACTIVE
ckpt_list             NONE
pe_list               smp
rerun                 FALSE
slots                 $(setting slots)
tmpdir                /tmp
shell                 /bin/bash
prolog                NONE
epilog                NONE
shell_start_mode      unix_behavior
starter_method        NONE
suspend_method        NONE
resume_method         NONE
terminate_method      NONE
notify                00:00:05
owner_list            NONE
user_lists            NONE
xuser_lists           NONE
subordinate_list      NONE
complex_values        NONE
projects              NONE
xprojects             NONE
calendar              NONE
initial_state         default
OPTIONS
    local limit
    for limit in rt cpu fsize data stack core rss vmem; do
        printf '%s\n' "s_$limit INFINITY" "h_$limit INFINITY"
    done
}

configure() {
    client qconf -ah localhost || true
    client qconf -as localhost
    printf '%s\n' 'pe_name smp' 'slots 9999' 'user_lists NONE' 'xuser_lists NONE' \
        'start_proc_args NONE' 'stop_proc_args NONE' 'allocation_rule $pe_slots' \
        'control_slaves FALSE' 'job_is_first_task TRUE' 'urgency_slots min' \
        'accounting_summary FALSE' 'qsort_args NONE' >"$shared/environment"
    printf '%s\n' 'group_name @allhosts' 'hostlist localhost' >"$shared/hosts"
    queue >"$shared/queue"
    client qconf -Ahgrp "$shared/hosts"
    client qconf -Ap "$shared/environment"
    client qconf -Aq "$shared/queue"
    # As shipped the scheduler looks every 15 s only.
    client qconf -ssconf | sed -e 's/^schedule_interval.*/schedule_interval 0:0:1/' \
        -e 's/^flush_submit_sec.*/flush_submit_sec 1/' \
        -e 's/^flush_finish_sec.*/flush_finish_sec 1/' \
        -e 's/^job_load_adjustments.*/job_load_adjustments NONE/' >"$shared/scheduler"
    client qconf -Msconf "$shared/scheduler"
}

# --- daemons

start_controller() {
    # shellcheck disable=SC2046
    daemon qmaster env SGE_ND=1 $(variables) "$programs/sge_qmaster"
    answers client qconf -sh || fail "the master does not start: see $state/qmaster.out"
}

boot() {
    # shellcheck disable=SC2046
    daemon execd unshare --pid --mount-proc --fork --kill-child \
        env SGE_ND=1 $(variables) "$programs/sge_execd"
    answers is_usable || fail "the node does not come up: see $state/execd.out"
}

# A load value has arrived, and the queue is in no state of error.
is_usable() {
    client qstat -f |
        awk '$1 == "all.q@localhost" { ok = $4 != "-NA-" && $6 !~ /[uE]/ } END { exit !ok }'
}

# --- the whole

start() {
    local slots=8
    while [ $# -gt 0 ]; do
        case $1 in
        --slots) slots=$2 ;;
        *) usage ;;
        esac
        shift 2
    done
    [ -x "$programs/sge_qmaster" ] && [ -x "$programs/sge_execd" ] && command -v qsub >/dev/null ||
        fail "there is no Grid Engine: integration/setup.sh tests installs it"
    ! is_alive head || fail "started already in $state"
    rm -rf "$state"
    mkdir -p "$shared"
    chmod 755 "$state" "$shared"
    echo "slots=$slots" >"$state/settings"
    start_head
    in_head hostname localhost
    make_cell >"$state/cell.out"
    start_controller
    configure >"$state/configure.out"
    boot
}

stop() {
    local name
    for name in execd qmaster head; do end "$name"; done
}

status() {
    is_alive head || { echo stopped; return 1; }
    echo "qmaster $(if is_alive qmaster; then echo up; else echo down; fi)"
    echo "execd $(if is_alive execd; then echo up; else echo down; fi)"
    client timeout 5 qstat -f
}

enter gridengine "$@"
case $verb in
disable) client qmod -d all.q ;;
enable) client qmod -e all.q ;;
crash) end execd ;;
boot) boot ;;
kill-controller) end qmaster ;;
start-controller) start_controller ;;
freeze-controller) kill -STOP "$(pid_of qmaster)" ;;
thaw-controller) kill -CONT "$(pid_of qmaster)" ;;
*) usage ;;
esac
