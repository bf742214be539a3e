#!/usr/bin/env python3
"""Runs the simulator with each planted bug (proto/base/mutant.h) until it notices.

    scripts/mutants.py [--storm N] [--others N] [--only NAME,...] [--jobs N] [--folder BUILD]

Trial after trial of build-mutants/tests/sim/kvsim-mutants: first seeds of the storm, which has the
most faults for its time, then seeds of the other profiles in turn. A mutant is caught when an
oracle complains, an assertion of the program ends it, or it hangs, and the same seed without it is
well. What is not caught so is shown to the crash sweeps and the unit tests of the same build, as
far as they are built. The table goes to standard output, progress to the other. Exit code 1: a
mutant survived all of it.

Before:  meson setup build-mutants -Dmutants=true -Dbuildtype=plain -Doptimization=2
         ninja -C build-mutants tests/sim/kvsim-mutants tests/sim/test_sim
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

OTHERS = ("swarm", "restarts", "partitions", "disks", "clocks")
TRIAL_SECONDS = 120  # of a trial that ends by itself: a few
TEST_SECONDS = 600
# Asked in this order: the first one that fails is named.
TESTS = ("tests/sim/test_sim", "tests/unit/consensus/core/test_raft",
         "tests/unit/wal/test_wal", "tests/unit/replica/test_replica",
         "tests/unit/consensus/test_consensus", "tests/unit/snapshot/test_snapshot",
         "tests/unit/store/test_store", "tests/sim/test_cluster")


def run(command, seconds, environment=None):
    """(exit code or None for a timeout, output, CPU seconds)."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   env=environment)
        until, status = time.monotonic() + seconds, None
        while status is None:
            pid, waited, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                status = os.waitstatus_to_exitcode(waited)
            elif time.monotonic() > until:
                process.kill()
                _, _, usage = os.wait4(process.pid, 0)
                break
            else:
                time.sleep(0.02)
        process.returncode = status if status is not None else -9
        output.seek(0)
        text = output.read().decode(errors="replace")
    return status, text, usage.ru_utime + usage.ru_stime


def short(text, columns=76):
    text = " ".join(text.split())
    return text if len(text) <= columns else text[:columns - 3] + "..."


def complaint(status, text):
    """Who caught it and with which words; None: nobody did."""
    if status is None:
        return "it hangs"
    if status == 0:
        return None
    found = re.search(r"^kvsim --seed .* # (.+?) at [0-9.]+ s: (.*)$", text, re.M)
    if found:
        return f"{found[1]}: {short(found[2])}"
    found = re.search(r"assertion failed: (.*)$", text, re.M)
    if found:
        return f"assertion: {short(found[1])}"
    if status < 0:
        return f"it dies of signal {-status}"
    raise SystemExit(f"kvsim-mutants ended with {status}:\n{text}")


def ask_tests(folder, name):
    """The first case of the first test program that fails."""
    for program in TESTS:
        path = folder / program
        if not path.exists():
            continue
        environment = dict(os.environ, KV_MUTANT=name)
        status, text, _ = run([str(path), "--gtest_fail_fast", "--gtest_brief=0"], TEST_SECONDS,
                              environment)
        if status == 0:
            continue
        failed = re.findall(r"^\[  FAILED  \] ([\w/]+\.[\w/]+)", text, re.M)
        started = re.findall(r"^\[ RUN      \] ([\w/]+\.[\w/]+)", text, re.M)
        return (failed or started or [program])[0 if failed else -1]
    return None


def hunt(folder, name, storm, others):
    """(caught by, where, trials, CPU seconds)."""
    program = str(folder / "tests/sim/kvsim-mutants")
    cpu = 0.0
    trials = [("storm", seed + 1) for seed in range(storm)]
    trials += [(profile, seed + 1) for seed in range(others) for profile in OTHERS]
    for trial, (profile, seed) in enumerate(trials, 1):
        command = [program, "--seed", str(seed), "--profile", profile, "--keep-faults"]
        status, text, used = run(command + ["--mutant", name], TRIAL_SECONDS)
        cpu += used
        caught = complaint(status, text)
        if caught and not complaint(*run(command, TRIAL_SECONDS)[:2]):
            return caught, f"{profile} {seed}", trial, cpu
    return None, "", len(trials), cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--storm", type=int, default=200, help="seeds of it, at most")
    parser.add_argument("--others", type=int, default=20, help="seeds of each other profile")
    parser.add_argument("--only", default="", help="names, or the fronts of names")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("build-mutants"))
    parser.add_argument("--no-tests", action="store_true", help="the simulator alone")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()

    listed = subprocess.run([str(folder / "tests/sim/kvsim-mutants"), "--list-mutants"], check=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout
    mutants = [line.split("\t") for line in listed.splitlines()]
    only = tuple(filter(None, arguments.only.split(",")))
    if only:
        mutants = [one for one in mutants if one[0].startswith(only)]

    def work(one):
        name, what = one
        caught, where, trials, cpu = hunt(folder, name, arguments.storm, arguments.others)
        test = None
        if not caught and not arguments.no_tests:
            test = ask_tests(folder, name)
        by = caught or (f"test {test}" if test else "**nobody**")
        row = (f"| {name} | {what} | {by.replace('|', '/')} | {where or '-'} | "
               f"{trials if caught else f'> {trials}'} | {cpu:.1f} |")
        print(row, file=sys.stderr, flush=True)
        return row, bool(caught), bool(test)

    with concurrent.futures.ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        rows = list(pool.map(work, mutants))
    print("| mutant | what is wrong | caught by | profile, seed | trials | CPU s |")
    print("|---|---|---|---|---|---|")
    for row, _, _ in rows:
        print(row)
    simulated = sum(1 for _, caught, _ in rows if caught)
    tested = sum(1 for _, caught, test in rows if test and not caught)
    survivors = len(rows) - simulated - tested
    print(f"\n{len(rows)} mutants: {simulated} caught by the simulator, {tested} by other tests, "
          f"{survivors} by nobody.")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
