#pragma once

/// What kv-cli knows about commands while somebody types one: the arguments it takes, and how what
/// is typed so far may go on. It starts with a list of its own and takes over what the server says
/// in COMMAND DOCS.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bin/client/reply.h"

namespace kv::cli {

struct CommandHelp {
    std::string name;       ///< upper case, with its subcommand: "CONFIG GET"
    std::string arguments;  ///< as people read them: "key value [NX | XX] [GET]"
    std::string summary;    ///< one sentence
};

/// How a line may go on.
struct Completion {
    std::string insert;                ///< what all candidates agree on, behind what is typed
    std::vector<std::string> choices;  ///< when they do not agree on more
};

class CommandTable {
public:
    /// The commands that a server of this protocol has for sure.
    explicit CommandTable(client::Mode mode);

    /// Takes over the commands of a reply to COMMAND DOCS, of RESP2 or RESP3. False: it is none,
    /// and nothing has changed.
    bool learn(const client::Reply& docs);

    /// By the first word or two, in any case; nullptr: unknown.
    const CommandHelp* find(std::string_view line) const;
    /// The arguments that are still to come behind `line`; empty: unknown, or none.
    std::string hint(std::string_view line) const;
    Completion complete(std::string_view line) const;
    /// What `help` prints: of one command, or the names of all.
    std::string help(std::string_view line) const;

    std::span<const CommandHelp> all() const noexcept { return commands_; }

private:
    std::vector<CommandHelp> commands_;  // sorted by name
};

}  // namespace kv::cli
