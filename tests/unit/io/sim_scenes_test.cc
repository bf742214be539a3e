/// The scenes of tests/support on the simulator, under many seeds.

#include <gtest/gtest.h>

#include "io/frame_pool.h"
#include "io/sim/sim_world.h"
#include "tests/support/io_scenes.h"

namespace kv::io {
namespace {

const NodeId n1(1);

Endpoint endpoint(std::string_view address, std::uint16_t port = 0) {
    return *parse_endpoint(address, port);
}

TEST(SimScenes, FilesBehaveUnderEverySeed) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        SCOPED_TRACE(seed);
        SimWorld world(seed);
        world.add_node(n1, {"10.0.0.1"});
        SimBackend& backend = world.add_core(n1);
        Reactor reactor(backend);
        world.attach(backend, reactor);
        ASSERT_TRUE(world.run(reactor, scenes::file_scene(reactor, "data")));
        ASSERT_TRUE(world.run(reactor, scenes::direct_scene(reactor, "data")));
        ASSERT_EQ(world.disk(n1).used_bytes(), 0u);
        ASSERT_EQ(backend.in_flight(), 0u);
        ASSERT_EQ(FramePool::live(), 0);
    }
}

TEST(SimScenes, AHalfClosedStreamStillBringsRepliesUnderEverySeed) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE(seed);
        SimWorld world(seed);
        world.add_node(n1, {"10.0.0.1"});
        SimBackend& backend = world.add_core(n1);
        Reactor reactor(backend);
        world.attach(backend, reactor);
        ASSERT_TRUE(
            world.run(reactor, scenes::half_close_scene(reactor, endpoint("10.0.0.1"), 20'000)));
        ASSERT_EQ(world.network().open_sockets(), 0u);
    }
}

TEST(SimScenes, EchoesComeBackUnderEverySeed) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE(seed);
        SimWorld world(seed);
        world.add_node(n1, {"10.0.0.1"});
        SimBackend& backend = world.add_core(n1);
        Reactor reactor(backend);
        world.attach(backend, reactor);
        ASSERT_TRUE(
            world.run(reactor, scenes::echo_scene(reactor, endpoint("10.0.0.1"), 5, 20'000)));
        ASSERT_EQ(world.network().open_sockets(), 0u);
        ASSERT_EQ(FramePool::live(), 0);
    }
}

}  // namespace
}  // namespace kv::io
