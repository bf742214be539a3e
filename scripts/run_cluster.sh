#!/usr/bin/env bash
# Builds everything and runs one node in the foreground with conf/kv-server.toml. Ctrl+C stops it.
# Arguments go to kv-server and override the file: scripts/run_cluster.sh --client-port 7000
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh

scripts/build.sh

# Where the node will listen, after file and flags: asked from the server itself. Flags that end it
# at once (--help) print no configuration, and are passed on like all others.
value_of() { # section key
    sed -n "/^\[$1\]/,/^\[/s/^$2 = //p" <<<"$config" | tr -d '"' | head -n 1
}
config=$(build/bin/kv-server --config conf/kv-server.toml "$@" --print-config 2>/dev/null || true)
host=$(value_of client bind)
port=$(value_of client port)
case "$host" in
    0.0.0.0) host=127.0.0.1 ;;
    ::) host=::1 ;;
esac
if [[ -n $host && -n $port && $port != 0 ]]; then
    say "Connect with one of:"
    say "    build/bin/kv-cli --host $host --port $port"
    say "    redis-cli -h $host -p $port"
    say "    nc $host $port"
fi
# exec: Ctrl+C and a signal to this script reach the server, and its exit code is ours.
exec build/bin/kv-server --config conf/kv-server.toml "$@"
