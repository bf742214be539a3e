#!/usr/bin/env python3
"""Runs the GoogleTest programs of a build folder and counts the cases that really ran.

    scripts/run_tests.py BUILD_FOLDER [--only unit,compiler] [--suite NAME] [--jobs N]
                         [--totals FILE]

The programs are those that Meson knows as tests, or those of one of its suites. One line
each; what failed is shown with the end of its output. The counts are appended to FILE as "passed
failed". Exit code 1 when anything failed.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

TIMEOUT_SECONDS = int(os.environ.get("KV_TEST_TIMEOUT", "900"))
TAIL_LINES = 40
CASES_SHOWN = 5


def discover(build):
    """Meson's tests; `group` is the folder below tests/ that declares the program."""
    text = subprocess.run(["meson", "introspect", "--tests", str(build)], check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    tests = []
    for test in json.loads(text):
        program = pathlib.Path(os.path.relpath(test["cmd"][0], build))
        parts = program.parts
        group = parts[1] if len(parts) > 2 and parts[0] == "tests" else ""
        tests.append(dict(test, group=group, alone=not test.get("is_parallel", True)))
    return tests


def read_report(path):
    """(passed, names of failed, skipped) of a GoogleTest JSON report, or None without one."""
    try:
        report = json.loads(path.read_text(errors="replace"))
    except (OSError, ValueError):
        return None
    passed, failed, skipped = 0, [], 0
    for suite in report["testsuites"]:
        for case in suite["testsuite"]:
            if case.get("failures"):
                failed.append(f'{suite["name"]}.{case["name"]}')
            elif case.get("result") == "SKIPPED":
                skipped += 1
            elif case.get("status") == "RUN":
                passed += 1
    return passed, failed, skipped


def excerpt(output, failed):
    """What the first failed cases printed; without that, the end of the output."""
    lines = output.splitlines()
    shown = []
    for case in failed[:CASES_SHOWN]:
        begin = next((n for n, line in enumerate(lines) if line == f"[ RUN      ] {case}"), None)
        if begin is None:
            continue
        end = next((n for n in range(begin, len(lines))
                    if lines[n].startswith(f"[  FAILED  ] {case}")), len(lines))
        shown += lines[max(begin, end - TAIL_LINES):end + 1]
    return shown or lines[-TAIL_LINES:]


def run(test, folder):
    """Runs one program; returns its counts and the text to print."""
    name = test["name"].replace("/", "_").replace(" ", "_")
    report_path, log_path = folder / f"{name}.json", folder / f"{name}.log"
    report_path.unlink(missing_ok=True)
    environment = dict(os.environ, **test.get("env", {}))
    command = test["cmd"] + [f"--gtest_output=json:{report_path}"]
    timeout = max(TIMEOUT_SECONDS, test.get("timeout") or 0)
    started = time.monotonic()
    with open(log_path, "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env=environment, cwd=test.get("workdir") or None,
                                   start_new_session=True)
        try:
            code = process.wait(timeout)
            ended = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        except subprocess.TimeoutExpired:
            code, ended = -1, f"timeout after {timeout} s"
        # Also what the program started and left behind.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    seconds = time.monotonic() - started

    output = log_path.read_text(errors="replace")
    report = read_report(report_path) if code in (0, 1) else None
    if report is None:
        # It did not live to write its report: what it printed says how far it came.
        passed = len(re.findall(r"^\[       OK \] ", output, re.M))
        failed = re.findall(r"^\[  FAILED  \] ([^ ,]+) \(", output, re.M)
        started_cases = re.findall(r"^\[ RUN      \] (\S+)", output, re.M)
        failed.append(f"{started_cases[-1] if started_cases else test['name']} ({ended})")
        skipped = 0
    else:
        passed, failed, skipped = report
        if code != 0 and not failed:
            failed.append(f"{test['name']} ({ended}, although every case passed)")
        if passed + len(failed) + skipped == 0:
            failed.append(f"{test['name']} (no case ran)")
    line = f"    {test['name']:<24} {passed:>6} passed"
    line += f", {len(failed)} FAILED" if failed else ""
    line += f", {skipped} skipped" if skipped else ""
    lines = [f"{line}  ({seconds:.1f} s)"]
    if failed:
        lines += [f"      FAILED: {case}" for case in failed]
        lines += [f"      | {text}" for text in excerpt(output, failed)]
        lines.append(f"      whole log: {log_path}")
    return passed, len(failed), "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--only", default="", help="folders below tests/, separated by commas")
    parser.add_argument("--suite", default="", help="of Meson's: `suite` of test()")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--totals", type=pathlib.Path)
    arguments = parser.parse_args()

    build = arguments.build.resolve()
    only = set(filter(None, arguments.only.split(",")))
    tests = [t for t in discover(build) if not only or t["group"] in only]
    if arguments.suite:
        tests = [t for t in tests if f"kv_store:{arguments.suite}" in t["suite"]]
    folder = build / "test-logs"
    folder.mkdir(exist_ok=True)

    # The longest first would need history; what must run alone (is_parallel: false) comes last.
    results = []
    with concurrent.futures.ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        pending = [pool.submit(run, t, folder) for t in tests if not t["alone"]]
        for future in concurrent.futures.as_completed(pending):
            results.append(future.result())
            print(results[-1][2], flush=True)
    for test in (t for t in tests if t["alone"]):
        results.append(run(test, folder))
        print(results[-1][2], flush=True)

    passed = sum(result[0] for result in results)
    failed = sum(result[1] for result in results)
    if not tests:
        print("    no test programs found")
    if arguments.totals:
        with open(arguments.totals, "a") as totals:
            totals.write(f"{passed} {failed}\n")
    sys.exit(1 if failed or not tests else 0)


if __name__ == "__main__":
    main()
