#include "engine/node/command_info.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "engine/node/glob.h"
#include "proto/command_table.h"
#include "proto/request_check.h"

namespace kv {

namespace {

using resp::Writer;

std::vector<std::string_view> split(std::string_view words) {
    std::vector<std::string_view> out;
    while (!words.empty()) {
        const std::size_t space = words.find(' ');
        out.push_back(words.substr(0, space));
        words.remove_prefix(space == words.npos ? words.size() : space + 1);
    }
    return out;
}

/// Simple strings, as Redis writes flags.
void write_flags(std::string_view flags, Writer& out) {
    const auto words = split(flags);
    out.set(words.size());
    for (const std::string_view word : words) out.simple(word);
}

bool is_listed(const CommandRow& row) noexcept {
    return row.kind != CommandClass::refused;
}

/// Commands, or the subcommands of `container`.
std::vector<const CommandRow*> rows_of(const CommandRow* container) {
    std::vector<const CommandRow*> out;
    for (const CommandRow& row : command_rows()) {
        if (!is_listed(row)) continue;
        const std::size_t bar = row.name.find('|');
        const bool inside = container != nullptr && bar != row.name.npos &&
                            row.name.substr(0, bar) == container->name;
        if (container == nullptr ? bar == row.name.npos : inside) out.push_back(&row);
    }
    return out;
}

/// A row that COMMAND shows, by its name; null: there is none.
const CommandRow* find_listed(std::string_view name) noexcept {
    const CommandRow* const row = find_command(name);
    return row != nullptr && is_listed(*row) ? row : nullptr;
}

void write_key_specification(const KeyPositions& keys, Writer& out) {
    out.map(3);
    out.bulk("flags");
    write_flags(keys.flags, out);
    out.bulk("begin_search");
    out.map(2);
    out.bulk("type");
    out.bulk("index");
    out.bulk("spec");
    out.map(1);
    out.bulk("index");
    out.integer(keys.first);
    out.bulk("find_keys");
    out.map(2);
    out.bulk("type");
    out.bulk("range");
    out.bulk("spec");
    out.map(3);
    out.bulk("lastkey");
    out.integer(keys.last < 0 ? keys.last : keys.last - keys.first);
    out.bulk("keystep");
    out.integer(keys.step);
    out.bulk("limit");
    out.integer(0);
}

void write_info(const CommandRow& row, Writer& out) {
    out.array(10);
    out.bulk(row.name);
    out.integer(row.arity);
    write_flags(row.flags, out);
    out.integer(row.keys.first);
    out.integer(row.keys.last);
    out.integer(row.keys.step);
    write_flags(row.acl, out);
    const auto tips = split(row.tips);
    out.set(tips.size());
    for (const std::string_view tip : tips) out.bulk(tip);
    const bool has_keys = row.keys.step != 0;
    out.set(has_keys ? 1 : 0);
    if (has_keys) write_key_specification(row.keys, out);
    const auto subcommands = rows_of(&row);
    out.set(subcommands.size());
    for (const CommandRow* subcommand : subcommands) write_info(*subcommand, out);
}

/// One argument of CommandRow::arguments.
struct Argument {
    std::string_view name;
    std::string_view type;
    std::optional<std::string_view> token;
    std::string_view since;
    std::vector<std::string_view> flags;
    std::string_view parts;
};

/// Takes the first argument off `text`, which is well formed: it is ours.
Argument take_argument(std::string_view& text) {
    Argument out;
    const auto take_until = [&](std::string_view ends) {
        const std::size_t at = std::min(text.find_first_of(ends), text.size());
        const std::string_view word = text.substr(0, at);
        text.remove_prefix(at);
        return word;
    };
    const auto take = [&](char c) {
        if (!text.starts_with(c)) return false;
        text.remove_prefix(1);
        return true;
    };
    const std::string_view name_and_type = take_until("=@?*+[ ");
    const std::size_t colon = name_and_type.rfind(':');  // a name may be "ip:port"
    out.name = name_and_type.substr(0, colon);
    out.type = name_and_type.substr(colon + 1);
    if (take('=')) out.token = take_until("@?*+[ ");
    if (take('@')) out.since = take_until("?*+[ ");
    if (take('?')) out.flags.push_back("optional");
    if (take('*')) out.flags.push_back("multiple");
    if (take('+')) out.flags.push_back("multiple_token");
    if (text.starts_with('[')) {
        std::size_t depth = 0;
        std::size_t at = 0;
        do {
            depth += text[at] == '[' ? 1 : 0;
            depth -= text[at] == ']' ? 1 : 0;
        } while (++at < text.size() && depth > 0);
        out.parts = text.substr(1, at - 2);
        text.remove_prefix(at);
    }
    take(' ');
    return out;
}

void write_arguments(std::string_view arguments, Writer& out) {
    std::vector<Argument> all;
    while (!arguments.empty()) all.push_back(take_argument(arguments));
    out.array(all.size());
    for (const Argument& one : all) {
        const bool is_key = one.type == "key";
        out.map(2 + std::size_t{is_key} + std::size_t{one.token.has_value()} +
                std::size_t{!one.since.empty()} + std::size_t{!one.flags.empty()} +
                std::size_t{!one.parts.empty()});
        out.bulk("name");
        out.bulk(one.name);
        out.bulk("type");
        out.bulk(one.type);
        if (is_key) {
            out.bulk("key_spec_index");
            out.integer(0);
        }
        if (one.token) {
            out.bulk("token");
            out.bulk(*one.token);
        }
        if (!one.since.empty()) {
            out.bulk("since");
            out.bulk(one.since);
        }
        if (!one.flags.empty()) {
            out.bulk("flags");
            out.set(one.flags.size());
            for (const std::string_view flag : one.flags) out.simple(flag);
        }
        if (!one.parts.empty()) {
            out.bulk("arguments");
            write_arguments(one.parts, out);
        }
    }
}

void write_docs(const CommandRow& row, Writer& out) {
    const auto subcommands = rows_of(&row);
    const bool container = row.kind == CommandClass::container;
    out.map(3 + std::size_t{!container} + std::size_t{!row.arguments.empty()} +
            std::size_t{!subcommands.empty()});
    const auto pair = [&](std::string_view name, std::string_view value) {
        out.bulk(name);
        out.bulk(value);
    };
    pair("summary", row.summary);
    pair("since", row.since);
    pair("group", row.group);
    if (!container) pair("complexity", row.complexity);
    if (!row.arguments.empty()) {
        out.bulk("arguments");
        write_arguments(row.arguments, out);
    }
    if (!subcommands.empty()) {
        out.bulk("subcommands");
        out.map(subcommands.size());
        for (const CommandRow* subcommand : subcommands) {
            out.bulk(subcommand->name);
            write_docs(*subcommand, out);
        }
    }
}

void answer_list(std::span<const std::string_view> args, ReplyWriter& reply) {
    const bool filtered = args.size() == 3 && equals_ignoring_case(args[0], "filterby");
    const auto by = [&](std::string_view what) {
        return filtered && equals_ignoring_case(args[1], what);
    };
    const bool known = by("module") || by("aclcat") || by("pattern");
    if (!args.empty() && !known) return reply.error(Errc::syntax);
    std::vector<std::string_view> names;
    for (const CommandRow& row : command_rows()) {
        if (!is_listed(row) || by("module")) continue;
        if (by("pattern") && !glob_match(args[2], row.name, true)) continue;
        if (by("aclcat")) {
            const auto categories = split(row.acl);
            const bool in = std::ranges::any_of(categories, [&](std::string_view category) {
                return equals_ignoring_case(category.substr(1), args[2]);
            });
            if (!in) continue;
        }
        names.push_back(row.name);
    }
    reply.strings(names);
}

void answer_infos(std::span<const std::string_view> names, Writer& out) {
    if (names.empty()) {
        const auto all = rows_of(nullptr);
        out.array(all.size());
        for (const CommandRow* row : all) write_info(*row, out);
        return;
    }
    out.array(names.size());
    for (const std::string_view name : names) {
        const CommandRow* const row = find_listed(name);
        row != nullptr ? write_info(*row, out) : out.null();
    }
}

void answer_docs(std::span<const std::string_view> names, Writer& out) {
    std::vector<const CommandRow*> rows;
    if (names.empty()) rows = rows_of(nullptr);
    for (const std::string_view name : names) {
        if (const CommandRow* const row = find_listed(name)) rows.push_back(row);
    }
    out.map(rows.size());
    for (const CommandRow* row : rows) {
        out.bulk(row->name);
        write_docs(*row, out);
    }
}

/// What this very command does with its keys: SET reads only with GET.
std::string_view key_flags_of(const CommandRow& row, std::span<const std::string_view> words) {
    if (row.verb != Verb::set) return row.keys.flags;
    const bool reads = std::ranges::any_of(
        words.subspan(3), [](std::string_view word) { return equals_ignoring_case(word, "get"); });
    return reads ? "RW access update" : "OW update";
}

void answer_keys_of(std::span<const std::string_view> words, bool flags, ReplyWriter& reply) {
    const CommandRow* row = find_listed(words[0]);
    const bool may_have = row != nullptr && (row->kind == CommandClass::container);
    if (may_have && words.size() > 1) row = find_command(words[0], words[1]);
    if (row == nullptr) return reply.error(Errc::syntax, "Invalid command specified");
    if (row->keys.step == 0) {
        return reply.error(Errc::syntax, "The command has no key arguments");
    }
    if (!row->takes(words.size())) {
        return reply.error(Errc::syntax, "Invalid number of arguments specified for command");
    }
    std::vector<std::string_view> keys;
    for_each_key(*row, words.size(), [&](std::size_t word) { keys.push_back(words[word]); });
    if (!flags) return reply.strings(keys);
    reply.compose([&](Writer& out) {
        out.array(keys.size());
        for (const std::string_view key : keys) {
            out.array(2);
            out.bulk(key);
            write_flags(key_flags_of(*row, words), out);
        }
    });
}

// --- HELP ----------------------------------------------------------------------------------------

constexpr std::string_view client_help =
    "CACHING (YES|NO)\n"
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.\n"
    "GETREDIR\n"
    "    Return the client ID we are redirecting to when tracking is enabled.\n"
    "GETNAME\n"
    "    Return the name of the current connection.\n"
    "ID\n"
    "    Return the ID of the current connection.\n"
    "INFO\n"
    "    Return information about the current client connection.\n"
    "KILL <ip:port>\n"
    "    Kill connection made from <ip:port>.\n"
    "KILL <option> <value> [<option> <value> [...]]\n"
    "    Kill connections. Options are:\n"
    "    * ADDR (<ip:port>|<unixsocket>:0)\n"
    "      Kill connections made from the specified address\n"
    "    * LADDR (<ip:port>|<unixsocket>:0)\n"
    "      Kill connections made to specified local address\n"
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)\n"
    "      Kill connections by type.\n"
    "    * USER <username>\n"
    "      Kill connections authenticated by <username>.\n"
    "    * SKIPME (YES|NO)\n"
    "      Skip killing current connection (default: yes).\n"
    "LIST [options ...]\n"
    "    Return information about client connections. Options:\n"
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)\n"
    "      Return clients of specified type.\n"
    "UNPAUSE\n"
    "    Stop the current client pause, resuming traffic.\n"
    "PAUSE <timeout> [WRITE|ALL]\n"
    "    Suspend all, or just write, clients for <timeout> milliseconds.\n"
    "REPLY (ON|OFF|SKIP)\n"
    "    Control the replies sent to the current connection.\n"
    "SETNAME <name>\n"
    "    Assign the name <name> to the current connection.\n"
    "UNBLOCK <clientid> [TIMEOUT|ERROR]\n"
    "    Unblock the specified blocked client.\n"
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]\n"
    "         [OPTIN] [OPTOUT] [NOLOOP]\n"
    "    Control server assisted client side caching.\n"
    "TRACKINGINFO\n"
    "    Report tracking status for the current connection.\n"
    "NO-EVICT (ON|OFF)\n"
    "    Protect current client connection from eviction.\n";

