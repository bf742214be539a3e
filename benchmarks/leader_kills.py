#!/usr/bin/env python3
"""How long shards take no writes when the node that leads them is killed, and whether a write that
was acknowledged is ever lost. Three nodes at default timers, under load, on this machine.

    benchmarks/leader_kills.py [--kills N] [--build DIR] [--dir DIR] [--port N] [--leaders WHERE]
                               [--connections N] [--seed N] [--keep] [--json FILE]

For each shard one client writes without pause: it follows redirects, tries the next node when there
is no answer, and looks again after 5 ms. Each time the node that leads most shards gets SIGKILL, at
a random moment. The gap of a shard that it led lasts from that moment to the first OK for a write
that was sent later. Then the node is started again, and when it has caught up, all that the clients
wrote is read: each key must hold the last value that was acknowledged, or a later one of which
nobody knows what became. kv-bench gives the load beside it.

A shard that is late tells of the machine, too, when all nodes share one disk and few CPUs: the
report counts how often nodes said that they did not run, or that their disk did not answer.

It is a report: exit code 0 when it could measure, and 1 when a write was lost.
"""

import argparse
import asyncio
import binascii
import collections
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

NODES = 3
SHARDS = 16
SLOTS = 16384
KEYS = 2000             # of each client: more than it writes between two kills
LOOK_AGAIN_S = 0.005    # the resolution of a gap
REPLY_S = 0.25          # without a reply for this long, the write is unknown
SERVES_AGAIN_MAX_S = 30
GOAL_S = 1.2
DISTURBANCES = {"not_run": b"this core did not run for a while",
                "disk_stalls": b"a write of the log takes longer"}
ROOT = pathlib.Path(__file__).resolve().parent.parent


def die(text):
    sys.exit(f"leader_kills.py: {text}")


def command(*words):
    """A request in RESP."""
    words = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


async def read_reply(reader):
    """A reply: a list, bytes of a bulk string, None, or the line of anything else."""
    line = (await reader.readuntil(b"\r\n"))[:-2]
    kind, rest = line[:1], line[1:]
    if kind == b"$":
        return None if rest == b"-1" else (await reader.readexactly(int(rest) + 2))[:-2]
    if kind == b"*":
        return [await read_reply(reader) for _ in range(int(rest))]
    return line


def tag_of(shard):
    """A hash tag whose slot is of that shard: shards are equal runs of slots."""
    for number in range(100_000):
        if binascii.crc_hqx(b"%d" % number, 0) % SLOTS * SHARDS // SLOTS == shard:
            return number
    raise AssertionError(shard)


# --- nodes ---------------------------------------------------------------------------------------

class Node:
    def __init__(self, number, options, directory):
        self.number = number
        self.port = options.port + number
        self.log = directory / f"node{number + 1}.log"
        peers = ",".join(
            f"{other + 1}:127.0.0.1:{options.port + NODES + other}:{options.port + other}"
            for other in range(NODES) if other != number)
        self.arguments = [
            f"{options.build}/bin/kv-server", "--id", str(number + 1),
            "--data-dir", str(directory / f"node{number + 1}"),
            "--client-port", str(self.port), "--raft-port", str(options.port + NODES + number),
            "--peers", peers, "--set", f"cluster.leaders={options.leaders}",
            "--set", f"cluster.shards={SHARDS}", "--set", "reactor.cores=1",
            "--set", "reactor.cpus=none"]
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.arguments, stderr=log, stdout=log)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        at = time.monotonic()
        self.process.wait()
        return at

    async def ask(self, *words):
        """None: it does not answer."""
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(command(*words))
            return await asyncio.wait_for(read_reply(reader), 5)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            return None
        finally:
            if writer is not None:
                writer.close()

    async def shards(self):
        """For each shard (role, commit index, applied index); {} when it does not answer."""
        info = await self.ask("INFO", "raft")
        if not isinstance(info, bytes):
            return {}
        line = re.compile(
            rb"shard(\d+):role=(\w+),term=\d+,commit_index=(\d+),applied_index=(\d+)")
        return {int(s): (role.decode(), int(commit), int(applied))
                for s, role, commit, applied in line.findall(info)}


async def led_by(nodes):
    """node -> shards it leads."""
    seen = await asyncio.gather(*(node.shards() for node in nodes))
    return {node: [s for s, (role, _, _) in shards.items() if role == "leader"]
            for node, shards in zip(nodes, seen)}


async def wait_until(condition, seconds, what):
    until = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > until:
            die(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.05)


async def all_led(nodes):
    return sum(len(shards) for shards in (await led_by(nodes)).values()) == SHARDS


async def caught_up(node, nodes):
    """It has applied all that was committed anywhere when this was asked."""
    committed = collections.Counter()
    for other in nodes:
        for shard, (_, commit, _) in (await other.shards()).items():
            committed[shard] = max(committed[shard], commit)
    own = await node.shards()
    return len(own) == SHARDS and all(own[s][2] >= committed[s] for s in own)


