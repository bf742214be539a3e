#!/usr/bin/env bash
# Builds and passes all tests; the last line is "N passed, N failed". One test is one case of
# GoogleTest that ran (in release and under the sanitizers: two); a failed stage that has no cases
# counts as one failure. Exit code 0: none failed.
#
#   scripts/test.sh [--quick]
#
# --quick: the release build and its unit tests only, for work between commits.
# KV_TEST_TIMEOUT=SECONDS bounds each test program (default 900), KV_TEST_SEEDS=N says how many
# random clusters the release build runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh
exec </dev/null

quick=0
case "${1-}" in
    '') ;;
    --quick) quick=1 ;;
    *) die "usage: scripts/test.sh [--quick]" ;;
esac

passed=0
failed=0
stage_times=()
logs=build-logs
mkdir -p "$logs"
# Whatever ends this script, the count is its last line.
finish() {
    local code=$?
    ((code == 0 || failed > 0)) || failed=1
    say ""
    ((${#stage_times[@]} == 0)) || printf '%s\n' "${stage_times[@]}"
    say "$passed passed, $failed failed"
    ((failed == 0 && passed > 0)) || exit 1
    exit 0
}
trap finish EXIT
trap 'exit 130' INT TERM

# Stages are called in conditions, where set -e does nothing: their commands chain with &&.
#
# stage NAME live|quiet COMMAND...: runs and times it. A quiet stage shows the end of its log when
# it fails. Test cases are counted through the file $totals. Returns 1 when the stage failed.
totals=$PWD/$logs/totals
stage() {
    local name=$1 mode=$2 code=0 started=$SECONDS
    shift 2
    local log="$logs/${name// /-}.log"
    say "== $name"
    : >"$totals"
    if [[ $mode == live ]]; then
        ("$@") 2>&1 | tee "$log" || code=1
    else
        ("$@") >"$log" 2>&1 || code=1
    fi
    local stage_passed=0 stage_failed=0 more_passed more_failed
    while read -r more_passed more_failed; do
        stage_passed=$((stage_passed + more_passed))
        stage_failed=$((stage_failed + more_failed))
    done <"$totals"
    if ((code != 0 && stage_failed == 0)); then stage_failed=1; fi
    passed=$((passed + stage_passed))
    failed=$((failed + stage_failed))
    local verdict=ok
    if ((code != 0)); then
        verdict=FAILED
        if [[ $mode == quiet ]]; then
            tail -n 60 "$log" | sed 's/^/    | /'
            say "    whole log: $log"
        fi
    fi
    local line
    line=$(printf '%-28s %5d s  %s' "$name" $((SECONDS - started)) "$verdict")
    ((stage_passed + stage_failed == 0)) || line+="  $stage_passed passed, $stage_failed failed"
    stage_times+=("$line")
    say "   $line"
    return "$code"
}

# Files of the repository that match the globs; without git (a copied tree) those that look like it.
repository_files() {
    if git -c safe.directory='*' rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git -c safe.directory='*' ls-files -- "$@"
    else
        local glob names=()
        for glob in "$@"; do names+=(-o -name "${glob##*/}"); done
        find . \( -path './build*' -o -path ./subprojects -o -path ./.git \) -prune -o \
            -type f \( "${names[@]:1}" \) -printf '%P\n'
    fi
}

build_release() {
    configure_release -Dtests=true -Dwerror=true &&
        ninja -C build -j "$(jobs_count)"
}

# -O1 with line tables: reports name their lines, and the build takes half the time of -O2 -g.
build_sanitized() {
    CC=clang-19 CXX=clang++-19 configure build-asan \
        -Dbuildtype=plain -Doptimization=1 -Ddebug=false -Db_ndebug=false \
        -Db_sanitize=address,undefined -Db_lundef=false -Ddchecks=true -Dtests=true -Dwerror=true \
        -Dcpp_args='-fno-sanitize-recover=all -gline-tables-only' &&
        ninja -C build-asan -j "$(jobs_count)"
}

# Only what runs threads of ours beside each other: the programs of the suite `threads`.
build_tsan() {
    CC=clang-19 CXX=clang++-19 configure build-tsan \
        -Dbuildtype=plain -Doptimization=1 -Ddebug=false -Db_ndebug=false \
        -Db_sanitize=thread -Db_lundef=false -Ddchecks=true -Dtests=true -Dwerror=true \
        -Dcpp_args='-gline-tables-only' &&
        ninja -C build-tsan -j "$(jobs_count)" thread_tests
}

run_release() { python3 scripts/run_tests.py build --totals "$totals" "$@"; }

# As many random clusters as a quarter of an hour allows (tests/sim/cluster_seeds_test.cc).
run_release_with_seeds() {
    export KV_TEST_SEEDS=${KV_TEST_SEEDS:-3100}
    run_release
}

run_sanitized() {
    export KV_TEST_SANITIZED=1
    export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
    export UBSAN_OPTIONS=print_stacktrace=1
    export ASAN_SYMBOLIZER_PATH=/usr/lib/llvm-19/bin/llvm-symbolizer
    python3 scripts/run_tests.py build-asan --totals "$totals"
}

# One program at a time: each wants all cores.
run_tsan() {
    export KV_TEST_SANITIZED=1
    export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
    export TSAN_SYMBOLIZER_PATH=/usr/lib/llvm-19/bin/llvm-symbolizer
    python3 scripts/run_tests.py build-tsan --suite threads --jobs 1 --totals "$totals"
}

check_format() {
    repository_files '*.h' '*.cc' | grep -v '^subprojects/' |
        xargs -r clang-format-19 --dry-run --Werror
}

# The programs' own sources; headers through the header filter in .clang-tidy. One process a file,
# the largest first, so that no core waits for one late giant.
check_tidy() {
    local known
    known=$(python3 -c '
import json, os
for unit in json.load(open("build-asan/compile_commands.json")):
    print(os.path.relpath(os.path.join(unit["directory"], unit["file"])))' | sort -u) || return 1
    repository_files '*.cc' | grep -E '^(proto|engine|consensus|io|bin)/' | sort |
        comm -12 - <(sort <<<"$known") | xargs -r ls -S |
        xargs -r -P "$(jobs_count)" -n 1 clang-tidy-19 --quiet -p build-asan
}

check_rules() {
    python3 tests/tidy/tidy.py --self-test &&
        python3 tests/tidy/tidy.py
}

# Planted bugs (proto/base/mutant.h) are in the build that asks for them and nowhere else.
check_mutants() {
    [[ -x build/bin/kv-server ]] || return 1
    ! { nm -C build/bin/kv-server; strings -a build/bin/kv-server; } |
        grep -iE 'mutant|\bm[0-9]{2}_[a-z]'
}

# Nothing is downloaded: the Debian packages are used, and Meson reads every wrap on the way.
check_wraps() {
    rm -rf build-wraps &&
        CC=gcc CXX=g++ meson setup --wrap-mode=nodownload build-wraps &&
        rm -rf build-wraps
}

if ((quick)); then
    stage "packages" quiet install_packages "${build_packages[@]}" "${unit_test_packages[@]}" ||
        exit 1
    stage "build release" quiet build_release || exit 1
    stage "unit tests release" live run_release --only unit,compiler || true
    exit 0
fi

stage "packages" quiet install_packages "${build_packages[@]}" "${test_packages[@]}" || exit 1
if stage "build release" quiet build_release; then
    stage "tests release" live run_release_with_seeds || true
fi
if stage "build sanitized" quiet build_sanitized; then
    stage "tests sanitized" live run_sanitized || true
fi
if stage "build tsan" quiet build_tsan; then
    stage "tests tsan" live run_tsan || true
fi
stage "clang-format" quiet check_format || true
if [[ -f build-asan/compile_commands.json ]]; then
    stage "clang-tidy" quiet check_tidy || true
fi
stage "rules" quiet check_rules || true
stage "no mutants" quiet check_mutants || true
stage "wraps" quiet check_wraps || true
