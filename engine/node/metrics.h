#pragma once

/// The metrics of a node in the text format 0.0.4 of Prometheus. docs/monitoring.md lists the
/// names; a test holds it to what is written here. Labels: shard, core, peer, cmd; never a key.
/// Pure.

#include <string>
#include <string_view>

#include "engine/node/node_view.h"

namespace kv {

inline constexpr std::string_view metrics_type = "text/plain; version=0.0.4; charset=utf-8";

std::string render_metrics(const NodeView& view);

}  // namespace kv
