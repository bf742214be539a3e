#pragma once

/// Whether a node is well, for those who start it again (/livez), send clients to it (/readyz), or
/// know etcd (/health). Pure.
///
/// Liveness is about this process alone: who kills nodes that have no majority kills those that
/// could form one.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/node/node_view.h"
#include "proto/http/http_response.h"

namespace kv {

struct HealthCheck {
    std::string_view name;  ///< for ?exclude=
    std::string problem;    ///< empty: it is well
};

/// Checks "cores": all of them turn. `silent`: one that does not.
std::vector<HealthCheck> live_checks(std::optional<CoreId> silent);
/// Further ones: "data" is loaded, "leaders" of all shards are known, the node is "serving" and not
/// on its way down. `view` null: the node has not begun to load, or a core is silent.
std::vector<HealthCheck> ready_checks(std::optional<CoreId> silent, const NodeView* view,
                                      bool stopping);

/// Code 200 or 503, and what is wrong in words. Queries: `verbose` tells each check, `exclude=NAME`
/// passes one over; a name that there is not is an error 400.
http::Response answer_checks(std::string_view title, std::vector<HealthCheck> checks,
                             std::string_view query);
/// The same as etcd has it, in JSON.
http::Response answer_health(const std::vector<HealthCheck>& checks);

}  // namespace kv
