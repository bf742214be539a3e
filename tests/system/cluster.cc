#include "tests/system/cluster.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

namespace kv::test {

namespace {

/// Below those that the system gives to clients: one of them would take the port of a node that is
/// down, or an attempt to reach it would connect to itself.
constexpr std::uint16_t first_port = 12'000;
constexpr std::uint16_t end_port = 30'000;

bool is_free(std::uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    return bound;
}

/// Each a different one.
std::uint16_t next_port() {
    constexpr int ports = end_port - first_port;
    static int next = getpid() * 64 % ports;
    while (true) {
        next = (next + 1) % ports;
        const auto port = static_cast<std::uint16_t>(first_port + next);
        if (is_free(port)) return port;
    }
}

std::uint64_t number(std::string_view text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

}  // namespace

// --- nodes ---------------------------------------------------------------------------------------

Cluster::Cluster(Setting setting) : setting_(std::move(setting)), servers_(setting_.nodes) {
    for (std::size_t i = 0; i < setting_.nodes; ++i) {
        ports_.push_back({next_port(), next_port(), 0});
        if (setting_.admin) ports_.back().admin = next_port();
    }
}

std::string Cluster::directory(std::size_t node) const {
    return scratch_ / fmt::format("node{}", node + 1);
}

std::vector<std::uint16_t> Cluster::client_ports() const {
    std::vector<std::uint16_t> ports;
    for (const Ports& one : ports_) ports.push_back(one.client);
    return ports;
}

std::vector<Address> Cluster::addresses() const {
    std::vector<Address> out;
    for (std::size_t i = 0; i < size(); ++i) out.push_back(address(i));
    return out;
}

std::string Cluster::host(std::size_t node) const {
    return setting_.places.empty() ? "127.0.0.1" : setting_.places[node].host;
}

std::string Cluster::nodes_as_toml() const {
    std::string out;
    for (std::size_t i = 0; i < ports_.size(); ++i) {
        out += fmt::format(
            "[[cluster.nodes]]\nid = {}\nhost = \"{}\"\npeer_port = {}\nclient_port = {}\n"
            "admin_port = {}\n",
            i + 1, host(i), ports_[i].peer, ports_[i].client, ports_[i].admin);
    }
    return out;
}

Args Cluster::arguments(std::size_t node) const {
    Args args{"--id", std::to_string(node + 1), "--raft-port", std::to_string(ports_[node].peer),
              "--client-port", std::to_string(ports_[node].client), "--set",
              fmt::format("cluster.shards={}", setting_.shards),
              // Not bound to CPUs: nodes share them with each other and with the load.
              "--set", "reactor.cpus=none", "--set", fmt::format("reactor.cores={}", 1 + node % 2)};
    if (setting_.by_flags) {
        std::string peers;
        for (std::size_t i = 0; i < ports_.size(); ++i) {
            if (i == node) continue;
            peers += fmt::format("{}{}:127.0.0.1:{}:{}", peers.empty() ? "" : ",", i + 1,
                                 ports_[i].peer, ports_[i].client);
        }
        args.insert(args.end(), {"--peers", peers});
    } else {
        const std::string file = scratch_ / fmt::format("node{}.toml", node + 1);
        std::ofstream(file) << fmt::format(
            "[node]\nid = {0}\n[client]\nbind = \"{1}\"\nport = {2}\n"
            "[peer]\nbind = \"{1}\"\nport = {3}\ninsecure = {4}\n[admin]\nport = {5}\n{6}",
            node + 1, host(node), ports_[node].client, ports_[node].peer, !setting_.places.empty(),
            ports_[node].admin, nodes_as_toml());
        args.insert(args.end(), {"--config", file});
    }
    args.insert(args.end(), setting_.more.begin(), setting_.more.end());
    return args;
}

void Cluster::start(std::size_t node, const Args& more) {
    Args args = arguments(node);
    args.insert(args.end(), more.begin(), more.end());
    RunningProgram::Setting setting;
    if (!setting_.places.empty()) setting.in_child = setting_.places[node].enter;
    servers_[node] = std::make_unique<Server>(directory(node), args, setting);
}

bool Cluster::start_all() {
    for (std::size_t i = 0; i < size(); ++i) start(i);
    for (const auto& server : servers_) {
        if (!server->ready()) return false;
    }
    return wait_for_leaders();
}

void Cluster::kill(std::size_t node) {
    servers_[node]->kill();
    servers_[node].reset();
}

void Cluster::stop(std::size_t node) {
    EXPECT_EQ(servers_[node]->stop(), 0) << servers_[node]->process().log();
    servers_[node].reset();
}

std::string Cluster::logs() {
    std::string out;
    for (const auto& server : servers_) {
        if (server) out += server->process().log();
    }
    return out;
}

// --- what they say of themselves -----------------------------------------------------------------

std::map<std::string, std::string> Cluster::info(std::size_t node, std::string_view section) const {
    std::map<std::string, std::string> lines;
    Wire wire(address(node));
    if (!wire.connected()) return lines;
    const std::string head = wire.ask(fmt::format("INFO {}\r\n", section), "\r\n");
    if (!head.starts_with('$')) return lines;
    const std::string text = wire.receive(number(std::string_view(head).substr(1)));
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find("\r\n", at), text.size());
        const std::string line = text.substr(at, end - at);
        const std::size_t colon = line.find(':');
        if (colon != line.npos) lines[line.substr(0, colon)] = line.substr(colon + 1);
        at = end + 2;
    }
    return lines;
}

