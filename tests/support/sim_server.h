#pragma once

/// A simulated world with one server node and one node for its clients. The server can be stopped,
/// crashed and started again on its disk.

#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "engine/node/node.h"
#include "io/sim/sim_process.h"
#include "tests/support/sim_client.h"

namespace kv {

/// Small segments and values, four shards, an address other nodes reach.
Config small_config();

/// `count`, or a tenth of it when KV_TEST_SANITIZED is set, but at least one.
std::uint64_t scaled(std::uint64_t count);

/// What the environment says, e.g. how many seeds to run.
std::uint64_t number_in(const char* variable, std::uint64_t otherwise);

class SimServer {
public:
    static constexpr NodeId server_node{1};
    static constexpr NodeId client_node{2};

    explicit SimServer(std::uint64_t seed, Config config = small_config(),
                       const io::SimKnobs& knobs = {}, std::uint16_t cores = 1);
    ~SimServer();

    /// Starts a process and the node in it. The report, or the error; the process runs either way.
    Result<StartReport> start();
    /// The same in two steps: between them the world can run while the node loads.
    void begin_start();
    bool started() const noexcept { return report_.has_value(); }
    Result<StartReport> finish_start();
    /// An orderly stop, and the end of the process.
    void stop(Duration limit = 60s);
    /// The end of the process, whatever it was doing.
    void crash(io::Crash kind = io::Crash::process);
    bool running() const noexcept { return node_ != nullptr; }

    std::unique_ptr<SimClient> connect();
    /// A short-lived client: sends, and expects exactly `reply`.
    void expect(std::string_view request, std::string_view reply);

    Node& node() noexcept { return *node_; }
    Server& server(std::size_t core = 0) noexcept { return node_->server(core); }
    io::SimProcess& process() noexcept { return *process_; }
    io::SimProcess& clients() noexcept { return clients_; }
    io::SimDisk& disk() { return world.disk(server_node); }
    /// The value of an INFO field; empty: there is no such field.
    std::string info(std::string_view field);

    io::SimWorld world;
    Config config;
    std::uint16_t cores;  ///< of the next process

private:
    void make_node();
    Result<StartReport> report() const;
    static io::Task<void> start_node(Node* node, std::optional<Result<StartReport>>* report);
    static io::Task<void> stop_node(Node* node);
    static io::SimWorld& with_nodes(io::SimWorld& world);

    io::SimProcess clients_;
    std::unique_ptr<io::SimProcess> process_;
    std::unique_ptr<Node> node_;
    std::optional<Result<StartReport>> report_;  ///< of the start that is under way
};

}  // namespace kv
