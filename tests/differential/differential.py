#!/usr/bin/env python3
"""Sends the same commands to this server and to Redis 7.0, and compares the replies byte by byte.

    tests/differential/differential.py --ours PORT --redis PORT [--seed N] [--commands N]
                                       [--verbs FILE] [--same] [--cluster]

What may differ is in rules.py; each rule must be needed at least once. Prints the seed, the first
difference and the commands that led to it. --same: both ports are Redis, to test the test: only
the rules about what differs from run to run may be needed. --cluster: both are nodes of a cluster
that have all slots, and that send clients on (on_follower = "redirect"). Exit code 0: nothing
differs, 1: something does, 2: usage, or a server is not there.
"""

import argparse
import os
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from generate import (Command, ENDLESS_LINES, Generator, PATTERNS, PROTOCOL_ERRORS,  # noqa: E402
                      STRANGE_BUT_FINE)
import rules  # noqa: E402
from wire import Broken, Connection, encode, reply_end  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = HERE.parent.parent / "docs" / "redis-differences.md"
BATCH = 1000           # commands that are sent at once
EPISODE = 5000         # commands on one connection, after which both servers are emptied
LEAD_SHOWN = 12
WORD_SHOWN = 80
KINDS_SHOWN = 20


def shown(word):
    return repr(bytes(word[:WORD_SHOWN]))[1:] + ("..." if len(word) > WORD_SHOWN else "")