constexpr std::string_view config_help =
    "GET <pattern>\n"
    "    Return parameters matching the glob-like <pattern> and their values.\n"
    "SET <directive> <value>\n"
    "    Set the configuration <directive> to <value>.\n"
    "RESETSTAT\n"
    "    Reset statistics reported by the INFO command.\n"
    "REWRITE\n"
    "    Rewrite the configuration file.\n";

constexpr std::string_view object_help =
    "ENCODING <key>\n"
    "    Return the kind of internal representation used in order to store the value\n"
    "    associated with a <key>.\n"
    "FREQ <key>\n"
    "    Return the access frequency index of the <key>. The returned integer is\n"
    "    proportional to the logarithm of the recent access frequency of the key.\n"
    "IDLETIME <key>\n"
    "    Return the idle time of the <key>, that is the approximated number of\n"
    "    seconds elapsed since the last access to the key.\n"
    "REFCOUNT <key>\n"
    "    Return the number of references of the value associated with the specified\n"
    "    <key>.\n";

constexpr std::string_view memory_help =
    "USAGE <key> [SAMPLES <count>]\n"
    "    Return memory in bytes used by <key> and its value. Nested values are\n"
    "    sampled up to <count> times (default: 5, 0 means sample all).\n";

constexpr std::string_view slowlog_help =
    "GET [<count>]\n"
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).\n"
    "    Entries are made of:\n"
    "    id, timestamp, time in microseconds, arguments array, client IP and port,\n"
    "    client name\n"
    "LEN\n"
    "    Return the length of the slowlog.\n"
    "RESET\n"
    "    Reset the slowlog.\n";

