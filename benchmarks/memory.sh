#!/usr/bin/env bash
# What a key costs in memory beside its own bytes, and how long turns get while the store grows.
#
#   benchmarks/memory.sh [--keys N] [--value-bytes N] [--connections N] [--pipeline N]
#                        [--cores "1 0"] [--build DIR] [--dir DIR] [--port N]
#
#   --keys N         keys of 16 bytes that are loaded (default 10000000)
#   --value-bytes N  (default 100)
#   --cores LIST     reactor.cores of one server after the other; 0: its default (default "1 0")
#   --dir DIR        where data are written: on a real disk (default TMPDIR, else /tmp)
#
# Overhead is the growth of VmRSS less the bytes of keys and values, for each key. The goal is at
# most 32 bytes, and no turn of more than 2 ms of CPU time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh
# shellcheck source=benchmarks/common.sh
source benchmarks/common.sh

keys=10000000 value_bytes=100 connections=50 pipeline=16 cores="1 0"
build=build dir=${TMPDIR:-/tmp} port=7451
while (($#)); do
    case "$1" in
        --keys | --value-bytes | --connections | --pipeline | --cores | --build | --dir | --port)
            (($# > 1)) || die "$1 needs a value"
            name=${1#--}
            printf -v "${name//-/_}" %s "$2"
            shift
            ;;
        -h | --help) usage "${BASH_SOURCE[0]}" ;;
        *) die "unknown argument $1: see --help" ;;
    esac
    shift
done
need_programs "$build" kv-server kv-bench
need_commands redis-cli:redis-tools

directory=$(mktemp -d "$dir/memory.XXXXXX")
server=''
stop() {
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    [[ -z $server ]] || wait "$server" 2>/dev/null || true
    server=''
    rm -rf "$directory/data"
}
clean_up() {
    stop
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

resident_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$server/status"; }
info() { # FIELD
    redis-cli -p "$port" INFO everything | tr -d '\r' | sed -n "s/^$1://p"
}

measure() { # CORES
    answers "$port" && die "port $port is in use: see --port"
    "$build/bin/kv-server" --client-port "$port" --data-dir "$directory/data" --log-level error \
        --set "reactor.cores=$1" --set reactor.measure_cpu=yes >"$directory/server.log" 2>&1 &
    server=$!
    for ((i = 0; i < 300; ++i)); do
        answers "$port" && break
        kill -0 "$server" 2>/dev/null || die "the server did not start: $(cat "$directory/server.log")"
        sleep 0.1
    done
    sleep 1.5 # the server has looked at its memory
    local before used_before after used out
    before=$(resident_kib)
    used_before=$(info used_memory)
    out=$("$build/bin/kv-bench" --port "$port" --protocol resp --connections "$connections" \
        --pipeline "$pipeline" --keys "$keys" --key-bytes 16 --value-bytes "$value_bytes" \
        --preload --requests 1 --warmup 0s --json) || die "the generator failed: $out"
    sleep 1.5
    after=$(resident_kib)
    used=$(info used_memory)
    [[ $(redis-cli -p "$port" DBSIZE) == "$keys" ]] || die "keys are missing"
    awk -v cores="$(info cores)" -v keys="$keys" -v data=$((16 + value_bytes)) \
        -v grown=$(((after - before) * 1024)) -v used=$((used - used_before)) \
        -v rss="$(info used_memory_rss)" -v after=$((after * 1024)) \
        -v turn="$(info turn_cpu_max_us)" -v long="$(info turns_over_2ms_cpu)" \
        -v turns="$(info reactor_turns)" 'BEGIN {
        over = (grown - keys * data) / keys
        printf "| %d | %.0f | %.1f | %s | %.3f | %.3f | %d | %d of %d |\n", cores, grown / 1048576,
            over, over <= 32 ? "met" : "not met", rss / after, used / grown, turn, long, turns
    }'
    stop
}

machine "$directory"
say "$("$build/bin/kv-server" --version), $keys keys of 16 bytes, values of $value_bytes bytes," \
    "$connections connections, pipeline $pipeline"
say
say "| cores | grown MiB | bytes a key | at most 32 | used_memory_rss to VmRSS |" \
    "used_memory to VmRSS, growth | longest turn us of CPU | turns above 2 ms |"
say "|---|---|---|---|---|---|---|---|"
for each in $cores; do measure "$each"; done
