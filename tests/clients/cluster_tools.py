#!/usr/bin/env python3
"""redis-cli -c, redis-cli --cluster and redis-benchmark --cluster against three nodes. Takes their
ports."""

import re
import subprocess
import sys

from checks import Checks

PORTS = sys.argv[1:]
KEYS = 100
checks = Checks()


def run(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    return done.returncode, re.sub(r"\x1b\[[\d;]*m", "", (done.stdout + done.stderr).decode())


def cli(port, *words):
    return run("redis-cli", "-p", port, *words)[1]


def succeeds(what, words, *parts):
    code, text = run(*words)
    checks.equal(what, code, 0)
    for part in parts:
        checks.that(what, re.search(part, text), f"no {part!r} in {text[-300:]!r}")
    for word in ("WARNING", "ERR", "Error"):
        checks.that(what, word not in text.replace("[ERR]", "ERR"), text[-300:])


def refused(what, words, part):
    """With a reason, and nothing is changed."""
    code, text = run(*words)
    checks.that(what, code != 0, f"exits with {code}")
    checks.that(what, part in text, f"no {part!r} in {text[-300:]!r}")


# Each key through each node: two of three have to be followed elsewhere.
followed = 0
for i in range(KEYS):
    port = PORTS[i % len(PORTS)]
    checks.equal("-c set", cli(port, "-c", "SET", f"key:{i}", str(i)), "OK\n")
    checks.equal("-c get", cli(PORTS[(i + 1) % len(PORTS)], "-c", "GET", f"key:{i}"), f"{i}\n")
    # READONLY says that the client knows Redis clusters; then it is told.
    asked = subprocess.run(["redis-cli", "-p", port], input=f"READONLY\nSET key:{i} {i}\n".encode(),
                           capture_output=True, timeout=60).stdout.decode()
    followed += re.search(r"\AOK\nMOVED \d+ 127\.0\.0\.1:\d+\n", asked) is not None
    redirected = subprocess.run(["redis-cli", "-c", "-p", port],
                                input=f"READONLY\nSET key:{i} {i}\nGET key:{i}\n".encode(),
                                capture_output=True, timeout=60).stdout.decode()
    checks.equal("-c follows", redirected.split("\n")[-2], str(i))
checks.that("keys that were elsewhere", KEYS // 3 < followed < KEYS, f"{followed} of {KEYS}")

first = f"127.0.0.1:{PORTS[0]}"
manager = ["redis-cli", "--cluster"]
succeeds("check", [*manager, "check", first], r"\[OK\] 100 keys in 3 masters",
         r"\[OK\] All nodes agree about slots", r"\[OK\] All 16384 slots covered")
succeeds("info", [*manager, "info", first], r"\[OK\] 100 keys in 3 masters")
succeeds("call", [*manager, "call", first, "PING"], *[rf"127\.0\.0\.1:{p}: PONG" for p in PORTS])
succeeds("fix", [*manager, "fix", first], r"\[OK\] All 16384 slots covered")

ids = [cli(port, "CLUSTER", "MYID").strip() for port in PORTS]
refused("reshard", [*manager, "reshard", first, "--cluster-from", ids[0], "--cluster-to", ids[1],
                    "--cluster-slots", "1", "--cluster-yes"], "not supported")
refused("rebalance", [*manager, "rebalance", first, "--cluster-weight", f"{ids[0]}=5"],
        "not supported")
refused("del-node", [*manager, "del-node", first, ids[1]], "is not empty")
refused("create", [*manager, "create", *[f"127.0.0.1:{port}" for port in PORTS], "--cluster-yes"],
        "is not empty")
succeeds("nothing is lost", [*manager, "info", first], r"\[OK\] 100 keys in 3 masters")

for flags in ([], ["--threads", "2"], ["-P", "16"]):
    code, text = run("redis-benchmark", "--cluster", "-p", PORTS[1], "-t", "set,get,incr", "-n",
                     "5000", "-r", "1000", "-q", *flags)
    checks.equal(f"benchmark {flags}", code, 0)
    checks.that(f"benchmark {flags}", "Cluster has 3 master nodes" in text, text[:300])
    for port in PORTS:
        checks.that(f"benchmark {flags}", re.search(rf"Master \d: \w{{40}} 127.0.0.1:{port}\n",
                                                    text), text[:300])
    for test in ("SET", "GET", "INCR"):
        checks.that(f"benchmark {flags}", re.search(
            rf"(^|[\r\n ]){test}: \d+\.\d+ requests per second", text), text[-300:])
    for word in ("WARNING", "Error", "ERR"):
        checks.that(f"benchmark {flags}", word not in text, text[-300:])
checks.end()
