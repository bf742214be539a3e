#!/usr/bin/env python3
"""redis-cli, in RESP2 and with -3: what it prints, to the byte."""

import re
import subprocess

from checks import Checks, port

PORT = str(port())
checks = Checks()


def cli(*args, text=None):
    done = subprocess.run(["redis-cli", "-p", PORT, *args], input=text, capture_output=True,
                          timeout=60, stdin=None if text is not None else subprocess.DEVNULL)
    return (done.stdout + done.stderr).decode("utf-8", "backslashreplace")


def session(flags, rows):
    for args, expected in rows:
        got = cli(*flags, *args)
        if isinstance(expected, re.Pattern):
            checks.that(f"{flags} {args}", expected.fullmatch(got), f"got {got!r}")
        else:
            checks.equal(f"{flags} {args}", got, expected)


COMMON = [
    (["FLUSHALL"], "OK\n"),
    (["PING"], "PONG\n"),
    (["PING", "hi"], "hi\n"),
    (["SET", "k", "v w"], "OK\n"),
    (["GET", "k"], "v w\n"),
    (["GET", "absent"], "\n"),
    (["TYPE", "k"], "string\n"),
    (["TYPE", "absent"], "none\n"),
    (["STRLEN", "k"], "3\n"),
    (["APPEND", "k", "!"], "4\n"),
    (["SET", "k", "x", "NX"], "\n"),
    (["SET", "k", "x", "XX", "GET"], "v w!\n"),
    (["SET", "new", "x", "XX"], "\n"),
    (["SET", "new", "1", "NX"], "OK\n"),
    (["SETNX", "new", "2"], "0\n"),
    (["SETNX", "newer", "2"], "1\n"),
    (["INCR", "new"], "2\n"),
    (["INCRBY", "new", "40"], "42\n"),
    (["DECR", "new"], "41\n"),
    (["DECRBY", "new", "41"], "0\n"),
    (["INCR", "k"], "ERR value is not an integer or out of range\n\n"),
    (["INCRBY", "new", "9223372036854775807"], "9223372036854775807\n"),
    (["INCR", "new"], "ERR increment or decrement would overflow\n\n"),
    (["GETSET", "new", "a"], "9223372036854775807\n"),
    (["GETDEL", "new"], "a\n"),
    (["GETDEL", "new"], "\n"),
    (["MSET", "a", "1", "b", "2"], "OK\n"),
    (["MGET", "a", "absent", "b"], "1\n\n2\n"),
    (["EXISTS", "a", "a", "absent"], "2\n"),
    (["DBSIZE"], "4\n"),
    (["KEYS", "newe?"], "newer\n"),
    (["DEL", "a", "b", "absent"], "2\n"),
    (["ECHO", "hello world"], "hello world\n"),
    (["SELECT", "0"], "OK\n"),
    (["GET"], "ERR wrong number of arguments for 'get' command\n\n"),
    (["NONSENSE", "x"],
     "ERR unknown command 'NONSENSE', with args beginning with: 'x' \n\n"),
    (["SET", "k", "v", "NONSENSE"], "ERR syntax error\n\n"),
    (["HELLO", "4"], "NOPROTO unsupported protocol version\n\n"),
    (["CLIENT", "GETNAME"], "\n"),
    (["CLIENT", "SETNAME", "a b"], re.compile(r"ERR Client names cannot contain spaces, "
                                              r"newlines or special characters\.\n\n")),
    (["CLIENT", "ID"], re.compile(r"[1-9]\d*\n")),
    (["CLIENT", "INFO"],
     re.compile(r"id=\d+ addr=127\.0\.0\.1:\d+ .*name= .*cmd=client\|info.*\n\n?", re.S)),
    (["CLIENT", "LIST"], re.compile(r"(id=\d+ addr=.*\n)+\n?")),
    (["CLIENT", "KILL", "ID", "987654321"], "0\n"),
    (["CLIENT", "KILL", "1.2.3.4:5"], "ERR No such client\n\n"),
    (["COMMAND", "COUNT"], re.compile(r"[1-9]\d+\n")),
    (["CONFIG", "GET", "maxmemory"], re.compile(r"maxmemory[\n ]\d+\n")),
    (["CONFIG", "GET", "no-such-key"], "\n"),
    (["CONFIG", "SET", "no-such-key", "1"], re.compile(r"ERR Unknown option.*\n\n")),
    (["INFO", "server"], re.compile(r"# Server\r?\n.*redis_version:7\..*", re.S)),
    (["INFO"], re.compile(r".*\nrole:master\r?\n.*\ncluster_enabled:[01]\r?\n.*", re.S)),
    (["RESET"], "RESET\n"),
    (["TIME"], re.compile(r"1\d{9}\n\d{1,6}\n")),
    (["SCAN", "0", "MATCH", "newer", "COUNT", "1000"], "0\nnewer\n"),
    (["SCAN", "0", "TYPE", "list", "COUNT", "1000"], "0\n\n"),
    (["SCAN", "x"], "ERR invalid cursor\n\n"),
    (["MEMORY", "USAGE", "k"], re.compile(r"[1-9]\d*\n")),
    (["MEMORY", "USAGE", "absent"], "\n"),
    (["SLOWLOG", "LEN"], re.compile(r"\d+\n")),
    (["SLOWLOG", "RESET"], "OK\n"),
    (["WAIT", "0", "0"], "0\n"),
    (["--no-raw", "GET", "k"], '"x"\n'),
    (["--no-raw", "GET", "absent"], "(nil)\n"),
    (["--no-raw", "STRLEN", "k"], "(integer) 1\n"),
    (["--no-raw", "KEYS", "k"], '1) "k"\n'),
]
session([], COMMON)
session(["-3"], COMMON)

