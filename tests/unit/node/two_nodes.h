#pragma once

/// Two nodes: `here` has the clients and leads all shards but that of bar, which `there` leads, as
/// node 3. What they forward to each other is carried from one to the other, if the test lets it
/// pass.

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "tests/unit/node/fake_cluster.h"

namespace kv {

inline constexpr ShardId shard_of_bar{1};

/// The parameter: cores of each node.
class TwoNodes : public testing::TestWithParam<std::uint16_t> {
protected:
    FakeCluster here{GetParam(), GetParam()};
    FakeCluster there{GetParam() + 10u, GetParam()};
    std::function<bool(FakeCluster::Packet&)> pass = [](auto&) { return true; };

    void SetUp() override {
        here.lead_all();
        there.lead_all();
        here.lead_elsewhere(shard_of_bar, NodeId(3));
        here.connect_forwarders();
        there.connect_forwarders();
    }
    /// Whatever node is asked, it is `there`, which answers under that name.
    void run_for(Duration time) {
        for (Duration passed{}; passed < time; passed += 1ms) {
            here.run_for(1ms);
            for (FakeCluster::Packet& packet : std::exchange(here.sent, {})) {
                asked_of_[packet.forward.request] = std::exchange(packet.node, NodeId(1));
                if (pass(packet)) there.arrive(std::move(packet));
            }
            there.run_for(1ms);
            for (FakeCluster::Packet& packet : std::exchange(there.sent, {})) {
                packet.node = asked_of_[packet.forward.request];
                if (pass(packet)) here.arrive(std::move(packet));
            }
        }
    }
    std::string ask(std::string_view request, Duration within = 300ms) {
        const auto client = here.connect();
        client->send(request);
        run_for(within);
        return client->take();
    }
    void expect(std::string_view request, std::string_view reply, Duration within = 300ms) {
        EXPECT_EQ(ask(request, within), reply) << "to " << request;
    }
    void set_on_follower(OnFollower what) {
        for (std::size_t i = 0; i < here.cores(); ++i) {
            here.server(i).settings.client.on_follower = what;
        }
    }

private:
    std::map<std::uint64_t, NodeId> asked_of_;  ///< by the number of the request
};

}  // namespace kv
