#pragma once

/// Node: one kv-server process, or one simulated node: opens the data directory, recovers, serves,
/// and stops in reverse. Owner core only.

#include <memory>
#include <optional>

#include "engine/node/config.h"
#include "engine/node/data_directory.h"
#include "engine/node/server.h"
#include "engine/replica/replica_set.h"
#include "io/reactor.h"

namespace kv {

struct StartReport {
    wal::RecoveryReport recovery;
    Duration recovery_time{};
    std::uint64_t keys = 0;
    std::uint64_t boot = 0;
    bool created = false;
};

class Node final : private FailureHandler {
public:
    /// `config` has been checked.
    Node(io::Reactor& reactor, Config config, std::uint64_t process_id = 0);
    ~Node();

    /// Everything up to accepting clients. Errors, each one sentence: `damaged`, `foreign`,
    /// `locked`, `no_space`, `io`.
    io::Task<Result<StartReport>> start();
    /// Finishes what is in flight and stops the log cleanly.
    io::Task<void> stop();

    /// Why the node must end at once: its log has failed. The reactor is stopped then.
    const std::optional<Error>& failure() const noexcept { return failure_; }
    const io::Endpoint& endpoint() const noexcept { return server_->endpoint(); }
    const DataDirectory& directory() const noexcept { return directory_; }
    ReplicaSet& replicas() noexcept { return *replicas_; }
    Server& server() noexcept { return *server_; }

private:
    void on_storage_failed(const Error& error) noexcept override;
    ReplicaSetOptions replica_set_options() const;

    io::Reactor& reactor_;
    const Config config_;
    const std::uint64_t process_id_;
    DataDirectory directory_;
    std::unique_ptr<ReplicaSet> replicas_;
    std::unique_ptr<Server> server_;
    std::optional<Error> failure_;
};

}  // namespace kv
