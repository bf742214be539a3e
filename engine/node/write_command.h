#pragma once

/// Writes of one key: the command that a request becomes, and what its outcome is to the client.
/// Pure.

#include "engine/node/pipeline.h"
#include "proto/command.h"
#include "proto/command_codec.h"
#include "proto/reply.h"

namespace kv {

/// The command of a request that has passed check_request, of class write and with one key: not
/// MSET, FLUSHALL, or DEL of several. Views the request's arguments.
Command command_of(const Request& request, const RequestLimits& limits);

/// The reply to the write in `slot`, which is done and not rendered.
void answer_write(const Slot& slot, ReplyWriter& reply);

}  // namespace kv
