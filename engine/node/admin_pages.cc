#include "engine/node/admin_pages.h"

#include <fmt/format.h>

#include "engine/node/admin_page.h"
#include "engine/node/health.h"
#include "engine/node/metrics.h"
#include "engine/node/status_json.h"
#include "io/call.h"

namespace kv {

namespace {

http::Response of_type(std::string_view type, std::string body) {
    http::Response response;
    response.type = type;
    response.body = std::move(body);
    return response;
}

/// It may ask the nodes of the cluster, and nobody else may show it in a frame of theirs.
http::Response page_of_cluster(const Config& config) {
    http::Response response = of_type(http::html_text, std::string(admin_page));
    response.headers =
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; connect-src 'self'";
    for (const ClusterNode& node : config.cluster.nodes) {
        if (node.admin_port != 0) response.headers.append(" ").append(origin_of(node));
    }
    response.headers += "\r\n";
    return response;
}

}  // namespace

io::Task<http::Response> AdminPages::answer(const http::Request& request) {
    if (request.path == "/") co_return page_of_cluster(config_);
    if (request.path == "/livez") {
        co_return answer_checks("livez", live_checks(pulse_.silent()), request.query);
    }
    if (request.path == "/readyz" || request.path == "/health") {
        co_return co_await answer_ready(request);
    }
    const bool metrics = request.path == "/metrics";
    if (!metrics && request.path != "/status.json") {
        co_return http::sentence(
            404, "There are /, /metrics, /status.json, /livez, /readyz and /health.");
    }
    if (!may_gather()) {
        co_return http::sentence(503, services_.empty() ? "The node waits for the others to form a "
                                                          "cluster, or has just begun to start."
                                                        : "A core does not turn.");
    }
    const NodeView view = co_await gather();
    if (metrics) co_return of_type(metrics_type, render_metrics(view));
    http::Response response = of_type(http::json_text, render_status(view, config_));
    if (const ClusterNode* const node = node_of_origin(config_, request.origin)) {
        response.headers = fmt::format("Access-Control-Allow-Origin: {}\r\n", origin_of(*node));
    }
    response.headers += "Vary: Origin\r\n";
    co_return response;
}

io::Task<http::Response> AdminPages::answer_ready(const http::Request& request) {
    NodeView view;
    if (may_gather()) view = co_await gather();
    const bool stopping = !services_.empty() && services_.front()->stopping;
    std::vector<HealthCheck> checks =
        ready_checks(pulse_.silent(), view.cores.empty() ? nullptr : &view, stopping);
    if (request.path == "/health") co_return answer_health(checks);
    co_return answer_checks("readyz", std::move(checks), request.query);
}

io::Task<NodeView> AdminPages::gather() {
    NodeView view;
    for (std::size_t i = 0; i < services_.size(); ++i) {
        const CoreId core(static_cast<std::uint16_t>(i));
        auto look = [&](io::Reactor&) { view.cores.push_back(services_[i]->core_facts()); };
        co_await io::call_on(reactor_, core, look);
    }
    view.node = services_.front()->node_facts();
    co_return view;
}

}  // namespace kv
