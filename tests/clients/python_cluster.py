#!/usr/bin/env python3
"""redis-py of Debian against three nodes: its cluster client, while a shard changes its leader and
when a node dies, and its plain client, for which any node will do.

Takes the ports of three nodes, which have the ids 1 to 3, and the process of one of them: it is
killed on the way."""

import logging
import os
import signal

import redis
from redis.cluster import ClusterNode, RedisCluster

from checks import Checks, cluster

PORTS, VICTIM, PROCESS = cluster()
KEYS = 600
TRIES = 1000
checks = Checks()
logging.disable(logging.CRITICAL)  # every MOVED, with the whole way to it


def cluster_client(**options):
    nodes = [ClusterNode("127.0.0.1", port) for port in PORTS]
    # Tries enough to live through an election, a quarter of a second between two. Version 4.3.4
    # cannot ask again without a node of its list, unless the list stays as it is.
    return RedisCluster(startup_nodes=nodes, cluster_error_retry_attempts=60, socket_timeout=30,
                        dynamic_startup_nodes=False, **options)


def nodes_redirect():
    """Whether a client that has asked nothing is told CROSSSLOT and MOVED: on_follower."""
    with redis.Redis(port=PORTS[0]) as client:
        try:
            return client.mget("a", "b", "c") != [None] * 3
        except redis.ResponseError as error:
            return "same slot" in str(error)


def leader_of(shard):
    """The id of the node, as the first one sees it."""
    with redis.Redis(port=PORTS[0]) as first:
        return first.info("raft")[f"shard{shard}"]["leader"]


