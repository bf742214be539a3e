#pragma once

/// The one table of commands. Names, numbers of arguments, positions of keys, what COMMAND tells
/// and docs/commands.md lists all come from its rows, so that they cannot disagree.
///
/// A subcommand is a row of its own, "client|list"; its container, "client", is one too. Rows
/// without a verb are refused with a reason: commands of Redis whose users deserve more than
/// "unknown command". COMMAND does not list them.

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "proto/command.h"

namespace kv {

/// Who answers a command, and from what.
enum class CommandClass : std::uint8_t {
    local,      ///< the request alone is enough
    key_read,   ///< what is stored under its first argument
    wide_read,  ///< several keys, or all
    write,      ///< commands to the log
    session,    ///< what the connection remembers
    node,       ///< facts about the node, or its settings
    container,  ///< of subcommands
    refused,    ///< nobody: see `reason`
};

/// Which words of a command are keys, as Redis counts: the command itself is word 0, with its
/// subcommand one word more. `last` < 0 counts from the end. No `step`: there are none.
struct KeyPositions {
    std::int16_t first = 0;
    std::int16_t last = 0;
    std::int16_t step = 0;
    std::string_view flags;  ///< of the key specification, "RO access"
};

struct CommandRow {
    std::string_view name;  ///< lower case
    Verb verb = Verb::invalid;
    CommandClass kind = CommandClass::local;
    /// Words, those of the name included; negative: at least as many.
    std::int8_t arity = 0;
    KeyPositions keys = {};
    std::string_view flags = {};  ///< lists are words separated by spaces, in the order of Redis
    std::string_view acl = {};
    std::string_view tips = {};
    std::string_view since = {};
    std::string_view group = {};
    std::string_view complexity = "O(1)";
    std::string_view summary = {};
    /// `name:type=TOKEN@since`, then ? optional, * repeated, + repeated with its token, then [ ]
    /// around those it is made of.
    std::string_view arguments = {};
    std::string_view reason = {};

    bool is_subcommand() const noexcept { return name.find('|') != std::string_view::npos; }
    /// Whether `flag` is one of the words of `flags`.
    constexpr bool has_flag(std::string_view flag) const noexcept {
        for (std::string_view left = flags; !left.empty();) {
            const std::size_t end = std::min(left.find(' '), left.size());
            if (left.substr(0, end) == flag) return true;
            left.remove_prefix(std::min(end + 1, left.size()));
        }
        return false;
    }
    std::size_t name_words() const noexcept { return is_subcommand() ? 2 : 1; }
    bool takes(std::size_t words) const noexcept {
        return arity >= 0 ? words == static_cast<std::size_t>(arity)
                          : words >= static_cast<std::size_t>(-arity);
    }
};

/// All rows; a container stands before its subcommands.
std::span<const CommandRow> command_rows() noexcept;

/// The row of a name in any case, or of a container and its subcommand. Null: there is none.
const CommandRow* find_command(std::string_view name, std::string_view subcommand = {}) noexcept;

/// The row of a verb but Verb::invalid.
const CommandRow& command_row(Verb verb) noexcept;

namespace detail {
extern const std::array<CommandClass, 256> class_of_verb;
}
inline CommandClass command_class(Verb verb) noexcept {
    return detail::class_of_verb[static_cast<std::uint8_t>(verb)];
}

/// Calls f(index) for each word that is a key, of `words` words.
template <typename F>
void for_each_key(const CommandRow& row, std::size_t words, F&& f) {
    if (row.keys.step <= 0) return;
    const auto count = static_cast<std::ptrdiff_t>(words);
    const std::ptrdiff_t last = row.keys.last < 0 ? count + row.keys.last : row.keys.last;
    for (std::ptrdiff_t at = row.keys.first; at <= last && at < count; at += row.keys.step) {
        f(static_cast<std::size_t>(at));
    }
}

}  // namespace kv
