/// The unkindness of one simulated core: order, cancellation, buffers that run out, multishots that
/// end, descriptors that are reused.

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "io/file.h"
#include "io/sim/sim_process.h"
#include "io/socket.h"
#include "tests/support/io_scenes.h"

namespace kv::io {
namespace {

const NodeId n1(1);
const NodeId n2(2);

/// Writes down its completions.
struct Probe : Op {
    explicit Probe(std::string* log = nullptr, char letter = '?') noexcept
        : Op(&Probe::done), order(log), name(letter) {}
    static void done(Op& op, std::int32_t result, Completion completion) noexcept {
        auto& self = static_cast<Probe&>(op);
        self.results.push_back(result);
        if (completion.has_buffer) self.buffers.push_back(completion.buffer_id);
        if (self.order != nullptr) self.order->push_back(self.name);
    }
    void start(Backend& backend, const OpRequest& request) {
        set_request(request);
        backend.submit(*this);
    }
    std::string* order;
    char name;
    std::vector<std::int32_t> results;
    std::vector<std::uint16_t> buffers;
};

OpRequest on_fd(OpCode code, std::int32_t fd) {
    OpRequest request;
    request.code = code;
    request.fd = fd;
    return request;
}
OpRequest on_path(OpCode code, const char* path) {
    OpRequest request;
    request.code = code;
    request.path = path;
    return request;
}

TEST(SimBackend, NothingCompletesInlineAndEveryOrderIsPossible) {
    std::set<std::string> orders;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        SimWorld world(seed);
        world.add_node(n1, {"10.0.0.1"});
        SimProcess process(world, n1);
        std::string order;
        FileInfo info;
        Probe probes[] = {Probe(&order, 'a'), Probe(&order, 'b'), Probe(&order, 'c')};
        for (Probe& probe : probes) {
            OpRequest request = on_path(OpCode::stat, "nothing");
            request.out = &info;
            probe.start(process.backend(), request);
        }
        ASSERT_EQ(order, "");
        world.run_for(1s);
        ASSERT_EQ(order.size(), 3u);
        orders.insert(order);
    }
    EXPECT_EQ(orders.size(), 6u);
}

TEST(SimBackend, CompletionsOfOneInstantComeInAnyOrder) {
    SimKnobs knobs;
    knobs.disk.name = Latency{10us, 10us};
    knobs.disk.tail_per_million = 0;
    std::set<std::string> orders;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SimWorld world(seed, knobs);
        world.add_node(n1, {"10.0.0.1"});
        SimBackend& backend = world.add_core(n1);  // without a reactor: the test polls
        std::string order;
        std::vector<std::string> names;
        Probe probes[] = {Probe(&order, 'a'), Probe(&order, 'b'), Probe(&order, 'c')};
        for (Probe& probe : probes) {
            OpRequest request = on_path(OpCode::list, "/");
            request.out = &names;
            probe.start(backend, request);
        }
        world.run_for(1ms);
        Instant time{};
        backend.poll(Duration::zero(), time);
        EXPECT_EQ(time, backend.now());
        ASSERT_EQ(order.size(), 3u);
        orders.insert(order);
        world.remove_core(backend);
    }
    EXPECT_EQ(orders.size(), 6u);
}

TEST(SimBackend, ACancellationMayLose) {
    std::set<std::int32_t> results;
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        SimWorld world(seed);
        world.add_node(n1, {"10.0.0.1"});
        world.disk(n1).make_directory("data");
        SimProcess process(world, n1);
        Probe probe;
        probe.start(process.backend(), on_path(OpCode::unlink, "data/x"));
        process.backend().cancel(probe);
        world.run_for(1s);
        ASSERT_EQ(probe.results.size(), 1u);
        ASSERT_FALSE(probe.in_flight());
        results.insert(probe.results[0]);
        process.backend().cancel(probe);  // over: does nothing
        world.run_for(1s);
    }
    EXPECT_EQ(results, std::set<std::int32_t>({-ECANCELED, -ENOENT}));
}

