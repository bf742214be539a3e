"""The differences from Redis that are intended, each by its name in docs/redis-differences.md.

A rule says for which commands it may speak (`when`), and which two replies it accepts (`accepts`).
It is to be as narrow as the difference.
"""

from wire import value_of

KEY_BYTES_MAX = 65535
VALUE_BYTES_MAX = 1 << 20

# Verbs whose arguments are all keys, and those that have none; of the others the first is one.
ALL_KEYS = (b"del", b"exists", b"mget", b"unlink", b"touch")
NO_KEYS = (b"ping", b"echo", b"keys", b"select", b"flushall", b"flushdb", b"info", b"config",
           b"client", b"command", b"hello", b"auth", b"scan", b"wait", b"slowlog", b"reset",
           b"dbsize", b"time", b"role", b"lastsave", b"randomkey", b"readonly", b"readwrite",
           b"asking", b"quit", b"cluster")


def keys_of(words):
    verb = words[0].lower()
    if verb in ALL_KEYS:
        return words[1:]
    if verb == b"mset":
        return words[1::2]
    if verb in (b"object", b"memory"):
        return words[2:3]
    return () if verb in NO_KEYS else words[1:2]


def values_of(words):
    verb = words[0].lower()
    if verb == b"mset":
        return words[2::2]
    return words[2:3] if verb in (b"set", b"setnx", b"getset", b"append") else ()


def verb(words):
    return words[0].lower() if words else b""


def bad_key(words):
    return any(not key or len(key) > KEY_BYTES_MAX for key in keys_of(words))


def long_value(words):
    return any(len(value) > VALUE_BYTES_MAX for value in values_of(words))


EXPIRY = (b"ex", b"px", b"exat", b"pxat")


def expiring_set(words):
    return verb(words) == b"set" and any(word.lower() in EXPIRY for word in words[3:])


def is_error(reply):
    return reply[:1] == b"-"


def same_form(words, ours, redis):
    del words
    return ours[:1] == redis[:1] and not is_error(ours)


def same_members(words, ours, redis):
    """KEYS: the same names in any order."""
    del words
    mine, theirs = value_of(ours)[0], value_of(redis)[0]
    if not isinstance(mine, list) or not isinstance(theirs, list):
        return False
    return sorted(mine) == sorted(theirs)


def both_scan_replies(words, ours, redis):
    """A cursor and some keys; whole loops are compared elsewhere."""
    del words
    replies = value_of(ours)[0], value_of(redis)[0]
    return all(isinstance(reply, list) and len(reply) == 2 and reply[0].isdigit() and
               isinstance(reply[1], list) for reply in replies)


def same_hello(words, ours, redis):
    """The same fields in the same order; version, id and the server's mode are its own."""
    del words
    mine, theirs = value_of(ours)[0], value_of(redis)[0]
    mine, theirs = (reply[1] if isinstance(reply, tuple) else reply for reply in (mine, theirs))
    return (ours[:1] == redis[:1] and ours[:1] in (b"*", b"%") and mine[::2] == theirs[::2] and
            mine[mine.index(b"proto") + 1] == theirs[theirs.index(b"proto") + 1])


REPORTS = ("info", "command", "command|count", "command|list", "config|get", "time", "lastsave",
           "role", "memory|usage", "slowlog|get", "slowlog|len", "client|id", "client|info",
           "client|list", "client|help", "command|help", "config|help", "memory|help",
           "object|help", "slowlog|help", "cluster|help", "cluster|info", "cluster|nodes",
           "cluster|slots", "cluster|shards", "cluster|myid")


CONTAINERS = (b"client", b"cluster", b"command", b"config", b"memory", b"object", b"slowlog")


def name_of(words):
    """With the subcommand: "config|get"."""
    name = verb(words)
    if name in CONTAINERS and len(words) > 1:
        name += b"|" + words[1].lower()
    return name.decode("latin1")


def report(words):
    all_commands = len(words) == 2 and name_of(words) in ("command|info", "command|docs")
    return all_commands or name_of(words) in REPORTS


class Rule:
    def __init__(self, name, verbs, when, accepts, cluster=False):
        self.name = name
        self.verbs = verbs  # the rule can be used only if one of them is tested; (): always
        self.when = when
        self.accepts = accepts
        self.cluster = cluster  # of clusters alone
        self.used = 0


