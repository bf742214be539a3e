#pragma once

/// Persist before send: what a message promises is durable on its sender's disk when it leaves
/// (verification by the disk's image, not by what the node believes):
///
///     any but a pre-vote      the term
///     a request for votes     the vote for itself
///     a vote that is granted  the vote
///     accepted entries        the last of them
///
/// A pre-vote promises nothing. Pure.

#include <optional>
#include <string>

#include "proto/raft/message.h"
#include "tests/support/oracles/durable_log.h"

namespace kv::sim {

/// What is promised and not durable, a sentence; nothing: all is well. `match_term`: of the entry
/// at the sender's AppendReply::match; 0: its log begins behind it.
std::optional<std::string> broken_promise(const Message& message, Term match_term,
                                          const DurableLog& log);

}  // namespace kv::sim
