#pragma once

/// Reads a server's own description of its commands.

#include <optional>
#include <vector>

#include "bin/client/reply.h"
#include "bin/kv-cli/commands.h"

namespace kv::cli {

/// The commands in a reply to COMMAND DOCS: pairs of a name and a map, which has "summary",
/// "arguments" and "subcommands"; a RESP2 reply has lists of alternating keys and values for maps.
/// Unknown fields and kinds of arguments are skipped. Nothing: the reply is not of this form.
std::optional<std::vector<CommandHelp>> read_command_docs(const client::Reply& docs);

}  // namespace kv::cli
