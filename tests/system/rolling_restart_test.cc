/// All nodes of a cluster are restarted, one after the other, as for an upgrade. A client that goes
/// where it is sent notices nothing but redirects: a node that stops answers whatever reaches it
/// before it closes, and says where to go instead. (A connection that is closed while nothing is
/// asked on it is no error: the client connects again, elsewhere.)

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/system/recorded_load.h"

namespace kv::test {
namespace {

/// raft.election_timeout. Longer ones are told, and fail the test only when nobody can call them a
/// hand-over any more: a machine that has other things to do is no fault of the cluster.
constexpr std::chrono::milliseconds election_timeout{300};
constexpr std::chrono::milliseconds gap_max = 10 * election_timeout;

TEST(RollingRestart, AClientThatFollowsRedirectsSeesNoError) {
    const std::uint64_t some = sanitized() ? 500 : 3'000;
    const std::uint64_t seed = chosen_seed("RollingRestart.AClientThatFollowsRedirectsSeesNoError");
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    RecordedLoad load(cluster, seed, RecordedLoad::Resp::follows);
    for (std::size_t node = 0; node < cluster.size(); ++node) {
        SCOPED_TRACE(fmt::format("node {}", node + 1));
        ASSERT_TRUE(load.goes_on(some)) << cluster.logs();
        cluster.stop(node);
        ASSERT_TRUE(load.goes_on(some)) << cluster.logs();
        cluster.start(node);
        ASSERT_TRUE(cluster.at(node).ready());
        EXPECT_EQ(cluster.at(node).start_field("after"), "clean_stop");
        ASSERT_TRUE(cluster.wait_until_caught_up(node));
    }
    ASSERT_TRUE(load.goes_on(some)) << cluster.logs();
    load.stop();
    const RecordedLoad::Sum sum = load.sum();
    fmt::print("rolling restart: the longest operation, redirects included, took {} ms{}\n",
               sum.longest_wait.count(),
               sum.longest_wait > election_timeout ? ", which is above one election timeout" : "");
    EXPECT_EQ(sum.refused, 0u) << sum.first_refusal;
    EXPECT_EQ(sum.unknown, 0u) << sum.first_unknown;
    EXPECT_LT(sum.longest_wait, gap_max);
    load.expect_linearizable(7 * some);
}

}  // namespace
}  // namespace kv::test
