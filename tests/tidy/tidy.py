#!/usr/bin/env python3
"""Rules of STYLE.md that a compiler does not know.

    tests/tidy/tidy.py               checks the repository; a line for each finding, exit code 1
    tests/tidy/tidy.py --self-test   feeds each rule what it must catch and what it must let pass

Include edges between folders; the shapes of co_await that g++ 12 compiles right; calls that go
around the seam between program and world; reasons of NOLINT; 100 columns; a README.md in each top
folder; links and names of tests in Markdown; the wraps of subprojects/.
"""

import configparser
import pathlib
import re
import subprocess
import sys

COLUMNS_MAX = 100

# --- include edges -------------------------------------------------------------------------------

# Who may include whom. A folder is itself, not those below it; a file may include its own folder,
# and everybody proto/base. An entry that ends in .h is that header alone.
PROTO = ["proto", "proto/text", "proto/binary", "proto/resp", "proto/raft"]
EDGES = {
    "proto/base": [],
    # One header of proto joins the codecs: it writes a reply in the protocol of its connection.
    "proto": ["proto/text/text_codec.h", "proto/binary/binary_codec.h", "proto/resp/resp_codec.h",
              "proto/resp/resp_writer.h"],
    "proto/text": ["proto"],
    "proto/binary": ["proto"],
    "proto/resp": ["proto"],
    "proto/raft": ["proto"],
    "proto/http": [],
    "consensus/core": ["proto/raft/message.h", "proto/raft/entry.h",
                       "proto/raft/configuration.h"],
    "io": ["io/uring"],
    "io/uring": ["io"],
    "io/sim": ["io"],
    "engine/store": ["proto/command.h", "proto/command_codec.h"],
    "engine/wal": ["io"],
    "engine/snapshot": ["io"],
    "consensus/drive": ["consensus/core", "proto/raft", "io"],
    "engine/replica": PROTO + ["io", "consensus/core", "consensus/drive",
                               "engine/store", "engine/wal", "engine/snapshot"],
    # Answers are made of what a command found or did, which is the store's to say; a start opens
    # the logs of all cores; connections to other nodes belong to the node, not to a replica.
    "engine/node": PROTO + ["proto/http", "io", "io/uring", "engine/replica",
                            "engine/store/store.h", "engine/wal/wal.h", "engine/wal/reshard.h",
                            "consensus/drive/transport.h", "consensus/drive/peer_acceptor.h"],
    "bin/client": PROTO + ["io", "io/uring"],
    "bin/kv-server": PROTO + ["io", "io/uring", "engine/node"],
    "bin/kv-cli": PROTO + ["io", "io/uring", "bin/client"],
    "bin/kv-bench": PROTO + ["io", "io/uring", "bin/client"],
}
FREE = ("tests/", "benchmarks/")  # may include everything

