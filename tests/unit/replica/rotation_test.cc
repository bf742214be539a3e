/// A segment ends while the disk is behind: what the next one repeats must not be ahead of what
/// still waits for its turn.

#include <gtest/gtest.h>

#include "proto/base/prng.h"
#include "proto/raft/message_codec.h"
#include "tests/support/replica_cluster.h"

namespace kv {
namespace {

const NodeId leader_node(2);
constexpr GroupId group(1);

/// From the leader of `term`: one entry of `bytes` behind `previous`.
std::string append(Term term, LogPosition previous, std::size_t bytes) {
    std::string entry(entry_header_bytes + bytes, 'x');
    entry.replace(entry_header_bytes, bytes, bytes, '\0');
    seal_entry(std::as_writable_bytes(std::span(entry)), group, term, previous.index.next(), 1,
               bytes == 0 ? EntryKind::noop : EntryKind::commands);
    AppendRequest request;
    request.previous = previous;
    request.entries.push_back(as_bytes(entry));
    std::string out;
    encode_message({group, leader_node, NodeId(1), term, 1, 1, std::move(request)}, out);
    return out;
}

/// A term a turn, and a disk that takes fifty turns for a write.
TEST(Rotation, RepeatsNoStateThatIsAheadOfOneThatWaits) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        Prng prng = Prng::split(seed, "rotation");
        ReplicaCluster::Options options;
        options.seed = seed;
        options.knobs.disk.sync = {50ms, 60ms};
        ReplicaCluster cluster(options);
        cluster.start(0);
        ReplicaNode& node = cluster.node(0);
        ASSERT_TRUE(cluster.run_until([&] { return node.opened().has_value(); }));
        LogPosition last{Term(1), Index(1)};
        const std::uint64_t steps = prng.between(20, 400);
        for (std::uint64_t i = 0; i < steps; ++i) {
            const Term term(node.set().replica(ShardId(0)).group().raft().term().value() + 1);
            node.hear(leader_node, append(term, last, prng.chance(0.5) ? 0 : prng.below(8'000)));
            last = {term, last.index.next()};
            cluster.world.run_for(1ms);
        }
        ASSERT_EQ(node.set().replica(ShardId(0)).group().raft().last(), last);
        cluster.crash(0);
        cluster.start(0);
        ASSERT_TRUE(cluster.run_until([&] { return cluster.node(0).opened().has_value(); }));
        const Status& opened = *cluster.node(0).opened();
        ASSERT_TRUE(opened) << opened.error().text();
    }
}

}  // namespace
}  // namespace kv