constexpr std::string_view command_help =
    "(no subcommand)\n"
    "    Return details about all Redis commands.\n"
    "COUNT\n"
    "    Return the total number of commands in this Redis server.\n"
    "LIST\n"
    "    Return a list of all commands in this Redis server.\n"
    "INFO [<command-name> ...]\n"
    "    Return details about multiple Redis commands.\n"
    "    If no command names are given, documentation details for all\n"
    "    commands are returned.\n"
    "DOCS [<command-name> ...]\n"
    "    Return documentation details about multiple Redis commands.\n"
    "    If no command names are given, documentation details for all\n"
    "    commands are returned.\n"
    "GETKEYS <full-command>\n"
    "    Return the keys from a full Redis command.\n"
    "GETKEYSANDFLAGS <full-command>\n"
    "    Return the keys and the access flags from a full Redis command.\n";

constexpr std::string_view cluster_help =
    "COUNTKEYSINSLOT <slot>\n"
    "    Return the number of keys in <slot>.\n"
    "GETKEYSINSLOT <slot> <count>\n"
    "    Return key names stored by current node in a slot.\n"
    "INFO\n"
    "    Return information about the cluster.\n"
    "KEYSLOT <key>\n"
    "    Return the hash slot for <key>.\n"
    "MAP\n"
    "    Return who belongs to the cluster and leads what, for programs.\n"
    "MYID\n"
    "    Return the node id.\n"
    "MYSHARDID\n"
    "    Return the node's shard id.\n"
    "NODES\n"
    "    Return cluster configuration seen by node. Output format:\n"
    "    <id> <ip:port@bus-port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...\n"
    "SHARDS\n"
    "    Return information about slot range mappings and the nodes associated with them.\n"
    "SLOTS\n"
    "    Return information about slots range mappings. Each range is made of:\n"
    "    start, end, master and replicas IP addresses, ports and ids\n"
    "TRANSFER <shard> <node>\n"
    "    Have another node lead a shard; to be asked of the node that leads it.\n";

