// [[cluster.nodes]] and --peers: what a list of nodes must be before a node starts with it.

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "engine/node/config_check.h"
#include "engine/node/config_value.h"

namespace kv {

namespace {

/// With more, each write waits for more nodes than its safety gains.
constexpr std::size_t nodes_max = 7;

bool is_loopback(const std::string& host) noexcept {
    in_addr v4{};
    in6_addr v6{};
    if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/// An address to listen on that nobody can connect to.
bool is_wildcard(const std::string& host) noexcept {
    in_addr v4{};
    in6_addr v6{};
    if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return v4.s_addr == 0;
    return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6);
}

class NodesCheck {
public:
    NodesCheck(const Config& config, std::vector<ConfigProblem>& problems)
        : config_(config), nodes_(config.cluster.nodes), problems_(problems) {}

    void run() {
        if (nodes_.empty()) return;
        check_once_each();
        const auto own = std::ranges::find(nodes_, config_.node.id, &ClusterNode::id);
        if (own == nodes_.end())
            add({}, fmt::format("node.id {} is not among them", config_.node.id.value()));
        if (!has_peers(config_)) return;
        if (nodes_.size() > nodes_max)
            add(nodes_max, fmt::format("{} nodes are listed; expected 3, 5 or 7", nodes_.size()));
        check_hosts();
        if (own != nodes_.end()) check_own(static_cast<std::size_t>(own - nodes_.begin()));
    }

private:
    /// `node`: the element of the list; nothing: the list.
    void add(std::optional<std::size_t> node, const std::string& text) {
        problems_.push_back({nodes_name, fmt::format("{}: {}", nodes_name, text), node});
    }

    void check_once_each() {
        std::set<NodeId> ids;
        std::set<std::pair<std::string, std::uint16_t>> addresses;
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            const ClusterNode& node = nodes_[i];
            if (!ids.insert(node.id).second)
                add(i, fmt::format("id {} is listed twice", node.id.value()));
            if (node.peer_port == node.client_port)
                add(i, fmt::format("node {} has port {} for peers and clients", node.id.value(),
                                   node.peer_port));
            if (node.admin_port != 0 &&
                (node.admin_port == node.peer_port || node.admin_port == node.client_port))
                add(i, fmt::format("node {} has port {} for its admin port and for another",
                                   node.id.value(), node.admin_port));
            for (const std::uint16_t port :
                 std::set{node.peer_port, node.client_port, node.admin_port}) {
                if (port == 0) continue;
                if (!addresses.emplace(node.host, port).second)
                    add(i, fmt::format("{}:{} is listed twice", node.host, port));
            }
        }
    }

    void check_hosts() {
        bool open = false;
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            const ClusterNode& node = nodes_[i];
            if (is_wildcard(node.host)) {
                add(i, fmt::format("nobody can connect to {}; expected the address at which the "
                                   "others reach node {}",
                                   node.host, node.id.value()));
            } else if (!is_loopback(node.host) && !config_.peer.insecure && !open) {
                open = true;  // said once
                add(i, fmt::format("{} is not loopback, and what nodes say to each other is not "
                                   "encrypted yet: set peer.insecure = true if nobody else can "
                                   "reach that network",
                                   node.host));
            }
        }
        if (!open && !is_loopback(config_.peer.bind) && !config_.peer.insecure)
            problems_.push_back(
                {"peer.bind",
                 fmt::format("peer.bind: {} is not loopback, and what nodes say to each other is "
                             "not encrypted yet: set peer.insecure = true if nobody else can reach "
                             "that network",
                             config_.peer.bind)});
    }

    /// `i`: where this node is in the list.
    void check_own(std::size_t i) {
        const ClusterNode& own = nodes_[i];
        if (own.peer_port != config_.peer.port)
            add(i, fmt::format("node {} is this one and has peer_port {}, but peer.port is {}: "
                               "make them equal",
                               own.id.value(), own.peer_port, config_.peer.port));
        if (own.client_port != config_.client.port)
            add(i, fmt::format("node {} is this one and has client_port {}, but client.port is {}: "
                               "make them equal",
                               own.id.value(), own.client_port, config_.client.port));
        if (own.admin_port != 0 && own.admin_port != config_.admin.port)
            add(i, fmt::format("node {} is this one and has admin_port {}, but admin.port is {}: "
                               "make them equal",
                               own.id.value(), own.admin_port, config_.admin.port));
        if (!is_loopback(own.host) && !is_wildcard(own.host) && is_loopback(config_.peer.bind))
            problems_.push_back(
                {"peer.bind",
                 fmt::format("peer.bind: {} is loopback, but the other nodes are to reach this one "
                             "at {}; expected its address there, or \"0.0.0.0\"",
                             config_.peer.bind, own.host)});
    }

