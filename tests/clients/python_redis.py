#!/usr/bin/env python3
"""redis-py of Debian (python3-redis), RESP2. The server may be one of three that form a cluster."""

import redis

from checks import Checks, port

checks = Checks()
client = redis.Redis(port=port(), client_name="tester", socket_timeout=30)


def refused(what, call, words):
    try:
        checks.that(what, False, f"not refused: {call()!r}")
    except redis.ResponseError as error:
        checks.equal(what, str(error), words)


client.flushall()
checks.equal("ping", client.ping(), True)
checks.equal("set", client.set("k", "v"), True)
checks.equal("get", client.get("k"), b"v")
checks.equal("get absent", client.get("absent"), None)
checks.equal("set nx", client.set("k", "w", nx=True), None)
checks.equal("set xx", client.set("k", "w", xx=True), True)
checks.equal("set get", client.set("k", "x", get=True), b"w")
checks.equal("setnx", (client.setnx("n", 1), client.setnx("n", 2)), (True, False))
checks.equal("incr", client.incr("n"), 2)
checks.equal("incrby", client.incrby("n", 40), 42)
checks.equal("decr", client.decr("n"), 41)
checks.equal("decrby", client.decrby("n", 42), -1)
refused("incr of a word", lambda: client.incr("k"), "value is not an integer or out of range")
checks.equal("append", client.append("k", "yz"), 3)
checks.equal("strlen", client.strlen("k"), 3)
checks.equal("type", (client.type("k"), client.type("absent")), (b"string", b"none"))
checks.equal("getset", client.getset("k", "new"), b"xyz")
checks.equal("getdel", (client.getdel("k"), client.getdel("k")), (b"new", None))
checks.equal("mset", client.mset({"a": 1, "b": 2}), True)
checks.equal("mget", client.mget("a", "absent", "b"), [b"1", None, b"2"])
checks.equal("exists", client.exists("a", "b", "absent"), 2)
checks.equal("delete", client.delete("a", "b", "absent"), 2)
checks.equal("dbsize", client.dbsize(), 1)

every_byte = bytes(range(256))
checks.equal("binary set", client.set(every_byte, every_byte * 100), True)
checks.equal("binary get", client.get(every_byte), every_byte * 100)
checks.equal("binary keys", every_byte in client.keys("*"), True)
checks.equal("a long value", (client.set("long", b"x" * 1_000_000), client.strlen("long")),
             (True, 1_000_000))

with client.pipeline(transaction=False) as pipe:
    for i in range(2000):
        pipe.set(f"key:{i}", i)
        pipe.get(f"key:{i}")
    expected = [value for i in range(2000) for value in (True, b"%d" % i)]
    checks.equal("pipeline", pipe.execute(), expected)
with client.pipeline(transaction=False) as pipe:
    pipe.set("word", "x").incr("word").get("word")
    got = pipe.execute(raise_on_error=False)
    checks.equal("an error inside a pipeline", [got[0], str(got[1]), got[2]],
                 [True, "value is not an integer or out of range", b"x"])

names = {b"key:%d" % i for i in range(2000)}
checks.equal("scan_iter", set(client.scan_iter(match="key:*", count=100)), names)
checks.equal("scan_iter type", set(client.scan_iter(match="key:1?", _type="string")),
             {b"key:%d" % i for i in range(10, 20)})
checks.equal("scan_iter of another type", list(client.scan_iter(_type="hash")), [])

checks.equal("client getname", client.client_getname(), "tester")
checks.equal("client setname", client.client_setname("other"), True)
number = client.client_id()
checks.that("client id", isinstance(number, int) and number > 0, f"got {number!r}")
mine = [each for each in client.client_list() if each["id"] == str(number)]
checks.equal("client list", [each["name"] for each in mine], ["other"])
checks.equal("client info", client.client_info()["name"], "other")
victim = redis.Redis(port=client.connection_pool.connection_kwargs["port"],
                     retry_on_timeout=False)
victim_connection = victim.connection_pool.get_connection("_")
victim_connection.send_command("CLIENT", "ID")
victim_number = victim_connection.read_response()
checks.equal("client kill", client.client_kill_filter(_id=str(victim_number)), 1)
victim_connection.send_command("PING")
try:
    checks.that("a killed client", False, repr(victim_connection.read_response()))
except redis.ConnectionError:
    checks.equal("a killed client", True, True)

info = client.info()
mode = info.get("redis_mode")
checks.equal("info", [info.get("role"), info.get("loading")], ["master", 0])
checks.that("info mode", mode in ("standalone", "cluster"), repr(mode))
checks.that("info version", str(info["redis_version"]).startswith("7."), info["redis_version"])
checks.that("info keyspace", info["db0"]["keys"] == client.dbsize(), repr(info.get("db0")))
checks.equal("config get", list(client.config_get("maxmemory")), ["maxmemory"])
refused("config set", lambda: client.config_set("no-such-key", 1),
        "Unknown option or number of arguments for CONFIG SET - 'no-such-key'")
checks.equal("time", [type(part) for part in client.time()], [int, int])
checks.that("memory usage", client.memory_usage("long") > 1_000_000, "less than the value")
checks.equal("memory usage of nothing", client.memory_usage("absent"), None)
checks.that("slowlog", isinstance(client.slowlog_get(5), list), "no list")
checks.equal("slowlog reset", client.slowlog_reset(), True)
checks.equal("wait", client.wait(0, 0), 1 if mode == "cluster" else 0)
commands = client.command()
checks.that("command", commands["get"]["arity"] == 2 and "readonly" in commands["get"]["flags"],
            repr(commands.get("get")))
checks.equal("command count", client.command_count(), len(commands))
checks.equal("reset", client.execute_command("RESET"), "RESET")
client.flushall()
checks.equal("flushall", client.dbsize(), 0)
checks.end()