# Libraries with one door each.
LIBRARIES = [
    (r"liburing", ("io/uring/",)),
    (r"toml\+\+/", ("engine/node/config_parser.cc",)),
    (r"spdlog/", ("proto/base/log.",)),
    (r"xxhash", ("proto/base/checksum.h",)),
    (r"CLI/", ("bin/",)),
    (r"nlohmann/", ("bin/", "engine/node/status_json.cc")),
    (r"editline/|histedit", ("bin/kv-cli/",)),
    (r"gtest/|gmock/", ("tests/",)),
    (r"benchmark/", ("benchmarks/",)),
    (r"grpcpp/", ("benchmarks/etcd_load/",)),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def folder_of(path):
    return path.rpartition("/")[0]


def check_includes(path, text):
    for match in INCLUDE.finditer(text):
        line = line_at(text, match.start())
        included = match[2]
        if match[1] == "<":
            for library, doors in LIBRARIES:
                if re.match(library, included) and not path.startswith(doors + FREE):
                    yield line, f"<{included}> may be included only by {', '.join(doors)}"
            continue
        if path.startswith(FREE):
            continue
        folder, target = folder_of(path), folder_of(included)
        if folder not in EDGES:
            yield line, f"folder {folder} is not in the table of include edges"
        elif "/" not in included:
            yield line, f'"{included}": includes start at the root of the repository'
        elif target not in (folder, "proto/base") and target not in EDGES[folder] \
                and included not in EDGES[folder]:
            yield line, f'{folder} may not include "{included}"'


# --- reading C++ ---------------------------------------------------------------------------------

def line_at(text, position):
    return text.count("\n", 0, position) + 1


def blank(text):
    """The same text with comments, strings and characters blanked out, so that positions stay."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^()\\ ]{0,16})\(.*?\)(?P=mark)"'
        r'|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.S)

    def hide(match):
        found = match[0]
        if found.startswith(("//", "/*")):
            return re.sub(r"[^\n]", " ", found)
        return '"' + re.sub(r"[^\n]", "_", found[1:-1]) + '"'

    return pattern.sub(hide, text)


def closing(text, opened):
    """Position of the bracket that closes the one at `opened`, or the end of the text."""
    depth = 0
    for position in range(opened, len(text)):
        if text[position] in "([{":
            depth += 1
        elif text[position] in ")]}":
            depth -= 1
            if depth == 0:
                return position
    return len(text)


# --- the shape of co_await -----------------------------------------------------------------------

AWAIT = re.compile(r"\bco_await\b")
HEAD = re.compile(r"(?:(?:else|do)\b|(?:case\b(?:[^:;?]|::)+|default\s*|\w+\s*):(?!:))\s*")
CONDITION = re.compile(r"(?:if|while|for|switch)\b\s*(?:constexpr\s*)?(?=\()")
TYPE = (r"(?:[A-Za-z_][\w:]*(?:\s*<[^;=]*>)?(?:::\w+)?\s*[&*]*\s+"
        r"|[A-Za-z_][\w:]*(?:<[^;=]*>)?\s*[&*]+)")
RIGHT = re.compile(
    rf"(?:co_return\s+|(?:const\s+|constexpr\s+|static\s+)*{TYPE}(?:const\s+)?[A-Za-z_]\w*\s*=\s*"
    r"|[A-Za-z_]\w*\s*=\s*"  # assigned to a name: tests/compiler has it among the right forms
    rf"|\(void\)\s*)?co_await\b")
MACRO = re.compile(r"(?:KV_CO_TRY|KV_CO_CHECK)\s*\($")


def statement_start(text, position):
    """Start of the innermost statement, and where the bracket ( or [ is that it lies in, or -1."""
    depth, start = 0, None
    for at in range(position - 1, -1, -1):
        c = text[at]
        if c in ")]" or (c == "}" and start is not None):
            depth += 1
        elif c in "([{":
            if depth == 0:
                return at + 1 if start is None else start, -1 if c == "{" else at
            depth -= 1
        elif c in ";}" and depth == 0 and start is None:
            start = at + 1  # go on: for (a; b; c) and if (a; b) hold statements of their own
            depth += c == "}"
    return start or 0, -1


def statement_end(text, position):
    depth = 0
    for at in range(position, len(text)):
        c = text[at]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth < 0:
                return at
        elif c == ";" and depth == 0:
            return at
    return len(text)


def wrong_await(code, position):
    start, bracket = statement_start(code, position)
    end = statement_end(code, position)
    if bracket >= 0:
        before = code[max(0, bracket - 40):bracket + 1]
        if MACRO.search(before):
            inside = code[start:end]
            inside = inside[inside.index("co_await"):]
            if "{" in without_plain_lambdas(inside):
                return "beside a {...} or a lambda that captures"
            return "two in one statement" if len(AWAIT.findall(inside)) > 1 else None
        condition = re.search(r"\b(if|while|for|switch)\s*(?:constexpr\s*)?\($", before)
        if condition and not (condition[1] in ("if", "switch") and code[end:end + 1] == ";"):
            return f"in the condition of {condition[1]}"
        if condition and code[bracket + 1:start].strip():
            return f"in the condition of {condition[1]}"
        if not condition:
            return "inside another expression"
    elif code[end:end + 1] != ";":
        return "inside {...}"
    statement = code[start:end].strip()
    while True:  # if (...) co_await f();
        head = HEAD.match(statement)
        condition = CONDITION.match(statement)
        if head:
            statement = statement[head.end():]
        elif condition:
            close = closing(statement, condition.end())
            if "co_await" in statement[:close]:
                return "in a condition"
            statement = statement[close + 1:].lstrip()
        else:
            break
    if len(AWAIT.findall(without_bodies(statement))) > 1:
        return "two in one statement"
    if not RIGHT.match(statement):
        return "neither alone, nor the value of a named local, nor after co_return"
    if "{" in without_plain_lambdas(statement):
        return "beside a {...} or a lambda that captures"
    return None


def without_plain_lambdas(statement):
    """Lambdas that capture nothing do no harm."""
    while True:
        found = re.search(r"\[\]\s*(?=[({])", statement)
        if not found:
            return statement
        at = found.end()
        if statement[at] == "(":
            at = closing(statement, at) + 1
        brace = statement.find("{", at)
        if brace < 0:
            return statement
        statement = statement[:found.start()] + "f" + statement[closing(statement, brace) + 1:]


def without_bodies(statement):
    while (brace := statement.find("{")) >= 0:
        statement = statement[:brace] + statement[closing(statement, brace) + 1:]
    return statement


def check_await(path, text):
    code = re.sub(r"^[ \t]*#[^\n]*(?:\\\n[^\n]*)*", lambda m: re.sub(r"[^\n]", " ", m[0]),
                  blank(text), flags=re.M)
    for match in AWAIT.finditer(code):
        if re.search(r"operator\s*$", code[:match.start()][-20:]):
            continue
        reason = wrong_await(code, match.start())
        if reason:
            yield line_at(code, match.start()), f"co_await {reason}: name the value first"


# --- the seam ------------------------------------------------------------------------------------

SEAM_FOLDERS = ("proto/", "engine/", "consensus/", "io/")
SEAM_OUTSIDE = ("io/uring/", "proto/base/log.")

SEAM = [  # name of the rule, pattern
    ("clock", r"\b(?:clock_gettime|gettimeofday|timespec_get|ftime)\b"),
    ("clock", r"\b(?:system|steady|high_resolution|utc|file|tai|gps)_clock\b"),
    ("clock", r"\bstd::(?:time|clock|ctime|localtime|gmtime)\s*\("),
    ("sleep", r"\b(?:this_thread|nanosleep|usleep|clock_nanosleep)\b"),
    ("dice", r"\b(?:random_device|getrandom|getentropy|mt19937(?:_64)?|default_random_engine)\b"),
    ("dice", r"\b(?:std::rand|srand|drand48|arc4random\w*)\b"),
    ("threads", r"\bstd::(?:thread|jthread|mutex|\w+_mutex|condition_variable\w*|async)\b"),
    ("threads", r"\bpthread_\w+\s*\("),
    ("thread_local", r"\bthread_local\b"),
    ("files", r"\bstd::(?:[io]?fstream|filesystem)\b"),
    ("files", r"\b(?:fopen|fdopen|freopen|fdatasync|fallocate|opendir|readdir)\s*\("),
    ("memory", r"\b(?:mmap|munmap|mremap|madvise|mlock)\s*\("),
    ("output", r"\bstd::(?:cout|cerr|clog)\b|\b(?:std::)?(?:printf|puts|fprintf|fputs)\s*\("),
    ("process", r"\b(?:getenv|execve?|popen|waitpid)\s*\("),
    ("ring", r"\bio_uring_\w+\s*\("),
]
# Names that our own classes have too: a call is the system's when it is written ::name( or is part
# of an expression without an object, and nothing in its folder declares the name.
SYSTEM_CALLS = ("open", "openat", "close", "read", "write", "pread", "pwrite", "readv", "writev",
                "socket", "bind", "listen", "accept", "accept4", "connect", "send", "recv",
                "sendmsg", "recvmsg", "shutdown", "fsync", "rename", "unlink", "mkdir", "ftruncate",
                "time", "clock", "rand", "random", "sleep", "fork", "system", "poll", "select",
                "syscall", "ioctl", "fcntl", "flock")
NAMES = "|".join(SYSTEM_CALLS)
GLOBAL_CALL = re.compile(rf"(?<![\w>:])::({NAMES})\s*\(")
PLAIN_CALL = re.compile(rf"(?:[=(,;{{}}!&|?:<]|\breturn|\bco_return)\s*(?<!::)\b({NAMES})\s*\(")
DECLARED = re.compile(rf"(?<![\w])([A-Za-z_][\w:<>,]*[\w>&*])\s+(?:[\w:]+::)?({NAMES})\s*\(")

# What a file may use although it lies inside, and why.
SEAM_EXCEPTIONS = {
    ("engine/node/config_parser.cc", "files"): "read before there is a reactor",
    ("proto/base/assert.h", "output"): "the last words of a process that aborts",
    ("proto/base/mutant.h", "output"): "of the build with planted bugs alone",
    ("proto/base/mutant.h", "process"): "of the build with planted bugs alone",
    ("io/cores.h", "threads"): "starts the threads that the reactors run on",
    ("io/cores.cc", "threads"): "starts the threads that the reactors run on",
    ("io/cores.h", "thread_local"): "which core this thread is",
    ("io/cores.cc", "thread_local"): "which core this thread is",
    ("io/reactor.cc", "thread_local"): "the ready queue of the reactor that runs on this thread",
    ("engine/store/slab.cc", "memory"): "anonymous pages: memory, not the world",
    ("io/owner_core.h", "thread_local"): "which core this thread is",
    ("io/frame_pool.h", "thread_local"): "free lists; nothing observable depends on them",
    ("io/frame_pool.cc", "thread_local"): "free lists; nothing observable depends on them",
}


def declared_names(code):
    keywords = {"return", "co_return", "co_await", "co_yield", "else", "case", "throw", "new"}
    return {m[2] for m in DECLARED.finditer(code) if m[1] not in keywords}


def check_seam(path, text, declared=frozenset()):
    if not path.startswith(SEAM_FOLDERS) or path.startswith(SEAM_OUTSIDE):
        return
    code = blank(text)
    own = set(declared) | declared_names(code)
    found = []
    for rule, pattern in SEAM:
        found += [(m.start(), rule, m[0]) for m in re.finditer(pattern, code)]
    found += [(m.start(1), "system call", "::" + m[1]) for m in GLOBAL_CALL.finditer(code)]
    found += [(m.start(1), "system call", m[1]) for m in PLAIN_CALL.finditer(code)
              if m[1] not in own]
    for position, rule, what in sorted(found):
        if (path, rule) not in SEAM_EXCEPTIONS:
            what = what.rstrip("( ")
            yield line_at(code, position), f"{what} goes around the seam ({rule}): ask the backend"


# --- NOLINT, columns, Markdown, wraps ------------------------------------------------------------

def check_nolint(path, text):
    for match in re.finditer(r"\bNOLINT(NEXTLINE|BEGIN|END)?\b([^\n]*)", text):
        if match[1] == "END":
            continue
        if not re.match(r"\([\w.,* -]+\)\s*[:,-]?\s*\w+\W+\w+", match[2]):
            yield line_at(text, match.start()), \
                "NOLINT names its check and gives a reason: NOLINT(check): why"


def check_columns(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) <= COLUMNS_MAX:
            continue
        if path.endswith(".md") and (line.lstrip().startswith("|") or "](" in line or "//" in line):
            continue  # tables and links cannot be broken
        if path.endswith(".sh") and ("printf" in line or '"' in line):
            continue  # nor can a format or a sentence in shell
        yield number, f"{len(line)} columns, at most {COLUMNS_MAX}"


def check_links(path, text, exists):
    code = re.sub(r"```.*?```|`[^`\n]*`", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.S)
    for match in re.finditer(r"\]\(\s*<?([^)>\s]+)>?[^)]*\)", code):
        target = match[1].split("#")[0]
        if not target or re.match(r"[a-z]+:", target):
            continue
        base = pathlib.PurePosixPath(folder_of(path))
        if not exists(str(base / target)):
            yield line_at(text, match.start()), f"the link to {match[1]} leads nowhere"


def test_names(text):
    """Suite.Case of each GoogleTest in a source file; parameterized ones without their prefix."""
    return {f"{m[1]}.{m[2]}"
            for m in re.finditer(r"\bTEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", text)}


def check_test_names(path, text, tests):
    """`Suite.Case` in Markdown, where Suite is one of the tests' own or Case reads like one."""
    suites = {name.split(".")[0] for name in tests}
    for match in re.finditer(r"`([A-Z]\w+)\.([A-Z]\w+)`", text):
        known = match[1] in suites or len(re.findall(r"[A-Z]", match[2])) > 1
        if known and f"{match[1]}.{match[2]}" not in tests:
            yield line_at(text, match.start()), f"there is no test {match[1]}.{match[2]}"


def check_wrap(path, text, exists):
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        yield 1, f"not a wrap file: {error.message}"
        return
    if not parser.has_section("wrap-file"):
        yield 1, "has no [wrap-file] section"
        return
    wrap = parser["wrap-file"]
    for key in ("directory", "source_url", "source_filename", "source_hash"):
        if key not in wrap:
            yield 1, f"has no {key}"
    if not wrap.get("source_url", "https:").startswith("https:"):
        yield 1, "source_url is not https"
    if not re.fullmatch(r"[0-9a-f]{64}", wrap.get("source_hash", "0" * 64)):
        yield 1, "source_hash is not a SHA-256"
    if "patch_directory" in wrap:
        overlay = f"subprojects/packagefiles/{wrap['patch_directory']}/meson.build"
        if not exists(overlay):
            yield 1, f"{overlay} is missing"
    if not parser.has_section("provide") or not parser["provide"]:
        yield 1, "provides nothing"


# --- the repository ------------------------------------------------------------------------------

def repository_files(root):
    """Tracked files; without git, everything but build folders."""
    git = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=root,
                         stdin=subprocess.DEVNULL, capture_output=True) \
        if (root / ".git").exists() and has_git() else None
    if git and git.returncode == 0:
        names = git.stdout.decode().split("\0")
        return [name for name in names if name and (root / name).is_file()]
    found = (p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    return sorted(n for n in found if not re.match(r"(?:build[^/]*|\.git|\.cache|data)/", n)
                  and not re.match(r"subprojects/(?!packagefiles/)[^/]+/", n))


def has_git():
    try:
        return subprocess.run(["git", "--version"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


TEXT_ENDINGS = (".h", ".cc", ".py", ".sh", ".md", ".toml", ".wrap", ".txt", "meson.build")


def check_repository(root):
    files = repository_files(root)
    texts = {}
    for name in files:
        if name.endswith(TEXT_ENDINGS):
            texts[name] = (root / name).read_text(errors="replace")

    def exists(name):
        return (root / name).exists()

    declared = {}
    for name, text in texts.items():
        if name.endswith((".h", ".cc")) and name.startswith(SEAM_FOLDERS):
            declared.setdefault(folder_of(name), set()).update(declared_names(blank(text)))

    tests = set()
    for name, text in texts.items():
        if name.startswith("tests/") and name.endswith(".cc"):
            tests |= test_names(text)

    findings = []
    for name, text in texts.items():
        checks = [check_columns(name, text)]
        if name.endswith((".h", ".cc")):
            checks += [check_includes(name, text), check_await(name, text),
                       check_nolint(name, text),
                       check_seam(name, text, declared.get(folder_of(name), ()))]
        if name.endswith(".md"):
            checks += [check_links(name, text, exists), check_test_names(name, text, tests)]
        if name.endswith(".wrap"):
            checks.append(check_wrap(name, text, exists))
        for check in checks:
            findings += [f"{name}:{line}: {what}" for line, what in check]
    for folder in sorted({n.split("/")[0] for n in files if "/" in n and not n.startswith(".")}):
        if f"{folder}/README.md" not in texts:
            findings.append(f"{folder}: has no README.md")
    return len(texts), findings


# --- the self-test -------------------------------------------------------------------------------

def self_test():
    def nothing(_):
        return False

    def everything(_):
        return True

    bad = [
        (check_includes, "proto/base/x.h", '#include "io/op.h"'),
        (check_includes, "consensus/core/raft.cc", '#include "proto/raft/frame.h"'),
        (check_includes, "consensus/core/raft.cc", '#include "io/file.h"'),
        (check_includes, "engine/store/store.cc", '#include "io/file.h"'),
        (check_includes, "engine/wal/wal.cc", '#include "proto/command.h"'),
        (check_includes, "engine/wal/wal.cc", '#include "io/sim/sim_disk.h"'),
        (check_includes, "engine/wal/wal.cc", '#include "io/uring/ring.h"'),
        (check_includes, "engine/node/node.cc", '#include "engine/wal/segment.h"'),
        (check_includes, "bin/client/client.cc", '#include "engine/node/config.h"'),
        (check_includes, "bin/kv-cli/main.cc", '#include "consensus/core/raft.h"'),
        (check_includes, "io/op.cc", '#include "engine/wal/wal.h"'),
        (check_includes, "io/op.cc", '#include "op.h"'),
        (check_includes, "engine/new/x.cc", '#include "io/op.h"'),
        (check_includes, "io/op.cc", "#include <liburing.h>"),
        (check_includes, "engine/node/node.cc", "#  include <toml++/toml.h>"),
        (check_includes, "bin/client/client.cc", '#include "tests/support/make.h"'),
        (check_await, "x.cc", "if (co_await f()) g();"),
        (check_await, "x.cc", "if (!co_await f()) { g(); }"),
        (check_await, "x.cc", "while (a && co_await b()) {}"),
        (check_await, "x.cc", "for (int i = co_await f(); i < 3; ++i) g();"),
        (check_await, "x.cc", "for (auto x : co_await f()) g();"),
        (check_await, "x.cc", "for (;co_await f();) g();"),
        (check_await, "x.cc", "do { g(); } while (co_await f());"),
        (check_await, "x.cc", "switch (co_await f()) { case 1: break; }"),
        (check_await, "x.cc", "g(co_await f());"),
        (check_await, "x.cc", "co_return g(co_await f());"),
        (check_await, "x.cc", "const int x = g(co_await f());"),
        (check_await, "x.cc", "const int x = 1 + co_await f();"),
        (check_await, "x.cc", "x.y = co_await f();"),
        (check_await, "x.cc", "x[g()] = co_await f();"),
        (check_await, "x.cc", "x += co_await f();"),
        (check_await, "x.cc", "auto [a, b] = co_await f();"),
        (check_await, "x.cc", "auto [a, b] = Agg{co_await f(), 1};"),
        (check_await, "x.cc", "const Agg a{co_await f()};"),
        (check_await, "x.cc", "co_await f(Agg{.x = y});"),
        (check_await, "x.cc", "const int x = co_await f({a, b});"),
        (check_await, "x.cc", "{ int y; { g(); } if (y) {} h(co_await f()); }"),
        (check_await, "x.cc", "co_await f([&] { g(); });"),
        (check_await, "x.cc", "co_await f([this, x]() mutable { g(); });"),
        (check_await, "x.cc", "const int x = co_await f(co_await g());"),
        (check_await, "x.cc", "co_await f(), co_await g();"),
        (check_await, "x.cc", "const int x = a ? co_await f() : 0;"),
        (check_await, "x.cc", "KV_CO_TRY(const File f, co_await open({.path = p}));"),
        (check_await, "x.cc", "if (a) x = g(co_await f());"),
        (check_await, "x.cc", "if (auto r = co_await f()) g();"),
        (check_await, "x.cc", "if (auto r = f(); co_await g(r)) h();"),
        (check_seam, "engine/wal/wal.cc", "clock_gettime(CLOCK_MONOTONIC, &t);"),
        (check_seam, "io/reactor.cc", "const auto t = std::chrono::steady_clock::now();"),
        (check_seam, "io/reactor.cc", "auto t = system_clock::now();"),
        (check_seam, "engine/store/store.cc", "const auto t = time(nullptr);"),
        (check_seam, "engine/store/store.cc", "const auto t = std::time(nullptr);"),
        (check_seam, "engine/store/store.cc", "int r = rand();"),
        (check_seam, "consensus/core/raft.cc", "std::random_device dice;"),
        (check_seam, "consensus/core/raft.cc", "std::mt19937 dice;"),
        (check_seam, "io/file.cc", "getrandom(p, 8, 0);"),
        (check_seam, "io/file.cc", "const int fd = ::open(p, 0);"),
        (check_seam, "io/file.cc", "const int fd = open(p, 0);"),
        (check_seam, "io/file.cc", "if (read(fd, p, 8) < 0) return;"),
        (check_seam, "io/file.cc", "{ write(fd, p, 8); }"),
        (check_seam, "io/socket.cc", "return socket(AF_INET, SOCK_STREAM, 0);"),
        (check_seam, "io/sim/sim_world.cc", "std::thread t(f);"),
        (check_seam, "io/sim/sim_world.cc", "thread_local int x;"),
        (check_seam, "engine/wal/wal.cc", "std::mutex m;"),
        (check_seam, "engine/wal/wal.cc", "std::ofstream f(p);"),
        (check_seam, "engine/wal/wal.cc", "std::filesystem::remove(p);"),
        (check_seam, "engine/wal/wal.cc", 'FILE* f = fopen("x", "r");'),
        (check_seam, "engine/wal/wal.cc", 'std::printf("x");'),
        (check_seam, "engine/node/config_parser.cc", "std::thread t(f);"),
        (check_seam, "io/reactor.cc", "io_uring_submit(&ring);"),
        (check_nolint, "x.cc", "int x; // NOLINT"),
        (check_nolint, "x.cc", "int x; // NOLINT(bugprone-foo)"),
        (check_nolint, "x.cc", "// NOLINTNEXTLINE(bugprone-foo)\nint x;"),
        (check_columns, "x.cc", "x" * 101),
        (check_columns, "x.md", "x" * 101),
        (check_links, "docs/a.md", "see [b](b.md)", nothing),
        (check_links, "docs/a.md", "see [b](../b.md#part)", nothing),
        (check_wrap, "a.wrap", "directory = x", everything),
        (check_wrap, "a.wrap", "[wrap-git]\nurl = https://x\n[provide]\na = a_dep", everything),
        (check_wrap, "a.wrap", "[wrap-file]\ndirectory = x\nsource_url = https://x/y\n"
                               "source_filename = y\nsource_hash = 12\n[provide]\na = a_dep",
         everything),
        (check_wrap, "a.wrap", "[wrap-file]\ndirectory = x\nsource_url = http://x/y\n"
                               f"source_filename = y\nsource_hash = {'a' * 64}\n"
                               "[provide]\na = a_dep", everything),
        (check_wrap, "a.wrap", "[wrap-file]\ndirectory = x\nsource_url = https://x/y\n"
                               f"source_filename = y\nsource_hash = {'a' * 64}\n", everything),
        (check_wrap, "a.wrap", "[wrap-file]\ndirectory = x\nsource_url = https://x/y\n"
                               f"source_filename = y\nsource_hash = {'a' * 64}\n"
                               "patch_directory = z\n[provide]\na = a_dep", nothing),
        (check_test_names, "x.md", "`Votes.Missing`", {"Votes.Counted"}),
        (check_test_names, "x.md", "`Other.AVoteCounts`", {"Votes.Counted"}),
    ]
    good = [
        (check_includes, "consensus/core/raft.cc", '#include "proto/raft/message.h"'),
        (check_includes, "engine/wal/wal.cc", '#include "io/file.h"\n#include "proto/base/ids.h"'),
        (check_includes, "engine/store/store.cc", '#include "engine/store/store.h"'),
        (check_includes, "io/uring/ring.h", "#include <liburing.h>"),
        (check_includes, "engine/node/config_parser.cc", "#include <toml++/toml.h>"),
        (check_includes, "tests/sim/x_test.cc", '#include "io/sim/sim_disk.h"'),
        (check_includes, "bin/kv-cli/main.cc", '#include "bin/client/client.h"'),
        (check_await, "x.cc", "co_await f(a, g(b));"),
        (check_await, "x.cc", "co_return co_await f();"),
        (check_await, "x.cc", "const bool ok = co_await f();"),
        (check_await, "x.cc", "auto r = co_await std::move(task);"),
        (check_await, "x.cc", "Result<std::vector<int>> r = co_await f();"),
        (check_await, "x.cc", "const kv::Result<Lsn> synced = co_await next_sync(end);"),
        (check_await, "x.cc", "auto& r = co_await f();"),
        (check_await, "x.cc", "const Thing* r = co_await f();"),
        (check_await, "x.cc", "if (a) co_await f();"),
        (check_await, "x.cc", "if (status) status = co_await f();"),
        (check_await, "x.cc", "if (a) co_return co_await f(); else co_await g();"),
        (check_await, "x.cc", "while (g(a)) { co_await f(); }"),
        (check_await, "x.cc", "for (int i = 0; i < 3; ++i) co_await f();"),
        (check_await, "x.cc", "if (auto r = co_await f(); !r) co_return;"),
        (check_await, "x.cc", "KV_CO_TRY(const File f, co_await open(p));"),
        (check_await, "x.cc", "KV_CO_CHECK(co_await f());"),
        (check_await, "x.cc", "auto t = [&]() -> Task<void> { co_await f(); };"),
        (check_await, "x.cc", "co_await f([](int x) { return x; });"),
        (check_await, "x.cc", "case 3: co_await f(); break;"),
        (check_await, "x.cc", "case Verb::keys: co_await f(); break;"),
        (check_await, "x.cc", "spawn([](int a) -> Task<void> { { g(); } co_await f(a); }(3));"),
        (check_await, "x.cc", "{ run([&]() -> Task<int> { co_return co_await f(); }()); }"),
        (check_await, "x.cc", "public:\n co_await f();"),
        (check_await, "x.cc", "(void)co_await f();"),
        (check_await, "x.cc", "// if (co_await f())\nconst char* s = \"if (co_await f())\";"),
        (check_await, "x.cc", "auto operator co_await() noexcept;"),
        (check_seam, "io/file.cc", "const Status s = file.read(x); a->write(y); File::open(z);"),
        (check_seam, "io/file.h", "Task<int> read(int n);\nvoid f() { read(3); }"),
        (check_seam, "io/uring/ring.cc", "io_uring_submit(&r); ::close(fd); clock_gettime(a, b);"),
        (check_seam, "proto/base/log.cc", "std::chrono::system_clock::now();"),
        (check_seam, "engine/node/config_parser.cc", "std::ifstream file(path);"),
        (check_seam, "bin/kv-cli/main.cc", "std::cout << read(0, p, 1);"),
        (check_seam, "tests/sim/x.cc", "std::thread t;"),
        (check_seam, "io/file.cc", "// calls open(2)\nconst int timeout = next_time(3);"),
        (check_seam, "io/file.cc", "std::chrono::nanoseconds x = y.time();"),
        (check_nolint, "x.cc", "int x; // NOLINT(bugprone-foo): the kernel's own name"),
        (check_columns, "x.cc", "x" * 100),
        (check_columns, "x.md", "| " + "x" * 100),
        (check_links, "docs/a.md", "[b](b.md) [c](https://example.org) `[d](d.md)`", everything),
        (check_test_names, "x.md", "`Votes.Counted` `std.Thing` `Config.Set` `a.b`",
         test_names("TEST_F(Votes, Counted) {}")),
        (check_wrap, "a.wrap", "[wrap-file]\ndirectory = x\nsource_url = https://x/y\n"
                               f"source_filename = y\nsource_hash = {'a' * 64}\n"
                               "patch_directory = z\n[provide]\na = a_dep", everything),
    ]
    wrong = [f"not caught by {c[0].__name__}: {c[2]}" for c in bad if not list(c[0](*c[1:]))]
    for case in good:
        wrong += [f"wrongly caught by {case[0].__name__}: {case[2]}: {what}"
                  for _, what in case[0](*case[1:])]
    for text in wrong:
        print(text)
    print(f"self-test: {len(bad)} bad and {len(good)} good snippets, {len(wrong)} wrong")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if sys.argv[1:]:
        print(__doc__)
        return 2
    count, findings = check_repository(pathlib.Path(__file__).resolve().parents[2])
    for finding in findings:
        print(finding)
    print(f"{count} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