    const Config& config_;
    const std::vector<ClusterNode>& nodes_;
    std::vector<ConfigProblem>& problems_;
};

std::optional<std::uint16_t> parse_port(std::string_view text) noexcept {
    const auto number = parse_config_integer(text);
    if (!number || *number < 1 || *number > 65'535) return std::nullopt;
    return static_cast<std::uint16_t>(*number);
}

/// "2:10.0.0.2:7001:6379".
std::optional<ClusterNode> parse_peer(std::string_view text) {
    std::string_view parts[4];
    for (std::size_t i = 0; i < std::size(parts); ++i) {
        const std::size_t end = text.find(':');
        if ((end == text.npos) != (i == std::size(parts) - 1)) return std::nullopt;
        parts[i] = text.substr(0, end);
        text.remove_prefix(std::min(text.size(), parts[i].size() + 1));
    }
    const auto id = parse_config_integer(parts[0]);
    const auto peer_port = parse_port(parts[2]);
    const auto client_port = parse_port(parts[3]);
    const bool id_fits = id && *id >= 1 && *id <= 4'294'967'295;
    in_addr v4{};
    const std::string host(parts[1]);
    if (!id_fits || inet_pton(AF_INET, host.c_str(), &v4) != 1 || !peer_port || !client_port)
        return std::nullopt;
    return ClusterNode{.id = NodeId(static_cast<NodeId::Value>(*id)),
                       .host = host,
                       .peer_port = *peer_port,
                       .client_port = *client_port};
}

}  // namespace

void check_nodes(const Config& config, std::vector<ConfigProblem>& problems) {
    NodesCheck(config, problems).run();
}

std::vector<std::string> config_warnings(const Config& config) {
    std::vector<std::string> warnings;
    const std::size_t nodes = config.cluster.nodes.size();
    if (nodes > 1 && nodes % 2 == 0)
        warnings.push_back(fmt::format(
            "cluster.nodes: {} nodes survive the loss of {}, as {} would: an odd number is as safe "
            "with one node less",
            nodes, nodes / 2 - 1, nodes - 1));
    const auto own = std::ranges::find(config.cluster.nodes, config.node.id, &ClusterNode::id);
    if (nodes > 1 && own != config.cluster.nodes.end() && !is_loopback(own->host) &&
        is_loopback(config.client.bind))
        warnings.push_back(
            fmt::format("client.bind: {} is loopback, but the other nodes send clients to {}:{}",
                        config.client.bind, own->host, own->client_port));
    if (own != config.cluster.nodes.end() && own->admin_port != 0 && !is_loopback(own->host) &&
        is_loopback(config.admin.bind))
        warnings.push_back(
            fmt::format("admin.bind: {} is loopback, but the page of the cluster asks {}:{}",
                        config.admin.bind, own->host, own->admin_port));
    return warnings;
}

Status set_peers(Config& config, std::string_view peers) {
    std::vector<ClusterNode> nodes;
    while (!peers.empty()) {
        const std::string_view one = peers.substr(0, peers.find(','));
        peers.remove_prefix(std::min(peers.size(), one.size() + 1));
        auto peer = parse_peer(one);
        if (!peer)
            return fail(Errc::config,
                        fmt::format("{}: expected id:host:raft_port:client_port, the host as an "
                                    "IPv4 address, with a comma between nodes (IPv6: "
                                    "[[cluster.nodes]] of a file)",
                                    quoted(one)));
        nodes.push_back(*std::move(peer));
    }
    if (nodes.empty()) return {};
    if (std::ranges::find(nodes, config.node.id, &ClusterNode::id) == nodes.end()) {
        if (is_wildcard(config.client.bind))
            return fail(Errc::config,
                        fmt::format("the other nodes cannot reach this one at {}: give its own "
                                    "address with --host, or list it in --peers, too",
                                    config.client.bind));
        nodes.push_back({.id = config.node.id,
                         .host = config.client.bind,
                         .peer_port = config.peer.port,
                         .client_port = config.client.port});
    }
    std::ranges::sort(nodes, {}, &ClusterNode::id);
    config.cluster.nodes = std::move(nodes);
    config.cluster.leaders = Leaders::together;
    config.peer.bind = config.client.bind;
    return {};
}

}  // namespace kv
