#pragma once

/// /status.json: what the page of the cluster shows of one node, and which nodes it is to ask.
/// Pure.
///
///     {"node": {"id": 1, "version": "0.1.0", "boot": 3, "uptime_s": 12.5, "cores": 2, ...},
///      "shards": [{"shard": 0, "role": "leader", "leader": 1, "followers": [...]}, ...],
///      "peers": [{"id": 2, "address": "127.0.0.1:6380", "connected": true}, ...],
///      "nodes": [{"id": 1, "url": "http://127.0.0.1:9001"}, ...]}

#include <string>
#include <string_view>

#include "engine/node/config.h"
#include "engine/node/node_view.h"

namespace kv {

std::string render_status(const NodeView& view, const Config& config);

/// "http://host:admin_port", as browsers write the origin of a page from there.
std::string origin_of(const ClusterNode& node);
/// The node of the configuration whose page has this origin; null: none.
const ClusterNode* node_of_origin(const Config& config, std::string_view origin);

}  // namespace kv
