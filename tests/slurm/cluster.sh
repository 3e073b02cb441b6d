# shellcheck shell=bash
# cluster.sh - sourced by run.sh: a real Slurm of several nodes on one machine.
#
#   cluster_possible          0, or 77 and why not
#   cluster_up N CPUS         munged, slurmctld and N slurmd, node1 ... nodeN; waits until all are idle
#   cluster_crash K           node K is dead at once: slurmd, job steps, ranks
#   cluster_boot K            it comes back, with empty /dev/shm and TmpFS
#   cluster_stop_slurmd K     only its slurmd dies; what runs there goes on
#   cluster_idle N            are N nodes idle?
#   cluster_log               the ends of all logs, for a test that failed
#
# run.sh runs inside process, mount, network and host-name spaces of its own (unshare): when its first process ends,
# the kernel ends everything in them, so that nothing is left and nothing outside can be met.  Each node is once more a
# process and mount space: its first process is its "power"; /dev/shm and Slurm's TmpFS are its own, the rest of the disk
# is shared, as on a cluster.  The network is the space's loopback, and one bridge without ports: Slurm looks up names
# only where there is an address that is not loopback, and Open MPI leaves loopback out.
#
# C: the directory of the cluster's files; set by run.sh.

cluster_possible () {
  [ "$(id -u)" = 0 ] || { echo "not root: a cluster of its own needs name spaces"; return 77; }
  local program
  for program in slurmctld slurmd srun sbatch scontrol munged unshare ip ps; do
    command -v $program >/dev/null || { echo "$program is not installed: tests/run.sh --slurm installs Slurm"; return 77; }
  done
  unshare --pid --mount --net --uts --fork --mount-proc true 2>/dev/null || { echo "name spaces are not allowed here"; return 77; }
}

cluster_conf () { # N CPUS
  local k
  cat <<CONF
ClusterName=test
SlurmctldHost=head(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A job that is requeued waits until its old credential is over: 120 s by default.
AuthInfo=socket=$C/munge/socket,cred_expire=10
StateSaveLocation=$C/state
SlurmdSpoolDir=$C/spool/%n
SlurmctldPidFile=$C/slurmctld.pid
SlurmdPidFile=$C/%n.pid
SlurmctldLogFile=$C/log/slurmctld
SlurmdLogFile=$C/log/%n
TmpFS=$C/tmp
SlurmctldPort=17100
MpiDefault=none
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SlurmdTimeout=10
SlurmctldTimeout=10
MessageTimeout=10
KillWait=10
UnkillableStepTimeout=60
InactiveLimit=0
ReturnToService=2
JobRequeue=1
MinJobAge=3600
CONF
  for k in $(seq "$1"); do
    echo "NodeName=node$k NodeHostname=node$k NodeAddr=127.0.1.$k Port=$((17100 + k)) CPUs=$2 State=UNKNOWN"
  done
  echo "PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP"
}

# The first process of a node.  It stays when slurmd is killed.
cluster_node () { # K
  # shellcheck disable=SC2016 # expanded inside
  unshare --uts --pid --mount --fork --kill-child=KILL --mount-proc bash -c '
    hostname "node$1"
    mount -t tmpfs -o size=20% shm /dev/shm
    rm -rf "$C/nodetmp/$1" "$C/spool/node$1"
    mkdir -p "$C/nodetmp/$1" "$C/spool/node$1"
    mount --bind "$C/nodetmp/$1" "$C/tmp"
    slurmd -D -N "node$1" -f "$SLURM_CONF" &
    echo $! >"$C/inner.$1"
    wait
    exec sleep infinity' bash "$1" </dev/null >>"$C/log/node$1.out" 2>&1 &
  cluster_nodes[$1]=$!
}
declare -A cluster_nodes

wait_for () { # SECONDS COMMAND...
  local end=$(($(date +%s) + $1))
  shift
  while ! "$@" >/dev/null 2>&1; do
    [ "$(date +%s)" -lt $end ] || return 1
    sleep 0.3
  done
}
cluster_idle () { [ "$(sinfo -h -N -o %T | grep -cx idle)" -ge "$1" ]; }

cluster_up () { # N CPUS
  local k
  export C SLURM_CONF=$C/slurm.conf
  mkdir -p "$C"/{log,state,spool,tmp,nodetmp}
  mkdir "$C/munge"
  hostname head
  ip link set lo up
  ip link add cluster type bridge && ip addr add 198.18.0.1/32 dev cluster && ip link set cluster up || return 1
  { echo "127.0.0.1 localhost head"; for k in $(seq "$1"); do echo "127.0.1.$k node$k"; done; } >"$C/hosts"
  mount --bind "$C/hosts" /etc/hosts
  cluster_conf "$1" "$2" >"$SLURM_CONF"
  head -c 1024 /dev/urandom >"$C/munge/key"
  chmod 400 "$C/munge/key"
  munged --key-file="$C/munge/key" --socket="$C/munge/socket" --pid-file="$C/munge/pid" --log-file="$C/log/munged" \
    --seed-file="$C/munge/seed" || return 1
  slurmctld -D -f "$SLURM_CONF" </dev/null >"$C/log/slurmctld.out" 2>&1 &
  for k in $(seq "$1"); do cluster_node "$k"; done
  wait_for 60 cluster_idle "$1"
}

cluster_init_of () { ps -o pid= --ppid "${cluster_nodes[$1]}" | tr -d ' '; }
cluster_crash () { kill -KILL "$(cluster_init_of "$1")"; }
cluster_boot () { cluster_node "$1"; }
cluster_stop_slurmd () { kill -KILL "$(ps -o pid=,comm= --ppid "$(cluster_init_of "$1")" | awk '$2 == "slurmd" { print $1 }')"; }
cluster_log () { tail -n 8 "$C"/log/* 2>/dev/null | sed 's/^/# /'; }
