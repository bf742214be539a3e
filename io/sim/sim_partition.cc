#include "io/sim/sim_partition.h"

#include <algorithm>

namespace kv::io {

SimPairs one_way(const SimNodes& from, const SimNodes& to) {
    SimPairs out;
    for (const NodeId a : from) {
        for (const NodeId b : to) {
            if (a != b) out.push_back({a, b});
        }
    }
    return out;
}

SimPairs split(const SimNodes& left, const SimNodes& right) {
    SimPairs out = one_way(left, right);
    const SimPairs back = one_way(right, left);
    out.insert(out.end(), back.begin(), back.end());
    return out;
}

SimNodes all_but(const SimNodes& nodes, const SimNodes& others) {
    SimNodes out;
    for (const NodeId node : nodes) {
        if (std::find(others.begin(), others.end(), node) == others.end()) out.push_back(node);
    }
    return out;
}

SimPairs isolate(const SimNodes& nodes, const SimNodes& alone) {
    return split(alone, all_but(nodes, alone));
}

SimPairs bridge(const SimNodes& nodes, NodeId middle) {
    const SimNodes others = all_but(nodes, {middle});
    const auto half = others.begin() + static_cast<std::ptrdiff_t>(others.size() / 2);
    return split(SimNodes(others.begin(), half), SimNodes(half, others.end()));
}

SimPairs ring(const SimNodes& nodes) {
    SimPairs out;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        for (std::size_t j = 0; j < nodes.size(); ++j) {
            const std::size_t apart = (j + nodes.size() - i) % nodes.size();
            if (apart > 1 && apart + 1 < nodes.size()) out.push_back({nodes[i], nodes[j]});
        }
    }
    return out;
}

}  // namespace kv::io
