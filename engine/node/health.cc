#include "engine/node/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "proto/http/http_request.h"

namespace kv {

namespace {

std::string missing_leaders(const NodeView& view) {
    std::string shards;
    for (const ShardPlace& place : shards_of(view)) {
        if (place.facts->leader != NodeId()) continue;
        fmt::format_to(std::back_inserter(shards), "{}{}", shards.empty() ? "" : ", ",
                       place.facts->shard.value());
    }
    return shards.empty() ? shards : fmt::format("no leader is known of shards {}", shards);
}

bool is_well(const HealthCheck& check) noexcept {
    return check.problem.empty();
}

}  // namespace

std::vector<HealthCheck> live_checks(std::optional<CoreId> silent) {
    return {{"cores", silent ? fmt::format("core {} does not turn", silent->value()) : ""}};
}

std::vector<HealthCheck> ready_checks(std::optional<CoreId> silent, const NodeView* view,
                                      bool stopping) {
    std::vector<HealthCheck> checks = live_checks(silent);
    const bool loaded = view != nullptr && !is_loading(*view);
    checks.push_back({"data", loaded ? "" : "the data are not loaded"});
    checks.push_back({"leaders", loaded ? missing_leaders(*view) : "not known before"});
    checks.push_back({"serving", stopping ? "the node is shutting down" : ""});
    return checks;
}

http::Response answer_checks(std::string_view title, std::vector<HealthCheck> checks,
                             std::string_view query) {
    std::string names;
    for (const HealthCheck& check : checks) {
        fmt::format_to(std::back_inserter(names), "{}{}", names.empty() ? "" : ", ", check.name);
    }
    const auto unknown = [&](std::string_view name) {
        return std::ranges::find(checks, name, &HealthCheck::name) == checks.end();
    };
    for (std::string_view rest = query; !rest.empty();) {
        const std::string_view one = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(rest.size(), one.size() + 1));
        if (one.starts_with("exclude=") && unknown(one.substr(one.find('=') + 1))) {
            return http::sentence(400, fmt::format("There are these checks: {}.", names));
        }
    }
    std::erase_if(checks, [&](const HealthCheck& check) {
        return http::has_parameter(query, "exclude", check.name);
    });
    const bool well = std::ranges::all_of(checks, is_well);
    if (well && !http::has_parameter(query, "verbose")) return http::sentence(200, "ok");
    std::string lines;
    for (const HealthCheck& check : checks) {
        if (is_well(check)) {
            fmt::format_to(std::back_inserter(lines), "[+]{} ok\n", check.name);
        } else {
            fmt::format_to(std::back_inserter(lines), "[-]{} failed: {}\n", check.name,
                           check.problem);
        }
    }
    lines += fmt::format("{} check {}", title, well ? "passed" : "failed");
    return http::sentence(well ? 200 : 503, lines);
}

http::Response answer_health(const std::vector<HealthCheck>& checks) {
    const auto ill = std::ranges::find_if_not(checks, is_well);
    const bool well = ill == checks.end();
    http::Response response =
        http::sentence(well ? 200 : 503,
                       well ? R"({"health":"true"})"
                            : fmt::format(R"({{"health":"false","reason":"{}"}})", ill->problem));
    response.type = http::json_text;
    return response;
}

}  // namespace kv
