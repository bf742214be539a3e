#!/usr/bin/env bash
# What a second core costs: user instructions for each operation on a node of one core and on a
# node of two, both with 16 shards, counted by callgrind, so that a busy machine changes nothing.
# Half of the operations of two cores are for a shard of the other core.
#
#   benchmarks/cores_cost.sh [--requests N] [--pipeline N] [--connections N] [--build DIR]
#                            [--port N]
#
#   --requests N   operations that are counted (default 200000)
#   --port N       (default 7396)
#
# Under valgrind a thread that sleeps in io_uring keeps the others from running, so the loops look
# for work without sleeping (reactor.poll_us); what that costs is left out of the figures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh
# shellcheck source=benchmarks/common.sh
source benchmarks/common.sh

requests=200000 pipeline=16 connections=50 build=build port=7396
while (($#)); do
    case "$1" in
        --requests | --pipeline | --connections | --build | --port)
            (($# > 1)) || die "$1 needs a value"
            printf -v "${1#--}" %s "$2"
            shift
            ;;
        -h | --help) usage "${BASH_SOURCE[0]}" ;;
        *) die "unknown argument $1: see --help" ;;
    esac
    shift
done
need_programs "$build" kv-server kv-bench kv-cli
need_commands valgrind:valgrind

directory=$(mktemp -d)
server=
clean_up() {
    [[ -z $server ]] || kill -9 "$server" 2>/dev/null || true
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Functions of a loop that only looks for work.
idle='Reactor::spin|Mailboxes::has_messages|UringBackend::poll|UringBackend::deliver_completions'
idle+='|UringBackend::deliver_done|UringBackend::now|Ring::entry_needed|Ring::more_waits'
idle+='|clock_gettime'

# instructions CORES MIX: for each operation.
instructions() {
    local cores=$1 mix=$2 i
    rm -rf "$directory/data" "$directory"/callgrind*
    valgrind --tool=callgrind --fair-sched=yes --callgrind-out-file="$directory/callgrind" \
        "$build/bin/kv-server" --data-dir "$directory/data" --client-port "$port" \
        --set "reactor.cores=$cores" --set reactor.cpus=none --set reactor.poll_us=100000 \
        >"$directory/log" 2>&1 &
    server=$!
    for ((i = 0; i < 300; ++i)); do
        "$build/bin/kv-cli" --port "$port" PING >/dev/null 2>&1 && break
        sleep 0.2
    done
    # Every key is there before anything is counted.
    "$build/bin/kv-bench" --port "$port" --connections "$connections" --keys 50000 --keys-dist \
        sequential --pipeline "$pipeline" --requests 50000 --mix set=100 --warmup 0s \
        --timeout 300s >/dev/null || die "the server does not answer: $(cat "$directory/log")"
    callgrind_control --zero "$server" >/dev/null
    "$build/bin/kv-bench" --port "$port" --connections "$connections" --keys 50000 \
        --pipeline "$pipeline" --requests "$requests" --mix "$mix=100" --warmup 0s \
        --timeout 300s >/dev/null
    callgrind_control --dump "$server" >/dev/null
    kill -9 "$server"
    wait "$server" 2>/dev/null || true
    server=
    callgrind_annotate --auto=no --threshold=100 "$directory/callgrind.1" 2>/dev/null |
        awk -v idle="$idle" -v n="$requests" '
            { gsub(",", "", $1) }
            /PROGRAM TOTALS/ { total = $1 }
            $1 ~ /^[0-9]+$/ && $0 ~ idle && !/PROGRAM TOTALS/ { total -= $1 }
            END { printf "%.0f", total / n }'
}

machine "$directory"
say "user instructions for an operation, $connections connections, pipeline $pipeline," \
    "$requests operations"
say
printf '%-4s %10s %10s %8s\n' "" "1 core" "2 cores" "ratio"
for mix in set get; do
    one=$(instructions 1 "$mix")
    two=$(instructions 2 "$mix")
    printf '%-4s %10s %10s %8s\n' "${mix^^}" "$one" "$two" "$(ratio "$two" "$one")"
done
