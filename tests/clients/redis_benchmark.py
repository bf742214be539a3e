#!/usr/bin/env python3
"""redis-benchmark: every test of commands that there are runs, and nothing is refused."""

import re
import subprocess

from checks import Checks, port

PORT = str(port())
checks = Checks()
TESTS = ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"]


def benchmark(*args):
    done = subprocess.run(["redis-benchmark", "-p", PORT, *args], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=120)
    return done.returncode, (done.stdout + done.stderr).decode()


for depth in ("1", "16"):
    for flags in ([], ["-3"]):
        code, text = benchmark("-t", "ping_inline,ping_mbulk,set,get,incr,mset", "-n", "5000", "-r",
                               "1000", "-P", depth, "-q", *flags)
        checks.equal(f"-P {depth} {flags}", code, 0)
        for test in TESTS:
            checks.that(f"-P {depth} {flags}", re.search(
                rf"(^|[\r\n]){re.escape(test)}: \d+\.\d+ requests per second", text),
                f"no {test} in {text[-400:]!r}")
        for word in ("WARNING", "Error", "ERR"):
            checks.that(f"-P {depth} {flags}", word not in text, f"got {text[-400:]!r}")
code, text = benchmark("-n", "1000", "-q", "SET", "key:__rand_int__", "value")
checks.equal("a command of one's own", code, 0)
checks.that("a command of one's own", "requests per second" in text, f"got {text!r}")
code, text = benchmark("-n", "1000", "--csv", "-t", "get", "-d", "1000")
checks.that("--csv", '"GET","' in text, f"got {text!r}")
checks.end()
