#pragma once

/// What the connections of one core share. Made and owned by the Node; owner core only.

#include <array>
#include <cstdint>
#include <string>

#include "engine/node/config.h"
#include "engine/replica/replica_set.h"
#include "io/reactor.h"
#include "proto/command.h"
#include "proto/reply.h"

namespace kv {

class Connection;

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
};

/// A request that waits for its batch to be whole, with what was looked up for it.
struct PendingRequest {
    Request request;
    std::array<std::string_view, 2> args;
    std::uint64_t hash = 0;
    ShardId shard;
};

/// Requests of one connection that were parsed together, so that the memory they touch is fetched
/// together. Gathered and executed within one call: a core has one.
struct RequestBatch {
    /// Requests between the fetch of a bucket and the fetch of the block that it refers to.
    static constexpr std::size_t ahead = 8;
    std::array<PendingRequest, 32> requests;
    std::size_t size = 0;
};

class Services {
public:
    io::Reactor& reactor;
    const Config& config;
    ReplicaSet& replicas;
    RequestLimits limits;
    Counters counters;
    RequestBatch batch;
    bool stopping = false;  ///< no new request is begun

    /// `connection` has replies to collect or to send: it is looked at when the turn ends.
    virtual void mark(Connection& connection) noexcept = 0;
    /// The connection is closed; it is destroyed when it is gone().
    virtual void on_gone(Connection& connection) noexcept = 0;
    /// INFO: the sections whose names are in `sections`, all when there are none.
    virtual std::string info(std::span<const std::string_view> sections) = 0;
    virtual void answer_command(std::span<const std::string_view> args, ReplyWriter& reply) = 0;
    virtual void answer_config_get(std::span<const std::string_view> patterns,
                                   ReplyWriter& reply) = 0;

protected:
    Services(io::Reactor& r, const Config& c, ReplicaSet& set)
        : reactor(r), config(c), replicas(set) {
        limits.value_bytes_max = c.limits.value_bytes_max;
        limits.request_bytes_max = c.limits.request_bytes_max;
    }
    ~Services() = default;
};

}  // namespace kv
