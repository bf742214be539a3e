#!/usr/bin/env bash
# Builds everything and runs a cluster of three nodes in the foreground, from conf/node1.toml,
# node2.toml and node3.toml. Ctrl+C or SIGTERM stops all three; their data stay in data/.
#
#   scripts/run_cluster.sh [FLAG...]    # flags of kv-server, for each node: --set reads=local
#
# A node that ends before the cluster serves ends the others, too. Later the others go on: kill
# one, and start it again with the command that is printed. Nodes started so are not stopped here.
#
# LOG_LEVEL=debug    what the nodes log: trace, debug, info, warn, error, critical or off
# CONF_DIR=FOLDER    where the three files are, if not in conf
# KV_SERVER=PROGRAM  runs that, and builds nothing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh

case "${1-}" in
    -h | --help)
        sed -n '2,/^set /s/^# \{0,1\}//p' scripts/run_cluster.sh
        exit 0
        ;;
esac
flags=("$@")
[[ -z ${LOG_LEVEL-} ]] || flags+=(--log-level "$LOG_LEVEL")
if [[ -z ${KV_SERVER-} ]]; then
    scripts/build.sh
    KV_SERVER=build/bin/kv-server
fi
command_of() { # node: sets `command`
    command=("$KV_SERVER" --config "${CONF_DIR:-conf}/node$1.toml" "${flags[@]}")
}

# Where each node will listen, after file and flags: asked from the server itself, whose words
# about a mistake are enough.
value_of() { # section key
    sed -n "/^\[$1\]/,/^\[/s/^$2 = //p" <<<"$config" | tr -d '"' | head -n 1
}
declare -A client admin pid
for node in 1 2 3; do
    command_of "$node"
    config=$("${command[@]}" --print-config)
    client[$node]=$(value_of client port)
    admin[$node]=$(value_of admin port)
done

is_ready() { # node
    local answer=
    { exec 3<>"/dev/tcp/127.0.0.1/${admin[$1]}"; } 2>/dev/null || return 1
    printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
    read -r -t 2 answer <&3 || true
    exec 3>&-
    [[ $answer == *" 200 "* ]]
}

# Else the nodes that run would be taken for those that are started here.
if is_ready 1 && is_ready 2 && is_ready 3; then
    say "A cluster runs already on these ports: 127.0.0.1:${client[1]}, ${client[2]}, ${client[3]}." >&2
    exit 1
fi

# A session of its own for each node: Ctrl+C in a terminal reaches this script alone, which passes
# it on once; a second signal would end a node in the middle. And none outlives this script.
for node in 1 2 3; do
    command_of "$node"
    setsid setpriv --pdeathsig TERM "${command[@]}" </dev/null &
    pid[$node]=$!
done

stopping=0
serves=0
exit_code=0
stop_all() {
    ((stopping)) || say "Stopping."
    stopping=1
    ((${#pid[@]} == 0)) || kill -TERM "${pid[@]}" 2>/dev/null || true
}
trap stop_all INT TERM HUP

node_ended() { # node
    local code=0
    wait "${pid[$1]}" || code=$?
    unset "pid[$1]"
    if ((stopping)); then
        ((code == 0 || exit_code != 0)) || exit_code=$code
        return
    fi
    say "*** Node $1 ended with exit code $code." >&2
    if ((!serves)); then
        exit_code=$code
        say "*** The cluster does not serve yet, and the first time it needs all three: stopping." >&2
        stop_all
    elif ((${#pid[@]} > 0)); then
        command_of "$1"
        say "*** The others go on. Start it again in another terminal, in $PWD:
***     ${command[*]}" >&2
    else
        exit_code=$code
    fi
}

say_how_to_connect() {
    say "
The cluster serves:"
    for node in 1 2 3; do
        say "    node $node: clients 127.0.0.1:${client[$node]}, page http://127.0.0.1:${admin[$node]}/, kill -9 ${pid[$node]}"
    done
    say "Connect to any node with one of:"
    say "    build/bin/kv-cli --port ${client[1]}"
    say "    redis-cli -c -p ${client[2]}"
    say "    nc 127.0.0.1 ${client[3]}    (REDIRECT names the node that has the key)"
    say "Ctrl+C stops all.
"
}

waited_from=$SECONDS
while ((${#pid[@]} > 0)); do
    for node in "${!pid[@]}"; do
        kill -0 "${pid[$node]}" 2>/dev/null || node_ended "$node"
    done
    if ((!serves && !stopping)); then
        if is_ready 1 && is_ready 2 && is_ready 3; then
            serves=1
            say_how_to_connect
        elif ((SECONDS - waited_from >= 30)); then
            say "Still not serving: the log above says what the nodes wait for."
            waited_from=$SECONDS
        fi
    fi
    sleep 0.2 || true # Ctrl+C ends it
done
exit "$exit_code"
