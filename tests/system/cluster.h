#pragma once

/// Several real kv-servers that form a cluster, on loopback or each in a network of its own, and
/// clients that follow its leaders.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/temporary_directory.h"
#include "tests/support/wire.h"
#include "tests/system/server.h"

namespace kv::test {

class Cluster {
public:
    struct Place {
        std::string host;             ///< its address
        std::function<void()> enter;  ///< called in the process of the node before it begins
    };
    struct Setting {
        std::size_t nodes = 3;
        std::size_t shards = 4;
        bool by_flags = false;           ///< --peers, where a file has [[cluster.nodes]]
        bool admin = false;              ///< with admin ports; not by flags
        Args more = {};                  ///< for each node
        std::vector<Place> places = {};  ///< of each node; none: all on loopback
    };

    /// Starts nothing. Node i has the id i + 1.
    explicit Cluster(Setting setting);

    void start(std::size_t node, const Args& more = {});
    /// Starts all, and waits until every shard has a leader.
    bool start_all();
    bool runs(std::size_t node) const noexcept { return servers_[node] != nullptr; }
    Server& at(std::size_t node) noexcept { return *servers_[node]; }
    void kill(std::size_t node);
    /// SIGTERM: expects a clean end.
    void stop(std::size_t node);

    Address address(std::size_t node) const { return {host(node), ports_[node].client}; }
    std::uint16_t port(std::size_t node) const noexcept { return ports_[node].client; }
    std::uint16_t peer_port(std::size_t node) const noexcept { return ports_[node].peer; }
    std::uint16_t admin_port(std::size_t node) const noexcept { return ports_[node].admin; }
    std::vector<Address> addresses() const;
    std::vector<std::uint16_t> client_ports() const;
    std::string directory(std::size_t node) const;
    std::size_t size() const noexcept { return ports_.size(); }
    std::string logs();

    /// Of one node: the lines of a section, "name:value". Empty: it does not answer.
    std::map<std::string, std::string> info(std::size_t node, std::string_view section) const;
    /// A field of "shardN:role=leader,term=3,...".
    std::uint64_t shard_field(std::size_t node, std::size_t shard, std::string_view name) const;
    /// Waits until the nodes that run agree on a leader of every shard.
    bool wait_for_leaders();
    /// Waits until `node` has applied all that was committed anywhere when this was called.
    bool wait_until_caught_up(std::size_t node);
    /// The node that leads `shard`, as `node` sees it; size() when it knows of none.
    std::size_t leader_of(std::size_t shard, std::size_t node) const;

private:
    struct Ports {
        std::uint16_t client;
        std::uint16_t peer;
        std::uint16_t admin;  ///< 0: it has none
    };
    std::string host(std::size_t node) const;
    Args arguments(std::size_t node) const;
    std::string nodes_as_toml() const;

    Setting setting_;
    TemporaryDirectory scratch_;
    std::vector<Ports> ports_;
    std::vector<std::unique_ptr<Server>> servers_;
};

/// Polls until `done()`, with a deadline. False: it never was.
template <typename Done>
bool eventually(Done done) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

/// A client that goes where it is sent, one request at a time: lines of text, or of RESP when they
/// end in CRLF.
class LeaderClient {
public:
    explicit LeaderClient(std::vector<std::uint16_t> ports) : ports_(std::move(ports)) {}

    /// The reply of the leader, which is one line. What was surely not carried out is sent again,
    /// elsewhere. Empty: nobody knows what became of the request; with `repeat` it is sent again
    /// then, too.
    std::string ask(std::string_view request, bool repeat);
    std::uint64_t redirects() const noexcept { return redirects_; }

private:
    Wire& wire();
    void elsewhere();
    bool go_to(std::string_view address);

    std::vector<std::uint16_t> ports_;
    std::map<std::size_t, Wire> wires_;
    std::size_t at_ = 0;
    std::uint64_t redirects_ = 0;
};

}  // namespace kv::test
