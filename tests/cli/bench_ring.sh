#!/bin/sh
# alone: it measures time - wabun bench ring: refusals, the table, and JSON whose figures fit together.  Writes TAP.
. "${top_srcdir:=.}/tests/cli/train_common.sh"

refused () { # PATTERN ARGUMENT...
  p=$1
  shift
  timeout -k 5 60 "$WABUN" bench ring "$@" >out 2>err </dev/null
  code=$?
  cat out err
  [ $code -eq 2 ] && [ ! -s out ] && grep -q -e "$p" err
}
table () { # RANKS
  ranks "$1" "$WABUN" bench ring --min 1K --max 64K >out 2>err
  code=$?
  cat out err
  [ $code -eq 0 ] && grep -q "^$1 ranks on 1 node" out && [ "$(grep -c '^ *[0-9].*%' out)" -eq 4 ]
}
two_nodes () {
  WABUN_NODE_RANKS=2
  export WABUN_NODE_RANKS
  ranks 4 "$WABUN" bench ring --min 64K --max 64K >out 2>err
  code=$?
  unset WABUN_NODE_RANKS
  cat out err
  [ $code -eq 0 ] && grep -q '^4 ranks on 2 nodes, .*shared memory in nodes of 2, rings between 2 of them$' out
}
# The bound is 2 (P - 1) / P bytes / bandwidth, half of that with the bf16 wire, and share is what remains of it.
json () { # RANKS WIRE
  ranks "$1" "$WABUN" bench ring --min 2M --max 2M --wire "$2" --json >out 2>err || return 1
  cat out err
  tr '{,}' '\n' <out | sed 's/"//g' | awk -F: -v P="$1" -v wire="$2" '
    function near (a, b) { return a > 0 && a < 1.001 * b && b < 1.001 * a }
    { v[$1] = $2 }
    END { want = 2 * (P - 1) / P * v["bytes"] / (wire == "bf16" ? 2 : 1) / v["bandwidth"]
          exit !(v["ranks"] == P && v["wire"] == wire && v["bytes"] == 2097152 && near(v["bound_s"], want) &&
                 near(v["share"], v["bound_s"] / v["ours_s"]) && v["mpi_s"] > 0) }'
}

ok "one process is refused" refused 'start it with mpirun'
ok "sizes out of range" refused '--min wants bytes between' --min 64Q
ok "sizes the wrong way round" refused '--max is less' --min 64K --max 4K
ok "an unknown wire" refused 'fp8. is not one of fp32|bf16' --wire fp8
for n in 2 3; do
  ok "a table of $n ranks" table "$n"
  ok "figures of $n ranks fit together" json "$n" fp32
done
ok "bf16 on the wire" json 2 bf16
ok "two nodes of two ranks" two_nodes
# What changes bits or the protocol must be the same on all ranks.
for name in WABUN_COMM_THREAD WABUN_NODE_RANKS WABUN_RANK_ORDER WABUN_ISA WABUN_GEMM; do
  ranks 3 sh -c "[ \${OMPI_COMM_WORLD_RANK:-\$PMI_RANK} -lt 2 ] || export $name=1; exec \"\$1\" bench ring --max 4K" sh "$WABUN" >out 2>err
  ok "$name on one rank: exit code" test $? -eq 2
  ok "$name on one rank: one message" test "$(grep -c "^wabun: .*$name .*differs between ranks 0 and 2" err)" -eq 1
done
done_testing
