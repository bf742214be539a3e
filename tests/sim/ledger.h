#pragma once

/// Ledger: what one client asked a node to write, what of it was acknowledged, and whether a
/// recovered node agrees. The client sends all its requests on one connection, so the writes to a
/// shard have one order, and the node must hold the effects of a prefix of them that reaches at
/// least to the last acknowledged one: nothing acknowledged is lost, nothing is invented, nothing
/// is reordered.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/node/node.h"

namespace kv::sim {

struct Write {
    std::string key;
    std::optional<std::string> value;  ///< nothing: DEL
    bool acknowledged = false;
};

class Ledger {
public:
    explicit Ledger(std::uint16_t shards) : placement_(shards), writes_(shards) {}

    /// Notes a request that is about to be sent; returns its number.
    std::size_t send(std::string key, std::optional<std::string> value);
    void acknowledge(std::size_t number);

    /// What is wrong with what `node` recovered; empty: nothing. What was recovered becomes the
    /// past: writes that did not make it are forgotten.
    std::string check(const Node& node);

    std::size_t acknowledged() const noexcept { return acknowledged_; }
    std::size_t sent() const noexcept { return places_.size(); }

private:
    using Content = std::map<std::string, std::string>;
    struct Place {
        std::uint16_t shard;
        std::size_t position;
    };
    std::string check_shard(std::uint16_t shard, const Store& store);

    Placement placement_;
    std::vector<std::vector<Write>> writes_;  ///< by shard, since the last check
    std::vector<Content> settled_ = std::vector<Content>(writes_.size());  ///< at the last check
    std::vector<Place> places_;
    std::size_t acknowledged_ = 0;
};

}  // namespace kv::sim
