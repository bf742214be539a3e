/// The scenes of tests/support on the simulator, under many seeds.

#include <gtest/gtest.h>

#include <optional>

#include "io/await.h"
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

Task<void> close_later(Reactor& reactor, Duration after, scenes::EchoServer* server) {
    co_await SleepAwaiter(reactor, after);
    co_await server->close();
}

/// Listens where another one does, that closes after `closes_after`.
Task<void> listen_scene(Reactor& reactor, Duration closes_after, std::optional<Error>* error) {
    scenes::EchoServer first(reactor);
    scenes::EchoServer second(reactor);
    const auto listening = co_await first.listen(endpoint("10.0.0.1", 7));
    EXPECT_TRUE(listening.has_value());
    reactor.spawn(close_later(reactor, closes_after, &first));
    const auto too = co_await second.listen(endpoint("10.0.0.1", 7));
    if (!too) *error = too.error();
    co_await second.close();
    co_await SleepAwaiter(reactor, closes_after);
}

TEST(SimScenes, AnAddressInUseIsWaitedForAWhile) {
    for (const bool in_time : {true, false}) {
        SimWorld world(1);
        world.add_node(n1, {"10.0.0.1"});
        SimBackend& backend = world.add_core(n1);
        Reactor reactor(backend);
        world.attach(backend, reactor);
        std::optional<Error> error;
        const Duration closes_after = Listener::address_patience + (in_time ? -100ms : 100ms);
        ASSERT_TRUE(world.run(reactor, listen_scene(reactor, closes_after, &error)));
        EXPECT_EQ(!error, in_time);
        const std::string text = error ? error->text() : "Address already in use";
        EXPECT_NE(text.find("Address already in use"), std::string::npos) << text;
        ASSERT_EQ(world.network().open_sockets(), 0u);
    }
}

}  // namespace
}  // namespace kv::io
