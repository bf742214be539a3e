#!/usr/bin/env bash
# Measures kv-server and Debian's redis-server against each other, in one run on one machine.
#
#   benchmarks/compare_redis.sh [--quick] [--rounds N] [--seconds N] [--pipelines "1 16 64"]
#                               [--build DIR] [--dir DIR] [--port N] [--json FILE]
#
#   --quick        2 rounds of 1 s, pipelines 16 and 64
#   --rounds N     rounds; each measures every server once in every load (default 5)
#   --seconds N    length of a measurement, after 0.5 s of the same load (default 3)
#   --build DIR    where bin/kv-server and bin/kv-bench were built (default build)
#   --dir DIR      where logs are written: on a real disk (default TMPDIR, else /tmp)
#   --port N       the first of three free ports (default 7421)
#   --json FILE    writes everything that was measured to FILE
#   --keys N, --value-bytes N, --connections N    (default 1000000, 100, 50)
#
# Servers run on core 0, the generator, kv-bench, on core 1. All get the same requests: uniform
# keys of 16 bytes, preloaded. All servers are up the whole time, and those that are not measured
# are idle. In a round each load goes to all servers in turn; a ratio is taken within a round, and
# the table shows the median of the rounds. Needs no network.
#
# Each measurement waits for a quiet moment, but for 20 s at most. One during which the host stole
# more than 6 % of the CPU time, or other processes used more than 10 %, is discarded, logged and
# repeated, three times at most; then this load has no figure for this server in this round.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh
# shellcheck source=benchmarks/common.sh
source benchmarks/common.sh

rounds=5 seconds=3 pipelines="1 16 64"
build=build parent=${TMPDIR:-/tmp} port=7421 json=
keys=1000000 value_bytes=100 connections=50
warmup=0.5 patience=20
steal_max=6 others_max=10 tries_max=4
log_bytes_max=$((6 << 30))            # a server with a longer log starts anew, before a measurement
log_bytes_per_second=$((600 << 20))   # more than any of them writes
command="benchmarks/compare_redis.sh $*"

while (($#)); do
    case "$1" in
        --quick) rounds=2 seconds=1 pipelines="16 64" ;;
        --rounds | --seconds | --pipelines | --build | --dir | --port | --json | --keys | \
            --value-bytes | --connections)
            (($# > 1)) || die "$1 needs a value"
            case "$1" in
                --rounds) rounds=$2 ;;
                --seconds) seconds=$2 ;;
                --pipelines) pipelines=$2 ;;
                --build) build=$2 ;;
                --dir) parent=$2 ;;
                --port) port=$2 ;;
                --json) json=$2 ;;
                --keys) keys=$2 ;;
                --value-bytes) value_bytes=$2 ;;
                --connections) connections=$2 ;;
            esac
            shift
            ;;
        -h | --help)
            sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        *) die "unknown argument $1: see --help" ;;
    esac
    shift
done

[[ "$rounds$seconds$port$keys" =~ ^[0-9]+$ ]] || die "--rounds, --seconds, --port and --keys are whole numbers"
command -v redis-server >/dev/null ||
    die "redis-server is missing: apt-get install redis-server, then try again"
command -v taskset >/dev/null || die "taskset is missing: apt-get install util-linux"
for program in kv-server kv-bench; do
    [[ -x $build/bin/$program ]] || die "$build/bin/$program is missing: run scripts/build.sh first"
done
(($(nproc) > 1)) || die "this needs two cores: one for the server, one for the generator"
if [[ -n $json ]]; then
    : >"$json" || die "cannot write $json"
fi

directory=$(mktemp -d "$parent/compare_redis.XXXXXX")
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

results=$directory/results.tsv  # round server workload pipeline requests/s p50 p99 steal others
discarded=$directory/discarded.txt
: >"$results"
: >"$discarded"

# --- the disk ------------------------------------------------------------------------------------

[[ $(stat -f -c %T "$directory") != tmpfs ]] ||
    note "warning: $parent is in memory: durable writes cost nothing there, use --dir"
free_bytes() { df --output=avail -B1 "$directory" | tail -n 1; }
# Two servers keep logs, which only grow.
bytes_wanted=$((2 * (log_bytes_max + (seconds + 1) * log_bytes_per_second)))
if (($(free_bytes) < bytes_wanted)); then
    log_bytes_max=$((log_bytes_max / 6))
    bytes_wanted=$((2 * (log_bytes_max + (seconds + 1) * log_bytes_per_second)))
    note "warning: little room in $parent: servers start anew whenever their log reaches 1 GiB"
    (($(free_bytes) >= bytes_wanted)) ||
        die "logs would fill the disk: $parent needs $((bytes_wanted >> 20)) MiB free, see --dir"
