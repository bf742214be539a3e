#pragma once

/// What the connections of one core share. Made and owned by the Node; owner core only.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/node/command_times.h"
#include "engine/node/config.h"
#include "engine/node/forward.h"
#include "engine/node/memory.h"
#include "engine/node/read_gate.h"
#include "engine/node/slowlog.h"
#include "engine/replica/replica_set.h"
#include "io/reactor.h"
#include "proto/base/prng.h"
#include "proto/command.h"
#include "proto/reply.h"

namespace kv {

class Connection;
class Router;
struct ClientFilter;
struct ClientInfo;
struct CoreFacts;
struct NodeFacts;

struct Counters {
    std::uint64_t connections_received = 0;
    std::uint64_t connections_rejected = 0;
    std::uint64_t connections_stalled = 0;
    std::uint64_t requests = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t sends = 0;
    std::uint64_t timeouts = 0;
    std::array<std::uint64_t, static_cast<std::size_t>(verb_last) + 1> calls{};  ///< by verb
};

/// Where a key belongs.
struct KeyPlace {
    SlotId slot;
    ShardId shard;
};

/// A request that waits for its batch to be whole, with what was looked up for it.
struct PendingRequest {
    Request request;
    std::array<std::string_view, 2> args;
    std::uint64_t hash = 0;
    KeyPlace place;
};

/// Requests of one connection that were parsed together, so that the memory they touch is fetched
/// together. Gathered and executed within one call: a core has one.
struct RequestBatch {
    /// Requests between the fetch of a bucket and the fetch of the block that it refers to.
    static constexpr std::size_t ahead = 8;
    std::array<PendingRequest, 32> requests;
    std::size_t size = 0;
    std::size_t expected_bytes = 0;  ///< of the values that other cores will be asked for
};

/// Whether SLOWLOG keeps a command that took this long.
inline bool is_slow(Duration took, const Config& config) noexcept {
    const std::int64_t bound_us = config.slowlog.slower_than_us;
    return bound_us >= 0 && took.count() >= bound_us * 1000;
}

class Services {
public:
    io::Reactor& reactor;
    Config settings;  ///< of this core; CONFIG SET changes all of them alike
    const Config& config = settings;
    ReplicaSet& replicas;  ///< of this core
    Router& router;        ///< to those of other cores
    ReadGate gate;         ///< to whole shards of this core
    Forwarder forwarder;   ///< to the leaders elsewhere; the node connects it
    NodeMemory& memory;    ///< of all cores
    RequestLimits limits;
    Counters counters;
    CommandTimes times;
    SlowLog slowlog;
    /// Commands that the slow log still takes in this turn. When everything is slow, because the
    /// disk is, noting every command would make it slower yet.
    std::uint32_t slow_notes_left = slow_notes_per_turn;
    static constexpr std::uint32_t slow_notes_per_turn = 4;
    RequestBatch batch;
    Prng prng;  ///< seeded by the backend
    std::uint64_t clients_begun = 0;
    bool loading = true;    ///< the replicas of some core are not recovered: they are not touched
    bool stopping = false;  ///< no new request is begun
    /// Of all cores, by core; set by the Node. Another's is touched in a call on its core only.
    std::vector<Services*> of_core;
    Services& on(CoreId core) noexcept { return *of_core[core.value()]; }

    /// Unique among all cores of the node.
    std::uint64_t new_client_id() noexcept {
        return clients_begun++ * reactor.mailboxes().cores() + reactor.core().value() + 1;
    }

    /// `connection` has replies to collect or to send: it is looked at when the turn ends.
    virtual void mark(Connection& connection) noexcept = 0;
    /// The connection is closed; it is destroyed when it is gone().
    virtual void on_gone(Connection& connection) noexcept = 0;
    /// Commands of class node that one core can answer alone.
    virtual void answer_node(const Request& request, Connection& asker, ReplyWriter& reply) = 0;

    // This core's part of the others: they visit all cores (connection_node.cc).
    virtual NodeFacts node_facts() = 0;
    virtual CoreFacts core_facts() = 0;
    /// Those that match, behind what `out` holds.
    virtual void list_clients(const ClientFilter& filter, std::vector<ClientInfo>& out) = 0;
    /// Closes those that match, but not `asker`, and returns how many match.
    virtual std::int64_t kill_clients(const ClientFilter& filter, const Connection& asker,
                                      std::uint64_t asker_id) = 0;
    virtual void apply_settings(const Config& changed) = 0;
    virtual void reset_statistics() = 0;

protected:
    Services(io::Reactor& r, const Config& c, ReplicaSet& set, Router& to_others, NodeMemory& m)
        : reactor(r),
          settings(c),
          replicas(set),
          router(to_others),
          gate(r, set),
          forwarder(r, set),
          memory(m),
          prng(seed_from(r)) {
        limits.value_bytes_max = c.limits.value_bytes_max;
        limits.request_bytes_max = c.limits.request_bytes_max;
    }
    ~Services() = default;

private:
    static std::uint64_t seed_from(io::Reactor& reactor) noexcept {
        std::array<std::byte, 8> bytes;
        reactor.backend().fill_entropy(bytes);
        return load_le<std::uint64_t>(bytes.data());
    }
};

}  // namespace kv