/// A connection from n2 to n1; both descriptors.
struct Pair {
    explicit Pair(std::uint64_t seed, const SimKnobs& knobs = {}) : world(seed, knobs) {
        world.add_node(n1, {"10.0.0.1"});
        world.add_node(n2, {"10.0.0.2"});
        server = std::make_unique<SimProcess>(world, n1);
        client = std::make_unique<SimProcess>(world, n2);
        Endpoint at = *parse_endpoint("10.0.0.1", 80);
        OpRequest request;
        request.endpoint = &at;
        request.code = OpCode::listen;
        Probe listening;
        listening.start(server->backend(), request);
        world.run_for(1s);
        accepting.start(server->backend(), on_fd(OpCode::accept, listening.results.at(0)));
        request.code = OpCode::connect;
        Probe connecting;
        connecting.start(client->backend(), request);
        world.run_for(1s);
        server_fd = accepting.results.at(0);
        client_fd = connecting.results.at(0);
    }
    ~Pair() {
        server->kill();
        client->kill();
    }
    void send(std::string& bytes) {
        std::size_t sent = 0;
        while (sent < bytes.size()) {
            OpRequest request = on_fd(OpCode::send, client_fd);
            request.data = reinterpret_cast<std::byte*>(bytes.data()) + sent;
            request.bytes = static_cast<std::uint32_t>(bytes.size() - sent);
            Probe probe;
            probe.start(client->backend(), request);
            ASSERT_TRUE(world.run_until([&] { return !probe.results.empty(); }, 1s));
            if (probe.results[0] > 0) sent += static_cast<std::size_t>(probe.results[0]);
        }
        world.run_for(1s);
    }
    SimWorld world;
    std::unique_ptr<SimProcess> server;
    std::unique_ptr<SimProcess> client;
    Probe accepting;
    std::int32_t server_fd = -1;
    std::int32_t client_fd = -1;
};

SimKnobs few_buffers() {
    SimKnobs knobs;
    knobs.core.buffers_min = knobs.core.buffers_max = 4;
    knobs.core.buffer_bytes_min = knobs.core.buffer_bytes_max = 16;
    knobs.core.multishot_end_per_million = 0;
    knobs.network.short_per_million = 0;
    return knobs;
}

TEST(SimBackend, AReceiveEndsWhenTheBuffersAreGoneAndGoesOnLater) {
    Pair pair(1, few_buffers());
    SimBackend& backend = pair.server->backend();
    std::string bytes = scenes::pattern(100, 1);
    pair.send(bytes);
    Probe receiving;
    receiving.start(backend, on_fd(OpCode::receive, pair.server_fd));
    pair.world.run_for(1s);
    EXPECT_EQ(receiving.results, std::vector<std::int32_t>({16, 16, 16, 16, -ENOBUFS}));
    EXPECT_FALSE(receiving.in_flight());
    EXPECT_EQ(backend.buffers_free(), 0u);
    std::string got;
    for (const std::uint16_t id : receiving.buffers) {
        got.append(as_text({backend.buffer(id), 16}));
        backend.recycle(id);
    }
    EXPECT_EQ(got, bytes.substr(0, 64));
    receiving.results.clear();
    receiving.start(backend, on_fd(OpCode::receive, pair.server_fd));
    pair.world.run_for(1s);
    EXPECT_EQ(receiving.results, std::vector<std::int32_t>({16, 16, 4}));
    EXPECT_TRUE(receiving.in_flight());
    pair.server->kill();
    EXPECT_FALSE(receiving.in_flight());
}