fi

# --- servers -------------------------------------------------------------------------------------

ports_of() {
    case "$1" in
        kv) echo "$port" ;;
        redis_always) echo $((port + 1)) ;;
        redis_memory) echo $((port + 2)) ;;
    esac
}

generate() { # PORT ARGUMENT...: runs the generator, prints its JSON
    local to=$1
    shift
    "$build/bin/kv-bench" --port "$to" --cpu 1 --connections "$connections" --keys "$keys" \
        --key-bytes 16 --value-bytes "$value_bytes" --json "$@"
}

start() { # NAME: in a fresh directory, and with all keys
    local name=$1 data=$directory/$1 on
    on=$(ports_of "$name")
    answers "$on" && die "port $on is in use: see --port"
    rm -rf "$data"
    mkdir "$data"
    case "$name" in
        kv)
            taskset -c 0 "$build/bin/kv-server" --client-port "$on" --data-dir "$data/data" \
                --log-level warn >"$directory/$name.log" 2>&1 &
            ;;
        redis_always)
            taskset -c 0 redis-server --port "$on" --bind 127.0.0.1 --dir "$data" --save "" \
                --appendonly yes --appendfsync always --auto-aof-rewrite-percentage 0 \
                >"$directory/$name.log" 2>&1 &
            ;;
        redis_memory)
            taskset -c 0 redis-server --port "$on" --bind 127.0.0.1 --dir "$data" --save "" \
                --appendonly no >"$directory/$name.log" 2>&1 &
            ;;
    esac
    pids[$name]=$!
    local i
    for ((i = 0; i < 300; ++i)); do
        answers "$on" && break
        kill -0 "${pids[$name]}" 2>/dev/null || break
        sleep 0.1
    done
    if ! answers "$on"; then
        tail -n 5 "$directory/$name.log" >&2
        die "$name did not start"
    fi
    generate "$on" --protocol resp --pipeline 64 --preload --requests 1 --warmup 0s >/dev/null ||
        die "$name does not take the keys"
}

stop() {
    kill "${pids[$1]}" 2>/dev/null || true
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
    rm -rf "${directory:?}/$1"
}

# The log of a server without snapshots only grows: in time it starts anew.
bound_log() {
    local bytes
    bytes=$(du -s -B1 "$directory/$1" | cut -f 1)
    ((bytes > log_bytes_max)) || return 0
    note "  $1 has written $((bytes >> 20)) MiB: starting it anew"
    stop "$1"
    start "$1"
    (($(free_bytes) > (seconds + 1) * log_bytes_per_second)) ||
        die "the disk is nearly full: $(($(free_bytes) >> 20)) MiB left in $parent"
}

# --- one measurement -----------------------------------------------------------------------------

measure() { # ROUND SERVER WORKLOAD PIPELINE
    local round=$1 server=$2 workload=$3 pipeline=$4
    local name=$server protocol=resp
    if [[ $server == kv_binary ]]; then name=kv protocol=binary; fi
    local try out before after own_before own_after steal others what
    for ((try = 1; try <= tries_max; ++try)); do
        if [[ $workload == set ]]; then bound_log "$name"; fi
        await_quiet $((others_max / 2)) "$patience"
        own_before=$(own_times "${pids[$name]}")
        before=$(cpu_times)
        out=$(generate "$(ports_of "$name")" --protocol "$protocol" --pipeline "$pipeline" \
            --workload "$workload" --duration "${seconds}s" --warmup "${warmup}s" \
            --seed $((round * 100 + pipeline))) || die "the generator failed: $server: $out"
        after=$(cpu_times)
        own_after=$(own_times "${pids[$name]}")
        read -r steal others < \
            <(disturbance "$before" "$after" $((own_after - own_before)))
        what="round $round, $server, $workload, pipeline $pipeline"
        if awk "BEGIN { exit !($steal <= $steal_max && $others <= $others_max) }"; then
            printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$round" "$server" "$workload" \
                "$pipeline" "$(field requests_per_second "$out")" "$(field p50 "$out")" \
                "$(field p99 "$out")" "$steal" "$others" >>"$results"
            printf '  %-44s %9.0f/s  stolen %s %%, others %s %%\n' "$what" \
                "$(field requests_per_second "$out")" "$steal" "$others" >&2
            return
        fi
        printf '%s: stolen %s %%, others %s %%, %.0f requests/s\n' "$what" "$steal" "$others" \
            "$(field requests_per_second "$out")" | tee -a "$discarded" | sed 's/^/  discarded: /' >&2
    done
    note "  given up after $tries_max disturbed runs: $what has no figure"
}

