#include "tests/support/oracles/ack_durability.h"

#include <fmt/format.h>

namespace kv::sim {

bool AckDurability::majority(const std::function<bool(const DurableLog&)>& holds) {
    ++checks_;
    std::size_t holders = 0;
    for (const NodeId node : nodes_) {
        DurableLog& log = logs_[node];
        bool held = holds(log);
        if (!held) {
            refresh_(node);
            held = holds(log);
        }
        holders += held ? 1 : 0;
        if (holders > nodes_.size() / 2) return true;
    }
    return false;
}

std::optional<std::string> AckDurability::acknowledged(std::string_view key,
                                                       std::string_view value) {
    if (majority([&](const DurableLog& log) { return log.holds_put(key, value); }))
        return std::nullopt;
    return fmt::format("SET {} {} was acknowledged, but no majority of the disks holds it", key,
                       value.substr(0, 32));
}

std::optional<std::string> AckDurability::committed(GroupId group, LogPosition position) {
    if (majority([&](const DurableLog& log) { return log.holds(group, position); }))
        return std::nullopt;
    return fmt::format(
        "group {}: entry {} of term {} is committed, but no majority of the disks "
        "holds it",
        group.value(), position.index.value(), position.term.value());
}

std::optional<std::string> AckDurability::matched(NodeId node, GroupId group,
                                                  LogPosition position) {
    LogPosition& known = matched_[{node, group}];
    if (known == position) return std::nullopt;
    DurableLog& log = logs_[node];
    if (!log.holds(group, position)) refresh_(node);
    if (!log.holds(group, position)) {
        return fmt::format(
            "group {}: a leader counts entry {} of term {} as stored by n{}, whose "
            "disk does not hold it",
            group.value(), position.index.value(), position.term.value(), node.value());
    }
    known = position;
    return std::nullopt;
}

}  // namespace kv::sim