def part(reply, other):
    """Around the first byte in which they differ."""
    at = len(os.path.commonprefix([reply, other]))
    start = max(0, at - WORD_SHOWN // 2) if at > WORD_SHOWN // 2 else 0
    return (f"[from byte {start}] ..." if start else "") + shown(reply[start:])


def line_of(command):
    text = " ".join(shown(word) for word in command.words[:12])
    return text + ("   (inline)" if command.data[:1] != b"*" else "")


def read_verbs(path, cluster):
    """(verbs to send, all verbs)"""
    unsent = {"own", "alone", "later"} | (set() if cluster else {"cluster"})
    sent, every = [], []
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        every.append(words[0])
        if not unsent & set(words[1:]):
            sent.append(words[0])
    return sent, every


class Differences:
    def __init__(self, seed, same, cluster):
        self.seed = seed
        self.same = same
        self.cluster = cluster
        self.kinds = {}  # (verb, error or kind of our reply, of Redis's) -> count

    def compare(self, command, ours, redis, before):
        """`before()`: the commands that led here."""
        if ours == redis or command.is_repair:
            return
        if command.words:
            for rule in rules.RULES:
                if self.same and rule.name not in rules.VARIABLE:
                    continue
                if rule.cluster and not self.cluster:
                    continue
                if rule.when(command.words) and rule.accepts(command.words, ours, redis):
                    rule.used += 1
                    return
        lead = [] if self.kinds else [line_of(each) for each in before()]
        self.add(command.name().decode("latin1"), line_of(command), ours, redis, lead)

    def add(self, name, what, ours, redis, lead=()):
        kind = (name, *(bytes(reply[:40] if rules.is_error(reply) else reply[:1])
                        for reply in (ours, redis)))
        if not self.kinds:
            print(f"FIRST DIFFERENCE, seed {self.seed}")
            if lead:
                print("  after:")
                for line in lead:
                    print(f"    {line}")
            print(f"  command: {what}")
            print(f"  ours:    {part(ours, redis)}\n  redis:   {part(redis, ours)}")
        elif kind not in self.kinds and len(self.kinds) < KINDS_SHOWN:
            print(f"  also: {what}\n    ours:  {part(ours, redis)}\n    redis: {part(redis, ours)}")
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


def split(data, count):
    """`count` replies and nothing behind them."""
    replies, at = [], 0
    for _ in range(count):
        end = reply_end(data, at) if at < len(data) else 0
        if end == 0:
            break
        replies.append(data[at:end])
        at = end
    return replies, data[at:]


def repair(words):
    """Its replies are not compared: that they differ is why it is sent."""
    command = Command(words)
    command.is_repair = True
    return command


def with_repairs(command):
    """What a refusal of ours leaves behind in Redis goes away again."""
    words = command.words
    out = [command]
    out += [repair(list(each)) for each in command.repair]
    if words and (rules.bad_key(words) or rules.long_value(words) or rules.expiring_set(words)):
        out += [repair([b"DEL", key]) for key in rules.keys_of(words)]
    return out


def run_batch(ours, redis, commands, mark, differences, history):
    data = b"".join(command.data for command in commands) + encode([b"ECHO", mark])
    end = b"$%d\r\n%b\r\n" % (len(mark), mark)
    ours.send(data)
    redis.send(data)
    mine, theirs = ours.until(end), redis.until(end)
    if mine != theirs:
        my_replies, my_rest = split(mine, len(commands))
        their_replies, their_rest = split(theirs, len(commands))
        for i, (reply, other) in enumerate(zip(my_replies, their_replies)):
            differences.compare(commands[i], reply, other,
                                lambda i=i: relevant(history + commands[:i], commands[i]))
        if len(my_replies) != len(their_replies) or my_rest or their_rest:
            differences.add("", "the number of replies to a batch", b"%d and %d bytes" % (
                len(my_replies), len(my_rest)), b"%d and %d bytes" % (len(their_replies),
                                                                     len(their_rest)))
    history[:] = (history + commands)[-2000:]


def relevant(before, command):
    """The latest commands that touch a key of this one, or are about the connection."""
    if not command.words:
        return before[-LEAD_SHOWN:]
    keys = set(rules.keys_of(command.words))
    whole = (b"flushall", b"flushdb", b"hello", b"reset", b"select")
    found = [each for each in before
             if each.words and (keys & set(rules.keys_of(each.words)) or each.name() in whole)]
    return (found if keys else before)[-LEAD_SHOWN:]


def scan_loop(connection, *options):
    keys, cursor = set(), b"0"
    for _ in range(1_000_000):
        reply = connection.ask(b"SCAN", cursor, *options)
        if not isinstance(reply, list) or len(reply) != 2:
            return reply
        cursor = reply[0]
        keys.update(reply[1])
        if cursor == b"0":
            return keys
    return "endless"


def compare_scans(ours, redis, dice, differences):
    options = []
    if dice.random() < 0.5:
        options += [b"MATCH", dice.choice(PATTERNS)]
    if dice.random() < 0.7:
        options += [b"COUNT", b"%d" % dice.choice((1, 2, 7, 100, 10000))]
    if dice.random() < 0.2:
        options += [b"TYPE", dice.choice((b"string", b"STRING", b"list"))]
    mine, theirs = scan_loop(ours, *options), scan_loop(redis, *options)
    if mine != theirs:
        differences.add("scan", f"a whole loop of SCAN {options}", repr(mine).encode(),
                        repr(theirs).encode())


def compare_streams(arguments, verbs, differences):
    sent = 0
    episode = 0
    while sent < arguments.commands:
        seed = f"{arguments.seed}/{episode}"
        generator = Generator(seed, verbs)
        ours, redis = Connection(arguments.ours), Connection(arguments.redis)
        history = []
        start = [Command([b"FLUSHALL"])]
        if "set" in verbs:
            start += with_repairs(Command([b"SET", b"long", b"v" * (rules.VALUE_BYTES_MAX + 1)]))
        run_batch(ours, redis, start, b"start", differences, history)
        for batch in range(EPISODE // BATCH):
            commands = []
            for _ in range(BATCH):
                commands += with_repairs(generator.next())
            run_batch(ours, redis, commands, b"mark-%d-%d" % (episode, batch), differences, history)
            sent += len(commands)
            if "scan" in verbs:
                compare_scans(ours, redis, generator.dice, differences)
        ours.close()
        redis.close()
        episode += 1
    return sent


def what_is_said(port, data):
    """To `data`, between two commands, and whether the connection lives on."""
    mark = b"" if data in ENDLESS_LINES else encode([b"ECHO", b"the end"])
    connection = Connection(port)
    try:
        connection.send(encode([b"PING"]) + data + mark)
    except Broken:
        pass  # it closed while we sent
    try:
        return connection.until(b"$7\r\nthe end\r\n") + b" and goes on"
    except Broken as broken:
        return bytes(connection.data) + (b" and closes" if broken.closed else b" and is silent")
    finally:
        connection.close()


def compare_broken_bytes(arguments, differences):
    """Protocol errors end a connection: what is said, and that it ends."""
    for data in PROTOCOL_ERRORS + ENDLESS_LINES:
        said = [what_is_said(port, data) for port in (arguments.ours, arguments.redis)]
        if said[0] == said[1]:
            continue
        rule = None if arguments.same else rules.broken_bytes_rule(data, *said)
        if rule is None:
            differences.add("", shown(data), *said)
        else:
            rules.PROTOCOL_RULES[rule] += 1
    for data in STRANGE_BUT_FINE:
        said = []
        for port in (arguments.ours, arguments.redis):
            connection = Connection(port)
            connection.send(b"*1\r\n$4\r\nPING\r\n" + data + encode([b"ECHO", b"the end"]))
            try:
                said.append(connection.until(b"$7\r\nthe end\r\n"))
            except Broken as broken:
                said.append(str(broken).encode())
            connection.close()
        if said[0] != said[1]:
            differences.add("", shown(data), *said)


def check_verbs(arguments, every):
    """The list of verbs is the server's own. Returns complaints."""
    connection = Connection(arguments.ours)
    count, listed = connection.ask(b"COMMAND", b"COUNT"), connection.ask(b"COMMAND", b"LIST")
    connection.close()
    names = {verb.split("|")[0] for verb in every}
    if not isinstance(count, int):
        return []  # a server without COMMAND COUNT
    complaints = []
    if count != len(names):
        complaints.append(f"COMMAND COUNT says {count}, the list of verbs has {len(names)}")
    theirs = {name.decode().split("|")[0] for name in listed} if isinstance(listed, list) else names
    complaints += [f"not in the list of verbs: {name}" for name in sorted(theirs - names)]
    complaints += [f"not a command of the server: {name}" for name in sorted(names - theirs)]
    return complaints


def check_rules(verbs, cluster):
    complaints = []
    documented = rules.documented(DOCUMENT.read_text())
    named = [rule.name for rule in rules.RULES] + list(rules.PROTOCOL_RULES)
    complaints += [f"{name} is not in {DOCUMENT.name}" for name in named if name not in documented]
    complaints += [f"{DOCUMENT.name} has {name}, which is no rule" for name in documented
                   if name not in named]
    for rule in rules.RULES:
        if rule.cluster != cluster:
            continue  # needed with the other kind of server
        usable = not rule.verbs or any(verb in verbs for verb in rule.verbs)
        if usable and rule.used == 0:
            complaints.append(f"the rule {rule.name} was never needed: the difference is gone, or "
                              "no command shows it")
    complaints += [f"the rule {name} was never needed" for name, used in
                   rules.PROTOCOL_RULES.items() if used == 0]
    return complaints


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", type=int, required=True)
    parser.add_argument("--redis", type=int, required=True)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 32)))
    parser.add_argument("--commands", type=int,
                        default=int(os.environ.get("KV_DIFFERENTIAL_COMMANDS", "100000")))
    parser.add_argument("--verbs", type=pathlib.Path, default=HERE / "verbs.txt")
    parser.add_argument("--same", action="store_true")
    parser.add_argument("--cluster", action="store_true")
    arguments = parser.parse_args()
    verbs, every = read_verbs(arguments.verbs, arguments.cluster)
    differences = Differences(arguments.seed, arguments.same, arguments.cluster)
    started = time.monotonic()
    complaints = []
    try:
        if not arguments.same:
            complaints += check_verbs(arguments, every)
        sent = compare_streams(arguments, verbs, differences)
        compare_broken_bytes(arguments, differences)
    except (Broken, OSError) as broken:
        print(f"seed {arguments.seed}: {broken}")
        sys.exit(2 if isinstance(broken, ConnectionRefusedError) else 1)
    if not arguments.same:
        complaints += check_rules(verbs, arguments.cluster)
    seconds = time.monotonic() - started
    for complaint in complaints:
        print(complaint)
    wrong = sum(differences.kinds.values())
    print(f"seed {arguments.seed}: {sent} commands of {len(verbs)} verbs in {seconds:.1f} s, "
          f"{wrong} differ in {len(differences.kinds)} ways")
    if not arguments.same:
        used = {rule.name: rule.used for rule in rules.RULES if rule.used}
        print("rules needed: " + ", ".join(f"{name} {count}" for name, count in
                                           (used | rules.PROTOCOL_RULES).items()))
    sys.exit(1 if wrong or complaints else 0)


if __name__ == "__main__":
    main()
