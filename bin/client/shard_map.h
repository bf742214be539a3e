#pragma once

/// Asks a node who belongs to its cluster and who leads what.

#include "bin/client/client.h"
#include "proto/shard_map.h"

namespace kv::client {

/// Connects to the node that `options` name, whatever their mode, asks it for CLUSTER MAP, and
/// closes. It is asked over RESP: a server that is not ours refuses that at once, where it would
/// wait for the rest of a binary frame. The hosts of a cluster are as the nodes see each other; a
/// node that is alone has the host and port of `options`, leads every shard, and is the only one.
/// Errors: those of Client::connect() and Client::call(); `unsupported`, the server has no such
/// command, in its words; those of decode_shard_map().
Result<ShardMap> fetch_shard_map(io::Reactor& reactor, ClientOptions options);

}  // namespace kv::client