# --- clients -------------------------------------------------------------------------------------

class Client:
    """Writes to one shard, and knows what each of its keys may hold."""

    def __init__(self, shard, nodes):
        self.shard = shard
        self.ports = [node.port for node in nodes]
        self.port = self.ports[0]
        self.tag = tag_of(shard)
        self.reader = self.writer = None
        self.number = 0
        self.acknowledged = 0
        self.unknown = 0
        self.refused = collections.Counter()  # by first word
        self.keys = {}  # name -> the values it may hold; the first was acknowledged, or is None
        self.stopping = False
        self.killed_at = None
        self.serves_again = None  # a future: when the first write sent after killed_at was answered

    def disconnect(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None

    def try_next(self):
        self.disconnect()
        self.port = self.ports[(self.ports.index(self.port) + 1) % NODES]

    async def exchange(self, request):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(request)
        return await asyncio.wait_for(read_reply(self.reader), REPLY_S)

    async def write(self):
        """True: acknowledged."""
        self.number += 1
        key = f"{{{self.tag}}}{self.number % KEYS}"
        possible = self.keys.setdefault(key, [None])
        possible.append(self.number)  # from now on
        try:
            reply = await self.exchange(command("SET", key, self.number))
        except ConnectionRefusedError:
            possible.pop()
            self.try_next()
            return False
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            self.unknown += 1
            self.try_next()
            return False
        if reply == b"+OK":
            self.keys[key] = [self.number]
            self.acknowledged += 1
            return True
        word = reply.split()[0].decode()
        self.refused[word] += 1
        if b"outcome unknown" not in reply:
            possible.pop()
        if word == "-MOVED":
            self.disconnect()
            self.port = int(reply.rsplit(b":", 1)[1])
        else:
            self.try_next()
        return False

    async def run(self):
        """Until stopping is set: every write that was sent is answered, or given up."""
        followed = False  # the redirect of the write before
        self.stopping = False
        while not self.stopping:
            sent = time.monotonic()
            refused = self.refused["-MOVED"]
            ok = await self.write()
            answered = time.monotonic()
            if ok:
                followed = False
                if self.killed_at is not None and sent >= self.killed_at:
                    self.killed_at = None
                    self.serves_again.set_result(answered)
                await asyncio.sleep(LOOK_AGAIN_S)
            elif self.refused["-MOVED"] > refused and not followed:
                followed = True  # at once; but two nodes may name each other for a while
            else:
                followed = False
                await asyncio.sleep(LOOK_AGAIN_S)

    async def verify(self, node):
        """How many keys hold what they may not. `node` leads the shard."""
        lost = 0
        names = list(self.keys)
        for first in range(0, len(names), 500):
            part = names[first:first + 500]
            values = await node.ask("MGET", *part)
            if not isinstance(values, list):
                return None  # somebody else leads it now
            for name, value in zip(part, values):
                may = self.keys[name]
                if (None if value is None else int(value)) not in may:
                    lost += 1
                    print(f"LOST: shard {self.shard}, {name} holds {value}, may hold {may}")
        return lost


class Load:
    """kv-bench, as long as it lasts."""

    def __init__(self, options):
        bench = f"{options.build}/bin/kv-bench"
        knows = subprocess.run([bench, "--help"], capture_output=True, text=True, check=True)
        each = [bench, "--protocol", "resp", "--pipeline", "1", "--value-bytes", "100",
                "--duration", "24h", "--warmup", "0s", "--reconnect", "--timeout", "1s",
                "--no-progress"]
        if "--cluster" in knows.stdout:
            loads = [["--cluster", "--port", options.port, "--connections", options.connections]]
        else:  # each node serves what it leads, and redirects the rest
            share = max(1, options.connections // NODES)
            loads = [["--port", options.port + node, "--connections", share]
                     for node in range(NODES)]
        self.processes = [subprocess.Popen(each + [str(word) for word in load],
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                          for load in loads]

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


# --- a kill --------------------------------------------------------------------------------------

async def kill_once(nodes, clients):
    """Returns (gaps of the shards that the victim led, longest gap of the others), in seconds."""
    leads = await led_by(nodes)
    victim = max(nodes, key=lambda node: (len(leads[node]), random.random()))
    await asyncio.sleep(random.random() * 0.3)
    leads = await led_by([victim])
    loop = asyncio.get_running_loop()
    killed_at = victim.kill()
    for client in clients:
        client.serves_again = loop.create_future()
        client.killed_at = killed_at
    waiting = asyncio.gather(*(client.serves_again for client in clients))
    try:
        answered = await asyncio.wait_for(waiting, SERVES_AGAIN_MAX_S)
    except asyncio.TimeoutError:
        die("no writes after a kill of node {} for {} s, shards {}".format(
            victim.number + 1, SERVES_AGAIN_MAX_S,
            [client.shard for client in clients if client.killed_at is not None]))
    victim.start()
    await wait_until(lambda: caught_up(victim, nodes), 60, "the node has caught up")
    gaps = {client.shard: at - killed_at for client, at in zip(clients, answered)}
    own = {shard: gaps[shard] for shard in leads[victim]}
    others = max((gap for shard, gap in gaps.items() if shard not in own), default=0)
    return victim, own, others


async def verify(nodes, clients):
    """How many acknowledged writes are gone. Clients do not write meanwhile."""
    lost = 0
    for client in clients:
        for _ in range(200):
            leads = await led_by(nodes)
            leader = next((node for node in nodes if client.shard in leads[node]), None)
            found = None if leader is None else await client.verify(leader)
            if found is not None:
                lost += found
                break
            await asyncio.sleep(0.05)
        else:
            die(f"shard {client.shard} cannot be read")
    return lost


def percentile(sorted_values, percent):
    return sorted_values[min(len(sorted_values) - 1, len(sorted_values) * percent // 100)]


async def measure(options, nodes):
    await wait_until(lambda: all_led(nodes), 60, "every shard is led")
    clients = [Client(shard, nodes) for shard in range(SHARDS)]
    load = Load(options)
    gaps, others, late, lost = [], [], [], 0
    begun = time.monotonic()
    try:
        for kill in range(1, options.kills + 1):
            running = [asyncio.create_task(client.run()) for client in clients]
            await asyncio.sleep(0.3)
            victim, own, other = await kill_once(nodes, clients)
            for client in clients:
                client.stopping = True
            await asyncio.gather(*running)
            lost += await verify(nodes, clients)
            gaps += own.values()
            others.append(other)
            late += [(kill, victim.number + 1, shard, gap)
                     for shard, gap in own.items() if gap > GOAL_S]
            print(f"  kill {kill}: node {victim.number + 1} led {len(own)} shards, which wrote "
                  f"again after {min(own.values(), default=0):.3f} to "
                  f"{max(own.values(), default=0):.3f} s", file=sys.stderr)
    finally:
        load.stop()
    gaps.sort()
    return {
        "kills": options.kills, "seconds": round(time.monotonic() - begun, 1),
        "leaders": options.leaders, "connections": options.connections, "gaps": len(gaps),
        "p50_s": round(statistics.median(gaps), 3), "p99_s": round(percentile(gaps, 99), 3),
        "max_s": round(gaps[-1], 3), "others_max_s": round(max(others), 3),
        "goal_s": GOAL_S, "late": late, "acknowledged": sum(c.acknowledged for c in clients),
        "unknown": sum(c.unknown for c in clients), "lost": lost,
        **{name: sum(node.log.read_bytes().count(text) for node in nodes)
           for name, text in DISTURBANCES.items()},
    }


def report(result):
    print("kills of the node that leads most shards: {kills}, leaders {leaders}, load of "
          "{connections} connections, {seconds:.0f} s".format(**result))
    print("a shard wrote again after: p50 {p50_s:.3f} s, p99 {p99_s:.3f} s, max {max_s:.3f} s "
          "({gaps} gaps)".format(**result))
    print("goal: each within {} s: {}".format(
        result["goal_s"], "met" if not result["late"] else f"{len(result['late'])} took longer"))
    for kill, node, shard, gap in result["late"]:
        print(f"  kill {kill}, node {node}, shard {shard}: {gap:.3f} s")
    print("shards that another node led: no write for {others_max_s:.3f} s at most".format(
        **result))
    print("nodes said that they did not run for a while: {not_run} times; that their disk did not "
          "answer: {disk_stalls}".format(**result))
    print("writes acknowledged: {acknowledged}, of unknown outcome: {unknown}, lost: {lost}"
          .format(**result))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--build", default=str(ROOT / "build"))
    parser.add_argument("--dir", default=tempfile.gettempdir(), help="on a real disk")
    parser.add_argument("--port", type=int, default=7481, help="the first of six free ones")
    parser.add_argument("--leaders", choices=["spread", "together"], default="spread")
    parser.add_argument("--connections", type=int, default=50, help="of the load")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the logs of the nodes")
    parser.add_argument("--json", help="write the result there, too")
    options = parser.parse_args()
    random.seed(options.seed)
    for port in range(options.port, options.port + 2 * NODES):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                die(f"port {port} is in use: see --port")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="leader_kills.", dir=options.dir))
    nodes = [Node(number, options, directory) for number in range(NODES)]
    try:
        for node in nodes:
            node.start()
        result = asyncio.run(measure(options, nodes))
    finally:
        for node in nodes:
            if node.process is not None and node.process.poll() is None:
                node.kill()
            if options.keep:
                shutil.rmtree(directory / f"node{node.number + 1}", ignore_errors=True)
        if not options.keep:
            shutil.rmtree(directory)
    report(result)
    if options.keep:
        print(f"logs: {directory}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result) + "\n")
    sys.exit(1 if result["lost"] else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
