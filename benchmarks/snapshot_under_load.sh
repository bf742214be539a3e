#!/usr/bin/env bash
# What clients and memory notice of a snapshot: latency over time at a steady rate, and resident
# memory, before and while snapshots are taken.
#
#   benchmarks/snapshot_under_load.sh [--keys N] [--rate N] [--seconds N] [--build DIR] [--dir DIR]
#                                     [--port N] [--plot FILE]
#
#   --keys N       keys of 16 bytes with values of 100 (default 10000000)
#   --rate N       requests a second, half GET, half SET, open loop (default 20000)
#   --seconds N    length of each of the two measurements (default 20)
#   --plot FILE    the second one as SVG
#
# The server runs on core 0, the generator on core 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh
# shellcheck source=benchmarks/common.sh
source benchmarks/common.sh

keys=10000000 rate=20000 seconds=20 build=build dir=${TMPDIR:-/tmp} port=7451 plot=
while (($#)); do
    case "$1" in
        --keys | --rate | --seconds | --build | --dir | --port | --plot)
            (($# > 1)) || die "$1 needs a value"
            printf -v "${1#--}" %s "$2"
            shift
            ;;
        -h | --help) usage "${BASH_SOURCE[0]}" ;;
        *) die "unknown argument $1: see --help" ;;
    esac
    shift
done
need_programs "$build" kv-server kv-bench
need_commands redis-cli:redis-tools taskset:util-linux

directory=$(mktemp -d "$dir/snapshot_under_load.XXXXXX")
server='' generator=''
clean_up() {
    [[ -z $generator ]] || kill "$generator" 2>/dev/null || true
    if [[ -n $server ]]; then
        kill -9 "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Begins a snapshot. False: it does not, for now or for good.
trigger_snapshot() {
    [[ $(redis-cli -h 127.0.0.1 -p "$port" BGSAVE 2>&1) == *started* ]]
}

answers "$port" && die "port $port is in use: see --port"
taskset -c 0 "$build/bin/kv-server" --client-port "$port" --data-dir "$directory/data" \
    --log-level warn >"$directory/server.log" 2>&1 &
server=$!
for ((i = 0; i < 300; ++i)); do
    answers "$port" && break
    kill -0 "$server" 2>/dev/null || die "the server did not start: $(cat "$directory/server.log")"
    sleep 0.1
done
load() { # ARGUMENT...
    "$build/bin/kv-bench" --port "$port" --cpu 1 --protocol resp --keys "$keys" --key-bytes 16 \
        --value-bytes 100 --json "$@"
}
note "filling with $keys keys"
load --preload --pipeline 64 --requests 1 --warmup 0s >/dev/null ||
    die "the server does not take the keys"

# measure NAME SNAPSHOTS: prints nothing; NAME.json, NAME.rss (the highest), NAME.snapshots
measure() {
    local rss most=0 snapshots=0
    local more=()
    if [[ $2 == yes && -n $plot ]]; then more=(--plot "$plot"); fi
    load --mix get=1,set=1 --connections 50 --pipeline 1 --rate "$rate" --warmup 1s \
        --duration "${seconds}s" "${more[@]}" >"$directory/$1.json" &
    generator=$!
    while kill -0 "$generator" 2>/dev/null; do
        rss=$(rss_mib "$server")
        ((rss <= most)) || most=$rss
        if [[ $2 == yes ]] && trigger_snapshot; then snapshots=$((snapshots + 1)); fi
        sleep 0.2
    done
    wait "$generator" || die "the generator failed: $(cat "$directory/$1.json")"
    generator=
    echo "$most" >"$directory/$1.rss"
    echo "$snapshots" >"$directory/$1.snapshots"
}
measure before no
measure snapshots yes
taken=$(cat "$directory/snapshots.snapshots")
((taken > 0)) || note "warning: this server takes no snapshot when asked by BGSAVE"

machine "$directory"
say "$("$build/bin/kv-server" --version), $keys keys, $rate requests/s (half GET, half SET, open" \
    "loop) for $seconds s each; snapshots begun: $taken"
say
say "| | p50 us | p99 us | p99.9 us | max us | highest resident MiB |"
say "|---|---|---|---|---|---|"
for name in before snapshots; do
    out=$(cat "$directory/$name.json")
    say "| $name | $(field p50 "$out") | $(field p99 "$out") | $(field 'p99\.9' "$out")" \
        "| $(field max "$out") | $(cat "$directory/$name.rss") |"
done
say
p99_of() { field p99 "$(cat "$directory/$1.json")"; }
rss_of() { cat "$directory/$1.rss"; }
say "with snapshots to before: p99 $(ratio "$(p99_of snapshots)" "$(p99_of before)")," \
    "memory $(ratio "$(rss_of snapshots)" "$(rss_of before)")"
