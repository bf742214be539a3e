#pragma once

/// `kv-cli cluster status` and `kv-cli cluster transfer`. Each blocks, prints, and returns the exit
/// code.

#include "bin/client/cluster_client.h"

namespace kv::cli {

/// Asks every node of the cluster, one second each at most. 0: each shard has a leader that answers
/// and a majority; 1: one has not; 3: no node answers.
int show_cluster_status(io::Reactor& reactor, const client::ClusterOptions& options, bool json);

/// Asks the leader of `shard` to hand it over to `node`, and waits until that leads. 0: it does;
/// 1: it does not, or not in time; 3: no node answers.
int transfer_shard(io::Reactor& reactor, client::ClusterOptions options, std::uint16_t shard,
                   NodeId node);

}  // namespace kv::cli
