#!/usr/bin/env bash
# Measures a cluster of three kv-server nodes against Debian's etcd, three nodes too, and against
# one redis-server that keeps nothing on disk, in one run on one machine. Servers and generator
# share all its cores, and nothing is bound to any.
#
#   benchmarks/compare_cluster.sh [--quick] [--rounds N] [--seconds N] [--leaders together|spread]
#                                 [--cores N] [--build DIR] [--dir DIR] [--port N]
#                                 [--others-max N] [--json FILE]
#
#   --quick         2 rounds of 1 s
#   --rounds N      rounds; each measures every server once in every load (default 5)
#   --seconds N     length of a measurement, after 1 s of the same load (default 3)
#   --leaders WHERE cluster.leaders; spread needs a kv-bench that follows shards (default: spread
#                   where it does)
#   --cores N       reactor.cores of each node (default 1)
#   --build DIR     where bin/kv-server and bin/kv-bench were built (default build)
#   --dir DIR       where logs are written: on a real disk (default TMPDIR, else /tmp)
#   --port N        the first of 13 free ports (default 7461)
#   --others-max N  percent of the CPU time that other processes may use (default 10)
#   --json FILE     writes everything that was measured to FILE
#   --keys N, --value-bytes N    (default 1000000, 100)
#
# The loads: SET from 256 connections with one request at a time (for etcd: put), SET from 50 with
# 16 at a time (etcd has no pipelines), GET from 50 with one, linearizable in both clusters. All
# servers get the same uniform keys of 16 bytes, preloaded. kv-server and Redis are driven by
# kv-bench in RESP, etcd by benchmarks/etcd_load, one gRPC channel for each connection, all to the
# node that leads: that is faster here than to spread them.
#
# All servers are up the whole time, and those that are not measured are idle: less than 1 % of a
# core each. In a round each load goes to all servers in turn; a ratio is taken within a round, and
# the table shows the median of the rounds. Each measurement waits for a quiet moment, but for 20 s
# at most. One during which the host stole more than 6 % of the CPU time, or other processes used
# more than --others-max, is discarded, logged and repeated, three times at most; then this load has
# no figure for this server in this round.
#
# Installs etcd-server, redis-server and what etcd_load is built with where they are missing. The
# goals are reported, not tested: the exit code is 0 whenever it could measure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh
# shellcheck source=benchmarks/common.sh
source benchmarks/common.sh

rounds=5 seconds=3 leaders='' cores=1
build=build dir=${TMPDIR:-/tmp} port=7461 json=
keys=1000000 value_bytes=100
warmup=1 patience=20
steal_max=6 others_max=10 tries_max=4
bytes_wanted=$((12 << 30))  # logs of three nodes each, and etcd's history
command="benchmarks/compare_cluster.sh $*"

while (($#)); do
    case "$1" in
        --quick) rounds=2 seconds=1 ;;
        --rounds | --seconds | --leaders | --cores | --build | --dir | --port | --others-max | \
            --json | --keys | --value-bytes)
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

for name in rounds seconds cores port others_max keys value_bytes; do
    [[ ${!name} =~ ^[0-9]+$ ]] || die "--${name//_/-} is a whole number"
