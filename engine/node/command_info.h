#pragma once

/// COMMAND and its subcommands, and HELP of every container: what the table of commands says.
/// Pure; RESP only, but for COUNT and LIST.

#include "proto/command.h"
#include "proto/reply.h"

namespace kv {

void answer_command_info(const Request& request, ReplyWriter& reply);

/// CLIENT HELP and its kin.
void answer_help(Verb verb, ReplyWriter& reply);

}  // namespace kv
