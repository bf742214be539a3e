#pragma once

/// AdminPages: what the admin port has, by path. Each answer is of the moment: it is gathered by
/// calls on each core. First core only.
///
///     /            the page of the cluster
///     /metrics     for Prometheus
///     /status.json what the page shows of one node
///     /livez /readyz /health

#include <vector>

#include "engine/node/config.h"
#include "engine/node/node_view.h"
#include "engine/node/pulse.h"
#include "io/reactor.h"
#include "proto/http/http_request.h"
#include "proto/http/http_response.h"

namespace kv {

class AdminPages {
public:
    AdminPages(io::Reactor& reactor, const Config& config, const Pulse& pulse)
        : reactor_(reactor), config_(config), pulse_(pulse) {}
    AdminPages(const AdminPages&) = delete;

    /// Of all cores, by core. Until then the node is alive, and not ready.
    void set_services(std::vector<Services*> services) { services_ = std::move(services); }

    /// `request` outlives the answer.
    io::Task<http::Response> answer(const http::Request& request);

private:
    io::Task<NodeView> gather();
    bool may_gather() const noexcept { return !services_.empty() && !pulse_.silent(); }
    io::Task<http::Response> answer_ready(const http::Request& request);

    io::Reactor& reactor_;
    const Config& config_;
    const Pulse& pulse_;
    std::vector<Services*> services_;
};

}  // namespace kv