# --- the machine ---------------------------------------------------------------------------------

cpu_model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
machine="$(nproc) x $cpu_model, Linux $(uname -r), $(df --output=fstype "$directory" | tail -n 1)"
versions="$("$build/bin/kv-server" --version), $(redis-server --version | sed 's/ sha=.*//')"

note "$machine"
note "$versions"
servers="kv kv_binary redis_always redis_memory"
for name in kv redis_always redis_memory; do start "$name"; done
for ((round = 1; round <= rounds; ++round)); do
    for workload in set get; do
        for pipeline in $pipelines; do
            for server in $servers; do measure "$round" "$server" "$workload" "$pipeline"; done
        done
    done
done

# --- the report ----------------------------------------------------------------------------------

report() { # human|json
    awk -F '\t' -v form="$1" -v rounds="$rounds" -v pipelines="$pipelines" -v machine="$machine" \
        -v versions="$versions" -v command="$command" -v keys="$keys" -v seconds="$seconds" \
        -v value_bytes="$value_bytes" -v connections="$connections" -v servers="$servers" \
        -v discarded="$(wc -l <"$discarded")" '
    function sort(a, n,    i, j, x) {
        for (i = 2; i <= n; ++i) {
            x = a[i]
            for (j = i - 1; j >= 1 && a[j] > x; --j) a[j + 1] = a[j]
            a[j + 1] = x
        }
    }
    # Sets middle, lowest, highest of the rounds numbers in values[]; false: there are none.
    function summarize(    i, n, a) {
        for (i = 1; i <= rounds; ++i) if (i in values) a[++n] = values[i] + 0
        if (n == 0) return 0
        sort(a, n)
        middle = n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
        lowest = a[1]; highest = a[n]
        return 1
    }
    function take(table, server, load,    i) {
        split("", values)
        for (i = 1; i <= rounds; ++i)
            if ((i, server, load) in table) values[i] = table[i, server, load]
        return summarize()
    }
    function take_ratio(of, to, load,    i) {
        split("", values)
        for (i = 1; i <= rounds; ++i)
            if ((i, of, load) in rate && (i, to, load) in rate)
                values[i] = rate[i, of, load] / rate[i, to, load]
        return summarize()
    }
    function thousands(x) { return x >= 999500 ? sprintf("%.2fM", x / 1e6) : sprintf("%.0fk", x / 1e3) }
    function quoted(text) { gsub(/["\\]/, "\\\\&", text); return "\"" text "\"" }
    function label(load,    p) { split(load, p, " "); return toupper(p[1]) " P" p[2] }
    function goal(load) {
        if (load == "set 16") return 3
        if (load == "set 64") return 4
        if (load == "get 16") return 2.5
        if (load == "get 64") return 3
        return 0
    }
    { load = $3 " " $4
      rate[$1, $2, load] = $5; p50[$1, $2, load] = $6; p99[$1, $2, load] = $7 }
    END {
        titles["kv"] = "kv-server"; titles["kv_binary"] = "kv-server, binary"
        titles["redis_always"] = "Redis always"; titles["redis_memory"] = "Redis, no log"
        count = split(servers, server, " ")
        depths = split(pipelines, depth, " ")
        for (w = 1; w <= 2; ++w)
            for (i = 1; i <= depths; ++i) loads[++n] = (w == 1 ? "set " : "get ") depth[i]
        pairs = split("kv:redis_always kv_binary:redis_always kv:redis_memory", pair, " ")
        if (form == "human") human(); else json()
    }
    function human(    i, s, p, of, row, ok) {
        print machine
        print versions
        printf "%d keys of 16 bytes, values of %d bytes, %d connections, %d rounds of %d s\n",
            keys, value_bytes, connections, rounds, seconds
        print command
        printf "\nRequests a second: median of the rounds [lowest..highest]\n\n| |"
        for (s = 1; s <= count; ++s) printf " %s |", titles[server[s]]
        printf "\n|---|"
        for (s = 1; s <= count; ++s) printf "---|"
        print ""
        for (i = 1; i <= n; ++i) {
            printf "| %s |", label(loads[i])
            for (s = 1; s <= count; ++s) {
                if (take(rate, server[s], loads[i]))
                    printf " %s [%s..%s] |", thousands(middle), thousands(lowest), thousands(highest)
                else printf " - |"
            }
            print ""
        }
        printf "\nLatency to the last reply of a batch, p50 / p99 in microseconds, medians\n\n| |"
        for (s = 1; s <= count; ++s) printf " %s |", titles[server[s]]
        printf "\n|---|"
        for (s = 1; s <= count; ++s) printf "---|"
        print ""
        for (i = 1; i <= n; ++i) {
            printf "| %s |", label(loads[i])
            for (s = 1; s <= count; ++s) {
                if (!take(p50, server[s], loads[i])) { printf " - |"; continue }
                printf " %.0f /", middle
                take(p99, server[s], loads[i])
                printf " %.0f |", middle
            }
            print ""
        }
        printf "\nRatios: median of the ratios within a round [lowest..highest]\n\n"
        print "| | kv-server to Redis always | goal | binary to Redis always | kv-server to Redis, no log |"
        print "|---|---|---|---|---|"
        for (i = 1; i <= n; ++i) {
            printf "| %s |", label(loads[i])
            for (p = 1; p <= pairs; ++p) {
                split(pair[p], of, ":")
                ok = take_ratio(of[1], of[2], loads[i])
                if (ok) printf " %.2f [%.2f..%.2f] |", middle, lowest, highest
                else printf " - |"
                if (p == 1 && goal(loads[i]))
                    printf " %.1f%s |", goal(loads[i]), ok ? (middle >= goal(loads[i]) ? ", met" : ", not met") : ""
                else if (p == 1) printf " |"
            }
            print ""
        }
        printf "\nMeasurements discarded because the machine was disturbed: %d\n", discarded
    }
    function list(    i, text) {
        for (i = 1; i <= rounds; ++i)
            text = text (i > 1 ? "," : "") (i in values ? values[i] : "null")
        return "[" text "]"
    }
    function json(    i, s, p, of, first) {
        printf "{\"machine\":%s,\"versions\":%s,\"command\":%s,", quoted(machine), quoted(versions), quoted(command)
        printf "\"keys\":%d,\"key_bytes\":16,\"value_bytes\":%d,\"connections\":%d,", keys, value_bytes, connections
        printf "\"rounds\":%d,\"seconds\":%d,\"discarded\":%d,\n\"results\":[", rounds, seconds, discarded
        for (i = 1; i <= n; ++i)
            for (s = 1; s <= count; ++s) {
                if (!take(rate, server[s], loads[i])) continue
                split(loads[i], of, " ")
                printf "%s\n{\"server\":\"%s\",\"workload\":\"%s\",\"pipeline\":%d,", first++ ? "," : "", server[s], of[1], of[2]
                printf "\"requests_per_second\":{\"median\":%.0f,\"min\":%.0f,\"max\":%.0f,\"rounds\":%s},", middle, lowest, highest, list()
                take(p50, server[s], loads[i]); printf "\"p50_us\":%.1f,", middle
                take(p99, server[s], loads[i]); printf "\"p99_us\":%.1f}", middle
            }
        printf "],\n\"ratios\":["
        first = 0
        for (i = 1; i <= n; ++i)
            for (p = 1; p <= pairs; ++p) {
                split(pair[p], of, ":")
                if (!take_ratio(of[1], of[2], loads[i])) continue
                printf "%s\n{\"of\":\"%s\",\"to\":\"%s\",\"load\":\"%s\",", first++ ? "," : "", of[1], of[2], loads[i]
                printf "\"median\":%.3f,\"min\":%.3f,\"max\":%.3f", middle, lowest, highest
                if (p == 1 && goal(loads[i])) printf ",\"goal\":%.1f", goal(loads[i])
                printf "}"
            }
        printf "]}\n"
    }' "$results"
}

say
report human
if [[ -s $discarded ]]; then
    say
    say "Discarded:"
    sed 's/^/  /' "$discarded"
fi
if [[ -n $json ]]; then report json >"$json"; fi
