"""Commands from a seed: what clients send, and what they had better not.

A Command is its words, and the bytes that go over the wire, which for an inline command are not
those of its words. `repair` are further commands to send to both servers behind it: they make the
two alike again after a difference that is intended.
"""

import random

from wire import encode

NUMBERS = [b"0", b"1", b"-1", b"10", b"+1", b"-0", b"00", b"01", b" 1", b"1 ", b"", b"1e3", b"1.5",
           b"0x10", b"abc", b"9223372036854775807", b"9223372036854775808",
           b"-9223372036854775808", b"-9223372036854775809", b"18446744073709551615",
           b"99999999999999999999", b"1e400", b"1e999999999", b"nan", b"inf", b"-", b"--1",
           b"1\x00", b"9223372036854775806", b"-9223372036854775807", b"2147483648"]
KEYS = [b"a", b"b", b"c", b"key", b"key:1", b"key:2", b"{tag}x", b"{tag}y", b"k\x00y", b"\r\n",
        b"\xff\xfe", b" ", b"k e y", b"\xc3\xa4", b"*", b"[a-c]", b"long" * 75, b"counter",
        b"counter2", b"text", b"*1\r\n$4\r\nPING\r\n", b"-", b"$-1"]
WORDS = [b"", b"v", b"value", b"hello world", b"\x00", b"\r\n", b"a\x00b\xff", b"$5\r\nhello\r\n",
         b"1", b"\xc3\xa4\xc3\xb6", b"x" * 100, b"y" * 1000]
PATTERNS = [b"*", b"key*", b"?", b"[ab]", b"[^a]", b"k?y", b"\\*", b"*:1", b"", b"[a-", b"[", b"\\",
            b"**", b"*y", b"a*b*", b"[b-a]", b"[\\a]", b"*\x00*", b"KEY*", b"[^", b"?\n", b"{tag}*"]


class Command:
    __slots__ = ("words", "data", "repair", "is_repair")

    def __init__(self, words, data=None, repair=()):
        self.words = words
        self.data = encode(words) if data is None else data
        self.repair = repair
        self.is_repair = False

    def name(self):
        return self.words[0].lower() if self.words else b""