def work(client, what):
    names = [f"{what}:{i}" for i in range(KEYS)]
    checks.equal(f"{what}: set", [client.set(name, i) for i, name in enumerate(names)],
                 [True] * KEYS)
    checks.equal(f"{what}: get", [client.get(name) for name in names],
                 [b"%d" % i for i in range(KEYS)])
    checks.equal(f"{what}: incr", [client.incr(name) for name in names], list(range(1, KEYS + 1)))
    checks.equal(f"{what}: del", [client.delete(name) for name in names[::2]], [1] * (KEYS // 2))
    checks.equal(f"{what}: get again", [client.get(name) for name in names],
                 [None if i % 2 == 0 else b"%d" % (i + 1) for i in range(KEYS)])
    checks.equal(f"{what}: del of all", sum(client.delete(name) for name in names), KEYS // 2)


def many_keys(client):
    names = [f"many:{i}" for i in range(KEYS)]
    values = {name: f"{i}" for i, name in enumerate(names)}
    checks.that("mset", all(client.mset_nonatomic(values)), "not all is OK")
    checks.equal("mget", client.mget_nonatomic(names), [b"%d" % i for i in range(KEYS)])
    checks.equal("mget of one slot", (client.mset({"{x}a": 1, "{x}b": 2}),
                                      client.mget("{x}a", "{x}no", "{x}b")),
                 (True, [b"1", None, b"2"]))
    checks.equal("del of one slot", client.delete("{x}a", "{x}b"), 2)
    with client.pipeline() as pipe:
        for name in names:
            pipe.set(name, "piped")
            pipe.get(name)
            pipe.strlen(name)
        checks.equal("pipeline", pipe.execute(), [True, b"piped", 5] * KEYS)
    found = {name.encode() for name in names}
    everywhere = {"target_nodes": RedisCluster.PRIMARIES}
    checks.equal("scan_iter", set(client.scan_iter(match="many:*", count=50)), found)
    checks.equal("keys", set(client.keys("many:*", **everywhere)), found)
    if REDIRECTED:  # else a node that was asked nothing before counts those of all
        checks.equal("dbsize", client.dbsize(**everywhere), KEYS)
    checks.equal("exists", client.exists(*names), KEYS)
    slot = client.keyslot(names[0])
    checks.equal("keyslot", client.cluster_keyslot(names[0]), slot)
    listed = client.cluster_get_keys_in_slot(slot, 10)
    checks.that("getkeysinslot", names[0].encode() in map(
        lambda name: name if isinstance(name, bytes) else name.encode(), listed), repr(listed))
    checks.equal("countkeysinslot", client.cluster_countkeysinslot(slot), len(listed))
    client.flushall(**everywhere)
    checks.equal("flushall", client.dbsize(**everywhere), 0)


def topology(client):
    primaries = client.get_primaries()
    checks.equal("primaries", sorted(node.port for node in primaries), sorted(PORTS))
    checks.equal("replicas", client.get_replicas(), [])
    info = client.cluster_info(target_nodes=client.get_random_node())
    checks.equal("cluster info", [info["cluster_state"], info["cluster_slots_ok"],
                                  info["cluster_size"]], ["ok", "16384", "3"])
    nodes = client.cluster_nodes()
    checks.equal("cluster nodes", sorted(int(name.split(":")[1]) for name in nodes), sorted(PORTS))
    slots = client.cluster_slots()
    covered = sum(last - first + 1 for first, last in slots)
    checks.equal("cluster slots", covered, 16384)


def change_leader(client):
    """All keys of shard 0 are known to be elsewhere, until the client has asked again."""
    before = leader_of(0)
    after = before % len(PORTS) + 1
    checks.equal("transfer", client.execute_command(
        "CLUSTER TRANSFER", 0, after, target_nodes=client.get_node("127.0.0.1", PORTS[before - 1])),
        b"OK")
    checks.equal("the leader", leader_of(0), after)
    work(client, "behind a transfer")


def plain(port):
    """To a client that does not know Redis clusters, each node is the whole store."""
    with redis.Redis(port=port, socket_timeout=30) as client:
        work(client, f"plain {port}")
        names = [f"plain:{i}" for i in range(KEYS)]
        checks.equal("plain mset", client.mset({name: i for i, name in enumerate(names)}), True)
        checks.equal("plain mget", client.mget(names), [b"%d" % i for i in range(KEYS)])
        with client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.append(name, "x")
                pipe.get(name)
            expected = [value for i in range(KEYS)
                        for value in (len(f"{i}x"), b"%dx" % i)]
            checks.equal("plain pipeline", pipe.execute(), expected)
        checks.equal("plain scan", set(client.scan_iter(match="plain:*", count=30)),
                     {name.encode() for name in names})
        checks.equal("plain dbsize", client.dbsize(), KEYS)
        checks.equal("plain del", client.delete(*names), KEYS)
        checks.equal("plain flushall", (client.flushall(), client.dbsize()), (True, 0))


def set_in_the_end(client, name, value):
    """A write that was under way when the node died may be told that nobody knows."""
    for _ in range(TRIES):
        try:
            return client.set(name, value)
        except redis.ResponseError as error:
            if "outcome unknown" not in str(error) and "no leader" not in str(error):
                raise
    return checks.that("set behind a loss", False, f"{name} not in {TRIES} tries")


def lose_a_node(client):
    """What was written stays; the client's own tries find who leads instead."""
    for i in range(KEYS):
        client.set(f"kept:{i}", i)
    os.kill(PROCESS, signal.SIGKILL)
    for i in range(KEYS):
        set_in_the_end(client, f"new:{i}", i)
    checks.equal("what is new", [client.get(f"new:{i}") for i in range(KEYS)],
                 [b"%d" % i for i in range(KEYS)])
    work(client, "behind a loss")
    checks.equal("what was there", [client.get(f"kept:{i}") for i in range(KEYS)],
                 [b"%d" % i for i in range(KEYS)])
    left = sorted(set(PORTS) - {VICTIM})
    slots = client.cluster_slots(target_nodes=client.get_node("127.0.0.1", left[0]))
    checks.equal("primaries that are left", sorted({each["primary"][1] for each in slots.values()}),
                 left)


REDIRECTED = nodes_redirect()
client = cluster_client()
topology(client)
work(client, "cluster")
many_keys(client)
reader = cluster_client(read_from_replicas=True)
work(reader, "reads from replicas, of which there are none")
reader.close()
change_leader(client)
if not REDIRECTED:
    for port in PORTS:
        plain(port)
lose_a_node(client)
client.close()
checks.end()
