"""What the scripts of this folder share: each takes the port of an empty server on 127.0.0.1, says
what is wrong, and exits with 1 if anything is."""

import sys


class Checks:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def equal(self, what, got, expected):
        self.that(what, got == expected, f"expected {expected!r}, got {got!r}")

    def that(self, what, right, complaint):
        self.count += 1
        if not right:
            self.failed += 1
            print(f"{what}: {complaint}")

    def end(self):
        print(f"{self.count} checks, {self.failed} failed")
        sys.exit(1 if self.failed or not self.count else 0)


def port():
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.exit(f"usage: {sys.argv[0]} PORT")
    return int(sys.argv[1])
