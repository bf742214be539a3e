"""What the scripts of this folder share: each takes the port of an empty server on 127.0.0.1, or
those of an empty cluster, says what is wrong, and exits with 1 if anything is."""

import sys

SHOWN = 400


class Checks:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def equal(self, what, got, expected):
        self.that(what, got == expected, f"got {got!r}"[:SHOWN // 2] + f", expected {expected!r}")

    def that(self, what, right, complaint):
        self.count += 1
        if not right:
            self.failed += 1
            cut = "..." if len(complaint) > SHOWN else ""
            print(f"{what}: {complaint[:SHOWN]}{cut}")

    def end(self):
        print(f"{self.count} checks, {self.failed} failed")
        sys.exit(1 if self.failed or not self.count else 0)


def cluster():
    """(the ports of the nodes, that of one which may be killed, its process)"""
    words = sys.argv[1:]
    if len(words) != 5 or not all(word.isdigit() for word in words):
        sys.exit(f"usage: {sys.argv[0]} PORT PORT PORT VICTIM'S-PORT VICTIM'S-PID")
    *ports, victim, process = map(int, words)
    return ports, victim, process


def port():
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.exit(f"usage: {sys.argv[0]} PORT")
    return int(sys.argv[1])
