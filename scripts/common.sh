# What the scripts share: what must be installed, and how the build folders are configured.
# Sourced, never run. Callers have set -euo pipefail and are in the root of the repository.
# shellcheck shell=bash disable=SC2034

# The one list of Debian 12 packages. Build: the programs. Test: everything scripts/test.sh does.
build_packages=(
    g++ meson ninja-build pkg-config
    liburing-dev libxxhash-dev libtomlplusplus-dev libcli11-dev libspdlog-dev libfmt-dev libedit-dev
    nlohmann-json3-dev
)
unit_test_packages=(libgtest-dev libgmock-dev python3)
test_packages=(
    "${unit_test_packages[@]}"
    clang-19 libclang-rt-19-dev llvm-19 clang-format-19 clang-tidy-19
    # Clients that people have, and what they are used to: tests/clients, tests/differential.
    redis-tools redis-server python3-redis libhiredis-dev
    # Networks that the tests cut: tests/system/routed_network.h.
    iproute2
    # promtool, for metrics and alerts, and a browser for the page of the cluster.
    prometheus chromium
)
# Where npm does not come from Debian, neither does nodejs, and the two packages do not mix.
command -v npm >/dev/null || test_packages+=(nodejs npm)

say() { printf '%s\n' "$*"; }
die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Prints those of the given packages that dpkg does not know as installed.
missing_packages() {
    local package
    for package in "$@"; do
        # The status and not only the name: a removed package may still have its configuration.
        if [[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>&1)" != installed ]]; then
            printf '%s\n' "$package"
        fi
    done
}

# Whether everything the build needs is there, however it was installed. For systems without dpkg.
build_tools_present() {
    local tool library
    for tool in g++ meson ninja pkg-config; do
        command -v "$tool" >/dev/null || return 1
    done
    for library in liburing libxxhash tomlplusplus CLI11 spdlog fmt nlohmann_json; do
        pkg-config --exists "$library" || return 1
    done
}

# Installs what is missing of the given packages, or says how and ends the script.
install_packages() {
    if ! command -v dpkg-query >/dev/null; then
        build_tools_present && return
        die "Not a Debian system: install what corresponds to these packages, then try again:
    $*"
    fi
    local missing
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    local as_root=()
    if ((EUID != 0)); then
        if ! { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }; then
            die "Packages are missing. Run this as root, then try again:
    apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
        fi
        as_root=(sudo -n)
    fi
    say "Installing: ${missing[*]}"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q)
    local try
    for try in 1 2 3; do # mirrors fail now and then
        if "${apt[@]}" update </dev/null &&
            "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null; then
            return 0
        fi
        say "apt-get failed (attempt $try of 3)"
        sleep $((try * 5))
    done
    die "Could not install: ${missing[*]}"
}

# configure FOLDER OPTION...: makes the build folder, or gives an existing one these options.
# Meson takes ccache by itself when it is installed. CC and CXX count for a new folder only.
configure() {
    local folder=$1
    shift
    if [[ -f $folder/build.ninja ]]; then
        meson configure "$folder" "$@" </dev/null
    else
        # A folder without build.ninja is what an interrupted setup left behind.
        rm -rf "$folder"
        meson setup "$folder" "$@" </dev/null
    fi
}

# The release build: g++, -O3, asserts on. No LTO: it makes every link as slow as a build, and the
# hot path is inlined within its own files. Debian's libraries first, a wrap where one is missing.
configure_release() {
    CC="${CC:-gcc}" CXX="${CXX:-g++}" configure build \
        -Dbuildtype=release -Db_ndebug=false -Db_lto=false "$@"
}

jobs_count() { nproc 2>/dev/null || echo 2; }
