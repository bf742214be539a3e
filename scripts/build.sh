#!/usr/bin/env bash
# Builds the programs: build/bin/kv-server, build/bin/kv-cli and build/bin/kv-bench.
# Installs the Debian packages it needs when it may, else prints the command that does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh

install_packages "${build_packages[@]}"
# A new folder starts without the tests; one that has them keeps them.
if [[ -f build/build.ninja ]]; then
    configure_release
else
    configure_release -Dtests=false
fi
ninja -C build -j "$(jobs_count)" programs
say "Built: build/bin/kv-server, build/bin/kv-cli, build/bin/kv-bench"