RULES = [
    Rule("empty-key", (), lambda w: any(not key for key in keys_of(w)),
         lambda w, ours, redis: ours == b"-ERR key must have 1 to 65535 bytes\r\n"),
    Rule("key-length", (), lambda w: any(len(key) > KEY_BYTES_MAX for key in keys_of(w)),
         lambda w, ours, redis: ours == b"-ERR key must have 1 to 65535 bytes\r\n"),
    Rule("value-length", ("set",), long_value,
         lambda w, ours, redis: is_error(ours) and b"limits.value_bytes_max" in ours),
    Rule("no-expiry", ("set",), expiring_set,
         lambda w, ours, redis: ours.startswith(b"-ERR keys do not expire in this version")),
    Rule("no-rewrite", ("config|rewrite",),
         lambda w: name_of(w) == "config|rewrite" and len(w) == 2,
         lambda w, ours, redis: ours.startswith(b"-ERR CONFIG REWRITE is not supported") and
         is_error(redis)),
    Rule("no-idle-time", ("object|idletime",), lambda w: name_of(w) == "object|idletime",
         lambda w, ours, redis: ours.startswith(b"-ERR idle time is not tracked") and
         redis[:1] == b":"),
    Rule("one-database", ("select",),
         lambda w: verb(w) == b"select" and len(w) == 2 and w[1].lstrip(b"-").isdigit(),
         lambda w, ours, redis: ours == b"-ERR DB index is out of range\r\n" and
         redis in (b"+OK\r\n", b"-ERR SELECT is not allowed in cluster mode\r\n")),
    Rule("order-of-keys", ("keys",), lambda w: verb(w) == b"keys", same_members),
    Rule("order-of-scan", ("scan",), lambda w: verb(w) == b"scan", both_scan_replies),
    Rule("own-identity", ("hello",), lambda w: verb(w) == b"hello", same_hello),
    Rule("strict-cursor", ("scan",),
         lambda w: verb(w) == b"scan" and len(w) > 1 and not w[1].isdigit(),
         lambda w, ours, redis: ours == b"-ERR invalid cursor\r\n"),
    Rule("random-key", ("randomkey",), lambda w: verb(w) == b"randomkey",
         lambda w, ours, redis: ours[:1] == redis[:1] == b"$" and (ours == redis or
                                                                  b"-1" not in (ours[1:3],
                                                                                redis[1:3]))),
    Rule("zero-byte-in-an-error", (), lambda w: any(b"\0" in word for word in w),
         lambda w, ours, redis: ours.startswith(b"-ERR unknown ") and b"\0" in ours and
         (redis.startswith(b"-ERR unknown ") or b"\0" in w[0])),
    Rule("own-encoding", ("object|encoding", "object|refcount"),
         lambda w: name_of(w) in ("object|encoding", "object|refcount"),
         lambda w, ours, redis: (redis == b"$3\r\nraw\r\n" and
                                 ours in (b"$6\r\nembstr\r\n", b"$3\r\nint\r\n")) or
         (redis == b":2147483647\r\n" and ours == b":1\r\n")),
    Rule("own-options", ("command|info",),
         lambda w: name_of(w) in ("command|info", "command|docs") and
         b"set" in [each.lower() for each in w[2:]], same_form),
    Rule("other-faults-first", ("mset",),
         lambda w: verb(w) in ALL_KEYS or verb(w) == b"mset",
         lambda w, ours, redis: ours.startswith(b"-ERR wrong number of arguments for ") and
         redis.startswith(b"-CROSSSLOT "), cluster=True),
    Rule("wait-counts-a-majority", ("wait",), lambda w: verb(w) == b"wait",
         lambda w, ours, redis: (ours, redis) == (b":1\r\n", b":0\r\n"), cluster=True),
    Rule("own-report", ("info", "command", "config|get"), report, same_form),
]


def documented(text):
    """The names that docs/redis-differences.md explains: its headings of the third level."""
    return [line[4:].strip("` ") for line in text.splitlines() if line.startswith("### ")]



# What is not the same in two runs of Redis itself.
VARIABLE = ("order-of-keys", "order-of-scan", "own-identity", "random-key", "own-report")

# The same for bytes that are no command: name of the rule, how often it was needed.
PROTOCOL_RULES = {"http-says-why": 0}


def broken_bytes_rule(data, ours, redis):
    """The name of the rule that accepts what was said about `data`, or None."""
    del redis
    if (b"POST" in data or b"Host:" in data) and b"-ERR HTTP is not served here\r\n" in ours:
        return "http-says-why"
    return None
