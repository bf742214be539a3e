#pragma once

/// A network for each node of a cluster, and a router between them that can drop what one sends to
/// another, without a word and in one direction only. All of it is in network namespaces without
/// names: they end with the test and its servers, however those end. Needs root and Debian's
/// iproute2.
///
///     node i: 10.77.i+1.2/24  --  router: 10.77.i+1.1/24

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tests/system/cluster.h"

namespace kv::test {

class RoutedNetwork {
public:
    /// The thread that makes it is in the router's network as long as the object lives, and so is
    /// what it starts.
    explicit RoutedNetwork(std::size_t nodes);
    RoutedNetwork(const RoutedNetwork&) = delete;
    ~RoutedNetwork();

    /// Why this machine has no such network, and the object is of no use; empty: it is there.
    const std::string& refused() const noexcept { return refused_; }
    /// For Cluster::Setting. They refer to the object.
    std::vector<Cluster::Place> places() const;

    /// From now on nothing that `from` sends arrives at `to`. Expects that it is so, and that the
    /// other direction is as before.
    void cut(std::size_t from, std::size_t to);
    /// Everything arrives again.
    void heal();
    /// By what the router would do with a packet.
    bool passes(std::size_t from, std::size_t to) const;

private:
    static std::string host(std::size_t node);
    void make();
    void ip(int network, const std::string& commands);

    std::vector<int> networks_;  ///< of the nodes: descriptors
    int router_ = -1;
    int outside_ = -1;
    std::vector<std::string> rules_;  ///< what is dropped
    std::string refused_;
};

}  // namespace kv::test
