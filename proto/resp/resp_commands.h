#pragma once

/// The commands RESP clients may send, case-insensitive, and the texts for those they may not:
///
///     PING [message]        ECHO message          GET key             SET key value
///     DEL key...            EXISTS key...         MGET key...         MSET (key value)...
///     KEYS pattern          DBSIZE                FLUSHALL [ASYNC|SYNC]
///     COMMAND [...]         CONFIG GET pattern... INFO [section...]   SELECT 0
///     QUIT                  CLIENT SETINFO LIB-NAME|LIB-VER value
///     ADDSERVER id host raft_port client_port     REMOVESERVER id
///
/// The words of a Request do not include the subcommand: CONFIG GET a* is config_get of "a*". Of
/// COMMAND they do, because the verb stands for all of its subcommands.

#include <span>
#include <string_view>

#include "proto/command.h"

namespace kv::resp {

/// Fills verb and arguments of `out` from `words`, at least one, or refuses it in the words of
/// Redis 7.0. False: it is an HTTP request; `out` is refused and the connection must be closed.
bool resolve_command(std::span<const std::string_view> words, const RequestLimits& limits,
                     Request& out);

}  // namespace kv::resp