# Where the protocols show.
fields = "server version proto id mode role modules".split()
resp2 = cli("HELLO", "2").split("\n")
checks.equal("HELLO 2", resp2[::2][:7], fields)
checks.equal("HELLO 2 proto", resp2[5], "2")
resp3 = cli("-3", "--no-raw", "HELLO", "3")
checks.that("HELLO 3", re.fullmatch(
    r'1# "server" => "redis"\n2# "version" => "7\.[\d.]+"\n3# "proto" => \(integer\) 3\n'
    r'4# "id" => \(integer\) \d+\n5# "mode" => "standalone"\n6# "role" => "master"\n'
    r'7# "modules" => \(empty array\)\n', resp3), f"got {resp3!r}")
checks.equal("an empty map", cli("-3", "--no-raw", "CONFIG", "GET", "no-such-key"),
             "(empty hash)\n")
checks.equal("a name lives as long as its connection",
             cli(text=b"CLIENT SETNAME me\nCLIENT GETNAME\nRESET\nCLIENT GETNAME\n"),
             "OK\nme\nRESET\n\n")
checks.equal("binary",
             cli("--no-raw", text=b'SET "b\\x00\\xff" "\\r\\n\\x00"\nGET "b\\x00\\xff"\n'),
             'OK\n"\\r\\n\\x00"\n')
for flags in ([], ["-3"]):
    docs = cli(*flags, "COMMAND", "DOCS", "get")
    checks.that("COMMAND DOCS", "summary" in docs and "arguments" in docs, f"got {docs!r}")
    info = cli(*flags, "--no-raw", "COMMAND", "INFO", "get", "nonsense")
    checks.that("COMMAND INFO", re.match(r'1\)  1\) "get"\n +2\) \(integer\) 2\n +3\) ?', info) and
                info.endswith("2) (nil)\n"), f"got {info!r}")

# What tools do with many keys.
lines = b"".join(b"SET key:%d %d\n" % (i, i) for i in range(1000))
checks.equal("a pipe", cli("-3", text=b"FLUSHALL\n" + lines), "OK\n" * 1001)
checks.equal("--scan", sorted(cli("--scan").split()), sorted(f"key:{i}" for i in range(1000)))
checks.equal("--scan --pattern", sorted(cli("--scan", "--pattern", "key:99?").split()),
             sorted(f"key:{i}" for i in range(990, 1000)))
protocol = b"".join(b"*3\r\n$3\r\nSET\r\n$4\r\np%03d\r\n$1\r\nx\r\n" % i for i in range(1000))
piped = cli("--pipe", text=protocol)
checks.that("--pipe", "errors: 0, replies: 1000" in piped, f"got {piped!r}")
checks.equal("DBSIZE", cli("DBSIZE"), "2000\n")
biggest = cli("--bigkeys", "-i", "0")
checks.that("--bigkeys", "Sampled 2000 keys" in biggest, f"got {biggest!r}")
checks.end()
