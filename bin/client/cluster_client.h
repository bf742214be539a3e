#pragma once

/// A blocking client of all nodes of a cluster. It sends each request to the node that leads its
/// slot, goes where it is told to, and asks again what surely was not applied, for a bounded time.
/// A write of which nobody knows what became is never sent again. It waits by turning its reactor,
/// so it is for programs and tests, never for a server.
///
/// What has no slot (PING, KEYS, keys of several slots) goes to one node, the first that accepted;
/// so does everything as long as the server is not known to be one of several, and then what is
/// lost with the connection stays lost.
///
/// Requests of one batch for one slot take effect in their order: what was refused is not sent
/// again once something behind it had its turn, and what has no slot waits for all before it.

#include <functional>
#include <map>
#include <span>

#include "bin/client/client.h"
#include "bin/client/route.h"
#include "proto/shard_map.h"

namespace kv::client {

/// One request, and what came of it.
struct Exchange {
    std::string request;  ///< its bytes
    Route route;
    bool answered = false;
    Reply reply;                ///< once answered
    std::vector<Reply> pushes;  ///< that came before it (RESP3)

    // While it is not answered:
    bool sent = false;   ///< lost: a server may have got it
    Address go_to;       ///< where the last reply sends it; no port: nowhere
    bool begun = false;  ///< it was refused or lost, as `reply` says

    Exchange() = default;
    Exchange(Mode mode, std::string bytes)
        : request(std::move(bytes)), route(route_of(mode, request)) {}
};

struct ClusterOptions {
    /// To begin with, in the order to try them; not empty.
    std::vector<Address> nodes = {{"127.0.0.1", 6379}};
    Mode mode = Mode::text;
    bool resp3 = false;  ///< each connection begins with HELLO 3
    bool follow = true;  ///< false: talk to one node, and pass on what it says
    Duration connect_timeout = connect_timeout_default;
    Duration reply_timeout = 30s;  ///< without a byte arriving
    /// How long what was refused is asked again, at most every 5 ms.
    Duration patience = 5s;
};

class ClusterClient {
public:
    /// Connects to the first node that accepts. Errors: those of Client::connect() for the last;
    /// `no_protocol`, it refuses HELLO 3, in its words.
    static Result<std::unique_ptr<ClusterClient>> connect(io::Reactor& reactor,
                                                          ClusterOptions options);

    /// Asks who leads what, before anything was redirected. A server that does not say is taken for
    /// one that is alone.
    void learn();

    /// Asks `batch`, at most exchanges_max. `settled` gets each in the order of the batch, as soon
    /// as it and all before it are answered.
    /// Errors: those of Client::connect() and Client::call(): the only node that is known is gone,
    /// and what has not settled never will. In a cluster each gets an answer, if only that its node
    /// cannot be reached, or was lost and the outcome is unknown.
    using Settled = std::function<void(Exchange&)>;
    Status run(std::span<Exchange> batch, const Settled& settled);
    /// The same for one command given as words; the reply may be outcome_unknown().
    Result<Reply> call(std::span<const std::string_view> words);

    Mode mode() const noexcept { return options_.mode; }
    std::uint64_t next_request_id() noexcept { return ++request_id_; }
    /// Where what has no slot goes.
    const Address& home() const noexcept { return home_; }

    static constexpr std::size_t exchanges_max = 4096;

private:
    using Part = std::vector<Exchange*>;

    ClusterClient(io::Reactor& reactor, ClusterOptions options)
        : reactor_(reactor), options_(std::move(options)) {}

    Result<Client*> connection(const Address& address);
    Result<std::unique_ptr<Client>> open(const Address& address);
    ClientOptions client_options(const Address& address, Mode mode) const;
    void leave_home();
    void refresh();
    void know(const Address& address);
    bool in_cluster() const noexcept;
    Address target(const Exchange& exchange) const;
    void ask_all(std::span<Exchange> batch);
    void ask(const Address& address, const Part& part);
    void take(Exchange& exchange, Reply reply);
    void lose(const Address& address, const Error& error, std::span<Exchange* const> part,
              bool sent);
    void emit();

    io::Reactor& reactor_;
    ClusterOptions options_;
    Address home_;
    std::vector<Address> nodes_;  // all that are known; at most twice those of a cluster
    std::size_t next_asked_ = 0;  // for the map
    ShardMap map_;                // without shards: none
    bool stale_ = false;          // the map is to be asked for before the next batch
    std::map<std::string, std::unique_ptr<Client>> clients_;  // by address
    std::optional<Error> error_;                              // the last loss
    std::uint64_t request_id_ = 0;
    std::span<Exchange> unsettled_;  // of run()
    const Settled* settled_ = nullptr;
};

}  // namespace kv::client