class Generator:
    def __init__(self, seed, verbs):
        self.dice = random.Random(seed)
        makers = {name[5:].replace("__", "|").replace("_", "-"): getattr(self, name)
                  for name in dir(self) if name.startswith("verb_")}
        missing = [verb for verb in verbs if verb not in makers]
        if missing:
            raise SystemExit(f"generate.py does not know how to send: {', '.join(missing)}")
        self.verbs = [makers[verb] for verb in verbs]
        weights = {"get": 6, "set": 8, "del": 3, "mget": 3, "mset": 3, "incr": 3, "incrby": 5,
                   "decrby": 3, "append": 3, "getrange": 4, "flushall": 0.1, "flushdb": 0.1,
                   "keys": 0.5, "select": 0.5, "reset": 0.2, "hello": 0.5, "command": 0.05,
                   "info": 0.1, "randomkey": 0.3}
        self.weights = [weights.get(verb, 1) for verb in verbs]

    # What the verbs are made of.

    def key(self):
        roll = self.dice.random()
        if roll < 0.9:
            return self.dice.choice(KEYS)
        if roll < 0.99:
            return b"k%d" % self.dice.randrange(200)
        if roll < 0.996:
            return b""
        if roll < 0.998:
            return b"K" * 65535
        return b"K" * 65536

    def value(self):
        roll = self.dice.random()
        if roll < 0.4:
            return self.number()
        if roll < 0.95:
            return self.dice.choice(WORDS)
        if roll < 0.999:
            return self.dice.randbytes(self.dice.randrange(200))
        return self.dice.randbytes(1000) * self.dice.randrange(1, 100)

    def number(self):
        roll = self.dice.random()
        if roll < 0.5:
            return self.dice.choice(NUMBERS)
        return b"%d" % self.dice.randrange(-100, 100)

    def slot(self):
        """Mostly those of a, b, c and key."""
        if self.dice.random() < 0.6:
            return self.dice.choice((b"15495", b"3300", b"7365", b"12539"))
        return self.dice.choice((b"0", b"16383", b"16384", b"-1", b"x", b"", b" 1", b"1.5"))

    def some(self, make, most=4):
        return [make() for _ in range(self.dice.randrange(1, most + 1))]

    def any_case(self, word):
        roll = self.dice.random()
        if roll < 0.5:
            return word
        if roll < 0.8:
            return word.lower()
        return bytes(self.dice.choice((c, c ^ 0x20)) if 65 <= c <= 90 else c for c in word)

    def mangle(self, words):
        """Now and then a word too few or too many."""
        roll = self.dice.random()
        if roll < 0.03 and len(words) > 1:
            del words[self.dice.randrange(1, len(words))]
        elif roll < 0.06:
            words.insert(self.dice.randrange(1, len(words) + 1), self.value())
        return words

    def inline(self, words):
        """As a line; None when a word cannot be part of one."""
        quoted = []
        for word in words:
            if word and all(33 <= c < 127 and c not in b"\"'\\" for c in word):
                quoted.append(word)
            else:
                text = "".join("\\x%02x" % c if c < 32 or c > 126 else
                               "\\" + chr(c) if c in b"\"\\" else chr(c) for c in word)
                quoted.append(b'"' + text.encode() + b'"')
        line = self.dice.choice((b" ", b"  ")).join(quoted)
        if len(line) > 60000 or words[0][:1] in b"*$+-:":
            return None
        return line + self.dice.choice((b"\r\n", b"\n"))

    def next(self):
        roll = self.dice.random()
        if roll < 0.01:
            words = [self.dice.choice((b"NONSENSE", b"get\x00", b"", b"GETT", b"x" * 200, b"SE",
                                       b"non\r\nsense"))] + [
                self.value()[:300] for _ in range(self.dice.randrange(4))]
            return Command(words)
        made = self.dice.choices(self.verbs, self.weights)[0]()
        words, repair = made if isinstance(made, tuple) else (made, ())
        words = [self.any_case(words[0])] + words[1:]
        words = self.mangle(words)
        # A mangled command may be another one, whose traces must go as well.
        data = self.inline(words) if self.dice.random() < 0.05 else None
        return Command(words, data, repair)

    # One for each verb: its words, or its words and what repairs.

    def verb_ping(self): return [b"PING"] + ([self.value()] if self.dice.random() < 0.5 else [])
    def verb_echo(self): return [b"ECHO", self.value()]
    def verb_get(self): return [b"GET", self.key()]
    def verb_del(self): return [b"DEL"] + self.some(self.key)
    def verb_unlink(self): return [b"UNLINK"] + self.some(self.key)
    def verb_touch(self): return [b"TOUCH"] + self.some(self.key)
    def verb_exists(self): return [b"EXISTS"] + self.some(self.key)
    def verb_mget(self): return [b"MGET"] + self.some(self.key, 8)

    def verb_mset(self):
        return [b"MSET"] + [word for _ in range(self.dice.randrange(1, 5))
                            for word in (self.key(), self.value())]

    def verb_set(self):
        words = [b"SET", self.key(), self.value()]
        roll = self.dice.random()
        if roll < 0.5:
            return words
        options = [[self.any_case(b"NX")], [self.any_case(b"XX")], [self.any_case(b"GET")]]
        if self.dice.random() < 0.15:
            options += [[b"EX", self.number()], [b"PX", b"100000"], [b"KEEPTTL"],
                        [b"EXAT", b"99999999999"], [b"EX"], [b"nonsense"], [b""]]
        for option in self.dice.sample(options, self.dice.randrange(1, 3)):
            words += option
        return words

    def verb_setnx(self): return [b"SETNX", self.key(), self.value()]
    def verb_getset(self): return [b"GETSET", self.key(), self.value()]
    def verb_getdel(self): return [b"GETDEL", self.key()]
    def verb_getex(self): return [b"GETEX", self.key()]
    def verb_type(self): return [b"TYPE", self.key()]
    def verb_strlen(self): return [b"STRLEN", self.key()]
    def verb_append(self): return [b"APPEND", self.key(), self.value()[:2000]]
    def verb_incr(self): return [b"INCR", self.key()]
    def verb_decr(self): return [b"DECR", self.key()]
    def verb_incrby(self): return [b"INCRBY", self.key(), self.number()]
    def verb_decrby(self): return [b"DECRBY", self.key(), self.number()]
    def verb_getrange(self): return [b"GETRANGE", self.key(), self.number(), self.number()]
    def verb_substr(self): return [b"SUBSTR", self.key(), self.number(), self.number()]
    def verb_ttl(self): return [b"TTL", self.key()]
    def verb_pttl(self): return [b"PTTL", self.key()]
    def verb_expiretime(self): return [b"EXPIRETIME", self.key()]
    def verb_pexpiretime(self): return [b"PEXPIRETIME", self.key()]
    def verb_persist(self): return [b"PERSIST", self.key()]
    def verb_randomkey(self): return [b"RANDOMKEY"]
    def verb_keys(self): return [b"KEYS", self.dice.choice(PATTERNS)]
    def verb_dbsize(self): return [b"DBSIZE"]

    def verb_flushall(self):
        return [b"FLUSHALL"] + self.dice.choice(([], [b"SYNC"], [b"async"], [b"NOW"], [b""]))

    def verb_flushdb(self):
        return [b"FLUSHDB"] + self.dice.choice(([], [b"SYNC"], [b"ASYNC"], [b"x"]))

    def verb_select(self):
        number = self.dice.choice((b"0", b"0", b"1", b"16", b"-1", b"abc", b" 0", b"00", b""))
        return [b"SELECT", number], ([b"SELECT", b"0"],)

    def verb_object__encoding(self): return [b"OBJECT", self.any_case(b"ENCODING"), self.key()]
    def verb_object__refcount(self): return [b"OBJECT", b"REFCOUNT", self.key()]
    def verb_object__freq(self): return [b"OBJECT", b"FREQ", self.key()]
    def verb_object__idletime(self): return [b"OBJECT", b"IDLETIME", self.key()]
    def verb_memory__usage(self):
        return [b"MEMORY", self.any_case(b"USAGE"), self.key()] + (
            [b"SAMPLES", self.number()] if self.dice.random() < 0.3 else [])

    def verb_scan(self):
        words = [b"SCAN", self.dice.choice((b"0", b"0", b"abc", b"-1", b"", b" 0"))]
        for option in self.dice.sample(([b"MATCH", self.dice.choice(PATTERNS)],
                                        [b"COUNT", self.number()], [b"TYPE", b"string"],
                                        [b"TYPE", b"hash"], [b"MATCH"], [b"nonsense", b"x"]),
                                       self.dice.randrange(3)):
            words += option
        return words

    def verb_wait(self): return [b"WAIT", self.dice.choice((b"0", b"-1", b"x", b"")),
                                 self.dice.choice((b"0", b"1", b"-1", b"x", b"1.5"))]
    def verb_time(self): return [b"TIME"]
    def verb_lastsave(self): return [b"LASTSAVE"]
    def verb_role(self): return [b"ROLE"]

    def verb_hello(self):
        return [b"HELLO"] + self.dice.choice(
            ([], [b"2"], [b"3"], [b"3"], [b"2"], [b"4"], [b"1"], [b"abc"], [b""], [b"3", b"x"],
             [b"3", b"SETNAME", b"me"], [b"3", b"SETNAME", b"a b"], [b"3", b"SETNAME"],
             [b"3", b"AUTH", b"default", b"x"], [b"9223372036854775808"]))

    def verb_auth(self):
        return [b"AUTH"] + self.dice.choice(([b"x"], [b"default", b"x"], [b"u", b"p"],
                                             [b"a", b"b", b"c"]))

    def verb_reset(self): return [b"RESET"]
    # What is read behind it may be old.
    def verb_readonly(self): return [b"READONLY"], ([b"READWRITE"],)
    def verb_readwrite(self): return [b"READWRITE"]
    def verb_asking(self): return [b"ASKING"]
    def verb_cluster__info(self): return [b"CLUSTER", self.any_case(b"INFO")]
    def verb_cluster__nodes(self): return [b"CLUSTER", b"NODES"]
    def verb_cluster__slots(self): return [b"CLUSTER", self.any_case(b"SLOTS")]
    def verb_cluster__shards(self): return [b"CLUSTER", b"SHARDS"]
    def verb_cluster__myid(self):
        return [b"CLUSTER", self.dice.choice((b"MYID", b"myid", b"nonsense", b"", b"my id"))]
    def verb_cluster__help(self): return [b"CLUSTER", b"HELP"]
    def verb_cluster__keyslot(self): return [b"CLUSTER", self.any_case(b"KEYSLOT"), self.key()]
    def verb_cluster__countkeysinslot(self):
        return [b"CLUSTER", b"COUNTKEYSINSLOT", self.slot()]
    def verb_cluster__getkeysinslot(self):
        return [b"CLUSTER", b"GETKEYSINSLOT", self.slot(),
                self.dice.choice((b"100", b"1000", b"0", b"-1", b"x", b""))]
    def verb_info(self):
        return [b"INFO"] + self.dice.choice(([], [b"server"], [b"nonsense"], [b"all"],
                                             [b"server", b"clients"]))
    def verb_command(self): return [b"COMMAND"]
    def verb_command__count(self): return [b"COMMAND", self.any_case(b"COUNT")]
    def verb_command__list(self): return [b"COMMAND", b"LIST"]
    def verb_command__info(self):
        return [b"COMMAND", b"INFO"] + self.dice.choice(([b"get"], [b"nonsense"], [b"get", b"set"]))
    def verb_command__docs(self):
        return [b"COMMAND", b"DOCS", self.dice.choice((b"get", b"x", b"set"))]
    def verb_command__getkeys(self):
        return [b"COMMAND", b"GETKEYS"] + self.dice.choice(
            ([b"GET", b"a"], [b"MSET", b"a", b"1", b"b", b"2"], [b"PING"], [b"nonsense"],
             [b"GET"], [b"DEL", b"a", b"b"], [b"SET", b"k", b"v"],
             [b"SET", b"k", b"v", b"NX", b"gEt"]))
    def verb_config__get(self):
        return [b"CONFIG", self.any_case(b"GET")] + self.some(
            lambda: self.dice.choice((b"maxmemory", b"save", b"appendonly", b"nonsense", b"data*")))
    def verb_config__resetstat(self): return [b"CONFIG", b"RESETSTAT"]
    def verb_client__id(self): return [b"CLIENT", self.any_case(b"ID")]
    def verb_client__getname(self): return [b"CLIENT", b"GETNAME"]
    def verb_client__setname(self):
        return [b"CLIENT", b"SETNAME",
                self.dice.choice((b"me", b"", b"a b", b"\x00", b"x\n", b"!~"))]
    def verb_client__info(self): return [b"CLIENT", b"INFO"]
    def verb_client__list(self):
        return [b"CLIENT", b"LIST"] + self.dice.choice(
            ([], [b"TYPE", b"normal"], [b"TYPE", b"x"], [b"ID", b"abc"], [b"x"]))
    def verb_client__kill(self):
        return [b"CLIENT", b"KILL"] + self.dice.choice(
            ([b"1.2.3.4:5"], [b"ID", b"x"], [b"ID", b"999999999"], [b"TYPE", b"x"], [b"x", b"y"],
             [b"ID", b"x", b"SKIPME"], [b"ID", b"999999999", b"SKIPME"], [b"x", b"y", b"ID", b"x"],
             [b"USER", b"nobody", b"TYPE", b"x"], [b"TYPE", b"x", b"x", b"y"]))
    def verb_client__no_evict(self):
        return [b"CLIENT", b"NO-EVICT", self.dice.choice((b"on", b"OFF", b"x"))]
    def verb_client__no_touch(self):
        return [b"CLIENT", b"NO-TOUCH", self.dice.choice((b"on", b"OFF", b"x"))]
    def verb_client__reply(self): return [b"CLIENT", b"REPLY", self.dice.choice((b"ON", b"x", b""))]
    def verb_client__pause(self): return [b"CLIENT", b"PAUSE", self.dice.choice((b"x", b"-1", b""))]
    def verb_client__unpause(self): return [b"CLIENT", b"UNPAUSE"]
    def verb_client__tracking(self):
        return [b"CLIENT", b"TRACKING", self.dice.choice((b"off", b"x", b"OFF")),
                *self.dice.choice(((), (b"value",), (b"BCAST",), (b"noloop", b"prefix")))]
    def verb_client__trackinginfo(self): return [b"CLIENT", b"TRACKINGINFO"]
    def verb_client__caching(self):
        return [b"CLIENT", b"CACHING", self.dice.choice((b"yes", b"no", b"x"))]
    def verb_client__getredir(self): return [b"CLIENT", b"GETREDIR"]
    def verb_client__unblock(self):
        return [b"CLIENT", b"UNBLOCK", self.dice.choice((b"987654321", b"x", b"0"))]
    def verb_command__getkeysandflags(self):
        words = self.verb_command__getkeys()
        return [words[0], b"GETKEYSANDFLAGS"] + words[2:]
    def verb_config__set(self):
        return [b"CONFIG", b"SET"] + self.dice.choice(([b"no-such-key", b"1"], [b"a"], [b"a", b"b",
                                                                                        b"c"]))
    def verb_config__rewrite(self): return [b"CONFIG", b"REWRITE"]
    def verb_client__help(self): return [b"CLIENT", b"HELP"]
    def verb_command__help(self): return [b"COMMAND", b"HELP"]
    def verb_config__help(self): return [b"CONFIG", b"HELP"]
    def verb_memory__help(self): return [b"MEMORY", b"HELP"]
    def verb_object__help(self): return [b"OBJECT", b"HELP"]
    def verb_slowlog__help(self): return [b"SLOWLOG", b"HELP"]
    def verb_slowlog__len(self): return [b"SLOWLOG", b"LEN"]
    def verb_slowlog__get(self):
        return [b"SLOWLOG", b"GET"] + self.dice.choice(([], [b"1"], [b"-1"], [b"-2"], [b"x"]))
    def verb_slowlog__reset(self): return [b"SLOWLOG", b"RESET"]