namespace {

std::string field_of(const std::map<std::string, std::string>& raft, std::size_t shard,
                     std::string_view name) {
    const auto line = raft.find(fmt::format("shard{}", shard));
    if (line == raft.end()) return {};
    const std::string wanted = fmt::format(",{}=", name);
    const std::string text = "," + line->second;
    const std::size_t at = text.find(wanted);
    if (at == text.npos) return {};
    const std::size_t from = at + wanted.size();
    return text.substr(from, text.find(',', from) - from);
}

}  // namespace

std::uint64_t Cluster::shard_field(std::size_t node, std::size_t shard,
                                   std::string_view name) const {
    return number(field_of(info(node, "raft"), shard, name));
}

std::size_t Cluster::leader_of(std::size_t shard, std::size_t node) const {
    const std::uint64_t id = shard_field(node, shard, "leader");
    return id == 0 ? size() : id - 1;
}

bool Cluster::wait_for_leaders() {
    const auto agreed = [&] {
        std::size_t led = 0;
        for (std::size_t i = 0; i < size(); ++i) {
            if (!runs(i)) continue;
            auto cluster = info(i, "cluster");
            if (cluster["cluster_shards_without_leader"] != "0") return false;
            led += number(cluster["cluster_shards_led"]);
        }
        return led == setting_.shards;
    };
    const bool done = eventually(agreed);
    EXPECT_TRUE(done) << logs();
    return done;
}

bool Cluster::wait_until_caught_up(std::size_t node) {
    std::vector<std::uint64_t> wanted(setting_.shards);
    for (std::size_t i = 0; i < size(); ++i) {
        if (!runs(i)) continue;
        const auto raft = info(i, "raft");
        for (std::size_t shard = 0; shard < wanted.size(); ++shard) {
            const std::uint64_t commit = number(field_of(raft, shard, "commit_index"));
            wanted[shard] = std::max(wanted[shard], commit);
        }
    }
    const auto applied = [&] {
        const auto raft = info(node, "raft");
        for (std::size_t shard = 0; shard < wanted.size(); ++shard) {
            if (number(field_of(raft, shard, "applied_index")) < wanted[shard]) return false;
        }
        return true;
    };
    const bool done = eventually(applied);
    EXPECT_TRUE(done) << logs();
    return done;
}

// --- clients -------------------------------------------------------------------------------------

Wire& LeaderClient::wire() {
    const auto known = wires_.find(at_);
    if (known != wires_.end()) return known->second;
    return wires_.emplace(at_, Wire(ports_[at_])).first->second;
}

void LeaderClient::elsewhere() {
    at_ = (at_ + 1) % ports_.size();
    // Nobody may lead for a while, and the machine has better things to do than to say so.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

bool LeaderClient::go_to(std::string_view address) {
    const std::uint64_t port = number(address.substr(address.rfind(':') + 1));
    const auto there = std::ranges::find(ports_, port);
    if (there == ports_.end()) return false;
    at_ = static_cast<std::size_t>(there - ports_.begin());
    ++redirects_;
    return true;
}

std::string LeaderClient::ask(std::string_view request, bool repeat) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < deadline) {
        Wire& here = wire();
        if (!here.connected()) {
            wires_.erase(at_);
            elsewhere();
            continue;
        }
        const std::string reply = here.ask(request);
        if (!reply.ends_with('\n')) {  // the node is gone
            wires_.erase(at_);
            elsewhere();
            if (!repeat) return {};
        } else if (reply.starts_with("REDIRECT ") || reply.starts_with("-MOVED ")) {
            if (!go_to(reply)) elsewhere();
        } else if (reply.starts_with("ERROR no leader") || reply.starts_with("-CLUSTERDOWN ") ||
                   contains(reply, "try again")) {
            elsewhere();
        } else if (contains(reply, "outcome unknown")) {
            if (!repeat) return {};
        } else {
            return reply;
        }
    }
    return "no answer in time";
}

}  // namespace kv::test
