#pragma once

/// Node: one kv-server process, or one simulated node: opens the data directory, makes a part for
/// each core, recovers on all of them at once, serves, and stops in reverse. It lives on the first
/// core and reaches the others by calls; what it says of the shards of all cores (keys, digest,
/// store) is for when nothing turns, and for the simulator.

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/node/acceptor.h"
#include "engine/node/admin_pages.h"
#include "engine/node/admin_server.h"
#include "engine/node/config.h"
#include "engine/node/data_directory.h"
#include "engine/node/peers.h"
#include "engine/node/server.h"
#include "engine/replica/core_change.h"
#include "engine/replica/replica_set.h"
#include "io/call.h"
#include "io/event.h"
#include "io/reactor.h"
#include "io/semaphore.h"

namespace kv {

struct StartReport {
    wal::RecoveryReport recovery;  ///< of all cores together
    Duration recovery_time{};
    std::uint64_t keys = 0;
    std::uint64_t boot = 0;
    bool created = false;
};

class Node final : private io::MessageReceiver {
public:
    /// `reactors`: by core. `config` has been checked.
    Node(std::span<io::Reactor* const> reactors, Config config, std::uint64_t process_id = 0);
    /// Once no reactor turns any more.
    ~Node();

    /// Everything up to serving clients. They are accepted before the data are read, and told that
    /// the node is loading. Errors, each one sentence: `damaged`, `foreign`, `locked`, `no_space`,
    /// `io`; no client is left then.
    io::Task<Result<StartReport>> start();
    /// Finishes what is in flight and stops the logs cleanly.
    io::Task<void> stop();

    /// Why the node must end at once: a log has failed. The first reactor is stopped then.
    const std::optional<Error>& failure() const noexcept { return failure_; }
    const io::Endpoint& endpoint() const noexcept { return acceptor_->endpoint(); }
    /// Of the admin port; port 0: there is none.
    io::Endpoint admin_endpoint() const noexcept {
        return admin_ ? admin_->server.endpoint() : io::Endpoint();
    }
    /// endpoint() is known: clients are accepted.
    bool listening() const noexcept { return acceptor_ && acceptor_->endpoint().port != 0; }
    const DataDirectory& directory() const noexcept { return directory_; }
    std::size_t cores() const noexcept { return parts_.size(); }
    ReplicaSet& replicas(std::size_t core = 0) noexcept { return *parts_[core]->replicas; }
    const Peers* peers(std::size_t core = 0) const noexcept { return parts_[core]->peers.get(); }
    Server& server(std::size_t core = 0) noexcept { return *parts_[core]->server; }

    std::uint16_t shards() const noexcept { return parts_.front()->replicas->shards(); }
    const Store& store(ShardId shard) const noexcept;
    std::uint64_t keys() const noexcept;
    /// INFO with `sections`.
    std::string info(std::span<const std::string_view> sections);
    /// Of all stores together. O(n).
    std::uint64_t digest() const noexcept;

private:
    // Messages to the first core.
    static constexpr std::uint32_t failed_kind =
        Server::first_free_kind;  ///< the log of a core has
    static constexpr Duration progress_period = 1s;
    static constexpr std::uint32_t permit_kind =
        failed_kind + 1;  ///< to write a snapshot: returned

    /// What lives on one core.
    struct Part final : FailureHandler, SnapshotPermit {
        Part(Node& n, io::Reactor& r) noexcept : node(n), reactor(r) {}
        void on_storage_failed(const Error& error) noexcept override;
        // The permit is the first core's to give.
        io::Task<void> take() override;
        void give() override;

        Node& node;
        io::Reactor& reactor;
        std::unique_ptr<ReplicaSet> replicas;
        std::unique_ptr<Server> server;
        std::unique_ptr<Peers> peers;  ///< null: this node is alone
        std::optional<Result<wal::RecoveryReport>> recovered;
        std::optional<Error> failure;
    };

    void on_message(CoreId from, const io::Message& message) noexcept override;
    void on_failed(const Error& error) noexcept;
    io::Task<void> take_permit();
    wal::WalOptions wal_options(std::size_t core) const;
    ReplicaSetOptions replica_set_options(std::size_t core);
    ServerFacts server_facts();
    io::Task<Status> bring_into_generation();
    io::Task<Status> join_cluster();
    io::Task<Status> make_parts();
    io::Task<Result<StartReport>> open();
    io::Task<Status> open_admin();
    io::Task<void> close_admin();
    io::Task<Status> listen();
    io::Task<Status> recover();
    void progress_due();
    io::Task<void> tell_progress();
    io::Task<void> serve();
    io::Task<void> recover_part(Part* part);
    io::Task<void> stop_server(Part* part);
    io::Task<void> stop_replicas(Part* part);
    io::Task<void> hand_over(Part* part);
    io::Task<void> stop_peers(Part* part);
    io::Task<void> for_all(io::Task<void> (Node::*work)(Part*));
    io::Task<void> run_one(io::Task<void> (Node::*work)(Part*), Part* part);

    io::Reactor& reactor_;  ///< of the first core
    const Config config_;
    const std::uint64_t process_id_;
    DataDirectory directory_;
    NodeMemory memory_;
    RssWatch rss_watch_;
    std::unique_ptr<CoreChange> change_;        ///< after it has failed: it may be at work still
    std::vector<std::unique_ptr<Part>> parts_;  ///< by core
    std::unique_ptr<Acceptor> acceptor_;
    /// The admin port, if the configuration has one.
    struct Admin {
        Admin(io::Reactor& reactor, const Config& config)
            : pulse(reactor), pages(reactor, config, pulse), server(reactor, config, pages) {}
        Pulse pulse;
        AdminPages pages;
        AdminServer server;
    };
    std::unique_ptr<Admin> admin_;
    std::optional<Error> failure_;
    io::Semaphore permits_;      ///< to write a snapshot: one at a time on a node
    std::size_t under_way_ = 0;  ///< of what for_all() waits for
    io::Event finished_one_;
    struct ProgressTimer : io::Timer {
        explicit ProgressTimer(Node& n) noexcept
            : Timer([](io::Timer& t) noexcept {
                  static_cast<ProgressTimer&>(t).node.progress_due();
              }),
              node(n) {}
        Node& node;
    };
    ProgressTimer progress_timer_{*this};  ///< says in the log how loading goes
    Instant loading_since_;
};

}  // namespace kv