# Bytes after which no server goes on, each on a connection of its own: what it says, and that it
# closes.
PROTOCOL_ERRORS = [
    b"*1\r\n$a\r\n", b"*a\r\n", b"*1\r\n:1\r\n", b"*1\r\n$-1\r\n", b"*1\r\nPING\r\n",
    b"*2147483648\r\n", b"*1\r\n$9999999999999\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-5\r\n",
    b"PING \"unbalanced\r\n", b"SET a 'b'c\r\n", b"SET a \"b\"c\r\n",
    b"*1\r\n$4\r\nPING\r\n*x\r\n", b"*1\r\n$\r\n", b"*\r\n$4\r\nPING\r\n", b"*1\r\n$+4\r\nPING\r\n",
    b"*1\r\n$04\r\nPING\r\n", b"*1\r\n$ 4\r\nPING\r\n", b"*01\r\n$4\r\nPING\r\n",
    b"*+1\r\n$4\r\nPING\r\n", b"PING\r\n*1\r\n$x\r\n",
    b"QUIT\r\n", encode([b"quit"]), encode([b"QUIT", b"now"]),
    b"GET /\r\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
]
# The same without anything behind them: there is no end of line to come.
ENDLESS_LINES = [b"x" * 70000, b"*" + b"1" * 70000, b"*1\r\n$" + b"1" * 70000]
# And bytes that look broken and are not: the servers go on, which a PING behind them shows.
STRANGE_BUT_FINE = [
    b"*0\r\n", b"*-1\r\n", b"*-9\r\n", b"\r\n", b"\r\n\r\n", b"   \r\n", b"PING\r\n", b"ping\r\n",
    b"PING \"\\x41\"\r\n", b"PING ''\r\n", b"  PING   a  \r\n", b"PING\ta\r\n", b"ECHO '\\''\r\n",
    b"*1\r\n$0\r\n\r\n", b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", b"PING \"\\n\\r\\t\\a\\b\\\\\\q\"\r\n",
]
