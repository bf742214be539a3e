#!/usr/bin/env bash
# Measures kv-bench itself: how many requests a second one thread of it makes, on one core, against
# its own stub, which answers OK to everything on another core. What a server is measured to do
# near these figures is the generator's limit, not the server's.
#
#   benchmarks/generator_limit.sh [--rounds N] [--seconds N] [--pipelines "1 16 64"] [--build DIR]
#                                 [--port N] [--connections N] [--value-bytes N]
#
#   --rounds N     rounds; the table shows the median and the range (default 5)
#   --seconds N    length of a measurement, after 0.3 s of the same load (default 2)
#   --port N       of the stub; 0: the system chooses (default 0)
#
# "per CPU second" is what the thread would do if it had its core to itself all the time: on a
# machine with other work it is the figure to look at. Needs two cores and no network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh
# shellcheck source=benchmarks/common.sh
source benchmarks/common.sh

rounds=5 seconds=2 pipelines="1 16 64" build=build port=0 connections=50 value_bytes=100
while (($#)); do
    case "$1" in
        --rounds | --seconds | --pipelines | --build | --port | --connections | --value-bytes)
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
need_programs "$build" kv-bench
(($(nproc) > 1)) || die "this needs two cores: one for the generator, one for the stub"

directory=$(mktemp -d)
stub=
clean_up() {
    [[ -z $stub ]] || kill "$stub" 2>/dev/null || true
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

"$build/bin/kv-bench" stub --port "$port" --cpu 1 >"$directory/stub" 2>&1 &
stub=$!
for ((i = 0; i < 100; ++i)); do
    port=$(sed -n 's/.*:\([0-9]*\)$/\1/p' "$directory/stub")
    [[ -z $port ]] || break
    sleep 0.1
done
[[ -n $port ]] || die "the stub did not start: $(cat "$directory/stub")"

machine "$directory"
say "kv-bench, 1 thread, $connections connections, SET of $value_bytes bytes, RESP," \
    "$rounds rounds of $seconds s"
say
say "| | requests a second | per CPU second | p50 / p99 us |"
say "|---|---|---|---|"
for pipeline in $pipelines; do
    : >"$directory/rounds"
    for ((round = 1; round <= rounds; ++round)); do
        out=$("$build/bin/kv-bench" --port "$port" --cpu 0 --protocol resp --json \
            --connections "$connections" --pipeline "$pipeline" --value-bytes "$value_bytes" \
            --duration "${seconds}s" --warmup 300ms --seed "$round") || die "it failed: $out"
        rate=$(field requests_per_second "$out")
        cpu=$(field generator_cpu_percent "$out")
        printf '%s\t%s\t%s\t%s\n' "$rate" \
            "$(awk -v rate="$rate" -v cpu="$cpu" 'BEGIN { print (cpu > 0 ? 100 * rate / cpu : 0) }')" \
            "$(field p50 "$out")" "$(field p99 "$out")" >>"$directory/rounds"
    done
    summary() { cut -f "$1" "$directory/rounds" | median_and_range; }
    read -r middle low high < <(summary 1)
    read -r cpu_middle cpu_low cpu_high < <(summary 2)
    read -r p50 _ < <(summary 3)
    read -r p99 _ < <(summary 4)
    say "| P$pipeline | $(thousands "$middle") [$(thousands "$low")..$(thousands "$high")]" \
        "| $(thousands "$cpu_middle") [$(thousands "$cpu_low")..$(thousands "$cpu_high")]" \
        "| $(printf '%.0f / %.0f' "$p50" "$p99") |"
done