TEST(SimBackend, ACanceledReceiveEndsWithOrWithoutWhatHadArrived) {
    std::set<std::vector<std::int32_t>> seen;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        Pair pair(seed, few_buffers());
        Probe receiving;
        receiving.start(pair.server->backend(), on_fd(OpCode::receive, pair.server_fd));
        pair.world.run_for(1s);
        pair.server->backend().cancel(receiving);
        std::string bytes = "0123456789abcdef";
        OpRequest request = on_fd(OpCode::send, pair.client_fd);
        request.data = reinterpret_cast<std::byte*>(bytes.data());
        request.bytes = 16;
        Probe sending;
        sending.start(pair.client->backend(), request);
        pair.world.run_for(1s);
        ASSERT_FALSE(receiving.in_flight());
        ASSERT_EQ(receiving.results.back(), -ECANCELED);
        seen.insert(receiving.results);
    }
    EXPECT_GT(seen.size(), 1u);
}

TEST(SimBackend, ASpontaneousEndLosesNothing) {
    SimKnobs knobs = few_buffers();
    knobs.core.multishot_end_per_million = 1'000'000;
    Pair pair(1, knobs);
    EXPECT_FALSE(pair.accepting.in_flight());
    std::string bytes = scenes::pattern(40, 1);
    pair.send(bytes);
    SimBackend& backend = pair.server->backend();
    Probe receiving;
    std::string got;
    for (int i = 0; i < 3; ++i) {
        receiving.start(backend, on_fd(OpCode::receive, pair.server_fd));
        pair.world.run_for(1s);
        ASSERT_FALSE(receiving.in_flight());
        const auto count = static_cast<std::size_t>(receiving.results.back());
        got.append(as_text({backend.buffer(receiving.buffers.back()), count}));
        backend.recycle(receiving.buffers.back());
    }
    EXPECT_EQ(got, bytes);
}

TEST(SimBackend, ASenderWaitsForRoomAndTheLinkKeepsOrder) {
    SimKnobs knobs;
    knobs.network.window_bytes_min = knobs.network.window_bytes_max = 100;
    knobs.network.interrupted_per_million = knobs.network.short_per_million = 0;
    Pair pair(1, knobs);
    std::string bytes = scenes::pattern(150, 1);
    OpRequest request = on_fd(OpCode::send, pair.client_fd);
    request.data = reinterpret_cast<std::byte*>(bytes.data());
    request.bytes = 150;
    Probe first;
    first.start(pair.client->backend(), request);
    pair.world.run_for(1s);
    EXPECT_EQ(first.results, std::vector<std::int32_t>({100}));
    Probe second;
    request.data += 100;
    request.bytes = 50;
    second.start(pair.client->backend(), request);
    pair.world.run_for(10s);
    EXPECT_TRUE(second.in_flight());
    pair.client->backend().cancel(second);
    pair.world.run_for(1s);
    EXPECT_EQ(second.results, std::vector<std::int32_t>({-ECANCELED}));
    // The peer goes without reading: a reset, and the next send says so.
    Probe closing;
    closing.start(pair.server->backend(), on_fd(OpCode::close, pair.server_fd));
    pair.world.run_for(1s);
    Probe third;
    third.start(pair.client->backend(), request);
    pair.world.run_for(1s);
    EXPECT_EQ(third.results, std::vector<std::int32_t>({-EPIPE}));
}

TEST(SimBackend, TheLowestFreeDescriptorIsNext) {
    SimWorld world(1);
    world.add_node(n1, {"10.0.0.1"});
    world.disk(n1).put("data/f", "");
    SimProcess process(world, n1);
    const auto run = [&](const OpRequest& request) {
        Probe probe;
        probe.start(process.backend(), request);
        world.run_for(1s);
        return probe.results.at(0);
    };
    const std::int32_t first = run(on_path(OpCode::open, "data/f"));
    const std::int32_t second = run(on_path(OpCode::open, "data/f"));
    EXPECT_NE(first, second);
    EXPECT_EQ(run(on_fd(OpCode::close, first)), 0);
    EXPECT_EQ(run(on_fd(OpCode::close, first)), -EBADF);
    EXPECT_EQ(run(on_path(OpCode::open, "data/f")), first);
    EXPECT_EQ(run(on_fd(OpCode::sync, 77)), -EBADF);
    EXPECT_EQ(run(on_fd(OpCode::receive, 77)), -EBADF);
}

}  // namespace
}  // namespace kv::io
