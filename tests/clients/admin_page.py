#!/usr/bin/env python3
"""The page of the cluster in Chromium: three nodes and sixteen shards, and what it shows once one
node is gone.

    admin_page.py URL NODE PID    the page of another node than NODE, whose process PID is
"""

import os
import signal
import sys

from browser import Browser
from checks import Checks

if len(sys.argv) != 4:
    sys.exit(__doc__)
URL, NODE, PID = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
NODES, SHARDS = 3, 16
checks = Checks()


def count(selector):
    return f"document.querySelectorAll('{selector}').length"


def summary(page, wanted):
    text = "document.getElementById('summary')?.textContent"  # the page may not be there yet
    checks.equal("summary", page.wait_for(text, wanted), wanted)


def leaders(page):
    rows = "Array.from(document.querySelectorAll('[data-shard]'), row => row.dataset.leader)"
    return [int(leader) for leader in page.evaluate(rows)]


with Browser() as page:
    page.open(URL)
    summary(page, f"{NODES} of {NODES} nodes up, {SHARDS} of {SHARDS} shards have a leader")
    checks.equal("nodes", page.evaluate(count("[data-node]")), NODES)
    checks.equal("nodes that are up", page.evaluate(count('[data-state="up"]')), NODES)
    checks.equal("shards", len(leaders(page)), SHARDS)
    checks.equal("leaders", set(leaders(page)), {1, 2, 3})
    checks.equal("replicas that lead", page.evaluate(count(".pill.leads")), SHARDS)
    charts = "document.querySelectorAll('svg path').length > 0"
    checks.equal("charts", page.wait_for(charts, True), True)

    os.kill(PID, signal.SIGKILL)
    summary(page, f"{NODES - 1} of {NODES} nodes up, {SHARDS} of {SHARDS} shards have a leader")
    state = f"document.querySelector('[data-node=\"{NODE}\"]').dataset.state"
    checks.equal("the node that is gone", page.wait_for(state, "down"), "down")
    checks.equal("nodes that are up", page.evaluate(count('[data-state="up"]')), NODES - 1)
    checks.equal("leaders", set(leaders(page)), {1, 2, 3} - {NODE})
    checks.equal("its replicas", page.evaluate(count(".pill.gone")), SHARDS)

    # A page that is opened now knows of it, too.
    page.open(URL)
    state = f"{count('[data-node]')} && {state}"
    checks.equal("opened again", page.wait_for(state, "down"), "down")
checks.end()
