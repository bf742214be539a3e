#include "bin/kv-cli/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "bin/kv-cli/command_docs.h"
#include "proto/request_check.h"

namespace kv::cli {

namespace {

using client::Mode;

struct Row {
    const char* name;
    const char* arguments;
    const char* summary;
};

constexpr Row text_commands[] = {
    {"ADDSERVER", "id host raft_port client_port", "Adds a node to the cluster."},
    {"DEL", "key", "Deletes a key."},
    {"GET", "key", "The value of a key."},
    {"KEYS", "", "All keys."},
    {"PING", "", "Whether the server answers."},
    {"REMOVESERVER", "id", "Takes a node out of the cluster."},
    {"SET", "key value", "Sets a key; the value is the rest of the line."},
};

constexpr Row resp_commands[] = {
    {"ADDSERVER", "id host raft_port client_port", "Adds a node to the cluster."},
    {"APPEND", "key value", "Appends to the value of a key."},
    {"CLIENT GETNAME", "", "The name of this connection."},
    {"CLIENT ID", "", "The number of this connection."},
    {"CLIENT INFO", "", "What the server knows about this connection."},
    {"CLIENT LIST", "", "What the server knows about all connections."},
    {"CLIENT SETINFO", "LIB-NAME | LIB-VER value", "Tells the server what this client is."},
    {"CLIENT SETNAME", "name", "Names this connection."},
    {"CLUSTER INFO", "", "Whether the cluster serves."},
    {"CLUSTER NODES", "", "The nodes, and what each leads."},
    {"CLUSTER TRANSFER", "shard node", "Has another node lead a shard; to be asked of its leader."},
    {"COMMAND COUNT", "", "The number of commands."},
    {"COMMAND DOCS", "[command ...]", "What commands do and take."},
    {"COMMAND INFO", "[command ...]", "Arity, flags and keys of commands."},
    {"CONFIG GET", "pattern [pattern ...]", "Values of the configuration."},
    {"CONFIG SET", "name value [name value ...]", "Changes the configuration while running."},
    {"DBSIZE", "", "The number of keys."},
    {"DECR", "key", "Takes one from a number."},
    {"DECRBY", "key decrement", "Takes from a number."},
    {"DEL", "key [key ...]", "Deletes keys."},
    {"ECHO", "message", "The message."},
    {"EXISTS", "key [key ...]", "How many of the keys there are."},
    {"FLUSHALL", "[ASYNC | SYNC]", "Deletes all keys."},
    {"GET", "key", "The value of a key."},
    {"GETDEL", "key", "The value of a key, which is deleted."},
    {"GETSET", "key value", "Sets a key; its value before."},
    {"HELLO", "[protover]", "Chooses RESP2 or RESP3."},
    {"INCR", "key", "Adds one to a number."},
    {"INCRBY", "key increment", "Adds to a number."},
    {"INFO", "[section ...]", "How the server is."},
    {"KEYS", "pattern", "The keys that match."},
    {"MEMORY USAGE", "key", "The bytes that a key takes."},
    {"MGET", "key [key ...]", "The values of keys."},
    {"MSET", "key value [key value ...]", "Sets keys."},
    {"PING", "[message]", "Whether the server answers."},
    {"QUIT", "", "Ends the connection."},
    {"REMOVESERVER", "id", "Takes a node out of the cluster."},
    {"RESET", "", "Forgets what this connection has set up."},
    {"SCAN", "cursor [MATCH pattern] [COUNT count] [TYPE type]", "The keys, some at a time."},
    {"SELECT", "index", "Database 0, the only one."},
    {"SET", "key value [NX | XX] [GET]", "Sets a key."},
    {"SETNX", "key value", "Sets a key that is absent."},
    {"SLOWLOG GET", "[count]", "The slowest commands."},
    {"STRLEN", "key", "The bytes of a value."},
    {"TIME", "", "The server's time."},
    {"TYPE", "key", "The type of a value."},
    {"WAIT", "numreplicas timeout", "Waits for replicas to acknowledge."},
};

std::string upper(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    return out;
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

using Words = std::vector<std::string_view>;

/// Quotes play no part: a value with spaces counts as several words, which only makes a hint end
/// early.
Words split(std::string_view line) {
    Words words;
    for (std::size_t at = 0; at < line.size();) {
        const std::size_t end = std::min(line.find(' ', at), line.size());
        if (end > at) words.push_back(line.substr(at, end - at));
        at = end + 1;
    }
    return words;
}

/// The arguments one by one, each "[...]" as a whole.
Words units_of(std::string_view arguments) {
    Words units;
    std::size_t start = 0;
    int depth = 0;
    for (std::size_t at = 0; at <= arguments.size(); ++at) {
        const bool end = at == arguments.size();
        if (!end && arguments[at] == '[') ++depth;
        if (!end && arguments[at] == ']') --depth;
        if (!end && (depth > 0 || arguments[at] != ' ')) continue;
        if (at > start) units.push_back(arguments.substr(start, at - start));
        start = at + 1;
    }
    return units;
}

/// "[NX | XX]" offers NX and XX, "[MATCH pattern]" MATCH: words in capitals that are typed as they
/// are.
Words tokens_of(std::string_view unit) {
    Words tokens;
    if (unit.starts_with('[')) unit = unit.substr(1, unit.size() - 2);
    bool first = true;
    for (const std::string_view word : split(unit)) {
        if (word == "|") {
            first = true;
        } else if (std::exchange(first, false) && word == upper(word) && word != lower(word)) {
            tokens.push_back(word);
        }
    }
    return tokens;
}

bool repeats(std::string_view unit) {
    return unit.find("...") != std::string_view::npos;
}

/// What of `arguments` is to come behind the words `typed`.
Words remaining(std::string_view arguments, std::span<const std::string_view> typed) {
    Words units = units_of(arguments);
    for (const std::string_view word : typed) {
        if (units.empty()) break;
        if (!units[0].starts_with('[')) {
            units.erase(units.begin());
            continue;
        }
        const auto said = std::ranges::find_if(units, [&](std::string_view unit) {
            return std::ranges::any_of(tokens_of(unit), [&](std::string_view token) {
                return equals_ignoring_case(token, word);
            });
        });
        if (said != units.end()) {
            units.erase(said);
        } else if (tokens_of(units[0]).empty() && !repeats(units[0])) {
            units.erase(units.begin());  // "[message]"
        }
    }
    return units;
}

std::size_t words_in(std::string_view name) {
    return name.find(' ') == std::string_view::npos ? 1 : 2;
}

/// What the candidates have in common, in the case that the person types.
Completion agree(std::vector<std::string> candidates, std::string_view typed) {
    Completion out;
    std::ranges::sort(candidates);
    candidates.erase(std::ranges::unique(candidates).begin(), candidates.end());
    if (candidates.empty()) return out;
    std::string common = candidates[0];
    for (const std::string& other : candidates) {
        const auto [mine, theirs] = std::ranges::mismatch(common, other);
        common.erase(mine, common.end());
    }
    if (candidates.size() == 1) common.push_back(' ');
    out.insert = common.substr(std::min(typed.size(), common.size()));
    const bool in_lower_case = !typed.empty() && typed == lower(typed) && typed != upper(typed);
    if (in_lower_case) out.insert = lower(out.insert);
    if (out.insert.empty()) out.choices = std::move(candidates);
    return out;
}

bool starts(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() &&
           equals_ignoring_case(text.substr(0, prefix.size()), prefix);
}

}  // namespace

CommandTable::CommandTable(Mode mode) {
    const std::span<const Row> rows = mode == Mode::resp ? std::span<const Row>(resp_commands)
                                                         : std::span<const Row>(text_commands);
    for (const Row& row : rows) commands_.push_back({row.name, row.arguments, row.summary});
}

bool CommandTable::learn(const client::Reply& docs) {
    std::optional<std::vector<CommandHelp>> read = read_command_docs(docs);
    if (!read) return false;
    std::ranges::sort(*read, {}, &CommandHelp::name);
    commands_ = std::move(*read);
    return true;
}

const CommandHelp* CommandTable::find(std::string_view line) const {
    const Words words = split(line);
    if (words.empty()) return nullptr;
    for (std::size_t count = std::min<std::size_t>(words.size(), 2); count > 0; --count) {
        std::string name = upper(words[0]);
        if (count == 2) name.append(" ").append(upper(words[1]));
        const auto found = std::ranges::lower_bound(commands_, name, {}, &CommandHelp::name);
        if (found != commands_.end() && found->name == name) return &*found;
    }
    return nullptr;
}

std::string CommandTable::hint(std::string_view line) const {
    const CommandHelp* const command = find(line);
    if (command == nullptr) return {};
    const Words words = split(line);
    std::span<const std::string_view> typed(words);
    typed = typed.subspan(std::min(words_in(command->name), typed.size()));
    // The word that is being typed has not been given yet.
    if (!line.ends_with(' ') && !typed.empty()) typed = typed.first(typed.size() - 1);
    std::string out;
    for (const std::string_view unit : remaining(command->arguments, typed)) {
        out.append(out.empty() ? "" : " ").append(unit);
    }
    return out;
}

Completion CommandTable::complete(std::string_view line) const {
    const Words words = split(line);
    const bool at_new_word = line.empty() || line.ends_with(' ');
    const std::string_view typed = at_new_word ? std::string_view() : words.back();
    const std::size_t before = words.size() - (at_new_word ? 0 : 1);
    std::vector<std::string> candidates;
    for (const CommandHelp& command : commands_) {
        const Words name = split(command.name);
        const bool container = before == 0 || equals_ignoring_case(name[0], words[0]);
        if (before < name.size() && container && starts(name[before], typed)) {
            candidates.emplace_back(name[before]);
        }
    }
    if (candidates.empty() && before > 0) {
        if (const CommandHelp* const command = find(line); command != nullptr) {
            const std::size_t skipped = std::min(words_in(command->name), before);
            const std::span<const std::string_view> given(words.data() + skipped, before - skipped);
            const Words units = remaining(command->arguments, given);
            // An option may come as soon as nothing else must.
            if (!units.empty() && units[0].starts_with('[')) {
                for (const std::string_view unit : units) {
                    for (const std::string_view token : tokens_of(unit)) {
                        if (starts(token, typed)) candidates.emplace_back(token);
                    }
                }
            }
        }
    }
    return agree(std::move(candidates), typed);
}

std::string CommandTable::help(std::string_view line) const {
    const Words words = split(line);
    if (words.empty()) {
        std::string out = "Tab completes. `help <command>` says what one does. Commands:\n";
        for (const CommandHelp& command : commands_) out.append("  ").append(command.name + "\n");
        return out;
    }
    std::string out;
    for (const CommandHelp& command : commands_) {
        const bool named = words.size() == 1 && equals_ignoring_case(split(command.name)[0], line);
        if (!named && &command != find(line)) continue;
        out += fmt::format("{}{}{}\n    {}\n", command.name, command.arguments.empty() ? "" : " ",
                           command.arguments, command.summary);
    }
    return out.empty() ? fmt::format("No command '{}' is known here: `help` lists them.\n", line)
                       : out;
}

}  // namespace kv::cli