done
need_programs "$build" kv-server kv-bench
cluster_flag=()
"$build/bin/kv-bench" --help | grep -q -- '--cluster' && cluster_flag=(--cluster)
if [[ -z $leaders ]]; then
    leaders=together
    ((${#cluster_flag[@]} == 0)) || leaders=spread
fi
[[ $leaders == together || $leaders == spread ]] || die "--leaders is together or spread"
[[ $leaders == together ]] || ((${#cluster_flag[@]})) ||
    die "this kv-bench does not follow shards: --leaders together"
[[ -z $json ]] || : >"$json" || die "cannot write $json"

# --- programs ------------------------------------------------------------------------------------

install_packages etcd-server redis-server redis-tools libgrpc++-dev libprotobuf-dev \
    protobuf-compiler protobuf-compiler-grpc >&2
etcd_load=$build/benchmarks/etcd_load/etcd_load
note "building $etcd_load"
{
    ninja -C "$build" build.ninja && meson configure "$build" -Detcd_load=true </dev/null &&
        ninja -C "$build" benchmarks/etcd_load/etcd_load
} >"$build/etcd_load.log" 2>&1 || die "see $build/etcd_load.log"

directory=$(mktemp -d "$dir/compare_cluster.XXXXXX")
declare -A pids=()  # kv1..kv3, etcd1..etcd3, redis
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

results=$directory/results.tsv  # round server load requests/s p50 p99 p99.9 stolen others
discarded=$directory/discarded.txt
: >"$results"
: >"$discarded"
[[ $(stat -f -c %T "$directory") != tmpfs ]] ||
    note "warning: $dir is in memory: durable writes cost nothing there, use --dir"
(($(df --output=avail -B1 "$directory" | tail -n 1) > bytes_wanted)) ||
    die "$dir needs $((bytes_wanted >> 20)) MiB free: see --dir"

# --- servers -------------------------------------------------------------------------------------

kv_client=$port kv_peer=$((port + 3)) etcd_client=$((port + 6)) etcd_peer=$((port + 9))
redis_port=$((port + 12))
for ((i = port; i <= redis_port; ++i)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$i") 2>/dev/null && die "port $i is in use: see --port"
done

start_kv() {
    local i j peers
    for i in 0 1 2; do
        peers=
        for j in 0 1 2; do
            ((i == j)) || peers+=,$((j + 1)):127.0.0.1:$((kv_peer + j)):$((kv_client + j))
        done
        "$build/bin/kv-server" --id $((i + 1)) --data-dir "$directory/kv$i" \
            --raft-port $((kv_peer + i)) --client-port $((kv_client + i)) --peers "${peers#,}" \
            --set "cluster.leaders=$leaders" --set "reactor.cores=$cores" \
            --set reactor.cpus=none --log-level warn >"$directory/kv$i.log" 2>&1 &
        pids[kv$i]=$!
    done
}
etcd_endpoints=
start_etcd() {
    local i cluster=
    for i in 0 1 2; do
        cluster+=,n$i=http://127.0.0.1:$((etcd_peer + i))
        etcd_endpoints+=${etcd_endpoints:+,}127.0.0.1:$((etcd_client + i))
    done
    for i in 0 1 2; do
        etcd --name "n$i" --data-dir "$directory/etcd$i" --log-level error --logger zap \
            --quota-backend-bytes 8000000000 --initial-cluster "${cluster#,}" \
            --listen-client-urls "http://127.0.0.1:$((etcd_client + i))" \
            --advertise-client-urls "http://127.0.0.1:$((etcd_client + i))" \
            --listen-peer-urls "http://127.0.0.1:$((etcd_peer + i))" \
            --initial-advertise-peer-urls "http://127.0.0.1:$((etcd_peer + i))" \
            >"$directory/etcd$i.log" 2>&1 &
        pids[etcd$i]=$!
    done
}
start_redis() {
    redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$directory" --save "" \
        --appendonly no >"$directory/redis.log" 2>&1 &
    pids[redis]=$!
}

# Whether a server takes requests, and with them from the nodes that are to lead.
kv_serves() {
    local i led all=() shards=0 total
    total=$("$build/bin/kv-server" --print-config | sed -n 's/^shards = //p')
    for i in 0 1 2; do
        led=$(redis-cli -p $((kv_client + i)) INFO cluster 2>/dev/null | tr -d '\r' |
            sed -n 's/^cluster_shards_led://p')
        all+=("${led:-0}")
        shards=$((shards + ${led:-0}))
    done
    ((shards == total)) || return 1
    if [[ $leaders == together ]]; then
        ((all[0] == total))  # the node with the lowest id
    else
        for led in "${all[@]}"; do ((led >= total / 3 && led <= (total + 2) / 3)) || return 1; done
    fi
}
etcd_serves() {
    "$etcd_load" --endpoints "$etcd_endpoints" --leader --connections 1 --duration 0s 2>/dev/null
}
redis_serves() { answers "$redis_port"; }

await() { # NAME: until it serves, a minute at most
    local i name
    for ((i = 0; i < 300; ++i)); do
        "$1_serves" && return
        for name in "${!pids[@]}"; do
            kill -0 "${pids[$name]}" 2>/dev/null && continue
            tail -n 5 "$directory/$name.log" >&2
            die "$name ended"
        done
        sleep 0.2
    done
    tail -n 5 "$directory/$1"*.log >&2
    die "$1 does not serve"
}

generate() { # SERVER ARGUMENT...: runs its generator, prints its JSON
    local server=$1 to=(--port "$redis_port")
    shift
    if [[ $server == etcd ]]; then
        "$etcd_load" --endpoints "$etcd_endpoints" --leader --keys "$keys" \
            --value-bytes "$value_bytes" "$@"
        return
    fi
    if [[ $server == kv ]]; then to=(--port "$kv_client" "${cluster_flag[@]}"); fi
    "$build/bin/kv-bench" "${to[@]}" --protocol resp --keys "$keys" --key-bytes 16 \
        --value-bytes "$value_bytes" --json "$@"
}

preload() { # SERVER
    note "loading $1"
    if [[ $1 == etcd ]]; then
        generate etcd --preload --duration 0s
    else
        generate "$1" --pipeline 64 --preload --requests 1 --warmup 0s >/dev/null
    fi || die "$1 does not take the keys"
}

# --- one measurement -----------------------------------------------------------------------------

# load -> operation, connections, requests of a batch, servers
loads=(put_c256 set_p16 get_c50)
declare -A operation=([put_c256]=set [set_p16]=set [get_c50]=get)
declare -A connections=([put_c256]=256 [set_p16]=50 [get_c50]=50)
declare -A pipeline=([put_c256]=1 [set_p16]=16 [get_c50]=1)
declare -A servers=([put_c256]="kv etcd redis" [set_p16]="kv redis" [get_c50]="kv etcd redis")
declare -A title=([put_c256]="SET c256 P1" [set_p16]="SET c50 P16" [get_c50]="GET c50 P1")

measure() { # ROUND SERVER LOAD
    local round=$1 server=$2 load=$3
    local arguments=(--connections "${connections[$load]}" --workload "${operation[$load]}"
        --duration "${seconds}s" --warmup "${warmup}s" --seed $((round * 100 + pipeline[$load])))
    [[ $server == etcd ]] || arguments+=(--pipeline "${pipeline[$load]}")
    local try out before after own_before own_after steal others what rate
    for ((try = 1; try <= tries_max; ++try)); do
        await_quiet $((others_max / 2)) "$patience"
        await "$server"
        own_before=$(own_times "${pids[@]}")
        before=$(cpu_times)
        out=$(generate "$server" "${arguments[@]}") || die "the generator failed: $server: $out"
        after=$(cpu_times)
        own_after=$(own_times "${pids[@]}")
        read -r steal others < <(disturbance "$before" "$after" $((own_after - own_before)))
        rate=$(field requests_per_second "$out")
        what=$(printf 'round %d, %-5s %s: %.0f/s, stolen %s %%, others %s %%' "$round" "$server" \
            "${title[$load]}" "$rate" "$steal" "$others")
        if awk "BEGIN { exit !($steal <= $steal_max && $others <= $others_max) }"; then
            printf '%s\t' "$round" "$server" "$load" "$rate" "$(field p50 "$out")" \
                "$(field p99 "$out")" "$(field p99.9 "$out")" "$steal" "$others" >>"$results"
            echo >>"$results"
            note "  $what"
            return
        fi
        echo "$what" >>"$discarded"
        note "  discarded: $what"
    done
    note "  given up after $tries_max disturbed runs: no figure"
}

note "$(machine "$directory")"
start_kv
start_etcd
start_redis
for server in kv etcd redis; do
    await "$server"
    preload "$server"
done
for ((round = 1; round <= rounds; ++round)); do
    for load in "${loads[@]}"; do
        for server in ${servers[$load]}; do measure "$round" "$server" "$load"; done
    done
done
# What others measure Redis with; its clock stops at the first read of a batch.
redis_benchmark=$(redis-benchmark -p "$redis_port" -t set -d "$value_bytes" -r "$keys" -n 1000000 \
    -c 50 -P 16 --csv | sed -n 's/^"SET","\([0-9.]*\)".*/\1/p')

# --- the report ----------------------------------------------------------------------------------

rate_column=4 p50_column=5 p99_column=6 p999_column=7
# One number for each round that has it, in order.
figures() { # COLUMN SERVER LOAD
    awk -F '\t' -v c="$1" -v s="$2" -v l="$3" '$2 == s && $3 == l { print $c }' "$results"
}
ratios() { # COLUMN LOAD TO: of kv to another server, within each round
    awk -F '\t' -v c="$1" -v l="$2" -v to="$3" '
        $3 == l && $2 == "kv" { of[$1] = $c }
        $3 == l && $2 == to { other[$1] = $c }
        END { for (r in of) if (other[r] > 0) print of[r] / other[r] }' "$results"
}
cell() { # median [lowest..highest], or - without figures
    local middle low high
    read -r middle low high
    if [[ $middle == - ]]; then
        say -
    else
        say "$(thousands "$middle") [$(thousands "$low")..$(thousands "$high")]"
    fi
}
latencies() { # SERVER LOAD
    local column middle text=
    for column in $p50_column $p99_column $p999_column; do
        read -r middle _ < <(figures "$column" "$1" "$2" | median_and_range)
        [[ $middle != - ]] || break
        text+="${text:+ / }$(printf '%.0f' "$middle")"
    done
    say "${text:--}"
}
# load, server, column, what is asked for, its text
goals=(
    "put_c256 etcd $rate_column >= 10 puts a second"
    "put_c256 etcd $p99_column <= 1 p99 of a put"
    "set_p16 redis $rate_column >= 1 SETs a second"
    "get_c50 etcd $rate_column >= 6 linearizable GETs a second"
)
met() { # RATIO RELATION GOAL
    awk "BEGIN { print ($1 $2 $3) ? \"met\" : \"not met\" }"
}
versions="$("$build/bin/kv-server" --version), etcd $(etcd --version | sed -n 's/^etcd Version: //p')"
versions+=", $(redis-server --version | sed 's/ sha=.*//')"

report() {
    local load server what to column relation goal text middle low high
    machine "$directory"
    say "$versions"
    say "three nodes of $cores core each, leaders $leaders; $keys keys of 16 bytes," \
        "values of $value_bytes bytes; $rounds rounds of $seconds s"
    say "$command"
    say
    say "Requests a second: median of the rounds [lowest..highest]"
    say
    say "| | kv-server, 3 nodes | etcd, 3 nodes | Redis, one, no log |"
    say "|---|---|---|---|"
    for load in "${loads[@]}"; do
        what="| ${title[$load]} |"
        for server in kv etcd redis; do
            what+=" $(figures $rate_column $server "$load" | median_and_range | cell) |"
        done
        say "$what"
    done
    say
    say "Latency to the last reply of a batch, p50 / p99 / p99.9 in microseconds, medians"
    say
    say "| | kv-server, 3 nodes | etcd, 3 nodes | Redis, one, no log |"
    say "|---|---|---|---|"
    for load in "${loads[@]}"; do
        what="| ${title[$load]} |"
        for server in kv etcd redis; do
            what+=" $(latencies $server "$load") |"
        done
        say "$what"
    done
    say
    say "Ratios: kv-server to the other, median within a round [lowest..highest]"
    say
    say "| | to | ratio | goal |"
    say "|---|---|---|---|"
    for goal in "${goals[@]}"; do
        read -r load to column relation goal text <<<"$goal"
        read -r middle low high < <(ratios "$column" "$load" "$to" | median_and_range)
        what="| ${title[$load]}: $text | $to |"
        if [[ $middle == - ]]; then
            say "$what - | $relation $goal |"
        else
            say "$what $(printf '%.2f [%.2f..%.2f]' "$middle" "$low" "$high") |" \
                "$relation $goal, $(met "$middle" "$relation" "$goal") |"
        fi
    done
    say
    say "redis-benchmark, once: Redis SET c50 P16 $(thousands "${redis_benchmark:-0}")"
    say "Measurements discarded because the machine was disturbed: $(wc -l <"$discarded")"
}
quoted() { sed 's/["\\]/\\&/g; s/.*/"&"/' <<<"$1"; }
report_json() {
    local load to column relation goal text middle low high separator=
    printf '{"machine":%s,"versions":%s,"command":%s,' "$(quoted "$(machine "$directory")")" \
        "$(quoted "$versions")" "$(quoted "$command")"
    printf '"keys":%d,"key_bytes":16,"value_bytes":%d,"rounds":%d,"seconds":%d,' "$keys" \
        "$value_bytes" "$rounds" "$seconds"
    printf '"cores":%d,"leaders":"%s","discarded":%d,"redis_benchmark":%s,\n"results":[' "$cores" \
        "$leaders" "$(wc -l <"$discarded")" "${redis_benchmark:-null}"
    awk -F '\t' '{
        printf "%s\n{\"round\":%d,\"server\":\"%s\",\"load\":\"%s\",\"requests_per_second\":%.0f,",
            (NR > 1 ? "," : ""), $1, $2, $3, $4
        printf "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p99.9_us\":%.1f,", $5, $6, $7
        printf "\"stolen_percent\":%s,\"others_percent\":%s}", $8, $9
    }' "$results"
    printf '],\n"goals":['
    for goal in "${goals[@]}"; do
        read -r load to column relation goal text <<<"$goal"
        read -r middle low high < <(ratios "$column" "$load" "$to" | median_and_range)
        [[ $middle != - ]] || continue
        printf '%s\n{"load":"%s","to":"%s","what":"%s","median":%.3f,"min":%.3f,"max":%.3f,' \
            "$separator" "$load" "$to" "$text" "$middle" "$low" "$high"
        printf '"goal":"%s %s"}' "$relation" "$goal"
        separator=,
    done
    printf ']}\n'
}

say
report
if [[ -s $discarded ]]; then
    say
    say "Discarded:"
    sed 's/^/  /' "$discarded"
fi
if [[ -n $json ]]; then report_json >"$json"; fi
