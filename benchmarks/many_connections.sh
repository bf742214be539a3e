#!/usr/bin/env bash
# What a healthy client notices of thousands that are not: latency with and without them.
#
#   benchmarks/many_connections.sh [--idle N] [--slow N] [--deaf N] [--rate N] [--seconds N]
#                                  [--rounds N] [--build DIR] [--dir DIR] [--port N]
#
#   --idle N       connections that say nothing (default 10000)
#   --slow N       connections that send a byte a second (default 1000)
#   --deaf N       connections that send requests and never read a reply (default 100)
#   --rate N       requests a second of the healthy client, open loop (default 10000)
#   --seconds N    length of a measurement (default 10)
#   --rounds N     rounds, each without and with the others (default 3)
#
# The server runs on core 0, the generator on core 1, and the others there too, but only while the
# generator has nothing to do: what it waits for them would count as the server's latency.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh
# shellcheck source=benchmarks/common.sh
source benchmarks/common.sh

idle=10000 slow=1000 deaf=100 rate=10000 seconds=10 rounds=3
build=build dir=${TMPDIR:-/tmp} port=7441
while (($#)); do
    case "$1" in
        --idle | --slow | --deaf | --rate | --seconds | --rounds | --build | --dir | --port)
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
need_commands python3:python3 taskset:util-linux chrt:util-linux
files_wanted=$((idle + slow + deaf + 1000))
ulimit -n "$(ulimit -H -n)"
[[ $(ulimit -n) == unlimited ]] || (($(ulimit -n) >= files_wanted)) ||
    die "the limit of open files is $(ulimit -n): $files_wanted are needed (ulimit -n)"

directory=$(mktemp -d "$dir/many_connections.XXXXXX")
server='' others=''
clean_up() {
    [[ -z $others ]] || kill "$others" 2>/dev/null || true
    if [[ -n $server ]]; then
        kill -9 "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

answers "$port" && die "port $port is in use: see --port"
taskset -c 0 "$build/bin/kv-server" --client-port "$port" --data-dir "$directory/data" \
    --log-level error --set "client.connections_max=$files_wanted" >"$directory/server.log" 2>&1 &
server=$!
for ((i = 0; i < 300; ++i)); do
    answers "$port" && break
    kill -0 "$server" 2>/dev/null || die "the server did not start: $(cat "$directory/server.log")"
    sleep 0.1
done

healthy() { # ARGUMENT...: the load whose latency counts
    "$build/bin/kv-bench" --port "$port" --cpu 1 --protocol resp --connections 20 --pipeline 1 \
        --keys 100000 --mix get=1,set=1 --rate "$rate" --json "$@"
}
measure() { # NAME
    local out
    out=$(healthy --duration "${seconds}s" --warmup 1s) || die "the generator failed: $out"
    printf '%s\t%s\t%s\t%s\n' "$(field p50 "$out")" "$(field p99 "$out")" \
        "$(field max "$out")" "$(rss_mib "$server")" >>"$directory/$1"
    note "  $1: p99 $(field p99 "$out") us, $(rss_mib "$server") MiB resident"
}
healthy --preload --requests 1 --warmup 0s >/dev/null || die "the server does not take the keys"

for ((round = 1; round <= rounds; ++round)); do
    measure alone
    chrt --idle 0 taskset -c 1 python3 benchmarks/odd_clients.py "$port" "$idle" "$slow" "$deaf" \
        >"$directory/others.log" 2>&1 &
    others=$!
    until grep -q ready "$directory/others.log"; do
        kill -0 "$others" 2>/dev/null || die "$(cat "$directory/others.log")"
        sleep 0.1
    done
    measure crowded
    kill "$others"
    wait "$others" || true
    others=
    note "  $(tail -n 1 "$directory/others.log")"
done

machine "$directory"
say "$("$build/bin/kv-server" --version), $rate requests/s (half GET, half SET, open loop)," \
    "$rounds rounds of $seconds s"
say "crowded: $idle idle connections, $slow that send a byte a second, $deaf that never read"
say
say "| | p50 us | p99 us | max us | resident MiB |"
say "|---|---|---|---|---|"
column() { cut -f "$2" "$directory/$1" | median_and_range; }
for name in alone crowded; do
    row="| $name |"
    for number in 1 2 3 4; do
        read -r middle low high < <(column "$name" "$number")
        row+=" $(printf '%.0f [%.0f..%.0f]' "$middle" "$low" "$high") |"
    done
    say "$row"
done
read -r before _ < <(column alone 2)
read -r after _ < <(column crowded 2)
say
say "p99 crowded to alone: $(ratio "$after" "$before")"
