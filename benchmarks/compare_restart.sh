#!/usr/bin/env bash
# Measures how long kv-server and Debian's redis-server take from their start until they serve the
# keys that they held, in one run on one machine.
#
#   benchmarks/compare_restart.sh [--keys N] [--value-bytes N] [--rounds N] [--build DIR]
#                                 [--dir DIR] [--port N]
#
#   --keys N       keys of 16 bytes that both hold (default 10000000)
#   --rounds N     restarts of each, in turn; the table shows the median (default 3)
#   --dir DIR      where data is written: on a real disk (default TMPDIR, else /tmp)
#   --port N       the first of two ports (default 7431)
#
# Both are filled once with the same keys, kv-server durably as always, Redis with appendonly and a
# rewrite at the end, so that it loads an RDB preamble, its fastest form. Then each is stopped with
# SIGTERM and started again. Served means: PING is answered with PONG, and a GET of the last key
# with its value. The time of the start of the process counts too. Files are in the page cache for
# both, as after a restart without a reboot.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh
# shellcheck source=benchmarks/common.sh
source benchmarks/common.sh

keys=10000000 value_bytes=100 rounds=3 build=build dir=${TMPDIR:-/tmp} port=7431
while (($#)); do
    case "$1" in
        --keys | --value-bytes | --rounds | --build | --dir | --port)
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
need_commands redis-server:redis-server redis-cli:redis-tools

directory=$(mktemp -d "$dir/compare_restart.XXXXXX")
declare -A pids=()
clean_up() {
    local name
    for name in "${!pids[@]}"; do
        kill -9 "${pids[$name]}" 2>/dev/null || true
        wait "${pids[$name]}" 2>/dev/null || true
    done
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

bytes_wanted=$((keys * (value_bytes + 80) * 3))
(($(df --output=avail -B1 "$directory" | tail -n 1) > bytes_wanted)) ||
    die "$dir needs $((bytes_wanted >> 20)) MiB free: see --dir and --keys"

declare -A ports=([kv]=$port [redis]=$((port + 1)))
last_key=$(printf 'key:%012d' $((keys - 1)))

launch() { # NAME
    case "$1" in
        kv)
            "$build/bin/kv-server" --client-port "${ports[kv]}" --data-dir "$directory/kv" \
                --log-level warn >"$directory/kv.log" 2>&1 &
            ;;
        redis)
            redis-server --port "${ports[redis]}" --bind 127.0.0.1 --dir "$directory/redis" \
                --save "" --appendonly yes --aof-use-rdb-preamble yes \
                --auto-aof-rewrite-percentage 0 >"$directory/redis.log" 2>&1 &
            ;;
    esac
    pids[$1]=$!
}
cli() { redis-cli -h 127.0.0.1 -p "${ports[$1]}" "${@:2}" 2>/dev/null; }
serves() { # NAME: alive and loaded
    [[ $(cli "$1" PING) == PONG ]] && [[ $(cli "$1" STRLEN "$last_key" || true) == "$value_bytes" ||
        $(cli "$1" GET "$last_key" | tr -d '\n' | wc -c) == "$value_bytes" ]]
}
await() { # NAME CONDITION...: asks every 10 ms
    local name=$1
    shift
    until "$@"; do
        kill -0 "${pids[$name]}" 2>/dev/null || {
            tail -n 5 "$directory/$name.log" >&2
            die "$name ended"
        }
        sleep 0.01
    done
}
stop() { # NAME
    kill "${pids[$1]}"
    wait "${pids[$1]}" || true
    unset "pids[$1]"
}
rewritten() { cli redis INFO persistence | tr -d '\r' | grep -qx 'aof_rewrite_in_progress:0'; }

mkdir "$directory/redis"
for name in kv redis; do
    answers "${ports[$name]}" && die "port ${ports[$name]} is in use: see --port"
    note "filling $name with $keys keys"
    launch "$name"
    await "$name" answers "${ports[$name]}"
    "$build/bin/kv-bench" --port "${ports[$name]}" --protocol resp --keys "$keys" --key-bytes 16 \
        --value-bytes "$value_bytes" --preload --pipeline 64 --requests 1 --warmup 0s >/dev/null ||
        die "$name does not take the keys"
    if [[ $name == redis ]]; then
        cli redis BGREWRITEAOF >/dev/null
        sleep 1
        await redis rewritten
    fi
    stop "$name"
done

: >"$directory/kv.times"
: >"$directory/redis.times"
: >"$directory/ratios"
for ((round = 1; round <= rounds; ++round)); do
    for name in kv redis; do
        begin=$(seconds_now)
        launch "$name"
        await "$name" serves "$name"
        took=$(awk "BEGIN { printf \"%.3f\", $(seconds_now) - $begin }")
        echo "$took" >>"$directory/$name.times"
        note "  round $round, $name: $took s, $(rss_mib "${pids[$name]}") MiB resident"
        stop "$name"
    done
    ratio "$(tail -n 1 "$directory/redis.times")" "$(tail -n 1 "$directory/kv.times")" \
        >>"$directory/ratios"
    echo >>"$directory/ratios"
done

machine "$directory"
say "$("$build/bin/kv-server" --version), $(redis-server --version | sed 's/ sha=.*//')"
say "$keys keys of 16 bytes, values of $value_bytes bytes, $rounds rounds"
say
say "| | from start to served, s: median [lowest..highest] |"
say "|---|---|"
for name in kv redis; do
    read -r middle low high < <(median_and_range <"$directory/$name.times")
    say "| $name | $middle [$low..$high] |"
done
read -r middle low high < <(median_and_range <"$directory/ratios")
say "| redis / kv | $middle [$low..$high] |"