std::string_view help_of(Verb verb) noexcept {
    switch (verb) {
        case Verb::client_help: return client_help;
        case Verb::cluster_help: return cluster_help;
        case Verb::config_help: return config_help;
        case Verb::object_help: return object_help;
        case Verb::memory_help: return memory_help;
        case Verb::slowlog_help: return slowlog_help;
        case Verb::command_help: return command_help;
        default: break;
    }
    KV_UNREACHABLE("verb {}", static_cast<unsigned>(verb));
}

}  // namespace

void answer_help(Verb verb, ReplyWriter& reply) {
    std::string_view text = help_of(verb);
    std::string title;
    for (const char c : command_name(verb)) {
        if (c == '|') break;
        title.push_back(static_cast<char>(c & ~0x20));
    }
    title += " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:";
    std::vector<std::string_view> lines{title};
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        lines.push_back(text.substr(0, end));
        text.remove_prefix(end + 1);
    }
    lines.push_back("HELP");
    lines.push_back("    Prints this help.");
    reply.compose([&](Writer& out) {
        out.array(lines.size());
        for (const std::string_view line : lines) out.simple(line);
    });
}

void answer_command_info(const Request& request, ReplyWriter& reply) {
    const auto args = request.args;
    switch (request.verb) {
        case Verb::command: return reply.compose([&](Writer& out) { answer_infos({}, out); });
        case Verb::command_count:
            return reply.integer(static_cast<std::int64_t>(rows_of(nullptr).size()));
        case Verb::command_list: return answer_list(args, reply);
        case Verb::command_info:
            return reply.compose([&](Writer& out) { answer_infos(args, out); });
        case Verb::command_docs: return reply.compose([&](Writer& out) { answer_docs(args, out); });
        case Verb::command_getkeys: return answer_keys_of(args, false, reply);
        case Verb::command_getkeysandflags: return answer_keys_of(args, true, reply);
        default: break;
    }
    KV_UNREACHABLE("verb {}", static_cast<unsigned>(request.verb));
}

}  // namespace kv
