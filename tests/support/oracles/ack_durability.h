#pragma once

/// Ack durability: what a client was told is done, and what a group holds for committed, is in the
/// durable images of a majority at that moment. Judged by the disks alone (DurableLog), for dead
/// nodes as well as for living ones: what a disk held when its node died it still holds.

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "io/sim/sim_partition.h"
#include "tests/support/oracles/durable_log.h"

namespace kv::sim {

class AckDurability {
public:
    /// `refresh`: reads the disk of a node into its log. It is called only when what was read
    /// before does not suffice.
    AckDurability(const io::SimNodes& nodes, std::map<NodeId, DurableLog>& logs,
                  std::function<void(NodeId)> refresh)
        : nodes_(nodes), logs_(logs), refresh_(std::move(refresh)) {}

    /// A client was told that this put, whose value is unique, is done.
    std::optional<std::string> acknowledged(std::string_view key, std::string_view value);
    /// A node holds this entry for committed.
    std::optional<std::string> committed(GroupId group, LogPosition position);
    /// A leader holds this entry, its own, for stored by that node.
    std::optional<std::string> matched(NodeId node, GroupId group, LogPosition position);
    std::uint64_t checks() const noexcept { return checks_; }

private:
    bool majority(const std::function<bool(const DurableLog&)>& holds);

    const io::SimNodes& nodes_;
    std::map<std::pair<NodeId, GroupId>, LogPosition> matched_;  ///< the last that was there
    std::map<NodeId, DurableLog>& logs_;
    std::function<void(NodeId)> refresh_;
    std::uint64_t checks_ = 0;
};

}  // namespace kv::sim
